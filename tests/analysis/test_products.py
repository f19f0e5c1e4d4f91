"""Accumulators beside each other: the errors that are reported are those of the outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fp8num as fp
from fp8num.analysis.products import compare_accumulators

RNG = np.random.default_rng(21)
A = fp.scale_quantize(RNG.random((6, 700)), "tensor")
B = fp.scale_quantize(RNG.random((700, 5)), "tensor", axis=0)


def test_errors_are_those_of_the_outputs() -> None:
    """Against the product in float64 of values that float64 sums nearly exactly."""
    (record,) = compare_accumulators(A, B, ["hopper"])

    exact = A.dequantize(np.float64) @ B.dequantize(np.float64)
    error = fp.matmul(A, B, accumulator="hopper") - exact
    assert record.outputs == 30
    assert record.not_finite == 0
    assert record.max_abs_error == pytest.approx(np.abs(error).max(), rel=1e-6)
    norms = np.linalg.norm(error) / np.linalg.norm(exact)
    assert record.relative_frobenius == pytest.approx(norms, rel=1e-6)
    assert record.bias == pytest.approx(error.sum() / exact.sum(), rel=1e-6)
    assert record.max_scaled_error == pytest.approx((np.abs(error) / exact).max(), rel=1e-6)


def test_truncation_shrinks_sums_and_promotion_helps() -> None:
    """Of positive products; the exact product rounded to float32 differs nowhere."""
    exact, hopper, promoted = compare_accumulators(A, B, ["exact", "hopper", "hopper-promoted"])

    assert exact.differing == 0.0
    assert hopper.bias < 10 * promoted.bias < 0
    assert hopper.verified == "verified on recorded hardware"


def test_overflow_is_counted_and_left_out() -> None:
    """float16 cannot hold these sums; the record says so, and JSON has null for no ratio."""
    large = fp.scale_quantize(np.full((2, 64), 400.0), "te-delayed")
    other = fp.scale_quantize(np.full((64, 3), 400.0), "te-delayed", axis=0)

    (record,) = compare_accumulators(large, other, ["float16"])

    assert record.not_finite == record.outputs == 6
    assert record.differing == 1.0
    assert json.loads(json.dumps(record.to_dict(), allow_nan=False))["bias"] is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="accumulators must name at least one, got none"):
        compare_accumulators(A, B, [])
    with pytest.raises(ValueError, match=r"a must be a matrix, got shape \(700,\)"):
        compare_accumulators(A[0], B, ["exact"])
    with pytest.raises(ValueError, match="contract"):
        compare_accumulators(B, A[:, :600], ["exact"])
    with pytest.raises(ValueError, match="did you mean hopper"):
        compare_accumulators(A, B, ["hoper"])


def test_an_output_that_is_not_a_number_differs_from_one_that_is() -> None:
    """Of sums that overflow float16 both ways, while the exact one is zero; NaN is like NaN."""
    a = fp.encode([[57344.0, -57344.0], [np.nan, 0.0]], "E5M2")
    scales = np.ones((), np.float32)
    left, right = (
        fp.ScaledArray(codes=codes, format=fp.E5M2, stored_scales=scales, block=codes.shape)
        for codes in (a, fp.encode([[57344.0], [57344.0]], "E5M2"))
    )

    exact, half = compare_accumulators(left, right, ["exact", "float16"])

    assert exact.differing == 0.0
    assert half.differing == 0.5
    assert half.not_finite == 2
