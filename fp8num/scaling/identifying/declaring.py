"""
Whether a dump holds what was said of it, and what is odd in how it is stored.

::

    declared rule --> obeyed, consistent: holds      near, excluded: the first witness
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fp8num.scaling.identifying.records import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fp8num.scaling.identifying.records import Identification, Match

__all__ = ["about_storage", "about_zeros", "with_declared"]


def about_zeros(findings: Sequence[Finding]) -> list[Finding]:
    """
    Return findings where scales of zero are no mistake, as the rule gives them.

    Parameters
    ----------
    findings : sequence of Finding
        What was found.

    Returns
    -------
    list of Finding
        With ``"zero-blocks"`` for ``"scale-zero"``: NVFP4's scale of a block of zeros is zero.
    """
    return [
        Finding("zero-blocks", f"{each.detail}, as the rule has it")
        if each.kind == "scale-zero"
        else each
        for each in findings
    ]


def with_declared(name: str, identification: Identification) -> Identification:
    """
    Return what was found, and whether the rule holds that the dump is said to be made by.

    Parameters
    ----------
    name : str
        Of the rule.
    identification : Identification
        What was found.

    Returns
    -------
    Identification
        With a finding ``"declared"`` if the rule holds or nothing contradicts it, else
        ``"declared-broken"`` with the first witness.
    """
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


def about_storage(matches: Sequence[Match]) -> list[Finding]:
    """
    Say that the scales of two-dimensional blocks are transposed, if all rules have them so.

    Parameters
    ----------
    matches : sequence of Match
        The rules that are obeyed, or consistent.

    Returns
    -------
    list of Finding
        One or none.  Of blocks along one axis, libraries store transposed scales.
    """
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
