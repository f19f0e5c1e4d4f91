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
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num._files import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Checkpoint", "check_settings", "load_checkpoint", "save_checkpoint"]

Array: TypeAlias = npt.NDArray[Any]

#: Raised whenever a training would go on from an older file with other bits.
VERSION = 1
_KIND = "fp8num training"
#: What a file that is damaged or hostile can raise while it is read.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    NotImplementedError,
    RuntimeError,  # encrypted
    RecursionError,
    MemoryError,  # a shape that was never written
    OverflowError,
)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """
    What a file holds.

    Attributes
    ----------
    settings : dict
        What the training was begun with, as JSON holds it.
    state : dict
        Where it was: nested dictionaries and lists of numbers, text and arrays.
    """

    settings: dict[str, Any]
    state: dict[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str], settings: Mapping[str, Any], state: Mapping[str, Any]
) -> None:
    """
    Write a checkpoint.

    The file appears whole or not at all: it is written beside its place, flushed to the
    disk, and then renamed, over an older one if there is one.

    Parameters
    ----------
    path : str or os.PathLike of str
        The file; its folder must exist.
    settings : mapping
        What JSON can hold.
    state : mapping
        Nested dictionaries and lists of numbers, text, None and arrays.

    Raises
    ------
    TypeError
        If something in the state cannot be stored.
    OSError
        If the file cannot be written.

    Examples
    --------
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
    """
    Read a checkpoint, and compare it with its checksum.

    Parameters
    ----------
    path : str or os.PathLike of str
        The file.

    Returns
    -------
    Checkpoint
        What `save_checkpoint` was given; tuples have become lists.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, of another version, cut short, or damaged.
    """
    name = repr(os.fsdecode(path))
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - any kind of path
            return _read(stream, name)
    except FileNotFoundError:
        msg = f"checkpoint {name} does not exist; begin the training without resuming"
        raise FileNotFoundError(msg) from None


def check_settings(
    path: str | os.PathLike[str], found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """
    Refuse a checkpoint of another training.

    Parameters
    ----------
    path : str or os.PathLike of str
        Where it was found, for the message.
    found, wanted : mapping
        Its settings, and those that are asked for.

    Raises
    ------
    ValueError
        If they differ, with the first setting that does.  One that is missing is None: it
        came after the file.
    """
    expected = json.loads(json.dumps(dict(wanted)))
    for key in [*expected, *(key for key in found if key not in expected)]:
        have, want = found.get(key), expected.get(key)
        if have == want:
            continue
        if _title(have) == _title(want):
            what = f"its {key}, {_title(have)}, has another content"
        else:
            what = f"its {key} is {_title(have)}, asked for is {_title(want)}"
        msg = (
            f"checkpoint {os.fsdecode(path)!r} is of another training: {what}; "
            "resume with the settings it was begun with"
        )
        raise ValueError(msg)


def _title(setting: object) -> str:
    """Return what to call a setting in a message: of a record its name."""
    if isinstance(setting, dict):
        setting = setting.get("name", "a record")
    return f"{setting!r:.80}"


def _read(stream: Any, name: str) -> Checkpoint:  # noqa: ANN401 - a file opened for reading
    """Read an open file; ValueError in one line if it is no whole checkpoint."""
    head = stream.read(4)
    if head != b"PK\x03\x04":
        what = "is empty" if not head else "is not a checkpoint of fp8num"
        msg = f"checkpoint {name} {what}; name a file that a training wrote"
        raise ValueError(msg)
    stream.seek(0)
    try:
        with np.load(stream, allow_pickle=False) as archive:
            names = set(archive.files)
            header = _header(archive["checkpoint"]) if "checkpoint" in names else {}
            version = header.get("version")
            arrays: dict[str, Array] = {}
            if version == VERSION:
                arrays = {key: archive[key] for key in names - {"checkpoint", "sha256"}}
                digest = archive["sha256"].tobytes()
                whole = digest == _digest(archive["checkpoint"], arrays)
    except _DAMAGE as error:
        msg = f"checkpoint {name} is cut short or damaged ({str(error)[:60]}); name another one"
        raise ValueError(msg) from error
    if not header:
        msg = f"checkpoint {name} is not a checkpoint of fp8num; name a file that a training wrote"
        raise ValueError(msg)
    if version != VERSION:
        msg = (
            f"checkpoint {name} must be of version {VERSION}, got {version!r}, from which the "
            "bits would be others; go on with the fp8num that wrote it"
        )
        raise ValueError(msg)
    if not whole:
        msg = f"checkpoint {name} is damaged, its checksum differs; name another one"
        raise ValueError(msg)
    try:
        return Checkpoint(dict(header["settings"]), _unpacked(header["state"], arrays))
    except _DAMAGE as error:
        msg = f"checkpoint {name} is damaged ({str(error)[:60]}); name another one"
        raise ValueError(msg) from error


def _header(text: Array) -> dict[str, Any]:
    """Return what a checkpoint begins with; nothing if it is something else."""
    header = json.loads(text.tobytes())
    return header if isinstance(header, dict) and header.get("kind") == _KIND else {}


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


def _unpacked(tree: Any, arrays: Mapping[str, Array]) -> Any:  # noqa: ANN401 - a tree
    """Return what `_packed` took apart."""
    if isinstance(tree, list):
        return [_unpacked(part, arrays) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        array = arrays[tree["array"]]
        return array[()] if tree["scalar"] else array
    return {key: _unpacked(part, arrays) for key, part in tree["tree"].items()}
