"""Decoding gives the values of the definition, in every type that holds them."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num.formats import p3109_names
from fp8num.verify import reference
from fp8num.verify.reference import Kind

SMALL = [fmt for fmt in fp.FORMATS.values() if fmt.bits <= 8]
DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "longdouble": np.dtype(np.longdouble),
}
#: Which of the catalogue's formats each type cannot hold, from their ranges and precisions.
TOO_NARROW = {
    # precision 11, from 2^-24 to 65504; UE5M3 ends at 114688, posit8 at 2^24
    "float16": {"E8M0FNU", "UE5M3", "POSIT8", "BFLOAT16"},
    "bfloat16": {"BINARY16"},  # precision 8, float32's range
    "float32": set(),
    "float64": set(),
    "longdouble": set(),
}


def name_of(parameter: Any) -> str:
    """Label a test by the name of its format."""
    return str(getattr(parameter, "name", parameter))


def every_code(fmt: fp.Format) -> Any:
    return np.arange(1 << fmt.bits, dtype=np.uint8 if fmt.bits <= 8 else np.uint16)


def value_of(code: int, fmt: fp.Format) -> tuple[float, bool]:
    """Return what the reference says a code is, as float64, and its sign."""
    datum = reference.decode(code, fmt)
    if datum.kind is Kind.NAN:
        return np.nan, datum.negative
    if datum.kind is Kind.INFINITE:
        return (-np.inf if datum.negative else np.inf), datum.negative
    assert datum.value == float(datum.value)
    return (-0.0 if datum.is_zero and datum.negative else float(datum.value)), datum.negative


@cache
def expected_values(fmt: fp.Format) -> tuple[Any, Any]:
    """Return the values of all codes and which are negative, by the reference or by NumPy."""
    if fmt in (fp.BINARY16, fp.BFLOAT16):  # whose values processors have
        dtype = np.float16 if fmt is fp.BINARY16 else ml_dtypes.bfloat16
        with np.errstate(invalid="ignore"):
            values = every_code(fmt).view(dtype).astype(np.float64)
        return values, np.signbit(values)
    found = [value_of(code, fmt) for code in range(1 << fmt.bits)]
    return np.array([value for value, _ in found]), np.array([sign for _, sign in found])


@pytest.mark.parametrize("fmt", fp.FORMATS.values(), ids=name_of)
def test_every_code_has_its_value_in_every_type(fmt: Any) -> None:
    """Exactly, with the signs of zeros and NaNs; refused where the type is too narrow."""
    expected, negative = expected_values(fmt)
    for name, dtype in DTYPES.items():
        if fmt.name in TOO_NARROW[name]:
            refusal = rf"dtype {name} cannot hold .*{fmt.name}.*by name"
            with pytest.raises(ValueError, match=refusal):
                fp.decode(every_code(fmt), fmt, dtype=dtype)
            continue

        actual = fp.decode(every_code(fmt), fmt, dtype=dtype)

        assert actual.dtype == dtype
        # float64 holds what they all hold here: a comparison without rounding
        with np.errstate(invalid="ignore"):
            wide = actual.astype(np.float64)
        np.testing.assert_array_equal(wide, expected, name)
        np.testing.assert_array_equal(np.signbit(wide), negative, name)


@pytest.mark.exhaustive
@pytest.mark.parametrize("fmt", fp.FORMATS.values(), ids=name_of)
def test_every_code_has_the_value_of_the_reference(fmt: Any) -> None:
    """Of the formats of 16 bits too."""
    expected = [value_of(code, fmt) for code in range(1 << fmt.bits)]

    values = fp.decode(every_code(fmt), fmt, dtype=np.float64)

    np.testing.assert_array_equal(values, [value for value, _ in expected])
    np.testing.assert_array_equal(np.signbit(values), [negative for _, negative in expected])


@pytest.mark.parametrize("fmt", fp.FORMATS.values(), ids=name_of)
def test_a_type_by_name_is_rounded_to_once(fmt: Any) -> None:
    """dtype="float16" takes every format: NumPy's and ml_dtypes' casts of the exact values."""
    expected, _ = expected_values(fmt)
    with np.errstate(invalid="ignore"):  # signalling NaNs become quiet
        single = expected.astype(np.float32)
    assert np.array_equal(single, expected, equal_nan=True)  # so one rounding follows
    for name, dtype in DTYPES.items():
        with np.errstate(all="ignore"):
            narrow = (single if name == "bfloat16" else expected).astype(dtype)

        actual = fp.decode(every_code(fmt), fmt, dtype=name)

        assert actual.dtype == dtype
        with np.errstate(invalid="ignore"):
            wide = actual.astype(np.float64)
            np.testing.assert_array_equal(wide, narrow.astype(np.float64), name)


@pytest.mark.parametrize("bits", range(3, 9))
def test_every_code_of_small_p3109_formats_has_its_value(bits: int) -> None:
    for name in p3109_names(bits):
        fmt = fp.get_format(name)
        expected, _ = expected_values(fmt)
        found = fp.decode(every_code(fmt), fmt, dtype=np.float64)
        np.testing.assert_array_equal(found, expected, name)
        np.testing.assert_array_equal(fmt.values, expected, name)


@pytest.mark.parametrize("name", ["E4M3FN", "E8M0FNU", "E2M1FN", "BFLOAT16", "HIFLOAT8"])
def test_the_default_type_is_float32(name: str) -> None:
    fmt = fp.get_format(name)
    values = fp.decode(every_code(fmt), fmt)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, expected_values(fmt)[0].astype(np.float32))


def test_float32_cannot_hold_all_formats() -> None:
    """Biases beyond float32's range are refused, by default and by type; float64 takes them."""
    for name in ("w4m3b150-fn", "w4m3b-130-fn", "binary12p3se"):
        fmt = fp.get_format(name)
        codes = np.zeros(2, fmt.code_dtype)
        with pytest.raises(ValueError, match=r"dtype float32 cannot hold.*dtype='float32'"):
            fp.decode(codes, fmt)
        with pytest.raises(ValueError, match="dtype float32 cannot hold"):
            fp.decode(codes, fmt, dtype=np.float32)
        assert fp.decode(codes, fmt, dtype=np.float64).tolist() == [0, 0]
        assert fp.decode(codes, fmt, dtype="float32").dtype == np.float32


def test_a_subnormal_of_the_type_is_held() -> None:
    """E8M0's 2^-127 is a float32 subnormal, E5M2's 2^-16 a float16 one: exact all the same."""
    assert float(fp.decode(np.uint8(0), "E8M0FNU")) == 2.0**-127
    assert float(fp.decode(np.uint8(1), "E5M2", dtype=np.float16)) == 2.0**-16
    assert float(fp.decode(np.uint8(1), "E5M2FNUZ", dtype=np.float16)) == 2.0**-17
    assert float(fp.decode(np.uint16(1), "BFLOAT16")) == 2.0**-133


# Quantize is decode(encode(x)), in the type of x.


@pytest.mark.parametrize("fmt", SMALL, ids=name_of)
def test_quantize_is_decode_of_encode(fmt: Any, boundaries: Any) -> None:
    """At boundaries and specials, every mode by turns: the code's value, in the input's type."""
    for name, dtype in DTYPES.items():
        x = boundaries(fmt, dtype)[:: 7 if name == "longdouble" else 3]
        if fmt.name in TOO_NARROW[name]:
            with pytest.raises(ValueError, match=f"dtype {name} cannot hold"):
                fp.quantize(x, fmt)
            continue
        modes = list(product(("rne", "rz", "ru", "ro"), fp.Saturation))
        for rounding, saturation in modes[x.itemsize % 3 :: 4]:
            options = {"rounding": rounding, "saturation": saturation}
            codes = fp.encode(x, fmt, **options)

            values = fp.quantize(x, fmt, **options)

            assert values.dtype == dtype
            expected = fp.decode(codes, fmt, dtype=dtype)
            if name != "longdouble":  # which has bytes that say nothing
                values, expected = values.view(np.uint8), expected.view(np.uint8)
            np.testing.assert_array_equal(values, expected, f"{name} {options}")


def test_quantize_gives_the_type_that_is_asked_for() -> None:
    """By type where it holds the format, by name always; integers and Python numbers: float64."""
    x = np.array([0.3, 500.0, -1e9], np.float32)
    for dtype in DTYPES.values():
        values = fp.quantize(x, "E4M3FN", dtype=dtype)
        assert values.dtype == dtype
        assert values.astype(float).tolist() == [0.3125, 448.0, -448.0]
    for number in (3, 3.0, np.int16(3), [1, 2], np.arange(3, dtype=np.uint8)):
        assert fp.quantize(number, "E4M3FN").dtype == np.float64
    with pytest.raises(ValueError, match="dtype float16 cannot hold"):
        fp.quantize(x, "E8M0FNU", dtype=np.float16)
    assert fp.quantize(x, "E8M0FNU", dtype="float16").tolist() == [0.25, 512.0, 0.0]
    with pytest.raises(ValueError, match="dtype float16 cannot hold"):
        fp.quantize(np.float16(3), "E8M0FNU")
    assert fp.quantize(np.float16(2), "E8M0FNU", dtype=np.float32) == 2


# Round trips.


@pytest.mark.parametrize("fmt", fp.FORMATS.values(), ids=name_of)
def test_finite_codes_survive_a_round_trip(fmt: Any) -> None:
    """Values of the format never move, in any mode; nor do infinities where they are kept."""
    codes = every_code(fmt)
    values = fp.decode(codes, fmt, dtype=np.float64)
    modes = list(product(("rne", "rna", "rz", "ru", "rd", "ro"), fp.Saturation))
    for rounding, saturation in modes if fmt.bits <= 8 else modes[::4]:  # which take long
        kept = np.isfinite(values)
        if saturation is not fp.Saturation.SAT_FINITE:
            kept |= np.isinf(values)
        back = fp.encode(values, fmt, rounding=rounding, saturation=saturation)
        np.testing.assert_array_equal(back[kept], codes[kept], f"{rounding} {saturation}")


@pytest.mark.parametrize("target", SMALL, ids=name_of)
def test_convert_is_encode_of_decode(target: Any, assert_codes: Any) -> None:
    """Every code of every pair of formats up to 8 bits, and by the reference."""
    first, saturations = list(fp.FORMATS).index(target.name), list(fp.Saturation)
    modes = [(mode, saturations[(first + i) % 3]) for i, mode in ((0, "rne"), (2, "rz"), (5, "ro"))]
    for source, (rounding, saturation) in product(SMALL, modes):
        codes = every_code(source)
        values = fp.decode(codes, source, dtype=np.float64)
        options = {"rounding": rounding, "saturation": saturation}

        actual = fp.convert(codes, source, target, **options)

        assert_codes(actual, fp.encode(values, target, **options), values)
        expected = reference.expected_codes(values, target, rounding, saturation)
        assert_codes(actual, expected, values, f"{source.name} to {target.name}")


def test_convert_reaches_formats_that_need_float64() -> None:
    """All of BFLOAT16 and BINARY16 to and from 8 bits, and formats outside float32."""
    for source, target in product(
        ("BFLOAT16", "BINARY16", "w4m3b150-fn", "E8M0FNU", "binary12p3se"),
        ("E4M3FN", "BINARY16", "w4m3b150-fn", "BFLOAT16"),
    ):
        fmt = fp.get_format(source)
        codes = every_code(fmt)
        values = fp.decode(codes, fmt, dtype=np.float64)
        np.testing.assert_array_equal(
            fp.convert(codes, source, target, saturation="SatNone"),
            fp.encode(values, target, saturation="SatNone"),
        )


def test_convert_as_ml_dtypes_does() -> None:
    """like= holds for conversions between formats; E5M2 to E4M3FN without saturation."""
    codes = np.arange(256, dtype=np.uint8)
    with np.errstate(all="ignore"):
        theirs = codes.view(ml_dtypes.float8_e5m2).astype(np.float32)
        theirs = theirs.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    np.testing.assert_array_equal(fp.convert(codes, "E5M2", "E4M3FN", like="ml_dtypes"), theirs)
