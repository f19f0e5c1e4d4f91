"""
Which rules somebody's codes and scales obey, and which nearly, and why.

::

    codes, scales (, source) --> candidates by shape --> obeyed | consistent | near, and why
    all candidates --compare--> the nearest --diagnose--> mistakes by name --> counts, witnesses
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._kernels.state import float_arithmetic
from fp8num._records import counted
from fp8num.scaling.catalogue import RULES
from fp8num.scaling.finders import Amax
from fp8num.scaling.held import MsAmp
from fp8num.scaling.identifying.candidates import (
    Candidate,
    candidates,
    fitting_shapes,
    other_lengths,
    rules_of,
)
from fp8num.scaling.identifying.conventions import CONVENTIONS, rule_of
from fp8num.scaling.identifying.dump import Evidence, gather, possible_formats
from fp8num.scaling.identifying.exclude import ROUNDED, Largest, inverted, judge, largest_codes
from fp8num.scaling.identifying.likeness import (
    Likeness,
    compare,
    descale_errors,
    held,
    obeys,
    obeys_shared,
    ratios,
    spread,
    witnesses,
)
from fp8num.scaling.identifying.mistakes import Explained, diagnose
from fp8num.scaling.identifying.predict import SEARCHED, Predictor
from fp8num.scaling.identifying.records import Finding, Group, Identification, Match, Near

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.scaling.rule import Rule

__all__ = ["identify"]
#: Rules that are diagnosed, and those that are told of; what is the same is told of once.
_DIAGNOSED, _TOLD = 16, 5


def _group(obeyed: Sequence[tuple[Candidate, Match]], predictor: Predictor) -> tuple[Group, ...]:
    """Return the rules that a dump obeys all at once, and why each gives the same here."""
    if len(obeyed) < 2:
        return ()
    first = obeyed[0][0]
    names = _labels(obeyed)
    told: dict[str, list[str]] = {}
    for candidate, _ in obeyed[1:]:
        why = _reasons(first, candidate, predictor)
        label = names[candidate.rule.name, candidate.axis]
        if label not in told.setdefault(why, []):
            told[why].append(label)
    reasons = tuple(f"{', '.join(rules)}: {why}" for why, rules in told.items())
    return (Group(tuple(dict.fromkeys(names.values())), reasons),)


def _labels(obeyed: Sequence[tuple[Candidate, Match]]) -> dict[tuple[str, int], str]:
    """Return rules' names, with formats and axis where one is there with several."""
    formats: dict[tuple[str, int], list[str]] = {}
    for candidate, _ in obeyed:
        formats.setdefault((candidate.rule.name, candidate.axis), []).append(candidate.fmt.name)
    labels = {}
    for (name, axis), found in formats.items():
        more = [", ".join(found)] if len(found) > 1 else []
        if sum(other == name for other, _ in formats) > 1:
            more.append(f"axis {axis}")
        labels[name, axis] = f"{name} ({'; '.join(more)})" if more else name
    return labels


def _reasons(a: Candidate, b: Candidate, predictor: Predictor) -> str:
    """Return what the two differ in, and why that does not show."""
    data = _Data(predictor, a)
    if data.all_zero:
        return "every element is zero"
    found = []
    if a.fmt != b.fmt:
        found.append(f"{a.fmt.name} and {b.fmt.name} have the same codes for these values")
    if a.blocks.block != b.blocks.block or a.axis != b.axis:
        found.append(
            f"blocks of {a.rule.granularity} along axis {a.axis} and of {b.rule.granularity} along "
            f"axis {b.axis} give the same"
        )
    elif a.rule.granularity != b.rule.granularity:
        found.append(
            f"blocks of {a.rule.granularity} and {b.rule.granularity} are the same in this shape"
        )
    if a.rule.scale != b.rule.scale or a.rule.finder != b.rule.finder:
        found.append(data.about_scales(a.rule, b.rule))
    found += _about_codes(a.rule, b.rule, data)
    text = "; ".join(found)
    return text or "they differ only in what is done with the codes and scales afterwards"


def _about_codes(a: Rule, b: Rule, data: _Data) -> list[str]:
    found = []
    if a.cast.rounding != b.cast.rounding:
        found.append("no element is where the roundings of elements differ")
    if a.cast.like != b.cast.like and not data.all_finite:
        found.append("what is not finite gives the same codes")
    if (a.way_in, a.exact) != (b.way_in, b.exact):
        found.append("the products with the scale round to the same codes")
    if a.cast.drops_minus_zero != b.cast.drops_minus_zero or a.cast.early_tie != b.cast.early_tie:
        found.append("no element is -0, or where float32 arithmetic rounds it otherwise")
    if a.cast.ties_toward_zero != b.cast.ties_toward_zero or (
        a.cast.minus_zeros != b.cast.minus_zeros
    ):
        found.append("no element is zero, or a tie that rounds otherwise")
    if (a.rotation is None) != (b.rotation is None):
        found.append("the rotated values give the same")
    return found


class _Data:
    """What is special about a source."""

    def __init__(self, predictor: Predictor, candidate: Candidate) -> None:
        self.amax = predictor.amax(candidate.rule, candidate.axis, candidate.blocks)
        strict = predictor.amax(candidate.rule, candidate.axis, candidate.blocks, Amax("propagate"))
        self.has_nan = bool(np.isnan(strict).any())
        self.all_finite = bool(np.isfinite(strict).all())
        self.all_zero = not self.has_nan and not self.amax.view(np.uint32).any()

    def about_scales(self, a: Rule, b: Rule) -> str:
        """Return why two rules have the same scales."""
        kinds = {type(a.finder).__name__, type(b.finder).__name__}
        if kinds != {"Amax"}:
            return (
                "no narrower range is better than the whole"
                if "BestClip" in kinds
                else ("the percentile is the largest magnitude here")
            )
        if a.scale == b.scale:
            return "no element is NaN" if not self.has_nan else "NaN makes no difference here"
        words = self.amax.view(np.uint32)
        usable = words[(words > 0) & (words < np.uint32(0x7F800000))]
        if usable.size and not (usable & np.uint32((1 << 23) - 1)).any():
            return "every largest magnitude is a power of two, so that scales round to the same"
        text = "no largest magnitude is where the formulas of the scale differ"
        return text if self.all_finite else f"{text}, though some are not finite"


def _about_zeros(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings where scales of zero are no mistake, as the rule gives them."""
    return [
        Finding("zero-blocks", f"{each.detail}, as the rule has it")
        if each.kind == "scale-zero"
        else each
        for each in findings
    ]


def _with_declared(name: str, identification: Identification) -> Identification:
    """Return what was found, and whether the rule holds that the dump is said to be made by."""
    finding = _about(name, identification)
    kept = [each for each in identification.findings if each.kind != "scale-divides"]
    if finding.is_problem:
        kept = list(identification.findings)
    return replace(identification, findings=(*kept, finding))


def _about(name: str, identification: Identification) -> Finding:
    """Say whether the rule holds."""
    if any(match.rule == name for match in identification.obeyed):
        return Finding("declared", f"declared {name}: holds")
    if any(match.rule == name for match in identification.consistent):
        return Finding("declared", f"declared {name}: nothing contradicts it")
    why = "its blocks or its format do not fit the dump"
    for near in identification.near:
        if near.rule == name:
            witness = f"; first in {near.witnesses[0]}" if near.witnesses else ""
            why = f"{near.diagnosis}: {near.explanation}{witness}"
            break
    for exclusion in identification.excluded:
        if exclusion.rule == name:
            why = exclusion.reason
            break
    return Finding("declared-broken", f"declared {name}: does not hold, {why}")


def _about_storage(matches: Sequence[Match]) -> list[Finding]:
    """Say that the scales of two-dimensional blocks are transposed, if all rules have them so."""
    turned = [
        match
        for match in matches
        if "transposed" in match.storage and sum(length > 1 for length in match.block) > 1
    ]
    if not turned or len(turned) < len(matches):
        return []
    first = turned[0]
    blocks = " x ".join(str(length) for length in first.block)
    return [Finding("scales-transposed", f"the scales of blocks of {blocks} are stored transposed")]


def _nearest(
    tried: Sequence[Candidate],
    rules: Sequence[Rule],
    evidence: Evidence,
    predictor: Predictor,
    *,
    axis: int | None,
    wanted: frozenset[str],
) -> tuple[Near, ...]:
    """Return the rules that a dump nearly obeys, the best explained first."""
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


def _order(pair: tuple[Likeness, Explained | None]) -> tuple[bool, bool, bool, float]:
    comparison, diagnosis = pair
    exact = diagnosis is not None and diagnosis.exact
    vague = diagnosis is not None and diagnosis.name == "other-scales"
    return not exact, diagnosis is None, vague, -comparison.nearness


def _worth_telling(
    explained: list[tuple[Likeness, Explained | None]],
) -> list[tuple[Likeness, Explained | None]]:
    """Return the explained ones, or the nearest and those that are not much farther."""
    known = [pair for pair in explained if pair[1] is not None]
    if known or not explained:
        return _few(known, _TOLD)
    best = explained[0][0].nearness
    reach = 2 - min(10 * (2 - best), 1.0)
    close = [pair for pair in explained if pair[0].nearness >= reach]
    return _few(close, _TOLD) or explained[:1]


def _few(
    pairs: Sequence[tuple[Likeness, Explained | None]], count: int
) -> list[tuple[Likeness, Explained | None]]:
    """Return the first pairs that differ, with those that are the same as one of them."""
    kinds: list[object] = []
    for this, diagnosis in pairs:
        candidate = this.candidate
        place = candidate.fmt.name, candidate.axis, candidate.blocks.block
        kinds.append((this.nearness, *place, diagnosis and (diagnosis.name, diagnosis.explanation)))
    wanted = list(dict.fromkeys(kinds))[: max(count, 0)]
    return [pair for pair, kind in zip(pairs, kinds, strict=True) if kind in wanted]


def _chosen(found: list[Likeness], wanted: frozenset[str]) -> list[Likeness]:
    """Return the nearest, and the nearest of each rule that was asked for."""
    chosen = found[:_DIAGNOSED]
    for name in wanted:
        first = next((c for c in found if c.candidate.rule.name == name), None)
        if first is not None and all(c is not first for c in chosen):
            chosen.append(first)
    return chosen


def _near(sampled: Likeness, diagnosis: Explained | None, predictor: Predictor) -> Near:
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


def _unexplained(this: Likeness) -> Explained:
    codes, scales = this.codes.seen - this.codes.equal, int(np.count_nonzero(~this.trial.equal))
    quotients = ratios(this.trial)
    times = ""
    if scales and quotients.size:
        times = f", {spread(quotients)} the rule's,"
    return Explained(
        "unexplained",
        f"{counted(codes, 'code')} and {counted(scales, 'scale')}{times} differ, by none of the "
        "mistakes that are known here",
        exact=False,
    )


def _is_by_chance(this: Likeness, evidence: Evidence) -> bool:
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
        yield _near(this, Explained("codes-format", explanation + step), predictor)


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


@float_arithmetic
def identify(
    codes: npt.ArrayLike,
    scales: npt.ArrayLike,
    *,
    format: Format | str | None = None,  # noqa: A002 - what it is
    scale_format: Format | str | None = None,
    source: npt.ArrayLike | None = None,
    tensor_scale: npt.ArrayLike | None = None,
    axis: int | None = None,
    rules: Iterable[str | Rule] | str | Rule | None = None,
    declared: str | Rule | None = None,
) -> Identification:
    """
    Say which scaling rules a dump obeys bit for bit, which nearly, and where it breaks.

    Parameters
    ----------
    codes : array_like of uint8, or of a type of ml_dtypes, shape (...)
        The elements' codes, one for each.
    scales : array_like
        As they were stored: floats, codes of `scale_format`, or integer exponents of two;
        one number, one per row, one per block ..., plain, transposed, or padded.
    format : Format or str, optional
        Of the codes; by default all are tried that have them.
    scale_format : Format or str, optional
        Of scales that are uint8; by default E8M0FNU and E4M3FN are tried.
    source : array_like, shape (...), optional
        What was quantised, in the type it had.  Without it no rule is obeyed, only
        consistent or excluded.
    tensor_scale : float, optional
        Of two-level scaling: the tensor's amax, that over 2688, or the inverse.
    axis : int, optional
        The axis that blocks run along; by default any.
    rules : rule, name, or iterable of these, optional
        Which to try; by default all, and blocks of every length that fits the shapes.
        Those named are told of in `near` even if others are obeyed.
    declared : rule or name, optional
        The rule that the dump is said to have been made by.  It is tried first, and a
        finding says whether it holds.

    Returns
    -------
    Identification
        What is obeyed, consistent, near and excluded.  Whatever is wrong with the dump
        itself, such as shapes that contradict each other or scales of zero, is among its
        findings.

    Raises
    ------
    TypeError
        If codes or scales have a type that they cannot have.
    ValueError
        If a format, rule or axis does not exist.

    Notes
    -----
    A rule is obeyed if every code and every scale is equal; scales may be stored as the
    rule's library does or in other usual ways, and the match says in which.  Codes of NaN
    are compared as codes.

    Examples
    --------
    >>> import numpy as np, fp8num as fp
    >>> x = np.random.default_rng(0).standard_normal((32, 64)).astype(np.float32)
    >>> dump = fp.scale_quantize(x, "te-mxfp8")
    >>> found = identify(dump.codes, dump.stored_scales, source=x)
    >>> [match.rule for match in found.obeyed][:3]
    ['te-mxfp8', 'torchao-mx-rceil', 'torchao-0.18-mx-rceil']
    """
    evidence = gather(
        codes,
        scales,
        fmt=format,
        scale_format=scale_format,
        source=source,
        tensor_scale=tensor_scale,
    )
    tried = rules_of(evidence, rules)
    said = None if declared is None else rule_of(declared)
    if said is not None:
        tried = (said, *(rule for rule in tried if rule.name != said.name))
    found = candidates(evidence, tried, axis)
    if not evidence.usable:
        return _report(evidence)
    if evidence.source is None:
        identification = _without_source(evidence, found)
    else:
        asked = frozenset(rule.name for rule in tried) if rules is not None else frozenset()
        asked |= frozenset() if said is None else {said.name}
        identification = _with_source(
            evidence,
            tried,
            found,
            axis=axis,
            asked=asked,
            declared=None if said is None else said.name,
        )
    if said is not None:
        identification = _with_declared(said.name, identification)
    usual = any(_is_usual(c, rules) or (said is not None and c.rule is said) for c in found)
    if identification.is_identified or usual:
        return identification
    detail = (
        f"scales of shape {evidence.scales_shape} fit no library's rule for codes of shape "
        f"{evidence.codes.shape}; of these some would fit: {fitting_shapes(evidence, tried)}"
    )
    return replace(identification, findings=(*identification.findings, Finding("shape", detail)))


def _is_usual(candidate: Candidate, rules: object) -> bool:
    """Whether a rule is one of the catalogue's, or was asked for."""
    return rules is not None or (candidate.rule.name in RULES or candidate.rule.name in CONVENTIONS)


def _report(evidence: Evidence) -> Identification:
    return Identification(
        evidence.codes.shape,
        evidence.scales_shape,
        evidence.source is not None,
        findings=tuple(evidence.findings),
    )


def _without_source(evidence: Evidence, found: Sequence[Candidate]) -> Identification:
    # Without a source nearly everything fits some padding: what fits as it is goes first.
    plain = [c for c in found if any(not layout.is_padded for _, layout in c.views)]
    known: dict[Any, Largest] = {}
    judged = [judge(candidate, evidence, known) for candidate in plain or found]
    consistent = tuple(
        sorted(
            (each for each in judged if isinstance(each, Match)),
            key=lambda match: (match.is_inverted, ", " in match.storage),
        )
    )
    excluded = tuple(each for each in judged if not isinstance(each, Match))
    findings = [*evidence.findings, *_about_storage(consistent)]
    if any(_has_zeros_of_zeros(c, evidence, consistent) for c in plain or found):
        findings = _about_zeros(findings)
    if plain or found:
        first = (plain or found)[0]
        about = inverted(first, largest_codes(first, evidence), consistent)
        findings += [] if about is None else [about]
    if not consistent and any(ROUNDED in each.reason for each in excluded):
        findings.append(Finding("scales-rounded", ROUNDED))
    return Identification(
        evidence.codes.shape,
        evidence.scales_shape,
        has_source=False,
        consistent=consistent,
        excluded=excluded,
        findings=tuple(findings),
    )


def _has_zeros_of_zeros(
    candidate: Candidate, evidence: Evidence, consistent: Sequence[Match]
) -> bool:
    """Whether a rule is consistent, and scales are zero only where all elements are."""
    if not any(finding.kind == "scale-zero" for finding in evidence.findings):
        return False
    if candidate.rule.name not in {match.rule for match in consistent}:
        return False
    reading, layout = candidate.views[0]
    scales = layout.arrange(reading.values)
    largest, _ = largest_codes(candidate, evidence)
    return scales is not None and not ((scales == 0) & (largest > 0)).any()


def _with_source(
    evidence: Evidence,
    rules: Sequence[Rule],
    found: Sequence[Candidate],
    *,
    axis: int | None,
    asked: frozenset[str],
    declared: str | None,
) -> Identification:
    assert evidence.source is not None
    predictor = Predictor(evidence.source, evidence.codes)
    obeyed, consistent = _verdicts(evidence, found, predictor)
    obeyed.sort(key=lambda pair: pair[1].rule != declared)
    named = {match.rule for _, match in obeyed}
    wanted = asked - named - {match.rule for match in consistent}
    near: tuple[Near, ...] = ()
    if not obeyed or wanted:
        # Codes without a scale are a mistake that each rule tells of, and near to no other.
        left = [c for c in found if not c.rule.is_unscaled or c.rule.name in asked]
        left = [c for c in left if c.rule.name not in named]
        near = _nearest(left, rules, evidence, predictor, axis=axis, wanted=wanted)
    if obeyed and obeyed[0][1].is_inverted:
        evidence.findings.append(_inverted(*obeyed[0], predictor))
    evidence.findings.extend(_about_storage([match for _, match in obeyed] or consistent))
    return Identification(
        evidence.codes.shape,
        evidence.scales_shape,
        has_source=True,
        obeyed=tuple(match for _, match in obeyed),
        consistent=tuple(consistent),
        near=near,
        indistinguishable=_group(obeyed, predictor),
        findings=tuple(_about_zeros(evidence.findings) if obeyed else evidence.findings),
    )


def _verdicts(
    evidence: Evidence, found: Sequence[Candidate], predictor: Predictor
) -> tuple[list[tuple[Candidate, Match]], list[Match]]:
    """Return the rules that are obeyed, and those that are consistent with the dump."""
    obeyed: list[tuple[Candidate, Match]] = []
    consistent: list[Match] = []
    rotated = [c for c in found if c.rule.rotation is not None]
    for candidate in [*(c for c in found if c.rule.rotation is None), *rotated]:
        if candidate.rule.rotation is not None and obeyed and evidence.codes.size > SEARCHED:
            continue  # a rotation takes long, and a rule that does not rotate has been found
        match = None
        if not candidate.is_held or isinstance(candidate.rule.scale, MsAmp):
            match = obeys(candidate, evidence, predictor)
        if match is None:
            match = held(candidate, evidence, predictor) if candidate.is_held else None
            consistent += [] if match is None else [match]
        elif candidate.rule.cast.is_random:
            consistent.append(match)
        else:
            obeyed.append((candidate, match))
    if not (obeyed or consistent):
        fixed = (each for each in found if not each.rule.cast.is_random)
        shared = ((each, obeys_shared(each, evidence, predictor)) for each in fixed)
        obeyed = [(each, match) for each, match in shared if match is not None]
    # Those whose library stores scales so come first, and else the rules' order is kept.
    obeyed.sort(key=lambda pair: (pair[1].is_inverted, ", " in pair[1].storage))
    return obeyed, consistent


def _inverted(candidate: Candidate, match: Match, predictor: Predictor) -> Finding:
    """Say that scales are stored the other way round than the rule's library stores them."""
    scales = next(
        layout.arrange(reading.values)
        for reading, layout in candidate.views
        if match.storage.startswith(reading.name)
    )
    assert scales is not None
    times, over = descale_errors(candidate, scales, predictor)
    return Finding(
        "scale-inverted",
        f"the scales are stored as {match.storage}: a decoded value is to be "
        f"{'multiplied' if match.descale == 'multiply' else 'divided'} by them, the other way "
        f"than what {match.rule}'s library stores; codes times them are {times:.3g} of the "
        f"source's norm away from it, codes over them {over:.3g}",
    )
