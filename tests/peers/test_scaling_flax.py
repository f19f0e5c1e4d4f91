"""
The rule `flax` against the flax that is installed: histories, scales and values.

XLA on a CPU takes subnormal numbers for zero, those it is given and those it makes.  The rule
does so in what decides codes and scales, down to 0 / 0, NaN, where the scale became zero.  A
dequantised value is what code and scale stand for, though it be subnormal: those are taken
for zero here before they are compared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import scaling

pytestmark = pytest.mark.peers

FORMATS = {"float8_e4m3fn": "E4M3FN", "float8_e5m2": "E5M2"}
TINY = float(np.finfo(np.float32).smallest_normal)


@pytest.fixture(scope="module")
def jax_numpy() -> Any:
    """JAX's NumPy, on the CPU."""
    pytest.importorskip("flax")
    import jax

    jax.config.update("jax_platforms", "cpu")
    import jax.numpy as jnp

    return jnp


def flax_call(jnp: Any, x: Any, dtype: str, scale: Any, history: Any) -> tuple[Any, Any, Any]:
    """Return what flax makes of a tensor, its scale and its history."""
    from flax.linen import fp8_ops

    found = fp8_ops.quantize_dequantize_update(
        jnp.asarray(x), getattr(jnp, dtype), jnp.asarray([scale]), jnp.asarray(history), jnp.float32
    )
    values, scale, history = (np.asarray(part) for part in found)
    return values, scale[0], history


def flax_codes(jnp: Any, x: Any, dtype: str, scale: Any) -> Any:
    """Return the codes that flax makes of a tensor with a scale."""
    from flax.linen import fp8_ops

    codes = fp8_ops.quantize(jnp.asarray(x), getattr(jnp, dtype), jnp.asarray([scale]), jnp.float32)
    return np.asarray(codes).view(np.uint8)


def assert_same_bits(ours: Any, theirs: Any, what: str) -> int:
    """Compare float32 by their bits; one NaN is as another.  Return how many."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape, what
    nan = np.isnan(theirs)
    np.testing.assert_array_equal(np.isnan(ours), nan, err_msg=what)
    np.testing.assert_array_equal(
        ours[~nan].view(np.uint32), theirs[~nan].view(np.uint32), err_msg=what
    )
    return int(theirs.size)


def test_the_comparison_can_fail() -> None:
    for ours, theirs in ((1.0, 1 + 2.0**-23), (0.0, -0.0), (np.nan, 1.0), (1.0, np.nan)):
        with pytest.raises(AssertionError):
            assert_same_bits(np.float32([ours]), np.float32([theirs]), "what differs")


def flush(values: Any) -> Any:
    """Return zero of the same sign for subnormal numbers."""
    return np.where(np.abs(values) < TINY, np.copysign(np.float32(0), values), values)


def sequences() -> dict[str, list[Any]]:
    """Return tensors call by call: random ones, and corners of the largest magnitude."""
    rng = np.random.default_rng(11)

    def scaled_by(magnitudes: Any) -> list[Any]:
        return [
            np.float32(np.clip(rng.standard_normal((16, 24)), -4, 4) / 4 * magnitude)
            for magnitude in magnitudes
        ]

    powers = np.exp2(rng.integers(-20, 20, 40).astype(np.float64))
    near = [
        np.nextafter(np.float32(448 * p), np.float32(0 if i % 2 else 1e38))
        for i, p in enumerate(powers[:12])
    ]
    infinite = scaled_by([2.0] * 8)
    infinite[2][3, 3] = np.inf
    infinite[5][0, 0] = -np.inf
    missing = scaled_by([2.0] * 8)
    missing[2][3, 3] = np.nan
    zeros = [np.zeros((16, 24), np.float32), -np.zeros((16, 24), np.float32)]
    return {
        "steady": scaled_by([1.0] * 20),
        "jumping": scaled_by(powers),
        "neighbours": [np.float32([[a, -a, a / 3]]) for a in near],
        "zeros": [*zeros, *scaled_by([3.0]), *zeros, *zeros, *zeros],
        "inf": infinite,
        "nan": missing,
        "underflow": scaled_by([1.0, 1e-30, 1e-36, 1e-37, 1e-37, 1e-37, 1e-37, 1e-37]),
        "subnormal": scaled_by([TINY / 2, TINY / 4, TINY / 1024, 4 * TINY, 4 * TINY, 4 * TINY]),
        "huge": scaled_by([3e38, 3e38, 1e38, 1e38, 1.0, 1.0, 1.0]),
    }


@pytest.mark.parametrize("length", [1, 4, 16])
@pytest.mark.parametrize("dtype", FORMATS)
def test_histories_scales_codes_and_values(dtype: str, length: int, jax_numpy: Any) -> None:
    """Call by call, each side from its own state: an error would stay."""
    count = calls = 0
    for name, tensors in sequences().items():
        state = scaling.start("flax", FORMATS[dtype], length=length)
        scale, history = np.float32(1), np.zeros(length, np.float32)
        for step, x in enumerate(tensors):
            values, scale, history = flax_call(jax_numpy, x, dtype, scale, history)
            scaled, state = state.quantize(x)

            what = f"call {step} of {name}"
            count += assert_same_bits(scaled.stored_scales, scale, f"{what}: scale")
            count += assert_same_bits(state.history, history, f"{what}: history")
            count += assert_same_bits(flush(scaled.dequantize()), values, f"{what}: values")
            codes = flax_codes(jax_numpy, x, dtype, scale)
            nan = np.isnan(fp.decode(codes, FORMATS[dtype]))
            np.testing.assert_array_equal(scaled.codes[~nan], codes[~nan], err_msg=what)
            assert np.isnan(fp.decode(scaled.codes[nan], FORMATS[dtype])).all()
            calls += 1

    elements = sum(x.size for tensors in sequences().values() for x in tensors)
    assert calls == 118
    assert count == elements + calls * (1 + length)


@pytest.mark.parametrize("dtype", FORMATS)
def test_scales_of_many_histories(dtype: str, jax_numpy: Any) -> None:
    """
    The new scale from an old one and one history entry: 1 / (max / amax), twice rounded.

    Where the largest magnitude is 0, infinite or NaN the scale stays, but through
    1 / (1 / scale), which is another number for some; reproduced.
    """
    rng = np.random.default_rng(12)
    amax = np.exp2(rng.uniform(-120, 120, 300)).astype(np.float32)
    amax[:60] = np.repeat(np.float32([0, np.inf, np.nan, TINY / 2, 1e-37]), 12)
    old = np.exp2(rng.uniform(-20, 20, 300)).astype(np.float32)
    start = scaling.start("flax", FORMATS[dtype], length=1)
    x = np.zeros(1, np.float32)

    kept = 0
    for before, largest in zip(old, amax, strict=True):
        history = np.float32([largest])
        _, theirs, _ = flax_call(jax_numpy, x, dtype, before, history)
        _, state = replace(start, scale=before, history=history).quantize(x)
        assert_same_bits(state.scale, theirs, f"scale {before!r}, history {largest!r}")
        kept += theirs == before
    assert 0 < kept < 60
