"""Scaled arrays go to files and come back bit for bit, with what made them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.inputs import InputError, load_scaled, read_dumps, save_scaled, write_safetensors
from fp8num.inputs.parts import open_parts
from fp8num.scaled import Descale, ScaledArray
from fp8num.scaling import RULES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "fp8num.scaled."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.safetensors"


def made(
    fmt: fp.Format,
    scale_format: fp.Format | None = None,
    *,
    shape: tuple[int, ...] = (3, 70),
    block: tuple[int, ...] = (1, 32),
    **others: Any,
) -> ScaledArray:
    """Put an array together from random codes: no rule is needed for that."""
    rng = np.random.default_rng(5)
    counts = tuple(-(-n // length) for n, length in zip(shape, block, strict=True))
    codes = rng.integers(0, 1 << fmt.bits, shape).astype(fmt.code_dtype)
    if scale_format is None:
        scales = rng.integers(0, 1 << 31, counts, dtype=np.uint32).view(np.float32)
    else:
        scales = rng.integers(0, 256, counts).astype(np.uint8)
    return ScaledArray(codes, fmt, scales, block, scale_format, **others)


def assert_same(got: ScaledArray, want: ScaledArray) -> None:
    """Raise unless two arrays are the same bit for bit, NaN included."""
    for name in ("codes", "stored_scales"):
        left, right = getattr(got, name), getattr(want, name)
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        assert left.tobytes() == right.tobytes(), name
    for name in ("format", "scale_format", "block", "axis", "descale", "rule"):
        assert getattr(got, name) == getattr(want, name), name
    amaxes = [
        amax if amax is None else amax.tobytes() for amax in (got.tensor_amax, want.tensor_amax)
    ]
    assert amaxes[0] == amaxes[1]


def altered(path: Path, name: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the description of an array in a file and leave its tensors."""
    opened = open_parts(path)
    description = json.loads(opened.metadata[KEY + name])
    description = change(description) or description
    tensors = {part.name: part.read() for part in opened.tensors.values()}
    write_safetensors(path, tensors, {**opened.metadata, KEY + name: json.dumps(description)})
    return path


def refused(path: Path) -> str:
    """Return the message with which a file is refused, after checking its form."""
    with pytest.raises(InputError) as caught:
        load_scaled(path)
    text = str(caught.value)
    assert text.isprintable(), "one line without control characters"
    assert len(text) < 3000
    return text


# There and back.


def test_every_format_comes_back(path: Path, each: Any) -> None:
    def check(name: str, scale_format: str | None) -> None:
        fmt = fp.get_format(name)
        scaled = made(fmt, None if scale_format is None else fp.get_format(scale_format))

        save_scaled(path, {"w": scaled})

        (found,) = load_scaled(path).values()
        assert_same(found, scaled)
        assert found.format is fmt or found.format == fmt

    each(
        product(
            [*fp.FORMATS, "MXINT8", "binary8p3se", "w3m2b5-fn"],
            [None, "E8M0FNU", "E4M3FN", "UE5M3"],
        ),
        check,
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("E4M3FN", "F8_E4M3"),
        ("E5M2", "F8_E5M2"),
        ("E4M3FNUZ", "F8_E4M3FNUZ"),
        ("E5M2FNUZ", "F8_E5M2FNUZ"),
        ("E2M1FN", "F4"),
        ("E4M3IEEE", "U8"),
        ("E3M2FN", "U8"),
        ("MXINT8", "U8"),
        ("BINARY16", "U16"),
    ],
)
def test_codes_have_the_type_of_their_format_where_there_is_one(
    path: Path, name: str, dtype: str
) -> None:
    """E4M3IEEE has none: F8_E4M3 is another format."""
    save_scaled(path, {"w": made(fp.get_format(name), fp.E8M0FNU)})

    types = {part.name: part.dtype for part in open_parts(path).tensors.values()}

    assert types == {"w.codes": dtype, "w.scales": "F8_E8M0"}


def test_an_odd_last_dimension_of_four_bits_is_not_packed(path: Path) -> None:
    scaled = made(fp.E2M1FN, fp.E4M3FN, shape=(4, 33), tensor_amax=np.float32(3))

    save_scaled(path, {"w": scaled})

    types = {part.name: part.dtype for part in open_parts(path).tensors.values()}
    assert types == {"w.codes": "U8", "w.scales": "F8_E4M3", "w.tensor_amax": "F32"}
    assert_same(load_scaled(path)["w"], scaled)


@pytest.mark.parametrize(
    ("shape", "block"),
    [((), ()), ((0,), (32,)), ((3, 0), (1, 32)), ((5,), (5,)), ((2, 3, 300), (1, 3, 128))],
)
def test_unusual_shapes_come_back(
    path: Path, shape: tuple[int, ...], block: tuple[int, ...]
) -> None:
    scaled = made(fp.E5M2, shape=shape, block=block)

    save_scaled(path, {"w": scaled})

    assert_same(load_scaled(path)["w"], scaled)


def test_options_come_back(path: Path) -> None:
    """Axis, division, the tensor's amax (a NaN with its payload), turned codes."""
    nan = np.uint32(0x7FC00123).view(np.float32)
    arrays = {
        "axis": made(fp.E4M3FN, block=(32, 1), axis=0, descale=Descale.DIVIDE),
        "amax": made(fp.E2M1FN, fp.E4M3FN, block=(1, 16), tensor_amax=nan),
        "turned": made(fp.E4M3FN, fp.E8M0FNU).transpose(),
    }

    save_scaled(path, arrays)

    found = load_scaled(path)
    assert list(found) == sorted(arrays)
    for name, scaled in arrays.items():
        assert_same(found[name], scaled)


@pytest.mark.parametrize("name", ["", "a.b", "a.b.codes", "a\nb\x1b", "模型.权重"])
def test_any_name_comes_back(path: Path, name: str) -> None:
    """Beside names that its parts could be mistaken for."""
    arrays = {
        name: made(fp.E5M2, fp.E8M0FNU),
        "a": made(fp.E4M3FN, tensor_amax=None),
        f"{name}.x": made(fp.E3M4),
    }

    save_scaled(path, arrays)

    found = load_scaled(path)
    assert set(found) == set(arrays)
    for key, scaled in arrays.items():
        assert_same(found[key], scaled)


def test_every_rule_comes_back(path: Path, each: Any) -> None:
    """The rule itself, and what it made of some values, a zero row and a ragged end."""

    def check(name: str) -> None:
        x = np.random.default_rng(3).standard_normal((16, 272)).astype(np.float32)
        x[1] = 0
        scaled = fp.scale_quantize(x, name, **_random(name))

        save_scaled(path, {"w": scaled})

        found = load_scaled(path)["w"]
        assert_same(found, scaled)
        assert found.rule == RULES[name]
        np.testing.assert_array_equal(found.dequantize(), scaled.dequantize())

    each(RULES, check)


def _random(name: str) -> dict[str, Any]:
    """Return what a rule with stochastic rounding needs."""
    return {"rng": np.random.default_rng(1)} if "-sr" in name else {}


def test_the_comparison_sees_each_difference() -> None:
    """One code, one scale, the format, the block, the axis, the rule."""
    scaled = made(fp.E4M3FN, fp.E8M0FNU)
    codes, scales = scaled.codes.copy(), scaled.stored_scales.copy()
    codes[2, 69] ^= 1
    scales[0, 2] ^= 1
    changes: list[dict[str, Any]] = [
        {"codes": codes},
        {"stored_scales": scales},
        {"format": fp.E5M2},
        {"axis": 0},
        {"descale": Descale.DIVIDE},
        {"tensor_amax": np.float32(1)},
        {"rule": RULES["mxfp8-e4m3fn"]},
    ]
    for change in changes:
        with pytest.raises(AssertionError):
            assert_same(replace(scaled, **change), scaled)


def test_the_same_arrays_make_the_same_bytes(path: Path) -> None:
    arrays = {"b": made(fp.E4M3FN), "a": made(fp.E5M2, fp.E8M0FNU)}
    save_scaled(path, arrays)
    content = path.read_bytes()

    save_scaled(path, dict(reversed(arrays.items())))

    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["E4M3FN", "E3M4", "E3M2FN", "E2M1FN"])
@pytest.mark.parametrize("length", [69, 70])
def test_a_file_of_ours_is_a_dump_too(path: Path, name: str, length: int) -> None:
    """With its format, which the type of the codes does not always tell."""
    scaled = made(fp.get_format(name), fp.E8M0FNU, shape=(3, length))
    save_scaled(path, {"w": scaled})

    (dump,) = read_dumps(path)

    assert (dump.name, dump.format) == ("w.codes", scaled.format)
    np.testing.assert_array_equal(dump.codes, scaled.codes)
    np.testing.assert_array_equal(dump.scales, scaled.stored_scales)
    assert json.loads(dump.metadata[KEY + "w"]) == scaled.describe()


def test_the_type_of_the_codes_is_believed_before_the_description(path: Path) -> None:
    save_scaled(path, {"w": made(fp.E4M3FN)})
    opened = open_parts(path)
    metadata = {KEY + "w": json.dumps(made(fp.E5M2).describe())}
    tensors = {part.name: part.read() for part in opened.tensors.values()}
    write_safetensors(path, {**tensors, "w.codes": (tensors["w.codes"], "F8_E4M3")}, metadata)

    assert read_dumps(path)[0].format is fp.E4M3FN


def test_other_tensors_in_the_file_do_not_matter(path: Path) -> None:
    """Not even of types that are not read."""
    scaled = made(fp.E3M4)
    save_scaled(path, {"w": scaled})
    opened = open_parts(path)
    tensors = {part.name: part.read() for part in opened.tensors.values()}
    write_safetensors(path, {**tensors, "w.mask": np.zeros(3, bool)}, opened.metadata)

    assert_same(load_scaled(path)["w"], scaled)


# What is refused.


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({1: made(fp.E5M2)}, "a name must be text, got int"),
        ({"w": np.ones(3)}, "'w' must be a ScaledArray, got ndarray .*; scale_quantize"),
        ({"\ud800": made(fp.E5M2)}, "must be Unicode text"),
    ],
)
def test_other_things_are_not_saved(path: Path, arrays: Any, problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        save_scaled(path, arrays)

    assert not path.exists()


def test_a_file_without_scaled_arrays_is_refused(path: Path) -> None:
    write_safetensors(path, {"w.codes": np.zeros(3, np.uint8)}, {"a": "b"})

    assert "holds no scaled arrays: its metadata has no key that begins with fp8num.scaled.; " in (
        refused(path)
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "nested too deeply"),
        ("3", "it must be a mapping, got int 3"),
        ("null", "it must be a mapping, got NoneType None"),
        ("{}", "must also have format"),
    ],
)
def test_a_description_that_is_no_object_is_refused(path: Path, text: str, problem: str) -> None:
    codes = np.zeros(4, np.uint8)
    write_safetensors(path, {"w.codes": codes, "w.scales": np.ones(1, "f4")}, {KEY + "w": text})

    message = refused(path)

    assert "scaled array 'w', has a description that does not fit (" in message
    assert problem in message
    if text != "{}":
        with pytest.raises(InputError, match="has a description that does not fit"):
            read_dumps(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": None},
        {"format": 3},
        {"format": {}},
        {"format": {"name": "x\n", "exponent_bits": 1 << 40}},
        {"format": {"__class__": 1}},
        {"scale_format": []},
        {"scale_format": None},
        {"block": None},
        {"block": [1, 0]},
        {"block": [1, 2, 3]},
        {"block": ["a", {}]},
        {"axis": 9},
        {"axis": "x"},
        {"descale": "add"},
        {"rule": 1},
        {"rule": {}},
        {"rule": {"name": "x"}},
        {"rule": {"name": "x", "scale": {"kind": "os.system", "part": "os.system"}}},
    ],
    ids=str,
)
def test_a_lying_description_is_refused(path: Path, change: dict[str, Any]) -> None:
    save_scaled(path, {"w": made(fp.E4M3FN, fp.E8M0FNU)})

    altered(path, "w", lambda description: description.update(change))

    assert "scaled array 'w', has a description that does not fit (" in refused(path)


@pytest.mark.parametrize("missing", ["format", "scale_format", "block", "axis", "descale"])
def test_an_incomplete_description_is_refused(path: Path, missing: str) -> None:
    save_scaled(path, {"w": made(fp.E4M3FN, fp.E8M0FNU)})

    altered(path, "w", lambda description: {k: v for k, v in description.items() if k != missing})

    assert f"{missing}" in refused(path)


@pytest.mark.parametrize(
    "tensors",
    [
        {"w.codes": np.zeros((3, 70), np.uint8)},
        {"w.scales": np.zeros((3, 3), np.uint8)},
        {"w.codes": np.zeros((3, 70), np.uint8), "w.scales": np.zeros((3, 4), np.uint8)},
        {"w.codes": np.zeros((3, 70), np.uint8), "w.scales": np.zeros((3, 3), np.float32)},
        {"w.codes": np.zeros((3, 70), np.float32), "w.scales": np.zeros((3, 3), np.uint8)},
        {"v.codes": np.zeros((3, 70), np.uint8), "v.scales": np.zeros((3, 3), np.uint8)},
    ],
    ids=lambda tensors: " ".join(f"{n} {a.dtype} {a.shape}" for n, a in tensors.items()),
)
def test_tensors_that_do_not_fit_are_refused(path: Path, tensors: dict[str, Any]) -> None:
    description = made(fp.E4M3FN, fp.E8M0FNU).describe()
    write_safetensors(path, tensors, {KEY + "w": json.dumps(description)})

    assert "scaled array 'w', has a description that does not fit (" in refused(path)


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    save_scaled(path, {"w": made(fp.E4M3FN, fp.E8M0FNU)})
    whole = path.read_bytes()

    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(path)
