"""Expected codes of whole operand sets, from the exact reference."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

import fp8num as fp
from fp8num.verify import reference
from fp8num.verify.reference import Datum
from fp8num.verify.reference.operations import convention_of, operate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

ROUNDINGS = [mode for mode in fp.Rounding if not mode.is_stochastic]
MODES = list(product(ROUNDINGS, fp.Saturation))
DOWN = fp.Rounding.TOWARD_NEGATIVE


def key_of(datum: Datum) -> tuple[Any, ...]:
    """Return what tells data apart, quicker to hash than a fraction."""
    return datum.kind, datum.negative, datum.value.numerator, datum.value.denominator


def in_order(value: Fraction) -> tuple[float, Fraction]:
    """Return what sorts as the value does: mostly a comparison of floats decides."""
    try:
        return float(value), value
    except OverflowError:
        return np.inf if value > 0 else -np.inf, value


class Results:
    """
    Exact results, to be projected in many modes.

    They are put in order once; each projection's breakpoints are then placed among them,
    so that the reference is asked a few hundred times and not once for every result.
    """

    def __init__(self, results: Sequence[Datum], downward: Sequence[Datum] | None = None) -> None:
        """Take results, and what they are when rounding downward, which differs in zeros."""
        data = {key_of(datum): datum for datum in results}
        data |= {key_of(datum): datum for datum in downward or ()}
        finite = [datum for datum in data.values() if datum.is_finite and datum.value]
        self.values = sorted(in_order(datum.value) for datum in finite)
        self.others = [datum for datum in data.values() if not (datum.is_finite and datum.value)]
        ordered = [Datum.finite(value) for _, value in self.values]
        place = {key_of(datum): i for i, datum in enumerate([*ordered, *self.others])}
        self.places = np.array([place[key_of(datum)] for datum in results], np.int64)
        self.downward = self.places
        if downward is not None:
            self.downward = np.array([place[key_of(datum)] for datum in downward], np.int64)

    def codes(self, fmt: fp.Format, rounding: fp.Rounding, saturation: fp.Saturation) -> Array:
        """Return the code of every result."""

        def ask(data: Iterable[Any]) -> list[int]:
            return [reference.project(datum, fmt, rounding, saturation) for datum in data]

        if len(self.values) < 1 << fmt.bits:  # few results: ask for each
            codes = ask(value for _, value in self.values)
        else:
            points = reference.breakpoints(fmt, rounding, saturation)
            starts = [0]
            for point in points[1:]:
                assert point.value is not None
                find = bisect_left if point.inclusive else bisect_right
                starts.append(find(self.values, in_order(point.value)))
            counts = np.diff([*starts, len(self.values)])
            codes = np.repeat([point.code for point in points], counts).tolist()
        every = np.array([*codes, *ask(self.others)], fmt.code_dtype)
        return every.take(self.downward if rounding is DOWN else self.places)


def results_of(name: str, operands: Iterable[Sequence[Datum]], convention: str) -> Results:
    """Return the results of an operation."""
    operands = list(operands)
    data = [operate(name, each, convention=convention) for each in operands]
    # The rounding decides about the sign of zero alone.
    down = [
        operate(name, each, convention=convention, rounding=DOWN) if datum.is_zero else datum
        for each, datum in zip(operands, data, strict=True)
    ]
    return Results(data, down)


@lru_cache(maxsize=8)
def _every_result(name: str, fmt: fp.Format, arity: int, convention: str) -> Results:
    data = [reference.decode(code, fmt) for code in range(1 << fmt.bits)]
    return results_of(name, product(data, repeat=arity), convention)


class Expected(Protocol):
    """The type of the fixture `expected`."""

    def __call__(
        self,
        name: str,
        fmt: fp.Format,
        arity: int,
        mode: tuple[fp.Rounding, fp.Saturation],
        to_format: fp.Format | None = None,
        convention: str | None = None,
    ) -> Array: ...


@pytest.fixture(scope="session")
def expected() -> Expected:
    """Return the defined code for every combination of operands, the last changing first."""

    def find(
        name: str,
        fmt: fp.Format,
        arity: int,
        mode: tuple[fp.Rounding, fp.Saturation],
        to_format: fp.Format | None = None,
        convention: str | None = None,
    ) -> Array:
        to_format = to_format or fmt
        found = _every_result(name, fmt, arity, convention or convention_of(fmt, to_format))
        return found.codes(to_format, *mode)

    return find


@pytest.fixture(scope="session")
def compute_each() -> Any:
    """Return the defined codes of some operands, one by one."""

    def compute(
        name: str,
        operands: Sequence[Array],
        formats: Sequence[fp.Format],
        to_format: fp.Format,
        mode: tuple[fp.Rounding, fp.Saturation],
    ) -> Array:
        decoded = [
            [reference.decode(code, fmt) for code in codes.tolist()]
            for codes, fmt in zip(operands, formats, strict=True)
        ]
        convention = convention_of(*formats, to_format)
        codes = [
            reference.project(
                operate(name, each, convention=convention, rounding=mode[0]), to_format, *mode
            )
            for each in zip(*decoded, strict=True)
        ]
        return np.array(codes, to_format.code_dtype)

    return compute


def _assert_codes(actual: Array, wanted: Array, operands: Sequence[Array], label: str) -> None:
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == wanted.dtype, f"{label}: types {actual.dtype} {wanted.dtype}"
    assert actual.shape == wanted.shape, f"{label}: shapes {actual.shape} {wanted.shape}"
    wrong = np.flatnonzero(actual.ravel() != wanted.ravel())
    if not wrong.size:
        return
    lines = [
        f"  {', '.join(hex(codes.ravel()[i]) for codes in operands)}: "
        f"expected {wanted.ravel()[i]:#x}, got {actual.ravel()[i]:#x}"
        for i in wrong[:20].tolist()
    ]
    raise AssertionError(
        f"{label}: {wrong.size} of {actual.size} codes differ\n" + "\n".join(lines)
    )


@pytest.fixture(scope="session")
def assert_codes() -> Any:
    """Assert that arrays of codes are equal in type, shape and every bit; show operands."""
    return _assert_codes


def _every_operand(fmt: fp.Format, arity: int) -> tuple[Array, ...]:
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
    return tuple(array.ravel() for array in np.meshgrid(*[codes] * arity, indexing="ij"))


@pytest.fixture(scope="session")
def every_operand() -> Any:
    """Return every combination of operands, the last changing first."""
    return _every_operand


@pytest.fixture(scope="session")
def results() -> Any:
    """Return exact results, given as fractions and specials, as they are projected."""

    def make(values: Sequence[Any]) -> Results:
        return Results([x if isinstance(x, Datum) else Datum.finite(Fraction(x)) for x in values])

    return make
