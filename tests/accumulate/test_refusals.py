"""Bad input: one clear error before any work, with what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.accumulate import dot, get_accumulator, matmul
from fp8num.formats import E4M3FN, E4M3FNUZ, E5M2

if TYPE_CHECKING:
    from collections.abc import Callable

A = np.zeros((4, 256), np.uint8)
B = np.zeros((256, 6), np.uint8)
ONE = np.float32(1)


def product(a: Any = A, b: Any = B, *formats: Any, **options: Any) -> Callable[[], object]:
    """Return what multiplies, in E4M3FN if no formats are given."""
    return lambda: matmul(a, b, *(formats or (E4M3FN, E4M3FN)), **options)


def scaled(scaling: str, a_scale: Any, b_scale: Any, accumulator: str = "hopper-promoted") -> Any:
    """Return what multiplies with scales, which are one each of a shape or given."""
    scales = [x if not isinstance(x, tuple) else np.ones(x, np.float32) for x in (a_scale, b_scale)]
    return product(scaling=scaling, a_scale=scales[0], b_scale=scales[1], accumulator=accumulator)


#: What is called, the error, and what it says.
REFUSALS: tuple[tuple[Callable[[], object], Any, str], ...] = (
    # Shapes, names and combinations.
    (product(A, B[:-1]), ValueError, r"\(4, 256\).*\(255, 6\)"),
    (product(transpose_b=True), ValueError, r"256 columns and b 6 rows.*\(6, 256\)"),
    (
        product(A[None].repeat(2, 0), B[None].repeat(3, 0)),
        ValueError,
        r"leading axes .*\(2,\) and \(3,\)",
    ),
    (product(A[0], B), ValueError, r"a must .*\(256,\)"),
    (product(c=np.zeros((4, 5), np.float32)), ValueError, r"c must .*\(4, 5\)"),
    (product(accumulator="hoper"), ValueError, r"accumulator.*'hoper'.*hopper"),
    (product(bias=np.ones(4, np.float32)), ValueError, r"bias must .*\(4,\)"),
    (lambda: dot(A, A, E5M2, E5M2), ValueError, r"\(4, 256\)"),
    (lambda: dot(A[0], A[0, 1:], E5M2, E5M2), ValueError, r"256.*255|255.*256"),
    (lambda: get_accumulator("hopper-promote"), ValueError, "'hopper-promote'.*hopper-promoted"),
    # Scales.
    (product(a_scale=ONE, b_scale=ONE), ValueError, "scaling"),
    (product(scaling="tensor"), ValueError, "a_scale"),
    (scaled("rows", ONE, ONE, "exact"), ValueError, "scaling must .*'rows'"),
    (scaled("row", (4,), (1, 6), "exact"), ValueError, r"a_scale must .*4, 1\).*\(4,\)"),
    (scaled("1x128", (4, 2), (2, 1)), ValueError, r"b_scale must .*2, 6\).*\(2, 1\)"),
    (scaled("128x128", (4, 2), (2, 6)), ValueError, r"b_scale must .*2, 1\).*\(2, 6\)"),
    (scaled("1x128", (4, 2), (2, 6), "hopper"), ValueError, "hopper-promoted"),
    # Values where codes belong, and what is no real number.
    (product(A.astype(np.float32)), (TypeError, ValueError), "a must .*uint8.*float32"),
    (
        product(A, B.astype(np.int64)),
        (TypeError, ValueError),
        r"b must .*uint8.*int64.*; b.astype\(np.uint8\)",
    ),
    (product(out_dtype=np.int8), (TypeError, ValueError), "out_dtype must .*int8"),
    (product(accumulator=5), (TypeError, ValueError), "accumulator must .*5"),
    (product(c=np.zeros((4, 6), complex)), (TypeError, ValueError), "c must .*complex128"),
    # Formats, and the codes that they have.
    (lambda: matmul(A, B), (TypeError, ValueError), "a_format"),
    (lambda: matmul(A, B, E4M3FN), (TypeError, ValueError), "b_format"),
    (product(A + 16, B, "E2M1FN", "E2M1FN"), ValueError, "code"),
    (
        product(A, B, E4M3FNUZ, E4M3FN, accumulator="hopper"),
        ValueError,
        "a_format .*E4M3FN, E5M2, .*'hopper' .*got E4M3FNUZ",
    ),
    (
        product(A, B, E4M3FN, E4M3FN, accumulator="amd-cdna3"),
        ValueError,
        "a_format .*E4M3FNUZ, E5M2FNUZ.*'amd-cdna3' .*got E4M3FN",
    ),
)


@pytest.mark.parametrize(("call", "error", "message"), REFUSALS, ids=[r[2] for r in REFUSALS])
def test_what_cannot_be_multiplied_is_refused(
    call: Callable[[], object], error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
