"""Decisions and why, in words: the cause first, with its place and a number, then what mends it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fp8num.analysis.trials import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from fp8num.analysis.outliers import Outlier
    from fp8num.analysis.roles import Role
    from fp8num.analysis.schemes import Scheme
    from fp8num.analysis.trials import Trial
    from fp8num.formats import Format
    from fp8num.scaling import Rule

__all__ = ["FileRecommendation", "Recommendation", "cause_in_words"]

Decision = Literal["tensor", "row", "block", "keep", "dead", "not-finite"]

#: What a role that stays in 16 bits is called in a sentence.
_KEPT = {
    "vector": "a vector takes no part in a matrix product",
    "odd width": "a width that is no multiple of 16 suits no kernel of 8 bits",
    "kept on request": "as asked",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Recommendation:
    """
    What to do with a tensor, and why.

    Attributes
    ----------
    name : str
        The tensor's name.
    decision : str
        ``"tensor"``, ``"row"`` or ``"block"``: what shares a scale; ``"keep"``: in 16 bits;
        ``"dead"``: all zero; ``"not-finite"``: to be mended in the file.
    role : Role
        What the tensor is for, and what was assumed about it.
    shape : tuple of int
        Its shape.
    cause : tuple of Outlier
        What stands out, where one scale does not do.
    bad : tuple of (index, value)
        Elements that are not finite, at most eight, and how many there are in `bad_count`.
    trials : tuple of Trial
        The schemes that were tried, the coarsest first.
    chosen, runner_up : Trial or None
        The one decided for, and the next that would do.
    group : str
        What it has in common with the layers that one product computes with it.
    with_ : tuple of str
        Members of the group because of which a finer scheme was taken than it needs itself.
    """

    name: str
    decision: Decision
    role: Role
    shape: tuple[int, ...]
    cause: tuple[Outlier, ...] = ()
    bad: tuple[tuple[tuple[int, ...], float], ...] = ()
    bad_count: int = 0
    trials: tuple[Trial, ...] = ()
    chosen: Trial | None = None
    runner_up: Trial | None = None
    group: str = ""
    with_: tuple[str, ...] = ()

    @property
    def format(self) -> Format | None:
        """The format decided for; None for a tensor that stays as it is."""
        return self.chosen.scheme.format if self.chosen else None

    @property
    def rule(self) -> Rule | None:
        """The weights' rule decided for; None for a tensor that stays as it is."""
        return self.chosen.scheme.rule if self.chosen else None

    @property
    def one_scale(self) -> Trial | None:
        """What one scale makes of it, if that was tried."""
        one = [trial for trial in self.trials if trial.scheme.decision == "tensor"]
        return one[-1] if one else None  # after those that are no scale, or a coarser one

    @property
    def margin(self) -> float:
        """The limit over the chosen scheme's median excess; NaN without one."""
        return Limits().median / self.chosen.median if self.chosen else math.nan

    @cached_property
    def reason(self) -> str:
        """The decision in a sentence or two, each with a number."""
        return _reason_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as a dictionary that JSON can hold."""
        return {
            "name": self.name,
            "decision": self.decision,
            "format": self.format.name if self.format else None,
            "rule": self.rule.name if self.rule else None,
            "reason": self.reason,
            "cause": [
                {"axis": part.axis, "index": list(part.index), "ratio": part.ratio}
                for part in self.cause
            ],
            "not_finite": [{"index": list(at), "value": str(value)} for at, value in self.bad],
            "group": self.group,
            "role": self.role.kind,
            "layout": self.role.assumed,
            "one_scale": self.one_scale.to_dict() if self.one_scale else None,
            "chosen": self.chosen.to_dict() if self.chosen else None,
            "runner_up": self.runner_up.scheme.name if self.runner_up else None,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class FileRecommendation:
    """
    What to do with the tensors of a file.

    Attributes
    ----------
    decisions : tuple of Recommendation
        For each tensor, in the order they were given.
    scheme : Scheme or None
        The coarsest that every layer passes that can be quantised at all; None if there is
        none, or no single one.
    bits_per_weight : float
        Of the layers that `scheme` (or, without one, each one's own) quantises.
    ignore : tuple of str
        Modules that stay in 16 bits: by convention, because no scheme passes, because they
        are not finite; all members of a fused layer or none.
    left : tuple of (str, int, float)
        Damaged rows that the scheme leaves: module, row, excess.
    one_scale_ignore : tuple of str
        The modules to leave out where hardware takes one scale only.
    """

    decisions: tuple[Recommendation, ...]
    scheme: Scheme | None
    bits_per_weight: float
    ignore: tuple[str, ...]
    left: tuple[tuple[str, int, float], ...]
    one_scale_ignore: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)

    def __getitem__(self, name: str) -> Recommendation:
        """Return the decision about a tensor by its name."""
        for one in self.decisions:
            if one.name == name:
                return one
        raise KeyError(name)

    def __iter__(self) -> Iterator[Recommendation]:
        """Yield the decisions."""
        return iter(self.decisions)

    def __len__(self) -> int:
        """Return how many tensors there are."""
        return len(self.decisions)

    def count(self, decision: str) -> int:
        """Return how many tensors a decision was made for."""
        return sum(one.decision == decision for one in self.decisions)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary that JSON can hold."""
        return {
            "decisions": [one.to_dict() for one in self.decisions],
            "file": {
                "scheme": self.scheme.name if self.scheme else None,
                "bits_per_weight": _number(self.bits_per_weight),
                "ignore": list(self.ignore),
                "left": [list(entry) for entry in self.left],
                "one_scale": {"ignore": list(self.one_scale_ignore)},
            },
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each tensor: name, decision, rule, excesses, cause and reason."""
        import pandas as pd

        rows = []
        for one in self.decisions:
            first, chosen = one.one_scale, one.chosen
            rows.append(
                {
                    "name": one.name,
                    "decision": one.decision,
                    "rule": one.rule.name if one.rule else None,
                    "excess_one_scale": first.median if first else math.nan,
                    "excess": chosen.median if chosen else math.nan,
                    "worst_row": chosen.worst if chosen else math.nan,
                    "rows_above": chosen.above if chosen else 0,
                    "flushed_one_scale": first.flushed if first else math.nan,
                    "reason": one.reason,
                }
            )
        return pd.DataFrame(rows)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _reason_of(found: Recommendation) -> str:
    """Return the reason of a decision, in a sentence or two."""
    if found.role.is_kept:
        kind = found.role.kind
        return f"Stays in 16 bits: {_KEPT.get(kind, f'{_article(kind)} does by convention')}."
    if found.decision == "not-finite":
        return _not_finite(found)
    if found.decision == "dead":
        return "All elements are 0: every format keeps them; was it pruned, or never written?"
    if found.with_:
        return f"Needs the scheme of {', '.join(found.with_[:3])}, which one product computes too."
    return " ".join(part for part in (_cause_sentence(found), _outcome(found)) if part)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _not_finite(found: Recommendation) -> str:
    at, value = found.bad[0]
    kind = "NaN" if value != value else "infinity"  # noqa: PLR0124 - what NaN is
    others = f" and {found.bad_count - 1:,} more" if found.bad_count > 1 else ""
    sound = found.one_scale
    rest = "; the rest is sound" if sound is not None and sound.passes else ""
    return f"{kind} at {list(at)}{others}: mend the file, 16 bits fail as well{rest}."


def cause_in_words(cause: tuple[Outlier, ...]) -> str:
    """Return what stands out: ``"row 5 is 31,000 times the median row"``."""
    if not cause:
        return ""
    axis = cause[0].axis
    same = [part for part in cause if part.axis == axis]
    if axis == "element":
        first = same[0]
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        verb = "are" if more else "is"
        return f"element {list(first.index)}{more} {verb} {_times(first.ratio)} what is usual there"
    places = ", ".join(str(at) for at in sorted(part.index[0] for part in same[:3]))
    more = f" and {len(same) - 3} more" if len(same) > 3 else ""
    if len(same) == 1:
        return f"{axis} {places} is {_times(same[0].ratio)} the median {axis}"
    return f"{axis}s {places}{more} are up to {_times(same[0].ratio)} the median {axis}"


def _times(ratio: float) -> str:
    """Write a ratio with two digits."""
    if ratio >= 1e6:
        return f"{ratio:.1e} times".replace("e+0", "e").replace("e+", "e")
    digits = len(str(int(ratio)))
    return f"{round(ratio, 2 - digits):,.0f} times"


def _cause_sentence(found: Recommendation) -> str:
    words = cause_in_words(found.cause)
    first = found.trials[0] if found.trials else None
    if first is None or first.passes:
        return ""
    lost = f"excess {first.median:.2f}" + (
        f", {100 * first.flushed:.2g} % becomes zero" if first.flushed > 5e-5 else ""
    )
    lost += _rows_damaged(first)
    if not words:
        return f"{first.scheme.name} costs too much here ({lost})."
    return f"{words[0].upper()}{words[1:]} ({first.scheme.name}: {lost})."


def _rows_damaged(trial: Trial) -> str:
    """Return how many rows are damaged, where the median row does not show it."""
    if trial.passes or trial.median > 1.25:
        return ""
    return f", {trial.above:,} of {trial.rows:,} rows above the limit"


def _outcome(found: Recommendation) -> str:
    chosen = found.chosen
    if chosen is None:
        return _no_scheme(found)
    head = {
        "tensor": "One scale is enough",
        "row": "A scale per row mends it",
        "block": f"{chosen.scheme.name} mends it",
    }[found.decision]
    if found.trials[0] is chosen and found.decision != "tensor":
        head = f"{chosen.scheme.name} is enough"
    return f"{head}: excess {chosen.median:.2f}, worst row {chosen.worst:.2f}{_left(chosen)}."


def _left(chosen: Trial) -> str:
    if not chosen.above:
        return ""
    rows = "row" if chosen.above == 1 else "rows"
    places = ", ".join(str(row) for row, _ in chosen.left[:3])
    return f" ({rows} {places}; {chosen.above} of {chosen.rows:,} left above the limit)"


def _no_scheme(found: Recommendation) -> str:
    if not found.trials:
        return "No scheme takes its shape: it stays in 16 bits."
    best = min(found.trials, key=lambda trial: trial.median)
    advice = ""
    if any(part.axis == "column" for part in found.cause):
        advice = "; no scheme has a scale per column: smooth the channel into the layer before"
    return (
        f"No scheme passes, the least bad is {best.scheme.name} with excess {best.median:.2f}"
        f"{_rows_damaged(best)}: it stays in 16 bits{advice}."
    )
