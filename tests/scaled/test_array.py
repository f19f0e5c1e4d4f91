"""An array with its scales: what comes out, parts of it, other axes, tables and files."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fp8num as fp
from fp8num.scaled import Blocks, Descale, ScaledArray
from fp8num.verify import reference

F32 = np.float32


def value_of(code: int, fmt: Any) -> Fraction:
    """Return what a code of a number stands for, by the reference."""
    return reference.decode(int(code), fmt).value


def rounded(value: Fraction) -> np.float32:
    """Round to float32; float64 holds a product of 4 by 24 bits, and for a quotient is enough."""
    return F32(float(value))


def sample(shape: tuple[int, ...] = (7, 70), seed: int = 0) -> Any:
    """Return normal numbers whose blocks of 32 columns have sizes of their own."""
    x = np.random.default_rng(seed).standard_normal(shape)
    return (x * 2.0 ** (np.arange(shape[-1]) // 32 * 5 - 4)).astype(np.float32)


# Coming back.


@given(data=st.data(), divides=st.booleans())
def test_a_value_is_its_code_times_or_over_its_block_s_scale(
    data: st.DataObject, *, divides: bool
) -> None:
    """Any float32 scales, shape and blocks; in rationals, rounded once."""
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=9))
    block = tuple(data.draw(st.integers(1, size + 1)) for size in shape)
    counts = tuple(-(-size // side) for size, side in zip(shape, block, strict=True))
    scale = st.floats(2.0**-60, 2.0**60, width=32)
    scales = data.draw(hnp.arrays(np.float32, counts, elements=scale))
    finite = [code for code in range(256) if reference.decode(code, fp.E4M3FN).is_finite]
    codes = data.draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from(finite)))
    descale = Descale.DIVIDE if divides else Descale.MULTIPLY

    scaled = ScaledArray(codes, fp.E4M3FN, scales, block, descale=descale)

    values = scaled.dequantize()
    assert values.dtype == np.float32
    for place in np.ndindex(shape):
        own = Fraction(float(scales[tuple(i // b for i, b in zip(place, block, strict=True))]))
        code = value_of(codes[place], fp.E4M3FN)
        assert values[place] == rounded(code / own if divides else code * own)
        assert np.signbit(values[place]) == bool(codes[place] & 0x80)


@pytest.mark.parametrize("scale_format", [fp.E8M0FNU, fp.E4M3FN], ids=lambda f: f.name)
def test_scales_may_be_codes_of_a_format(scale_format: Any) -> None:
    """All 256 of them, NaN too, each for a block of one element."""
    codes = np.full((1, 256), 0x3C, np.uint8)  # 1.5
    stored = np.arange(256, dtype=np.uint8)[None]

    scaled = ScaledArray(codes, fp.E4M3FN, stored, (1, 1), scale_format)

    data = [reference.decode(code, scale_format) for code in range(256)]
    exact = [float(d.value) if d.is_finite else np.nan for d in data]
    np.testing.assert_array_equal(scaled.scales[0], np.array(exact, np.float32))
    np.testing.assert_array_equal(scaled.dequantize()[0], np.array(exact, np.float32) * F32(1.5))
    np.testing.assert_array_equal(scaled.scale_codes, stored)


def test_float64_holds_the_exact_product() -> None:
    """Of four bits and 24."""
    scaled = fp.scale_quantize(sample(), "te-block-1x128-fp32")
    exact = scaled.dequantize(np.float64)

    assert exact.dtype == np.float64
    for place in [(0, 0), (3, 33), (6, 69)]:
        scale = Fraction(float(scaled.stored_scales[place[0], 0]))
        assert Fraction(exact[place]) == value_of(scaled.codes[place], fp.E4M3FN) * scale


@pytest.mark.parametrize("dtype", [np.float16, np.int32, "bfloat16", complex])
def test_other_types_of_values_are_refused(dtype: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="dtype"):
        fp.scale_quantize(sample(), "te-mxfp8").dequantize(dtype)


def test_scales_for_display_multiply_where_the_library_divides() -> None:
    """torchao keeps s and divides by it: 1 / s is shown, s is kept."""
    scaled = fp.scale_quantize(sample(), "torchao-tensorwise")

    assert scaled.descale is Descale.DIVIDE
    np.testing.assert_array_equal(scaled.scales, F32(1) / scaled.stored_scales)
    decoded = fp.decode(scaled.codes, fp.E4M3FN)
    np.testing.assert_array_equal(scaled.dequantize(), decoded / scaled.stored_scales)


def test_an_array_is_frozen() -> None:
    scaled = fp.scale_quantize(sample(), "te-mxfp8")
    with pytest.raises((FrozenInstanceError, AttributeError)):
        scaled.codes = scaled.codes  # type: ignore[misc]


# Parts.

PARTS = [np.s_[2:5], np.s_[:, 32:], np.s_[:, :64], np.s_[1:, 32:64], np.s_[3], np.s_[..., 64:]]
PARTS += [np.s_[-2:, -6:], np.s_[4:4], np.s_[:, 40], np.s_[:, -1], np.s_[2, 32:], np.s_[...]]


@pytest.mark.parametrize("rule", ["te-mxfp8", "torchao-nvfp4", "te-nvfp4", "block-32"])
def test_a_part_holds_the_same_values(rule: str, each: Any) -> None:
    """Where it begins on a block's first element; the scales are the same, tensor's too."""
    scaled = fp.scale_quantize(sample(), rule)

    def check(key: Any) -> None:
        part = scaled[key]

        assert isinstance(part, ScaledArray)
        np.testing.assert_array_equal(part.codes, scaled.codes[key])
        np.testing.assert_array_equal(part.dequantize(), scaled.dequantize()[key])
        assert part.rule is scaled.rule
        assert part.tensor_scale == scaled.tensor_scale

    each([(key,) for key in PARTS], check)


def test_a_part_of_rectangles_and_of_a_tensor() -> None:
    """Rows from a multiple of the height; of one scale, from anywhere."""
    scaled = fp.scale_quantize(sample((9, 70)), "block-3x32")
    np.testing.assert_array_equal(scaled[3:8, 32:].dequantize(), scaled.dequantize()[3:8, 32:])
    assert scaled[3:8, 32:].stored_scales.shape == (2, 2)
    whole = fp.scale_quantize(sample(), "te-current")
    assert whole[:3].stored_scales.shape == ()
    np.testing.assert_array_equal(whole[:3].dequantize(), whole.dequantize()[:3])


@pytest.mark.parametrize("key", [np.s_[:, 5:], np.s_[:, 33:64], np.s_[:, 69:]], ids=str)
def test_a_part_that_begins_inside_a_block_is_refused(key: Any) -> None:
    """Its scales would be another block's for the elements after the first boundary."""
    scaled = fp.scale_quantize(sample(), "te-mxfp8")
    with pytest.raises(IndexError, match="block"):
        scaled[key]


@pytest.mark.parametrize("key", [np.s_[::2], np.s_[:, ::-1], [0, 2], None, "codes"])
def test_other_indices_are_refused(key: Any) -> None:
    """Steps, lists, new axes, names."""
    scaled = fp.scale_quantize(sample(), "te-mxfp8")
    with pytest.raises((IndexError, TypeError), match="index|slice|step|block"):
        scaled[key]


def test_a_row_out_of_range_is_refused() -> None:
    scaled = fp.scale_quantize(sample(), "te-mxfp8")
    with pytest.raises(IndexError, match="7"):
        scaled[7]
    with pytest.raises(IndexError, match="2|axes|indices"):
        scaled[0, 0:32, 0]


# Turned, and quantised again.


def test_transposing_turns_the_blocks() -> None:
    """Same codes, same scales, the axis with them."""
    scaled = fp.scale_quantize(sample(), "te-block-1x128")

    turned = scaled.transpose()

    np.testing.assert_array_equal(turned.codes, scaled.codes.T)
    np.testing.assert_array_equal(turned.dequantize(), scaled.dequantize().T)
    np.testing.assert_array_equal(turned.stored_scales, scaled.stored_scales.T)
    assert turned.axis % 2 == 0
    assert turned.block == scaled.block[::-1]


@pytest.mark.parametrize("rule", ["te-block-1x128", "te-mxfp8", "torchao-rowwise", "te-nvfp4-row"])
def test_requantising_rounds_the_rounded_values(rule: str) -> None:
    """Along the other axis: what the rule makes of the dequantised array, and not of x."""
    x = sample((150, 140))
    scaled = fp.scale_quantize(x, rule)

    again = scaled.requantize(axis=0)

    direct = fp.scale_quantize(scaled.dequantize(), rule, axis=0)
    np.testing.assert_array_equal(again.codes, direct.codes)
    np.testing.assert_array_equal(again.stored_scales, direct.stored_scales)
    assert again.axis % 2 == 0
    assert again.rule.name == rule


def test_requantising_by_another_rule() -> None:
    """float32 scales to powers of two, by name or as a rule."""
    scaled = fp.scale_quantize(sample(), "deepgemm-1x128")
    rule = fp.scaling.get_rule("deepgemm-1x128-ue8m0")

    again = scaled.requantize(rule)

    direct = fp.scale_quantize(scaled.dequantize(), rule)
    np.testing.assert_array_equal(again.codes, direct.codes)
    assert again.rule.name == "deepgemm-1x128-ue8m0"


def test_powers_of_two_make_the_second_rounding_nearly_free() -> None:
    """At most 0.31 % of elements change, measured on Gaussian data; float32 scales change more."""
    x = np.random.default_rng(3).standard_normal((256, 256)).astype(np.float32)
    changed = {}
    for rule in ("te-block-1x128", "te-block-1x128-fp32"):
        scaled = fp.scale_quantize(x, rule)
        again = scaled.requantize(axis=0)
        changed[rule] = np.mean(scaled.dequantize() != again.dequantize())
    assert changed["te-block-1x128"] <= 0.0031
    assert changed["te-block-1x128-fp32"] > 0.2


def test_an_array_without_a_rule_cannot_be_requantised_by_it() -> None:
    scaled = ScaledArray(np.zeros((2, 2), np.uint8), fp.E4M3FN, np.ones((2, 1), F32), (1, 2))
    with pytest.raises(ValueError, match="rule"):
        scaled.requantize(axis=0)


# Tables, pictures, files.


def test_the_table_has_a_row_for_each_block() -> None:
    """Its place, size, scale, largest magnitude, and shares of zeros, of the top and of NaN."""
    x = sample((3, 70))
    x[1, 64:] = [0, 0, 0, np.nan, 1e-9, 300]
    scaled = fp.scale_quantize(x, "block-32")

    frame = scaled.to_frame()

    assert len(frame) == 9 == scaled.scales.size
    numbers = [float(held) for held in frame.iloc[5] if np.isreal(held)]  # block (1, 2)
    values = scaled.dequantize()[1, 64:]
    wanted = {
        "elements": 6,
        "scale": scaled.scales[1, 2],
        "largest magnitude": np.nanmax(np.abs(values)),
        "zeros": np.mean(values == 0),
        "at the largest code": 1 / 6,
    }
    for name, number in wanted.items():
        assert np.isclose(numbers, number, rtol=1e-6, atol=0).any(), name


@pytest.mark.parametrize("rule", ["tensor", "te-mxfp8", "te-nvfp4-row", "te-block-128x128"])
def test_the_picture_says_what_it_is(rule: str) -> None:
    """Rule, format and shape, and some lines of scales, however many there are."""
    scaled = fp.scale_quantize(sample((300, 500)), rule)

    text = repr(scaled)

    assert scaled.format.name in text
    assert rule in text
    assert "300" in text
    assert "500" in text
    assert text.count("\n") < 40
    assert max(map(len, text.splitlines())) <= 120


def test_pictures_of_different_scales_differ() -> None:
    """A block that is larger by 2**20 is seen."""
    x = np.ones((8, 256), np.float32)
    plain = repr(fp.scale_quantize(x, "te-mxfp8"))
    x[2, 64:96] *= 2.0**20
    assert repr(fp.scale_quantize(x, "te-mxfp8")) != plain


@pytest.mark.parametrize(
    "rule",
    ["tensor", "te-mxfp8", "te-nvfp4-row", "te-nvfp4-4over6", "torchao-nvfp4", "te-current"],
)
def test_an_array_comes_back_from_its_tensors(rule: str) -> None:
    """And from JSON: codes, scales, format, blocks, how scales are applied, the rule's name."""
    scaled = fp.scale_quantize(sample(), rule)

    description = json.loads(json.dumps(scaled.describe()))
    back = ScaledArray.from_tensors(scaled.to_tensors(), description)

    np.testing.assert_array_equal(back.codes, scaled.codes)
    np.testing.assert_array_equal(back.stored_scales, scaled.stored_scales)
    np.testing.assert_array_equal(back.dequantize(), scaled.dequantize())
    assert back.format is scaled.format
    assert back.scale_format is scaled.scale_format
    assert back.block == scaled.block
    assert back.axis == scaled.axis
    assert rule in json.dumps(description)


@pytest.mark.parametrize("missing", ["codes", "scales"])
def test_tensors_that_lack_a_part_are_refused(missing: str) -> None:
    scaled = fp.scale_quantize(sample(), "te-mxfp8")
    tensors = {name: array for name, array in scaled.to_tensors().items() if name != missing}
    with pytest.raises(ValueError, match=missing):
        ScaledArray.from_tensors(tensors, scaled.describe())


@pytest.mark.parametrize("key", sorted(fp.scale_quantize([[1.0]], "te-mxfp8").describe()))
def test_a_description_that_lacks_a_part_is_refused_or_has_a_default(key: str) -> None:
    """Never a KeyError, never other values."""
    scaled = fp.scale_quantize(sample(), "te-mxfp8")
    description = scaled.describe()
    del description[key]
    try:
        back = ScaledArray.from_tensors(scaled.to_tensors(), description)
    except ValueError as error:
        assert key in str(error)
    else:
        np.testing.assert_array_equal(back.dequantize(), scaled.dequantize())


# What contradicts itself.

CODES = np.zeros((4, 70), np.uint8)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"codes": CODES.astype(np.float32)}, TypeError, "codes must be .* got .*float32"),
        ({"codes": CODES.astype(np.int8)}, TypeError, r"codes must be .* got .*int8.*codes.view"),
        ({"codes": CODES.astype(int)}, TypeError, r"got int64 .*; codes.astype\(np.uint8\) makes"),
        ({"stored_scales": np.ones((4, 3), np.float64)}, TypeError, "scales must be .*float64"),
        ({"stored_scales": np.ones((3, 4), F32)}, ValueError, r"\(4, 3\).* got .*\(3, 4\)"),
        ({"stored_scales": np.ones((4, 2), F32)}, ValueError, r"\(4, 3\)"),
        ({"stored_scales": np.ones((4, 3), np.uint8)}, (TypeError, ValueError), "scale"),
        ({"scale_format": fp.E8M0FNU}, (TypeError, ValueError), "scale"),
        ({"block": (1, 0)}, ValueError, "block"),
        ({"block": (32,)}, ValueError, "block"),
        ({"block": (1, -32)}, ValueError, "block"),
        ({"axis": 2}, ValueError, "axis must be .* got 2"),
        ({"axis": -3}, ValueError, "axis must be .* got -3"),
        ({"descale": "add"}, ValueError, "descale must be .* got 'add'"),
    ],
)  # fmt: skip
def test_parts_that_contradict_each_other_are_refused(
    parts: dict[str, Any], error: Any, message: str
) -> None:
    right = {
        "codes": CODES,
        "format": fp.E4M3FN,
        "stored_scales": np.ones((4, 3), F32),
        "block": (1, 32),
    }
    assert ScaledArray(**right).shape == (4, 70)
    with pytest.raises(error, match=message):
        ScaledArray(**{**right, **parts})


@pytest.mark.parametrize("rule", ["tensor", "te-current", "ms-amp", "torchao-tensorwise", "flax"])
def test_a_number_alone_is_scaled_as_a_vector_of_one(rule: str, each: Any) -> None:
    """Codes, scales and values; and its table has a row."""

    def compare(value: float) -> None:
        alone = fp.scale_quantize(np.float32(value), rule)
        vector = fp.scale_quantize(np.array([value], np.float32), rule)

        assert alone.shape == alone.codes.shape == alone.dequantize().shape == ()
        assert alone.codes == vector.codes[0]
        np.testing.assert_array_equal(alone.stored_scales, vector.stored_scales)
        assert alone.dequantize() == vector.dequantize()[0]
        assert len(alone.to_frame()) == 1

    each((2.0, 5.0, -7.0, 0.0), compare)


def test_one_element_of_an_array_dequantizes() -> None:
    x = np.random.default_rng(0).standard_normal((3, 70))
    scaled = fp.scale_quantize(x, "te-mxfp8")
    assert scaled[2, 69].dequantize() == scaled.dequantize()[2, 69]


def test_a_slice_past_the_end_is_empty() -> None:
    """As NumPy's; its scales are too."""
    scaled = fp.scale_quantize(np.ones((300, 70), np.float32), "te-mxfp8")
    for part in (scaled[500:], scaled[:, 64:64], scaled[7:2]):
        assert part.size == part.scales.size == part.dequantize().size == 0


def test_a_rotation_is_undone_before_another_quantisation() -> None:
    """Rotating twice would be another tensor."""
    x = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    scaled = fp.scale_quantize(x, "te-nvfp4-rht")

    again = scaled.requantize()

    np.testing.assert_allclose(again.dequantize(), scaled.dequantize(), atol=1e-6)


def test_another_rule_may_be_named() -> None:
    scaled = fp.scale_quantize(np.ones((2, 64), np.float32), "te-mxfp8")
    assert scaled.requantize("te-block-1x128", fmt="e5m2").rule.name == "te-block-1x128"
    with pytest.raises(ValueError, match="rule must be given as a Rule: this array does not know"):
        replace(scaled, rule=None).requantize("te-mxfp8")


def test_parts_that_no_array_has_are_refused() -> None:
    codes = np.zeros((2, 4), np.uint8)
    with pytest.raises(ValueError, match="stored_scales must not be negative, got -1.0"):
        fp.ScaledArray(codes, fp.E4M3FN, np.float32([[1], [-1]]), (1, 4))
    with pytest.raises(ValueError, match="codes must be below 16 for E2M1FN, got 200"):
        fp.ScaledArray(codes + np.uint8(200), fp.E2M1FN, np.float32(1)[...], (2, 4))
    assert fp.ScaledArray(codes, "e4m3fn", np.ones((), np.float32), (2, 4)).format is fp.E4M3FN
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got 'bfloat16'"):
        fp.scale_quantize([1.0], "tensor").dequantize("bfloat16")


def test_a_slice_keeps_the_axis_of_its_blocks() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 70))
    scaled = fp.scale_quantize(x, "te-mxfp8", axis=1)
    assert scaled[0].axis == 0
    assert scaled[:, :, 3].axis == scaled[:, :, 3:5].axis == 1
    np.testing.assert_array_equal(scaled[0].dequantize(), scaled.dequantize()[0])


def test_arrays_in_the_other_byte_order_are_taken() -> None:
    codes = np.arange(4, dtype=np.uint8).reshape(2, 2)
    scaled = fp.ScaledArray(codes, fp.E4M3FN, np.array([[0.5], [2]], ">f4"), (1, 2))
    np.testing.assert_array_equal(scaled.scales, np.float32([[0.5], [2]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tensor_amax": 2.0}, "tensor_amax must be one magnitude"),
        ({"block": (2.0, 2.0)}, "block must have a positive length"),
        ({"axis": 0.5}, "axis must be from -2 to 1"),
    ],
)
def test_parts_of_the_wrong_kind_are_refused(change: dict[str, Any], message: str) -> None:
    parts = {"block": (1, 2), "axis": 1} | change
    with pytest.raises(ValueError, match=message):
        fp.ScaledArray(np.zeros((2, 2), np.uint8), fp.E4M3FN, np.ones((2, 1), np.float32), **parts)


def test_an_index_of_an_array_is_refused() -> None:
    scaled = fp.scale_quantize(np.ones((2, 64), np.float32), "te-mxfp8")
    with pytest.raises(IndexError, match="an index must be an integer or a slice"):
        scaled[np.array([0, 1])]


@pytest.mark.parametrize("limit", [1, 64, 100, 1000])
def test_regions_are_no_larger_than_the_limit_or_one_block(limit: int) -> None:
    """Two blocks along an axis are cut too; together the regions are the array, each part once."""
    blocks = Blocks((4, 50), (2, 32))
    seen = np.zeros(blocks.shape, np.int64)

    for region in blocks.regions(limit):
        seen[region.elements] += 1
        assert seen[region.elements].size <= limit or region.block == seen[region.elements].shape

    assert (seen == 1).all()
