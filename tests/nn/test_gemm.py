"""Products of float32: the exact sum rounded once, under any accumulator, whatever the threads."""

from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fp8num as fp
from fp8num.nn import _sums, products
from fp8num.nn._matrix import Matrix
from fp8num.nn.products import multiply, product
from fp8num.scaling import get_rule

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


def test_the_reference_rounds_as_float32_does() -> None:
    """NumPy's conversion from float64 rounds once, to even."""
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal(2000) * np.exp2(rng.integers(-160, 130, 2000))
    ties = np.ldexp(2.0 * rng.integers(1 << 23, 1 << 24, 200) + 1, -30)
    for x in [*numbers, *ties, 2.0**-150, 3 * 2.0**-151, 2.0**128 - 2.0**103]:
        with np.errstate(over="ignore"):
            assert nearest_float32(Fraction(float(x))).view(np.uint32) == np.float32(x).view(
                np.uint32
            )


def test_bits_are_compared() -> None:
    """Zeros of either sign are equal numbers and other bits."""
    with pytest.raises(AssertionError):
        assert_same_bits(np.float32([0.0]), np.float32([-0.0]))
    assert_same_bits(np.float32([np.nan]), np.float32([np.nan]))


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def pairs(draw: st.DrawFn, numbers: st.SearchStrategy[float] = FLOATS) -> tuple[Array, Array]:
    """Return matrices that contract."""
    rows, depth, columns = (draw(st.integers(0, n)) for n in (3, 9, 3))
    a = draw(hnp.arrays(np.float32, (rows, depth), elements=numbers))
    b = draw(hnp.arrays(np.float32, (depth, columns), elements=numbers))
    return a, b


@given(operands=pairs())
def test_any_finite_float32(operands: tuple[Array, Array]) -> None:
    """Subnormals, cancellation across the whole range, overflow, empty axes."""
    a, b = operands
    assert_same_bits(multiply(a, b), exact(a, b))


def near_midpoints() -> st.SearchStrategy[float]:
    """Return numbers whose sums fall on midpoints between float32, and a hair beside them."""
    exponents = st.integers(-60, 60)
    return st.one_of(
        st.sampled_from([1.0, -1.0, 2.0**-24, -(2.0**-24), 2.0**24, 2.0**24 + 2, 1 + 2.0**-23]),
        exponents.map(lambda e: 2.0**e),
        exponents.map(lambda e: -(2.0**e)),
    ).map(lambda x: float(np.float32(x)))


@settings(max_examples=300)
@given(operands=pairs(near_midpoints()))
def test_midpoints(operands: tuple[Array, Array]) -> None:
    a, b = operands
    assert_same_bits(multiply(a, b), exact(a, b))


@pytest.mark.parametrize(
    ("terms", "result"),
    [
        ([1.0, 2.0**-24], 1.0),
        ([1.0, 2.0**-24, 2.0**-54], 1 + 2.0**-23),
        ([1.0, 2.0**-24, 2.0**-58], 1 + 2.0**-23),
        ([1.0, 2.0**-24, 2.0**-90], 1 + 2.0**-23),
        ([1.0, 2.0**-24, -(2.0**-90)], 1.0),
        ([1 + 2.0**-23, 2.0**-24], 1 + 2.0**-22),
        ([1 + 2.0**-23, 2.0**-24, -(2.0**-149)], 1 + 2.0**-23),
        ([2.0**60, 1.0, -(2.0**60)], 1.0),
        ([2.0**100, 2.0**-100, -(2.0**100), 2.0**-140], 2.0**-100 * (1 + 2.0**-40)),
        ([2.0**-149, 2.0**-149], 2.0**-148),
    ],
)
def test_sums_that_float64_rounds_to_a_midpoint(terms: list[float], result: float) -> None:
    """There rounding float64's sum again goes wrong: it has not the last term."""
    a = np.array([terms], np.float32)
    assert_same_bits(multiply(a, np.ones((len(terms), 1), np.float32)), np.float32([[result]]))


def operands(kind: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return matrices of a layer's size of a kind, small enough for rationals."""
    shape = (17, 96), (96, 13)
    a, b = (rng.standard_normal(one).astype(np.float32) for one in shape)
    if kind == "sparse":
        return a * (rng.random(a.shape) < 0.05), b * (rng.random(b.shape) < 0.05)
    if kind == "few bits":
        e5m2 = np.exp2(rng.integers(-3, 4, b.shape)) * rng.choice([0, 1, 1.25, 1.5, -1.75], b.shape)
        return np.round(a * 8) / np.float32(8), e5m2.astype(np.float32)
    if kind == "wide":
        return a * np.exp2(rng.integers(-40, 40, a.shape)).astype(np.float32), b
    if kind == "outlier":
        b[:, 3] *= np.float32(2.0**40)
    return a, b


@pytest.mark.parametrize("kind", ["normal", "sparse", "few bits", "wide", "outlier"])
def test_random_matrices(kind: str) -> None:
    """In any layout: contiguous, transposed, strided, byte-swapped, as float64."""
    a, b = operands(kind, np.random.default_rng(7))
    a, b = a.astype(np.float32), b.astype(np.float32)
    expected = exact(a, b)

    assert_same_bits(multiply(a, b), expected)
    assert_same_bits(multiply(np.asfortranarray(a), np.asfortranarray(b)), expected)
    assert_same_bits(multiply(a.astype(np.float64), b.astype(np.float64)), expected)
    assert_same_bits(multiply(a.astype(">f4"), np.repeat(b, 2, axis=1)[:, ::2]), expected)
    assert_same_bits(product(a.T.copy(), b.T.copy(), transpose_a=True, transpose_b=True), expected)


def test_what_the_bound_leaves_open_is_computed_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of 65,536 elements of Gaussian matrices; without that they could be wrong."""
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal((256, 256)).astype(np.float32) for _ in "ab")
    counted = []
    original = _sums.exact_sums
    monkeypatch.setattr(
        _sums, "exact_sums", lambda terms: counted.append(len(terms)) or original(terms)
    )

    found = multiply(a, b)

    assert 0 < sum(counted) < 100
    sums = a.astype(np.float64) @ b.astype(np.float64)
    assert np.count_nonzero(found != sums.astype(np.float32)) <= sum(counted)


def test_sums_of_codes_need_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """E4M3FN by E4M3FN is exact in float64; no element is left open, though ties are common."""
    monkeypatch.setattr(_sums.Bound, "_settle", lambda *_: pytest.fail("an element was left open"))
    rng = np.random.default_rng(4)
    x = fp.scale_quantize(rng.standard_normal((64, 512)).astype(np.float32), "te-current")
    w = fp.scale_quantize(rng.standard_normal((32, 512)).astype(np.float32), "te-current")

    found = product(x, w, scales="accumulator", transpose_b=True)

    sums = fp.matmul(x.codes, w.codes, "E4M3FN", "E4M3FN", transpose_b=True)
    assert_same_bits(found, sums * (x.stored_scales * w.stored_scales))


def test_sums_of_e5m2_can_be_too_long_for_float64() -> None:
    """
    300 products of the largest values, 2^8, and the smallest product of all, 2^-25.

    Without the last the sum is a midpoint of float32, and float64 has no bit for it.
    """
    g = np.array([[57344.0] * 300 + [16.0, 2.0**-16]])
    x = np.array([[448.0] * 300 + [16.0, 2.0**-9]]).T
    operands = (
        fp.ScaledArray(
            fp.encode(values, fmt), fp.get_format(fmt), np.array(1, np.float32), values.shape
        )
        for values, fmt in ((g, "E5M2"), (x, "E4M3FN"))
    )
    whole = 300 * 57344 * 448

    found = product(*operands, scales="accumulator")

    assert float(np.float32(whole + 256.0)) == whole
    assert found.tolist() == [[whole + 512.0]]


@pytest.mark.parametrize("fmt", ["E4M3FN", "E5M2", "E2M1FN", "BINARY16", "E4M3FNUZ", "HIFLOAT8"])
def test_quanta_of_codes(fmt: str) -> None:
    """Each value is a multiple of its own, and of binary formats no finer one is given."""
    found = fp.get_format(fmt)
    codes = np.arange(1 << found.bits, dtype=found.code_dtype)
    codes = codes[np.isfinite(found.values) & (found.values != 0)]
    values = found.values[codes]

    quanta = Matrix(codes[None], found).quanta(0)

    assert (np.fmod(values, quanta) == 0).all()
    if found.mantissa_bits is not None:
        exponents = np.maximum(np.frexp(np.abs(values))[1] - 1, found.emin)
        np.testing.assert_array_equal(quanta, np.ldexp(1.0, exponents - found.mantissa_bits))
    together = Matrix(codes[:, None], found).quanta(0)
    assert (np.fmod(values, together) == 0).all()


@given(numbers=hnp.arrays(np.float32, 5, elements=FLOATS))
def test_quanta_of_numbers(numbers: Array) -> None:
    """All are multiples; of one number it is its lowest bit.  Zeros do not count."""
    for dtype in (np.float32, np.float64):
        quantum = Fraction(float(Matrix(numbers.astype(dtype)[None]).quanta(1)[0]))
        assert all((Fraction(float(x)) / quantum).denominator == 1 for x in numbers)
        for x in numbers[numbers != 0]:
            own = Fraction(float(Matrix(np.array([[x]], dtype)).quanta(0)[0]))
            assert (Fraction(float(x)) / own).numerator % 2 == 1
            assert (Fraction(float(x)) / own).denominator == 1


@pytest.mark.parametrize("size", [1, products._PANEL // 40, 2 * products._PANEL // 40 + 1])
def test_panels(size: int) -> None:
    """Rows are worked on in panels; how many there are plays no part."""
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((size, 5)).astype(np.float32), rng.standard_normal((5, 40))
    b = b.astype(np.float32)
    found = multiply(a, b)
    for row in (0, size // 2, size - 1):
        assert_same_bits(found[row : row + 1], multiply(a[row : row + 1], b))
    assert_same_bits(found[-1:], exact(a[-1:], b))


def test_special_values() -> None:
    """By IEEE 754 in any order; the sum of zeros is +0, and NaN is the quiet positive one."""
    inf, nan = np.inf, np.nan
    a = np.array([[inf, 1.0], [-inf, inf], [nan, 0.0], [0.0, 0.0], [1.0, -1.0]], np.float32)
    b = np.array([[1.0, 0.0, 3e38], [2.0, inf, -3e38]], np.float32)

    found = multiply(a, b)

    expected = np.float32(
        [[inf, nan, inf], [nan, nan, -inf], [nan, nan, nan], [0, nan, 0], [-1, -inf, inf]]
    )
    assert_same_bits(found, expected)
    zeros = multiply(np.float32([[-0.0, -0.0]]), np.float32([[1.0], [1.0]]))
    assert_same_bits(zeros, np.float32([[0.0]]))


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3), (2, 3, 0), (0, 0, 0)])
def test_empty_axes(shape: tuple[int, int, int]) -> None:
    rows, depth, columns = shape
    found = multiply(np.ones((rows, depth), np.float32), np.ones((depth, columns), np.float32))
    assert_same_bits(found, np.zeros((rows, columns), np.float32))


# Accumulators.


@pytest.fixture
def quantised() -> tuple[Any, Any]:
    """Two matrices with a scale each, to be multiplied as x w^T."""
    rng = np.random.default_rng(6)
    x = fp.scale_quantize(rng.standard_normal((5, 200)).astype(np.float32), "te-current")
    w = fp.scale_quantize(
        rng.standard_normal((4, 200)).astype(np.float32), "te-current", fmt="E5M2"
    )
    return x, w


@pytest.mark.parametrize("name", ["hopper", "hopper-promoted", "float32", "exact", "bfloat16"])
def test_other_accumulators_are_those_of_matmul(name: str, quantised: tuple[Any, Any]) -> None:
    x, w = quantised
    expected = fp.matmul(x, w, accumulator=name, transpose_b=True)
    assert_same_bits(product(x, w, name, transpose_b=True), expected)


def test_scales_of_tensors_enter_the_sum_after_they_were_multiplied(
    quantised: tuple[Any, Any],
) -> None:
    """``sum * (sa * sb)``, each in float32, of the exact sum."""
    x, w = quantised
    sums = exact(fp.decode(x.codes, "E4M3FN"), fp.decode(w.codes, "E5M2").T)

    found = product(x, w, scales="accumulator", transpose_b=True)

    assert_same_bits(found, sums * (x.stored_scales * w.stored_scales))


def test_scales_of_rows_enter_the_sum_columns_first() -> None:
    """``(sum * sb) * sa``."""
    rng = np.random.default_rng(6)
    x, w = (
        fp.scale_quantize(rng.standard_normal((n, 40)).astype(np.float32), "row") for n in (5, 4)
    )
    sums = exact(fp.decode(x.codes, "E4M3FN"), fp.decode(w.codes, "E4M3FN").T)

    found = product(x, w, scales="accumulator", transpose_b=True)

    assert_same_bits(found, (sums * w.scales.T) * x.scales)


@pytest.mark.parametrize("rule", ["te-block-1x128-fp32", "te-block-128x128-fp32"])
def test_scales_of_blocks_enter_partial_sums(rule: str) -> None:
    """``total = fma(part * sa, sb, total)``, or with ``sa * sb`` first; in rationals."""
    rng = np.random.default_rng(8)
    x = fp.scale_quantize(rng.standard_normal((3, 300)).astype(np.float32), "te-block-1x128-fp32")
    w = fp.scale_quantize(rng.standard_normal((130, 300)).astype(np.float32), rule)
    a, b = fp.decode(x.codes, "E4M3FN"), fp.decode(w.codes, "E4M3FN").T

    found = product(x, w, scales="accumulator", transpose_b=True)

    for i, j in ((0, 0), (1, 127), (2, 129)):
        total = np.float32(0)
        for block in range(3):
            k = slice(128 * block, 128 * block + 128)
            part = exact(a[i : i + 1, k], b[k, j : j + 1])[0, 0]
            sa, sb = x.scales[i, block], w.scales[j // 128 if "128x" in rule else j, block]
            left, right = (part, sa * sb) if "128x" in rule else (part * sa, sb)
            fused = Fraction(float(left)) * Fraction(float(right)) + Fraction(float(total))
            total = nearest_float32(fused)
        assert found[i, j] == total


@pytest.mark.parametrize("size", [1.0, 1e-25, 1e35])
def test_power_of_two_scales_of_blocks_have_a_short_way(size: float) -> None:
    """Unless they are so large or small that products may leave float32's range; in rationals."""
    rng = np.random.default_rng(8)
    x, w = rng.standard_normal((3, 300)) * size, rng.standard_normal((130, 300)) / size
    x, w = x.astype(np.float32), w.astype(np.float32)
    left = fp.scale_quantize(x, "te-block-1x128")
    right = fp.scale_quantize(w, "te-block-128x128")
    a, b = fp.decode(left.codes, "E4M3FN"), fp.decode(right.codes, "E4M3FN").T

    found = product(left, right, scales="accumulator", transpose_b=True)

    for i, j in ((0, 0), (1, 127), (2, 129)):
        total = np.float32(0)
        for block in range(3):
            k = slice(128 * block, 128 * block + 128)
            part = exact(a[i : i + 1, k], b[k, j : j + 1])[0, 0]
            with np.errstate(all="ignore"):
                scale = left.scales[i, block] * right.scales[j // 128, block]
            fused = Fraction(float(part)) * Fraction(float(scale)) + Fraction(float(total))
            total = nearest_float32(fused)
        assert found[i, j] == total


def test_scales_that_enter_operands_are_dequantised_in_float32(quantised: tuple[Any, Any]) -> None:
    x, w = quantised
    assert_same_bits(product(x, w, transpose_b=True), exact(x.dequantize(), w.dequantize().T))


def test_blas_multiplies_dequantised_values(quantised: tuple[Any, Any]) -> None:
    x, w = quantised
    expected = x.dequantize() @ w.dequantize().T
    assert_same_bits(product(x, w, "blas-float32", transpose_b=True), expected)


def test_one_operand_may_be_plain(quantised: tuple[Any, Any]) -> None:
    """Then it has no scale."""
    x, _ = quantised
    w = np.random.default_rng(1).standard_normal((200, 3)).astype(np.float32)
    assert_same_bits(product(x, w), exact(x.dequantize(), w))
    sums = exact(fp.decode(x.codes, "E4M3FN"), w)
    assert_same_bits(product(x, w, scales="accumulator"), sums * x.stored_scales)


def test_stochastic_accumulators_draw(quantised: tuple[Any, Any]) -> None:
    from fp8num.accumulate import FloatSum

    x, w = quantised
    unit = FloatSum(name="random", rounding="StochasticA", arithmetic="BFLOAT16")
    one, two, three = (
        product(x, w, unit, transpose_b=True, rng=np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert_same_bits(one, two)
    assert (one != three).any()


# Bad input.


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 3)), ValueError, r"a and b must contract: a has 3 .*2 rows"),
        (np.ones(3), np.ones((3, 1)), ValueError, r"a must be a matrix, got shape \(3,\)"),
        (np.ones((2, 3), int), np.ones((3, 1)), TypeError, "a must be float32 or float64, got int"),
        (np.ones((2, 3)), np.ones((3, 1), np.float16), TypeError, "b must be .* float16"),
    ],
)
def test_bad_operands(a: Any, b: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        multiply(a, b)


def test_bad_products(quantised: tuple[Any, Any]) -> None:
    x, w = quantised
    plain = np.ones((200, 2), np.float32)
    with pytest.raises(TypeError, match="b must be float32 or a ScaledArray, got float64 of shape"):
        product(x, plain.astype(np.float64))
    with pytest.raises(ValueError, match="b must be a matrix"):
        product(x, plain[:, 0])
    with pytest.raises(ValueError, match=r"a and b must contract, got shapes .5, 200. and .4, 200"):
        product(x, w)
    with pytest.raises(ValueError, match="scales must be 'operand' or 'accumulator', got 'sum'"):
        product(x, plain, scales="sum")
    with pytest.raises(ValueError, match=r"b must be codes under accumulator 'hopper', got plain"):
        product(x, plain, "hopper")
    with pytest.raises(ValueError, match=r"'hoper' is not known, did you mean.*correctly-rounded"):
        product(x, plain, "hoper")
    blocks = fp.scale_quantize(np.ones((4, 200), np.float32), "te-mxfp8")
    with pytest.raises(ValueError, match=r"accumulator 'hopper' takes scales per tensor or row"):
        product(blocks, blocks, "hopper", transpose_b=True)
    assert get_rule("te-mxfp8").enters.value == "operand"
