"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import fp8num

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fp8num.__path__, "fp8num.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["fp8num", *MODULES])
def test_examples_are_true(name: str) -> None:
    """Every ``>>>`` in a module gives what stands below it."""
    result = doctest.testmod(importlib.import_module(name))

    assert result.failed == 0


def test_there_are_examples() -> None:
    """The finder finds some: an empty run would prove nothing."""
    finder = doctest.DocTestFinder()
    found = finder.find(fp8num.encode, "encode", globs={})

    assert sum(len(test.examples) for test in found) >= 2
