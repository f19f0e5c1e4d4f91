"""Stored tensors: a description, and the elements in blocks when they are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from fp8num._arguments import integer, refuse_mask
from fp8num._reading import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["InputError", "Opened", "StoredTensor", "tensor_from_array"]

BLOCK = 1 << 18  #: elements of a block unless told otherwise: 1 MiB of float32

#: bytes of an element, by the name that safetensors gives the type
ITEM_SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1,
    "F8_E8M0": 1,
}
#: catalogue keys of the types whose elements are handed out as codes
FORMAT_NAMES = {
    "F8_E4M3": "E4M3FN",
    "F8_E5M2": "E5M2",
    "F8_E4M3FNUZ": "E4M3FNUZ",
    "F8_E5M2FNUZ": "E5M2FNUZ",
    "F8_E8M0": "E8M0FNU",
}


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """
    One floating-point tensor: its description, and a way to its elements.

    Tensors compare by their description.  One that lies in a file can be
    pickled, and read in another process of the same machine.

    Attributes
    ----------
    name : str
        Name in the file, unchanged, so possibly hostile: escape it before
        printing.  For ``.npy`` the stem of the file's name, for ``.npz`` the
        member's name without ``.npy``.
    file : str
        The path as it was given, or ``"built-in"``.
    dtype : str
        Type of the stored elements: F64, F32, F16, BF16, F8_E4M3, F8_E5M2,
        F8_E4M3FNUZ, F8_E5M2FNUZ or F8_E8M0.
    shape : tuple of int
        ``()`` for a scalar; dimensions may be 0.
    order : {"C", "F"}
        Order of the elements in the file and in `blocks`: element ``i`` has
        the index ``np.unravel_index(i, shape, order)``.
    format_name : str or None
        The key in ``fp8num.FORMATS`` for the F8 types, else None.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    order: Literal["C", "F"] = "C"
    format_name: str | None
    _reader: Callable[[int], Iterator[npt.NDArray[np.generic]]] = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def blocks(self, size: int = BLOCK) -> Iterator[npt.NDArray[np.generic]]:
        """
        Read the elements block by block, in the order they are stored.

        Parameters
        ----------
        size : int, optional
            Largest number of elements of a block; at least 1.

        Returns
        -------
        iterator of ndarray, shape (n,)
            Fresh arrays in native byte order: float64, float32, float16,
            ``ml_dtypes.bfloat16``, or uint8 codes for the F8 types, which
            ``fp8num.decode(codes, fp8num.get_format(format_name))`` decodes.
            A tensor without elements has no blocks.

        Raises
        ------
        TypeError
            If `size` is not an integer.
        ValueError
            If `size` is less than 1.
        InputError
            While iterating: the file was changed since it was opened, ends
            too early, or fails its checksum.
        """
        advice = f"give elements per block, by default {BLOCK}"
        return self._reader(integer("size", size, 1, advice=advice))


@dataclass(frozen=True, kw_only=True)
class Opened:
    """
    What was found in a file.

    Attributes
    ----------
    tensors : tuple of StoredTensor
        The floating-point tensors, in the file's order; never empty.
    skipped : tuple of (str, str)
        Name and reason for everything else.
    """

    tensors: tuple[StoredTensor, ...]
    skipped: tuple[tuple[str, str], ...]


def tensor_from_array(
    name: str, array: npt.NDArray[np.generic], *, file: str = "built-in"
) -> StoredTensor:
    """
    Offer an array in memory as a stored tensor.

    Parameters
    ----------
    name : str
        Name of the tensor.
    array : ndarray of float16, float32, float64 or bfloat16, shape (...)
        The elements.  They are not copied, so leave them unchanged.
    file : str, optional
        Where they come from, for display.

    Returns
    -------
    StoredTensor
        Yields the elements in C order.

    Raises
    ------
    TypeError
        If `array` is of another type.

    Examples
    --------
    >>> import numpy as np
    >>> tensor = tensor_from_array("weight", np.ones((3, 2), np.float32))
    >>> tensor.dtype, tensor.size, [len(block) for block in tensor.blocks(4)]
    ('F32', 6, [4, 2])
    """
    refuse_mask(array, "array")
    names = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    dtype = names.get(array.dtype.name)
    if dtype is None:
        msg = (
            f"array must be float16, float32, float64 or bfloat16, got {array.dtype} of shape "
            f"{array.shape}; convert it with astype"
        )
        raise TypeError(msg)
    return StoredTensor(
        name=name,
        file=file,
        dtype=dtype,
        shape=array.shape,
        format_name=None,
        _reader=_ArrayReader(array),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _ArrayReader:
    """Blocks of an array in memory."""

    array: npt.NDArray[np.generic]

    def __call__(self, size: int) -> Iterator[npt.NDArray[np.generic]]:
        flat = np.ascontiguousarray(self.array).reshape(-1)
        native = self.array.dtype.newbyteorder("=")
        for start in range(0, flat.size, size):
            yield flat[start : start + size].astype(native)  # always a copy
