"""
Profiles against the libraries themselves, in the versions that are installed.

All of float16 and bfloat16; of float32 every upper half with six lower ones, and what is
near a boundary; of float64, where the library takes it, what is near a boundary.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import names as recorded_names
import numpy as np
import pytest
import record

import fp8num as fp
from fp8num.projection import PROFILES
from fp8num.verify.cases import boundaries, nan_payloads, specials
from fp8num.verify.sources import get_source

pytestmark = pytest.mark.peers


def words_of(fmt: str, source: str) -> Any:
    """Return what is tried of a type."""
    kind = get_source(source)
    if kind.bits == 16:
        return kind.every()
    sets = (boundaries(fmt, kind), specials(kind), nan_payloads(kind))
    words = np.concatenate([cases.words for cases in sets])
    return np.concatenate([words, record.sample()]) if source == "float32" else words


@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("library", ["onnx", "tinygrad", "gfloat"])
def test_the_installed_library_gives_the_codes_of_its_profile(library: str, source: str) -> None:
    """The codes of NaNs included."""
    pytest.importorskip(library)
    tried = 0
    for conversion, places in record.LIBRARIES[library][0]().items():
        fmt, names = recorded_names.profiles_of(library, version(library), conversion)
        for name in names:
            if source not in PROFILES[name].sources:
                continue
            words = words_of(fmt, source)
            theirs = places["cpu"](words, source)
            ours = fp.encode(get_source(source).values(words), fmt, like=name)
            wrong = np.flatnonzero(ours != theirs)
            assert not wrong.size, (
                f"{conversion} differs from {name} on {wrong.size} of {words.size}, first on "
                f"{get_source(source).hex(int(words[wrong[0]]))}: "
                f"{theirs[wrong[0]]:#x}, not {ours[wrong[0]]:#x}"
            )
            tried += 1
    assert tried > 0 or source == "float64"


@pytest.mark.parametrize(
    ("x", "saturate", "mode", "code"),
    [
        (2.0**-127, 1, "up", 1),  # is itself a value of the format, 0
        (2.0**-128, 1, "up", 1),
        (0.0, 0, "up", 0),  # NaN by the operator's own table
        (np.inf, 1, "up", 255),  # the largest by the operator's own table
        (3.0, 1, "nearest", 129),
    ],
)
def test_what_onnx_gives_for_e8m0(x: float, saturate: int, mode: str, code: int) -> None:
    """Single numbers where it departs from its specification or from others."""
    pytest.importorskip("onnx")
    name = f"Cast(to=FLOAT8E8M0,saturate={saturate},round_mode={mode})"
    convert = record.LIBRARIES["onnx"][0]()[name]["cpu"]
    assert convert(np.array([x], np.float32).view(np.uint32), "float32").tolist() == [code]
