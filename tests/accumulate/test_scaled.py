"""ScaledArrays as operands: their scales enter as the same scales given apart do."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import fp8num as fp

RNG = np.random.default_rng(20)
A = RNG.standard_normal((48, 300)).astype(np.float32)
B = RNG.standard_normal((300, 40)).astype(np.float32)

PAIRS = [
    ("tensor", "tensor", "hopper", "tensor"),
    ("te-current", "te-current", "hopper-promoted", "tensor"),
    ("torchao-rowwise", "torchao-rowwise", "hopper", "row"),
    ("te-block-1x128", "te-block-1x128", "hopper-promoted", "1x128"),
    ("te-block-1x128", "te-block-128x128", "hopper-promoted", "128x128"),
    ("deepgemm-1x128", "deepgemm-128x128", "hopper-promoted", "128x128"),
]


@pytest.mark.parametrize("length", [300, 100], ids=["ragged", "one short block"])
@pytest.mark.parametrize(("rule_a", "rule_b", "unit", "scaling"), PAIRS)
def test_scales_of_arrays_enter_as_given_ones(
    rule_a: str, rule_b: str, unit: str, scaling: str, length: int
) -> None:
    """Bit for bit; B quantised along its first axis, or as rows and then transposed."""
    a = fp.scale_quantize(A[:, :length], rule_a)
    b = fp.scale_quantize(B[:length], rule_b, axis=0)
    turned = fp.scale_quantize(np.ascontiguousarray(B[:length].T), rule_b).transpose()

    found = fp.matmul(a, b, accumulator=unit)

    expected = fp.matmul(
        a.codes,
        b.codes,
        a.format,
        b.format,
        accumulator=unit,
        a_scale=a.scales,
        b_scale=b.scales,
        scaling=scaling,
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(fp.matmul(a, turned, accumulator=unit), expected)


@pytest.mark.parametrize("rule", ["te-mxfp8", "te-nvfp4", "torchao-mx-floor", "block-32"])
def test_exact_is_the_sum_of_scaled_products(rule: str) -> None:
    """In rationals: code times scale times code times scale, summed, rounded once."""
    a = fp.scale_quantize(A[:2, :70], rule)
    b = fp.scale_quantize(B[:70, :2], rule, axis=0)

    found = fp.matmul(a, b, out_dtype=np.float64)

    for i, j in np.ndindex(2, 2):
        total = sum(
            (x * y for x, y in zip(_values(a[i]), _values(b[:, j]), strict=True)), Fraction(0)
        )
        assert abs(Fraction(float(found[i, j])) - total) <= abs(total) * Fraction(2) ** -53


def _values(x: Any) -> list[Fraction]:
    """Return a vector's values exactly: what decoded codes are multiplied by is float32."""
    scales = np.repeat(x.scales, x.block[0])[: x.size]
    if x.tensor_scale is not None:  # two factors, each of which enters exactly
        stored = fp.decode(x.scale_codes, x.scale_format)
        scales = np.repeat(stored, x.block[0])[: x.size]
    factor = Fraction(1) if x.tensor_scale is None else Fraction(float(x.tensor_scale))
    codes = fp.decode(x.codes, x.format, dtype=np.float64)
    return [
        Fraction(float(code)) * Fraction(float(scale)) * factor
        for code, scale in zip(codes, scales, strict=True)
    ]


def test_units_with_scales_of_their_own_take_their_blocks_alone() -> None:
    """blackwell-mx takes one E8M0 scale for 32 products."""
    a = fp.scale_quantize(A, "te-mxfp8")
    b = fp.scale_quantize(B, "te-mxfp8", axis=0)
    close = fp.matmul(a, b, accumulator="blackwell-mx")
    np.testing.assert_allclose(close, fp.matmul(a, b), atol=2e-5)

    with pytest.raises(ValueError, match=r"one scale for 32 products .* got 128"):
        fp.matmul(fp.scale_quantize(A, "te-block-1x128"), b, accumulator="blackwell-mx")
