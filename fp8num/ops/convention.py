"""
Whose special cases hold: what a number divided by zero is, and where NaN stands in order.

::

                       x / 0, 1 / 0, rsqrt(0)    -0             next after the last    NaN in order
    IEEE 754-2019      an infinity               kept           infinity               at both ends
    IEEE P3109 v4.0    NaN                       read as 0      NaN                    lowest

Posits have the second one's: the Posit Standard, too, makes x / 0 NaR, and NaR the lowest.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from fp8num.formats import TabulatedFormat

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["Convention"]


class Convention(Enum):
    """Which standard says what an operation's special cases give."""

    IEEE = "ieee"  #: IEEE 754-2019
    P3109 = "p3109"  #: IEEE P3109 Interim Report v4.0

    @classmethod
    def parse(cls, convention: Convention | str | None, formats: tuple[Format, ...]) -> Convention:
        """
        Return what was asked for, or what the formats' families say.

        Parameters
        ----------
        convention : Convention or str or None
            A convention or its name, in any case; None leaves it to the formats.
        formats : tuple of Format
            The formats of the operands and of the result.

        Returns
        -------
        Convention
            If left to the formats, P3109's where one of them is P3109's or a posit.

        Raises
        ------
        TypeError, ValueError
            If it is none of these.
        """
        if convention is None:
            return cls.P3109 if any(_is_p3109(fmt) for fmt in formats) else cls.IEEE
        if isinstance(convention, cls):
            return convention
        names = {member.value: member for member in cls}
        if isinstance(convention, str) and convention.lower() in names:
            return names[convention.lower()]
        msg = f"convention must be one of {', '.join(names)}, got {convention!r}"
        raise ValueError(msg) if isinstance(convention, str) else TypeError(msg)


def _is_p3109(fmt: Format) -> bool:
    """Whether a format's own document leaves nothing divided by zero but NaN."""
    if fmt.specials is not None:
        return fmt.specials.is_p3109
    return isinstance(fmt, TabulatedFormat) and fmt.complement and fmt.has_nan  # posits
