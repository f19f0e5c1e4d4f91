"""Strategies for codes and values of a format."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fp8num.formats import Format, get_format

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["code_arrays", "codes", "special_codes", "values"]


def codes(fmt: Format | str, *, finite: bool = False) -> st.SearchStrategy[int]:
    """
    Generate codes of a format.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts.
    finite : bool, optional
        Whether to leave out the codes of infinities and NaNs.

    Returns
    -------
    SearchStrategy of int
        Shrinks to the code of zero (of the smallest value where there is none); a
        positive code is simpler than a negative one, a finite one than a special.

    Examples
    --------
    Every code is read and written back::

        @given(code=strategies.codes("E5M2", finite=True))
        def test_my_decoder(code):
            assert my_encode(my_decode(code)) == code
    """
    fmt = get_format(fmt)
    finite_codes, all_codes = _simplest_first(fmt)
    return st.sampled_from(finite_codes if finite else all_codes)


def special_codes(fmt: Format | str) -> st.SearchStrategy[int]:
    """
    Generate the codes of infinities and NaNs.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts.

    Returns
    -------
    SearchStrategy of int
        Shrinks to infinity where the format has it, else to the NaN of the smallest code.

    Raises
    ------
    ValueError
        If every code is a finite number.

    Examples
    --------
    ::

        @given(code=strategies.special_codes("E5M2"))
        def test_my_sum_passes_specials_on(code):
            assert not np.isfinite(my_decode(my_add(code, 0)))
    """
    fmt = get_format(fmt)
    finite_codes, all_codes = _simplest_first(fmt)
    if len(finite_codes) == len(all_codes):
        msg = f"fmt must have infinities or NaNs, got {fmt.name}, all of whose codes are numbers"
        raise ValueError(msg)
    return st.sampled_from(all_codes[len(finite_codes) :])


def values(fmt: Format | str, *, finite: bool = False) -> st.SearchStrategy[float]:
    """
    Generate values of a format.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts; float64 must hold its values.
    finite : bool, optional
        Whether to leave out infinities and NaNs.

    Returns
    -------
    SearchStrategy of float
        Each value as often as it has codes: -0, and NaN of both signs, where the format
        has them.  Shrinks as `codes` does.

    Raises
    ------
    ValueError
        If float64 cannot hold the values.

    Examples
    --------
    ::

        @given(value=strategies.values("E4M3FN", finite=True))
        def test_values_are_kept(value):
            assert my_quantize(value) == value
    """
    fmt = get_format(fmt)
    table = fmt.values
    return codes(fmt, finite=finite).map(lambda code: float(table[code]))


@lru_cache(maxsize=64)
def _simplest_first(fmt: Format) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the finite codes, by sign and magnitude, and all codes, NaNs at the end."""
    positive = [int(code) for code in fmt.magnitudes.codes]
    finite = dict.fromkeys(positive)
    if fmt.signed:
        skip = 1 if fmt.has_zero and not fmt.has_negative_zero else 0
        finite |= dict.fromkeys(fmt.negate_code(code) for code in positive[skip:])
    special = [code for code in range(1 << fmt.bits) if code not in finite]
    special.sort(key=lambda code: (fmt.classify(code) == "nan", code))
    return tuple(finite), (*finite, *special)


def code_arrays(
    fmt: Format | str,
    shape: int | tuple[int, ...] | st.SearchStrategy[tuple[int, ...]],
    *,
    finite: bool = False,
) -> st.SearchStrategy[npt.NDArray[Any]]:
    """
    Generate arrays of codes.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts.
    shape : int, tuple of int, or a strategy of tuples
        Shape of the arrays.
    finite : bool, optional
        Whether to leave out the codes of infinities and NaNs.

    Returns
    -------
    SearchStrategy of ndarray of uint8 (uint16 above 8 bits)
        Shrinks to zeros.

    Examples
    --------
    Arrays of an ml_dtypes type, which Hypothesis alone cannot make, are views::

        strategies.code_arrays("E5M2", (3, 4)).map(lambda a: a.view(ml_dtypes.float8_e5m2))
    """
    fmt = get_format(fmt)
    return hnp.arrays(fmt.code_dtype, shape, elements=codes(fmt, finite=finite))
