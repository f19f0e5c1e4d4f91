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

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from fp8num._arguments import integer, number

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Decision", "Estimate", "decide", "estimate", "student_quantile"]

Decision: TypeAlias = Literal["baseline", "within", "worse", "better", "undecided", "diverged"]

#: Probability below which the two tails are added up, and not what lies between them.
_SMALL = 2.0**-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and how well it is known."""

    n: int  #: values that it is the mean of
    mean: float  #: naN without values
    error: float  #: standard error: the standard deviation over the root of n; NaN below two
    low: float  #: ends of Student's interval around the mean; NaN below two
    high: float


def student_quantile(p: float, freedom: int) -> float:
    r"""
    Return a quantile of Student's t distribution.

    With :math:`\theta = \arctan(t / \sqrt{\nu})` the probability of :math:`|T| < t` is a
    finite sum of positive terms [1]_, and that of :math:`|T| > t` is the rest of the same
    series, which without an end adds up to 1: nothing cancels in either.  The angle, or its
    complement, is found by bisection down to neighbouring floats.  The relative error is below
    :math:`10^{-12}` for `p` from :math:`10^{-300}` to 0.49, for ``1 - p`` in that range, and up
    to 1,000 degrees of freedom.

    .. [1] M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 1964,
       26.7.3 and 26.7.4.

    >>> round(student_quantile(0.975, 9), 3)
    2.262
    """
    p, freedom = number("p", p, above=0, below=1), integer("freedom", freedom, 1)
    return -_reach(p, freedom) if p < 0.5 else _reach(1 - p, freedom)  # which is exact


@functools.lru_cache(maxsize=256)
def _reach(tail: float, freedom: int) -> float:
    """Return what a variable is above with a probability of at most a half."""
    small = tail < _SMALL
    probability, wanted = (_outer, 2 * tail) if small else (_central, 1 - 2 * tail)
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if probability(middle, freedom) < wanted:
            low = middle
        else:
            high = middle
    root, slope = math.sqrt(freedom), math.tan(low)
    return root / slope if small else root * slope


def _central(theta: float, freedom: int) -> float:
    """Return the probability that abs(T) is below sqrt(freedom) * tan(theta)."""
    cosine = math.cos(theta)
    odd = freedom % 2
    # Odd: 2/pi (theta + sin (cos + 2/3 cos^3 + 2*4/(3*5) cos^5 + ... to cos^(nu-2)));
    # even: sin (1 + 1/2 cos^2 + 1*3/(2*4) cos^4 + ... to cos^(nu-2)).
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cosine * cosine
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total


def _outer(complement: float, freedom: int) -> float:
    """Return the probability that abs(T) is above sqrt(freedom) / tan(complement)."""
    cosine, sine = math.sin(complement), math.cos(complement)  # of the angle itself
    odd = freedom % 2
    # The same terms from cos^nu on; the first ones are only walked through.
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(odd, freedom, 2):
        term *= (power + 1) / (power + 2) * cosine * cosine
    power = freedom
    while total + term / (sine * sine) > total:  # more than what is left: ratios are below cos^2
        total += term
        term *= (power + 1) / (power + 2) * cosine * cosine
        power += 2
    return (2 / math.pi if odd else 1.0) * sine * total


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
    reach = _reach(tail, n - 1) * error
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
