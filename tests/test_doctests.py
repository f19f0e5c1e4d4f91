"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from typing import Any

import fp8num

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fp8num.__path__, "fp8num.")
    if not module.name.endswith("__main__")
)


class Finder(doctest.DocTestFinder):
    """Also finds the examples of functions that a decorator of another module wraps."""

    def _from_module(self, module: Any, value: Any) -> bool:
        value = inspect.unwrap(value) if callable(value) else value
        return bool(super()._from_module(module, value))  # type: ignore[misc]  # not in the stubs


def test_examples_are_true(each: Any) -> None:
    """Every ``>>>`` in a module gives what stands below it."""

    def check(name: str) -> None:
        runner = doctest.DocTestRunner()
        for test in Finder().find(importlib.import_module(name), name):
            runner.run(test)

        assert runner.failures == 0

    each(["fp8num", *MODULES], check)


def test_there_are_examples() -> None:
    """The finder finds some, wrapped or not: an empty run would prove nothing."""
    for name, function in (("codec.encode", "encode"), ("scaling.quantize", "scale_quantize")):
        module = importlib.import_module(f"fp8num.{name}")
        found = {test.name: test for test in Finder().find(module, "x")}
        assert len(found[f"x.{function}"].examples) >= 2
