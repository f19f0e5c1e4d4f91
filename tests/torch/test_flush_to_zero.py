"""Results do not depend on flush-to-zero, which torch can switch on for the whole process."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch

CHILD = """
import hashlib, sys
import torch
if sys.argv[1] == "flush":
    assert torch.set_flush_denormal(True)
import numpy as np
tiny = np.float64(5e-324)
flushed = tiny * 1.0 == 0.0
assert flushed == (sys.argv[1] == "flush"), "flush-to-zero is not as asked"
import fp8num as fp

# Numbers are made from their bits: arithmetic could flush them here already.
rng = np.random.default_rng(0)
f32 = rng.integers(0, 1 << 24, 20000).astype(np.uint32)  # mostly subnormal
f32 = np.concatenate([f32, f32 | 1 << 31, rng.integers(0, 1 << 32, 20000).astype(np.uint32)])
f64 = np.concatenate([rng.integers(0, 1 << 53, 20000), rng.integers(0, 1 << 62, 20000)])
f64 = np.concatenate([f64.view(np.uint64), f64.view(np.uint64) | np.uint64(1 << 63)])
f16 = np.arange(1 << 16, dtype=np.uint16)
sources = [f32.view(np.float32), f64.view(np.float64), f16.view(np.float16)]
names = [*fp.FORMATS, "Binary8p1se", "Binary8p1uf", "Binary16p5se", "Binary12p3se"]
names += ["w5m10b15-ieee-nosub"]
digest = hashlib.sha256()
for name in names:
    fmt = fp.get_format(name)
    digest.update(fmt.values.tobytes())
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
    for dtype in ("float16", "float32", "float64", "bfloat16"):
        with np.errstate(all="ignore"):
            digest.update(fp.decode(codes, fmt, dtype=dtype).tobytes())
    for x in sources:
        for rounding in fp.Rounding:
            bits = {"random_bits": 5, "random_width": 4} if rounding.is_stochastic else {}
            digest.update(fp.encode(x, fmt, rounding=rounding, **bits).tobytes())
        digest.update(fp.quantize(x, fmt, dtype=x.dtype.name).tobytes())
        raised = fp.flags(x, fmt)
        digest.update(raised.inexact.tobytes() + raised.underflow.tobytes())
print(digest.hexdigest())
"""


def digest_of(mode: str) -> str:
    """Hash of everything that the child computed."""
    command = [sys.executable, "-c", CHILD, mode]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_results_are_the_same_with_flush_to_zero() -> None:
    """Tables made, values and codes, from subnormal inputs, in every mode."""
    assert digest_of("flush") == digest_of("keep")
