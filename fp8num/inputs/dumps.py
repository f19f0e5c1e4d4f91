"""Quantised tensors that other software stored: codes and what belongs to them, by name.

::

    layer.weight            F8_E4M3  ->  codes   name, format
    layer.weight_scale_inv  F32      ->  scales
    layer.weight_scale_2    F32      ->  tensor_scale     where there are two levels
    layer.weight.source     BF16     ->  source           where it was kept

Nothing is computed, and no shape is compared with another one but to see whether
elements of four bits share bytes: whether the parts can belong together is for the
one to say who knows the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._text import shown
from fp8num.codec import unpack
from fp8num.formats import E2M1FN, Format, get_format
from fp8num.inputs.parts import PACKED, Parts, StoredPart, open_parts
from fp8num.inputs.scaled_files import described_format, read_description
from fp8num.inputs.source import FORMAT_NAMES, InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from fp8num.scaling import Rule

__all__ = ["Dump", "read_dumps"]

#: key of the metadata by which `save_scaled` describes an array, before the array's name
_DESCRIPTION = "fp8num.scaled."
_FLOATS = ("F64", "F32", "F16", "BF16")
#: one byte an element, which may be anything
_PLAIN = ("U8", "I8", "V1")
#: types of codes: what has one needs no scales to be known as a quantised tensor
_CODED = (*(name for name in FORMAT_NAMES if name != "F8_E8M0"), *PACKED)
#: what the parts of a quantised tensor may be stored as
_TYPES = {
    "codes": (*_CODED, "F8_E8M0", *_PLAIN),
    "scales": (*_FLOATS, *FORMAT_NAMES, "U8", "V1"),
    "source": _FLOATS,
    "tensor_scale": _FLOATS,
}
#: endings of the names of codes that their companions' names lack: compressed-tensors and
#: gpt-oss call packed FP4 so, torchao quantised data
_PACKED_ENDINGS = ("_packed", ".packed", "_blocks", ".blocks")
_ENDINGS = (*_PACKED_ENDINGS, ".codes", "_codes", ".qdata", "_qdata")
#: what stands after the tensor's name and a dot or underline, or after nothing beside "codes"
_WORDS = {
    "scales": ("scale", "scales", "scale_inv"),
    "source": ("source", "original", "hp"),
    "tensor_scale": ("tensor_scale", "global_scale", "scale_2", "amax", "tensor_amax"),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Dump:
    """
    A quantised tensor as it was stored.

    Attributes
    ----------
    name : str
        Name of the codes' tensor in the file, possibly hostile.
    codes : ndarray of uint8, shape (...)
        One code an element; the bytes of elements that may be packed but are
        not known to be.
    format : Format or None
        Of the codes, if their type says so, or the description that `save_scaled` wrote.
    stored_dtype : str
        Type of the codes in the file: ``F8_E4M3``, ``U8`` ...
    scales : ndarray, shape (...), or None
        As stored: float64, float32, float16, bfloat16, or uint8 codes; None if there
        are none beside these codes, and are beside others.
    scale_dtype : str
        Type of the scales in the file: ``F32``, ``F8_E8M0``, ``U8`` ...; empty if there
        are none.
    source : ndarray of float64, float32, float16 or bfloat16, or None
        What was quantised, if it is there.
    tensor_scale : ndarray of float64, float32, float16 or bfloat16, or None
        As stored.  Its name tells what it is: compressed-tensors divides by a
        ``global_scale``, ModelOpt multiplies by a ``scale_2``, an ``amax`` is neither.
    metadata : dict of str to str
        Text of the file's header.
    parts : dict of str to str
        The names in the file of what was found as codes, scales, source and
        tensor_scale.
    declared : Rule or None
        The rule that the file says the tensor was made by, as `save_scaled` writes it.
    """

    name: str
    codes: npt.NDArray[np.uint8]
    format: Format | None
    stored_dtype: str
    scales: npt.NDArray[Any] | None
    scale_dtype: str
    source: npt.NDArray[Any] | None
    tensor_scale: npt.NDArray[Any] | None
    metadata: dict[str, str]
    parts: dict[str, str]
    declared: Rule | None = None

    def unpacked(self) -> Dump:
        """
        Take each byte of the codes for two elements of FP4, the first in the low bits.

        Returns
        -------
        Dump
            With the format E2M1FN and a last dimension of twice the length.

        Raises
        ------
        ValueError
            If the format of the codes is known already, or they are one scalar.

        Examples
        --------
        >>> import numpy as np, pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name, "x.npz")
        >>> np.savez(path, codes=np.uint8([[0x21, 0x43]]), scales=np.float32([[1]]))
        >>> (dump,) = read_dumps(path)
        >>> dump.codes.tolist(), dump.unpacked().codes.tolist()
        ([[33, 67]], [[1, 2, 3, 4]])
        >>> folder.cleanup()
        """
        if self.format is not None or self.codes.ndim == 0:
            form = f"of shape {self.codes.shape}" if self.format is None else self.format.name
            msg = f"codes must be bytes of two elements, got {form}; use them as they are"
            raise ValueError(msg)
        *before, last = self.codes.shape
        codes = unpack(self.codes.reshape(-1), E2M1FN, 2 * self.codes.size)
        return replace(self, codes=codes.reshape(*before, 2 * last), format=E2M1FN)


def read_dumps(
    path: str | os.PathLike[str],
    codes: str | None = None,
    scales: str | None = None,
    source: str | None = None,
    tensor_scale: str | None = None,
) -> list[Dump]:
    """
    Read the quantised tensors of a file.

    Parameters
    ----------
    path : str or os.PathLike of str
        A ``.safetensors`` or ``.npz`` file.
    codes : str, optional
        Name of the codes' tensor; by default, of every tensor of an F8 (E8M0
        apart), F6 or F4 type that is not the scales of another one, and of every
        one-byte integer type that scales are found for.
    scales, source, tensor_scale : str, optional
        Name of the tensor, if it is not a customary one; of one codes' tensor
        at a time.  For codes ``X`` these are, with a dot or an underline: X_scale,
        X_scales, X_scale_inv; X_source, X_original, X_hp; X_tensor_scale,
        X_global_scale, X_scale_2, X_amax, X_tensor_amax.  A last ``.codes``,
        ``.packed``, ``.blocks`` or ``.qdata`` of the codes' name may be left out;
        what belongs to ``codes`` itself may be named by the ending alone.

    Returns
    -------
    list of Dump
        In the file's order; never empty.  All of their arrays are in memory.

    Raises
    ------
    InputError
        If the file cannot be read, no quantised tensor is found in it, none has scales
        or the one asked for has none, two tensors may be the same part of one, or a part
        has a type that it cannot have.

    Notes
    -----
    F4 and F6 elements are unpacked, the first in the low bits.  One-byte integers
    are taken for two elements of FP4 each if the name ends in ``packed`` or
    ``blocks``, if the source's last dimension has twice the length, or if there is
    an F8_E4M3 scale for every 8 bytes (NVFP4).

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from fp8num.inputs import write_safetensors
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "dump.safetensors")
    >>> codes, scale = np.full((2, 3), 0x38, np.uint8), np.float32(0.5)
    >>> write_safetensors(path, {"w": (codes, "F8_E4M3"), "w_scale": scale[...]})
    >>> (dump,) = read_dumps(path)
    >>> dump.format.name, dump.codes.shape, dump.scales, dump.parts
    ('E4M3FN', (2, 3), array(0.5, dtype=float32), {'codes': 'w', 'scales': 'w_scale'})
    >>> folder.cleanup()
    """
    given = {"codes": codes, "scales": scales, "source": source, "tensor_scale": tensor_scale}
    named = {role: name for role, name in given.items() if name is not None}
    opened = open_parts(path)
    for role, name in named.items():
        if name not in opened.tensors:
            msg = f"{shown(opened.file)} has no tensor {shown(name, 60)} for {role}; "
            raise InputError(msg + _listing(opened))
    chosen = _code_tensors(opened, named)
    if len(chosen) > 1 and named:
        msg = (
            f"{shown(opened.file)} has {len(chosen)} tensors of codes, and {', '.join(named)} "
            f"can belong to one only; name it with codes=; {_listing(opened)}"
        )
        raise InputError(msg)
    some = len(chosen) > 1 and any(any(_companions(opened, name, "scales")) for name in chosen)
    found = [_parts_of(opened, name, named, may_lack_scales=some) for name in chosen]
    return [_read(opened, parts) for parts in found]


def _code_tensors(opened: Parts, named: dict[str, str]) -> list[str]:
    """Return the names of the tensors that are codes."""
    if "codes" in named:
        return [named["codes"]]
    free = [part for part in opened.tensors.values() if part.name not in named.values()]
    coded = [part.name for part in free if part.dtype in _CODED]
    plain = [part.name for part in free if part.dtype in _PLAIN]
    scales = {scale for name in coded + plain for scale in _companions(opened, name, "scales")}
    coded = [name for name in coded if name not in scales]
    plain = [name for name in plain if name not in scales]
    if "scales" not in named:  # else any of them may be what the scales are of
        plain = [name for name in plain if any(_companions(opened, name, "scales"))]
    elif coded:
        plain = []
    chosen = [part.name for part in free if part.name in {*coded, *plain}]
    if not chosen:
        msg = (
            f"{shown(opened.file)} has no tensor of codes (of type {', '.join(_CODED)}, or of "
            "bytes X beside X_scale or the like); name it with codes= and its scales with "
            f"scales=; {_listing(opened)}"
        )
        raise InputError(msg)
    return chosen


def _companions(opened: Parts, name: str, role: str) -> Iterator[str]:
    """Yield the tensors that may be a part of a quantised tensor, by their names."""
    bases = [name, *(name.removesuffix(end) for end in _ENDINGS if name.endswith(end))]
    for base, mark, word in product(bases, "._", _WORDS[role]):
        if base + mark + word in opened.tensors:
            yield base + mark + word
    if name == "codes":
        yield from (word for word in _WORDS[role] if word in opened.tensors)


def _parts_of(
    opened: Parts, name: str, named: dict[str, str], *, may_lack_scales: bool
) -> dict[str, str]:
    """Return the name of each part that there is; InputError unless each is one and fit."""
    parts = {"codes": name}
    for role in _WORDS:
        found = [named[role]] if role in named else list(_companions(opened, name, role))
        what = f"{shown(opened.file)}, tensor {shown(name, 60)},"
        if len(found) > 1:
            names = ", ".join(shown(each, 60) for each in found)
            msg = f"{what} may have as {role}: {names}; name the right one with codes= and {role}="
            raise InputError(msg)
        if found:
            parts[role] = found[0]
        elif role == "scales" and not may_lack_scales:
            msg = (
                f"{what} has no scales beside it under a customary name (such as "
                f"{shown(f'{name}_scale', 80)}); name them with codes= and scales=, or another "
                f"tensor with codes=; {_listing(opened)}"
            )
            raise InputError(msg)
    for role, each in parts.items():
        part = opened.tensors[each]
        if part.dtype not in _TYPES[role]:
            why = f" ({part.reason})" if part.reason else ""
            msg = (
                f"{part.where} cannot be the {role} of {shown(name, 60)}: it is of type "
                f"{part.dtype}{why}, not one of {', '.join(_TYPES[role])}; name another one "
                f"with {role}="
            )
            raise InputError(msg)
    return parts


def _read(opened: Parts, parts: dict[str, str]) -> Dump:
    """Read the arrays of one quantised tensor."""
    stored = {role: opened.tensors[name] for role, name in parts.items()}
    code_part = stored["codes"]
    key = FORMAT_NAMES.get(code_part.dtype) or PACKED.get(code_part.dtype)
    fmt = None if key is None else get_format(key)
    if fmt is None and code_part.name.endswith(".codes"):
        fmt = described_format(opened, code_part.name.removesuffix(".codes"))
    optional = {role: part.read() for role, part in stored.items() if role != "codes"}
    dump = Dump(
        name=code_part.name,
        codes=code_part.read().view(np.uint8),
        format=fmt,
        stored_dtype=code_part.dtype,
        scales=optional.get("scales"),
        scale_dtype=stored["scales"].dtype if "scales" in stored else "",
        source=optional.get("source"),
        tensor_scale=optional.get("tensor_scale"),
        metadata=dict(opened.metadata),
        parts=parts,
        declared=_declared(opened, code_part.name),
    )
    return dump.unpacked() if fmt is None and _holds_pairs(stored) else dump


def _declared(opened: Parts, name: str) -> Rule | None:
    """Return the rule that a description by `save_scaled` names; InputError if it is none."""
    key = _DESCRIPTION + name.removesuffix(".codes")
    if not name.endswith(".codes") or key not in opened.metadata:
        return None
    from fp8num.scaling import Rule

    try:
        rule = read_description(opened, name.removesuffix(".codes")).get("rule")
        return None if rule is None else Rule.from_dict(rule)
    except (TypeError, ValueError) as error:
        msg = (
            f"{shown(opened.file)}, scaled array {shown(name, 60)}, is described by a rule that "
            f"does not fit ({shown(str(error), 400)}); save it again with save_scaled"
        )
        raise InputError(msg) from error


def _holds_pairs(stored: dict[str, StoredPart]) -> bool:
    """Whether bytes are surely two elements each."""
    codes = stored["codes"]
    if not codes.shape or codes.dtype == "I8":
        return False
    *before, last = codes.shape
    if "source" in stored:
        return stored["source"].shape == (*before, 2 * last)
    if "scales" not in stored:
        return codes.name.endswith(_PACKED_ENDINGS)
    scales = stored["scales"]
    # One scale makes no ratio: a row of 8 codes in a block of 16 would look the same.
    by_scales = scales.dtype == "F8_E4M3" and scales.shape == (*before, last // 8)
    return codes.name.endswith(_PACKED_ENDINGS) or (by_scales and last % 8 == 0 and last > 8)


def _listing(opened: Parts, limit: int = 8) -> str:
    """Say which tensors there are."""
    tensors = list(opened.tensors.values())
    few = ", ".join(f"{shown(each.name, 40)} {each.dtype} {each.shape}" for each in tensors[:limit])
    more = f" and {len(tensors) - limit} more" if len(tensors) > limit else ""
    return f"it has {few}{more}" if tensors else "it has no tensors at all"
