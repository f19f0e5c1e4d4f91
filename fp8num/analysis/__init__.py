"""
Measure what small formats make of numbers.

::

    tensor -> pieces -> Distribution                     what it holds        (first pass)
                     -> largest magnitudes
                     -> scale_quantize -> ErrorMetrics   what a format loses  (second pass)
                                          merged         -> TensorAnalysis -> DataFrame
"""

from fp8num._kernels.state import imported
from fp8num.analysis.analyze import (
    DEFAULT_FORMATS,
    DEFAULT_RULES,
    Tensor,
    analyze,
    analyze_tensor,
    choose,
)
from fp8num.analysis.binades import BINADES, LOWEST_EXPONENT, BinadeErrors
from fp8num.analysis.distribution import Distribution
from fp8num.analysis.metrics import ErrorMetrics, Peak, overflow_threshold
from fp8num.analysis.pieces import refusal
from fp8num.analysis.results import COLUMNS, FormatResult, ScaleRange, TensorAnalysis

__all__ = [
    "BINADES",
    "COLUMNS",
    "DEFAULT_FORMATS",
    "DEFAULT_RULES",
    "LOWEST_EXPONENT",
    "BinadeErrors",
    "Distribution",
    "ErrorMetrics",
    "FormatResult",
    "Peak",
    "ScaleRange",
    "Tensor",
    "TensorAnalysis",
    "analyze",
    "analyze_tensor",
    "choose",
    "overflow_threshold",
    "refusal",
]

imported(__name__)
