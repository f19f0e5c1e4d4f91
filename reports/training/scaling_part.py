"""
With and without scales, in both formats and in their usual mixture.

::

    scaling.csv  differences from fp32, and of pairs      scaling_runs.csv  every training
    scaling_tensors.csv  what casts lost                  scaling.svg
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
    percent,
    results_tables,
    statements,
)

from fp8num.nn import RECIPES, ROLES, Operand

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from fp8num.nn import Recipe

__all__ = ["ARMS", "FORMATS", "NAME", "SEEDS", "TABLES", "derive", "run"]

NAME = "scaling"
TABLES = ("scaling", "scaling_runs", "scaling_tensors")
SEEDS = 20
TITLE = "With and without scaling"
#: Formats forward and backward.
FORMATS = {
    "hybrid": ("E4M3FN", "E5M2"),
    "E4M3FN": ("E4M3FN", "E4M3FN"),
    "E5M2": ("E5M2", "E5M2"),
}


def _recipe(formats: str, *, scaled: bool) -> Recipe:
    """Return a recipe of formats, with a scale for each tensor or none."""
    rule = "te-current" if scaled else None
    forward, backward = (Operand(rule, fmt) for fmt in FORMATS[formats])
    casts = {role: backward if role[0] == "g" else forward for role in ROLES}
    name = _name(formats, scaled=scaled)
    return replace(RECIPES[rule or "fp8-unscaled"], name=name, **casts)


def _name(formats: str, *, scaled: bool) -> str:
    return f"{formats} {'scaled' if scaled else 'unscaled'}"


ARMS = {
    _name(formats, scaled=scaled): _recipe(formats, scaled=scaled)
    for formats in FORMATS
    for scaled in (True, False)
}
TEXT = """\
**Asked.** What does a scale for each tensor (the rule `te-current`) buy over a plain cast? Which
tensors lose elements without it?

**How.** Both tasks, {n} seeds, three choices of formats, each with and without scales: *hybrid* is
E4M3FN forward and E5M2 for gradients (scaled it is `te-current`, unscaled `fp8-unscaled`);
*E4M3FN* and *E5M2* have one format everywhere. The pairs differ in the scales alone.

**Came out.**

{came_out}

{worst}

{image}

{contrasts}

{results}

Shares of nonzero elements that became zero, and of elements beyond the largest value, means over
steps and seeds (flushed / saturated):

{lost}

**Not shown.** That scaling does not matter where no difference is shown: weights and activations
of these nets happen to lie well within the formats' ranges. Nor is the share that is flushed by
itself a measure of harm: those that are flushed are the smallest.
"""


def run(executor: Executor | None, *, quick: bool) -> dict[str, pd.DataFrame]:
    """Train in each choice of formats, with and without scales."""
    found = {
        task: compare_on(task, ARMS, seeds=SEEDS, executor=executor, quick=quick) for task in TASKS
    }
    kept = [
        results_frame(against(found, _name(one, scaled=True), _name(one, scaled=False)))
        for one in FORMATS
    ]
    return {
        "scaling": pd.concat([results_frame(found), *kept], ignore_index=True),
        "scaling_runs": runs_frame(found),
        "scaling_tensors": tensors_frame(found),
    }


def derive(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    frame, tensors = tables["scaling"], tables["scaling_tensors"]
    of = statements(frame)
    words = {
        one: on_tasks(
            frame[frame["baseline"] == _name(one, scaled=True)], _name(one, scaled=False), of
        )
        for one in FORMATS
    }
    text = TEXT.format(
        n=int(frame["n"].max()),
        came_out="\n".join(f"- Unscaled minus scaled, {one}: {words[one]}." for one in FORMATS),
        worst=" ".join(_worst(tensors, task) for task in TASKS),
        image=image(NAME, "differences of unscaled and scaled recipes from float32"),
        contrasts=contrasts_table(frame[frame["baseline"] != "fp32"], of),
        results=results_tables(frame[frame["baseline"] == "fp32"], of),
        lost=lost(tensors, list(ARMS), ("x_forward", "w_forward", "g_dgrad", "g_wgrad")),
    )
    answers = [
        Answer(
            f"What does it cost to leave the scales out? ({one})",
            f"unscaled minus scaled: {words[one]}",
            TITLE,
        )
        for one in FORMATS
    ]
    return Page(TITLE, text, answers, {NAME: figure(frame)})


def _worst(tensors: pd.DataFrame, task: str) -> str:
    """Say which tensors lose most."""
    parts = []
    for name in ARMS:
        if name.endswith("unscaled"):
            found = tensors[(tensors["recipe"] == name) & (tensors["data"] == task)]
            top = found.loc[found["flushed"].idxmax()]
            parts.append(
                f"{percent(top['flushed'])} of {top['role']} of {top['layer']} with {name}"
            )
    return f"Most is flushed, on the {TASKS[task].label} task: {'; '.join(parts)}."


def figure(frame: pd.DataFrame) -> str:
    """Draw what each variant costs against float32."""
    first = frame[frame["baseline"] == "fp32"]
    return differences(
        {name: (first, name) for name in ARMS},
        title="What leaving the scales out costs",
        of="minus float32:",
    )
