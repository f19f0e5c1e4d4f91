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

import fp8num as fp
from fp8num.analysis import analyze_tensor
from fp8num.cli import main
from fp8num.inputs import builtin_tensors
from fp8num.report import figures

ROOT = Path(__file__).resolve().parent.parent
FORMATS = ["E4M3FN", "E5M2", "E3M4", "HIFLOAT8", "E2M1FN"]


def draw_windows() -> None:
    """Draw the gradients of the built-in classifier over the windows of five formats."""
    tensors = {tensor.name: tensor for tensor in builtin_tensors()}
    formats = [fp.get_format(name) for name in FORMATS]
    analysis = analyze_tensor(tensors["softmax.logits_grad"], formats)
    svg = figures.exponent_histogram(analysis)
    (ROOT / "docs" / "windows.svg").write_text(svg + "\n", encoding="utf-8")


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
