"""
What a format holds: `Format`, the catalogue and the names it goes by.

A format is parameters (`Format`) or a table (`TabulatedFormat`); both are used alike.
"""

from fp8num.formats.catalogue import *
from fp8num.formats.catalogue import __all__ as _catalogue_names
from fp8num.formats.families import Overflow, Specials
from fp8num.formats.format import Format, Magnitudes
from fp8num.formats.p3109 import p3109_format, p3109_names
from fp8num.formats.spelling import format_from_dict, get_format
from fp8num.formats.tabulated import MXINT8, TabulatedFormat

__all__ = [
    *_catalogue_names,
    "MXINT8",
    "Format",
    "Magnitudes",
    "Overflow",
    "Specials",
    "TabulatedFormat",
    "format_from_dict",
    "get_format",
    "p3109_format",
    "p3109_names",
]
