"""Tests import a public name from where it is public, so that its home may change."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]
#: The folders that are asked; the others are to follow.
FOLDERS = ("codec", "formats", "net", "ops", "projection", "scaled")


def hidden(source: str) -> Iterator[str]:
    """Tell of names imported from a module, that a package above it exports."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("fp8num."):
            continue
        home = importlib.import_module(node.module or "")
        if hasattr(home, "__path__"):
            continue
        parts = home.__name__.split(".")[:-1]
        for length in range(len(parts), 0, -1):
            facade = importlib.import_module(".".join(parts[:length]))
            for name in {alias.name for alias in node.names} & {*getattr(facade, "__all__", ())}:
                if getattr(facade, name) is getattr(home, name):
                    yield f"{home.__name__}.{name} is {facade.__name__}.{name}"


def test_tests_import_public_names_from_facades() -> None:
    """In the folders that are asked; an import of what no facade has is not looked at."""
    found = [
        f"{path.relative_to(TESTS)}: {told}"
        for folder in FOLDERS
        for path in sorted((TESTS / folder).rglob("*.py"))
        for told in hidden(path.read_text(encoding="utf-8"))
    ]

    assert not found, "\n".join(found)


def test_an_import_past_a_facade_is_noticed() -> None:
    past = list(hidden("from fp8num.ops.convention import Convention"))

    assert past == ["fp8num.ops.convention.Convention is fp8num.ops.Convention"]
    assert not list(hidden("from fp8num.ops import add\nfrom fp8num._names import Catalogue"))
