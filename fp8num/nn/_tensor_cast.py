"""
The cast with one scale for a float32 tensor, without what other rules need.

::

    max, min --> amax --scale--> factor     x * factor --table--> codes, in blocks of the cache

The formulas and the table are the rule's own; what this does not serve, `scale_quantize` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._kernels.encoder import encoder
from fp8num._kernels.float32 import flushes_subnormals
from fp8num._kernels.table import Table
from fp8num._kernels.words import FLOAT32
from fp8num.scaled import Descale, ScaledArray
from fp8num.scaling.adjusting import adjustment
from fp8num.scaling.finders import Amax
from fp8num.scaling.held import Held, MsAmp
from fp8num.scaling.scales import Context

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.scaling.rule import Rule

__all__ = ["TensorCast", "tensor_cast"]

Array: TypeAlias = npt.NDArray[Any]

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
    """

    def __init__(self, rule: Rule, fmt: Format, kernel: Table) -> None:
        self.rule, self.format, self.kernel = rule, fmt, kernel
        self.context = Context(fmt, _ZERO, _LARGEST)

    def __call__(self, x: Array, axis: int) -> ScaledArray | None:
        """
        Scale and quantise a tensor.

        Parameters
        ----------
        x : ndarray of float32, shape (rows, columns)
            Values.
        axis : int
            For the result's record.

        Returns
        -------
        ScaledArray or None
            What `scale_quantize` returns; None if only that can.
        """
        if not x.size or not x.flags.c_contiguous or flushes_subnormals():
            return None
        amax = np.float32(max(abs(x.max()), abs(x.min())))  # NaN comes out of both
        if np.isnan(amax):
            return None
        rule, fmt = self.rule, self.format
        found = rule.scale.find(np.asarray(amax), self.context)
        codes = np.empty(x.shape, fmt.code_dtype)
        flat, out = x.reshape(-1), codes.reshape(-1)
        scaled = np.empty(min(x.size, _BLOCK), np.float32)
        with np.errstate(all="ignore"):
            for first in range(0, x.size, _BLOCK):
                block = flat[first : first + _BLOCK]
                part = scaled[: block.size]
                np.multiply(block, found.factor, out=part)
                self.kernel(part.view(np.uint32), out[first : first + _BLOCK])
        stored, way_out = found.stored.reshape(()), Descale(rule.way_out)
        return ScaledArray(codes, fmt, stored, x.shape, None, axis, way_out, None, rule)


def tensor_cast(rule: Rule, fmt: Format) -> TensorCast | None:
    """
    Return the short way of a rule's cast.

    Parameters
    ----------
    rule : Rule
        How.
    fmt : Format
        Of the elements.

    Returns
    -------
    TensorCast or None
        None of a rule that has not one float32 scale and a plain cast.
    """
    cast = rule.cast
    plain = (
        rule.granularity.kind == "tensor"
        and isinstance(rule.finder, Amax)
        and rule.way_in is Descale.MULTIPLY
        and rule.rotation is None
        and rule.scale.format is None
        and not isinstance(rule.scale, Held | MsAmp)
        and adjustment(cast) is None
        and not (rule.exact or rule.is_two_level or cast.flushes or cast.drops_minus_zero)
    )
    projection = cast.projection(fmt)
    if not plain or projection.rounding.is_stochastic:
        return None
    kernel = encoder(fmt, projection, FLOAT32)
    return TensorCast(rule, fmt, kernel) if isinstance(kernel, Table) else None
