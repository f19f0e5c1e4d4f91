"""Layers: what training with quantised operands must be, whatever the recipe."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num import nn, scaling
from fp8num.nn._matrix import Matrix
from fp8num.nn._tensor_cast import TensorCast, tensor_cast
from fp8num.nn.factor import Factor
from fp8num.nn.products import multiply
from fp8num.nn.quantized import Casts
from fp8num.nn.recipes import RECIPES, ROLES, Operand, Recipe

Array = npt.NDArray[Any]
CAST = [name for name in RECIPES if name != "fp32"]
DELAYED = ["te-delayed", "flax-delayed"]


def data(n: int = 48, features: int = 20) -> tuple[Array, Array]:
    """Return inputs and labels."""
    rng = np.random.default_rng(11)
    return rng.standard_normal((n, features)).astype(np.float32), rng.integers(0, 5, n)


def trained(
    recipe: str | Recipe, steps: int = 4, scaler: Any = None, **options: Any
) -> tuple[nn.MLP, list[float]]:
    """Return a small net after some steps, and its losses."""
    x, y = data()
    model = nn.MLP([20, 33, 5], seed=3, recipe=recipe, **options)
    optimizer = nn.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        for parameter in model.parameters().values():
            parameter.zero_grad()
        loss = nn.cross_entropy(model(x), y)
        losses.append(loss.item())
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale_loss(loss).backward()
            assert scaler.step(optimizer)
            scaler.update()
        model.end_step()
    return model, losses


def assert_same_training(
    one: tuple[nn.MLP, list[float]], other: tuple[nn.MLP, list[float]]
) -> None:
    """Compare losses and parameters by their bits."""
    assert one[1] == other[1]
    for name, parameter in one[0].parameters().items():
        theirs = other[0].parameters()[name].data
        np.testing.assert_array_equal(parameter.data.view(np.uint32), theirs.view(np.uint32))


# What does not depend on the recipe.


@pytest.mark.parametrize("recipe", RECIPES)
def test_it_learns(recipe: str) -> None:
    """The loss of one batch falls to less than two thirds in 25 steps."""
    _, losses = trained(recipe, steps=25)
    assert losses[-1] < losses[0] * 2 / 3


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_batch_of_nothing(recipe: str) -> None:
    """Gives nothing, and gradients of zero."""
    model = nn.MLP([64, 32, 10], seed=0, recipe=recipe)
    x = nn.Tensor(np.zeros((0, 64), np.float32), requires_grad=True)

    y = model(x)
    y.backward(np.zeros((0, 10), np.float32))

    assert y.shape == (0, 10)
    assert x.grad is not None
    assert x.grad.shape == (0, 64)
    for parameter in model.parameters().values():
        np.testing.assert_array_equal(parameter.grad, np.zeros(parameter.shape, np.float32))


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_weight_gradient_is_all_zero(recipe: str) -> None:
    x, y = data()
    model = nn.MLP([20, 33, 5], seed=3, recipe=recipe)

    nn.cross_entropy(model(x), y).backward()

    for name, parameter in model.parameters().items():
        assert parameter.grad is not None
        assert np.isfinite(parameter.grad).all()
        assert np.count_nonzero(parameter.grad) > parameter.grad.size / 4, name


def test_gradients_near_those_of_float32() -> None:
    """Within what two roundings to their formats can make of them, as a whole."""
    x, y = data()

    def gradients(recipe: str) -> Array:
        model = nn.MLP([20, 33, 5], seed=3, recipe=recipe)
        nn.cross_entropy(model(x), y).backward()
        every = [parameter.grad for parameter in model.parameters().values()]
        return np.concatenate([one.ravel() for one in every if one is not None])

    exact = gradients("fp32")
    errors = {
        name: np.linalg.norm(gradients(name) - exact) / np.linalg.norm(exact) for name in CAST
    }
    assert errors.pop("bf16") < 2.0**-8
    assert errors.pop("nvfp4") < 0.5
    unscaled = {"fp8-unscaled", "te-delayed", "flax-delayed"}  # their first step has the scale 1
    # E4M3FN's relative error is at most 2^-4, E5M2's 2^-3; most are less.
    assert max(errors[name] for name in errors.keys() - unscaled) < 2.0**-4 + 2.0**-3


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_quantised_tensor_is_on_its_grid(recipe: str) -> None:
    """Checked in the step; the probe sees six casts of the last layer, no dX of the first."""
    seen: Counter[tuple[str, str]] = Counter()

    def probe(layer: str, role: str, scaled: Any, source: Array) -> None:
        seen[layer, role] += 1
        operand = RECIPES[recipe].operand(role)
        assert scaled.format is operand.format
        assert scaled.shape == source.shape

    trained(recipe, steps=2, debug=True, probe=probe)

    casts = [role for role in ROLES if RECIPES[recipe].operand(role).is_cast]
    expected = {("layer1", role): 2 for role in casts}
    expected |= {("layer0", role): 2 for role in casts if "dgrad" not in role}
    assert seen == expected


@pytest.mark.parametrize(
    ("what", "recipe", "message"),
    [
        (
            "single",
            "mxfp8",
            r"x_forward of layer 'layer0' must hold a scale times values of E4M3FN",
        ),
        ("decoded", "te-current", r"x_forward of layer 'layer0' must hold values of E4M3FN, got"),
    ],
)
def test_the_check_of_the_grid_can_fail(
    what: str, recipe: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With operands that are a thousandth too large, which nobody sees without it."""

    right = Factor.__dict__[what].func

    def wrong(factor: Factor) -> Any:
        if what == "single":
            return right(factor) * np.float32(1.001)
        return Matrix(right(factor).wide("wrong").astype(np.float32) * np.float32(1.001))

    monkeypatch.setattr(Factor, what, property(wrong))
    with pytest.raises(AssertionError, match=message):
        trained(recipe, steps=1, debug=True)
    trained(recipe, steps=1)


WITHOUT_CODES = ["fp8-unscaled", "te-current", "torchao-tensorwise"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_training_is_the_same_with_codes_and_without(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where products take values and nobody looks at codes, none are made."""
    made: Counter[str] = Counter()
    real = TensorCast.values

    def values(cast: TensorCast, x: Array, out: Array) -> Any:
        found = real(cast, x, out)
        made["yes" if found is not None else "no"] += 1
        return found

    monkeypatch.setattr(TensorCast, "values", values)
    without = trained(recipe, steps=3)
    if recipe in WITHOUT_CODES[1:]:
        assert made == {"yes": made["yes"]}
        assert made["yes"] >= 3 * 5
    monkeypatch.setattr(Casts, "_values", lambda *_: None)
    assert_same_training(without, trained(recipe, steps=3))


@pytest.mark.parametrize("recipe", WITHOUT_CODES[1:])
def test_a_training_makes_codes_only_where_it_looks(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first and the last step, and the history is that of a training with codes."""
    made: Counter[str] = Counter()
    real = TensorCast.__call__

    def cast(self: TensorCast, x: Array, axis: int) -> Any:
        made["codes"] += 1
        return real(self, x, axis)

    def run() -> nn.Run:
        options = {"sizes": (2, 8, 3), "recipe": recipe, "epochs": 2, "stats_every": 1000}
        return nn.train(nn.spirals(n=150, test=9), **options)

    monkeypatch.setattr(TensorCast, "__call__", cast)
    late = run()
    assert made["codes"] == 2 * 6  # three tensors of each layer
    monkeypatch.setattr(Casts, "_values", lambda *_: None)
    early = run()
    assert made["codes"] == 2 * 6 + 6 * 6 + 2 * 4  # every step, and two evaluations
    assert repr(late.history) == repr(early.history)


@pytest.mark.parametrize("recipe", WITHOUT_CODES[1:])
def test_an_operand_without_codes_that_differs_is_found(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When debugging is on, by the codes that are then made."""
    real = TensorCast.values

    def values(cast: TensorCast, x: Array, out: Array) -> Any:
        found = real(cast, x, out)
        out[0, 1] += 1
        return found

    monkeypatch.setattr(TensorCast, "values", values)
    with pytest.raises(
        AssertionError, match=r"x_forward of layer 'layer0' must be the same with codes and without"
    ):
        trained(recipe, steps=1, debug=True)
    trained(recipe, steps=1)


# Identities.


class Reference:
    """The same net and optimizer in plain NumPy, with any product of matrices."""

    def __init__(self, product: Any) -> None:
        model = nn.MLP([20, 33, 5], seed=3)
        self.tensors = {
            name: nn.Tensor(p.data.copy(), requires_grad=True)
            for name, p in model.parameters().items()
        }
        self.product = product

    def gradients(self, x: Array, y: Array) -> float:
        """Set the gradients, and return the loss."""
        w0, b0, w1, b1 = (tensor.data for tensor in self.tensors.values())
        h = self.product(x, w0.T) + b0
        a = np.maximum(h, 0)
        logits = nn.Tensor(self.product(a, w1.T) + b1, requires_grad=True)
        loss = nn.cross_entropy(logits, y)
        loss.backward()
        assert logits.grad is not None
        g = logits.grad
        dh = np.where(h > 0, self.product(g, w1), np.float32(0))
        found = self.product(dh.T, x), dh.sum(0), self.product(g.T, a), g.sum(0)
        for tensor, gradient in zip(self.tensors.values(), found, strict=True):
            tensor.grad = gradient
        return loss.item()

    def train(self, steps: int) -> list[float]:
        """Return the losses."""
        optimizer = nn.Adam(self.tensors, lr=1e-2)
        losses = []
        for _ in range(steps):
            losses.append(self.gradients(*data()))
            optimizer.step()
        return losses


IDENTITY = dict.fromkeys(ROLES, Operand())


@pytest.mark.parametrize("recipe", RECIPES)
def test_with_identities_for_casts_training_is_that_of_float32(recipe: str) -> None:
    """Bit for bit that of plain NumPy with correctly rounded products."""
    plain = replace(RECIPES[recipe], **IDENTITY, output=None, straight_through="clip")
    model, losses = trained(plain, steps=6, debug=True)

    reference = Reference(multiply)
    theirs = reference.train(6)

    assert losses == theirs
    for name, parameter in model.parameters().items():
        other = reference.tensors[name].data
        np.testing.assert_array_equal(parameter.data.view(np.uint32), other.view(np.uint32))


def test_with_the_blas_training_is_that_of_plain_numpy() -> None:
    """Then products are NumPy's own."""
    model, losses = trained(Recipe(name="blas", accumulators="blas-float32"), steps=6)
    reference = Reference(np.matmul)
    assert losses == reference.train(6)
    for name, parameter in model.parameters().items():
        np.testing.assert_array_equal(parameter.data, reference.tensors[name].data)


@pytest.mark.parametrize("scale", [2.0**-10, 2.0**16])
@pytest.mark.parametrize("recipe", ["fp32", "te-current", "mxfp8", "torchao-rowwise", "bf16"])
def test_a_loss_scale_of_a_power_of_two_changes_no_bit(recipe: str, scale: float) -> None:
    """Nor do scales that are found from the tensor itself: they follow it exactly."""
    scaler = nn.LossScaler(scale, dynamic=False)
    assert_same_training(trained(recipe, scaler=scaler), trained(recipe))


def test_a_loss_scale_reaches_a_format_without_scales() -> None:
    """Gradients that E5M2 takes for zero are there again."""
    x, y = data()

    def share_of_zeros(scale: float) -> float:
        seen: dict[str, Any] = {}
        model = nn.MLP([20, 33, 5], seed=3, recipe="fp8-unscaled")
        model.probe = lambda _, role, scaled, source: seen.__setitem__(role, (scaled, source))
        (nn.cross_entropy(model(x), y) * (scale * 2.0**-10)).backward()
        scaled, source = seen["g_wgrad"]
        return float(np.mean(scaled.dequantize()[source != 0] == 0))

    assert share_of_zeros(1.0) > 0.2
    assert share_of_zeros(2.0**20) == 0


# Casts.


def casts_of(recipe: str | Recipe, shape: tuple[int, int, int], steps: int = 1) -> Any:
    """Return a layer, the casts and sources of its last step, and its tensors."""
    batch, features_in, features_out = shape
    rng = np.random.default_rng(5)
    x = rng.standard_normal((batch, features_in)).astype(np.float32)
    g = rng.standard_normal((batch, features_out)).astype(np.float32) * np.float32(1e-3)
    seen: dict[str, Any] = {}
    layer = nn.Linear(features_in, features_out, rng=rng, recipe=recipe, debug=True)
    layer.probe = lambda _, role, scaled, source: seen.__setitem__(role, scaled)
    for _ in range(steps):
        inputs = nn.Tensor(x, requires_grad=True)
        layer(inputs).backward(g)
    return layer, seen, {"x": x, "w": layer.weight.data, "g": g}


def assert_same_array(one: Any, other: Any) -> None:
    """Compare codes and scales."""
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.stored_scales, other.stored_scales)


@pytest.mark.parametrize(
    "recipe", ["te-current", "te-block", "mxfp8", "torchao-tensorwise", "torchao-rowwise"]
)
def test_every_cast_is_of_the_float32_tensor_along_the_contracted_axis(recipe: str) -> None:
    """Also that of wgrad: TransformerEngine, torchao and MX quantise again from the source."""
    _, seen, tensors = casts_of(recipe, (160, 150, 140))
    axes = {"forward": 1, "wgrad": 0}
    for role in ROLES:
        tensor, product = role.split("_")
        axis = axes.get(product, 1 if tensor == "g" else 0)
        operand = RECIPES[recipe].operand(role)
        expected = fp.scale_quantize(tensors[tensor], operand.rule, fmt=operand.format, axis=axis)
        assert_same_array(seen[role], expected)


def test_square_blocks_of_the_weight_are_cast_once() -> None:
    _, seen, _ = casts_of("te-block", (160, 150, 140))
    assert seen["w_dgrad"] is seen["w_forward"]
    assert seen["x_wgrad"] is not seen["x_forward"]


def test_deepseek_turns_its_cached_activations() -> None:
    """The float32 values that the 1x128 codes stand for, quantised 128x1: rounded twice."""
    _, seen, tensors = casts_of("deepseek", (160, 150, 140))
    cached = fp.scale_quantize(tensors["x"], "deepgemm-1x128").dequantize()
    assert_same_array(seen["x_wgrad"], fp.scale_quantize(cached, "deepgemm-1x128", axis=0))
    once = fp.scale_quantize(tensors["x"], "deepgemm-1x128", axis=0)
    assert (seen["x_wgrad"].codes != once.codes).any()
    g = fp.scale_quantize(tensors["g"], "deepgemm-1x128", axis=0)
    assert_same_array(seen["g_wgrad"], g)


def test_nvfp4_rotates_and_draws() -> None:
    """X by the Hadamard matrix for wgrad; the gradient's codes are drawn again for each use."""
    layer, seen, tensors = casts_of("nvfp4", (32, 48, 64))
    assert_same_array(seen["x_forward"], fp.scale_quantize(tensors["x"], "te-nvfp4"))
    assert_same_array(seen["w_dgrad"], fp.scale_quantize(tensors["w"], "te-nvfp4-2d"))
    expected = fp.scale_quantize(tensors["x"], "te-nvfp4-rht", axis=0)
    assert_same_array(seen["x_wgrad"], expected)
    assert seen["g_dgrad"].rule.name == "te-nvfp4-sr"
    assert seen["g_wgrad"].rule.name == "te-nvfp4-rht-sr"
    # The rotation of both cancels in their product: the gradient is that of float32, nearly.
    exact = tensors["g"].T.astype(np.float64) @ tensors["x"]
    assert layer.weight.grad is not None
    assert np.linalg.norm(layer.weight.grad - exact) < 0.3 * np.linalg.norm(exact)


def test_what_is_drawn_can_be_drawn_again() -> None:
    """From the seed, and from a state; never from a generator that others use."""
    assert_same_training(trained("nvfp4"), trained("nvfp4"))
    model, _ = trained("nvfp4")
    state = json.loads(json.dumps(model.state()))
    other, _ = trained("nvfp4", steps=1)
    x, y = data()

    def gradient(one: nn.MLP) -> Array:
        for name, parameter in one.parameters().items():
            parameter.data[...] = model.parameters()[name].data
            parameter.zero_grad()
        nn.cross_entropy(one(x), y).backward()
        found = one.layers[1].weight.grad
        assert found is not None
        return found

    first = gradient(model)
    second = gradient(model)
    other.restore(state)
    assert (first != second).any()
    np.testing.assert_array_equal(gradient(other), first)


def test_a_rotation_pads_the_batch_with_zeros() -> None:
    """To whole tiles of 16, which add nothing to the product."""
    _, seen, _ = casts_of("nvfp4", (21, 48, 64))
    assert seen["x_wgrad"].shape == (32, 48)
    assert seen["g_wgrad"].shape == (32, 64)
    assert seen["x_forward"].shape == (21, 48)


def test_nets_of_one_seed_start_alike_whatever_the_recipe() -> None:
    one, other = (nn.MLP([7, 6, 5], seed=9, recipe=name) for name in ("fp32", "nvfp4"))
    for name, parameter in one.parameters().items():
        np.testing.assert_array_equal(parameter.data, other.parameters()[name].data)
    assert np.abs(one.layers[0].weight.data).max() <= 7**-0.5


CORNERS = {
    "normal": np.random.default_rng(0).standard_normal((70, 600)),
    "zeros": np.zeros((3, 4)),
    "minus zeros": np.full((3, 4), -0.0),
    "tiny": np.full((2, 2), 1e-42),
    "huge": np.array([[3.4e38, -1.0, 1e-38]]),
    "infinite": np.array([[np.inf, 1.0, -2.0]]),
    "nan": np.array([[np.nan, 1.0, -2.0]]),
    "negative": np.array([[-7.0, -1.0]]),
    "one": np.array([[0.3]]),
}


@pytest.mark.parametrize("fmt", ["E4M3FN", "E5M2"])
@pytest.mark.parametrize(
    "rule", ["te-current", "te-current-pow2", "torchao-tensorwise", "torchao-tensorwise-pow2"]
)
@pytest.mark.parametrize("corner", CORNERS)
def test_the_short_way_of_a_cast_is_the_long_one(corner: str, rule: str, fmt: str) -> None:
    """Codes, scale, and whatever else the array says."""
    with np.errstate(over="ignore"):
        x = CORNERS[corner].astype(np.float32)
    cast = tensor_cast(scaling.get_rule(rule), fp.get_format(fmt))
    assert cast is not None
    found = cast(x, 1)
    expected = fp.scale_quantize(x, rule, fmt=fmt)
    if corner == "nan":
        assert found is None
        return
    assert found is not None
    assert_same_array(found, expected)
    assert found.describe() == expected.describe()


@pytest.mark.parametrize(
    "rule", ["tensor", "flax", "te-delayed", "microxcaling", "te-nvfp4", "torchao-rowwise"]
)
def test_the_short_way_is_not_for_other_rules(rule: str) -> None:
    found = scaling.get_rule(rule)
    assert tensor_cast(found, found.choose_format(None)) is None


# Delayed scaling.


@pytest.mark.parametrize("recipe", DELAYED)
def test_delayed_scales_are_those_of_their_states(recipe: str) -> None:
    """Step by step against states kept by hand; step 0 uses the scale 1."""
    layer, seen, tensors = casts_of(recipe, (8, 6, 5), steps=0)
    rule = RECIPES[recipe].x_forward.rule
    states = {t: scaling.start(rule, "E5M2" if t == "g" else "E4M3FN") for t in "xwg"}
    rng = np.random.default_rng(0)
    for step in range(4):
        factor = np.float32(3.0**step)
        layer.weight.data[...] = rng.standard_normal((5, 6))
        x = nn.Tensor(tensors["x"] * factor, requires_grad=True)
        layer(x).backward(tensors["g"] * factor)
        sources = {"x": x.data, "w": layer.weight.data, "g": tensors["g"] * factor}
        for tensor, source in sources.items():
            scaled, states[tensor] = states[tensor].quantize(source)
            for role in ROLES:
                if role.startswith(tensor):
                    assert_same_array(seen[role], scaled)
            if step == 0:
                assert scaled.stored_scales == 1
            states[tensor] = states[tensor].update()
        layer.end_step()
        for tensor, state in states.items():
            assert layer.delayed[tensor].to_dict() == state.to_dict()


@pytest.mark.parametrize("recipe", DELAYED)
def test_evaluation_does_not_move_delayed_scales(recipe: str) -> None:
    model, _ = trained(recipe)
    before = json.dumps(model.state())
    with nn.no_grad():
        model(data()[0] * 1000)
    model.end_step() if recipe == "flax-delayed" else None
    assert json.dumps(model.state()) == before


@pytest.mark.parametrize("recipe", [*DELAYED, "nvfp4"])
def test_a_restored_net_goes_on_with_the_same_bits(recipe: str) -> None:
    """Through JSON."""
    x, y = data()
    whole, _ = trained(recipe, steps=7)
    half, _ = trained(recipe, steps=4)
    other = nn.MLP([20, 33, 5], seed=99, recipe=recipe)
    other.restore(json.loads(json.dumps(half.state())))
    for name, parameter in other.parameters().items():
        parameter.data[...] = half.parameters()[name].data
    assert json.dumps(other.state()) == json.dumps(half.state())
    assert json.dumps(whole.state()) != json.dumps(half.state())
    losses = []
    for model in (half, other):
        loss = nn.cross_entropy(model(x), y)
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[1]


def test_length_margin_and_algorithm_are_the_recipe_s() -> None:
    recipe = replace(RECIPES["te-delayed"], length=3, margin=1, algorithm="most_recent")
    layer, _, tensors = casts_of(recipe, (8, 6, 5))
    layer.end_step()
    state = layer.delayed["x"]
    amax = np.abs(tensors["x"]).max()
    assert len(state.history) == 3
    assert state.scale == np.float32(224) / amax


# Straight through, saturation, output.


def test_the_derivative_of_a_cast_is_one_or_the_clipped_one() -> None:
    """500 and -1e6 saturate in E4M3FN, 460 rounds to the largest value and does not."""
    x = np.array([[500.0, 460.0, -1e6, 1.0]], np.float32)
    gradients = {}
    for how in ("pass", "clip"):
        recipe = replace(RECIPES["fp8-unscaled"], straight_through=how)
        layer = nn.Linear(4, 4, rng=np.random.default_rng(0), recipe=recipe)
        layer.weight.data[...] = np.eye(4, dtype=np.float32) * 1000
        inputs = nn.Tensor(x, requires_grad=True)
        layer(inputs).backward(np.ones((1, 4), np.float32))
        gradients[how] = inputs.grad, layer.weight.grad
    dx, dw = gradients["pass"]
    assert dx is not None
    assert dw is not None
    np.testing.assert_array_equal(dx, [[448.0] * 4])
    np.testing.assert_array_equal(dw, np.repeat([[448.0, 448.0, -448.0, 1.0]], 4, axis=0))
    np.testing.assert_array_equal(gradients["clip"][0], [[0.0, 448.0, 0.0, 448.0]])
    np.testing.assert_array_equal(gradients["clip"][1], dw * (1 - np.eye(4)))


def test_saturation_is_counted_if_it_is_overflow() -> None:
    recipe = replace(RECIPES["fp8-unscaled"], saturation_is_overflow=True)
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0), recipe=recipe)
    inputs = nn.Tensor(np.array([[1e4, 1.0, -470.0]], np.float32), requires_grad=True)
    layer(inputs).backward(np.array([[1e6, np.inf]], np.float32))
    assert layer.saturated == 2 + 2
    layer.end_step()
    assert layer.saturated == 0
    assert nn.MLP([3, 2], recipe=recipe).saturated == 0


def test_a_block_of_zeros_saturates_nothing() -> None:
    """Its scale of NVFP4 is zero, and zero is not beyond zero."""
    for how in ("pass", "clip"):
        recipe = replace(RECIPES["nvfp4"], saturation_is_overflow=True, straight_through=how)
        layer = nn.Linear(32, 16, rng=np.random.default_rng(0), recipe=recipe)
        x = np.ones((16, 32), np.float32)
        x[:, :16] = 0
        inputs = nn.Tensor(x, requires_grad=True)
        layer(inputs).backward(np.ones((16, 16), np.float32))
        assert layer.saturated == 0
        assert inputs.grad is not None
        assert np.count_nonzero(inputs.grad) == inputs.grad.size


def test_results_of_bf16_are_bfloat16() -> None:
    layer, _, tensors = casts_of("bf16", (8, 6, 5))
    x = nn.Tensor(tensors["x"], requires_grad=True)
    y = layer(x)
    y.backward(tensors["g"])
    for result in (y.data, x.grad):
        np.testing.assert_array_equal(result, fp.quantize(result, "BFLOAT16"))
    exact = fp.quantize(tensors["x"], "BFLOAT16").astype(np.float64)
    exact = exact @ fp.quantize(layer.weight.data, "BFLOAT16").T + layer.bias.data
    np.testing.assert_allclose(y.data, exact, rtol=2.0**-8)


def test_a_cast_to_16_bits_overflows_to_infinity() -> None:
    layer = nn.Linear(1, 1, rng=np.random.default_rng(0), bias=False, recipe="bf16")
    layer.weight.data[...] = 1
    assert layer(np.array([[3.4e38]], np.float32)).item() == np.inf


# Accumulators, graphs, and the rest.


@pytest.mark.parametrize(
    ("recipe", "accumulator"),
    [
        ("te-current", "hopper"),
        ("te-block", "hopper-promoted"),
        ("mxfp8", "blackwell-mx"),
        ("torchao-rowwise", "hopper"),
        ("torchao-tensorwise", "float32"),
        ("bf16", "float32"),
    ],
)
def test_any_accumulator_that_takes_the_operands(recipe: str, accumulator: str) -> None:
    """Each product is that of `fp8num.matmul` on the operands' codes."""
    changed = replace(RECIPES[recipe], accumulators=accumulator, output=None)
    layer, seen, tensors = casts_of(changed, (32, 128, 64))
    x = nn.Tensor(tensors["x"], requires_grad=True)
    layer.weight.zero_grad()

    y = layer(x)
    y.backward(tensors["g"])

    def matmul(a: str, b: str, **turned: bool) -> Array:
        return fp.matmul(seen[a], seen[b], accumulator=accumulator, **turned)

    forward = matmul("x_forward", "w_forward", transpose_b=True)
    np.testing.assert_array_equal(y.data, forward + layer.bias.data)
    np.testing.assert_array_equal(x.grad, matmul("g_dgrad", "w_dgrad"))
    np.testing.assert_array_equal(layer.weight.grad, matmul("g_wgrad", "x_wgrad", transpose_a=True))


@pytest.mark.parametrize("recipe", ["te-current", "te-block", "torchao-rowwise", "fp32"])
def test_graphs_may_live_side_by_side(recipe: str) -> None:
    """Two forward passes, then their backward passes, in either order: nothing is overwritten."""
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((9, 20)).astype(np.float32) for _ in "ab"]
    model = nn.MLP([20, 33, 5], seed=3, recipe=recipe)

    def gradient(order: Any) -> list[Array]:
        losses = [nn.cross_entropy(model(x), [0] * 9) for x in batches]
        found = {}
        for which in order:
            for parameter in model.parameters().values():
                parameter.zero_grad()
            losses[which].backward()
            found[which] = model.layers[0].weight.grad
        return [found[0], found[1]]

    alone = []
    for x in batches:
        for parameter in model.parameters().values():
            parameter.zero_grad()
        nn.cross_entropy(model(x), [0] * 9).backward()
        alone.append(model.layers[0].weight.grad)
    for order in ((0, 1), (1, 0)):
        for ours, theirs in zip(gradient(order), alone, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_nothing_is_left_behind_after_a_step() -> None:
    """No cycle: a graph is gone with its result, without the garbage collector."""
    import gc
    import weakref

    model = nn.MLP([20, 33, 5], recipe="te-current")
    gc.disable()
    try:
        hidden = model.layers[0](nn.Tensor(data()[0], requires_grad=True))
        reference = weakref.ref(hidden)
        loss = nn.cross_entropy(model.layers[1](hidden), data()[1])
        loss.backward()
        del hidden, loss
        assert reference() is None
    finally:
        gc.enable()


def test_layers_of_their_own_recipe() -> None:
    model = nn.MLP([6, 5, 4, 3], recipe="te-current", first_recipe="bf16", last_recipe="fp32")
    assert [layer.recipe.name for layer in model.layers] == ["bf16", "te-current", "fp32"]
    assert list(model.parameters())[:2] == ["layer0.weight", "layer0.bias"]


def test_an_empty_batch() -> None:
    for recipe in ("fp32", "te-current", "mxfp8", "torchao-rowwise", "te-delayed"):
        layer = nn.Linear(4, 3, rng=np.random.default_rng(0), recipe=recipe)
        y = layer(np.zeros((0, 4), np.float32))
        y.backward(np.zeros((0, 3), np.float32))
        np.testing.assert_array_equal(layer.weight.grad, np.zeros((3, 4)))


# Bad input.


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((3, 5), np.float32), ValueError, r"float32 of shape \(batch, 4\), got shape \(3,"),
        (np.ones(4, np.float32), ValueError, r"got shape \(4,\)"),
        (np.ones((3, 4)), TypeError, r"got float64 of shape \(3, 4\); x.astype\(np.float32\) conv"),
        (np.ones((3, 4), int), TypeError, r"got int64 of shape \(3, 4\); x.astype\(np.float32\)"),
        (np.ones((3, 4), bool), TypeError, r"got bool of shape \(3, 4\); x.astype"),
        (np.full((3, 4), None), TypeError, r"got object of shape \(3, 4\)$"),
        (nn.Tensor(np.ones((3, 4))), TypeError, r"got float64 of shape \(3, 4\)"),
        ([[1, 2, 3, 4]], TypeError, r"got int64 of shape \(1, 4\)"),
        ("text", TypeError, r"got <U4 of shape \(\)$"),
        ([[1.0], [1.0, 2.0]], ValueError, "x must be an array of numbers, got list"),
        (np.ma.masked_equal(np.float32([[1, 0]]), 0), TypeError, "x must not be a masked arr"),
    ],
)  # fmt: skip
def test_bad_inputs(x: Any, error: type[Exception], message: str) -> None:
    """Layer and recipe are named, whatever is wrong."""
    message = f"^layer 'layer0' with recipe 'te-current' must be given .*{message}"
    with pytest.raises(error, match=message):
        nn.MLP([4, 3], recipe="te-current")(x)


def test_bad_settings() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match="name of a layer must be text, got int 3"):
        nn.Linear(4, 3, rng=rng, name=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="activation must be one of relu, .* got 'step'"):
        nn.MLP([4, 3], activation="step")
    with pytest.raises(ValueError, match="seed must not be given beside rng, got 1"):
        nn.MLP([4, 3], rng=rng, seed=1)
    with pytest.raises(TypeError, match=r"rng must be a numpy.random.Generator, got int 3"):
        nn.Linear(4, 3, rng=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"recipe must be .*'te-curent'; did you mean te-current"):
        nn.Linear(4, 3, rng=rng, recipe="te-curent")
    with pytest.raises(ValueError, match="features_in must be an integer, at least 1, got -1"):
        nn.Linear(-1, 3, rng=rng)


def test_bad_states() -> None:
    model = nn.MLP([4, 3], recipe="te-delayed")
    good = model.state()
    layer = good["layer0"]
    for state, message in (
        ({}, "state must be of the layers layer0, got "),
        ({"layer0": 3}, "state of layer 'layer0' must be what state.. returned"),
        ({"layer0": layer | {"recipe": "flax-delayed"}}, "with recipe 'te-delayed', got one with"),
        ({"layer0": layer | {"delayed": {}}}, "delayed scales of nothing"),
        ({"layer0": layer | {"rng": {}}}, "generator_state"),
        (
            {"layer0": layer | {"delayed": layer["delayed"] | {"x": layer["delayed"]["g"]}}},
            "with te-delayed E4M3FN over 1024 steps, got te-delayed E5M2",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            model.restore(state)
    assert model.state() == good


@pytest.mark.parametrize(
    "sizes",
    [[4, 5, 3], (4, 5, 3), np.array([4, 5, 3]), np.uint8([4, 5, 3]), range(5, 2, -1), iter([4, 3])],
    ids=lambda sizes: type(sizes).__name__,
)
def test_widths_are_whatever_has_an_order(sizes: Any) -> None:
    """They are kept as Python's integers."""
    model = nn.MLP(sizes)
    assert isinstance(model.sizes, tuple)
    assert {type(size) for size in model.sizes} == {int}
    assert model.parameters()["layer0.weight"].shape == model.sizes[1::-1]


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ([4], ValueError, r"sizes must be at least two widths, .* such as .*, got \[4\]"),
        ([], ValueError, r"sizes must be at least two widths, .* got \[\]"),
        ([4, 0], ValueError, "a width of sizes must be an integer, at least 1, got 0"),
        (np.array([4.0, 3.0]), TypeError, "a width of sizes must be an integer, .* got np.float64"),
        ([4, True], TypeError, "a width of sizes must be an integer, at least 1, got True"),
        ("43", TypeError, "sizes must be a sequence of widths, such as .*, got '43'"),
        (b"43", TypeError, "sizes must be a sequence of widths"),
        ({4, 3}, TypeError, "sizes must be a sequence of widths, .* got {3, 4}"),
        ({4: 3, 3: 4}, TypeError, "sizes must be a sequence of widths"),
        (43, TypeError, "sizes must be a sequence of widths, .* got 43"),
        (None, TypeError, "sizes must be a sequence of widths, .* got None"),
        (np.array(3), TypeError, "sizes must be a sequence of widths"),
        (np.ones((2, 2), int), TypeError, "sizes must be a sequence of widths"),
    ],
)
def test_what_are_no_widths(sizes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.MLP(sizes)


def test_activations_are_named() -> None:
    with pytest.raises(ValueError, match=r"activation must be one of relu, .* got \['relu'\]"):
        nn.MLP([4, 3], activation=["relu"])  # type: ignore[arg-type]


def test_a_delayed_rule_with_another_cast_is_what_a_layer_casts_with() -> None:
    """Its state goes on in another net of the same recipe, and not in one of the catalogue's."""
    edited = Operand(
        replace(scaling.get_rule("te-delayed"), cast=scaling.Cast(rounding="TowardZero"))
    )
    recipe = replace(
        RECIPES["te-delayed"], x_forward=edited, x_wgrad=edited, w_forward=edited, w_dgrad=edited
    )
    seen: dict[str, Any] = {}
    probe = lambda _, role, scaled, source: seen.update({role: (scaled, source)})  # noqa: E731 - one line says it
    model = nn.MLP([6, 5, 3], seed=0, recipe=recipe, probe=probe)
    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    for _ in range(3):
        (model(x) ** 2).sum().backward()
        model.end_step()

    scaled, source = seen["w_forward"]
    assert not np.array_equal(scaled.dequantize(), source)
    assert (np.abs(scaled.dequantize()) <= np.abs(source)).all()
    other = nn.MLP([6, 5, 3], seed=0, recipe=recipe)
    other.restore(json.loads(json.dumps(model.state())))
    assert other.state() == model.state()
    plain = nn.MLP([6, 5, 3], seed=0, recipe="te-delayed")
    with pytest.raises(ValueError, match=r"with te-delayed E4M3FN over 1024 steps, got te-delayed "
                       "of other parts E4M3FN over 1024"):  # fmt: skip
        plain.restore(model.state())
