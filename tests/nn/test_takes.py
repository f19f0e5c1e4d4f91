"""Accumulators that do not take the operands of a recipe are refused before any work."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from fp8num import nn
from fp8num.accumulate import ACCUMULATORS, FloatSum
from fp8num.nn import _takes
from fp8num.nn.recipes import RECIPES, Operand, Recipe

if TYPE_CHECKING:
    from fp8num.accumulate import TensorCore

EVERY = (nn.CORRECTLY_ROUNDED, *ACCUMULATORS)
#: One recipe for each kind of operand.
KINDS = (
    "fp32",
    "bf16",
    "te-current",
    "te-block",
    "mxfp8",
    "nvfp4",
    "torchao-rowwise",
    "torchao-rowwise-gw-hp",
)


def step(recipe: Recipe, features: int, batch: int, out: int = 3) -> None:
    """Train one step of a layer."""
    rng = np.random.default_rng(0)
    layer = nn.Linear(features, out, rng=rng, recipe=recipe)
    x = nn.Tensor(rng.standard_normal((batch, features)).astype(np.float32), requires_grad=True)
    layer(x).sum().backward()


def refused_at(recipe: str, accumulator: str, width: int, batch: int) -> str:
    """Return where it is refused: recipe, layer, call; or nowhere."""
    try:
        made = replace(RECIPES[recipe], accumulators=accumulator)
    except ValueError:
        return "recipe"
    try:
        layer = nn.Linear(width, width, rng=np.random.default_rng(0), recipe=made)
    except ValueError:
        return "layer"
    try:
        layer(np.ones((batch, width), np.float32))
    except ValueError:
        return "call"
    return "nowhere"


@pytest.mark.parametrize(
    ("recipe", "width"),
    [*((kind, 40) for kind in KINDS), ("te-block", 20), ("mxfp8", 20), ("nvfp4", 20)],
)
def test_what_is_refused_is_what_could_not_be_computed(
    recipe: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the checks a step either runs or is refused before; without, just those steps fail."""
    monkeypatch.setattr(_takes, "_advice", lambda *_: "")  # it takes its time
    refused = {name for name in EVERY if refused_at(recipe, name, width, width) != "nowhere"}
    monkeypatch.setattr("fp8num.nn.recipe.check_products", lambda _: None)
    # The name fp8num.nn.linear is a schedule's, too.
    monkeypatch.setattr(import_module("fp8num.nn.linear"), "check_depths", lambda *_: None)

    failing = set()
    for name in EVERY:
        try:
            step(replace(RECIPES[recipe], accumulators=name), width, width, width)
        except ValueError:
            failing.add(name)

    assert refused == failing


@pytest.mark.parametrize(
    ("recipe", "accumulator", "width", "batch", "where"),
    [
        ("bf16", "hopper", 8, 8, "recipe"),  # a format
        ("nvfp4", "ada", 8, 8, "recipe"),
        ("fp32", "hopper", 8, 8, "recipe"),  # no codes
        ("fp32", "exact", 8, 8, "nowhere"),
        ("mxfp8", "hopper", 8, 8, "recipe"),  # blocks, however short
        ("te-current", "blackwell-mx", 8, 8, "nowhere"),  # one scale is no business of a unit
        ("te-block", "hopper", 8, 8, "recipe"),
        ("te-block", "hopper-promoted", 300, 300, "nowhere"),
        # A block is cut to the axis, and a single one is part of an interval.
        ("mxfp8", "hopper-promoted", 32, 32, "nowhere"),
        ("mxfp8", "hopper-promoted", 33, 32, "layer"),
        ("mxfp8", "hopper-promoted", 32, 33, "call"),
        ("te-block", "blackwell-mx", 32, 32, "nowhere"),
        ("te-block", "blackwell-mx", 33, 32, "layer"),
        ("mxfp8", "blackwell-mx", 300, 300, "nowhere"),
    ],
)
def test_a_recipe_is_refused_as_soon_as_that_can_be_known(
    recipe: str, accumulator: str, width: int, batch: int, where: str
) -> None:
    """Formats and kinds of scales are the recipe's, widths the layer's, the batch the call's."""
    assert refused_at(recipe, accumulator, width, batch) == where


def test_a_batch_matters_only_where_its_product_is_computed() -> None:
    recipe = replace(RECIPES["mxfp8"], accumulators="hopper-promoted")
    model = nn.MLP([8, 8], recipe=recipe)
    x = np.ones((40, 8), np.float32)

    with nn.no_grad():
        assert model(x).shape == (40, 8)
    with pytest.raises(ValueError, match="wgrad of layer 'layer0' with recipe 'mxfp8' over a batc"):
        model(x)


def offered(message: str) -> list[str]:
    """Return the accumulators that a message names."""
    found = re.search(r"taken by (.*?) \(accumulators=", message)
    assert found is not None
    return found[1].split(", ")


@pytest.mark.parametrize(
    ("recipe", "accumulator"),
    [
        ("bf16", "hopper"),
        ("mxfp8", "hopper"),
        ("mxfp8", "hopper-promoted"),
        ("te-block", "ada"),
        ("te-block", "blas-float32"),
        ("nvfp4", "blackwell-mx"),
        ("te-current", "amd-cdna3"),
        ("torchao-rowwise-gw-hp", "exact"),
    ],
)
def test_what_is_offered_instead_works(
    recipe: str, accumulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every accumulator that the message names computes all three products; no other does."""
    if recipe == "torchao-rowwise-gw-hp":  # a float32 weight gradient, one cast operand in dgrad
        base = replace(RECIPES[recipe], x_wgrad=Operand("torchao-rowwise", "E4M3FN"))
    else:
        base = RECIPES[recipe]
    with pytest.raises(ValueError, match=f"of .*{recipe}.* got '{accumulator}': ") as caught:
        step(replace(base, accumulators=accumulator), 140, 3)

    names = offered(str(caught.value))
    monkeypatch.setattr(_takes, "_advice", lambda *_: "")  # it takes its time

    assert accumulator not in names
    assert "correctly-rounded" in names
    for name in EVERY:
        try:
            step(replace(base, accumulators=name), 140, 3)
            ran = True
        except ValueError:
            ran = False
        assert ran == (name in names), name


def test_the_message_of_a_recipe() -> None:
    """Product, operands, unit, reason, and what else there is."""
    with pytest.raises(
        ValueError,
        match=r"^forward of recipe 'mxfp8' must have an accumulator that takes "
        r"a = x_forward \(te-mxfp8 E4M3FN, 1x32\) and b = w_forward \(te-mxfp8 E4M3FN, 1x32\), "
        r"got 'hopper': accumulator 'hopper' takes scales per tensor or row, as it keeps one sum "
        r"over all of k, got blocks of 32; all three products are taken by correctly-rounded, "
        r".*blackwell-mx.* \(accumulators=, or --accumulator at the command line\); so does "
        r"dataclasses.replace\(ACCUMULATORS\['hopper'\], promotion=32\), in Python$",
    ):
        replace(RECIPES["mxfp8"], accumulators="hopper")


def test_the_promotion_that_a_message_offers_works() -> None:
    mine = replace(cast("TensorCore", ACCUMULATORS["hopper"]), promotion=32)
    step(replace(RECIPES["mxfp8"], accumulators=mine), 70, 70)


def test_no_unit_is_told_to_use_itself() -> None:
    recipe = replace(RECIPES["mxfp8"], accumulators=("exact", "hopper-promoted", "exact"))
    with pytest.raises(
        ValueError, match="dgrad of layer 'layer1' .* over 64 features out"
    ) as caught:
        nn.MLP([64, 20, 64], recipe=recipe)
    assert "use 'hopper-promoted'" not in str(caught.value)
    assert "hopper-promoted" not in offered(str(caught.value))


def test_scales_that_could_enter_first_are_mentioned() -> None:
    with pytest.raises(ValueError, match=r"got 'blas-float32': .*; scales='operand' lets the sca"):
        replace(RECIPES["te-block"], accumulators="blas-float32")
    step(replace(RECIPES["te-block"], accumulators="blas-float32", scales="operand"), 70, 70)


def test_blocks_of_two_lengths() -> None:
    """Their sums have no common steps for scales to enter, unless both are one block."""
    casts: dict[str, Any] = {
        role: Operand(rule, "E4M3FN")
        for role, rule in (("x_forward", "block-32"), ("w_forward", "block-48"))
    }
    for accumulator in ("correctly-rounded", "float32"):
        recipe = Recipe(
            name="two",
            **casts,
            accumulators=(accumulator, "exact", "exact"),
            scales="accumulator",
        )
        nn.MLP([32, 32], recipe=recipe)
        with pytest.raises(ValueError, match="blocks of one length along k, got .32, 33"):
            nn.MLP([33, 33], recipe=recipe)


def test_accumulators_that_draw_are_tried_too() -> None:
    mine = FloatSum(name="mine", rounding="StochasticB")
    step(replace(RECIPES["mxfp8"], accumulators=mine), 40, 4)


def test_nothing_is_tried_where_nothing_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Correctly rounded products of scaled values: making them costs what it did."""
    monkeypatch.setattr(_takes, "product", None)
    step(replace(RECIPES["mxfp8"], length=3), 40, 4)
