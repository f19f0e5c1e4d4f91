"""
Losses: from what a net says and what is true to one number.

::

    logits (N, C), labels (N,) --cross_entropy--> mean of  log sum_j e^z_j - z_label
    prediction, target --mean_square_error------> mean of  (prediction - target)^2
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num._kernels.state import float_arithmetic
from fp8num.nn.tensor import Operand, Tensor, apply, as_tensors, record

__all__ = ["cross_entropy", "mean_square_error"]

Array = npt.NDArray[Any]


@float_arithmetic
def cross_entropy(logits: Operand, labels: npt.ArrayLike) -> Tensor:
    """
    Return the mean cross-entropy of the softmax of logits, in nats.

    Parameters
    ----------
    logits : Tensor or array_like of float32 or float64, shape (..., C)
        Scores of C classes; a constant may be added to all.
    labels : array_like of int, shape (...)
        The true classes, from 0 to C - 1.

    Returns
    -------
    Tensor, shape ()
        The mean over all rows, in the type of the logits; NaN if there are none.

    Raises
    ------
    TypeError
        If labels are not integers, or logits are no numbers.
    ValueError
        If shapes do not fit, or a label is out of range.

    Notes
    -----
    The row's largest logit is subtracted first, so nothing overflows, and the loss of a row
    that is sure and right is not lost to rounding of large logits.  The derivative is
    (softmax - one at the label) / N, formed from the same exponentials.

    Examples
    --------
    >>> z = Tensor([[0.0, 0.0]], requires_grad=True)
    >>> loss = cross_entropy(z, [1])
    >>> loss.backward()
    >>> round(loss.item(), 6), z.grad
    (0.693147, array([[ 0.5, -0.5]]))
    """
    (source,) = as_tensors("cross_entropy", [logits])
    true = _checked_labels(labels, source.shape)
    dtype = source.dtype.type
    top = np.max(source.data, axis=-1, keepdims=True)
    shifted = source.data - top
    powers = np.exp(shifted)
    totals = np.sum(powers, axis=-1, keepdims=True)
    rows = np.log(totals) - np.take_along_axis(shifted, true[..., None], axis=-1)
    value = np.sum(rows) / dtype(true.size)

    def vjp(gradient: Array) -> list[Array]:
        softmax = powers / totals
        at = true[..., None]
        np.put_along_axis(softmax, at, np.take_along_axis(softmax, at, -1) - dtype(1), -1)
        return [softmax * (gradient / dtype(true.size))]

    return record(value, [source], vjp, "cross_entropy")


def _checked_labels(labels: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Return labels that are integers, one for each row, and of a class that there is."""
    found = as_array(labels.data if isinstance(labels, Tensor) else labels, "labels")
    if found.size == 0 and not isinstance(labels, np.ndarray):
        found = found.astype(np.intp)  # an empty list says nothing of its type
    if found.dtype.kind not in "iu":
        msg = (
            f"cross_entropy: labels must be integers, got {found.dtype} of shape {found.shape}; "
            "argmax(axis=-1) makes them of one-hot rows"
        )
        raise TypeError(msg)
    if not shape or found.shape != shape[:-1]:
        msg = (
            "cross_entropy: labels must have one label for each row of logits, got shape "
            f"{found.shape} for logits of shape {shape}"
        )
        raise ValueError(msg)
    classes = shape[-1]
    if not classes:
        msg = f"cross_entropy: logits must have at least one class, got shape {shape}"
        raise ValueError(msg)
    wrong = (found < 0) | (found >= classes)
    if wrong.any():
        where = tuple(int(one) for one in np.argwhere(wrong)[0])
        msg = (
            f"cross_entropy: labels must be from 0 to {classes - 1}, as the logits have {classes} "
            f"classes, got {found[where]} at {where if len(where) != 1 else where[0]}"
        )
        raise ValueError(msg)
    return found.astype(np.intp)


@float_arithmetic
def mean_square_error(prediction: Operand, target: Operand) -> Tensor:
    """
    Return the mean square of the difference.

    Parameters
    ----------
    prediction, target : Tensor or array_like of float32 or float64, shape (...)
        Of one shape: nothing is broadcast, as (N, 1) against (N,) would silently be N x N.

    Returns
    -------
    Tensor, shape ()
        The mean over all elements; NaN if there are none.

    Raises
    ------
    TypeError
        If types differ.
    ValueError
        If shapes differ.

    Examples
    --------
    >>> mean_square_error([1.0, 2.0], [1.0, 4.0]).item()
    2.0
    """
    first, second = as_tensors("mean_square_error", [prediction, target])
    if first.shape != second.shape:
        msg = (
            "mean_square_error: prediction and target must have one shape, got "
            f"{first.shape} and {second.shape}"
        )
        raise ValueError(msg)
    difference = apply("subtract", first, second)
    return apply("mean", apply("multiply", difference, difference), axis=None, keepdims=False)
