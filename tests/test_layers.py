"""Imports point one way: from what shows results down to what a format is."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.find_spec("fp8num")
assert _SPEC is not None
assert _SPEC.origin is not None
ROOT = Path(_SPEC.origin).parent

#: Lowest first.  What stands in one row stands side by side: only what is joined by a plus
#: may import each other.
LAYERS = (
    "_interrupt _names _tasks _text",
    "_files",
    "_reading",
    "_archives",
    "_arguments",
    "_records",
    "formats",
    "projection",
    "_kernels",
    "codec",
    "ops",
    "scaled",
    "accumulate",
    "scaling",
    "analysis",
    "verify+strategies nn inputs+scan",
    "plot torch explain",
    "report",
    "cli",
)
RANK = {
    name: rank
    for rank, row in enumerate(LAYERS)
    for group in row.split()
    for name in group.split("+")
}
GROUP = {name: group for row in LAYERS for group in row.split() for name in group.split("+")}
#: They may import anything; `_hypothesis` is what Hypothesis loads, and must load little itself.
TOP = {"__init__", "__main__", "_hypothesis"}
#: They may import the package itself, for `fp8num.__version__`.
SHOWS_THE_VERSION = {"report", "cli"}


def layer_of(path: Path) -> str:
    """Return the name below fp8num that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def modules_imported_by(source: str, package: tuple[str, ...]) -> set[str]:
    """Return the dotted names below fp8num that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # relative: from the package, one level up for each further dot
                above = package[: len(package) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            # `from fp8num import codec` imports fp8num.codec
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "fp8num" else [base]
        found |= {name.removeprefix("fp8num.") for name in names if name.startswith("fp8num.")}
        if "fp8num" in names:
            found.add("__init__")
    return found


def layers_imported_by(path: Path) -> set[str]:
    """Return the layers that a file imports; a public name counts as its home."""
    package = ("fp8num", *path.relative_to(ROOT).parent.parts)
    names = modules_imported_by(path.read_text(encoding="utf-8"), package)
    return {name.split(".")[0] for name in names}


def wrong_imports(layer: str, imported: set[str]) -> set[str]:
    """Return which imported layers are neither below, nor the layer itself or its companion."""
    if layer in SHOWS_THE_VERSION:
        imported = imported - {"__init__"}
    return {
        name
        for name in imported
        if name not in RANK or (GROUP[name] != GROUP[layer] and RANK[name] >= RANK[layer])
    }


FILES = sorted(ROOT.rglob("*.py"))


def test_imports_point_down(each: Any) -> None:
    """A layer imports itself and lower layers only, by their modules and not by the package."""

    def check(path: Path) -> None:
        layer = layer_of(path)
        if layer in TOP:
            return

        wrong = wrong_imports(layer, layers_imported_by(path))

        assert not wrong, f"{layer} must not import {sorted(wrong)}"

    each(FILES, check)


def test_every_module_has_a_layer(each: Any) -> None:
    """A new module is placed before it is used."""

    def check(path: Path) -> None:
        assert layer_of(path) in RANK.keys() | TOP

    each(FILES, check)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.relative_to(ROOT).parts[:2] == ("verify", "reference")],
    ids=lambda path: path.name,
)
def test_the_reference_shares_nothing_with_what_it_judges(path: Path) -> None:
    """It knows formats and the names of the modes, no more."""
    names = modules_imported_by(
        path.read_text(encoding="utf-8"), ("fp8num", *path.relative_to(ROOT).parent.parts)
    )
    allowed = {"formats", "projection"}
    assert {n for n in names if n.split(".")[0] not in allowed and "reference" not in n} <= {
        "verify"
    }


def test_the_reference_exists() -> None:
    """Whether one file or many: the test above looked at something."""
    assert any(path.relative_to(ROOT).parts[:2] == ("verify", "reference") for path in FILES)


@pytest.mark.parametrize(
    ("layer", "source", "wrong"),
    [
        ("codec", "from fp8num.report import page", {"report"}),
        ("codec", "def f():\n    import fp8num.cli", {"cli"}),
        ("codec", "from fp8num import encode", {"encode"}),
        ("codec", "import fp8num", {"__init__"}),
        ("report", "import fp8num", set()),
        ("report", "from fp8num import encode", {"encode"}),
        ("codec", "from .. import report", {"report"}),
        ("codec", "from ..report import page", {"report"}),
        ("codec", "from . import _arguments\nfrom ._arguments import check", set()),
        ("codec", "from fp8num._kernels.table import Table\nimport numpy", set()),
        ("inputs", "from fp8num import nn", {"nn"}),
        ("inputs", "from fp8num import scan", set()),
        ("verify", "from fp8num.strategies import values", set()),
        ("strategies", "from fp8num.inputs import npy", {"inputs"}),
        ("report", "from fp8num.inputs import npy", set()),
        ("plot", "from fp8num.report import page", {"report"}),
        ("plot", "from fp8num.nn.comparison import Comparison", set()),
        ("nn", "from fp8num.plot import curves", {"plot"}),
        ("formats", "from fp8num.unheard_of import x", {"unheard_of"}),
    ],
)
def test_a_wrong_import_is_noticed(layer: str, source: str, wrong: set[str]) -> None:
    """Upward, sideways, inside a function, relative, or of the whole package."""
    names = modules_imported_by(source, ("fp8num", layer))
    assert wrong_imports(layer, {name.split(".")[0] for name in names}) == wrong
