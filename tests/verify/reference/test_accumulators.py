"""The reference of accumulators against recordings of hardware and facts typed by hand."""

from __future__ import annotations

import os
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

from fp8num.formats import E2M1FN, E4M3FN, E4M3FNUZ, E5M2, get_format
from fp8num.verify.reference import Datum, Kind, exact
from fp8num.verify.reference.accumulators import (
    Operands,
    Step,
    Summand,
    ada,
    ada_f16,
    aligned_sum,
    blackwell,
    block_scaled,
    cdna3,
    chain,
    exact_dot,
    float16_unit,
    hopper,
    hopper_f16,
    mma_sync,
    mma_sync_f16,
    nvfp4,
    pairwise,
    product,
    promoted,
    scale_blocks,
    scale_row,
    scale_tensor,
    sequential,
)
from fp8num.verify.reference.datum import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    ZERO,
    Binary,
    add,
    convert,
    fma,
    multiply,
    read,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from fp8num.formats import Format

    Array = npt.NDArray[Any]

HOPPER = Path(__file__).parents[2] / "data" / "hopper"
VECTORS = "FP8NUM_NVIDIA_VECTORS"
FORMATS = {"e4m3": E4M3FN, "e5m2": E5M2}
PAIRS = [(a, b) for a in FORMATS for b in FORMATS]
KINDS = ("codes", "normal", "wide", "special")
#: Outputs of each recorded case that are looked at.
SAMPLE = 12


@lru_cache
def load(path: Path) -> dict[str, Array]:
    with np.load(path) as file:
        return dict(file)


def bits_of(x: Any) -> int:
    """Return the bit pattern of a float32 or float16."""
    return int(x.view({2: np.uint16, 4: np.uint32}[x.dtype.itemsize]))


def operands(a: Array, b: Array, a_format: Format, b_format: Format) -> Operands:
    return Operands(a.ravel().tolist(), b.ravel().tolist(), a_format, b_format)


def assert_output(actual: Datum, binary: Binary, expected: Any, label: str) -> None:
    """Raise unless the bits are those recorded, of NaNs and zeros too."""
    found, wanted = write(actual, binary), bits_of(expected)
    assert found == wanted, f"{label}: {found:#x}, recorded {wanted:#x}"


def places(shape: tuple[int, ...], seed: int, count: int = SAMPLE) -> Iterator[tuple[int, ...]]:
    """Yield places of an array, drawn without replacement."""
    size = int(np.prod(shape))
    drawn = np.random.default_rng(seed).choice(size, min(count, size), replace=False)
    for place in drawn:
        yield tuple(int(i) for i in np.unravel_index(place, shape))


# Recordings.


def check_wgmma(a: str, b: str, kind: str, count: int) -> None:
    """Compare outputs of a kind: one step, and eight in a chain."""
    data = load(HOPPER / "wgmma.npz")
    for steps in (1, 8):
        case = {name: data[f"{a}_{b}_{kind}_{steps}_{name}"] for name in "ABCD"}
        for t, i, j in places(case["D"].shape, steps, max(1, count // steps)):
            pair = operands(case["A"][t, :, i], case["B"][t, :, j], FORMATS[a], FORMATS[b])
            start = read(bits_of(case["C"][t, i, j]), BINARY32)

            found = chain(hopper, 32, pair, start)

            assert_output(found, BINARY32, case["D"][t, i, j], f"{steps} steps, {t, i, j}")


def check_mma(path: str, a: str, b: str, kind: str, count: int) -> None:
    """Compare outputs of a kind, of one instruction each."""
    step, binary = {
        "mma_f32": (mma_sync, BINARY32),
        "mma_f16": (mma_sync_f16, BINARY16),
        "wgmma_f16": (hopper_f16, BINARY16),
    }[path]
    data = load(HOPPER / "mma.npz")
    case = {name: data[f"{path}_{a}_{b}_{kind}_{name}"] for name in "ABCD"}
    for t, i, j in places(case["D"].shape, 0, count):
        pair = operands(case["A"][t, i], case["B"][t, j], FORMATS[a], FORMATS[b])

        found = step(pair, read(bits_of(case["C"][t, i, j]), binary))

        assert_output(found, binary, case["D"][t, i, j], f"{t, i, j}")


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_wgmma_as_recorded(a: str, b: str) -> None:
    """Float32 accumulators; every kind of operands."""
    for kind in KINDS:
        check_wgmma(a, b, kind, SAMPLE)


@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize("path", ["mma_f32", "mma_f16", "wgmma_f16"])
def test_mma_as_recorded(path: str, a: str, b: str) -> None:
    """`mma.sync`, and `wgmma` with float16 accumulators, special values included."""
    for kind in KINDS:
        check_mma(path, a, b, kind, SAMPLE)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_every_committed_output_of_an_instruction(a: str, b: str, kind: str) -> None:
    """About six thousand outputs each of four paths."""
    check_wgmma(a, b, kind, 1 << 30)
    for path in ("mma_f32", "mma_f16", "wgmma_f16"):
        check_mma(path, a, b, kind, 1 << 30)


@pytest.mark.parametrize("k", [128, 512])
@pytest.mark.parametrize("b", ["e4m3", "e5m2"])
def test_scaled_mm_as_recorded(b: str, k: int) -> None:
    """cuBLASLt: one chain, or promotion every 128; bfloat16 is one more rounding."""
    data = load(HOPPER / "scaled_mm.npz")
    for mode in ("fast", "slow"):
        case = {name: data[f"e4m3_{b}_{k}_{mode}_{name}"] for name in ("A", "B", "D32", "D")}
        for i, j in places(case["D"].shape, k, 6):
            pair = operands(case["A"][i], case["B"][j], E4M3FN, FORMATS[b])

            found = chain(hopper, 32, pair) if mode == "fast" else promoted(hopper, 32, 128, pair)

            assert_output(found, BINARY32, case["D32"][i, j], f"{mode} {i, j}")
            assert_output(convert(found, BFLOAT16), BINARY32, case["D"][i, j], f"bf16 {i, j}")


def scaled_cases() -> list[str]:
    return [
        key.removesuffix("_D") for key in load(HOPPER / "scaled_gemm.npz") if key.endswith("_D")
    ]


@pytest.mark.parametrize("case", scaled_cases())
def test_scaled_gemm_as_recorded(case: str) -> None:
    """Scales and bias in the order of cuBLASLt, one rounding to the output type."""
    data = load(HOPPER / "scaled_gemm.npz")
    scaling, a, k, mode, output = case.split("_")[:5]
    scales = {name: data[f"{case}_{name}"] for name in ("sa", "sb")}
    expected = data[f"{case}_D"]
    for i, j in places(expected.shape, int(k), 2):
        pair = operands(data[f"A_{a}_{k}"][i], data[f"B_{k}"][j], FORMATS[a], E4M3FN)
        if scaling.startswith("block"):
            square = scaling == "block128x128"
            found = scale_blocks(
                [chain(hopper, 32, block) for block in pair.blocks(128)],
                [exact(x) for x in scales["sa"][i]],
                [exact(x) for x in scales["sb"][:, j // 128 if square else j]],
                square=square,
            )
        else:
            found = chain(hopper, 32, pair) if mode == "fast" else promoted(hopper, 32, 128, pair)
            if scaling == "row":
                found = scale_row(found, exact(scales["sa"][i, 0]), exact(scales["sb"][0, j]))
            else:
                bias = exact(data[f"{case}_bias"][j]) if case.endswith("_bias") else None
                found = scale_tensor(found, exact(scales["sa"][()]), exact(scales["sb"][()]), bias)
        if output != "f32":
            found = convert(found, {"bf16": BFLOAT16, "f16": BINARY16}[output])

        assert_output(found, BINARY32, expected[i, j], f"{i, j}")


def from_zero(step: Step) -> Step:
    return lambda pair, _: step(pair, ZERO)


#: What made the published results: a unit, its accumulator, and whether c went in.
PUBLISHED = {
    ("H100", "d32"): (from_zero(hopper), BINARY32),
    ("H200", "d32"): (from_zero(hopper), BINARY32),
    ("Ada", "d32"): (ada, BINARY32),
    ("L40S", "d32"): (ada, BINARY32),
    ("B200", "d32"): (mma_sync, BINARY32),
    ("H100", "d16"): (mma_sync_f16, BINARY16),
    ("H200", "d16"): (mma_sync_f16, BINARY16),
    ("B200", "d16"): (mma_sync_f16, BINARY16),
    ("Ada", "d16"): (ada_f16, BINARY16),
}


@pytest.mark.parametrize("fmt", ["E4M3", "E5M2"])
@pytest.mark.parametrize(("gpu", "output"), PUBLISHED)
def test_other_units_as_published(gpu: str, output: str, fmt: str) -> None:
    """Vectors of Khattak and Mikaitis: H100, H200, Ada, L40S and B200."""
    folder = os.environ.get(VECTORS)
    if not folder:
        pytest.skip(f"set {VECTORS} to the folder of mma_vectors_400.npz")
    data = load(Path(folder) / "mma_vectors_400.npz")
    step, binary = PUBLISHED[gpu, output]
    case = {name: data[f"{gpu}_{fmt}_{name}"] for name in ("a", "b", "c", output)}
    for i in range(len(case[output])):
        pair = operands(case["a"][i], case["b"][i], *[FORMATS[fmt.lower()]] * 2)

        found = step(pair, convert(exact(case["c"][i]), binary))

        assert_output(found, binary, case[output][i], f"vector {i}")


# Facts typed by hand.


def one_product(a: int, b: int, fmt: Format = E4M3FN) -> Operands:
    return Operands([a], [b], fmt, fmt)


@pytest.mark.parametrize(
    ("c", "result"),
    [
        (1 + 2.0**-14, Fraction(1)),
        (-1 - 2.0**-14, Fraction(-1)),
        (3.14159274, Fraction(3.141357421875)),
        (1e-40, Fraction(69 * 1024, 2**149)),  # 71362 of the smallest, a subnormal itself
        (-0.0, Fraction(0)),
    ],
)
def test_hopper_cuts_an_accumulator_alone_to_13_bits(c: float, result: Fraction) -> None:
    """Measured on an H200: all products zero.  An exact zero is +0."""
    found = hopper(one_product(0, 0), exact(np.float32(c)))

    assert found == Datum.finite(result)


def test_products_are_aligned_by_their_operands() -> None:
    """1.5 * 1.5 = 2.25 is aligned by 0 and keeps 2**-13; normalised it would lose it."""
    pair = Operands([0x3C, 0x38], [0x3C, 0x00], E4M3FN, E4M3FN)

    found = hopper(pair, exact(np.float32(2.0**-13)))

    # 2.25 + 2**-13 has 15 bits, of which the result keeps 14: the sum is cut, not the term.
    assert found.value == Fraction(9, 4)
    assert aligned_sum(
        [product(0x3C, 0x3C, E4M3FN, E4M3FN), Summand(exact(2.0**-13), -13)], 13
    ) == Fraction(9, 4) + Fraction(1, 2**13)


def test_subnormal_operands_have_the_smallest_exponent() -> None:
    """2**-9 of E4M3FN is aligned by -6; widened to float16 it is a normal number."""
    assert product(0x01, 0x38, E4M3FN, E4M3FN).exponent == -6
    assert product(0x01, 0x38, E4M3FN, E4M3FN, -14).exponent == -9
    assert product(0x01, 0x3C, E5M2, E5M2).exponent == -14


def test_float16_units_align_by_float16_exponents() -> None:
    """2**-9 is normal there: c of 2**-18 + 2**-41 less 2**-18 keeps all of its bits."""
    pair = one_product(0x01, 0x81)  # 2**-9 * -2**-9 in E4M3FN

    found = float16_unit(pair, exact(np.float32(2.0**-18 + 2.0**-41)))

    assert found.value == Fraction(1, 2**41)


def test_zeros_take_no_part_in_the_alignment() -> None:
    zero = Summand(ZERO, 100)
    assert aligned_sum([zero, Summand(exact(1.0), 0)], 13) == 1
    assert aligned_sum([zero, zero], 13) == 0


@pytest.mark.parametrize(
    ("a", "b", "c", "kind"),
    [
        (0x7C, 0x00, 0.0, Kind.NAN),  # inf * 0
        (0x7C, 0x3C, -np.inf, Kind.NAN),
        (0x7C, 0x3C, 5.0, Kind.INFINITE),
        (0x7E, 0x3C, 5.0, Kind.NAN),
        (0x3C, 0x3C, np.nan, Kind.NAN),
        (0x3C, 0x3C, -np.inf, Kind.INFINITE),
    ],
)
def test_special_values(a: int, b: int, c: float, kind: Kind) -> None:
    """Of E5M2: as the exact sum, and every NaN is 0x7FFFFFFF."""
    for step in (hopper, ada, blackwell, mma_sync, cdna3):
        found = step(one_product(a, b, E5M2), exact(c))
        assert found.kind is kind
        if kind is Kind.NAN:
            assert write(found, BINARY32) == 0x7FFFFFFF


def test_ada_takes_16_products_at_a_time() -> None:
    """2**17 comes and goes: within a half c is aligned to it, and between halves cut."""
    large, minus, one, c = 0x78, 0xF8, 0x78, exact(np.float32(1.0))  # 256 * 256 = 2**16
    within = Operands([large, minus, large, minus], [one] * 4, E4M3FN, E4M3FN)
    across = Operands([large] * 2 + [0] * 14 + [minus] * 2, [one] * 18, E4M3FN, E4M3FN)

    # 2**(16 - 13) is 8: a c of 1 is lost wherever 2**16 is; one of 8 is lost above 2**17.
    assert ada(within, c).value == hopper(within, c).value == 0
    assert ada(within, exact(8.0)).value == hopper(within, exact(8.0)).value == 8
    assert hopper(across, exact(8.0)).value == 8
    assert ada(across, exact(8.0)).value == 0
    assert ada_f16(within, exact(8.0)).value == 8
    assert ada_f16(across, exact(8.0)).kind is Kind.INFINITE


def test_float16_overflow_of_mma_sync_is_infinite() -> None:
    """A first group of 448 * 448 does not come back from float16's range."""
    pair = Operands([0x7E, 0, 0xFE], [0x7E, 0, 0x7E], E4M3FN, E4M3FN)

    assert mma_sync(pair, ZERO).value == 0
    assert mma_sync_f16(pair, ZERO).kind is Kind.INFINITE


@pytest.mark.parametrize("bits", [23, 24, 25])
def test_a_generation_has_its_own_fraction_bits(bits: int) -> None:
    """c of 1 with a product of -1 and one of 2**-bits, or half of that, which is lost."""
    fmt = get_format("Binary8p1se")  # powers of two from 2**-63
    one, minus_one = 0x40, 0xC0
    for lower, kept in ((bits, Fraction(1, 2**bits)), (bits + 1, Fraction(0))):
        pair = Operands([minus_one, one - lower], [one, one], fmt, fmt)
        assert float16_unit(pair, exact(1.0), bits).value == kept


def test_block_scales_shift_the_products() -> None:
    """2**100 and 2**-90 leave 2**10; NaN scales give NaN; 2**254 overflows."""
    pair = one_product(0x38, 0x38)
    two = Datum.finite(Fraction(2))

    found = block_scaled(pair, ZERO, exact(2.0**100), exact(2.0**-90))

    assert found.value == 1024
    assert block_scaled(pair, two, exact(1.0), exact(1.0)).value == 3
    assert block_scaled(pair, ZERO, Datum.nan(), exact(1.0)).kind is Kind.NAN
    assert block_scaled(pair, ZERO, exact(2.0**127), exact(2.0**127)).kind is Kind.INFINITE


def test_nvfp4_scales_groups_of_16() -> None:
    """6 * 6 * 16 under 1.5 * 1, and 0.5 * 0.5 under a scale whose sign is not read."""
    codes = [0x7] * 16 + [0x1] + [0x0] * 15
    pair = Operands(codes, codes, E2M1FN, E2M1FN)

    found = nvfp4(pair, ZERO, [exact(1.5), exact(-1.0)], [exact(1.0), exact(1.0)])

    assert found.value == 36 * 16 * Fraction(3, 2) + Fraction(1, 4)
    assert nvfp4(pair, ZERO, [Datum.nan(), exact(1.0)], [exact(1.0)] * 2).kind is Kind.NAN


def test_cdna3_rounds_down_where_c_is_cut() -> None:
    """1 - 2**-25 below 1: floor gives 1 - 2**-24, and less than 2**-25 below is dropped."""
    one = one_product(0x40, 0x40, E4M3FNUZ)  # bias 8: 0x40 is 1
    assert cdna3(one, ZERO).value == 1

    assert cdna3(one, exact(np.float32(-(2.0**-25)))).value == 1 - Fraction(1, 2**24)
    assert cdna3(one, exact(np.float32(-(2.0**-26)))).value == 1
    assert cdna3(one, exact(np.float32(2.0**-25))).value == 1


# IEEE 754.


@pytest.mark.parametrize(
    ("binary", "dtype"),
    [(BINARY32, np.float32), (BINARY16, np.float16), (BFLOAT16, ml_dtypes.bfloat16)],
)
def test_ieee_operations_are_the_processors(binary: Binary, dtype: Any) -> None:
    """Add, multiply, convert, read and write, on random bit patterns and special ones."""
    rng = np.random.default_rng(5)
    unsigned = np.uint32 if binary.bits == 32 else np.uint16
    words = rng.integers(0, 1 << binary.bits, (2, 400)).astype(unsigned)
    words[:, :40] &= unsigned((1 << binary.bits) - 1 - ((1 << binary.bits - 2) - 1 & ~7))
    words[1, 40:80] = words[0, 40:80] ^ unsigned(1 << binary.bits - 1)  # y = -x
    words[1, 80:120] = words[1, 80:120] & unsigned(1 << binary.bits - 1)  # +-0
    x, y = words.view(dtype)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64), y.astype(np.float64)
        expected = {add: x + y, multiply: x * y}
        converted = wide[0].astype(np.float32)
        if binary == BFLOAT16:  # ml_dtypes rounds a float32 result: the same for p = 8 and 24
            expected = {add: (wide[0] + wide[1]).astype(np.float32).astype(dtype),
                        multiply: (wide[0] * wide[1]).astype(np.float32).astype(dtype)}  # fmt: skip
    data = [[read(int(w), binary) for w in row] for row in words]
    for operation, results in expected.items():
        for i, result in enumerate(results):
            found = operation(data[0][i], data[1][i], binary)
            if np.isnan(float(result)):
                assert found.kind is Kind.NAN
            else:
                wanted = int(result.view(unsigned))
                assert write(found, binary) == wanted, f"{operation.__name__} {x[i]!r} {y[i]!r}"
    for datum, word, value in zip(data[0], words[0], converted, strict=True):
        if datum.kind is not Kind.NAN:
            assert write(datum, binary) == word
            assert write(convert(datum, BINARY32), BINARY32) == bits_of(value)


def test_fma_rounds_once() -> None:
    """(1 + 2**-12)**2 - 1 keeps the 2**-24 that a rounded product has lost."""
    x, minus_one = exact(np.float32(1 + 2.0**-12)), exact(np.float32(-1))

    assert fma(x, x, minus_one, BINARY32).value == Fraction(1, 2**11) + Fraction(1, 2**24)
    assert add(multiply(x, x, BINARY32), minus_one, BINARY32).value == Fraction(1, 2**11)
    assert fma(ZERO, minus_one, ZERO, BINARY32) == ZERO


def test_orders_of_addition() -> None:
    """Of 2**24, 1, 1, -2**24 in float32, exactly 2; the loop loses both ones, the tree one."""
    pair = Operands([0x6C, 0x3C, 0x3C, 0x6C], [0x6C, 0x3C, 0x3C, 0xEC], E5M2, E5M2)

    assert exact_dot(pair, BINARY32).value == 2
    assert sequential(pair, BINARY32).value == 0
    assert pairwise(pair, BINARY32).value == 1
    three = Operands([0x3C] * 5, [0x3C] * 5, E5M2, E5M2)
    assert pairwise(three, BINARY32, exact(2.0)).value == 7
    assert sequential(three, BINARY16, rounded_products=True).value == 5
    assert pairwise(Operands([], [], E5M2, E5M2), BINARY32) == ZERO


def test_sequential_may_round_its_products() -> None:
    """1.125**2 has 7 bits; in bfloat16 from -1 that is one rounding or two."""
    square = one_product(0x1F, 0x1F)  # 1.875 * 2**-4, squared: 225 * 2**-14
    c = exact(np.float32(-225 * 2.0**-14))
    assert sequential(square, BFLOAT16, c).value == 0
    wide = Operands([0x7F - 1], [0x79], E4M3FN, E4M3FN)  # 448 * 288 = 129024, beyond float16
    assert sequential(wide, BINARY16, exact(-60000.0)).kind is Kind.INFINITE
    close = Operands([0x78], [0x78], E4M3FN, E4M3FN)  # 256 * 256 = 65536
    assert sequential(close, BINARY16, exact(-32.0)).value == 65504
    assert sequential(close, BINARY16, exact(-32.0), rounded_products=True).kind is Kind.INFINITE


def test_promotion_adds_partial_sums() -> None:
    """Each 128 products start from zero, so 2**14 does not swallow what follows."""
    a = [0x7E] * 128 + [0x38] * 128
    b = [0x58] * 128 + [0x08] * 128  # 448 * 16 * 128, then 2**-6 * 128 = 2
    pair = Operands(a, b, E4M3FN, E4M3FN)

    assert promoted(hopper, 32, 128, pair).value == 448 * 16 * 128 + 2
    assert chain(hopper, 32, pair).value == 448 * 16 * 128
    assert promoted(hopper, 32, 128, pair, exact(1.0)).value == 448 * 16 * 128 + 3


def test_the_reference_can_fail() -> None:
    """With 14 fraction bits, or with each product normalised, a recording is not met."""
    data = load(HOPPER / "wgmma.npz")
    case = {name: data[f"e4m3_e4m3_wide_1_{name}"] for name in "ABCD"}
    wrong = 0
    for t, i, j in places(case["D"].shape, 0, 40):
        pair = operands(case["A"][t, :, i], case["B"][t, :, j], E4M3FN, E4M3FN)
        start = read(bits_of(case["C"][t, i, j]), BINARY32)
        found = write(float16_unit(pair, start, 13), BINARY32)
        wrong += found != bits_of(case["D"][t, i, j])
    assert wrong
