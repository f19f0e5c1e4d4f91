"""
The figures: values of formats, elements and errors of tensors, recipes in training.

Magnitudes are drawn on a scale of powers of two, where every binade is as wide as the
next.  Nothing is told by colour alone, and every figure describes itself in words.
"""

from fp8num.report.figures.curves import loss_curves
from fp8num.report.figures.differences import paired_differences
from fp8num.report.figures.errors import error_against_magnitude
from fp8num.report.figures.magnitudes import exponent_histogram
from fp8num.report.figures.values import number_line

__all__ = [
    "error_against_magnitude",
    "exponent_histogram",
    "loss_curves",
    "number_line",
    "paired_differences",
]
