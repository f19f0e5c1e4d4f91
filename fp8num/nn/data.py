"""
Data sets that need no file but the package's own.

::

    digits         1,797 handwritten digits, 64 pixels; folds with every digit's share
    teacher        Gaussian inputs, labels by a random network, none near a boundary
    spirals        points of the plane on interleaved arms
    random_labels  inputs and labels without relation: what is learned is learned by heart

The same arguments give the same data.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from fp8num._arguments import integer, number
from fp8num._kernels.state import float_arithmetic
from fp8num.nn.dataset import Dataset, Inputs, Labels, batches

__all__ = ["Dataset", "batches", "digits", "random_labels", "spirals", "teacher"]

#: Draws of the teacher's inputs, in multiples of what is asked for, before it gives up.
_PATIENCE = 100


@float_arithmetic
def digits(fold: int = 0, folds: int = 5, seed: int = 0) -> Dataset:
    """
    Return the handwritten digits with one of several folds held out.

    Parameters
    ----------
    fold : int, optional
        Which fold is held out, from 0.
    folds : int, optional
        How many there are, at least 2.  The sizes of two folds differ by one image at most,
        and so do their numbers of any digit.
    seed : int, optional
        Of the shuffle that makes the folds.

    Returns
    -------
    Dataset
        Of 10 classes and 64 features; both parts in the original order.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer or out of range.

    Notes
    -----
    Pixels go from 0 to 1 in steps of 1/16.  They are not standardised: that would take
    statistics from the images, divide by the zero deviation of pixels that are always blank,
    and give values that no small format holds.  These have at most 4 significant bits, so
    E4M3FN holds them exactly, and E5M2 does not.

    Folds share writers: of an image held out, others by the same hand may be trained on.
    The shuffle uses the generator's raw words, which no version of NumPy changes.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
    Machine Learning Repository (1998), doi:10.24432/C50P49, CC BY 4.0.

    Examples
    --------
    >>> data = digits(fold=4)
    >>> data.x.shape, data.test_x.shape, float(data.x.max())
    ((1438, 64), (359, 64), 1.0)
    """
    count, held_out = integer("folds", folds, 2), integer("fold", fold, 0)
    # The data file lies with `inputs`, beside this layer; none of its modules is needed.
    path = files("fp8num") / "inputs" / "data" / "digits.npz"
    with path.open("rb") as stream, np.load(stream) as archive:
        x = archive["pixels"].astype(np.float32) / np.float32(16)
        y = archive["labels"].astype(np.int64)
    if held_out >= count:
        msg = f"fold must be less than folds, {count}, got {held_out}"
        raise ValueError(msg)
    if count > len(y):
        msg = f"folds must be at most the {len(y)} images, got {count}"
        raise ValueError(msg)
    # Deal the images out in turn, digit by digit, the images of a digit in random order.
    words = np.random.PCG64(integer("seed", seed, 0)).random_raw(len(y))
    order = np.lexsort((words, y))
    test = np.zeros(len(y), bool)
    test[order[held_out::count]] = True
    name = f"digits, fold {held_out} of {count} held out"
    return Dataset(name, x[~test], y[~test], 10, x[test], y[test])


@float_arithmetic
def teacher(
    n: int = 4096,
    test: int = 1024,
    *,
    features: int = 32,
    hidden: int = 32,
    classes: int = 10,
    margin: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """
    Return Gaussian inputs with labels from a random network.

    Parameters
    ----------
    n, test : int, optional
        Inputs to train on, and held out.
    features, hidden, classes : int, optional
        Widths of the network: a layer, tanh, a layer.
    margin : float, optional
        How much the largest output must lead the second one; other inputs are dropped.
        Outputs have a standard deviation of about 1.
    seed : int, optional
        Of the network and the inputs.

    Returns
    -------
    Dataset
        Held-out inputs come from the same distribution; classes are of unequal size.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the margin leaves too few inputs.

    Examples
    --------
    >>> data = teacher(n=100, test=20, features=8, classes=3)
    >>> data.x.shape, data.test_y.shape, data.classes
    ((100, 8), (20,), 3)
    """
    n, test = integer("n", n, 0), integer("test", test, 0)
    features, hidden = integer("features", features, 1), integer("hidden", hidden, 1)
    classes, margin = integer("classes", classes, 2), number("margin", margin, at_least=0)
    rng = np.random.Generator(np.random.PCG64(integer("seed", seed, 0)))
    # Unit inputs of tanh, of which 0.394 is the mean square: outputs of unit variance.
    first = rng.standard_normal((features, hidden)) / np.sqrt(features)
    last = rng.standard_normal((hidden, classes)) / np.sqrt(0.394 * hidden)
    xs, ys, found = [np.empty((0, features), np.float32)], [np.empty(0, np.int64)], 0
    wanted, drawn = n + test, 0
    while found < wanted:
        if drawn >= _PATIENCE * wanted:
            msg = (
                f"margin must leave at least one input in {_PATIENCE}, "
                f"got {margin} and {found} of {drawn}"
            )
            raise ValueError(msg)
        x = rng.standard_normal((wanted, features), dtype=np.float32)
        outputs = np.tanh(x.astype(np.float64) @ first) @ last
        second, best = np.partition(outputs, classes - 2, axis=1)[:, -2:].T
        clear = best - second >= margin
        xs.append(x[clear])
        ys.append(outputs[clear].argmax(axis=1))
        found, drawn = found + int(clear.sum()), drawn + wanted
    return _split(
        f"teacher, margin {margin:g}", np.concatenate(xs), np.concatenate(ys), classes, (n, test)
    )


@float_arithmetic
def spirals(
    n: int = 1000,
    test: int = 500,
    *,
    classes: int = 3,
    turns: float = 1.0,
    noise: float = 0.02,
    seed: int = 0,
) -> Dataset:
    """
    Return points of the plane on interleaved spirals, an arm for each class.

    Parameters
    ----------
    n, test : int, optional
        Points to train on, and held out.
    classes : int, optional
        Arms.
    turns : float, optional
        How often an arm goes round from the centre to radius 1, above 0.
    noise : float, optional
        Standard deviation that is added to both coordinates, at least 0.
    seed : int, optional
        Of the radii, the order and the noise.

    Returns
    -------
    Dataset
        Of 2 features; of both parts each class has the same number, within one.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Examples
    --------
    >>> data = spirals(n=300, test=90)
    >>> data.x.shape, np.bincount(data.y).tolist()
    ((300, 2), [100, 100, 100])
    """
    n, test = integer("n", n, 0), integer("test", test, 0)
    classes, noise = integer("classes", classes, 2), number("noise", noise, at_least=0)
    turns = number("turns", turns, above=0)
    rng = np.random.Generator(np.random.PCG64(integer("seed", seed, 0)))
    y = np.concatenate([rng.permutation(np.arange(count) % classes) for count in (n, test)])
    radius = np.sqrt(rng.uniform(0.01, 1.0, n + test))  # as many per area; not at the centre
    angle = 2 * np.pi * (turns * radius + y / classes)
    x = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    x += noise * rng.standard_normal(x.shape)
    return _split(f"spirals, {classes} arms", x.astype(np.float32), y, classes, (n, test))


@float_arithmetic
def random_labels(
    n: int = 1000, features: int = 100, classes: int = 10, seed: int = 0, *, test: int = 200
) -> Dataset:
    """
    Return Gaussian inputs with labels drawn without looking at them.

    Parameters
    ----------
    n : int, optional
        Inputs to train on.
    features : int, optional
        Length of an input.
    classes : int, optional
        Labels are uniform from 0 to ``classes - 1``.
    seed : int, optional
        Of inputs and labels.
    test : int, optional
        Inputs held out, whose labels nothing can predict: an accuracy there of other than
        about ``1 / classes`` is a mistake in the measurement.

    Returns
    -------
    Dataset
        What can be learned is to know the training inputs by heart.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Examples
    --------
    >>> data = random_labels()
    >>> data.x.shape, data.classes
    ((1000, 100), 10)
    """
    n, test = integer("n", n, 0), integer("test", test, 0)
    features, classes = integer("features", features, 1), integer("classes", classes, 2)
    rng = np.random.Generator(np.random.PCG64(integer("seed", seed, 0)))
    x = rng.standard_normal((n + test, features), dtype=np.float32)
    y = rng.integers(0, classes, n + test, dtype=np.int64)
    return _split("random labels", x, y, classes, (n, test))


def _split(name: str, x: Inputs, y: Labels, classes: int, sizes: tuple[int, int]) -> Dataset:
    """Return the first inputs to train on, and as many after them as are held out."""
    n, test = sizes
    train, held_out = slice(n), slice(n, n + test)
    return Dataset(
        name, x[train].copy(), y[train].copy(), classes, x[held_out].copy(), y[held_out].copy()
    )
