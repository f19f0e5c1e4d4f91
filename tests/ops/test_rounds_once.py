"""Every result is rounded once, where a detour through a float would round it twice."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import ops
from fp8num.verify import reference
from fp8num.verify.reference.operations import operate

ROUNDINGS = [mode for mode in fp.Rounding if not mode.is_stochastic]
MODES = list(product(ROUNDINGS, fp.Saturation))
NONE = fp.Saturation.SAT_NONE
BF16, E8M0, E5M2 = fp.BFLOAT16, fp.E8M0FNU, fp.E5M2


def code_of(value: float, fmt: fp.Format) -> Any:
    """Return the code of a value that the format holds."""
    (code,) = np.flatnonzero(fmt.values == value)[:1]
    return fmt.code_dtype.type(code)


@pytest.mark.parametrize(
    ("a", "b", "c", "fmt", "c_format", "expected"),
    [
        # 1.5 * 0.75 = 1.125 is halfway between 1 and 1.25: the least scale takes it up.
        (1.5, 0.75, 2.0**-127, E5M2, E8M0, 1.25),
        # 285/256 is halfway between 284/256 and 286/256, whose code is odd.
        (15 / 16, 19 / 16, -(2.0**-133), BF16, BF16, 284 / 256),
        (15 / 16, 19 / 16, 2.0**-133, BF16, BF16, 286 / 256),
        (-15 / 16, 19 / 16, -(2.0**-133), BF16, BF16, -286 / 256),
        (15 * 2.0**60, 19 * 2.0**59, -(2.0**-133), BF16, BF16, 284 * 2.0**119),
    ],
)
def test_a_tie_is_decided_by_what_float64_cannot_hold(
    a: float, b: float, c: float, fmt: Any, c_format: Any, expected: float
) -> None:
    """fma: the addend is below the last bit of the product in float64, and decides."""
    assert a * b + c == a * b  # in float64 it is lost

    actual = ops.fma(code_of(a, fmt), code_of(b, fmt), code_of(c, c_format), fmt, c_format=c_format)

    assert fmt.values[int(actual)] == expected


def test_a_detour_through_float64_would_be_wrong() -> None:
    """Of two opposite addends it takes one to the wrong side."""
    a, b = code_of(15 / 16, BF16), code_of(19 / 16, BF16)
    tiny = np.array([code_of(s * 2.0**-133, BF16) for s in (1, -1)], np.uint16)
    product_ = np.float64(285 / 256)

    detour = fp.encode(product_ + BF16.values[tiny], BF16)

    assert detour[0] == detour[1]
    assert (ops.fma(a, b, tiny, BF16) != detour).sum() == 1


def test_sums_of_far_apart_numbers_round_once() -> None:
    """A 53-bit sum loses an addend that directed rounding and ToOdd must see."""
    big, small = code_of(1.0, BF16), code_of(2.0**-133, BF16)
    above, below = code_of(1 + 2.0**-7, BF16), code_of(1 - 2.0**-8, BF16)
    minus = code_of(-(2.0**-133), BF16)
    assert ops.add(big, small, BF16, rounding="ru") == above
    assert ops.add(big, small, BF16, rounding="ro") == above
    assert ops.add(big, small, BF16, rounding="rne") == big
    assert ops.add(big, minus, BF16, rounding="rd") == below
    assert ops.add(big, minus, BF16, rounding="rz") == below
    assert ops.subtract(big, minus, BF16, rounding="ru") == above
    huge, least = code_of(2.0**127, E8M0), code_of(2.0**-127, E8M0)
    assert ops.add(huge, least, E8M0, out_format=BF16, rounding="ru") == code_of(
        2.0**127 * (1 + 2.0**-7), BF16
    )


def test_three_terms_cancel_exactly() -> None:
    """What remains of 2**127 + 2**-133 - 2**127 is 2**-133, in every order."""
    terms = [code_of(x, BF16) for x in (2.0**127, 2.0**-133, -(2.0**127))]
    for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)):
        assert ops.faa(terms[i], terms[j], terms[k], BF16) == terms[1]


def test_two_terms_cancel_below_the_third() -> None:
    """1 + y - y is 1 however small y is, and 1 + y - y / 2 is above it."""
    exponents = np.arange(-125, 0)
    y, minus, half = (
        fp.encode(np.ldexp(scale, exponents), BF16) for scale in (1 + 2.0**-7, -1 - 2.0**-7, -0.5)
    )
    one, above = code_of(1.0, BF16), code_of(1 + 2.0**-7, BF16)

    assert (ops.faa(one, y, minus, BF16, rounding="ru") == one).all()
    assert (ops.faa(y, one, half, BF16, rounding="ru")[:100] == above).all()
    assert (ops.faa(half, y, one, BF16, rounding="rz")[:100] == one).all()


#: Formats of operands and of the result.
MIXED = [
    ("BFLOAT16", "BFLOAT16", "BFLOAT16", "BFLOAT16"),
    ("BFLOAT16", "E8M0FNU", "E5M2", "E5M2"),
    ("Binary13p2se", "Binary13p2se", "Binary13p2se", "Binary13p2se"),  # all of float64's range
    ("Binary16p1ue", "Binary16p1ue", "Binary16p2se", "BFLOAT16"),  # operands beyond float64
]
MORE = [
    ("Binary16p5se", "Binary16p5se", "Binary16p5se", "Binary16p5se"),
    ("BINARY16", "BINARY16", "BINARY16", "BINARY16"),
    ("E8M0FNU", "UE5M3", "E8M0FNU", "BFLOAT16"),
    ("Binary12p2sf", "BFLOAT16", "Binary16p16uf", "Binary16p5sf"),
    ("Binary16p16uf", "POSIT8", "HIFLOAT8", "Binary16p16uf"),
]


def operands_of(formats: list[fp.Format], count: int, seed: int) -> list[Any]:
    """Draw codes: anything, near each other, and opposite; the ends of the range, too."""
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, 1 << fmt.bits, count).astype(fmt.code_dtype) for fmt in formats]
    ends = [
        np.array([0, 1, 2, fmt.magnitudes.codes[-1], (1 << fmt.bits) - 1, fmt.sign_bit | 1])
        for fmt in formats
    ]
    for i, fmt in enumerate(formats):
        drawn[i][: count // 4] = rng.choice(ends[i], count // 4)
        if i and fmt == formats[0]:  # beside the first operand, and opposite
            near = slice(count // 4, count // 2)
            moved = drawn[0][near].astype(np.int64) + rng.integers(-3, 4, count // 2 - count // 4)
            drawn[i][near] = (moved % (1 << fmt.bits)) ^ fmt.sign_bit
    return drawn


@pytest.mark.parametrize("formats", MIXED, ids="-".join)
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "fma", "faa"])
def test_mixed_and_wide_formats_give_the_defined_codes(
    formats: Any, name: str, compute_each: Any, assert_codes: Any
) -> None:
    """Random operands, ends of the ranges and near cancellation; other ones for each mode."""
    check_mixed(name, formats, 6, compute_each, assert_codes)


@pytest.mark.exhaustive
@pytest.mark.parametrize("formats", [*MIXED, *MORE], ids="-".join)
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "fma", "faa"])
def test_many_mixed_and_wide_operands_give_the_defined_codes(
    formats: Any, name: str, compute_each: Any, assert_codes: Any
) -> None:
    """As above, 4,000 operands in every mode."""
    check_mixed(name, formats, 4000, compute_each, assert_codes)


def check_mixed(name: str, formats: Any, count: int, compute_each: Any, assert_codes: Any) -> None:
    arity = 3 if name in ("fma", "faa") else 2
    *each, to_format = (fp.get_format(fmt) for fmt in formats)
    names = dict(zip(("fmt", "b_format", "c_format"), each[:arity], strict=False))
    for seed, mode in enumerate(MODES):
        operands = operands_of(each[:arity], count, seed)

        actual = getattr(ops, name)(
            *operands, **names, out_format=to_format, rounding=mode[0], saturation=mode[1]
        )

        wanted = compute_each(name, operands, each[:arity], to_format, mode)
        assert_codes(actual, wanted, operands, f"{name} {formats} {mode}")


@pytest.mark.parametrize("name", ["sqrt", "rsqrt", "reciprocal"])
@pytest.mark.parametrize("fmt", ["BFLOAT16", "Binary13p2se"])
def test_roots_of_wide_formats_are_the_defined_codes(
    fmt: str, name: str, compute_each: Any, assert_codes: Any
) -> None:
    found = fp.get_format(fmt)
    for seed, mode in enumerate(MODES):
        operands = operands_of([found], 8, seed)

        actual = getattr(ops, name)(*operands, found, rounding=mode[0], saturation=mode[1])

        wanted = compute_each(name, operands, [found], found, mode)
        assert_codes(actual, wanted, operands, f"{name} {fmt} {mode}")


def test_what_is_beyond_float64_overflows_a_format_that_ends_there() -> None:
    """2**1024 and more, to odd: where overflow is NaN, the odd largest code must not stay."""
    for name, stays in (("w11m4b1024-fnuz", False), ("w11m4-ieee", True), ("Binary16p5sf", True)):
        fmt = fp.get_format(name)
        largest = int(fmt.magnitudes.codes[-1])
        assert largest % 2 == 1
        top = fmt.code_dtype.type(largest)

        actual = ops.multiply(top, top, fmt, rounding="ro", saturation="SatNone")

        assert actual == (largest if stays else fmt.nan_code())


# Stochastic rounding.


def project_randomly(datum: Any, fmt: fp.Format, rounding: Any, *, bits: int, width: int) -> int:
    return reference.project(datum, fmt, rounding, NONE, random_bits=bits, random_width=width)


@pytest.mark.parametrize("rounding", ["StochasticA", "StochasticB", "StochasticC"])
@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("add", ("E4M3FN", "E8M0FNU", "E4M3FN")),
        ("multiply", ("E5M2", "E5M2", "E5M2")),
        ("divide", ("Binary16p16uf", "Binary16p16uf", "Binary16p16uf")),
        ("fma", ("BFLOAT16", "BFLOAT16", "BFLOAT16", "BFLOAT16")),
        ("faa", ("BFLOAT16", "BFLOAT16", "BFLOAT16", "E5M2")),
        ("sqrt", ("Binary16p16uf", "Binary16p16uf")),
    ],
)
def test_random_bits_decide_as_defined(
    name: str, formats: Any, rounding: str, assert_codes: Any
) -> None:
    """With 4 bits and with 32, of which every one counts."""
    *each, to_format = (fp.get_format(fmt) for fmt in formats)
    names = dict(zip(("fmt", "b_format", "c_format"), each, strict=False))
    rng = np.random.default_rng(9)
    for width in (4, 32):
        operands = operands_of(each, 60, width)
        bits = rng.integers(0, 1 << width, 60, dtype=np.uint64)

        actual = getattr(ops, name)(
            *operands, **names, out_format=to_format, rounding=rounding, saturation="SatNone",
            random_bits=bits, random_width=width,
        )  # fmt: skip

        convention = ops.Convention.parse(None, (*each, to_format)).value
        wanted = [
            project_randomly(
                operate(
                    name,
                    [reference.decode(int(code), fmt) for code, fmt in zip(row, each, strict=True)],
                    convention=convention,
                ),
                to_format, rounding, bits=int(bit), width=width,
            )
            for *row, bit in zip(*operands, bits, strict=True)
        ]  # fmt: skip
        assert_codes(actual, np.array(wanted, to_format.code_dtype), operands, name)


def test_every_bit_of_32_counts_at_its_threshold() -> None:
    """2/3 lies a third of a unit above 21845 units: it goes up from a certain number on."""
    fmt = fp.get_format("Binary16p16uf")  # units of 2**-15 below 1
    one, divisor = code_of(1.0, fmt), code_of(1.5, fmt)
    first = (1 << 32) - ((1 << 32) // 3)  # floor(nu 2**32) + R >= 2**32

    down, up = (
        ops.divide(one, divisor, fmt, rounding="StochasticA", random_bits=bits, random_width=32)
        for bits in (first - 1, first)
    )

    assert (int(down), int(up)) == (21845, 21846)
