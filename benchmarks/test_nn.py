"""
A training step of the net 64-512-512-10 on a batch of 256, with Adam, against plain NumPy.

The peer is the same step in float32: the same tape, optimizer and loss, and NumPy's own
products.  Give both the same threads: OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num import nn
from fp8num.nn.recipes import RECIPES, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES, BATCH = [64, 512, 512, 10], 256
PEER = "test_peer_float32_in_numpy"
#: An FP8 step may take 2.5 times as long; of the other recipes no aim is set.
OTHERS = [name for name in RECIPES if name != "te-current"]


def data() -> tuple[Any, Any]:
    """Return a batch."""
    rng = np.random.default_rng(0)
    return rng.random((BATCH, SIZES[0]), dtype=np.float32), rng.integers(0, SIZES[-1], BATCH)


def step_of(recipe: str | Recipe) -> Callable[[], None]:
    """Return a training step of a net with a recipe."""
    x, y = data()
    model = nn.MLP(SIZES, seed=0, recipe=recipe)
    optimizer = nn.Adam(model.parameters())

    def step() -> None:
        for parameter in model.parameters().values():
            parameter.zero_grad()
        nn.cross_entropy(model(x), y).backward()
        optimizer.step()
        model.end_step()

    return step


def numpy_step() -> Callable[[], None]:
    """Return the same step from the tape's own operations."""
    x, y = data()
    parameters = nn.MLP(SIZES, seed=0).parameters()
    optimizer = nn.Adam(parameters)
    pairs = list(zip(*[iter(parameters.values())] * 2, strict=True))

    def step() -> None:
        for parameter in parameters.values():
            parameter.zero_grad()
        h = nn.Tensor(x)
        for weight, bias in pairs[:-1]:
            h = nn.relu(h @ weight.T + bias)
        weight, bias = pairs[-1]
        nn.cross_entropy(h @ weight.T + bias, y).backward()
        optimizer.step()

    return step


def measure(
    benchmark: Any, step: Callable[[], None], *, rounds: int = 30, asked: float | None = None
) -> None:
    """Time a step, to be printed as a ratio to plain NumPy's."""
    benchmark.extra_info.update(peer=PEER, asked=asked)
    benchmark.pedantic(step, rounds=rounds, warmup_rounds=3)


def test_peer_float32_in_numpy(benchmark: Any) -> None:
    benchmark.pedantic(numpy_step(), rounds=30, warmup_rounds=3)


def test_step_blas(benchmark: Any) -> None:
    """Our layer in float32 with NumPy's products: one node where the tape has three."""
    measure(benchmark, step_of(Recipe(name="blas", accumulators="blas-float32")))


def test_step_te_current(benchmark: Any) -> None:
    measure(benchmark, step_of("te-current"), asked=1 / 2.5)


@pytest.mark.parametrize("recipe", OTHERS)
def test_step(benchmark: Any, recipe: str) -> None:
    measure(benchmark, step_of(recipe), rounds=8)


@pytest.mark.parametrize("accumulator", ["hopper", "hopper-promoted"])
def test_step_through_tensor_cores(benchmark: Any, accumulator: str) -> None:
    """14 bits of the accumulator, reproduced bit for bit."""
    recipe = replace(RECIPES["te-current"], accumulators=accumulator)
    measure(benchmark, step_of(recipe), rounds=2)
