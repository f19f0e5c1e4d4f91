"""
The record of a sweep: what was tried, and what was found.

::

    Part 0 + Part 1 + ... -> Sweep

It depends on the words and on the implementation, and not on who did which chunk, in which
order, or how often the work was interrupted.
"""

from __future__ import annotations

import time
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._records import as_dict, plain
from fp8num.verify.conformance import Conformance, Direction, Finding, exclusions_of
from fp8num.verify.implementation import Fault
from fp8num.verify.tally import NanRule, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.sources import SourceType
    from fp8num.verify.sweeping.chunks import Part
    from fp8num.verify.sweeping.plan import Plan

__all__ = ["FAULTS", "Sweep", "combine"]

#: Faulty chunks, in order, after which a sweep is given up.
FAULTS = 3


@dataclass(frozen=True, kw_only=True, repr=False)
class Sweep:
    """
    What a sweep has found.

    Parameters
    ----------
    implementation : str
        Its name.
    fmt : Format
        The format of the codes.
    source : SourceType
        The type of the words.
    projection : Projection
        What was expected.
    rule : str
        The same in words.
    compare_nan : NanRule
        When two codes of NaN counted as equal.
    domain : str
        What the words are, in a sentence.
    size : int
        How many they are.
    chunk_bits : int
        A chunk has 2 to the power of this many words, those at the ends perhaps fewer.
    chunks : range
        The indices of the chunks; a word's is its top bits.
    tally : Tally
        What the comparison found.
    digests : tuple of str or None
        SHA-256 of the codes of each chunk, little endian, None where there was a fault;
        empty unless asked for.
    faults : tuple of Finding
        What else is wrong, each in its chunk.
    seconds : float
        Wall time of this call; it says nothing about what was resumed.
    """

    implementation: str
    fmt: Format
    source: SourceType
    projection: Projection
    rule: str
    compare_nan: NanRule
    domain: str
    size: int
    chunk_bits: int
    chunks: range
    tally: Tally
    digests: tuple[str | None, ...]
    faults: tuple[Finding, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether all words were tried, all codes are right, and nothing else is wrong."""
        return self.tally.cases == self.size and not self.tally.total and not self.faults

    def __bool__(self) -> bool:
        return self.ok  # so that `assert sweep(...)` asserts something

    def to_dict(self) -> dict[str, Any]:
        """
        Return the record as a dictionary that JSON can hold.

        Returns
        -------
        dict
            All of it but ``seconds`` is the same however the work was done.
        """
        return {
            "ok": self.ok,
            "implementation": self.implementation,
            "format": self.fmt.to_dict(),
            "source": self.source.name,
            "projection": as_dict(self.projection),
            "rule": self.rule,
            "compare_nan": self.compare_nan.value,
            "domain": self.domain,
            "size": self.size,
            "chunk_bits": self.chunk_bits,
            "chunks": [self.chunks.start, self.chunks.stop],
            "cases": self.tally.cases,
            "mismatches": dict(self.tally.mismatches),
            "witnesses": [
                {
                    "class": witness.kind,
                    "word": f"{witness.word:0{self.source.digits}x}",
                    "input": self.source.hex(witness.word),
                    "expected": witness.expected,
                    "got": witness.got,
                }
                for witness in self.tally.witnesses
            ],
            "digests": list(self.digests),
            "faults": plain(self.faults),
            "seconds": self.seconds,
        }

    def to_conformance(self) -> Conformance:
        """Return the verdict; which inputs there are of each class was not counted."""
        return Conformance(
            implementation=self.implementation,
            fmt=self.fmt,
            source=self.source,
            direction=Direction.ENCODE,
            rule=self.rule,
            domain=self.domain,
            exclusions=exclusions_of(self.projection, self.fmt, self.compare_nan),
            cases=(),
            tally=self.tally,
            flags=None,
            findings=self.faults,
            coverage=None,
            nan=self.compare_nan,
            budget=0,
            seconds=self.seconds,
        )

    def __repr__(self) -> str:
        return repr(self.to_conformance())

    def __str__(self) -> str:
        return str(self.to_conformance())

    def digests_dict(self, name: str | None = None) -> dict[str, Any]:
        """
        Return the digests in the layout in which recordings of other stacks are kept.

        Parameters
        ----------
        name : str, optional
            What they are listed under.  The default is the implementation's name.

        Returns
        -------
        dict
            ``about``, ``meta``, and ``digests``: a list of a digest per chunk, by name.

        Raises
        ------
        ValueError
            If the sweep was made without digests.
        """
        if not self.digests:
            msg = f"the sweep of {self.implementation} has no digests; make it with digests=True"
            raise ValueError(msg)
        return {
            "about": f"SHA-256 of the output bytes for each of the consecutive chunks of "
            f"2**{self.chunk_bits} from chunk {self.chunks.start} on, in order: {self.domain}",
            "meta": {"format": self.fmt.name, "source": self.source.name, "numpy": np.__version__},
            "digests": {self.implementation if name is None else name: list(self.digests)},
        }


def combine(plan: Plan, parts: Iterable[tuple[int, Part]], began: float) -> Sweep:
    """Put the parts of a sweep together."""
    tally, faults, digests = Tally(), [], []
    try:
        for _, part in parts:
            tally += part.tally
            digests.append(part.digest)
            if part.fault is not None:
                faults.append(part.fault)
            if len(faults) == FAULTS:
                break
    except BrokenExecutor as error:
        chunk = plan.chunks[len(digests)]
        detail = f"a worker process ended when chunk {chunk} or a later one was its task: {error}"
        faults.append(Finding(Fault.DIED, detail))
    return Sweep(
        implementation=plan.implementation.name,
        fmt=plan.fmt,
        source=plan.source,
        projection=plan.projection,
        rule=plan.rule,
        compare_nan=plan.compare_nan,
        domain=plan.domain,
        size=plan.count,
        chunk_bits=plan.chunk_bits,
        chunks=plan.chunks,
        tally=tally,
        digests=tuple(digests) if plan.digests else (),
        faults=tuple(faults),
        seconds=time.perf_counter() - began,
    )
