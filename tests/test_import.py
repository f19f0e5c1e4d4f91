"""`import fp8num` costs what `import numpy` costs."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

LIST_MODULES = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"


@cache
def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a new interpreter holds after a statement."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{LIST_MODULES}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def foreign(modules: set[str]) -> set[str]:
    """Return the modules that are neither Python's nor loaded before any statement."""
    return modules - loaded_by("pass") - sys.stdlib_module_names


def test_import_loads_numpy_and_nothing_else() -> None:
    """No ml_dtypes, SciPy, pandas, Hypothesis, pytest, rich, jinja2: not even a standard one."""
    ours = loaded_by("import fp8num")
    assert foreign(ours) == foreign(loaded_by("import numpy")) | {"fp8num"}


def test_conversions_need_numpy_alone() -> None:
    """Float32 and float64 in and out: nothing is loaded for what is not used."""
    statements = (
        "import fp8num",
        "fp8num.encode([0.3], 'E4M3FN')",
        "fp8num.quantize(0.3, fp8num.HIFLOAT8, rounding='rz')",
        "fp8num.get_format('binary8p3se').values",
    )
    assert foreign(loaded_by("; ".join(statements))) <= foreign(loaded_by("import numpy")) | {
        "fp8num",
        "ml_dtypes",  # bfloat16 is a type of its arrays
    }


def test_import_of_a_heavy_library_would_be_noticed() -> None:
    assert "ml_dtypes" in foreign(loaded_by("import fp8num, ml_dtypes"))


def test_slow_parts_of_the_standard_library_are_not_loaded() -> None:
    """Servers, mail, compilers and test runners have no place here."""
    heavy = {"asyncio", "http", "email", "unittest", "multiprocessing", "sqlite3", "tkinter"}
    assert not heavy & (loaded_by("import fp8num") - loaded_by("import numpy"))


def test_lazy_names_load_what_they_need() -> None:
    """strategies, verify and analyze are there when asked for, each by a package that is new."""
    program = (
        "import sys\n"
        "for name in ('verify', 'strategies', 'analysis', 'analyze'):\n"
        "    for loaded in [each for each in sys.modules if each.startswith('fp8num')]:\n"
        "        del sys.modules[loaded]\n"
        "    import fp8num\n"
        "    assert getattr(fp8num, name)\n"
    )
    assert "fp8num" in loaded_by(program)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        loaded_by("import fp8num; fp8num.no_such_name")
    assert "has no attribute 'no_such_name'" in failed.value.stderr
