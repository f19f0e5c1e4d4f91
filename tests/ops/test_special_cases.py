"""Special cases are those of the standards, transcribed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import ops

E5M2, P3109 = fp.E5M2, fp.get_format("Binary8p3se")
INF, NAN = np.inf, np.nan
MAX = 57344.0

#: IEEE 754-2019, 6.1 to 6.3, 7.2, 7.3, 9.2, 9.6: operation, operands, result.
IEEE: list[tuple[str, tuple[float, ...], float]] = [
    ("add", (INF, -INF), NAN),
    ("add", (INF, 1), INF),
    ("add", (0.0, -0.0), 0.0),
    ("add", (-0.0, -0.0), -0.0),
    ("add", (1, -1), 0.0),
    ("subtract", (INF, INF), NAN),
    ("subtract", (-0.0, 0.0), -0.0),
    ("subtract", (0.0, 0.0), 0.0),
    ("subtract", (1, INF), -INF),
    ("multiply", (0.0, INF), NAN),
    ("multiply", (-INF, 0.0), NAN),
    ("multiply", (-1, 0.0), -0.0),
    ("multiply", (-INF, -2), INF),
    ("divide", (0.0, 0.0), NAN),
    ("divide", (INF, -INF), NAN),
    ("divide", (1, 0.0), INF),
    ("divide", (1, -0.0), -INF),
    ("divide", (-INF, 0.0), -INF),
    ("divide", (1, -INF), -0.0),
    ("divide", (0.0, -3), -0.0),
    ("fma", (0.0, INF, 1), NAN),
    ("fma", (INF, 1, -INF), NAN),
    ("fma", (INF, -1, -INF), -INF),
    ("fma", (1, -1, 1), 0.0),
    ("fma", (-0.0, 1, -0.0), -0.0),
    ("fma", (1, 1, NAN), NAN),
    ("faa", (INF, 1, -INF), NAN),
    ("faa", (-0.0, -0.0, -0.0), -0.0),
    ("faa", (-0.0, 0.0, -0.0), 0.0),
    ("faa", (1, 2, -3), 0.0),
    ("sqrt", (-0.0,), -0.0),
    ("sqrt", (-1,), NAN),
    ("sqrt", (-INF,), NAN),
    ("sqrt", (INF,), INF),
    ("rsqrt", (0.0,), INF),
    ("rsqrt", (-0.0,), -INF),
    ("rsqrt", (INF,), 0.0),
    ("rsqrt", (-1,), NAN),
    ("reciprocal", (0.0,), INF),
    ("reciprocal", (-0.0,), -INF),
    ("reciprocal", (-INF,), -0.0),
    ("exp", (-INF,), 0.0),
    ("exp", (INF,), INF),
    ("exp", (-0.0,), 1.0),
    ("exp2", (-INF,), 0.0),
    ("exp2", (0.0,), 1.0),
    ("log", (-0.0,), -INF),
    ("log", (1,), 0.0),
    ("log", (-1,), NAN),
    ("log", (INF,), INF),
    ("log2", (0.0,), -INF),
    ("log2", (1,), 0.0),
    ("tanh", (-0.0,), -0.0),
    ("tanh", (INF,), 1.0),
    ("sigmoid", (INF,), 1.0),
    ("sigmoid", (-INF,), 0.0),
    ("sigmoid", (-0.0,), 0.5),
    ("minimum", (-0.0, 0.0), -0.0),
    ("minimum", (1, NAN), NAN),
    ("maximum", (-0.0, 0.0), 0.0),
    ("minimum_number", (NAN, 1), 1.0),
    ("minimum_number", (NAN, NAN), NAN),
    ("maximum_number", (1, NAN), 1.0),
    ("minimum_magnitude", (-1, 2), -1.0),
    ("minimum_magnitude", (-1, 1), -1.0),
    ("maximum_magnitude", (-1, 1), 1.0),
    ("maximum_magnitude", (-2, 1), -2.0),
    ("maximum_magnitude", (NAN, 1), NAN),
    ("minimum_magnitude_number", (NAN, -3), -3.0),
    ("maximum_magnitude_number", (-3, 2), -3.0),
]
#: IEEE P3109 v4.0, section 4: where it has one zero and other results.
P3109_ROWS: list[tuple[str, tuple[float, ...], float]] = [
    ("divide", (1, 0.0), NAN),
    ("divide", (-INF, 0.0), NAN),
    ("divide", (0.0, 0.0), NAN),
    ("divide", (INF, INF), NAN),
    ("divide", (INF, -2), -INF),
    ("divide", (-1, INF), 0.0),
    ("reciprocal", (0.0,), NAN),
    ("reciprocal", (-INF,), 0.0),
    ("rsqrt", (0.0,), NAN),
    ("rsqrt", (INF,), 0.0),
    ("log", (0.0,), -INF),
    ("log2", (0.0,), -INF),
    ("sqrt", (-1,), NAN),
    ("multiply", (0.0, INF), NAN),
    ("multiply", (-1, 0.0), 0.0),
    ("fma", (0.0, INF, 1), NAN),
    ("faa", (INF, 1, -INF), NAN),
    ("minimum_finite", (-INF, 1), 1.0),
    ("minimum_finite", (1, INF), 1.0),
    ("minimum_finite", (INF, -INF), -INF),
    ("minimum_finite", (NAN, -INF), -INF),
    ("maximum_finite", (INF, -1), -1.0),
    ("maximum_finite", (INF, -INF), INF),
    ("minimum_magnitude", (INF, -INF), -INF),
    ("minimum_magnitude", (-INF, 2), 2.0),
    ("maximum_magnitude", (-INF, 2), -INF),
    ("maximum_number", (NAN, -1), -1.0),
]


def compute(name: str, operands: tuple[float, ...], fmt: fp.Format, **options: Any) -> float:
    codes = [fp.encode(np.float64(x), fmt, saturation="SatNone") for x in operands]
    return float(fmt.values[int(getattr(ops, name)(*codes, fmt, **options))])


def assert_same(actual: float, wanted: float) -> None:
    np.testing.assert_equal(actual, wanted)
    if not np.isnan(wanted):
        assert np.signbit(actual) == np.signbit(wanted)


@pytest.mark.parametrize(("name", "operands", "wanted"), IEEE)
def test_ieee_754(name: str, operands: Any, wanted: float) -> None:
    assert_same(compute(name, operands, E5M2, saturation="SatNone"), wanted)


@pytest.mark.parametrize(("name", "operands", "wanted"), P3109_ROWS)
def test_p3109(name: str, operands: Any, wanted: float) -> None:
    assert_same(compute(name, operands, P3109, saturation="SatNone"), wanted)
    assert_same(compute(name, operands, E5M2, saturation="SatNone", convention="p3109"), wanted)


@pytest.mark.parametrize("name", ["add", "fma", "faa", "subtract"])
def test_a_sum_that_cancels_is_minus_zero_downward(name: str) -> None:
    """IEEE 754-2019, 6.3; P3109 has no -0."""
    operands = {"add": (1, -1), "subtract": (1, 1), "fma": (1, 1, -1), "faa": (1, 1, -2)}[name]
    assert_same(compute(name, operands, E5M2, rounding="TowardNegative"), -0.0)
    assert_same(compute(name, operands, E5M2, rounding="rd", convention="p3109"), 0.0)


@pytest.mark.parametrize(
    ("saturation", "wanted"),
    [("SatFinite", MAX), ("SatPropagate", INF), ("SatNone", INF)],
)
def test_a_number_divided_by_zero_is_projected(saturation: str, wanted: float) -> None:
    assert_same(compute("divide", (-1, 0.0), E5M2, saturation=saturation), -wanted)
    assert compute("divide", (1, 0.0), fp.E4M3FN) == 448
    assert np.isnan(compute("divide", (1, 0.0), fp.E4M3FN, saturation="SatNone"))
    assert np.isnan(compute("divide", (1, 0.0), fp.E4M3FNUZ, saturation="SatPropagate"))


def test_posits_divide_by_zero_to_nar() -> None:
    """Posit Standard (2022): NaR, whatever the saturation."""
    for saturation in fp.Saturation:
        assert ops.divide(0x40, 0x00, fp.POSIT8, saturation=saturation) == 0x80
        assert ops.reciprocal(0x00, fp.POSIT8, saturation=saturation) == 0x80


def test_one_p3109_format_makes_its_conventions_hold() -> None:
    """Of the operands or of the result; an argument goes before."""
    assert ops.divide(0x38, 0, "E4M3FN", out_format="Binary8p4se") == 0x80
    assert ops.divide(0x38, 0, "E4M3FN", b_format="Binary8p4se") == 0x7F
    one_over_zero = ops.divide(0x40, 0, "Binary8p4se", convention="ieee", saturation="SatNone")
    assert one_over_zero == 0x7F
    assert ops.Convention.parse("IEEE", (P3109,)) is ops.Convention.IEEE
    assert ops.Convention.parse(None, (E5M2, P3109)) is ops.Convention.P3109


def test_nan_has_the_sign_of_the_first_operand_that_is_one() -> None:
    """An invalid operation's is not set; payloads are the format's usual one."""
    assert ops.add(0xFD, 0x7D, E5M2) == 0xFE
    assert ops.add(0x3C, 0xFF, E5M2) == 0xFE
    assert ops.subtract(0x3C, 0x7F, E5M2) == 0x7E
    assert ops.multiply(0x7D, 0xBC, E5M2) == 0x7E
    assert ops.fma(0x00, 0x7C, 0xFF, E5M2) == 0xFE
    assert ops.subtract(0x7C, 0x7C, E5M2) == 0x7E
    assert ops.sqrt([0xFF, 0xB8], "E4M3FN").tolist() == [0xFF, 0x7F]
    assert ops.exp(0xFF, "E4M3FN") == 0xFF


def test_formats_without_nan_do_as_asked() -> None:
    """The largest value, zero, or an error."""
    assert ops.divide(0, 0, "E2M1FN") == 7
    assert ops.divide(0, 0, "E2M1FN", nan="zero") == 8
    assert ops.divide(0x38, 0, "E4M3FN", out_format="E2M1FN", nan="raise") == 7
    with pytest.raises(ValueError, match="divide must give no NaN, as E2M1FN has none; nan='max'"):
        ops.divide([4, 0], [2, 0], "E2M1FN", nan="raise")


def test_unsigned_formats_project_negative_results() -> None:
    """To zero or the smallest value under SatFinite, to NaN under SatNone."""
    assert ops.subtract(0x78, 0x80, "UE5M3") == 0
    assert ops.subtract(0x78, 0x80, "UE5M3", saturation="SatNone") == 0xFF
    assert ops.subtract(0x7F, 0x80, "E8M0FNU") == 0
    assert ops.log2(0x7F, "E8M0FNU", out_format="E4M3FN") == 0
    assert fp.decode(ops.log2(0x80, "E8M0FNU", out_format="E4M3FN"), "E4M3FN") == 1
