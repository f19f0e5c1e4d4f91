"""
The formats of IEEE P3109 by name: ``Binary8p3se`` has 8 bits, precision 3, is signed, extended.

The name gives the bitwidth K, the precision P (hidden bit counted), the sign
(``s`` or ``u``) and the domain (``e`` has infinities, ``f`` has none).
"""

from __future__ import annotations

import re
from functools import lru_cache

from fp8num._text import brief
from fp8num.formats.families import Specials
from fp8num.formats.format import Format

__all__ = ["p3109_format", "p3109_names"]

_NAME = re.compile(r"binary(\d{1,2})p(\d{1,2})([su])([ef])", re.IGNORECASE)
_SOURCE = "IEEE P3109 Interim Report v4.0 (2026), section 3"


@lru_cache(maxsize=512)
def p3109_format(name: str) -> Format | None:
    """
    Return the format that a P3109 name stands for.

    Parameters
    ----------
    name : str
        A name such as ``"binary8p3se"``, in any case.

    Returns
    -------
    Format or None
        None if `name` has not the form of a P3109 name.

    Raises
    ------
    ValueError
        If it has, but no format of 3 to 16 bits has these parameters.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    bits, precision = int(match[1]), int(match[2])
    signed = match[3] in "sS"
    extended = match[4] in "eE"
    most = bits - 1 if signed else bits
    if not 3 <= bits <= 16 or not 1 <= precision <= most:
        msg = (
            f"{brief(name)} must have a bitwidth of 3 to 16 and a precision from 1 to the bitwidth "
            f"({'less one, as it is signed' if signed else 'included, as it is unsigned'}), "
            f"got bitwidth {bits} and precision {precision}"
        )
        raise ValueError(msg)
    canonical = f"Binary{bits}p{precision}{'s' if signed else 'u'}{'e' if extended else 'f'}"
    if name != canonical:
        return p3109_format(canonical)
    return Format(
        name=canonical,
        exponent_bits=bits - precision + (0 if signed else 1),
        mantissa_bits=precision - 1,
        specials=Specials.EXTENDED if extended else Specials.FINITE,
        signed=signed,
        source=_SOURCE,
    )


def p3109_names(bits: int) -> tuple[str, ...]:
    """Return the names of all P3109 formats of a bitwidth, by precision, sign and domain."""
    return tuple(
        f"Binary{bits}p{precision}{sign}{domain}"
        for sign in "su"
        for precision in range(1, bits + (sign == "u"))
        for domain in "ef"
    )
