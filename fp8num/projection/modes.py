"""
How a real number becomes a code: rounding, then saturation, then what NaN becomes.

::

    value -> round to the precision, exponent unbounded above -> saturate -> code

The names are IEEE P3109's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from fp8num._arguments import member

__all__ = ["NanResult", "Projection", "Result", "Rounding", "Saturation", "projection"]


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
        return member("rounding", rounding, cls, _ROUNDING_ALIASES)


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
        return member("saturation", saturation, cls)


class NanResult(Enum):
    """What a NaN becomes in a format that has none."""

    MAX = "max"  #: the largest positive value, as PTX's satfinite conversions
    RAISE = "raise"  #: an error
    ZERO = "zero"  #: zero of the opposite sign, as ml_dtypes

    @classmethod
    def parse(cls, nan: NanResult | str) -> NanResult:
        """Return the result that a name stands for; TypeError or ValueError if none."""
        return member("nan", nan, cls)


class Result(Enum):
    """A kind of number for which another library's code can be given."""

    ZERO = "zero"  #: +0, into a format without zero
    MINUS_ZERO = "-zero"  #: -0, into a format without zero
    MINUS_UNDERFLOW = "-underflow"  #: below zero and rounded to it, into a format without sign
    OVERFLOW = "overflow"  #: a finite number beyond the range, to nearest under ``SatNone``
    MINUS_OVERFLOW = "-overflow"  #: the same, negative
    INFINITY = "infinity"  #: +infinity
    MINUS_INFINITY = "-infinity"  #: -infinity
    NAN = "nan"  #: a NaN whose sign is not set, of every payload
    MINUS_NAN = "-nan"  #: a NaN whose sign is set, of every payload


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
    results : tuple of (Result, code)
        The code that another library gives for one kind of number, whatever the rest says.
    sign_dropped : bool
        Whether another library converts the magnitude of a negative number.
    """

    rounding: Rounding = Rounding.NEAREST_TIES_TO_EVEN
    saturation: Saturation = Saturation.SAT_FINITE
    nan: NanResult = NanResult.MAX
    moved: tuple[tuple[int, int, int, bool], ...] = ()
    results: tuple[tuple[Result, int], ...] = ()
    sign_dropped: bool = False

    if TYPE_CHECKING:  # strings are accepted and stored as the enums' members

        def __init__(  # noqa: PLR0917 - the fields, which may be given by place
            self,
            rounding: Rounding | str = ...,
            saturation: Saturation | str = ...,
            nan: NanResult | str = ...,
            moved: tuple[tuple[int, int, int, bool], ...] = ...,
            results: tuple[tuple[Result, int], ...] = ...,
            sign_dropped: bool = ...,  # noqa: FBT001 - as above
        ) -> None: ...

    def __post_init__(self) -> None:
        """Read names, which are accepted wherever modes are; TypeError or ValueError if wrong."""
        for name, kind in (("rounding", Rounding), ("saturation", Saturation), ("nan", NanResult)):
            object.__setattr__(self, name, kind.parse(getattr(self, name)))

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        # A hash is made again: it differs between processes.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, field.name) for field in fields(self)))


@lru_cache(maxsize=256)
def projection(
    rounding: Rounding | str, saturation: Saturation | str, nan: NanResult | str
) -> Projection:
    """Read the names, once for each combination."""
    return Projection(rounding=rounding, saturation=saturation, nan=nan)
