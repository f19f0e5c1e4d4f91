r"""
The tape: whether results remember how they were made, and the pass that goes back over it.

::

    x --> h --> y --> loss       consumers first: loss, y, h, x
     \_________/                 x waits until both y and h have handed theirs on

Nothing here recurses, so a graph may be as deep as memory allows.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

__all__ = ["is_recording", "leaf_derivatives", "no_grad"]

Array = npt.NDArray[Any]

_RECORDING = ContextVar("fp8num.nn recording", default=True)


class _Node(Protocol):
    """What the pass asks of a tensor."""

    name: str
    requires_grad: bool
    inputs: tuple[Self, ...]  #: what it was computed from
    vjp: Callable[[Array], Sequence[Array | None]] | None  #: None of a leaf

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


N = TypeVar("N", bound=_Node)


def is_recording() -> bool:
    """Return whether results remember how they were made."""
    return _RECORDING.get()


@contextmanager
def no_grad() -> Iterator[None]:
    """
    Compute without remembering how, in this thread or task.

    Yields
    ------
    None
        Results within are leaves that require no gradient.

    Examples
    --------
    >>> from fp8num.nn import Tensor
    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """
    before = _RECORDING.set(False)
    try:
        yield
    finally:
        _RECORDING.reset(before)


def leaf_derivatives(result: N, seed: Array) -> list[tuple[N, Array]]:
    """
    Return the derivatives by the leaves that a result depends on and that require one.

    Consumers come before what they consume, so each node's derivative is complete when it
    is handed on.  The order, and with it the rounding of sums, depends on the graph alone.
    """
    pending = {result: seed}  # sums over the consumers that have been visited
    found = []
    with np.errstate(all="ignore"):  # overflow gives infinities, which are ordinary values
        for node in _consumers_first(result):
            gradient = pending.pop(node, None)
            if gradient is None:  # no consumer had a derivative for it
                continue
            if node.vjp is None:
                found.append((node, gradient))
                continue
            for source, part in _handed_on(node, gradient):
                # A new array: the first share may be another tensor's too.
                before = pending.get(source)
                pending[source] = part if before is None else np.asarray(before + part)
    return found


def _consumers_first(result: N) -> Iterator[N]:
    """Yield the nodes that a result depends on and that require gradients."""
    consumers = {result: 0}
    stack = [result]
    while stack:
        for source in stack.pop().inputs:
            if source.requires_grad:
                if source not in consumers:
                    consumers[source] = 0
                    stack.append(source)
                consumers[source] += 1
    ready = [result]
    while ready:
        node = ready.pop()
        yield node
        for source in node.inputs:
            if source.requires_grad:
                consumers[source] -= 1
                if not consumers[source]:
                    ready.append(source)


def _handed_on(node: N, gradient: Array) -> list[tuple[N, Array]]:
    """Return each input of a node that needs a derivative, with the node's share of it."""
    assert node.vjp is not None
    parts = list(node.vjp(gradient))
    if len(parts) != len(node.inputs):
        msg = (
            f"the vjp of {node.name or 'a node'} must return a derivative or None for each of its "
            f"{len(node.inputs)} inputs, got {len(parts)}"
        )
        raise ValueError(msg)
    found = []
    for position, (source, part) in enumerate(zip(node.inputs, parts, strict=True)):
        if part is None or not source.requires_grad:
            continue
        array = np.asarray(part, order="C")
        if array.shape != source.shape or array.dtype != source.dtype:
            msg = (
                f"the vjp of {node.name or 'a node'} must return {source.dtype} of shape "
                f"{source.shape} for input {position}, got {array.dtype} of shape {array.shape}"
            )
            raise (ValueError if array.shape != source.shape else TypeError)(msg)
        found.append((source, array))
    return found
