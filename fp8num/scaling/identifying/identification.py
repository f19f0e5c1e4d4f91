"""
Which rules somebody's codes and scales obey.

::

    codes, scales (, source) --> candidates by shape --> obeyed | consistent | near, and why
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fp8num._kernels.state import float_arithmetic
from fp8num.scaling.catalogue import RULES
from fp8num.scaling.held import MsAmp
from fp8num.scaling.identifying.candidates import (
    Candidate,
    candidates,
    fitting_shapes,
    rules_of,
)
from fp8num.scaling.identifying.conventions import CONVENTIONS, rule_of
from fp8num.scaling.identifying.declaring import about_storage, about_zeros, with_declared
from fp8num.scaling.identifying.evidence import Evidence, gather
from fp8num.scaling.identifying.grouping import group
from fp8num.scaling.identifying.holding import held
from fp8num.scaling.identifying.measuring import descale_errors
from fp8num.scaling.identifying.nearest import nearest
from fp8num.scaling.identifying.necessary import Largest, judge, largest_codes
from fp8num.scaling.identifying.obeying import obeys
from fp8num.scaling.identifying.plausible import ROUNDED, inverted
from fp8num.scaling.identifying.predicting import SEARCHED, Predictor
from fp8num.scaling.identifying.records import Finding, Identification, Match, Near

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.scaling.rule import Rule

__all__ = ["identify"]


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
        identification = with_declared(said.name, identification)
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
    return rules is not None or candidate.rule.name in {**RULES, **CONVENTIONS}


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
    findings = [*evidence.findings, *about_storage(consistent)]
    if any(_has_zeros_of_zeros(c, evidence, consistent) for c in plain or found):
        findings = about_zeros(findings)
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
        near = nearest(left, rules, evidence, predictor, axis=axis, wanted=wanted)
    if obeyed and obeyed[0][1].is_inverted:
        evidence.findings.append(_inverted(*obeyed[0], predictor))
    evidence.findings.extend(about_storage([match for _, match in obeyed] or consistent))
    return Identification(
        evidence.codes.shape,
        evidence.scales_shape,
        has_source=True,
        obeyed=tuple(match for _, match in obeyed),
        consistent=tuple(consistent),
        near=near,
        indistinguishable=group(obeyed, predictor),
        findings=tuple(about_zeros(evidence.findings) if obeyed else evidence.findings),
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
        elif candidate.rule.cast.projection(candidate.fmt).rounding.is_stochastic:
            consistent.append(match)
        else:
            obeyed.append((candidate, match))
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
