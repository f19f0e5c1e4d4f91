"""
What an object was set to, as JSON can hold it: numbers as they are, arrays by a checksum.

::

    optimizer --its attributes--> {"betas": [0.9, 0.999], "decays": {"layer0.weight": 0.1}, ...}
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fp8num.nn.tensor import Tensor

__all__ = ["described", "described_attributes"]


def described_attributes(what: str, thing: object, without: frozenset[str]) -> dict[str, Any]:
    """
    Return an object's attributes, but for some.

    Those whose names begin with an underscore are left out where they cannot be described:
    they are taken for what comes and goes.
    """
    found: dict[str, Any] = {}
    for name, value in vars(thing).items():
        if name in without:
            continue
        try:
            found[name] = described(value)
        except TypeError as error:
            if name.startswith("_"):
                continue
            msg = (
                f"{name} of {what} must be of numbers, text and arrays, which tell one training "
                f"from another, got {error}; call it _{name} if results do not depend on it"
            )
            raise TypeError(msg) from None
    return found


def described(value: object) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a value as JSON can hold it; TypeError, with its type, if that is impossible."""
    if isinstance(value, Tensor):
        value = value.data
    if isinstance(value, np.ndarray) and value.ndim:
        return _array(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no infinity
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    if isinstance(value, tuple | list):
        return [described(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): described(part) for key, part in value.items()}
    # Those of NumPy 2.0 have a bare name, and only their class has a module.
    name = getattr(value, "__qualname__", getattr(value, "__name__", None))
    if callable(value) and isinstance(name, str):
        return f"{getattr(value, '__module__', type(value).__module__)}.{name}"
    raise TypeError(type(value).__name__)


def _array(array: npt.NDArray[Any]) -> dict[str, Any]:
    if array.dtype.hasobject:
        msg = f"an array of {array.dtype}"
        raise TypeError(msg)
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest}
