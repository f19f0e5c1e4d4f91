"""
Whether the error of weights foretells what quantising a layer does to a net's loss.

::

    trained net --one layer quantised--> held-out loss, less that of the net as it was
                     |
              error of weights, error of the layer's output --rank correlation--> interval

Plants leave the function as it was: a unit's row times 2**17, and its column in the next layer
over 2**17 (ReLU lets a factor through), or an element at a pixel that is never lit.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from common import TASKS, Task

from fp8num.analysis import recommend
from fp8num.analysis.schemes import least_cost
from fp8num.nn import evaluate, no_grad, train
from fp8num.scaling import get_rule, scale_quantize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from fp8num.nn import MLP, Dataset

    Floats = npt.NDArray[np.float32]

__all__ = ["GROUPS", "MEASURES", "NETS", "Estimate", "by_verdict", "correlations", "order", "run"]

NETS = {
    **TASKS,
    "digits, three layers": Task(
        "deep", "digits, three layers", TASKS["digits"].data, (64, 96, 64, 10), 12, 1e-2
    ),
}
SEEDS = 20
#: What a layer is quantised by: format and rule.
SCHEMES = {
    "E4M3FN, one scale": ("E4M3FN", "tensor"),
    "E4M3FN, rows": ("E4M3FN", "row"),
    "E5M2, one scale": ("E5M2", "tensor"),
    "NVFP4": ("E2M1FN", "te-nvfp4"),
    "MXFP4": ("E2M1FN", "mxfp4-e2m1fn"),
    "E2M1FN, one scale": ("E2M1FN", "tensor"),
}
EIGHT_BITS = ("E4M3FN, one scale", "E4M3FN, rows", "E5M2, one scale")
PLANTED = EIGHT_BITS[:2]
FACTOR = np.float32(2**17)
MEASURES = {
    "weight_error": "error of weights",
    "output_error": "error of outputs",
    "noise_db": "SQNR, negative",
}
#: Which layers and schemes are put in one order.
GROUPS: dict[str, Callable[[pd.DataFrame], pd.Series[bool]]] = {
    "everything": lambda t: t["plant"].notna(),
    "without plants": lambda t: t["plant"] == "nothing",
    "8 bits without plants": lambda t: (
        (t["plant"] == "nothing") & t["scheme"].isin(list(EIGHT_BITS))
    ),
    "4 bits without plants": lambda t: (
        (t["plant"] == "nothing") & ~t["scheme"].isin(list(EIGHT_BITS))
    ),
}
_DRAWS = 2000


class Estimate(NamedTuple):
    """A mean over seeds with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


# Trainings and measurements.


def run(seeds: int = SEEDS) -> pd.DataFrame:
    """Return a row for every net, seed, layer and scheme."""
    found = []
    for name, task in NETS.items():
        for seed in range(seeds):
            data = task.data(seed=seed)
            options = {key: value for key, value in task.options.items() if key != "seed"}
            model = train(data, recipe="fp32", seed=seed, **options).model
            for row in _rows(model, data, seed):
                found.append({"net": name, "seed": seed} | row)  # noqa: PERF401 - three loops
    return pd.DataFrame(found)


def _rows(model: MLP, data: Dataset, seed: int) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng(seed)
    for i in range(len(model.layers)):
        yield from _layer_rows(model, data, i, "nothing", SCHEMES)
        for plant in ("row", "column", "element"):
            kept = [one.data.copy() for one in model.parameters().values()]
            if _planted(model, data, i, plant, rng):
                yield from _layer_rows(model, data, i, plant, PLANTED)
            for one, values in zip(model.parameters().values(), kept, strict=True):
                one.data[...] = values


def _planted(model: MLP, data: Dataset, i: int, plant: str, rng: np.random.Generator) -> bool:
    """Plant something in a layer that the net's function does not feel, if there is a place."""
    weight = model.layers[i].weight.data
    if plant == "element":
        silent = np.flatnonzero(~(data.x.any(axis=0) | data.test_x.any(axis=0)))
        if i or not len(silent):
            return False
        weight[rng.integers(len(weight)), silent[0]] = np.abs(weight).max() * FACTOR
        return True
    first = i if plant == "row" else i - 1
    if not 0 <= first < len(model.layers) - 1:
        return False
    unit = rng.integers(model.sizes[first + 1])
    factor = FACTOR if plant == "row" else 1 / FACTOR
    model.layers[first].weight.data[unit] *= factor
    model.layers[first].bias.data[unit] *= factor
    model.layers[first + 1].weight.data[:, unit] /= factor
    return True


def _layer_rows(
    model: MLP, data: Dataset, i: int, plant: str, schemes: object
) -> Iterator[dict[str, object]]:
    layer = model.layers[i]
    weight = layer.weight.data.copy()
    squares = np.square(_inputs(model, data.x, i), dtype=np.float64).mean(axis=0)
    before = evaluate(model, data.test_x, data.test_y)
    for scheme in schemes:
        fmt, rule = SCHEMES[scheme]
        trial = recommend(weight, fmt, rules=[rule], activations=squares, keep=False).trials[0]
        made = scale_quantize(weight, get_rule(rule), fmt=fmt).dequantize(np.float32)
        layer.weight.data[...] = made
        after = evaluate(model, data.test_x, data.test_y)
        layer.weight.data[...] = weight
        yield {
            "layer": i,
            "scheme": scheme,
            "plant": plant,
            "weight_error": trial.median * least_cost(trial.scheme, fmt),
            "output_error": trial.output_error,
            "noise_db": -trial.sqnr_db,
            "passes": trial.passes,
            "loss": before.loss,
            "loss_change": after.loss - before.loss,
            "accuracy_change": after.accuracy - before.accuracy,
        }


def _inputs(model: MLP, x: Floats, i: int) -> Floats:
    """Return what a layer is given."""
    with no_grad():
        for layer in model.layers[:i]:
            x = np.maximum(layer(x).data, 0)
    return x


# What follows from the rows.


def _estimate(values: list[float]) -> Estimate:
    """Return a mean over seeds; the interval is the percentiles of a bootstrap over them."""
    array = np.array(values)
    draws = np.random.default_rng(0).integers(len(array), size=(_DRAWS, len(array)))
    low, high = np.percentile(array[draws].mean(axis=1), [2.5, 97.5])
    return Estimate(float(array.mean()), float(low), float(high))


def correlations(table: pd.DataFrame, group: str, measure: str) -> Estimate:
    """Return Spearman's rank correlation with the loss change: of each seed, then their mean."""
    rows = table[GROUPS[group](table)]
    ranks = rows.groupby("seed")[[measure, "loss_change"]].rank().to_numpy()
    seeds = rows["seed"].to_numpy()
    return _estimate([np.corrcoef(ranks[seeds == one].T)[0, 1] for one in np.unique(seeds)])


def order(table: pd.DataFrame, measure: str) -> Estimate:
    """Return the share of pairs of layers, under one scheme, that a measure orders rightly."""
    right = []
    for _, net in table[table["plant"] == "nothing"].groupby("net"):
        said, loss = (
            net.pivot_table(index=["seed", "scheme"], columns="layer", values=name)
            for name in (measure, "loss_change")
        )
        right += [
            (said[a] > said[b]) == (loss[a] > loss[b]) for a, b in combinations(said.columns, 2)
        ]
    return _estimate(list(pd.concat(right).groupby(level="seed").mean()))


def by_verdict(table: pd.DataFrame) -> pd.DataFrame:
    """Return loss changes of 8 bits, by plant, scheme and whether the scheme passes."""
    rows = table[table["scheme"].isin(list(EIGHT_BITS))]
    grouped = rows.groupby(["plant", "scheme", "passes"], sort=True)["loss_change"]
    return grouped.agg(
        count="size", median="median", largest="max", harmed=lambda x: (x > 0.01).sum()
    ).reset_index()
