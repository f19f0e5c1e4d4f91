"""
The two directions of a conversion: what is given, what must come, and what is said of both.

::

    Encoding   words, the bits of numbers -> codes    judged by the runs of `Truth`
    Decoding   codes -> words                         judged by the value of each code

Whoever judges asks a direction, and never which of them it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num.projection import PROFILES, NanResult, Rounding, Saturation
from fp8num.verify import reference
from fp8num.verify.classes import CLASSES, classify
from fp8num.verify.conformance import Direction
from fp8num.verify.coverage import cover
from fp8num.verify.hexlines import code_digits
from fp8num.verify.implementation import check_codes, check_words_of
from fp8num.verify.tally import NanRule, Tally, differing, exclusions_of, gather, tally
from fp8num.verify.truth import describe_projection, expected_flags, expected_words, truth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.coverage import Coverage
    from fp8num.verify.sources import SourceType

__all__ = ["Decoding", "Encoding", "Task"]

#: Wider formats have so many values that another convention takes minutes to work out.
MOST_BITS = 8
#: Conventions that are named.
MOST = 3

_Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Encoding:
    """Numbers, given as words, to codes."""

    fmt: Format
    source: SourceType
    projection: Projection
    nan: NanRule = NanRule.CLASS
    as_said: str | None = None  #: the rule in words, if not those of the projection

    direction = Direction.ENCODE

    @property
    def rule(self) -> str:
        """What is expected, in words."""
        return self.as_said or describe_projection(self.projection)

    @property
    def exclusions(self) -> tuple[str, ...]:
        """What a verdict leaves out."""
        return exclusions_of(self.projection, self.fmt, self.nan)

    def asked(self, words: _Array) -> npt.NDArray[np.bool_]:
        """Return which words have a code: NaNs that are to raise an error have none."""
        if self.projection.nan is NanResult.RAISE and not self.fmt.has_nan:
            magnitudes = words & self.source.word.type(self.source.sign - 1)
            return np.asarray(magnitudes <= self.source.infinity)
        return np.ones(words.shape, np.bool_)

    def given(self, words: _Array, takes: str) -> _Array:
        """Return what a callable is given."""
        return words if takes == "bits" else self.source.values(words)

    def swaps(self, takes: str) -> bool:
        """Whether there are arrays of the other byte order: bits and ml_dtypes' have none."""
        return takes == "values" and self.source.name != "bfloat16"

    def read(self, answer: object, shape: tuple[int, ...]) -> _Array:
        """Return an answer as codes; ImplementationError if it holds none."""
        return check_codes(answer, shape, self.fmt)

    def input_text(self, word: int) -> str:
        """Write an input."""
        return self.source.hex(word)

    def output_text(self, code: int) -> str:
        """Write an output."""
        return f"{code:0{code_digits(self.fmt)}x}"

    def expected(self, words: _Array) -> _Array:
        """Return the right codes; ValueError if a code alone is not right or wrong."""
        return truth_of(self.fmt, self.projection, self.source).codes_of(words)

    def tally(self, words: _Array, codes: _Array) -> Tally:
        """Compare codes with the right ones."""
        return tally(words, self.expected(words), codes, self.fmt, self.source, nan=self.nan)

    def flag_tally(self, words: _Array, flags: _Array | None) -> Tally | None:
        """Compare flags, all of them: also where the code is a NaN."""
        if flags is None:
            return None
        expected = expected_flags(words, self.fmt, self.source, self.projection)
        return tally(words, expected, flags, self.fmt, self.source, nan=NanRule.CODE)

    def cases(self, words: _Array) -> tuple[tuple[str, int], ...]:
        """Count words by class."""
        counts = np.bincount(classify(words, self.fmt, self.source), minlength=len(CLASSES))
        return tuple((n, int(c)) for n, c in zip(CLASSES, counts.tolist(), strict=True) if c)

    def coverage(self, words: _Array) -> Coverage | None:
        """Return which roundings were exercised."""
        return cover(words, self.fmt, self.source, self.projection)

    def agrees(self, words: _Array, codes: _Array, found: Tally) -> tuple[str, ...]:
        """Return the options of `check` under which every one of these codes is right."""
        named: list[str] = []
        if not found.total or self.fmt.bits > MOST_BITS:
            return ()
        for text, other in self._others():
            if self._may_be(other, found):
                expected = replace(self, projection=other).expected(words)
                if not differing(expected, codes, self.fmt, self.nan).size:
                    named.append(text)
                    if len(named) == MOST:
                        break
        return tuple(named)

    def _others(self) -> Iterator[tuple[str, Projection]]:
        """Yield other conventions, each once: an alias of a profile says nothing more."""
        seen = {self.projection}
        profiles = [
            (f"like={name!r}", profile.projection(self.fmt))
            for name, profile in PROFILES.items()
            if profile.name == name and profile.has(self.fmt)
        ]
        plain = replace(self.projection, moved=(), results=(), sign_dropped=False)
        ends = [(f"saturation={e.value!r}", replace(plain, saturation=e)) for e in Saturation]
        modes = [
            (f"rounding={mode.value!r}", replace(plain, rounding=mode))
            for mode in Rounding
            if not mode.is_stochastic
        ]
        for text, other in (*profiles, *ends, *modes):
            if other not in seen:
                seen.add(other)
                yield text, other

    def _may_be(self, other: Projection, found: Tally) -> bool:
        """Whether a convention gives the first wrong codes: quickly told if it has no slips."""
        if other.moved or other.results or other.sign_dropped or other.nan is NanResult.RAISE:
            return True
        for witness in found.witnesses:
            word = np.array([witness.word], self.source.word)
            with np.errstate(all="ignore"):
                x = self.source.values(word).astype(np.float64)[0]
            if np.isfinite(x):
                code = reference.project(
                    x, self.fmt, other.rounding, other.saturation, nan=other.nan
                )
                if code != witness.got and self.fmt.classify(code) != "nan":
                    return False
        return True


@dataclass(frozen=True)
class Decoding:
    """Codes, every one of them, to numbers, taken as words."""

    fmt: Format
    source: SourceType
    nan: NanRule = NanRule.CLASS  #: whether the sign of a NaN matters; its payload does not

    direction = Direction.DECODE
    rule = "exact"

    @property
    def exclusions(self) -> tuple[str, ...]:
        """What a verdict leaves out."""
        ignored = "payload" if self.nan is NanRule.CODE else "sign and payload"
        return (f"the {ignored} of NaN values",) if self.fmt.has_nan else ()

    @property
    def codes(self) -> _Array:
        """Every code."""
        return np.arange(1 << self.fmt.bits, dtype=self.fmt.code_dtype)

    @property
    def domain(self) -> str:
        """What the inputs are, in a sentence."""
        return f"all {1 << self.fmt.bits:,} codes of {self.fmt.name}"

    def asked(self, codes: _Array) -> npt.NDArray[np.bool_]:
        """Return which codes have a value: all."""
        return np.ones(codes.shape, np.bool_)

    def given(self, codes: _Array, takes: str) -> _Array:  # noqa: ARG002 - codes are bits
        """Return what a callable is given."""
        return codes

    def swaps(self, takes: str) -> bool:  # noqa: ARG002 - as above
        """Whether there are arrays of the other byte order."""
        return False

    def read(self, answer: object, shape: tuple[int, ...]) -> _Array:
        """Return an answer as words; ImplementationError if it holds no values of the type."""
        return check_words_of(answer, shape, self.source)

    def input_text(self, code: int) -> str:
        """Write an input."""
        return f"code {code:#x}"

    def output_text(self, word: int) -> str:
        """Write an output."""
        return self.source.hex(word)

    def expected(self, codes: _Array) -> _Array:
        """Return the right words; ValueError if the type cannot hold every value."""
        return expected_words(self.fmt, self.source)[codes]

    def tally(self, codes: _Array, words: _Array) -> Tally:
        """Compare words with the right ones; NaNs by class, or by class and sign."""
        expected = self.expected(codes)
        mask = self.source.word.type(self.source.sign - 1)
        both = (expected & mask) > self.source.infinity
        both &= (words & mask) > self.source.infinity
        if self.nan is NanRule.CODE and self.fmt.has_negative_zero:
            both &= (expected ^ words) <= mask
        wrong = np.flatnonzero((expected != words) & ~both)
        names = ("infinity", "nan", "normal", "subnormal", "zero")
        kinds = [names.index(self.fmt.classify(code)) for code in codes[wrong].tolist()]
        return gather(codes, expected, words, wrong, np.array(kinds, np.intp), names=names)

    def flag_tally(self, codes: _Array, flags: _Array | None) -> None:
        """Compare flags: there are none."""

    def cases(self, codes: _Array) -> tuple[tuple[str, int], ...]:  # noqa: ARG002 - of all
        """Count all codes by class."""
        return tuple(sorted(Counter(map(self.fmt.classify, self.codes.tolist())).items()))

    def coverage(self, codes: _Array) -> None:
        """Return which roundings were exercised: none."""

    def agrees(self, codes: _Array, words: _Array, found: Tally) -> tuple[str, ...]:  # noqa: ARG002
        """Return other conventions: decoding has none."""
        return ()


#: What is judged.
Task: TypeAlias = Encoding | Decoding
