"""
Mistakes by name, each planted into a rule and compared with the dump.

::

    scales right, codes not     another rounding, saturation, arithmetic or axis; transposed
    codes right, scales not     rounded without requantising; inverted; transposed; a factor
    codes follow the scales     another rounding of E8M0, a floor under amax, a factor
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float64, divide
from fp8num._kernels.words import float32_words
from fp8num._records import counted
from fp8num.codec import decode, encode
from fp8num.formats import BFLOAT16, BINARY16, E4M3FN
from fp8num.projection import Projection, Rounding, Saturation
from fp8num.scaled import Descale
from fp8num.scaling.identifying.conventions import opposite, transforms
from fp8num.scaling.identifying.likeness import (
    descale_errors,
    factors_of,
    neighbours,
    ratios,
    spread,
)
from fp8num.scaling.scales import PowerOfTwo, TwoLevel, stored_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fp8num.formats import Format
    from fp8num.scaling.identifying.dump import Evidence
    from fp8num.scaling.identifying.likeness import Fit, Likeness
    from fp8num.scaling.identifying.predict import Predictor
    from fp8num.scaling.rule import Rule

__all__ = ["Case", "Explained", "Mistake", "diagnose"]

Floats = npt.NDArray[np.float32]
#: What a sentence is filled with.
Words = Mapping[str, Any]
_ONE = np.float32(1)
_MANTISSA = np.uint32((1 << 23) - 1)
#: What roundings are commonly called.
_HOW = {Rounding.TOWARD_ZERO: " (truncated)"}
#: Units in the last place of float32 by which other operations of a formula may differ.
_LAST = 2
#: Floors of amax that software has, and some beside.
_FLOORS = tuple(np.float32(10.0**-k) for k in range(2, 31))


def _words(values: Floats) -> npt.NDArray[np.uint32]:
    """Return the bits of float32 numbers."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32).reshape(values.shape)


def _equal(a: Floats, b: Floats) -> bool:
    """Return whether float32 arrays are the same, bit for bit."""
    return a.shape == b.shape and bool(np.array_equal(_words(a), _words(b)))


def _down(scales: Floats) -> Floats:
    return (_words(scales) & ~_MANTISSA).view(np.float32)


def _up(scales: Floats) -> Floats:
    bits = _words(scales)
    inexact = ((bits & _MANTISSA) != 0).astype(np.uint32)
    up: npt.NDArray[np.uint32] = (bits & ~_MANTISSA) + (inexact << np.uint32(23))
    return up.view(np.float32)


def _nearest(scales: Floats) -> Floats:
    """Return the nearest powers of two."""
    return _down((_words(scales) + np.uint32(1 << 22)).view(np.float32))


def _nearest_log2(scales: Floats) -> Floats:
    """Return the powers of two of the nearest logarithms."""
    with np.errstate(all="ignore"):
        exponents = np.rint(np.log2(as_float64(np.ascontiguousarray(scales))))
        powers = np.exp2(exponents)
    rounded: Floats = float32_words(np.ascontiguousarray(powers)).view(np.float32)
    return rounded.reshape(scales.shape)


def _through(fmt: Format, rounding: str = "NearestTiesToEven") -> Callable[[Floats], Floats]:
    def rounded(scales: Floats) -> Floats:
        codes = encode(scales, fmt, rounding=rounding)
        return np.asarray(decode(codes, fmt), np.float32)

    return rounded


#: Ways to round scales, by name.
_ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "rounded down to powers of two": _down,
    "rounded up to powers of two": _up,
    "to the nearest power of two": _nearest,
    "to the power of two of the nearest logarithm": _nearest_log2,
    "rounded to bfloat16": _through(BFLOAT16),
    "cut to bfloat16": _through(BFLOAT16, "TowardZero"),
    "rounded to float16": _through(BINARY16),
    "rounded to E4M3FN": _through(E4M3FN),
}


def _how_rounded(wanted: Floats, found: Floats) -> str | None:
    """Return how scales were rounded."""
    if found.shape != wanted.shape or _equal(wanted, found):
        return None
    for name, rounded in _ROUNDINGS.items():
        if _equal(rounded(wanted), found):
            return name
    for name, rounded in _ROUNDINGS.items():
        inverse = divide(_ONE, rounded(divide(_ONE, wanted)))
        if _equal(inverse, found):
            return f"{name}, as their inverses"
    return None


@dataclass(frozen=True, slots=True)
class Explained:
    """A mistake."""

    name: str  #: what it is called
    explanation: str  #: what was computed, and what it gave
    exact: bool = True  #: whether the rule with the mistake gives the dump bit for bit


class Mistake(NamedTuple):
    """What may be wrong: how to find it out, and what to say."""

    name: str
    #: From a case to the words of the sentence, None if it is not this mistake.
    test: Callable[[Case], Words | None]
    sentence: str
    exact: bool = True  #: unless the words say

    def diagnosis(self, case: Case) -> Explained | None:
        """Return what is to be said of a case that has the mistake."""
        found = self.test(case)
        if found is None:
            return None
        exact = bool(found.get("exact", self.exact))
        return Explained(self.name, self.sentence.format(**found), exact)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A rule's comparison, and what the mistakes may look at besides."""

    this: Likeness
    others: Sequence[Likeness]
    evidence: Evidence
    predictor: Predictor

    def gives(
        self,
        rule: Rule | None = None,
        factor: Floats | None = None,
        *,
        fmt: Format | None = None,
        projection: Projection | None = None,
        codes: npt.NDArray[np.uint8] | None = None,
    ) -> bool:
        """Whether a changed rule gives all the codes."""
        candidate = self.this.candidate
        found = self.predictor.agreement(
            candidate.rule if rule is None else rule,
            candidate.fmt if fmt is None else fmt,
            candidate.axis,
            candidate.blocks,
            self.this.trial.predicted.scales.factor if factor is None else factor,
            projection=projection,
            codes=codes,
            whole=False,
        )
        return found.is_whole and found.seen == self.this.size

    def other_axes(self) -> Iterator[Likeness]:
        """Yield the same rule along other axes."""
        mine = self.this.candidate
        for other in self.others:
            same = (other.candidate.rule, other.candidate.fmt) == (mine.rule, mine.fmt)
            if same and other.candidate.axis != mine.axis:
                yield other

    def ways(self) -> Iterator[Floats]:
        """Yield the rule's scales in the ways that they may be stored."""
        candidate, predicted = self.this.candidate, self.this.trial.predicted
        found = transforms(candidate.rule, candidate.fmt, predicted.scales, predicted.tensor_amax)
        yield self.this.trial.stored.values
        yield from (stored.values for stored in found)

    def errors(self) -> str:
        """Say how well codes times the scales, and over them, give the source."""
        found = self.this.trial.found
        times, over = descale_errors(self.this.candidate, found, self.predictor)
        return (
            f"codes times the stored scales are {times:.3g} of the source's norm away from it, "
            f"codes over them {over:.3g}"
        )

    def codes(self) -> str:
        """Say where the codes come from, where scales are not the rule's."""
        return "the codes are the rule's" if self.this.codes_equal else "the codes follow from them"

    def along(self, axis: int | None) -> Words | None:
        """Return the words about another axis, if there is one."""
        return None if axis is None else {"own": self.this.candidate.axis, "other": axis}


# Scales right, codes not.


def _rounding(case: Case) -> Words | None:
    candidate = case.this.candidate
    base = candidate.rule.cast.projection(candidate.fmt)
    others = [each for each in Rounding if not each.is_stochastic and each is not base.rounding]
    for rule, factor in factors_of(case.this.trial):
        for rounding in others:
            if case.gives(rule, factor, projection=replace(base, rounding=rounding)):
                said = rounding.value + _HOW.get(rounding, "")
                return {"rounding": said, "own": base.rounding.value}
    return None


def _saturation(case: Case) -> Words | None:
    candidate = case.this.candidate
    base = candidate.rule.cast.projection(candidate.fmt)
    for saturation in (Saturation.SAT_NONE, Saturation.SAT_PROPAGATE):
        for whole in (replace(base, saturation=saturation), Projection(saturation=saturation)):
            if case.gives(projection=whole):
                return {"saturation": saturation.value, "largest": float(candidate.fmt.max)}
    return None


def _nan(case: Case) -> Words | None:
    candidate = case.this.candidate
    rounding = candidate.rule.cast.projection(candidate.fmt).rounding
    return {} if case.gives(projection=Projection(rounding=rounding)) else None


def _quotients(case: Case) -> Words | None:
    rule, scales = case.this.candidate.rule, case.this.trial.predicted.scales
    own = stored_values(scales.stored, rule.scale.format)
    turned = replace(rule, way_in=opposite(rule.way_in), exact=False)
    said = "multiplied by the inverse of their scales, the rule divides"
    if Descale(turned.way_in) is Descale.DIVIDE:
        said = "divided by their scales, the rule multiplies by the inverse"
    for other in (own, divide(_ONE, own), divide(_ONE, scales.factor)):
        quotients = as_float64(other.reshape(-1)) * as_float64(scales.factor.reshape(-1))
        if np.all(np.abs(quotients - 1) < 2.0**-20) and case.gives(turned, other):
            return {"said": said}
    return None


def _products(case: Case) -> Words | None:
    rule = case.this.candidate.rule
    if Descale(rule.way_in) is Descale.DIVIDE or not case.gives(
        replace(rule, exact=not rule.exact)
    ):
        return None
    return {"said": "rounded" if rule.exact else "not rounded"}


def _factor_inverted(case: Case) -> Words | None:
    factor = divide(_ONE, case.this.trial.predicted.scales.factor)
    return {"errors": case.errors()} if case.gives(factor=factor) else None


def _unscaled(case: Case) -> Words | None:
    factor = np.ones_like(case.this.trial.predicted.scales.factor)
    return {} if case.gives(factor=factor) else None


def _at_random(case: Case) -> Words | None:
    if case.this.candidate.rule.exact:
        return None
    for rule, factor in factors_of(case.this.trial):
        match = neighbours(case.this.trial, case.predictor, rule=rule, factor=factor)
        if match is not None:
            return {"note": match.note}
    return None


def _pairs_swapped(case: Case) -> Words | None:
    codes = case.evidence.codes
    if case.this.candidate.fmt.bits != 4 or codes.ndim == 0 or codes.shape[-1] % 2:
        return None
    swapped = np.ascontiguousarray(codes.reshape(*codes.shape[:-1], -1, 2)[..., ::-1])
    return {} if case.gives(codes=swapped.reshape(codes.shape)) else None


def _axis_of_codes(case: Case) -> Words | None:
    found = (other.candidate.axis for other in case.other_axes() if other.codes_equal)
    return case.along(next(found, None))


def _codes_transposed(case: Case) -> Words | None:
    codes = case.evidence.codes
    if codes.ndim < 2 or codes.shape[-1] != codes.shape[-2]:
        return None
    return {} if case.gives(codes=np.ascontiguousarray(codes.swapaxes(-1, -2))) else None


def _codes_of_another(case: Case) -> Words | None:
    for other in case.others:
        stored = other.trial.stored.values
        if other.codes_equal and stored.shape == case.this.trial.found.shape:
            how = _how_rounded(stored, case.this.trial.found)
            if how is not None:
                return {"rule": other.candidate.rule.name, "how": how}
    return None


# Codes right, scales not.


def _scales_transposed(case: Case) -> Words | None:
    found = case.this.trial.found
    square = found.ndim >= 2 and found.shape[-1] == found.shape[-2]
    turned = square and any(_equal(found.swapaxes(-1, -2), stored) for stored in case.ways())
    return {} if turned else None


def _scales_inverted(case: Case) -> Words | None:
    trial = case.this.trial
    if not (trial.is_wrong_way and trial.equal.all()):
        return None
    return {"reading": trial.reading.name, "errors": case.errors()}


def _scales_rounded(case: Case) -> Words | None:
    for wanted in case.ways():
        how = _how_rounded(wanted, case.this.trial.found)
        if how is not None:
            return {"how": how}
    return None


def _scales_made_powers(case: Case) -> Words | None:
    quotients = ratios(case.this.trial)
    powers = not (_words(case.this.trial.found) & _MANTISSA).any()
    if powers and quotients.size and quotients.min() > 0.49 and quotients.max() < 2.01:
        return {"spread": spread(quotients)}
    return None


def _axis_of_scales(case: Case) -> Words | None:
    found = (other.candidate.axis for other in case.other_axes() if other.scales_equal)
    return case.along(next(found, None))


def _scales_moved(case: Case) -> Words | None:
    found = case.this.trial.found
    places = [(axis, step) for axis in range(found.ndim) for step in (1, -1)]
    for stored in case.ways():
        for axis, step in places if stored.shape == found.shape else ():
            if found.shape[axis] > 1 and _equal(found, np.roll(stored, step, axis)):
                return {"step": step, "axis": axis, "beside": "before" if step > 0 else "after"}
    return None


def _scales_of_other_rules(case: Case) -> Words | None:
    mine, trial = case.this.candidate, case.this.trial
    names = [
        other.candidate.rule.name
        for other in case.others
        if other.scales_equal
        and (other.candidate.blocks, other.candidate.fmt) == (mine.blocks, mine.fmt)
    ]
    if not names:
        return None
    rules = ", ".join(dict.fromkeys(names))
    return {"rules": rules, **_differing(trial), "spread": spread(ratios(trial))}


def _unusable_scales(case: Case) -> Words | None:
    trial = case.this.trial
    found, wanted = trial.found, trial.stored.values
    kinds = {
        "zero": _words(found) << np.uint32(1) == 0,
        "negative": found < 0,
        "NaN": np.isnan(found),
        "infinite": np.isposinf(found),
    }
    wrong = {name: kind & ~trial.equal for name, kind in kinds.items()}
    bad: npt.NDArray[np.bool_] = np.logical_or.reduce(list(wrong.values()))
    if not bad.any() or bad.all():
        return None
    steps = np.abs(_words(found)[~bad].astype(np.int64) - _words(wanted)[~bad].astype(np.int64))
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
    counts = {name: int(np.count_nonzero(where)) for name, where in wrong.items() if where.any()}
    said = (
        f"{count:,} of {counted(found.size, 'scale')} {_are(count)} {name}"
        for name, count in counts.items()
    )
    return {"bad": ", ".join(said), "others": others}


def _last_bits(case: Case) -> Words | None:
    trial = case.this.trial
    steps = np.abs(
        _words(trial.found).astype(np.int64) - _words(trial.stored.values).astype(np.int64)
    )
    if trial.reading.codes is not None or not 0 < steps.max() <= _LAST:
        return None
    count = int(np.count_nonzero(steps))
    far = "1 ulp" if steps.max() == 1 else f"at most {int(steps.max())} ulp"
    scales = f"{count:,} of {counted(steps.size, 'scale')} {_are(count)}"
    return {"scales": scales, "far": far, "codes": case.codes()}


def _scale_factor(case: Case) -> Words | None:
    trial = case.this.trial
    quotients, size = ratios(trial), trial.equal.size
    usable = np.isfinite(trial.stored.values) & (trial.stored.values > 0)
    if not _is_one_factor(quotients) or quotients.size < size - np.count_nonzero(
        trial.equal & ~usable
    ):
        return None
    ratio = float(np.median(quotients))
    power = float(np.log2(ratio)).is_integer()
    if quotients.size == 1 and not power and not case.this.codes_equal:
        return None  # a single scale is always some number times another
    return {
        "whole": "the scale is" if size == 1 else "every scale is",
        "times": _shown(ratio) + ("" if power else _as_of_another_largest(case, ratio)),
        "codes": case.codes(),
        "exact": power,
    }


def _as_of_another_largest(case: Case, ratio: float) -> str:
    """Say which whole number in place of the format's largest gives a factor, if one does."""
    multiplies = case.this.trial.stored.descale is Descale.MULTIPLY
    own = float(case.this.candidate.fmt.max)
    largest = own / ratio if multiplies else own * ratio
    whole = round(largest)
    if abs(largest - whole) > largest * 2.0**-21:
        return ""
    return f" (amax / {whole}, and not / {own:g},)"


def _is_one_factor(quotients: npt.NDArray[np.float64]) -> bool:
    """Whether quotients are one number, but for the rounding of a product to float32."""
    return bool(quotients.size) and float(quotients.max() / quotients.min()) <= 1 + 2.0**-22


def _shown(ratio: float) -> str:
    power = float(np.log2(ratio))
    return f"2^{int(power)}" if power.is_integer() else f"{ratio:.9g}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _differing(trial: Fit) -> Words:
    """Return how many scales are not the rule's, of how many."""
    return {"count": int(np.count_nonzero(~trial.equal)), "size": trial.equal.size}


# Codes follow from the scales.


def _e8m0_rounding(case: Case) -> Words | None:
    candidate, trial = case.this.candidate, case.this.trial
    own = candidate.rule.scale
    if not isinstance(own, PowerOfTwo) or trial.is_wrong_way:
        return None
    for name, values in _powers(own, case):
        if _equal(divide(_ONE, values) if trial.stored.name else values, trial.found):
            steps = _steps(trial.found, trial.stored.values)
            return {"found": name, "own": own.rounding, **_differing(trial), "steps": steps}
    return None


def _powers(own: PowerOfTwo, case: Case) -> Iterator[tuple[str, Floats]]:
    """Yield the powers of two that other roundings give, by name."""
    candidate, amax = case.this.candidate, case.this.trial.predicted.amax
    context = case.predictor.context(candidate)
    for name in ("floor", "ceil", "even", "up", "log2"):
        if name != own.rounding and (name != "even" or candidate.fmt.mantissa_bits is not None):
            scales = replace(own, rounding=name).find(amax, context)
            yield name, stored_values(scales.stored, own.format)
    ratio = divide(amax, np.float32(float(candidate.fmt.max)))
    yield "nearest", _nearest(ratio)
    yield "nearest logarithm", _nearest_log2(ratio)


def _steps(found: Floats, wanted: Floats) -> str:
    quotients = np.abs(np.log2(as_float64(found) / as_float64(wanted)))
    largest = float(np.nanmax(np.where(np.isfinite(quotients), quotients, 0.0)))
    return "each by one" if largest <= 1 else f"by at most {largest:g}"


def _zero_blocks(case: Case) -> Words | None:
    trial = case.this.trial
    if trial.equal.all() or _words(trial.predicted.amax)[~trial.equal].any():
        return None
    found, wanted = (
        float(each[~trial.equal].reshape(-1)[0]) for each in (trial.found, trial.stored.values)
    )
    return {**_differing(trial), "found": found, "wanted": wanted}


def _amax_floor(case: Case) -> Words | None:
    trial, amax = case.this.trial, case.this.trial.predicted.amax
    steps = _words(trial.found).astype(np.int64) - _words(trial.stored.values).astype(np.int64)
    wrong = (np.abs(steps) > _LAST) & ~trial.equal
    if not wrong.any() or wrong.all() or np.isnan(amax).any() or amax.ndim == 0:
        return None
    largest = amax[wrong].max()
    if largest >= amax[~wrong & (amax > 0)].min(initial=np.inf):
        return None
    exact = True
    what = _known_floor(case)
    if what is None:
        exact, what = bool(trial.equal[~wrong].all()), _other_floor(case, wrong)
    if what is None:
        return None
    count = int(np.count_nonzero(wrong))
    return {
        "count": count, "size": wrong.size, "largest": float(largest), "what": what, "exact": exact
    }  # fmt: skip


def _known_floor(case: Case) -> str | None:
    """Return the floor that gives all scales, of those that software has."""
    trial, candidate = case.this.trial, case.this.candidate
    context = case.predictor.context(candidate)
    for floor in _FLOORS:
        scales = candidate.rule.scale.find(np.maximum(trial.predicted.amax, floor), context)
        for stored in transforms(candidate.rule, candidate.fmt, scales, context.tensor_amax):
            if stored.name == trial.stored.name and _equal(stored.values, trial.found):
                return f"a floor of {float(floor):.0e} under amax"
    return None


def _other_floor(case: Case, wrong: npt.NDArray[np.bool_]) -> str | None:
    """Return what small blocks have in place of the rule's scales."""
    trial = case.this.trial
    found, wanted = trial.found[wrong], trial.stored.values[wrong]
    if found.min() == found.max():
        multiplier = float(found[0])
        if trial.stored.descale is Descale.DIVIDE:
            multiplier = 1 / multiplier if multiplier else float("inf")
        amount = f"{multiplier * float(case.this.candidate.fmt.max):.3g}"
        return f"one scale for these, as of amax {amount}"
    return "not the floor under amax that the rule has" if wanted.min() == wanted.max() else None


def _scales_of_another(case: Case) -> Words | None:
    mine = case.this.candidate
    for other in case.others:
        its = other.candidate
        alike = (its.fmt, its.axis) == (mine.fmt, mine.axis)
        alike &= its.rule.granularity == mine.rule.granularity
        if other.scales_equal and not other.codes_equal and alike:
            return {"rule": its.rule.name, "own": mine.rule.name}
    return None


def _other_scales(case: Case) -> Words | None:
    quotients = ratios(case.this.trial)
    times = f", {spread(quotients)} as large" if quotients.size else ""
    return {**_differing(case.this.trial), "times": times}


def _tensor_scale(case: Case) -> Words | None:
    stored, candidate = case.evidence.tensor_scale, case.this.candidate
    own, found = candidate.rule.scale, case.this.trial.predicted.tensor_amax
    if stored is None or not isinstance(own, TwoLevel) or own.levels == 1 or np.ndim(found):
        return None
    top = float(own.bound(candidate.fmt))
    return {"stored": float(stored), "amax": float(found), "top": top}


# The tables: what may be wrong, in the order in which it is looked for.

_SCALE_FACTOR = Mistake("scale-factor", _scale_factor, "{whole} {times} times the rule's; {codes}")
_LAST_BITS = Mistake(
    "scale-arithmetic",
    _last_bits,
    "{scales} {far} off: the same formula in other operations; {codes}",
    exact=False,
)
_UNUSABLE = Mistake("scales-unusable", _unusable_scales, "{bad}; {others}", exact=False)
_FLOOR = (
    "only small blocks differ, {count:,} of {size:,}, of amax at most {largest:.6g}: the dump has "
    "{what}"
)
_WRONG_CODES = (
    Mistake(
        "codes-rounding",
        _rounding,
        "the codes are those of {rounding}, the rule rounds by {own}",
    ),
    Mistake(
        "codes-saturation",
        _saturation,
        "the codes are those of {saturation}, the rule saturates to {largest:g}",
    ),
    Mistake("codes-nan", _nan, "only the codes of NaN are not those of the rule's library"),
    Mistake("arithmetic", _quotients, "the codes are those of elements {said}"),
    Mistake(
        "arithmetic",
        _products,
        "the products with the scale were {said} to float32 before they were cast",
    ),
    Mistake(
        "scale-inverted",
        _factor_inverted,
        "the codes are those of elements multiplied by what they should be divided by; {errors}",
    ),
    Mistake("unscaled", _unscaled, "the codes are those of the elements without any scale"),
    Mistake("codes-stochastic", _at_random, "{note}", exact=False),
    Mistake(
        "nibbles-swapped",
        _pairs_swapped,
        "the codes are the rule's, the two of every byte in the other order: the first belongs in "
        "the low bits",
    ),
    Mistake(
        "blocks-transposed",
        _axis_of_codes,
        "the scales are those of blocks along axis {own}, the codes those of blocks along axis "
        "{other}",
    ),
    Mistake("codes-transposed", _codes_transposed, "the codes are the rule's, transposed"),
    Mistake(
        "scales-rounded",
        _codes_of_another,
        "the codes are those of {rule}, whose scales {how} are the ones stored: they were rounded "
        "and the data was not requantised",
    ),
)
_WRONG_SCALES = (
    Mistake(
        "scales-transposed",
        _scales_transposed,
        "the codes are the rule's; the scales are, transposed",
    ),
    Mistake(
        "scale-inverted",
        _scales_inverted,
        "the codes are the rule's; the {reading} stand for one over its scales; {errors}",
    ),
    Mistake(
        "scales-rounded",
        _scales_rounded,
        "the codes are those of the rule's own scales; the stored ones are these {how}, and the "
        "data was not requantised",
    ),
    Mistake(
        "blocks-transposed",
        _axis_of_scales,
        "the codes are those of blocks along axis {own}, the scales those of blocks along axis "
        "{other}",
    ),
    Mistake(
        "scales-moved",
        _scales_moved,
        "the codes are the rule's; the scales are, moved by {step:+} along axis {axis}: each block "
        "has that of the block {beside} it",
    ),
    _UNUSABLE,
    _LAST_BITS,
    _SCALE_FACTOR,
    Mistake(
        "scales-of-another",
        _scales_of_other_rules,
        "the codes are the rule's; the scales are those of {rules}: {count:,} of {size:,} are not "
        "the rule's, {spread} the rule's",
    ),
    Mistake(
        "scales-rounded",
        _scales_made_powers,
        "the codes are those of the rule's own scales; the stored ones are powers of two {spread} "
        "as large, and the data was not requantised",
        exact=False,
    ),
)
_OTHER_SCALES = (
    Mistake(
        "e8m0-rounding",
        _e8m0_rounding,
        "the scales are rounded by {found!r}, the rule's by {own!r}: {count:,} of {size:,} differ, "
        "{steps}; the codes follow from the scales that are there",
    ),
    Mistake(
        "zero-blocks",
        _zero_blocks,
        "only blocks of zeros alone differ, {count:,} of them: the first has the scale "
        "{found:.6g}, the rule's is {wanted:.6g}",
    ),
    Mistake("amax-floor", _amax_floor, _FLOOR),
    _UNUSABLE,
    _LAST_BITS,
    Mistake(
        "scales-rounded-first",
        _scales_rounded,
        "the scales are the rule's {how}, and the codes follow from the rounded ones",
    ),
    _SCALE_FACTOR,
    Mistake(
        "scales-of-another",
        _scales_of_another,
        "the scales are those of {rule}, and the codes follow from them as {own} casts elements",
    ),
    Mistake(
        "other-scales",
        _other_scales,
        "every code follows from the scales that are there; {count:,} of {size:,} scales are not "
        "the rule's{times}",
        exact=False,
    ),
)
_OF_THE_TENSOR = (
    Mistake(
        "tensor-scale",
        _tensor_scale,
        "codes and block scales are the rule's; the tensor's scale {stored:.9g} is neither its "
        "amax {amax:.9g}, nor that over {top:g}, nor the inverse",
    ),
)


def diagnose(
    this: Likeness, others: Sequence[Likeness], evidence: Evidence, predictor: Predictor
) -> Explained | None:
    """Return the first mistake that makes a rule give the dump, None if none does."""
    case = Case(this, others, evidence, predictor)
    tried: tuple[Mistake, ...] = ()
    if this.scales_equal and this.codes_equal:
        tried = _OF_THE_TENSOR
    else:
        tried += _WRONG_CODES if this.scales_equal else ()
        tried += _WRONG_SCALES if this.codes_equal else ()
        tried += _OTHER_SCALES if this.codes_follow else ()
    found = (mistake.diagnosis(case) for mistake in tried)
    return next((each for each in found if each is not None), None)
