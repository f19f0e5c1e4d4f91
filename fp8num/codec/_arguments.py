"""What the codec's arguments must be, checked before any work is done."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, refuse_mask

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = [
    "as_codes",
    "check_codes",
    "check_threads",
    "codes_advice",
    "describe",
    "holds",
    "named_dtype",
    "output",
    "raise_out_of_range",
    "random_source",
    "refuse_random",
    "require_exact",
]

_FLOATS = ("float16", "bfloat16", "float32", "float64", "longdouble")
#: Precision, smallest and largest exponent of a bit, of each type values may have.
_BFLOAT16_RANGE = (8, -133, 127)
#: Threads or processes at once.  Each takes memory and a place in the system's table.
MOST_AT_ONCE = 1024


def describe(array: npt.NDArray[Any]) -> str:
    """Return an array's type and shape for a message."""
    return f"{array.dtype} of shape {array.shape}"


def check_threads(threads: int) -> int:
    """Return the number of threads."""
    whole = isinstance(threads, int | np.integer) and not isinstance(threads, bool)
    if not whole or not 1 <= threads <= MOST_AT_ONCE:
        msg = (
            f"threads must be a positive integer of at most {MOST_AT_ONCE}, got {threads!r:.60}; "
            "as many as there are processors are of use"
        )
        raise ValueError(msg)
    return int(threads)


def output(
    out: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    inputs: tuple[npt.NDArray[Any], ...],
) -> npt.NDArray[Any]:
    """Return the array to fill: `out` if it fits, else a new one."""
    if out is None:
        return np.empty(shape, dtype)
    refuse_mask(out, "out")
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape:
        got = describe(out) if isinstance(out, np.ndarray) else type(out).__name__
        msg = f"out must be an array of {dtype} of shape {shape}, got {got}"
        raise ValueError(msg)
    if not out.flags.writeable:
        msg = f"out must be writeable, got a read-only array of {describe(out)}"
        raise ValueError(msg)
    for given in inputs:
        if np.may_share_memory(out, given) and np.shares_memory(out, given):
            msg = "out must not overlap an input, their memory is shared; pass a separate array"
            raise ValueError(msg)
    return out


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
            f"codes must be {fmt.code_dtype} for {fmt.name}, got {describe(array)}; "
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
        msg = f"dtype must be one of {', '.join(_FLOATS)}, got {dtype!r}"
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
    if random_width is None and rng is not None:
        random_width = 32
    whole = isinstance(random_width, int | np.integer) and not isinstance(random_width, bool)
    if random_width is None or not whole or not 1 <= random_width <= 32:
        msg = f"random_width must be an integer from 1 to 32, got {random_width!r}"
        raise ValueError(msg)
    if rng is not None:
        if not isinstance(rng, np.random.Generator):
            msg = f"rng must be a numpy.random.Generator, got {type(rng).__name__}"
            raise TypeError(msg)
        return rng, int(random_width)
    assert random_bits is not None
    return _given_bits(random_bits, int(random_width), shape), int(random_width)


def _given_bits(
    random_bits: npt.ArrayLike, random_width: int, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    bits = as_array(random_bits, "random_bits")
    if bits.dtype.kind not in "iu":
        msg = f"random_bits must be integers, got {describe(bits)}"
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
