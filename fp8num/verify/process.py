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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.verify.hexlines import parse_results, write_inputs
from fp8num.verify.implementation import Fault, ImplementationError

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["ProcessImplementation"]

#: Characters of a program's complaint that are passed on.
COMPLAINT = 200


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

    @property
    def name(self) -> str:
        """The command line."""
        return shlex.join(self.command)

    def codes(self, words: npt.NDArray[Any], source: SourceType, fmt: Format) -> npt.NDArray[Any]:
        """Run the program; ImplementationError if it cannot be started, hangs, dies or babbles."""
        stream = io.StringIO()
        write_inputs(words, source, stream)
        output = self._run(stream.getvalue())
        echoed, codes, _ = parse_results(io.StringIO(output), source, fmt)
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
        return codes

    def _run(self, text: str) -> str:
        """Return what the program writes."""
        try:
            process = subprocess.Popen(  # noqa: S603 - running the user's program is its purpose
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            detail = f"could not be started: {error.strerror or error}"
            raise ImplementationError(Fault.DIED, detail) from error
        with process:
            try:
                output, complaint = process.communicate(text, self.timeout)
            except subprocess.TimeoutExpired as error:
                _kill(process)
                detail = f"did not end within {self.timeout:g} s and was killed"
                raise ImplementationError(Fault.TIMEOUT, detail) from error
            except BaseException:
                _kill(process)
                raise
        code = process.returncode
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
            said = complaint.strip()[-COMPLAINT:]
            raise ImplementationError(Fault.DIED, how + (f", saying {said!r}" if said else ""))
        return output


def _kill(process: subprocess.Popen[str]) -> None:
    """End a program and whatever it has started, which may hold the pipes open."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):  # no groups, or gone already
        process.kill()
