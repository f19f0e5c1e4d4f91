"""What a rule of the table must be given, and the error that says what did not fit."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from fp8num._names import hint
from fp8num._records import counted
from fp8num._text import brief
from fp8num.nn.primitives import RULES, Primitive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["check_arguments", "find_rule", "refusal"]

Array = npt.NDArray[Any]


def find_rule(name: str) -> Primitive:
    """Return the rule of a name; ValueError with the nearest names."""
    if isinstance(name, str) and name in RULES:
        return RULES[name]
    advice = hint(name, RULES, f"there are {', '.join(RULES)}")
    msg = f"name must be that of a rule, got {brief(name)}; {advice}"
    raise ValueError(msg)


def check_arguments(name: str, operands: Sequence[object], options: Mapping[str, object]) -> None:
    """
    Refuse another number of operands, or other options, than a rule has.

    NumPy would take a third operand for the array to write to.
    """
    count, wanted = _arguments(name)
    if count is not None and len(operands) != count:
        msg = f"{name} must be given {counted(count, 'operand')}, got {len(operands)}"
        raise TypeError(msg)
    if count is None and not operands:
        msg = f"{name} must be given at least one operand, got no operands"
        raise ValueError(msg)
    if wanted != options.keys():
        msg = (
            f"{name} must be given {_listed(wanted, 'no options')}, got "
            f"{_listed(options, 'none')}; fp8num.nn.{name}() has defaults"
        )
        raise TypeError(msg)


@cache
def _arguments(name: str) -> tuple[int | None, frozenset[str]]:
    """Return how many operands a rule takes, None if any number, and its options."""
    rule = RULES[name]
    derivative = rule.variadic or rule.derivatives[0]
    named = [
        one.name
        for one in inspect.signature(derivative).parameters.values()
        if one.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    return None if rule.variadic else len(rule.derivatives), frozenset(named)


def refusal(
    name: str, arrays: Sequence[Array], options: Mapping[str, object], error: Exception
) -> Exception:
    """Return the error that says what did not fit, of the kind that NumPy raised."""
    kind = next(one for one in (ValueError, IndexError, TypeError) if isinstance(error, one))
    shapes = " and ".join(str(array.shape) for array in arrays)
    given = "".join(f", {key}={brief(value)}" for key, value in options.items())
    if kind is TypeError:
        wanted = "options of the types that it takes"
    else:
        wanted = "shapes and options that fit each other" if options else "shapes that fit"
    return kind(f"{name} must be given {wanted}, got {shapes}{given}: {error}")


def _listed(names: Mapping[str, object] | frozenset[str], nothing: str) -> str:
    """Return names as text."""
    return " and ".join(sorted(names)) or nothing
