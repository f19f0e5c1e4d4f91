"""Operations on all operands are what the exact-rational definition says, code for code."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import ops

ROUNDINGS = [mode for mode in fp.Rounding if not mode.is_stochastic]
MODES = list(product(ROUNDINGS, fp.Saturation))
NEAREST = (fp.Rounding.NEAREST_TIES_TO_EVEN, fp.Saturation.SAT_NONE)
SMALL = [fmt for fmt in fp.FORMATS.values() if fmt.bits <= 8]
P3109 = [fp.get_format(f"Binary8p{p}{kind}") for p in (1, 3, 4, 7) for kind in ("se", "uf")]
FOUR = ["add", "subtract", "multiply", "divide"]
ROOTS = ["sqrt", "rsqrt", "reciprocal"]
EXTREMA = [
    f"{name}{suffix}"
    for name in ("minimum", "maximum")
    for suffix in ("", "_number", "_magnitude", "_magnitude_number", "_finite")
]


def name_of(parameter: Any) -> str:
    """Label a test by the names of its format and modes."""
    return str(getattr(parameter, "name", parameter))


def by_format(*formats: fp.Format) -> Any:
    """Let a test run for some formats."""
    return pytest.mark.parametrize("fmt", formats, ids=name_of)


@pytest.fixture(scope="session")
def assert_defined(expected: Any, every_operand: Any, assert_codes: Any) -> Any:
    """Assert that an operation on all operands is the defined one, in some modes."""

    def compare(
        name: str, fmt: fp.Format, arity: int, modes: Any, *, to_format: Any = None, **options: Any
    ) -> None:
        operands = every_operand(fmt, arity)
        for mode in modes:
            actual = getattr(ops, name)(
                *operands,
                fmt,
                out_format=to_format,
                rounding=mode[0],
                saturation=mode[1],
                **options,
            )

            wanted = expected(name, fmt, arity, mode, to_format, options.get("convention"))
            label = f"{name} {fmt.name} {mode[0].value} {mode[1].value}"
            assert_codes(actual, wanted, operands, label)

    return compare


@pytest.mark.parametrize(
    ("fmt", "name"),
    [(fp.E4M3FN, "add"), (fp.E4M3FN, "multiply"), (fp.E5M2, "subtract"), (fp.E5M2, "divide")],
    ids=name_of,
)
def test_every_pair_gives_the_defined_code(fmt: Any, name: str, assert_defined: Any) -> None:
    """All 65,536 pairs, in all 18 deterministic modes; without and with infinities."""
    assert_defined(name, fmt, 2, MODES)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FOUR)
@by_format(*SMALL, *P3109)
def test_every_pair_of_every_format_gives_the_defined_code(
    fmt: Any, name: str, assert_defined: Any
) -> None:
    """Every catalogue format up to 8 bits, and P3109's of several precisions."""
    assert_defined(name, fmt, 2, MODES)


@pytest.mark.parametrize("name", FOUR)
@by_format(*[fmt for fmt in SMALL if fmt.bits < 8], fp.get_format("Binary5p2se"))
def test_every_pair_of_narrow_formats_gives_the_defined_code(
    fmt: Any, name: str, assert_defined: Any
) -> None:
    """Formats of 4 to 6 bits, with those that have neither infinity nor NaN."""
    assert_defined(name, fmt, 2, MODES)


@pytest.mark.parametrize("name", FOUR)
def test_results_may_be_of_another_format(name: str, assert_defined: Any) -> None:
    """From E2M1FN to a wider format of P3109's, to itself, and to one without sign."""
    for to_format in ("Binary10p5se", "E2M1FN", "E8M0FNU"):
        assert_defined(name, fp.E2M1FN, 2, MODES, to_format=fp.get_format(to_format))


@pytest.mark.parametrize("name", FOUR)
def test_the_convention_can_be_chosen(name: str, assert_defined: Any) -> None:
    """P3109's special cases in an OCP format, and IEEE's in a P3109 format."""
    assert_defined(name, fp.E3M2FN, 2, MODES, convention="p3109")
    assert_defined(name, fp.get_format("Binary5p2se"), 2, MODES, convention="ieee")


@pytest.mark.parametrize("name", ["fma", "faa"])
@by_format(fp.E2M1FN, fp.get_format("Binary4p2se"))
def test_every_triple_gives_the_defined_code(fmt: Any, name: str, assert_defined: Any) -> None:
    """All 4,096 triples of 4-bit formats, one with infinities."""
    assert_defined(name, fmt, 3, MODES)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["fma", "faa"])
@by_format(fp.E2M3FN, fp.E3M2FN, fp.get_format("Binary6p3se"))
def test_every_triple_of_six_bits_gives_the_defined_code(
    fmt: Any, name: str, assert_defined: Any
) -> None:
    """All 262,144 triples."""
    assert_defined(name, fmt, 3, MODES)


@pytest.mark.parametrize("name", ROOTS)
@by_format(fp.E4M3FN, fp.E5M2, fp.E3M2FN, fp.get_format("Binary6p3se"))
def test_every_root_and_reciprocal_is_the_defined_code(
    fmt: Any, name: str, assert_defined: Any
) -> None:
    """All codes, in all roundings."""
    assert_defined(name, fmt, 1, MODES[2::3])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ROOTS)
@by_format(*SMALL, *P3109)
def test_every_root_and_reciprocal_of_every_format_is_the_defined_code(
    fmt: Any, name: str, assert_defined: Any
) -> None:
    """All codes, in all modes."""
    assert_defined(name, fmt, 1, MODES)


@pytest.mark.parametrize("name", EXTREMA)
@by_format(fp.E2M3FN, fp.get_format("Binary6p3se"))
def test_every_extremum_is_the_defined_code(fmt: Any, name: str, assert_defined: Any) -> None:
    """All pairs, without and with infinities and NaN."""
    assert_defined(name, fmt, 2, [NEAREST])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", EXTREMA)
@by_format(*SMALL, *P3109)
def test_every_extremum_of_every_format_is_the_defined_code(
    fmt: Any, name: str, assert_defined: Any
) -> None:
    """All pairs; infinities are kept and saturated."""
    assert_defined(name, fmt, 2, [NEAREST, (fp.Rounding.TO_ODD, fp.Saturation.SAT_FINITE)])


def test_a_wrong_code_would_be_noticed(assert_codes: Any, every_operand: Any) -> None:
    """The comparison fails on one code of 65,536, and says which."""
    a, b = every_operand(fp.E4M3FN, 2)
    codes = ops.add(a, b, fp.E4M3FN)
    wrong = codes.copy()
    wrong[0x3838] += 1
    with pytest.raises(AssertionError, match=r"1 of 65536 codes differ\n  0x38, 0x38: expected"):
        assert_codes(wrong, codes, (a, b), "add")


def test_expected_codes_are_those_of_one_by_one(expected: Any, compute_each: Any) -> None:
    """The order of results and breakpoints gives what asking for each result gives."""
    fmt, rng = fp.get_format("Binary6p3se"), np.random.default_rng(5)
    for name, mode in product(FOUR, MODES):
        a, b = rng.integers(0, 64, (2, 20), dtype=np.uint8)

        each = compute_each(name, (a, b), (fmt, fmt), fmt, mode)

        index = a.astype(np.intp) << 6 | b
        np.testing.assert_array_equal(expected(name, fmt, 2, mode).take(index), each)
