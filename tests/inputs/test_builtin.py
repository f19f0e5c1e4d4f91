"""The built-in data: the same everywhere, and what their descriptions say."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from importlib.resources import files

import numpy as np
import pytest

from fp8num.inputs import StoredTensor, builtin_tensors, load_digits

TRAINING = 1437


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Every built-in tensor as an array, by name."""
    return {
        tensor.name: np.concatenate(list(tensor.blocks())).reshape(tensor.shape)
        for tensor in builtin_tensors()
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """The definition, in extended range by subtracting nothing: the logits are small."""
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_digits_have_the_recorded_digest() -> None:
    digits = load_digits()

    pixels = (digits.pixels * 16).astype(np.uint8)
    labels = digits.labels.astype(np.uint8)

    assert (digits.pixels.dtype, digits.labels.dtype) == (np.float32, np.int64)
    assert (digits.pixels.shape, digits.labels.shape) == ((1797, 64), (1797,))
    for array in (pixels, labels):
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        readme = (files("fp8num.inputs") / "data" / "README.md").read_text(encoding="utf-8")
        assert digest in readme


def test_digits_have_the_known_sums() -> None:
    """Counted in scikit-learn's digits.csv.gz."""
    digits = load_digits()

    assert int(digits.pixels.sum(dtype=np.float64) * 16) == 561_718
    assert (digits.pixels.min(), digits.pixels.max()) == (0, 1)
    counts = np.bincount(digits.labels).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_are_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="compares with scikit-learn")
    digits = load_digits()

    theirs = datasets.load_digits()

    np.testing.assert_array_equal(digits.pixels * 16, theirs.data)
    np.testing.assert_array_equal(digits.labels, theirs.target)


def test_digits_are_fresh_arrays() -> None:
    """Changing one does not change the next one loaded."""
    load_digits().pixels[:] = 9

    assert load_digits().pixels.max() == 1


def test_the_data_file_is_reproducible() -> None:
    """Fixed time stamps, so that the same data give the same file."""
    with zipfile.ZipFile(str(files("fp8num.inputs") / "data" / "digits.npz")) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert [member.filename for member in archive.infolist()] == ["pixels.npy", "labels.npy"]


def test_the_list_is_as_documented() -> None:
    expected = {
        "digits.pixels": (1797, 64),
        "softmax.weight": (64, 10),
        "softmax.bias": (10,),
        "softmax.logits": (1797, 10),
        "softmax.weight_grad": (64, 10),
        "softmax.logits_grad": (TRAINING, 10),
        "normal": (65536,),
        "laplace": (65536,),
        "student_t3": (65536,),
        "lognormal": (65536,),
    }

    tensors = builtin_tensors()

    assert {tensor.name: tensor.shape for tensor in tensors} == expected
    assert {(tensor.file, tensor.dtype, tensor.order) for tensor in tensors} == {
        ("built-in", "F32", "C")
    }
    for name in expected:
        assert f"``{name}``" in (builtin_tensors.__doc__ or "")


def test_two_calls_give_the_same(arrays: dict[str, np.ndarray]) -> None:
    """And what a caller does to a block stays with the caller."""
    for tensor in builtin_tensors():
        for block in tensor.blocks():
            block[:] = np.nan

    for tensor in builtin_tensors():
        again = np.concatenate(list(tensor.blocks()))
        np.testing.assert_array_equal(again, arrays[tensor.name].reshape(-1))


def test_parameters_do_not_depend_on_the_number_of_threads(arrays: dict[str, np.ndarray]) -> None:
    """They are rounded to multiples of 2^-12, far above what BLAS can change."""
    program = (
        "import hashlib; from fp8num.inputs import builtin_tensors\n"
        "for t in builtin_tensors()[:5]:\n"
        "    print(hashlib.sha256(b''.join(b.tobytes() for b in t.blocks())).hexdigest())"
    )
    threads = dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1")
    import os

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | threads | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    first_five = list(arrays.values())[:5]
    assert done.stdout.split() == [hashlib.sha256(a.tobytes()).hexdigest() for a in first_five]


def test_the_classifier_classifies(arrays: dict[str, np.ndarray]) -> None:
    """On the 360 images held out, and on those it was fitted to."""
    right = arrays["softmax.logits"].argmax(axis=1) == load_digits().labels

    assert right[:TRAINING].mean() > 0.98
    assert right[TRAINING:].mean() == pytest.approx(0.90, abs=0.01)


def test_the_classifier_is_the_minimum(arrays: dict[str, np.ndarray]) -> None:
    """SciPy's L-BFGS finds the same, to the rounding to multiples of 2^-12."""
    optimize = pytest.importorskip("scipy.optimize")
    digits = load_digits()
    pixels = digits.pixels[:TRAINING].astype(np.float64)
    targets = np.eye(10)[digits.labels[:TRAINING]]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[:640].reshape(64, 10), flat[640:]
        p = softmax(pixels @ weight + bias)
        slope = (p - targets) / TRAINING
        loss = -np.log((p * targets).sum(axis=1)).mean() + 0.5e-3 * (flat @ flat)
        gradient = np.concatenate([(pixels.T @ slope).reshape(-1), slope.sum(axis=0)])
        return loss, gradient + 1e-3 * flat

    options = {"maxiter": 2000, "maxcor": 50, "ftol": 0, "gtol": 1e-8}
    found = optimize.minimize(
        objective, np.zeros(650), jac=True, method="L-BFGS-B", options=options
    )

    ours = np.concatenate([arrays["softmax.weight"].reshape(-1), arrays["softmax.bias"]])
    # The objective bends by at least 1e-3, so a gradient of 1e-7 leaves 1e-4; in
    # most directions far less.
    np.testing.assert_allclose(ours, found.x, rtol=0, atol=2.0**-13 + 2e-5)


def test_logits_are_the_exact_product(arrays: dict[str, np.ndarray]) -> None:
    """In integers: pixels times 16, parameters times 2^12."""
    pixels = (load_digits().pixels * 16).astype(np.int64)
    weight = (arrays["softmax.weight"].astype(np.float64) * 2**12).astype(np.int64)
    bias = (arrays["softmax.bias"].astype(np.float64) * 2**12).astype(np.int64)

    exact = (pixels @ weight + 16 * bias) / 2**16

    np.testing.assert_array_equal(weight / 2**12, arrays["softmax.weight"])
    np.testing.assert_array_equal(arrays["softmax.logits"], exact.astype(np.float32))


def test_gradients_are_the_derivatives_of_the_loss(arrays: dict[str, np.ndarray]) -> None:
    """By central differences in random directions."""
    digits = load_digits()
    pixels = digits.pixels[:TRAINING].astype(np.float64)
    labels = digits.labels[:TRAINING]

    def loss(logits: np.ndarray) -> float:
        return float(-np.log(softmax(logits))[np.arange(TRAINING), labels].mean())

    rng = np.random.default_rng(0)
    logits = arrays["softmax.logits"][:TRAINING].astype(np.float64)
    step = 1e-4
    for _ in range(3):
        at_logits = rng.normal(size=logits.shape)
        at_weight = rng.normal(size=(64, 10))

        slope = (loss(logits + step * at_logits) - loss(logits - step * at_logits)) / (2 * step)
        start = (loss(step * pixels @ at_weight) - loss(-step * pixels @ at_weight)) / (2 * step)

        # Truncation is of order step^2 = 1e-8, the float32 gradients add 1e-7.
        logits_grad = arrays["softmax.logits_grad"].astype(np.float64)
        weight_grad = arrays["softmax.weight_grad"].astype(np.float64)
        assert slope == pytest.approx((logits_grad * at_logits).sum(), abs=1e-6)
        assert start == pytest.approx((weight_grad * at_weight).sum(), abs=1e-5)


def test_gradients_are_small_and_wide(arrays: dict[str, np.ndarray]) -> None:
    """More than half of them lie below the smallest subnormal of E5M2, 2^-16."""
    magnitude = np.abs(arrays["softmax.logits_grad"].astype(np.float64))

    assert (magnitude < 2.0**-16).mean() > 0.5
    assert magnitude.max() / magnitude[magnitude > 0].min() > 2.0**16


@pytest.mark.parametrize(
    ("name", "cdf"),
    [
        ("normal", ("norm", ())),
        ("laplace", ("laplace", ())),
        ("student_t3", ("t", (3,))),
        ("lognormal", ("lognorm", (2,))),
    ],
)
def test_samples_follow_their_distribution(
    name: str, cdf: tuple[str, tuple[int, ...]], arrays: dict[str, np.ndarray]
) -> None:
    """Kolmogorov-Smirnov; the seeds are fixed, so this passes always or never."""
    stats = pytest.importorskip("scipy.stats")

    result = stats.kstest(arrays[name].astype(np.float64), cdf[0], args=cdf[1])

    assert result.pvalue > 0.01


@pytest.mark.parametrize("name", ["normal", "laplace", "student_t3", "lognormal"])
def test_samples_are_unrelated(name: str, arrays: dict[str, np.ndarray]) -> None:
    others = [other for key, other in arrays.items() if other.size == 65536 and key != name]

    assert len(others) == 3
    for other in others:
        ranks = np.argsort(np.argsort(arrays[name])), np.argsort(np.argsort(other))
        # 4 standard deviations of the rank correlation of independent samples
        assert abs(np.corrcoef(*ranks)[0, 1]) < 4 / 256


def test_builtin_tensors_are_stored_tensors() -> None:
    assert all(isinstance(tensor, StoredTensor) for tensor in builtin_tensors())


def test_importing_inputs_loads_no_heavy_library() -> None:
    program = (
        "import sys, fp8num.inputs\n"
        "heavy = {'scipy', 'pandas', 'ml_dtypes', 'matplotlib', 'torch', 'rich', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    import os

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"
