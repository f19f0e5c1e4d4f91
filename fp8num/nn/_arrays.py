"""The arrays of tensors: what becomes one, what would only seem to, and shapes of derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["float_array", "plain_array", "unbroadcast"]

Array = npt.NDArray[Any]


def plain_array(argument: str, x: npt.ArrayLike) -> Array:
    """Return an array of any type; refuse a mask, which would be forgotten, and ragged lists."""
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        msg = (
            f"{argument} must have no masked elements, got {int(np.ma.getmaskarray(x).sum())} of "
            f"shape {x.shape}; x.filled(0) gives them a value"
        )
        raise TypeError(msg)
    try:
        return np.asarray(x)
    except ValueError as error:
        msg = f"{argument} must be an array of numbers, got {type(x).__name__}: {error}"
        raise ValueError(msg) from error


def float_array(argument: str, x: npt.ArrayLike) -> Array:
    """Return float32 or float64 in the machine's byte order and C order, without need no copy."""
    array = plain_array(argument, x)
    if array.dtype.kind != "f" or array.dtype.itemsize not in {4, 8}:
        numbers = array.dtype.kind in "fiub"
        advice = f"; convert it: np.asarray({argument}, np.float32)" if numbers else ""
        msg = (
            f"{argument} must be float32 or float64, which gradients are taken in, "
            f"got {array.dtype} of shape {array.shape}{advice}"
        )
        raise TypeError(msg)
    return np.asarray(array, np.float32 if array.dtype.itemsize == 4 else np.float64, order="C")


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a derivative over the axes that its operand was repeated along."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    axes = [axis for axis, length in enumerate(shape, extra) if length == 1]
    total: Array = np.sum(gradient, axis=(*range(extra), *axes), keepdims=True)
    return total.reshape(shape)
