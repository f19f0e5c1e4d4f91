"""
Draw docs/architecture.svg: the packages, each with its question, and what imports what.

::

    docs/architecture.md: | package | question |  --.
    fp8num/**/*.py: imports ---------------------- dot (Graphviz) --> docs/architecture.svg

`tox -e architecture` runs it.  Imports that follow from others are left out.
"""

from __future__ import annotations

import ast
import re
import subprocess
import textwrap
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fp8num"
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = PAGE.with_suffix(".svg")


def questions() -> dict[str, str]:
    """Return the packages of the page's first table, in its order, with their questions."""
    table = PAGE.read_text(encoding="utf-8").split("\n## ")[1]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", table, re.MULTILINE)
    return dict(rows)


@cache
def imports() -> dict[str, set[str]]:
    """Return which packages each package imports, in functions and for types too."""
    names = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return {name: names & imported(PACKAGE / name) - {name} for name in names}


def imported(folder: Path) -> set[str]:
    """Return the parts of the package that the files of a folder import."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("fp8num.")}


def arrows() -> set[tuple[str, str]]:
    """Return the imports that do not follow from others."""
    direct = imports()

    def reached(name: str, seen: frozenset[str]) -> set[str]:
        if name in seen:
            return set()
        return {name}.union(*(reached(below, seen | {name}) for below in direct[name]))

    return {
        (above, below)
        for above, names in direct.items()
        for below in names
        if not any(below in reached(other, frozenset({above})) for other in names - {below})
    }


def graph() -> str:
    """Return the picture in Graphviz's language."""
    boxes = []
    for name, question in questions().items():
        lines = "".join(f"<br/>{line}" for line in textwrap.wrap(question, 34))
        text = f'<b>{name}</b><font point-size="10" color="#57606a">{lines}</font>'
        boxes.append(f"{name} [label=<{text}>];")
    lines = [f"{above} -> {below};" for above, below in sorted(arrows())]
    style = [
        'graph [bgcolor="white", ranksep=0.35, nodesep=0.2, tooltip="the packages of fp8num"];',
        'node [shape=box, style="rounded,filled", fillcolor="#f6f8fa", color="#d0d7de"];',
        'node [fontname="sans-serif", fontsize=13];',
        'edge [color="#57606a", arrowsize=0.6];',
    ]
    return "\n".join(["digraph fp8num {", *style, *boxes, *lines, "}"])


def main() -> None:
    """Draw the picture."""
    done = subprocess.run(
        ["dot", "-Tsvg"],  # noqa: S607 - Graphviz's, from wherever it is installed
        input=graph(),
        capture_output=True,
        text=True,
        check=True,
    )
    PICTURE.write_text(done.stdout, encoding="utf-8")


if __name__ == "__main__":
    main()
