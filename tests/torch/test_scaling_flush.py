"""
Scaling rules do not depend on flush-to-zero being switched on by another library.

A child process switches it on, before or after it imports the package, and quantises
subnormal numbers, large ones beside them, and blocks whose scales are 2**-127; codes,
scales and values are those of a child that never heard of it.  The comparison is of
hashes of the bits, a line for each rule, format and what was compared.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch

SWITCH = "import torch\nassert torch.set_flush_denormal(True), 'this processor cannot'\n"

#: What the child does; it prints a line for each rule, format and array, and hashes its bits.
WORK = """
import hashlib
import sys
import warnings
import numpy as np
import fp8num as fp
from fp8num import scaling

warnings.simplefilter("ignore")

# Whether it is on, as integers: a comparison of floats would flush too.
half = np.array([0x00800000], np.uint32).view(np.float32) * np.float32(0.5)
flushes = bool(half.view(np.uint32)[0] == 0)
assert flushes == (len(sys.argv) > 1), f"flush-to-zero is {flushes}"

# Arrays are made of words, so that no arithmetic flushes them beforehand.
rng = np.random.default_rng(0)

def some(low, high):
    words = rng.integers(low, high, 64).astype(np.uint32)
    words[::3] |= np.uint32(1 << 31)
    return words

normal = some(0x3A000000, 0x40800000)  # 2**-11 to 4
tiny = some(1, 1 << 23)
words = {
    "subnormal": tiny,
    "smallest": some(1, 2),
    "edge": some(1 << 22, 1 << 25),
    "mixed": np.where(np.arange(64) % 5 < 2, tiny, normal),
    "large": np.where(np.arange(64) % 7 == 0, tiny, some(0x7D000000, 0x7F7FFFFF)),
    "zero": np.zeros(64, np.uint32),
    "special": np.where(np.arange(64) % 9 == 0, 0x7F800000, tiny).astype(np.uint32),
    "nan": np.where(np.arange(64) % 9 == 0, 0x7FC00000, tiny).astype(np.uint32),
}
arrays = {name: np.tile(w, (2, 1)).view(np.float32) for name, w in words.items()}

def show(rule, fmt, part, *results):
    found = hashlib.sha256()
    for result in results:
        found.update(np.ascontiguousarray(result).tobytes())
    print(f"{rule}/{fmt}/{part}", found.hexdigest())

def guarded(rule, fmt, work):
    try:
        work()
    except Exception as error:
        print(f"{rule}/{fmt}/error", repr(error).replace(" ", "_"))

def parts(rule, fmt, arrays, quantize):
    made = [quantize(x) for x in arrays.values()]
    show(rule, fmt, "stored", *[scaled.stored_scales for scaled in made])
    show(rule, fmt, "codes", *[scaled.codes for scaled in made])
    show(rule, fmt, "scales", *[scaled.scales for scaled in made])
    show(rule, fmt, "float32", *[scaled.dequantize() for scaled in made])
    show(rule, fmt, "float64", *[scaled.dequantize(np.float64) for scaled in made])

for rule in scaling.RULES.values():
    stochastic = rule.name.endswith("sr")
    for fmt in rule.formats or ("E4M3FN",):
        guarded(rule.name, fmt, lambda: parts(
            rule.name, fmt, arrays,
            lambda x: fp.scale_quantize(
                x, rule, fmt=fmt, rng=np.random.default_rng(1) if stochastic else None
            ),
        ))
for rule in ("tensor", "te-mxfp8", "microxcaling", "te-current"):
    doubles = {"float64": np.array([1, 1 << 51, 1 << 52, 0x36A0 << 48, 0x3690 << 48],
                                   np.uint64).view(np.float64)}
    guarded(rule, "float64", lambda: parts(
        rule, "float64", doubles, lambda x: fp.scale_quantize(x, rule)
    ))

def steps(rule, fmt):
    for name, x in arrays.items():
        state = scaling.start(rule, fmt, length=3)
        for _ in range(5):
            scaled, state = state.quantize(x)
            state = state.update()
            show(rule, fmt, "state-" + name, scaled.codes, scaled.stored_scales, state.scale,
                 state.history)

for rule in ("te-delayed", "te-delayed-unfused", "flax", "ms-amp"):
    for fmt in ("E4M3FN", "E5M2"):
        guarded(rule, fmt, lambda: steps(rule, fmt))
"""


def results(before: str = "", between: str = "") -> dict[str, str]:
    """Run the work in a new interpreter and return the hash of each part."""
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
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        name, text = line.split()
        found[name] = found.get(name, "") + text
    return found


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    """The results without flush-to-zero."""
    found = results()
    assert len(found) > 300
    assert not [name for name in found if name.endswith("error")]
    return found


def assert_same(found: dict[str, str], plain: dict[str, str]) -> None:
    """Compare the results, and name what differs, or say what failed."""
    errors = {name: text for name, text in found.items() if name.endswith("error")}
    wrong = [name for name in plain if found.get(name) != plain[name]]
    lines = [f"{name}: {text}" for name, text in errors.items()] or wrong
    assert not lines, f"{len(wrong)} of {len(plain)} differ:\n  " + "\n  ".join(lines[:40])


def test_flush_to_zero_before_the_import_changes_nothing(plain: dict[str, str]) -> None:
    """The rules and their tables are made with it on."""
    assert_same(results(before=SWITCH), plain)


def test_flush_to_zero_after_the_import_changes_nothing(plain: dict[str, str]) -> None:
    """The formats are made without it, the rest with it."""
    assert_same(results(between=SWITCH), plain)


def test_the_hashes_see_a_flushed_value(plain: dict[str, str]) -> None:
    """If values were multiplied by 1 on the way in, subnormal ones would be lost."""
    spoiled = (
        "quantize = fp.scale_quantize\n"
        "fp.scale_quantize = lambda x, *a, **o: quantize(x * type(x[0, 0])(1) if x.ndim == 2 "
        "else x, *a, **o)\n" + SWITCH
    )
    changed = results(between=spoiled)
    assert changed["te-mxfp8/E4M3FN/codes"] != plain["te-mxfp8/E4M3FN/codes"]
