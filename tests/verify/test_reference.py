"""The reference against decisions typed by hand, against tables, and against ml_dtypes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from fp8num.formats import FORMATS, Format, get_format
from fp8num.projection import Rounding, Saturation
from fp8num.verify import reference
from fp8num.verify.reference import Datum, Flags, Kind, decode, encode, exact, flags, project
from fp8num.verify.reference.breakpoints import expected_codes
from fp8num.verify.reference.codes import finite_values
from fp8num.verify.reference.projecting import (
    _round_away_rule,
    round_on_values,
    round_to_precision,
    successor,
)

DETERMINISTIC = [mode for mode in Rounding if not mode.value.startswith("Stochastic")]
SMALL = [fmt for fmt in FORMATS.values() if fmt.bits <= 8]
#: No subnormals but a zero, as DLFloat16: 0 0.75 1 1.5 2 3 4, 0b111 is NaN, 0b1000 is -0.
HOLLOW = Format(
    name="hollow", exponent_bits=2, mantissa_bits=1, bias=1, specials="fn", subnormals=False
)
#: No zero, with a sign: 0.5 1 2, 0b11 is NaN.
ZEROLESS = Format(
    name="zeroless", exponent_bits=2, mantissa_bits=0, bias=1, specials="fn", subnormals=False
)
#: Unsigned, and every code a number: 0 0.5 1 1.5 2 3 4 6.
UNSIGNED_FINITE = Format(
    name="unsigned", exponent_bits=2, mantissa_bits=1, bias=1, specials="none", signed=False
)
ODD_ONES = [HOLLOW, ZEROLESS, UNSIGNED_FINITE, get_format("Binary5p2ue"), get_format("Binary6p1sf")]
ML_DTYPES = {
    "E4M3FN": ml_dtypes.float8_e4m3fn,
    "E5M2": ml_dtypes.float8_e5m2,
    "E4M3IEEE": ml_dtypes.float8_e4m3,
    "E3M4": ml_dtypes.float8_e3m4,
    "E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "E4M3B11FNUZ": ml_dtypes.float8_e4m3b11fnuz,
    "E8M0FNU": ml_dtypes.float8_e8m0fnu,
    "E2M3FN": ml_dtypes.float6_e2m3fn,
    "E3M2FN": ml_dtypes.float6_e3m2fn,
    "E2M1FN": ml_dtypes.float4_e2m1fn,
}
by_small_format = pytest.mark.parametrize("fmt", SMALL, ids=lambda fmt: fmt.name)
by_mode = pytest.mark.parametrize("rounding", DETERMINISTIC, ids=lambda mode: mode.value)


def in_turns(turns: int) -> pytest.MarkDecorator:
    """Give each mode one of so many parts of the numbers by default, and all if exhaustive."""
    return pytest.mark.parametrize("turns", [turns, pytest.param(1, marks=pytest.mark.exhaustive)])


def parse(text: str) -> Datum:
    """Read a number as the tables under tests/data/spec write it."""
    negative, magnitude = text.startswith("-"), text.removeprefix("-")
    if magnitude == "NaN":
        return Datum.nan(negative=negative)
    if magnitude == "Infinity":
        return Datum.infinite(negative=negative)
    product = Fraction(1)
    for factor in magnitude.split("*"):
        base, _, exponent = factor.partition("^")
        product *= Fraction(base) ** int(exponent or 1)
    return Datum.finite(-product if negative else product, negative=negative)


def assert_projects(fmt: Format, rounding: str, saturation: str, x: str, code: str) -> None:
    """Raise unless a number becomes this code, or any NaN if the code says so."""
    actual = project(parse(x), fmt, rounding, saturation)
    if code == "NaN":
        assert decode(actual, fmt).kind is Kind.NAN, f"{fmt.name} {x}: {actual:#x}"
    else:
        assert actual == int(code, 16), f"{fmt.name} {rounding} {saturation} {x}: {actual:#x}"


def boundaries(fmt: Format, *, steps: int = 1) -> npt.NDArray[np.float64]:
    """Return values, midpoints and the floats near them, of both signs."""
    values = np.array([float(value) for value in finite_values(fmt).magnitudes])
    above = successor(fmt)
    values = np.append(values, float(above) if above is not None else 16 * values[-1])
    ulps = np.concatenate([values, (values[1:] + values[:-1]) / 2])
    if fmt.name == "POSIT8":  # the geometric means, where the exponents are cut
        ulps = np.append(ulps, np.sqrt(values[1:-1] * values[2:]))
    found = [ulps]
    for direction in (0.0, np.inf):
        moved = ulps
        for _ in range(steps):
            moved = np.nextafter(moved, direction)
            found.append(moved)
    positive = np.concatenate([*found, [5e-324, 1e-300, 1e300, np.inf, np.nan]])
    return np.concatenate([positive, -positive])


# Tables of the documents.

CONVERSIONS = [
    row
    for path in sorted((Path(__file__).parent.parent / "data" / "spec").glob("*.json"))
    for row in json.loads(path.read_text("utf-8"))["conversions"]
]


def test_conversion_is_the_documents() -> None:
    """The tables under tests/data/spec: thresholds, specials, overflow."""
    assert len(CONVERSIONS) > 160
    for name, *rest in CONVERSIONS:
        assert_projects(get_format(name), *rest)


# Decisions typed by hand.


@pytest.mark.parametrize(
    ("fmt", "plus", "minus"),
    [
        ("E4M3FN", 0x7F, 0xFF),
        ("E5M2", 0x7E, 0xFE),
        ("E4M3IEEE", 0x7C, 0xFC),
        ("E3M4", 0x78, 0xF8),
        ("BINARY16", 0x7E00, 0xFE00),
        ("BFLOAT16", 0x7FC0, 0xFFC0),
        ("E4M3FNUZ", 0x80, 0x80),
        ("E8M0FNU", 0xFF, 0xFF),
        ("UE5M3", 0xFF, 0xFF),
        ("HIFLOAT8", 0x80, 0x80),
        ("POSIT8", 0x80, 0x80),
        ("Binary8p3se", 0x80, 0x80),
        ("Binary8p3ue", 0xFF, 0xFF),
        ("E2M1FN", 0x7, 0x7),
        ("E3M2FN", 0x1F, 0x1F),
    ],
)
@pytest.mark.parametrize("saturation", Saturation)
def test_nan_becomes_the_canonical_nan(
    fmt: str, plus: int, minus: int, saturation: Saturation
) -> None:
    """Sign kept where there are both; the largest value where there is no NaN."""
    for nan, code in ((math.nan, plus), (-math.nan, minus), (np.float16(np.nan), plus)):
        assert project(nan, get_format(fmt), "rne", saturation) == code


def test_nan_into_a_format_without_nan_can_be_an_error_or_zero() -> None:
    """ml_dtypes gives the zero of the opposite sign."""
    fmt = FORMATS["E2M1FN"]

    assert project(math.nan, fmt, "rne", "SatNone", nan="zero") == 0x8
    assert project(-math.nan, fmt, "rne", "SatNone", nan="zero") == 0x0
    with pytest.raises(ValueError, match=r"x must not be NaN for E2M1FN, which has none"):
        project(math.nan, fmt, "rne", "SatNone", nan="raise")


@pytest.mark.parametrize(
    ("saturation", "plus", "minus"),
    [("SatFinite", 0x7E, 0xFE), ("SatPropagate", 0x7F, 0xFF), ("SatNone", 0x7F, 0xFF)],
)
@by_mode
def test_infinity_into_a_format_that_has_only_nan(
    rounding: Rounding, saturation: str, plus: int, minus: int
) -> None:
    """E4M3FN: the largest value, or NaN of infinity's sign."""
    assert project(math.inf, FORMATS["E4M3FN"], rounding, saturation) == plus
    assert project(-math.inf, FORMATS["E4M3FN"], rounding, saturation) == minus


def test_directed_rounding_stops_at_the_largest_value_in_every_family() -> None:
    """SatNone, E4M3FN: as P3109 says of its own formats."""
    fmt = FORMATS["E4M3FN"]
    codes = {
        mode: (project(1e9, fmt, mode, "SatNone"), project(-1e9, fmt, mode, "SatNone"))
        for mode in ("rz", "rd", "ru", "ro", "rne", "rna")
    }

    assert codes == {
        "rz": (0x7E, 0xFE),
        "rd": (0x7E, 0xFF),
        "ru": (0x7F, 0xFE),
        "ro": (0x7F, 0xFF),
        "rne": (0x7F, 0xFF),
        "rna": (0x7F, 0xFF),
    }


def test_odd_rounding_past_the_largest_value_depends_on_its_parity() -> None:
    """448 is an even code, so 449 goes to the odd 480, NaN; 57344 is odd, infinity is not."""
    assert project(449, FORMATS["E4M3FN"], "ro", "SatNone") == 0x7F
    assert project(60000, FORMATS["E5M2"], "ro", "SatNone") == 0x7B
    assert project(65536, FORMATS["E5M2"], "ro", "SatNone") == 0x7B


@pytest.mark.parametrize(
    ("rounding", "codes"),
    [  # -2.6  -2.5  -2.4   2.4   2.5   2.6   3.5   0.1  -0.1  of 0 .5 1 1.5 2 3 4 6
        ("rne", (0xD, 0xC, 0xC, 0x4, 0x4, 0x5, 0x6, 0x0, 0x8)),
        ("rna", (0xD, 0xD, 0xC, 0x4, 0x5, 0x5, 0x6, 0x0, 0x8)),
        ("rz", (0xC, 0xC, 0xC, 0x4, 0x4, 0x4, 0x5, 0x0, 0x8)),
        ("ru", (0xC, 0xC, 0xC, 0x5, 0x5, 0x5, 0x6, 0x1, 0x8)),
        ("rd", (0xD, 0xD, 0xD, 0x4, 0x4, 0x4, 0x5, 0x0, 0x9)),
        ("ro", (0xD, 0xD, 0xD, 0x5, 0x5, 0x5, 0x5, 0x1, 0x9)),
    ],
)
def test_each_mode_on_the_values_of_e2m1(rounding: str, codes: tuple[int, ...]) -> None:
    """A table small enough to check by eye."""
    xs = ("-2.6", "-2.5", "-2.4", "2.4", "2.5", "2.6", "3.5", "0.1", "-0.1")

    assert tuple(project(parse(x), FORMATS["E2M1FN"], rounding, "SatFinite") for x in xs) == codes


@pytest.mark.parametrize(
    ("saturation", "codes"),
    [  # 0, -1, infinity, -infinity, 1.6 * 2^127
        ("SatFinite", (0x00, 0x00, 0xFE, 0x00, 0xFE)),
        ("SatPropagate", (0x00, 0x00, 0xFF, 0xFF, 0xFE)),
        ("SatNone", (0xFF, 0xFF, 0xFF, 0xFF, 0xFF)),
    ],
)
def test_what_e8m0_lacks(saturation: str, codes: tuple[int, ...]) -> None:
    """Zero, negatives, infinities and the too large, by saturation."""
    fmt = FORMATS["E8M0FNU"]
    xs = (0, -1, math.inf, -math.inf, Fraction(8, 5) * 2**127)

    assert tuple(project(x, fmt, "rne", saturation) for x in xs) == codes
    assert project(-0.0, fmt, "rne", saturation) == codes[0]
    assert project(-1e-300, fmt, "rne", saturation) == codes[1]
    for mode in ("rz", "ru", "rd", "ro", "rna"):
        assert project(0, fmt, mode, saturation) == codes[0]
        assert project(-1, fmt, mode, saturation) == codes[1]


@by_mode
@pytest.mark.parametrize("saturation", Saturation)
def test_e8m0_below_its_smallest_value(rounding: Rounding, saturation: Saturation) -> None:
    """Every positive number below 2^-127 gives 2^-127, in every mode."""
    for x in (2.0**-128, 2.0**-130, 5e-324, Fraction(1, 3) * Fraction(2) ** -127):
        assert project(x, FORMATS["E8M0FNU"], rounding, saturation) == 0


def test_e8m0_ties_go_to_the_even_code() -> None:
    """1.5: codes 127 and 128; 3: 128 and 129; 1.5 * 2^127: 254 and what would be 255."""
    fmt = FORMATS["E8M0FNU"]
    ties = (1.5, 3, 6, 1.5 * 2.0**127, 1.5 * 2.0**-127)

    assert [project(x, fmt, "rne", "SatNone") for x in ties] == [128, 128, 130, 254, 0]
    assert [project(x, fmt, "rna", "SatNone") for x in ties] == [128, 129, 130, 255, 1]
    assert [project(x, fmt, "rz", "SatNone") for x in ties] == [127, 128, 129, 254, 0]


def test_the_hole_below_the_smallest_value_is_a_gap_like_others() -> None:
    """Between 0 and 0.75 the tie is at 0.375 and goes to 0's even code."""
    expected = {
        "rne": (0, 0, 1, 8),
        "rna": (0, 1, 1, 9),
        "rz": (0, 0, 0, 8),
        "ru": (1, 1, 1, 8),
        "rd": (0, 0, 0, 9),
        "ro": (1, 1, 1, 9),
    }
    xs = (0.1, 0.375, 0.376, -0.375)

    for mode, codes in expected.items():
        assert tuple(project(x, HOLLOW, mode, "SatNone") for x in xs) == codes, mode
    assert [project(x, HOLLOW, "rne", "SatNone") for x in (4.99, 5, 5.01, -6)] == [6, 6, 7, 15]


def test_a_signed_format_without_zero() -> None:
    """Zero gives the smallest magnitude of its sign, or NaN."""
    codes = {
        saturation: [project(x, ZEROLESS, "rne", saturation) for x in (0.0, -0.0, 0.1, -0.1, -1, 9)]
        for saturation in ("SatFinite", "SatNone")
    }

    assert codes == {"SatFinite": [0, 4, 0, 4, 5, 2], "SatNone": [3, 7, 0, 4, 5, 3]}


@pytest.mark.parametrize("saturation", Saturation)
@by_mode
def test_negatives_in_an_unsigned_format_without_nan(
    rounding: Rounding, saturation: Saturation
) -> None:
    """There is nothing but 0 for them."""
    for x in (-1, -100, -0.0, -1e-30, -math.inf):
        assert project(x, UNSIGNED_FINITE, rounding, saturation) == 0


@pytest.mark.parametrize(
    ("rounding", "x", "code"),
    [
        ("ru", 3e7, 0x80),
        ("rd", 3e7, 0x7F),
        ("rz", 3e7, 0x7F),
        ("ro", 3e7, 0x80),
        ("ru", -3e7, 0x81),
        ("rd", -3e7, 0x80),
        ("ru", 1e-30, 0x01),
        ("rd", 1e-30, 0x00),
        ("rz", -1e-30, 0x00),
        ("rd", -1e-30, 0xFF),
        ("ro", -1e-30, 0xFF),
        ("ru", 1.01, 0x41),
        ("ro", 1.01, 0x41),
        ("ro", -1.2, 0xBF),
    ],
)
def test_other_modes_of_posit8_work_on_its_values(rounding: str, x: float, code: int) -> None:
    """Beyond maxpos is overflow, whose result is NaR; below minpos is a gap."""
    assert project(x, FORMATS["POSIT8"], rounding, "SatNone") == code


@pytest.mark.parametrize(
    ("rounding", "x", "code"),
    [
        ("rz", 40960, 0x6E),
        ("ru", 32769, 0x6F),
        ("rd", -32769, 0xEF),
        ("ro", 32769, 0x6F),
        ("rz", -1.99, 0x8F),
        ("ru", 1e-30, 0x01),
        ("ro", 2.0**-16 * 1.5, 0x07),  # between 0x07 and 0x7E
        ("ru", 2.0**-16 * 1.5, 0x7E),
    ],
)
def test_other_modes_of_hifloat8_work_on_its_values(rounding: str, x: float, code: int) -> None:
    """What follows 2^15 is 1.5 * 2^15, whose code is infinity's."""
    assert project(x, FORMATS["HIFLOAT8"], rounding, "SatNone") == code


# Stochastic rounding, by truth tables worked out on paper: 1 is code 2, 1.5 is code 3.


@pytest.mark.parametrize(
    ("eighths", "width", "up"),
    [  # nu in eighths of the gap; from which R on each of A, B, C rounds up (2^N: never)
        (2, 1, {"sra": 2, "srb": 1, "src": 2}),  # nu 2^N = 0.5
        (6, 1, {"sra": 1, "srb": 0, "src": 0}),  # 1.5
        (1, 2, {"sra": 4, "srb": 3, "src": 4}),  # 0.5
        (2, 2, {"sra": 3, "srb": 3, "src": 3}),  # 1
        (3, 2, {"sra": 3, "srb": 2, "src": 2}),  # 1.5
        (5, 2, {"sra": 2, "srb": 1, "src": 2}),  # 2.5
        (7, 2, {"sra": 1, "srb": 0, "src": 0}),  # 3.5
        (3, 3, {"sra": 5, "srb": 5, "src": 5}),  # 3
        (0, 2, {"sra": 4, "srb": 4, "src": 4}),
        (4, 0, {"sra": 1, "srb": 0, "src": 1}),  # no random bits: 0.5
        (5, 0, {"sra": 1, "srb": 0, "src": 0}),
        (3, 0, {"sra": 1, "srb": 1, "src": 1}),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_stochastic_modes_round_up_from_this_random_number_on(
    eighths: int, width: int, up: dict[str, int], sign: int
) -> None:
    """P3109's three formulas, for every R."""
    x = sign * (1 + Fraction(eighths, 16))
    for mode, first in up.items():
        codes = [
            project(x, FORMATS["E2M1FN"], mode, "SatNone", random_bits=r, random_width=width)
            for r in range(1 << width)
        ]
        expected = [3 if r >= first else 2 for r in range(1 << width)]
        assert [code & 7 for code in codes] == expected, mode
        assert all((code >= 8) == (sign < 0) for code in codes)


@pytest.mark.parametrize(
    ("fmt", "low", "high", "codes"),
    [
        ("E4M3FN", 448, 480, (0x7E, 0x7F)),
        ("E8M0FNU", 2.0**127, 2.0**128, (0xFE, 0xFF)),
        ("HIFLOAT8", 2.0**15, 1.5 * 2.0**15, (0x6E, 0x6F)),
        ("POSIT8", 0, 2.0**-24, (0x00, 0x01)),
        ("Binary8p1uf", 2.0**-127, 2.0**-126, (0x01, 0x02)),
    ],
)
def test_stochastic_rounding_measures_the_gap_between_neighbours(
    fmt: str, low: float, high: float, codes: tuple[int, int]
) -> None:
    """A quarter of the way up, one R of four rounds up, at the ends of the range too."""
    x = low + (high - low) / 4
    actual = [
        project(x, get_format(fmt), "sra", "SatNone", random_bits=r, random_width=2)
        for r in range(4)
    ]

    assert actual == [codes[0]] * 3 + [codes[1]]


# Reading numbers, and refusing what is not one.


@pytest.mark.parametrize(
    ("x", "value"),
    [
        (3, Fraction(3)),
        (np.int8(-3), Fraction(-3)),
        (np.uint64(2**64 - 1), Fraction(2**64 - 1)),
        (Fraction(1, 3), Fraction(1, 3)),
        (0.1, Fraction(0.1)),
        (np.float16(0.1), Fraction(819, 8192)),
        (ml_dtypes.bfloat16(1.5), Fraction(3, 2)),
        (ml_dtypes.float8_e4m3fn(448), Fraction(448)),
        (np.float32(2**-149), Fraction(1, 2**149)),
        (np.float64(5e-324), Fraction(1, 2**1074)),
        (np.longdouble(1) + np.finfo(np.longdouble).eps, None),
    ],
)
def test_numbers_of_any_type_are_read_exactly(x: Any, value: Fraction | None) -> None:
    """A long double has more bits than a float."""
    expected = 1 + Fraction(1, 2 ** np.finfo(np.longdouble).nmant) if value is None else value

    assert exact(x) == Datum.finite(expected)


@pytest.mark.parametrize(
    "kind", [float, np.float16, np.float32, np.float64, np.longdouble, ml_dtypes.bfloat16]
)
def test_signs_of_zeros_infinities_and_nans_are_kept(kind: Any) -> None:
    """In every type."""
    for sign in (1.0, -1.0):
        negative = sign < 0
        assert exact(kind(math.copysign(0.0, sign))) == Datum.finite(Fraction(0), negative=negative)
        assert exact(kind(sign * math.inf)) == Datum.infinite(negative=negative)
        assert exact(kind(math.copysign(math.nan, sign))) == Datum.nan(negative=negative)


@pytest.mark.parametrize("x", [True, "1", 1j, None, np.bool_(1), np.complex64(1)])
def test_what_is_not_a_real_number_is_refused(x: Any) -> None:
    """Booleans too."""
    with pytest.raises(TypeError, match="x must be a real number, got "):
        exact(x)


@pytest.mark.parametrize(
    ("bits", "width"), [(None, None), (4, 2), (-1, 2), (1, None), (None, 3), (0, -1)]
)
def test_stochastic_modes_need_random_bits(bits: int | None, width: int | None) -> None:
    """Missing or out of range."""
    with pytest.raises(ValueError, match=r"StochasticA needs random_bits from 0 to 2\*\*random_w"):
        project(1.1, HOLLOW, "sra", "SatNone", random_bits=bits, random_width=width)


def test_other_modes_refuse_random_bits() -> None:
    """They would be forgotten."""
    with pytest.raises(ValueError, match="must be None for TowardZero, got 1 and 2"):
        project(1.1, HOLLOW, "rz", "SatNone", random_bits=1, random_width=2)


@pytest.mark.parametrize("code", [-1, 256])
def test_codes_out_of_range_are_refused(code: int) -> None:
    """E4M3FN has eight bits."""
    with pytest.raises(ValueError, match=f"code must be from 0 to 255 for E4M3FN, got {code}"):
        decode(code, FORMATS["E4M3FN"])


def test_tables_without_a_definition_are_refused() -> None:
    """A user's own table is data, not a definition."""
    fmt = replace(FORMATS["POSIT8"], name="mine")

    with pytest.raises(ValueError, match="fmt must be parametric, HIFLOAT8 or POSIT8, got mine"):
        decode(0, fmt)


@pytest.mark.parametrize(
    ("fmt", "datum"),
    [
        ("E4M3FN", Datum.finite(Fraction(449))),
        ("E4M3FN", Datum.infinite()),
        ("E2M1FN", Datum.nan()),
        ("Binary8p3ue", Datum.infinite(negative=True)),
        ("E8M0FNU", Datum.finite(Fraction(0))),
    ],
)
def test_what_a_format_does_not_hold_is_not_encoded(fmt: str, datum: Datum) -> None:
    """Nothing is rounded on the way."""
    with pytest.raises(ValueError, match=f"datum must be one that {fmt} holds"):
        encode(datum, get_format(fmt))


@pytest.mark.parametrize("fmt", [*SMALL, *ODD_ONES], ids=lambda fmt: fmt.name)
def test_encode_undoes_decode(fmt: Format) -> None:
    """NaNs aside, which have one code of each sign."""
    for code in range(1 << fmt.bits):
        datum = decode(code, fmt)
        if datum.kind is not Kind.NAN:
            assert encode(datum, fmt) == code


@pytest.mark.parametrize("fmt", [*SMALL, *ODD_ONES], ids=lambda fmt: fmt.name)
def test_values_stay_as_they_are(fmt: Format) -> None:
    """Every finite value projects to its own code, in every mode."""
    for code in range(1 << fmt.bits):
        datum = decode(code, fmt)
        if datum.is_finite:
            found = {mode: project(datum, fmt, mode, "SatNone") for mode in DETERMINISTIC}
            assert set(found.values()) == {code}, found


# One definition against another.


@pytest.mark.parametrize(
    "fmt",
    [f for f in [*SMALL, *ODD_ONES] if f.subnormals and f.exponent_bits],
    ids=lambda f: f.name,
)
@in_turns(6)
def test_rounding_to_a_precision_is_rounding_on_the_values(fmt: Format, turns: int) -> None:
    """P3109's formulas choose among the neighbours as the value set does, in every mode."""
    high = finite_values(fmt).high
    assert fmt.mantissa_bits is not None
    assert fmt.bias is not None
    for first, rounding in enumerate(DETERMINISTIC):
        away = _round_away_rule(rounding, None, None)
        for x in boundaries(fmt)[first % turns :: turns]:
            if 0 < abs(x) < np.inf:
                value = Fraction(float(x))
                formula = round_to_precision(value, fmt.mantissa_bits + 1, fmt.bias, away)
                on_values = round_on_values(value, fmt, away)
                assert formula == on_values or min(abs(formula), abs(on_values)) > high, x.hex()


def test_hifloat8_to_nearest_is_half_away_on_the_values() -> None:
    """The vendor's formula, and the midpoints of the value set."""
    fmt = FORMATS["HIFLOAT8"]
    away = _round_away_rule(Rounding.NEAREST_TIES_TO_AWAY, None, None)
    for x in boundaries(fmt, steps=2):
        if 0 < abs(x) < 1e5:
            rounded = (
                encode(Datum.finite(round_on_values(Fraction(float(x)), fmt, away)), fmt)
                if abs(x) < 40960
                else (0x6F if x > 0 else 0xEF)
            )
            assert project(x, fmt, "rne", "SatNone") == rounded, x.hex()


def test_posit8_to_nearest_is_rounding_of_the_bit_string() -> None:
    """Truncate a 40-bit posit by guard and sticky bits: the standard's other wording."""

    def long_code(x: Fraction) -> int:
        low, high = 1, (1 << 39) - 1
        while low < high:  # the largest code whose value does not exceed x
            middle = (low + high + 1) // 2
            value = reference.codes.decode_posit(middle, 40).value
            low, high = (middle, high) if value <= x else (low, middle - 1)
        return 2 * low + (reference.codes.decode_posit(low, 40).value < x)

    for x in boundaries(FORMATS["POSIT8"]):
        if 2.0**-24 <= x <= 2.0**24:
            kept, rest = divmod(long_code(Fraction(float(x))), 1 << 33)
            code = kept + (rest > 1 << 32 or (rest == 1 << 32 and kept % 2 == 1))
            assert project(x, FORMATS["POSIT8"], "rne", "SatNone") == code, x.hex()


# ml_dtypes, for what it rounds once: float16, bfloat16 and float32.


@pytest.mark.parametrize("name", ML_DTYPES)
@pytest.mark.parametrize("source", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_ml_dtypes_casts_the_same(name: str, source: Any) -> None:
    """SatNone, to nearest even: all float16 and bfloat16, float32 at the boundaries."""
    fmt = FORMATS[name]
    if source is np.float32:
        rng = np.random.default_rng(0)
        with np.errstate(over="ignore"):
            near = boundaries(fmt, steps=0).astype(np.float32)
        near = np.concatenate(
            [near, *(np.nextafter(near, np.float32(s)) for s in (-np.inf, np.inf))]
        )
        bits = rng.integers(0, 1 << 32, 4096, np.uint64).astype(np.uint32)
        x: npt.NDArray[Any] = np.concatenate([near, bits.view(np.float32)])
    else:
        x = np.arange(1 << 16, dtype=np.uint16).view(source)
    if name == "E8M0FNU":
        # Between 2^-127 and 2^-126 ml_dtypes 0.6.0 rounds everything up.
        with np.errstate(invalid="ignore"):
            x = x[~((x > 2.0**-127) & (x < 2.0**-126))]
    # E8M0: its ties go up.  FP4 and FP6: its NaN is a zero.
    rounding = "rna" if name == "E8M0FNU" else "rne"

    with np.errstate(invalid="ignore", over="ignore"):
        expected = x.astype(ML_DTYPES[name]).view(np.uint8)

    actual = expected_codes(x, fmt, rounding, "SatNone", nan="zero")
    np.testing.assert_array_equal(actual, expected)


# Breakpoints.


@by_small_format
@in_turns(6)
def test_expected_codes_are_projects(fmt: Format, turns: int) -> None:
    """At values, midpoints and beside them, and at random bits; every mode by a saturation."""
    modes = list(enumerate(DETERMINISTIC, SMALL.index(fmt)))
    rng = np.random.default_rng(1)
    x = boundaries(fmt)
    x = np.concatenate([x, rng.integers(0, 1 << 64, 64, np.uint64).view(np.float64)])
    outside = x[~(np.abs(x) < float(finite_values(fmt).high))]
    for first, rounding in modes if turns == 1 else modes[SMALL.index(fmt) % 2 :: 2]:
        saturation = list(Saturation)[first % 3]
        part = np.concatenate([x[first % turns :: turns], outside])  # the modes in turn
        actual = expected_codes(part, fmt, rounding, saturation)

        expected = [project(item, fmt, rounding, saturation) for item in part]
        np.testing.assert_array_equal(actual, expected, f"{rounding} {saturation}")


@pytest.mark.parametrize("fmt", ODD_ONES, ids=lambda fmt: fmt.name)
@in_turns(3)
def test_expected_codes_of_unusual_formats_are_projects(fmt: Format, turns: int) -> None:
    """No zero, no subnormals, no sign, no NaN."""
    x = boundaries(fmt)
    pairs = list(product(DETERMINISTIC, Saturation))
    for rounding, saturation in pairs if turns == 1 else pairs[:: turns + 1]:
        expected = [project(item, fmt, rounding, saturation) for item in x]
        actual = expected_codes(x, fmt, rounding, saturation)
        np.testing.assert_array_equal(actual, expected, f"{rounding} {saturation}")


@pytest.mark.parametrize(
    "source", ["float16", "bfloat16", "float32", "float64", ">f4", "longdouble"]
)
@pytest.mark.parametrize(
    "name", ["E4M3FN", "E5M2", "E8M0FNU", "POSIT8", "Binary8p3ue", "Binary8p2se"]
)
@in_turns(3)
def test_expected_codes_of_every_type_are_projects(source: str, name: str, turns: int) -> None:
    """Near the boundaries, and the ends of a type whose range the format exceeds."""
    fmt = get_format(name)
    dtype = np.dtype(ml_dtypes.bfloat16 if source == "bfloat16" else source)
    with np.errstate(over="ignore"):
        x = boundaries(fmt, steps=0)[::7].astype(dtype)
    info = ml_dtypes.finfo(dtype.newbyteorder("="))
    ends = np.array([info.max, info.smallest_subnormal], dtype)
    x = np.concatenate([x, ends, -ends]).astype(dtype)[np.newaxis]

    for first, rounding in enumerate(DETERMINISTIC):
        part = x[:, first % turns :: turns]
        actual = expected_codes(part, fmt, rounding, "SatNone")
        assert actual.shape == part.shape
        assert actual.dtype == np.uint8
        expected = [project(item, fmt, rounding, "SatNone") for item in part.ravel()]
        np.testing.assert_array_equal(actual.ravel(), expected)


def test_expected_codes_of_integers_and_scalars() -> None:
    """One by one, and with no dimensions."""
    fmt = FORMATS["E4M3FN"]

    assert expected_codes(np.arange(4), fmt, "rne", "SatNone").tolist() == [0, 0x38, 0x40, 0x44]
    assert expected_codes(np.array(2.0), fmt, "rne", "SatNone").shape == ()
    assert expected_codes(np.zeros((0, 3)), fmt, "rne", "SatNone").shape == (0, 3)
    wide = get_format("w5m4-ieee")
    assert expected_codes(np.array([1.0]), wide, "rne", "SatNone").tolist() == [0b0_01111_0000]


def test_breakpoints_of_e2m1() -> None:
    """To nearest: the midpoints, each of which belongs to the even code."""
    points = reference.breakpoints(FORMATS["E2M1FN"], "rne", "SatFinite")

    assert points[0] == (None, False, 0xF)
    assert [(float(p.value), p.inclusive, p.code) for p in points[1:] if p.value is not None] == [
        (-5.0, True, 0xE), (-3.5, False, 0xD), (-2.5, True, 0xC), (-1.75, False, 0xB),
        (-1.25, True, 0xA), (-0.75, False, 0x9), (-0.25, True, 0x8), (0.0, True, 0x0),
        (0.25, False, 0x1), (0.75, True, 0x2), (1.25, False, 0x3), (1.75, True, 0x4),
        (2.5, False, 0x5), (3.5, True, 0x6), (5.0, False, 0x7),
    ]  # fmt: skip


@pytest.mark.parametrize("function", [reference.breakpoints, expected_codes])
def test_stochastic_modes_have_no_breakpoints(function: Any) -> None:
    """They depend on the random bits."""
    x = [] if function is reference.breakpoints else [np.zeros(1)]

    with pytest.raises(ValueError, match="rounding must be deterministic to have breakpoints, got"):
        function(*x, FORMATS["E4M3FN"], "src", "SatNone")


# Flags.

NONE = Flags(inexact=False, underflow=False, overflow=False, invalid=False)
INEXACT = NONE._replace(inexact=True)
UNDERFLOW = INEXACT._replace(underflow=True)
OVERFLOW = INEXACT._replace(overflow=True)
INVALID = NONE._replace(invalid=True)


@pytest.mark.parametrize(
    ("case", "after", "before"),
    [
        ("E4M3FN rne SatFinite 1", NONE, NONE),
        ("E4M3FN rne SatFinite -0", NONE, NONE),
        ("E4M3FN rne SatFinite 1.01", INEXACT, INEXACT),
        ("E4M3FN rne SatFinite 448.1", INEXACT, INEXACT),
        ("E4M3FN rne SatFinite 464", INEXACT, INEXACT),
        ("E4M3FN rne SatFinite 465", OVERFLOW, OVERFLOW),
        ("E4M3FN rne SatNone -465", OVERFLOW, OVERFLOW),
        ("E4M3FN rz SatNone 479", INEXACT, INEXACT),
        ("E4M3FN rz SatNone 480", OVERFLOW, OVERFLOW),
        ("E4M3FN rne SatFinite Infinity", INVALID, INVALID),
        ("E4M3FN rne SatFinite NaN", NONE, NONE),
        ("E5M2 rne SatFinite -Infinity", NONE, NONE),
        ("E2M1FN rne SatFinite NaN", INVALID, INVALID),
        # Subnormal and exact, subnormal and not, and just below 2^-6, where four bits
        # would round to 2^-6: tiny before rounding alone.
        ("E4M3FN rne SatFinite 2^-9", NONE, NONE),
        ("E4M3FN rne SatFinite 1.1*2^-9", UNDERFLOW, UNDERFLOW),
        ("E4M3FN rne SatFinite -2^-12", UNDERFLOW, UNDERFLOW),
        ("E4M3FN rne SatFinite 0.95*2^-6", UNDERFLOW, UNDERFLOW),
        ("E4M3FN rne SatFinite 0.97*2^-6", INEXACT, UNDERFLOW),
        ("E4M3FN rz SatFinite 0.97*2^-6", UNDERFLOW, UNDERFLOW),
        ("UE5M3 rne SatNone -1", INEXACT._replace(invalid=True), None),
        ("UE5M3 rne SatNone -2^30", INEXACT._replace(invalid=True), None),
        ("UE5M3 rne SatNone -2^-30", UNDERFLOW, UNDERFLOW),
        ("UE5M3 rd SatNone -2^-30", UNDERFLOW._replace(invalid=True), None),
        ("Binary8p3ue rne SatNone -Infinity", INVALID, INVALID),
        ("Binary8p3ue rne SatNone Infinity", NONE, NONE),
        ("E8M0FNU rne SatNone 0", INEXACT._replace(invalid=True), None),
        ("E8M0FNU rne SatFinite 2^-130", UNDERFLOW, UNDERFLOW),
        ("E8M0FNU rne SatFinite -2^-130", UNDERFLOW._replace(invalid=True), None),
        ("HIFLOAT8 rne SatNone 40960", OVERFLOW, OVERFLOW),
        ("HIFLOAT8 rne SatNone 1.1*2^-20", UNDERFLOW, UNDERFLOW),
        ("HIFLOAT8 rne SatNone 1.9*2^-16", INEXACT, UNDERFLOW),
        ("POSIT8 rne SatNone 2^-30", INEXACT, UNDERFLOW),
        ("POSIT8 rz SatNone 2^-30", UNDERFLOW, UNDERFLOW),
        ("POSIT8 rne SatNone 2^30", INEXACT, INEXACT),
        ("POSIT8 ru SatNone 2^30", OVERFLOW, OVERFLOW),
        ("POSIT8 rne SatNone Infinity", INVALID, INVALID),
    ],
)
def test_flags(case: str, after: Flags, before: Flags | None) -> None:
    """By tininess after and before rounding; None where both are the same."""
    name, rounding, saturation, x = case.split()
    arguments = parse(x), get_format(name), rounding, saturation

    assert flags(*arguments) == after
    assert flags(*arguments, tininess="before") == (after if before is None else before)


def test_flags_of_stochastic_rounding_use_the_random_bits() -> None:
    """479 goes up to 480 or down to 448."""
    results = [
        flags(479, FORMATS["E4M3FN"], "sra", "SatNone", random_bits=r, random_width=2)
        for r in (0, 3)
    ]

    assert results == [INEXACT, OVERFLOW]


def test_tininess_is_after_or_before() -> None:
    """Nothing else."""
    with pytest.raises(ValueError, match="tininess must be 'after' or 'before', got 'during'"):
        flags(1, HOLLOW, "rne", "SatNone", tininess="during")


# The helpers can fail.


def test_a_wrong_code_is_noticed() -> None:
    """Another code, and a number where NaN is expected."""
    with pytest.raises(AssertionError, match=r"E4M3FN rne SatNone 464: 0x7e"):
        assert_projects(FORMATS["E4M3FN"], "rne", "SatNone", "464", "0x7F")
    with pytest.raises(AssertionError, match=r"E4M3FN 464: 0x7e"):
        assert_projects(FORMATS["E4M3FN"], "rne", "SatNone", "464", "NaN")


# Everything.


@pytest.mark.exhaustive
@pytest.mark.parametrize("saturation", Saturation)
@by_mode
@by_small_format
def test_expected_codes_of_all_float16_are_projects(
    fmt: Format, rounding: Rounding, saturation: Saturation
) -> None:
    """All 65,536 of them, one by one."""
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)

    expected = [project(item, fmt, rounding, saturation) for item in x]
    np.testing.assert_array_equal(expected_codes(x, fmt, rounding, saturation), expected)


@pytest.mark.exhaustive
@by_mode
@pytest.mark.parametrize("name", ["BINARY16", "BFLOAT16", "Binary12p6se"])
def test_expected_codes_of_wide_formats_are_projects(name: str, rounding: Rounding) -> None:
    """Their breakpoints, against asking at 65,536 random floats and at the boundaries."""
    fmt = get_format(name)
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 1 << 64, 1 << 16, np.uint64)
    x = np.concatenate([boundaries(fmt), bits.view(np.float64)])

    expected = [project(item, fmt, rounding, "SatNone") for item in x]
    np.testing.assert_array_equal(expected_codes(x, fmt, rounding, "SatNone"), expected)
