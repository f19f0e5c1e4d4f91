"""
What is known of another library's conversions.

::

    profile "cuda-nosat" -- E8M0FNU --> rounding, saturation, NaN, and what it does otherwise
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fp8num.formats.p3109 import p3109_format, p3109_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fp8num.formats import Format
    from fp8num.projection.modes import Projection

__all__ = ["Profile"]


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
    p3109 : bool
        Whether it has every format of IEEE P3109 besides.
    sources : tuple of str
        The types from which the library converts as the profile says, every bit of NaNs
        included.  From others the profile still rounds once; the library may not.
    """

    name: str
    source: str
    default: Projection
    exceptions: Mapping[str, Projection] = field(default_factory=dict)
    formats: frozenset[str]
    p3109: bool = False
    sources: tuple[str, ...] = ("float16", "bfloat16", "float32")

    def has(self, fmt: Format) -> bool:
        """
        Return whether the profile says how to convert to a format.

        Parameters
        ----------
        fmt : Format
            The format.

        Returns
        -------
        bool
            Whether `projection` gives a projection for it.
        """
        if fmt.name in self.formats:
            return True
        if not self.p3109 or fmt.bits < 3 or fmt.name not in p3109_names(fmt.bits):
            return False
        return p3109_format(fmt.name) == fmt  # another bias or overflow is not P3109's

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
        if not self.has(fmt):
            names = [*sorted(self.formats), *["every P3109 format"] * self.p3109]
            msg = f"like={self.name!r} says nothing about {fmt.name}; it has {', '.join(names)}"
            raise ValueError(msg)
        return self.exceptions.get(fmt.name, self.default)
