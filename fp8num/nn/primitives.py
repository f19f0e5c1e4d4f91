# ruff: noqa: ANN401, ARG001, ARG005, FBT001 - a derivative takes all, and options are NumPy's
"""
The table of rules: what an operation computes, and its derivative by each operand.

::

    name        y            g = dL/dy:   dL/da      dL/db
    multiply    a b                       g b        g a

A derivative is a function of g, y, the operands and the options.  Its result may have the
shape of y: `tape` sums what broadcasting had repeated.  Everything here is arrays.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import refuse_kind
from fp8num._names import Catalogue
from fp8num.nn.special import normal_cdf, normal_density, sigmoid

__all__ = ["RULES", "Primitive", "clip_ends"]

Array = npt.NDArray[Any]
Derivative = Callable[..., Array]


@dataclass(frozen=True, slots=True)
class Primitive:
    """
    An operation on arrays and how it is differentiated.

    Parameters
    ----------
    forward : callable
        ``(*operands, **options) -> y``.
    derivatives : sequence of callables
        One for each operand, ``(g, y, *operands, **options) -> dL/d(operand)``.
    variadic : callable, optional
        In their place for any number of operands: gives the derivatives by all of them.
    """

    forward: Callable[..., Array]
    derivatives: tuple[Derivative, ...] = ()
    variadic: Callable[..., Sequence[Array]] | None = None

    def vjp(
        self,
        gradient: Array,
        value: Array,
        operands: Sequence[Array],
        options: Mapping[str, object],
        needed: Sequence[bool],
    ) -> list[Array | None]:
        """
        Return the loss's derivative by each operand: a vector times the Jacobian.

        Parameters
        ----------
        gradient : ndarray
            The loss's derivative by the result.
        value : ndarray
            The result.
        operands : sequence of ndarray
            What it was computed from.
        options : mapping
            As `forward` had them.
        needed : sequence of bool
            By which operands; None takes the place of the others.

        Returns
        -------
        list of (ndarray or None)
            One for each operand, in its shape or in one that it was broadcast to.
        """
        if self.variadic is not None:
            every = self.variadic(gradient, value, *operands, **options)
            return [part if wanted else None for part, wanted in zip(every, needed, strict=True)]
        return [
            derivative(gradient, value, *operands, **options) if wanted else None
            for derivative, wanted in zip(self.derivatives, needed, strict=True)
        ]


def _kept(where: Array, x: Array) -> Array:
    """Return x where the condition holds, else 0, in the type of x."""
    # The bits of x, and all ones or none: np.where takes ten times as long over a condition
    # without order, and multiplying by 0 would make NaN of infinity.
    bits = f"i{x.dtype.itemsize}"
    kept: Array = x.view(bits) & -where.astype(bits)
    return kept.view(x.dtype)


def _times(a: Array, b: Array) -> Array:
    """Return a product as an array, which to the type checker `a * b` is not."""
    result: Array = a * b
    return result


# Powers: 0 to the power 0 is 1, and its derivatives are 0 as in the limit of x**0.


def _power_base(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _kept(b != 0, g * b * a ** (b - 1))


def _power_exponent(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _kept((a != 0) | (b < 0), g * y * np.log(a))


# Products: a vector is the matrix of one row, or of one column, that it stands for.


def _matmul_left(g: Array, y: Array, a: Array, b: Array) -> Array:
    if b.ndim == 1:
        g, b = g[..., None], b[:, None]
    if a.ndim == 1:
        return (g[..., None, :] @ b.swapaxes(-1, -2))[..., 0, :]
    return g @ b.swapaxes(-1, -2)


def _matmul_right(g: Array, y: Array, a: Array, b: Array) -> Array:
    if b.ndim == 1:
        return _matmul_right(g[..., None], y, a, b[:, None])[..., 0]
    if a.ndim == 1:
        return _matmul_right(g[..., None, :], y, a[None, :], b)
    if b.ndim == 2:  # one product over all of a batch, not one for each and their sum
        a, g = a.reshape(-1, a.shape[-1]), g.reshape(-1, g.shape[-1])
    return a.swapaxes(-1, -2) @ g


# Choices of one operand or another.


def _abs_derivative(g: Array, y: Array, x: Array) -> Array:
    return _kept(x > 0, g) - _kept(x < 0, g)


def _chosen(g: Array, tied: Array, lost: Array) -> Array:
    """Return the derivative where an operand was not the other one; half of it where equal."""
    return _kept(~lost, np.where(tied, g / 2, g))


# Activations.

_GELU_SLOPE, _GELU_CUBIC = 2 * math.sqrt(2 / math.pi), 0.044715


def _gelu(x: Array, *, approximate: str) -> Array:
    if approximate == "tanh":  # x (1 + tanh u) / 2 = x sigmoid(2u), without cancellation
        return _times(x, sigmoid(_GELU_SLOPE * (x + _GELU_CUBIC * x * x * x)))
    return _times(x, normal_cdf(x)).astype(x.dtype)


def _gelu_derivative(g: Array, y: Array, x: Array, *, approximate: str) -> Array:
    if approximate == "tanh":
        s = sigmoid(_GELU_SLOPE * (x + _GELU_CUBIC * x * x * x))
        inner = _GELU_SLOPE * (1 + 3 * _GELU_CUBIC * x * x)
        return _times(g, s + x * (s * (1 - s)) * inner)
    return _times(g, (normal_cdf(x) + x * normal_density(x)).astype(x.dtype))


def _silu_derivative(g: Array, y: Array, x: Array) -> Array:
    s = sigmoid(x)
    return _times(g, s * (1 + x * (1 - s)))


# Reductions, over all axes, one, or several.


def _expanded(reduced: Array, x: Array, axis: Any, keepdims: bool) -> Array:
    """Return a reduction with the axes that it had lost, at length 1."""
    if axis is None:
        return reduced.reshape((1,) * x.ndim)
    return reduced if keepdims else np.expand_dims(reduced, axis)


def _count(x: Array, axis: Any) -> int:
    """Return how many elements each result of a reduction is made of."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return math.prod(x.shape[one] for one in axes)


def _sum_derivative(g: Array, y: Array, x: Array, *, axis: Any, keepdims: bool) -> Array:
    return np.broadcast_to(_expanded(g, x, axis, keepdims), x.shape)


def _mean(x: Array, *, axis: Any, keepdims: bool) -> Array:
    # np.mean warns where there are no elements; here their mean is NaN like any 0 / 0.
    total: Array = np.sum(x, axis=axis, keepdims=keepdims)
    mean: Array = total / total.dtype.type(_count(x, axis))
    return mean


def _mean_derivative(g: Array, y: Array, x: Array, *, axis: Any, keepdims: bool) -> Array:
    return _sum_derivative(g / g.dtype.type(_count(x, axis)), y, x, axis=axis, keepdims=keepdims)


def _max_derivative(g: Array, y: Array, x: Array, *, axis: Any, keepdims: bool) -> Array:
    """Share the derivative evenly among the largest or smallest, as torch.amax does."""
    largest = x == _expanded(y, x, axis, keepdims)
    share = largest.sum(axis=axis, keepdims=True).astype(x.dtype)
    # Where the largest is NaN, nothing equals it: 0 / 0 hands the NaN on.
    result: Array = _kept(largest, _expanded(g, x, axis, keepdims)) / share
    return result


def _logsumexp(x: Array, *, axis: Any, keepdims: bool) -> Array:
    # The largest becomes 0, so nothing overflows; infinities are left to the sum itself.
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    top = _kept(np.isfinite(top), top)
    total: Array = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis)


def _logsumexp_derivative(g: Array, y: Array, x: Array, *, axis: Any, keepdims: bool) -> Array:
    softmax = np.exp(x - _expanded(y, x, axis, keepdims))
    return _times(_expanded(g, x, axis, keepdims), softmax)


def _shifted(x: Array, axis: object) -> Array:
    """Return differences from the largest along an axis."""
    along = operator.index(axis)  # type: ignore[arg-type]  # None and tuples are refused there
    shifted: Array = x - np.max(x, axis=along, keepdims=True, initial=-np.inf)
    return shifted


def _softmax(x: Array, *, axis: Any) -> Array:
    powers = np.exp(_shifted(x, axis))
    result: Array = powers / np.sum(powers, axis=axis, keepdims=True)
    return result


def _softmax_derivative(g: Array, y: Array, x: Array, *, axis: Any) -> Array:
    return _times(y, g - np.sum(g * y, axis=axis, keepdims=True))


def _log_softmax(x: Array, *, axis: Any) -> Array:
    shifted = _shifted(x, axis)
    result: Array = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return result


def _log_softmax_derivative(g: Array, y: Array, x: Array, *, axis: Any) -> Array:
    result: Array = g - np.exp(y) * np.sum(g, axis=axis, keepdims=True)
    return result


# Moving elements about: results are copies, which may be written to.


def _reshape_derivative(g: Array, y: Array, x: Array, *, shape: object) -> Array:
    return g.reshape(x.shape)


def _transpose(x: Array, *, axes: Sequence[int] | None) -> Array:
    return np.array(x.transpose(axes), order="C")


def _transpose_derivative(g: Array, y: Array, x: Array, *, axes: Sequence[int] | None) -> Array:
    return g.transpose(None if axes is None else np.argsort([one % g.ndim for one in axes]))


def _index_derivative(g: Array, y: Array, x: Array, *, key: Any) -> Array:
    found = np.zeros_like(x)
    parts = key if isinstance(key, tuple) else (key,)
    if all(isinstance(part, int | np.integer | slice | EllipsisType | None) for part in parts):
        found[key] = g  # no element is named twice
    else:
        np.add.at(found, key, g)
    return found


def _stack(*parts: Array, axis: int) -> Array:
    return np.stack(parts, operator.index(axis))


def _stack_derivatives(g: Array, y: Array, *parts: Array, axis: int) -> list[Array]:
    return list(np.moveaxis(g, axis, 0))


def _concatenate(*parts: Array, axis: int) -> Array:
    return np.concatenate(parts, operator.index(axis))  # None would flatten them


def _concatenate_derivatives(g: Array, y: Array, *parts: Array, axis: int) -> list[Array]:
    ends = list(accumulate(part.shape[axis] for part in parts))
    return np.split(g, ends[:-1], axis)


def _where(a: Array, b: Array, *, condition: Array) -> Array:
    if not isinstance(condition, np.ndarray) or condition.dtype != np.bool_:
        refuse_kind("condition", "an array of booleans", condition)
    return np.where(condition, a, b)


def _where_true(g: Array, y: Array, a: Array, b: Array, *, condition: Array) -> Array:
    return _kept(condition, g)


def _where_false(g: Array, y: Array, a: Array, b: Array, *, condition: Array) -> Array:
    return _kept(~condition, g)


#: One line for each: forward, then the derivative by each operand.
# fmt: off
def clip_ends(low: float | None, high: float | None) -> dict[str, float]:
    """Return the options of the rule clip; TypeError or ValueError if they are none."""
    for name, end in (("low", low), ("high", high)):
        if end is not None and (
            isinstance(end, bool) or not isinstance(end, int | float | np.integer | np.floating)
        ):
            advice = "minimum() and maximum() take tensors"
            refuse_kind(f"{name} of clip", "a number or None", end, advice)
    if low is None and high is None:
        msg = "clip must be given low or high, got neither"
        raise ValueError(msg)
    return {
        "low": -math.inf if low is None else float(low),
        "high": math.inf if high is None else float(high),
    }


RULES: Mapping[str, Primitive] = Catalogue({
    "add": Primitive(np.add, (lambda g, y, a, b: g, lambda g, y, a, b: g)),
    "subtract": Primitive(np.subtract, (lambda g, y, a, b: g, lambda g, y, a, b: -g)),
    "multiply": Primitive(np.multiply, (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)),
    "divide": Primitive(np.divide, (lambda g, y, a, b: g / b, lambda g, y, a, b: -g * (y / b))),
    "negative": Primitive(np.negative, (lambda g, y, x: -g,)),
    "power": Primitive(np.power, (_power_base, _power_exponent)),
    "matmul": Primitive(np.matmul, (_matmul_left, _matmul_right)),
    "abs": Primitive(np.abs, (_abs_derivative,)),
    "minimum": Primitive(np.minimum, (lambda g, y, a, b: _chosen(g, a == b, a > b), lambda g, y, a, b: _chosen(g, a == b, b > a))),  # noqa: E501 - a line of the table
    "maximum": Primitive(np.maximum, (lambda g, y, a, b: _chosen(g, a == b, a < b), lambda g, y, a, b: _chosen(g, a == b, b < a))),  # noqa: E501 - a line of the table
    "clip": Primitive(lambda x, *, low, high: np.clip(x, low, high), (lambda g, y, x, *, low, high: _kept((x >= low) & (x <= high), g),)),  # noqa: E501 - a line of the table
    "exp": Primitive(np.exp, (lambda g, y, x: g * y,)),
    "log": Primitive(np.log, (lambda g, y, x: g / x,)),
    "sqrt": Primitive(np.sqrt, (lambda g, y, x: g / (2 * y),)),
    "tanh": Primitive(np.tanh, (lambda g, y, x: g * (1 - y * y),)),
    "sigmoid": Primitive(sigmoid, (lambda g, y, x: g * (y * (1 - y)),)),
    "relu": Primitive(lambda x: np.maximum(x, 0), (lambda g, y, x: _kept(~(x <= 0), g),)),
    "gelu": Primitive(_gelu, (_gelu_derivative,)),
    "silu": Primitive(lambda x: x * sigmoid(x), (_silu_derivative,)),
    "sum": Primitive(np.sum, (_sum_derivative,)),
    "mean": Primitive(_mean, (_mean_derivative,)),
    "max": Primitive(np.max, (_max_derivative,)),
    "min": Primitive(np.min, (_max_derivative,)),
    "logsumexp": Primitive(_logsumexp, (_logsumexp_derivative,)),
    "softmax": Primitive(_softmax, (_softmax_derivative,)),
    "log_softmax": Primitive(_log_softmax, (_log_softmax_derivative,)),
    "reshape": Primitive(lambda x, *, shape: x.reshape(shape), (_reshape_derivative,)),
    "transpose": Primitive(_transpose, (_transpose_derivative,)),
    "index": Primitive(lambda x, *, key: np.array(x[key], order="C"), (_index_derivative,)),
    "stack": Primitive(_stack, variadic=_stack_derivatives),
    "concatenate": Primitive(_concatenate, variadic=_concatenate_derivatives),
    "where": Primitive(_where, (_where_true, _where_false)),
}, "rules of differentiation", ())
# fmt: on
