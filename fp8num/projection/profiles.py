"""
Find a projection by its pieces, or by the name of a library that has it: ``like=``.

Other libraries' conventions are data, in `fp8num.projection.catalogue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fp8num._arguments import choice, refuse_kind
from fp8num.projection.catalogue import PROFILES
from fp8num.projection.convention import Profile
from fp8num.projection.modes import NanResult, Projection, Rounding, Saturation, projection

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["PROFILES", "Profile", "get_projection"]


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
        refuse_kind("like", "a Profile or a profile's name", like)
    return PROFILES[choice("like", like, PROFILES)].projection(fmt)
