"""
Every input at which two conversions disagree: other libraries' conventions, or implementations.

::

    profile, projection   -> runs of words ---------.
                                                     >- words that differ -> intervals
    callable, process     -> codes of tried words --'

Two lists of runs are merged, so that 2**64 words are compared exactly and at once.  An
implementation is asked about every word, block by block; or about the standard cases, and
then half way between neighbours that do not disagree alike, until they touch.

    tried words   ......aaaaa....bbbb.......     a, b: both codes, if they differ
                        `---' a stretch          .     no disagreement
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num._arguments import member, refuse_kind
from fp8num._tasks import check_executor, in_order
from fp8num._text import brief
from fp8num.formats import get_format
from fp8num.projection import PROFILES, Profile, Projection
from fp8num.verify.cases import standard
from fp8num.verify.classes import CLASSES, class_runs, classify
from fp8num.verify.implementation import Implementation, ImplementationError, as_implementation, ask
from fp8num.verify.intervals import Difference, Stretches
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.tally import NanRule, differing
from fp8num.verify.truth import describe_projection, truth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from fp8num.formats import Format
    from fp8num.verify.truth import Truth

    Conversion = str | Profile | Projection | Implementation | Callable[[npt.NDArray[Any]], Any]

__all__ = ["Compared", "Pair", "Side", "by_cases", "by_every_word", "by_runs", "diff"]

#: Words that an implementation is given at once.
BLOCK = 1 << 18
#: Words of a task for an executor, and tasks that wait at the same time.
TASK, WAITING = 1 << 23, 32
#: Intervals that are kept, so that memory is bounded whatever an implementation does.
MOST_INTERVALS = 1 << 16
#: Words that bisection may add to the cases.
MOST_PROBES = 1 << 22


def diff(
    a: Conversion,
    b: Conversion,
    fmt: Format | str,
    *,
    source: SourceType | npt.DTypeLike | str = "float32",
    exhaustive: bool | None = None,
    nan: NanRule | str = "code",
    name_a: str | None = None,
    name_b: str | None = None,
    takes: str = "values",
    timeout: float | None = None,
    executor: Executor | None = None,
    progress: Callable[[int], object] | None = None,
) -> Difference:
    """
    Find every input at which two conversions to a format disagree.

    Parameters
    ----------
    a, b : str, Profile, Projection, Implementation or callable
        A profile's name, as ``like=`` takes it; a profile or a deterministic projection;
        or an implementation, such as a callable from an array of values to one of codes.
    fmt : Format or str
        The format.
    source : SourceType, str or dtype, optional
        The type of the inputs.
    exhaustive : bool, optional
        Whether an implementation is given every word of the type, or the standard cases.
        The default is every word of the 16-bit types.  Profiles and projections are
        compared over every word in any case.
    nan : {"code", "class"} or NanRule, optional
        Whether two different codes of NaN are a disagreement.
    name_a, name_b : str, optional
        What the two are called in the record.
    takes, timeout : optional
        What callables are given, and for how long; see `as_implementation`.
    executor : concurrent.futures.Executor, optional
        Where blocks of words are worked on if `exhaustive`; it is not shut down.  The
        record does not depend on it.
    progress : callable, optional
        Called with the number of words that are done, now and then, if `exhaustive`.

    Returns
    -------
    Difference
        The intervals of inputs, with the domain that was compared.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, a profile does not have the format, or `exhaustive` is
        asked for over 2**64 words.
    ImplementationError
        If an implementation gives no codes.

    Examples
    --------
    >>> from fp8num.projection import Projection
    >>> found = diff(Projection(), "ml_dtypes", "E4M3FN", source="float16")
    >>> for interval in found.intervals:  # |x| > 464: saturated, or NaN
    ...     print(interval)
    0x1.d04p+8 to inf, 7,360 inputs: 7e, 7f
    -inf to -0x1.d04p+8, 7,360 inputs: fe, ff
    """
    fmt, source, rule = get_format(fmt), get_source(source), member("nan", nan, NanRule)
    check_executor(executor)
    one = _side(a, "a", fmt, source, takes=takes, timeout=timeout)
    other = _side(b, "b", fmt, source, takes=takes, timeout=timeout)
    one = replace(one, name=one.name if name_a is None else name_a)
    other = replace(other, name=other.name if name_b is None else name_b)
    pair = Pair(one, other, fmt, source, rule)
    if exhaustive is None:
        exhaustive = source.bits == 16
    if one.truth is not None and other.truth is not None:
        found = by_runs(pair, one.truth, other.truth)
    elif not exhaustive:
        found = by_cases(pair)
    elif source.bits <= 32:
        found = by_every_word(pair, executor, progress)
    else:
        msg = (
            f"exhaustive must be left out for implementations and {source.name}: "
            f"nobody waits for 2**{source.bits} words"
        )
        raise ValueError(msg)
    return Difference(
        name_a=one.name,
        name_b=other.name,
        fmt=fmt,
        source=source,
        nan=rule,
        domain=found.domain,
        notes=(*one.notes, *(note for note in other.notes if note not in one.notes), *found.notes),
        cases=found.cases,
        exact=found.cases == 1 << source.bits,
        by_class=tuple((name, n) for name, n in zip(CLASSES, found.counts, strict=True) if n),
        intervals=found.stretches.intervals(source),
    )


def _side(
    given: Conversion,
    argument: str,
    fmt: Format,
    source: SourceType,
    *,
    takes: str,
    timeout: float | None,
) -> Side:
    """Return a side; ValueError or TypeError if it is nothing that converts."""
    if isinstance(given, str):
        if given not in PROFILES:
            msg = (
                f"{argument} must be a profile, one of {', '.join(PROFILES)}, got {brief(given)}; "
                "or pass a Projection, or a callable from values to codes"
            )
            raise ValueError(msg)
        return replace(
            _side(PROFILES[given], argument, fmt, source, takes=takes, timeout=timeout), name=given
        )
    if isinstance(given, Profile):
        known = truth_of(fmt, given.projection(fmt), source)
        return Side(given.name, known, notes=(_note(given, source),))
    if isinstance(given, Projection):
        return Side(describe_projection(given), truth_of(fmt, given, source))
    if not callable(given) and not isinstance(given, Implementation):
        wanted = "a profile or its name, a Projection, or a callable from values to codes"
        refuse_kind(argument, wanted, given)
    implementation = as_implementation(given, takes=takes, timeout=timeout)
    return Side(implementation.name, implementation=implementation)


def _note(profile: Profile, source: SourceType) -> str:
    """Say what a profile rests on, and if it does not hold for a source."""
    note = f"profile {profile.name}: {profile.source}"
    if source.name in profile.sources:
        return note
    return f"{note}; from {source.name} the profile rounds once, and the library may not"


# What is compared.


@dataclass(frozen=True)
class Side:
    """One of the two conversions."""

    name: str  #: what it is called
    truth: Truth | None = None  #: the code of every word, of a profile or a projection
    implementation: Implementation | None = None  #: who is asked, where that is not known
    notes: tuple[str, ...] = ()  #: what is to be said about it

    def codes(self, words: npt.NDArray[Any], source: SourceType, fmt: Format) -> npt.NDArray[Any]:
        """Return the codes of words."""
        if self.truth is not None:
            return self.truth.codes_of(words)
        assert self.implementation is not None
        # Copies: it may write to its input, or hand out the same buffer each time.
        try:
            pieces = [
                ask(self.implementation, words[i : i + BLOCK].copy(), source, fmt).copy()
                for i in range(0, words.size, BLOCK)
            ]
        except ImplementationError as error:
            raise ImplementationError(error.fault, f"{self.name} {error.detail}") from error
        return np.concatenate(pieces) if pieces else np.zeros(0, fmt.code_dtype)

    def block(self, words: npt.NDArray[Any], source: SourceType, fmt: Format) -> npt.NDArray[Any]:
        """Return the codes of consecutive words, at the speed of memory if they are known."""
        if self.truth is None:
            return self.codes(words, source, fmt)
        found = np.empty(words.size, fmt.code_dtype)
        self.truth.fill(int(words[0]), found)
        return found


@dataclass(frozen=True)
class Pair:
    """What is compared, and how."""

    a: Side  #: the conversions
    b: Side  #: the conversions
    fmt: Format  #: the format of the codes
    source: SourceType  #: the type of the words
    nan: NanRule  #: when two codes of NaN are equal

    def codes(self, words: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return both codes of words."""
        one = self.a.codes(words, self.source, self.fmt)
        return one, self.b.codes(words, self.source, self.fmt)

    def differing(self, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Return where codes differ."""
        return differing(a, b, self.fmt, self.nan)


# What is found.


class Compared(NamedTuple):
    """What a comparison found."""

    #: Where the codes differ, in the order of the words; of implementations the first
    #: `MOST_INTERVALS`.
    stretches: Stretches
    counts: list[int]  #: words that differ, by class
    cases: int  #: words that were compared
    domain: str  #: which they were, in a sentence
    notes: tuple[str, ...] = ()  #: what that does not say


def _count(kinds: npt.NDArray[np.uint8], sizes: npt.NDArray[np.uint64]) -> list[int]:
    """Return the number of words of each class, exactly."""
    return [int(sizes[kinds == kind].sum()) for kind in range(len(CLASSES))]


def _single(
    words: npt.NDArray[Any], a: npt.NDArray[Any], b: npt.NDArray[Any], pair: Pair
) -> tuple[Stretches, list[int], npt.NDArray[np.intp]]:
    """Return each word that differs as a stretch, how many of each class, and their places."""
    wrong = pair.differing(a, b)
    kinds = classify(words[wrong], pair.fmt, pair.source)
    ends, ones = words[wrong].astype(np.uint64), np.ones(wrong.size, np.uint64)
    bits = np.uint32(1) << kinds.astype(np.uint32)
    found = Stretches(ends, ends, ones, a[wrong], b[wrong], bits)
    return found, _count(kinds, ones), wrong


# Profiles and projections: all words at once.


def by_runs(pair: Pair, a: Truth, b: Truth) -> Compared:
    """Compare all words at once: cut them where either code or the class changes."""
    source = pair.source
    lines = class_runs(pair.fmt, source)[0].astype(np.uint64)
    starts = np.unique(np.concatenate([a.starts, b.starts, lines]))
    lasts = np.append(starts[1:] - np.uint64(1), np.uint64((1 << source.bits) - 1))
    codes_a, codes_b = a.codes_of(starts), b.codes_of(starts)
    wrong = pair.differing(codes_a, codes_b)
    first, last = starts[wrong], lasts[wrong]
    kinds = classify(first.astype(source.word), pair.fmt, source)
    sizes = last - first + np.uint64(1)
    bits = np.uint32(1) << kinds.astype(np.uint32)
    found = Stretches(first, last, sizes, codes_a[wrong], codes_b[wrong], bits)
    domain = f"every {source.name} word, by the runs of both"
    return Compared(found.adjacent(source), _count(kinds, sizes), 1 << source.bits, domain)


# Implementations: every word, block by block.


def by_every_word(
    pair: Pair, executor: Executor | None, progress: Callable[[int], object] | None
) -> Compared:
    """Give every word to the implementations, block by block."""
    source = pair.source
    kept: list[Stretches] = []
    counts, room = [0] * len(CLASSES), MOST_INTERVALS
    for part, part_counts in _parts(pair, executor):
        counts = [have + more for have, more in zip(counts, part_counts, strict=True)]
        kept.append(part.first_ones(room))
        room -= kept[-1].first.size
        if progress is not None:
            progress(min(TASK, 1 << source.bits))
    domain = f"every {source.name} word, each given to {_asked(pair)}"
    return Compared(_concatenated(kept, source), counts, 1 << source.bits, domain)


def _concatenated(parts: list[Stretches], source: SourceType) -> Stretches:
    """Join what was found in consecutive parts of the words."""
    columns = zip(*parts, strict=True)
    return Stretches._make(map(np.concatenate, columns)).adjacent(source)


def _asked(pair: Pair) -> str:
    """Name the implementations."""
    asked = [side.name for side in (pair.a, pair.b) if side.truth is None]
    return " and ".join(dict.fromkeys(asked))


_Part = tuple[Stretches, list[int]]


def _parts(pair: Pair, executor: Executor | None) -> Iterator[_Part]:
    """Yield what is found in consecutive parts of the words, in their order."""
    total = 1 << pair.source.bits
    task = partial(_part, pair, count=min(TASK, total))
    return in_order(task, range(0, total, TASK), executor, WAITING)


def _part(pair: Pair, first: int, count: int) -> _Part:
    """Compare consecutive words."""
    kept: list[Stretches] = []
    counts = [0] * len(CLASSES)
    for start in range(first, first + count, BLOCK):
        words = pair.source.every(start, min(BLOCK, first + count - start))
        codes = [side.block(words, pair.source, pair.fmt) for side in (pair.a, pair.b)]
        found, block_counts, _ = _single(words, codes[0], codes[1], pair)
        counts = [have + more for have, more in zip(counts, block_counts, strict=True)]
        kept.append(found.adjacent(pair.source).first_ones(MOST_INTERVALS))
    return _concatenated(kept, pair.source).first_ones(MOST_INTERVALS), counts


# Implementations: the standard cases, and what bisection adds to them.


def by_cases(pair: Pair) -> Compared:
    """Ask about the standard cases, then half way between neighbours of which one differs."""
    source = pair.source
    cases = standard(pair.fmt, source)
    words = np.unique(np.concatenate([cases.words, *_own_words(pair)]))
    known = words.size
    words, codes_a, codes_b, complete = _refined(words, pair)
    found, counts, wrong = _single(words, codes_a, codes_b, pair)
    stretches = found.joined(wrong[1:] - wrong[:-1] == 1, source)
    domain = f"{cases.domain}; and {words.size - known:,} words more beside disagreements"
    note = (
        f"{words.size:,} of {1 << source.bits:,} words were tried: an interval has these codes "
        "at those of its words that were tried, and ends where a word that was tried has others"
    )
    notes: tuple[str, ...] = (note,) if words.size < 1 << source.bits else ()
    if not complete:
        notes += (f"bisection ended at {MOST_PROBES:,} words: intervals may be longer",)
    return Compared(stretches.first_ones(MOST_INTERVALS), counts, words.size, domain, notes)


def _own_words(pair: Pair) -> Iterator[npt.NDArray[Any]]:
    """Yield words that belong to the cases: the ends of both signs, and where a profile changes."""
    source = pair.source
    last = (1 << source.bits) - 1
    yield np.array([0, source.sign - 1, source.sign, last], source.word)
    for side in (pair.a, pair.b):
        if side.truth is not None:
            starts = side.truth.starts.astype(source.word)
            yield starts
            yield starts[1:] - source.word.type(1)


def _refined(
    words: npt.NDArray[Any], pair: Pair
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], bool]:
    """Add words half way between neighbours that do not disagree alike, until they touch."""
    codes_a, codes_b = pair.codes(words)
    room = MOST_PROBES
    while True:
        wrong = pair.differing(codes_a, codes_b)
        # What both give if they disagree, and one number for all agreement.
        state = np.zeros(words.size, np.int64)
        state[wrong] = codes_a[wrong].astype(np.int64) << 16 | codes_b[wrong]
        state[wrong] += 1
        gap = words[1:] - words[:-1]
        at = np.flatnonzero((state[1:] != state[:-1]) & (gap > 1))
        if not at.size or at.size > room:
            return words, codes_a, codes_b, not at.size
        room -= at.size
        middle = words[:-1][at] + (gap[at] >> words.dtype.type(1))
        more_a, more_b = pair.codes(middle)
        words = np.insert(words, at + 1, middle)
        codes_a, codes_b = np.insert(codes_a, at + 1, more_a), np.insert(codes_b, at + 1, more_b)
