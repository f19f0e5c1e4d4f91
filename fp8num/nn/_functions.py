"""
What a tensor can do, as methods that are functions of one operand.

::

    x.exp()  is  nn.exp(x)      x.softmax(-1)  is  nn.softmax(x, -1)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fp8num._arguments import refuse_kind
from fp8num.nn._operators import Operators

if TYPE_CHECKING:
    from fp8num.nn.tape import Tensor

__all__ = ["Functions", "clip_ends"]


def clip_ends(low: float | None, high: float | None) -> dict[str, float]:
    """Return the options of the rule clip; TypeError or ValueError if they are none."""
    for name, end in (("low", low), ("high", high)):
        if end is not None and (
            isinstance(end, bool) or not isinstance(end, int | float | np.integer | np.floating)
        ):
            advice = "minimum() and maximum() take tensors"
            refuse_kind(f"{name} of clip", "a number or None", end, advice)
    if low is None and high is None:
        msg = "clip must be given low or high, got neither"
        raise ValueError(msg)
    return {
        "low": -math.inf if low is None else float(low),
        "high": math.inf if high is None else float(high),
    }


class Functions(Operators):
    """Methods of `Tensor` by the names of functions of `fp8num.nn`."""

    __slots__ = ()

    def __abs__(self) -> Tensor:
        return self._apply("abs", self)

    def abs(self) -> Tensor:
        """Return magnitudes, as `fp8num.nn.abs`."""
        return self._apply("abs", self)

    def exp(self) -> Tensor:
        """Return e to the power x, as `fp8num.nn.exp`."""
        return self._apply("exp", self)

    def log(self) -> Tensor:
        """Return natural logarithms, as `fp8num.nn.log`."""
        return self._apply("log", self)

    def sqrt(self) -> Tensor:
        """Return square roots, as `fp8num.nn.sqrt`."""
        return self._apply("sqrt", self)

    def tanh(self) -> Tensor:
        """Return hyperbolic tangents, as `fp8num.nn.tanh`."""
        return self._apply("tanh", self)

    def sigmoid(self) -> Tensor:
        """Return 1 / (1 + e^-x), as `fp8num.nn.sigmoid`."""
        return self._apply("sigmoid", self)

    def relu(self) -> Tensor:
        """Return x where it is positive, else 0, as `fp8num.nn.relu`."""
        return self._apply("relu", self)

    def softmax(self, axis: int = -1) -> Tensor:
        """Return exponentials divided by their sum, as `fp8num.nn.softmax`."""
        return self._apply("softmax", self, axis=axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        """Return the logarithm of the softmax, as `fp8num.nn.log_softmax`."""
        return self._apply("log_softmax", self, axis=axis)

    def clip(self, low: float | None = None, high: float | None = None) -> Tensor:
        """Move what is outside an interval to its ends, as `fp8num.nn.clip`."""
        return self._apply("clip", self, **clip_ends(low, high))
