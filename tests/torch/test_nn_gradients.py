"""Every rule's values and derivatives, and a whole net's, against PyTorch's."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num import nn
from fp8num.nn import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

RNG = np.random.default_rng(7)
M, P, Q = RNG.standard_normal((3, 4)), *(RNG.random((2, 3, 4)) + 0.3)
#: With zeros of both signs, ties, and what is not finite.
ODD = np.array([[0.0, -0.0, 1.0, 1.0], [-3.0, 2.0, 2.0, 2.0], [np.inf, -np.inf, np.nan, 5.0]])
ROW, COLUMN = P[0], Q[:, :1]
DEEP, WIDE, STACK = (RNG.standard_normal(shape) for shape in ((2, 3, 4), (4, 5), (2, 4, 5)))
MASK = M > 0
LABELS = np.array([3, 0, 2])


def reduced(name: str, axis: Any, *, keepdims: bool) -> Any:
    """Return a reduction of PyTorch under NumPy's convention."""

    def function(x: Any) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        call = {"max": torch.amax, "min": torch.amin, "sum": torch.sum, "mean": torch.mean}.get(
            name, torch.logsumexp
        )
        return call(x, dim=axes, keepdim=keepdims)

    return function


def unary(name: str, torch_name: str = "") -> Any:
    """Return ours and PyTorch's function of one tensor."""
    return (
        name,
        getattr(nn, name),
        getattr(torch, torch_name or name),
        [[M], [P], [ODD]],
    )


def binary(name: str, torch_name: str = "") -> Any:
    """Return ours and PyTorch's function of two tensors that broadcast."""
    corner = np.array([[0.0], [1.0], [2.0], [-1.0], [0.5]])
    arrays = [[P, Q], [P, M], [ROW, COLUMN], [DEEP, ROW], [corner, corner.T]]
    return (
        name,
        getattr(nn, name),
        getattr(torch, torch_name or name),
        arrays,
    )


def bent(x: Any, f: Any) -> Any:
    """Return a graph in which values are used many times, of either library."""
    return f.exp(x) * x + f.tanh(x) / (x * x + 1) - x * x * x


#: Rule, ours, PyTorch's, and the operands to try.
CASES: list[tuple[str, Any, Any, list[list[Any]]]] = [
    *(binary(name) for name in ("add", "subtract", "multiply", "divide")),
    binary("power", "pow"),
    unary("negative"),
    *(binary(name) for name in ("minimum", "maximum")),
    *(unary(name) for name in ("abs", "exp", "log", "sqrt", "tanh", "sigmoid", "relu")),
    ("silu", nn.silu, torch.nn.functional.silu, [[M], [9 * P], [ODD]]),
    # In float32, PyTorch's vectorised gelu of infinity is NaN.
    ("gelu", nn.gelu, torch.nn.functional.gelu, [[M], [9 * M], [ODD[:2]]]),
    ("gelu", lambda x: nn.gelu(x, approximate="tanh"), lambda x: torch.nn.functional.gelu(x, approximate="tanh"), [[M], [3 * M], [ODD[:2]]]),  # noqa: E501 - a table's line
    *((name, lambda x, n=name, a=axis, k=keep: getattr(nn, n)(x, a, keepdims=k), reduced(name, axis, keepdims=keep), [[DEEP], [np.stack([ODD, ODD[::-1]])], [np.stack([ODD[:2]] * 2)]]) for name in ("sum", "mean", "max", "min", "logsumexp") for axis in (None, 0, -1, (0, 2)) for keep in (False, True)),  # noqa: E501 - a table's line
    ("minimum", nn.minimum, torch.minimum, [[ODD, ODD[::-1].copy()], [ODD, ODD]]),
    ("maximum", nn.maximum, torch.maximum, [[ODD, ODD[::-1].copy()], [ODD, ODD]]),
    ("clip", lambda x: nn.clip(x, -1, 2), lambda x: torch.clamp(x, -1, 2), [[M], [ODD]]),
    ("clip", lambda x: nn.clip(x, high=0), lambda x: torch.clamp(x, max=0), [[M], [ODD]]),
    *((name, lambda x, n=name, a=axis: getattr(nn, n)(x, a), lambda x, n=name, a=axis: getattr(torch, n)(x, a), [[M], [500 * M], [ODD]]) for name in ("softmax", "log_softmax") for axis in (0, 1)),  # noqa: E501 - a table's line
    ("stack", lambda a, b: nn.stack([a, b, a], 1), lambda a, b: torch.stack([a, b, a], 1), [[M, P]]),  # noqa: E501 - a table's line
    ("matmul", nn.matmul, torch.matmul, [[M, WIDE], [ROW, Q[1]], [ROW, WIDE], [M, ROW], [DEEP, STACK], [DEEP, WIDE], [M, STACK], [ROW, STACK], [DEEP, ROW], [DEEP[:, None], STACK[:1]]]),  # noqa: E501 - a table's line
    ("matmul", lambda x: x @ x.T, lambda x: x @ x.T, [[M]]),
    ("reshape", lambda x: nn.reshape(x, (2, -1)), lambda x: x.reshape(2, -1), [[M], [DEEP]]),
    ("transpose", lambda x: nn.transpose(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1), [[DEEP]]),
    ("index", lambda x: x[1:, ::2], lambda x: x[1:, ::2], [[M]]),
    ("index", lambda x: x[[0, 2, 2, 0, 2]], lambda x: x[[0, 2, 2, 0, 2]], [[M]]),
    ("index", lambda x: x[[0, 1, 1], [3, 2, 2]], lambda x: x[[0, 1, 1], [3, 2, 2]], [[M]]),
    ("index", lambda x: x[MASK], lambda x: x[torch.tensor(MASK)], [[M]]),
    ("concatenate", lambda a, b: nn.concatenate([a, b, a], 1), lambda a, b: torch.cat([a, b, a], 1), [[M, COLUMN]]),  # noqa: E501 - a table's line
    ("where", lambda a, b: nn.where(MASK, a, b), lambda a, b: torch.where(torch.tensor(MASK), a, b), [[M, P], [ROW, COLUMN], [ODD, M]]),  # noqa: E501 - a table's line
    ("add", lambda x: bent(x, nn), lambda x: bent(x, torch), [[M]]),
    ("cross_entropy", lambda z: nn.cross_entropy(z, LABELS), lambda z: torch.nn.functional.cross_entropy(z, torch.tensor(LABELS)), [[M], [500 * M]]),  # noqa: E501 - a table's line
    ("mean_square_error", nn.mean_square_error, torch.nn.functional.mse_loss, [[M, P]]),
]  # fmt: skip
by_case = pytest.mark.parametrize(
    ("ours", "theirs", "arrays"),
    [(ours, theirs, arrays) for _, ours, theirs, many in CASES for arrays in many],
    ids=[name for name, _, _, many in CASES for _ in many],
)
by_type = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 3e-5)])


def both(function: Any, leaves: Sequence[Any], weights: Any) -> list[np.ndarray[Any, Any]]:
    """Return the value and the derivatives of either library's function, as arrays."""
    result = function(*leaves)
    result.backward(weights(result.shape))
    parts = [result.data, *(leaf.grad for leaf in leaves)]
    return [np.asarray(part) if isinstance(part, np.ndarray) else part.numpy() for part in parts]


@by_type
@by_case
def test_a_rule_agrees_with_pytorch(
    ours: Any, theirs: Any, arrays: Any, dtype: Any, tolerance: float
) -> None:
    """In shape, type, value and every derivative; infinities and NaN in the same places."""

    def weights(shape: Sequence[int]) -> Any:
        return np.asarray(np.random.default_rng(1).standard_normal(tuple(shape))).astype(dtype)

    narrow = [np.asarray(array, dtype) for array in arrays]
    found = both(ours, [Tensor(array, requires_grad=True) for array in narrow], weights)
    expected = both(
        theirs,
        [torch.tensor(array, requires_grad=True) for array in narrow],
        lambda shape: torch.from_numpy(weights(shape)),
    )

    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_every_rule_is_compared() -> None:
    """Of the table, and the losses."""
    assert {name for name, *_ in CASES} == {*nn.RULES, "cross_entropy", "mean_square_error"}


def net(x: Any, parameters: Sequence[Any], relu: Any) -> Any:
    """Return the logits of a net of three layers, of either library."""
    w1, b1, w2, b2, w3, b3 = parameters
    return relu(relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3


@by_type
def test_a_net_trains_as_pytorch_s_does(dtype: Any, tolerance: float) -> None:
    """64-96-96-10, batch 128, cross-entropy: five steps of gradient descent from one start."""
    rng = np.random.default_rng(0)
    sizes = [64, 96, 96, 10]
    start = []
    for inputs, outputs in pairwise(sizes):
        start += [rng.standard_normal((inputs, outputs)) / np.sqrt(inputs), np.zeros(outputs)]
    x = rng.standard_normal((128, 64)).astype(dtype)
    labels = rng.integers(0, 10, 128)
    mine = [Tensor(array.astype(dtype), requires_grad=True) for array in start]
    peers = [torch.tensor(array.astype(dtype), requires_grad=True) for array in start]

    for _ in range(5):
        loss = nn.cross_entropy(net(x, mine, nn.relu), labels)
        other = torch.nn.functional.cross_entropy(
            net(torch.from_numpy(x), peers, torch.relu), torch.from_numpy(labels)
        )
        loss.backward()
        other.backward()

        assert loss.item() == pytest.approx(other.item(), rel=tolerance)
        for one, peer in zip(mine, peers, strict=True):
            assert one.grad is not None
            scale = float(peer.grad.abs().max())
            np.testing.assert_allclose(one.grad, peer.grad.numpy(), rtol=0, atol=tolerance * scale)
            one.data -= dtype(0.1) * one.grad
            one.zero_grad()
            with torch.no_grad():
                peer.sub_(0.1 * peer.grad)
            peer.grad = None
