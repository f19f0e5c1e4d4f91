"""
Linear layers against what torchao, flax and microxcaling themselves gave.

::

    torchao       20 cases: every cast's codes and scales, outputs and gradients
    flax          two Dense layers over six steps: histories, outputs, gradients, new weights
    microxcaling  the MX linear in four configurations
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num import nn
from fp8num.nn.layers import Linear
from fp8num.nn.recipes import RECIPES, ROLES, Operand, Recipe

if TYPE_CHECKING:
    from fp8num.scaled import ScaledArray

FOLDER = Path(__file__).parent.parent / "data" / "recipes"


@cache
def recording(name: str) -> dict[str, npt.NDArray[Any]]:
    """Return a recording's arrays."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def part(name: str, prefix: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays below a prefix."""
    return {
        key.removeprefix(f"{prefix}/"): array
        for key, array in recording(name).items()
        if key.startswith(f"{prefix}/")
    }


def made(weight: Any, bias: Any, recipe: Recipe) -> tuple[Linear, dict[str, ScaledArray]]:
    """Return a layer with these weights, and where its casts will be seen."""
    seen: dict[str, ScaledArray] = {}
    layer = Linear(
        weight.shape[1],
        weight.shape[0],
        rng=np.random.default_rng(0),
        bias=bias is not None,
        recipe=recipe,
        probe=lambda _, role, scaled, source: seen.__setitem__(role, scaled),
        debug=True,
    )
    layer.weight.data[...] = weight
    if layer.bias is not None:
        layer.bias.data[...] = bias
    return layer, seen


def run(layer: Linear, x: Any, dy: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Return a layer's outputs and gradients."""
    inputs = nn.Tensor(x, requires_grad=True)
    y = layer(inputs)
    y.backward(dy)
    assert inputs.grad is not None
    assert layer.weight.grad is not None
    found = {"y": y.data, "dx": inputs.grad, "dw": layer.weight.grad}
    return found | ({} if layer.bias is None else {"db": layer.bias.grad})  # type: ignore[dict-item]


def assert_close(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    """Compare with the largest magnitude: elements that cancel are as good as their terms."""
    assert ours.shape == theirs.shape, what
    bound = tolerance * np.abs(theirs).max(initial=0.0)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound, err_msg=what)


# torchao

_ROWWISE_FP32 = Operand("torchao-rowwise-fp32", "E4M3FN")
_POW2 = {fmt: Operand("torchao-tensorwise-pow2", fmt) for fmt in ("E4M3FN", "E5M2")}
_E4M3 = Operand("torchao-tensorwise", "E4M3FN")


def torchao_recipe(case: str) -> Recipe:
    """Return the recipe of a case; the variants are composed."""
    if case == "rowwise_nopow2":
        return replace(RECIPES["torchao-rowwise"], name=case, **dict.fromkeys(ROLES, _ROWWISE_FP32))
    if case == "tensorwise_pow2":
        hybrid = {role: _POW2["E5M2" if role.startswith("g") else "E4M3FN"] for role in ROLES}
        return replace(RECIPES["torchao-tensorwise"], name=case, **hybrid)
    if case == "tensorwise_e4m3grad":
        return replace(RECIPES["torchao-tensorwise"], name=case, g_dgrad=_E4M3, g_wgrad=_E4M3)
    for name, key in (
        ("rowwise_with_gw_hp", "torchao-rowwise-gw-hp"),
        ("rowwise", "torchao-rowwise"),
        ("tensorwise", "torchao-tensorwise"),
    ):
        if case.startswith(name):
            return RECIPES[key]
    raise AssertionError(case)


CASES = sorted({key.split("/")[0] for key in recording("torchao_float8_emulate") if "/x" in key})
_TORCHAO_ROLES = ("x_forward", "w_forward", "g_dgrad", "w_dgrad", "g_wgrad", "x_wgrad")
_TORCHAO_NAMES = {"x": "input", "w": "weight", "g": "grad_output"}


def test_all_20_cases_are_compared() -> None:
    """Fifteen of six casts, five whose weight gradient is in high precision."""
    assert len(CASES) == 20
    assert sum("gw_hp" in case for case in CASES) == 5


@pytest.mark.parametrize("case", CASES)
def test_torchao_casts_through_the_layer(case: str) -> None:
    """Codes and scales of every operand, bit for bit; the weight is recorded transposed."""
    data = part("torchao_float8_emulate", case)
    layer, seen = made(data["w"], data["b"], torchao_recipe(case))

    run(layer, data["x"], data["dy"])

    casts = {
        int(match[1]): match[0].removesuffix("/bits")
        for match in filter(None, (re.fullmatch(r"cast(\d)_.*/bits", key) for key in data))
    }
    assert len(seen) == len(casts) == (4 if "gw_hp" in case else 6)
    for index, key in casts.items():
        role = _TORCHAO_ROLES[index]
        assert _TORCHAO_NAMES[role[0]] in key
        scaled = seen[role].transpose() if role[0] == "w" else seen[role]
        np.testing.assert_array_equal(scaled.codes, data[f"{key}/bits"], err_msg=key)
        scales, theirs = scaled.stored_scales, data[f"{key}/scale"]
        assert scales.dtype == theirs.dtype == np.float32
        assert scales.shape == theirs.shape
        np.testing.assert_array_equal(scales.view(np.uint32), theirs.view(np.uint32), err_msg=key)


@pytest.mark.parametrize("case", CASES)
def test_torchao_results_through_the_layer(case: str) -> None:
    """
    Against the float64 products, and against what the library gave in float32.

    Its bfloat16 cases round their results to bfloat16, whose unit is 2^-8: the product
    once, and with the bias again.
    """
    data = part("torchao_float8_emulate", case)
    layer, _ = made(data["w"], data["b"], torchao_recipe(case))

    found = run(layer, data["x"], data["dy"])

    exact = {"y": data["y64"], "dx": data["dx64"], "dw": data["dw64"]}
    assert_close(found["db"], data["dy"].astype(np.float64).sum(0), 1e-6, "db")
    for name, theirs in exact.items():
        assert_close(found[name], theirs, 1e-6, f"{name}64")
    tolerance = 2.0**-7 if case.endswith("_bf16") else 2e-6
    for name, ours in found.items():
        assert_close(ours, data[name], tolerance, name)


# flax

#: Sums of at most 16 float32 products, whose order in XLA is its own: 16 * 2^-24.
_XLA = 16 * 2.0**-24


def flax_layer(kind: str) -> tuple[Linear, list[dict[str, Any]]]:
    """Return the layer as it started, and what was recorded of each step."""
    steps = [part("flax_fp8", f"{kind}/step{index}") for index in range(6)]
    assert all(steps)
    assert not part("flax_fp8", f"{kind}/step6")
    recipe = replace(RECIPES["flax-delayed"], name=kind, length=3)
    layer, _ = made(steps[0]["kernel"].T.copy(), None, recipe)
    return layer, steps


@pytest.mark.parametrize("kind", ["dense_qdq", "dense_direct"])
def test_flax_histories_step_by_step(kind: str) -> None:
    """
    Scales and histories bit for bit, from the recorded inputs of each step.

    The loss is sum(y^2), so the cotangent is 2 y.  "direct" multiplies the codes' values
    and scales the sums, which is another order of float32 roundings.
    """
    layer, steps = flax_layer(kind)
    for step, here in enumerate(steps):
        layer.weight.data[...] = here["kernel"].T
        layer.weight.zero_grad()

        found = run(layer, here["x"], 2 * here["y"])
        layer.end_step()

        for tensor, name in (("x", "input"), ("w", "kernel"), ("g", "output_grad")):
            state = layer.delayed[tensor]
            what = f"step {step} {name}"
            assert state.scale.view(np.uint32) == here[f"{name}_scale"].view(np.uint32), what
            history = here[f"{name}_amax_history"]
            np.testing.assert_array_equal(
                state.history.view(np.uint32), history.view(np.uint32), err_msg=what
            )
        for name, theirs in (("y", here["y"]), ("dx", here["dx"]), ("dw", here["dW"].T)):
            assert_close(found[name], theirs, _XLA, f"step {step} {name}")


@pytest.mark.parametrize("kind", ["dense_qdq", "dense_direct"])
def test_flax_training_steps(kind: str) -> None:
    """
    Six steps of our own, SGD with the rate 1e-3 from the recorded first kernel.

    No code of an operand differs, so each step adds only what XLA's order of summation
    makes of outputs and gradients: a few 1e-6 of the largest element after six.
    """
    layer, steps = flax_layer(kind)
    optimizer = nn.SGD(layer.parameters(), lr=1e-3)
    for step, here in enumerate(steps):
        assert_close(layer.weight.data, here["kernel"].T, 1e-6, f"step {step} kernel")
        layer.weight.zero_grad()
        y = layer(nn.Tensor(here["x"]))
        loss = (y * y).sum()
        loss.backward()
        assert_close(y.data, here["y"], 4e-6, f"step {step} y")
        assert_close(layer.weight.grad, here["dW"].T, 4e-6, f"step {step} dW")
        histories = {"x": "input", "w": "kernel", "g": "output_grad"}
        for tensor, name in histories.items():
            theirs = here[f"{name}_amax_history"]
            np.testing.assert_allclose(layer.delayed[tensor].history, theirs, rtol=4e-6)
        optimizer.step()
        layer.end_step()


# microxcaling

_ELEMENTS = {"fp8_e4m3": "E4M3FN", "fp8_e5m2": "E5M2"}
_ROUNDINGS = {"nearest": "microxcaling", "even": "microxcaling-even"}


def microxcaling_recipe(specs: dict[str, Any]) -> Recipe:
    """Return the recipe that the library's specification amounts to."""

    def mx(element: str, rounding: str) -> Operand:
        return Operand(_ROUNDINGS[specs[rounding]], _ELEMENTS[specs[element]])

    gradients = "round_mx_grad_output_grad_weight"
    return Recipe(
        name="microxcaling",
        x_forward=mx("a_elem_format", "round_mx_output"),
        w_forward=mx("w_elem_format", "round_mx_output"),
        g_dgrad=mx("a_elem_format_bp_os", "round_mx_grad_output_grad_input"),
        w_dgrad=mx("w_elem_format_bp", "round_mx_weight_grad_input"),
        g_wgrad=mx("a_elem_format_bp_ex", gradients),
        x_wgrad=mx("a_elem_format_bp", "round_mx_input_grad_weight"),
        output="BFLOAT16" if specs["bfloat"] else None,
    )


EXACT = ("mxfp8_e4m3_all", "mxfp8_e4m3_even", "mxfp8_hybrid")


def mx_run(configuration: str, **changes: Operand) -> tuple[Any, Any]:
    """Return what a layer with the specification gives, and what the library gave."""
    data = part("microxcaling", f"linear/{configuration}")
    specs = ast.literal_eval(str(data["specs"]))
    tensors = [data[name] for name in ("x", "w", "b", "dy")]
    if specs["bfloat"]:  # the library rounds every tensor first
        tensors = [fp.quantize(tensor, "BFLOAT16") for tensor in tensors]
    x, w, b, dy = tensors
    layer, seen = made(w, b, replace(microxcaling_recipe(specs), **changes))
    found = run(layer, x, dy)
    assert set(seen) == set(ROLES)
    return found, data


@pytest.mark.parametrize("configuration", EXACT)
def test_microxcaling_linear_layers(configuration: str) -> None:
    """Outputs and gradients; the library's are float32 sums of at most 64 products by a BLAS."""
    found, data = mx_run(configuration)

    for name, ours in found.items():
        assert_close(ours, data[name], 64 * 2.0**-24, name)


def test_microxcaling_linear_layer_with_bfloat16() -> None:
    """
    Every result is rounded to bfloat16, whose unit is 2^-8 or less of a number.

    Of the gradients of X and W, where float32 sums in another order fall on the other side
    of a midpoint, one in a hundred differs, by one unit.  The library rounds the product and
    then its sum with the bias, we round once; and it adds up the gradient of the bias from
    gradients that it has rounded.
    """
    found, data = mx_run("mxfp8_bf16")

    for name in ("dx", "dw"):
        differ = found[name] != data[name]
        assert differ.mean() < 0.01
        np.testing.assert_allclose(found[name], data[name], rtol=2.0**-7)
    for name in ("y", "db"):
        assert_close(found[name], data[name], 2.0**-7, name)


@pytest.mark.parametrize("configuration", EXACT)
@pytest.mark.parametrize(("role", "result"), [
    ("x_forward", "y"), ("w_forward", "y"), ("g_dgrad", "dx"), ("w_dgrad", "dx"),
    ("g_wgrad", "dw"), ("x_wgrad", "dw"),
])  # fmt: skip
def test_microxcaling_tells_every_operand(configuration: str, role: str, result: str) -> None:
    """With one cast rounded toward zero, the result it enters is out of the tolerance."""
    recipe = microxcaling_recipe(
        ast.literal_eval(str(recording("microxcaling")[f"linear/{configuration}/specs"]))
    )
    wrong = replace(recipe.operand(role), rule="microxcaling-floor")

    found, data = mx_run(configuration, **{role: wrong})

    with pytest.raises(AssertionError):
        assert_close(found[result], data[result], 64 * 2.0**-24, result)
