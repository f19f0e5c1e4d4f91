"""Importing the package is cheap: NumPy and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"ml_dtypes", "scipy", "pandas", "hypothesis", "pytest", "jinja2", "rich", "torch", "cupy"}
PRINT_MODULES = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    command = [sys.executable, "-c", f"{statement}; {PRINT_MODULES}"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_importing_loads_numpy_alone() -> None:
    """Nothing that `import numpy` does not load, but this package and the standard library."""
    new = modules_after("import fp8num") - modules_after("import numpy")

    assert {name for name in new if name not in sys.stdlib_module_names} == {"fp8num"}


@pytest.mark.parametrize("use", ["encode([0.3], 'e4m3fn')", "decode([1], 'e5m2')", "E5M2.values"])
def test_converting_loads_nothing_more(use: str) -> None:
    """The codec needs NumPy alone too."""
    assert not modules_after(f"import fp8num; fp8num.{use}") & HEAVY


def test_the_check_can_fail() -> None:
    """It sees a library that is loaded."""
    assert "pandas" in modules_after("import pandas")
