"""
The tutorial's experiment done correctly, with fp8num alone: correct.csv and casts.csv.

::

    100-64-10, ReLU, 1,000 random samples and labels, batches of 64, Adam at 1e-3, 5 epochs
    forward E4M3FN, gradients E5M2, straight through, scaled per tensor;  float32 beside it

For each seed, all recipes get the same data, initial weights and order of samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fp8num.nn.data import random_labels
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.train import Run, train

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RUNS", "SEEDS", "cast_table", "remake", "trained"]

SEEDS = 200
#: The name of each run, its recipe, and its loss scale.
RUNS = {
    "fp32": ("fp32", 1.0),
    "te-current": ("te-current", 1.0),
    "torchao-tensorwise": ("torchao-tensorwise", 1.0),
    "fp8-unscaled": ("fp8-unscaled", 1.0),
    "fp8-unscaled, loss x 128": ("fp8-unscaled", 128.0),
}


def trained(name: str, seed: int) -> Run:
    """Train as one of `RUNS`."""
    recipe, scale = RUNS[name]
    return train(
        random_labels(seed=seed),
        sizes=(100, 64, 10),
        recipe=recipe,
        seed=seed,
        epochs=5,
        batch=64,
        lr=1e-3,
        optimizer="adam",
        schedule="constant",
        loss_scaler=LossScaler(scale, dynamic=False) if scale != 1 else None,
        stats_every=20,
    )


def losses(run: Run) -> list[float]:
    """Return the mean loss of the batches of each epoch, as the tutorial takes it."""
    epochs: dict[int, list[float]] = {}
    for record in run.history.steps:
        epochs.setdefault(record.epoch, []).append(record.loss)
    return [float(np.mean(found)) for found in epochs.values()]


def remake(seeds: Iterable[int] = range(SEEDS)) -> dict[str, str]:
    """Return the text of both files."""
    rows: list[dict[str, Any]] = []
    casts: list[pd.DataFrame] = []
    for seed in seeds:
        for name in RUNS:
            run = trained(name, seed)
            epochs = {f"epoch {i}": loss for i, loss in enumerate(losses(run), 1)}
            rows.append(
                {
                    "recipe": name,
                    "seed": seed,
                    **epochs,
                    "final loss": run.train.loss,
                    "accuracy": run.train.accuracy,
                    "held-out loss": run.held_out.loss,
                    "held-out accuracy": run.held_out.accuracy,
                    "skipped": run.skipped,
                }
            )
            if name != "fp32":
                frame = pd.DataFrame([record_row(record) for record in run.history.casts])
                casts.append(frame.assign(recipe=name, seed=seed))
    return {
        "correct.csv": pd.DataFrame(rows).to_csv(
            index=False, float_format="%.6f", lineterminator="\n"
        ),
        "casts.csv": cast_table(pd.concat(casts)).to_csv(
            index=False, float_format="%.6g", lineterminator="\n"
        ),
    }


def record_row(record: Any) -> dict[str, Any]:  # noqa: ANN401 - a CastRecord
    """Return what the table keeps of a cast."""
    keys = ("layer", "role", "format", "amax", "underflow_rate", "saturation_rate", "sqnr_db")
    return {key: getattr(record, key) for key in keys}


def cast_table(casts: pd.DataFrame) -> pd.DataFrame:
    """Return, for each recipe and operand, means over seeds of its runs' means."""
    keys = ["recipe", "layer", "role", "format"]
    columns = ["amax", "underflow_rate", "saturation_rate", "sqnr_db"]
    by_seed = casts.groupby([*keys, "seed"], sort=False)[columns].mean()
    groups = by_seed.groupby(level=keys, sort=False)
    mean, error = groups.mean(), groups.sem()
    table = pd.DataFrame({"n": groups.size()})
    for column in columns:
        table[column], table[f"{column} error"] = mean[column], error[column]
    return table.reset_index()
