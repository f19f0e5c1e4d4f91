"""The one way to write a file: whole, under a name that nobody can foresee, or not at all."""

from __future__ import annotations

import os
import stat
import threading
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num._files import locked, whole_file
from fp8num.inputs import write_safetensors
from fp8num.nn.checkpoints import save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and permissions of POSIX")


def checkpoint(path: Path) -> None:
    save_checkpoint(path, {}, {"step": 1})


def tensors(path: Path) -> None:
    write_safetensors(path, {"w": np.ones(2, np.float32)})


WRITERS = pytest.mark.parametrize("write", [checkpoint, tensors])


@WRITERS
def test_a_planted_link_is_not_written_through(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    """Of the name that temporary files had: who could make links in the folder chose the file."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "k.npz"
    (tmp_path / ".k.npz.new").symlink_to(victim)

    write(path)

    assert victim.read_text() == "precious"
    assert path.stat().st_size > 0
    assert not path.is_symlink()


def test_names_of_temporary_files_differ_and_belong_to_one(tmp_path: Path) -> None:
    """Of 64 random bits, in the same folder, with the permissions that any new file has."""
    (tmp_path / "plain").touch()
    mode = (tmp_path / "plain").stat().st_mode
    seen = set()
    for _ in range(20):
        with whole_file(tmp_path / "x") as stream:
            (new,) = {path for path in tmp_path.iterdir() if path.name not in {"x", "plain"}}
            assert os.fstat(stream.fileno()).st_mode == mode
            seen.add(new.name)

    assert len(seen) == 20
    assert {path.name for path in tmp_path.iterdir()} == {"x", "plain"}


def test_a_temporary_file_must_be_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if somebody had foreseen its name."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    monkeypatch.setattr("secrets.token_hex", lambda *_: "0")
    (tmp_path / ".0.new").symlink_to(victim)

    with pytest.raises(FileExistsError), whole_file(tmp_path / "x") as stream:
        stream.write(b"x")

    assert victim.read_text() == "precious"


@WRITERS
def test_a_link_stays_and_its_file_is_replaced(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    """A checkpoint that is kept on another disk goes on being kept there."""
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "x", tmp_path / "x"
    target.write_text("old")
    link.symlink_to(target)

    write(link)

    assert link.is_symlink()
    assert target.read_bytes() == link.read_bytes() != b"old"
    assert list(target.parent.iterdir()) == [target]


@WRITERS
def test_what_is_no_file_is_not_replaced(write: Callable[[Path], None], tmp_path: Path) -> None:
    """Who is root would replace a device such as /dev/null."""
    path = tmp_path / "x"
    os.mkfifo(path)

    with pytest.raises(OSError, match=r"path must be a file, '.*x' is no regular file; name anot"):
        write(path)

    assert stat.S_ISFIFO(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_file_and_nothing_else(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def fail(stream: IO[bytes]) -> None:
        stream.write(b"half")
        raise error

    with pytest.raises(type(error)), whole_file(path) as stream:
        fail(stream)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_one_at_a_time_is_let_into_a_folder(tmp_path: Path) -> None:
    """Whoever comes second waits until the first is done."""
    pytest.importorskip("fcntl", reason="locks of POSIX")
    order: list[Any] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with locked(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path):
        thread.start()
        assert waiting.wait(10)
        thread.join(0.05)
        order.append("first")
    thread.join(10)

    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []
