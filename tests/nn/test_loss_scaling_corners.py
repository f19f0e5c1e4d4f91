"""The loss scaler between rounds, with several parameters, and at the scale 0."""

from __future__ import annotations

import numpy as np
import pytest

from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.optim import SGD
from fp8num.nn.tensor import Tensor


def ready(*gradients: float) -> tuple[LossScaler, SGD]:
    """Return a scaler of the scale 1, and an optimizer of weights 1 with these gradients."""
    parameters = {}
    for i, gradient in enumerate(gradients):
        weight = Tensor(np.ones(1, np.float32), requires_grad=True)
        weight.grad = np.array([gradient], np.float32)
        parameters[f"w{i}"] = weight
    scaler = LossScaler(1.0)
    scaler.scale_loss(Tensor(np.ones(1, np.float32)))
    return scaler, SGD(parameters, lr=0.5)


@pytest.mark.parametrize("gradients", [(np.inf, 1.0), (1.0, np.inf), (1.0, 1.0, np.nan)])
def test_an_overflow_of_any_parameter_skips(gradients: tuple[float, ...]) -> None:
    """And none of them moves."""
    scaler, optimizer = ready(*gradients)

    assert not scaler.step(optimizer)

    assert [weight.data.tolist() for weight in optimizer.parameters.values()] == [[1.0]] * len(
        gradients
    )


def test_a_skipped_step_was_a_step() -> None:
    """A second one needs an update too."""
    scaler, optimizer = ready(np.inf)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="once before update"):
        scaler.step(optimizer)


def test_restoring_begins_a_new_round() -> None:
    """What was unscaled or stepped before belongs to another one."""
    scaler, optimizer = ready(1.0)
    state = scaler.state()
    scaler.step(optimizer)

    scaler.restore(state)

    assert scaler.step(optimizer)


def test_a_scale_that_backed_off_to_zero_is_restored() -> None:
    """Where nothing stops backoff that is the scale of a training that can be resumed."""
    scaler = LossScaler()
    zero = {**scaler.state(), "scale": 0.0}

    scaler.restore(zero)

    assert scaler.state() == zero
    with pytest.raises(ValueError, match=r"scale must be a finite number above 0, got 0.0"):
        scaler.restore({**zero, "minimum": 1.0})
    assert scaler.state() == zero
