"""
A rule: how scales are found, how they are applied, and where they enter a product.

::

    x --> (rotate) --> block's magnitude --> scale --> x * factor --> cast --> codes
           rotation     finder               scale     way_in         cast
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from fp8num._records import arguments_of, as_it_is, entries
from fp8num.formats import E4M3FN, Format, format_from_dict, get_format
from fp8num.scaled import Descale
from fp8num.scaling.cast import Cast
from fp8num.scaling.finders import Amax, BestClip, Percentile
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.held import AmaxHistory, Held, MsAmp
from fp8num.scaling.rotation import Rotation
from fp8num.scaling.scales import (
    AmaxQuotient,
    DeepGemm,
    Fixed,
    PowerOfTwo,
    TorchaoQuotient,
    TransformerEngine,
    TwoLevel,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.scaling.finders import Finder
    from fp8num.scaling.scales import Scale

__all__ = ["Cast", "Enters", "Rule"]


#: Characters of a name, which messages hold.
MAX_NAME = 200


class Enters(Enum):
    """Where a matrix product's scales are applied."""

    OPERAND = "operand"  #: to the operands, before products are formed
    ACCUMULATOR = "accumulator"  #: to sums of products


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    How an array is scaled and quantised.

    Parameters
    ----------
    name : str
        What the rule is called.
    granularity : Granularity
        Which elements share a scale.
    scale : Scale
        From the largest magnitude to the scale.
    finder : Finder
        What is taken for the largest magnitude.
    format : Format, optional
        The elements' format where none is asked for; E4M3FN.
    formats : tuple of str
        The formats that the rule takes; none if it takes all.
    exact : bool
        Whether the product of element and factor is rounded to the format alone, or to
        float32 first as in the libraries.
    way_in : Descale or str
        Whether elements are multiplied by the factor, or divided.
    way_out : Descale or str
        Whether decoded values are multiplied by the stored scale, or divided.
    cast : Cast
        How scaled elements become codes.
    rotation : Rotation, optional
        What is done to the values first.
    enters : Enters or str
        Where the scales are applied in a matrix product.
    source : str
        The document or code it was taken from.
    history : AmaxHistory, optional
        Of a delayed rule: how its scale follows from the steps before, see `start`.  There is
        one scale for the tensor, made from the largest magnitude, and no rotation; `scale` is
        what the first step has.
    """

    name: str
    granularity: Granularity
    scale: Scale
    finder: Finder = field(default_factory=Amax)
    format: Format | None = None
    formats: tuple[str, ...] = ()
    exact: bool = False
    way_in: Descale | str = Descale.MULTIPLY
    way_out: Descale | str = Descale.MULTIPLY
    cast: Cast = field(default_factory=Cast)
    rotation: Rotation | None = None
    enters: Enters | str = Enters.ACCUMULATOR
    source: str = ""
    history: AmaxHistory | None = None

    def __post_init__(self) -> None:
        """Read the names of enums, and check the parts."""
        for name, kind in (("way_in", Descale), ("way_out", Descale), ("enters", Enters)):
            object.__setattr__(self, name, _member(kind, name, getattr(self, name)))
        for name, ok, wanted in (
            ("name", isinstance(self.name, str) and len(self.name) <= MAX_NAME, "short text"),
            ("granularity", isinstance(self.granularity, Granularity), "a Granularity"),
            ("scale", _finds(self.scale) and hasattr(self.scale, "format"), "a Scale"),
            (
                "finder",
                _finds(self.finder) and not hasattr(self.finder, "format"),
                "a Finder",
            ),
            ("format", self.format is None or isinstance(self.format, Format), "a Format"),
            ("cast", isinstance(self.cast, Cast), "a Cast"),
            (
                "rotation",
                self.rotation is None or isinstance(self.rotation, Rotation),
                "a Rotation or None",
            ),
            (
                "history",
                self.history is None or isinstance(self.history, AmaxHistory),
                "an AmaxHistory or None",
            ),
        ):
            if not ok:
                msg = f"{name} of a rule must be {wanted}, got {getattr(self, name)!r:.80}"
                raise TypeError(msg)
        if self.history is not None:
            self._check_delayed()

    def _check_delayed(self) -> None:
        """Refuse parts beside which a history has no meaning."""
        for name, ok, wanted in (
            ("granularity", self.granularity.kind == "tensor", "tensor"),
            ("scale", isinstance(self.scale, Held | MsAmp), "a Held or MsAmp"),
            ("rotation", self.rotation is None, "None"),
        ):
            if not ok:
                msg = (
                    f"{name} of a rule with a history must be {wanted}, as its state finds the "
                    f"scale, got {getattr(self, name)!s:.80}"
                )
                raise ValueError(msg)

    @property
    def is_by_row(self) -> bool:
        """Whether each row has a scale besides its blocks'."""
        return isinstance(self.scale, TwoLevel) and self.scale.by_row

    @property
    def is_two_level(self) -> bool:
        """Whether the tensor has a scale besides its blocks'."""
        return isinstance(self.scale, TwoLevel) and self.scale.levels == 2

    @property
    def is_unscaled(self) -> bool:
        """Whether elements are rounded to the format as they are."""
        return self.exact and isinstance(self.scale, Fixed) and self.scale.scale == 1

    def takes(self, fmt: Format) -> bool:
        """Whether elements may be of a format."""
        return not self.formats or fmt.name in self.formats

    def choose_format(self, fmt: Format | str | None) -> Format:
        """
        Return the elements' format: the one asked for, or the rule's own.

        Raises
        ------
        ValueError
            If the rule does not take it.
        """
        if fmt is None:
            return E4M3FN if self.format is None else self.format
        found = get_format(fmt)
        if not self.takes(found):
            msg = f"fmt must be one of {', '.join(self.formats)} for {self.name}, got {found.name}"
            raise ValueError(msg)
        return found

    def unrotated(self, values: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        """Undo the rotation of values along an axis, if the rule has one."""
        return values if self.rotation is None else self.rotation.apply(values, axis, back=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as a dictionary that JSON can hold; see `from_dict`."""
        return {part.name: _plain(getattr(self, part.name)) for part in fields(self)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Rule:
        """
        Return the rule that `to_dict` described.

        Raises
        ------
        ValueError
            If the description names a part that does not exist.
        """
        parts = dict.fromkeys(
            ("granularity", "scale", "finder", "cast", "rotation", "history"), _built
        )
        try:
            found = cls(**arguments_of("a rule", cls, description, format=_format, **parts))
        except (TypeError, ValueError) as error:
            msg = f"a rule must be described by the arguments of Rule, got one of which {error}"
            raise ValueError(msg) from error
        if "history" not in description and found.scale in (Held(), Held(inverse=True), MsAmp()):
            return replace(found, history=_BY_NAME.get(found.name))
        return found

    def __str__(self) -> str:
        """Return the name."""
        return self.name


def _finds(part: object) -> bool:
    """Whether a part can find something: text has a method of that name too."""
    return hasattr(part, "find") and not isinstance(part, str | bytes)


def _member(kind: type[Enum], argument: str, value: object) -> Enum:
    """Return a member of an enum by itself or its value."""
    try:
        return kind(value)
    except ValueError:
        names = " or ".join(repr(member.value) for member in kind)
        msg = f"{argument} must be {names}, got {value!r:.80}"
        raise ValueError(msg) from None


_PARTS: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        Amax,
        AmaxHistory,
        AmaxQuotient,
        BestClip,
        Cast,
        DeepGemm,
        Fixed,
        Granularity,
        Held,
        MsAmp,
        Percentile,
        PowerOfTwo,
        Rotation,
        TorchaoQuotient,
        TransformerEngine,
        TwoLevel,
    )
}


#: What a delayed rule's name stood for, in descriptions from before rules had a history.
_BY_NAME = {
    "te-delayed": AmaxHistory("fused"),
    "te-delayed-unfused": AmaxHistory("unfused"),
    "flax": AmaxHistory("flax"),
    "ms-amp": AmaxHistory("ms-amp", 16),
}


def _plain(part: object) -> object:
    """Return a field of a rule as JSON can hold it."""
    if isinstance(part, Format):
        return {"format": part.to_dict()}
    if isinstance(part, Enum):
        return part.value
    if is_dataclass(part) and not isinstance(part, type):
        kind = type(part).__name__
        if kind not in _PARTS:
            msg = f"only rules made of fp8num.scaling's own parts can be stored, got a {kind}"
            raise ValueError(msg)
        return {"part": kind} | {f.name: _plain(getattr(part, f.name)) for f in fields(part)}
    return list(part) if isinstance(part, tuple) else part


def _built(what: str, part: object) -> Any:  # noqa: ANN401 - a part of any kind
    """Return what `_plain` took apart; the rule refuses what is no part."""
    if not isinstance(part, Mapping):
        return part
    kind = part.get("part")
    if not isinstance(kind, str) or kind not in _PARTS:
        msg = f"{what}: a rule's parts must be of {', '.join(_PARTS)}, got {str(kind)!r:.60}"
        raise ValueError(msg)
    arguments = {name: value for name, value in part.items() if name != "part"}
    return _PARTS[kind](**arguments_of(what, _PARTS[kind], arguments))


def _format(what: str, part: object) -> Any:  # noqa: ANN401 - a format, or what the rule refuses
    """Return the format that `_plain` took apart."""
    if not isinstance(part, Mapping):
        return part
    return format_from_dict(entries(what, part, {"format": as_it_is})["format"])
