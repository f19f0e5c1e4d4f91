"""What is shown of a conversion, against exact arithmetic and trying every value."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fp8num import strategies
from fp8num.explain.inspection import ConversionOptions, Neighbour, Record, inspect, inspect_code
from fp8num.explain.numerals import WrittenNumber, parse_number
from fp8num.formats import E4M3FN, E5M2, E8M0FNU, FORMATS, POSIT8, Format, get_format
from fp8num.verify.reference import Datum, decode, flags, project

if TYPE_CHECKING:
    from fp8num.projection import Projection

FLAGS = ("inexact", "underflow", "overflow", "invalid")
#: Exact numbers, and trying every value, take their time.
few = settings(deadline=None, max_examples=settings.default.max_examples // 3)
some_format = st.sampled_from(list(FORMATS.values())) | strategies.formats()


@st.composite
def numbers(draw: st.DrawFn, fmt: Format) -> WrittenNumber:
    """Draw numbers at, and less than float64 can say beside, where rounding decides; or any."""
    x = Fraction(float(draw(strategies.rounding_boundaries(fmt, finite=True))))
    nudge = draw(st.sampled_from([0, 1, -1])) * Fraction(1, 3) * Fraction(2) ** -2000
    return WrittenNumber("given", draw(st.sampled_from([x + nudge, x * (1 + nudge), x / 3])))


def conversion_of(projection: Projection, bits: int, width: int) -> ConversionOptions:
    """Return the options of a projection, with random bits if it needs them."""
    names = (projection.rounding.value, projection.saturation.value)
    if not projection.rounding.is_stochastic:
        return ConversionOptions(rounding=names[0], saturation=names[1])
    return ConversionOptions(
        rounding=names[0],
        saturation=names[1],
        random_bits=bits % (1 << width),
        random_width=width,
    )


@few
@given(
    data=st.data(),
    fmt=some_format,
    projection=strategies.projections(stochastic=True),
    bits=st.integers(0, 2**32 - 1),
    width=st.integers(1, 32),
)
def test_numbers_that_no_float_holds_are_rounded_once(
    data: st.DataObject, fmt: Format, projection: Projection, bits: int, width: int
) -> None:
    """Code and flags are those of the number itself, not of a float64 near it."""
    number = data.draw(numbers(fmt))
    conversion = conversion_of(projection, bits, width)

    record = inspect(number, fmt, conversion)

    options = {"random_bits": conversion.random_bits, "random_width": conversion.random_width}
    wanted = (projection.rounding, projection.saturation)
    assert isinstance(number.value, Fraction)
    assert record.code == project(number.value, fmt, *wanted, **options)
    raised = flags(number.value, fmt, *wanted, **options)
    assert record.flags == tuple(name for name in FLAGS if getattr(raised, name))


@few
@given(data=st.data(), fmt=some_format)
def test_neighbours_are_the_next_values(data: st.DataObject, fmt: Format) -> None:
    """Trying every code finds no value between a number and its neighbours."""
    number = data.draw(numbers(fmt))
    x = Fraction(number.value)
    if fmt.bits > 8:  # too many to try
        return

    record = inspect(number, fmt, ConversionOptions())

    every = [decode(code, fmt) for code in range(1 << fmt.bits)]
    values = [datum.value for datum in every if datum.is_finite]
    for neighbour, beside, end in (
        (record.below, [value for value in values if value < x], max),
        (record.above, [value for value in values if value > x], min),
    ):
        assert (neighbour is None) == (not beside)
        if neighbour is not None:
            assert record.ulp is not None
            assert neighbour.value == end(beside)
            assert decode(neighbour.code, fmt).value == neighbour.value
            assert neighbour.ulps * record.ulp == abs(x - neighbour.value)


@few
@given(data=st.data(), fmt=some_format)
def test_errors_are_exact(data: st.DataObject, fmt: Format) -> None:
    """Result less number, and that divided by the number."""
    number = data.draw(numbers(fmt))
    x = Fraction(number.value)

    record = inspect(number, fmt, ConversionOptions())

    result = decode(record.code, fmt).value  # SatFinite: always finite
    assert record.error == result - x
    assert record.relative_error == ((result - x) / x if x else None)


def test_three_tenths_in_e4m3fn() -> None:
    """
    OFP8, Table 1 has bias 7: 0.3 = 1.2 * 2^-2 has exponent field -2 + 7 = 5 = 0101.

    Its mantissa 0.2 is 1.6 eighths, which rounds to 2 = 010: the code is 0 0101 010 = 0x2A
    and the value 1.25 / 4 = 5/16; below it, 001, is 9/32.  An ulp is 2^-2 / 8 = 1/32.
    """
    record = inspect(parse_number("0.3"), E4M3FN, ConversionOptions())

    assert record.code == 0b0_0101_010
    assert record.value == Fraction(5, 16)
    assert record.below == Neighbour(0x29, Fraction(9, 32), Fraction(3, 5))
    assert record.above == Neighbour(0x2A, Fraction(5, 16), Fraction(2, 5))
    assert record.ulp == Fraction(1, 32)
    assert record.error == Fraction(1, 80)
    assert record.relative_error == Fraction(1, 24)
    assert record.flags == ("inexact",)


def test_beyond_the_largest_value_there_is_nothing() -> None:
    """OFP8, Table 2: E5M2's largest value, 57344, is 0x7B; 0x7C is infinity."""
    record = inspect(parse_number("1e39"), E5M2, ConversionOptions(saturation="SatNone"))

    assert (record.code, record.value) == (0x7C, math.inf)
    assert record.below is not None
    assert (record.below.code, record.below.value) == (0x7B, 57344)
    assert record.above is None
    assert record.error is None
    assert record.flags == ("inexact", "overflow")


@pytest.mark.parametrize(
    ("written", "fmt", "code"),
    [
        ("nan", E4M3FN, 0x7F),
        ("-nan", E4M3FN, 0xFF),
        ("-0", E4M3FN, 0x80),
        ("-inf", E5M2, 0xFB),  # SatFinite
        ("0", E8M0FNU, 0x00),
        ("1e10", POSIT8, 0x7F),
        ("1e-10", POSIT8, 0x01),
    ],
)
def test_specials_become(written: str, fmt: Format, code: int) -> None:
    """Signs of zeros and NaNs get through."""
    assert inspect(parse_number(written), fmt, ConversionOptions()).code == code


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_codes_are_what_they_stand_for(fmt: Format) -> None:
    """A code shown has the value of the definition, and neighbours one code away."""
    for code in range(0, 1 << fmt.bits, 1 if fmt.bits <= 8 else 97):
        record = inspect_code(hex(code), fmt)

        assert same(record.value, decode(code, fmt))
        assert record.number is None
        for neighbour in (record.below, record.above):
            assert neighbour is None or neighbour.ulps <= 1


def same(value: Fraction | float, datum: Datum) -> bool:
    """Whether a value is what a datum says, the sign of a zero or NaN too."""
    if isinstance(value, Fraction):
        return datum.is_finite and datum.value == value
    return not (datum.is_finite and datum.value) and datum.negative == (math.copysign(1, value) < 0)


def test_a_format_without_zero_has_neighbours_across_it() -> None:
    """1, 2, -1 and -2: next to 1 below is -1, next to -0.5 are -1 and 1."""
    fmt = get_format("w1m0b0-none-nosub")
    one, half = (inspect(parse_number(x), fmt, ConversionOptions()) for x in ("1", "-0.5"))

    def ends(record: Record) -> list[Fraction | None]:
        return [None if side is None else side.value for side in (record.below, record.above)]

    assert ends(one) == [-1, 2]
    assert ends(half) == [-1, 1]
    assert ends(inspect(parse_number("-3"), fmt, ConversionOptions())) == [None, -2]


@pytest.mark.parametrize("written", ["256", "-1", "0x100", "7e", "", "1.5"])
def test_what_is_no_code_is_refused(written: str) -> None:
    """The message gives the range."""
    with pytest.raises(ValueError, match=r"VALUE must be a code of E4M3FN, from 0 to 0xff, got"):
        inspect_code(written, E4M3FN)


def test_wrong_options_are_refused() -> None:
    """The codec's own messages come through."""
    number = parse_number("0.3")

    with pytest.raises(ValueError, match="rounding must be one of"):
        inspect(number, E4M3FN, ConversionOptions(rounding="up"))
    with pytest.raises(ValueError, match="stochastic rounding needs"):
        inspect(number, E4M3FN, ConversionOptions(rounding="sra"))
    with pytest.raises(ValueError, match=r"like='ml_dtypes' decides"):
        inspect(number, E4M3FN, ConversionOptions(rounding="rz", like="ml_dtypes"))
