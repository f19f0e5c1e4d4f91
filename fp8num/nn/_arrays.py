"""The arrays of tensors: what becomes one, what would only seem to, and shapes of derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array

__all__ = ["float_array", "unbroadcast"]

Array = npt.NDArray[Any]


def float_array(argument: str, x: npt.ArrayLike) -> Array:
    """Return float32 or float64 in the machine's byte order and C order, without need no copy."""
    array = as_array(x, argument)
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
