"""Real and synthetic tensors that come with the package.

The real ones are the UCI handwritten digits, a linear softmax classifier fitted to
them, and its gradients, whose small elements are what narrow formats lose.  See
``data/README.md`` for the origin and licence of the digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from fp8num.inputs.source import StoredTensor, tensor_from_array

__all__ = ["Digits", "builtin_tensors", "load_digits"]

TRAINING_IMAGES = 1437  #: the rest, 360 images of other writers, is held out
PENALTY = 1e-3  #: of half the hessiand norm of the parameters, beside the mean loss
SAMPLES = 1 << 16


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
    return tuple(tensor_from_array(name, array) for name, array in arrays.items())


@cache
def _softmax_arrays() -> dict[str, npt.NDArray[np.float32]]:
    """Fit the classifier and return its parameters, outputs and gradients."""
    digits = load_digits()
    pixels = digits.pixels.astype(np.float64)
    inputs = np.column_stack([pixels, np.ones(len(pixels))])  # the last row is the bias
    targets = np.eye(10)[digits.labels]
    training, wanted = inputs[:TRAINING_IMAGES], targets[:TRAINING_IMAGES]

    # Newton's method ends within rounding errors of the one minimum, whatever
    # the BLAS library, so that its result rounds to the same multiples of 2^-12.
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


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    exponentials: npt.NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def _fit(
    inputs: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Minimise the mean cross-entropy plus the penalty by Newton's method from zero."""
    count, features = inputs.shape
    classes = targets.shape[1]
    parameters = np.zeros((features, classes))
    for _ in range(20):  # it takes 8
        p = _softmax(inputs @ parameters)
        gradient = inputs.T @ (p - targets) / count + PENALTY * parameters

        # The Hessian is the sum over images of (diag(p) - p p^T) kron (x x^T): the
        # second term in one product, the first on the diagonal blocks.
        outer = (p[:, :, None] * inputs[:, None, :]).reshape(count, classes * features)
        hessian = outer.T @ outer / -count
        for k in range(classes):
            block = slice(k * features, (k + 1) * features)
            hessian[block, block] += (inputs * p[:, k, None]).T @ inputs / count
        hessian[np.diag_indices_from(hessian)] += PENALTY

        step = np.linalg.solve(hessian, gradient.T.reshape(-1)).reshape(classes, features).T
        parameters -= step
        if np.abs(step).max() < 1e-12:  # quadratic: the next step would be nothing
            return parameters
    msg = "Newton's method did not converge"
    raise AssertionError(msg)


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
