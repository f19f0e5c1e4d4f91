"""
Parameters by name, and arrays that belong to them: checked, or one error that says what for.

The norm of gradients is here too: what is told of a step is what clips it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import refuse_kind
from fp8num._kernels.blocks import blocks_of
from fp8num.nn.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_like", "gradient_norm", "named", "trainable"]

Array = npt.NDArray[Any]


def named(parameters: object) -> dict[str, Tensor]:
    """Return tensors by name, in their order."""
    if not isinstance(parameters, Mapping):
        advice = "a model's parameters() is one"
        refuse_kind("parameters", "a mapping from names to tensors", parameters, advice)
    for name, parameter in parameters.items():
        if not isinstance(parameter, Tensor):
            refuse_kind(f"parameter {name!r}", "a Tensor", parameter)
    return dict(parameters)


def trainable(parameters: object) -> dict[str, Tensor]:
    """Return tensors by name that can be written to, each once."""
    found = named(parameters)
    if not found:
        msg = "parameters must not be empty; a model's parameters() has all of its"
        raise ValueError(msg)
    for name, parameter in found.items():
        if not parameter.data.flags.writeable:
            msg = f"parameter {name!r} must be writeable, got a read-only array; copy it"
            raise ValueError(msg)
    if len({id(parameter) for parameter in found.values()}) < len(found):
        msg = "parameters must be different tensors, got one under two names"
        raise ValueError(msg)
    return found


def check_like(wanted: str, array: object, data: Array) -> Array:
    """Return an array of a parameter's type and shape, and refuse anything else."""
    wanted = f"{wanted} must be {data.dtype.name} of shape {data.shape}"
    if not isinstance(array, np.ndarray):
        msg = f"{wanted}, got {type(array).__name__}"
        raise TypeError(msg)
    if array.shape != data.shape or array.dtype.type is not data.dtype.type:
        msg = f"{wanted}, got {array.dtype.name} of shape {array.shape}"
        raise ValueError(msg)
    return array


def gradient_norm(parameters: Iterable[Tensor]) -> float:
    """Return the Euclidean norm of all gradients as one vector; NaN or infinite if one is."""
    gradients = [tensor.grad for tensor in parameters if tensor.grad is not None]
    exponent = 0
    if any(grad.dtype.itemsize > 4 for grad in gradients):
        # Squares of float64 may overflow or vanish: in units of a power of two near the largest.
        peak = 0.0
        for grad in gradients:
            for block in blocks_of(grad):
                peak = float(np.maximum(peak, np.max(np.abs(block))))  # NaN stays
        if not 0 < peak < math.inf:
            return peak
        exponent = math.frexp(peak)[1]
    with np.errstate(over="ignore"):  # a norm beyond float64 is infinite
        sums = []
        for grad in gradients:
            for block in blocks_of(grad):
                part = np.ldexp(block, -exponent, dtype=np.float64) if exponent else block
                sums.append(float(np.sum(np.square(part, dtype=np.float64))))
        return float(np.ldexp(math.sqrt(math.fsum(sums)), exponent))
