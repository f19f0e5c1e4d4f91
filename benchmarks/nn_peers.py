"""
One training step of 64-512-512-10, batch 256, Adam, by several libraries in one process.

::

    python benchmarks/nn_peers.py [threads]     needs torch; torchao and qtorch if they are there

QPyTorch compiles itself when it is imported: it needs ninja, setuptools and a C++ compiler.
Steps are timed in turn, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

THREADS = sys.argv[1] if len(sys.argv) > 1 else "1"
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = THREADS  # before NumPy and torch are loaded

import numpy as np  # noqa: E402 - after the variables

from fp8num import nn  # noqa: E402 - after the variables
from fp8num.nn.recipes import RECIPES  # noqa: E402 - after the variables

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES, BATCH, ROUNDS = (64, 512, 512, 10), 256, 30


def data() -> tuple[Any, Any]:
    """Return a batch."""
    rng = np.random.default_rng(0)
    return rng.random((BATCH, SIZES[0]), dtype=np.float32), rng.integers(0, SIZES[-1], BATCH)


def ours(recipe: Any) -> Callable[[], float]:
    """Return a step of fp8num with a recipe; None is plain operations of the tape."""
    x, y = data()
    model = nn.MLP(SIZES, seed=0, recipe="fp32" if recipe is None else recipe)
    parameters = model.parameters()
    optimizer = nn.Adam(parameters)

    def plain() -> nn.Tensor:
        h = nn.Tensor(x)
        for layer in model.layers:
            h = nn.relu(h) if layer is not model.layers[0] else h
            assert layer.bias is not None
            h = h @ layer.weight.T + layer.bias
        return h

    def step() -> float:
        for parameter in parameters.values():
            parameter.zero_grad()
        loss = nn.cross_entropy(plain() if recipe is None else model(x), y)
        loss.backward()
        optimizer.step()
        model.end_step()
        return loss.item()

    return step


def of_torch(change: Callable[[Any], Any]) -> Callable[[], float]:
    """Return a step of torch with each linear layer changed."""
    import torch

    torch.manual_seed(0)
    layers: list[Any] = []
    for first, second in pairwise(SIZES):
        layers += [change(torch.nn.Linear(first, second)), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters())
    x, y = (torch.from_numpy(array) for array in data())

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def torchao(recipe: str) -> Callable[[Any], Any]:
    """Return what makes a layer one of torchao in emulation."""
    from torchao.float8 import Float8LinearConfig
    from torchao.float8.float8_linear import Float8Linear

    config = replace(Float8LinearConfig.from_recipe_name(recipe), emulate=True)
    return lambda linear: Float8Linear.from_float(linear, config)


def qpytorch(rounding: str) -> Callable[[Any], Any]:
    """Return what makes a layer one whose inputs, weights and gradients QPyTorch rounds."""
    import torch
    from qtorch import FloatingPoint
    from qtorch.quant import quantizer

    forward, backward = FloatingPoint(exp=4, man=3), FloatingPoint(exp=5, man=2)
    rounded = {"forward_rounding": rounding, "backward_rounding": rounding}
    operand = quantizer(forward_number=forward, **rounded)
    result = quantizer(backward_number=backward, **rounded)

    class Rounded(torch.nn.Module):
        def __init__(self, linear: Any) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, x: Any) -> Any:
            weight, bias = operand(self.linear.weight), self.linear.bias
            return result(torch.nn.functional.linear(operand(x), weight, bias))

    return Rounded


def steps() -> dict[str, Callable[[], float]]:
    """Return the steps that can be taken here."""
    found = {
        "NumPy float32": ours(None),
        "fp8num te-current": ours("te-current"),
        # Sums as the others have them: BLAS's, in float32, not the same on other threads.
        "fp8num te-current, BLAS sums": ours(
            replace(RECIPES["te-current"], accumulators="blas-float32")
        ),
        "fp8num torchao-tensorwise": ours("torchao-tensorwise"),
        "fp8num torchao-rowwise": ours("torchao-rowwise"),
        "fp8num te-current, hopper": ours(replace(RECIPES["te-current"], accumulators="hopper")),
        "torch float32": of_torch(lambda linear: linear),
    }
    if importlib.util.find_spec("torchao"):
        for recipe in ("tensorwise", "rowwise"):
            found[f"torchao {recipe}, emulated"] = of_torch(torchao(recipe))
    if importlib.util.find_spec("qtorch"):
        for rounding in ("nearest", "stochastic"):
            found[f"QPyTorch E4M3 and E5M2, {rounding}"] = of_torch(qpytorch(rounding))
    return found


def main() -> None:
    """Print the table."""
    import torch

    torch.set_num_threads(int(THREADS))
    every = steps()
    times: dict[str, list[float]] = {name: [] for name in every}
    for name, step in every.items():
        step(), step()
        assert np.isfinite(step()), name
    for index in range(ROUNDS):
        for name, step in every.items():
            if "hopper" in name and index >= 3:
                continue
            step() if "hopper" not in name else None  # what the others left in the cache is gone
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    own, plain = min(times["fp8num te-current"]), min(times["NumPy float32"])
    title = f"step, {THREADS} thread(s)"
    lines = [f"{title:36} {'min ms':>8} {'median':>8} {'of te-current':>14} {'of NumPy':>9}"]
    for name, found in times.items():
        least, middle = min(found), float(np.median(found))
        lines.append(
            f"{name:36} {1e3 * least:8.2f} {1e3 * middle:8.2f} {least / own:14.2f} "
            f"{least / plain:9.2f}"
        )
    print("\n".join(lines))  # noqa: T201 - a script


if __name__ == "__main__":
    main()
