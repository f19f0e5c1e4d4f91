"""
Whether codes follow from one scale that was held from steps before.

::

    stored 1/s  -->  the few s whose inverse rounds to it  -->  codes equal?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import divide
from fp8num.scaled import Descale
from fp8num.scaling.held import MsAmp
from fp8num.scaling.identifying.records import Match

if TYPE_CHECKING:
    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.evidence import Evidence
    from fp8num.scaling.identifying.predicting import Predictor

__all__ = ["held"]

Floats = npt.NDArray[np.float32]


def held(candidate: Candidate, evidence: Evidence, predictor: Predictor) -> Match | None:
    """
    Return how codes follow from a scale that was held from before, or None.

    Parameters
    ----------
    candidate : Candidate
        A rule whose scale comes from steps before.
    evidence : Evidence
        The dump.
    predictor : Predictor
        Its source.

    Returns
    -------
    Match or None
        None unless every code is what the scale gives.
    """
    rule = candidate.rule
    stored_divides = Descale(rule.way_in) is Descale.DIVIDE
    for reading, layout in candidate.views:
        found = layout.arrange(reading.values)
        if found is None or found.size != 1:
            continue
        scale = np.asarray(found, np.float32).reshape(1)
        if not (np.isfinite(scale[0]) and scale[0] > 0):
            continue
        if isinstance(rule.scale, MsAmp) and scale.view(np.uint32)[0] & np.uint32((1 << 23) - 1):
            continue  # a power of two, always
        for name, factors in (
            ("", scale if stored_divides else _inverses(scale)),
            ("the inverse", _inverses(scale) if stored_divides else scale),
        ):
            for factor in factors:
                agreement = predictor.agreement(
                    rule, candidate.fmt, candidate.axis, candidate.blocks,
                    np.full(candidate.blocks.counts, factor, np.float32), whole=False,
                )  # fmt: skip
                if agreement.is_whole:
                    text = ", ".join(part for part in (reading.name, name, layout.name) if part)
                    way = Descale.MULTIPLY if not name else Descale.DIVIDE
                    return Match(
                        rule.name, candidate.fmt.name, candidate.axis, candidate.blocks.block,
                        text, way.value, evidence.codes.size, 1,
                        "with a scale that is held from steps before: how it was found cannot "
                        "be seen in one tensor",
                    )  # fmt: skip
    return None


def _inverses(scale: Floats) -> Floats:
    """Return the float32 numbers whose rounded inverse is a scale, at least the nearest."""
    near = divide(np.float32(1), scale)
    tried = [near]
    for end in (np.float32(0), np.float32(np.inf)):
        step = near
        for _ in range(2):
            step = np.nextafter(step, end)
            tried.append(step)
    found = [s for s in tried if divide(np.float32(1), s).view(np.uint32) == scale.view(np.uint32)]
    return np.concatenate(found or [near])
