"""What the codec's arguments must be, checked before any work is done."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import array_text, as_array, generator, refuse
from fp8num._arguments import random_width as width_of
from fp8num._text import brief

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = [
    "as_codes",
    "check_codes",
    "codes_advice",
    "holds",
    "named_dtype",
    "raise_out_of_range",
    "random_source",
    "refuse_random",
    "require_exact",
]

_FLOATS = ("float16", "bfloat16", "float32", "float64", "longdouble")
#: Precision, smallest and largest exponent of a bit, of each type values may have.
_BFLOAT16_RANGE = (8, -133, 127)


def as_codes(codes: npt.ArrayLike, fmt: Format) -> npt.NDArray[Any]:
    """Return an array of codes of the format's type."""
    array = as_array(codes, "codes")
    if isinstance(codes, int | list | tuple):
        # Python's integers beyond 64 bits are objects to NumPy.
        huge = array.dtype.kind == "O" and set(map(type, array.flat)) == {int}
        if array.dtype.kind in "iu" or huge or not array.size:
            return _codes_from_integers(array, fmt)
    if array.dtype != fmt.code_dtype:  # byte-swapped uint16 compares unequal, and is meant
        if array.dtype.newbyteorder("=") == fmt.code_dtype:
            return array
        msg = (
            f"codes must be {fmt.code_dtype} for {fmt.name}, got {array_text(array)}; "
            f"{codes_advice(array, fmt)}"
        )
        raise TypeError(msg)
    return array


def codes_advice(array: npt.NDArray[Any], fmt: Format, argument: str = "codes") -> str:
    """Say how to make codes of an array of another type."""
    wanted = f"np.{fmt.code_dtype}"
    same_width = array.dtype.itemsize == fmt.code_dtype.itemsize
    if array.dtype.kind in "iu" and not same_width:
        return f"{argument}.astype({wanted}) makes codes of integers"
    advice = "encode() makes codes from values"
    if same_width and array.dtype.kind != "b":
        advice += f", {argument}.view({wanted}) reads bytes as codes"
    return advice


def _codes_from_integers(array: npt.NDArray[Any], fmt: Format) -> npt.NDArray[Any]:
    """Convert codes written out as Python integers."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high >> fmt.bits:
        raise_out_of_range(low if low < 0 else high, fmt)
    return array.astype(fmt.code_dtype)


def raise_out_of_range(code: int, fmt: Format) -> None:
    """Say which code no format of that width has."""
    msg = (
        f"codes must be from 0 to {(1 << fmt.bits) - 1} for {fmt.name} of {fmt.bits} bits, "
        f"got {code}; unpack() reads packed codes"
    )
    raise ValueError(msg)


def check_codes(block: npt.NDArray[Any], fmt: Format) -> None:
    """Refuse codes wider than the format, where their type has room for such."""
    if fmt.bits < 8 * block.dtype.itemsize and block.size:
        highest = int(block.max())
        if highest >> fmt.bits:
            raise_out_of_range(highest, fmt)


def named_dtype(dtype: npt.DTypeLike | str) -> tuple[np.dtype[Any], bool]:
    """Return a floating-point type, and whether it was asked for by name."""
    if isinstance(dtype, str) and dtype == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16), True
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    known = found.kind == "f" and found.isnative and found.itemsize != 1
    if not known and found.name != "bfloat16":
        msg = f"dtype must be one of {', '.join(_FLOATS)}, got {brief(dtype)}"
        raise TypeError(msg)
    return found, isinstance(dtype, str)


def require_exact(fmt: Format, dtype: np.dtype[Any], *, by_name: bool) -> None:
    """Refuse a type that cannot hold every value of a format, unless asked for by name."""
    fmt.require_float64()
    if not by_name and not holds(dtype, fmt):
        msg = (
            f"dtype {dtype} cannot hold every value of {fmt.name}; use a wider one, or ask for "
            f"rounding to it by name: dtype={dtype.name!r}"
        )
        raise ValueError(msg)


@lru_cache(maxsize=1024)
def holds(dtype: np.dtype[Any], fmt: Format) -> bool:
    """Whether a floating-point type can hold every value of a format."""
    if dtype.name == "bfloat16":
        precision, lowest, highest = _BFLOAT16_RANGE
    else:
        info = np.finfo(dtype)
        precision, highest = info.nmant + 1, int(info.maxexp) - 1
        lowest = int(info.minexp) - info.nmant
    _, integers, exponents = fmt.magnitudes
    positive = integers > 0
    integers, exponents = integers[positive], exponents[positive]
    length = np.frexp(integers.astype(np.float64))[1]
    zeros = np.frexp((integers & -integers).astype(np.float64))[1] - 1
    return bool(
        (length - zeros).max() <= precision
        and (exponents + zeros).min() >= lowest
        and (length - 1 + exponents).max() <= highest
    )


def random_source(
    random_bits: npt.ArrayLike | None,
    random_width: int | None,
    rng: np.random.Generator | None,
    shape: tuple[int, ...],
) -> tuple[npt.NDArray[Any] | np.random.Generator, int]:
    """Return where a stochastic mode's bits come from, and how many there are to each."""
    if (random_bits is None) == (rng is None):
        msg = (
            "stochastic rounding needs either random_bits with random_width, or rng "
            "(a numpy.random.Generator)"
        )
        raise ValueError(msg)
    if random_width is None and random_bits is not None:
        refuse("random_width", "an integer from 1 to 32", None, "say how many bits there are")
    width = 32 if random_width is None else width_of(random_width)
    if rng is not None:
        return generator("rng", rng), width
    assert random_bits is not None
    return _given_bits(random_bits, width, shape), width


def _given_bits(
    random_bits: npt.ArrayLike, random_width: int, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    bits = as_array(random_bits, "random_bits")
    if bits.dtype.kind not in "iu":
        msg = f"random_bits must be integers, got {array_text(bits)}"
        raise TypeError(msg)
    low, high = (int(bits.min()), int(bits.max())) if bits.size else (0, 0)
    if low < 0 or high >> random_width:
        worst = low if low < 0 else high
        msg = (
            f"random_bits must be from 0 to 2**random_width - 1 = {(1 << random_width) - 1}, "
            f"got {worst}"
        )
        raise ValueError(msg)
    try:
        return np.broadcast_to(bits, shape)
    except ValueError:
        msg = f"random_bits must broadcast to the shape of x, {shape}, got {bits.shape}"
        raise ValueError(msg) from None


def refuse_random(random_bits: object, random_width: object, rng: object, rounding: str) -> None:
    """Refuse random bits that a deterministic mode would ignore."""
    if random_bits is not None or random_width is not None or rng is not None:
        msg = (
            f"random_bits, random_width and rng are for stochastic rounding, got rounding "
            f"{rounding!r}; choose StochasticA, StochasticB or StochasticC"
        )
        raise ValueError(msg)
