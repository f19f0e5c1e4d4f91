"""Quantised tensors found in files by the names that checkpoints use."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fp8num as fp
from fp8num.inputs import InputError, read_dumps, save_scaled, write_safetensors
from fp8num.inputs.parts import open_parts

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDED = Path(__file__).parents[1] / "data" / "safetensors" / "safetensors-0.8.0.safetensors"
CODES = np.arange(64, dtype=np.uint8).reshape(2, 32)
E4M3 = (CODES, "F8_E4M3")
SCALES = np.float32([[0.5], [2]])


@pytest.fixture
def dumped(tmp_path: Path) -> Callable[..., Path]:
    """Write tensors to a file."""

    def write(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> Path:
        path = tmp_path / "dump.safetensors"
        write_safetensors(path, tensors, metadata)
        return path

    return write


def refused(path: Path, **names: str) -> str:
    """Return the message with which a file is refused, after checking its form."""
    with pytest.raises(InputError) as caught:
        read_dumps(path, **names)
    text = str(caught.value)
    assert text.isprintable(), "one line without control characters"
    assert len(text) < 3000
    return text


# What belongs together.


@pytest.mark.parametrize("mark", "._")
@pytest.mark.parametrize("word", ["scale", "scales", "scale_inv"])
def test_scales_are_found_by_customary_names(
    dumped: Callable[..., Path], word: str, mark: str
) -> None:
    name = f"model.layers.0.weight{mark}{word}"
    path = dumped({"model.layers.0.weight": E4M3, name: SCALES, "bias": np.ones(3)}, {"a": "b"})

    (dump,) = read_dumps(path)

    assert (dump.name, dump.stored_dtype, dump.scale_dtype) == (
        *("model.layers.0.weight", "F8_E4M3", "F32"),
    )
    assert dump.format is fp.E4M3FN
    assert dump.codes.dtype == np.uint8
    np.testing.assert_array_equal(dump.codes, CODES)
    assert dump.scales.dtype == np.float32
    np.testing.assert_array_equal(dump.scales, SCALES)
    assert (dump.source, dump.tensor_scale) == (None, None)
    assert dump.metadata == {"a": "b"}
    assert dump.parts == {"codes": "model.layers.0.weight", "scales": name}


@pytest.mark.parametrize("mark", "._")
@pytest.mark.parametrize("word", ["source", "original", "hp"])
@pytest.mark.parametrize("kind", ["f8", "f4", "f2", ml_dtypes.bfloat16])
def test_the_source_is_found_by_customary_names(
    dumped: Callable[..., Path], word: str, mark: str, kind: Any
) -> None:
    source = np.linspace(-1, 1, 64).reshape(2, 32).astype(kind)
    path = dumped({"w": E4M3, "w_scale": SCALES, f"w{mark}{word}": source})

    (dump,) = read_dumps(path)

    assert dump.source is not None
    assert dump.source.dtype == source.dtype
    np.testing.assert_array_equal(dump.source, source)
    assert dump.parts["source"] == f"w{mark}{word}"


@pytest.mark.parametrize("mark", "._")
@pytest.mark.parametrize("word", ["tensor_scale", "global_scale", "scale_2", "amax", "tensor_amax"])
def test_the_tensor_scale_is_found_by_customary_names(
    dumped: Callable[..., Path], word: str, mark: str
) -> None:
    """It stays what it is; the name says which."""
    codes, scales = (CODES % 16, "F4"), (CODES[:, :2], "F8_E4M3")
    path = dumped({"w": codes, "w_scale": scales, f"w{mark}{word}": np.array([2.5], np.float32)})

    (dump,) = read_dumps(path)

    assert dump.tensor_scale is not None
    assert (dump.tensor_scale.dtype, dump.tensor_scale.tolist()) == (np.float32, [2.5])
    assert dump.parts["tensor_scale"] == f"w{mark}{word}"
    assert (dump.scale_dtype, dump.scales.tolist()) == ("F8_E4M3", CODES[:, :2].tolist())


@pytest.mark.parametrize(
    ("codes", "scales"),
    [
        ("w.codes", "w.scales"),
        ("w_codes", "w_scale"),
        ("w_packed", "w_scale"),  # compressed-tensors
        ("w_blocks", "w_scales"),  # gpt-oss
        ("w_qdata", "w_scale"),  # torchao
        ("w.codes", "w.codes.scale"),
        ("codes", "scales"),
        ("codes", "scale"),
        ("codes", "scale_inv"),
        ("codes", "codes_scale"),
    ],
)
def test_the_ending_of_the_codes_may_be_left_out(
    dumped: Callable[..., Path], codes: str, scales: str
) -> None:
    (dump,) = read_dumps(dumped({codes: E4M3, scales: SCALES}))

    assert dump.parts == {"codes": codes, "scales": scales}
    np.testing.assert_array_equal(dump.codes, CODES)


def test_bare_names_are_the_parts_of_codes(dumped: Callable[..., Path]) -> None:
    path = dumped(
        {
            "codes": CODES,
            "scales": CODES[:, :1],
            "source": np.ones((2, 32)),
            "tensor_scale": np.float32(3),
        }
    )

    (dump,) = read_dumps(path)

    assert dump.parts == {name: name for name in ("codes", "scales", "source", "tensor_scale")}
    assert (dump.format, dump.stored_dtype, dump.scale_dtype) == (None, "U8", "U8")


def test_all_tensors_of_a_checkpoint_are_read_in_its_order(dumped: Callable[..., Path]) -> None:
    """Scales that are F8 codes themselves are no dumps, nor are bytes without scales."""
    path = dumped(
        {
            "b.weight": (CODES, "F8_E5M2"),
            "b.weight_scale": np.ones((), np.float32),
            "a.weight": (CODES % 16, "F4"),
            "a.weight_scale": (CODES[:, :2], "F8_E4M3"),
            "c.weight": (CODES, "F8_E4M3FNUZ"),
            "c.weight_scale": (CODES[:, :1], "F8_E8M0"),
            "d.weight": CODES.view(np.int8),
            "d.weight_scale": np.ones(2, ml_dtypes.bfloat16),
            "mask": CODES,
            "ids": np.arange(3),
            "norm": np.ones(4),
            "k_scale": np.ones((), np.float32),
        }
    )

    dumps = read_dumps(path)

    found = {
        dump.name: (dump.stored_dtype, dump.format and dump.format.name, dump.scale_dtype)
        for dump in dumps
    }
    assert found == {
        "a.weight": ("F4", "E2M1FN", "F8_E4M3"),
        "b.weight": ("F8_E5M2", "E5M2", "F32"),
        "c.weight": ("F8_E4M3FNUZ", "E4M3FNUZ", "F8_E8M0"),
        "d.weight": ("I8", None, "BF16"),
    }
    file_order = [name for name in open_parts(path).tensors if name in found]
    assert [dump.name for dump in dumps] == file_order
    assert all(dump.codes.tolist() == CODES.tolist() for dump in dumps if dump.name != "a.weight")


def test_one_tensor_of_a_checkpoint_can_be_read(dumped: Callable[..., Path]) -> None:
    """Whatever else there is: codes without scales, say."""
    path = dumped({"a": E4M3, "b": E4M3, "b_scale": SCALES, "c": E4M3, "c_scale": SCALES})

    (dump,) = read_dumps(path, codes="c")

    assert dump.name == "c"


def test_explicit_names_override(dumped: Callable[..., Path]) -> None:
    path = dumped(
        {
            "q": CODES,
            "q_scale": SCALES,
            "s": 2 * SCALES,
            "x": np.ones((2, 32)),
            "g": np.float32(4),
            "other": E4M3,
        }
    )

    (dump,) = read_dumps(path, codes="q", scales="s", source="x", tensor_scale="g")

    assert dump.parts == {"codes": "q", "scales": "s", "source": "x", "tensor_scale": "g"}
    np.testing.assert_array_equal(dump.scales, 2 * SCALES)


def test_scales_alone_may_be_named_where_one_tensor_can_be_the_codes(
    dumped: Callable[..., Path],
) -> None:
    """F8 codes before bytes; the scales may be either themselves."""
    assert read_dumps(dumped({"q": CODES, "s": SCALES}), scales="s")[0].name == "q"
    path = dumped({"q": E4M3, "s": (CODES[:, :1], "F8_E4M3"), "mask": CODES})
    assert read_dumps(path, scales="s")[0].name == "q"
    assert read_dumps(dumped({"q": CODES, "s": CODES[:, :1]}), scales="s")[0].name == "q"


def test_shapes_are_not_compared(dumped: Callable[..., Path]) -> None:
    """Scales of any shape are handed on: which fit is the rule's to say."""
    path = dumped({"w": E4M3, "w_scale": np.ones((7, 5, 3), np.float32), "w_hp": np.ones(2)})

    (dump,) = read_dumps(path)

    assert dump.scales.shape == (7, 5, 3)
    assert dump.source is not None
    assert dump.source.shape == (2,)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_unusual_shapes_are_read(dumped: Callable[..., Path], shape: tuple[int, ...]) -> None:
    path = dumped({"w": (np.zeros(shape, np.uint8), "F8_E4M3"), "w_scale": np.float32(1)})

    (dump,) = read_dumps(path)

    assert (dump.codes.shape, dump.scales.shape) == (shape, ())


def test_scales_that_have_scales_are_no_codes(dumped: Callable[..., Path]) -> None:
    """Of any type of one byte."""
    for scales in (CODES[:, :2], (CODES[:, :2], "F8_E4M3")):
        path = dumped({"w": CODES, "w_scale": scales, "w_scale_scale": np.float32(1)})

        (dump,) = read_dumps(path)

        assert dump.parts == {"codes": "w", "scales": "w_scale"}


def test_every_type_of_a_file_of_the_library_is_read() -> None:
    """What was written there: -4 to 10 in each type, the codes of a number in the F8 ones."""
    opened = open_parts(RECORDED)

    assert list(opened.metadata) == ["note"]
    for name, part in opened.tensors.items():
        if name in {"bool", "complex64"}:
            with pytest.raises(InputError, match=f"'{name}', cannot be read: nothing here reads"):
                part.read()
        elif part.shape == (5, 3):
            kind = np.dtype(getattr(ml_dtypes, name, name))
            got = part.read()
            assert got.dtype == (np.uint8 if name.startswith("float8") else kind)
            assert got.dtype.isnative
            values = np.arange(-4, 11).reshape(5, 3).astype(kind)
            np.testing.assert_array_equal(
                got.view(kind).view(f"u{kind.itemsize}"), values.view(f"u{kind.itemsize}")
            )
    assert opened.tensors["float4"].read().tolist() == np.arange(16).reshape(2, 8).tolist()
    assert opened.tensors["scalar"].read().tolist() == 0.1
    assert opened.tensors["empty"].read().shape == (0, 5)


# Packed elements.


@pytest.mark.parametrize(
    ("dtype", "bits", "name"),
    [("F4", 4, "E2M1FN"), ("F6_E2M3", 6, "E2M3FN"), ("F6_E3M2", 6, "E3M2FN")],
)
def test_packed_types_are_unpacked(
    safetensors_file: Callable[..., Path], dtype: str, bits: int, name: str
) -> None:
    """From bytes written by hand: of an integer whose bits are the codes, the last first."""
    codes = list(range(24))
    value = sum((code % (1 << bits)) << (bits * i) for i, code in enumerate(codes))
    data = value.to_bytes(24 * bits // 8, "little") + bytes([127])
    at = len(data) - 1
    header = {
        "w": {"dtype": dtype, "shape": [3, 8], "data_offsets": [0, at]},
        "w_scale": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [at, at + 1]},
    }

    (dump,) = read_dumps(safetensors_file(header, data))

    assert dump.format is fp.get_format(name)
    assert dump.codes.tolist() == (np.arange(24) % (1 << bits)).reshape(3, 8).tolist()
    assert dump.scales.tolist() == [127]


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"w_packed": CODES, "w_scale": SCALES}, "compressed-tensors"),
        ({"w_blocks": CODES, "w_scales": CODES[:, :2]}, "gpt-oss"),
        ({"w": CODES, "w_scale": SCALES, "w_hp": np.ones((2, 64))}, "the source says so"),
        ({"w": CODES, "w_scale": (CODES[:, :4], "F8_E4M3")}, "ModelOpt"),
    ],
)
def test_bytes_that_are_surely_pairs_are_unpacked(
    dumped: Callable[..., Path], tensors: dict[str, Any], why: str
) -> None:
    (dump,) = read_dumps(dumped(tensors))

    assert dump.format is fp.E2M1FN, why
    assert dump.stored_dtype == "U8"
    assert dump.codes.shape == (2, 64)
    np.testing.assert_array_equal(dump.codes[:, ::2], CODES & 15)
    np.testing.assert_array_equal(dump.codes[:, 1::2], CODES >> 4)


@pytest.mark.parametrize(
    "tensors",
    [
        {"w": CODES, "w_scale": SCALES},
        {"w": CODES, "w_scale": CODES[:, :4]},
        {"w": CODES, "w_scale": (CODES[:, :2], "F8_E4M3")},
        {"w": CODES[:, :8], "w_scale": (CODES[:, :1], "F8_E4M3")},
        {"w": CODES[:, :17], "w_scale": (CODES[:, :2], "F8_E4M3")},
        {"w_packed": CODES, "w_scale": SCALES, "w_hp": np.ones((2, 32))},
        {"w_packed": CODES.view(np.int8), "w_scale": SCALES},
        {"w_packed": np.uint8(33), "w_scale": SCALES},
    ],
)
def test_other_bytes_stay_bytes(dumped: Callable[..., Path], tensors: dict[str, Any]) -> None:
    (dump,) = read_dumps(dumped(tensors))

    assert dump.format is None
    assert dump.codes.tobytes() == next(iter(tensors.values())).tobytes()


def test_bytes_can_be_unpacked_by_the_one_who_knows(dumped: Callable[..., Path]) -> None:
    (dump,) = read_dumps(dumped({"w": CODES, "w_scale": SCALES}))

    pairs = dump.unpacked()

    assert (pairs.format, pairs.codes.shape, pairs.parts) == (fp.E2M1FN, (2, 64), dump.parts)
    np.testing.assert_array_equal(pairs.codes[:, 1::2], CODES >> 4)
    with pytest.raises(ValueError, match="codes must be bytes of two elements, got E2M1FN; use"):
        pairs.unpacked()


# Archives.


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_are_read(tmp_path: Path, save: Callable[..., None]) -> None:
    """Any order and byte order; E5M2 keeps its type, E4M3FN loses it and is bytes."""
    save(
        tmp_path / "x.npz",
        codes=np.asfortranarray(CODES),
        scales=SCALES.astype(">f4"),
        source=np.linspace(-1, 1, 64).reshape(2, 32).astype(">f8"),
        a=CODES.view(ml_dtypes.float8_e5m2),
        a_scale=CODES[:, :1],
        b=CODES.view(ml_dtypes.float8_e4m3fn),
        b_scale=CODES[:, :1].view(ml_dtypes.float8_e8m0fnu),
        c=CODES.view(np.int8)[:, ::2],
        c_scale=np.float16([1, 2]),
        ids=np.arange(3),
        text=np.array(["a"]),
    )

    dumps = {dump.name: dump for dump in read_dumps(tmp_path / "x.npz")}

    types = {name: (dump.stored_dtype, dump.scale_dtype) for name, dump in dumps.items()}
    assert types == {
        "codes": ("U8", "F32"),
        "a": ("F8_E5M2", "U8"),
        "b": ("V1", "V1"),
        "c": ("I8", "F16"),
    }
    assert [dump.format for dump in dumps.values()] == [None, fp.E5M2, None, None]
    assert all(dump.codes.dtype == np.uint8 for dump in dumps.values())
    for name in ("codes", "a", "b"):
        np.testing.assert_array_equal(dumps[name].codes, CODES)
    np.testing.assert_array_equal(dumps["c"].codes, CODES[:, ::2])
    assert dumps["codes"].scales.tolist() == SCALES.tolist()
    assert dumps["codes"].source is not None
    assert dumps["codes"].source.tolist() == np.linspace(-1, 1, 64).reshape(2, 32).tolist()
    assert dumps["b"].scales.tolist() == CODES[:, :1].tolist()
    assert all(dump.metadata == {} for dump in dumps.values())


def test_a_part_whose_type_np_save_lost_is_refused_with_the_reason(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", codes=CODES, scales=SCALES.astype(ml_dtypes.bfloat16))

    message = refused(tmp_path / "x.npz")

    assert "member 'scales.npy', cannot be the scales of 'codes': it is of type unknown" in message
    assert "np.save lost an ml_dtypes type such as bfloat16" in message


# What is refused.


def test_nothing_found_names_what_is_there(dumped: Callable[..., Path]) -> None:
    message = refused(dumped({"w": np.ones((2, 3)), "mask": CODES}))

    assert "has no tensor of codes (of type F8_E4M3, " in message
    assert "name it with codes= and its scales with scales=" in message
    assert "it has 'w' F64 (2, 3), 'mask' U8 (2, 32)" in message


def test_a_file_without_tensors_is_refused(dumped: Callable[..., Path]) -> None:
    assert "it has no tensors at all" in refused(dumped({}))


def test_codes_without_scales_are_refused(dumped: Callable[..., Path]) -> None:
    """If there are none at all, or for the one that is asked for."""
    path = dumped({"b": E4M3, "b.shift": SCALES})
    message = refused(path)
    path = dumped({"a": E4M3, "a_scale": SCALES, "b": E4M3, "b.shift": SCALES})
    assert "tensor 'b', has no scales beside it" in refused(path, codes="b")

    assert "tensor 'b', has no scales beside it under a customary name (such as 'b_scale')" in (
        message
    )
    assert "'b.shift' F32 (2, 1)" in message


def test_one_without_scales_is_read_beside_others(dumped: Callable[..., Path]) -> None:
    """So that it is noticed, and does not hide them."""
    path = dumped({"a": E4M3, "a_scale": SCALES, "b": E4M3, "b_packed": (CODES & 15, "F4")})

    dumps = {dump.name: dump for dump in read_dumps(path)}

    assert sorted(dumps) == ["a", "b", "b_packed"]
    assert dumps["a"].scales is not None
    assert (dumps["b"].scales, dumps["b"].scale_dtype, dumps["b"].parts) == (
        None, "", {"codes": "b"},
    )  # fmt: skip


def test_the_rule_that_a_file_declares_is_read(tmp_path: Path) -> None:
    """As `save_scaled` writes it; a description that is none is refused."""
    path = tmp_path / "x.safetensors"
    scaled = fp.scale_quantize(np.ones((14, 9), np.float32), "block-7x9")
    save_scaled(path, {"w": scaled})

    (dump,) = read_dumps(path)
    assert dump.declared == scaled.rule

    tensors = {"w.codes": (scaled.codes, "F8_E4M3"), "w.scales": scaled.stored_scales}
    rule: Any
    for rule, problem in (({"name": 1}, "is described by a rule that does not fit"), ([], "fit")):
        description = scaled.describe() | {"rule": rule}
        write_safetensors(path, tensors, {"fp8num.scaled.w": json.dumps(description)})
        assert problem in refused(path)
    write_safetensors(path, tensors)
    assert read_dumps(path)[0].declared is None


@pytest.mark.parametrize(
    ("extra", "role"),
    [
        ({"w_scale_inv": SCALES}, "scales: 'w.scale', 'w_scale_inv'; name the right one"),
        ({"w.hp": np.ones(2), "w_source": np.ones(2)}, "source: 'w.hp', 'w_source'; name"),
        (
            {"w_amax": np.ones(1), "w_scale_2": np.ones(1)},
            "tensor_scale: 'w_scale_2', 'w_amax'; name the right one with codes= and tensor_scale=",
        ),
    ],
)
def test_ambiguity_is_refused(
    dumped: Callable[..., Path], extra: dict[str, Any], role: str
) -> None:
    path = dumped({"w": E4M3, "w.scale": SCALES, **extra})

    assert f"tensor 'w', may have as {role}" in refused(path)


def test_ambiguity_is_resolved_by_a_name(dumped: Callable[..., Path]) -> None:
    path = dumped({"w": E4M3, "w.scale": SCALES, "w_scale_inv": 1 / SCALES})

    (dump,) = read_dumps(path, codes="w", scales="w_scale_inv")

    np.testing.assert_array_equal(dump.scales, 1 / SCALES)


@pytest.mark.parametrize("role", ["codes", "scales", "source", "tensor_scale"])
def test_a_name_that_is_not_there_is_refused(dumped: Callable[..., Path], role: str) -> None:
    message = refused(dumped({"w": E4M3, "w_scale": SCALES}), **{role: "w\n"})

    assert f"has no tensor 'w\\n' for {role}; it has 'w_scale' F32 (2, 1), 'w' F8_E4M3" in message


def test_one_name_cannot_serve_several_tensors(dumped: Callable[..., Path]) -> None:
    path = dumped({"a": E4M3, "b": E4M3, "s": SCALES})

    message = refused(path, scales="s")

    assert "has 2 tensors of codes, and scales can belong to one only; name it with codes=" in (
        message
    )


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"codes": "f"}, "'f', cannot be the codes of 'f': it is of type F64, not one of F8_E4M3"),
        ({"scales": "i"}, "'i', cannot be the scales of 'w': it is of type I64, not one of F64"),
        ({"source": "w"}, "'w', cannot be the source of 'w': it is of type F8_E4M3"),
        ({"tensor_scale": "i"}, "'i', cannot be the tensor_scale of 'w': it is of type I64"),
        ({"scales": "z"}, r"it is of type 'BOOL' \(nothing here reads the type 'BOOL'\)"),
    ],
)
def test_a_part_of_a_wrong_type_is_refused(
    dumped: Callable[..., Path], names: dict[str, str], problem: str
) -> None:
    path = dumped(
        {
            "w": E4M3,
            "w_scale": SCALES,
            "f": np.ones(3),
            "f_scale": SCALES,
            "i": np.arange(3),
            "z": np.zeros(3, bool),
        }
    )

    with pytest.raises(InputError, match=problem):
        read_dumps(path, **{"codes": "w", **names})


def test_hostile_names_are_escaped_and_shortened(dumped: Callable[..., Path]) -> None:
    names = [f"\x1b[2J\n{i}" + "n\u202e" * 2000 for i in range(50)]

    message = refused(dumped(dict.fromkeys(names, np.ones(1))))

    assert "\\x1b[2J\\n" in message
    assert "and 42 more" in message


# Files that lie.


def safetensors_bytes() -> bytes:
    header = {
        "__metadata__": {"k": "v"},
        "w": {"dtype": "F4", "shape": [2, 4], "data_offsets": [8, 12]},
        "w_scale": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(12)


def npz_bytes(*, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(stream, codes=np.arange(6, dtype=np.uint8), scales=np.ones(3, np.float32))
    return stream.getvalue()


FILES = {
    "safetensors": safetensors_bytes(),
    "npz": npz_bytes(),
    "deflated.npz": npz_bytes(compressed=True),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(FILES[kind])
    assert len(read_dumps(path)) == 1

    for length in range(0, len(FILES[kind]), 3):
        path.write_bytes(FILES[kind][:length])
        refused(path)


@pytest.mark.parametrize("kind", FILES)
@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes overwritten, inserted and removed: no other error, and no other line."""
    content = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 4), label="changes")):
        at = data.draw(st.integers(0, len(content)), label="at")
        removed = data.draw(st.integers(0, 4), label="removed")
        content[at : at + removed] = data.draw(st.binary(max_size=4), label="inserted")
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(content)

    try:
        read_dumps(path)
    except InputError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"__metadata__": {"a": 1}}, "__metadata__ that is not a map of strings"),
        ({"w": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}}, "needs 12 bits"),
        ({"w": {"dtype": "U8", "shape": [3], "data_offsets": [0, 2]}}, "needs 24 bits"),
        ({"w": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}}, "leaves bytes unused"),
        ({"w": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}, "is truncated"),
    ],
)
def test_a_lying_header_is_refused_as_by_the_reader(
    safetensors_file: Callable[..., Path], header: object, problem: str
) -> None:
    assert problem in refused(safetensors_file(header, bytes(4)))


@pytest.mark.parametrize(
    ("descr", "shape", "problem"),
    [
        ("|u1", "(9,)", "needs 137 bytes, it has 134"),
        ("|u1", "(5,)", "needs 133 bytes, it has 134"),
        ("|i1", f"({2**60},)", "is truncated or damaged"),
        ("<f4", "(2,)", "is truncated: shape (2,) of F32 needs 136 bytes, it has 134"),
        ("<f2", "(2,)", "has 2 bytes after the array of shape (2,)"),
    ],
)
def test_a_lying_member_is_refused(tmp_path: Path, descr: str, shape: str, problem: str) -> None:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".ljust(118)
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(6)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("codes.npy", data)

    message = refused(tmp_path / "x.npz")

    assert "member 'codes.npy'," in message
    assert problem in message


def test_an_archive_that_no_library_writes_is_refused(tmp_path: Path) -> None:
    """As by the reader of arrays: here, a method of compression that is not bounded."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("codes.npy", b"")

    assert "has compression method 14" in refused(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.npy", b"\x93NUMPY", "is not a file of named tensors (it seems to be a NumPy array"),
        ("x.bin", b"abc", "is not a file of named tensors; give a .safetensors or .npz file"),
        ("x.npz", safetensors_bytes(), "is not a file of named tensors (it seems to be a safet"),
        ("x.safetensors", b"\x80\x02", "it seems to be a Python pickle"),
        ("x.safetensors", b"", "is empty (0 bytes)"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)

    assert problem in refused(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "does not exist; check the path" in refused(tmp_path / "x.npz")


def test_a_type_of_the_future_is_no_error_until_it_is_needed(
    safetensors_file: Callable[..., Path],
) -> None:
    header = {
        "w": {"dtype": "F8_E5M2", "shape": [2], "data_offsets": [0, 2]},
        "w_scale": {"dtype": "X7", "shape": [1], "data_offsets": [2, 4]},
        "s": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [4, 5]},
    }
    path = safetensors_file(header, bytes(5))

    assert read_dumps(path, codes="w", scales="s")[0].scale_dtype == "F8_E8M0"
    assert "it is of type 'X7' (nothing here reads the type 'X7')" in refused(path)
    with pytest.raises(InputError, match="'w_scale', cannot be read: nothing here reads the type"):
        open_parts(path).tensors["w_scale"].read()
