"""
The definition of every conversion, in exact rationals: slow and obviously right.

It reads the parameters of a `Format` and nothing derived from them, and shares no
code with what it judges.  `project` defines one conversion; `expected_codes` asks it
for the breakpoints of a projection once, and then serves whole input ranges.
"""

from fp8num.verify.reference.breakpoints import Breakpoint, breakpoints, expected_codes
from fp8num.verify.reference.codes import decode, encode
from fp8num.verify.reference.datum import Datum, Kind, exact
from fp8num.verify.reference.projecting import Flags, flags, project

__all__ = [
    "Breakpoint",
    "Datum",
    "Flags",
    "Kind",
    "breakpoints",
    "decode",
    "encode",
    "exact",
    "expected_codes",
    "flags",
    "project",
]
