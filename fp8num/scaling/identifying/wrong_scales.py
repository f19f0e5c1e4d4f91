"""
Mistakes in scales whose codes are the rule's.

::

    rounded without requantising the data; inverted; transposed; another factor
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fp8num.scaling.identifying.case import Case, Diagnosis
from fp8num.scaling.identifying.comparing import ratios
from fp8num.scaling.identifying.roundings import equal, how_rounded, words

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WRONG_SCALES", "scale_factor"]

_MANTISSA = np.uint32((1 << 23) - 1)


def _scales_transposed(case: Case) -> Diagnosis | None:
    """Scales in the order of the transposed array."""
    wanted, found = case.this.trial.stored.values, case.this.trial.found
    if wanted.ndim >= 2 and wanted.shape[-1] == wanted.shape[-2]:
        for stored in case.ways():
            if equal(found.swapaxes(-1, -2), stored):
                return Diagnosis(
                    "scales-transposed", "the codes are the rule's; the scales are, transposed"
                )
    return None


def _scales_inverted(case: Case) -> Diagnosis | None:
    """Codes of E8M0 that stand for the inverse."""
    if case.this.trial.is_wrong_way and case.this.trial.equal.all():
        return Diagnosis(
            "scale-inverted",
            f"the codes are the rule's; the {case.this.trial.reading.name} stand for one over its "
            f"scales; {case.errors()}",
        )
    return None


def _scales_rounded(case: Case) -> Diagnosis | None:
    """Scales rounded after the data was quantised."""
    found = case.this.trial.found
    for wanted in case.ways():
        how = how_rounded(wanted, found)
        if how is not None:
            return Diagnosis(
                "scales-rounded",
                f"the codes are those of the rule's own scales; the stored ones are these {how}, "
                "and the data was not requantised",
            )
    return None


def _scales_made_powers(case: Case) -> Diagnosis | None:
    """Scales that became powers of two in a way that is not known here."""
    found, quotients = case.this.trial.found, ratios(case.this.trial)
    powers = not (words(found) & _MANTISSA).any()
    if powers and quotients.size and quotients.min() > 0.49 and quotients.max() < 2.01:
        return Diagnosis(
            "scales-rounded",
            "the codes are those of the rule's own scales; the stored ones are powers of two "
            f"{quotients.min():.3g} to {quotients.max():.3g} times as large, and the data was not "
            "requantised",
            exact=False,
        )
    return None


def _axis_of_scales(case: Case) -> Diagnosis | None:
    """Scales of blocks along another axis."""
    for other in case.other_axes():
        if other.scales_equal:
            return Diagnosis(
                "blocks-transposed",
                f"the codes are those of blocks along axis {case.this.candidate.axis}, the scales "
                f"those of blocks along axis {other.candidate.axis}",
            )
    return None


def scale_factor(case: Case) -> Diagnosis | None:
    """All scales another one times the rule's."""
    quotients = ratios(case.this.trial)
    if not quotients.size or quotients.max() / quotients.min() > 1 + 2.0**-22:
        return None
    ratio = float(quotients[0])
    power = float(np.log2(ratio)).is_integer()
    codes = "the codes are the rule's" if case.this.codes_equal else "the codes follow from them"
    if quotients.size == 1 and not power and not case.this.codes_equal:
        return None  # a single scale is always some number times another
    shown = f"2^{int(np.log2(ratio))}" if power else f"{ratio:.9g}"
    return Diagnosis(
        "scale-factor",
        f"every scale is {shown} times the rule's; {codes}",
        exact=power,
    )


#: What may be wrong, in the order in which it is looked for.
WRONG_SCALES: tuple[Callable[[Case], Diagnosis | None], ...] = (
    _scales_transposed,
    _scales_inverted,
    _scales_rounded,
    _axis_of_scales,
    scale_factor,
    _scales_made_powers,
)
