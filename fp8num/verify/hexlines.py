"""
Lines of hexadecimal words: how programs in any language are given cases and answer.

::

    3e99999a            an input, the bits of a float32
    3e99999a 2a         the answer: the input again, and the code
    3e99999a 2a 01      the same with flags, as a bit mask or as letters: 3e99999a 2a x

A decoder is given codes and answers with words.  Flags are those of SoftFloat and of
RISC-V's fflags: 01 or x is inexact, 02 or u underflow, 04 or o overflow, 10 or i or v
invalid; ``.`` and ``-`` stand for a letter that is not set.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num.verify.implementation import Fault, ImplementationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = [
    "FLAGS",
    "Results",
    "code_digits",
    "hex_lines",
    "parse_decoded",
    "parse_results",
    "write_answers",
    "write_decoded",
    "write_inputs",
]

#: The bit of each flag, by its letter.
FLAGS = {"x": 0x01, "u": 0x02, "o": 0x04, "i": 0x10}
_LETTERS = FLAGS | {"v": FLAGS["i"], ".": 0, "-": 0}
_ALL_FLAGS = sum(FLAGS.values())

#: Rows that are written, and bytes that are read, at a time.
ROWS, BYTES = 1 << 17, 1 << 22
#: A longer line is none, whatever is in it: it may never end.
LONGEST = 1000

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_BAD = 0xFF
_NIBBLES = np.full(256, _BAD, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = [*range(16), *range(10, 16)]
_HEX = rb"(?:0[xX])?([0-9a-fA-F]+)"
_LINE = re.compile(rb"\s*" + _HEX + rb"\s+" + _HEX + rb"(?:\s+(\S+))?\s*")
_PLAIN = re.compile(rb"([0-9a-fA-F]+) ([0-9a-fA-F]+)\n")

_Words: TypeAlias = npt.NDArray[Any]


class Results(NamedTuple):
    """What lines say: the inputs, the answers, and the flags (uint8) if there are any."""

    inputs: npt.NDArray[Any]
    answers: npt.NDArray[Any]
    flags: npt.NDArray[np.uint8] | None


def code_digits(fmt: Format) -> int:
    """Return how many hexadecimal digits a code has."""
    return -(-fmt.bits // 4)


# Writing.


def hex_lines(*columns: tuple[npt.NDArray[Any], int]) -> str:
    """Write arrays side by side."""
    rows = len(columns[0][0])
    text = np.full((rows, sum(digits + 1 for _, digits in columns)), ord(" "), np.uint8)
    place = 0
    for numbers, digits in columns:
        wide = numbers.astype(np.uint64)
        for digit in range(digits):
            shift = np.uint64(4 * (digits - 1 - digit))
            text[:, place + digit] = _DIGITS[(wide >> shift) & np.uint64(15)]
        place += digits + 1
    text[:, -1] = ord("\n")
    return text.tobytes().decode("ascii")


def _write(stream: IO[str], *columns: tuple[_Words, int]) -> None:
    for row in range(0, len(columns[0][0]), ROWS):
        stream.write(hex_lines(*((words[row : row + ROWS], digits) for words, digits in columns)))


def write_inputs(words: npt.NDArray[Any], source: SourceType, stream: IO[str]) -> None:
    """Write inputs, one a line."""
    _write(stream, (words, source.digits))


def write_answers(
    words: npt.NDArray[Any],
    codes: npt.NDArray[Any],
    source: SourceType,
    fmt: Format,
    stream: IO[str],
    *,
    flags: npt.NDArray[np.uint8] | None = None,
) -> None:
    """Write inputs with their codes, one pair a line."""
    third = () if flags is None else ((flags, 2),)
    _write(stream, (words, source.digits), (codes, code_digits(fmt)), *third)


def write_decoded(
    codes: npt.NDArray[Any],
    words: npt.NDArray[Any] | None,
    fmt: Format,
    source: SourceType,
    stream: IO[str],
) -> None:
    """Write codes, one a line, with what they stand for."""
    second = () if words is None else ((words, source.digits),)
    _write(stream, (codes, code_digits(fmt)), *second)


# Reading.


def parse_results(stream: IO[str] | IO[bytes], source: SourceType, fmt: Format) -> Results:
    """Read what an encoder answered; empty lines and those that begin with # are passed over."""
    one = source.layout.bias << source.layout.mantissa_bits
    reader = _Reader(
        _Column("input", source.bits, source.word),
        _Column(f"code of {fmt.name}", fmt.bits, fmt.code_dtype),
        f"{one:0{source.digits}x} {0:0{code_digits(fmt)}x}",
    )
    return reader.read(stream)


def parse_decoded(stream: IO[str] | IO[bytes], fmt: Format, source: SourceType) -> Results:
    """Read what a decoder answered."""
    reader = _Reader(
        _Column("input", fmt.bits, fmt.code_dtype),
        _Column(f"word of {source.name}", source.bits, source.word),
        f"{0:0{code_digits(fmt)}x} {0:0{source.digits}x}",
    )
    return reader.read(stream)


class _Column(NamedTuple):
    """The numbers of one column."""

    name: str
    bits: int
    dtype: np.dtype[Any]


class _Reader:
    """Read lines of two numbers, and perhaps flags."""

    def __init__(self, first: _Column, second: _Column, example: str) -> None:
        self.first, self.second, self.example = first, second, example
        self.line = 0  # how many have been read
        self.blocks: list[tuple[_Words, _Words]] = []
        self.flags: list[int] = []
        self.has_flags: bool | None = None

    def read(self, stream: IO[str] | IO[bytes]) -> Results:
        """Read all lines."""
        for block in _blocks(stream):
            if not self._read_table(block):
                self._read_lines(block)
        if not self.blocks:
            detail = f"there is no answer; a line is one, such as {self.example!r}"
            raise ImplementationError(Fault.MISSING, detail)
        inputs, answers = (np.concatenate(column) for column in zip(*self.blocks, strict=True))
        flags = np.array(self.flags, np.uint8) if self.has_flags else None
        return Results(inputs, answers, flags)

    def _read_table(self, block: bytes) -> bool:
        """Read lines that are all laid out as the first, if they are: fast, as one array."""
        head = _PLAIN.match(block)
        if head is None or self.has_flags or len(block) % head.end():
            return False
        table = np.frombuffer(block, np.uint8).reshape(-1, head.end())
        space = head.end(1)
        found = []
        for column, (start, stop) in ((self.first, head.span(1)), (self.second, head.span(2))):
            nibbles = _NIBBLES[table[:, start:stop]]
            if 4 * (stop - start) > 64 or (nibbles == _BAD).any():
                return False
            numbers = np.zeros(len(table), np.uint64)
            for nibble in nibbles.T:
                numbers = numbers << np.uint64(4) | nibble
            if column.bits < 64 and (numbers >> np.uint64(column.bits)).any():
                return False
            found.append(numbers.astype(column.dtype))
        if (table[:, space] != ord(" ")).any() or (table[:, -1] != ord("\n")).any():
            return False
        self.has_flags = False
        self.line += len(table)
        self.blocks.append((found[0], found[1]))
        return True

    def _read_lines(self, block: bytes) -> None:
        """Read lines one by one; ImplementationError says which is none."""
        inputs: list[int] = []
        answers: list[int] = []
        for text in block.splitlines(keepends=True):
            self.line += 1
            line = text.strip()
            if len(text) > LONGEST:
                self._refuse(text, f"it has more than {LONGEST} characters")
            if not line or line.startswith(b"#"):
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                self._refuse(text)
            first, second = int(match[1], 16), int(match[2], 16)
            if first >> self.first.bits:
                self._refuse(text, f"its input has more than {self.first.bits} bits")
            if second >> self.second.bits:
                why = f"{second:#x} is no {self.second.name}, which has {self.second.bits} bits"
                self._refuse(text, why, Fault.RANGE)
            if not text.endswith(b"\n") and 4 * len(match[2]) < self.second.bits:
                self._refuse(text, "it is the last and ends before its line does")
            self._read_flags(match[3], text)
            inputs.append(first)
            answers.append(second)
        if inputs:
            columns = (np.array(inputs, self.first.dtype), np.array(answers, self.second.dtype))
            self.blocks.append(columns)

    def _read_flags(self, token: bytes | None, text: bytes) -> None:
        """Read the flags of a line, if it has any; all lines have, or none."""
        if self.has_flags is None:
            self.has_flags = token is not None
        if self.has_flags != (token is not None):
            has, others = ("has no flags", "have") if self.has_flags else ("has flags", "have none")
            self._refuse(text, f"it {has} and the lines before {others}")
        if token is None:
            return
        letters = token.decode("latin-1").lower()
        if set(letters) <= _LETTERS.keys():
            mask = sum({_LETTERS[letter] for letter in letters})
        else:
            match = re.fullmatch(r"(?:0x)?([0-9a-f]{1,2})", letters)
            mask = int(match[1], 16) if match else -1
        if mask & ~_ALL_FLAGS:
            letters = ", ".join(f"{letter} {bit:02x}" for letter, bit in FLAGS.items())
            self._refuse(text, f"its flags are none of {letters}")
        self.flags.append(mask)

    def _refuse(self, text: bytes, why: str = "", fault: Fault = Fault.GARBAGE) -> NoReturn:
        shown = text.strip()[:60].decode("utf-8", "backslashreplace")
        reason = why or f"a line is an input and its answer in hexadecimal, as {self.example!r}"
        detail = f"line {self.line} is no answer: {shown!a}; {reason}"
        raise ImplementationError(fault, detail)


def _blocks(stream: IO[str] | IO[bytes]) -> Iterator[bytes]:
    """Yield blocks of whole lines, the first short: an endless line is seen early."""
    binary = getattr(stream, "buffer", stream)  # bytes that are no text are garbage, no error
    rest, size = b"", 1 << 12
    while piece := binary.read(size):
        size = BYTES
        data = rest + (piece.encode("utf-8", "replace") if isinstance(piece, str) else piece)
        cut = data.rfind(b"\n") + 1
        if cut:
            yield data[:cut]
        rest = data[cut:]
        if len(rest) > LONGEST:
            yield rest
            rest = b""
    if rest:
        yield rest
