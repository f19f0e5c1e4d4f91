"""
Loss scaling: gradients that are too small for a narrow format are made larger on their way.

::

    loss --scale_loss--> loss * scale --backward--> gradients * scale
    gradients * scale --unscale--> gradients, or a non-finite one is found
    step: none found, the optimizer steps; else it is skipped
    update: found, scale * backoff; none found for `interval` updates in a row, scale * growth

This is the algorithm of torch.amp.GradScaler, bit for bit: the scale is a float32, its
inverse the float64 reciprocal rounded to float32, and gradients are looked at before they are
multiplied.  Formats that saturate never make an infinity, so a step may say itself that it
saturated, and a scaler made with ``saturation_is_overflow=True`` takes that for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._arguments import integer, refuse_kind
from fp8num._kernels.blocks import blocks_of
from fp8num._kernels.state import float_arithmetic
from fp8num._text import brief
from fp8num.nn._parameters import named
from fp8num.nn._scale_rule import ScaleRule, scale_rule

if TYPE_CHECKING:
    from fp8num.nn.optim import Optimizer
    from fp8num.nn.tensor import Tensor

__all__ = ["LossScaler"]


@dataclass(slots=True, eq=False)
class _Check:
    """What was found in a tensor's gradient since the last update."""

    tensor: Tensor  # kept, so that its identity is not given to another
    found: bool
    stepped: bool = False


class LossScaler:
    """
    A scale for the loss, static or found while training.

    Parameters
    ----------
    scale : float, optional
        What the loss is multiplied by, above 0; rounded to float32.
    growth : float, optional
        Factor of the scale after `interval` updates without overflow, above 1.
    backoff : float, optional
        Factor of the scale after an overflow, between 0 and 1.
    interval : int, optional
        Updates without overflow in a row before the scale grows, at least 1.
    enabled : bool, optional
        False makes every method do nothing but let the optimizer step.
    dynamic : bool, optional
        False keeps the scale as it is; steps with an overflow are skipped all the same.
    maximum, minimum : float, optional
        Where growth and backoff stop; by default, growth where float32 ends, backoff nowhere.
    saturation_is_overflow : bool, optional
        Whether a step that is said to have saturated is skipped, as one with a non-finite
        gradient is.  Without it, a dynamic scale does not back off where formats saturate, as
        those of most recipes do: it grows until float32 itself overflows.

    Raises
    ------
    TypeError, ValueError
        If a setting is out of range.

    Notes
    -----
    As in PyTorch, a gradient that is finite but overflows when it is unscaled, which needs a
    scale below 1, is not noticed; and a scale may back off below 1, in the end to 0, unless
    `minimum` is set.

    A scale that is a power of two changes no bit of float32 training, but where scaled
    gradients overflow or unscaled ones are subnormal.

    References
    ----------
    P. Micikevicius et al., "Mixed precision training", arXiv:1710.03740, section 3.2;
    `torch.amp.GradScaler` of PyTorch 2.13.

    Examples
    --------
    >>> import numpy as np
    >>> from fp8num.nn.optim import SGD
    >>> from fp8num.nn.tensor import Tensor
    >>> w = Tensor(np.ones(2, np.float32), requires_grad=True)
    >>> scaler, optimizer = LossScaler(1024.0, interval=2), SGD({"w": w}, lr=0.25)
    >>> for factor in (1.0, np.inf, 1.0, 1.0):
    ...     w.grad = None
    ...     scaler.scale_loss((w * factor).sum()).backward()
    ...     scaler.step(optimizer), scaler.update()
    ...     scaler.scale, w.data.tolist()
    (True, None)
    (1024.0, [0.75, 0.75])
    (False, None)
    (512.0, [0.75, 0.75])
    (True, None)
    (512.0, [0.5, 0.5])
    (True, None)
    (1024.0, [0.25, 0.25])
    """

    def __init__(
        self,
        scale: float = 65536.0,
        growth: float = 2.0,
        backoff: float = 0.5,
        interval: int = 2000,
        *,
        enabled: bool = True,
        dynamic: bool = True,
        maximum: float | None = None,
        minimum: float | None = None,
        saturation_is_overflow: bool = False,
    ) -> None:
        self.enabled, self.dynamic = bool(enabled), bool(dynamic)
        self.saturation_is_overflow = bool(saturation_is_overflow)
        self._rule = scale_rule(growth, backoff, interval, maximum, minimum)
        self._scale = self._rule.admit(scale)
        self._tracker = 0
        self._skipped = 0
        self._used = False
        self._saturated = False
        self._checks: dict[int, _Check] = {}

    @property
    def scale(self) -> float:
        """What the loss is multiplied by now; 1 if scaling is not enabled."""
        return float(self._scale) if self.enabled else 1.0

    @property
    def tracker(self) -> int:
        """Updates without overflow since the scale last changed."""
        return self._tracker

    @property
    def skipped(self) -> int:
        """Steps of optimizers that were skipped."""
        return self._skipped

    @float_arithmetic
    def scale_loss(self, loss: Tensor) -> Tensor:
        """
        Return the loss times the scale.

        Parameters
        ----------
        loss : Tensor
            What will be differentiated.

        Returns
        -------
        Tensor
            Of the same type; `loss` itself if scaling is not enabled.
        """
        if not self.enabled:
            return loss
        self._used = True
        return loss * self.scale

    @float_arithmetic
    def unscale(self, parameters: Mapping[str, Tensor]) -> bool:
        """
        Divide gradients by the scale, and look for infinities and NaN among them.

        `step` does it where it was not done; doing it before is for clipping.

        Parameters
        ----------
        parameters : mapping of str to Tensor
            Whose `grad` is replaced, where there is one.

        Returns
        -------
        bool
            Whether a gradient was not finite before; False if scaling is not enabled.

        Raises
        ------
        RuntimeError
            If no loss was ever scaled, or one of the gradients was unscaled or used for a
            step since the last update.
        TypeError, ValueError
            If `parameters` are none, or a gradient is neither float32 nor float64.
        """
        if not self.enabled:
            return False
        self._need_loss("unscale")
        for name, tensor in named(parameters).items():
            self._check_ready(name, tensor)
        inverse = np.float32(np.float64(1) / np.float64(self._scale))
        # A tensor that has two names is unscaled once; one without a gradient may get it yet.
        tensors = {id(t): t for t in parameters.values() if t.grad is not None}
        checks = {key: _Check(tensor, _unscale(tensor, inverse)) for key, tensor in tensors.items()}
        self._checks |= checks
        return any(check.found for check in checks.values())

    @float_arithmetic
    def step(
        self, optimizer: Optimizer, *, lr: float | None = None, saturated: bool = False
    ) -> bool:
        """
        Unscale what is not yet, and let the optimizer step if all gradients were finite.

        Parameters
        ----------
        optimizer : Optimizer
            With the parameters whose gradients are of the scaled loss.
        lr : float, optional
            Passed on to it.
        saturated : bool, optional
            Whether some value of this step saturated; counts as a non-finite gradient if the
            scaler was made so, and not at all otherwise.

        Returns
        -------
        bool
            Whether the optimizer stepped.

        Raises
        ------
        RuntimeError
            If no loss was ever scaled, no parameter has a gradient, or one of them was used
            for a step since the last update.
        ValueError
            If a gradient is neither float32 nor float64.
        """
        if not self.enabled:
            optimizer.step(lr)
            return True
        self._need_loss("step")
        parameters = optimizer.parameters
        for name, tensor in parameters.items():
            check = self._checks.get(id(tensor))
            if check is not None and check.stepped:
                msg = f"step() must come once before update(), got {name!r} again"
                raise RuntimeError(msg)
        self.unscale({n: t for n, t in parameters.items() if id(t) not in self._checks})
        checks = [self._checks[id(t)] for t in parameters.values() if id(t) in self._checks]
        if not checks:
            msg = "step() needs a parameter with a gradient, got none; call backward() before"
            raise RuntimeError(msg)
        overflow = any(check.found for check in checks)
        if self.saturation_is_overflow and saturated:
            overflow = self._saturated = True
        if overflow:
            self._skipped += 1
        else:
            optimizer.step(lr)
        for check in checks:
            check.stepped = True
        return not overflow

    @float_arithmetic
    def update(self, scale: float | None = None) -> None:
        """
        Find the scale of the next step, and begin a new round of unscaling and stepping.

        Parameters
        ----------
        scale : float, optional
            The scale to be, above 0 and within the caps; the updates that are counted
            towards growth stay as they are.

        Raises
        ------
        RuntimeError
            If no loss was ever scaled, or no gradient was unscaled since the last update
            and no scale is given.
        TypeError, ValueError
            If the scale is out of range.
        """
        if not self.enabled:
            return
        self._need_loss("update")
        if scale is not None:
            self._scale = self._rule.admit(scale)
        elif not self._checks:
            msg = "update() needs unscaled gradients, got none since the last; call step() before"
            raise RuntimeError(msg)
        elif self.dynamic:
            overflow = self._saturated or any(check.found for check in self._checks.values())
            self._scale, self._tracker = self._rule.after(
                self._scale, self._tracker, overflow=overflow
            )
        self._checks = {}
        self._saturated = False

    def state(self) -> dict[str, float | int]:
        """
        Return what a checkpoint needs, to be called between an update and the next step.

        Returns
        -------
        dict
            The scale, the updates counted towards growth, the skipped steps, and the
            settings that an update depends on; empty if scaling is not enabled.

        Raises
        ------
        RuntimeError
            If gradients were unscaled and there was no update.
        """
        if not self.enabled:
            return {}
        if self._checks:
            msg = "state() must come after update(), which was not called since unscale() or step()"
            raise RuntimeError(msg)
        counts = {"tracker": self._tracker, "skipped": self._skipped}
        return {"scale": self.scale, **counts, **asdict(self._rule)}

    def restore(self, state: Mapping[str, float | int]) -> None:
        """
        Continue where another scaler was, with its settings.

        Parameters
        ----------
        state : mapping
            What `state` returned.  Ignored if scaling is not enabled.

        Raises
        ------
        TypeError, ValueError
            If it is not a state, or that of a scaler that was not enabled; nothing has
            changed then.
        """
        if not self.enabled:
            return
        if not isinstance(state, Mapping):
            refuse_kind("state", "what state() returned", state)
        names = [field.name for field in fields(ScaleRule)]
        wanted = {"scale", "tracker", "skipped", *names}
        if wrong := sorted(wanted ^ set(state)):
            what = "does not have" if wrong[0] in wanted else "has"
            msg = (
                f"state must be what state() of an enabled scaler returned, with "
                f"{', '.join(sorted(wanted))}; this one {what} {brief(wrong[0])}"
            )
            raise ValueError(msg)
        settings: dict[str, Any] = {name: state[name] for name in names}
        rule = scale_rule(**settings)
        scale = np.float32(0) if state["scale"] == 0 == rule.minimum else rule.admit(state["scale"])
        tracker = integer("tracker", state["tracker"], 0)
        skipped = integer("skipped", state["skipped"], 0)
        if tracker >= rule.interval:
            msg = f"tracker must be less than interval, {rule.interval}, got {tracker}"
            raise ValueError(msg)
        self._rule, self._scale = rule, scale
        self._tracker, self._skipped = tracker, skipped
        self._checks, self._saturated = {}, False

    def _need_loss(self, method: str) -> None:
        """Refuse gradients that cannot be of a scaled loss."""
        if not self._used:
            msg = f"{method}() needs gradients of a scaled loss, got none; call scale_loss() before"
            raise RuntimeError(msg)

    def _check_ready(self, name: str, tensor: Tensor) -> None:
        """Refuse a gradient that was unscaled, or is not of a type that can be."""
        if (check := self._checks.get(id(tensor))) is not None:
            done = "step()" if check.stepped else "unscale()"
            msg = (
                f"unscale() must come once, before step(), got {name!r} after {done}; "
                "update() begins a new round"
            )
            raise RuntimeError(msg)
        grad = tensor.grad
        if grad is not None and grad.dtype.type not in (np.float32, np.float64):
            msg = (
                f"gradient of {name!r} must be float32 or float64, got {grad.dtype.name}; "
                "train parameters of float32"
            )
            raise ValueError(msg)


def _unscale(tensor: Tensor, inverse: np.float32) -> bool:
    """Multiply a tensor's gradient, and return whether it was not finite before."""
    grad = tensor.grad
    assert grad is not None
    found = not all(bool(np.isfinite(block).all()) for block in blocks_of(grad))
    if inverse != 1:
        # Not in place: gradients of two tensors may be one array.
        with np.errstate(all="ignore"):
            tensor.grad = np.asarray(grad * inverse)
    return found
