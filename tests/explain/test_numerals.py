"""Numbers are read exactly, and written exactly or marked as rounded."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fp8num.explain.numerals import (
    decimal_text,
    exact_decimal,
    exact_record,
    fraction_text,
    hex_text,
    nearest_float,
    odd_factor,
    parse_number,
    round_to_odd,
    short_text,
)
from fp8num.formats import FORMATS, Format

finite_floats = st.floats(allow_nan=False, allow_infinity=False)
#: Of any size that float64 knows, and far beyond.
fractions = st.builds(
    lambda top, bottom, power: Fraction(top, bottom) * Fraction(2) ** power,
    st.integers(-(10**20), 10**20),
    st.integers(1, 10**20),
    st.integers(-1200, 1200),
)


# Text to numbers.


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0.3", Fraction(3, 10)),
        ("-0.3", Fraction(-3, 10)),
        ("1e39", Fraction(10**39)),
        ("+12.5E-2", Fraction(1, 8)),
        (".5", Fraction(1, 2)),
        ("448", Fraction(448)),
        (" 7 ", Fraction(7)),
        ("1/3", Fraction(1, 3)),
        ("-2/-6", Fraction(1, 3)),
        ("0.5/1e2", Fraction(1, 200)),
        ("0x1.8p-3", Fraction(3, 16)),
        ("-0X.8P+1", Fraction(-1)),
        ("0x1f", Fraction(31)),
        ("0x10/0x3", Fraction(16, 3)),
        ("0", Fraction(0)),
        ("0/5", Fraction(0)),
        ("9" * 5000, Fraction(10**5000 - 1)),  # more digits than int() reads
        ("0." + "0" * 400 + "1", Fraction(1, 10**401)),  # below float64
    ],
)
def test_numbers_are_read_exactly(written: str, value: Fraction) -> None:
    """No digit is lost, whatever the notation."""
    number = parse_number(written)

    assert isinstance(number.value, Fraction)
    assert number.value == value
    assert number.written == written.strip()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("-0", -0.0),
        ("-0.000e5", -0.0),
        ("-0x0p0", -0.0),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("nan", math.nan),
        ("-NaN", -math.nan),
    ],
)
def test_what_is_no_fraction_is_a_float(written: str, value: float) -> None:
    """Infinities, NaNs and -0 keep their signs."""
    found = parse_number(written).value

    assert isinstance(found, float)
    assert struct.pack("<d", found) == struct.pack("<d", value)


@pytest.mark.parametrize(
    "written",
    ["", "abc", "1/0", "1/inf", "nan/2", "0x", "0x.p3", "1/2/3", "--1", "0xg", "1e", "e5"],
)
def test_what_is_no_number_is_refused(written: str) -> None:
    """The message shows what was given."""
    with pytest.raises(ValueError, match=r"VALUE must be a number such as 0\.3.*got '"):
        parse_number(written)


@pytest.mark.parametrize(
    "written", ["1e999999999999", "1e-20001", "0x1p99999999999", "0x1p-20001", "9" * 20_002]
)
def test_numbers_beyond_all_bounds_are_refused(written: str) -> None:
    """They would take gigabytes to write out, and no format reaches as far."""
    with pytest.raises(ValueError, match="VALUE must have an exponent of -20000 to 20000"):
        parse_number(written)


@given(finite_floats)
def test_hexadecimal_and_decimal_floats_are_read_as_python_does(x: float) -> None:
    """What float.hex and repr write is the same number."""
    for written in (x.hex(), repr(x)):
        value = parse_number(written).value
        assert math.copysign(1, value) == math.copysign(1, x)
    assert Fraction(parse_number(x.hex()).value) == Fraction(x)


@given(fractions)
def test_round_to_odd_is_its_definition(x: Fraction) -> None:
    """A float64 is itself; anything else becomes its neighbour whose last bit is 1."""
    found = round_to_odd(x)

    if abs(x) > Fraction(1.7976931348623157e308):
        assert abs(found) == 1.7976931348623157e308
        assert (found > 0) == (x > 0)
    elif Fraction(found) != x:
        assert struct.unpack("<Q", struct.pack("<d", found))[0] & 1
        outside = math.inf if Fraction(found) < x else -math.inf
        other = Fraction(math.nextafter(found, outside)) if abs(found) < 1.79e308 else None
        assert other is None or min(found, other) < x < max(found, other)


@given(fractions | st.builds(lambda x, ulp: Fraction(x) + Fraction(math.ulp(x)) / ulp,
                             finite_floats, st.sampled_from([2, 3, -2, -4])))  # fmt: skip
def test_nearest_float_is_python_s(x: Fraction) -> None:
    """Which divides as the processor rounds, to nearest here; infinite where it overflows."""
    try:
        expected = float(x)
    except OverflowError:
        expected = math.inf if x > 0 else -math.inf

    assert nearest_float(x) == expected


@given(st.floats())
def test_round_to_odd_keeps_floats(x: float) -> None:
    """What float64 holds is not changed, specials included."""
    given = Fraction(x) if math.isfinite(x) and x != 0 else x

    assert struct.pack("<d", round_to_odd(given)) == struct.pack("<d", x)


# Numbers to text.


@given(finite_floats)
def test_exact_texts_are_exact(x: float) -> None:
    """Each notation, read again, is the number."""
    value = Fraction(x)
    decimal = exact_decimal(value)

    assert decimal is not None
    assert "e" not in decimal.lower()
    assert Fraction(decimal) == value
    assert float.fromhex(hex_text(value)) == value
    assert Fraction(fraction_text(value) or "") == value
    integer, exponent = odd_factor(value)
    assert integer * Fraction(2) ** exponent == value
    assert integer % 2 == 1 or value == 0


def read_short(written: str) -> Fraction:
    """Read a decimal, or an integer times a power of two."""
    factor, power, exponent = written.partition("2^")
    if not power:
        return Fraction(written)
    integer = {"": 1, "-": -1}[factor] if factor in {"", "-"} else int(factor.removesuffix("*"))
    return integer * Fraction(2) ** int(exponent)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_short_texts_are_exact(fmt: Format) -> None:
    """The values of every format are written shortly without loss."""
    values = fmt.values[:: 1 if fmt.bits <= 8 else 61]
    for x in values[np.isfinite(values)].tolist():
        written = short_text(Fraction(x))

        assert read_short(written) == Fraction(x)
        assert len(written) <= 12


@given(fractions, st.integers(1, 20))
def test_decimal_text_is_exact_or_marked_and_near(x: Fraction, digits: int) -> None:
    """Without a tilde it is the number; with one it is within half a unit of the last digit."""
    written = decimal_text(x, digits)

    read = Fraction(written.removeprefix("~"))
    assert written.startswith("~") == (read != x)
    assert abs(read - x) <= abs(x) * Fraction(1, 2) * Fraction(1, 10 ** (digits - 1))


def test_numbers_by_hand() -> None:
    """Notations change where they get long."""
    assert [short_text(Fraction(n)) for n in (0, -448, 12345678)] == ["0", "-448", "12345678"]
    assert short_text(Fraction(123456789)) == "123456789*2^0"
    assert short_text(Fraction(-1, 2**30)) == "-2^-30"
    assert short_text(Fraction(255 * 2**120)) == "255*2^120"
    assert decimal_text(Fraction(1, 3), 6) == "~0.333333"
    assert decimal_text(Fraction(10) ** 39) == "1e+39"
    assert decimal_text(Fraction(-3, 10**9)) == "-3e-9"
    assert decimal_text(Fraction(12345678), 3) == "~12300000"
    assert hex_text(Fraction(448)) == "0x1.cp+8"
    assert hex_text(Fraction(2) ** -16383) == "0x1p-16383"
    assert hex_text(Fraction(0)) == "0x0p+0"
    assert exact_decimal(Fraction(1, 3)) is None
    # 4933 digits, more than str() writes
    assert exact_decimal(Fraction(2) ** 16384).startswith("118973149535723176508575932662800")  # type: ignore[union-attr]


def test_specials_are_named() -> None:
    """A NaN has its sign, and -0 is not 0."""
    specials = [math.inf, -math.inf, math.nan, -math.nan, -0.0]
    names = ["inf", "-inf", "NaN", "-NaN", "-0"]

    assert [decimal_text(x) for x in specials] == names
    assert [short_text(x) for x in specials] == names
    assert [exact_decimal(x) for x in specials] == names
    assert [fraction_text(x) for x in specials] == names
    assert [hex_text(x) for x in specials] == ["inf", "-inf", "nan", "-nan", "-0x0p+0"]
    assert exact_record(-0.0) == {"decimal": "-0", "hex": "-0x0p+0"}
    assert fraction_text(None) is None


def test_a_third_has_no_binary_notation() -> None:
    """Only what formats hold is written in powers of two."""
    with pytest.raises(ValueError, match=r"value must be an integer times a power of two, got 1/3"):
        odd_factor(Fraction(1, 3))
