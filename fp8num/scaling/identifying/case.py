"""
What a mistake is looked for in, and what one is.

::

    Case: a rule against a dump, the other rules, the source   -->  Diagnosis
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num.scaling.identifying.measuring import descale_errors
from fp8num.scaling.identifying.storing import transforms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.scaling.identifying.comparing import Comparison
    from fp8num.scaling.identifying.evidence import Evidence
    from fp8num.scaling.identifying.predicting import Predictor
    from fp8num.scaling.rule import Rule

__all__ = ["Case", "Diagnosis"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """
    A mistake.

    Parameters
    ----------
    name : str
        What it is called.
    explanation : str
        What was computed, and what it gave.
    exact : bool
        Whether the rule with the mistake gives the dump bit for bit.
    """

    name: str
    explanation: str
    exact: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A rule's comparison, and what the mistakes may look at besides."""

    this: Comparison
    others: Sequence[Comparison]
    evidence: Evidence
    predictor: Predictor

    def gives(
        self,
        rule: Rule | None = None,
        factor: Floats | None = None,
        *,
        fmt: Format | None = None,
        projection: Projection | None = None,
        codes: npt.NDArray[np.uint8] | None = None,
    ) -> bool:
        """Whether a changed rule gives all the codes."""
        candidate = self.this.candidate
        found = self.predictor.agreement(
            candidate.rule if rule is None else rule,
            candidate.fmt if fmt is None else fmt,
            candidate.axis,
            candidate.blocks,
            self.this.trial.predicted.scales.factor if factor is None else factor,
            projection=projection,
            codes=codes,
            whole=False,
        )
        return found.is_whole and found.seen == self.this.size

    def other_axes(self) -> Iterator[Comparison]:
        """Yield the same rule along other axes."""
        mine = self.this.candidate
        for other in self.others:
            same = (other.candidate.rule, other.candidate.fmt) == (mine.rule, mine.fmt)
            if same and other.candidate.axis != mine.axis:
                yield other

    def ways(self) -> Iterator[Floats]:
        """Yield the rule's scales in the ways that they may be stored."""
        candidate, predicted = self.this.candidate, self.this.trial.predicted
        found = transforms(candidate.rule, candidate.fmt, predicted.scales, predicted.tensor_amax)
        yield self.this.trial.stored.values
        yield from (stored.values for stored in found)

    def errors(self) -> str:
        """Say how well codes times the scales, and over them, give the source."""
        found = self.this.trial.found
        times, over = descale_errors(self.this.candidate, found, self.predictor)
        return (
            f"codes times the stored scales are {times:.3g} of the source's norm away from it, "
            f"codes over them {over:.3g}"
        )
