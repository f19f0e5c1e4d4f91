"""
What computes with floats, kept apart from the state of the process.

Kernels work on integers and depend on nothing.  Scales, sums and training use the
processor's floats: they need it to round to nearest, as their results are defined, and they
meet infinities and NaN as ordinary results, whatever `numpy.errstate` says.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["float_arithmetic", "require_nearest"]

P = ParamSpec("P")
T = TypeVar("T")

#: Names, because a sum of literals would be made when this is compiled.
_ONE, _MINUS_ONE, _TINY = 1.0, -1.0, float.fromhex("0x1p-60")


def require_nearest(what: str) -> None:
    """Refuse to compute where sums are not rounded to nearest: three of them tell."""
    if _ONE + _TINY > _ONE:
        found = "upward"
    elif _MINUS_ONE - _TINY < _MINUS_ONE:
        found = "downward"
    elif _ONE - _TINY < _ONE:
        found = "toward zero"
    else:
        return
    msg = (
        f"{what} must run where the processor rounds to nearest, got rounding {found}; "
        "call fesetround(FE_TONEAREST) before it"
    )
    raise ValueError(msg)


def float_arithmetic(function: Callable[P, T]) -> Callable[P, T]:
    """
    Make a public function one that computes with floats.

    It refuses to run where the processor rounds in another direction, and runs without
    NumPy's floating-point errors; threads that `share` starts inherit that.
    """
    name = function.__qualname__

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> T:
        require_nearest(name)
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return computed
