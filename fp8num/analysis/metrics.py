"""How far a tensor is from what a format makes of it: counts, largest errors and sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from fp8num._kernels.state import float_arithmetic
from fp8num.analysis.blocks import Block, Decoded
from fp8num.analysis.running import Peak, RunningMetrics
from fp8num.analysis.sums import decibels, quotient, root
from fp8num.codec._checks import as_codes, check_codes
from fp8num.formats import Format, get_format
from fp8num.scaled import ScaledArray

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.analysis.binades import BinadeErrors

__all__ = ["ErrorMetrics"]

#: Fields of the metrics that add up.
_COUNTS = ("size", "finite", "nonzero", "underflow", "saturated", "pairs", "code_counts")
_ADDED = (*_COUNTS, "xx", "xe", "ee", "xq", "qq")


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorMetrics:
    r"""
    Elements x compared with what a format makes of them.

    The result q is what a code and its scale stand for, turned back if the rule rotates,
    and the error is e = q - x, both in float64.  Metrics of parts merge to those of the
    whole: counts and largest errors exactly, sums but for the rounding within the parts.

    Attributes
    ----------
    size, finite, nonzero : int
        Elements, the finite ones, and those of them that are not zero.
    underflow : int
        Nonzero finite elements whose result is zero, of either sign.
    saturated : int
        Finite elements that round past the format's largest value, to nearest, in units of
        their scale; of a rule that rotates, once they are rotated.
    pairs : int
        Elements that are finite and have a finite result.  What follows is about these.
    xx, xe, ee, xq, qq : Fraction
        Sums of products of elements, errors and results.
    max_abs : Peak
        The largest abs(e).
    max_rel : Peak
        The largest abs(e / x) of the nonzero elements, at most 2**1023.
    code_counts : ndarray of int64, shape (2**bits,)
        How often each code occurs, for any element.
    binades : BinadeErrors
        Relative errors by the binade of x, if that was asked for; else of no number.
    """

    size: int
    finite: int
    nonzero: int
    underflow: int
    saturated: int
    pairs: int
    xx: Fraction = field(repr=False)  # integers of hundreds of digits
    xe: Fraction = field(repr=False)
    ee: Fraction = field(repr=False)
    xq: Fraction = field(repr=False)
    qq: Fraction = field(repr=False)
    max_abs: Peak
    max_rel: Peak
    code_counts: npt.NDArray[np.int64] = field(repr=False)
    binades: BinadeErrors = field(repr=False)

    @classmethod
    @float_arithmetic
    def of(
        cls,
        x: npt.ArrayLike,
        codes: npt.ArrayLike | ScaledArray,
        fmt: Format | str | None = None,
        *,
        offset: int = 0,
    ) -> ErrorMetrics:
        """
        Compare elements with their codes.

        Parameters
        ----------
        x : array_like, shape (...)
            The elements, of any type that `fp8num.encode` accepts.
        codes : array_like of uint8 (uint16 above 8 bits) or ScaledArray, shape (...)
            The codes of the elements; or codes with their scales.
        fmt : Format or str, optional
            The format of codes without scales.
        offset : int, optional
            Position of the first element in the whole tensor.

        Returns
        -------
        ErrorMetrics
            The comparison.

        Raises
        ------
        TypeError
            If `x` has no such type, or the codes are not of the format's type.
        ValueError
            If the shapes differ, a code is out of range, `fmt` is missing or not needed, or
            float64 cannot hold the format's values.

        Examples
        --------
        >>> import fp8num as fp
        >>> x = [1.0, 1.1, 1e-9, 1000.0]
        >>> found = ErrorMetrics.of(x, fp.encode(x, "E4M3FN"), "E4M3FN")
        >>> found.underflow, found.saturated, found.max_abs_error, found.max_abs_index
        (1, 1, 552.0, 3)
        >>> found = ErrorMetrics.of(x, fp.scale_quantize(x, "block-2", fmt="E4M3FN"))
        >>> found.underflow, found.saturated, round(found.max_abs_error, 4)
        (1, 0, 0.0214)
        """
        scaled = _scaled(codes, fmt)
        if scaled.shape != np.shape(x):
            msg = f"codes must have the shape of x, {np.shape(x)}, got {scaled.shape}"
            raise ValueError(msg)
        running = RunningMetrics(len(scaled.format.values))
        running.add(Block(x), Decoded(scaled), offset=offset, binades=True)
        return cls(**running.fields)

    @float_arithmetic
    def merge(self, other: ErrorMetrics) -> ErrorMetrics:
        """
        Return the metrics of both together.

        Raises
        ------
        ValueError
            If they are about formats with different numbers of codes.
        """
        if self.codes_total != other.codes_total:
            msg = (
                f"other must be about the same format, got one of {other.codes_total} codes "
                f"for one of {self.codes_total}"
            )
            raise ValueError(msg)
        return ErrorMetrics(
            **{name: getattr(self, name) + getattr(other, name) for name in _ADDED},
            max_abs=self.max_abs.merge(other.max_abs),
            max_rel=self.max_rel.merge(other.max_rel),
            binades=self.binades.merge(other.binades),
        )

    __add__ = merge

    @property
    @float_arithmetic
    def underflow_rate(self) -> float:
        """Share of the nonzero finite elements that become zero; NaN if there are none."""
        return self.underflow / self.nonzero if self.nonzero else math.nan

    @property
    @float_arithmetic
    def saturation_rate(self) -> float:
        """Share of the finite elements that saturate; NaN if there are none."""
        return self.saturated / self.finite if self.finite else math.nan

    @property
    @float_arithmetic
    def sqnr_db(self) -> float:
        """Signal to noise, ``10 log10(xx / ee)``: infinite without noise, NaN without signal."""
        if not self.xx:
            return math.nan
        return decibels(self.xx / self.ee) if self.ee else math.inf

    @property
    @float_arithmetic
    def mse(self) -> float:
        """The mean squared error, ``ee / pairs``; NaN if there are no pairs."""
        return quotient(self.ee, self.pairs)

    @property
    @float_arithmetic
    def rms(self) -> float:
        """Root mean square of the elements, ``sqrt(xx / pairs)``; NaN if there are no pairs."""
        return root(self.xx / self.pairs) if self.pairs else math.nan

    @property
    @float_arithmetic
    def relative_rms_error(self) -> float:
        """The error's norm relative to that of the elements: sqrt(ee / xx); NaN without signal."""
        return root(self.ee / self.xx) if self.xx else math.nan

    @property
    @float_arithmetic
    def cosine_distance(self) -> float:
        r"""
        One minus the cosine of the angle between x and q; NaN if either is all zero.

        With the sine's square :math:`s = (xx \cdot qq - xq^2) / (xx \cdot qq)` it is
        :math:`s / (1 + \cos)`.  The numerator equals :math:`xx \cdot ee - xe^2`, which
        loses nothing when the error is small; the other form serves when it is large.
        """
        if not self.xx or not self.qq:
            return math.nan
        cosine = min(root(self.xq**2 / (self.xx * self.qq)), 1.0)
        if self.xq <= 0:
            return 1.0 + cosine
        if self.ee < self.qq:
            numerator = self.xx * self.ee - self.xe**2
        else:
            numerator = self.xx * self.qq - self.xq**2
        sine_squared = max(numerator, Fraction(0)) / (self.xx * self.qq)
        return float(sine_squared) / (1.0 + cosine)

    @property
    def max_abs_error(self) -> float:
        """The largest abs(e), NaN if there are no pairs."""
        return self.max_abs.error

    @property
    def max_abs_index(self) -> int | None:
        """Its position in storage order: of equal errors, the first."""
        return self.max_abs.position

    @property
    def max_rel_error(self) -> float:
        """The largest abs(e / x), NaN if there is no nonzero x."""
        return self.max_rel.error

    @property
    def max_rel_index(self) -> int | None:
        """Its position in storage order: of equal errors, the first."""
        return self.max_rel.position

    @property
    def codes_total(self) -> int:
        """How many codes the format has."""
        return len(self.code_counts)

    @property
    def codes_used(self) -> int:
        """A set of codes: bit c is set if code c occurs."""
        used = np.packbits(self.code_counts > 0, bitorder="little")
        return int.from_bytes(used.tobytes(), "little")

    @property
    def code_count(self) -> int:
        """How many different codes occur."""
        return int(np.count_nonzero(self.code_counts))

    @property
    def code_entropy(self) -> float:
        """Shannon entropy of the codes in bits; NaN if there are none."""
        total = self.code_counts.sum()
        shares = self.code_counts[self.code_counts > 0] / max(total, 1)
        return float(-(shares * np.log2(shares)).sum()) if total else math.nan

    @property
    def effective_bits(self) -> float:
        """
        Bits that a uniform quantiser of a full-scale sine would need for the same SQNR.

        Notes
        -----
        ``(sqnr_db - 1.76) / 6.02``, the ENOB of IEEE Std 1241.
        """
        return (self.sqnr_db - 10 * math.log10(1.5)) / (20 * math.log10(2))


def _scaled(codes: npt.ArrayLike | ScaledArray, fmt: Format | str | None) -> ScaledArray:
    """Return codes with their scales; with the scale 1 if they have none."""
    if isinstance(codes, ScaledArray) != (fmt is None):
        msg = f"fmt must be given for codes, and for codes alone, got {fmt!r:.80}"
        raise ValueError(msg)
    if isinstance(codes, ScaledArray):
        codes.format.require_float64()
        return codes
    found = get_format(fmt)
    array = as_codes(codes, found)
    check_codes(array, found)
    block = tuple(max(n, 1) for n in array.shape)
    return ScaledArray(array, found, np.ones((), np.float32), block)
