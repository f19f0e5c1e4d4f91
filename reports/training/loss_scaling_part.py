"""
Where loss scaling decides: gradients in FP8 without scales of their own, by the loss scale.

::

    trainings at scales 2^k --> loss_scaling.csv differences   loss_scaling_pairs.csv  from 2^12
                                loss_scaling_curves.csv        loss_scaling_tensors.csv
    gradients in float32    --> loss_scaling_flushed.csv       what each scale would flush
                                loss_scaling_rows.csv          and do to the rows of the first step
    scales that adapt       --> loss_scaling_dynamic.csv       loss_scaling_scaler.csv
    scaled recipes          --> loss_scaling_control.csv       bits that a loss scale changes
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from common import (
    TASKS,
    Page,
    against,
    compare_on,
    in_order,
    results_frame,
    runs_frame,
    tensors_frame,
)

from fp8num import get_format, quantize
from fp8num.analysis import overflow_threshold
from fp8num.nn import RECIPES, Comparison, LossScaler, Operand, Run, TrainingDiverged, train
from fp8num.nn.outcome import Outcome
from fp8num.nn.paired import estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Executor

    from fp8num.nn import Recipe

__all__ = [
    "BATCH",
    "MIDDLE",
    "NAME",
    "SCALERS",
    "SETTINGS",
    "TABLES",
    "Setting",
    "derive",
    "run",
]

NAME = "loss_scaling"
TABLES = (
    "loss_scaling",
    "loss_scaling_pairs",
    "loss_scaling_runs",
    "loss_scaling_curves",
    "loss_scaling_tensors",
    "loss_scaling_flushed",
    "loss_scaling_rows",
    "loss_scaling_dynamic",
    "loss_scaling_scaler",
    "loss_scaling_control",
)
BATCH = 256
#: The exponent of the scale in the middle of the window.
MIDDLE = 12
#: The margin of accuracy; that of the log-loss is a share of float32's, see `window`.
MARGIN = 0.005
SEEDS = 10


def _one_format(fmt: str) -> Recipe:
    """Return the recipe without scales, with gradients in a format."""
    gradient = Operand(format=fmt)
    return replace(
        RECIPES["fp8-unscaled"],
        name=f"unscaled, {fmt} gradients",
        g_dgrad=gradient,
        g_wgrad=gradient,
    )


@dataclass(frozen=True)
class Setting:
    """What is trained at each scale; `format` is that of the gradients."""

    label: str
    task: str
    format: str
    optimizer: str
    lr: float
    epochs: int
    seeds: int
    exponents: tuple[int, ...]

    @property
    def options(self) -> dict[str, Any]:
        """Options that differ from those of the task."""
        return {
            "optimizer": self.optimizer, "lr": self.lr, "epochs": self.epochs, "batch": BATCH,
        }  # fmt: skip


#: Ordinary nets and initial weights: those of the other parts, with larger batches.
SETTINGS = {
    "digits": Setting(
        "digits, E4M3FN gradients", "digits", "E4M3FN", "adamw", 1e-2, 24, 2 * SEEDS,
        tuple(range(21)),
    ),
    "digits-e5m2": Setting(
        "digits, E5M2 gradients", "digits", "E5M2", "adamw", 1e-2, 24, SEEDS,
        (*range(-8, 1), 4, 8, 12, 16, 20, 22, 23, 24, 25, 26),
    ),
    "digits-sgd": Setting(
        "digits, E4M3FN gradients, SGD", "digits", "E4M3FN", "sgd", 1e-1, 24, SEEDS,
        (*range(7), 8, 12, 15, 16, 17, 18),
    ),
    "teacher": Setting(
        "teacher, E4M3FN gradients", "teacher", "E4M3FN", "adamw", 5e-3, 16, SEEDS,
        (*range(7), 8, 12, 15, 16, 17, 18, 20),
    ),
}  # fmt: skip
#: Exponents of the first scale, and whether a step in which an element saturated is skipped.
SCALERS = {
    f"{'' if counts else 'not '}counted, from 2^{start}": (start, counts)
    for counts in (True, False)
    for start in (0, 16, 24)
}
#: Steps without overflow after which a scaler doubles: of PyTorch's 2000, as the runs are short.
INTERVAL = 10
#: Recipes and scales of which the bits are compared with those without a loss scale.
CONTROLS = (
    ("fp32", 2.0**16), ("te-current", 2.0**8), ("te-current", 2.0**16), ("te-current", 2.0**24),
    ("mxfp8", 2.0**16), ("te-current", 1000.0), ("fp8-unscaled", 2.0**16),
)  # fmt: skip
#: Arms whose losses are drawn.
DRAWN = ("fp32", "2^0", "2^1", f"2^{MIDDLE}", "2^18")


def run(executor: Executor | None, *, quick: bool) -> dict[str, pd.DataFrame]:
    """Train at every scale, look at gradients, and let scales adapt."""
    found = {name: _compared(one, executor, quick=quick) for name, one in SETTINGS.items()}
    seeds, epochs = (2, 2) if quick else (SEEDS, SETTINGS["digits"].epochs)
    dynamic, steps = _dynamic(found["digits"], executor, range(seeds), epochs)
    gradients = [
        (name, seed, 2 if quick else one.epochs)
        for name, one in SETTINGS.items()
        for seed in range(seeds)
    ]
    controls = [
        (recipe, scale, seed, epochs) for recipe, scale in CONTROLS for seed in range(seeds)
    ]
    tensors = tensors_frame(found)
    curves = found["digits"].curves()
    return {
        "loss_scaling": _with_exponent(results_frame(found)),
        "loss_scaling_pairs": _with_exponent(
            pd.concat(
                results_frame(against({name: one}, f"2^{MIDDLE}", *one.recipes[1:]))
                for name, one in found.items()
            )
        ),
        "loss_scaling_runs": runs_frame(found | {"digits-dynamic": dynamic}),
        "loss_scaling_curves": curves[curves["recipe"].isin(DRAWN)],
        "loss_scaling_tensors": _with_exponent(tensors[tensors["role"] == "g_wgrad"]),
        "loss_scaling_flushed": _means(in_order(executor, gradient_rows, gradients)),
        "loss_scaling_rows": _row_means(
            in_order(executor, row_sums, [(seed,) for seed in range(seeds)])
        ),
        "loss_scaling_dynamic": results_frame({"digits": dynamic}),
        "loss_scaling_scaler": steps,
        "loss_scaling_control": _controls(in_order(executor, control_row, controls)),
    }


def derive(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    from loss_scaling_page import page

    return page(tables)


def _compared(setting: Setting, executor: Executor | None, *, quick: bool) -> Comparison:
    """Train at every scale of a setting."""
    recipe = _one_format(setting.format)
    arms = {
        f"2^{k}": {"recipe": recipe, "loss_scaler": LossScaler(2.0**k, dynamic=False)}
        for k in setting.exponents
    }
    return compare_on(
        setting.task, arms, seeds=setting.seeds, executor=executor, quick=quick, margin=MARGIN,
        **setting.options,
    )  # fmt: skip


def _with_exponent(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the exponent of the scale, none for float32."""
    powers = frame["recipe"].str.extract(r"^2\^(-?\d+)$", expand=False)
    frame = frame.reset_index(drop=True)
    frame.insert(2, "log2_scale", powers.reset_index(drop=True).astype(float))
    return frame


# Gradients of float32 trainings, and what a scale would make of them.


def gradient_rows(name: str, seed: int, epochs: int) -> list[dict[str, Any]]:
    """Return what each scale would do to the gradients of a training in float32."""
    setting = SETTINGS[name]
    task = TASKS[setting.task]
    data = task.data(seed=seed)
    total = epochs * -(-len(data.x) // BATCH)
    options = task.options | setting.options | {"epochs": epochs}
    found = train(data, recipe="fp32", seed=seed, capture=range(0, total, 4), **options)
    rows = []
    for layer in (one.name for one in found.model.layers):
        shares = [
            _shares(step[f"{layer}.output_gradient"], setting.format)
            for step in found.captures.values()
        ]
        largest = max(
            float(np.abs(step[f"{layer}.output_gradient"]).max())
            for step in found.captures.values()
        )
        for k, row in zip(EXPONENTS, np.mean(shares, axis=0).tolist(), strict=True):
            named = dict(zip(("flushed", "magnitude", "saturated"), row, strict=True))
            key = {"data": name, "format": setting.format, "layer": layer, "log2_scale": k}
            rows.append(key | {"seed": seed} | named | {"amax": largest})
    return rows


EXPONENTS = range(-10, 28)


def _shares(gradient: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float64]:
    """Return for each scale: shares of nonzero elements flushed, of their sum, and saturated."""
    fmt = get_format(name)
    sizes = np.sort(np.abs(gradient[gradient != 0]).astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(sizes)])
    scales = np.exp2(-np.array(EXPONENTS, float))
    # Half the smallest value is a tie, and goes to the even code, which is 0.
    assert fmt.smallest_subnormal is not None
    low = np.searchsorted(sizes, fmt.smallest_subnormal / 2 * scales, side="right")
    high = np.searchsorted(sizes, overflow_threshold(fmt) * scales, side="right")
    count = len(sizes)
    return np.column_stack([low / count, sums[low] / sums[-1], 1 - high / count])


def _means(parts: Iterable[list[dict[str, Any]]]) -> pd.DataFrame:
    """Return means over seeds, with standard errors."""
    frame = pd.DataFrame([row for part in parts for row in part])
    rows = []
    for key, group in frame.groupby(["data", "format", "layer", "log2_scale"], sort=False):
        row = dict(zip(("data", "format", "layer", "log2_scale"), key, strict=True))
        row |= {"n": len(group), "amax": group["amax"].max()}
        for what in ("flushed", "magnitude", "saturated"):
            found = estimate(group[what].tolist())
            row |= {what: found.mean, f"{what}_error": found.error}
        rows.append(row)
    return pd.DataFrame(rows)


def row_sums(seed: int) -> list[dict[str, Any]]:
    """Return what is left of the rows of the first gradient, which sum to 0, at each scale."""
    setting = SETTINGS["digits"]
    task = TASKS[setting.task]
    options = task.options | setting.options | {"epochs": 1}
    found = train(task.data(seed=seed), recipe="fp32", seed=seed, capture=[0], **options)
    gradient = found.captures[0][f"{found.model.layers[-1].name}.output_gradient"]
    exact = gradient.astype(np.float64)
    sizes = np.abs(exact).sum(axis=1)
    rows = []
    for k in EXPONENTS:
        scaled = quantize(gradient * np.float32(2.0**k), setting.format).astype(np.float64) / 2.0**k
        net = scaled.sum(axis=1) / sizes
        rows.append({"log2_scale": k, "seed": seed, "net": float(net.mean())})
    return rows


def _row_means(parts: Iterable[list[dict[str, Any]]]) -> pd.DataFrame:
    frame = pd.DataFrame([row for part in parts for row in part])
    rows = []
    for k, group in frame.groupby("log2_scale", sort=False):
        found = estimate(group["net"].tolist())
        rows.append({"log2_scale": k, "n": found.n, "net": found.mean, "net_error": found.error})
    return pd.DataFrame(rows)


# Scales that adapt.


def _dynamic(
    static: Comparison, executor: Executor | None, seeds: Iterable[int], epochs: int
) -> tuple[Comparison, pd.DataFrame]:
    """Return trainings with scales that adapt, against float32, and the scales by step."""
    tasks = [(name, seed, epochs) for seed in seeds for name in SCALERS]
    done = in_order(executor, adapted, tasks)
    first = [
        one for one in static.outcomes if one.recipe == "fp32" and one.seed in {t[1] for t in tasks}
    ]
    rows = []
    for name in SCALERS:
        runs = [scales for outcome, scales in done if outcome.recipe == name]
        for step in range(max(map(len, runs))):
            # A training that diverged has no more steps.
            found = [run[step] for run in runs if step < len(run)]
            powers = [math.log2(scale) for scale, _ in found]
            row = {"scaler": name, "step": step, "n": len(found), "log2_scale": np.mean(powers)}
            row |= {"lowest": min(powers), "highest": max(powers)}
            rows.append(row | {"skipped": np.mean([skipped for _, skipped in found])})
    outcomes = (*first, *(outcome for outcome, _ in done))
    return Comparison(outcomes, "fp32", MARGIN), pd.DataFrame(rows)


def adapted(name: str, seed: int, epochs: int) -> tuple[Outcome, list[tuple[float, bool]]]:
    """Train with a scale that adapts; return what came out, and each step's scale and fate."""
    start, counts = SCALERS[name]
    scaler = LossScaler(2.0**start, interval=INTERVAL, saturation_is_overflow=counts)
    setting, steps = SETTINGS["digits"], []
    task = TASKS[setting.task]
    options = task.options | setting.options | {"epochs": epochs}
    try:
        found = train(
            task.data(seed=seed), recipe=_one_format(setting.format), seed=seed,
            loss_scaler=scaler, progress=lambda one: steps.append((one.scale, one.skipped)),
            **options,
        )  # fmt: skip
    except TrainingDiverged as error:
        return Outcome(recipe=name, seed=seed, fold=0, diverged=str(error)), steps
    return _outcome(name, seed, found), steps


def _outcome(name: str, seed: int, found: Run) -> Outcome:
    return Outcome(
        recipe=name,
        seed=seed,
        fold=0,
        held_out=found.held_out.count,
        accuracy=found.held_out.accuracy,
        loss=found.held_out.loss,
        train_accuracy=found.train.accuracy,
        train_loss=found.train.loss,
        losses=tuple(record.loss for record in found.history.steps),
        skipped=found.skipped,
    )


# Recipes with scales of their own.


def control_row(recipe: str, scale: float, seed: int, epochs: int) -> dict[str, Any]:
    """Return how many weights differ at the end from those without a loss scale."""
    setting = SETTINGS["digits"]
    task = TASKS[setting.task]
    options = task.options | setting.options | {"epochs": epochs}
    scalers = (None, LossScaler(scale, dynamic=False))
    plain, scaled = (
        train(task.data(seed=seed), recipe=recipe, seed=seed, loss_scaler=one, **options)
        for one in scalers
    )
    differ = sum(
        int(np.count_nonzero(one.data != plain.model.parameters()[name].data))
        for name, one in scaled.model.parameters().items()
    )
    return {
        "recipe": recipe, "scale": scale, "seed": seed, "parameters": plain.parameters,
        "differ": differ, "loss_difference": scaled.held_out.loss - plain.held_out.loss,
    }  # fmt: skip


def _controls(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    found = []
    for (recipe, scale), group in frame.groupby(["recipe", "scale"], sort=False):
        loss = estimate(group["loss_difference"].tolist())
        found.append(
            {
                "recipe": recipe, "scale": scale, "n": len(group),
                "identical": int((group["differ"] == 0).sum()),
                "parameters": int(group["parameters"].max()),
                "most_differ": int(group["differ"].max()),
                "loss_difference": loss.mean, "loss_difference_error": loss.error,
            }
        )  # fmt: skip
    return pd.DataFrame(found)
