"""Any legal format: the codec against the definition, and against ml_dtypes by scaling."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, example, given, note, settings
from hypothesis import strategies as st

import fp8num as fp
from fp8num.verify import reference

#: Each example makes a table, or converts dozens of values one by one in the reference.
few = settings(max_examples=max(20, settings.default.max_examples // 10))
fewer = settings(max_examples=max(8, settings.default.max_examples // 12))
some = settings(max_examples=max(50, settings.default.max_examples // 5))

DETERMINISTIC = [mode for mode in fp.Rounding if not mode.value.startswith("Stochastic")]
STOCHASTIC = [mode for mode in fp.Rounding if mode.value.startswith("Stochastic")]
P3109 = (fp.Specials.EXTENDED, fp.Specials.FINITE)


def reserved(specials: fp.Specials, mantissa_bits: int, *, signed: bool) -> int:
    """Return how many codes at the top of a sign's half are no finite numbers."""
    return {
        fp.Specials.IEEE: 1 << mantissa_bits,
        fp.Specials.FN: 1,
        fp.Specials.FNUZ: 0,
        fp.Specials.NONE: 0,
        fp.Specials.EXTENDED: 1 if signed else 2,
        fp.Specials.FINITE: 0 if signed else 1,
    }[specials]


@st.composite
def legal_formats(draw: st.DrawFn, max_bits: int = 9) -> fp.Format:
    """Any combination of parameters that makes a format, its values within float64."""
    specials = draw(st.sampled_from(list(fp.Specials)))
    signed = specials is fp.Specials.FNUZ or draw(st.booleans())
    exponent_bits = draw(st.integers(1, min(8, max_bits - signed)))
    least = 1 if specials is fp.Specials.IEEE else 0
    room = max_bits - signed - exponent_bits
    assume(room >= least)
    mantissa_bits = draw(st.integers(least, room))
    subnormals = specials in P3109 or draw(st.booleans())
    # FNUZ needs a zero: without subnormals it is the first code of the lowest binade.
    assume(specials is not fp.Specials.FNUZ or subnormals or mantissa_bits > 0)
    assume(exponent_bits + mantissa_bits + signed >= 2)
    codes = (1 << (exponent_bits + mantissa_bits)) - reserved(
        specials, mantissa_bits, signed=signed
    )
    assume(codes > (1 << mantissa_bits if subnormals else 1))  # a normal number is left
    # All of float64 is allowed, and half a unit below the smallest number for midpoints.
    highest = (1 << exponent_bits) - 1
    default = (1 << (exponent_bits - 1)) - 1
    bias = draw(
        st.sampled_from([default, default + 1])
        | st.integers(default - 40, default + 40)
        | st.integers(highest - 1022, 1073 - mantissa_bits - 1)
    )
    results = {None, fp.Overflow.MAX}
    if specials is not fp.Specials.NONE:
        results.add(fp.Overflow.NAN)
    overflow = draw(st.sampled_from(sorted(results, key=str)))
    return fp.Format(
        name="drawn",
        exponent_bits=exponent_bits,
        mantissa_bits=mantissa_bits,
        bias=bias,
        specials=specials,
        signed=signed,
        subnormals=subnormals,
        overflow=overflow,
    )


def value_of(code: int, fmt: fp.Format) -> Fraction:
    """Return a code's finite value, or 0."""
    datum = reference.decode(code, fmt)
    return datum.value if datum.is_finite else Fraction(0)


@st.composite
def inputs(draw: st.DrawFn, fmt: fp.Format) -> Any:
    """Numbers at and beside values and midpoints of a format, and any others, in any type."""
    codes = draw(st.lists(st.integers(0, (1 << fmt.bits) - 2), min_size=1, max_size=6))
    points = []
    for code in codes:
        low, high = value_of(code, fmt), value_of(code + 1, fmt)
        points += [low, high, (low + high) / 2, (3 * low + high) / 4, high * 2]
    points += [draw(st.fractions(-4, 4)) * abs(value_of(codes[0], fmt))]
    top = max(abs(value_of(code, fmt)) for code in range(1 << fmt.bits))
    points += [top * Fraction(n, 64) for n in draw(st.lists(st.integers(60, 140), max_size=3))]
    floats = [float(point) if abs(point) < 2**1023 else np.inf for point in points]
    floats += draw(st.lists(st.floats(allow_nan=True), max_size=4))
    dtype = draw(
        st.sampled_from([np.float64] * 3 + [np.float32, np.float16, ml_dtypes.bfloat16])
        | st.sampled_from([np.longdouble, ">f8", np.int64])
    )
    with np.errstate(all="ignore"):
        if dtype is np.int64:
            bounded = [f for f in floats if abs(f) < 2**62]
            x = np.array(bounded or [1.0]).astype(np.int64)
            return np.concatenate([x, x + 1, -x])
        x = np.array(floats).astype(dtype)
        native = x.astype(x.dtype.newbyteorder("="))
        beside = [np.nextafter(native, native.dtype.type(end)) for end in (np.inf, -np.inf)]
        return np.concatenate([native, *beside, -native]).astype(x.dtype)


@few
@given(data=st.data())
@pytest.mark.parametrize("rounding", DETERMINISTIC, ids=lambda mode: mode.name)
def test_any_format_is_projected_to_as_defined(rounding: Any, data: st.DataObject) -> None:
    """Any widths, bias, specials, signedness, subnormals, overflow; any input."""
    fmt = data.draw(legal_formats(), label="fmt")
    x = data.draw(inputs(fmt), label="x")
    saturation = data.draw(st.sampled_from(list(fp.Saturation)), label="saturation")

    codes = fp.encode(x, fmt, rounding=rounding, saturation=saturation)

    expected = [reference.project(value, fmt, rounding, saturation) for value in x]
    note(f"{fmt.spelling} {rounding.value} {saturation.value} {x!r}")
    assert codes.tolist() == expected


@few
@given(data=st.data())
@pytest.mark.parametrize("rounding", STOCHASTIC, ids=lambda mode: mode.name)
def test_any_format_is_projected_to_with_random_bits(rounding: Any, data: st.DataObject) -> None:
    """The same, with any number of random bits."""
    fmt = data.draw(legal_formats(), label="fmt")
    x = data.draw(inputs(fmt), label="x")
    saturation = data.draw(st.sampled_from(list(fp.Saturation)), label="saturation")
    width = data.draw(st.integers(1, 32), label="width")
    most = (1 << width) - 1
    bits = data.draw(
        st.lists(st.integers(0, most) | st.just(most), min_size=x.size, max_size=x.size)
    )

    codes = fp.encode(
        x, fmt, rounding=rounding, saturation=saturation, random_bits=bits, random_width=width
    )

    expected = [
        reference.project(value, fmt, rounding, saturation, random_bits=r, random_width=width)
        for value, r in zip(x, bits, strict=True)
    ]
    assert codes.tolist() == expected


@few
@given(data=st.data())
def test_any_format_raises_the_defined_flags(data: st.DataObject) -> None:
    fmt = data.draw(legal_formats(), label="fmt")
    x = data.draw(inputs(fmt), label="x")
    modes = {
        "rounding": data.draw(st.sampled_from(DETERMINISTIC), label="rounding"),
        "saturation": data.draw(st.sampled_from(list(fp.Saturation)), label="saturation"),
        "tininess": data.draw(st.sampled_from(["after", "before"]), label="tininess"),
    }

    found = fp.flags(x, fmt, **modes)

    expected = [tuple(reference.flags(value, fmt, **modes)) for value in x]
    actual = zip(found.inexact, found.underflow, found.overflow, found.invalid, strict=True)
    assert [tuple(map(bool, flags)) for flags in actual] == expected


@few
@given(fmt=legal_formats())
def test_any_format_has_the_defined_values(fmt: fp.Format) -> None:
    """decode, and the round trip of every finite code."""
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)

    values = fp.decode(codes, fmt, dtype=np.float64)

    for code, value in zip(codes.tolist(), values.tolist(), strict=True):
        datum = reference.decode(code, fmt)
        assert np.isnan(value) == (datum.kind is reference.Kind.NAN)
        assert np.isinf(value) == (datum.kind is reference.Kind.INFINITE)
        if datum.is_finite:
            assert Fraction(value) == datum.value
        if not np.isnan(value):
            assert bool(np.signbit(value)) == datum.negative
    finite = np.isfinite(values)
    np.testing.assert_array_equal(fp.encode(values, fmt)[finite], codes[finite])
    assert fp.get_format(fmt.spelling).spelling == fmt.spelling
    assert fp.Format(**fmt.to_dict()) == fmt


# Corners that drawn formats reach seldom.


@pytest.mark.parametrize("stride", [83, pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    "name",
    [
        "w4m3b1029-fn",  # all below 2^-1012: subnormals of the subnormals of float64
        "uw1m2b1029-extended",
        "w4m3b1070-ieee",
        "w2m1b1072-none",
        "w4m3b-1008-fn",  # up to nearly 2^1024
        "uw8m0b1070-fn-nosub",
        "w6m2b1000-fnuz-nosub",
        "w4m3b-600-fn-nosub",  # a hole of 2^600 above zero
    ],
)
def test_formats_at_the_ends_of_float64(
    name: str, stride: int, boundaries: Any, assert_codes: Any
) -> None:
    """All of float64 may be used, its subnormal numbers too."""
    fmt = fp.get_format(name)
    assert fmt.fits_float64
    x = np.concatenate([boundaries(fmt, np.float64)[::stride], [1.0, -1.0, 1e300, 5e-324, -0.0]])
    for rounding in DETERMINISTIC:
        codes = fp.encode(x, fmt, rounding=rounding, saturation="SatNone")

        expected = [reference.project(value, fmt, rounding, "SatNone") for value in x]
        assert_codes(codes, np.array(expected, fmt.code_dtype), x, f"{name} {rounding.value}")
    for rounding, bits in product(STOCHASTIC, (0, 5, 15)):
        codes = fp.encode(x, fmt, rounding=rounding, random_bits=bits, random_width=4)

        options = {"random_bits": bits, "random_width": 4}
        expected = [reference.project(v, fmt, rounding, "SatFinite", **options) for v in x]
        assert_codes(codes, np.array(expected, fmt.code_dtype), x, f"{name} {rounding.value}")


@pytest.mark.parametrize("rounding", ["rne", "rz", "ru", "rd", "ro"])
@pytest.mark.parametrize(
    ("overflow", "plus", "minus"),
    [("infinity", 0x7C, 0xFC), ("nan", 0x7E, 0xFE), ("max", 0x7B, 0xFB)],
)
def test_infinity_gives_the_overflow_result_under_sat_none(
    overflow: str, plus: int, minus: int, rounding: str
) -> None:
    """Where a format has infinity but its `overflow` is something else, that is the result."""
    fmt = fp.Format(
        name="mine", exponent_bits=5, mantissa_bits=2, specials="ieee", overflow=overflow
    )
    codes = fp.encode([np.inf, -np.inf], fmt, rounding=rounding, saturation="SatNone")
    assert codes.tolist() == [plus, minus]


# ml_dtypes, by exact powers of two: a format with another bias is the same one, scaled.

FAMILIES = {
    "float8_e4m3fn": (4, 3, 7, "fn"),
    "float8_e5m2": (5, 2, 15, "ieee"),
    "float8_e4m3": (4, 3, 7, "ieee"),
    "float8_e3m4": (3, 4, 3, "ieee"),
    "float8_e4m3fnuz": (4, 3, 8, "fnuz"),
    "float8_e5m2fnuz": (5, 2, 16, "fnuz"),
    "float6_e2m3fn": (2, 3, 1, "none"),
    "float6_e3m2fn": (3, 2, 3, "none"),
    "float4_e2m1fn": (2, 1, 1, "none"),
    "bfloat16": (8, 7, 127, "ieee"),
}


@some
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "bfloat16"])
@given(
    bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50),
    bias=st.integers(-600, 600),
)
@example(bits=[0x3F880000, 0x3F880001, 0x43E80000, 0x7F800000], bias=200)
def test_a_bias_is_a_power_of_two(name: str, bits: list[int], bias: int) -> None:
    """x 2^(b0 - b) in the format of bias b has the code of x in ml_dtypes' of bias b0."""
    assert_scaled(name, bits, bias)


@fewer  # of a table that is tried in vain
@given(
    bits=st.lists(st.integers(0, 2**32 - 1), min_size=100, max_size=300),
    bias=st.integers(-600, 600),
)
def test_a_bias_is_a_power_of_two_in_16_bits_too(bits: list[int], bias: int) -> None:
    assert_scaled("bfloat16", bits, bias)


def assert_scaled(name: str, bits: list[int], bias: int) -> None:
    """Compare the codes of float32 patterns, scaled, with those of ml_dtypes, not scaled."""
    exponent_bits, mantissa_bits, theirs, specials = FAMILIES[name]
    fmt = fp.Format(
        name="shifted",
        exponent_bits=exponent_bits,
        mantissa_bits=mantissa_bits,
        bias=bias,
        specials=specials,
    )
    x = np.array(bits, np.uint32).view(np.float32)
    x = x[~np.isnan(x)]
    with np.errstate(all="ignore"):
        expected = x.astype(getattr(ml_dtypes, name)).view(fmt.code_dtype)
        scaled = np.ldexp(x.astype(np.float64), theirs - bias)
        kept = np.ldexp(scaled, bias - theirs) == x  # where float64 has the product
    assert kept.all()

    codes = fp.encode(scaled, fmt, saturation="SatNone")

    np.testing.assert_array_equal(codes, expected)


@some
@given(
    x=st.lists(st.floats(allow_nan=False), min_size=1, max_size=50),
    shift=st.integers(-300, 300),
)
def test_scaling_by_powers_of_two_commutes(x: list[float], shift: int) -> None:
    """In every mode: encode(x 2^s) at bias b - s is encode(x) at bias b, exact products given."""
    values = np.array(x)
    with np.errstate(all="ignore"):
        scaled = np.ldexp(values, shift)
        exact = np.ldexp(scaled, -shift) == values
    plain = fp.get_format("w4m3b7-fn")
    moved = fp.get_format(f"w4m3b{7 - shift}-fn")
    for rounding in DETERMINISTIC:
        for saturation in fp.Saturation:
            options = {"rounding": rounding, "saturation": saturation}
            np.testing.assert_array_equal(
                fp.encode(scaled[exact], moved, **options),
                fp.encode(values[exact], plain, **options),
            )


# Laws that need no oracle.


@some
@given(
    x=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60),
    name=st.sampled_from([name for name in fp.FORMATS if name != "E8M0FNU"]),
    rounding=st.sampled_from(DETERMINISTIC),
)
def test_quantizing_is_monotone_and_idempotent(x: list[float], name: str, rounding: Any) -> None:
    """Order is kept, and what has been rounded stays."""
    values = fp.quantize(np.sort(np.array(x)), name, rounding=rounding)
    assert (np.diff(values) >= 0).all()
    np.testing.assert_array_equal(fp.quantize(values, name, rounding=rounding), values)


@some
@given(
    x=st.lists(st.floats(allow_nan=False), min_size=1, max_size=60),
    name=st.sampled_from(["E4M3FN", "E5M2", "E2M1FN", "BFLOAT16", "HIFLOAT8", "binary8p3se"]),
    saturation=st.sampled_from(list(fp.Saturation)),
)
def test_signs_mirror(x: list[float], name: str, saturation: Any) -> None:
    """Rounding -x is minus rounding x, with up and down exchanged."""
    values = np.array(x)
    for one, other in (("rne", "rne"), ("rna", "rna"), ("rz", "rz"), ("ru", "rd"), ("ro", "ro")):
        np.testing.assert_array_equal(
            fp.quantize(values, name, rounding=one, saturation=saturation),
            -fp.quantize(-values, name, rounding=other, saturation=saturation),
        )
