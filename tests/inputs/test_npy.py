"""The .npy reader against np.save, and against headers written byte by byte."""

from __future__ import annotations

import io
import pickle
import struct
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest

from fp8num.inputs import InputError, open_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def npy_bytes(
    text: str | bytes,
    data: bytes = b"",
    *,
    version: tuple[int, int] = (1, 0),
    length: int | None = None,
) -> bytes:
    """Write the format from NEP 1."""
    header = text.encode("latin-1") if isinstance(text, str) else text
    layout = "<H" if version == (1, 0) else "<I"
    size = struct.pack(layout, len(header) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + header + data


def described(descr: str, shape: str, fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize(("code", "name"), [("f2", "F16"), ("f4", "F32"), ("f8", "F64")])
def test_saved_arrays_come_back(
    tmp_path: Path, byteorder: str, code: str, name: str, elements: Callable[..., np.ndarray]
) -> None:
    array = np.linspace(-1, 1, 30).reshape(5, 6).astype(byteorder + code)
    np.save(tmp_path / "weight.npy", array)

    opened = open_tensors(tmp_path / "weight.npy")

    (tensor,) = opened.tensors
    assert opened.skipped == ()
    assert (tensor.name, tensor.file) == ("weight", str(tmp_path / "weight.npy"))
    assert (tensor.dtype, tensor.shape, tensor.order) == (name, (5, 6), "C")
    assert tensor.format_name is None
    read = elements(tensor, 7)
    assert read.dtype == np.dtype(code)
    assert read.tobytes() == array.astype(code).tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_is_read(
    tmp_path: Path, version: tuple[int, int], elements: Callable[..., np.ndarray]
) -> None:
    with (tmp_path / "x.npy").open("wb") as stream:
        np.lib.format.write_array(stream, np.arange(3.0), version=version)

    (tensor,) = open_tensors(tmp_path / "x.npy").tensors

    assert elements(tensor).tolist() == [0, 1, 2]


def test_fortran_order_is_told(tmp_path: Path, elements: Callable[..., np.ndarray]) -> None:
    """The i-th element yielded is at unravel_index(i, shape, order)."""
    array = np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    np.save(tmp_path / "x.npy", array)

    (tensor,) = open_tensors(tmp_path / "x.npy").tensors

    assert tensor.order == "F"
    index = np.unravel_index(np.arange(24), tensor.shape, tensor.order)
    np.testing.assert_array_equal(elements(tensor, 5), array[index])


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,) * 32])
def test_unusual_shapes_are_read(
    tmp_path: Path, shape: tuple[int, ...], elements: Callable[..., np.ndarray]
) -> None:
    np.save(tmp_path / "x.npy", np.ones(shape, np.float32))

    (tensor,) = open_tensors(tmp_path / "x.npy").tensors

    assert tensor.shape == shape
    assert elements(tensor).tolist() == [1.0] * tensor.size


def test_signalling_nan_survives_a_change_of_byte_order(
    tmp_path: Path, elements: Callable[..., np.ndarray]
) -> None:
    """Bytes are swapped as integers, so no payload is touched."""
    bits = np.array([0x7F800001, 0xFFC00123, 0x80000000], ">u4")
    np.save(tmp_path / "x.npy", bits.view(">f4"))

    (tensor,) = open_tensors(tmp_path / "x.npy").tensors

    assert elements(tensor).view(np.uint32).tolist() == bits.tolist()


def test_ml_dtypes_float8_e5m2_comes_back_as_codes(
    tmp_path: Path, elements: Callable[..., np.ndarray]
) -> None:
    """Of the ml_dtypes types, np.save records this one only (as <f1); np.load refuses it."""
    codes = np.arange(256, dtype=np.uint8)
    np.save(tmp_path / "x.npy", codes.view(ml_dtypes.float8_e5m2))

    (tensor,) = open_tensors(tmp_path / "x.npy").tensors

    assert (tensor.dtype, tensor.format_name) == ("F8_E5M2", "E5M2")
    read = elements(tensor)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, codes)


@pytest.mark.parametrize(
    "name",
    [
        "float8_e3m4",
        "float8_e4m3",
        "float8_e4m3b11fnuz",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float6_e2m3fn",
        "float6_e3m2fn",
        "float4_e2m1fn",
        "int4",
        "uint4",
        "bfloat16",
    ],
)
def test_types_that_np_save_loses_are_not_guessed(
    tmp_path: Path, name: str, refusal: Callable[[Path], str]
) -> None:
    np.save(tmp_path / "x.npy", np.ones(3, np.float32).astype(getattr(ml_dtypes, name)))

    message = refusal(tmp_path / "x.npy")

    assert "holds no floating-point tensors" in message
    assert "np.save lost an ml_dtypes type" in message
    assert "saving as .safetensors keeps it" in message


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.arange(3), "'x': integers"),
        (np.arange(3, dtype=np.uint8), "'x': integers"),
        (np.ones(3, bool), "boolean"),
        (np.ones(3, np.complex64), "complex numbers"),
        (np.array(["a"]), "text"),
        (np.array([b"a"]), "byte strings"),
        (np.array(["2020-01-01"], "M8[D]"), "dates"),
        (np.array([1], "m8[ns]"), "time differences"),
        (np.zeros(2, "V3"), "not floating-point elements"),
        (np.zeros(2, [("a", "f4"), ("b", "i2")]), "structured elements"),
    ],
)
def test_other_types_are_refused_with_the_reason(
    tmp_path: Path, array: np.ndarray, reason: str, refusal: Callable[[Path], str]
) -> None:
    np.save(tmp_path / "x.npy", array)

    message = refusal(tmp_path / "x.npy")

    assert "holds no floating-point tensors" in message
    assert reason in message


@pytest.mark.parametrize("descr", ["'<f12'", "'<f16'", "'>f16'"])
def test_extended_precision_is_refused(
    tmp_path: Path, descr: str, refusal: Callable[[Path], str]
) -> None:
    (tmp_path / "x.npy").write_bytes(npy_bytes(described(descr, "(1,)"), bytes(16)))

    assert "extended precision" in refusal(tmp_path / "x.npy")


class Bomb:
    """Unpickling this would be noticed."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


def test_object_arrays_are_never_unpickled(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    np.save(tmp_path / "x.npy", np.array([Bomb()], object))

    assert "pickled), which are never loaded" in refusal(tmp_path / "x.npy")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    """At each byte of magic, version, length, text and elements."""
    stream = io.BytesIO()
    np.save(stream, np.arange(2.0))
    whole = stream.getvalue()
    path = tmp_path / "x.npy"

    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        message = refusal(path)
        assert ("ends inside its .npy header" in message) == (length < 128)
        assert "truncated" in message


def test_bytes_after_the_array_are_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    """np.save twice to one stream does this; np.load would quietly give the first array."""
    with (tmp_path / "x.npy").open("wb") as stream:
        np.save(stream, np.ones(2))
        np.save(stream, np.ones(2))

    message = refusal(tmp_path / "x.npy")

    assert "has 144 bytes after the array of shape (2,)" in message
    assert "np.savez" in message


def test_files_of_python_2_are_read(tmp_path: Path, elements: Callable[..., np.ndarray]) -> None:
    """It wrote long integers with an L."""
    text = described("'<f8'", "(2L, 1L)")
    (tmp_path / "x.npy").write_bytes(npy_bytes(text, np.arange(2.0).tobytes()))

    (tensor,) = open_tensors(tmp_path / "x.npy").tensors

    assert tensor.shape == (2, 1)
    assert elements(tensor).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a Python literal"),
        ("{'descr': open('x')}", "not a Python literal"),
        ("(" * 5000, "not a Python literal"),
        ("-" * 9999, "not a Python literal"),
        ("1+" * 4000 + "1", "not a Python literal"),
        ("{[]: 1}", "not a Python literal"),
        ("{'\\d': 1}", "without exactly descr, fortran_order and shape"),
        ("9" * 5000, "not a Python literal"),
        ("[1, 2]", "without exactly descr, fortran_order and shape"),
        ("{'descr': '<f4', 'shape': (1,)}", "without exactly descr, fortran_order and shape"),
        (described("'<f4'", "(1,)")[:-3] + "'x': 1}", "without exactly descr"),
        (described("'<f4'", "(1,)", "0"), "fortran_order that is neither True nor False"),
        (described("'<f4'", "[1]"), "shape that is not a tuple of integers"),
        (described("'<f4'", "1"), "shape that is not a tuple of integers"),
        (described("'<f4'", "(1.0,)"), "shape that is not a tuple of integers"),
        (described("'<f4'", "(True,)"), "shape that is not a tuple of integers"),
        (described("'<f4'", "(2, -1)"), "has the negative dimension '-1'"),
        (described("'<f4'", "(2**70,)"), "not a Python literal"),
        (described("'<f4'", f"({2**70},)"), "shape of more than 2**63 - 1 elements"),
        (described("'<f4'", f"({2**40}, {2**40})"), "shape of more than 2**63 - 1 elements"),
        (described("'<f4'", f"({2**70}, 0)"), "shape of more than 2**63 - 1 elements"),
        (described("'<f4'", f"(-{9**4000},)"), "has the negative dimension"),
        (described("'<f4'", f"({2**60},)"), "is truncated"),
        (described("'<f4'", f"({'1, ' * 65})"), "has 65 dimensions, more than 64"),
        (described("4", "(1,)"), "descr that is no type as np.save writes them"),
        (described("'float32\\n'", "(1,)"), "descr that is no type as np.save writes them"),
        (described("'f4,f4'", "(1,)"), "descr that is no type as np.save writes them"),
        (described("None", "(1,)"), "descr that is no type as np.save writes them"),
    ],
)
def test_a_lying_header_is_refused(
    tmp_path: Path, text: str, problem: str, refusal: Callable[[Path], str]
) -> None:
    (tmp_path / "x.npy").write_bytes(npy_bytes(text, bytes(4)))

    assert problem in refusal(tmp_path / "x.npy")


@pytest.mark.parametrize("length", [10_001, 65_535])
def test_a_long_header_is_refused_before_it_is_read(
    tmp_path: Path, length: int, refusal: Callable[[Path], str]
) -> None:
    (tmp_path / "x.npy").write_bytes(npy_bytes("{", length=length))

    assert f"has a header of {length} bytes, more than" in refusal(tmp_path / "x.npy")


def test_a_header_of_four_gigabytes_is_refused(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    (tmp_path / "x.npy").write_bytes(npy_bytes("{", version=(2, 0), length=2**32 - 1))

    assert "has a header of 4294967295 bytes, more than" in refusal(tmp_path / "x.npy")


@pytest.mark.parametrize("version", [(0, 0), (1, 1), (4, 0), (255, 255)])
def test_unknown_versions_are_refused(
    tmp_path: Path, version: tuple[int, int], refusal: Callable[[Path], str]
) -> None:
    text = described("'<f4'", "(1,)")
    (tmp_path / "x.npy").write_bytes(npy_bytes(text, bytes(4), version=version))

    message = refusal(tmp_path / "x.npy")

    assert f"has .npy version {version[0]}.{version[1]}, known are 1.0, 2.0 and 3.0" in message


def test_a_header_that_is_not_utf8_is_refused(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    (tmp_path / "x.npy").write_bytes(npy_bytes(b"{'\xff': 1}", version=(3, 0)))

    assert "not a Python literal" in refusal(tmp_path / "x.npy")


def test_wrong_magic_is_refused(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    (tmp_path / "x.npy").write_bytes(b"0.5 0.25 0.125\n")

    assert "is not an .npy file (it begins with b'0.5 0.')" in refusal(tmp_path / "x.npy")


def test_a_tensor_can_be_read_in_another_process(
    tmp_path: Path, elements: Callable[..., np.ndarray]
) -> None:
    np.save(tmp_path / "x.npy", np.arange(3.0))
    (tensor,) = open_tensors(tmp_path / "x.npy").tensors

    copy = pickle.loads(pickle.dumps(tensor))  # noqa: S301 - what a process pool does

    assert copy == tensor
    assert elements(copy).tolist() == [0, 1, 2]


def test_a_relative_path_survives_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elements: Callable[..., np.ndarray]
) -> None:
    np.save(tmp_path / "x.npy", np.arange(3.0))
    monkeypatch.chdir(tmp_path)
    (tensor,) = open_tensors("x.npy").tensors
    (tmp_path / "below").mkdir()

    monkeypatch.chdir(tmp_path / "below")

    assert tensor.file == "x.npy"
    assert elements(tensor).tolist() == [0, 1, 2]


def test_a_tensor_can_be_read_twice_and_side_by_side(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(4.0))
    (tensor,) = open_tensors(tmp_path / "x.npy").tensors

    pairs = list(zip(tensor.blocks(1), tensor.blocks(1), strict=True))

    assert [(float(a[0]), float(b[0])) for a, b in pairs] == [(i, i) for i in range(4)]


def test_a_file_that_shrinks_before_reading_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(1000.0))
    (tensor,) = open_tensors(path).tensors
    path.write_bytes(path.read_bytes()[:200])

    with pytest.raises(InputError, match=r"was changed after it was opened .it had 8128 bytes"):
        list(tensor.blocks())


def test_a_file_that_shrinks_while_reading_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(1000.0))
    (tensor,) = open_tensors(path).tensors
    blocks = tensor.blocks(10)
    next(blocks)
    with path.open("r+b") as stream:
        stream.truncate(256)

    with pytest.raises(InputError, match="ended after 128 of 8000 bytes of elements"):
        list(blocks)


def test_a_file_that_vanishes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(3.0))
    (tensor,) = open_tensors(path).tensors
    path.unlink()

    with pytest.raises(InputError, match=r"cannot be read .No such file"):
        list(tensor.blocks())
