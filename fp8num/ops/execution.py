"""
How an operation is carried out on arrays of codes.

::

    codes -> numbers -> exact result, rounded to odd -> one projection -> codes
    codes -> 65,536-entry table of all that -> codes         where that is faster

Both give the same codes.  Tables are made by the first way, and serve operands of up to
16 bits together; stochastic rounding always goes the first way.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from fp8num._arguments import output, thread_count
from fp8num._kernels.arithmetic import Arithmetic, serves
from fp8num._kernels.blocks import run
from fp8num._kernels.search import Search
from fp8num._kernels.staircase import staircase
from fp8num._kernels.words import FLOAT64
from fp8num.codec._checks import (
    as_codes,
    check_codes,
    random_source,
    refuse_random,
)
from fp8num.formats import get_format
from fp8num.ops.convention import Convention
from fp8num.ops.numbers import CACHE, NUMBER, Numbers, numbers_of, words_of
from fp8num.projection import NanResult, Projection, Rounding, get_projection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fp8num.formats import Format
    from fp8num.projection import Profile, Saturation

__all__ = [
    "Circumstances",
    "Operation",
    "Options",
    "apply",
    "by_block",
    "documented",
    "evaluate",
    "look_up",
]

Codes = npt.NDArray[Any]

_Function = TypeVar("_Function", bound="Callable[..., Codes]")

#: Elements of a block: some 30 temporaries of 64 KiB when computing, one of 512 KiB when
#: looking up.
BLOCK = 1 << 13
LOOKUP_BLOCK = 1 << 16
#: Operands of so many bits together have a table,
TABLE_BITS = 16
#: which is made when a sixteenth as many results have been asked for.
WORTH = 16


class Options(TypedDict, total=False):
    """
    What every operation takes besides the formats, the rounding and the saturation.

    The same as `fp8num.encode`, and whose special cases hold.
    """

    like: str | Profile | None
    nan: NanResult | str
    convention: Convention | str | None
    random_bits: npt.ArrayLike | None
    random_width: int | None
    rng: np.random.Generator | None
    out: Codes | None
    threads: int


class Circumstances(NamedTuple):
    """What an exact result depends on besides the operands."""

    convention: Convention
    downward: bool  #: the rounding is TowardNegative: a sum that cancels is -0


@dataclass(frozen=True, slots=True)
class Operation:
    """A function of numbers."""

    name: str  #: what it is called, and known by in the cache
    #: ``exact(circumstances, *operands)``: the results, exact or rounded to odd
    exact: Callable[..., Numbers]
    one_by_one: bool = False  #: whether it takes its numbers one by one, which is slow


@dataclass(frozen=True, slots=True)
class _Asked:
    """An operation's arguments, checked."""

    operation: Operation
    formats: tuple[Format, ...]
    to_format: Format
    projection: Projection
    circumstances: Circumstances
    refuse_nan: bool
    random_width: int

    @property
    def kernel(self) -> Arithmetic | Search:
        """What projects; the codec's tables for float64 are too large to be made for this."""
        fmt, projection = self.to_format, self.projection
        kernel = Arithmetic if serves(fmt, projection) else Search
        return kernel(fmt, projection, staircase(fmt, projection), FLOAT64, self.random_width)

    @property
    def operand_bits(self) -> int:
        """Bits of the operands together."""
        return sum(fmt.bits for fmt in self.formats)

    def computing(self) -> Callable[..., None]:
        """Return what computes a block: of codes, of random bits if stochastic, of results."""
        kernel = self.kernel
        stochastic = self.projection.rounding.is_stochastic
        reaches = self.to_format.emax >= FLOAT64.bias

        def work(*blocks: Codes) -> None:
            *codes, out = blocks
            random = (codes.pop().astype(np.uint64),) if stochastic else ()
            for block, fmt in zip(codes, self.formats, strict=True):
                check_codes(block, fmt)
            numbers = evaluate(self.operation, codes, self.formats, self.circumstances)
            if self.refuse_nan and numbers.is_nan.any():
                msg = (
                    f"{self.operation.name} must give no NaN, as {self.to_format.name} has none; "
                    "nan='max' makes it the largest value"
                )
                raise ValueError(msg)
            words, huge = words_of(numbers)
            kernel(words, out, *random)
            if reaches:  # float64 ends where the format does: what is beyond overflows
                stairs = kernel.stairs
                overflow = stairs.outputs[:, stairs.infinity - 1]
                out[huge] = overflow.take(numbers.negative[huge].astype(np.intp))

        return work

    @property
    def _key(self) -> tuple[object, ...]:
        convention = self.circumstances.convention
        return self.operation.name, self.formats, self.to_format, self.projection, convention

    def has_table(self, size: int) -> bool:
        """Whether to look so many results up: a table is there, or worth making."""
        bits = self.operand_bits
        if bits > TABLE_BITS or self.refuse_nan or self.projection.rounding.is_stochastic:
            return False
        # Of a size that keeps the cache from filling with counts.
        asked: Codes = CACHE.get(("asked", *self._key), lambda: np.zeros(128, np.int64))
        asked[0] += size
        return bits <= 8 or bool(asked[0] * WORTH >= 1 << bits)

    def table(self) -> Codes:
        """Return the code for all operands, index = their codes side by side."""
        return CACHE.get(("codes", *self._key), self._make_table)

    def _make_table(self) -> Codes:
        codes = _all_codes(self.formats)
        table = np.empty(1 << self.operand_bits, self.to_format.code_dtype)
        self.computing()(*codes, table)
        return table

    def looking_up(self) -> Callable[..., None]:
        """Return what looks up a block."""
        table, formats = self.table(), self.formats

        def work(*blocks: Codes) -> None:
            *codes, out = blocks
            for block, fmt in zip(codes, formats, strict=True):
                check_codes(block, fmt)
            index: Codes = codes[0]
            if len(codes) > 1:
                index = codes[0].astype(np.uint16)
                for block, fmt in zip(codes[1:], formats[1:], strict=True):
                    index <<= np.uint16(fmt.bits)
                    index |= block
            table.take(index, out=out, mode="wrap")

        return work


def apply(
    operation: Operation,
    operands: Sequence[npt.ArrayLike],
    formats: Sequence[Format | str | None],
    modes: tuple[Rounding | str, Saturation | str],
    options: Options,
) -> Codes:
    """
    Carry out an operation; a format that is None is the first operand's, the last the result's.

    A wrong argument raises before any work, but for codes out of range and refused NaNs.
    """
    unknown = sorted(options.keys() - Options.__annotations__.keys())
    if unknown:
        known = ", ".join(Options.__annotations__)
        msg = f"{operation.name}() got unknown options {', '.join(unknown)}; it takes {known}"
        raise TypeError(msg)
    first = get_format(formats[0])
    every = (first, *(first if fmt is None else get_format(fmt) for fmt in formats[1:]))
    each, to_format = every[:-1], every[-1]
    to_format.require_float64()
    projection = get_projection(
        to_format, *modes, options.get("like"), options.get("nan", NanResult.MAX)
    )
    mode = projection.rounding
    convention = Convention.parse(options.get("convention"), every)
    codes = _broadcast(operands, each)
    random, width = _random(to_format, mode, options, codes[0].shape)
    threads = thread_count(options.get("threads", 1))
    result = output(options.get("out"), codes[0].shape, to_format.code_dtype, codes)
    asked = _Asked(
        operation,
        each,
        to_format,
        projection,
        Circumstances(convention, downward=mode is Rounding.TOWARD_NEGATIVE),
        refuse_nan=projection.nan is NanResult.RAISE and not to_format.has_nan,
        random_width=width,
    )
    _execute(asked, codes, random, result, threads)
    return result


def _execute(
    asked: _Asked,
    codes: tuple[Codes, ...],
    random: Codes | np.random.Generator | None,
    result: Codes,
    threads: int,
) -> None:
    """Fill the result, by the faster way."""
    if random is None:
        if asked.has_table(result.size):
            run(asked.looking_up(), (*codes, result), threads, LOOKUP_BLOCK)
        else:
            run(asked.computing(), (*codes, result), threads, BLOCK)
        return
    work = asked.computing()
    if isinstance(random, np.ndarray):
        run(work, (*codes, random, result), threads, BLOCK)
        return
    cut = np.uint32(32 - asked.random_width)

    def draw(*blocks: Codes) -> None:
        bits = random.integers(0, 1 << 32, blocks[-1].shape, np.uint32) >> cut
        work(*blocks[:-1], bits, blocks[-1])

    run(draw, (*codes, result), 1, BLOCK)  # blocks come in C order, and drawing cannot be shared


def _random(
    fmt: Format, mode: Rounding, options: Options, shape: tuple[int, ...]
) -> tuple[Codes | np.random.Generator | None, int]:
    """Return where random bits come from, and how many there are to each result."""
    given = options.get("random_bits"), options.get("random_width"), options.get("rng")
    if not mode.is_stochastic:
        refuse_random(*given, mode.value)
        return None, 0
    lowest = int(fmt.magnitudes.exponents.min())
    if lowest < -1040:  # 33 bits below the last place, and a trace of the rest
        msg = (
            f"rounding must be deterministic for results in {fmt.name}, whose values reach down "
            f"to 2**{lowest}: float64 has no room for random bits below it, got {mode.value}"
        )
        raise ValueError(msg)
    return random_source(*given, shape)


def evaluate(
    operation: Operation,
    codes: Sequence[Codes],
    formats: tuple[Format, ...],
    circumstances: Circumstances,
) -> Numbers:
    """Return the exact results, or rounded to odd, of codes that are in range."""
    if not operation.one_by_one:
        return _evaluate(operation, codes, formats, circumstances)
    (block,), (fmt,) = codes, formats
    if fmt.bits <= 8 or block.size * WORTH >= 1 << fmt.bits:
        key = ("function", operation.name, fmt, circumstances.convention)
        every = _all_codes(formats)
        table = CACHE.get(key, lambda: _evaluate(operation, every, formats, circumstances))
        return table.take(block)
    few, places = np.unique(block, return_inverse=True)
    return _evaluate(operation, [few], formats, circumstances).take(places.reshape(block.shape))


def _evaluate(
    operation: Operation,
    codes: Sequence[Codes],
    formats: tuple[Format, ...],
    circumstances: Circumstances,
) -> Numbers:
    """Return the results, with the signs of NaNs and zeros as the convention has them."""
    operands = [numbers_of(fmt).take(block) for block, fmt in zip(codes, formats, strict=True)]
    found = operation.exact(circumstances, *operands)
    # A NaN has the sign of the first operand that is one; an invalid operation's has none.
    negative = np.zeros_like(found.negative)
    for x in reversed(operands):
        negative = np.where(x.is_nan, x.negative, negative)
    negative = np.where(found.is_nan, negative, found.negative)
    # P3109 reads -0 as 0, and has no -0: of an operand its sign shows in zeros alone, as
    # what is divided by one is NaN.
    if circumstances.convention is Convention.P3109:
        negative &= (found.magnitude != 0) | (found.kind != NUMBER)
    return found.with_sign(negative)


def _all_codes(formats: tuple[Format, ...]) -> list[Codes]:
    """Return the codes of every combination of operands, the first one's changing last."""
    bits = sum(fmt.bits for fmt in formats)
    index = np.arange(1 << bits)
    found = []
    for fmt in formats:
        bits -= fmt.bits
        found.append((index >> bits & ((1 << fmt.bits) - 1)).astype(fmt.code_dtype))
    return found


def _broadcast(operands: Sequence[npt.ArrayLike], formats: tuple[Format, ...]) -> tuple[Codes, ...]:
    """Return arrays of codes of one shape; TypeError or ValueError if they are not codes."""
    arrays = [as_codes(codes, fmt) for codes, fmt in zip(operands, formats, strict=True)]
    if len(arrays) == 1:
        return (arrays[0],)
    try:
        return tuple(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(str(array.shape) for array in arrays)
        msg = f"operands must have shapes that broadcast, got {shapes}"
        raise ValueError(msg) from None


def by_block(
    work: Callable[..., None],
    operands: Sequence[npt.ArrayLike],
    formats: tuple[Format, ...],
    dtype: np.dtype[Any],
    *,
    out: Codes | None,
    threads: int,
) -> Codes:
    """Return what ``work(*codes, out)`` makes of codes, block by block: nothing is projected."""
    arrays = _broadcast(operands, formats)
    result = output(out, arrays[0].shape, dtype, arrays)

    def checked(*blocks: Codes) -> None:
        for block, fmt in zip(blocks, formats, strict=False):  # the last one is the result's
            check_codes(block, fmt)
        work(*blocks)

    run(checked, (*arrays, result), thread_count(threads))
    return result


def look_up(
    table: Codes, codes: npt.ArrayLike, fmt: Format, out: Codes | None, threads: int
) -> Codes:
    """Return what a table says of each code."""
    (array,) = _broadcast((codes,), (fmt,))
    result = output(out, array.shape, table.dtype, (array,))

    def work(block: Codes, out: Codes) -> None:
        check_codes(block, fmt)
        table.take(block, out=out, mode="wrap")

    run(work, (array, result), thread_count(threads))
    return result


def documented(function: _Function, name: str, summary: str, sections: dict[str, str]) -> _Function:
    """Give a function of a row its name, and a docstring of numpydoc's sections."""
    parts = [
        f"{title.capitalize()}\n{'-' * len(title)}\n{cleandoc(text)}"
        for title, text in sections.items()
    ]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = "\n\n".join((summary, *parts))
    return function
