"""
The definition of a conversion: round, saturate, encode.

::

    x -> RoundToPrecision -> Saturate -> Encode -> code      (IEEE P3109, v4.0)

The report's clauses stand, restated, above the lines that obey them.  What it does
not define is defined on the set of values: formats without subnormals, without zero,
and the tabulated ones.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fp8num.formats import Overflow, Specials
from fp8num.projection import NanResult, Rounding, Saturation
from fp8num.verify.reference.codes import (
    decode,
    encode,
    finite_values,
    has_infinity,
    has_nan,
    has_zero,
    precision_bias,
    round_hifloat8,
    round_posit8,
)
from fp8num.verify.reference.datum import Datum, Kind, exact, floor_log2, power_of_two

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from fp8num.formats import Format
    from fp8num.verify.reference.datum import Real

    #: Whether to round away from zero at a place.
    RoundAway: TypeAlias = Callable[["Place"], bool]

__all__ = [
    "Flags",
    "Place",
    "flags",
    "project",
    "round_on_values",
    "round_to_precision",
    "successor",
]

HALF = Fraction(1, 2)
NEAREST = (Rounding.NEAREST_TIES_TO_EVEN, Rounding.NEAREST_TIES_TO_AWAY)


class Flags(NamedTuple):
    """What a conversion did to a number."""

    inexact: bool
    underflow: bool
    overflow: bool
    invalid: bool


class Place(NamedTuple):
    """Where a number lies between its neighbours, as RoundAway sees it."""

    nu: Fraction  #: from the neighbour nearer to zero, in units of the gap
    positive: bool
    code_is_even: bool  #: of the neighbour nearer to zero


def project(
    x: Real,
    fmt: Format,
    rounding: Rounding | str,
    saturation: Saturation | str,
    *,
    random_bits: int | None = None,
    random_width: int | None = None,
    nan: NanResult | str = NanResult.MAX,
) -> int:
    """
    Return the code that a number becomes.

    Parameters
    ----------
    x : Fraction, int, float, Datum, or a real scalar of NumPy or ml_dtypes
        The number, an infinity or a NaN; it is taken exactly.
    fmt : Format
        The format.
    rounding : Rounding or str
        Which neighbour a number between two values becomes.
    saturation : Saturation or str
        What a number beyond the range becomes.
    random_bits : int, optional
        R of the stochastic modes, ``0 <= R < 2**random_width``.
    random_width : int, optional
        N of the stochastic modes.
    nan : NanResult or str, optional
        What a NaN becomes where the format has none: the largest value ("max"), an
        error ("raise"), or the zero of the opposite sign ("zero").

    Returns
    -------
    int
        The code.

    Raises
    ------
    TypeError
        If `x` is not a real number.
    ValueError
        If the random bits are missing, superfluous or out of range; if `nan` is
        "raise" and `x` is a NaN that the format lacks.

    References
    ----------
    IEEE P3109 Interim Report v4.0 (2026): RoundToPrecision, Saturate, Encode.

    Examples
    --------
    464 is halfway between 448 and what would follow it, and goes to the even code.

    >>> from fp8num.formats import E4M3FN
    >>> [hex(project(x, E4M3FN, "rne", "SatNone")) for x in (464, 464.5, -1e-9)]
    ['0x7e', '0x7f', '0x80']
    """
    rounding, saturation = Rounding.parse(rounding), Saturation.parse(saturation)
    away = _round_away_rule(rounding, random_bits, random_width)
    datum = exact(x)
    if datum.kind is Kind.NAN and not has_nan(fmt):
        return _project_nan(datum, fmt, NanResult.parse(nan))
    # X in {0, +-inf, NaN} unchanged
    if datum.is_finite and not datum.is_zero:
        rounded = _round(datum.value, fmt, rounding, away)
        datum = Datum.finite(rounded, negative=datum.negative)
    return encode(_saturate(datum, fmt, rounding, saturation), fmt)


def _project_nan(datum: Datum, fmt: Format, nan: NanResult) -> int:
    """Return what a NaN becomes in a format that has none."""
    if nan is NanResult.RAISE:
        msg = f"x must not be NaN for {fmt.name}, which has none; nan='max' gives its largest value"
        raise ValueError(msg)
    if nan is NanResult.ZERO:
        return encode(Datum.finite(Fraction(0), negative=not datum.negative), fmt)
    return encode(Datum.finite(finite_values(fmt).high), fmt)


# Rounding.


def _round_away_rule(rounding: Rounding, bits: int | None, width: int | None) -> RoundAway:
    """Return RoundAway of a mode, with its random bits."""
    if not rounding.value.startswith("Stochastic"):
        if bits is not None or width is not None:
            msg = (
                f"random_bits and random_width must be None for {rounding.value}, "
                f"got {bits} and {width}"
            )
            raise ValueError(msg)
        return partial(_round_away, rounding)
    if bits is None or width is None or width < 0 or not 0 <= bits < 1 << width:
        msg = (
            f"{rounding.value} needs random_bits from 0 to 2**random_width - 1, "
            f"got {bits} and random_width={width}"
        )
        raise ValueError(msg)
    return partial(_round_away_randomly, rounding, bits, width)


def _round_away(rounding: Rounding, place: Place) -> bool:
    """RoundAway of the deterministic modes."""
    nu, positive, code_is_even = place
    match rounding:
        case Rounding.TOWARD_ZERO:  # False
            away = False
        case Rounding.TOWARD_POSITIVE:  # nu > 0 and X > 0
            away = nu > 0 and positive
        case Rounding.TOWARD_NEGATIVE:  # nu > 0 and X < 0
            away = nu > 0 and not positive
        case Rounding.NEAREST_TIES_TO_AWAY:  # nu >= 1/2
            away = nu >= HALF
        case Rounding.NEAREST_TIES_TO_EVEN:  # nu > 1/2 or (nu = 1/2 and not CodeIsEven)
            away = nu > HALF or (nu == HALF and not code_is_even)
        case _:  # ToOdd: nu > 0 and CodeIsEven
            away = nu > 0 and code_is_even
    return away


def _round_away_randomly(rounding: Rounding, bits: int, width: int, place: Place) -> bool:
    """RoundAway of the stochastic modes, with N = width and R = bits."""
    scale = 1 << width
    match rounding:
        case Rounding.STOCHASTIC_A:  # floor(nu 2^N) + R >= 2^N
            return (place.nu * scale).__floor__() + bits >= scale
        case Rounding.STOCHASTIC_B:  # floor(nu 2^(N+1)) + 2R + 1 >= 2^(N+1)
            return (place.nu * scale * 2).__floor__() + 2 * bits + 1 >= 2 * scale
        case _:  # StochasticC: RNITE(nu 2^N) + R >= 2^N; round() takes ties to even
            return round(place.nu * scale) + bits >= scale


def round_to_precision(
    x: Fraction, precision: int, bias: int, away: RoundAway, *, subnormals: bool = True
) -> Fraction:
    """RoundToPrecision(P, B, mu); without `subnormals`, no least exponent."""
    magnitude, positive = abs(x), x > 0
    # Q = max(floor(log2 |X|), 1 - B) - P + 1
    exponent = floor_log2(magnitude)
    if subnormals:
        exponent = max(exponent, 1 - bias)
    quantum = exponent - precision + 1
    # S~ = |X| 2^-Q, nu = S~ - floor(S~)
    scaled = magnitude * power_of_two(-quantum)
    floor = scaled.__floor__()
    nu = scaled - floor
    # CodeIsEven = even(floor(S~)) if P > 1; (floor(S~) = 0 or even(Q + B)) if P = 1
    code_is_even = floor % 2 == 0
    if precision == 1:
        code_is_even = floor == 0 or (quantum + bias) % 2 == 0
    # S = floor(S~) + RoundAway, Z = sgn S 2^Q
    rounded = (floor + away(Place(nu, positive, code_is_even))) * power_of_two(quantum)
    return rounded if positive else -rounded


def successor(fmt: Format) -> Fraction | None:
    """Return the value that would follow the largest if the exponents went on."""
    high = finite_values(fmt).high
    if fmt.exponent_bits is None:
        # HiFloat8: infinity has the code of 1.5 * 2**15.  Beyond maxpos a posit has nothing.
        return Fraction(3, 2) * power_of_two(15) if fmt.name == "HIFLOAT8" else None
    precision, _ = precision_bias(fmt)
    return high + power_of_two(floor_log2(high) - precision + 1)


def round_on_values(x: Fraction, fmt: Format, away: RoundAway) -> Fraction:
    """
    Round a nonzero number to one of its neighbours among the format's values.

    The gap between two neighbours is divided by nu, and CodeIsEven is the parity of
    the lower one's code.  A number that has no neighbour above is left as it is.
    """
    values, magnitude = finite_values(fmt), abs(x)
    below = bisect_right(values.magnitudes, magnitude) - 1
    if below < 0:  # no zero: every magnitude below the smallest gives the smallest
        rounded = values.magnitudes[0]
    else:
        low = values.magnitudes[below]
        last = below + 1 == len(values.magnitudes)
        high = successor(fmt) if last else values.magnitudes[below + 1]
        if high is None or magnitude >= high:
            rounded = magnitude
        else:
            nu = (magnitude - low) / (high - low)
            code_is_even = values.codes[low] % 2 == 0
            rounded = high if away(Place(nu, x > 0, code_is_even)) else low
    return rounded if x > 0 else -rounded


def _round(x: Fraction, fmt: Format, rounding: Rounding, away: RoundAway) -> Fraction:
    """Round a nonzero number as if the exponent range went on above the largest value."""
    if fmt.exponent_bits is None:
        # To nearest is what the format's own standard says, ties included.
        if rounding in NEAREST:
            return (round_hifloat8 if fmt.name == "HIFLOAT8" else round_posit8)(x)
        return round_on_values(x, fmt, away)
    if not fmt.subnormals:
        return round_on_values(x, fmt, away)
    return round_to_precision(x, *precision_bias(fmt), away)


# Saturation.


def _saturate(z: Datum, fmt: Format, rounding: Rounding, saturation: Saturation) -> Datum:
    """Saturate, and its extension to formats that lack what it assumes."""
    if z.kind is Kind.NAN:  # NaN -> NaN
        return z
    values = finite_values(fmt)
    # In range -> X; 0 is out of range where there is no zero
    in_range = z.is_finite and values.low <= z.value <= values.high
    if in_range and (has_zero(fmt) or not z.is_zero):
        return z
    end = _end(z, fmt)
    match saturation:
        case Saturation.SAT_FINITE:  # all -> M_lo / M_hi (incl. +-inf)
            return end
        case Saturation.SAT_PROPAGATE:
            return _propagate(z, fmt, end)
        case _:
            return _overflow(z, fmt, rounding, end)


def _end(z: Datum, fmt: Format) -> Datum:
    """Return M_lo or M_hi, the end of the range that z lies beyond."""
    values = finite_values(fmt)
    if z.is_zero:  # the format has none: the smallest magnitude, of zero's sign
        least = values.magnitudes[0]
        return Datum.finite(-least if z.negative and fmt.signed else least)
    return Datum.finite(values.low if z.negative else values.high)


def _propagate(z: Datum, fmt: Format, end: Datum) -> Datum:
    """Saturate under SatPropagate."""
    # finite out-of-range -> M
    if z.is_finite:
        return end
    # +-inf kept if Extended (-inf only if Signed)
    if has_infinity(fmt, negative=z.negative):
        return z
    # else M; so too where the family has infinity, or the format has no NaN
    keeps_numbers = (Specials.EXTENDED, Specials.FINITE, Specials.IEEE, Specials.NONE)
    if fmt.specials in keeps_numbers:
        return end
    # FN, FNUZ, posit8: infinity has no counterpart
    return Datum.nan(negative=z.negative)


def _overflow(z: Datum, fmt: Format, rounding: Rounding, end: Datum) -> Datum:
    """Saturate under SatNone."""
    below = z.negative and not fmt.signed
    # Without a zero, zero itself and what is below the range give NaN in every mode.
    no_zero = not has_zero(fmt) and (below or z.is_zero)
    if not no_zero and z.is_finite and _stops(z, fmt, rounding):
        return end
    # -inf: NaN if Unsigned; X < M_lo: NaN if Unsigned
    if no_zero or below:
        return Datum.nan(negative=z.negative) if has_nan(fmt) else end
    match fmt.overflow:  # the rest is the format's own result
        case Overflow.INFINITY:
            return Datum.infinite(negative=z.negative)
        case Overflow.NAN:
            return Datum.nan(negative=z.negative)
        case _:
            return end


def _stops(z: Datum, fmt: Format, rounding: Rounding) -> bool:
    """Whether a finite number beyond the range becomes the end of the range."""
    # ToOdd and Unsigned and Extended and X > M_hi: M_hi.  That is where M_hi has the odd code
    # and infinity the even one; so it is in IEEE 754's formats, where SoftFloat's round_odd and
    # RISC-V's vfncvt.rod do the same.
    if rounding is Rounding.TO_ODD:
        values = finite_values(fmt)
        return has_infinity(fmt, negative=z.negative) and values.codes[values.high] % 2 == 1
    # (TowardZero or TowardPositive) and X < M_lo: M_lo
    if z.negative:
        return rounding in (Rounding.TOWARD_ZERO, Rounding.TOWARD_POSITIVE)
    # (TowardZero or TowardNegative) and X > M_hi: M_hi
    return rounding in (Rounding.TOWARD_ZERO, Rounding.TOWARD_NEGATIVE)


# Flags.


def flags(
    x: Real,
    fmt: Format,
    rounding: Rounding | str,
    saturation: Saturation | str,
    *,
    random_bits: int | None = None,
    random_width: int | None = None,
    nan: NanResult | str = NanResult.MAX,
    tininess: str = "after",
) -> Flags:
    """
    Return what converting a number does to it.

    Parameters
    ----------
    x, fmt, rounding, saturation, random_bits, random_width, nan
        As of `project`.
    tininess : {"after", "before"}, optional
        Whether a number is tiny by its value rounded to the format's precision with
        an unbounded exponent, or by the number itself (IEEE 754-2019, 7.5).

    Returns
    -------
    Flags
        Whether the number changed; was tiny and changed; rounded past the largest
        value of its sign; or has no counterpart at all.

    Raises
    ------
    TypeError, ValueError
        As `project`, and if `tininess` is neither.
    """
    if tininess not in ("after", "before"):
        msg = f"tininess must be 'after' or 'before', got {tininess!r}"
        raise ValueError(msg)
    rounding = Rounding.parse(rounding)
    datum = exact(x)
    code = project(
        datum,
        fmt,
        rounding,
        saturation,
        random_bits=random_bits,
        random_width=random_width,
        nan=nan,
    )
    if not datum.is_finite:
        missing_nan = datum.kind is Kind.NAN and not has_nan(fmt)
        missing_infinity = datum.kind is Kind.INFINITE and not has_infinity(
            fmt, negative=datum.negative
        )
        return Flags(False, False, False, missing_nan or missing_infinity)  # noqa: FBT003
    result = decode(code, fmt)
    inexact = not result.is_finite or result.value != datum.value
    if datum.value == 0:
        return Flags(inexact, False, False, not has_zero(fmt))  # noqa: FBT003
    away = _round_away_rule(rounding, random_bits, random_width)
    rounded = _round(datum.value, fmt, rounding, away)
    tiny = _is_tiny(datum.value, fmt, rounded, away, tininess)
    return Flags(
        inexact=inexact,
        underflow=inexact and tiny,
        # A negative number that an unsigned format lacks is invalid, not too large.
        overflow=(fmt.signed or not datum.negative) and abs(rounded) > finite_values(fmt).high,
        invalid=not fmt.signed and datum.negative and (rounded != 0 or not has_zero(fmt)),
    )


def _is_tiny(x: Fraction, fmt: Format, rounded: Fraction, away: RoundAway, tininess: str) -> bool:
    """IEEE 754-2019, 7.5: tininess after or before rounding."""
    if tininess == "before":
        return abs(x) < _smallest_normal(fmt)
    # A tabulated format has no one precision: there, the rounded value itself counts.
    if fmt.exponent_bits is not None:
        rounded = round_to_precision(x, *precision_bias(fmt), away, subnormals=False)
    return abs(rounded) < _smallest_normal(fmt)


def _smallest_normal(fmt: Format) -> Fraction:
    """Return the smallest positive value that has a hidden bit."""
    if fmt.exponent_bits is None:
        # HiFloat8 below 2**-15 is dot 0000, its denormals; posits have none.
        return power_of_two(-15 if fmt.name == "HIFLOAT8" else -24)
    _, bias = precision_bias(fmt)
    if fmt.subnormals:
        return power_of_two(1 - bias)
    # The lowest binade is an ordinary one, but for the code that is zero.
    return next(value for value in finite_values(fmt).magnitudes if value > 0)
