"""
Conversions, each value rounded once: values to codes and back, and codes to codes.

::

    encode    values -> codes          decode  codes -> values
    quantize  values -> values         convert codes -> codes of another format
    flags     values -> exceptions     pack, unpack  codes <-> dense bytes
"""

from fp8num.codec.decode import convert, decode
from fp8num.codec.encode import encode, quantize
from fp8num.codec.flags import Flags, flags
from fp8num.codec.packing import pack, unpack

__all__ = ["Flags", "convert", "decode", "encode", "flags", "pack", "quantize", "unpack"]
