"""docs/architecture.md says what the code does: its table, its picture, its four walks."""

from __future__ import annotations

import importlib
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import fp8num

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
sys.path.append(str(ROOT / "reports"))
architecture = importlib.import_module("architecture")


def sections() -> dict[str, str]:
    """Return the page's sections by their titles."""
    parts = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


WALKS = [title for title in sections() if title.startswith("Walk: ")]


def snippet(text: str) -> str:
    """Return the Python of a section."""
    (found,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return found


def steps(text: str) -> list[tuple[str, str]]:
    """Return the functions of a section's table, with their files."""
    return re.findall(r"^\| `([\w.]+)` \| ([\w/]+\.py) \|", text, re.MULTILINE)


@cache
def passed(program: str) -> list[tuple[str, str]]:
    """Return the functions that the last statement passes when it runs again, and their files."""
    *before, last = program.strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join([*before, last]), names)  # noqa: S102 - the page's own lines
    found: dict[tuple[str, str], None] = {}
    home = f"{Path(fp8num.__file__).resolve().parent}/"

    def note(frame: FrameType, event: str, _: object) -> None:
        path = str(Path(frame.f_code.co_filename).resolve())
        if event == "call" and path.startswith(home) and "<" not in frame.f_code.co_name:
            found[frame.f_code.co_qualname, path.removeprefix(home)] = None

    sys.setprofile(note)
    try:
        exec(last, names)  # noqa: S102 - the same line
    finally:
        sys.setprofile(None)
    return list(found)


def test_every_package_has_one_question() -> None:
    """In the order of the layers, lowest first: none imports one that stands below it."""
    asked = list(architecture.questions())

    assert sorted(asked) == sorted(architecture.imports())
    for number, name in enumerate(asked):
        assert architecture.imports()[name] <= set(asked[:number]) | companions(name)


def companions(name: str) -> set[str]:
    """Return what may import each other."""
    return {"verify", "strategies"} if name in {"verify", "strategies"} else set()


def test_the_picture_has_the_packages_and_their_imports() -> None:
    """`tox -e architecture` draws it anew."""
    drawn = re.findall(r"<title>(.*?)</title>", architecture.PICTURE.read_text(encoding="utf-8"))
    arrows = {tuple(title.split("&#45;&gt;")) for title in drawn if "&gt;" in title}

    assert arrows == architecture.arrows()
    assert set(architecture.questions()) <= set(drawn)


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_passes_what_the_page_says(title: str) -> None:
    """The functions of its table, in this order, each in the file that is named."""
    text = sections()[title]
    done = passed(snippet(text))

    told = steps(text)
    assert [step for step in told if step not in done] == []
    assert told == sorted(told, key=done.index)


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_is_as_long_as_the_page_says(title: str) -> None:
    """In functions and files of the package, when the line runs for the second time."""
    text = sections()[title]
    done = passed(snippet(text))

    (said,) = re.findall(r"(\d+) functions in (\d+) files", text)
    assert said == (str(len(done)), str(len({path for _, path in done})))


def test_the_places_to_change_are_there() -> None:
    """Each row names a file, and a name that stands in it."""
    rows = re.findall(
        r"^\| .+? \| `(\S+?)`(?:, `(\S+?)`)? \|", sections()["Where to change what"], re.MULTILINE
    )
    assert rows
    for path, name in rows:
        file = ROOT / path
        assert file.exists(), path
        assert re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")), (path, name)
