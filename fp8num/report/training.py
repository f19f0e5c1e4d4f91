"""
What a report says about recipes in training: the tables beside it, and the section's words.

::

    Comparison --> training.csv           a row for each training
               --> training-curves.csv    a row for each recipe and step, or epoch
               --> verdict, results, shares lost: already written, for the page
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fp8num._records import counted
from fp8num._text import shorten
from fp8num.report import labels
from fp8num.report.tables import frame_to_csv

if TYPE_CHECKING:
    from fp8num.nn import Comparison
    from fp8num.nn.paired import Estimate
    from fp8num.nn.pairs import Result

__all__ = ["curves_to_csv", "decision_words", "outcomes_to_csv", "training_section"]

MAX_SHARES = 120  #: rows of the table of what casts lost
#: What each training is said to have done, of the fields of an `Outcome`.
COLUMNS = (
    "recipe", "seed", "fold", "held_out", "accuracy", "loss", "train_accuracy", "train_loss",
    "skipped", "diverged",
)  # fmt: skip
#: The tensor and the product of each operand.
_OPERANDS = {
    "x_forward": ("inputs", "forward"),
    "w_forward": ("weights", "forward"),
    "g_dgrad": ("gradients", "dgrad"),
    "w_dgrad": ("weights", "dgrad"),
    "g_wgrad": ("gradients", "wgrad"),
    "x_wgrad": ("inputs", "wgrad"),
}


def outcomes_to_csv(comparison: Comparison) -> str:
    """Write a row for each training."""
    import pandas as pd

    rows = [[getattr(one, name) for name in COLUMNS] for one in comparison.outcomes]
    return frame_to_csv(pd.DataFrame(rows, columns=list(COLUMNS)))


def curves_to_csv(comparison: Comparison) -> str:
    """Write the loss curves, by step and by epoch."""
    import pandas as pd

    frames = []
    for by in ("step", "epoch"):
        frame = comparison.curves(by).rename(columns={by: "at"})
        frame.insert(1, "by", by)
        frames.append(frame)
    known = [frame for frame in frames if len(frame)] or frames[:1]
    return frame_to_csv(pd.concat(known, ignore_index=True))


def decision_words(comparison: Comparison, result: Result) -> str:
    """Say what a recipe's accuracy is beside the baseline's."""
    base, margin = shorten(comparison.baseline), f"{100 * comparison.margin:g} points"
    seeds = counted(len(comparison.seeds), "seed")
    return {
        "baseline": "the baseline",
        "within": f"within {margin} of {base}",
        "worse": f"worse than {base}",
        "better": f"better than {base}",
        "diverged": f"diverged in {result.diverged} of {seeds}",
    }.get(result.decision, f"undecided to {margin}")


def training_section(comparison: Comparison) -> dict[str, Any]:
    """Return what the section of the page shows."""
    return {
        "baseline": comparison.baseline,
        "others": [name for name in comparison.recipes if name != comparison.baseline],
        "margin": f"{100 * comparison.margin:g} points",
        "setting": _setting(comparison),
        "recipes": _definitions(comparison),
        "verdict": _verdict(comparison),
        "results": [_result(comparison, one) for one in comparison.results],
        "curve": _curve(comparison),
        **_shares(comparison),
    }


def _verdict(comparison: Comparison) -> list[str]:
    """Return a sentence on each recipe: taken one by one, for a name might hold a line's end."""
    pairs = (
        [one for one in comparison.outcomes if one.recipe in {comparison.baseline, name}]
        for name in comparison.recipes
        if name != comparison.baseline
    )
    alone = type(comparison)
    return [alone(tuple(pair), comparison.baseline, comparison.margin).verdict for pair in pairs]


def _setting(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what was trained, and how often."""
    seeds = counted(len(comparison.seeds), "seed")
    times = f"{seeds} of {comparison.folds} folds" if comparison.folds > 1 else seeds
    finished = [one for one in comparison.outcomes if one.settings]
    if not finished:
        return [("each recipe", times)]
    settings = finished[0].settings
    data = str(settings["data"]["name"])
    if len({one.settings["data"]["sha256"] for one in finished}) > comparison.folds:
        data += ", anew for each seed"
    counts = {one.held_out for one in finished}
    ends = sorted({min(counts), max(counts)})
    return [
        ("data", data),
        ("net", "-".join(map(str, settings["sizes"]))),
        ("each recipe", times),
        ("held out", "–".join(map(labels.count, ends))),
        ("epochs", labels.count(settings["epochs"])),
        ("batch", labels.count(settings["batch"])),
        ("optimizer", settings["optimizer"]["name"]),
        ("learning rate", settings["schedule"]["name"]),
    ]


def _definitions(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what each recipe is, as far as a training got to the end."""
    found = {
        one.recipe: str(one.settings["recipe"]["source"])
        for one in comparison.outcomes
        if one.settings
    }
    return [(name, found[name]) for name in comparison.recipes if found.get(name)]


def _result(comparison: Comparison, one: Result) -> dict[str, Any]:
    """Return a row of the results: points for accuracies, nats for log-losses."""
    cells = [
        str(one.n),
        _figure(one.accuracy, 100, ".2f"),
        _figure(one.loss, 1, ".4f"),
    ]
    if one.recipe == comparison.baseline:
        cells += [labels.MISSING] * 3
    else:
        cells += [
            _figure(one.accuracy_difference, 100, "+.3f"),
            _interval(one.accuracy_difference, 100, "+.3f"),
            _figure(one.loss_difference, 1, "+.5f"),
        ]
    return {"recipe": one.recipe, "cells": cells, "decision": decision_words(comparison, one)}


def _figure(one: Estimate, factor: float, form: str) -> str:
    """Write a mean and its standard error."""
    if math.isnan(one.mean):
        return labels.MISSING
    mean = _fixed(factor * one.mean, form)
    if math.isnan(one.error):
        return mean
    return f"{mean} ± {_fixed(factor * one.error, form.lstrip('+'))}"


def _interval(one: Estimate, factor: float, form: str) -> str:
    if math.isnan(one.low):
        return labels.MISSING
    return f"{_fixed(factor * one.low, form)} to {_fixed(factor * one.high, form)}"


def _fixed(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


def _shares(comparison: Comparison) -> dict[str, Any]:
    """Return what casts lost: a row for each tensor, three cells for each recipe that casts."""
    records = comparison.tensors().to_dict("records")
    cast = [one for one in records if one["format"] != "float32"]
    recipes = list(dict.fromkeys(one["recipe"] for one in cast))
    rows: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in cast:
        cells = [
            one["format"],
            _share(one["flushed"], one["flushed_error"]),
            _share(one["saturated"], one["saturated_error"]),
        ]
        rows.setdefault((one["layer"], one["role"]), {})[one["recipe"]] = cells
    missing = [labels.MISSING] * 3
    written = [
        {
            "layer": layer,
            "operand": _OPERANDS.get(role, (role, "")),
            "cells": [cell for name in recipes for cell in found.get(name, missing)],
        }
        for (layer, role), found in rows.items()
    ]
    return {
        "casting": recipes,
        "shares": written[:MAX_SHARES],
        "more_shares": max(len(written) - MAX_SHARES, 0),
    }


def _curve(comparison: Comparison) -> list[dict[str, Any]]:
    """Return each recipe's loss by epoch as points of a drawing of 520 by 120, logarithmic."""
    frame = comparison.curves("epoch")
    frame = frame[(frame["loss"] > 0) & (frame["loss"] < math.inf)]
    if frame.empty:
        return []
    low, high = math.log(frame["loss"].min()), math.log(frame["loss"].max())
    across, up = 520 / max(int(frame["epoch"].max()), 1), 116 / (high - low or 1)
    return [
        {
            "recipe": name,
            "points": " ".join(
                f"{across * at:.1f},{118 - up * (math.log(loss) - low):.1f}"
                for at, loss in zip(part["epoch"], part["loss"], strict=True)
            ),
            "first": labels.number(float(part["loss"].iloc[0]), 3),
            "last": labels.number(float(part["loss"].iloc[-1]), 3),
        }
        for name, part in frame.groupby("recipe", sort=False)
    ]


def _share(mean: float, error: float) -> str:
    """Write a share in percent with its standard error, where it has one that is not 0."""
    text = labels.percent(mean)
    if not error > 0 or not 0.0001 <= mean <= 0.999:
        return text
    return f"{100 * mean:.2f} ± {100 * error:.2f}%"
