"""
Whether an answer depends on anything but the value: asked again, alone, in other arrays.

::

    whole array   w0 w1 w2 ........................ wn   -> codes, the answer judged by
    again         the same array                         -> the same codes?
    lengths       windows of 0 .. 1000 elements          -> the same codes? (SIMD tails)
    strides       reversed, every second, transposed     -> the same codes?

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

__all__ = ["LENGTHS", "probe", "probe_order"]

#: Lengths of arrays around the widths of vector units.
LENGTHS = (0, *range(1, 34), 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000)
#: Windows of each length: places of the cases at which they begin.
WINDOWS = 8


def probe(
    inputs: npt.NDArray[Any],
    outputs: npt.NDArray[Any],
    answer: Answer,
    describe: Callable[[int, int, int], str],
) -> tuple[Finding, ...]:
    """
    Ask an implementation for codes that it has given already.

    Parameters
    ----------
    inputs : ndarray, shape (n,)
        What it was given.
    outputs : ndarray, shape (n,)
        What it answered.
    answer : callable
        Asks it about an array of any shape; raises ImplementationError.
    describe : callable
        Writes an input, the first answer and the second.

    Returns
    -------
    tuple of Finding
        One for each kind of dependence.
    """
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
    return tuple(findings)


def probe_order(
    inputs: npt.NDArray[Any],
    outputs: npt.NDArray[Any],
    answer: Answer,
    describe: Callable[[int, int, int], str],
) -> tuple[Finding, ...]:
    """
    Ask again for all codes, in the reversed order: for what takes inputs one by one.

    Parameters
    ----------
    inputs, outputs, answer, describe
        As of `probe`.

    Returns
    -------
    tuple of Finding
        One, if an answer is another now.
    """
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
    part, known = inputs[:4096], outputs[:4096]
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
