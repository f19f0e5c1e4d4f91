"""
Every input at which two conversions disagree: other libraries' conventions, or implementations.

::

    profile, projection   -> runs of words ---------.
                                                     >- words that differ -> intervals
    callable, process     -> codes of tried words --'

Two lists of runs are merged, so that 2**64 words are compared exactly and at once.  An
implementation is asked about every word, block by block; or about the standard cases, and
then half way between neighbours that do not disagree alike, until they touch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fp8num._arguments import member, refuse_kind
from fp8num._tasks import check_executor
from fp8num._text import brief
from fp8num.formats import get_format
from fp8num.projection import PROFILES, Profile, Projection
from fp8num.verify.classes import CLASSES
from fp8num.verify.comparing import Pair, Side, by_cases, by_every_word, by_runs
from fp8num.verify.conformance import describe_projection
from fp8num.verify.implementation import Implementation, as_implementation
from fp8num.verify.intervals import Difference
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.tally import NanRule
from fp8num.verify.truth import truth_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    import numpy.typing as npt

    from fp8num.formats import Format

    Conversion = str | Profile | Projection | Implementation | Callable[[npt.NDArray[Any]], Any]

__all__ = ["diff"]


def diff(
    a: Conversion,
    b: Conversion,
    fmt: Format | str,
    *,
    source: SourceType | npt.DTypeLike | str = "float32",
    exhaustive: bool | None = None,
    nan: NanRule | str = "code",
    name_a: str | None = None,
    name_b: str | None = None,
    takes: str = "values",
    timeout: float | None = None,
    executor: Executor | None = None,
    progress: Callable[[int], object] | None = None,
) -> Difference:
    """
    Find every input at which two conversions to a format disagree.

    Parameters
    ----------
    a, b : str, Profile, Projection, Implementation or callable
        A profile's name, as ``like=`` takes it; a profile or a deterministic projection;
        or an implementation, such as a callable from an array of values to one of codes.
    fmt : Format or str
        The format.
    source : SourceType, str or dtype, optional
        The type of the inputs.
    exhaustive : bool, optional
        Whether an implementation is given every word of the type, or the standard cases.
        The default is every word of the 16-bit types.  Profiles and projections are
        compared over every word in any case.
    nan : {"code", "class"} or NanRule, optional
        Whether two different codes of NaN are a disagreement.
    name_a, name_b : str, optional
        What the two are called in the record.
    takes, timeout : optional
        What callables are given, and for how long; see `as_implementation`.
    executor : concurrent.futures.Executor, optional
        Where blocks of words are worked on if `exhaustive`; it is not shut down.  The
        record does not depend on it.
    progress : callable, optional
        Called with the number of words that are done, now and then, if `exhaustive`.

    Returns
    -------
    Difference
        The intervals of inputs, with the domain that was compared.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, a profile does not have the format, or `exhaustive` is
        asked for over 2**64 words.
    ImplementationError
        If an implementation gives no codes.

    Examples
    --------
    >>> from fp8num.projection import Projection
    >>> found = diff(Projection(), "ml_dtypes", "E4M3FN", source="float16")
    >>> for interval in found.intervals:  # |x| > 464: saturated, or NaN
    ...     print(interval)
    0x1.d04p+8 to inf, 7,360 inputs: 7e, 7f
    -inf to -0x1.d04p+8, 7,360 inputs: fe, ff
    """
    fmt, source, rule = get_format(fmt), get_source(source), member("nan", nan, NanRule)
    check_executor(executor)
    one = _side(a, "a", fmt, source, takes=takes, timeout=timeout)
    other = _side(b, "b", fmt, source, takes=takes, timeout=timeout)
    one = replace(one, name=one.name if name_a is None else name_a)
    other = replace(other, name=other.name if name_b is None else name_b)
    pair = Pair(one, other, fmt, source, rule)
    if exhaustive is None:
        exhaustive = source.bits == 16
    if one.truth is not None and other.truth is not None:
        found = by_runs(pair, one.truth, other.truth)
    elif not exhaustive:
        found = by_cases(pair)
    elif source.bits <= 32:
        found = by_every_word(pair, executor, progress)
    else:
        msg = (
            f"exhaustive must be left out for implementations and {source.name}: "
            f"nobody waits for 2**{source.bits} words"
        )
        raise ValueError(msg)
    return Difference(
        name_a=one.name,
        name_b=other.name,
        fmt=fmt,
        source=source,
        nan=rule,
        domain=found.domain,
        notes=(*one.notes, *(note for note in other.notes if note not in one.notes), *found.notes),
        cases=found.cases,
        exact=found.cases == 1 << source.bits,
        by_class=tuple((name, n) for name, n in zip(CLASSES, found.counts, strict=True) if n),
        intervals=found.stretches.intervals(source),
    )


def _side(
    given: Conversion,
    argument: str,
    fmt: Format,
    source: SourceType,
    *,
    takes: str,
    timeout: float | None,
) -> Side:
    """Return a side; ValueError or TypeError if it is nothing that converts."""
    if isinstance(given, str):
        if given not in PROFILES:
            msg = (
                f"{argument} must be a profile, one of {', '.join(PROFILES)}, got {brief(given)}; "
                "or pass a Projection, or a callable from values to codes"
            )
            raise ValueError(msg)
        return replace(
            _side(PROFILES[given], argument, fmt, source, takes=takes, timeout=timeout), name=given
        )
    if isinstance(given, Profile):
        known = truth_of(fmt, given.projection(fmt), source)
        return Side(given.name, known, notes=(_note(given, source),))
    if isinstance(given, Projection):
        return Side(describe_projection(given), truth_of(fmt, given, source))
    if not callable(given) and not isinstance(given, Implementation):
        wanted = "a profile or its name, a Projection, or a callable from values to codes"
        refuse_kind(argument, wanted, given)
    implementation = as_implementation(given, takes=takes, timeout=timeout)
    return Side(implementation.name, implementation=implementation)


def _note(profile: Profile, source: SourceType) -> str:
    """Say what a profile rests on, and if it does not hold for a source."""
    note = f"profile {profile.name}: {profile.source}"
    if source.name in profile.sources:
        return note
    return f"{note}; from {source.name} the profile rounds once, and the library may not"
