"""Which other convention an implementation obeys, where it does not obey the one expected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.projection import PROFILES, NanResult, Rounding, Saturation
from fp8num.verify import reference
from fp8num.verify.tally import differing
from fp8num.verify.truth import truth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.sources import SourceType
    from fp8num.verify.tally import NanRule, Tally

__all__ = ["other_conventions"]

#: Wider formats have so many values that another convention takes minutes to work out.
MOST_BITS = 8
#: Conventions that are named.
MOST = 3


def other_conventions(
    words: npt.NDArray[Any],
    codes: npt.NDArray[Any],
    fmt: Format,
    source: SourceType,
    projection: Projection,
    *,
    nan: NanRule,
    found: Tally,
) -> tuple[str, ...]:
    """Return the options of `check` under which every one of these codes is right."""
    named: list[str] = []
    if not found.total or fmt.bits > MOST_BITS:
        return ()
    for text, other in _others(fmt, projection):
        if _may_be(other, found, fmt, source):
            expected = truth_of(fmt, other, source).codes_of(words)
            if not differing(expected, codes, fmt, nan).size:
                named.append(text)
                if len(named) == MOST:
                    break
    return tuple(named)


def _others(fmt: Format, projection: Projection) -> Iterator[tuple[str, Projection]]:
    """Yield other conventions, each once: an alias of a profile says nothing more."""
    seen = {projection}
    profiles = [
        (f"like={name!r}", profile.projection(fmt))
        for name, profile in PROFILES.items()
        if profile.name == name and profile.has(fmt)
    ]
    plain = replace(projection, moved=(), results=(), sign_dropped=False)
    ends = [(f"saturation={e.value!r}", replace(plain, saturation=e)) for e in Saturation]
    modes = [
        (f"rounding={mode.value!r}", replace(plain, rounding=mode))
        for mode in Rounding
        if not mode.is_stochastic
    ]
    for text, other in (*profiles, *ends, *modes):
        if other not in seen:
            seen.add(other)
            yield text, other


def _may_be(other: Projection, found: Tally, fmt: Format, source: SourceType) -> bool:
    """Whether a convention gives the first wrong codes: quickly told where it has no slips."""
    if other.moved or other.results or other.sign_dropped or other.nan is NanResult.RAISE:
        return True
    for witness in found.witnesses:
        with np.errstate(all="ignore"):
            x = source.values(np.array([witness.word], source.word)).astype(np.float64)[0]
        if np.isfinite(x):
            code = reference.project(x, fmt, other.rounding, other.saturation, nan=other.nan)
            if code != witness.got and fmt.classify(code) != "nan":
                return False
    return True
