"""Memory does not grow with the tensor."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.analysis import analyze_tensor
from fp8num.inputs import StoredTensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt


def produced(rows: int) -> StoredTensor:
    """Return a tensor of rows of 1024 whose blocks are made as they are asked for."""

    def read(size: int) -> Iterator[npt.NDArray[Any]]:
        rng = np.random.default_rng(0)
        for start in range(0, rows * 1024, size):
            yield rng.standard_normal(min(size, rows * 1024 - start), np.float32)

    return StoredTensor(
        name="weight", file="", dtype="F32", shape=(rows, 1024), order="C",
        format_name=None, _reader=read,
    )  # fmt: skip


def peak(rows: int, rule: str) -> int:
    """Return the most bytes that measuring a tensor takes."""
    tracemalloc.start()
    try:
        analyze_tensor(produced(rows), "E4M3FN", rule, block_size=1 << 12)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rule", ["tensor", "te-mxfp8"])
def test_memory_is_that_of_a_piece_and_some_numbers_a_row(rule: str) -> None:
    """A row of 1024 float32 has 4096 bytes; its error, norm and sums are some small arrays."""
    peak(8, rule)  # tables are made once

    assert peak(128, rule) - peak(16, rule) < 112 * 1024


def test_scales_of_channels_hold_the_tensor() -> None:
    """As the docstring says; and measuring memory can fail."""
    assert peak(128, "channel") - peak(16, "channel") > 112 * 4096
