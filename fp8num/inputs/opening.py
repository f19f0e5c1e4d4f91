"""Opening a file by its name and its first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fp8num._archives import fill
from fp8num._text import shown
from fp8num.inputs.files import StoredFile
from fp8num.inputs.npy import open_npy
from fp8num.inputs.npz import open_npz
from fp8num.inputs.safetensors import open_safetensors
from fp8num.inputs.signatures import HEAD, matches, recognise
from fp8num.inputs.source import InputError, Opened

if TYPE_CHECKING:
    import os

__all__ = ["open_tensors"]

_READERS = {"npy": open_npy, "npz": open_npz, "safetensors": open_safetensors}


def open_tensors(path: str | os.PathLike[str]) -> Opened:
    """
    Open a file of tensors: check its headers, and read no elements yet.

    Parameters
    ----------
    path : str or os.PathLike of str
        A ``.npy``, ``.npz`` or ``.safetensors`` file.

    Returns
    -------
    Opened
        The floating-point tensors, and what was skipped and why.

    Raises
    ------
    InputError
        If the file is missing, empty, truncated, something other than its name
        says, contradicts itself, or holds no floating-point tensors.
    TypeError
        If `path` is not a path.

    Notes
    -----
    Nothing is ever unpickled.  Memory is bounded by the header (at most 100 MB
    for ``.safetensors``) and by one block.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "weights.npz")
    >>> np.savez(path, scale=np.float32(0.5), steps=np.arange(3))
    >>> opened = open_tensors(path)
    >>> [(tensor.name, tensor.dtype, tensor.shape) for tensor in opened.tensors]
    [('scale', 'F32', ())]
    >>> opened.skipped
    (('steps', 'integers'),)
    >>> folder.cleanup()
    """
    stored = StoredFile.inspect(path)
    buffer = bytearray(HEAD)
    with stored.stream() as stream:
        head = bytes(buffer[: fill(stream, memoryview(buffer))])

    suffix = Path(stored.file).suffix
    kind = suffix.removeprefix(".").lower()
    found = recognise(head)
    if kind not in _READERS:
        seems = f" (it seems to be {found})" if found else ""
        msg = (
            f"{shown(stored.file)} has the extension {shown(suffix, 20)}{seems}, which is not "
            "read; give a .npy, .npz or .safetensors file"
        )
        raise InputError(msg)
    if found is not None and not matches(kind, head):
        msg = (
            f"{shown(stored.file)} is not a .{kind} file: it seems to be {found}; "
            "give it the right name, or save it again"
        )
        raise InputError(msg)
    return _READERS[kind](stored)
