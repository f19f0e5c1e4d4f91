"""Accumulators of one's own, scales inside a unit, scaled exact sums and outputs as codes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil, floor, trunc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fp8num.accumulate import ACCUMULATORS, FloatSum, TensorCore, get_accumulator, matmul
from fp8num.codec import encode
from fp8num.formats import BFLOAT16, E2M1FN, E4M3FN, E5M2, E8M0FNU, get_format
from fp8num.projection import Rounding
from fp8num.scaled import ScaledArray
from fp8num.verify.reference import Datum, Kind, exact, project
from fp8num.verify.reference import decode as decode_exactly
from fp8num.verify.reference.accumulators import (
    Operands,
    Summand,
    block_scaled,
    chain,
    hopper,
    nvfp4,
    product,
    promoted,
)
from fp8num.verify.reference.datum import (
    BINARY16,
    BINARY32,
    ZERO,
    Binary,
    add,
    multiply,
    nearest,
    read,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fp8num import Format

    Array = npt.NDArray[Any]

EIGHT = (E4M3FN, E5M2)
ELEMENTS = (*EIGHT, get_format("E3M2FN"), get_format("E2M3FN"), E2M1FN)
few = settings(max_examples=settings.default.max_examples // 5)
seeds = st.integers(0, 2**32).map(np.random.default_rng)


def draw(rng: np.random.Generator, fmt: Format, shape: tuple[int, ...]) -> Array:
    """Draw finite codes, now and then of few exponents only."""
    finite = np.flatnonzero(np.isfinite(fmt.values))
    if rng.random() < 0.3:
        finite = finite[np.abs(fmt.values[finite]) <= 4 * (fmt.smallest_subnormal or 0)]
    return rng.choice(finite, shape).astype(np.uint8)


def operands(a: Array, b: Array, formats: tuple[Format, Format]) -> Operands:
    return Operands(a.tolist(), b.tolist(), *formats)


def word(x: Any) -> int:
    return int(np.asarray(x).view({2: np.uint16, 4: np.uint32}[x.dtype.itemsize]))


def assert_float32(found: Any, expected: Datum) -> None:
    """Raise unless the bits are those of the definition; any NaN is one."""
    if expected.kind is Kind.NAN:
        assert np.isnan(found)
    else:
        wanted = write(expected, BINARY32)
        assert word(found) == wanted, f"{found!r}, by definition {wanted:#x}"


# Tensor cores of one's own.

ROUND: dict[Rounding, Callable[[Fraction], int]] = {
    Rounding.TOWARD_ZERO: trunc,
    Rounding.TOWARD_NEGATIVE: floor,
    Rounding.TOWARD_POSITIVE: ceil,
    Rounding.NEAREST_TIES_TO_EVEN: round,
}
#: Those of sums, which have two more.
OF_SUMS: dict[Rounding, Callable[[Fraction], int]] = ROUND | {
    Rounding.NEAREST_TIES_TO_AWAY: lambda x: floor(abs(x) + Fraction(1, 2)) * (1 if x > 0 else -1),
    Rounding.TO_ODD: lambda x: floor(x) | (x != floor(x)),  # of two neighbours one is odd
}


def rounded(x: Fraction, precision: int, rounding: Rounding, binary: Binary) -> Datum:
    """Round to a precision; beyond the range, infinity."""
    if not x:
        return ZERO
    emin = 1 - binary.emax
    exponent = emin
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    quantum = Fraction(2) ** (exponent - precision + 1)
    value = OF_SUMS[rounding](x / quantum) * quantum
    if abs(value) >= Fraction(2) ** (binary.emax + 1):
        return Datum.infinite(negative=x < 0)
    return Datum.finite(value)


def step_of(unit: TensorCore, pair: Operands, c: Datum) -> Datum:
    """One step of any unit, with finite operands."""
    binary = BINARY32 if unit.register == "float32" else BINARY16
    summands = [
        product(x, y, pair.a_format, pair.b_format) for x, y in zip(pair.a, pair.b, strict=True)
    ]
    if unit.alignment == "product":
        # The exponent of the product itself: frexp is exact, and gives half a significand.
        summands = [Summand(s.value, int(np.frexp(float(s.value.value))[1]) - 1) for s in summands]
    if not c.is_finite:
        return c
    if c.value:
        exponent = max(int(np.frexp(float(c.value))[1]) - 1, 1 - binary.emax)
        summands.append(Summand(c, exponent))
    summands = [s for s in summands if s.value.value]
    if not summands:
        return ZERO
    quantum = Fraction(2) ** (max(s.exponent for s in summands) - unit.fraction_bits)
    aligning, finishing = Rounding.parse(unit.aligning), Rounding.parse(unit.output_rounding)
    total = sum((ROUND[aligning](s.value.value / quantum) * quantum for s in summands), Fraction(0))
    return rounded(total, unit.output_bits + 1, finishing, binary)


@few
@given(
    rng=seeds,
    fraction_bits=st.integers(1, 40),
    products=st.sampled_from([1, 2, 3, 4, 8, 16, 32]),
    alignment=st.sampled_from(["operands", "product"]),
    aligning=st.sampled_from(list(ROUND)),
    register=st.sampled_from(["float32", "float32", "float16"]),
    output_bits=st.integers(1, 23),
    output_rounding=st.sampled_from(list(ROUND)),
    formats=st.tuples(*[st.sampled_from(ELEMENTS)] * 2),
    k=st.integers(1, 70),
)
def test_a_unit_of_any_parameters(
    rng: np.random.Generator, formats: tuple[Format, Format], k: int, **parameters: Any
) -> None:
    """Fraction bits, products of a step, alignment, roundings, register, output bits."""
    if parameters["register"] == "float16":
        parameters["output_bits"] = min(parameters["output_bits"], 10)
    unit = TensorCore(name="mine", **parameters)
    a, b = draw(rng, formats[0], (1, k)), draw(rng, formats[1], (k, 2))
    dtype = np.dtype(parameters["register"])
    binary = BINARY32 if dtype == np.float32 else BINARY16
    c = (rng.normal(size=(1, 2)) * np.exp2(rng.integers(-14, 8))).astype(dtype)

    found = matmul(a, b, *formats, accumulator=unit, c=c, out_dtype=dtype)

    for j in range(2):
        pair = operands(a[0], b[:, j], formats)
        start = read(word(c[0, j]), binary)
        expected = chain(partial(step_of, unit), unit.products, pair, start)
        assert word(found[0, j]) == write(expected, binary)


@pytest.mark.parametrize("interval", [32, 64, 256])
@given(rng=seeds)
@settings(max_examples=4)
def test_any_promotion_interval(interval: int, rng: np.random.Generator) -> None:
    """Of Hopper's unit: the total is added to every so many products."""
    unit = replace(get_accumulator("hopper"), name="mine", promotion=interval)
    a, b = draw(rng, E4M3FN, (1, 520)), draw(rng, E4M3FN, (520, 1))

    found = matmul(a, b, E4M3FN, E4M3FN, accumulator=unit)

    expected = promoted(hopper, 32, interval, operands(a[0], b[:, 0], (E4M3FN, E4M3FN)))
    assert word(found[0, 0]) == write(expected, BINARY32)


# Floating-point sums in any format.


def add_in(fmt: Format, mode: tuple[str, str], x: Datum, y: Datum) -> Datum:
    """Add exactly, and round to a format."""
    if not (x.is_finite and y.is_finite):
        return add(x, y, BINARY32)  # infinities and NaNs only
    total = Datum.finite(x.value + y.value, negative=x.negative and y.negative)
    return decode_exactly(project(total, fmt, *mode), fmt)


@few
@given(
    rng=seeds,
    fmt=st.sampled_from(
        [get_format(name) for name in ("BINARY16", "BFLOAT16", "E5M2", "E4M3IEEE")]
    ),
    order=st.sampled_from(["sequential", "blocked", "pairwise"]),
    fused=st.booleans(),
    mode=st.tuples(
        st.sampled_from(["rne", "rna", "rz", "ru", "rd", "ro"]),
        st.sampled_from(["SatNone", "SatFinite"]),
    ),
    formats=st.tuples(*[st.sampled_from(EIGHT)] * 2),
    k=st.integers(1, 40),
)
def test_sums_in_a_format(
    rng: np.random.Generator,
    fmt: Format,
    order: str,
    fused: bool,  # noqa: FBT001
    mode: tuple[str, str],
    formats: tuple[Format, Format],
    k: int,
) -> None:
    """Each product and each sum is rounded to it, or products are not."""
    fused = fused and order != "pairwise"
    block = 8 if order == "blocked" else None
    unit = FloatSum(
        name="mine", arithmetic=fmt, order=order, block=block, fused=fused,
        rounding=mode[0], saturation=mode[1],
    )  # fmt: skip
    a, b = draw(rng, formats[0], (1, k)), draw(rng, formats[1], (k, 1))

    found = matmul(a, b, *formats, accumulator=unit)

    terms = [product(x, y, *formats).value for x, y in zip(a[0].tolist(), b[:, 0].tolist())]  # noqa: B905
    if not fused:
        terms = [decode_exactly(project(term, fmt, *mode), fmt) for term in terms]
    expected = ZERO
    if order == "pairwise":
        while len(terms) > 1:
            sums = [add_in(fmt, mode, *terms[i : i + 2]) for i in range(0, len(terms) - 1, 2)]
            terms = sums + terms[len(terms) - len(terms) % 2 :]
        expected = terms[0]
    else:
        length = block or k
        parts = []
        for i in range(0, k, length):
            part = ZERO
            for term in terms[i : i + length]:
                part = add_in(fmt, mode, part, term)
            parts.append(part)
        expected = parts[0]
        for part in parts[1:]:
            expected = add_in(fmt, mode, expected, part)
    if expected.is_zero:
        assert found[0, 0] == 0
    else:
        assert_float32(found[0, 0], expected)


@few
@given(
    rng=seeds,
    mode=st.sampled_from(list(OF_SUMS)),
    formats=st.tuples(*[st.sampled_from(EIGHT)] * 2),
    k=st.integers(1, 20),
    exact=st.booleans(),
)
def test_sums_in_float32_by_any_rounding(
    rng: np.random.Generator,
    mode: Rounding,
    formats: tuple[Format, Format],
    k: int,
    exact: bool,  # noqa: FBT001
) -> None:
    """Of exact products, from an accumulator that has all of the bits or few."""
    a, b = draw(rng, formats[0], (1, k)), draw(rng, formats[1], (k, 1))
    c = (rng.integers(-8, 9) if exact else rng.normal()) * np.exp2(rng.integers(-16, 30))
    c = np.array([[c]], np.float32)

    found = matmul(a, b, *formats, accumulator=FloatSum(name="mine", rounding=mode), c=c)

    total = Fraction(float(c[0, 0]))
    for x, y in zip(a[0].tolist(), b[:, 0].tolist(), strict=True):
        total = rounded(total + product(x, y, *formats).value.value, 24, mode, BINARY32).value
    assert Fraction(float(found[0, 0])) == total


@pytest.mark.parametrize("name", ["E5M2", "w7m0b120-fn"])  # beyond what NumPy's own sums serve
@pytest.mark.parametrize("sign", [1, -1])
def test_a_tie_of_float32_goes_where_the_rounding_says(sign: int, name: str) -> None:
    """1 + 2**-24 is halfway between 1, whose last bit is even, and 1 + 2**-23."""
    fmt = get_format(name)
    a = np.flatnonzero(E5M2.values == 2.0**-12).astype(np.uint8)[None]
    b = np.flatnonzero(fmt.values == sign * 2.0**-12).astype(np.uint8)[:, None]
    upward = {"rne": 0, "rna": 1, "rz": 0, "ru": sign > 0, "rd": sign < 0, "ro": 1}
    for mode, up in upward.items():
        unit = FloatSum(name="mine", rounding=mode)

        found = matmul(a, b, E5M2, fmt, accumulator=unit, c=np.array([[sign]], np.float32))

        assert found[0, 0] == sign * (1 + up * 2.0**-23), mode


@pytest.mark.parametrize("mode", OF_SUMS, ids=lambda mode: mode.name)
def test_a_product_far_below_the_sum_is_seen(mode: Rounding) -> None:
    """+-1 and +-2**-60, which float64 does not hold together."""
    fmt = get_format("w7m0b120-fn")
    a = np.flatnonzero(E5M2.values == 2.0**-12).astype(np.uint8)[None]
    for c, sign in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        b = np.flatnonzero(fmt.values == sign * 2.0**-48).astype(np.uint8)[:, None]
        unit = FloatSum(name="mine", rounding=mode)

        found = matmul(a, b, E5M2, fmt, accumulator=unit, c=np.array([[c]], np.float32))

        expected = rounded(c + sign * Fraction(1, 2**60), 24, mode, BINARY32).value
        assert Fraction(float(found[0, 0])) == expected, (c, sign)


def test_float32_sums_end_where_their_rounding_says() -> None:
    """2**127 and as much again: infinity, or the largest number where rounding stops there."""
    largest = np.finfo(np.float32).max
    a = np.array([[0x3C]], np.uint8)  # 1
    fmt = get_format("w5m2b-97-ieee")  # E5M2 with 1 for 2**112, and 2**127 among its values
    b = np.flatnonzero(fmt.values == 2.0**127).astype(np.uint8)[:, None]
    for mode, above, below in (
        ("rne", np.inf, -np.inf), ("rna", np.inf, -np.inf), ("rz", largest, -largest),
        ("ru", np.inf, -largest), ("rd", largest, -np.inf), ("ro", largest, -largest),
    ):  # fmt: skip
        unit = FloatSum(name="mine", rounding=mode)
        for sign, expected in ((1, above), (-1, below)):
            c = np.array([[sign * 2.0**127]], np.float32)
            codes = b if sign > 0 else b | 0x80
            assert matmul(a, codes, E5M2, fmt, accumulator=unit, c=c)[0, 0] == expected, mode


def test_stochastic_sums_go_to_neighbours_as_often_as_they_should() -> None:
    """1 + 1/32 in E4M3FN is 1.125 once in four times; within five deviations of 4,096."""
    unit = FloatSum(name="mine", arithmetic=E4M3FN, rounding="sra")
    a = np.tile(np.array([0x38, 0x10], np.uint8), (4096, 1))  # 1 and 2**-5
    b = np.full((2, 1), 0x38, np.uint8)
    assert E4M3FN.values[[0x38, 0x10]].tolist() == [1.0, 2.0**-5]

    found = matmul(a, b, E4M3FN, E4M3FN, accumulator=unit, rng=np.random.default_rng(1))

    assert set(found.ravel().tolist()) == {1.0, 1.125}
    assert abs((found == 1.125).sum() - 1024) < 5 * (4096 * 3 / 16) ** 0.5
    again = matmul(a, b, E4M3FN, E4M3FN, accumulator=unit, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(found, again)


# Scales inside a unit.


@few
@given(rng=seeds, formats=st.tuples(*[st.sampled_from(ELEMENTS)] * 2), k=st.integers(1, 130))
def test_mx_scales_shift_the_products(
    rng: np.random.Generator, formats: tuple[Format, Format], k: int
) -> None:
    """`mxf8f6f4`: one power of two for 32 products of a row, one of a column; NaN too."""
    blocks = -(-k // 32)
    a, b = draw(rng, formats[0], (2, k)), draw(rng, formats[1], (k, 1))
    sa, sb = (
        np.exp2(rng.integers(-20, 20, shape)).astype(np.float32)
        for shape in ((2, blocks), (blocks, 1))
    )
    if rng.random() < 0.2:
        sa[0, 0] = np.nan
    c = rng.normal(size=(2, 1)).astype(np.float32)

    found = matmul(
        a, b, *formats, accumulator="blackwell-mx", scaling="1x32", a_scale=sa, b_scale=sb, c=c
    )

    for i in range(2):
        expected = exact(c[i, 0])
        for n, block in enumerate(operands(a[i], b[:, 0], formats).blocks(32)):
            expected = block_scaled(block, expected, exact(sa[i, n]), exact(sb[n, 0]))
        assert_float32(found[i, 0], expected)


@few
@given(rng=seeds, k=st.integers(1, 160))
def test_nvfp4_scales_multiply_exact_groups(rng: np.random.Generator, k: int) -> None:
    """`mxf4nvf4`: E4M3FN scales, of 16 products each, subnormal ones and zero too."""
    groups = -(-k // 16)
    a, b = draw(rng, E2M1FN, (2, k)), draw(rng, E2M1FN, (k, 1))
    codes = [rng.integers(0, 0x7F, shape) for shape in ((2, groups), (groups, 1))]
    sa, sb = (E4M3FN.values[code].astype(np.float32) for code in codes)
    c = (rng.normal(size=(2, 1)) * np.exp2(rng.integers(-20, 20))).astype(np.float32)

    found = matmul(
        a, b, E2M1FN, E2M1FN, accumulator="blackwell-nvfp4", scaling="1x16",
        a_scale=sa, b_scale=sb, c=c,
    )  # fmt: skip

    for i in range(2):
        expected = exact(c[i, 0])
        for n, block in enumerate(operands(a[i], b[:, 0], (E2M1FN, E2M1FN)).blocks(64)):
            part = slice(4 * n, 4 * n + 4)
            expected = nvfp4(
                block, expected, [exact(s) for s in sa[i, part]], [exact(s) for s in sb[part, 0]]
            )
        assert_float32(found[i, 0], expected)


def test_units_with_scales_refuse_others() -> None:
    """Scales that are no powers of two; blocks of another length."""
    a, b = np.zeros((1, 64), np.uint8), np.zeros((64, 1), np.uint8)
    three = np.full((1, 2), 3.0, np.float32), np.ones((2, 1), np.float32)
    go = partial(matmul, a, b, "E4M3FN", "E4M3FN", accumulator="blackwell-mx")
    with pytest.raises(ValueError, match=r"E8M0FNU.*'blackwell-mx'"):
        go(scaling="1x32", a_scale=three[0], b_scale=three[1])
    with pytest.raises(ValueError, match=r"32 products.*'blackwell-mx'.*got 64"):
        go(scaling="1x64", a_scale=three[1][:1], b_scale=three[1][:1])
    assert E8M0FNU.name in str(ACCUMULATORS["blackwell-mx"])


# Exact sums under scales, and outputs as codes.


@few
@given(
    rng=seeds, scaling=st.sampled_from(["tensor", "row", "1x128", "128x128"]), k=st.integers(1, 300)
)
def test_exact_sums_of_scaled_values_are_rounded_once(
    rng: np.random.Generator, scaling: str, k: int
) -> None:
    """Scales, c and bias are part of the exact sum."""
    a, b = draw(rng, E4M3FN, (2, k)), draw(rng, E5M2, (k, 2))
    blocks = -(-k // 128)
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = {
        "tensor": ((), ()),
        "row": ((2, 1), (1, 2)),
        "1x128": ((2, blocks), (blocks, 2)),
        "128x128": ((2, blocks), (blocks, 1)),
    }[scaling]
    sa, sb = (np.asarray(rng.normal(size=s), np.float32) for s in shapes)
    c, bias = rng.normal(size=(2, 2)).astype(np.float32), rng.normal(size=2).astype(np.float32)

    found = matmul(a, b, E4M3FN, E5M2, scaling=scaling, a_scale=sa, b_scale=sb, c=c, bias=bias)

    of_a = np.broadcast_to(np.repeat(sa, 128, 1)[:, :k] if "128" in scaling else sa, (2, k))
    of_b = np.broadcast_to(np.repeat(sb, 128, 0)[:k] if "128" in scaling else sb, (k, 2))
    for i in range(2):
        for j in range(2):
            total = Fraction(float(c[i, j])) + Fraction(float(bias[j]))
            for x, y, s, t in zip(a[i], b[:, j], of_a[i], of_b[:, j], strict=True):
                values = E4M3FN.values[x], E5M2.values[y], s, t
                total += (
                    Fraction(float(values[0]))
                    * Fraction(float(values[1]))
                    * Fraction(float(values[2]))
                    * Fraction(float(values[3]))
                )
            assert word(found[i, j]) == write(nearest(total, BINARY32), BINARY32)


@few
@given(rng=seeds, fmt=st.sampled_from([E4M3FN, E5M2, get_format("E4M3FNUZ")]))
def test_outputs_may_be_codes(rng: np.random.Generator, fmt: Format) -> None:
    """The float32 result by a scale, to nearest and saturated: of Hopper and of an exact sum."""
    a, b = draw(rng, E4M3FN, (2, 50)), draw(rng, E4M3FN, (50, 2))
    scale = np.float32(np.exp2(rng.uniform(-14, 4)))

    found = matmul(
        a, b, E4M3FN, E4M3FN, accumulator="hopper", out_dtype=fmt, out_scale=float(scale)
    )

    assert found.dtype == np.uint8
    for i in range(2):
        for j in range(2):
            result = chain(hopper, 32, operands(a[i], b[:, j], (E4M3FN, E4M3FN)))
            scaled = multiply(result, exact(scale), BINARY32)
            assert found[i, j] == project(scaled, fmt, "rne", "SatFinite")


def test_threads_do_not_change_results() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 256, (150, 300)), rng.integers(0, 256, (300, 90))
    for name in ("hopper-promoted", "exact", "float32"):
        go = partial(matmul, a.astype(np.uint8), b.astype(np.uint8), E5M2, E4M3FN, accumulator=name)
        np.testing.assert_array_equal(
            go(threads=1).view(np.uint32), go(threads=3).view(np.uint32), err_msg=name
        )


def test_accumulators_say_what_they_rest_on() -> None:
    """Recorded hardware, literature, or their own definition."""
    recorded = {name for name, unit in ACCUMULATORS.items() if "recorded" in unit.verified}
    assert recorded == {
        *("hopper", "hopper-promoted", "hopper-f16", "hopper-mma-sync", "hopper-mma-sync-f16"),
        *("ada", "ada-f16", "blackwell-mma-sync", "blackwell-mma-sync-f16"),
    }
    assert "literature" in ACCUMULATORS["amd-cdna3"].verified
    assert all(unit.name == name and unit.source for name, unit in ACCUMULATORS.items())
    with pytest.raises(TypeError):
        ACCUMULATORS["mine"] = ACCUMULATORS["exact"]  # type: ignore[index]


# Where one comparison or constant decides.


def test_a_group_of_a_small_sum_decides_where_sums_are_cut() -> None:
    """Its scales do, whatever it sums to: what it stands 35 places above is lost, then it cancels.

    Groups of 1/4 and -1/4 with scales of 1 have their last place at 2**-35; of a third group,
    5/4 with a scale of 2**-34, 2**-34 is kept.
    """
    codes = np.zeros((2, 1, 48), np.uint8)
    codes[0, 0, [0, 16, 32, 33]] = encode([0.5, -0.5, 1.0, 0.5], E2M1FN)
    codes[1] = encode(np.where(np.arange(48) == 32, 1.0, 0.5), E2M1FN)
    scales = encode([[1.0, 1.0, 2.0**-17]], E8M0FNU)
    a, b = (ScaledArray(x, E2M1FN, scales, (1, 16), scale_format=E8M0FNU) for x in codes)

    found = matmul(a, b, accumulator="blackwell-nvfp4", transpose_b=True)

    assert found == 2.0**-34


@pytest.mark.parametrize(("odd", "result"), [(6, 8), (2, 0), (10, 8), (14, 16), (7, 8), (5, 4)])
def test_wide_exact_sums_take_ties_to_even(odd: int, result: int) -> None:
    """Of 2**54 and some: float64's last place is 4, so that 2, 6, 10 and 14 are ties."""
    values = [2.0**100, 2.0**54, float(odd), -(2.0**100)]
    a = encode([[*values]], BFLOAT16)
    ones = encode(np.ones((4, 1)), BFLOAT16)

    for signed, sign in ((a, 1), (a ^ 0x8000, -1)):
        found = matmul(signed, ones, BFLOAT16, BFLOAT16, out_dtype=np.float64)
        assert found == sign * (2**54 + result)


@pytest.mark.parametrize("side", ["a_scale", "b_scale"])
def test_an_infinite_scale_of_either_operand_multiplies(side: str) -> None:
    """Numbers become infinities of their signs, and zero NaN, as IEEE 754 multiplies."""
    scales = {"a_scale": 1.0, "b_scale": 1.0, side: np.inf}
    one = encode([[1.0]], E4M3FN)

    for value, expected in ((2.0, np.inf), (-2.0, -np.inf), (0.0, np.nan)):
        x = encode([[value]], E4M3FN)
        pair = (x, one) if side == "a_scale" else (one, x)
        found = matmul(*pair, E4M3FN, E4M3FN, scaling="tensor", **scales)
        np.testing.assert_array_equal(found, [[expected]])


def test_c_is_what_the_register_holds_and_bias_is_float32() -> None:
    """Of a unit that keeps float16; the number that is not held is the one that is named."""
    zeros = np.zeros((2, 2), np.uint8)
    fine = np.float32([1.0, 1.0 + 2.0**-20])
    unit = {"accumulator": "hopper-f16"}

    with pytest.raises(ValueError, match=r"c must hold float16 numbers.* with 1\.00000095367"):
        matmul(zeros, zeros, E4M3FN, E4M3FN, c=fine, **unit)
    with pytest.raises(ValueError, match=r"bias must hold float32 numbers.* with 1\.00000000093"):
        matmul(zeros, zeros, E4M3FN, E4M3FN, bias=[1.0, 1.0 + 2.0**-30], **unit)

    found = matmul(zeros, zeros, E4M3FN, E4M3FN, bias=fine, **unit)

    np.testing.assert_array_equal(found, [fine, fine])
