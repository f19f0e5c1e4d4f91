"""
A rule against a dump: whether it is obeyed bit for bit, and how far it is if not.

::

    readings x layouts x ways of storing --> Trial: where the scales are equal
    rule's scales = dump's?   rule's codes = dump's?   codes of the dump's scales = dump's?
    rounded at random: all neighbours, the farther one as often as expected?
    held from steps before: the few s whose inverse rounds to the stored 1 / s
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float32, as_float64, divide
from fp8num.formats import E8M0FNU
from fp8num.projection import Rounding
from fp8num.scaled import Descale
from fp8num.scaling.applying import applier
from fp8num.scaling.held import MsAmp
from fp8num.scaling.identifying.conventions import (
    may_be_same,
    same,
    tensor_scales,
    transforms,
)
from fp8num.scaling.identifying.predict import SAMPLE, SEARCHED, Predictor, pieces
from fp8num.scaling.identifying.records import Match, Witness
from fp8num.scaling.scales import Context, TwoLevel, stored_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fp8num.scaling.identifying.candidates import Arrangement, Candidate
    from fp8num.scaling.identifying.conventions import Stored
    from fp8num.scaling.identifying.dump import Evidence, Reading
    from fp8num.scaling.identifying.predict import Agreement, Predicted
    from fp8num.scaling.rule import Rule

__all__ = [
    "Fit",
    "Likeness",
    "compare",
    "descale_errors",
    "factors_of",
    "held",
    "neighbours",
    "obeys",
    "obeys_shared",
    "ratios",
    "spread",
    "witnesses",
]

Floats = npt.NDArray[np.float32]
_WITNESSES = 3
#: Blocks whose scales say how scales are stored, or whether a search is worth its time.
_LOOKED_AT = 4096
#: Pieces of the array whose values are compared with the source.
_MEASURED = 8
#: Standard deviations beyond which codes were not rounded at random: below 1e-8 of a chance.
_SIGMAS = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A rule's scales against the dump's, read and stored in one way."""

    candidate: Candidate  #: the rule
    predicted: Predicted  #: what it found
    reading: Reading  #: how the dump's scales were read
    layout: Arrangement  #: how the dump's scales were read
    stored: Stored  #: how the rule's may be stored
    arranged: tuple[npt.NDArray[Any], ...]  #: the dump's scales, one per block
    equal: npt.NDArray[np.bool_]  #: where they are the rule's

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


def _trials(candidate: Candidate, predicted: Predicted, *, hopeful: bool = False) -> Iterator[Fit]:
    """Yield a rule's scales against the dump's, for every way of reading and storing."""
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
            yield Fit(candidate, predicted, reading, layout, stored, tuple(arranged), equal)


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """A rule against a dump."""

    trial: Fit  #: the scales
    codes: Agreement  #: the rule's codes and the dump's
    follows: Agreement  #: the codes that the dump's scales give, and the dump's
    size: int  #: elements

    @property
    def candidate(self) -> Candidate:
        """The rule."""
        return self.trial.candidate

    @property
    def scales_equal(self) -> bool:
        """Whether all scales are the rule's, stored as a library may."""
        return bool(self.trial.equal.all()) and not self.trial.is_wrong_way

    @property
    def codes_equal(self) -> bool:
        """Whether all codes are the rule's."""
        return self.codes.is_whole and self.codes.seen == self.size

    @property
    def codes_follow(self) -> bool:
        """Whether all codes are those of the scales that are there."""
        return self.follows.is_whole and self.follows.seen == self.size

    @property
    def nearness(self) -> float:
        """A number to sort by: what is equal, of codes and scales, at most 2."""
        scales = float(np.count_nonzero(self.trial.equal)) / max(self.trial.equal.size, 1)
        codes = self.codes.equal / max(self.codes.seen, 1)
        follows = self.follows.equal / max(self.follows.seen, 1)
        return max(scales + codes, 0.999 * (1 + follows) if follows == 1 else follows)


def ratios(trial: Fit, *, limit: int | None = None) -> npt.NDArray[np.float64]:
    """Return the dump's scales over the rule's, where both are positive and finite."""
    step = 1 if limit is None else max(trial.found.size // limit, 1)
    found = as_float64(np.ascontiguousarray(trial.found.reshape(-1)[::step]))
    wanted = as_float64(np.ascontiguousarray(trial.stored.values.reshape(-1)[::step]))
    usable = np.isfinite(found) & np.isfinite(wanted) & (found > 0) & (wanted > 0)
    quotients: npt.NDArray[np.float64] = found[usable] / wanted[usable]
    return quotients


def spread(quotients: npt.NDArray[np.float64]) -> str:
    """Return in words between which numbers quotients are; nothing if there are none."""
    if not quotients.size:
        return ""
    low, high = f"{quotients.min():.6g}", f"{quotients.max():.6g}"
    if low != high:
        return f"{low} to {high} times"
    steps = float(np.max(np.abs(quotients / float(low) - 1))) * 2.0**24
    return f"{low} times" if steps < 0.5 else f"{low} times, within {steps:.2g} * 2^-24,"


def _distance(trial: Fit) -> tuple[bool, float, bool, int, float, bool]:
    """Return what to prefer of ways to read scales; the plain order, unless another explains more.

    Explained are scales that are one number times the rule's.  If they are not most, as
    many may be so by accident, in any order.
    """
    quotients = ratios(trial, limit=_LOOKED_AT)
    far = float(np.median(np.abs(np.log2(quotients)))) if quotients.size else np.inf
    own, theirs = trial.candidate.rule.scale.format, trial.reading.format
    usual = theirs in (None, own, E8M0FNU) if own is None else theirs in (None, own)
    equal = int(np.count_nonzero(trial.equal))
    explained = max(equal / max(trial.equal.size, 1), _share_of_one_factor(quotients))
    told = round(explained, 9) if explained > 0.5 else 0.0
    return usual, told, not trial.layout.name, equal, -far, not trial.is_wrong_way


def _share_of_one_factor(quotients: npt.NDArray[np.float64]) -> float:
    """Return how many quotients are the median one, but for float32's last bits."""
    if not quotients.size:
        return 0.0
    middle = np.sort(quotients)[quotients.size // 2]
    return float(np.mean(np.abs(quotients / middle - 1) <= 2.0**-21))


def _factor_of(trial: Fit) -> Floats:
    """Return what elements would be multiplied by, or divided, with the dump's own scales."""
    found, rule = trial.found, trial.candidate.rule
    one = np.float32(1)
    if isinstance(rule.scale, TwoLevel) and not trial.stored.name:
        context = Context(trial.candidate.fmt, trial.predicted.tensor_amax, one)
        return rule.scale.multiplier(found, context)
    is_multiplier = trial.stored.descale is Descale.MULTIPLY
    return (
        found if is_multiplier is (Descale(rule.way_in) is Descale.DIVIDE) else divide(one, found)
    )


def factors_of(trial: Fit) -> Iterator[tuple[Rule, Floats]]:
    """Yield a rule and its factors, and the other ways to apply the scales that it stores."""
    rule, scales = trial.candidate.rule, trial.predicted.scales
    yield rule, scales.factor
    if rule.exact or rule.is_two_level:
        return
    own = stored_values(scales.stored, rule.scale.format)
    if Descale(rule.way_out) is Descale.DIVIDE:
        own = divide(np.float32(1), own)
    yield replace(rule, way_in=Descale.MULTIPLY), divide(np.float32(1), own)
    yield replace(rule, way_in=Descale.DIVIDE), own


def compare(candidate: Candidate, predictor: Predictor, *, whole: bool = False) -> Likeness | None:
    """Compare a rule's scales and codes with a dump's."""
    predicted = predictor.predict(candidate)
    if predicted is None or candidate.rule.cast.is_random:
        return None
    trial = max(_trials(candidate, predicted), key=_distance, default=None)
    if trial is None:
        return None
    place = candidate.rule, candidate.fmt, candidate.axis, candidate.blocks
    codes = predictor.agreement(*place, predicted.scales.factor, whole=whole)
    follows = predictor.agreement(*place, _factor_of(trial), whole=whole)
    return Likeness(trial, codes, follows, predictor.codes.size)


def witnesses(comparison: Likeness, predictor: Predictor) -> tuple[Witness, ...]:
    """Return the first blocks where a dump is not what a rule gives."""
    trial = comparison.trial
    wrong_codes = {block: (element, code) for block, element, code in comparison.codes.first}
    wrong = np.flatnonzero(~trial.equal)[:_WITNESSES]
    scales = [tuple(int(i) for i in np.unravel_index(at, trial.equal.shape)) for at in wrong]
    blocks = list(dict.fromkeys([*wrong_codes, *scales]))[:_WITNESSES]
    return tuple(_witness(block, wrong_codes.get(block), trial, predictor) for block in blocks)


def _witness(
    block: tuple[int, ...],
    wrong: tuple[tuple[int, ...], int] | None,
    trial: Fit,
    predictor: Predictor,
) -> Witness:
    expected, found, amax = _at([trial.stored.values, trial.found, trial.predicted.amax], block)
    if wrong is None:
        return Witness(block, amax, expected, found)
    element, code = wrong
    values = predictor.values(trial.candidate.rule, trial.candidate.axis)
    source = np.ascontiguousarray(values[element]).reshape(1)
    return Witness(
        block,
        amax,
        expected,
        found,
        element,
        float(as_float64(source)[0]),
        code,
        int(predictor.codes[element]),
    )


def _at(arrays: Iterable[Floats], block: tuple[int, ...]) -> list[float]:
    return [
        float(as_float64(as_float32(np.asarray(array[block], np.float32).reshape(1)))[0])
        for array in arrays
    ]


def descale_errors(
    candidate: Candidate, scales: npt.NDArray[np.float32], predictor: Predictor
) -> tuple[float, float]:
    """Return the relative errors of codes times scales, and of codes over them."""
    values = predictor.values(candidate.rule, candidate.axis)
    wide = as_float64(np.ascontiguousarray(scales)).reshape(scales.shape)
    table = candidate.fmt.values
    totals = np.zeros(3)
    for region in pieces(candidate.blocks, _MEASURED)[:_MEASURED]:
        exact = np.ascontiguousarray(region.split(values))
        exact = as_float64(exact).reshape(exact.shape)
        decoded = table.take(region.split(predictor.codes))
        factor = region.spread(wide)
        with np.errstate(all="ignore"):
            errors = (exact, decoded * factor - exact, decoded / factor - exact)
            finite = np.isfinite(exact)
            for i, error in enumerate(errors):
                known = np.where(np.isnan(error), np.inf, error)
                totals[i] += (np.where(finite, known, 0.0) ** 2).sum()
    with np.errstate(all="ignore"):
        return float(np.sqrt(totals[1] / totals[0])), float(np.sqrt(totals[2] / totals[0]))


def neighbours(
    trial: Fit,
    predictor: Predictor,
    *,
    note: str = "",
    rule: Rule | None = None,
    factor: Floats | None = None,
) -> Match | None:
    """Return whether codes are the scaled values' neighbours, as often as chance has it."""
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
    trial: Fit, predictor: Predictor, rule: Rule, factor: Floats
) -> tuple[int, float, float] | None:
    """Count elements that were rounded to the farther neighbour."""
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


def obeys(candidate: Candidate, evidence: Evidence, predictor: Predictor) -> Match | None:
    """Return how a dump obeys a rule, or None."""
    predicted = predictor.predict(candidate)
    if predicted is None:
        if not _may_be_searched(candidate, predictor):
            return None
        predicted = predictor.searched(candidate)
    return _follows(predicted, candidate, evidence, predictor)


def obeys_shared(candidate: Candidate, evidence: Evidence, predictor: Predictor) -> Match | None:
    """Return how a dump obeys a rule with the given tensor scale, that of several tensors."""
    predicted = predictor.predict(candidate)
    if predicted is None or evidence.tensor_scale is None:
        return None
    for amax in _shared(predicted, candidate, evidence.tensor_scale):
        again = predictor.predict(candidate, amax)
        match = None if again is None else _follows(again, candidate, evidence, predictor)
        if match is not None:
            said = f"{match.note}, of an amax of {float(amax):.9g} that tensors may share"
            return replace(match, note=said)
    return None


def _shared(own: Predicted, candidate: Candidate, scale: np.float32) -> Iterator[np.float32]:
    """Yield what several tensors' largest magnitude may be, beyond this one's, as stored."""
    rule = candidate.rule.scale
    if not isinstance(rule, TwoLevel) or rule.levels == 1 or np.ndim(own.tensor_amax):
        return
    top, zero, infinity = rule.bound(candidate.fmt), np.float32(0), np.float32(np.inf)
    with np.errstate(all="ignore"):
        near = [scale, np.float32(scale * top), np.float32(top / scale)]
        near += [np.nextafter(each, end) for each in near[1:] for end in (zero, infinity)]
    for amax in near:
        stored = tensor_scales(amax, float(top)).values()
        if own.tensor_amax < amax < np.inf and any(value == scale for value in stored):
            yield amax


def _follows(
    predicted: Predicted, candidate: Candidate, evidence: Evidence, predictor: Predictor
) -> Match | None:
    """Return how a dump holds a rule's scales, and the codes that these give, or None."""
    for trial in _trials(candidate, predicted, hopeful=True):
        if not trial.equal.all() or trial.is_wrong_way:
            continue
        tensor = _tensor_scale(trial, evidence)
        if tensor is None:
            continue
        if candidate.rule.cast.is_random:
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


def _tensor_scale(trial: Fit, evidence: Evidence) -> str | None:
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


def held(candidate: Candidate, evidence: Evidence, predictor: Predictor) -> Match | None:
    """Return how codes follow from a scale that was held from before, or None."""
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
