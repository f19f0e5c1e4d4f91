"""
Results do not depend on flush-to-zero being switched on by another library.

A child process switches it on, before or after it imports the package, makes every
table and converts subnormal numbers in every way; its results are those of a child
that never heard of it.  The comparison is of hashes of the bits.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch

SWITCH = "import torch\nassert torch.set_flush_denormal(True), 'this processor cannot'\n"

#: What the child does; it prints a line for each format and a last one for all.
WORK = """
import hashlib
import sys
import numpy as np
import fp8num as fp

# Whether it is on, as integers: a comparison of floats would flush too.
half = np.array([0x00800000], np.uint32).view(np.float32) * np.float32(0.5)
flushes = bool(half.view(np.uint32)[0] == 0)
assert flushes == (len(sys.argv) > 1), f"flush-to-zero is {flushes}"

# Subnormal float32 and float64 of both signs, and the smallest normal ones; made of
# bits, so that no arithmetic flushes them beforehand.
rng = np.random.default_rng(0)
bits32 = np.concatenate([
    np.arange(300), 1 << np.arange(23), 0x00800000 + np.arange(-40, 300),
    rng.integers(0, 1 << 23, 4_000), rng.integers(0, 1 << 31, 4_000),
]).astype(np.uint32)
bits64 = np.concatenate([
    np.arange(300), 1 << np.arange(52), (1 << 52) + np.arange(-40, 300),
    rng.integers(0, 1 << 52, 4_000), rng.integers(0, 0x7FF0 << 48, 4_000),
]).astype(np.uint64)
bits16 = np.arange(1 << 15, dtype=np.uint16)
inputs = [
    np.concatenate([bits, bits | type(bits[0])(sign)]).view(dtype)
    for bits, sign, dtype in (
        (bits16, 1 << 15, np.float16), (bits32, 1 << 31, np.float32), (bits64, 1 << 63, np.float64)
    )
]
try:
    import ml_dtypes
    inputs.append(np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16))
except ImportError:
    pass

names = [*fp.FORMATS, "binary8p1se", "binary8p1uf", "binary8p2se", "binary16p6ue",
         "w4m3b130-fn", "w4m3b200-fn", "w5m2b1000-ieee", "w8m0b127-none", "w4m3b140-fn-nosub"]
total = hashlib.sha256()
for name in names:
    fmt = fp.get_format(name)
    one = hashlib.sha256()

    def add(array):
        one.update(np.ascontiguousarray(array).tobytes())

    add(fmt.values)
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
    for dtype in ("float16", "float32", "float64"):
        add(fp.decode(codes, fmt, dtype=dtype))
    for x in inputs:
        for rounding in ("rne", "rna", "rz", "ru", "rd", "ro"):
            for saturation in ("SatFinite", "SatNone"):
                options = {"rounding": rounding, "saturation": saturation}
                add(fp.encode(x, fmt, **options))
            add(fp.quantize(x, fmt, rounding=rounding, dtype=np.float64))
            add(fp.quantize(x, fmt, rounding=rounding, dtype="float32"))
        for rounding in ("sra", "srb", "src"):
            add(fp.encode(x, fmt, rounding=rounding, rng=np.random.default_rng(1)))
        for tininess in ("after", "before"):
            raised = fp.flags(x, fmt, tininess=tininess)
            for flag in (raised.inexact, raised.underflow, raised.overflow, raised.invalid):
                add(flag)
        add(fp.encode(x, fmt, threads=2))
    for other in ("E8M0FNU", "BFLOAT16", "E4M3FN"):
        add(fp.convert(codes, fmt, other))
    print(name, one.hexdigest())
    total.update(one.digest())
print("all", total.hexdigest())
"""


def results(before: str = "", between: str = "") -> dict[str, str]:
    """Run the work in a new interpreter and return the hash of each format's results."""
    head, separator, tail = WORK.partition("import fp8num as fp\n")
    assert separator
    arguments = ["flush"] if before or between else []
    done = subprocess.run(
        [sys.executable, "-c", before + head + separator + between + tail, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = dict(line.split() for line in done.stdout.splitlines())
    assert len(found) > 16
    return found


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    """The results without flush-to-zero."""
    return results()


def test_flush_to_zero_before_the_import_changes_nothing(plain: dict[str, str]) -> None:
    """Formats, tables and conversions are all made with it on."""
    assert results(before=SWITCH) == plain


def test_flush_to_zero_after_the_import_changes_nothing(plain: dict[str, str]) -> None:
    """The formats are made without it, the rest with it."""
    assert results(between=SWITCH) == plain


def test_the_hashes_see_a_flushed_value(plain: dict[str, str]) -> None:
    """If decode lost BFLOAT16's subnormals, as arithmetic would, the hash would tell."""
    spoiled = (
        "decode = fp.decode\n"
        "fp.decode = lambda *args, **options: decode(*args, **options) * 1\n" + SWITCH
    )
    changed = results(between=spoiled)
    assert changed["BFLOAT16"] != plain["BFLOAT16"]
    assert changed["all"] != plain["all"]
