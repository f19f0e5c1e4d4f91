"""
Scales that were found before: from a history of magnitudes, or kept from the last step.

::

    step t-1   amax --> history --> scale      step t   x * scale --> codes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import divide, multiply
from fp8num._kernels.state import float_arithmetic
from fp8num.scaling.scales import Scales, floor_log2, maximum, power_of_two

if TYPE_CHECKING:
    from fp8num.scaling.scales import Context

__all__ = ["AmaxHistory", "Held", "MsAmp", "reciprocal_quotient"]

Floats = npt.NDArray[np.float32]
_UPDATES = ("fused", "unfused", "flax", "ms-amp")


@dataclass(frozen=True, slots=True)
class AmaxHistory:
    """
    How a delayed rule's scale follows from the largest magnitudes of the steps before.

    Parameters
    ----------
    update : str
        ``"fused"``: after the step, as TransformerEngine's kernel: what produced nothing is
        not rolled, NaN is skipped.  ``"unfused"``: as its Python code: always rolled, NaN
        freezes the scale.  ``"flax"``: where the next tensor is quantised.  ``"ms-amp"``:
        after the step, and just in time while it warms up.
    length : int
        Steps that are remembered, where no number is asked for.

    Raises
    ------
    ValueError
        If the update is none of these, or the length is not positive.
    """

    update: str
    length: int = 1024

    def __post_init__(self) -> None:
        """Check the update's name and the length."""
        if self.update not in _UPDATES:
            msg = f"update must be one of {', '.join(_UPDATES)}, got {self.update!r:.60}"
            raise ValueError(msg)
        if isinstance(self.length, bool) or not isinstance(self.length, int) or self.length < 1:
            msg = f"length must be a positive integer, got {self.length!r:.60}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Held:
    """
    A scale that does not depend on the values.

    Parameters
    ----------
    scale : float
        It is what elements are multiplied by, and its inverse is stored; or, if
        `inverse`, what they are divided by, and stored itself.
    inverse : bool
        Which of the two.
    """

    scale: float = 1.0
    inverse: bool = False

    @property
    def format(self) -> None:
        """float32."""
        return

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:  # noqa: ARG002 - a formula's form
        """Return what is stored, and the scale, for every block."""
        scale = np.full(amax.shape, self.scale, np.float32)
        return Scales(scale if self.inverse else divide(np.float32(1), scale), scale)


@dataclass(frozen=True, slots=True)
class MsAmp:
    """
    MS-AMP's power of two from the current magnitude, as in its warm-up.

    Parameters
    ----------
    previous : float
        The scale that stays where the magnitude is 0 or NaN.  Where it is infinite, one
        over this: the library's inversion of small scales runs last.
    margin : int
        Powers of two that are left free.
    """

    previous: float = 1.0
    margin: int = 0

    @property
    def format(self) -> None:
        """float32."""
        return

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:
        """Return ``1 / s`` and `s`."""
        ratio = reciprocal_quotient(float(maximum(context.fmt)), amax)
        exponent = floor_log2(ratio) - np.float32(self.margin)
        previous = np.float32(self.previous)
        usable = (np.asarray(amax, np.float32).view(np.uint32) > 0) & np.isfinite(amax)
        power = power_of_two(np.abs(exponent))
        scale = np.where(usable, power, previous).astype(np.float32)
        scale = np.where(exponent < 0, divide(np.float32(1), scale), scale)
        return Scales(divide(np.float32(1), scale), scale)


def reciprocal_quotient(numerator: float, denominator: Floats) -> Floats:
    """Return a float over a tensor as PyTorch computes it: ``(1 / tensor) * float``."""
    return multiply(divide(np.float32(1), denominator), np.float32(numerator))
