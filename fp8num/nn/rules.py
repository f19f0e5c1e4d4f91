"""
The functions that a graph is made of, one for each rule of the table.

::

    one operand    negative abs exp log sqrt tanh sigmoid relu silu gelu clip
    two            add subtract multiply divide power minimum maximum matmul
    reductions     sum mean max min logsumexp
    along an axis  softmax log_softmax

Each takes tensors, arrays and numbers, and gives a tensor; operators of a tensor are the
same rules: ``a @ b`` is ``matmul(a, b)``.  `RULES` is the table; what moves elements about
is in `fp8num.nn.moves`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from fp8num._arguments import choice
from fp8num.nn.primitives import RULES, Primitive, clip_ends
from fp8num.nn.tensor import Axis, Operand, Tensor, apply, as_axes

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "RULES",
    "Primitive",
    "abs",
    "add",
    "clip",
    "divide",
    "exp",
    "gelu",
    "log",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "multiply",
    "negative",
    "power",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "sqrt",
    "subtract",
    "sum",
    "tanh",
]


_Function = TypeVar("_Function", bound="Callable[..., Tensor]")


#: A docstring: summary, operands, shape of the result, and what is special.
_TEXT = """
    {}

    Parameters
    ----------
    {}

    Returns
    -------
    Tensor, {}
        In the operands' type.  {}
    """


class _Reduction(Protocol):
    """How a reduction is called."""

    def __call__(self, x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor: ...  # noqa: FBT001, FBT002 - as PyTorch's


class _Along(Protocol):
    """How a function along an axis is called."""

    def __call__(self, x: Operand, axis: int = -1) -> Tensor: ...


def _unary(name: str, summary: str, note: str = "") -> Callable[[Operand], Tensor]:
    """Return the function of one operand that applies a rule."""

    def function(x: Operand) -> Tensor:
        return apply(name, x)

    operand = "x : Tensor, array_like or number, shape (...)\n        The operand."
    return _documented(function, name, _TEXT.format(summary, operand, "shape (...)", note))


def _binary(name: str, summary: str, note: str = "") -> Callable[[Operand, Operand], Tensor]:
    """Return the function of two operands that applies a rule."""

    def function(a: Operand, b: Operand) -> Tensor:
        return apply(name, a, b)

    operands = "a, b : Tensor, array_like or number\n        Shapes that broadcast."
    return _documented(function, name, _TEXT.format(summary, operands, "the broadcast shape", note))


def _reduction(name: str, summary: str, note: str = "") -> _Reduction:
    """Return the reduction that applies a rule."""

    def function(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        return apply(name, x, axis=as_axes(axis), keepdims=keepdims)

    operands = """x : Tensor or array_like, shape (...)
        The operand.
    axis : int or sequence of int, optional
        The axes to go; the default is all.
    keepdims : bool, optional
        Whether they stay, at length 1."""
    return _documented(function, name, _TEXT.format(summary, operands, "shape (...)", note))


def _along(name: str, summary: str, note: str = "") -> _Along:
    """Return the function along an axis that applies a rule."""

    def function(x: Operand, axis: int = -1) -> Tensor:
        return apply(name, x, axis=axis)

    operands = """x : Tensor or array_like, shape (...)
        The operand.
    axis : int, optional
        The axis; the default is the last."""
    return _documented(function, name, _TEXT.format(summary, operands, "shape (...)", note))


def _documented(function: _Function, name: str, text: str) -> _Function:
    """Give a function its name and its docstring."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


abs = _unary("abs", "Return magnitudes.", "The derivative at 0 and NaN is 0.")  # noqa: A001 - NumPy's name
exp = _unary("exp", "Return e to the power x.")
log = _unary("log", "Return natural logarithms.", "0 gives minus infinity, less gives NaN.")
negative = _unary("negative", "Change the sign.")
relu = _unary(
    "relu", "Return x where it is positive, else 0.", "The derivative at 0 is 0; NaN stays."
)
sigmoid = _unary("sigmoid", "Return 1 / (1 + e^-x).", "Neither tail overflows or cancels.")
silu = _unary("silu", "Return x sigmoid(x).")
sqrt = _unary("sqrt", "Return square roots.", "The derivative at 0 is infinite.")
tanh = _unary("tanh", "Return hyperbolic tangents.")

add = _binary("add", "Return a + b.")
subtract = _binary("subtract", "Return a - b.")
multiply = _binary("multiply", "Return a b, element by element.")
divide = _binary("divide", "Return a / b.")
power = _binary(
    "power",
    "Return a to the power b.",
    "The derivative by the base is 0 where b is 0, by the exponent where a is 0 and b >= 0.",
)

minimum = _binary("minimum", "Return the smaller.", "Equals share the derivative evenly.")
maximum = _binary("maximum", "Return the larger.", "Equals share the derivative evenly.")

sum = _reduction("sum", "Sum elements.")  # noqa: A001 - NumPy's name
mean = _reduction("mean", "Average elements.", "The mean of no elements is NaN.")
max = _reduction(  # noqa: A001 - NumPy's name
    "max", "Find the largest.", "Equals share its derivative evenly, as in torch.amax."
)
min = _reduction(  # noqa: A001 - NumPy's name
    "min", "Find the smallest.", "Equals share its derivative evenly, as in torch.amin."
)
logsumexp = _reduction(
    "logsumexp",
    "Return the logarithm of the sum of exponentials.",
    "Nothing overflows; the derivative is the softmax.",
)

softmax = _along(
    "softmax", "Return exponentials divided by their sum along an axis.", "Nothing overflows."
)
log_softmax = _along(
    "log_softmax",
    "Return the logarithm of the softmax along an axis.",
    "Nothing overflows, and no small part is lost.",
)


def gelu(x: Operand, *, approximate: str = "none") -> Tensor:
    """
    Return x times the normal distribution function of x.

    Parameters
    ----------
    x : Tensor or array_like, shape (...)
        Values.
    approximate : str, optional
        ``"none"`` is exact to float64, and computed in it; ``"tanh"`` is the usual formula,
        sooner done, off by up to 5e-4.


    Returns
    -------
    Tensor, shape (...)
        The products.

    Raises
    ------
    ValueError
        If `approximate` is another.

    References
    ----------
    .. [1] D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)",
       arXiv:1606.08415, section 2.

    Examples
    --------
    >>> gelu([-1.0, 1.0]).data.round(6), gelu([-1.0, 1.0], approximate="tanh").data.round(6)
    (array([-0.158655,  0.841345]), array([-0.158808,  0.841192]))
    """
    choice("approximate", approximate, ("none", "tanh"))
    return apply("gelu", x, approximate=approximate)


def clip(x: Operand, low: float | None = None, high: float | None = None) -> Tensor:
    """
    Move what is outside an interval to its ends.

    Parameters
    ----------
    x : Tensor or array_like, shape (...)
        Values.
    low, high : float, optional
        The ends; one may be left out.

    Returns
    -------
    Tensor, shape (...)
        In the operand's type; the derivative is 0 outside the interval, and passes at its ends.

    Raises
    ------
    TypeError, ValueError
        If an end is no number, or there is none.

    Examples
    --------
    >>> x = Tensor([-2.0, 0.5, 1.0, 3.0], requires_grad=True)
    >>> clip(x, -1, 1).sum().backward()
    >>> clip(x, -1, 1).data, x.grad
    (array([-1. ,  0.5,  1. ,  1. ]), array([0., 1., 1., 0.]))
    """
    return apply("clip", x, **clip_ends(low, high))


def matmul(a: Operand, b: Operand) -> Tensor:
    """
    Multiply matrices, as NumPy's `@`.

    Parameters
    ----------
    a : Tensor or array_like, shape (..., M, K) or (K,)
        Left factors.
    b : Tensor or array_like, shape (..., K, N) or (K,)
        Right factors; the axes before the last two broadcast.


    Returns
    -------
    Tensor, shape (..., M, N), without M or N for a vector
        The products.

    Notes
    -----
    The order of a sum, and with it the last bits, is BLAS's: it depends on its number of
    threads.

    Examples
    --------
    >>> matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).data
    array([3., 7.])
    """
    return apply("matmul", a, b)
