r"""
The cast with one scale for a float32 tensor, without what other rules need.

::

    max, min --> amax --scale--> factor     x * factor --table--> codes    in blocks of the
                                                      \--grid---> values   cache

The formulas and the table are the rule's own; what this does not serve, `scale_quantize` does.
Where products take values and nobody looks at codes, none are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._kernels.arithmetic import serves
from fp8num._kernels.encoder import encoder
from fp8num._kernels.float32 import divide, flushes_subnormals, multiply
from fp8num._kernels.grid import Grid, make_grid
from fp8num._kernels.table import Table
from fp8num._kernels.words import FLOAT32
from fp8num.projection import Rounding
from fp8num.scaled import Descale, ScaledArray
from fp8num.scaling.cast import adjustment
from fp8num.scaling.finders import Amax
from fp8num.scaling.held import Held, MsAmp
from fp8num.scaling.scales import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.formats import Format
    from fp8num.scaling.rule import Rule

__all__ = ["TensorCast", "tensor_cast"]

Array: TypeAlias = npt.NDArray[Any]
Single: TypeAlias = npt.NDArray[np.float32]

#: Numbers of a block: its arrays stay in the cache.
_BLOCK = 1 << 15
_LARGEST = np.float32(np.finfo(np.float32).max)
_ZERO = np.float32(0)


class TensorCast:
    """
    A cast with one scale that needs a table and nothing else.

    Parameters
    ----------
    rule : Rule
        How.
    fmt : Format
        Of the elements.
    kernel : Table
        From float32 words to codes.
    grid : Grid, optional
        From float32 to the values of the format.
    """

    def __init__(self, rule: Rule, fmt: Format, kernel: Table, grid: Grid | None = None) -> None:
        self.rule, self.format, self.kernel, self.grid = rule, fmt, kernel, grid
        self._multiplies = Descale(rule.way_out) is Descale.MULTIPLY
        self.context = Context(fmt, _ZERO, _LARGEST)

    def __call__(self, x: Array, axis: int) -> ScaledArray | None:
        """Scale and quantise a tensor."""
        found = self._scales(x)
        if found is None:
            return None
        rule, fmt = self.rule, self.format
        codes = np.empty(x.shape, fmt.code_dtype)
        out = codes.reshape(-1)
        for part, scaled in _blocks(x, found.factor):
            self.kernel(scaled.view(np.uint32), out[part])
        stored, way_out = found.stored.reshape(()), Descale(rule.way_out)
        return ScaledArray(codes, fmt, stored, x.shape, None, axis, way_out, None, rule)

    def values(self, x: Array, out: Array) -> Single | None:
        """
        Scale a tensor and round it to the format's values, without codes.

        Parameters
        ----------
        x : ndarray of float32, shape (rows, columns)
            Values.
        out : ndarray of float32 or float64, shape (rows, columns)
            Takes what codes would be decoded to; zeros are +0.

        Returns
        -------
        ndarray of float32, shape (), or None
            The scale as the rule stores it; None if only `scale_quantize` serves, or the
            largest magnitude lies beyond the format's.
        """
        grid, found = self.grid, self._scales(x)
        if grid is None or found is None or not found.largest < grid.beyond:
            return None
        work = np.empty(min(x.size, _BLOCK), np.uint32)
        flat = out.reshape(-1)
        for part, scaled in _blocks(x, found.factor):
            grid(scaled, work[: scaled.size], flat[part])
        return found.stored.reshape(())

    def multiplier(self, stored: Single) -> Single:
        """Return what values on the grid are multiplied by, of a stored scale."""
        return stored if self._multiplies else divide(np.float32(1), stored)

    def with_scale(self, values: Single, stored: Single) -> Single:
        """Return values on the grid with a stored scale, in the same memory."""
        return (multiply if self._multiplies else divide)(values, stored, values)

    def _scales(self, x: Array) -> _Found | None:
        """Return the tensor's scale, and what its largest magnitude becomes."""
        if not x.size or not x.flags.c_contiguous or flushes_subnormals():
            return None
        amax = np.float32(max(abs(x.max()), abs(x.min())))  # NaN comes out of both
        if np.isnan(amax):
            return None
        found = self.rule.scale.find(np.asarray(amax), self.context)
        with np.errstate(all="ignore"):
            return _Found(found.stored, found.factor, np.float32(amax * found.factor))


class _Found(NamedTuple):
    """A scale as it is stored, what values are multiplied by, and what that makes of amax."""

    stored: Single
    factor: Single
    largest: np.float32


def _blocks(x: Array, factor: Single) -> Iterator[tuple[slice, Single]]:
    """Yield where each block lies and its products with the factor, in the same memory."""
    flat, memory = x.reshape(-1), np.empty(min(x.size, _BLOCK), np.float32)
    with np.errstate(all="ignore"):
        for first in range(0, x.size, _BLOCK):
            part = slice(first, min(first + _BLOCK, x.size))
            block = memory[: part.stop - first]
            yield part, np.multiply(flat[part], factor, out=block)


def tensor_cast(rule: Rule, fmt: Format) -> TensorCast | None:
    """Return the short way of a rule's cast."""
    cast = rule.cast
    plain = (
        rule.granularity.kind == "tensor"
        and isinstance(rule.finder, Amax)
        and not rule.finder.finite
        and rule.way_in is Descale.MULTIPLY
        and rule.rotation is None
        and rule.scale.format is None
        and not isinstance(rule.scale, Held | MsAmp)
        and adjustment(cast) is None
        and not (rule.exact or rule.is_two_level or cast.flushes or cast.drops_minus_zero)
        and not cast.through_bfloat16
    )
    projection = cast.projection(fmt)
    if not plain or projection.rounding.is_stochastic:
        return None
    kernel = encoder(fmt, projection, FLOAT32)
    if not isinstance(kernel, Table):
        return None
    even = projection.rounding is Rounding.NEAREST_TIES_TO_EVEN and serves(fmt, projection)
    return TensorCast(rule, fmt, kernel, make_grid(fmt) if even else None)
