"""
Hypothesis strategies for small floating-point formats.

::

    codes  values  code_arrays     one code, one value, arrays of codes
    special_codes                  infinities and NaNs
    rounding_boundaries            where a conversion decides, and the floats beside it
    value_arrays                   arrays of those, each drawn by itself
    boundary_arrays                all of those from one value of the format to another
    formats                        formats themselves, at random
    roundings  saturations  projections

All shrink towards what is simple: code 0, the smallest magnitude, plus, a value rather
than a midpoint, the default projection, the narrowest signed format.  Hypothesis knows
the types too: ``st.from_type(Format)`` needs nothing imported from here.
"""

from fp8num.strategies.boundaries import boundary_arrays, rounding_boundaries, value_arrays
from fp8num.strategies.elements import code_arrays, codes, special_codes, values
from fp8num.strategies.parameters import formats, projections, roundings, saturations

__all__ = [
    "boundary_arrays",
    "code_arrays",
    "codes",
    "formats",
    "projections",
    "rounding_boundaries",
    "roundings",
    "saturations",
    "special_codes",
    "value_arrays",
    "values",
]
