"""
Whether an answer depends on anything but the value: asked again, alone, in other arrays.

::

    whole array   w0 w1 w2 ........................ wn   -> codes, the answer judged by
    again         the same array                         -> the same codes?
    lengths       windows of 0 .. 1000 elements          -> the same codes? (SIMD tails)
    strides       reversed, every second, transposed     -> the same codes?
    byte order    the other one than the machine's       -> the same codes, or a refusal?
    buffer        other arrays of that length            -> is the first answer still there?

Each probe compares the implementation with itself: it says nothing about right or wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.verify.conformance import Finding
from fp8num.verify.implementation import Fault, ImplementationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: From an input array to codes of its shape.
    Answer = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

__all__ = ["LENGTHS", "probe", "probe_buffer", "probe_order", "probed_layouts"]

#: Lengths of arrays around the widths of vector units.
LENGTHS = (0, *range(1, 34), 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000)
#: Windows of each length: places of the cases at which they begin.
WINDOWS = 8
#: Elements of the arrays that lie in memory in other ways.
MOST = 4096
#: Arrays, and answers that are kept, to see if one overwrites another.
KEPT = 4


def probe(
    inputs: npt.NDArray[Any],
    outputs: npt.NDArray[Any],
    answer: Answer,
    describe: Callable[[int, int, int], str],
    *,
    swap: bool,
) -> tuple[Finding, ...]:
    """Ask an implementation for codes that it has given already."""
    findings = []
    again = _again(inputs, outputs)
    # In an order of no meaning: neighbours in a list of cases are alike, and arrays of
    # inputs that all become zero show nothing.
    order = np.random.default_rng(0).permutation(inputs.size)
    inputs, outputs = inputs[order], outputs[order]
    for fault, what, trials in (
        (Fault.UNSTABLE, "asked again", again),
        (Fault.LENGTH, "in an array of length {0}, at {1}", _lengths(inputs, outputs)),
        (Fault.STRIDES, "in {0}", _strides(inputs, outputs)),
    ):
        finding = _first_difference(trials, answer, fault, what, describe)
        if finding is not None:
            findings.append(finding)
    if swap:
        trials = _swapped(inputs, outputs)
        finding = _first_difference(trials, answer, Fault.BYTES, "in {0}", describe)
        if finding is not None and finding.fault is not Fault.RAISED:
            findings.append(finding)
    return tuple(findings)


def probed_layouts(*, swap: bool) -> tuple[str, ...]:
    """Return in which arrays `probe` gives the inputs."""
    some = np.arange(16, dtype=np.uint16)
    swapped = [f"{name}, unless refused" for name, _, _ in _swapped(some, some) if swap]
    lengths = f"arrays of {LENGTHS[0]} to {LENGTHS[-1]} elements"
    return ("a contiguous array", lengths, *(name for name, _, _ in _strides(some, some)), *swapped)


def probe_buffer(
    inputs: npt.NDArray[Any], call: Callable[[npt.NDArray[Any]], object]
) -> tuple[Finding, ...]:
    """Ask for several arrays of one length, and look at the answers when all are there."""
    part = inputs[np.random.default_rng(1).permutation(inputs.size)[:MOST]]
    answers, copies = [], []
    for k in range(KEPT if part.size > 1 else 0):
        try:
            answer = call(np.roll(part, k))
        except ImplementationError as error:
            return (Finding(error.fault, error.detail),)
        pieces = answer if isinstance(answer, tuple) else (answer,)
        answers.append([np.asarray(piece) for piece in pieces])
        copies.append([np.array(piece) for piece in pieces])
    for k, (kept, copied) in enumerate(zip(answers, copies, strict=True)):
        for one, before in zip(kept, copied, strict=True):
            if one.tobytes() != before.tobytes():
                detail = (
                    f"answer {k + 1} of {KEPT} was overwritten by a later call; "
                    "return an array of its own for each call"
                )
                return (Finding(Fault.BUFFER, detail),)
    return ()


def probe_order(
    inputs: npt.NDArray[Any],
    outputs: npt.NDArray[Any],
    answer: Answer,
    describe: Callable[[int, int, int], str],
) -> tuple[Finding, ...]:
    """Ask again for all codes, in the reversed order: for what takes inputs one by one."""
    trials = iter([("", inputs[::-1].copy(), outputs[::-1])])
    what = "asked again, in the reversed order"
    finding = _first_difference(trials, answer, Fault.UNSTABLE, what, describe)
    return () if finding is None else (finding,)


Trial = tuple[str, npt.NDArray[Any], npt.NDArray[Any]]


def _first_difference(
    trials: Iterator[Trial],
    answer: Answer,
    fault: Fault,
    what: str,
    describe: Callable[[int, int, int], str],
) -> Finding | None:
    for name, given, expected in trials:
        where = what.format(name, "{0}")
        try:
            got = answer(given)
        except ImplementationError as error:
            return Finding(error.fault, f"{error.detail}, {where.format('any place')}")
        wrong = np.flatnonzero((got != expected).ravel())
        if wrong.size:
            place = int(wrong[0])
            one = describe(
                int(given.ravel()[place]), int(expected.ravel()[place]), int(got.ravel()[place])
            )
            return Finding(fault, f"{where.format(f'element {place}')}: {one}")
    return None


def _again(inputs: npt.NDArray[Any], outputs: npt.NDArray[Any]) -> Iterator[Trial]:
    yield "", inputs.copy(), outputs


def _lengths(inputs: npt.NDArray[Any], outputs: npt.NDArray[Any]) -> Iterator[Trial]:
    """Yield windows of all lengths, at places spread over the cases."""
    for length in LENGTHS:
        if length > inputs.size:
            return
        for k in range(WINDOWS if length else 1):
            start = (inputs.size - length) * (2 * k + 1) // (2 * WINDOWS)
            # A copy: a slice's alignment is a matter of its own.
            yield (
                str(length),
                inputs[start : start + length].copy(),
                outputs[start : start + length],
            )


def _strides(inputs: npt.NDArray[Any], outputs: npt.NDArray[Any]) -> Iterator[Trial]:
    """Yield the same elements in arrays that lie in memory in other ways."""
    part, known = inputs[:MOST], outputs[:MOST]
    yield "an array of every second element", np.repeat(part, 2)[::2], known
    yield "a reversed view", part[::-1], known[::-1]
    rows = part.size // 8
    if rows:
        square, codes = part[: 8 * rows].reshape(8, rows), known[: 8 * rows].reshape(8, rows)
        yield "a two-dimensional array", square, codes
        yield "a transposed view", square.T, codes.T
        yield "a column of a matrix", square[:, :1], codes[:, :1]
    odd = np.empty(part.nbytes + 1, np.uint8)[1:].view(part.dtype)
    odd[...] = part
    yield "an unaligned array", odd, known
    frozen = part.copy()
    frozen.flags.writeable = False
    yield "a read-only array", frozen, known


def _swapped(inputs: npt.NDArray[Any], outputs: npt.NDArray[Any]) -> Iterator[Trial]:
    """Yield the same elements with their bytes the other way round."""
    part = inputs[:MOST].astype(inputs.dtype.newbyteorder("S"))
    name = "big" if part.dtype.newbyteorder(">") == part.dtype else "little"
    yield f"a {name}-endian array", part, outputs[:MOST]
