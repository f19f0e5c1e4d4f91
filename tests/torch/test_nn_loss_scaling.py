"""
The loss scaler against the installed torch.amp.GradScaler, on the CPU.

Runs with random settings and overflows, compared bit for bit, and random orders of calls,
of which the same ones must be refused.  The rate of the optimizers is a power of two, so that
its product with a gradient is exact and it does not matter whether PyTorch fuses it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fp8num.nn import Tensor
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.optim import SGD

pytestmark = pytest.mark.torch
RATE = 2.0**-9
SIZE = 19


def words(array: np.ndarray) -> np.ndarray:
    """Return bits; NaNs are one, since their sign and payload are nobody's business."""
    return np.where(np.isnan(array), np.float32(np.nan), array).view(np.uint32)


class Pair:
    """Both scalers with the same settings, weights and gradients."""

    def __init__(self, scale: float, growth: float, backoff: float, interval: int) -> None:
        import torch

        self.torch = torch
        self.ours = LossScaler(scale, growth, backoff, interval)
        self.theirs = torch.amp.GradScaler(
            "cpu",
            init_scale=scale,
            growth_factor=growth,
            backoff_factor=backoff,
            growth_interval=interval,
        )
        self.w = Tensor(np.ones(SIZE, np.float32), requires_grad=True)
        self.their_w = torch.nn.Parameter(torch.ones(SIZE))
        self.optimizer = SGD({"w": self.w}, RATE)
        self.their_optimizer = torch.optim.SGD([self.their_w], RATE)

    def backward(self, slopes: np.ndarray, injected: dict[int, float]) -> None:
        """Make the scaled gradients of a linear loss in both, and replace some elements."""
        self.w.zero_grad()
        self.their_w.grad = None
        self.ours.scale_loss((self.w * slopes).sum()).backward()
        loss = (self.their_w * self.torch.from_numpy(slopes)).sum()
        self.theirs.scale(loss).backward()
        for element, value in injected.items():
            self.w.grad[element] = value
            self.their_w.grad[element] = value

    def compare(self) -> None:
        """Compare all that can be seen, bit for bit."""
        assert self.ours.scale == self.theirs.get_scale()
        assert self.ours.tracker == self.theirs._get_growth_tracker()
        np.testing.assert_array_equal(words(self.w.data), words(self.their_w.detach().numpy()))
        if self.w.grad is not None:
            np.testing.assert_array_equal(words(self.w.grad), words(self.their_w.grad.numpy()))


@pytest.mark.parametrize("seed", range(40))
def test_random_runs_are_pytorch_s(seed: int) -> None:
    """Of 60 steps, a third of them with an overflow in one run of three."""
    rng = np.random.default_rng(seed)
    scale = float(np.exp2(rng.uniform(-30, 127)))
    growth, backoff = float(rng.uniform(1.01, 8)), float(rng.uniform(0.05, 0.99))
    pair = Pair(scale, growth, backoff, int(rng.integers(1, 6)))
    often = rng.choice([0.0, 0.1, 0.33])
    for _ in range(60):
        slopes = rng.standard_normal(SIZE) * np.exp(rng.normal(-2, 6, SIZE))
        injected = {}
        if rng.random() < often:
            injected[int(rng.integers(SIZE))] = float(rng.choice([np.inf, -np.inf, np.nan]))
        pair.backward(slopes.astype(np.float32), injected)
        if rng.random() < 0.3:
            pair.ours.unscale({"w": pair.w})
            pair.theirs.unscale_(pair.their_optimizer)
        before = pair.w.data.copy()
        stepped = pair.ours.step(pair.optimizer)
        pair.theirs.step(pair.their_optimizer)
        if not stepped:
            np.testing.assert_array_equal(words(pair.w.data), words(before))
        pair.compare()
        given = float(np.float32(np.exp(rng.normal(0, 9)))) if rng.random() < 0.05 else None
        pair.ours.update(given)
        pair.theirs.update(given)
        pair.compare()


def outcome(call: Any) -> str:
    """Return whether a call is refused."""
    try:
        call()
    except (RuntimeError, AssertionError):
        return "refused"
    return "done"


@pytest.mark.parametrize("seed", range(40))
def test_the_same_orders_of_calls_are_refused(seed: int) -> None:
    """Of 60 random calls, from the very first, and with the same results afterwards."""
    rng = np.random.default_rng(seed)
    pair = Pair(1024.0, 2.0, 0.5, 2)
    slopes = np.linspace(-1, 1, SIZE, dtype=np.float32)
    # A gradient to begin with: of one without any, PyTorch remembers that it was looked at.
    pair.w.grad = slopes.copy()
    pair.their_w.grad = pair.torch.from_numpy(slopes.copy())
    for _ in range(60):
        call = rng.choice(["backward", "unscale", "step", "update", "set"])
        if call == "backward":
            pair.backward(slopes, {3: np.inf} if rng.random() < 0.2 else {})
            continue
        ours, theirs = {
            "unscale": (
                lambda: pair.ours.unscale({"w": pair.w}),
                lambda: pair.theirs.unscale_(pair.their_optimizer),
            ),
            "step": (
                lambda: pair.ours.step(pair.optimizer),
                lambda: pair.theirs.step(pair.their_optimizer),
            ),
            "update": (pair.ours.update, pair.theirs.update),
            "set": (lambda: pair.ours.update(64.0), lambda: pair.theirs.update(64.0)),
        }[call]
        assert outcome(ours) == outcome(theirs), call
        pair.compare()


def test_states_go_both_ways() -> None:
    """A state of one, under the other's names, continues the other's run."""
    pair = Pair(1000.0, 1.5, 0.3, 3)
    slopes = np.linspace(-1, 1, SIZE, dtype=np.float32)

    def step(times: int) -> None:
        for t in range(times):
            pair.backward(slopes, {1: np.nan} if t == 1 else {})
            pair.ours.step(pair.optimizer)
            pair.theirs.step(pair.their_optimizer)
            pair.ours.update()
            pair.theirs.update()
            pair.compare()

    step(6)
    theirs, ours = pair.theirs.state_dict(), pair.ours.state()
    assert ours == {
        "scale": theirs["scale"],
        "growth": theirs["growth_factor"],
        "backoff": theirs["backoff_factor"],
        "interval": theirs["growth_interval"],
        "tracker": theirs["_growth_tracker"],
        "skipped": 1,
        "maximum": np.inf,
        "minimum": 0.0,
    }
    pair.ours, pair.theirs = LossScaler(), pair.torch.amp.GradScaler("cpu")
    pair.ours.restore(ours)
    pair.theirs.load_state_dict(theirs)

    step(6)


def test_a_gradient_that_overflows_when_unscaled_is_not_found_there_either() -> None:
    """A scale below 1, whose inverse makes a finite gradient infinite: the step is done."""
    pair = Pair(0.25, 2.0, 0.5, 100)
    pair.backward(np.ones(SIZE, np.float32), {2: 3e38})

    stepped = pair.ours.step(pair.optimizer)
    pair.theirs.step(pair.their_optimizer)

    assert stepped
    assert np.isinf(pair.w.data[2])
    pair.compare()
