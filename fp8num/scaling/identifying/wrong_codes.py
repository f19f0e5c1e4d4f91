"""
Mistakes in codes whose scales are the rule's.

::

    another rounding, saturation, arithmetic or axis; the inverse scale; transposed
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fp8num._kernels.float32 import as_float64, divide
from fp8num.projection import Projection, Rounding, Saturation
from fp8num.scaled import Descale
from fp8num.scaling.identifying.case import Case, Diagnosis
from fp8num.scaling.identifying.chance import neighbours
from fp8num.scaling.identifying.comparing import factors_of
from fp8num.scaling.identifying.roundings import how_rounded
from fp8num.scaling.identifying.storing import opposite, stored_values

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WRONG_CODES"]

_ONE = np.float32(1)
#: What roundings are commonly called.
_HOW = {Rounding.TOWARD_ZERO: " (truncated)"}


def _rounding(case: Case) -> Diagnosis | None:
    """Codes of another rounding."""
    candidate = case.this.candidate
    base = candidate.rule.cast.projection(candidate.fmt)
    for rule, factor in factors_of(case.this.trial):
        for rounding in Rounding:
            if rounding.is_stochastic or rounding is base.rounding:
                continue
            if case.gives(rule, factor, projection=replace(base, rounding=rounding)):
                said = _HOW.get(rounding, "")
                return Diagnosis(
                    "codes-rounding",
                    f"the codes are those of {rounding.value}{said}, the rule rounds by "
                    f"{base.rounding.value}",
                )
    return None


def _saturation(case: Case) -> Diagnosis | None:
    """Codes of what is beyond the range, or of NaN."""
    candidate = case.this.candidate
    base = candidate.rule.cast.projection(candidate.fmt)
    for saturation in (Saturation.SAT_NONE, Saturation.SAT_PROPAGATE):
        for whole in (replace(base, saturation=saturation), Projection(saturation=saturation)):
            if case.gives(projection=whole):
                return Diagnosis(
                    "codes-saturation",
                    f"the codes are those of {saturation.value}, the rule saturates "
                    f"to {float(candidate.fmt.max):g}",
                )
    if case.gives(projection=Projection(rounding=base.rounding)):
        return Diagnosis("codes-nan", "only the codes of NaN are not those of the rule's library")
    return None


def _arithmetic(case: Case) -> Diagnosis | None:
    """Elements and scales combined in another arithmetic."""
    rule, factor = case.this.candidate.rule, case.this.trial.predicted.scales.factor
    own = stored_values(case.this.trial.predicted.scales.stored, rule.scale.format)
    turned = replace(rule, way_in=opposite(rule.way_in), exact=False)
    divides = Descale(turned.way_in) is Descale.DIVIDE
    for other in (own, divide(_ONE, own), divide(_ONE, factor)):
        quotients = as_float64(other.reshape(-1)) * as_float64(factor.reshape(-1))
        if np.all(np.abs(quotients - 1) < 2.0**-20) and case.gives(turned, other):
            said = "divided by their scales, the rule multiplies by the inverse"
            if not divides:
                said = "multiplied by the inverse of their scales, the rule divides"
            return Diagnosis("arithmetic", f"the codes are those of elements {said}")
    if Descale(rule.way_in) is Descale.MULTIPLY and case.gives(replace(rule, exact=not rule.exact)):
        said = "rounded to float32 before" if rule.exact else "not rounded to float32 before"
        return Diagnosis("arithmetic", f"the products with the scale were {said} they were cast")
    return None


def _factor_inverted(case: Case) -> Diagnosis | None:
    """Elements multiplied where they are to be divided."""
    factor = case.this.trial.predicted.scales.factor
    if case.gives(factor=divide(_ONE, factor)):
        return Diagnosis(
            "scale-inverted",
            "the codes are those of elements multiplied by what they should be divided by; "
            + case.errors(),
        )
    if case.gives(factor=np.ones_like(factor)):
        return Diagnosis("unscaled", "the codes are those of the elements without any scale")
    return None


def _at_random(case: Case) -> Diagnosis | None:
    """Codes rounded at random."""
    if case.this.candidate.rule.exact:
        return None
    for rule, factor in factors_of(case.this.trial):
        match = neighbours(case.this.trial, case.predictor, rule=rule, factor=factor)
        if match is not None:
            return Diagnosis("codes-stochastic", match.note, exact=False)
    return None


def _pairs_swapped(case: Case) -> Diagnosis | None:
    """Codes of four bits that were taken from their bytes in the other order."""
    codes = case.evidence.codes
    if case.this.candidate.fmt.bits != 4 or codes.ndim == 0 or codes.shape[-1] % 2:
        return None
    swapped = np.ascontiguousarray(codes.reshape(*codes.shape[:-1], -1, 2)[..., ::-1])
    if case.gives(codes=swapped.reshape(codes.shape)):
        return Diagnosis(
            "nibbles-swapped",
            "the codes are the rule's, the two of every byte in the other order: the first "
            "belongs in the low bits",
        )
    return None


def _axis_of_codes(case: Case) -> Diagnosis | None:
    """Codes of blocks along another axis."""
    for other in case.other_axes():
        if other.codes_equal:
            return Diagnosis(
                "blocks-transposed",
                f"the scales are those of blocks along axis {case.this.candidate.axis}, the codes "
                f"those of blocks along axis {other.candidate.axis}",
            )
    return None


def _codes_transposed(case: Case) -> Diagnosis | None:
    """Codes of the transposed array."""
    codes = case.evidence.codes
    if codes.ndim < 2 or codes.shape[-1] != codes.shape[-2]:
        return None
    if case.gives(codes=np.ascontiguousarray(codes.swapaxes(-1, -2))):
        return Diagnosis("codes-transposed", "the codes are the rule's, transposed")
    return None


def _codes_of_another(case: Case) -> Diagnosis | None:
    """Codes of the scales before they were rounded."""
    for other in case.others:
        trial = other.trial
        if other.codes_equal and trial.stored.values.shape == case.this.trial.found.shape:
            how = how_rounded(trial.stored.values, case.this.trial.found)
            if how is not None:
                return Diagnosis(
                    "scales-rounded",
                    f"the codes are those of {other.candidate.rule.name}, whose scales {how} "
                    "are the ones stored: they were rounded and the data was not requantised",
                )
    return None


#: What may be wrong, in the order in which it is looked for.
WRONG_CODES: tuple[Callable[[Case], Diagnosis | None], ...] = (
    _rounding,
    _saturation,
    _arithmetic,
    _factor_inverted,
    _at_random,
    _pairs_swapped,
    _axis_of_codes,
    _codes_transposed,
    _codes_of_another,
)
