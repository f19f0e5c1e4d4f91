"""The three kernels are three programs for one function: they must agree everywhere."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num._kernels.arithmetic import Arithmetic, serves
from fp8num._kernels.cache import Cache
from fp8num._kernels.encoder import encoder
from fp8num._kernels.search import Search
from fp8num._kernels.staircase import staircase
from fp8num._kernels.table import Table, make_table
from fp8num._kernels.words import FLOAT32, FLOAT64, dyadic_words, float32_words, source_of, widen
from fp8num.projection import Projection

NAMES = [
    *fp.FORMATS,
    "Binary8p1se",
    "Binary8p1uf",
    "Binary8p7se",
    "Binary8p8uf",
    "Binary16p5se",  # from 2**-1027 to nearly 2**1024: all of float64
    "Binary16p6ue",
    "Binary12p4sf",
    "w4m3b200-fn",  # outside float32
    "w4m3b7-fn-nosub",  # a hole above zero
    "w5m10b15-ieee-nosub",
    "uw5m3b15-ieee",
    "w1m3b0-none",
    "w2m3b-30-fnuz",
    "w2m0b1-fn-nosub",  # signed, and without a zero
]


def boundaries(fmt: fp.Format, dtype: Any) -> Any:
    """Values, midpoints and what is next to them, of a few thousand codes at most."""
    finite = np.unique(np.abs(fmt.values[np.isfinite(fmt.values)]))
    if len(finite) > 2000:
        picked = np.random.default_rng(0).choice(len(finite) - 1, 900)
        finite = finite[np.unique([*picked, *(picked + 1), *range(50), *range(-50, 0)])]
    with np.errstate(over="ignore", under="ignore"):
        points = np.concatenate(
            [finite, finite[1:] / 2 + finite[:-1] / 2, finite[-1] * np.array([1.0625, 2.0])]
        ).astype(dtype)
        points = np.append(points, [0.0, 5e-324, 2.0**-149, 1e-310, 1e300, np.inf, np.nan]).astype(
            dtype
        )
        around = [np.nextafter(points, dtype(np.inf)), np.nextafter(points, dtype(0))]
    found = np.concatenate([points, *around])
    return np.concatenate([found, -found])


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", NAMES)
def test_kernels_agree(name: str, *, every: bool) -> None:
    """Table, arithmetic and search give the same code at every boundary, in every rounding."""
    fmt = fp.get_format(name)
    rng = np.random.default_rng(0)
    sources = [(boundaries(fmt, np.float64), FLOAT64), (boundaries(fmt, np.float32), FLOAT32)]
    modes = list(product(fp.Rounding, sources, fp.Saturation))
    if not every:  # kernels share the outputs, which saturation decides: one for each, by turns
        turn = NAMES.index(name)
        modes = [modes[3 * i + (i + turn) % 3] for i in range(len(modes) // 3)]
    for rounding, (x, layout), saturation in modes:
        projection = Projection(rounding=rounding, saturation=saturation)
        stairs = staircase(fmt, projection)
        words = x.view(layout.dtype)
        for width in (1, 5, 32) if rounding.is_stochastic else (0,):
            random = [rng.integers(0, 1 << width, words.shape, np.uint64)] if width else []
            kernels: list[Any] = [Search(fmt, projection, stairs, layout, width)]
            if serves(fmt, projection):
                kernels.append(Arithmetic(fmt, projection, stairs, layout, width))
            if not width:
                kernels.append(encoder(fmt, projection, layout))
            results = []
            for kernel in kernels:
                results.append(np.empty(words.shape, fmt.code_dtype))
                kernel(words, results[-1], *random)

            for result in results[1:]:
                np.testing.assert_array_equal(result, results[0], f"{rounding} {saturation}")


def test_formats_up_to_8_bits_have_the_table_kernel() -> None:
    """One kernel serves them all, so one is as fast as another."""
    formats = [fmt for fmt in map(fp.get_format, NAMES) if fmt.bits <= 8]
    roundings = [mode for mode in fp.Rounding if not mode.is_stochastic]
    for fmt, rounding, layout in product(formats, roundings, (FLOAT32, FLOAT64)):
        kernel = encoder(fmt, Projection(rounding=rounding), layout)

        assert isinstance(kernel, Table), (fmt.name, rounding, layout.bits)


def test_a_key_too_narrow_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Precision 8 needs 9 significant bits and a sticky one: 16-bit keys cannot tell."""
    fmt = fp.get_format("Binary8p8uf")
    stairs = staircase(fmt, Projection())
    monkeypatch.setattr("fp8num._kernels.table._WIDEST", {32: 16})

    assert make_table(stairs, FLOAT32, stairs.outputs) is None


def test_the_cache_drops_what_was_used_least_recently() -> None:
    """Its size is bounded in bytes, and what was asked for last stays."""
    cache = Cache(300)
    made = []

    def make(key: int) -> Any:
        made.append(key)
        return np.zeros(100, np.uint8)

    for key in (1, 2, 3, 1, 4, 1, 2):
        cache.get(key, lambda key=key: make(key))

    assert made == [1, 2, 3, 4, 2]
    assert cache.nbytes == 300


def test_a_value_larger_than_the_cache_is_not_kept() -> None:
    """It is made again instead of driving out everything else."""
    cache = Cache(10)

    cache.get("large", lambda: np.zeros(11, np.uint8))

    assert cache.nbytes == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_widening_is_exact(dtype: Any) -> None:
    """Float64 words made by integers are those of NumPy's exact conversion."""
    layout = source_of(np.dtype(dtype)).layout
    words = np.arange(1 << 16, dtype=np.uint32)
    words = words.astype(np.uint16) if dtype == np.float16 else words << 16 | words >> 3
    words &= layout.dtype.type(layout.magnitude_mask)
    values = words.view(dtype)
    with np.errstate(invalid="ignore"):
        expected = values.astype(np.float64)

    wide = widen(words, layout).view(np.float64)

    np.testing.assert_array_equal(wide, expected)


def test_dyadic_words_reach_all_of_float64() -> None:
    """Integers times powers of two, down to 2**-1074 and up to infinity."""
    integers, exponents = (
        np.array([0, 1, 3, 5, 1, 1]),
        np.array([9, -1074, -1074, -1024, 1023, 1024]),
    )

    found = dyadic_words(integers, exponents).view(np.float64)

    assert found.tolist() == [0.0, 5e-324, 1.5e-323, 5 * 2.0**-1024, 2.0**1023, np.inf]


def test_float32_words_round_subnormals_to_even() -> None:
    """Half units of 2**-149 are ties, and go to the even one."""
    units = np.array([0.5, 0.75, 1.5, 2.5, -2.5, 3.5])

    found = float32_words(units * 2.0**-149)

    assert found.tolist() == [0, 1, 2, 2, 1 << 31 | 2, 4]
