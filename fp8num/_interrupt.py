"""
Ctrl-C while the command is still importing: one line and 130, as later.

Importing this is enough.  A library must leave signals alone, so it looks whether the
process is the command.  The handler ends the process at once: an exception would be shown,
or taken for a failed import.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["end"]


def _begin() -> None:
    """End the command quietly from now on, if this is it and nobody else handles interrupts."""
    main = threading.current_thread() is threading.main_thread()
    if main and _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _quit)


def end() -> None:
    """Raise KeyboardInterrupt again from now on."""
    if signal.getsignal(signal.SIGINT) is _quit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_command() -> bool:
    """Whether the process was started as ``fp8num`` or ``python -m fp8num``."""
    if not sys.argv or len(sys.orig_argv) < len(sys.argv):  # embedded
        return False
    if sys.argv[0] == "-m":  # while the package is imported; the module's name is beside it
        return sys.orig_argv[-len(sys.argv)] in {"fp8num", "-mfp8num"}
    return os.path.basename(sys.argv[0]) in {"fp8num", "fp8num.exe"}  # noqa: PTH119 - no pathlib yet


def _quit(number: int, frame: FrameType | None) -> None:
    del number, frame
    try:
        os.write(2, b"fp8num: interrupted\n")
    finally:
        os._exit(130)


_begin()
