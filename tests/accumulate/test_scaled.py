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


@pytest.mark.parametrize(("name_a", "name_b"), [("E4M3FN", "E5M2"), ("E5M2", "E5M2")])
@pytest.mark.parametrize("kind", ["any codes", "cancelling"])
def test_exact_sums_of_100_000_products(name_a: str, name_b: str, kind: str) -> None:
    """In integers: values are multiples of 2**-16, over all the range, or cancel but for one."""
    a_format, b_format = fp.get_format(name_a), fp.get_format(name_b)
    count = 100_000
    a, b = (
        RNG.choice(np.flatnonzero(np.isfinite(fmt.values)), count).astype(np.uint8)
        for fmt in (a_format, b_format)
    )
    if kind == "cancelling":
        half = count // 2
        a[half:], b[half:] = a[:half] ^ 0x80, b[:half]
        a[0], b[0] = 1, 1  # what is left: this product, and minus the one it replaced

    found = fp.dot(a, b, a_format, b_format, out_dtype=np.float64)

    x, y = (
        [int(value) for value in fmt.values[codes] * 2.0**16]
        for fmt, codes in ((a_format, a), (b_format, b))
    )
    total = sum(p * q for p, q in zip(x, y, strict=True))
    assert float(found) == float(Fraction(total, 1 << 32))


def test_rotated_operands_go_together() -> None:
    """Rotations cancel only if both operands have the same one."""
    rotated = fp.scale_quantize(A[:4, :64], "te-nvfp4-rht")
    plain = fp.scale_quantize(B[:64, :4], "te-nvfp4", axis=0)
    with pytest.raises(ValueError, match=r"both be rotated, or neither, .* by te-nvfp4-rht"):
        fp.matmul(rotated, plain)

    both = fp.matmul(rotated, fp.scale_quantize(B[:64, :4], "te-nvfp4-rht", axis=0))

    np.testing.assert_allclose(both, A[:4, :64] @ B[:64, :4], atol=4)


def test_blocks_along_the_wrong_axis_are_explained() -> None:
    a, b = fp.scale_quantize(A, "te-block-1x128"), fp.scale_quantize(B, "te-block-1x128")
    with pytest.raises(ValueError, match=r"got \[1, 128\]; quantise b along .* axis=-2"):
        fp.matmul(a, b, accumulator="hopper-promoted")
