r"""
The reverse pass: from the derivative by a result to the derivatives by its leaves.

::

    x --> h --> y --> loss       consumers first: loss, y, h, x
     \_________/                 x waits until both y and h have handed theirs on

Nothing here recurses, so a graph may be as deep as memory allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.nn.tape import Tensor

__all__ = ["leaf_derivatives"]

Array = npt.NDArray[Any]


def leaf_derivatives(result: Tensor, seed: Array) -> list[tuple[Tensor, Array]]:
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


def _consumers_first(result: Tensor) -> Iterator[Tensor]:
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


def _handed_on(node: Tensor, gradient: Array) -> list[tuple[Tensor, Array]]:
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
