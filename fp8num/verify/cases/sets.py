"""Inputs with a name and a stated domain, and their union."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num.formats import get_format
from fp8num.verify.classes import CLASSES, classify

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["CaseSet", "first_of_each", "union"]

#: What a code stands for, as `Format.classify` says it.
_CODE_CLASSES = ("zero", "subnormal", "normal", "infinity", "nan")


@dataclass(frozen=True, eq=False)
class CaseSet:
    """
    Inputs, with a name and a statement of what they are.

    Parameters
    ----------
    name : str
        What the set is called.
    domain : str
        Exactly what it contains.
    words : ndarray of unsigned integers, shape (n,)
        Words of the source, or codes where there is no source; none of them twice.
    exhaustive : bool
        Whether these are all the words, or codes, that there are.
    source : SourceType, optional
        The type of the words.
    fmt : Format, optional
        The format that the set was made for; that of the codes.

    Raises
    ------
    TypeError, ValueError
        If the words are not unsigned integers in one dimension, or one is there twice.
    """

    name: str
    domain: str
    words: npt.NDArray[Any]
    exhaustive: bool = False
    source: SourceType | None = None
    fmt: Format | None = None

    def __post_init__(self) -> None:
        """Check the words and keep others from writing to them."""
        words = np.array(as_array(self.words, "words"))
        if words.dtype.kind != "u" or words.ndim != 1:
            msg = (
                f"words must be unsigned integers in one dimension, got {words.dtype} of shape "
                f"{words.shape}; view the bits of values and ravel them"
            )
            raise TypeError(msg)
        twice = words.size - np.unique(words).size
        if twice:
            msg = (
                f"words must have no duplicates, got {twice} among {words.size}; "
                "pass them through np.unique"
            )
            raise ValueError(msg)
        words = words.astype(words.dtype.newbyteorder("="), copy=False)
        words.flags.writeable = False
        object.__setattr__(self, "words", words)

    @property
    def size(self) -> int:
        """The number of cases."""
        return int(self.words.size)

    def by_class(self, fmt: Format | str | None = None) -> dict[str, int]:
        """
        Count the cases of each class.

        Parameters
        ----------
        fmt : Format or str, optional
            The format that they are classified for; the set's own by default.

        Returns
        -------
        dict of str to int
            By `CLASSES`, in their order, those without a case left out.  For codes, by what
            a code stands for: zero, subnormal, normal, infinity, nan.

        Raises
        ------
        ValueError
            If there is no format.
        """
        chosen = self.fmt if fmt is None else get_format(fmt)
        if chosen is None:
            msg = f"fmt must be given, as {self.name} was made for no format, got None"
            raise ValueError(msg)
        if self.source is None:
            kinds = Counter(chosen.classify(code) for code in self.words.tolist())
            return {name: kinds[name] for name in _CODE_CLASSES if kinds[name]}
        counts = np.bincount(classify(self.words, chosen, self.source), minlength=len(CLASSES))
        return {name: count for name, count in zip(CLASSES, counts.tolist(), strict=True) if count}

    def __or__(self, other: CaseSet) -> CaseSet:
        """Return the union, this set's words first."""
        return union(self, other)

    def __str__(self) -> str:
        whole = "exhaustive" if self.exhaustive else "not exhaustive"
        return f"{self.name}: {self.size:,} cases, {whole}: {self.domain}"


def union(*sets: CaseSet, name: str | None = None) -> CaseSet:
    """
    Return the cases of several sets, each once.

    Parameters
    ----------
    *sets : CaseSet
        At least one; of one source, or all of codes of one format.
    name : str, optional
        What the union is called; the sets' names, by default.

    Returns
    -------
    CaseSet
        The words of the first set, then those of the next that are new, and so on.  Its
        domain lists theirs.  Its format is theirs, if those that have one agree.

    Raises
    ------
    ValueError
        If there is no set, or their words are of different types.
    """
    if not sets:
        msg = "sets must be at least one CaseSet, got none"
        raise ValueError(msg)
    kinds = dict.fromkeys(_kind(cases) for cases in sets)
    if len(kinds) > 1:
        msg = (
            f"sets must hold words of one type, got {' and '.join(kinds)}; "
            "make one union for each of them"
        )
        raise ValueError(msg)
    formats = [cases.fmt for cases in sets if cases.fmt is not None]
    return CaseSet(
        name or " | ".join(cases.name for cases in sets),
        "; ".join(dict.fromkeys(cases.domain for cases in sets)),
        first_of_each(np.concatenate([cases.words for cases in sets])),
        exhaustive=any(cases.exhaustive for cases in sets),
        source=sets[0].source,
        fmt=formats[0] if formats and all(fmt == formats[0] for fmt in formats) else None,
    )


def _kind(cases: CaseSet) -> str:
    """Say what the words of a set are."""
    if cases.source is not None:
        return f"{cases.source.name} numbers"
    return "codes" if cases.fmt is None else f"{cases.fmt.name} codes"


def first_of_each(words: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return each word where it is first."""
    _, first = np.unique(words, return_index=True)
    return words[np.sort(first)]
