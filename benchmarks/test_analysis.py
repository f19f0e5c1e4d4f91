"""
What is measured of a tensor under a rule, against one cast of the tensor by ml_dtypes.

The peer is the cast to E4M3FN of every case: that to E5M2 takes as long, that to E2M1FN a third
longer.  What is timed is the thread's processor time, as other work may take the core.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

from fp8num.analysis import analyze_tensor
from fp8num.inputs import tensor_from_array

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.benchmark(timer=time.thread_time)

SHAPE = (1024, 4096)
ROUNDS = {"rounds": 11, "warmup_rounds": 1}
SOURCES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}

#: How many times as long as a cast a rule may take.
ASKED = {"float32": 2.5, "bfloat16": 3.0}
RULES = {
    "E4M3FN": ("unit", "tensor", "te-current", "row", "block-128x128", "te-mxfp8"),
    "E5M2": ("unit", "tensor", "row", "te-mxfp8"),
    "E2M1FN": ("nvfp4", "te-nvfp4", "mxfp4-e2m1fn"),
}
CASES = [(fmt, rule) for fmt, rules in RULES.items() for rule in rules]
#: The default formats under the default rules.
PAIRS = 18


def normal(shape: tuple[int, ...], source: str) -> np.ndarray[Any, Any]:
    """N(0, 1)."""
    return np.random.default_rng(0).standard_normal(shape, np.float32).astype(SOURCES[source])


def measure(
    benchmark: Any, work: Callable[[], Any], peer: str | None = None, asked: float | None = None
) -> None:
    """Time `work`, to be printed as a ratio to the benchmark named `peer`."""
    benchmark.extra_info.update(peer=peer or "", asked=asked)
    benchmark.pedantic(work, **ROUNDS)


@pytest.mark.parametrize("source", SOURCES)
def test_peer_cast(benchmark: Any, source: str) -> None:
    x = normal(SHAPE, source)
    measure(benchmark, lambda: x.astype(ml_dtypes.float8_e4m3fn))


@pytest.mark.parametrize(("fmt", "rule"), CASES)
@pytest.mark.parametrize("source", SOURCES)
def test_analyze(benchmark: Any, source: str, fmt: str, rule: str) -> None:
    x = tensor_from_array("x", normal(SHAPE, source))
    peer = f"test_peer_cast[{source}]"
    measure(benchmark, lambda: analyze_tensor(x, fmt, rule), peer, 1 / ASKED[source])


@pytest.mark.parametrize("source", SOURCES)
def test_peer_five_casts(benchmark: Any, source: str) -> None:
    x = normal(SHAPE, source)
    measure(benchmark, lambda: [x.astype(ml_dtypes.float8_e4m3fn) for _ in range(5)])


@pytest.mark.parametrize("source", SOURCES)
def test_analyze_five_rules(benchmark: Any, source: str) -> None:
    """Of one format in one call, against as many casts."""
    x = tensor_from_array("x", normal(SHAPE, source))
    peer, rules = f"test_peer_five_casts[{source}]", RULES["E4M3FN"][1:]
    measure(benchmark, lambda: analyze_tensor(x, "E4M3FN", rules), peer, 1 / ASKED[source])


def test_peer_casts(benchmark: Any) -> None:
    x = normal(SHAPE, "float32")
    measure(benchmark, lambda: [x.astype(ml_dtypes.float8_e4m3fn) for _ in range(PAIRS)])


def test_analyze_default(benchmark: Any) -> None:
    """All default formats and rules, against as many casts."""
    x = tensor_from_array("x", normal(SHAPE, "float32"))
    measure(benchmark, lambda: analyze_tensor(x), "test_peer_casts", 1 / ASKED["float32"])


def test_analyze_100_small(benchmark: Any) -> None:
    """At most 3 ms for each of 100 tensors: see the seconds."""
    x = tensor_from_array("x", normal((64, 64), "float32"))
    measure(benchmark, lambda: [analyze_tensor(x, "E4M3FN", "tensor") for _ in range(100)])
