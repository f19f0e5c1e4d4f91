"""The reverse pass: deep graphs, what accumulates, what is freed, what is refused."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num import nn
from fp8num.nn import Tensor, no_grad, record

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH = 10_000


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Let nothing be freed but by its last reference."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# The pass.


def test_a_chain_may_be_deep() -> None:
    """Of 10,000 nodes, ten times what Python may recurse."""
    assert sys.getrecursionlimit() < DEPTH
    x = Tensor([1.0], requires_grad=True)
    y = x
    for _ in range(DEPTH):
        y = y * 1.0001

    y.backward()

    np.testing.assert_allclose(x.grad, 1.0001**DEPTH, rtol=1e-10)
    del y


def test_a_deep_graph_may_fan_out_at_each_node() -> None:
    """There are 2**10000 paths, and each node is visited once."""
    visits = []

    def halved_sum(x: Tensor) -> Tensor:
        def vjp(gradient: Any) -> list[Any]:
            visits.append(1)
            return [gradient / 2, gradient / 2]

        return record(x.data, [x, x], vjp)

    x = Tensor([3.0], requires_grad=True)
    y = x
    for _ in range(DEPTH):
        y = halved_sum(y)

    y.backward()

    assert len(visits) == DEPTH
    np.testing.assert_array_equal(x.grad, [1.0])


def test_a_node_waits_for_all_its_consumers() -> None:
    """Also if one is reached much sooner than another: x enters at both ends of a chain."""
    x = Tensor([2.0], requires_grad=True)
    h = x * x
    y = h
    for _ in range(100):
        y = y + 1.0
    loss = h * y + h

    loss.backward()

    # (h (h + 100) + h)' = (2 h + 101) 2 x
    np.testing.assert_array_equal(x.grad, [(2 * 4 + 101) * 4])


def test_gradients_accumulate_until_they_are_forgotten() -> None:
    """Over passes through two graphs, and twice through one."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()

    loss.backward()
    np.testing.assert_array_equal(x.grad, [2, 4])
    loss.backward()
    np.testing.assert_array_equal(x.grad, [4, 8])
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [7, 11])

    x.zero_grad()
    assert x.grad is None
    loss.backward()
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_a_gradient_is_nobody_else_s_array() -> None:
    """Neither another leaf's nor the caller's, though addition hands on what it was given."""
    a, b = (Tensor(np.ones(3), requires_grad=True) for _ in range(2))
    seed = np.array([1.0, 2.0, 3.0])
    y = a + b

    y.backward(seed)
    y.backward(seed)

    for leaf in (a, b):
        np.testing.assert_array_equal(leaf.grad, [2, 4, 6])
    assert a.grad is not b.grad
    assert a.grad is not None
    a.grad[:] = 0
    np.testing.assert_array_equal(b.grad, [2, 4, 6])
    np.testing.assert_array_equal(seed, [1, 2, 3])


def test_many_consumers_of_one_node_leave_their_shares_alone() -> None:
    """Shares are not added into the first of them, which other tensors hold too."""
    x = Tensor([1.0], requires_grad=True)
    other = Tensor([1.0], requires_grad=True)
    h = x * 1.0
    total = other + h + h + h + h

    total.backward()

    np.testing.assert_array_equal(x.grad, [4])
    np.testing.assert_array_equal(other.grad, [1])


def test_only_what_requires_a_gradient_is_differentiated() -> None:
    """Data are not: their derivative, the dearest of a first layer, is not even computed."""
    asked = []

    class Primitive:
        forward = staticmethod(np.matmul)

        @staticmethod
        def vjp(*arguments: Any) -> list[Any]:
            asked.append(arguments[-1])
            return nn.RULES["matmul"].vjp(*arguments)

    from fp8num.nn import tensor

    data, weight = Tensor(np.ones((2, 3))), Tensor(np.ones((3, 1)), requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor, "find_rule", {"matmul": Primitive}.__getitem__)
        y = data @ weight
    y.backward(np.ones((2, 1)))

    assert asked == [[False, True]]
    assert data.grad is None
    np.testing.assert_array_equal(weight.grad, np.full((3, 1), 2.0))


def test_results_hold_no_gradient_but_leaves_do() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x * 2
    (y * y).backward()
    assert y.grad is None
    np.testing.assert_array_equal(x.grad, [8])


def test_a_leaf_is_its_own_loss() -> None:
    x = Tensor(5.0, requires_grad=True)
    x.backward()
    assert x.grad == 1


def test_detach_stops_the_derivative_and_shares_the_array() -> None:
    x = Tensor([3.0], requires_grad=True)
    y = x.detach()
    assert y.data is x.data
    (x * y).backward()
    np.testing.assert_array_equal(x.grad, [3])
    assert y.grad is None


def test_within_no_grad_nothing_is_remembered() -> None:
    """In this thread alone; nested, and after an error, it ends where it began."""
    x = Tensor([1.0], requires_grad=True)
    elsewhere = []
    with no_grad():
        with no_grad():
            pass
        y = x * 2
        worker = threading.Thread(target=lambda: elsewhere.append((x * 2).requires_grad))
        worker.start()
        worker.join()
    assert not y.requires_grad
    assert y.inputs == ()
    assert elsewhere == [True]
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (x * 2).requires_grad


def test_a_graph_of_constants_is_not_kept() -> None:
    y = Tensor([1.0]) * 2
    assert not y.requires_grad
    assert y.inputs == ()


# Memory.


def every_rule_at_once(x: Tensor) -> Tensor:
    """Return a loss in which every rule has a part."""
    y = x @ x.T + nn.exp(x / 9) - nn.log(x) * nn.sqrt(x)
    y = nn.tanh(y) + nn.sigmoid(y) + nn.relu(y) + nn.gelu(y) + nn.silu(-y)
    y = nn.concatenate([y.reshape(-1), (x**2)[[0, 0, 1]].reshape(-1)])
    y = nn.where(y.data > 0, y, 2 * y)
    z = nn.logsumexp(y) + y.sum() + y.mean() + y.max()
    return z + nn.cross_entropy(x, [0, 1, 2]) + nn.mean_square_error(x, np.ones((3, 3)))


@pytest.mark.usefixtures("_no_collector")
def test_a_graph_is_freed_with_its_last_result() -> None:
    """At once, without the collector: no node refers to what is made of it."""
    x = Tensor(np.random.default_rng(0).random((3, 3)) + 0.5, requires_grad=True)
    loss = every_rule_at_once(x)
    nodes, stack = {loss}, [loss]
    while stack:
        for source in stack.pop().inputs:
            if source not in nodes:
                nodes.add(source)
                stack.append(source)
    watched = [weakref.ref(node) for node in nodes if node is not x]
    watched += [weakref.ref(node.data) for node in nodes if node is not x]
    assert len(watched) > 60
    del nodes, stack, source

    loss.backward()
    assert all(reference() is not None for reference in watched)
    del loss

    assert not any(reference() is not None for reference in watched)
    assert x.grad is not None


@pytest.mark.usefixtures("_no_collector")
def test_a_cycle_would_be_noticed() -> None:
    """By the means of the test above: a derivative that refers to its own result."""

    def circular(x: Tensor) -> Tensor:
        result = record(x.data * 2, [x], lambda g: [g * result.data])
        return result

    watched = weakref.ref(circular(Tensor(np.ones(2), requires_grad=True)))

    assert watched() is not None
    gc.collect()
    assert watched() is None


@pytest.mark.usefixtures("_no_collector")
def test_derivatives_are_freed_as_the_pass_goes_on() -> None:
    """Of a chain, three arrays at a time and not all."""
    alive: list[weakref.ref[Any]] = []
    most = []

    def step(x: Tensor) -> Tensor:
        def vjp(gradient: Any) -> list[Any]:
            handed = gradient * 1.0
            alive.append(weakref.ref(handed))
            most.append(sum(reference() is not None for reference in alive))
            return [handed]

        return record(x.data, [x], vjp)

    y: Tensor = Tensor(np.ones(4), requires_grad=True)
    for _ in range(50):
        y = step(y)
    y.backward(np.ones(4))

    assert len(most) == 50
    assert max(most) <= 3


def test_a_very_deep_graph_is_freed_without_recursion() -> None:
    """Three times deeper than above."""
    y = Tensor([1.0], requires_grad=True)
    for _ in range(3 * DEPTH):
        y = -y
    del y


# Data.


def test_an_array_in_order_is_shared_and_another_copied() -> None:
    """Also of the other byte order, which ends as the machine's."""
    array = np.arange(6.0).reshape(2, 3)
    assert Tensor(array).data is array
    for other in (array.T, array[:, ::-1], array[:, ::2], array.astype(">f8")):
        data = Tensor(other).data
        np.testing.assert_array_equal(data, other)
        assert data.flags.c_contiguous
        assert data.dtype.isnative
        assert not np.shares_memory(data, array)


def test_read_only_arrays_are_ordinary() -> None:
    array = np.ones(3)
    array.flags.writeable = False
    x = Tensor(array, requires_grad=True)
    (x * x).sum().backward()
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [4, 4, 4])


def test_a_tensor_shows_what_it_is() -> None:
    x = Tensor(np.zeros((2, 3), np.float32), requires_grad=True, name="w")
    assert (x.shape, x.ndim, x.dtype, x.T.shape) == ((2, 3), 2, np.float32, (3, 2))
    assert repr(Tensor([1.0], name="b")) == "Tensor(array([1.]), requires_grad=False, name='b')"
    assert (x @ x.T).name == "matmul"
    assert Tensor([[2.5]]).item() == 2.5


def test_bits_are_the_same_whenever_a_graph_is_made() -> None:
    """Twenty terms of very different size, summed in the graph's order each time."""

    def gradient() -> bytes:
        x = Tensor(np.float32([0.1, 0.2]), requires_grad=True)
        total: Any = 0.0
        for exponent in range(-10, 10):
            total = total + x * 3.0**exponent
        nn.sum(total).backward()
        assert x.grad is not None
        return x.grad.tobytes()

    first = gradient()
    clutter = [object() for _ in range(1000)]
    assert gradient() == first
    del clutter


# Refusals.


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ([1, 2], r"int64 of shape \(2,\); convert it: np.asarray\(data, np.float32\)"),
        (np.array([True]), r"bool of shape \(1,\)"),
        (np.float16(1), r"float16 of shape \(\)"),
        (np.ones(2, np.longdouble), r"(longdouble|float128|float96) of shape \(2,\)"),
        ([1j], r"complex128 of shape \(1,\)$"),
        ("1", "<U1"),
        (None, "object"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_data_must_be_of_a_type_that_has_gradients(
    data: Any,
    what: str,
    requires_grad: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Integers above all."""
    message = f"data must be float32 or float64, .* got {what}"
    with pytest.raises(TypeError, match=message):
        Tensor(data, requires_grad=requires_grad)


def test_a_tensor_is_not_made_of_a_tensor() -> None:
    with pytest.raises(TypeError, match=r"data must be .* got a Tensor; .detach\(\) gives"):
        Tensor(Tensor(1.0))


def test_backward_needs_something_to_differentiate_by() -> None:
    with pytest.raises(ValueError, match=r"backward\(\) must start from .* got w of shape \(1,\)"):
        Tensor([1.0], name="w").backward()


def test_backward_without_a_gradient_needs_one_element() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"grad must be given .* got multiply of shape \(2,\)"):
        (x * 2).backward()


@pytest.mark.parametrize(
    ("grad", "kind", "message"),
    [
        (np.ones(3), ValueError, r"grad must be of shape \(2,\) and float64 .* got .* \(3,\)"),
        (1.0, ValueError, r"grad must be of shape \(2,\) .* got float64 of shape \(\)"),
        (np.float32([1, 1]), TypeError, r"grad must be .* float64 .* got float32 of shape \(2,\)"),
        ([1, 1], TypeError, r"grad must be float32 or float64, .* got int64"),
    ],
)
def test_the_gradient_to_start_from_must_fit(grad: Any, kind: Any, message: str) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(kind, match=message):
        (x * 2).backward(grad)
    assert x.grad is None


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        ([], ValueError, "the vjp of mine must return .* each of its 1 inputs, got 0"),
        ([np.ones(3)], ValueError, r"vjp of mine must return float64 .* input 0, got .* \(3,\)"),
        ([np.float32([1, 1])], TypeError, "vjp of mine must return float64 .* got float32"),
    ],
)
def test_a_rule_made_by_hand_must_fit(returned: Any, kind: Any, message: str) -> None:
    """And whatever was found before the error is not left in any leaf."""
    x, other = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    y = record(x.data, [x], lambda _: returned, "mine")
    with pytest.raises(kind, match=message):
        (other + y + other).sum().backward()
    assert x.grad is None
    assert other.grad is None


def test_a_rule_made_by_hand_may_have_no_derivative() -> None:
    """None is nothing to add, and nothing goes further that way."""
    x = Tensor([1.0], requires_grad=True)
    y = record(x.data, [x * 3], lambda _: [None])
    (y + x).backward()
    np.testing.assert_array_equal(x.grad, [1])


def test_what_a_rule_made_by_hand_says_of_constants_is_not_looked_at() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = record(x.data, [x, Tensor(np.ones(5))], lambda g: [g, "nothing"])  # type: ignore[list-item]
    y.backward()
    np.testing.assert_array_equal(x.grad, [1])


def test_a_rule_made_by_hand_may_give_any_strides() -> None:
    """What is handed on, and a leaf's gradient, are in C order."""
    seen = []

    def look(gradient: Any) -> list[Any]:
        seen.append(gradient.flags.c_contiguous)
        return [gradient.T.copy().T]

    x = Tensor(np.ones((2, 3)), requires_grad=True)
    y = record(record(x.data, [x], look).data, [record(x.data, [x], look)], look)
    y.backward(np.ones((2, 3)))
    assert seen == [True, True]
    assert x.grad is not None
    assert x.grad.flags.c_contiguous


def test_inputs_of_a_rule_made_by_hand_are_tensors() -> None:
    with pytest.raises(TypeError, match="input 1 of inputs must be a Tensor, got ndarray"):
        record(np.ones(1), [Tensor([1.0]), np.ones(1)], lambda g: [g, g])  # type: ignore[list-item]
