"""The package's own codec as an implementation, so that it is judged like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fp8num.codec import encode
from fp8num.projection import NanResult, Rounding, Saturation

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.projection import Profile
    from fp8num.verify.sources import SourceType

__all__ = ["Encoder"]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """
    `fp8num.encode` with its options, to be sent to other processes if need be.

    Parameters
    ----------
    rounding, saturation, like, nan
        As for `fp8num.encode`.
    name : str, optional
        What it is called in a verdict.

    Examples
    --------
    >>> from fp8num.formats import E4M3FN
    >>> from fp8num.verify.sources import get_source
    >>> source = get_source("float32")
    >>> Encoder().codes(source.every(0x3F800000, 1), source, E4M3FN)
    array([56], dtype=uint8)
    """

    rounding: Rounding | str = Rounding.NEAREST_TIES_TO_EVEN
    saturation: Saturation | str = Saturation.SAT_FINITE
    like: str | Profile | None = None
    nan: NanResult | str = NanResult.MAX
    name: str = "fp8num"

    def codes(self, words: npt.NDArray[Any], source: SourceType, fmt: Format) -> npt.NDArray[Any]:
        """Return the codes that `encode` gives."""
        return encode(
            source.values(words),
            fmt,
            rounding=self.rounding,
            saturation=self.saturation,
            like=self.like,
            nan=self.nan,
        )
