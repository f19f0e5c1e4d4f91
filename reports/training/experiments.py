"""
Remake the experiments: ``python reports/training/experiments.py [--part NAME] [--quick]``.

::

    NAME_part.run     trainings          -> NAME*.csv, versions.json
    NAME_part.derive  from these files   -> *.svg, and its part of README.md

``--quick`` takes two seeds and few epochs, and writes to a folder of its own.  ``--keep`` trains
nothing and remakes what follows from the tables; ``--check`` writes nothing then, and fails on
a difference.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import common
import numpy as np
from figures import same
from page import page

from fp8num.nn import processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from common import Page, Part

__all__ = [
    "PARTS",
    "complete",
    "derived",
    "kept",
    "main",
    "part",
    "train_all",
    "train_part",
    "versions",
]

#: In the order of the page.
PARTS = (
    "recipes",
    "gradients",
    "scaling",
    "scales",
    "rounding",
    "accumulators",
    "loss_scaling",
)
VERSIONS = "versions.json"
WORKERS = 2


def part(name: str) -> Part:
    """Return a part's module."""
    return cast("Part", import_module(f"{name}_part"))


def versions() -> dict[str, Any]:
    """Return what the last bits depend on: NumPy's elementary functions, by version and CPU."""
    found: Any = np.show_config  # its stubs lack the mode
    simd = found(mode="dicts")["SIMD Extensions"]
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "simd": simd["found"],
    }


def train_part(name: str, executor: Executor | None, *, quick: bool = False) -> dict[str, str]:
    """Return the texts of a part's tables."""
    module = part(name)
    tables = module.run(executor, quick=quick)
    if set(tables) != set(module.TABLES):
        msg = f"part {name!r} must return {module.TABLES}, got {tuple(tables)}"
        raise ValueError(msg)
    return {f"{one}.csv": common.csv_text(tables[one]) for one in module.TABLES}


def derived(texts: Mapping[str, str], names: Iterable[str] = PARTS) -> dict[str, str]:
    """Return the texts of all that follows from the tables and versions: figures and page."""
    pages: dict[str, Page] = {}
    for name in names:
        module = part(name)
        pages[name] = module.derive(common.read_tables(module.TABLES, texts))
    found = {
        f"{figure}.svg": drawing
        for one in pages.values()
        for figure, drawing in one.figures.items()
    }
    found["README.md"] = page(pages, json.loads(texts[VERSIONS]))
    return found


def kept(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the texts of tables and versions that are there."""
    files = [VERSIONS, *(f"{table}.csv" for name in names for table in part(name).TABLES)]
    return {
        name: (folder / name).read_text(encoding="utf-8")
        for name in files
        if (folder / name).exists()
    }


def complete(texts: Mapping[str, str]) -> list[str]:
    """Return the parts whose tables are all there."""
    return [name for name in PARTS if all(f"{table}.csv" in texts for table in part(name).TABLES)]


def train_all(names: Sequence[str], folder: Path, *, quick: bool) -> None:
    """Train, part by part, and write what each gives as soon as it is there."""
    with processes(WORKERS) as executor:
        for name in names:
            start = time.perf_counter()
            texts = train_part(name, executor, quick=quick)
            for file, text in texts.items():
                common.write(folder / file, text)
            said = json.loads(kept(folder, [])[VERSIONS]) if (folder / VERSIONS).exists() else {}
            said[name] = versions()
            ordered = {one: said[one] for one in PARTS if one in said}
            common.write(folder / VERSIONS, json.dumps(ordered, indent=1) + "\n")
            sys.stderr.write(f"{name}: {time.perf_counter() - start:.0f} s\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Remake the folder, or compare."""
    parser = argparse.ArgumentParser(description="Remake the experiments on training.")
    parser.add_argument(
        "--part",
        action="append",
        type=lambda name: name.replace("-", "_"),
        choices=PARTS,
        help="this one (repeatable)",
    )
    parser.add_argument("--quick", action="store_true", help="two seeds, few epochs")
    parser.add_argument("--keep", action="store_true", help="train nothing, keep the tables")
    parser.add_argument("--check", action="store_true", help="with --keep: fail on a difference")
    parser.add_argument("--folder", type=Path, help="where to write, by default here")
    parsed = parser.parse_args(arguments)
    if parsed.check and not parsed.keep:
        parser.error("--check compares what follows from the tables: use it with --keep")
    folder = parsed.folder or common.FOLDER
    if parsed.quick and not parsed.folder:
        folder = Path(tempfile.mkdtemp(prefix="training-"))
        sys.stderr.write(f"quick results, of two seeds, are in {folder}\n")
    folder.mkdir(parents=True, exist_ok=True)
    if not parsed.keep:
        train_all(parsed.part or PARTS, folder, quick=parsed.quick)
    texts = kept(folder, PARTS)
    made = derived(texts, complete(texts))
    if parsed.check:
        wrong = [name for name, text in made.items() if not same(_old(folder / name), text)]
        if wrong:
            msg = f"these differ: {', '.join(wrong)}"
            raise SystemExit(msg)
        return 0
    for name, text in made.items():
        common.write(folder / name, text)
    return 0


def _old(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    raise SystemExit(main())
