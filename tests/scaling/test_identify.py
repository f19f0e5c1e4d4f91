"""
`identify` names the rule of every dump that a rule made, and no rule falsely.

A dump of a rule is what `scale_quantize` gives; those of torchao are the library's own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import scaling
from fp8num.scaling.identifying import Identification, identify
from fp8num.scaling.identifying.conventions import rule_of

RECORDING = Path(__file__).parent.parent / "data" / "recipes" / "torchao_float8_emulate.npz"
STATEFUL = ("te-delayed", "te-delayed-unfused", "flax")
STOCHASTIC = ("te-nvfp4-sr", "te-nvfp4-rht-sr")
RULES = tuple(scaling.RULES)
#: (rule, format): the rule's own, and E5M2 where it takes that besides.
CASES = [(name, scaling.RULES[name].choose_format(None)) for name in RULES] + [
    (name, fp.E5M2) for name in RULES if "E4M3FN" in scaling.RULES[name].formats
    and "E5M2" in scaling.RULES[name].formats
]  # fmt: skip


@cache
def data(kind: str) -> Any:
    """Return a source: 3 blocks of 16, 32 and 128 along both axes, ragged unless said."""
    rng = np.random.default_rng(7)
    if kind == "zero":
        return np.zeros((16, 144), np.float32)
    if kind == "powers":
        signs = rng.choice([-1, 1], (24, 144))
        return (signs * 2.0 ** rng.integers(-6, 6, (24, 144))).astype(np.float32)
    x = rng.standard_normal((48, 288)).astype(np.float32)
    return x[:24, :144] if kind == "whole" else x[:23, :141]


@cache
def made(rule: str, kind: str, fmt: Any = None) -> Any:
    """Return a dump of a source by its name, which a rotation takes whole."""
    return dump(rule, data("whole" if kind == "ragged" and "rht" in rule else kind), fmt)


def dump(rule: str, x: Any, fmt: Any = None, axis: int = -1) -> Any:
    rng = np.random.default_rng(3) if rule in STOCHASTIC else None
    return fp.scale_quantize(x, rule, fmt=fmt, axis=axis, rng=rng)


def of(scaled: Any, x: Any, **options: Any) -> Identification:
    return identify(
        scaled.codes, scaled.stored_scales, source=x, tensor_scale=scaled.tensor_amax, **options
    )


def names(matches: Any) -> list[str]:
    return [match.rule for match in matches]


TOLD: dict[Any, Identification] = {}


def told_once(scaled: Any, x: Any = None) -> Identification:
    """Ask once what many rules make of the same source: zeros and powers of two above all."""
    parts = (scaled.codes, scaled.stored_scales)
    key = (*((part.shape, part.dtype, part.tobytes()) for part in parts), str(scaled.tensor_amax))
    key += (scaled.format, scaled.scale_format, id(x) if x is not None else None)
    if key not in TOLD:
        TOLD[key] = of(scaled, x, format=scaled.format)
        if x is not None:
            assert_truly_the_same(TOLD[key], scaled, x)
    return TOLD[key]


def assert_truly_the_same(found: Identification, scaled: Any, x: Any) -> None:
    """Compute each obeyed rule again and compare every code, and the scales' values."""
    for match in found.obeyed:
        again = fp.scale_quantize(x, rule_of(match.rule), fmt=match.format, axis=match.axis)
        np.testing.assert_array_equal(again.codes, scaled.codes, err_msg=str(match))
        ours, theirs = (
            np.asarray(each.scales if each.scale_format else each.stored_scales, np.float64)
            for each in (again, scaled)
        )
        if "repeated" in match.storage:
            ours = np.repeat(ours, match.block[0], axis=0)[: len(theirs)]
        theirs = theirs.reshape(ours.shape)
        either = np.isclose(ours, theirs, rtol=2e-7) | np.isclose(ours * theirs, 1, rtol=2e-7)
        with np.errstate(all="ignore"):
            either |= np.isnan(ours) & np.isnan(theirs)
        assert either.all(), str(match)


# Rules against rules.


@pytest.mark.parametrize("kind", ["ragged", "powers", "zero"])
def test_the_rule_of_a_dump_is_named(kind: str, each: Any) -> None:
    """And what else is said to be obeyed gives the same codes and scales, computed again."""

    def check(rule: str, fmt: Any) -> None:
        x = data("whole" if kind == "ragged" and "rht" in rule else kind)

        found = told_once(made(rule, kind, fmt), x)

        held = rule in (*STATEFUL, *STOCHASTIC)
        assert rule in names(found.consistent if held else found.obeyed), str(found)
        if len(found.obeyed) > 1:
            (group,) = found.indistinguishable
            assert {name.split(" (")[0] for name in group.rules} == set(names(found.obeyed))
            assert "indistinguishable on this data" in str(found)
        else:
            assert found.indistinguishable == ()

    each(CASES, check)


def test_blocks_along_the_first_axis(each: Any) -> None:
    """Of bfloat16, whose largest number is another one."""
    import ml_dtypes

    x = data("ragged").T.astype(ml_dtypes.bfloat16)[:128]

    def check(rule: str) -> None:
        scaled = dump(rule, x, axis=0)

        found = told_once(scaled, x)

        matches = found.consistent if rule in STOCHASTIC else found.obeyed
        mine = [match for match in matches if match.rule == rule]
        assert mine, str(found)
        assert tuple(scaled.block) in [match.block for match in mine]

    each([(rule,) for rule in RULES if rule not in STATEFUL], check)


#: Where random data tells rules apart: what is obeyed, by the rule that made the dump.
ALONE = {
    "block-32": {"block-32"},
    "te-mxfp8": {
        "te-mxfp8", "torchao-mx-rceil", "torchao-0.18-mx-rceil", "compressed-tensors-mxfp8",
    },
    "mxfp8-e4m3fn": {
        "mxfp8-e4m3fn", "torchao-mx-floor", "torchao-0.18-mx-floor", "microxcaling",
        "microxcaling-even",
    },
    "torchao-mx-ceil": {"torchao-mx-ceil", "torchao-0.18-mx-ceil"},
    "torchao-mx-even": {"torchao-mx-even", "torchao-0.18-mx-even"},
    "modelopt-mxfp4": {"modelopt-mxfp4", "torchao-mx-rceil", "torchao-0.18-mx-rceil"},
    "te-mxfp8-2d": {"te-mxfp8-2d"},
    "microxcaling-floor": {"microxcaling-floor"},
    "te-nvfp4": {"te-nvfp4", "torchao-nvfp4"},
    "te-nvfp4-row": {"te-nvfp4-row"},
    "te-nvfp4-4over6": {"te-nvfp4-4over6"},
    "te-nvfp4-2d-4over6-mse": {"te-nvfp4-2d-4over6-mse"},
    "torchao-nvfp4-one-level": {"torchao-nvfp4-one-level"},
    "te-nvfp4-2d": {"te-nvfp4-2d"},
    "te-nvfp4-rht": {"te-nvfp4-rht"},
    # 1 / s is the inverse of what our own rule stores
    "te-block-1x128-fp32": {"te-block-1x128-fp32", "block-128", "torchao-block-1x128"},
    "deepgemm-1x128": {"deepgemm-1x128", "deepseek-1x128"},
    "row-mse": {"row-mse"},
}  # fmt: skip


def test_random_data_tells_rules_apart(each: Any) -> None:
    """torchao's RCEIL is TransformerEngine's rule; ties, and amax of 1.75 2^k, are rare."""
    x = data("whole")

    def check(rule: str, obeyed: set[str]) -> None:
        assert set(names(of(dump(rule, x), x).obeyed)) == obeyed

    each(ALONE.items(), check)


def test_rules_that_differ_in_ties_are_told_apart_by_ties() -> None:
    """Sixty-fourths of small integers scaled by powers of two end in ties."""
    x = np.round(data("whole") * 64) / np.float32(64)
    rules = ("mxfp8-e4m3fn", "microxcaling", "modelopt-mxfp4")
    found = {r: set(names(of(dump(r, x), x).obeyed)) for r in rules}

    assert found["modelopt-mxfp4"] == {"modelopt-mxfp4"}
    assert "microxcaling" not in found["mxfp8-e4m3fn"]
    assert found["microxcaling"] == {"microxcaling"}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("te-mxfp8", "no largest magnitude is where the formulas of the scale differ"),
        ("row", "are the same in this shape"),
        ("torchao-rowwise", "no largest magnitude is where"),
    ],
)
def test_why_rules_are_indistinguishable(rule: str, reason: str) -> None:
    x = data("whole")[:, :128]

    (group,) = of(dump(rule, x), x).indistinguishable

    assert any(reason in line for line in group.reasons), group


def test_zeros_are_the_reason() -> None:
    x = data("zero")
    (group,) = of(dump("te-mxfp8", x), x).indistinguishable
    assert [line.split(": ")[-1] for line in group.reasons] == ["every element is zero"]


def test_a_release_and_its_main_branch_are_told_apart_by_tiny_blocks() -> None:
    """0.18.0 applies the scale code 0 as 2^-126, or 1 with RCEIL, main as 2^-127."""
    x = data("whole").copy()
    x[3, 32:64] *= np.float32(2.0**-130)
    for mode in ("floor", "rceil"):
        main, release = f"torchao-mx-{mode}", f"torchao-0.18-mx-{mode}"
        for made, other in ((main, release), (release, main)):
            found = names(of(dump(made, x), x).obeyed)
            assert made in found
            assert other not in found


def test_compressed_tensors_and_rceil_are_told_apart_by_seven_quarters() -> None:
    """The one goes up from 1.75 2^k on, the other above it; 7 is the largest of its block."""
    x = data("whole").copy()
    x[5, 40] = 7
    rules = ["compressed-tensors-mxfp8", "te-mxfp8"]
    found = {made: names(of(dump(made, x), x, rules=rules).obeyed) for made in rules}

    assert found == {made: [made] for made in rules}


def test_one_flipped_code_is_no_match() -> None:
    """In any element of any block: nothing is obeyed, and the witness is that element."""
    x = data("whole")
    rng = np.random.default_rng(0)
    for rule in ("te-mxfp8", "te-block-1x128-fp32", "te-current", "te-nvfp4", "row"):
        scaled = dump(rule, x)
        for _ in range(2):
            i, j = int(rng.integers(24)), int(rng.integers(144))
            codes = scaled.codes.copy()
            codes[i, j] ^= 1
            found = of(replace(scaled, codes=codes), x)
            assert found.obeyed == (), str(found)
            near = next(near for near in found.near if near.rule == rule)
            assert (near.codes - near.codes_equal, near.scales_equal) == (1, near.scales)
            witness = near.witnesses[0]
            assert witness.element == (i, j)
            assert witness.block == tuple(
                at // length for at, length in zip((i, j), scaled.block, strict=True)
            )
            assert (witness.expected_code, witness.found_code) == (
                scaled.codes[i, j], codes[i, j],
            )  # fmt: skip
            assert witness.source == float(x[i, j])


def test_one_other_scale_is_no_match() -> None:
    """By one unit in the last place; the witness has both scales."""
    x = data("whole")
    scaled = dump("te-block-1x128-fp32", x)
    scales = scaled.stored_scales.copy()
    scales[5, 1] = np.nextafter(scales[5, 1], np.float32(1))

    found = of(replace(scaled, stored_scales=scales), x)

    assert found.obeyed == ()
    near = next(near for near in found.near if near.rule == "te-block-1x128-fp32")
    assert near.scales - near.scales_equal == 1
    assert near.witnesses[0].block == (5, 1)
    assert near.witnesses[0].expected_scale == float(scaled.stored_scales[5, 1])
    assert near.witnesses[0].found_scale == float(scales[5, 1])


@pytest.mark.parametrize("rule", ["te-mxfp8", "te-block-1x128-fp32"])
def test_what_is_wrong_at_the_end_of_a_large_tensor(rule: str) -> None:
    """Beyond what is looked at first: 512 x 512 elements, thousands of blocks."""
    x = np.random.default_rng(1).standard_normal((512, 512)).astype(np.float32)
    scaled = dump(rule, x)
    assert rule in names(of(scaled, x).obeyed)

    codes, scales = scaled.codes.copy(), scaled.stored_scales.copy()
    codes[511, 509] ^= 1
    scales.view("u1" if rule == "te-mxfp8" else "u4")[510, 1] ^= 1

    few = [rule, "torchao-mx-rceil", "deepgemm-1x128", "block-32", "torchao-rowwise"]
    for wrong, block in (({"codes": codes}, (511, 509 // scaled.block[1])),
                         ({"stored_scales": scales}, (510, 1))):  # fmt: skip
        found = of(replace(scaled, **wrong), x, rules=few)
        assert found.obeyed == ()
        near = next(near for near in found.near if near.rule == rule)
        assert (near.codes - near.codes_equal) + (near.scales - near.scales_equal) == 1
        assert near.witnesses[0].block == block


# Libraries' own dumps.


@cache
def recording() -> dict[str, Any]:
    with np.load(RECORDING) as file:
        return {key: file[key] for key in file.files}


CASTS = sorted(
    key.removesuffix("/bits")
    for key in np.load(RECORDING).files
    if key.endswith("/bits") and key.split("/")[0] in ("tensorwise", "rowwise", "rowwise_zero_rows")
)


@pytest.mark.parametrize("key", CASTS)
def test_torchao_s_own_dumps(key: str) -> None:
    """Codes, scales and source as recorded from torchao 0.18.0."""
    case = key.split("/", maxsplit=1)[0]
    match = re.fullmatch(r"cast\d_(\w+)_(e4m3|e5m2)_ax(None|-?\d)", key.split("/")[1])
    assert match is not None
    name = {"input": "x", "weight": "w", "grad_output": "dy"}[match[1]]
    source = recording()[f"{case}/{name}"]
    source = source.T if match[1] == "weight" else source
    fmt = {"e4m3": "E4M3FN", "e5m2": "E5M2"}[match[2]]

    found = identify(
        recording()[f"{key}/bits"], recording()[f"{key}/scale"], format=fmt, source=source
    )

    rule = "torchao-tensorwise" if match[3] == "None" else "torchao-rowwise"
    assert rule in names(found.obeyed), str(found)


# How scales are stored.


def storages(scales: Any) -> dict[str, Any]:
    """Return the E8M0 scales of 130 rows of 5 blocks as software stores them."""
    padded = np.full((256, 8), 9, np.uint8)
    padded[:130, :5] = scales
    exponents = scales.astype(np.int32) - 127
    # PTX ISA, tcgen05 scale factors: tiles of 128 x 4, row r of a tile at 16 (r % 32) + 4 (r / 32)
    tiles = np.zeros((2, 2, 512), np.uint8)
    for row in range(256):
        for column in range(8):
            at = 16 * (row % 32) + 4 * (row % 128 // 32) + column % 4
            tiles[row // 128, column // 4, at] = padded[row, column]
    return {
        "codes of E8M0FNU": scales,
        "codes of E8M0FNU, transposed": scales.T,
        "codes of E8M0FNU, padded from (130, 5) to (256, 8), what is beyond ignored": padded,
        "codes of E8M0FNU, in cuBLAS' tiles of 128 x 4, what is beyond ignored": tiles.reshape(-1),
        "codes of E8M0FNU, reshaped from (650,)": scales.reshape(-1),
        "int32 exponents of two": exponents,
        "codes of E8M0FNU in int32": scales.astype(np.int32),
        "float32": np.ldexp(np.float32(1), exponents),
        "float64": np.ldexp(1.0, exponents),
    }


@pytest.mark.parametrize("storage", storages(np.zeros((130, 5), np.uint8)))
def test_scales_may_be_stored_otherwise(storage: str) -> None:
    """The same scales; the match says how they are stored, and what to do with them."""
    x = np.random.default_rng(0).standard_normal((130, 160)).astype(np.float32)
    scaled = fp.scale_quantize(x, "te-mxfp8")

    found = identify(scaled.codes, storages(scaled.stored_scales)[storage], source=x)

    match = next(match for match in found.obeyed if match.rule == "te-mxfp8")
    assert (match.storage, match.descale) == (storage, "multiply")
    assert found.findings == ()


def test_float32_powers_of_two_as_bytes() -> None:
    """TransformerEngine keeps 1/s in float32; its exponent field is E8M0."""
    x = data("ragged")
    scaled = fp.scale_quantize(x, "te-block-1x128")
    codes = (scaled.stored_scales.view(np.uint32) >> 23).astype(np.uint8)

    found = identify(scaled.codes, codes, source=x, scale_format="E8M0FNU")

    assert "te-block-1x128" in names(found.obeyed)


@pytest.mark.parametrize("rule", ["te-block-1x128-fp32", "deepgemm-1x128"])
def test_the_inverse_is_obeyed_and_said(rule: str) -> None:
    """A reader must divide where the library multiplies: measured on the source."""
    x = data("whole")
    scaled = fp.scale_quantize(x, rule)
    inverse = np.float32(1) / scaled.stored_scales

    found = identify(scaled.codes, inverse, source=x, rules=rule)

    (match,) = found.obeyed
    assert match.is_inverted
    assert match.descale == "divide"
    assert not found.is_sound
    assert [finding.kind for finding in found.findings] == ["scale-inverted"]
    errors = [float(n) for n in re.findall(r"(\S+) of the|over them (\S+)", str(found))[0][:1]]
    wide = fp.decode(scaled.codes, "E4M3FN", dtype=np.float64)
    spread = np.repeat(inverse, scaled.block[1], 1)[:, :144]
    expected = np.linalg.norm(wide * spread - x) / np.linalg.norm(x)
    assert errors == [pytest.approx(expected, rel=0.01)]


@pytest.mark.parametrize("rule", ["row", "torchao-rowwise", "torchao-tensorwise"])
def test_multipliers_are_the_other_usual_convention(rule: str) -> None:
    """`scales` are what decoded values are multiplied by; these rules' libraries divide."""
    x = data("whole")
    scaled = fp.scale_quantize(x, rule)

    found = identify(scaled.codes, scaled.scales, source=x)

    match = next(match for match in found.obeyed if match.rule == rule)
    assert (match.descale, match.is_inverted) == ("multiply", False)
    assert found.findings == ()
    assert found.is_sound


# The commonest checkpoints, which no library of rules makes: amax / 448, by NumPy.


def checkpoint(form: str) -> tuple[Any, Any, Any]:
    """Return codes, scales and source as compressed-tensors and vLLM have them."""
    import ml_dtypes

    x = data("whole")
    scales = np.abs(x).max(axis=1, keepdims=True) / np.float32(448)
    e4m3 = ml_dtypes.float8_e4m3fn
    if form == "divided rows":
        return (x / scales).astype(e4m3), scales, x
    if form == "multiplied rows":
        return (x * (np.float32(1) / scales)).astype(e4m3), scales, x
    if form == "a tensor":
        return (x / scales.max()).astype(e4m3), scales.max(), x
    narrow = x.astype(ml_dtypes.bfloat16)
    amax = np.abs(narrow).max(axis=1, keepdims=True).astype(np.float32)
    scales = (amax / np.float32(448)).astype(ml_dtypes.bfloat16)
    if form == "bfloat16 scales":
        return (narrow.astype(np.float32) / scales.astype(np.float32)).astype(e4m3), scales, narrow
    quotients = (narrow.astype(np.float32) / scales.astype(np.float32)).astype(ml_dtypes.bfloat16)
    return quotients.astype(e4m3), scales, narrow


FORMS = {
    "divided rows": "amax-divide-row",
    "multiplied rows": "amax-multiply-row",
    "a tensor": "amax-divide-tensor",
    "bfloat16 scales": "amax-divide-row-bf16",
    "bfloat16 quotients": "amax-divide-row-bf16-quotient",
}


@pytest.mark.parametrize("form", FORMS)
def test_checkpoints_of_amax_over_448_are_obeyed(form: str) -> None:
    codes, scales, x = checkpoint(form)

    found = identify(codes, scales, source=x)

    match = next(match for match in found.obeyed if match.rule == FORMS[form])
    assert match.descale == "multiply"
    assert found.is_sound


@pytest.mark.parametrize("form", FORMS)
def test_without_a_source_such_checkpoints_are_consistent(form: str) -> None:
    codes, scales, _ = checkpoint(form)

    found = identify(codes, scales)

    assert FORMS[form] in names(found.consistent)
    assert found.is_sound


def test_rows_of_zeros_have_the_epsilon_of_the_scale_s_type() -> None:
    """compressed-tensors: torch.finfo(scale.dtype).eps where the scale is zero."""
    x = data("whole").copy()
    x[5] = 0
    scales = np.abs(x).max(axis=1, keepdims=True) / np.float32(448)
    scales[5] = np.finfo(np.float32).eps

    found = identify(fp.encode(x / scales, "E4M3FN"), scales, source=x, format="E4M3FN")

    assert "amax-divide-row" in names(found.obeyed)


def test_such_a_rule_can_be_asked_for() -> None:
    codes, scales, x = checkpoint("divided rows")
    assert names(identify(codes, scales, source=x, rules="amax-divide-row").obeyed) == [
        "amax-divide-row"
    ]


def test_scales_of_square_blocks_that_are_transposed_are_a_finding() -> None:
    x = np.random.default_rng(0).standard_normal((256, 512)).astype(np.float32)
    scaled = fp.scale_quantize(x, "deepgemm-128x128")
    for source in (x, None):
        found = identify(scaled.codes, scaled.stored_scales.T, source=source, format="E4M3FN")
        assert found.is_identified
        assert not found.is_sound
        assert kinds(found) == ["scales-transposed"]


@pytest.mark.parametrize("source", [True, False])
def test_the_declared_rule_is_tried_first(*, source: bool) -> None:
    """And said to hold, or not, with the first witness."""
    x = data("whole")
    scaled = fp.scale_quantize(x, "block-7x9")
    options: dict[str, Any] = {"source": x if source else None, "format": "E4M3FN"}
    declared = scaled.rule

    found = identify(scaled.codes, scaled.stored_scales, declared=declared, **options)
    assert "found: declared block-7x9: " in str(found)
    assert found.is_sound
    first = found.obeyed[0] if source else found.consistent[0]
    assert first.rule == "block-7x9"
    assert ("block-7x9: holds" in str(found)) is source

    wrong, codes = scaled.stored_scales.copy(), scaled.codes.copy()
    wrong[1, 2] *= 3
    codes[7:14, 18:27] &= 0xF0  # whose largest was 448
    found = identify(codes, wrong, declared=declared, **options)
    assert not found.is_sound
    assert "found: declared block-7x9: does not hold" in str(found)
    assert "block (1, 2)" in found.findings[-1].detail


@pytest.mark.parametrize(
    ("form", "note"),
    [
        (lambda amax: amax, "stored as amax"),
        (lambda amax: amax / np.float32(2688), "stored as amax / 2688"),
        (lambda amax: np.float32(2688) / amax, "stored as 2688 / amax"),
        (lambda amax: None, "not in the dump"),
    ],
)
def test_the_tensor_s_scale_of_two_levels(form: Any, note: str) -> None:
    x = data("whole")
    scaled = fp.scale_quantize(x, "te-nvfp4")

    found = identify(
        scaled.codes, scaled.stored_scales, source=x, tensor_scale=form(scaled.tensor_amax)
    )

    assert set(names(found.obeyed)) == ALONE["te-nvfp4"]
    assert note in found.obeyed[0].note


def test_scales_of_two_levels_in_one() -> None:
    """Block scales times the tensor's, in float32."""
    x = data("whole")
    scaled = fp.scale_quantize(x, "te-nvfp4")
    found = identify(scaled.codes, scaled.scales, source=x)
    assert names(found.obeyed) == ["te-nvfp4"]
    assert found.obeyed[0].storage == "float32, times the tensor's scale"


def test_scales_that_are_repeated_for_each_row() -> None:
    """As TransformerEngine stores the scales of 16 x 16 blocks."""
    x = data("whole")
    scaled = fp.scale_quantize(x, "te-nvfp4-2d")
    rows = np.repeat(scaled.stored_scales, 16, axis=0)[:24]
    found = identify(scaled.codes, rows, source=x, tensor_scale=scaled.tensor_amax)
    assert "te-nvfp4-2d" in names(found.obeyed)
    rows[3, 0] ^= 1
    found = identify(scaled.codes, rows, source=x, tensor_scale=scaled.tensor_amax)
    assert found.obeyed == ()


def test_a_scale_from_the_history_is_consistent() -> None:
    """Codes follow from the scale that was held; how it was found cannot be seen."""
    x = data("whole")
    state = scaling.start("te-delayed", length=2)
    _, state = state.quantize(x * np.float32(1.7))
    scaled, _ = state.update().quantize(x)

    found = of(scaled, x)

    assert found.obeyed == ()
    assert {"te-delayed", "te-delayed-unfused"} <= set(names(found.consistent))
    assert "held" in found.consistent[0].note
    codes = scaled.codes.copy()
    codes[7, 9] ^= 1
    assert of(replace(scaled, codes=codes), x).consistent == ()


def test_rounding_at_random_is_consistent_and_nearest_is_not_random() -> None:
    """te-nvfp4 rounds to nearest, which is never the farther neighbour."""
    x = data("whole")

    assert names(of(dump("te-nvfp4-sr", x), x).consistent) == ["te-nvfp4-sr"]
    assert of(dump("te-nvfp4", x), x).consistent == ()
    scaled = dump("te-nvfp4-sr", x)
    codes = scaled.codes.copy()
    codes[3, 3] ^= 4  # no neighbour any more
    assert of(replace(scaled, codes=codes), x).consistent == ()


def test_the_result_does_not_depend_on_strides_or_byte_order() -> None:
    x = data("whole")
    scaled = dump("te-block-1x128-fp32", x)
    expected = of(scaled, x)

    found = identify(
        np.asfortranarray(scaled.codes),
        scaled.stored_scales.astype(">f4")[::-1][::-1],
        source=np.asfortranarray(x).astype(">f4"),
    )

    assert found == expected


def test_codes_of_ml_dtypes_say_their_format() -> None:
    import ml_dtypes

    x = data("whole")
    scaled = dump("te-mxfp8", x)
    codes = scaled.codes.view(ml_dtypes.float8_e4m3fn)
    scales = scaled.stored_scales.view(ml_dtypes.float8_e8m0fnu)
    found = identify(codes, scales, source=x)
    assert set(names(found.obeyed)) == ALONE["te-mxfp8"]


# Without a source.


@pytest.mark.parametrize(
    ("kind", "alone"),
    [("ragged", False), ("powers", True), ("zero", True)]
    + [pytest.param(kind, False, marks=pytest.mark.exhaustive) for kind in ("powers", "zero")],
)
def test_without_a_source_the_rule_is_consistent(kind: str, *, alone: bool, each: Any) -> None:
    """Never obeyed; what is consistent includes the rule that made it, asked for alone or not."""

    def check(rule: str) -> None:
        scaled = made(rule, kind, scaling.RULES[rule].choose_format(None))
        found = of(scaled, None, format=scaled.format, rules=rule) if alone else told_once(scaled)

        assert found.obeyed == ()
        assert rule in names(found.consistent), str(found)

    each([(rule,) for rule in RULES], check)


def test_without_a_source_the_special_values_are_consistent() -> None:
    """Infinity, NaN, tiny and zero blocks."""
    x = data("whole").copy()
    x[3, 100], x[5, 40], x[6, :32], x[7] = np.inf, np.nan, 0, 1e-30
    for rule in (r for r in RULES if "nvfp4" not in r):
        found = told_once(dump(rule, x))
        assert rule in names(found.consistent), str(found)


@pytest.mark.parametrize(
    ("made", "excluded"),
    [
        ("te-mxfp8", {"mxfp8-e4m3fn", "torchao-mx-floor", "torchao-mx-ceil", "block-32"}),
        ("mxfp8-e4m3fn", {"torchao-mx-ceil", "block-32"}),  # all 448 may have been saturated
        ("te-block-1x128-fp32", {"te-block-1x128", "deepgemm-1x128-ue8m0"}),
        ("te-block-1x128", {"te-block-1x128-fp32", "deepgemm-1x128", "block-128"}),
        ("torchao-rowwise", {"row"}),
        ("te-nvfp4", {"block-16"}),
    ],
)
def test_without_a_source_rules_are_excluded(made: str, excluded: set[str]) -> None:
    """Each with the first block that shows it."""
    scaled = dump(made, data("whole"))

    found = identify(
        scaled.codes, scaled.stored_scales, format=scaled.format, tensor_scale=scaled.tensor_amax
    )

    assert not excluded & set(names(found.consistent)), str(found)
    reasons = {each.rule: each.reason for each in found.excluded}
    for rule in excluded & set(reasons):
        assert "block (" in reasons[rule] or "the stored type" in reasons[rule]


def test_exclusions_say_how_the_scale_was_applied() -> None:
    """Both ways were tried."""
    codes, scales, _ = checkpoint("divided rows")

    (exclusion,) = identify(codes, scales, rules="torchao-rowwise").excluded

    assert "if a decoded value is to be divided by the scale, block (" in exclusion.reason
    assert "; if a decoded value is to be multiplied by the scale, block (" in exclusion.reason


@pytest.mark.parametrize("stored", ["float32", "E8M0FNU"])
def test_scales_rounded_without_requantising_are_improbable(stored: str) -> None:
    """All blocks reach 448, though of powers of two few would; requantised, few do."""
    x = np.random.default_rng(2).standard_normal((128, 256)).astype(np.float32)
    scaled = fp.scale_quantize(x, "deepgemm-1x128")
    up = np.exp2(np.ceil(np.log2(scaled.stored_scales))).astype(np.float32)
    codes = (np.log2(up) + 127).astype(np.uint8)
    options: dict[str, Any] = {"format": "E4M3FN"}
    if stored == "E8M0FNU":
        options["scale_format"] = "E8M0FNU"

    found = identify(scaled.codes, up if stored == "float32" else codes, **options)

    assert found.consistent == ()
    assert kinds(found) == ["scales-rounded"]
    reasons = {each.rule: each.reason for each in found.excluded}
    assert (
        "256 of 256 blocks reach 448: improbable under this rule"
        in (reasons["deepgemm-1x128-ue8m0"])
    )
    again = fp.scale_quantize(x, "deepgemm-1x128-ue8m0")
    reached = (np.abs(again.codes & 0x7F) == 0x7E).reshape(128, 2, 128).any(axis=2)
    assert 0 < reached.mean() < 0.2
    found = identify(again.codes, again.stored_scales, format="E4M3FN", scale_format="E8M0FNU")
    assert "deepgemm-1x128-ue8m0" in names(found.consistent)
    assert found.is_sound


def test_a_few_blocks_that_reach_the_largest_code_exclude_nothing() -> None:
    """Thirty that all do have a chance above 1e-9, if half may."""
    x = np.full((15, 256), 448, np.float32) * np.exp2(np.arange(15, dtype=np.float32))[:, None]
    scaled = fp.scale_quantize(x, "te-block-1x128")
    found = identify(scaled.codes, scaled.stored_scales, format="E4M3FN")
    assert "te-block-1x128" in names(found.consistent)


def test_values_too_large_for_weights_are_a_finding() -> None:
    """An error if the rule's library multiplies; a note if a rule divides by the scales."""
    x = data("whole") * np.float32(0.02)
    codes, scales = fp.encode(x, "E4M3FN"), np.abs(x).max(axis=1, keepdims=True) / np.float32(448)
    codes = fp.encode(x / scales, "E4M3FN")
    found = identify(codes, np.float32(1) / scales, rules="amax-divide-row", format="E4M3FN")
    assert kinds(found) == ["scale-inverted"]
    assert found.is_identified
    assert not found.is_sound
    values = np.abs(fp.decode(codes, "E4M3FN")).max(axis=1, keepdims=True) / scales
    assert f"codes times the scale reach {np.median(values):.3g}" in str(found)

    scaled = fp.scale_quantize(x, "row")
    found = identify(scaled.codes, scaled.stored_scales, format="E4M3FN")
    assert kinds(found) == ["scale-divides"]
    assert found.is_sound


def test_without_a_source_infinite_codes_exclude_what_saturates() -> None:
    found = identify(
        np.uint8([[0x7C, 0x3C]]), np.float32([[1]]), format="E5M2", rules="te-block-1x128"
    )
    assert "code 0x7c at (0, 0) is infinite" in found.excluded[0].reason


# Bad input.


def kinds(found: Identification) -> list[str]:
    return [finding.kind for finding in found.findings]


def test_shapes_that_contradict_each_other_are_a_finding() -> None:
    """It says which would fit."""
    x = data("whole")
    scaled = dump("te-mxfp8", x)

    found = identify(scaled.codes, scaled.stored_scales[:, :3], source=x)
    assert kinds(found) == ["shape"]
    assert "scales of shape (24, 3) fit no library's rule for codes of shape (24, 144)" in str(
        found
    )
    assert "(24, 5) (1x32 along axis 1)" in str(found)

    found = identify(scaled.codes, scaled.stored_scales, source=x[:5])
    assert kinds(found) == ["shape"]
    assert "the source is of shape (5, 144), it should have the codes' shape" in str(found)
    found = identify(scaled.codes[:, :72], scaled.stored_scales, source=x)
    assert "two codes may share a byte" in str(found)


def test_a_source_that_is_transposed_is_turned_and_said() -> None:
    """Column-wise copies are often stored so."""
    x = data("whole")
    scaled = fp.scale_quantize(x.T, "te-mxfp8")
    found = identify(scaled.codes, scaled.stored_scales, source=x)
    assert kinds(found) == ["source-transposed"]
    assert "te-mxfp8" in names(found.obeyed)


@pytest.mark.parametrize("source", ["source", None])
def test_scales_that_no_rule_gives_are_findings(source: str | None) -> None:
    x = data("whole")
    scaled = dump("te-block-1x128-fp32", x)
    scales = scaled.stored_scales.copy()
    scales[0], scales[1], scales[2], scales[3] = 0, np.nan, -1, np.inf

    found = identify(scaled.codes, scales, source=x if source else None, format="E4M3FN")

    assert kinds(found) == ["scale-nan", "scale-infinite", "scale-zero", "scale-negative"]
    assert "2 of 48 scales are NaN, first at (1, 0)" in str(found)
    assert not found.is_identified


@pytest.mark.parametrize("source", [True, False])
def test_zero_scales_that_the_rule_gives_are_no_mistake(*, source: bool) -> None:
    """NVFP4's of blocks of zeros; of another block they are."""
    x = data("whole").copy()
    x[3, :16] = 0
    scaled = dump("te-nvfp4", x)
    options: dict[str, Any] = {"format": "E2M1FN", "tensor_scale": scaled.tensor_amax}
    options |= {"source": x if source else None, "scale_format": "E4M3FN"}

    found = identify(scaled.codes, scaled.stored_scales, **options)
    assert kinds(found) == ["zero-blocks"]
    assert found.is_sound

    scales = scaled.stored_scales.copy()
    scales[4, 0] = 0
    found = identify(scaled.codes, scales, **options)
    assert "scale-zero" in kinds(found)
    assert not found.is_sound


def test_codes_outside_their_format_are_a_finding() -> None:
    found = identify(np.uint8([[0x10, 0x01]]), np.float32([[1]]), format="E2M1FN")
    assert kinds(found) == ["codes-outside-format"]
    assert "1 code is not of E2M1FN, which has 16: the first is 0x10 at (0, 0)" in str(found)
    assert kinds(identify(np.uint8([[1]]), [[1.0]], format="E8M0FNU")) == ["format"]


def test_empty_tensors_are_a_finding() -> None:
    empty = np.zeros((0, 32), np.uint8)
    for source in (np.zeros((0, 32), np.float32), None):
        assert kinds(identify(empty, np.zeros((0, 1), np.uint8), source=source)) == ["empty"]


def test_a_tensor_scale_that_is_none() -> None:
    x = data("whole")
    scaled = dump("te-nvfp4", x)
    for bad, kind in ((np.float32([1, 2]), "shape"), (0.0, "tensor-scale")):
        found = identify(scaled.codes, scaled.stored_scales, source=x, tensor_scale=bad)
        assert kind in kinds(found)


def test_one_number() -> None:
    found = identify(np.uint8(0x7E), np.float32(448), source=np.float32(1))
    assert {"tensor", "torchao-tensorwise"} <= set(names(found.obeyed))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((2, 2)), 1.0), TypeError, "codes must be uint8, .* got float64 of shape"),
        ((np.zeros(2, bool), 1.0), TypeError, "codes must be uint8, .* got bool"),
        ((np.zeros(2, int), 1.0), TypeError, r"got int64 .*; codes.astype\(np.uint8\) makes codes"),
        ((np.zeros(2, np.uint8), ["a"]), TypeError, "scales must be floats, integers or codes"),
        ((np.zeros(2, np.uint8), 1j), TypeError, "scales must be floats, .* got complex128"),
    ],
)
def test_wrong_types_raise(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        identify(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": 2}, "axis must be from -2 to 1 for codes of 2 axes, got 2"),
        ({"rules": "te-mxfp9"}, "rule 'te-mxfp9' is not known.*did you mean te-mxfp8"),
        ({"format": "e9m9"}, "format name 'e9m9' is not known"),
        ({"scale_format": "e9"}, "format name 'e9' is not known"),
    ],
)
def test_wrong_arguments_raise(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identify(np.zeros((2, 32), np.uint8), np.zeros((2, 1), np.uint8), **options)


# The record.


def test_the_record_as_dictionary_frame_and_text() -> None:
    import json

    x = data("whole")
    scaled = dump("te-mxfp8", x)
    codes = scaled.codes.copy()
    codes[2, 40] ^= 1
    found = identify(codes, scaled.stored_scales, source=x)

    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["identified"] is False
    assert record["near"][0]["witnesses"][0]["block"] == [2, 1]
    frame = found.to_frame()
    assert list(frame["verdict"]) == ["near"] * len(found.near)
    assert frame.loc[0, "codes"] - frame.loc[0, "codes_equal"] == 1
    assert "obeys none of the rules bit for bit" in str(found)
    assert "block (2, 1)" in str(found)
    assert "0p" not in "".join(re.findall(r"0x1\.\S+", str(found)))
    obeyed = of(scaled, x)
    assert list(obeyed.to_frame()["rule"]) == names(obeyed.obeyed)
    assert "obeys, in all 3,456 codes and 120 scales, bit for bit" in str(obeyed)


@pytest.mark.parametrize("stored", ["amax", "amax / 2688", "2688 / amax"])
@pytest.mark.parametrize("rule", ["te-nvfp4", "torchao-nvfp4"])
def test_a_given_tensor_scale_may_be_that_of_several_tensors(rule: str, stored: str) -> None:
    """Query, key and value are fused: the largest magnitude is that of one of them."""
    x = np.random.default_rng(3).standard_normal((16, 64)).astype(np.float32)
    amax = np.float32(1.75) * np.abs(x).max()
    dump = fp.scale_quantize(x, rule, tensor_amax=amax)
    scale = {"amax": amax, "amax / 2688": amax / np.float32(2688), "2688 / amax": 2688 / amax}

    found = identify(dump.codes, dump.scale_codes, source=x, tensor_scale=scale[stored])

    match = next(match for match in found.obeyed if match.rule == rule)
    assert match.note.startswith(f"tensor scale stored as {stored}, of an amax of ")
    said = match.note.partition("of an amax of ")[2].split()[0]
    assert float(said) == pytest.approx(float(amax), rel=1e-6)
