"""
The figures: where formats have values, where a tensor has elements, where errors are.

Magnitudes are drawn on a scale of powers of two, where every binade is as wide as the
next.  Nothing is told by colour alone, and every figure describes itself in words.
"""

from fp8num.report.figures.errors import error_against_magnitude
from fp8num.report.figures.magnitudes import exponent_histogram
from fp8num.report.figures.values import number_line

__all__ = ["error_against_magnitude", "exponent_histogram", "number_line"]
