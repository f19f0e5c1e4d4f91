"""
MXINT8: two's complement integers in units of 1/64, rounded as any other format.

Expected is arithmetic on Fractions: an integer is taken from 64 x by its mode, and what
is beyond -127 and 127 saturates.  -128 is -2, which OCP MX 1.0 leaves to be used or not:
it is read, and never written.
"""

from __future__ import annotations

import json
import math
import pickle
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num.formats import MXINT8, TabulatedFormat, format_from_dict, get_format


def away(y: Fraction) -> int:
    """Round to nearest, halves away from zero."""
    return int(math.copysign(1, y)) * math.floor(abs(y) + Fraction(1, 2))


def odd(y: Fraction) -> int:
    """Round what is no integer to the odd one of its neighbours."""
    low = math.floor(y)
    return low if y == low or low % 2 else low + 1


MODES: dict[str, Any] = {
    "rne": round,
    "rna": away,
    "rz": math.trunc,
    "ru": math.ceil,
    "rd": math.floor,
    "ro": odd,
}
by_mode = pytest.mark.parametrize("mode", MODES)


def expected(x: float, mode: str) -> int:
    """Return the code of a number: its integer as a byte."""
    if math.isnan(x):
        return 127
    if math.isinf(x):
        return 127 if x > 0 else -127 & 0xFF
    return max(-127, min(127, MODES[mode](Fraction(x) * 64))) & 0xFF


def boundaries(dtype: Any) -> Any:
    """Return all values and midpoints, to beyond the range, and the numbers next to them."""
    with np.errstate(over="ignore", under="ignore"):
        halves = np.array([k / 128 for k in range(-262, 263)], dtype)
        near = [np.nextafter(halves, dtype(side)) for side in (-np.inf, np.inf)]
        far = np.array([2.5, 1e4, 1e30, 1e300, 1e-8, 1e-45, 1e-300, np.inf, np.nan], dtype)
    return np.concatenate([halves, *near, far, -far, dtype([-0.0])])


def test_a_code_is_twos_complement_in_units_of_1_64() -> None:
    """All 256, 0x80 too."""
    codes = np.arange(256, dtype=np.uint8)
    wanted = [(code - 256 if code > 127 else code) / 64 for code in range(256)]

    for dtype in (np.float16, np.float32, np.float64):
        assert fp.decode(codes, MXINT8, dtype=dtype).tolist() == wanted
    assert MXINT8.values.tolist() == wanted
    assert [Fraction(n) * Fraction(2) ** e for n, e in map(MXINT8.decompose, range(256))] == [
        Fraction(value) for value in wanted
    ]
    assert fp.decode(np.uint8(0x80), MXINT8) == -2


@by_mode
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_and_midpoints_are_rounded_by_their_mode(dtype: Any, mode: str) -> None:
    """With their neighbours on both sides, and what lies beyond the range."""
    x = boundaries(dtype)

    codes = fp.encode(x, MXINT8, rounding=mode)

    wanted = [expected(float(value), mode) for value in x]
    wrong = np.flatnonzero(codes != np.array(wanted, np.uint8))
    assert not wrong.size, f"{float(x[wrong[0]]).hex()} gave {codes[wrong[0]]:#04x}"


def test_ties_and_directions_written_out() -> None:
    """In units of 1/64: half of them, 1.5 and 126.5 of each sign."""
    x = np.array([0.5, 1.5, 2.5, 126.5, -0.5, -1.5, -126.5, 0.3, -0.3]) / 64
    table = {
        "rne": [0, 2, 2, 126, 0, -2, -126, 0, 0],
        "rna": [1, 2, 3, 127, -1, -2, -127, 0, 0],
        "rz": [0, 1, 2, 126, 0, -1, -126, 0, 0],
        "ru": [1, 2, 3, 127, 0, -1, -126, 1, 0],
        "rd": [0, 1, 2, 126, -1, -2, -127, 0, -1],
        "ro": [1, 1, 3, 127, -1, -1, -127, 1, -1],
    }
    for mode, integers in table.items():
        codes = fp.encode(x, MXINT8, rounding=mode)
        assert codes.view(np.int8).tolist() == integers, mode


@by_mode
def test_the_unused_code_is_never_written(mode: str) -> None:
    """Every float16 and bfloat16, under each saturation; -2 itself becomes -127/64."""
    words = np.arange(1 << 16, dtype=np.uint16)
    for saturation in ("SatFinite", "SatPropagate", "SatNone"):
        for dtype in (np.float16, ml_dtypes.bfloat16):
            codes = fp.encode(words.view(dtype), MXINT8, rounding=mode, saturation=saturation)
            assert not np.any(codes == 0x80)
        minus_two = fp.encode(-2.0, MXINT8, rounding=mode, saturation=saturation)
        assert int(minus_two) == 0x81


@by_mode
def test_every_bfloat16_is_rounded_by_its_mode(mode: str) -> None:
    """Against floor(64 x) in float64, which is exact."""
    x = np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16)
    with np.errstate(invalid="ignore"):
        units = np.nan_to_num(x.astype(np.float64), nan=2).clip(-3, 3) * 64  # NaN: the largest
        low = np.floor(units)
        part = units - low
    nearest = low + ((part > 0.5) | ((part == 0.5) & (low % 2 == 1)))
    away_ = low + ((part > 0.5) | ((part == 0.5) & (units > 0)))
    up = low + (part > 0)
    whole = {"rne": nearest, "rna": away_, "rz": np.where(units > 0, low, up), "ru": up, "rd": low,
             "ro": np.where((part > 0) & (low % 2 == 0), up, low)}[mode]  # fmt: skip

    codes = fp.encode(x, MXINT8, rounding=mode)

    np.testing.assert_array_equal(codes.view(np.int8), np.clip(whole, -127, 127).astype(np.int8))


def test_whatever_is_beyond_the_range_saturates() -> None:
    """There is no infinity and no NaN to become: in every mode of saturation."""
    x = np.array([127 / 64, 127.49 / 64, 127.5 / 64, 2, 3e38, np.inf])
    for saturation in ("SatFinite", "SatPropagate", "SatNone"):
        codes = fp.encode(np.concatenate([x, -x]), MXINT8, saturation=saturation)
        assert codes.view(np.int8).tolist() == [127] * 6 + [-127] * 6


def test_nan_becomes_the_largest_and_minus_zero_zero() -> None:
    assert int(fp.encode(np.nan, MXINT8)) == 0x7F
    assert int(fp.encode(-np.nan, MXINT8)) == 0x7F
    assert int(fp.encode(-0.0, MXINT8)) == 0
    assert not np.signbit(fp.quantize(np.float32(-0.0), MXINT8))
    assert not np.signbit(fp.quantize(np.float32(-1e-9), MXINT8))


def test_stochastic_rounding_adds_random_bits_to_the_magnitude() -> None:
    """With two bits: a quarter, a half and three quarters of a unit go up by 1, 2 and 3 of 4."""
    for quarters in range(5):
        x = np.full(4, (8 + quarters / 4) / 64)
        for sign in (1, -1):
            codes = fp.encode(
                sign * x, MXINT8, rounding="sra", random_bits=np.arange(4), random_width=2
            )
            units = np.abs(codes.view(np.int8).astype(int))
            assert sorted(units.tolist()) == [8] * (4 - quarters) + [9] * quarters


def test_quantising_is_encoding_and_decoding() -> None:
    x = boundaries(np.float32)
    codes = fp.encode(x, MXINT8)
    np.testing.assert_array_equal(fp.quantize(x, MXINT8), codes.view(np.int8) / np.float32(64))


def test_flags_of_what_fits_and_what_does_not() -> None:
    """Inexact where the value is changed, overflow from 127.5/64 on."""
    x = np.array([1.0, 1 / 128, 127 / 64, 127.25 / 64, 127.5 / 64, 5.0, -5.0])
    raised = fp.flags(x, MXINT8)
    assert raised.inexact.tolist() == [False, True, False, True, True, True, True]
    assert raised.overflow.tolist() == [False, False, False, False, True, True, True]


def test_what_the_format_says_of_itself() -> None:
    """Range, width, no specials; -2 is the most negative value that is read."""
    assert MXINT8.name == "MXINT8"
    assert MXINT8.bits == 8
    assert MXINT8.max == 127 / 64
    assert MXINT8.min == -2
    assert MXINT8.eps == 1 / 64
    assert MXINT8.emax == 0
    assert not MXINT8.has_nan
    assert not MXINT8.has_infinity
    assert not MXINT8.has_negative_zero
    assert MXINT8.precision is None
    assert MXINT8.classify(0x80) == MXINT8.classify(0x81) == "normal"
    with pytest.raises(ValueError, match="MXINT8 has no NaN"):
        MXINT8.nan_code()
    with pytest.raises(ValueError, match="infinity"):
        MXINT8.infinity_code()


def test_breakpoints_are_halfway_and_even() -> None:
    """From 127 on to what would follow it, 128; at a half only where the next is even."""
    assert len(MXINT8.nearest) == 128
    for code, (integer, exponent, inclusive) in enumerate(MXINT8.nearest):
        assert Fraction(integer) * Fraction(2) ** exponent == Fraction(2 * code + 1, 128)
        assert inclusive == (round(Fraction(2 * code + 1, 2)) == code + 1)


def test_the_table_has_every_code() -> None:
    frame = MXINT8.to_frame()
    assert len(frame) == 256
    wanted = np.arange(256, dtype=np.uint8).view(np.int8) / 64
    np.testing.assert_array_equal(frame["value"].to_numpy(dtype=np.float64), wanted)


@pytest.mark.parametrize("name", ["MXINT8", "mxint8", "MxInt8", " mxint8 "])
def test_it_is_found_by_name(name: str) -> None:
    """Though it is no float and not in the catalogue of them."""
    assert get_format(name) is MXINT8
    assert get_format(MXINT8) is MXINT8
    assert "MXINT8" not in fp.FORMATS


def test_it_comes_back_from_its_dictionary() -> None:
    """Through JSON: the very same object; under another name an equal table."""
    description = json.loads(json.dumps(MXINT8.to_dict()))

    assert format_from_dict(description) is MXINT8
    other = format_from_dict({**description, "name": "mine"})
    assert isinstance(other, TabulatedFormat)
    assert other != MXINT8
    x = boundaries(np.float32)
    np.testing.assert_array_equal(fp.encode(x, other), fp.encode(x, MXINT8))
    assert pickle.loads(pickle.dumps(MXINT8)) == MXINT8  # noqa: S301 - our own bytes
    assert hash(pickle.loads(pickle.dumps(MXINT8))) == hash(MXINT8)  # noqa: S301


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "HIFLOAT8", "POSIT8", "E8M0FNU", "BFLOAT16"])
def test_the_catalogue_s_formats_come_back_as_themselves(name: str) -> None:
    fmt = get_format(name)
    assert format_from_dict(json.loads(json.dumps(fmt.to_dict()))) is fmt


@pytest.mark.parametrize(
    "description",
    [{}, {"name": "x"}, {"name": "x", "width": 8}, {"name": "x", "exponent_bits": 4, "colour": 1}],
    ids=str,
)
def test_a_description_of_no_format_is_refused(description: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="format must be described by the arguments of Format"):
        format_from_dict(description)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 1}, "width must"),
        ({"table": [[0, 0, 0], [1, 0, 0]]}, "table must ascend"),
        ({"nearest": []}, "table must ascend from zero and nearest have a breakpoint"),
        ({"overflow": "infinity"}, "overflow"),
    ],
    ids=str,
)
def test_a_table_that_is_wrong_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        format_from_dict({**MXINT8.to_dict(), **change})
