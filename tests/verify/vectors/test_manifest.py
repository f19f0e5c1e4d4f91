"""A pack against its manifest and the definition: whatever is wrong with it is named."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from fp8num.formats import FORMATS, Format
from fp8num.projection import get_projection
from fp8num.verify.vectors import manifest as manifests
from fp8num.verify.vectors.manifest import MANIFEST, check_manifest, read_manifest
from fp8num.verify.vectors.packs import write_pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: 0x7bff, the largest float16, becomes 0x7e.
HEX = "e4m3fn-f16-rne-satfinite.hex"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Return the folder of a small pack: every kind of file, 14 cases."""
    return write_pack(tmp_path / "pack", ["E4M3FN"], sources=["f16"], cases="specials").parent


def rewrite(pack: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest and give it the digest that it then should have."""
    record = json.loads((pack / MANIFEST).read_text())
    change(record)
    record.pop("digest", None)
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    record["digest"] = hashlib.sha256(text.encode()).hexdigest()
    (pack / MANIFEST).write_text(json.dumps(record))


def forge(pack: Path, name: str, data: bytes, **entry: Any) -> None:
    """Put another file in the place of one, and its size and digest into the manifest."""
    (pack / name).write_bytes(data)
    found = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} | entry

    def change(record: dict[str, Any]) -> None:
        next(item for item in record["files"] if item["name"] == name).update(found)

    rewrite(pack, change)


# A pack as it was written.


def test_a_pack_of_the_format_once_called_e4m3_is_still_read(tmp_path: Path) -> None:
    """By its parameters, profile included: ml_dtypes overflows at 248, where 240 is largest."""
    options: dict[str, Any] = {"likes": ["ml_dtypes"], "sources": ["f16"], "cases": "specials"}
    pack = write_pack(tmp_path / "pack", ["E4M3IEEE"], **options).parent

    def rename(record: dict[str, Any]) -> None:
        for entry in record["files"]:
            entry["format"]["name"] = "E4M3"

    rewrite(pack, rename)

    conversion = read_manifest(pack / MANIFEST).entries[0].conversion
    assert conversion.fmt.max == 240
    assert conversion.projection == get_projection(FORMATS["E4M3IEEE"], like="ml_dtypes")


@pytest.mark.parametrize(
    "options",
    [
        {"sources": ["f16", "bf16", "f32", "f64"], "cases": "specials"},
        {"roundings": ["rz", "ro"], "saturations": ["SatNone", "SatPropagate"], "limit": 100},
        {"cases": "structured", "limit": 200, "seed": 7, "sources": ["f64"]},
        {"cases": "boundaries", "likes": ["ml_dtypes"]},
        {"cases": "every", "sources": ["bf16"], "kinds": ["hex"]},
    ],
)
def test_a_pack_as_it_was_written_is_right(options: dict[str, Any], tmp_path: Path) -> None:
    path = write_pack(tmp_path / "pack", ["E4M3FN", "E2M1FN"], **options)

    verdict = check_manifest(path)

    assert verdict.problems == ()
    assert verdict.ok
    assert verdict.exit_code == 0
    assert verdict.cases == sum(entry.cases for entry in read_manifest(path).entries) > 0
    assert check_manifest(path.parent) == verdict


@pytest.mark.parametrize(
    "fmt",
    [
        FORMATS["HIFLOAT8"],
        FORMATS["E8M0FNU"],
        Format(name="mine", exponent_bits=3, mantissa_bits=2, specials="fn", overflow="max"),
        Format(name="m", exponent_bits=2, mantissa_bits=1, specials="fn", subnormals=False),
    ],
    ids=lambda fmt: fmt.name,
)
def test_a_manifest_describes_formats_in_full(fmt: Format, tmp_path: Path) -> None:
    """Whoever checks need not know a format by its name."""
    path = write_pack(tmp_path / "pack", [fmt], cases="specials", kinds=["csv"])

    assert read_manifest(path).entries[0].conversion.fmt == fmt
    assert check_manifest(path).ok


def test_a_verdict_says_what_was_compared(pack: Path) -> None:
    verdict = check_manifest(pack)

    assert str(verdict) == (
        "5 files, 70 cases: as the manifest says, and every code is that of the definition"
    )
    assert verdict.to_dict() == {
        "ok": True,
        "manifest": str(pack / MANIFEST),
        "version": manifests.installed_version(),
        "files": 5,
        "cases": 70,
        "problems": [],
        "notes": [],
    }


def test_another_version_is_said_and_no_problem(tmp_path: Path) -> None:
    """Codes are compared all the same; which cases that version made is not known."""
    path = write_pack(tmp_path / "pack", ["E5M2"], cases="specials", version="0.0.9")

    verdict = check_manifest(path)

    assert verdict.ok
    assert "written by fp8num 0.0.9, this is" in str(verdict).splitlines()[1]


# A pack that something happened to.


def test_a_missing_file_is_named(pack: Path) -> None:
    (pack / HEX).unlink()

    verdict = check_manifest(pack)

    assert verdict.problems == (f"{HEX}: missing",)
    assert verdict.exit_code == 1
    assert str(verdict) == f"5 files, 56 cases: 1 problem\n{HEX}: missing"


def test_a_file_too_many_is_named(pack: Path) -> None:
    (pack / "notes.txt").write_text("mine")
    (pack / "more").mkdir()

    assert check_manifest(pack).problems == (
        "more: not in the manifest",
        "notes.txt: not in the manifest",
    )


@pytest.mark.parametrize("kind", ["json", "csv", "npz", "hex", "mem"])
def test_any_changed_byte_is_noticed(kind: str, pack: Path) -> None:
    """At the beginning, in the middle and at the end of a file of every kind."""
    (path,) = pack.glob(f"e4m3fn*.{kind}")
    right = path.read_bytes()
    for place in (0, len(right) // 3, len(right) // 2, len(right) - 1):
        path.write_bytes(right[:place] + bytes([right[place] ^ 1]) + right[place + 1 :])

        first = check_manifest(pack).problems[0]

        assert first == f"{path.name}: its SHA-256 is not the manifest's: it was changed"
    path.write_bytes(right)
    assert check_manifest(pack).ok


def test_a_changed_code_is_named_with_its_line(pack: Path) -> None:
    path = pack / HEX
    lines = path.read_text().splitlines(keepends=True)
    assert lines[5] == "7bff 7e\n"
    lines[5] = "7bff 7d\n"
    path.write_text("".join(lines))

    assert check_manifest(pack).problems == (
        f"{HEX}: its SHA-256 is not the manifest's: it was changed",
        f"{HEX}: wrong code at line 6: 0x1.ffc0000000000p+15 gives 7e, the file has 7d",
    )


def test_a_truncated_file_is_named(pack: Path) -> None:
    path = pack / HEX
    path.write_bytes(path.read_bytes()[:-8])

    assert check_manifest(pack).problems == (
        f"{HEX}: it has 104 bytes, the manifest says 112",
        f"{HEX}: its SHA-256 is not the manifest's: it was changed",
        f"{HEX}: it has 13 cases, the manifest says 14",
        f"{HEX}: its inputs are not those of its domain",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"seed": 0', '"seed": 1'),
        ("smallest normal, one", "smallest normal, two"),
        ('"version": "', '"version": "9'),
    ],
)
def test_a_changed_manifest_is_noticed(old: str, new: str, pack: Path) -> None:
    """Whatever in it was changed: its own digest does not fit."""
    path = pack / MANIFEST
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    verdict = check_manifest(pack)

    assert verdict.problems[0] == f"{MANIFEST}: it was changed"
    assert not verdict.ok


# A pack whose digests were made to fit.


@pytest.mark.parametrize(
    ("kind", "old", "new", "problem"),
    [
        ("hex", "7bff 7e", "7bff 7f", "wrong code at line 6: 0x1.ffc0000000000p+15 gives 7e, the"),
        ("mem", "7bff_7e", "7bff_7f", "wrong code at line 9: 0x1.ffc0000000000p+15 gives 7e, the"),
        ("csv", "15,0x7e", "15,0x7f", "wrong code at line 7: 0x1.ffc0000000000p+15 gives 7e, the"),
        ("json", '"7e"', '"7f"', "wrong code at line 17: 0x1.ffc0000000000p+15 gives 7e, the"),
        ("csv", "0x1.ffc0", "0x1.ffd0", "wrong value at line 7: '0x1.ffc0000000000p+15', the file"),
        ("json", '"overflow"', '"zero"', "wrong class at line 17: 'overflow', the file has 'zero'"),
    ],
)
def test_a_wrong_row_is_found_although_digests_fit(
    kind: str, old: str, new: str, problem: str, pack: Path
) -> None:
    """The definition is asked, not only the manifest."""
    (path,) = pack.glob(f"e4m3fn*.{kind}")
    text = path.read_text()
    assert old in text
    forge(pack, path.name, text.replace(old, new, 1).encode())

    (found,) = check_manifest(pack).problems

    assert found.startswith(f"{path.name}: {problem}")


def test_many_wrong_codes_are_counted(pack: Path) -> None:
    text = (pack / HEX).read_text()
    forge(pack, HEX, text.replace(" 7e", " 01").replace(" 8", " 1").encode())

    found = check_manifest(pack).problems

    assert len(found) == 6
    assert found[-1] == f"{HEX}: and 1 more"


def test_other_inputs_than_the_domain_s_are_found(pack: Path) -> None:
    """Right codes of other cases are not what the manifest says."""
    text = (pack / HEX).read_text()
    forge(pack, HEX, text.replace("7bff 7e", "7bfe 7e").encode())

    assert check_manifest(pack).problems == (f"{HEX}: its inputs are not those of its domain",)


def test_another_domain_is_found(pack: Path) -> None:
    rewrite(pack, lambda record: record["files"][0].update(domain="all float16 numbers"))

    (problem,) = check_manifest(pack).problems

    assert "its domain should be 'of float16, of both signs: zero," in problem
    assert problem.endswith("it is 'all float16 numbers'")


def test_another_projection_gives_wrong_codes(pack: Path) -> None:
    """The codes are compared with those of the projection that the manifest names."""
    rewrite(pack, lambda record: [file.update(saturation="SatNone") for file in record["files"]])

    assert any("wrong code at line 6" in problem for problem in check_manifest(pack).problems)


def test_a_link_is_not_followed(pack: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.hex"
    (pack / HEX).rename(elsewhere)
    (pack / HEX).symlink_to(elsewhere)

    assert check_manifest(pack).problems == (f"{HEX}: not a regular file",)


def test_a_pack_without_files_is_not_right(pack: Path) -> None:
    """Nothing compared is no agreement."""
    for path in pack.iterdir():
        if path.name != MANIFEST:
            path.unlink()
    rewrite(pack, lambda record: record.update(files=[]))

    verdict = check_manifest(pack)

    assert (verdict.ok, verdict.exit_code) == (False, 1)
    assert str(verdict) == "0 files, 0 cases: 1 problem\nnothing was compared"


# What is no manifest.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"is no manifest of vectors: Expecting value"),
        (b"\xff\xfe", r"is no manifest of vectors: 'utf-8' codec"),
        (b"[]", r"is no manifest of vectors: it must be a mapping, got list \[\]"),
        (b"{}", r"its schema is not 'fp8num vectors'"),
        (b"[" * 100_000, r"is no manifest of vectors: it is nested too deeply"),
        (b'{"schema": "fp8num vectors"}', r"its schema has version None"),
    ],
)
def test_what_is_no_manifest_is_refused(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text)

    with pytest.raises(ValueError, match=message):
        check_manifest(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, r"its schema has version 2, this fp8num reads version 1"),
        ({"generator": {}}, r"generator of the manifest must also have name, version"),
        ({"generator": {"name": "x", "version": 1}}, r"version of .* must be text, got int 1"),
        ({"cases": {"set": "x", "limit": None, "seed": 0}}, r"set of .* must be one of .*got 'x'"),
        ({"cases": {"set": "every", "limit": "1", "seed": 0}}, r"limit of .* integer .* got '1'"),
        ({"files": None}, r"is no manifest of vectors"),
        ({"files": [None]}, r"is no manifest of vectors"),
    ],
)
def test_a_manifest_must_be_whole(change: dict[str, Any], message: str, pack: Path) -> None:
    rewrite(pack, lambda record: record.update(change))

    with pytest.raises(ValueError, match=message):
        check_manifest(pack)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../../etc/passwd"}, r"must be a plain name of a file, got '../../etc/passwd'"),
        ({"name": ".."}, r"must be a plain name of a file, got '..'"),
        ({"name": ""}, r"must be a plain name of a file, got ''"),
        ({"name": 3}, r"name of item 0 of files .* must be text, got int 3"),
        ({"name": MANIFEST}, r"must be a plain name of a file"),
        ({"name": HEX}, r"it lists a file twice"),
        ({"kind": "exe"}, r"kind of .* must be one of .* got 'exe'"),
        ({"bytes": "12"}, r"bytes of item 0 of files of the manifest must be an integer .* '12'"),
        ({"sha256": None}, r"sha256 of .* must be text, got NoneType"),
        ({"source": "int8"}, r"source must be one of"),
        ({"rounding": "up"}, r"rounding must be one of"),
        ({"like": "nobody"}, r"like must be one of"),
        ({"format": {"name": "E4M3FN"}}, r"format E4M3FN is defined otherwise here"),
        ({"format": {"exponent_bits": 99}}, r"is no manifest of vectors"),
        ({"format": []}, r"is no manifest of vectors"),
    ],
)
def test_an_entry_must_be_whole(change: dict[str, Any], message: str, pack: Path) -> None:
    """Nor may it name a file outside of the folder."""
    rewrite(pack, lambda record: record["files"][0].update(change))

    with pytest.raises(ValueError, match=message):
        check_manifest(pack)


def test_a_manifest_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_manifest(tmp_path)
