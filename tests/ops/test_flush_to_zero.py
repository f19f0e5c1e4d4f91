"""Operations do not depend on flush-to-zero being switched on by another library."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch

SWITCH = "import torch\nassert torch.set_flush_denormal(True), 'this processor cannot'\n"

#: What the child does; it prints a hash of all results.
WORK = """
import hashlib
import sys
import numpy as np

half = np.array([0x00800000], np.uint32).view(np.float32) * np.float32(0.5)
flushes = bool(half.view(np.uint32)[0] == 0)
assert flushes == (len(sys.argv) > 1), f"flush-to-zero is {flushes}"

import fp8num.ops as ops
from fp8num import get_format

total = hashlib.sha256()
rng = np.random.default_rng(0)
for name in ("E5M2", "E8M0FNU", "BFLOAT16", "BINARY16", "Binary16p5se", "Binary16p6ue"):
    fmt = get_format(name)
    a, b, c = rng.integers(0, 1 << fmt.bits, (3, 3000)).astype(fmt.code_dtype)
    a[:500], b[:500] = a[:500] % 9, b[:500] % 9  # the smallest values
    for rounding in ("rne", "ru", "ro"):
        for binary in (ops.add, ops.subtract, ops.multiply, ops.divide, ops.minimum):
            total.update(binary(a, b, fmt, rounding=rounding).tobytes())
        for ternary in (ops.fma, ops.faa):
            total.update(ternary(a, b, c, fmt, rounding=rounding).tobytes())
        for unary in (ops.sqrt, ops.rsqrt, ops.reciprocal, ops.exp, ops.log2, ops.tanh):
            total.update(unary(a[:600], fmt, rounding=rounding).tobytes())
    for other in (ops.less, ops.equal, ops.total_order, ops.nextafter, ops.kappa):
        total.update(other(a, b, fmt).tobytes())
    total.update(ops.ulp(a, fmt).tobytes())
print(total.hexdigest())
"""


def digest(before: str = "") -> str:
    """Run the work in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", before + WORK, *["flush"] * bool(before)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_flush_to_zero_changes_nothing() -> None:
    assert digest(SWITCH) == digest()
