"""
How a real number becomes a code: rounding, then saturation, then what NaN becomes.

::

    value -> round to the precision, exponent unbounded above -> saturate -> code

The names are IEEE P3109's.  A profile is another library's convention as data: a
projection for every format, usable wherever ``like=`` is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fp8num.formats import Format

__all__ = [
    "PROFILES",
    "NanResult",
    "Profile",
    "Projection",
    "Rounding",
    "Saturation",
    "get_projection",
]


class Rounding(Enum):
    """Which of the two neighbouring values a number between them becomes."""

    NEAREST_TIES_TO_EVEN = "NearestTiesToEven"  #: the nearer; of two as near, the even code
    NEAREST_TIES_TO_AWAY = "NearestTiesToAway"  #: the nearer; of two as near, the larger magnitude
    TOWARD_ZERO = "TowardZero"  #: the smaller magnitude
    TOWARD_POSITIVE = "TowardPositive"  #: the larger value
    TOWARD_NEGATIVE = "TowardNegative"  #: the smaller value
    TO_ODD = "ToOdd"  #: the odd code
    STOCHASTIC_A = "StochasticA"  #: up with probability floor(nu 2^N) / 2^N
    STOCHASTIC_B = "StochasticB"  #: up with probability floor(nu 2^N + 1/2) / 2^N
    STOCHASTIC_C = "StochasticC"  #: up with probability rint(nu 2^N) / 2^N, ties to even

    @property
    def is_stochastic(self) -> bool:
        """Whether the mode needs random bits."""
        return self in _STOCHASTIC

    @classmethod
    def parse(cls, rounding: Rounding | str) -> Rounding:
        """
        Return the mode that a P3109 name or an abbreviation stands for.

        Parameters
        ----------
        rounding : Rounding or str
            A mode, its P3109 name, or one of rne rna rz ru rd ro sra srb src, in any case.

        Returns
        -------
        Rounding
            The mode.

        Raises
        ------
        TypeError, ValueError
            If it is none of these.
        """
        return _parse(cls, rounding, "rounding", _ROUNDING_ALIASES)


class Saturation(Enum):
    """What a number beyond the range becomes."""

    SAT_FINITE = "SatFinite"  #: the largest finite value of its sign, infinities too
    SAT_PROPAGATE = "SatPropagate"  #: as SatFinite, but infinity stays (NaN where there is none)
    SAT_NONE = "SatNone"  #: the format's own overflow result

    @classmethod
    def parse(cls, saturation: Saturation | str) -> Saturation:
        """
        Return the mode that a P3109 name stands for.

        Parameters
        ----------
        saturation : Saturation or str
            A mode or its P3109 name, in any case.

        Returns
        -------
        Saturation
            The mode.

        Raises
        ------
        TypeError, ValueError
            If it is neither.
        """
        return _parse(cls, saturation, "saturation", {})


class NanResult(Enum):
    """What a NaN becomes in a format that has none."""

    MAX = "max"  #: the largest positive value, as PTX's satfinite conversions
    RAISE = "raise"  #: an error
    ZERO = "zero"  #: zero of the opposite sign, as ml_dtypes

    @classmethod
    def parse(cls, nan: NanResult | str) -> NanResult:
        """Return the result that a name stands for; TypeError or ValueError if none."""
        return _parse(cls, nan, "nan", {})


_STOCHASTIC = {Rounding.STOCHASTIC_A, Rounding.STOCHASTIC_B, Rounding.STOCHASTIC_C}
_ROUNDING_ALIASES = {
    "rne": Rounding.NEAREST_TIES_TO_EVEN,
    "rna": Rounding.NEAREST_TIES_TO_AWAY,
    "rz": Rounding.TOWARD_ZERO,
    "ru": Rounding.TOWARD_POSITIVE,
    "rd": Rounding.TOWARD_NEGATIVE,
    "ro": Rounding.TO_ODD,
    "sra": Rounding.STOCHASTIC_A,
    "srb": Rounding.STOCHASTIC_B,
    "src": Rounding.STOCHASTIC_C,
}

E = TypeVar("E", bound=Enum)


def _parse(kind: type[E], value: E | str, argument: str, aliases: Mapping[str, E]) -> E:
    """Return a member by itself, its value or an alias; say which there are."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        known = {member.value.lower(): member for member in kind} | dict(aliases)
        if value.lower() in known:
            return known[value.lower()]
    names = [member.value for member in kind] + list(aliases)
    msg = f"{argument} must be one of {', '.join(names)}, got {value!r}"
    raise ValueError(msg) if isinstance(value, str) else TypeError(msg)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """
    Rounding, saturation and what NaN becomes: how a real number becomes a code.

    Parameters
    ----------
    rounding : Rounding
        Which neighbour a number between two values becomes.
    saturation : Saturation
        What a number beyond the range becomes.
    nan : NanResult
        What NaN becomes in a format that has none.
    moved : tuple of (step, integer, exponent, inclusive)
        Another library's slips: the step to the magnitude of that index begins at
        ``integer * 2**exponent`` (only above it, if not inclusive) and not where the
        rounding puts it.
    """

    rounding: Rounding = Rounding.NEAREST_TIES_TO_EVEN
    saturation: Saturation = Saturation.SAT_FINITE
    nan: NanResult = NanResult.MAX
    moved: tuple[tuple[int, int, int, bool], ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.rounding, self.saturation, self.nan, self.moved))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """
    The projection of another library, for every format.

    Parameters
    ----------
    name : str
        What ``like=`` calls it.
    source : str
        The version and code it was read from or checked against.
    default : Projection
        What holds where nothing else is said.
    exceptions : Mapping of str to Projection
        By format name, where the library departs from its default.
    formats : frozenset of str
        The formats that the library has.
    """

    name: str
    source: str
    default: Projection
    exceptions: Mapping[str, Projection] = field(default_factory=dict)
    formats: frozenset[str]

    def projection(self, fmt: Format) -> Projection:
        """
        Return how the library converts to a format.

        Parameters
        ----------
        fmt : Format
            The format.

        Returns
        -------
        Projection
            The library's.

        Raises
        ------
        ValueError
            If the library does not have the format.
        """
        if fmt.name not in self.formats:
            msg = (
                f"like={self.name!r} says nothing about {fmt.name}; "
                f"it has {', '.join(sorted(self.formats))}"
            )
            raise ValueError(msg)
        return self.exceptions.get(fmt.name, self.default)


_ML_DTYPES = Profile(
    name="ml_dtypes",
    source="ml_dtypes 0.6.0, astype from float16, bfloat16 and float32",
    default=Projection(saturation=Saturation.SAT_NONE, nan=NanResult.ZERO),
    # Its E8M0 takes the hidden bit for the last bit of the code: ties go up, and all
    # between 2**-127 and 2**-126 does, for float32 has it among the subnormals.
    exceptions={
        "E8M0FNU": Projection(
            rounding=Rounding.NEAREST_TIES_TO_AWAY,
            saturation=Saturation.SAT_NONE,
            moved=((1, 1, -127, False),),
        )
    },
    formats=frozenset(
        {
            "E4M3FN",
            "E5M2",
            "E4M3",
            "E3M4",
            "E4M3FNUZ",
            "E5M2FNUZ",
            "E4M3B11FNUZ",
            "E8M0FNU",
            "E2M3FN",
            "E3M2FN",
            "E2M1FN",
            "BFLOAT16",
        }
    ),
)

#: Other libraries' conventions, by the name that ``like=`` takes.
PROFILES: Mapping[str, Profile] = MappingProxyType({_ML_DTYPES.name: _ML_DTYPES})


def get_projection(
    fmt: Format,
    rounding: Rounding | str = Rounding.NEAREST_TIES_TO_EVEN,
    saturation: Saturation | str = Saturation.SAT_FINITE,
    like: str | Profile | None = None,
    nan: NanResult | str = NanResult.MAX,
) -> Projection:
    """
    Return the projection that a function's options ask for.

    Parameters
    ----------
    fmt : Format
        The format to project to.
    rounding, saturation, nan : enum or str
        The projection, piece by piece.
    like : str or Profile, optional
        Another library's projection instead.

    Returns
    -------
    Projection
        What was asked for.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, or `like` is combined with what it decides.
    """
    if like is None:
        return _projection(rounding, saturation, nan)
    asked = _projection(rounding, saturation, nan)
    if asked != Projection():
        msg = f"like={like!r} decides rounding, saturation and nan; leave those at their defaults"
        raise ValueError(msg)
    if isinstance(like, Profile):
        return like.projection(fmt)
    if not isinstance(like, str):
        msg = f"like must be a Profile or a profile's name, got {like!r}"
        raise TypeError(msg)
    if like not in PROFILES:
        msg = f"like must be one of {', '.join(PROFILES)}, got {like!r}"
        raise ValueError(msg)
    return PROFILES[like].projection(fmt)


@lru_cache(maxsize=256)
def _projection(
    rounding: Rounding | str, saturation: Saturation | str, nan: NanResult | str
) -> Projection:
    """Read the names, once for each combination."""
    return Projection(
        rounding=Rounding.parse(rounding),
        saturation=Saturation.parse(saturation),
        nan=NanResult.parse(nan),
    )
