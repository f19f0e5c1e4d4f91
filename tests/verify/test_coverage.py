"""Bins against a definition in fractions and a table made by hand; holes; merging."""

from __future__ import annotations

import json
import math
import pickle
from bisect import bisect_right
from fractions import Fraction
from functools import lru_cache, reduce
from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fp8num.formats import FORMATS, Format, TabulatedFormat, get_format
from fp8num.projection import Projection, Rounding, Saturation
from fp8num.verify import reference
from fp8num.verify.cases import boundaries, crossing, every, nan_payloads, specials, standard
from fp8num.verify.coverage import BINS, RESULTS, Bin, Coverage, bin_of_each, cover, stretches_of
from fp8num.verify.reference.codes import finite_values
from fp8num.verify.reference.projecting import _round, _round_away_rule, successor
from fp8num.verify.sources import SOURCES, SourceType

SMALL = [fmt for fmt in FORMATS.values() if fmt.bits <= 8]
DETERMINISTIC = [mode for mode in Rounding if not mode.is_stochastic]
#: No subnormals but a zero: 0 0.75 1 1.5 2 3 4.
HOLLOW = Format(
    name="hollow", exponent_bits=2, mantissa_bits=1, bias=1, specials="fn", subnormals=False
)
#: No zero, with a sign: 0.5 1 2.
ZEROLESS = Format(
    name="zeroless", exponent_bits=2, mantissa_bits=0, bias=1, specials="fn", subnormals=False
)
ODD_ONES = [HOLLOW, ZEROLESS, get_format("Binary5p2ue"), get_format("Binary6p1sf")]
F16, BF16, F32, F64 = SOURCES.values()
E2M1, E4M3 = FORMATS["E2M1FN"], FORMATS["E4M3FN"]
NEAREST = Projection()

by_source = pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.short)
by_small_format = pytest.mark.parametrize("fmt", SMALL, ids=lambda fmt: fmt.name)
by_mode = pytest.mark.parametrize("rounding", DETERMINISTIC, ids=lambda mode: mode.value)

#: sign, last, guard, sticky, class.
Key = tuple[int, int, int, int, str]


def key(each: Bin) -> Key:
    return each.sign, each.last, each.guard, each.sticky, each.result


def words_of(values: list[float]) -> npt.NDArray[Any]:
    """Return float32 words."""
    return F32.words(np.array(values, np.float32))


def hit(coverage: Coverage) -> dict[Key, int]:
    """Return the bins that cases were in."""
    return {key(each): each.cases for each in coverage.bins() if each.cases}


# Binades.


def test_binades_are_counted_by_sign_and_those_without_a_case_are_told() -> None:
    """1, 1.5 and -1 are in two binades, 2**-149 and 3 * 2**-149 in two subnormal ones."""
    words = words_of([1, 1.5, -1, 2.0**-149, 3 * 2.0**-149, 0, math.inf, math.nan])

    coverage = cover(words, E4M3, F32, NEAREST)
    both = coverage + cover(words_of([1, 8]), E4M3, F32, NEAREST)

    assert coverage.binades == (4, 2 * (254 + 23))
    assert both.binades == (5, 2 * (254 + 23))
    assert "4 of 554 binades" in str(coverage)
    assert "binades without a case: 550" in str(coverage)
    assert coverage.to_dict()["binades"] == {"hit": 4, "possible": 554}


@by_source
def test_the_standard_set_is_in_every_binade(source: SourceType) -> None:
    """A normal binade for each exponent field between the ends, a subnormal one for each bit."""
    info = ml_dtypes.finfo(source.name)
    expected = 2 * (info.maxexp - info.minexp + info.nmant)

    coverage = cover(standard(E4M3, source).words, E4M3, source, NEAREST)

    assert coverage.binades == (expected, expected)


# By hand.


def test_the_bins_of_e2m1_are_those_of_a_table_made_by_hand() -> None:
    """
    0 .5 1 1.5 2 3 4 6 and then 8, to nearest even: the codes 0 to 7 and then 8.

    For each kind of place of each sign: which class an even and an odd code below give.
    """
    exact = [(0, "zero"), (0, "normal"), (0, "overflow"), (1, "subnormal"), (1, "normal")]
    below_tie = exact
    tie = [(0, "zero"), (0, "normal"), (1, "normal"), (1, "overflow")]  # 0.25 2.5 1.75 7
    above_tie = [(0, "subnormal"), (0, "normal"), (1, "normal"), (1, "overflow")]
    expected = {
        (sign, last, guard, sticky, result)
        for sign in (0, 1)
        for guard, sticky, rows in (
            (0, 0, [*exact, (0, "infinity"), (0, "nan")]),
            (0, 1, below_tie),
            (1, 0, tie),
            (1, 1, above_tie),
        )
        for last, result in rows
    }

    coverage = cover(words_of([]), E2M1, F32, NEAREST)

    assert {key(each) for each in coverage.bins()} == expected
    assert len(coverage.holes()) == 40


@pytest.mark.parametrize(
    ("x", "rounding", "expected"),
    [
        (1.25, "rne", (0, 0, 1, 0, "normal")),  # between the codes 2 and 3
        (-1.75, "rne", (1, 1, 1, 0, "normal")),
        (1.75, "rz", (0, 1, 1, 0, "normal")),
        (0.3, "rne", (0, 0, 1, 1, "subnormal")),
        (0.3, "rz", (0, 0, 1, 1, "zero")),
        (0.2, "rd", (0, 0, 0, 1, "zero")),
        (-0.2, "rd", (1, 0, 0, 1, "subnormal")),
        (0.2, "ru", (0, 0, 0, 1, "subnormal")),
        (0.6, "ru", (0, 1, 0, 1, "normal")),
        (6, "rne", (0, 1, 0, 0, "normal")),
        (6.5, "rne", (0, 1, 0, 1, "normal")),
        (6.5, "ru", (0, 1, 0, 1, "overflow")),
        (6.5, "ro", (0, 1, 0, 1, "normal")),
        (4.5, "ro", (0, 0, 0, 1, "normal")),
        (7, "rne", (0, 1, 1, 0, "overflow")),
        (-7, "rz", (1, 1, 1, 0, "normal")),
        (8, "rz", (0, 0, 0, 0, "overflow")),
        (1e30, "rz", (0, 0, 0, 1, "overflow")),
        (-0.0, "rne", (1, 0, 0, 0, "zero")),
        (math.inf, "rne", (0, 0, 0, 0, "infinity")),
        (-math.inf, "rne", (1, 0, 0, 0, "infinity")),
        (math.nan, "rne", (0, 0, 0, 0, "nan")),
    ],
)
def test_the_bin_of_a_number(x: float, rounding: str, expected: Key) -> None:
    """To E2M1FN, worked out on paper."""
    projection = Projection(rounding=Rounding.parse(rounding))

    assert hit(cover(words_of([x]), E2M1, F32, projection)) == {expected: 1}


@pytest.mark.parametrize(
    ("fmt", "x", "rounding", "expected"),
    [
        # Ties of HiFloat8 go away from zero: 1.0625 is between the codes 8 and 9.
        ("HIFLOAT8", 1.0625, "rne", (0, 0, 1, 0, "normal")),
        ("HIFLOAT8", 40960.0, "rne", (0, 0, 1, 0, "overflow")),
        # posit8 never gives zero; 2^20 and 2^24 are divided at 2^22; nothing overflows.
        ("POSIT8", 1e-30, "rne", (0, 0, 1, 1, "normal")),
        ("POSIT8", 1e-30, "rz", (0, 0, 1, 1, "zero")),
        ("POSIT8", 2.0**21.5, "rne", (0, 0, 0, 1, "normal")),
        ("POSIT8", 2.0**22.5, "rne", (0, 0, 1, 1, "normal")),
        ("POSIT8", 2.0**30, "rne", (0, 1, 0, 1, "normal")),
        ("POSIT8", 2.0**30, "rz", (0, 1, 0, 1, "overflow")),
        ("POSIT8", 2.0**24, "rz", (0, 1, 0, 0, "normal")),
        # E8M0FNU has no zero; 1 has the code 127.
        ("E8M0FNU", 0.0, "rne", (0, 0, 0, 0, "zero")),
        ("E8M0FNU", 1e-40, "rz", (0, 0, 1, 1, "normal")),
        ("E8M0FNU", 1.5, "rne", (0, 1, 1, 0, "normal")),
        ("E8M0FNU", -1.5, "rne", (1, 1, 1, 0, "normal")),
        ("E8M0FNU", 1.75 * 2.0**127, "rne", (0, 0, 1, 1, "overflow")),
    ],
)
def test_the_bin_of_a_number_in_formats_that_lack_something(
    fmt: str, x: float, rounding: str, expected: Key
) -> None:
    """The position in the gap where there are no bits."""
    projection = Projection(rounding=Rounding.parse(rounding))

    assert hit(cover(words_of([x]), FORMATS[fmt], F32, projection)) == {expected: 1}


# A definition in fractions.


@lru_cache
def ladder(fmt: Format) -> tuple[list[Fraction], list[Fraction], list[int]]:
    """Return values and what follows them, the places between, and codes; by the reference."""
    values = finite_values(fmt)
    found = [value for value in values.magnitudes if value >= 0]
    codes = [values.codes[value] for value in found]
    beyond = successor(fmt)
    if beyond is not None:
        found.append(beyond)
        codes.append(codes[-1] + 1)
    places = [(low + high) / 2 for low, high in pairwise(found)]
    if isinstance(fmt, TabulatedFormat):
        points = reference.breakpoints(fmt, "NearestTiesToEven", "SatNone")
        steps = [point.value for point in points if point.value is not None]
        places = [next(s for s in steps if low <= s <= high) for low, high in pairwise(found)]
    return found, places, codes


def definition(word: int, fmt: Format, source: SourceType, rounding: Rounding) -> Key:
    """Find the bin of one word, step by step; the rounded number is the reference's."""
    sign, magnitude = divmod(word, source.sign)
    if magnitude >= source.infinity:
        return sign, 0, 0, 0, "infinity" if magnitude == source.infinity else "nan"
    x = Fraction(*float(source.values(np.array([magnitude], source.word))[0]).as_integer_ratio())
    values, places, codes = ladder(fmt)
    below = bisect_right(values, x) - 1
    if below < 0:  # no zero: zero itself, or what goes up to the smallest value
        guard, sticky, last = int(x > 0), int(x > 0), 0
    else:
        last = codes[below] % 2
        guard = int(below < len(places) and x >= places[below] and x > values[below])
        sticky = int(x not in (values[below], places[below] if guard else None))
    rounded = x
    if x:
        rounded = abs(
            _round(-x if sign else x, fmt, rounding, _round_away_rule(rounding, None, None))
        )
    largest = values[-1] if successor(fmt) is None else values[-2]
    if rounded == 0:
        result = "zero"
    elif rounded > largest:
        result = "overflow"
    else:
        result = "normal" if rounded >= Fraction(fmt.smallest_normal) else "subnormal"
    return sign, last, guard, sticky, result


def defined(
    words: npt.NDArray[Any], fmt: Format, source: SourceType, rounding: Rounding
) -> dict[Key, int]:
    """Count the bins of the definition."""
    found: dict[Key, int] = {}
    for word in words.tolist():
        where = definition(word, fmt, source, rounding)
        found[where] = found.get(where, 0) + 1
    return found


@pytest.mark.parametrize("every_mode", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("fmt", [*SMALL, *ODD_ONES], ids=lambda fmt: fmt.name)
def test_bins_are_those_of_the_definition(fmt: Format, *, every_mode: bool) -> None:
    """Of a seeded choice of words at and beside values and places, and of all kinds."""
    rng = np.random.default_rng(fmt.bits)
    half = [*SMALL, *ODD_ONES].index(fmt) % 2  # the two halves of the modes in turn
    for rounding in DETERMINISTIC if every_mode else DETERMINISTIC[half::2]:
        source = [F16, BF16, F32, F64][DETERMINISTIC.index(rounding) % 4]
        near = rng.permutation(boundaries(fmt, source).words)[:100]
        other = source.every()[::997] if source.bits == 16 else standard(fmt, source).words[::211]
        words = np.concatenate([near, other, specials(source).words])

        coverage = cover(words, fmt, source, Projection(rounding=rounding))

        assert hit(coverage) == defined(words, fmt, source, rounding), rounding
        assert coverage.cases == words.size


@pytest.mark.parametrize(
    ("fmt", "source", "rounding"),
    [
        ("E2M1FN", F16, None),
        *(
            pytest.param(fmt, source, rounding, marks=pytest.mark.exhaustive)
            for fmt in ("E4M3FN", "E8M0FNU", "HIFLOAT8", "POSIT8", "E2M1FN")
            for source in (F16, BF16)
            for rounding in DETERMINISTIC
        ),
    ],
)
def test_possible_bins_are_those_that_all_words_have(
    fmt: str, source: SourceType, rounding: Rounding | None
) -> None:
    """
    Of a 16-bit type, by the definition: none is missing, and none is impossible.

    By default of the words around where bins change and of every seventh, to nearest.
    """
    chosen, words = FORMATS[fmt], source.every()
    if rounding is None:
        around = boundaries(fmt, source) | specials(source)
        words, rounding = np.union1d(words[::7], around.words), NEAREST.rounding
    every_bin = defined(words, chosen, source, rounding)

    coverage = cover(words, chosen, source, Projection(rounding=rounding))

    assert {key(each) for each in coverage.bins()} == set(every_bin)
    assert hit(coverage) == every_bin


@by_small_format
@pytest.mark.parametrize("source", [F16, BF16], ids=lambda source: source.short)
def test_every_possible_bin_of_a_16_bit_type_has_a_word(fmt: Format, source: SourceType) -> None:
    """In each mode; and each stretch has one, so that none was listed in vain."""
    stretches = stretches_of(fmt, source)
    assert (np.diff(stretches.starts.astype(np.int64)) > 0).all()
    for rounding in DETERMINISTIC:
        coverage = cover(source.every(), fmt, source, Projection(rounding=rounding))
        assert coverage.holes() == ()
        assert coverage.ratio == 1.0
        assert coverage.cases == 1 << 16


def test_a_source_that_is_the_format_has_no_guard_and_no_sticky() -> None:
    """All else is impossible there, and is no hole."""
    fmt = FORMATS["BINARY16"]
    coverage = cover(every("float16").words[:0], fmt, F16, NEAREST)

    assert {key(each) for each in coverage.holes()} == {
        (sign, last, 0, 0, result)
        for sign in (0, 1)
        for last, result in (
            *((0, "zero"), (0, "subnormal"), (0, "normal"), (0, "infinity"), (0, "nan")),
            *((1, "subnormal"), (1, "normal")),
        )
    }


# No holes in what a verification tries.


@by_source
def test_the_standard_set_has_no_holes(source: SourceType) -> None:
    """For every catalogue format of at most eight bits, in every deterministic mode."""
    for fmt in SMALL:
        words = standard(fmt, source).words
        for rounding in DETERMINISTIC:
            coverage = cover(words, fmt, source, Projection(rounding=rounding))
            assert coverage.holes() == (), str(coverage)


@pytest.mark.parametrize("fmt", ODD_ONES, ids=lambda fmt: fmt.name)
def test_the_standard_set_has_no_holes_for_odd_formats(fmt: Format) -> None:
    """Without subnormals or zero, unsigned with infinity, of precision one."""
    parts = (cover(cases.words, fmt, source, how) for source, how, cases in crossing(fmt))
    coverage = reduce(Coverage.__add__, parts)

    assert len(coverage.counts) == 72
    assert coverage.holes() == ()


# Holes.


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        (lambda each: each.guard == 1 and each.sticky == 0, "guard 1 sticky 0"),
        (lambda each: each.sign == 1, "- last"),
        (lambda each: each.result == "nan", " nan,"),
        (lambda each: each.result == "overflow", " overflow,"),
        (lambda each: each.result == "subnormal" and each.last == 1, "last 1"),
    ],
    ids=["ties", "negative", "nan", "overflow", "odd subnormals"],
)
def test_what_was_left_out_is_a_hole(left_out: Any, expected: str) -> None:
    """Exactly that; and the word of each hole fills it."""
    words = (boundaries(E2M1, F32) | specials(F32) | nan_payloads(F32)).words
    bins = cover(words, E2M1, F32, NEAREST).bins()
    wanted = {key(each) for each in bins if left_out(each)}
    kept = [word for word in words if definition(word, E2M1, F32, NEAREST.rounding) not in wanted]

    coverage = cover(np.array(kept), E2M1, F32, NEAREST)

    holes = coverage.holes()
    assert {key(each) for each in holes} == wanted
    assert 0 < coverage.ratio < 1
    assert coverage.ratio == pytest.approx(1 - len(wanted) / len(bins))
    assert all(expected in str(each) for each in holes)
    filled = cover(np.array([each.word for each in holes], np.uint32), E2M1, F32, NEAREST)
    assert set(hit(filled)) == wanted
    assert (coverage + filled).holes() == ()


# Merging.

PROJECTIONS = [
    Projection(rounding=rounding, saturation=saturation)
    for rounding in DETERMINISTIC[:3]
    for saturation in Saturation
]


@st.composite
def coverages(draw: st.DrawFn) -> Coverage:
    """Draw the coverage of a few words for one of several formats, sources and projections."""
    source = draw(st.sampled_from([F16, F32]))
    words = draw(st.lists(st.integers(0, (1 << source.bits) - 1), max_size=8))
    fmt = draw(st.sampled_from([E2M1, E4M3, FORMATS["POSIT8"]]))
    return cover(np.array(words, source.word), fmt, source, draw(st.sampled_from(PROJECTIONS)))


@settings(max_examples=max(settings.default.max_examples // 3, 30))
@given(a=coverages(), b=coverages(), c=coverages())
def test_adding_is_associative_and_commutative(a: Coverage, b: Coverage, c: Coverage) -> None:
    """Whatever the formats, sources and projections; nothing changes nothing."""
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Coverage() == a == Coverage() + a
    assert (a + b).cases == a.cases + b.cases


def test_parts_add_up_to_the_whole() -> None:
    """In any order of the parts."""
    words = every("bfloat16").words
    whole = cover(words, E4M3, BF16, NEAREST)
    parts = [cover(part, E4M3, BF16, NEAREST) for part in np.array_split(words, 7)]

    assert sum(parts, Coverage()) == whole
    assert sum(parts[::-1], Coverage()) == whole


def test_what_differs_is_kept_apart() -> None:
    """A format of the same name, a source, a rounding, a saturation, another library's slips."""
    words = words_of([1.0])
    renamed = Format(name="E4M3FN", exponent_bits=4, mantissa_bits=3, bias=8, specials="fn")
    slip = Projection(moved=((1, 1, -127, False),))
    parts = [
        cover(words, E4M3, F32, NEAREST),
        cover(words, renamed, F32, NEAREST),
        cover(words.astype(np.uint64), E4M3, F64, NEAREST),
        cover(words, E4M3, F32, Projection(rounding=Rounding.TOWARD_ZERO)),
        cover(words, E4M3, F32, Projection(saturation=Saturation.SAT_NONE)),
        cover(words, E4M3, F32, slip),
    ]

    merged = sum(parts, Coverage())

    assert len(merged.counts) == len(parts)
    assert merged.cases == len(parts)


def test_a_format_read_back_from_its_dictionary_is_the_same() -> None:
    """Its document takes no part."""
    words = words_of([1.0])
    again = Format(**{**E4M3.to_dict(), "source": "elsewhere"})

    assert len((cover(words, E4M3, F32, NEAREST) + cover(words, again, F32, NEAREST)).counts) == 1


def test_coverage_that_came_through_a_pickle_is_merged() -> None:
    """As a worker process returns it."""
    coverage = cover(words_of([1.0, 2.5]), E4M3, F32, NEAREST)
    returned = pickle.loads(pickle.dumps(coverage))  # noqa: S301 - our own

    merged = coverage + returned

    assert len(merged.counts) == 1
    assert merged.cases == 4


# Records.


def test_nothing_covered_has_no_ratio() -> None:
    """NaN, and null in JSON."""
    assert math.isnan(Coverage().ratio)
    assert json.loads(json.dumps(Coverage().to_dict())) == {
        "cases": 0,
        "possible": 0,
        "hit": 0,
        "ratio": None,
        "binades": {"hit": 0, "possible": 0},
        "bins": [],
    }
    assert str(Coverage()) == "nothing covered"
    assert len(Coverage().to_frame()) == 0


def test_the_table_has_a_row_for_each_possible_bin() -> None:
    """And the dictionary the same, for JSON."""
    coverage = cover(words_of([1.0, 1.0, -7.0]), E2M1, F32, NEAREST)

    frame = coverage.to_frame()

    assert list(frame.columns) == list(Bin._fields)
    assert len(frame) == 40
    assert frame.cases.sum() == 3
    assert frame.loc[
        frame.cases > 0, ["sign", "last", "guard", "sticky", "result"]
    ].values.tolist() == [
        [0, 0, 0, 0, "normal"],
        [1, 1, 1, 0, "overflow"],
    ]
    found = json.loads(json.dumps(coverage.to_dict()))
    assert (found["cases"], found["possible"], found["hit"]) == (3, 40, 2)
    assert found["ratio"] == 0.05
    assert found["bins"] == frame.to_dict("records")


def test_coverage_prints_its_holes_up_to_a_number() -> None:
    """The first twenty, each with a word that fills it, and how many more."""
    lines = str(cover(words_of([1.0]), E2M1, F32, NEAREST)).splitlines()

    assert lines[0] == (
        "E2M1FN from float32, NearestTiesToEven, SatFinite: 1 of 40 bins hit, 1 of 554 "
        "binades (cases: 1)"
    )
    assert lines[1] == "  hole: + last 0 guard 0 sticky 0 zero, such as word 0x0"
    assert len(lines) == 1 + 20 + 2
    assert lines[-2:] == ["  holes not shown: 19", "  binades without a case: 553"]


# Refusals.


def test_stochastic_rounding_has_no_bins() -> None:
    """Its results depend on random bits."""
    with pytest.raises(ValueError, match="projection must round deterministically, got Stochasti"):
        cover(words_of([1.0]), E2M1, F32, Projection(rounding=Rounding.STOCHASTIC_A))


def test_values_are_not_words() -> None:
    with pytest.raises(TypeError, match="words must be an array of uint32, the bits of float32"):
        cover(np.ones(2, np.float32), E2M1, F32, NEAREST)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_words_of_any_shape_are_covered(shape: tuple[int, ...]) -> None:
    """Byte-swapped and read-only ones too."""
    words = np.full(shape, 0x3F80_0000, ">u4")
    words.flags.writeable = False

    assert cover(words, E2M1, F32, NEAREST).cases == words.size


def test_bins_are_numbered_within_bounds() -> None:
    """As many as the bits and classes make."""
    assert 16 * len(RESULTS) == BINS
    for rounding in DETERMINISTIC:
        indices = bin_of_each(stretches_of(E4M3, F32), E4M3, rounding)
        assert 0 <= indices.min() <= indices.max() < BINS
