"""
Paired differences: their mean with its error, and what may be said of it.

::

    differences, a pair each --> mean, standard error, Student's interval
                             --> within a margin | worse | better | undecided

         -margin    0    margin
    ---------|------+------|---------
             | <--90 %-->  |             within: the 90 % interval lies inside
     <--95 %---->   |      |             worse: the 95 % interval lies below 0
        <------95 %------------->        undecided
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from fp8num._arguments import integer, number

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Decision", "Estimate", "decide", "estimate", "student_quantile"]

Decision: TypeAlias = Literal["baseline", "within", "worse", "better", "undecided", "diverged"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and how well it is known."""

    n: int  #: values that it is the mean of
    mean: float  #: naN without values
    error: float  #: standard error: the standard deviation over the root of n; NaN below two
    low: float  #: ends of Student's interval around the mean; NaN below two
    high: float


def student_quantile(p: float, freedom: int) -> float:
    """
    Return a quantile of Student's t distribution.

    >>> round(student_quantile(0.975, 9), 3)
    2.262
    """
    from scipy.special import stdtrit

    p, freedom = number("p", p, above=0, below=1), integer("freedom", freedom, 1)
    return float(stdtrit(freedom, p))


def estimate(
    values: Sequence[float], confidence: float = 0.95, *, resolution: float = 0.0
) -> Estimate:
    """
    Estimate the mean of what independent values are drawn from.

    Values that are all the same have a spread that their resolution hides.  The standard
    deviation is taken to be at least that of a uniform error of half a step, which is the
    resolution over the root of 12: a few shares of a few inputs cannot claim to be exact.

    >>> estimate([1.0, 2.0, 3.0, 6.0]).mean, estimate([1.0]).error
    (3.0, nan)
    """
    confidence = number("confidence", confidence, above=0, below=1)
    return _estimate(values, (1 - confidence) / 2, number("resolution", resolution, at_least=0))


def _estimate(values: Sequence[float], tail: float, resolution: float) -> Estimate:
    """Return an estimate whose interval leaves out so much on either side."""
    n = len(values)
    if n == 0:
        return Estimate(0, math.nan, math.nan, math.nan, math.nan)
    if not all(map(math.isfinite, values)):
        return Estimate(n, math.nan, math.nan, math.nan, math.nan)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(1, mean, math.nan, math.nan, math.nan)
    # The rounded mean of equal values need not be one of them: there is no spread all the same.
    spread = 0.0 if min(values) == max(values) else math.fsum((x - mean) ** 2 for x in values)
    error = math.sqrt(max(spread / (n - 1), resolution**2 / 12) / n)
    reach = -student_quantile(tail, n - 1) * error
    return Estimate(n, mean, error, mean - reach, mean + reach)


def decide(
    differences: Sequence[float], margin: float, level: float = 0.05, *, resolution: float = 0.0
) -> Decision:
    """
    Say what differences of pairs show.

    .. [1] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power
       approach for assessing the equivalence of average bioavailability",
       J. Pharmacokinet. Biopharm. 15 (1987), 657-680.

    >>> decide([-0.001, 0.001, 0.0], 0.003), decide([-0.01, -0.012, -0.011], 0.003)
    ('within', 'worse')
    """
    margin, level = number("margin", margin, above=0), number("level", level, above=0, below=0.5)
    resolution = number("resolution", resolution, at_least=0)
    narrow, wide = (_estimate(differences, tail, resolution) for tail in (level, level / 2))
    if -margin < narrow.low and narrow.high < margin:  # NaN is neither
        return "within"
    if wide.high < 0:
        return "worse"
    return "better" if wide.low > 0 else "undecided"
