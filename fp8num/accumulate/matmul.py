"""
Matrix products of codes under a named accumulator.

::

    codes -> operands -> accumulator, tile by tile -> scales, bias -> float or codes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num._kernels.state import float_arithmetic
from fp8num.accumulate.accumulator import Accumulator, ExactSum
from fp8num.accumulate.catalogue import get_accumulator
from fp8num.accumulate.operands import as_operand
from fp8num.accumulate.output import as_output
from fp8num.accumulate.request import make_request
from fp8num.accumulate.tiles import fill_matrix

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["dot", "matmul"]


@float_arithmetic
def matmul(
    a: object,
    b: object,
    a_format: Format | str | None = None,
    b_format: Format | str | None = None,
    *,
    accumulator: Accumulator | str = "exact",
    c: npt.ArrayLike | None = None,
    a_scale: npt.ArrayLike | None = None,
    b_scale: npt.ArrayLike | None = None,
    scaling: str | None = None,
    bias: npt.ArrayLike | None = None,
    out_dtype: npt.DTypeLike | Format = np.float32,
    out_scale: float | None = None,
    transpose_a: bool = False,
    transpose_b: bool = False,
    rng: np.random.Generator | None = None,
    threads: int = 1,
) -> npt.NDArray[Any]:
    """
    Multiply matrices of codes as a named accumulator does it.

    Parameters
    ----------
    a, b : ndarray of codes, or ScaledArray; shapes (..., M, K) and (..., K, N)
        The operands; leading axes broadcast.  An object with ``codes``, ``format`` and
        ``scales`` brings its own format and scales.
    a_format, b_format : Format or str
        The formats of raw codes.
    accumulator : Accumulator or str, optional
        How products are added: a key of `ACCUMULATORS`, or an accumulator of one's own.
    c : array_like, broadcastable to (..., M, N), optional
        Where accumulators start, or the total where there is promotion.
    a_scale, b_scale : array_like of float32, optional
        What decoded values are multiplied by; `scaling` says what they belong to.
    scaling : str, optional
        ``"tensor"``: scalars; ``"row"``: (M, 1) and (1, N); ``"1x128"``: (M, K/128) and
        (K/128, N); ``"128x128"``: (M, K/128) and (K/128, N/128).  Other lengths likewise;
        last blocks may be ragged.
    bias : array_like, shape (N,), optional
        Added to each row after the scales.
    out_dtype : dtype, Format or str, optional
        float32, bfloat16, float16, float64 for exact sums; or a format, whose codes are
        returned, saturated to its largest value.
    out_scale : float, optional
        For a format: what results are multiplied by before they are encoded.
    transpose_a, transpose_b : bool, optional
        Whether an operand comes as (..., K, M) or (..., N, K), its scales likewise.
    rng : numpy.random.Generator, optional
        For accumulators that round stochastically.
    threads : int, optional
        Threads that share the work; the result does not depend on it.

    Returns
    -------
    ndarray, shape (..., M, N)
        Results, or codes of a format.

    Raises
    ------
    TypeError
        If operands are no codes, or an argument has the wrong type.
    ValueError
        If shapes do not contract, the unit does not take a format or such scales, or a
        name is unknown.

    Notes
    -----
    ``"exact"`` is the exact sum of exact products (of codes times their `scales`, float32 also
    where there are two levels, with C and bias) rounded once: the error is at most half an ulp
    of `out_dtype`.  Units of real hardware are reproduced bit for bit; each says what that rests
    on (`Accumulator.verified`).

    References
    ----------
    .. [1] IEEE P3109 Interim Report v4.0 (2026), BlockDotProduct.
    .. [2] P. Xie et al., "MMA-Sim", the algorithms of tensor and matrix cores.

    Examples
    --------
    Hopper keeps 13 bits behind the leading one of the largest product:

    >>> import numpy as np
    >>> from fp8num import encode
    >>> a = encode(np.array([[256.0, 0.015625]]), "E4M3FN")
    >>> b = encode(np.array([[256.0], [1.0]]), "E4M3FN")
    >>> for accumulator in ("exact", "hopper"):
    ...     float(matmul(a, b, "E4M3FN", "E4M3FN", accumulator=accumulator)[0, 0])
    65536.015625
    65536.0
    """
    scale_given = a_scale is not None or b_scale is not None
    if scaling is not None and not scale_given:
        msg = f"a_scale and b_scale must be given with scaling={scaling!r}, got neither"
        raise ValueError(msg)
    unit = get_accumulator(accumulator)
    exact = isinstance(unit, ExactSum)
    left = as_operand(
        "a", a, a_format, scale=a_scale, scaling=scaling, transpose=transpose_a, apart=not exact
    )
    right = as_operand(
        "b", b, b_format, scale=b_scale, scaling=scaling, transpose=transpose_b, apart=not exact
    )
    output = as_output(out_dtype, out_scale, exact=exact)
    _check_rotations(a, b)
    request = make_request(
        unit, left, right, c=c, bias=bias, output=output, rng=rng, threads=threads
    )
    result = np.empty(request.shape, output.dtype)
    for index in np.ndindex(*request.a.batch):
        fill_matrix(request, index, result[index])
    return result


def _check_rotations(a: object, b: object) -> None:
    """Refuse a rotated operand beside one that is not: the rotations would not cancel."""
    turned = [getattr(getattr(x, "rule", None), "rotation", None) for x in (a, b)]
    if turned[0] != turned[1]:
        rule = next(getattr(x, "rule", None) for x, t in zip((a, b), turned, strict=True) if t)
        msg = (
            f"a and b must both be rotated, or neither, got one scaled by {rule}; rotate the "
            "other too, so that the rotations cancel in the product"
        )
        raise ValueError(msg)


@float_arithmetic
def dot(
    a: object,
    b: object,
    a_format: Format | str | None = None,
    b_format: Format | str | None = None,
    *,
    accumulator: Accumulator | str = "exact",
    c: float | None = None,
    a_scale: npt.ArrayLike | None = None,
    b_scale: npt.ArrayLike | None = None,
    scaling: str | None = None,
    out_dtype: npt.DTypeLike | Format = np.float32,
    out_scale: float | None = None,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[Any]:
    """
    Multiply two vectors of codes as a named accumulator does it.

    Parameters
    ----------
    a, b : ndarray of codes, or ScaledArray; shape (K,)
        The operands.
    a_format, b_format : Format or str
        The formats of raw codes.
    accumulator : Accumulator or str, optional
        As for `matmul`.
    c : float, optional
        Where the accumulator starts.
    a_scale, b_scale : array_like of float32, optional
        Scalars with ``scaling="tensor"``; shape (K/n,) with ``scaling="1xn"``.
    scaling : str, optional
        What the scales belong to.
    out_dtype, out_scale, rng
        As for `matmul`.

    Returns
    -------
    ndarray, shape ()
        The result, or its code.

    Raises
    ------
    TypeError, ValueError
        As for `matmul`, and if an operand is no vector.

    Examples
    --------
    >>> from fp8num import encode
    >>> codes = encode([3.0, 4.0], "E4M3FN")
    >>> float(dot(codes, codes, "E4M3FN", "E4M3FN"))
    25.0
    """
    for name, x in (("a", a), ("b", b)):
        codes: Any = getattr(x, "codes", x)
        shape = np.shape(codes)
        if len(shape) != 1:
            msg = f"{name} must be a vector, got shape {shape}; matmul() takes matrices"
            raise ValueError(msg)
    found = matmul(
        _as_matrix("a", a),
        _as_matrix("b", b),
        a_format,
        b_format,
        accumulator=accumulator,
        c=c,
        a_scale=None if a_scale is None else as_array(a_scale, "a_scale").reshape(1, -1),
        b_scale=None if b_scale is None else as_array(b_scale, "b_scale").reshape(1, -1),
        scaling=scaling,
        out_dtype=out_dtype,
        out_scale=out_scale,
        transpose_b=True,
        rng=rng,
    )
    return found.reshape(())


@dataclass(frozen=True)
class _Row:
    """A vector of codes with scales, seen as a matrix of one row."""

    codes: npt.NDArray[Any]
    format: object
    scales: npt.NDArray[Any]
    block: tuple[Any, ...] = ()
    scale_codes: npt.NDArray[Any] | None = None
    scale_format: object = None
    tensor_scale: object = None


def _as_matrix(name: str, x: Any) -> object:  # noqa: ANN401 - codes, or an object that holds them
    """Return a vector as one row."""
    if not hasattr(x, "codes"):
        return as_array(x, name)[None, :]
    scales, stored = as_array(x.scales, f"{name}.scales"), getattr(x, "scale_codes", None)
    return _Row(
        as_array(x.codes, f"{name}.codes")[None, :],
        x.format,
        scales[None, :] if scales.ndim else scales,
        (1, *getattr(x, "block", ())) if scales.ndim else (),
        None if stored is None else np.asarray(stored)[None],
        getattr(x, "scale_format", None),
        getattr(x, "tensor_scale", None),
    )
