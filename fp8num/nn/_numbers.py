"""Settings that are numbers: each in its range, or one error that says the range."""

from __future__ import annotations

import math

import numpy as np

from fp8num._reading import brief

__all__ = ["number", "whole"]


def number(
    name: str,
    value: object,
    *,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """Return a finite number within its bounds as Python's float."""
    bounds = {"at least": at_least, "above": above, "below": below}
    words = " and ".join(f"{key} {bound:g}" for key, bound in bounds.items() if bound is not None)
    wanted = f"{name} must be a finite number{' ' if words else ''}{words}, got {brief(value)}"
    plain = _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, int | float | np.integer | np.floating):
        raise TypeError(wanted)
    try:
        found = float(plain)
    except OverflowError:  # an integer beyond float64
        found = math.inf
    if (
        not math.isfinite(found)
        or (at_least is not None and found < at_least)
        or (above is not None and found <= above)
        or (below is not None and found >= below)
    ):
        raise ValueError(wanted)
    return found


def whole(name: str, value: object, at_least: int, at_most: int | None = None) -> int:
    """Return an integer within its bounds as Python's int."""
    end = "" if at_most is None else f" and at most {at_most}"
    wanted = f"{name} must be an integer, at least {at_least}{end}, got {brief(value)}"
    plain = _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, int | np.integer):
        raise TypeError(wanted)
    if plain < at_least or (at_most is not None and plain > at_most):
        raise ValueError(wanted)
    return int(plain)


def _plain(value: object) -> object:
    """Return the number of a 0-d array: archives give numbers back so."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
