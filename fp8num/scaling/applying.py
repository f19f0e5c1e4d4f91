"""
Apply given factors: elements are scaled, cast and encoded, in cache-sized pieces.

::

    values, one factor for each block --x * factor--> words --cast--> codes
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.blocks import BLOCK
from fp8num._kernels.encoder import Kernel, encoder
from fp8num._kernels.float32 import as_float32, as_float64, divide, keep_nan, multiply
from fp8num._kernels.words import FLOAT32, FLOAT64, source_of
from fp8num.codec import quantize
from fp8num.formats import BFLOAT16
from fp8num.scaled import Descale, beside, slabs
from fp8num.scaling.cast import Adjustment, adjustment, flushed

if TYPE_CHECKING:
    from fp8num._kernels.words import Layout
    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.scaled import Region
    from fp8num.scaling.cast import Cast
    from fp8num.scaling.rule import Rule

__all__ = ["Applier", "applier", "odd_product"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Applier:
    """What makes codes of values of one type, as a rule combines them with factors and casts."""

    fmt: Format
    cast: Cast
    divides: bool  #: whether elements are divided by their factors
    exact: bool  #: whether the product is rounded to the format alone
    unscaled: bool  #: whether factors play no part
    kernel: Kernel
    layout: Layout
    adjust: Adjustment | None
    projection: Projection
    random_width: int  #: random bits of an element; 0 if none are needed
    code_dtype: np.dtype[Any]

    def encode(
        self,
        view: npt.NDArray[Any],
        factor: Floats,
        out: npt.NDArray[Any],
        random: npt.NDArray[Any] | None = None,
    ) -> None:
        """Write the codes of a region, as `Region.split` gives it, piece by piece."""
        factor = factor.reshape([length for n in factor.shape for length in (n, 1)])
        for part in slabs(view.shape, BLOCK):
            scaled = self._scale(view[part], factor[beside(part, factor.shape)])
            target = out[part]
            flat = target.reshape(-1) if target.flags.c_contiguous else None
            codes = np.empty(target.size, target.dtype) if flat is None else flat
            words = np.ascontiguousarray(scaled).reshape(-1).view(self.layout.dtype)
            if self.adjust is not None:
                words = self.adjust(words, self.fmt)
            kernel: Any = self.kernel
            if random is None:
                kernel(words, codes)
            else:
                kernel(words, codes, random[part].reshape(-1).astype(np.uint64))
            if flat is None:
                target[...] = codes.reshape(target.shape)

    def codes(self, values: npt.NDArray[Any], region: Region, factor: Floats) -> npt.NDArray[Any]:
        """Return the codes of a region of an array, with factors for all its blocks."""
        view = region.split(values)
        found = np.empty(view.shape, self.code_dtype)
        self.encode(view, factor[region.scales], found)
        return found.reshape(values[region.elements].shape)

    def scaled(self, view: npt.NDArray[Any], factor: Floats) -> npt.NDArray[np.float64]:
        """Return the values of a region after scaling, before they are rounded, in float64."""
        factor = factor.reshape([length for n in factor.shape for length in (n, 1)])
        return as_float64(self._scale(view, factor)).reshape(view.shape)

    def _scale(self, values: npt.NDArray[Any], factor: Floats) -> npt.NDArray[Any]:
        """Return values times or over their factors, in float32 or exactly to odd; or words."""
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        native = native.reshape(values.shape)
        if self.unscaled:
            return source_of(native.dtype).words(native)
        scaled: npt.NDArray[Any]
        scaled = _exactly(native, factor) if self.exact else self._in_float32(native, factor)
        return quantize(scaled, BFLOAT16) if self.cast.through_bfloat16 else scaled

    def _in_float32(self, values: npt.NDArray[Any], factor: Floats) -> Floats:
        """Return products or quotients as the libraries compute them."""
        combine = divide if self.divides else multiply
        single = as_float32(values)
        if self.cast.flushes:
            single = flushed(single)
        scaled = combine(single, factor)
        keep_nan(scaled, single, factor)
        if self.cast.drops_minus_zero:
            scaled = np.where(scaled.view(np.uint32) == np.uint32(1 << 31), np.float32(0), scaled)
        return scaled


def applier(
    rule: Rule,
    fmt: Format,
    dtype: np.dtype[Any],
    projection: Projection | None = None,
    *,
    unscaled: bool = False,
) -> Applier:
    """Return what applies factors to values of a type, the same one each time."""
    divides = rule.way_in is Descale.DIVIDE
    return _applier(rule.cast, fmt, dtype, projection, divides, rule.exact, unscaled)


@lru_cache(maxsize=128)
def _applier(  # noqa: PLR0917 - a key of the cache
    cast: Cast,
    fmt: Format,
    dtype: np.dtype[Any],
    projection: Projection | None,
    divides: bool,  # noqa: FBT001 - of `applier` alone
    exact: bool,  # noqa: FBT001
    unscaled: bool,  # noqa: FBT001
) -> Applier:
    projection = cast.projection(fmt) if projection is None else projection
    layout = FLOAT64 if exact else FLOAT32
    if unscaled:
        layout = source_of(dtype).layout
    width = cast.random_width if projection.rounding.is_stochastic else 0
    kernel = encoder(fmt, projection, layout, width)
    return Applier(
        fmt, cast, divides, exact, unscaled, kernel, layout, adjustment(cast),
        projection, width, fmt.code_dtype,
    )  # fmt: skip


def _exactly(values: npt.NDArray[Any], factor: Floats) -> npt.NDArray[np.float64]:
    """Return products that a later rounding to the format rounds as the exact ones."""
    wide = as_float64(values)
    if values.dtype.kind not in "iu" and values.dtype.itemsize <= FLOAT32.bits // 8:
        with np.errstate(all="ignore"):  # at most 24 + 24 bits: exact
            product = np.asarray(wide * as_float64(factor))
    else:
        product = odd_product(wide, factor)
    keep_nan(product, wide, factor)
    return product


def odd_product(values: npt.NDArray[np.float64], factor: Floats) -> npt.NDArray[np.float64]:
    """
    Return float64 values times float32 factors, rounded to odd.

    A later rounding to at most 51 bits is then the only one (Boldo and Melquiond 2008).
    With the value's low 24 bits apart, both partial products are exact.
    """
    wide = as_float64(factor)
    with np.errstate(all="ignore"):
        words = values.view(np.uint64)
        high = (words & ~np.uint64((1 << 24) - 1)).view(np.float64)
        product = values * wide
        if not (words & np.uint64((1 << 24) - 1)).any():
            return product  # at most 29 + 24 bits
        first = high * wide
        rest = (values - high) * wide
        product = first + rest
        error = (first - product) + rest
        inexact = np.isfinite(product) & (error != 0)
        # Up in magnitude if the error has the product's sign; an odd word stays.
        bits = product.view(np.int64)
        even = inexact & ((bits & 1) == 0)
        step = np.where((error > 0) == (product > 0), 1, -1)
        odd = np.where(even, bits + step, bits).view(np.float64)
        # Zeros and infinities have no low bits: their products follow IEEE.
        found = np.where(words & np.uint64((1 << 24) - 1), odd, values * wide)
        # What float64 has no number for is its smallest one, which is odd.  By the words:
        # where subnormals are flushed, they compare equal to zero.
        lost = (found == 0) & (words << np.uint64(1) != 0) & (wide.view(np.uint64) != 0)
        return np.where(lost, np.copysign(5e-324, values), found)
