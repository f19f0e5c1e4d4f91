"""``fp8num vectors``: lines, packs and tables, and what it says to wrong options."""

from __future__ import annotations

import argparse
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.cli import vectors
from fp8num.formats import FORMATS
from fp8num.verify.cases import boundaries, standard
from fp8num.verify.hexlines import parse_decoded, parse_results
from fp8num.verify.reference import expected_codes, flags
from fp8num.verify.sources import get_source
from fp8num.verify.tables import c_header, sv_package
from fp8num.verify.vectors.manifest import check_manifest

if TYPE_CHECKING:
    from pathlib import Path

F16, F32 = get_source("f16"), get_source("f32")
E4M3FN = FORMATS["E4M3FN"]


def run(*arguments: str) -> int:
    """Run the command by itself."""
    parser = argparse.ArgumentParser(prog="fp8num")
    vectors.add_parser(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["vectors", *arguments])
    return int(parsed.run(parsed))


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command and returns its output."""

    def of(*arguments: str) -> str:
        assert run(*arguments) == 0
        out, err = capsys.readouterr()
        assert not err
        return str(out)

    return of


# Lines.


def test_inputs_are_words_and_nothing_else(output: Any) -> None:
    """One a line, of the source's width: the standard cases."""
    lines = output("e4m3fn", "--source", "f32", "--rounding", "rne").splitlines()

    words = standard(E4M3FN, F32).words
    assert lines == [f"{word:08x}" for word in words.tolist()]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--cases", "every", "--source", "f16"), 65536),
        (("--cases", "specials"), 14),
        (("--cases", "structured", "--limit", "100", "--seed", "3"), 100),
        (("--cases", "boundaries"), boundaries(E4M3FN, F32).size),
        (("--limit", "7"), 7),
        (("--source", "bfloat16"), 65536),
    ],
)
def test_which_inputs(output: Any, arguments: tuple[str, ...], count: int) -> None:
    lines = output("e4m3fn", *arguments).splitlines()

    assert len(lines) == len(set(lines)) == count


@pytest.mark.parametrize(("rounding", "saturation"), [("rne", "SatFinite"), ("ru", "satnone")])
def test_expected_codes_are_those_of_the_definition(
    output: Any, rounding: str, saturation: str
) -> None:
    text = output(
        *("e5m2", "--source", "f16", "--expected"),
        *("--rounding", rounding, "--saturation", saturation),
    )
    words, codes, raised = parse_results(io.StringIO(text), F16, FORMATS["E5M2"])

    np.testing.assert_array_equal(words, F16.every())
    expected = expected_codes(F16.values(words), FORMATS["E5M2"], rounding, saturation)
    np.testing.assert_array_equal(codes, expected)
    assert raised is None


def test_flags_are_those_of_the_definition(output: Any) -> None:
    """One by one, as exact fractions."""
    text = output("e4m3fn", "--flags", "--cases", "structured", "--limit", "300")
    words, _, masks = parse_results(io.StringIO(text), F32, E4M3FN)

    assert masks is not None
    for value, mask in zip(F32.values(words), masks.tolist(), strict=True):
        raised = flags(value, E4M3FN, "rne", "SatFinite")
        expected = raised.inexact | raised.underflow << 1 | raised.overflow << 2
        assert mask == expected | raised.invalid << 4, value


def test_a_profile_s_codes(output: Any) -> None:
    """ml_dtypes takes zero for NaN."""
    lines = output("e8m0fnu", "--like", "ml_dtypes", "--expected", "--limit", "1")

    assert lines == "00000000 ff\n"


def test_decoders_get_every_code(output: Any) -> None:
    assert output("e2m1", "--decode") == "".join(f"{code:x}\n" for code in range(16))


def test_decoders_get_expected_words(output: Any) -> None:
    text = output("e4m3fn", "--decode", "--expected", "--source", "f16")

    codes, words, _ = parse_decoded(io.StringIO(text), E4M3FN, F16)

    np.testing.assert_array_equal(codes, np.arange(256))
    np.testing.assert_array_equal(F16.values(words), E4M3FN.values)
    assert (
        output("e4m3fn", "--decode", "--expected", "--limit", "2") == "00 00000000\n01 3b000000\n"
    )


def test_json_is_one_document(output: Any) -> None:
    found = json.loads(output("e4m3fn", "--json", "--cases", "specials"))

    assert found["conversion"] == "float32 to E4M3FN, NearestTiesToEven, SatFinite"
    assert ["3f800000", "0x1.0000000000000p+0", "38", "normal value"] in found["cases"]


# Packs.


def test_a_pack_is_written_and_right(output: Any, tmp_path: Path) -> None:
    """Two of each of four, in two kinds of file."""
    folder = tmp_path / "pack"

    text = output(
        *("e4m3fn", "e5m2", "--source", "f32,f16", "--rounding", "rne,rz"),
        *("--saturation", "satfinite,satnone", "--output", str(folder)),
        *("--kind", "hex,readmemh", "--cases", "specials"),
    )

    assert text == f"{folder / 'manifest.json'}: 32 files, 448 cases\n"
    assert check_manifest(folder).ok
    assert len(list(folder.iterdir())) == 33


def test_a_pack_can_say_what_it_wrote_in_json(output: Any, tmp_path: Path) -> None:
    folder = str(tmp_path / "pack")

    found = json.loads(output("e4m3fn", "--output", folder, "--limit", "5", "--json"))

    assert found["manifest"].endswith("manifest.json")
    assert [name.rpartition(".")[2] for name in found["files"]] == [
        *("json", "csv", "npz", "hex", "mem")
    ]


# Tables.


@pytest.mark.parametrize(("language", "write"), [("c", c_header), ("sv", sv_package)])
def test_a_table_goes_to_the_output_or_a_file(
    output: Any, language: str, write: Any, tmp_path: Path
) -> None:
    path = tmp_path / "table"

    text = output("e2m1", "--table", language, "--source", "f16")
    named = output("e2m1", "--table", language, "--source", "f16", "--output", str(path))

    assert text == path.read_text() == write("E2M1FN", source="f16")
    assert named == f"{path}\n"


def test_a_table_has_every_projection_that_was_named(output: Any) -> None:
    header = output("e4m3fn", "--table", "c", "--rounding", "rz,ru", "--saturation", "SatNone")
    like = output("e4m3fn", "--table", "c", "--like", "ml_dtypes")

    assert "fp8_e4m3fn_from_float_bits_rz_satnone(" in header
    assert "fp8_e4m3fn_from_float_bits_ru_satnone(" in header
    assert "fp8_e4m3fn_from_float_bits_ml_dtypes(" in like


# Wrong usage.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["e4m3fn", "e5m2"], r"lines must be of one conversion, got 2: e4m3fn-f32-rne-satfinite, "),
        (["e4m3fn", "--rounding", "rne,rz"], r"or write a pack with --output"),
        (["e4m3fn", "--kind", "csv"], r"--kind has no meaning without --output; leave it out"),
        (["e4m3fn", "--json", "--flags"], r"--flags has no meaning with --json"),
        (["e4m3fn", "--decode", "--rounding", "rz"], r"--rounding has no meaning with --decode"),
        (["e4m3fn", "--decode", "--limit", "0"], r"limit must be at least 1, got 0"),
        (["e4m3fn", "--limit", "-1"], r"limit must be an integer, at least 1, got -1"),
        (["e4m3fn", "--output", "x", "--expected"], r"--expected has no meaning with --output"),
        (["e4m3fn", "--table", "c", "--cases", "every"], r"--cases has no meaning with --table"),
        (["e4m3fn", "e5m2", "--table", "c"], r"--table is of one FORMAT and one --source"),
        (["e4m3fn", "--table", "c", "--output", "."], r"--output must be a file with --table"),
        (["e4m3fn", "--like", "ml_dtypes", "--rounding", "rz"], r"--like decides rounding and"),
        (["e4m3fn", "--rounding", "sra"], r"rounding must be deterministic, got StochasticA"),
        (["e4m3fn", "--source", "int8"], r"source must be one of"),
        (["e4m3fn", "--source", ","], r"vectors need at least one format, source"),
        (["e4m3fn", "--cases", "all"], r"cases must be one of standard"),
        (["e4m3fn", "--cases", "every"], r"source must have 16 bits to list every word"),
        (["e4m3", "--limit", "1"], r"format name 'e4m3' is ambiguous"),
        (["bf16", "--decode", "--expected", "--source", "f16"], r"source must hold every value"),
    ],
)
def test_wrong_options_are_refused(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is written."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match=message):
        run(*arguments)

    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(ValueError, match=r"holds 'mine.txt'; name another"):
        run("e4m3fn", "--output", str(tmp_path), "--limit", "1")

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
