"""Error metrics against their definitions, evaluated in exact rationals."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fp8num as fp
from fp8num.analysis import ErrorMetrics, overflow_threshold
from fp8num.scaled import Descale, ScaledArray

if TYPE_CHECKING:
    from collections.abc import Callable

ML_DTYPES = {
    "E4M3FN": ml_dtypes.float8_e4m3fn,
    "E5M2": ml_dtypes.float8_e5m2,
    "E3M4": ml_dtypes.float8_e3m4,
    "E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "E2M3FN": ml_dtypes.float6_e2m3fn,
    "E3M2FN": ml_dtypes.float6_e3m2fn,
    "E2M1FN": ml_dtypes.float4_e2m1fn,
    "BINARY16": np.float16,
    "BFLOAT16": ml_dtypes.bfloat16,
}

#: From the documents: the halfway point above the largest value, and whether it goes up.
THRESHOLDS = {
    "E4M3FN": (464.0, False),
    "E5M2": (61440.0, True),
    "E4M3IEEE": (248.0, True),
    "E3M4": (15.75, True),
    "E4M3FNUZ": (248.0, True),
    "E5M2FNUZ": (61440.0, True),
    "E4M3B11FNUZ": (31.0, True),
    "E8M0FNU": (1.5 * 2.0**127, False),
    "UE5M3": (118784.0, False),
    "E2M3FN": (7.75, True),
    "E3M2FN": (30.0, True),
    "E2M1FN": (7.0, True),
    "HIFLOAT8": (40960.0, True),
    "POSIT8": (math.inf, True),
    "BINARY16": (65520.0, True),
    "BFLOAT16": (2.0**128 - 2.0**119, True),
}

by_format = pytest.mark.parametrize("name", fp.FORMATS)
elements = st.floats(width=32) | st.floats(-1000, 1000, width=32) | st.floats(-1, 1, width=32)
wide_elements = st.floats() | st.floats(-1e-307, 1e-307) | st.floats(-1000, 1000)


def measure(x: npt.ArrayLike, fmt: fp.Format | str) -> ErrorMetrics:
    """Measure what encoding makes of elements, in their own type."""
    return ErrorMetrics.of(np.asarray(x), fp.encode(x, fmt), fmt)


def scaled(codes: npt.ArrayLike, fmt: fp.Format | str, scale: float, how: str) -> ScaledArray:
    """Return codes with one scale, which elements were multiplied by or divided."""
    array = np.asarray(codes)
    stored = np.asarray(scale, np.float32)
    return ScaledArray(array, fp.get_format(fmt), stored, tuple(max(n, 1) for n in array.shape),
                       descale=Descale(how))  # fmt: skip


def cast(x: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float64]:
    """Return what ml_dtypes makes of numbers, clipped to the range first."""
    largest = float(fp.FORMATS[name].max)
    with np.errstate(all="ignore"):
        clipped = np.clip(x, np.float32(-largest), np.float32(largest))
        return np.asarray(clipped.astype(ML_DTYPES[name]).astype(np.float64))


def sample(name: str, size: int, scale: float = 1.0) -> npt.NDArray[np.float32]:
    """Draw numbers that fill the range of a format once scaled, and pass it on both sides."""
    rng = np.random.default_rng(1)
    positive = fp.FORMATS[name].values
    positive = positive[(positive > 0) & (positive < np.inf)]
    lowest, highest = np.log2([positive.min() / 8 / scale, positive.max() * 4 / scale])
    exponents = rng.uniform(max(lowest, -148), min(highest, 127.9), size)
    found = np.ldexp(rng.choice([-1, 1], size), 1) * 2.0 ** (exponents - 1)
    found[0] = 3.4028234663852886e38 if name == "BFLOAT16" else found[0]
    return np.array(found, np.float32)


# Against a peer's cast and exact sums.


@pytest.mark.parametrize("name", ML_DTYPES)
@pytest.mark.parametrize("scale", [1.0, 149.33332824707031])
def test_metrics_follow_their_definitions(
    expect: Callable[..., Any], name: str, scale: float
) -> None:
    """Elements across the range of the format, quantised by ml_dtypes."""
    specials = np.array([0, -0.0, np.nan, np.inf, -np.inf], np.float32)
    x = np.append(sample(name, 300, scale), specials)
    with np.errstate(all="ignore"):
        product = x * np.float32(scale)
    q = cast(product, name) / scale
    q[~np.isfinite(x)] = np.nan
    codes = cast(product, name).astype(ML_DTYPES[name])
    fmt = fp.FORMATS[name]
    found = ErrorMetrics.of(x, scaled(codes.view(fmt.code_dtype), fmt, scale, "divide"))

    wanted = expect(x, q)
    assert (found.size, found.finite, found.nonzero, found.pairs) == (305, 302, 300, 302)
    nonzero = np.isfinite(x) & (x != 0)
    assert found.underflow == np.count_nonzero(nonzero & (q == 0))
    middle, inclusive = THRESHOLDS[name]
    past = np.abs(product) >= middle if inclusive else np.abs(product) > middle
    assert found.saturated == np.count_nonzero(past & np.isfinite(x))
    assert found.underflow > 0
    assert found.saturated > 0
    ee, xx = wanted.total("e", "e"), wanted.total("x", "x")
    assert found.sqnr_db == pytest.approx(10 * math.log10(float(xx / ee)), abs=1e-11)
    assert found.relative_rms_error == pytest.approx(math.sqrt(float(ee / xx)), rel=1e-12)
    assert found.cosine_distance == pytest.approx(wanted.cosine_distance, rel=1e-10, abs=1e-15)
    assert (found.max_abs_error, found.max_abs_index) == wanted.max_abs
    assert (found.max_rel_error, found.max_rel_index) == wanted.max_rel
    assert found.code_count == len(np.unique(codes.view(fmt.code_dtype)))
    assert found.codes_total == 2**fmt.bits


@pytest.mark.parametrize("name", ["E4M3FN", "E2M1FN", "BINARY16"])
def test_errors_of_each_binade(name: str) -> None:
    """Compared with a loop over the exponents."""
    x = sample(name, 500)
    found = measure(x, name).binades

    relative = np.abs(cast(x, name) - x) / np.abs(x.astype(np.float64))
    exponents = np.frexp(x)[1] - 1
    assert found.start == exponents.min()
    assert len(found.count) == exponents.max() - exponents.min() + 1
    for exponent, count, rms, maximum in zip(
        found.exponents, found.count, found.rms, found.maximum, strict=True
    ):
        some = relative[exponents == exponent]
        assert count == len(some)
        assert rms == pytest.approx(np.sqrt(np.mean(some**2)) if count else 0.0, rel=1e-13)
        assert maximum == np.max(some, initial=0.0)


# One test for each trap.


@pytest.mark.parametrize("codes", [[0x80, 0x80, 0x80, 0x00], [0x00, 0x80, 0x00, 0x80]])
def test_zero_results_of_either_sign_are_underflow_and_zero_elements_are_not(
    codes: list[int],
) -> None:
    """Code 0x80 is -0; elements that were zero have not underflowed."""
    found = ErrorMetrics.of([0.0, -0.0, -1e-9, 1e-9], codes, "E4M3FN")

    assert (found.underflow, found.nonzero, found.underflow_rate) == (2, 2, 1.0)


def test_nan_of_a_format_without_negative_zero_is_no_underflow() -> None:
    """0x80 is NaN in FNUZ formats."""
    found = ErrorMetrics.of([-1e-9, 1e-9], [0x80, 0x00], "E4M3FNUZ")

    assert (found.underflow, found.pairs) == (1, 1)


def test_rates_without_anything_to_be_a_share_of_are_nan() -> None:
    """Neither 0 nor an error."""
    zeros, specials = measure([0.0, -0.0], "E4M3FN"), measure([np.nan, np.inf], "E4M3FN")

    assert math.isnan(zeros.underflow_rate)
    assert zeros.saturation_rate == 0.0
    assert math.isnan(specials.underflow_rate)
    assert math.isnan(specials.saturation_rate)


@pytest.mark.parametrize("x", [[], [0.0], [np.nan, -np.inf]])
def test_ratios_without_signal_are_nan(x: list[float]) -> None:
    """There is nothing to compare the error with."""
    found = measure(x, "E4M3FN")

    assert math.isnan(found.sqnr_db)
    assert math.isnan(found.relative_rms_error)
    assert math.isnan(found.cosine_distance)
    assert math.isnan(found.max_rel_error)
    assert found.max_rel_index is None


def test_exact_results_have_no_noise() -> None:
    """The ratio of signal to noise is infinite, the angle zero."""
    found = measure([1.0, -448.0, 0.0], "E4M3FN")

    assert (found.sqnr_db, found.relative_rms_error, found.cosine_distance) == (math.inf, 0.0, 0.0)
    assert (found.max_abs_error, found.max_rel_error) == (0.0, 0.0)


def test_the_angle_to_nothing_is_nan() -> None:
    """When everything underflows the error is the signal."""
    found = measure([1e-9, -1e-9], "E4M3FN")

    assert math.isnan(found.cosine_distance)
    assert (found.sqnr_db, found.relative_rms_error) == (0.0, 1.0)
    assert (found.max_rel_error, found.max_rel_index) == (1.0, 0)


def test_specials_are_counted_and_not_compared() -> None:
    """NaN and infinities have codes, and no error."""
    found = measure([1.0, np.nan, np.inf, -np.inf, 3.0], "E4M3FN")

    assert (found.size, found.finite, found.pairs, found.saturated) == (5, 2, 2, 0)
    assert found.codes_used == sum(1 << code for code in (0x38, 0x44, 0x7F, 0x7E, 0xFE))
    assert found.max_abs_error == 0.0


def test_results_that_are_not_finite_are_not_compared() -> None:
    """Codes may come from a conversion that does not saturate."""
    codes = fp.encode([1e9, 1.1, -1e9, 0.0, 2e-6], "E5M2", saturation="SatNone")
    found = ErrorMetrics.of([1e9, 1.1, -1e9, 0.0, 2e-6], codes, "E5M2")

    assert (found.finite, found.pairs, found.saturated, found.underflow) == (5, 3, 2, 1)
    assert (found.max_abs_error, found.max_abs_index) == (1.1 - 1.0, 1)
    assert (found.max_rel_error, found.max_rel_index) == (1.0, 4)
    assert found.binades.count.sum() == 2


def test_a_zero_that_becomes_something_is_an_absolute_error_alone() -> None:
    """E8M0 has no zero; the error relative to zero does not exist."""
    found = measure([0.0, 1.25], "E8M0FNU")

    assert found.pairs == 2
    assert found.max_rel_index == 1
    assert measure([0.0], "E8M0FNU").max_abs_error == 2.0**-127


def test_of_equal_errors_the_first_is_named() -> None:
    """Whatever their binades and signs, and counted from the offset."""
    x = np.array([1.0, 6.125, -3.0625, 12.25, -6.125, 12.25], np.float32)
    found = ErrorMetrics.of(x, fp.encode(x, "E4M3FN"), "E4M3FN", offset=100)

    assert (found.max_abs_error, found.max_abs_index) == (0.25, 103)
    assert (found.max_rel_error, found.max_rel_index) == (0.125 / 6.125, 101)


def test_positions_are_in_c_order() -> None:
    """Whatever the strides."""
    x = np.array([[1.0, 2.0, 3.0], [4.0, 4.2, 6.0]]).T

    found = ErrorMetrics.of(x, fp.encode(x, "E4M3FN"), "E4M3FN")

    assert found.max_abs_index == 3
    assert x.reshape(-1)[3] == 4.2


@pytest.mark.parametrize("name", ["BINARY16", "BFLOAT16"])
def test_codes_of_16_bits(name: str) -> None:
    """Each number of the format keeps its code."""
    fmt = fp.FORMATS[name]
    codes = np.arange(1 << 16, dtype=np.uint16)
    found = ErrorMetrics.of(fmt.values, codes, fmt)

    assert (found.code_count, found.codes_total) == (65536, 65536)
    assert found.pairs == np.isfinite(fmt.values).sum()
    assert found.ee == 0
    assert found.max_abs_error == 0.0
    assert measure(np.array([1.0, 1.0, -1.0], np.float32), fmt).code_count == 2


# Saturation is what flags calls overflow.


@by_format
def test_the_overflow_threshold_is_the_documents(name: str) -> None:
    """Halfway to the value that would follow, ties to the even code."""
    middle, inclusive = THRESHOLDS[name]

    expected = middle if inclusive else math.nextafter(middle, math.inf)
    assert overflow_threshold(fp.FORMATS[name]) == expected


def test_saturation_begins_where_overflow_is_flagged(each: Any) -> None:
    """At the threshold, its neighbours, the largest value, and far from it."""

    def check(name: str, sign: int) -> None:
        fmt = fp.FORMATS[name]
        threshold = min(overflow_threshold(fmt), 1e300)
        near = [threshold, math.nextafter(threshold, 0), math.nextafter(threshold, math.inf)]
        for x in [*near, math.nextafter(near[1], 0), float(fmt.max), 0.0, 1.0, 1e308]:
            found = measure(np.float64(sign * x), fmt)

            assert found.saturated == fp.flags(np.float64(sign * x), fmt).overflow, x.hex()

    each(product(fp.FORMATS, [1, -1]), check)


def test_saturation_is_exact_in_units_of_the_scale(each: Any) -> None:
    """Neighbours of the threshold: the tie itself goes past the largest value, or does not."""

    def check(how: str, scale: float, dtype: type[np.floating[Any]], name: str) -> None:
        middle, inclusive = THRESHOLDS[name]
        unit = Fraction(float(np.float32(scale)))
        unit = 1 / unit if how == "divide" else unit
        x = dtype(float(middle * unit)) * np.ones(1, dtype)
        for _ in range(6):
            x = np.concatenate([np.nextafter(x, dtype(0)), x, np.nextafter(x, dtype(np.inf))])
        largest = np.full(x.shape, fp.encode(np.inf, name))

        found = ErrorMetrics.of(x, scaled(largest, name, scale, how))

        past = [Fraction(float(one)) / unit for one in x]
        assert found.saturated == sum(q > middle or (inclusive and q == middle) for q in past)
        assert 0 < found.saturated < len(x)

    each(
        product(
            ["divide", "multiply"],
            [1.0, 0.3, 7.0],
            [np.float16, np.float32, np.float64],
            ["E4M3FN", "E3M4"],
        ),
        check,
    )


# Accuracy.


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("direction", ["random", "parallel"])
def test_tiny_angles_are_accurate(expect: Callable[..., Any], size: float, direction: str) -> None:
    """The distance is about the square of the relative error: 1e-18 at the least here."""
    rng = np.random.default_rng(3)
    codes = rng.integers(1, 127, 200).astype(np.uint8)
    q = fp.E4M3FN.values[codes]
    spread = rng.standard_normal(200) if direction == "random" else 1 + rng.random(200) / 10
    x = q * (1 + size * spread)
    found = ErrorMetrics.of(x, codes, "E4M3FN")

    wanted = expect(x, q).cosine_distance
    assert 0 < wanted < size**2
    tolerance = 1e-10 if direction == "random" else 1e-9
    assert found.cosine_distance == pytest.approx(wanted, rel=tolerance, abs=0)


@pytest.mark.parametrize(
    ("x", "codes"),
    [
        ([1e20, 2e20], [0x7E, 0x7E]),  # saturated: results far smaller than errors
        ([1e6 + 1 / 3], [0x7E]),
        ([1e-9, 1.0, 1.0], [0x00, 0x38, 0xB8]),  # at right angles
        ([1.0, 3.0], [0xB8, 0xC4]),  # opposite
        ([1.0, 2.0, 3.0], [0xB8, 0x38, 0xC4]),
        ([0.001, 5.0, 1e-5], [0x7E, 0x01, 0x00]),
    ],
)
def test_any_angle_is_accurate(
    expect: Callable[..., Any], x: list[float], codes: list[int]
) -> None:
    """To the rounding of 1, however large the error."""
    found = ErrorMetrics.of(x, codes, "E4M3FN")

    wanted = expect(x, fp.E4M3FN.values[codes]).cosine_distance
    assert found.cosine_distance == pytest.approx(wanted, rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("power", [-126, -60, 60, 120])
@pytest.mark.parametrize("how", ["divide", "multiply"])
def test_metrics_do_not_depend_on_the_unit(power: int, how: str) -> None:
    """Elements and scale change by a power of two; errors relative to elements do not."""
    numbers, unit = np.array([0.75, 1.25, -7.0, 3.125, 1.0625]), 2.0**power
    codes = scaled(fp.encode(numbers, "E4M3FN"), "E4M3FN", unit if how == "multiply" else 1 / unit,
                   how)  # fmt: skip
    found, same = ErrorMetrics.of(numbers * unit, codes), measure(numbers, "E4M3FN")

    assert found.xx == same.xx * Fraction(unit) ** 2
    assert found.ee == same.ee * Fraction(unit) ** 2
    assert found.sqnr_db == pytest.approx(same.sqnr_db, abs=1e-12)
    assert found.cosine_distance == same.cosine_distance
    assert found.max_abs_error == same.max_abs_error * unit
    assert found.max_rel == same.max_rel


def test_metrics_can_be_shown() -> None:
    """Sums have hundreds of digits, and sets of codes thousands: they are left out."""
    shown = repr(measure([1e-300, 1e300], "BFLOAT16"))

    assert "saturated=1" in shown
    assert len(shown) < 300


def test_relative_errors_beyond_float64() -> None:
    """posit8 makes 2**-24 of the smallest float64, 10**316 times as much."""
    found = measure(np.array([5e-324, 1.0]), "POSIT8")

    assert (found.max_rel_error, found.max_rel_index) == (2.0**1023, 0)
    assert found.relative_rms_error == 2.0**-24
    assert np.isfinite(found.binades.rms).all()


@settings(max_examples=settings.default.max_examples // 3)
@given(st.lists(wide_elements, max_size=12), st.sampled_from(["E4M3FN", "E5M2", "POSIT8"]))
@example([1.7976931348623157e308, 5e-324], "E4M3FN")
def test_sums_hold_for_all_of_float64(
    expect: Callable[..., Any], x: list[float], name: str
) -> None:
    """Squares from 1e-647 to 1e616 in one sum."""
    array = np.array(x, np.float64)
    codes = fp.encode(array, name)
    found = ErrorMetrics.of(array, codes, name)

    results = np.where(np.isfinite(array), fp.FORMATS[name].values[codes], np.nan)
    wanted = expect(array, results)
    assert found.pairs == len(wanted.pairs)
    for left, right in ("xx", "xe", "ee", "xq", "qq"):
        exact = wanted.total(left, right)
        scale_2 = wanted.total(left, left) * wanted.total(right, right)
        difference = getattr(found, left + right) - exact
        assert difference**2 <= Fraction(1e-30) * scale_2, left + right
    if wanted.pairs:
        assert (found.max_abs_error, found.max_abs_index) == wanted.max_abs


# Merging.


@given(
    st.lists(elements, min_size=1, max_size=40),
    st.lists(st.integers(0, 40), max_size=4),
    st.sampled_from(["E4M3FN", "E2M1FN", "POSIT8", "E8M0FNU", "BFLOAT16"]),
    st.sampled_from([1.0, 0.1, 300.0]),
)
@settings(deadline=None, max_examples=settings.default.max_examples // 3)
def test_merging_blocks_gives_the_whole(
    assert_same_metrics: Callable[..., None],
    x: list[float],
    cuts: list[int],
    name: str,
    scale: float,
) -> None:
    """Blocks of any size, empty ones too, in any order."""
    array = np.array(x, np.float32)
    with np.errstate(all="ignore"):
        codes = scaled(fp.encode(array * np.float32(scale), name), name, scale, "divide")
    ends = [0, *sorted(min(cut, len(x)) for cut in cuts), len(x)]
    parts = [
        ErrorMetrics.of(array[a:b], scaled(codes.codes[a:b], name, scale, "divide"), offset=a)
        for a, b in itertools.pairwise(ends)
    ]

    forward, backward = parts[0], parts[-1]
    for part in parts[1:]:
        forward = forward.merge(part)
    for part in parts[-2::-1]:
        backward += part

    whole = ErrorMetrics.of(array, codes)
    assert_same_metrics(forward, whole)
    assert_same_metrics(backward, whole)
    for sums in ("xx", "xe", "ee", "xq", "qq"):
        assert getattr(forward, sums) == getattr(backward, sums)


@settings(max_examples=settings.default.max_examples // 3)
@given(st.lists(st.lists(elements, max_size=8), min_size=3, max_size=3))
def test_merging_is_associative(
    assert_same_metrics: Callable[..., None], parts: list[list[float]]
) -> None:
    """Exactly in sums, as they are fractions."""
    a, b, c = (measure(np.array(part, np.float32), "E5M2") for part in parts)

    left, right = a.merge(b).merge(c), a.merge(b.merge(c))

    assert_same_metrics(left, right)
    assert (left.xx, left.ee, left.xe) == (right.xx, right.ee, right.xe)


@pytest.mark.parametrize(
    ("x", "codes"),
    [
        ([1.0, 2.0, 4.0], [0x38, 0x40, 0x49]),  # another error
        ([1.0, 2.0, 4.5], [0x38, 0x40, 0x48]),
        ([1.0, 2.0, 4.0], [0x38, 0x40, 0x00]),
        ([1.0, 4.0, 2.0], [0x38, 0x48, 0x41]),
    ],
)
def test_comparing_metrics_can_fail(
    assert_same_metrics: Callable[..., None], x: list[float], codes: list[int]
) -> None:
    """The helper notices other elements and other codes."""
    reference = ErrorMetrics.of([1.0, 2.0, 4.0], [0x38, 0x40, 0x48], "E4M3FN")
    with pytest.raises(AssertionError):
        assert_same_metrics(ErrorMetrics.of(x, codes, "E4M3FN"), reference)


# Refusals.


def test_metrics_of_different_formats_do_not_merge() -> None:
    """Their codes could not be counted together."""
    with pytest.raises(ValueError, match="other must be about the same format, got one of 16"):
        measure([1.0], "E4M3FN").merge(measure([1.0], "E2M1FN"))


def test_shapes_must_match() -> None:
    """One code for each element."""
    with pytest.raises(ValueError, match=r"codes must have the shape of x, \(2, 1\), got \(2,\)"):
        ErrorMetrics.of(np.ones((2, 1)), [1, 2], "E4M3FN")


def test_a_format_is_given_with_codes_alone() -> None:
    """A scaled array has its own."""
    with pytest.raises(ValueError, match="fmt must be given for codes, and for codes alone, got N"):
        ErrorMetrics.of([1.0], [1])
    with pytest.raises(
        ValueError, match="fmt must be given for codes, and for codes alone, got 'E"
    ):
        ErrorMetrics.of([1.0], fp.scale_quantize([1.0], "tensor"), "E4M3FN")


def test_codes_must_be_codes() -> None:
    """Of the format's type and range."""
    with pytest.raises(TypeError, match="codes must be uint8 for E4M3FN, got float64"):
        ErrorMetrics.of([1.0], np.ones(1), "E4M3FN")
    with pytest.raises(ValueError, match="codes must be from 0 to 15 for E2M1FN of 4 bits, got 16"):
        ErrorMetrics.of([1.0], np.array([16], np.uint8), "E2M1FN")


@pytest.mark.parametrize(
    ("x", "codes", "fmt", "expected"),
    [
        ([0.0, 0.0, 1.0, 3.3], None, "E8M0FNU", 0),  # it has no zero: zeros become its least
        ([0.0, 1.0, 2.0], [0x38, 0x00, 0x80], "E4M3FN", 2),  # whoever made the codes
    ],
)
def test_zeros_that_become_something_hide_no_underflow(
    x: list[float], codes: list[int] | None, fmt: str, expected: int
) -> None:
    """Underflow is a nonzero element with a zero for its result, whatever zeros become."""
    found = fp.encode(x, fmt) if codes is None else np.array(codes, np.uint8)

    assert ErrorMetrics.of(x, found, fmt).underflow == expected
