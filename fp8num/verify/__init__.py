"""
Judge any implementation of a small float, and keep the evidence.

::

    cases    inputs, with a stated domain          truth    what must become of each
    check    a callable or a process -> verdict    sweep    all 2**32 inputs, resumable
    diff     two conventions -> where they differ  vectors  packs for other languages
"""

from __future__ import annotations

import importlib
from typing import Any

from fp8num.verify.assertions import assert_codes_equal
from fp8num.verify.cases import CaseSet
from fp8num.verify.check import assert_conforms, check
from fp8num.verify.conformance import Conformance, Direction, Finding
from fp8num.verify.coverage import Coverage
from fp8num.verify.difference import diff
from fp8num.verify.implementation import Fault, Implementation, ImplementationError
from fp8num.verify.intervals import Difference
from fp8num.verify.process import ProcessImplementation
from fp8num.verify.sweeping import Encoder, Sweep, sweep
from fp8num.verify.truth import Truth, truth

#: Loaded when first used.
_MODULES = ("cases", "peers", "reference", "tables", "vectors")

__all__ = [
    "CaseSet",
    "Conformance",
    "Coverage",
    "Difference",
    "Direction",
    "Encoder",
    "Fault",
    "Finding",
    "Implementation",
    "ImplementationError",
    "ProcessImplementation",
    "Sweep",
    "Truth",
    "assert_codes_equal",
    "assert_conforms",
    "cases",
    "check",
    "diff",
    "peers",
    "reference",
    "sweep",
    "tables",
    "truth",
    "vectors",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module
    if name in _MODULES:
        return importlib.import_module(f"fp8num.verify.{name}")
    msg = f"module 'fp8num.verify' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
