"""How a loss scale grows and backs off: the arithmetic of torch.amp.GradScaler, float32 scales."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fp8num._arguments import integer, number, refuse

__all__ = ["ScaleRule", "scale_rule"]


@dataclass(frozen=True, slots=True)
class ScaleRule:
    """What the next scale depends on beside this one; made by `scale_rule`, which checks it."""

    growth: float
    backoff: float
    interval: int
    maximum: float
    minimum: float

    def admit(self, scale: float) -> np.float32:
        """Return a scale that was given, as float32."""
        found = _float32("scale", scale)
        if not self.minimum <= found <= self.maximum:
            refuse("scale", f"from {self.minimum} to {self.maximum}", scale)
        return np.float32(found)

    def after(self, scale: np.float32, tracker: int, *, overflow: bool) -> tuple[np.float32, int]:
        """Return the next scale and tracker, as PyTorch's `_amp_update_scale_`."""
        if overflow:
            return np.float32(max(_times(scale, self.backoff), self.minimum)), 0
        if tracker + 1 != self.interval:
            return scale, tracker + 1
        grown = _times(scale, self.growth)
        if math.isinf(grown):  # it stays, and is tried again after as many updates
            return scale, 0
        return np.float32(min(grown, self.maximum)), 0


def _times(scale: np.float32, factor: float) -> float:
    """Return float32(scale * factor), the product in float64."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(float(scale) * factor))


def scale_rule(
    growth: float, backoff: float, interval: int, maximum: float | None, minimum: float | None
) -> ScaleRule:
    """Check settings; a state has infinity and 0 where there are no caps."""
    return ScaleRule(
        growth=number("growth", growth, above=1),
        backoff=number("backoff", backoff, above=0, below=1),
        interval=integer("interval", interval, 1),
        maximum=math.inf if maximum in (None, math.inf) else _float32("maximum", maximum),
        minimum=0.0 if minimum in (None, 0) else _float32("minimum", minimum),
    )


def _float32(name: str, value: object) -> float:
    """Return a positive number rounded to float32, in which it must be positive and finite."""
    with np.errstate(over="ignore", under="ignore"):
        found = float(np.float32(number(name, value, above=0)))
    if not 0 < found < math.inf:
        refuse(name, "positive and finite in float32", value)
    return found
