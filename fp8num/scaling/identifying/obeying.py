"""
Whether a dump is what a rule makes of the source: every scale and every code, bit for bit.

::

    scales of all blocks equal, stored in some way?  -->  codes equal?      Match
    rounding at random                               -->  all neighbours?   consistent
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fp8num._kernels.float32 import divide
from fp8num.scaling.identifying.chance import neighbours
from fp8num.scaling.identifying.predicting import SEARCHED, Predictor
from fp8num.scaling.identifying.storing import tensor_scales
from fp8num.scaling.identifying.trying import Trial, trials
from fp8num.scaling.scales import TwoLevel

if TYPE_CHECKING:
    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.evidence import Evidence
    from fp8num.scaling.identifying.records import Match

__all__ = ["obeys"]

#: Blocks whose scales say whether a search is worth its time.
_LOOKED_AT = 4096


def obeys(candidate: Candidate, evidence: Evidence, predictor: Predictor) -> Match | None:
    """
    Return how a dump obeys a rule, or None.

    Parameters
    ----------
    candidate : Candidate
        The rule.
    evidence : Evidence
        The dump.
    predictor : Predictor
        Its source.

    Returns
    -------
    Match or None
        None unless every scale and every code is equal.
    """
    predicted = predictor.predict(candidate)
    if predicted is None:
        if not _may_be_searched(candidate, predictor):
            return None
        predicted = predictor.searched(candidate)
    for trial in trials(candidate, predicted, hopeful=True):
        if not trial.equal.all() or trial.is_wrong_way:
            continue
        tensor = _tensor_scale(trial, evidence)
        if tensor is None:
            continue
        projection = candidate.rule.cast.projection(candidate.fmt)
        if projection.rounding.is_stochastic:
            return neighbours(trial, predictor, note=tensor)
        agreement = predictor.agreement(
            candidate.rule, candidate.fmt, candidate.axis, candidate.blocks,
            predicted.scales.factor, whole=False,
        )  # fmt: skip
        if agreement.is_whole and agreement.seen == evidence.codes.size:
            return trial.match(tensor)
        return None  # the codes do not depend on how the scales are stored
    return None


def _may_be_searched(candidate: Candidate, predictor: Predictor) -> bool:
    """Whether scales are such that a search may have found them, and it does not take long."""
    counts = candidate.blocks.counts
    step = max(int(np.prod(counts)) // _LOOKED_AT, 1)
    tried = predictor.searchable(candidate, step)
    large = predictor.codes.size > SEARCHED
    for reading, layout in candidate.views:
        found = layout.arrange(reading.values)
        if found is None:
            continue
        few = np.asarray(found, np.float32).reshape(-1)[::step]
        for values in (few, divide(np.float32(1), few)):
            if tried is None:
                return not large
            near = [np.isclose(values, scales, rtol=1e-6, atol=0) for scales in tried]
            if np.logical_or.reduce(near).all():
                # Where no range was clipped, a simpler rule gives the same.
                return not (large and near[0].all())
    return False


def _tensor_scale(trial: Trial, evidence: Evidence) -> str | None:
    """Return how the tensor's scale is stored, or None if it is not the rule's."""
    candidate, own = trial.candidate, trial.candidate.rule.scale
    if not isinstance(own, TwoLevel) or own.levels == 1:
        return ""
    if trial.stored.name:
        return ""
    if evidence.tensor_scale is None:
        return "the tensor's scale is not in the dump"
    top = float(own.bound(candidate.fmt))
    word = evidence.tensor_scale.view(np.uint32)
    for name, value in tensor_scales(trial.predicted.tensor_amax, top).items():
        if (value.view(np.uint32) == word).all():
            return f"tensor scale stored as {name}"
    return None
