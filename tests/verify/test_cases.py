"""Case sets against numbers written by hand: what is in them, what is not, and what they say."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from fp8num.formats import FORMATS, get_format
from fp8num.projection import Projection, Rounding, Saturation
from fp8num.verify.cases import (
    EDGE,
    CaseSet,
    all_codes,
    binades,
    boundaries,
    crossing,
    every,
    nan_payloads,
    overflow_edges,
    sampling,
    specials,
    standard,
    structured,
    subnormal_edges,
    union,
)
from fp8num.verify.classes import possible_classes
from fp8num.verify.sources import SOURCES, SourceType, get_source

SMALL = [fmt for fmt in FORMATS.values() if fmt.bits <= 8]
F16, BF16, F32, F64 = SOURCES.values()
by_source = pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.short)
#: The places where a conversion to E2M1FN decides, with both neighbours: typed from its table.
E2M1_POINTS = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8]


def value_set(cases: CaseSet) -> set[float]:
    """Return the numbers of a set as float64, -0 and 0 being one."""
    assert cases.source is not None
    return set(cases.source.values(cases.words).astype(np.float64).tolist())


def beside(points: list[float], dtype: type[np.floating[Any]]) -> set[float]:
    """Return points and their neighbours, of both signs, by NumPy's nextafter."""
    at = np.array(points, dtype)
    found = np.concatenate([at, np.nextafter(at, dtype(np.inf)), np.nextafter(at, dtype(-np.inf))])
    return set(np.concatenate([found, -found]).astype(np.float64).tolist())


# The record.


def test_a_set_keeps_its_own_words() -> None:
    """Later changes to the array that it was made from do not reach it, nor can it be changed."""
    words = np.array([3, 1, 2], np.uint16)
    cases = CaseSet("three", "three words", words, source=F16)
    words[0] = 9

    assert cases.words.tolist() == [3, 1, 2]
    assert cases.size == 3
    with pytest.raises(ValueError, match="read-only"):
        cases.words[0] = 9
    with pytest.raises(AttributeError):
        cases.name = "four"  # type: ignore[misc]


def test_words_twice_are_refused() -> None:
    """Counts of a verdict would count them twice."""
    with pytest.raises(ValueError, match="words must have no duplicates, got 2 among 5; pass"):
        CaseSet("twice", "", np.array([1, 2, 1, 3, 3], np.uint32), source=F32)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (np.ones(3), r"float64 of shape \(3,\)"),
        (np.ones((2, 2), np.uint32), r"uint32 of shape \(2, 2\)"),
        (np.ones(1, np.int32), r"int32 of shape \(1,\)"),
    ],
)
def test_what_is_not_words_is_refused(words: npt.NDArray[Any], what: str) -> None:
    """Values, more dimensions, signed integers."""
    message = f"words must be unsigned integers in one dimension, got {what}; view the bits"
    with pytest.raises(TypeError, match=message):
        CaseSet("wrong", "", words, source=F32)


def test_a_set_prints_its_size_and_domain() -> None:
    assert str(every("bfloat16")) == (
        "every bfloat16: 65,536 cases, exhaustive: all 65536 bfloat16 words: "
        "zeros, numbers, infinities, NaNs"
    )


def test_counting_classes_needs_a_format() -> None:
    """Its own, or one that is given."""
    with pytest.raises(ValueError, match="fmt must be given, as specials was made for no format"):
        specials(F32).by_class()
    assert specials(F32).by_class("E4M3FN") == {
        "zero": 1,
        "-zero": 1,
        "below smallest": 6,
        "normal value": 2,
        "overflow": 2,
        "infinity": 1,
        "-infinity": 1,
    }


# Everything.


def test_all_codes_of_a_format() -> None:
    """E4M3FN: two zeros, 7 subnormals and 119 normal numbers of each sign, two NaNs."""
    cases = all_codes("E4M3FN")

    assert cases.words.dtype == np.uint8
    assert cases.words.tolist() == list(range(256))
    assert cases.exhaustive
    assert cases.by_class() == {"zero": 2, "subnormal": 14, "normal": 238, "nan": 2}
    assert all_codes("BINARY16").words.dtype == np.uint16
    assert all_codes("E2M1FN").size == 16


def test_every_float16_number_by_class() -> None:
    """
    Counted on paper for E4M3FN, one sign.

    2^-9 is the word 0x1800, 2^-6 is 0x2400, 448 and 480 are 0x5F00 and 0x5F80, infinity is
    0x7C00.  A subnormal gap is 2^-9 and near is 2^-17: at 1.5 * 2^-9 that is four float16
    steps on each side, at 2.5 and 3.5 two, at 4.5 to 7.5 one.  Normal gaps have none.
    """
    near = 2 * (4 + 2 * 2 + 4 * 1)
    positive = {
        "below smallest": 0x1800 - 1,
        "subnormal value": 7,
        "subnormal tie": 7,
        "near subnormal tie": near,
        "subnormal between": 0x2400 - 0x1800 - 7 - 7 - near,
        "normal value": 119,
        "normal tie": 118,
        "normal between": 0x5F00 + 1 - 0x2400 - 119 - 118,
        "overflow by rounding": 127,
        "overflow": 0x7C00 - 0x5F80,
    }
    signed = dict.fromkeys(("zero", "-zero", "infinity", "-infinity"), 1)
    signed |= dict.fromkeys(("nan", "-nan"), 1023)

    counts = every("float16", "E4M3FN").by_class()

    assert counts == {name: 2 * count for name, count in positive.items()} | signed
    assert sum(counts.values()) == 1 << 16


@pytest.mark.parametrize("source", ["float32", "f64"])
def test_listing_every_word_of_a_wide_type_is_refused(source: str) -> None:
    """A sweep is there for it."""
    message = r"source must have 16 bits to list every word, got float\d\d, .*use a sweep"
    with pytest.raises(ValueError, match=message):
        every(source)


# Around where a conversion decides.


def test_boundaries_in_bfloat16_are_the_points_and_their_neighbours() -> None:
    """No type is narrower than bfloat16, so that there is nothing else."""
    with np.errstate(all="ignore"):
        neighbours = {
            float(np.nextafter(ml_dtypes.bfloat16(float(s * x)), ml_dtypes.bfloat16(to)))
            for x in E2M1_POINTS
            for s in (1, -1)
            for to in (np.inf, -np.inf)
        }
    points = {sign * float(x) for x in E2M1_POINTS for sign in (1, -1)}

    assert value_set(boundaries("E2M1FN", BF16)) == points | neighbours


@pytest.mark.parametrize("source", [F16, F32, F64], ids=lambda source: source.short)
def test_boundaries_hold_every_point_and_both_neighbours(source: SourceType) -> None:
    """Zero of both signs among them; what else there is, is finite and of both signs."""
    cases = boundaries("E2M1FN", source)

    assert beside(E2M1_POINTS, source.dtype.type) <= value_set(cases)
    assert {0, source.sign} <= set(cases.words.tolist())
    assert value_set(cases) == {-x for x in value_set(cases)}
    assert np.isfinite(source.values(cases.words).astype(np.float64)).all()
    assert not cases.exhaustive


@pytest.mark.parametrize(
    ("source", "narrow", "precision"),
    [
        (F64, np.float32, 24),
        (F64, np.float16, 11),
        (F64, ml_dtypes.bfloat16, 8),
        (F32, np.float16, 11),
        (F32, ml_dtypes.bfloat16, 8),
        (F16, ml_dtypes.bfloat16, 8),
    ],
)
def test_boundaries_hold_what_a_detour_takes_for_the_point(
    source: SourceType, narrow: Any, precision: int
) -> None:
    """
    At half a last place of the narrower type, whose tie goes to the point; and at a quarter.

    Half a last place is 2^-p of the power of two at or below, and half of that below a power
    of two.
    """
    found = value_set(boundaries("E2M1FN", source))
    for x in E2M1_POINTS[1:]:
        exponent = int(np.floor(np.log2(x)))
        up = 2.0 ** (exponent - precision)
        down = up / 2 if x == 2.0**exponent else up
        for beyond in (x + up, x + up / 2, x - down, x - down / 2):
            assert beyond in found
            assert beyond != x
            assert float(source.dtype.type(beyond).astype(narrow)) == x
        assert float(source.dtype.type(x + 1.5 * up).astype(narrow)) != x


def test_boundaries_of_posit8_hold_midpoints_and_the_places_of_its_standard() -> None:
    """2^20 and 2^24 are divided at 2^22 to nearest, and in the middle by a naive converter."""
    found = value_set(boundaries("POSIT8", F32))

    middle = (2.0**20 + 2.0**24) / 2
    assert beside([2.0**20, 2.0**22, middle, 2.0**24, 2.0**-25], np.float32) <= found


def test_boundaries_reach_what_follows_the_largest_value() -> None:
    """E4M3FN: 448, the tie 464, and 480; 2^-10 at the other end."""
    for source in (F16, F32, F64):
        points = [448.0, 464.0, 480.0, 2.0**-10, 2.0**-9]
        assert beside(points, source.dtype.type) <= value_set(boundaries("E4M3FN", source))


def test_boundaries_of_a_wide_format_in_a_narrow_type_stay_in_its_range() -> None:
    """E8M0FNU reaches 2^127; float16 stops at 65504 and at 2^-24."""
    words = boundaries("E8M0FNU", F16).words & 0x7FFF

    assert words.max() == 0x7BFF
    assert {0, 1, 2} <= set(words.tolist())


@pytest.mark.parametrize(
    ("edges", "points", "inside"),
    [
        # 2^-10 2^-9 1.5*2^-9, and the largest subnormal's tie, 2^-6 and 2^-6's tie above
        (subnormal_edges, [2.0**-10, 2.0**-9, 3 * 2.0**-10, 15 * 2.0**-10, 2.0**-6], 17 * 2.0**-10),
        (overflow_edges, [432.0, 448.0, 464.0, 480.0], 960.0),
    ],
    ids=["subnormal", "overflow"],
)
def test_edges_are_surrounded(edges: Any, points: list[float], inside: float) -> None:
    """Sixty-four numbers on each side of each, and no more."""
    cases = edges("E4M3FN", F32)
    centres = F32.words(np.array([*points, inside], np.float32)).astype(np.int64)
    around = (centres[:, None] + np.arange(-EDGE, EDGE + 1)).ravel()

    assert EDGE == 64
    assert set(cases.words.tolist()) == set(around.tolist()) | set((around | F32.sign).tolist())


def test_edges_of_formats_that_lack_subnormals_zero_or_a_successor() -> None:
    """The smallest value is the smallest normal; beyond posit8's largest there is nothing."""
    assert 2.0**-127 in value_set(subnormal_edges("E8M0FNU", F32))
    assert 2.0**-24 in value_set(subnormal_edges("POSIT8", F32))
    found = value_set(overflow_edges("POSIT8", F32))
    assert beside([2.0**22, 2.0**24, 2.0**25], np.float32) <= found


# The ends of a type.


def test_specials_of_float32() -> None:
    """Fourteen, as hex floats."""
    values = {F32.hex(word) for word in specials(F32).words.tolist()}

    magnitudes = {
        "0x0.0p+0",
        "0x1.0000000000000p-149",
        "0x1.fffffc0000000p-127",
        "0x1.0000000000000p-126",
        "0x1.0000000000000p+0",
        "0x1.fffffe0000000p+127",
        "inf",
    }
    assert values == magnitudes | {f"-{text}" for text in magnitudes}


@by_source
def test_nan_payloads_are_nans_of_every_kind(source: SourceType) -> None:
    """Quiet and signalling, single bits and all ones, of both signs, and nothing else."""
    cases = nan_payloads(source)
    magnitudes = cases.words & source.word.type(source.sign - 1)
    payloads = set((magnitudes - source.word.type(source.infinity)).tolist())
    bits = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[source.name]
    quiet = 1 << (bits - 1)
    singles = {1 << i for i in range(bits - 1)}

    assert (magnitudes > source.infinity).all()
    with np.errstate(invalid="ignore"):  # which looking at a signalling NaN is
        assert np.isnan(source.values(cases.words)).all()
    assert payloads == singles | {quiet | one for one in singles} | {
        *(quiet, quiet - 1, 2 * quiet - 1)
    }
    assert cases.size == 2 * len(payloads)
    assert (cases.words >> source.word.type(source.bits - 1)).sum() == len(payloads)


# Structured sampling.


def test_random_numbers_are_splitmix64() -> None:
    """The outputs of the published C code for the seeds 0 and 1234567."""
    assert int(sampling._random(0, 0, 1)[0]) == 0xE220_A839_7B1D_CDAF
    assert sampling._random(1234567, 0, 5).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    np.testing.assert_array_equal(sampling._random(5, 3, 4), sampling._random(5, 0, 7)[3:])


@by_source
def test_structured_words_are_distinct_and_the_same_each_time(source: SourceType) -> None:
    """More of them begin with the same ones; another seed gives others."""
    words = structured(source, 3000, seed=7).words

    assert np.unique(words).size == words.size == 3000
    assert words.dtype == source.word
    np.testing.assert_array_equal(words[:100], structured(source, 100, seed=7).words)
    assert not np.array_equal(words, structured(source, 3000, seed=8).words)


@by_source
def test_binades_hold_a_number_of_each_and_of_each_sign(source: SourceType) -> None:
    """Their exponents by frexp are all of the type's, each twice."""
    info = ml_dtypes.finfo(source.name)
    x = source.values(binades(source).words).astype(np.float64)
    negative = np.signbit(x)

    for part in (x[~negative], x[negative]):
        exponents = np.frexp(part)[1] - 1
        assert exponents.tolist() == list(range(info.minexp - info.nmant, info.maxexp))
    assert np.unique(np.abs(x)).size > x.size // 2  # other mantissas for the other sign


def test_structured_words_cover_exponents_and_shapes_of_mantissas() -> None:
    """
    Of 20 000 float32 words, by what each kind looks like.

    Each of 256 exponent fields is expected 78 times: that one comes less than 30 times has
    a probability below 1e-6.  A quarter of the words are of each kind, and few random
    mantissas look like another kind.
    """
    words = structured(F32, 20_000).words
    exponents = np.bincount(words >> 23 & 0xFF, minlength=256)
    mantissas = words & 0x7F_FFFF
    ones = np.bitwise_count(mantissas)
    trailing = mantissas // np.maximum(mantissas & (~mantissas + 1), 1)
    run = (trailing & (trailing + 1)) == 0

    assert exponents.min() >= 30
    assert 9_000 < (words >> 31).sum() < 11_000
    assert (ones <= 3).mean() == pytest.approx(0.25, abs=0.08)
    assert (ones >= 20).mean() == pytest.approx(0.25, abs=0.08)
    assert run.mean() == pytest.approx(0.25, abs=0.05)
    assert ((ones > 3) & (ones < 20) & ~run).mean() == pytest.approx(0.25, abs=0.03)


def test_half_of_structured_words_can_lie_in_the_range_of_a_format() -> None:
    """In float64 hardly any would otherwise: 20 binades of 2046."""
    cases = structured(F64, 2000, fmt="E4M3FN")
    magnitudes = np.abs(F64.values(cases.words))
    inside = (magnitudes >= 2.0**-12) & (magnitudes < 2048)

    assert inside.mean() == pytest.approx(0.5, abs=0.05)
    assert "half of them from the range of E4M3FN" in cases.domain
    assert len(cases.by_class()) > 8


@pytest.mark.parametrize("count", [0, -1, (1 << 15) + 1])
def test_counts_of_structured_words_out_of_range_are_refused(count: int) -> None:
    """Of 2^16 words at most half can be asked for."""
    message = rf"count must be an integer from 1 to 32768, got {count}; every\(\) lists"
    with pytest.raises(ValueError, match=message):
        structured(F16, count)


# Unions.


def test_a_union_keeps_the_order_and_says_what_it_contains() -> None:
    """Words of the first set, then new ones of the second."""
    first = CaseSet(
        "a", "three", np.array([5, 1, 3], np.uint32), source=F32, fmt=get_format("e5m2")
    )
    second = CaseSet("b", "two", np.array([2, 1], np.uint32), source=F32)

    both = first | second

    assert both.words.tolist() == [5, 1, 3, 2]
    assert (both.name, both.domain) == ("a | b", "three; two")
    assert (both.source, both.fmt, both.exhaustive) == (F32, FORMATS["E5M2"], False)
    assert union(first, second, first, name="c").words.tolist() == [5, 1, 3, 2]
    assert union(first, second, name="c").name == "c"
    assert union(first, second, first).domain == "three; two"


def test_a_union_with_everything_is_exhaustive() -> None:
    """And a union of sets for two formats is for neither."""
    whole = structured(F16, 10, fmt="E4M3FN") | every(F16, "E5M2")

    assert whole.exhaustive
    assert whole.size == 1 << 16
    assert whole.fmt is None


def test_sets_of_different_words_are_not_united() -> None:
    """The same integers mean other numbers; codes mean other numbers too."""
    message = "sets must hold words of one type, got {}; make one union for each"
    for sets, what in (
        ((specials(F16), specials(BF16)), "float16 numbers and bfloat16 numbers"),
        ((all_codes("E5M2"), all_codes("E4M3IEEE")), "E5M2 codes and E4M3IEEE codes"),
        ((all_codes("BINARY16"), specials(F16)), "BINARY16 codes and float16 numbers"),
    ):
        with pytest.raises(ValueError, match=message.format(what)):
            union(*sets)
    with pytest.raises(ValueError, match="sets must be at least one CaseSet, got none"):
        union()


# What a verification tries.


@by_source
def test_the_standard_set_has_every_possible_class(source: SourceType) -> None:
    """Of every catalogue format of at most eight bits; NaNs of all kinds and specials too."""
    for fmt in SMALL:
        cases = standard(fmt, source)

        assert tuple(cases.by_class()) == possible_classes(fmt, source), fmt.name
        assert cases.exhaustive == (source.bits == 16)
        assert np.isin(specials(source).words, cases.words).all(), fmt.name
        assert np.isin(nan_payloads(source).words, cases.words).all(), fmt.name


def test_the_standard_set_says_what_it_contains() -> None:
    """Each of its parts by its own words."""
    cases = standard("E4M3FN", F32)

    for part in (
        specials(F32),
        nan_payloads(F32),
        boundaries("E4M3FN", F32),
        subnormal_edges("E4M3FN", F32),
        overflow_edges("E4M3FN", F32),
        structured(F32, 4096, fmt="E4M3FN"),
        binades(F32),
    ):
        assert part.domain in cases.domain
        assert np.isin(part.words, cases.words).all()
    assert cases.name == "standard"
    assert "255 points of E4M3FN" in cases.domain  # 127 values, 127 middles, 480


def test_a_crossing_applies_every_projection_to_every_source() -> None:
    """Six deterministic modes, three saturations, four sources; its size is the product."""
    plan = crossing("E4M3FN")
    parts = list(plan)

    assert len(plan) == len(parts) == 4 * 6 * 3
    assert plan.size == 18 * sum(standard("E4M3FN", source).size for source in SOURCES.values())
    assert plan.size == sum(cases.size for _, _, cases in parts)
    assert len({(source.name, how.rounding, how.saturation) for source, how, _ in parts}) == 72
    assert set(plan.by_class()) == set(SOURCES)
    for source, how, cases in parts:
        assert cases.source is source
        assert how == Projection(rounding=how.rounding, saturation=how.saturation)
    for name, counts in plan.by_class().items():
        assert tuple(counts) == possible_classes(FORMATS["E4M3FN"], get_source(name))


def test_a_crossing_can_be_narrowed_and_says_its_domain() -> None:
    """Names that are repeated count once."""
    plan = crossing(
        "E5M2", ["f32", np.float32], ["rne", "NearestTiesToEven"], [Saturation.SAT_NONE],
        cases=boundaries,
    )  # fmt: skip

    assert len(plan) == 1
    assert plan.domain == (
        "to E5M2, each by NearestTiesToEven SatNone: "
        f"{boundaries('E5M2', F32).domain} (cases: {plan.size:,})"
    )


def test_a_crossing_refuses_what_has_no_expected_code() -> None:
    """Stochastic modes, nothing at all, unknown names."""
    with pytest.raises(ValueError, match="roundings must be deterministic, got StochasticA: no co"):
        crossing("E5M2", roundings=list(Rounding))
    with pytest.raises(ValueError, match="sources must have at least one member, got none"):
        crossing("E5M2", [])
    with pytest.raises(ValueError, match="roundings must have at least one member, got none"):
        crossing("E5M2", roundings=[])
    with pytest.raises(ValueError, match="saturations must have at least one member, got none"):
        crossing("E5M2", saturations=[])
    with pytest.raises(ValueError, match="source must be one of float16"):
        crossing("E5M2", ["float8"])
