"""Real and synthetic tensors that come with the package.

The real ones are the UCI handwritten digits, a linear softmax classifier fitted to
them, and its gradients, whose small elements are what narrow formats lose.  See
``data/README.md`` for the origin and licence of the digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._kernels.state import float_arithmetic
from fp8num.inputs.source import StoredTensor, tensor_from_array

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Digits", "builtin_tensors", "load_digits"]

TRAINING_IMAGES = 1437  #: the first ones; the last 360 are held out
PENALTY = 1e-3  #: of half the hessiand norm of the parameters, beside the mean loss
SAMPLES = 1 << 16

_Matrix: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Digits:
    """
    The handwritten digits.

    Attributes
    ----------
    pixels : ndarray of float32, shape (1797, 64)
        Ink in each of 8x8 cells, row by row, from 0 to 1 in steps of 1/16.
    labels : ndarray of int64, shape (1797,)
        The digit, 0 to 9.
    """

    pixels: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def load_digits() -> Digits:
    """
    Load the 1,797 handwritten digits of UCI and scikit-learn.

    Returns
    -------
    Digits
        Fresh arrays, in the original order.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
    Machine Learning Repository (1998), doi:10.24432/C50P49, CC BY 4.0.

    Examples
    --------
    >>> digits = load_digits()
    >>> digits.pixels.shape, digits.labels[:10].tolist()
    ((1797, 64), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    path = files("fp8num.inputs") / "data" / "digits.npz"
    with path.open("rb") as stream, np.load(stream) as archive:
        pixels = archive["pixels"].astype(np.float32) / np.float32(16)
        labels = archive["labels"].astype(np.int64)
    return Digits(pixels=pixels, labels=labels)


#: Of the built-in tensors, in their order.
BUILTIN_NAMES = (
    "digits.pixels", "softmax.weight", "softmax.bias", "softmax.logits", "softmax.weight_grad",
    "softmax.logits_grad", "normal", "laplace", "student_t3", "lognormal",
)  # fmt: skip


@float_arithmetic
def builtin_tensors() -> tuple[StoredTensor, ...]:
    """
    Return the built-in tensors, all float32.

    Returns
    -------
    tuple of StoredTensor
        ``digits.pixels`` (1797, 64): the images.
        ``softmax.weight`` (64, 10), ``softmax.bias`` (10,): a softmax classifier
        fitted to the first 1,437 images.
        ``softmax.logits`` (1797, 10): its outputs before the softmax.
        ``softmax.weight_grad`` (64, 10): gradient of the mean loss with respect to
        the weight where training starts, at zero.
        ``softmax.logits_grad`` (1437, 10): gradient of the mean loss with respect to
        the logits where it ends; most elements are tiny.
        ``normal``, ``laplace``, ``student_t3`` (3 degrees of freedom), ``lognormal``
        (sigma 2), each (65536,): samples of scale 1 with fixed seeds.

    Notes
    -----
    The parameters are multiples of 2**-12 and the pixels of 2**-4, so the logits are
    exact in any order of summation, and do not depend on the BLAS library.  The last
    bit of ``softmax.logits_grad`` and of the samples may differ between versions of
    NumPy and of the C library.

    Examples
    --------
    >>> for tensor in builtin_tensors()[:3]:
    ...     print(tensor.name, tensor.dtype, tensor.shape)
    digits.pixels F32 (1797, 64)
    softmax.weight F32 (64, 10)
    softmax.bias F32 (10,)
    """
    arrays = {"digits.pixels": load_digits().pixels, **_softmax_arrays(), **_samples()}
    return tuple(tensor_from_array(name, arrays[name]) for name in BUILTIN_NAMES)


@cache
def _softmax_arrays() -> dict[str, npt.NDArray[np.float32]]:
    """Fit the classifier and return its parameters, outputs and gradients."""
    digits = load_digits()
    pixels = digits.pixels.astype(np.float64)
    inputs = np.column_stack([pixels, np.ones(len(pixels))])  # the last row is the bias
    targets = np.eye(10)[digits.labels]
    training, wanted = inputs[:TRAINING_IMAGES], targets[:TRAINING_IMAGES]

    # Newton's method ends within 1e-10 of the one minimum whatever the rounding
    # errors on the way, so its result rounds to the same multiples of 2^-12.
    parameters = np.rint(_fit(training, wanted) * 2**12) / 2**12
    logits = inputs @ parameters
    logits_grad = (_softmax(logits[:TRAINING_IMAGES]) - wanted) / TRAINING_IMAGES
    # At zero every class has the probability 1/10.  Scaled by 10, the residual is
    # an integer and the product exact.
    weight_grad = (pixels[:TRAINING_IMAGES].T @ (1 - 10 * wanted)) / (10 * TRAINING_IMAGES)
    return {
        "softmax.weight": parameters[:-1].astype(np.float32),
        "softmax.bias": parameters[-1].astype(np.float32),
        "softmax.logits": logits.astype(np.float32),
        "softmax.weight_grad": weight_grad.astype(np.float32),
        "softmax.logits_grad": logits_grad.astype(np.float32),
    }


def _softmax(logits: _Matrix) -> _Matrix:
    exponentials: _Matrix = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def _fit(inputs: _Matrix, targets: _Matrix) -> _Matrix:
    """
    Minimise the mean cross-entropy plus the penalty from zero, by Newton's method.

    Each step is solved by conjugate gradients, which need only products with the
    Hessian.  ``np.einsum`` makes them without BLAS, whose threads would cost more
    than they save at this size where cores are few or shared.
    """
    count = len(inputs)
    x = np.ascontiguousarray(inputs.T)  # (features, images)
    y = np.ascontiguousarray(targets.T)  # (classes, images)
    parameters = np.zeros((len(y), len(x)))
    for _ in range(20):  # it takes 7
        p = np.ascontiguousarray(_softmax(np.einsum("fn,kf->nk", x, parameters)).T)
        gradient = np.einsum("kn,fn->kf", p - y, x) / count + PENALTY * parameters
        if np.linalg.norm(gradient) < 1e-13:  # the penalty bends by 1e-3: within 1e-10
            return parameters.T

        def hessian(v: _Matrix, p: _Matrix = p) -> _Matrix:
            z = np.einsum("kf,fn->kn", v, x)
            slope = p * (z - (p * z).sum(axis=0))
            product: _Matrix = np.einsum("kn,fn->kf", slope, x) / count + PENALTY * v
            return product

        parameters -= _conjugate_gradients(hessian, gradient)
    msg = "Newton's method did not converge"
    raise AssertionError(msg)


def _conjugate_gradients(apply: Callable[[_Matrix], _Matrix], right: _Matrix) -> _Matrix:
    """Solve ``apply(x) = right`` for a positive definite linear map."""
    solution = np.zeros_like(right)
    residual = right.copy()
    direction = residual.copy()
    square = (residual**2).sum()
    # A residual of the order of the squared gradient keeps Newton's convergence quadratic.
    enough = square * min(0.01, square)
    while square > max(enough, 1e-30):
        image = apply(direction)
        step = square / (direction * image).sum()
        solution += step * direction
        residual -= step * image
        previous, square = square, (residual**2).sum()
        direction = residual + square / previous * direction
    return solution


def _samples() -> dict[str, npt.NDArray[np.float32]]:
    """Draw the synthetic tensors, each from a generator of its own."""

    def rng(seed: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(seed))

    draws = {
        "normal": rng(1).standard_normal(SAMPLES),
        "laplace": rng(2).laplace(size=SAMPLES),
        "student_t3": rng(3).standard_t(3, SAMPLES),
        "lognormal": rng(4).lognormal(sigma=2, size=SAMPLES),
    }
    return {name: draw.astype(np.float32) for name, draw in draws.items()}
