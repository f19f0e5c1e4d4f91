"""Assertions raise where codes differ, and say where."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num.verify import assert_codes_equal


def test_equal_codes_pass() -> None:
    x = np.linspace(-500, 500, 1001, dtype=np.float32)
    ours = fp.encode(x, "E5M2", like="ml_dtypes")
    assert_codes_equal(ours, x.astype(ml_dtypes.float8_e5m2), "E5M2", compare_nan="code")


def test_a_difference_is_shown_with_its_input() -> None:
    x = np.array([[1.0, 464.5], [0.0, -0.0]], np.float32)
    with pytest.raises(AssertionError) as caught:
        assert_codes_equal(
            fp.encode(x, "E4M3FN"), fp.encode(x, "E4M3FN", like="ml_dtypes"), "E4M3FN", x=x
        )
    assert str(caught.value).splitlines() == [
        "1 of 4 codes of E4M3FN differ",
        "  [0, 1] x = 0x1.d080000000000p+8: expected 0_1111_111 = nan, got 0_1111_110 = 448",
    ]


def test_at_most_twenty_differences_are_shown() -> None:
    codes = np.zeros(100, np.uint8)
    with pytest.raises(AssertionError, match="and 80 more"):
        assert_codes_equal(codes, codes + np.uint8(1), "E4M3FN")


def test_the_sign_of_zero_and_of_nan_matter_as_asked() -> None:
    nan, zero = np.array([0x7F, 0xFF], np.uint8), np.array([0x00, 0x80], np.uint8)
    assert_codes_equal(nan, nan[::-1], "E4M3FN")
    with pytest.raises(AssertionError, match="2 of 2"):
        assert_codes_equal(nan, nan[::-1], "E4M3FN", compare_nan="code")
    with pytest.raises(AssertionError, match="2 of 2"):
        assert_codes_equal(zero, zero[::-1], "E4M3FN")


def test_shapes_must_agree() -> None:
    codes = np.zeros(4, np.uint8)
    with pytest.raises(AssertionError, match=r"actual \(4,\), expected \(2, 2\)"):
        assert_codes_equal(codes, codes.reshape(2, 2), "E4M3FN")


def test_codes_of_another_type_are_refused() -> None:
    codes = np.zeros(2, np.uint8)
    with pytest.raises(TypeError, match="actual must hold codes of E4M3FN, got those of float8_e5"):
        assert_codes_equal(codes.view(ml_dtypes.float8_e5m2), codes, "E4M3FN")
    assert_codes_equal([], [], "E4M3FN")


def test_what_holds_no_codes_is_refused() -> None:
    with pytest.raises(TypeError, match="actual must hold codes of E4M3FN, integers, got float64"):
        assert_codes_equal(np.zeros(2), np.zeros(2, np.uint8), "E4M3FN")
    with pytest.raises(ValueError, match="expected must hold codes of E2M1FN, 0 to 15, got 16"):
        assert_codes_equal(np.zeros(1, np.uint8), np.array([16], np.uint8), "E2M1FN")
