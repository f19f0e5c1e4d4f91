"""
Why rules that differ give the same codes and scales on some data.

::

    te-mxfp8, torchao-mx-rceil    no element is NaN or infinite, so that what is done with
                                  these does not show
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fp8num.scaling.finders import Amax
from fp8num.scaling.identifying.records import Group, Match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.predicting import Predictor
    from fp8num.scaling.rule import Rule

__all__ = ["group"]


def group(obeyed: Sequence[tuple[Candidate, Match]], predictor: Predictor) -> tuple[Group, ...]:
    """
    Return the rules that a dump obeys all at once, and why each gives the same here.

    Parameters
    ----------
    obeyed : sequence of (Candidate, Match)
        Rules that were found to give the dump.
    predictor : Predictor
        The source.

    Returns
    -------
    tuple of Group
        One, or none if fewer than two rules are obeyed.
    """
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
