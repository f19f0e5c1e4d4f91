"""A training in words: for one that is over, and for one that diverged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fp8num._text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fp8num.nn.history import CastRecord
    from fp8num.nn.run import Diagnosis, Run

__all__ = ["complaint", "summary"]

SHOWN = 8  #: casts in the summary

#: The options that change what a diagnosis' remedies are about.
OPTIONS = {
    "lr": "--lr",
    "clip": "--clip",
    "recipe": "--recipe",
    "accumulators": "--accumulator",
    "loss_scaler": "--loss-scale",
}


def complaint(found: Diagnosis, written: Sequence[str]) -> str:
    """Return why a training stopped, with options for remedies, and what was written of it."""
    from dataclasses import replace

    remedies = tuple(
        f"{remedy} ({OPTIONS[argument]})" if argument in OPTIONS else remedy
        for remedy, argument in zip(found.remedies, found.arguments, strict=True)
    )
    lines = [f"fp8num: {replace(found, remedies=remedies)}"]
    if written:
        files = ", ".join(map(shown, written))
        lines.append(f"fp8num: wrote what there was until then to {files}")
    return "\n".join(lines)


def summary(done: Run) -> str:
    """Return what a reader wants to know first."""
    from fp8num._records import counted
    from fp8num._text import columns
    from fp8num.report.labels import count

    settings, history = done.settings, done.history
    sizes = "-".join(map(str, settings["sizes"]))
    steps = counted(len(history.steps), "step")
    results = [
        (name, count(part.count), _percent(part.accuracy), _number(part.loss))
        for name, part in (("trained on", done.train), ("held out", done.held_out))
    ]
    scaling = settings["loss scaling"]
    scaled = "no loss scaling"
    if scaling is not None:
        scaled = f"loss scale {scaling['name']}, now {done.loss_scale:g}"
    parameters = f"{count(done.parameters)} parameters"
    lines = [
        f"{settings['data']['name']}: {sizes}, {parameters}, seed {settings['seed']}",
        "",
        str(done.recipe),
        "",
        *(
            f"the {name} layer in {recipe.name}\n"
            for name, recipe in (("first", done.first_recipe), ("last", done.last_recipe))
            if recipe is not None
        ),
        columns([("", "inputs", "accuracy", "log-loss"), *results], "<>>>"),
        f"{scaled}; {history.skipped} of {steps} skipped",
    ]
    if worst := [cast for cast in history.worst() if cast.format != "float32"][:SHOWN]:
        lines += ["", "casts that lost most:", _casts(worst)]
    return "\n".join(lines)


def _casts(records: list[CastRecord]) -> str:
    """Return a table of what casts did."""
    from fp8num._text import columns

    head = ("layer", "operand", "format", "step", "amax", "scale", "to zero", "beyond", "SQNR dB")
    rows = [
        (
            record.layer,
            record.role,
            record.format,
            str(record.step),
            _number(record.amax),
            _number(record.scale_median),
            _percent(record.underflow_rate),
            _percent(record.saturation_rate),
            _number(record.sqnr_db),
        )
        for record in records
    ]
    return columns([head, *rows], "<<<>>>>>>")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{rate:.2%}"
