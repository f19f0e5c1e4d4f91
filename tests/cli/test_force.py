"""Files that are somebody's stay, unless --force is given; the package's own are replaced."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fp8num.cli import main
from fp8num.nn import data as examples
from fp8num.nn.data import spirals

if TYPE_CHECKING:
    from pathlib import Path

TRAIN = ("train", "--data", "spirals", "--epochs", "1", "--batch", "9", "--sizes", "2,16,3")
COMPARE = (*TRAIN, "--compare", "mxfp8", "--seeds", "1", "--csv", "o.csv")
PACK = ("vectors", "e4m3fn", "--limit", "3", "--kind", "hex", "--output", "o")
#: The files of each command's output that somebody could have.
COMMANDS = {
    ("report", "w.npy", "--formats", "e4m3fn", "--output", "o"): (
        *("o/index.html", "o/report.csv", "o/report.json"),
    ),
    ("formats", "e4m3fn", "--svg", "o.svg"): ("o.svg",),
    ("vectors", "e2m1fn", "--table", "c", "--output", "o.h"): ("o.h",),
    ("vectors", "e2m1fn", "--table", "sv", "--output", "o.sv"): ("o.sv",),
    PACK: ("o/e4m3fn-f32-rne-satfinite.hex", "o/manifest.json"),
    (*TRAIN, "--csv", "o.csv", "--capture", "o.safetensors"): (
        *("o.csv", "o.csv.tensors.csv", "o.safetensors"),
    ),
    COMPARE: ("o.csv", "o.csv.curves.csv", "o.csv.tensors.csv"),
}
BY_FILE = [(command, file) for command, files in COMMANDS.items() for file in files]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a small tensor, and let the spirals be ten points."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(examples, "spirals", lambda: spirals(10, 6))
    np.save(tmp_path / "w.npy", np.ones(3, np.float32))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_a_command_has_written_it_writes_again(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the same bytes, and an empty file is nobody's."""
    if command[-1] != "o":
        for file in COMMANDS[command]:
            (tmp_path / file).touch()
    assert main(list(command)) == 0, capsys.readouterr().err
    before = contents(tmp_path)
    assert {*COMMANDS[command], "w.npy"} <= before.keys()

    assert main(list(command)) == 0, capsys.readouterr().err

    assert contents(tmp_path) == before


@pytest.mark.parametrize(("command", "file"), BY_FILE)
def test_a_file_of_somebody_s_stays_unless_it_is_forced(
    command: tuple[str, ...], file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone, as nothing is written before it is found; then all are."""
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("somebody's\n")
    before = contents(tmp_path)

    assert main(list(command)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fp8num: error: ")
    assert path.name in line
    assert "--force" in line
    assert contents(tmp_path) == before

    assert main([*command, "--force"]) == 0
    after = contents(tmp_path)
    assert {*COMMANDS[command], "w.npy"} == after.keys()
    assert after[file] != before[file]


@pytest.mark.parametrize("command", [next(iter(COMMANDS)), PACK], ids=" ".join)
def test_a_file_that_was_changed_is_somebody_s(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its hash is not the one that the list of the files has."""
    assert main(list(command)) == 0
    path = tmp_path / COMMANDS[command][0]
    path.write_bytes(path.read_bytes() + b"notes\n")
    before = contents(tmp_path)

    assert main(list(command)) == 2
    assert path.name in capsys.readouterr().err
    assert contents(tmp_path) == before

    assert main([*command, "--force"]) == 0
    assert not path.read_bytes().endswith(b"notes\n")


def test_other_files_of_a_folder_outlive_a_pack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o" / "sub").mkdir(parents=True)
    (tmp_path / "o" / "sub" / "thesis.tex").write_text("somebody's")

    assert main(list(PACK)) == 2
    assert main([*PACK, "--force"]) == 0

    capsys.readouterr()
    assert (tmp_path / "o" / "sub" / "thesis.tex").read_text() == "somebody's"
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        "sub",
        *(file.removeprefix("o/") for file in COMMANDS[PACK]),
    }


def test_a_link_to_a_pack_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk" / "pack").mkdir(parents=True)
    (tmp_path / "o").symlink_to("disk/pack")
    for _ in range(2):
        assert main(list(PACK)) == 0

    assert (tmp_path / "o").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "o", "w.npy"}
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["pack"]
    assert len(list((tmp_path / "o").iterdir())) == 2


@pytest.mark.parametrize(
    "command",
    [
        ("formats", "e4m3fn", "--svg"),
        ("vectors", "e2m1fn", "--table", "c", "--output"),
        (*TRAIN, "--csv"),
    ],
    ids=" ".join,
)
def test_what_is_no_file_stays_even_if_it_is_forced(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rename would put a file in the place of a device."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs a named pipe")
    os.mkfifo(tmp_path / "o")

    assert main([*command, "o", "--force"]) == 2

    assert "name another" in capsys.readouterr().err
    assert stat.S_ISFIFO((tmp_path / "o").stat().st_mode)


def test_a_table_goes_to_the_standard_output_by_a_dash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["vectors", "e2m1fn", "--table", "c"]
    assert main(command) == 0
    expected = capsys.readouterr().out

    assert main([*command, "--output", "-"]) == 0

    assert capsys.readouterr().out == expected
    assert [path.name for path in tmp_path.iterdir()] == ["w.npy"]
