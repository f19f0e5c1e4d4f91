"""Tensors from files and built-in ones, read lazily and in bounded memory.

::

    open_tensors(path)                  built-in data
    .npy  .npz  .safetensors            |
      |-- tensors: StoredTensor --------'
      |     .name .dtype .shape .blocks() -> float arrays, or F8 codes
      '-- skipped: (name, reason)

    write_safetensors(path, tensors)    arrays, or codes and their type
    save_scaled(path, arrays)           load_scaled(path)
    read_activations(path, names)       mean squares of layers' input channels
    read_dumps(path)                    codes with their scales, as other software stored them
"""

from fp8num.inputs.activations import read_activations
from fp8num.inputs.builtin import Digits, builtin_tensors, load_digits
from fp8num.inputs.dumps import Dump, read_dumps
from fp8num.inputs.opening import open_tensors
from fp8num.inputs.scaled_files import load_scaled, save_scaled
from fp8num.inputs.source import InputError, Opened, StoredTensor, tensor_from_array
from fp8num.inputs.writing import write_safetensors

__all__ = [
    "Digits",
    "Dump",
    "InputError",
    "Opened",
    "StoredTensor",
    "builtin_tensors",
    "load_digits",
    "load_scaled",
    "open_tensors",
    "read_activations",
    "read_dumps",
    "save_scaled",
    "tensor_from_array",
    "write_safetensors",
]
