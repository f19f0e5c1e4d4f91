"""The report says what was verified of the conversions it rests on."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

import fp8num as fp
from fp8num.inputs import tensor_from_array
from fp8num.report import build_report, verification
from fp8num.report.verification import verify_codec

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

#: It rounds float64 twice.
OLD = tuple(map(int, version("ml_dtypes").split(".")[:2])) < (0, 7)
FORMATS = [fp.E4M3FN, fp.HIFLOAT8, fp.BFLOAT16]


def test_every_format_of_8_bits_is_compared_from_every_type() -> None:
    """With the definition, and with ml_dtypes from the types that it rounds once from."""
    found = verify_codec(FORMATS)

    assert [(one.format, one.source) for one in found if one.against == "the exact definition"] == [
        (name, source)
        for name in ("E4M3FN", "HIFLOAT8")
        for source in ("float16", "bfloat16", "float32", "float64")
    ]
    peers = [one for one in found if one.against.startswith("ml_dtypes ")]
    once = ("float16", "bfloat16", "float32", "float64")[: 3 if OLD else 4]
    assert [(one.format, one.source) for one in peers] == [("E4M3FN", source) for source in once]
    assert all(one.mismatches == 0 for one in found)
    assert {one.cases for one in found if one.source == "float16"} == {65_536}
    assert all(one.cases > 3_000 for one in found)


def test_a_wrong_conversion_would_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers come from a comparison that can fail."""

    def truncate(x: Any, fmt: Any, **options: Any) -> Any:
        return fp.encode(x, fmt, rounding="TowardZero", saturation="SatNone")

    monkeypatch.setattr(verification, "encode", truncate)

    assert all(one.mismatches > 100 for one in verify_codec([fp.E4M3FN]))


def test_page_and_json_show_it(tmp_path: Path) -> None:
    """Cases and mismatches of each comparison, and what was not covered."""
    tensor = tensor_from_array("w", np.linspace(-1, 1, 100, dtype=np.float32))

    files = build_report([tensor], tmp_path, formats=["E4M3FN"])

    rows = json.loads(files.json.read_text())["verification"]
    assert {(row["format"], row["mismatches"]) for row in rows} == {("E4M3FN", 0)}
    assert len(rows) == 4 + (3 if OLD else 4)
    page = files.page.read_text()
    assert "What was verified" in page
    assert "0 of 65,536" in page
    assert "Not covered here" in page


def test_a_report_on_wide_formats_alone_has_no_such_section(tmp_path: Path) -> None:
    tensor = tensor_from_array("w", np.ones(3, np.float32))
    files = build_report([tensor], tmp_path, formats=["BFLOAT16"])
    assert "What was verified" not in files.page.read_text()
    assert json.loads(files.json.read_text())["verification"] == []
