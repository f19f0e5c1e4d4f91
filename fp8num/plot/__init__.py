"""
Pictures on matplotlib: each function takes an Axes, draws on it alone, and returns it.

::

    Format           --> number_line  error  sqnr
    array, analysis  --> windows      error  sqnr       --> Axes --> to_svg
    Comparison, rows --> curves       differences

Without an Axes a figure of its own is made with pyplot.  Magnitudes are drawn by their
exponents: the place of x is ``log2(abs(x))`` and its label a power of two, which holds for every
float64 and every format.  Series differ by line and marker as well as by colour.
"""

from fp8num.plot.errors import error, sqnr
from fp8num.plot.formats import number_line, windows
from fp8num.plot.style import STYLES, powers_of_two, to_svg
from fp8num.plot.trainings import curves, differences

__all__ = [
    "STYLES",
    "curves",
    "differences",
    "error",
    "number_line",
    "powers_of_two",
    "sqnr",
    "to_svg",
    "windows",
]
