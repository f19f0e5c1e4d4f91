"""
E4M3FN against E5M2 for gradients, with a scale for each tensor and without any.

::

    gradients.csv  differences from fp32, and of pairs      gradients_runs.csv  every training
    gradients_tensors.csv  what casts lost                  gradients.svg
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
from common import (
    TASKS,
    Answer,
    Page,
    against,
    compare_on,
    image,
    results_frame,
    runs_frame,
    tensors_frame,
)
from drawings import differences
from words import (
    contrasts_table,
    lost,
    on_tasks,
    results_tables,
    statements,
)

from fp8num.nn import RECIPES, Operand

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from fp8num.nn import Recipe

__all__ = ["ARMS", "NAME", "PAIRS", "SEEDS", "TABLES", "derive", "run"]

NAME = "gradients"
TABLES = ("gradients", "gradients_runs", "gradients_tensors")
SEEDS = 24
TITLE = "E4M3FN against E5M2 for gradients"
#: For each way of scaling: the format that recipes have, and the other.
PAIRS = {
    "scaled": ("E5M2 scaled", "E4M3FN scaled"),
    "unscaled": ("E5M2 unscaled", "E4M3FN unscaled"),
}


def _gradients(name: str) -> Recipe:
    """Return a recipe with E4M3FN forward and a format for gradients."""
    fmt, kind = name.split()
    rule = "te-current" if kind == "scaled" else None
    cast = Operand(rule, fmt)
    return replace(RECIPES[rule or "fp8-unscaled"], name=name, g_dgrad=cast, g_wgrad=cast)


ARMS = {name: _gradients(name) for names in PAIRS.values() for name in names}
TEXT = """\
**Asked.** Most recipes cast gradients to E5M2, which has more binades than E4M3FN and half as many
steps in each. Is that better for training than E4M3FN, with a scale for each tensor, and without
any?

**How.** Both tasks, {n} seeds. Activations and weights are E4M3FN in all four variants; the
gradient is cast to either format in both products of the backward pass, with the rule
`te-current` (and so with activations and weights) or with no scale at all. The pairs are
trainings that differ in the gradient's format alone.

**Came out.**

{came_out}

{image}

{contrasts}

{results}

Shares of the gradients' nonzero elements that became zero, and of elements beyond the largest
value, means over steps and seeds (flushed / saturated):

{lost}

**Not shown.** Anything about gradients that are smaller than these: without a scale the result
hangs on how large gradients happen to be, which here comes from the mean over a batch of
{batch} inputs; a larger batch or a deeper net moves them, and a loss scale moves them back (see
the part on loss scaling).
"""


def run(executor: Executor | None, *, quick: bool) -> dict[str, pd.DataFrame]:
    """Train with both formats, with and without scales."""
    found = {
        task: compare_on(task, ARMS, seeds=SEEDS, executor=executor, quick=quick) for task in TASKS
    }
    kept = [results_frame(against(found, *pair)) for pair in PAIRS.values()]
    return {
        "gradients": pd.concat([results_frame(found), *kept], ignore_index=True),
        "gradients_runs": runs_frame(found),
        "gradients_tensors": tensors_frame(found),
    }


def derive(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    frame, tensors = tables["gradients"], tables["gradients_tensors"]
    of, pairs = statements(frame), _pairs(frame)
    words = {kind: on_tasks(pairs[kind], PAIRS[kind][1], of) for kind in PAIRS}
    text = TEXT.format(
        n=int(frame["n"].max()),
        batch=TASKS["digits"].batch,
        came_out="\n".join(f"- E4M3FN minus E5M2, {kind}: {words[kind]}." for kind in PAIRS),
        image=image(NAME, "differences between formats of gradients, with intervals"),
        contrasts=contrasts_table(pd.concat(pairs.values()), of),
        results=results_tables(frame[frame["baseline"] == "fp32"], of),
        lost=lost(tensors, list(ARMS), ("g_dgrad", "g_wgrad")),
    )
    answers = [
        Answer(f"E4M3FN or E5M2 for gradients, {kind}?", f"E4M3FN minus E5M2: {words[kind]}", TITLE)
        for kind in PAIRS
    ]
    return Page(TITLE, text, answers, {NAME: figure(frame)})


def _pairs(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each pair."""
    return {kind: frame[frame["baseline"] == base] for kind, (base, _) in PAIRS.items()}


def figure(frame: pd.DataFrame) -> str:
    """Draw what each variant costs, and the differences of pairs."""
    first = frame[frame["baseline"] == "fp32"]
    sources = {f"{name} − fp32": (first, name) for name in ARMS}
    for kind, (_, other) in PAIRS.items():
        sources[f"E4M3FN − E5M2, {kind}"] = (_pairs(frame)[kind], other)
    return differences(sources, title="Formats of gradients")
