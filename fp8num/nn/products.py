r"""
Matrix products of float32, each element rounded once from its exact sum.

::

    float64 BLAS --> y +- B    both round to one float32?   yes: that is the result
    K products, exact    \--> no, or y is a midpoint: those few again, exactly

Products of float32 numbers are exact in float64; K of them added in any order are off by at
most ``(K - 1) 2^-53 sum |a b|``, which is no more than ``(K - 1) 2^-53 |a_i| |b_j|``.  So the
bits depend neither on the BLAS nor on its threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, choice
from fp8num._kernels.float32 import multiply as product_of_float32
from fp8num._kernels.state import float_arithmetic
from fp8num.accumulate import ACCUMULATORS, Accumulator, BlasSum, ExactSum, get_accumulator, matmul
from fp8num.accumulate.binary import from_float32, to_float32
from fp8num.accumulate.scaling import AppliedScales, find_entry
from fp8num.nn._matrix import Matrix, buffer
from fp8num.nn._sums import Bound
from fp8num.nn.factor import Factor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.accumulate.scaling import ScaleEntry
    from fp8num.formats import Format
    from fp8num.scaled import ScaledArray

__all__ = ["CORRECTLY_ROUNDED", "find_accumulator", "multiply", "product", "takes_values"]

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Single: TypeAlias = npt.NDArray[np.float32]

#: The name of `multiply` where an accumulator is asked for.
CORRECTLY_ROUNDED = "correctly-rounded"
#: Sums of a panel of rows, which stay in the cache while they are rounded.
_PANEL = 1 << 17


def multiply(a: npt.ArrayLike, b: npt.ArrayLike) -> Single:
    """
    Multiply matrices of float32 numbers, and round each exact sum to float32 once.

    Parameters
    ----------
    a : array_like of float32 or float64, shape (M, K)
        Numbers that float32 holds, in either type; of any strides.
    b : array_like of float32 or float64, shape (K, N)
        The same.

    Returns
    -------
    ndarray of float32, shape (M, N)
        Correctly rounded, ties to even; sums beyond the range are infinite, and a sum that
        is zero is +0.  Infinities and NaN among the operands go by IEEE 754.

    Raises
    ------
    TypeError
        If an operand is neither float32 nor float64.
    ValueError
        If they are no matrices, or shapes do not contract.

    Notes
    -----
    Exact but for its one rounding, as long as the BLAS adds K products in some order and
    does not trade multiplications for additions (Strassen); NumPy's do not.  That float64
    operands hold float32 numbers is not checked.

    References
    ----------
    .. [1] C.-P. Jeannerod and S. M. Rump, "Improved error bounds for inner products in
       floating-point arithmetic", SIAM J. Matrix Anal. Appl. 34 (2013), theorem 3.1: no
       order of n - 1 additions loses more than (n - 1) u times the sum of magnitudes.
    .. [2] S. Boldo and G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved
       algorithms using rounding to odd", IEEE Trans. Comput. 57 (2008), 462-471.

    Examples
    --------
    >>> a = np.float32([[1.0, 2.0**-30, -1.0]])
    >>> multiply(a, np.ones((3, 1), np.float32)).tolist() == [[2.0**-30]]
    True
    """
    left, right = _matrix("a", a), _matrix("b", b)
    if left.shape[1] != right.shape[0]:
        msg = (
            f"a and b must contract: a has {left.shape[1]} columns and b {right.shape[0]} rows, "
            f"got shapes {left.shape} and {right.shape}"
        )
        raise ValueError(msg)
    return _multiply(Matrix(left), Matrix(right))


def _matrix(name: str, x: npt.ArrayLike) -> Array:
    """Return a matrix of float32 or float64 in the machine's byte order."""
    array = as_array(x, name)
    if array.dtype.type not in (np.float32, np.float64):
        msg = (
            f"{name} must be float32 or float64, got {array.dtype} of shape {array.shape}; "
            "decode() gives the values of codes"
        )
        raise TypeError(msg)
    if array.ndim != 2:
        msg = f"{name} must be a matrix, got shape {array.shape}"
        raise ValueError(msg)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _multiply(
    a: Matrix,
    b: Matrix,
    *,
    turn_a: bool = False,
    turn_b: bool = False,
    scale: Single | None = None,
) -> Single:
    """Multiply matrices, which may come turned, and the result by a scale; see `multiply`."""
    left, right = _turned(a.wide("left"), turn_a), _turned(b.wide("right"), turn_b)
    (rows, depth), columns = left.shape, right.shape[1]
    exact = _always_exact(a.grid, b.grid, depth)
    result = np.empty((rows, columns), np.float32)
    step = min(max(1, _PANEL // max(columns, 1)), max(rows, 1))
    scratch = buffer("sums", (step, columns))
    with np.errstate(all="ignore"):  # infinities are ordinary results
        bound = Bound(left, right, _quanta(a, b, int(not turn_a), int(turn_b)), exact=exact)
        for first in range(0, rows, step):
            panel = slice(first, min(first + step, rows))
            sums = scratch[: panel.stop - first]
            np.matmul(left[panel], right, out=sums)
            bound.round(sums, panel, result[panel])
            if scale is not None:
                product_of_float32(result[panel], scale, result[panel])
    return result


def _quanta(a: Matrix, b: Matrix, by_row: int, by_column: int) -> Iterator[tuple[Any, Any]]:
    """Yield what rows of A and columns of B are multiples of: from what is known to what is."""
    known = [_known_quantum(x.grid) for x in (a, b)]
    if known[0] is not None and known[1] is not None:
        yield known[0], known[1]
        # One of them reaches further down than the other.
        if known[0] < known[1]:
            yield a.quanta(by_row), known[1]
        else:
            yield known[0], b.quanta(by_column)
    yield a.quanta(by_row), b.quanta(by_column)


@lru_cache(maxsize=256)
def _known_quantum(grid: Format | None) -> float | None:
    """Return what all values of a format are multiples of, if float64 holds it."""
    smallest = None if grid is None else grid.smallest_subnormal
    return smallest if isinstance(smallest, float) else None


@lru_cache(maxsize=256)
def _always_exact(a: Format | None, b: Format | None, depth: int) -> bool:
    """Whether float64 holds every sum of so many products of two formats."""
    bits = 53.0
    for fmt in (a, b):
        smallest = _known_quantum(fmt)
        if fmt is None or smallest is None:
            return False
        bits -= math.log2(float(fmt.max) / smallest)
    return bool(depth <= 2.0**bits)


def find_accumulator(accumulator: Accumulator | str) -> Accumulator | None:
    """Return the accumulator of a name, None for ``"correctly-rounded"``."""
    if accumulator == CORRECTLY_ROUNDED:
        return None
    try:
        return get_accumulator(accumulator)
    except ValueError as error:
        msg = f"{error}, and {CORRECTLY_ROUNDED}"
        raise ValueError(msg) from None


def takes_values(accumulator: Accumulator | str) -> bool:
    """Whether an accumulator multiplies plain float32 values, not codes alone."""
    unit = find_accumulator(accumulator)
    return unit is None or isinstance(unit, ExactSum | BlasSum)


@float_arithmetic
def product(
    a: ScaledArray | Factor | npt.ArrayLike,
    b: ScaledArray | Factor | npt.ArrayLike,
    accumulator: Accumulator | str = CORRECTLY_ROUNDED,
    *,
    scales: str = "operand",
    transpose_a: bool = False,
    transpose_b: bool = False,
    rng: np.random.Generator | None = None,
) -> Single:
    """
    Multiply matrices that may be quantised, under any accumulator.

    Parameters
    ----------
    a : ScaledArray, Factor or array_like of float32, shape (M, K)
        Codes with scales, or plain values.
    b : ScaledArray, Factor or array_like of float32, shape (K, N)
        The same.
    accumulator : Accumulator or str, optional
        ``"correctly-rounded"`` is `multiply`, whose bits depend on nothing but the operands;
        or any of `fp8num.ACCUMULATORS`.
    scales : {"operand", "accumulator"}, optional
        Of ``"correctly-rounded"`` and ``"blas-float32"``: whether scales enter the operands,
        rounded to float32 with them, or the sums.  Other accumulators have them where their
        hardware does.
    transpose_a, transpose_b : bool, optional
        Whether an operand comes as (K, M) or (N, K), its scales likewise.
    rng : numpy.random.Generator, optional
        For accumulators that round stochastically.

    Returns
    -------
    ndarray of float32, shape (M, N)
        The product.

    Raises
    ------
    TypeError
        If an operand is neither codes nor float32.
    ValueError
        If shapes do not contract, a name is unknown, or the accumulator does not take plain
        values, a format, or such scales.

    Notes
    -----
    Scales that enter sums do so as cuBLASLt and CUTLASS apply them, each step rounded to
    float32: ``sum * (sa * sb)`` per tensor, ``(sum * sb) * sa`` per row; of blocks along k
    ``total = fma(sum * sa, sb, total)``, with ``sa * sb`` first if one is square.

    Examples
    --------
    >>> import fp8num as fp
    >>> x = fp.scale_quantize(np.float32([[1.0, 0.7]]), "te-current")
    >>> y = np.float32([[1.0], [3.0]])
    >>> [float(product(x, y, scales=where)[0, 0]) for where in ("operand", "accumulator")]
    [3.142857074737549, 3.142857313156128]
    """
    choice("scales", scales, ("operand", "accumulator"))
    left, right = (
        x if isinstance(x, Factor) else Factor(name, x) for name, x in (("a", a), ("b", b))
    )
    unit = find_accumulator(accumulator)
    plain = [name for name, x in (("a", left), ("b", right)) if x.plain is not None]
    if unit is None or (len(plain) == 2 and isinstance(unit, ExactSum)):
        if len(plain) == 2 or scales == "operand":
            _check_depth(left, right, transpose_a, transpose_b)
            return _multiply(left.values, right.values, turn_a=transpose_a, turn_b=transpose_b)
        return _scaled_sums(left, right, transpose_a, transpose_b)
    if isinstance(unit, BlasSum):
        if len(plain) == 2 or scales == "operand":
            return _blas_sums(left.single, right.single, transpose_a, transpose_b)
        if left.is_one_scale and right.is_one_scale:
            a_values, b_values = left.decoded.single, right.decoded.single
            sums = _blas_sums(a_values, b_values, transpose_a, transpose_b)
            return product_of_float32(sums, product_of_float32(left.scale, right.scale), sums)
    if plain:
        msg = (
            f"{' and '.join(plain)} must be codes under accumulator {unit.name!r}, got plain "
            f"float32; quantise, or use {CORRECTLY_ROUNDED!r} or 'blas-float32'"
        )
        raise ValueError(msg)
    result: Single = matmul(
        left.scaled,
        right.scaled,
        accumulator=unit,
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        rng=rng,
    )
    return result


def _turned(x: Array, transpose: bool) -> Array:  # noqa: FBT001 - as the option is called
    return x.T if transpose else x


def _blas_sums(a: Single, b: Single, turn_a: bool, turn_b: bool) -> Single:  # noqa: FBT001 - the same
    """Return whatever the BLAS makes of float32 matrices."""
    with np.errstate(all="ignore"):
        found: Single = np.matmul(_turned(a, turn_a), _turned(b, turn_b))
    return found


def _scaled_sums(a: Factor, b: Factor, turn_a: bool, turn_b: bool) -> Single:  # noqa: FBT001 - the same
    """Return correctly rounded sums of what codes stand for, with scales applied to them."""
    _check_depth(a, b, turn_a, turn_b)
    if a.is_one_scale and b.is_one_scale:
        scale = product_of_float32(a.scale, b.scale)
        return _multiply(a.decoded, b.decoded, turn_a=turn_a, turn_b=turn_b, scale=scale)
    first, second = a.operand("a", transpose=turn_a), b.operand("b", transpose=turn_b)
    entry = find_entry(ACCUMULATORS["float32"], first, second)
    scales = AppliedScales(entry, first, second)
    if entry.kind == "blocks":
        return _block_sums(a, b, (turn_a, turn_b), scales, entry)
    sums = _multiply(a.decoded, b.decoded, turn_a=turn_a, turn_b=turn_b)
    by_row, by_column = to_float32(scales.a), to_float32(scales.b)
    return product_of_float32(product_of_float32(sums, by_column, sums), by_row, sums)


def _block_sums(
    a: Factor, b: Factor, turn: tuple[bool, bool], scales: AppliedScales, entry: ScaleEntry
) -> Single:
    """Return the sum over blocks of k, whose partial sums are scaled."""
    assert entry.length is not None
    depth = a.shape[0] if turn[0] else a.shape[1]
    total = np.zeros((a.shape[int(turn[0])], b.shape[int(not turn[1])]))
    every, each = slice(None), (slice(0, total.shape[0]), slice(0, total.shape[1]))
    exact = _are_near_powers(scales.a) and _are_near_powers(scales.b) and a.is_fp8 and b.is_fp8
    simple = np.zeros(total.shape, np.float32)
    for first in range(0, depth, entry.length):
        part = slice(first, first + entry.length)
        left = a.decoded[(part, every) if turn[0] else (every, part)]
        right = b.decoded[(every, part) if turn[1] else (part, every)]
        sums = _multiply(left, right, turn_a=turn[0], turn_b=turn[1])
        if exact:  # products with scales are: what is left of a fused multiply-add is the addition
            block = first // entry.length
            sums *= scales.a[:, block if scales.a.shape[1] > 1 else 0, None].astype(np.float32)
            sums *= scales.b[block if scales.b.shape[0] > 1 else 0].astype(np.float32)
            simple += sums
        else:
            total = scales.close_block(total, from_float32(sums), first, *each)
    return simple if exact else to_float32(total)


def _are_near_powers(scales: Floats) -> bool:
    """Whether scales are powers of two with which no product leaves float32's normal range."""
    mantissas, exponents = np.frexp(scales)
    return bool((mantissas == 0.5).all() and (np.abs(exponents) <= 40).all())


def _check_depth(a: Factor, b: Factor, turn_a: bool, turn_b: bool) -> None:  # noqa: FBT001 - the same
    """Refuse shapes that do not contract."""
    rows, columns = a.shape[::-1] if turn_a else a.shape, b.shape[::-1] if turn_b else b.shape
    if rows[1] != columns[0]:
        msg = f"a and b must contract, got shapes {rows} and {columns} once turned"
        raise ValueError(msg)
