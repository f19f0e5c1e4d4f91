"""What is said of scales that are powers of two, from its tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from common import TASKS, Answer, Page, image, plus_minus, table
from scales_figures import casts_figure, pairs_figure, persistence_figure
from scales_part import CAST_SEEDS, PAIRS
from words import LOSS, clear, contrasts_table, find, listed, percent, statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["TITLE", "page"]

TITLE = "Powers of two against float32 scales"
Row = dict[str, Any]
NULL = "torchao-tensorwise"

TEXT = """\
**Asked.** A scale that is a power of two costs up to one binade of range, and multiplying by it
never rounds. Does training show a difference from float32 scales? If it is small, can it have a
direction all the same, and where would that come from?

**How.** Pairs of recipes that differ in the scales alone: `te-current` (one scale for a tensor,
E4M3FN forward, E5M2 gradients) and the same with its scale rounded down to a power of two;
`te-block` with float32 scales and with its powers of two; `deepseek` and the same with UE8M0
scales. As a yardstick a pair that has float32 scales twice: `torchao-tensorwise` computes
`te-current`'s scales in another order, and differs from it in last bits. Both tasks, {n} seeds.

**Came out: training.** {trained}

{pairs_image}

{pairs}

Differences of `{null}` from `te-current` are what last bits grow into. The standard deviation of
one pair's log-loss difference is, {spreads}. The means above are smaller: seen in one pair, such a
difference says nothing about scales.

**Came out: the same nets without training.** Nets trained in float32 are evaluated with casts of
inputs and weights, {n} seeds: nothing can drift apart, so much smaller differences show.

{evaluated}

{evaluated_text}

**Came out: cast by cast.** The tensors of trainings with `te-current`, every tenth step, {casts_n}
seeds, each cast with both scales. *Error* is the root of the ratio of the sums of squares; *sum*
is by how much the sum of magnitudes changes; the last columns are shares of nonzero elements, and
the error of
the largest element.

{casts_image}

{casts}

Which of these are real, and how large:

- **Values with few bits stay exact.** Pixels are k / 16. Times the power of two 256 they are
  multiples of 16 up to 256, which E4M3FN holds; times 448 they are 28 k, and 28 · 3 = 84 needs 5
  bits. With a float32 scale {digits_exact} of the nonzero pixels are exact and the sum of all
  pixels changes by {digits_sum}, always in the same pixels and direction; with a power of two
  nothing changes at all. That is peculiar to data on a grid: of the teacher's Gaussian inputs the
  error differs by {teacher_error}.
- **The largest element is exact only with a float32 scale**, which maps it onto the largest value
  (error 2e-8, from rounding the scale); with a power of two it errs like any other ({largest}).
  That can matter where many elements lie near the largest, as in the gradient of the logits, where
  every confident wrong guess has about 1 / 64: the change of its error, in parts of it, is
  {logits}.
- **Where in its binade the largest element lies** is always the same with a float32 scale, at 1.75
  times a power of two, and with a power of two it depends on the tensor. This and the above change
  errors a little, in both directions; beyond three standard errors are: {binade}.
- **Range.** More is flushed with a power of two, as up to a binade is unused, but here it
  is next to nothing either way: at most {flushed_most} with a power of two, in
  {flushed_where}, {flushed_more} more than with float32.
- **Rounding to nearest makes numbers smaller, with either scale.** The sum of |x| changes by
  {shrink_e4m3} in E4M3FN tensors and {shrink_e5m2} in E5M2 ones (without the pixels and the logits'
  gradient). Around a power of two the values above are twice as far apart as those below, so more
  is rounded down to it than up. For magnitudes that are uniform up to a power of two this is
  -1/16 of the square of the spacing at 1, -0.098 % and -0.39 %; for log-uniform ones a third of
  that. It is a bias against float32 arithmetic; between the kinds of scales the difference is
  {shrink_difference}.

**How long errors last.** Correlation of the errors of the same weights some steps apart (mean of
the layers), in the first quarter of the steps, with a high learning rate, and in the last:

{persistence_image}

{persistence}

{persistence_text}

**Not shown.** Which kind of scale is better for large nets; what happens in recipes with
saturating scales (a power of two rounded up, as the OCP rule for MX may be); that the error of the
pixels makes trained nets worse: a net learns with the pixels that it gets, and in training the
difference of log-loss on the digits is {digits_trained}.
"""


def page(tables: Mapping[str, pd.DataFrame]) -> Page:
    """Say what came out."""
    pairs, casts = tables["scales_pairs"], tables["scales_casts"]
    evaluated, lasting = tables["scales_evaluated"], tables["scales_persistence"]
    text = TEXT.format(
        n=int(tables["scales"]["n"].max()), null=NULL, casts_n=int(casts["n"].max() or CAST_SEEDS),
        trained=_trained(pairs),
        pairs_image=image("scales_pairs", "differences of pairs that differ in their scales"),
        pairs=contrasts_table(pairs, statements(pairs)),
        spreads=_spreads(pairs),
        evaluated=_evaluated(evaluated),
        evaluated_text=_evaluated_text(evaluated),
        casts_image=image("scales_casts", "differences of errors between both casts"),
        casts=_casts(casts),
        digits_exact=percent(_cast(casts, "digits", "inputs", "exact")["float32"]),
        digits_sum=_two_sided(_cast(casts, "digits", "inputs", "magnitude"), "float32"),
        teacher_error=_relative(_cast(casts, "teacher", "inputs", "error")),
        largest=_largest(casts),
                logits=_logits(casts),
        binade=_binade(casts),
        **_flushed(casts),
        shrink_e4m3=_range(casts, "E4M3FN"),
        shrink_e5m2=_range(casts, "E5M2"),
        shrink_difference=_shrink_difference(casts),
        persistence_image=image("scales_persistence", "correlation of errors over steps"),
        persistence=_persistence(lasting),
        persistence_text=_persistence_text(lasting),
        digits_trained=_difference(_pair(pairs, "digits", "te-current-pow2")),
    )  # fmt: skip
    figures = {
        "scales_pairs": pairs_figure(
            {
                f"{recipe} − {baseline}": {
                    TASKS[data].label: _pair(pairs, data, recipe) for data in TASKS
                }
                for recipe, baseline in PAIRS.items()
            }
        ),
        "scales_casts": casts_figure(casts),
        "scales_persistence": persistence_figure(lasting),
    }  # fmt: skip
    return Page(TITLE, text, _answers(pairs, evaluated), figures)


def _records(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a table."""
    found: list[Any] = frame.to_dict("records")
    return found


# Trainings.


def _pair(pairs: pd.DataFrame, data: str, recipe: str) -> Row:
    return find(pairs[pairs["baseline"] == PAIRS[recipe]], data, recipe)


def _difference(row: Row) -> str:
    return f"{plus_minus(row[LOSS], row[f'{LOSS}_error'])} nat"


def _trained(pairs: pd.DataFrame) -> str:
    """Say which pairs differ."""
    of = statements(pairs)
    rows = [(data, recipe, _pair(pairs, data, recipe)) for recipe in PAIRS for data in TASKS]
    real = [one for one in rows if one[1] != NULL]
    within = [one for one in real if one[2]["decision"] == "within"]
    sure = [one for one in real if clear(one[2], LOSS, of)]
    hints = [one for one in real if clear(one[2], LOSS) and one not in sure]
    said = (
        f"Of {len(real)} comparisons {len(within)} are within "
        f"{100 * real[0][2]['margin']:g} points of accuracy. Log-loss differs for all statements "
        f"at once in: {_named(sure)}; only if a statement is taken alone in: {_named(hints)}."
    )
    means = [one[2][LOSS] for one in real]
    return (
        said
        + f" Mean differences of log-loss lie between {min(means):+.4f} and {max(means):+.4f} nat."
    )


def _named(rows: list[tuple[str, str, Row]]) -> str:
    return listed(
        f"{recipe} ({TASKS[data].label}, {_difference(row)})" for data, recipe, row in rows
    )


def _spreads(pairs: pd.DataFrame) -> str:
    """Write the standard deviations of single pairs' differences."""
    said = []
    for data in TASKS:
        found = {
            recipe: row[f"{LOSS}_error"] * math.sqrt(row["n"])
            for recipe in PAIRS
            for row in [_pair(pairs, data, recipe)]
        }
        others = [value for recipe, value in found.items() if recipe != NULL]
        said.append(
            f"on the {TASKS[data].label} task, {found[NULL]:.2g} nat for last bits and "
            f"{min(others):.2g} to {max(others):.2g} for the kinds of scales"
        )
    return "; ".join(said)


# Nets without training.


def _evaluated(frame: pd.DataFrame) -> str:
    rows = [
        (
            TASKS[row["data"]].label, what, scale, row["n"],
            plus_minus(row["loss"], row["loss_error"]),
        )
        for row in _records(frame)
        if ": " in row["casts"]
        for what, scale in [row["casts"].split(": ")]
    ]  # fmt: skip
    named = {"difference": "power of two − float32"}
    cells = [(task, what, named.get(scale, scale), n, loss) for task, what, scale, n, loss in rows]
    return table(("task", "cast", "scale", "n", "log-loss minus uncast / nat"), cells)


def _evaluation(frame: pd.DataFrame, data: str, casts: str) -> Row:
    (row,) = _records(frame[(frame["data"] == data) & (frame["casts"] == casts)])
    return row


def _evaluated_text(frame: pd.DataFrame) -> str:
    inputs = _evaluation(frame, "digits", "first inputs: difference")
    said = plus_minus(inputs["loss"], inputs["loss_error"])
    over = abs(inputs["loss"]) / inputs["loss_error"] if inputs["loss_error"] else math.nan
    return (
        f"Here the scale of the digits' inputs has an effect with a direction: {said} nat, "
        f"{over:.0f} standard errors from 0. Where it comes from is below."
    )


# Casts.


def _cast(frame: pd.DataFrame, data: str, tensor: str, measure: str, layer: str = "layer0") -> Row:
    (row,) = _records(
        frame[
            (frame["data"] == data)
            & (frame["layer"] == layer)
            & (frame["tensor"] == tensor)
            & (frame["measure"] == measure)
        ]
    )
    return row


def _two_sided(row: Row, name: str) -> str:
    return plus_minus(100 * row[name], 100 * row[f"{name}_error"]) + " %"


def _relative(row: Row) -> str:
    unit = 100 / row["float32"]
    return plus_minus(unit * row["difference"], unit * row["difference_error"]) + " % of it"


def _casts(frame: pd.DataFrame) -> str:
    rows = []
    for (data, layer, tensor, fmt), group in frame.groupby(
        ["data", "layer", "tensor", "format"], sort=False
    ):
        found = {row["measure"]: row for row in _records(group)}
        error, size = found["error"], found["magnitude"]
        shares = [
            f"{percent(found[name]['float32'])}, {percent(found[name]['power of two'])}"
            for name in ("flushed", "exact", "largest")
        ]
        rows.append(
            (
                f"{TASKS[str(data)].label}, {layer}", f"{tensor}, {fmt}", f"{error['float32']:.4f}",
                _relative(error), _two_sided(size, "float32"), _two_sided(size, "difference"),
                *shares,
            )
        )  # fmt: skip
    header = (
        "layer", "tensor", "error, float32", "power of two − float32", "sum, float32",
        "power of two − float32", "flushed, both", "exact, both", "largest, both",
    )  # fmt: skip
    return table(header, rows)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the tensors that are neither pixels nor gradients of logits."""
    last = frame["data"].map(frame.groupby("data")["layer"].max())
    pixels = (
        (frame["data"] == "digits") & (frame["layer"] == "layer0") & (frame["tensor"] == "inputs")
    )
    return frame[~pixels & ~((frame["layer"] == last) & (frame["tensor"] == "gradients"))]


def _ends(values: pd.Series) -> str:
    return f"{100 * values.min():.2g} to {100 * values.max():.2g} %"


def _largest(frame: pd.DataFrame) -> str:
    rows = _plain(frame)
    rows = rows[rows["measure"] == "largest"]
    said = [
        f"{fmt} {_ends(rows[rows['format'] == fmt]['power of two'])}" for fmt in ("E4M3FN", "E5M2")
    ]
    return "mean error " + " and ".join(said)


def _logits(frame: pd.DataFrame) -> str:
    said = []
    for data in TASKS:
        layer = frame[frame["data"] == data]["layer"].max()
        row = _cast(frame, data, "gradients", "error", layer)
        said.append(f"{_relative(row).removesuffix(' of it')} ({TASKS[data].label})")
    return " and ".join(said)


def _binade(frame: pd.DataFrame) -> str:
    """Name the tensors whose errors differ, without those that have a reason of their own."""
    rows = _plain(frame)
    found = [
        row
        for row in _records(rows[rows["measure"] == "error"])
        if abs(row["difference"]) > 3 * row["difference_error"]
    ]
    return listed(
        f"{row['tensor']} of {row['layer']}, {TASKS[row['data']].label} ({change})"
        for row in found
        for change in [_relative(row).removesuffix(" of it")]
    )


def _flushed(frame: pd.DataFrame) -> dict[str, str]:
    rows = frame[frame["measure"] == "flushed"]
    (top,) = _records(rows[rows["power of two"] == rows["power of two"].max()])[:1]
    return {
        "flushed_most": percent(top["power of two"]),
        "flushed_where": f"the {top['tensor']} of {top['layer']} ({TASKS[top['data']].label})",
        "flushed_more": _two_sided(top, "difference"),
    }


def _range(frame: pd.DataFrame, fmt: str) -> str:
    rows = _plain(frame)
    rows = rows[(rows["measure"] == "magnitude") & (rows["format"] == fmt)]
    both = [value for name in ("float32", "power of two") for value in rows[name]]
    return f"{100 * max(both):.2f} to {100 * min(both):.2f} %"


def _shrink_difference(frame: pd.DataFrame) -> str:
    rows = _plain(frame)
    rows = rows[rows["measure"] == "magnitude"]
    reach = rows["difference"].abs()
    clear_ = rows[reach > 3 * rows["difference_error"]]
    return (
        f"at most {100 * reach.max():.2f} %, of both signs, and beyond three standard errors in "
        f"{len(clear_)} of {len(rows)} tensors"
    )


# How long errors last.


def _lasting(frame: pd.DataFrame, data: str, what: str, phase: str, scale: str) -> dict[float, Row]:
    rows = _records(frame[
        (frame["data"] == data) & (frame["what"] == what) & (frame["phase"] == phase)
        & (frame["scale"] == scale)
    ])  # fmt: skip
    return {row["lag"]: row for row in rows}


def _written(row: Row | None, name: str = "alike") -> str:
    if row is None or math.isnan(row[name]):
        return "-"
    if row[f"{name}_error"] < 1e-6:  # the same errors, but for the rounding of sums
        return f"{row[name]:.4f}"
    return plus_minus(row[name], row[f"{name}_error"], sign=False)


def _persistence(frame: pd.DataFrame) -> str:
    rows = []
    for data in TASKS:
        for phase in ("first", "last"):
            for scale in ("float32", "power of two"):
                found = _lasting(frame, data, "weights", phase, scale)
                rows.append(
                    (
                        TASKS[data].label, f"{phase} quarter", scale,
                        *(_written(found.get(lag)) for lag in (1, 5, 20)),
                        _written(found.get(5), "held"), _written(found.get(0)),
                    )
                )  # fmt: skip
    header = ("task", "steps", "scale", "1 step apart", "5", "20", "5, weights held still",
              "left of the error's square in the mean over the quarter")  # fmt: skip
    return table(header, rows)


def _persistence_text(frame: pd.DataFrame) -> str:
    early, late = (
        _lasting(frame, "teacher", "weights", phase, "power of two") for phase in ("first", "last")
    )
    inputs = {
        scale: _lasting(frame, "teacher", "inputs", "epochs", scale)
        for scale in ("float32", "power of two")
    }
    pixels = _lasting(frame, "digits", "inputs", "epochs", "float32")
    still = [
        _lasting(frame, "teacher", "weights", phase, "float32").get(5)
        for phase in ("first", "last")
    ]
    other = _lasting(frame, "teacher", "weights", "first", "float32")
    return (
        "*Weights held still* puts the weights of one step under the scale of another. A power of "
        "two is then nearly always the same scale, and makes the same errors. A float32 scale "
        "moves with the largest weight at every step: on the teacher task, five steps take the "
        f"correlation to {_written(still[0], 'held')} early and {_written(still[1], 'held')} late. "
        "So it could average out errors that a power of two keeps; but in training it does not, "
        "because the weights move as well. Early they move across many values of the format, and "
        "errors are forgotten within a few steps with either scale (one step apart, "
        f"{_written(other.get(1))} with float32, {_written(early.get(1))} with a power of two). "
        "Late they stand almost still, the largest one too, and errors stay with either scale. "
        "Then the error of a weight is not noise that averages out over steps but a fixed "
        f"displacement: of its square {_written(late.get(0))} is left in the mean over the last "
        "quarter."
        "\n\nInputs are where the kinds differ. The same input has, from epoch to epoch, errors "
        f"with a correlation of {_written(inputs['float32'].get(1))} on the teacher task with a "
        "float32 scale, which depends on the largest number of the batch that it happens to be in, "
        f"and of {_written(inputs['power of two'].get(1))} with a power of two: each input is "
        "displaced in the same way in every epoch. In the mean over the epochs "
        f"{_written(inputs['float32'].get(0))} and {_written(inputs['power of two'].get(0))} of "
        "the error's square are left. (Of the digits every batch has the same largest pixel, 1, "
        f"and a float32 scale keeps its errors as well, {_written(pixels.get(1))}; a power of two "
        "makes none.)"
    )


def _answers(pairs: pd.DataFrame, evaluated: pd.DataFrame) -> list[Answer]:
    real = [_pair(pairs, data, recipe) for recipe in PAIRS if recipe != NULL for data in TASKS]
    of = statements(pairs)
    sure = [row for row in real if clear(row, LOSS, of)]
    means = [row[LOSS] for row in real]
    inputs = _evaluation(evaluated, "digits", "first inputs: difference")
    return [
        Answer(
            "Powers of two or float32 scales?",
            f"training shows a difference of log-loss in {len(sure)} of {len(real)} comparisons "
            f"(n = {real[0]['n']} pairs, means {min(means):+.4f} to {max(means):+.4f} nat)",
            TITLE,
        ),
        Answer(
            "Can so small a difference be systematic?",
            "yes: casting the digits' inputs with a power of two is exact, with a float32 scale it "
            f"is not, and trained nets show it ({plus_minus(inputs['loss'], inputs['loss_error'])} "
            f"nat without further training, n = {inputs['n']})",
            TITLE,
        ),
    ]
