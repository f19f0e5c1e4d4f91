"""
Tensors that remember how they were made, and the pass that goes back over it.

::

    x, w (leaves) --matmul--> . --relu--> . --sum--> loss        each node: value, inputs, vjp
    x.grad, w.grad <--vjp---- . <--vjp--- . <--vjp-- loss.backward()

A node refers to its inputs and never to what is made of it, so there are no cycles: a graph
is gone as soon as its last result is.  A pass does not use the graph up: a second one adds
the same gradients again.  Derivatives are arrays, and so not differentiable in their turn.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.nn.primitives import RULES
from fp8num.nn.reverse import leaf_derivatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Tensor", "apply", "as_tensors", "no_grad", "record"]

Array = npt.NDArray[Any]

_RECORDING = ContextVar("fp8num.nn recording", default=True)


class Tensor:
    """
    An array, and if it was computed from others, how its derivative reaches them.

    Parameters
    ----------
    data : array_like of float32 or float64, shape (...)
        Shared, not copied, if it is a C-contiguous array of the machine's byte order; any
        other is copied to one, so that results do not depend on strides.  Whoever writes to
        it while a graph holds it changes the derivatives of that graph.
    requires_grad : bool, optional
        Whether `backward` is to leave a gradient here.
    name : str, optional
        For messages; results bear the name of their operation.

    Attributes
    ----------
    grad : ndarray or None
        Sum of what each `backward` found, for a leaf that requires it: of the data's shape
        and type.
    inputs : tuple of Tensor
        What it was computed from; none for a leaf.
    vjp : callable or None
        Takes the loss's derivative by this tensor to the derivatives by `inputs`.

    Raises
    ------
    TypeError
        If the data are neither float32 nor float64.

    Examples
    --------
    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> float(y.data), x.grad
    (5.0, array([2., 4.]))
    """

    __slots__ = ("__weakref__", "data", "grad", "inputs", "name", "requires_grad", "vjp")
    #: So that `array * tensor` asks the tensor, and `np.exp(tensor)` is refused.
    __array_ufunc__ = None
    #: Python would try 0, 1, 2 ... as indices, and take a scalar for an empty sequence.
    __iter__ = None

    def __init__(
        self,
        data: npt.ArrayLike,
        requires_grad: bool = False,  # noqa: FBT001, FBT002 - as everywhere else
        name: str = "",
    ) -> None:
        self.data = _float_array("data", data)
        self.requires_grad = bool(requires_grad)
        self.name = name
        self.grad: Array | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self.vjp: Callable[[Array], Sequence[Array | None]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Either float32 or float64."""
        return self.data.dtype

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The axes in the opposite order."""
        return self.transpose()

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        return f"Tensor({self.data!r}, requires_grad={self.requires_grad}{name})"

    def item(self) -> float:
        """Return the only element as a float."""
        return float(self.data.item())

    def detach(self) -> Tensor:
        """Return a leaf with the same array, through which no derivative passes."""
        return Tensor(self.data, name=self.name)

    def zero_grad(self) -> None:
        """Forget the gradient: `grad` is None again."""
        self.grad = None

    def backward(self, grad: npt.ArrayLike | None = None) -> None:
        """
        Add this tensor's derivative by each leaf that it depends on to the leaf's `grad`.

        Parameters
        ----------
        grad : array_like, optional
            The loss's derivative by this tensor, of its shape; 1 if this is the loss, which
            then has one element.

        Raises
        ------
        ValueError
            If nothing here requires a gradient, if `grad` is missing or has another shape,
            or if a rule made by hand gives derivatives of a wrong shape.
        TypeError
            If `grad` or a derivative is of another type.  Whatever the error, every leaf's
            `grad` is left as it was.
        """
        if not self.requires_grad:
            msg = (
                f"backward() must start from a tensor that requires a gradient, got {self._title}; "
                "make its parameters with requires_grad=True, and outside no_grad()"
            )
            raise ValueError(msg)
        for leaf, gradient in leaf_derivatives(self, self._seed(grad)):
            if leaf.grad is None:
                leaf.grad = np.array(gradient)  # a copy: rules may hand on what they were given
            else:
                leaf.grad += gradient

    @property
    def _title(self) -> str:
        """What to call the tensor in a message."""
        return f"{self.name or 'a tensor'} of shape {self.shape}"

    def _seed(self, grad: npt.ArrayLike | None) -> Array:
        """Return what a backward pass starts from."""
        if grad is None:
            if self.data.size != 1:
                msg = (
                    f"grad must be given unless the tensor has one element, got {self._title}; "
                    "call backward() on a loss, or pass the loss's derivative by this tensor"
                )
                raise ValueError(msg)
            return np.ones_like(self.data)
        weak = np.ndim(grad) == 0
        seed = np.asarray(grad, self.dtype) if weak else _float_array("grad", grad)
        if seed.shape != self.shape or seed.dtype != self.dtype:
            msg = (
                f"grad must be of shape {self.shape} and {self.dtype} like the tensor, got "
                f"{seed.dtype} of shape {seed.shape}"
            )
            raise (ValueError if seed.shape != self.shape else TypeError)(msg)
        return seed

    def __add__(self, other: Operand) -> Tensor:
        return apply("add", self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return apply("add", other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return apply("subtract", self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return apply("subtract", other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return apply("multiply", self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return apply("multiply", other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return apply("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return apply("divide", other, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return apply("matmul", self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return apply("matmul", other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return apply("power", self, other)

    def __rpow__(self, other: Operand) -> Tensor:
        return apply("power", other, self)

    def __neg__(self) -> Tensor:
        return apply("negative", self)

    def __getitem__(self, key: Any) -> Tensor:  # noqa: ANN401 - whatever NumPy indexes by
        return apply("index", self, key=key)

    def sum(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Sum elements, as `fp8num.nn.rules.sum`."""
        return apply("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Average elements, as `fp8num.nn.rules.mean`."""
        return apply("mean", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Find the largest element, as `fp8num.nn.rules.max`."""
        return apply("max", self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """Arrange the elements in another shape, given as one tuple or as integers."""
        only = shape[0] if len(shape) == 1 else shape
        return apply("reshape", self, shape=only)

    def transpose(self, *axes: int) -> Tensor:
        """Reorder the axes, by default to the opposite order."""
        return apply("transpose", self, axes=axes or None)


Operand = Tensor | npt.ArrayLike
Axis = int | tuple[int, ...] | None


def _float_array(argument: str, x: npt.ArrayLike) -> Array:
    """Return float32 or float64 in the machine's byte order and C order, without need no copy."""
    array = np.asarray(x)
    if array.dtype.kind != "f" or array.dtype.itemsize not in {4, 8}:
        kind = "a Tensor" if isinstance(x, Tensor) else f"{array.dtype} of shape {array.shape}"
        msg = (
            f"{argument} must be float32 or float64, which gradients are taken in, got {kind}; "
            + (".detach() gives its values" if isinstance(x, Tensor) else "convert it: ")
            + ("" if isinstance(x, Tensor) else f"{argument}.astype(np.float32)")
        )
        raise TypeError(msg)
    return np.asarray(array, np.float32 if array.dtype.itemsize == 4 else np.float64, order="C")


def record(
    value: npt.ArrayLike,
    inputs: Sequence[Tensor],
    vjp: Callable[[Array], Sequence[Array | None]],
    name: str = "",
) -> Tensor:
    """
    Make a tensor with a derivative of one's own.

    Parameters
    ----------
    value : array_like of float32 or float64, shape (...)
        The result.
    inputs : sequence of Tensor
        What it was computed from.
    vjp : callable
        Takes the loss's derivative by the result, in its shape and type, which it must not
        write to; returns the derivative by each input, in that input's shape and type, or
        None for no derivative.  It should refer to arrays and not to the result's tensor, or
        the graph becomes a cycle that lives until the garbage collector comes.
    name : str, optional
        For messages.

    Returns
    -------
    Tensor
        A leaf without gradient if no input requires one, or within `no_grad`.

    Raises
    ------
    TypeError
        If an input is no Tensor, or the value is neither float32 nor float64.

    Examples
    --------
    A straight-through estimator: rounded forward, the identity backward.

    >>> x = Tensor([0.3, 1.6], requires_grad=True)
    >>> y = record(np.rint(x.data), [x], lambda gradient: [gradient], "rounded")
    >>> (y * y).sum().backward()
    >>> x.grad
    array([0., 4.])
    """
    for position, source in enumerate(inputs):
        if not isinstance(source, Tensor):
            msg = (
                f"inputs must be Tensors, got {type(source).__name__} as input {position}; "
                "leave constants out, or wrap them: Tensor(x)"
            )
            raise TypeError(msg)
    result = Tensor(value, name=name)
    if _RECORDING.get() and any(source.requires_grad for source in inputs):
        result.requires_grad = True
        result.inputs = tuple(inputs)
        result.vjp = vjp
    return result


def apply(name: str, *operands: Operand, **options: object) -> Tensor:
    """
    Apply a rule of the table to tensors, arrays and numbers.

    Parameters
    ----------
    name : str
        The operation, a key of `RULES`.
    *operands : Tensor, array_like or number
        One type, float32 or float64, for tensors and floating-point arrays; numbers, and
        arrays of integers and booleans, take that type.
    **options : object
        What else the operation needs.

    Returns
    -------
    Tensor
        Of the operands' type.

    Raises
    ------
    TypeError
        If types are mixed, or are none that gradients are taken in.
    ValueError, IndexError
        If shapes do not fit each other or the options.

    Notes
    -----
    Overflow, division by zero and invalid operations give infinities and NaN, without a
    warning.

    Examples
    --------
    >>> apply("multiply", Tensor([1.0, 2.0]), 3).data
    array([3., 6.])
    """
    rule = RULES[name]
    inputs = as_tensors(name, operands)
    arrays = [source.data for source in inputs]
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(rule.forward(*arrays, **options))
    except (TypeError, ValueError, IndexError) as error:
        raise _refusal(name, arrays, options, error) from error
    needed = [source.requires_grad for source in inputs]

    def vjp(gradient: Array) -> list[Array | None]:
        parts = rule.vjp(gradient, value, arrays, options, needed)
        return [
            None if part is None else _unbroadcast(np.asarray(part), array.shape)
            for part, array in zip(parts, arrays, strict=True)
        ]

    return record(value, inputs, vjp, name)


def as_tensors(name: str, operands: Sequence[Operand]) -> list[Tensor]:
    """
    Return an operation's operands as tensors of one type.

    Parameters
    ----------
    name : str
        The operation, for messages.
    operands : sequence of (Tensor, array_like or number)
        As for `apply`.

    Returns
    -------
    list of Tensor
        Tensors as they are, constants without gradient.

    Raises
    ------
    TypeError
        If types are mixed, or are none that gradients are taken in.
    """
    arrays = [None if isinstance(x, Tensor) else np.asarray(x) for x in operands]
    strong = {x.dtype for x in operands if isinstance(x, Tensor)}
    strong |= {x.dtype for x in arrays if x is not None and x.ndim and x.dtype.kind not in "iub"}
    types = sorted({np.dtype(one.newbyteorder("=")).name for one in strong})
    if len(types) > 1 or not set(types) <= {"float32", "float64"}:
        msg = (
            f"{name} must be given operands of one type, float32 or float64, got "
            f"{' and '.join(types)}; convert them: x.astype(np.float32)"
        )
        raise TypeError(msg)
    dtype = np.dtype(types[0] if types else np.float64)
    found = []
    for operand, array in zip(operands, arrays, strict=True):
        if isinstance(operand, Tensor):
            found.append(operand)
            continue
        assert array is not None
        if array.dtype.kind not in "fiub":
            msg = f"{name} must be given numbers, got {array.dtype} of shape {array.shape}"
            raise TypeError(msg)
        with np.errstate(over="ignore"):
            found.append(Tensor(array.astype(dtype)))
    return found


def _refusal(
    name: str, arrays: Sequence[Array], options: dict[str, object], error: Exception
) -> Exception:
    """Return the error that says what did not fit, of the kind that NumPy raised."""
    kind = next(one for one in (ValueError, IndexError, TypeError) if isinstance(error, one))
    shapes = " and ".join(str(array.shape) for array in arrays) or "no operands"
    given = "".join(f", {key}={value!r:.60}" for key, value in options.items())
    return kind(f"{name} must be given shapes that fit, got {shapes}{given}: {error}")


def _unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a derivative over the axes that its operand was repeated along."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    axes = [axis for axis, length in enumerate(shape, extra) if length == 1]
    total: Array = np.sum(gradient, axis=(*range(extra), *axes), keepdims=True)
    return total.reshape(shape)


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
