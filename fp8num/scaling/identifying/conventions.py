"""
How checkpoints are commonly quantised, by no library's name: amax over the largest value.

::

    s = amax / max (float32, or rounded to bfloat16)    codes of x / s, or of x * (1 / s)
                                                        a decoded value times s
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import divide
from fp8num._names import Catalogue
from fp8num.codec import quantize
from fp8num.formats import BFLOAT16
from fp8num.scaled import Descale
from fp8num.scaling.cast import Cast
from fp8num.scaling.catalogue import get_rule
from fp8num.scaling.finders import Amax
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.rule import Rule
from fp8num.scaling.scales import Scales

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fp8num.scaling.scales import Context

__all__ = ["CONVENTIONS", "AmaxOver", "narrow_conventions", "rule_of"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AmaxOver:
    """
    ``s = amax / max``, which is stored; elements are divided by it, or times ``1 / s``.

    Where that is zero, `s` is its type's machine epsilon, as in compressed-tensors.

    Parameters
    ----------
    divides : bool
        Whether elements are divided.
    narrow : bool
        Whether `s` is rounded to bfloat16.
    """

    divides: bool = True
    narrow: bool = False

    @property
    def format(self) -> None:
        """float32, which holds bfloat16 too."""
        return

    def find(self, amax: Floats, context: Context) -> Scales:
        """Return `s`, and what elements are divided by or multiplied."""
        scales = np.asarray(divide(amax, np.float32(float(context.fmt.max))), np.float32)
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
    """
    Return the rule of a name, of those here too.

    Raises
    ------
    ValueError
        If no rule has that name.
    """
    if isinstance(rule, str):
        plain = rule.strip().lower()
        found = CONVENTIONS.get(plain, _NARROW.get(plain))
        if found is not None:
            return found
    return get_rule(rule)
