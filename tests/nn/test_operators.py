"""What a tensor is in Python: compared, counted, looped over, and not mistaken for an array."""

from __future__ import annotations

import copy
import operator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num import nn
from fp8num.nn.tape import is_recording
from fp8num.nn.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = np.array([[1.0, -2.0, 0.0], [np.nan, np.inf, 5.0]])
COMPARISONS = [
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
]


def leaf(data: Any = DATA) -> Tensor:
    return Tensor(data, requires_grad=True, name="w")


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize(
    "other",
    [0, 1.0, np.float32(1), True, DATA[::-1], DATA[0], [1.0, -2.0, 5.0], np.array([1, 2, 3])],
    ids=repr,
)
def test_comparisons_are_those_of_the_arrays(compare: Callable[..., Any], other: Any) -> None:
    """Element by element, on either side; nothing is recorded."""
    for found, expected in (
        (compare(leaf(), other), compare(DATA, np.asarray(other))),
        (compare(other, leaf()), compare(np.asarray(other), DATA)),
    ):
        assert type(found) is np.ndarray
        assert found.dtype == np.bool_
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("compare", COMPARISONS)
def test_tensors_are_compared_by_value(compare: Callable[..., Any]) -> None:
    np.testing.assert_array_equal(compare(leaf(), leaf(DATA[::-1])), compare(DATA, DATA[::-1]))


def test_a_number_is_compared_in_the_tensor_s_type() -> None:
    """As in arithmetic, where x - 0.1 is 0."""
    x = Tensor(np.array([0.1], np.float32))
    for other in (0.1, np.float64(0.1), np.array(0.1)):
        assert (x == other).all()
        assert (x - other).item() == 0
    assert not (x == np.array([0.1])).any()  # an array has a type of its own


def test_what_is_no_number_is_not_equal() -> None:
    x = leaf()
    others: list[Any] = [None, "w", object(), np.array(["w"])]
    for other in others:
        same, different = operator.eq(x, other), operator.ne(x, other)
        assert same is False
        assert different is True
    with pytest.raises(
        TypeError, match="'<' not supported between instances of 'Tensor' and 'str'"
    ):
        _ = x < "w"
    with pytest.raises(ValueError, match=r"broadcast"):
        _ = x == np.ones(2)


def test_a_comparison_is_what_where_and_indices_take() -> None:
    x = leaf([1.0, -2.0, 3.0])
    (nn.where(x > 0, x, 0) + 0 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 0, 1])
    x.zero_grad()
    x[x < 0].sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 1, 0])


def test_tensors_are_keys_by_identity() -> None:
    """Equal values are not one node; the pass over a graph depends on that."""
    a, b = leaf([1.0]), leaf([1.0])
    assert {a: 1, b: 2}[a] == 1
    assert len({a, b}) == 2
    (a + b * 2).backward()
    np.testing.assert_array_equal([a.grad, b.grad], [[1], [2]])


@pytest.mark.parametrize("data", [1.0, [], [1.0], DATA])
def test_a_tensor_is_no_condition(data: Any) -> None:
    """Not even one of one element: `if loss:` is a mistake, and always was true."""
    with pytest.raises(
        TypeError, match=r"must not be used as a condition, got w of shape .*any\(\)"
    ):
        bool(leaf(data))


def test_numbers_of_one_element() -> None:
    for data in (2.5, [2.5], [[2.5]]):
        x = leaf(data)
        assert (float(x), int(x), x.item()) == (2.5, 2, 2.5)
        assert type(float(x)) is float
    for convert in (float, int, Tensor.item):
        with pytest.raises(
            ValueError, match=r"item\(\) must be asked of one element, got w of shap"
        ):
            convert(leaf())


def test_length_and_loops_go_along_the_first_axis() -> None:
    """Rows are indexed, so their derivatives are recorded."""
    x = leaf(np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    assert len(x) == 3
    first, _, last = x
    (first * last).sum().backward()
    np.testing.assert_array_equal(x.grad, [[5, 6], [0, 0], [1, 2]])
    assert len(leaf(np.zeros((0, 3)))) == 0
    assert list(leaf(np.zeros((0, 3)))) == []
    assert operator.contains(leaf([3.0, 4.0]), 4.0)  # type: ignore[arg-type]  # Python loops
    assert not operator.contains(leaf([3.0, 4.0]), 5.0)  # type: ignore[arg-type]  # as above
    for function in (len, iter):
        with pytest.raises(
            TypeError, match=r"a tensor must have an axis for len.* got w of shape \(\)"
        ):
            function(leaf(1.0))


@pytest.mark.parametrize(
    "function",
    [
        np.asarray,
        lambda x: np.asarray(x, np.float32),
        lambda x: np.array([x, x]),
        np.sum,
        lambda x: np.zeros(3)[x],
        lambda x: Tensor([x, x]),
        lambda x: nn.add(x, [x, x]),
    ],
)
def test_a_tensor_is_not_made_an_array_in_silence(function: Callable[[Tensor], Any]) -> None:
    """NumPy would go on without derivatives, or with an array of objects."""
    with pytest.raises(TypeError):
        function(leaf())


def test_the_message_says_where_the_array_is() -> None:
    with pytest.raises(
        TypeError, match=r"made an array in silence, got w of shape \(2, 3\); .* x.data is the arr"
    ):
        np.asarray(leaf())


IN_PLACE = [
    operator.iadd,
    operator.isub,
    operator.imul,
    operator.itruediv,
    operator.imatmul,
    operator.ipow,
]


@pytest.mark.parametrize("change", IN_PLACE)
@pytest.mark.parametrize("recording", [True, False])
def test_a_parameter_is_not_changed_in_place(
    change: Callable[..., Any],
    recording: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """`w -= step` would make w another tensor, and train nothing."""
    w = leaf(np.eye(2))
    with (
        nullcontext() if recording else nn.no_grad(),
        pytest.raises(TypeError, match=r"must not be changed in place, got w .*w.data -= step"),
    ):
        change(w, np.eye(2))
    np.testing.assert_array_equal(w.data, np.eye(2))


@pytest.mark.parametrize("change", IN_PLACE)
def test_results_and_constants_are_made_anew(change: Callable[..., Any]) -> None:
    """A total may be added up: the one before stays as it was."""
    for before in (leaf(np.eye(2)) * 2, Tensor(np.eye(2) * 2)):
        after = change(before, 2 * np.eye(2))
        assert after is not before
        np.testing.assert_array_equal(before.data, 2 * np.eye(2))
        assert after.requires_grad == before.requires_grad


def test_an_array_in_place_is_the_way() -> None:
    w = leaf([1.0, 2.0])
    array = w.data
    w.data -= 0.5
    assert w.data is array
    np.testing.assert_array_equal(array, [0.5, 1.5])
    with pytest.raises(TypeError, match="does not support item assignment"):
        w[0] = 1.0  # type: ignore[index]


def test_axes_may_come_as_one_tuple() -> None:
    x = leaf(np.zeros((2, 3, 4)))
    assert x.transpose((1, 0, 2)).shape == x.transpose(1, 0, 2).shape == (3, 2, 4)
    assert x.transpose().shape == x.T.shape == (4, 3, 2)


def test_copies_are_other_tensors() -> None:
    w = leaf([1.0])
    assert copy.deepcopy(w) is not w
    assert hash(copy.copy(w)) != hash(w)


def test_a_deep_copy_of_a_leaf_shares_nothing() -> None:
    w = leaf([1.0, 2.0])
    (w * w).sum().backward()
    found = copy.deepcopy({"a": w, "b": w})
    assert found["a"] is found["b"]
    for mine, theirs in ((found["a"].data, w.data), (found["a"].grad, w.grad)):
        np.testing.assert_array_equal(mine, theirs)
        assert not np.shares_memory(mine, theirs)
    assert (found["a"].name, found["a"].requires_grad) == ("w", True)


def test_a_result_is_not_copied_with_its_graph() -> None:
    """The copy would lead to copies of the leaves, or to none."""
    y = leaf([1.0]) * 2
    with pytest.raises(
        TypeError, match=r"computed must not be copied .* got multiply of shape \(1,\); copy detach"
    ):
        copy.deepcopy(y)
    assert copy.deepcopy(y.detach()).data.tolist() == [2.0]


def test_a_size_counts_elements() -> None:
    assert [Tensor(np.zeros(shape)).size for shape in ((), (0, 3), (2, 3))] == [1, 0, 6]


def test_an_array_leaves_its_operators_to_the_tensor() -> None:
    """Also NumPy's numbers, matrices' own operators, and those in place."""
    x = leaf([1.0, 2.0])
    for other in (np.array([3.0, 4.0]), np.float64(3.0)):
        for function in (operator.add, operator.mul, operator.sub, operator.truediv, operator.pow):
            result = function(other, x)
            assert isinstance(result, Tensor)
            assert result.requires_grad
    total = np.zeros(2)
    total += x
    assert isinstance(total, Tensor)
    assert isinstance(np.ones((1, 2)) @ x, Tensor)


def test_whether_results_are_remembered() -> None:
    assert is_recording()
    with nn.no_grad():
        assert not is_recording()


# What a tensor is made of.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data": [[1.0], [1.0, 2.0]]}, ValueError, "data must be an array of numbers, got list: "),
        (
            {"data": np.ma.masked_less([1.0, -1.0, -2.0], 0)},
            TypeError,
            r"data must not be a masked array, .* of shape \(3,\) with 2 masked; .filled\(value\)",
        ),
        ({"data": {}}, TypeError, r"data must be float32 or float64, .* got object of shape \(\)$"),
        ({"data": [1, None]}, TypeError, r"got object of shape \(2,\)$"),
        ({"data": 1.0, "requires_grad": "w"}, TypeError, "requires_grad must be .* got 'w'"),
        ({"data": 1.0, "requires_grad": 1}, TypeError, "requires_grad must be True or False, got"),
        ({"data": 1.0, "name": 3}, TypeError, "name must be text, got int 3"),
        ({"data": leaf()}, TypeError, r"data must be an array, got a Tensor; .detach\(\) gives"),
    ],
)  # fmt: skip
def test_what_no_tensor_is_made_of(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Tensor(**arguments)


def test_what_a_tensor_is_made_of() -> None:
    """Lists of floats, arrays of any strides and byte order."""
    for data in (
        [[1.0, 2.0], [3.0, 4.0]],
        ((1.0, 2.0), (3.0, 4.0)),
        np.array([[1.0, 2.0], [3.0, 4.0]], ">f8"),
        np.array([[1.0, 3.0], [2.0, 4.0]]).T,
    ):
        x = Tensor(data, requires_grad=np.ones(1, bool)[0])
        assert type(x.data) is np.ndarray
        assert x.data.dtype == np.float64
        assert x.data.dtype.isnative
        assert x.data.flags.c_contiguous
        np.testing.assert_array_equal(x.data, [[1, 2], [3, 4]])


def test_masks_are_not_forgotten_in_arithmetic() -> None:
    """From either side, in comparisons too."""
    masked = np.ma.masked_equal([0.0, 1.0], 0.0)
    with pytest.raises(TypeError, match="an operand of add must not be a masked array"):
        Tensor([1.0, 2.0]) + masked
    with pytest.raises(TypeError, match="an operand of subtract must not be a masked array"):
        masked - Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="an operand must not be a masked array"):
        Tensor([1.0, 2.0]) < masked  # noqa: B015 - whether it is refused


def test_a_gradient_is_not_a_tensor() -> None:
    with pytest.raises(TypeError, match=r"grad must be an array, got a Tensor of shape \(1,\)"):
        (leaf([1.0]) * 2).backward(Tensor([1.0]))


# Rules by name.


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("expp", DATA), {}, ValueError, "name must be that of a rule, got 'expp'; did you mean e"),
        (("??", DATA), {}, ValueError, r"got '\?\?'; there are add, subtract"),
        ((3, DATA), {}, ValueError, "name must be that of a rule, got 3"),
        ((["exp"], DATA), {}, ValueError, r"name must be that of a rule, got \['exp'\]"),
        (("exp",), {}, TypeError, "exp must be given 1 operand, got 0"),
        (("exp", DATA, DATA), {}, TypeError, "exp must be given 1 operand, got 2"),
        (("add", DATA, DATA, DATA), {}, TypeError, "add must be given 2 operands, got 3"),
        (("concatenate",), {"axis": 0}, ValueError, "concatenate must be given at least one opera"),
        (("sum", DATA), {}, TypeError, r"sum must be given axis and keepdims, got none; fp8num.nn"),
        (("exp", DATA), {"axis": 1}, TypeError, "exp must be given no options, got axis"),
        (("gelu", DATA), {"axis": 1}, TypeError, "gelu must be given approximate, got axis"),
        (
            ("where", DATA, DATA),
            {"condition": DATA},
            TypeError,
            "(?s)where must be given options of the types .*must be an array of booleans",
        ),
        (
            ("transpose", DATA),
            {"axes": (0, 0)},
            ValueError,
            "transpose must be given shapes and options that fit each other, got .*repeated axis",
        ),
        (("sum", DATA), {"axis": "a", "keepdims": False}, TypeError, "sum must be given options o"),
    ],
)  # fmt: skip
def test_rules_are_given_what_they_take(
    arguments: Any, options: Any, error: type[Exception], message: str
) -> None:
    """What shapes are not to blame for is not blamed on them."""
    with pytest.raises(error, match=message):
        nn.apply(*arguments, **options)


def test_no_operand_is_written_to() -> None:
    """NumPy's functions take one operand more than they read, for the result."""
    x, y = leaf(np.ones(3)), np.zeros(3)
    for arguments in (("exp", x, y), ("exp", y, x), ("add", x, x, y), ("multiply", y, y, x)):
        with pytest.raises(TypeError, match="must be given . operand"):
            nn.apply(*arguments)
    np.testing.assert_array_equal(x.data, np.ones(3))
    np.testing.assert_array_equal(y, np.zeros(3))


@pytest.mark.parametrize("name", nn.RULES)
def test_every_rule_knows_its_arguments(name: str) -> None:
    """The functions of the package give just what the table wants."""
    known: dict[str, dict[str, Any]] = {
        "reshape": {"shape": (3, 2)},
        "transpose": {"axes": None},
        "index": {"key": 0},
        "where": {"condition": DATA > 0},
        "gelu": {"approximate": "none"},
        "concatenate": {"axis": 0},
        "stack": {"axis": 0},
        "clip": {"low": 0.0, "high": 1.0},
        "softmax": {"axis": -1},
        "log_softmax": {"axis": -1},
    }
    options = known.get(name, {})
    if name in {"sum", "mean", "max", "min", "logsumexp"}:
        options = {"axis": None, "keepdims": False}
    count = len(nn.RULES[name].derivatives) or 3
    x = leaf(np.eye(3)[:2] + 1 if name != "matmul" else np.eye(3))

    nn.apply(name, *[x] * count, **options).sum().backward()

    assert x.grad is not None
