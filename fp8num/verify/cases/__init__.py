"""
Sets of inputs by construction, each saying what it contains.

::

    all_codes(fmt)                                   every code, for decoders
    every(source)                                    every word of a 16-bit type
    boundaries  subnormal_edges  overflow_edges      around where a conversion decides
    specials  nan_payloads                           the ends of a type
    structured  binades                              odd mantissas; every exponent
    standard(fmt, source)                            what a verification tries by default
    crossing(fmt)                                    those by source, rounding and saturation

No set has a word twice, and each has its words in the same order every time.
"""

from fp8num.verify.cases.constructed import (
    EDGE,
    all_codes,
    boundaries,
    every,
    nan_payloads,
    overflow_edges,
    specials,
    subnormal_edges,
)
from fp8num.verify.cases.plans import CASE_SETS, Plan, case_set, crossing, standard
from fp8num.verify.cases.sampling import binades, structured
from fp8num.verify.cases.sets import CaseSet, union

__all__ = [
    "CASE_SETS",
    "EDGE",
    "CaseSet",
    "Plan",
    "all_codes",
    "binades",
    "boundaries",
    "case_set",
    "crossing",
    "every",
    "nan_payloads",
    "overflow_edges",
    "specials",
    "standard",
    "structured",
    "subnormal_edges",
    "union",
]
