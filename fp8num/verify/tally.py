"""
What a comparison of codes found: counts by class and the first witnesses, mergeable.

::

    words, expected, got -> Tally        Tally + Tally -> Tally, in the order of the inputs

Only the words that differ are looked at closely, so that counting 2**32 inputs costs
little more than comparing them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.projection import NanResult
from fp8num.verify.classes import CLASSES, classify

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.sources import SourceType

__all__ = [
    "WITNESSES",
    "NanRule",
    "Tally",
    "Witness",
    "differing",
    "exclusions_of",
    "gather",
    "tally",
]

#: Witnesses that are kept of each class.
WITNESSES = 3


class NanRule(Enum):
    """When two codes of NaN count as equal."""

    CLASS = "class"  #: always
    CODE = "code"  #: if they are the same code


@dataclass(frozen=True, slots=True)
class Witness:
    """
    An input whose code is wrong.

    Parameters
    ----------
    word : int
        The bits of the input.
    kind : str
        Its class, one of `CLASSES`.
    expected, got : int
        The right code and the other.
    """

    word: int
    kind: str
    expected: int
    got: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of cases and mismatches."""

    cases: int = 0  #: inputs that were compared
    #: By class, in the order of `CLASSES`, those with none left out.
    mismatches: tuple[tuple[str, int], ...] = ()
    #: The first `WITNESSES` of each class, in the order of the inputs.
    witnesses: tuple[Witness, ...] = ()

    @property
    def total(self) -> int:
        """The number of mismatches."""
        return sum(count for _, count in self.mismatches)

    def __add__(self, other: Tally) -> Tally:
        """Return the tally of this part of the inputs and of another that follows it."""
        counts = Counter(dict(self.mismatches)) + Counter(dict(other.mismatches))
        kept: Counter[str] = Counter()
        witnesses = []
        for witness in (*self.witnesses, *other.witnesses):
            kept[witness.kind] += 1
            if kept[witness.kind] <= WITNESSES:
                witnesses.append(witness)
        return Tally(
            self.cases + other.cases,
            tuple((name, counts[name]) for name in CLASSES if counts[name]),
            tuple(witnesses),
        )


def differing(
    expected: npt.NDArray[Any], got: npt.NDArray[Any], fmt: Format, nan: NanRule
) -> npt.NDArray[np.intp]:
    """Return where codes differ, by the rule for NaN, as indices of flat arrays."""
    wrong = np.flatnonzero(expected != got)
    if nan is NanRule.CODE or not wrong.size or not fmt.has_nan:
        return wrong
    is_nan = np.isnan(fmt.values)
    kept: npt.NDArray[np.intp] = wrong[~(is_nan[expected[wrong]] & is_nan[got[wrong]])]
    return kept


def exclusions_of(projection: Projection, fmt: Format, compare_nan: NanRule) -> tuple[str, ...]:
    """Return what a comparison of codes leaves out."""
    found = []
    if projection.nan is NanResult.RAISE and not fmt.has_nan:
        found.append("NaNs, which are to raise an error")
    if compare_nan is NanRule.CLASS and fmt.has_nan:
        found.append("which code of NaN is given")
    return tuple(found)


def tally(
    words: npt.NDArray[Any],
    expected: npt.NDArray[Any],
    got: npt.NDArray[Any],
    fmt: Format,
    source: SourceType,
    *,
    nan: NanRule = NanRule.CLASS,
) -> Tally:
    """Compare codes."""
    wrong = differing(expected, got, fmt, nan)
    kinds = classify(words[wrong], fmt, source) if wrong.size else np.zeros(0, np.uint8)
    return gather(words, expected, got, wrong, kinds, names=CLASSES)


def gather(
    inputs: npt.NDArray[Any],
    expected: npt.NDArray[Any],
    got: npt.NDArray[Any],
    wrong: npt.NDArray[np.intp],
    kinds: npt.NDArray[Any],
    *,
    names: tuple[str, ...],
) -> Tally:
    """Count what is wrong by class, given as indices of names, and keep the first of each."""
    if not wrong.size:
        return Tally(inputs.size)
    counts = np.bincount(kinds, minlength=len(names))
    firsts = [np.flatnonzero(kinds == kind)[:WITNESSES] for kind in np.flatnonzero(counts)]
    kept = np.sort(np.concatenate(firsts))
    witnesses = tuple(
        Witness(int(inputs[i]), names[kind], int(expected[i]), int(got[i]))
        for i, kind in zip(wrong[kept].tolist(), kinds[kept].tolist(), strict=True)
    )
    mismatches = tuple((name, int(n)) for name, n in zip(names, counts, strict=True) if n)
    return Tally(inputs.size, mismatches, witnesses)
