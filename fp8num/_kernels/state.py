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

__all__ = ["float_arithmetic", "imported", "require_nearest"]

P = ParamSpec("P")
T = TypeVar("T")

#: Names, because a sum of literals would be made when this is compiled.
_ONE, _MINUS_ONE, _TINY = 1.0, -1.0, float.fromhex("0x1p-60")


#: Packages imported where the processor did not round to nearest: their constants are wrong.
_WRONG: dict[str, str] = {}


def _direction() -> str:
    """Return how the processor rounds sums, of which three tell; empty if to nearest."""
    if _ONE + _TINY > _ONE:
        return "upward"
    if _MINUS_ONE - _TINY < _MINUS_ONE:
        return "downward"
    return "toward zero" if _ONE - _TINY < _ONE else ""


def imported(package: str) -> None:
    """Note how the processor rounds while a package computes its constants."""
    if direction := _direction():
        _WRONG[package] = direction


def require_nearest(what: str) -> None:
    """Refuse to compute where the processor does not round to nearest, or did not at import."""
    if direction := _direction():
        msg = (
            f"{what} must run where the processor rounds to nearest, got rounding {direction}; "
            "call fesetround(FE_TONEAREST) before it"
        )
        raise ValueError(msg)
    if _WRONG:
        package, direction = next(iter(_WRONG.items()))
        msg = (
            f"{what} must run where {package} was imported with rounding to nearest, got an "
            f"import with rounding {direction}; start a new process"
        )
        raise ValueError(msg)


def float_arithmetic(function: Callable[P, T]) -> Callable[P, T]:
    """
    Make a public function one that computes with floats.

    It refuses to run where the processor rounds in another direction, and runs without
    NumPy's floating-point errors: so do threads that `share` starts, and callables that the
    caller passes.
    """
    name = function.__qualname__

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> T:
        require_nearest(name)
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return computed
