"""
Remake the audit of the tutorial: ``python reports/tutorial/audit.py [--page PAGE]``.

::

    torch_part    (needs PyTorch)  -> runs.csv gradients.csv scales.csv facts.json
    correct_part  (fp8num alone)   -> correct.csv casts.csv
    audit_tables  audit_figures    -> the other CSV files, *.svg
    audit_page                     -> README.md

Where PyTorch is not installed, its raw results are kept.  ``--quick`` keeps the runs of fp8num
too and remakes tables, figures and page; ``--check`` writes nothing and fails on a difference.
"""

from __future__ import annotations

import argparse
import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import audit_figures as figures
import audit_tables as tables
import correct_part
import pandas as pd
from audit_page import page
from figures import same

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["derived", "main", "raw"]

FOLDER = Path(__file__).resolve().parent
RAW = ("runs.csv", "gradients.csv", "scales.csv", "facts.json", "correct.csv", "casts.csv")


def raw(*, page_file: Path | None = None, quick: bool = False) -> dict[str, str]:
    """Return the text of the raw results, made anew where that is wanted and possible."""
    texts: dict[str, str] = {}
    if not quick:
        texts |= correct_part.remake()
        if find_spec("torch"):
            import torch_part

            texts |= torch_part.remake(page_file)
    for name in RAW:
        if name not in texts:
            texts[name] = (FOLDER / name).read_text(encoding="utf-8")
    return texts


def derived(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the text of everything that follows from the raw results."""
    runs, gradients, scales, correct, casts = (
        pd.read_csv(io.StringIO(texts[name])) for name in RAW if name.endswith("csv")
    )
    facts = json.loads(texts["facts.json"])
    frames = {
        "conversions": tables.conversions(),
        "grids": tables.grids(),
        "spacing": tables.spacing(),
        "curves": tables.curves(runs),
        "variants": tables.variants(runs),
        "parts": tables.parts(runs),
        "costs": tables.costs(correct),
    }
    found = {f"{name}.csv": csv_text(frame) for name, frame in frames.items()}
    found["spacing.svg"] = figures.spacing_figure(frames["spacing"])
    found["curves.svg"] = figures.curves_figure(frames["curves"])
    found["parts.svg"] = figures.parts_figure(frames["variants"])
    found["gradients.svg"] = figures.gradients_figure(gradients)
    found["costs.svg"] = figures.costs_figure(frames["costs"])
    found["README.md"] = page(
        frames, gradients=gradients, scales=scales, correct=correct, casts=casts, facts=facts
    )
    return found


def csv_text(frame: pd.DataFrame) -> str:
    """Write a table; six digits after the point are those of the raw losses."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Remake the folder, or compare."""
    parser = argparse.ArgumentParser(description="Remake the audit of the tutorial.")
    parser.add_argument("--page", type=Path, help="the tutorial's page, to run its own code too")
    parser.add_argument("--quick", action="store_true", help="keep the raw results")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    parsed = parser.parse_args(arguments)
    texts = raw(page_file=parsed.page, quick=parsed.quick)
    texts |= derived(texts)
    if parsed.check:
        wrong = [name for name, text in texts.items() if not same(_old(name), text)]
        if wrong:
            msg = f"these differ: {', '.join(wrong)}"
            raise SystemExit(msg)
        return 0
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


def _old(name: str) -> str | None:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    raise SystemExit(main())
