"""Products do not depend on flush-to-zero, which a child process switches on."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch

SWITCH = "import torch\nassert torch.set_flush_denormal(True), 'this processor cannot'\n"

#: Prints a line for each accumulator, start and product: the bits of the outputs, hashed.
WORK = """
import hashlib, sys
import ml_dtypes
import numpy as np
import fp8num as fp

half = np.array([0x00800000], np.uint32).view(np.float32) * np.float32(0.5)
assert bool(half.view(np.uint32)[0] == 0) == (len(sys.argv) > 1)

rng = np.random.default_rng(0)
small = (rng.integers(0, 4, (8, 96)) | (rng.integers(0, 2, (8, 96)) << 7)).astype(np.uint8)
starts = {
    "none": None,
    "float32": rng.integers(1, 1 << 23, (8, 8)).astype(np.uint32).view(np.float32),
    "bfloat16": rng.integers(1, 1 << 7, (8, 8)).astype(np.uint16).view(ml_dtypes.bfloat16),
}
units = ["exact", "float32", "float32-pairwise", "hopper", "hopper-promoted", "hopper-mma-sync",
         "ada", "blackwell", "volta-hmma"]
for unit in units:
    for name, c in starts.items():
        for scale in (1 << 23, 3):  # 2**-126, and 3 * 2**-149: by their bits
            scales = np.array([[scale]], np.uint32).view(np.float32)
            given = {} if c is not None else {"scaling": "tensor", "a_scale": scales, "b_scale": 1}
            found = fp.matmul(small, small.T, "E5M2", "E5M2", accumulator=unit, c=c, **given)
            print(unit, name, scale, hashlib.sha256(found.tobytes()).hexdigest())
"""


def lines(code: str, *arguments: str) -> list[str]:
    """Run a child and return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_products_are_the_same() -> None:
    """Every accumulator, with subnormal starts and scales."""
    plain = lines(WORK)
    assert len(plain) == 54
    assert len({line.split()[-1] for line in plain}) > 3  # they are not all alike
    assert lines(SWITCH + WORK, "on") == plain


def test_a_difference_would_be_seen() -> None:
    """Float32 arithmetic on the same starts gives other bits when flushed."""
    spoiled = WORK.replace(
        "found = fp.matmul", "c = None if c is None else c + 0\n            found = fp.matmul"
    )
    assert lines(SWITCH + spoiled, "on") != lines(spoiled)
