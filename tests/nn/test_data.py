"""Data sets that are what their descriptions say, and batches that can be broken off."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.inputs import load_digits
from fp8num.nn.data import digits, random_labels, spirals, teacher
from fp8num.nn.dataset import Dataset, batches, generator_from, generator_state
from fp8num.nn.train import train

MAKES: dict[str, Any] = {
    "digits": lambda seed=0: digits(seed=seed),
    "teacher": lambda seed=0: teacher(300, 100, features=8, hidden=16, seed=seed),
    "spirals": lambda seed=0: spirals(300, 100, seed=seed),
    "random_labels": lambda seed=0: random_labels(300, 20, seed=seed, test=100),
}
by_set = pytest.mark.parametrize("name", MAKES)


def arrays(data: Dataset) -> list[np.ndarray]:
    return [data.x, data.y, data.test_x, data.test_y]


@by_set
def test_the_same_arguments_give_the_same_data(name: str) -> None:
    """In arrays of their own; another seed gives other data of the same sizes."""
    once, again, other = MAKES[name](), MAKES[name](), MAKES[name](seed=1)

    for a, b, c in zip(arrays(once), arrays(again), arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)
        assert a.dtype == c.dtype
        assert a.shape == c.shape
        assert a.tobytes() != c.tobytes()


@by_set
def test_arrays_are_as_documented(name: str) -> None:
    """C-contiguous too, since that is what a step reads; every class occurs."""
    data = MAKES[name]()
    assert [a.dtype for a in arrays(data)] == [np.float32, np.int64] * 2
    assert [a.ndim for a in arrays(data)] == [2, 1, 2, 1]
    assert all(a.flags.c_contiguous for a in arrays(data))
    assert data.features == data.x.shape[1]
    assert set(data.y.tolist()) == set(range(data.classes))


# Digits.


@pytest.mark.parametrize(("folds", "seed"), [(2, 0), (5, 0), (5, 7), (7, 1), (1797, 0)])
def test_folds_part_the_digits(folds: int, seed: int) -> None:
    """Each image is held out once, its label beside it."""
    whole = load_digits()
    rows = {pixels.tobytes() + bytes([label]) for pixels, label in
            zip(whole.pixels, whole.labels, strict=True)}  # fmt: skip
    assert len(rows) == 1797
    seen: list[bytes] = []
    for fold in range(min(folds, 7)):
        data = digits(fold, folds, seed)
        keys = [
            [x.tobytes() + bytes([y]) for x, y in zip(xs, ys, strict=True)]
            for xs, ys in ((data.x, data.y), (data.test_x, data.test_y))
        ]
        assert sorted(keys[0] + keys[1]) == sorted(rows)
        seen += keys[1]
    assert len(seen) == len(set(seen))
    assert len(seen) == 1797 or folds == 1797


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_folds_are_stratified(folds: int) -> None:
    """Sizes, and numbers of each digit, differ by one at most."""
    tests = [digits(fold, folds).test_y for fold in range(folds)]
    counts = np.array([np.bincount(y, minlength=10) for y in tests])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1


def test_images_stay_in_their_order() -> None:
    """So that only the seed decides who is where."""
    data, whole = digits(1), load_digits().pixels
    place = {pixels.tobytes(): i for i, pixels in enumerate(whole)}
    for part in (data.x, data.test_x):
        rows = [place[pixels.tobytes()] for pixels in part]
        assert rows == sorted(rows)


def test_folds_are_shuffled() -> None:
    """Neighbours in the file, often by one writer, are held out together as if by chance."""
    held = np.zeros(1797, bool)
    place = {pixels.tobytes(): i for i, pixels in enumerate(load_digits().pixels)}
    held[[place[pixels.tobytes()] for pixels in digits(0).test_x]] = True
    both = np.mean(held[1:] & held[:-1])
    # 1/25 of 1,796 pairs, give or take 0.0046; five times that.
    assert both == pytest.approx(1 / 25, abs=0.023)


def test_pixels_are_exact_in_e4m3fn() -> None:
    """And not in E5M2, as the description says."""
    x = digits().x
    np.testing.assert_array_equal(x * 16, np.rint(x * 16))
    assert (x.min(), x.max()) == (0, 1)
    np.testing.assert_array_equal(fp.quantize(x, fp.E4M3FN), x)
    assert not np.array_equal(fp.quantize(x, fp.E5M2), x)


# Made ones.


@pytest.mark.parametrize("margin", [0.0, 0.1, 1.0])
def test_a_teacher_is_sure_of_its_labels(margin: float) -> None:
    """The network, made again, gives them with the margin, and outputs of the stated size."""
    data = teacher(2000, 500, features=16, hidden=64, classes=5, margin=margin, seed=3)
    rng = np.random.Generator(np.random.PCG64(3))
    first = rng.standard_normal((16, 64)) / 4
    last = rng.standard_normal((64, 5)) / math.sqrt(0.394 * 64)

    for x, y in ((data.x, data.y), (data.test_x, data.test_y)):
        outputs = np.tanh(x.astype(np.float64) @ first) @ last
        ordered = np.sort(outputs, axis=1)
        np.testing.assert_array_equal(outputs.argmax(axis=1), y)
        assert (ordered[:, -1] - ordered[:, -2]).min() >= margin
        assert np.std(outputs) == pytest.approx(1, abs=0.3)
    assert len(np.unique(data.x, axis=0)) == 2000


def test_a_teacher_s_inputs_are_gaussian_without_a_margin() -> None:
    """Mean 0 and variance 1 within five deviations of their estimates."""
    x = teacher(5000, 0, features=10, margin=0).x
    assert abs(x.mean()) < 5 / math.sqrt(x.size)
    assert abs(x.var() - 1) < 5 * math.sqrt(2 / x.size)


@pytest.mark.parametrize(("classes", "turns"), [(2, 0.5), (3, 1.0), (7, 1.75)])
def test_spirals_without_noise_are_spirals(classes: int, turns: float) -> None:
    """The angle says the arm, once the radius' part is taken off; radii fill the disc evenly."""
    data = spirals(700, 141, classes=classes, turns=turns, noise=0)
    for x, y in ((data.x, data.y), (data.test_x, data.test_y)):
        radius = np.hypot(*x.T.astype(np.float64))
        arm = (np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) - turns * radius) * classes
        apart = np.abs(np.remainder(arm - y + classes / 2, classes) - classes / 2)
        assert apart.max() < 1e-4
        assert radius.min() >= 0.1 - 1e-6
        assert radius.max() <= 1 + 1e-6
        assert np.mean(radius**2) == pytest.approx(0.505, abs=5 * 0.29 / math.sqrt(len(y)))
        assert np.ptp(np.bincount(y)) <= 1


def test_noise_moves_points_by_its_size() -> None:
    calm, loud = (spirals(3000, 0, noise=noise).x.astype(np.float64) for noise in (0, 0.05))
    moved = loud - calm
    assert np.std(moved) == pytest.approx(0.05, rel=5 / math.sqrt(2 * moved.size))


def test_random_labels_are_uniform_and_know_nothing_of_the_inputs() -> None:
    """
    Of the sizes that were asked for.

    Chi-square of 9 degrees exceeds 34 with probability 1e-4; each of 1,000 correlations has
    deviation 0.01, and one exceeds 5 of them with probability 6e-4.  The seed is fixed.
    """
    data = random_labels(10_000)
    counts = np.bincount(data.y, minlength=10)
    one_hot = np.eye(10)[data.y] - 0.1
    correlation = data.x.T.astype(np.float64) @ one_hot / (0.3 * 10_000)

    assert np.sum((counts - 1000) ** 2 / 1000) < 34
    assert np.abs(correlation).max() < 0.05
    assert abs(data.x.mean()) < 5e-3
    assert abs(data.x.std() - 1) < 5e-3


def test_random_labels_have_the_usual_sizes() -> None:
    """100 features, 10 classes, 1,000 samples."""
    data = random_labels()
    assert (data.x.shape, data.classes, data.test_x.shape) == ((1000, 100), 10, (200, 100))


# Batches.


def numbered(n: int) -> Dataset:
    """Return a set whose inputs say which they are."""
    x, y = np.arange(n, dtype=np.float32)[:, None], np.arange(n, dtype=np.int64)
    return Dataset("numbers", x, y, max(n, 2), x[:0], y[:0])


@pytest.mark.parametrize(("n", "size"), [(10, 1), (10, 3), (10, 5), (10, 10), (10, 99), (0, 4)])
def test_batches_have_everything_once(n: int, size: int) -> None:
    """Inputs with their labels; the last batch has what is left."""
    found = list(batches(numbered(n), size, np.random.default_rng(0)))

    sizes = [len(y) for _, y in found]
    assert sizes == [size] * (n // size) + [n % size] * (n % size > 0)
    assert all((x[:, 0] == y).all() for x, y in found)
    assert all((x.dtype, y.dtype) == (np.float32, np.int64) for x, y in found)
    assert sorted(int(v) for _, y in found for v in y) == list(range(n))


def test_batches_are_copies() -> None:
    data = numbered(4)
    for x, y in batches(data, 2, np.random.default_rng(0)):
        x[:], y[:] = -1, -1
    np.testing.assert_array_equal(data.y, range(4))
    np.testing.assert_array_equal(data.x[:, 0], range(4))


def test_the_order_is_the_generator_s_and_new_each_time() -> None:
    """It is drawn when the batches are asked for, not when the first one is taken."""
    data, rng, same = numbered(50), np.random.default_rng(5), np.random.default_rng(5)
    two = [batches(data, 7, rng) for _ in range(2)]
    orders = [[int(v) for _, y in found for v in y] for found in two]

    assert orders == [same.permutation(50).tolist() for _ in range(2)]


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_a_broken_off_epoch_continues(kind: str) -> None:
    """From the generator's state before it, through JSON, and with it all that follows."""
    rng = np.random.Generator(getattr(np.random, kind)(3))
    rng.integers(0, 9, 3, dtype=np.uint32)  # leaves half a word over
    state = json.loads(json.dumps(generator_state(rng)))
    data = numbered(23)
    epochs = [[y.tolist() for _, y in batches(data, 4, rng)] for _ in range(2)]
    later = rng.standard_normal(5)

    for start in range(8):
        again = generator_from(state)
        first = [y.tolist() for _, y in batches(data, 4, again, start=start)]
        second = [y.tolist() for _, y in batches(data, 4, again)]
        assert [first, second] == [epochs[0][start:], epochs[1]]
        np.testing.assert_array_equal(again.standard_normal(5), later)


def test_a_state_is_a_copy() -> None:
    rng = np.random.Generator(np.random.MT19937(0))
    state = generator_state(rng)
    kept = json.dumps(state)
    rng.standard_normal(1000)
    assert json.dumps(state) == kept


# Bad input.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: digits(5), r"fold must be less than folds, 5, got 5"),
        (lambda: digits(-1), r"fold must be an integer, at least 0, got -1"),
        (lambda: digits(0, 1), r"folds must be an integer, at least 2, got 1"),
        (lambda: digits(0, 1798), r"folds must be at most the 1797 images, got 1798"),
        (lambda: digits(seed=-1), r"seed must be an integer, at least 0, got -1"),
        (lambda: teacher(-1), r"n must be an integer, at least 0, got -1"),
        (lambda: teacher(9, -1), r"test must be an integer, at least 0, got -1"),
        (lambda: teacher(features=0), r"features must be an integer, at least 1, got 0"),
        (lambda: teacher(hidden=0), r"hidden must be an integer, at least 1, got 0"),
        (lambda: teacher(classes=1), r"classes must be an integer, at least 2, got 1"),
        (lambda: teacher(margin=-0.1), r"margin must be a finite number at least 0, got -0.1"),
        (lambda: teacher(9, 1, margin=99), r"margin must leave .* got 99.0 and 0 of 1000"),
        (lambda: spirals(turns=0), r"turns must be a finite number above 0, got 0"),
        (lambda: spirals(noise=np.nan), r"noise must be a finite number at least 0, got nan"),
        (lambda: spirals(classes=0), r"classes must be an integer, at least 2, got 0"),
        (lambda: random_labels(features=0), r"features must be an integer, at least 1, got 0"),
        (lambda: random_labels(classes=0), r"classes must be an integer, at least 2, got 0"),
    ],
)
def test_arguments_must_be_in_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("value", [1.0, "1", True, None, np.ones(1, int)])
def test_counts_must_be_integers(value: Any) -> None:
    for make in (digits, teacher, spirals, random_labels):
        with pytest.raises(TypeError, match=r"(fold|n) must be an integer, at least 0, got"):
            make(value)


X, Y = np.zeros((3, 2), np.float32), np.zeros(3, np.int64)
NAN = np.array([[0, 0], [0, np.nan], [0, 0]], np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X.astype(float)}, r"x must be a float32 array of shape \(n, .*\), got float64 of"),
        ({"test_x": X[0]}, r"test_x must be a float32 array .* got float32 of shape \(2,\)"),
        ({"test_x": X[:, :1]}, r"test_x must have 2 features as x, got 1"),
        ({"x": NAN}, r"x must be finite, got nan in row 1, column 1"),
        ({"test_x": X - np.float32(np.inf)}, r"test_x must be finite, got -inf in row 0, column 0"),
        ({"y": Y[:2]}, r"y must be an int64 array of shape \(3,\), got int64 of shape \(2,\)"),
        ({"y": Y.astype(np.int32)}, r"y must be an int64 array of shape \(3,\), got int32; y.ast"),
        (
            {"y": Y.astype(float)},
            r"y must be an int64 array .*, got float64; y.astype\(numpy.int64",
        ),
        ({"y": Y[:, None]}, r"got int64 of shape \(3, 1\); every input has one label"),
        (
            {"x": X.astype(np.int64)},
            r"got int64 of shape \(3, 2\); x.astype\(numpy.float32\) makes",
        ),
        ({"x": X.ravel()}, r"x must be .*, got float32 of shape \(6,\); an input is a row of it"),
        ({"x": X[:, :0], "test_x": X[:, :0]}, r"x must have at least one feature, .* \(3, 0\)"),
        ({"test_x": X.ravel()[:0]}, r"test_x must be .* \(0,\); x\[:0\] and y\[:0\] hold nothing"),
        ({"test_x": NAN}, r"test_x must be finite, got nan in row 1, column 1"),
        ({"y": Y + 2}, r"y must be from 0 to 1, got 2 in row 0; there are 2 classes"),
        ({"test_y": Y - np.array([0, 1, 0])}, r"test_y must be from 0 to 1, got -1 in row 1"),
        ({"classes": 1}, r"classes must be an integer, at least 2, got 1"),
    ],
)
def test_a_set_must_be_consistent(change: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"x": X, "y": Y, "classes": 2, "test_x": X, "test_y": Y, **change}
    with pytest.raises(ValueError, match=message):
        Dataset("mine", **fields)


def test_a_set_must_have_arrays() -> None:
    with pytest.raises(TypeError, match=r"x must be a float32 array .* got list"):
        Dataset("mine", X.tolist(), Y, 2, X, Y)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"test_y must be an int64 array .* got tuple"):
        Dataset("mine", X, Y, 2, X, (0, 0, 0))  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"test_x must be .* got NoneType; x\[:0\] and y\[:0\] hold"
    ):
        Dataset("mine", X, Y, 2, None, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"name of a data set must be text, got int"):
        Dataset(5, X, Y, 2, X, Y)  # type: ignore[arg-type]


def test_a_number_of_classes_may_be_numpy_s() -> None:
    """It goes into a checkpoint all the same."""
    data = Dataset("mine", X, Y, np.int64(2), X[:0], Y[:0])  # type: ignore[arg-type]
    assert type(data.classes) is int
    assert train(data, epochs=1, sizes=(2, 2)).parameters == 6


def test_a_set_is_frozen() -> None:
    with pytest.raises(AttributeError):
        numbered(2).x = X  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dataset": X}, TypeError, r"dataset must be a Dataset, got ndarray"),
        ({"rng": 0}, TypeError, r"rng must be a numpy.random.Generator, got int .*; numpy"),
        ({"size": 0}, ValueError, r"size must be an integer, at least 1, got 0"),
        ({"size": 2.0}, TypeError, r"size must be an integer, at least 1, got 2.0"),
        ({"start": -1}, ValueError, r"start must be an integer, at least 0, got -1"),
    ],
)
def test_batches_refuse_at_once(arguments: dict[str, Any], error: Any, message: str) -> None:
    """When they are asked for, and before anything is drawn."""
    rng = np.random.default_rng(0)
    before = generator_state(rng)
    with pytest.raises(error, match=message):
        batches(**{"dataset": numbered(3), "size": 2, "rng": rng, **arguments})
    assert generator_state(rng) == before


def test_a_state_of_no_generator_is_refused() -> None:
    state = generator_state(np.random.default_rng(0))
    with pytest.raises(TypeError, match=r"rng must be a numpy.random.Generator, got PCG64"):
        generator_state(np.random.PCG64(0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"state must be what .*, of PCG64, .* got 'os'"):
        generator_from({**state, "bit_generator": "os"})
    broken = [{"state": {}}, {"state": {"state": -1, "inc": 1}}, {"state": "x"}]
    for wrong in ({}, {"bit_generator": "PCG64"}, None, [1], *({**state, **b} for b in broken)):
        with pytest.raises(ValueError, match=r"state must be what generator_state\(\) returned"):
            generator_from(wrong)  # type: ignore[arg-type]
