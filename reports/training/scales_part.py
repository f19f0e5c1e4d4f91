"""
Scales that are powers of two against float32 scales, in trainings and cast by cast.

::

    trainings           --> scales.csv from fp32   scales_pairs.csv pairs   scales_runs.csv
    tensors of training --> both casts of each     scales_casts.csv         errors, by tensor
                        --> errors of later steps  scales_persistence.csv   how long they last
    nets of float32     --> cast in both ways      scales_evaluated.csv     without training
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from common import TASKS, Page, against, compare_on, in_order, results_frame, runs_frame

from fp8num import quantize, scale_quantize
from fp8num.nn import MLP, RECIPES, ROLES, Operand, Recipe, Run, evaluate, train
from fp8num.nn.paired import estimate
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Executor

__all__ = ["ARMS", "NAME", "PAIRS", "SEEDS", "TABLES", "derive", "run"]

NAME = "scales"
TABLES = (
    "scales",
    "scales_pairs",
    "scales_runs",
    "scales_casts",
    "scales_persistence",
    "scales_evaluated",
)
SEEDS = 20
#: Of the casts: nothing in them depends on how a training ends.
CAST_SEEDS = 10
#: The rules of one scale for a tensor: amax / 448 in float32, or the power of two above it.
RULES = {"float32": "te-current", "power of two": "te-current-pow2"}


def _with_rules(recipe: str, name: str, rules: Mapping[str, str]) -> Recipe:
    """Return a recipe with other rules in the places of some."""
    found = RECIPES[recipe]
    casts: dict[str, Any] = {}
    for role in ROLES:
        one = found.operand(role)
        assert isinstance(one.rule, Rule)
        casts[role] = replace(one, rule=rules.get(one.rule.name, one.rule))
    return replace(found, name=name, **casts)


_BLOCKS = ("te-block-1x128", "te-block-128x128")
_DEEPGEMM = ("deepgemm-1x128", "deepgemm-128x128")
ARMS = {
    "te-current": RECIPES["te-current"],
    "te-current-pow2": _with_rules(
        "te-current", "te-current-pow2", {"te-current": "te-current-pow2"}
    ),
    "te-block-fp32": _with_rules(
        "te-block", "te-block-fp32", {one: f"{one}-fp32" for one in _BLOCKS}
    ),
    "te-block": RECIPES["te-block"],
    "deepseek": RECIPES["deepseek"],
    "deepseek-ue8m0": _with_rules(
        "deepseek", "deepseek-ue8m0", {one: f"{one}-ue8m0" for one in _DEEPGEMM}
    ),
    "torchao-tensorwise": RECIPES["torchao-tensorwise"],
}
#: Each recipe with powers of two and the one with float32 scales; the last pair has float32
#: scales twice, computed in two ways that differ in their last bits.
PAIRS = {
    "te-current-pow2": "te-current",
    "te-block": "te-block-fp32",
    "deepseek-ue8m0": "deepseek",
    "torchao-tensorwise": "te-current",
}


def run(executor: Executor | None, *, quick: bool) -> dict[str, pd.DataFrame]:
    """Train in pairs of recipes, and cast the tensors of trainings in both ways."""
    found = {
        task: compare_on(task, ARMS, seeds=SEEDS, executor=executor, quick=quick) for task in TASKS
    }
    pairs = pd.concat(
        [results_frame(against(found, float32, power)) for power, float32 in PAIRS.items()],
        ignore_index=True,
    )
    tasks = [
        (task, seed, 2 if quick else TASKS[task].epochs)
        for task in TASKS
        for seed in range(2 if quick else CAST_SEEDS)
    ]
    parts = in_order(executor, casts_of, tasks)
    nets = [
        (task, seed, epochs)
        for task, _, epochs in tasks[:: len(tasks) // 2]
        for seed in range(2 if quick else SEEDS)
    ]
    return {
        "scales": results_frame(found),
        "scales_pairs": pairs,
        "scales_runs": runs_frame(found),
        "scales_casts": cast_table(row for part in parts for row in part["casts"]),
        "scales_persistence": _persistence(row for part in parts for row in part["persistence"]),
        "scales_evaluated": _evaluated(in_order(executor, evaluated_row, nets)),
    }


def derive(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    from scales_page import page

    return page(tables)


# Casts of the tensors of a training, each in both ways.

Floats = npt.NDArray[np.float64]
#: Tensors as a step keeps them, and the formats of hybrid recipes.
TENSORS = {
    "input": ("inputs", "E4M3FN"),
    "weight": ("weights", "E4M3FN"),
    "output_gradient": ("gradients", "E5M2"),
}
MEASURES = ("error", "magnitude", "flushed", "exact", "largest")
LAGS = (1, 2, 5, 10, 20, 50)


def casts_of(task: str, seed: int, epochs: int) -> dict[str, list[dict[str, Any]]]:
    """Train with float32 scales, and cast what the steps multiply with either kind of scale."""
    options = TASKS[task].options | {"epochs": epochs}
    data = TASKS[task].data(seed=seed)
    total = epochs * -(-len(data.x) // options["batch"])
    found = train(data, recipe="te-current", seed=seed, capture=range(total), **options)
    layers = [layer.name for layer in found.model.layers]
    key = {"data": task, "seed": seed}
    casts = [
        key | {"layer": layer, "tensor": name, "format": fmt, "scale": scale} | measured
        for layer in layers
        for kind, (name, fmt) in TENSORS.items()
        for scale, rule in RULES.items()
        for measured in [
            _means_of(_measured(step[f"{layer}.{kind}"], rule, fmt) for step in _some(found))
        ]
    ]
    weights = [row for layer in layers for row in _weights(found, layer, total)]
    return {
        "casts": casts,
        "persistence": [key | row for row in (*weights, *_inputs(found, data.x, epochs))],
    }


def _some(found: Run) -> Iterable[Mapping[str, Any]]:
    """Return every tenth step."""
    return [step for number, step in found.captures.items() if number % 10 == 0]


def _error(x: npt.NDArray[np.float32], rule: str, fmt: str = "E4M3FN") -> tuple[Floats, Floats]:
    """Return what a cast made of a tensor, and the error."""
    q = scale_quantize(x, rule, fmt=fmt).dequantize().astype(np.float64)
    return q, q - x


def _measured(x: npt.NDArray[np.float32], rule: str, fmt: str) -> dict[str, float]:
    """Return the measures of a cast."""
    q, error = _error(x, rule, fmt)
    sizes, there = np.abs(x.astype(np.float64)), x != 0
    if not there.any():
        return dict.fromkeys(MEASURES, np.nan)
    top = np.unravel_index(sizes.argmax(), x.shape)
    return {
        "error": float(np.sqrt(np.square(error).sum() / np.square(sizes).sum())),
        "magnitude": float(np.abs(q).sum() / sizes.sum() - 1),
        "flushed": float(np.mean(q[there] == 0)),
        "exact": float(np.mean(error[there] == 0)),
        "largest": float(abs(error[top]) / sizes[top]),
    }


def _means_of(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the means of measures over steps."""
    return {str(name): float(one) for name, one in pd.DataFrame(rows).mean().items()}


def cast_table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return means over seeds, of both kinds of scales and of their paired differences."""
    frame = pd.DataFrame(rows)
    keys = ["data", "layer", "tensor", "format"]
    found = []
    for key, group in frame.groupby(keys, sort=False):
        by_seed = {scale: one.set_index("seed") for scale, one in group.groupby("scale")}
        first, second = (by_seed[scale] for scale in RULES)
        for measure in MEASURES:
            row = dict(zip(keys, key, strict=True)) | {"measure": measure, "n": len(first)}
            columns = {**{scale: by_seed[scale][measure] for scale in RULES},
                       "difference": second[measure] - first[measure]}  # fmt: skip
            for name, values in columns.items():
                one = estimate(values.tolist())
                row |= {name: one.mean, f"{name}_error": one.error}
            found.append(row)
    return pd.DataFrame(found)


# How long an error stays the same.


def _alike(a: Floats, b: Floats) -> float:
    """Return the correlation of errors, about 0."""
    size = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / size if size else np.nan


def _weights(found: Run, layer: str, total: int) -> list[dict[str, Any]]:
    """Return how alike the errors of weights are some steps apart, early and late."""
    weights = [found.captures[step][f"{layer}.weight"] for step in range(total)]
    rows = []
    for scale, rule in RULES.items():
        errors = [_error(one, rule)[1] for one in weights]
        scales = [scale_quantize(one, rule, fmt="E4M3FN").scales for one in weights]
        for phase, first, last in (("first", 0, total // 4), ("last", total - total // 4, total)):
            key = {"what": "weights", "layer": layer, "scale": scale, "phase": phase}
            for lag in LAGS:
                pairs = [(step, step + lag) for step in range(first, last - lag, 3)]
                if not pairs:
                    continue
                held = [(a, _held(weights[a], scales[b])) for a, b in pairs[::2]]
                alike = np.mean([_alike(errors[a], errors[b]) for a, b in pairs])
                still = np.mean([_alike(errors[a], one) for a, one in held])
                rows.append(key | {"lag": lag, "alike": alike, "held": still})
            left = _left(errors[first:last])
            rows.append(key | {"lag": 0, "alike": left, "held": np.nan})
    return rows


def _held(weight: npt.NDArray[np.float32], scale: npt.NDArray[np.float32]) -> Floats:
    """Return the errors of weights under another step's scale."""
    scaled = (weight / scale).astype(np.float32)
    q = quantize(scaled, "E4M3FN").astype(np.float64) * float(scale)
    return np.asarray(q - weight, np.float64)


def _left(errors: list[Floats]) -> float:
    """Return the share of the errors' square that their mean over time keeps."""
    square = float(np.mean([np.square(one).sum() for one in errors]))
    return float(np.square(np.mean(errors, axis=0)).sum()) / square if square else np.nan


def _inputs(found: Run, x: npt.NDArray[np.float32], epochs: int) -> list[dict[str, Any]]:
    """Return how alike the errors of an input are from epoch to epoch."""
    places = {row.tobytes(): i for i, row in enumerate(x)}
    steps = len(found.captures) // epochs
    rows = []
    for scale, rule in RULES.items():
        by_epoch = [np.zeros(x.shape) for _ in range(epochs)]
        for number, step in found.captures.items():
            batch = step["layer0.input"]
            # Of two inputs that are the same, one place is filled in each epoch.
            at = [places[row.tobytes()] for row in batch]
            by_epoch[number // steps][at] = _error(batch, rule)[1]
        pairs = [(a, b) for a in range(epochs) for b in range(a + 1, epochs)]
        alike = np.mean([_alike(by_epoch[a], by_epoch[b]) for a, b in pairs])
        key = {"what": "inputs", "layer": "layer0", "scale": scale, "phase": "epochs"}
        rows.append(key | {"lag": 1, "alike": alike, "held": np.nan})
        rows.append(key | {"lag": 0, "alike": _left(by_epoch), "held": np.nan})
    return rows


def _persistence(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return means over layers, then over seeds; lag 0 is what a mean over time keeps."""
    keys = ["data", "what", "phase", "scale", "lag"]
    by_seed = pd.DataFrame(rows).groupby([*keys, "seed"], sort=False)[["alike", "held"]].mean()
    found = []
    for key, group in by_seed.groupby(level=keys, sort=False):
        row = dict(zip(keys, key, strict=True)) | {"n": len(group)}
        for name in ("alike", "held"):
            one = estimate(group[name].tolist())
            row |= {name: one.mean, f"{name}_error": one.error}
        found.append(row)
    return pd.DataFrame(found)


# Nets trained in float32, evaluated with casts: no training, in which differences grow.

_PLAIN = Operand()


def _forward(name: str, rule: str, *, weights: bool) -> Recipe:
    """Return a recipe for evaluation: casts of inputs, and of weights or not."""
    cast = Operand(rule, "E4M3FN")
    return Recipe(name=name, x_forward=cast, w_forward=cast if weights else _PLAIN)


def evaluated_row(task: str, seed: int, epochs: int) -> dict[str, Any]:
    """Return held-out losses of a net trained in float32, cast in either way."""
    data = TASKS[task].data(seed=seed)
    options = TASKS[task].options | {"epochs": epochs}
    found = train(data, recipe="fp32", seed=seed, **options)
    row: dict[str, Any] = {"data": task, "seed": seed, "float32": found.held_out.loss}
    for what in ("all casts", "first inputs"):
        for scale, rule in RULES.items():
            recipe = _forward(f"{what}, {scale}", rule, weights=what == "all casts")
            others = recipe if what == "all casts" else "fp32"
            model = MLP(found.model.sizes, seed=0, recipe=others, first_recipe=recipe)
            for name, one in model.parameters().items():
                one.data[...] = found.model.parameters()[name].data
            loss = evaluate(model, data.test_x, data.test_y).loss
            row[f"{what}: {scale}"] = loss - found.held_out.loss
        row[f"{what}: difference"] = row[f"{what}: power of two"] - row[f"{what}: float32"]
    return row


def _evaluated(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    found = []
    for task, group in pd.DataFrame(rows).groupby("data", sort=False):
        for name in group.columns[2:]:
            one = estimate(group[name].tolist())
            found.append(
                {"data": task, "casts": name, "n": one.n, "loss": one.mean,
                 "loss_error": one.error, "loss_low": one.low, "loss_high": one.high}
            )  # fmt: skip
    return pd.DataFrame(found)
