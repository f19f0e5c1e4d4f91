"""Temporaries do not grow with the input, nor the cache with the number of formats."""

from __future__ import annotations

import tracemalloc
from functools import partial
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


def temporaries(call: Callable[..., Any], *arrays: Any) -> int:
    """Return the bytes in use at the height of a call with arrays, without its result."""
    call(*(array[: 1 << 16] for array in arrays))  # tables are made once, and kept
    tracemalloc.start()
    try:
        result = call(*arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    results = [result]
    if isinstance(result, fp.Flags):
        results = [result.inexact, result.underflow, result.overflow, result.invalid]
    return peak - sum(array.nbytes for array in results)


def test_the_measurement_sees_temporaries() -> None:
    """NumPy's arrays are traced: one of 16 MB counts, and the result does not."""
    ones = np.ones(4_000_000, np.float32)
    assert temporaries(lambda x: (x + 1) + 1, ones) >= 16_000_000
    assert temporaries(lambda x: x + 1, ones) < 1_000_000


@pytest.fixture(scope="module")
def many() -> Any:
    """2**22 float32: a Boolean of each is two thirds of the limit, and blocks are the rest."""
    return np.random.default_rng(0).standard_normal(1 << 22, dtype=np.float32)


def test_encode_needs_little_memory(many: Any) -> None:
    """4 million float32: less than 6 MB beside the codes, by every kind of kernel."""
    for name in ("E4M3FN", "POSIT8", "BFLOAT16", "binary8p7se", "w4m3b200-fn", "E8M0FNU"):
        assert temporaries(lambda x, name=name: fp.encode(x, name), many) < LIMIT, name


@pytest.mark.parametrize("threads", [1, 2])
def test_every_function_needs_little_memory(threads: int, many: Any) -> None:
    codes = fp.encode(many, "E4M3FN")
    random: dict[str, Any] = {"rounding": "sra", "random_bits": 3, "random_width": 4}
    for what, call, array in (
        ("encode", lambda x, **o: fp.encode(x, "E4M3FN", **o), many),
        ("reversed", lambda x, **o: fp.encode(x[::-1], "E4M3FN", **o), many),
        ("transposed", lambda x, **o: fp.encode(x.reshape(256, -1).T, "E4M3FN", **o), many),
        ("drawn", lambda x, **o: fp.encode(x, "E4M3FN", rounding="sra",
                                           rng=np.random.default_rng(0), **o), many),
        ("random", lambda x, **o: fp.encode(x, "E4M3FN", **random, **o), many),
        ("decode", lambda x, **o: fp.decode(x, "E4M3FN", **o), codes),
        ("float64", lambda x, **o: fp.decode(x, "E4M3FN", dtype=np.float64, **o), codes),
        ("codes reversed", lambda x, **o: fp.decode(x[::-1], "E4M3FN", **o), codes),
        ("quantize", lambda x, **o: fp.quantize(x, "E4M3FN", **o), many),
        ("convert", lambda x, **o: fp.convert(x, "E4M3FN", "E5M2", **o), codes),
    ):  # fmt: skip
        found = temporaries(partial(call, threads=threads), array)
        assert found < LIMIT * threads, what  # each thread has blocks of its own


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_every_type_needs_little_memory(dtype: Any, many: Any) -> None:
    x = many.astype(dtype)
    assert temporaries(lambda x: fp.encode(x, "E4M3FN"), x) < LIMIT
    assert temporaries(lambda x: fp.quantize(x, "E4M3FN"), x) < LIMIT


@pytest.mark.parametrize("dtype", [np.longdouble, np.int64])
def test_types_that_are_converted_need_little_memory(dtype: Any, many: Any) -> None:
    """Half as many, whose blocks are small: a Boolean of each is two thirds of the limit."""
    x = many[: 1 << 21].astype(dtype)
    assert temporaries(lambda x: fp.encode(x, "E4M3FN"), x) < LOW
    assert temporaries(lambda x: fp.quantize(x, "E4M3FN"), x) < LOW


@pytest.mark.parametrize("name", ["E2M1FN", "E3M2FN", "binary12p6se"])
def test_packing_needs_little_memory(name: str) -> None:
    """2 million codes, checked and packed in pieces."""
    fmt = fp.get_format(name)
    codes = np.ones(1 << 21, fmt.code_dtype)
    packed = fp.pack(codes, fmt)
    assert temporaries(lambda x: fp.pack(x, fmt), codes) < LOW
    assert temporaries(partial(fp.unpack, packed, fmt, codes.size)) < LOW


@pytest.mark.parametrize("name", ["E4M3FN", "BFLOAT16"])
def test_flags_need_little_memory(name: str, many: Any) -> None:
    assert temporaries(lambda x: fp.flags(x, name), many[: 1 << 21]) < LOW


def test_first_use_needs_little_memory(many: Any) -> None:
    """Making the table of a format of 8 bits is part of the bound."""
    x = many[: 1 << 20]
    formats = [fp.get_format(f"w{3 + i % 2}m{4 - i % 2}b{i + 200}-fn") for i in range(3)]
    for fmt in formats:
        tracemalloc.start()
        codes = fp.encode(x, fmt)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak - codes.nbytes < LIMIT


def test_a_broadcast_input_is_not_written_out() -> None:
    """16 million times one number: no copy of it in memory."""
    x = np.broadcast_to(np.float32(0.3), (1 << 12, 1 << 12))
    assert temporaries(lambda x: fp.encode(x, "E4M3FN"), x) < LIMIT


@pytest.mark.exhaustive
def test_a_quarter_of_a_billion_numbers_need_little_memory() -> None:
    """2**28 float32: the same bound."""
    x = np.random.default_rng(0).standard_normal(1 << 28, dtype=np.float32)
    for threads in (1, 2):
        assert temporaries(lambda x, t=threads: fp.encode(x, "E4M3FN", threads=t), x) < LIMIT
    codes = fp.encode(x, "E4M3FN")
    assert temporaries(lambda x: fp.decode(x, "E4M3FN"), codes) < LIMIT
    assert temporaries(lambda x: fp.quantize(x, "E4M3FN"), x) < LIMIT


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
