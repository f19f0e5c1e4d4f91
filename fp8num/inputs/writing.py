"""Writing the safetensors format: the same tensors always give the same bytes.

::

    length   {"__metadata__": {...}, "name": {...}, ...}  spaces   widest elements ... narrowest
    8 bytes  `length` bytes of JSON, a multiple of 8               each aligned to its own width

The order is that of the safetensors library: by type, the widest first, then by
name.  So a file is what the library would have written, byte for byte (metadata
apart, which it writes in an order that changes from run to run).  But arrays of any
strides are written as what they hold, where the library copies their memory as if
it were contiguous, and codes need no array type of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import refuse_kind, refuse_mask, text
from fp8num._files import whole_file
from fp8num._kernels.blocks import blocks_of
from fp8num._text import shown
from fp8num.codec import pack
from fp8num.inputs.parts import PACKED
from fp8num.inputs.signatures import MAX_SAFETENSORS_HEADER

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

__all__ = ["Writable", "write_safetensors"]

#: An array, or codes and the safetensors name of the type they are codes of.
Writable: TypeAlias = npt.NDArray[Any] | tuple[npt.NDArray[Any], str]

#: bits of an element, in the order of the safetensors library, which writes the last ones first
_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
_RANK = {name: rank for rank, name in enumerate(_BITS)}
#: names of the types of NumPy and of ml_dtypes
_NAMES = {
    "bool": "BOOL",
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    "complex64": "C64",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float6_e2m3fn": "F6_E2M3",
    "float6_e3m2fn": "F6_E3M2",
    "float4_e2m1fn": "F4",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Planned:
    """A tensor that has passed every check."""

    name: str
    dtype: str
    array: npt.NDArray[Any]

    @property
    def length(self) -> int:
        """Bytes it takes in the file."""
        return self.array.size * _BITS[self.dtype] // 8

    def chunks(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the elements as they lie in the file, some at a time."""
        # The buffers of NumPy 2.0's iterator are gone too early for a swapped 0-d array.
        for block in blocks_of(np.atleast_1d(self.array)):
            if self.dtype in PACKED:
                yield pack(block, PACKED[self.dtype])  # all blocks but the last end on a byte
            else:
                yield block.astype(block.dtype.newbyteorder("<"), copy=False)


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Writable],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """
    Write tensors to a safetensors file.

    The file appears whole or not at all: it is written under another name in
    the same folder and then renamed, over an older file if there is one, whatever
    that holds.

    Parameters
    ----------
    path : str or os.PathLike of str
        The file; its folder must exist.
    tensors : mapping of str to ndarray, or to (ndarray, str)
        The elements, of any shape, strides and byte order.  Boolean, integer,
        float16, float32, float64 and complex64 arrays and the types of
        ml_dtypes that the format knows have a name in it.  Codes (unsigned
        integers of the type's width, uint8 for narrower ones) are given with
        the name of their type: ``(codes, "F8_E4M3")``.  ``F4``, ``F6_E2M3``
        and ``F6_E3M2`` take one code an element, and are stored densely as by
        `pack`.
    metadata : mapping of str to str, optional
        Text to store in the header.

    Raises
    ------
    TypeError
        If a tensor is not an array, if its type has no name in the format, or
        if codes are not of the type's width; if a name or metadata is not text.
    ValueError
        If a name is ``__metadata__``, text is not Unicode, a type is unknown, a
        code is out of range, or narrow elements do not fill whole bytes.
    OSError
        If the file cannot be written.

    Notes
    -----
    Every element is stored exactly, a NaN's payload included.  Memory beside
    the arrays is bounded by the header and a block of 2^15 elements.

    References
    ----------
    https://github.com/huggingface/safetensors, "Format".

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from fp8num.inputs import open_tensors
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "x.safetensors")
    >>> codes = np.array([[0x38, 0x39]], np.uint8)
    >>> write_safetensors(path, {"x": (codes, "F8_E4M3"), "x_scale": np.float32([2])})
    >>> [(tensor.name, tensor.dtype, tensor.shape) for tensor in open_tensors(path).tensors]
    [('x_scale', 'F32', (1,)), ('x', 'F8_E4M3', (1, 2))]
    >>> folder.cleanup()
    """
    planned = [_plan(_checked_text(name, "a name"), value) for name, value in tensors.items()]
    planned.sort(key=lambda tensor: (-_RANK[tensor.dtype], tensor.name.encode()))
    texts = {
        _checked_text(key, "a key of metadata"): _checked_text(text, f"metadata[{shown(key)}]")
        for key, text in (metadata or {}).items()
    }
    header = _header(planned, texts)
    with whole_file(path) as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        for tensor in planned:
            for chunk in tensor.chunks():
                stream.write(chunk.data)


def _header(planned: list[_Planned], metadata: dict[str, str]) -> bytes:
    """Make the JSON text, padded so that the data are aligned to 8 bytes."""
    entries: dict[str, object] = {}
    if metadata:
        entries["__metadata__"] = dict(sorted(metadata.items()))
    at = 0
    for tensor in planned:
        end = at + tensor.length
        shape = list(tensor.array.shape)
        entries[tensor.name] = {"dtype": tensor.dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    if len(text) > MAX_SAFETENSORS_HEADER:
        msg = (
            f"names, shapes and metadata make a header of {len(text)} bytes, the format allows "
            f"{MAX_SAFETENSORS_HEADER}; write several files"
        )
        raise ValueError(msg)
    return text


def _checked_text(value: object, what: str) -> str:
    """Return what must be text that UTF-8 can hold, and no reserved name."""
    found = text(what, value, advice="convert it with str or json.dumps")
    try:
        found.encode()
    except UnicodeEncodeError:
        msg = f"{what} must be Unicode text, {shown(found, 60)} holds half a surrogate pair"
        raise ValueError(msg) from None
    if found == "__metadata__" and what == "a name":
        msg = "a name must not be '__metadata__', which the format keeps for text; rename it"
        raise ValueError(msg)
    return found


def _plan(name: str, value: object) -> _Planned:
    """Check a tensor and find the name of its type."""
    where = f"tensor {shown(name, 60)}"
    array, dtype = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    refuse_mask(array, where)
    if not isinstance(array, np.ndarray | np.generic):
        wanted = "an array, or an array of codes and the name of their type"
        refuse_kind(where, wanted, array, "convert it with np.asarray")
    array = np.asarray(array)
    natural = _NAMES.get(array.dtype.name)
    if natural is None:
        msg = (
            f"{where} has elements of type {array.dtype.name}, for which safetensors has no name; "
            "convert it with astype, or give codes as unsigned integers"
        )
        raise TypeError(msg)
    if dtype is None:
        dtype = natural
    elif not isinstance(dtype, str) or dtype not in _BITS:
        msg = f"{where} has the type {shown(str(dtype), 60)}, which safetensors has not; it has "
        raise ValueError(msg + " ".join(_BITS))
    _check_codes(array, natural, dtype, where)
    if array.dtype.kind != "c":  # as integers: no conversion may touch the payload of a NaN
        words = np.dtype(f"u{array.dtype.itemsize}").newbyteorder(array.dtype.byteorder)
        array = array.view(words)
    return _Planned(name=name, dtype=dtype, array=array)


def _check_codes(array: npt.NDArray[Any], natural: str, dtype: str, where: str) -> None:
    """Refuse codes of another width, or that cannot be stored in whole bytes."""
    bits = _BITS[dtype]
    width = max(bits, 8)
    if dtype != natural and (natural != f"U{width}" or dtype == "BOOL"):
        msg = (
            f"{where} must hold codes of {dtype} as uint{width}, got {array.dtype}; "
            "view() reads elements of the same width as codes"
        )
        raise TypeError(msg)
    if dtype not in PACKED:
        return
    # Libraries that know F4 halve the last dimension.
    if dtype == "F4" and (array.ndim == 0 or array.shape[-1] % 2):
        msg = (
            f"{where} of shape {array.shape} cannot be {dtype}: two elements share a byte, so "
            "the last dimension must be even; store the codes as uint8"
        )
        raise ValueError(msg)
    if array.size * bits % 8:
        msg = (
            f"{where} of shape {array.shape} cannot be {dtype}: {array.size} elements of {bits} "
            "bits do not fill whole bytes; store the codes as uint8"
        )
        raise ValueError(msg)
    largest = int(array.view(np.uint8).max(initial=0))
    if largest >= 1 << bits:
        msg = f"{where} must hold codes of {dtype} below {1 << bits}, got {largest}; check its type"
        raise ValueError(msg)
