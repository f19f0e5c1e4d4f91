"""
Other libraries' conventions as data: what ``like=`` and `fp8num.verify` take.

A profile is a projection for every format that the library converts to, with the version
it was read from or checked against.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from fp8num.projection.modes import NanResult, Projection, Rounding, Saturation, projection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fp8num.formats import Format

__all__ = ["PROFILES", "Profile", "get_projection"]


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
        return projection(rounding, saturation, nan)
    asked = projection(rounding, saturation, nan)
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
