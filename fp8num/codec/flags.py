"""The exceptions that a conversion raises, IEEE 754's flags, for each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fp8num._kernels.search import Search, goes_up
from fp8num._kernels.staircase import staircase
from fp8num._kernels.words import FLOAT64, dyadic_words, widen
from fp8num.codec.encode import Plan, execute, prepare
from fp8num.projection import Rounding

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.projection import NanResult, Profile, Saturation

__all__ = ["Flags", "flags"]


@dataclass(frozen=True, slots=True)
class Flags:
    """
    Which exceptions each conversion raises.

    Parameters
    ----------
    inexact : ndarray of bool, shape (...)
        A finite value whose result differs from it.
    underflow : ndarray of bool, shape (...)
        Inexact, and tiny.
    overflow : ndarray of bool, shape (...)
        A finite value that rounds past the largest one of its sign.
    invalid : ndarray of bool, shape (...)
        A value with no counterpart in the format: NaN or infinity where it has none, a
        negative number that does not round to zero where it is unsigned, zero where it
        has none.
    """

    inexact: npt.NDArray[np.bool_]
    underflow: npt.NDArray[np.bool_]
    overflow: npt.NDArray[np.bool_]
    invalid: npt.NDArray[np.bool_]


def flags(
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
    tininess: Literal["after", "before"] = "after",
) -> Flags:
    """
    Return the exceptions that a conversion raises, for each element.

    Parameters
    ----------
    x : array_like, shape (...)
        Values in the units of the format, as for `encode`.
    fmt : Format or str
        The format, or what `get_format` accepts.
    rounding, saturation, like, nan, random_bits, random_width, rng
        As for `encode`.
    tininess : {"after", "before"}, optional
        When a result counts as tiny: if it lies below the smallest normal number after
        rounding to the format's precision with unbounded exponent, or if `x` does
        before.  For tabulated formats, after means: if the result does.

    Returns
    -------
    Flags
        Four boolean arrays of the shape of `x`.

    Raises
    ------
    TypeError, ValueError
        As for `encode`, and if `tininess` is neither.

    Notes
    -----
    A signalling NaN counts as a quiet one.

    References
    ----------
    .. [1] IEEE 754-2019, section 7; tininess: 7.5.

    Examples
    --------
    >>> from fp8num import flags
    >>> raised = flags([1.0, 1.1, 1e-4, 1e4], "E4M3FN")
    >>> raised.inexact.tolist(), raised.underflow.tolist(), raised.overflow.tolist()
    ([False, True, True, True], [False, False, True, False], [False, False, False, True])
    """
    if tininess not in {"after", "before"}:
        msg = f"tininess must be 'after' or 'before', got {tininess!r}"
        raise ValueError(msg)
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
    plan.fmt.require_float64()
    width = 0 if random is None else random.width
    judge = _Judge(plan, width, before=tininess == "before")
    inexact, underflow, overflow, invalid = (np.empty(inputs[0].shape, np.bool_) for _ in range(4))
    execute(plan, inputs, random, judge, (inexact, underflow, overflow, invalid))
    return Flags(inexact, underflow, overflow, invalid)


class _Judge:
    """Decide about a block of words."""

    def __init__(self, plan: Plan, random_width: int, *, before: bool) -> None:
        fmt, projection = plan.fmt, plan.projection
        self.layout, self.random_width, self.before = plan.source.layout, random_width, before
        self.fmt, self.rounding = fmt, projection.rounding
        stairs = staircase(fmt, projection)
        self.search = Search(fmt, projection, stairs, FLOAT64, random_width)
        values = fmt.values[stairs.outputs]  # what each output stands for
        self.results = np.abs(values).view(np.uint64)
        self.result_signs = np.signbit(values)
        # The smallest normal number, and the number below it if its binade went on.
        code = int(fmt.magnitudes.codes[fmt.first_normal])
        integer, exponent = fmt.decompose(code)
        if integer & (integer - 1) == 0:
            integer, exponent = 2 * integer, exponent - 1
        self.normal = _word(integer, exponent)
        self.below = _word(integer - 1, exponent)
        self.gap = _word(1, exponent)
        self.middle = _word(2 * integer - 1, exponent - 1)
        self.below_is_odd = code % 2 == 0

    def __call__(self, words: npt.NDArray[Any], *rest: npt.NDArray[Any]) -> None:
        """Judge a block; `rest` is the random bits, if any, and the four outputs."""
        *given, inexact, underflow, overflow, invalid = rest
        random = given[0].astype(np.uint64) if given else None
        layout = self.layout
        kind = layout.dtype.type
        negative = words > kind(layout.magnitude_mask)
        magnitude = widen(words & kind(layout.magnitude_mask), layout)
        index = self.search.index(magnitude, negative, random)
        sign = negative.astype(np.intp)

        finite = magnitude < np.uint64(FLOAT64.infinity)
        zero = magnitude == 0
        result = self.results[sign, index]
        same = (result == magnitude) & ((self.result_signs[sign, index] == negative) | zero)
        inexact[...] = finite & ~same
        tiny = self._is_tiny(magnitude, negative, result, random)
        last = len(self.fmt.magnitudes.codes) - (1 if self.fmt.has_zero else 0)
        underflow[...] = inexact & tiny
        overflow[...] = finite & (index > last) & (self.fmt.signed | ~negative)
        invalid[...] = ~finite & ~self._has_special(magnitude, negative)
        if not self.fmt.signed:
            invalid |= finite & negative & (index > 0)
        if not self.fmt.has_zero:
            invalid |= zero

    def _has_special(
        self, magnitude: npt.NDArray[np.uint64], negative: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Whether the format has the NaN or infinity."""
        is_nan = magnitude > np.uint64(FLOAT64.infinity)
        infinite = self.fmt.has_infinity & (self.fmt.signed | ~negative)
        return np.where(is_nan, self.fmt.has_nan, infinite)

    def _is_tiny(
        self,
        magnitude: npt.NDArray[np.uint64],
        negative: npt.NDArray[np.bool_],
        result: npt.NDArray[np.uint64],
        random: npt.NDArray[np.uint64] | None,
    ) -> npt.NDArray[np.bool_]:
        """Whether a nonzero value is tiny, before or after rounding."""
        tiny: npt.NDArray[np.bool_] = (magnitude > 0) & (magnitude < self.normal)
        if self.before:
            return tiny
        if self.fmt.precision is None:
            return (magnitude > 0) & (result < self.normal)
        if random is not None:
            low = np.full(magnitude.shape, self.below.view(np.float64))
            gap = np.full(magnitude.shape, self.gap.view(np.float64))
            up = goes_up(
                magnitude,
                low,
                gap,
                random=random,
                random_width=self.random_width,
                rounding=self.rounding,
            )
            return tiny & ~up
        outward = {
            Rounding.TOWARD_POSITIVE: ~negative,
            Rounding.TOWARD_NEGATIVE: negative,
            Rounding.TO_ODD: np.full_like(negative, not self.below_is_odd),
        }
        if self.rounding in outward:
            return tiny & ~(outward[self.rounding] & (magnitude > self.below))
        if self.rounding is Rounding.TOWARD_ZERO:
            return tiny
        tie_goes_up = self.below_is_odd or self.rounding is Rounding.NEAREST_TIES_TO_AWAY
        tiny &= (magnitude < self.middle) | ((magnitude == self.middle) & (not tie_goes_up))
        return tiny


def _word(integer: int, exponent: int) -> np.uint64:
    """Return the float64 word of ``integer * 2**exponent``."""
    return np.uint64(dyadic_words(np.array([integer]), np.array([exponent]))[0])
