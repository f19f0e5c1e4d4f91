"""Recordings of hardware, and how results are compared: by bits, of NaNs and zeros too."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

HOPPER = Path(__file__).parents[1] / "data" / "hopper"
#: A folder with the whole recordings, instead of the subsets under tests/data.
WHOLE = "FP8NUM_HOPPER_RECORDINGS"
#: A folder with mma_vectors_400.npz, which is not ours to redistribute.
VECTORS = "FP8NUM_NVIDIA_VECTORS"
UNSIGNED = {2: np.dtype(np.uint16), 4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}


class Recording(Protocol):
    """The type of the fixture `recording`."""

    def __call__(self, name: str) -> Mapping[str, Array]: ...


class AssertBits(Protocol):
    """The type of the fixture `assert_bits`."""

    def __call__(self, actual: Any, expected: Array, label: str = "") -> None: ...


@lru_cache
def load(path: Path) -> dict[str, Array]:
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="session")
def recording() -> Recording:
    """Return a reader of wgmma, mma, scaled_mm and scaled_gemm."""

    def read(name: str) -> Mapping[str, Array]:
        whole = os.environ.get(WHOLE)
        if whole:
            longer = Path(whole) / f"{name}_dev.npz"
            return load(longer if longer.exists() else Path(whole) / f"{name}.npz")
        return load(HOPPER / f"{name}.npz")

    return read


@pytest.fixture(scope="session")
def vectors() -> Mapping[str, Array]:
    """Return the published vectors of other units, if they are here."""
    folder = os.environ.get(VECTORS)
    if not folder:
        pytest.skip(f"set {VECTORS} to the folder of mma_vectors_400.npz")
    return load(Path(folder) / "mma_vectors_400.npz")


@pytest.fixture(scope="session")
def assert_bits() -> AssertBits:
    """Return what raises unless two arrays have the same type, shape and bits."""

    def compare(actual: Any, expected: Array, label: str = "") -> None:
        assert isinstance(actual, np.ndarray | np.generic), f"{label}: got {type(actual)}"
        assert actual.dtype == expected.dtype, f"{label}: {actual.dtype}, not {expected.dtype}"
        assert actual.shape == expected.shape, f"{label}: {actual.shape}, not {expected.shape}"
        unsigned = UNSIGNED[expected.dtype.itemsize]
        found = np.ascontiguousarray(actual).view(unsigned)
        wanted = np.ascontiguousarray(expected).view(unsigned)
        places = np.argwhere(found != wanted)
        shown = ", ".join(
            f"{tuple(map(int, place))}: {found[tuple(place)]:#x} not {wanted[tuple(place)]:#x}"
            for place in places[:5]
        )
        assert not len(places), f"{label}: {len(places)} of {found.size} differ; {shown}"

    return compare
