"""Whole conversions of real hardware and libraries, all 2**32 inputs, by the codec on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fp8num.verify import Encoder, sweep

DIGESTS = Path(__file__).parents[2] / "data" / "hopper" / "cvt32_digests.json"
FORMATS = ("E4M3FN", "E5M2", "E4M3FNUZ", "E5M2FNUZ")
#: What was recorded, and the profile and format that reproduce it.
RECORDED = {
    "cuda13_cvt_e4m3_nosat": ("cuda-nosat", "E4M3FN"),
    "cuda13_cvt_e4m3_satfinite": ("cuda-satfinite", "E4M3FN"),
    "cuda13_cvt_e5m2_nosat": ("cuda-nosat", "E5M2"),
    "cuda13_cvt_e5m2_satfinite": ("cuda-satfinite", "E5M2"),
    **{f"torch2.11_cuda_float8_{name.lower()}": ("torch<2.12", name) for name in FORMATS},
    **{f"ml_dtypes_float8_{name.lower()}": ("ml_dtypes", name) for name in FORMATS},
}


def recorded(name: str) -> list[str]:
    found: list[str] = json.loads(DIGESTS.read_text(encoding="utf-8"))["digests"][name]
    return found


def test_all_recordings_are_replayed() -> None:
    assert set(json.loads(DIGESTS.read_text(encoding="utf-8"))["digests"]) == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_a_chunk_of_each_recording_is_reproduced(name: str) -> None:
    """2**24 inputs from 2**7 to 512, where E4M3FN overflows."""
    profile, fmt = RECORDED[name]

    found = sweep(
        Encoder(like=profile), fmt, like=profile, digests=True, compare_nan="code",
        first=67 << 24, count=1 << 24,
    )  # fmt: skip

    assert list(found.digests) == recorded(name)[67:68]
    assert found.ok


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RECORDED)
def test_every_recording_is_reproduced(name: str) -> None:
    """NaN codes included: 256 digests of 2**24 codes."""
    profile, fmt = RECORDED[name]

    found = sweep(Encoder(like=profile), fmt, like=profile, digests=True, compare_nan="code")

    assert list(found.digests) == recorded(name)
    assert found.ok
