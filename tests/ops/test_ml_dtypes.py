"""
ml_dtypes' arithmetic on all pairs of its 8-bit and narrower types, and on bfloat16.

It computes in float32 and casts.  For the four operations and square roots of types of
up to 11 bits of precision that is one rounding in effect, as float32 has twice as many
and two [1]_; so results agree but where they are named below.

References
----------
.. [1] S. A. Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30 (1995).
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num import ops

TYPES = {
    "float8_e4m3fn": "E4M3FN",
    "float8_e5m2": "E5M2",
    "float8_e4m3": "E4M3IEEE",
    "float8_e3m4": "E3M4",
    "float8_e4m3fnuz": "E4M3FNUZ",
    "float8_e5m2fnuz": "E5M2FNUZ",
    "float8_e4m3b11fnuz": "E4M3B11FNUZ",
    "float8_e8m0fnu": "E8M0FNU",
    "float6_e2m3fn": "E2M3FN",
    "float6_e3m2fn": "E3M2FN",
    "float4_e2m1fn": "E2M1FN",
    "bfloat16": "BFLOAT16",
}
BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "maximum_number": np.fmax,
    "minimum_number": np.fmin,
    "nextafter": np.nextafter,
    "copysign": np.copysign,
}
PREDICATES = {
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}
UNARY = {
    "sqrt": np.sqrt,
    "reciprocal": np.reciprocal,
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log2": np.log2,
    "tanh": np.tanh,
    "negate": np.negative,
    "absolute": np.absolute,
}
SIGNS = ("nextafter", "copysign", "negate", "absolute")
by_type = pytest.mark.parametrize("kind", TYPES)


def operands(fmt: fp.Format, every_operand: Any) -> Any:
    if fmt.bits <= 8:
        return every_operand(fmt, 2)
    drawn = np.random.default_rng(2).integers(0, 1 << 16, (2, 100_000), dtype=np.uint16)
    drawn[1, :50_000] = drawn[0, :50_000] ^ np.uint16(0x8001)  # near cancellation
    return drawn


def options(name: str) -> dict[str, Any]:
    return {} if name in SIGNS else {"like": "ml_dtypes"}


def differing(fmt: fp.Format, actual: Any, theirs: Any) -> Any:
    """Return where codes differ: any two NaNs are alike."""
    theirs = theirs.view(actual.dtype)
    nan = np.isnan(fmt.values)
    return (actual != theirs) & ~(nan[actual] & nan[theirs])


def named(name: str, fmt: fp.Format, a: Any, b: Any) -> Any:
    """Return where ml_dtypes is known to give something else."""
    x, y = fmt.values[a], fmt.values[b]
    if name in ("maximum", "minimum", "maximum_number", "minimum_number"):
        # Of two zeros it takes the second if it compares greater or equal: -0 for +0.
        return (x == 0) & (y == 0) & (np.signbit(x) != np.signbit(y))
    if name == "copysign" and not fmt.has_negative_zero:
        # FNUZ: the sign bit of the only NaN is taken for a sign, and -0 written as NaN.
        return np.isnan(y) | ((x == 0) & np.signbit(y))
    if fmt.name == "E8M0FNU" and name in ("multiply", "divide"):
        # Results below float32's range are 0 there, which its E8M0 makes NaN.
        with np.errstate(all="ignore"):
            return (x * y if name == "multiply" else x / y) < 2.0**-149
    if not fmt.has_nan and name == "divide":
        # 0/0: its NaN has the processor's sign, on which its code, a zero, depends.
        return (x == 0) & (y == 0)
    return np.zeros(a.shape, np.bool_)


@by_type
def test_pairs_agree_but_where_named(kind: str, every_operand: Any) -> None:
    """But for the sign, which an unsigned type does not take, and ml_dtypes ignores."""
    fmt, dtype = fp.get_format(TYPES[kind]), getattr(ml_dtypes, kind)
    a, b = operands(fmt, every_operand)
    wrong = []
    for name, function in BINARY.items():
        if name == "copysign" and not fmt.signed:
            continue
        with np.errstate(all="ignore"):
            theirs = function(a.view(dtype), b.view(dtype))

        actual = getattr(ops, name)(a, b, fmt, **options(name))

        unlike = differing(fmt, actual, theirs)
        if (unlike & ~named(name, fmt, a, b)).any():
            wrong.append(name)
    assert wrong == []


@by_type
def test_comparisons_agree(kind: str, every_operand: Any) -> None:
    fmt, dtype = fp.get_format(TYPES[kind]), getattr(ml_dtypes, kind)
    a, b = operands(fmt, every_operand)
    for name, compare in PREDICATES.items():
        with np.errstate(invalid="ignore"):
            theirs = compare(a.view(dtype), b.view(dtype))

        np.testing.assert_array_equal(getattr(ops, name)(a, b, fmt), theirs, name)


@by_type
def test_functions_agree_but_where_named(kind: str) -> None:
    """float32 functions are wrong by so little that no code of these types shows it."""
    fmt, dtype = fp.get_format(TYPES[kind]), getattr(ml_dtypes, kind)
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)[:: 1 if fmt.bits <= 8 else 37]
    wrong = []
    for name, function in UNARY.items():
        if name == "negate" and not fmt.signed:  # refused; ml_dtypes gives NaN
            continue
        with np.errstate(all="ignore"):
            theirs = function(codes.view(dtype))

        actual = getattr(ops, name)(codes, fmt, **options(name))

        unlike = differing(fmt, actual, theirs)
        if not fmt.has_nan and name in ("sqrt", "log", "log2"):
            # Of a negative number: NaN with the processor's sign, and so one zero or the other.
            unlike &= ~(fmt.values[codes] < 0)
        if unlike.any():
            wrong.append(name)
    assert wrong == []


def test_the_named_differences_are_there() -> None:
    """So that a release of ml_dtypes that has them no more is noticed."""
    e4m3, e8m0 = ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e8m0fnu
    zero, minus = np.array([0], np.uint8).view(e4m3), np.array([0x80], np.uint8).view(e4m3)
    least = np.array([0], np.uint8).view(e8m0)
    assert np.maximum(zero, minus).view(np.uint8)[0] == 0x80
    assert int(ops.maximum(0x00, 0x80, "E4M3FN")) == 0x00
    assert (least * least).view(np.uint8)[0] == 0xFF
    assert int(ops.multiply(0, 0, "E8M0FNU", like="ml_dtypes")) == 0x00
    fnuz = ml_dtypes.float8_e4m3fnuz
    one, nan = np.array([0x40], np.uint8).view(fnuz), np.array([0x80], np.uint8).view(fnuz)
    assert np.copysign(one, nan).view(np.uint8)[0] == 0xC0
    assert int(ops.copysign(0x40, 0x80, "E4M3FNUZ")) == 0x40


def test_a_wrong_code_would_be_noticed() -> None:
    """A code beside the right one differs; another NaN does not."""
    fmt = fp.E5M2
    codes = np.array([0x3C, 0x7D], np.uint8)
    assert differing(fmt, codes, codes + np.uint8(1)).tolist() == [True, False]
