"""Bounded memory, and no exception but InputError from any file."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fp8num.inputs import InputError, open_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that Python and NumPy had allocated at most."""
    work()  # imports and caches
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read_all(path: Path) -> int:
    """Read every element; return how many there were."""
    total = 0
    for tensor in open_tensors(path).tensors:
        for block in tensor.blocks():
            total += len(block)
    return total


@pytest.fixture(params=["safetensors", "npy", "npz"])
def large_file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file of 64 MiB of float32 zeros, which takes next to no space."""
    path = tmp_path / f"x.{request.param}"
    count = 16 * MIB
    if request.param == "npz":
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("x.npy", "w") as member,
        ):
            fields = {"descr": "<f4", "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(member, fields)
            for _ in range(64):
                member.write(bytes(MIB))
        return path
    with path.open("wb") as stream:
        if request.param == "npy":
            fields = {"descr": "<f4", "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(stream, fields)
        else:
            entry = {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}
            text = json.dumps({"x": entry}).encode()
            stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(stream.tell() + 4 * count)
    return path


def test_memory_is_bounded_by_the_block(large_file: Path) -> None:
    """A block of 2^18 float32 is 1 MiB; the last one and the next one may both be alive."""
    assert read_all(large_file) == 16 * MIB

    assert peak_of(lambda: read_all(large_file)) < 5 * MIB


def test_the_measure_sees_whole_arrays(large_file: Path) -> None:
    """The test above can fail: keeping all blocks is noticed."""
    (tensor,) = open_tensors(large_file).tensors

    assert peak_of(lambda: list(tensor.blocks())) > 64 * MIB


def test_opening_reads_no_elements(large_file: Path) -> None:
    assert peak_of(lambda: open_tensors(large_file)) < MIB


def valid_files() -> dict[str, bytes]:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(5, ">f4"), "i": np.arange(3)}
    streams = {"npy": io.BytesIO(), "npz": io.BytesIO(), "deflated.npz": io.BytesIO()}
    np.save(streams["npy"], arrays["a"])
    np.savez(streams["npz"], **arrays)
    np.savez_compressed(streams["deflated.npz"], **arrays)
    header = {
        "__metadata__": {"k": "v"},
        "a": {"dtype": "F64", "shape": [2, 3], "data_offsets": [0, 48]},
        "b": {"dtype": "F8_E4M3", "shape": [5], "data_offsets": [48, 53]},
        "i": {"dtype": "I16", "shape": [1], "data_offsets": [53, 55]},
    }
    text = json.dumps(header).encode()
    safetensors = len(text).to_bytes(8, "little") + text + bytes(55)
    return {name: stream.getvalue() for name, stream in streams.items()} | {
        "safetensors": safetensors
    }


FILES = valid_files()


def read_or_refuse(path: Path) -> bool:
    """Read the file whole and return True, or be refused; anything else is an error."""
    try:
        sizes = [
            (tensor.size, sum(len(block) for block in tensor.blocks(4)))
            for tensor in open_tensors(path).tensors
        ]
    except InputError as error:
        message = str(error)
    else:
        assert all(declared == read for declared, read in sizes)
        return True
    assert message.isprintable()
    return False


@pytest.mark.parametrize("kind", FILES)
def test_valid_files_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(FILES[kind])

    assert read_or_refuse(path)


@pytest.mark.parametrize("kind", FILES)
@settings(deadline=None)
@given(content=st.binary(max_size=300))
@example(content=b"\x93NUMPY\x01\x00\x00\x00")
@example(content=b"PK\x05\x06" + bytes(18))
@example(content=(2).to_bytes(8, "little") + b"{}")
def test_any_bytes_are_read_or_refused(
    kind: str, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{kind}"
    path.write_bytes(content)

    read_or_refuse(path)
