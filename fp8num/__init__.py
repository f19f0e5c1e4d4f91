"""
Everything about a small float, provable.

What a format holds, what a conversion does, how large its error is and why: exactly,
and fast.  Importing this loads NumPy and nothing else; the rest is loaded when used.
"""

from __future__ import annotations

import importlib
from typing import Any

from fp8num import _interrupt  # noqa: F401 - first, as it is for the time that NumPy takes
from fp8num._kernels.state import require_nearest
from fp8num.codec import Flags, convert, decode, encode, flags, pack, quantize, unpack
from fp8num.formats import *
from fp8num.formats import __all__ as _format_names
from fp8num.formats.spelling import AMBIGUOUS as _AMBIGUOUS
from fp8num.projection import (
    PROFILES,
    NanResult,
    Profile,
    Projection,
    Result,
    Rounding,
    Saturation,
)

__version__ = "0.1.0"

#: Loaded when first used: a submodule, or a name and the module it is in.
_LAZY = {
    "accumulate": None,
    "analysis": None,
    "inputs": None,
    "nn": None,
    "ops": None,
    "plot": None,
    "report": None,
    "scaled": None,
    "scaling": None,
    "strategies": None,
    "verify": None,
    "ACCUMULATORS": "fp8num.accumulate",
    "ScaledArray": "fp8num.scaled",
    "analyze": "fp8num.analysis",
    "dot": "fp8num.accumulate",
    "identify": "fp8num.scaling",
    "kappa": "fp8num.ops",
    "matmul": "fp8num.accumulate",
    "nextafter": "fp8num.ops",
    "recommend": "fp8num.analysis",
    "scale_quantize": "fp8num.scaling",
    "ulp": "fp8num.ops",
}
#: Of those, what computes with floats: also the constants that it is made of.
_COMPUTING = {f"fp8num.{name}" for name in ("scaled", "accumulate", "scaling", "analysis", "nn")}

__all__ = [
    *_format_names,
    "ACCUMULATORS",
    "PROFILES",
    "Flags",
    "NanResult",
    "Profile",
    "Projection",
    "Result",
    "Rounding",
    "Saturation",
    "ScaledArray",
    "__version__",
    "accumulate",
    "analysis",
    "analyze",
    "convert",
    "decode",
    "dot",
    "encode",
    "flags",
    "identify",
    "inputs",
    "kappa",
    "matmul",
    "nextafter",
    "nn",
    "ops",
    "pack",
    "plot",
    "quantize",
    "recommend",
    "report",
    "scale_quantize",
    "scaled",
    "scaling",
    "strategies",
    "ulp",
    "unpack",
    "verify",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module or whatever it defines
    if name not in _LAZY:
        advice = f": {_AMBIGUOUS[name]}" if name in _AMBIGUOUS else ""
        msg = f"module 'fp8num' has no attribute {name!r}{advice}"
        raise AttributeError(msg)
    home = _LAZY[name] or f"fp8num.{name}"
    if home in _COMPUTING:
        require_nearest(name)
    module = importlib.import_module(home)
    return module if _LAZY[name] is None else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
