"""
Mistakes in scales from which the codes follow.

::

    another rounding of E8M0, a floor under amax, another arithmetic, a factor
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float64, divide
from fp8num.scaled import Descale
from fp8num.scaling.identifying.case import Case, Diagnosis
from fp8num.scaling.identifying.comparing import ratios, spread
from fp8num.scaling.identifying.roundings import (
    equal,
    how_rounded,
    nearest,
    nearest_log2,
    words,
)
from fp8num.scaling.identifying.storing import stored_values, transforms
from fp8num.scaling.identifying.wrong_scales import last_bits, scale_factor, unusable_scales
from fp8num.scaling.scales import PowerOfTwo

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OTHER_SCALES"]

Floats = npt.NDArray[np.float32]
_ONE = np.float32(1)
#: Units in the last place of float32 by which the rest may be off.
_LAST = 2
#: Floors of amax that software has, and some beside.
_FLOORS = tuple(np.float32(10.0**-k) for k in range(2, 31))


def _e8m0_rounding(case: Case) -> Diagnosis | None:
    """Powers of two that were rounded in another way."""
    candidate, trial = case.this.candidate, case.this.trial
    own = candidate.rule.scale
    if not isinstance(own, PowerOfTwo) or trial.is_wrong_way:
        return None
    context = case.predictor.context(candidate)
    roundings = {"nearest": nearest, "nearest logarithm": nearest_log2}
    for name in ("floor", "ceil", "even", "up", "log2", *roundings):
        if name == own.rounding or (name == "even" and candidate.fmt.mantissa_bits is None):
            continue
        if name in roundings:
            ratio = divide(trial.predicted.amax, np.float32(float(candidate.fmt.max)))
            values = roundings[name](ratio)
        else:
            scales = replace(own, rounding=name).find(trial.predicted.amax, context)
            values = stored_values(scales.stored, own.format)
        values = divide(_ONE, values) if trial.stored.name else values
        if equal(values, trial.found):
            count = int(np.count_nonzero(~trial.equal))
            return Diagnosis(
                "e8m0-rounding",
                f"the scales are rounded by {name!r}, the rule's by {own.rounding!r}: {count:,} of "
                f"{trial.equal.size:,} differ, {_steps(trial.found, trial.stored.values)}; the "
                "codes follow from the scales that are there",
            )
    return None


def _steps(found: Floats, wanted: Floats) -> str:
    quotients = np.abs(np.log2(as_float64(found) / as_float64(wanted)))
    largest = float(np.nanmax(np.where(np.isfinite(quotients), quotients, 0.0)))
    return "each by one" if largest <= 1 else f"by at most {largest:g}"


def _zero_blocks(case: Case) -> Diagnosis | None:
    """Another scale for blocks of zeros alone."""
    trial = case.this.trial
    amax = words(trial.predicted.amax)
    if trial.equal.all() or amax[~trial.equal].any():
        return None
    found = trial.found[~trial.equal].reshape(-1)
    wanted = trial.stored.values[~trial.equal].reshape(-1)
    return Diagnosis(
        "zero-blocks",
        f"only blocks of zeros alone differ, {found.size:,} of them: the first has the scale "
        f"{float(found[0]):.6g}, the rule's is {float(wanted[0]):.6g}",
    )


def _amax_floor(case: Case) -> Diagnosis | None:
    """Explain scales of small blocks by a floor under amax."""
    trial, candidate = case.this.trial, case.this.candidate
    amax = trial.predicted.amax
    steps = words(trial.found).astype(np.int64) - words(trial.stored.values).astype(np.int64)
    wrong = (np.abs(steps) > _LAST) & ~trial.equal
    if not wrong.any() or wrong.all() or np.isnan(amax).any() or amax.ndim == 0:
        return None
    largest = amax[wrong].max()
    if largest >= amax[~wrong & (amax > 0)].min(initial=np.inf):
        return None
    context = case.predictor.context(candidate)
    for floor in _FLOORS:
        scales = candidate.rule.scale.find(np.maximum(amax, floor), context)
        for stored in transforms(candidate.rule, candidate.fmt, scales, context.tensor_amax):
            if stored.name == trial.stored.name and equal(stored.values, trial.found):
                return _floor(f"a floor of {float(floor):.0e} under amax", wrong, largest)
    found, wanted = trial.found[wrong], trial.stored.values[wrong]
    exact = bool(trial.equal[~wrong].all())
    if found.min() == found.max():
        multiplier = float(found[0])
        if trial.stored.descale is Descale.DIVIDE:
            multiplier = 1 / multiplier if multiplier else float("inf")
        amount = f"{multiplier * float(candidate.fmt.max):.3g}"
        return _floor(f"one scale for these, as of amax {amount}", wrong, largest, exact=exact)
    if wanted.min() == wanted.max():
        what = "not the floor under amax that the rule has"
        return _floor(what, wrong, largest, exact=exact)
    return None


def _floor(
    what: str, wrong: npt.NDArray[np.bool_], largest: np.float32, *, exact: bool = True
) -> Diagnosis:
    count = int(np.count_nonzero(wrong))
    return Diagnosis(
        "amax-floor",
        f"only small blocks differ, {count:,} of {wrong.size:,}, of amax at most "
        f"{float(largest):.6g}: the dump has {what}",
        exact,
    )


def _rounded_first(case: Case) -> Diagnosis | None:
    """Scales that were rounded before the data was quantised."""
    for wanted in case.ways():
        how = how_rounded(wanted, case.this.trial.found)
        if how is not None:
            return Diagnosis(
                "scales-rounded-first",
                f"the scales are the rule's {how}, and the codes follow from the rounded ones",
            )
    return None


def _scales_of_another(case: Case) -> Diagnosis | None:
    """Scales of another rule, elements cast as this rule does."""
    for other in case.others:
        same_format = other.candidate.fmt == case.this.candidate.fmt
        if other.scales_equal and not other.codes_equal and same_format:
            grain = other.candidate.rule.granularity == case.this.candidate.rule.granularity
            if grain and other.candidate.axis == case.this.candidate.axis:
                return Diagnosis(
                    "scales-of-another",
                    f"the scales are those of {other.candidate.rule.name}, and the codes follow "
                    f"from them as {case.this.candidate.rule.name} casts elements",
                )
    return None


def _other_scales(case: Case) -> Diagnosis | None:
    """Scales that are consistent with the codes, and no more is known."""
    quotients = ratios(case.this.trial)
    count = int(np.count_nonzero(~case.this.trial.equal))
    times = f", {spread(quotients)} as large" if quotients.size else ""
    return Diagnosis(
        "other-scales",
        f"every code follows from the scales that are there; {count:,} of "
        f"{case.this.trial.equal.size:,} scales are not the rule's{times}",
        exact=False,
    )


#: What may be wrong, in the order in which it is looked for.
OTHER_SCALES: tuple[Callable[[Case], Diagnosis | None], ...] = (
    _e8m0_rounding,
    _zero_blocks,
    _amax_floor,
    unusable_scales,
    last_bits,
    _rounded_first,
    scale_factor,
    _scales_of_another,
    _other_scales,
)
