"""
Products under accumulators, beside a float32 multiplication of as many elements.

The base is what any model of a tensor core must do at least once for each of the
M N K products: one float32 multiplication, in blocks that stay in the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp

if TYPE_CHECKING:
    from collections.abc import Callable

M, K, N = 256, 512, 256
BLOCK = 16_384
ROUNDS = {"rounds": 9, "warmup_rounds": 1}
#: At most 16 times the multiplication's time is aimed at.
AIMS = {"hopper": 1 / 16, "hopper-promoted": 1 / 16}


def measure(
    benchmark: Any, work: Callable[[], Any], peer: str | None = None, asked: float | None = None
) -> None:
    """Time `work`, to be printed as a ratio to the benchmark named `peer`."""
    benchmark.extra_info.update(peer=peer or "", asked=asked)
    benchmark.pedantic(work, **ROUNDS)


def operands(fmt: str) -> tuple[Any, Any]:
    """Return codes of N(0, 1)."""
    rng = np.random.default_rng(1)
    return fp.encode(rng.standard_normal((M, K)), fmt), fp.encode(rng.standard_normal((K, N)), fmt)


def test_peer_multiplication(benchmark: Any) -> None:
    """M N K float32 multiplications in blocks of 16,384."""
    x = np.random.default_rng(0).random(BLOCK).astype(np.float32)
    y, out = x.copy(), np.empty_like(x)

    def multiply() -> None:
        for _ in range(M * N * K // BLOCK):
            np.multiply(x, y, out=out)

    measure(benchmark, multiply)


@pytest.mark.parametrize("name", ["hopper", "hopper-promoted", "ada", "blackwell", "float32"])
def test_accumulator(benchmark: Any, name: str) -> None:
    """E4M3FN by E4M3FN on one thread."""
    a, b = operands("E4M3FN")
    measure(
        benchmark,
        lambda: fp.matmul(a, b, "E4M3FN", "E4M3FN", accumulator=name),
        "test_peer_multiplication",
        AIMS.get(name),
    )


@pytest.mark.parametrize("fmt", ["E4M3FN", "E5M2"])
def test_peer_dgemm(benchmark: Any, fmt: str) -> None:
    """Decoding into float64, and one float64 product."""
    a, b = operands(fmt)
    measure(
        benchmark,
        lambda: fp.decode(a, fmt, dtype=np.float64) @ fp.decode(b, fmt, dtype=np.float64),
    )


@pytest.mark.parametrize(("fmt", "asked"), [("E4M3FN", 1 / 4), ("E5M2", None)])
def test_exact(benchmark: Any, fmt: str, asked: float | None) -> None:
    """The exact sum rounded once: at most 4 times that is aimed at for E4M3FN."""
    a, b = operands(fmt)
    measure(benchmark, lambda: fp.matmul(a, b, fmt, fmt), f"test_peer_dgemm[{fmt}]", asked)
