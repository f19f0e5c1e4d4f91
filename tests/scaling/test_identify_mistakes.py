"""
Each mistake that is planted into a dump is named, with the rule it was planted into.

The dumps are made here, from the codec and NumPy; the diagnoses must find them out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import scaling
from fp8num.scaling.identifying import identify

if TYPE_CHECKING:
    from collections.abc import Callable

F32 = np.float32


def gaussian(shape: tuple[int, ...] = (64, 256), seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def with_ties() -> Any:
    """Return 64ths of integers, many of which are ties once they are scaled."""
    return np.round(gaussian() * 64) / F32(64)


def with_small_blocks() -> Any:
    x = gaussian()
    x[:3] *= F32(1e-6)
    x[3, :128] *= F32(1e-9)
    return x


def spread(scales: Any, length: int = 128) -> Any:
    return np.repeat(scales, length, axis=1)


def quantized(rule: Any, x: Any, **options: Any) -> tuple[Any, Any]:
    scaled = fp.scale_quantize(x, rule, **options)
    return scaled.codes, scaled.stored_scales


def up(scales: Any) -> Any:
    """Round up to powers of two."""
    return np.exp2(np.ceil(np.log2(scales.astype(np.float64)))).astype(np.float32)


def changed(rule: str, **changes: Any) -> Any:
    """Return a rule with another part, which no library has."""
    return replace(scaling.get_rule(rule), **changes)


Parts = dict[str, Any]


@cache
def identified(plant: Callable[[], Parts]) -> Any:
    return identify(**plant())


def inverted_e8m0() -> Parts:
    codes, scales = quantized("te-mxfp8", x := gaussian())
    return {"codes": codes, "scales": 254 - scales, "source": x}


def multiplied_by_what_divides() -> Parts:
    _, scales = quantized("te-block-1x128-fp32", x := gaussian())
    return {"codes": fp.encode(x * spread(scales), "E4M3FN"), "scales": scales, "source": x}


def not_scaled() -> Parts:
    _, scales = quantized("te-mxfp8", x := gaussian())
    return {"codes": fp.encode(x, "E4M3FN"), "scales": scales, "source": x}


def rounded_up_without_requantising() -> Parts:
    codes, scales = quantized("te-block-1x128-fp32", x := gaussian())
    return {"codes": codes, "scales": up(scales), "source": x}


def rounded_to_e8m0_without_requantising() -> Parts:
    codes, scales = quantized("deepgemm-1x128", x := gaussian())
    return {
        "codes": codes,
        "scales": (np.log2(up(scales)) + 127).astype(np.uint8),
        "scale_format": "E8M0FNU",
        "source": x,
    }


def rounded_to_bfloat16_without_requantising() -> Parts:
    codes, scales = quantized("te-current", x := gaussian())
    return {"codes": codes, "scales": fp.quantize(scales, "BFLOAT16"), "source": x}


def transposed_scales() -> Parts:
    codes, scales = quantized("block-16x16", x := gaussian((64, 64)))
    return {"codes": codes, "scales": scales.T, "source": x}


def codes_of_the_other_axis() -> Parts:
    codes, _ = quantized("te-mxfp8", x := gaussian((64, 64)), axis=0)
    _, scales = quantized("te-mxfp8", x, axis=1)
    return {"codes": codes, "scales": scales, "source": x}


def transposed_codes() -> Parts:
    codes, scales = quantized("te-mxfp8", x := gaussian((64, 64)))
    return {"codes": codes.T, "scales": scales, "source": x}


def nearest_power_of_two() -> Parts:
    x = gaussian()
    amax = np.abs(x.reshape(64, 8, 32)).max(axis=2)
    scales = np.exp2(np.rint(np.log2(amax.astype(np.float64) / 448))).astype(np.float32)
    codes = fp.encode(x / spread(scales, 32), "E4M3FN")
    return {"codes": codes, "scales": (np.log2(scales) + 127).astype(np.uint8), "source": x}


def ceil_for_floor() -> Parts:
    codes, scales = quantized("torchao-mx-ceil", x := gaussian())
    return {"codes": codes, "scales": scales, "source": x, "rules": ["torchao-mx-floor"]}


def ties_away() -> Parts:
    rule = changed("te-mxfp8", cast=scaling.Cast("NearestTiesToAway"))
    codes, scales = quantized(rule, x := with_ties())
    return {"codes": codes, "scales": scales, "source": x}


def truncated() -> Parts:
    rule = changed("te-block-1x128-fp32", cast=scaling.Cast("TowardZero"))
    codes, scales = quantized(rule, x := gaussian())
    return {"codes": codes, "scales": scales, "source": x}


def rounded_at_random() -> Parts:
    _, scales = quantized("te-mxfp8", x := gaussian())
    y = x / spread(np.ldexp(F32(1), scales.astype(int) - 127), 32)
    codes = fp.encode(y, "E4M3FN", rounding="StochasticA", rng=np.random.default_rng(1))
    return {"codes": codes, "scales": scales, "source": x}


def nan_for_what_saturates() -> Parts:
    _, scales = quantized("mxfp8-e4m3fn", x := gaussian())
    y = x / spread(np.ldexp(F32(1), scales.astype(int) - 127), 32)
    return {
        "codes": fp.encode(y, "E4M3FN", saturation="SatNone"),
        "scales": scales,
        "source": x,
    }


def blocks_of_31() -> Parts:
    rule = changed("te-mxfp8", granularity=scaling.Granularity("block", 31))
    codes, scales = quantized(rule, x := gaussian((64, 248)))
    return {"codes": codes, "scales": scales, "source": x}


def blocks_of_64() -> Parts:
    rule = changed("te-block-1x128", granularity=scaling.Granularity("block", 64))
    codes, scales = quantized(rule, x := gaussian())
    return {"codes": codes, "scales": scales, "source": x}


def another_format_said() -> Parts:
    codes, scales = quantized("te-current", x := gaussian())
    return {"codes": codes, "scales": scales, "source": x, "format": "E4M3FNUZ"}


def bits_taken_for_fnuz() -> Parts:
    """Scales are doubled for it, as the same codes stand for half the value there."""
    codes, scales = quantized("te-current", x := gaussian())
    return {"codes": codes, "scales": scales * 2, "source": x, "format": "E4M3FNUZ"}


def another_floor() -> Parts:
    x = with_small_blocks()
    amax = np.maximum(np.abs(x.reshape(64, 2, 128)).max(axis=2), F32(1e-3))
    scales = amax / F32(448)
    codes = fp.encode(x * spread(F32(1) / scales), "E4M3FN")
    return {"codes": codes, "scales": scales, "source": x}


def no_floor() -> Parts:
    codes, scales = quantized("te-block-1x128-fp32", x := with_small_blocks())
    return {"codes": codes, "scales": scales, "source": x, "rules": "deepgemm-1x128"}


def another_scale_of_zeros() -> Parts:
    x = gaussian()
    x[5] = 0
    codes, scales = quantized("te-block-1x128-fp32", x)
    scales[5] = F32(2.0**-20)
    return {"codes": codes, "scales": scales, "source": x}


def twice_the_scales() -> Parts:
    codes, scales = quantized("torchao-rowwise", x := gaussian())
    return {"codes": codes, "scales": scales * 2, "source": x}


def a_margin() -> Parts:
    """Scales of twice amax, and codes that follow from them."""
    x = gaussian()
    scales = np.abs(x.reshape(64, 2, 128)).max(axis=2) / F32(448) * 2
    codes = fp.encode(x * spread(F32(1) / scales), "E4M3FN")
    return {"codes": codes, "scales": scales, "source": x}


def reciprocal_arithmetic() -> Parts:
    """PyTorch's 448 / amax is amax's inverse times 448."""
    x = gaussian()
    amax = np.abs(x.reshape(64, 2, 128)).max(axis=2)
    factor = (F32(1) / amax) * F32(448)
    codes = fp.encode(np.clip(x * spread(factor), -448, 448), "E4M3FN")
    return {"codes": codes, "scales": F32(1) / factor, "source": x}


def another_tensor_scale() -> Parts:
    scaled = fp.scale_quantize(x := gaussian(), "te-nvfp4")
    return {
        "codes": scaled.codes,
        "scales": scaled.stored_scales,
        "tensor_scale": scaled.tensor_amax * 3,
        "source": x,
    }


def another_axis_said() -> Parts:
    codes, scales = quantized("te-mxfp8", x := gaussian(), axis=0)
    return {"codes": codes, "scales": scales, "source": x, "axis": 1}


def other_scales() -> Parts:
    """From another tensor: the codes follow, the rule is not obeyed."""
    _, scales = quantized("te-block-1x128-fp32", gaussian(seed=5))
    x = gaussian()
    codes = fp.encode(x * spread(F32(1) / scales), "E4M3FN")
    return {"codes": codes, "scales": scales, "source": x}


def uneven(shape: tuple[int, int] = (128, 128), seed: int = 0) -> Any:
    """Return rows whose magnitudes differ, so that scales do."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * np.exp(rng.normal(size=(shape[0], 1)))).astype(np.float32)


def one_exponent_off() -> Parts:
    """Of 128 x 4 scales, which cuBLAS' tiles fit too."""
    codes, scales = quantized("mxfp8-e4m3fn", x := uneven())
    return {
        "codes": codes,
        "scales": scales + np.uint8(1),
        "source": x,
        "format": "E4M3FN",
        "scale_format": "E8M0FNU",
    }


def one_scale(value: float) -> Callable[[], Parts]:
    def plant() -> Parts:
        codes, scales = quantized("te-block-1x128-fp32", x := uneven((64, 256)))
        scales[3, 1] = value
        return {"codes": codes, "scales": scales, "source": x}

    plant.__name__ = f"one_scale_{value}"
    return plant


ONE_ZERO, ONE_NAN, ONE_NEGATIVE = one_scale(0), one_scale(np.nan), one_scale(-1)


def plain_quotient() -> Parts:
    """amax / 448, where `row` has the inverse of 448 / amax."""
    x = uneven((256, 64))
    scales = np.abs(x).max(axis=1, keepdims=True) / F32(448)
    return {"codes": fp.encode(x / scales, "E4M3FN"), "scales": scales, "source": x, "rules": "row"}


def another_largest() -> Parts:
    """Gaudi's 240 for E4M3, whose largest is 448 here."""
    x = uneven((64, 256))
    scales = np.abs(x).max(axis=1, keepdims=True) / F32(240)
    codes = fp.encode(x / scales, "E4M3FN")
    return {"codes": codes, "scales": scales, "source": x, "format": "E4M3FN"}


def truncated_quotients() -> Parts:
    x = uneven((64, 256))
    scales = np.abs(x).max(axis=1, keepdims=True) / F32(448)
    codes = fp.encode(x / scales, "E4M3FN", rounding="TowardZero")
    return {"codes": codes, "scales": scales, "source": x, "format": "E4M3FN"}


def truncated_by_stored_scales() -> Parts:
    """Elements times the inverse of TransformerEngine's stored 1 / s, which is not s."""
    _, scales = quantized("te-block-1x128-fp32", x := uneven((256, 512)))
    scaled = x * spread(F32(1) / scales)
    codes = fp.encode(scaled, "E4M3FN", rounding="TowardZero")
    return {"codes": codes, "scales": scales, "source": x, "format": "E4M3FN"}


def random_by_stored_scales() -> Parts:
    _, scales = quantized("te-block-1x128-fp32", x := uneven((256, 512)))
    scaled, rng = x * spread(F32(1) / scales), np.random.default_rng(0)
    codes = fp.encode(scaled, "E4M3FN", rounding="StochasticA", rng=rng, random_width=8)
    return {"codes": codes, "scales": scales, "source": x, "format": "E4M3FN"}


def swapped_nibbles() -> Parts:
    scaled = fp.scale_quantize(x := gaussian(), "te-nvfp4")
    packed = fp.pack(scaled.codes, "E2M1FN")
    codes = fp.unpack((packed >> 4) | (packed << 4), "E2M1FN", x.size).reshape(x.shape)
    return {
        "codes": codes,
        "scales": scaled.stored_scales,
        "tensor_scale": scaled.tensor_amax,
        "source": x,
        "format": "E2M1FN",
    }


def rolled(axis: int) -> Callable[[], Parts]:
    def plant() -> Parts:
        codes, scales = quantized("te-block-1x128-fp32", x := uneven((64, 512)))
        return {"codes": codes, "scales": np.roll(scales, 1, axis), "source": x}

    plant.__name__ = f"rolled_along_{axis}"
    return plant


ROLLED_ROWS, ROLLED_COLUMNS = rolled(0), rolled(1)


def scales_of_another_rule() -> Parts:
    codes, _ = quantized("te-mxfp8", x := uneven((64, 256)))
    _, scales = quantized("mxfp8-e4m3fn", x)
    return {"codes": codes, "scales": scales, "source": x, "scale_format": "E8M0FNU"}


#: The mistake, the rule it was planted into, and its name.
PLANTED: list[tuple[Callable[[], Parts], str, str]] = [
    (inverted_e8m0, "te-mxfp8", "scale-inverted"),
    (multiplied_by_what_divides, "te-block-1x128-fp32", "scale-inverted"),
    (not_scaled, "te-mxfp8", "unscaled"),
    (rounded_up_without_requantising, "te-block-1x128-fp32", "scales-rounded"),
    (rounded_to_e8m0_without_requantising, "deepgemm-1x128", "scales-rounded"),
    (rounded_to_bfloat16_without_requantising, "te-current", "scales-rounded"),
    (transposed_scales, "block-16x16", "scales-transposed"),
    (codes_of_the_other_axis, "te-mxfp8", "blocks-transposed"),
    (transposed_codes, "te-mxfp8", "codes-transposed"),
    (nearest_power_of_two, "te-mxfp8", "e8m0-rounding"),
    (ceil_for_floor, "torchao-mx-floor", "e8m0-rounding"),
    (ties_away, "te-mxfp8", "codes-rounding"),
    (truncated, "te-block-1x128-fp32", "codes-rounding"),
    (rounded_at_random, "te-mxfp8", "codes-stochastic"),
    (nan_for_what_saturates, "mxfp8-e4m3fn", "codes-saturation"),
    (blocks_of_31, "te-mxfp8", "block-length"),
    (blocks_of_64, "te-block-1x128", "block-length"),
    (another_format_said, "te-current", "codes-format"),
    (bits_taken_for_fnuz, "te-current", "codes-format"),
    (another_floor, "deepgemm-1x128", "amax-floor"),
    (no_floor, "deepgemm-1x128", "amax-floor"),
    (another_scale_of_zeros, "te-block-1x128-fp32", "zero-blocks"),
    (twice_the_scales, "torchao-rowwise", "scale-factor"),
    (a_margin, "deepgemm-1x128", "scale-factor"),
    (reciprocal_arithmetic, "te-block-1x128-fp32", "scale-arithmetic"),
    (another_tensor_scale, "te-nvfp4", "tensor-scale"),
    (another_axis_said, "te-mxfp8", "axis"),
    (other_scales, "te-block-1x128-fp32", "other-scales"),
    (one_exponent_off, "mxfp8-e4m3fn", "scale-factor"),
    (ONE_ZERO, "te-block-1x128-fp32", "scales-unusable"),
    (ONE_NAN, "te-block-1x128-fp32", "scales-unusable"),
    (ONE_NEGATIVE, "te-block-1x128-fp32", "scales-unusable"),
    (plain_quotient, "row", "scale-arithmetic"),
    (another_largest, "row", "scale-factor"),
    (truncated_quotients, "amax-divide-row", "codes-rounding"),
    (truncated_by_stored_scales, "te-block-1x128-fp32", "codes-rounding"),
    (random_by_stored_scales, "te-block-1x128-fp32", "codes-stochastic"),
    (swapped_nibbles, "te-nvfp4", "nibbles-swapped"),
    (ROLLED_ROWS, "te-block-1x128-fp32", "scales-moved"),
    (ROLLED_COLUMNS, "te-block-1x128-fp32", "scales-moved"),
    (scales_of_another_rule, "te-mxfp8", "scales-of-another"),
]


@pytest.mark.parametrize(
    ("plant", "rule", "name"), PLANTED, ids=lambda v: getattr(v, "__name__", v)
)
def test_a_planted_mistake_is_named(plant: Callable[[], Parts], rule: str, name: str) -> None:
    """In the rule it was planted into; nothing is obeyed."""
    found = identified(plant)

    assert found.obeyed == (), str(found)
    named = {near.rule: near.diagnosis for near in found.near}
    assert named.get(rule) == name, str(found)


@pytest.mark.parametrize(
    ("plant", "rule", "name"), PLANTED, ids=lambda v: getattr(v, "__name__", v)
)
def test_no_other_mistake_is_named_first(plant: Callable[[], Parts], rule: str, name: str) -> None:
    """Of what is told of, the first has the mistake too, whatever the rule."""
    found = identified(plant)

    assert found.near[0].diagnosis == ALSO.get(plant.__name__, name), str(found)


#: Where two names are right: block-32 has float32 scales, here rounded before they were used.
ALSO = {"nearest_power_of_two": "scales-rounded-first"}


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        (inverted_e8m0, "codes of E8M0FNU stand for one over its scales; codes times the stored"),
        (multiplied_by_what_divides, "of elements multiplied by what they should be divided by"),
        (rounded_up_without_requantising, "rounded up to powers of two, and the data was not req"),
        (rounded_to_bfloat16_without_requantising, "these rounded to bfloat16, and the data"),
        (codes_of_the_other_axis, "along axis 1, the codes those of blocks along axis 0"),
        (nearest_power_of_two, "the scales are rounded by 'nearest logarithm', the rule's by 'up'"),
        (
            ceil_for_floor,
            "rounded by 'ceil', the rule's by 'floor': 512 of 512 differ, each by one",
        ),
        (ties_away, "the codes are those of NearestTiesToAway"),
        (nan_for_what_saturates, "the codes are those of SatNone, the rule saturates to 448"),
        (blocks_of_31, "with blocks of 31 and not 32"),
        (another_format_said, "values 2 times as large there"),
        (bits_taken_for_fnuz, "every scale is 2 times the rule's"),
        (another_floor, "the dump has a floor of 1e-03 under amax"),
        (no_floor, "the dump has not the floor under amax that the rule has"),
        (twice_the_scales, "every scale is 2^1 times the rule's"),
        (another_axis_said, "blocks run along axis 0, not 1"),
        (one_exponent_off, "every scale is 2^1 times the rule's; the codes are the rule's"),
        (ONE_ZERO, "scales-unusable: 1 of 128 scales is zero; all others are the rule's"),
        (ONE_NAN, "scales-unusable: 1 of 128 scales is NaN; all others are the rule's"),
        (ONE_NEGATIVE, "scales-unusable: 1 of 128 scales is negative; all others are the rule's"),
        (another_largest, " (amax / 240, and not / 448,) times the rule's"),
        (truncated_quotients, "the codes are those of TowardZero (truncated)"),
        (ROLLED_ROWS, "moved by +1 along axis 0: each block has that of the block before it"),
        (ROLLED_COLUMNS, "moved by +1 along axis 1"),
        (scales_of_another_rule, "the codes are the rule's; the scales are those of mxfp8-e4m3fn,"),
        (
            inverted_e8m0,
            "  te-mxfp8, torchao-mx-rceil (E4M3FN, blocks 1 x 32 along axis 1): 16,384",
        ),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_the_explanation_says_what_was_computed(plant: Callable[[], Parts], sentence: str) -> None:
    assert sentence in str(identified(plant))


def test_the_witness_of_a_mistake_shows_both_scales() -> None:
    """amax, the rule's scale and the dump's are those of the block."""
    parts = rounded_up_without_requantising()
    x = parts["source"]

    found = identify(**parts, rules="te-block-1x128-fp32")

    witness = found.near[0].witnesses[0]
    assert witness.block == (0, 0)
    amax = np.abs(x[0, :128]).max()
    assert witness.amax == float(amax)
    assert witness.expected_scale == float(F32(1) / (F32(448) / amax))
    assert witness.found_scale == float(parts["scales"][0, 0])


def test_inversion_is_measured_on_the_source() -> None:
    """The errors in the sentence are those of the values."""
    parts = inverted_e8m0()
    x = parts["source"].astype(np.float64)
    scale = spread(np.exp2(parts["scales"].astype(np.float64) - 127), 32)
    values = fp.decode(parts["codes"], "E4M3FN", dtype=np.float64)

    text = str(identify(**parts))

    over = np.linalg.norm(values / scale - x) / np.linalg.norm(x)
    times = np.linalg.norm(values * scale - x) / np.linalg.norm(x)
    assert f"are {times:.3g} of the source's norm away from it, codes over them {over:.3g}" in text


@pytest.mark.parametrize("rule", ["te-mxfp8", "te-current", "torchao-rowwise", "te-nvfp4"])
def test_nothing_is_explained_where_nothing_is_right(rule: str) -> None:
    """Random codes and scales of the right shapes are called unexplained."""
    rng = np.random.default_rng(4)
    x = gaussian()
    scaled = fp.scale_quantize(x, rule)
    limit = 16 if rule == "te-nvfp4" else 0x7E
    codes = rng.integers(0, limit, scaled.codes.shape).astype(np.uint8)
    scales = rng.permuted(scaled.stored_scales.reshape(-1)).reshape(scaled.stored_scales.shape)

    found = identify(codes, scales, source=x, format=scaled.format, tensor_scale=scaled.tensor_amax)

    assert not found.is_identified
    assert {near.diagnosis for near in found.near} <= {"unexplained"}, str(found)


def test_scales_off_by_the_last_bit_are_counted() -> None:
    """As many as the two formulas differ in, by NumPy."""
    parts = plain_quotient()
    amax = np.abs(parts["source"]).max(axis=1)
    differ = int(np.count_nonzero(amax / F32(448) != F32(1) / (F32(448) / amax)))
    assert 0 < differ < 256

    text = str(identify(**parts))

    assert f"{differ} of 256 scales are 1 ulp off" in text
    assert "2^0" not in text


def test_the_plain_order_is_kept_unless_another_explains_more() -> None:
    """One wrong scale in tiles is found in tiles; scales of no rule are read as they stand."""
    codes, scales = quantized("mxfp8-e4m3fn", x := uneven())
    tiles = scales.reshape(4, 32, 4).transpose(1, 0, 2).copy()  # PTX: 32 x 4 x 4 a tile
    tiles[0, 0, 0] += 1

    near = identify(codes, tiles.reshape(128, 4), source=x, format="E4M3FN").near[0]
    assert (near.rule, near.scales - near.scales_equal) == ("mxfp8-e4m3fn", 1)
    assert "tiles" in near.storage

    rng = np.random.default_rng(1)
    found = identify(codes, rng.permutation(scales.reshape(-1)).reshape(128, 4), source=x)
    assert found.near[0].storage == "codes of E8M0FNU"


def test_nothing_is_near_where_no_more_agrees_than_by_accident() -> None:
    """Another tensor's source."""
    codes, scales = quantized("te-block-1x128-fp32", uneven((64, 256)))

    found = identify(codes, scales, source=gaussian((64, 256), seed=9), format="E4M3FN")

    assert found.near == ()
    assert "is near none of them: no more agrees than may by accident" in str(found)


def test_rules_with_one_mistake_share_a_paragraph() -> None:
    """And the record keeps each."""
    found = identified(one_exponent_off)

    assert {"mxfp8-e4m3fn", "torchao-mx-floor"} <= {near.rule for near in found.near}
    assert str(found).count("scale-factor") == 1
