"""
Mistakes in scales whose codes are the rule's.

::

    rounded without requantising the data; inverted; transposed; another factor
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num.scaled import Descale
from fp8num.scaling.identifying.case import Case, Diagnosis
from fp8num.scaling.identifying.comparing import ratios, spread
from fp8num.scaling.identifying.roundings import equal, how_rounded, words
from fp8num.scaling.identifying.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WRONG_SCALES", "last_bits", "scale_factor", "unusable_scales"]

_MANTISSA = np.uint32((1 << 23) - 1)
#: Units in the last place of float32 by which other operations of a formula may differ.
_LAST = 2


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
            f"{spread(quotients)} as large, and the data was not requantised",
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


def _scales_moved(case: Case) -> Diagnosis | None:
    """Scales of the blocks beside."""
    found = case.this.trial.found
    for stored in case.ways():
        for axis in range(found.ndim):
            if found.shape[axis] < 2 or stored.shape != found.shape:
                continue
            for step in (1, -1):
                if equal(found, np.roll(stored, step, axis)):
                    beside = "before" if step > 0 else "after"
                    return Diagnosis(
                        "scales-moved",
                        f"the codes are the rule's; the scales are, moved by {step:+} along axis "
                        f"{axis}: each block has that of the block {beside} it",
                    )
    return None


def _scales_of_other_rules(case: Case) -> Diagnosis | None:
    """Scales of another rule, which did not make the codes."""
    mine = case.this.candidate
    names = [
        other.candidate.rule.name
        for other in case.others
        if other.scales_equal
        and other.candidate.blocks == mine.blocks
        and other.candidate.fmt == mine.fmt
    ]
    if not names:
        return None
    count = int(np.count_nonzero(~case.this.trial.equal))
    return Diagnosis(
        "scales-of-another",
        f"the codes are the rule's; the scales are those of {', '.join(dict.fromkeys(names))}: "
        f"{count:,} of {case.this.trial.equal.size:,} are not the rule's, "
        f"{spread(ratios(case.this.trial))} the rule's",
    )


def unusable_scales(case: Case) -> Diagnosis | None:
    """Scales that are zero, negative or not finite, where the others are right."""
    trial = case.this.trial
    found, wanted = trial.found, trial.stored.values
    kinds = (
        ("zero", words(found) << np.uint32(1) == 0),
        ("negative", found < 0),
        ("NaN", np.isnan(found)),
        ("infinite", np.isposinf(found)),
    )
    bad = np.zeros(found.shape, bool)
    said = []
    for name, kind in kinds:
        where = kind & ~trial.equal
        bad |= where
        if where.any():
            number = int(np.count_nonzero(where))
            said.append(f"{number:,} of {counted(found.size, 'scale')} "
                        f"{'is' if number == 1 else 'are'} {name}")  # fmt: skip
    if not said or bad.all():
        return None
    steps = np.abs(words(found)[~bad].astype(np.int64) - words(wanted)[~bad].astype(np.int64))
    quotients = ratios(trial)
    if trial.equal[~bad].all():
        others = "all others are the rule's"
    elif steps.max() <= _LAST:
        off = int(np.count_nonzero(steps))
        others = f"{off:,} of the others are {int(steps.max())} ulp off"
    elif _is_one_factor(quotients):
        others = f"all others are {_shown(float(quotients[0]))} times the rule's"
    else:
        return None
    return Diagnosis("scales-unusable", f"{', '.join(said)}; {others}", exact=False)


def last_bits(case: Case) -> Diagnosis | None:
    """Scales of the same formula in another arithmetic."""
    found, wanted = words(case.this.trial.found), words(case.this.trial.stored.values)
    steps = np.abs(found.astype(np.int64) - wanted.astype(np.int64))
    if case.this.trial.reading.codes is not None or not 0 < steps.max() <= _LAST:
        return None
    count = int(np.count_nonzero(steps))
    far = "1 ulp" if steps.max() == 1 else f"at most {int(steps.max())} ulp"
    codes = "the codes are the rule's" if case.this.codes_equal else "the codes follow from them"
    return Diagnosis(
        "scale-arithmetic",
        f"{count:,} of {counted(steps.size, 'scale')} {'is' if count == 1 else 'are'} {far} off: "
        f"the same formula in other operations; {codes}",
        exact=False,
    )


def _is_one_factor(quotients: npt.NDArray[np.float64]) -> bool:
    """Whether quotients are one number, but for the rounding of a product to float32."""
    return bool(quotients.size) and float(quotients.max() / quotients.min()) <= 1 + 2.0**-22


def _shown(ratio: float) -> str:
    power = float(np.log2(ratio))
    return f"2^{int(power)}" if power.is_integer() else f"{ratio:.9g}"


def scale_factor(case: Case) -> Diagnosis | None:
    """All scales another one times the rule's."""
    quotients, size = ratios(case.this.trial), case.this.trial.equal.size
    if not _is_one_factor(quotients) or quotients.size < size - np.count_nonzero(_both(case)):
        return None
    ratio = float(np.median(quotients))
    power = float(np.log2(ratio)).is_integer()
    codes = "the codes are the rule's" if case.this.codes_equal else "the codes follow from them"
    if quotients.size == 1 and not power and not case.this.codes_equal:
        return None  # a single scale is always some number times another
    whole = "the scale is" if size == 1 else "every scale is"
    times = _shown(ratio) + ("" if power else _as_of_another_largest(case, ratio))
    return Diagnosis("scale-factor", f"{whole} {times} times the rule's; {codes}", exact=power)


def _as_of_another_largest(case: Case, ratio: float) -> str:
    """Say which whole number in place of the format's largest gives a factor, if one does."""
    multiplies = case.this.trial.stored.descale is Descale.MULTIPLY
    own = float(case.this.candidate.fmt.max)
    largest = own / ratio if multiplies else own * ratio
    whole = round(largest)
    if abs(largest - whole) > largest * 2.0**-21:
        return ""
    return f" (amax / {whole}, and not / {own:g},)"


def _both(case: Case) -> npt.NDArray[np.bool_]:
    """Return where a scale is zero, infinite or NaN, and the rule's is too."""
    trial = case.this.trial
    usable = np.isfinite(trial.stored.values) & (trial.stored.values > 0)
    both: npt.NDArray[np.bool_] = trial.equal & ~usable
    return both


#: What may be wrong, in the order in which it is looked for.
WRONG_SCALES: tuple[Callable[[Case], Diagnosis | None], ...] = (
    _scales_transposed,
    _scales_inverted,
    _scales_rounded,
    _axis_of_scales,
    _scales_moved,
    unusable_scales,
    last_bits,
    scale_factor,
    _scales_of_other_rules,
    _scales_made_powers,
)
