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

from fp8num._arguments import choice, flag, integer, refuse, refuse_kind, text
from fp8num._records import as_it_is, entries
from fp8num.accumulate import ACCUMULATORS, Accumulator
from fp8num.formats import Format, format_from_dict, get_format
from fp8num.nn._takes import check_products
from fp8num.nn.operand import PRODUCTS, ROLES, Operand
from fp8num.nn.products import CORRECTLY_ROUNDED, find_accumulator
from fp8num.scaling.catalogue import RULES
from fp8num.scaling.delayed import MOST_STEPS, DelayedState, start
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["PRODUCTS", "ROLES", "Operand", "Recipe"]

_MARGINS = (-126, 126)  #: powers of two that float32 has
_CHOICES = {
    "scales": ("operand", "accumulator"),
    "straight_through": ("pass", "clip"),
    "algorithm": ("max", "most_recent"),
}
_FLOAT32 = Operand()
#: Which of a stored rule's or format's forms by parts an entry may have.
_BY_PARTS = {"rule": "rule", "format": "format", "output": "format"}


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
        Steps that delayed scaling remembers, at most 2**20.
    margin : int, optional
        Powers of two that it leaves free.
    algorithm : {"max", "most_recent"}, optional
        What it makes of the steps.
    output : Format or str, optional
        What Y, dX and dW are rounded to; None is float32.
    saturation_is_overflow : bool, optional
        Whether a step in which an element saturated is to be skipped by a loss scaler.
        Elements of operands that are rotated before they are cast are not looked at.
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
        self._check_settings()
        for role in ROLES:
            if not isinstance(self.operand(role), Operand):
                refuse_kind(f"{role} of a recipe", "an Operand", self.operand(role))
            if self.operand(role).source == "forward" and role not in {"w_dgrad", "x_wgrad"}:
                msg = (
                    f"{role} must be cast from the tensor, got source='forward', which x_wgrad "
                    "and w_dgrad alone can have"
                )
                raise ValueError(msg)
        if self.output is not None:
            object.__setattr__(self, "output", get_format(self.output))
        self._check_rotations()
        self._check_accumulators()
        self._check_delayed()

    def _check_settings(self) -> None:
        """Check what is neither a cast nor an accumulator, whether casts use it or not."""
        for name, needed in (("name", True), ("source", False)):
            found = text(f"{name} of a recipe", getattr(self, name))
            if needed and not found.strip():
                refuse(f"{name} of a recipe", "text that is not empty", found)
        for name, choices in _CHOICES.items():
            choice(f"{name} of a recipe", getattr(self, name), choices)
        for name, low, high in (("length", 1, MOST_STEPS), ("margin", *_MARGINS)):
            value = integer(f"{name} of a recipe", getattr(self, name), low, high)
            object.__setattr__(self, name, value)
        overflow = flag("saturation_is_overflow of a recipe", self.saturation_is_overflow)
        object.__setattr__(self, "saturation_is_overflow", overflow)

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
            wanted = f"one, or one each of {', '.join(PRODUCTS)}"
            refuse("accumulators", wanted, given, kind=TypeError)
        for accumulator in given:
            find_accumulator(accumulator)
        object.__setattr__(self, "accumulators", tuple(given))
        check_products(self)

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

        Raises
        ------
        ValueError
            If there is no such role.
        """
        found: Operand = getattr(self, choice("role", role, ROLES))
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

        Raises
        ------
        ValueError
            If there is no such product.
        """
        assert isinstance(self.accumulators, tuple)
        return self.accumulators[PRODUCTS.index(choice("name", name, PRODUCTS))]

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

        Raises
        ------
        ValueError
            If there is no such tensor.
        """
        cast = self._delayed(choice("tensor", tensor, ("x", "w", "g")))
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
        return _describe(self)

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
            If it describes no recipe; the entry that is at fault is named.
        """
        arguments = _read(description, [part.name for part in fields(cls)])
        try:
            return cls(**arguments)
        except TypeError as error:
            msg = f"a recipe's description must be of a recipe, got one that is none: {error}"
            raise ValueError(msg) from error

    def __str__(self) -> str:
        """Return the table as text."""
        return f"{self.name}\n{self.to_frame().to_string(index=False)}"


# As JSON can hold it, and back.


def _describe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a dictionary that JSON can hold."""
    found: dict[str, Any] = {}
    for part in fields(recipe):
        value = getattr(recipe, part.name)
        if isinstance(value, Operand):
            value = {
                "rule": _stored_rule(value.rule),
                "format": _stored_format(value.format),
                "axis": value.axis,
                "source": value.source,
            }
        elif part.name == "accumulators":
            value = [_stored_accumulator(one) for one in value]
        elif part.name == "output":
            value = _stored_format(value)
        found[part.name] = value
    return found


def _read(description: object, names: Sequence[str]) -> dict[str, Any]:
    """Return the arguments that a description stands for; ValueError says what is wrong with it."""
    what = "a recipe's description"
    arguments = entries(what, description, dict.fromkeys(names, as_it_is))
    for role in ROLES:
        arguments[role] = _operand(f"{role} of {what}", arguments[role])
    units = arguments["accumulators"]
    if not isinstance(units, list | tuple) or not all(isinstance(one, str) for one in units):
        refuse(f"accumulators of {what}", "a list of names", units)
    arguments["accumulators"] = tuple(units)
    arguments["output"] = _part(f"output of {what}", "output", arguments["output"])
    return arguments


def _operand(what: str, description: object) -> Operand:
    """Return the operand of a description."""
    found = entries(what, description, {one.name: as_it_is for one in fields(Operand)})
    parts = {name: _part(f"{name} of {what}", name, part) for name, part in found.items()}
    try:
        return Operand(**parts)
    except (TypeError, ValueError) as error:
        msg = f"{what} must be an operand, got one that is none: {error}"
        raise ValueError(msg) from error


def _part(what: str, name: str, part: object) -> Any:  # noqa: ANN401 - a part of any kind
    """Return a rule or a format that is stored by its parts, anything else as it is."""
    if not isinstance(part, Mapping):
        return part
    kind = _BY_PARTS.get(name)
    if kind is None or set(part) != {kind} or not isinstance(part[kind], Mapping):
        wanted = "text" if kind is None else f"a name, None or {{{kind!r}: its parts}}"
        refuse(what, wanted, dict(part))
    try:
        return _stored_part(part)
    except (TypeError, ValueError) as error:
        msg = f"{what} must be a {kind} by its parts, got one that is none: {error}"
        raise ValueError(msg) from error


def _stored_rule(rule: str | Rule | None) -> object:
    if not isinstance(rule, Rule):
        return rule
    return rule.name if RULES.get(rule.name) == rule else {"rule": rule.to_dict()}


def _stored_format(fmt: str | Format | None) -> object:
    if not isinstance(fmt, Format):
        return fmt
    try:
        known = get_format(fmt.name) == fmt
    except (TypeError, ValueError):
        known = False
    return fmt.name if known else {"format": fmt.to_dict()}


def _stored_accumulator(accumulator: Accumulator | str) -> str:
    if isinstance(accumulator, str):
        return accumulator
    if ACCUMULATORS.get(accumulator.name) != accumulator:
        msg = f"only accumulators of the catalogue can be stored, got {accumulator.name!r}"
        raise ValueError(msg)
    return accumulator.name


def _stored_part(part: Any) -> Any:  # noqa: ANN401 - a part of any kind
    """Return a rule or a format that was stored by its parts."""
    if isinstance(part, Mapping):
        return Rule.from_dict(part["rule"]) if "rule" in part else format_from_dict(part["format"])
    return part
