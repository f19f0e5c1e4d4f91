"""Decisions in words: the cause first, with its place and a number, then what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fp8num.analysis.outliers import Outlier
    from fp8num.analysis.recommend import Recommendation
    from fp8num.analysis.trials import Trial

__all__ = ["cause_in_words", "reason_of"]

#: What a role that stays in 16 bits is called in a sentence.
_KEPT = {
    "vector": "a vector takes no part in a matrix product",
    "odd width": "a width that is no multiple of 16 suits no kernel of 8 bits",
    "kept on request": "as asked",
}


def reason_of(found: Recommendation) -> str:
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
