"""
Remake what this folder and docs/ hold.  `tox -e reports` runs it and fails on a difference.

docs/windows.svg is the README's picture; docs/scaling-rules.md is made from the rules'
data (reports/rules.py); reports/builtin/ is the default report's table,
rounded to digits that do not depend on the version of a mathematical library.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import rules
from figures import finished, panels

from fp8num import plot
from fp8num.analysis import analyze_tensor
from fp8num.cli import main
from fp8num.inputs import builtin_tensors

ROOT = Path(__file__).resolve().parent.parent
FORMATS = ["E4M3FN", "E5M2", "E3M4", "HIFLOAT8", "E2M1FN"]


def draw_windows() -> None:
    """Draw the gradients of the built-in classifier over the windows of five formats."""
    tensors = {tensor.name: tensor for tensor in builtin_tensors()}
    analysis = analyze_tensor(tensors["softmax.logits_grad"], FORMATS)
    figure, (ax,) = panels(height=4.4)
    plot.windows(analysis, ax=ax)
    names = {"unit": "no scale", "tensor": "per-tensor scale"}
    for bars in ax.containers:
        bars.set_label(names.get(bars.get_label(), bars.get_label()))
    held = analysis.distribution
    description = f"{held.nonzero} nonzero elements from {held.amin:.3g} to {held.amax:.3g}"
    svg = finished(figure, f"Magnitudes of {analysis.name} and the range of formats", description)
    (ROOT / "docs" / "windows.svg").write_text(svg, encoding="utf-8")


def tabulate_builtin() -> None:
    """Keep the default report's rows, to four significant digits."""
    with tempfile.TemporaryDirectory() as folder:
        assert main(["report", "--no-training", "--output", folder, "--no-progress"]) == 0
        frame = pd.read_csv(Path(folder) / "report.csv")
    out = ROOT / "reports" / "builtin"
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / "report.csv", index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    draw_windows()
    tabulate_builtin()
    rules.main()
