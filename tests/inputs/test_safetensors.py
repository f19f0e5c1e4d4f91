"""The safetensors reader against files written byte by byte from the format's description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest

from fp8num.inputs import open_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def entry(dtype: object, shape: object, *offsets: object) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def one(shape: object = (2,), dtype: object = "F32", begin: object = 0, end: object = 8) -> object:
    """A header with one tensor, of two float32 unless told otherwise."""
    return {"x": entry(dtype, shape, begin, end)}


@pytest.mark.parametrize(
    ("name", "dtype", "format_name"),
    [
        ("F64", "<f8", None),
        ("F32", "<f4", None),
        ("F16", "<f2", None),
        ("BF16", ml_dtypes.bfloat16, None),
        ("F8_E4M3", ml_dtypes.float8_e4m3fn, "E4M3FN"),
        ("F8_E5M2", ml_dtypes.float8_e5m2, "E5M2"),
        ("F8_E4M3FNUZ", ml_dtypes.float8_e4m3fnuz, "E4M3FNUZ"),
        ("F8_E5M2FNUZ", ml_dtypes.float8_e5m2fnuz, "E5M2FNUZ"),
        ("F8_E8M0", ml_dtypes.float8_e8m0fnu, "E8M0FNU"),
    ],
)
def test_every_floating_point_type_is_read(
    name: str,
    dtype: object,
    format_name: str | None,
    elements: Callable[..., np.ndarray],
    safetensors_file: Callable[..., Path],
) -> None:
    data = np.linspace(0.5, 4, 12).astype(dtype).tobytes()  # type: ignore[call-overload]
    header = {"w": entry(name, [3, 4], 0, len(data))}
    path = safetensors_file(header, data)

    opened = open_tensors(path)

    (tensor,) = opened.tensors
    assert (tensor.name, tensor.dtype, tensor.shape) == ("w", name, (3, 4))
    assert (tensor.order, tensor.format_name) == ("C", format_name)
    read = elements(tensor, 5)
    assert read.dtype == (np.uint8 if format_name else dtype)
    assert read.tobytes() == data


def test_a_file_of_several_tensors_is_read(
    elements: Callable[..., np.ndarray], safetensors_file: Callable[..., Path]
) -> None:
    """Unaligned, 0-d and empty tensors, in another order than their data; others skipped."""
    header = {
        "__metadata__": {"format": "pt"},
        "scale": entry("F32", [], 3, 7),
        "codes": entry("F8_E4M3", [3], 0, 3),
        "ids": entry("I64", [1], 7, 15),
        "none": entry("F16", [0, 5], 7, 7),
        "mask": entry("BOOL", [2], 15, 17),
        "fp4": entry("F4", [2, 2], 17, 19),
        "fp6": entry("F6_E2M3", [4], 19, 22),
        "c": entry("C64", [1], 22, 30),
        "later": entry("X7", [3], 30, 31),
        "w": entry("F64", [2], 31, 47),
    }
    data = b"\x01\x02\x03" + np.float32(0.5).tobytes() + bytes(24) + np.arange(2.0).tobytes()
    path = safetensors_file(header, data)

    opened = open_tensors(path)

    read = {tensor.name: elements(tensor).tolist() for tensor in opened.tensors}
    assert read == {"scale": [0.5], "codes": [1, 2, 3], "none": [], "w": [0, 1]}
    assert list(read) == ["scale", "codes", "none", "w"]
    assert [tensor.shape for tensor in opened.tensors] == [(), (3,), (0, 5), (2,)]
    assert opened.skipped == (
        ("ids", "integers"),
        ("mask", "boolean"),
        ("fp4", "4-bit elements, two to a byte"),
        ("fp6", "packed 6-bit elements"),
        ("c", "complex numbers"),
        ("later", "unknown type 'X7'"),
    )


def test_a_header_padded_with_spaces_is_read(
    elements: Callable[..., np.ndarray], safetensors_file: Callable[..., Path]
) -> None:
    """Writers pad it to align the data."""
    text = json.dumps(one()).encode() + b"   \n"
    path = safetensors_file(text, np.ones(2, "<f4").tobytes())

    (tensor,) = open_tensors(path).tensors

    assert elements(tensor).tolist() == [1, 1]


@pytest.mark.parametrize("length", [0x480, 0x8B1F, ord("{")])
def test_a_header_length_that_looks_like_a_magic_number_is_read(
    length: int, safetensors_file: Callable[..., Path]
) -> None:
    """80 04 begins a pickle, 1f 8b a gzip stream; they are also lengths."""
    text = json.dumps(one()).encode().ljust(length)
    path = safetensors_file(text, bytes(8))

    assert open_tensors(path).tensors[0].name == "x"


@pytest.mark.parametrize("name", ["", "<script>", "a\nb\x1b[2J", "模型.权重", "n" * 10_000])
def test_names_are_unchanged(name: str, safetensors_file: Callable[..., Path]) -> None:
    header = {name: entry("F32", [2], 0, 8)}
    path = safetensors_file(header, bytes(8))

    assert open_tensors(path).tensors[0].name == name


def test_hostile_names_are_escaped_in_messages(
    refusal: Callable[[Path], str], safetensors_file: Callable[..., Path]
) -> None:
    header = {"a\nb\x1b[2J" + "n" * 10_000: entry("F32", [2], 0, 7)}
    path = safetensors_file(header, bytes(8))

    assert r"tensor 'a\nb\x1b[2Jnnn" in refusal(path)


def test_a_file_cut_anywhere_is_refused(
    refusal: Callable[[Path], str], safetensors_file: Callable[..., Path]
) -> None:
    path = safetensors_file(one(), bytes(8))
    whole = path.read_bytes()

    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        message = refusal(path)
        assert ("begins with 8 bytes of header length" in message) == (length < 8)
        assert ("its header ends at byte" in message) == (8 <= length < len(whole) - 8)
        assert ("its tensors need 8 bytes" in message) == (length >= len(whole) - 8)


def test_bytes_after_the_last_tensor_are_refused(
    refusal: Callable[[Path], str], safetensors_file: Callable[..., Path]
) -> None:
    path = safetensors_file(one(), bytes(9))

    assert "has 1 bytes after the last tensor" in refusal(path)


@pytest.mark.parametrize("length", [100_000_001, 2**63, 2**64 - 1])
def test_a_header_beyond_the_limit_is_refused(
    length: int,
    refusal: Callable[[Path], str],
    safetensors_file: Callable[..., Path],
) -> None:
    path = safetensors_file(one(), bytes(8), length=length)

    message = refusal(path)

    assert f"its header would have {length} bytes, the format allows 100000000" in message


def test_memory_is_not_asked_for_a_header_that_is_not_there(
    refusal: Callable[[Path], str], safetensors_file: Callable[..., Path]
) -> None:
    path = safetensors_file(one(), bytes(8), length=100_000_000)

    assert "its header ends at byte 100000008" in refusal(path)


_ENTRY = b'{"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"{}x", "not valid JSON"),
        (b'{"x": NaN}', "NaN is not JSON"),
        (b'{"x": Infinity}', "Infinity is not JSON"),
        (b'{"\xff": 1}', "can't decode byte 0xff"),
        (b'{"\\ud800": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', "surrogates"),
        ('{"x": 1}'.encode("utf-16"), "is not a JSON object"),
        (b'{"x": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"x": %s, "x": %s}' % (_ENTRY, _ENTRY), "the key 'x' occurs twice"),
        (b'{"x": {"dtype": "F32", "dtype": "F16"}}', "the key 'dtype' occurs twice"),
        (b'{"a\\nb": %s, "a\\nb": %s}' % (_ENTRY, _ENTRY), "occurs twice"),
        (b'{"x": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"x":' * 100_000, "nested too deeply"),
        (b"[1, 2]", "is not a JSON object"),
        (b"3", "is not a JSON object"),
        (b"null", "is not a JSON object"),
    ],
)
def test_a_header_that_is_no_json_object_is_refused(
    text: bytes,
    problem: str,
    refusal: Callable[[Path], str],
    safetensors_file: Callable[..., Path],
) -> None:
    path = safetensors_file(text, bytes(8))

    assert problem in refusal(path)


@pytest.mark.parametrize("metadata", [None, 1, [], {"a": 1}, {"a": {}}])
def test_metadata_must_be_a_map_of_strings(
    metadata: object,
    refusal: Callable[[Path], str],
    safetensors_file: Callable[..., Path],
) -> None:
    header = {"__metadata__": metadata, "x": entry("F32", [2], 0, 8)}
    path = safetensors_file(header, bytes(8))

    assert "__metadata__ that is not a map of strings" in refusal(path)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"x": None}, "has no dtype, shape and data_offsets"),
        ({"x": []}, "has no dtype, shape and data_offsets"),
        ({"x": {"dtype": "F32", "shape": [2]}}, "has no dtype, shape and data_offsets"),
        (one(dtype=4), "dtype that is not a string"),
        (one(dtype=["F32"]), "dtype that is not a string"),
        (one("2"), "shape that is not a list of integers"),
        (one([2.0]), "shape that is not a list of integers"),
        (one([True, 2]), "shape that is not a list of integers"),
        (one([[2]]), "shape that is not a list of integers"),
        (one([-2]), "has the negative dimension '-2'"),
        (one([-1, -2]), "has the negative dimension '-2'"),
        (one([2**70]), "shape of more than 2**63 - 1 elements"),
        (one([2**62, 4, 0], end=0), "shape of more than 2**63 - 1 elements"),
        (one([2**64 + 2]), "shape of more than 2**63 - 1 elements"),
        (one([9**4000]), "shape of more than 2**63 - 1 elements"),
        (one([1] * 65), "has 65 dimensions, more than 64"),
        (one([2**62]), "needs 147573952589676412928 bits, its data_offsets give it 64"),
        (one([3]), "needs 96 bits, its data_offsets give it 64"),
        (one([1]), "needs 32 bits, its data_offsets give it 64"),
        (one([], dtype="F64", end=4), "needs 64 bits, its data_offsets give it 32"),
        (one([3], dtype="F4", end=2), "needs 12 bits, its data_offsets give it 16"),
        (one([3], dtype="I64", end=8), "needs 192 bits, its data_offsets give it 64"),
        (one(end=8.0), "data_offsets that are not two increasing integers"),
        (one(begin="0"), "data_offsets that are not two increasing integers"),
        (one(begin=8, end=0), "data_offsets that are not two increasing integers"),
        (one(begin=-8, end=0), "data_offsets that are not two increasing integers"),
        (one(begin=2**64, end=2**64 + 8), "data_offsets that are not two increasing integers"),
        ({"x": entry("F32", [2], 0)}, "data_offsets that are not two increasing integers"),
        ({"x": entry("F32", [2], 0, 4, 8)}, "data_offsets that are not two increasing integers"),
    ],
)
def test_a_lying_entry_is_refused(
    header: object,
    problem: str,
    refusal: Callable[[Path], str],
    safetensors_file: Callable[..., Path],
) -> None:
    path = safetensors_file(header, bytes(8))

    message = refusal(path)

    assert "tensor 'x', " in message
    assert problem in message


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        ([(0, 8), (4, 12)], "tensor 'b', overlaps the tensor before it (it begins at 4, not 8)"),
        ([(0, 8), (0, 8)], "tensor 'b', overlaps the tensor before it"),
        ([(0, 12), (4, 8)], "tensor 'b', overlaps the tensor before it"),
        ([(0, 4), (8, 12)], "tensor 'b', leaves bytes unused before it (it begins at 8, not 4)"),
        ([(4, 8), (8, 12)], "tensor 'a', leaves bytes unused before it (it begins at 4, not 0)"),
        ([(0, 4), (12, 12)], "tensor 'b', leaves bytes unused before it"),
        ([(0, 4), (4, 16)], "is truncated: its tensors need 16 bytes, 12 follow the header"),
        ([(0, 4), (2, 2)], "tensor 'b', overlaps the tensor before it"),
    ],
)
def test_tensors_must_tile_the_data(
    ranges: list[tuple[int, int]],
    problem: str,
    refusal: Callable[[Path], str],
    safetensors_file: Callable[..., Path],
) -> None:
    header = {
        name: entry("F32", [(end - begin) // 4], begin, end)
        for name, (begin, end) in zip("ab", ranges, strict=True)
    }
    path = safetensors_file(header, bytes(12))

    assert problem in refusal(path)


def test_a_hole_cannot_hide_behind_a_skipped_tensor(
    refusal: Callable[[Path], str], safetensors_file: Callable[..., Path]
) -> None:
    """Integer tensors take part in the check."""
    header = {"ids": entry("I32", [2], 0, 8), "x": entry("F32", [2], 4, 12)}
    path = safetensors_file(header, bytes(12))

    assert "overlaps the tensor before it" in refusal(path)


def test_a_file_without_float_tensors_is_refused(
    refusal: Callable[[Path], str], safetensors_file: Callable[..., Path]
) -> None:
    header = {"<b>ids\n": entry("I32", [2], 0, 8)}
    path = safetensors_file(header, bytes(8))

    message = refusal(path)

    assert r"holds no floating-point tensors (skipped '<b>ids\n': integers)" in message


def test_a_file_without_tensors_is_refused(
    refusal: Callable[[Path], str], safetensors_file: Callable[..., Path]
) -> None:
    path = safetensors_file({})

    assert "it lists no tensors at all" in refusal(path)
