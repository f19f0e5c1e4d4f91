"""
Rules by no library's name, and the ways in which a dump may hold a rule's scales.

::

    s = amax / max (float32, or bfloat16)   codes of x / s, or of x * (1 / s): how many quantise
    s, 1 / s, what elements are multiplied by, times the tensor's scale: how scales are stored
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import divide, multiply
from fp8num._names import Catalogue
from fp8num.codec import quantize
from fp8num.formats import BFLOAT16
from fp8num.scaled import Descale
from fp8num.scaling.cast import Cast
from fp8num.scaling.catalogue import get_rule
from fp8num.scaling.finders import Amax
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.rule import Rule
from fp8num.scaling.scales import Scales, TwoLevel, maximum, stored_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fp8num.formats import Format
    from fp8num.scaling.identifying.dump import Reading
    from fp8num.scaling.scales import Context

__all__ = [
    "CONVENTIONS",
    "AmaxOver",
    "Stored",
    "may_be_same",
    "narrow_conventions",
    "opposite",
    "rule_of",
    "same",
    "tensor_scales",
    "transforms",
]

Floats = npt.NDArray[np.float32]
#: Scales that are compared before all are.
_FEW = 256


@dataclass(frozen=True, slots=True)
class AmaxOver:
    """``s = amax / max``, which is stored; elements are divided by it, or times ``1 / s``.

    Where that is zero, `s` is its type's machine epsilon, as in compressed-tensors.
    """

    divides: bool = True  #: whether elements are divided
    narrow: bool = False  #: whether `s` is rounded to bfloat16

    @property
    def format(self) -> None:
        """float32, which holds bfloat16 too."""
        return

    def find(self, amax: Floats, context: Context) -> Scales:
        """Return `s`, and what elements are divided by or multiplied."""
        scales = np.asarray(divide(amax, maximum(context.fmt)), np.float32)
        if self.narrow:
            scales = np.asarray(quantize(scales, BFLOAT16), np.float32)
        epsilon = np.float32(2.0**-7 if self.narrow else 2.0**-23)
        zero = np.ascontiguousarray(scales).view(np.uint32).reshape(scales.shape) == 0
        scales = np.where(zero, epsilon, scales)
        return Scales(scales, scales if self.divides else divide(np.float32(1), scales))


def _rule(name: str, grain: str, scale: AmaxOver, cast: Cast | None = None) -> Rule:
    return Rule(
        name=name,
        granularity=Granularity.parse(grain),
        scale=scale,
        finder=Amax("ignore"),
        formats=("E4M3FN", "E4M3FNUZ", "E5M2", "E5M2FNUZ"),
        way_in=Descale.DIVIDE if scale.divides else Descale.MULTIPLY,
        cast=Cast() if cast is None else cast,
        source="compressed-tensors, vLLM and others: amax / max",
    )


#: By name; where a library's rule is the same but for a floor under amax, there is none.
CONVENTIONS: Mapping[str, Rule] = Catalogue(
    {
        rule.name: rule
        for rule in (
            _rule("amax-divide-tensor", "tensor", AmaxOver()),
            _rule("amax-multiply-tensor", "tensor", AmaxOver(divides=False)),
            _rule("amax-divide-row", "row", AmaxOver()),
            _rule("amax-multiply-row", "row", AmaxOver(divides=False)),
            _rule("amax-divide-128x128", "128x128", AmaxOver()),
        )
    },
    "conventions",
)


def _narrow(rule: Rule) -> tuple[Rule, ...]:
    """Return a rule with scales of bfloat16, and with quotients of it too."""
    assert isinstance(rule.scale, AmaxOver)
    scale = replace(rule.scale, narrow=True)
    first = replace(rule, name=f"{rule.name}-bf16", scale=scale)
    second = replace(first, name=f"{rule.name}-bf16-quotient", cast=Cast(through_bfloat16=True))
    return (first, second) if scale.divides else (first,)


_NARROW = {each.name: each for rule in CONVENTIONS.values() for each in _narrow(rule)}


def narrow_conventions() -> tuple[Rule, ...]:
    """Return the rules whose scales are bfloat16; what float32 scales are not worth trying for."""
    return tuple(_NARROW.values())


def rule_of(rule: str | Rule) -> Rule:
    """Return the rule of a name, of those here too."""
    if isinstance(rule, str):
        plain = rule.strip().lower()
        found = CONVENTIONS.get(plain, _NARROW.get(plain))
        if found is not None:
            return found
    return get_rule(rule)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Scales as a dump would hold them if it stored a rule's in some way."""

    name: str  #: the way; empty if it is the library's own
    values: Floats  #: one for each block
    codes: npt.NDArray[np.uint8] | None  #: if the library's own scales are codes
    format: Format | None  #: of the codes
    descale: Descale  #: what decoded values and these do to each other


def opposite(descale: Descale | str) -> Descale:
    """Return multiplication for division, and the other way round."""
    return Descale.DIVIDE if Descale(descale) is Descale.MULTIPLY else Descale.MULTIPLY


def transforms(
    rule: Rule, fmt: Format, scales: Scales, tensor_amax: np.float32 | Floats
) -> list[Stored]:
    """Return a rule's scales in the ways that they may be stored."""
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
    """Return where stored scales are the expected ones, bit for bit."""
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
