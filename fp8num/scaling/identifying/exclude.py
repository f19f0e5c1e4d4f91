"""
What codes and scales alone show: which rules cannot have made them, or hardly.

::

    largest code of a block --> an interval of amax --> an interval of scales: is the scale
                                                       there in it, and one that amax can give?
    scale = 2^k   -->  largest codes spread over a binade: not all blocks reach the largest value
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float64
from fp8num.formats import E8M0FNU
from fp8num.projection import Rounding
from fp8num.scaled import Descale
from fp8num.scaling.finders import Amax, BestClip
from fp8num.scaling.held import MsAmp
from fp8num.scaling.identifying.conventions import transforms
from fp8num.scaling.identifying.records import Exclusion, Finding, Match
from fp8num.scaling.scales import Context, Scales, TwoLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fp8num.formats import Format
    from fp8num.scaled import Blocks
    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.dump import Evidence, Reading

__all__ = ["ROUNDED", "Largest", "inverted", "judge", "largest_codes"]

Floats = npt.NDArray[np.float32]
#: Each block's largest finite magnitude, and whether it holds NaN.
Largest = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]

#: What is said of scales that were rounded to powers of two.
ROUNDED = "the scales were probably rounded without requantising the data"
#: A chance that excludes a rule.
_CHANCE = 1e-9
#: The median of blocks' largest magnitudes beyond which they are no weights'.
_NO_WEIGHTS = 1e4
_MANTISSA = np.uint32((1 << 23) - 1)
#: Magnitudes all over a binade, of evenly spread logarithms.
_BINADE = np.exp2(np.arange(1024) / 1024).astype(np.float32)
#: Each block's largest finite magnitude, and whether it holds NaN.
_LARGEST = np.float32(np.finfo(np.float32).max)
#: What float32 arithmetic may move the interval of amax by, relative to it.
_SLACK = 2.0**-20
#: Blocks that are judged at once.
_CHUNK = 1 << 14
_NEAREST = (Rounding.NEAREST_TIES_TO_EVEN, Rounding.NEAREST_TIES_TO_AWAY)


def _improbable(
    candidate: Candidate,
    found: Floats,
    scale_of: Callable[[Floats], Floats],
    descale: Descale,
    largest: Largest,
) -> str:
    """Return why a rule would hardly have given these largest codes and scales, or nothing.

    The model: blocks are independent, and the logarithm of amax is spread evenly over a
    binade.  From the rule's formula then follows what share of blocks reaches the largest
    code.  One and a half of it, at least a half, is allowed; that a number of blocks
    exceeds this is bounded by Hoeffding's inequality.  Of scales that need not be powers
    of two, half may be so.
    """
    searches = not isinstance(candidate.rule.finder, Amax)
    if candidate.is_held or candidate.rule.is_two_level or searches:
        return ""
    magnitudes, nan = largest
    usable = (magnitudes > 0) & ~nan & np.isfinite(found) & (found > 0)
    scales, magnitudes = found[usable], magnitudes[usable]
    if np.unique(scales[:4096]).size < 2:
        return ""  # of data that is all alike, blocks are not independent
    made = scale_of(_BINADE)
    if (made.view(np.uint32) & _MANTISSA).any():
        return _by_powers(scales)
    values = as_float64(made)
    return _by_codes(candidate, magnitudes, values if descale is Descale.MULTIPLY else 1 / values)


def _by_powers(scales: Floats) -> str:
    """Return why scales are none that need not be powers of two."""
    powers = int(np.count_nonzero((scales.view(np.uint32) & _MANTISSA) == 0))
    if _tail(powers, scales.size, 0.5) >= _CHANCE:
        return ""
    return (
        f"{powers:,} of {scales.size:,} scales are powers of two, as this rule's are by "
        "accident only"
    )


def _by_codes(
    candidate: Candidate, magnitudes: npt.NDArray[np.float64], multiplier: npt.NDArray[np.float64]
) -> str:
    """Return why largest codes are none of a rule whose scales are powers of two."""
    values = np.unique(np.abs(candidate.fmt.values[np.isfinite(candidate.fmt.values)]))
    top = (values[-1] + values[-2]) / 2
    share = float(np.mean(as_float64(_BINADE) / multiplier >= top))
    reach, size = int(np.count_nonzero(magnitudes == values[-1])), magnitudes.size
    bound = max(0.5, 1.5 * share)
    if _tail(reach, size, bound) >= _CHANCE:
        return ""
    return (
        f"{reach:,} of {size:,} blocks reach {values[-1]:g}: improbable under this rule, "
        f"whose scales are powers of two, so that largest codes spread over a binade and about "
        f"{share:.0%} of blocks would, not above {bound:.0%} (chance below 1e-9 if blocks are "
        f"independent); {ROUNDED}"
    )


def _tail(count: int, size: int, share: float) -> float:
    """Return a bound on the chance that as many of independent events happen (Hoeffding)."""
    excess = count / max(size, 1) - share
    return float(np.exp(-2 * size * excess**2)) if excess > 0 else 1.0


def inverted(candidate: Candidate, largest: Largest, consistent: Sequence[Match]) -> Finding | None:
    """Say that decoded values are too large for weights, if they are not over the scales."""
    arranged: Any = None
    for reading, layout in candidate.views:
        arranged = layout.arrange(reading.values)
        if arranged is not None:
            break
    if arranged is None or candidate.rule.is_two_level:
        return None
    scales = as_float64(np.ascontiguousarray(arranged, np.float32)).reshape(arranged.shape)
    usable = (largest[0] > 0) & np.isfinite(scales) & (scales > 0)
    if not usable.any():
        return None
    times = float(np.median(largest[0][usable] * scales[usable]))
    over = float(np.median(largest[0][usable] / scales[usable]))
    if times <= _NO_WEIGHTS or over > _NO_WEIGHTS:
        return None
    divides = any(match.descale == "divide" and not match.is_inverted for match in consistent)
    return Finding(
        "scale-divides" if divides else "scale-inverted",
        f"in the median block, codes times the scale reach {times:.3g}, codes over it {over:.3g}: "
        "if these are weights, the scale is probably inverted for software that multiplies by it",
    )


def judge(candidate: Candidate, evidence: Evidence, known: dict[Any, Any]) -> Match | Exclusion:
    """Return whether a rule may have made codes and scales."""
    forbidden = _forbidden_codes(candidate, evidence)
    reasons: dict[Descale, str] = {}
    key = candidate.fmt.name, candidate.blocks.block
    if key not in known:
        known[key] = largest_codes(candidate, evidence)
    for reading, layout in () if forbidden else candidate.views:
        arranged = layout.arrange(reading.values)
        if arranged is None or not _may_hold(candidate, reading):
            continue
        found = np.ascontiguousarray(arranged, np.float32).reshape(arranged.shape)
        for way in _ways(candidate):
            for tensor in _tensor_amaxes(candidate, evidence):
                asked = *key, way, float(tensor), reading.name, layout.name, _formula(candidate)
                if asked not in known:
                    known[asked] = _contradiction(candidate, found, way, tensor, known[key])
                why = known[asked]
                if not why:
                    name = ", ".join(part for part in (reading.name, way[0], layout.name) if part)
                    return _match(candidate, evidence, name, way[1], found.size)
                reasons.setdefault(way[1], why)
    reason = forbidden or _told(reasons) or "the stored type cannot hold its scales"
    return Exclusion(candidate.rule.name, candidate.fmt.name, candidate.axis, reason)


def _formula(candidate: Candidate) -> object:
    """Return what of a rule its scales and codes show, equal for rules that differ in the rest."""
    rule = candidate.rule
    scale = rule.scale
    if isinstance(scale, TwoLevel):
        scale = replace(scale, by_row=False, choice=scale.choice and "mae")
    parts = scale, rule.finder, rule.cast.rounding, rule.way_in, rule.exact, rule.granularity
    try:
        hash(parts)
    except TypeError:  # parts of another's
        return id(rule)
    return candidate.is_held, *parts


def _told(reasons: dict[Descale, str]) -> str:
    """Return why neither way of applying the scales is possible, saying which was assumed."""
    if len(set(reasons.values())) == 1 or not reasons:
        return next(iter(reasons.values()), "")
    said = {Descale.MULTIPLY: "multiplied", Descale.DIVIDE: "divided"}
    parts = [
        f"if a decoded value is to be {said[way]} by the scale, {why}"
        for way, why in reasons.items()
    ]
    return "; ".join(parts)


def _may_hold(candidate: Candidate, reading: Reading) -> bool:
    """Whether bytes are what a rule's scales may be stored in: those of float32 are not."""
    own = candidate.rule.scale.format
    if reading.format is None or reading.format == own:
        return True
    power = getattr(candidate.rule.scale, "power_of_two", candidate.is_held)
    return own is None and bool(power) and reading.format == E8M0FNU


def _match(
    candidate: Candidate, evidence: Evidence, storage: str, descale: Descale, scales: int
) -> Match:
    return Match(
        candidate.rule.name,
        candidate.fmt.name,
        candidate.axis,
        candidate.blocks.block,
        storage,
        descale.value,
        evidence.codes.size,
        scales,
    )


def _forbidden_codes(candidate: Candidate, evidence: Evidence) -> str:
    """Return why the codes alone exclude a rule: all of them saturate."""
    infinite = np.isinf(candidate.fmt.values)
    if not infinite.any():
        return ""
    bad = infinite.take(evidence.codes)
    if not bad.any():
        return ""
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"code 0x{int(evidence.codes[first]):02x} at {first} is infinite, the rule saturates"


def largest_codes(candidate: Candidate, evidence: Evidence) -> Largest:
    """Return each block's largest finite magnitude, and which blocks hold NaN."""
    values = np.abs(candidate.fmt.values)
    finite = np.where(np.isfinite(values), values, 0.0)
    blocks: Blocks = candidate.blocks
    largest = np.zeros(blocks.counts)
    nan = np.zeros(blocks.counts, bool)
    is_nan = np.isnan(values)
    for region in blocks.regions():
        view = region.split(evidence.codes)
        inner = tuple(range(1, view.ndim, 2))
        largest[region.scales] = finite.take(view).max(axis=inner)
        nan[region.scales] = is_nan.take(view).any(axis=inner)
    return largest, nan


def _ways(candidate: Candidate) -> list[tuple[str, Descale]]:
    """Return the names of the ways to store a rule's scales, and how they descale."""
    one = np.ones(1, np.float32)
    own = candidate.rule.scale.format
    stored = one if own is None else np.full(1, 127 if own.name == "E8M0FNU" else 0x38, np.uint8)
    found = transforms(candidate.rule, candidate.fmt, Scales(stored, one), np.float32(1))
    return [(way.name, way.descale) for way in found]


def _tensor_amaxes(candidate: Candidate, evidence: Evidence) -> list[np.float32]:
    """Return what the tensor's largest magnitude may be, of two-level rules."""
    own, scale = candidate.rule.scale, evidence.tensor_scale
    top = own.bound(candidate.fmt) if isinstance(own, TwoLevel) else np.float32(1)
    if not candidate.rule.is_two_level or scale is None:
        return [top]  # a scale of the tensor of one: what is consistent does not depend on it
    with np.errstate(all="ignore"):
        return [scale, np.float32(scale * top), np.float32(top / scale)]


def _contradiction(
    candidate: Candidate,
    found: Floats,
    way: tuple[str, Descale],
    tensor_amax: np.float32,
    largest: Largest,
) -> str:
    """Return why stored scales cannot be a rule's, or nothing."""
    context = Context(candidate.fmt, tensor_amax, _LARGEST)
    bad = (found <= 0) if candidate.is_held else (found < 0)
    if bad.any():
        first = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
        return f"block {first}: the scale {float(found[first]):.6g} is not positive"
    if candidate.is_held:
        power = not (found.view(np.uint32) & _MANTISSA).any()
        if isinstance(candidate.rule.scale, MsAmp) and not power:
            return f"scale {float(found.reshape(-1)[0])!r} is no power of two"
        return "" if np.isfinite(found).all() else "the scale is not finite"
    names = [
        stored.name
        for stored in transforms(
            candidate.rule, candidate.fmt,
            candidate.rule.scale.find(np.ones(1, np.float32), context), tensor_amax,
        )
    ]  # fmt: skip
    index = names.index(way[0])

    formula = candidate.rule.scale
    finds = [formula.find]
    if isinstance(formula, TwoLevel) and formula.choice:
        finds.append(formula.find_wider)

    def scale_by(find: Callable[[Floats, Context], Scales]) -> Callable[[Floats], Floats]:
        def scale_of(amax: Floats) -> Floats:
            found = transforms(candidate.rule, candidate.fmt, find(amax, context), tensor_amax)
            return np.asarray(found[index].values, np.float32)

        return scale_of

    scales_of = [scale_by(find) for find in finds]
    whole = _two_level(candidate, found, way)
    if whole:
        return whole
    for start in range(0, found.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        few = tuple(array.reshape(-1)[part] for array in (found, *largest))
        place = start, found.shape
        why = _unreachable(candidate, way, context, scales_of, few=few, place=place)
        if why:
            return why
    return _improbable(candidate, found, scales_of[0], way[1], largest)


def _unreachable(
    candidate: Candidate,
    way: tuple[str, Descale],
    context: Context,
    scales_of: list[Callable[[Floats], Floats]],
    *,
    few: tuple[npt.NDArray[Any], ...],
    place: tuple[int, tuple[int, ...]],
) -> str:
    """Return why scales of some blocks cannot come from what their codes say of amax."""
    at = _distinct(candidate.fmt, *few)
    found, largest, nan = (array[at] for array in few)
    low, high = _intervals(candidate, found, way, largest, context.tensor_amax)
    scale_of, zero = scales_of[0], largest == 0
    right = zero & (found == scale_of(np.zeros(1, np.float32)))
    saturated = (largest == float(candidate.fmt.max)) | nan | zero
    for special in (np.inf, np.nan):
        made = scale_of(np.full(1, special, np.float32))
        right |= saturated & ((found == made) | (np.isnan(found) & np.isnan(made)))
    # Where NaN does not count towards amax, a block of NaNs shows nothing of it.
    right |= nan & np.isfinite(found) & ~np.isnan(scale_of(np.full(1, np.nan, np.float32)))
    # The ends of the intervals exclude most rules that can be.
    within = np.logical_or.reduce([_is_between(each, found, low, high) for each in scales_of])
    if (right | within).all():
        within = np.logical_or.reduce([_reachable(each, found, low, high) for each in scales_of])
    right |= within
    if right.all():
        return ""
    first = int(np.flatnonzero(~right)[np.argmin(at[~right])])
    block = tuple(int(i) for i in np.unravel_index(place[0] + int(at[first]), place[1]))
    return (
        f"block {block}: its largest code stands for {float(largest[first]):.6g}, so amax is from "
        f"{float(low[first]):.6g} to {float(high[first]):.6g}, which does not give the scale "
        f"{float(found[first]):.6g}"
    )


def _distinct(
    fmt: Format,
    found: Floats,
    largest: npt.NDArray[np.float64],
    nan: npt.NDArray[np.bool_],
) -> npt.NDArray[np.intp]:
    """Return the first of all blocks that have the same scale and largest code."""
    index = np.searchsorted(_magnitudes(fmt), largest)
    key = (found.view(np.uint32).astype(np.int64) << 17) | (index << 1) | nan
    first: npt.NDArray[np.intp] = np.unique(key, return_index=True)[1]
    return first


def _two_level(candidate: Candidate, found: Floats, way: tuple[str, Descale]) -> str:
    """Return why block scales of two levels cannot be right as a whole."""
    own = candidate.rule.scale
    if not isinstance(own, TwoLevel) or own.levels == 1 or way[0] or not found.any():
        return ""
    # Where 4 may stand for what 6 did, another block's scale may be larger by up to a half.
    largest, most = float(found.max()), own.largest * (1.5 if own.choice else 1)
    if own.largest <= largest <= most:
        return ""
    upto = f" to {most:g}" if own.choice else ""
    return f"the largest block scale is {largest:g}, it should be {own.largest:g}{upto}"


def _intervals(
    candidate: Candidate,
    found: Floats,
    way: tuple[str, Descale],
    largest: npt.NDArray[np.float64],
    tensor_amax: np.float32 | Floats,
) -> tuple[Floats, Floats]:
    """Return between which numbers each block's amax is, as its largest code says."""
    low, high = _bounds_of_values(candidate)
    index = np.searchsorted(_magnitudes(candidate.fmt), largest)
    wide = as_float64(found).reshape(found.shape)
    with np.errstate(all="ignore"):
        multiplier = wide if way[1] is Descale.MULTIPLY else 1 / wide
        own = candidate.rule.scale
        if isinstance(own, TwoLevel) and own.levels == 2 and not way[0]:
            multiplier = multiplier * float(tensor_amax) / float(own.bound(candidate.fmt))
        least = np.nan_to_num(low[index] * multiplier, nan=0.0) * (1 - _SLACK)
        most = np.nan_to_num(high[index] * multiplier, nan=np.inf, posinf=np.inf) * (1 + _SLACK)
    finder = candidate.rule.finder
    if isinstance(finder, BestClip):
        least = least * finder.smallest
    elif not isinstance(finder, Amax):
        least = np.zeros(least.shape)
    if not isinstance(finder, Amax):
        most = np.where(largest == float(candidate.fmt.max), np.inf, most)
    cap = float(_LARGEST)
    return _outward(np.clip(least, 0, cap), 0.0), _outward(np.clip(most, 0, cap), np.inf)


def _outward(values: npt.NDArray[np.float64], end: float) -> Floats:
    with np.errstate(all="ignore"):
        stepped = np.nextafter(values.astype(np.float32), np.float32(end))
    return np.clip(stepped, np.float32(0), _LARGEST)


def _magnitudes(fmt: Format) -> npt.NDArray[np.float64]:
    values = np.abs(fmt.values)
    return np.unique(values[np.isfinite(values)])


def _bounds_of_values(
    candidate: Candidate,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what scaled magnitudes become each of a format's, from and to."""
    values = _magnitudes(candidate.fmt)
    middle = (values[1:] + values[:-1]) / 2
    if Rounding.parse(candidate.rule.cast.rounding) in _NEAREST and candidate.fmt.bits <= 8:
        tabulated = candidate.fmt.mantissa_bits is None
        if not tabulated or candidate.fmt.name == "MXINT8":
            return np.append(0.0, middle), np.append(middle, np.inf)
    return np.append(0.0, values[:-1]), np.append(values[1:], np.inf)


def _is_between(
    scale_of: Callable[[Floats], Floats], found: Floats, low: Floats, high: Floats
) -> npt.NDArray[np.bool_]:
    """Return which scales are between those of an interval's ends, where these are not special."""
    ends = scale_of(low), scale_of(high)
    between: npt.NDArray[np.bool_] = (np.minimum(*ends) <= found) & (found <= np.maximum(*ends))
    return between | (high >= np.float32(2.0**127))


def _reachable(
    scale_of: Callable[[Floats], Floats], found: Floats, low: Floats, high: Floats
) -> npt.NDArray[np.bool_]:
    """Return which scales some amax of an interval gives; formulas are monotone in it."""
    ends = scale_of(np.array([1e-3, 1e3], np.float32))
    rising = bool(ends[0] <= ends[1])
    a, b = (np.ascontiguousarray(end).view(np.uint32).reshape(end.shape) for end in (low, high))
    a, b = a.astype(np.int64), b.astype(np.int64)
    while (a < b).any():  # the least amax of the interval whose scale is not before the found one
        middle = (a + b) // 2
        made = scale_of(middle.astype(np.uint32).view(np.float32).reshape(found.shape))
        enough = made >= found if rising else made <= found
        b = np.where(enough, middle, b)
        a = np.where(enough, a, np.minimum(middle + 1, b))
    made = scale_of(b.astype(np.uint32).view(np.float32).reshape(found.shape))
    reached: npt.NDArray[np.bool_] = made == found
    return reached
