"""
Mean squares of layers' input channels, as tools that calibrate write them.

::

    .npz, .safetensors   layer (with or without .weight) --> vector (K,)
    .gguf, an imatrix    <name>.in_sum2 (experts, K), <name>.counts (experts, 1)
                         sum of in_sum2 / sum of counts  --> vector (K,)

References
----------
llama.cpp, tools/imatrix/imatrix.cpp; the package gguf, which also knows what llama.cpp calls
the layers of other checkpoints.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._names import hint
from fp8num._text import shown
from fp8num.inputs.files import StoredFile
from fp8num.inputs.opening import open_tensors
from fp8num.inputs.source import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

__all__ = ["read_activations"]

_SUMS, _COUNTS = ".in_sum2", ".counts"
_BLOCK = re.compile(r"(?:^|\.)(\d+)\.")
_DAMAGED = "write it again"


def read_activations(
    path: str | os.PathLike[str], names: Iterable[str]
) -> dict[str, npt.NDArray[np.float64]]:
    """
    Read mean squares of input channels, for the layers of a checkpoint.

    Parameters
    ----------
    path : str or os.PathLike of str
        A ``.npz`` or ``.safetensors`` file of vectors by layer, or a ``.gguf`` file that
        llama.cpp's imatrix has written, which takes the package gguf.
    names : iterable of str
        Names of the checkpoint's tensors.  A layer is found with ``.weight`` or without, and
        in a ``.gguf`` file by what llama.cpp calls it.

    Returns
    -------
    dict of str to ndarray of float64, shape (K,)
        By the checkpoint's names, of those layers that the file has.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged, holds anything but vectors of mean squares, or
        has none of the layers; or gguf is not installed.
    TypeError
        If `path` is not a path.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "squares.npz")
    ...     np.savez(path, **{"layers.0.up_proj": np.array([1.0, 4.0])})
    ...     read_activations(path, ["layers.0.up_proj.weight", "norm.weight"])
    {'layers.0.up_proj.weight': array([1., 4.])}
    """
    file, wanted = os.fsdecode(path), list(names)
    is_imatrix = file.lower().endswith(".gguf")
    found = _read_imatrix(file) if is_imatrix else _read_vectors(file)
    matched = _matched(found, {name: name for name in wanted})
    if is_imatrix and not matched:
        matched = _matched(found, _llama_names(wanted, found))
    if not matched:
        first = next(iter(found))
        near = hint(first, wanted, "give one that was made with this checkpoint")
        msg = (
            f"{shown(file)} has mean squares of {len(found)} layers, none of them is in the "
            f"checkpoint: the first is {shown(first)}; {near}"
        )
        raise InputError(msg)
    return matched


def _matched(
    found: Mapping[str, npt.NDArray[np.float64]], names: Mapping[str, str]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return what was found by the names of the checkpoint, with ".weight" or without."""
    plain = {name.removesuffix(".weight"): squares for name, squares in found.items()}
    return {
        name: plain[other.removesuffix(".weight")]
        for name, other in names.items()
        # A bias has its layer's name too, and no channels.
        if other.removesuffix(".weight") in plain
    }


def _read_vectors(file: str) -> dict[str, npt.NDArray[np.float64]]:
    opened = open_tensors(file)
    if opened.skipped:
        name, reason = opened.skipped[0]
        msg = (
            f"{shown(file)} must hold vectors of mean squares only, {shown(name)} is skipped "
            f"({reason}); leave it out, or give it as float32"
        )
        raise InputError(msg)
    found = {}
    for tensor in opened.tensors:
        where = f"{shown(file)}, {shown(tensor.name)},"
        if len(tensor.shape) != 1 or tensor.format_name is not None:
            _refuse(where, f"is {tensor.dtype} of shape {tensor.shape}")
        blocks = [np.asarray(block, np.float64) for block in tensor.blocks()]
        found[tensor.name] = _checked(np.concatenate([*blocks, np.empty(0)]), where)
    return found


def _refuse(where: str, what: str) -> None:
    msg = (
        f"{where} must be a vector of mean squares, one number for each input channel, it {what}; "
        "give means of x**2 over tokens"
    )
    raise InputError(msg)


def _checked(squares: npt.NDArray[np.float64], where: str) -> npt.NDArray[np.float64]:
    """Return numbers, if they can be mean squares."""
    bad = np.flatnonzero(~(np.isfinite(squares) & (squares >= 0)))
    if not squares.size:
        _refuse(where, "is empty")
    if bad.size:
        _refuse(where, f"has {squares[bad[0]]} at {bad[0]}")
    return squares


def _gguf() -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module("gguf")
    except ImportError:
        msg = "a .gguf file of activations takes the package gguf; pip install 'fp8num[gguf]'"
        raise InputError(msg) from None


def _read_imatrix(file: str) -> dict[str, npt.NDArray[np.float64]]:
    StoredFile.inspect(file)
    gguf = _gguf()
    try:
        tensors = {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(file).tensors}
    except Exception as error:  # of a damaged file, whatever NumPy says
        msg = f"{shown(file)} cannot be read as GGUF ({shown(str(error), 80)}); {_DAMAGED}"
        raise InputError(msg) from error
    found = {}
    for name, data in tensors.items():
        if not name.endswith(_SUMS):
            continue
        layer = name.removesuffix(_SUMS)
        where = f"{shown(file)}, {shown(layer)},"
        counts = tensors.get(layer + _COUNTS)
        if counts is None:
            msg = f"{where} has no {_COUNTS[1:]} beside its {_SUMS[1:]}; {_DAMAGED}"
            raise InputError(msg)
        sums = np.asarray(data, np.float64)
        total = float(np.asarray(counts, np.float64).sum())
        if not 0 < total < np.inf:
            continue  # an expert that no token came to: nothing is known
        # Of stacked experts, one vector: what comes to any of them.
        found[layer] = _checked(sums.reshape(-1, sums.shape[-1]).sum(axis=0) / total, where)
    if not found:
        msg = (
            f"{shown(file)} holds no sums of squares (<layer>{_SUMS}); "
            "give a file that llama-imatrix has written"
        )
        raise InputError(msg)
    return found


def _llama_names(names: list[str], found: Mapping[str, Any]) -> dict[str, str]:
    """Return what llama.cpp calls tensors, of the architecture that has most of those found."""
    gguf = _gguf()
    blocks = 1 + max((int(n) for name in names for n in _BLOCK.findall(name)), default=0)
    known = {name.removesuffix(".weight") for name in found}
    best: dict[str, str] = {}
    # llama first: most others call their layers alike.
    for arch in sorted(gguf.MODEL_ARCH, key=lambda one: one is not gguf.MODEL_ARCH.LLAMA):
        get = gguf.get_tensor_name_map(arch, min(blocks, 1000)).get_name
        modules = {name: get(name.removesuffix(".weight")) for name in names}
        here = {name: other for name, other in modules.items() if other in known}
        if len(here) > len(best):
            best = here
        if len(best) == len(known):
            break
    return best
