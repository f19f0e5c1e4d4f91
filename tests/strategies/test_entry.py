"""Hypothesis knows the package's types by its entry point, and that costs little."""

from __future__ import annotations

import importlib.metadata
import random
import subprocess
import sys
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from fp8num import codec
from fp8num._hypothesis import register
from fp8num.formats import FORMATS, Format, Overflow, Specials, TabulatedFormat
from fp8num.projection import NanResult, Projection, Rounding, Saturation
from fp8num.verify.reference import project

if TYPE_CHECKING:
    from collections.abc import Callable

HEAVY = ("pandas", "scipy", "torch", "ml_dtypes", "matplotlib", "jinja2", "rich")
#: The value of the entry point of the group "hypothesis".
ENTRY = "fp8num._hypothesis:register"

T = TypeVar("T")


def smallest(kind: type[T]) -> T:
    """Return what Hypothesis shrinks to for a type."""
    options = settings(database=None)
    return find(st.from_type(kind), lambda _: True, settings=options, random=random.Random(0))


def after(statements: str) -> list[str]:
    """Run statements in a new interpreter and return the lines that they print."""
    done = subprocess.run(
        [sys.executable, "-c", statements], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_the_package_declares_the_entry_point() -> None:
    """An installation made before it was declared must be made again: pip install -e ."""
    found = [entry.value for entry in importlib.metadata.entry_points(group="hypothesis")]

    assert ENTRY in found


def test_importing_hypothesis_is_enough() -> None:
    """With nothing of the package imported by hand."""
    (line,) = after(
        "from hypothesis import strategies as st\n"
        "import sys\n"
        "Format = sys.modules['fp8num.formats'].Format\n"
        "print(st.from_type(Format).validate() or 'made')"
    )

    assert line == "made"


@pytest.mark.parametrize("statement", ["import hypothesis", "from hypothesis import strategies"])
def test_the_hook_loads_nothing_heavy(statement: str) -> None:
    """Not even the strategies, nor what they need, until a type is asked for."""
    program = (
        f"{statement}\nimport sys\n"
        "print('fp8num' in sys.modules)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
        "print('fp8num.strategies' in sys.modules, 'fp8num.verify' in sys.modules)\n"
        "print('hypothesis.extra.numpy' in sys.modules)\n"
    )

    assert after(program) == ["True", "[]", "False False", "False"]


def test_the_strategies_load_nothing_heavy_either() -> None:
    """When a format has been drawn and bfloat16 boundaries of it."""
    program = (
        "from hypothesis import find, strategies as st\n"
        "import fp8num.strategies, sys\n"
        "fmt = find(st.from_type(fp8num.Format), lambda _: True)\n"
        "x = find(fp8num.strategies.boundary_arrays(fmt, 'bfloat16'), lambda _: True)\n"
        f"print(fmt.name, [name for name in {HEAVY} if name in sys.modules])"
    )

    assert after(program) == ["E4M3FN []"]


def test_types_are_resolved() -> None:
    """And shrink to what is simple."""
    register()  # what the entry point does; twice is as good as once

    assert smallest(Format) is FORMATS["E4M3FN"]
    assert smallest(TabulatedFormat) is FORMATS["HIFLOAT8"]
    assert smallest(Projection) == Projection()
    assert smallest(Rounding) is Rounding.NEAREST_TIES_TO_EVEN
    assert smallest(Saturation) is Saturation.SAT_FINITE
    assert smallest(NanResult) is NanResult.MAX
    assert smallest(Specials) is Specials.IEEE
    assert smallest(Overflow) is Overflow.INFINITY


@pytest.mark.parametrize(
    "condition",
    [
        lambda fmt: fmt is FORMATS["POSIT8"],
        lambda fmt: fmt is FORMATS["BFLOAT16"],
        lambda fmt: fmt.name not in FORMATS and not fmt.signed,
    ],
)
def test_formats_of_both_kinds_come_up(condition: Callable[[Format], bool]) -> None:
    """Those that people use, and those that nobody has seen."""
    options = settings(database=None, max_examples=1000)

    assert condition(find(st.from_type(Format), condition, settings=options))


def test_stochastic_projections_come_up() -> None:
    """A type is all its values; `projections` leaves those out that need random bits."""
    found = find(st.from_type(Projection), lambda one: one.rounding.is_stochastic)

    assert found == Projection(rounding=Rounding.STOCHASTIC_A)


@settings(deadline=None, max_examples=30)
@given(...)
def test_annotations_are_enough(
    x: float, fmt: Format, rounding: Rounding, saturation: Saturation
) -> None:
    """As a user writes it: the types say it all."""
    bits = {"random_bits": 1, "random_width": 3} if rounding.is_stochastic else {}

    code = codec.encode(x, fmt, rounding=rounding, saturation=saturation, **bits)

    assert code == project(x, fmt, rounding, saturation, **bits)
