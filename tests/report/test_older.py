"""An older report is known by the hashes it lists, and two reports do not mix."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.inputs import tensor_from_array
from fp8num.report import build_report

if TYPE_CHECKING:
    from pathlib import Path

    from fp8num.nn import Comparison

FORMATS = ["E2M1FN"]
NAMES = ("of-the-left", "of-the-right")


def report(folder: Path, name: str = "w", **options: Any) -> None:
    array = np.linspace(-1, 1, 5, dtype=np.float32)
    build_report([tensor_from_array(name, array)], folder, formats=FORMATS, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def listed(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "report.json").read_text())["files"]
    return found


def test_every_other_file_is_listed_with_its_hash(tmp_path: Path, comparison: Comparison) -> None:
    report(tmp_path, training=comparison)

    found = contents(tmp_path)
    del found["report.json"]
    assert listed(tmp_path) == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }
    assert len(found) == 4


def test_a_page_of_somebody_s_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>My site</title>")
    done: list[int] = []

    with pytest.raises(ValueError, match=r"index\.html' exists and is not a report's file as it"):
        report(tmp_path, progress=done.append)
    assert done == []
    assert list(contents(tmp_path)) == ["index.html"]

    report(tmp_path, force=True)
    assert len(contents(tmp_path)) == 3


def test_a_file_that_came_during_the_work_stays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"report\.csv' exists and is not a report's file"):
        report(tmp_path, progress=lambda _: (tmp_path / "report.csv").write_text("mine"))

    assert contents(tmp_path) == {"report.csv": b"mine"}


def test_tables_that_were_changed_are_somebody_s(tmp_path: Path, comparison: Comparison) -> None:
    """Neither replaced by other trainings nor taken away by a report without any."""
    report(tmp_path, training=comparison)
    with (tmp_path / "training.csv").open("a") as table:
        table.write("notes\n")

    with pytest.raises(ValueError, match=r"training\.csv' exists and is not"):
        report(tmp_path, training=comparison)
    report(tmp_path)

    assert set(contents(tmp_path)) == {"index.html", "report.csv", "report.json", "training.csv"}


def test_a_report_that_lists_no_files_is_known_by_their_heads(
    tmp_path: Path, comparison: Comparison
) -> None:
    """As reports were before they did."""
    report(tmp_path, training=comparison)
    path = tmp_path / "report.json"
    record = json.loads(path.read_text())
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[3 + 2 + len(record["files"]) :]))
    assert json.loads(path.read_text()) == {k: v for k, v in record.items() if k != "files"}

    report(tmp_path)

    assert set(contents(tmp_path)) == {"index.html", "report.csv", "report.json"}


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": "fp8num-report"}',
        '{\n"schema": "fp8num-report",\n"schema_version": 1,\n"files": {nonsense},\n}',
        "\x00" * 9000,
        "",
    ],
)
def test_what_only_looks_like_a_report_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    (tmp_path / "index.html").write_text("mine")

    with pytest.raises(ValueError, match="exists and is not a report's file"):
        report(tmp_path)

    assert contents(tmp_path) == {"report.json": text.encode(), "index.html": b"mine"}


def test_two_reports_into_one_folder_do_not_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is last has written all of the files."""
    pytest.importorskip("fcntl", reason="locks of POSIX")
    report(tmp_path)
    replace, errors = os.replace, []

    def slowly(source: Path, target: Path) -> None:
        """Let one thread be late with its table, and the other with its page."""
        late = {(NAMES[0], "report.csv"): 0.1, (NAMES[1], "index.html"): 0.3}
        time.sleep(late.get((threading.current_thread().name, target.name), 0))
        replace(source, target)

    def write(name: str, ready: threading.Barrier) -> None:
        try:
            report(tmp_path, name, progress=lambda _: ready.wait(10))
        except BaseException as error:
            errors.append(error)
            raise

    monkeypatch.setattr(os, "replace", slowly)
    ready = threading.Barrier(2)
    threads = [threading.Thread(target=write, args=(name, ready), name=name) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    found = contents(tmp_path)
    assert set(found) == {"index.html", "report.csv", "report.json"}
    mine, theirs = (name.encode() for name in NAMES)
    if mine not in found["report.csv"]:
        mine, theirs = theirs, mine
    assert all(mine in data and theirs not in data for data in found.values())
