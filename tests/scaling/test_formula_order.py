"""The order of float32 operations in formulas, on inputs where another order shows."""

from __future__ import annotations

import numpy as np

import fp8num as fp


def test_nvfp4_forms_its_multiplier_first() -> None:
    """amax * (S * (1/6)): (amax * S) * (1/6) rounds this block's scale down to 0x0c."""
    x = np.zeros((1, 32), np.float32)
    x[0, 0] = float.fromhex("0x1.a30fecp0")
    x[0, 16] = float.fromhex("0x1.7629a6p-14")
    assert fp.scale_quantize(x, "te-nvfp4").scale_codes.tolist() == [[0x7E, 0x0D]]


def test_scales_of_huge_values_reach_float32s_subnormals() -> None:
    """max / amax of MXINT8 is below 2**-126 there; what comes back is near."""
    largest = np.finfo(np.float32).max * np.float32(0.9)
    for fmt in ("MXINT8", "binary8p7se"):
        values = fp.scale_quantize([largest, -largest / 2], "tensor", fmt=fmt).dequantize()
        np.testing.assert_allclose(values, [largest, -largest / 2], rtol=0.02)


def test_an_axis_may_be_numpys_integer() -> None:
    x = np.ones((2, 64), np.float32)
    assert fp.scale_quantize(x, "te-mxfp8", axis=np.int64(0)).axis == 0
