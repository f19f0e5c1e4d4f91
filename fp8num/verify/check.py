"""
Judge an implementation: give it cases, compare its answers, and say what was tried.

::

    cases -> implementation -> codes -> compared with the exact reference -> Conformance
                            -> probes: again, other lengths, other strides

What is expected comes from `truth`, the exact reference, and never from the implementation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fp8num._arguments import integer, member, refuse_kind
from fp8num.formats import Format, get_format
from fp8num.projection import NanResult, Projection, get_projection
from fp8num.verify.cases import CaseSet, standard
from fp8num.verify.classes import CLASSES, classify
from fp8num.verify.conformance import (
    Conformance,
    Direction,
    Finding,
    describe_projection,
    exclusions_of,
)
from fp8num.verify.coverage import cover
from fp8num.verify.decoding import check_decoder
from fp8num.verify.explaining import other_conventions
from fp8num.verify.implementation import (
    CallableImplementation,
    Fault,
    Implementation,
    ImplementationError,
    as_implementation,
    ask,
    check_codes,
)
from fp8num.verify.probes import probe, probe_buffer, probe_order, probed_layouts
from fp8num.verify.process import ProcessImplementation
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.tally import NanRule, Tally, tally
from fp8num.verify.truth import FLAG_BITS, expected_flags, truth_of

if TYPE_CHECKING:
    from fp8num.projection import Profile, Rounding, Saturation

__all__ = ["TIMEOUT", "assert_conforms", "check", "check_budget", "judge"]

#: Seconds that a call may take before it counts as hanging.
TIMEOUT = 60.0
#: What an implementation that is given bits, or returns flags too, can be.
Judged = Implementation | Callable[[npt.NDArray[Any]], Any]


def check(
    implementation: Judged,
    fmt: Format | str,
    *,
    direction: Direction | Literal["encode", "decode"] = "encode",
    takes: Literal["values", "bits"] = "values",
    source: SourceType | npt.DTypeLike | str = "float32",
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    like: str | Profile | None = None,
    nan: NanResult | str = "max",
    compare_nan: NanRule | Literal["class", "code"] = "class",
    with_flags: bool = False,
    cases: CaseSet | None = None,
    budget: int = 0,
    timeout: float | None = TIMEOUT,
    probes: bool = True,
) -> Conformance:
    """
    Judge an implementation of a conversion.

    Parameters
    ----------
    implementation : callable or Implementation
        Takes an array of values of `source` (or of their bits) and returns codes, as
        integers or as an array of ml_dtypes; with ``direction="decode"``, takes codes and
        returns values.  A `ProcessImplementation` asks another program.
    fmt : Format or str
        The format of the codes.
    direction : {"encode", "decode"}, optional
        What it converts.
    takes : {"values", "bits"}, optional
        Whether it is given values, or their bits as unsigned integers.
    source : SourceType, str or dtype, optional
        The type of the values: float16, bfloat16, float32 or float64.
    rounding, saturation, like, nan
        What it should do, as for `fp8num.encode`; the rounding must be deterministic.
    compare_nan : {"class", "code"}, optional
        Whether any code of NaN will do, or only the expected one.
    with_flags : bool, optional
        Whether a callable returns ``(codes, flags)``: integers of `FLAG_BITS`, inexact 1,
        underflow 2 (tininess after rounding), overflow 4, invalid 16.  A process that
        writes flags is judged by them in any case.
    cases : CaseSet, optional
        The inputs.  The default is `fp8num.verify.cases.standard`.
    budget : int, optional
        Mismatches that are allowed.
    timeout : float, optional
        Seconds that a call may take; None for no limit.
    probes : bool, optional
        Whether to ask again, with other lengths and strides, in values of the other byte
        order (which it may refuse), and while earlier answers are kept.

    Returns
    -------
    Conformance
        The verdict.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.  What the implementation does wrong is in the verdict.

    Examples
    --------
    >>> import numpy as np
    >>> import fp8num as fp
    >>> def truncates(x):
    ...     return fp.encode(x, "E4M3FN", rounding="TowardZero")
    >>> verdict = check(truncates, "E4M3FN", source="float16")
    >>> verdict.ok, sorted(verdict.by_class)[:2]
    (False, ['below smallest', 'near subnormal tie'])
    """
    fmt, source = get_format(fmt), get_source(source)
    compare_nan = member("compare_nan", compare_nan, NanRule)
    budget = check_budget(budget)
    if member("direction", direction, Direction) is Direction.DECODE:
        return check_decoder(
            as_implementation(implementation, timeout=timeout),
            fmt,
            source,
            compare_nan=compare_nan,
            budget=budget,
            probes=probes,
        )
    projection = get_projection(fmt, rounding, saturation, like, nan)
    name = like if like is None or isinstance(like, str) else like.name
    rule = describe_projection(projection, name)
    if cases is None:
        cases = standard(fmt, source)
    if not isinstance(cases, CaseSet):
        advice = "fp8num.verify.cases has some, CaseSet(name, domain, words) is of your own words"
        refuse_kind("cases", "a CaseSet", cases, advice)
    truth_of(fmt, projection, source)  # raises before any work if there is none
    if with_flags:
        expected_flags(cases.words[:0], fmt, source, projection)  # as that
    words = cases.words
    if projection.nan is NanResult.RAISE and not fmt.has_nan:
        words = words[(words & source.word.type(source.sign - 1)) <= source.infinity]
    judged = as_implementation(implementation, takes=takes, timeout=timeout)
    started = time.perf_counter()
    findings: list[Finding] = []
    layouts: tuple[str, ...] = ()
    codes, given_flags = _ask(judged, words, source, fmt, findings, with_flags=with_flags)
    if codes is not None and probes:
        findings += _probe(judged, words, codes, source, fmt, with_flags=with_flags)
        layouts = _layouts(judged, source)
    verdict = judge(
        words,
        codes,
        fmt,
        source,
        projection,
        flags=given_flags,
        compare_nan=compare_nan,
        implementation=judged.name,
        domain=cases.domain,
        rule=rule,
        budget=budget,
    )
    return replace(
        verdict,
        findings=(*verdict.findings, *findings),
        layouts=layouts,
        seconds=time.perf_counter() - started,
    )


def assert_conforms(
    implementation: Judged,
    fmt: Format | str,
    **options: Any,  # noqa: ANN401 - those of `check`
) -> None:
    """
    Assert that an implementation conforms.

    Parameters
    ----------
    implementation : callable or Implementation
        What is judged.
    fmt : Format or str
        The format of the codes.
    **options
        As `check` takes them.

    Raises
    ------
    AssertionError
        If it does not, with the verdict: what is wrong, one witness in full, and what is
        known of the cause.
    TypeError, ValueError
        As `check` does.

    Examples
    --------
    >>> import fp8num as fp
    >>> def saturates_not(x):
    ...     return fp.encode(x, "E4M3FN", saturation="SatNone")
    >>> assert_conforms(saturates_not, "E4M3FN", saturation="SatNone")
    >>> assert_conforms(saturates_not, "E4M3FN")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: DOES NOT CONFORM: ...saturates_not, float32 -> E4M3FN, ...
    """
    __tracebackhide__ = True
    verdict = check(implementation, fmt, **options)
    if not verdict.ok:
        raise AssertionError(str(verdict))


def check_budget(budget: int) -> int:
    """Return a number of mismatches that are allowed; ValueError if it is none."""
    return integer("budget", budget, 0)


def judge(
    words: npt.NDArray[Any],
    codes: npt.NDArray[Any] | None,
    fmt: Format,
    source: SourceType,
    projection: Projection,
    *,
    flags: npt.NDArray[Any] | None = None,
    compare_nan: NanRule = NanRule.CLASS,
    implementation: str = "codes",
    domain: str,
    rule: str | None = None,
    budget: int = 0,
) -> Conformance:
    """Compare codes that are there already with what they should be."""
    known = truth_of(fmt, projection, source)
    if projection.nan is NanResult.RAISE and not fmt.has_nan:
        keep = (words & source.word.type(source.sign - 1)) <= source.infinity
        words, codes = words[keep], None if codes is None else codes[keep]
        flags = None if flags is None else flags[keep]
    found, found_flags, coverage = Tally(), None, None
    agrees: tuple[str, ...] = ()
    counts = np.zeros(len(CLASSES), np.int64)
    if codes is not None:
        found = tally(words, known.codes_of(words), codes, fmt, source, nan=compare_nan)
        counts = np.bincount(classify(words, fmt, source), minlength=len(CLASSES))
        coverage = cover(words, fmt, source, projection)
        agrees = other_conventions(
            words, codes, fmt, source, projection, nan=compare_nan, found=found
        )
    if flags is not None:
        expected = expected_flags(words, fmt, source, projection)
        # Flags are no codes: all of them count, also where the code is a NaN.
        found_flags = tally(words, expected, flags, fmt, source, nan=NanRule.CODE)
    return Conformance(
        implementation=implementation,
        fmt=fmt,
        source=source,
        direction=Direction.ENCODE,
        rule=rule if rule is not None else describe_projection(projection),
        domain=domain,
        exclusions=exclusions_of(projection, fmt, compare_nan),
        cases=tuple((n, int(c)) for n, c in zip(CLASSES, counts.tolist(), strict=True) if c),
        tally=found,
        flags=found_flags,
        findings=(),
        agrees=agrees,
        coverage=coverage,
        nan=compare_nan,
        budget=budget,
        seconds=0.0,
    )


def _ask(
    judged: Implementation,
    words: npt.NDArray[Any],
    source: SourceType,
    fmt: Format,
    findings: list[Finding],
    *,
    with_flags: bool,
) -> tuple[npt.NDArray[Any] | None, npt.NDArray[Any] | None]:
    """Return codes and flags, or None and a finding for what is not to be had."""
    given = words.copy()
    flags = None
    try:
        if with_flags:
            codes, flags = _with_flags(judged, given, source, fmt)
        elif isinstance(judged, ProcessImplementation):
            codes, flags = judged.codes_and_flags(given, source, fmt)
        else:
            codes = ask(judged, given, source, fmt)
    except ImplementationError as error:
        findings.append(Finding(error.fault, error.detail))
        return None, None
    if not np.array_equal(given, words):
        place = int(np.flatnonzero(given != words)[0])
        detail = f"element {place} of the input, {source.hex(int(words[place]))}, was written to"
        findings.append(Finding(Fault.INPUT, detail))
    # A copy: an implementation may hand out the same buffer each time.
    return codes.copy(), flags


def _with_flags(
    judged: Implementation, words: npt.NDArray[Any], source: SourceType, fmt: Format
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Ask for codes and flags; ImplementationError if that is not what comes."""
    if not isinstance(judged, CallableImplementation):
        msg = f"with_flags must be left out for {judged.name}; give a callable"
        raise TypeError(msg)
    given = words if judged.takes == "bits" else source.values(words)
    answer = judged.answer(given)
    if not isinstance(answer, tuple) or len(answer) != 2:
        detail = f"returned {type(answer).__name__}; with_flags=True expects (codes, flags)"
        raise ImplementationError(Fault.DTYPE, detail)
    codes, flags = check_codes(answer[0], words.shape, fmt), np.asarray(answer[1])
    if flags.dtype.kind not in "iu" or flags.shape != words.shape:
        detail = f"returned flags of {flags.dtype} and shape {flags.shape}; integers are expected"
        raise ImplementationError(Fault.DTYPE, detail)
    if ((flags < 0) | (flags > sum(FLAG_BITS.values()))).any():
        detail = f"returned flags other than sums of {', '.join(map(str, FLAG_BITS.values()))}"
        raise ImplementationError(Fault.RANGE, detail)
    return codes, flags.astype(np.uint8)


def _probe(
    judged: Implementation,
    words: npt.NDArray[Any],
    codes: npt.NDArray[Any],
    source: SourceType,
    fmt: Format,
    *,
    with_flags: bool,
) -> tuple[Finding, ...]:
    """Ask a callable again, in other arrays; anything else again, in another order."""

    def describe(word: int, first: int, second: int) -> str:
        digits = -(-fmt.bits // 4)
        return f"{source.hex(word)} gave {second:0{digits}x}, and {first:0{digits}x} before"

    if not isinstance(judged, CallableImplementation):
        found = probe_order(words, codes, lambda given: ask(judged, given, source, fmt), describe)
        if isinstance(judged, ProcessImplementation):  # no memory is shared with it
            return found
        return found + probe_buffer(words, lambda given: judged.codes(given, source, fmt))

    def call(given: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - whatever it returns
        return judged.answer(given if judged.takes == "bits" else source.values(given))

    def answer(given: npt.NDArray[Any]) -> npt.NDArray[Any]:
        answered = call(given)
        return check_codes(answered[0] if with_flags else answered, given.shape, fmt)

    swap = _swaps(judged, source)
    return probe(words, codes, answer, describe, swap=swap) + probe_buffer(words, call)


def _swaps(judged: CallableImplementation, source: SourceType) -> bool:
    """Whether it is given values of the other byte order: bits and ml_dtypes' types have none."""
    return judged.takes == "values" and source.name != "bfloat16"


def _layouts(judged: Implementation, source: SourceType) -> tuple[str, ...]:
    """Say in which arrays an implementation was given its inputs."""
    if isinstance(judged, CallableImplementation):
        return probed_layouts(swap=_swaps(judged, source))
    return (
        ("one input a line, in both orders",)
        if isinstance(judged, ProcessImplementation)
        else ("a contiguous array, in both orders",)
    )
