"""
Optimizers: from gradients to new parameters, as torch.optim makes them.

::

    SGD      b = momentum b + g'                w -= lr b            g' = g + weight_decay w
    Adam     m += (1 - b1) (g - m)              w -= lr m^ / (sqrt(v^) + eps)
             v = b2 v + (1 - b2) g g            m^ = m / (1 - b1^t), v^ = v / (1 - b2^t)
    AdamW    w *= 1 - lr weight_decay, and then as Adam

Every operation is one of the parameters' own type (float32 rounded after each), in PyTorch's
order; the corrections of Adam are Python's floats and the count of steps is an integer.
PyTorch's vectorised kernels fuse some multiplications with the additions behind them and its
plain ones do not, so that its results depend on the processor; these are the plain ones.
Nothing is hidden: where a gradient is NaN or infinite, so are the parameters after the step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import integer, number, refuse, refuse_kind
from fp8num._kernels.blocks import BLOCK
from fp8num._kernels.state import float_arithmetic
from fp8num._text import brief
from fp8num.nn._parameters import check_like, gradient_norm, trainable
from fp8num.scaled.blocks import slabs

if TYPE_CHECKING:
    from fp8num.nn.tensor import Tensor

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "clip_norm"]

Array: TypeAlias = npt.NDArray[Any]
#: What a step does in place to a part of a parameter, of its gradient and of its moments.
_Rule: TypeAlias = Callable[..., None]


class Optimizer(ABC):
    """
    What all optimizers have: parameters by name, a rate, a step, a state.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        What is trained, float32 or float64; a step writes to their `data`.
    lr : float
        Learning rate, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not what it must be.
    """

    #: The arrays that are kept for each parameter.
    moments: tuple[str, ...] = ()

    def __init__(self, parameters: Mapping[str, Tensor], lr: float) -> None:
        self.parameters = trainable(parameters)
        self.lr = number("lr", lr, at_least=0)
        self._steps: dict[str, int] = {}
        self._arrays: dict[str, list[Array]] = {}

    @float_arithmetic
    def step(self, lr: float | None = None) -> None:
        """
        Move the parameters against their gradients.

        A parameter without a gradient stays as it is, and so does its state.

        Parameters
        ----------
        lr : float, optional
            Learning rate of this step; that of the optimizer.

        Raises
        ------
        TypeError, ValueError
            If the rate is out of range, or a gradient has not its parameter's type and
            shape; nothing has moved then.
        """
        rate = self.lr if lr is None else number("lr", lr, at_least=0)
        gradients = {
            name: check_like(f"gradient of {name!r}", parameter.grad, parameter.data)
            for name, parameter in self.parameters.items()
            if parameter.grad is not None
        }
        for name, grad in gradients.items():
            data = self.parameters[name].data
            count = self._steps.get(name, 0) + 1
            if count == 1:
                self._arrays[name] = [np.zeros(data.shape, data.dtype.type) for _ in self.moments]
            # Operations on 0-d arrays would give scalars, which cannot be written to.
            arrays = [np.atleast_1d(array) for array in (data, grad, *self._arrays[name])]
            # What overflows is infinite, and is seen.
            rule = self._rule(rate, count, data.dtype.type)
            for part in slabs(arrays[0].shape, BLOCK):
                rule(*(array[part] for array in arrays))
            self._steps[name] = count

    def state(self) -> dict[str, Array | int]:
        """
        Return copies of all that steps have left, to be kept in a checkpoint.

        Returns
        -------
        dict
            For each parameter that has moved, ``steps/NAME`` and its arrays, as
            ``momentum/NAME`` of SGD, ``first/NAME`` and ``second/NAME`` of Adam and AdamW.
        """
        state: dict[str, Array | int] = {}
        for name, count in self._steps.items():
            state[f"steps/{name}"] = count
            for moment, array in zip(self.moments, self._arrays[name], strict=True):
                state[f"{moment}/{name}"] = array.copy()
        return state

    def restore(self, state: Mapping[str, Array | int]) -> None:
        """
        Continue where another optimizer of the same kind and parameters was.

        Steps after it give the bits that they would have given there.

        Parameters
        ----------
        state : mapping
            What `state` returned.

        Raises
        ------
        TypeError, ValueError
            If it is the state of something else; nothing has changed then.
        """
        if not isinstance(state, Mapping):
            refuse_kind("state", "what state() returned", state)
        steps: dict[str, int] = {}
        arrays: dict[str, list[Array]] = {}
        known: set[str] = set()
        for name, parameter in self.parameters.items():
            keys = [f"{kind}/{name}" for kind in ("steps", *self.moments)]
            known.update(keys)
            present = [key in state for key in keys]
            if not any(present):
                continue
            if not all(present):
                missing = keys[present.index(False)]
                msg = f"state must have {missing!r} beside {keys[present.index(True)]!r}"
                raise ValueError(msg)
            steps[name] = integer(keys[0], state[keys[0]], 1)
            arrays[name] = [
                check_like(f"state's {key!r}", state[key], parameter.data).astype(
                    parameter.data.dtype.type  # a copy, in the machine's own byte order
                )
                for key in keys[1:]
            ]
        if unknown := sorted(set(state) - known, key=str):
            msg = (
                f"state must be of {type(self).__name__} and these parameters, "
                f"got {brief(unknown[0])}, which it does not have"
            )
            raise ValueError(msg)
        self._steps, self._arrays = steps, arrays

    @abstractmethod
    def _rule(self, lr: float, count: int, scalar: type[np.floating[Any]]) -> _Rule:
        """Return what a step does in place to a parameter, its gradient and its arrays."""


class SGD(Optimizer):
    """
    Stochastic gradient descent with momentum, in PyTorch's form.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        What is trained, float32 or float64.
    lr : float
        Learning rate, at least 0.
    momentum : float, optional
        Part of the last direction that is kept, at least 0.
    weight_decay : float, optional
        Multiple of the parameter that is added to its gradient, at least 0.
    nesterov : bool, optional
        Whether to look ahead; needs momentum.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not what it must be.

    Notes
    -----
    The rate multiplies the direction when it is applied, not when it enters the momentum
    as in the paper; the first direction is the first gradient.

    References
    ----------
    I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization
    and momentum in deep learning", ICML 2013; `torch.optim.SGD`.

    Examples
    --------
    >>> import numpy as np
    >>> from fp8num.nn.tensor import Tensor
    >>> w = Tensor(np.ones(2, np.float32), requires_grad=True)
    >>> optimizer = SGD({"w": w}, lr=0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     w.grad = np.array([1, -2], np.float32)
    ...     optimizer.step()
    >>> w.data.tolist()
    [-0.25, 3.5]
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,  # noqa: FBT001, FBT002 - as torch.optim.SGD
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum = number("momentum", momentum, at_least=0)
        self.weight_decay = number("weight_decay", weight_decay, at_least=0)
        if nesterov and not self.momentum:
            msg = "nesterov must be False without momentum, got True; momentum=0.9 is usual"
            raise ValueError(msg)
        self.nesterov = bool(nesterov)
        self.moments = ("momentum",) if self.momentum else ()

    def _rule(self, lr: float, count: int, scalar: type[np.floating[Any]]) -> _Rule:
        rate, keep, decay = scalar(-lr), scalar(self.momentum), scalar(self.weight_decay)

        def rule(data: Array, grad: Array, *moments: Array) -> None:
            direction = grad + data * decay if self.weight_decay else grad
            for buffer in moments:
                if count == 1:
                    buffer[...] = direction
                else:
                    np.multiply(buffer, keep, out=buffer)
                    np.add(buffer, direction, out=buffer)
                direction = direction + buffer * keep if self.nesterov else buffer
            np.add(data, direction * rate, out=data)

        return rule


class Adam(Optimizer):
    """
    Adam, as PyTorch computes it.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        What is trained, float32 or float64.
    lr : float
        Learning rate, at least 0.
    betas : tuple of float, optional
        Parts of the mean gradient and of the mean square that are kept, each at least 0
        and below 1.
    eps : float, optional
        What is added to the root of the mean square, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not what it must be.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", arXiv:1412.6980,
    algorithm 1; `torch.optim.Adam`.

    Examples
    --------
    The first step has the size of the rate, whatever the size of the gradient.

    >>> import numpy as np
    >>> from fp8num.nn.tensor import Tensor
    >>> w = Tensor(np.zeros(2, np.float32), requires_grad=True)
    >>> w.grad = np.array([3e-5, -70], np.float32)
    >>> Adam({"w": w}, lr=0.5, eps=0).step()
    >>> w.data.round(6).tolist()
    [-0.5, 0.5]
    """

    moments = ("first", "second")

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            refuse("betas", "two numbers", betas, kind=TypeError)
        first, second = (number("betas", beta, at_least=0, below=1) for beta in betas)
        self.betas = first, second
        self.eps = number("eps", eps, at_least=0)
        self.weight_decay = 0.0

    def _rule(self, lr: float, count: int, scalar: type[np.floating[Any]]) -> _Rule:
        first, second = self.betas
        size = lr / (1 - first**count)
        root = scalar((1 - second**count) ** 0.5)
        step, eps, decay = scalar(-size), scalar(self.eps), scalar(1 - lr * self.weight_decay)
        new, keep_square, new_square = scalar(1 - first), scalar(second), scalar(1 - second)

        def rule(data: Array, grad: Array, mean: Array, square: Array) -> None:
            if self.weight_decay:
                np.multiply(data, decay, out=data)
            # 1. The means.  Of two numbers, PyTorch's `lerp` starts from the nearer one.
            work = grad - mean
            if new < 0.5:
                np.multiply(work, new, out=work)
                np.add(mean, work, out=mean)
            else:
                np.multiply(work, scalar(1) - new, out=work)
                np.subtract(grad, work, out=mean)
            np.multiply(square, keep_square, out=square)
            np.multiply(grad, new_square, out=work)
            np.multiply(work, grad, out=work)
            np.add(square, work, out=square)
            # 2. The step: size * mean / (sqrt(square) / root + eps), from the left.
            np.sqrt(square, out=work)
            np.divide(work, root, out=work)
            np.add(work, eps, out=work)
            np.divide(mean * step, work, out=work)
            np.add(data, work, out=data)

        return rule


class AdamW(Adam):
    """
    Adam with decoupled weight decay, as PyTorch computes it.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        What is trained, float32 or float64.
    lr : float
        Learning rate, at least 0.
    betas : tuple of float, optional
        Parts of the mean gradient and of the mean square that are kept, each at least 0
        and below 1.
    eps : float, optional
        What is added to the root of the mean square, at least 0.
    weight_decay : float, optional
        Times the rate, the part of a parameter that is taken away before a step; at least 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not what it must be.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization",
    arXiv:1711.05101, algorithm 2, its schedule multiplier being the rate;
    `torch.optim.AdamW`.

    Examples
    --------
    >>> import numpy as np
    >>> from fp8num.nn.tensor import Tensor
    >>> w = Tensor(np.full(1, 8, np.float32), requires_grad=True)
    >>> w.grad = np.zeros(1, np.float32)
    >>> AdamW({"w": w}, lr=0.5, weight_decay=0.5).step()
    >>> w.data.tolist()
    [6.0]
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps)
        self.weight_decay = number("weight_decay", weight_decay, at_least=0)


@float_arithmetic
def clip_norm(parameters: Mapping[str, Tensor], limit: float) -> float:
    """
    Shorten all gradients together, if their norm is above a limit.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Those without a gradient do not count.
    limit : float
        Largest Euclidean norm of all gradients as one vector, above 0.

    Returns
    -------
    float
        The norm before; NaN or infinite if a gradient is.

    Raises
    ------
    TypeError, ValueError
        If a parameter or the limit is not what it must be.

    Notes
    -----
    The norm is summed in float64, in one order whatever the strides.  Gradients are
    multiplied by ``limit / (norm + 1e-6)`` in their own type where that is below 1, as
    `torch.nn.utils.clip_grad_norm_` does, and are untouched otherwise.  With an infinite
    norm that makes infinite elements NaN and the others 0; with NaN, all become NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fp8num.nn.tensor import Tensor
    >>> w = Tensor(np.zeros(2, np.float32), requires_grad=True)
    >>> w.grad = np.array([30, 40], np.float32)
    >>> clip_norm({"w": w}, 5.0)
    50.0
    >>> w.grad.round(3).tolist()
    [3.0, 4.0]
    """
    limit = number("limit", limit, above=0)
    found: list[tuple[Tensor, Array]] = []
    for name, parameter in trainable(parameters).items():
        if (grad := parameter.grad) is not None:
            check_like(f"gradient of {name!r}", grad, parameter.data)
            found.append((parameter, grad))
    norm = gradient_norm(parameter for parameter, _ in found)
    coefficient = limit / (norm + 1e-6)
    if not coefficient >= 1:  # NaN too
        for parameter, grad in found:
            # Not in place: gradients of two parameters may be one array.
            parameter.grad = np.asarray(grad * grad.dtype.type(coefficient))
    return norm
