"""Formats as users define, spell and print them."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num.formats import MXINT8, format_from_dict, p3109_names

ML_DTYPES = {
    "E4M3FN": "float8_e4m3fn",
    "E5M2": "float8_e5m2",
    "E4M3IEEE": "float8_e4m3",
    "E3M4": "float8_e3m4",
    "E4M3FNUZ": "float8_e4m3fnuz",
    "E5M2FNUZ": "float8_e5m2fnuz",
    "E4M3B11FNUZ": "float8_e4m3b11fnuz",
    "E8M0FNU": "float8_e8m0fnu",
    "E2M3FN": "float6_e2m3fn",
    "E3M2FN": "float6_e3m2fn",
    "E2M1FN": "float4_e2m1fn",
    "BFLOAT16": "bfloat16",
}


@pytest.mark.parametrize("name", fp.FORMATS)
def test_catalogue_keys_give_the_entry_itself(name: str) -> None:
    """`get_format(f.name) is f`, and each entry is an attribute of the package."""
    fmt = fp.FORMATS[name]

    assert fp.get_format(fmt.name) is fmt
    assert getattr(fp, name) is fmt
    assert fmt.source


@pytest.mark.parametrize(("name", "dtype"), ML_DTYPES.items())
def test_dtypes_of_ml_dtypes_name_their_format(name: str, dtype: str) -> None:
    """The scalar type and the dtype, also the one whose name is ambiguous as text."""
    scalar = getattr(ml_dtypes, dtype)

    assert fp.get_format(scalar) is fp.FORMATS[name]
    assert fp.get_format(np.dtype(scalar)) is fp.FORMATS[name]


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("float8_e4m3fn", "E4M3FN"),
        ("torch.float8_e5m2", "E5M2"),
        ("f8E4M3FNUZ", "E4M3FNUZ"),
        ("fp8_e5m2", "E5M2"),
        ("fp4_e2m1", "E2M1FN"),
        ("ue8m0", "E8M0FNU"),
        ("float8_e8m0fnu", "E8M0FNU"),
        ("bf16", "BFLOAT16"),
        ("half", "BINARY16"),
        ("torch.bfloat16", "BFLOAT16"),
        ("float4_e2m1fn_x2", "E2M1FN"),
        ("hif8", "HIFLOAT8"),
        ("binary8p3se", "Binary8p3se"),
    ],
)
def test_usual_spellings(spelling: str, name: str) -> None:
    """What frameworks and papers write."""
    assert fp.get_format(spelling).name == name


@pytest.mark.parametrize(
    "spelling",
    [
        *("E4M3", "e4m3", "E4m3", "e4M3", " E4M3 ", "float8_e4m3", "FLOAT8_E4M3", "float8-e4m3"),
        *("fp8_e4m3", "fp8e4m3", "F8_E4M3", "Float8E4M3", "torch.float8_e4m3", "np.float8_e4m3"),
    ],
)
def test_a_bare_e4m3_is_refused(spelling: str) -> None:
    """Two formats go by that name, so both are named instead of one being guessed."""
    with pytest.raises(ValueError, match=r"ambiguous.*'E4M3FN'.*448.*'E4M3IEEE'.*240"):
        fp.get_format(spelling)


def test_the_attribute_of_a_bare_e4m3_names_both() -> None:
    """It was the IEEE-like format once; where there are two, neither is guessed."""
    with pytest.raises(AttributeError, match=r"'E4M3FN'.*448.*'E4M3IEEE'.*240"):
        fp.E4M3  # noqa: B018 - the attribute is what is tested


def test_ml_dtypes_own_float8_e4m3_is_the_ieee_like_format() -> None:
    """A dtype, and the name with the library's, mean one thing; ml_dtypes' largest is 240."""
    assert float(ml_dtypes.finfo(ml_dtypes.float8_e4m3).max) == 240.0

    for spec in (ml_dtypes.float8_e4m3, np.dtype(ml_dtypes.float8_e4m3), "ml_dtypes.float8_e4m3"):
        found = fp.get_format(spec)
        assert found is fp.E4M3IEEE
        assert found.max == 240.0


@pytest.mark.parametrize(
    ("specials", "name"), [("ieee", "E4M3IEEE"), ("fn", "E4M3FN"), ("none", "E4M3")]
)
def test_a_description_named_e4m3_is_read_by_its_parameters(specials: str, name: str) -> None:
    """As to_dict wrote the IEEE-like format before it was renamed, or others call theirs."""
    old = {
        "name": "E4M3",
        "exponent_bits": 4,
        "mantissa_bits": 3,
        "bias": 7,
        "specials": specials,
        "source": "a file",
    }

    found = format_from_dict(old)

    assert found.name == name
    assert found.specials.value == specials
    assert found is fp.FORMATS.get(name, found)


def test_a_name_is_that_of_one_format() -> None:
    """`get_format(f.name) is f`, whatever the spelling f was found by; in small letters too."""
    spelled = ("W4M3B7-FN", " uw5m3b15-fn", "BINARY8P3SE", "w2m1-none-nosub")
    for fmt in (*fp.FORMATS.values(), MXINT8, *map(fp.get_format, spelled)):
        assert fp.get_format(fmt.name) is fmt
        assert fp.get_format(fmt.name.lower()) is fmt


def test_a_name_stays_that_of_one_format_however_many_are_asked_for() -> None:
    """What is remembered of names is bounded; a format that is in use is not made again."""
    fmt, wide = fp.get_format("BINARY8P3SE"), fp.get_format("w4m3b7-fn")
    for bias in range(2000):
        fp.get_format(f"w4m3b{bias}-ieee")
    for bits in range(3, 17):
        for name in p3109_names(bits):
            fp.get_format(name)

    assert fp.get_format("Binary8p3se") is fmt
    assert fp.get_format("w4m3b7-fn") is wide


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("float4_e4m3fn", r"says 4 bits, but E4M3FN has 8; write 'E4M3FN'"),
        ("fp8_e2m1", r"says 8 bits, but E2M1FN has 4"),
        ("torch.float6_e5m2", r"says 6 bits, but E5M2 has 8"),
        ("w4m3b" + 5000 * "1" + "-fn", r"'w4m3b1+.* is not known"),
    ],
)
def test_a_name_that_contradicts_itself_is_refused(spelling: str, message: str) -> None:
    """A width that is not the format's, a number that is none."""
    with pytest.raises(ValueError, match=message):
        fp.get_format(spelling)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The message is where a user looks next."""
    with pytest.raises(ValueError, match=r"'e9m9' is not known; use one of E4M3FN, E5M2"):
        fp.get_format("e9m9")


@pytest.mark.parametrize("spec", [None, 8, 4.3, np.float32(1), ["E4M3FN"], np.zeros(3)])
def test_what_is_no_format_is_refused(spec: Any) -> None:
    """Neither a format, nor a name, nor a dtype."""
    with pytest.raises(TypeError, match="fmt must be a Format, a name or a dtype, got"):
        fp.get_format(spec)


@pytest.mark.parametrize(
    "spelling",
    [
        "w4m3b7-fn",
        "w5m2b-3-ieee",
        "uw5m3b15-fn",
        "w3m2b3-none",
        "w4m3b8-fnuz",
        "w5m2b16-extended",
        "uw8m0b128-finite-overflow_nan",
        "uw8m0b127-fn-nosub",
        "w5m2b15-ieee-overflow_max",
    ],
)
def test_spellings_round_trip(spelling: str) -> None:
    """Command line to format to dictionary to JSON to format to command line."""
    fmt = fp.get_format(spelling)

    again = fp.Format(**json.loads(json.dumps(fmt.to_dict())))

    assert again == fmt
    assert hash(again) == hash(fmt)
    assert again.spelling == spelling
    assert fp.get_format(again.spelling) is fmt


@pytest.mark.parametrize("name", fp.FORMATS)
def test_dictionaries_round_trip(name: str) -> None:
    """`type(f)(**f.to_dict()) == f`, through JSON, for tabulated formats too."""
    fmt = fp.FORMATS[name]

    again = type(fmt)(**json.loads(json.dumps(fmt.to_dict())))

    assert again == fmt
    assert pickle.loads(pickle.dumps(fmt)) == fmt  # noqa: S301 - our own bytes


def test_the_bias_defaults_to_the_familys() -> None:
    """IEEE's, and one more where the top binade holds numbers."""
    widths: dict[str, Any] = {"exponent_bits": 4, "mantissa_bits": 3, "name": "x"}

    biases = {s: fp.Format(**widths, specials=s).bias for s in fp.Specials}

    assert [biases[s] for s in fp.Specials] == [7, 7, 8, 8, 8, 7]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exponent_bits": 0}, "exponent_bits must be an integer from 1 to 16, got 0"),
        ({"exponent_bits": 4.0}, "exponent_bits must be an integer from 1 to 16, got 4.0"),
        ({"exponent_bits": True}, "exponent_bits must be an integer from 1 to 16, got True"),
        ({"mantissa_bits": -1}, "mantissa_bits must be an integer from 0 to 16, got -1"),
        ({"mantissa_bits": 12}, "must have 2 to 16 bits in all, got 17"),
        ({"bias": 1 << 20}, "bias must be an integer from -65536 to 65536"),
        ({"specials": "nan"}, "specials must be one of ieee, fn, .* got 'nan'"),
        ({"specials": 3}, "specials must be one of .* got 3"),
        ({"signed": 1}, "signed must be True or False, got 1"),
        ({"name": ""}, "name must be text that is not empty"),
        ({"specials": "ieee", "mantissa_bits": 0}, "needs mantissa_bits of at least 1"),
        ({"specials": "fnuz", "signed": False}, "needs signed=True, its NaN is the code of -0"),
        ({"specials": "fnuz", "mantissa_bits": 0, "subnormals": False}, "needs a zero"),
        ({"specials": "extended", "subnormals": False}, "needs subnormals=True"),
        ({"specials": "ieee", "exponent_bits": 1}, "leave no code for a normal number"),
        ({"overflow": "infinity"}, "overflow cannot be 'infinity': the format has none"),
        ({"specials": "none", "overflow": "nan"}, "overflow cannot be 'nan': the format has none"),
        ({"overflow": "saturate"}, "overflow must be one of infinity, nan, max"),
    ],
)
def test_impossible_parameters_are_refused(change: dict[str, Any], message: str) -> None:
    """Each with the argument, what it must be and what it was."""
    parameters: dict[str, Any] = {
        "name": "x",
        "exponent_bits": 4,
        "mantissa_bits": 3,
        "specials": "fn",
    }
    with pytest.raises((TypeError, ValueError), match=message):
        fp.Format(**(parameters | change))


@pytest.mark.parametrize(
    "spelling", ["w4m3b7-foo", "w4m3-fn-overflow_up", "binary8p9se", "binary2p1se", "binary17p3se"]
)
def test_impossible_spellings_are_refused(spelling: str) -> None:
    """A spelling of the right form with wrong parameters says which."""
    with pytest.raises(ValueError, match="must"):
        fp.get_format(spelling)


def test_formats_are_immutable() -> None:
    """They key tables."""
    with pytest.raises(AttributeError):
        fp.E4M3FN.bias = 8  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        fp.E4M3FN.values[0] = 1.0


def test_a_format_wider_than_float64_still_answers_exactly() -> None:
    """As Fractions; its table of values is refused with its range."""
    fmt = fp.get_format("Binary16p1ue")

    # K = 16, P = 1, unsigned: bias 2**15; the codes below infinity end at 2**16 - 3
    assert fmt.max == Fraction(2) ** (2**16 - 3 - 2**15)
    assert fmt.smallest_normal == Fraction(1, 2 ** (2**15 - 1))
    assert fmt.decompose(1) == (1, 1 - 2**15)
    with pytest.raises(ValueError, match=r"Binary16p1ue does not fit float64.*2\*\*-32767"):
        _ = fmt.values


def test_specials_have_no_number() -> None:
    """Asking for the number of NaN is an error, and says how many codes are numbers."""
    with pytest.raises(ValueError, match="got 127; E4M3FN has 254 of them among 256 codes"):
        fp.E4M3FN.decompose(0x7F)


def test_frames_list_every_code() -> None:
    """By field, with value and kind."""
    frame = fp.E5M2.to_frame()

    row = frame.loc[0x7B]
    assert len(frame) == 256
    assert (row["sign"], row["exponent"], row["mantissa"]) == ("0", "11110", "11")
    assert (row["value"], row["kind"]) == (57344.0, "normal")
    assert frame["kind"].value_counts().to_dict() == {
        "normal": 240,  # 30 binades of 4, both signs
        "subnormal": 6,
        "nan": 6,
        "zero": 2,
        "infinity": 2,
    }


def test_formats_without_subnormals() -> None:
    """As DLFloat16: the lowest exponent is a binade whose first code is zero."""
    fmt = fp.Format(
        name="x", exponent_bits=2, mantissa_bits=1, bias=1, specials="none", subnormals=False
    )

    assert fmt.values[:8].tolist() == [0.0, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    assert (fmt.emin, fmt.smallest_normal, fmt.smallest_subnormal) == (-1, 0.75, None)


def test_a_wrong_table_is_refused() -> None:
    """Values out of order, or a breakpoint too few."""
    given = fp.POSIT8.to_dict()
    with pytest.raises(ValueError, match="table must ascend from zero"):
        fp.TabulatedFormat(**(given | {"table": given["table"][::-1]}))
    with pytest.raises(ValueError, match="a breakpoint for each of its 127 gaps"):
        fp.TabulatedFormat(**(given | {"nearest": given["nearest"][:-1]}))


def test_formats_and_projections_are_the_same_in_another_process() -> None:
    """Equal, with that process's hash, so that they find what they key there."""
    kept = [fp.E4M3FN, fp.get_format("binary8p3se"), fp.HIFLOAT8, fp.POSIT8, fp.Projection()]
    for one in kept:
        hash(one)  # is remembered, and must not travel
    assert fp.E4M3FN.values.size == 256
    program = (
        "import pickle, sys, fp8num as fp\n"
        "found = pickle.load(sys.stdin.buffer)\n"
        "own = [fp.E4M3FN, fp.get_format('binary8p3se'), fp.HIFLOAT8, fp.POSIT8, fp.Projection()]\n"
        "assert found == own\n"
        "assert [hash(one) for one in found] == [hash(one) for one in own]\n"
        "assert not found[0].values.flags.writeable\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(kept),
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
    )
