"""What cannot be right is refused at once, saying what it was; what merely looks odd is not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import scaling
from fp8num.scaling import Fixed, Granularity

X = np.linspace(-3, 3, 4 * 70, dtype=np.float32).reshape(4, 70)
NAMES = ["tensor", "row", "block-32", "block-2x3", "te-current", "te-block-1x128", "te-mxfp8"]
NAMES += ["te-nvfp4", "torchao-rowwise", "mxfp8-e4m3fn", "deepgemm-128x128", "microxcaling"]
NAMES += ["te-delayed", "flax", "ms-amp", "mxint8"]


# Scales that the caller gives.


@pytest.mark.parametrize("scale", [0.0, -0.0, -1.0, np.nan, np.inf, -np.inf, 1e-50, 1e39])
def test_a_fixed_scale_must_be_positive_and_finite(scale: float) -> None:
    """Also after rounding to float32, in which 1e-50 is zero and 1e39 infinite."""
    with pytest.raises(ValueError, match=r"scale must be .*(positive|finite).* got"):
        Fixed(scale)


def test_given_scales_must_be_positive_and_finite(each: Any) -> None:
    """One bad one of many is enough."""

    def check(scale: float, rule: str) -> None:
        shape = fp.scale_quantize(X, rule).stored_scales.shape
        scales = np.ones(shape, np.float32)
        scales[(-1,) * scales.ndim] = scale

        with pytest.raises(ValueError, match=r"scales must be .*(positive|finite).* got"):
            fp.scale_quantize(X, rule, scales=scales)

    each(
        product(
            [0.0, -2.0, np.nan, np.inf], ["tensor", "block-32", "te-current", "torchao-tensorwise"]
        ),
        check,
    )


def test_given_scales_must_have_the_blocks_shape() -> None:
    """Transposed, one for each element, too few: none is broadcast."""
    for scales in (np.ones((3, 4)), np.ones(X.shape), np.ones(4), np.ones((4, 2))):
        with pytest.raises(ValueError, match=r"scales must .*\(4, 3\).* got .*\("):
            fp.scale_quantize(X, "block-32", scales=scales.astype(np.float32))


def test_given_scales_must_be_exact_in_the_rule_s_format() -> None:
    """E8M0 has powers of two alone."""
    scales = np.full((4, 3), 3.0, np.float32)

    with pytest.raises(ValueError, match=r"scales must .*E8M0FNU.* got 3"):
        fp.scale_quantize(X, "mxfp8-e4m3fn", scales=scales)


def test_given_scales_are_used() -> None:
    """Each of its block: what decoded values are multiplied by."""
    scales = np.array([[1.0], [0.5], [2.0], [0.25]], np.float32)

    scaled = fp.scale_quantize(X, "row", scales=scales)

    np.testing.assert_array_equal(scaled.scales, scales)
    expected = fp.quantize(X / scales, "E4M3FN") * scales  # exact: powers of two
    np.testing.assert_array_equal(scaled.dequantize(), expected)


@pytest.mark.parametrize("scales", [[["1"]], [[1j]], [[None]], [[True]]], ids=repr)
def test_given_scales_must_be_real_numbers(scales: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="scales must"):
        fp.scale_quantize(X[:1], "row", scales=scales)


# A tensor's largest magnitude that the caller gives.


@pytest.mark.parametrize("amax", [0.0, -0.0, -1.0, np.nan, np.inf, -np.inf, 1e-50, 1e39])
def test_a_given_tensor_amax_must_be_positive_and_finite(amax: float) -> None:
    """Also after rounding to float32, in which 1e-50 is zero and 1e39 infinite."""
    with pytest.raises(ValueError, match=r"tensor_amax must be positive and finite.* got"):
        fp.scale_quantize(X, "te-nvfp4", tensor_amax=amax)


@pytest.mark.parametrize("amax", ["1", 1j, True, np.datetime64(1, "s")], ids=repr)
def test_a_given_tensor_amax_must_be_a_real_number(amax: Any) -> None:
    with pytest.raises(TypeError, match="tensor_amax must be a real number, got"):
        fp.scale_quantize(X, "te-nvfp4", tensor_amax=amax)


def test_a_given_tensor_amax_must_be_one_number() -> None:
    with pytest.raises(ValueError, match=r"tensor_amax must be one number, .* shape \(1,\)"):
        fp.scale_quantize(X, "te-nvfp4", tensor_amax=[3.0])


def test_rows_with_their_own_amax_take_none() -> None:
    with pytest.raises(ValueError, match="tensor_amax cannot be given for te-nvfp4-row"):
        fp.scale_quantize(X, "te-nvfp4-row", tensor_amax=3.0)


ONE_LEVEL = [*(name for name in NAMES if name != "te-nvfp4"), "torchao-nvfp4-one-level"]


def test_rules_of_one_level_take_no_tensor_amax(each: Any) -> None:
    def check(rule: str) -> None:
        with pytest.raises(ValueError, match=f"tensor_amax is for rules of two levels, {rule}"):
            fp.scale_quantize(X, rule, tensor_amax=3.0)

    each(ONE_LEVEL, check)


# Blocks and axes.


@pytest.mark.parametrize(
    ("length", "shape"), [(32, (4, 70)), (128, (4, 70)), (69, (4, 70)), (3, (2, 2, 4))]
)
def test_a_block_that_may_not_be_ragged_must_divide(length: int, shape: tuple[int, ...]) -> None:
    x = np.ones(shape, np.float32)
    rule = replace(
        scaling.get_rule("block-32"), granularity=Granularity("block", length, ragged=False)
    )

    with pytest.raises(ValueError, match=rf"{length}.*{shape[-1]}|{shape[-1]}.*{length}"):
        fp.scale_quantize(x, rule)
    whole = fp.scale_quantize(np.ones((*shape[:-1], 2 * length), np.float32), rule)
    assert whole.scales.shape == (*shape[:-1], 2)


@pytest.mark.parametrize("columns", [1, 15, 17, 70])
def test_a_rotated_tile_is_whole(columns: int) -> None:
    """A part of a Hadamard transform is none."""
    with pytest.raises(ValueError, match=rf"16.*{columns}|{columns}.*16"):
        fp.scale_quantize(X[:, :columns], "te-nvfp4-rht")


@pytest.mark.parametrize("name", ["block-0", "block--3", "block-2x0", "block-", "block-1.5"])
def test_an_impossible_block_is_no_rule(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"length of a block must be .* got 0|rule .* is not known"
    ):
        fp.scale_quantize(X, name)


@pytest.mark.parametrize(("kind", "length"), [("block", 0), ("block", -1), ("rows", 1)])
def test_an_impossible_granularity_is_refused(kind: str, length: int) -> None:
    with pytest.raises(ValueError, match=r"(granularity|kind|length of a block) must be .* got"):
        Granularity(kind, length)


def test_an_axis_out_of_range_is_refused(each: Any) -> None:
    """By rules without one too."""

    def check(rule: str, axis: int) -> None:
        with pytest.raises(ValueError, match=rf"axis must be .* got {axis}"):
            fp.scale_quantize(X, rule, axis=axis)

    each(product(NAMES, [2, -3, 100]), check)


@pytest.mark.parametrize("axis", [0.0, "0", None, True, (0, 1)])
def test_an_axis_is_one_integer(axis: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"axis must be .* got"):
        fp.scale_quantize(X, "block-32", axis=axis)


@pytest.mark.parametrize("rule", ["block-2x3", "te-block-128x128", "te-nvfp4-2d"])
def test_rectangles_need_two_axes(rule: str) -> None:
    with pytest.raises(ValueError, match=r"two .*axes|axes.* 2|2 .*axes"):
        fp.scale_quantize(X[0], rule)


@pytest.mark.parametrize("rule", ["row", "block-32", "te-mxfp8", "torchao-rowwise"])
def test_blocks_along_an_axis_need_one(rule: str) -> None:
    """A number alone has none; one scale for it is the tensor's."""
    with pytest.raises(ValueError, match="axis|axes"):
        fp.scale_quantize(np.float32(3), rule)
    assert fp.scale_quantize(np.float32(3), "tensor").scales.shape == ()


# Values.


def test_an_empty_tensor_stays_empty(each: Any) -> None:
    """No codes, no blocks; a tensor's scale is that of zeros."""

    def check(rule: str, shape: tuple[int, ...]) -> None:
        x = np.zeros(shape, np.float32)
        if len(shape) < 2 and rule in {"block-2x3", "deepgemm-128x128"}:
            with pytest.raises(ValueError, match="axes"):
                fp.scale_quantize(x, rule)
            return

        scaled = fp.scale_quantize(x, rule)

        assert scaled.codes.shape == scaled.dequantize().shape == shape
        assert scaled.codes.dtype == np.uint8
        assert scaled.scales.shape == scaled.stored_scales.shape
        if scaled.scales.ndim == 0:
            zeros = fp.scale_quantize(np.zeros((2, 2), np.float32), rule)
            np.testing.assert_array_equal(scaled.stored_scales, zeros.stored_scales)
        assert len(scaled.to_frame()) in {0, scaled.scales.size}
        assert scaled.format.name in repr(scaled)

    each(product(NAMES, [(0,), (0, 32), (4, 0), (2, 0, 40)]), check)


def test_a_tensor_of_nan_is_all_nan(each: Any) -> None:
    """No warning and no number comes of it; FP4 has no NaN, and its block scale is a number."""

    def check(rule: str) -> None:
        scaled = fp.scale_quantize(np.full((3, 50), np.nan, np.float32), rule)

        values = scaled.dequantize()
        assert values.shape == (3, 50)
        assert np.isnan(values).all() or rule == "te-nvfp4"
        assert isinstance(repr(scaled), str)
        assert len(scaled.to_frame()) == scaled.scales.size

    each(NAMES, check)


def test_what_is_no_real_number_is_refused(each: Any) -> None:
    def check(rule: str, x: Any) -> None:
        with pytest.raises(TypeError, match="x must"):
            fp.scale_quantize(x, rule)

    each(
        product(
            NAMES,
            [
                1j,
                np.array(["1.0"]),
                "1.0",
                None,
                {},
                np.array([True]),
                np.array(["2026-01-01"], "M8[D]"),
            ],
        ),
        check,
    )


# Names.


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("te-block-1x12", "te-block-1x128"),
        ("te-curent", "te-current"),
        ("torchao-rowise", "torchao-rowwise"),
        ("mxfp8-e4m3", "mxfp8-e4m3fn"),
        ("te-nvpf4", "te-nvfp4"),
        ("TE-MXFP8", "te-mxfp8"),
        ("torchao-mx-flor", "torchao-mx-floor"),
    ],
)
def test_an_unknown_rule_names_the_nearest(name: str, near: str) -> None:
    """Unless capitals are all that is wrong and it is understood."""
    for call in (lambda: fp.scale_quantize(X, name), lambda: scaling.get_rule(name)):
        try:
            call()
        except ValueError as error:
            assert repr(name) in str(error)
            assert near in str(error)
        else:
            assert name == "TE-MXFP8"


@pytest.mark.parametrize("rule", [None, 3, ["tensor"], b"tensor", np.float32(1)], ids=repr)
def test_what_is_no_rule_is_refused(rule: Any) -> None:
    with pytest.raises(TypeError, match=r"rule must be .* got"):
        fp.scale_quantize(X, rule)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match="rule"):
        fp.scale_quantize(X, "")


@pytest.mark.parametrize(
    ("rule", "fmt"),
    [("mxfp8-e4m3fn", "E5M2"), ("te-nvfp4", "E4M3FN"), ("mxfp4-e2m1fn", "E4M3FN")],
)
def test_a_rule_of_one_format_takes_no_other(rule: str, fmt: str) -> None:
    with pytest.raises(ValueError, match=rf"{rule}.*{fmt}|{fmt}.*{rule}"):
        fp.scale_quantize(X, rule, fmt=fmt)


@pytest.mark.parametrize("fmt", ["e4m3", "nonsense", "E4M3FM"])
def test_an_unknown_format_is_refused(fmt: str) -> None:
    with pytest.raises(ValueError, match="format|ambiguous"):
        fp.scale_quantize(X, "tensor", fmt=fmt)


# Random numbers and other options.


@pytest.mark.parametrize("rule", ["te-nvfp4-sr", "te-nvfp4-rht-sr"])
def test_random_rounding_needs_random_numbers(rule: str) -> None:
    """There is no global state to draw them from."""
    x = X[:, :64]
    with pytest.raises(ValueError, match="random_bits.*rng|rng.*random_bits"):
        fp.scale_quantize(x, rule)
    with pytest.raises((TypeError, ValueError), match="rng"):
        fp.scale_quantize(x, rule, rng=3)
    with pytest.raises(ValueError, match=r"random_bits must"):
        fp.scale_quantize(x, rule, random_bits=2**32)
    with pytest.raises(ValueError, match=r"random_bits|shape|broadcast"):
        fp.scale_quantize(x, rule, random_bits=np.zeros((3, 3), np.uint32))
    with pytest.raises(ValueError, match="random_bits.*rng|rng.*random_bits"):
        fp.scale_quantize(x, rule, random_bits=0, rng=np.random.default_rng(0))


@pytest.mark.parametrize("rule", ["tensor", "te-mxfp8", "te-nvfp4"])
def test_other_rules_take_no_random_numbers(rule: str) -> None:
    """They would be ignored, and a reader would think that they were not."""
    with pytest.raises(ValueError, match="rng"):
        fp.scale_quantize(X, rule, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="random_bits"):
        fp.scale_quantize(X, rule, random_bits=0)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_threads_are_a_positive_number(threads: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="threads must"):
        fp.scale_quantize(X, "te-mxfp8", threads=threads)


# States.


@pytest.mark.parametrize("rule", ["te-current", "tensor", "mxfp8-e4m3fn"])
def test_a_rule_without_memory_has_no_state(rule: str) -> None:
    """And which ones have is said."""
    with pytest.raises(ValueError, match=rf"{rule}.*te-delayed|te-delayed.*{rule}"):
        scaling.start(rule, fp.E4M3FN)


@pytest.mark.parametrize("length", [0, -1])
def test_a_history_has_a_length(length: int) -> None:
    with pytest.raises(ValueError, match=rf"length must be .* got {length}"):
        scaling.start("te-delayed", fp.E4M3FN, length=length)


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match=r"algorithm must be .* got 'mean'"):
        scaling.start("te-delayed", fp.E4M3FN, algorithm="mean")
