"""
Which recipe costs what: all of them against float32.

::

    recipes.csv  differences      recipes_runs.csv  every training
    recipes_tensors.csv  what casts lost            recipes.svg
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import (
    TASKS,
    Answer,
    Page,
    compare_on,
    image,
    plus_minus,
    points,
    results_frame,
    runs_frame,
    table,
    tensors_frame,
)
from drawings import differences
from words import (
    ACCURACY,
    LOSS,
    came_out,
    find,
    percent,
    results_tables,
    rows_of,
)

from fp8num.nn import RECIPES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    import pandas as pd

__all__ = ["NAME", "SEEDS", "TABLES", "derive", "run"]

NAME = "recipes"
TABLES = ("recipes", "recipes_runs", "recipes_tensors")
SEEDS = 20
TITLE = "Which recipe costs what"


def run(executor: Executor | None, *, quick: bool) -> dict[str, pd.DataFrame]:
    """Train in every recipe."""
    names = [name for name in RECIPES if name != "fp32"]
    found = {
        task: compare_on(task, names, seeds=SEEDS, executor=executor, quick=quick) for task in TASKS
    }
    return {
        "recipes": results_frame(found),
        "recipes_runs": runs_frame(found),
        "recipes_tensors": tensors_frame(found),
    }


TEXT = """\
**Asked.** What does each of the {count} recipes of `fp8num.nn.RECIPES` cost against float32, in
accuracy and in log-loss on held-out data?

**How.** Both tasks, {n} seeds, everything the same but the recipe.

**Came out.** {came_out}

{image}

{results}

Of each recipe the tensor of which the largest share of nonzero elements became zero, and that of
which the largest share of elements was beyond the largest value (means over steps and seeds):

{lost}

Every tensor of the recipe with the highest loss, {worst}:

{tensors}

All tensors of all recipes are in `recipes_tensors.csv`, all trainings in `recipes_runs.csv`.

**Not shown.** That recipes which come out alike here would do so in large nets; that a recipe
which comes out worse could not be made as good with other learning rates or more steps; which of
two recipes is better than the other: each is compared with float32 alone. Blocks of 128 are
nearly whole tensors or rows where no layer is wider than 128.
"""


def derive(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    frame, tensors = tables["recipes"], tables["recipes_tensors"]
    text = TEXT.format(
        count=len(set(frame["recipe"])) - 1,
        n=_n(frame),
        came_out=" ".join(came_out(frame, task) for task in TASKS),
        image=image(NAME, "differences of accuracy and log-loss from float32, with intervals"),
        results=results_tables(frame),
        lost=_lost(tensors),
        worst=worst(frame),
        tensors=_tensors(tensors, worst(frame)),
    )
    answers = [
        Answer(f"What does FP8 cost? ({TASKS[task].label})", _answer(frame, task), TITLE)
        for task in TASKS
    ]
    return Page(TITLE, text, answers, {NAME: figure(frame)})


def _n(frame: pd.DataFrame) -> int:
    return int(frame["n"].max())


def worst(frame: pd.DataFrame) -> str:
    """Return the recipe whose loss is the highest above float32's, of both tasks."""
    return str(frame.loc[frame[LOSS].idxmax(), "recipe"])


def _answer(frame: pd.DataFrame, task: str) -> str:
    rows = rows_of(frame, task)
    within = [row for row in rows if row["decision"] == "within"]
    last = find(frame, task, worst(frame))
    eight = [row for row in rows if row["recipe"] not in ("bf16", last["recipe"])]
    low, high = (f(row[ACCURACY] for row in eight) for f in (min, max))
    costs = [row[LOSS] for row in eight]
    return (
        f"{len(within)} of {len(rows)} recipes are within {100 * last['margin']:g} points of "
        f"float32's accuracy; the means of those in FP8 differ by {100 * low:+.2f} to "
        f"{100 * high:+.2f} points and {min(costs):+.4f} to {max(costs):+.4f} nat; that of "
        f"{last['recipe']} by {points(last)} points and "
        f"{plus_minus(last[LOSS], last[f'{LOSS}_error'])} nat; n = {last['n']}"
    )


def _lost(tensors: pd.DataFrame) -> str:
    """Write for each recipe the tensors of which most was flushed and saturated."""
    rows = []
    for (data, recipe), found in tensors.groupby(["data", "recipe"], sort=False):
        if recipe == "fp32":
            continue
        cells = [TASKS[str(data)].label, recipe]
        for what in ("flushed", "saturated"):
            top = found.loc[found[what].idxmax()]
            where = f"{top['role']} of {top['layer']}, {top['format']}" if top[what] else "-"
            cells += [percent(top[what]), where]
        rows.append(cells)
    header = ("task", "recipe", "most flushed to zero", "of", "most saturated", "of")
    return table(header, rows)


def _tensors(tensors: pd.DataFrame, recipe: str) -> str:
    """Write what became of all tensors of a recipe."""
    found = tensors[tensors["recipe"] == recipe]
    rows = [
        (
            TASKS[row["data"]].label, row["layer"], row["role"], row["format"], row["n"],
            *(plus_minus(100 * row[what], 100 * row[f"{what}_error"], sign=False)
              for what in ("flushed", "saturated")),
        )
        for row in found.to_dict("records")
    ]  # fmt: skip
    return table(("task", "layer", "operand", "format", "n", "flushed / %", "saturated / %"), rows)


def figure(frame: pd.DataFrame) -> str:
    """Draw all differences, the recipe with the lowest loss at the top."""
    means = frame[frame["decision"] != "baseline"].groupby("recipe")[LOSS].mean()
    return differences(
        {name: (frame, name) for name in means.sort_values(kind="stable").index},
        title="What each recipe costs against float32",
        of="minus float32:",
    )
