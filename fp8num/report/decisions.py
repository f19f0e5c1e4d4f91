"""
What the page says first: the decision, how sure it is, what to do, and the worst ten.

::

    FileRecommendation --> verdict, how sure, counts, what to do     (sentences)
                       --> the worst ten                             (with what is drawn)
                       --> a row for each tensor                     (the table)
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fp8num._records import counted
from fp8num._text import shorten
from fp8num.analysis.recommendation import cause_in_words
from fp8num.analysis.roles import module_of
from fp8num.report import labels
from fp8num.report.summary import Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from fp8num.analysis import FileRecommendation, Limits, Recommendation, Scheme, Trial
    from fp8num.report.configurations import Configuration
    from fp8num.report.tables import TensorRecord

__all__ = ["KINDS", "Cell", "DecisionKind", "DecisionPage"]

WORST = 10  #: tensors that have a picture and a sentence
NAMED = 3  #: tensors that a sentence names, the table has them all


Parts = tuple[str | Name, ...]


class DecisionKind(NamedTuple):
    """A decision as the page shows it."""

    key: str
    word: str
    note: str


#: Broken ones first, then what needs more scales; `icons` of the template has their shapes.
KINDS = (
    DecisionKind("not-finite", "not finite", "hold NaN or infinity"),
    DecisionKind("dead", "dead", "all elements are 0"),
    DecisionKind("block", "block scales", "need a scale per block"),
    DecisionKind("row", "row scales", "need a scale per row"),
    DecisionKind("tensor", "fine", "one scale is enough"),
    DecisionKind("keep", "keep", "stay in 16 bits"),
)
_WORDS = {kind.key: kind.word for kind in KINDS}
_SHARED = {"tensor": "one scale", "row": "per row", "block": "blocks"}


@dataclass(frozen=True, eq=False)
class DecisionPage:
    """The decision as the page's template takes it: sentences, and numbers already written."""

    found: FileRecommendation  #: what was decided
    records: Sequence[TensorRecord]  #: of the same tensors, in the same order
    configurations: tuple[Configuration, ...] = ()  #: what to paste

    @property
    def first(self) -> Scheme | None:
        """The coarsest scheme that was tried."""
        return next((one.trials[0].scheme for one in self.found if one.trials), None)

    @property
    def format_name(self) -> str:
        """The format that weights are judged in; empty if none was."""
        return self.first.format.name if self.first else ""

    @property
    def first_words(self) -> str:
        """The coarsest scheme in words."""
        if self.first is None:
            return "one scale"
        shared = self.first.decision == "tensor"
        return f"one scale ({self.first.name})" if shared else self.first.name

    @property
    def schemes(self) -> list[str]:
        """The schemes that were tried, the coarsest first."""
        tried = max((one.trials for one in self.found), key=len, default=())
        return [trial.scheme.name for trial in tried]

    @property
    def tiles(self) -> list[dict[str, Any]]:
        """How many tensors there are of each kind."""
        failed = sum(one.decision == "keep" and bool(one.trials) for one in self.found)
        tiles = [kind._asdict() | {"count": self.found.count(kind.key)} for kind in KINDS]
        tiles[-1]["note"] = f"{failed} as no scheme passes" if failed else "16 bits by convention"
        first = self.first
        if first is not None and first.decision == "block":
            tiles[2]["note"] = f"{first.name} or finer"
        return tiles

    @property
    def mend(self) -> str:
        """What comes before any format; empty for a file that is sound."""
        found = self.found
        bad, dead = found.count("not-finite"), found.count("dead")
        parts = [
            f"{counted(bad, 'tensor')} {_verb(bad, 'hold')} NaN or infinity" if bad else "",
            f"{counted(dead, 'tensor')} {_verb(dead, 'are')} all zeros" if dead else "",
        ]
        return " and ".join(filter(None, parts))

    @property
    def verdict(self) -> str:
        """The decision in a sentence."""
        found = self.found
        rest = len(found) - found.count("not-finite") - found.count("dead")
        fine, keep = found.count("tensor"), found.count("keep")
        head = f"Of the other {rest:,}, " if self.mend else f"Of {counted(rest, 'tensor')}, "
        if not rest:
            return ""
        if keep == rest:
            return (
                f"{head}none is a weight that would be quantised: all stay in 16 bits."
                if not any(one.trials and one.decision == "keep" for one in found)
                else f"{head}none passes: all stay in 16 bits."
            )
        first, parts = self.first, []
        if first is not None and first.decision == "tensor":
            parts.append(f"{fine or 'none'} {_verb(fine, 'are')} fine with one scale")
        finer = [key for key in ("row", "block") if found.count(key)]
        if not finer and fine:
            parts.append("none needs a scale per row or block")
        for key in finer:
            count = found.count(key)
            parts.append(f"{count} {_verb(count, 'need')} a scale per {key}")
        parts.append(f"{keep or 'none'} {_verb(keep, 'stay')} in 16 bits")
        return f"{head}{', '.join(parts[:-1])}, and {parts[-1]}."

    @property
    def sure(self) -> str:
        """How far the nearest tensors are from the limit, on either side of it."""
        limits, firsts = self.found.limits, [o.trials[0] for o in self.found if o.trials]
        live = [trial for trial in firsts if not math.isnan(trial.median)]
        if not live or self.first is None:
            return ""
        passing = max((t.median for t in live if t.passes), default=math.nan)
        failing = [t for t in live if not t.passes]
        by_median = min((t.median for t in failing if t.median > limits.median), default=math.nan)
        by_rows = sum(t.median <= limits.median for t in failing)
        near = sum(limits.median / 1.1 < t.median < limits.median * 1.1 for t in live)
        where = f"{counted(near, 'tensor')} {_verb(near, 'are')}" if near else "no tensor is"
        said = [f"the worst that passes has {passing:.2f}"] if not math.isnan(passing) else []
        if not math.isnan(by_median):
            said.append(f"the mildest that fails {by_median:.2f}")
        if by_rows:
            said.append(f"{by_rows} {_verb(by_rows, 'fail')} by single rows")
        tried = "one scale" if self.first.decision == "tensor" else self.first.name
        return (
            f"with {tried} {where} within 10 % of the limit, an error of {limits.median:g} times "
            f"what the format costs on ordinary data; {', '.join(said)}.{self._companions()}"
        )

    def _companions(self) -> str:
        """Say how many of those that need a finer scheme only go with others."""
        finer = [one for one in self.found if one.chosen and one.decision != "tensor"]
        fused = sum(bool(one.with_) for one in finer)
        if not fused:
            return ""
        return f" Of the {len(finer)} that need more, {fused} only share a product with others."

    @property
    def steps(self) -> list[tuple[str, Parts]]:
        """What to do: a catchword and a sentence."""
        steps = [self._mending(), self._quantising(), self._left(), self._keeping()]
        return [step for step in [*steps, self._one_scale()] if step is not None]

    def _mending(self) -> tuple[str, Parts] | None:
        broken = [one for one in self.sorted if one.decision in {"not-finite", "dead"}]
        if not broken:
            return None
        parts: list[str | Name] = []
        for one in broken[: 2 * NAMED]:
            what = "is all zeros" if one.decision == "dead" else f"has {_bad(one)}"
            parts += [Name(module_of(one.name)), f" {what}; "]
        parts[-1] = f"{str(parts[-1]).removesuffix('; ')}{_more(len(broken) - 2 * NAMED)}."
        return f"Mend {counted(len(broken), 'tensor')} in the file.", tuple(parts)

    def _quantising(self) -> tuple[str, Parts] | None:
        found, scheme = self.found, self.found.scheme
        layers = [one for one in found if one.chosen]
        if not layers:
            return None
        bits = f"{found.bits_per_weight:.2f} bits per weight"
        if scheme is None:
            return (
                "Quantise each by its own scheme.",
                (f"No single one serves all {len(layers)}; together they take {bits}.",),
            )
        first = self.first
        failing = sum(not one.trials[0].passes for one in layers)
        beside = ""
        if first is not None and failing:
            beside = f"; {first.name} fails {failing}"
        every = f"{'All ' if len(layers) > 1 else ''}{counted(len(layers), 'weight')}"
        return (
            f"Quantise with {_scheme_words(scheme)} ({scheme.name}).",
            (
                f"{every} that can be quantised {_verb(len(layers), 'pass')}, at {bits}{beside}. ",
                f"Activations: {scheme.activations}.",
            ),
        )

    def _left(self) -> tuple[str, Parts] | None:
        left = sorted(self.found.left, key=lambda entry: -entry[2])
        if not left:
            return None
        parts: list[str | Name] = []
        for module, row, excess in left[:NAMED]:
            parts += [f"row {row} of ", Name(module), f" loses {excess:.2f} times the usual; "]
        parts[-1] = f"{str(parts[-1]).removesuffix('; ')}{_more(len(left) - NAMED)}. "
        parts.append("If it matters, keep that layer in 16 bits.")
        return "Know what is left:", tuple(parts)

    def _keeping(self) -> tuple[str, Parts] | None:
        failed = [one for one in self.found if one.decision == "keep" and one.trials]
        usual = Counter(
            one.role.kind for one in self.found if one.decision == "keep" and not one.trials
        )
        if not failed and not usual:
            return None
        parts: list[str | Name] = []
        for one in failed[:NAMED]:
            parts += [Name(module_of(one.name)), ", "]
        if failed:
            parts[-1] = f"{_more(len(failed) - NAMED)}: no scheme passes. "
        if usual:
            listed = ", ".join(counted(n, kind) for kind, n in usual.most_common(6))
            parts.append(f"{listed}: convention, not error.")
        return "Keep in 16 bits:", tuple(parts)

    def _one_scale(self) -> tuple[str, Parts] | None:
        extra = [name for name in self.found.one_scale_ignore if name not in self.found.ignore]
        scheme = self.found.scheme
        if not extra or (scheme is not None and scheme.decision == "tensor"):
            return None
        parts: list[str | Name] = [f"Then also keep {len(extra)} in 16 bits: "]
        for name in extra[: 2 * NAMED]:
            parts += [Name(name), ", "]
        parts[-1] = f"{_more(len(extra) - 2 * NAMED)}."
        return "Only one scale per tensor possible?", tuple(parts)

    @property
    def order(self) -> list[int]:
        """The places of the tensors, the worst first: broken, by damage, by convention."""
        ranks = {"not-finite": 0, "dead": 1}

        def key(i: int) -> tuple[int, float, int]:
            one = self.found.decisions[i]
            damage = one.trials[0].median if one.trials else math.nan
            if one.decision in ranks:
                return ranks[one.decision], 0.0, i
            if not one.trials:
                return 9, 0.0, i
            by_itself = 2 if not one.trials[0].passes else 4 if one.decision == "tensor" else 3
            return by_itself, -damage if math.isfinite(damage) else 0.0, i

        return sorted(range(len(self.found)), key=key)

    @property
    def sorted(self) -> list[Recommendation]:
        """The decisions, the worst first."""
        return [self.found.decisions[i] for i in self.order]

    @property
    def worst(self) -> list[dict[str, Any]]:
        """The tensors that need somebody, then those that pass nearest the limit."""
        judged = [
            one for one in self.sorted if one.trials or one.decision in {"not-finite", "dead"}
        ]
        return [_pictured(one, self.found) for one in judged[:WORST]]

    @property
    def needy(self) -> int:
        """How many of the worst ten are not simply fine."""
        return sum(not one["is_near"] for one in self.worst)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table: a row for each tensor, the worst first."""
        return [self._row(i) for i in self.order]

    def _row(self, i: int) -> dict[str, Any]:
        one, record = self.found.decisions[i], self.records[i]
        limits = self.found.limits
        before = _measures(one.trials[0] if one.trials else None, limits)
        after = _measures(one.chosen, limits)
        return {
            "kind": one.decision,
            "word": _WORDS[one.decision],
            "name": one.name,
            "file": record.file,
            "cause": _cause(one),
            "shape": labels.shape_text(one.shape).replace(" ", ""),
            "before": before[:6],
            "after": [after[0], after[1], after[6]],
            "binades": Cell(labels.count(len(record.distribution["binades"]["counts"]))),
            "more": _more_measures(one.trials[0] if one.trials else None, record),
        }


class Cell(NamedTuple):
    """A number of the table, and whether it is over a limit."""

    text: str
    over: bool = False


def _measures(trial: Trial | None, limits: Limits) -> list[Cell]:
    """Write excess, worst row, rows above, to zero, subnormal, SQNR, bits."""
    if trial is None:
        return [Cell(labels.MISSING)] * 7
    above = trial.above / trial.rows if trial.rows else math.nan
    return [
        Cell(_fixed(trial.median), trial.median > limits.median),
        Cell(_fixed(trial.worst), trial.worst > limits.row),
        Cell(_share(above), trial.above > limits.allowed(trial.rows)),
        Cell(_share(trial.flushed)),
        Cell(_share(_subnormal(trial))),
        Cell(labels.decibels(trial.sqnr_db)),
        Cell(_fixed(trial.bits)),
    ]


def _more_measures(trial: Trial | None, record: TensorRecord) -> list[Cell]:
    """Write saturated, crest factor, entropy, effective bits, and the output's error if known."""
    crest = next((row["crest_factor"] for row in record.rows), math.nan)
    if trial is None:
        return [Cell(labels.MISSING), Cell(_fixed(crest)), *[Cell(labels.MISSING)] * 3]
    return [
        Cell(_share(trial.saturated)),
        Cell(_fixed(crest)),
        Cell(_fixed(trial.entropy)),
        Cell(_fixed(trial.effective_bits)),
        Cell(_share(trial.output_error)),
    ]


def _fixed(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else labels.number(value)


def _share(rate: float) -> str:
    """Write a share in percent without its unit, which is in the heading."""
    return labels.percent(rate).removesuffix("%")


def _subnormal(trial: Trial) -> float:
    """Return the share of codes that are subnormal numbers."""
    counts = trial.codes
    if counts is None or not counts.sum():
        return math.nan
    magnitudes = np.abs(trial.scheme.format.values)
    smallest = trial.scheme.format.smallest_normal
    small = (magnitudes > 0) & (magnitudes < float(math.nan if smallest is None else smallest))
    return float(counts[small].sum() / counts.sum())


def _verb(count: int, verb: str) -> str:
    """Return a verb for so many: 1 is, holds, needs, passes; none is; 2 are, hold."""
    if count > 1:
        return verb
    return {"are": "is", "pass": "passes"}.get(verb, f"{verb}s")


def _more(count: int) -> str:
    return f" and {count:,} more" if count > 0 else ""


def _bad(one: Recommendation) -> str:
    at, value = one.bad[0]
    kind = "NaN" if math.isnan(value) else "infinity"
    return f"{kind} at {list(at)}{_more(one.bad_count - 1)}"


def _scheme_words(scheme: Scheme) -> str:
    return {"tensor": "one scale per tensor", "row": "a scale per row"}.get(
        scheme.decision, f"{scheme.name} blocks" if scheme.name != "FP8_BLOCK" else "128×128 blocks"
    )


def _cause(one: Recommendation) -> str:
    """Say in a few words what a decision is because of."""
    if one.bad or not one.trials:
        return _bad(one) if one.bad else one.role.kind
    if one.decision == "dead":
        return "all 0"
    if one.with_:
        return f"with {shorten(module_of(one.with_[0]).split('.')[-1], 18)}"
    return _outliers(one) if one.cause else _damaged(one.trials[0])


def _outliers(one: Recommendation) -> str:
    axis = one.cause[0].axis
    same = [part.index for part in one.cause if part.axis == axis]
    if axis == "element":
        return f"element {list(same[0])}{_more(len(same) - 1)}"
    word = axis if axis == "row" else "col"
    places = ", ".join(str(index[0]) for index in sorted(same[:NAMED]))
    return f"{word}{'s' if len(same) > 1 else ''} {places}{_more(len(same) - NAMED)}"


def _damaged(trial: Trial) -> str:
    if trial.passes:
        return ""
    places = ", ".join(str(row) for row, _ in trial.left[:NAMED])
    return f"row{'s' if trial.above > 1 else ''} {places}{_more(trial.above - NAMED)}"


def _pictured(one: Recommendation, found: FileRecommendation) -> dict[str, Any]:
    """Return what is said and drawn of a tensor."""
    first = one.trials[0] if one.trials else None
    trials = [trial for trial in dict.fromkeys((first, one.chosen)) if trial is not None]
    limits = found.limits
    reason = one.reason
    end = min((i for i in map(reason.find, (" (", ": ", "; ")) if i > 0), default=len(reason))
    head, rest = reason[:end], reason[end:]
    would_not = [trial for trial in one.trials[1:] if not trial.passes and trial is not one.chosen]
    if one.chosen is not None and not one.with_:
        for trial in would_not[:2]:
            rest += f" {trial.scheme.name} would not do: excess {trial.median:.2f}, "
            rest += f"{counted(trial.above, 'row')} above {limits.row:g}."
        if one.runner_up is not None and not would_not and one.decision != "tensor":
            rest += f" {one.runner_up.scheme.name} would do too."
    return {
        "kind": one.decision,
        "word": _WORDS[one.decision],
        "is_near": one.decision == "tensor" or bool(one.with_),
        "name": one.name,
        "head": head,
        "rest": rest,
        "where": _where(one),
        "strips": [_strip(trial) for trial in trials if one.decision != "dead"],
        "measures": [
            (label, [_measures(trial, limits)[k] for trial in trials])
            for label, k in (
                ("excess, ×", 0),
                ("worst row, ×", 1),
                ("to zero, %", 3),
                ("SQNR, dB", 5),
            )
        ]
        if one.decision != "dead"
        else [],
        "columns": [_SHARED[trial.scheme.decision] for trial in trials],
    }


def _where(one: Recommendation) -> dict[str, Any]:
    """Return marks within a box of 100 by 44: lines across, lines down, points."""
    shape = one.shape if len(one.shape) > 1 else (1, *one.shape)
    rows, columns = _matrix(shape, one)
    marks: dict[str, list[Any]] = {"rows": [], "columns": [], "points": []}
    for part in one.cause[:8]:
        if part.axis == "row":
            marks["rows"].append(_place(part.index[0], rows, 44))
        elif part.axis == "column":
            marks["columns"].append(_place(part.index[0], columns, 100))
        else:
            marks["points"].append(
                (_place(part.index[1], columns, 100), _place(part.index[0], rows, 44))
            )
    if one.trials and not one.trials[0].passes and not one.cause:
        marks["rows"] = [_place(row, rows, 44) for row, _ in one.trials[0].left]
    for at, _ in one.bad:
        flat = (0, *at)[-2:] if len(at) < 3 else (at[0], 0)
        marks["points"].append((_place(flat[1], columns, 100), _place(flat[0], rows, 44)))
    return marks | {
        "dead": one.decision == "dead",
        "label": "" if one.with_ else _cause(one),
        "title": cause_in_words(one.cause) or "nothing stands out",
    }


def _matrix(shape: tuple[int, ...], one: Recommendation) -> tuple[int, int]:
    """Return rows and columns of what causes are found in: (out, K)."""
    size = max(math.prod(shape), 1)
    if one.role.layout == "convolution":
        return shape[0], max(size // max(shape[0], 1), 1)
    k = shape[-2] if one.role.layout == "in-out" else shape[-1]
    return max(size // max(k, 1), 1), max(k, 1)


def _place(index: int, length: int, room: int) -> float:
    return round((index + 0.5) / length * room, 1)


def _strip(trial: Trial) -> dict[str, Any]:
    """Return shares by binade of what the codes stand for: heights from 0 to 1."""
    fmt, counts = trial.scheme.format, trial.codes
    magnitudes = np.abs(fmt.values)
    there = np.isfinite(magnitudes) & (magnitudes > 0)
    exponents = np.frexp(np.where(there, magnitudes, 1.0))[1] - 1
    low, high = int(exponents[there].min()), int(exponents[there].max())
    found: npt.NDArray[np.float64] = np.zeros(high - low + 1)
    if counts is not None:
        np.add.at(found, exponents[there] - low, counts[there])
    zero = 0.0 if math.isnan(trial.flushed) else trial.flushed
    total = found.sum()
    shares = found / total * (1 - zero) if total else found
    most = max(float(shares.max(initial=0.0)), zero, 1e-9)
    normal = fmt.smallest_normal
    first = 0 if normal is None else max(math.frexp(float(normal))[1] - 1 - low, 0)
    return {
        "label": _SHARED[trial.scheme.decision],
        "zero": round(zero / most, 3),
        "bars": [round(float(share) / most, 3) for share in shares],
        "subnormal": first,
        "title": (
            f"{trial.scheme.name}: {labels.percent(trial.flushed)} of the nonzero elements become "
            f"zero, {labels.percent(_subnormal(trial))} are subnormal, "
            f"{labels.percent(trial.saturated)} saturate."
        ),
    }
