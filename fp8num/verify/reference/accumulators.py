"""
The definition of every accumulator, in exact rationals: slow and obviously right.

::

    codes -> exact products, each with the exponent that it is aligned by
          -> a step: c + products, aligned, cut off, summed exactly, rounded -> the next c

A step takes the operands of one instruction and the accumulator that goes in, and returns
the one that comes out.  `chain` runs them one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from math import floor, trunc
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from fp8num.verify.reference.codes import decode, precision_bias
from fp8num.verify.reference.datum import (
    BINARY16,
    BINARY32,
    ZERO,
    Binary,
    Datum,
    Kind,
    add,
    convert,
    exact_product,
    floor_log2,
    fma,
    multiply,
    nearest,
    power_of_two,
    special_sum,
    toward_zero,
)

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = [
    "Operands",
    "Step",
    "Summand",
    "ada",
    "ada_f16",
    "aligned_sum",
    "blackwell",
    "block_scaled",
    "cdna3",
    "chain",
    "exact_dot",
    "float16_unit",
    "fused",
    "hopper",
    "hopper_f16",
    "mma_sync",
    "mma_sync_f16",
    "nvfp4",
    "pairwise",
    "product",
    "promoted",
    "scale_blocks",
    "scale_row",
    "scale_tensor",
    "sequential",
]


class Operands(NamedTuple):
    """The codes of a row and a column, as many of one as of the other, and their formats."""

    a: Sequence[int]
    b: Sequence[int]
    a_format: Format
    b_format: Format

    def take(self, ks: Iterable[int]) -> Operands:
        """Return those of some k."""
        ks = list(ks)
        return self._replace(a=[self.a[k] for k in ks], b=[self.b[k] for k in ks])

    def blocks(self, length: int) -> Iterator[Operands]:
        """Yield them by `length`; the last may have fewer."""
        for k in range(0, len(self.a), length):
            yield self._replace(a=self.a[k : k + length], b=self.b[k : k + length])


class Summand(NamedTuple):
    """An exact value, and the exponent that it is aligned by."""

    value: Datum
    exponent: int


#: The operands of an instruction, the accumulator that goes in -> the one that comes out.
Step: TypeAlias = Callable[[Operands, Datum], Datum]


# Products.


def _exponent(datum: Datum, emin: int) -> int:
    """Return the exponent of a number's field: subnormals and zero have the smallest."""
    if not datum.is_finite or datum.is_zero:
        return emin
    return max(floor_log2(abs(datum.value)), emin)


@lru_cache(maxsize=1 << 18)
def product(a: int, b: int, a_format: Format, b_format: Format, emin: int | None = None) -> Summand:
    """
    Return an exact product, aligned by the sum of the operands' exponents.

    It is not normalised: 1.5 * 1.5 = 2.25 is aligned by 0.  `emin` replaces the smallest
    exponent of both formats where the operands are widened first.
    """
    x, y = decode(a, a_format), decode(b, b_format)
    smallest = [
        1 - precision_bias(fmt)[1] if emin is None else emin for fmt in (a_format, b_format)
    ]
    exponent = _exponent(x, smallest[0]) + _exponent(y, smallest[1])
    return Summand(exact_product(x, y), exponent)


def _products(operands: Operands, *, emin: int | None = None) -> list[Summand]:
    a, b, a_format, b_format = operands
    return [product(x, y, a_format, b_format, emin) for x, y in zip(a, b, strict=True)]


def _accumulator(c: Datum, binary: Binary) -> Summand:
    """Return the accumulator as a summand."""
    return Summand(c, _exponent(c, 1 - binary.emax))


# The truncating fused sum of tensor cores.


def _top(summands: Iterable[Summand]) -> int | None:
    """Return the largest exponent; zeros take no part."""
    return max((s.exponent for s in summands if not s.value.is_zero), default=None)


def aligned_sum(summands: Sequence[Summand], fraction_bits: int) -> Fraction:
    """Cut each value off at `fraction_bits` below the largest exponent, and sum exactly."""
    top = _top(summands)
    if top is None:
        return Fraction(0)
    quantum = power_of_two(top - fraction_bits)
    return sum((trunc(s.value.value / quantum) * quantum for s in summands), Fraction(0))


def fused(
    products: Sequence[Summand], c: Summand, fraction_bits: int, finish: Callable[[Fraction], Datum]
) -> Datum:
    """Return c plus the products: aligned, cut off, summed, and finished once."""
    summands = [*products, c]
    special = special_sum(s.value for s in summands)
    return special if special is not None else finish(aligned_sum(summands, fraction_bits))


#: How a step ends: 13 fraction bits (E8M13), all of float32, or float16.
_TO_E8M13 = partial(toward_zero, precision=14, binary=BINARY32)
_TO_FLOAT32 = partial(toward_zero, precision=24, binary=BINARY32)
_TO_FLOAT16 = partial(nearest, binary=BINARY16)


def hopper(operands: Operands, c: Datum) -> Datum:
    """`wgmma.m64nNk32.f32`: 32 products, 13 fraction bits, in the sum and of the result."""
    return fused(_products(operands), _accumulator(c, BINARY32), 13, _TO_E8M13)


def hopper_f16(operands: Operands, c: Datum) -> Datum:
    """`wgmma.m64nNk32.f16`: the same sum, rounded to nearest float16."""
    return fused(_products(operands), _accumulator(c, BINARY16), 13, _TO_FLOAT16)


def blackwell(operands: Operands, c: Datum) -> Datum:
    """`tcgen05.mma` of FP8: 32 products, 25 fraction bits, cut off to float32."""
    return fused(_products(operands), _accumulator(c, BINARY32), 25, _TO_FLOAT32)


def ada(operands: Operands, c: Datum) -> Datum:
    """Return a step of `mma.sync.m16n8k32.f32` on Ada: as Hopper, by halves of 16 products."""
    for half in operands.blocks(16):
        c = fused(_products(half), _accumulator(c, BINARY32), 13, _TO_E8M13)
    return c


def ada_f16(operands: Operands, c: Datum) -> Datum:
    """Return a step of `mma.sync.m16n8k32.f16` on Ada: float16 after each half."""
    for half in operands.blocks(16):
        c = fused(_products(half), _accumulator(c, BINARY16), 13, _TO_FLOAT16)
    return c


#: The smallest exponent of float16, to which FP8 operands of its units are widened.
_EMIN16 = -14


def float16_unit(
    operands: Operands, c: Datum, fraction_bits: int = 25, binary: Binary = BINARY32
) -> Datum:
    """
    Return a step of a float16 unit on decoded FP8, of as many products as there are codes.

    Volta has 23 fraction bits and 4 products a step, Ampere 24 and 8, Hopper 25 and 16.
    """
    finish = _TO_FLOAT32 if binary == BINARY32 else _TO_FLOAT16
    products = _products(operands, emin=_EMIN16)
    return fused(products, _accumulator(c, binary), fraction_bits, finish)


def _mma_sync(operands: Operands, c: Datum, binary: Binary) -> Datum:
    """Two float16 units from zero: k mod 4 in {0, 1}, then in {2, 3}; c is added last."""
    part = ZERO
    for residues in ((0, 1), (2, 3)):
        group = operands.take(k for k in range(len(operands.a)) if k % 4 in residues)
        part = float16_unit(group, part, 25, binary)
    return add(part, c, binary)


def mma_sync(operands: Operands, c: Datum) -> Datum:
    """Return a step of `mma.sync.m16n8k32.f32` on Hopper and B200: two HMMA.16816 and an add."""
    return _mma_sync(operands, c, BINARY32)


def mma_sync_f16(operands: Operands, c: Datum) -> Datum:
    """Return a step of `mma.sync.m16n8k32.f16` on Hopper and B200."""
    return _mma_sync(operands, c, BINARY16)


# Block scales inside the unit.


def block_scaled(operands: Operands, c: Datum, a_scale: Datum, b_scale: Datum) -> Datum:
    """Blackwell's `mxf8f6f4`: 32 products under two powers of two, then as `blackwell`."""
    if Kind.NAN in (a_scale.kind, b_scale.kind):
        return Datum.nan()
    scale = a_scale.value * b_scale.value
    shift = floor_log2(scale)
    assert scale == power_of_two(shift)
    scaled = [
        Summand(exact_product(value, Datum.finite(scale)), exponent + shift)
        for value, exponent in _products(operands)
    ]
    return fused(scaled, _accumulator(c, BINARY32), 25, _TO_FLOAT32)


def nvfp4(
    operands: Operands, c: Datum, a_scales: Sequence[Datum], b_scales: Sequence[Datum]
) -> Datum:
    """
    Blackwell's `mxf4nvf4`: groups of 16 products, each summed exactly and then scaled.

    A group is aligned by the sum of its scales' exponents, whatever its value, unless that
    is zero; the sign of a scale is not read.
    """
    if any(scale.kind is Kind.NAN for scale in (*a_scales, *b_scales)):
        return Datum.nan()
    groups = []
    for members, x, y in zip(operands.blocks(16), a_scales, b_scales, strict=True):
        total = sum((value.value for value, _ in _products(members)), Fraction(0))
        exponent = _exponent(x, _EMIN_UE4M3) + _exponent(y, _EMIN_UE4M3)
        groups.append(Summand(Datum.finite(total * abs(x.value * y.value)), exponent))
    return fused(groups, _accumulator(c, BINARY32), 35, _TO_FLOAT32)


#: The smallest exponent of NVFP4's scales.
_EMIN_UE4M3 = -6


# AMD.


def _round_down(x: Fraction, exponent: int) -> Fraction:
    """Round down to a multiple of a power of two."""
    quantum = power_of_two(exponent)
    return floor(x / quantum) * quantum


def cdna3(operands: Operands, c: Datum) -> Datum:
    """
    CDNA3's FP8 MFMA: 16 products, the even and the odd ones apart, then c.

    The two sums and what follows are rounded down, not toward zero.  Products of FP8 do
    not reach 2**128, where the unit would make them infinite.
    """
    products, accumulator = _products(operands), _accumulator(c, BINARY32)
    special = special_sum(s.value for s in (*products, accumulator))
    if special is not None:
        return special
    total, top = Fraction(0), _top(products)
    if top is None:
        top = accumulator.exponent
    for half in (products[0::2], products[1::2]):
        total += _round_down(aligned_sum(half, 24), top - 24)
    if not c.is_zero:
        top = max(top, accumulator.exponent)
    total = _round_down(total, top - 31)
    if accumulator.exponent >= top - 25:
        total += _round_down(c.value, top - 24)
    return nearest(total, BINARY32)


# Whole dot products.


def chain(step: Step, length: int, operands: Operands, c: Datum = ZERO) -> Datum:
    """Return the accumulator after steps of `length` products in the order of k."""
    for block in operands.blocks(length):
        c = step(block, c)
    return c


def promoted(step: Step, length: int, interval: int, operands: Operands, c: Datum = ZERO) -> Datum:
    """Chain `interval` products from zero at a time and add each result to a float32 total."""
    for block in operands.blocks(interval):
        c = add(c, chain(step, length, block), BINARY32)
    return c


def exact_dot(operands: Operands, binary: Binary, c: Datum = ZERO) -> Datum:
    """Return the exact sum of the exact products and c, rounded to nearest once."""
    data = [*(value for value, _ in _products(operands)), c]
    special = special_sum(data)
    if special is not None:
        return special
    return nearest(sum((datum.value for datum in data), Fraction(0)), binary)


def sequential(
    operands: Operands, binary: Binary, c: Datum = ZERO, *, rounded_products: bool = False
) -> Datum:
    """Add the products one by one in the order of k, in an IEEE format."""
    for value, _ in _products(operands):
        c = add(c, convert(value, binary) if rounded_products else value, binary)
    return c


def pairwise(operands: Operands, binary: Binary, c: Datum = ZERO) -> Datum:
    """Add neighbours, then neighbouring sums, until one is left; c is added last."""
    row = [convert(value, binary) for value, _ in _products(operands)]
    while len(row) > 1:
        sums = [add(row[i], row[i + 1], binary) for i in range(0, len(row) - 1, 2)]
        row = sums + row[len(row) - len(row) % 2 :]
    return add(c, row[0], binary) if row else c


# Scales and bias, as cuBLASLt and CUTLASS apply them to a Hopper accumulator: IEEE float32.


def scale_tensor(acc: Datum, a_scale: Datum, b_scale: Datum, bias: Datum | None = None) -> Datum:
    """Return acc * (sa * sb), and that plus the bias."""
    scaled = multiply(acc, multiply(a_scale, b_scale, BINARY32), BINARY32)
    return scaled if bias is None else add(scaled, bias, BINARY32)


def scale_row(acc: Datum, a_scale: Datum, b_scale: Datum) -> Datum:
    """Return (acc * sb) * sa."""
    return multiply(multiply(acc, b_scale, BINARY32), a_scale, BINARY32)


def scale_blocks(
    parts: Sequence[Datum], a_scales: Sequence[Datum], b_scales: Sequence[Datum], *, square: bool
) -> Datum:
    """
    Sum partial results of 128 products under their scales.

    `square`: blocks of 128x128 in B, total = fma(part, sa * sb, total); else blocks of
    1x128 in both, total = fma(part * sa, sb, total).
    """
    total = ZERO
    for part, x, y in zip(parts, a_scales, b_scales, strict=True):
        if square:
            total = fma(part, multiply(x, y, BINARY32), total, BINARY32)
        else:
            total = fma(multiply(part, x, BINARY32), y, total, BINARY32)
    return total
