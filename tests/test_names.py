"""Catalogues are mappings that say what they hold; unknown names are told what they are."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import fp8num as fp
from fp8num._names import Catalogue, in_a_line, nearest

#: The public ones, and a name that each begins with.
CATALOGUES = {
    "formats": (fp.FORMATS, "E4M3FN"),
    "profiles": (fp.PROFILES, "ml_dtypes"),
    "accumulators": (fp.ACCUMULATORS, "exact"),
    "scaling rules": (fp.scaling.RULES, "unit"),
    "training recipes": (fp.nn.RECIPES, "fp32"),
}
by_catalogue = pytest.mark.parametrize("what", CATALOGUES)


@by_catalogue
def test_a_catalogue_is_a_mapping_that_nobody_can_change(what: str) -> None:
    """As a MappingProxyType was, which cannot be pickled."""
    known, first = CATALOGUES[what]

    assert isinstance(known, Mapping)
    assert next(iter(known)) == first
    assert known == dict(known.items())
    assert list(reversed(known)) == list(known)[::-1]
    assert (known | {"mine": None}).keys() == {*known, "mine"}
    assert {"mine": None} | known == known | {"mine": None}
    assert "nothing" not in known
    assert [] not in known.values()
    with pytest.raises(KeyError):
        known["nothing"]
    with pytest.raises(TypeError, match="does not support item assignment"):
        known["mine"] = None  # type: ignore[index]
    with pytest.raises(AttributeError):
        known.mine = None  # type: ignore[attr-defined]


@by_catalogue
def test_a_catalogue_is_told_in_two_lines(what: str) -> None:
    """How many there are, and the first of them; a table for a notebook has them all."""
    known, first = CATALOGUES[what]

    assert repr(known).startswith(f"<{len(known)} {what}: {first}, ")
    assert len(repr(known)) < 320
    assert "\n" not in repr(known)
    assert known._repr_html_().count("<tr>") == len(known) + 1


def test_tables_escape_what_they_show() -> None:
    """A name and a source are text, whatever they look like."""
    evil = fp.Format(
        name="<b>", exponent_bits=4, mantissa_bits=3, specials="fn", source="<script>&"
    )

    for text in (Catalogue({"<i>": evil}, "x")._repr_html_(), evil._repr_html_()):
        assert not re.search(r"<(b|i|script)>", text)
        assert "&lt;script&gt;&amp;" in text


def test_catalogues_are_pickled() -> None:
    assert pickle.loads(pickle.dumps(fp.FORMATS)) == fp.FORMATS  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("E4M3FN", ("sign 1, exponent 4, mantissa 3, bias 7", "largest 448", "w4m3b7-fn")),
        ("E5M2", ("largest 57344", "infinity and NaN", "w5m2b15-ieee")),
        ("E2M1FN", ("bits 4", "largest 6", "smallest 0.5", "specials none")),
        ("POSIT8", ("largest 16777216", "NaN")),
        ("Binary16p1sf", ("bits 16", "exponent 15")),  # float64 does not hold its values
    ],
)
def test_a_format_is_told_in_two_lines(name: str, said: tuple[str, ...]) -> None:
    """Its fields and its ends; POSIT8's were a table of 128 rows."""
    text = repr(fp.get_format(name))

    assert name in text
    assert all(part in text for part in said)
    assert len(text) < 200
    assert fp.get_format(name)._repr_html_().startswith("<table>")


def test_formats_of_one_name_are_told_apart() -> None:
    """By their spelling."""
    one = fp.Format(name="mine", exponent_bits=4, mantissa_bits=3, specials="fn")
    other = fp.Format(name="mine", exponent_bits=4, mantissa_bits=3, specials="fn", overflow="max")

    assert repr(one) != repr(other)


def test_records_are_told_in_a_line() -> None:
    """What differs, what is obeyed, what was trained; not every field of every part."""
    x = fp.decode([[0x38, 0x40] * 32], "E4M3FN")
    scaled = fp.scale_quantize(x, "te-mxfp8")
    found = fp.identify(scaled.codes, scaled.stored_scales, source=x)
    different = fp.verify.diff("ml_dtypes", "ocp-sat", "E4M3FN")
    swept = fp.verify.sweep(lambda x: fp.encode(x, "E5M2"), "E5M2", source="f16")

    assert repr(found).startswith("<Identification: codes of shape (1, 64): obeys ")
    assert "te-mxfp8" in repr(found)
    assert repr(different) == ("<Difference: DIFFERENT: ml_dtypes and ocp-sat, float32 -> E4M3FN>")
    assert repr(swept).startswith("<CONFORMS: 65,536 cases")
    assert repr(fp.nn.History()) == "<History: 0 steps, 0 skipped, 0 casts>"
    assert "te-mxfp8" in found._repr_html_()
    assert len(in_a_line("x" * 1000)) < 200


# Unknown names.


@pytest.mark.parametrize(
    ("look_up", "name", "said"),
    [
        (fp.get_format, "e4m3f", "did you mean E4M3FN"),
        (fp.get_format, "torch.float8_e5m2fnz", "did you mean E5M2FNUZ"),
        (fp.get_format, "bf61", "did you mean bf16"),
        (fp.get_format, "binary8p3", "did you mean Binary8p3"),
        (fp.get_format, "mxfp8", r"mxfp8 is a scaling rule: fp8num.scale_quantize\(x, 'mxfp8'\)"),
        (fp.get_format, "TE-MXFP8", r"te-mxfp8 is a scaling rule: fp8num.scale_quantize"),
        (fp.get_format, "te-current", "te-current is a"),
        (fp.get_format, "hopper", r"hopper is an accumulator: fp8num.matmul\(a, b, accum"),
        (fp.get_format, "ocp-sat", r"ocp-sat is another library's profile: .*like='ocp-sat'"),
        (fp.get_format, "deepseek", "deepseek is a training recipe: fp8num.nn.get_recipe"),
        (fp.scaling.get_rule, "E4M3FN", r"E4M3FN is a format: .*'tensor', fmt='E4M3FN'\)"),
        (fp.scaling.get_rule, "deepseek", "deepseek is a training recipe"),
        (fp.scaling.get_rule, "tensr", "did you mean tensor"),
        (fp.nn.get_recipe, "te-mxfp8", "te-mxfp8 is a scaling rule"),
        (fp.nn.get_recipe, "E5M2", "E5M2 is a format"),
        (fp.accumulate.get_accumulator, "E5M2", "E5M2 is a format"),
        (fp.accumulate.get_accumulator, "mxfp8", "mxfp8 is a scaling rule"),
    ],
)
def test_an_unknown_name_is_told_what_it_is(
    look_up: Callable[[str], Any], name: str, said: str
) -> None:
    """Another kind of thing, or the nearest names."""
    with pytest.raises(ValueError, match=said):
        look_up(name)


def test_a_name_like_none_is_told_all_of_them_and_a_long_one_takes_no_time() -> None:
    """Ten thousand characters are cut before they are compared."""
    for name in ("?", "x" * 10_000):
        with pytest.raises(ValueError, match=r"is not known; use one of E4M3FN, E5M2") as caught:
            fp.get_format(name)
        assert len(str(caught.value)) < 500
    assert nearest("E4M3FN" * 2000, fp.FORMATS) == []


def test_other_kinds_are_loaded_for_a_mistake_alone() -> None:
    """What is above the formats plays no part until a name is unknown."""
    code = (
        "import sys, fp8num\n"
        "fp8num.get_format('float8_e4m3fn')\n"
        "early = {'fp8num.scaling', 'fp8num.nn'} & set(sys.modules)\n"
        "try: fp8num.get_format('mxfp8')\n"
        "except ValueError as error: print(sorted(early), error)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("[] format name 'mxfp8' is not known; mxfp8 is a scaling rule")
