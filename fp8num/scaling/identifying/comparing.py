"""
How far a dump is from a rule: scales, codes, and codes by the scales that are there.

::

    rule's scales = dump's?     rule's codes = dump's?     codes of the dump's scales = dump's?
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float32, as_float64, divide
from fp8num.formats import E8M0FNU
from fp8num.scaled import Descale
from fp8num.scaling.identifying.records import Witness
from fp8num.scaling.identifying.storing import stored_values
from fp8num.scaling.identifying.trying import Trial, trials
from fp8num.scaling.scales import Context, TwoLevel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.predicting import Agreement, Predictor
    from fp8num.scaling.rule import Rule

__all__ = ["Comparison", "compare", "factor_of", "factors_of", "ratios", "spread", "witnesses"]

Floats = npt.NDArray[np.float32]
_WITNESSES = 3
#: Blocks whose scales say how the scales are stored, if none is equal.
_LOOKED_AT = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """
    A rule against a dump.

    Parameters
    ----------
    trial : Trial
        The scales.
    codes : Agreement
        The rule's codes and the dump's.
    follows : Agreement
        The codes that the dump's scales give, and the dump's.
    size : int
        Elements.
    """

    trial: Trial
    codes: Agreement
    follows: Agreement
    size: int

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


def ratios(trial: Trial, *, limit: int | None = None) -> npt.NDArray[np.float64]:
    """
    Return the dump's scales over the rule's, where both are positive and finite.

    Parameters
    ----------
    trial : Trial
        The scales.
    limit : int, optional
        About how many blocks to look at, from all over the array; all.

    Returns
    -------
    ndarray of float64, shape (n,)
        The quotients.
    """
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


def _distance(trial: Trial) -> tuple[bool, float, bool, int, float, bool]:
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


def factor_of(trial: Trial) -> Floats:
    """
    Return what elements would be multiplied by, or divided, with the dump's own scales.

    Parameters
    ----------
    trial : Trial
        How the dump's scales are stored.

    Returns
    -------
    ndarray of float32
        One for each block.
    """
    found, rule = trial.found, trial.candidate.rule
    one = np.float32(1)
    if isinstance(rule.scale, TwoLevel) and not trial.stored.name:
        context = Context(trial.candidate.fmt, trial.predicted.tensor_amax, one)
        return rule.scale.multiplier(found, context)
    is_multiplier = trial.stored.descale is Descale.MULTIPLY
    return (
        found if is_multiplier is (Descale(rule.way_in) is Descale.DIVIDE) else divide(one, found)
    )


def factors_of(trial: Trial) -> Iterator[tuple[Rule, Floats]]:
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


def compare(
    candidate: Candidate, predictor: Predictor, *, whole: bool = False
) -> Comparison | None:
    """
    Compare a rule's scales and codes with a dump's.

    Parameters
    ----------
    candidate : Candidate
        The rule.
    predictor : Predictor
        The source and the dump's codes.
    whole : bool, optional
        Whether to count all codes, not only those of a sample where some differ.

    Returns
    -------
    Comparison or None
        None of rules that search, or where scales cannot be read.
    """
    predicted = predictor.predict(candidate)
    if predicted is None or candidate.rule.cast.projection(candidate.fmt).rounding.is_stochastic:
        return None
    trial = max(trials(candidate, predicted), key=_distance, default=None)
    if trial is None:
        return None
    place = candidate.rule, candidate.fmt, candidate.axis, candidate.blocks
    codes = predictor.agreement(*place, predicted.scales.factor, whole=whole)
    follows = predictor.agreement(*place, factor_of(trial), whole=whole)
    return Comparison(trial, codes, follows, predictor.codes.size)


def witnesses(comparison: Comparison, predictor: Predictor) -> tuple[Witness, ...]:
    """
    Return the first blocks where a dump is not what a rule gives.

    Parameters
    ----------
    comparison : Comparison
        The rule against the dump.
    predictor : Predictor
        The source.

    Returns
    -------
    tuple of Witness
        Those with a wrong code first; at most three.
    """
    trial = comparison.trial
    wrong_codes = {block: (element, code) for block, element, code in comparison.codes.first}
    wrong = np.flatnonzero(~trial.equal)[:_WITNESSES]
    scales = [tuple(int(i) for i in np.unravel_index(at, trial.equal.shape)) for at in wrong]
    blocks = list(dict.fromkeys([*wrong_codes, *scales]))[:_WITNESSES]
    return tuple(_witness(block, wrong_codes.get(block), trial, predictor) for block in blocks)


def _witness(
    block: tuple[int, ...],
    wrong: tuple[tuple[int, ...], int] | None,
    trial: Trial,
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
