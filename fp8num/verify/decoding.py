"""Judge a decoder: give it every code, and compare the values with the definition."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import numpy.typing as npt

from fp8num.verify import reference
from fp8num.verify.conformance import Conformance, Direction, Finding
from fp8num.verify.hexlines import parse_decoded
from fp8num.verify.implementation import (
    CallableImplementation,
    Fault,
    ImplementationError,
    bits_of,
)
from fp8num.verify.probes import probe, probe_buffer, probed_layouts
from fp8num.verify.tally import WITNESSES, NanRule, Tally, Witness

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.verify.implementation import Implementation
    from fp8num.verify.sources import SourceType

__all__ = ["check_decoded_lines", "check_decoder", "expected_words"]


def expected_words(fmt: Format, source: SourceType) -> npt.NDArray[Any]:
    """Return the bits of every code's value."""
    words = np.zeros(1 << fmt.bits, source.word)
    for code in range(1 << fmt.bits):
        datum = reference.decode(code, fmt)
        magnitude, exact = source.place(abs(datum.value))
        if datum.kind is reference.Kind.NAN:
            magnitude = source.infinity | source.quiet
        elif datum.kind is reference.Kind.INFINITE:
            magnitude = source.infinity
        elif not exact:
            msg = (
                f"source must hold every value of {fmt.name}, {source.name} does not hold that "
                f"of code {code:#x}; name a wider one"
            )
            raise ValueError(msg)
        words[code] = magnitude | (source.sign if datum.negative else 0)
    return words


def check_decoder(
    judged: Implementation,
    fmt: Format,
    source: SourceType,
    *,
    compare_nan: NanRule,
    budget: int,
    probes: bool,
) -> Conformance:
    """Judge an implementation that takes codes and returns values."""
    if not isinstance(judged, CallableImplementation):
        msg = f"implementation must be a callable to be judged as a decoder, got {judged.name}"
        raise TypeError(msg)
    expected = expected_words(fmt, source)
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
    started = time.perf_counter()

    def answer(given: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return _words(judged.answer(given), given.shape, source)

    def describe(code: int, first: int, second: int) -> str:
        return f"code {code:#x} gave {source.hex(second)}, and {source.hex(first)} before"

    findings: list[Finding] = []
    layouts: tuple[str, ...] = ()
    found = Tally()
    try:
        got = answer(codes.copy())
    except ImplementationError as error:
        findings.append(Finding(error.fault, error.detail))
    else:
        found = _compare(expected, got, fmt, source, compare_nan)
        if probes:
            findings += probe(codes, got, answer, describe, swap=False)
            findings += probe_buffer(codes, judged.answer)
            layouts = probed_layouts(swap=False)
    counts = Counter(fmt.classify(code) for code in codes.tolist())
    ignored = "payload" if compare_nan is NanRule.CODE else "sign and payload"
    return Conformance(
        implementation=judged.name,
        fmt=fmt,
        source=source,
        direction=Direction.DECODE,
        rule="exact",
        domain=f"all {1 << fmt.bits:,} codes of {fmt.name}",
        exclusions=(f"the {ignored} of NaN values",) if fmt.has_nan else (),
        cases=tuple(sorted(counts.items())),
        tally=found,
        flags=None,
        findings=tuple(findings),
        layouts=layouts,
        coverage=None,
        nan=compare_nan,
        budget=budget,
        seconds=time.perf_counter() - started,
    )


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
    return check_decoder(judged, fmt, source, compare_nan=compare_nan, budget=budget, probes=False)


def _words(answer: object, shape: tuple[int, ...], source: SourceType) -> npt.NDArray[Any]:
    """Return the bits of an answer's values; ImplementationError if they are of another type."""
    if isinstance(answer, np.ma.MaskedArray):
        detail = "returned a masked array, whose mask would be forgotten; return a plain one"
        raise ImplementationError(Fault.DTYPE, detail)
    values = np.asarray(answer)
    if values.shape != shape:
        detail = f"returned shape {values.shape} for an array of shape {shape}"
        raise ImplementationError(Fault.SHAPE, detail)
    if values.dtype.newbyteorder("=") != source.dtype:
        detail = f"returned {values.dtype}; values of {source.name} are expected, see source="
        raise ImplementationError(Fault.DTYPE, detail)
    return bits_of(np.ascontiguousarray(values), source.word)


def _compare(
    expected: npt.NDArray[Any],
    got: npt.NDArray[Any],
    fmt: Format,
    source: SourceType,
    compare_nan: NanRule,
) -> Tally:
    """Compare bits of values by code; NaNs by class, or by class and sign."""
    mask = source.word.type(source.sign - 1)
    both = ((expected & mask) > source.infinity) & ((got & mask) > source.infinity)
    if compare_nan is NanRule.CODE and fmt.has_negative_zero:
        both &= (expected ^ got) <= mask
    wrong = np.flatnonzero((expected != got) & ~both).tolist()
    kinds = [fmt.classify(code) for code in wrong]
    kept: Counter[str] = Counter()
    witnesses = []
    for code, kind in zip(wrong, kinds, strict=True):
        kept[kind] += 1
        if kept[kind] <= WITNESSES:
            witnesses.append(Witness(code, kind, int(expected[code]), int(got[code])))
    return Tally(expected.size, tuple(sorted(Counter(kinds).items())), tuple(witnesses))
