"""Recipes: the published tables, what may be composed, what is refused, and how they are kept."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

import fp8num as fp
from fp8num import scaling
from fp8num.accumulate import ACCUMULATORS
from fp8num.nn.recipes import PRODUCTS, RECIPES, ROLES, Operand, Recipe, get_recipe, recipe_table

if TYPE_CHECKING:
    from fp8num.accumulate import TensorCore

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
        ({"name": " "}, ValueError, "name of a recipe must be text that is not empty, got ' '"),
        ({"name": 7}, TypeError, "name of a recipe must be text, got int 7"),
        ({"source": None}, TypeError, "source of a recipe must be text, got NoneType None"),
        ({"length": -3}, ValueError, "length of a recipe must be an integer from 1 to 1048576"),
        ({"length": 2.0}, TypeError, "length of a recipe must be an integer from 1 to 1048576"),
        ({"length": True}, TypeError, "length of a recipe must be an integer .* got True"),
        ({"margin": "2"}, TypeError, "margin of a recipe must be an integer .* got '2'"),
        ({"margin": -127}, ValueError, "margin .* an integer from -126 to 126, got -127"),
        ({"margin": 127}, ValueError, "margin .* an integer from -126 to 126, got 127"),
        ({"algorithm": "mx"}, ValueError, "algorithm of a recipe must be 'max' or 'most_recent',"),
        ({"algorithm": ["max"]}, ValueError, r"algorithm of a recipe must be .* got \['max'\]"),
        ({"saturation_is_overflow": 5}, TypeError, "saturation_is_overflow .* True or False, got"),
        ({"x_forward": "E4M3FN"}, TypeError, "x_forward of a recipe must be an Operand, got"),
        ({"scales": "sum"}, ValueError, "scales of a recipe must be 'operand' or 'accumulator'"),
        ({"straight_through": "no"}, ValueError, "straight_through of a recipe must be 'pass' or"),
        ({"output": "E4"}, ValueError, "E4"),
        ({"accumulators": ("exact", "exact")}, TypeError, "accumulators must be one, or one each"),
        ({"accumulators": "hoper"}, ValueError, "did you mean hopper"),
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


def test_settings_are_kept_as_python_has_them() -> None:
    """NumPy's integers and booleans are accepted, and JSON can hold what is stored."""
    given: dict[str, Any] = {
        "length": np.int64(4),
        "margin": np.uint8(1),
        "saturation_is_overflow": np.True_,
    }
    recipe = Recipe(name="numpy", **given)
    assert [type(one) for one in (recipe.length, recipe.margin, recipe.saturation_is_overflow)] == [
        int, int, bool,
    ]  # fmt: skip
    assert recipe == Recipe(name="numpy", length=4, margin=1, saturation_is_overflow=True)
    json.dumps(recipe.to_dict())
    delayed = replace(RECIPES["te-delayed"], **given)
    state = delayed.start("x")
    assert state is not None
    assert len(state.history) == 4


def test_parts_that_do_not_exist() -> None:
    recipe = RECIPES["te-delayed"]
    with pytest.raises(ValueError, match="role must be one of x_forward, .*, got 'name'"):
        recipe.operand("name")
    with pytest.raises(ValueError, match="name must be one of forward, dgrad, wgrad, got 'back'"):
        recipe.accumulator("back")
    with pytest.raises(ValueError, match="tensor must be one of x, w, g, got 'y'"):
        recipe.start("y")


_GOOD = RECIPES["te-current"].to_dict()


def _with_operand(**entries: Any) -> dict[str, Any]:
    return _GOOD | {"x_forward": _GOOD["x_forward"] | entries}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({}, "description must also have name, .*, source, got nothing; to_dict"),
        ([1], r"description must be a mapping, as to_dict\(\) makes it, got list \[1\]"),
        (None, "description must be a mapping, .* got NoneType None"),
        (_GOOD | {"more": 1}, "must have no entry 'more'; there are name, x_forward.* later versi"),
        (_GOOD | {"version": 2}, "must have no entry 'version'; .* unless a later version wrote i"),
        (_GOOD | {"margins": 2}, "must have no entry 'margins'; did you mean margin"),
        (_GOOD | {3: 2}, "must have no entry 3"),
        (
            {name: part for name, part in _GOOD.items() if name != "output"},
            "description must also have output, got name, x_forward",
        ),
        (_GOOD | {"name": 3}, "description must be of a recipe, got .*: name of a recipe must be"),
        (_GOOD | {"length": "3"}, "length of a recipe must be an integer"),
        (_GOOD | {"length": 0}, "length of a recipe must be an integer from 1 to 1048576, got 0"),
        (_GOOD | {"x_forward": "E4M3FN"}, "x_forward of a .* must be a mapping, .* got str 'E4M3F"),
        (_GOOD | {"x_forward": None}, "x_forward of a .* must be a mapping, .* got NoneType None"),
        (_GOOD | {"x_forward": {}}, "x_forward of a .* must also have rule, format, axis, source"),
        (_with_operand(rounding="up"), "x_forward of a .* must have no entry 'rounding'"),
        (
            _with_operand(rule="te-curent"),
            "x_forward of a .* must be an operand, .*'te-curent' is not known, .* te-current",
        ),
        (_with_operand(rule=3), "x_forward of a .* must be an operand, .* rule must be a Rule or"),
        (_with_operand(rule={"part": 1}), "rule of x_forward of .* must be a name, None or {'rule"),
        (_with_operand(rule={"rule": 1}), "rule of x_forward of .* must be a name, None or {'rule"),
        (_with_operand(rule={"rule": {}}), "rule of x_forward of .* must be a rule by its parts"),
        (_with_operand(axis={}), "axis of x_forward of a .* must be text, got {}"),
        (_with_operand(format="E4M3"), "x_forward of a .* must be an operand, .*E4M3"),
        (_with_operand(format={"rule": {}}), "format of x_forward of .* must be a name, None or"),
        (_GOOD | {"output": {"format": 3}}, "output of .* must be a name, None or {'format': its"),
        (_GOOD | {"output": {"format": {}}}, "output of .* must be a format by its parts, got one"),
        (_GOOD | {"output": "E4"}, "E4"),
        (_GOOD | {"accumulators": 3}, "accumulators of .* must be a list of names, got 3"),
        (_GOOD | {"accumulators": "exact"}, "accumulators of .* must be a list of names, got 'exa"),
        (_GOOD | {"accumulators": ["exact", 3, 3]}, "accumulators of .* must be a list of names,"),
        (_GOOD | {"accumulators": ["hoper"] * 3}, "'hoper' is not known, did you mean hopper"),
    ],
)  # fmt: skip
def test_bad_descriptions(description: Any, message: str) -> None:
    """The entry that is at fault is named, with what it must be and what it was."""
    with pytest.raises(ValueError, match=message):
        Recipe.from_dict(description)


def test_an_accumulator_of_one_s_own_cannot_be_stored() -> None:
    mine = replace(cast("TensorCore", ACCUMULATORS["hopper"]), promotion=64)
    with pytest.raises(ValueError, match="only accumulators of the catalogue can be stored"):
        replace(RECIPES["te-current"], accumulators=mine).to_dict()


# Delayed rules, and formats that are none.


def test_a_delayed_rule_may_have_another_cast() -> None:
    """It is the one that the state casts with; through JSON too."""
    rule = replace(scaling.get_rule("te-delayed"), cast=scaling.Cast(rounding="TowardZero"))
    operand = Operand(rule)
    recipe = Recipe(name="mine", x_forward=operand, w_forward=operand)
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))

    assert operand.is_delayed
    for one in (recipe, again):
        state = one.start("x")
        assert state is not None
        assert state.rule == rule
        found, _ = state.quantize([1.24])
        assert found.dequantize().tolist() == [1.125]


@pytest.mark.parametrize(
    ("rule", "name", "delayed"),
    [("te-delayed", "mine", True), ("flax", "mine", True), ("te-current", "te-delayed", False)],
)
def test_a_name_does_not_make_a_rule_delayed(rule: str, name: str, *, delayed: bool) -> None:
    """Its history does."""
    assert Operand(replace(scaling.get_rule(rule), name=name)).is_delayed == delayed


@pytest.mark.parametrize("fmt", ["UE5M3", "E8M0FNU"])
@pytest.mark.parametrize("rule", [None, "tensor"])
def test_an_operand_has_a_sign(fmt: str, rule: str | None) -> None:
    with pytest.raises(
        ValueError, match=f"format of an operand must have a sign, got {fmt}, in which every neg"
    ):
        Operand(rule, fmt)
