"""
Finding scales and applying them are two things; quantising is one after the other.

The expected codes are those of the scaled values, which NumPy computes and the codec rounds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import scaling
from fp8num.scaling import Scales, apply_scales, find_scales

F32 = np.float32
SOME = ("unit", "row", "block-32-mse", "mxfp8-e4m3fn", "te-block-1x128", "te-nvfp4-row", "flax",
        "te-nvfp4-rht", "te-nvfp4-4over6", "torchao-nvfp4", "deepseek-1x128")  # fmt: skip


def values(shape: tuple[int, ...] = (6, 160), seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(F32)


def assert_same(a: Any, b: Any) -> None:
    assert a.describe() == b.describe()
    np.testing.assert_array_equal(a.codes, b.codes)
    np.testing.assert_array_equal(a.stored_scales, b.stored_scales)
    np.testing.assert_array_equal(a.tensor_amax, b.tensor_amax)


@pytest.mark.parametrize("rule", SOME)
@pytest.mark.parametrize("axis", [-1, 0])
def test_quantising_is_finding_and_applying(rule: str, axis: int) -> None:
    x = values((32, 48))

    found = find_scales(x, rule, axis=axis)

    assert_same(apply_scales(x, found, rule, axis=axis), fp.scale_quantize(x, rule, axis=axis))


@pytest.mark.parametrize("x", [F32(3), np.zeros((0, 32), F32), np.zeros(0, F32)], ids=str)
def test_a_number_and_nothing_have_scales_too(x: Any) -> None:
    for rule in ("tensor", "te-current"):
        assert_same(apply_scales(x, find_scales(x, rule), rule), fp.scale_quantize(x, rule))


def test_scales_of_one_array_are_applied_to_another() -> None:
    """Of a calibration set, say: what is beyond the range saturates."""
    found = find_scales([1.0, -2.0, 0.5], "te-current")

    scaled = apply_scales([1.5, 3.0, -0.25], found, "te-current")

    assert found.factor == 224
    np.testing.assert_array_equal(scaled.codes, fp.encode([336.0, 448.0, -56.0], "E4M3FN"))
    assert scaled.stored_scales == F32(1) / F32(224)


@pytest.mark.parametrize("rule", ["mxfp8-e4m3fn", "te-mxfp8", "te-nvfp4", "te-nvfp4-row"])
def test_scales_need_not_be_on_the_rule_s_grid(rule: str) -> None:
    """They are kept in float32, whatever the rule stores; of two levels the tensor's is in them."""
    x = values((4, 64))
    length = scaling.get_rule(rule).granularity.length
    given = (np.abs(values((4, 64 // length), 1)) / 3 + F32(0.01)).astype(F32)

    scaled = apply_scales(x, given, rule)

    np.testing.assert_array_equal(scaled.scales, given)
    assert scaled.tensor_scale is None
    products = x * (F32(1) / np.repeat(given, length, axis=1))
    np.testing.assert_array_equal(scaled.codes, fp.encode(products, scaled.format))
    back = fp.decode(scaled.codes, scaled.format) * np.repeat(given, length, axis=1)
    np.testing.assert_array_equal(scaled.dequantize(), back)


def test_scales_on_the_rule_s_grid_are_stored_as_its_codes() -> None:
    scaled = apply_scales(values((2, 64)), np.exp2([[0, 1], [-3, 4]]), "te-mxfp8")

    assert scaled.scale_codes is not None
    assert scaled.scale_codes.tolist() == [[127, 128], [124, 131]]


def test_a_rule_without_a_scale_applies_one_that_is_given() -> None:
    """Its own is 1; given ones were stored, and the elements cast without them."""
    for scaled in (
        apply_scales([3.0, 20.0], 4.0, "unit"),
        fp.scale_quantize([3.0, 20.0], "unit", scales=4.0),
    ):
        np.testing.assert_array_equal(scaled.codes, fp.encode([0.75, 5.0], "E4M3FN"))
        assert scaled.dequantize().tolist() == [3.0, 20.0]


def test_quotients_are_rounded_to_bfloat16_if_the_cast_says_so() -> None:
    """1 + 2**-9 is bfloat16's 1, whence E4M3's 1; 1.0625 + 2**-9 is its 1.0625, a tie to 1."""
    rule = fp.scaling.Rule(
        name="mine",
        granularity=scaling.Granularity.parse("tensor"),
        scale=scaling.Fixed(1.0),
        way_in="divide",
        cast=scaling.Cast(through_bfloat16=True),
    )
    x = [1 + 2.0**-9, 1.0625 + 2.0**-9]

    assert fp.scale_quantize(x, rule).dequantize().tolist() == [1, 1]
    assert fp.scale_quantize(x, "unit").dequantize().tolist() == [1, 1.125]
    assert scaling.Rule.from_dict(rule.to_dict()) == rule


@pytest.mark.parametrize("width", [1, 3, 16])
def test_few_random_bits_are_the_first_of_many(width: int) -> None:
    """StochasticA adds them to the part of a step, cut to as many bits: the rest are zeros."""
    few = replace(scaling.get_rule("te-current"), cast=scaling.Cast("sra", random_width=width))
    many = replace(few, cast=scaling.Cast("sra"))
    bits = np.random.default_rng(1).integers(1 << width, size=(6, 160), dtype=np.uint32)

    found = fp.scale_quantize(values(), few, random_bits=bits)
    drawn = fp.scale_quantize(values(), few, rng=np.random.default_rng(1))

    expected = fp.scale_quantize(values(), many, random_bits=bits << np.uint32(32 - width))
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(drawn.codes, expected.codes)
    with pytest.raises(ValueError, match="random_bits must be from 0 to"):
        fp.scale_quantize(values(), few, random_bits=bits + np.uint32(1 << width))


@pytest.mark.parametrize("width", [0, 33, True, 2.0])
def test_a_cast_draws_from_1_to_32_bits(width: Any) -> None:
    with pytest.raises(ValueError, match="random_width must be an integer from 1 to 32, got"):
        scaling.Cast("sra", random_width=width)


ONES = np.ones((1, 2), F32)


@pytest.mark.parametrize(
    ("scales", "rule", "error", "message"),
    [
        (
            [1.0, 2.0],
            "te-mxfp8",
            ValueError,
            r"scales must have shape \(1, 2\), one for each block",
        ),
        ([[1.0, 0.0]], "te-mxfp8", ValueError, "scales must be positive and finite in float32, go"),
        ("one", "te-mxfp8", TypeError, "scales must be real numbers, got dtype"),
        (Scales(ONES, ONES[0]), "te-mxfp8", ValueError, r"or be one, got \(1, 2\) and factors of"),
        (
            Scales(ONES.astype("f8"), ONES),
            "te-mxfp8",
            TypeError,
            "scales must hold uint8 and factors in float32 for te-mxfp8, got float64 and float32",
        ),
        (
            Scales(np.ones((1, 4), np.uint8), np.ones((1, 4), F32)),
            "te-nvfp4",
            ValueError,
            "scales must have a tensor_amax for te-nvfp4, got none; find_scales",
        ),
    ],
)
def test_scales_that_are_none_are_refused(
    scales: Any, rule: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        apply_scales(np.ones((1, 64), F32), scales, rule)


def test_threads_do_not_change_what_is_found() -> None:
    x = values((600, 1024), 2)

    one, three = (find_scales(x, "te-nvfp4", threads=threads) for threads in (1, 3))

    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)
