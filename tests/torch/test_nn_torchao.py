"""
Layers against torchao's Float8Linear and torch's autograd, live, on the CPU.

::

    Float8Linear, emulated     tensorwise, rowwise, rowwise_with_gw_hp: Y, dX, dW, db
    torch.nn.Linear            the whole net in float32, against float64 autograd
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fp8num import nn
from fp8num.nn.recipes import RECIPES

pytestmark = pytest.mark.torch

Array = npt.NDArray[Any]

LAYERS = {
    "tensorwise": "torchao-tensorwise",
    "rowwise": "torchao-rowwise",
    "rowwise_with_gw_hp": "torchao-rowwise-gw-hp",
}
#: batch, features in, features out
SHAPES = [(16, 16, 16), (48, 80, 32), (7, 33, 5), (256, 64, 96)]
KINDS = ["normal", "outliers", "sparse", "gradients of 1e-7"]


def tensors(shape: tuple[int, int, int], kind: str) -> dict[str, Array]:
    """Return inputs, weights, a bias and a gradient."""
    batch, features_in, features_out = shape
    rng = np.random.default_rng([*shape, len(kind)])
    x = rng.standard_normal((batch, features_in))
    g = rng.standard_normal((batch, features_out)) * 1e-3
    if kind == "outliers":
        x[:, 0] *= 300
        g[0] *= 1e4
    if kind == "sparse":
        x *= rng.random(x.shape) < 0.3
        g[1] = 0
    if kind == "gradients of 1e-7":
        g *= 1e-4
    w, b = rng.standard_normal((features_out, features_in)) / 8, rng.standard_normal(features_out)
    return {name: a.astype(np.float32) for name, a in {"x": x, "w": w, "b": b, "g": g}.items()}


def of_torchao(recipe: str, data: dict[str, Array]) -> dict[str, Array]:
    """Return what the library's layer gives, in emulation."""
    import torch
    from torchao.float8 import Float8LinearConfig
    from torchao.float8.float8_linear import Float8Linear

    config = replace(Float8LinearConfig.from_recipe_name(recipe), emulate=True)
    linear = torch.nn.Linear(data["w"].shape[1], data["w"].shape[0])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(data["w"]))
        linear.bias.copy_(torch.from_numpy(data["b"]))
    layer = Float8Linear.from_float(linear, config)
    x = torch.from_numpy(data["x"]).requires_grad_()
    y = layer(x)
    y.backward(torch.from_numpy(data["g"]))
    found = {"y": y, "dx": x.grad, "dw": layer.weight.grad, "db": layer.bias.grad}
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def of_fp8num(recipe: str, data: dict[str, Array]) -> dict[str, Array]:
    """Return what our layer gives."""
    w = data["w"]
    layer = nn.Linear(w.shape[1], w.shape[0], rng=np.random.default_rng(0), recipe=recipe)
    layer.weight.data[...], layer.bias.data[...] = w, data["b"]  # type: ignore[union-attr]
    x = nn.Tensor(data["x"], requires_grad=True)
    y = layer(x)
    y.backward(data["g"])
    found = {"y": y.data, "dx": x.grad, "dw": layer.weight.grad, "db": layer.bias.grad}  # type: ignore[union-attr]
    return {name: a for name, a in found.items() if a is not None}


def largest_terms(data: dict[str, Array]) -> dict[str, Any]:
    """Return the sums of magnitudes of each product's terms."""
    x, w, b, g = (np.abs(data[name]).astype(np.float64) for name in "xwbg")
    return {"y": x @ w.T + b, "dx": g @ w, "dw": g.T @ x, "db": g.sum(0)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("recipe", LAYERS)
def test_float8_linear(recipe: str, shape: tuple[int, int, int], kind: str) -> None:
    """
    Outputs and gradients, which float32 sums of its BLAS give in an order of its own.

    Sums of n terms differ from the exact one by at most n 2^-24 of their magnitudes; the
    operands' magnitudes are at most a sixteenth more than those of the tensors.
    """
    data = tensors(shape, kind)

    ours, theirs = of_fp8num(LAYERS[recipe], data), of_torchao(recipe, data)

    batch, features_in, features_out = shape
    depths = {"y": features_in + 2, "dx": features_out + 1, "dw": batch + 1, "db": batch}
    for name, terms in largest_terms(data).items():
        bound = depths[name] * 2.0**-24 * 1.2 * terms + 1e-38
        if name in ("dx", "dw"):  # of E5M2, and of what the scale's rounding adds
            bound *= 2
        difference = np.abs(ours[name].astype(np.float64) - theirs[name])
        assert (difference <= bound).all(), f"{name}: {(difference / bound).max()} of the bound"


def test_the_wrong_recipe_is_noticed() -> None:
    """With the other granularity results differ by thousands of times the bound."""
    data = tensors((48, 80, 32), "outliers")
    ours, theirs = of_fp8num("torchao-tensorwise", data), of_torchao("rowwise", data)
    bound = 82 * 2.0**-24 * 1.2 * largest_terms(data)["y"]
    assert (np.abs(ours["y"] - theirs["y"]) / bound).max() > 100


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh", "sigmoid"])
def test_a_net_against_autograd(activation: str) -> None:
    """Three layers, cross-entropy; float32 against torch's float64, relative 1e-6 as vectors."""
    import torch

    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((32, 12)).astype(np.float32), rng.integers(0, 4, 32)
    model = nn.MLP([12, 30, 20, 4], seed=2, activation=activation)
    h = torch.from_numpy(x).double()
    weights = {
        name: torch.from_numpy(p.data).double().requires_grad_()
        for name, p in model.parameters().items()
    }
    for index in range(3):
        h = torch.nn.functional.linear(
            h, weights[f"layer{index}.weight"], weights[f"layer{index}.bias"]
        )
        if index < 2:
            h = getattr(torch.nn.functional, activation)(h)
    expected = torch.nn.functional.cross_entropy(h, torch.from_numpy(y))
    expected.backward()

    loss = nn.cross_entropy(model(x), y)
    loss.backward()

    assert abs(loss.item() - expected.item()) < 1e-6
    for name, parameter in model.parameters().items():
        theirs = weights[name].grad
        assert theirs is not None
        assert parameter.grad is not None
        error = np.linalg.norm(parameter.grad - theirs.numpy())
        assert error <= 1e-6 * np.linalg.norm(theirs.numpy()), name


def test_the_recipes_are_compared_in_float32() -> None:
    """So that nothing rounds the results but the sums."""
    assert all(RECIPES[name].output is None for name in LAYERS.values())
