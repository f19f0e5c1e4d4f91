"""
The raw results that need PyTorch: ``python reports/tutorial/torch_part.py [--page PAGE]``.

::

    runs.csv        losses of five epochs: a line for each seed, set and variant
    gradients.csv   norms of gradients and parameters that moved, over all seeds
    scales.csv      whether the loss scale changes a bit
    facts.json      versions, settings; what the page's own code did, when it was last at hand

Without ``--page`` the last is kept as it is: the rest does not need the page.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import platform
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import torch
import torch_nets as nets
import torch_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["SEEDS", "gradient_rows", "main", "page_facts", "remake", "run_rows", "scale_rows"]

FOLDER = Path(__file__).resolve().parent
SEEDS, SCALE_SEEDS = 200, 20
SCALES = (128.0, 65536.0, 1000.0)
#: Steps without an overflow that the page's scaler is shown, after one overflow.
CLEAN_STEPS = 10_000

Row = dict[str, "str | int | float"]


def run_rows(seeds: Iterable[int]) -> list[Row]:
    """Train as the tutorial does, and every variant in pairs; losses to seven digits."""
    rows: list[Row] = []
    for seed in seeds:
        sets = {"tutorial": nets.as_printed(seed)}
        sets["paired"] = {name: nets.paired(seed, name).losses for name in nets.VARIANTS}
        for kind, found in sets.items():
            for variant, losses in found.items():
                epochs = {f"epoch {i}": f"{loss:.6f}" for i, loss in enumerate(losses, 1)}
                rows.append({"set": kind, "variant": variant, "seed": seed, **epochs})
    return rows


def gradient_rows(seeds: Sequence[int]) -> list[Row]:
    """Follow the gradients of paired runs, layer by layer."""
    rows: list[Row] = []
    for variant in ("fp32", "through", "printed"):
        runs = [nets.paired(seed, variant, noted=True) for seed in seeds]
        starts = [dict(nets.started(seed, variant)) for seed in seeds]
        for name, parameter in runs[0].net.named_parameters():
            means = [fmean(run.norms[name]) for run in runs]
            moved = [
                int((dict(run.net.named_parameters())[name].detach() != start[name]).sum())
                for run, start in zip(runs, starts, strict=True)
            ]
            rows.append(
                {
                    "variant": variant,
                    "parameter": name,
                    "elements": parameter.numel(),
                    "n": len(runs),
                    "steps": len(runs[0].norms[name]),
                    "mean norm": f"{fmean(means):.6g}",
                    "standard error": f"{stdev(means) / len(means) ** 0.5:.2g}",
                    "largest norm": f"{max(max(run.norms[name]) for run in runs):.4g}",
                    "least reached": min(int(run.reached[name].sum()) for run in runs),
                    "most reached": max(int(run.reached[name].sum()) for run in runs),
                    "least moved": min(moved),
                    "most moved": max(moved),
                }
            )
    return rows


def words(run: nets.Trained) -> torch.Tensor:
    """Return the bits of all parameters."""
    return torch.cat([p.detach().flatten().view(torch.int32) for p in run.net.parameters()])


def scale_rows(seeds: Sequence[int]) -> list[Row]:
    """Train with other loss scales, and count the bits of weights that change."""
    rows: list[Row] = []
    for variant in ("fp32", "through", "printed"):
        plain = [nets.paired(seed, variant) for seed in seeds]
        for scale, unscale in [*((scale, True) for scale in SCALES), (128.0, False)]:
            runs = [nets.paired(seed, variant, scale=scale, unscale=unscale) for seed in seeds]
            both = list(zip(plain, runs, strict=True))
            changed = [int((words(one) != words(two)).sum()) for one, two in both]
            apart = [
                abs(a - b) for one, two in both for a, b in zip(one.losses, two.losses, strict=True)
            ]
            rows.append(
                {
                    "variant": variant,
                    "loss scale": f"{scale:g}",
                    "gradients unscaled": "yes" if unscale else "no",
                    "n": len(runs),
                    "weights": len(runs) * len(words(runs[0])),
                    "weights that differ": sum(changed),
                    "largest difference of a loss": f"{max(apart):.2g}",
                }
            )
    return rows


def page_facts(page: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Run the page's own code: what it prints, uses and changes; whether `torch_nets` is it."""
    loaded = torch_page.load(page)
    scalers, formats, in_backward = [], [], []
    _watch(loaded.names, scalers, formats, in_backward)
    differ = 0
    for seed in seeds:
        own = nets.as_printed(seed)
        differ += torch_page.losses(loaded, seed) != (own["fp32"], own["printed"])
    return {
        "sha256 of its Python blocks": loaded.sha256,
        "stops": loaded.repairs,
        "printed": loaded.printed.splitlines(),
        "experiments": len(seeds),
        "experiments that differ from the restatement": differ,
        "formats of its layers": sorted(set(formats)),
        "roundings": len(in_backward),
        "roundings in a backward pass": sum(in_backward),
        "loss scales at the end": sorted({scaler.scale_factor for scaler in scalers}),
        **_after_overflow(loaded.names["GradientScaler"]()),
    }


def _watch(
    names: dict[str, Any], scalers: list[Any], formats: list[str], in_backward: list[bool]
) -> None:
    """Keep what the page's classes are made with, and where its rounding is called."""
    layer, scaler = names["FP8Linear"], names["GradientScaler"]
    made, rounded, scaled = layer.__init__, layer.fp8_quantize, scaler.__init__

    def make_layer(self: Any, *args: Any, **options: Any) -> None:  # noqa: ANN401
        made(self, *args, **options)
        formats.append(self.fp8_format)

    def rounds(self: Any, tensor: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        in_backward.append(torch._C._current_graph_task_id() != -1)  # noqa: SLF001
        return rounded(self, tensor)

    def make_scaler(self: Any, *args: Any, **options: Any) -> None:  # noqa: ANN401
        scaled(self, *args, **options)
        scalers.append(self)

    layer.__init__, layer.fp8_quantize, scaler.__init__ = make_layer, rounds, make_scaler


def _after_overflow(scaler: Any) -> dict[str, float | int]:  # noqa: ANN401 - the page's class
    """Show the page's scaler an overflow, and then many steps without one."""
    before = scaler.scale_factor
    good, bad = torch.ones(3), torch.tensor([1.0, float("inf"), 1.0])
    with contextlib.redirect_stdout(io.StringIO()):
        scaler.check_and_update_scale([bad])
        after = scaler.scale_factor
        for _ in range(CLEAN_STEPS):
            scaler.check_and_update_scale([good])
    return {
        "scale before an overflow": before,
        "scale after it": after,
        f"scale after {CLEAN_STEPS} steps without another": scaler.scale_factor,
    }


def remake(page: Path | None = None) -> dict[str, str]:
    """Return the text of every file of raw results."""
    torch.set_num_threads(1)
    old = FOLDER / "facts.json"
    kept = json.loads(old.read_text(encoding="utf-8"))["page"] if old.exists() else None
    facts = {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "seeds": SEEDS,
        "page": page_facts(page, range(SEEDS)) if page else kept,
    }
    return {
        "runs.csv": table(run_rows(range(SEEDS))),
        "gradients.csv": table(gradient_rows(range(SEEDS))),
        "scales.csv": table(scale_rows(range(SCALE_SEEDS))),
        "facts.json": json.dumps(facts, indent=2, ensure_ascii=False) + "\n",
    }


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Write rows as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the raw results."""
    parser = argparse.ArgumentParser(description="Make the raw results that need PyTorch.")
    parser.add_argument("--page", type=Path, help="the tutorial's page, to run its own code too")
    for name, text in remake(parser.parse_args(arguments).page).items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
