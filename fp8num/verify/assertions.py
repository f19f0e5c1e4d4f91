"""Assertions for test suites: equal codes, or an error that shows the first ones that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, member
from fp8num._kernels.words import as_values
from fp8num.formats import Format, get_format
from fp8num.verify.implementation import bits_of
from fp8num.verify.sources import SOURCES
from fp8num.verify.tally import NanRule, differing

if TYPE_CHECKING:
    from typing import Literal

__all__ = ["assert_codes_equal"]

#: Differences that the message shows.
SHOWN = 20


def assert_codes_equal(
    actual: npt.ArrayLike,
    expected: npt.ArrayLike,
    fmt: Format | str,
    *,
    x: npt.ArrayLike | None = None,
    compare_nan: NanRule | Literal["class", "code"] = "class",
) -> None:
    """
    Assert that two arrays hold the same codes.

    Parameters
    ----------
    actual, expected : array_like of the format's codes, shape (...)
        The codes; arrays of ml_dtypes are taken as such.
    fmt : Format or str
        The format.
    x : array_like, shape (...), optional
        What the codes were made from, to be shown.
    compare_nan : {"class", "code"}, optional
        Whether any code of NaN equals any other, or only itself.

    Raises
    ------
    AssertionError
        If they differ, in shape or in a code, with the first differences: place, input,
        codes in bits by field, and values.
    TypeError, ValueError
        If an array holds no codes of the format.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([0x38, 0x7E], np.uint8)
    >>> assert_codes_equal(codes, codes, "E4M3FN")
    >>> assert_codes_equal(codes, codes + 1, "E4M3FN", x=[1.0, 448.0])
    Traceback (most recent call last):
    AssertionError: 2 of 2 codes of E4M3FN differ
      [0] x = 0x1.0000000000000p+0: expected 0_0111_001 = 1.125, got 0_0111_000 = 1
      [1] x = 0x1.c000000000000p+8: expected 0_1111_111 = nan, got 0_1111_110 = 448
    """
    __tracebackhide__ = True
    fmt, rule = get_format(fmt), member("compare_nan", compare_nan, NanRule)
    one, other = _codes(actual, fmt, "actual"), _codes(expected, fmt, "expected")
    values = None if x is None else as_values(x)
    if one.shape != other.shape:
        msg = f"shapes of codes differ: actual {one.shape}, expected {other.shape}"
        raise AssertionError(msg)
    wrong = differing(other.ravel(), one.ravel(), fmt, rule)
    if not wrong.size:
        return
    if values is not None:
        values = np.broadcast_to(values, one.shape).ravel()
    lines = [f"{wrong.size:,} of {one.size:,} codes of {fmt.name} differ"]
    for place in wrong[:SHOWN].tolist():
        index = ", ".join(str(int(i)) for i in np.unravel_index(place, one.shape))
        given = "" if values is None else f" x = {_number(values[place])}:"
        lines.append(
            f"  [{index}]{given} expected {_code(int(other.ravel()[place]), fmt)}, "
            f"got {_code(int(one.ravel()[place]), fmt)}"
        )
    if wrong.size > SHOWN:
        lines.append(f"  and {wrong.size - SHOWN:,} more")
    raise AssertionError("\n".join(lines))


def _codes(given: npt.ArrayLike, fmt: Format, name: str) -> npt.NDArray[Any]:
    """Return an array of codes of the format's type."""
    codes = as_array(given, name)
    if not codes.size:
        return codes.astype(fmt.code_dtype)
    if codes.dtype.kind in "Vf" and codes.dtype.itemsize == fmt.code_dtype.itemsize:
        if get_format(codes.dtype) != fmt:
            msg = f"{name} must hold codes of {fmt.name}, got those of {codes.dtype}"
            raise TypeError(msg)
        codes = bits_of(codes, fmt.code_dtype)
    if codes.dtype.kind not in "iu":
        msg = f"{name} must hold codes of {fmt.name}, integers, got {codes.dtype}"
        raise TypeError(msg)
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << fmt.bits:
        worst = int(codes.min()) if int(codes.min()) < 0 else int(codes.max())
        msg = f"{name} must hold codes of {fmt.name}, 0 to {(1 << fmt.bits) - 1}, got {worst}"
        raise ValueError(msg)
    return codes.astype(fmt.code_dtype)


def _code(code: int, fmt: Format) -> str:
    fields = "_".join(field for field in fmt.fields(code) if field)
    table = fmt.values
    return f"{fields} = {float(table[code]):g}"


def _number(x: Any) -> str:  # noqa: ANN401 - an element of any real type
    """Write a number so that it can be read back."""
    source = SOURCES.get(x.dtype.name)
    if source is None:  # an integer or longdouble
        return str(x)
    return source.hex(int(np.array([x]).view(source.word)[0]))
