"""A table of a scaled array's blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fp8num._kernels.float32 import as_float64
from fp8num._kernels.state import float_arithmetic

if TYPE_CHECKING:
    import pandas as pd

    from fp8num.scaled.array import ScaledArray

__all__ = ["block_frame"]


@float_arithmetic
def block_frame(scaled: ScaledArray) -> pd.DataFrame:
    """
    Return a row for each block.

    Parameters
    ----------
    scaled : ScaledArray
        Any.

    Returns
    -------
    pandas.DataFrame
        Columns block_0 ... (index on each axis), elements, stored_scale, scale, amax
        (largest finite magnitude of the values), zeros, largest and nans (shares of the
        elements that are zero, of the largest finite magnitude's code, and NaN).
    """
    import pandas as pd

    if scaled.ndim == 0:
        scaled = replace(
            scaled, codes=scaled.codes.reshape(1), stored_scales=scaled.stored_scales, block=(1,)
        )
    blocks, fmt = scaled.blocks, scaled.format
    counts = blocks.counts
    values = np.abs(fmt.values)
    is_nan = np.isnan(values)
    is_zero, is_largest = values == 0, values == float(fmt.max)
    finite = np.where(np.isfinite(values), values, 0.0)
    columns = {name: np.zeros(counts) for name in ("amax", "zeros", "largest", "nans")}
    elements = np.zeros(counts, np.int64)
    scales = np.broadcast_to(as_float64(scaled.scales), counts)
    for region in blocks.regions():
        codes = region.split(scaled.codes)
        inner = tuple(range(1, codes.ndim, 2))
        size = int(np.prod(codes.shape[1::2], dtype=np.int64))
        elements[region.scales] = size
        for name, table in (("zeros", is_zero), ("largest", is_largest), ("nans", is_nan)):
            columns[name][region.scales] = table[codes].mean(axis=inner)
        amax = finite[codes].max(axis=inner) * scales[region.scales]
        columns["amax"][region.scales] = amax
    index = np.indices(counts).reshape(len(counts), -1)
    return pd.DataFrame(
        {
            **{f"block_{axis}": index[axis] for axis in range(len(counts))},
            "elements": elements.reshape(-1),
            "stored_scale": np.broadcast_to(scaled.stored_scales, counts).reshape(-1),
            "scale": np.broadcast_to(scaled.scales, counts).reshape(-1),
            **{name: column.reshape(-1) for name, column in columns.items()},
        }
    )
