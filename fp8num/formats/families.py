"""
Where a family of formats keeps its infinities and NaNs, and which parameters it takes.

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
from typing import TYPE_CHECKING, Any

from fp8num._arguments import flag, integer, member, text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Overflow",
    "Specials",
    "check_name",
    "check_overflow",
    "check_overflow_name",
    "check_parameters",
]

#: The widest format: codes are uint8 up to 8 bits and uint16 up to 16.
MAX_BITS = 16
#: Characters of a name.
MAX_NAME = 200
#: Far beyond any use, and small enough that exponents stay in int64.
MAX_BIAS = 1 << 16


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


def check_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a parametric format, checked, completed and of their types."""
    check_name(given["name"])
    flags = {name: flag(name, given[name]) for name in ("signed", "subnormals")}
    specials = member("specials", given["specials"], Specials)
    exponent_bits = integer("exponent_bits", given["exponent_bits"], 1, MAX_BITS)
    mantissa_bits = integer("mantissa_bits", given["mantissa_bits"], 0, MAX_BITS)
    bias = _default_bias(exponent_bits, specials)
    if given["bias"] is not None:
        bias = integer("bias", given["bias"], -MAX_BIAS, MAX_BIAS)
    bits = flags["signed"] + exponent_bits + mantissa_bits
    if not 2 <= bits <= MAX_BITS:
        msg = f"a format must have 2 to {MAX_BITS} bits in all, got {bits}"
        raise ValueError(msg)
    checked = {
        "exponent_bits": exponent_bits,
        "mantissa_bits": mantissa_bits,
        "bias": bias,
        "specials": specials,
    }
    _check_combination(checked, **flags)
    return checked | flags | {"overflow": check_overflow(given["overflow"], specials)}


def _default_bias(exponent_bits: int, specials: Specials) -> int:
    """Return the family's bias: IEEE's, or one more where the top binade holds numbers."""
    half: int = 1 << (exponent_bits - 1)
    return half if specials is Specials.FNUZ or specials.is_p3109 else half - 1


def _check_combination(parameters: dict[str, Any], *, signed: bool, subnormals: bool) -> None:
    """Refuse parameters that leave a family no room for what it needs."""
    specials: Specials = parameters["specials"]
    mantissa_bits: int = parameters["mantissa_bits"]
    exponent_bits: int = parameters["exponent_bits"]
    msg = ""
    if specials is Specials.IEEE and mantissa_bits == 0:
        msg = "specials 'ieee' needs mantissa_bits of at least 1, to tell NaN from infinity"
    elif specials is Specials.FNUZ and not signed:
        msg = "specials 'fnuz' needs signed=True, its NaN is the code of -0"
    elif specials is Specials.FNUZ and mantissa_bits == 0 and not subnormals:
        msg = "specials 'fnuz' needs a zero: subnormals=True or mantissa_bits of at least 1"
    elif specials.is_p3109 and not subnormals:
        msg = f"specials {specials.value!r} needs subnormals=True, as IEEE P3109 defines it"
    else:
        codes = 1 << (exponent_bits + mantissa_bits)
        reserved = {
            Specials.IEEE: 1 << mantissa_bits,
            Specials.FN: 1,
            Specials.EXTENDED: 1 if signed else 2,
            Specials.FINITE: 0 if signed else 1,
        }
        first_normal = (1 << mantissa_bits) if subnormals else int(mantissa_bits > 0)
        if codes - reserved.get(specials, 0) <= first_normal:
            msg = (
                f"exponent_bits={exponent_bits}, mantissa_bits={mantissa_bits} with specials "
                f"{specials.value!r} leave no code for a normal number; use more exponent bits"
            )
    if msg:
        raise ValueError(msg)


def check_name(name: object) -> None:
    """Refuse what cannot name a format; messages hold the name, so it has an end."""
    if len(found := text("name", name, empty=False)) > MAX_NAME:
        msg = f"name must have at most {MAX_NAME} characters, got {len(found)}"
        raise ValueError(msg)


def check_overflow(value: object, specials: Specials) -> Overflow:
    """Return the result of overflow, the family's by default."""
    if value is None:
        if specials.has_infinity:
            return Overflow.INFINITY
        # P3109 v4.0 gives its finite formats the largest value; a later draft gives NaN.
        return Overflow.NAN if specials in {Specials.FN, Specials.FNUZ} else Overflow.MAX
    return check_overflow_name(value, has_infinity=specials.has_infinity, has_nan=specials.has_nan)


def check_overflow_name(value: object, *, has_infinity: bool, has_nan: bool = True) -> Overflow:
    """Return the result of overflow that was asked for, if the format has it."""
    overflow = member("overflow", value, Overflow)
    missing = {Overflow.INFINITY: not has_infinity, Overflow.NAN: not has_nan}
    if missing.get(overflow, False):
        msg = f"overflow cannot be {overflow.value!r}: the format has none; use 'max'"
        raise ValueError(msg)
    return overflow
