r"""
Learning rates over the steps of a training, as pure functions.

::

    lr  |    ____                     step    0 .. warmup - 1    lr * (step + 1) / warmup
        |   /    \__                          warmup .. steps    from lr down to `floor`
        |  /        \____                     beyond             `floor`
        | /              \______
        |/_______________________

A schedule is any callable that takes the number of a step, counted from 0, and returns a
rate; those made here can be pickled, and hold no state that a checkpoint would have to keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from fp8num._arguments import integer, number
from fp8num._kernels.state import float_arithmetic

__all__ = ["Schedule", "constant", "cosine", "linear"]

Schedule: TypeAlias = Callable[[int], float]


@float_arithmetic
def constant(lr: float) -> Schedule:
    """
    Return a schedule that stays where it is.

    Parameters
    ----------
    lr : float
        Learning rate, at least 0.

    Returns
    -------
    callable
        From the number of a step, counted from 0, to the rate.

    Raises
    ------
    TypeError, ValueError
        If a setting is no number, or out of range; later, if a step is negative.

    Examples
    --------
    >>> constant(0.1)(1000)
    0.1
    """
    return _Constant(lr)


@float_arithmetic
def cosine(lr: float, steps: int, warmup: int = 0, floor: float = 0.0) -> Schedule:
    """
    Return a schedule that rises linearly, and falls along half a cosine.

    Parameters
    ----------
    lr : float
        Highest learning rate, at least 0.
    steps : int
        Step at which the rate has fallen to `floor`, where it stays.
    warmup : int, optional
        Steps of the rise; the first has the rate ``lr / warmup``.
    floor : float, optional
        Rate at the end, at most `lr`.

    Returns
    -------
    callable
        From the number of a step, counted from 0, to the rate.

    Raises
    ------
    TypeError, ValueError
        If a setting is no number, or out of range; later, if a step is negative.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm restarts",
    arXiv:1608.03983, equation 5, without restarts.

    Examples
    --------
    >>> rate = cosine(0.1, steps=6, warmup=2)
    >>> [round(rate(step), 4) for step in range(8)]
    [0.05, 0.1, 0.1, 0.0854, 0.05, 0.0146, 0.0, 0.0]
    """
    return _Ramp(_half_cosine, lr, steps, warmup, floor)


@float_arithmetic
def linear(lr: float, steps: int, warmup: int = 0, floor: float = 0.0) -> Schedule:
    """
    Return a schedule that rises linearly, and falls linearly.

    Parameters
    ----------
    lr : float
        Highest learning rate, at least 0.
    steps : int
        Step at which the rate has fallen to `floor`, where it stays.
    warmup : int, optional
        Steps of the rise; the first has the rate ``lr / warmup``.
    floor : float, optional
        Rate at the end, at most `lr`.

    Returns
    -------
    callable
        From the number of a step, counted from 0, to the rate.

    Raises
    ------
    TypeError, ValueError
        If a setting is no number, or out of range; later, if a step is negative.

    Examples
    --------
    >>> rate = linear(0.1, steps=4)
    >>> [round(rate(step), 4) for step in range(6)]
    [0.1, 0.075, 0.05, 0.025, 0.0, 0.0]
    """
    return _Ramp(_straight, lr, steps, warmup, floor)


def _half_cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def _straight(done: float) -> float:
    return 1 - done


@dataclass(frozen=True, slots=True)
class _Constant:
    lr: float

    def __post_init__(self) -> None:
        number("lr", self.lr, at_least=0)

    @float_arithmetic
    def __call__(self, step: int) -> float:
        integer("step", step, 0)
        return float(self.lr)


@dataclass(frozen=True, slots=True)
class _Ramp:
    """A rise, and a fall that takes the part of it that is done to the part that is left."""

    fall: Callable[[float], float]
    lr: float
    steps: int
    warmup: int
    floor: float

    def __post_init__(self) -> None:
        lr, floor = number("lr", self.lr, at_least=0), number("floor", self.floor, at_least=0)
        steps, warmup = integer("steps", self.steps, 1), integer("warmup", self.warmup, 0)
        if warmup >= steps:
            msg = f"warmup must be less than steps, {steps}, got {warmup}"
            raise ValueError(msg)
        if floor > lr:
            msg = f"floor must be at most lr, {lr}, got {floor}"
            raise ValueError(msg)

    @float_arithmetic
    def __call__(self, step: int) -> float:
        now = integer("step", step, 0)
        if now < self.warmup:
            return float(self.lr * (now + 1) / self.warmup)
        if now >= self.steps:
            return float(self.floor)
        left = self.fall((now - self.warmup) / (self.steps - self.warmup))
        return float(self.floor + (self.lr - self.floor) * left)
