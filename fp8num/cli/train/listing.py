"""``fp8num train --list``: the recipes as a table, or one of them whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fp8num.cli.train.values import recipe_of

if TYPE_CHECKING:
    import argparse

    from fp8num.nn.recipes import Recipe

__all__ = ["list_recipes"]


def list_recipes(arguments: argparse.Namespace) -> int:
    """Print all recipes, or the one that is named."""
    from fp8num._text import columns
    from fp8num.nn.recipes import RECIPES

    if arguments.recipe is not None:
        one = recipe_of(arguments.recipe, arguments.accumulator)
        print(json.dumps(one.to_dict(), indent=2, allow_nan=False) if arguments.json else one)
        return 0
    if arguments.json:
        records = [recipe.to_dict() for recipe in RECIPES.values()]
        print(json.dumps(records, indent=2, allow_nan=False))
        return 0
    head = ("recipe", "activations", "weights", "gradients", "where it differs")
    print(columns([head, *map(_row, RECIPES.values())], "<<<<<"))
    return 0


def _row(recipe: Recipe) -> tuple[str, ...]:
    """Return a recipe's casts: of forward and dgrad, and those of the others that differ."""
    from fp8num.formats import Format

    first = {"x": "x_forward", "w": "w_forward", "g": "g_dgrad"}
    casts = [str(recipe.operand(role)) for role in first.values()]
    others = [
        f"{role}: {recipe.operand(role)}"
        for role in ("w_dgrad", "g_wgrad", "x_wgrad")
        if recipe.operand(role) != recipe.operand(first[role[0]])
    ]
    if isinstance(recipe.output, Format):
        others.append(f"results: {recipe.output.name}")
    return recipe.name, *casts, "; ".join(others)
