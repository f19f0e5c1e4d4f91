"""
Dot products and matrix products under a named accumulator, tensor cores bit for bit.

::

    matmul, dot       codes -> sums, as an accumulator does it
    ACCUMULATORS      exact, IEEE, NVIDIA's and AMD's units, each as frozen data
    TensorCore ...    to define one's own
"""

from fp8num._kernels.state import imported
from fp8num.accumulate.accumulator import (
    Accumulator,
    BlasSum,
    ExactSum,
    FloatSum,
    MatrixCore,
    TensorCore,
)
from fp8num.accumulate.catalogue import ACCUMULATORS, get_accumulator
from fp8num.accumulate.matmul import dot, matmul

__all__ = [
    "ACCUMULATORS",
    "Accumulator",
    "BlasSum",
    "ExactSum",
    "FloatSum",
    "MatrixCore",
    "TensorCore",
    "dot",
    "get_accumulator",
    "matmul",
]

imported(__name__)
