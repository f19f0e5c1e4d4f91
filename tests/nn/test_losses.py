"""Losses: their values, their derivatives, and what they refuse."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fp8num import nn
from fp8num.nn import Tensor, cross_entropy, mean_square_error

RNG = np.random.default_rng(3)
LOGITS = 3 * RNG.standard_normal((5, 4))
LABELS = np.array([0, 3, 1, 1, 2])


def test_cross_entropy_is_the_mean_of_minus_the_logarithms() -> None:
    """Of each row's softmax at the label, in the arithmetic of Python's own floats."""
    rows = [
        math.log(math.fsum(math.exp(z) for z in row)) - row[label]
        for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True)
    ]
    expected = math.fsum(rows) / 5
    assert cross_entropy(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-14)


def test_cross_entropy_is_the_same_composed_of_rules() -> None:
    """Value and derivative, scaled by what comes in."""
    fused, composed = (Tensor(LOGITS, requires_grad=True) for _ in range(2))
    (7 * cross_entropy(fused, LABELS)).backward()
    rows = nn.logsumexp(composed, 1) - composed[np.arange(5), LABELS]
    (7 * rows.mean()).backward()
    np.testing.assert_allclose(fused.grad, composed.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_is_stable(dtype: Any) -> None:
    """For logits that overflow exp; and a row that is sure has a loss of e^-20, not 0."""
    z = Tensor(np.array([[1e4, 1e4], [1e4, 1e4 - 20]], dtype), requires_grad=True)

    loss = cross_entropy(z, [0, 1])
    loss.backward()

    assert loss.dtype == dtype
    assert z.grad is not None
    assert z.grad.dtype == dtype
    assert loss.item() == pytest.approx((math.log(2) + 20 + math.exp(-20)) / 2, rel=1e-6)
    np.testing.assert_allclose(z.grad, [[-0.25, 0.25], [0.5, -0.5]], rtol=1e-6)
    sure = cross_entropy(np.array([[1e4, 1e4 - 10]], np.float64), [0]).item()
    assert sure == pytest.approx(math.log1p(math.exp(-10)), rel=1e-11)


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_square_error"])
def test_a_loss_s_derivative_is_that_of_its_value(loss: str) -> None:
    """By differences in random directions, to 1e-6 relatively."""
    target = LABELS if loss == "cross_entropy" else RNG.standard_normal(LOGITS.shape)
    function = getattr(nn, loss)
    leaf = Tensor(LOGITS, requires_grad=True)
    function(leaf, target).backward()
    assert leaf.grad is not None
    for _ in range(5):
        direction = RNG.standard_normal(LOGITS.shape)
        ends = [function(LOGITS + h * direction, target).item() for h in (1e-4, -1e-4)]
        expected = (ends[0] - ends[1]) / 2e-4
        assert float(np.sum(leaf.grad * direction)) == pytest.approx(expected, rel=1e-6)


def test_both_operands_of_the_square_error_have_derivatives() -> None:
    """Opposite ones; and of a tensor against itself, none."""
    a, b = (RNG.standard_normal(3) for _ in range(2))
    first, second = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    mean_square_error(first, second).backward()
    np.testing.assert_allclose(first.grad, 2 * (a - b) / 3, rtol=1e-14)
    np.testing.assert_allclose(second.grad, 2 * (b - a) / 3, rtol=1e-14)
    itself = Tensor(a, requires_grad=True)
    mean_square_error(itself, itself).backward()
    np.testing.assert_array_equal(itself.grad, [0, 0, 0])


def test_the_square_error_is_the_exact_mean() -> None:
    x, y = [1.5, -2.0, 0.25], [1.0, 1.0, 1.0]
    squares = [(Fraction(a) - Fraction(b)) ** 2 for a, b in zip(x, y, strict=True)]
    assert mean_square_error(x, y).item() == pytest.approx(float(sum(squares) / 3), rel=1e-15)


def test_labels_may_have_any_integer_type_and_number_of_axes() -> None:
    """The classes are the logits' last axis."""
    expected = cross_entropy(LOGITS, LABELS).data
    for dtype in (np.int8, np.uint8, np.int64, np.uint64, ">i4"):
        np.testing.assert_array_equal(cross_entropy(LOGITS, LABELS.astype(dtype)).data, expected)
    deep = cross_entropy(LOGITS.reshape(5, 1, 4), LABELS.reshape(5, 1))
    np.testing.assert_array_equal(deep.data, expected)
    one = Tensor(LOGITS[0], requires_grad=True)
    cross_entropy(one, 2).backward()
    assert one.grad is not None
    assert abs(one.grad.sum()) < 1e-15


def test_the_loss_of_no_rows_is_nan() -> None:
    """Without a warning, and its derivative is empty."""
    for empty in ([], np.zeros(0, int)):
        z = Tensor(np.zeros((0, 3)), requires_grad=True)
        loss = cross_entropy(z, empty)
        loss.backward()
        assert math.isnan(loss.item())
        assert z.grad is not None
        assert z.grad.shape == (0, 3)
    assert math.isnan(mean_square_error(np.zeros((0, 2)), np.zeros((0, 2))).item())


def test_nan_and_infinity_come_through_without_a_warning() -> None:
    """Training looks at the loss, so it must show."""
    for value in (np.nan, np.inf):
        assert math.isnan(cross_entropy([[value, 0.0]], [0]).item())
        assert not math.isfinite(mean_square_error([value], [0.0]).item())
    assert cross_entropy([[-np.inf, 0.0]], [0]).item() == np.inf
    assert cross_entropy([[-np.inf, 0.0]], [1]).item() == 0


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ([0, 4, 0, 0, 0], ValueError, "labels must be from 0 to 3, .* 4 classes, got 4 at 1"),
        ([0, 0, 0, 0, -1], ValueError, "labels must be from 0 to 3, .* got -1 at 4"),
        ([0, 1], ValueError, r"one label for each row .* got shape \(2,\) for .* \(5, 4\)"),
        (np.zeros((5, 1), int), ValueError, r"got shape \(5, 1\) for logits of shape \(5, 4\)"),
        (np.zeros((5, 4)), TypeError, r"labels must be integers, got float64 of shape \(5, 4\)"),
        ([True] * 5, TypeError, "labels must be integers, got bool"),
        (Tensor(np.zeros(5)), TypeError, "labels must be integers, got float64"),
        (np.array([0, 2**63, 0, 0, 0], np.uint64), ValueError, f"got {2**63} at 1"),
    ],
    ids=str,
)
def test_labels_that_are_none_are_refused(labels: Any, kind: Any, message: str) -> None:
    """The loss is named; -1 is not the last class."""
    with pytest.raises(kind, match=f"^cross_entropy: .*{message}"):
        cross_entropy(LOGITS, labels)


def test_logits_must_have_classes() -> None:
    with pytest.raises(ValueError, match=r"cross_entropy: labels must .* logits of shape \(\)"):
        cross_entropy(1.0, 0)
    with pytest.raises(ValueError, match="cross_entropy: logits must have at least one class"):
        cross_entropy(np.zeros((0, 0)), [])
    with pytest.raises(TypeError, match="cross_entropy must .* float32 or float64, got float16"):
        cross_entropy(np.zeros((1, 2), np.float16), [0])


def test_the_square_error_broadcasts_nothing() -> None:
    """(N, 1) against (N,) would be N x N."""
    with pytest.raises(
        ValueError, match=r"mean_square_error: .* one shape, got \(5, 1\) and \(5,\)"
    ):
        mean_square_error(np.zeros((5, 1)), np.zeros(5))
    with pytest.raises(
        TypeError, match="mean_square_error must .* one type, .* got float32 and float64"
    ):
        mean_square_error(np.zeros(2), np.zeros(2, np.float32))
