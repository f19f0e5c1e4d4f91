"""
The reference against gfloat, code by code and at the boundaries of rounding.

Excluded, as gfloat 0.5.2 differs there by design or mistake: negative numbers into
unsigned formats (returned negative), overflow of P3109's finite formats without
saturation (NaN, where v4.0 has the largest value), numbers below the smallest value of
a format without subnormals (returned as they are), and NaN or overflow in formats
without NaN (an error).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fp8num.formats import Format, get_format
from fp8num.verify.reference import Kind, decode, project

pytestmark = pytest.mark.peers
gfloat = pytest.importorskip("gfloat")
gformats = pytest.importorskip("gfloat.formats")

PAIRS: list[tuple[str, Any]] = [
    ("E4M3FN", gformats.format_info_ocp_e4m3),
    ("E5M2", gformats.format_info_ocp_e5m2),
    ("E3M2FN", gformats.format_info_ocp_e3m2),
    ("E2M3FN", gformats.format_info_ocp_e2m3),
    ("E2M1FN", gformats.format_info_ocp_e2m1),
    ("E8M0FNU", gformats.format_info_ocp_e8m0),
    ("BINARY16", gformats.format_info_binary16),
    ("BFLOAT16", gformats.format_info_bfloat16),
    *(
        (
            f"Binary{bits}p{precision}{sign}{domain}",
            gformats.format_info_p3109(
                bits,
                precision,
                gfloat.Signedness.Signed if sign == "s" else gfloat.Signedness.Unsigned,
                gfloat.Domain.Extended if domain == "e" else gfloat.Domain.Finite,
            ),
        )
        for bits in range(3, 9)
        for sign in "su"
        for precision in range(1, bits + (sign == "u"))
        for domain in "ef"
    ),
]
MODES = {
    "NearestTiesToEven": gfloat.RoundMode.TiesToEven,
    "NearestTiesToAway": gfloat.RoundMode.TiesToAway,
    "TowardZero": gfloat.RoundMode.TowardZero,
    "TowardPositive": gfloat.RoundMode.TowardPositive,
    "TowardNegative": gfloat.RoundMode.TowardNegative,
}
STOCHASTIC = {
    "StochasticA": gfloat.RoundMode.StochasticFastest,
    "StochasticB": gfloat.RoundMode.StochasticFast,
    "StochasticC": gfloat.RoundMode.Stochastic,
}
#: How far beside a point, relatively.  gfloat adds 0.5 in float64, which takes the last
#: floats below half the smallest subnormal for ties: 0x1.fffffffffffffp-11 to 2^-9 in E4M3FN.
BESIDE = 2.0**-40

by_format = pytest.mark.parametrize(("name", "info"), PAIRS, ids=[name for name, _ in PAIRS])


def as_float(code: int, fmt: Format) -> float:
    """Return what a code stands for as a float."""
    datum = decode(code, fmt)
    magnitude = {Kind.NAN: math.nan, Kind.INFINITE: math.inf}.get(datum.kind)
    if magnitude is None:
        magnitude = abs(float(datum.value))
    return -magnitude if datum.negative else magnitude


def assert_same(ours: float, theirs: float, what: str) -> None:
    """Raise unless both are NaN, or equal with equal signs."""
    same = math.isnan(ours) if math.isnan(theirs) else ours == theirs
    assert same, f"{what}: {ours!r}, gfloat {theirs!r}"
    assert math.isnan(ours) or math.copysign(1, ours) == math.copysign(1, theirs), what


def inputs(fmt: Format, info: Any) -> npt.NDArray[np.float64]:
    """Return values, midpoints, quarters of gaps, and floats beside them."""
    values = np.array([as_float(code, fmt) for code in range(1 << fmt.bits)])
    values = np.unique(values[np.isfinite(values) & (values >= 0)])
    beyond = values[-1] + (values[-1] - values[-2])
    values = np.append(values, beyond)
    inner = np.concatenate([values[:-1] + np.diff(values) * part for part in (0.25, 0.375, 0.5)])
    points = np.concatenate([values, inner, [1e-200, 1e200]])
    # All at the ends of the range, a sample between them.
    middle = (points > values[:5][-1]) & (points < values[-5:][0])
    points = np.concatenate([points[~middle], points[middle][:: 1 + middle.sum() // 80]])
    points = np.concatenate([points, points * (1 - BESIDE), points * (1 + BESIDE)])
    if fmt.mantissa_bits == 0 and not fmt.subnormals:
        points = points[points >= info.smallest]
    return np.concatenate([points, -points]) if fmt.signed else points


@by_format
def test_every_code_decodes_as_gfloat_decodes_it(name: str, info: Any) -> None:
    """Values, infinities, NaNs and signs of zero."""
    fmt = get_format(name)

    assert fmt.bits == info.k
    for code in range(1 << fmt.bits):
        assert_same(as_float(code, fmt), gfloat.decode_float(info, code).fval, f"{name} {code:#x}")


@by_format
@pytest.mark.parametrize("saturate", [True, False])
def test_rounding_is_gfloats(name: str, info: Any, *, saturate: bool) -> None:
    """Five modes, saturating to finite values and not."""
    fmt = get_format(name)
    finite_only = name.endswith("f") or info.num_nans == 0
    compared = 0
    for x in inputs(fmt, info).tolist():
        if finite_only and not saturate and abs(x) > info.max:
            continue
        for mode, theirs in MODES.items():
            code = project(x, fmt, mode, "SatFinite" if saturate else "SatNone")
            expected = gfloat.round_float(info, x, theirs, sat=saturate)
            assert_same(as_float(code, fmt), expected, f"{name} {mode} {x.hex()}")
            compared += 1
    assert compared > 30


@by_format
def test_infinities_and_nans_are_gfloats(name: str, info: Any) -> None:
    """Where gfloat gives a result."""
    fmt = get_format(name)
    for x in (math.inf, -math.inf)[: 2 if fmt.signed else 1]:
        expected = gfloat.round_float(info, x, sat=True)
        assert_same(as_float(project(x, fmt, "rne", "SatFinite"), fmt), expected, f"{name} {x}")
        if info.num_nans > 0 and not name.endswith("f"):
            expected = gfloat.round_float(info, x, sat=False)
            assert_same(as_float(project(x, fmt, "rne", "SatNone"), fmt), expected, f"{name} {x}")
    if info.num_nans > 0:
        assert math.isnan(as_float(project(math.nan, fmt, "rne", "SatNone"), fmt))


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "Binary8p1se", "Binary8p3se", "Binary6p2uf"])
def test_stochastic_rounding_is_gfloats(name: str) -> None:
    """Every random number of 0 to 3 bits, at saturation."""
    fmt, info = get_format(name), dict(PAIRS)[name]
    for x in inputs(fmt, info)[::7].tolist():
        for width in range(4):
            for bits in range(1 << width):
                for mode, theirs in STOCHASTIC.items():
                    code = project(x, fmt, mode, "SatFinite", random_bits=bits, random_width=width)
                    expected = gfloat.round_float(
                        info, x, theirs, sat=True, srbits=bits, srnumbits=width
                    )
                    where = f"{name} {mode} R={bits} N={width} {x.hex()}"
                    assert_same(as_float(code, fmt), expected, where)


def test_a_difference_is_noticed() -> None:
    """Another value, the other zero, and NaN against a number."""
    for ours, theirs in ((1.0, 2.0), (0.0, -0.0), (math.nan, 1.0), (1.0, math.nan)):
        with pytest.raises(AssertionError, match="here"):
            assert_same(ours, theirs, "here")
    assert Fraction(as_float(0x7E, get_format("E4M3FN"))) == 448
