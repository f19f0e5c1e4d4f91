"""
Judge an implementation: give it cases, compare its answers, and say what was tried.

::

    cases -> implementation -> answers -> compared with the exact reference -> Conformance
                            -> probes: again, other lengths, other strides

Encoders and decoders take the same path: what differs is asked of `Encoding` or `Decoding`.
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
from fp8num.projection import NanResult, get_projection
from fp8num.verify.cases import CaseSet, standard
from fp8num.verify.conformance import Conformance, Direction, Finding
from fp8num.verify.directions import Decoding, Encoding
from fp8num.verify.implementation import (
    CallableImplementation,
    Fault,
    Implementation,
    ImplementationError,
    as_implementation,
    ask,
)
from fp8num.verify.probes import probe, probe_buffer, probe_order, probed_layouts
from fp8num.verify.process import ProcessImplementation
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.tally import NanRule, Tally
from fp8num.verify.truth import FLAG_BITS, describe_projection

if TYPE_CHECKING:
    from fp8num.projection import Profile, Rounding, Saturation
    from fp8num.verify.directions import Task

__all__ = [
    "TIMEOUT",
    "Judged",
    "assert_conforms",
    "check",
    "check_budget",
    "examine",
    "examine_decoder",
    "judge",
]

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
        judged = as_implementation(implementation, timeout=timeout)
        return examine_decoder(judged, Decoding(fmt, source, compare_nan), budget, probes=probes)
    projection = get_projection(fmt, rounding, saturation, like, nan)
    name = like if like is None or isinstance(like, str) else like.name
    task = Encoding(fmt, source, projection, compare_nan, describe_projection(projection, name))
    if cases is None:
        cases = standard(fmt, source)
    if not isinstance(cases, CaseSet):
        advice = "fp8num.verify.cases has some, CaseSet(name, domain, words) is of your own words"
        refuse_kind("cases", "a CaseSet", cases, advice)
    task.expected(cases.words[:0])  # raises before any work if there is none
    judged = as_implementation(implementation, takes=takes, timeout=timeout)
    if with_flags:
        task.flag_tally(cases.words[:0], np.zeros(0, np.uint8))  # as that
        if not isinstance(judged, CallableImplementation):
            msg = f"with_flags must be left out for {judged.name}; give a callable"
            raise TypeError(msg)
    return examine(
        task,
        judged,
        cases.words,
        cases.domain,
        with_flags=with_flags,
        budget=budget,
        probes=probes,
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


def examine_decoder(
    judged: Implementation, task: Decoding, budget: int, *, probes: bool
) -> Conformance:
    """Give every code to a decoder, which is a callable: TypeError if it is none."""
    if not isinstance(judged, CallableImplementation):
        msg = f"implementation must be a callable to be judged as a decoder, got {judged.name}"
        raise TypeError(msg)
    task.expected(task.codes[:0])  # raises before any work if the type is too narrow
    return examine(task, judged, task.codes, task.domain, budget=budget, probes=probes)


def examine(
    task: Task,
    judged: Implementation,
    words: npt.NDArray[Any],
    domain: str,
    *,
    with_flags: bool = False,
    budget: int,
    probes: bool,
) -> Conformance:
    """Ask an implementation, ask it again, and judge what it answered."""
    started = time.perf_counter()
    words = words[task.asked(words)]
    findings: list[Finding] = []
    layouts: tuple[str, ...] = ()
    found, flags = _ask(task, judged, words, findings, with_flags=with_flags)
    if found is not None and probes:
        more, layouts = _probe(task, judged, words, found, with_flags=with_flags)
        findings += more
    verdict = judge(
        task, words, found, flags=flags, implementation=judged.name, domain=domain, budget=budget
    )
    seconds = time.perf_counter() - started
    return replace(verdict, findings=tuple(findings), layouts=layouts, seconds=seconds)


def judge(
    task: Task,
    words: npt.NDArray[Any],
    answers: npt.NDArray[Any] | None,
    *,
    flags: npt.NDArray[Any] | None = None,
    implementation: str,
    domain: str,
    budget: int,
) -> Conformance:
    """Compare answers that are there already, None if there are none, with what they should be."""
    compared, coverage = Tally(), None
    agrees: tuple[str, ...] = ()
    asked = task.asked(words)
    words = words[asked if answers is not None else np.zeros_like(asked)]
    if answers is not None:
        answers = answers[asked]
        compared, coverage = task.tally(words, answers), task.coverage(words)
        agrees = task.agrees(words, answers, compared)
    return Conformance(
        implementation=implementation,
        fmt=task.fmt,
        source=task.source,
        direction=task.direction,
        rule=task.rule,
        domain=domain,
        exclusions=task.exclusions,
        cases=task.cases(words),
        tally=compared,
        flags=task.flag_tally(words, None if flags is None else flags[asked]),
        findings=(),
        agrees=agrees,
        coverage=coverage,
        nan=task.nan,
        budget=budget,
        seconds=0.0,
    )


def _ask(
    task: Task,
    judged: Implementation,
    words: npt.NDArray[Any],
    findings: list[Finding],
    *,
    with_flags: bool,
) -> tuple[npt.NDArray[Any] | None, npt.NDArray[Any] | None]:
    """Return answers and flags, or None and a finding for what is not to be had."""
    given = words.copy()
    try:
        answers, flags = _answer(task, judged, given, with_flags=with_flags)
        flags = None if flags is None else _check_flags(flags, words.shape)
    except ImplementationError as error:
        findings.append(Finding(error.fault, error.detail))
        return None, None
    if not np.array_equal(given, words):
        place = int(np.flatnonzero(given != words)[0])
        what = task.input_text(int(words[place]))
        detail = f"element {place} of the input, {what}, was written to"
        findings.append(Finding(Fault.INPUT, detail))
    # A copy: an implementation may hand out the same buffer each time.
    return answers.copy(), flags


def _answer(
    task: Task, judged: Implementation, words: npt.NDArray[Any], *, with_flags: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Ask once; ImplementationError if what comes is no answer."""
    if isinstance(judged, ProcessImplementation):
        return judged.codes_and_flags(words, task.source, task.fmt)
    if not isinstance(judged, CallableImplementation):
        return ask(judged, words, task.source, task.fmt), None
    answer, flags = judged.answer(task.given(words, judged.takes)), None
    try:
        if with_flags:
            answer, flags = _codes_and_flags(answer)
        return task.read(answer, words.shape), flags
    except ImplementationError:
        raise
    except Exception as error:
        detail = f"raised {type(error).__name__}: {error} for {words.size:,} words"
        raise ImplementationError(Fault.RAISED, detail) from error


def _codes_and_flags(answer: object) -> tuple[object, npt.NDArray[Any]]:
    """Return the two parts of an answer; ImplementationError if it has no such parts."""
    if not isinstance(answer, tuple) or len(answer) != 2:
        detail = f"returned {type(answer).__name__}; with_flags=True expects (codes, flags)"
        raise ImplementationError(Fault.DTYPE, detail)
    return answer[0], np.asarray(answer[1])


def _check_flags(flags: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return flags as they are compared; ImplementationError if they are none."""
    if flags.dtype.kind not in "iu" or flags.shape != shape:
        detail = f"returned flags of {flags.dtype} and shape {flags.shape}; integers are expected"
        raise ImplementationError(Fault.DTYPE, detail)
    if ((flags < 0) | (flags > sum(FLAG_BITS.values()))).any():
        detail = f"returned flags other than sums of {', '.join(map(str, FLAG_BITS.values()))}"
        raise ImplementationError(Fault.RANGE, detail)
    return flags.astype(np.uint8)


def _probe(
    task: Task,
    judged: Implementation,
    words: npt.NDArray[Any],
    answers: npt.NDArray[Any],
    *,
    with_flags: bool,
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Ask a callable again, in other arrays; anything else again, in another order."""

    def again(given: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return _answer(task, judged, given, with_flags=with_flags)[0]

    def describe(word: int, first: int, second: int) -> str:
        one, other = task.output_text(first), task.output_text(second)
        return f"{task.input_text(word)} gave {other}, and {one} before"

    def whole(given: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - whatever it returns
        if isinstance(judged, CallableImplementation):
            return judged.answer(task.given(given, judged.takes))
        return judged.codes(given, task.source, task.fmt)

    if isinstance(judged, ProcessImplementation):  # no memory is shared with it
        found = probe_order(words, answers, again, describe)
        return found, ("one input a line, in both orders",)
    if not isinstance(judged, CallableImplementation):
        found = probe_order(words, answers, again, describe) + probe_buffer(words, whole)
        return found, ("a contiguous array, in both orders",)
    swap = task.swaps(judged.takes)
    found = probe(words, answers, again, describe, swap=swap) + probe_buffer(words, whole)
    return found, probed_layouts(swap=swap)
