"""Casts whose short way and whose rule could differ: one scale or many, a product or a quotient."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num import scaling
from fp8num.nn._grid import saturated_elements
from fp8num.nn._tensor_cast import tensor_cast
from fp8num.nn.casts import cast_record
from fp8num.nn.data import spirals
from fp8num.nn.linear import Linear
from fp8num.nn.quantized import _values_suffice
from fp8num.nn.recipes import RECIPES, Operand, Recipe
from fp8num.nn.tensor import Tensor
from fp8num.nn.train import train
from fp8num.scaled import Descale
from fp8num.scaling.finders import Amax, Percentile
from fp8num.scaling.rule import Cast
from fp8num.scaling.scales import PowerOfTwo

if TYPE_CHECKING:
    from fp8num.formats import Format

Array = npt.NDArray[Any]
E4M3FN = fp.get_format("E4M3FN")


def layer(recipe: Recipe | str, **options: Any) -> Linear:
    return Linear(32, 16, rng=np.random.default_rng(0), recipe=recipe, **options)


def inputs(rows: int = 5) -> Array:
    return np.random.default_rng(1).standard_normal((rows, 32)).astype(np.float32)


def half_a_place(fmt: Format) -> float:
    """Return half the distance of a format's largest values."""
    values = np.unique(fmt.values[np.isfinite(fmt.values)])
    return float(values[-1] - values[-2]) / 2


def outputs(recipe: Recipe, **options: Any) -> list[bytes]:
    """Return the bits of a layer's result and of all its gradients."""
    made = layer(recipe, **options)
    x = Tensor(inputs(), requires_grad=True)
    y = made(x)
    y.backward(np.cos(np.arange(80, dtype=np.float32)).reshape(5, 16))
    tensors = [x, *made.parameters().values()]
    return [y.data.tobytes(), *(t.grad.tobytes() for t in tensors if t.grad is not None)]


# Where scales enter the sums.


#: One scale of inputs and gradients, one for each row of the weights; in the accumulator.
MIXED = Recipe(
    name="mixed",
    x_forward=Operand("te-current"),
    w_forward=Operand("torchao-rowwise"),
    g_dgrad=Operand("te-current"),
    w_dgrad=Operand("torchao-rowwise"),
    g_wgrad=Operand("te-current"),
    x_wgrad=Operand("te-current"),
    scales="accumulator",
)
#: The rule keeps what values are divided by to come back.
DIVIDES = replace(RECIPES["torchao-tensorwise"], name="divides", scales="accumulator")


@pytest.mark.parametrize("recipe", [MIXED, DIVIDES], ids=lambda recipe: recipe.name)
def test_a_probe_changes_no_bit_where_scales_enter_the_sums(recipe: Recipe) -> None:
    """It makes codes of what otherwise are values; also one scale beside many."""
    assert outputs(recipe) == outputs(recipe, probe=lambda *_: None)


def test_a_training_of_one_scale_beside_many_is_evaluated() -> None:
    """An evaluation looks at no codes, unlike a training."""
    assert train(spirals(n=60, test=9), recipe=MIXED, epochs=1).held_out.count == 9


@pytest.mark.parametrize("where", ["operand", "accumulator"])
def test_a_rule_that_divides_is_the_same_with_codes_and_without(where: str) -> None:
    """`debug` compares each operand made without codes with what codes stand for."""
    made = layer(replace(DIVIDES, scales=where), debug=True)
    made(np.ones((5, 32), np.float32))
    made(inputs())


# What asks for codes.


@pytest.mark.parametrize("unit", ["hopper", "hopper-promoted", "float32", "bfloat16"])
def test_products_may_have_different_accumulators(unit: str) -> None:
    """One that takes values and one that takes codes of the same operand."""
    units = ("correctly-rounded", unit, unit)
    recipe = replace(RECIPES["te-current"], name="own", accumulators=units)
    assert outputs(recipe) == outputs(recipe, probe=lambda *_: None)


def test_values_are_for_products_that_all_take_them_alike() -> None:
    """Not even for two ways of taking values: what suits one need not suit the other."""
    one = replace(RECIPES["te-current"], name="own", accumulators="correctly-rounded")
    two = replace(one, accumulators=("correctly-rounded", "blas-float32", "blas-float32"))
    assert _values_suffice(one)
    assert not _values_suffice(two)
    assert outputs(two) == outputs(two, probe=lambda *_: None)


def test_rotated_elements_are_not_counted() -> None:
    """What saturates there are sums of elements, and the elements are none of them."""
    recipe = replace(RECIPES["nvfp4"], name="own", saturation_is_overflow=True)
    made = layer(recipe)
    x = np.zeros((16, 32), np.float32)
    x[0], x[1:] = 100, 1e-3
    g = np.zeros((16, 16), np.float32)
    g[0] = 1

    made(Tensor(x)).backward(g)

    assert made.saturated == 0


@pytest.mark.parametrize("rule", ["te-nvfp4", "te-mxfp8", "te-block-128x128", "row", "te-current"])
def test_elements_that_saturate_lie_beyond_their_own_block(rule: str) -> None:
    """By the scale of each element, looked up one by one; a scale of 0 saturates nothing."""
    x = np.random.default_rng(2).standard_normal((40, 150)).astype(np.float32)
    x[3, 16:32] = 0
    scaled = fp.scale_quantize(x, rule)
    shown = np.where(np.abs(x) > 1, 64 * x, x)
    shown[3, 20] = np.inf  # of a block that may have the scale 0
    limit = float(scaled.format.max) + half_a_place(scaled.format)

    found = saturated_elements(scaled, shown)

    scales = np.broadcast_to(scaled.scales, scaled.scales.shape or (1, 1))
    for at in np.ndindex(shown.shape):
        scale = float(scales[tuple(i // n for i, n in zip(at, scaled.block, strict=True))])
        beyond = abs(float(shown[at])) > scale * limit
        assert found[at] == (beyond and scale > 0), at
    assert found.any()


@pytest.mark.parametrize("rule", ["te-current", "row", "te-mxfp8"])
def test_infinities_are_not_among_what_saturates(rule: str) -> None:
    """Six of the 28 that are finite: largest values are 1 and 1.75."""
    scaled = fp.scale_quantize(np.ones((1, 32), np.float32), rule)
    shown = np.ones((1, 32), np.float32)
    shown[0, :10] = [2, -2, 2, -2, 2, -2, np.inf, -np.inf, np.nan, np.nan]

    record = cast_record(0, "first", "x_forward", scaled, shown)

    assert record.finite == 28
    assert record.saturation_rate == 6 / 28


# The short way of a cast with one scale.


@pytest.mark.parametrize("rule", ["te-current", "torchao-tensorwise", "torchao-tensorwise-pow2"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_not_for_the_grid(rule: str, value: float) -> None:
    """The grid has no infinities; the table has."""
    cast = tensor_cast(scaling.get_rule(rule), E4M3FN)
    assert cast is not None
    x = np.array([[1, value]], np.float32)
    assert cast.values(x, np.empty_like(x)) is None


def test_a_rule_that_ignores_infinities_finds_the_largest_of_the_others() -> None:
    """With codes by the short way or by the long one."""
    rule = replace(scaling.get_rule("te-current"), name="own", finder=Amax("ignore", finite=True))
    x = np.array([[1, 2, np.inf]], np.float32)
    expected = fp.scale_quantize(x, rule, fmt=E4M3FN)
    assert expected.scales == fp.scale_quantize(x[:, :2], "te-current", fmt=E4M3FN).scales

    cast = tensor_cast(rule, E4M3FN)

    found = None if cast is None else cast(x, 1)
    if found is not None:
        np.testing.assert_array_equal(found.codes, expected.codes)
    recipe = replace(RECIPES["te-current"], name="own", x_forward=Operand(rule, E4M3FN))
    layer(recipe, debug=True)(np.concatenate([inputs(4), np.full((1, 32), np.inf, np.float32)]))


def test_no_short_way_on_a_processor_that_flushes_subnormals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The long one works on bits there."""
    cast = tensor_cast(scaling.get_rule("te-current"), E4M3FN)
    assert cast is not None
    x = inputs()
    assert cast(x, 1) is not None
    monkeypatch.setattr("fp8num.nn._tensor_cast.flushes_subnormals", lambda: True)
    assert cast(x, 1) is None
    assert cast.values(x, np.empty_like(x)) is None


#: Rules with one scale, each with one part that is not what the short way was made for.
ODD: dict[str, dict[str, Any]] = {
    "divides": {"way_in": Descale.DIVIDE},
    "keeps eight bits": {"scale": PowerOfTwo()},
    "percentile": {"finder": Percentile(90)},
    "exact": {"exact": True},
    "flushes": {"cast": Cast(flushes=True)},
    "drops -0": {"cast": Cast(drops_minus_zero=True)},
    "early tie": {"cast": Cast(early_tie=True)},
    "coarse top": {"cast": Cast(coarse_top=True)},
    "ties away": {"cast": Cast(rounding="NearestTiesToAway")},
    "toward zero": {"cast": Cast(rounding="TowardZero")},
}


@pytest.mark.parametrize("part", ODD)
@pytest.mark.parametrize("largest", [448.0, 300.0])
def test_the_short_way_serves_a_rule_as_it_is_or_not_at_all(part: str, largest: float) -> None:
    """Midpoints, their neighbours, what lies just below a power of two, subnormals, -0."""
    rule = replace(scaling.get_rule("te-current"), name="own", **ODD[part])
    magnitudes = E4M3FN.values[:0x7F]
    edges = np.concatenate([(magnitudes[1:] + magnitudes[:-1]) / 2, 2.0 ** np.arange(-9, 9)])
    edges = edges.astype(np.float32)
    beside = [np.nextafter(edges, np.float32(toward)) for toward in (0, np.inf)]
    x = np.concatenate([[-0.0, 0.0], magnitudes, edges, *beside]).astype(np.float32)
    x = np.minimum(np.concatenate([x, -x]), np.float32(largest))[None].clip(-largest)
    expected = fp.scale_quantize(x, rule, fmt=E4M3FN)

    cast = tensor_cast(rule, E4M3FN)

    found = None if cast is None else cast(x, 1)
    if cast is None or found is None:
        return
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.stored_scales, expected.stored_scales)
    values = np.empty(x.shape, np.float32)
    if cast.values(x, values) is not None:
        np.testing.assert_array_equal(values, fp.decode(expected.codes, E4M3FN))
