"""
A rule's scales against a dump's, for every way to read and to store them.

::

    readings x layouts x ways of storing --> Trial: where the scales are equal
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.scaling.identifying.records import Match
from fp8num.scaling.identifying.storing import may_be_same, same, transforms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.evidence import Reading
    from fp8num.scaling.identifying.layouts import Layout
    from fp8num.scaling.identifying.predicting import Predicted
    from fp8num.scaling.identifying.storing import Stored

__all__ = ["Trial", "trials"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """
    A rule's scales against the dump's, read and stored in one way.

    Parameters
    ----------
    candidate : Candidate
        The rule.
    predicted : Predicted
        What it found.
    reading, layout : Reading, Layout
        How the dump's scales were read.
    stored : Stored
        How the rule's may be stored.
    arranged : tuple of ndarray
        The dump's scales, one per block.
    equal : ndarray of bool
        Where they are the rule's.
    """

    candidate: Candidate
    predicted: Predicted
    reading: Reading
    layout: Layout
    stored: Stored
    arranged: tuple[npt.NDArray[Any], ...]
    equal: npt.NDArray[np.bool_]

    @property
    def found(self) -> Floats:
        """The dump's scales, one per block."""
        return np.asarray(self.arranged[0], np.float32)

    @property
    def storage(self) -> str:
        """How the dump stores the scales, in words."""
        return ", ".join(
            part for part in (self.reading.name, self.stored.name, self.layout.name) if part
        )

    @property
    def is_wrong_way(self) -> bool:
        """Whether codes of E8M0 stand for inverses, as no library stores them."""
        own = self.candidate.rule.scale.format
        return bool(self.stored.name) and own is not None and self.reading.format == own

    def match(self, note: str) -> Match:
        """Return the record of a rule that the dump obeys, or is consistent with."""
        candidate = self.candidate
        return Match(
            candidate.rule.name,
            candidate.fmt.name,
            candidate.axis,
            candidate.blocks.block,
            self.storage,
            self.stored.descale.value,
            int(np.prod(candidate.blocks.shape)),
            self.equal.size,
            note,
        )


def trials(candidate: Candidate, predicted: Predicted, *, hopeful: bool = False) -> Iterator[Trial]:
    """
    Yield a rule's scales against the dump's, for every way of reading and storing.

    Parameters
    ----------
    candidate : Candidate
        The rule.
    predicted : Predicted
        What it found.
    hopeful : bool, optional
        Whether to leave out those whose first scales differ already.

    Yields
    ------
    Trial
        The library's own way first.
    """
    found = transforms(candidate.rule, candidate.fmt, predicted.scales, predicted.tensor_amax)
    for reading, layout in candidate.views:
        arranged = []
        for array in reading.arrays:
            part = layout.arrange(array)
            if part is not None:
                arranged.append(part)
        if len(arranged) < len(reading.arrays):
            continue
        for stored in found:
            if hopeful and not may_be_same(reading, stored, tuple(arranged)):
                continue
            equal = same(reading, stored, tuple(arranged))
            yield Trial(candidate, predicted, reading, layout, stored, tuple(arranged), equal)
