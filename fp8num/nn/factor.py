"""
A matrix that is to be multiplied: plain float32, or codes with their scales.

::

    codes --decoded--> without scales     for scales that enter the accumulator
    codes --values---> float32 with them  as the library dequantises
    values on a grid, and their scale     where nobody looks at codes
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num.accumulate.operands import MatrixOperand, as_operand
from fp8num.formats import E4M3FN, E5M2
from fp8num.nn._matrix import Matrix
from fp8num.scaled import ScaledArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.nn._tensor_cast import TensorCast

__all__ = ["Factor", "OnGrid"]

Floats: TypeAlias = npt.NDArray[np.float64]

_ONE = np.ones((), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class OnGrid:
    """Values of a format whose codes were not made."""

    values: npt.NDArray[Any]  #: what codes would be decoded to
    stored: npt.NDArray[np.float32]  #: the scale as the rule keeps it
    cast: TensorCast  #: what made them


class Factor:
    """
    One operand of matrix products.

    Parameters
    ----------
    name : str
        For messages.
    source : ScaledArray, OnGrid or array_like of float32, shape (rows, columns)
        What it is.
    make_codes : callable, optional
        Makes the codes of values that come without, for those who look at them.

    Raises
    ------
    TypeError
        If plain values are not float32.
    ValueError
        If it is no matrix.
    """

    def __init__(
        self,
        name: str,
        source: ScaledArray | OnGrid | npt.ArrayLike,
        make_codes: Callable[[], ScaledArray] | None = None,
    ) -> None:
        self._make_codes = make_codes
        self.scaled = source if isinstance(source, ScaledArray) else None
        self._on_grid = source if isinstance(source, OnGrid) else None
        self.plain: npt.NDArray[Any] | None = None
        if self.scaled is not None:
            self.shape = self.scaled.shape
        elif isinstance(source, OnGrid):
            self.shape = source.values.shape
        else:
            given = as_array(source, name)
            self.plain = given.astype(given.dtype.newbyteorder("="), copy=False)
            self.shape = self.plain.shape
            if self.plain.dtype.type is not np.float32:
                msg = (
                    f"{name} must be float32 or a ScaledArray, got {self.plain.dtype} of shape "
                    f"{self.shape}"
                )
                raise TypeError(msg)
        if len(self.shape) != 2:
            msg = f"{name} must be a matrix, got shape {self.shape}"
            raise ValueError(msg)

    @property
    def is_cast(self) -> bool:
        """Whether there are codes, or could be."""
        return self.scaled is not None or self._make_codes is not None

    @cached_property
    def codes(self) -> ScaledArray:
        """The codes with their scales, made now if nobody needed them before."""
        if self.scaled is not None:
            return self.scaled
        assert self._make_codes is not None
        return self._make_codes()

    @cached_property
    def decoded(self) -> Matrix:
        """What the codes stand for, without scales; plain values as they are."""
        if self._on_grid is not None:
            return Matrix(self._on_grid.values, grid=self._on_grid.cast.format)
        if self.scaled is None:
            return self.values
        return Matrix(self.scaled.codes, self.scaled.format)

    @property
    def values(self) -> Matrix:
        """The float32 values that codes and scales stand for."""
        return Matrix(self.single)

    @cached_property
    def single(self) -> npt.NDArray[np.float32]:
        """The same as an array."""
        if self.plain is not None:
            return self.plain
        if self._on_grid is not None:
            return self._on_grid.cast.with_scale(self.decoded.single.copy(), self._on_grid.stored)
        assert self.scaled is not None
        found: npt.NDArray[np.float32] = self.scaled.dequantize()
        return found

    @property
    def is_one_scale(self) -> bool:
        """Whether one scale serves all."""
        return self.scaled is None or (
            self.scaled.stored_scales.ndim == 0 and self.scaled.tensor_amax is None
        )

    @property
    def scale(self) -> npt.NDArray[np.float32]:
        """What decoded values are multiplied by; 1 for plain ones."""
        if self._on_grid is not None:
            return self._on_grid.cast.multiplier(self._on_grid.stored)
        return _ONE if self.scaled is None else self.scaled.scales

    @property
    def is_fp8(self) -> bool:
        """Whether products of codes are multiples of 2**-32 of at most 2**32."""
        fmt = None if self.scaled is None else self.scaled.format
        return fmt in (E4M3FN, E5M2)

    def operand(self, name: str, *, transpose: bool) -> MatrixOperand:
        """Return the operand that scales are looked up in; plain values have none."""
        if self.scaled is not None:
            return as_operand(name, self.scaled, None, transpose=transpose)
        assert self.plain is not None
        return MatrixOperand(self.plain.T if transpose else self.plain, E4M3FN)
