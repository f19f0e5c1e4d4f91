"""
A chunk of a sweep: words are made, converted and compared, block by block.

::

    plan, index -> words of a block -> implementation -> codes -> the run's code?  -> Part
                   (in the cache)                                 no: looked at closely

A chunk knows nothing about the others, so that chunks can be done anywhere and in any order.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import refuse
from fp8num._records import entries, listed, made, maybe, text, whole
from fp8num.verify.classes import CLASSES
from fp8num.verify.conformance import Finding
from fp8num.verify.implementation import Fault, ImplementationError, ask
from fp8num.verify.tally import Tally, Witness, tally
from fp8num.verify.truth import Truth, truth_of

if TYPE_CHECKING:
    from fp8num.verify.sweeping.plan import Plan

__all__ = ["BLOCK", "WRITTEN_TO", "Part", "judge_chunk"]

#: Words of a block: what the codec takes at once, 1 MiB of float32.
BLOCK = 1 << 18
#: Looked for in the first block of each chunk, and wherever a code is wrong.
WRITTEN_TO = "the array that it was given has changed"


@dataclass(frozen=True, slots=True)
class Part:
    """What was found in a chunk."""

    tally: Tally  #: of the words up to a fault
    #: SHA-256 of the codes, little endian, if asked for and there is no fault.
    digest: str | None = None
    fault: Finding | None = None  #: why the chunk was given up

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dictionary that JSON can hold."""
        return {
            "cases": self.tally.cases,
            "mismatches": [[name, count] for name, count in self.tally.mismatches],
            "witnesses": [[w.word, w.kind, w.expected, w.got] for w in self.tally.witnesses],
            "digest": self.digest,
            "fault": None if self.fault is None else [self.fault.fault.value, self.fault.detail],
        }

    @classmethod
    def from_dict(cls, plan: Plan, index: int, found: object) -> Part:
        """Return what `to_dict` has written."""
        size = plan.size_of(index)
        code = whole(0, (1 << plan.fmt.bits) - 1)
        witness = listed(whole(0, (1 << plan.source.bits) - 1), made(_known_class), code, code)
        record = entries(
            "a part",
            found,
            {
                "cases": whole(0, size),
                "mismatches": listed(listed(made(_known_class), whole(1, size))),
                "witnesses": listed(witness),
                "digest": maybe(text),
                "fault": maybe(listed(made(Fault), text)),
            },
        )
        cases, fault, digest = record["cases"], record["fault"], record["digest"]
        counts = dict(record["mismatches"])
        witnesses = tuple(Witness(*fields) for fields in record["witnesses"])
        if fault is None and cases != size:
            msg = f"{cases} of {size} words"
            raise ValueError(msg)
        seen = Counter(one.kind for one in witnesses)
        if (
            len(counts) != len(record["mismatches"])
            or sum(counts.values()) > cases
            or any(number > counts.get(kind, 0) for kind, number in seen.items())
        ):
            msg = f"mismatches {counts!s:.80} and {len(witnesses)} witnesses of {cases} words"
            raise ValueError(msg)
        if (digest is not None) != (plan.digests and fault is None) or not _is_digest(digest):
            refuse("digest of a part", "that of its codes", digest)
        finding = None if fault is None else Finding(*fault)
        return cls(Tally(cases, record["mismatches"], witnesses), digest, finding)


def _known_class(name: object) -> str:
    """Return the name of a class; ValueError if there is none of that name."""
    if not isinstance(name, str) or name not in CLASSES:
        refuse("a class", "one of those of a sweep", name)
    return name


def _is_digest(digest: str | None) -> bool:
    return digest is None or re.fullmatch(r"[0-9a-f]{64}", digest) is not None


def judge_chunk(plan: Plan, index: int) -> Part:
    """Send the words of a chunk through the implementation and compare the codes."""
    known = truth_of(plan.fmt, plan.projection, plan.source)
    start, stop = plan.span(index)
    # Making consecutive words is the cost of an addition in the cache.
    base = plan.source.every(0, min(BLOCK, stop - start))
    buffer, scratch = np.empty_like(base), np.empty(base.shape, np.bool_)
    # What the codes of consecutive words hash to is known as long as they are right.
    hasher = hashlib.sha256() if plan.digests and plan.seed is not None else None
    found, right = Tally(), 0
    for low in range(start, stop, BLOCK):
        high = min(low + BLOCK, stop)
        if plan.seed is None:
            size = high - low
            words = np.add(base[:size], base.dtype.type(low), out=buffer[:size])
        else:
            words = plan.words(low, high - low)
        try:
            got = ask(plan.implementation, words, plan.source, plan.fmt)
            if low == start:
                _require_same(words, plan.words(low, words.size))
            if plan.seed is None and _are_right(got, known, low, scratch):
                right += words.size
            else:
                if plan.digests and hasher is None:
                    hasher = _hash_of_runs(known, start, low)
                found += _look_closely(plan, known, low, words, got)
        except ImplementationError as error:
            detail = f"chunk {index}, {plan.where(low, high)}: {error}"
            return Part(found + Tally(right), None, Finding(error.fault, detail))
        if hasher is not None:
            hasher.update(_bytes(got))
    found += Tally(right)
    if not plan.digests:
        return Part(found)
    digest = known.digest(start, stop - start) if hasher is None else hasher.hexdigest()
    return Part(found, digest)


def _require_same(words: npt.NDArray[Any], given: npt.NDArray[Any]) -> None:
    """Refuse an implementation that has written to its input."""
    if not np.array_equal(words, given):
        raise ImplementationError(Fault.INPUT, WRITTEN_TO)


def _are_right(
    got: npt.NDArray[Any], known: Truth, first: int, scratch: npt.NDArray[np.bool_]
) -> bool:
    """Whether codes are those of consecutive words: run by run, without writing them down."""
    for start, stop, code in known.runs(first, first + got.size):
        piece = slice(start - first, stop - first)
        if np.not_equal(got[piece], code, out=scratch[piece]).any():
            return False
    return True


def _look_closely(
    plan: Plan,
    known: Truth,
    first: int,
    words: npt.NDArray[Any],
    got: npt.NDArray[Any],
) -> Tally:
    """Count the mismatches of a block; ImplementationError if its input was written to."""
    given = plan.words(first, words.size)
    _require_same(words, given)
    if plan.seed is None:
        expected = np.empty_like(got)
        known.fill(first, expected)
    else:
        expected = known.codes_of(given)
    return tally(given, expected, got, plan.fmt, plan.source, nan=plan.compare_nan)


def _hash_of_runs(known: Truth, start: int, stop: int) -> Any:  # noqa: ANN401 - hashlib's object
    """Return a hash that has taken the codes of consecutive words."""
    hasher = hashlib.sha256()
    for low in range(start, stop, BLOCK):
        codes = np.empty(min(BLOCK, stop - low), known.codes.dtype)
        known.fill(low, codes)
        hasher.update(_bytes(codes))
    return hasher


def _bytes(codes: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(codes, codes.dtype.newbyteorder("<")).data
