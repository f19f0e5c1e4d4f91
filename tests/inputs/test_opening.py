"""Paths that are no files of tensors, and files that are not what their name says."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.inputs import InputError, open_tensors, write_safetensors

if TYPE_CHECKING:
    from collections.abc import Callable


def saved(write: Callable[..., None], *arguments: object) -> bytes:
    stream = io.BytesIO()
    write(stream, *arguments)
    return stream.getvalue()


def a_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        # A fixed date: what a test is called by must not depend on when it is collected.
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), b"")
    return stream.getvalue()


CONTENTS = {
    "a NumPy array (.npy)": saved(np.save, np.ones(2)),
    "a zip archive, such as .npz or a PyTorch checkpoint": saved(np.savez, np.ones(2)),
    "a zip archive, such as": a_zip(),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(20),
    "a GGUF file": b"GGUF\x03\0\0\0" + bytes(16),
    "gzip-compressed data": gzip.compress(b"x"),
    "zstd-compressed data": b"\x28\xb5\x2f\xfd" + bytes(20),
    "an HTML page": b"\n<!DOCTYPE html><html></html>",
    "an HTML page (a failed download?)": b"<HTML><head>",
    "an XML document": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "a Python pickle": pickle.dumps([1.0, 2.0]),
    "JSON text": b'{"metadata": {}, "weight_map": {}}',
    "a safetensors file": b"\x02" + bytes(7) + b"{}",
}


RIGHT = {"npy": "a NumPy array", "npz": "a zip", "safetensors": "a safetensors file"}


def test_a_mislabelled_file_is_recognised(
    tmp_path: Path, refusal: Callable[[Path], str], each: Any
) -> None:
    def check(suffix: str, what: str) -> None:
        path = tmp_path / f"x{suffix}"
        path.write_bytes(CONTENTS[what])

        message = refusal(path)

        assert f"is not a {suffix.lower()} file: it seems to be {what}" in message

    each(
        [
            (suffix, what)
            for suffix in (".npy", ".npz", ".safetensors", ".NPY")
            for what in CONTENTS
            if not what.startswith(RIGHT[suffix[1:].lower()])
        ],
        check,
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("model.safetensors.index.json", b'{"weight_map": {}}', "'.json' (it seems to be JSON"),
        ("model.pt", a_zip(), "'.pt' (it seems to be a zip archive"),
        ("model.bin", pickle.dumps({}), "'.bin' (it seems to be a Python pickle"),
        ("weights.txt", b"0.5\n", "'.txt', which is not read"),
        ("weights", saved(np.save, np.ones(2)), "'' (it seems to be a NumPy array"),
        (".npy", saved(np.save, np.ones(2)), "'' (it seems to be a NumPy array"),
        ("x.np\ny", b"0.5\n", r"'.np\ny', which is not read"),
    ],
)
def test_other_extensions_are_refused_with_the_ones_that_are_read(
    tmp_path: Path, name: str, content: bytes, problem: str, refusal: Callable[[Path], str]
) -> None:
    (tmp_path / name).write_bytes(content)

    message = refusal(tmp_path / name)

    assert f"has the extension {problem}" in message
    assert "give a .npy, .npz or .safetensors file" in message


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
class TestNotAFile:
    def test_missing(self, tmp_path: Path, suffix: str, refusal: Callable[[Path], str]) -> None:
        assert "does not exist; check the path" in refusal(tmp_path / f"x{suffix}")

    def test_empty(self, tmp_path: Path, suffix: str, refusal: Callable[[Path], str]) -> None:
        (tmp_path / f"x{suffix}").touch()

        assert "is empty (0 bytes)" in refusal(tmp_path / f"x{suffix}")

    def test_directory(self, tmp_path: Path, suffix: str, refusal: Callable[[Path], str]) -> None:
        (tmp_path / f"x{suffix}").mkdir()

        assert "is a directory" in refusal(tmp_path / f"x{suffix}")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_pipe(self, tmp_path: Path, suffix: str, refusal: Callable[[Path], str]) -> None:
        """Opening it would wait for a writer."""
        os.mkfifo(tmp_path / f"x{suffix}")

        assert "is not a regular file" in refusal(tmp_path / f"x{suffix}")

    def test_unreadable(
        self,
        tmp_path: Path,
        suffix: str,
        refusal: Callable[[Path], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Not by chmod, which does not stop the superuser."""
        (tmp_path / f"x{suffix}").write_bytes(b"x")

        def deny(*_args: object, **_kwargs: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", deny)

        assert "cannot be read (Permission denied); check" in refusal(tmp_path / f"x{suffix}")

    def test_below_a_file(
        self, tmp_path: Path, suffix: str, refusal: Callable[[Path], str]
    ) -> None:
        (tmp_path / "x").touch()

        assert "cannot be read (Not a directory)" in refusal(tmp_path / "x" / f"x{suffix}")

    def test_too_long(self, suffix: str, refusal: Callable[[Path], str]) -> None:
        message = refusal(Path("x" * 5000 + suffix))

        assert "cannot be read (File name too long)" in message
        assert f"...({5000 + len(suffix)} characters)..." in message

    def test_null_byte(self, suffix: str) -> None:
        with pytest.raises(InputError, match=r"'a\\x00b.*' cannot be read .*null"):
            open_tensors(f"a\0b{suffix}")

    def test_control_characters(
        self, tmp_path: Path, suffix: str, refusal: Callable[[Path], str]
    ) -> None:
        assert r"\x1b[31m\n" in refusal(tmp_path / f"\x1b[31m\n{suffix}")


@pytest.mark.parametrize("path", [3.5, None, ["x.npy"]])
def test_other_types_of_path_are_refused(path: object) -> None:
    with pytest.raises(TypeError, match=r"os\.PathLike"):
        open_tensors(path)  # type: ignore[arg-type]


def test_a_path_and_its_text_are_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "x.NPY.npy", np.ones(2))

    opened = open_tensors(tmp_path / "x.NPY.npy")

    assert opened == open_tensors(str(tmp_path / "x.NPY.npy"))
    assert opened.tensors[0].name == "x.NPY"


def test_a_path_that_is_no_text_is_read(tmp_path: Path) -> None:
    """A name that is not UTF-8 has surrogates in Python; it is shown escaped."""
    path = tmp_path / "\udcff.npy"
    try:
        path.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system allows text only")

    with pytest.raises(InputError, match=r"\\udcff.npy' ends inside its .npy header") as caught:
        open_tensors(path)
    str(caught.value).encode("utf-8")


SAVE: dict[str, Callable[..., Any]] = {
    ".npy": np.save,
    ".npz": lambda path, array: np.savez(path, w=array),
    ".safetensors": lambda path, array: write_safetensors(path, {"w": array}),
}


@pytest.mark.parametrize("suffix", SAVE)
def test_a_file_that_is_written_to_while_it_is_read_is_noticed(suffix: str, tmp_path: Path) -> None:
    """At once after it was made, when a clock of file times may not have gone on; 20 times."""
    path = tmp_path / f"w{suffix}"
    for _ in range(20):
        SAVE[suffix](path, np.ones(3000, np.float32))
        blocks = open_tensors(path).tensors[0].blocks(1000)
        next(blocks)
        with path.open("r+b") as stream:
            stream.seek(-100, 2)
            stream.write(b"\0\0")

        with pytest.raises(InputError, match=r"was changed after it was opened|Bad CRC-32"):
            list(blocks)


def test_a_copy_with_the_same_size_and_time_is_another_file(tmp_path: Path) -> None:
    """As ``cp -p`` and ``rsync`` make one."""
    path, copy = tmp_path / "w.npy", tmp_path / "copy"
    np.save(path, np.ones(30, np.float32))
    tensor = open_tensors(path).tensors[0]
    status = path.stat()
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)

    with pytest.raises(InputError, match=r"was changed .* \(it was written to, or replaced\)"):
        list(tensor.blocks())


def test_a_file_that_others_only_read_is_not_refused(tmp_path: Path) -> None:
    """Nor one that gets another name or other permissions."""
    path = tmp_path / "w.npy"
    np.save(path, np.ones(30, np.float32))
    blocks = open_tensors(path).tensors[0].blocks(10)
    next(blocks)
    path.read_bytes()
    path.chmod(0o600)
    path.rename(tmp_path / "v.npy")

    assert len(list(blocks)) == 2
