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
    """In rationals: code times float32 scale times code times float32 scale, rounded once."""
    a = fp.scale_quantize(A[:6, :70], rule)
    b = fp.scale_quantize(B[:70, :6], rule, axis=0)

    found = fp.matmul(a, b, out_dtype=np.float64)

    for i, j in np.ndindex(6, 6):
        left, right = _values(a[i]), _values(b[:, j])
        total = sum((x * y for x, y in zip(left, right, strict=True)), Fraction(0))
        assert found[i, j] == float(total)
        assert fp.dot(a[i], b[:, j], out_dtype=np.float64) == float(total)


def _values(x: Any) -> list[Fraction]:
    """Return a vector's values exactly: what decoded codes are multiplied by is float32."""
    scales = np.repeat(x.scales, x.block[0])[: x.size]
    codes = fp.decode(x.codes, x.format, dtype=np.float64)
    return [
        Fraction(float(code)) * Fraction(float(scale))
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


@pytest.mark.parametrize("unit", ["hopper", "exact", "float32", "blackwell"])
def test_zero_times_infinity_is_nan_on_either_side(unit: str) -> None:
    """With the infinity in B as in A."""
    zero, infinity = np.uint8([[0x00]]), np.uint8([[0x7C]])
    for a, b in ((zero, infinity), (infinity, zero)):
        assert np.isnan(fp.matmul(a, b, "E5M2", "E5M2", accumulator=unit)).all()


@pytest.mark.parametrize(
    ("name", "low", "c", "dtype", "expected"),
    [
        ("BINARY16", (-12, -12), 2.0**-300, np.float32, 1 + 2.0**-23),
        ("BFLOAT16", (-24, -29), 2.0**-400, np.float64, 1 + 2.0**-52),
        ("BFLOAT16", (-24, -29), -(2.0**-400), np.float64, 1.0),
    ],
)
def test_a_term_far_below_decides_a_tie(
    name: str, low: tuple[int, int], c: float, dtype: type, expected: float
) -> None:
    """1 + half a unit in the last place + c: to the even side only if c is not above zero."""
    a = fp.encode(np.array([[1.0, 2.0 ** low[0]]]), name)
    b = fp.encode(np.array([[1.0], [2.0 ** low[1]]]), name)
    start = np.array([[c]])
    assert fp.matmul(a, b, name, name, c=start, out_dtype=dtype)[0, 0] == expected


def test_one_row_does_not_depend_on_another_rows_scales() -> None:
    """Small NVFP4 scales have E4M3's least exponent whatever else the operand holds."""
    one = fp.encode(np.array([1.0, -1.0] + [0.0] * 14), "E2M1FN")
    other = fp.encode(np.array([1.0, 1.0] + [0.0] * 14), "E2M1FN")
    small = np.float32(2.0**-9)
    found = [
        fp.matmul(
            np.stack([one, one]),
            other[:, None],
            "E2M1FN",
            "E2M1FN",
            accumulator="blackwell-nvfp4",
            scaling="1x16",
            a_scale=np.array([[small], [second]]),
            b_scale=np.array([[small]]),
            c=np.full((2, 1), np.float32(2.0**-50)),
        )[0, 0]
        for second in (small, np.float32(448))
    ]
    assert found[0] == found[1]


def test_a_short_block_beside_a_square_one_keeps_its_length() -> None:
    """One column and 100 products: still blocks of 128, whose scales enter together."""
    a = fp.scale_quantize(A[:, :100], "deepgemm-1x128")
    b = fp.scale_quantize(B[:100, :1], "deepgemm-128x128", axis=0)

    found = fp.matmul(a, b, accumulator="hopper-promoted")

    given = {"a_scale": a.scales, "b_scale": b.scales, "scaling": "128x128"}
    expected = fp.matmul(
        a.codes, b.codes, a.format, b.format, accumulator="hopper-promoted", **given
    )
    np.testing.assert_array_equal(found, expected)


def test_blocks_along_a_leading_axis_are_refused() -> None:
    x = fp.scale_quantize(np.ones((64, 4, 8), np.float32), "block-32", axis=0)
    with pytest.raises(ValueError, match="blocks must run along one of the last two axes, got"):
        fp.matmul(x, x, transpose_b=True)


def test_what_starts_a_sum_is_taken_by_value() -> None:
    """In any byte order and type, if float64 (or the register) holds it."""
    a = fp.encode(np.ones((1, 1)), "E4M3FN")
    for c in (
        np.array([[0.5]], ">f8"),
        np.array([[2]], np.int64),
        np.array([[0.5]], np.longdouble),
    ):
        assert fp.matmul(a, a, "E4M3FN", "E4M3FN", c=c)[0, 0] == 1 + float(c[0, 0])
    with pytest.raises(ValueError, match="c must hold float32 numbers, got int64"):
        fp.matmul(a, a, "E4M3FN", "E4M3FN", c=np.array([[2**53 + 1]]))


def test_an_infinite_tensor_scale_gives_infinities_and_nan() -> None:
    """Of values that hold one: no cast that is undefined."""
    x = fp.scale_quantize(np.array([[np.inf, 1.0, 2.0, 0.0] * 4], np.float32), "te-nvfp4")
    assert not np.isfinite(fp.matmul(x, x, transpose_b=True)).any()


def test_rows_with_their_own_amax_enter_a_product() -> None:
    """By the float32 scales that decoded codes are multiplied by, in rationals."""
    a = fp.scale_quantize(A[:2, :64] * np.float32([[1], [1e-6]]), "te-nvfp4-row")
    b = fp.scale_quantize(B[:64, :2], "torchao-nvfp4-one-level", axis=0)

    found = fp.matmul(a, b, out_dtype=np.float64)

    exact_a, exact_b = (x.dequantize(np.float64) for x in (a, b))
    for i, j in np.ndindex(2, 2):
        total = sum(
            Fraction(x) * Fraction(y) for x, y in zip(exact_a[i], exact_b[:, j], strict=True)
        )
        assert abs(Fraction(float(found[i, j])) - total) <= abs(total) * Fraction(2) ** -53
