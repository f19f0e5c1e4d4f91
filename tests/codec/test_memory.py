"""Temporaries do not grow with the input, nor the cache with the number of formats."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num._kernels.encoder import CACHE

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a call may need besides its result: a few blocks and a table.
LIMIT = 6_000_000
#: As above, where the blocks are small: less than two blocks and a Boolean of each code.
LOW = 3_000_000


def temporaries(call: Callable[[], Any]) -> int:
    """Return the bytes in use at the height of a second call, without its result."""
    call()  # tables are made once, and kept
    gc.collect()
    tracemalloc.start()
    try:
        result = call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    arrays = [result]
    if isinstance(result, fp.Flags):
        arrays = [result.inexact, result.underflow, result.overflow, result.invalid]
    return peak - sum(array.nbytes for array in arrays)


def test_the_measurement_sees_temporaries() -> None:
    """NumPy's arrays are traced: one of 16 MB counts, and the result does not."""
    assert temporaries(lambda: np.ones(4_000_000, np.float32) + 1) >= 16_000_000
    assert temporaries(lambda: np.ones(4_000_000, np.float32)) < 1_000_000


@pytest.fixture(scope="module")
def many() -> Any:
    """2**22 float32: a Boolean of each is two thirds of the limit, and blocks are the rest."""
    return np.random.default_rng(0).standard_normal(1 << 22, dtype=np.float32)


@pytest.mark.parametrize(
    "name", ["E4M3FN", "POSIT8", "BFLOAT16", "binary8p7se", "w4m3b200-fn", "E8M0FNU"]
)
def test_encode_needs_little_memory(name: str, many: Any) -> None:
    """4 million float32: less than 6 MB beside the codes."""
    assert temporaries(lambda: fp.encode(many, name)) < LIMIT


@pytest.mark.parametrize("threads", [1, 2])
def test_every_function_needs_little_memory(threads: int, many: Any) -> None:
    x = many
    codes = fp.encode(x, "E4M3FN")
    for call in (
        lambda: fp.encode(x, "E4M3FN", threads=threads),
        lambda: fp.encode(x[::-1], "E4M3FN", threads=threads),
        lambda: fp.encode(x.reshape(2048, 2048).T, "E4M3FN", threads=threads),
        lambda: fp.encode(
            x, "E4M3FN", rounding="sra", rng=np.random.default_rng(0), threads=threads
        ),
        lambda: fp.encode(
            x, "E4M3FN", rounding="sra", random_bits=3, random_width=4, threads=threads
        ),
        lambda: fp.decode(codes, "E4M3FN", threads=threads),
        lambda: fp.decode(codes, "E4M3FN", dtype=np.float64, threads=threads),
        lambda: fp.decode(codes[::-1], "E4M3FN", threads=threads),
        lambda: fp.quantize(x, "E4M3FN", threads=threads),
        lambda: fp.convert(codes, "E4M3FN", "E5M2", threads=threads),
    ):
        assert temporaries(call) < LIMIT * threads  # each has blocks of its own


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, np.longdouble])
def test_every_type_needs_little_memory(dtype: Any, many: Any) -> None:
    x = many.astype(dtype)
    assert temporaries(lambda: fp.encode(x, "E4M3FN")) < LIMIT
    assert temporaries(lambda: fp.quantize(x, "E4M3FN")) < LIMIT
    integers = np.arange(1 << 22, dtype=np.int64)
    assert temporaries(lambda: fp.encode(integers, "E4M3FN")) < LIMIT


@pytest.mark.parametrize("name", ["E2M1FN", "E3M2FN", "binary12p6se"])
def test_packing_needs_little_memory(name: str) -> None:
    """2 million codes, checked and packed in pieces."""
    fmt = fp.get_format(name)
    codes = np.ones(1 << 21, fmt.code_dtype)
    packed = fp.pack(codes, fmt)
    assert temporaries(lambda: fp.pack(codes, fmt)) < LOW
    assert temporaries(lambda: fp.unpack(packed, fmt, codes.size)) < LOW


@pytest.mark.parametrize("name", ["E4M3FN", "BFLOAT16"])
def test_flags_need_little_memory(name: str, many: Any) -> None:
    assert temporaries(lambda: fp.flags(many[: 1 << 21], name)) < LOW


def test_first_use_needs_little_memory(many: Any) -> None:
    """Making the table of a format of 8 bits is part of the bound."""
    x = many[: 1 << 20]
    formats = [fp.get_format(f"w{3 + i % 2}m{4 - i % 2}b{i + 200}-fn") for i in range(3)]
    for fmt in formats:
        gc.collect()
        tracemalloc.start()
        codes = fp.encode(x, fmt)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak - codes.nbytes < LIMIT


def test_a_broadcast_input_is_not_written_out() -> None:
    """16 million times one number: no copy of it in memory."""
    x = np.broadcast_to(np.float32(0.3), (1 << 12, 1 << 12))
    assert temporaries(lambda: fp.encode(x, "E4M3FN")) < LIMIT


@pytest.mark.exhaustive
def test_a_quarter_of_a_billion_numbers_need_little_memory() -> None:
    """2**28 float32: the same bound."""
    x = np.random.default_rng(0).standard_normal(1 << 28, dtype=np.float32)
    for threads in (1, 2):
        assert temporaries(lambda t=threads: fp.encode(x, "E4M3FN", threads=t)) < LIMIT
    codes = fp.encode(x, "E4M3FN")
    assert temporaries(lambda: fp.decode(codes, "E4M3FN")) < LIMIT
    assert temporaries(lambda: fp.quantize(x, "E4M3FN")) < LIMIT


def test_the_cache_of_tables_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many times what it may hold later it holds no more than its limit."""
    x = np.linspace(-8, 8, 101, dtype=np.float32)
    assert CACHE.limit <= 64 << 20
    monkeypatch.setattr(CACHE, "limit", 4 << 20)  # an eighth of what is made here
    first = fp.encode(x, "E4M3FN")
    largest = 0
    for bias in range(-6, 9):
        for specials in ("fn", "ieee", "none"):
            for rounding in ("rne", "rz"):
                fmt = fp.get_format(f"w4m3b{bias}-{specials}")
                for dtype in (np.float32, np.float64):
                    fp.encode(x.astype(dtype), fmt, rounding=rounding)
                largest = max(largest, CACHE.nbytes)
    assert 0 < largest <= CACHE.limit
    # what was thrown out is made again, the same
    np.testing.assert_array_equal(fp.encode(x, "E4M3FN"), first)


def test_wide_formats_are_cached_within_the_bound() -> None:
    """16-bit formats have the largest tables."""
    x = np.linspace(-8, 8, 101)
    for precision in range(6, 16, 3):
        for kind in ("se", "sf"):
            for rounding in ("rne", "ru"):
                fp.encode(x, f"binary16p{precision}{kind}", rounding=rounding)
                fp.decode(
                    np.arange(9, dtype=np.uint16), f"binary16p{precision}{kind}", dtype="float64"
                )
                assert CACHE.nbytes <= CACHE.limit
