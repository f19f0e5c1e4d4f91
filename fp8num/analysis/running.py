"""Pieces compared with what they were quantised to, part by part: errors, sums and counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fp8num.analysis.binades import BinadeErrors
from fp8num.analysis.counts import code_counts, count_lost, count_saturated
from fp8num.analysis.sums import Shifted, Total, is_safe, run_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fp8num.analysis.blocks import Block, Decoded

__all__ = ["Peak", "RunningMetrics"]

#: Relative errors count as no more than this, which leaves room for rounding their means.
_MOST = 2.0**1023


class Peak(NamedTuple):
    """
    The largest of some errors and where it is: of equal ones, the first.

    Attributes
    ----------
    error : float
        The error's magnitude, NaN if there is no element.
    position : int or None
        The element's position in storage order, None if there is no element.
    """

    error: float
    position: int | None

    def merge(self, other: Peak) -> Peak:
        """Return the larger one."""
        if self.position is None or other.position is None:
            return other if self.position is None else self
        return min(self, other, key=lambda peak: (-peak.error, peak.position))

    def after(self, elements: int) -> Peak:
        """Return the peak as it is where some elements come before."""
        return self if self.position is None else Peak(self.error, self.position + elements)


class _Errors(NamedTuple):
    """What was found of a block's errors."""

    crossed: npt.NDArray[np.float64]  #: runs' sums of products with the elements
    noise: npt.NDArray[np.float64]  #: runs' sums of squares
    max_abs: Peak
    max_rel: Peak


class RunningMetrics:
    """Metrics of pieces that come one after the other, for a format of so many codes."""

    def __init__(self, codes: int) -> None:
        self._counts = dict.fromkeys(("size", "finite", "nonzero", "underflow", "saturated"), 0)
        self._pairs = 0
        self._codes = np.zeros(codes, np.int64)
        self._sums = {name: Total() for name in ("xx", "xe", "ee", "xq", "qq")}
        self._max_abs = self._max_rel = Peak(math.nan, None)
        self._binades: BinadeErrors | None = None

    def add(
        self,
        block: Block,
        made: Decoded,
        *,
        offset: int = 0,
        binades: bool = False,
        look: Callable[[npt.NDArray[np.float64]], object] | None = None,
    ) -> bool:
        """
        Compare a piece's elements with what they were quantised to, decoded.

        Parameters
        ----------
        look : callable, optional
            Called with the errors of each of the block's parts, which it may write over.

        Returns
        -------
        bool
            Whether every element that is finite has a finite result.  If not, what `look` was
            given is not all, or not the errors.
        """
        codes, x, keep = made.codes, block.x, block.is_finite
        relative = np.empty(len(x)) if binades else None
        found = None
        if keep is None:
            found = _compare(block, x, made.part, relative=relative, look=look)
        whole = found is not None
        if found is None:  # what takes no part is zero in both
            q = made.whole
            finite = np.isfinite(q)
            whole = keep is not None and bool((finite | ~keep).all())
            keep = finite if keep is None else finite & keep
            q, x = np.where(keep, q, 0.0), np.where(keep, x, 0.0)
            found = _compare(block, x, q.__getitem__, keep=keep, relative=relative, look=look)
            assert found is not None
        counts = code_counts(codes, len(self._codes))
        self._codes += counts
        for name, count in (
            ("size", len(codes)),
            ("finite", block.finite),
            ("nonzero", len(codes) - block.zeros),
            ("underflow", count_lost(block, made, counts)),
            ("saturated", count_saturated(block, made, counts)),
        ):
            self._counts[name] += count
        self._pairs += len(codes) if keep is None else int(np.count_nonzero(keep))
        self._add_sums(block, x, made, found, keep)
        self._max_abs = self._max_abs.merge(found.max_abs.after(offset))
        self._max_rel = self._max_rel.merge(found.max_rel.after(offset))
        if relative is not None:
            there = np.flatnonzero(x)
            some = BinadeErrors.of(relative[there], np.abs(x[there]))
            self._binades = some if self._binades is None else self._binades.merge(some)
        return whole

    def _add_sums(
        self,
        block: Block,
        x: npt.NDArray[np.float64],
        made: Decoded,
        found: _Errors,
        keep: npt.NDArray[np.bool_] | None,
    ) -> None:
        """Add the runs' sums of products."""
        if keep is None:
            elements, squares = block.elements, block.squares
        else:
            elements = Shifted(x).normalize(float(np.abs(x).max(initial=0.0)))
            squares = run_sums(elements.values, elements.values, block.run)
        crossed, noise, power = found.crossed, found.noise, 0
        largest = found.max_abs.error if found.crossed.size else 0.0
        if elements.exponent or not is_safe(largest):
            errors = Shifted(_kept(made, keep) - x).normalize(largest)
            crossed = run_sums(elements.values, errors.values, block.run)
            noise = run_sums(errors.values, errors.values, block.run)
            power = errors.exponent
        both = elements.exponent + power
        self._sums["xx"].add(squares, 2 * elements.exponent)
        self._sums["xe"].add(crossed, both)
        self._sums["ee"].add(noise, 2 * power)
        near = noise <= squares / 4
        if not both and near.all():  # q = x + e, and nothing cancels
            self._sums["xq"].add(squares + crossed)
            self._sums["qq"].add(squares + 2 * crossed + noise)
            return
        q = _kept(made, keep)
        results = Shifted(q).normalize(float(np.abs(q).max(initial=0.0)))
        inner = run_sums(elements.values, results.values, block.run)
        signal = run_sums(results.values, results.values, block.run)
        if not (both or results.exponent):  # each run by itself: pieces do not matter
            inner = np.where(near, squares + crossed, inner)
            signal = np.where(near, squares + 2 * crossed + noise, signal)
        self._sums["xq"].add(inner, elements.exponent + results.exponent)
        self._sums["qq"].add(signal, 2 * results.exponent)

    @property
    def fields(self) -> dict[str, Any]:
        """What was found, by the names of the fields of `ErrorMetrics`."""
        found: dict[str, Any] = {name: total.value for name, total in self._sums.items()}
        return (
            found
            | self._counts
            | {
                "pairs": self._pairs,
                "code_counts": self._codes,
                "max_abs": self._max_abs,
                "max_rel": self._max_rel,
                "binades": self._binades or BinadeErrors.of(np.empty(0), np.empty(0)),
            }
        )


def _kept(made: Decoded, keep: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.float64]:
    """Return results, zero where one takes no part."""
    return made.whole if keep is None else np.where(keep, made.whole, 0.0)


def _compare(
    block: Block,
    x: npt.NDArray[np.float64],
    results: Callable[[slice], npt.NDArray[np.float64]],
    *,
    keep: npt.NDArray[np.bool_] | None = None,
    relative: npt.NDArray[np.float64] | None = None,
    look: Callable[[npt.NDArray[np.float64]], object] | None = None,
) -> _Errors | None:
    """Measure a block's parts one after the other; None if an error is not finite."""
    crossed, noise, max_abs, max_rel = [], [], Peak(math.nan, None), Peak(math.nan, None)
    for part in block.parts:
        exact, size = x[part], part.stop - part.start
        e = np.subtract(results(part), exact, out=block.space.array("errors", size))
        room = block.space.array("magnitudes", size)
        peak = _peak(np.abs(e, out=room), part.start)
        if not math.isfinite(peak.error):
            return None
        among = exact != 0 if block.zeros or keep is not None else None
        max_abs = max_abs.merge(peak if keep is None else _peak(room, part.start, keep[part]))
        if relative is not None:
            room = relative[part]
        np.abs(np.divide(e, block.divisors[part], out=room), out=room)
        peak = _peak(room, part.start, among)
        if peak.error > _MOST:
            peak = _peak(np.minimum(room, _MOST, out=room), part.start, among)
        max_rel = max_rel.merge(peak)
        crossed.append(run_sums(exact, e, block.run))
        noise.append(run_sums(e, e, block.run))
        if look is not None:
            look(e)
    nothing = [np.empty(0)]
    return _Errors(
        np.concatenate(crossed or nothing), np.concatenate(noise or nothing), max_abs, max_rel
    )


def _peak(
    errors: npt.NDArray[np.float64], offset: int, among: npt.NDArray[np.bool_] | None = None
) -> Peak:
    """Return the largest error, and of those as large the first, among some elements."""
    if among is not None and not among.any():
        return Peak(math.nan, None)
    at = int(errors.argmax())
    if among is not None and not errors[at]:  # all are 0: the first of those that take part
        at = int(among.argmax())
    return Peak(float(errors[at]), at + offset)
