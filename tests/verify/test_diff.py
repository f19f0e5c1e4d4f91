"""Every disagreement is found, as intervals with exact ends; none is made up."""

from __future__ import annotations

import functools
import json
import multiprocessing
import random
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num.formats import FORMATS, get_format
from fp8num.projection import PROFILES, NanResult, Projection, Result, Rounding, Saturation
from fp8num.verify import cases, diff, difference
from fp8num.verify.classes import CLASSES, classify
from fp8num.verify.implementation import Fault, ImplementationError
from fp8num.verify.reference import expected_codes
from fp8num.verify.sources import SOURCES, SourceType, get_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.formats import Format
    from fp8num.verify.intervals import Difference

    Words = npt.NDArray[Any]

NONE = Projection(saturation=Saturation.SAT_NONE)
FINITE = Projection(saturation=Saturation.SAT_FINITE)
#: E5M2 as torch: the rounding of ml_dtypes, and NaN is all ones.
TORCH_E5M2 = Projection(
    saturation=Saturation.SAT_NONE, results=((Result.NAN, 0x7F), (Result.MINUS_NAN, 0xFF))
)
OLD = tuple(map(int, version("ml_dtypes").split(".")[:2])) < (0, 7)
LIKE = "ml_dtypes<0.7" if OLD else "ml_dtypes"
DETERMINISTIC = [mode for mode in Rounding if not mode.is_stochastic]
by_source = pytest.mark.parametrize("source", SOURCES)
by_narrow_source = pytest.mark.parametrize("source", ["float16", "bfloat16"])


def cast(name: str, x: Any) -> Any:
    """Convert as ml_dtypes does."""
    with np.errstate(all="ignore"):
        return x.astype(getattr(ml_dtypes, name))


def through(name: str, x: Any) -> Any:
    """Round to a narrower type first, as a converter must not."""
    with np.errstate(all="ignore"):
        return cast("float8_e5m2", x.astype(np.dtype(name)))


def assert_describes(found: Difference, a: Words, b: Words) -> None:
    """Compare a record with the codes of all words of a 16-bit type."""
    source, fmt = found.source, found.fmt
    wrong = a != b
    if found.nan.value == "class":
        wrong &= ~(np.isnan(fmt.values[a]) & np.isnan(fmt.values[b]))
    marked = np.zeros(1 << 16, np.intp)
    for interval in found.intervals:
        part = slice(interval.first, interval.last + 1)
        assert (a[part] == interval.code_a).all(), str(interval)
        assert (b[part] == interval.code_b).all(), str(interval)
        assert interval.count == interval.width == marked[part].size
        assert interval.first // source.sign == interval.last // source.sign
        kinds = classify(source.every()[part], fmt, source)
        assert interval.kinds == tuple(CLASSES[kind] for kind in np.unique(kinds))
        marked[part] += 1
    np.testing.assert_array_equal(marked, wrong)
    for before, after in pairwise(found.intervals):  # none could be longer
        touch = before.last + 1 == after.first != source.sign
        assert not touch or (before.code_a, before.code_b) != (after.code_a, after.code_b)
    kinds = classify(source.every()[wrong], fmt, source)
    assert dict(found.by_class) == {CLASSES[k]: int((kinds == k).sum()) for k in np.unique(kinds)}
    assert found.count == wrong.sum()
    assert found.cases == 1 << 16
    assert found.exact
    assert found.equal is not bool(wrong.any())


def codes_of(projection: Projection, fmt: Format, source: SourceType) -> Words:
    """Return the codes of all words of a 16-bit type, by the definition, without the runs."""
    x = source.values(source.every())
    codes = expected_codes(
        x, fmt, projection.rounding, projection.saturation, nan=projection.nan
    ).copy()
    for result, code in projection.results:
        first = source.infinity + (result.value.removeprefix("-") == "nan")
        last = source.infinity if first == source.infinity else source.sign - 1
        sign = source.sign * result.value.startswith("-")
        codes[first + sign : last + sign + 1] = code
    return codes


# Profiles and projections.


@by_source
def test_saturating_and_not_differ_beyond_464(source: str) -> None:
    """E4M3FN: 464 is halfway to 480, which would follow 448, and rounds to the even 448."""
    kind = get_source(source)
    above = kind.place(Fraction(464))[0] + 1

    found = diff(NONE, FINITE, "E4M3FN", source=source)

    ends = [(item.first, item.last) for item in found.intervals]
    assert ends == [
        (above, kind.infinity),
        (above | kind.sign, kind.infinity | kind.sign),
    ]
    assert [(i.code_a, i.code_b) for i in found.intervals] == [(0x7F, 0x7E), (0xFF, 0xFE)]
    assert found.count == 2 * (kind.infinity - above + 1)
    assert found.cases == 2**kind.bits
    assert dict(found.by_class).keys() == {
        *("overflow by rounding", "overflow", "infinity", "-infinity")
    }


#: Of 65,536 inputs of float16 and of bfloat16, counted by running the libraries.
COUNTED = {
    ("ml_dtypes", "torch>=2.12", "E4M3FN"): (14_720, 30_512),
    ("ml_dtypes", "torch>=2.12", "E5M2"): (0, 0),
    ("ml_dtypes", "torch>=2.12", "E4M3FNUZ"): (0, 0),
    ("ml_dtypes", "torch>=2.12", "E5M2FNUZ"): (0, 0),
    ("torch>=2.12", "onnx-saturate", "E4M3FN"): (0, 0),
    ("torch>=2.12", "onnx-saturate", "E5M2"): (258, 28_706),
    ("torch>=2.12", "onnx-saturate", "E4M3FNUZ"): (16_514, 30_738),
}


@pytest.mark.parametrize(("a", "b", "fmt"), COUNTED)
def test_counts_between_libraries(a: str, b: str, fmt: str) -> None:
    """ml_dtypes 0.7, torch 2.13 and onnx 1.23 disagree as often as when they were run."""
    found = [diff(a, b, fmt, source=source, nan="class") for source in ("f16", "bf16")]

    assert tuple(one.count for one in found) == COUNTED[a, b, fmt]
    assert (found[0].name_a, found[0].name_b) == (a, b)


@by_source
def test_nan_codes_of_e5m2(source: str) -> None:
    """ml_dtypes gives 0x7e, torch 0x7f, for each NaN and for nothing else."""
    kind = get_source(source)
    first, count = kind.infinity + 1, kind.sign - kind.infinity - 1

    by_code = diff("ml_dtypes", TORCH_E5M2, "E5M2", source=source, nan="code")
    by_class = diff("ml_dtypes", TORCH_E5M2, "E5M2", source=source, nan="class")

    assert [(i.first, i.count, i.code_a, i.code_b) for i in by_code.intervals] == [
        (first, count, 0x7E, 0x7F),
        (first | kind.sign, count, 0xFE, 0xFF),
    ]
    assert by_code.by_class == (("nan", count), ("-nan", count))
    assert by_code.exit_code == 1
    assert by_class.equal
    assert by_class.exit_code == 0
    assert by_class.intervals == ()


def random_projections(fmt: Format, seed: int) -> tuple[Projection, Projection]:
    """Return two projections, now and then with codes of another library."""
    rng = random.Random(f"{fmt.name} {seed}")

    def one() -> Projection:
        specials = (Result.INFINITY, Result.MINUS_INFINITY, Result.NAN, Result.MINUS_NAN)
        return Projection(
            rounding=rng.choice(DETERMINISTIC),
            saturation=rng.choice(list(Saturation)),
            nan=rng.choice([NanResult.MAX, NanResult.ZERO]),
            results=tuple((kind, rng.randrange(1 << fmt.bits)) for kind in rng.sample(specials, 2)),
        )

    return one(), one()


@pytest.mark.parametrize(
    ("name", "source"),
    [
        # By default from the two types in turn.
        pytest.param(name, source, marks=[pytest.mark.exhaustive] if (i + j) % 2 else [])
        for i, name in enumerate(
            [
                *("E4M3FN", "E5M2", "E4M3FNUZ", "E8M0FNU", "UE5M3", "E2M1FN", "HIFLOAT8", "POSIT8"),
                *("binary8p3se", "binary6p2uf", "w3m4b-20-ieee-nosub", "w2m0b1-none"),
            ]
        )
        for j, source in enumerate(("float16", "bfloat16"))
    ],
)
def test_random_projections_by_brute_force(name: str, source: str) -> None:
    """Over all words: each interval is right, longest, and classified; nothing is missing."""
    fmt, kind = get_format(name), get_source(source)
    for seed, nan in enumerate(("code", "class")):
        a, b = random_projections(fmt, seed)

        found = diff(a, b, fmt, source=kind, nan=nan)

        assert_describes(found, codes_of(a, fmt, kind), codes_of(b, fmt, kind))


def test_a_wrong_record_would_be_noticed() -> None:
    """The comparison by brute force fails for another pair, and for one wrong word."""
    fmt, kind = FORMATS["E4M3FN"], get_source("float16")
    found = diff(NONE, FINITE, fmt, source=kind)
    a, b = codes_of(NONE, fmt, kind), codes_of(FINITE, fmt, kind)
    assert_describes(found, a, b)
    b[0x3C00] += 1

    with pytest.raises(AssertionError):
        assert_describes(found, a, b)
    with pytest.raises(AssertionError):
        assert_describes(diff(NONE, NONE, fmt, source=kind), a, a + (a == 0x7E))


def test_an_interval_ends_with_its_sign() -> None:
    """The words of all NaNs and -0 are neighbours, and no interval."""
    always = [
        functools.partial(lambda code, x: np.full(x.shape, code, np.uint8), c) for c in (1, 2)
    ]

    found = diff(*always, "E4M3FN", source="float16")

    assert [(i.first, i.last) for i in found.intervals] == [(0, 0x7FFF), (0x8000, 0xFFFF)]


@pytest.mark.parametrize("mantissa_bits", [1, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_a_wide_format(mantissa_bits: int) -> None:
    """
    Ten or twelve bits from float32: truncated or rounded, the upper half of each gap differs.

    Both have the same exponents, and float32 22 or 20 bits more: each gap is 2**20 words or
    four times as many.  Its upper half begins with the tie, or above it where the lower code is
    even.
    """
    found = diff(
        Projection(rounding=Rounding.TOWARD_ZERO),
        Projection(),
        f"w8m{mantissa_bits}-ieee",
        source="float32",
    )

    gaps = (255 << mantissa_bits) - 1  # after the last value comes overflow, and both saturate
    assert len(found.intervals) == 2 * gaps
    assert found.count == 2 * (gaps * 2 ** (22 - mantissa_bits) - (gaps + 1) // 2)


# Implementations.


@pytest.mark.parametrize(
    "name",
    [
        *("float8_e4m3fn", "float8_e5m2", "float8_e4m3", "float8_e3m4", "float8_e4m3fnuz"),
        *("float8_e5m2fnuz", "float8_e4m3b11fnuz", "float8_e8m0fnu"),
        *("float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"),
        *([] if OLD else ["float8_e5m3fnu"]),
    ],
)
@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32"])
def test_ml_dtypes_is_its_profile(name: str, source: str) -> None:
    """Its casts from the types that it rounds once: no difference, NaN codes included."""
    fmt = get_format(getattr(ml_dtypes, name))

    found = diff(functools.partial(cast, name), LIKE, fmt, source=source, name_a="astype")

    assert found.equal, str(found)
    assert found.exact is (source != "float32")


@by_narrow_source
@pytest.mark.parametrize("rounding", [Rounding.TOWARD_ZERO, Rounding.NEAREST_TIES_TO_AWAY])
def test_an_implementation_is_asked_about_every_16_bit_word(
    source: str, rounding: Rounding
) -> None:
    """An implementation of a projection differs where the projection does."""
    kind, fmt = get_source(source), FORMATS["E5M2"]
    projection = Projection(rounding=rounding)

    found = diff(functools.partial(fp.encode, fmt=fmt, rounding=rounding), "ml_dtypes", fmt,
                 source=source)  # fmt: skip

    assert found.domain == f"every {source} word, each given to functools.partial"
    assert_describes(found, codes_of(projection, fmt, kind), codes_of(NONE, fmt, kind))


def test_rounding_float64_through_float32_is_found() -> None:
    """Beside each tie, on the side of its odd neighbour, as far as float32 rounds to the tie."""
    found = diff(functools.partial(through, "float32"), "ml_dtypes", "E5M2", source="float64")

    assert not found.exact
    # 9 is a tie of 8 and 10; float32 takes all up to 9 + 2**-21 to it, and then 8 is even.
    (at,) = [i for i in found.intervals if i.low == "0x1.2000000000001p+3"]
    assert at.high == "0x1.200001p+3"
    assert (at.code_a, at.code_b) == (0x48, 0x49)
    assert at.first <= np.float64(9.00000000001).view(np.uint64) <= at.last
    assert at.kinds == ("near normal tie",)
    # All of them: each of 123 ties between finite values, of the one of zero and the
    # smallest, and of the one that overflows, of both signs.
    assert len(found.intervals) == 2 * (122 + 1 + 1)
    assert {interval.width for interval in found.intervals} == {1 << 28}
    assert sum(interval.count for interval in found.intervals) == found.count


def test_counted_disagreements_of_double_rounding() -> None:
    """Values and midpoints, and beside them by an ulp and by 2**-30, 2**-26, 2**-25: 992."""
    fmt, kind = FORMATS["E5M2"], get_source("float64")
    values = fmt.values[np.isfinite(fmt.values)]
    values = np.unique(values)
    middles = (values[1:] + values[:-1]) / 2
    points = np.unique(np.concatenate([values, middles, [61440.0, -61440.0]]))
    near = [points * (1 + s * 2.0**-e) for e in (25, 26, 30) for s in (1, -1)]
    near += [np.nextafter(points, np.inf), np.nextafter(points, -np.inf)]
    x = np.unique(np.concatenate([points, *near]))
    words = kind.words(x)

    found = diff(functools.partial(through, "float32"), "ml_dtypes", fmt, source=kind)

    inside = np.zeros(words.size, bool)
    for interval in found.intervals:
        inside |= (words >= interval.first) & (words <= interval.last)
    np.testing.assert_array_equal(
        inside, through("float32", x).view(np.uint8) != expected_codes(x, fmt, "rne", "SatNone")
    )
    assert inside.sum() == 992


MISTAKES: dict[str, Callable[[Any], Any]] = {
    "truncates": functools.partial(fp.encode, fmt="E5M2", rounding="rz", saturation="SatNone"),
    "ties away": functools.partial(fp.encode, fmt="E5M2", rounding="rna", saturation="SatNone"),
    "saturates": functools.partial(fp.encode, fmt="E5M2"),
    "flushes": lambda x: cast("float8_e5m2", np.where(np.abs(x) < 2.0**-14, x * 0, x)),
    "drops signs": lambda x: cast("float8_e5m2", np.abs(x)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@by_narrow_source
def test_bisection_finds_the_exact_ends(
    mistake: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a few cases: the same intervals as from all words, and fewer words tried."""
    monkeypatch.setattr(difference, "standard", cases.boundaries)
    implementation = MISTAKES[mistake]
    whole = diff(implementation, "ml_dtypes", "E5M2", source=source)

    found = diff(implementation, "ml_dtypes", "E5M2", source=source, exhaustive=False)

    ends = [(i.first, i.last, i.code_a, i.code_b, i.kinds) for i in whole.intervals]
    assert [(i.first, i.last, i.code_a, i.code_b) for i in found.intervals] == [
        end[:4] for end in ends
    ]
    for interval, of_all in zip(found.intervals, whole.intervals, strict=True):
        assert 1 <= interval.count <= interval.width == of_all.count
        assert set(interval.kinds) <= set(of_all.kinds)
    assert not found.equal
    assert found.cases < whole.cases


def test_a_record_of_cases_says_so() -> None:
    """The domain is that of the cases, and the notes say how many words there are."""
    found = diff(functools.partial(cast, "float8_e5m2"), "ml_dtypes", "E5M2", name_a="astype")

    text = " ".join(str(found).split())
    assert text.startswith("NO DIFFERENCE FOUND: astype and ml_dtypes, float32 -> E5M2")
    assert "and 0 words more beside disagreements" in text
    assert f"{found.cases:,} of 4,294,967,296 words were tried" in text
    assert not found.exact
    assert found.cases < 100_000


def test_what_nobody_tried_is_not_claimed() -> None:
    """One wrong word among 2**32, far from any case, is not found without exhaustive=True."""

    def once(x: Any) -> Any:
        codes = cast("float8_e4m3fn", x).view(np.uint8).copy()
        codes[x.view(np.uint32) == 0x12345678] ^= 1
        return codes

    found = diff(once, "ml_dtypes", "E4M3FN")

    assert found.equal
    assert not found.exact
    assert str(found).startswith("NO DIFFERENCE FOUND")


def test_every_word_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals go on over the ends of blocks and tasks; progress counts the words."""
    implementation = MISTAKES["saturates"]
    whole = diff(implementation, "ml_dtypes", "E5M2", source="bfloat16")
    monkeypatch.setattr(difference, "BLOCK", 1 << 8)
    monkeypatch.setattr(difference, "TASK", 1 << 10)
    done: list[int] = []

    found = diff(implementation, "ml_dtypes", "E5M2", source="bfloat16", progress=done.append)

    assert found == whole
    assert done == [1 << 10] * 64


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_record_does_not_depend_on_the_executor(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the executor shut down."""
    implementation = functools.partial(fp.encode, fmt="E4M3FN", rounding="ro")
    alone = diff(implementation, "ml_dtypes", "E4M3FN", source="float16")
    monkeypatch.setattr(difference, "TASK", 1 << 13)
    monkeypatch.setattr(difference, "WAITING", 3)
    pool: Executor
    if kind == "threads":
        pool = ThreadPoolExecutor(2)
    else:
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    with pool:
        found = diff(implementation, "ml_dtypes", "E4M3FN", source="float16", executor=pool)

        assert pool.submit(abs, -1).result() == 1
    assert found == alone
    assert not found.equal


def test_tasks_are_taken_back_when_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody works on for a record that will not be."""
    futures: list[Future[Any]] = []

    class Late(Executor):
        """Runs the first task at once, and the others never."""

        def submit(self, *_: Any, **__: Any) -> Future[Any]:  # type: ignore[override]
            future: Future[Any] = Future()
            if not futures:
                future.set_exception(ImplementationError(Fault.RAISED, "no"))
            futures.append(future)
            return future

    monkeypatch.setattr(difference, "TASK", 1 << 12)
    with pytest.raises(ImplementationError, match="no"):
        diff(MISTAKES["truncates"], "ml_dtypes", "E5M2", source="float16", executor=Late())

    assert len(futures) == 16
    assert all(future.cancelled() for future in futures[1:])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many intervals the first are kept, and all inputs are counted."""

    def alternates(x: Any) -> Any:
        return (x.view(np.uint16) & 1).astype(np.uint8)

    monkeypatch.setattr(difference, "MOST_INTERVALS", 10)
    monkeypatch.setattr(difference, "TASK", 1 << 12)

    def zeros(x: Any) -> Any:
        return np.zeros(x.shape, np.uint8)

    found = diff(alternates, zeros, "E4M3FN", source="float16")

    assert found.count == 1 << 15
    assert [interval.first for interval in found.intervals] == [*range(1, 20, 2)]
    assert found.omitted == (1 << 15) - 10
    assert "and beyond, where 32,758 inputs were counted only" in str(found)


def test_bisection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An implementation without any order is not asked about everything, and it is said."""

    def scrambled(x: Any) -> Any:
        return (x.view(np.uint32) * np.uint32(2654435761) >> 24).astype(np.uint8)

    monkeypatch.setattr(difference, "MOST_PROBES", 5_000)

    found = diff(scrambled, "ml_dtypes", "E4M3FN")

    assert "bisection ended at 5,000 words: intervals may be longer" in found.notes
    assert found.cases < 30_000
    assert found.count > 10_000


def test_sides_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One writes to its input, the other hands out the same buffer each time."""
    monkeypatch.setattr(difference, "BLOCK", 1 << 10)
    buffer = np.zeros(1 << 16, np.uint8)

    def writes(x: Any) -> Any:
        codes = fp.encode(x, "E4M3FN", saturation="SatNone")
        x[...] = 0
        return codes

    def reuses(x: Any) -> Any:
        buffer[: x.size] = fp.encode(x, "E4M3FN", saturation="SatNone")
        return buffer[: x.size]

    assert diff(writes, reuses, "E4M3FN", source="float16").equal
    assert diff(reuses, "ml_dtypes", "E4M3FN", source="float16", exhaustive=False).equal


def test_a_callable_may_take_bits() -> None:
    def from_bits(words: Any) -> Any:
        assert words.dtype == np.uint16
        return cast("float8_e4m3fn", words.view(np.float16))

    assert diff(from_bits, "ml_dtypes", "E4M3FN", source="float16", takes="bits").equal


def test_an_implementation_that_gives_no_codes_is_named() -> None:
    """There is nothing to compare, and no record."""

    def fails(x: Any) -> Any:
        msg = "too long"
        raise OverflowError(msg)

    with pytest.raises(ImplementationError, match=r"fails raised OverflowError: too long") as error:
        diff("ml_dtypes", fails, "E4M3FN", source="float16")
    assert error.value.fault is Fault.RAISED
    with pytest.raises(ImplementationError, match="returned shape"):
        diff("ml_dtypes", lambda x: x[:1].astype(np.uint8), "E4M3FN", source="float16")


# The record.


def test_ends_are_exact() -> None:
    """Hex floats read back as the words; low is below high for negative numbers too."""
    found = diff(NONE, FINITE, "E4M3FN", source="float32")
    plus, minus = found.intervals

    assert (plus.low, plus.high) == ("0x1.d00002p+8", "inf")
    assert (minus.low, minus.high) == ("-inf", "-0x1.d00002p+8")
    assert np.float32(float.fromhex(plus.low)).view(np.uint32) == plus.first
    assert plus.decimals == ("464.00003", "inf")
    assert minus.ends == (minus.last, minus.first)
    assert str(plus) == "0x1.d00002p+8 to inf, 999,817,216 inputs: 7f, 7e"


def test_single_words_and_nans_are_written() -> None:
    """A power of two has no digits after the point; a NaN is its bits."""
    (nan, minus) = diff("ml_dtypes", TORCH_E5M2, "E5M2", source="float16").intervals
    assert (nan.low, nan.high) == ("snan(0x1)", "nan(0x3ff)")
    assert (minus.low, minus.high) == ("-nan(0x3ff)", "-snan(0x1)")

    def one(x: Any) -> Any:
        codes = cast("float8_e5m2", x).view(np.uint8).copy()
        codes[x.view(np.uint16) == 0x3C00] = 0
        return codes

    (only,) = diff(one, "ml_dtypes", "E5M2", source="float16").intervals
    assert str(only) == "0x1p+0, 1 input: 00, 3c"


def test_the_table_groups_by_class() -> None:
    """Both signs together, those with the most inputs first, a few of each."""
    found = diff("ml_dtypes", Projection(rounding=Rounding.TOWARD_ZERO), "E4M3FN", name_b="rz")
    lines = str(found).splitlines()

    assert lines[0] == "DIFFERENT: ml_dtypes and rz, float32 -> E4M3FN"
    # 126 gaps of finite values, and what is beyond the largest, of both signs.
    assert lines[1].endswith("of 4,294,967,296 disagree, in 254 intervals")
    assert lines[2:4] == [
        "  domain    every float32 word, by the runs of both; 4,294,967,296 cases",
        "  NaN       compared by code",
    ]
    at = lines.index(
        "overflow by rounding, overflow, infinity: 1,999,634,432 inputs in 2 intervals"
    )
    assert [line.split() for line in lines[at + 1 : at + 3]] == [
        ["from", "to", "decimal", "inputs", "ml_dtypes", "rz"],
        ["0x1.d00002p+8", "inf", "464.00003", "to", "inf", "999,817,216",
         "7f", "=", "nan", "7e", "=", "448"],
    ]  # fmt: skip
    assert lines[at + 3].split()[0] == "-inf"
    # Between normal numbers 119 gaps: 59 whose lower code is odd, of both signs.
    at = lines.index(
        f"normal tie, near normal tie, normal between: {118 * 2**19:,} inputs in 118 intervals"
    )
    assert lines[at + 6] == "  ... and 114 more intervals"


def test_numbers_beyond_float64_are_products() -> None:
    """binary16p1sf reaches to 2**16383, with a bias of 16384 and two codes not of powers."""
    fmt = get_format("binary16p1sf")
    found = replace(diff(NONE, FINITE, "E4M3FN", source="float16"), fmt=fmt)

    assert found.code_text(0x7FFF) == "7fff = 1*2^16383"
    assert found.code_text(fmt.nan_code()) == "8000 = nan"
    assert found.code_text(0x0000) == "0000 = 0*2^-16383"


def test_json_and_frame_hold_everything() -> None:
    """Words and codes as text in JSON; a row per interval."""
    found = diff("ml_dtypes", TORCH_E5M2, "E5M2", source="float64")
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    frame = found.to_frame()

    assert record["schema"] == 1
    assert (record["equal"], record["exact"], record["a"]) == (False, True, "ml_dtypes")
    assert record["count"] == 2 * (2**52 - 1)
    assert record["classes"] == {"nan": 2**52 - 1, "-nan": 2**52 - 1}
    assert record["intervals"][0] == {
        "first": "7ff0000000000001",
        "last": "7fffffffffffffff",
        "count": 2**52 - 1,
        "width": 2**52 - 1,
        "low": "snan(0x1)",
        "high": "nan(0xfffffffffffff)",
        "low_decimal": "nan",
        "high_decimal": "nan",
        "a": "7e = nan",
        "b": "7f = nan",
        "classes": ["nan"],
    }
    assert list(frame["first"]) == [0x7FF0000000000001, 0xFFF0000000000001]
    assert frame["first"].dtype == np.uint64
    assert list(frame["code_b"]) == [0x7F, 0xFF]
    assert list(frame["classes"]) == ["nan", "-nan"]
    assert diff(NONE, NONE, "E5M2").to_frame().shape == (0, 11)


def test_a_profile_says_what_it_rests_on() -> None:
    """And if it was not seen to hold for the source."""
    (note,) = diff("ml_dtypes<0.7", NONE, "E5M2", source="float32").notes
    (wide,) = diff("ml_dtypes<0.7", NONE, "E5M2", source="float64").notes
    (ocp,) = diff(NONE, "ocp-sat", "E5M2", source="float64").notes

    assert note == f"profile ml_dtypes<0.7: {PROFILES['ml_dtypes<0.7'].source}"
    assert wide == f"{note}; from float64 the profile rounds once, and the library may not"
    assert ocp == f"profile ocp-sat: {PROFILES['ocp-sat'].source}"


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            ("numpy", NONE, "E5M2"),
            {},
            ValueError,
            r"a must be a profile, one of ml_dtypes.*got 'numpy'",
        ),
        ((NONE, "torch", "E5M2"), {}, ValueError, r"b must be a profile.*got 'torch'; or pass"),
        ((3, NONE, "E5M2"), {}, TypeError, "a must be a profile or its name.*got int"),
        ((NONE, NONE, "e4m3"), {}, ValueError, "ambiguous"),
        ((NONE, NONE, "E5M2"), {"source": "int8"}, ValueError, "source must be one of"),
        (
            (NONE, NONE, "E5M2"),
            {"nan": "payload"},
            ValueError,
            "nan must be 'class' or 'code', got",
        ),
        (("ml_dtypes", NONE, "POSIT8"), {}, ValueError, "says nothing about POSIT8"),
        (
            (np.sin, NONE, "E5M2"),
            {"takes": "codes"},
            ValueError,
            "takes must be 'values' or 'bits'",
        ),
        (
            (np.sin, NONE, "E5M2"),
            {"source": "f64", "exhaustive": True},
            ValueError,
            r"exhaustive must be left out for implementations and float64: .* 2\*\*64 words",
        ),
        (
            (Projection(rounding=Rounding.STOCHASTIC_A), NONE, "E5M2"),
            {},
            ValueError,
            "must be deterministic",
        ),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        diff(*arguments, **options)
