"""
Another program as an implementation: it reads hex lines and writes hex lines.

::

    3e99999a           ->  program  ->  3e99999a 2a         (input echoed, code)
    one input a line                    one answer a line, in the same order

That is all it needs: no Python, no library, any language.
"""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.verify.hexlines import parse_results, write_inputs
from fp8num.verify.implementation import Fault, ImplementationError, check_timeout

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["LINE", "ProcessImplementation"]

#: Characters of a program's complaint that are passed on.
COMPLAINT = 200
#: Bytes of an answer, and far more than any has.
LINE = 256


@dataclass(frozen=True)
class ProcessImplementation:
    """
    A program that converts the inputs it reads.

    Parameters
    ----------
    command : tuple of str
        The program and its arguments.
    timeout : float, optional
        Seconds for all the inputs of one call; the program is then killed.

    Examples
    --------
    ::

        verify.check(ProcessImplementation(("./my_converter",)), "E4M3FN", source="f32")
    """

    command: tuple[str, ...]
    timeout: float | None = 60.0

    def __post_init__(self) -> None:
        """Check the arguments; ValueError if there is no program, or no such time limit."""
        check_timeout(self.timeout)
        if not self.command or not self.command[0]:
            msg = "command must name a program, got none"
            raise ValueError(msg)

    @property
    def name(self) -> str:
        """The command line."""
        return shlex.join(self.command)

    def codes(self, words: npt.NDArray[Any], source: SourceType, fmt: Format) -> npt.NDArray[Any]:
        """Return the program's codes, as `codes_and_flags` does."""
        return self.codes_and_flags(words, source, fmt)[0]

    def codes_and_flags(
        self, words: npt.NDArray[Any], source: SourceType, fmt: Format
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8] | None]:
        """Run the program; ImplementationError if it cannot be started, hangs, dies or babbles."""
        with tempfile.TemporaryFile("w+", encoding="ascii") as given:
            write_inputs(words, source, given)
            given.seek(0)
            output = self._run(given, words.size * LINE + (1 << 16))
        echoed, codes, flags = parse_results(io.StringIO(output), source, fmt)
        size = min(echoed.size, words.size)
        wrong = np.flatnonzero(echoed[:size] != words[:size])
        if wrong.size:
            place = int(wrong[0])
            detail = (
                f"answer {place + 1} is to {int(echoed[place]):0{source.digits}x}, "
                f"not to {int(words[place]):0{source.digits}x}; answers must come in order"
            )
            raise ImplementationError(Fault.GARBAGE, detail)
        if echoed.size != words.size:
            detail = f"gave {echoed.size:,} answers to {words.size:,} inputs"
            raise ImplementationError(Fault.MISSING, detail)
        return codes, flags

    def _run(self, given: IO[str], most: int) -> str:
        """Return what the program writes, if that is not more than it can have to say."""
        # Files and not pipes: a program may write before it reads, and as much as it likes.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaint:
            try:
                process = subprocess.Popen(  # noqa: S603 - running the user's program is its purpose
                    self.command,
                    stdin=given,
                    stdout=output,
                    stderr=complaint,
                    start_new_session=True,
                )
            except OSError as error:
                reason = error.strerror or error
                if Path(self.command[0]).is_dir():
                    reason = "it is a directory"
                detail = f"could not be started: {reason}"
                raise ImplementationError(Fault.START, detail) from error
            try:
                self._wait(process, output, most)
            finally:
                _kill(process)
                process.wait()
            if process.returncode:
                raise ImplementationError(Fault.DIED, _end(process.returncode, complaint))
            output.seek(0)
            return output.read().decode("utf-8", "replace")

    def _wait(self, process: subprocess.Popen[bytes], output: IO[bytes], most: int) -> None:
        """Wait for the program's end, not longer than it has, nor for more than it should say."""
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        pause = 0.001
        while process.poll() is None:
            if os.fstat(output.fileno()).st_size > most:
                detail = f"wrote more than {most:,} bytes, far more than answers, and was killed"
                raise ImplementationError(Fault.GARBAGE, detail)
            if deadline is not None and time.monotonic() > deadline:
                detail = f"did not end within {self.timeout:g} s and was killed"
                raise ImplementationError(Fault.TIMEOUT, detail)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        if os.fstat(output.fileno()).st_size > most:
            detail = f"wrote more than {most:,} bytes, far more than answers"
            raise ImplementationError(Fault.GARBAGE, detail)


def _end(code: int, complaint: IO[bytes]) -> str:
    """Say how a program ended, and the end of what it said."""
    how = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
    complaint.seek(max(complaint.seek(0, os.SEEK_END) - 4 * COMPLAINT, 0))
    said = complaint.read().decode("utf-8", "replace").strip()[-COMPLAINT:]
    return how + (f", saying {said!r}" if said else "")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and whatever it has started, which may still be at work."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):  # no groups, or gone already
        process.kill()
