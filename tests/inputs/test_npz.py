"""The .npz reader against np.savez, and against archives made wrong on purpose."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest

from fp8num.inputs import InputError, open_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CENTRAL = b"PK\x01\x02"  #: signature of a directory entry


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zip_bytes(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return bytearray(stream.getvalue())


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_saved_archives_come_back(
    tmp_path: Path, save: Callable[..., None], elements: Callable[..., np.ndarray]
) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "layer.0/weight": rng.normal(size=(50, 40)).astype(np.float32),
        "fortran": np.asfortranarray(rng.normal(size=(3, 5))),
        "big": np.arange(4).astype(">f2"),
        "scalar": np.float64(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "codes": np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e5m2),
    }
    save(tmp_path / "x.npz", **arrays, steps=np.arange(3), lost=np.zeros(2, ml_dtypes.bfloat16))

    opened = open_tensors(tmp_path / "x.npz")

    assert [tensor.name for tensor in opened.tensors] == list(arrays)
    assert [tensor.dtype for tensor in opened.tensors] == [
        "F32", "F64", "F16", "F64", "F32", "F8_E5M2",
    ]  # fmt: skip
    assert opened.tensors[1].order == "F"
    assert opened.skipped[0] == ("steps", "integers")
    assert "np.save lost an ml_dtypes type" in opened.skipped[1][1]
    for tensor in opened.tensors:
        expected = np.asarray(arrays[tensor.name])
        assert tensor.shape == expected.shape
        native = expected.astype(expected.dtype.newbyteorder("="))
        assert elements(tensor, 300).tobytes() == native.tobytes(order=tensor.order)


def test_other_members_are_skipped_with_a_reason(tmp_path: Path) -> None:
    members = {"README.txt": b"hello", "folder/": b"", "x.npy": npy(np.ones(2))}
    (tmp_path / "x.npz").write_bytes(zip_bytes(members))

    opened = open_tensors(tmp_path / "x.npz")

    assert [tensor.name for tensor in opened.tensors] == ["x"]
    assert opened.skipped == (
        ("README.txt", "not an .npy member"),
        ("folder/", "not an .npy member"),
    )


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../../x", "<script>alert(1)</script>", "a\nb\x1b[2J", "n" * 10_000]
)
def test_hostile_names_are_only_names(tmp_path: Path, name: str) -> None:
    """Nothing is extracted, and a name is handed on as it is."""
    (tmp_path / "x.npz").write_bytes(zip_bytes({f"{name}.npy": npy(np.ones(2))}))

    (tensor,) = open_tensors(tmp_path / "x.npz").tensors

    assert tensor.name == name
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_hostile_names_are_escaped_in_messages(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    members = {"a\nb\x1b[2J" + "n" * 10_000 + ".npy": b"no array"}
    (tmp_path / "x.npz").write_bytes(zip_bytes(members))

    message = refusal(tmp_path / "x.npz")

    assert r"member 'a\nb\x1b[2Jnnn" in message
    assert "is not an .npy file (it begins with b'no arr')" in message


def test_an_archive_without_float_arrays_lists_what_it_has(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(2), b=np.ones(1, bool), c=[None], d=["s"], e=[1])

    message = refusal(tmp_path / "x.npz")

    assert "holds no floating-point tensors (skipped 'a': integers; 'b': boolean; 'c': " in message
    assert "and 2 more)" in message


def test_an_empty_archive_is_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    np.savez(tmp_path / "x.npz")

    assert "it lists no tensors at all" in refusal(tmp_path / "x.npz")


def test_a_pytorch_checkpoint_is_not_a_tensor_archive(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    (tmp_path / "x.npz").write_bytes(
        zip_bytes({"archive/data.pkl": b"\x80\x02.", "archive/0": b""})
    )

    assert "'archive/data.pkl': not an .npy member" in refusal(tmp_path / "x.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_cut_anywhere_is_refused(
    tmp_path: Path, method: int, refusal: Callable[[Path], str]
) -> None:
    """The directory is at the end, so any cut loses part of it."""
    whole = zip_bytes({"x.npy": npy(np.arange(8.0))}, method)
    path = tmp_path / "x.npz"

    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        refusal(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wrong_checksum_is_noticed_before_the_last_block(tmp_path: Path, method: int) -> None:
    noise = np.random.default_rng(0).normal(size=8000)
    whole = zip_bytes({"x.npy": npy(noise)}, method)
    at = whole.index(CENTRAL) + 16
    whole[at] ^= 1
    (tmp_path / "x.npz").write_bytes(whole)
    (tensor,) = open_tensors(tmp_path / "x.npz").tensors
    blocks = tensor.blocks(4000)

    next(blocks)

    with pytest.raises(InputError, match=r"damaged or unusual zip archive .*Bad CRC-32"):
        next(blocks)


def test_damaged_compressed_data_is_noticed(tmp_path: Path) -> None:
    data = npy(np.random.default_rng(0).normal(size=5000))
    whole = zip_bytes({"x.npy": data})
    whole[20_000:20_100] = bytes(100)
    (tmp_path / "x.npz").write_bytes(whole)
    (tensor,) = open_tensors(tmp_path / "x.npz").tensors

    with pytest.raises(InputError, match="damaged or unusual zip archive"):
        list(tensor.blocks(100))


def test_invalid_compressed_data_are_noticed(tmp_path: Path) -> None:
    """By zlib, in a block that has no valid type."""
    whole = zip_bytes({"x.npy": npy(np.random.default_rng(0).normal(size=5000))})
    whole[whole.index(b"x.npy") + 5] = 0b110  # the last two bits of three: the reserved type
    (tmp_path / "x.npz").write_bytes(whole)

    with pytest.raises(InputError, match=r"archive .'Error -3 while decompressing data: invalid b"):
        open_tensors(tmp_path / "x.npz")


def test_data_beyond_the_end_are_noticed(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    """The local header claims a long extra field before them."""
    whole = zip_bytes({"x.npy": npy(np.arange(2.0))}, zipfile.ZIP_STORED)
    whole[28:30] = struct.pack("<H", 60_000)
    (tmp_path / "x.npz").write_bytes(whole)

    # Newer versions of zipfile call it an overlap.
    assert "damaged or unusual zip archive (" in refusal(tmp_path / "x.npz")


def test_a_member_longer_than_the_file_is_refused(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    whole = zip_bytes({"x.npy": npy(np.arange(2.0))}, zipfile.ZIP_STORED)
    at = whole.index(CENTRAL) + 20
    whole[at : at + 8] = struct.pack("<II", 10_000, 10_000)
    (tmp_path / "x.npz").write_bytes(whole)

    assert "past the end of the file" in refusal(tmp_path / "x.npz")


def test_a_zip_version_of_the_future_is_refused(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    whole = zip_bytes({"x.npy": npy(np.arange(2.0))})
    whole[whole.index(CENTRAL) + 6] = 99
    (tmp_path / "x.npz").write_bytes(whole)

    assert "unusual zip archive ('zip file version 9.9')" in refusal(tmp_path / "x.npz")


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    whole = zip_bytes({"é.npy": npy(np.arange(2.0))})
    (tmp_path / "x.npz").write_bytes(whole.replace("é".encode(), b"\xff\xff"))

    assert "unusual zip archive (" in refusal(tmp_path / "x.npz")
    assert "can't decode byte 0xff" in refusal(tmp_path / "x.npz")


@pytest.mark.parametrize("field", ["length", "offset"])
def test_a_directory_that_cannot_be_there_is_refused(
    tmp_path: Path, field: str, refusal: Callable[[Path], str]
) -> None:
    """Too long, or too far into the file, which puts the members before its start."""
    whole = zip_bytes({"x.npy": npy(np.arange(2.0))})
    at = whole.index(b"PK\x05\x06") + {"length": 12, "offset": 16}[field]
    whole[at : at + 4] = struct.pack("<I", 100_000)
    (tmp_path / "x.npz").write_bytes(whole)

    assert "is a damaged or unusual zip archive" in refusal(tmp_path / "x.npz")


@pytest.mark.parametrize("offset", [2**62, 2**63, 2**64 - 1])
def test_an_offset_beyond_any_file_is_refused(
    tmp_path: Path, offset: int, refusal: Callable[[Path], str]
) -> None:
    """In the 64-bit extra field, which 32 bits of ones in the entry refer to."""
    whole = zip_bytes({"x.npy": npy(np.arange(2.0))})
    start, end = whole.index(CENTRAL), whole.index(b"PK\x05\x06")
    extra = struct.pack("<HHQ", 1, 8, offset)
    entry, tail = whole[start:end] + extra, whole[end:]
    entry[30:32] = struct.pack("<H", len(extra))
    entry[42:46] = b"\xff" * 4
    tail[12:16] = struct.pack("<I", len(entry))
    (tmp_path / "x.npz").write_bytes(whole[:start] + entry + tail)

    refusal(tmp_path / "x.npz")


def test_duplicate_members_are_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    """Readers disagree about which of them counts."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", npy(np.ones(2)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", npy(np.zeros(2)))

    assert "member 'x.npy', occurs twice" in refusal(tmp_path / "x.npz")


@pytest.mark.parametrize("size", [0, 136, 200, 2**32 - 2])
def test_a_lying_member_size_is_refused(
    tmp_path: Path, size: int, refusal: Callable[[Path], str]
) -> None:
    """The directory says fewer or more bytes than the array has."""
    whole = zip_bytes({"x.npy": npy(np.arange(2.0))}, zipfile.ZIP_STORED)
    at = whole.index(CENTRAL) + 24
    whole[at : at + 4] = struct.pack("<I", size)
    (tmp_path / "x.npz").write_bytes(whole)

    refusal(tmp_path / "x.npz")


def test_an_impossible_expansion_is_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    whole = zip_bytes({"x.npy": npy(np.arange(2.0))})
    at = whole.index(CENTRAL) + 24
    whole[at : at + 4] = struct.pack("<I", 2**31)
    (tmp_path / "x.npz").write_bytes(whole)

    message = refusal(tmp_path / "x.npz")

    assert "claims 2147483648 bytes from" in message
    assert "zip bomb" in message


def test_the_greatest_real_expansion_is_read(
    tmp_path: Path, elements: Callable[..., np.ndarray]
) -> None:
    """An array of zeros is the best case of deflate, and ordinary input."""
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(1 << 20, np.float32))
    assert (1 << 22) / (tmp_path / "x.npz").stat().st_size > 950

    (tensor,) = open_tensors(tmp_path / "x.npz").tensors

    assert not elements(tensor).any()


def test_overlapping_members_are_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    """Directory entries that share one body are how a bomb without nesting is built."""
    whole = zip_bytes({"x.npy": npy(np.arange(2.0))})
    start = whole.index(CENTRAL)
    end = whole.index(b"PK\x05\x06")
    entry = whole[start:end]
    second = entry.replace(b"x.npy", b"y.npy")
    tail = bytearray(whole[end:])
    tail[8:16] = struct.pack("<HHI", 2, 2, 2 * len(entry))
    (tmp_path / "x.npz").write_bytes(whole[:end] + second + tail)

    message = refusal(tmp_path / "x.npz")

    assert "member 'x.npy', runs into the next member" in message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(
    tmp_path: Path, method: int, refusal: Callable[[Path], str]
) -> None:
    pytest.importorskip({zipfile.ZIP_BZIP2: "bz2", zipfile.ZIP_LZMA: "lzma"}[method])
    (tmp_path / "x.npz").write_bytes(zip_bytes({"x.npy": npy(np.ones(2))}, method))

    assert f"has compression method {method}" in refusal(tmp_path / "x.npz")


def test_encrypted_members_are_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    whole = zip_bytes({"x.npy": npy(np.ones(2))})
    whole[whole.index(CENTRAL) + 8] |= 1
    (tmp_path / "x.npz").write_bytes(whole)

    assert "is encrypted; save it again without a password" in refusal(tmp_path / "x.npz")


def test_a_header_like_problem_inside_a_member_names_it(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    (tmp_path / "x.npz").write_bytes(zip_bytes({"w.npy": npy(np.ones(2))[:-1]}))

    message = refusal(tmp_path / "x.npz")

    assert "member 'w.npy', is truncated: shape (2,) of F64 needs 144 bytes, it has 143" in message


def test_an_archive_that_changes_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.ones(100))
    (tensor,) = open_tensors(tmp_path / "x.npz").tensors
    np.savez(tmp_path / "x.npz", x=np.ones(99))

    with pytest.raises(InputError, match="was changed after it was opened"):
        list(tensor.blocks())
