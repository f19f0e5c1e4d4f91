"""
Judge lines that another program wrote: each echoes an input and gives its code.

::

    fp8num vectors e4m3fn --source f32 | ./my_converter | fp8num verify e4m3fn - --source f32

The cases are made again here, so that answers that are missing are noticed.
"""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import numpy.typing as npt

from fp8num.verify.check import examine_decoder, judge
from fp8num.verify.conformance import Conformance, Finding
from fp8num.verify.directions import Decoding, Encoding
from fp8num.verify.hexlines import parse_decoded, parse_results
from fp8num.verify.implementation import CallableImplementation, Fault, ImplementationError
from fp8num.verify.process import LINE
from fp8num.verify.tally import NanRule

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.cases import CaseSet
    from fp8num.verify.sources import SourceType

__all__ = ["check_decoded_lines", "check_lines"]


def check_lines(
    stream: TextIO,
    fmt: Format,
    source: SourceType,
    projection: Projection,
    *,
    cases: CaseSet | None,
    implementation: str = "standard input",
    compare_nan: NanRule = NanRule.CLASS,
    rule: str | None = None,
    budget: int = 0,
) -> Conformance:
    """Judge the answers that a stream holds."""
    started = time.perf_counter()
    findings: list[Finding] = []
    words, codes, flags = np.empty(0, source.word), None, None
    try:
        text = stream if cases is None else _bounded(stream, cases.size * LINE + (1 << 16))
        words, codes, flags = parse_results(text, source, fmt)
    except ImplementationError as error:
        findings.append(Finding(error.fault, error.detail))
    domain = "the inputs that were answered"
    if cases is not None and codes is not None:
        domain = cases.domain
        missing = cases.words[~np.isin(cases.words, words)]
        if missing.size:
            first = f"{int(missing[0]):0{source.digits}x}"
            detail = (
                f"{missing.size:,} of {cases.size:,} inputs have no answer, the first is {first}"
            )
            findings.append(Finding(Fault.MISSING, detail))
        more = int((~np.isin(words, cases.words)).sum())
        if more:
            domain += f"; and {more:,} inputs besides"
    if codes is not None and np.unique(words).size < words.size:
        finding = _contradiction(words, codes, source)
        findings += [] if finding is None else [finding]
    verdict = judge(
        Encoding(fmt, source, projection, compare_nan, rule),
        words,
        codes,
        flags=flags,
        implementation=implementation,
        domain=domain,
        budget=budget,
    )
    seconds = time.perf_counter() - started
    return replace(verdict, findings=tuple(findings), seconds=seconds)


def check_decoded_lines(
    stream: TextIO,
    fmt: Format,
    source: SourceType,
    *,
    implementation: str = "standard input",
    compare_nan: NanRule = NanRule.CLASS,
    budget: int = 0,
) -> Conformance:
    """Judge the lines that a decoder wrote: each a code and the bits of its value."""
    answers: dict[int, int] = {}

    def look_up(codes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found = parse_decoded(stream, fmt, source)
        for code, word in zip(found.inputs.tolist(), found.answers.tolist(), strict=True):
            if answers.setdefault(code, word) != word:
                detail = f"{code:x} has two answers, {answers[code]:x} and {word:x}"
                raise ImplementationError(Fault.UNSTABLE, detail)
        missing = [code for code in codes.tolist() if code not in answers]
        if missing:
            detail = (
                f"{len(missing):,} of {codes.size:,} codes have no answer, {missing[0]:x} first"
            )
            raise ImplementationError(Fault.MISSING, detail)
        return source.values(np.array([answers[c] for c in codes.tolist()], source.word))

    judged = CallableImplementation(look_up, implementation)
    return examine_decoder(judged, Decoding(fmt, source, compare_nan), budget, probes=False)


def _bounded(stream: TextIO, most: int) -> TextIO:
    """Read a stream whole; ImplementationError if it goes on for longer than answers do."""
    text = stream.read(most + 1)
    if len(text) > most:
        detail = f"there are more than {most:,} characters, far more than answers have"
        raise ImplementationError(Fault.GARBAGE, detail)
    return io.StringIO(text)


def _contradiction(
    words: npt.NDArray[Any], codes: npt.NDArray[Any], source: SourceType
) -> Finding | None:
    """Return a finding if an input has two different answers."""
    order = np.lexsort((codes, words))
    words, codes = words[order], codes[order]
    twice = np.flatnonzero((words[1:] == words[:-1]) & (codes[1:] != codes[:-1]))
    if not twice.size:
        return None
    place = int(twice[0])
    word = f"{int(words[place]):0{source.digits}x}"
    detail = f"{word} has two answers, {int(codes[place]):x} and {int(codes[place + 1]):x}"
    return Finding(Fault.UNSTABLE, detail)
