"""Derivatives of every rule, against differences of the rule itself in random directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num import nn
from fp8num.nn import RULES, Tensor
from fp8num.nn.moves import __all__ as moves
from fp8num.nn.rules import __all__ as names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Array = np.ndarray[Any, np.dtype[Any]]

RNG = np.random.default_rng(6)
#: Far from 0, from each other and from the places where a rule has a corner.
M = RNG.permutation(np.linspace(-1.9, 1.93, 12)).reshape(3, 4)
P = RNG.permutation(np.linspace(0.4, 2.1, 12)).reshape(3, 4)
Q = RNG.permutation(np.linspace(0.5, 1.7, 12)).reshape(3, 4)
ROW, COLUMN, ONE = P[0], Q[:, :1], np.array(0.7)
DEEP = RNG.standard_normal((2, 3, 4))
WIDE = RNG.standard_normal((4, 5))
STACK = RNG.standard_normal((2, 4, 5))
MASK = np.array([[True, False, False, True]] * 2 + [[False, False, True, True]])

#: Rule, what to do, and to which arrays.
CASES: list[tuple[str, str, Any, Sequence[Array]]] = [
    ("add", "same", nn.add, [M, P]),
    ("add", "row", lambda a, b: a + b, [M, ROW]),
    ("add", "outer", lambda a, b: a + b, [ROW, COLUMN]),
    ("add", "twice", lambda a: a + a, [M]),
    ("add", "constants", lambda a: 2 + a + 3.5, [M]),
    ("subtract", "same", nn.subtract, [M, P]),
    ("subtract", "column", lambda a, b: a - b, [COLUMN, M]),
    ("subtract", "from one", lambda a: 1 - a, [M]),
    ("multiply", "same", nn.multiply, [M, P]),
    ("multiply", "scalar", lambda a, b: a * b, [ONE, M]),
    ("multiply", "deep", lambda a, b: a * b, [COLUMN, DEEP]),
    ("multiply", "twice", lambda a: a * a, [M]),
    ("multiply", "an array first", lambda a: P * a, [ROW]),
    ("divide", "same", nn.divide, [M, P]),
    ("divide", "outer", lambda a, b: a / b, [ROW, COLUMN]),
    ("divide", "twice", lambda a: a / a + a, [P]),
    ("divide", "into one", lambda a: 1 / a, [P]),
    ("negative", "sign", lambda a: -a, [M]),
    ("power", "same", nn.power, [P, M]),
    ("power", "square of any sign", lambda a: a**2, [M]),
    ("power", "cube root", lambda a: a ** (1 / 3), [P]),
    ("power", "of two", lambda a: 2**a, [M]),
    ("power", "row", lambda a, b: a**b, [P, ROW]),
    ("power", "twice", lambda a: a**a, [P]),
    ("matmul", "matrices", nn.matmul, [M, WIDE]),
    ("matmul", "vectors", lambda a, b: a @ b, [ROW, Q[1]]),
    ("matmul", "vector first", lambda a, b: a @ b, [ROW, WIDE]),
    ("matmul", "vector second", lambda a, b: a @ b, [M, ROW]),
    ("matmul", "stack", lambda a, b: a @ b, [DEEP, STACK]),
    ("matmul", "stack and one", lambda a, b: a @ b, [DEEP, WIDE]),
    ("matmul", "one and stack", lambda a, b: a @ b, [M, STACK]),
    ("matmul", "vector and stack", lambda a, b: a @ b, [ROW, STACK]),
    ("matmul", "stack and vector", lambda a, b: a @ b, [DEEP, ROW]),
    ("matmul", "stacks broadcast", lambda a, b: a @ b, [DEEP[:, None], STACK[:1]]),
    ("matmul", "twice", lambda a: a @ a, [DEEP[0] @ WIDE[:, :3]]),
    ("matmul", "with itself transposed", lambda a: a @ a.T, [M]),
    ("matmul", "an array first", lambda a: M @ a, [WIDE]),
    ("abs", "", nn.abs, [M]),
    ("abs", "Python's", abs, [M]),
    ("minimum", "same", nn.minimum, [M, P]),
    ("minimum", "row", nn.minimum, [M, ROW]),
    ("minimum", "a number", lambda a: nn.minimum(a, 0.05), [M]),
    ("minimum", "twice", lambda a: nn.minimum(a, a), [M]),
    ("maximum", "same", nn.maximum, [M, P]),
    ("maximum", "outer", nn.maximum, [ROW, COLUMN]),
    ("maximum", "an array first", lambda a: nn.maximum(P, a), [M]),
    ("clip", "both ends", lambda a: nn.clip(a, -1, 0.5), [M]),
    ("clip", "from below", lambda a: nn.clip(a, low=0.05) * a, [M]),
    ("clip", "from above", lambda a: a.clip(high=0.05), [M]),
    *((rule, f"along {axis}", lambda a, r=rule, x=axis: getattr(nn, r)(3 * a, x), [DEEP]) for rule in ("softmax", "log_softmax") for axis in (0, 1, -1)),  # noqa: E501 - a table's line
    ("softmax", "method", lambda a: a.softmax() * a, [M]),
    ("log_softmax", "method", lambda a: a.log_softmax(0) * a, [M]),
    ("exp", "", nn.exp, [M]),
    ("log", "", nn.log, [P]),
    ("sqrt", "", nn.sqrt, [P]),
    ("tanh", "", nn.tanh, [M]),
    ("sigmoid", "", nn.sigmoid, [3 * M]),
    ("relu", "", nn.relu, [M]),
    ("gelu", "exact", nn.gelu, [2 * M]),
    ("gelu", "tanh", lambda a: nn.gelu(a, approximate="tanh"), [2 * M]),
    ("silu", "", nn.silu, [3 * M]),
    *((rule, f"all of {axis}, {keep}", lambda a, r=rule, x=axis, k=keep: getattr(nn, r)(a, x, keepdims=k), [DEEP]) for rule in ("sum", "mean", "max", "min", "logsumexp") for axis in (None, 1, -1, (0, 2), (-1, 0), (0, 1, 2)) for keep in (False, True)),  # noqa: E501 - a table's line
    *((rule, "of a scalar", lambda a, r=rule: getattr(nn, r)(a), [ONE]) for rule in ("sum", "mean", "max", "min", "logsumexp")),  # noqa: E501 - a table's line
    *((rule, "method, by position", lambda a, r=rule: getattr(a, r)([0, -1], *(True,)) * a, [DEEP]) for rule in ("sum", "mean", "max", "min", "logsumexp")),  # noqa: E501 - a table's line
    ("reshape", "", lambda a: nn.reshape(a, (2, -1)), [M]),
    ("reshape", "flatten", lambda a: a.flatten() @ a.flatten(), [M]),
    ("reshape", "method", lambda a: a.reshape(4, 3) @ a, [M]),
    ("reshape", "to a scalar", lambda a: a.reshape(()), [ONE[None]]),
    ("transpose", "", nn.transpose, [DEEP]),
    ("transpose", "axes", lambda a: nn.transpose(a, (2, 0, 1)), [DEEP]),
    ("transpose", "negative axes", lambda a: a.transpose(-1, 0, 1), [DEEP]),
    ("index", "integer", lambda a: a[1], [M]),
    ("index", "slices", lambda a: a[::-1, 1:3], [M]),
    ("index", "new axis", lambda a: a[..., None, 0] * a[None, :, 1:2], [M]),
    ("index", "repeated", lambda a: a[[0, 2, 2, 0, 2]], [M]),
    ("index", "pairs", lambda a: nn.index(a, ([0, 1, 1, 1], [3, 2, 2, 0])), [M]),
    ("index", "array and slice", lambda a: a[1:, np.array([[0, 0], [3, 0]])], [M]),
    ("index", "mask", lambda a: a[MASK], [M]),
    ("index", "scalar", lambda a: a[()], [ONE]),
    ("concatenate", "", lambda a, b: nn.concatenate([a, b]), [M, DEEP[0]]),
    ("concatenate", "last axis", lambda a, b, c: nn.concatenate([a, b, c], -1), [M, COLUMN, P]),
    ("concatenate", "twice", lambda a: nn.concatenate([a, a, 2 * a], 1), [M]),
    ("concatenate", "one", lambda a: nn.concatenate([a]), [M]),
    ("concatenate", "an array among them", lambda a: nn.concatenate([P, a]), [M]),
    ("stack", "", lambda a, b: nn.stack([a, b]), [M, P]),
    ("stack", "last axis", lambda a, b, c: nn.stack([a, b, c], -1), [M, P, Q]),
    ("stack", "scalars", lambda a, b: nn.stack([a, b * a]), [ONE, ONE + 1]),
    ("stack", "twice, and an array among them", lambda a: nn.stack([a, P, a * a], 1), [M]),
    ("where", "", lambda a, b: nn.where(MASK, a, b), [M, P]),
    ("where", "outer", lambda a, b: nn.where(MASK, a, b), [ROW, COLUMN]),
    ("where", "scalar", lambda a, b: nn.where(MASK, a, b), [ONE, ROW]),
    ("where", "twice", lambda a: nn.where(MASK, a, a * a), [M]),
    ("where", "deep condition", lambda a: nn.where(np.stack([MASK, ~MASK]), a, 0), [M]),
    ("add", "fan-out", lambda a: nn.exp(a) * a + nn.tanh(a) / (a * a + 1) - a, [M]),
    ("multiply", "fan-out and broadcast", lambda a, b: (a * b + b) * nn.sigmoid(b - a), [M, ROW]),
]  # fmt: skip
by_rule = pytest.mark.parametrize("rule", dict.fromkeys(case[0] for case in CASES))


def cases_of(rule: str) -> list[tuple[str, Any, Any]]:
    """Return the cases of a rule: what each is, the function and its operands."""
    return [case[1:] for case in CASES if case[0] == rule]


def assert_derivatives(function: Any, arrays: Sequence[Array], *, rel: float = 1e-6) -> None:
    """
    Compare each derivative with differences in random directions.

    The loss is the sum of the results with random weights.  Two central differences, of
    steps h and 2 h, leave an error of the order h^4 and rounding of 1e-16 / h: with h = 1e-3,
    some 1e-12; `abs` is for derivatives that are 0.
    """
    rng = np.random.default_rng(0)
    leaves = [Tensor(array, requires_grad=True) for array in arrays]
    result = function(*leaves)
    weights = rng.standard_normal(result.shape)
    result.backward(weights)

    def loss(moved: int, direction: Array, step: float) -> float:
        points = [a + step * direction if i == moved else a for i, a in enumerate(arrays)]
        return float(np.sum(weights * function(*map(Tensor, points)).data))

    for which, (leaf, array) in enumerate(zip(leaves, arrays, strict=True)):
        assert leaf.grad is not None
        assert leaf.grad.shape == array.shape
        for _ in range(3):
            direction = rng.standard_normal(array.shape)
            near, far = (
                (loss(which, direction, h) - loss(which, direction, -h)) / (2 * h)
                for h in (1e-3, 2e-3)
            )
            expected = (4 * near - far) / 3
            found = float(np.sum(leaf.grad * direction))
            assert found == pytest.approx(expected, rel=rel, abs=1e-11), (which, direction)


@by_rule
def test_a_rule_s_derivatives_are_those_of_its_values(rule: str) -> None:
    """In float64, in three random directions for each operand, to 1e-6 relatively."""
    for _, function, arrays in cases_of(rule):
        assert_derivatives(function, arrays)


def test_every_rule_has_a_case_and_a_function() -> None:
    """Of the table, and under its name."""
    assert {case[0] for case in CASES} == set(RULES)
    assert {*names, *moves} == {*RULES, "RULES", "Primitive"}
    assert all(getattr(nn, name).__doc__ for name in RULES)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: nn.record(x.data**3, [x], lambda g: [g * 3 * x.data**2 * (1 + 1e-5)]),
        lambda x: nn.record(x.data**3, [x], lambda g: [-g * 3 * x.data**2]),
        lambda x: nn.record(x.data**3, [x], lambda _: [3 * x.data**2]),
        lambda x: nn.record(x.data.sum(1), [x], lambda g: [np.tile(g, (4, 1)).reshape(3, 4)]),
    ],
    ids=["0.001 percent", "sign", "without what comes in", "transposed"],
)
def test_a_wrong_derivative_would_be_noticed(wrong: Any) -> None:
    """By the comparison of this module."""
    with pytest.raises(AssertionError):
        assert_derivatives(wrong, [P])


@by_rule
def test_float32_stays_float32(rule: str) -> None:
    """Results and derivatives, which are those of float64 to its precision."""
    for case, function, arrays in cases_of(rule):
        if "an array" in case:  # of float64
            continue
        narrow = [Tensor(np.float32(array), requires_grad=True) for array in arrays]
        wide = [Tensor(leaf.data.astype(np.float64), requires_grad=True) for leaf in narrow]

        result, expected = function(*narrow), function(*wide)

        assert result.dtype == np.float32, case
        result.backward(np.ones(result.shape, np.float32))
        expected.backward(np.ones(result.shape))
        np.testing.assert_allclose(result.data, expected.data, rtol=1e-5, atol=1e-6, err_msg=case)
        for one, other in zip(narrow, wide, strict=True):
            assert one.grad is not None
            assert other.grad is not None
            assert one.grad.dtype == np.float32, case
            np.testing.assert_allclose(one.grad, other.grad, rtol=2e-5, atol=2e-5, err_msg=case)


@by_rule
def test_results_do_not_depend_on_strides(rule: str) -> None:
    """The same bits for arrays in Fortran's order, backwards, with gaps, byte-swapped."""

    def bits(function: Any, arrays: Any, made: Callable[[Array], Array]) -> list[bytes]:
        leaves = [Tensor(made(array), requires_grad=True) for array in arrays]
        result = function(*leaves)
        result.backward(np.ones(result.shape))
        return [result.data.tobytes(), *(leaf.grad.tobytes() for leaf in leaves)]  # type: ignore[union-attr]

    def gaps(array: Array) -> Array:
        room = np.full((*array.shape, 3), np.nan)
        room[..., 1] = array
        return room[..., 1]

    for case, *operation in cases_of(rule):
        expected = bits(*operation, lambda array: array)
        assert bits(*operation, lambda array: np.array(array, order="F")) == expected, case
        assert bits(*operation, gaps) == expected, case
        assert bits(*operation, lambda array: np.flip(np.flip(array).copy())) == expected, case
        assert bits(*operation, lambda array: array.astype(">f8")) == expected, case


# Corners, decided.


def grad_of(function: Any, *arrays: Any) -> list[Array]:
    """Return the derivatives of the sum of the results."""
    leaves = [Tensor(np.array(array, dtype=float), requires_grad=True) for array in arrays]
    result = function(*leaves)
    result.backward(np.ones(result.shape))
    return [leaf.grad for leaf in leaves if leaf.grad is not None]


def test_equal_maxima_share_the_derivative() -> None:
    """Evenly, along each reduced slice."""
    x = [[1, 3, 3, 0], [2, 2, 2, 2]]
    np.testing.assert_array_equal(
        grad_of(lambda a: nn.max(a, 1), x)[0], [[0, 0.5, 0.5, 0], [0.25] * 4]
    )
    np.testing.assert_array_equal(grad_of(nn.max, x)[0], [[0, 0.5, 0.5, 0], [0] * 4])


def test_equal_minima_share_the_derivative() -> None:
    """As maxima do; and so do equals of two tensors."""
    x = [[1, 3, 1, 4], [2, 2, 2, 2]]
    np.testing.assert_array_equal(
        grad_of(lambda a: nn.min(a, 1), x)[0], [[0.5, 0, 0.5, 0], [0.25] * 4]
    )
    for function, winner in ((nn.minimum, [0.5, 1, 0]), (nn.maximum, [0.5, 0, 1])):
        one, other = grad_of(function, [1, 2, 3], [1, 3, 2])
        np.testing.assert_array_equal(one, winner)
        np.testing.assert_array_equal(other, np.subtract(1, winner))


def test_magnitudes_and_ends_of_an_interval_have_decided_derivatives() -> None:
    """As in PyTorch: 0 at 0, 1 at an end."""
    (found,) = grad_of(nn.abs, [0.0, -0.0, np.nan, -np.inf])
    np.testing.assert_array_equal(found, [0, 0, 0, -1])
    (found,) = grad_of(lambda a: nn.clip(a, -1, 1), [-1, 1, 1.5, -np.inf, np.nan])
    np.testing.assert_array_equal(found, [1, 1, 0, 0, 0])


def test_a_softmax_does_not_overflow() -> None:
    x = np.array([[1000.0, 1000.0], [-1000.0, 0.0], [-np.inf, 0.0]])
    np.testing.assert_array_equal(nn.softmax(x).data, [[0.5, 0.5], [0, 1], [0, 1]])
    np.testing.assert_allclose(nn.log_softmax(x).data[1], [-1000, 0], rtol=1e-15)
    for name in ("softmax", "log_softmax"):
        assert getattr(nn, name)(np.zeros((3, 0))).shape == (3, 0)


def test_results_that_are_copies_share_no_memory() -> None:
    """Also of one axis, or of slices; a reshaped tensor shares its array."""
    for shape in ((3,), (1, 3), (3, 1), (2, 3), ()):
        x = Tensor(np.ones(shape), requires_grad=True)
        for y in (x[...], x.transpose(), x.T, nn.index(x, ()), x[None]):
            assert not np.shares_memory(x.data, y.data)
        assert np.shares_memory(x.data, x.flatten().data)
    x = Tensor([1.0, 2.0, 3.0])
    part = x[1:]
    part.data[:] = 9
    np.testing.assert_array_equal(x.data, [1, 2, 3])


@pytest.mark.parametrize(
    "name",
    [
        *("abs", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "softmax", "log_softmax"),
        *("sum", "mean", "max", "min", "logsumexp"),
    ],
)
def test_a_method_is_the_function_of_its_name(name: str) -> None:
    x = Tensor(P)
    assert getattr(x, name)().data.tobytes() == getattr(nn, name)(x).data.tobytes()


def test_reductions_take_their_options_by_position_and_lists_of_axes() -> None:
    """As in PyTorch."""
    by_position: Any = ([0, 2], True)
    for name in ("sum", "mean", "max", "min", "logsumexp"):
        expected = getattr(nn, name)(DEEP, (0, 2), keepdims=True).data
        one, other = (
            getattr(nn, name)(DEEP, *by_position),
            getattr(Tensor(DEEP), name)(*by_position),
        )
        for found in (one, other):
            assert found.data.tobytes() == expected.tobytes()
            assert found.shape == (1, 3, 1)


def test_the_derivative_of_a_maximum_that_is_nan_is_nan() -> None:
    """As in torch.amax: it is not lost; other slices keep theirs."""
    (found,) = grad_of(lambda a: nn.max(a, 1), [[1, np.nan], [1, 2]])
    np.testing.assert_array_equal(found, [[np.nan, np.nan], [0, 1]])


def test_relu_has_no_derivative_to_hand_on_at_zero() -> None:
    np.testing.assert_array_equal(grad_of(nn.relu, [-1, -0.0, 0.0, 1])[0], [0, 0, 0, 1])


def test_powers_at_zero() -> None:
    """0**0 is 1 and flat; 0**2 is flat in both; 0**0.5 is steep."""
    base, exponent = grad_of(nn.power, [0, 0, 0, -2], [0, 2, 0.5, 0])
    np.testing.assert_array_equal(base, [0, 0, np.inf, 0])
    np.testing.assert_array_equal(exponent[:3], [0, 0, 0])


def test_repeated_indices_add_up() -> None:
    """As many times as they are named."""
    (found,) = grad_of(lambda a: a[[1, 1, 1, 3]], np.arange(4))
    np.testing.assert_array_equal(found, [0, 3, 0, 1])


def test_logsumexp_does_not_overflow_and_knows_infinities() -> None:
    x = np.array([[1000, 1000], [-1000, -1000], [-np.inf, 0], [np.inf, 0], [-np.inf, -np.inf]])
    expected = [1000 + np.log(2), -1000 + np.log(2), 0, np.inf, -np.inf]
    np.testing.assert_allclose(nn.logsumexp(x, 1).data, expected, rtol=1e-15)
    np.testing.assert_allclose(
        grad_of(lambda a: nn.logsumexp(a, 1), x[:3])[0], [[0.5, 0.5], [0.5, 0.5], [0, 1]]
    )


@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "silu", "gelu", "relu"])
def test_large_values_overflow_without_a_warning(name: str) -> None:
    """In float32: infinities and zeros are results like others, but no NaN comes of them."""
    x = Tensor(np.float32([-1e9, -200, 200, 1e9]), requires_grad=True)
    y = getattr(nn, name)(x)
    y.backward(np.ones(4, np.float32))
    assert not np.isnan(y.data).any()
    assert x.grad is not None
    assert not np.isnan(x.grad).any()


def test_division_by_zero_is_infinite_without_a_warning() -> None:
    x = Tensor([0.0, 1.0], requires_grad=True)
    y = 1 / x + nn.log(x)
    y.backward(np.ones(2))
    np.testing.assert_array_equal(nn.divide(1, x).data, [np.inf, 1])
    assert x.grad is not None


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_tensors_are_ordinary(shape: tuple[int, ...]) -> None:
    """Sums are 0, means NaN, logarithms of empty sums minus infinity."""
    x = Tensor(np.zeros(shape), requires_grad=True)
    y = nn.exp(x) * 2 + x
    assert y.shape == shape
    assert nn.sum(y).item() == 0
    assert np.isnan(nn.mean(y).item())
    assert nn.logsumexp(y).item() == -np.inf
    nn.sum(y).backward()
    assert x.grad is not None
    assert x.grad.shape == shape


def test_gelu_is_exact_unless_asked() -> None:
    """By the C library's erf; the tanh formula is off by less than 5e-4."""
    import math

    x = np.linspace(-6, 6, 241)
    expected = [one * (1 + math.erf(one / math.sqrt(2))) / 2 for one in x]
    np.testing.assert_allclose(nn.gelu(x).data, expected, rtol=0, atol=1e-15)
    error = np.abs(nn.gelu(x, approximate="tanh").data - expected)
    assert 1e-4 < error.max() < 5e-4


# What does not fit.


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: nn.add(M, np.ones(3)), r"add must .* fit, got \(3, 4\) and \(3,\): "),
        (lambda: Tensor(M) * np.ones((2, 4)), r"multiply must .* got \(3, 4\) and \(2, 4\)"),
        (lambda: nn.matmul(M, M), r"matmul must .* got \(3, 4\) and \(3, 4\): "),
        (lambda: nn.matmul(M, 2.0), r"matmul must .* got \(3, 4\) and \(\): "),
        (lambda: nn.matmul(DEEP, STACK[[0, 1, 1]]), r"matmul must .* got .* and \(3, 4, 5\): "),
        (lambda: nn.sum(M, 2), r"sum must .* got \(3, 4\), axis=2.*: .*out of bounds"),
        (lambda: nn.mean(M, (0, 0)), r"mean must .* axis=\(0, 0\).*duplicate"),
        (lambda: nn.max(np.zeros((3, 0)), 1), r"max must .* got \(3, 0\), axis=1"),
        (lambda: nn.reshape(M, (5, -1)), r"reshape must .* got \(3, 4\), shape=\(5, -1\): "),
        (lambda: nn.transpose(M, (0, 0)), r"must .* options that fit .* got \(3, 4\), axes=\(0, 0"),
        (lambda: nn.concatenate([M, WIDE]), r"concatenate must .* got \(3, 4\) and \(4, 5\)"),
        (lambda: nn.stack([M, ROW]), r"stack must .* got \(3, 4\) and \(4,\), axis=0"),
        (lambda: nn.stack([]), "stack must .* at least one operand, got no operands"),
        (lambda: nn.softmax(M, 2), r"softmax must .* got \(3, 4\), axis=2: .*out of bounds"),
        (lambda: nn.clip(M), "clip must be given low or high, got neither"),
        (lambda: nn.concatenate([]), "concatenate must .* at least one operand, got no operands"),
        (lambda: nn.where(MASK, M, np.ones(3)), r"where must .* got \(3, 4\) and \(3,\)"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(function: Any, message: str) -> None:
    """The operation is named, and what came."""
    with pytest.raises(ValueError, match=message):
        function()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: Tensor(M)[3], r"index must .* got \(3, 4\), key=3: .*out of bounds"),
        (lambda: Tensor(M)[:, :, 0], r"index must .* got \(3, 4\), key=.*too many indices"),
        (lambda: Tensor(M)[0.5], r"index must .* got \(3, 4\), key=0.5: "),
    ],
)
def test_indices_that_do_not_fit_are_refused(function: Any, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        function()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: nn.add(M, np.float32(M)), "add must .* one type, .* got float32 and float64"),
        (lambda: Tensor(M) @ Tensor(np.float32(M)), "matmul must .* one type"),
        (lambda: Tensor(M) + Tensor(np.float32(1)), "add must .* one type"),
        (lambda: nn.exp(np.float16(M)), "exp must .* float32 or float64, got float16"),
        (lambda: nn.exp(np.array([1j])), "exp must .* got complex128"),
        (lambda: nn.exp("1"), r"exp must be given numbers, got <U1 of shape \(\)"),
        (lambda: nn.add(Tensor(M), None), r"add must be given numbers, got object of shape \(\)"),
        (
            lambda: nn.sum(M, "0"),
            r"sum must be given options of the types .* got \(3, 4\), axis='0'",
        ),
        (lambda: nn.concatenate([M, M], None), r"concatenate must .* axis=None"),  # type: ignore[arg-type]
        (lambda: nn.where(M, M, M), r"condition must be boolean, got float64 of shape \(3, 4\)"),
        (lambda: np.exp(Tensor(M)), r"functions of fp8num.nn take tensors, nn.exp\(x\) in place"),
        (lambda: np.add(M, Tensor(M)), "functions of fp8num.nn take tensors"),
        (lambda: np.stack([Tensor(M)]), r"take tensors, .* stack\(\) and concatenate\(\) join"),
        (lambda: nn.softmax(M, (0, 1)), r"softmax must .* axis=\(0, 1\)"),  # type: ignore[arg-type]
        (lambda: nn.clip(M, Tensor(ONE)), r"low of clip must be .* got Tensor .*; minimum"),  # type: ignore[arg-type]
        (lambda: Tensor(M).clip(high="1"), "high of clip must be a number or None, got str"),  # type: ignore[arg-type]
        (lambda: Tensor(M)[Tensor(ONE)], r"index must .* got \(3, 4\), key=Tensor"),
    ],
)
def test_types_that_do_not_fit_are_refused(function: Any, message: str) -> None:
    """Never widened or narrowed in silence."""
    with pytest.raises(TypeError, match=message):
        function()


def test_gelu_knows_two_forms() -> None:
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh', got 'erf'"):
        nn.gelu(M, approximate="erf")


def test_a_number_beyond_float32_is_infinite_there() -> None:
    """Without a warning, like other overflow."""
    assert (Tensor(np.float32(1)) * 1e300).item() == np.inf


def test_numbers_and_integers_take_the_tensor_s_type() -> None:
    """Also NumPy's numbers, on either side."""
    x = Tensor(np.float32([1, 2]))
    for other in (3, 3.0, True, np.float64(3), np.float32(3), np.array(3.0), np.array([3, 3])):
        for result in (x * other, other * x, x - other, other / x, x**other, other**x):
            assert isinstance(result, Tensor)
            assert result.dtype == np.float32
