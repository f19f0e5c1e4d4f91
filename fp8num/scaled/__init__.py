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
    assembled,
    block_frame,
    picture,
    quantized_by,
)
from fp8num.scaled.blocks import Blocks, Region, beside, slabs

__all__ = [
    "Blocks",
    "Descale",
    "Region",
    "RuleLike",
    "ScaledArray",
    "assembled",
    "beside",
    "block_frame",
    "picture",
    "quantized_by",
    "slabs",
]

imported(__name__)
