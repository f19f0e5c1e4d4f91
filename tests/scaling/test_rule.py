"""Rules as data: they travel through JSON, are put together from parts, and say what is wrong."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.projection import Rounding, Saturation
from fp8num.scaled import Descale
from fp8num.scaling import (
    RULES,
    Amax,
    AmaxQuotient,
    BestClip,
    Cast,
    Enters,
    Fixed,
    Granularity,
    Percentile,
    PowerOfTwo,
    Rotation,
    Rule,
    Scales,
    TwoLevel,
    get_rule,
)


def sample() -> Any:
    """Return blocks of different sizes, a zero block and some NaN and infinities."""
    x = np.random.default_rng(0).standard_normal((8, 160)).astype(np.float32)
    x *= np.exp2(np.arange(8)[:, None] * 5 - 20).astype(np.float32)
    x[2, :32] = 0
    x[3, 5], x[4, 7] = np.nan, np.inf
    return x


def quantised(rule: str | Rule, x: Any) -> Any:
    found = get_rule(rule)
    stochastic = found.name.endswith("sr")
    if found.rotation is not None:
        x = np.nan_to_num(x, nan=1, posinf=2)
    return fp.scale_quantize(x, rule, rng=np.random.default_rng(1) if stochastic else None)


# Travelling.


def test_a_rule_comes_back_from_json(each: Any) -> None:
    """Equal in every part, and so are its codes, its scales and its values."""

    def check(name: str) -> None:
        rule = RULES[name]

        back = Rule.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False)))

        assert back == rule
        assert hash(back) == hash(rule)
        assert repr(back) == repr(rule)
        assert type(back.way_in) is Descale
        assert type(back.enters) is Enters
        assert type(back.cast.rounding) is Rounding
        assert back.format is rule.format
        one, other = quantised(rule, sample()), quantised(back, sample())
        np.testing.assert_array_equal(one.codes, other.codes)
        assert one.stored_scales.tobytes() == other.stored_scales.tobytes()
        assert one.dequantize().tobytes() == other.dequantize().tobytes()

    each(RULES, check)


def test_a_rule_is_named_after_itself(each: Any) -> None:
    """By name, by itself, in text; and it can be pickled and hashed."""

    def check(name: str) -> None:
        rule = RULES[name]
        assert rule.name == str(rule) == name
        assert get_rule(name) is get_rule(rule) is rule
        assert get_rule(f" {name.upper()} ") is rule
        assert pickle.loads(pickle.dumps(rule)) == rule  # noqa: S301 - our own bytes
        assert rule.source
        assert {rule: 1}[replace(rule)] == 1

    each(RULES, check)


def test_names_are_unique_and_rules_cannot_be_changed() -> None:
    assert list(RULES) == [rule.name for rule in RULES.values()]
    assert len(set(RULES.values())) == len(RULES)
    with pytest.raises(TypeError):
        RULES["mine"] = RULES["tensor"]  # type: ignore[index]
    with pytest.raises((FrozenInstanceError, AttributeError)):
        RULES["tensor"].name = "mine"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("mxfp8", "mxfp8-e4m3fn"),
        ("mxfp4", "mxfp4-e2m1fn"),
        ("ocp-mxfp6-e3m2fn", "mxfp6-e3m2fn"),
        ("ocp-mxint8", "mxint8"),
        ("nvfp4-2d", "te-nvfp4-2d"),
        ("microxcaling-nearest", "microxcaling"),
    ],
)
def test_other_names_of_a_rule(alias: str, name: str) -> None:
    assert get_rule(alias) is RULES[name]


@pytest.mark.parametrize(
    ("name", "granularity"),
    [("block-7", (7, 1)), ("block-1x7", (7, 1)), ("block-64x32", (32, 64)), ("block-1", (1, 1))],
)
def test_blocks_of_any_size_have_a_name(name: str, granularity: tuple[int, int]) -> None:
    """And are the rule of 32 otherwise."""
    rule = get_rule(name)
    assert rule.name == name
    assert rule.granularity == Granularity("block", *granularity)
    assert replace(rule, name="", granularity=RULES["block-32"].granularity) == replace(
        RULES["block-32"], name=""
    )
    assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


# Putting together.


def composed() -> list[Rule]:
    """Return rules that no library has."""
    tensor = get_rule("tensor")
    return [
        replace(tensor, name="fixed", scale=Fixed(0.25)),
        replace(tensor, name="percentile", finder=Percentile(97.5)),
        replace(get_rule("te-mxfp8"), name="searched", finder=BestClip(0.25, 5)),
        replace(get_rule("mxfp8-e4m3fn"), name="16", granularity=Granularity.parse("1x16")),
        replace(get_rule("te-nvfp4"), name="turned", rotation=Rotation((1, -1, 1, 1))),
        replace(get_rule("block-32"), name="odd", cast=Cast("ro", drops_minus_zero=True)),
        replace(tensor, name="halves", scale=AmaxQuotient(power_of_two=True), way_out="divide"),
        replace(tensor, name="fnuz", format=fp.E4M3FNUZ, formats=("E4M3FNUZ", "E5M2FNUZ")),
        replace(
            tensor, name="custom", format=fp.Format(
                name="mine", exponent_bits=3, mantissa_bits=2, bias=3, specials="fn"
            )
        ),
        Rule(name="least", granularity=Granularity("channel"), scale=PowerOfTwo("ceil")),
    ]  # fmt: skip


@pytest.mark.parametrize("rule", composed(), ids=str)
def test_a_composed_rule_comes_back_from_json(rule: Rule) -> None:
    back = Rule.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False)))
    assert back == rule
    x = np.nan_to_num(sample(), nan=0, posinf=1)
    one, other = fp.scale_quantize(x, rule), fp.scale_quantize(x, back)
    np.testing.assert_array_equal(one.codes, other.codes)
    assert one.stored_scales.tobytes() == other.stored_scales.tobytes()
    assert one.format == other.format


def test_a_fixed_scale_is_what_decoded_values_are_multiplied_by() -> None:
    """Elements are divided by it: of 0.25, the element 3 is 12."""
    rule = Rule(name="f", granularity=Granularity("tensor"), scale=Fixed(0.25), way_in="divide")
    scaled = fp.scale_quantize([3.0, -0.5, 1000.0], rule)
    assert scaled.scales == 0.25
    assert scaled.dequantize().tolist() == [3.0, -0.5, 112.0]
    np.testing.assert_array_equal(scaled.codes, fp.encode([12.0, -2.0, 4000.0], "E4M3FN"))


def test_a_block_of_sixteen_has_scales_for_sixteen() -> None:
    x = np.array([[1.0] * 16 + [16.0] * 16], np.float32)
    rule = replace(get_rule("mxfp8-e4m3fn"), name="16", granularity=Granularity.parse("1x16"))
    assert fp.scale_quantize(x, rule).scale_codes.tolist() == [[127 - 8, 127 - 4]]
    assert fp.scale_quantize(x, get_rule("mxfp8-e4m3fn")).scale_codes.tolist() == [[127 - 4]]


@pytest.mark.parametrize(
    ("rounding", "code"), [("rz", 0x38), ("ru", 0x39), ("rne", 0x38), ("rna", 0x39), ("ro", 0x39)]
)
def test_a_cast_has_any_rounding(rounding: str, code: int) -> None:
    """1.0625 lies in the middle of 1 and 1.125."""
    rule = replace(get_rule("tensor"), name="r", cast=Cast(rounding))
    assert fp.scale_quantize([1.0625, 448.0], rule).codes.tolist() == [code, 0x7E]


def test_a_cast_saturates_whatever_its_profile_does() -> None:
    """torch of 2.13 gives infinity beyond the range of E5M2, a rule the largest value."""
    found = Cast(like="torch>=2.13").projection(fp.E5M2)
    assert found.saturation is Saturation.SAT_FINITE
    assert Cast("rz").projection(fp.E4M3FN).rounding is Rounding.TOWARD_ZERO
    # A profile that does not know a format does not change it.
    assert Cast(like="cuda-satfinite").projection(fp.HIFLOAT8) == Cast().projection(fp.HIFLOAT8)


def test_minus_zero_is_dropped_where_the_library_drops_it() -> None:
    x = np.array([[-0.0, -1e-9, 1.0]], np.float32)
    kept = fp.scale_quantize(x, get_rule("mxfp8-e4m3fn")).codes[0]
    dropped = fp.scale_quantize(x, get_rule("microxcaling-even")).codes[0]
    assert kept[:2].tolist() == [0x80, 0x80]
    assert dropped[:2].tolist() == [0, 0x80]  # what is small and negative becomes -0


def test_the_element_s_format_is_the_rule_s_own_or_one_it_takes() -> None:
    assert get_rule("tensor").choose_format(None) is fp.E4M3FN
    assert get_rule("tensor").choose_format("e2m1fn") is fp.E2M1FN
    assert get_rule("mxfp4").choose_format(None) is fp.E2M1FN
    assert get_rule("te-mxfp8").choose_format("E5M2") is fp.E5M2
    with pytest.raises(
        ValueError, match="fmt must be one of E4M3FN, E5M2 for te-mxfp8, got E2M1FN"
    ):
        get_rule("te-mxfp8").choose_format("E2M1FN")


def test_two_levels_are_known_by_their_scale() -> None:
    assert {name for name, rule in RULES.items() if rule.is_two_level} == {
        name for name in RULES if "nvfp4" in name and name != "torchao-nvfp4-one-level"
    }
    assert isinstance(get_rule("nvfp4").scale, TwoLevel)


def test_scales_enter_at_operands_where_blocks_are_of_the_format() -> None:
    """MX and NVFP4: the unit multiplies them; others are applied to sums."""
    operand = {name for name, rule in RULES.items() if rule.enters is Enters.OPERAND}
    mx = {name for name in RULES if "mxfp" in name or "nvfp4" in name or "-mx-" in name}
    mx |= {name for name in RULES if name.startswith(("mx", "microxcaling"))}
    assert operand == mx


# What is wrong.


def test_two_levels_refuse_other_settings() -> None:
    with pytest.raises(ValueError, match="choice must be 'mae', 'mse' or None, got 'max'"):
        TwoLevel(choice="max")
    with pytest.raises(ValueError, match="levels must be 1 or 2, got 3"):
        TwoLevel(levels=3)


@dataclass(frozen=True)
class Strange:
    """A finder that another package might bring."""

    def find(self, region: Any, errors: Any) -> Any:
        return Amax("ignore").find(region, errors) * np.float32(2)


@dataclass(frozen=True)
class Halved:
    """A scale that another package might bring."""

    format = None

    def find(self, amax: Any, context: Any) -> Scales:  # noqa: ARG002 - a formula's form
        scale = np.full(amax.shape, 2, np.float32)
        return Scales(scale, np.float32(1) / scale)


def test_parts_of_others_work_but_cannot_be_stored() -> None:
    rule = replace(get_rule("tensor"), name="strange", finder=Strange())
    assert fp.scale_quantize([1.0], rule).stored_scales == 224
    other = replace(get_rule("te-current"), name="halved", scale=Halved())
    assert fp.scale_quantize([8.0], other).dequantize().tolist() == [8.0]
    for one, name in ((rule, "Strange"), (other, "Halved")):
        with pytest.raises(ValueError, match=f"only rules made of .* can be stored, got a {name}"):
            one.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"finder": {"part": "Median"}}, "parts must be of .*Amax.* got 'Median'"),
        ({"finder": {}}, "parts must be of .* got 'None'"),
        ({"finder": {"part": "Amax", "nan": "skip"}}, "nan must be .* got 'skip'"),
        ({"finder": {"part": "Amax", "colour": 1}}, "must be described by the arguments of Rule"),
        (
            {"granularity": {"part": "Granularity", "kind": "block", "length": 0}},
            "positive integer",
        ),
        ({"cast": {"part": "Cast", "rounding": "up a bit"}}, "rounding"),
        ({"cast": {"part": "Cast", "like": "abacus"}}, "like must be one of .* got 'abacus'"),
        (
            {"scale": {"part": "PowerOfTwo", "rounding": "down"}},
            "rounding must be one of .* 'down'",
        ),
        ({"scale": {"part": "Fixed", "scale": -1}}, "scale must be positive and finite"),
        ({"rotation": {"part": "Rotation", "signs": [1, 1]}}, "signs must be"),
        ({"format": {"format": {}}}, "format must be described by"),
        ({"way_in": "add"}, "way_in must be 'multiply' or 'divide', got 'add'|is not a valid"),
        ({"enters": "nowhere"}, "enters must be .* got 'nowhere'|is not a valid"),
        ({"colour": "red"}, "must be described by the arguments of Rule, got .*colour"),
    ],
    ids=str,
)
def test_a_description_of_no_rule_is_refused(change: dict[str, Any], message: str) -> None:
    description = json.loads(json.dumps(get_rule("te-nvfp4-rht").to_dict()))
    with pytest.raises(ValueError, match=message):
        Rule.from_dict({**description, **change})


@pytest.mark.parametrize("missing", ["name", "granularity", "scale"])
def test_a_description_must_have_what_has_no_default(missing: str) -> None:
    description = get_rule("tensor").to_dict()
    del description[missing]
    with pytest.raises(ValueError, match="a rule must be described by the arguments of Rule, got"):
        Rule.from_dict(description)


@pytest.mark.parametrize(
    "change",
    [
        {"granularity": "tensor"},
        {"scale": None},
        {"scale": "AmaxQuotient"},
        {"finder": "Amax"},
        {"cast": None},
        {"format": "E4M3FN"},
        {"rotation": [1, 1, 1, 1]},
        {"granularity": {"part": "Amax"}},
        {"scale": {"part": "Amax"}},
    ],
    ids=str,
)
def test_a_part_of_the_wrong_kind_is_refused_at_once(change: dict[str, Any]) -> None:
    """And not where the rule is used, by an attribute that something has not."""
    description = get_rule("tensor").to_dict()
    with pytest.raises((TypeError, ValueError), match="must be"):
        Rule.from_dict({**description, **change})


def test_a_profile_must_exist() -> None:
    with pytest.raises(ValueError, match="like must be one of .*cuda-satfinite.* got 'cuda'"):
        Cast(like="cuda")
    with pytest.raises(ValueError, match="rounding"):
        Cast("sometimes")
