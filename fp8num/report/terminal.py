"""The decision about a file in ten lines of text: what is broken, what fails, what to do."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from fp8num._records import counted
from fp8num._text import printable, shorten
from fp8num.analysis.recommendation import cause_in_words
from fp8num.analysis.roles import module_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fp8num.analysis import FileRecommendation, FrontierPoint, Recommendation, Tensor, Trial

__all__ = ["budget_line", "decision_lines"]

#: Lines about broken tensors, and about those that fail; the page has all.
BROKEN, FAILING = 3, 3
_NAME = 56
_DECIDED = {"tensor": "one scale", "row": "row scales", "keep": "16 bits"}
_SCALES = {"tensor": "one scale", "row": "a scale per row", "block": "scales per block"}


def decision_lines(
    found: FileRecommendation,
    tensors: Sequence[Tensor],
    *,
    target: str = "E4M3FN",
    paths: Mapping[str, str] | None = None,
) -> list[str]:
    """
    Say what to do with a file, the worst first.

    >>> import numpy as np, fp8num as fp
    >>> from fp8num.inputs import tensor_from_array
    >>> weights = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    >>> weights[5] *= 1e6
    >>> tensors = [tensor_from_array("up_proj", weights, file="w.npz")]
    >>> for line in decision_lines(fp.recommend(tensors), tensors):
    ...     print(line)
    w.npz -> E4M3FN: 1 tensor, 16.4 thousand weights, F32. Weight error, not model accuracy.
    ONE SCALE FAILS for 1; 0 are fine, 0 stay in 16 bits.
      row scales  up_proj  row 5 is 950,000 times the median row: excess 38.04 -> 1.02
    DO: a scale per row (FP8_DYNAMIC): the one live linear layer passes, 8.12 bits per weight.
    """
    lines = [_head(tensors, target), *_broken(found), *_failing(found), _do(found)]
    if paths:
        lines.append("   ".join(f"{what}: {path}" for what, path in paths.items()))
    return [printable(line) for line in lines]


def budget_line(point: FrontierPoint, measure: str) -> str:
    """Say what a file takes at a point of its frontier."""
    schemes = Counter(scheme for scheme in point.choices.values() if scheme != "keep")
    kept = len(point.choices) - schemes.total()
    what = ", ".join(f"{name} for {n}" for name, n in schemes.most_common())
    return (
        f"BUDGET: {point.bits:.2f} bits per weight of the whole file: {what or 'nothing quantised'}"
        f", 16 bits for {kept}; {measure} {point.error:.4f}."
    )


def _head(tensors: Sequence[Tensor], target: str) -> str:
    files = list(dict.fromkeys(tensor.file for tensor in tensors))
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    types = ", ".join(name for name, _ in Counter(t.dtype for t in tensors).most_common(3))
    weights = sum(math.prod(tensor.shape) for tensor in tensors)
    return (
        f"{shorten(files[0].replace(chr(92), '/').rpartition('/')[2])}{more} -> {target}: "
        f"{counted(len(tensors), 'tensor')}, {_quantity(weights)} weights, {types}. "
        "Weight error, not model accuracy."
    )


def _quantity(number: int) -> str:
    for size, word in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return str(number)


def _aligned(rows: Iterable[tuple[str, str, str]], more: int) -> list[str]:
    """Write rows under each other; the last one says how many are not shown."""
    cells = [(label, shorten(module_of(name), _NAME), text) for label, name, text in rows]
    widths = [max((len(row[i]) for row in cells), default=0) for i in range(2)]
    lines = [f"  {row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}" for row in cells]
    if lines and more:
        lines[-1] += f"; and {more} more"
    return lines


def _broken(found: FileRecommendation) -> list[str]:
    """Say which tensors no format mends."""
    infinite = [one for one in found if one.decision == "not-finite"]
    dead = [one for one in found if one.decision == "dead"]
    if not infinite and not dead:
        return []
    counts = []
    if infinite:
        counts.append(f"{counted(len(infinite), 'tensor')} {_are(infinite)} not finite")
    if dead:
        what = f"{len(dead)}" if infinite else counted(len(dead), "tensor")
        counts.append(f"{what} {_are(dead)} dead")
    # One of the dead at least, if there are any.
    shown = [*infinite[: BROKEN - bool(dead)], *dead]
    shown = shown[:BROKEN]
    rows = [("not finite" if one.bad else "dead", one.name, _what_is_broken(one)) for one in shown]
    more = len(infinite) + len(dead) - len(shown)
    return [f"MEND THE FILE FIRST: {', '.join(counts)}.", *_aligned(rows, more)]


def _are(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"


def _stay(number: int) -> str:
    return "stays" if number == 1 else "stay"


def _what_is_broken(one: Recommendation) -> str:
    if not one.bad:
        return f"all {math.prod(one.shape):,} elements are 0"
    at, value = one.bad[0]
    kind = "NaN" if math.isnan(value) else "infinity"
    more = f" and {one.bad_count - 1:,} more" if one.bad_count > 1 else ""
    return f"{kind} at {list(at)}{more}"


def _failing(found: FileRecommendation) -> list[str]:
    """Say for how many the coarsest scheme does not do, and show the worst."""
    kept = found.count("keep")
    live = [one for one in found if one.trials and one.decision not in ("dead", "not-finite")]
    if not live:
        return [f"NOTHING TO QUANTISE: {kept} {_stay(kept)} in 16 bits."]
    failing = [one for one in live if not one.trials[0].passes]
    fused = [one for one in live if one.trials[0].passes and one.chosen is not one.trials[0]]
    fine = len(live) - len(failing) - len(fused)
    first = live[0].trials[0].scheme
    name = "ONE SCALE" if first.decision == "tensor" else first.name
    helpless = sum(one.decision == "keep" for one in live)
    stay = f"{kept} {_stay(kept)} in 16 bits" + (
        f", {helpless} of them because no scheme passes" if helpless else ""
    )
    if not failing:
        passing = f"all {fine} live linear layers" if fine > 1 else "the one live linear layer"
        return [f"{name} IS ENOUGH for {passing}; {stay}."]
    with_them = f", and {len(fused)} {_are(fused)} fused with them" if fused else ""
    failing.sort(key=lambda one: _damage(one.trials[0], found), reverse=True)
    rows = [(_label(one), one.name, _mended(one, found)) for one in failing[:FAILING]]
    verdict = (
        f"{name} FAILS for {len(failing)}{with_them}; {fine} {_are(range(fine))} fine, {stay}."
    )
    return [verdict, *_aligned(rows, len(failing) - len(rows))]


def _damage(trial: Trial, found: FileRecommendation) -> tuple[float, float]:
    """How far a trial is beyond the limits: whole tensors before rows."""
    over = trial.median / found.limits.median
    return (over if over > 1 else 0.0, trial.above / max(trial.rows, 1))


def _label(one: Recommendation) -> str:
    if one.decision == "block" and one.chosen:
        return one.chosen.scheme.name
    return _DECIDED[one.decision]


def _mended(one: Recommendation, found: FileRecommendation) -> str:
    """Say what is wrong under the coarsest scheme, and what the one decided for makes of it."""
    before = one.trials[0]
    after = one.chosen or min(one.trials, key=lambda trial: trial.median)
    cause = cause_in_words(one.cause) or f"{before.scheme.name} costs too much"
    if before.median > found.limits.median:
        change = f"excess {before.median:.2f} -> {after.median:.2f}"
    else:
        change = f"rows above {found.limits.row:g}: {before.above} -> {after.above}"
    best = "" if one.chosen else f" at best ({after.scheme.name})"
    return f"{cause}: {change}{best}"


def _do(found: FileRecommendation) -> str:
    chosen = [one for one in found if one.chosen]
    if not chosen:
        return "DO: nothing; no layer can be quantised as it is."
    layers = (
        f"all {len(chosen)} live linear layers pass"
        if len(chosen) > 1
        else "the one live linear layer passes"
    )
    bits = f"{found.bits_per_weight:.2f} bits per weight"
    if found.scheme is not None:
        what = f"{_SCALES[found.scheme.decision]} ({found.scheme.name}): {layers}"
    else:
        schemes = Counter(one.chosen.scheme.name for one in chosen if one.chosen)
        each = ", ".join(f"{name} for {n}" for name, n in schemes.most_common())
        what = f"no single scheme passes everywhere: {each}"
    return f"DO: {what}, {bits}{_left(found)}."


def _left(found: FileRecommendation) -> str:
    if not found.left:
        return ""
    module, row, excess = max(found.left, key=lambda entry: entry[2])
    rows = "1 row stays" if len(found.left) == 1 else f"{len(found.left)} rows stay"
    return f"; {rows} damaged ({shorten(module, _NAME)} row {row}: {excess:.2f})"
