"""Comparisons, order, signs, neighbours, units and classes of all codes."""

from __future__ import annotations

import inspect
import itertools
import operator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import ops
from fp8num.verify import reference
from fp8num.verify.reference import Kind

P3109 = [fp.get_format(name) for name in ("Binary8p3se", "Binary8p4sf", "Binary8p1uf")]
FORMATS = [*(fmt for fmt in fp.FORMATS.values() if fmt.bits <= 8), *P3109]
by_format = pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)


def every(fmt: fp.Format) -> Any:
    return np.arange(1 << fmt.bits, dtype=fmt.code_dtype)


def data(fmt: fp.Format) -> Any:
    return [reference.decode(code, fmt) for code in range(1 << fmt.bits)]


def rungs(fmt: fp.Format) -> list[Any]:
    """Return the distinct numbers in order: infinities and fractions."""
    found = {float_or_fraction(x) for x in data(fmt) if x.kind is not Kind.NAN}
    return sorted(found)


def float_or_fraction(x: Any) -> Any:
    if x.kind is Kind.INFINITE:
        return -np.inf if x.negative else np.inf
    return x.value


COMPARISONS = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


@by_format
def test_comparisons_are_those_of_the_values(fmt: Any, every_operand: Any) -> None:
    """Of all pairs; Python's floats compare as IEEE 754 says."""
    a, b = every_operand(fmt, 2)
    for name, compare in COMPARISONS.items():
        actual = getattr(ops, name)(a, b, fmt)

        wanted = compare(fmt.values[a], fmt.values[b])
        assert actual.dtype == np.bool_
        np.testing.assert_array_equal(actual, wanted, name)


@by_format
def test_nans_are_unordered(fmt: Any, every_operand: Any) -> None:
    a, b = every_operand(fmt, 2)
    wanted = np.isnan(fmt.values[a]) | np.isnan(fmt.values[b])
    np.testing.assert_array_equal(ops.unordered(a, b, fmt), wanted)


def test_codes_of_different_formats_compare_by_value() -> None:
    a, b = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(1 << 16, 257, dtype=np.uint16))
    np.testing.assert_array_equal(
        ops.less(a, b, "E8M0FNU", b_format="BFLOAT16"),
        fp.E8M0FNU.values[a] < fp.BFLOAT16.values[b],
    )
    wide = fp.get_format("Binary16p1ue")  # beyond float64
    assert ops.greater(0xFFFD, 0x7F, wide, b_format="E8M0FNU")
    assert ops.less(0x0001, 0x00, wide, b_format="E8M0FNU")


@pytest.mark.parametrize("convention", ["ieee", "p3109"])
@by_format
def test_the_total_order_is_total(fmt: Any, convention: str, every_operand: Any) -> None:
    """Every two codes are in order; both ways only where they are alike."""
    a, b = every_operand(fmt, 2)
    up = ops.total_order(a, b, fmt, convention=convention)
    down = ops.total_order(b, a, fmt, convention=convention)
    number = ~ops.unordered(a, b, fmt)

    assert (up | down).all()
    np.testing.assert_array_equal(
        up[number & (fmt.values[a] != fmt.values[b])],
        (fmt.values[a] < fmt.values[b])[number & (fmt.values[a] != fmt.values[b])],
    )
    both = up & down
    if convention == "ieee":
        np.testing.assert_array_equal(both, a == b)
    else:
        nan = np.isnan(fmt.values)
        same = (fmt.values[a] == fmt.values[b]) | (nan[a] & nan[b])
        np.testing.assert_array_equal(both, same)


def test_the_total_order_of_ieee_754() -> None:
    """5.10: negative quiet and signalling NaN, numbers, signalling and quiet NaN."""
    ascending = [0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x81, 0x80, 0x00, 0x01, 0x7B, 0x7C, 0x7D, 0x7E, 0x7F]
    for low, high in pairwise(ascending):
        assert ops.total_order(low, high, "E5M2")
        assert not ops.total_order(high, low, "E5M2")
    assert ops.total_order(0x80, 0xFF, "Binary8p3se")  # NaN is below -inf
    assert ops.total_order(0x80, 0x81, "POSIT8")  # NaR is below -maxpos
    assert ops.total_order(0x7F, 0x80, "E4M3FNUZ")  # the only NaN has no sign


@by_format
def test_negation_changes_the_sign_and_no_more(fmt: Any) -> None:
    codes = every(fmt)
    if not fmt.signed:
        with pytest.raises(ValueError, match=f"fmt must be signed to negate, got {fmt.name}"):
            ops.negate(codes, fmt)
        np.testing.assert_array_equal(ops.absolute(codes, fmt), codes)
        return

    negated, size = ops.negate(codes, fmt), ops.absolute(codes, fmt)

    np.testing.assert_array_equal(fmt.values[negated], -fmt.values)
    np.testing.assert_array_equal(ops.negate(negated, fmt), codes)
    np.testing.assert_array_equal(fmt.values[size], np.abs(fmt.values))
    assert not np.signbit(fmt.values[size]).any()
    if fmt.has_negative_zero:
        np.testing.assert_array_equal(negated, codes ^ fmt.sign_bit)


@by_format
def test_signs_are_copied(fmt: Any, every_operand: Any) -> None:
    a, b = every_operand(fmt, 2)
    if not fmt.signed:
        with pytest.raises(ValueError, match=f"fmt must be signed to take a sign, got {fmt.name}"):
            ops.copysign(a, b, fmt)
        return

    actual = ops.copysign(a, b, fmt, convention="ieee")

    wanted = np.copysign(fmt.values[a], fmt.values[b])
    np.testing.assert_array_equal(fmt.values[actual], wanted)
    if fmt.has_negative_zero:
        np.testing.assert_array_equal(np.signbit(fmt.values[actual]), np.signbit(wanted))


def test_p3109_copies_no_sign_of_nan_or_zero() -> None:
    assert ops.copysign(0x40, 0x80, "Binary8p3se") == 0x80
    assert ops.copysign(0xC0, 0x00, "Binary8p3se") == 0x40
    assert ops.copysign(0xB8, 0x80, "E4M3FN", convention="p3109") == 0x38
    assert ops.copysign(0x38, 0xFF, "E4M3FN") == 0xB8
    assert ops.copysign(0x38, 0x01, "E4M3FN", b_format="Binary8p4se") == 0x38


@pytest.mark.parametrize("convention", ["ieee", "p3109"])
@by_format
def test_neighbours_are_the_next_values(fmt: Any, convention: str) -> None:
    """Of all codes; the ends are as each standard has them."""
    ladder = rungs(fmt)
    up = ops.next_up(every(fmt), fmt, convention=convention)
    down = ops.next_down(every(fmt), fmt, convention=convention)
    for code, datum in enumerate(data(fmt)):
        if datum.kind is Kind.NAN:
            assert np.isnan(fmt.values[up[code]])
            assert np.isnan(fmt.values[down[code]])
            continue
        place = ladder.index(float_or_fraction(datum))
        for found, step in ((up, 1), (down, -1)):
            value = fmt.values[found[code]]
            if 0 <= place + step < len(ladder):
                assert value == ladder[place + step]
                leaves_zero = value == 0 and fmt.has_negative_zero
                assert not leaves_zero or np.signbit(value) == (step > 0)
            elif datum.kind is Kind.INFINITE and convention == "ieee":
                assert found[code] == code  # nextUp(inf) is inf
            elif fmt.has_nan:
                assert np.isnan(value)  # NextGreaterThan(MaxFinite) of finite formats
            else:
                assert found[code] == code


def test_p3109_neighbours() -> None:
    """NextGreaterThan and NextLessThan, as v4.0 has them."""
    assert ops.next_up(0x7F, "Binary8p3se") == 0x80  # infinity: NaN
    assert ops.next_up(0x7E, "Binary8p3se") == 0x7F  # the largest: infinity
    assert ops.next_up(0x7F, "Binary8p3sf") == 0x80  # the largest of a finite format: NaN
    assert ops.next_down(0x00, "Binary8p3se") == 0x81  # zero: the smallest negative
    assert ops.next_down(0x00, "Binary8p3ue") == 0xFF  # zero, unsigned: NaN
    assert ops.next_up(0x7C, "E5M2") == 0x7C
    assert ops.next_up(0xFC, "E5M2") == 0xFB


#: Of formats whose NaNs have both signs: those that ml_dtypes writes.
NANS = {
    "E4M3FN": (0x7F, 0xFF),
    "E5M2": (0x7E, 0xFE),
    "E4M3IEEE": (0x7C, 0xFC),
    "BINARY16": (0x7E00, 0xFE00),
}
#: What does not hand a NaN on as it is: other operands win, or the sign is what it is about.
NOT_HANDED_ON = {"absolute", "copysign", "negate"} | {
    f"{end}_{kind}"
    for end in ("minimum", "maximum")
    for kind in ("number", "magnitude_number", "finite")
}


@pytest.mark.parametrize("fmt", NANS)
def test_a_nan_keeps_its_sign_through_every_operation(fmt: str) -> None:
    """In each operand, by either convention."""
    plus, minus = NANS[fmt]
    one, asked = int(fp.encode(1.0, fmt)), 0
    for name in ops.__all__:
        operation = getattr(ops, name)
        hints = inspect.get_annotations(operation)
        if name in NOT_HANDED_ON or hints.get("return") not in {"Codes", "npt.NDArray[Any]"}:
            continue
        has_convention = {"convention", "options"} & hints.keys()
        options = [{"convention": key} for key in ("ieee", "p3109")] if has_convention else [{}]
        operands = list(inspect.signature(operation).parameters).index("fmt")
        for place, option in itertools.product(range(operands), options):
            for nan in (plus, minus):
                given = [nan if place == other else one for other in range(operands)]
                assert operation(*given, fmt, **option) == nan, (name, place)
                asked += 1
    assert asked > 100


def test_what_no_value_is_beyond_is_nan_of_its_sign() -> None:
    """As overflow is: ml_dtypes makes 0x7F of 1e9 and 0xFF of -1e9."""
    assert ops.next_up(0x7E, "E4M3FN") == 0x7F
    assert ops.next_down(0xFE, "E4M3FN") == 0xFF
    for fmt, infinity, nan in (("E5M2", 0x7C, 0x7E), ("E4M3IEEE", 0x78, 0x7C)):
        assert ops.next_up(infinity, fmt, convention="p3109") == nan
        assert ops.next_down(infinity | 0x80, fmt, convention="p3109") == nan | 0x80
    assert ops.copysign(0x38, 0xFF, "E4M3FN", convention="p3109") == 0xFF
    assert ops.next_down(0xFF, "E4M3FNUZ") == 0x80  # there is one NaN
    assert ops.next_down(0x00, "UE5M3") == 0xFF


@by_format
def test_nextafter_goes_toward(fmt: Any, every_operand: Any) -> None:
    a, b = every_operand(fmt, 2)

    actual = ops.nextafter(a, b, fmt)

    less, greater = fmt.values[a] < fmt.values[b], fmt.values[a] > fmt.values[b]
    equal = fmt.values[a] == fmt.values[b]
    np.testing.assert_array_equal(actual[less], ops.next_up(a[less], fmt))
    np.testing.assert_array_equal(actual[greater], ops.next_down(a[greater], fmt))
    np.testing.assert_array_equal(actual[equal], b[equal])
    assert np.isnan(fmt.values[actual[~(less | greater | equal)]]).all()


@by_format
def test_an_ulp_is_the_gap_above(fmt: Any) -> None:
    """For all codes: to the next larger magnitude, as if exponents went on."""
    units = ops.ulp(every(fmt), fmt)
    ladder = [value for value in rungs(fmt) if 0 <= value < np.inf]
    following = reference.projecting.successor(fmt)
    gaps = [high - low for low, high in pairwise(ladder)]
    gaps.append(gaps[-1] if following is None else following - ladder[-1])
    for unit, datum in zip(units.tolist(), data(fmt), strict=True):
        if datum.is_finite:
            assert unit == gaps[ladder.index(abs(datum.value))]
        else:
            np.testing.assert_equal(unit, np.nan if datum.kind is Kind.NAN else np.inf)


def test_an_ulp_by_hand() -> None:
    """2**(max(floor(log2 x), emin) - p + 1)."""
    assert ops.ulp([0x38, 0x37, 0x00, 0x08, 0xFE], "E4M3FN").tolist() == [
        *(2.0**-3, 2.0**-4, 2.0**-9, 2.0**-9, 32.0)
    ]
    assert float(ops.ulp(0x3F80, "BFLOAT16")) == 2.0**-7


@by_format
def test_kappa_counts_values(fmt: Any, every_operand: Any) -> None:
    """The number of rungs between two codes, one end counted."""
    a, b = every_operand(fmt, 2)
    ladder = rungs(fmt)
    place = np.array(
        [-1 if x.kind is Kind.NAN else ladder.index(float_or_fraction(x)) for x in data(fmt)]
    )

    actual = ops.kappa(a, b, fmt)

    wanted = np.abs(place[a] - place[b]).astype(float)
    infinite = np.isinf(fmt.values)
    wanted[(infinite[a] | infinite[b]) & (place[a] != place[b])] = np.inf
    wanted[(place[a] == -1) != (place[b] == -1)] = np.nan
    np.testing.assert_array_equal(actual, wanted)


def test_kappa_of_p3109s_example() -> None:
    """Annex D.1 flushes subnormals to 0 or the smallest normal: 3 or 4 of Binary8p4se's values."""
    fmt = fp.get_format("Binary8p4se")
    codes = np.arange(9, dtype=np.uint8)
    flushed = np.where(codes < 4, 0, 8).astype(np.uint8)
    assert ops.kappa(flushed, codes, fmt).tolist() == [0, 1, 2, 3, 4, 3, 2, 1, 0]


@by_format
def test_classes_are_the_references(fmt: Any) -> None:
    codes = every(fmt)
    kinds = data(fmt)
    np.testing.assert_array_equal(ops.is_nan(codes, fmt), [x.kind is Kind.NAN for x in kinds])
    np.testing.assert_array_equal(
        ops.is_infinite(codes, fmt), [x.kind is Kind.INFINITE for x in kinds]
    )
    np.testing.assert_array_equal(ops.is_finite(codes, fmt), [x.is_finite for x in kinds])
    np.testing.assert_array_equal(ops.is_zero(codes, fmt), [x.is_zero for x in kinds])
    np.testing.assert_array_equal(
        ops.is_sign_minus(codes, fmt, convention="ieee"), [x.negative for x in kinds]
    )
    np.testing.assert_array_equal(
        ops.is_sign_minus(codes, fmt, convention="p3109"),
        [x.negative and x.kind is not Kind.NAN and not x.is_zero for x in kinds],
    )
    smallest = fmt.smallest_normal
    sizes = [abs(x.value) if x.is_finite else None for x in kinds]
    np.testing.assert_array_equal(
        ops.is_normal(codes, fmt), [size is not None and size >= smallest for size in sizes]
    )
    np.testing.assert_array_equal(
        ops.is_subnormal(codes, fmt),
        [size is not None and 0 < size < smallest for size in sizes],
    )


def test_classes_by_name() -> None:
    """IEEE 754-2019, 5.7.2; P3109: one class for NaN, one for zero."""
    codes = [0x7D, 0x7E, 0xFC, 0xBC, 0x81, 0x80, 0x00, 0x01, 0x3C, 0x7C]
    assert ops.classify(codes, "E5M2").tolist() == [
        *("signalingNaN", "quietNaN", "negativeInfinity", "negativeNormal"),
        *("negativeSubnormal", "negativeZero", "positiveZero", "positiveSubnormal"),
        *("positiveNormal", "positiveInfinity"),
    ]
    assert ops.classify([0x80, 0x00, 0xFF], "Binary8p3se").tolist() == [
        *("NaN", "zero", "negativeInfinity")
    ]
    assert ops.classify([0x7F, 0xFF], "E4M3FN").tolist() == ["quietNaN", "quietNaN"]


def test_the_number_without_a_counterpart_is_a_number() -> None:
    """MXINT8 has -2 and no 2."""
    fmt = fp.get_format("MXINT8")
    assert ops.add(0x80, 0x40, fmt) == 0xC0  # -2 + 1
    assert ops.multiply(0x80, 0x80, fmt) == 0x7F
    assert float(fp.decode(ops.multiply(0x80, 0x80, fmt, out_format="E4M3FN"), "E4M3FN")) == 4
    assert ops.divide(0xC0, 0x00, fmt) == 0x81  # an infinity: the largest of its sign
    assert ops.less(0x80, 0x81, fmt)
    assert ops.next_down(0x81, fmt) == 0x80
    assert ops.next_down(0x80, fmt) == 0x80
    assert ops.negate([0x80, 0x81, 0x00], fmt).tolist() == [0x7F, 0x7F, 0x00]
    assert ops.absolute(0x80, fmt) == 0x7F
    assert ops.ulp([0x80, 0x7F], fmt).tolist() == [2.0**-6, 2.0**-6]
    assert float(ops.kappa(0x80, 0x00, fmt)) == 128
    assert ops.is_normal(0x80, fmt)
