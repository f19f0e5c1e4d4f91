"""
Arguments: what each must be, and what is said of one that is not.

::

    size must be an integer, at least 1, got 0             what it is called, what it must be,
    order must be one of sequential, pairwise, blocked,    what it was; then what to do
        got 'pairwize'; did you mean pairwise?

A wrong kind of thing is a TypeError, one of the right kind that does not fit a ValueError.
"""

from __future__ import annotations

import math
import operator
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fp8num._names import nearest
from fp8num._text import brief

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Never

    import numpy.typing as npt

__all__ = [
    "MOST_AT_ONCE",
    "array_text",
    "as_array",
    "choice",
    "flag",
    "generator",
    "integer",
    "member",
    "number",
    "output",
    "random_width",
    "refuse",
    "refuse_kind",
    "refuse_mask",
    "text",
    "thread_count",
]

E = TypeVar("E", bound=Enum)

#: Threads or processes at once.  Each takes memory and a place in the system's table.
MOST_AT_ONCE = 1024


def refuse(
    name: str, wanted: str, value: object, advice: str = "", kind: type[Exception] = ValueError
) -> Never:
    """Say what an argument must be, what it was, and what to do."""
    msg = f"{name} must be {wanted}, got {brief(value)}{advice and f'; {advice}'}"
    raise kind(msg) from None


def refuse_kind(
    name: str, wanted: str, value: object, advice: str = "", kind: type[Exception] = TypeError
) -> Never:
    """Say the same of another kind of thing, and what kind it is."""
    got = f"{type(value).__name__} {brief(value)}"
    msg = f"{name} must be {wanted}, got {got}{advice and f'; {advice}'}"
    raise kind(msg) from None


# Numbers.


def integer(
    name: str, value: object, low: int | None = None, high: int | None = None, *, advice: str = ""
) -> int:
    """Return an integer from `low` to `high`, of any type that stands for one, as Python's."""
    bounds = (
        "" if low is None else f", at least {low}" if high is None else f" from {low} to {high}"
    )
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        refuse(name, f"an integer{bounds}", value, advice, TypeError)
    try:
        found = operator.index(value)
    except TypeError:  # an array that is no integer, and has the method
        refuse(name, f"an integer{bounds}", value, advice, TypeError)
    if (low is not None and found < low) or (high is not None and found > high):
        refuse(name, f"an integer{bounds}", value, advice)
    return found


def number(
    name: str,
    value: object,
    *,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    advice: str = "",
) -> float:
    """Return a finite number within its bounds as Python's float."""
    bounds = {"at least": at_least, "above": above, "below": below}
    words = " and ".join(f"{key} {bound:g}" for key, bound in bounds.items() if bound is not None)
    wanted = f"a finite number{words and f' {words}'}"
    # Archives give numbers back as arrays without axes.
    plain = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(plain, bool) or not isinstance(plain, int | float | np.integer | np.floating):
        refuse(name, wanted, value, advice, TypeError)
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
        refuse(name, wanted, value, advice)
    return found


def thread_count(threads: object) -> int:
    """Return how many threads there are to be."""
    if type(threads) is int and 1 <= threads <= MOST_AT_ONCE:  # asked in each conversion
        return threads
    advice = "as many as there are processors are of use"
    return integer("threads", threads, 1, MOST_AT_ONCE, advice=advice)


# Names, words and switches.


def choice(name: str, value: object, choices: Iterable[str], *, advice: str = "") -> str:
    """Return one of some names; of another the nearest one is told."""
    names = list(choices)
    if not isinstance(value, str):
        refuse(name, _one_of(names), value, advice)
    if value not in names:
        near = nearest(value, names, most=1)
        refuse(name, _one_of(names), value, f"did you mean {near[0]}?" if near else advice)
    return value


def member(name: str, value: object, kind: type[E], aliases: Mapping[str, E] | None = None) -> E:
    """Return a member of an enum, by itself, its value or an alias, in upper or lower case."""
    if isinstance(value, kind):
        return value
    known = {one.value: one for one in kind} | dict(aliases or {})
    if not isinstance(value, str):
        refuse(name, _one_of(list(known)), value, kind=TypeError)
    plain = {each.lower(): each for each in known}
    return known[choice(name, plain.get(value.lower(), value), known)]


def _one_of(names: list[str]) -> str:
    """Write the names that there are to choose from."""
    if len(names) <= 2:
        return " or ".join(map(repr, names))
    return f"one of {', '.join(names)}"


def flag(name: str, value: object, *, advice: str = "") -> bool:
    """Return True or False, NumPy's as Python's."""
    if not isinstance(value, bool | np.bool_):
        refuse(name, "True or False", value, advice, TypeError)
    return bool(value)


def text(name: str, value: object, *, empty: bool = True, advice: str = "") -> str:
    """Return text, which may be empty or not."""
    if not isinstance(value, str):
        refuse_kind(name, "text" if empty else "text that is not empty", value, advice)
    if not (value or empty):
        refuse(name, "text that is not empty", value, advice)
    return value


# Random numbers.


def generator(name: str, value: object, *, why: str = "") -> np.random.Generator:
    """Return a source of random numbers: one's own, as there is no global one."""
    if not isinstance(value, np.random.Generator):
        advice = "numpy.random.default_rng(0) makes one"
        refuse_kind(name, f"a numpy.random.Generator{why}", value, advice)
    return value


def random_width(value: object) -> int:
    """Return how many random bits there are for an element."""
    return integer("random_width", value, 1, 32)


# Arrays.


def array_text(array: npt.NDArray[Any]) -> str:
    """Return an array's type and shape for a message."""
    return f"{array.dtype} of shape {array.shape}"


def as_array(x: Any, argument: str = "x") -> npt.NDArray[Any]:  # noqa: ANN401 - whatever NumPy reads
    """
    Return `x` as an array, without need no copy; TypeError if it is masked, or has masked parts.

    ValueError if it is ragged.
    """
    refuse_mask(x, argument)
    try:
        return np.asarray(x)
    except ValueError as error:
        msg = f"{argument} must be an array of numbers, got {type(x).__name__}: {error}"
        raise ValueError(msg) from error


def refuse_mask(x: object, argument: str) -> None:
    """Refuse a masked array, whose mask NumPy would forget, also within a list."""
    if isinstance(x, np.ma.MaskedArray):
        msg = (
            f"{argument} must not be a masked array, whose mask would be forgotten, got {x.dtype} "
            f"of shape {x.shape} with {int(np.ma.getmaskarray(x).sum())} masked; .filled(value) "
            "gives these a value, .compressed() leaves them out"
        )
        raise TypeError(msg)
    if isinstance(x, list | tuple):
        for part in x:
            if isinstance(part, list | tuple | np.ma.MaskedArray):
                refuse_mask(part, argument)


def output(
    out: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    inputs: tuple[npt.NDArray[Any], ...],
) -> npt.NDArray[Any]:
    """Return the array to fill: `out` if it fits, else a new one."""
    if out is None:
        return np.empty(shape, dtype)
    refuse_mask(out, "out")
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape:
        got = array_text(out) if isinstance(out, np.ndarray) else type(out).__name__
        msg = f"out must be an array of {dtype} of shape {shape}, got {got}"
        raise ValueError(msg)
    if not out.flags.writeable:
        msg = f"out must be writeable, got a read-only array of {array_text(out)}"
        raise ValueError(msg)
    for given in inputs:
        if np.may_share_memory(out, given) and np.shares_memory(out, given):
            msg = "out must not overlap an input, their memory is shared; pass a separate array"
            raise ValueError(msg)
    return out
