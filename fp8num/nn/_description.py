"""
A recipe as JSON can hold it, and what is wrong with a description that is none.

::

    Recipe --describe--> {"name": ..., "x_forward": {"rule": ...}, ...} --read_recipe--> arguments
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fp8num._arguments import refuse
from fp8num._records import as_it_is, entries
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
    arguments = entries(what, description, dict.fromkeys(names, as_it_is))
    for role in ROLES:
        arguments[role] = _operand(f"{role} of {what}", arguments[role])
    units = arguments["accumulators"]
    if not isinstance(units, list | tuple) or not all(isinstance(one, str) for one in units):
        refuse(f"accumulators of {what}", "a list of names", units)
    arguments["accumulators"] = tuple(units)
    arguments["output"] = _part(f"output of {what}", "output", arguments["output"])
    return arguments


def _operand(what: str, description: object) -> Operand:
    """Return the operand of a description."""
    found = entries(what, description, {one.name: as_it_is for one in fields(Operand)})
    parts = {name: _part(f"{name} of {what}", name, part) for name, part in found.items()}
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
        refuse(what, wanted, dict(part))
    try:
        return read(part)
    except (TypeError, ValueError) as error:
        msg = f"{what} must be a {kind} by its parts, got one that is none: {error}"
        raise ValueError(msg) from error
