"""``fp8num show``: what it prints, and what it says to wrong input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fp8num.cli import main


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command and returns its output."""

    def run(*arguments: str) -> str:
        assert main(["show", *arguments]) == 0
        out, err = capsys.readouterr()
        assert not err
        return str(out)

    return run


@pytest.fixture
def records(show: Any) -> Any:
    """Return a function that runs the command and reads its JSON."""

    def run(*arguments: str) -> list[dict[str, Any]]:
        found = json.loads(show(*arguments, "--json"))
        assert isinstance(found, list)
        return found

    return run


def test_a_number_in_the_usual_formats(show: Any) -> None:
    """0.3 = 1.2 * 2^-2 is 0 0101 010 in E4M3FN and 0 01101 01 in E5M2; no float64 is 0.3."""
    lines = show("0.3").split("\n")

    assert lines[:4] == [
        "Number 0.3, which is no float64",
        "  the nearest is 0x1.3333333333333p-2 (~0.2999999999999999888977698)",
        "",
        "E4M3FN, NearestTiesToEven, SatFinite",
    ]
    assert "  code      0x2a = 0 | 0101 | 010 (normal)" in lines
    assert "  code      0x35 = 0 | 01101 | 01 (normal)" in lines


def test_a_float64_is_said_once(show: Any) -> None:
    """There is nothing to add to a number that float64 holds."""
    assert show("0.5").startswith("Number 0.5, float64 0x1p-1\n\nE4M3FN")
    assert show("-inf").startswith("Number -inf\n\nE4M3FN")


@pytest.mark.parametrize(("written", "sign"), [("1e5000", ""), ("-1e5000", "-")])
def test_numbers_beyond_float64(show: Any, written: str, sign: str) -> None:
    """The nearest float64 is infinite, but the number is not."""
    text = show(written, "e5m2", "--saturation", "SatNone")

    assert f"the nearest is {sign}inf ({sign}inf)" in text
    assert "rounds past the largest value, 57344 (65536 would follow)" in " ".join(text.split())


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("-1e39", "0xfe"),
        ("-inf", "0xfe"),
        ("-1/3", "0xab"),  # 1.3333 * 2^-2: 1 0101 011, as 0.3333 is 2.67 eighths
        ("-0x1p-9", "0x81"),
        ("-.5", "0xb0"),
        ("-0", "0x80"),
        ("-nan", "0xff"),
    ],
)
def test_negative_numbers_are_no_options(records: Any, written: str, code: str) -> None:
    """A number may begin with a minus in any notation."""
    assert records(written, "e4m3fn")[0]["code"] == code


def test_json_lists_a_record_per_format(records: Any) -> None:
    """In the order given, numbers as exact text."""
    first, second = records("0.3", "e4m3fn", "float8_e5m2", "--rounding", "rz")

    assert [first["format"], second["format"]] == ["E4M3FN", "E5M2"]
    assert first["rounding"] == "TowardZero"
    # 0.3 = 3/10 lies between 9/32 and 10/32: towards zero is 9/32, 3/160 below
    assert first["code"] == "0x29"
    assert first["exact"] == "3/10"
    assert first["value"] == {"decimal": "0.28125", "hex": "0x1.2p-2", "integer": 9, "exponent": -5}
    assert first["error"] == {"absolute": "-3/160", "relative": "-1/16", "ulps": "-3/5"}
    # E5M2: between 2/8 and 2.5/8
    assert (second["code"], second["error"]["ulps"]) == ("0x34", "-4/5")


def test_an_integer_of_any_size(records: Any) -> None:
    """2^200 + 1 is exact on the way in."""
    (record,) = records(str(2**200 + 1), "e8m0", "--saturation", "SatNone")

    assert record["exact"] == str(2**200 + 1)
    assert record["code"] == "0xff"
    assert record["flags"] == ["inexact", "overflow"]


@pytest.mark.parametrize(("bits", "code"), [("6", "0x29"), ("7", "0x2a")])
def test_stochastic_rounding_takes_its_bits(records: Any, bits: str, code: str) -> None:
    """StochasticA: floor(0.6 * 16) + R = 9 + R goes up from 16 on."""
    options = ("--rounding", "sra", "--random-bits", bits, "--random-width", "4")

    assert records("0.3", "e4m3fn", *options)[0]["code"] == code


def test_another_library_decides(records: Any) -> None:
    """ml_dtypes makes NaN of what is beyond E4M3FN's range, and -0 of NaN in E2M1FN."""
    assert records("1e39", "e4m3fn", "--like", "ml_dtypes")[0]["code"] == "0x7f"
    assert records("nan", "e2m1", "--like", "ml_dtypes")[0]["code"] == "0x8"


@pytest.mark.parametrize(
    "arguments",
    [("0x7e", "--code", "e4m3fn"), ("126", "e4m3fn", "--code"), ("0b1111110", "--code")],
)
def test_a_code_is_shown(records: Any, arguments: tuple[str, ...]) -> None:
    """OFP8, Table 2: 0 1111 110 is E4M3FN's largest value, 448."""
    record = records(*arguments)[0]

    assert record["format"] == "E4M3FN"
    assert record["value"]["decimal"] == "448"
    assert record["bits"] == {"sign": "0", "exponent": "1111", "mantissa": "110"}
    assert "rounding" not in record


def test_output_is_plain(show: Any) -> None:
    """No colour, nothing cut, 80 columns: the same when piped."""
    text = show("0.1", "e4m3fn", "e8m0", "posit8", "bfloat16", "binary8p3se", "w4m3b7-fn")

    assert text.isascii()
    assert "\x1b" not in text
    assert max(map(len, text.split("\n"))) <= 80
    assert text.count("  rounding  ") == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0.3.1",), "VALUE must be a number such as"),
        (("1e99999999999",), "VALUE must have an exponent"),
        (("0.3", "e4m3"), "format name 'e4m3' is ambiguous"),
        (("0.3", "e9m9"), "format name 'e9m9' is not known"),
        (("0.3", "--rounding", "up"), "rounding must be one of NearestTiesToEven"),
        (("0.3", "--saturation", "clip"), "saturation must be one of SatFinite"),
        (("0.3", "--like", "numpy"), "like"),
        (("0.3", "--rounding", "sra"), "stochastic rounding needs"),
        (("0.3", "--random-bits", "1"), "are for stochastic rounding"),
        (("0.3", "binary16p1sf"), "does not fit float64"),
        (("999", "--code", "e4m3fn"), "VALUE must be a code of E4M3FN, from 0 to 0xff, got '999'"),
        (("0x7e", "--code", "e4m3fn", "--rounding", "rz"), "--code shows what a code stands for"),
    ],
)
def test_wrong_input_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """The complaint names the argument; nothing is printed before it."""
    assert main(["show", *arguments]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
