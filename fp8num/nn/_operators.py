"""
What a tensor can do, as operators and methods.

::

    a + b    a.sum()    a[key]    rules of the table, remembered for the derivative
    a == b   a < b                arrays of booleans, element by element; they have none
    bool(a)  np.asarray(a)        refused: what was computed would be forgotten in silence
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fp8num.nn.tape import Operand, Tensor

__all__ = ["Operators", "as_axes"]

Axis: TypeAlias = "int | Sequence[int] | None"
Booleans: TypeAlias = npt.NDArray[np.bool_]


def as_axes(axis: Axis) -> Axis:
    """Return axes as NumPy takes them: a list as a tuple."""
    return tuple(axis) if isinstance(axis, list) else axis


class Operators:
    """The operators of `Tensor`, which brings an array, `apply` and a title for messages."""

    __slots__ = ()
    #: So that `array * tensor` asks the tensor.  Without `__array_ufunc__`, which would do that
    #: as well, `np.exp(tensor)` is refused by `__array__`, and so in our own words.
    __array_priority__ = 1000.0

    data: npt.NDArray[Any]

    def _apply(self, name: str, *operands: object, **options: object) -> Tensor:
        """Apply a rule."""
        raise NotImplementedError

    @property
    def _title(self) -> str:
        """What to call the tensor in a message."""
        raise NotImplementedError

    @property
    def _is_parameter(self) -> bool:
        """Whether gradients are left here."""
        raise NotImplementedError

    # Arithmetic.

    def __add__(self, other: Operand) -> Tensor:
        return self._apply("add", self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return self._apply("add", other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return self._apply("subtract", self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return self._apply("subtract", other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return self._apply("multiply", self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return self._apply("multiply", other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return self._apply("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return self._apply("divide", other, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return self._apply("matmul", self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return self._apply("matmul", other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return self._apply("power", self, other)

    def __rpow__(self, other: Operand) -> Tensor:
        return self._apply("power", other, self)

    def __neg__(self) -> Tensor:
        return self._apply("negative", self)

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
        array = other.data if isinstance(other, Operators) else as_array(other, "an operand")
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
        return self._apply("index", self, key=key)

    # Options may be given by position, as in PyTorch.

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Sum elements, as `fp8num.nn.sum`."""
        return self._apply("sum", self, axis=as_axes(axis), keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Average elements, as `fp8num.nn.mean`."""
        return self._apply("mean", self, axis=as_axes(axis), keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Find the largest element, as `fp8num.nn.max`."""
        return self._apply("max", self, axis=as_axes(axis), keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Find the smallest element, as `fp8num.nn.min`."""
        return self._apply("min", self, axis=as_axes(axis), keepdims=keepdims)

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - as PyTorch's
        """Return the logarithm of the sum of exponentials, as `fp8num.nn.logsumexp`."""
        return self._apply("logsumexp", self, axis=as_axes(axis), keepdims=keepdims)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """Arrange the elements in another shape, given as one tuple or as integers."""
        only = shape[0] if len(shape) == 1 else shape
        return self._apply("reshape", self, shape=only)

    def transpose(self, *axes: int | tuple[int, ...]) -> Tensor:
        """Reorder the axes, given as one tuple or as integers; by default to the opposite order."""
        only = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes
        return self._apply("transpose", self, axes=only or None)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The axes in the opposite order."""
        return self.transpose()

    def flatten(self) -> Tensor:
        """Arrange the elements in one axis."""
        return self._apply("reshape", self, shape=-1)
