"""
Tensors: arrays that remember how they were made, and all that can be done with them.

::

    x, w (leaves) --matmul--> . --relu--> . --sum--> loss        each node: value, inputs, vjp
    x.grad, w.grad <--vjp---- . <--vjp--- . <--vjp-- loss.backward()

A node refers to its inputs and never to what is made of it, so there are no cycles: a graph
is gone as soon as its last result is.  A pass does not use the graph up: a second one adds
the same gradients again.  Derivatives are arrays, and so not differentiable in their turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, flag, refuse_kind, text
from fp8num._kernels.state import float_arithmetic
from fp8num.nn._arrays import float_array, unbroadcast
from fp8num.nn._refusals import check_arguments, find_rule, refusal
from fp8num.nn.primitives import clip_ends
from fp8num.nn.tape import is_recording, leaf_derivatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Axis", "Operand", "Tensor", "apply", "as_axes", "as_tensors", "record"]

Array = npt.NDArray[Any]
Axis: TypeAlias = "int | Sequence[int] | None"
Booleans: TypeAlias = npt.NDArray[np.bool_]


def as_axes(axis: Axis) -> Axis:
    """Return axes as NumPy takes them: a list as a tuple."""
    return tuple(axis) if isinstance(axis, list) else axis


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
        If the data are neither float32 nor float64, or a masked array; if
        `requires_grad` is no boolean or `name` no text.

    Notes
    -----
    Comparisons give arrays of booleans, and no derivative passes through them; tensors are
    hashed by identity.  A tensor is neither a condition nor an array, and a leaf that
    requires a gradient is not changed in place: `data` is for all of that.

    Examples
    --------
    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> float(y.data), x.grad
    (5.0, array([2., 4.]))
    """

    __slots__ = ("__weakref__", "data", "grad", "inputs", "name", "requires_grad", "vjp")
    #: So that `array * tensor` asks the tensor.  Without `__array_ufunc__`, which would do that
    #: as well, `np.exp(tensor)` is refused by `__array__`, and so in our own words.
    __array_priority__ = 1000.0

    def __init__(
        self,
        data: npt.ArrayLike,
        requires_grad: bool = False,  # noqa: FBT001, FBT002 - as everywhere else
        name: str = "",
    ) -> None:
        if isinstance(data, Tensor):
            msg = "data must be an array, got a Tensor; .detach() gives another of its array"
            raise TypeError(msg)
        self.requires_grad = flag("requires_grad", requires_grad)
        self.name = text("name", name)
        self.data = float_array("data", data)
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

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        return f"Tensor({self.data!r}, requires_grad={self.requires_grad}{name})"

    def __deepcopy__(self, memo: object) -> Tensor:
        if self.vjp is not None:
            msg = (
                f"a tensor that was computed must not be copied with what it was computed from, "
                f"got {self._title}; copy detach()ed ones, or leaves"
            )
            raise TypeError(msg)
        found = Tensor(self.data.copy(), self.requires_grad, self.name)
        found.grad = None if self.grad is None else self.grad.copy()
        return found

    def detach(self) -> Tensor:
        """Return a leaf with the same array, through which no derivative passes."""
        return Tensor(self.data, name=self.name)

    def zero_grad(self) -> None:
        """Forget the gradient: `grad` is None again."""
        self.grad = None

    @float_arithmetic
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
        if isinstance(grad, Tensor):
            msg = f"grad must be an array, got a Tensor of shape {grad.shape}; its array is .data"
            raise TypeError(msg)
        weak = np.ndim(grad) == 0
        seed = np.asarray(grad, self.dtype) if weak else float_array("grad", grad)
        if seed.shape != self.shape or seed.dtype != self.dtype:
            msg = (
                f"grad must be of shape {self.shape} and {self.dtype} like the tensor, got "
                f"{seed.dtype} of shape {seed.shape}"
            )
            raise (ValueError if seed.shape != self.shape else TypeError)(msg)
        return seed

    @property
    def _is_parameter(self) -> bool:
        return self.requires_grad and self.vjp is None

    # Arithmetic.

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

    def _in_place(self, _other: Operand) -> Any:  # noqa: ANN401 - what Python asks for
        """Leave `a += b` to `a = a + b`, unless that would lose a parameter."""
        if self._is_parameter:
            msg = (
                f"a leaf that requires a gradient must not be changed in place, got {self._title}: "
                "the name would be another tensor's, and the leaf as it was; write to its "
                "array, as in w.data -= step"
            )
            raise TypeError(msg)
        return NotImplemented

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __imatmul__ = __ipow__ = _in_place

    # Comparisons: of values, and nothing to differentiate.

    def _compared(self, other: object, compare: Callable[..., Booleans]) -> Booleans:
        """Compare the elements with those of another tensor or array, or with a number."""
        array = other.data if isinstance(other, Tensor) else as_array(other, "an operand")
        if array.dtype.kind not in "fiub":
            # Python asks the other operand, then compares identity.
            return cast("Booleans", NotImplemented)
        with np.errstate(all="ignore"):
            # A number takes the tensor's type, as in arithmetic.
            other = array if array.ndim else array.astype(self.data.dtype)
            found: Booleans = np.asarray(compare(self.data, other))
        return found

    def __eq__(self, other: object) -> Booleans:  # type: ignore[override]  # elementwise, as NumPy's
        return self._compared(other, np.equal)

    def __ne__(self, other: object) -> Booleans:  # type: ignore[override]  # as above
        return self._compared(other, np.not_equal)

    def __lt__(self, other: object) -> Booleans:
        return self._compared(other, np.less)

    def __le__(self, other: object) -> Booleans:
        return self._compared(other, np.less_equal)

    def __gt__(self, other: object) -> Booleans:
        return self._compared(other, np.greater)

    def __ge__(self, other: object) -> Booleans:
        return self._compared(other, np.greater_equal)

    #: By identity: graphs are kept in dictionaries, where equal values are not the same node.
    __hash__ = object.__hash__

    # Conversions.

    def __bool__(self) -> NoReturn:
        msg = (
            f"a tensor must not be used as a condition, got {self._title}; compare it, as in "
            "loss < 1, or ask its array: x.data.any()"
        )
        raise TypeError(msg)

    def __array__(self, dtype: object = None, copy: object = None) -> NoReturn:
        msg = (
            f"a tensor must not be made an array in silence, got {self._title}; functions of "
            "fp8num.nn take tensors, nn.exp(x) in place of np.exp(x), stack() and concatenate() "
            "join them; x.data is the array, which carries no derivative"
        )
        raise TypeError(msg)

    def __float__(self) -> float:
        return self.item()

    def __int__(self) -> int:
        return int(self.item())

    def item(self) -> float:
        """Return the only element as a float."""
        if self.data.size != 1:
            msg = f"item() must be asked of one element, got {self._title}"
            raise ValueError(msg)
        return float(self.data.item())

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    def __len__(self) -> int:
        if not self.data.ndim:
            msg = f"a tensor must have an axis for len() and loops, got {self._title}"
            raise TypeError(msg)
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return map(self.__getitem__, range(len(self)))

    # Elements, reductions and shapes.

    def __getitem__(self, key: Any) -> Tensor:  # noqa: ANN401 - whatever NumPy indexes by
        return apply("index", self, key=key)

    # Options may be given by position, as in PyTorch.

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Sum elements, as `fp8num.nn.sum`."""
        return apply("sum", self, axis=as_axes(axis), keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Average elements, as `fp8num.nn.mean`."""
        return apply("mean", self, axis=as_axes(axis), keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Find the largest element, as `fp8num.nn.max`."""
        return apply("max", self, axis=as_axes(axis), keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Find the smallest element, as `fp8num.nn.min`."""
        return apply("min", self, axis=as_axes(axis), keepdims=keepdims)

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Return the logarithm of the sum of exponentials, as `fp8num.nn.logsumexp`."""
        return apply("logsumexp", self, axis=as_axes(axis), keepdims=keepdims)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """Arrange the elements in another shape, given as one tuple or as integers."""
        only = shape[0] if len(shape) == 1 else shape
        return apply("reshape", self, shape=only)

    def transpose(self, *axes: int | tuple[int, ...]) -> Tensor:
        """Reorder the axes, given as one tuple or as integers; by default to the opposite order."""
        only = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes
        return apply("transpose", self, axes=only or None)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The axes in the opposite order."""
        return self.transpose()

    def flatten(self) -> Tensor:
        """Arrange the elements in one axis."""
        return apply("reshape", self, shape=-1)

    # Functions of one operand, by their names in `fp8num.nn`.

    def __abs__(self) -> Tensor:
        return apply("abs", self)

    def abs(self) -> Tensor:
        """Return magnitudes, as `fp8num.nn.abs`."""
        return apply("abs", self)

    def exp(self) -> Tensor:
        """Return e to the power x, as `fp8num.nn.exp`."""
        return apply("exp", self)

    def log(self) -> Tensor:
        """Return natural logarithms, as `fp8num.nn.log`."""
        return apply("log", self)

    def sqrt(self) -> Tensor:
        """Return square roots, as `fp8num.nn.sqrt`."""
        return apply("sqrt", self)

    def tanh(self) -> Tensor:
        """Return hyperbolic tangents, as `fp8num.nn.tanh`."""
        return apply("tanh", self)

    def sigmoid(self) -> Tensor:
        """Return 1 / (1 + e^-x), as `fp8num.nn.sigmoid`."""
        return apply("sigmoid", self)

    def relu(self) -> Tensor:
        """Return x where it is positive, else 0, as `fp8num.nn.relu`."""
        return apply("relu", self)

    def softmax(self, axis: int = -1) -> Tensor:
        """Return exponentials divided by their sum, as `fp8num.nn.softmax`."""
        return apply("softmax", self, axis=axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        """Return the logarithm of the softmax, as `fp8num.nn.log_softmax`."""
        return apply("log_softmax", self, axis=axis)

    def clip(self, low: float | None = None, high: float | None = None) -> Tensor:
        """Move what is outside an interval to its ends, as `fp8num.nn.clip`."""
        return apply("clip", self, **clip_ends(low, high))


Operand = Tensor | npt.ArrayLike


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
            advice = "leave constants out, or wrap them: Tensor(x)"
            refuse_kind(f"input {position} of inputs", "a Tensor", source, advice)
    result = Tensor(value, name=name)
    if is_recording() and any(source.requires_grad for source in inputs):
        result.requires_grad = True
        result.inputs = tuple(inputs)
        result.vjp = vjp
    return result


@float_arithmetic
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
        If types are mixed, or are none that gradients are taken in; if there are more
        operands or other options than the rule has.
    ValueError, IndexError
        If there is no such rule, or shapes do not fit each other or the options.

    Notes
    -----
    Overflow, division by zero and invalid operations give infinities and NaN, without a
    warning.

    Examples
    --------
    >>> apply("multiply", Tensor([1.0, 2.0]), 3).data
    array([3., 6.])
    """
    rule = find_rule(name)
    check_arguments(name, operands, options)
    inputs = as_tensors(name, operands)
    arrays = [source.data for source in inputs]
    try:
        value = np.asarray(rule.forward(*arrays, **options))
    except (TypeError, ValueError, IndexError) as error:
        raise refusal(name, arrays, options, error) from error
    needed = [source.requires_grad for source in inputs]

    def vjp(gradient: Array) -> list[Array | None]:
        parts = rule.vjp(gradient, value, arrays, options, needed)
        return [
            None if part is None else unbroadcast(np.asarray(part), array.shape)
            for part, array in zip(parts, arrays, strict=True)
        ]

    return record(value, inputs, vjp, name)


def as_tensors(name: str, operands: Sequence[Operand]) -> list[Tensor]:
    """Return an operation's operands as tensors of one type."""
    arrays = [
        None if isinstance(x, Tensor) else as_array(x, f"an operand of {name}") for x in operands
    ]
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
