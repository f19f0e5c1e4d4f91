"""
Damage computed exactly and apart from the package, beside what `fp8num.recommend` decides.

A tensor is rounded under each candidate with NumPy and ml_dtypes; a row's damage is the exact
error of its output over that output's norm, for activations of equal mean squares, and again
with the planted channel silent, so that nothing hides behind an outlier.  The larger one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Float32 = npt.NDArray[np.float32]

__all__ = [
    "CANDIDATES",
    "E2M1FN",
    "E4M3FN",
    "E5M2",
    "Candidate",
    "Case",
    "Truth",
    "cost",
    "damage",
    "damaged",
    "defect_cases",
    "healthy_cases",
    "judged",
    "live_rows",
    "planted",
    "random_cases",
    "rounded",
    "trained",
    "trained_cases",
    "true_decision",
]

MEDIAN, ROW, SHARE = 1.25, 2.0, 1e-3


@dataclass(frozen=True)
class Candidate:
    """How a candidate stores a matrix: the block that shares a scale, its elements, its scale."""

    name: str
    height: int  #: rows of a block; 0: all of them
    length: int  #: of a block along K; 0: all of it
    element: type
    largest: float
    scale: str = "float32"  #: or "power up", "power floor", "two levels"


#: An element and its largest number.
E4M3FN = (ml_dtypes.float8_e4m3fn, 448.0)
E5M2 = (ml_dtypes.float8_e5m2, 57344.0)
E2M1FN = (ml_dtypes.float4_e2m1fn, 6.0)


def _eight_bits(element: type, largest: float, suffix: str) -> tuple[Candidate, ...]:
    return (
        Candidate("FP8" + suffix, 0, 0, element, largest),
        Candidate("FP8_DYNAMIC" + suffix, 1, 0, element, largest),
        Candidate("FP8_BLOCK" + suffix, 128, 128, element, largest),
        Candidate("MXFP8" + suffix, 1, 32, element, largest, "power up"),
    )


#: What is tried for each target, the coarsest first.
CANDIDATES: dict[str, tuple[Candidate, ...]] = {
    "E4M3FN": _eight_bits(*E4M3FN, ""),
    "E5M2": _eight_bits(*E5M2, "_E5M2"),
    "nvfp4": (Candidate("NVFP4", 1, 16, *E2M1FN, "two levels"),),
    "mxfp4": (Candidate("MXFP4", 1, 32, *E2M1FN, "power floor"),),
}


@dataclass(frozen=True)
class Case:
    """A tensor, what was planted in it, and which input channels that touches."""

    kind: str
    plant: str
    size: float
    x: Float32
    where: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()


@dataclass(frozen=True)
class Truth:
    """What a candidate does to a tensor's rows; the median is over the candidate's cost."""

    candidate: str
    median: float
    above: int
    rows: int

    @property
    def passes(self) -> bool:
        """Whether that is within the limits."""
        return self.median <= MEDIAN and self.above <= max(1, int(self.rows * SHARE))


def rounded(x: Float32, candidate: Candidate) -> Array:
    """Return a matrix as a candidate stores it; the last blocks are ragged."""
    rows, k = x.shape
    height, length = candidate.height or rows, candidate.length or k
    largest = candidate.largest
    made = np.zeros(x.shape)
    whole = float(np.abs(x).max())
    for i in range(0, rows, height):
        part = x[i : i + height].astype(np.float64)
        starts = range(0, k, length)
        amax = np.array([np.abs(part[:, j : j + length]).max(axis=1) for j in starts]).T
        if height > 1:
            amax = np.broadcast_to(amax.max(axis=0, keepdims=True), amax.shape)
        scale = _scales(amax, candidate, whole)
        spread = np.repeat(np.where(scale > 0, scale, 1.0), length, axis=1)[:, :k]
        codes = np.clip(part / spread, -largest, largest).astype(np.float32)
        made[i : i + height] = codes.astype(candidate.element).astype(np.float64) * np.where(
            np.repeat(scale, length, axis=1)[:, :k] > 0, spread, 0.0
        )
    return made


def _scales(amax: Array, candidate: Candidate, whole: float) -> Array:
    """Return blocks' scales from their largest magnitudes, as they are stored."""
    scale = amax / candidate.largest
    if candidate.scale == "float32":  # kernels multiply by the reciprocal, which must be finite
        least = np.where(amax > 0, 1 / float(np.finfo(np.float32).max), 0.0)
        return np.maximum(scale, least).astype(np.float32).astype(np.float64)
    if candidate.scale == "two levels":  # NVFP4: E4M3FN times one float32
        second = whole / (448 * candidate.largest) or 1.0
        first = np.minimum(scale / second, 448.0).astype(np.float32)
        return first.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * second
    if candidate.scale == "power up":
        fraction, exponent = np.frexp(scale)
        exponent = exponent - (fraction == 0.5)
    else:  # OCP: amax's exponent less that of the format's largest number
        exponent = np.frexp(amax)[1] - int(np.frexp(candidate.largest)[1])
    return np.where(amax > 0, np.ldexp(1.0, np.clip(exponent, -127, 127)), 0.0)


def damage(case: Case, candidate: Candidate) -> Array:
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


@lru_cache
def cost(candidate: Candidate) -> float:
    """Return what a candidate costs Gaussian data: the output error."""
    x = np.random.default_rng(7).standard_normal((512, 512)).astype(np.float32)
    return float(np.linalg.norm(rounded(x, candidate) - x) / np.linalg.norm(x))


def damaged(target: str) -> float:
    """
    Return the error above which a row counts as damaged.

    Twice the cost, but never less than u / (1 + u), which one correct rounding may take: no
    scheme of the format is surer of a row that hangs on one element.
    """
    element = CANDIDATES[target][-1].element
    u = float(ml_dtypes.finfo(element).eps) / 2
    return max(ROW * cost(CANDIDATES[target][-1]), u / (1 + u))


def live_rows(x: Float32) -> npt.NDArray[np.bool_]:
    """Return the rows that are not near-dead beside the median one."""
    norms = np.linalg.norm(x.astype(np.float64), axis=1)
    return norms >= 1e-3 * np.median(norms[norms > 0])


def judged(case: Case, candidate: Candidate, target: str) -> Truth:
    """Return what a candidate does to a tensor."""
    errors = damage(case, candidate)[live_rows(case.x)]
    return Truth(
        candidate.name,
        float(np.median(errors)) / cost(CANDIDATES[target][-1]),
        int((errors > damaged(target)).sum()),
        len(errors),
    )


def true_decision(case: Case, target: str = "E4M3FN") -> tuple[str, dict[str, Truth]]:
    """Return the first candidate that passes, or what is to be said instead; and all of them."""
    if not np.isfinite(case.x).all():
        return "not-finite", {}
    if not case.x.any():
        return "dead", {}
    found = {one.name: judged(case, one, target) for one in CANDIDATES[target]}
    return next((name for name, one in found.items() if one.passes), "keep"), found


def healthy(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Float32:
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
PLANTS = ("row", "column", "three columns", "element", "near-dead row", "near-dead columns", "tiny")
#: What no scale mends, or what leaves little to round.
DEFECTS = (
    ("dead", 1.0), ("NaN", 1.0), ("NaN", 5.0), ("infinite", 1.0), ("infinite", 5.0),
    ("narrow", 1e1), ("narrow", 1e3), ("one value", 1.0),
    ("half the elements near zero", 1e2), ("half the elements near zero", 1e4),
    ("half the elements near zero", 1e6), ("subnormal-heavy", 1e3), ("subnormal-heavy", 1e5),
    ("float32 subnormals", 1e1), ("float32 subnormals", 1e3),
)  # fmt: skip


def planted(rng: np.random.Generator, kind: str, what: str, size: float, x: Float32) -> Case:
    """Plant something in a tensor, `size` times what is there or usual."""
    x = x.copy()
    rows, k = x.shape
    i, j = int(rng.integers(rows)), int(rng.integers(k))
    if not x[i].any():  # a quarter of a trained net's units are silent: times anything, they stay
        i = int(np.abs(x).sum(axis=1).argmax())
    if not x[:, j].any():
        j = int(np.abs(x).sum(axis=0).argmax())
    usual = np.float32(np.median(np.abs(x[x != 0])))
    factor = np.float32(size)
    where: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()
    if what == "row":
        x[i] *= factor
        where = (i,)
    elif what in {"column", "three columns"}:
        several = [j] if what == "column" else rng.choice(k, 3, replace=False)
        x[:, several] *= factor
        where = silent = tuple(sorted(int(c) for c in several))
    elif what == "element":
        x[i, j] = usual * factor
        where, silent = (i, j), (j,)
    elif what == "near-dead row":
        x[i] *= np.float32(1 / size)
        where = (i,)
    elif what == "near-dead columns":
        x[:, rng.choice(k, max(1, k // 20), replace=False)] *= np.float32(1 / size)
    elif what == "tiny":  # as a whole, where float32's normal numbers are about to end
        x *= np.float32(1e-27 / size)
    elif what != "nothing":
        where = _all_over(rng, what, size, x)
    return Case(kind, what, size, x, where, silent)


def _all_over(rng: np.random.Generator, what: str, size: float, x: Float32) -> tuple[int, ...]:
    """Change a tensor anywhere, in its place; return where it is not finite, as flat indices."""
    if what in {"NaN", "infinite"}:
        places = rng.choice(x.size, int(size), replace=False)
        x.flat[places] = np.nan if what == "NaN" else rng.choice([-np.inf, np.inf], int(size))
        return tuple(int(at) for at in np.sort(places))
    usual = np.float32(np.median(np.abs(x[x != 0])))
    if what == "dead":
        x[:] = 0
    elif what == "narrow":
        x[:] = np.copysign(usual * (1 + rng.uniform(-1, 1, x.shape) / size), x)
    elif what == "one value":
        x[:] = np.copysign(usual, x)
    elif what == "half the elements near zero":
        x *= np.where(rng.random(x.shape) < 0.5, np.float32(1 / size), np.float32(1))
    elif what == "subnormal-heavy":  # an element of 16 is normal under one scale, the rest are not
        x *= np.where(rng.random(x.shape) < 1 / 16, np.float32(size), np.float32(1))
    elif what == "float32 subnormals":
        x *= np.float32(1e-36 / size)
    else:
        msg = f"what must be a plant, got {what!r}"
        raise ValueError(msg)
    return ()


def _shape(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(96, 400)), int(rng.integers(6, 30)) * 32 + int(rng.integers(0, 2)) * 16


def random_cases(seed: int = 1) -> Iterator[Case]:
    """Yield a tensor for each distribution, plant and size, and some without a plant."""
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        for what in PLANTS:
            for size in SIZES:
                yield planted(rng, kind, what, size, healthy(rng, kind, _shape(rng)))
        for _ in range(4):
            shape = (int(rng.integers(96, 400)), 512)
            yield planted(rng, kind, "nothing", 1.0, healthy(rng, kind, shape))


def defect_cases(seed: int = 3) -> Iterator[Case]:
    """Yield a tensor for each distribution and defect."""
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        for what, size in DEFECTS:
            yield planted(rng, kind, what, size, healthy(rng, kind, _shape(rng)))


def trained(seed: int) -> Iterator[tuple[str, Float32]]:
    """Yield weights, activations and gradients of a net trained on digits, with K last."""
    from fp8num import nn

    run = nn.train(
        nn.digits(), sizes=(64, 256, 128, 10), recipe="fp32", epochs=4, capture=[60], seed=seed
    )
    for name, tensor in run.captures[60].items():
        if tensor.ndim == 2 and tensor.any():
            kind = "digits, " + ("weight gradient" if "weight.g" in name else name.split(".")[1])
            yield kind.replace("_", " "), np.ascontiguousarray(tensor, np.float32)


def trained_cases(seed: int = 2) -> Iterator[Case]:
    """Yield tensors of a trained net, as they are and with plants."""
    rng = np.random.default_rng(seed)
    for kind, x in trained(seed):
        yield planted(rng, kind, "nothing", 1.0, x)
        for what in ("row", "column", "element"):
            for size in (1e2, 1e4, 1e5, 1e6):
                yield planted(rng, kind, what, size, x)


def healthy_cases(count: int = 130, nets: int = 8, seed: int = 4) -> Iterator[Case]:
    """Yield small tensors without a plant: `count` of each distribution, and trained ones."""
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        for _ in range(count):
            shape = int(rng.integers(16, 160)), int(rng.integers(4, 20)) * 16
            yield planted(rng, kind, "nothing", 1.0, healthy(rng, kind, shape))
    for net in range(100, 100 + nets):
        for kind, x in trained(net):
            yield planted(rng, kind, "nothing", 1.0, x)
