"""The audit in words: README.md, every number in it taken from the tables."""

from __future__ import annotations

import math
import re
import textwrap
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from audit_tables import PRINTED_LOSSES

from fp8num import E4M3FN, E5M2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

__all__ = ["page"]

QUOTED = '"FP8"'  #: what the tutorial calls so
NAMES = {"fp32": "FP32", "through": "rounded, gradient passed on", "printed": '"FP8" as printed'}


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def estimate(mean: float, error: float) -> str:
    """Write a mean with its standard error, to two digits of the error."""
    if error == 0:
        return f"{mean:.4g} ± 0"
    places = max(1 - math.floor(math.log10(error)), 0)
    return f"{mean + 0:.{places}f} ± {error:.{places}f}".replace("-0.0000 ", "0.0000 ")


def conversions_text(frame: pd.DataFrame) -> str:
    """Write the conversions."""
    rows = [
        (
            f'"{row["format"]}"', row["input"], row["printed"],
            f"yes ({row['is a value of']})" if isinstance(row["is a value of"], str)
            and row["is a value of"] else "no",
            row["its code gives"] + ("" if row["printed comes from its code"] else " ≠"),
            f"**{row['FP8']}** ({row['FP8 code']})", row["error of FP8"], row["with moving step"],
        )
        for row in frame.to_dict("records")
    ]  # fmt: skip
    header = (
        "format", "input", "printed", "an FP8 value?", "its code gives", "right", "error of that",
        "moving step",
    )  # fmt: skip
    return table(header, rows)


def gradients_text(frame: pd.DataFrame) -> str:
    """Write the norms of gradients, a line for each parameter."""
    rows = []
    for parameter in dict.fromkeys(frame["parameter"]):
        found = frame[frame["parameter"] == parameter].set_index("variant")
        cells = [
            estimate(found.loc[name, "mean norm"], found.loc[name, "standard error"])
            for name in NAMES
        ]
        elements = int(found.loc["printed", "elements"])
        moved = f"{int(found.loc['printed', 'most moved']):,} of {elements:,}"
        layer, _, kind = parameter.partition(".")
        rows.append((f"fc{1 if layer == '0' else 2}.{kind}", *cells, moved))
    return table(("parameter", *NAMES.values(), 'move in "FP8"'), rows)


def scales_text(frame: pd.DataFrame) -> str:
    """Write what the loss scale changes."""
    rows = [
        (
            NAMES[row["variant"]], f"{row['loss scale']:g}", row["gradients unscaled"], row["n"],
            f"{row['weights that differ']:,} of {row['weights']:,}",
            f"{row['largest difference of a loss']:.2g}",
        )
        for row in frame.to_dict("records")
    ]  # fmt: skip
    header = (
        "model", "loss scale", "unscaled before Adam", "n", "weights that differ from scale 1",
        "largest difference of a loss",
    )  # fmt: skip
    return table(header, rows)


def curves_text(frame: pd.DataFrame) -> str:
    """Write the printed losses beside the runs."""
    rows = [
        (
            row["curve"], row["what"], f"{row['printed']:.4f}", row["n"],
            estimate(row["mean"], row["standard error"]), f"{row['standard deviation']:.4f}",
            f"{row['smallest']:.4f} to {row['largest']:.4f}",
            f"**{row['standard deviations away']:+.1f}**", row["runs at least as far"],
        )
        for row in frame.to_dict("records")
    ]  # fmt: skip
    header = (
        "curve", "epoch", "printed", "n", "mean ± standard error", "standard deviation", "range",
        "printed is away by (standard deviations)", "runs as far from the mean",
    )  # fmt: skip
    return table(header, rows)


def differences_text(frame: pd.DataFrame) -> str:
    """Write paired differences: a line for each, a column for each epoch."""
    rows = []
    for what, found in frame.groupby("what", sort=False):
        cells = [estimate(row.mean, row.error) for row in _records(found)]
        rows.append((what, found["n"].iloc[0], *cells))
    places = [at.replace("final loss", "after the last") for at in dict.fromkeys(frame["at"])]
    return table(("difference", "n", *places), rows)


class _Difference:
    """A mean and its error."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.mean, self.error = float(row["mean"]), float(row["standard error"])


def _records(frame: pd.DataFrame) -> list[_Difference]:
    return [_Difference(row) for row in frame.to_dict("records")]


def casts_text(frame: pd.DataFrame) -> str:
    """Write what the casts of the correct runs lost."""
    kept = frame[frame["role"].isin(["x_forward", "w_forward", "g_wgrad"])]
    rows = [
        (
            row["recipe"], row["layer"], row["role"], row["format"], row["n"],
            f"{row['amax']:.3g}", f"{row['underflow_rate']:.4%}", f"{row['saturation_rate']:.4%}",
            estimate(row["sqnr_db"], row["sqnr_db error"]),
        )
        for row in kept.to_dict("records")
    ]  # fmt: skip
    header = (
        "recipe", "layer", "operand", "format", "n", "largest", "become 0", "saturate", "SQNR / dB",
    )  # fmt: skip
    return table(header, rows)


def page(
    frames: Mapping[str, pd.DataFrame],
    *,
    gradients: pd.DataFrame,
    scales: pd.DataFrame,
    correct: pd.DataFrame,
    casts: pd.DataFrame,
    facts: Mapping[str, Any],
) -> str:
    """Write the page."""
    conversions, curves = frames["conversions"], frames["curves"]
    values = {
        **_format_words(),
        **_conversion_words(conversions),
        **_gradient_words(gradients),
        **_curve_words(curves, facts),
        **_part_words(frames["parts"]),
        **_cost_words(frames["costs"], correct, curves),
        **_page_words(facts),
        **_grid_words(frames["grids"]),
        "conversions": conversions_text(conversions),
        "gradients": gradients_text(gradients),
        "scales": scales_text(scales),
        "curves": curves_text(curves),
        "parts": differences_text(frames["parts"]),
        "costs": differences_text(frames["costs"]),
        "casts": casts_text(casts),
    }
    return wrapped(PAGE.format(**values))


def wrapped(text: str) -> str:
    """Break the lines of paragraphs and lists anew; tables, code and headings stay."""
    out = []
    for block in text.split("\n\n"):
        if block.startswith(("|", "#", "```", "!")):
            out.append(block)
            continue
        items = re.split(r"\n(?=- )", block)
        out.append("\n".join(_fill(item) for item in items))
    return "\n\n".join(out)


def _fill(item: str) -> str:
    indent = "  " if item.startswith("- ") else ""
    return textwrap.fill(
        " ".join(item.split()),
        96,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _format_words() -> dict[str, str]:
    """Return what the formats hold, and how much of them lies below 0.06."""
    held = np.array(E4M3FN.values)
    held = held[np.isfinite(held) & (held > 0)]
    small = 2 * NormalDist().cdf(0.06 / 0.1) - 1
    return {
        "smallest": f"{E4M3FN.smallest_subnormal:.6g}",
        "normal": f"{E4M3FN.smallest_normal:.6g}",
        "largest": f"{E4M3FN.max:g}",
        "largest5": f"{E5M2.max:g}",
        "smallest5": f"{E5M2.smallest_subnormal:.2g}",
        "below": f"{int(np.sum(held < 0.06))} of its {len(held)}",
        "weights_below": f"{small:.0%}",
        "digits": f"{math.log10(2**E4M3FN.precision):.1f}",
        "digits5": f"{math.log10(2**E5M2.precision):.1f}",
    }


def _conversion_words(frame: pd.DataFrame) -> dict[str, str]:
    held = frame["is a value of"].fillna("") != ""
    return {
        "fp8_values": str(int(held.sum())),
        "from_code": str(int(frame["printed comes from its code"].sum())),
        "moving": str(int((frame["with moving step"] == frame["printed"]).sum())),
    }


def _gradient_words(frame: pd.DataFrame) -> dict[str, str]:
    printed = frame[frame["variant"] == "printed"]
    return {
        "trains": str(int(printed["most moved"].sum())),
        "parameters": f"{int(printed['elements'].sum()):,}",
        "steps": f"{int(printed['n'].iloc[0] * printed['steps'].iloc[0]):,}",
    }


def _curve_words(frame: pd.DataFrame, facts: Mapping[str, Any]) -> dict[str, str]:
    epochs = frame[frame["what"] != "first minus last"]
    far = epochs.groupby("curve")["standard deviations away"].apply(lambda x: x.abs())
    learned = frame[frame["what"] == "first minus last"].set_index("curve")
    outside = epochs[epochs["runs at least as far"] == 0].groupby("curve").size()
    return {
        "seeds": str(facts["seeds"]),
        "torch": str(facts["torch"]),
        "far32": f"{far['FP32'].max():.1f}",
        "far8_low": f"{far[QUOTED].min():.1f}",
        "far8": f"{far[QUOTED].max():.1f}",
        "outside32": str(outside["FP32"]),
        "outside8": str(outside[QUOTED]),
        "learned8": f"{learned.loc[QUOTED, 'mean']:.3f}",
        "learned8_printed": f"{learned.loc[QUOTED, 'printed']:.3f}",
        "learned8_far": f"{learned.loc[QUOTED, 'standard deviations away']:.0f}",
        "learned32": f"{learned.loc['FP32', 'mean']:.3f}",
        "learned32_printed": f"{learned.loc['FP32', 'printed']:.3f}",
        "printed_gap": f"{PRINTED_LOSSES['printed'][-1] - PRINTED_LOSSES['fp32'][-1]:.3f}",
        "spread": f"{epochs[epochs['curve'] == 'FP32']['standard deviation'].iloc[-1]:.4f}",
    }


def _part_words(frame: pd.DataFrame) -> dict[str, str]:
    last = frame[frame["at"] == "epoch 5"].set_index("difference")
    first = frame[frame["at"] == "epoch 1"].set_index("difference")

    def told(found: pd.DataFrame, which: str) -> str:
        return estimate(found.loc[which, "mean"], found.loc[which, "standard error"])

    return {
        "gap1": told(first, "printed - fp32"),
        "gap5": told(last, "printed - fp32"),
        "init1": told(first, "randn - fp32"),
        "init5": told(last, "randn - fp32"),
        "frozen5": told(last, "frozen - randn"),
        "rounding5": told(last, "printed - frozen"),
        "through5": told(last, "through - randn"),
    }


def _cost_words(costs: pd.DataFrame, correct: pd.DataFrame, curves: pd.DataFrame) -> dict[str, str]:
    last = costs[costs["at"] == "epoch 5"].set_index("what")
    told = {what: estimate(row["mean"], row["standard error"]) for what, row in last.iterrows()}
    plain = correct[correct["recipe"] == "fp32"]
    learned = float((plain["epoch 1"] - plain["epoch 5"]).mean())
    torch = curves[(curves["curve"] == "FP32") & (curves["what"] == "epoch 5")].iloc[0]
    held_out = correct.groupby("recipe", sort=False)["held-out accuracy"]
    scaled = correct.set_index(["recipe", "seed"])["epoch 5"]
    effect = scaled["fp8-unscaled, loss x 128"] - scaled["fp8-unscaled"]
    epochs = costs[costs["at"] != "final loss"]
    bound = (epochs["mean"].abs() + 2 * epochs["standard error"]).max()
    return {
        "cost_te": told["te-current"],
        "cost_torchao": told["torchao-tensorwise"],
        "cost_unscaled": told["fp8-unscaled"],
        "cost_share": f"{abs(last.loc['te-current', 'mean']) / learned:.1%}",
        "cost_bound": f"{math.ceil(bound * 1e4) / 1e4:.4f}",
        "pairs": str(len(plain)),
        "single": f"{math.sqrt(2) * plain['epoch 5'].std():.4f}",
        "paired_sd": f"{last.loc['te-current', 'standard deviation']:.4f}",
        "ours": estimate(plain["epoch 5"].mean(), plain["epoch 5"].sem()),
        "theirs": estimate(torch["mean"], torch["standard error"]),
        "chance": f"{held_out.mean().min():.1%} to {held_out.mean().max():.1%}",
        "chance_error": f"{held_out.sem().max():.1%}",
        "scale_effect": estimate(effect.mean(), effect.sem()),
    }


def _page_words(facts: Mapping[str, Any]) -> dict[str, str]:
    found = facts["page"]
    clean = next(key for key in found if key.startswith("scale after") and "without" in key)
    return {
        "sha": found["sha256 of its Python blocks"],
        "stops": "; ".join(found["stops"]),
        "experiments": str(found["experiments"]),
        "differ": str(found["experiments that differ from the restatement"]),
        "formats": ", ".join(found["formats of its layers"]),
        "roundings": f"{found['roundings']:,}",
        "backward": str(found["roundings in a backward pass"]),
        "scale_ends": " and ".join(f"{scale:g}" for scale in found["loss scales at the end"]),
        "scale_before": f"{found['scale before an overflow']:g}",
        "scale_after": f"{found['scale after it']:g}",
        "scale_clean": f"{found[clean]:g}",
        "clean_steps": f"{int(clean.split()[2]):,}",
    }


def _grid_words(frame: pd.DataFrame) -> dict[str, str]:
    found = frame.set_index(["tensor", "format"])
    row, inputs = found.loc["weights", "E4M3"], found.loc["inputs", "E4M3"]
    other = found.loc["weights", "E5M2"]
    return {
        "grid": f"{int(row['values of the quantiser']):,}",
        "bits": str(row["bits to number them"]),
        "grid5": f"{int(other['values of the quantiser']):,}",
        "bits5": str(other["bits to number them"]),
        "on_grid_w": f"{float(row['share of outputs that are FP8 values']):.0%}",
        "on_grid_x": f"{float(inputs['share of outputs that are FP8 values']):.0%}",
        "sqnr_w": f"{float(row['its SQNR / dB']):.0f}",
        "sqnr_x": f"{float(inputs['its SQNR / dB']):.0f}",
        "sqnr_fp8": f"{float(inputs['SQNR of FP8 / dB']):.0f}",
    }


PAGE = """# The tutorial, run again

A Chinese tutorial, *AIInfra, CODE 03: FP8 混合精度训练* (FP8 mixed-precision training, by ZOMI),
converts numbers to FP8, trains a small net in FP32 and in "FP8", and compares two loss curves.
It asks the right question in one page: what does FP8
do to training? Here its code is run, and each thing that it prints or says is put beside what
is so. Where something is wrong, the reason is given; where it is right, that is said too.

All figures called "printed" are quoted from that page. Every comparison says how many seeds it
has (n) and its standard error (±); nothing rests on one run.

## In short

- **Conversions.** Of the 8 printed conversions {fp8_values} is an FP8 value, and {from_code}
  come out of the code above them. The quantiser is fixed point: multiples of 1/1024 or 1/128.
  It has {grid} values where E4M3FN has 254.
- **Range.** E4M3FN does not begin at 0.06: its smallest positive value is {smallest}. The other
  end, {largest}, is right, and so is {largest5} for E5M2.
- **Training.** In the "FP8" model {trains} of {parameters} parameters train, because round()
  has derivative 0. The printed curve goes down by {learned8_printed}; the printed code's by
  {learned8}.
- **Loss scale.** It changes no bit. E5M2 is never used in training, nothing is rounded in a
  backward pass, and the scale can only fall.
- **Printed curves.** Against {seeds} runs of the code, the FP32 curve is up to {far32} standard
  deviations away and "FP8" {far8_low} to {far8}; {outside32} and {outside8} of 5 epochs lie
  outside what any run gave.
- **What its "FP8" measures.** The initial weights, and a net that cannot learn. The rounding
  itself is worth {rounding5} of loss.
- **Done correctly**, FP8 costs {cost_te} of loss at epoch 5 (n = {pairs} pairs), {cost_share}
  of what float32 learns in the five epochs. The tutorial's conclusion, that FP8 follows FP32
  closely, is true; its experiment does not show it.

## 1. The conversions

The page reads E4M3's 3 mantissa *bits* as 3 *decimal digits*, hence a "precision" of 2^10, and
rounds `np.round(x_clipped * precision) / precision`. That step does not move with the
magnitude. FP8's does: E4M3FN keeps 4 significant bits (3 and the hidden one), about {digits}
decimal digits at any magnitude; E5M2 keeps 3, about {digits5}.

{conversions}

The errors in the column before the last are no mistakes: they are what 8 bits cost. A
conversion of 123.456 that keeps 123.4375 has not been to FP8.

"≠" marks what the code above does not print. Nor does it print the heading, which says "修复后"
(after the repair): the output is of another version. All {moving} printed numbers come out if
the step grows with the magnitude and ends at 1/1024 (1/128): 10 (7) bits after the leading one,
which from 1 upwards is rounding to float16 (bfloat16). That this is how they came about is a
guess; all 8 numbers fit it, and no constant step fits the four of a line.

![Step between neighbouring values against magnitude](spacing.svg)

([spacing.csv](spacing.csv))

## 2. The statements

- *"E4M3: about ±0.06 to ±448."* The largest value is {largest}. The smallest normal is
  {normal}, the smallest subnormal {smallest}: {below} positive values lie below 0.06, and so
  would {weights_below} of weights drawn as 0.1 randn. (0.0625 is E4M3's unit roundoff; the two
  may have been mixed up.)
- *"E5M2: about ±57344, with lower precision."* Right. Its smallest value is {smallest5}.
- *Value = (-1)^s 2^(e-bias) (1 + m / 2^bits), bias 7 and 15.* Right for normal numbers.
  Subnormals and NaN are not mentioned.
- *FP8 quantisation in the forward pass.* The grid has {grid} values for "E4M3", {bits} bits,
  and {grid5} for "E5M2", {bits5} bits. Of its results {on_grid_w} (weights 0.1 randn) and
  {on_grid_x} (inputs randn) are E4M3FN values. Its signal-to-noise ratio is {sqnr_w} dB for
  weights and {sqnr_x} dB for inputs, where E4M3FN's is {sqnr_fp8} dB for both
  ([grids.csv](grids.csv), n = 1,000,000 each).
- *1.5 to 2 times the speed, half the memory, on real hardware.* Nothing here measures that, and
  the page says itself that a simulation cannot.
- *"The loss of FP8 is slightly higher, because of quantisation noise."* Not from this code: see
  section 6.

## 3. The code as printed

It stops ({stops}): NumPy and Matplotlib are not imported. With those two imports added and
nothing else changed it runs. Output that it can produce: the line of original values, the first
two numbers of each line of conversions, the form of the lines of epochs. Output that it cannot:
the heading, the other conversions, and the losses (section 5). Times depend on the machine.

The audit does not contain that code. `torch_nets.py` restates what it does, and `audit.py
--page PAGE` runs both: in {experiments} experiments of 2 trainings, with torch {torch},
{differ} gave another loss in any digit. (SHA-256 of the page's Python blocks: `{sha}`.)

## 4. What trains

Rounding is a staircase: flat nearly everywhere, so its derivative is 0, and `torch.round` says
so. Both operands of each layer pass through it, so nothing behind a rounding gets a gradient:
no weight, and not the first bias either, since its way to the loss leads through the second
layer's rounded input. What is left is the last bias, which is not rounded.

Norms of gradients (nat), mean over the {steps} steps of n = {seeds} runs, ± standard error over
runs; and parameters that were different after training in any run:

{gradients}

**{trains} of {parameters} parameters train.** In the middle column the same rounding lets the
gradient pass ("straight through"), which is what FP8 training does: then all of them do.

![Norms of gradients, layer by layer](gradients.svg)

([gradients.csv](gradients.csv))

### The loss scale

A loss scale is there to lift small gradients above the bottom of a narrow format. Here
gradients are float32 and nothing narrows them. Multiplying by a power of two and dividing by it
again is exact in float32 unless something overflows or is subnormal, so weights after training
have the same bits with scale 1, 128 and 65,536:

{scales}

With 1,000, no power of two, last bits change. If gradients were not unscaled, Adam would hardly
notice either: it divides by their size, and only its eps of 1e-8 is then too small by the
factor of the scale. Unscaling before the step, as the page does, is right.

- E5M2 is never used: the formats of the {experiments} experiments' layers are {formats} alone.
  Of {roundings} roundings {backward} were in a backward pass.
- The scaler cannot grow: its only change is a factor of 0.5. It ended at {scale_ends} (FP32 and
  "FP8") in all {experiments} experiments. Shown one infinite gradient it goes from
  {scale_before} to {scale_after}, and after {clean_steps} clean steps it is still
  {scale_clean}. PyTorch's doubles after 2,000.

## 5. The printed loss curves

The experiment with {seeds} seeds, everything else as printed; the standard deviation is that of
a single run:

{curves}

![Printed losses, and the losses of its code](curves.svg)

([curves.csv](curves.csv), from [runs.csv](runs.csv))

Neither curve is one of this code's. The "FP8" curve learns {learned8_printed}, where ten biases
learn {learned8}: {learned8_far} standard deviations. It must be of a version whose weights
trained. The FP32 curve learns too little, {learned32_printed} instead of {learned32}. We do not
know what settings gave it; that printed output is older than the printed code happens easily.

## 6. What its "FP8" measures

The two models differ in three things: "FP8" has weights 0.1 randn and zero biases where FP32
has nn.Linear's (uniform, within 1/sqrt(features)); it cannot train; and it rounds. Taken one
after the other, as paired differences of the mean loss (same seed: same data and order, and
where the weights are drawn alike, the same weights):

{parts}

At epoch 1 most of the gap ({gap1}) is the initial weights ({init1}): 0.1 randn makes logits
more than twice as large (their standard deviation is 0.57 instead of 0.25), and a net that is
sure before it has learned anything has a larger loss. At epoch 5 most of it ({gap5}) is that
nothing trains ({frozen5}). The rounding adds {rounding5}; with the gradient passed on,
{through5}. So even repaired, its quantiser is too fine to show what FP8 does.

![What the tutorial's "FP8" loss is made of](parts.svg)

(Points of one epoch are drawn side by side so that equal ones can be seen;
[variants.csv](variants.csv), [parts.csv](parts.csv).)

## 7. Its experiment, done correctly

The same net, data, optimizer, batches and epochs, with `fp8num.nn`: operands of every matrix
product rounded to E4M3FN forward and E5M2 for gradients, straight through, float32 weights in
Adam; scaled per tensor as TransformerEngine (te-current) or torchao does it, and not at all.
Each seed gives all of them the same data, initial weights and order. Loss minus that of
float32:

{costs}

"After the last" is the loss of the final net on all its training data.

![What FP8 costs: loss minus that of float32](costs.svg)

([costs.csv](costs.csv), from [correct.csv](correct.csv))

- FP8 costs {cost_te} (te-current) and {cost_torchao} (torchao) at epoch 5: {cost_share} of what
  float32 learns. The printed gap was {printed_gap}.
- Unscaled it is {cost_unscaled}. Both signs occur, many standard errors from 0: so small a
  difference can be systematic and still be no verdict on a recipe, only on this net. In every
  epoch every recipe is within {cost_bound} of float32 (largest mean and two standard errors).
- Why pairs: two runs of different seeds differ by {single} (standard deviation), those of a
  pair by {paired_sd}. One run of each, with other initial weights, as in the tutorial, cannot
  see this.
- The tutorial's loss scale of 128, now with E5M2 gradients that it does act on: {scale_effect}.
  In this net few gradients are too small for E5M2 (next table), so it decides nothing here
  either.
- Labels are random, so held-out accuracy is chance: {chance}, standard errors up to
  {chance_error}; what is measured is learning by heart.
- A check of one library by the other: at epoch 5 float32 has {ours} here and {theirs} in
  PyTorch.

What the casts did, means over the steps that were looked at (0, 20, 40, 60, 79), n runs:

{casts}

([casts.csv](casts.csv) has the others, with standard errors.)

## What the tutorial has right

Weights and biases stay float32 and the optimizer works on them; values are clipped and not
overflown; the order scale, backward, unscale, look for NaN and infinity, step or skip is the
right one; the baseline is trained with the same data; it says that a simulation shows no speed,
and that FP8 is not for everything. With four changes it would be what it means to be: round to
the format's own values; pass the gradient through; round gradients to E5M2, with a scale; start
both models from the same weights, more than once.

## Repeat it

```
python reports/tutorial/audit.py                  # all; without PyTorch, its results are kept
python reports/tutorial/audit.py --page PAGE      # the tutorial's own code too
python reports/tutorial/audit.py --quick --check  # do tables, figures and page follow?
```

The same versions of PyTorch (this page: {torch}) and NumPy on the same kind of processor give
the same bytes; others, results within the errors.
"""
