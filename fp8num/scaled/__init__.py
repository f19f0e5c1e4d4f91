"""
Arrays in a small format together with their scales.

::

    ScaledArray  codes + stored scales + how they combine     Blocks  which share a scale
"""

from fp8num._kernels.state import imported
from fp8num.scaled.array import Descale, RuleLike, ScaledArray, assembled, quantized_by
from fp8num.scaled.blocks import Blocks, Region, beside, slabs
from fp8num.scaled.frame import block_frame
from fp8num.scaled.picture import picture

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
