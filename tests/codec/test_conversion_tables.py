"""
Conversions that documents state, transcribed from them by hand.

A third opinion beside the reference and ml_dtypes: numbers on paper.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import fp8num as fp

INF, NAN = np.inf, np.nan
SATURATIONS = ("SatFinite", "SatPropagate", "SatNone")


def check(cases: list[tuple[float, int]], fmt: str, **options: Any) -> None:
    """Compare each value's code with the document's, from float32 and from float64."""
    for dtype in (np.float32, np.float64):
        x = np.array([value for value, _ in cases], dtype)

        codes = fp.encode(x, fmt, **options)

        shown = [f"{v!r}: {c:#04x}" for v, c in zip(x.tolist(), codes.tolist(), strict=True)]
        assert shown == [
            f"{v!r}: {code:#04x}" for v, (_, code) in zip(x.tolist(), cases, strict=True)
        ]


# OCP OFP8 1.0: conversion from wider formats, saturating and not; NaN keeps its sign here.

ABOVE_464 = float(np.nextafter(np.float32(464), np.float32(500)))
BELOW_61440 = float(np.nextafter(np.float32(61440), np.float32(0)))


@pytest.mark.parametrize(
    ("saturation", "overflow", "infinity"),
    [("SatFinite", 0x7E, 0x7E), ("SatPropagate", 0x7E, 0x7F), ("SatNone", 0x7F, 0x7F)],
)
def test_ocp_e4m3_overflows_above_464(saturation: str, overflow: int, infinity: int) -> None:
    """464 is the tie between 448 and 480 and goes to the even 448; above it is overflow."""
    cases = [
        (448.0, 0x7E),
        (464.0, 0x7E),
        (ABOVE_464, overflow),
        (480.0, overflow),
        (1e30, overflow),
        (INF, infinity),
        (NAN, 0x7F),
        (2.0**-10, 0x00),
        (1.0000001 * 2.0**-10, 0x01),
        (2.0**-9, 0x01),
        (2.0**-6, 0x08),
        (0.875 * 2.0**-6, 0x07),
        (0.0, 0x00),
        (1.0, 0x38),
    ]
    check([*cases, *((-x, code | 0x80) for x, code in cases)], "E4M3FN", saturation=saturation)


@pytest.mark.parametrize(
    ("saturation", "overflow", "infinity"),
    [("SatFinite", 0x7B, 0x7B), ("SatPropagate", 0x7B, 0x7C), ("SatNone", 0x7C, 0x7C)],
)
def test_ocp_e5m2_overflows_from_61440(saturation: str, overflow: int, infinity: int) -> None:
    """61440 is the tie between 57344 and 65536 and goes to the even code, which is overflow."""
    cases = [
        (57344.0, 0x7B),
        (BELOW_61440, 0x7B),
        (61440.0, overflow),
        (1e30, overflow),
        (INF, infinity),
        (NAN, 0x7E),
        (2.0**-17, 0x00),
        (1.0000001 * 2.0**-17, 0x01),
        (2.0**-16, 0x01),
        (0.75 * 2.0**-14, 0x03),
        (2.0**-14, 0x04),
    ]
    check([*cases, *((-x, code | 0x80) for x, code in cases)], "E5M2", saturation=saturation)


def test_e2m1_has_the_thresholds_of_nvfp4() -> None:
    """<= .25: 0, < .75: .5, <= 1.25: 1, < 1.75: 1.5, <= 2.5: 2, < 3.5: 3, <= 5: 4, else 6."""
    below, above = 1 - 2.0**-20, 1 + 2.0**-20
    cases = [
        (0.25, 0), (0.25 * above, 1), (0.75 * below, 1), (0.75, 2), (1.25, 2), (1.25 * above, 3),
        (1.75 * below, 3), (1.75, 4), (2.5, 4), (2.5 * above, 5), (3.5 * below, 5), (3.5, 6),
        (5.0, 6), (5.0 * above, 7), (1e9, 7), (INF, 7),
    ]  # fmt: skip
    check([*cases, *((-x, code | 8) for x, code in cases)], "E2M1FN")
    check([(NAN, 7), (-NAN, 7)], "E2M1FN")


# HiFloat8: half away; from 40960 on it is infinity; below 2^-23 it is zero.


@pytest.mark.parametrize("rounding", ["rne", "rna"])
def test_hifloat8_rounds_half_away(rounding: str) -> None:
    below = 1 - 2.0**-20
    cases = [
        (2.0**-23 * below, 0x00),
        (2.0**-23, 0x01),
        (2.0**-22, 0x01),
        (1.5 * 2.0**-22 * below, 0x01),
        (1.5 * 2.0**-22, 0x02),
        (2.0**-16, 0x07),
        (1.0, 0x08),
        (1.0625 * below, 0x08),
        (1.0625, 0x09),
        (1.875, 0x0F),
        (2.0, 0x10),
        (0.5, 0x18),
        (2.0**15, 0x6E),
        (40960.0 * below, 0x6E),
    ]
    check(
        [*cases, *((-x, code | 0x80) for x, code in cases if code)], "HIFLOAT8", rounding=rounding
    )
    for saturation, overflow, infinity in (
        ("SatNone", 0x6F, 0x6F),
        ("SatPropagate", 0x6E, 0x6F),
        ("SatFinite", 0x6E, 0x6E),
    ):
        check(
            [
                (40960.0, overflow),
                (-40960.0, overflow | 128),
                (1000000000.0, overflow),
                (INF, infinity),
                (-INF, infinity | 128),
                (NAN, 128),
                (-0.0, 0),
                (-1e-09, 0),
            ],
            "HIFLOAT8",
            rounding=rounding,
            saturation=saturation,
        )


# posit<8,2>: nearest on the encoding; nothing becomes 0 or NaR.


@pytest.mark.parametrize("saturation", SATURATIONS)
@pytest.mark.parametrize("rounding", ["rne", "rna"])
def test_posit8_never_rounds_to_zero_or_nar(rounding: str, saturation: str) -> None:
    """0x40 is 1; minpos 2^-24 and maxpos 2^24 take all that lies beyond them."""
    cases = [
        (0.0, 0x00), (-0.0, 0x00), (1.0, 0x40), (-1.0, 0xC0), (2.0**24, 0x7F), (2.0**-24, 0x01),
        (1e-30, 0x01), (-1e-30, 0xFF), (1e30, 0x7F), (-1e30, 0x81), (NAN, 0x80),
        # between minpos 2^-24 and 2^-20 the nine-bit posit 0b000000011 is 2^-22, a tie: even 0x02
        (2.0**-22, 0x02), (2.0**-22 * (1 - 2.0**-20), 0x01), (2.0**22, 0x7E),
        (2.0**22 * (1 + 2.0**-20), 0x7F),
        (2.0**-23, 0x01), (2.0**23, 0x7F),
    ]  # fmt: skip
    check(cases, "POSIT8", rounding=rounding, saturation=saturation)
    infinity = [(INF, 0x7F), (-INF, 0x81)] if saturation == "SatFinite" else [(INF, 0x80)] * 2
    check(infinity, "POSIT8", rounding=rounding, saturation=saturation)


# IEEE P3109 v4.0, Saturate: signed and unsigned, extended and finite.

#: Of 8 bits and precision 3: the codes of M_hi, M_lo, +Inf, -Inf (None: there is none) and NaN.
P3109 = {
    "binary8p3se": (0x7E, 0xFE, 0x7F, 0xFF, 0x80),
    "binary8p3sf": (0x7F, 0xFF, None, None, 0x80),
    "binary8p3ue": (0xFD, 0x00, 0xFE, None, 0xFF),
    "binary8p3uf": (0xFE, 0x00, None, None, 0xFF),
}


def saturated(x: float, rounding: str, saturation: str, name: str) -> int:
    """Saturate as the report's table says, its first line that matches, for x out of range."""
    high, low, plus, minus, nan = P3109[name]
    signed, extended = name[-2] == "s", name[-1] == "e"
    if saturation == "SatFinite":
        return high if x > 0 else low
    if saturation == "SatPropagate":
        if x == INF and extended:
            return plus
        if x == -INF and extended and signed:
            return minus
        return high if x > 0 else low
    if x == INF:
        return plus if extended else high
    if x == -INF:
        if signed and extended:
            return minus
        return nan if not signed else low
    if rounding == "ro" and not signed and extended and x > 0:
        return high
    if rounding in ("rz", "rd") and x > 0:
        return high
    if rounding in ("rz", "ru") and x < 0:
        return low
    if x < 0:
        if signed and extended:
            return minus
        return nan if not signed else low
    return plus if extended else high


@pytest.mark.parametrize("name", P3109)
def test_p3109_saturates_as_the_report_says(name: str, each: Any) -> None:
    def compare(rounding: str, saturation: str) -> None:
        cases = [(x, saturated(x, rounding, saturation, name)) for x in (1e30, -1e30, INF, -INF)]
        cases += [(NAN, P3109[name][4]), (0.0, 0), (-0.0, 0)]
        check(cases, name, rounding=rounding, saturation=saturation)

    each(product(("rne", "rna", "rz", "ru", "rd", "ro"), SATURATIONS), compare)


def test_the_later_p3109_draft_is_an_option() -> None:
    """SatNone into a finite format: the largest value in v4.0; NaN by overflow='nan'."""
    draft = fp.Format(**{**fp.get_format("binary8p3sf").to_dict(), "overflow": "nan", "name": "d"})
    check([(1e30, 0x7F), (INF, 0x7F)], "binary8p3sf", saturation="SatNone")
    codes = fp.encode([1e30, -1e30, INF, -INF], draft, saturation="SatNone")
    assert codes.tolist() == [0x80] * 4


# NaN and the zeros, by family.


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    ("name", "plus", "minus"),
    [
        ("E4M3FN", 0x7F, 0xFF),
        ("E5M2", 0x7E, 0xFE),
        ("E4M3IEEE", 0x7C, 0xFC),
        ("E3M4", 0x78, 0xF8),
        ("BINARY16", 0x7E00, 0xFE00),
        ("BFLOAT16", 0x7FC0, 0xFFC0),
        ("E4M3FNUZ", 0x80, 0x80),
        ("E5M2FNUZ", 0x80, 0x80),
        ("E4M3B11FNUZ", 0x80, 0x80),
        ("binary8p4se", 0x80, 0x80),
        ("binary8p4uf", 0xFF, 0xFF),
        ("HIFLOAT8", 0x80, 0x80),
        ("POSIT8", 0x80, 0x80),
        ("E8M0FNU", 0xFF, 0xFF),
        ("UE5M3", 0xFF, 0xFF),
        ("E2M1FN", 0x7, 0x7),  # none: the largest value, as PTX
        ("E2M3FN", 0x1F, 0x1F),
        ("E3M2FN", 0x1F, 0x1F),
    ],
)
def test_nan_keeps_its_sign_where_the_format_has_both(
    name: str, plus: int, minus: int, *, every: bool
) -> None:
    """Whatever the payload, the type it comes from and the rounding."""
    float32 = np.array([0x7FC00000, 0x7F800001, 0x7FFFFFFF], np.uint32)
    float64 = np.array([0x7FF8 << 48, (0x7FF0 << 48) + 1, (1 << 63) - 1], np.uint64)
    float16 = np.array([0x7E00, 0x7C01, 0x7FFF], np.uint16)
    for bits, dtype in ((float32, np.float32), (float64, np.float64), (float16, np.float16)):
        sign = bits.dtype.type(1 << (8 * bits.itemsize - 1))
        modes = list(product(("rne", "ru", "ro"), SATURATIONS))
        for rounding, saturation in modes if every else modes[::4]:
            options = {"rounding": rounding, "saturation": saturation}
            assert fp.encode(bits.view(dtype), name, **options).tolist() == [plus] * 3
            assert fp.encode((bits | sign).view(dtype), name, **options).tolist() == [minus] * 3


@pytest.mark.parametrize("name", ["E2M1FN", "E2M3FN", "E3M2FN"])
def test_nan_may_be_refused(name: str) -> None:
    """nan='raise' in a format without NaN; formats with NaN take it as ever."""
    with pytest.raises(ValueError, match=rf"NaN.*{name}|{name}.*NaN"):
        fp.encode(np.array([1.0, np.nan]), name, nan="raise")
    assert fp.encode(np.array([1.0]), name, nan="raise").size == 1
    assert fp.encode(np.nan, "E4M3FN", nan="raise") == 0x7F
    with pytest.raises(ValueError, match=f"codes must hold no NaN, as {name} has none"):
        fp.convert(np.array([0x38, 0x7F], np.uint8), "E4M3FN", name, nan="raise")
    assert fp.convert(np.uint8(0), "E4M3FN", name, nan="raise") == 0
    assert fp.convert(np.uint8(0), name, "E4M3FN", nan="raise") == 0


@pytest.mark.parametrize(
    ("name", "minus_zero"),
    [
        ("E4M3FN", 0x80), ("E5M2", 0x80), ("E4M3IEEE", 0x80), ("E3M4", 0x80), ("E2M1FN", 0x8),
        ("E2M3FN", 0x20), ("E3M2FN", 0x20), ("BINARY16", 0x8000), ("BFLOAT16", 0x8000),
        ("E4M3FNUZ", 0), ("E5M2FNUZ", 0), ("E4M3B11FNUZ", 0), ("UE5M3", 0), ("HIFLOAT8", 0),
        ("POSIT8", 0), ("binary8p4se", 0), ("binary8p4ue", 0),
    ],
)  # fmt: skip
def test_minus_zero_is_kept_where_the_format_has_it(name: str, minus_zero: int) -> None:
    """-0 itself, and a negative number that rounds to zero; else +0, never the NaN's code."""
    tiny = -float.fromhex("0x1p-1000")
    for x in (np.float16(-0.0), np.float32(-0.0), -0.0, np.longdouble(-0.0)):
        assert fp.encode(x, name) == minus_zero
    if name != "POSIT8":
        assert fp.encode(tiny, name) == minus_zero
        assert fp.encode(tiny, name, rounding="ru", saturation="SatNone") == minus_zero
    assert fp.encode(0, name) == fp.encode(0.0, name) == 0
    assert fp.encode(-0.0, name, rounding="rd") == minus_zero


def test_e8m0_has_neither_zero_nor_sign() -> None:
    """Zeros and negative numbers: 2^-127, or NaN under SatNone; tiny positives: 2^-127."""
    results = {"SatFinite": 0, "SatPropagate": 0, "SatNone": 255}
    for rounding, saturation in product(("rne", "rna", "rz", "ru", "rd", "ro"), SATURATIONS):
        options = {"rounding": rounding, "saturation": saturation}
        x = [0.0, -0.0, -1.0, -(2.0**-140), -1e300]
        found = fp.encode(x, "E8M0FNU", **options).tolist()
        assert found == [results[saturation]] * 5, options
        x = [2.0**-127, 2.0**-128, 2.0**-149, 5e-324]
        assert fp.encode(x, "E8M0FNU", **options).tolist() == [0] * 4, options


@pytest.mark.parametrize(
    ("rounding", "saturation", "code"),
    [
        ("rne", "SatFinite", 0), ("rne", "SatPropagate", 0), ("rne", "SatNone", 255),
        ("rz", "SatNone", 0), ("ru", "SatNone", 0), ("rd", "SatNone", 255), ("ro", "SatNone", 255),
        ("rna", "SatNone", 255),
    ],
)  # fmt: skip
def test_an_unsigned_format_has_no_negative_numbers(
    rounding: str, saturation: str, code: int
) -> None:
    """-1 into UE5M3: zero when saturating, NaN under SatNone where rounding leaves it below."""
    options = {"rounding": rounding, "saturation": saturation}
    assert fp.encode(-1.0, "UE5M3", **options) == code
    assert fp.encode(-1e-300, "UE5M3", rounding="rne", saturation=saturation) == 0
    infinity = 0 if saturation == "SatFinite" else 255
    assert fp.encode(-np.inf, "UE5M3", **options) == infinity


# The examples of the design: conventions that users confuse.


def test_e4m3_is_not_e4m3fn() -> None:
    """The IEEE-like format ends at 240, OCP's at 448."""
    assert fp.quantize(410.0, "E4M3FN") == 416
    assert fp.quantize(410.0, "E4M3IEEE") == 240
    assert fp.E4M3FN.max == 448
    assert fp.E4M3IEEE.max == 240


def test_directed_rounding_stops_at_the_largest_value() -> None:
    """SatNone: toward zero never overflows; up overflows above only, down below only.

    To odd does not either, for infinity has the even code.
    """
    x = [1e9, -1e9]
    inf, max_ = [0x7C, 0xFC], [0x7B, 0xFB]
    assert fp.encode(x, "E5M2", rounding="rz", saturation="SatNone").tolist() == max_
    assert fp.encode(x, "E5M2", rounding="ru", saturation="SatNone").tolist() == [inf[0], max_[1]]
    assert fp.encode(x, "E5M2", rounding="rd", saturation="SatNone").tolist() == [max_[0], inf[1]]
    assert fp.encode(x, "E5M2", rounding="ro", saturation="SatNone").tolist() == max_
