"""
A few conversions worked out by hand, run before everything else.

Whoever breaks a line of the rounding sees it at once, and with a number that can be
checked on paper.  What is true of all numbers is tested elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fp8num as fp

#: E4M3FN: 1 is 0 0111 000, and from there a code is an eighth.
EIGHTH = 0.125


def hexadecimal(codes: Any) -> str:
    """Write codes as they stand in the tests."""
    return " ".join(f"{code:02x}" for code in np.ravel(codes).tolist())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ties_go_to_the_even_code(dtype: type[np.floating[Any]]) -> None:
    """Halfway between 1 and 1.125, and so on; half and three halves of 2**-9; 464 from 480."""
    ties = [1.0625, 1.1875, 1.3125, -1.0625, -1.1875, 2.0**-10, 3 * 2.0**-10, 464.0]

    assert hexadecimal(fp.encode(np.array(ties, dtype), "E4M3FN")) == "38 3a 3a b8 ba 00 02 7e"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_beside_a_tie_the_nearer_is_taken(dtype: type[np.floating[Any]]) -> None:
    """The last bit of the input decides: above 1.0625 it is 1.125, below 1.1875 too."""
    ties = np.array([1.0625, 1.1875, 2.0**-10, 464.0], dtype)
    above, below = np.nextafter(ties, dtype(1000)), np.nextafter(ties, dtype(0))

    assert hexadecimal(fp.encode(above, "E4M3FN", saturation="SatNone")) == "39 3a 01 7f"
    assert hexadecimal(fp.encode(below, "E4M3FN", saturation="SatNone")) == "38 39 00 7e"


def test_a_wide_format_is_rounded_by_arithmetic() -> None:
    """float16 from float64: 1 is 3c00 and a code 2**-10; no table would be small enough."""
    tie = 2.0**-11
    x = np.array([1 + tie, 1 + 3 * tie, np.nextafter(1 + tie, 2), np.nextafter(1 + 3 * tie, 0)])

    assert hexadecimal(fp.encode(x, fp.BINARY16)) == "3c00 3c02 3c01 3c01"
    assert hexadecimal(fp.encode(-x, fp.BINARY16)) == "bc00 bc02 bc01 bc01"


def test_wide_inputs_keep_a_trace_of_every_bit() -> None:
    """2**-60 beside a tie of longdouble, and 1 beside one of an integer of 57 bits."""
    if np.finfo(np.longdouble).nmant > 60:
        little = np.ldexp(np.longdouble(1), -60)
        x = np.longdouble(1.0625) + np.array([-little, 0, little])
        assert hexadecimal(fp.encode(x, "E4M3FN")) == "38 38 39"

    # bfloat16: 2**56 is 5b80, with the exponent field 127 + 56, and a code is 2 * 2**48.
    whole = np.array([-1, 0, 1]) + (257 << 48)
    assert hexadecimal(fp.encode(whole.astype(np.int64), fp.BFLOAT16)) == "5b80 5b80 5b81"
    assert hexadecimal(fp.encode(whole.astype(np.uint64), fp.BFLOAT16)) == "5b80 5b80 5b81"


@pytest.mark.parametrize(
    ("rounding", "codes"),
    [
        ("rne", "38 39 b8 b9"),
        ("rna", "38 39 b8 b9"),
        ("rz", "38 38 b8 b8"),
        ("ru", "39 39 b8 b8"),
        ("rd", "38 38 b9 b9"),
        ("ro", "39 39 b9 b9"),
    ],
)
def test_every_deterministic_mode(rounding: str, codes: str) -> None:
    """A quarter and three quarters of the way from 1 to 1.125, of both signs."""
    x = np.array([1 + EIGHTH / 4, 1 + EIGHTH * 3 / 4], np.float32)

    assert hexadecimal(fp.encode([*x, *-x], "E4M3FN", rounding=rounding)) == codes
    wide = 1 + (x.astype(np.float64) - 1) * 2.0**-7  # the same of float16's gap
    expected = codes.replace("38", "3c00").replace("39", "3c01")
    expected = expected.replace("b8", "bc00").replace("b9", "bc01")
    assert hexadecimal(fp.encode([*wide, *-wide], fp.BINARY16, rounding=rounding)) == expected


@pytest.mark.parametrize("name", ["E4M3FN", "w4m3b7-fn-nosub"])
@pytest.mark.parametrize(
    ("rounding", "eighths", "first_up"),
    [
        ("sra", 5.0, 3),  # floor(5) + R >= 8
        ("sra", 5.5, 3),
        ("srb", 5.5, 2),  # floor(5.5 + 0.5) = 6
        ("srb", 4.5, 3),
        ("src", 5.5, 2),  # rint(5.5) = 6, the even one
        ("src", 4.5, 4),  # rint(4.5) = 4
        ("src", 4.625, 3),
    ],
)
def test_random_bits_are_added(name: str, rounding: str, eighths: float, first_up: int) -> None:
    """Three of them, from 0 to 7, to so many eighths of the way from 1 to 1.125."""
    x = np.full(8, 1 + eighths / 8 * EIGHTH)

    codes = fp.encode(x, name, rounding=rounding, random_bits=np.arange(8), random_width=3)

    assert codes.tolist() == [0x38] * first_up + [0x39] * (8 - first_up)


@pytest.mark.parametrize(
    ("saturation", "e4m3fn", "e5m2"),
    [
        ("SatFinite", "7e fe 7e 7f ff 80", "7b fb 7b 7e fe 80"),
        ("SatPropagate", "7e fe 7f 7f ff 80", "7b fb 7c 7e fe 80"),
        ("SatNone", "7f ff 7f 7f ff 80", "7c fc 7c 7e fe 80"),
    ],
)
def test_ends_of_the_range(saturation: str, e4m3fn: str, e5m2: str) -> None:
    """Beyond the range, infinity, NaN of both signs, -0."""
    x = np.array([1e6, -1e6, np.inf, np.nan, np.copysign(np.nan, -1), -0.0], np.float32)

    assert hexadecimal(fp.encode(x, "E4M3FN", saturation=saturation)) == e4m3fn
    assert hexadecimal(fp.encode(x, "E5M2", saturation=saturation)) == e5m2


def test_codes_are_read() -> None:
    """OFP8, Table 2: the smallest, 1, the largest, of both signs; -0 and NaN."""
    codes = np.array([0x01, 0x38, 0x7E, 0xFE, 0x81], np.uint8)

    assert fp.decode(codes, "E4M3FN").tolist() == [2.0**-9, 1.0, 448.0, -448.0, -(2.0**-9)]
    assert np.signbit(fp.decode(np.array([0x80], np.uint8), "E4M3FN")).all()
    assert np.isnan(fp.decode(np.array([0x7F, 0xFF], np.uint8), "E4M3FN")).all()


def test_the_reference_says_the_same() -> None:
    """What everything else is compared with."""
    from fp8num.verify.reference import project

    def codes(*numbers: float, **options: Any) -> str:
        arguments = {"rounding": "rne", "saturation": "SatNone"} | options
        return hexadecimal([project(x, fp.E4M3FN, **arguments) for x in numbers])

    assert codes(1.0625, 1.1875, np.nextafter(1.0625, 2), 2.0**-10, 464) == "38 3a 39 00 7e"
    assert codes(1 + EIGHTH / 4, rounding="ru") == "39"
    assert codes(np.nextafter(464, 500), np.inf, np.nan, -0.0) == "7f 7f 7f 80"
    assert codes(1 + 5.5 / 64, rounding="srb", random_bits=2, random_width=3) == "39"
    assert codes(1 + 5.5 / 64, rounding="srb", random_bits=1, random_width=3) == "38"
