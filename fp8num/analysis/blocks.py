"""Elements of a piece, with what all formats have in common, and what one made of them."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fp8num._kernels.encoder import decoder
from fp8num._kernels.float32 import as_float32, as_float64, flushes_subnormals
from fp8num._kernels.words import as_values
from fp8num.analysis.binades import binade_keys, magnitude_words
from fp8num.analysis.sums import Shifted, exact_sum, is_safe, run_sums
from fp8num.scaled import Descale
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.analysis.distribution import Distribution
    from fp8num.scaled import ScaledArray

__all__ = ["Block", "Decoded", "Space", "blocks_of"]

#: Elements that are added up together where there are no rows.
_RUN = 1 << 14
#: Elements of a part: some arrays of float64 of this length stay in the cache.
_PART = 1 << 15


class Space:
    """Arrays of float64 that pieces use one after the other, as new memory takes its time."""

    def __init__(self) -> None:
        self._arrays: dict[str, npt.NDArray[np.float64]] = {}

    def array(self, name: str, size: int) -> npt.NDArray[np.float64]:
        """Return the array of a name, with whatever it holds."""
        found = self._arrays.get(name)
        if found is None or len(found) < size:
            found = self._arrays[name] = np.empty(size)
        return found[:size]


class Block:
    """
    Elements to compare with what formats make of them.

    Parameters
    ----------
    x : array_like, shape (...)
        The elements, of any type that `fp8num.encode` accepts.
    space : Space, optional
        Arrays to work in; a block that follows may write over what is in them.
    tensor : Distribution, optional
        What the tensor holds that the elements are from: what is nowhere is not looked for.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
        The elements in C order.  64-bit integers and longdouble are rounded to odd, which no
        later rounding to a small format can tell from the element itself; other types are
        exact.
    is_narrow : bool
        Whether they are numbers of float32, whose words have zeros at the end.
    run : int
        Elements that are added up together: a row, so that sums do not depend on how many
        rows a piece has.
    """

    def __init__(
        self, x: npt.ArrayLike, space: Space | None = None, tensor: Distribution | None = None
    ) -> None:
        array = as_values(x)
        self._tensor, self.is_narrow = tensor, False
        self.space = Space() if space is None else space
        flat = array.reshape(-1)
        if flushes_subnormals():
            self.values = as_float64(flat)
            binade_keys(magnitude_words(self.values))  # which refuses what would be lost
        elif array.dtype.name in {"float32", "bfloat16", "float16"}:
            self.values = self.space.array("x", array.size)
            with np.errstate(invalid="ignore"):  # a signalling NaN
                np.copyto(self.values, as_float32(flat))
            self.is_narrow = True
        else:
            self.values = as_float64(flat)
        self.run = array.shape[-1] if array.ndim > 1 and array.shape[-1] else _RUN

    @cached_property
    def parts(self) -> tuple[slice, ...]:
        """Whole runs, as many as are worked on at once."""
        step = max(_PART // self.run, 1) * self.run
        starts = range(0, len(self.values), step)
        return tuple(slice(start, min(start + step, len(self.values))) for start in starts)

    @cached_property
    def is_finite(self) -> npt.NDArray[np.bool_] | None:
        """Which elements are finite; None if all are."""
        clean = self._tensor is not None and self._tensor.finite == self._tensor.size
        if clean or math.isfinite(_largest(self.values)):
            return None
        return np.isfinite(self.values)

    @cached_property
    def finite(self) -> int:
        """How many are finite."""
        mask = self.is_finite
        return len(self.values) if mask is None else int(np.count_nonzero(mask))

    @cached_property
    def x(self) -> npt.NDArray[np.float64]:
        """The elements, with zeros for those that are not finite."""
        return self.values if self.is_finite is None else np.where(self.is_finite, self.values, 0.0)

    @cached_property
    def zeros(self) -> int:
        """How many of `x` are zero."""
        if self._tensor is not None and not self._tensor.zeros:
            return len(self.values) - self.finite  # which count as zeros
        return int(np.count_nonzero(self.x == 0))

    @cached_property
    def divisors(self) -> npt.NDArray[np.float64]:
        """`x`, infinite for zeros, over which relative errors are 0."""
        return np.where(self.x == 0, np.inf, self.x) if self.zeros else self.x

    @cached_property
    def elements(self) -> Shifted:
        """`x`, ready for sums of products."""
        if self._tensor is not None and is_safe(self._tensor.amin) and is_safe(self._tensor.amax):
            return Shifted(self.x)
        return Shifted(self.x).normalize(_largest(self.x))

    @cached_property
    def squares(self) -> npt.NDArray[np.float64]:
        """Sums of squares of the runs of `elements`."""
        return run_sums(self.elements.values, self.elements.values, self.run)

    @cached_property
    def sum_of_squares(self) -> Fraction:
        """The sum of the finite elements' squares."""
        return exact_sum(self.squares) * Fraction(2) ** (2 * self.elements.exponent)


class Decoded:
    """What codes and scales stand for in float64, turned back if the rule rotates."""

    def __init__(
        self, made: ScaledArray, space: Space | None = None, order: Literal["C", "F"] = "C"
    ) -> None:
        self.made, self._space, self._is_turned = made, space or Space(), order == "F"
        #: Its axes turned so that C order is the order in which the tensor is stored.
        self.scaled = made.transpose() if self._is_turned else made
        self.codes: npt.NDArray[Any] = self.scaled.codes.reshape(-1)
        self.operands = made.operands.T if self._is_turned else made.operands
        self.rotates = isinstance(made.rule, Rule) and made.rule.rotation is not None

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """All of them, in the piece's own shape."""
        made, operands = self.made, self.operands.T if self._is_turned else self.operands
        if made.ndim:
            results = self._space.array("results", made.size).reshape(made.shape)
            found = made.dequantize_into(results, operands)
        else:
            found = made.dequantize(np.float64)
        return found if made.rule is None else as_float64(made.rule.unrotated(found, made.axis))

    @cached_property
    def whole(self) -> npt.NDArray[np.float64]:
        """All of them, in the order of storage."""
        return (self.values.T if self._is_turned else self.values).reshape(-1)

    def part(self, place: slice) -> npt.NDArray[np.float64]:
        """Return some of them, in the order of storage; the next part may write over them."""
        length, factors = self._runs
        if not length or place.start % length or place.stop % length:
            return self.whole[place]
        found = self._space.array("part", place.stop - place.start)
        values = decoder(self.made.format, found.dtype)
        values.take(self.codes[place], out=found, mode="wrap")  # pairs would fill the cache
        if len(factors) > 1:
            factors = factors[place.start // length : place.stop // length, None]
        if not (factors == 1).all():
            runs = found.reshape(-1, length)
            combine = np.divide if self.made.descale is Descale.DIVIDE else np.multiply
            combine(runs, factors, out=runs)
        return found

    @cached_property
    def _runs(self) -> tuple[int, npt.NDArray[np.float64]]:
        """Return how many neighbours share a factor, 0 if that differs, and the factors."""
        scaled, factors = self.scaled, as_float64(self.operands).reshape(-1)
        if self.rotates or not scaled.ndim or not scaled.size:
            return 0, factors
        if factors.size == 1:
            return 1, factors
        length = scaled.block[-1]
        if scaled.shape[-1] % length:
            return 0, factors
        if factors.size * length != scaled.size:  # blocks of several rows
            factors = factors[blocks_of(np.arange(0, scaled.size, length), scaled)]
        return length, factors


def blocks_of(at: npt.NDArray[np.intp], scaled: ScaledArray) -> npt.NDArray[np.intp]:
    """Return which block elements are in, by their positions in C order."""
    shape, block = scaled.shape, scaled.block
    if block[-1:] != (0,) and shape[-1] % block[-1] == 0 and set(block[:-1]) <= {1}:
        return at // block[-1]
    places = np.unravel_index(at, shape)
    inside = tuple(i // n for i, n in zip(places, block, strict=True))
    return np.ravel_multi_index(inside, scaled.blocks.counts)


def _largest(values: npt.NDArray[np.float64]) -> float:
    """Return the largest magnitude, NaN if there is one; 0.0 of nothing."""
    return float(np.maximum(values.max(initial=0.0), -values.min(initial=0.0)))
