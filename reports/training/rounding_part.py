"""
Nearest against stochastic rounding of gradients and of weights, by the number of random bits.

::

    rounding.csv  differences from nearest    rounding_runs.csv     rounding_bias.csv  of the casts
    floor(x 2^N) + R >= 2^N with R uniform below 2^N:   up with probability floor(x 2^N) / 2^N
    x the part of a step above the lower neighbour    the mean is low by frac(x 2^N) / 2^N steps

Rules draw 32 bits for an element.  With all but the highest N of them zero the same comparison
is that of N bits.
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
    plus_minus,
    results_frame,
    runs_frame,
    table,
)
from drawings import axis, differences, interval
from figures import Interval, intervals
from words import (
    ACCURACY,
    LOSS,
    came_out,
    clear,
    on_tasks,
    results_tables,
    statements,
)

from fp8num import decode, scale_quantize
from fp8num.nn import RECIPES, Operand, train
from fp8num.nn.paired import estimate
from fp8num.scaling import Cast, Rule, get_rule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    import numpy.typing as npt

    from fp8num import Format
    from fp8num.nn import Recipe

__all__ = ["ARMS", "NAME", "SEEDS", "TABLES", "WIDTHS", "bias_of", "derive", "run"]

NAME = "rounding"
TABLES = ("rounding", "rounding_runs", "rounding_bias")
SEEDS = 16
TITLE = "Nearest against stochastic rounding"
NEAREST = "nearest"
WIDTHS = (2, 4, 8, 16, 32)
#: Casts of each tensor whose mean is taken for its bias.
DRAWS = 32


def stochastic(width: int) -> Rule:
    """Return `te-current` with stochastic rounding by few random bits."""
    base = get_rule("te-current")
    cast = Cast("StochasticA", like=base.cast.like, random_width=width)
    return replace(base, name=f"te-current, {width} random bits", cast=cast)


def _recipe(tensor: str, width: int) -> Recipe:
    """Return `te-current` with one tensor rounded stochastically in both its products."""
    fmt, roles = {"gradients": ("E5M2", "g"), "weights": ("E4M3FN", "w")}[tensor]
    cast = Operand(stochastic(width), fmt)
    ways = {"g": ("g_dgrad", "g_wgrad"), "w": ("w_forward", "w_dgrad")}[roles]
    return replace(
        RECIPES["te-current"], name=f"{tensor} {width} bits", **dict.fromkeys(ways, cast)
    )


ARMS = {
    recipe.name: recipe
    for tensor in ("gradients", "weights")
    for width in WIDTHS
    for recipe in [_recipe(tensor, width)]
}
TEXT = """\
**Asked.** Does it help to round gradients stochastically, or weights when they are cast? How many
random bits does that take?

**How.** Both tasks, {n} seeds; against `te-current`, which rounds to nearest. One tensor at a time
is rounded stochastically, in both products that it enters, with 2 to 32 random bits for each
element: up if the part of a step that the value is above its lower neighbour, cut to N bits, and a
random number of N bits reach 1 together (P3109's StochasticA, which is what adding random bits and
truncating does). The master weights stay in float32.

**What theory predicts.** The value goes up with probability floor(x 2^N) / 2^N, x being the part of
a step; the mean is therefore too low in magnitude by frac(x 2^N) / 2^N of a step: by 2^-(N+1) for
values that are spread evenly, an eighth of a step with 2 bits. That bias is towards zero, in every
element, every time. Values below 2^-N of the smallest subnormal are always flushed.
(On few random bits in training see Fitzgibbon and Felix, `arXiv:2504.20634`.)

**Measured, in the casts.** From trainings in `te-current`, the gradient and the weights of the
first layer in the middle of the training and in its last step, each cast {draws} times; mean error,
away from zero, in steps of the element's own binade, and mean over n seeds:

{bias}

{verdict}

{bias_image}

**Came out.** {came_out} {together}

{image}

{results}

**Not shown.** Anything where weights are *kept* in a small format: with master weights in float32
an update smaller than a step is not lost, which is what stochastic rounding of weights is known
for. AdamW divides gradients by their own magnitude, so that a bias that shrinks all of them by the
same factor cancels; an optimizer that does not divide need not be as tolerant. Held-out data were
evaluated with the same random casts of weights.
"""


def run(executor: Executor | None, *, quick: bool) -> dict[str, pd.DataFrame]:
    """Train with each number of bits, and measure what the casts do."""
    found = {
        task: compare_on(
            task,
            {"fp32": "fp32", **ARMS},
            baseline=RECIPES["te-current"],
            seeds=SEEDS,
            executor=executor,
            quick=quick,
        )
        for task in TASKS
    }
    seeds = range(2 if quick else SEEDS)
    measured = in_order(executor, bias_of, [(task, seed) for task in TASKS for seed in seeds])
    return {
        "rounding": results_frame(found),
        "rounding_runs": runs_frame(found),
        "rounding_bias": _bias_table([row for rows in measured for row in rows]),
    }


def bias_of(task: str, seed: int) -> list[dict[str, Any]]:
    """Train, and return the mean errors of casts of what the first layer was given."""
    options, data = TASKS[task].options, TASKS[task].data(seed=seed)
    total = options["epochs"] * -(-len(data.x) // options["batch"])
    found = train(data, recipe="te-current", seed=seed, capture=(total // 2, total - 1), **options)
    rng = np.random.default_rng(seed)
    rows = []
    for tensor, key, fmt in (
        ("gradients", "layer0.output_gradient", "E5M2"),
        ("weights", "layer0.weight", "E4M3FN"),
    ):
        sources = [step[key] for step in found.captures.values()]
        for bits in (NEAREST, *WIDTHS):
            errors = [_errors(source, fmt, bits, rng) for source in sources]
            mean, predicted = (float(np.mean([one[i] for one in errors])) for i in (0, 1))
            rows.append({"data": task, "seed": seed, "tensor": tensor, "bits": bits,
                         "bias": mean, "predicted": predicted})  # fmt: skip
    return rows


def _errors(
    source: npt.NDArray[np.float32], fmt: str, bits: str | int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the mean error away from zero, in steps, of many casts; and what is predicted."""
    rule = "te-current" if isinstance(bits, str) else stochastic(bits)
    draws = 1 if isinstance(bits, str) else DRAWS
    total = np.zeros(source.shape)
    for _ in range(draws):
        scaled = scale_quantize(source, rule, fmt=fmt, rng=None if draws == 1 else rng)
        total += decode(scaled.codes, fmt)
    x = source / scaled.scales.astype(np.float64)  # as it was before it was rounded
    step = _steps(x, scaled.format)
    used = source != 0
    error = np.sign(x) * (total / draws - x) / step
    part = np.abs(x) / step
    if isinstance(bits, str):
        expected = np.rint(part) - part
    else:
        expected = -np.remainder(part * 2.0**bits, 1) / 2.0**bits
    return float(error[used].mean()), float(expected[used].mean())


def _steps(x: npt.NDArray[np.float64], fmt: Format) -> npt.NDArray[np.float64]:
    """Return the distance between neighbours where values lie."""
    assert fmt.emin is not None
    assert fmt.mantissa_bits is not None
    exponent = np.maximum(np.frexp(np.abs(x))[1] - 1, fmt.emin)
    return np.ldexp(1.0, exponent - fmt.mantissa_bits)


def _bias_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return means over seeds."""
    found = []
    keys = ["data", "tensor", "bits"]
    for key, some in pd.DataFrame(rows).groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True)) | {"n": len(some)}
        difference = some["bias"] - some["predicted"]
        for name, values in (
            ("bias", some["bias"]),
            ("predicted", some["predicted"]),
            ("difference", difference),
        ):
            one = estimate(list(values))
            row |= {name: one.mean, f"{name}_error": one.error,
                    f"{name}_low": one.low, f"{name}_high": one.high}  # fmt: skip
        found.append(row)
    return pd.DataFrame(found)


def derive(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    frame, bias = tables["rounding"], tables["rounding_bias"]
    of = statements(frame)
    text = TEXT.format(
        n=int(frame["n"].max()),
        draws=DRAWS,
        bias=_bias_text(bias),
        verdict=_agreement(bias),
        bias_image=image("rounding_bias", "bias of the casts by the number of random bits"),
        came_out=" ".join(came_out(frame, task) for task in TASKS),
        together=_together(frame, of),
        image=image(NAME, "differences of stochastic rounding from rounding to nearest"),
        results=results_tables(frame),
    )
    answers = [
        Answer(
            f"Stochastic rounding of {tensor}, with {width} random bits?",
            f"minus nearest: {on_tasks(frame, f'{tensor} {width} bits', of)}",
            TITLE,
        )
        for tensor in ("gradients", "weights")
        for width in (WIDTHS[-1], WIDTHS[0])
    ]
    two = bias[bias["bits"].astype(str) == str(WIDTHS[0])]
    answers.append(
        Answer(
            f"Is the cast biased with {WIDTHS[0]} random bits?",
            f"its mean error is {two['bias'].min():+.4f} to {two['bias'].max():+.4f} of a step, "
            f"towards zero; predicted for the same values {two['predicted'].min():+.4f} to "
            f"{two['predicted'].max():+.4f}",
            TITLE,
        )
    )
    figures = {NAME: figure(frame), "rounding_bias": bias_figure(bias)}
    return Page(TITLE, text, answers, figures)


def _bits(value: object) -> str:
    return str(value) if value == NEAREST else f"{value} bits"


def _bias_text(bias: pd.DataFrame) -> str:
    rows = [
        (
            TASKS[row["data"]].label, row["tensor"], _bits(row["bits"]), row["n"],
            plus_minus(row["bias"], row["bias_error"]),
            plus_minus(row["predicted"], row["predicted_error"]),
            plus_minus(row["difference"], row["difference_error"]),
            "-" if row["bits"] == NEAREST else f"{-(2.0 ** -(int(row['bits']) + 1)):.3g}",
        )
        for row in bias.to_dict("records")
    ]  # fmt: skip
    header = (
        "task", "tensor", "rounding", "n", "measured bias / steps", "predicted for these values",
        "measured minus predicted", "-2^-(N+1)",
    )  # fmt: skip
    return table(header, rows)


def _agreement(bias: pd.DataFrame) -> str:
    """Say in how many rows the prediction lies in the interval."""
    inside = (bias["difference_low"] <= 0) & (bias["difference_high"] >= 0)
    random = bias["bits"].astype(str) != NEAREST
    return (
        f"In {int((inside & random).sum())} of {int(random.sum())} rows with random bits the 95 % "
        "interval of measured minus predicted holds 0 (of so many, one in twenty would not even "
        "if all predictions were right)."
    )


def _together(frame: pd.DataFrame, of: int) -> str:
    """Say how many verdicts on stochastic rounding hold for all statements at once."""
    rows = frame[frame["recipe"].isin(list(ARMS))].to_dict("records")
    sure = sum(bool(clear(row, name, of)) for row in rows for name in (ACCURACY, LOSS))
    return (
        f"Of the {2 * len(rows)} differences between stochastic rounding and nearest, {sure} "
        "exclude 0 for all statements at once."
    )


def figure(frame: pd.DataFrame) -> str:
    """Draw the differences from rounding to nearest."""
    return differences(
        {"fp32 (no casts)": (frame, "fp32"), **{name: (frame, name) for name in ARMS}},
        title="Stochastic rounding against rounding to nearest, by random bits",
        of="minus nearest:",
    )


def bias_figure(bias: pd.DataFrame) -> str:
    """Draw measured and predicted biases of the casts."""
    rows: dict[str, dict[str, tuple[Interval, ...]]] = {}
    for row in bias.to_dict("records"):
        label = f"{row['tensor']} {_bits(row['bits'])}"
        for name in ("measured", "predicted"):
            key = "bias" if name == "measured" else "predicted"
            series = f"{TASKS[row['data']].label}, {name}"
            rows.setdefault(label, {})[series] = (interval(row, key),)
    every = [one for row in rows.values() for (one,) in row.values()]
    return intervals(
        rows,
        [("mean error away from zero / steps between neighbours", axis(every))],
        title="Bias of casts by the number of random bits",
        description="; ".join(
            f"{label}, {name}: {one.mean:+.4f}"
            for label, row in rows.items()
            for name, (one,) in row.items()
        ),
    )
