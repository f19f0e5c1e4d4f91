"""The codec against ml_dtypes' casts and gfloat, on 2^24 elements and on 16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest

import fp8num as fp

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 1 << 24
E4M3FN = ml_dtypes.float8_e4m3fn
ROUNDS = {"rounds": 7, "warmup_rounds": 1}


@pytest.fixture(scope="module")
def x() -> np.ndarray[Any, Any]:
    """N(0, 1) with some NaN, infinities and overflow."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(SIZE, np.float32)
    values[rng.integers(0, SIZE, 1000)] = np.nan
    values[rng.integers(0, SIZE, 1000)] = np.inf
    values[rng.integers(0, SIZE, 10_000)] = -1e4
    return values


def measure(
    benchmark: Any, work: Callable[[], Any], peer: str | None = None, asked: float | None = None
) -> None:
    """Time `work`, to be printed as a ratio to the benchmark named `peer`."""
    benchmark.extra_info.update(peer=peer or "", asked=asked)
    benchmark.pedantic(work, **ROUNDS)


SOURCES = {
    "float32": (np.float32, 4.0),
    "float16": (np.float16, 4.0),
    "bfloat16": (ml_dtypes.bfloat16, 4.0),
    "float64": (np.float64, 1.5),
}


@pytest.mark.parametrize("source", SOURCES)
def test_peer_encode(benchmark: Any, x: np.ndarray[Any, Any], source: str) -> None:
    with np.errstate(over="ignore"):
        values = x.astype(SOURCES[source][0])
    measure(benchmark, lambda: values.astype(E4M3FN))


@pytest.mark.parametrize("source", SOURCES)
def test_encode(benchmark: Any, x: np.ndarray[Any, Any], source: str) -> None:
    dtype, asked = SOURCES[source]
    with np.errstate(over="ignore"):
        values = x.astype(dtype)
    measure(benchmark, lambda: fp.encode(values, fp.E4M3FN), f"test_peer_encode[{source}]", asked)


def test_encode_two_threads(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    measure(benchmark, lambda: fp.encode(x, fp.E4M3FN, threads=2), "test_encode[float32]", 1.6)


def test_peer_decode(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    codes = x.astype(E4M3FN)
    measure(benchmark, lambda: codes.astype(np.float32))


def test_decode(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    codes = x.astype(E4M3FN).view(np.uint8)
    measure(benchmark, lambda: fp.decode(codes, fp.E4M3FN), "test_peer_decode", 8.0)


def test_peer_decode_into(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    codes, out = x.astype(E4M3FN), np.empty(SIZE, np.float32)
    measure(benchmark, lambda: np.copyto(out, codes, casting="unsafe"))


def test_decode_into(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    codes, out = x.astype(E4M3FN).view(np.uint8), np.empty(SIZE, np.float32)
    measure(benchmark, lambda: fp.decode(codes, fp.E4M3FN, out=out), "test_peer_decode_into", 8.0)


def test_decode_two_threads(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    codes = x.astype(E4M3FN).view(np.uint8)
    measure(benchmark, lambda: fp.decode(codes, fp.E4M3FN, threads=2), "test_decode", 1.6)


def test_peer_round_trip(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    measure(benchmark, lambda: x.astype(E4M3FN).astype(np.float32))


def test_quantize(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    measure(benchmark, lambda: fp.quantize(x, fp.E4M3FN), "test_peer_round_trip", 5.0)


FORMATS = [name for name, fmt in fp.FORMATS.items() if fmt.bits <= 8]
FORMATS += ["Binary8p6se", "Binary8p7se", "Binary8p8uf"]


@pytest.mark.parametrize("name", FORMATS)
def test_encode_every_format(benchmark: Any, x: np.ndarray[Any, Any], name: str) -> None:
    measure(benchmark, lambda: fp.encode(x, name), "test_encode[float32]", 0.6)


@pytest.mark.parametrize("rounding", ["rna", "rz", "ru", "rd", "ro"])
def test_encode_every_mode(benchmark: Any, x: np.ndarray[Any, Any], rounding: str) -> None:
    measure(
        benchmark, lambda: fp.encode(x, fp.E4M3FN, rounding=rounding), "test_encode[float32]", 0.6
    )


@pytest.mark.parametrize("name", ["BFLOAT16", "BINARY16", "Binary16p5se"])
def test_encode_wide(benchmark: Any, x: np.ndarray[Any, Any], name: str) -> None:
    measure(benchmark, lambda: fp.encode(x, name), "test_encode[float32]")


def test_encode_stochastic(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    rng = np.random.default_rng(0)
    measure(
        benchmark,
        lambda: fp.encode(x, fp.E4M3FN, rounding="StochasticA", rng=rng),
        "test_encode[float32]",
    )


def test_peer_gfloat_encode(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    part = x[: SIZE // 64].astype(np.float64)
    info = gfloat.formats.format_info_ocp_e4m3

    def work() -> None:
        rounded = gfloat.round_ndarray(info, part, gfloat.RoundMode.TiesToEven, sat=True)
        gfloat.encode_ndarray(info, rounded)

    measure(benchmark, work)


def test_encode_same_as_gfloat(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    part = x[: SIZE // 64]
    measure(benchmark, lambda: fp.encode(part, fp.E4M3FN), "test_peer_gfloat_encode", 20.0)


def test_peer_encode_16(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    part = x[:16].copy()
    benchmark(lambda: part.astype(E4M3FN))


def test_encode_16(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    """At most 3 times the peer's call plus 10 microseconds: see the seconds, not the ratio."""
    part = x[:16].copy()
    benchmark.extra_info.update(peer="test_peer_encode_16")
    benchmark(lambda: fp.encode(part, fp.E4M3FN))
