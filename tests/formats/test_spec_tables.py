"""The catalogue, and the reference's decoding, against tables typed from the documents."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from fp8num.formats import FORMATS, Format, get_format
from fp8num.verify import reference
from fp8num.verify.reference import Datum

SPEC = Path(__file__).parent.parent / "data" / "spec"
TABLES = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(SPEC.glob("*.json"))}
ENTRIES = {name: entry for table in TABLES.values() for name, entry in table["formats"].items()}

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


def number(text: str) -> Fraction:
    """Read a product of decimals and powers of two; the sign of zero is left out."""
    product = Fraction(1)
    for factor in text.removeprefix("-").split("*"):
        base, _, exponent = factor.partition("^")
        product *= Fraction(base) ** int(exponent or 1)
    return -product if text.startswith("-") else product


def codes_where(fmt: Format, kind: str) -> set[int]:
    """Codes of the catalogue's own decoding that are infinities, NaNs or zeros."""
    values = fmt.values
    found = {"infinity": np.isinf(values), "nan": np.isnan(values), "zero": values == 0}[kind]
    return set(np.flatnonzero(found).tolist())


#: What is exact and slow is asked about some codes of a wide format, all in `exhaustive`.
by_stride = pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.exhaustive)])


def facts(*keys: str) -> list[tuple[str, str, Any]]:
    """Return every fact of these kinds in the tables: format, kind, and what is said."""
    return [
        (name, key, entry[key]) for name, entry in ENTRIES.items() for key in keys if key in entry
    ]


def assert_codes_decode_to(fmt: Format, expected: dict[int, Datum]) -> None:
    """Raise unless the catalogue's table and the reference's both say so, signs included."""
    for code, datum in expected.items():
        where = f"{fmt.name} {code:#x}"
        assert reference.decode(code, fmt) == datum, f"the reference's {where}"
        value = reference.exact(float(fmt.values[code]))
        assert (value.kind, value.value) == (datum.kind, datum.value), f"the catalogue's {where}"
        assert value.negative == datum.negative or not datum.is_zero, f"the sign of {where}"


def test_every_catalogue_entry_has_a_table() -> None:
    """No format is in the catalogue without facts from a document."""
    assert set(FORMATS) - set(ENTRIES) == set()


def test_parameters_are_the_documents(each: Any) -> None:
    """Widths, bias and exponent range are the document's."""

    def compare(name: str, key: str, expected: int) -> None:
        assert getattr(get_format(name), key) == expected

    keys = ("bits", "exponent_bits", "mantissa_bits", "precision", "bias", "emax", "emin")
    each(facts(*keys), compare)


def test_extreme_values_are_the_documents(each: Any) -> None:
    """The ends of the range, of the normal and of the subnormal numbers."""

    def compare(name: str, key: str, expected: str | None) -> None:
        actual = getattr(get_format(name), key)

        assert (actual is None) == (expected is None)
        if expected is not None:
            assert Fraction(actual) == number(expected)

    each(facts("max", "smallest_normal", "smallest_subnormal"), compare)


def kinds_among(codes: set[int], fmt: Format) -> dict[str, set[int]]:
    """Return which codes are infinities, NaNs and zeros by the reference's decoding."""
    decoded = {code: reference.decode(code, fmt) for code in codes}
    return {
        "infinity": {code for code, d in decoded.items() if d.kind is reference.Kind.INFINITE},
        "nan": {code for code, d in decoded.items() if d.kind is reference.Kind.NAN},
        "zero": {code for code, d in decoded.items() if d.is_zero},
    }


@by_stride
def test_special_codes_are_the_documents(each: Any, stride: int) -> None:
    """Exactly these codes are infinities, NaNs and zeros."""

    def compare(name: str, key: str, expected: list[str]) -> None:
        fmt = get_format(name)
        codes, every = {int(text, 16) for text in expected}, range(1 << fmt.bits)
        beside = {code + step for code in codes for step in (-1, 0, 1)} & {*every}
        some = beside | {*every[:: stride if fmt.bits > 8 else 1]}

        assert codes_where(fmt, key) == codes
        assert kinds_among(some, fmt)[key] == codes

    each(facts("infinity", "nan", "zero"), compare)


def test_counts_are_the_documents(each: Any) -> None:
    """How many NaNs, finite values or binades there are."""

    def compare(name: str, key: str, expected: int) -> None:
        values = get_format(name).values
        finite = values[np.isfinite(values)]
        exponents = np.frexp(np.abs(finite[finite != 0]))[1]
        counts = {
            "nan_count": np.isnan(values).sum(),
            "finite": len(finite),
            "binades": exponents.max() - exponents.min() + 1,
        }

        assert counts[key] == expected

    each(facts("nan_count", "finite", "binades"), compare)


def test_codes_have_the_documents_values(each: Any) -> None:
    """Single codes that the document lists."""

    def compare(name: str, _: str, expected: dict[str, str]) -> None:
        assert_codes_decode_to(
            get_format(name),
            {
                int(code, 16): Datum.finite(number(text), negative=text.startswith("-"))
                for code, text in expected.items()
            },
        )

    each(facts("codes"), compare)


@pytest.mark.parametrize(("name", "key", "rows"), facts("binade_rows"))
def test_rows_of_binades_give_every_code(name: str, key: str, rows: list[Any]) -> None:
    """The tapered formats, row by row of their documents' tables."""
    assert key == "binade_rows"
    fmt = get_format(name)
    magnitudes = {
        int(first, 16) + mantissa: (1 + Fraction(mantissa, 1 << bits)) * Fraction(2) ** exponent
        for first, exponent, bits in rows
        for mantissa in range(1 << bits)
    }
    if name == "HIFLOAT8":  # the last of them is infinity's
        assert magnitudes.pop(0x6F) == Fraction(3 << 14)
    expected = {code: Datum.finite(value) for code, value in magnitudes.items()}
    for code, value in magnitudes.items():
        negated = 256 - code if name == "POSIT8" else 128 + code
        expected[negated] = Datum.finite(-value)
    specials = {
        int(text, 16) for kind in ("infinity", "nan", "zero") for text in ENTRIES[name][kind]
    }

    assert set(expected) | specials == set(range(256))
    assert_codes_decode_to(fmt, expected)


LAYOUTS = [name for name, entry in ENTRIES.items() if "bias" in entry and name != "E8M0FNU"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_finite_code_obeys_the_value_formula(name: str) -> None:
    """E > 0: (-1)^S 2^(E-bias) (1 + M/2^m); E = 0: (-1)^S 2^(1-bias) M/2^m (OFP8, section 5)."""
    fmt, entry = get_format(name), ENTRIES[name]
    m, bias = entry["mantissa_bits"], entry["bias"]
    values = fmt.values
    expected = {}
    # All 65,536 codes of the wide ones are compared with NumPy's and ml_dtypes' below.
    for code in np.flatnonzero(np.isfinite(values))[:: 1 if fmt.bits <= 8 else 13].tolist():
        sign, field = divmod(code, 1 << (entry["exponent_bits"] + m))
        e, f = divmod(field, 1 << m)
        value = Fraction(2) ** (e - bias) * (1 + Fraction(f, 1 << m))
        if e == 0:
            value = Fraction(2) ** (1 - bias) * Fraction(f, 1 << m)
        expected[code] = Datum.finite((-1) ** sign * value, negative=bool(sign))

    assert_codes_decode_to(fmt, expected)


def test_every_code_of_e8m0_is_a_power_of_two() -> None:
    """OCP MX 1.0, section 5.4.1: the value is 2^(c - 127), and 255 is NaN."""
    assert_codes_decode_to(
        FORMATS["E8M0FNU"], {c: Datum.finite(Fraction(2) ** (c - 127)) for c in range(255)}
    )


@by_stride
@pytest.mark.parametrize(("name", "dtype"), ML_DTYPES.items())
def test_every_code_is_ml_dtypes_value(name: str, dtype: str, stride: int) -> None:
    """Every code of every type ml_dtypes has, its value as float64 and its sign."""
    fmt = FORMATS[name]
    codes = np.arange(1 << fmt.bits, dtype=np.uint16 if fmt.bits > 8 else np.uint8)
    with np.errstate(invalid="ignore"):  # signalling NaNs of bfloat16
        expected = codes.view(getattr(ml_dtypes, dtype)).astype(np.float64)
    np.testing.assert_array_equal(fmt.values, expected)
    finite = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(fmt.values)[finite], np.signbit(expected)[finite])
    for code in codes[:: stride if fmt.bits > 8 else 1].tolist():
        theirs = expected[code].item()
        ours, peer = reference.decode(code, fmt), reference.exact(theirs)
        assert (ours.kind, ours.value) == (peer.kind, peer.value), f"{name} {code:#x}"
        assert ours.negative == peer.negative or np.isnan(theirs), f"{name} {code:#x}"


@by_stride
def test_every_code_of_binary16_is_numpys_value(stride: int) -> None:
    """NumPy's float16 is IEEE 754's binary16."""
    fmt = FORMATS["BINARY16"]
    expected = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)

    np.testing.assert_array_equal(fmt.values, expected)
    for code in range(0, 1 << 16, stride):
        if np.isfinite(expected[code]):
            assert reference.decode(code, fmt) == reference.exact(float(expected[code]))


# IEEE P3109: all 120 formats of 3 to 8 bits, by the report's formulas.

P3109 = [
    (bits, precision, sign, domain)
    for bits in range(3, 9)
    for sign in "su"
    for precision in range(1, bits + (sign == "u"))
    for domain in "ef"
]


def p3109_value(code: int, bits: int, precision: int, sign: str, domain: str) -> Datum:
    """IEEE P3109 v4.0, Decode, written from the report's text; the first match wins."""
    signed, extended = sign == "s", domain == "e"
    bias = 2 ** (bits - precision - 1) if signed else 2 ** (bits - precision)
    nan = 2 ** (bits - 1) if signed else 2**bits - 1
    infinity = 2 ** (bits - 1) - 1 if signed else 2**bits - 2
    if code == nan:
        return Datum.nan()
    if extended and code == infinity:
        return Datum.infinite()
    if extended and signed and code == 2**bits - 1:
        return Datum.infinite(negative=True)
    if signed and code > 2 ** (bits - 1):
        return Datum.finite(-p3109_value(code - 2 ** (bits - 1), bits, precision, sign, "f").value)
    trailing, exponent = code % 2 ** (precision - 1), code // 2 ** (precision - 1)
    fraction = trailing * Fraction(2) ** (1 - precision)
    if exponent == 0:
        return Datum.finite(fraction * Fraction(2) ** (1 - bias))
    return Datum.finite((1 + fraction) * Fraction(2) ** (exponent - bias))


def p3109_emax(bits: int, precision: int, sign: str, domain: str) -> int:
    """IEEE P3109 v4.0: the exponent of the largest finite value, with its exceptions."""
    if sign == "s":
        if precision == 1 and domain == "e":
            return 2 ** (bits - 2) - 2
        return int(2 ** (bits - precision - 1)) - 1
    exceptions = {
        (1, "e"): 2 ** (bits - 1) - 3,
        (1, "f"): 2 ** (bits - 1) - 2,
        (2, "e"): 2 ** (bits - 2) - 2,
    }
    return exceptions.get((precision, domain), 2 ** (bits - precision) - 1)


def test_there_are_120_small_p3109_formats() -> None:
    """K = 3 to 8, P from 1 to K - 1 signed and to K unsigned, two domains."""
    assert len(P3109) == 120


@pytest.mark.parametrize("width", range(3, 9))
def test_p3109_format_is_the_reports(width: int) -> None:
    """Every code, the code of one, and the largest exponent."""
    for bits, precision, sign, domain in P3109:
        if bits != width:
            continue
        name = f"Binary{bits}p{precision}{sign}{domain}"
        fmt = get_format(name)
        data = {code: p3109_value(code, bits, precision, sign, domain) for code in range(1 << bits)}

        assert fmt.bits == bits, name
        assert fmt.emax == p3109_emax(bits, precision, sign, domain), name
        assert data[1 << (bits - 2) if sign == "s" else 1 << (bits - 1)].value == 1, name
        assert sum(datum.is_zero for datum in data.values()) == 1, name
        assert_codes_decode_to(fmt, data)


@pytest.mark.parametrize("name", TABLES["p3109"]["formats"])
def test_p3109_range_is_the_reports(name: str) -> None:
    """The largest and the smallest positive value of the eight-bit formats."""
    entry, fmt = TABLES["p3109"]["formats"][name], get_format(name)
    values = fmt.values
    positive = values[(values > 0) & np.isfinite(values)]

    assert Fraction(positive.max()) == number(entry["max"])
    if "smallest_positive" in entry:
        assert Fraction(positive.min()) == number(entry["smallest_positive"])


# The checks above can fail.


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        (0x7E, Datum.finite(Fraction(480))),
        (0x80, Datum.finite(Fraction(0))),
        (0x7F, Datum.infinite()),
        (0x7E, Datum.nan()),
    ],
)
def test_a_wrong_value_is_noticed(code: int, wrong: Datum) -> None:
    """A value, a sign of zero and a kind that are not E4M3FN's are refused."""
    with pytest.raises(AssertionError, match="E4M3FN"):
        assert_codes_decode_to(FORMATS["E4M3FN"], {code: wrong})


def test_numbers_are_read_exactly() -> None:
    """The little notation of the tables."""
    assert number("-1.75*2^8") == -448
    assert number("0.875*2^-6") == Fraction(7, 512)
    assert number("-0") == 0
