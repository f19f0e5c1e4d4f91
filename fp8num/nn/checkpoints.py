"""
Checkpoints: a training in a file, from which it goes on with the same bits.

::

    settings, state (nested) --save_checkpoint--> FILE.npz, whole or not at all
    FILE.npz --load_checkpoint--> settings, state

    FILE.npz    checkpoint   JSON: version, settings, and the state with names for arrays
                sha256       of the JSON and all arrays
                state/...    the arrays, as numpy.load reads them
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._archives import check_members, open_archive, read_array
from fp8num._arguments import as_array
from fp8num._files import whole_file
from fp8num._reading import InputError, open_file, parse_json
from fp8num._records import as_it_is, entries, flag, mapping, text
from fp8num._text import brief, shown

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Mapping

__all__ = ["Checkpoint", "check_settings", "load_checkpoint", "save_checkpoint"]

Array: TypeAlias = npt.NDArray[Any]

#: Raised whenever a training would go on from an older file with other bits.
VERSION = 1
_KIND = "fp8num training"
#: Characters of a place in a state, for messages.
LONGEST = 100
_HEADER = ("kind", "version", "settings", "state")
#: Members of the archive: the JSON text, and the checksum.
_TEXT, _SUM = "checkpoint.npy", "sha256.npy"
#: What to do if a file is none.
_ADVICE = "name a file that a training wrote"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What a file holds."""

    settings: dict[str, Any]  #: what the training was begun with, as JSON holds it
    #: where it was: nested dictionaries and lists of numbers, text and arrays
    state: dict[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str], settings: Mapping[str, Any], state: Mapping[str, Any]
) -> None:
    """
    Write a checkpoint.

    The file appears whole or not at all: it is written beside its place, flushed to the
    disk, and then renamed, over an older one if there is one.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "run.npz")
    >>> save_checkpoint(path, {"seed": 3}, {"step": 7, "w": np.float32([0.1, 0.2])})
    >>> load_checkpoint(path).state
    {'step': 7, 'w': array([0.1, 0.2], dtype=float32)}
    >>> folder.cleanup()
    """
    arrays: dict[str, Array] = {}
    tree = _packed(state, "state", arrays)
    header = {"kind": _KIND, "version": VERSION, "settings": dict(settings), "state": tree}
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    digest = np.frombuffer(_digest(text, arrays), np.uint8)
    parts: dict[str, Any] = {"checkpoint": text, "sha256": digest, **arrays}
    with whole_file(path, durable=True) as stream:
        np.savez(stream, **parts)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint, and compare it with its checksum."""
    name = f"checkpoint {shown(os.fsdecode(path))}"
    try:
        with open_file(path, name, "a file that a training wrote") as (stream, size):
            return _read(stream, size, name)
    except FileNotFoundError:
        msg = f"{name} does not exist; begin the training without resuming"
        raise FileNotFoundError(msg) from None


def check_settings(
    path: str | os.PathLike[str], found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuse a checkpoint of another training."""
    expected = json.loads(json.dumps(dict(wanted)))
    for key in [*expected, *(key for key in found if key not in expected)]:
        have, want = found.get(key), expected.get(key)
        if have == want:
            continue
        name = key if key.isprintable() and len(key) <= 60 else shown(key, 60)
        if _title(have) == _title(want):
            what = f"its {name}, {_title(have)}, has another content"
        else:
            what = f"its {name} is {_title(have)}, asked for is {_title(want)}"
        msg = (
            f"checkpoint {os.fsdecode(path)!r} is of another training: {what}; "
            "resume with the settings it was begun with"
        )
        raise ValueError(msg)


def _title(setting: object) -> str:
    """Return what to call a setting in a message: of a record its name."""
    if isinstance(setting, dict):
        setting = setting.get("name", "a record")
    return brief(setting)


def _read(stream: IO[bytes], size: int, name: str) -> Checkpoint:
    """Read an open file; ValueError in one line if it is no whole checkpoint."""
    head = stream.read(4)
    if head != b"PK\x03\x04":
        what = "is empty" if not head else "is not a checkpoint of fp8num"
        msg = f"{name} {what}; {_ADVICE}"
        raise ValueError(msg)
    stream.seek(0)
    try:
        with open_archive(stream, "it", _ADVICE) as archive:
            arrays = _arrays(archive, size)
        header = arrays.pop(_TEXT, None)
        found = None if header is None else parse_json(header.tobytes(), constants=True)
    except InputError as error:
        reason = str(error).partition(";")[0]  # what to do with other archives does not help
        msg = f"{name} is cut short or damaged ({reason}); name another one"
        raise ValueError(msg) from error
    if header is None or not isinstance(found, dict) or found.get("kind") != _KIND:
        msg = f"{name} is not a checkpoint of fp8num; {_ADVICE}"
        raise ValueError(msg)
    if type(found.get("version")) is not int or found["version"] != VERSION:
        msg = (
            f"{name} must be of version {VERSION}, got {brief(found.get('version'))}, from which "
            "the bits would be others; go on with the fp8num that wrote it"
        )
        raise ValueError(msg)
    digest = arrays.pop(_SUM, None)
    arrays = {key.removesuffix(".npy"): array for key, array in arrays.items()}
    if digest is None or digest.tobytes() != _digest(header, arrays):
        msg = f"{name} is damaged, its checksum differs; name another one"
        raise ValueError(msg)
    try:
        record = entries("it", found, dict.fromkeys(_HEADER, as_it_is) | {"settings": mapping})
        return Checkpoint(
            record["settings"], dict(mapping("state", _unpacked(record["state"], arrays)))
        )
    except InputError as error:
        msg = f"{name} is damaged ({error}); name another one"
        raise ValueError(msg) from error


def _arrays(archive: zipfile.ZipFile, size: int) -> dict[str, Array]:
    """Read all members, which take no more than the file: none of them is compressed."""
    members = archive.infolist()
    check_members(members, size, _place, compressed=False)
    return {one.filename: read_array(archive, one, _place(one.filename)) for one in members}


def _place(member: str) -> str:
    return f"its member {shown(member, 80)}"


def _digest(text: Array, arrays: Mapping[str, Array]) -> bytes:
    """Return a checksum of the JSON text and of arrays with their names, types and shapes."""
    digest = hashlib.sha256(text.tobytes())
    for key in sorted(arrays):
        array = arrays[key]
        digest.update(json.dumps([key, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _packed(value: object, name: str, arrays: dict[str, Array]) -> Any:  # noqa: ANN401 - a tree
    """Return a tree that JSON can hold, and put its arrays aside."""
    if isinstance(value, dict):
        parts = value.items()
        return {"tree": {str(key): _packed(part, f"{name}/{key}", arrays) for key, part in parts}}
    if isinstance(value, list | tuple):
        return [_packed(part, f"{name}/{i}", arrays) for i, part in enumerate(value)]
    if isinstance(value, np.ndarray | np.generic):
        array = as_array(value, f"{name} of a checkpoint")
        if array.dtype.hasobject:
            msg = f"{name} of a checkpoint must hold no objects, got {array.dtype}"
            raise TypeError(msg)
        while name in arrays:  # a key that has a slash in it
            name += "_"
        arrays[name] = array
        return {"array": name, "scalar": isinstance(value, np.generic)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"{name} of a checkpoint must be made of numbers, text and arrays, got {type(value)!r}"
    raise TypeError(msg)


def _unpacked(
    tree: Any,  # noqa: ANN401 - a tree
    arrays: Mapping[str, Array],
    where: str = "state",
) -> Any:  # noqa: ANN401 - a tree
    """Return what `_packed` took apart; InputError if it is something else."""
    if isinstance(tree, list):
        return [_unpacked(part, arrays, f"{where}/{i}") for i, part in enumerate(tree)]
    if not isinstance(tree, dict):
        return tree
    if set(tree) == {"tree"} and isinstance(tree["tree"], dict):
        parts = tree["tree"].items()
        return {key: _unpacked(part, arrays, f"{where}/{key}"[-LONGEST:]) for key, part in parts}
    where = shown(where)
    found = entries(where, tree, {"array": text, "scalar": flag})
    if found["array"] not in arrays:
        msg = f"{where} must be an array of the file, it has none called {brief(found['array'])}"
        raise InputError(msg)
    array = arrays[found["array"]]
    if found["scalar"] and array.shape:
        msg = f"{where} must be one number, got an array of shape {array.shape}"
        raise InputError(msg)
    return array[()] if found["scalar"] else array
