"""What is said of loss scaling, from its tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from common import TASKS, Answer, Page, image, plus_minus, points, table
from loss_scaling_figures import curves_figure, flushed_figure, scaler_figure, window_figure
from loss_scaling_part import BATCH, INTERVAL, MIDDLE, SCALERS, SETTINGS
from loss_scaling_window import LOSS_MARGIN, SHARE, Window, foretold, state, window
from words import listed, percent

from fp8num.nn.paired import student_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["TITLE", "page"]

TITLE = "Where loss scaling decides"
Row = dict[str, Any]

TEXT = """\
**Asked.** Is there an ordinary net and setting in which FP8 training fails without loss scaling
and equals float32 with it? Which scale is enough, which is too large, and could one have known?

**How.** The nets, data and initial weights of the other parts, with batches of {batch}; nothing
else was chosen to make it hard. Everything forward is E4M3FN, gradients are E4M3FN or E5M2, and no
tensor has a scale of its own (`fp8-unscaled` with the format of gradients as named). The loss is
multiplied by a power of two, and gradients are divided by it before the optimizer. A scale is
called *sufficient* if from it on up to 2^{middle} every scale that was tried is within both margins
of float32: {margin:g} points of accuracy and {loss_margin:.0%} of the log-loss, each by two
one-sided tests at 5 %. A scale is *shown to be outside* if a 90 % interval lies beyond a margin,
or a training diverged. Settings, margins and the tenth below were fixed before these runs, but
after shorter trials on the same tasks.

**Came out.** {came_out}

{window_image}

{windows}

{failing}

{curves_image}

{curves}

**Why.** The derivative of the mean loss by a logit is (p − y) / {batch}, p being the probability
and y 1 for the true class, else 0. E4M3FN flushes what is at most 2^-10, so at scale 1 every wrong
class with p below {batch} / 1024 = {lost:g} gets no gradient. At the beginning all ten have p of
about 0.1: the true class is pushed up, and nothing pushes the others down. A row of gradients
sums to 0; what E4M3FN makes of the rows of the first step has a sum of {low_net} of their sum of
|g| at scale 2^0 and of {middle_net} at 2^{middle}: the error has a direction, the same in every
row. Beyond the window it has the other one, {high_net} at 2^18: the largest magnitude, (1 − p) /
{batch} of the true class, is cut off at 448, those of the wrong classes are not
(`loss_scaling_rows.csv`).

**E5M2** has 2^-16 as its smallest number, E4M3FN 2^-9: a factor of 2^7, and that is what is found.
At 2^k with E4M3FN and at 2^(k-7) with E5M2 the same trainings come out as long as gradients lie
where both have the same grid: {same}. So this net needs no loss scale with E5M2 gradients at
batches of {batch}; but a mean over a batch that is larger by 2^j has gradients that are smaller by
up to 2^j, like a scale of 2^-j: {larger}.

**Could one have known?** From gradients of trainings in float32 (every fourth step, {n_foretold}
seeds): the smallest scale with which in every layer at most {share:.0%} of the gradients'
magnitude, the sum of |g|, is flushed; and the largest with which nothing saturates. The share of
*elements* says little: {elements}. What is flushed there is most of the numbers and little of the
sum.

{foretold}

{hit} The upper end can be had without any measurement, too: no logit's gradient exceeds 1 / {batch}
(a little more in the last batch of an epoch, which is smaller), so up to 448 · {batch} =
2^{bound:.1f} the last layer hardly saturates.

{flushed_image}

**Scales that adapt** (doubled after {interval} steps without overflow, as these trainings are
short; PyTorch's default is 2000; halved after a step that overflows, which is skipped). FP8
casts saturate, so no infinity ever appears: a scaler sees an overflow only if saturated elements
are counted as one (`saturation_is_overflow`).

{dynamic}

{scaler_text}

{scaler_image}

**Control.** With a scale for each tensor, found at each step, the loss scale cancels: if it is a
power of two, the same bits come out.

{control}

**With each other.** In the window, from the smallest to the largest sufficient scale, scales were
compared with 2^{middle} too: {pairs}.

**Not shown.** That large nets need as large a scale: there p is small for tens of thousands of
classes and batches are millions of tokens, which makes gradients smaller, and there are many more
layers. The tenth that the forecast allows is a choice, and these settings are too alike to test it
hard.
"""


def page(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    frame, flushed = tables["loss_scaling"], tables["loss_scaling_flushed"]
    windows = {name: window(frame, name, MIDDLE) for name in SETTINGS}
    told = {name: foretold(flushed, name) for name in SETTINGS}
    labels = {name: one.label for name, one in SETTINGS.items()}
    text = TEXT.format(
        batch=BATCH, middle=MIDDLE, margin=0.5, loss_margin=LOSS_MARGIN, interval=INTERVAL,
        share=SHARE, lost=BATCH / 1024, bound=math.log2(448 * BATCH),
        came_out=_came_out(frame, windows["digits"]),
        window_image=image("loss_scaling", "differences from float32 against the loss scale"),
        windows=_windows(frame, windows),
        failing=_failing(frame, windows),
        curves_image=image("loss_scaling_curves", "losses by epoch with different loss scales"),
        curves=_curves(tables["loss_scaling_curves"]),
        same=_same(tables["loss_scaling_runs"]),
        low_net=_net(tables["loss_scaling_rows"], 0),
        middle_net=_net(tables["loss_scaling_rows"], MIDDLE),
        high_net=_net(tables["loss_scaling_rows"], 18),
        larger=_larger(windows["digits-e5m2"]),
        n_foretold=int(flushed["n"].max()),
        elements=_elements(flushed, windows),
        foretold=_foretold(windows, told),
        hit=_hit(windows, told),
        flushed_image=image("loss_scaling_flushed", "shares of gradients that are flushed"),
        dynamic=_dynamic(tables["loss_scaling_dynamic"], tables["loss_scaling_scaler"]),
        scaler_text=_scaler_text(tables["loss_scaling_scaler"], windows["digits"]),
        scaler_image=image("loss_scaling_scaler", "scales that adapt, by step"),
        control=_control(tables["loss_scaling_control"]),
        pairs=_pairs(tables["loss_scaling_pairs"], windows["digits"]),
    )  # fmt: skip
    smallest = {name: one.smallest for name, one in windows.items()}
    drawn = {name: _scaler_label(name) for name in SCALERS if name != "not counted, from 2^0"}
    return Page(
        TITLE,
        text,
        _answers(frame, windows, told),
        {
            "loss_scaling": window_figure(frame, labels),
            "loss_scaling_flushed": flushed_figure(flushed, smallest),
            "loss_scaling_curves": curves_figure(
                tables["loss_scaling_curves"],
                {
                    name: "float32" if name == "fp32" else f"loss scale {name}"
                    for name in dict.fromkeys(tables["loss_scaling_curves"]["recipe"])
                },
            ),
            "loss_scaling_scaler": scaler_figure(
                tables["loss_scaling_scaler"], drawn, windows["digits"]
            ),
        },
    )


def _records(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a table."""
    found: list[Any] = frame.to_dict("records")
    return found


def _row(frame: pd.DataFrame, data: str, recipe: str) -> Row:
    return _records(frame[(frame["data"] == data) & (frame["recipe"] == recipe)])[0]


def _two(k: int | None) -> str:
    return "none" if k is None else f"2^{k}"


def _accuracy(row: Row) -> str:
    return plus_minus(100 * row["accuracy"], 100 * row["accuracy_error"], sign=False) + " %"


def _loss(row: Row, name: str = "loss_difference") -> str:
    return plus_minus(row[name], row[f"{name}_error"], sign=name != "loss")


def _came_out(frame: pd.DataFrame, found: Window) -> str:
    """Say in two sentences what the main setting shows."""
    first, one, base = (_row(frame, "digits", name) for name in ("2^0", f"2^{MIDDLE}", "fp32"))
    return (
        f"Digits, E4M3FN gradients: without loss scaling {_accuracy(first)} are right, with 2^"
        f"{MIDDLE} {_accuracy(one)}, in float32 {_accuracy(base)} (n = {one['n']}; differences "
        f"from float32 {points(first)} and {points(one)} points, log-loss {_loss(first)} and "
        f"{_loss(one)} nat). Scales from {_two(found.smallest)} to {_two(found.largest)} equal "
        f"float32; {_two(found.below)} and {_two(found.above)} are shown to be outside."
    )


def _windows(frame: pd.DataFrame, windows: Mapping[str, Window]) -> str:
    rows = []
    for name, found in windows.items():
        base, plain, middle = (
            _row(frame, name, recipe) for recipe in ("fp32", "2^0", f"2^{MIDDLE}")
        )
        diverged = f"diverged in {plain['diverged']}"
        rows.append(
            (
                SETTINGS[name].label, base["n"], _accuracy(base),
                diverged if plain["diverged"] else points(plain), points(middle),
                _loss(middle), _two(found.below), _two(found.smallest), _two(found.largest),
                _two(found.above),
            )
        )  # fmt: skip
    header = (
        "setting", "n", "accuracy of float32", "difference at 2^0 / points",
        f"at 2^{MIDDLE} / points", f"log-loss at 2^{MIDDLE} / nat",
        "largest shown insufficient", "smallest sufficient", "largest sufficient",
        "smallest shown too large",
    )  # fmt: skip
    return table(header, rows)


def _failing(frame: pd.DataFrame, windows: Mapping[str, Window]) -> str:
    """Say what the scales next to the window do in the main setting."""
    rows = _records(frame[frame["data"] == "digits"])
    (base,) = (row["loss"] for row in rows if row["decision"] == "baseline")
    low, high = windows["digits"].smallest, windows["digits"].largest
    if low is None or high is None:
        return ""
    near = [
        row for row in rows
        if row["decision"] != "baseline"
        and (low - 4 <= row["log2_scale"] <= low + 1 or high <= row["log2_scale"] <= high + 2)
    ]  # fmt: skip
    cells = [
        (
            row["recipe"], _accuracy(row), points(row), _loss(row),
            plus_minus(
                100 * row["loss_difference"] / base, 100 * row["loss_difference_error"] / base
            ),
            state(row, base),
        )
        for row in near
    ]  # fmt: skip
    header = ("scale, digits, E4M3FN", "accuracy", "difference / points", "log-loss / nat",
              "log-loss / %", "of both margins")  # fmt: skip
    return table(header, cells)


def _curves(frame: pd.DataFrame) -> str:
    ends = _records(frame[frame["epoch"] == frame["epoch"].max()])
    said = [
        f"{'float32' if row['recipe'] == 'fp32' else row['recipe']} {_loss(row, 'loss')}"
        for row in ends
    ]
    return f"Mean losses of the last epoch's batches, in nat: {listed(said)}."


def _same(runs: pd.DataFrame) -> str:
    """Count trainings that came out the same in both formats, seven powers of two apart."""
    said = []
    for k in range(4):
        one, other = (
            {
                row["seed"]: (row["loss"], row["train_loss"])
                for row in _records(runs[(runs["data"] == data) & (runs["recipe"] == f"2^{power}")])
            }
            for data, power in (("digits", k), ("digits-e5m2", k - 7))
        )
        equal = sum(one[seed] == losses for seed, losses in other.items())
        said.append(f"{equal} of {len(other)} at k = {k}")
    return f"the same held-out and training losses in {listed(said)}"


def _net(rows: pd.DataFrame, k: int) -> str:
    (row,) = _records(rows[rows["log2_scale"] == k])
    return plus_minus(100 * row["net"], 100 * row["net_error"]) + " %"


def _larger(found: Window) -> str:
    if found.smallest is None or found.below is None:
        return "no limit was found"
    return (
        f"{_two(found.smallest)} is still sufficient, {_two(found.below)} is shown not to be. That "
        f"is a batch of {BATCH * 2**-found.smallest:,} if its gradients are as large"
    )


def _elements(flushed: pd.DataFrame, windows: Mapping[str, Window]) -> str:
    """Say which share of elements is flushed at the smallest sufficient scale."""
    said = []
    for name in SETTINGS:
        k = windows[name].smallest
        rows = flushed[(flushed["data"] == name) & (flushed["log2_scale"] == k)]
        if len(rows):
            low, high = rows["flushed"].min(), rows["flushed"].max()
            said.append(f"{SETTINGS[name].label}: {percent(low)} to {percent(high)}")
    return f"at the smallest sufficient scale it is, layer by layer, {'; '.join(said)}"


def _foretold(windows: Mapping[str, Window], told: Mapping[str, tuple[int, int]]) -> str:
    rows = [
        (
            SETTINGS[name].label, _two(told[name][0]), _two(found.smallest), _two(told[name][1]),
            _two(found.largest),
        )
        for name, found in windows.items()
    ]  # fmt: skip
    header = ("setting", "smallest, foretold", "smallest sufficient", "largest, foretold",
              "largest sufficient")  # fmt: skip
    return table(header, rows)


def _hit(windows: Mapping[str, Window], told: Mapping[str, tuple[int, int]]) -> str:
    """Say how far the forecast is off."""
    both = list(zip(told.values(), windows.values(), strict=True))
    ends = (
        [guess[0] - one.smallest for guess, one in both if one.smallest is not None],
        [guess[1] - one.largest for guess, one in both if one.largest is not None],
    )
    low, high = (listed(f"{value:+d}" for value in one) for one in ends)
    return (
        f"In powers of two the forecast is off by {low} at the lower end and by {high} at the "
        "upper one, where few saturated elements need not hurt."
    )


def _scaler_label(name: str) -> str:
    start = name.rsplit(" ", 1)[-1]
    counted = "not counted" if name.startswith("not") else "counted as overflow"
    return f"from {start}, saturation {counted}"


def _dynamic(results: pd.DataFrame, steps: pd.DataFrame) -> str:
    rows = []
    for row in _records(results[results["decision"] != "baseline"]):
        own = steps[steps["scaler"] == row["recipe"]]
        second = own[own["step"] >= own["step"].max() / 2]
        n = row["n"] + row["diverged"]
        where = f"2^{own['log2_scale'].iloc[-1]:.1f}"
        middle = f"2^{second['log2_scale'].min():.1f} to 2^{second['log2_scale'].max():.1f}"
        rows.append(
            (
                _scaler_label(row["recipe"]), n, middle, where, f"{row['skipped'] / n:.1f}",
                points(row), _loss(row),
            )
        )  # fmt: skip
    header = ("scaler", "n", "scale in the second half (mean)", "at the end (mean)",
              "steps skipped", "accuracy / points", "log-loss / nat")  # fmt: skip
    return table(header, rows)


def _scaler_text(steps: pd.DataFrame, found: Window) -> str:
    """Say where the scalers that notice saturation settle."""
    own = steps[steps["scaler"].isin(["counted, from 2^16", "counted, from 2^24"])]
    second = own[own["step"] >= own["step"].max() / 2]
    low, high = second["lowest"].min(), second["highest"].max()
    return (
        f"Where saturation counts, the scale settles between 2^{low:.0f} and 2^{high:.0f} in every "
        f"seed, at the upper end of the window (2^{found.largest}), whether it comes from within "
        "or from above. Each probe of the next power costs a skipped step, and with an interval as "
        "short as this one that shows in the loss. From 2^0 it is in no hurry: one doubling in "
        f"{INTERVAL} steps, and the steps below the window are lost. Where saturation does not "
        "count, it grows for ever, and leaves the window through the top."
    )


def _control(frame: pd.DataFrame) -> str:
    rows = []
    for row in _records(frame):
        power = math.log2(row["scale"])
        scale = f"2^{power:.0f}" if power.is_integer() else f"{row['scale']:g}"
        same = f"{row['identical']} of {row['n']}"
        differ = f"{row['most_differ']:,} of {row['parameters']:,}"
        rows.append((row["recipe"], scale, same, differ, _loss(row)))
    header = ("recipe", "loss scale", "trainings with the same bits",
              "parameters that differ, most", "log-loss minus that without / nat")  # fmt: skip
    return table(header, rows)


def _pairs(frame: pd.DataFrame, found: Window) -> str:
    """Say how large the differences within the window are, and how many can be told from 0."""
    if found.smallest is None or found.largest is None:
        return "no window was found"
    rows = [
        row
        for row in _records(frame[frame["data"] == "digits"])
        if row["decision"] != "baseline" and found.smallest <= row["log2_scale"] <= found.largest
    ]
    limit = student_quantile(1 - 0.025 / max(len(rows), 1), max(int(rows[0]["n"]) - 1, 1))
    clear = [
        f"{row['recipe']} ({_loss(row)} nat)"
        for row in rows
        if abs(row["loss_difference"]) > limit * row["loss_difference_error"]
    ]
    largest = max(abs(row["loss_difference"]) for row in rows)
    one = f"{len(rows)} differences of log-loss, means of at most {largest:.2g} nat"
    return f"{one}; for all {len(rows)} statements at once these exclude 0: {listed(clear)}"


def _answers(
    frame: pd.DataFrame, windows: Mapping[str, Window], told: Mapping[str, tuple[int, int]]
) -> list[Answer]:
    first, one, base = (_row(frame, "digits", name) for name in ("2^0", f"2^{MIDDLE}", "fp32"))
    found = windows["digits"]
    e5m2 = windows["digits-e5m2"]
    return [
        Answer(
            "Is there an ordinary net in which loss scaling decides?",
            f"yes: {TASKS['digits'].label}, batches of {BATCH}, E4M3FN gradients without scales of "
            f"their own: {_accuracy(first)} right without, {_accuracy(one)} with 2^{MIDDLE}, "
            f"{_accuracy(base)} in float32 (n = {one['n']} pairs)",
            TITLE,
        ),
        Answer(
            "Which loss scale is enough, and which too large?",
            f"there {_two(found.smallest)} to {_two(found.largest)}, foretold from float32 "
            f"gradients as {_two(told['digits'][0])} to {_two(told['digits'][1])}; with E5M2 "
            f"gradients from {_two(e5m2.smallest)}, so none is needed",
            TITLE,
        ),
    ]
