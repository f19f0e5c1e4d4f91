"""
A recipe: what every operand of a linear layer's three products is cast to.

::

    forward   Y  = X W^T     x_forward  w_forward      contracts the features in
    dgrad     dX = G W       g_dgrad    w_dgrad                  the features out
    wgrad     dW = G^T X     g_wgrad    x_wgrad                  the batch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from fp8num.accumulate import Accumulator
from fp8num.formats import Format, get_format
from fp8num.nn._stored import read, stored_accumulator, stored_format, stored_rule
from fp8num.nn.gemm import CORRECTLY_ROUNDED, find_accumulator, takes_values
from fp8num.scaling.catalogue import get_rule
from fp8num.scaling.delayed import LENGTHS, DelayedState, start
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    import pandas as pd

    from fp8num.scaling.rotation import Rotation

__all__ = ["PRODUCTS", "ROLES", "Operand", "Recipe"]

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
        How it is scaled; None rounds to the format without a scale.
    format : Format or str, optional
        Of its elements; the default is the rule's own.  Without a rule and a format the
        tensor stays in float32.
    axis : {"contracted", "kept"}, optional
        Which axis of the matrix blocks run along.
    source : {"tensor", "forward"}, optional
        What is cast: the tensor in float32; or, of `x_wgrad` and `w_dgrad`, the float32
        values that the forward pass' codes stand for, which are rounded a second time.

    Raises
    ------
    TypeError, ValueError
        If there is no such rule, format or choice, or the rule does not take the format.

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
            if getattr(self, name) not in choices:
                shown = " or ".join(map(repr, choices))
                msg = f"{name} of an operand must be {shown}, got {getattr(self, name)!r}"
                raise ValueError(msg)
        fmt = None if self.format is None else get_format(self.format)
        if self.rule is not None:
            rule = get_rule(self.rule)
            object.__setattr__(self, "rule", rule)
            fmt = rule.choose_format(fmt)
        object.__setattr__(self, "format", fmt)

    @property
    def is_cast(self) -> bool:
        """Whether anything is done to the tensor."""
        return self.format is not None

    @property
    def is_delayed(self) -> bool:
        """Whether its scale comes from the steps before."""
        return isinstance(self.rule, Rule) and self.rule.name in LENGTHS

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


_FLOAT32 = Operand()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """
    How a linear layer is trained: casts, accumulators, and what goes with them.

    Master weights, bias, its gradient, and what the optimizer keeps stay in float32.

    Parameters
    ----------
    name : str
        What it is called.
    x_forward, w_forward, g_dgrad, w_dgrad, g_wgrad, x_wgrad : Operand, optional
        The casts.  Each is made from the tensor in float32, but a cast that is that of the
        forward pass, or of dgrad for the gradient, is made once if its codes do not depend
        on the axis that is contracted.
    accumulators : tuple of (Accumulator or str), optional
        Of forward, dgrad and wgrad; or one for all.
    scales : {"operand", "accumulator"}, optional
        Where scales enter under ``"correctly-rounded"``, see `fp8num.nn.product`.
    straight_through : {"pass", "clip"}, optional
        The derivative of a cast: 1; or 0 for the elements of X and W that saturated in the
        forward pass.
    length : int, optional
        Steps that delayed scaling remembers.
    margin : int, optional
        Powers of two that it leaves free.
    algorithm : {"max", "most_recent"}, optional
        What it makes of the steps.
    output : Format or str, optional
        What Y, dX and dW are rounded to; None is float32.
    saturation_is_overflow : bool, optional
        Whether a step in which an element saturated is to be skipped by a loss scaler.
    source : str, optional
        The document or code it was taken from.

    Raises
    ------
    TypeError, ValueError
        If a part is not what it must be, or parts contradict each other.

    Examples
    --------
    One's own is composed, or a recipe with something replaced:

    >>> import dataclasses
    >>> from fp8num.nn.recipes import RECIPES
    >>> hopper = dataclasses.replace(
    ...     RECIPES["te-current"], name="te-current-hopper", accumulators="hopper"
    ... )
    >>> hopper.accumulators
    ('hopper', 'hopper', 'hopper')
    """

    name: str
    x_forward: Operand = _FLOAT32
    w_forward: Operand = _FLOAT32
    g_dgrad: Operand = _FLOAT32
    w_dgrad: Operand = _FLOAT32
    g_wgrad: Operand = _FLOAT32
    x_wgrad: Operand = _FLOAT32
    accumulators: tuple[Accumulator | str, ...] | Accumulator | str = CORRECTLY_ROUNDED
    scales: str = "operand"
    straight_through: str = "pass"
    length: int = 1024
    margin: int = 0
    algorithm: str = "max"
    output: str | Format | None = None
    saturation_is_overflow: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        """Look names up, and refuse what does not go together."""
        if not isinstance(self.name, str) or not self.name:
            msg = f"name of a recipe must be text that is not empty, got {self.name!r}"
            raise ValueError(msg)
        for role in ROLES:
            if not isinstance(self.operand(role), Operand):
                msg = f"{role} of a recipe must be an Operand, got {self.operand(role)!r:.60}"
                raise TypeError(msg)
            if self.operand(role).source == "forward" and role not in ("w_dgrad", "x_wgrad"):
                msg = (
                    f"{role} must be cast from the tensor, got source='forward', which x_wgrad "
                    "and w_dgrad alone can have"
                )
                raise ValueError(msg)
        for name, choices in (
            ("scales", ("operand", "accumulator")),
            ("straight_through", ("pass", "clip")),
        ):
            if getattr(self, name) not in choices:
                shown = " or ".join(map(repr, choices))
                msg = f"{name} of a recipe must be {shown}, got {getattr(self, name)!r}"
                raise ValueError(msg)
        if self.output is not None:
            object.__setattr__(self, "output", get_format(self.output))
        self._check_rotations()
        self._check_accumulators()
        self._check_delayed()

    def _check_rotations(self) -> None:
        """Refuse a product of which one operand is rotated, and masks of rotated elements."""
        for name, left, right in zip(PRODUCTS, ROLES[::2], ROLES[1::2], strict=True):
            if self.operand(left).rotation != self.operand(right).rotation:
                msg = (
                    f"{left} and {right} must be rotated alike, or {name} is not their product, "
                    f"got {self.operand(left)} and {self.operand(right)}"
                )
                raise ValueError(msg)
        if self.straight_through == "clip" and self.x_forward.rotation is not None:
            msg = "straight_through must be 'pass' where x_forward and w_forward are rotated"
            raise ValueError(msg)

    def _check_accumulators(self) -> None:
        """Make one for each product of what was given."""
        one = isinstance(self.accumulators, str | Accumulator)
        given: Any = (self.accumulators,) * 3 if one else self.accumulators
        if not isinstance(given, Sequence) or len(given) != 3:
            msg = f"accumulators must be one, or one each of {', '.join(PRODUCTS)}, got {given!r}"
            raise TypeError(msg)
        for name, accumulator, left, right in zip(
            PRODUCTS, given, ROLES[::2], ROLES[1::2], strict=True
        ):
            unit = find_accumulator(accumulator)
            plain = [role for role in (left, right) if not self.operand(role).is_cast]
            if plain and unit is not None and not takes_values(unit):
                msg = (
                    f"accumulator of {name} must be {CORRECTLY_ROUNDED!r} or 'blas-float32' with "
                    f"{' and '.join(plain)} in float32, got {unit.name!r}, which multiplies codes"
                )
                raise ValueError(msg)
        object.__setattr__(self, "accumulators", tuple(given))

    def _check_delayed(self) -> None:
        """Refuse two delayed casts of one tensor that would not share a state."""
        for tensor in "xwg":
            cast = self._delayed(tensor)
            if len(set(cast)) > 1:
                msg = (
                    f"delayed casts of {tensor} must be alike, as they share one state, got "
                    f"{' and '.join(str(operand) for operand in cast)}"
                )
                raise ValueError(msg)
            if cast:
                self.start(tensor)

    def _delayed(self, tensor: str) -> list[Operand]:
        """Return a tensor's delayed casts."""
        found = [self.operand(role) for role in ROLES if role[0] == tensor]
        return [operand for operand in found if operand.is_delayed]

    def operand(self, role: str) -> Operand:
        """
        Return the cast of an operand.

        Parameters
        ----------
        role : str
            One of `ROLES`.

        Returns
        -------
        Operand
            The cast.
        """
        found: Operand = getattr(self, role)
        return found

    def accumulator(self, name: str) -> Accumulator | str:
        """
        Return the accumulator of a product.

        Parameters
        ----------
        name : str
            One of `PRODUCTS`.

        Returns
        -------
        Accumulator or str
            As it was given.
        """
        assert isinstance(self.accumulators, tuple)
        return self.accumulators[PRODUCTS.index(name)]

    def start(self, tensor: str) -> DelayedState | None:
        """
        Return the state that a tensor's delayed scaling starts from.

        Parameters
        ----------
        tensor : str
            ``"x"``, ``"w"`` or ``"g"``.

        Returns
        -------
        DelayedState or None
            None if its scale is not delayed.
        """
        cast = self._delayed(tensor)
        if not cast:
            return None
        rule, fmt = cast[0].rule, cast[0].format
        assert isinstance(rule, Rule)
        return start(rule, fmt, length=self.length, margin=self.margin, algorithm=self.algorithm)

    def to_frame(self) -> pd.DataFrame:
        """
        Return a table of the operands.

        Returns
        -------
        pandas.DataFrame
            A row for each: product, operand, rule, format, granularity, scale format,
            rounding, accumulator.
        """
        import pandas as pd

        return pd.DataFrame([self._row(role) for role in ROLES])

    def _row(self, role: str) -> dict[str, str]:
        operand, name = self.operand(role), role.split("_")[1]
        rule, unit = operand.rule, self.accumulator(name)
        row = {"product": name, "operand": role[0].upper(), "cast": str(operand)}
        if isinstance(rule, Rule):
            scale = "float32" if rule.scale.format is None else rule.scale.format.name
            rotated = "" if rule.rotation is None else ", rotated"
            row |= {"granularity": f"{rule.granularity}{rotated}", "scale": scale}
        else:
            row |= {"granularity": "-", "scale": "-"}
        return row | {"accumulator": unit if isinstance(unit, str) else unit.name}

    def to_dict(self) -> dict[str, Any]:
        """
        Return the recipe as a dictionary that JSON can hold; see `from_dict`.

        Raises
        ------
        ValueError
            If an accumulator is none of the catalogue.
        """
        found: dict[str, Any] = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, Operand):
                value = {
                    "rule": stored_rule(value.rule),
                    "format": stored_format(value.format),
                    "axis": value.axis,
                    "source": value.source,
                }
            elif part.name == "accumulators":
                value = [stored_accumulator(one) for one in value]
            elif part.name == "output":
                value = stored_format(value)
            found[part.name] = value
        return found

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Recipe:
        """
        Return the recipe that `to_dict` described.

        Parameters
        ----------
        description : mapping
            What `to_dict` returned.

        Returns
        -------
        Recipe
            An equal one.

        Raises
        ------
        ValueError
            If it describes no recipe.
        """
        try:
            arguments = dict(description)
            for role in ROLES:
                arguments[role] = Operand(
                    **{name: read(part) for name, part in description[role].items()}
                )
            arguments["accumulators"] = tuple(description["accumulators"])
            arguments["output"] = read(description["output"])
            return cls(**arguments)
        except (KeyError, TypeError, AttributeError) as error:
            msg = f"a recipe must be described as to_dict() does, got one with {error}"
            raise ValueError(msg) from error

    def __str__(self) -> str:
        """Return the table as text."""
        return f"{self.name}\n{self.to_frame().to_string(index=False)}"
