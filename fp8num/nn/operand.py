"""
An operand of a linear layer's products, and what it is cast to.

::

    forward   Y  = X W^T     x_forward  w_forward      contracts the features in
    dgrad     dX = G W       g_dgrad    w_dgrad                  the features out
    wgrad     dW = G^T X     g_wgrad    x_wgrad                  the batch
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fp8num._arguments import choice
from fp8num.formats import Format, get_format
from fp8num.scaling.catalogue import get_rule
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    from fp8num.accumulate import Accumulator
    from fp8num.scaling.rotation import Rotation

__all__ = ["PRODUCTS", "ROLES", "Operand", "Products"]

#: The operands, two for each product.
ROLES = ("x_forward", "w_forward", "g_dgrad", "w_dgrad", "g_wgrad", "x_wgrad")
#: The products, in the order of `Recipe.accumulators`.
PRODUCTS = ("forward", "dgrad", "wgrad")


@dataclass(frozen=True, slots=True)
class Operand:
    """
    What a tensor is cast to before it is multiplied; nothing, if nothing is given.

    Parameters
    ----------
    rule : str or Rule, optional
        How it is scaled; None rounds to the format without a scale.  A rule with a history is
        delayed.
    format : Format or str, optional
        Of its elements, which have a sign; the default is the rule's own.  Without a rule and
        a format the tensor stays in float32.  Without a rule, what is beyond the range
        saturates in formats of up to 8 bits, and becomes infinite in wider ones.
    axis : {"contracted", "kept"}, optional
        Which axis of the matrix blocks run along.
    source : {"tensor", "forward"}, optional
        What is cast: the tensor in float32; or, of `x_wgrad` and `w_dgrad`, the float32
        values that the forward pass' codes stand for, which are rounded a second time.

    Raises
    ------
    TypeError, ValueError
        If there is no such rule, format or choice, the rule does not take the format, or the
        format has no sign.

    Examples
    --------
    >>> print(Operand("te-current", "E5M2"), Operand(format="BFLOAT16"), Operand())
    te-current E5M2 BFLOAT16 float32
    """

    rule: str | Rule | None = None
    format: str | Format | None = None
    axis: str = "contracted"
    source: str = "tensor"

    def __post_init__(self) -> None:
        """Look the names up."""
        for name, choices in (("axis", ("contracted", "kept")), ("source", ("tensor", "forward"))):
            choice(f"{name} of an operand", getattr(self, name), choices)
        fmt = None if self.format is None else get_format(self.format)
        if self.rule is not None:
            rule = get_rule(self.rule)
            object.__setattr__(self, "rule", rule)
            fmt = rule.choose_format(fmt)
        if fmt is not None and not fmt.signed:
            msg = (
                f"format of an operand must have a sign, got {fmt.name}, in which every negative "
                "number would be lost: nothing is learned; it is for scales"
            )
            raise ValueError(msg)
        object.__setattr__(self, "format", fmt)

    @property
    def is_cast(self) -> bool:
        """Whether anything is done to the tensor."""
        return self.format is not None

    @property
    def is_delayed(self) -> bool:
        """Whether its scale comes from the steps before."""
        return isinstance(self.rule, Rule) and self.rule.history is not None

    @property
    def rotation(self) -> Rotation | None:
        """What is done to the tensor before it is scaled."""
        return self.rule.rotation if isinstance(self.rule, Rule) else None

    @property
    def turns(self) -> bool:
        """Whether the codes are the same whichever axis is contracted, drawn at random or not."""
        rule = self.rule
        if not isinstance(rule, Rule):
            return True
        grain = rule.granularity
        square = grain.kind == "block" and grain.length == grain.height
        random = rule.cast.projection(get_format(self.format or "E4M3FN")).rounding.is_stochastic
        return (grain.kind == "tensor" or square) and rule.rotation is None and not random

    def __str__(self) -> str:
        if not isinstance(self.format, Format):
            return "float32"
        parts = [self.rule.name] if isinstance(self.rule, Rule) else []
        parts += [self.format.name]
        parts += ["along the other axis"] if self.axis == "kept" else []
        parts += ["of the forward codes"] if self.source == "forward" else []
        return " ".join(parts)


class Products(Protocol):
    """What a recipe says of a layer's products."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def scales(self) -> str:
        """Where scales enter: "operand" or "accumulator"."""

    def operand(self, role: str) -> Operand:
        """Return one of `ROLES`."""

    def accumulator(self, name: str) -> Accumulator | str:
        """Return that of one of `PRODUCTS`."""
