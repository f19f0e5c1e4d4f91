"""
Reports: what formats make of tensors, as a page to read and tables to compute with.

::

    tensors -> analyze_tensor -> records  -> report.csv, report.json   (everything)
                              -> figures  -> index.html                (the hardest 40)
"""

from fp8num.report import figures
from fp8num.report.build import ReportFiles, build_report
from fp8num.report.tables import Skipped, TensorRecord

__all__ = ["ReportFiles", "Skipped", "TensorRecord", "build_report", "figures"]
