"""
What of a scale is stored, and whether a dump's scales are the expected ones.

::

    s           as the rule's library stores it, its inverse, what elements are multiplied by
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import divide, multiply
from fp8num.codec import decode
from fp8num.formats import E8M0FNU, Format
from fp8num.scaled import Descale
from fp8num.scaling.scales import POWERS, TwoLevel

if TYPE_CHECKING:
    from fp8num.scaling.identifying.evidence import Reading
    from fp8num.scaling.rule import Rule
    from fp8num.scaling.scales import Scales

__all__ = [
    "Stored",
    "may_be_same",
    "opposite",
    "same",
    "stored_values",
    "tensor_scales",
    "transforms",
]

Floats = npt.NDArray[np.float32]
#: Scales that are compared before all are.
_FEW = 256


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """
    Scales as a dump would hold them if it stored a rule's in some way.

    Parameters
    ----------
    name : str
        The way; empty if it is the library's own.
    values : ndarray of float32
        One for each block.
    codes : ndarray of uint8, optional
        If the library's own scales are codes.
    format : Format, optional
        Of the codes.
    descale : Descale
        What decoded values and these do to each other.
    """

    name: str
    values: Floats
    codes: npt.NDArray[np.uint8] | None
    format: Format | None
    descale: Descale


def stored_values(stored: npt.NDArray[Any], fmt: Format | None) -> Floats:
    """Return what stored scales stand for, as float32."""
    if fmt is None:
        return np.asarray(stored, np.float32)
    if fmt == E8M0FNU:
        return POWERS.take(stored)
    values: Floats = decode(stored, fmt)
    return values


def opposite(descale: Descale | str) -> Descale:
    """Return multiplication for division, and the other way round."""
    return Descale.DIVIDE if Descale(descale) is Descale.MULTIPLY else Descale.MULTIPLY


def transforms(
    rule: Rule, fmt: Format, scales: Scales, tensor_amax: np.float32 | Floats
) -> list[Stored]:
    """
    Return a rule's scales in the ways that they may be stored.

    Parameters
    ----------
    rule : Rule
        The rule.
    fmt : Format
        Of the elements.
    scales : Scales
        What it found.
    tensor_amax : float32
        Of two-level rules, the tensor's largest magnitude, or its rows'.

    Returns
    -------
    list of Stored
        The library's own way first.
    """
    own = rule.scale.format
    values = stored_values(scales.stored, own)
    one = np.float32(1)
    way_out, other = Descale(rule.way_out), opposite(rule.way_out)
    codes = None if own is None else np.asarray(scales.stored, np.uint8)
    found = [Stored("", values, codes, own, way_out)]
    if isinstance(rule.scale, TwoLevel) and rule.is_two_level:
        amax, top = np.asarray(tensor_amax), rule.scale.bound(fmt)
        if rule.scale.quotients:
            whole = multiply(values, divide(amax, top))
        else:
            whole = multiply(multiply(values, amax), np.float32(1 / float(top)))
        found.append(Stored("times the tensor's scale", whole, None, None, way_out))
        found.append(
            Stored("the inverse, with the tensor's scale", divide(one, whole), None, None, other)
        )
        return found
    multiplies = Descale(rule.way_in) is way_out is Descale.MULTIPLY
    if multiplies and getattr(rule.scale, "inverts", True):
        name = "what elements are multiplied by on the way in"
        found.append(Stored(name, np.asarray(scales.factor, np.float32), None, None, other))
    found.append(Stored("the inverse", divide(one, values), None, None, other))
    return found


def tensor_scales(amax: np.float32 | Floats, top: float) -> dict[str, Floats]:
    """Return the ways to store a two-level tensor scale, by name."""
    wide = np.asarray(amax, np.float32)
    return {
        "amax": wide,
        f"amax / {top:g}": divide(wide, np.float32(top)),
        f"amax * float32(1 / {top:g})": multiply(wide, np.float32(1 / top)),
        f"{top:g} / amax": divide(np.float32(top), wide),
    }


def same(
    reading: Reading, stored: Stored, arranged: tuple[npt.NDArray[Any], ...]
) -> npt.NDArray[np.bool_]:
    """
    Return where stored scales are the expected ones, bit for bit.

    Parameters
    ----------
    reading : Reading
        How the dump's scales are read.
    stored : Stored
        What they should be.
    arranged : tuple of ndarray
        The reading's arrays with one entry per block.

    Returns
    -------
    ndarray of bool
        One for each block.  Codes are compared as codes; among float32, NaN is NaN.
    """
    if stored.codes is not None and reading.format == stored.format and len(arranged) == 2:
        return np.asarray(arranged[1] == stored.codes)
    a = np.ascontiguousarray(arranged[0]).view(np.uint32)
    b = np.ascontiguousarray(stored.values).view(np.uint32)
    infinity, mask = np.uint32(0x7F800000), np.uint32(0x7FFFFFFF)
    equal: npt.NDArray[np.bool_] = (a == b) | (((a & mask) > infinity) & ((b & mask) > infinity))
    return equal.reshape(stored.values.shape)


def may_be_same(reading: Reading, stored: Stored, arranged: tuple[npt.NDArray[Any], ...]) -> bool:
    """Return whether the first few stored scales are the expected ones; see `same`."""
    few = replace(
        stored,
        values=stored.values.reshape(-1)[:_FEW],
        codes=None if stored.codes is None else stored.codes.reshape(-1)[:_FEW],
    )
    flat = tuple(_first(array) for array in arranged)
    return bool(same(reading, few, flat).all())


def _first(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the first few elements in C order, without a copy of all of them."""
    while array.ndim > 1 and len(array) > 1 and array[0].size >= _FEW:
        array = array[0]
    return np.ascontiguousarray(array[: _FEW + 1] if array.ndim else array).reshape(-1)[:_FEW]
