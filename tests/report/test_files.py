"""Files that belong together are written together or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fp8num.report.folder import output_folder, write_together

OLD = {"a.txt": "old a", "b.txt": "old b", "c.txt": "old c"}
NEW = {"0.txt": "new 0", "a.txt": "new a", "b.txt": "new b", "c.txt": "new c"}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_are_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_together(tmp_path, OLD)
    write_together(tmp_path, NEW)

    assert contents(tmp_path) == NEW


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")

    write_together(tmp_path, NEW)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_line_ends_and_lone_surrogates_are_kept_and_escaped(tmp_path: Path) -> None:
    write_together(tmp_path, {"x": "a\r\nb\n\ud800é"})

    assert (tmp_path / "x").read_bytes() == b"a\r\nb\n\\ud800\xc3\xa9"


@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_a_failing_replacement_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """As on Windows, where a file that a spreadsheet has open cannot be replaced."""
    write_together(tmp_path, OLD)
    replace, calls = os.replace, []

    def fail(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == failing + 1:
            raise PermissionError(13, "in use", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError):
        write_together(tmp_path, NEW)

    assert contents(tmp_path) == OLD


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX stands for a full disk")
@pytest.mark.parametrize("failing", list(NEW))
def test_a_full_disk_leaves_the_old_files(tmp_path: Path, failing: str) -> None:
    import resource

    write_together(tmp_path, OLD)
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_together(tmp_path, {**NEW, failing: "x" * 2000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert contents(tmp_path) == OLD


def test_an_interruption_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_together(tmp_path, OLD)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_together(tmp_path, NEW)

    assert contents(tmp_path) == OLD


def test_files_are_removed_that_are_there(tmp_path: Path) -> None:
    write_together(tmp_path, OLD)

    write_together(tmp_path, {"a.txt": "new a"}, remove=["b.txt", "x.txt"])

    assert contents(tmp_path) == {"a.txt": "new a", "c.txt": "old c"}


@pytest.mark.parametrize("failing", ["b.txt", "c.txt"])
def test_a_removal_that_fails_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    write_together(tmp_path, OLD)
    unlink = Path.unlink

    def fail(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == failing:
            raise PermissionError(13, "in use", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(PermissionError):
        write_together(tmp_path, {"0.txt": "new 0", "a.txt": "new a"}, remove=["b.txt", "c.txt"])
    monkeypatch.undo()

    assert contents(tmp_path) == OLD


def test_a_folder_is_made_and_unmade_if_the_work_fails(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    with output_folder(folder, ()):
        assert folder.is_dir()
    assert folder.is_dir()
    with pytest.raises(ZeroDivisionError), output_folder(folder / "c" / "d", ()):
        raise ZeroDivisionError

    assert folder.is_dir(), "it was there before"
    assert not (folder / "c").exists()


def test_what_others_put_into_the_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a"

    def work() -> None:
        with output_folder(folder, ()):
            (folder / "theirs").write_text("kept")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()

    assert contents(folder) == {"theirs": "kept"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(ValueError, match=r"output must be a directory, .*file' is a file"),
        output_folder(tmp_path / "file", ()),
    ):
        pass


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()

    with (
        pytest.raises(ValueError, match=r"index\.html' is a directory; name another"),
        output_folder(tmp_path, ("index.html",)),
    ):
        pass


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)

    with pytest.raises(PermissionError), output_folder(tmp_path / "new", ()):
        pytest.fail("the work was begun")
    assert not (tmp_path / "new").exists()
