"""The report in a few sentences and one small table, found from the numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import median_low
from typing import TYPE_CHECKING, Any, NamedTuple

from fp8num._records import counted
from fp8num.report.labels import count, decibels, percent, rule_name
from fp8num.report.training import decision_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fp8num.formats import Format
    from fp8num.report.tables import ReportContents, TensorRecord

__all__ = ["Headline", "Name", "Standing", "Summary", "best_formats"]


class Name(NamedTuple):
    """A tensor's or a format's name within a sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Headline:
    """A sentence or two under a catchword."""

    catchword: str
    parts: tuple[str | Name, ...]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a format does over all tensors, under one rule."""

    format: Format  #: the format
    rule: str  #: the rule
    wins: int  #: in how many tensors no format of its width has less error, and of how many
    judged: int
    sqnr_db: float  #: median SQNR
    underflow_rate: float  #: the highest of any tensor; NaN if there is none
    saturation_rate: float
    worst: str  #: the tensor with the highest underflow rate


def best_formats(record: TensorRecord, names: Iterable[str], rule: str) -> list[str]:
    """Return the formats with the least error, more than one if they look the same."""
    chosen = set(names)
    sqnr = {
        row["format"]: row["sqnr_db"]
        for row in record.rows
        if row["format"] in chosen and row["rule"] == rule and not math.isnan(row["sqnr_db"])
    }
    highest = max(sqnr.values(), default=0.0)
    if highest < 0.05:
        return []
    return [name for name, value in sqnr.items() if decibels(value) == decibels(highest)]


class Summary:
    """
    What a reader should know first.

    Parameters
    ----------
    contents : Contents
        What the report says.
    """

    def __init__(self, contents: ReportContents) -> None:
        self.contents = contents

    @property
    def findings(self) -> list[Headline]:
        """The sentences."""
        widths = {fmt.bits for fmt in self.contents.formats}
        found = [
            *(self._width(bits) for bits in sorted(widths, key=lambda bits: (bits != 8, -bits))),
            self._small_elements(),
            self._scaling(),
            self._saturation(),
            self._exact(),
            self._not_finite(),
            self._training(),
        ]
        return [finding for finding in found if finding is not None]

    @cached_property
    def standings(self) -> dict[tuple[str, str], Standing]:
        """How each format does under each rule that takes it, by their names."""
        return {
            (fmt.name, rule): self._standing(fmt, rule)
            for fmt in self.contents.formats
            for rule in self.contents.rules
            if (fmt.name, rule) in self._rows
        }

    def _ranked(self, names: Iterable[str], rule: str) -> list[Standing]:
        """Return how some formats do under a rule, those that it takes."""
        pairs = ((name, rule) for name in names)
        return [self.standings[pair] for pair in pairs if pair in self.standings]

    def _standing(self, fmt: Format, rule: str) -> Standing:
        rows = self._rows[fmt.name, rule]
        winners = self._winners[fmt.bits, rule]
        lost = [pair for pair in rows if not math.isnan(pair[1]["underflow_rate"])]
        record, row = max(lost, key=lambda pair: pair[1]["underflow_rate"], default=rows[0])
        return Standing(
            format=fmt,
            rule=rule,
            wins=sum(fmt.name in best for best in winners),
            judged=sum(bool(best) for best in winners),
            sqnr_db=_median(row["sqnr_db"] for _, row in rows),
            underflow_rate=row["underflow_rate"],
            saturation_rate=_highest(row["saturation_rate"] for _, row in rows),
            worst=record.name,
        )

    @cached_property
    def _winners(self) -> dict[tuple[int, str], list[list[str]]]:
        """The best formats of each tensor, by width and rule."""
        return {
            (bits, rule): [
                best_formats(record, self._of_width(bits), rule) for record in self.contents.records
            ]
            for bits in {fmt.bits for fmt in self.contents.formats}
            for rule in self.contents.rules
        }

    def _of_width(self, bits: int) -> list[str]:
        return [fmt.name for fmt in self.contents.formats if fmt.bits == bits]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], list[tuple[TensorRecord, dict[str, Any]]]]:
        """The results of each format under each rule, in the order of the tensors."""
        rows: dict[tuple[str, str], list[tuple[TensorRecord, dict[str, Any]]]] = {}
        for record in self.contents.records:
            for row in record.rows:
                rows.setdefault((row["format"], row["rule"]), []).append((record, row))
        return rows

    def _width(self, bits: int) -> Headline | None:
        """Say which format of a width has the least error."""
        parts: list[str | Name] = []
        names = self._of_width(bits)
        for rule in reversed(self.contents.rules):  # with a scale is how formats are used
            ranked = self._ranked(names, rule)
            best = max(ranked, key=lambda one: (one.wins, one.sqnr_db), default=None)
            if best is None or not best.judged:
                continue
            typical = f"{decibels(best.sqnr_db)} dB (median). "
            parts += [f"{_condition(rule)}, ", Name(best.format.name)]
            if len(ranked) == 1:
                parts.append(f" reaches {typical}")
            else:
                of = f"{count(best.wins)} of {counted(best.judged, 'tensor')}"
                parts.append(f" has the least error for {of}, and reaches {typical}")
        return Headline(f"{bits} bits", tuple(parts)) if parts else None

    def _small_elements(self) -> Headline | None:
        """Say which of the formats, those of 8 bits if there are any, lose small elements."""
        chosen = self._of_width(8) or [fmt.name for fmt in self.contents.formats]
        parts: list[str | Name] = []
        for rule in reversed(self.contents.rules):
            ranked = self._ranked(chosen, rule)
            known = [one for one in ranked if not math.isnan(one.underflow_rate)]
            if not known:
                continue
            condition = _condition(rule)
            if not parts and len(chosen) < len(self.contents.formats):
                condition = f"Of the 8-bit formats {_lower(condition)}"
            worst = max(known, key=lambda one: one.underflow_rate)
            if not worst.underflow_rate:
                parts.append(f"{condition}, none loses an element. ")
                continue
            parts += [
                f"{condition}, ",
                Name(worst.format.name),
                f" turns {percent(worst.underflow_rate)} of the nonzero elements of ",
                Name(worst.worst),
                " into zero",
            ]
            safe = [one.format.name for one in known if not one.underflow_rate]
            parts += ["; none are lost in ", *_listed(safe), ". "] if safe else [". "]
        return Headline("Underflow", tuple(parts)) if parts else None

    def _scaling(self) -> Headline | None:
        """Say where the scale helps most and least."""
        if not {"unit", "tensor"} <= set(self.contents.rules):
            return None
        gains = {}
        for fmt in self.contents.formats:
            pairs = zip(self._rows[fmt.name, "tensor"], self._rows[fmt.name, "unit"], strict=True)
            known = [a["sqnr_db"] - b["sqnr_db"] for (_, a), (_, b) in pairs if _finite(a, b)]
            if known:
                gains[fmt.name] = median_low(known)
        if len(gains) < 2:
            return None
        most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
        return Headline(
            "Scale",
            (
                f"A per-tensor scale changes the SQNR by {_signed(gains[most])} dB (median) in ",
                Name(most),
                f" and by {_signed(gains[least])} dB in ",
                Name(least),
                ".",
            ),
        )

    def _saturation(self) -> Headline | None:
        hit = [
            (record, row)
            for record in self.contents.records
            for row in record.rows
            if row["saturated"]
        ]
        if not hit:
            return Headline("Saturation", ("No element is beyond the range of any format.",))
        record, row = max(hit, key=lambda pair: pair[1]["saturation_rate"])
        tensors = len({id(record) for record, _ in hit})
        return Headline(
            "Saturation",
            (
                f"{count(tensors)} of {counted(len(self.contents.records), 'tensor')} ",
                "reach beyond the range of some format, most of all ",
                Name(record.name),
                ": ",
                Name(row["format"]),
                f" {_lower(_condition(row['rule']))} saturates ",
                f"{percent(row['saturation_rate'])} of it.",
            ),
        )

    def _exact(self) -> Headline | None:
        """Say which tensors some format holds without error."""
        found = []
        for record in self.contents.records:
            names = [row["format"] for row in record.rows if row["sqnr_db"] == math.inf]
            if names:
                found.append((record.name, list(dict.fromkeys(names))))
        if not found:
            return None
        name, names = max(found, key=lambda pair: len(pair[1]))
        lead = (
            f"{count(len(found))} of {counted(len(self.contents.records), 'tensor')} can be held "
        )
        such = "without any error: " if len(found) == 1 else "without any error, such as "
        return Headline("Exact", (lead + such, Name(name), " in ", *_listed(names), "."))

    def _not_finite(self) -> Headline | None:
        hit = [
            (record.name, record.distribution["nans"], record.distribution["infinities"])
            for record in self.contents.records
            if record.distribution["nans"] or record.distribution["infinities"]
        ]
        if not hit:
            return None
        nans, infinities = sum(one[1] for one in hit), sum(one[2] for one in hit)
        return Headline(
            "Not finite",
            (
                f"There are {count(nans)} NaN and {count(infinities)} infinities ",
                f"in {counted(len(hit), 'tensor')}, such as ",
                Name(hit[0][0]),
                "; they are counted and otherwise left out.",
            ),
        )

    def _training(self) -> Headline | None:
        """Say what recipes did to the accuracy of a net."""
        found = self.contents.training
        if found is None:
            return None
        parts: list[str | Name] = ["The accuracy of a net trained in "]
        for one in found.results[1:]:
            change = one.accuracy_difference
            parts += [Name(one.recipe), f": {decision_words(found, one)}"]
            if change.n > 1:
                figure = f"{100 * change.mean:+.3f} ± {100 * change.error:.3f}".replace("-", "−")
                parts.append(f" ({figure} points, {counted(change.n, 'pair')})")
            parts.append("; in ")
        return Headline("Training", (*parts[:-1], "."))


def _condition(rule: str) -> str:
    names = {"unit": "Without a scale", "tensor": "With a per-tensor scale"}
    return names.get(rule, f"Under {rule_name(rule)}")


def _lower(condition: str) -> str:
    return condition[0].lower() + condition[1:]


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return median_low(known) if known else math.nan


def _highest(values: Iterable[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _finite(*rows: dict[str, Any]) -> bool:
    return all(math.isfinite(row["sqnr_db"]) for row in rows)


def _signed(value: float) -> str:
    text = decibels(value)
    return text if text == "0.0" or text.startswith("−") else f"+{text}"


def _listed(names: Sequence[str]) -> list[str | Name]:
    """Write an enumeration."""
    parts: list[str | Name] = []
    for i, name in enumerate(names):
        if i:
            parts.append(" and " if i == len(names) - 1 else ", ")
        parts.append(Name(name))
    return parts
