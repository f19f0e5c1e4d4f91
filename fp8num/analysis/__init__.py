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
from fp8num.analysis.counts import overflow_threshold
from fp8num.analysis.distribution import Distribution
from fp8num.analysis.excess import RowErrors
from fp8num.analysis.frontier import Frontier, FrontierPoint, frontier
from fp8num.analysis.metrics import ErrorMetrics
from fp8num.analysis.outliers import Outlier, find_outliers
from fp8num.analysis.pieces import refusal
from fp8num.analysis.recommend import recommend
from fp8num.analysis.recommendation import FileRecommendation, Recommendation
from fp8num.analysis.results import ALIASES, COLUMNS, FormatResult, ScaleRange, TensorAnalysis
from fp8num.analysis.roles import LAYOUTS, Role, role_of
from fp8num.analysis.running import Peak
from fp8num.analysis.schemes import TARGETS, Scheme, gaussian_cost, schemes_for
from fp8num.analysis.trials import Limits, Trial

__all__ = [
    "ALIASES",
    "BINADES",
    "COLUMNS",
    "DEFAULT_FORMATS",
    "DEFAULT_RULES",
    "LAYOUTS",
    "LOWEST_EXPONENT",
    "TARGETS",
    "BinadeErrors",
    "Distribution",
    "ErrorMetrics",
    "FileRecommendation",
    "FormatResult",
    "Frontier",
    "FrontierPoint",
    "Limits",
    "Outlier",
    "Peak",
    "Recommendation",
    "Role",
    "RowErrors",
    "ScaleRange",
    "Scheme",
    "Tensor",
    "TensorAnalysis",
    "Trial",
    "analyze",
    "analyze_tensor",
    "choose",
    "find_outliers",
    "frontier",
    "gaussian_cost",
    "overflow_threshold",
    "recommend",
    "refusal",
    "role_of",
    "schemes_for",
]

imported(__name__)
