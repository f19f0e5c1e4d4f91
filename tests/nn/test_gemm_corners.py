"""Products where one element, one bit or one scale decides: each against rational arithmetic."""

from __future__ import annotations

import importlib.util
import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num.nn import _sums, products
from fp8num.nn._matrix import Matrix
from fp8num.nn.products import multiply, product

if TYPE_CHECKING:
    from fp8num.scaled import ScaledArray

Array = npt.NDArray[Any]


def load_rationals() -> Any:
    """Return the rational products, once for all modules of this folder."""
    name = "fp8num_tests_nn_rationals"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, Path(__file__).with_name("rationals.py")
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


rationals = load_rationals()
assert_same_bits, exact = rationals.assert_same_bits, rationals.exact
nearest_float32 = rationals.nearest_float32


def words(*bits: int) -> Array:
    """Return float32 numbers of these bits."""
    return np.array(bits, np.uint32).view(np.float32)


# Where one rounding is not enough.


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([2.0**-80], [-(2.0**-80)]),
        ([2.0**-60, -(2.0**-60), 2.0**-149], [2.0**-60, 2.0**-60, -(2.0**-149)]),
    ],
)
def test_a_negative_sum_that_vanishes_is_minus_zero(left: list[float], right: list[float]) -> None:
    """IEEE 754 keeps the sign of what rounds to zero; a sum that is zero is +0."""
    found = multiply(np.array([left], np.float32), np.array([right], np.float32).T)
    assert_same_bits(found, words(0x80000000)[None])


def test_open_elements_of_a_later_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are recomputed from their own rows, not from those of the first panel."""
    monkeypatch.setattr(products, "_PANEL", 2)
    a = np.ones((5, 3), np.float32)
    a[:, 1] = 2.0**-24
    a[:, 2] = [0, 2.0**-90, -(2.0**-90), 2.0**-60, 0]
    b = np.ones((3, 2), np.float32)
    b[2, 1] = -1

    assert_same_bits(multiply(a, b), exact(a, b))


def test_open_elements_are_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many products at once, whatever the number of elements that are open."""
    monkeypatch.setattr(_sums, "_TERMS", 4)
    seen = []
    original = _sums.exact_sums
    monkeypatch.setattr(
        _sums, "exact_sums", lambda terms: seen.append(terms.size) or original(terms)
    )
    a = np.ones((5, 3), np.float32)
    a[:, 1:] = 2.0**-24, 2.0**-90
    b = np.ones((3, 1), np.float32)

    assert_same_bits(multiply(a, b), exact(a, b))
    assert seen == [3] * 5


@pytest.mark.parametrize("tail", [2.0**-140, -(2.0**-140)])
def test_what_is_lost_and_cancels_is_summed_again(tail: float) -> None:
    """What the additions lost is 2^-60 - 2^-60 + tail: only sums of any precision see the tail."""
    terms = np.array([[1.0, 2.0**-24, 2.0**-60, -(2.0**-60), tail]])
    expected = nearest_float32(sum(map(Fraction, terms[0].tolist()), Fraction(0)))
    assert_same_bits(_sums.exact_sums(terms), np.array([expected]))


def test_the_sum_of_what_is_lost_is_itself_rounded() -> None:
    """Added in order it comes out positive, and it is negative: beside a midpoint that decides."""
    size = 2.0**-80
    lost = [size, 1.5 * 2.0**-53 * size, -size, -0.85 * 2.0**-52 * size]
    assert math.fsum(lost) < 0 < ((lost[0] + lost[1]) + lost[2]) + lost[3]
    terms = [1.0, 2.0**-24, 4.0, -4.0, *lost]

    found = _sums.exact_sums(np.array([terms]))

    assert_same_bits(found, np.array([nearest_float32(sum(map(Fraction, terms), Fraction(0)))]))
    assert found.tolist() == [1.0]


def test_2_to_53_quanta_is_the_limit() -> None:
    """One more and float64 rounds, here to a midpoint of float32."""
    a = np.array([[2.0**26, 2.0**15, 1.0]], np.float32)
    b = np.array([[2.0**27], [2.0**14], [1.0]], np.float32)
    assert_same_bits(multiply(a, b), np.array([[2.0**53 + 2.0**30]], np.float32))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("E5M2", "E4M3FN"),
        ("E4M3FN", "E4M3FN"),
        ("E5M2", "E5M2"),
        ("E2M1FN", "E2M1FN"),
        ("BFLOAT16", "E4M3FN"),
    ],
)
def test_how_many_products_float64_holds(x: str, y: str) -> None:
    """As many as stay within 2^53 times the smallest, and not one more."""
    formats = [fp.get_format(name) for name in (x, y)]
    largest = math.prod(
        Fraction(float(f.max)) / Fraction(float(f.smallest_subnormal)) for f in formats
    )
    most = int(2**53 // largest)
    if most:
        assert products._always_exact(*formats, most)
    assert not products._always_exact(*formats, most + 1)


def bound_of(a: Array, b: Array) -> _sums.Bound:
    """Return the bound of a product of which nothing is known before."""
    quanta = Matrix(a).quanta(1), Matrix(b).quanta(0)
    return _sums.Bound(a.astype(np.float64), b.astype(np.float64), [quanta], exact=False)


@pytest.mark.parametrize("depth", [2, 3, 17, 200])
def test_the_bound_is_what_it_was_proved_for(depth: int) -> None:
    """Losses of K + 3 additions, times norms that are not too small; in rationals."""
    rng = np.random.default_rng(depth)
    a = (rng.standard_normal((40, depth)) * np.exp2(rng.integers(-30, 30, (40, 1)))).astype("f4")
    b = (rng.standard_normal((depth, 40)) * np.exp2(rng.integers(-9, 9, (depth, 1)))).astype("f4")

    bound = bound_of(a, b)

    norms = (
        [sum((Fraction(float(x)) ** 2 for x in line), Fraction(0)) for line in lines]
        for lines in (a, b.T)
    )
    of_rows, of_columns = norms
    for found, exact_square in zip(bound.rows, of_rows, strict=True):
        if found:  # else the sums are exact
            assert Fraction(float(found)) ** 2 >= exact_square * Fraction(depth + 3, 2**53) ** 2
    for found, exact_square in zip(bound.columns, of_columns, strict=True):
        assert Fraction(float(found)) ** 2 >= exact_square
    assert depth < 17 or bound.rows.all()


def test_minus_zero_that_a_blas_leaves_becomes_zero() -> None:
    """Beside sums that are known only to a bound, and alone."""
    a = np.array([[0, 0, 0], [1, 2.0**-30, 2.0**-60]], np.float32)
    b = np.array([[1], [1], [1]], np.float32)
    for rows in (2, 1):
        sums = a[:rows].astype(np.float64) @ b
        sums[0] = -0.0
        out = np.empty((rows, 1), np.float32)
        bound_of(a[:rows], b).round(sums, slice(0, rows), out)
        assert_same_bits(out, exact(a[:rows], b))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "E2M1FN", "E3M2FN", "E4M3FNUZ"])
def test_quanta_of_values_on_a_grid(name: str, dtype: type) -> None:
    """The last place of each value in its format, and subnormals share theirs."""
    fmt = fp.get_format(name)
    values = fmt.values[np.isfinite(fmt.values) & (fmt.values != 0)]
    exponents = np.maximum(np.frexp(np.abs(values))[1] - 1, fmt.emin)
    expected = np.ldexp(1.0, exponents - fmt.mantissa_bits)

    alone = Matrix(values[None].astype(dtype), grid=fmt).quanta(0)
    together = Matrix(values[:, None].astype(dtype), grid=fmt).quanta(0)

    np.testing.assert_array_equal(alone, expected)
    assert together.tolist() == [fmt.smallest_subnormal]


# What operands are.


def test_byte_order_plays_no_part_in_a_product() -> None:
    """Of exact sums that float64 does not hold."""
    a = words(0x5D80007E, 0x3F80007E, 0xDD80007E)[None]
    b = words(0x3F80007E, 0x3F80007E, 0x3F80007E)[:, None]

    found = product(a, b)

    assert_same_bits(found, exact(a, b))
    assert found.item() != 0
    assert_same_bits(product(a.astype(">f4"), b.astype(">f4")), found)
    assert_same_bits(product(a.astype("<f4"), b.astype("<f4")), found)


def test_nan_of_codes_is_the_quiet_positive_one() -> None:
    """Whatever sign the code had and the BLAS left."""
    codes = np.array([[0xFF, 0x38]], np.uint8)
    scale = np.ones((), np.float32)
    x = fp.ScaledArray(codes, fp.get_format("E4M3FN"), scale, codes.shape)
    found = product(x, x, scales="accumulator", transpose_b=True)
    assert_same_bits(found, words(0x7FC00000)[None])


def test_exact_takes_plain_values() -> None:
    """It is the correctly rounded product then."""
    a, b = np.array([[1, 2.0**-30, -1]], np.float32), np.ones((3, 1), np.float32)
    assert product(a, b, "exact").tolist() == [[2.0**-30]]


# Scales of blocks.


def assert_blocks_are_scaled(left: ScaledArray, right: ScaledArray) -> None:
    """Compare a product with ``total = fma(part, sa * sb, total)``, in rationals."""
    a, b = fp.decode(left.codes, left.format), fp.decode(right.codes, right.format).T

    found = product(left, right, scales="accumulator", transpose_b=True)

    for i, j in np.ndindex(found.shape):
        total = np.float32(0)
        for block in range(left.scales.shape[1]):
            k = slice(128 * block, 128 * block + 128)
            part = exact(a[i : i + 1, k], b[k, j : j + 1])[0, 0]
            with np.errstate(all="ignore"):
                scale = left.scales[i, block] * right.scales[j // 128, block]
            fused = Fraction(float(part)) * Fraction(float(scale)) + Fraction(float(total))
            total = nearest_float32(fused)
        assert found[i, j] == total, (i, j)


def quantised(rules: tuple[str, str], sizes: tuple[float, float]) -> tuple[ScaledArray, ...]:
    """Return an input of 3 rows and weights of 130, three blocks wide, of these magnitudes."""
    rng = np.random.default_rng(8)
    arrays = (rng.standard_normal((rows, 300)) for rows in (3, 130))
    return tuple(
        fp.scale_quantize((x * size).astype(np.float32), rule)
        for x, size, rule in zip(arrays, sizes, rules, strict=True)
    )


def test_small_power_of_two_scales_leave_the_short_way() -> None:
    """Each is in range; products of sums with both are not."""
    assert_blocks_are_scaled(*quantised(("te-block-1x128", "te-block-128x128"), (1e-25, 1e-17)))


def test_one_operand_with_scales_that_are_no_powers() -> None:
    """Its products with sums are rounded, so there is no short way for either."""
    assert_blocks_are_scaled(*quantised(("te-block-1x128-fp32", "te-block-128x128"), (1, 1)))


def test_formats_of_a_wide_range_have_no_short_way() -> None:
    """Sums of BFLOAT16 times one scale leave float32's normal range, times both they do not."""
    rng, fmt = np.random.default_rng(9), fp.get_format("BFLOAT16")
    operands = (
        fp.ScaledArray(
            fp.encode(rng.standard_normal((rows, 300)) * 2.0**-50, fmt),
            fmt,
            np.full((scales, 3), scale, np.float32),
            block,
        )
        for rows, scales, scale, block in (
            (3, 3, 2.0**-39, (1, 128)),
            (130, 2, 2.0**39, (128, 128)),
        )
    )
    assert_blocks_are_scaled(*operands)
