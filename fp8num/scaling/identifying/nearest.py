"""
The rules that a dump nearly obeys: found on a sample, explained, then counted.

::

    all candidates --compare--> the nearest --diagnose--> mistakes by name --> counts, witnesses
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fp8num.scaling.finders import Amax
from fp8num.scaling.identifying.candidates import candidates, other_lengths
from fp8num.scaling.identifying.case import Diagnosis
from fp8num.scaling.identifying.comparing import (
    Comparison,
    compare,
    ratios,
    spread,
    witnesses,
)
from fp8num.scaling.identifying.evidence import possible_formats
from fp8num.scaling.identifying.mistakes import diagnose
from fp8num.scaling.identifying.obeying import obeys
from fp8num.scaling.identifying.predicting import Predictor
from fp8num.scaling.identifying.records import Match, Near
from fp8num.scaling.identifying.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.evidence import Evidence
    from fp8num.scaling.rule import Rule

__all__ = ["nearest"]

#: Rules that are diagnosed, and those that are told of; what is the same is told of once.
_DIAGNOSED, _TOLD = 16, 5


def nearest(
    tried: Sequence[Candidate],
    rules: Sequence[Rule],
    evidence: Evidence,
    predictor: Predictor,
    *,
    axis: int | None,
    wanted: frozenset[str],
) -> tuple[Near, ...]:
    """
    Return the rules that a dump nearly obeys, the best explained first.

    Parameters
    ----------
    tried : sequence of Candidate
        Those that it does not obey.
    rules : sequence of Rule
        All that are asked for, whatever shapes they need.
    evidence : Evidence
        The dump.
    predictor : Predictor
        Its source.
    axis : int, optional
        The only axis that is allowed.
    wanted : frozenset of str
        Names of rules that are told of however far they are.

    Returns
    -------
    tuple of Near
        At most five that differ, and one of each of the wanted.
    """
    found = [c for each in tried if not each.is_held for c in [compare(each, predictor)] if c]
    found.sort(key=lambda comparison: -comparison.nearness)
    chosen = _chosen(found, wanted)
    explained = [(c, diagnose(c, found, evidence, predictor)) for c in chosen]
    if all(d is None or not d.exact or d.name == "scales-rounded-first" for _, d in explained):
        others = tuple(_with_other_arguments(rules, evidence, predictor, axis))
    else:
        others = ()
    explained.sort(key=_order)
    exact = [(c, d) for c, d in explained if d is not None and d.exact]
    told = _worth_telling(explained)
    if exact or others:
        told = _few(exact, _TOLD - len(others))
    told = [(c, d) for c, d in told if d is not None or not _is_by_chance(c, evidence)]
    names = {c.candidate.rule.name for c, _ in told} | {near.rule for near in others}
    for name in sorted(wanted - names):
        told += [pair for pair in explained if pair[0].candidate.rule.name == name][:1]
    return (*others[:_TOLD], *(_near(c, d, predictor) for c, d in told))


def _order(pair: tuple[Comparison, Diagnosis | None]) -> tuple[bool, bool, bool, float]:
    comparison, diagnosis = pair
    exact = diagnosis is not None and diagnosis.exact
    vague = diagnosis is not None and diagnosis.name == "other-scales"
    return not exact, diagnosis is None, vague, -comparison.nearness


def _worth_telling(
    explained: list[tuple[Comparison, Diagnosis | None]],
) -> list[tuple[Comparison, Diagnosis | None]]:
    """Return the explained ones, or the nearest and those that are not much farther."""
    known = [pair for pair in explained if pair[1] is not None]
    if known or not explained:
        return _few(known, _TOLD)
    best = explained[0][0].nearness
    reach = 2 - min(10 * (2 - best), 1.0)
    close = [pair for pair in explained if pair[0].nearness >= reach]
    return _few(close, _TOLD) or explained[:1]


def _few(
    pairs: Sequence[tuple[Comparison, Diagnosis | None]], count: int
) -> list[tuple[Comparison, Diagnosis | None]]:
    """Return the first pairs that differ, with those that are the same as one of them."""
    kinds: list[object] = []
    for this, diagnosis in pairs:
        candidate = this.candidate
        place = candidate.fmt.name, candidate.axis, candidate.blocks.block
        kinds.append((this.nearness, *place, diagnosis and (diagnosis.name, diagnosis.explanation)))
    wanted = list(dict.fromkeys(kinds))[: max(count, 0)]
    return [pair for pair, kind in zip(pairs, kinds, strict=True) if kind in wanted]


def _chosen(found: list[Comparison], wanted: frozenset[str]) -> list[Comparison]:
    """Return the nearest, and the nearest of each rule that was asked for."""
    chosen = found[:_DIAGNOSED]
    for name in wanted:
        first = next((c for c in found if c.candidate.rule.name == name), None)
        if first is not None and all(c is not first for c in chosen):
            chosen.append(first)
    return chosen


def _near(sampled: Comparison, diagnosis: Diagnosis | None, predictor: Predictor) -> Near:
    """Count everything, and tell of it."""
    this = compare(sampled.candidate, predictor, whole=True) or sampled
    candidate, trial = this.candidate, this.trial
    diagnosis = diagnosis if diagnosis is not None else _unexplained(this)
    return Near(
        candidate.rule.name,
        candidate.fmt.name,
        candidate.axis,
        candidate.blocks.block,
        trial.storage,
        this.codes.equal,
        this.codes.seen,
        int(np.count_nonzero(trial.equal)),
        trial.equal.size,
        diagnosis.name,
        diagnosis.explanation,
        diagnosis.exact,
        witnesses(this, predictor),
    )


def _unexplained(this: Comparison) -> Diagnosis:
    codes, scales = this.codes.seen - this.codes.equal, int(np.count_nonzero(~this.trial.equal))
    quotients = ratios(this.trial)
    times = ""
    if scales and quotients.size:
        times = f", {spread(quotients)} the rule's,"
    return Diagnosis(
        "unexplained",
        f"{counted(codes, 'code')} and {counted(scales, 'scale')}{times} differ, by none of the "
        "mistakes that are known here",
        exact=False,
    )


def _is_by_chance(this: Comparison, evidence: Evidence) -> bool:
    """Whether so few codes and scales are the rule's that they may be so by accident.

    Of independent codes, as many are equal as two of the dump's own drawn at random:
    the sum of the squares of their shares.  Up to twice that says nothing.
    """
    if this.codes_equal or this.codes_follow:
        return False
    shares = np.bincount(evidence.codes.reshape(-1), minlength=256) / evidence.codes.size
    agreed = max(each.equal / max(each.seen, 1) for each in (this.codes, this.follows))
    _, counts = np.unique(this.trial.found.view(np.uint32), return_counts=True)
    same = float(np.count_nonzero(this.trial.equal)) / max(this.trial.equal.size, 1)
    return agreed <= 2 * float((shares**2).sum()) and same <= 2 * float(
        ((counts / this.trial.equal.size) ** 2).sum()
    )


def _with_other_arguments(
    rules: Sequence[Rule], evidence: Evidence, predictor: Predictor, axis: int | None
) -> Iterator[Near]:
    """Yield rules that are obeyed with blocks of another length, format, axis or order."""
    found = [
        (abs(np.log2(variant.granularity.length / rule.granularity.length)), rule, match)
        for rule in rules
        for variant in other_lengths(rule, evidence)
        for match in _first_obeyed([variant], evidence, predictor, axis)
    ]
    for _, rule, match in sorted(found, key=lambda each: float(each[0])):
        length, own = max(match.block), rule.granularity.length
        what = f"it is the rule's, with blocks of {length} and not {own}"
        yield _exact(match, rule, "block-length", what)
    yield from _with_other_formats(rules, evidence, predictor, axis)
    if axis is not None:
        for match in _first_obeyed(rules, evidence, predictor, None):
            yield _exact(match, None, "axis", f"blocks run along axis {match.axis}, not {axis}")
    yield from _turned(rules, evidence)


def _first_obeyed(
    rules: Sequence[Rule], evidence: Evidence, predictor: Predictor, axis: int | None
) -> Iterator[Match]:
    for candidate in candidates(evidence, rules, axis):
        slow = candidate.is_held or candidate.rule.rotation is not None
        if not slow and isinstance(candidate.rule.finder, Amax):
            match = obeys(candidate, evidence, predictor)
            if match is not None:
                yield match


def _exact(match: Match, rule: Rule | None, name: str, explanation: str) -> Near:
    return Near(
        match.rule if rule is None else rule.name,
        match.format,
        match.axis,
        match.block,
        match.storage,
        match.codes,
        match.codes,
        match.scales,
        match.scales,
        name,
        explanation,
        exact=True,
    )


def _with_other_formats(
    rules: Sequence[Rule], evidence: Evidence, predictor: Predictor, axis: int | None
) -> Iterator[Near]:
    """Yield rules that are obeyed if the codes are read as of another format."""
    if not evidence.is_format_known:
        return

    said = evidence.formats[0]
    others = tuple(fmt for fmt in possible_formats(evidence.codes) if fmt != said)
    for candidate in candidates(replace(evidence, formats=others), rules, axis):
        if candidate.is_held:
            continue
        this = compare(candidate, predictor)
        if this is None or not this.codes_equal:
            continue
        quotients = ratios(this.trial)
        constant = bool(quotients.size) and quotients.max() == quotients.min()
        if not (this.scales_equal or constant):
            continue
        explanation = f"the codes are of {candidate.fmt.name} and not of {said.name}"
        if not this.scales_equal:
            explanation += f", and every scale is {float(quotients[0]):g} times the rule's"
        step = _same_bits(candidate, evidence)
        yield _near(this, Diagnosis("codes-format", explanation + step), predictor)


def _same_bits(candidate: Candidate, evidence: Evidence) -> str:
    """Say by what factor the two formats read the same codes, if it is one factor."""
    a, b = candidate.fmt.values, evidence.formats[0].values
    if a.shape != b.shape:
        return ""
    used = np.unique(evidence.codes)
    with np.errstate(all="ignore"):
        quotients = a[used] / b[used]
    quotients = quotients[np.isfinite(quotients) & (quotients > 0)]
    if not quotients.size or quotients.min() != quotients.max():
        return ""
    return f"; the same codes stand for values {float(quotients[0]):g} times as large there"


def _turned(rules: Sequence[Rule], evidence: Evidence) -> Iterator[Near]:
    """Yield rules that are obeyed by the transposed source."""
    codes, source = evidence.codes, evidence.source
    if source is None or codes.ndim != 2 or codes.shape[0] != codes.shape[1]:
        return
    predictor = Predictor(np.ascontiguousarray(source.T), codes)
    for match in _first_obeyed(rules, evidence, predictor, None):
        yield _exact(
            match, None, "codes-transposed", "codes and scales are those of the transposed source"
        )
