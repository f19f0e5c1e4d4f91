"""
The steps of a training, one after the other, to be broken off and gone on with between any two.

::

    batch --model--> loss --scale, backward--> gradients --unscale, clip--> optimizer
                |                                 |                            |
              casts ---------------------------- casts --> records           skipped?
    state() after any step --> restore() in another process --> the same bits
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import refuse_kind
from fp8num._kernels.state import float_arithmetic
from fp8num._records import as_it_is, entries, made, mapping, whole
from fp8num._text import brief
from fp8num.nn._parameters import check_like, gradient_norm
from fp8num.nn.casts import Operands, records_of, watch
from fp8num.nn.dataset import batches, generator_from, generator_state
from fp8num.nn.diagnosis import diagnose
from fp8num.nn.history import History, StepRecord
from fp8num.nn.losses import cross_entropy
from fp8num.nn.optim import clip_norm
from fp8num.nn.quantized import LateProbe
from fp8num.nn.run import Evaluation, TrainingDiverged
from fp8num.nn.tape import no_grad
from fp8num.nn.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fp8num.nn.dataset import Dataset
    from fp8num.nn.history import CastRecord
    from fp8num.nn.layers import MLP
    from fp8num.nn.loss_scaling import LossScaler
    from fp8num.nn.optim import Optimizer

__all__ = ["Loop", "LoopPlan", "evaluate"]

Array: TypeAlias = npt.NDArray[Any]

#: Steps whose mean loss says whether a training diverged.
WINDOW = 20
#: Skipped steps in a row after which no scale will help: growth by 2 from the smallest to the
#: largest float32 takes five times as many, backing off from 2^16 to 1 a third.
PATIENCE = 50
#: Inputs that are evaluated at once; a scale of a whole tensor is one of that many.
ROWS = 1024


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LoopPlan:
    """What a loop does, all of it checked before."""

    dataset: Dataset
    epochs: int
    batch: int
    rates: tuple[float, ...]
    clip: float | None
    stats_every: int
    divergence: float | None
    capture: frozenset[int]

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.dataset.x) // self.batch)

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.epochs * self.per_epoch


@float_arithmetic
def evaluate(model: MLP, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> Evaluation:
    """
    Evaluate a net, and leave it as it was.

    Parameters
    ----------
    model : MLP
        The net; what its layers remember of magnitudes and count is not changed, and
        its probe is not called.
    x : ndarray of float32, shape (n, features)
        Inputs, taken 1024 at once.
    y : ndarray of int64, shape (n,)
        Their classes.

    Returns
    -------
    Evaluation
        Losses are computed in float64 from the logits.
    """
    kept, losses, right = model.state(), [], 0
    probe, model.probe = model.probe, None
    counts = [layer.saturated for layer in model.layers]
    with no_grad():
        for start in range(0, len(x), ROWS):
            part = slice(start, start + ROWS)
            logits = model(Tensor(x[part])).data.astype(np.float64)
            losses.append(cross_entropy(logits, y[part]).item() * len(logits))
            right += int(np.count_nonzero(logits.argmax(axis=1) == y[part]))
    model.restore(kept)
    model.probe = probe
    for layer, saturated in zip(model.layers, counts, strict=True):
        layer.saturated = saturated
    count = len(x)
    if not count:
        return Evaluation(0, math.nan, math.nan)
    return Evaluation(count, sum(losses) / count, right / count)


class Loop:
    """
    A training that is under way.

    Parameters
    ----------
    plan : Plan
        What to do.
    model : MLP
        Trained in place.
    optimizer, scaler
        Of its parameters, and of its loss.
    rng : numpy.random.Generator
        Draws the order of each epoch.
    """

    def __init__(
        self,
        plan: LoopPlan,
        model: MLP,
        optimizer: Optimizer,
        scaler: LossScaler,
        rng: np.random.Generator,
    ) -> None:
        self.plan, self.model, self.optimizer, self.scaler = plan, model, optimizer, scaler
        self.captures: dict[int, dict[str, Array]] = {}
        self.step = 0
        self._parameters = model.parameters()
        self._rng = rng
        self._epoch = generator_state(rng)
        self._steps: list[StepRecord] = []
        self._casts: list[CastRecord] = []
        self._names = [layer.name for layer in model.layers]
        self._witness = LateProbe()  # the casts of this step
        self._operands: dict[str, Operands] = {}  # and what they were made from
        self._skips = 0  # in a row

    @property
    def history(self) -> History:
        """What happened so far."""
        return History(tuple(self._steps), tuple(self._casts))

    def run(
        self,
        *,
        progress: Callable[[StepRecord], object] | None = None,
        save: Callable[[], object] | None = None,
        every: int = 1,
    ) -> None:
        """
        Make all steps that are left.

        Parameters
        ----------
        progress : callable, optional
            Called after each step.
        save : callable, optional
            Called between steps, and at the end.
        every : int, optional
            After how many steps.

        Raises
        ------
        TrainingDiverged
            If the training cannot go on.
        """
        plan = self.plan
        while self.step < plan.total:
            position = self.step % plan.per_epoch
            if position == 0:
                self._epoch = generator_state(self._rng)
            for x, y in batches(plan.dataset, plan.batch, self._rng, start=position):
                record = self._advance(x, y)
                if progress is not None:
                    progress(record)
                if save is not None and (self.step % every == 0 or self.step == plan.total):
                    save()

    def state(self) -> dict[str, Any]:
        """Return all that the steps so far have left, arrays among it not copied."""
        between = self.step % self.plan.per_epoch == 0
        return {
            "step": self.step,
            "generator": generator_state(self._rng) if between else self._epoch,
            "skips": self._skips,
            "parameters": {name: tensor.data for name, tensor in self._parameters.items()},
            "optimizer": self.optimizer.state(),
            "scaler": self.scaler.state(),
            "layers": self.model.state(),
            "history": self.history.to_arrays(),
            "captures": {str(step): tensors for step, tensors in self.captures.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where another loop of the same plan was."""
        total = self.plan.total
        found = entries(
            "the state",
            state,
            {
                "step": whole(0, total),
                "generator": made(generator_from),
                "skips": whole(0, total),
                "captures": mapping,
                "history": made(History.from_arrays),
                **dict.fromkeys(("parameters", "optimizer", "scaler", "layers"), mapping),
            },
        )
        history, step = found["history"], found["step"]
        if [record.step for record in history.steps] != list(range(step)):
            msg = f"the history must be of the steps before {step}, got {len(history.steps)} steps"
            raise ValueError(msg)
        if any(not 0 <= record.step < step for record in history.casts):
            msg = f"the history must have casts of the steps before {step} alone"
            raise ValueError(msg)
        captures = {
            done: _tensors(f"capture {done}", found["captures"][str(done)])
            for done in sorted(self.plan.capture)
            if str(done) in found["captures"]
        }
        if len(captures) != len(found["captures"]):
            msg = f"captures must be of {sorted(self.plan.capture)}, got {len(found['captures'])}"
            raise ValueError(msg)
        parameters = entries(
            "the parameters", found["parameters"], dict.fromkeys(self._parameters, as_it_is)
        )
        for name, tensor in self._parameters.items():
            tensor.data[...] = check_like(f"parameter {name!r}", parameters[name], tensor.data)
        self.optimizer.restore(found["optimizer"])
        self.scaler.restore(found["scaler"])
        self.model.restore(found["layers"])
        self._steps, self._casts = list(history.steps), list(history.casts)
        self._skips, self.captures, self.step = found["skips"], captures, step
        self._rng = found["generator"]
        self._epoch = generator_state(self._rng)

    def _advance(self, x: Array, y: Array) -> StepRecord:
        """Make a step."""
        # 1. Forward and backward, with every cast remembered: nothing is measured yet.
        self.model.probe = self._witness = LateProbe()
        logits = self.model(Tensor(x))
        self._operands = watch(logits, self._names)
        loss = cross_entropy(logits, y)
        value = loss.item()
        if not math.isfinite(value):
            self._stop(f"the loss is {value}")
        for parameter in self._parameters.values():
            parameter.zero_grad()
        self.scaler.scale_loss(loss).backward()
        self.model.probe = None

        # 2. Gradients without the scale.  Weights are still those of the casts.
        overflow = self.scaler.unscale(self._parameters)
        norm = gradient_norm(self._parameters.values())
        if not overflow and not math.isfinite(norm):
            self._stop(f"the gradients' norm is {norm}")
        self._check_loss(value)
        self._look()
        if self.plan.clip is not None and not overflow:
            clip_norm(self._parameters, self.plan.clip)

        # 3. The step, and the scales of the next one.
        scale, rate = self.scaler.scale, self.plan.rates[self.step]
        stepped = self.scaler.step(self.optimizer, lr=rate, saturated=self.model.saturated > 0)
        self.scaler.update()
        self.model.end_step()
        record = StepRecord(
            step=self.step,
            epoch=self.step // self.plan.per_epoch,
            loss=value,
            accuracy=float(np.mean(logits.data.argmax(axis=1) == y)),
            lr=rate,
            scale=scale,
            skipped=not stepped,
            gradient_norm=norm,
        )
        self._steps.append(record)
        self._skips = self._skips + 1 if record.skipped else 0
        if self._skips >= PATIENCE:
            self._stop(f"{self._skips} steps in a row were skipped")
        self.step += 1
        return record

    def _look(self) -> None:
        """Measure and capture what the plan says of this step."""
        step, last = self.step, self.plan.total - 1
        if step % self.plan.stats_every == 0 or step == last:
            self._casts += self._measured()
        if step in self.plan.capture:
            self.captures[step] = self._captured()

    def _captured(self) -> dict[str, Array]:
        """Return copies of this step's operands and, after its backward pass, gradients by name."""
        found = {
            f"{layer}.{what}": array.copy()
            for layer, operands in self._operands.items()
            for what in ("input", "weight", "output_gradient")
            if (array := getattr(operands, what)) is not None
        }
        if all(operands.output_gradient is not None for operands in self._operands.values()):
            for name, tensor in self._parameters.items():
                assert tensor.grad is not None
                found[f"{name}.gradient"] = tensor.grad.copy()
        return found

    def _measured(self) -> list[CastRecord]:
        return records_of(self.step, self._witness.shown(), self._operands)

    def _check_loss(self, value: float) -> None:
        """Stop if the last losses are far above what they were."""
        losses = [record.loss for record in self._steps[1 - WINDOW :]] + [value]
        if self.plan.divergence is None or len(losses) < WINDOW:
            return
        factor = (
            sum(losses) / WINDOW / max(self._steps[0].loss, math.log(self.plan.dataset.classes))
        )
        if factor > self.plan.divergence:
            self._stop(f"the loss of {WINDOW} steps is {factor:.3g} times that of the beginning")

    def _stop(self, what: str) -> NoReturn:
        """Say why the training cannot go on, and keep what was seen of this step."""
        self.model.probe = None
        casts = self._measured()
        found = diagnose(
            what,
            step=self.step,
            lr=self.plan.rates[self.step],
            scale=self.scaler.scale,
            parameters=self._parameters,
            casts=casts,
            before=self._casts,
        )
        if not self._casts or self._casts[-1].step < self.step:
            self._casts += casts
        if self.plan.capture:
            self.captures.setdefault(self.step, self._captured())
        raise TrainingDiverged(found)


def _tensors(what: str, state: object) -> dict[str, Array]:
    """Return what was captured, if it is that."""
    for name, array in mapping(what, state).items():
        if not isinstance(array, np.ndarray):
            refuse_kind(f"{brief(name)} of {what}", "an array", array)
    return dict(mapping(what, state))
