"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from typing import Any

import pytest

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


@pytest.mark.parametrize("name", ["fp8num", *MODULES])
def test_examples_are_true(name: str) -> None:
    """Every ``>>>`` in a module gives what stands below it."""
    runner = doctest.DocTestRunner()
    for test in Finder().find(importlib.import_module(name), name):
        runner.run(test)

    assert runner.failures == 0


def test_there_are_examples() -> None:
    """The finder finds some, wrapped or not: an empty run would prove nothing."""
    for name, function in (("codec.encode", "encode"), ("scaling.quantize", "scale_quantize")):
        module = importlib.import_module(f"fp8num.{name}")
        found = {test.name: test for test in Finder().find(module, "x")}
        assert len(found[f"x.{function}"].examples) >= 2
