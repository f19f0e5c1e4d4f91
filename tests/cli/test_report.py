"""``fp8num report`` from the outside: files in, files out, codes and messages."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.cli import main
from fp8num.nn import digits
from fp8num.report import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from fp8num.nn import Comparison


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


#: Options of a report where the tables do not matter.
ONE_TABLE = ["--formats", "e4m3fn", "--rules", "none"]


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """An .npz with a float tensor and one of integers."""
    path = tmp_path / "weights.npz"
    np.savez(path, w=np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6), steps=np.arange(3))
    return "weights.npz"


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail; return its one line, after checking its form."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if not line.startswith("fp8num: skipped")]
    assert printed.out == ""
    assert line.startswith("fp8num: error: ")
    assert line.isprintable()
    return line


def test_a_file_becomes_a_report(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", weights]) == 0

    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == (
        "Page: fp8num-report/index.html   Figures: fp8num-report/report.json"
    )
    assert printed.err == "fp8num: skipped steps in weights.npz: integers\n"
    assert set(listing(tmp_path / "fp8num-report")) == {
        "index.html",
        "report.csv",
        "report.json",
    }


def test_without_files_the_built_in_tensors_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["report", "--no-training", "--formats", "e4m3fn", "--output", "r"]
    assert main(command) == 0

    assert "\nPage: r/index.html " in capsys.readouterr().out
    document = json.loads((tmp_path / "r" / "report.json").read_text())
    assert [tensor["name"] for tensor in document["tensors"]][:2] == [
        "digits.pixels",
        "softmax.weight",
    ]
    assert document["command"] == "fp8num report --no-training --formats e4m3fn --output r"
    assert document["training"] is None
    assert set(listing(tmp_path / "r")) == {"index.html", "report.csv", "report.json"}


@cache
def trained_shortly() -> Comparison:
    """Train as a report does, but for a moment."""
    return experiment.compare_on_digits(["te-current"], seeds=2, epochs=1, workers=1)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Make trainings short; return what they are called with."""
    trained_shortly()
    calls: list[object] = []

    def few(**options: Any) -> Comparison:
        calls.append(options)
        return trained_shortly()

    monkeypatch.setattr("fp8num.report.compare_on_digits", few)
    return calls


def test_without_files_fp32_is_compared_with_fp8_in_training(
    tmp_path: Path, short: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--formats", "e4m3fn", "--output", "r"]) == 0

    assert "\nPage: r/index.html " in capsys.readouterr().out
    assert len(short) == 1
    files = listing(tmp_path / "r")
    document = json.loads(files["report.json"])
    expected = trained_shortly()
    assert document["training"] == json.loads(json.dumps(expected.to_dict()))
    assert files["training.csv"].count(b"\n") == 1 + 2 * 2
    steps = -(-len(digits().x) // 64)
    assert files["training-curves.csv"].count(b"\n") == 1 + 2 * (steps + 1)
    page = files["index.html"].decode()
    assert "FP32 against FP8 in training" in page
    assert expected.verdict.split(" (")[0] in page


def test_with_files_nothing_is_trained_unless_it_is_asked_for(
    weights: str, tmp_path: Path, short: list[object]
) -> None:
    assert main(["report", weights, *ONE_TABLE, "--output", "a"]) == 0
    assert short == []

    assert main(["report", weights, *ONE_TABLE, "--training", "--output", "b"]) == 0
    assert len(short) == 1
    assert "training.csv" in listing(tmp_path / "b")


def test_an_output_that_cannot_be_used_is_refused_before_the_training(
    tmp_path: Path, short: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "training.csv").mkdir()

    assert "training.csv" in refused(["report", "--output", "."], capsys)
    assert short == []


def test_a_training_that_fails_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("fp8num.report.compare_on_digits", fail)
    with pytest.raises(ZeroDivisionError):
        main(["report", "--output", "new"])

    assert not (tmp_path / "new").exists()


@pytest.mark.exhaustive
def test_the_whole_default_twice_is_the_same_bytes(tmp_path: Path) -> None:
    """With other numbers of workers; at least ten pairs, 97 % and more."""
    assert main(["report", "--output", "r"]) == 0
    first = listing(tmp_path / "r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "_processors", lambda: 3)
        assert main(["report", "--output", "r"]) == 0

    assert listing(tmp_path / "r") == first
    results = json.loads(first["report.json"])["training"]["results"]
    assert [one["recipe"] for one in results] == ["fp32", "te-current", "fp8-unscaled"]
    assert all(one["n"] >= 10 for one in results)
    assert results[0]["accuracy"]["mean"] > 0.97


def test_json_goes_to_stdout_and_the_rest_to_stderr(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", weights, *ONE_TABLE, "--json", "--output", "my report"]) == 0

    printed = capsys.readouterr()
    assert printed.out == (tmp_path / "my report" / "report.json").read_text()
    assert json.loads(printed.out)["schema"] == "fp8num-report"
    assert printed.err.splitlines()[-1].startswith("Page: 'my report/index.html' ")


def test_formats_are_chosen_by_any_of_their_names(weights: str, tmp_path: Path) -> None:
    formats = "float8_e5m2, binary8p3se,w2m1b1-none"

    assert main(["report", weights, "--formats", formats, "--output", "r"]) == 0

    document = json.loads((tmp_path / "r" / "report.json").read_text())
    assert [fmt["name"] for fmt in document["formats"]] == ["E5M2", "Binary8p3se", "w2m1b1-none"]


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ("e4m3", "argument --formats: format name 'e4m3' is ambiguous"),
        ("e4m3fn,nonsense", "argument --formats: .*'nonsense'"),
        ("", "argument --formats: must name at least one format, got ''; leave it out"),
        ("e5m2,E5M2", "argument --formats: must differ from each other, got E5M2 twice"),
        ("binary16p1se", "argument --formats: Binary16p1se does not fit float64"),
    ],
)
def test_formats_that_cannot_be_used_are_refused(
    formats: str, message: str, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(["report", weights, "--formats", formats], capsys)

    assert re.match(f"fp8num: error: {message}", line)


def test_rules_are_chosen_by_any_of_their_names(weights: str, tmp_path: Path) -> None:
    rules = "none, mxfp8,nvfp4,block-1x5"

    assert main(["report", weights, "--rules", rules, "--output", "r"]) == 0

    document = json.loads((tmp_path / "r" / "report.json").read_text())
    assert document["rules"] == ["unit", "mxfp8-e4m3fn", "te-nvfp4", "block-1x5"]
    (tensor,) = document["tensors"]
    found = {(row["format"], row["rule"]): row["scales"] for row in tensor["results"]}
    assert found["E4M3FN", "block-1x5"] == 8
    assert ("E4M3FN", "te-nvfp4") not in found
    assert len(found) == 2 * 9 + 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rules", "rows"], "argument --rules: rule 'rows' is not known.* did you mean row"),
        (["--rules", ""], "argument --rules: rules must name at least one, got none"),
        (["--rules", "none,unit"], "argument --rules: rules must differ .* got unit twice"),
        (["--rules", "te-nvfp4-sr"], "argument --rules: rules must round the same way every time"),
        (["--rules", "nvfp4", "--formats", "e5m2"], "formats must hold one of E2M1FN for te-nvfp4"),
        (["--rules", "te-nvfp4-2d", "b.npy"], "tensors must hold one that a rule takes at least"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "b.npy", np.ones(3, np.float32))

    line = refused(["report", *options], capsys)

    assert re.match(f"fp8num: error: {message}", line)
    assert not (tmp_path / "fp8num-report").exists()


BAD_FILES = {
    "missing.npy": (None, "does not exist"),
    "empty.npy": (b"", "is empty"),
    "short.npy": (b"\x93NUMPY\x01\x00", "short.npy"),
    "text.npz": (b"not a zip file at all, just some text", "text.npz"),
    "text.safetensors": (b"\xff" * 64, "text.safetensors"),
    "weights.pt": (b"PK\x03\x04" + bytes(64), "is not read; give a .npy, .npz or .safetensors"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_before_any_work(
    name: str, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BAD_FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)

    line = refused(["report", weights, name], capsys)

    assert message in line
    assert not (tmp_path / "fp8num-report").exists()


def test_a_truncated_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "w.npy", np.ones(1000, np.float32))
    with (tmp_path / "w.npy").open("r+b") as file:
        file.truncate(2000)

    assert "w.npy" in refused(["report", "w.npy"], capsys)
    assert not (tmp_path / "fp8num-report").exists()


def test_damage_found_while_reading_leaves_no_report_and_the_old_one(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last byte of an element is flipped: only the checksum, read last, tells."""
    np.savez(tmp_path / "bad.npz", w=np.full(1000, 1.5, np.float32))
    data = bytearray((tmp_path / "bad.npz").read_bytes())
    data[data.index(np.float32(1.5).tobytes() * 9) + 3] ^= 1
    (tmp_path / "bad.npz").write_bytes(data)

    assert "bad.npz" in refused(["report", "bad.npz", "--output", "new"], capsys)
    assert not (tmp_path / "new").exists()

    assert main(["report", weights, *ONE_TABLE]) == 0
    old = listing(tmp_path / "fp8num-report")
    capsys.readouterr()
    assert "bad.npz" in refused(["report", weights, "bad.npz"], capsys)
    assert listing(tmp_path / "fp8num-report") == old


@pytest.mark.parametrize("what", ["file", "page"])
def test_an_output_that_is_in_the_way_is_refused(
    what: str, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if what == "file":
        (tmp_path / "fp8num-report").write_text("mine")
    else:
        (tmp_path / "fp8num-report" / "index.html").mkdir(parents=True)

    line = refused(["report", weights], capsys)

    assert "fp8num-report" in line
    assert "name another" in line


def test_an_output_that_cannot_be_written_is_refused(
    weights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fp8num.report.build.write_together", full)

    line = refused(["report", weights, *ONE_TABLE], capsys)

    assert line == (
        "fp8num: error: output 'fp8num-report' cannot be written (No space left on device); "
        "make room or name another directory with --output"
    )


def test_hostile_names_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters could move the cursor, and brackets are markup to rich."""
    header = {
        "\x1b[31m[red]w[/x]\n": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]},
        "\u202ew" + "x" * 9999: {"dtype": "F32", "shape": [1], "data_offsets": [1, 5]},
        "<script>": {"dtype": "F32", "shape": [1], "data_offsets": [5, 9]},
    }
    text = json.dumps(header).encode()
    data = b"\x00" + np.ones(2, np.float32).tobytes()
    (tmp_path / "w.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)

    assert main(["report", "w.safetensors", *ONE_TABLE]) == 0

    printed = capsys.readouterr()
    assert printed.err == "fp8num: skipped \\x1b[31m[red]w[/x]\\n in w.safetensors: integers\n"
    assert all(line.isprintable() for line in (printed.out + printed.err).splitlines())


def test_many_skipped_tensors_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = {f"steps{i}": np.arange(2) for i in range(25)}
    np.savez(tmp_path / "w.npz", w=np.ones(2, np.float32), **arrays)

    assert main(["report", "w.npz", *ONE_TABLE]) == 0

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "fp8num: skipped 5 more, see report.json"


QUICK_REPORT = [sys.executable, "-m", "fp8num", "report", *ONE_TABLE]


def test_no_progress_is_shown_where_nobody_watches(weights: str) -> None:
    done = subprocess.run(
        [*QUICK_REPORT, weights],
        capture_output=True,
        check=True,
        env=os.environ | {"FORCE_COLOR": "1", "TERM": "xterm"},
    )

    assert done.stdout.endswith(b"Figures: fp8num-report/report.json" + os.linesep.encode())
    assert b"\x1b" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("quiet", [False, True])
def test_a_progress_bar_is_shown_on_a_terminal_unless_it_is_not_wanted(
    weights: str, *, quiet: bool
) -> None:
    import pty

    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:  # at once: a full buffer would stop who writes to it
        with contextlib.suppress(OSError):  # the end of a pseudo-terminal on Linux
            while some := os.read(ours, 1 << 16):
                shown.extend(some)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        done = subprocess.run(
            [*QUICK_REPORT, weights, *["--no-progress"] * quiet],
            stdout=subprocess.PIPE,
            stderr=theirs,
            check=True,
            env=os.environ | {"TERM": "xterm"},
        )
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)

    assert b"Page: fp8num-report/index.html " in done.stdout
    assert (b"1 tensor" in shown) != quiet
