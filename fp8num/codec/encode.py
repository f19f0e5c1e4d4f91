"""Values to codes, and values to the nearest values of a format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num._arguments import output, thread_count
from fp8num._kernels.blocks import BLOCK, LOOKUP_BLOCK, blocks_of, run
from fp8num._kernels.encoder import Kernel, decoder, encoder, quantizer
from fp8num._kernels.table import Table
from fp8num._kernels.words import Source, as_values, source_of
from fp8num.codec._arguments import (
    named_dtype,
    random_source,
    refuse_random,
    require_exact,
)
from fp8num.formats import Format, get_format
from fp8num.projection import (
    NanResult,
    Profile,
    Projection,
    Rounding,
    Saturation,
    get_projection,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Plan", "Request", "encode", "quantize", "request"]


class Plan(NamedTuple):
    """What a conversion's options come to for a type of values."""

    fmt: Format
    projection: Projection
    source: Source
    stochastic: bool
    refuses_nan: bool


def _plan(
    fmt: Format | str,
    dtype: np.dtype[Any],
    *,
    rounding: Rounding | str,
    saturation: Saturation | str,
    like: str | Profile | None,
    nan: NanResult | str,
) -> Plan:
    """Read the options; TypeError or ValueError if one is wrong."""
    fmt = get_format(fmt)
    projection = get_projection(fmt, rounding, saturation, like, nan)
    refuses_nan = projection.nan is NanResult.RAISE and not fmt.has_nan
    stochastic = projection.rounding.is_stochastic
    return Plan(fmt, projection, source_of(dtype), stochastic, refuses_nan)


_cached_plan = lru_cache(maxsize=1024)(_plan)


@dataclass(frozen=True, slots=True)
class Request:
    """A conversion's arguments, checked: values, how they are read, and what to do to them."""

    values: npt.NDArray[Any]
    source: Source
    fmt: Format
    projection: Projection
    random: npt.NDArray[Any] | np.random.Generator | None = None
    random_width: int = 0

    @property
    def kernel(self) -> Kernel:
        """The kernel for this conversion."""
        return encoder(self.fmt, self.projection, self.source.layout, self.random_width)

    @property
    def inputs(self) -> tuple[npt.NDArray[Any], ...]:
        """The arrays that are read, and must not be written to."""
        given = (self.random,) if isinstance(self.random, np.ndarray) else ()
        return (self.values, *given)

    def operand(self) -> npt.NDArray[Any]:
        """Return the values, floats as unsigned integers in their byte order."""
        dtype, word = self.values.dtype, self.source.layout.dtype
        if dtype.kind in "iu" or dtype.itemsize != word.itemsize:
            return self.values
        return self.values.view(word.newbyteorder(dtype.byteorder))

    def execute(
        self,
        work: Callable[..., None],
        out: tuple[npt.NDArray[Any], ...],
        threads: int = 1,
        *,
        looks_up: bool = False,
    ) -> None:
        """Call ``work(words, [random,] *out)`` block by block."""
        operand = self.operand()
        with_words = work if self.source.is_view else self._with_words(work)
        if self.random is None:  # only a view of the values is read: few temporaries
            block = LOOKUP_BLOCK if looks_up and operand is not self.values else BLOCK
            run(with_words, (operand, *out), threads, block, outputs=len(out))
        elif isinstance(self.random, np.ndarray):
            run(with_words, (operand, self.random, *out), threads, outputs=len(out))
        else:  # blocks come in C order, and drawing cannot be shared
            run(self._drawing(with_words), (operand, *out), outputs=len(out))

    def refuse_nan(self) -> None:
        """Raise ValueError if there is a NaN, looking at one block at a time."""
        layout = self.source.layout
        mask, infinity = layout.dtype.type(layout.magnitude_mask), layout.infinity
        for block in blocks_of(self.operand()):
            if (self.source.words(block) & mask > infinity).any():
                msg = (
                    f"x must hold no NaN, {self.fmt.name} has none; nan='max' makes it the largest"
                )
                raise ValueError(msg)

    def _with_words(self, work: Callable[..., None]) -> Callable[..., None]:
        """Return `work` on values that have to be converted to words."""
        to_words = self.source.words

        def converted(block: npt.NDArray[Any], *rest: npt.NDArray[Any]) -> None:
            work(to_words(block), *rest)

        return converted

    def _drawing(self, work: Callable[..., None]) -> Callable[..., None]:
        """Return `work` with random bits drawn for each block, one uint32 per element."""
        rng, cut = self.random, np.uint32(32 - self.random_width)
        assert isinstance(rng, np.random.Generator)

        def draw(block: npt.NDArray[Any], *rest: npt.NDArray[Any]) -> None:
            work(block, rng.integers(0, 1 << 32, block.shape, np.uint32) >> cut, *rest)

        return draw


def request(
    x: npt.ArrayLike,
    fmt: Format | str,
    *,
    rounding: Rounding | str = Rounding.NEAREST_TIES_TO_EVEN,
    saturation: Saturation | str = Saturation.SAT_FINITE,
    like: str | Profile | None = None,
    nan: NanResult | str = NanResult.MAX,
    random_bits: npt.ArrayLike | None = None,
    random_width: int | None = None,
    rng: np.random.Generator | None = None,
) -> Request:
    """Check a conversion's arguments; TypeError or ValueError before any work is done."""
    values = as_values(x)
    found: Plan | None
    try:
        found = _cached_plan(
            fmt, values.dtype, rounding=rounding, saturation=saturation, like=like, nan=nan
        )
    except TypeError:  # an option has no hash, as a Profile, or is wrong: then it is told below
        found = None
    if found is None:
        found = _plan(
            fmt, values.dtype, rounding=rounding, saturation=saturation, like=like, nan=nan
        )
    fmt, projection, source, stochastic, refuses_nan = found
    if refuses_nan:
        Request(values, source, fmt, projection).refuse_nan()
    if stochastic:
        random, width = random_source(random_bits, random_width, rng, values.shape)
        return Request(values, source, fmt, projection, random, width)
    if random_bits is not None or random_width is not None or rng is not None:
        refuse_random(random_bits, random_width, rng, projection.rounding.value)
    return Request(values, source, fmt, projection)


def encode(
    x: npt.ArrayLike,
    fmt: Format | str,
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
    r"""
    Round values to a format and return their codes.

    Every value is rounded once, from its own type: none passes through a narrower one.

    Parameters
    ----------
    x : array_like, shape (...)
        Values in the units of the format; no scale is applied.  float16, bfloat16,
        float32, float64, longdouble or integers, of any strides and byte order.
    fmt : Format or str
        The format, or what `get_format` accepts.
    rounding : Rounding or str, optional
        Which neighbour a value between two becomes: P3109's name, or one of rne rna
        rz ru rd ro sra srb src.
    saturation : Saturation or str, optional
        What a value beyond the range becomes.
    like : str or Profile, optional
        Another library's conventions instead of the two above, such as ``"ml_dtypes"``.
    nan : {"max", "raise", "zero"}, optional
        What NaN becomes in a format that has none: the largest value (as PTX does), an
        error, or zero.
    random_bits : array_like of int, broadcastable to the shape of `x`, optional
        For stochastic rounding: integers from 0 to ``2**random_width - 1``.
    random_width : int, optional
        Number of random bits, 1 to 32.  With `rng` the default is 32.
    rng : numpy.random.Generator, optional
        Draws one uint32 per element in C order; the top `random_width` bits are used.
    out : ndarray, shape (...), optional
        Where to put the codes.
    threads : int, optional
        Threads that share the work; the result does not depend on it.  Drawing from
        `rng` is not shared.

    Returns
    -------
    ndarray of uint8 (uint16 for formats above 8 bits), shape (...)
        One code per value.

    Raises
    ------
    TypeError
        If `x` is complex, boolean, text, a date or an object, or `rng` is no Generator.
    ValueError
        If a name is unknown, random bits are missing or too wide, `out` does not fit,
        or float64 cannot hold the format's values.

    Notes
    -----
    Let :math:`p` be the precision and :math:`u = 2^{-p}`.  To nearest, a value in the
    normal range is returned with relative error at most :math:`u / (1 + u)`, attained
    at :math:`1 + u` [1]_; one in the subnormal range, with absolute error at most
    :math:`2^{e_{\min} - p}`.

    References
    ----------
    .. [1] C.-P. Jeannerod and S. M. Rump, "On relative errors of floating-point
       operations: optimal bounds and applications", Math. Comp. 87 (2018), 803-819.
    .. [2] IEEE P3109 Interim Report v4.0 (2026), Project.

    Examples
    --------
    The midpoint 1.0625 goes down to the even 1; anything above it goes up.

    >>> from fp8num import E4M3FN, encode
    >>> [f"{code:08b}" for code in encode([1.0, 1.0625, 1.063, -1e6], E4M3FN)]
    ['00111000', '00111000', '00111001', '11111110']
    """
    asked = request(
        x,
        fmt,
        rounding=rounding,
        saturation=saturation,
        like=like,
        nan=nan,
        random_bits=random_bits,
        random_width=random_width,
        rng=rng,
    )
    values, threads = asked.values, thread_count(threads)
    codes = output(out, values.shape, asked.fmt.code_dtype, asked.inputs)
    kernel = asked.kernel
    if asked.random is None:
        asked.execute(kernel, (codes,), threads, looks_up=isinstance(kernel, Table))
        return codes

    def stochastic(
        words: npt.NDArray[Any], random: npt.NDArray[Any], out: npt.NDArray[Any]
    ) -> None:
        kernel(words, out, random.astype(np.uint64))  # type: ignore[call-arg]

    asked.execute(stochastic, (codes,), threads)
    return codes


def quantize(
    x: npt.ArrayLike,
    fmt: Format | str,
    *,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    like: str | Profile | None = None,
    nan: NanResult | str = "max",
    random_bits: npt.ArrayLike | None = None,
    random_width: int | None = None,
    rng: np.random.Generator | None = None,
    dtype: npt.DTypeLike | None = None,
    out: npt.NDArray[Any] | None = None,
    threads: int = 1,
) -> npt.NDArray[Any]:
    """
    Round values to a format and return the values they become.

    It is ``decode(encode(x))`` in one pass, in the type of `x`.

    Parameters
    ----------
    x : array_like, shape (...)
        Values in the units of the format, as for `encode`.
    fmt : Format or str
        The format, or what `get_format` accepts.
    rounding, saturation, like, nan, random_bits, random_width, rng
        As for `encode`.
    dtype : dtype, optional
        Type of the result.  The default is that of `x`, and float64 for integers.  By
        name (``dtype="float16"``) it may be one that cannot hold every value of the
        format; values are then rounded to it, once more.
    out : ndarray, shape (...), optional
        Where to put the values.
    threads : int, optional
        Threads that share the work; the result does not depend on it.

    Returns
    -------
    ndarray, shape (...)
        One value of the format per value of `x`.

    Raises
    ------
    TypeError, ValueError
        As for `encode`, and if the type of the result cannot hold every value of the
        format.

    Notes
    -----
    Exact: the result is the value of the code that `encode` gives.

    Examples
    --------
    >>> from fp8num import E4M3FN, quantize
    >>> [float(value) for value in quantize([0.3, 500.0], E4M3FN)]
    [0.3125, 448.0]
    """
    asked = request(
        x,
        fmt,
        rounding=rounding,
        saturation=saturation,
        like=like,
        nan=nan,
        random_bits=random_bits,
        random_width=random_width,
        rng=rng,
    )
    values, threads = asked.values, thread_count(threads)
    own = np.dtype(np.float64) if values.dtype.kind in "iu" else values.dtype.newbyteorder("=")
    found, by_name = (own, False) if dtype is None else named_dtype(dtype)
    require_exact(asked.fmt, found, by_name=by_name)
    result = output(out, values.shape, found, asked.inputs)
    # bfloat16 has no buffered iteration: its bits are copied instead.
    target = result.view(np.uint16) if found.name == "bfloat16" else result
    work = _quantize_block(asked, found)
    asked.execute(work, (target,), threads, looks_up=isinstance(asked.kernel, Table))
    return result


def _quantize_block(asked: Request, dtype: np.dtype[Any]) -> Callable[..., None]:
    """Return what quantises one block."""
    if asked.random is None:
        table = quantizer(asked.fmt, asked.projection, asked.source.layout, dtype)
        if table is not None:
            return lambda words, out: table(words, out.view(dtype))
    kernel, values = asked.kernel, decoder(asked.fmt, dtype)
    code_dtype = asked.fmt.code_dtype

    def work(words: npt.NDArray[Any], *rest: npt.NDArray[Any]) -> None:
        *random, out = rest
        codes = np.empty(words.shape, code_dtype)
        kernel(words, codes, *(bits.astype(np.uint64) for bits in random))
        values.take(codes, out=out.view(dtype), mode="wrap")

    return work
