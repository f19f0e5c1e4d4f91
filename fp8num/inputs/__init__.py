"""Tensors from files and built-in ones, read lazily and in bounded memory.

::

    open_tensors(path)                  built-in data
    .npy  .npz  .safetensors            |
      |-- tensors: StoredTensor --------'
      |     .name .dtype .shape .blocks() -> float arrays, or F8 codes
      '-- skipped: (name, reason)
"""

from fp8num.inputs.builtin import Digits, builtin_tensors, load_digits
from fp8num.inputs.opening import open_tensors
from fp8num.inputs.source import InputError, Opened, StoredTensor, tensor_from_array

__all__ = [
    "Digits",
    "InputError",
    "Opened",
    "StoredTensor",
    "builtin_tensors",
    "load_digits",
    "open_tensors",
    "tensor_from_array",
]
