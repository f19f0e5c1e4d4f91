"""
Which scaling rules somebody's dump obeys, nearly obeys, or cannot have come from.

::

    identify(codes, scales, source=x) --> Identification: obeyed, consistent, near, findings
"""

from fp8num.scaling.identifying.records import (
    Exclusion,
    Finding,
    Group,
    Identification,
    Match,
    Near,
    Witness,
)
from fp8num.scaling.identifying.verdict import identify

__all__ = [
    "Exclusion",
    "Finding",
    "Group",
    "Identification",
    "Match",
    "Near",
    "Witness",
    "identify",
]
