"""
Somebody's implementation, called so that what it does wrong is said and not passed on.

::

    words (bits of a source type) -> values or bits -> implementation -> codes

A wrong shape, type or range, an exception and a hang are findings about the implementation,
not errors of the verification.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fp8num._arguments import choice, refuse, refuse_kind
from fp8num.codec import encode
from fp8num.projection import NanResult, Rounding, Saturation

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.formats import Format
    from fp8num.projection import Profile
    from fp8num.verify.sources import SourceType

__all__ = [
    "MOST_SECONDS",
    "CallableImplementation",
    "Encoder",
    "Fault",
    "Implementation",
    "ImplementationError",
    "as_implementation",
    "ask",
    "bits_of",
    "check_codes",
    "check_timeout",
    "check_words_of",
    "fingerprint",
]

#: A time limit is below that of a year, which operating systems can still count.
MOST_SECONDS = 3e7


class Fault(Enum):
    """What is wrong with an implementation besides a wrong code."""

    RAISED = "raised"  #: it raised an exception
    SHAPE = "shape"  #: its answer has another shape than its input
    DTYPE = "dtype"  #: its answer holds no codes
    RANGE = "range"  #: its answer holds codes that the format does not have
    TIMEOUT = "timeout"  #: it gave no answer in time
    START = "start"  #: the program could not be started
    DIED = "died"  #: the process ended, or was ended, before it was told to
    GARBAGE = "garbage"  #: a line that is no answer
    MISSING = "missing"  #: there are fewer answers than cases
    UNSTABLE = "unstable"  #: the same input gave another code the second time
    LENGTH = "length"  #: the code of an element depends on the length of the array
    STRIDES = "strides"  #: the code of an element depends on how the array lies in memory
    BYTES = "byte order"  #: the code of an element depends on the order of its bytes
    BUFFER = "buffer"  #: a later call overwrote the answer of an earlier one
    INPUT = "input"  #: it wrote to its input


class ImplementationError(Exception):
    """
    An implementation did not give an answer that can be judged.

    Parameters
    ----------
    fault : Fault
        Which kind of fault it is.
    detail : str
        What happened, in a sentence.
    """

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


@runtime_checkable
class Implementation(Protocol):
    """What converts words of a source type to codes of a format."""

    @property
    def name(self) -> str:
        """What it is called in a verdict."""

    def codes(self, words: npt.NDArray[Any], source: SourceType, fmt: Format) -> npt.NDArray[Any]:
        """Return a code for each word; ImplementationError if there is none."""


@dataclass(frozen=True)
class CallableImplementation:
    """A Python callable that takes an array and returns an array."""

    #: Takes an array of any shape; a process pool needs it to be picklable.  NumPy's floating-
    #: point errors are ignored while it runs, whatever the caller's `errstate`.
    function: Callable[[npt.NDArray[Any]], Any]
    name: str  #: what it is called in a verdict
    #: Whether it is given values of the source type, or their bits as unsigned integers.
    takes: str = "values"
    #: Seconds after which a call counts as hanging.  The thread that hangs is abandoned.
    timeout: float | None = None

    def codes(self, words: npt.NDArray[Any], source: SourceType, fmt: Format) -> npt.NDArray[Any]:
        """Call the function and check its answer."""
        given = words if self.takes == "bits" else source.values(words)
        return check_codes(self.answer(given), words.shape, fmt)

    def answer(self, given: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - whatever it returns
        """Call the function, under the time limit; ImplementationError if it raises or hangs."""
        if self.timeout is None:
            return self._call(given)
        found: list[Any] = []

        def call() -> None:
            try:
                found.append(self._call(given))
            except ImplementationError as error:
                found.append(error)
            except BaseException as error:  # noqa: BLE001 - it must not end in this thread
                detail = f"raised {type(error).__name__}: {error}"
                found.append(ImplementationError(Fault.RAISED, detail))

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(self.timeout)
        if not found:
            detail = f"no answer within {self.timeout:g} s for an array of shape {given.shape}"
            raise ImplementationError(Fault.TIMEOUT, detail)
        if isinstance(found[0], ImplementationError):
            raise found[0]
        return found[0]

    def _call(self, given: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - whatever it returns
        try:
            with np.errstate(all="ignore"):
                return self.function(given)
        except ImplementationError:  # it says itself what is wrong
            raise
        except (Exception, SystemExit) as error:
            detail = f"raised {type(error).__name__}: {error} for an array of shape {given.shape}"
            raise ImplementationError(Fault.RAISED, detail) from error


def ask(
    implementation: Implementation, words: npt.NDArray[Any], source: SourceType, fmt: Format
) -> npt.NDArray[Any]:
    """Ask an implementation, whatever it does."""
    try:
        answer = implementation.codes(words, source, fmt)
    except ImplementationError:
        raise
    except (Exception, SystemExit) as error:
        detail = f"raised {type(error).__name__}: {error} for {words.size:,} words"
        raise ImplementationError(Fault.RAISED, detail) from error
    return check_codes(answer, words.shape, fmt)


def fingerprint(implementation: Implementation) -> str:
    """Return a digest of the files that an implementation is in, empty if none are known."""
    files: list[str | None] = list(getattr(implementation, "command", ()))
    if isinstance(implementation, CallableImplementation):
        function = implementation.function
        named = function if hasattr(function, "__qualname__") else type(function)
        files.append(getattr(sys.modules.get(named.__module__), "__file__", None))
    digest = hashlib.sha256()
    found = [Path(name) for name in files if name and Path(name).is_file()]
    for path in found:
        digest.update(path.read_bytes())
    return digest.hexdigest() if found else ""


def check_codes(answer: object, shape: tuple[int, ...], fmt: Format) -> npt.NDArray[Any]:
    """Return an answer as codes of a format; ImplementationError if it cannot be that."""
    codes = _as_plain(answer)
    if codes.shape == shape and not codes.size:
        return np.empty(shape, fmt.code_dtype)  # of whatever type an empty list becomes
    _require_shape(codes, shape)
    if codes.dtype.kind in "Vf" and codes.dtype.itemsize == fmt.code_dtype.itemsize:
        codes = bits_of(codes, fmt.code_dtype)  # an array of ml_dtypes: its bytes are codes
    if codes.dtype.kind not in "iu":
        detail = (
            f"returned {codes.dtype}, which are no codes of {fmt.name}; "
            f"return integers, preferably {fmt.code_dtype}"
        )
        raise ImplementationError(Fault.DTYPE, detail)
    if codes.dtype == fmt.code_dtype and fmt.bits == 8 * codes.dtype.itemsize:
        return codes
    wrong = (codes < 0) | (codes > (1 << fmt.bits) - 1)
    if wrong.any():
        detail = f"returned code {int(codes[wrong].flat[0])}; {fmt.name} has {fmt.bits} bits"
        raise ImplementationError(Fault.RANGE, detail)
    return codes.astype(fmt.code_dtype)


def check_words_of(answer: object, shape: tuple[int, ...], source: SourceType) -> npt.NDArray[Any]:
    """Return the bits of an answer's values; ImplementationError if they are of another type."""
    values = _as_plain(answer)
    _require_shape(values, shape)
    if values.dtype.newbyteorder("=") != source.dtype:
        detail = f"returned {values.dtype}; values of {source.name} are expected, see source="
        raise ImplementationError(Fault.DTYPE, detail)
    return bits_of(np.ascontiguousarray(values), source.word)


def _as_plain(answer: object) -> npt.NDArray[Any]:
    """Return an answer as an array; ImplementationError if it has a mask."""
    if isinstance(answer, np.ma.MaskedArray):
        detail = "returned a masked array, whose mask would be forgotten; return a plain one"
        raise ImplementationError(Fault.DTYPE, detail)
    return np.asarray(answer)


def _require_shape(answer: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    """Refuse an answer of another shape than what was given: ImplementationError."""
    if answer.shape != shape:
        detail = f"returned shape {answer.shape} for an array of shape {shape}"
        raise ImplementationError(Fault.SHAPE, detail)


def bits_of(values: npt.NDArray[Any], word: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the bits of floats as integers of the same width, whatever the order of bytes."""
    return values.view(word.newbyteorder(values.dtype.byteorder)).astype(word, copy=False)


def check_timeout(timeout: float | None) -> None:
    """Refuse a time limit that is none: ValueError."""
    if timeout is None:
        return
    if not (isinstance(timeout, int | float) and 0 < timeout < MOST_SECONDS):
        refuse("timeout", "seconds above 0", timeout, "None waits for ever")


def as_implementation(
    implementation: Implementation | Callable[[npt.NDArray[Any]], Any],
    *,
    takes: str = "values",
    timeout: float | None = None,
) -> Implementation:
    """Return a callable as an implementation."""
    if isinstance(implementation, Implementation):
        return implementation
    if not callable(implementation):
        wanted = "callable, taking an array of values and returning one of codes"
        advice = "fp8num.verify.peers.get_peer(name, fmt, source) gives an installed library's"
        refuse_kind("implementation", wanted, implementation, advice)
    choice("takes", takes, ("values", "bits"))
    check_timeout(timeout)
    kind = type(implementation)
    named = implementation if hasattr(implementation, "__qualname__") else kind
    module = getattr(named, "__module__", None)
    name = ".".join(part for part in (module, named.__qualname__) if part)
    return CallableImplementation(implementation, name, takes, timeout)


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """
    `fp8num.encode` with its options, to be sent to other processes if need be.

    Parameters
    ----------
    rounding, saturation, like, nan
        As for `fp8num.encode`.
    name : str, optional
        What it is called in a verdict.

    Examples
    --------
    >>> from fp8num.formats import E4M3FN
    >>> from fp8num.verify.sources import get_source
    >>> source = get_source("float32")
    >>> Encoder().codes(source.every(0x3F800000, 1), source, E4M3FN)
    array([56], dtype=uint8)
    """

    rounding: Rounding | str = Rounding.NEAREST_TIES_TO_EVEN
    saturation: Saturation | str = Saturation.SAT_FINITE
    like: str | Profile | None = None
    nan: NanResult | str = NanResult.MAX
    name: str = "fp8num"

    def codes(self, words: npt.NDArray[Any], source: SourceType, fmt: Format) -> npt.NDArray[Any]:
        """Return the codes that `encode` gives."""
        return encode(
            source.values(words),
            fmt,
            rounding=self.rounding,
            saturation=self.saturation,
            like=self.like,
            nan=self.nan,
        )
