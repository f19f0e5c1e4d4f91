"""Sweeps against the conversion alone, on 2^28 float32 in blocks of 2^18."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num.verify import Encoder
from fp8num.verify.sweeping.chunks import BLOCK
from fp8num.verify.sweeping.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable

#: From 2**-15 on: everything that E4M3FN tells apart, overflow, and NaN of one sign.
FIRST, SIZE = 0x3800_0000, 1 << 28
ROUNDS = {"rounds": 7, "warmup_rounds": 1}
CAST = methodcaller("astype", ml_dtypes.float8_e4m3fn)
CONVERSIONS: dict[str, tuple[Any, Callable[[Any], Any], float]] = {
    # What is swept, the same conversion alone, and how many times as long a sweep may take.
    "fp8num": (Encoder(), lambda x: fp.encode(x, fp.E4M3FN), 1.5),
    "ml_dtypes": (CAST, CAST, 1.2),
}


def measure(
    benchmark: Any, work: Callable[[], Any], peer: str | None = None, asked: float | None = None
) -> None:
    """Time `work`, to be printed as a ratio to the benchmark named `peer`."""
    benchmark.extra_info.update(peer=peer or "", asked=asked)
    benchmark.pedantic(work, **ROUNDS)


def convert_blocks(convert: Callable[[Any], Any], spread: int = 64) -> None:
    """Convert as many blocks as are swept, every so many of them repeatedly, in the cache.

    Casts take longer for some binades than for others, so the blocks are of them all.
    """
    for first in range(FIRST, FIRST + SIZE, SIZE // spread):
        values = np.arange(first, first + BLOCK, dtype=np.uint32).view(np.float32)
        with np.errstate(all="ignore"):
            for _ in range(SIZE // BLOCK // spread):
                convert(values)


@pytest.mark.parametrize("name", CONVERSIONS)
def test_peer_convert_blocks(benchmark: Any, name: str) -> None:
    measure(benchmark, lambda: convert_blocks(CONVERSIONS[name][1]))


@pytest.mark.parametrize("name", CONVERSIONS)
def test_sweep(benchmark: Any, name: str) -> None:
    """With digests: those of chunks without a mismatch are known by their runs."""
    implementation, _, allowed = CONVERSIONS[name]
    saturation = "SatNone" if name == "ml_dtypes" else "SatFinite"

    def work() -> None:
        found = sweep(
            implementation,
            "E4M3FN",
            saturation=saturation,
            digests=True,
            first=FIRST,
            count=SIZE,
        )
        assert found.ok, str(found)

    measure(benchmark, work, f"test_peer_convert_blocks[{name}]", 1 / allowed)


def test_sweep_two_processes(benchmark: Any) -> None:
    """With their start, which is most of it here."""

    def work() -> None:
        sweep(Encoder(), "E4M3FN", first=FIRST, count=SIZE, workers=2)

    measure(benchmark, work, "test_sweep[fp8num]")
