"""
Where scales and bias enter: as cuBLASLt and CUTLASS were recorded to do it.

::

    tensor     acc * (sa * sb)                        row    (acc * sb) * sa
    128x128    total = fma(part, sa * sb, total)      for each 128 of k
    1x128      total = fma(part * sa, sb, total)
    bias       that, rounded, + bias                  all float32, to nearest

A unit that takes scales itself (MX, NVFP4) has them among its terms instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fp8num.accumulate.accumulator import Accumulator, BlasSum, ExactSum, TensorCore
from fp8num.accumulate.binary import Floats, from_float32, odd_product_sum, to_float32
from fp8num.codec import quantize
from fp8num.formats import get_format

if TYPE_CHECKING:
    from fp8num.accumulate.operands import MatrixOperand, OperandScale

__all__ = ["AppliedScales", "ScaleEntry", "find_entry"]


@dataclass(frozen=True)
class ScaleEntry:
    """How scales enter."""

    kind: str  #: "none", "terms" (exact, or by the unit), "accumulator" or "blocks"
    length: int | None = None  #: products of a block of k, for "blocks"


def find_entry(unit: Accumulator, a: MatrixOperand, b: MatrixOperand) -> ScaleEntry:
    """Return how the operands' scales enter under a unit; ValueError if it takes none such."""
    if a.scale is None and b.scale is None:
        return ScaleEntry("none")
    if isinstance(unit, ExactSum):
        return ScaleEntry("terms")
    depth = a.codes.shape[-1]
    lengths = {
        min(length, depth)
        for scale, axis in ((a.scale, 1), (b.scale, 0))
        if scale is not None and (length := scale.block[axis]) is not None
    }
    if not lengths:
        return ScaleEntry("accumulator")
    if isinstance(unit, TensorCore) and unit.scale_block is not None:
        for name, x in (("a", a), ("b", b)):
            _check_unit_scales(unit, name, x.scale, 1 if name == "a" else 0, depth)
        return ScaleEntry("terms")
    if len(lengths) > 1:
        msg = (
            f"a and b must have scales of blocks of one length along k, got {sorted(lengths)}; "
            "quantise b along the axis that is contracted, axis=-2"
        )
        raise ValueError(msg)
    length = lengths.pop()
    if isinstance(unit, BlasSum):
        msg = (
            f"accumulator {unit.name!r} takes scales per tensor or row, got blocks of {length}; "
            "scale the values first, or use accumulator='float32'"
        )
        raise ValueError(msg)  # noqa: TRY004 - the blocks are at fault
    if isinstance(unit, TensorCore) and not _is_interval(length, unit.promotion, depth):
        takes = (
            f"blocks of {unit.promotion}, its promotion interval"
            if unit.promotion is not None
            else "scales per tensor or row, as it keeps one sum over all of k"
        )
        advice = (
            "accumulator='float32' takes blocks of any length"
            if length % unit.instruction
            else f"dataclasses.replace(accumulator, promotion={length}) has that interval"
        )
        advice += ", as 'hopper-promoted' has" if length == 128 else ""
        msg = f"accumulator {unit.name!r} takes {takes}, got blocks of {length}; {advice}"
        raise ValueError(msg)
    return ScaleEntry("blocks", length)


def _is_interval(length: int, interval: int | None, depth: int) -> bool:
    """Whether blocks of a length are those of an interval, or a single one within it."""
    return interval is not None and (length == interval or length == depth <= interval)


def _check_unit_scales(
    unit: TensorCore, name: str, scale: OperandScale | None, axis: int, depth: int
) -> None:
    """Refuse blocks and scales that the unit does not take."""
    if scale is None:
        return
    length = scale.block[axis]
    taken = {unit.scale_block} | ({2 * unit.group} if unit.group > 1 else set())
    if length is None or not any(_is_interval(min(length, depth), item, depth) for item in taken):
        shown = " or ".join(str(item) for item in sorted(filter(None, taken)))
        msg = (
            f"{name} must have one scale for {shown} products under accumulator {unit.name!r}, "
            f"got {'one for all of k' if length is None else length}"
        )
        raise ValueError(msg)
    wide = from_float32(scale.values)
    for spelled in unit.scale_formats:
        fmt = get_format(spelled)
        held = np.asarray(quantize(np.where(wide > 0, wide, 1.0), fmt)) == np.where(
            wide > 0, wide, 1.0
        )
        if (held | np.isnan(wide) | ((wide == 0) & fmt.has_zero)).all():
            return
    msg = (
        f"{name}'s scales must be values of {' or '.join(unit.scale_formats)} that are not "
        f"negative, which accumulator {unit.name!r} takes, got others, such as "
        f"{float(wide.flat[0])!r}"
    )
    raise ValueError(msg)


class AppliedScales:
    """
    Scales of one matrix product, and how they enter.

    Parameters
    ----------
    entry : Entry
        How.
    a, b : Operand
        One matrix each, shapes (M, K) and (K, N).
    """

    def __init__(self, entry: ScaleEntry, a: MatrixOperand, b: MatrixOperand) -> None:
        self.entry = entry
        self.a, self.b = _by_block(a, 0), _by_block(b, 1)
        scales = [x.scale for x in (a, b) if x.scale is not None]
        self.per_tensor = all(scale.block == (None, None) for scale in scales)
        #: 128x128 blocks: the scales are multiplied with each other first.
        self.square = any(None not in scale.block and 1 not in scale.block for scale in scales)
        self.factor = to_float32(np.array([x.tensor for x in scales], np.float64).prod()[None])

    def close_block(
        self, total: Floats, part: Floats, first: int, rows: slice, columns: slice
    ) -> Floats:
        """Add a partial sum to the float32 total, with the scales of its block if there are."""
        if self.entry.kind != "blocks":
            with np.errstate(invalid="ignore"):
                return _nearest(total + part)
        assert self.entry.length is not None
        block = first // self.entry.length
        sa = self.a[_part(self.a, 0, rows), _place(self.a, 1, block)]
        sb = self.b[_place(self.b, 0, block), _part(self.b, 1, columns)]
        with np.errstate(invalid="ignore"):
            if self.square:
                return _nearest(odd_product_sum(part, _nearest(sa * sb), total))
            return _nearest(odd_product_sum(_nearest(part * sa), sb, total))

    def close(self, total: Floats, rows: slice, columns: slice) -> Floats:
        """Return the total with the scales that enter at its end."""
        if self.entry.kind == "terms":
            factor = from_float32(self.factor)
            return total if factor[0] == 1 else _nearest(total * factor)
        if self.entry.kind != "accumulator":
            return total
        sa = self.a[_part(self.a, 0, rows), :1]
        sb = self.b[:1, _part(self.b, 1, columns)]
        with np.errstate(invalid="ignore"):
            if self.per_tensor:
                return _nearest(total * _nearest(sa * sb))
            return _nearest(_nearest(total * sb) * sa)


def _nearest(x: Floats) -> Floats:
    """Return the nearest float32 values."""
    return from_float32(to_float32(x))


def _by_block(x: MatrixOperand, axis: int) -> Floats:
    """Return scales, one per row of A (column of B) and block of k; 1 where there are none."""
    if x.scale is None:
        return np.ones((1, 1))
    values = from_float32(x.scale.values)
    if x.scale.tensor != 1:
        values = _nearest(values * x.scale.tensor)
    length = x.scale.block[axis]
    if length is not None:
        values = np.repeat(values, length, axis).take(np.arange(x.codes.shape[axis]), axis)
    return values


def _part(scales: Floats, axis: int, part: slice) -> slice:
    """Return the rows or columns of a tile, or the one that serves all."""
    return part if scales.shape[axis] > 1 else slice(0, 1)


def _place(scales: Floats, axis: int, block: int) -> slice:
    """Return a block of k, or the one that serves all."""
    return slice(block, block + 1) if scales.shape[axis] > 1 else slice(0, 1)
