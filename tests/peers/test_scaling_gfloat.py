"""
The MX rules against the gfloat that is installed: scale codes and element codes.

gfloat computes in the type it is given: in float64 its log2 of a float32 is exact enough to
find every binade, in float32 it is not, see below.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp

pytestmark = pytest.mark.peers

#: gfloat's name of a block format: the rule, and the format of its elements.
MX = {
    "mxfp8_e4m3": ("mxfp8-e4m3fn", "E4M3FN"),
    "mxfp8_e5m2": ("mxfp8-e5m2", "E5M2"),
    "mxfp6_e3m2": ("mxfp6-e3m2fn", "E3M2FN"),
    "mxfp6_e2m3": ("mxfp6-e2m3fn", "E2M3FN"),
    "mxfp4_e2m1": ("mxfp4-e2m1fn", "E2M1FN"),
    "mxint8": ("mxint8", "MXINT8"),
}


def gfloat_block(name: str, x: Any) -> tuple[int, list[int], Any]:
    """Return gfloat's scale code, element codes and decoded values of one block."""
    from gfloat import formats
    from gfloat.block import compute_scale_amax, decode_block, encode_block

    info = getattr(formats, f"format_info_{name}")
    scale = compute_scale_amax(info.etype.emax, x)
    codes = [int(code) for code in encode_block(info, scale, x / scale)]
    values = np.fromiter(decode_block(info, codes), np.float64)
    return codes[0], codes[1:], values


def blocks() -> npt.NDArray[np.float32]:
    """Return blocks of 32: random at many scales, and with corners for their largest."""
    rng = np.random.default_rng(8)
    wide = rng.standard_normal((700, 32)) * np.exp2(rng.integers(-148, 120, (700, 1)))
    exponents = rng.integers(-148, 128, 300)
    exact = np.ldexp(rng.choice([1.0, 1.5, 1.75, 1.875], 300), exponents)
    exact = np.minimum(exact, np.finfo(np.float32).max).astype(np.float32)
    near = [np.nextafter(exact, np.float32(towards)) for towards in (0, 1e38)]
    amax = np.concatenate([exact, *near])[:, None]
    corners = amax * rng.uniform(-1, 1, (amax.size, 32)).astype(np.float32)
    corners[:, 7] = amax[:, 0]
    # Two elements that a scale of 1 leaves between two codes of every format: ties.
    ties = np.float32([[1.0, *np.arange(1, 32) / 32]]) * np.float32([[1.0], [-3.0], [2.0**-127]])
    zeros = np.zeros((2, 32), np.float32)
    zeros[1] = -0.0
    return np.concatenate([wide.astype(np.float32), corners, ties, zeros]).astype(np.float32)


@pytest.mark.parametrize("name", MX)
def test_mx_codes_scales_and_values(name: str) -> None:
    """
    Every code of 1,605 blocks; all-zero ones get the scale 2^-127 from both.

    One difference is meant: gfloat's INT8 reaches -2, which MX 1.0 lets one leave out so
    that the range is symmetric, as ours is; codes below -127 / 64 of a scale differ.
    """
    rule, fmt = MX[name]
    x = blocks()
    assert x.shape == (1605, 32)

    scaled = fp.scale_quantize(x, rule)

    assert scaled.format is fp.get_format(fmt)
    values = scaled.dequantize(np.float64)
    count = lower = 0
    for row, ours in enumerate(scaled.codes):
        scale, codes, decoded = gfloat_block(name, x[row].astype(np.float64))
        assert scaled.scale_codes[row, 0] == scale, f"scale of block {row}"
        lowest = np.array(codes) == (0x80 if name == "mxint8" else -1)
        assert (ours[lowest] == 0x81).all()
        np.testing.assert_array_equal(ours[~lowest], np.array(codes)[~lowest], err_msg=f"{row}")
        np.testing.assert_array_equal(values[row][~lowest], decoded[~lowest], err_msg=f"{row}")
        count += 1 + len(codes)
        lower += np.count_nonzero(lowest)
    assert count == 1605 * 33
    assert (lower > 0) == (name == "mxint8")


@pytest.mark.parametrize("name", MX)
def test_in_float32_gfloat_puts_512_less_an_ulp_into_the_next_binade(name: str) -> None:
    """log2(512 - 2^-15) is 9 in float32.  The rules read the exponent bits instead."""
    rule, _ = MX[name]
    x = np.full((1, 32), np.nextafter(np.float32(512), np.float32(0)))

    exact = gfloat_block(name, x[0].astype(np.float64))[0]
    rounded = gfloat_block(name, x[0])[0]

    assert rounded == exact + 1
    assert fp.scale_quantize(x, rule).scale_codes.tolist() == [[exact]]


@pytest.mark.parametrize("name", ["mxfp8_e4m3", "mxfp8_e5m2"])
def test_a_nan_makes_the_scale_nan(name: str) -> None:
    """And with it every value of the block."""
    rule, _ = MX[name]
    x = np.ones((1, 32))
    x[0, 3] = np.nan

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scale, _, values = gfloat_block(name, x[0])
    scaled = fp.scale_quantize(x, rule)

    assert scale == 255
    assert scaled.scale_codes.tolist() == [[255]]
    assert np.isnan(values).all()
    assert np.isnan(scaled.dequantize()).all()
