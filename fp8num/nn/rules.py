"""
The functions that a graph is made of, one for each rule of the table.

::

    one operand    negative exp log sqrt tanh sigmoid relu silu gelu
    two            add subtract multiply divide power matmul where
    reductions     sum mean max logsumexp
    moves          reshape transpose index concatenate

Each takes tensors, arrays and numbers, and gives a tensor; operators of a tensor are the
same rules: ``a @ b`` is ``matmul(a, b)``.  `RULES` is the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from fp8num.nn.primitives import RULES, Primitive
from fp8num.nn.tape import Axis, Operand, Tensor, apply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "RULES",
    "Primitive",
    "add",
    "concatenate",
    "divide",
    "exp",
    "gelu",
    "index",
    "log",
    "logsumexp",
    "matmul",
    "max",
    "mean",
    "multiply",
    "negative",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "silu",
    "sqrt",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "where",
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

    def __call__(self, x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Tensor: ...


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

    def function(x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        return apply(name, x, axis=axis, keepdims=keepdims)

    operands = """x : Tensor or array_like, shape (...)
        The operand.
    axis : int or tuple of int, optional
        The axes to go; the default is all.
    keepdims : bool, optional
        Whether they stay, at length 1."""
    return _documented(function, name, _TEXT.format(summary, operands, "shape (...)", note))


def _documented(function: _Function, name: str, text: str) -> _Function:
    """Give a function its name and its docstring."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


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

sum = _reduction("sum", "Sum elements.")  # noqa: A001 - NumPy's name
mean = _reduction("mean", "Average elements.", "The mean of no elements is NaN.")
max = _reduction(  # noqa: A001 - NumPy's name
    "max", "Find the largest.", "Equals share its derivative evenly, as in torch.amax."
)
logsumexp = _reduction(
    "logsumexp",
    "Return the logarithm of the sum of exponentials.",
    "Nothing overflows; the derivative is the softmax.",
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
    if approximate not in {"none", "tanh"}:
        msg = f"approximate must be 'none' or 'tanh', got {approximate!r}"
        raise ValueError(msg)
    return apply("gelu", x, approximate=approximate)


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
    mask = np.asarray(condition)
    if mask.dtype != np.bool_:
        msg = (
            f"condition must be boolean, got {mask.dtype} of shape {mask.shape}; "
            "compare the arrays of tensors: x.data > 0"
        )
        raise TypeError(msg)
    return apply("where", a, b, condition=mask)
