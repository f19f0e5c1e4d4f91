"""
Our own rules round each product of element and scale once, from the element's own type.

Expected is the exact product, a Fraction, projected by the exact reference; the elements
are aimed at where a product rounded to float32 or float64 first would go the other way.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fp8num as fp
from fp8num.scaling import Cast, get_rule
from fp8num.scaling.applying import odd_product
from fp8num.verify import reference

F32 = np.float32


def fraction(value: Any) -> Fraction:
    return Fraction(*value.item().as_integer_ratio()) if hasattr(value, "item") else Fraction(value)


# The product rounded to odd.


def odd_word(exact: Fraction) -> int:
    """Return the word of a normal float64: truncated, and its last bit set if that lost some."""
    magnitude = abs(exact)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    exponent -= magnitude < Fraction(2) ** exponent
    units, rest = divmod(magnitude / Fraction(2) ** (exponent - 52), 1)
    word = (int(units) | (rest != 0)) + ((exponent + 1022) << 52)
    return word | (1 << 63 if exact < 0 else 0)


def test_rounding_to_odd_is_as_it_is_defined() -> None:
    """Of 1 and what is next to it."""
    one = 0x3FF << 52
    tiny = Fraction(1, 2**90)
    assert odd_word(Fraction(1)) == one
    assert odd_word(1 + tiny) == one + 1
    assert odd_word(1 - tiny) == one - 1
    assert odd_word(1 + Fraction(1, 2**52) - tiny) == one + 1
    assert odd_word(1 + Fraction(1, 2**52) + tiny) == one + 1
    assert odd_word(-1 - tiny) == one + 1 + (1 << 63)


wide = st.floats(2.0**-600, 2.0**600)
narrow = st.floats(2.0**-126, 2.0**127, width=32)


@given(
    values=st.lists(st.tuples(wide, narrow, st.booleans()), min_size=1, max_size=5),
)
@example(values=[(1 + 2.0**-52, 1 + 2.0**-23, False)])
@example(values=[(2 - 2.0**-52, 2 - 2.0**-23, True)])
@example(values=[(1.0, 3.0, True)])
@example(values=[(1 + 2.0**-29, 1 + 2.0**-23, False), (1 + 2.0**-28, 1 + 2.0**-23, False)])
@example(values=[(2.0**-149, 2.0**127, False), (0.1, 448 / 3, True)])
def test_a_product_is_rounded_to_odd(values: list[tuple[float, float, bool]]) -> None:
    """Where the values have 24 bits of their own it is exact; the rest keep a trace."""
    x = np.array([-v if negative else v for v, _, negative in values])
    factor = np.array([f for _, f, _ in values], np.float32)

    found = odd_product(x, factor)

    wanted = [odd_word(fraction(a) * fraction(b)) for a, b in zip(x, factor, strict=True)]
    assert [int(word) for word in found.view(np.uint64)] == wanted


def test_products_of_what_is_no_number_follow_ieee() -> None:
    """Beside numbers with many bits, and alone; zeros keep their sign."""
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 0.1])
    for part in (x, x[:5]):
        found = odd_product(part, np.full(len(part), 3, np.float32))
        np.testing.assert_array_equal(found[:5], x[:5])
        np.testing.assert_array_equal(np.signbit(found[:5]), np.signbit(x[:5]))


def test_zero_and_infinity_do_not_depend_on_what_is_beside_them() -> None:
    """Numbers of more than 29 bits take another way through the product."""
    for beside in (0.5, 0.1):
        x = np.array([np.inf, -np.inf, np.nan, -0.0, 0.0, beside])
        codes = fp.scale_quantize(x, "tensor").codes
        assert codes[:5].tolist() == [0x7E, 0xFE, 0x7F, 0x80, 0]


# Elements at boundaries.

FORMATS = [fp.E4M3FN, fp.E5M2, fp.E2M1FN, fp.E3M4, fp.E4M3FNUZ]
AMAXES = [1.0, 3.0, 0.1, 448.0, 57.3, 2.0**-100 * 1.7, 1e30]


def boundaries(fmt: Any) -> list[Fraction]:
    """Return the middles between neighbouring magnitudes, at most 40 of them."""
    data = [reference.decode(code, fmt) for code in range(1 << fmt.bits)]
    values = sorted({abs(datum.value) for datum in data if datum.is_finite})
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    return middles[:8] + middles[8 :: max(len(middles) // 32, 1)]


def near(target: Fraction, dtype: Any) -> list[Any]:
    """Return the number of a type that is nearest, and three on each side."""
    middle = dtype(float(target))
    up, down, found = middle, middle, [middle]
    for _ in range(3):
        up, down = np.nextafter(up, dtype(np.inf)), np.nextafter(down, dtype(0))
        found += [up, down]
    return found


def scale_of(amax: float, fmt: Any) -> np.float32:
    """Return max / amax in float32."""
    return F32(float(fmt.max)) / F32(amax)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda t: t.__name__)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)
def test_elements_at_boundaries_are_rounded_once(fmt: Any, dtype: Any) -> None:
    """Those whose product with the scale is about halfway; each row has its largest magnitude."""
    rows, wanted, detours = [], [], 0
    for amax in AMAXES:
        scale = scale_of(amax, fmt)
        exact = fraction(scale)
        row = [v for b in boundaries(fmt) for v in near(b / exact, dtype)]
        row = [v for v in row if abs(v) < dtype(F32(amax))] + [dtype(F32(amax))]
        signs = np.where(np.arange(len(row)) % 3, 1, -1)
        row = [dtype(v * s) for v, s in zip(row, signs, strict=True)]
        codes = [reference.project(fraction(v) * exact, fmt, "rne", "SatFinite") for v in row]
        with np.errstate(under="ignore"):
            early = np.array(row, np.float32) * scale
        detours += int(np.sum(fp.encode(early, fmt) != np.array(codes)))
        rows.append(np.array(row, dtype))
        wanted.append(codes)
        assert fp.scale_quantize(rows[-1], "tensor", fmt=fmt).stored_scales == scale

    for row, codes in zip(rows, wanted, strict=True):
        for rule in ("tensor", "row", f"block-{len(row)}", "block-1x4096"):
            found = fp.scale_quantize(row[None], rule, fmt=fmt).codes[0]
            wrong = np.flatnonzero(found != np.array(codes))
            assert not wrong.size, (
                f"{rule}: {row[wrong[0]].hex()} gave {found[wrong[0]]:#04x}, not "
                f"{codes[wrong[0]]:#04x}"
            )
    assert detours > 0, "a product rounded to float32 first must be seen"


@pytest.mark.parametrize("rule", ["row", "block-3", "block-32"])
def test_each_block_s_products_are_exact(rule: str) -> None:
    """Random float64 in blocks of their own sizes, every element against its Fraction."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 40)) * 2.0 ** rng.integers(-40, 40, (6, 1))
    length = 40 if rule == "row" else int(rule[6:])

    scaled = fp.scale_quantize(x, rule)

    for i in range(6):
        for start in range(0, 40, length):
            block = x[i, start : start + length]
            scale = scale_of(F32(np.abs(block).max()), fp.E4M3FN)
            assert scaled.stored_scales[i, start // length] == scale
            for j, value in enumerate(block):
                exact = fraction(value) * fraction(scale)
                code = reference.project(exact, fp.E4M3FN, "rne", "SatFinite")
                assert scaled.codes[i, start + j] == code


@pytest.mark.parametrize("rounding", ["rna", "rz", "ru", "rd", "ro"])
def test_other_roundings_are_of_the_exact_product_too(rounding: str) -> None:
    """A float64 next to a value of the grid lies above or below it, not on it."""
    rule = replace(get_rule("tensor"), name="mine", cast=Cast(rounding))
    grid = [1.0, 1.5, 2.0, 208.0, 0.001953125]
    scale = scale_of(3.0, fp.E4M3FN)
    row = [v for b in grid for v in near(Fraction(b) / fraction(scale), np.float64)]
    row += [-v for v in row] + [3.0]

    codes = fp.scale_quantize(np.array(row), rule).codes

    wanted = [
        reference.project(fraction(v) * fraction(scale), fp.E4M3FN, rounding, "SatFinite")
        for v in row
    ]
    assert codes.tolist() == wanted


def test_a_product_below_float64_is_not_zero() -> None:
    """Rounding up, it is the smallest value; 5e-324 times 448 / 1e38 has no float64."""
    rule = replace(get_rule("tensor"), name="mine", cast=Cast("ru"))
    codes = fp.scale_quantize(np.array([5e-324, -5e-324, 0.0, 1e38]), rule).codes
    assert codes.tolist() == [1, 0x80, 0, 0x7E]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (np.float16, [1.0, 0.3, -6e-8, 3.0]),
        (ml_dtypes.bfloat16, [1.0, 0.3, -1e-39, 3.0]),
        (np.int64, [7, -123456789012345, 2**62 + 1, 3]),
        (np.uint8, [0, 255, 17, 3]),
        (np.longdouble, [1.0, 1 / 3, -1e-30, 3.0]),
    ],
    ids=lambda t: getattr(t, "__name__", ""),
)
def test_every_type_is_rounded_once(dtype: Any, values: list[Any]) -> None:
    """Its numbers as they are: 2**62 + 1 too."""
    x = np.array(values, dtype)

    scaled = fp.scale_quantize(x, "tensor")

    exact = [
        Fraction(int(v)) if np.dtype(dtype).kind in "iu" else Fraction(*v.as_integer_ratio())
        for v in (x if dtype is not ml_dtypes.bfloat16 else x.astype(np.float64))
    ]
    scale = fraction(F32(448) / F32(float(max(map(abs, exact)))))
    assert fraction(scaled.stored_scales[()]) == scale
    wanted = [reference.project(v * scale, fp.E4M3FN, "rne", "SatFinite") for v in exact]
    negative = [str(v).startswith("-") for v in values]  # the reference has one zero
    wanted = [code or minus << 7 for code, minus in zip(wanted, negative, strict=True)]
    assert scaled.codes.tolist() == wanted


def test_longdouble_is_rounded_once() -> None:
    """A tie of E4M3FN and the least bit that longdouble holds: float64 would lose it."""
    if np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("longdouble is float64 here")
    tie, eps = np.longdouble(17), np.finfo(np.longdouble).eps * 16
    x = np.array([tie, tie + eps, tie - eps, -(tie + eps), 448], np.longdouble)
    assert fp.scale_quantize(x, "tensor").dequantize().tolist() == [16, 18, 16, -18, 448]


@pytest.mark.parametrize("rule", ["mxfp8-e4m3fn", "deepgemm-1x128"])
def test_a_nan_keeps_its_sign_where_its_scale_is_nan_too(rule: str) -> None:
    """Of two NaNs the processor's product is either: which one depends on the place in a row."""
    for length in (1, 2, 3, 7, 16, 33, 100):
        words = np.resize(np.array([0xFFC00001, 0x7FC00001], np.uint32), (1, length))

        scaled = fp.scale_quantize(words.view(np.float32), rule)

        np.testing.assert_array_equal(scaled.codes, np.where(words >> 31, 0xFF, 0x7F))
        values = scaled.dequantize()
        assert np.isnan(values).all()
        np.testing.assert_array_equal(np.signbit(values), words >> 31 == 1)
