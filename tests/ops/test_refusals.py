"""Bad arguments are refused before any work, in one clear line."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import ops

ONE = np.array([0x38], np.uint8)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: ops.add(ONE.astype(float), ONE, "E4M3FN"), TypeError,
         r"codes must be uint8 for E4M3FN, got float64 of shape \(1,\)"),
        (lambda: ops.add(ONE, ONE, "BFLOAT16"), TypeError, "codes must be uint16 for BFLOAT16"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", b_format="BFLOAT16"), TypeError, "uint16"),
        (lambda: ops.less(ONE, [300], "E4M3FN"), ValueError, "codes must be from 0 to 255"),
        (lambda: ops.add(ONE, ONE, "E2M1FN"), ValueError, "codes must be from 0 to 15 for E2M1FN"),
        (lambda: ops.sqrt(ONE, "E2M3FN", nan="raise"), ValueError, None),
        (lambda: ops.less(ONE + 8, ONE, "E3M2FN"), ValueError, "codes must be from 0 to 63"),
        (lambda: ops.negate(ONE * 4, "E3M2FN"), ValueError, "codes must be from 0 to 63"),
        (lambda: ops.add(np.zeros(2, np.uint8), np.zeros(3, np.uint8), "E4M3FN"), ValueError,
         r"operands must have shapes that broadcast, got \(2,\), \(3,\)"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", convention="posix"), ValueError,
         "convention must be one of ieee, p3109, got 'posix'"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", convention=3), TypeError, "convention must be one of"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", rouding="rz"), TypeError,
         r"add\(\) got unknown options rouding; it takes like, nan, convention"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", rounding="up"), ValueError, "rounding must be one of"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", saturation="no"), ValueError, "saturation must be"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", rounding="sra"), ValueError,
         "stochastic rounding needs"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", rng=np.random.default_rng()), ValueError,
         "random_bits, random_width and rng are for stochastic rounding"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", threads=0), ValueError, "threads must be an integer"),
        (lambda: ops.less(ONE, ONE, "E4M3FN", threads=0), ValueError, "threads must be an integer"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", out=np.empty(2, np.uint8)), ValueError,
         r"out must be an array of uint8 of shape \(1,\)"),
        (lambda: ops.add(ONE, ONE, "E4M3FN", out=ONE), ValueError, "out must not overlap an input"),
        (lambda: ops.less(ONE, ONE, "E4M3FN", out=np.empty(1)), ValueError, "out must be an array"),
        (lambda: ops.add(ONE, ONE, "e4m3"), ValueError, "E4M3FN"),
        (lambda: ops.add([0], [0], "Binary16p1se"), ValueError, "does not fit float64"),
        (lambda: ops.ulp([0], "Binary16p1se"), ValueError, "does not fit float64"),
    ],
)  # fmt: skip
def test_an_argument_is_refused(call: Any, kind: Any, message: str | None) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("code", [256, -1, 1 << 64, -(1 << 70)])
def test_python_integers_that_are_no_codes_are_refused_alike(code: int) -> None:
    """By every operation as by nextafter, alone and in a list; those that are codes are taken."""
    for name in ops.__all__:
        operation = getattr(ops, name)
        if inspect.isclass(operation):
            continue
        operands = list(inspect.signature(operation).parameters).index("fmt")
        operation(*[0x38] * operands, "E4M3FN")
        for given in (code, [0x38, code]):
            message = f"codes must be from 0 to 255 for E4M3FN of 8 bits, got {code}; unpack"
            with pytest.raises(ValueError, match=message):
                operation(*[given] * operands, "E4M3FN")


def test_stochastic_rounding_needs_room_below_the_smallest_value() -> None:
    """33 bits and a trace of the rest, above 2**-1074."""
    rng = np.random.default_rng()
    enough, fmt = (
        fp.Format(name="low", exponent_bits=4, mantissa_bits=3, bias=bias, specials="fn")
        for bias in (1038, 1039)
    )
    assert ops.add(ONE, ONE, enough, rounding="sra", rng=rng) == 0x40
    with pytest.raises(ValueError, match="rounding must be deterministic for results in low"):
        ops.add(ONE, ONE, fmt, rounding="sra", rng=rng)
    assert ops.add(ONE, ONE, fmt) == 0x40


def test_a_table_of_long_values_is_refused() -> None:
    """More than 16 significant bits would not be multiplied exactly."""
    long = fp.formats.TabulatedFormat(
        name="long",
        width=3,
        table=((0, 0, 0), (1, (1 << 20) + 1, 0)),
        nearest=((1, 19, True),),
        smallest_normal_index=1,
        nan=4,
    )
    message = "fmt must have values of at most 16 significant bits, got long"
    with pytest.raises(ValueError, match=message):
        ops.add([1], [1], long)
    with pytest.raises(ValueError, match=message):
        ops.less([1], [1], long)
