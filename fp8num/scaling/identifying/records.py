"""
What was found out about somebody's dump.

::

    Identification
      |-- obeyed      Match   a rule that gives these codes and scales, bit for bit
      |-- consistent  Match   a rule that may have given them: nothing contradicts it
      |-- near        Near    a rule that does not: how far, why, and where first
      |-- excluded    Exclusion   without a source: why a rule cannot have given them
      |-- indistinguishable   Group   obeyed rules that give the same here, and why
      '-- findings    Finding     about the dump itself
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._records import counted, plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Exclusion",
    "Finding",
    "Group",
    "Identification",
    "Match",
    "Near",
    "Witness",
    "exact",
]
#: Kinds of findings that say how a dump is stored, and not that something is wrong.
_NOTES = ("declared", "scale-divides", "source-reshaped", "zero-blocks")


def _merged(matches: tuple[Match, ...]) -> list[str]:
    """Return a line for each match; of rules that differ in the format alone, one."""
    formats: dict[Match, list[str]] = {}
    for match in matches:
        formats.setdefault(replace(match, format=""), []).append(match.format)
    return [f"  {replace(match, format=' or '.join(f))}" for match, f in formats.items()]


def _grouped(near: tuple[Near, ...]) -> list[str]:
    """Return a paragraph for each mistake; rules for which all of it is the same share one."""
    alike: dict[Near, list[Near]] = {}
    for each in near:
        alike.setdefault(replace(each, rule="", axis=0), []).append(each)
    found = []
    for group in alike.values():
        if len({each.axis for each in group}) == 1:
            names = ", ".join(dict.fromkeys(each.rule for each in group))
            blocks = _blocks_of(group[0].block, group[0].axis)
        else:
            names = ", ".join(f"{each.rule} (axis {each.axis})" for each in group)
            blocks = _blocks_of(group[0].block, None)
        found.append(group[0].told(f"{names} ({group[0].format}, {blocks})"))
    return found


def _index_of(index: tuple[int, ...]) -> str:
    """Return an index as text."""
    return f"({', '.join(str(i) for i in index)})"


def _blocks_of(block: tuple[int, ...], axis: int | None) -> str:
    """Return the lengths of blocks, and the axis unless there are several."""
    if not block:
        return "a scalar"
    text = f"blocks {' x '.join(str(n) for n in block)}"
    return text if axis is None else f"{text} along axis {axis}"


def _differ(a: float, b: float) -> bool:
    """Return whether numbers are not the same; NaN is NaN."""
    return a != b and not (np.isnan(a) and np.isnan(b))


def exact(value: float) -> str:
    """Return a number in decimal and in hexadecimal, which is exact."""
    if not np.isfinite(value):
        return str(value)
    exact = re.sub(r"\.?0*p", "p", value.hex())
    return f"{value:.6g} = {exact}" if value else f"{value:g}"


@dataclass(frozen=True, slots=True)
class Witness:
    """
    A block where the dump is not what the rule gives.

    Parameters
    ----------
    block : tuple of int
        Index of the block on each axis.
    amax : float
        The largest magnitude that the rule found in it.
    expected_scale, found_scale : float
        The rule's scale, stored as the dump stores scales, and the dump's.
    element : tuple of int, optional
        Index of the first element whose code is another one.
    source : float, optional
        Its value.
    expected_code, found_code : int, optional
        The rule's code and the dump's.
    """

    block: tuple[int, ...]
    amax: float
    expected_scale: float
    found_scale: float
    element: tuple[int, ...] | None = None
    source: float | None = None
    expected_code: int | None = None
    found_code: int | None = None

    def __str__(self) -> str:
        """Return one line."""
        text = f"block {_index_of(self.block)}: amax {exact(self.amax)}"
        if _differ(self.expected_scale, self.found_scale):
            text += f", scale {exact(self.found_scale)} and not {exact(self.expected_scale)}"
        else:
            text += f", scale {exact(self.found_scale)}"
        if self.element is not None and self.source is not None:
            text += (
                f"; element {_index_of(self.element)} of {exact(self.source)} has code "
                f"0x{self.found_code:02x} and not 0x{self.expected_code:02x}"
            )
        return text


@dataclass(frozen=True, slots=True)
class Match:
    """
    A rule that the dump obeys, or is consistent with.

    Parameters
    ----------
    rule, format : str
        Names of the rule and of the codes' format.
    axis : int
        The axis that blocks run along.
    block : tuple of int
        Length of a block on each axis.
    storage : str
        How the dump stores the scales.
    descale : str
        What a decoded value and the dump's scale do: ``"multiply"`` or ``"divide"``.
    codes, scales : int
        How many were compared.
    note : str
        What a reader should know besides.
    """

    rule: str
    format: str
    axis: int
    block: tuple[int, ...]
    storage: str
    descale: str
    codes: int
    scales: int
    note: str = ""

    @property
    def is_inverted(self) -> bool:
        """
        Whether a value is to be divided by its scale, where the rule's library multiplies.

        A multiplier where the library divides is the other usual convention.
        """
        turned = "the inverse" in self.storage or "multiplied by on the way in" in self.storage
        return turned and self.descale == "divide"

    def __str__(self) -> str:
        """Return the rule and how it was stored."""
        note = f"; {self.note}" if self.note else ""
        return (
            f"{self.rule} ({self.format}, {_blocks_of(self.block, self.axis)}; scales stored as "
            f"{self.storage}; a decoded value is to be "
            f"{'multiplied' if self.descale == 'multiply' else 'divided'} by its scale{note})"
        )


@dataclass(frozen=True, slots=True)
class Near:
    """
    A rule that the dump does not obey, how nearly it does, and why not.

    Parameters
    ----------
    rule, format : str
        Names of the rule and of the codes' format.
    axis : int
        The axis that blocks run along.
    block : tuple of int
        Length of a block on each axis.
    storage : str
        How the dump seems to store the scales.
    codes_equal, codes : int
        Codes that are the rule's, of how many that were compared.
    scales_equal, scales : int
        Scales that are the rule's, of how many.
    diagnosis : str
        The mistake by name; ``"unexplained"`` if none was found.
    explanation : str
        The mistake in a sentence: what was computed and what it gave.
    exact : bool
        Whether the rule with that mistake gives the dump bit for bit.
    witnesses : tuple of Witness
        The first blocks that differ.
    """

    rule: str
    format: str
    axis: int
    block: tuple[int, ...]
    storage: str
    codes_equal: int
    codes: int
    scales_equal: int
    scales: int
    diagnosis: str
    explanation: str
    exact: bool
    witnesses: tuple[Witness, ...] = ()

    def __str__(self) -> str:
        """Return a paragraph."""
        return self.told(f"{self.rule} ({self.format}, {_blocks_of(self.block, self.axis)})")

    def told(self, who: str) -> str:
        """Return a paragraph about rules that are named in `who`."""
        head = (
            f"{who}: {self.codes_equal:,} of {counted(self.codes, 'code')} and "
            f"{self.scales_equal:,} of {counted(self.scales, 'scale')}; "
            f"{self.diagnosis}: {self.explanation}"
        )
        return "\n".join([head, *(f"    {witness}" for witness in self.witnesses)])


@dataclass(frozen=True, slots=True)
class Exclusion:
    """
    A rule that cannot have made the dump, as its codes and scales alone show.

    Parameters
    ----------
    rule, format : str
        Names of the rule and of the codes' format.
    axis : int
        The axis that blocks run along.
    reason : str
        Why, with the first block that shows it.
    """

    rule: str
    format: str
    axis: int
    reason: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.rule} ({self.format}, axis {self.axis}): {self.reason}"


@dataclass(frozen=True, slots=True)
class Group:
    """
    Rules that the dump obeys all at once.

    Parameters
    ----------
    rules : tuple of str
        Their names.
    reasons : tuple of str
        Why the others give the same here as the first, those with one reason together.
    """

    rules: tuple[str, ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        """Return a sentence and a line for each reason."""
        head = f"indistinguishable on this data: {', '.join(self.rules)}"
        return "\n".join([head, *(f"  {reason}" for reason in self.reasons)])


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something about the dump that does not depend on a rule.

    Parameters
    ----------
    kind : str
        By name: ``"shape"``, ``"empty"``, ``"scale-nan"`` ...
    detail : str
        In a sentence.
    """

    kind: str
    detail: str

    @property
    def is_problem(self) -> bool:
        """Whether something is wrong; else it only says how the dump is stored."""
        return self.kind not in _NOTES

    def __str__(self) -> str:
        """Return the sentence after its kind, unless it begins so itself."""
        return self.detail if self.kind.startswith("declared") else f"{self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True, repr=False)
class Identification:
    """
    The rules that a dump obeys, and those that it nearly obeys.

    Parameters
    ----------
    shape : tuple of int
        Of the codes.
    scales_shape : tuple of int, or None
        Of the scales, if there are any.
    has_source : bool
        Whether there was a source; without one no rule is ever obeyed, only consistent.
    obeyed : tuple of Match
        Rules that give every code and every scale, bit for bit.
    consistent : tuple of Match
        Rules that nothing contradicts: scales that are held from before, stochastic
        rounding, and without a source all that are left.
    near : tuple of Near
        The nearest of the others, the best explained first; looked for if no rule is
        obeyed, and for rules that were asked for by name.
    indistinguishable : tuple of Group
        Obeyed rules that give the same on this data.
    excluded : tuple of Exclusion
        Without a source, the rules that cannot have made the dump.
    findings : tuple of Finding
        About the dump itself.
    """

    shape: tuple[int, ...]
    scales_shape: tuple[int, ...] | None
    has_source: bool
    obeyed: tuple[Match, ...] = ()
    consistent: tuple[Match, ...] = ()
    near: tuple[Near, ...] = ()
    indistinguishable: tuple[Group, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    @property
    def is_identified(self) -> bool:
        """Whether a rule is obeyed, or consistent with the dump."""
        return bool(self.obeyed or self.consistent)

    @property
    def is_sound(self) -> bool:
        """Whether a rule is obeyed or consistent, and no finding says that something is wrong."""
        return self.is_identified and not any(finding.is_problem for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it; numbers that are not finite are text."""
        found = {part.name: plain(getattr(self, part.name), str) for part in fields(self)}
        return found | {"identified": self.is_identified, "sound": self.is_sound}

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each rule that was obeyed, consistent, near or excluded."""
        import pandas as pd

        rows = [
            (m.rule, m.format, m.axis, verdict, m.storage, m.codes, m.codes, m.scales, m.scales,
             "", m.note)
            for verdict, matches in (("obeyed", self.obeyed), ("consistent", self.consistent))
            for m in matches
        ]  # fmt: skip
        rows += [
            (n.rule, n.format, n.axis, "near", n.storage, n.codes_equal, n.codes, n.scales_equal,
             n.scales, n.diagnosis, n.explanation)
            for n in self.near
        ]  # fmt: skip
        rows += [
            (e.rule, e.format, e.axis, "excluded", "", 0, 0, 0, 0, "", e.reason)
            for e in self.excluded
        ]
        columns = ["rule", "format", "axis", "verdict", "storage", "codes_equal", "codes"]
        columns += ["scales_equal", "scales", "diagnosis", "detail"]
        return pd.DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        verdicts = (
            ("obeys", [match.rule for match in self.obeyed]),
            ("is consistent with", [match.rule for match in self.consistent]),
            ("is near", [near.rule for near in self.near]),
        )
        said = [f"{verb} {', '.join(dict.fromkeys(rules))}" for verb, rules in verdicts if rules]
        findings = [f"findings: {len(self.findings)}"] if self.findings else []
        text = "; ".join([*(said[:1] or ["obeys no rule"]), *findings])
        return f"<Identification: codes of shape {self.shape}: {text}>"

    def _repr_html_(self) -> str:
        """Return what is said and the table of rules, with every text escaped."""
        table = self.to_frame().to_html(index=False, escape=True, border=0)
        return f"<pre>{html.escape(str(self))}</pre>{table}"

    def __str__(self) -> str:
        """Say everything in plain sentences."""
        source = "with its source" if self.has_source else "without a source"
        scales = "no scales"
        if self.scales_shape is not None:
            scales = f"scales of shape {self.scales_shape}"
        lines = [f"codes of shape {self.shape}, {scales}, {source}"]
        if self.scales_shape is not None:
            lines += self._verdicts()
        lines += [f"found: {finding}" for finding in self.findings]
        return "\n".join(lines)

    def _verdicts(self) -> list[str]:
        """Return the lines about rules."""
        lines = []
        if self.obeyed:
            first = self.obeyed[0]
            codes, scales = counted(first.codes, "code"), counted(first.scales, "scale")
            lines.append(f"obeys, in all {codes} and {scales}, bit for bit:")
            lines += _merged(self.obeyed)
        elif self.has_source:
            lines.append("obeys none of the rules bit for bit")
        lines += [line for group in self.indistinguishable for line in str(group).split("\n")]
        if self.consistent:
            lines += ["is consistent with:", *_merged(self.consistent)]
        elif not self.has_source:
            lines.append("is consistent with none of the rules")
        if self.near:
            lines.append("is near:")
            lines += [f"  {line}" for text in _grouped(self.near) for line in text.split("\n")]
        elif self.has_source and not self.is_identified and not self._is_unfit():
            lines.append("is near none of them: no more agrees than may by accident")
        return lines + self._excluded()

    def _is_unfit(self) -> bool:
        """Whether no rule was tried, as the parts do not fit."""
        return any(f.kind in ("shape", "empty", "format", "codes-outside-format")
                   for f in self.findings)  # fmt: skip

    def _excluded(self) -> list[str]:
        """Return the lines about rules that are excluded: why, if there are no others."""
        if self.excluded and not self.consistent:
            return ["excluded are:", *(f"  {each}" for each in self.excluded)]
        count = len({e.rule for e in self.excluded} - {m.rule for m in self.consistent})
        verb = "is" if count == 1 else "are"
        return [f"excluded {verb} {counted(count, 'other rule')}"] if count else []
