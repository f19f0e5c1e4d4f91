"""``fp8num formats``: the catalogue, one format, and what it says to wrong input."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from fp8num.cli import main
from fp8num.formats import FORMATS, Format, get_format
from fp8num.verify.reference import Kind, decode

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = [get_format(name) for name in ("binary8p3se", "w5m2b15-ieee", "Binary16p1se")]


@pytest.fixture
def formats(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command and returns its output."""

    def run(*arguments: str) -> str:
        assert main(["formats", *arguments]) == 0
        out, err = capsys.readouterr()
        assert not err
        return str(out)

    return run


def test_the_catalogue_by_hand(formats: Any) -> None:
    """OFP8, Table 1; MX, section 5.3.3 and 5.4.1: largest, smallest normal and subnormal."""
    rows = {line.split()[0]: line.split()[1:] for line in formats().split("\n") if line.strip()}

    assert rows["E4M3FN"] == ["8", "1/4/3", "7", "448", "0.015625", "2^-9", "NaN", "-0"]
    assert rows["E5M2"] == ["8", "1/5/2", "15", "57344", "2^-14", "2^-16", "inf", "NaN", "-0"]
    assert rows["E2M1FN"] == ["4", "1/2/1", "1", "6", "1", "0.5", "-0"]
    assert rows["E8M0FNU"] == ["8", "0/8/0", "127", "2^127", "2^-127", "-", "NaN"]
    assert rows["POSIT8"][:4] == ["8", "-", "-", "16777216"]
    assert set(FORMATS) < set(rows)


def test_the_catalogue_names_its_sources(formats: Any) -> None:
    """Each format is below its document."""
    text = formats()

    for fmt in FORMATS.values():
        line = next(line for line in text.split("\n") if line.startswith(f"  {fmt.source}: "))
        assert fmt.name in line.split(": ")[-1].split(", ")


def test_bits_select(formats: Any) -> None:
    """Of the catalogue, and of P3109: K = 4 has signed P = 1 to 3, unsigned 1 to 4, e and f."""
    narrow = formats("--bits", "6").split("\n\n")[0].split("\n")[1:]
    p3109 = formats("--p3109", "--bits", "4").split("\n\n")[0].split("\n")[1:]

    assert [line.split()[0] for line in narrow] == ["E2M3FN", "E3M2FN"]
    assert [line.split()[0] for line in p3109] == [
        f"Binary4p{precision}{sign}{domain}"
        for sign, most in (("s", 3), ("u", 4))
        for precision in range(1, most + 1)
        for domain in "ef"
    ]
    assert len(formats("--p3109").split("\n\n")[0].split("\n")) == 1 + 2 * (7 + 8)


@pytest.mark.parametrize("fmt", [*FORMATS.values(), *OTHERS], ids=lambda fmt: fmt.name)
def test_a_format_fits_a_terminal(formats: Any, fmt: Format) -> None:
    """Numbers, number line and codes in 80 columns of ASCII; the source may not be."""
    text = formats(fmt.name)

    assert text.isascii()
    assert max(map(len, text.split("\n"))) <= 80
    assert text.startswith(fmt.name)
    assert "Positive values: | is one" in text


def test_a_format_by_hand(formats: Any) -> None:
    """OFP8, Tables 1 and 2, for E4M3."""
    lines = formats("float8_e4m3fn").split("\n")

    assert lines[:12] == [
        "E4M3FN",
        "  code                8 bits: 1 sign, 4 exponent, 3 mantissa",
        "  bias                7",
        "  precision           4",
        "  largest             448 = 7*2^6",
        "  smallest normal     0.015625 = 2^-6",
        "  smallest subnormal  0.001953125 = 2^-9",
        "  finite codes        254",
        "  specials            NaN at 0x7f 0xff, -0 at 0x80",
        "  overflow, SatNone   nan",
        "  spelling            w4m3b7-fn",
        "  defined in          OCP 8-bit Floating Point Specification (OFP8) 1.0, Table 3",
    ]
    assert "0x38        1    1.125     1.25    1.375      1.5    1.625     1.75    1.875" in lines


def test_json_of_the_catalogue(formats: Any) -> None:
    """A record per format; what a tabulated format has not is null."""
    records = {record["name"]: record for record in json.loads(formats("--json"))}

    assert list(records) == list(FORMATS)
    assert records["E4M3FN"]["max"] == {
        "decimal": "448", "hex": "0x1.cp+8", "integer": 7, "exponent": 6
    }  # fmt: skip
    assert records["E4M3FN"]["smallest_subnormal"]["hex"] == "0x1p-9"
    assert records["POSIT8"]["exponent_bits"] is None
    assert records["E8M0FNU"]["smallest_subnormal"] is None
    assert records["E5M2"]["has_infinity"] is True


@pytest.mark.parametrize("name", ["E4M3FN", "E8M0FNU", "POSIT8", "HIFLOAT8", "binary8p3se"])
def test_json_of_a_format_holds_every_code(formats: Any, name: str) -> None:
    """Values are those of the exact reference."""
    fmt = get_format(name)
    found = json.loads(formats(name, "--json"))
    codes = found["codes"]

    assert [int(record["code"], 16) for record in codes] == list(range(1 << fmt.bits))
    kinds = [record["kind"] for record in codes]
    assert kinds.count("nan") + kinds.count("infinity") + found["finite_codes"] == len(codes)
    for code, record in enumerate(codes):
        datum, decimal = decode(code, fmt), record["value"]["decimal"]
        assert "".join(record["fields"]) == f"{code:0{fmt.bits}b}"
        assert decimal.startswith("-") == datum.negative
        if datum.kind is Kind.FINITE:
            assert Fraction(decimal) == datum.value
        else:
            assert decimal.removeprefix("-") == {"nan": "NaN", "infinite": "inf"}[datum.kind.value]


def test_json_of_a_format_beyond_float64(formats: Any) -> None:
    """Its 4932 digits are all there."""
    record = json.loads(formats("--p3109", "--bits", "16", "--json"))[0]

    assert record["name"] == "Binary16p1se"
    assert (record["max"]["integer"], record["max"]["exponent"]) == (1, 16382)
    assert len(record["max"]["decimal"]) == 4932


@pytest.mark.parametrize("arguments", [("E5M2",), ("--bits", "6"), ("--p3109", "--bits", "16")])
def test_svg_is_a_drawing_on_its_own(
    formats: Any, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Well-formed, in the namespace, and the only file left."""
    path = tmp_path / "line.svg"
    path.write_text("old", encoding="utf-8")

    formats(*arguments, "--svg", str(path), "--force")

    root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("e4m3",), "format name 'e4m3' is ambiguous"),
        (("nonsense",), "format name 'nonsense' is not known"),
        (("w20m3-fn",), "exponent_bits must be an integer from 1 to 16, got 20"),
        (("e5m2", "--bits", "8"), "NAME 'e5m2' shows one format; leave --p3109 and --bits out"),
        (("--bits", "5"), "--bits must be one of 4, 6, 8, 16 in the catalogue, got 5"),
        (("--bits", "2", "--p3109"), "--bits must be from 3 to 16 with --p3109, got 2"),
        (("--bits", "x"), "argument --bits: invalid int value: 'x'"),
        (("--svg", "/"), "--svg must be a file, '/' is a directory"),
        (("--svg", "/nowhere/x.svg"), "path must lie in a folder that exists, got '/nowhere/x"),
        (("--force",), "--force has no meaning without --svg"),
    ],
)
def test_wrong_input_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """The complaint names the argument; nothing is printed before it."""
    assert main(["formats", *arguments]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
