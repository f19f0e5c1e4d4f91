"""Codes to values, and codes of one format to codes of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import output, thread_count
from fp8num._kernels.blocks import LOOKUP_BLOCK, run
from fp8num._kernels.encoder import decoder, pair_type
from fp8num.codec._checks import (
    as_codes,
    check_codes,
    named_dtype,
    require_exact,
)
from fp8num.codec.encode import encode
from fp8num.formats import Format, get_format
from fp8num.projection import NanResult

if TYPE_CHECKING:
    from fp8num.projection import Profile, Rounding, Saturation

__all__ = ["convert", "decode"]

#: From here on, making the table of pairs is worth its while.
_MANY = 1 << 14


def decode(
    codes: npt.ArrayLike,
    fmt: Format | str,
    *,
    dtype: npt.DTypeLike = np.float32,
    out: npt.NDArray[Any] | None = None,
    threads: int = 1,
) -> npt.NDArray[Any]:
    """
    Return the values that codes stand for.

    Parameters
    ----------
    codes : array_like of uint8 (uint16 for formats above 8 bits), shape (...)
        Codes of the format.
    fmt : Format or str
        The format, or what `get_format` accepts.
    dtype : dtype, optional
        Floating-point type of the result.  By name (``dtype="float16"``) it may be one
        that cannot hold every value of the format; values are then rounded to it, ties
        to even.
    out : ndarray, shape (...), optional
        Where to put the values.
    threads : int, optional
        Threads that share the work; the result does not depend on it.

    Returns
    -------
    ndarray of `dtype`, shape (...)
        One value per code; NaN has the sign of its code where the format has both.

    Raises
    ------
    TypeError
        If the codes are not of the format's type, or `dtype` is no floating-point type.
    ValueError
        If a code is out of range, the type cannot hold every value of the format, or
        `out` does not fit.

    Notes
    -----
    Exact, unless a narrow type is asked for by name.

    Examples
    --------
    >>> import numpy as np
    >>> from fp8num import E4M3FN, decode
    >>> [float(value) for value in decode(np.array([0x38, 0x7E, 0x01], np.uint8), E4M3FN)]
    [1.0, 448.0, 0.001953125]
    """
    fmt = get_format(fmt)
    array, threads = as_codes(codes, fmt), thread_count(threads)
    found, by_name = named_dtype(dtype)
    require_exact(fmt, found, by_name=by_name)
    values = output(out, array.shape, found, (array,))
    target = values.view(np.uint16) if found.name == "bfloat16" else values
    many = fmt.bits <= 8 and array.size >= _MANY and found.itemsize <= 8
    table = decoder(fmt, found, pairs=many)

    def one_by_one(block: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        check_codes(block, fmt)
        table.take(block, out=out.view(found), mode="wrap")

    def two_by_two(block: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        check_codes(block, fmt)
        even = len(block) & ~1
        out = out.view(found)
        table.take(block[:even].view(np.uint16), out=out[:even].view(pair_type(found)), mode="wrap")
        if even < len(block):
            out[even:] = decoder(fmt, found).take(block[even:])

    run(two_by_two if many else one_by_one, (array, target), threads, 2 * LOOKUP_BLOCK)
    return values


def convert(
    codes: npt.ArrayLike,
    from_format: Format | str,
    to_format: Format | str,
    *,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    like: str | Profile | None = None,
    nan: NanResult | str = "max",
    random_bits: npt.ArrayLike | None = None,
    random_width: int | None = None,
    rng: np.random.Generator | None = None,
    out: npt.NDArray[Any] | None = None,
    threads: int = 1,
) -> npt.NDArray[Any]:
    """
    Convert codes of one format to codes of another, rounding once.

    Parameters
    ----------
    codes : array_like of uint8 (uint16 above 8 bits), shape (...)
        Codes of `from_format`.
    from_format, to_format : Format or str
        The formats, or what `get_format` accepts.
    rounding, saturation, like, nan, random_bits, random_width, rng
        As for `encode`.
    out : ndarray, shape (...), optional
        Where to put the codes.
    threads : int, optional
        Threads that share the work; the result does not depend on it.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of `to_format`.

    Raises
    ------
    TypeError, ValueError
        As for `decode` and `encode`.

    Examples
    --------
    >>> import numpy as np
    >>> from fp8num import convert
    >>> int(convert(np.uint8(0x7B), "E5M2", "E4M3FN"))  # 57344 saturates to 448
    126
    """
    from_format, to_format = get_format(from_format), get_format(to_format)
    array, threads = as_codes(codes, from_format), thread_count(threads)
    refuse_nan = NanResult.parse(nan) is NanResult.RAISE and not to_format.has_nan
    if random_bits is not None or rng is not None:
        values = decode(array, from_format, dtype=np.float64, threads=threads)
        return encode(
            values,
            to_format,
            rounding=rounding,
            saturation=saturation,
            like=like,
            nan=nan,
            random_bits=random_bits,
            random_width=random_width,
            rng=rng,
            out=out,
            threads=threads,
        )
    # Deterministic: convert every code once, then look up.
    table = encode(
        from_format.values,
        to_format,
        rounding=rounding,
        saturation=saturation,
        like=like,
        nan=NanResult.MAX if refuse_nan else nan,
        random_width=random_width,
    )
    result = output(out, array.shape, to_format.code_dtype, (array,))
    is_nan = np.isnan(from_format.values)

    def work(block: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        check_codes(block, from_format)
        if refuse_nan and is_nan.take(block).any():
            msg = f"codes must hold no NaN, as {to_format.name} has none"
            raise ValueError(msg)
        table.take(block, out=out, mode="wrap")

    run(work, (array, result), threads, LOOKUP_BLOCK)
    return result
