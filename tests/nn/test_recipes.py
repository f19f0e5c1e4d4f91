"""Recipes: the published tables, what may be composed, what is refused, and how they are kept."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

import fp8num as fp
from fp8num import scaling
from fp8num.accumulate import ACCUMULATORS
from fp8num.nn.recipes import PRODUCTS, RECIPES, ROLES, Operand, Recipe, get_recipe, recipe_table

#: What the libraries document: x_forward, w_forward, g_dgrad, w_dgrad, g_wgrad, x_wgrad.
PUBLISHED = {
    "fp32": ["-"] * 6,
    "bf16": ["BFLOAT16"] * 6,
    "fp8-unscaled": ["E4M3FN", "E4M3FN", "E5M2", "E4M3FN", "E5M2", "E4M3FN"],
    # TransformerEngine, Format.HYBRID
    "te-delayed": ["tensor E4M3FN", "tensor E4M3FN", "tensor E5M2", "tensor E4M3FN",
                   "tensor E5M2", "tensor E4M3FN"],
    "te-current": ["tensor E4M3FN", "tensor E4M3FN", "tensor E5M2", "tensor E4M3FN",
                   "tensor E5M2", "tensor E4M3FN"],
    "te-block": ["1x128 E4M3FN", "128x128 E4M3FN", "1x128 E4M3FN", "128x128 E4M3FN",
                 "1x128 E4M3FN", "1x128 E4M3FN"],
    "mxfp8": ["1x32 E4M3FN"] * 6,
    "nvfp4": ["1x16 E2M1FN", "16x16 E2M1FN", "1x16 E2M1FN random", "16x16 E2M1FN",
              "1x16 E2M1FN random rotated", "1x16 E2M1FN rotated"],
    # torchao's own table
    "torchao-tensorwise": ["tensor E4M3FN", "tensor E4M3FN", "tensor E5M2", "tensor E4M3FN",
                           "tensor E5M2", "tensor E4M3FN"],
    "torchao-rowwise": ["row E4M3FN pow2"] * 6,
    "torchao-rowwise-gw-hp": ["row E4M3FN pow2", "row E4M3FN pow2", "row E4M3FN pow2",
                              "tensor E4M3FN pow2", "-", "-"],
    "flax-delayed": ["tensor E4M3FN", "tensor E4M3FN", "tensor E5M2", "tensor E4M3FN",
                     "tensor E5M2", "tensor E4M3FN"],
    # DeepSeek-V3: cached activations are quantised again
    "deepseek": ["1x128 E4M3FN", "128x128 E4M3FN", "1x128 E4M3FN", "128x128 E4M3FN",
                 "1x128 E4M3FN", "1x128 E4M3FN twice"],
}  # fmt: skip


def described(operand: Operand) -> str:
    """Return an operand as the table above has it."""
    if not isinstance(operand.format, fp.Format):
        return "-"
    if not isinstance(operand.rule, scaling.Rule):
        return operand.format.name
    words = [str(operand.rule.granularity), operand.format.name]
    words += (
        ["pow2"]
        if getattr(operand.rule.scale, "power_of_two", False) is True
        and (operand.rule.name.startswith("torchao"))
        else []
    )
    words += ["random"] if "sr" in operand.rule.name else []
    words += ["rotated"] if operand.rule.rotation is not None else []
    words += ["twice"] if operand.source == "forward" else []
    return " ".join(words)


def test_the_recipes_are_those_of_the_libraries() -> None:
    """Formats and granularities of every operand."""
    assert {
        name: [described(recipe.operand(role)) for role in ROLES]
        for name, recipe in RECIPES.items()
    } == PUBLISHED


def test_where_scales_enter() -> None:
    """The operands in torchao's emulation, flax' qdq and MX, the sums elsewhere."""
    sums = {name for name, recipe in RECIPES.items() if recipe.scales == "accumulator"}
    assert sums == {"te-delayed", "te-current", "te-block", "deepseek"}


def test_every_recipe_names_its_source() -> None:
    assert all(recipe.source for recipe in RECIPES.values())
    assert all(name == recipe.name for name, recipe in RECIPES.items())


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_go_through_json(name: str) -> None:
    recipe = RECIPES[name]
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_a_composed_recipe_goes_through_json() -> None:
    """With a rule, a format and settings of one's own."""
    fmt = fp.Format(name="mine", exponent_bits=5, mantissa_bits=1, bias=15, specials="ieee")
    rule = replace(scaling.get_rule("block-64"), name="mine")
    recipe = Recipe(
        name="composed",
        x_forward=Operand(rule, fmt),
        w_forward=Operand("block-64", fmt, axis="kept"),
        accumulators=("float32", "exact", "exact"),
        straight_through="clip",
        length=16,
        margin=2,
        algorithm="most_recent",
        output="BINARY16",
        saturation_is_overflow=True,
    )
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe
    assert again.x_forward.rule == rule
    assert again.x_forward.format == fmt


def test_recipes_are_frozen_and_hashable() -> None:
    recipe = get_recipe("te-current")
    with pytest.raises(FrozenInstanceError):
        recipe.name = "mine"  # type: ignore[misc]
    assert len({get_recipe(name) for name in RECIPES}) == len(RECIPES)


def test_names_are_found_however_they_are_spelled() -> None:
    assert get_recipe(" TE_Current ") is RECIPES["te-current"]
    assert get_recipe(RECIPES["mxfp8"]) is RECIPES["mxfp8"]


def test_the_tables() -> None:
    """A row for each recipe; of one recipe, a row for each operand."""
    table = recipe_table()
    assert list(table["recipe"]) == list(RECIPES)
    assert table.set_index("recipe").loc["deepseek", "x_wgrad"] == (
        "deepgemm-1x128 E4M3FN of the forward codes"
    )
    mixed = replace(RECIPES["te-current"], name="mixed", accumulators=("hopper", "exact", "exact"))
    assert recipe_table([mixed, "fp32"])["accumulators"].tolist() == [
        "hopper, exact, exact",
        "correctly-rounded",
    ]
    frame = RECIPES["nvfp4"].to_frame()
    assert frame.shape == (6, 6)
    assert frame.iloc[5].tolist() == [
        "wgrad", "X", "te-nvfp4-rht E2M1FN", "1x16, rotated", "E4M3FN", "correctly-rounded"
    ]  # fmt: skip
    text = str(RECIPES["fp32"]).splitlines()
    assert text[0] == "fp32"
    assert len(text) == 8


def test_one_accumulator_is_that_of_all_products() -> None:
    recipe = replace(RECIPES["te-current"], accumulators=ACCUMULATORS["hopper"])
    assert [recipe.accumulator(name) for name in PRODUCTS] == [ACCUMULATORS["hopper"]] * 3


_ROTATED, _DELAYED = Operand("te-nvfp4-rht"), Operand("te-delayed", "E4M3FN")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": ""}, ValueError, "name of a recipe must be text that is not empty"),
        ({"x_forward": "E4M3FN"}, TypeError, "x_forward of a recipe must be an Operand, got"),
        ({"scales": "sum"}, ValueError, "scales of a recipe must be 'operand' or 'accumulator'"),
        ({"straight_through": "no"}, ValueError, "straight_through of a recipe must be 'pass' or"),
        ({"output": "E4"}, ValueError, "E4"),
        ({"accumulators": ("exact", "exact")}, TypeError, "accumulators must be one, or one each"),
        ({"accumulators": "hoper"}, ValueError, "did you mean 'hopper'"),
        (
            {"accumulators": "hopper"},
            ValueError,
            "accumulator of forward must be 'correctly-rounded' or 'blas-float32' with",
        ),
        ({"x_forward": Operand(format="E5M2", source="forward")}, ValueError, "x_forward must be"),
        ({"x_forward": _ROTATED}, ValueError, "x_forward and w_forward must be rotated alike, or"),
        (
            {"x_forward": _ROTATED, "w_forward": _ROTATED, "straight_through": "clip"},
            ValueError,
            "straight_through must be 'pass' where",
        ),
        (
            {"x_forward": _DELAYED, "x_wgrad": Operand("te-delayed", "E5M2")},
            ValueError,
            "delayed casts of x must be alike, as they share one state, got te-delayed E4M3FN and",
        ),
        ({"x_forward": _DELAYED, "length": 0}, ValueError, "length must be a positive"),
    ],
)  # fmt: skip
def test_bad_recipes(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Recipe(**({"name": "bad"} | changes))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rule": "te-curent"}, ValueError, "te-current"),
        ({"rule": 3}, TypeError, "rule must be a Rule or a name"),
        ({"rule": "te-nvfp4", "format": "E4M3FN"}, ValueError, "fmt must be one of E2M1FN"),
        ({"format": "E4"}, ValueError, "E4"),
        ({"axis": "last"}, ValueError, "axis of an operand must be 'contracted' or 'kept', got"),
        ({"source": "cache"}, ValueError, "source of an operand must be 'tensor' or 'forward'"),
    ],
)
def test_bad_operands(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Operand(**arguments)


def test_unknown_recipes() -> None:
    with pytest.raises(
        ValueError, match=r"recipe must be a known name, got 'mxfp9'; did you mean mxfp8"
    ):
        get_recipe("mxfp9")
    with pytest.raises(ValueError, match=r"got '\?\?'; there are fp32, bf16"):
        get_recipe("??")
    with pytest.raises(TypeError, match="recipe must be a Recipe or a name, got int 4"):
        get_recipe(4)  # type: ignore[arg-type]


def test_bad_descriptions() -> None:
    good = RECIPES["te-current"].to_dict()
    for wrong in ({}, good | {"x_forward": None}, good | {"more": 1}):
        with pytest.raises(ValueError, match="a recipe must be described as to_dict"):
            Recipe.from_dict(wrong)
    mine = replace(ACCUMULATORS["hopper"], promotion=64)
    with pytest.raises(ValueError, match="only accumulators of the catalogue can be stored"):
        replace(RECIPES["te-current"], accumulators=mine).to_dict()
