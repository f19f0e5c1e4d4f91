"""
A recipe as JSON can hold it, and what is wrong with a description that is none.

::

    Recipe --describe--> {"name": ..., "x_forward": {"rule": ...}, ...} --read_recipe--> arguments
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fp8num.nn._stored import read, stored_accumulator, stored_format, stored_rule
from fp8num.nn.operand import ROLES, Operand

if TYPE_CHECKING:
    from fp8num.nn.recipe import Recipe

__all__ = ["describe", "read_recipe"]

#: Which of a stored rule's or format's forms by parts an entry may have.
_BY_PARTS = {"rule": "rule", "format": "format", "output": "format"}


def describe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a dictionary that JSON can hold."""
    found: dict[str, Any] = {}
    for part in fields(recipe):
        value = getattr(recipe, part.name)
        if isinstance(value, Operand):
            value = {
                "rule": stored_rule(value.rule),
                "format": stored_format(value.format),
                "axis": value.axis,
                "source": value.source,
            }
        elif part.name == "accumulators":
            value = [stored_accumulator(one) for one in value]
        elif part.name == "output":
            value = stored_format(value)
        found[part.name] = value
    return found


def read_recipe(description: object, names: Sequence[str]) -> dict[str, Any]:
    """Return the arguments that a description stands for; ValueError says what is wrong with it."""
    what = "a recipe's description"
    arguments = _entries(what, description, names)
    for role in ROLES:
        arguments[role] = _operand(f"{role} of {what}", arguments[role])
    units = arguments["accumulators"]
    if not isinstance(units, list | tuple) or not all(isinstance(one, str) for one in units):
        msg = f"accumulators of {what} must be a list of names, got {units!r:.80}"
        raise ValueError(msg)
    arguments["accumulators"] = tuple(units)
    arguments["output"] = _part(f"output of {what}", "output", arguments["output"])
    return arguments


def _operand(what: str, description: object) -> Operand:
    """Return the operand of a description."""
    entries = _entries(what, description, [part.name for part in fields(Operand)])
    parts = {name: _part(f"{name} of {what}", name, part) for name, part in entries.items()}
    try:
        return Operand(**parts)
    except (TypeError, ValueError) as error:
        msg = f"{what} must be an operand, got one that is none: {error}"
        raise ValueError(msg) from error


def _part(what: str, name: str, part: object) -> Any:  # noqa: ANN401 - a part of any kind
    """Return a rule or a format that is stored by its parts, anything else as it is."""
    if not isinstance(part, Mapping):
        return part
    kind = _BY_PARTS.get(name)
    if kind is None or set(part) != {kind} or not isinstance(part[kind], Mapping):
        wanted = "text" if kind is None else f"a name, None or {{{kind!r}: its parts}}"
        msg = f"{what} must be {wanted}, got {dict(part)!r:.80}"
        raise ValueError(msg)
    try:
        return read(part)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        msg = f"{what} must be a {kind} by its parts, got one that is none: {error}"
        raise ValueError(msg) from error


def _entries(what: str, description: object, names: Sequence[str]) -> dict[str, Any]:
    """Return a description's entries, which must be those of the names."""
    if not isinstance(description, Mapping):
        msg = (
            f"{what} must be a mapping, as to_dict() makes it, "
            f"got {type(description).__name__} {description!r:.60}"
        )
        raise ValueError(msg)  # noqa: TRY004 - the content of a file is at fault
    if unknown := [name for name in description if name not in names]:
        near = difflib.get_close_matches(str(unknown[0]), names, n=1, cutoff=0.7)
        hint = (
            f"did you mean {near[0]}?"
            if near
            else f"there are {', '.join(names)}, unless a later version wrote it"
        )
        msg = f"{what} must have no entry {unknown[0]!r:.60}; {hint}"
        raise ValueError(msg)
    if missing := [name for name in names if name not in description]:
        found = ", ".join(map(str, description)) or "nothing"
        msg = f"{what} must also have {', '.join(missing)}, got {found}; to_dict() writes them all"
        raise ValueError(msg)
    return dict(description)
