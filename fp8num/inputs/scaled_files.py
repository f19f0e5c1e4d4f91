r"""Scaled arrays in safetensors files, bit for bit.

::

    "__metadata__": {"fp8num.scaled.w": "{\"format\": {...}, \"block\": [1, 32], ...}"}
    w.codes   F8_E4M3          w.scales  F8_E8M0          w.tensor_amax  F32, if there is one

Codes have the name of their format where safetensors has one, so that other software
reads them; else they are unsigned integers, and the description says of what.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fp8num._arguments import refuse_kind, text
from fp8num._reading import parse_json
from fp8num._records import mapping
from fp8num._text import shown
from fp8num.formats import E2M1FN, Format, format_from_dict, get_format
from fp8num.inputs.parts import Parts, open_parts
from fp8num.inputs.source import FORMAT_NAMES, InputError
from fp8num.inputs.writing import write_safetensors
from fp8num.scaled import ScaledArray

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy.typing as npt

    from fp8num.inputs.writing import Writable

__all__ = ["described_format", "load_scaled", "read_description", "save_scaled"]

#: key of the metadata that describes an array, before the array's name
_DESCRIPTION = "fp8num.scaled."
#: what `ScaledArray.to_tensors` gives; the last one is not always there
_PARTS = ("codes", "scales", "tensor_amax")


def save_scaled(path: str | os.PathLike[str], arrays: Mapping[str, ScaledArray]) -> None:
    """
    Write scaled arrays to a safetensors file, as `write_safetensors` does: over any older one.

    Parameters
    ----------
    path : str or os.PathLike of str
        The file; its folder must exist.
    arrays : mapping of str to ScaledArray
        The arrays by name.

    Raises
    ------
    TypeError
        If a name is not text, or a value not a ScaledArray.
    ValueError
        If a name is not Unicode, or a rule is made of parts that cannot be described.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import fp8num as fp, numpy as np, pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "w.safetensors")
    >>> scaled = fp.scale_quantize(np.linspace(-1, 1, 64).reshape(2, 32), "mxfp8-e4m3fn")
    >>> save_scaled(path, {"w": scaled})
    >>> again = load_scaled(path)["w"]
    >>> np.array_equal(again.codes, scaled.codes), again.rule.name
    (True, 'mxfp8-e4m3fn')
    >>> folder.cleanup()
    """
    tensors: dict[str, Writable] = {}
    metadata: dict[str, str] = {}
    for name, scaled in arrays.items():
        text("a name", name, advice="convert it with str")
        if not isinstance(scaled, ScaledArray):
            advice = "scale_quantize() makes one, write_safetensors() writes other arrays"
            refuse_kind(shown(name, 60), "a ScaledArray", scaled, advice)
        formats = {"codes": scaled.format, "scales": scaled.scale_format}
        for part, array in scaled.to_tensors().items():
            tensors[f"{name}.{part}"] = _typed(array, formats.get(part))
        metadata[_DESCRIPTION + name] = json.dumps(scaled.describe(), allow_nan=False)
    write_safetensors(path, tensors, metadata)


def load_scaled(path: str | os.PathLike[str]) -> dict[str, ScaledArray]:
    """
    Read the scaled arrays of a file that `save_scaled` wrote.

    Parameters
    ----------
    path : str or os.PathLike of str
        A ``.safetensors`` file.

    Returns
    -------
    dict of str to ScaledArray
        The arrays, with the same codes, scales, format and rule, in the file's order,
        which is that of their names; never empty.

    Raises
    ------
    InputError
        If the file cannot be read, holds no scaled arrays, or a description does not
        fit the tensors.
    """
    opened = open_parts(path)
    names = [
        key.removeprefix(_DESCRIPTION) for key in opened.metadata if key.startswith(_DESCRIPTION)
    ]
    if not names:
        msg = (
            f"{shown(opened.file)} holds no scaled arrays: its metadata has no key that begins "
            f"with {_DESCRIPTION}; read_dumps() reads what other software stored"
        )
        raise InputError(msg)
    return {name: _load(opened, name) for name in names}


def described_format(opened: Parts, name: str) -> Format | None:
    """Return the format that a file says the codes of a scaled array have."""
    if _DESCRIPTION + name not in opened.metadata:
        return None
    try:
        return format_from_dict(mapping("format", read_description(opened, name).get("format")))
    except (TypeError, ValueError) as error:
        raise InputError(_misfit(opened, name, error)) from error


def read_description(opened: Parts, name: str) -> Mapping[str, Any]:
    """Parse what `ScaledArray.describe` gave; ValueError if it is not that."""
    return mapping("it", parse_json(opened.metadata[_DESCRIPTION + name]))


def _load(opened: Parts, name: str) -> ScaledArray:
    from fp8num.scaling import Rule

    tensors = {
        part: opened.tensors[f"{name}.{part}"].read()
        for part in _PARTS
        if f"{name}.{part}" in opened.tensors
    }
    try:
        description = read_description(opened, name)
        rule = description.get("rule")
        made_by = None if rule is None else Rule.from_dict(rule)
        return ScaledArray.from_tensors(tensors, description, rule=made_by)
    except (TypeError, ValueError) as error:
        raise InputError(_misfit(opened, name, error)) from error


def _misfit(opened: Parts, name: str, error: Exception) -> str:
    return (
        f"{shown(opened.file)}, scaled array {shown(name, 60)}, has a description that does not "
        f"fit ({shown(str(error), 400)}); save it again with save_scaled"
    )


def _typed(array: npt.NDArray[Any], fmt: Format | None) -> Writable:
    """Name the type of codes, where safetensors has a name for their format."""
    for dtype, key in FORMAT_NAMES.items():
        if fmt == get_format(key):
            return array, dtype
    if fmt == E2M1FN and array.ndim and array.shape[-1] % 2 == 0:
        return array, "F4"
    return array
