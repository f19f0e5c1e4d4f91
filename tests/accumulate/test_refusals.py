"""Bad input: one clear error before any work, with what to do instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fp8num.accumulate import dot, get_accumulator, matmul
from fp8num.formats import E4M3FN, E4M3FNUZ, E5M2

A = np.zeros((4, 256), np.uint8)
B = np.zeros((256, 6), np.uint8)
ONE = np.float32(1)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (A, B[:-1], {}, r"\(4, 256\).*\(255, 6\)"),
        (A, B, {"transpose_b": True}, r"256 columns and b 6 rows.*\(6, 256\)"),
        (A[None].repeat(2, 0), B[None].repeat(3, 0), {}, r"leading axes .*\(2,\) and \(3,\)"),
        (A[0], B, {}, r"a must .*\(256,\)"),
        (A, B, {"c": np.zeros((4, 5), np.float32)}, r"c must .*\(4, 5\)"),
        (A, B, {"accumulator": "hoper"}, r"accumulator.*'hoper'.*hopper"),
        (A, B, {"a_scale": ONE, "b_scale": ONE}, r"scaling"),
        (A, B, {"scaling": "tensor"}, r"a_scale"),
        (A, B, {"scaling": "rows", "a_scale": ONE, "b_scale": ONE}, r"scaling must .*'rows'"),
        (
            A, B,
            {"scaling": "row", "a_scale": np.ones(4, np.float32), "b_scale": np.ones((1, 6))},
            r"a_scale must .*4, 1\).*\(4,\)",
        ),
        (
            A, B,
            {"scaling": "1x128", "accumulator": "hopper-promoted",
             "a_scale": np.ones((4, 2), np.float32), "b_scale": np.ones((2, 1), np.float32)},
            r"b_scale must .*2, 6\).*\(2, 1\)",
        ),
        (
            A, B,
            {"scaling": "128x128", "accumulator": "hopper-promoted",
             "a_scale": np.ones((4, 2), np.float32), "b_scale": np.ones((2, 6), np.float32)},
            r"b_scale must .*2, 1\).*\(2, 6\)",
        ),
        (
            A, B,
            {"scaling": "1x128", "accumulator": "hopper",
             "a_scale": np.ones((4, 2), np.float32), "b_scale": np.ones((2, 6), np.float32)},
            r"hopper-promoted",
        ),
        (A, B, {"bias": np.ones(4, np.float32)}, r"bias must .*\(4,\)"),
    ],
)  # fmt: skip
def test_matmul_refuses_values(a: Any, b: Any, options: dict[str, Any], message: str) -> None:
    """Shapes, names and combinations."""
    with pytest.raises(ValueError, match=message):
        matmul(a, b, E4M3FN, E4M3FN, **options)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (A.astype(np.float32), B, {}, r"a must .*uint8.*float32"),
        (A, B.astype(np.int64), {}, r"b must .*uint8.*int64.*; b.astype\(np.uint8\)"),
        (A, B, {"out_dtype": np.int8}, r"out_dtype must .*int8"),
        (A, B, {"accumulator": 5}, r"accumulator must .*5"),
        (A, B, {"c": np.zeros((4, 6), complex)}, r"c must .*complex128"),
    ],
)
def test_matmul_refuses_types(a: Any, b: Any, options: dict[str, Any], message: str) -> None:
    """Values where codes belong, and what is no real number."""
    with pytest.raises((TypeError, ValueError), match=message):
        matmul(a, b, E4M3FN, E4M3FN, **options)


def test_codes_need_formats() -> None:
    with pytest.raises((TypeError, ValueError), match=r"a_format"):
        matmul(A, B)
    with pytest.raises((TypeError, ValueError), match=r"b_format"):
        matmul(A, B, E4M3FN)


@pytest.mark.parametrize(
    ("accumulator", "formats", "message"),
    [
        ("hopper", (E4M3FNUZ, E4M3FN), r"a_format .*E4M3FN, E5M2, .*'hopper' .*got E4M3FNUZ"),
        ("amd-cdna3", (E4M3FN, E4M3FN), r"a_format .*E4M3FNUZ, E5M2FNUZ.*'amd-cdna3' .*got E4M3FN"),
    ],
)
def test_a_unit_says_which_formats_it_takes(
    accumulator: str, formats: tuple[Any, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        matmul(A, B, *formats, accumulator=accumulator)


def test_a_code_beyond_the_format_is_refused() -> None:
    """Four-bit codes are 0 to 15."""
    with pytest.raises(ValueError, match=r"code"):
        matmul(A + 16, B, "E2M1FN", "E2M1FN")


def test_dot_takes_vectors() -> None:
    with pytest.raises(ValueError, match=r"\(4, 256\)"):
        dot(A, A, E5M2, E5M2)
    with pytest.raises(ValueError, match=r"256.*255|255.*256"):
        dot(A[0], A[0, 1:], E5M2, E5M2)


def test_an_unknown_accumulator_gets_the_nearest_names() -> None:
    with pytest.raises(ValueError, match=r"'hopper-promote'.*hopper-promoted"):
        get_accumulator("hopper-promote")
