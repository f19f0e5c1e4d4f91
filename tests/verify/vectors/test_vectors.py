"""Golden vectors: what is converted, what it must become, and the files that say so."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fp8num.formats import FORMATS, Format, get_format
from fp8num.projection import NanResult, Projection, Rounding
from fp8num.verify.cases import boundaries, case_set, specials, standard
from fp8num.verify.classes import CLASSES
from fp8num.verify.hexlines import parse_results
from fp8num.verify.reference import project
from fp8num.verify.sources import SOURCES, SourceType, get_source
from fp8num.verify.vectors import packs
from fp8num.verify.vectors.conversion import (
    Conversion,
    Vectors,
    conversions,
    hex_floats,
    slug,
    vectors_of,
)
from fp8num.verify.vectors.kinds import KINDS, read_vectors, write_vectors
from fp8num.verify.vectors.packs import write_pack

E4M3FN, E2M1FN = FORMATS["E4M3FN"], FORMATS["E2M1FN"]
F16, F32 = get_source("f16"), get_source("f32")
by_source = pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)


def made(fmt: str = "E4M3FN", source: str = "f16", cases: str = "specials") -> Vectors:
    """Return vectors of one conversion."""
    (conversion,) = conversions([fmt], sources=[source])
    inputs = case_set(cases, conversion.fmt, conversion.source)
    return vectors_of(conversion, inputs.words, inputs.domain)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# Conversions.


def test_conversions_are_crossed_in_order() -> None:
    found = conversions(
        iter(["e4m3fn", "e5m2"]),
        sources=iter(["f32", "f16"]),
        roundings=iter(["rne", "rz"]),
        saturations=iter(["SatFinite", "SatNone"]),
    )

    assert [conversion.name for conversion in found] == [
        "-".join(parts)
        for parts in product(
            ("e4m3fn", "e5m2"), ("f32", "f16"), ("rne", "rz"), ("satfinite", "satnone")
        )
    ]


def test_a_profile_takes_the_place_of_the_modes() -> None:
    found = conversions(["E8M0FNU", "E5M2"], likes=["ml_dtypes"])

    assert [c.name for c in found] == ["e8m0fnu-f32-ml-dtypes", "e5m2-f32-ml-dtypes"]
    assert found[0].rule == "as ml_dtypes"
    assert found[0].truth.codes_of(np.zeros(1, np.uint32))[0] == 0xFF


def test_what_nan_becomes_is_in_the_name_if_it_is_not_the_usual() -> None:
    conversion = Conversion(E2M1FN, F32, Projection(nan=NanResult.ZERO))

    assert conversion.mode == "rne-satfinite-nan-zero"
    assert conversion.rule == "NearestTiesToEven, SatFinite, NaN to zero"


def test_every_deterministic_mode_has_a_short_name() -> None:
    modes = [mode for mode in Rounding if not mode.is_stochastic]

    names = [Conversion(E4M3FN, F32, Projection(rounding=mode)).mode for mode in modes]

    assert names == [f"{mode}-satfinite" for mode in ("rne", "rna", "rz", "ru", "rd", "ro")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("../../etc", "etc"), ("a/b\\c:d", "a-b-c-d"), ("w4m3b7-fn", "w4m3b7-fn"), ("π §", "")],
)
def test_a_slug_is_a_plain_name(name: str, expected: str) -> None:
    assert slug(name) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": []}, r"vectors need at least one format, source, rounding and saturation"),
        ({"formats": ["E5M2"], "sources": []}, r"vectors need at least one format"),
        ({"formats": ["E5M2"], "roundings": ["sra"]}, r"rounding must be deterministic, got Stoc"),
        ({"formats": ["E5M2", "e5m2"]}, r"different names, got 'e5m2-f32-rne-satfinite' for float"),
        ({"formats": ["E5M2"], "likes": ["nobody"]}, r"like must be one of"),
        ({"formats": ["E3M7"]}, r"format name 'E3M7' is not known"),
        ({"formats": ["E5M2"], "sources": ["int8"]}, r"source must be one of"),
    ],
)
def test_wrong_conversions_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conversions(**options)


# Cases.


def test_case_sets_are_those_of_cases() -> None:
    """By name; the domain says if they were cut."""
    full = case_set("boundaries", E4M3FN, F32)
    part = case_set("boundaries", E4M3FN, F32, limit=10)

    np.testing.assert_array_equal(full.words, boundaries(E4M3FN, F32).words)
    np.testing.assert_array_equal(part.words, full.words[:10])
    assert part.domain == f"the first 10 of {full.size}: {full.domain}"
    assert case_set("specials", E4M3FN, F32).size == specials(F32).size
    assert case_set("standard", E4M3FN, F32).domain == standard(E4M3FN, F32).domain
    assert case_set("every", E4M3FN, F16).size == 65536


def test_structured_cases_are_as_many_as_asked_for() -> None:
    one, two = (case_set("structured", E4M3FN, F32, limit=100, seed=seed) for seed in (1, 2))

    assert (one.size, two.size) == (100, 100)
    assert (one.words != two.words).any()
    assert case_set("structured", E4M3FN, F32).size == 4096


@pytest.mark.parametrize(
    ("name", "limit", "message"),
    [
        ("all", None, r"cases must be one of standard, every, .*structured, got 'all'"),
        ("standard", 0, r"limit must be an integer, at least 1, got 0"),
        ("every", None, r"source must have 16 bits"),
    ],
)
def test_wrong_cases_are_refused(name: str, limit: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        case_set(name, E4M3FN, F32, limit=limit)


# Vectors.


@pytest.mark.parametrize("name", ["E4M3FN", "E8M0FNU", "E2M1FN", "POSIT8", "binary9p4se"])
@pytest.mark.parametrize("saturation", ["SatFinite", "SatNone"])
def test_codes_are_those_of_the_definition(name: str, saturation: str) -> None:
    """One by one, as exact fractions."""
    (conversion,) = conversions([name], roundings=["ru"], saturations=[saturation])
    words = case_set("structured", conversion.fmt, F32, limit=300, seed=3).words

    found = vectors_of(conversion, words, "").codes

    values = F32.values(words)
    expected = [project(value, conversion.fmt, "ru", saturation) for value in values]
    assert found.tolist() == expected


@by_source
def test_many_hex_floats_are_written_as_one(source: SourceType) -> None:
    """Zeros, subnormals, NaNs and their payloads, and what `float.fromhex` reads back."""
    words = case_set("standard", E4M3FN, source).words[-3000:]
    words = np.concatenate([words, specials(source).words, [source.infinity + 5, source.sign]])
    words = words.astype(source.word)

    texts = hex_floats(words, source)

    assert texts == [source.hex(word) for word in words.tolist()]
    for word, text in zip(words.tolist()[-30:], texts[-30:], strict=True):
        if "nan" not in text and "inf" not in text:
            magnitude = abs(float.fromhex(text))
            assert source.place(Fraction(magnitude)) == (word & (source.sign - 1), True)


# Files.


def test_json_has_a_case_in_each_line() -> None:
    vectors = made()
    text = write_vectors(vectors, "json", "1.2.3").decode()
    found = json.loads(text)

    assert found["generator"] == "fp8num 1.2.3"
    assert found["conversion"] == "float16 to E4M3FN, NearestTiesToEven, SatFinite"
    assert found["domain"] == vectors.domain
    assert found["columns"] == ["input", "value", "code", "class"]
    assert found["cases"][5] == ["7bff", "0x1.ffc0000000000p+15", "7e", "overflow"]
    assert '["7bff", "0x1.ffc0000000000p+15", "7e", "overflow"],' in text.split("\n")


def test_csv_is_read_as_text_by_whoever_opens_it() -> None:
    """No cell is a formula or a decimal number; Python and pandas read back what was meant."""
    import pandas as pd

    vectors = made(source="f32", cases="standard")
    data = write_vectors(vectors, "csv", "1.2.3").decode()
    head, *rows = csv.reader(io.StringIO(data))

    assert head == ["input", "value", "code", "class"]
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row), row
        assert row[0].startswith("0x")
        assert row[2].startswith("0x")
    assert ["0x80000000", " -0x0.0p+0", "0x80", " -zero"] in rows
    frame = pd.read_csv(io.StringIO(data), skipinitialspace=True, keep_default_na=False)
    assert frame["value"].tolist() == vectors.floats
    assert frame["class"].tolist() == vectors.class_names
    assert [int(word, 16) for word in frame["input"]] == vectors.words.tolist()


def test_npz_is_arrays(tmp_path: Path) -> None:
    vectors = made("E2M1FN", "f32", "standard")
    path = tmp_path / "x.npz"
    path.write_bytes(write_vectors(vectors, "npz", "1.2.3"))

    with np.load(path, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["input"], vectors.words)
        np.testing.assert_array_equal(found["code"], vectors.codes)
        assert (found["input"].dtype, found["code"].dtype) == (np.uint32, np.uint8)
        names = [found["classes"][kind].decode() for kind in found["class"].tolist()]
        assert names == vectors.class_names
        assert [text.decode() for text in found["value"].tolist()] == vectors.floats
        assert found["about"].item().decode().endswith("fp8num 1.2.3")


def test_hex_is_what_a_right_program_would_answer() -> None:
    vectors = made()

    words, codes, _ = parse_results(io.BytesIO(write_vectors(vectors, "hex", "")), F16, E4M3FN)

    np.testing.assert_array_equal(words, vectors.words)
    np.testing.assert_array_equal(codes, vectors.codes)


@pytest.mark.parametrize(
    ("fmt", "line", "fields"),
    [
        ("E4M3FN", "7bff_7e", "14 numbers of 24 bits: input [23:8], code [7:0]"),
        ("E2M1FN", "7bff_7", "14 numbers of 20 bits: input [19:4], code [3:0]"),
        ("E3M2FN", "7bff_1f", "14 numbers of 24 bits: input [23:8], code [7:0]"),
    ],
)
def test_readmemh_is_comments_and_numbers(fmt: str, line: str, fields: str) -> None:
    """What the numbers are stands before them."""
    lines = write_vectors(made(fmt), "readmemh", "1.2.3").decode("ascii").splitlines()

    assert lines[0].endswith("NearestTiesToEven, SatFinite; made by fp8num 1.2.3")
    assert lines[2] == f"// {fields}"
    assert all(text.startswith("// ") for text in lines[:3])
    assert len(lines) == 3 + 14
    assert line in lines[3:]


@pytest.mark.parametrize(
    ("fmt", "source"),
    [
        # By default each format from two of the types.
        pytest.param(fmt, source, marks=[pytest.mark.exhaustive] if (i + j) % 2 else [])
        for i, fmt in enumerate(["E4M3FN", "E2M1FN", "binary9p4se"])
        for j, source in enumerate(SOURCES.values())
    ],
    ids=lambda value: getattr(value, "short", value),
)
def test_what_was_written_is_read_back(fmt: str, source: SourceType) -> None:
    """As every kind of file."""
    vectors = made(fmt, source.name, "boundaries")
    for kind in KINDS:
        rows = read_vectors(write_vectors(vectors, kind, "1.2.3"), kind, vectors.conversion)

        np.testing.assert_array_equal(rows.words, vectors.words, kind)
        np.testing.assert_array_equal(rows.codes, vectors.codes, kind)
        assert rows.floats in (None, vectors.floats), kind
        assert rows.class_names in (None, vectors.class_names), kind
        assert (rows.floats is None) == (kind in ("hex", "readmemh")), kind


@pytest.mark.parametrize("kind", ["json", "csv", "hex", "readmemh"])
def test_a_row_s_place_is_its_line(kind: str) -> None:
    vectors = made()
    data = write_vectors(vectors, kind, "1.2.3")
    rows = read_vectors(data, kind, vectors.conversion)

    line = data.decode().split("\n")[int(rows.place(5).removeprefix("line ")) - 1]

    assert "7bff" in line


def damaged_npz(**replaced: npt.NDArray[Any]) -> bytes:
    """Return an archive with other arrays."""
    vectors = made()
    arrays = {
        "input": vectors.words,
        "value": np.array(vectors.floats, np.bytes_),
        "code": vectors.codes,
        "class": vectors.classes,
        "classes": np.array(CLASSES, np.bytes_),
    } | replaced
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type] - one of its parameters is a flag
    return out.getvalue()


def compressed_npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, input=np.zeros(3, np.uint16))
    return out.getvalue()


def lying_npz() -> bytes:
    """Return an archive whose first array says it has two terabytes."""
    member, out = io.BytesIO(), io.BytesIO()
    np.save(member, made().words)
    lie = b"'shape': (1099511627776,), }"
    data = member.getvalue().replace(b"'shape': (14,), }           ", lie)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("input.npy", data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("json", b"{", r"it is no json file of vectors: "),
        ("json", b"\xff", r"it is no json file of vectors: it has no cases"),
        ("json", b"[]", r"it is no json file"),
        ("json", b"{}", r"it is no json file of vectors: it has no cases"),
        ("json", b"[" * 100_000, r"it is no json file of vectors: it has no cases"),
        ("json", b'{"cases": [[1, 2]]}', r"line 1 is no row of 4 texts"),
        ("json", b'{\n"cases": [\n["0", "0x0p0"]]}', r"line 3 is no row of 4 texts, input"),
        ("json", b'{\n"cases": [\n["0", "", "100", ""]]}', r"line 3 .*0x100 is no code of E4M3FN"),
        ("json", b'{"cases": []}', r"there is no answer"),
        ("csv", b"", r"it is no csv file"),
        ("csv", b"a,b\n", r"line 1 must be input,value,code,class"),
        ("csv", b"input,value,code,class\n0x0,1\n", r"line 2 has 2 columns"),
        (
            "csv",
            b"input,value,code,class\n0x0,v,0x0,c\n0x0,v,z,c\n",
            r"line 3 is no answer: '0x0 z'",
        ),
        ("csv", b"input,value,code,class\n,,,\n0x0,v,0x0,c\n", r"1 of its rows have no numbers"),
        ("csv", b'input,value,code,class\n"', r"it is no csv file of vectors: "),
        ("hex", b"0000 00\nzz\n", r"line 2 is no answer: 'zz'"),
        ("readmemh", b"// x\n0000_00\n0000\n", r"line 3 is no answer: '0000'"),
        ("readmemh", b"// x\n", r"there is no answer"),
        ("npz", b"PK", r"it is no npz file of vectors: "),
        (
            "npz",
            compressed_npz(),
            r"its array 'input' is compressed, which those of fp8num are not",
        ),
        ("npz", lying_npz(), r"its array 'input' must have 2199023255680 bytes"),
        ("npz", damaged_npz(code=np.zeros(14, np.int64)), r"its arrays have types uint16, int64"),
        ("npz", damaged_npz(code=np.zeros(3, np.uint8)), r"its arrays have shapes"),
        (
            "npz",
            damaged_npz(value=np.array([None] * 14)),
            r"its array 'value' must hold numbers or text",
        ),
        ("npz", damaged_npz(classes=np.zeros(3, "S4")), r"classes or codes that there are none of"),
        ("npz", write_vectors(made(), "npz", "1")[:-30], r"it is no npz file of vectors: "),
    ],
)
def test_a_file_that_is_none_is_refused(kind: str, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_vectors(data, kind, made().conversion)


# Packs.

SMALL: Any = {"cases": "specials", "sources": ["f16"]}


def test_a_pack_has_a_file_for_each_conversion_and_kind(tmp_path: Path) -> None:
    manifest = write_pack(
        tmp_path / "new" / "pack",
        ["e4m3fn", "e5m2"],
        sources=["f32", "f16"],
        roundings=["rne", "rz"],
        saturations=["SatFinite", "SatNone"],
        cases="specials",
        version="1.2.3",
    )
    record = json.loads(manifest.read_text())

    assert manifest == tmp_path / "new" / "pack" / "manifest.json"
    assert record["generator"] == {"name": "fp8num", "version": "1.2.3"}
    assert len(record["files"]) == 2 * 2 * 2 * 2 * 5
    files = files_in(manifest.parent)
    assert files.keys() == {"manifest.json"} | {entry["name"] for entry in record["files"]}
    for entry in record["files"]:
        data = files[entry["name"]]
        assert entry["bytes"] == len(data)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["cases"] == 14
        assert entry["domain"].startswith(f"of {entry['source']}, of both signs: zero, ")
    first = record["files"][0]
    assert (first["rounding"], first["saturation"]) == ("NearestTiesToEven", "SatFinite")
    assert first["format"]["name"] == "E4M3FN"


def test_the_same_pack_has_the_same_bytes(tmp_path: Path) -> None:
    """No date, no order of a set, nothing of the machine."""
    for name in ("one", "two"):
        write_pack(tmp_path / name, ["E4M3FN"], **SMALL)

    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


def test_archives_have_no_date() -> None:
    with zipfile.ZipFile(io.BytesIO(write_vectors(made(), "npz", "1"))) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_new_pack_replaces_an_earlier_one(tmp_path: Path) -> None:
    """And nothing is left of that, nor beside it."""
    write_pack(tmp_path / "pack", ["E5M2"], **SMALL)

    write_pack(tmp_path / "pack", ["E4M3FN"], kinds=["hex"], **SMALL)

    assert files_in(tmp_path / "pack").keys() == {
        "manifest.json",
        "e4m3fn-f16-rne-satfinite.hex",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()

    assert write_pack(tmp_path / "pack", ["E5M2"], **SMALL).is_file()


@pytest.mark.parametrize("what", ["a file of mine", "a pack and a file of mine"])
def test_a_folder_with_something_else_is_left_alone(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    if "pack" in what:
        write_pack(folder, ["E5M2"], **SMALL)
    folder.mkdir(exist_ok=True)
    (folder / "thesis.tex").write_text("mine")
    before = files_in(folder)

    with pytest.raises(ValueError, match=r"hold an earlier pack alone, .* holds 'thesis.tex'"):
        write_pack(folder, ["E4M3FN"], **SMALL)

    assert files_in(folder) == before


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pack").write_text("mine")

    with pytest.raises(ValueError, match=r"output must be a folder, .* is a file; name another"):
        write_pack(tmp_path / "pack", ["E4M3FN"], **SMALL)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_pack_is_whole_or_not_there(
    error: BaseException,
    there: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What fails half way leaves what was there, and nothing besides."""
    folder = tmp_path / "new" / "pack"
    if there:
        write_pack(folder, ["E5M2"], **SMALL)
    before = files_in(folder) if there else {}
    right, calls = packs.write_vectors, []

    def fail(*arguments: Any) -> bytes:
        calls.append(arguments)
        if len(calls) == 3:
            raise error
        return right(*arguments)

    monkeypatch.setattr(packs, "write_vectors", fail)

    with pytest.raises(type(error)):
        write_pack(folder, ["E4M3FN"], **SMALL)
    if there:
        assert files_in(folder) == before
        assert [path.name for path in folder.parent.iterdir()] == ["pack"]
    else:
        assert list(tmp_path.iterdir()) == []


def test_a_pack_that_cannot_be_moved_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pack"
    write_pack(folder, ["E5M2"], **SMALL)
    before = files_in(folder)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)

    with pytest.raises(OSError, match="Input/output error"):
        write_pack(folder, ["E4M3FN"], **SMALL)
    assert files_in(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["xml"]}, r"kinds must be of json, csv, npz, hex, readmemh, .* got xml"),
        ({"kinds": []}, r"each once, got none"),
        ({"kinds": ["hex", "hex"]}, r"each once, got hex, hex"),
        ({"cases": "every"}, r"source must have 16 bits to list every word"),
        ({"cases": "some"}, r"cases must be one of"),
        ({"roundings": ["src"]}, r"rounding must be deterministic"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(
    options: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_pack(tmp_path / "pack", ["E4M3FN"], **options)

    assert list(tmp_path.iterdir()) == []


def test_a_pack_of_a_format_of_one_s_own(tmp_path: Path) -> None:
    """Its name is made harmless; the manifest has its parameters."""
    mine = Format(name="../My fmt", exponent_bits=3, mantissa_bits=2, specials="ieee")

    manifest = write_pack(tmp_path / "pack", [mine, get_format("binary6p3se")], **SMALL)

    record = json.loads(manifest.read_text())
    assert record["files"][0]["name"] == "my-fmt-f16-rne-satfinite.json"
    assert Format(**record["files"][0]["format"]) == mine
