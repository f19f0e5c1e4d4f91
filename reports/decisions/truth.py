"""
Damage computed exactly and apart from the package, beside what `fp8num.recommend` decides.

A tensor is rounded under each candidate with NumPy and ml_dtypes; a row's damage is the exact
error of its output over that output's norm, for activations of equal mean squares, and again
with the planted channel silent, so that nothing hides behind an outlier.  The larger one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

CANDIDATES = ("FP8", "FP8_DYNAMIC", "FP8_BLOCK", "MXFP8")
MEDIAN, ROW, SHARE = 1.25, 2.0, 1e-3
LARGEST = 448.0
#: The error of one correctly scaled rounding, u / (1 + u): no scheme of the format is surer.
HALF_ULP = 1 / 17


@dataclass(frozen=True)
class Case:
    """A tensor, what was planted in it, and which input channels that touches."""

    kind: str
    plant: str
    size: float
    x: npt.NDArray[np.float32]
    where: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()


def rounded(x: npt.NDArray[np.float32], candidate: str) -> Array:
    """Return a matrix as a candidate stores it; the last blocks are ragged."""
    rows, k = x.shape
    height, length = {
        "FP8": (rows, k), "FP8_DYNAMIC": (1, k), "FP8_BLOCK": (128, 128), "MXFP8": (1, 32),
    }[candidate]  # fmt: skip
    made = np.zeros(x.shape)
    for i in range(0, rows, height):
        part = x[i : i + height]
        starts = range(0, k, length)
        amax = np.array([np.abs(part[:, j : j + length]).max(axis=1) for j in starts]).T
        if height > 1:
            amax = np.broadcast_to(amax.max(axis=0, keepdims=True), amax.shape)
        amax = amax.astype(np.float64)
        with np.errstate(divide="ignore"):
            scale = amax / LARGEST
            if candidate == "MXFP8":  # a power of two, rounded up
                scale = np.exp2(np.clip(np.ceil(np.log2(scale)), -127, 127))
        scale = np.where(amax > 0, scale, 1.0)
        spread = np.repeat(scale, length, axis=1)[:, :k]
        codes = np.clip(part / spread, -LARGEST, LARGEST).astype(np.float32)
        made[i : i + height] = codes.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * spread
    return made


def damage(case: Case, candidate: str) -> Array:
    """Return each row's output error over the output: the larger of both activations."""
    x = case.x.astype(np.float64)
    error = rounded(case.x, candidate) - x
    found = []
    for silent in {(), case.silent}:
        heard = np.setdiff1d(np.arange(x.shape[1]), silent)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(
                np.linalg.norm(error[:, heard], axis=1) / np.linalg.norm(x[:, heard], axis=1)
            )
    return np.nan_to_num(np.maximum(*found) if len(found) == 2 else found[0])


def live_rows(x: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return the rows that are not near-dead beside the median one."""
    norms = np.linalg.norm(x.astype(np.float64), axis=1)
    return norms >= 1e-3 * np.median(norms[norms > 0])


def healthy(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Draw a tensor of a distribution."""
    draw: dict[str, Callable[[], npt.NDArray[np.float64]]] = {
        "Gaussian": lambda: rng.standard_normal(shape),
        "Student t, 4": lambda: rng.standard_t(4, shape),
        "Laplace": lambda: rng.laplace(size=shape),
        "uniform": lambda: rng.uniform(-1, 1, shape),
        "log-normal, 1": lambda: rng.lognormal(0, 1, shape) * rng.choice([-1, 1], shape),
        "Gaussian, bfloat16": lambda: rng.standard_normal(shape).astype(ml_dtypes.bfloat16),
        "Gaussian, rows 1 to 30": lambda: (
            rng.standard_normal(shape) * np.exp(rng.uniform(0, np.log(30), (shape[0], 1)))
        ),
        "Gaussian, columns 1 to 30": lambda: (
            rng.standard_normal(shape) * np.exp(rng.uniform(0, np.log(30), (1, shape[1])))
        ),
        "half zeros": lambda: rng.standard_normal(shape) * (rng.random(shape) < 0.5),
    }
    return (np.asarray(draw[kind](), np.float64) * 0.02).astype(np.float32)


KINDS = (
    "Gaussian", "Student t, 4", "Laplace", "uniform", "log-normal, 1", "Gaussian, bfloat16",
    "Gaussian, rows 1 to 30", "Gaussian, columns 1 to 30", "half zeros",
)  # fmt: skip
SIZES = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)


def plant(
    rng: np.random.Generator, kind: str, what: str, size: float, shape: tuple[int, int]
) -> Case:
    """Draw a tensor and plant something in it, `size` times what is there or usual."""
    x = healthy(rng, kind, shape)
    rows, k = shape
    i, j = int(rng.integers(rows)), int(rng.integers(k))
    usual = np.float32(np.median(np.abs(x[x != 0])))
    where: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()
    if what == "row":
        x[i] *= np.float32(size)
        where = (i,)
    elif what in {"column", "three columns"}:
        several = [j] if what == "column" else rng.choice(k, 3, replace=False)
        x[:, several] *= np.float32(size)
        where = silent = tuple(sorted(int(c) for c in several))
    elif what == "element":
        x[i, j] = usual * np.float32(size)
        where, silent = (i, j), (j,)
    elif what == "near-dead row":
        x[i] *= np.float32(1 / size)
        where = (i,)
    elif what == "near-dead columns":
        several = rng.choice(k, max(1, k // 20), replace=False)
        x[:, several] *= np.float32(1 / size)
    elif what == "tiny":  # as a whole, where float32's normal numbers are about to end
        x *= np.float32(1e-27 / size)
    return Case(kind, what, size, x, where, silent)


PLANTS = ("row", "column", "three columns", "element", "near-dead row", "near-dead columns", "tiny")


def random_cases(seed: int = 1) -> Iterator[Case]:
    """Yield a tensor for each distribution, plant and size, and some without a plant."""
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        for what in PLANTS:
            for size in SIZES:
                shape = (
                    int(rng.integers(96, 400)),
                    int(rng.integers(6, 30)) * 32 + int(rng.integers(0, 2)) * 16,
                )
                yield plant(rng, kind, what, size, shape)
        for _ in range(4):
            yield plant(rng, kind, "nothing", 1.0, (int(rng.integers(96, 400)), 512))


def trained_cases(seed: int = 2) -> Iterator[Case]:
    """Yield weights, activations and gradients of a net trained on digits."""
    from fp8num import nn

    run = nn.train(
        nn.digits(), sizes=(64, 256, 128, 10), recipe="fp32", epochs=4, capture=[60], seed=seed
    )
    for name, tensor in run.captures[60].items():
        if tensor.ndim == 2 and tensor.any():
            yield Case(name, "nothing", 1.0, np.ascontiguousarray(tensor, np.float32))
