"""
Which rules the shapes of codes and scales allow, and along which axes.

::

    codes (8, 70), scales (8, 3)   --> block-32 and every rule of 1 x 32 along axis 1, block-24
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fp8num.scaled import Blocks
from fp8num.scaling.catalogue import RULES, get_rule
from fp8num.scaling.identifying.conventions import CONVENTIONS, narrow_conventions, rule_of
from fp8num.scaling.identifying.layouts import Layout, layouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fp8num.formats import Format
    from fp8num.scaling.identifying.evidence import Evidence, Reading
    from fp8num.scaling.rule import Rule

__all__ = ["Candidate", "candidates", "fitting_shapes", "other_lengths", "rules_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """
    A rule, applied along an axis for a format, with the ways its scales could be stored.

    Parameters
    ----------
    rule : Rule
        The rule.
    fmt : Format
        Of the elements.
    axis : int
        The axis that blocks run along, from 0.
    blocks : Blocks
        Where they are.
    views : tuple of (Reading, Layout)
        How the dump's scales may be read so that there is one for each block.
    """

    rule: Rule
    fmt: Format
    axis: int
    blocks: Blocks
    views: tuple[tuple[Reading, Layout], ...]

    @property
    def is_held(self) -> bool:
        """Whether the scale comes from steps before: one tensor cannot show how it was found."""
        return self.rule.history is not None


def rules_of(
    evidence: Evidence, rules: Iterable[str | Rule] | str | Rule | None
) -> tuple[Rule, ...]:
    """
    Return the rules to try: those asked for, or all, and blocks of what lengths fit.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if rules is not None:
        given = [rules] if isinstance(rules, str) or not hasattr(rules, "__iter__") else rules
        return tuple(rule_of(rule) for rule in given)
    found = {**RULES, **CONVENTIONS}
    if any(reading.name == "bfloat16" for reading in evidence.readings):
        found.update({rule.name: rule for rule in narrow_conventions()})
    for name in _block_names(evidence.codes.shape, evidence.scales_shape):
        found.setdefault(name, get_rule(name))
    return tuple(found.values())


def candidates(evidence: Evidence, rules: Iterable[Rule], axis: int | None) -> list[Candidate]:
    """
    Return the rules with formats and axes that the dump's types and shapes allow.

    Parameters
    ----------
    evidence : Evidence
        The dump.
    rules : iterable of Rule
        To try.
    axis : int, optional
        The axis that blocks run along; any if it is not given.

    Returns
    -------
    list of Candidate
        The last axis first; only one of axes that give the same blocks.

    Raises
    ------
    ValueError
        If there is no such axis.
    """
    return [
        Candidate(rule, fmt, along, blocks, views)
        for rule in rules
        for along, blocks, views in _placements(evidence, rule, axis)
        for fmt in evidence.formats
        if not rule.formats or fmt.name in rule.formats
    ]


def _axes(ndim: int, axis: int | None) -> list[int]:
    if ndim == 0:
        return [-1]
    if axis is None:
        return list(range(ndim))[::-1]
    if isinstance(axis, bool) or not isinstance(axis, int) or not -ndim <= axis < ndim:
        msg = f"axis must be from {-ndim} to {ndim - 1} for codes of {ndim} axes, got {axis!r}"
        raise ValueError(msg)
    return [axis % ndim]


def _placements(
    evidence: Evidence, rule: Rule, axis: int | None
) -> Iterator[tuple[int, Blocks, tuple[tuple[Reading, Layout], ...]]]:
    """Yield the axes along which a rule's blocks have as many scales as there are."""
    shape = evidence.codes.shape
    seen = set()
    for along in _axes(len(shape), axis):
        try:
            block = rule.granularity.block(shape, along)
        except ValueError:  # blocks of two dimensions along a far axis, or that would be ragged
            continue
        if rule.rotation is not None and shape[along] % len(rule.rotation.signs):
            continue
        key = (block, along if rule.rotation is not None else None)
        if key in seen:
            continue
        seen.add(key)
        blocks = Blocks(shape, block)
        views = tuple(
            (reading, layout)
            for reading in evidence.readings
            for layout in layouts(
                evidence.scales_shape,
                blocks.counts,
                block,
                codes=reading.codes is not None,
                repeats=rule.is_two_level,
            )
        )
        if views:
            yield along, blocks, views


def _lengths(n: int, count: int) -> list[int]:
    """Return likely lengths of which an axis of n elements has `count` blocks."""
    if not 1 <= count <= n:
        return []
    likely = [-(-n // count), *(1 << k for k in range(12)), n // count]
    return sorted({length for length in likely if length and -(-n // length) == count})


def _block_names(shape: tuple[int, ...], scales: tuple[int, ...]) -> Iterator[str]:
    """Yield names of rules of blocks that fit the shapes, of any length."""
    if len(shape) != len(scales) or int(np.prod(scales)) <= 1:
        return
    several = [i for i, (n, m) in enumerate(zip(shape, scales, strict=True)) if n != m]
    if len(several) == 1:
        axis = several[0]
        for length in _lengths(shape[axis], scales[axis]):
            if scales[axis] > 1:
                yield f"block-{length}"
    if len(several) == 2 and several == [len(shape) - 2, len(shape) - 1]:
        heights, lengths = (_lengths(shape[i], scales[i]) for i in several)
        pairs = {(h, w) for h in heights for w in lengths if h > 1 and w > 1}
        squares = {(h, w) for h, w in pairs if h == w}
        for height, length in sorted(squares) or sorted(pairs)[:4]:
            yield f"block-{height}x{length}"


def other_lengths(rule: Rule, evidence: Evidence) -> Iterator[Rule]:
    """
    Yield a rule with blocks of other lengths that fit the shapes.

    Parameters
    ----------
    rule : Rule
        One of blocks along one axis.
    evidence : Evidence
        The dump.

    Yields
    ------
    Rule
        Of the same name.
    """
    grain = rule.granularity
    if grain.kind != "block" or grain.height > 1:
        return
    lengths = {grain.length - 1, grain.length + 1}
    for n, count in zip(evidence.codes.shape, evidence.scales_shape, strict=False):
        lengths.update(_lengths(n, count))
    for length in sorted(lengths - {grain.length, 0}):
        yield replace(rule, granularity=replace(grain, length=length))


def fitting_shapes(evidence: Evidence, rules: Iterable[Rule]) -> str:
    """Return in words which shapes of scales would fit the codes."""
    shape = evidence.codes.shape
    found: dict[tuple[int, ...], str] = {}
    for rule in rules:
        for along in _axes(len(shape), None):
            try:
                counts = Blocks(shape, rule.granularity.block(shape, along)).counts
            except ValueError:
                continue
            if int(np.prod(counts, dtype=np.int64)) == 1:
                counts = ()
            found.setdefault(counts, f"{rule.granularity} along axis {along}" if counts else "one")
    few = list(found.items())[:10]
    return ", ".join(f"{counts} ({what})" for counts, what in few)
