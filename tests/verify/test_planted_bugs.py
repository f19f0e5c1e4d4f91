"""
Converters that are wrong in one way each, as they are in the field, are caught by `check`.

Each is written with plain NumPy on float64 and does not use the package's codec: what is
right in it is right because the first test says so.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import fp8num
from fp8num import verify

if TYPE_CHECKING:
    from collections.abc import Callable

Array = npt.NDArray[Any]


def convert(
    x: Array,
    *,
    tie: str = "even",
    overflow: str = "nan",
    infinity: str = "nan",
    smallest: float = 2.0**-10,
    flush: bool = False,
    largest: float = 448.0,
    judge_before: bool = False,
    nan_sign: bool = True,
    zero_sign: bool = True,
    truncate: bool = False,
) -> npt.NDArray[np.uint8]:
    """Convert to E4M3FN without saturation; each option is a mistake."""
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        wide = np.asarray(x).astype(np.float64)
    magnitude = np.abs(wide)
    finite = np.where(np.isfinite(magnitude), magnitude, 0.0)
    exponent = np.frexp(np.maximum(finite, 2.0**-6))[1] - 1
    ulps = np.ldexp(finite, 3 - exponent)
    if truncate:
        rounded = np.floor(ulps)
    elif tie == "even":
        rounded = np.rint(ulps)
    else:
        rounded = np.where(ulps % 1 == 0.5, np.floor(ulps) + (tie == "away"), np.rint(ulps))
    value = np.ldexp(rounded, exponent - 3)
    value = np.where(finite <= smallest, 0.0, value)
    if flush:
        value = np.where(value < 2.0**-6, 0.0, value)
    position = np.searchsorted(grid(largest), value)
    code = np.minimum(position, 0x7F)
    top = len(grid(largest)) - 1
    beyond = (finite > largest) if judge_before else (value > largest)
    code = np.where(beyond, {"nan": 0x7F, "max": top}[overflow], code)
    code = np.where(np.isinf(wide), {"nan": 0x7F, "max": top}[infinity], code)
    code = np.where(np.isnan(wide), 0x7F, code)
    sign = np.signbit(wide)
    if not nan_sign:
        sign = sign & ~np.isnan(wide)
    if not zero_sign:
        sign = sign & (code != 0)
    return (code | (sign.astype(np.int64) << 7)).astype(np.uint8)


def grid(largest: float) -> npt.NDArray[np.float64]:
    """Return the magnitudes of E4M3FN, with 480 if it is taken for a number."""
    normal = [2.0**e * (1 + m / 8) for e in range(-6, 9) for m in range(8)]
    return np.array([*(m * 2.0**-9 for m in range(8)), *(v for v in normal if v <= largest)])


def correct(x: Array) -> npt.NDArray[np.uint8]:
    """Convert as OCP says, without saturation."""
    return convert(x)


def ties_away(x: Array) -> npt.NDArray[np.uint8]:
    return convert(x, tie="away")


def ties_to_zero(x: Array) -> npt.NDArray[np.uint8]:
    return convert(x, tie="zero")


def truncation(x: Array) -> npt.NDArray[np.uint8]:
    return convert(x, truncate=True)


def through_float16(x: Array) -> npt.NDArray[np.uint8]:
    """Round twice; what float16 cannot hold is kept, to have one mistake only."""
    with np.errstate(all="ignore"):
        half = x.astype(np.float16).astype(x.dtype)
    inside = (np.abs(x) < 448) & (np.abs(x) > 2.0**-14)
    return convert(np.where(inside, half, x))


def through_float32(x: Array) -> npt.NDArray[np.uint8]:
    """Round twice, as arrays of float64 are in ml_dtypes, torch and onnx."""
    with np.errstate(all="ignore"):
        return convert(x.astype(np.float32))


def flushes_subnormals(x: Array) -> npt.NDArray[np.uint8]:
    return convert(x, flush=True)


def smallest_off_by_an_ulp(x: Array) -> npt.NDArray[np.uint8]:
    """Take the float32 just above half the smallest subnormal for a tie."""
    return convert(x, smallest=2.0**-10 * (1 + 2.0**-23))


def has_480(x: Array) -> npt.NDArray[np.uint8]:
    """Saturate at 480, whose code is NaN's."""
    return convert(x, largest=480.0, overflow="max", infinity="max")


def overflow_before_rounding(x: Array) -> npt.NDArray[np.uint8]:
    """Take all above 448 for overflow, also what rounds to it."""
    return convert(x, judge_before=True)


def infinity_saturates(x: Array) -> npt.NDArray[np.uint8]:
    return convert(x, infinity="max")


def nan_sign_lost(x: Array) -> npt.NDArray[np.uint8]:
    return convert(x, nan_sign=False)


def zero_sign_lost(x: Array) -> npt.NDArray[np.uint8]:
    return convert(x, zero_sign=False)


def minus_zero_in_fnuz(x: Array) -> npt.NDArray[np.uint8]:
    """Give -0 the code 0x80, which is NaN in FNUZ."""
    with np.errstate(all="ignore"):
        codes = np.asarray(x).astype(ml_dtypes.float8_e4m3fnuz).view(np.uint8)
    return np.where(np.signbit(x.astype(np.float64)) & (codes == 0), 0x80, codes).astype(np.uint8)


def wrong_tail(x: Array) -> npt.NDArray[np.uint8]:
    """Truncate the last elements that do not fill a vector of eight."""
    codes = convert(x).ravel()
    tail = codes.size - codes.size % 8
    codes[tail:] = truncation(np.ravel(x)[tail:])
    return codes.reshape(np.shape(x))


def contiguous_only(x: Array) -> npt.NDArray[np.uint8]:
    """Take elements in the order of memory and give them back in the order of rows."""
    return convert(x.ravel(order="K")).reshape(x.shape)


def unstable(x: Array) -> npt.NDArray[np.uint8]:
    """Round at random."""
    up = np.random.default_rng().random(x.shape) < 0.5
    return np.where(up, ties_away(x), ties_to_zero(x)).astype(np.uint8)


#: What is expected of a converter; without saturation NaN would hide the number 480.
SATURATION = {has_480: "SatFinite"}
#: A converter, the source type of its cases, and the class that names its mistake.
PLANTED: dict[Callable[[Array], Array], tuple[str, str]] = {
    ties_away: ("float32", "normal tie"),
    ties_to_zero: ("float32", "normal tie"),
    truncation: ("float32", "normal between"),
    through_float16: ("float32", "near normal tie"),
    through_float32: ("float64", "near normal tie"),
    flushes_subnormals: ("float32", "subnormal value"),
    smallest_off_by_an_ulp: ("float32", "below smallest"),
    has_480: ("float32", "overflow by rounding"),
    overflow_before_rounding: ("float32", "overflow by rounding"),
    infinity_saturates: ("float32", "infinity"),
    nan_sign_lost: ("float32", "-nan"),
    zero_sign_lost: ("float32", "-zero"),
}


@cache
def verdict_on(bug: Callable[[Array], Array]) -> verify.Conformance:
    """Check a planted bug, once."""
    return verify.check(
        bug,
        "E4M3FN",
        source=PLANTED[bug][0],
        saturation=SATURATION.get(bug, "SatNone"),
        compare_nan="code",
    )


by_bug = pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.__name__)


@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32", "float64"])
def test_the_converter_without_a_mistake_conforms(source: str) -> None:
    """So the mistakes below are what is found, and nothing else."""
    verdict = verify.check(
        correct, "E4M3FN", source=source, saturation="SatNone", compare_nan="code"
    )

    assert verdict.ok, str(verdict)
    assert verdict.tally.cases > 3_000


@by_bug
def test_a_planted_bug_is_caught_with_its_class(bug: Callable[[Array], Array]) -> None:
    """With a witness that shows it: an input of that class whose two codes differ."""
    kind = PLANTED[bug][1]

    verdict = verdict_on(bug)

    assert not verdict.ok
    assert verdict.exit_code == 1
    assert verdict.findings == ()
    assert kind in verdict.by_class, str(verdict)
    witness = next(w for w in verdict.witnesses if w.kind == kind)
    x = verdict.source.values(np.array([witness.word], verdict.source.word))
    assert bug(x)[0] == witness.got
    right = correct(x)[0] if bug is not has_480 else 0x7E
    assert right == witness.expected
    assert witness.got != witness.expected


@pytest.mark.parametrize(
    ("bug", "kinds"),
    [
        # 464, the tie above the largest value, is an overflow by rounding if it goes up.
        (ties_away, {"normal tie", "subnormal tie", "overflow by rounding"}),
        (ties_to_zero, {"normal tie", "subnormal tie"}),
        (smallest_off_by_an_ulp, {"below smallest"}),
        (has_480, {"overflow by rounding", "overflow", "infinity", "-infinity"}),
        (overflow_before_rounding, {"overflow by rounding"}),
        (infinity_saturates, {"infinity", "-infinity"}),
        (nan_sign_lost, {"-nan"}),
        (zero_sign_lost, {"-zero", "below smallest"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_bug_is_found_nowhere_else(
    bug: Callable[[Array], Array], kinds: set[str]
) -> None:
    """The classes of the mismatches say what kind of mistake it is."""
    verdict = verdict_on(bug)

    assert verdict.source.name == "float32"
    assert set(verdict.by_class) == kinds


def wrong_binades(source: str, count: int) -> list[tuple[int, bool]]:
    """Return binades by their exponents, the ends of the type first, with a sign."""
    info = np.finfo(source)
    lowest = int(np.log2(info.smallest_subnormal))
    top = [info.maxexp - 1, info.maxexp - 2, info.minexp, info.minexp - 1, lowest + 1, lowest]
    ends = [(e, negative) for e in top for negative in (False, True)]
    rest = [(e, s) for e in range(lowest, info.maxexp) for s in (False, True) if e not in top]
    order = np.random.default_rng(5).permutation(len(rest)).tolist()
    return (ends + [rest[i] for i in order])[:count]


def misses_binades(source: str, binades: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    """Plant a wrong code in one binade at a time; return those that conform."""
    missed = []
    for exponent, negative in binades:

        def is_inside(
            x: Array, exponent: int = exponent, sign: float = -1.0 if negative else 1.0
        ) -> Array:
            with np.errstate(all="ignore"):
                return np.isfinite(x) & (x * sign > 0) & (np.frexp(x)[1] - 1 == exponent)

        verdict = verify.check(
            lambda x, inside=is_inside: fp8num.encode(x, "E4M3FN") ^ inside(x).astype(np.uint8),
            "E4M3FN",
            source=source,
            probes=False,
        )
        if verdict.ok:
            missed.append((exponent, negative))
    return missed


@pytest.mark.parametrize(
    ("source", "count"),
    [("float32", 16), ("float64", 30), pytest.param("float64", 60, marks=pytest.mark.exhaustive)],
)
def test_a_fault_in_one_binade_is_caught(source: str, count: int) -> None:
    """In the largest, the smallest, the first subnormal one, and others at random."""
    assert misses_binades(source, wrong_binades(source, count)) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_a_fault_in_any_binade_is_caught(source: str) -> None:
    """All 554 of float32, and all 4,196 of float64."""
    binades = wrong_binades(source, 10_000)

    assert len(binades) == {"float32": 554, "float64": 4196}[source]
    assert misses_binades(source, binades) == []


def test_minus_zero_where_the_format_has_none_is_caught() -> None:
    """Its code is NaN's in FNUZ."""
    verdict = verify.check(minus_zero_in_fnuz, "E4M3FNUZ", like="ml_dtypes")

    assert not verdict.ok
    assert set(verdict.by_class) == {"-zero", "below smallest"}
    assert verdict.witnesses[0].got == 0x80
    assert verdict.witnesses[0].expected == 0


def short_tail(x: Array) -> npt.NDArray[np.uint8]:
    """Truncate the last elements that do not fill a vector of four."""
    codes = convert(x).ravel()
    tail = codes.size - codes.size % 4
    codes[tail:] = truncation(np.ravel(x)[tail:])
    return codes.reshape(np.shape(x))


def short_arrays(x: Array) -> npt.NDArray[np.uint8]:
    """Truncate in arrays of at most 33 elements."""
    return truncation(x) if x.size <= 33 else convert(x)


def wrong_if(condition: Callable[[Array], bool]) -> Callable[[Array], Array]:
    """Return a converter that truncates arrays of one kind."""

    def converter(x: Array) -> Array:
        return truncation(x) if x.size and condition(x) else convert(x)

    return converter


#: Converters that are right on a long, plain array, and the fault that each shows.
DEPENDENT = {
    "wrong tail": (wrong_tail, "length"),
    "short tail": (short_tail, "length"),
    "short arrays": (short_arrays, "length"),
    "contiguous only": (contiguous_only, "strides"),
    "aligned only": (wrong_if(lambda x: not x.flags.aligned), "strides"),
    "writeable only": (wrong_if(lambda x: not x.flags.writeable), "strides"),
    "one-dimensional only": (wrong_if(lambda x: x.ndim > 1), "strides"),
    "forward only": (wrong_if(lambda x: min(x.strides) < 0), "strides"),
    "dense only": (wrong_if(lambda x: x.strides[-1] > x.itemsize), "strides"),
    "unstable": (unstable, "unstable"),
}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        # By default from one of the types in turn.
        pytest.param(name, source, marks=[] if j == i % 4 else [pytest.mark.exhaustive])
        for i, name in enumerate(DEPENDENT)
        for j, source in enumerate(("float32", "float16", "bfloat16", "float64"))
    ],
)
def test_an_answer_that_depends_on_the_array_is_a_finding(name: str, source: str) -> None:
    """Even where every code of the long array is right, from every type."""
    bug, fault = DEPENDENT[name]

    verdict = verify.check(bug, "E4M3FN", source=source, saturation="SatNone")

    assert not verdict.ok
    assert fault in {finding.fault.value for finding in verdict.findings}, str(verdict)


def test_nan_codes_count_only_if_asked_for() -> None:
    """By class any NaN will do, and the verdict says that this was not looked at."""
    verdict = verify.check(nan_sign_lost, "E4M3FN", saturation="SatNone", compare_nan="class")

    assert verdict.ok
    assert "which code of NaN is given" in verdict.exclusions
