"""Values to codes, and values to the nearest values of a format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num._arguments import output, thread_count
from fp8num._kernels.blocks import BLOCK, LOOKUP_BLOCK, blocks_of, run
from fp8num._kernels.encoder import CACHE, Kernel, decoder, encoder, quantizer
from fp8num._kernels.table import Table
from fp8num._kernels.words import Source, as_values, source_of
from fp8num.codec._checks import named_dtype, random_source, refuse_random, require_exact
from fp8num.formats import Format, get_format
from fp8num.projection import NanResult, get_projection

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.projection import Profile, Projection, Rounding, Saturation

__all__ = ["Plan", "Random", "encode", "execute", "prepare", "quantize"]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a conversion's options come to for values of a type: made once, and kept."""

    fmt: Format
    projection: Projection
    source: Source
    kernel: Kernel | None  #: None if stochastic, as it then depends on the random bits
    word: np.dtype[Any] | None  #: what floats are viewed as: unsigned, in their byte order
    block: int  #: elements that are encoded at a time
    code_dtype: np.dtype[Any]
    refuses_nan: bool

    @property
    def nbytes(self) -> int:
        """Size of the table, and about that of the rest."""
        return 1024 + (0 if self.kernel is None else self.kernel.nbytes)


class Random(NamedTuple):
    """Bits for stochastic rounding: how many to an element, and who draws them, if not given."""

    width: int
    rng: np.random.Generator | None


def prepare(
    x: npt.ArrayLike,
    fmt: Format | str,
    *,
    rounding: Rounding | str,
    saturation: Saturation | str,
    like: str | Profile | None,
    nan: NanResult | str,
    random_bits: npt.ArrayLike | None,
    random_width: int | None,
    rng: np.random.Generator | None,
) -> tuple[tuple[npt.NDArray[Any], ...], Plan, Random | None]:
    """
    Check a conversion's arguments; TypeError or ValueError before any work is done.

    The first result is what is read: the values, and random bits if they are given.
    """
    values = as_values(x)
    options = (fmt, values.dtype, rounding, saturation, like, nan)
    try:
        plan = CACHE.get((Plan, *options), lambda: _make_plan(*options))
    except TypeError:  # an option has no hash, as a Profile, or is wrong: then it is told here
        plan = _make_plan(*options)
    if plan.refuses_nan:
        _refuse_nan(values, plan)
    if plan.kernel is None:
        bits, width = random_source(random_bits, random_width, rng, values.shape)
        if isinstance(bits, np.ndarray):
            return (values, bits), plan, Random(width, None)
        return (values,), plan, Random(width, bits)
    if random_bits is not None or random_width is not None or rng is not None:
        refuse_random(random_bits, random_width, rng, plan.projection.rounding.value)
    return (values,), plan, None


def _make_plan(  # noqa: PLR0917 - a key of the cache
    fmt: Format | str,
    dtype: np.dtype[Any],
    rounding: Rounding | str,
    saturation: Saturation | str,
    like: str | Profile | None,
    nan: NanResult | str,
) -> Plan:
    fmt = get_format(fmt)
    projection = get_projection(fmt, rounding, saturation, like, nan)
    source = source_of(dtype)
    layout, kernel, word = source.layout, None, None
    if not projection.rounding.is_stochastic:
        kernel = encoder(fmt, projection, layout)
    if dtype.kind not in "iu" and dtype.itemsize == layout.dtype.itemsize:
        word = layout.dtype.newbyteorder(dtype.byteorder)
    # Only a view of the values is read, without temporaries of their size.
    block = LOOKUP_BLOCK if isinstance(kernel, Table) and word is not None else BLOCK
    refuses_nan = projection.nan is NanResult.RAISE and not fmt.has_nan
    return Plan(fmt, projection, source, kernel, word, block, fmt.code_dtype, refuses_nan)


def execute(
    plan: Plan,
    inputs: tuple[npt.NDArray[Any], ...],
    random: Random | None,
    work: Callable[..., None],
    out: tuple[npt.NDArray[Any], ...],
    *,
    threads: int = 1,
    block: int = BLOCK,
) -> None:
    """Call ``work(words, [random bits,] *out)`` block by block."""
    values, *bits = inputs
    operand = values if plan.word is None else values.view(plan.word)
    if not plan.source.is_view:
        work = _with_words(plan.source, work)
    if random is not None and random.rng is not None:
        work, threads = _drawing(random.rng, random.width, work), 1  # in C order, by one
    run(work, (operand, *bits, *out), threads, block, outputs=len(out))


def _with_words(source: Source, work: Callable[..., None]) -> Callable[..., None]:
    """Return `work` on values that have to be converted to words."""
    to_words = source.words

    def converted(block: npt.NDArray[Any], *rest: npt.NDArray[Any]) -> None:
        work(to_words(block), *rest)

    return converted


def _drawing(
    rng: np.random.Generator, width: int, work: Callable[..., None]
) -> Callable[..., None]:
    """Return `work` with random bits drawn for each block, one uint32 for each element."""
    cut = np.uint32(32 - width)

    def draw(block: npt.NDArray[Any], *rest: npt.NDArray[Any]) -> None:
        work(block, rng.integers(0, 1 << 32, block.shape, np.uint32) >> cut, *rest)

    return draw


def _refuse_nan(values: npt.NDArray[Any], plan: Plan) -> None:
    """Raise ValueError if there is a NaN, looking at one block at a time."""
    layout = plan.source.layout
    mask, infinity = layout.dtype.type(layout.magnitude_mask), layout.infinity
    for block in blocks_of(values if plan.word is None else values.view(plan.word)):
        if (plan.source.words(block) & mask > infinity).any():
            name = plan.fmt.name
            msg = f"x must hold no NaN, {name} has none; nan='max' makes it the largest"
            raise ValueError(msg)


def _stochastic(plan: Plan, width: int) -> Callable[..., None]:
    """Return what encodes one block with random bits: ``(words, bits, codes)``."""
    kernel: Any = encoder(plan.fmt, plan.projection, plan.source.layout, width)

    def work(words: npt.NDArray[Any], bits: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        kernel(words, out, bits.astype(np.uint64))

    return work


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
    inputs, plan, random = prepare(
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
    threads = thread_count(threads)
    codes = output(out, inputs[0].shape, plan.code_dtype, inputs)
    kernel: Any = plan.kernel if random is None else _stochastic(plan, random.width)
    execute(plan, inputs, random, kernel, (codes,), threads=threads, block=plan.block)
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
    inputs, plan, random = prepare(
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
    values, threads = inputs[0], thread_count(threads)
    own = np.dtype(np.float64) if values.dtype.kind in "iu" else values.dtype.newbyteorder("=")
    found, by_name = (own, False) if dtype is None else named_dtype(dtype)
    require_exact(plan.fmt, found, by_name=by_name)
    result = output(out, values.shape, found, inputs)
    # bfloat16 has no buffered iteration: its bits are copied instead.
    target = result.view(np.uint16) if found.name == "bfloat16" else result
    work = _quantizer(plan, random, found)
    execute(plan, inputs, random, work, (target,), threads=threads, block=plan.block)
    return result


def _quantizer(plan: Plan, random: Random | None, dtype: np.dtype[Any]) -> Callable[..., None]:
    """Return what quantises one block: ``(words, [random bits,] values)``."""
    if random is None:
        table = quantizer(plan.fmt, plan.projection, plan.source.layout, dtype)
        if table is not None:
            return lambda words, out: table(words, out.view(dtype))
    kernel: Any = plan.kernel if random is None else _stochastic(plan, random.width)
    values = decoder(plan.fmt, dtype)

    def work(words: npt.NDArray[Any], *rest: npt.NDArray[Any]) -> None:
        *bits, out = rest
        codes = np.empty(words.shape, plan.code_dtype)
        kernel(words, *bits, codes)
        values.take(codes, out=out.view(dtype), mode="wrap")

    return work
