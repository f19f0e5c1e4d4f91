"""The parts of a recipe as JSON can hold them: by name where the catalogues have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fp8num.accumulate import ACCUMULATORS, Accumulator
from fp8num.formats import Format, format_from_dict, get_format
from fp8num.scaling.catalogue import RULES
from fp8num.scaling.rule import Rule

__all__ = ["read", "stored_accumulator", "stored_format", "stored_rule"]


def stored_rule(rule: str | Rule | None) -> object:
    if not isinstance(rule, Rule):
        return rule
    return rule.name if RULES.get(rule.name) == rule else {"rule": rule.to_dict()}


def stored_format(fmt: str | Format | None) -> object:
    if not isinstance(fmt, Format):
        return fmt
    try:
        known = get_format(fmt.name) == fmt
    except (TypeError, ValueError):
        known = False
    return fmt.name if known else {"format": fmt.to_dict()}


def stored_accumulator(accumulator: Accumulator | str) -> str:
    if isinstance(accumulator, str):
        return accumulator
    if ACCUMULATORS.get(accumulator.name) != accumulator:
        msg = f"only accumulators of the catalogue can be stored, got {accumulator.name!r}"
        raise ValueError(msg)
    return accumulator.name


def read(part: Any) -> Any:  # noqa: ANN401 - a part of any kind
    """Return a rule or a format that was stored by its parts."""
    if isinstance(part, Mapping):
        return Rule.from_dict(part["rule"]) if "rule" in part else format_from_dict(part["format"])
    return part
