"""
Arrays in a small format together with their scales.

::

    ScaledArray  codes + stored scales + how they combine     Blocks  which share a scale
"""

from fp8num._kernels.state import imported
from fp8num.scaled.array import (
    Descale,
    RuleLike,
    ScaledArray,
    block_frame,
    picture,
)
from fp8num.scaled.blocks import Blocks, Region, beside, slabs

__all__ = [
    "Blocks",
    "Descale",
    "Region",
    "RuleLike",
    "ScaledArray",
    "beside",
    "block_frame",
    "picture",
    "slabs",
]

imported(__name__)
