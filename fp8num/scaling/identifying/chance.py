"""
Whether codes were rounded at random: neighbours all, the farther one as often as expected.

::

    below |----x--------| above      above with probability 1/3: how often was it, of all?
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num.projection import Rounding
from fp8num.scaling.applying import applier
from fp8num.scaling.identifying.encoding import pieces
from fp8num.scaling.identifying.predicting import SAMPLE, Predictor

if TYPE_CHECKING:
    from fp8num.scaling.identifying.records import Match
    from fp8num.scaling.identifying.trying import Trial
    from fp8num.scaling.rule import Rule

__all__ = ["neighbours"]

Floats = npt.NDArray[np.float32]
#: Standard deviations beyond which codes were not rounded at random: below 1e-8 of a chance.
_SIGMAS = 6.0


def neighbours(
    trial: Trial,
    predictor: Predictor,
    *,
    note: str = "",
    rule: Rule | None = None,
    factor: Floats | None = None,
) -> Match | None:
    """
    Return whether codes are the scaled values' neighbours, as often as chance has it.

    Parameters
    ----------
    trial : Trial
        A rule whose scales are the dump's.
    predictor : Predictor
        Its source.
    note : str, optional
        What to say besides.
    rule : Rule, optional
        Instead of the trial's: how elements and factors combine.
    factor : ndarray of float32, optional
        Instead of the trial's.

    Returns
    -------
    Match or None
        None if a code is no neighbour, or the farther one was taken too rarely or too
        often for rounding at random (six standard deviations).
    """
    factor = trial.predicted.scales.factor if factor is None else factor
    rule = trial.candidate.rule if rule is None else rule
    counted = predictor.once(
        "farther", rule, trial.candidate, factor,
        lambda: _count_farther(trial, predictor, rule, factor),
    )  # fmt: skip
    if counted is None:
        return None
    farther, expected, variance = counted
    if abs(farther - expected) > _SIGMAS * np.sqrt(variance) + 1:
        return None
    text = (
        f"each code is a neighbour of its scaled value; the farther one {farther:,} times, "
        f"{expected:,.1f} would be the mean at random"
    )
    return trial.match(f"{text}; {note}" if note else text)


def _count_farther(
    trial: Trial, predictor: Predictor, rule: Rule, factor: Floats
) -> tuple[int, float, float] | None:
    """
    Count elements that were rounded to the farther neighbour.

    Returns
    -------
    tuple of int, float, float or None
        How many, and the mean and the variance of that number if rounding is at random;
        None if a code is no neighbour.
    """
    candidate = trial.candidate
    fmt, axis = candidate.fmt, candidate.axis
    base, values = rule.cast.projection(fmt), predictor.values(rule, axis)
    down, up = (
        applier(rule, fmt, values.dtype, replace(base, rounding=rounding))
        for rounding in (Rounding.TOWARD_NEGATIVE, Rounding.TOWARD_POSITIVE)
    )
    farther, mean, variance = 0, 0.0, 0.0
    for region in pieces(candidate.blocks, SAMPLE):
        below = down.codes(values, region, factor)
        above = up.codes(values, region, factor)
        found = predictor.codes[region.elements]
        if not ((found == below) | (found == above)).all():
            return None
        low, high = fmt.values.take(below), fmt.values.take(above)
        exact = down.scaled(region.split(values), factor[region.scales]).reshape(low.shape)
        with np.errstate(all="ignore"):
            share = np.clip((exact - low) / (high - low), 0.0, 1.0)
        between = (low < high) & np.isfinite(share)
        share = np.where(between, share, 0.0)
        least = np.where(share == 0.5, 0.0, np.minimum(share, 1 - share))
        went_up = found == above
        farther += int(np.count_nonzero(between & np.where(went_up, share < 0.5, share > 0.5)))
        mean += float(least[between].sum())
        variance += float((least * (1 - least))[between].sum())
    return farther, mean, variance
