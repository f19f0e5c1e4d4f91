"""
Operations on codes, each the exact result projected once.

::

    codes -> numbers -> exact result -> rounding -> saturation -> codes

Operands and result may be of different formats of up to 16 bits.  What a number divided
by zero gives, and other special cases, is IEEE 754's or IEEE P3109's: see `Convention`.
"""

from fp8num.ops.arithmetic import (
    add,
    divide,
    exp,
    exp2,
    faa,
    fma,
    log,
    log2,
    maximum,
    maximum_finite,
    maximum_magnitude,
    maximum_magnitude_number,
    maximum_number,
    minimum,
    minimum_finite,
    minimum_magnitude,
    minimum_magnitude_number,
    minimum_number,
    multiply,
    reciprocal,
    rsqrt,
    sigmoid,
    sqrt,
    subtract,
    tanh,
)
from fp8num.ops.classes import (
    classify,
    is_finite,
    is_infinite,
    is_nan,
    is_normal,
    is_sign_minus,
    is_subnormal,
    is_zero,
)
from fp8num.ops.comparing import (
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    not_equal,
    total_order,
    unordered,
)
from fp8num.ops.convention import Convention
from fp8num.ops.neighbours import kappa, next_down, next_up, nextafter, ulp
from fp8num.ops.signs import absolute, copysign, negate

__all__ = [
    "Convention",
    "absolute",
    "add",
    "classify",
    "copysign",
    "divide",
    "equal",
    "exp",
    "exp2",
    "faa",
    "fma",
    "greater",
    "greater_equal",
    "is_finite",
    "is_infinite",
    "is_nan",
    "is_normal",
    "is_sign_minus",
    "is_subnormal",
    "is_zero",
    "kappa",
    "less",
    "less_equal",
    "log",
    "log2",
    "maximum",
    "maximum_finite",
    "maximum_magnitude",
    "maximum_magnitude_number",
    "maximum_number",
    "minimum",
    "minimum_finite",
    "minimum_magnitude",
    "minimum_magnitude_number",
    "minimum_number",
    "multiply",
    "negate",
    "next_down",
    "next_up",
    "nextafter",
    "not_equal",
    "reciprocal",
    "rsqrt",
    "sigmoid",
    "sqrt",
    "subtract",
    "tanh",
    "total_order",
    "ulp",
    "unordered",
]
