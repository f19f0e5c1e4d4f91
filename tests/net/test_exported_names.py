"""
Exported names with their signatures are those of names.txt.

::

    every facade's __all__ --> functions, classes with members, constants --> names.txt

A difference shows what was added, taken away or changed.  Where it is meant, remake the file by
``python tests/net/test_exported_names.py``.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fp8num

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(fp8num.__file__).parent
NAMES = Path(__file__).with_name("names.txt")
#: What a class may write or leave to a dataclass, without a difference to who uses it.
UNTOLD = {
    *("__init__", "__new__", "__post_init__", "__repr__", "__eq__", "__hash__", "__reduce__"),
    *("__getstate__", "__setstate__", "__init_subclass__"),
}


def facades() -> list[str]:
    """Return the packages without an underscore that say what they export."""
    packages = sorted(path.parent.relative_to(ROOT).parts for path in ROOT.rglob("__init__.py"))
    names = [".".join(("fp8num", *parts)) for parts in packages if "_" not in {p[0] for p in parts}]
    return [name for name in names if hasattr(importlib.import_module(name), "__all__")]


def plain(value: object) -> str:
    """Return a repr on one line, without addresses."""
    if value.__class__.__module__ == "fp8num.formats.format":
        return str(getattr(value, "name", value))
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if inspect.isroutine(value) or inspect.isclass(value):
        return str(value.__qualname__)
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(value).split()))


def annotation(found: object) -> str:
    """Return an annotation as it is written."""
    return found if isinstance(found, str) else inspect.formatannotation(found)


def signature(function: Any) -> str:
    """Return a function's signature, its annotations as they are written."""
    found = inspect.signature(function)
    parts, before = [], None
    for parameter in found.parameters.values():
        kind = parameter.kind
        if kind is parameter.KEYWORD_ONLY and before not in {kind, parameter.VAR_POSITIONAL}:
            parts.append("*")
        if before is parameter.POSITIONAL_ONLY and kind is not before:
            parts.append("/")
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(kind, "")
        text = stars + parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {plain(parameter.default)}"
        parts.append(text)
        before = kind
    if before is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    result = found.return_annotation
    arrow = "" if result is found.empty else f" -> {annotation(result)}"
    return f"({', '.join(parts)}){arrow}"


def constructor(kind: type) -> str:
    """Return how a class is called, if it says so itself."""
    found = next((vars(base)["__init__"] for base in ours(kind) if "__init__" in vars(base)), None)
    if found is None or found.__module__ == "typing":  # of a Protocol
        return ""
    return signature(kind).removesuffix(" -> None")


def ours(kind: type) -> list[type]:
    """Return a class and its bases, as far as the package has made them."""
    return [base for base in kind.__mro__ if base.__module__.startswith("fp8num")]


def members(kind: type) -> Iterator[str]:
    """Tell of the fields, methods and properties of a class, inherited ones too."""
    if issubclass(kind, Enum):
        yield from (f"{member.name} = {plain(member.value)}" for member in kind)
    fields = {f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    if fields:
        shown = [f for f in dataclasses.fields(kind) if not f.name.startswith("_")]
        yield from (f"{f.name}: {annotation(f.type)}" for f in shown)
    yield from getattr(kind, "_fields", ())  # of a NamedTuple
    names = {name for base in ours(kind) for name in vars(base)}
    for name in sorted(names - fields - UNTOLD):
        found = next(vars(base)[name] for base in ours(kind) if name in vars(base))
        if name.startswith("_") and not (name.startswith("__") and name.endswith("__")):
            continue
        if isinstance(found, property):
            getter = found.fget
            assert getter is not None
            result = signature(getter).partition(" -> ")[2]
            yield f"{name} -> {result}{'' if found.fset is None else ', can be set'}"
        elif isinstance(found, classmethod | staticmethod):
            yield f"{name}{signature(getattr(kind, name))}, of the class"
        elif inspect.isfunction(found) and Path(found.__code__.co_filename).is_relative_to(ROOT):
            yield f"{name}{signature(found)}"


def lines() -> list[str]:
    """Tell of every exported name, in detail in the first facade that has it."""
    told, found = {}, []
    for facade in sorted(facades(), key=lambda name: (name == "fp8num", name)):
        module = importlib.import_module(facade)
        for name in sorted(module.__all__):
            value, where = getattr(module, name), f"{facade}.{name}"
            if inspect.ismodule(value):
                found.append(f"{where}: module {value.__name__}")
            elif isinstance(value, type) or inspect.isroutine(value):
                if id(value) in told:
                    found.append(f"{where} is {told[id(value)]}")
                    continue
                told[id(value)] = where
                if not isinstance(value, type):
                    found.append(where + signature(value))
                    continue
                bases = [b.__name__ for b in value.__mro__[1:-1] if b.__module__ == "builtins"]
                called = constructor(value)
                found.append(f"class {where}{called}{' of ' if bases else ''}{', '.join(bases)}")
                found += [f"    {member}" for member in members(value)]
            elif isinstance(value, Mapping):
                found.append(f"{where}: mapping of {', '.join(map(str, value))}")
            elif isinstance(value, int | float | str | tuple | Enum):
                found.append(f"{where} = {plain(value)}")
            else:
                found.append(f"{where}: {type(value).__name__}")
    return found


def test_exported_names_and_signatures_are_kept() -> None:
    """Of every facade; what differs is shown as a diff."""
    kept = NAMES.read_text(encoding="utf-8").splitlines()

    differences = list(difflib.unified_diff(kept, lines(), "names.txt", "the package", "", "", 0))

    assert not differences, "\n".join(["exported names differ", *differences[2:]])


def test_a_changed_signature_is_noticed() -> None:
    """A default, a kind of parameter, an annotation, a field."""

    def one(a: int, /, b: int = 1, *, c: str = "x") -> None: ...

    def other(a: int, b: int = 2, c: str = "x") -> int: ...

    @dataclasses.dataclass
    class Record:
        field: int

    assert signature(one) == "(a: int, /, b: int = 1, *, c: str = 'x') -> None"
    assert signature(other) == "(a: int, b: int = 2, c: str = 'x') -> int"
    assert list(members(Record)) == ["field: int"]


if __name__ == "__main__":
    NAMES.write_text("\n".join([*lines(), ""]), encoding="utf-8")
