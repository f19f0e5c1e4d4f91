"""
Accumulators: correctly rounded sums against float32 and Hopper's 14 bits, promoted or not.

::

    accumulators.csv  differences from correctly rounded     accumulators_runs.csv
    accumulators_products.csv  errors of the products        accumulators.svg  .._products.svg
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from common import (
    TASKS,
    Answer,
    Page,
    compare_on,
    image,
    in_order,
    results_frame,
    runs_frame,
    table,
)
from drawings import differences
from figures import Interval, intervals
from words import (
    ACCURACY,
    LOSS,
    came_out,
    find,
    on_tasks,
    results_tables,
    statements,
    with_interval,
)

from fp8num import ACCUMULATORS, scale_quantize
from fp8num.accumulate import TensorCore
from fp8num.analysis.products import compare_accumulators
from fp8num.nn import RECIPES, train
from fp8num.nn.paired import estimate
from fp8num.nn.products import multiply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    import numpy.typing as npt

    from fp8num import ScaledArray

__all__ = ["ARMS", "NAME", "SEEDS", "TABLES", "TASKS_WIDE", "UNITS", "derive", "products_of", "run"]

NAME = "accumulators"
TABLES = ("accumulators", "accumulators_runs", "accumulators_products")
SEEDS = 10
TITLE = "14-bit accumulators against exact sums"
BASE = "correctly rounded"
#: Wider nets and larger batches than the other parts': long sums are where accumulators differ.
TASKS_WIDE = {
    "digits": replace(TASKS["digits"], sizes=(64, 512, 256, 10), batch=256, epochs=16, lr=5e-3),
    "teacher": replace(TASKS["teacher"], sizes=(32, 512, 256, 10), batch=256, epochs=8, lr=3e-3),
}


def _short(bits: int) -> TensorCore:
    """Return Hopper's unit with fewer bits: to show that the comparison can see a difference."""
    hopper = ACCUMULATORS["hopper"]
    assert isinstance(hopper, TensorCore)
    return replace(
        hopper,
        name=f"hopper cut to {bits} bits",
        source="a control; no such unit is known",
        verified="by definition",
        fraction_bits=bits - 1,
        output_bits=bits - 1,
    )


#: How each is shown, and the accumulator.
UNITS = {
    "float32": ACCUMULATORS["float32"],
    "hopper-promoted": ACCUMULATORS["hopper-promoted"],
    "hopper": ACCUMULATORS["hopper"],
    "hopper cut to 6 bits": _short(6),
}
ARMS = {
    name: replace(RECIPES["te-current"], name=name, accumulators=unit)
    for name, unit in UNITS.items()
}
TEXT = """\
**Asked.** Hopper's tensor cores add products of FP8 numbers in an accumulator of 14 bits; libraries
may promote it, adding it to a float32 total every 128 products. Does either matter for training,
against exact sums rounded once to float32?

**How.** `te-current` in all variants, so that casts are the same; the accumulator differs, in all
three products of every layer. `hopper` is the unit bit for bit as recorded on an H200,
`hopper-promoted` the same with a float32 total every 128 products, `float32` adds one product
after the other; `fp32` has no casts at all. `hopper cut to 6 bits` is no real unit: it is there to
show that this comparison can see an accumulator that is too coarse. Sums must be long for an
accumulator to matter, so nets are wider here: {tasks}; n = {n} seeds.

**Came out.** {came_out} {hopper}

{image}

{results}

**Errors of the products themselves.** From trainings in `te-current` with correctly rounded sums,
the operands of the last step: norm of the products' errors over the norm of the exact products of
the same codes, by accumulator; and in the line *casts* what quantising the operands does to the
product, against the float32 operands. K is the length of the sums. Means over n seeds:

{products}

{compared}

{products_image}

**Not shown.** Sums of many thousands of products, such as those over the tokens of a large batch:
the longest here have {longest}. That 14 bits do not matter there does not follow from this.
"""


def run(executor: Executor | None, *, quick: bool) -> dict[str, pd.DataFrame]:
    """Train with each accumulator, and measure their products."""
    base = replace(RECIPES["te-current"], name=BASE)
    found = {
        name: compare_on(
            task,
            {"fp32": "fp32", **ARMS},
            baseline=base,
            seeds=SEEDS,
            executor=executor,
            quick=quick,
        )
        for name, task in TASKS_WIDE.items()
    }
    tasks = [(name, seed) for name in TASKS_WIDE for seed in range(2 if quick else SEEDS)]
    measured = in_order(executor, products_of, tasks)
    return {
        "accumulators": results_frame(found),
        "accumulators_runs": runs_frame(found),
        "accumulators_products": _products_table([row for rows in measured for row in rows]),
    }


def products_of(task: str, seed: int) -> list[dict[str, Any]]:
    """Train, and return the errors of the last step's products under each accumulator."""
    options, data = TASKS_WIDE[task].options, TASKS_WIDE[task].data(seed=seed)
    last = options["epochs"] * -(-len(data.x) // options["batch"]) - 1
    found = train(data, recipe="te-current", seed=seed, capture=(last,), **options)
    step, rows = found.captures[last], []
    for layer in range(len(options["sizes"]) - 1):
        x, w, g = (step[f"layer{layer}.{what}"] for what in ("input", "weight", "output_gradient"))
        products = {"forward": (x, w.T, "E4M3FN"), "wgrad": (g.T, x, "E5M2")}
        if layer:  # nobody asks for the gradient of the data
            products["dgrad"] = (g, w, "E5M2")
        for name, (a, b, fmt) in products.items():
            for unit, error in _errors(a, b, fmt).items():
                rows.append(
                    {"data": task, "seed": seed, "layer": f"layer{layer}", "product": name,
                     "K": a.shape[1], "accumulator": unit, "error": error}
                )  # fmt: skip
    return rows


def _errors(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], fmt: str) -> dict[str, float]:
    """Return the relative errors of a product: of casts, and of each accumulator."""
    left = _cast(a, fmt, 1)
    right = _cast(b, "E4M3FN", 0)
    with_casts = multiply(left.dequantize(), right.dequantize())
    plain = multiply(a, b).astype(np.float64)
    found = {"casts": float(np.linalg.norm(with_casts - plain) / np.linalg.norm(plain))}
    records = compare_accumulators(left, right, UNITS.values())
    for name, record in zip(UNITS, records, strict=True):
        found[name] = record.relative_frobenius
    return found


def _cast(x: npt.NDArray[np.float32], fmt: str, axis: int) -> ScaledArray:
    return scale_quantize(np.ascontiguousarray(x), "te-current", fmt=fmt, axis=axis)


def _products_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return means over seeds."""
    keys, found = ["data", "layer", "product", "K", "accumulator"], []
    for key, some in pd.DataFrame(rows).groupby(keys, sort=False):
        one = estimate(list(some["error"]))
        found.append(
            dict(zip(keys, key, strict=True))
            | {"n": one.n, "error": one.mean, "error_error": one.error,
               "error_low": one.low, "error_high": one.high}
        )  # fmt: skip
    return pd.DataFrame(found)


def derive(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    frame, products = tables["accumulators"], tables["accumulators_products"]
    of = statements(frame)
    text = TEXT.format(
        n=int(frame["n"].max()),
        tasks="; ".join(
            f"{task.label} {'-'.join(map(str, task.sizes))}, batches of {task.batch}, "
            f"{task.epochs} epochs, learning rate {task.lr:g}"
            for task in TASKS_WIDE.values()
        ),
        came_out=" ".join(came_out(frame, task) for task in TASKS_WIDE),
        hopper=" ".join(_within(frame, task) for task in TASKS_WIDE),
        image=image(NAME, "differences of accumulators from correctly rounded sums"),
        results=results_tables(frame),
        products=_products_text(products),
        compared=_compared(products),
        products_image=image("accumulators_products", "errors of the products by accumulator"),
        longest=int(products["K"].max()),
    )
    answers = [
        Answer(f"Accumulator `{name}` instead of exact sums?", on_tasks(frame, name, of), TITLE)
        for name in UNITS
    ]
    figures = {NAME: figure(frame), "accumulators_products": products_figure(products)}
    return Page(TITLE, text, answers, figures)


def _within(frame: pd.DataFrame, task: str) -> str:
    """Say how far Hopper's unit may be from exact sums."""
    row = find(frame, task, "hopper")
    return (
        f"On the {TASKS[task].label} task 14 bits without promotion differ from exact sums by "
        f"{with_interval(row, ACCURACY, 100)} points and {with_interval(row, LOSS)} nat (95 % "
        "intervals)."
    )


def _products_text(products: pd.DataFrame) -> str:
    rows = []
    for (data, layer, product, k), some in products.groupby(
        ["data", "layer", "product", "K"], sort=False
    ):
        cells: list[object] = [TASKS[str(data)].label, layer, product, k, some["n"].iloc[0]]
        for name in ("casts", *UNITS):
            (row,) = some[some["accumulator"] == name].to_dict("records")
            cells.append(f"{row['error']:.2g} ± {row['error_error']:.1g}")
        rows.append(cells)
    return table(("task", "layer", "product", "K", "n", "casts", *UNITS), rows)


def _compared(products: pd.DataFrame) -> str:
    """Say how large the errors of accumulators are beside those of the casts."""
    wide = products.pivot_table(
        index=["data", "layer", "product"], columns="accumulator", values="error", sort=False
    )
    parts = []
    for name in UNITS:
        ratio = wide[name] / wide["casts"]
        parts.append(f"{name} {_power(ratio.min())} to {_power(ratio.max())}")
    return (
        "As parts of the error that the casts make in the same product, the errors of the "
        f"accumulators are: {'; '.join(parts)}."
    )


def _power(value: float) -> str:
    return f"{value:.1g}" if value < 0.01 else f"{value:.2g}"


def figure(frame: pd.DataFrame) -> str:
    """Draw the differences from correctly rounded sums."""
    return differences(
        {"fp32 (no casts)": (frame, "fp32"), **{name: (frame, name) for name in ARMS}},
        title="Accumulators against correctly rounded sums",
        of="minus exact:",
    )


def products_figure(products: pd.DataFrame) -> str:
    """Draw the errors of products, of the layer with the longest sums, in powers of ten."""
    rows: dict[str, dict[str, tuple[Interval]]] = {}
    for row in products[products["layer"] == "layer1"].to_dict("records"):
        label = f"{row['product']}, K = {row['K']}, {TASKS[row['data']].label}"
        ends = (row["error"], row["error_low"], row["error_high"])
        rows.setdefault(label, {})[row["accumulator"]] = (Interval(*_log10(ends)),)
    every = [one for row in rows.values() for (one,) in row.values()]
    low = np.floor(min(one.mean for one in every)) - 0.3
    return intervals(
        rows,
        [("norm of errors over norm of products, scale of powers of ten", (low, 0.3))],
        title="Errors of the products of the second layer, by accumulator",
        description="; ".join(
            f"{label}, {name}: 10^{one.mean:.2f}"
            for label, row in rows.items()
            for name, (one,) in row.items()
        ),
        tick=power_of_ten,
    )


def power_of_ten(exponent: float) -> str:
    """Write a power of ten."""
    return "10" + f"{exponent:g}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _log10(values: tuple[float, ...]) -> list[float]:
    return [float(np.log10(max(value, 1e-12))) for value in values]
