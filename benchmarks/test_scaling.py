"""Scaling rules against plain quantisation, on 2^24 float32 as 4096 x 4096."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE = (4096, 4096)
ROUNDS = {"rounds": 3, "warmup_rounds": 1}

#: How many times as long as plain quantisation a rule may take: MXFP8 2, other blocks 3.
MXFP8 = ("mxfp8-e4m3fn", "te-mxfp8")
BLOCKS = (
    "te-block-1x128",
    "te-block-1x128-fp32",
    "te-block-128x128",
    "te-nvfp4",
    "te-nvfp4-2d",
    "te-nvfp4-rht",
    "torchao-mx-floor",
    "torchao-mx-rceil",
    "deepgemm-1x128",
    "deepgemm-1x128-ue8m0",
    "deepgemm-128x128",
    "mxfp6-e3m2fn",
    "mxfp4-e2m1fn",
    "mxint8",
    "microxcaling",
    "block-32",
    "block-128",
    "block-128x128",
)
#: No aim is set for one scale of a tensor or row.
OTHERS = ("tensor", "row", "te-current", "torchao-rowwise")


@pytest.fixture(scope="module")
def x() -> np.ndarray[Any, Any]:
    """N(0, 1), its rows of different sizes."""
    rng = np.random.default_rng(0)
    scale = np.exp2(rng.integers(-6, 6, (SHAPE[0], 1))).astype(np.float32)
    return rng.standard_normal(SHAPE, np.float32) * scale


def measure(
    benchmark: Any, work: Callable[[], Any], peer: str | None = None, asked: float | None = None
) -> None:
    """Time `work`, to be printed as a ratio to the benchmark named `peer`."""
    benchmark.extra_info.update(peer=peer or "", asked=asked)
    benchmark.pedantic(work, **ROUNDS)


def test_peer_quantize(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    measure(benchmark, lambda: fp.quantize(x, fp.E4M3FN))


@pytest.mark.parametrize("rule", MXFP8)
def test_scale_quantize_mxfp8(benchmark: Any, x: np.ndarray[Any, Any], rule: str) -> None:
    measure(benchmark, lambda: fp.scale_quantize(x, rule), "test_peer_quantize", 1 / 2)


@pytest.mark.parametrize("rule", BLOCKS)
def test_scale_quantize_blocks(benchmark: Any, x: np.ndarray[Any, Any], rule: str) -> None:
    measure(benchmark, lambda: fp.scale_quantize(x, rule), "test_peer_quantize", 1 / 3)


@pytest.mark.parametrize("rule", OTHERS)
def test_scale_quantize_others(benchmark: Any, x: np.ndarray[Any, Any], rule: str) -> None:
    measure(benchmark, lambda: fp.scale_quantize(x, rule), "test_peer_quantize")


def test_scale_quantize_two_threads(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    measure(
        benchmark,
        lambda: fp.scale_quantize(x, "te-mxfp8", threads=2),
        "test_scale_quantize_mxfp8[te-mxfp8]",
        1.6,
    )


def test_dequantize(benchmark: Any, x: np.ndarray[Any, Any]) -> None:
    scaled = fp.scale_quantize(x, "te-mxfp8")
    measure(benchmark, scaled.dequantize, "test_peer_quantize")
