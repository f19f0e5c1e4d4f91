"""Rounding to a format's values by one addition: the nearest of the list, ties to even."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num._kernels.grid import Grid, make_grid

Single = npt.NDArray[np.float32]

NAMES = [*fp.FORMATS, "Binary8p1se", "Binary8p4sf", "w4m3b200-fn", "w4m3b7-fn-nosub", "w8m7b127-fn"]
SERVED = [name for name in NAMES if make_grid(fp.get_format(name)) is not None]


def boundaries(fmt: fp.Format, beyond: float) -> Single:
    """Values, midpoints, their neighbours in float32, and numbers of every exponent."""
    values = np.unique(np.abs(fmt.values[np.isfinite(fmt.values)]))
    if len(values) > 4000:
        values = np.unique(np.concatenate([values[:300], values[-300:], values[::37]]))
    points = np.concatenate([values, values[1:] / 2 + values[:-1] / 2, [beyond]])
    points = points.astype(np.float32)
    around = [np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(0))]
    rng = np.random.default_rng(0)
    words = rng.integers(0, 0x7F800000, 20_000, dtype=np.uint32).view(np.float32)
    spread = rng.random(20_000, np.float32) * np.float32(beyond)
    tiny = np.array([0.0, 1e-45, 1e-40, 1.1754944e-38], np.float32)
    found = np.concatenate([points, *around, words, spread, tiny])
    found = found[found < beyond]
    return np.concatenate([found, -found])


def nearest(fmt: fp.Format, x: Single) -> npt.NDArray[np.float64]:
    """Return the nearest values, of two the one whose place in the list is even."""
    values = np.unique(np.abs(fmt.values[np.isfinite(fmt.values)]))
    wide = np.abs(x.astype(np.float64))
    above = np.clip(np.searchsorted(values, wide), 1, len(values) - 1)
    below = above - 1
    up, down = values[above] - wide, wide - values[below]  # exact: few bits each
    upper = (up < down) | ((up == down) & (above % 2 == 0))
    found: npt.NDArray[np.float64] = np.copysign(values[np.where(upper, above, below)], x)
    return found


def rounded(grid: Grid, x: Single, dtype: Any) -> Any:
    """Return what the grid makes of copies."""
    out = np.empty(x.shape, dtype)
    grid(x.copy(), np.empty(x.shape, np.uint32), out)
    return out


def test_it_serves_the_formats_of_training() -> None:
    """Not unsigned ones, ones without subnormals, or beyond float32's exponents."""
    assert {"E4M3FN", "E5M2", "E4M3FNUZ", "E5M2FNUZ", "E3M4", "E2M1FN", "BFloat16"} - set(
        SERVED
    ) <= {"BFloat16"}
    assert make_grid(fp.get_format("E8M0FNU")) is None
    assert make_grid(fp.get_format("Binary8p1se")) is None  # no mantissa bits
    assert make_grid(fp.get_format("w4m3b7-fn-nosub")) is None
    assert make_grid(fp.get_format("w4m3b200-fn")) is None


@pytest.mark.parametrize("name", SERVED)
def test_it_is_the_nearest_value(name: str) -> None:
    """At every boundary up to `beyond`, in either type."""
    fmt = fp.get_format(name)
    grid = make_grid(fmt)
    assert grid is not None
    x = boundaries(fmt, float(grid.beyond))
    expected = nearest(fmt, x)
    for dtype in (np.float32, np.float64):
        found = rounded(grid, x, dtype)

        np.testing.assert_array_equal(found, expected, str(dtype))
        assert not np.signbit(found[found == 0]).any()


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2"])
def test_ml_dtypes_has_the_same_values(name: str) -> None:
    """For a hundred thousand numbers of all exponents below the largest value."""
    fmt = fp.get_format(name)
    grid = make_grid(fmt)
    assert grid is not None
    words = np.random.default_rng(1).integers(0, 2**32, 300_000, dtype=np.uint32)
    x = words.view(np.float32)
    x = x[np.abs(x) < float(grid.beyond)]
    theirs = x.astype(getattr(ml_dtypes, f"float8_{name.lower()}")).astype(np.float32)

    np.testing.assert_array_equal(rounded(grid, x, np.float32), theirs)


def test_the_limit_is_where_the_largest_value_ends() -> None:
    """448 + 16 is half way to 480; just below it is 448, and it is no longer served."""
    grid = make_grid(fp.E4M3FN)
    assert grid is not None
    assert grid.beyond == 464
    assert rounded(grid, np.nextafter(np.float32([464]), np.float32(0)), np.float32) == 448
