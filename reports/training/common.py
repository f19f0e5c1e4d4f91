"""
What the parts of the experiments share: the two tasks, and how results are kept and written.

::

    a part's run(executor, quick=) --> tables --> CSV --> a part's derive(tables) --> Page
       trainings, minutes                                   figures, text, answers; a moment

`derive` is given the tables as they are read back from their files, so that page and figures
follow from the files alone.  A part is a module that has what `Part` lists.
"""

from __future__ import annotations

import io
import math
import os
import sys
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from fp8num.nn import Comparison, compare, digits, teacher
from fp8num.nn.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from fp8num.nn import Dataset, Recipe

__all__ = [
    "FOLDER",
    "SMALL",
    "TASKS",
    "Answer",
    "Page",
    "Part",
    "Task",
    "against",
    "compare_on",
    "csv_text",
    "decision",
    "image",
    "in_order",
    "plus_minus",
    "points",
    "read_tables",
    "results_frame",
    "runs_frame",
    "table",
    "tensors_frame",
    "write",
]

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent))  # for `figures`, which other reports draw with as well
#: Errors below this, of means that are small too, are written with a power of ten.
SMALL = 1e-5
#: Decisions of a comparison as a reader should read them; `{margin}` is in points.
DECISIONS = {
    "within": "within {margin} points",
    "worse": "worse",
    "better": "better",
    "undecided": "undecided",
    "diverged": "diverged",
    "baseline": "baseline",
}


@dataclass(frozen=True)
class Answer:
    """A line of the table at the top: a question, and its answer with numbers."""

    question: str
    answer: str
    where: str  #: title of the part, or a file beside the page


@dataclass(frozen=True)
class Page:
    """What a part says: Markdown without its heading; drawings by name, without suffix."""

    title: str
    text: str
    answers: Sequence[Answer]
    figures: Mapping[str, str] = field(default_factory=dict)


class Part(Protocol):
    """
    What the module of a part has.

    `TABLES` names the CSV files, without suffix, that `run` returns; each name begins with the
    part's own.  `run` sends its trainings to the executor and does not shut it down; with
    `quick` it takes two seeds and few epochs, to try the code.  `derive` does no training.
    """

    NAME: str
    TABLES: tuple[str, ...]

    def run(self, executor: Executor | None, *, quick: bool) -> Mapping[str, pd.DataFrame]:
        """Return the tables."""

    def derive(self, tables: Mapping[str, pd.DataFrame]) -> Page:
        """Return what follows from the tables."""


@dataclass(frozen=True)
class Task:
    """What is learned, by which net and how; `data` takes ``seed=`` and may be pickled."""

    name: str
    label: str
    data: Callable[..., Dataset]
    sizes: tuple[int, ...]
    epochs: int
    lr: float
    batch: int = 64

    @property
    def options(self) -> dict[str, Any]:
        """Options of `compare` and `train`."""
        return {one: getattr(self, one) for one in ("sizes", "epochs", "lr", "batch")}


#: Both tasks.  Every seed has its own split of the digits, or its own teacher, besides its own
#: initial weights and order of inputs.
TASKS = {
    "digits": Task("digits", "digits", partial(digits, folds=3), (64, 128, 10), 12, 1e-2),
    "teacher": Task(
        "teacher", "teacher", partial(teacher, n=2048, test=2048), (32, 64, 64, 10), 8, 5e-3
    ),
}


def compare_on(
    task: str | Task,
    recipes: Sequence[str | Recipe] | Mapping[str, str | Recipe | Mapping[str, object]],
    *,
    seeds: int,
    executor: Executor | None,
    quick: bool = False,
    **changes: Any,  # noqa: ANN401 - options of `compare`
) -> Comparison:
    """Compare recipes on a task, pair by pair; `changes` are options other than the task's."""
    found = TASKS[task] if isinstance(task, str) else task
    options = found.options | changes
    if quick:
        seeds, options["epochs"] = 2, min(options["epochs"], 2)
    return compare(found.data, recipes, seeds=seeds, executor=executor, **options)


def against(
    comparisons: Mapping[str, Comparison], baseline: str, *recipes: str
) -> dict[str, Comparison]:
    """Compare recipes of the same trainings with another one of them."""
    return {
        task: Comparison(
            tuple(one for one in found.outcomes if one.recipe in (baseline, *recipes)),
            baseline,
            found.margin,
        )
        for task, found in comparisons.items()
    }


def in_order(
    executor: Executor | None, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]
) -> list[Any]:
    """Return what a function of a module gives for each task's arguments, in their order."""
    if executor is None:
        return [function(*task) for task in tasks]
    return [one.result() for one in [executor.submit(function, *task) for task in tasks]]


# Tables.


def results_frame(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """Return the results of every comparison, with a column that says of which data."""
    frames = [
        found.to_frame().assign(margin=found.margin, baseline=found.baseline)
        for found in comparisons.values()
    ]
    return _labelled(comparisons, frames)


def tensors_frame(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """Return what casts lost, with a column that says of which data."""
    return _labelled(comparisons, [found.tensors() for found in comparisons.values()])


def runs_frame(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """Return a row for every training, from which all other tables follow."""
    kept = [part.name for part in fields(Outcome) if part.name not in _LONG]
    frames = [
        pd.DataFrame([{name: getattr(one, name) for name in kept} for one in found.outcomes])
        for found in comparisons.values()
    ]
    return _labelled(comparisons, frames)


_LONG = {"losses", "shares", "settings", "per_epoch"}


def _labelled(comparisons: Mapping[str, Comparison], frames: list[pd.DataFrame]) -> pd.DataFrame:
    for name, frame in zip(comparisons, frames, strict=True):
        frame.insert(0, "data", name)
    return pd.concat(frames, ignore_index=True)


def csv_text(frame: pd.DataFrame) -> str:
    """Write a table; nine digits tell any two float32 numbers apart."""
    return frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")


def read_tables(names: Iterable[str], texts: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Read tables from the texts of their files, ``NAME.csv``."""
    return {
        name: pd.read_csv(io.StringIO(texts[f"{name}.csv"]), keep_default_na=False, na_values=[""])
        for name in names
    }


def write(path: Path, text: str) -> None:
    """Write a file so that it is never half there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# Words.


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table of Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def image(name: str, description: str) -> str:
    """Write a reference to a figure and to the table beside it."""
    return f"![{description}]({name}.svg)"


def plus_minus(mean: float, error: float, *, sign: bool = True) -> str:
    """Write a mean with its standard error, to two digits of the error."""
    plus = "+" if sign else ""
    if math.isnan(mean):
        return "-"
    if math.isnan(error) or error == 0:
        return f"{mean + 0:{plus}.4g}"
    if error < SMALL and abs(mean) < 100 * SMALL:
        return f"{mean:{plus}.1e} ± {error:.1e}"
    places = max(1 - math.floor(math.log10(error)), 0)
    return f"{round(mean, places) + 0:{plus}.{places}f} ± {error:.{places}f}"


def points(row: Mapping[str, Any], name: str = "accuracy_difference") -> str:
    """Write a difference of accuracies in points with its error, from a row of results."""
    return plus_minus(100 * row[name], 100 * row[f"{name}_error"])


def decision(row: Mapping[str, Any]) -> str:
    """Write what a comparison decided, from a row of results."""
    return DECISIONS[row["decision"]].format(margin=f"{100 * row['margin']:g}")
