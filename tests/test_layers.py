"""Imports point one way: from what is used to what uses it, never back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fp8num

ROOT = Path(fp8num.__file__).parent
LAYERS = (
    "formats", "projection", "_kernels", "codec", "ops", "scaled", "accumulate", "scaling",
    "analysis", "verify strategies", "nn", "inputs scan",  # side by side
    "report", "cli",
)  # fmt: skip
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row.split()}
PATHS = sorted(ROOT.rglob("*.py"))


def layer_of(path: Path) -> str:
    """The first folder or module below the package."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def layers_imported_by(path: Path) -> set[str]:
    """Every layer that a file imports, at its top, in a function or for type checking."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        parts = [name.split(".") for name in names]
        found |= {part[1] for part in parts if part[0] == "fp8num" and len(part) > 1}
    return found & RANK.keys()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    """A layer imports itself and lower layers only."""
    layer = layer_of(path)
    if layer in {"__init__", "__main__"}:  # these may import anything
        return
    assert layer in RANK, f"{layer} has no place among the layers"
    wrong = {name for name in layers_imported_by(path) - {layer} if RANK[name] >= RANK[layer]}
    assert not wrong, f"{layer} must not import {sorted(wrong)}"


def test_an_upward_import_is_noticed(tmp_path: Path) -> None:
    """The reader of imports sees each way of writing one."""
    file = tmp_path / "x.py"
    file.write_text("import fp8num.cli\ndef f():\n    from fp8num import report\n")

    assert layers_imported_by(file) == {"cli", "report"}


def test_the_reference_shares_no_code_with_the_codec() -> None:
    """It sees parameters and names of modes, nothing that the codec computes with."""
    files = [path for path in PATHS if path.is_relative_to(ROOT / "verify" / "reference")]

    imported = set().union(*map(layers_imported_by, files)) - {"verify"}

    assert files
    assert imported == {"formats", "projection"}
