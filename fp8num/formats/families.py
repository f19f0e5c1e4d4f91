"""
Where a family of formats keeps its infinities and NaNs.

::

    code   = [sign] exponent field  mantissa field
    IEEE     top exponent field: mantissa 0 is infinity, anything else NaN
    FN       the all-ones magnitude is NaN; no infinity
    FNUZ     the code of -0 is the only NaN; no infinity
    EXTENDED IEEE P3109: one NaN, one zero, infinities just below NaN and at the end
    FINITE   IEEE P3109: one NaN, one zero, no infinity
    NONE     every code is a finite number
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Overflow", "Specials"]


class Specials(Enum):
    """Which codes stand for something other than a finite number."""

    IEEE = "ieee"  #: top exponent: zero mantissa is infinity, the rest is NaN
    FN = "fn"  #: the all-ones magnitude is NaN; there is no infinity
    FNUZ = "fnuz"  #: the code of -0 is the only NaN; there is no infinity
    EXTENDED = "extended"  #: P3109's Extended domain: one NaN, infinities, no -0
    FINITE = "finite"  #: P3109's Finite domain: one NaN, no infinity, no -0
    NONE = "none"  #: every code is a finite number

    @property
    def has_infinity(self) -> bool:
        """Whether formats of this family have a code for infinity."""
        return self in {Specials.IEEE, Specials.EXTENDED}

    @property
    def has_nan(self) -> bool:
        """Whether formats of this family have a code for NaN."""
        return self is not Specials.NONE

    @property
    def has_signed_zero(self) -> bool:
        """Whether signed formats of this family have a code for -0."""
        return self in {Specials.IEEE, Specials.FN, Specials.NONE}

    @property
    def is_p3109(self) -> bool:
        """Whether IEEE P3109 defines this family."""
        return self in {Specials.EXTENDED, Specials.FINITE}


class Overflow(Enum):
    """What a finite number beyond the range becomes under ``SatNone``."""

    INFINITY = "infinity"  #: infinity of its sign
    NAN = "nan"  #: NaN, of its sign where the format has both
    MAX = "max"  #: the largest finite value of its sign
