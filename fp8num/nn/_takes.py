"""
Which accumulators take the operands of a recipe: found by multiplying small ones.

::

    recipe alone       one element of k: what is refused then, no width makes possible
    with the widths    as many as there are, or one more than the longest block

Blocks are cut to the length of the axis, so a short k can be a single block where a longer
one is several; more of k are never taken where fewer are refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fp8num.accumulate import ACCUMULATORS, Accumulator, FloatSum, TensorCore
from fp8num.codec import encode
from fp8num.formats import Format
from fp8num.nn.factor import Factor
from fp8num.nn.operand import PRODUCTS, ROLES, Operand, Products
from fp8num.nn.products import CORRECTLY_ROUNDED, find_accumulator, product
from fp8num.scaled import ScaledArray
from fp8num.scaling.quantize import scale_quantize
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_depths", "check_products", "refusal"]

_ENOUGH = 4096  #: elements of k that are tried, at most
#: What each product adds up, by how many.
_CONTRACTS = {
    "forward": "{} features in",
    "dgrad": "{} features out",
    "wgrad": "a batch of {}",
}


def check_products(recipe: Products) -> None:
    """Refuse accumulators that do not take their operands, however wide the layers are."""
    for name in PRODUCTS:
        if _reason(recipe, name, 1) is None:
            continue
        # With as much of k as is looked at, the reason names blocks that are whole.
        raise ValueError(_message(f"{name} of recipe {recipe.name!r}", recipe, name, _ENOUGH))


def check_depths(layer: str, recipe: Products, depths: Mapping[str, int]) -> None:
    """Refuse accumulators that do not take their operands where k is as long as given."""
    for name, depth in depths.items():
        if (found := refusal(layer, recipe, name, depth)) is not None:
            raise ValueError(found)


def refusal(layer: str, recipe: Products, name: str, depth: int) -> str | None:
    """Return why a layer's product cannot be computed; None if its accumulator takes it."""
    if _reason(recipe, name, depth) is None:
        return None
    what = f"{name} of layer {layer!r} with recipe {recipe.name!r} over {_CONTRACTS[name]}"
    return _message(what.format(depth), recipe, name, depth)


def _message(what: str, recipe: Products, name: str, depth: int) -> str:
    """Say which product is not computed, why, and what would compute it."""
    unit = find_accumulator(recipe.accumulator(name))
    shown = " and ".join(
        f"{letter} = {role} ({_shown(recipe.operand(role))})"
        for letter, role in zip("ab", _roles(name), strict=True)
    )
    # What follows a semicolon is advice to those who call the product themselves.
    reason = (_reason(recipe, name, depth) or "").partition("; ")[0]
    return (
        f"{what} must have an accumulator that takes {shown}, got "
        f"{CORRECTLY_ROUNDED if unit is None else unit.name!r}: {reason}; "
        f"{_advice(recipe, name, unit)}"
    )


def _advice(recipe: Products, name: str, unit: Accumulator | None) -> str:
    """Return what computes a product instead, however long k is: first names of the catalogue."""
    known, depth = (CORRECTLY_ROUNDED, *ACCUMULATORS), _ENOUGH
    taking = [one for one in known if _takes(recipe, name, one, depth)]
    others = [part for part in PRODUCTS if part != name]
    whole = [one for one in taking if all(_takes(recipe, part, one, depth) for part in others)]
    found = (
        f"all three products are taken by {', '.join(whole)} (accumulators=, or --accumulator "
        "at the command line)"
        if whole
        else f"accumulators that take {name} are {', '.join(taking)}"
    )
    length = max(_extent(operand)[0] for operand in _operands(recipe, name))
    if isinstance(unit, TensorCore) and not length % unit.instruction:
        promoted = replace(unit, promotion=length)
        if _refused(*_operands(recipe, name), promoted, recipe.scales, depth) is None:
            given = f"ACCUMULATORS[{unit.name!r}]" if ACCUMULATORS.get(unit.name) == unit else "it"
            found += f"; so does dataclasses.replace({given}, promotion={length}), in Python"
    if _refused(*_operands(recipe, name), unit, "operand", depth) is None:
        found += "; scales='operand' lets the scales enter first"
    return found


def _shown(operand: Operand) -> str:
    """Return an operand with what shares a scale."""
    rule = operand.rule
    return f"{operand}, {rule.granularity}" if isinstance(rule, Rule) else str(operand)


def _takes(recipe: Products, name: str, accumulator: str, depth: int) -> bool:
    """Whether an accumulator serves a product of a recipe."""
    pair, unit = _operands(recipe, name), find_accumulator(accumulator)
    return _refused(*pair, unit, recipe.scales, depth) is None


def _reason(recipe: Products, name: str, depth: int) -> str | None:
    """Return why the accumulator of a product does not take its operands."""
    pair, unit = _operands(recipe, name), find_accumulator(recipe.accumulator(name))
    return _refused(*pair, unit, recipe.scales, depth)


def _roles(name: str) -> tuple[str, str]:
    first = 2 * PRODUCTS.index(name)
    return ROLES[first], ROLES[first + 1]


def _operands(recipe: Products, name: str) -> tuple[Operand, Operand]:
    left, right = _roles(name)
    return recipe.operand(left), recipe.operand(right)


def _extent(operand: Operand) -> tuple[int, int]:
    """Return a block's length along k and along the other axis."""
    if not isinstance(operand.rule, Rule) or operand.rule.granularity.kind != "block":
        return 1, 1
    grain = operand.rule.granularity
    extent = grain.length, grain.height
    return extent if operand.axis == "contracted" else extent[::-1]


def _refused(
    left: Operand, right: Operand, unit: Accumulator | None, scales: str, depth: int
) -> str | None:
    """Return the error of a product of k elements, None if there is none."""
    if unit is None and scales == "operand":
        return None  # float32 numbers, whatever they were made of
    random = isinstance(unit, FloatSum) and unit.is_stochastic
    # One more than the longest block tells the same as all of k.
    depth = min(depth, 1 + max(_extent(left)[0], _extent(right)[0]), _ENOUGH)
    try:
        a, b = _example("a", left, depth), _example("b", right, depth)
    except ValueError:
        return None  # of blocks that must divide the shape: the cast is to refuse it
    try:
        product(
            a,
            b,
            CORRECTLY_ROUNDED if unit is None else unit,
            scales=scales,
            rng=np.random.default_rng(0) if random else None,
        )
    except ValueError as error:
        return str(error)
    return None


def _example(name: str, operand: Operand, depth: int) -> Factor:
    """Return a row, or a column, of ordinary numbers as an operand has them."""
    axis = int(name == "a") if operand.axis == "contracted" else int(name == "b")
    if operand.rotation is not None:
        depth += -depth % len(operand.rotation.signs)
    # Not powers of two, so that neither are scales that need not be.
    source = np.linspace(0.7, 1.9, depth, dtype=np.float32).reshape(
        (1, depth) if name == "a" else (depth, 1)
    )
    rule, fmt = operand.rule, operand.format
    if not isinstance(fmt, Format):
        return Factor(name, source)
    if not isinstance(rule, Rule):
        one = np.ones((), np.float32)
        return Factor(name, ScaledArray(encode(source, fmt), fmt, one, source.shape, axis=axis))
    random = rule.cast.projection(fmt).rounding.is_stochastic
    rng = np.random.default_rng(0) if random else None
    return Factor(name, scale_quantize(source, rule, fmt=fmt, axis=axis, rng=rng))
