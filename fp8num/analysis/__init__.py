"""
Measure what small formats make of numbers.

::

    tensor -> blocks -> Distribution             what it holds        (first pass)
                     -> scale of each rule
                     -> encode -> ErrorMetrics   what a format loses  (second pass)
                                  merged         -> TensorAnalysis -> DataFrame
"""

from fp8num.analysis.analyze import DEFAULT_FORMATS, Tensor, analyze, analyze_tensor
from fp8num.analysis.binades import BINADES, LOWEST_EXPONENT, BinadeErrors
from fp8num.analysis.distribution import Distribution
from fp8num.analysis.metrics import ErrorMetrics, Peak, overflow_threshold
from fp8num.analysis.results import COLUMNS, FormatResult, TensorAnalysis
from fp8num.analysis.scales import RULES

__all__ = [
    "BINADES",
    "COLUMNS",
    "DEFAULT_FORMATS",
    "LOWEST_EXPONENT",
    "RULES",
    "BinadeErrors",
    "Distribution",
    "ErrorMetrics",
    "FormatResult",
    "Peak",
    "Tensor",
    "TensorAnalysis",
    "analyze",
    "analyze_tensor",
    "overflow_threshold",
]
