"""
PyTorch's profile against the PyTorch that is installed, on the CPU.

All of float16 and bfloat16; of float32 every upper half with six lower ones, and what is
near a boundary.
"""

from __future__ import annotations

from importlib.metadata import version

import names as recorded_names
import numpy as np
import pytest
import record

import fp8num as fp
from fp8num.verify.cases import boundaries, nan_payloads, specials
from fp8num.verify.sources import get_source

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("short", ["e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu"])
def test_the_installed_torch_gives_the_codes_of_its_profile(short: str, source: str) -> None:
    """The codes of NaNs included."""
    kind = get_source(source)
    conversion = f"to(torch.float8_{short})"
    fmt, (name,) = recorded_names.profiles_of("torch", version("torch"), conversion)
    words = kind.every() if kind.bits == 16 else record.sample()
    sets = (boundaries(fmt, kind), specials(kind), nan_payloads(kind))
    words = np.concatenate([words, *(cases.words for cases in sets)])
    theirs = record.torch_conversions()[conversion]["cpu"](words, source)

    ours = fp.encode(kind.values(words), fmt, like=name)

    np.testing.assert_array_equal(ours, theirs)


def test_float64_is_rounded_twice_there() -> None:
    """Which is why the profile does not claim it: 9.00000000001 to E5M2 is 8, not 10."""
    import torch

    theirs = torch.tensor([9.00000000001], dtype=torch.float64).to(torch.float8_e5m2)
    assert theirs.view(torch.uint8).tolist() == fp.encode([8.0], "E5M2").tolist()
    assert fp.encode([9.00000000001], "E5M2", like="torch>=2.13") == fp.encode(10.0, "E5M2")
