"""Training where one step, one record or the short batch decides."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from fp8num.nn import loop as loops
from fp8num.nn.data import spirals
from fp8num.nn.history import StepRecord
from fp8num.nn.layers import MLP
from fp8num.nn.loop import Loop, LoopPlan, evaluate
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.losses import cross_entropy
from fp8num.nn.optim import SGD, clip_norm
from fp8num.nn.run import TrainingDiverged
from fp8num.nn.train import train

DATA = spirals(n=300, test=9)


def loop_after(*losses: float, **changed: Any) -> Loop:
    """Return a loop on the spirals that has made steps with these losses."""
    model = MLP([2, 8, 3], seed=0)
    plan: dict[str, Any] = {
        "dataset": DATA,
        "epochs": 9,
        "batch": 32,
        "rates": (0.1,) * 90,
        "clip": None,
        "stats_every": 1,
        "divergence": 4.0,
        "capture": frozenset(),
    }
    optimizer, rng = SGD(model.parameters(), 0.1), np.random.default_rng(0)
    loop = Loop(LoopPlan(**{**plan, **changed}), model, optimizer, LossScaler(enabled=False), rng)
    same: dict[str, Any] = {"epoch": 0, "accuracy": 0, "lr": 0, "scale": 1, "skipped": False}
    loop._steps = [
        StepRecord(step=step, loss=loss, gradient_norm=0, **same)
        for step, loss in enumerate(losses)
    ]
    loop.step = len(losses)
    return loop


def batch() -> tuple[Any, Any]:
    return DATA.x[:32], DATA.y[:32]


# Evaluation.


@pytest.mark.parametrize("n", [7, 1024, 1500])
def test_the_loss_of_an_evaluation_is_the_mean_over_inputs(n: int) -> None:
    """However many are left for the last part."""
    model, rng = MLP([2, 8, 3], seed=0), np.random.default_rng(0)
    x, y = rng.standard_normal((n, 2)).astype(np.float32), rng.integers(0, 3, n)
    logits = model(x).data.astype(np.float64)

    found = evaluate(model, x, y)

    assert found.loss == pytest.approx(cross_entropy(logits, y).item(), rel=1e-12)
    assert found.accuracy == np.mean(logits.argmax(axis=1) == y)


def test_the_net_of_a_run_has_no_probe() -> None:
    """The one of its training is gone."""
    assert train(DATA, epochs=1, sizes=(2, 8, 3)).model.probe is None


# When a training stops.


def test_divergence_is_of_the_last_20_losses() -> None:
    """Their mean, as often as that of the beginning or of guessing; the limit is not above it."""
    guessing = math.log(3)
    limit = 4 * guessing
    loop_after(*[0.1] * 5, *[limit] * 19)._check_loss(limit)
    with pytest.raises(TrainingDiverged, match="20 steps"):
        loop_after(*[0.1] * 5, *[limit] * 19)._check_loss(limit * 1.001)
    loop_after(*[limit * 2] * 18)._check_loss(limit * 2)  # 19 are too few
    worse = 2 * guessing  # than guessing, at the beginning
    loop_after(worse, *[4 * worse] * 19)._check_loss(4 * worse)
    with pytest.raises(TrainingDiverged, match="20 steps"):
        loop_after(worse, *[4 * worse] * 19)._check_loss(4 * worse * 1.001)


def skipping(loop: Loop, monkeypatch: pytest.MonkeyPatch, stepped: list[bool]) -> None:
    """Say what the scaler's steps will return."""
    answers = iter(stepped)
    monkeypatch.setattr(loop.scaler, "step", lambda *_, **__: next(answers))


def test_skips_are_counted_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step between begins the count anew."""
    monkeypatch.setattr(loops, "PATIENCE", 3)
    loop = loop_after()
    skipping(loop, monkeypatch, [*[True, False, False] * 3, False])

    for _ in range(9):
        loop._advance(*batch())

    with pytest.raises(TrainingDiverged, match="3 steps in a row were skipped"):
        loop._advance(*batch())


def test_a_measured_step_that_stops_the_training_is_measured_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was measured before the steps that were skipped became too many."""
    monkeypatch.setattr(loops, "PATIENCE", 1)
    loop = loop_after()
    skipping(loop, monkeypatch, [False])

    with pytest.raises(TrainingDiverged):
        loop._advance(*batch())

    rows = Counter((cast.step, cast.layer, cast.role) for cast in loop.history.casts)
    assert rows
    assert set(rows.values()) == {1}


# Gradients.


def test_the_norm_of_the_history_is_the_one_that_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: a limit between two norms would clip by one and not by the other."""
    seen = []

    def look(parameters: Any, limit: float) -> float:
        seen.append(clip_norm(parameters, limit))
        return seen[-1]

    monkeypatch.setattr(loops, "clip_norm", look)
    loop = loop_after(clip=0.05)
    for _ in range(20):
        loop._advance(*batch())

    assert [record.gradient_norm for record in loop.history.steps] == seen


def test_an_overflow_is_not_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is skipped anyway, and what was found infinite stays so for those who look."""
    loop = loop_after(clip=0.05)
    monkeypatch.setattr(loop.scaler, "unscale", lambda _: True)
    monkeypatch.setattr(loops, "clip_norm", lambda *_: pytest.fail("gradients were clipped"))
    loop._advance(*batch())


def test_captured_gradients_are_copies() -> None:
    """What is done with a gradient afterwards is not seen in them."""
    loop = loop_after(capture=frozenset([0]))
    loop._advance(*batch())
    kept = {name: array.copy() for name, array in loop.captures[0].items()}

    for tensor in loop.model.parameters().values():
        assert tensor.grad is not None
        tensor.grad[...] = 7

    for name, array in loop.captures[0].items():
        np.testing.assert_array_equal(array, kept[name])
