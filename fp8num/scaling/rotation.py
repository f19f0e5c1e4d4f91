"""
The random Hadamard transform: an outlier is spread over its tile before scaling.

::

    x' = x (diag(signs) H / sqrt(n))  on tiles of n elements along the axis
    H  = Sylvester's: H_1 = 1, H_2n = [[H_n, H_n], [H_n, -H_n]]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import refuse_mask
from fp8num._kernels.float32 import as_float64, flushes_subnormals
from fp8num._kernels.state import float_arithmetic
from fp8num._kernels.words import float32_words

__all__ = ["Rotation"]

#: Tiles that are multiplied at once: so few that BLAS does not share them among threads.
TILES = 256
SMALLEST_NORMAL = 2.0**-126
#: Elements of a tile, of which a matrix is made: 8 MiB.
LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Rotation:
    """
    A Hadamard transform with given signs.

    Parameters
    ----------
    signs : tuple of int
        +1 or -1 for each element of a tile; their number is the tile's length, a power
        of four, so that the factor is a power of two.

    Raises
    ------
    ValueError
        If they are not.
    """

    signs: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the signs."""
        n = len(self.signs)
        wrong = n & (n - 1) or n.bit_length() % 2 == 0 or set(self.signs) - {1, -1}
        if wrong or not 1 <= n <= LONGEST:
            msg = (
                f"signs must be +1 and -1, a power of four of them up to {LONGEST}, "
                f"got {n}: {self.signs!r:.80}"
            )
            raise ValueError(msg)

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The orthogonal matrix that rows are multiplied by, shape (n, n)."""
        n = len(self.signs)
        hadamard = np.ones((1, 1))
        while len(hadamard) < n:
            hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
        return np.asarray(np.array(self.signs)[:, None] * hadamard / np.sqrt(n))

    @float_arithmetic
    def apply(self, x: npt.NDArray[Any], axis: int, *, back: bool = False) -> npt.NDArray[Any]:
        """
        Transform tiles along an axis.

        Parameters
        ----------
        x : ndarray, shape (...)
            Values of any floating-point type.
        axis : int
            Its length must be a multiple of the tile's.
        back : bool, optional
            Whether to undo the transform.

        Returns
        -------
        ndarray of float32, shape (...)
            Sums in float64, rounded to float32 once.  They are exact, so that their order
            does not matter, where the tile's magnitudes span less than 2**25.

        Raises
        ------
        TypeError
            If `x` is a masked array.
        ValueError
            If the axis is not a multiple of the tile.
        """
        refuse_mask(x, "x")
        n = len(self.signs)
        if x.ndim == 0 or x.shape[axis] % n:
            msg = (
                f"axis {axis} must be a multiple of {n} long for the Hadamard transform, "
                f"got shape {x.shape}; pad it with zeros"
            )
            raise ValueError(msg)
        matrix = self.matrix.T if back else self.matrix
        moved = np.moveaxis(x, axis, -1)
        result = np.empty(moved.shape, np.float32)
        tiles = moved.reshape(-1, n)
        flat = result.reshape(-1, n)
        for start in range(0, len(tiles), TILES):
            part = as_float64(np.ascontiguousarray(tiles[start : start + TILES])).reshape(-1, n)
            # Of infinities and NaN.
            sums = part @ matrix
            rounded = sums.astype(np.float32)
            tiny = np.abs(sums) < SMALLEST_NORMAL
            if tiny.any() and flushes_subnormals():
                rounded = float32_words(sums).view(np.float32)
            flat[start : start + TILES] = rounded
        return np.ascontiguousarray(np.moveaxis(result, -1, axis))
