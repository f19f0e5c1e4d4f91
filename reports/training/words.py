"""
Results in words: tables of differences, and verdicts.

::

    rows of NAME.csv --> a Markdown table for each task, lists of names by verdict, phrases

Every function takes rows as `common.results_frame` makes them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from common import SMALL, TASKS, decision, plus_minus, points, table

from fp8num.nn.paired import student_quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

__all__ = [
    "ACCURACY",
    "LOSS",
    "came_out",
    "clear",
    "contrasts_table",
    "find",
    "listed",
    "lost",
    "named",
    "on_tasks",
    "percent",
    "results_tables",
    "rows_of",
    "said",
    "statements",
    "verdict_of_accuracy",
    "verdict_of_loss",
    "with_interval",
]

Row = dict[str, Any]
ACCURACY, LOSS = "accuracy_difference", "loss_difference"
BASELINE = "baseline"


def rows_of(frame: pd.DataFrame, data: str, *, baseline: bool = False) -> list[Row]:
    """Return the rows of a task; the baseline, which differs from itself by nothing, if asked."""
    rows: list[Row] = frame[frame["data"] == data].to_dict("records")
    return [row for row in rows if baseline or row["decision"] != BASELINE]


def find(frame: pd.DataFrame, data: str, recipe: str) -> Row:
    """Return the row of a recipe on a task."""
    (row,) = (one for one in rows_of(frame, data, baseline=True) if one["recipe"] == recipe)
    return row


def clear(row: Mapping[str, Any], name: str, of: int = 1) -> int:
    """Return the sign of a difference if its interval excludes 0, or else 0; of so many at once."""
    error, n = row[f"{name}_error"], int(row["n"])
    if n < 2 or math.isnan(error):
        return 0
    reach = student_quantile(1 - 0.025 / of, n - 1) * error
    return int(row[name] > reach) - int(row[name] < -reach)


def verdict_of_loss(row: Mapping[str, Any], of: int) -> str:
    """Say whether a loss differs; in bold if that holds for all statements of a table at once."""
    word = {1: "higher", -1: "lower", 0: "no difference shown"}[clear(row, LOSS)]
    return f"**{word}**" if clear(row, LOSS, of) else word


def verdict_of_accuracy(row: Mapping[str, Any], of: int) -> str:
    """Say what the comparison decided; in bold as for the loss."""
    word = decision(row)
    decided = row["decision"] in ("worse", "better")
    return f"**{word}**" if decided and clear(row, ACCURACY, of) else word


def with_interval(row: Mapping[str, Any], name: str, unit: float = 1) -> str:
    """Write the ends of a 95 % interval, to the digits of its standard error."""
    error = unit * row[f"{name}_error"]
    if not error > 0:
        return "-"
    ends = [unit * row[f"{name}_{end}"] for end in ("low", "high")]
    if error < SMALL and abs(unit * row[name]) < 100 * SMALL:
        return " to ".join(f"{end:+.1e}" for end in ends)
    places = max(1 - math.floor(math.log10(error)), 0)
    return " to ".join(f"{round(end, places) + 0:+.{places}f}" for end in ends)


def statements(frame: pd.DataFrame) -> int:
    """Return how many verdicts a part gives: two for each pair of recipes."""
    return 2 * int((frame["decision"] != BASELINE).sum())


def results_tables(frame: pd.DataFrame, of: int | None = None) -> str:
    """Write a table of differences from one baseline for each task; of so many verdicts."""
    of, parts = of or statements(frame), []
    for data in dict.fromkeys(frame["data"]):
        rows = rows_of(frame, data, baseline=True)
        (first,) = (row for row in rows if row["decision"] == BASELINE)
        cells = [(row["recipe"], *_cells(row, of)) for row in rows if row is not first]
        accuracy = plus_minus(100 * first["accuracy"], 100 * first["accuracy_error"], sign=False)
        loss = plus_minus(first["loss"], first["loss_error"], sign=False)
        said = (
            f"Differences from {first['recipe']} on the {TASKS[data].label} task, where its "
            f"accuracy is {accuracy} % and its log-loss {loss} nat (n = {first['n']}):"
        )
        parts += [said, table((TASKS[data].label, *_HEADER), cells)]
    return "\n\n".join(parts)


def contrasts_table(frame: pd.DataFrame, of: int) -> str:
    """Write a table of differences from any baselines, in pairs of both tasks."""
    rows = [row for row in frame.to_dict("records") if row["decision"] != BASELINE]
    cells = [
        (f"{row['recipe']}, minus {row['baseline']}", TASKS[row["data"]].label, *_cells(row, of))
        for row in sorted(rows, key=lambda row: _order(rows, row))
    ]
    return table(("difference", "task", *_HEADER), cells)


_HEADER = (
    "n", "accuracy / points", "95 % interval", "verdict", "log-loss / nat", "95 % interval",
    "verdict",
)  # fmt: skip


def _order(rows: Sequence[Row], row: Row) -> int:
    """Return the place of a row's difference: those of both tasks stand together."""
    keys = list(dict.fromkeys((one["recipe"], one["baseline"]) for one in rows))
    return keys.index((row["recipe"], row["baseline"]))


def _cells(row: Row, of: int) -> tuple[object, ...]:
    return (
        row["n"], points(row), with_interval(row, ACCURACY, 100), verdict_of_accuracy(row, of),
        plus_minus(row[LOSS], row[f"{LOSS}_error"]), with_interval(row, LOSS),
        verdict_of_loss(row, of),
    )  # fmt: skip


def came_out(frame: pd.DataFrame, task: str, of: int | None = None) -> str:
    """Say in words what the verdicts on a task are, against one baseline."""
    rows, of = rows_of(frame, task), of or statements(frame)
    (first,) = (row for row in rows_of(frame, task, baseline=True) if row["decision"] == BASELINE)
    kinds = {"within": f"within {100 * first['margin']:g} points"}
    groups = [
        f"{kinds.get(kind, kind)}: {named(found)}"
        for kind in ("within", "worse", "better", "undecided", "diverged")
        if (found := [row for row in rows if row["decision"] == kind])
    ]
    said = (
        f"Accuracy on the {TASKS[task].label} task, against {first['recipe']}: {'; '.join(groups)}."
    )
    for sign, word in ((1, "higher"), (-1, "lower")):
        every = [row for row in rows if clear(row, LOSS) == sign]
        sure = [row for row in every if clear(row, LOSS, of) == sign]
        if sure:
            said += f" Log-loss {word} for all statements at once: {named(sure)}."
        if hints := [row for row in every if row not in sure]:
            said += f" Log-loss {word} only if each statement is taken alone: {named(hints)}."
    if not any(clear(row, LOSS) for row in rows):
        said += " No difference of log-loss is shown."
    return said


def said(row: Mapping[str, Any], of: int) -> str:
    """Say in a few words what one difference is, with its errors and verdicts."""
    return (
        f"{points(row)} points ({verdict_of_accuracy(row, of)}), "
        f"{plus_minus(row[LOSS], row[f'{LOSS}_error'])} nat ({verdict_of_loss(row, of)})"
    )


def on_tasks(frame: pd.DataFrame, recipe: str, of: int) -> str:
    """Say in a few words what a difference is on each task."""
    rows = [find(frame, task, recipe) for task in TASKS]
    parts = [f"{TASKS[row['data']].label} {said(row, of)}" for row in rows]
    n = " or ".join(dict.fromkeys(str(row["n"]) for row in rows))
    return f"{'; '.join(parts)}; n = {n}"


def lost(tensors: pd.DataFrame, recipes: Sequence[str], roles: Sequence[str]) -> str:
    """Write the shares that casts flushed and saturated: a line for each tensor."""
    found = tensors[tensors["recipe"].isin(recipes) & tensors["role"].isin(roles)]
    rows = []
    for (data, layer, role), some in found.groupby(["data", "layer", "role"], sort=False):
        cells = [TASKS[str(data)].label, layer, role]
        for recipe in recipes:
            (row,) = some[some["recipe"] == recipe].to_dict("records")
            cells.append(f"{percent(row['flushed'])} / {percent(row['saturated'])}")
        rows.append(cells)
    return table(("task", "layer", "operand", *recipes), rows)


def listed(names: Iterable[str]) -> str:
    """Write names as a list in a sentence."""
    found = list(names)
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found) or "none"


def named(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write the recipes of rows as a list."""
    return listed(str(row["recipe"]) for row in rows)


def percent(share: float) -> str:
    """Write a share in per cent, to two digits, down to a thousandth of a per cent."""
    if math.isnan(share):
        return "-"
    if share == 0:
        return "0 %"
    if share < 1e-5:
        return "< 0.001 %"
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.3g} %"
