"""The safetensors writer against the safetensors library's own file, byte for byte."""

from __future__ import annotations

import json
import os
import stat
import tracemalloc
from itertools import product
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fp8num.inputs import open_tensors, write_safetensors

RECORDED = Path(__file__).parents[1] / "data" / "safetensors" / "safetensors-0.8.0.safetensors"
MIB = 1 << 20
#: NumPy and ml_dtypes types by the safetensors name
TYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    **{f"I{8 * size}": f"i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"u{size}" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"f{size}" for size in (2, 4, 8)},
    "C64": "c8",
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}


def parse(content: bytes) -> tuple[dict[str, str], dict[str, tuple[str, list[int], bytes]]]:
    """Read a file from the format's description: metadata, and name to type, shape, bytes."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    data = content[8 + length :]
    metadata = header.pop("__metadata__", {})
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        found[name] = entry["dtype"], entry["shape"], data[begin:end]
    return metadata, found


def recorded_arrays() -> dict[str, Any]:
    """Return the arrays of the library's file, and the codes of its packed tensor."""
    _, found = parse(RECORDED.read_bytes())
    arrays: dict[str, Any] = {}
    for name, (dtype, shape, data) in found.items():
        if dtype == "F4":
            arrays[name] = (np.arange(16, dtype=np.uint8).reshape(shape), "F4")
        else:
            arrays[name] = np.frombuffer(data, TYPES[dtype]).reshape(shape)
    return arrays


def test_a_file_is_the_librarys_own_byte_for_byte(tmp_path: Path) -> None:
    """Every type, 0-d and empty tensors, escapes in text, padding, in whatever order given."""
    content = RECORDED.read_bytes()
    metadata, _ = parse(content)
    arrays = recorded_arrays()

    for order in (list(arrays), sorted(arrays), sorted(arrays, reverse=True)):
        write_safetensors(tmp_path / "x", {name: arrays[name] for name in order}, metadata)

        assert (tmp_path / "x").read_bytes() == content


def test_the_comparison_sees_a_changed_byte(tmp_path: Path) -> None:
    """One element of one tensor, and one letter of the text."""
    arrays = recorded_arrays()
    metadata, _ = parse(RECORDED.read_bytes())
    changed = {**arrays, "scalar": np.array(0.125)}

    write_safetensors(tmp_path / "x", changed, metadata)
    write_safetensors(tmp_path / "y", arrays, {"note": metadata["note"] + "."})

    for name in "xy":
        assert (tmp_path / name).read_bytes() != RECORDED.read_bytes()


def test_arrays_of_any_layout_are_written_as_what_they_hold(tmp_path: Path, each: Any) -> None:
    def check(way: str, byteorder: str, code: str) -> None:
        values = np.arange(-6, 6).reshape(3, 4).astype(byteorder + code)
        wide = np.zeros((3, 8), values.dtype)
        wide[:, ::2] = values
        readonly = values.copy()
        readonly.flags.writeable = False
        array = {
            "C": values,
            "F": np.asfortranarray(values),
            "transposed": values.T.copy().T,
            "reversed": values[::-1, ::-1].copy()[::-1, ::-1],
            "strided": wide[:, ::2],
            "readonly": readonly,
        }[way]

        write_safetensors(tmp_path / "x", {"w": array})

        _, found = parse((tmp_path / "x").read_bytes())
        assert found["w"][1:] == ([3, 4], values.astype("<" + code).tobytes())

    each(
        product(
            ["C", "F", "transposed", "reversed", "strided", "readonly"],
            "<>",
            ["f2", "f4", "f8", "i4", "u2", "c8", "?"],
        ),
        check,
    )


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2", "float8_e8m0fnu"])
def test_strided_arrays_of_ml_dtypes_are_written_as_what_they_hold(
    tmp_path: Path, name: str
) -> None:
    values = np.arange(1, 13).reshape(3, 4).astype(getattr(ml_dtypes, name))

    write_safetensors(tmp_path / "x", {"w": values.T})

    assert parse((tmp_path / "x").read_bytes())[1]["w"][1:] == ([4, 3], values.T.tobytes())


@pytest.mark.parametrize("byteorder", "<>")
def test_the_payload_of_a_nan_is_kept(tmp_path: Path, byteorder: str) -> None:
    """Signalling ones too, in strided arrays too."""
    words = np.array([0x7F800001, 0, 0xFFC00123, 0], f"{byteorder}u4")

    write_safetensors(tmp_path / "x", {"w": words.view(f"{byteorder}f4")[::2]})

    assert parse((tmp_path / "x").read_bytes())[1]["w"][2] == words[::2].astype("<u4").tobytes()


@pytest.mark.parametrize("dtype", sorted(set(TYPES) - {"BOOL"}))
def test_codes_are_written_under_the_name_that_is_given(tmp_path: Path, dtype: str) -> None:
    """The same file as from an array of that type."""
    values = np.arange(12).reshape(3, 4).astype(TYPES[dtype])
    words = np.frombuffer(values.tobytes(), f"<u{values.itemsize}").reshape(3, 4)

    write_safetensors(tmp_path / "x", {"w": (words, dtype)})
    write_safetensors(tmp_path / "y", {"w": values})
    write_safetensors(tmp_path / "z", {"w": (values, dtype)})

    assert parse((tmp_path / "x").read_bytes())[1]["w"] == (dtype, [3, 4], values.tobytes())
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert (tmp_path / "x").read_bytes() == (tmp_path / "z").read_bytes()


@pytest.mark.parametrize(
    ("dtype", "name", "bits"),
    [("F4", "float4_e2m1fn", 4), ("F6_E2M3", "float6_e2m3fn", 6), ("F6_E3M2", "float6_e3m2fn", 6)],
)
def test_narrow_codes_are_packed_low_bits_first(
    tmp_path: Path, dtype: str, name: str, bits: int
) -> None:
    """Over many blocks: one integer whose bits are the codes says what the bytes must be."""
    codes = np.random.default_rng(7).integers(0, 1 << bits, (3, 50_000)).astype(np.uint8)
    text = "".join(f"{code:0{bits}b}" for code in codes.reshape(-1)[::-1])
    expected = bytes.fromhex(f"{int(text, 2):0{codes.size * bits // 4}x}")[::-1]

    write_safetensors(tmp_path / "x", {"w": (codes, dtype)})
    write_safetensors(tmp_path / "y", {"w": codes.view(getattr(ml_dtypes, name))})

    assert parse((tmp_path / "x").read_bytes())[1]["w"] == (dtype, [3, 50_000], expected)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@settings(deadline=None, max_examples=settings.default.max_examples // 3)
@given(
    arrays=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(
            lambda name: name != "__metadata__"
        ),
        npst.arrays(
            npst.floating_dtypes(endianness="?") | npst.integer_dtypes(endianness="?"),
            npst.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=5),
        ),
        max_size=4,
    ),
    metadata=st.dictionaries(st.text(max_size=4), st.text(max_size=9), max_size=3),
)
def test_what_is_written_is_read(
    arrays: dict[str, np.ndarray],
    metadata: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """By the format's description; aligned, and each element in its place."""
    path = tmp_path_factory.getbasetemp() / "any.safetensors"

    write_safetensors(path, arrays, metadata)

    content = path.read_bytes()
    texts, found = parse(content)
    assert texts == metadata
    assert set(found) == set(arrays)
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    for name, array in arrays.items():
        dtype, shape, data = found[name]
        assert TYPES[dtype] == array.dtype.newbyteorder("=").str[1:]
        assert tuple(shape) == array.shape
        assert data == array.astype(array.dtype.newbyteorder("<")).tobytes()
        assert header[name]["data_offsets"][0] % array.itemsize == 0


def test_the_order_in_which_things_are_given_does_not_matter(tmp_path: Path) -> None:
    """Nor that of metadata, in which the library's files differ from run to run."""
    tensors = {"b": np.ones(2), "a": np.ones(2), "c": np.ones(2, "u1")}
    metadata = {"y": "1", "é": "2", "x": "3"}

    write_safetensors(tmp_path / "x", tensors, metadata)
    write_safetensors(
        tmp_path / "y", dict(reversed(tensors.items())), dict(reversed(metadata.items()))
    )

    content = (tmp_path / "x").read_bytes()
    assert (tmp_path / "y").read_bytes() == content
    texts, found = parse(content)
    assert (list(texts), list(found)) == (["x", "y", "é"], ["a", "b", "c"])


def test_no_tensors_make_a_file_without_tensors(tmp_path: Path) -> None:
    """As the library's: the shortest header."""
    write_safetensors(tmp_path / "x", {})

    assert (tmp_path / "x").read_bytes() == b"\x08" + bytes(7) + b"{}      "


@pytest.mark.parametrize("code", ["i2", "f4", "f8", "c8"])
def test_scalars_of_the_other_byte_order_are_written_as_what_they_hold(
    tmp_path: Path, code: str
) -> None:
    """Several times: what NumPy 2.0 gave for them was memory that was free again."""
    for value in range(1, 20):
        write_safetensors(tmp_path / "x", {"s": np.array(value, ">" + code)})

        found = parse((tmp_path / "x").read_bytes())[1]["s"]
        assert found[1:] == ([], np.array(value, "<" + code).tobytes())


def test_numpy_scalars_are_arrays_without_dimensions(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", {"s": np.float32(0.5)})

    (tensor,) = open_tensors(tmp_path / "x.safetensors").tensors
    assert (tensor.shape, next(tensor.blocks()).tolist()) == ((), [0.5])


@pytest.mark.parametrize(
    ("array", "type_name"),
    [
        (np.array([1, "a"], object), "object"),
        (np.array(["a"]), "str32"),
        (np.array([b"a"]), "bytes8"),
        (np.array(["2020-01-01"], "M8[D]"), r"datetime64\[D\]"),
        (np.zeros(2, [("a", "f4")]), "void32"),
        (np.zeros(2, np.complex128), "complex128"),
        (np.zeros(2, ml_dtypes.float8_e4m3), "float8_e4m3"),
        (np.zeros(2, ml_dtypes.float8_e3m4), "float8_e3m4"),
        (np.zeros(2, ml_dtypes.float8_e4m3b11fnuz), "float8_e4m3b11fnuz"),
        (np.zeros(2, ml_dtypes.int4), "int4"),
    ],
)
def test_types_without_a_name_are_refused(
    tmp_path: Path, array: np.ndarray, type_name: str
) -> None:
    with pytest.raises(
        TypeError,
        match=rf"^tensor 'w' has elements of type {type_name}, for which safetensors has no name",
    ):
        write_safetensors(tmp_path / "x", {"a": np.ones(2), "w": array})

    assert list(tmp_path.iterdir()) == []


def test_extended_precision_is_refused(tmp_path: Path) -> None:
    array = np.zeros(2, np.longdouble)
    if array.dtype.name == "float64":
        pytest.skip("longdouble is float64 here")
    with pytest.raises(TypeError, match="for which safetensors has no name"):
        write_safetensors(tmp_path / "x", {"w": array})


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        ([1.0], "list"),
        (None, "NoneType"),
        (1.0, "float"),
        ((np.ones(2), "F64", 3), "tuple"),
        (([1, 2], "U8"), "list"),
    ],
)
def test_what_is_no_array_is_refused(tmp_path: Path, value: Any, type_name: str) -> None:
    with pytest.raises(
        TypeError,
        match=rf"tensor 'w' must be an array, or an array of codes .*, got {type_name} .*; convert",
    ):
        write_safetensors(tmp_path / "x", {"w": value})


@pytest.mark.parametrize("dtype", ["e4m3", "F8_E4M3FN", "f32", "", "X\n"])
def test_unknown_types_are_refused(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(ValueError, match="which safetensors has not; it has BOOL F4 .* U64$"):
        write_safetensors(tmp_path / "x", {"w": (np.zeros(2, np.uint8), dtype)})


@pytest.mark.parametrize(
    ("code", "dtype", "width"),
    [
        ("f4", "F8_E4M3", 8),
        ("i1", "F8_E4M3", 8),
        ("u2", "F4", 8),
        ("u1", "BF16", 16),
        ("f2", "BF16", 16),
        ("u8", "F32", 32),
        ("i4", "U32", 32),
        ("u1", "BOOL", 8),
    ],
)
def test_codes_of_another_width_are_refused(
    tmp_path: Path, code: str, dtype: str, width: int
) -> None:
    """Values where codes belong are the likeliest mistake."""
    array = np.zeros(2, code)
    with pytest.raises(
        TypeError, match=f"'w' must hold codes of {dtype} as uint{width}, got {array.dtype}; view"
    ):
        write_safetensors(tmp_path / "x", {"w": (array, dtype)})


@pytest.mark.parametrize(
    ("shape", "dtype", "problem"),
    [
        ((), "F4", "two elements share a byte, so the last dimension must be even"),
        ((2, 3), "F4", "two elements share a byte, so the last dimension must be even"),
        ((), "F6_E2M3", "1 elements of 6 bits do not fill whole bytes"),
        ((2, 3), "F6_E3M2", "6 elements of 6 bits do not fill whole bytes"),
    ],
)
def test_narrow_elements_must_fill_bytes(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        write_safetensors(tmp_path / "x", {"w": (np.zeros(shape, np.uint8), dtype)})


@pytest.mark.parametrize(("dtype", "limit"), [("F4", 16), ("F6_E2M3", 64), ("F6_E3M2", 64)])
def test_codes_out_of_range_are_refused(tmp_path: Path, dtype: str, limit: int) -> None:
    codes = np.array([0, 1, limit, 3], np.uint8)
    with pytest.raises(
        ValueError, match=f"'w' must hold codes of {dtype} below {limit}, got {limit}"
    ):
        write_safetensors(tmp_path / "x", {"w": (codes, dtype)})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind", "problem"),
    [
        (1, TypeError, "a name must be text, got int"),
        (b"w", TypeError, "a name must be text, got bytes"),
        (None, TypeError, "a name must be text, got NoneType"),
        ("__metadata__", ValueError, "a name must not be '__metadata__'"),
        ("\ud800", ValueError, "a name must be Unicode text, .*half a surrogate pair"),
    ],
)
def test_bad_names_are_refused(
    tmp_path: Path, name: Any, kind: type[Exception], problem: str
) -> None:
    with pytest.raises(kind, match=problem):
        write_safetensors(tmp_path / "x", {name: np.ones(2)})


@pytest.mark.parametrize(
    ("metadata", "kind", "problem"),
    [
        ({"a": 1}, TypeError, r"metadata\['a'\] must be text, got int 1; convert it with str or"),
        ({"a": {"b": "c"}}, TypeError, r"metadata\['a'\] must be text, got dict"),
        ({"a": None}, TypeError, r"metadata\['a'\] must be text, got NoneType"),
        ({1: "a"}, TypeError, "a key of metadata must be text, got int"),
        ({"a": "\udfff"}, ValueError, r"metadata\['a'\] must be Unicode text"),
    ],
)
def test_metadata_that_is_no_text_is_refused(
    tmp_path: Path, metadata: Any, kind: type[Exception], problem: str
) -> None:
    with pytest.raises(kind, match=problem):
        write_safetensors(tmp_path / "x", {"w": np.ones(2)}, metadata)

    assert list(tmp_path.iterdir()) == []


def test_a_header_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """No reader would take it."""
    with pytest.raises(ValueError, match="make a header of 100000032 bytes, the format allows"):
        write_safetensors(tmp_path / "x", {}, {"a": "x" * 100_000_000})


def test_the_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="path must lie in a folder that exists, got"):
        write_safetensors(tmp_path / "none" / "x", {"w": np.ones(2)})


@pytest.mark.parametrize("what", ["chunk", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = tmp_path / "x"
    write_safetensors(path, {"w": np.ones(2)})
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if what == "replace":
        monkeypatch.setattr(os, "replace", fail)
    else:
        monkeypatch.setattr("fp8num.inputs.writing.blocks_of", fail)
    with pytest.raises(OSError, match="No space left"):
        write_safetensors(path, {"w": np.zeros(3)})

    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_an_older_file_is_replaced_and_a_reader_of_it_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"w": np.zeros(1000)})
    with path.open("rb") as reader:
        write_safetensors(path, {"w": np.ones(2)})

        assert len(reader.read()) > 8000
    assert open_tensors(path).tensors[0].shape == (2,)


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_safetensors(tmp_path / "x", {"w": np.ones(2)})

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert len(modes) == 1


@pytest.mark.parametrize("dtype", [None, "F4"])
def test_memory_is_bounded_by_the_block(tmp_path: Path, dtype: str | None) -> None:
    """16 MiB of an array whose elements are all one byte of memory."""
    array = np.broadcast_to(np.uint8(3), (4 * MIB, 4))
    value: Any = array if dtype is None else (array, dtype)
    write_safetensors(tmp_path / "x", {"w": value})  # imports and caches

    tracemalloc.start()
    write_safetensors(tmp_path / "x", {"w": value})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (tmp_path / "x").stat().st_size > 8 * MIB
    assert peak < 2 * MIB


@pytest.mark.peers
def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    """Types that it can load into NumPy, which are not the F8 ones."""
    library = pytest.importorskip("safetensors.numpy", reason="reads with safetensors")
    arrays = {
        name: np.arange(12).reshape(3, 4).astype(TYPES[name]).T
        for name in TYPES
        if not name.startswith("F8")
    }
    path = tmp_path / "x.safetensors"

    write_safetensors(path, arrays, {"a": "b", "c": "d"})

    loaded = library.load_file(path)
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].tobytes() == array.tobytes()
    with pytest.importorskip("safetensors").safe_open(path, "numpy") as opened:
        assert opened.metadata() == {"a": "b", "c": "d"}


@pytest.mark.peers
def test_the_library_writes_the_same_bytes(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="writes with safetensors")
    arrays = {name: np.arange(12).reshape(3, 4).astype(TYPES[name]) for name in TYPES}
    library.save_file(arrays, tmp_path / "x", {"a": "b"})

    write_safetensors(tmp_path / "y", arrays, {"a": "b"})

    assert (tmp_path / "y").read_bytes() == (tmp_path / "x").read_bytes()
