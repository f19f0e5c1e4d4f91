"""`matmul` against the definition of each accumulator, on inputs where it can go wrong."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis.extra.numpy as hnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fp8num.accumulate import dot, matmul
from fp8num.formats import E4M3FN, E4M3FNUZ, E4M3IEEE, E5M2, E5M2FNUZ, get_format
from fp8num.verify.reference import Datum, exact
from fp8num.verify.reference.accumulators import (
    Operands,
    ada,
    ada_f16,
    blackwell,
    cdna3,
    chain,
    exact_dot,
    float16_unit,
    hopper,
    hopper_f16,
    mma_sync,
    mma_sync_f16,
    pairwise,
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
    convert,
    nearest,
    read,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fp8num import Format

    Array = npt.NDArray[Any]
    #: Operands and the accumulator that they start from -> the result.
    Definition = Callable[[Operands, Datum], Datum]

HOPPERS = (E4M3FN, E5M2)
BLACKWELLS = (*HOPPERS, get_format("E3M2FN"), get_format("E2M3FN"), get_format("E2M1FN"))
FNUZ = (E4M3FNUZ, E5M2FNUZ)
ANY = (E4M3FN, E5M2, E4M3IEEE, E4M3FNUZ, get_format("Binary8p4se"), get_format("E2M1FN"))
DTYPES: dict[Binary, Any] = {
    BINARY32: np.float32,
    BINARY16: np.float16,
    BFLOAT16: ml_dtypes.bfloat16,
}


class Unit(NamedTuple):
    """A definition, the formats it takes, and the type of its accumulator."""

    definition: Definition
    formats: tuple[Format, ...] = HOPPERS
    binary: Binary = BINARY32
    #: Whether a NaN has the bits of the definition, and not the processor's.
    nan_bits: bool = True


def in_ieee(binary: Binary) -> Definition:
    """Return the loop over k whose products and sums are rounded."""
    return lambda pair, c: sequential(pair, binary, c, rounded_products=True)


UNITS = {
    "hopper": Unit(partial(chain, hopper, 32)),
    "hopper-promoted": Unit(partial(promoted, hopper, 32, 128)),
    "hopper-f16": Unit(partial(chain, hopper_f16, 32), binary=BINARY16),
    "hopper-mma-sync": Unit(partial(chain, mma_sync, 32)),
    "hopper-mma-sync-f16": Unit(partial(chain, mma_sync_f16, 32), binary=BINARY16),
    "ada": Unit(partial(chain, ada, 32)),
    "ada-f16": Unit(partial(chain, ada_f16, 32), binary=BINARY16),
    "blackwell-mma-sync": Unit(partial(chain, mma_sync, 32)),
    "blackwell-mma-sync-f16": Unit(partial(chain, mma_sync_f16, 32), binary=BINARY16),
    **{
        f"{generation}-hmma{suffix}": Unit(
            partial(chain, partial(float16_unit, fraction_bits=bits, binary=binary), products),
            binary=binary,
        )
        for generation, bits, products in (("volta", 23, 4), ("ampere", 24, 8), ("hopper", 25, 16))
        for suffix, binary in (("", BINARY32), ("-f16", BINARY16))
    },
    "blackwell": Unit(partial(chain, blackwell, 32), BLACKWELLS),
    "amd-cdna3": Unit(partial(chain, cdna3, 16), FNUZ, nan_bits=False),
    "float32": Unit(lambda pair, c: sequential(pair, BINARY32, c), ANY, nan_bits=False),
    "float32-pairwise": Unit(lambda pair, c: pairwise(pair, BINARY32, c), ANY, nan_bits=False),
    "float32-fma": Unit(lambda pair, c: sequential(pair, BINARY32, c), ANY, nan_bits=False),
    "float16": Unit(in_ieee(BINARY16), ANY, binary=BINARY16, nan_bits=False),
    "bfloat16": Unit(in_ieee(BFLOAT16), ANY, binary=BFLOAT16, nan_bits=False),
    "exact": Unit(lambda pair, c: exact_dot(pair, BINARY32, c), ANY, nan_bits=False),
}
#: An example is some outputs, and the reference takes a millisecond for each.
few = settings(max_examples=settings.default.max_examples // 9)
by_unit = pytest.mark.parametrize("name", UNITS)


def words(array: Array) -> Array:
    """Return the bit patterns of a float array."""
    return np.asarray(array, order="C").view({2: np.uint16, 4: np.uint32}[array.dtype.itemsize])


def columns(a: Array, b: Array, formats: tuple[Format, Format]) -> dict[tuple[int, int], Operands]:
    """Return the operands of each output of ``a @ b``."""
    return {
        (i, j): Operands(a[i].tolist(), b[:, j].tolist(), *formats)
        for i in range(a.shape[0])
        for j in range(b.shape[1])
    }


def assert_is(found: Any, expected: Datum, binary: Binary, *, nan_bits: bool = True) -> None:
    """Raise unless an output has the bits of the definition; of a NaN, if it says so."""
    if not nan_bits and expected.kind.name == "NAN":
        assert np.isnan(float(found)), f"{found!r}, not NaN"
        return
    if binary == BINARY16 and expected.is_zero:
        # A sum that is not zero and rounds to it: no recording says which sign it has.
        assert found == 0, f"{found!r}, by definition 0"
        return
    got, wanted = int(words(np.asarray(found))), write(expected, binary)
    assert got == wanted, f"{got:#x} ({found!r}), by definition {wanted:#x}"


# Inputs.


@st.composite
def code_arrays(draw: st.DrawFn, fmt: Format, shape: tuple[int, int]) -> Array:
    """Uniform codes, or few that differ from a common one: zeros, subnormals, the largest."""
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        low, high = draw(st.sampled_from([(0, 1 << fmt.bits), (0, 9), (0, 1 << fmt.bits - 1)]))
        return rng.integers(low, high, shape).astype(np.uint8)
    any_code = st.integers(0, (1 << fmt.bits) - 1)
    finite = [c for c in range(1 << fmt.bits) if np.isfinite(fmt.values[c])]
    common = st.sampled_from([0, 1, *finite[:: max(1, len(finite) // 8)], finite[-1]])
    elements = st.sampled_from(finite) if draw(st.booleans()) else any_code
    return draw(hnp.arrays(np.uint8, shape, elements=elements, fill=common))


class Problem(NamedTuple):
    """The arguments of a product."""

    a: Array
    b: Array
    formats: tuple[Format, Format]
    c: Array | None


@st.composite
def problems(draw: st.DrawFn, formats: tuple[Format, ...], binary: Binary) -> Problem:
    """Two or three outputs; c absent, of any bits, or cancelling the sum nearly."""
    pair = draw(st.sampled_from(formats)), draw(st.sampled_from(formats))
    k = draw(st.sampled_from([1, 2, 15, 16, 17, 31, 32, 33, 64, 130]) | st.integers(1, 70))
    m, n = draw(st.sampled_from([(1, 2), (2, 1), (1, 3)]))
    a, b = draw(code_arrays(pair[0], (m, k))), draw(code_arrays(pair[1], (k, n)))
    kind = draw(st.sampled_from(["none", "bits", "near", "near"]))
    if kind == "none":
        return Problem(a, b, pair, None)
    unsigned: Any = np.uint16 if binary.bits == 16 else np.uint32
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    c: Array = rng.integers(0, 1 << binary.bits, (m, n)).astype(unsigned).view(DTYPES[binary])
    if kind == "near":
        with np.errstate(all="ignore"):
            total = pair[0].values[a] @ pair[1].values[b]
            error = 1 + rng.choice([0, 1, -1], (m, n)) * 2.0 ** -rng.integers(1, 30, (m, n))
            c = (-total * error).astype(np.float32).astype(DTYPES[binary])
    return Problem(a, b, pair, c)


# The definition.


@by_unit
@few
@given(data=st.data())
def test_every_output_is_the_definitions(name: str, data: st.DataObject) -> None:
    """Of any length, from any accumulator, special values included."""
    unit = UNITS[name]
    problem = data.draw(problems(unit.formats, unit.binary), label="problem")

    found = matmul(
        problem.a, problem.b, *problem.formats,
        accumulator=name, c=problem.c, out_dtype=DTYPES[unit.binary],
    )  # fmt: skip

    for place, pair in columns(problem.a, problem.b, problem.formats).items():
        c = ZERO if problem.c is None else read(int(words(problem.c)[place]), unit.binary)
        expected = unit.definition(pair, c)
        # The sign of a zero that an IEEE sum of zeros gives is not part of the exact result.
        if name == "exact" and expected.is_zero:
            assert found[place] == 0
        else:
            assert_is(found[place], expected, unit.binary, nan_bits=unit.nan_bits)


@pytest.mark.parametrize("name", ["hopper", "blackwell", "float32"])
@pytest.mark.parametrize("binary", [BINARY16, BFLOAT16])
@few
@given(data=st.data())
def test_the_output_type_is_one_more_rounding(
    name: str, binary: Binary, data: st.DataObject
) -> None:
    """Of a float32 accumulator, to nearest even; float16 overflows to infinity."""
    problem = data.draw(problems(HOPPERS, BINARY32), label="problem")

    found = matmul(
        problem.a, problem.b, *problem.formats,
        accumulator=name, c=problem.c, out_dtype=DTYPES[binary],
    )  # fmt: skip

    for place, pair in columns(problem.a, problem.b, problem.formats).items():
        c = ZERO if problem.c is None else read(int(words(problem.c)[place]), BINARY32)
        expected = convert(UNITS[name].definition(pair, c), binary)
        assert_is(found[place], expected, binary, nan_bits=UNITS[name].nan_bits)


@few
@given(problem=problems(ANY, BINARY32), binary=st.sampled_from(list(DTYPES)))
def test_exact_is_rounded_once_to_any_type(problem: Problem, binary: Binary) -> None:
    """Not first to float32: a float16 or bfloat16 result is the exact sum's."""
    found = matmul(problem.a, problem.b, *problem.formats, c=problem.c, out_dtype=DTYPES[binary])

    for place, pair in columns(problem.a, problem.b, problem.formats).items():
        c = ZERO if problem.c is None else read(int(words(problem.c)[place]), BINARY32)
        expected = exact_dot(pair, binary, c)
        if expected.is_zero:
            assert found[place] == 0
        else:
            assert_is(found[place], expected, binary, nan_bits=False)


def test_a_float16_register_that_has_overflowed_stays_infinite(each: Any) -> None:
    """2**15 twice is 2**16, which is beyond it; -57344 in a later step does not bring it back."""
    a, b = np.zeros((2, 64), np.uint8)
    one, large, largest = (np.flatnonzero(E5M2.values == x)[0] for x in (1, 2.0**15, -57344))
    a[:2], a[32], b[[0, 1, 32]] = large, largest, one
    names = [
        name for name, unit in UNITS.items() if unit.binary == BINARY16 and E5M2 in unit.formats
    ]

    def compare(name: str) -> None:
        if name == "float16":  # rounds each product and sum
            return
        found = dot(a, b, E5M2, E5M2, accumulator=name, out_dtype=np.float16)

        expected = UNITS[name].definition(Operands(a.tolist(), b.tolist(), E5M2, E5M2), ZERO)
        assert not expected.is_finite
        assert_is(found, expected, BINARY16)

    assert len(names) > 5
    each(names, compare)


def test_infinities_of_both_signs_are_nan(each: Any) -> None:
    """In one step, and in two; of one sign alone they are an infinity."""
    one = int(np.flatnonzero(E5M2.values == 1)[0])

    def check(name: str) -> None:
        options: dict[str, Any] = {"accumulator": name, "out_dtype": DTYPES[UNITS[name].binary]}
        for second in (1, 40):
            for sign, is_nan in ((0x80, True), (0, False)):
                a, b = np.zeros(64, np.uint8), np.full(64, one, np.uint8)
                a[0], a[second] = 0x7C, 0x7C | sign
                found = float(dot(a, b, E5M2, E5M2, **options))
                assert np.isnan(found) if is_nan else found == np.inf, (second, sign)

    each([name for name, unit in UNITS.items() if E5M2 in unit.formats], check)


def test_c_far_below_the_products_of_cdna3_is_floored_or_dropped() -> None:
    """A negative one takes a unit away down to the place below the last, and nothing beyond."""
    one = np.flatnonzero(E4M3FNUZ.values == 1).astype(np.uint8)
    pair = Operands(one.tolist(), one.tolist(), E4M3FNUZ, E4M3FNUZ)
    taken = 0
    for exponent, significand in product(range(15, 40), (1.0, 1.5, -1.0, -1.5)):
        c = np.array([[significand * 2.0**-exponent]], np.float32)

        found = matmul(
            one[None], one[:, None], E4M3FNUZ, E4M3FNUZ, accumulator="amd-cdna3", c=c
        )  # fmt: skip

        expected = UNITS["amd-cdna3"].definition(pair, exact(c[0, 0]))
        assert_is(found[0, 0], expected, BINARY32, nan_bits=False)
        taken += found[0, 0] != 1
    assert 10 < taken < 90


def test_exact_does_not_round_twice() -> None:
    """1 + 2**-11 + 2**-30 is above float16's midpoint, and float32 would make it the tie."""
    fmt = E5M2
    # 2**-11 = 2**-11 * 1, 2**-30 = 2**-15 * 2**-15 (subnormals 0.5 * 2**-14)
    a = np.array([[0x3C, 0x10, 0x02]], np.uint8)
    b = np.array([[0x3C], [0x3C], [0x02]], np.uint8)
    assert (fmt.values[a[0]] * fmt.values[b[:, 0]]).tolist() == [1.0, 2.0**-11, 2.0**-30]

    assert matmul(a, b, fmt, fmt, out_dtype=np.float16)[0, 0] == np.float16(1 + 2.0**-10)
    assert matmul(a, b, fmt, fmt, accumulator="float32", out_dtype=np.float16)[0, 0] == 1


def test_exact_sums_are_rounded_to_subnormals_of_float32() -> None:
    """In units of 2**-149, ties to the even one."""
    for halves, units in ((0.5, 0), (1, 0), (1.25, 1), (1.5, 1), (3, 2), (5, 2), (7, 4), (-3, -2)):
        code = np.flatnonzero(E5M2.values == halves).astype(np.uint8)
        one = np.flatnonzero(E5M2.values == 1).astype(np.uint8)

        found = matmul(
            code[None], one[:, None], E5M2, E5M2, scaling="tensor",
            a_scale=np.float32(2.0**-100), b_scale=np.float32(2.0**-50),
        )  # fmt: skip

        assert found[0, 0] == units * 2.0**-149, halves


def test_exact_sums_beyond_53_bits_that_cancel() -> None:
    """2,047 products of 2**24.6, one of 2**-25, and the 2,047 taken away again."""
    a, b = np.full(4095, 0x7E, np.uint8), np.full(4095, 0x7B, np.uint8)  # 448 and 57344
    b[2048:] |= 0x80
    a[2047] = b[2047] = 1  # 2**-9 and 2**-16

    found = dot(a, b, E4M3FN, E5M2, out_dtype=np.float64)

    assert found == 2.0**-25


# Scales and bias.


@st.composite
def scale_arrays(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    """Ordinary scales, powers of two, and now and then one that overflows or underflows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([1, 8, 60, 120]))
    scales = np.exp2(rng.uniform(-spread, spread, shape)).astype(np.float32)
    if draw(st.booleans()):
        scales = np.exp2(np.rint(np.log2(scales))).astype(np.float32)
    return scales


@pytest.mark.parametrize("name", ["hopper", "hopper-promoted"])
@pytest.mark.parametrize("scaling", ["tensor", "row", "1x128", "128x128"])
@few
@given(data=st.data())
def test_scales_enter_as_in_cublaslt(scaling: str, name: str, data: st.DataObject) -> None:
    """In float32, in this order, one rounding to the output; last blocks ragged."""
    if name == "hopper" and scaling in ("1x128", "128x128"):
        return  # refused: see the tests of bad input
    pair = data.draw(st.tuples(*[st.sampled_from(HOPPERS)] * 2), label="formats")
    k = data.draw(st.sampled_from([1, 127, 128, 129, 200, 256]), label="k")
    m, n = data.draw(st.sampled_from([(1, 2), (2, 1)]), label="shape")
    a, b = (data.draw(code_arrays(fmt, s)) for fmt, s in zip(pair, ((m, k), (k, n)), strict=True))
    blocks = -(-k // 128)
    shapes = {
        "tensor": ((), ()),
        "row": ((m, 1), (1, n)),
        "1x128": ((m, blocks), (blocks, n)),
        "128x128": ((m, blocks), (blocks, 1)),
    }[scaling]
    sa, sb = (data.draw(scale_arrays(shape), label="scales") for shape in shapes)
    bias = data.draw(st.none() | scale_arrays((n,))) if scaling == "tensor" else None
    binary = data.draw(st.sampled_from(list(DTYPES)))

    found = matmul(
        a, b, *pair, accumulator=name, scaling=scaling, a_scale=sa, b_scale=sb, bias=bias,
        out_dtype=DTYPES[binary],
    )  # fmt: skip

    for (i, j), column in columns(a, b, pair).items():
        if scaling in ("1x128", "128x128"):
            square = scaling == "128x128"
            expected = scale_blocks(
                [chain(hopper, 32, block) for block in column.blocks(128)],
                [exact(s) for s in sa[i]],
                [exact(s) for s in sb[:, 0 if square else j]],
                square=square,
            )
        else:
            acc = UNITS[name].definition(column, ZERO)
            if scaling == "row":
                expected = scale_row(acc, exact(sa[i, 0]), exact(sb[0, j]))
            else:
                added = None if bias is None else exact(bias[j])
                expected = scale_tensor(acc, exact(sa[()]), exact(sb[()]), added)
        assert_is(found[i, j], convert(expected, binary), binary)


@pytest.mark.parametrize("scaling", ["1x128", "128x128"])
def test_totals_of_blocks_are_rounded_once(scaling: str) -> None:
    """A sum that float64 makes a tie of float32: it lies 2**-29 above."""
    # (1 + e) (1 - e + e**2) = 1 + e**3 with e = 2**-12, times 128.
    e = 2.0**-12
    a, b = np.zeros((2, 1, 256), np.uint8)
    a[0, 0] = b[0, 0] = 0x7B  # 57344**2 = 49 * 2**26, whose neighbours are 256 apart
    a[0, 128] = b[0, 128] = 0x3C
    a[0, 129] = b[0, 129] = 0x24  # 2**-6: the second part is 1 + e
    sb = np.array([[1.0], [128 * (1 - e + e * e)]], np.float32)
    assert E5M2.values[[0x7B, 0x3C, 0x24]].tolist() == [57344.0, 1.0, 2.0**-6]

    found = matmul(
        a, b.T, E5M2, E5M2, accumulator="hopper-promoted",
        scaling=scaling, a_scale=np.ones((1, 2), np.float32), b_scale=sb,
    )  # fmt: skip

    assert found[0, 0] == 49 * 2.0**26 + 256


# Exact sums that are long, or whose terms cancel.


@pytest.mark.parametrize("first", HOPPERS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("second", HOPPERS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("kind", ["full range", "cancelling"])
def test_exact_of_a_hundred_thousand(first: Format, second: Format, kind: str) -> None:
    """K = 100,000 against integer arithmetic: all products are multiples of 2**-32."""
    rng = np.random.default_rng(11)
    k = 100_000
    finite = [[c for c in range(256) if np.isfinite(fmt.values[c])] for fmt in (first, second)]
    a, b = (rng.choice(codes, k).astype(np.uint8) for codes in finite)
    if kind == "cancelling":  # pairs of opposite sign apart from each other, and a tiny rest
        half = k // 2
        a[half:], b[half:] = a[:half] ^ 0x80, b[:half]
        a[-1], b[-1], a[half - 1], b[half - 1] = 1, 1, 0, 0
    scaled = [
        (fmt.values[codes] * 2.0**16).astype(np.int64).astype(object)
        for fmt, codes in ((first, a), (second, b))
    ]
    total = Fraction(int(scaled[0] @ scaled[1]), 1 << 32)

    found = matmul(a[None, :], b[:, None], first, second)

    assert total != 0
    assert_is(found[0, 0], nearest(total, BINARY32), BINARY32)
    assert dot(a, b, first, second) == found[0, 0]


# Facts typed by hand.


@pytest.mark.parametrize(
    ("c", "result"),
    [
        (1 + 2.0**-14, 1.0),
        (3.14159274, 3.141357421875),
        (1e-40, float(Fraction(69 * 1024, 2**149))),
        (-0.0, 0.0),
        (np.inf, np.inf),
    ],
)
def test_hopper_cuts_c_to_13_bits(assert_bits: Any, c: float, result: float) -> None:
    """Measured on an H200, all products zero."""
    zeros = np.zeros((1, 32), np.uint8)

    found = matmul(
        zeros, zeros.T, E4M3FN, E4M3FN, accumulator="hopper", c=np.full((1, 1), c, np.float32)
    )

    assert_bits(found, np.full((1, 1), result, np.float32))


def test_hopper_keeps_14_bits_of_a_long_sum() -> None:
    """Ones are lost beyond 2**14 in one chain, and summed by promotion."""
    ones = np.full((1, 1 << 16), 0x38, np.uint8)

    for accumulator, total in (("hopper", 1 << 14), ("hopper-promoted", 1 << 16)):
        assert matmul(ones, ones.T, E4M3FN, E4M3FN, accumulator=accumulator) == total


# What does not change a result.


@pytest.mark.parametrize("name", ["exact", "hopper", "hopper-promoted", "float32", "amd-cdna3"])
def test_a_part_is_the_part_of_the_whole(assert_bits: Any, name: str) -> None:
    """Whatever the blocks: rows and columns apart, batched, transposed, strided, swapped."""
    rng = np.random.default_rng(3)
    formats = UNITS[name].formats[:2]
    a = rng.integers(0, 256, (3, 67, 200)).astype(np.uint8)
    b = rng.integers(0, 256, (3, 200, 45)).astype(np.uint8)
    c = rng.normal(size=(3, 67, 45)).astype(np.float32)
    go = partial(matmul, accumulator=name)

    whole = go(a, b, *formats, c=c)

    assert_bits(go(a[:, 5:9], b[:, :, 3:5], *formats, c=c[:, 5:9, 3:5]), whole[:, 5:9, 3:5])
    assert_bits(go(a[1], b[1], *formats, c=c[1]), whole[1])
    assert_bits(go(a, b.swapaxes(1, 2), *formats, c=c, transpose_b=True), whole)
    assert_bits(go(a.swapaxes(1, 2), b, *formats, c=c, transpose_a=True), whole)
    assert_bits(
        go(np.asfortranarray(a), b[:, :, ::-1], *formats, c=c[:, :, ::-1]), whole[:, :, ::-1]
    )
    assert_bits(go(a, b, *formats, c=c.astype(c.dtype.newbyteorder())), whole)
    a.flags.writeable = False
    assert_bits(go(a[:1], b, *formats, c=c), go(np.repeat(a[:1], 3, 0), b, *formats, c=c))


def test_empty_products(each: Any) -> None:
    """No rows, no columns: an empty result; no products: zeros."""
    empty = partial(np.zeros, dtype=np.uint8)

    def check(name: str) -> None:
        formats, dtype = UNITS[name].formats[:2], DTYPES[UNITS[name].binary]
        for m, k, n in ((0, 8, 3), (2, 8, 0), (2, 0, 3)):
            pair = empty((m, k)), empty((k, n))
            found = matmul(*pair, *formats, accumulator=name, out_dtype=dtype)
            assert found.shape == (m, n)
            assert found.dtype == dtype
            assert not found.any()

    each(UNITS, check)


def test_dot_is_an_element_of_matmul(each: Any) -> None:
    """Of vectors, a scalar of the same bits."""
    a, b = np.random.default_rng(9).integers(0, 0x70, (2, 96)).astype(np.uint8)

    def compare(name: str) -> None:
        unit = UNITS[name]
        options: dict[str, Any] = {"accumulator": name, "out_dtype": DTYPES[unit.binary]}
        formats = [fmt for fmt in unit.formats if fmt.bits == 8][:2]

        found = dot(a, b, *formats, **options)

        assert np.ndim(found) == 0
        product = matmul(a[None], b[:, None], *formats, **options)
        assert words(np.asarray(found)) == words(product)[0, 0]

    each(UNITS, compare)
