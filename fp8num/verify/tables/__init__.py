"""
A format for programs without Python: its tables and thresholds as source code.

::

    Truth, reference.decode -> Contents -> C header | SystemVerilog package
"""

from fp8num.verify.tables.c import c_header
from fp8num.verify.tables.contents import Contents, Encoder, contents
from fp8num.verify.tables.sv import sv_package

__all__ = ["Contents", "Encoder", "c_header", "contents", "sv_package"]
