"""
Files of every kind that is read here, mutated by what they are made of, and read again.

::

    seed, number --> kind, mutation --> file --> reader --> read, or ValueError in one line

A checksum is made anew where there is one: damage that it would notice is not the only kind.
Run as a program it prints what came out; `python mutated.py COUNT [SEED]`.
"""

from __future__ import annotations

import faulthandler
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter, defaultdict
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num.formats import E4M3FN, format_from_dict
from fp8num.formats.tabulated import MXINT8
from fp8num.inputs import load_scaled, open_tensors, read_dumps, save_scaled
from fp8num.inputs.parts import open_parts
from fp8num.nn.checkpoints import _digest
from fp8num.nn.data import spirals
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.recipe import Recipe
from fp8num.nn.recipes import get_recipe
from fp8num.nn.train import train
from fp8num.projection import get_projection
from fp8num.scaling import Rule, get_rule, scale_quantize
from fp8num.scaling.delayed import DelayedState, start
from fp8num.verify.hexlines import parse_results
from fp8num.verify.implementation import Encoder, ImplementationError
from fp8num.verify.lines import check_lines
from fp8num.verify.sources import get_source
from fp8num.verify.sweeping.sweep import sweep
from fp8num.verify.vectors.conversion import conversions
from fp8num.verify.vectors.kinds import SUFFIXES, read_vectors
from fp8num.verify.vectors.manifest import check_manifest
from fp8num.verify.vectors.packs import write_pack

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 10  #: that a file of some kilobytes may take
#: What a file may take beyond four times its size.
ALLOWED = 200_000_000

_DEEP: Any = 0
for _ in range(60):
    _DEEP = [_DEEP]
#: What may stand anywhere in a JSON text; some are no JSON.
HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 255, 256, 2**31, 2**62, 2**63, -(2**63), 2**64, 10**400),
    *(0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "x" * 10_000, "0x1p9999", "nan"),
    *("\x1b[31m\n", "\ud800", "../../up", "/etc/passwd", "\0", "E4M3", "tensor", "Held"),
    *([], {}, [[]], {"a": 1}, [1, 2, 3], {"format": {}}, {"part": "Held"}, {"rule": {}}, _DEEP),
    *(list(range(300)), [2**40, 2**40], ["f4", 1], {"tree": None}, {"array": "x", "scalar": 1}),
]
#: What takes the place of a number in a text.
NO_JSON = ["NaN", "-Infinity", "1e999", "9" * 6000, "[" * 5000, "01", "tru", '"\\ud800"', "\ufeff"]


# What is mutated: text, JSON, bytes, archives.


def nodes(value: Any, found: list[tuple[Any, Any]] | None = None) -> list[tuple[Any, Any]]:
    """Return every place in a JSON value: its container and key."""
    found = [] if found is None else found
    for key in value if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            nodes(value[key], found)
    return found


def mutate_json(rng: random.Random, value: Any) -> Any:
    """Change a JSON value in one to three places."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = nodes(value) if isinstance(value, dict | list) else []
        if not places or rng.random() < 0.01:
            return deepcopy(rng.choice(HOSTILE))
        box, key = rng.choice(places)
        match rng.randrange(7):
            case 0:
                del box[key]
            case 1 if isinstance(box, dict):
                box[rng.choice(["x", "", "x" * 10_000, "\x1b", key + key])] = box.pop(key)
            case 1 | 2 if isinstance(box, list):
                box.insert(key, deepcopy(box[key]))
            case 3:
                other, name = rng.choice(places)
                try:
                    box[key] = json.loads(json.dumps(other[name]))
                except (KeyError, IndexError):
                    box[key] = None
            case 4 if isinstance(box[key], int | float):
                box[key] = rng.choice([-box[key], box[key] + 1, box[key] * 2, str(box[key]), 1.5])
            case _:
                box[key] = deepcopy(rng.choice(HOSTILE))
    return value


def write_json(rng: random.Random, value: Any, **options: Any) -> str:
    """Write a value, now and then as something that is no JSON."""
    text = json.dumps(value, **options)
    if rng.random() < 0.1:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(NO_JSON) + text[at + rng.randrange(3) :]
    elif rng.random() < 0.05 and text.startswith("{") and len(text) > 2:
        text = "{" + text[1:-1] + "," + text[1:]  # every key twice
    return text


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Flip bits, cut, insert, repeat and shuffle, or write extreme numbers over some bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        size = len(changed)
        at = rng.randrange(size + 1)
        match rng.randrange(8):
            case 0 | 1 if size:
                changed[min(at, size - 1)] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at:]
            case 3:
                del changed[at : at + rng.randrange(64)]
            case 4:
                changed[at:at] = rng.randbytes(rng.randrange(40))
            case 5:
                changed[at:at] = changed[at : at + rng.randrange(200)]
            case 6:
                cut = rng.randrange(size + 1)
                changed = changed[cut:] + changed[:cut]
            case _:
                width = rng.choice((1, 2, 4, 8))
                number = rng.choice([0, 1, -1, 1 << (8 * width - 1), size, size + 1])
                word = (number % (1 << 8 * width)).to_bytes(width, "little")
                changed[at : at + width] = word
    return bytes(changed)


def mutate_npy(rng: random.Random, data: bytes) -> bytes:
    """Change the header's literal, or its length."""
    length = int.from_bytes(data[8:10], "little")
    text, rest = data[10 : 10 + length].decode("latin-1"), data[10 + length :]
    old, new = rng.choice(
        [
            ("'descr': '", "'descr': '" + rng.choice("<>|OMV,")),
            (
                "'descr': '",
                rng.choice(["'descr': [('a', '<f4')], 'x': '", "'descr': '|O', 'x': '"]),
            ),
            (
                "(",
                rng.choice(["(-1, ", "(2**9, ", "(True, ", f"({10**30}, ", "(0, ", "(1.0, ", "(("]),
            ),
            ("False", rng.choice(["True", "0", "None", "[False]"])),
            ("'shape'", rng.choice(["'shapes'", "'shape': (1,), 'shape'", "b'shape'"])),
            ("{", rng.choice(["{" * 200, "[", "-" * 3000 + "{", "{**{}, "])),
            ("f4", rng.choice(["f1", "f16", "f3", "f0", "U1", "U0", "S9999999", "c8", "V2", "b1"])),
        ]
    )
    head = text.replace(old, new, 1).encode("latin-1")
    return data[:8] + struct.pack("<H", len(head) & 0xFFFF) + head + rest


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(members: list[tuple[str, bytes]], methods: Callable[[], int]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in members:
                archive.writestr(zipfile.ZipInfo(name), content, methods())
    return stream.getvalue()


def mutate_zip(rng: random.Random, data: bytes) -> bytes:
    """Rebuild an archive with other members, names or methods; or lie in its directory."""
    members = list(members_of(data).items())
    at = rng.randrange(len(members))
    name, content = members[at]
    match rng.randrange(8):
        case 0:
            members[at] = (
                rng.choice(["../up.npy", "/root/up.npy", "", "x" * 9000, "\x1b.npy"]),
                content,
            )
        case 1:
            members.append((name, rng.choice(members)[1]))
        case 2:
            del members[at]
        case 3:
            rng.shuffle(members)
        case 4:
            members[at] = name, mutate_bytes(rng, content)
        case 5 | 6 if content[:6] == b"\x93NUMPY":
            members[at] = name, mutate_npy(rng, content)
        case _:
            pass
    method = rng.choice(
        [zipfile.ZIP_STORED] * 4 + [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]
    )
    built = bytearray(archive_of(members, lambda: method))
    if rng.random() < 0.4:  # a field of the directory, or of a member's own header
        mark = rng.choice([b"PK\x01\x02", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"])
        start = built.find(mark)
        offset = rng.choice([6, 8, 10, 12, 16, 20, 24, 28, 30, 32, 34, 38, 42])
        number = rng.choice([0, 1, 2, 8, 12, 14, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(built)])
        width = rng.choice((2, 4))
        if start >= 0:
            built[start + offset : start + offset + width] = (number % (1 << 8 * width)).to_bytes(
                width, "little"
            )
    return bytes(built)


def mutate_safetensors(rng: random.Random, data: bytes) -> bytes:
    """Change the header as JSON, with its length right or not."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    texts = header.get("__metadata__", {})
    described = [key for key in texts if key.startswith("fp8num.")]
    if described and rng.random() < 0.6:  # a description in it
        key = rng.choice(described)
        texts[key] = write_json(rng, mutate_json(rng, json.loads(texts[key])))
    else:
        header = mutate_json(rng, header)
    text = write_json(rng, header).encode("utf-8", "surrogatepass")
    size = len(text) + (rng.choice([0, 1, -1, 2**40, 2**63]) if rng.random() < 0.05 else 0)
    return (size % 2**64).to_bytes(8, "little") + text + data[8 + length :]


def npy_bytes(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def mutate_checkpoint(rng: random.Random, data: bytes) -> bytes:
    """Change the state, or an array, and make the checksum of what it is then."""
    arrays = {
        name.removesuffix(".npy"): np.load(io.BytesIO(content))
        for name, content in members_of(data).items()
    }
    text = arrays.pop("checkpoint")
    del arrays["sha256"]
    if rng.random() < 0.6:
        header = write_json(rng, mutate_json(rng, json.loads(text.tobytes())))
        text = np.frombuffer(header.encode("utf-8", "surrogatepass"), np.uint8)
    else:
        name = rng.choice(sorted(arrays))
        array = arrays[name]
        arrays[name] = rng.choice(
            [
                array[..., None],
                array.reshape(-1)[:-1],
                array.astype("U9") if array.dtype.kind != "U" else np.zeros(array.shape),
                np.zeros(
                    array.shape, rng.choice(["c8", "V3", "i4", "?", "f8", "S2", "M8[s]", ">f4"])
                ),
                np.full(array.shape, -1, "i8"),
                np.zeros((0, 3)),
            ]
        )
    digest = np.frombuffer(_digest(text, arrays), np.uint8)
    parts = {"checkpoint": text, "sha256": digest, **arrays}
    members = [(f"{name}.npy", npy_bytes(array)) for name, array in parts.items()]
    return archive_of(members, lambda: zipfile.ZIP_STORED)


def mutate_journal(rng: random.Random, data: bytes) -> bytes:
    """Change the data of a line and sign it."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    if rng.random() < 0.2:
        lines[at : at + rng.randrange(2)] = [rng.choice(lines)]
    record = mutate_json(rng, json.loads(lines[min(at, len(lines) - 1)])["data"])
    try:
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    except TypeError:  # keys that do not compare
        text = "{}"
    check = hashlib.sha256(text.encode()).hexdigest()[:16]
    lines[min(at, len(lines) - 1)] = f'{{"check":"{check}","data":{text}}}'.encode()
    return b"\n".join(lines) + b"\n" * rng.randrange(2)


def mutate_manifest(rng: random.Random, data: bytes) -> bytes:
    """Change the record, and make its digest anew."""
    record = json.loads(data)
    del record["digest"]
    record = mutate_json(rng, record)
    if isinstance(record, dict):
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        record["digest"] = hashlib.sha256(text.encode("ascii")).hexdigest()
    return write_json(rng, record).encode("utf-8", "surrogatepass")


def mutate_lines(rng: random.Random, data: bytes) -> bytes:
    """Change a line, or its place."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = rng.choice(
        [lines[at] * 2, lines[at] * 300, b"", b"0" * 3000, b"#", b'"', b",,,", b"\0"]
    )
    rng.shuffle(lines) if rng.random() < 0.2 else None
    return b"\n".join(lines)


def mutate_text_json(rng: random.Random, data: bytes) -> bytes:
    return write_json(rng, mutate_json(rng, json.loads(data))).encode("utf-8", "surrogatepass")


# What is read.


def read_tensors(path: Path) -> None:
    for tensor in open_tensors(path).tensors:
        for _ in tensor.blocks(1 << 16):
            pass


def read_parts(path: Path) -> None:
    for part in open_parts(path).tensors.values():
        if part._reader is not None:
            part.read()


def read_scaled(path: Path) -> None:
    for scaled in load_scaled(path).values():
        scaled.dequantize()
    read_dumps(path)


DATA = spirals(n=40, test=6)
RECIPE = replace(get_recipe("te-delayed"), length=3)
OPTIONS: dict[str, Any] = {"epochs": 1, "batch": 20, "sizes": (2, 4, 3), "recipe": RECIPE}


def resume(path: Path) -> None:
    train(DATA, **OPTIONS, loss_scaler=LossScaler(), capture=[1], checkpoint=path, resume=True)


def resweep(path: Path) -> None:
    found = sweep(
        Encoder(rounding="rz"),
        E4M3FN,
        source="bfloat16",
        first=0x3E00,
        count=256,
        chunk_bits=7,
        digests=True,
        journal=path,
    )
    str(found)


def read_lines(path: Path) -> None:
    source = get_source("float16")
    with path.open(encoding="utf-8", errors="replace") as stream:
        str(check_lines(stream, E4M3FN, source, get_projection(E4M3FN), cases=None))
    try:
        with path.open("rb") as binary:
            parse_results(binary, source, E4M3FN)
    except ImplementationError as error:
        raise ValueError(error.detail) from error


def describe(make: Callable[[Any], Any]) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from fp8num._reading import parse_json

        str(make(parse_json(path.read_bytes())))

    return read


def make_rule(record: Any) -> Any:
    rule = Rule.from_dict(record)
    return scale_quantize(np.ones((2, 16), np.float32), rule) if len(rule.name) < 9 else rule


# The kinds: a valid file, its mutations, its readers.


def samples(folder: Path) -> dict[str, bytes]:
    """Write a valid file of every kind."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 32)).astype(np.float32)
    scaled = scale_quantize(x, "mxfp8-e4m3fn"), scale_quantize(x, "nvfp4")
    found: dict[str, bytes] = {"npy": npy_bytes(x)}
    for kind, save in (("npz", np.savez), ("deflated.npz", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, codes=scaled[0].codes, scales=scaled[0].scales, w=x, n=np.arange(3))
        found[kind] = stream.getvalue()
    save_scaled(folder / "scaled", {"w": scaled[0], "v": scaled[1]})
    found["scaled.safetensors"] = (folder / "scaled").read_bytes()
    entries = {
        "__metadata__": {"k": "v"},
        "w": {"dtype": "F8_E4M3", "shape": [4, 32], "data_offsets": [0, 128]},
        "w_scale": {"dtype": "F32", "shape": [4, 1], "data_offsets": [128, 144]},
        "q_packed": {"dtype": "U8", "shape": [2, 8], "data_offsets": [144, 160]},
    }
    text = json.dumps(entries).encode()
    found["dump.safetensors"] = len(text).to_bytes(8, "little") + text + bytes(range(160))
    train(DATA, **OPTIONS, loss_scaler=LossScaler(), capture=[1], checkpoint=folder / "run.npz")
    found["checkpoint"] = (folder / "run.npz").read_bytes()
    resweep(folder / "sweep.jsonl")
    found["journal"] = (folder / "sweep.jsonl").read_bytes()
    write_pack(folder / "pack", ["E4M3FN"], sources=["float16"], cases="specials")
    for path in sorted((folder / "pack").iterdir()):
        found[f"pack/{path.name}"] = path.read_bytes()
    found["lines"] = next(data for name, data in found.items() if name.endswith(".hex"))
    records = {
        "recipe": get_recipe("te-delayed").to_dict(),
        "rule": get_rule("te-nvfp4-rht").to_dict(),
        "state": start("te-delayed", length=4).to_dict(),
        "format": E4M3FN.to_dict(),
        "table": MXINT8.to_dict(),
    }
    return found | {kind: json.dumps(record).encode() for kind, record in records.items()}


Mutation = Any  # Callable[[random.Random, bytes], bytes]
ARCHIVE: list[Mutation] = [mutate_bytes, mutate_zip, mutate_zip]
READERS: dict[str, tuple[list[Mutation], list[Any], str]] = {
    "npy": ([mutate_bytes, mutate_npy], [read_tensors], "x.npy"),
    "npz": (ARCHIVE, [read_tensors, read_parts, read_dumps], "x.npz"),
    "deflated.npz": (ARCHIVE, [read_tensors, read_parts], "x.npz"),
    "scaled.safetensors": (
        [mutate_bytes, mutate_safetensors, mutate_safetensors],
        [read_scaled, read_tensors],
        "x.safetensors",
    ),
    "dump.safetensors": (
        [mutate_bytes, mutate_safetensors, mutate_safetensors],
        [read_dumps, read_parts, read_tensors],
        "x.safetensors",
    ),
    "checkpoint": ([*ARCHIVE, mutate_checkpoint, mutate_checkpoint], [resume], "x.npz"),
    "journal": ([mutate_bytes, mutate_journal, mutate_journal], [resweep], "x.jsonl"),
    "lines": ([mutate_bytes, mutate_lines], [read_lines], "x.hex"),
    "recipe": ([mutate_text_json], [describe(Recipe.from_dict)], "x.json"),
    "rule": ([mutate_text_json], [describe(make_rule)], "x.json"),
    "state": ([mutate_text_json], [describe(DelayedState.from_dict)], "x.json"),
    "format": ([mutate_text_json], [describe(format_from_dict)], "x.json"),
    "table": ([mutate_text_json], [describe(format_from_dict)], "x.json"),
}
IN_PACK = {
    "manifest.json": [mutate_manifest, mutate_manifest, mutate_bytes],
    ".json": [mutate_text_json, mutate_bytes],
    ".npz": ARCHIVE,
}


def case(kind: str) -> tuple[list[Mutation], list[Any], str]:
    """Return the mutations of a file, its readers, and where it is to lie."""
    if not kind.startswith("pack/"):
        return READERS[kind]
    ends = (end for end in IN_PACK if kind.endswith(end))
    end = next(ends, "")
    mutations = IN_PACK.get(end, [mutate_lines, mutate_bytes])
    if end == "manifest.json":
        return mutations, [lambda path: str(check_manifest(path.parent))], kind
    form = {suffix: kind for kind, suffix in SUFFIXES.items()}[Path(kind).suffix]
    return mutations, [lambda path: read_vectors(path.read_bytes(), form, CONVERSION)], kind


(CONVERSION,) = conversions(["E4M3FN"], sources=["float16"])


def hang(*_: object) -> None:
    msg = f"no answer within {SECONDS} s"
    raise TimeoutError(msg)


def run(count: int, seed: int) -> dict[str, Any]:
    """Read so many mutated files; return what came out."""
    warnings.simplefilter("error")  # NumPy's are output that nobody asked for
    memory = Path("/dev/shm")  # noqa: S108 - files are opened and closed thousands of times
    home = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    (home / "work" / "pack").mkdir(parents=True)
    (home / "here").mkdir()
    os.chdir(home / "here")
    outcomes: Counter[str] = Counter()
    by_kind: dict[str, float] = defaultdict(float)
    failures: list[str] = []
    try:
        (home / "made").mkdir()
        files = samples(home / "made")
        pack = {kind: data for kind, data in files.items() if kind.startswith("pack/")}
        for kind, data in files.items():  # what is not mutated can be read
            _read(kind, data, pack, home / "work")
        kinds = [kind for kind in sorted(files) for _ in range(1 if kind in DEAR else 3)]
        before, began = peak(), time.perf_counter()
        signal.signal(signal.SIGALRM, hang)
        largest, slowest = 0, 0.0
        for number in range(count):
            rng = random.Random(seed * 10**9 + number)
            kind = rng.choice(kinds)
            if number % 100 == 0:  # in C code no alarm is heard
                faulthandler.dump_traceback_later(6 * SECONDS, exit=True)
            changed = rng.choice(case(kind)[0])(rng, files[kind])
            largest, start_of_this = max(largest, len(changed)), time.perf_counter()
            outcome, failure = _judge(kind, changed, pack, home / "work")
            outcomes[outcome] += 1
            failures += [f"{number} {kind}: {failure}"] if failure else []
            took = time.perf_counter() - start_of_this
            slowest = max(slowest, took)
            by_kind[kind] += took
        faulthandler.cancel_dump_traceback_later()
        outside = [str(path) for path in (home / "here").iterdir()]
        outside += [path.name for path in home.iterdir() if path.name not in OURS]
        return {
            "count": count,
            "outcomes": dict(outcomes),
            "failures": failures[:20],
            "failed": len(failures),
            "outside": outside,
            "grown": peak() - before,
            "largest": largest,
            "slowest": round(slowest, 3),
            "kinds": {kind: round(seconds, 2) for kind, seconds in sorted(by_kind.items())},
            "seconds": round(time.perf_counter() - began, 1),
        }
    finally:
        os.chdir("/")
        shutil.rmtree(home, ignore_errors=True)


def _judge(kind: str, data: bytes, pack: dict[str, bytes], folder: Path) -> tuple[str, str]:
    """Return what came of a file, and what was wrong with that."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        _read(kind, data, pack, folder)
    except (ValueError, OSError) as error:
        name, text = type(error).__name__, str(error)
        wrong = isinstance(error, TimeoutError | UnicodeError) or "\n" in text or len(text) > 4000
        return name, f"{name} {text[:300]!r}" if wrong else ""
    except BaseException as error:  # noqa: BLE001 - none is to come
        where = "".join(traceback.format_exception(error, limit=-4))
        return type(error).__name__, where[-900:]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read", ""


#: Kinds that take longest, and so come less often.
DEAR = {"checkpoint", "npz", "pack/manifest.json", "recipe"}
OURS = {"work", "here", "made"}


def _read(kind: str, data: bytes, pack: dict[str, bytes], folder: Path) -> None:
    """Write a file, and read it in every way; raise what the last reader raised."""
    _, readers, name = case(kind)
    path = folder / name
    if kind.endswith("manifest.json"):
        for other, content in pack.items():
            (folder / other).write_bytes(content)
    refusal: Exception | None = None
    path.write_bytes(data)
    for read in readers:
        try:
            read(path)
        except TimeoutError:
            raise
        except (ValueError, OSError) as error:
            refusal = error
    if refusal is not None:
        raise refusal


def peak() -> int:
    """Bytes that this process had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    found = run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
