"""Functions of one code are correctly rounded."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import ops
from fp8num.verify import reference
from fp8num.verify.reference import Datum

ROUNDINGS = [mode for mode in fp.Rounding if not mode.is_stochastic]
MODES = list(product(ROUNDINGS, fp.Saturation))
SMALL = [fmt for fmt in fp.FORMATS.values() if fmt.bits <= 8]
P3109 = [fp.get_format(f"Binary8p{p}{kind}") for p in (1, 3, 4, 7) for kind in ("se", "uf")]
FUNCTIONS = ["exp", "exp2", "log", "log2", "tanh", "sigmoid"]
by_function = pytest.mark.parametrize("name", FUNCTIONS)

ZERO = Datum.finite(Fraction(0))
INFINITY, MINUS_INFINITY, NAN = Datum.infinite(), Datum.infinite(negative=True), Datum.nan()
#: As far as any format reaches, and nearer to 0 and 1 than any boundary.
HUGE, TINY = Fraction(2) ** 1100, Fraction(1, 2**1100)


def name_of(parameter: Any) -> str:
    """Label a test by the name of its format."""
    return str(getattr(parameter, "name", parameter))


def special(name: str, x: Datum) -> Datum | None:
    """Return what a function gives where it is no matter of evaluating it."""
    if x.kind is reference.Kind.NAN:
        return x
    infinite, negative = x.kind is reference.Kind.INFINITE, x.negative
    if name in ("log", "log2"):
        if x.is_zero:
            return MINUS_INFINITY
        return NAN if negative else INFINITY if infinite else None
    if name == "tanh":
        one = Datum.finite(Fraction(-1 if negative else 1))
        return x if x.is_zero else one if infinite else None
    if name == "sigmoid":
        return Datum.finite(Fraction(not negative)) if infinite else None
    return (ZERO if negative else INFINITY) if infinite else None


def limit(name: str, x: Fraction) -> Fraction | None:
    """Return a number with the same neighbours, where the function is near its end."""
    if name in ("exp", "exp2") and abs(x) > 1500:
        return HUGE if x > 0 else TINY
    if name == "tanh" and abs(x) > 700:
        return (1 - TINY) * (1 if x > 0 else -1)
    if name == "sigmoid" and abs(x) > 1500:
        return 1 - TINY if x > 0 else TINY
    return None


def evaluate(name: str, x: Fraction) -> Fraction:
    """Ask mpmath, for 2,500 bits: more than between 1 and the nearest of these results."""
    import mpmath

    with mpmath.workprec(2500):
        value = mpmath.mpf(x.numerator) / x.denominator
        if name == "exp2":
            found = mpmath.power(2, value)
        elif name == "log2":
            found = mpmath.log(value, 2)
        elif name == "sigmoid":
            found = 1 / (1 + mpmath.exp(-value))
        else:
            found = getattr(mpmath, name)(value)
        if name == "log2" and found == mpmath.nint(found):
            found = mpmath.nint(found)
        sign, mantissa, exponent, _ = found._mpf_
    exact = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -exact if sign else exact


def exact_of(name: str, code: int, fmt: fp.Format) -> Datum:
    """Return a function's value, as near as no boundary is."""
    x = reference.decode(code, fmt)
    found = special(name, x)
    if found is not None:
        return found
    near = limit(name, x.value)
    return Datum.finite(evaluate(name, x.value) if near is None else near)


@pytest.mark.parametrize("fmt", [fp.E4M3FN, fp.E5M2], ids=name_of)
@by_function
def test_every_code_gives_mpmaths_rounded_value(
    name: str, fmt: Any, results: Any, assert_codes: Any
) -> None:
    """All codes, all deterministic modes."""
    pytest.importorskip("mpmath")
    check_every_code(name, fmt, results, assert_codes)


@pytest.mark.exhaustive
@pytest.mark.parametrize("fmt", [*SMALL, *P3109], ids=name_of)
@by_function
def test_every_code_of_every_format_gives_mpmaths_rounded_value(
    name: str, fmt: Any, results: Any, assert_codes: Any
) -> None:
    """All codes of all formats up to 8 bits, all deterministic modes."""
    pytest.importorskip("mpmath")
    check_every_code(name, fmt, results, assert_codes)


def check_every_code(name: str, fmt: fp.Format, results: Any, assert_codes: Any) -> None:
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
    exact = results([exact_of(name, code, fmt) for code in range(1 << fmt.bits)])
    for mode in MODES:
        actual = getattr(ops, name)(codes, fmt, rounding=mode[0], saturation=mode[1])

        wanted = exact.codes(fmt, *mode)
        assert_codes(actual, wanted, (codes,), f"{name} {fmt.name} {mode}")


@pytest.mark.parametrize("fmt", [fp.BFLOAT16, fp.get_format("Binary13p2se")], ids=name_of)
@by_function
def test_wide_formats_give_mpmaths_rounded_values(
    name: str, fmt: Any, results: Any, assert_codes: Any
) -> None:
    """A sample of codes, the ends and the surroundings of 1 among them."""
    pytest.importorskip("mpmath")
    check_sample(name, fmt, 40, results, assert_codes)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "fmt", [fp.BFLOAT16, fp.BINARY16, fp.get_format("Binary16p5se")], ids=name_of
)
@by_function
def test_many_codes_of_wide_formats_give_mpmaths_rounded_values(
    name: str, fmt: Any, results: Any, assert_codes: Any
) -> None:
    """As above, 4,096 codes."""
    pytest.importorskip("mpmath")
    check_sample(name, fmt, 4096, results, assert_codes)


def check_sample(name: str, fmt: fp.Format, count: int, results: Any, assert_codes: Any) -> None:
    rng = np.random.default_rng(3)
    (one,) = np.flatnonzero(fmt.values == 1)
    ends = [0, 1, 2, one - 1, one, one + 1, fmt.magnitudes.codes[-1], fmt.sign_bit | 1,
            fmt.sign_bit | one, (1 << fmt.bits) - 1]  # fmt: skip
    codes = np.append(rng.integers(0, 1 << fmt.bits, count), ends).astype(fmt.code_dtype)
    exact = results([exact_of(name, code, fmt) for code in codes.tolist()])
    for mode in MODES[:: 1 if count > 100 else 3]:
        actual = getattr(ops, name)(codes, fmt, rounding=mode[0], saturation=mode[1])

        assert_codes(actual, exact.codes(fmt, *mode), (codes,), f"{name} {fmt.name} {mode}")


LIBM = {
    "exp": math.exp,
    "exp2": lambda x: 2.0**x,
    "log": math.log,
    "log2": math.log2,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("fmt", [fp.E4M3FN, fp.E4M3FNUZ, fp.HIFLOAT8, fp.E2M3FN], ids=name_of)
@by_function
def test_the_c_library_agrees(name: str, fmt: Any) -> None:
    """Between the codes of its values less and more 2**-48; both are mostly the same."""
    decided = 0
    for code, x in enumerate(fmt.values.tolist()):
        if not math.isfinite(x) or (name in ("log", "log2") and x <= 0) or x < -700:
            continue
        if name in ("exp", "exp2") and x > 700:
            continue
        value = LIBM[name](x)
        ends = [value * (1 - 2.0**-48), value * (1 + 2.0**-48)]
        around = {int(fp.encode(end, fmt)) for end in ends}

        actual = int(getattr(ops, name)(np.uint8(code), fmt))

        assert actual in around, f"{name} of {x.hex()}"
        decided += len(around) == 1
    assert decided > (1 << fmt.bits) / 3


@pytest.mark.parametrize("name", ["exp", "tanh", "rsqrt"])
def test_few_codes_give_what_the_table_gives(name: str) -> None:
    """Few codes of a wide format are evaluated alone, many by a table of all."""
    every = np.arange(0, 1 << 16, 13, dtype=np.uint16)
    few = every[::97]

    alone = getattr(ops, name)(few, fp.BFLOAT16, rounding="ru")

    many = getattr(ops, name)(every, fp.BFLOAT16, rounding="ru")
    np.testing.assert_array_equal(alone, many[::97])
