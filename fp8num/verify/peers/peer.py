"""
A library as an implementation: its answers as codes, whatever they are.

::

    values -> Library.encode -> codes or values -> codes     (floats are encoded)
    codes  -> Library.decode -> values                       (unsigned integers are decoded)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._names import Catalogue
from fp8num.verify.conformance import Finding
from fp8num.verify.hexlines import code_digits
from fp8num.verify.implementation import CallableImplementation, Fault
from fp8num.verify.peers.emulators import EMULATORS
from fp8num.verify.peers.library import REFUSED, read_answers, stand_ins
from fp8num.verify.peers.native import CASTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fp8num.formats import Format
    from fp8num.verify.peers.library import Library
    from fp8num.verify.sources import SourceType

    Array = npt.NDArray[Any]

__all__ = ["LIBRARIES", "Peer", "PeerImplementation"]

#: How each peer is called and what it has.
LIBRARIES: Mapping[str, Library] = Catalogue({**CASTS, **EMULATORS}, "libraries", ("about",))


@dataclass(frozen=True)
class Peer:
    """
    A library's conversion for one format and one type of values, which can be pickled.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    fmt : Format
        The format.
    source : SourceType
        The type of values.
    """

    name: str
    fmt: Format
    source: SourceType

    @property
    def library(self) -> Library:
        """What the name stands for."""
        return LIBRARIES[self.name]

    def __call__(self, given: Array) -> Array:
        """Encode values, or decode codes."""
        if given.dtype.kind == "u":
            return self._decode(given)
        answers = np.asarray(self.library.encode(given, self.library.formats[self.fmt.name]))
        if answers.shape != given.shape:
            return answers  # which is a finding
        codes, known = read_answers(answers, self.fmt)
        return codes if known.all() else np.where(known, codes, stand_ins(given, self.fmt))

    def describe(self, given: Array) -> tuple[str, ...]:
        """
        Write the library's answers, also those that the format does not have.

        Parameters
        ----------
        given : ndarray, shape (n,)
            Values of the source.

        Returns
        -------
        tuple of str
            A code and its value, as ``"7e = 448"``; or ``"480 (none)"``, ``"error"``.
        """
        with np.errstate(all="ignore"):
            answers = np.asarray(self.library.encode(given, self.library.formats[self.fmt.name]))
        codes, known = read_answers(answers, self.fmt)
        digits, table = code_digits(self.fmt), self.fmt.values
        return tuple(
            f"{code:0{digits}x} = {table[code]:.12g}" if is_code else _foreign(answer)
            for code, is_code, answer in zip(codes.tolist(), known, answers.tolist(), strict=True)
        )

    def outside(self, given: Array) -> tuple[npt.NDArray[np.intp], Array]:
        """
        Find the values for which the answer is nothing that the format has.

        Parameters
        ----------
        given : ndarray, shape (n,)
            Values of the source.

        Returns
        -------
        places : ndarray of int
            Where they are.
        answers : ndarray
            The library's answers there.
        """
        answers = np.asarray(self.library.encode(given, self.library.formats[self.fmt.name]))
        places = np.flatnonzero(~read_answers(answers, self.fmt)[1])
        return places, answers[places]

    def _decode(self, codes: Array) -> Array:
        decode = self.library.decode
        if decode is None:
            msg = f"{self.name} has no codes to decode, it gives values"
            raise TypeError(msg)
        values = np.asarray(decode(codes, self.library.formats[self.fmt.name]))
        with np.errstate(all="ignore"):  # a signalling NaN
            return values.astype(self.source.dtype)


def _foreign(answer: float) -> str:
    """Write an answer that the format does not have."""
    if answer == REFUSED and isinstance(answer, int):
        return "error"
    return f"{answer if isinstance(answer, int) else format(answer, '.17g')} (none)"


@dataclass(frozen=True)
class PeerImplementation(CallableImplementation):
    """An installed library as an implementation; its `function` is a `Peer`."""

    def findings(self, words: Array, source: SourceType, fmt: Format) -> tuple[Finding, ...]:
        """
        Say for which inputs the library's answer is nothing that the format has.

        Parameters
        ----------
        words : ndarray of the source's words, shape (n,)
            The inputs.
        source : SourceType
            Their type.
        fmt : Format
            The format.

        Returns
        -------
        tuple of Finding
            For answers that are no value of the format, and for errors.
        """
        peer = Peer(self.function.name, fmt, source)  # type: ignore[attr-defined]
        if peer.library.exact:
            return ()
        try:
            with np.errstate(all="ignore"):
                places, answers = peer.outside(source.values(words))
        except Exception:  # noqa: BLE001 - which is a finding of its own
            return ()
        found = []
        refused = (answers == REFUSED) & (answers.dtype.kind == "i")
        for chosen, what in ((refused, "raised an error"), (~refused, "gave what is none of it")):
            if chosen.any():
                first = int(np.flatnonzero(chosen)[0])
                answer = "" if refused[first] else f"{answers[first]} "
                detail = (
                    f"{what} for {int(chosen.sum()):,} of {words.size:,} inputs of {fmt.name}, "
                    f"first {answer}for {source.hex(int(words[places[first]]))}"
                )
                found.append(Finding(Fault.RANGE, detail))
        return tuple(found)
