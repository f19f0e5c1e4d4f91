"""
Which elements share a scale.

::

    tensor   all of them            row      all along the axis (contracted): one per row
    channel  all at one index of the axis     1 x N, N x M   blocks; the last may be ragged
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["Granularity"]

_KINDS = ("tensor", "row", "channel", "block")
_BLOCK = re.compile(r"(?:(\d+)x)?(\d+)")


@dataclass(frozen=True, slots=True)
class Granularity:
    """
    Which elements share a scale.

    Parameters
    ----------
    kind : str
        ``"tensor"``, ``"row"``, ``"channel"`` or ``"block"``.
    length : int
        Of a block, along the axis.
    height : int
        Of a block, along the other of the last two axes; 1 for blocks along one axis.
    ragged : bool
        Whether the last block of an axis may be shorter.

    Raises
    ------
    ValueError
        If the kind is unknown or a length is not positive.

    Examples
    --------
    >>> Granularity.parse("1x32").block((5, 70), axis=-1)
    (1, 32)
    >>> Granularity.parse("row").block((5, 70), axis=0)
    (5, 1)
    """

    kind: str
    length: int = 1
    height: int = 1
    ragged: bool = True

    def __post_init__(self) -> None:
        """Check the kind and the lengths."""
        if self.kind not in _KINDS:
            msg = f"granularity must be one of {', '.join(_KINDS)}, got {self.kind!r:.80}"
            raise ValueError(msg)
        for name, length in (("length", self.length), ("height", self.height)):
            if isinstance(length, bool) or not isinstance(length, int) or length < 1:
                msg = f"{name} of a block must be a positive integer, got {length!r:.80}"
                raise ValueError(msg)

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, text: str) -> Granularity:
        """
        Read ``"tensor"``, ``"row"``, ``"channel"``, ``"N"``, ``"1xN"`` or ``"NxM"``.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        if text in _KINDS[:-1]:
            return cls(text)
        match = _BLOCK.fullmatch(text)
        if match is None:
            msg = f"granularity must be tensor, row, channel, N, 1xN or NxM, got {text!r:.80}"
            raise ValueError(msg)
        return cls("block", int(match[2]), int(match[1] or 1))

    def block(self, shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
        """
        Return the length of a block on each axis of an array.

        Parameters
        ----------
        shape : tuple of int
            Of the array.
        axis : int
            The axis that blocks run along; that channels are indices of.

        Returns
        -------
        tuple of int
            At least 1 and at most the axis' length, if that is not 0.

        Raises
        ------
        ValueError
            If there is no such axis, or a block may not be ragged and is.
        """
        ndim = len(shape)
        if ndim == 0:
            if self.kind == "tensor":
                return ()
            msg = f"x must have axes for {self}, got a single number; use the rule 'tensor'"
            raise ValueError(msg)
        whole = isinstance(axis, int | np.integer) and not isinstance(axis, bool)
        if not whole or not -ndim <= axis < ndim:
            msg = f"axis must be from {-ndim} to {ndim - 1} for shape {shape}, got {axis!r:.80}"
            raise ValueError(msg)
        axis = int(axis) % ndim
        if self.kind == "tensor":
            wanted = list(shape)
        elif self.kind == "channel":
            wanted = [1 if i == axis else n for i, n in enumerate(shape)]
        else:
            wanted = [1] * ndim
            wanted[axis] = shape[axis] if self.kind == "row" else self.length
            if self.height > 1:
                wanted[self._other(axis, ndim)] = self.height
        self._refuse_ragged(shape, wanted)
        return tuple(max(min(b, n), 1) for b, n in zip(wanted, shape, strict=True))

    def _other(self, axis: int, ndim: int) -> int:
        """Return the axis of a two-dimensional block's height."""
        if ndim == 1 or axis < ndim - 2:
            msg = (
                f"axis must be one of the last two for blocks of {self}, got axis {axis} of "
                f"{ndim} axes"
            )
            raise ValueError(msg)
        return 2 * ndim - 3 - axis

    def _refuse_ragged(self, shape: tuple[int, ...], wanted: list[int]) -> None:
        if self.ragged or self.kind != "block":
            return
        for axis, (n, b) in enumerate(zip(shape, wanted, strict=True)):
            if n % b:
                msg = (
                    f"blocks of {self} must divide the shape, got axis {axis} of {n} elements; "
                    f"pad it to {-(-n // b) * b} or allow ragged blocks"
                )
                raise ValueError(msg)

    def __str__(self) -> str:
        """Return what `parse` reads."""
        return f"{self.height}x{self.length}" if self.kind == "block" else self.kind
