"""
A format for programs without Python: its tables and thresholds as source code.

::

    Truth, reference.decode -> Contents -> C header | SystemVerilog package
"""

from fp8num.verify.tables.contents import Contents, Encoder, contents
from fp8num.verify.tables.languages import c_header, sv_package

__all__ = ["Contents", "Encoder", "c_header", "contents", "sv_package"]
