"""The strategies give what they say, shrink as documented and find planted mistakes."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import Phase, example, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from fp8num import codec, strategies
from fp8num.formats import (
    E4M3FN,
    E4M3FNUZ,
    E5M2,
    E8M0FNU,
    FORMATS,
    HIFLOAT8,
    POSIT8,
    Format,
    Specials,
    get_format,
)
from fp8num.projection import Projection, Rounding, Saturation
from fp8num.strategies import elements
from fp8num.verify.reference import Kind, decode, project
from fp8num.verify.reference.codes import decode_posit

if TYPE_CHECKING:
    from collections.abc import Callable

#: The tables of a format seen for the first time take longer than Hypothesis's deadline.
patient = settings(deadline=None, max_examples=max(settings.default.max_examples // 2, 50))
#: For what is drawn, where a mistake would show at once.
few = settings(deadline=None, max_examples=50)
#: For what is drawn for each format or type, so that the tests together draw hundreds.
fewer = settings(deadline=None, max_examples=20)
SOURCES = {
    "float16": np.float16,
    "bfloat16": np.float32,
    "float32": np.float32,
    "float64": np.float64,
}
#: Signed and without a zero: 1, 2, -1 and -2.
ZEROLESS = get_format("w1m0b0-none-nosub")
SYMMETRIC = (
    Rounding.NEAREST_TIES_TO_EVEN,
    Rounding.NEAREST_TIES_TO_AWAY,
    Rounding.TOWARD_ZERO,
    Rounding.TO_ODD,
)
by_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
by_source = pytest.mark.parametrize("dtype", SOURCES)


T = TypeVar("T")


def smallest(
    strategy: st.SearchStrategy[T],
    condition: Callable[[T], bool] = lambda _: True,
    *,
    max_examples: int = 3000,
    seed: int = 0,
    shrink: bool = True,
) -> T:
    """Return the example that Hypothesis shrinks to; NoSuchExample if it finds none."""
    phases = [Phase.generate, Phase.shrink][: 1 + shrink]
    options = settings(database=None, max_examples=max_examples, phases=phases)
    return find(strategy, condition, settings=options, random=random.Random(seed))


@cache
def places(fmt: Format) -> tuple[Fraction, ...]:
    """Return the magnitudes at which rounding to a format decides, ascending."""
    data = (decode(code, fmt) for code in range(1 << fmt.bits))
    found = sorted({abs(datum.value) for datum in data if datum.is_finite})
    if fmt is not POSIT8:  # nothing follows its largest value
        found.append(found[-1] * 2 if fmt is E8M0FNU else 2 * found[-1] - found[-2])
    middles = [(low + high) / 2 for low, high in pairwise(found)]
    codes = range(1, 127) if fmt is POSIT8 else ()
    posits = (decode_posit(2 * code + 1, bits=9).value for code in codes)
    return tuple(sorted({*found, *middles, *posits}))


# What is drawn.


@by_format
@fewer
@given(data=st.data())
def test_codes_are_those_of_the_format(fmt: Format, data: st.DataObject) -> None:
    """Every code is in range, and finite if that is asked for."""
    code = data.draw(strategies.codes(fmt))
    finite = data.draw(strategies.codes(fmt, finite=True))

    assert 0 <= code < 1 << fmt.bits
    assert decode(finite, fmt).kind is Kind.FINITE


@pytest.mark.parametrize("fmt", [E4M3FN, E4M3FNUZ, POSIT8, E8M0FNU], ids=lambda fmt: fmt.name)
def test_every_code_can_be_drawn(fmt: Format) -> None:
    """No code is missing from what codes chooses among."""
    finite, every = elements._simplest_first(fmt)

    assert sorted(every) == list(range(1 << fmt.bits))
    assert all(decode(code, fmt).is_finite for code in finite)
    assert not any(decode(code, fmt).is_finite for code in set(every) - set(finite))


@pytest.mark.parametrize("fmt", [E4M3FN, E5M2, HIFLOAT8, POSIT8], ids=lambda fmt: fmt.name)
@few
@given(data=st.data())
def test_values_are_those_of_the_format(fmt: Format, data: st.DataObject) -> None:
    """A value is in the format's table, its sign too."""
    value = data.draw(strategies.values(fmt))
    finite = data.draw(strategies.values(fmt, finite=True))

    assert type(value) is float
    found = np.float64(value).view(np.uint64) << np.uint64(1) == fmt.values.view(np.uint64) << 1
    assert (found & (np.signbit(fmt.values) == np.signbit(value))).any()
    assert math.isfinite(finite)


@by_source
@pytest.mark.parametrize("fmt", [E4M3FN, E5M2, E8M0FNU, POSIT8], ids=lambda fmt: fmt.name)
@fewer
@given(data=st.data())
def test_boundaries_are_boundaries(fmt: Format, dtype: str, data: st.DataObject) -> None:
    """A number drawn is nearest to a value or a midpoint, beside such a float, or special."""
    x = data.draw(strategies.rounding_boundaries(fmt, dtype))

    info = ml_dtypes.finfo(dtype)
    own = {0.0, float(info.smallest_normal), float(info.smallest_subnormal)}
    largest = Fraction(float(info.max))  # stands for what is beyond
    assert type(x) is SOURCES[dtype]
    if not np.isfinite(x) or abs(float(x)) in own:
        return
    exact = Fraction(abs(float(x)))
    # Half a step for a place that the type does not hold, and one beside it, which at a
    # power of two is twice as long above as below.
    near = 3 * step_below(abs(float(x)), dtype)
    here = bisect_left(places(fmt), exact)
    around = places(fmt)[max(here - 1, 0) : here + 1]
    assert min(abs(exact - place) for place in (*around, largest)) <= near


def step_below(x: float, dtype: str) -> Fraction:
    """Return the distance to the next smaller number of a type."""
    kind = np.dtype(dtype).type
    return Fraction(x) - Fraction(float(np.nextafter(kind(x), kind(0))))


@by_source
def test_bfloat16_needs_no_wider_type(dtype: str) -> None:
    """What is drawn for a type is one of its numbers."""

    def is_one(x: np.floating) -> bool:  # type: ignore[type-arg]
        kind = np.dtype(dtype)
        with np.errstate(invalid="ignore"):  # of a signalling NaN
            return bool(x.astype(kind).astype(np.float64) == x or np.isnan(x))

    with pytest.raises(NoSuchExample):
        smallest(
            strategies.rounding_boundaries(E4M3FN, dtype), lambda x: not is_one(x), max_examples=100
        )


SLIPS = {
    E4M3FN: {
        448.0,  # the largest value
        464.0,  # where it overflows: halfway to 480, which would follow
        480.0,
        np.nextafter(464.0, np.inf),
        np.nextafter(464.0, 0),
        2.0**-10,  # half the smallest subnormal
        2.0**-6 - 2.0**-10,  # between the largest subnormal and the normals
        -np.inf,
        np.finfo(np.float64).max,
        5e-324,
    },
    # Nine-bit posit 0 0000001 1: regime -6 and exponent 2 of 3 bits, between 2**-24 and
    # 2**-20; and their arithmetic midpoint.
    POSIT8: {2.0**-22, 17 * 2.0**-25},
    HIFLOAT8: {40960.0},  # 1.25 * 2**15, where it overflows
}


@pytest.mark.parametrize("fmt", SLIPS, ids=lambda fmt: fmt.name)
def test_boundaries_hold_what_matters(fmt: Format) -> None:
    """Each of the places where converters slip is drawn."""
    left = set(SLIPS[fmt])

    def has_all(x: np.floating) -> bool:  # type: ignore[type-arg]
        left.discard(float(x))
        return not left

    try:
        smallest(strategies.rounding_boundaries(fmt), has_all, max_examples=6000, shrink=False)
    except NoSuchExample:
        pytest.fail(f"never drawn: {sorted(left)}")


def nan_fields(x: npt.NDArray[Any], dtype: str) -> npt.NDArray[np.int64]:
    """Return the sign and the payload of NaNs, in rows, by the bits of their type."""
    info = ml_dtypes.finfo(dtype)
    word = {2: np.uint16, 4: np.uint32, 8: np.uint64}[x.dtype.itemsize]
    words = x.view(word)[np.isnan(x)] >> word(16 if dtype == "bfloat16" else 0)
    return np.stack([words >> word(info.bits - 1), words % word(1 << info.nmant)], 1).astype(int)


@pytest.mark.parametrize(
    "dtype",
    [
        "float32",
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)
            for name in ("float16", "bfloat16", "float64")
        ),
    ],
)
def test_boundaries_hold_nans_of_every_kind(dtype: str) -> None:
    """Of both signs: the quiet one, all ones, the first and the last signalling one, others."""
    top = 1 << (ml_dtypes.finfo(dtype).nmant - 1)
    wanted = {(sign, part) for sign in (0, 1) for part in (top, 2 * top - 1, 1, top - 1)}
    found: set[tuple[int, int]] = set()

    def has_all(x: np.floating) -> bool:  # type: ignore[type-arg]
        found.update(map(tuple, nan_fields(np.array([x]), dtype).tolist()))
        return wanted <= found and min((each[1] for each in found - wanted), default=top) < top

    # One of 25 is a NaN, a twentieth of those is each of the wanted ones of a sign: that
    # one is missed in 6000 has a probability of e**-12.
    strategy = strategies.rounding_boundaries(E5M2, dtype)
    smallest(strategy, has_all, max_examples=6000, shrink=False)


@by_source
def test_arrays_hold_nans_of_every_kind(dtype: str) -> None:
    """Signalling ones of both signs too, one by one or all in one array."""
    top = 1 << (ml_dtypes.finfo(dtype).nmant - 1)

    def has_signalling(x: npt.NDArray[Any]) -> bool:
        return any(sign and payload < top for sign, payload in nan_fields(x, dtype).tolist())

    one = smallest(strategies.value_arrays(E5M2, dtype, 8), has_signalling, shrink=False)
    every = smallest(strategies.boundary_arrays(E5M2, dtype), has_signalling, shrink=False)

    assert nan_fields(one, dtype).shape[0] >= 1
    payloads = {payload for _, payload in nan_fields(every, dtype).tolist()}
    assert {1 << i for i in range(ml_dtypes.finfo(dtype).nmant)} <= payloads


@by_source
@fewer
@given(data=st.data())
def test_finite_leaves_out_infinities_and_nans(dtype: str, data: st.DataObject) -> None:
    """Not even the float above the largest one is drawn."""
    wide = get_format("BFLOAT16")

    assert np.isfinite(data.draw(strategies.rounding_boundaries(wide, dtype, finite=True)))
    assert np.isfinite(data.draw(strategies.value_arrays(wide, dtype, 3, finite=True))).all()


@few
@given(fmt=strategies.formats(max_bits=16))
def test_formats_are_legal_and_spelt_by_their_names(fmt: Format) -> None:
    """A format drawn has a name that get_format reads, and values that float64 holds."""
    assert get_format(fmt.name) == fmt
    assert 2 <= fmt.bits <= 16
    assert fmt.fits_float64


@few
@given(fmt=strategies.formats(9, min_bits=5, specials=["fn", Specials.IEEE], signed=False))
def test_formats_are_as_asked_for(fmt: Format) -> None:
    """Bounds, families and signs hold."""
    assert 5 <= fmt.bits <= 9
    assert fmt.specials in {Specials.FN, Specials.IEEE}
    assert not fmt.signed


@pytest.mark.parametrize("family", list(Specials))
def test_formats_hold_every_family(family: Specials) -> None:
    """Each family comes up within a hundred formats."""
    found = smallest(
        strategies.formats(), lambda fmt: fmt.specials is family, max_examples=100, shrink=False
    )

    assert found.specials is family


@pytest.mark.parametrize(
    "condition",
    [
        lambda fmt: not fmt.signed,
        lambda fmt: not fmt.subnormals,
        lambda fmt: not fmt.has_zero,
        lambda fmt: fmt.bias < 0,
        lambda fmt: fmt.mantissa_bits == 0,
        lambda fmt: fmt.has_infinity and fmt.overflow.value == "max",
        lambda fmt: fmt.max < 2.0**-150,  # below float32's range
    ],
)
def test_formats_hold_the_odd_ones(condition: Callable[[Format], bool]) -> None:
    """Formats that a library for the usual ones would get wrong come up."""
    assert condition(smallest(strategies.formats(), condition, max_examples=1000, shrink=False))


@few
@given(codes=strategies.code_arrays("BFLOAT16", (2, 3)), narrow=strategies.code_arrays(E4M3FN, 5))
def test_code_arrays_have_shape_and_type(
    codes: npt.NDArray[np.uint16], narrow: npt.NDArray[np.uint8]
) -> None:
    """Codes above 8 bits are uint16, others uint8, and viewable as ml_dtypes'."""
    assert (codes.shape, codes.dtype) == ((2, 3), np.uint16)
    assert (narrow.shape, narrow.dtype) == ((5,), np.uint8)
    assert narrow.view(ml_dtypes.float8_e4m3fn).shape == (5,)


@by_source
@fewer
@given(data=st.data())
def test_value_arrays_have_shape_and_type(dtype: str, data: st.DataObject) -> None:
    """An array has the shape drawn, and the type that holds the source's numbers."""
    shape = st.tuples(st.integers(0, 3), st.integers(0, 4))

    x = data.draw(strategies.value_arrays(E4M3FN, dtype, shape))

    assert x.ndim == 2
    assert x.dtype == SOURCES[dtype]


def test_no_stochastic_mode_unless_asked_for() -> None:
    """They need random bits, which most tests do not give."""
    with pytest.raises(NoSuchExample):
        smallest(strategies.roundings(), lambda mode: mode.is_stochastic, max_examples=200)
    assert smallest(
        strategies.projections(stochastic=True), lambda drawn: drawn.rounding.is_stochastic
    ) == Projection(rounding=Rounding.STOCHASTIC_A)


# What it shrinks to.


def test_shrinking_goes_towards_the_simple() -> None:
    """Zero, positive, finite, a value, the narrowest signed format, the default projection."""
    boundaries = strategies.rounding_boundaries(E4M3FN)

    assert smallest(strategies.codes(E4M3FN)) == 0
    assert smallest(strategies.codes(E4M3FN), lambda code: code > 3) == 4
    assert smallest(strategies.codes(POSIT8), lambda code: code > 0x7F) == 0xFF  # -minpos
    assert smallest(strategies.values(E4M3FNUZ), lambda value: not value >= -2) == -2.25
    assert smallest(strategies.values(E8M0FNU)) == 2.0**-127
    assert str(smallest(boundaries)) == "0.0"
    assert smallest(boundaries, lambda x: abs(x) > 0.9) == 0.9375
    assert smallest(boundaries, lambda x: x < -1) == -1.125
    assert smallest(strategies.value_arrays(E4M3FN, "float32", (2, 2))).tolist() == [[0, 0], [0, 0]]
    assert smallest(strategies.code_arrays(E4M3FN, 2)).tolist() == [0, 0]
    assert smallest(strategies.saturations()) is Saturation.SAT_FINITE
    assert smallest(strategies.roundings()) is Rounding.NEAREST_TIES_TO_EVEN
    assert smallest(strategies.projections()) == Projection()


def test_formats_shrink_to_the_narrowest() -> None:
    """The simplest format has the values 0, 2, -0 and -2."""
    simplest = smallest(strategies.formats())

    assert simplest.name == "w1m0b0-none"
    assert simplest.values.tolist() == [0.0, 2.0, -0.0, -2.0]
    assert smallest(strategies.formats(), lambda fmt: fmt.bits == 8).name == "w7m0b63-none"
    assert smallest(strategies.formats(), lambda fmt: fmt.has_infinity).name == "uw1m1b0-ieee-nosub"


# What it finds.


def twice(x: np.floating) -> np.floating:  # type: ignore[type-arg]
    """Round to float16 first, as a converter must not."""
    with np.errstate(over="ignore"):
        return np.float16(x)


def flushed(x: np.floating) -> np.floating:  # type: ignore[type-arg]
    """Flush what is below the smallest normal number of E4M3FN."""
    return x if not abs(x) < 2.0**-6 else x * 0


def by_the_midpoint(x: np.floating) -> int:  # type: ignore[type-arg]
    """Round to posit8 by distance between values, as is not done."""
    exact = Fraction(float(abs(x)))
    code = min(range(1, 128), key=lambda code: abs(decode(code, POSIT8).value - exact))
    return code if exact else 0


def code_of(x: np.floating, fmt: Format = E4M3FN, rounding: str = "rne") -> int:  # type: ignore[type-arg]
    """Return the right code."""
    return int(codec.encode(x, fmt, rounding=rounding, saturation="SatNone"))


#: Source type, whether a number shows the mistake, and how many examples find it but once in
#: a thousand times: an eighth of all are ties or beside them, a fortieth a NaN of one sign.
WRONG: dict[str, tuple[str, Callable[[Any], bool], int]] = {
    "ties to away": ("float32", lambda x: code_of(x) != code_of(x, rounding="rna"), 100),
    "ties to zero": ("float64", lambda x: code_of(x) != ties_to_zero(x), 100),
    "rounds twice": ("float32", lambda x: code_of(x) != code_of(twice(x)), 100),
    "flushes subnormals": ("float16", lambda x: code_of(x) != code_of(flushed(x)), 100),
    "overflows at the tie": ("float32", lambda x: abs(x) == 464, 300),
    "drops the sign of NaN": ("float32", lambda x: np.isnan(x) and code_of(x) != 0x7F, 300),
    "drops the sign of zero": ("float32", lambda x: code_of(x) == 0x80 and x == 0, 300),
}


def ties_to_zero(x: np.floating) -> int:  # type: ignore[type-arg]
    """Move ties, which have few bits, towards zero."""
    return code_of(np.nextafter(x, 0)) if np.isfinite(x) else code_of(x)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (1, 2))]
)
@pytest.mark.parametrize("name", WRONG)
def test_a_planted_mistake_is_found(name: str, seed: int) -> None:
    """The default number of examples suffices to find what a converter rounds wrongly."""
    dtype, differs, examples = WRONG[name]

    found = smallest(
        strategies.rounding_boundaries(E4M3FN, dtype), differs, max_examples=examples, seed=seed
    )

    assert differs(found)


def test_posits_rounded_by_distance_are_found() -> None:
    """The midpoint on the encoding is not the midpoint of the values."""
    found = smallest(
        strategies.rounding_boundaries(POSIT8, "float32", finite=True),
        lambda x: x > 0 and code_of(x, POSIT8) != by_the_midpoint(x),
        max_examples=100,
    )

    assert found > 0


# What it refuses, and what it costs.


def test_wrong_arguments_are_refused_at_once() -> None:
    """The message comes from the call, not from the first example."""
    with pytest.raises(ValueError, match=r"dtype must be one of float16, bfloat16.*got int32"):
        strategies.rounding_boundaries(E4M3FN, np.int32)
    with pytest.raises(ValueError, match="does not fit float64"):
        strategies.values("Binary16p1sf")
    with pytest.raises(ValueError, match="does not fit float64"):
        strategies.rounding_boundaries("Binary16p1sf")
    with pytest.raises(ValueError, match=r"max_bits=3, specials=\['fnuz'\].*leave no format"):
        strategies.formats(3, specials=["fnuz"], signed=False)
    with pytest.raises(ValueError, match="ambiguous"):
        strategies.codes("e4m3")


def test_codes_of_a_format_beyond_float64() -> None:
    """Codes need no values."""
    assert smallest(strategies.codes("Binary16p1sf"), lambda code: code > 1) == 2


# The codec, at the boundaries of random formats.

projected = given(
    data=st.data(),
    fmt=strategies.formats(),
    projection=strategies.projections(),
    dtype=st.sampled_from(list(SOURCES)),
)


@patient
@projected
def test_encode_is_the_definition(
    data: st.DataObject, fmt: Format, projection: Projection, dtype: str
) -> None:
    """For every format and deterministic projection, the code is that of exact arithmetic."""
    x = data.draw(strategies.rounding_boundaries(fmt, dtype))

    code = codec.encode(x, fmt, rounding=projection.rounding, saturation=projection.saturation)

    assert int(code) == project(x, fmt, projection.rounding, projection.saturation)


@patient
@example(fmt=ZEROLESS, projection=Projection())
@given(fmt=strategies.formats(max_bits=10), projection=strategies.projections())
def test_values_encode_to_themselves(fmt: Format, projection: Projection) -> None:
    """Every code of a finite number is read and written back, by every projection."""
    finite = np.isfinite(fmt.values)
    codes = np.arange(1 << fmt.bits)[finite]

    found = codec.encode(
        codec.decode(codes.astype(fmt.code_dtype), fmt, dtype=np.float64),
        fmt,
        rounding=projection.rounding,
        saturation=projection.saturation,
    )

    np.testing.assert_array_equal(found, codes)


@patient
@projected
def test_encode_never_decreases(
    data: st.DataObject, fmt: Format, projection: Projection, dtype: str
) -> None:
    """A larger number becomes no smaller value, in every deterministic mode."""
    x = data.draw(strategies.value_arrays(fmt, dtype, 8, finite=True))
    x = x[np.lexsort((~np.signbit(x), x))]  # -0 before +0: a format without zero has no other way

    codes = codec.encode(x, fmt, rounding=projection.rounding)

    assert (np.diff(codec.decode(codes, fmt, dtype=np.float64)) >= 0).all()


@patient
@given(data=st.data(), fmt=strategies.formats(), dtype=st.sampled_from(list(SOURCES)))
def test_no_value_is_nearer(data: st.DataObject, fmt: Format, dtype: str) -> None:
    """To nearest and SatFinite, the error is the distance to the nearest value."""
    x = data.draw(strategies.rounding_boundaries(fmt, dtype, finite=True))
    nearest = data.draw(st.sampled_from(SYMMETRIC[:2]))

    value = codec.decode(codec.encode(x, fmt, rounding=nearest), fmt, dtype=np.float64)

    exact = Fraction(float(x))
    finite = (decode(code, fmt) for code in range(1 << fmt.bits))
    distance = min(abs(datum.value - exact) for datum in finite if datum.is_finite)
    assert abs(Fraction(float(value)) - exact) == distance


@patient
@given(
    data=st.data(),
    fmt=strategies.formats(),
    projection=strategies.projections(stochastic=True),
    bits=st.integers(0, 255),
)
def test_quantize_is_idempotent(
    data: st.DataObject, fmt: Format, projection: Projection, bits: int
) -> None:
    """What a projection gives it keeps, NaNs and signs of zeros too."""
    x = data.draw(strategies.value_arrays(fmt, np.float64, 8))
    stochastic = projection.rounding.is_stochastic

    def quantize(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return codec.quantize(
            x,
            fmt,
            rounding=projection.rounding,
            saturation=projection.saturation,
            random_bits=bits if stochastic else None,
            random_width=8 if stochastic else None,
        )

    once = quantize(x)

    np.testing.assert_array_equal(quantize(once).view(np.uint64), once.view(np.uint64))


@patient
@given(
    data=st.data(),
    fmt=strategies.formats(signed=True),
    rounding=st.sampled_from(SYMMETRIC),
    saturation=strategies.saturations(),
)
def test_symmetric_modes_keep_symmetry(
    data: st.DataObject, fmt: Format, rounding: Rounding, saturation: Saturation
) -> None:
    """Minus a number becomes minus its result; so do zeros, where -0 is there."""
    x = data.draw(strategies.rounding_boundaries(fmt, np.float32).filter(lambda x: not np.isnan(x)))

    values = codec.quantize(
        np.array([x, -x], np.float64), fmt, rounding=rounding, saturation=saturation
    )

    np.testing.assert_array_equal(values[0], -values[1])
    if fmt.has_negative_zero:
        assert np.signbit(values[0]) != np.signbit(values[1])
