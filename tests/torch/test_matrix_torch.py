"""PyTorch and QPyTorch as implementations: facts found by others, and the recorded rows again."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from fp8num.cli import main
from fp8num.verify import check
from fp8num.verify.cases import every
from fp8num.verify.peers import LIBRARIES, available, get_peer

pytestmark = pytest.mark.torch
RECORDED = Path(__file__).parents[2] / "reports" / "peers" / "conformance.csv"
FORMATS = ("E4M3FN", "E5M2", "E4M3FNUZ", "E5M2FNUZ", "E8M0FNU")


@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_torch_conforms_to_its_profile(fmt: str, source: str) -> None:
    """Over the standard cases, with every probe."""
    verdict = check(get_peer("torch", fmt, source), fmt, source=source, like="torch>=2.13")
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize("fmt", FORMATS)
def test_torch_decodes(fmt: str) -> None:
    assert check(get_peer("torch", fmt), fmt, direction="decode").ok


@pytest.mark.parametrize(
    ("fmt", "source", "wrong"),
    [
        *(("E4M3FN", "f16", 14_720), ("E4M3FN", "bf16", 30_512)),
        *(("E5M2", "f16", 0), ("E4M3FNUZ", "f16", 0), ("E5M2FNUZ", "f16", 0)),
    ],
)
def test_counts_against_ml_dtypes(fmt: str, source: str, wrong: int) -> None:
    """Found by others, over all words of the 16-bit types."""
    peer = get_peer("torch", fmt, source)
    verdict = check(peer, fmt, source=source, like="ml_dtypes", cases=every(source))
    assert verdict.mismatches == wrong


@pytest.mark.parametrize(("fmt", "wrong"), [("E5M2", 258), ("E4M3FNUZ", 16_514), ("E4M3FN", 0)])
def test_counts_against_onnx_with_saturation(fmt: str, wrong: int) -> None:
    """Found by others, over all of float16."""
    peer = get_peer("torch", fmt, "f16")
    verdict = check(peer, fmt, source="f16", like="onnx-saturate", cases=every("f16"))
    assert verdict.mismatches == wrong


@pytest.mark.parametrize("fmt", FORMATS[:4])
def test_float64_is_rounded_twice(fmt: str) -> None:
    """Beside ties and nowhere else."""
    verdict = check(get_peer("torch", fmt, "f64"), fmt, source="f64", like="torch>=2.13")
    assert not verdict.findings
    assert {"below smallest", "near subnormal tie", "near normal tie"} <= set(verdict.by_class)
    assert set(verdict.by_class) <= {
        *("below smallest", "near subnormal tie", "near normal tie", "overflow by rounding")
    }
    code = get_peer("torch", "E5M2", "f64").function(np.array([9.00000000001]))
    assert code.tolist() == [0x48]  # 8; the nearest is 10


def test_qtorch_ends_at_480_and_rounds_ties_away() -> None:
    """Found by others; in a format without NaN, whose largest value it is."""
    if "qtorch" not in available():
        pytest.skip("QPyTorch is not installed, or could not be compiled")
    x = np.array([1.0625, 464, 480, 1e9, np.inf, np.nan], np.float32)
    shown = get_peer("qtorch", "E4M3FN").function.describe(x)  # type: ignore[attr-defined]
    assert shown == ("39 = 1.125", *["480 (none)"] * 5)
    assert get_peer("qtorch", "w4m3b7-none").function(x).tolist() == [0x39, *[0x7F] * 5]
    shown = get_peer("qtorch", "E5M2").function.describe(x[3:])  # type: ignore[attr-defined]
    assert shown == ("114688 (none)",) * 3


def test_recorded_lines_show_what_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    """Every row of float32 and float64, and every decoder, for the versions recorded."""
    if not RECORDED.exists():
        pytest.skip("a source distribution has no reports")
    with RECORDED.open(encoding="utf-8", newline="") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["implementation"] in {"torch", "qtorch"}
            and row["source"] in {"float32", "float64"}
        ]
    assert rows
    installed = {name: LIBRARIES[name].version for name in available()}
    for row in rows:
        if installed.get(row["implementation"]) == row["version"]:
            main([*shlex.split(row["line"])[1:], "--json"])
            shown = json.loads(capsys.readouterr().out)
            expected = (int(row["cases"]), int(row["mismatches"]))
            assert (shown["cases"], shown["mismatches"]) == expected, row["line"]
