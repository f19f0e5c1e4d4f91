"""What somebody else wrote: JSON, records and files, refused in one line if they are wrong."""

from __future__ import annotations

import io
import os
import shutil
import signal
import tracemalloc
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import _archives, ops
from fp8num._reading import InputError, json_members, parse_json
from fp8num.cli import main
from fp8num.formats import E4M3FN, format_from_dict
from fp8num.inputs import npz, open_tensors, safetensors
from fp8num.inputs.parts import open_parts
from fp8num.nn.checkpoints import load_checkpoint
from fp8num.nn.compare import compare
from fp8num.nn.data import spirals
from fp8num.nn.dataset import generator_from, generator_state
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.processes import processes
from fp8num.nn.train import train
from fp8num.scaling import Rule, get_rule
from fp8num.scaling.delayed import DelayedState, start
from fp8num.verify import Encoder
from fp8num.verify.sweeping.journal import Journal
from fp8num.verify.sweeping.sweep import sweep
from fp8num.verify.vectors.manifest import check_manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOSTILE = Path(__file__).parent / "data" / "hostile"

# JSON.


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Expecting value"),
        (b"\xff{}", "can't decode byte 0xff"),
        (b"\xef\xbb\xbf{}", "Expecting value"),
        ("{}".encode("utf-16"), "can't decode byte"),
        (b'{"a": 1, "a": 1}', "the key 'a' occurs twice"),
        (b'[{"a\\u001b": 1, "a\\u001b": 1}]', r"the key 'a\\x1b' occurs twice"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "the number '1e999' is beyond float64"),
        (b"9" * 5000, "an integer of 5000 digits is too long"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 150 + b"]" * 150, "nested too deeply, more than 100 levels"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, "nested too deeply"),
        (b"01", "Extra data"),
        (b"{} {}", "Extra data"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_json_is_refused(data: bytes, message: str) -> None:
    """RFC 8259: UTF-8, names that are unique, numbers that are some."""
    with pytest.raises(InputError, match=message) as caught:
        parse_json(data)
    assert str(caught.value).isprintable()


def test_json_is_read_as_it_stands() -> None:
    found = parse_json('{"π": [1, -0.5, 1e-999, null, true, {"": "\\ud83d\\ude00"}]}'.encode())
    assert found == {"π": [1, -0.5, 0.0, None, True, {"": "😀"}]}
    assert parse_json(b"[" * 100 + b"]" * 100)
    assert parse_json("[NaN, Infinity]", constants=True)[1] == float("inf")


def test_a_text_of_too_many_values_is_refused_before_it_is_parsed() -> None:
    """An empty list takes three bytes of text and 64 of memory."""
    data = b"[" + b"[]," * 2_000_000 + b"[]]"
    tracemalloc.start()
    with pytest.raises(InputError, match="it holds 4000002 values or more in 6000004 bytes"):
        parse_json(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "not a JSON object, it begins with b"),
        (b"{1: 2}", "no key in quotes"),
        (b'{"a" 1}', "no key in quotes and colon"),
        (b'{"a": }', "no value at byte"),
        (b'{"a": 1', "no comma or end of an object"),
        (b'{"a": [1', "no value at byte 6, or none that ends"),
        (b'{"a": 1]', "no comma or end"),
        (b'{"a": 1} x', "goes on after the end"),
        (b'{"a": "' + b"x" * 99 + b'"}', "or none that ends within 50 bytes"),
        (b'{"a": ' + b"[" * 2000, "no value|nested too deeply"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_object_that_is_none_is_refused_by_its_members(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(json_members(bytearray(data), lambda _: 50))


def test_members_are_found_unparsed() -> None:
    """Whatever stands in their strings."""
    data = bytearray(b' {"a": 1 , "b\\"}": {"c": "}]\\\\"}, "d":[[], {}] , "e" : null } ')
    assert list(json_members(data, lambda _: 50)) == [
        ("a", b"1"),
        ('b"}', b'{"c": "}]\\\\"}'),
        ("d", b"[[], {}]"),
        ("e", b"null"),
    ]
    assert list(json_members(bytearray(b"{ }"), lambda _: 0)) == []


# Records.


def changed(record: dict[str, Any], **change: object) -> dict[str, Any]:
    return {**record, **change}


@pytest.mark.parametrize(
    ("make", "record", "message"),
    [
        (format_from_dict, None, "must be a mapping"),
        (format_from_dict, [1], "must be a mapping"),
        (format_from_dict, changed(E4M3FN.to_dict(), bias=True), "bias of .* got True"),
        (format_from_dict, changed(E4M3FN.to_dict(), name="x" * 9999), "at most 200 characters"),
        (format_from_dict, changed(E4M3FN.to_dict(), specials="x" * 9999), "specials must be"),
        (format_from_dict, changed(fp.HIFLOAT8.to_dict(), table=[[0, 0]]), "table of .* a list of"),
        (format_from_dict, changed(fp.HIFLOAT8.to_dict(), nan=10**6), "nan must be an integer"),
        (format_from_dict, changed(fp.HIFLOAT8.to_dict(), table=[[0, 0, 10**5]]), "format must"),
        (Rule.from_dict, None, "must be a mapping"),
        (Rule.from_dict, changed(get_rule("tensor").to_dict(), formats=3), "formats of .* a list"),
        (Rule.from_dict, changed(get_rule("tensor").to_dict(), name="x" * 9999), "short text"),
        (
            Rule.from_dict,
            changed(get_rule("tensor").to_dict(), finder={"part": "BestClip", "steps": 10**12}),
            "steps from 1 to 65536, got 0.5 and 1000000000000",
        ),
        (
            Rule.from_dict,
            changed(
                get_rule("tensor").to_dict(), rotation={"part": "Rotation", "signs": [1] * 4**8}
            ),
            "a power of four of them up to 1024, got 65536",
        ),
        (
            Rule.from_dict,
            changed(get_rule("tensor").to_dict(), scale={"part": "PowerOfTwo", "largest": 300}),
            "largest must be a code of E8M0FNU, from 0 to 255, got 300",
        ),
        (DelayedState.from_dict, [], "must be a mapping"),
        (
            DelayedState.from_dict,
            changed(start("te-delayed", length=1).to_dict(), scale="0x1p9999"),
            "scale of a state must be a float32 in hexadecimal, got '0x1p9999'",
        ),
        (
            DelayedState.from_dict,
            changed(start("te-delayed", length=1).to_dict(), history=["0x1.000001p+0"] * 2 + ["1"]),
            "item 0 of history of a state must be a float32|must hold",
        ),
        (generator_from, None, "state must be what .*, of PCG64"),
        (
            generator_from,
            changed(generator_state(np.random.Generator(np.random.Philox(3))), buffer_pos=-(10**6)),
            "a position must be an integer, at least 0, got -1000000",
        ),
        (
            generator_from,
            changed(
                generator_state(np.random.Generator(np.random.MT19937(3))),
                state={"key": [0] * 624, "pos": 10**6},
            ),
            "a position of 1000000, beyond 624",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_description_of_nothing_is_refused(
    make: Callable[[Any], object], record: object, message: str
) -> None:
    """With one ValueError in one line, whatever it holds."""
    with pytest.raises(ValueError, match=message) as caught:
        make(record)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


# Files that were found.


@pytest.mark.parametrize("name", [f"ck1-0{i}.npz" for i in range(6)])
def test_a_hostile_checkpoint_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    shutil.copy(HOSTILE / name, path)
    with pytest.raises(ValueError, match="checkpoint .* (damaged|does not hold)") as caught:
        train(
            spirals(),
            sizes=(2, 4, 3),
            recipe="te-delayed",
            epochs=1,
            batch=4096,
            loss_scaler=LossScaler(),
            checkpoint=path,
            resume=True,
        )
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("js3-01.jsonl", r"chunk 11 .* a class must be one of those of a sweep, got \{'rule'"),
        ("js3-02.jsonl", r"chunk 3 .* must be an integer from 0 to 255, got '\\x1b\[31mx'"),
    ],
)
def test_a_hostile_journal_is_refused(name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    shutil.copy(HOSTILE / name, path)
    with pytest.raises(ValueError, match=message):
        sweep(
            Encoder(rounding="rz"),
            "E4M3FN",
            source="bfloat16",
            digests=True,
            chunk_bits=12,
            journal=path,
        )


def test_tensors_without_elements_are_multiplied(capsys: pytest.CaptureFixture[str]) -> None:
    """A product of no outputs: (0, 32) times (32, 0)."""
    path = str(HOSTILE / "st11-00.safetensors")
    assert main(["gemm", path, path, "--transpose-b", "--accumulator", "exact"]) == 0
    assert capsys.readouterr().out.startswith("(0, 32) E4M3FNUZ times (32, 0) E4M3FNUZ")


# Memory.


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    with pytest.raises(ValueError, match="save|damaged"):
        work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def bomb(path: Path, member: str, count: int) -> Path:
    """Write zeros that take a thousandth of themselves."""
    head = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(head, fields)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, head.getvalue() + bytes(4 * count))
    return path


def test_a_checkpoint_does_not_unfold(tmp_path: Path) -> None:
    """It is not compressed; 40 MB of zeros in 40 kB are none."""
    path = bomb(tmp_path / "x.npz", "checkpoint.npy", 10_000_000)
    with pytest.raises(ValueError, match=r"damaged \(its member 'checkpoint.npy' is compressed"):
        load_checkpoint(path)
    assert peak_of(lambda: load_checkpoint(path)) < 1_000_000


def test_whole_arrays_do_not_unfold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read block by block may; what is read at once is bounded by its file."""
    path = bomb(tmp_path / "x.npz", "x.npy", 1_000_000)
    monkeypatch.setattr(npz, "ALLOWED", 2_000_000)
    assert sum(len(block) for block in open_tensors(path).tensors[0].blocks()) == 1_000_000
    with pytest.raises(InputError, match="would take 4000000 bytes of memory, from a file of"):
        list(open_tensors(path).tensors[0].blocks(1_000_000))
    with pytest.raises(InputError, match="would take 4000128 bytes of memory, from a file of"):
        open_parts(path)


def test_a_directory_of_an_archive_is_measured_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **{f"a{i}": np.zeros(1) for i in range(30)})
    open_tensors(path)
    monkeypatch.setattr(_archives, "MAX_DIRECTORY", 1000)
    with pytest.raises(InputError, match="its directory has .* bytes, more than the allowed 1000"):
        open_tensors(path)


@pytest.mark.parametrize(
    ("start", "unit", "end"),
    [
        (b'{"__metadata__":{"a":[', b"[],", b"0]}}"),
        (b'{"x":{"dtype":"F4","shape":[', b"{},", b"0]}}"),
        (b'{"x":{"dtype":"F4","data_offsets":[0,0],"shape":[0],"y":{', b'"a":0,', b'"b":0}}}'),
    ],
    ids=["metadata", "shape", "keys"],
)
def test_a_header_takes_little_more_than_its_size(
    start: bytes, unit: bytes, end: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists that are empty took 27 times as much."""
    monkeypatch.setattr(safetensors, "MAX_METADATA", 1 << 16)
    text = start + unit * (2_000_000 // len(unit)) + end
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert peak_of(lambda: open_tensors(path)) < 2 * len(text)


# Pipes and devices.


@pytest.fixture
def alarm() -> Iterator[None]:
    """End a read that waits for a writer."""

    def stop(*_: object) -> None:
        msg = "it waits"
        raise TimeoutError(msg)

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.usefixtures("alarm")
def test_only_regular_files_are_read(kind: str, tmp_path: Path) -> None:
    """A pipe would wait for a writer, and some devices have no end."""
    path = {"pipe": tmp_path / "manifest.json", "device": Path("/dev/zero"), "folder": tmp_path}
    if kind == "pipe":
        os.mkfifo(path[kind])
    for read in (
        load_checkpoint,
        open_tensors,
        open_parts,
        read_manifest,
        lambda path: Journal(path, {}),
    ):
        with pytest.raises(ValueError, match="is not a regular file|is a directory") as caught:
            read(path[kind])
        assert str(caught.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
@pytest.mark.usefixtures("alarm")
def test_a_pipe_in_the_place_of_a_file_is_noticed(tmp_path: Path) -> None:
    """Between the look at its name and its opening."""
    path = tmp_path / "x.npy"
    np.save(path, np.ones(4, np.float32))
    tensor = open_tensors(path).tensors[0]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="was changed after it was opened"):
        list(tensor.blocks())
    with pytest.raises(FileNotFoundError):
        check_manifest(tmp_path / "none")


# Numbers that are absurd.


@pytest.mark.parametrize("threads", [10**9, 0, -1, True, 1.5, "2", None, 10**400], ids=str)
def test_threads_are_a_few(threads: Any) -> None:
    """In every function that takes them."""
    x, codes = np.ones(3, np.float32), np.zeros(3, np.uint8)
    fmt = E4M3FN
    rule = get_rule("tensor")
    for call in (
        lambda: fp.encode(x, fmt, threads=threads),
        lambda: fp.quantize(x, fmt, threads=threads),
        lambda: fp.decode(codes, fmt, threads=threads),
        lambda: fp.convert(codes, fmt, "E5M2", threads=threads),
        lambda: ops.add(codes, codes, fmt, threads=threads),
        lambda: ops.less(codes, codes, fmt, threads=threads),
        lambda: fp.nextafter(codes, codes, fmt, threads=threads),
        lambda: fp.scale_quantize(x, rule, threads=threads),
        lambda: fp.scaling.find_scales(x, rule, threads=threads),
        lambda: fp.scaling.apply_scales(x, 1.0, rule, threads=threads),
        lambda: start("te-delayed", length=1).quantize(x, threads=threads),
        lambda: fp.matmul(codes[None], codes[:, None], fmt, fmt, threads=threads),
    ):
        with pytest.raises(
            (TypeError, ValueError), match="threads must be an? .*integer"
        ) as caught:
            call()
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("count", [10**9, 0, -1, True, 1.5], ids=str)
@pytest.mark.usefixtures("alarm")
def test_processes_are_a_few(count: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="count must be .* from 1 to 1024"):
        processes(count).__enter__()
    with pytest.raises((TypeError, ValueError), match="workers must be an integer from 1 to 1024"):
        sweep(Encoder(), "E4M3FN", source="float16", workers=count)


@pytest.mark.usefixtures("alarm")
def test_a_training_has_an_end() -> None:
    """Steps, of which each has a rate and a record in memory, and trainings."""
    data = spirals(n=40, test=6)
    with pytest.raises(ValueError, match="epochs must be at most 5000000 of 2 steps each, got 10"):
        train(data, epochs=10**18, batch=20)
    with pytest.raises(ValueError, match="epochs must be at most .* got an integer of 1329 bits"):
        train(data, epochs=10**400, batch=20)
    with pytest.raises(ValueError, match="seeds must be an integer from 1 to 100000"):
        compare(data, ["mxfp8"], seeds=10**18)
    with pytest.raises(ValueError, match="seeds must be at most 1000000, got 1000000000000000000"):
        compare(data, ["mxfp8"], seeds=range(10**18))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "1" + "0" * 18], "epochs must be at most 434782 of 23 steps"),
        (["--compare", "mxfp8", "--workers", "1" + "0" * 9], "--workers must be at most 1024"),
        (["--compare", "mxfp8", "--seeds", "1" + "0" * 18], "--seeds must be at most 1000000"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("alarm")
def test_the_command_says_so(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err
