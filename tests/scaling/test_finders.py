"""
What is taken for a block's largest magnitude, against plain loops and brute force.

::

    Amax        the maximum          Percentile   an order statistic
    BestClip    the candidate of its grid with the smallest squared error
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fp8num as fp
from fp8num import scaling
from fp8num.scaling import Amax, BestClip, Percentile
from fp8num.verify import reference

F32 = np.float32
INF, NAN = math.inf, math.nan


def no_errors(amax: Any) -> Any:
    """Stand for the squared errors, which only the search asks for."""
    msg = "errors must not be asked for"
    raise AssertionError(msg)


def region_of(x: Any, block: tuple[int, ...]) -> Any:
    """Return an array as blocks: two axes for each, blocks and within a block."""
    return x.reshape([n for size, b in zip(x.shape, block, strict=True) for n in (size // b, b)])


def of_blocks(x: Any, block: tuple[int, ...], work: Any) -> Any:
    """Apply a function to the list of each block's elements, in a loop over blocks."""
    counts = tuple(size // b for size, b in zip(x.shape, block, strict=True))
    found = np.empty(counts, np.float32)
    for place in np.ndindex(counts):
        here = tuple(slice(i * b, (i + 1) * b) for i, b in zip(place, block, strict=True))
        with np.errstate(over="ignore"):
            found[place] = work([float(v) for v in x[here].ravel()])
    return found


# The maximum.


def largest(values: list[float], *, nan: str, finite: bool) -> float:
    """Return the maximum by its definition."""
    if nan == "propagate" and any(math.isnan(v) for v in values):
        return NAN
    kept = [abs(v) for v in values if not math.isnan(v) and not (finite and math.isinf(v))]
    return max(kept, default=0.0)


FINDERS = [("ignore", False), ("propagate", False), ("ignore", True)]
TYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int8, np.int64, np.uint16]


def test_the_maximum_of_each_block(each: Any) -> None:
    """NaN, infinities of both signs, zeros and subnormals in some blocks, of every type."""

    def check(nan: str, finite: Any, dtype: Any, block: Any) -> None:
        rng = np.random.default_rng(0)
        x = (rng.standard_normal((6, 24)) * 20).astype(dtype)
        if np.dtype(dtype).kind not in "iu":
            x[0, :8] = [0.0, -0.0, 1e-7, -1e-7, 0, 0, 0, 0]
            x[1, 3], x[2, 5], x[3, 0], x[3, 1] = NAN, -INF, INF, -NAN
            x[4, 8:16] = NAN
            x[5, :] = INF
        elif np.dtype(dtype) == np.int8:
            x[0, 0] = -128

        found = Amax(nan, finite=finite).find(region_of(x, block), no_errors)

        assert found.dtype == np.float32
        wanted = of_blocks(x, block, lambda values: largest(values, nan=nan, finite=finite))
        np.testing.assert_array_equal(found, wanted)
        assert not np.signbit(found).any()

    blocks = [(1, 8), (2, 4), (6, 24), (1, 1), (3, 1)]
    each([(*finder, *case) for finder in FINDERS for case in product(TYPES, blocks)], check)


def test_the_maximum_of_subnormals_is_one() -> None:
    """Of the words, whatever the processor does with subnormals."""
    x = np.array([[1, 0x80000003, 2, 0x80000000]], np.uint32).view(np.float32)
    found = Amax("ignore").find(region_of(x, (1, 4)), no_errors)
    assert found.view(np.uint32).tolist() == [[3]]


def test_the_maximum_of_float64_is_rounded_to_nearest() -> None:
    """Ties to even; beyond the range infinity; below it zero."""
    tie = 1 + 2.0**-24
    for value, wanted in [(tie, 1.0), (np.nextafter(tie, 2), 1 + 2.0**-23), (1e39, INF),
                          (2.0**-150, 0.0), (1e-300, 0.0), (3.5e38, INF)]:  # fmt: skip
        x = np.array([[value, -value / 2]])
        found = Amax("propagate").find(region_of(x, (1, 2)), no_errors)
        assert found.tolist() == [[wanted]], value


@pytest.mark.parametrize("nan", ["ignore", "propagate"])
@pytest.mark.parametrize("block", [(1, 600_000), (600_000, 1), (3, 200_000)], ids=str)
def test_blocks_larger_than_the_working_memory_are_found_whole(nan: str, block: Any) -> None:
    """The largest at the very end, NaN at the very start."""
    x = np.ones(block, np.float32)
    x[-1, -1] = -7
    assert Amax(nan).find(region_of(x, block), no_errors).tolist() == [[7.0]]
    x[0, 0] = NAN
    found = Amax(nan).find(region_of(x, block), no_errors)
    np.testing.assert_array_equal(found, [[7.0 if nan == "ignore" else NAN]])


def test_the_maximum_does_not_depend_on_how_the_region_lies() -> None:
    """Strides, column-major, big-endian, read-only."""
    x = np.random.default_rng(1).standard_normal((8, 12)).astype(np.float32)
    wanted = of_blocks(x, (2, 3), lambda values: max(map(abs, values)))
    wide = np.zeros((16, 24), np.float32)
    wide[::2, ::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    for array in (np.asfortranarray(x), wide[::2, ::2], x.astype(">f4"), read_only,
                  x[::-1, ::-1].copy()[::-1, ::-1]):  # fmt: skip
        view = np.lib.stride_tricks.as_strided(
            array, (4, 2, 4, 3), [array.strides[0] * 2, array.strides[0], array.strides[1] * 3,
                                  array.strides[1]], writeable=False
        )  # fmt: skip
        np.testing.assert_array_equal(Amax("ignore").find(view, no_errors), wanted)


def test_a_finder_says_what_becomes_of_nan() -> None:
    with pytest.raises(ValueError, match="nan must be 'ignore' or 'propagate', got 'skip'"):
        Amax("skip")
    with pytest.raises(ValueError, match="nan must be 'ignore' where only finite numbers count"):
        Amax("propagate", finite=True)


# Percentiles.


def order_statistic(values: list[float], percent: float) -> float:
    """Try every magnitude, smallest first, until enough numbers do not exceed it."""
    magnitudes = sorted(abs(F32(v)) for v in values if not math.isnan(v))
    share = Fraction(repr(percent)) / 100  # the number as it was written
    for candidate in magnitudes:
        below = sum(m <= candidate for m in magnitudes)
        if below >= share * len(magnitudes):
            return float(candidate)
    return 0.0


PERCENTS = st.sampled_from([100, 99.9, 99.0, 50, 50.0, 33.3, 1e-9, 0.1, 66.6, 12.5, 80, 75])


@given(
    values=st.lists(st.floats(width=32) | st.integers(-4, 4).map(float), min_size=1, max_size=40),
    percent=PERCENTS | st.floats(0.01, 100),
)
@example(values=[1.0, 2.0, 3.0, 4.0], percent=75)
@example(values=[1.0, 2.0, 3.0, 4.0], percent=75.0001)
@example(values=[NAN, NAN], percent=50)
@example(values=[INF, 1.0, -INF], percent=33.3)
def test_a_percentile_is_the_smallest_magnitude_that_enough_do_not_exceed(
    values: list[float], percent: float
) -> None:
    x = np.array([values], np.float32)
    found = Percentile(percent).find(region_of(x, x.shape), no_errors)
    assert found.dtype == np.float32
    assert found.tolist() == [[order_statistic(values, percent)]]


@pytest.mark.parametrize(
    ("n", "percent"),
    [(1000, 99.9), (1000, 0.1), (2000, 99.95), (375, 8.8), (1000, 16.1), (1000, 32.7), (300, 7)],
)
def test_a_share_of_whole_elements_is_that_many(n: int, percent: float) -> None:
    """8.8 % of 375 is 33, though the product of the floats is above it."""
    x = np.arange(1, n + 1, dtype=np.float32)[None]
    found = Percentile(percent).find(region_of(x, x.shape), no_errors)
    assert found.tolist() == [[n * Fraction(repr(percent)) / 100]]


@pytest.mark.parametrize("dtype", TYPES, ids=lambda t: np.dtype(t).name)
def test_percentiles_of_blocks_of_every_type(dtype: Any) -> None:
    x = (np.random.default_rng(2).standard_normal((4, 60)) * 30).astype(dtype)
    for block in ((1, 20), (2, 30), (4, 60)):
        found = Percentile(70).find(region_of(x, block), no_errors)
        wanted = of_blocks(x, block, lambda values: order_statistic(values, 70))
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("percent", [0, -1, 100.5, NAN])
def test_a_percentile_is_a_share(percent: float) -> None:
    with pytest.raises(ValueError, match="percent must be above 0 and at most 100, got"):
        Percentile(percent)


def test_what_exceeds_a_percentile_saturates() -> None:
    """One outlier of 1000 under the rule of 99.9 %: the scale is the next one's."""
    x = np.append(np.linspace(-1, 1, 999), 1e6).astype(np.float32)[None]
    for rule in ("tensor-percentile-99.9", "row-percentile-99.9"):
        scaled = fp.scale_quantize(x, rule)
        assert scaled.stored_scales.ravel().tolist() == [448.0]
        values = scaled.dequantize()
        assert values[0, -1] == 1
        assert values[0, 0] == -1


# The best clip.


def candidates(amax: Any, finder: BestClip) -> list[np.float32]:
    """Return the magnitudes that are tried, the largest first."""
    if finder.steps == 1:
        return [F32(amax)]
    step = (1 - finder.smallest) / (finder.steps - 1)
    return [F32(float(amax) * (1 - i * step)) for i in range(finder.steps)]


@given(target=st.floats(0.3, 1.2), steps=st.integers(1, 40), smallest=st.floats(0.05, 1))
def test_no_candidate_is_better(target: float, steps: int, smallest: float) -> None:
    """Of an error that is the distance from a target."""
    x = np.array([[0.3, -1.0, 0.25, NAN, -INF]], np.float32)
    finder = BestClip(smallest, steps)

    found = float(
        finder.find(region_of(x, x.shape), lambda a: (a.astype("f8") - target) ** 2)[0, 0]
    )

    tried = [float(c) for c in candidates(1.0, finder)]
    assert min(abs(found - c) for c in tried) <= 2.0**-23
    assert abs(found - target) <= min(abs(c - target) for c in tried) + 2.0**-23


@pytest.mark.parametrize("steps", [1, 2, 33])
def test_of_equal_candidates_the_largest_wins(steps: int) -> None:
    """All alike; and two alike below the largest."""
    x = np.array([[2.0, -8.0, 1.0]], np.float32)
    region = region_of(x, x.shape)
    finder = BestClip(0.5, steps)
    assert finder.find(region, lambda amax: np.ones(amax.shape)).tolist() == [[8.0]]
    if steps == 33:
        pair = {6.0, 5.0}
        errors = np.vectorize(lambda a: 1.0 if float(a) in pair else 2.0)
        assert finder.find(region, errors).tolist() == [[6.0]]


def test_each_block_has_its_own_best() -> None:
    """Half of one block's largest, all of the other's."""
    x = np.array([[4.0, 1.0, 16.0, 3.0]], np.float32)
    wanted = np.array([[2.0, 16.0]])
    found = BestClip().find(region_of(x, (1, 2)), lambda amax: np.abs(amax - wanted))
    assert found.tolist() == [[2.0, 16.0]]


def decoded(code: int, fmt: Any) -> float:
    return float(reference.decode(code, fmt).value)


def squared_error(block: Any, amax: np.float32, fmt: Any) -> Fraction:
    """Return the exact error of our own rule if its scale were made for a magnitude."""
    scale = F32(float(fmt.max)) / amax if amax > 0 else F32(1)
    total = Fraction(0)
    for value in block:
        scaled = Fraction(float(value)) * Fraction(float(scale))
        code = reference.project(scaled, fmt, "rne", "SatFinite")
        total += (
            Fraction(decoded(code, fmt)) / Fraction(float(scale)) - Fraction(float(value))
        ) ** 2
    return total


@pytest.mark.parametrize("fmt", [fp.E2M1FN, fp.E4M3FN], ids=lambda f: f.name)
@pytest.mark.parametrize(("rule", "block"), [("block-32-mse", 32), ("row-mse", 64)])
def test_no_candidate_of_the_grid_has_a_smaller_squared_error(
    fmt: Any, rule: str, block: int
) -> None:
    """By brute force, in exact rationals; shares 1, 63/64 ... 1/2 of the largest."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 64)).astype(np.float32)
    x[1, 40] = 9

    scaled = fp.scale_quantize(x, rule, fmt=fmt)

    clipped = 0
    for row in range(2):
        for start in range(0, 64, block):
            part = x[row, start : start + block]
            tried = candidates(np.abs(part).max(), BestClip())
            errors = [squared_error(part, amax, fmt) for amax in tried]
            kept = scaled.stored_scales[row, start // block]
            made = [F32(float(fmt.max)) / amax for amax in tried]
            assert kept in made
            chosen = made.index(kept)
            # Sums in float64 differ by their roundings from the exact ones.
            assert errors[chosen] <= min(errors) * (1 + Fraction(1, 2**40))
            clipped += chosen > 0
    assert clipped or fmt is not fp.E2M1FN


def test_the_best_clip_is_at_least_as_good_as_the_maximum() -> None:
    """In float64, for the rule of the whole tensor, with infinities and NaN beside."""
    rng = np.random.default_rng(4)
    x = rng.standard_t(3, (16, 64)).astype(np.float32)
    x[0, 0], x[1, 1] = np.inf, np.nan
    kept = np.isfinite(x)
    errors = {}
    for rule in ("tensor", "tensor-mse"):
        scaled = fp.scale_quantize(x, rule, fmt="E2M1FN")
        difference = scaled.dequantize(np.float64)[kept] - x[kept]
        errors[rule] = float(np.sum(difference**2))
    assert errors["tensor-mse"] < errors["tensor"]


@pytest.mark.parametrize("scale", ["te-mxfp8", "te-current", "torchao-tensorwise"])
def test_any_rule_can_be_given_the_search(scale: str) -> None:
    """Errors are those of the rule's own scale: never more than with its own maximum."""
    rule = scaling.get_rule(scale)
    searched = replace(rule, name="searched", finder=BestClip())
    x = np.random.default_rng(5).standard_t(2, (8, 96)).astype(np.float32)
    errors = [
        float(np.sum((fp.scale_quantize(x, r).dequantize(np.float64) - x) ** 2))
        for r in (rule, searched)
    ]
    assert errors[1] <= errors[0]


@pytest.mark.parametrize(("smallest", "steps"), [(0, 3), (1.5, 3), (-1, 3), (0.5, 0), (NAN, 3)])
def test_a_search_has_a_range(smallest: float, steps: int) -> None:
    with pytest.raises(ValueError, match="smallest must be above 0 and at most 1 and steps"):
        BestClip(smallest, steps)


@pytest.mark.parametrize("rule", ["tensor", "tensor-mse", "row"])
def test_numbers_beyond_float32_saturate(rule: str) -> None:
    """They count as float32's largest number, which keeps what float32 holds of the rest."""
    x = np.array([[1e300, -1e39, 3e38, 1e37]])
    values = fp.scale_quantize(x, rule).dequantize(np.float64)[0]
    assert values[0] == -values[1] > 2e38
    np.testing.assert_allclose(values[2:], x[0, 2:], rtol=0.07)
