"""
Dense storage of codes narrower than a byte.

::

    FP4   byte 0: bbbb aaaa                        a first, in the low bits
    FP6   byte 0: bbaaaaaa  1: ccccbbbb  2: ddddddcc
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num._kernels.blocks import blocks_of
from fp8num.codec._checks import as_codes, check_codes
from fp8num.formats import Format, get_format

__all__ = ["pack", "unpack"]

#: Codes handled at once; a multiple of 8, so that every block ends on a byte.
_BLOCK = 1 << 15


def pack(codes: npt.ArrayLike, fmt: Format | str) -> npt.NDArray[np.uint8]:
    """
    Store codes densely.

    Parameters
    ----------
    codes : array_like of uint8 (uint16 above 8 bits), shape (...)
        Codes of the format, taken in C order.
    fmt : Format or str
        The format, or what `get_format` accepts.

    Returns
    -------
    ndarray of uint8, shape (ceil(size * bits / 8),)
        Code i is in the bits ``i * bits`` to ``(i + 1) * bits``, least significant bit of
        each byte first; what is left of the last byte is zero.

    Raises
    ------
    TypeError
        If the codes are not of the format's type.
    ValueError
        If a code is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> [hex(byte) for byte in pack(np.array([1, 2, 3], np.uint8), "E2M1FN")]
    ['0x21', '0x3']
    """
    fmt = get_format(fmt)
    array = as_codes(codes, fmt)
    packed = np.empty(-(-array.size * fmt.bits // 8), np.uint8)
    start = 0
    for block in blocks_of(array):  # all but the last end on a byte: they hold 2**15 codes
        check_codes(block, fmt)
        pairs = block.astype("<u2").view(np.uint8).reshape(-1, 2)
        bits = np.unpackbits(pairs, axis=1, bitorder="little")[:, : fmt.bits]
        found = np.packbits(bits.reshape(-1), bitorder="little")
        packed[start : start + found.size] = found
        start += found.size
    return packed


def unpack(data: npt.ArrayLike, fmt: Format | str, count: int) -> npt.NDArray[Any]:
    """
    Read densely stored codes.

    Parameters
    ----------
    data : array_like of uint8, shape (ceil(count * bits / 8),)
        What `pack` returns.
    fmt : Format or str
        The format, or what `get_format` accepts.
    count : int
        Number of codes.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (count,)
        The codes.

    Raises
    ------
    TypeError
        If `data` is not an array of uint8.
    ValueError
        If it has not the size that `count` codes take.

    Examples
    --------
    >>> import numpy as np
    >>> unpack(np.array([0x21, 0x03], np.uint8), "E2M1FN", 3).tolist()
    [1, 2, 3]
    """
    fmt = get_format(fmt)
    array = as_array(data, "data")
    if array.dtype != np.uint8 or array.ndim != 1:
        msg = f"data must be a one-dimensional array of uint8, got {array.dtype} {array.shape}"
        raise TypeError(msg)
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
        msg = f"count must be an integer that is not negative, got {count!r}"
        raise ValueError(msg)
    count = int(count)
    size = -(-count * fmt.bits // 8)
    if array.size != size:
        msg = f"data must hold {size} bytes for {count} codes of {fmt.name}, got {array.size}"
        raise ValueError(msg)
    codes = np.empty(count, fmt.code_dtype)
    for low in range(0, count, _BLOCK):
        high = min(low + _BLOCK, count)
        block = array[low * fmt.bits // 8 : -(-high * fmt.bits // 8)]
        bits = np.unpackbits(block, count=(high - low) * fmt.bits, bitorder="little")
        wide = np.zeros((high - low, 16), np.uint8)
        wide[:, : fmt.bits] = bits.reshape(-1, fmt.bits)
        codes[low:high] = np.packbits(wide, axis=1, bitorder="little").view("<u2")[:, 0]
    return codes
