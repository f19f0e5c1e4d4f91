"""How a real number becomes a code, and how other libraries do it."""

from fp8num.projection.modes import NanResult, Projection, Result, Rounding, Saturation
from fp8num.projection.profiles import PROFILES, Profile, get_projection

__all__ = [
    "PROFILES",
    "NanResult",
    "Profile",
    "Projection",
    "Result",
    "Rounding",
    "Saturation",
    "get_projection",
]
