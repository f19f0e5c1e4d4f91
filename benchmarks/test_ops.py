"""Operations on codes against ml_dtypes' arithmetic, on 2^22 elements and on 1,000."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

from fp8num import ops

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 1 << 22
WIDE = 1 << 18
E4M3FN = ml_dtypes.float8_e4m3fn
ROUNDS = {"rounds": 5, "warmup_rounds": 1}
RNG = np.random.default_rng(0)
A, B, C = RNG.integers(0, 256, (3, SIZE), dtype=np.uint8)
WIDE_A, WIDE_B, WIDE_C = RNG.integers(0, 1 << 16, (3, WIDE), dtype=np.uint16)

BINARY = {"add": np.add, "multiply": np.multiply, "divide": np.divide, "maximum": np.maximum}
UNARY = {"sqrt": np.sqrt, "exp": np.exp, "tanh": np.tanh}


def measure(
    benchmark: Any, work: Callable[[], Any], peer: str | None = None, asked: float | None = None
) -> None:
    """Time `work`, to be printed as a ratio to the benchmark named `peer`."""
    benchmark.extra_info.update(peer=peer or "", asked=asked)
    with np.errstate(all="ignore"):
        benchmark.pedantic(work, **ROUNDS)


@pytest.mark.parametrize("name", BINARY)
def test_peer_pairs(benchmark: Any, name: str) -> None:
    x, y = A.view(E4M3FN), B.view(E4M3FN)
    measure(benchmark, lambda: BINARY[name](x, y))


@pytest.mark.parametrize("name", BINARY)
def test_pairs(benchmark: Any, name: str) -> None:
    """Looked up: the rounding and what is computed do not matter."""
    operation = getattr(ops, name)
    measure(benchmark, lambda: operation(A, B, "E4M3FN"), f"test_peer_pairs[{name}]", 10.0)


@pytest.mark.parametrize("name", UNARY)
def test_peer_function(benchmark: Any, name: str) -> None:
    x = A.view(E4M3FN)
    measure(benchmark, lambda: UNARY[name](x))


@pytest.mark.parametrize("name", UNARY)
def test_function(benchmark: Any, name: str) -> None:
    operation = getattr(ops, name)
    measure(benchmark, lambda: operation(A, "E4M3FN"), f"test_peer_function[{name}]", 10.0)


def test_peer_less(benchmark: Any) -> None:
    x, y = A.view(E4M3FN), B.view(E4M3FN)
    measure(benchmark, lambda: np.less(x, y))


def test_less(benchmark: Any) -> None:
    measure(benchmark, lambda: ops.less(A, B, "E4M3FN"), "test_peer_less", 2.0)


def test_peer_wide(benchmark: Any) -> None:
    x, y = WIDE_A.view(ml_dtypes.bfloat16), WIDE_B.view(ml_dtypes.bfloat16)
    measure(benchmark, lambda: np.add(x, y))


def test_add_wide(benchmark: Any) -> None:
    """Computed in integers, in any mode: exactness has its price here."""
    measure(benchmark, lambda: ops.add(WIDE_A, WIDE_B, "BFLOAT16"), "test_peer_wide")


def test_fma_wide(benchmark: Any) -> None:
    measure(benchmark, lambda: ops.fma(WIDE_A, WIDE_B, WIDE_C, "BFLOAT16"), "test_add_wide")


def test_fma(benchmark: Any) -> None:
    part = slice(WIDE)
    measure(benchmark, lambda: ops.fma(A[part], B[part], C[part], "E4M3FN"), "test_add_wide")


def test_peer_pairs_1000(benchmark: Any) -> None:
    x, y = A[:1000].view(E4M3FN), B[:1000].view(E4M3FN)
    benchmark(lambda: np.add(x, y))


def test_pairs_1000(benchmark: Any) -> None:
    """A call takes some microseconds: see the seconds, not the ratio."""
    a, b = A[:1000].copy(), B[:1000].copy()
    benchmark.extra_info.update(peer="test_peer_pairs_1000")
    benchmark(lambda: ops.add(a, b, "E4M3FN"))
