"""
The smaller or the larger of two codes, in every way that the standards have.

::

                          NaN, x      |x| < |y|      inf, x
    minimum               NaN         min(x, y)      min(x, y)
    minimum_number        x           min(x, y)      min(x, y)
    minimum_magnitude     NaN         x              x
    minimum_magnitude_number  x       x              x
    minimum_finite        x           min(x, y)      x, for infinities of both signs

-0 is less than +0.  As every operation these project their result: under the default
SatFinite an infinity becomes the largest finite value.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num.ops.execution import Circumstances, Operation, Options, apply
from fp8num.ops.numbers import Numbers, order_of

if TYPE_CHECKING:
    from typing import Unpack

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.projection import Rounding, Saturation

__all__ = [
    "maximum",
    "maximum_finite",
    "maximum_magnitude",
    "maximum_magnitude_number",
    "maximum_number",
    "minimum",
    "minimum_finite",
    "minimum_magnitude",
    "minimum_magnitude_number",
    "minimum_number",
]


def _choose(
    at: Circumstances,
    x: Numbers,
    y: Numbers,
    *,
    larger: bool,
    number: bool = False,
    magnitude: bool = False,
    finite: bool = False,
) -> Numbers:
    """Return the one of each pair that an operation selects."""
    del at
    first, second = order_of(x), order_of(y)
    takes_y = first < second if larger else second < first
    if magnitude:  # IEEE 754-2019, 9.6: of equal magnitudes, as without
        sizes = [np.abs(first), np.abs(second)]  # those of both zeros are 1
        differ = sizes[0] != sizes[1]
        takes_y = np.where(differ, (sizes[0] < sizes[1]) == larger, takes_y)
    if finite:  # P3109: an infinity only beside another, or beside a NaN
        takes_y = np.where(x.is_infinite == y.is_infinite, takes_y, x.is_infinite)
    # A NaN is what comes of a NaN; of a number and a NaN the number, if so asked.
    takes_y = np.where(x.is_nan, number, takes_y)
    takes_y = np.where(y.is_nan & ~x.is_nan, not number, takes_y)
    return Numbers(
        np.where(takes_y, y.magnitude, x.magnitude),
        np.where(takes_y, y.exponent, x.exponent),
        np.where(takes_y, y.kind, x.kind),
        np.where(takes_y, y.negative, x.negative),
    )


_MINIMUM = Operation("minimum", partial(_choose, larger=False))
_MINIMUM_NUMBER = Operation("minimum_number", partial(_choose, larger=False, number=True))
_MINIMUM_MAGNITUDE = Operation("minimum_magnitude", partial(_choose, larger=False, magnitude=True))
_MINIMUM_MAGNITUDE_NUMBER = Operation(
    "minimum_magnitude_number", partial(_choose, larger=False, magnitude=True, number=True)
)
_MINIMUM_FINITE = Operation(
    "minimum_finite", partial(_choose, larger=False, number=True, finite=True)
)
_MAXIMUM = Operation("maximum", partial(_choose, larger=True))
_MAXIMUM_NUMBER = Operation("maximum_number", partial(_choose, larger=True, number=True))
_MAXIMUM_MAGNITUDE = Operation("maximum_magnitude", partial(_choose, larger=True, magnitude=True))
_MAXIMUM_MAGNITUDE_NUMBER = Operation(
    "maximum_magnitude_number", partial(_choose, larger=True, magnitude=True, number=True)
)
_MAXIMUM_FINITE = Operation(
    "maximum_finite", partial(_choose, larger=True, number=True, finite=True)
)


def minimum(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the smaller of two codes; NaN if either is.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE 754-2019, 9.6, and P3109: Minimum.

    Examples
    --------
    >>> from fp8num.ops import minimum
    >>> hex(int(minimum(0x00, 0x80, "E4M3FN"))), hex(int(minimum(0x38, 0x7F, "E4M3FN")))
    ('0x80', '0x7f')
    """
    formats = (fmt, b_format, out_format)
    return apply(_MINIMUM, (a, b), formats, (rounding, saturation), options)


def minimum_number(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the smaller of two codes; the number if one is a NaN.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE 754-2019, 9.6, and P3109: MinimumNumber.

    Examples
    --------
    >>> from fp8num.ops import minimum_number
    >>> hex(int(minimum_number(0x38, 0x7F, "E4M3FN")))
    '0x38'
    """
    formats = (fmt, b_format, out_format)
    return apply(_MINIMUM_NUMBER, (a, b), formats, (rounding, saturation), options)


def minimum_magnitude(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the code of smaller magnitude of two; NaN if either is.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE 754-2019, 9.6, and P3109: MinimumMagnitude.

    Examples
    --------
    >>> from fp8num.ops import minimum_magnitude
    >>> hex(int(minimum_magnitude(0x38, 0xC0, "E4M3FN")))  # of 1 and -2
    '0x38'
    """
    formats = (fmt, b_format, out_format)
    return apply(_MINIMUM_MAGNITUDE, (a, b), formats, (rounding, saturation), options)


def minimum_magnitude_number(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the code of smaller magnitude of two; the number if one is a NaN.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE 754-2019, 9.6, and P3109: MinimumMagnitudeNumber.

    Examples
    --------
    >>> from fp8num.ops import minimum_magnitude_number
    >>> hex(int(minimum_magnitude_number(0x7F, 0xC0, "E4M3FN")))
    '0xc0'
    """
    formats = (fmt, b_format, out_format)
    return apply(_MINIMUM_MAGNITUDE_NUMBER, (a, b), formats, (rounding, saturation), options)


def minimum_finite(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the smaller of two codes; a finite number before an infinity or a NaN.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE P3109 Interim Report v4.0 (2026): MinimumFinite.

    Examples
    --------
    >>> from fp8num.ops import minimum_finite
    >>> hex(int(minimum_finite(0x3C, 0xFC, "E5M2")))  # of 1 and -infinity
    '0x3c'
    """
    formats = (fmt, b_format, out_format)
    return apply(_MINIMUM_FINITE, (a, b), formats, (rounding, saturation), options)


def maximum(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the larger of two codes; NaN if either is.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE 754-2019, 9.6, and P3109: Maximum.

    Examples
    --------
    >>> from fp8num.ops import maximum
    >>> hex(int(maximum(0x00, 0x80, "E4M3FN"))), hex(int(maximum(0x38, 0x7F, "E4M3FN")))
    ('0x0', '0x7f')
    """
    formats = (fmt, b_format, out_format)
    return apply(_MAXIMUM, (a, b), formats, (rounding, saturation), options)


def maximum_number(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the larger of two codes; the number if one is a NaN.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE 754-2019, 9.6, and P3109: MaximumNumber.

    Examples
    --------
    >>> from fp8num.ops import maximum_number
    >>> hex(int(maximum_number(0x38, 0x7F, "E4M3FN")))
    '0x38'
    """
    formats = (fmt, b_format, out_format)
    return apply(_MAXIMUM_NUMBER, (a, b), formats, (rounding, saturation), options)


def maximum_magnitude(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the code of larger magnitude of two; NaN if either is.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE 754-2019, 9.6, and P3109: MaximumMagnitude.

    Examples
    --------
    >>> from fp8num.ops import maximum_magnitude
    >>> hex(int(maximum_magnitude(0x38, 0xC0, "E4M3FN")))  # of 1 and -2
    '0xc0'
    """
    formats = (fmt, b_format, out_format)
    return apply(_MAXIMUM_MAGNITUDE, (a, b), formats, (rounding, saturation), options)


def maximum_magnitude_number(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the code of larger magnitude of two; the number if one is a NaN.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE 754-2019, 9.6, and P3109: MaximumMagnitudeNumber.

    Examples
    --------
    >>> from fp8num.ops import maximum_magnitude_number
    >>> hex(int(maximum_magnitude_number(0x7F, 0xC0, "E4M3FN")))
    '0xc0'
    """
    formats = (fmt, b_format, out_format)
    return apply(_MAXIMUM_MAGNITUDE_NUMBER, (a, b), formats, (rounding, saturation), options)


def maximum_finite(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return the larger of two codes; a finite number before an infinity or a NaN.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE P3109 Interim Report v4.0 (2026): MaximumFinite.

    Examples
    --------
    >>> from fp8num.ops import maximum_finite
    >>> hex(int(maximum_finite(0x3C, 0x7C, "E5M2")))  # of 1 and infinity
    '0x3c'
    """
    formats = (fmt, b_format, out_format)
    return apply(_MAXIMUM_FINITE, (a, b), formats, (rounding, saturation), options)
