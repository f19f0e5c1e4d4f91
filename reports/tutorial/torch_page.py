"""
Run the page's own code: its blocks as printed, with what they lack added by name.

::

    the page (Markdown) --blocks--> text of its Python blocks
    blocks --load--> namespace of its functions, and the list of repairs that it took

The page is not part of this project: whoever has it gives its path.  What the audit says rests
on `torch_nets`, a restatement; this module shows that both give the same bits.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Loaded", "blocks", "load", "losses"]

#: What a name stands for that a block uses and no block imports.
MISSING: Mapping[str, str] = {"np": "numpy", "plt": "matplotlib.pyplot"}
#: The last block runs the experiment and draws; the experiment is run from here instead.
RUNS = "losses_fp32, losses_fp8 = run_comparison_experiment()"


@dataclass(frozen=True)
class Loaded:
    """The page's functions by name, what it printed, where it stopped, and its digest."""

    names: dict[str, Any]
    printed: str
    repairs: list[str]
    sha256: str


def blocks(page: Path) -> list[str]:
    """Return the Python blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def load(page: Path) -> Loaded:
    """
    Run the blocks up to the one that trains, each again with what it was found to lack.

    Raises
    ------
    ValueError
        If the page is another one.
    """
    found = blocks(page)
    if not found or not found[-1].startswith(RUNS):
        msg = f"page must be the tutorial, whose last block starts with {RUNS!r}; got {page.name}"
        raise ValueError(msg)
    names: dict[str, Any] = {}
    repairs: list[str] = []
    out = io.StringIO()
    for number, block in enumerate(found[:-1], 1):
        with contextlib.redirect_stdout(out):
            repairs += [f"block {number}: {repair}" for repair in _run(block, names)]
    stops = sorted(name for name in MISSING if re.search(rf"\b{name}\.", found[-1]))
    repairs += [
        f"block {len(found)}: NameError, name '{name}'" for name in stops if name not in names
    ]
    digest = hashlib.sha256("".join(found).encode()).hexdigest()
    return Loaded(names, out.getvalue(), repairs, digest)


def _run(block: str, names: dict[str, Any]) -> list[str]:
    """Run a block, adding the imports that it stops for want of; return those."""
    repairs: list[str] = []
    while True:
        try:
            exec(block, names)  # noqa: S102 - this is what the module is for
        except NameError as error:
            if error.name not in MISSING or error.name in names:
                raise
            names[error.name] = importlib.import_module(MISSING[error.name])
            repairs.append(f"NameError, {str(error).partition(' is')[0]}")
            continue
        return repairs


def losses(loaded: Loaded, seed: int) -> tuple[list[float], list[float]]:
    """Run the page's experiment from a seed; return the mean losses of its epochs."""
    import torch

    torch.manual_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        fp32, fp8 = loaded.names["run_comparison_experiment"]()
    return fp32, fp8
