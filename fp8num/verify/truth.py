"""
What a conversion must give, for every word of a source type: a list of runs.

::

    words   0 ....... | 3a800001 ... | 3ac00000 ...... | 7f800001 ... NaNs
    code      00           01              02               7f
    flags   0 |   x u |   0 |   x |   0 ...

A deterministic conversion is piecewise constant, so a few hundred runs tell the code of
all 2**32 inputs, and a stretch of consecutive inputs is filled at the speed of memory.
The runs come from the exact reference; what another library does otherwise is put over
them here, apart from the codec, which is judged by them.  The exceptions that a conversion
must raise are runs too; the codec's own flags are not asked.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.formats import Format, get_format
from fp8num.projection import NanResult, Projection, get_projection
from fp8num.verify import reference
from fp8num.verify.classes import class_runs
from fp8num.verify.sources import SourceType, get_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fp8num.projection import Profile, Rounding, Saturation

__all__ = [
    "FLAG_BITS",
    "Truth",
    "describe_projection",
    "expected_flags",
    "expected_words",
    "truth",
    "truth_of",
]


@dataclass(frozen=True, eq=False)
class Truth:
    """
    The code of every word.

    Parameters
    ----------
    fmt : Format
        The format of the codes.
    projection : Projection
        How they come about.
    source : SourceType
        The type of the words.
    starts : ndarray of uint64, shape (n,)
        The first word of each run, ascending from 0.
    codes : ndarray of the format's codes, shape (n,)
        The code of each run; neighbours differ.
    """

    fmt: Format
    projection: Projection
    source: SourceType
    starts: npt.NDArray[np.uint64]
    codes: npt.NDArray[Any]

    def codes_of(self, words: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the codes of words in any order, shape (...)."""
        places = np.searchsorted(self.starts, words.astype(np.uint64), side="right")
        return self.codes[places - 1]

    def runs(self, first: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield ``(first, stop, code)`` of each run between two words."""
        low = int(np.searchsorted(self.starts, np.uint64(first), side="right")) - 1
        high = int(np.searchsorted(self.starts, np.uint64(stop - 1), side="right"))
        inner = [int(start) for start in self.starts[low + 1 : high]]
        for ends, code in zip(
            pairwise([first, *inner, stop]), self.codes[low:high].tolist(), strict=True
        ):
            yield (*ends, code)

    def fill(self, first: int, out: npt.NDArray[Any]) -> None:
        """Put the codes of consecutive words into `out`."""
        for start, stop, code in self.runs(first, first + out.size):
            out[start - first : stop - first] = code

    def digest(self, first: int, count: int) -> str:
        """Return the SHA-256 of the codes of consecutive words, little endian."""
        runs = tuple((stop - start, code) for start, stop, code in self.runs(first, first + count))
        return _digest(runs, self.codes.dtype.newbyteorder("<").str)


@lru_cache(maxsize=1024)
def _digest(runs: tuple[tuple[int, int], ...], dtype: str) -> str:
    """Hash the codes of runs; most stretches of a type are alike, and hashed once."""
    found = hashlib.sha256()
    for length, code in runs:
        piece = np.full(min(length, 1 << 20), code, dtype).tobytes()
        whole, rest = divmod(length, 1 << 20)
        for _ in range(whole):
            found.update(piece)
        found.update(piece[: rest * np.dtype(dtype).itemsize])
    return found.hexdigest()


def truth(
    fmt: Format | str,
    source: SourceType | npt.DTypeLike | str = "float32",
    *,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    like: str | Profile | None = None,
    nan: NanResult | str = "max",
) -> Truth:
    """
    Return what a conversion must give, for every number of a type.

    Parameters
    ----------
    fmt : Format or str
        The format.
    source : SourceType, str or dtype, optional
        The type that numbers come in.
    rounding, saturation, like, nan
        As for `fp8num.encode`; the rounding must be deterministic.

    Returns
    -------
    Truth
        The runs.

    Raises
    ------
    ValueError
        If a name is unknown, or the rounding is stochastic.

    Examples
    --------
    >>> known = truth("E4M3FN", "float32", saturation="SatNone")
    >>> first, stop, code = list(known.runs(0x43E80000, 0x43E80002))[-1]
    >>> known.source.hex(first), hex(code)  # just above 464
    ('0x1.d000020000000p+8', '0x7f')
    """
    fmt = fmt if isinstance(fmt, Format) else get_format(fmt)
    return truth_of(fmt, get_projection(fmt, rounding, saturation, like, nan), get_source(source))


@lru_cache(maxsize=256)
def truth_of(fmt: Format, projection: Projection, source: SourceType) -> Truth:
    """Return the runs of a projection; ValueError if its rounding is stochastic."""
    if projection.rounding.is_stochastic:
        mode = projection.rounding.value
        msg = (
            f"rounding must be deterministic, got {mode}: stochastic modes are not judged, as no "
            f"code alone is right; give an implementation and fp8num.encode(..., rounding="
            f"{mode!r}, random_bits=..., random_width=...) the same random bits and compare "
            "their codes by verify.assert_codes_equal"
        )
        raise ValueError(msg)
    sides = [_side(fmt, projection, source, negative=sign) for sign in (False, True)]
    if projection.sign_dropped:
        sides[1] = list(sides[0])
    _override(sides, fmt, projection, source)
    runs = [*sides[0], *((start + source.sign, code) for start, code in sides[1])]
    kept = [runs[0], *(after for before, after in pairwise(runs) if after[1] != before[1])]
    starts = np.array([start for start, _ in kept], np.uint64)
    codes = np.array([code for _, code in kept], fmt.code_dtype)
    for array in (starts, codes):
        array.flags.writeable = False
    return Truth(fmt, projection, source, starts, codes)


def describe_projection(projection: Projection, like: str | None = None) -> str:
    """Write a projection in a few words."""
    if like is not None:
        return f"as {like}"
    return f"{projection.rounding.value}, {projection.saturation.value}"


#: A run begins at a magnitude's word and has one code.
_Runs = list[tuple[int, int]]


def _side(fmt: Format, projection: Projection, source: SourceType, *, negative: bool) -> _Runs:
    """Return the runs of one sign: zero, the finite magnitudes, infinity, NaN."""
    rounding, saturation = projection.rounding, projection.saturation
    nan = NanResult.MAX if projection.nan is NanResult.RAISE else projection.nan

    def special(magnitude: float) -> int:
        value = math.copysign(magnitude, -1.0 if negative else 1.0)
        return reference.project(value, fmt, rounding, saturation, nan=nan)

    runs = {0: special(0.0)}
    points = reference.breakpoints(fmt, rounding, saturation)
    # The code beside zero, on this side.
    near = [p for p in points if p.value is None or p.value < 0 or (p.value == 0 and not negative)]
    runs[1] = near[-1].code
    steps = [
        (before, point)
        for before, point in pairwise(points)
        if point.value is not None and (point.value < 0 if negative else point.value > 0)
    ]
    for before, point in reversed(steps) if negative else steps:
        assert point.value is not None
        place, is_number = source.place(abs(point.value))
        # Going up, a point's code begins at it if inclusive; going down from zero, the
        # code before it begins at it if the point is not.
        begins_at = is_number and point.inclusive != negative
        runs[place + (not begins_at)] = before.code if negative else point.code
    finite = {start: code for start, code in runs.items() if start < source.infinity}
    specials = {source.infinity: special(np.inf), source.infinity + 1: special(np.nan)}
    return sorted((finite | specials).items())


def _override(sides: list[_Runs], fmt: Format, projection: Projection, source: SourceType) -> None:
    """Put over the runs what another library does otherwise."""
    codes = fmt.magnitudes.codes
    for step, integer, exponent, inclusive in projection.moved:
        place, is_number = source.place(Fraction(integer) * Fraction(2) ** exponent)
        start = place + (not (inclusive and is_number))
        for negative, runs in enumerate(sides):
            code = int(codes[step])
            if negative and fmt.signed:
                code = fmt.negate_code(code)
            at = [i for i, run in enumerate(runs) if run[1] == code and run[0] > 0]
            if at:
                runs[at[0]] = (start, code)
    places = {"zero": 0, "infinity": source.infinity, "nan": source.infinity + 1}
    for result, code in projection.results:
        kind = result.value.removeprefix("-")
        negative = result.value.startswith("-")
        runs = sides[negative]
        starts = [start for start, _ in runs]
        if kind == "underflow":
            runs[starts.index(1)] = (1, code)
            continue
        if kind != "overflow":
            runs[starts.index(places[kind])] = (places[kind], code)
            continue
        points = reference.breakpoints(fmt, projection.rounding, projection.saturation)
        last = starts.index(source.infinity) - 1
        if runs[last][1] == points[0 if negative else -1].code:  # the type goes beyond the range
            runs[last] = (starts[last], code)


# Exceptions: between neighbouring values they change at most once, found by bisection.

#: The bit of each exception, as SoftFloat's and RISC-V's, which have 08 for division by zero.
FLAG_BITS = {"inexact": 1, "underflow": 2, "overflow": 4, "invalid": 16}


def expected_flags(
    words: npt.NDArray[Any], fmt: Format, source: SourceType, projection: Projection
) -> npt.NDArray[np.uint8]:
    """Return the exceptions that conversions should raise."""
    if projection.moved or projection.results or projection.sign_dropped:
        msg = (
            "flags must not be judged with like= a library that departs from the rules: its "
            "exceptions are not known; judge codes alone, or name rounding and saturation"
        )
        raise ValueError(msg)
    starts, bits = _flag_runs(fmt, projection, source)
    return bits[np.searchsorted(starts, words.astype(np.uint64), side="right") - 1]


@lru_cache(maxsize=64)
def _flag_runs(
    fmt: Format, projection: Projection, source: SourceType
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return the first word of each run, and its exceptions."""
    nan = NanResult.MAX if projection.nan is NanResult.RAISE else projection.nan

    def ask(word: int) -> int:
        value = source.values(np.array([word], np.uint64).astype(source.word))[0]
        found = reference.flags(value, fmt, projection.rounding, projection.saturation, nan=nan)
        return sum(bit for name, bit in FLAG_BITS.items() if getattr(found, name))

    codes = truth_of(fmt, projection, source).starts
    classes = class_runs(fmt, source)[0].astype(np.uint64)
    ends = [*np.union1d(codes, classes).tolist(), 1 << source.bits]
    starts: list[int] = []
    bits: list[int] = []
    for first, stop in pairwise(ends):
        for start, found in _changes(first, stop - 1, ask):
            if not bits or found != bits[-1]:
                starts.append(start)
                bits.append(found)
    return np.array(starts, np.uint64), np.array(bits, np.uint8)


def _changes(first: int, last: int, ask: Callable[[int], int]) -> list[tuple[int, int]]:
    """Return where the exceptions change between two words, the first one included."""
    low, high = ask(first), ask(last)
    if low == high:
        return [(first, low)]
    below, above = first, last
    while above - below > 1:
        middle = (below + above) // 2
        if ask(middle) == low:
            below = middle
        else:
            above = middle
    return [(first, low), *_changes(above, last, ask)]


# The other direction.


@lru_cache(maxsize=64)
def expected_words(fmt: Format, source: SourceType) -> npt.NDArray[Any]:
    """Return the bits of every code's value."""
    words = np.zeros(1 << fmt.bits, source.word)
    for code in range(1 << fmt.bits):
        datum = reference.decode(code, fmt)
        magnitude, exact = source.place(abs(datum.value))
        if datum.kind is reference.Kind.NAN:
            magnitude = source.infinity | source.quiet
        elif datum.kind is reference.Kind.INFINITE:
            magnitude = source.infinity
        elif not exact:
            msg = (
                f"source must hold every value of {fmt.name}, {source.name} does not hold that "
                f"of code {code:#x}; name a wider one"
            )
            raise ValueError(msg)
        words[code] = magnitude | (source.sign if datum.negative else 0)
    words.flags.writeable = False
    return words
