"""
Write a tensor of every type that the safetensors library can save, with that library.

``python record.py FILE``, with safetensors, NumPy and ml_dtypes installed.  It knows
nothing of fp8num.
"""

from __future__ import annotations

import sys

import ml_dtypes
import numpy as np
from safetensors import TensorSpec, serialize_file

NUMPY = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
NUMPY += ["float16", "float32", "float64", "complex64"]
ML_DTYPES = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"]
ML_DTYPES += ["float8_e4m3fnuz", "float8_e5m2fnuz"]
#: One key: the library writes several in an order of its own that changes from run to run.
METADATA = {"note": 'é "quoted"\n\u2028\x7f\x01'}

if __name__ == "__main__":
    arrays = {
        name: np.arange(-4, 11).reshape(5, 3).astype(getattr(ml_dtypes, name, name))
        for name in NUMPY + ML_DTYPES
    }
    arrays["B second of its type"] = np.float32([np.inf, -0.0, 1e-45])
    arrays["scalar"] = np.array(0.1)
    arrays["empty"] = np.empty((0, 5), np.float16)
    specs = {
        name: TensorSpec(
            dtype=array.dtype.name,
            shape=array.shape,
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in arrays.items()
    }
    # Two elements a byte: 2 x 4 bytes are a tensor of shape (2, 8).  The codes count up.
    pairs = np.arange(0, 16, 2, dtype=np.uint8).reshape(2, 4)
    pairs += (pairs + 1) << 4
    specs["float4"] = TensorSpec(
        dtype="float4_e2m1fn_x2",
        shape=pairs.shape,
        data_ptr=pairs.ctypes.data,
        data_len=pairs.nbytes,
    )
    serialize_file(specs, sys.argv[1], METADATA)
