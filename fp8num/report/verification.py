"""
What was verified of the conversions that a report rests on, while it was made.

::

    codec -> codes -> compared with the exact definition       every format and type of input
                   -> compared with ml_dtypes' own casts       where it has the format
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fp8num.codec import encode
from fp8num.projection import PROFILES
from fp8num.verify import check
from fp8num.verify.cases import standard
from fp8num.verify.peers import get_peer
from fp8num.verify.sources import SOURCES
from fp8num.verify.tally import NanRule, tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.projection import Profile

__all__ = ["Verified", "verify_codec"]

#: Bits of the widest formats that are compared here: the exact definition of a format of 16
#: bits takes seconds to work out, which the package's tests spend.
WIDEST = 8


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A comparison of the codec, for one format and one type of input."""

    format: str  #: the conversion
    source: str
    against: str  #: what the codes were compared with
    domain: str  #: which inputs
    cases: int  #: how many inputs, and how many codes differ
    mismatches: int

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a dictionary that JSON can hold."""
        return asdict(self)


def verify_codec(formats: Iterable[Format]) -> tuple[Verified, ...]:
    """Compare the conversions of a report with their definition and with a peer."""
    found, peer = [], _installed_ml_dtypes()
    for fmt in formats:
        if fmt.bits > WIDEST:
            continue
        for source in SOURCES.values():
            cases = standard(fmt, source)

            def convert(x: npt.NDArray[Any], fmt: Format = fmt) -> npt.NDArray[Any]:
                return encode(x, fmt)

            verdict = check(
                convert, fmt, source=source, cases=cases, compare_nan="code", probes=False
            )
            if verdict.findings:
                raise RuntimeError(str(verdict))
            comparisons = {"the exact definition": verdict.tally}
            if fmt.name in peer.formats and source.name in peer.sources:
                ours = encode(source.values(cases.words), fmt, like=peer.name)
                theirs = get_peer("ml_dtypes", fmt, source).codes(cases.words, source, fmt)
                comparisons[f"ml_dtypes {version('ml_dtypes')}"] = tally(
                    cases.words, theirs, ours, fmt, source, nan=NanRule.CODE
                )
            found += [
                Verified(
                    format=fmt.name,
                    source=source.name,
                    against=against,
                    domain=cases.domain,
                    cases=result.cases,
                    mismatches=result.total,
                )
                for against, result in comparisons.items()
            ]
    return tuple(found)


def _installed_ml_dtypes() -> Profile:
    major, minor = version("ml_dtypes").split(".")[:2]
    return PROFILES["ml_dtypes" if (int(major), int(minor)) >= (0, 7) else "ml_dtypes<0.7"]
