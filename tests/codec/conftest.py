"""Inputs at which a conversion can go wrong, and how codes are compared."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import ml_dtypes
import numpy as np
import pytest

from fp8num.verify import reference

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy.typing as npt

    from fp8num import Format

    Array = npt.NDArray[Any]

#: Codes of a wide format whose surroundings the default suite looks at.
SAMPLED_CODES = 250


class Boundaries(Protocol):
    """The type of the fixture `boundaries`."""

    def __call__(self, fmt: Format, dtype: npt.DTypeLike) -> Array: ...


class CompareCodes(Protocol):
    """The type of the fixture `assert_codes`."""

    def __call__(self, actual: Array, expected: Array, x: Any, label: str = "") -> None: ...


def value_of(code: int, fmt: Format) -> Fraction:
    """Return the value of a finite code, from the reference."""
    return reference.decode(code, fmt).value


def gaps(fmt: Format) -> list[tuple[Fraction, Fraction]]:
    """
    Return neighbouring finite values that are not negative, ascending, from the reference.

    Of a format with more than 8 bits these are of a sample of the codes, with the
    lowest and the highest ones.
    """
    if fmt.bits <= 8:
        data = (reference.decode(code, fmt) for code in range(1 << fmt.bits))
        finite = {datum.value for datum in data if datum.is_finite and datum.value >= 0}
        return list(itertools.pairwise(sorted(finite)))
    # Of these formats the codes ascend with their values, and the specials are above them.
    last = (1 << (fmt.bits - fmt.signed)) - 1
    while not reference.decode(last, fmt).is_finite:
        last -= 1
    chosen = np.random.default_rng(fmt.bits).choice(last, SAMPLED_CODES, replace=False)
    codes = sorted({*chosen.tolist(), *range(20), *range(last - 20, last)})
    return [(value_of(code, fmt), value_of(code + 1, fmt)) for code in codes]


@lru_cache(maxsize=512)
def turning_points(fmt: Format) -> tuple[Fraction, ...]:
    """Return where a projection may change: values, midpoints, and what follows them."""
    pairs = gaps(fmt)
    low, high = pairs[-1]
    # What would follow the largest value, and twice as far: one of them is in every format
    # what overflow is measured against (a top binade may hold one value alone).
    pairs += itertools.pairwise([high, 2 * high - low, 3 * high - 2 * low, 2 * high])
    points = {point for low, high in pairs for point in (low, (low + high) / 2, high)}
    if fmt.exponent_bits is None:  # posit8's boundaries to nearest are no midpoints
        steps = reference.breakpoints(fmt, "NearestTiesToEven", "SatFinite")
        points |= {abs(step.value) for step in steps if step.value is not None}
    return tuple(sorted(point for point in points if point < 2**1024 - 2**970))


def special_values(dtype: np.dtype[Any]) -> Array:
    """Return the ends of a type: zeros, subnormals, the largest, infinities, NaNs."""
    info = ml_dtypes.finfo(dtype)
    small, large = info.smallest_subnormal, info.max
    normal = info.smallest_normal
    plain = np.array([0, small, normal, normal - small, large, np.inf, np.nan, 1], dtype)
    if dtype.itemsize > 8:  # longdouble: NaN payloads are not portable
        return np.concatenate([plain, -plain])
    # NaNs of every kind: signalling, quiet, all ones.
    unsigned = np.dtype(f"u{dtype.itemsize}")
    infinity = int(np.array(np.inf, dtype).view(unsigned))
    sign = 1 << (8 * dtype.itemsize - 1)
    payloads = [infinity + 1, sign - 1, (infinity + sign) // 2, (infinity + sign) // 2 + 1]
    nans = np.array([payload | s for payload in payloads for s in (0, sign)], unsigned)
    return np.concatenate([plain, -plain, nans.view(dtype)])


@lru_cache(maxsize=256)
def _boundaries(fmt: Format, dtype: np.dtype[Any]) -> Array:
    """Return turning points of both signs, and the floats of a type on both their sides."""
    points = np.array([float(point) for point in turning_points(fmt)])
    if dtype.itemsize >= 8:
        # Just beside in float64, and the distances at which a detour through float32
        # rounds to the point itself and then rounds again.
        near = [points * (1 + s * 2.0**-e) for e in (25, 26, 30, 52) for s in (1, -1)]
        points = np.concatenate([points, *near])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        points = np.unique(points).astype(dtype)
        up, down = np.nextafter(points, dtype.type(np.inf)), np.nextafter(points, dtype.type(0))
    found = np.concatenate([points, up, down])
    found = np.concatenate([found, -found, special_values(dtype)])
    found.flags.writeable = False
    return found


@pytest.fixture(scope="session")
def boundaries() -> Boundaries:
    """Values, midpoints and their neighbours in a type, with the type's own ends."""
    return lambda fmt, dtype: _boundaries(fmt, np.dtype(dtype))


@pytest.fixture(scope="session")
def every_float16() -> Array:
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16)


@pytest.fixture(scope="session")
def every_bfloat16() -> Array:
    return np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16)


def hexadecimal(x: Any) -> str:
    """Print a number so that it can be read back."""
    return float(x).hex() if isinstance(x, (float, np.floating)) else repr(x)


def _assert_codes(actual: Array, expected: Array, x: Any, label: str = "") -> None:
    """Compare two arrays of codes, bit for bit; show the first ones that differ."""
    assert isinstance(actual, np.ndarray)
    assert actual.shape == expected.shape, f"{label}: shapes {actual.shape} {expected.shape}"
    assert actual.dtype == expected.dtype, f"{label}: types {actual.dtype} {expected.dtype}"
    wrong = np.flatnonzero(actual.ravel() != expected.ravel())
    if not wrong.size:
        return
    values = np.broadcast_to(np.asarray(x), actual.shape).ravel()
    lines = [
        f"  x = {hexadecimal(values[i])}: expected {expected.ravel()[i]:#x}, "
        f"got {actual.ravel()[i]:#x}"
        for i in wrong[:20].tolist()
    ]
    raise AssertionError(
        f"{label}: {wrong.size} of {actual.size} codes differ\n" + "\n".join(lines)
    )


@pytest.fixture(scope="session")
def assert_codes() -> CompareCodes:
    """Assert that arrays of codes are equal, in type, shape and every bit."""
    return _assert_codes
