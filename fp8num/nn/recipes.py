"""
The recipes by name: every library's, as data.

::

    fp32  bf16  fp8-unscaled        te-delayed  te-current  te-block  mxfp8  nvfp4
    flax-delayed  deepseek          torchao-tensorwise  -rowwise  -rowwise-gw-hp
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fp8num._arguments import refuse, refuse_kind
from fp8num._names import Catalogue, hint
from fp8num.formats import Format
from fp8num.nn.recipe import PRODUCTS, ROLES, Operand, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["PRODUCTS", "RECIPES", "ROLES", "Operand", "Recipe", "get_recipe", "recipe_table"]

_FLOAT32 = Operand()


def _recipe(name: str, x: Operand, w: Operand, g: Operand, **others: Any) -> Recipe:  # noqa: ANN401 - a field of any kind
    """Return a recipe with one cast for each tensor, but for what is given."""
    casts = {role: {"x": x, "w": w, "g": g}[role[0]] for role in ROLES}
    return Recipe(name=name, **casts | others)


def _hybrid(name: str, rule: str | None, **others: Any) -> Recipe:  # noqa: ANN401 - as above
    """Return a recipe of E4M3FN forward and E5M2 for gradients."""
    forward, gradient = Operand(rule, "E4M3FN"), Operand(rule, "E5M2")
    return _recipe(name, forward, forward, gradient, **others)


_TE = "TransformerEngine d0067d0da, "
_BF16 = Operand(format="BFLOAT16")
_ROW, _TENSOR_POW2 = Operand("torchao-rowwise", "E4M3FN"), Operand("torchao-tensorwise-pow2")
_TE_BLOCK, _TE_SQUARE = Operand("te-block-1x128"), Operand("te-block-128x128")
_DEEPGEMM, _DEEPGEMM_SQUARE = Operand("deepgemm-1x128"), Operand("deepgemm-128x128")
_MX = Operand("te-mxfp8", "E4M3FN")

#: The recipes by name.
RECIPES: Mapping[str, Recipe] = Catalogue(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(name="fp32", source="float32 throughout"),
            _recipe("bf16", _BF16, _BF16, _BF16, output="BFLOAT16", source="bfloat16 operands"),
            _hybrid("fp8-unscaled", None, source="a cast and nothing else"),
            _hybrid(
                "te-delayed", "te-delayed", scales="accumulator", source=_TE + "DelayedScaling"
            ),
            _hybrid(
                "te-current",
                "te-current",
                scales="accumulator",
                source=_TE + "Float8CurrentScaling",
            ),
            _recipe(
                "te-block",
                _TE_BLOCK,
                _TE_SQUARE,
                _TE_BLOCK,
                scales="accumulator",
                source=_TE + "Float8BlockScaling",
            ),
            _recipe("mxfp8", _MX, _MX, _MX, source=_TE + "MXFP8BlockScaling"),
            _recipe(
                "nvfp4",
                Operand("te-nvfp4"),
                Operand("te-nvfp4-2d"),
                Operand("te-nvfp4-sr"),
                g_wgrad=Operand("te-nvfp4-rht-sr"),
                x_wgrad=Operand("te-nvfp4-rht"),
                source=_TE + "NVFP4BlockScaling",
            ),
            _hybrid(
                "torchao-tensorwise",
                "torchao-tensorwise",
                source="torchao 36027d82d, Float8LinearRecipeName.TENSORWISE, emulated",
            ),
            _recipe(
                "torchao-rowwise",
                _ROW,
                _ROW,
                _ROW,
                source="torchao 36027d82d, Float8LinearRecipeName.ROWWISE, emulated",
            ),
            _recipe(
                "torchao-rowwise-gw-hp",
                _ROW,
                _ROW,
                _ROW,
                w_dgrad=_TENSOR_POW2,
                g_wgrad=_FLOAT32,
                x_wgrad=_FLOAT32,
                source="torchao 36027d82d, Float8LinearRecipeName.ROWWISE_WITH_GW_HP, emulated",
            ),
            _hybrid(
                "flax-delayed", "flax", source="flax 0.12.8, linen.fp8_ops, in_qdq and out_qdq"
            ),
            _recipe(
                "deepseek",
                _DEEPGEMM,
                _DEEPGEMM_SQUARE,
                _DEEPGEMM,
                x_wgrad=replace(_DEEPGEMM, source="forward"),
                scales="accumulator",
                source="DeepSeek-V3, arXiv:2412.19437, sections 3.3 and 3.5; DeepGEMM 38939a4c",
            ),
        )
    },
    "training recipes",
)


def get_recipe(recipe: str | Recipe) -> Recipe:
    """
    Return the recipe of a name.

    Parameters
    ----------
    recipe : str or Recipe
        A key of `RECIPES`, in any case, or a recipe, which is returned as it is.

    Returns
    -------
    Recipe
        The recipe.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If there is none of that name; the nearest names are offered.

    Examples
    --------
    >>> print(get_recipe("te-current").g_dgrad)
    te-current E5M2
    """
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str):
        refuse_kind("recipe", "a Recipe or a name", recipe)
    plain = recipe.strip().lower().replace("_", "-")
    if plain not in RECIPES:
        advice = hint(recipe, RECIPES, f"there are {', '.join(RECIPES)}", "a training recipe")
        refuse("recipe", "a known name", recipe, advice)
    return RECIPES[plain]


def recipe_table(recipes: Sequence[str | Recipe] | None = None) -> pd.DataFrame:
    """
    Return a table of recipes.

    Parameters
    ----------
    recipes : sequence of (str or Recipe), optional
        Which; by default all of `RECIPES`.

    Returns
    -------
    pandas.DataFrame
        A row for each: its name, the cast of every operand, the accumulators, what results
        are rounded to, and the source.

    Examples
    --------
    >>> recipe_table(["mxfp8"])[["recipe", "x_forward", "output"]].to_dict("records")
    [{'recipe': 'mxfp8', 'x_forward': 'te-mxfp8 E4M3FN', 'output': 'float32'}]
    """
    import pandas as pd

    rows = []
    for recipe in map(get_recipe, RECIPES if recipes is None else recipes):
        units = [recipe.accumulator(name) for name in PRODUCTS]
        names = [one if isinstance(one, str) else one.name for one in units]
        rows.append(
            {
                "recipe": recipe.name,
                **{role: str(recipe.operand(role)) for role in ROLES},
                "accumulators": names[0] if len(set(names)) == 1 else ", ".join(names),
                "output": recipe.output.name if isinstance(recipe.output, Format) else "float32",
                "source": recipe.source,
            }
        )
    return pd.DataFrame(rows)
