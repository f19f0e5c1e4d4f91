"""Choose the kernel for a format, a projection and a type of input, and keep what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.arithmetic import Arithmetic, serves
from fp8num._kernels.cache import Cache
from fp8num._kernels.search import Search
from fp8num._kernels.staircase import staircase
from fp8num._kernels.table import Table, make_table
from fp8num._kernels.words import Layout, float32_words

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.projection import Projection

__all__ = ["CACHE", "Kernel", "decoder", "encoder", "pair_type", "quantizer"]

Kernel = Table | Arithmetic | Search

#: Tables in use.  The largest has 4 MiB; those of a few formats take much less.
CACHE = Cache(48 << 20)


def encoder(fmt: Format, projection: Projection, layout: Layout, random_width: int = 0) -> Kernel:
    """Return the kernel that turns words into codes."""
    return CACHE.get(
        ("codes", fmt, projection, layout, random_width),
        lambda: _make_encoder(fmt, projection, layout, random_width),
    )


def _make_encoder(fmt: Format, projection: Projection, layout: Layout, width: int) -> Kernel:
    fmt.require_float64()
    stairs = staircase(fmt, projection)
    if not projection.rounding.is_stochastic:
        table = make_table(stairs, layout, stairs.outputs.astype(fmt.code_dtype))
        if table is not None:
            return table
    kernel = Arithmetic if serves(fmt, projection) else Search
    return kernel(fmt, projection, stairs, layout, width)


def quantizer(
    fmt: Format, projection: Projection, layout: Layout, dtype: np.dtype[Any]
) -> Table | None:
    """Return a table from words straight to values, or None if it would not stay in the cache."""
    codes = encoder(fmt, projection, layout)
    if not isinstance(codes, Table) or codes.width > 16:
        return None
    values = decoder(fmt, dtype)
    return CACHE.get(
        ("values", fmt, projection, layout, dtype),
        lambda: Table(values.take(codes.entries), layout, codes.width),
    )


def decoder(fmt: Format, dtype: np.dtype[Any], *, pairs: bool = False) -> npt.NDArray[Any]:
    """Return the value of every code."""
    if not pairs:
        return CACHE.get(("decode", fmt, dtype), lambda: _cast(fmt.values, dtype))

    def make() -> npt.NDArray[Any]:
        single = np.zeros(256, dtype)
        single[: 1 << fmt.bits] = decoder(fmt, dtype)
        codes = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
        return single.take(codes).view(pair_type(dtype))

    return CACHE.get(("pairs", fmt, dtype), make)


def pair_type(dtype: np.dtype[Any]) -> np.dtype[np.void]:
    """Return a type that holds two values side by side."""
    return np.dtype((np.void, 2 * dtype.itemsize))


def _cast(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Round values to a type, once and whether or not subnormals are flushed to zero."""
    if dtype == np.float32:
        return float32_words(values).view(np.float32)
    if dtype.name == "bfloat16":
        from fp8num._kernels.words import FLOAT64
        from fp8num.formats import BFLOAT16
        from fp8num.projection import Projection, Saturation

        codes = np.empty(values.shape, np.uint16)
        nearest = Projection(saturation=Saturation.SAT_NONE)
        encoder(BFLOAT16, nearest, FLOAT64)(values.view(np.uint64), codes)
        return codes.view(dtype)
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(dtype)
