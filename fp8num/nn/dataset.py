"""
A data set, and batches of it that a training can be broken off and resumed between.

::

    Dataset --batches(rng)--> (x, y), (x, y), ...      in a new order each time
    rng --generator_state--> what JSON can hold --generator_from--> rng
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import generator, integer, refuse, refuse_kind, refuse_mask, text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Dataset", "batches", "generator_from", "generator_state"]

Inputs: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[np.int64]

_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """
    Inputs with labels, to train on and held out.

    Parameters
    ----------
    name : str
        What it is.
    x : ndarray of float32, shape (n, features)
        Inputs to train on.
    y : ndarray of int64, shape (n,)
        Their classes, from 0.
    classes : int
        How many there are, at least 2.
    test_x : ndarray of float32, shape (m, features)
        Inputs held out; m may be 0.
    test_y : ndarray of int64, shape (m,)
        Their classes.

    Raises
    ------
    TypeError, ValueError
        If an array has another type or shape, an input has no features or is not finite, or
        a label is not from 0 to ``classes - 1``.
    """

    name: str
    x: Inputs
    y: Labels
    classes: int
    test_x: Inputs
    test_y: Labels

    def __post_init__(self) -> None:
        """Check the arrays."""
        text("name of a data set", self.name)
        # An integer of NumPy would not go into a checkpoint.
        object.__setattr__(self, "classes", integer("classes", self.classes, 2))
        _check_inputs("x", self.x)
        _check_inputs("test_x", self.test_x)
        if self.x.shape[1] != self.test_x.shape[1]:
            msg = f"test_x must have {self.x.shape[1]} features as x, got {self.test_x.shape[1]}"
            raise ValueError(msg)
        _check_labels("y", self.y, len(self.x), self.classes)
        _check_labels("test_y", self.test_y, len(self.test_x), self.classes)

    @property
    def features(self) -> int:
        """Length of an input."""
        return int(self.x.shape[1])


def batches(
    dataset: Dataset, size: int, rng: np.random.Generator, *, start: int = 0
) -> Iterator[tuple[Inputs, Labels]]:
    """
    Yield the training part once, in batches and in a new order.

    Parameters
    ----------
    dataset : Dataset
        What to take them from.
    size : int
        Inputs of a batch; the last one has what is left.
    rng : numpy.random.Generator
        Draws one permutation, as soon as this is called.
    start : int, optional
        Batches to leave out.  With a generator in the state that it had before an epoch,
        that continues the epoch where it was broken off.

    Returns
    -------
    iterator of (x, y)
        Copies: ``(size, features)`` inputs and their labels.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it must be; nothing is drawn then.

    Examples
    --------
    >>> from fp8num.nn.data import random_labels
    >>> data = random_labels(n=10, test=0)
    >>> rng = np.random.default_rng(0)
    >>> state = generator_state(rng)
    >>> whole = [y.tolist() for _, y in batches(data, 4, rng)]
    >>> [len(y) for y in whole]
    [4, 4, 2]
    >>> rest = [y.tolist() for _, y in batches(data, 4, generator_from(state), start=1)]
    >>> rest == whole[1:]
    True
    """
    if not isinstance(dataset, Dataset):
        refuse_kind("dataset", "a Dataset", dataset)
    generator("rng", rng)
    step, first = integer("size", size, 1), integer("start", start, 0)
    order = rng.permutation(len(dataset.x))
    rows = (order[low : low + step] for low in range(first * step, len(order), step))
    return ((dataset.x[row], dataset.y[row]) for row in rows)


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Return the state of a generator as a dictionary that JSON can hold."""
    generator("rng", rng)
    state: dict[str, Any] = _listed(rng.bit_generator.state)
    if state["bit_generator"] not in _GENERATORS:
        msg = f"rng must use {', '.join(_GENERATORS)}, got {state['bit_generator']}"
        raise TypeError(msg)
    return state


def generator_from(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator that continues from a state."""
    if not isinstance(state, Mapping) or state.get("bit_generator") not in _GENERATORS:
        got = state.get("bit_generator") if isinstance(state, Mapping) else state
        refuse("state", f"what generator_state() returned, of {', '.join(_GENERATORS)}", got)
    made = getattr(np.random, state["bit_generator"])()
    try:
        # NumPy takes any position in a block of words, and reads what lies there.
        inner = state["state"]
        for place, count in ((inner.get("pos", 0), 624), (state.get("buffer_pos", 0), 4)):
            if integer("a position", place, 0) > count:
                msg = f"a position of {place}, beyond {count}"
                raise ValueError(msg)  # noqa: TRY301 - as any other thing that is wrong
        made.state = dict(state)
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        msg = f"state must be what generator_state() returned, got one with {error!s:.80}"
        raise ValueError(msg) from error
    if _listed(made.state) != _listed(state):
        msg = "state must be what generator_state() returned, got one that NumPy takes otherwise"
        raise ValueError(msg)
    return np.random.Generator(made)


def _listed(value: Any) -> Any:  # noqa: ANN401 - what a bit generator's state holds
    """Return a copy with lists for arrays."""
    if isinstance(value, dict):
        return {key: _listed(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


#: What to do instead of giving none.
_WITHOUT = "x[:0] and y[:0] hold nothing out"


def _check_inputs(name: str, x: object) -> None:
    refuse_mask(x, name)
    wanted = f"{name} must be a float32 array of shape (n, features)"
    if not isinstance(x, np.ndarray):
        way = "numpy.asarray makes one" if x is not None else _WITHOUT
        msg = f"{wanted}, got {type(x).__name__}; {way}"
        raise TypeError(msg)
    if x.ndim != 2:
        way = _WITHOUT if not x.size else "an input is a row of it"
        msg = f"{wanted}, got {x.dtype} of shape {x.shape}; {way}"
        raise ValueError(msg)
    if x.dtype != np.float32:
        msg = f"{wanted}, got {x.dtype} of shape {x.shape}; {name}.astype(numpy.float32) makes one"
        raise ValueError(msg)
    if not x.shape[1]:
        msg = f"{name} must have at least one feature, got shape {x.shape}"
        raise ValueError(msg)
    if not (finite := np.isfinite(x)).all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        msg = f"{name} must be finite, got {x[row, column]} in row {row}, column {column}"
        raise ValueError(msg)


def _check_labels(name: str, y: object, count: int, classes: int) -> None:
    refuse_mask(y, name)
    wanted = f"{name} must be an int64 array of shape ({count},)"
    if not isinstance(y, np.ndarray):
        way = "numpy.asarray makes one" if y is not None else _WITHOUT
        msg = f"{wanted}, got {type(y).__name__}; {way}"
        raise TypeError(msg)
    if y.shape != (count,):
        msg = f"{wanted}, got {y.dtype} of shape {y.shape}; every input has one label"
        raise ValueError(msg)
    if y.dtype != np.int64:
        msg = f"{wanted}, got {y.dtype}; {name}.astype(numpy.int64) makes one of whole numbers"
        raise ValueError(msg)
    if (wrong := (y < 0) | (y >= classes)).any():
        row = int(wrong.argmax())
        msg = (
            f"{name} must be from 0 to {classes - 1}, got {y[row]} in row {row}; "
            f"there are {classes} classes"
        )
        raise ValueError(msg)
