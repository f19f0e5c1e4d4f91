"""
Functions of a graph that move elements about, one for each such rule of the table.

::

    the same elements    reshape transpose
    some of them         index where
    of several tensors   concatenate stack where

Results are copies, but for those of `reshape`, which shares its operand's array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num.nn.tensor import Operand, Tensor, apply

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["concatenate", "index", "reshape", "stack", "transpose", "where"]


def reshape(x: Operand, shape: int | tuple[int, ...]) -> Tensor:
    """
    Arrange the elements in another shape.

    Parameters
    ----------
    x : Tensor or array_like, shape (...)
        Values, read in C order.
    shape : int or tuple of int
        The new shape; one length may be -1.


    Returns
    -------
    Tensor, of that shape
        The same values.

    Examples
    --------
    >>> reshape([1.0, 2.0, 3.0, 4.0], (2, -1)).data
    array([[1., 2.],
           [3., 4.]])
    """
    return apply("reshape", x, shape=shape)


def transpose(x: Operand, axes: Sequence[int] | None = None) -> Tensor:
    """
    Reorder the axes.

    Parameters
    ----------
    x : Tensor or array_like, shape (...)
        Values.
    axes : sequence of int, optional
        Which of the axes comes first, second, ...; the default is the opposite order.


    Returns
    -------
    Tensor, shape (...)
        The same values, copied to C order.

    Examples
    --------
    >>> transpose([[1.0, 2.0], [3.0, 4.0]]).data
    array([[1., 3.],
           [2., 4.]])
    """
    return apply("transpose", x, axes=axes)


def index(x: Operand, key: Any) -> Tensor:  # noqa: ANN401 - whatever NumPy indexes by
    """
    Take the elements that NumPy's indexing would.

    Parameters
    ----------
    x : Tensor or array_like, shape (...)
        Values.
    key : index
        Integers, slices, None, Ellipsis, arrays of integers or of booleans; an array is not
        copied, and must stay as it is until the derivative is taken.


    Returns
    -------
    Tensor, shape (...)
        A copy; the derivatives of an element that is named more than once add up.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> index(x, [0, 1, 1]).sum().backward()
    >>> x.grad
    array([1., 2.])
    """
    return apply("index", x, key=key)


def concatenate(parts: Sequence[Operand], axis: int = 0) -> Tensor:
    """
    Join tensors along an axis.

    Parameters
    ----------
    parts : sequence of (Tensor or array_like)
        Equal in shape but for that axis.
    axis : int, optional
        The axis, which is not a new one.


    Returns
    -------
    Tensor, shape (...)
        The elements of the first, then those of the second, ...

    Examples
    --------
    >>> concatenate([[1.0], [2.0, 3.0]]).data
    array([1., 2., 3.])
    """
    return apply("concatenate", *parts, axis=axis)


def stack(parts: Sequence[Operand], axis: int = 0) -> Tensor:
    """
    Join tensors along a new axis.

    Parameters
    ----------
    parts : sequence of (Tensor or array_like)
        Of one shape.
    axis : int, optional
        Where the new axis is to be.


    Returns
    -------
    Tensor, shape (...)
        One axis more than the parts have, as long as there are parts.

    Examples
    --------
    >>> stack([[1.0, 2.0], [3.0, 4.0]], axis=1).data
    array([[1., 3.],
           [2., 4.]])
    """
    return apply("stack", *parts, axis=axis)


def where(condition: npt.ArrayLike, a: Operand, b: Operand) -> Tensor:
    """
    Choose from two tensors, element by element.

    Parameters
    ----------
    condition : array_like of bool
        Where to take `a`; no derivative passes through it.
    a, b : Tensor, array_like or number, shapes that broadcast
        Values.


    Returns
    -------
    Tensor, the broadcast shape
        The values; the other operand's derivative is 0.

    Raises
    ------
    TypeError
        If the condition is not boolean.

    Examples
    --------
    >>> where([True, False], [1.0, 2.0], 0).data
    array([1., 0.])
    """
    mask = as_array(condition, "condition")
    if mask.dtype != np.bool_:
        msg = (
            f"condition must be boolean, got {mask.dtype} of shape {mask.shape}; "
            "compare the arrays of tensors: x.data > 0"
        )
        raise TypeError(msg)
    return apply("where", a, b, condition=mask)
