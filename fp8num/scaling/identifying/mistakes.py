"""
Mistakes by name, each planted into a rule and compared with the dump.

::

    scales right, codes not     wrong_codes
    codes right, scales not     wrong_scales
    codes follow the scales     other_scales
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fp8num.scaling.identifying.case import Case, Diagnosis
from fp8num.scaling.identifying.other_scales import OTHER_SCALES
from fp8num.scaling.identifying.wrong_codes import WRONG_CODES
from fp8num.scaling.identifying.wrong_scales import WRONG_SCALES
from fp8num.scaling.scales import TwoLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fp8num.scaling.identifying.comparing import Comparison
    from fp8num.scaling.identifying.evidence import Evidence
    from fp8num.scaling.identifying.predicting import Predictor

__all__ = ["diagnose"]


def diagnose(
    this: Comparison, others: Sequence[Comparison], evidence: Evidence, predictor: Predictor
) -> Diagnosis | None:
    """
    Return the mistake that makes a rule give the dump.

    Parameters
    ----------
    this : Comparison
        The rule against the dump.
    others : sequence of Comparison
        Other rules and axes.
    evidence : Evidence
        The dump.
    predictor : Predictor
        Its source.

    Returns
    -------
    Diagnosis or None
        The first mistake that fits, None if none does.
    """
    case = Case(this, others, evidence, predictor)
    if this.scales_equal and this.codes_equal:
        return _of_tensor_scale(case)
    ways: list[Callable[[Case], Diagnosis | None]] = []
    ways += WRONG_CODES if this.scales_equal else ()
    ways += WRONG_SCALES if this.codes_equal else ()
    ways += OTHER_SCALES if this.codes_follow else ()
    for way in ways:
        found = way(case)
        if found is not None:
            return found
    return None


def _of_tensor_scale(case: Case) -> Diagnosis | None:
    """Explain another tensor scale, where all else is right."""
    stored = case.evidence.tensor_scale
    own, found = case.this.candidate.rule.scale, case.this.trial.predicted.tensor_amax
    if stored is None or not isinstance(own, TwoLevel) or own.levels == 1 or np.ndim(found):
        return None
    amax = float(found)
    return Diagnosis(
        "tensor-scale",
        f"codes and block scales are the rule's; the tensor's scale {float(stored):.9g} is "
        f"neither its amax {amax:.9g}, nor that over "
        f"{float(own.bound(case.this.candidate.fmt)):g}, nor the inverse",
    )
