"""One wrong rounding in a format nobody has seen before is found by the default examples."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from fp8num import codec, strategies
from fp8num.formats import FORMATS, Format, get_format
from fp8num.verify.reference import decode, expected_codes
from fp8num.verify.sources import get_source

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = npt.NDArray[Any]

#: Hypothesis's own default, whatever profile the tests run with.
EXAMPLES = 100
DEFAULT = settings(max_examples=EXAMPLES, database=None, deadline=None)


def magnitudes(fmt: Format) -> list[Fraction]:
    """Return the finite values of a format that are not negative, from the definition."""
    data = (decode(code, fmt) for code in range(1 << fmt.bits))
    return sorted({datum.value for datum in data if datum.is_finite and datum.value >= 0})


def random_format(rng: random.Random) -> Format:
    """Return a format by its spelling, independently of the strategies."""
    while True:
        unsigned, subnormals = rng.choice(["", "u"]), rng.choice(["", "-nosub"])
        exponent_bits, mantissa_bits = rng.randint(1, 5), rng.randint(0, 5)
        family = rng.choice(["ieee", "fn", "fnuz", "extended", "finite", "none"])
        name = f"{unsigned}w{exponent_bits}m{mantissa_bits}b{rng.randint(-9, 40)}-{family}"
        try:
            fmt = get_format(name + subnormals)
        except ValueError:
            continue
        if fmt.bits <= 8 and len(magnitudes(fmt)) > 3:
            return fmt


# One wrong word, or a few beside each other, in float32: which, given a gap of the format.

Gap = tuple[Fraction, Fraction]


def word(x: Fraction) -> int:
    """Return the word of a float32 number."""
    place, is_number = get_source("float32").place(x)
    assert is_number
    return place


def tie(gap: Gap) -> range:
    """Take the tie alone, which goes to the wrong neighbour."""
    middle = word(sum(gap) / 2)
    return range(middle, middle + 1)


def above_tie(gap: Gap) -> range:
    """Take the float above the tie, as if the threshold were one ulp higher."""
    return range(word(sum(gap) / 2) + 1, word(sum(gap) / 2) + 2)


def below_tie(gap: Gap) -> range:
    """Take the float below the tie."""
    return range(word(sum(gap) / 2) - 1, word(sum(gap) / 2))


def value(gap: Gap) -> range:
    """Take a value of the format, which becomes its neighbour."""
    return range(word(gap[1]), word(gap[1]) + 1)


def near_tie(gap: Gap) -> range:
    """Take what rounding to half as many digits as float32 has would make a tie."""
    middle = word(sum(gap) / 2)
    return range(middle + 1, middle + 1 + (1 << 10))


BUGS: dict[str, Callable[[Gap], range]] = {
    "one tie": tie,
    "one ulp above a tie": above_tie,
    "one ulp below a tie": below_tie,
    "one value": value,
    "rounded twice at one tie": near_tie,
}

#: Found as what lies on the other side of the tie.
MIRRORED = ("one ulp below a tie",)


def planted(fmt: Format, bug: str, rng: random.Random) -> Callable[[Array], Array]:
    """Return a converter from float32 with one wrong rounding, of either sign."""
    values = magnitudes(fmt)
    low, high = rng.choice(list(pairwise(values)))
    negative = fmt.signed and rng.random() < 0.5
    wrong = BUGS[bug]((low, high))
    codes = [int(codec.encode(float(x), fmt)) for x in (low, high)]
    if negative:
        codes = [int(codec.encode(-float(x), fmt)) for x in (low, high)]

    def convert(x: Array) -> Array:
        found = codec.encode(x, fmt)
        words = x.view(np.uint32)
        here = (words & 0x7FFFFFFF >= wrong.start) & (words & 0x7FFFFFFF < wrong.stop)
        here &= (words >> 31 == 1) == negative
        other = np.where(found == codes[0], codes[1], codes[0]).astype(found.dtype)
        return np.where(here, other, found)

    return convert


def differs(convert: Callable[[Array], Array], fmt: Format) -> Callable[[Array], bool]:
    """Return whether a converter gives a wrong code for an array."""
    return lambda x: bool((convert(x) != expected_codes(x, fmt, "rne", "SatFinite")).any())


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (1, 2))]
)
@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(name, marks=[pytest.mark.exhaustive] if name in MIRRORED else [])
        for name in BUGS
    ],
)
def test_one_wrong_rounding_of_a_random_format_is_found(bug: str, seed: int) -> None:
    """A hundred arrays of boundaries meet it, and shrink to the floats around it."""
    rng = random.Random(f"{bug} {seed}")
    fmt = random_format(rng)
    wrong = differs(planted(fmt, bug, rng), fmt)

    found = find(strategies.boundary_arrays(fmt, np.float32), wrong, settings=DEFAULT, random=rng)

    assert wrong(found)
    assert found.size <= 6  # around one value and the midpoint above it, of one sign
    assert len(set(np.signbit(found))) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_converter_without_a_mistake_passes(seed: int) -> None:
    """What is found above is what was planted."""
    rng = random.Random(seed)
    fmt = random_format(rng)

    with pytest.raises(NoSuchExample):
        find(
            strategies.boundary_arrays(fmt, np.float32),
            differs(lambda x: codec.encode(x, fmt), fmt),
            settings=DEFAULT,
            random=rng,
        )


def test_a_random_format_is_drawn_and_the_mistake_found_in_one_test() -> None:
    """As a user writes it: the format from the strategy too, and the default settings."""

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],  # the reference takes its time
    )
    @given(data=st.data(), fmt=strategies.formats(6))
    def check(data: st.DataObject, fmt: Format) -> None:
        x = data.draw(strategies.boundary_arrays(fmt, np.float64, finite=True))
        codes = codec.encode(x, fmt)
        smallest = abs(float(fmt.values[int(fmt.magnitudes.codes[1])]))
        codes[x == smallest / 2] ^= 1  # the tie of zero and the smallest value
        np.testing.assert_array_equal(codes, expected_codes(x, fmt, "rne", "SatFinite"))

    with pytest.raises(AssertionError):
        check()


# What an array holds.


@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", ["E4M3FN", "POSIT8", "E8M0FNU", "w1m0b0-none"])
def test_the_longest_array_holds_every_boundary(name: str, source: str) -> None:
    """Values, midpoints and the floats beside them, as far as the type reaches."""
    fmt, kind = FORMATS.get(name) or get_format(name), get_source(source)
    values = magnitudes(fmt)
    points = [*values, *((low + high) / 2 for low, high in pairwise(values))]
    wanted = {kind.infinity, kind.infinity | kind.sign}
    for point in points:
        place, _ = kind.place(point)
        near = {w for w in (place - 1, place, place + 1) if 0 <= w < kind.infinity}
        wanted |= near | {w | kind.sign for w in near}

    def holds_all(x: Array) -> bool:
        words = x.view(f"u{x.itemsize}") >> (8 * x.itemsize - kind.bits)
        return wanted <= set(words.tolist())

    options = settings(DEFAULT, phases=[Phase.generate])
    found = find(strategies.boundary_arrays(fmt, source), holds_all, settings=options)

    assert found.dtype == (np.float32 if source == "bfloat16" else np.dtype(source))


@settings(DEFAULT)
@given(data=st.data(), fmt=strategies.formats())
def test_finite_arrays_are_finite(data: st.DataObject, fmt: Format) -> None:
    x = data.draw(strategies.boundary_arrays(fmt, "float16", finite=True))

    assert np.isfinite(x).all()
    assert x.ndim == 1


def test_arrays_shrink_to_what_lies_around_zero() -> None:
    """Zero, the float above it, the first midpoint and the floats beside that."""
    found = find(strategies.boundary_arrays("E4M3FN", "float32"), lambda _: True, settings=DEFAULT)

    tiny = np.float32(2.0**-10)
    expected = [0, 2.0**-149, np.nextafter(tiny, 0), tiny, np.nextafter(tiny, 1)]
    assert found.tolist() == [float(x) for x in expected]
    assert math.copysign(1, found[0]) == 1


def test_special_codes_are_those_that_are_not_finite() -> None:
    """Infinity is the simplest; a format without any is refused."""
    drawn = [
        find(strategies.special_codes("E5M2"), lambda code, c=c: code == c, settings=DEFAULT)
        for c in (0x7C, 0xFC, 0x7D, 0xFF)
    ]

    assert drawn == [0x7C, 0xFC, 0x7D, 0xFF]
    assert find(strategies.special_codes("E5M2"), lambda _: True) == 0x7C
    assert find(strategies.special_codes("E4M3FN"), lambda _: True) == 0x7F
    with pytest.raises(NoSuchExample):
        find(strategies.special_codes("E5M2"), lambda code: code & 0x7F < 0x7C, settings=DEFAULT)
    with pytest.raises(ValueError, match="fmt must have infinities or NaNs, got E2M1FN, all of"):
        strategies.special_codes("E2M1FN")


@settings(DEFAULT)
@given(codes=strategies.code_arrays("E5M2", (3, 5), finite=True))
def test_arrays_of_finite_codes(codes: Array) -> None:
    assert (codes & 0x7F < 0x7C).all()
