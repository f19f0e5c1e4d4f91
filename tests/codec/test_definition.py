"""Every deterministic conversion is what the exact-rational definition says, code for code."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.formats import p3109_names
from fp8num.verify import reference

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDINGS = [mode for mode in fp.Rounding if not mode.value.startswith("Stochastic")]
SATURATIONS = list(fp.Saturation)
SMALL = [fmt for fmt in fp.FORMATS.values() if fmt.bits <= 8]
WIDE = [fmt for fmt in fp.FORMATS.values() if fmt.bits > 8]
P3109 = [name for bits in range(3, 9) for name in p3109_names(bits)]
MODES = list(product(ROUNDINGS, SATURATIONS))


def name_of(parameter: Any) -> str:
    """Label a test by the names of its format and modes."""
    return str(getattr(parameter, "name", parameter))


by_format = pytest.mark.parametrize("fmt", SMALL, ids=name_of)
by_rounding = pytest.mark.parametrize("rounding", ROUNDINGS, ids=name_of)


@pytest.fixture(scope="session")
def assert_defined(assert_codes: Callable[..., None]) -> Callable[..., None]:
    """Assert that an array is converted as the reference's breakpoints say."""

    def compare(x: Any, fmt: fp.Format, rounding: fp.Rounding, saturation: fp.Saturation) -> None:
        actual = fp.encode(x, fmt, rounding=rounding, saturation=saturation)

        expected = reference.expected_codes(x, fmt, rounding, saturation)
        assert_codes(actual, expected, x, f"{fmt.name} {rounding.value} {saturation.value}")

    return compare


# Formats of at most 8 bits: all of it.


def turns(fmt: fp.Format) -> list[tuple[fp.Rounding, fp.Saturation]]:
    """Return each rounding with a saturation, another one in the next format."""
    first = list(fp.FORMATS.values()).index(fmt)
    return [(mode, SATURATIONS[(first + i) % 3]) for i, mode in enumerate(ROUNDINGS)]


@by_format
def test_every_half_precision_input_gives_the_defined_code(
    fmt: Any, every_float16: Any, every_bfloat16: Any, assert_defined: Any
) -> None:
    """All 65,536 float16 and all 65,536 bfloat16 bit patterns, NaNs included."""
    for rounding, saturation in turns(fmt):
        assert_defined(every_float16, fmt, rounding, saturation)
        assert_defined(every_bfloat16, fmt, rounding, saturation)


@by_format
def test_every_boundary_gives_the_defined_code(
    fmt: Any, boundaries: Any, assert_defined: Any
) -> None:
    """Every value and midpoint, and the float32 and float64 on both sides of it."""
    for (rounding, saturation), dtype in product(turns(fmt), (np.float32, np.float64)):
        assert_defined(boundaries(fmt, dtype), fmt, rounding, saturation)


@by_format
def test_saturation_decides_beyond_the_range_and_nowhere_else(
    fmt: Any, boundaries: Any, assert_codes: Any
) -> None:
    """In range the codes are alike in all modes; beyond it they are the definition's."""
    least = fmt.min if fmt.has_zero else fmt.smallest_normal
    for dtype, rounding in product((np.float32, np.float64), ROUNDINGS):
        x = boundaries(fmt, dtype)
        within = (x >= least) & (x <= fmt.max)
        # Some of the numbers beyond, the first and the last, and what is no number.
        beyond = np.unique(x[~within & np.isfinite(x)])
        some = beyond[np.linspace(0, beyond.size - 1, min(8, beyond.size)).astype(int)]
        specials = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan], dtype)
        some, in_range = np.concatenate([some, specials]), None
        for saturation in SATURATIONS:
            label = f"{fmt.name} {rounding.value} {saturation.value}"
            codes = fp.encode(x[within], fmt, rounding=rounding, saturation=saturation)
            in_range = codes if in_range is None else in_range
            assert_codes(codes, in_range, x[within], label)
            codes = fp.encode(some, fmt, rounding=rounding, saturation=saturation)
            expected = [reference.project(v, fmt, rounding, saturation) for v in some]
            assert_codes(codes, np.array(expected, np.uint8), some, label)


@pytest.mark.exhaustive
@by_format
def test_every_mode_gives_the_defined_code(
    fmt: Any, every_float16: Any, every_bfloat16: Any, boundaries: Any, assert_defined: Any
) -> None:
    """As above, of every rounding with every saturation."""
    inputs = (every_float16, every_bfloat16, *map(boundaries, (fmt, fmt), (np.float32, float)))
    for x, mode in product(inputs, MODES):
        assert_defined(x, fmt, *mode)


@by_format
def test_every_sticky_bit_counts(fmt: Any, every_bfloat16: Any, assert_defined: Any) -> None:
    """What lies below a float32's upper half decides a tie, wherever it is."""
    upper = every_bfloat16.view(np.uint16).astype(np.uint32) << np.uint32(16)
    for (rounding, saturation), lower in product(turns(fmt), (1, 0x8000, 0xFFFF)):
        x = (upper | np.uint32(lower)).view(np.float32)
        assert_defined(x, fmt, rounding, saturation)


# 16-bit formats: what the default suite's time allows; the rest is exhaustive.


@by_rounding
@pytest.mark.parametrize("fmt", WIDE, ids=name_of)
def test_wide_formats_give_the_defined_code_at_sampled_boundaries(
    fmt: Any, rounding: Any, boundaries: Any, assert_codes: Any
) -> None:
    """Boundaries of 290 codes, those at both ends among them, in both types."""
    turn = ROUNDINGS.index(rounding)
    for dtype, saturation in (
        (np.float32, SATURATIONS[turn % 3]),
        (np.float64, SATURATIONS[(turn + 1) % 3]),
    ):
        x = boundaries(fmt, dtype)
        x = np.concatenate([x[::37], x[-30:]])

        actual = fp.encode(x, fmt, rounding=rounding, saturation=saturation)

        expected = [reference.project(value, fmt, rounding, saturation) for value in x]
        assert_codes(actual, np.array(expected, np.uint16), x, f"{fmt.name} {rounding.value}")


def test_binary16_keeps_every_float16(every_float16: Any) -> None:
    """The format of the input: every number is its own code, in every mode."""
    codes = every_float16.view(np.uint16)
    number = ~np.isnan(every_float16)
    for rounding, saturation in MODES:
        kept = number
        if saturation is fp.Saturation.SAT_FINITE:
            kept = np.isfinite(every_float16)

        actual = fp.encode(every_float16, fp.BINARY16, rounding=rounding, saturation=saturation)

        np.testing.assert_array_equal(actual[kept], codes[kept])
        np.testing.assert_array_equal(actual[~number] & 0x7FFF, 0x7E00)


def test_bfloat16_keeps_every_bfloat16(every_bfloat16: Any) -> None:
    """As float16, and in float32 and float64 too."""
    codes = every_bfloat16.view(np.uint16)
    finite = codes & 0x7F80 != 0x7F80
    for rounding, dtype in product(ROUNDINGS, (None, np.float32, np.float64)):
        with np.errstate(invalid="ignore"):  # signalling NaNs are among them
            x = every_bfloat16 if dtype is None else every_bfloat16.astype(dtype)

        actual = fp.encode(x, fp.BFLOAT16, rounding=rounding)

        np.testing.assert_array_equal(actual[finite], codes[finite])


def test_binary16_from_float32_is_numpys(every_bfloat16: Any) -> None:
    """NumPy's own cast to float16 is correctly rounded: a peer for a million float32."""
    bits = np.random.default_rng(16).integers(0, 1 << 32, 1 << 20, dtype=np.uint32)
    upper = every_bfloat16.view(np.uint16).astype(np.uint32) << np.uint32(16)
    x = np.concatenate([bits, upper]).view(np.float32)
    x = x[~np.isnan(x)]
    with np.errstate(over="ignore", under="ignore"):
        expected = x.astype(np.float16)

    actual = fp.encode(x, fp.BINARY16, saturation="SatNone")

    np.testing.assert_array_equal(actual, expected.view(np.uint16))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("rounding", "saturation"), MODES, ids=name_of)
@pytest.mark.parametrize("fmt", WIDE, ids=name_of)
def test_wide_formats_give_the_defined_code_everywhere(
    fmt: Any,
    rounding: Any,
    saturation: Any,
    every_float16: Any,
    every_bfloat16: Any,
    assert_defined: Any,
) -> None:
    """All half-precision inputs, and every value, every midpoint and their neighbours."""
    assert_defined(every_float16, fmt, rounding, saturation)
    assert_defined(every_bfloat16, fmt, rounding, saturation)
    values = np.array(
        [
            float(datum.value)
            for datum in (reference.decode(code, fmt) for code in range(1 << fmt.bits))
            if datum.is_finite
        ]
    )
    values = np.unique(values)
    points = np.concatenate([values, values[:-1] / 2 + values[1:] / 2])
    for dtype in (np.float32, np.float64):
        x = points.astype(dtype)
        for side in (x, np.nextafter(x, dtype(np.inf)), np.nextafter(x, dtype(-np.inf))):
            assert_defined(side, fmt, rounding, saturation)


# IEEE P3109's families.


@pytest.mark.parametrize("bits", range(3, 9))
def test_every_small_p3109_format_gives_the_defined_code(
    bits: int, boundaries: Any, every_float16: Any, assert_defined: Any
) -> None:
    """All 120 formats of 3 to 8 bits: one of all modes each, and to nearest up to 5 bits."""
    nearest = (fp.Rounding.NEAREST_TIES_TO_EVEN, fp.Saturation.SAT_NONE)
    for name in p3109_names(bits):
        fmt, turn = fp.get_format(name), P3109.index(name)
        chosen = MODES[turn * 5 % len(MODES)]
        for mode in {chosen, nearest} if bits <= 5 else {chosen}:
            assert_defined(boundaries(fmt, (np.float32, np.float64)[turn % 2]), fmt, *mode)
            if bits >= 7:
                assert_defined(every_float16, fmt, *mode)


@pytest.mark.parametrize(
    "name",
    [
        f"binary{bits}p{precision}{kind}"
        for bits, precision, kinds in (
            (9, 4, ("se", "sf", "ue", "uf")),
            (10, 1, ("se", "sf", "ue", "uf")),
            (11, 2, ("se", "sf", "ue", "uf")),
            (12, 12, ("ue", "uf")),
            (13, 6, ("sf", "ue")),
            (14, 7, ("se",)),
        )
        for kind in kinds
    ]
    + [pytest.param("binary16p9uf", marks=pytest.mark.exhaustive)],
)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_wider_p3109_formats_give_the_defined_code(
    name: str, boundaries: Any, assert_codes: Any, *, every: bool
) -> None:
    """Above 8 bits: fifty inputs at boundaries for each mode, and the type's ends."""
    fmt = fp.get_format(name)
    x = boundaries(fmt, np.float64)
    rng = np.random.default_rng(fmt.bits)
    # Tables of wide formats take long: one saturation for each rounding, another in the next.
    first = fmt.bits + 2 * name.endswith("f") + name.endswith("ue")
    pairs = [(mode, SATURATIONS[(first + i) % 3]) for i, mode in enumerate(ROUNDINGS)]
    for rounding, saturation in MODES if every else pairs:
        some = x if every else np.concatenate([rng.choice(x, 50), x[-24:]])

        actual = fp.encode(some, fmt, rounding=rounding, saturation=saturation)

        expected = [reference.project(value, fmt, rounding, saturation) for value in some]
        assert_codes(actual, np.array(expected, np.uint16), some, f"{name} {rounding.value}")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", P3109)
def test_every_small_p3109_format_in_every_mode(
    name: str, boundaries: Any, every_float16: Any, every_bfloat16: Any, assert_defined: Any
) -> None:
    """120 formats, 6 roundings, 3 saturations, all inputs of the tests above."""
    fmt = fp.get_format(name)
    for rounding, saturation in MODES:
        for x in (
            boundaries(fmt, np.float32),
            boundaries(fmt, np.float64),
            every_float16,
            every_bfloat16,
        ):
            assert_defined(x, fmt, rounding, saturation)


@pytest.mark.exhaustive
@by_format
def test_the_reference_value_by_value(
    fmt: Any, every_float16: Any, every_bfloat16: Any, assert_codes: Any
) -> None:
    """The definition itself, without breakpoints, at every half-precision input."""
    for x, (rounding, saturation) in product((every_float16, every_bfloat16), MODES):
        expected = [reference.project(value, fmt, rounding, saturation) for value in x]

        actual = fp.encode(x, fmt, rounding=rounding, saturation=saturation)

        assert_codes(actual, np.array(expected, np.uint8), x, f"{fmt.name} {rounding.value}")


# What the comparison is worth.


def test_a_wrong_code_is_noticed(assert_codes: Any, every_float16: Any) -> None:
    """One code in 65,536, a type or a shape that differs fails the comparison."""
    right = fp.encode(every_float16, fp.E5M2)
    wrong = right.copy()
    wrong[0x3C01] ^= 1
    with pytest.raises(AssertionError, match=r"1 of 65536 codes differ\n  x = 0x1.004"):
        assert_codes(wrong, right, every_float16)
    with pytest.raises(AssertionError, match="types"):
        assert_codes(right.astype(np.uint16), right, every_float16)
    with pytest.raises(AssertionError, match="shapes"):
        assert_codes(right[:-1], right, every_float16)


def test_boundaries_hold_what_they_promise(boundaries: Any) -> None:
    """The midpoint 1.0625 of E4M3FN and its neighbours, 464, and every kind of NaN."""
    for dtype in (np.float32, np.float64):
        found = set(boundaries(fp.E4M3FN, dtype).tolist())
        for point in (1.0625, 464.0, 480.0, 2.0**-10):
            middle = dtype(point)
            for wanted in (
                middle,
                np.nextafter(middle, dtype(0)),
                np.nextafter(middle, dtype(9e9)),
            ):
                assert {float(wanted), -float(wanted)} <= found
        assert np.isnan(boundaries(fp.E4M3FN, dtype)).sum() >= 8
