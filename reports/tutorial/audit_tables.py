"""
What follows from the raw results: conversions, curves, differences, each with n and error.

::

    conversions()  printed numbers beside what the code gives and what FP8 is
    spacing()      the step between neighbours, against magnitude
    curves(runs)   printed losses in standard deviations of the runs
    parts(runs)    paired differences of one variant and the next
    costs(correct) paired differences of a recipe and float32

The tutorial's figures are quoted: AIInfra, CODE 03, "FP8 mixed-precision training", ZOMI.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import fp8num as fp

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "GRIDS",
    "INPUTS",
    "PRINTED_CONVERSIONS",
    "PRINTED_LOSSES",
    "STEPS",
    "conversions",
    "costs",
    "curves",
    "fixed_point",
    "floating",
    "grid_values",
    "grids",
    "parts",
    "spacing",
    "variants",
]

INPUTS = (0.123456, 1.23456, 12.3456, 123.456)
#: As the page prints them.
PRINTED_CONVERSIONS = {
    "E4M3": ("0.123047", "1.234375", "12.34375", "123.4375"),
    "E5M2": ("0.125", "1.234375", "12.375", "123.5"),
}
PRINTED_LOSSES = {
    "fp32": (2.3105, 2.2853, 2.2581, 2.2279, 2.1954),
    "printed": (2.3218, 2.2987, 2.2723, 2.2431, 2.2115),
}
#: For each of the page's names: the format that it means, and the quantiser that it has.
GRIDS = {"E4M3": ("E4M3FN", 1024, 448.0), "E5M2": ("E5M2", 128, 57344.0)}
#: Each variant and the one before it, from which it differs in one thing.
STEPS = (
    ("fp32", "randn", "initial weights 0.1 randn instead of nn.Linear's"),
    ("randn", "frozen", "only the last bias trains"),
    ("frozen", "printed", "rounding to multiples of 1/1024"),
    ("randn", "through", "rounding to multiples of 1/1024, gradients passed on"),
)
EPOCHS = [f"epoch {i}" for i in range(1, 6)]


def fixed_point(x: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Return what the page's quantiser makes of values: clipped, in multiples of a constant."""
    _, inverse, largest = GRIDS[name]
    clipped = np.clip(np.asarray(x, np.float64), -largest, largest)
    return np.asarray(np.round(clipped * inverse) / inverse, np.float32).astype(np.float64)


def floating(x: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Return values rounded to 10 (E4M3) or 7 (E5M2) bits after the leading one, none below 1."""
    _, inverse, _ = GRIDS[name]
    array = np.asarray(x, np.float64)
    step = np.exp2(np.maximum(np.floor(np.log2(np.abs(array))), 0)) / inverse
    return np.asarray(np.round(array / step) * step, np.float64)


def to_six(value: float) -> str:
    """Write a number as the page does: six places at most."""
    return f"{round(value, 6):.6f}".rstrip("0").rstrip(".")


def conversions() -> pd.DataFrame:
    """Return a row for each number that the page prints as FP8."""
    rows = []
    for name, printed in PRINTED_CONVERSIONS.items():
        fmt = fp.get_format(GRIDS[name][0])
        values = [float(value) for value in np.array(fmt.values) if math.isfinite(value)]
        right = fp.quantize(np.array(INPUTS), fmt).tolist()
        code = fixed_point(INPUTS, name).tolist()
        other = floating(INPUTS, name).tolist()
        for i, text in enumerate(printed):
            held = text in {to_six(value) for value in values}
            rows.append(
                {
                    "format": name,
                    "input": INPUTS[i],
                    "printed": text,
                    "is a value of": fmt.name if held else "",
                    "its code gives": to_six(code[i]),
                    "printed comes from its code": to_six(code[i]) == text,
                    "FP8": to_six(right[i]),
                    "FP8 code": f"0x{int(fp.encode(right[i], fmt)):02X}",
                    "error of printed": f"{abs(float(text) - INPUTS[i]) / INPUTS[i]:.2%}",
                    "error of FP8": f"{abs(right[i] - INPUTS[i]) / INPUTS[i]:.2%}",
                    "with moving step": to_six(other[i]),
                }
            )
    return pd.DataFrame(rows)


def grid_values(name: str) -> int:
    """Return how many values the page's quantiser has."""
    _, inverse, largest = GRIDS[name]
    return 2 * int(largest * inverse) + 1


def grids(n: int = 1_000_000, seed: int = 0) -> pd.DataFrame:
    """Return how the page's quantisers and FP8 treat weights 0.1 N(0, 1) and inputs N(0, 1)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    x = rng.standard_normal(n)
    rows = []
    for tensor, values in (("weights", 0.1 * x), ("inputs", x)):
        for name, (held, _, _) in GRIDS.items():
            fmt = fp.get_format(held)
            fixed = fixed_point(values, name)
            on_grid = float(np.mean(fp.quantize(fixed, fmt) == fixed))
            proper = fp.quantize(values, fmt)
            rows.append(
                {
                    "tensor": tensor,
                    "format": name,
                    "n": n,
                    "values of the quantiser": grid_values(name),
                    "bits to number them": math.ceil(math.log2(grid_values(name))),
                    "finite values of FP8": int(np.isfinite(fmt.values).sum()),
                    "share of outputs that are FP8 values": f"{on_grid:.4f}",
                    "its SQNR / dB": f"{_sqnr(values, fixed):.2f}",
                    "SQNR of FP8 / dB": f"{_sqnr(values, proper):.2f}",
                }
            )
    return pd.DataFrame(rows)


def _sqnr(x: npt.NDArray[np.float64], rounded: npt.NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.sum(x**2) / np.sum((x - rounded) ** 2)))


def spacing() -> pd.DataFrame:
    """Return, for each binade, the step between neighbouring values there."""
    rows = []
    for exponent in range(-18, 17):
        for name, (held, inverse, largest) in GRIDS.items():
            fmt = fp.get_format(held)
            assert fmt.emin is not None
            assert fmt.mantissa_bits is not None
            quantum = max(exponent, fmt.emin) - fmt.mantissa_bits
            for label, step, end in (
                (fmt.name, quantum, fmt.max),
                (f"tutorial's {name}", 1 - inverse.bit_length(), largest),
            ):
                if step <= exponent and 2.0**exponent <= end:
                    rows.append({"grid": label, "log2 magnitude": exponent, "log2 step": step})
    return pd.DataFrame(rows)


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the printed losses beside the runs of the tutorial's experiment, epoch by epoch."""
    rows = []
    for variant, printed in PRINTED_LOSSES.items():
        found = runs[(runs["set"] == "tutorial") & (runs["variant"] == variant)]
        losses = found[EPOCHS].to_numpy()
        # After the epochs, what has been learned between the first and the last.
        losses = np.column_stack([losses, losses[:, 0] - losses[:, -1]])
        quoted = [*printed, printed[0] - printed[-1]]
        for i, what in enumerate([*EPOCHS, "first minus last"]):
            column, told = losses[:, i], quoted[i]
            mean, sd = float(column.mean()), float(column.std(ddof=1))
            rows.append(
                {
                    "curve": {"fp32": "FP32", "printed": '"FP8"'}[variant],
                    "what": what,
                    "n": len(column),
                    "mean": mean,
                    "standard error": sd / math.sqrt(len(column)),
                    "standard deviation": sd,
                    "smallest": float(column.min()),
                    "largest": float(column.max()),
                    "printed": told,
                    "standard deviations away": (told - mean) / sd,
                    "runs at least as far": int(np.sum(abs(column - mean) >= abs(told - mean))),
                }
            )
    return pd.DataFrame(rows)


def parts(runs: pd.DataFrame) -> pd.DataFrame:
    """Return paired differences of neighbouring variants, and of the first and the last."""
    found = runs[runs["set"] == "paired"].set_index(["variant", "seed"])[EPOCHS]
    whole = ("fp32", "printed", 'all of it: the tutorial\'s "FP8" minus FP32')
    rows = []
    for before, after, what in (*STEPS, whole):
        rows += _differences(found.loc[after] - found.loc[before], what, f"{after} - {before}")
    return pd.DataFrame(rows)


def variants(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean loss of each variant, epoch by epoch."""
    rows = []
    found = runs[runs["set"] == "paired"]
    for variant, group in found.groupby("variant", sort=False):
        for i, epoch in enumerate(EPOCHS, 1):
            column = group[epoch]
            rows.append(
                {
                    "variant": variant,
                    "epoch": i,
                    "n": len(column),
                    "mean": float(column.mean()),
                    "error": float(column.sem()),
                    "standard deviation": float(column.std()),
                }
            )
    return pd.DataFrame(rows)


def costs(correct: pd.DataFrame) -> pd.DataFrame:
    """Return paired differences of each recipe and float32: epochs' losses, and at the end."""
    found = correct.set_index(["recipe", "seed"])
    columns = [*EPOCHS, "final loss"]
    rows = []
    for recipe in dict.fromkeys(correct["recipe"]):
        if recipe != "fp32":
            difference = found.loc[recipe, columns] - found.loc["fp32", columns]
            rows += _differences(difference, recipe, f"{recipe} - fp32")
    return pd.DataFrame(rows)


def _differences(frame: pd.DataFrame, what: str, which: str) -> list[dict[str, str | int | float]]:
    return [
        {
            "what": what,
            "difference": which,
            "at": at,
            "n": len(column),
            "mean": float(column.mean()),
            "standard error": float(column.std(ddof=1)) / math.sqrt(len(column)),
            "standard deviation": float(column.std(ddof=1)),
        }
        for at, column in frame.items()
    ]
