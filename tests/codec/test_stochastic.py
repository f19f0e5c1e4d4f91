"""
Stochastic rounding: the report's formulas, over all random bits.

The formulas are evaluated here on the fraction nu in exact rationals; the reference
only says which code a value of the format has.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.verify import reference

MODES = ("StochasticA", "StochasticB", "StochasticC")
#: A hole above zero, no zero, odd widths and biases, both P3109 domains, both signs.
NAMES = [
    *(name for name, fmt in fp.FORMATS.items() if fmt.bits <= 8),
    "binary8p3se",
    "binary8p1ue",
    "binary6p3sf",
    "binary8p8uf",
    "w4m3b7-fn-nosub",
    "uw5m2b15-ieee-nosub",
    "w1m3b0-none",
]
SATURATIONS = ("SatFinite", "SatPropagate", "SatNone")


def rounds_away(mode: str, nu: Fraction, bits: int, width: int) -> bool:
    """P3109 v4.0, RoundAway, with N = width and R = bits."""
    if mode == "StochasticA":
        return (nu * 2**width).__floor__() + bits >= 2**width
    if mode == "StochasticB":
        return (nu * 2 ** (width + 1)).__floor__() + 2 * bits + 1 >= 2 ** (width + 1)
    return round(nu * 2**width) + bits >= 2**width  # ties to even


def steps(fmt: fp.Format) -> list[Fraction]:
    """Return the magnitudes of a format and the one that would follow."""
    data = [reference.decode(code, fmt) for code in range(1 << fmt.bits)]
    found = sorted({datum.value for datum in data if datum.is_finite and datum.value >= 0})
    if fmt.name == "POSIT8":  # nothing follows
        return found
    if fmt.name == "HIFLOAT8":
        return [*found, Fraction(3 * 2**14)]
    binade = Fraction(2) ** (len(bin(int(found[-1] * 2**200))) - 3 - 200)
    return [*found, found[-1] + binade / 2**fmt.mantissa_bits]


def points(fmt: fp.Format) -> list[tuple[Fraction, Fraction, Fraction, Fraction]]:
    """Return (x, its neighbours, nu), in gaps at both ends and some between."""
    found = steps(fmt)
    gaps = list(itertools.pairwise(found))
    chosen = sorted({0, 1, 2, len(gaps) // 3, len(gaps) // 2, len(gaps) - 2, len(gaps) - 1})
    fractions = [Fraction(n, 256) for n in (0, 1, 2, 3, 5, 64, 97, 126, 127, 128, 129, 192, 253)]
    fractions += [Fraction(255, 256), Fraction(2**30 - 1, 2**30), Fraction(1, 2**30)]
    inside = [gaps[i] for i in chosen if 0 <= i < len(gaps)]
    return [(low + nu * (high - low), low, high, nu) for low, high in inside for nu in fractions]


def exact_float(x: Fraction) -> float:
    """Return a rational as the float64 that it is."""
    assert Fraction(float(x)) == x
    return float(x)


@pytest.mark.parametrize(
    "widths", [range(1, 6), pytest.param(range(6, 10), marks=pytest.mark.exhaustive)], ids=str
)
@pytest.mark.parametrize("name", NAMES)
def test_all_random_bits_follow_the_formula(name: str, widths: range, assert_codes: Any) -> None:
    """Every value of the random bits of some widths, in subnormals, holes and overflow."""
    fmt = fp.get_format(name)
    places = [(sign, *place) for place in points(fmt) for sign in (1, -1)]
    x = np.array([exact_float(place[1]) * place[0] for place in places])

    @cache
    def code(value: Fraction, sign: int, saturation: str) -> int:
        """Return the code of a value of the format, or what overflow there gives."""
        datum = reference.Datum.finite(value * sign, negative=sign < 0)
        return reference.project(datum, fmt, MODES[0], saturation, random_bits=0, random_width=1)

    for mode, width in product(MODES, widths):
        saturation = SATURATIONS[width % 3]
        random_bits = np.arange(1 << width)[:, np.newaxis]

        actual = fp.encode(
            np.broadcast_to(x, (1 << width, x.size)),
            fmt,
            rounding=mode,
            saturation=saturation,
            random_bits=random_bits,
            random_width=width,
        )

        down = [code(low, sign, saturation) for sign, _, low, _, _ in places]
        up = [code(high, sign, saturation) for sign, _, _, high, _ in places]
        away = [
            [rounds_away(mode, nu, bits, width) for *_, nu in places] for bits in range(1 << width)
        ]
        expected = np.where(away, up, down).astype(fmt.code_dtype)
        assert_codes(actual, expected, x, f"{name} {mode} {saturation} width {width}")


@pytest.mark.parametrize("name", [*NAMES, "BINARY16", "BFLOAT16"])
def test_sampled_random_bits_follow_the_reference(
    name: str, boundaries: Any, assert_codes: Any
) -> None:
    """Widths up to 32, bits at both ends and between, any input, infinities and NaNs too."""
    fmt = fp.get_format(name)
    rng = np.random.default_rng(NAMES.index(name) if name in NAMES else 99)
    kinds = ((1, np.float32), (7, np.float64), (16, np.float32), (32, np.float64))
    for mode, (width, dtype) in product(MODES, kinds):
        x = boundaries(fmt, dtype)
        x = np.concatenate([rng.choice(x, 40), x[-26:]])
        top = (1 << width) - 1
        random_bits = rng.integers(0, top, x.size, endpoint=True, dtype=np.uint32)
        random_bits[:4] = [0, top, top // 2, top // 2 + 1]
        saturation = str(rng.choice(SATURATIONS))
        options = {"rounding": mode, "saturation": saturation, "random_width": width}

        actual = fp.encode(x, fmt, random_bits=random_bits, **options)

        expected = [
            reference.project(value, fmt, random_bits=int(bits), **options)
            for value, bits in zip(x, random_bits, strict=True)
        ]
        assert_codes(actual, np.array(expected, fmt.code_dtype), x, f"{name} {mode} {width}")


@pytest.mark.parametrize(("mode", "away"), [("sra", 5), ("srb", 6), ("src", 6)])
def test_the_three_modes_differ_as_the_report_says(mode: str, away: int) -> None:
    """nu = 11/16 with three bits: 5.5 of 8 bits go up; A takes the floor, B and C go to 6."""
    x = 1 + Fraction(11, 16) / 8  # between 1 and 1.125 of E4M3FN

    codes = fp.encode(
        np.full(8, float(x)), "E4M3FN", rounding=mode, random_bits=np.arange(8), random_width=3
    )

    assert np.count_nonzero(codes == 0x39) == away
    assert codes.tolist() == [0x38] * (8 - away) + [0x39] * away


def test_mode_c_takes_ties_of_the_random_bits_to_even() -> None:
    """nu = 9/16 with three bits: 4.5 of 8; B takes 5, C the even 4."""
    x = np.full(8, 1 + 9 / 16 / 8)
    for mode, ups in (("sra", 4), ("srb", 5), ("src", 4)):
        codes = fp.encode(x, "E4M3FN", rounding=mode, random_bits=np.arange(8), random_width=3)
        assert np.count_nonzero(codes == 0x39) == ups


@pytest.mark.parametrize(("x", "code"), [(1.0, 0), (1 + 2.0**-52, 1), (1 - 2.0**-53, 0)])
def test_a_trace_far_below_the_random_bits_decides_a_tie(x: float, code: int) -> None:
    """nu = 2^-33 x with 32 bits: half of 1, which mode C takes to 0, or the least bit more."""
    x *= 2.0**-9 * 2.0**-33  # from 0 to E4M3FN's 2^-9
    options = {"rounding": "src", "random_bits": 2**32 - 1, "random_width": 32}

    assert reference.project(x, fp.E4M3FN, saturation="SatFinite", **options) == code
    assert fp.encode(x, "E4M3FN", **options) == code


def test_values_of_the_format_never_move() -> None:
    """nu = 0: every finite code comes back, whatever the bits."""
    for name in NAMES:
        fmt = fp.get_format(name)
        codes = np.arange(1 << fmt.bits, dtype=np.uint8)
        values = fp.decode(codes, fmt, dtype=np.float64)
        finite = np.isfinite(values)
        for mode in MODES:
            for bits in (0, 2**32 - 1):
                back = fp.encode(values, fmt, rounding=mode, random_bits=bits, random_width=32)
                np.testing.assert_array_equal(back[finite], codes[finite])


# Where the bits come from.


def drawn(seed: int, size: int) -> Any:
    """Draw the bits that a generator of that seed owes to that many elements."""
    return np.random.default_rng(seed).integers(0, 1 << 32, size, dtype=np.uint32)


@pytest.mark.parametrize("size", [0, 1, 17, 32767, 32768, 32769, 65535, 65537, 100_003])
def test_a_generator_gives_one_uint32_per_element(size: int) -> None:
    """In order, whatever the number of threads; and it is left where that leaves it."""
    x = np.random.default_rng(1).normal(size=size).astype(np.float32)
    for mode in MODES:
        expected = fp.encode(
            x, "E4M3FN", rounding=mode, random_bits=drawn(7, size), random_width=32
        )
        for threads in (1, 2, 3):
            rng, other = np.random.default_rng(7), np.random.default_rng(7)
            actual = fp.encode(x, "E4M3FN", rounding=mode, rng=rng, threads=threads)

            np.testing.assert_array_equal(actual, expected)
            other.integers(0, 1 << 32, size, dtype=np.uint32)
            assert rng.bit_generator.state == other.bit_generator.state


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x,
        lambda x: x.T,
        lambda x: x[::-1, ::2],
        np.asfortranarray,
        lambda x: x[:, ::-3],
        lambda x: np.broadcast_to(x[0], (3, *x[0].shape)),
        lambda x: x.reshape(11, 5, -1).transpose(2, 0, 1),
        lambda x: x.astype(x.dtype.newbyteorder()),
    ],
    ids=["plain", "transposed", "reversed", "fortran", "strided", "broadcast", "3d", "swapped"],
)
def test_random_numbers_are_dealt_in_c_order(view: Any) -> None:
    """The first element in C order gets the first number, however it lies in memory."""
    x = view(np.random.default_rng(2).normal(size=(220, 310)))
    for dtype in (np.float32, np.float64):
        typed = x.astype(dtype, order="K", copy=False) if x.dtype.isnative else x
        expected = fp.encode(
            np.array(typed, order="C").astype(typed.dtype.newbyteorder("=")),
            "E5M2",
            rounding="srb",
            random_bits=drawn(3, x.size).reshape(x.shape),
            random_width=32,
        )
        for threads in (1, 3):
            rng = np.random.default_rng(3)

            actual = fp.encode(typed, "E5M2", rounding="srb", rng=rng, threads=threads)

            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("width", [1, 3, 8, 31])
def test_a_generator_with_fewer_bits_gives_the_top_ones(width: int) -> None:
    x = np.random.default_rng(4).normal(size=5_000)
    expected = fp.encode(
        x,
        "E4M3FN",
        rounding="sra",
        random_bits=drawn(5, x.size) >> np.uint32(32 - width),
        random_width=width,
    )

    actual = fp.encode(
        x, "E4M3FN", rounding="sra", rng=np.random.default_rng(5), random_width=width
    )

    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_random_bits_are_integers_of_any_type(dtype: Any) -> None:
    x = np.random.default_rng(6).normal(size=(4, 32))
    bits = np.arange(128, dtype=dtype).reshape(4, 32)
    expected = fp.encode(x, "E4M3FN", rounding="src", random_bits=bits.tolist(), random_width=7)

    for given in (bits, bits.astype(bits.dtype.newbyteorder()), np.asfortranarray(bits)):
        actual = fp.encode(x, "E4M3FN", rounding="src", random_bits=given, random_width=7)
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("shape", [(), (1,), (65_537,), (3, 1), (1, 65_537), (3, 65_537)])
def test_random_bits_are_broadcast(shape: tuple[int, ...]) -> None:
    """One number for all, one per column, one per row: as if written out."""
    x = np.random.default_rng(8).normal(size=(3, 65_537)).astype(np.float32)
    bits = np.random.default_rng(9).integers(0, 1 << 10, shape)
    expected = fp.encode(
        x,
        "E4M3FN",
        rounding="srb",
        random_bits=np.array(np.broadcast_to(bits, x.shape)),
        random_width=10,
    )

    for threads in (1, 2):
        actual = fp.encode(
            x, "E4M3FN", rounding="srb", random_bits=bits, random_width=10, threads=threads
        )
        np.testing.assert_array_equal(actual, expected)


def test_quantize_convert_and_flags_use_the_same_bits() -> None:
    """The same generator gives the same codes in every function that rounds."""
    x = np.random.default_rng(10).normal(size=1_001)
    codes = fp.encode(x, "E5M2", rounding="sra", rng=np.random.default_rng(11))
    values = fp.decode(codes, "E5M2", dtype=np.float64)

    np.testing.assert_array_equal(
        fp.quantize(x, "E5M2", rounding="sra", rng=np.random.default_rng(11)), values
    )
    raised = fp.flags(x, "E5M2", rounding="sra", rng=np.random.default_rng(11))
    np.testing.assert_array_equal(raised.inexact, values != x)
    small = fp.encode(x, "E4M3B11FNUZ", saturation="SatFinite")
    np.testing.assert_array_equal(
        fp.convert(small, "E4M3B11FNUZ", "E5M2", rounding="sra", rng=np.random.default_rng(11)),
        fp.encode(
            fp.decode(small, "E4M3B11FNUZ", dtype=np.float64),
            "E5M2",
            rounding="sra",
            rng=np.random.default_rng(11),
        ),
    )


def test_the_global_random_state_is_not_touched() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - that this is not used is the claim
    fp.encode(np.ones(10), "E4M3FN", rounding="sra", rng=np.random.default_rng(0))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_wrong_formula_would_be_noticed() -> None:
    """nu = 3/4 with one bit: 1.5 of 2; A takes 1, B takes 2, and so do the codes."""
    x = np.full(2, 1 + 0.75 / 8)
    for mode, ups in (("StochasticA", 1), ("StochasticB", 2)):
        codes = fp.encode(x, "E4M3FN", rounding=mode, random_bits=[0, 1], random_width=1)
        assert [rounds_away(mode, Fraction(3, 4), bits, 1) for bits in (0, 1)].count(True) == ups
        assert codes.tolist().count(0x39) == ups
