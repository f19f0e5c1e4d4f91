"""
Delayed scaling: the scale of a step comes from the magnitudes of the steps before it.

::

    state --quantize(x)--> codes, state with amax(x) recorded --update()--> next state

States are frozen: a step returns a new one, so it can be kept, compared and restored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num._kernels.float32 import divide
from fp8num._kernels.state import float_arithmetic
from fp8num._kernels.words import as_values
from fp8num._reading import InputError
from fp8num._records import Check, as_it_is, entries, listed, made, text, whole
from fp8num._text import brief
from fp8num.formats import Format, format_from_dict
from fp8num.scaled import Descale
from fp8num.scaling.cast import flushed
from fp8num.scaling.catalogue import RULES, get_rule
from fp8num.scaling.finders import Amax, largest_magnitude, largest_of
from fp8num.scaling.held import Held, MsAmp, reciprocal_quotient
from fp8num.scaling.quantize import scale_quantize
from fp8num.scaling.rule import Rule
from fp8num.scaling.scales import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fp8num.scaled import ScaledArray
    from fp8num.scaling.held import AmaxHistory

__all__ = ["DelayedState", "start"]

Floats = npt.NDArray[np.float32]
_LARGEST = np.float32(np.finfo(np.float32).max)
#: The most that a state remembers: 4 MiB, more than a training has steps to look back on.
MOST_STEPS = 1 << 20
_IGNORE = Amax("ignore")


@dataclass(frozen=True, slots=True, eq=False)
class DelayedState:
    """
    What a tensor's delayed scaling remembers.

    Parameters
    ----------
    rule : Rule or str
        One with a history, which says how the scale is updated: ``"te-delayed"``,
        ``"te-delayed-unfused"``, ``"flax"``, ``"ms-amp"``, or one's own.  It is a Rule in
        the end.
    format : Format
        Of the elements.
    scale : float32
        As the library keeps it: what elements are multiplied by, in flax what they are
        divided by.
    history : ndarray of float32, shape (length,)
        Largest magnitudes, in the library's own order.
    margin : int
        Powers of two that are left free above the largest magnitude.
    algorithm : str
        ``"max"`` over the history, or ``"most_recent"``.
    counter : int
        Updates since MS-AMP's warm-up began.
    """

    rule: Rule | str
    format: Format
    scale: np.float32
    history: Floats
    margin: int = 0
    algorithm: str = "max"
    counter: int = 0

    def __post_init__(self) -> None:
        """Check what a file could have wrong, and keep the history from being written to."""
        object.__setattr__(self, "rule", _stateful(self.rule))
        history = np.array(as_array(self.history, "history"), np.float32)
        if history.ndim != 1 or not history.size or np.signbit(history).any():
            msg = f"history must be one-dimensional and hold magnitudes, got {self.history!r:.80}"
            raise ValueError(msg)
        if not self.scale >= 0:
            msg = f"scale must be a number that is not negative, got {float(self.scale)!r}"
            raise ValueError(msg)
        if self.algorithm not in ("max", "most_recent"):
            msg = f"algorithm must be 'max' or 'most_recent', got {self.algorithm!r:.60}"
            raise ValueError(msg)
        for name, low, high in (("margin", -126, 126), ("counter", 0, 1 << 62)):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or not low <= value <= high:
                msg = f"{name} must be an integer from {low} to {high}, got {brief(value)}"
                raise ValueError(msg)
        history.flags.writeable = False
        object.__setattr__(self, "history", history)

    @float_arithmetic
    def quantize(
        self,
        x: npt.ArrayLike,
        *,
        threads: int = 1,
        rng: np.random.Generator | None = None,
    ) -> tuple[ScaledArray, DelayedState]:
        """
        Quantise with the current scale, and record the values' largest magnitude.

        Parameters
        ----------
        x : array_like, shape (...)
            Values.
        threads : int, optional
            Threads that share the work.
        rng : numpy.random.Generator, optional
            For a rule whose cast rounds at random.

        Returns
        -------
        tuple of ScaledArray and DelayedState
            The codes with the scale that was used, and the state after it.
        """
        values = as_values(x)
        scale, state = _STEPS[_history(self.rule).update](self, values)
        return self.apply(values, scale, threads, rng), state

    @float_arithmetic
    def update(self) -> DelayedState:
        """
        Return the state for the next step, as the library makes it between steps.

        Returns
        -------
        DelayedState
            With the new scale; of flax this one, which updates when it quantises.
        """
        return _UPDATES[_history(self.rule).update](self)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as a dictionary that JSON can hold; floats are hexadecimal."""
        rule = get_rule(self.rule)
        return {
            "rule": rule.name if rule == RULES.get(rule.name) else rule.to_dict(),
            "format": self.format.to_dict(),
            "scale": float(self.scale).hex(),
            "history": [float(value).hex() for value in self.history],
            "margin": self.margin,
            "algorithm": self.algorithm,
            "counter": self.counter,
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> DelayedState:
        """
        Return the state that `to_dict` described.

        Raises
        ------
        ValueError
            If something is missing or not understood.
        """
        checks: dict[str, Check] = {
            "rule": as_it_is,
            "format": made(format_from_dict),
            "scale": _float32,
            "history": listed(_float32),
            "algorithm": text,
            **dict.fromkeys(("margin", "counter"), whole(-126, 1 << 62)),
        }
        try:
            found = entries("a state", description, checks)
            rule = found["rule"]
            found["rule"] = rule if isinstance(rule, str) else Rule.from_dict(rule)
            return cls(**found)
        except (TypeError, ValueError) as error:
            msg = f"a state must be described as to_dict() does, got one of which {error}"
            raise ValueError(msg) from error

    @float_arithmetic
    def apply(
        self,
        values: npt.NDArray[Any],
        scale: np.float32,
        threads: int = 1,
        rng: np.random.Generator | None = None,
    ) -> ScaledArray:
        """Quantise with a scale, and record nothing."""
        rule = get_rule(self.rule)
        divides = Descale(rule.way_in) is Descale.DIVIDE
        held = replace(rule, scale=Held(float(scale), inverse=divides), history=None)
        return scale_quantize(values, held, fmt=self.format, threads=threads, rng=rng)


def _float32(what: str, value: object) -> np.float32:
    """Return a number that `to_dict` wrote."""
    try:
        wide = float.fromhex(text(what, value))
        with np.errstate(over="ignore"):
            found = np.float32(wide)
        if np.array_equal(found, wide, equal_nan=True):  # that it may not be NaN, the state says
            return found
    except OverflowError:
        pass
    except ValueError as error:
        if isinstance(error, InputError):
            raise
    msg = f"{what} must be a float32 in hexadecimal, got {brief(value)}"
    raise ValueError(msg)


@float_arithmetic
def start(
    rule: str | Rule,
    fmt: Format | str | None = None,
    *,
    length: int | None = None,
    margin: int = 0,
    algorithm: str = "max",
) -> DelayedState:
    """
    Return the state that a delayed rule begins with: scale 1, an empty history.

    Parameters
    ----------
    rule : str or Rule
        One with a history: ``"te-delayed"``, ``"te-delayed-unfused"``, ``"flax"`` or
        ``"ms-amp"``, or one's own.
    fmt : Format or str, optional
        Of the elements; E4M3FN.
    length : int, optional
        Steps that are remembered, at most 2**20; the rule's own number, 1024, of MS-AMP 16.
    margin : int, optional
        Powers of two to leave free above the largest magnitude.
    algorithm : str, optional
        ``"max"`` over the history, or ``"most_recent"`` (TransformerEngine).

    Returns
    -------
    DelayedState
        It is not changed by what is done with it.

    Raises
    ------
    ValueError
        If the rule keeps no state, or a setting is out of range.

    Examples
    --------
    >>> state = start("te-delayed", length=4)
    >>> scaled, state = state.quantize([0.5, 3.0])
    >>> state = state.update()
    >>> float(state.scale)
    149.3333282470703
    """
    found = _stateful(rule)
    length = _history(found).length if length is None else length
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= MOST_STEPS:
        msg = f"length must be an integer from 1 to {MOST_STEPS}, got {brief(length)}"
        raise ValueError(msg)
    return DelayedState(
        rule=found,
        format=found.choose_format(fmt),
        scale=np.float32(1),
        history=np.zeros(length, np.float32),
        margin=margin,
        algorithm=algorithm,
    )


def _stateful(rule: str | Rule) -> Rule:
    found = get_rule(rule)
    _history(found)
    if not isinstance(found.finder, Amax):
        msg = f"finder of a rule that keeps a state must be an Amax, got {found.finder!r:.80}"
        raise TypeError(msg)
    return found


def _history(rule: str | Rule) -> AmaxHistory:
    """Return how a rule's scale is updated; ValueError if it is not."""
    found = get_rule(rule)
    if found.history is None:
        known = ", ".join(name for name, each in RULES.items() if each.history is not None)
        msg = f"rule must be one that keeps a state, {known}, got {found.name!r}"
        raise ValueError(msg)
    return found.history


def _amax(state: DelayedState, values: npt.NDArray[Any]) -> np.float32:
    """Return a tensor's largest magnitude as the rule finds it."""
    finder = get_rule(state.rule).finder
    assert isinstance(finder, Amax)
    return largest_magnitude(values, finder)


def _is_zero(magnitude: np.float32) -> bool:
    """Whether a magnitude is zero, and not a subnormal that is taken for it."""
    return not int(np.float32(magnitude).view(np.uint32))


# TransformerEngine: the newest magnitude is staged at index 0 until the update.


def _te_quantize(state: DelayedState, values: npt.NDArray[Any]) -> tuple[np.float32, DelayedState]:
    history = state.history.copy()
    history[0] = largest_of(history[0], _amax(state, values))
    return state.scale, replace(state, history=history)


def _te_scale(state: DelayedState, amax: np.float32, quotient: Floats) -> np.float32:
    usable = np.isfinite(amax) and not _is_zero(amax)
    scale = np.float32(quotient) if usable else state.scale
    return _LARGEST if np.isinf(scale) else scale


def _te_fused(state: DelayedState) -> DelayedState:
    """Update as the CUDA kernel does: what produced nothing is not rolled, NaN is skipped."""
    last = state.history[0]
    history, amax = state.history, np.float32(0)
    if not _is_zero(last):
        rolled = np.append(history[1:], last)
        amax = largest_of(np.where(np.isnan(rolled), np.float32(0), rolled))
        history = rolled.copy()
        history[0] = 0
    if state.algorithm == "most_recent":
        amax = last
    top = np.float32(float(state.format.max) * 2.0**-state.margin)
    scale = _te_scale(state, amax, divide(top, np.asarray(amax)))
    return replace(state, history=history, scale=scale)


def _te_unfused(state: DelayedState) -> DelayedState:
    """Update as the Python code does: always rolled, NaN freezes, the quotient is PyTorch's."""
    amax = state.history[0] if state.algorithm == "most_recent" else largest_of(state.history)
    quotient = reciprocal_quotient(float(state.format.max), np.asarray(amax))
    scaled = divide(quotient, np.float32(2.0**state.margin))
    history = np.roll(state.history, -1)
    history[0] = 0
    return replace(state, history=history, scale=_te_scale(state, amax, scaled))


# flax: the scale is updated when something is quantised, from the steps before.


def _flax_scale(state: DelayedState) -> np.float32:
    one = np.float32(1)
    amax = flushed(largest_of(state.history))
    factor = divide(divide(np.float32(float(state.format.max)), amax),
                    np.float32(2.0**state.margin))  # fmt: skip
    usable = amax > 0 and np.isfinite(amax)
    factor = flushed(factor if usable else divide(one, np.asarray(state.scale)))
    return np.float32(flushed(divide(one, factor)))


def _flax_quantize(
    state: DelayedState, values: npt.NDArray[Any]
) -> tuple[np.float32, DelayedState]:
    scale = _flax_scale(state)
    history = np.roll(state.history, -1)
    history[0] = flushed(_amax(state, values))
    return scale, replace(state, history=history, scale=scale)


# MS-AMP: just in time while it warms up, then from the window.


def _ms_amp_quantize(
    state: DelayedState, values: npt.NDArray[Any]
) -> tuple[np.float32, DelayedState]:
    history, scale = state.history.copy(), state.scale
    if state.counter < len(history) or len(history) == 1:
        history[0] = _amax(state, values)
        scale = _ms_amp_scale(state, history[0])
    else:  # the cast's kernel records, as TransformerEngine's
        history[0] = largest_of(history[0], largest_magnitude(values, _IGNORE))
    return scale, replace(state, history=history, scale=scale)


def _ms_amp_scale(state: DelayedState, amax: np.float32) -> np.float32:
    context = Context(state.format, amax, _LARGEST)
    found = MsAmp(float(state.scale), state.margin).find(np.asarray(amax), context)
    return np.float32(found.factor)


def _ms_amp_update(state: DelayedState) -> DelayedState:
    """Update as the optimizer's step does; a magnitude that is not finite restarts warm-up."""
    finite = bool(np.isfinite(state.history[0]))
    history = state.history.copy()
    if not finite:
        history[0] = 0
    scale = _ms_amp_scale(state, largest_of(history))
    history = np.roll(history, 1)
    history[0] = 0
    counter = state.counter + 1 if finite else 0
    return replace(state, history=history, scale=scale, counter=counter)


#: From a state and values to the scale that they are given, and the state after it.
_STEPS: Mapping[str, Callable[..., tuple[np.float32, DelayedState]]] = {
    "fused": _te_quantize,
    "unfused": _te_quantize,
    "flax": _flax_quantize,
    "ms-amp": _ms_amp_quantize,
}
_UPDATES: Mapping[str, Callable[[DelayedState], DelayedState]] = {
    "fused": _te_fused,
    "unfused": _te_unfused,
    "flax": lambda state: state,
    "ms-amp": _ms_amp_update,
}
