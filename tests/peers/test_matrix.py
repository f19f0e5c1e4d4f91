"""
The matrix of installed libraries: facts found by others, and the recorded rows again.

The counts of the first part were found by others, with programs of their own, over all
float16 words; the second part runs recorded command lines and compares what they say.
"""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fp8num.cli import main
from fp8num.verify import check
from fp8num.verify.cases import every
from fp8num.verify.peers import LIBRARIES, get_peer

pytestmark = pytest.mark.peers
RECORDED = Path(__file__).parents[2] / "reports" / "peers" / "conformance.csv"
#: They need an environment of their own, and tests/torch.
ELSEWHERE = {"torch", "qtorch"}
#: They take milliseconds for each number: two minutes a test.
SLOW = {"pychop-fault"}


def peer_or_skip(name: str, fmt: str, source: str) -> Any:
    """Return a peer; skip if it is not installed."""
    try:
        return get_peer(name, fmt, source)
    except ValueError as error:
        if "cannot be imported" not in str(error):
            raise
        pytest.skip(str(error))


# What others have found.


@pytest.mark.parametrize(
    ("name", "fmt", "rule", "wrong"),
    [
        ("gfloat-sat", "E4M3FN", "SatFinite", 0),
        ("gfloat-nosat", "E4M3FN", "SatNone", 0),
        ("gfloat-sat", "E5M2", "SatFinite", 0),
        ("gfloat-nosat", "E5M2", "SatNone", 0),
        ("onnx-saturate", "E4M3FN", "SatFinite", 0),
        ("onnx-nosat", "E4M3FN", "SatNone", 0),
        ("onnx-saturate", "E4M3FNUZ", "SatFinite", 0),
        ("ml_dtypes", "E4M3FN", "SatFinite", 14_720),
        ("ml_dtypes", "E5M2", "SatFinite", 258),
        ("ml_dtypes", "E4M3FNUZ", "SatFinite", 16_514),
        ("pychop", "E4M3IEEE", "SatNone", 2_183),
        pytest.param("pychop-fault", "E4M3IEEE", "SatNone", 5_249, marks=pytest.mark.exhaustive),
        ("apytypes-cast", "E4M3IEEE", "SatNone", 256),
    ],
)
def test_counts_over_all_of_float16(name: str, fmt: str, rule: str, wrong: int) -> None:
    verdict = check(
        peer_or_skip(name, fmt, "f16"), fmt, source="f16", saturation=rule, cases=every("f16")
    )
    assert verdict.mismatches == wrong, str(verdict)
    assert not verdict.findings


@pytest.mark.parametrize("fmt", ["E4M3FN", "E5M2"])
@pytest.mark.parametrize("name", ["gfloat-nosat", "fpy2", "jax", "ml_dtypes", "ml_dtypes-scalar"])
def test_these_round_float64_once(name: str, fmt: str) -> None:
    verdict = check(peer_or_skip(name, fmt, "f64"), fmt, source="f64", saturation="SatNone")
    assert verdict.ok, str(verdict)


def test_onnxruntime_rounds_float64_twice() -> None:
    """Beside ties and nowhere else, apart from overflow."""
    peer = peer_or_skip("onnxruntime-nosat", "E4M3FN", "f64")
    verdict = check(peer, "E4M3FN", source="f64", saturation="SatNone")
    assert {"below smallest", "near subnormal tie", "near normal tie"} <= set(verdict.by_class)
    assert set(verdict.by_class) <= {
        *("below smallest", "near subnormal tie", "near normal tie"),
        *("overflow by rounding", "overflow"),
    }


@pytest.mark.parametrize(
    ("name", "fmt", "x", "answer"),
    [
        ("tinygrad", "E4M3FN", 1e9, "7e = 448"),
        ("tinygrad", "E4M3FN", np.inf, "7f = nan"),
        ("tinygrad", "E5M2", 65536.0, "7b = 57344"),
        ("tinygrad", "E5M2", np.inf, "7c = inf"),
        ("gfloat-sat", "E4M3FN", np.nan, "ff = nan"),
        ("gfloat-nosat", "E8M0FNU", 3.0, "80 = 2"),
        ("gfloat-nosat", "E8M0FNU", -1.0, "18446744073709551615 (none)"),
        ("onnx-saturate", "E8M0FNU", 2.0**-127, "01 = 1.17549435082e-38"),
        ("onnx-saturate", "E8M0FNU", 1.0000001, "80 = 2"),
        ("onnx-e8m0-nearest", "E8M0FNU", 2.0**-127, "00 = 5.87747175411e-39"),
        ("onnx-saturate", "E2M1FN", np.nan, "8 = -0"),
        ("fpy2", "E8M0FNU", 0.0, "ff = nan"),
        ("pychop", "E4M3IEEE", 300.0, "00 = 0"),
        ("pychop", "E4M3IEEE", 512.0, "78 = inf"),
        ("pychop", "E4M3IEEE", 250.0, "256 (none)"),
        ("pychop-fault", "E4M3IEEE", 300.0, "78 = inf"),
        ("pychop-fault", "E4M3IEEE", 0.00097751617, "00 = 0"),
    ],
)
def test_answers_that_others_have_seen(name: str, fmt: str, x: float, answer: str) -> None:
    peer = peer_or_skip(name, fmt, "float32")
    assert peer.function.describe(np.array([x], np.float32)) == (answer,)


# What is recorded.


def lines() -> list[Any]:
    """Return recorded lines of each library: a wrong one, a right one, by OCP, a decoder."""
    if not RECORDED.exists():  # a source distribution has no reports
        return []
    with RECORDED.open(encoding="utf-8", newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["implementation"] not in ELSEWHERE]
    chosen: dict[tuple[str, str, str, bool], dict[str, str]] = {}
    for row in rows:
        # The narrower cases of float32 and float64, if there are any, are quicker.
        kind = (row["implementation"], row["direction"], row["own"], row["mismatches"] == "0")
        if kind not in chosen or chosen[kind]["source"] not in {"float32", "float64"}:
            chosen[kind] = row
    return [
        pytest.param(
            row,
            id=row["line"].removeprefix("fp8num "),
            marks=[pytest.mark.exhaustive] if row["implementation"] in SLOW else [],
        )
        for row in chosen.values()
    ]


@pytest.mark.parametrize("row", lines())
def test_a_recorded_line_shows_what_is_recorded(
    row: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Cases, mismatches, classes and the first witness, for the version recorded."""
    name = row["implementation"]
    peer_or_skip(name, row["format"], row["source"])
    if LIBRARIES[name].version != row["version"]:
        pytest.skip(f"recorded for {row['version']}, installed is {LIBRARIES[name].version}")

    status = main([*shlex.split(row["line"])[1:], "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert status == (0 if shown["ok"] else 1)
    assert (shown["cases"], shown["mismatches"]) == (int(row["cases"]), int(row["mismatches"]))
    classes = [f"{c['class']} {c['mismatches']}" for c in shown["classes"] if c["mismatches"]]
    assert sorted(classes) == sorted(part for part in row["classes"].split("; ") if part)
    first = [*shown["witnesses"], {"input": "", "expected": "", "got": ""}][0]
    assert [first[key] for key in ("input", "expected", "got")] == [
        *(row["input"], row["expected"], row["got"])
    ]


def test_the_record_names_every_library_of_this_environment() -> None:
    if not RECORDED.exists():
        pytest.skip("a source distribution has no reports")
    with RECORDED.open(encoding="utf-8", newline="") as stream:
        assert {row["implementation"] for row in csv.DictReader(stream)} == set(LIBRARIES)
