"""
Reports: what formats make of tensors, as a page to read and tables to compute with.

::

    tensors -> analyze_tensor -> records    -> report.csv, report.json   (everything)
            -> recommend      -> decisions  -> index.html                (what to do)
    compare_on_digits -> Comparison -> training.csv, training-curves.csv, and in the others
"""

from fp8num.report.build import ReportFiles, build_report
from fp8num.report.experiment import compare_on_digits
from fp8num.report.tables import Skipped, TensorRecord

__all__ = [
    "ReportFiles",
    "Skipped",
    "TensorRecord",
    "build_report",
    "compare_on_digits",
]
