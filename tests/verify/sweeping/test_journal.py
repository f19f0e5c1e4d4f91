"""The journal: what was written is read, what was torn is done again, the rest is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fp8num.verify.sweeping.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = {"format": "E4M3FN", "seed": 0}
RESULTS = {0: {"cases": 4}, 2: {"cases": 4, "witnesses": [[1, "zero", 0, 1]]}, 1: {"cases": 3}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A finished journal."""
    path = tmp_path / "sweep.jsonl"
    with Journal(path, CONFIG) as journal:
        for chunk, result in RESULTS.items():
            journal.append(chunk, result)
    return path


def records(path: Path, config: dict[str, Any] = CONFIG) -> dict[int, dict[str, Any]]:
    with Journal(path, config) as journal:
        return journal.records


def test_results_are_read_in_the_order_they_were_written(path: Path) -> None:
    assert list(records(path).items()) == list(RESULTS.items())


def test_a_line_is_json_with_the_data_in_it(path: Path) -> None:
    """So that other programs can read it."""
    header, *lines = map(json.loads, path.read_text().splitlines())

    assert header["data"] == {"journal": "fp8num sweep", "version": 1, "config": CONFIG}
    assert {line["data"]["chunk"]: line["data"]["result"] for line in lines} == RESULTS


def test_reading_changes_nothing(path: Path) -> None:
    before = path.read_bytes()

    records(path)

    assert path.read_bytes() == before


def test_every_line_is_on_the_disk_when_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One write and one fsync for each, in that order."""
    calls = []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda fd, line: (calls.append("write"), write(fd, line))[1])
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd))[1])

    with Journal(tmp_path / "new", CONFIG) as journal:
        journal.append(0, {})
        journal.append(1, {})

    assert calls == ["write", "fsync"] * 3


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever number of bytes the system takes at once."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, line: write(fd, line[:7]))

    with Journal(tmp_path / "new", CONFIG) as journal:
        journal.append(0, RESULTS[0])

    assert records(tmp_path / "new") == {0: RESULTS[0]}


def test_a_file_cut_anywhere_gives_the_lines_before_the_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number of bytes that a kill can leave; what is torn is gone when more is written."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a thousand times, for nothing here
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    items = list(RESULTS.items())
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        kept = max(sum(end <= size for end in ends) - 1, 0)

        with Journal(path, CONFIG) as journal:
            assert list(journal.records.items()) == items[:kept]
            journal.append(7, {"cases": 1})

        assert records(path) == {**dict(items[:kept]), 7: {"cases": 1}}


def test_a_last_line_with_a_wrong_check_is_dropped(path: Path) -> None:
    """A torn line may end in a newline that was there before."""
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"cases":3', b'"cases":9'))

    assert records(path) == {chunk: RESULTS[chunk] for chunk in (0, 2)}
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:-1])


def edit(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda whole: whole.replace(old, new, 1)


def again(result: dict[str, Any]) -> Callable[[bytes], bytes]:
    """Add a line that is whole in itself."""

    def add(whole: bytes) -> bytes:
        from fp8num.verify.sweeping.journal import _line

        return whole + _line(result) + _line({"chunk": 9, "result": {}})

    return add


DAMAGED = {
    "a changed number": (edit(b'"cases":4', b'"cases":5'), "line 2 is damaged; delete that line"),
    "a changed check": (edit(b'\n{"check":"', b'\n{"check":"0'), "line 2 is damaged"),
    "a lost newline": (edit(b"}}\n", b"}}"), "first line is damaged"),
    "a lost newline between results": (
        lambda whole: whole[:-1].replace(b'"cases":4}}}\n', b'"cases":4}}}') + b"\n",
        "line 2 is damaged",
    ),
    "an empty line": (edit(b"\n", b"\n\n"), "line 2 is damaged"),
    "bytes that are no text": (edit(b'\n{"check"', b"\n\xff\xfe"), "line 2 is damaged"),
    "NaN": (edit(b'"cases":4', b'"cases":NaN'), "line 2 is damaged"),
    "deep nesting": (edit(b"\n", b"\n" + b"[" * 100_000 + b"\n"), "line 2 is damaged"),
    "damage before a torn line": (
        lambda whole: whole.replace(b'"cases":3', b'"cases":9') + b'{"che',
        "line 4 is damaged",
    ),
    "another result": (again({"chunk": 2, "result": {}}), "line 5 has another result for chunk 2"),
    "no result": (again({"chunk": 2}), "line 5 is no result of a chunk"),
    "no number": (again({"chunk": "2", "result": {}}), "line 5 is no result of a chunk"),
    "something more": (again({"chunk": 2, "result": {}, "x": 1}), "line 5 is no result"),
    "another file": (lambda _: b"\x93NUMPY" + bytes(1000), "is no journal of a sweep"),
    "text": (lambda _: b"word,code\n", "is no journal of a sweep"),
    "other JSON": (lambda _: b'{"a": 1}\n', "is no journal of a sweep, or its first line is damag"),
    "a damaged header": (edit(b'"seed":0', b'"seed":1'), "its first line is damaged; name another"),
    "no header": (lambda whole: whole.split(b"\n", 1)[1], "is no journal of a sweep"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_that_is_no_torn_line_is_refused(path: Path, name: str) -> None:
    """With the line, and what to do; the file is left as it is."""
    change, message = DAMAGED[name]
    damaged = change(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)

    with pytest.raises(ValueError, match=message):
        Journal(path, CONFIG)

    assert path.read_bytes() == damaged


def test_the_same_result_twice_is_no_damage(path: Path) -> None:
    """Two processes, one after the other, may have done a chunk that both took for undone."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[1]]))

    assert records(path) == RESULTS


def test_other_work_is_refused_with_what_is_other(path: Path) -> None:
    with pytest.raises(ValueError, match="another sweep, with seed 0 and not 1; repeat the arg"):
        Journal(path, CONFIG | {"seed": 1})
    with pytest.raises(ValueError, match="with samples null and not 3"):
        Journal(path, CONFIG | {"samples": 3})
    with pytest.raises(ValueError, match=r'with format "E4M3FN" and not "x+\.\.\.;'):
        Journal(path, CONFIG | {"format": "x" * 1000})


def test_another_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fp8num.verify.sweeping.journal.VERSION", 2)

    with pytest.raises(ValueError, match="version 2, got 'fp8num sweep', version 1"):
        Journal(path, CONFIG)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be opened: No such file or directory; name a"):
        Journal(tmp_path / "none" / "sweep.jsonl", CONFIG)
    with pytest.raises(ValueError, match="is a directory; give the path of a journal"):
        Journal(tmp_path, CONFIG)


# Two at once.


def test_a_second_user_in_this_process_is_refused(path: Path) -> None:
    """By any name of the file, until the first is done."""
    link = path.with_name("link")
    link.symlink_to(path)
    with Journal(path, CONFIG), pytest.raises(ValueError, match="is in use by another sweep; wait"):
        Journal(link, CONFIG)

    assert records(link) == RESULTS


def test_a_file_that_was_refused_can_be_used_by_others(path: Path) -> None:
    with pytest.raises(ValueError, match="belongs to another sweep"):
        Journal(path, {})

    assert records(path) == RESULTS


HOLD = """
import sys
from fp8num.verify.sweeping.journal import Journal
with Journal(sys.argv[1], {"format": "E4M3FN", "seed": 0}):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_refused_until_the_first_ends(path: Path) -> None:
    """And is let in when the first is killed: no lock is left behind."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match="is in use by another sweep"):
            Journal(path, CONFIG)
        process.kill()

    assert records(path) == RESULTS


def test_a_system_without_locks_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)

    with pytest.raises(ValueError, match="journal needs the file locks of POSIX"):
        Journal(path, CONFIG)
