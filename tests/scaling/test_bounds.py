"""
What comes back is within half an ulp of the format, times the block's scale.

On random arrays, shapes, axes and blocks, for every rule; where a rule's scale may leave
elements beyond the range, those come back as the largest value times the scale.  At the
boundary of two blocks, exactly: each element by its own block's scale.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import scaling_oracle as oracle
from hypothesis import example, given
from hypothesis import strategies as st

import fp8num as fp

F32 = np.float32

#: Rules whose scale may leave elements beyond the range: the standard's floor, a scale that is
#: not of this tensor, log2's detour, and a block scale rounded down to E4M3.
SATURATING = ("mxfp", "mxint8", "microxcaling", "torchao-mx-floor", "torchao-mx-even", "te-nvfp4")
SATURATING += ("te-delayed", "flax", "ms-amp", "torchao-rowwise", "torchao-tensorwise-pow2")
SATURATING += ("torchao-nvfp4", "modelopt")
#: Rules that apply the scale code 0 as another power of two.
WRONG_WHEN_TINY = ("torchao-0.18-mx",)
NOT_SATURATING = ("torchao-rowwise-exact",)

#: Slack for a few roundings in float32 on the way in and out, relative and absolute.
ROUNDINGS, SMALLEST = 2.0**-20, 2.0**-140


def may_saturate(rule: str) -> bool:
    return rule.startswith(SATURATING) and rule not in NOT_SATURATING


def half_ulp(y: Any, fmt: Any) -> Any:
    """Return half the distance of a format's values around y."""
    if fmt == oracle.INT8:
        return np.full(np.shape(y), 2.0**-7)
    y = np.abs(y) * (1 + 2.0**-19)  # what is rounded may lie above, in the next binade
    exponent = np.frexp(y)[1] - 1
    return np.ldexp(1.0, np.maximum(exponent, fmt.emin) - fmt.precision)


def assert_within_half_ulp(
    x: Any, scaled: Any, sides: Any, fmt: Any, *, saturating: bool, ulps: float = 0.5
) -> None:
    """Compare the values with x, in float64, which holds what is compared."""
    scale = oracle.spread(scaled.scales, sides, x.shape)
    value = scaled.dequantize().astype(np.float64)
    top = oracle.largest(fmt)
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        y = np.where(scale > 0, wide / scale, 0.0)
        bound = 2 * ulps * scale * half_ulp(y, fmt) + ROUNDINGS * np.abs(wide) + SMALLEST
    beyond = np.abs(y) > top * (1 + ROUNDINGS)
    assert saturating or not beyond.any(), "no element may be beyond the range"
    np.testing.assert_array_less(0, scale.ravel() + (saturating and 1))
    clipped = np.copysign(top * scale, wide)
    error = np.where(beyond, np.abs(value - clipped), np.abs(value - wide))
    bound = np.where(beyond, ROUNDINGS * np.abs(clipped), bound)
    # A two-level scale that rounds to zero takes its block with it.
    bound = np.where(scale == 0, np.abs(wide), bound)
    worst = int(np.argmax(error - bound)) if error.size else 0
    assert np.all(error <= bound), (
        f"x = {x.ravel()[worst].item().hex()} came back as {value.ravel()[worst].hex()} "
        f"under the scale {scale.ravel()[worst].hex()}: {error.ravel()[worst]} > "
        f"{bound.ravel()[worst]}"
    )


ELEMENTS = st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-16, 16, width=32)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=40)
ARRAYS = SHAPES.flatmap(
    lambda shape: hnp.arrays(
        np.float32,
        tuple(min(size, 9) for size in shape[:-1]) + shape[-1:],
        elements=ELEMENTS,
        fill=st.just(F32(0.375)),
    )
)
NAMED = st.sampled_from(
    [
        (name, fmt)
        for name, rule in oracle.RULES.items()
        for fmt in rule.formats
        if not name.startswith(WRONG_WHEN_TINY)
    ]
)


@given(x=ARRAYS, case=NAMED, data=st.data())
def test_named_rules_are_within_half_an_ulp(x: Any, case: Any, data: st.DataObject) -> None:
    """Every rule that has a name, along any axis."""
    rule, fmt = case
    block = oracle.RULES[rule].block
    along = block == "row" or len(oracle.lengths_of(rule)) == 1
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1), label="axis") if along else -1

    scaled = fp.scale_quantize(x, rule, fmt=None if fmt == oracle.INT8 else fmt, axis=axis)

    sides = oracle.lengths(block, x.shape, axis)
    # Rounding toward zero; and what log2 takes for a power of two is rounded to two ulps.
    ulps = 2 if rule == "microxcaling-floor" else 0.5
    assert_within_half_ulp(x, scaled, sides, fmt, saturating=may_saturate(rule), ulps=ulps)


@given(
    x=ARRAYS,
    fmt=st.sampled_from([fp.E4M3FN, fp.E5M2, fp.E2M1FN, fp.E3M4, fp.E4M3FNUZ]),
    sides=st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.tuples(st.integers(1, 45)),
    data=st.data(),
)
@example(x=np.array([[1.0, 1e20, 1.0]], np.float32), fmt=fp.E4M3FN, sides=(1,), data=None)
def test_blocks_of_any_size_are_within_half_an_ulp(
    x: Any, fmt: Any, sides: tuple[int, ...], data: Any
) -> None:
    """1xN along any axis and NxM, with ragged last blocks."""
    axis = -1
    if len(sides) == 1 and data is not None:
        axis = data.draw(st.integers(-x.ndim, x.ndim - 1), label="axis")
    rule = "block-" + "x".join(map(str, sides))

    scaled = fp.scale_quantize(x, rule, fmt=fmt, axis=axis)

    lengths = oracle.lengths(sides, x.shape, axis)
    counts = tuple(-(-size // side) for size, side in zip(x.shape, lengths, strict=True))
    assert scaled.scales.shape == counts
    assert_within_half_ulp(x, scaled, lengths, fmt, saturating=False)


@given(x=ARRAYS, fmt=st.sampled_from([fp.E4M3FN, fp.E5M2]), rule=st.sampled_from(["tensor", "row"]))
def test_plain_rules_are_within_half_an_ulp(x: Any, fmt: Any, rule: str) -> None:
    scaled = fp.scale_quantize(x, rule, fmt=fmt)

    assert scaled.scales.shape == (() if rule == "tensor" else (*x.shape[:-1], 1))
    assert_within_half_ulp(x, scaled, oracle.lengths(rule, x.shape), fmt, saturating=False)


def test_an_error_of_more_than_half_an_ulp_is_seen() -> None:
    """The comparison fails on the next code, and on a neighbour's scale."""
    x = np.array([[1.0, 0.3, 64.0, 17.0]], np.float32)
    scaled = fp.scale_quantize(x, "block-2", fmt=fp.E4M3FN)
    sides = (1, 2)
    assert_within_half_ulp(x, scaled, sides, fp.E4M3FN, saturating=False)

    class Wrong:
        scales = scaled.scales

        def dequantize(self) -> Any:
            decoded = oracle.table(fp.E4M3FN)[scaled.codes - np.uint8(1)]
            return decoded * np.repeat(scaled.scales, 2, 1)

    with pytest.raises(AssertionError, match="came back as"):
        assert_within_half_ulp(x, Wrong(), sides, fp.E4M3FN, saturating=False)
    wrong = Wrong()
    wrong.scales = scaled.scales[:, ::-1]
    with pytest.raises(AssertionError):
        assert_within_half_ulp(x, wrong, sides, fp.E4M3FN, saturating=False)


# Boundaries.


def exact_value(code: int, scale: Any, fmt: Any, *, divides: bool) -> np.float32:
    """Return code times or over scale, exactly, and rounded to float32 once."""
    decoded = Fraction(float(oracle.table(fmt)[code]))
    exact = decoded / Fraction(float(scale)) if divides else decoded * Fraction(float(scale))
    # A product has 28 bits, so float64 holds it; of a quotient of 4 bits by 24, rounding to 53
    # bits first changes nothing, since 53 >= 2 * 24 + 2.
    return F32(float(exact))


def uneven(shape: tuple[int, ...], sides: tuple[int, ...]) -> Any:
    """Return an array whose blocks differ from their neighbours by powers of two and more."""
    rng = np.random.default_rng(13)
    x = rng.uniform(1, 2, shape) * rng.choice([-1, 1], shape)
    block = sum(np.indices(shape)[axis] // side * (5 + 2 * axis) for axis, side in enumerate(sides))
    return (x * 2.0 ** (block % 17 - 8)).astype(np.float32)


BOUNDARY_RULES = [
    *((name, None) for name, rule in oracle.RULES.items() if not isinstance(rule.block, str)),
    *((f"block-{n}", fp.E4M3FN) for n in (1, 3, 32)),
    ("block-3x5", fp.E4M3FN),
    ("torchao-rowwise", fp.E4M3FN),
    ("row", fp.E5M2),
]


def test_both_sides_of_a_boundary_use_their_own_scale(each: Any) -> None:
    """The last element of a block and the first of the next, on every axis, in rationals."""

    def check(rule: str, fmt: Any) -> None:
        if rule.startswith("block-"):
            block: Any = tuple(map(int, rule[6:].split("x")))
        else:
            block = "row" if rule == "row" else oracle.RULES[rule].block
        element = fmt or oracle.RULES[rule].formats[0]
        long = max((2, *(() if isinstance(block, str) else block)))
        shape = (2 * long + 1 if len(block) == 2 else 3, 2 * long + 2)
        sides = oracle.lengths(block, shape)
        x = uneven(shape, sides)

        scaled = fp.scale_quantize(x, rule, fmt=fmt)

        values, scales = scaled.dequantize(), scaled.stored_scales
        if scaled.scale_format is not None:
            scales = oracle.table(scaled.scale_format)[scales]
        edges = [
            sorted({0, size - 1, *(j for k in range(side, size, side) for j in (k - 1, k))})
            for size, side in zip(shape, sides, strict=True)
        ]
        assert len(np.unique(scales)) > 1 or scales.size == 1
        for place in itertools.product(*edges):
            own = scales[tuple(i // side for i, side in zip(place, sides, strict=True))]
            if "nvfp4" in rule:
                decoded = Fraction(float(oracle.table(element)[scaled.codes[place]]))
                amax = np.abs(x[place[0]] if rule.endswith("row") else x).max()
                tensor = Fraction(float(amax)) / (1536 if "4over6" in rule else 2688)
                exact = decoded * Fraction(float(own)) * (1 if rule.endswith("level") else tensor)
                assert abs(Fraction(float(values[place])) - exact) <= abs(exact) * Fraction(
                    4, 2**24
                )
                continue
            divides = rule.startswith(("torchao-row", "block-", "row"))
            expected = exact_value(scaled.codes[place], own, element, divides=divides)
            assert values[place] == expected, place

    each(BOUNDARY_RULES, check)
