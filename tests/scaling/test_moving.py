"""What moving between rules costs: distances in rationals, and the published measurements."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fp8num as fp
from fp8num.scaling import Distance, Move, Rotation, distance, get_rule, move


def gaussian(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# Distances.


def exact(a: Any, b: Any) -> tuple[Fraction, Fraction, Fraction]:
    """Return the squared norms of a, b and b - a."""
    x, y = ([Fraction(float(v)) for v in np.ravel(z)] for z in (a, b))
    difference = [q - p for p, q in zip(x, y, strict=True)]
    return tuple(sum((v * v for v in z), Fraction(0)) for z in (x, y, difference))  # type: ignore[return-value]


def root(value: Fraction) -> float:
    """Return a square root to float64's precision, of numbers float64 could not hold too."""
    scale = 2**200
    return math.isqrt(value.numerator * scale * scale // value.denominator) / scale


number = st.integers(-(2**20), 2**20).map(lambda n: n / 64)
elements = st.lists(st.tuples(number, number), min_size=1, max_size=12)


@given(pairs=elements)
def test_a_distance_is_the_exact_one_to_a_few_roundings(pairs: list[tuple[float, float]]) -> None:
    a, b = (np.array(column, np.float32) for column in zip(*pairs, strict=True))
    squares = exact(a, b)

    found = distance(a, b)

    aa, bb, dd = squares
    assert found.changed == int(np.sum(a != b)) / len(a)
    if aa == 0:
        assert math.isnan(found.relative_frobenius)
    else:
        assert math.isclose(found.relative_frobenius, root(dd / aa), rel_tol=1e-14, abs_tol=1e-200)
    if aa == 0 or bb == 0:
        assert math.isnan(found.one_minus_cosine)
        return
    dot = (aa + bb - dd) / 2
    cosine = root(dot * dot / (aa * bb)) * (1 if dot >= 0 else -1)
    assert abs(found.one_minus_cosine - (1 - cosine)) <= 1e-14


def test_a_small_angle_keeps_its_digits() -> None:
    """1 - cosine of an angle of 2**-24 is 2**-49, of which 1 - 0.99... would keep four bits."""
    a = np.array([1.0, 0.0])
    b = np.array([1.0, 2.0**-24])
    angle = math.atan(2.0**-24)
    wanted = angle * angle / 2  # the next term is below 2**-98
    assert math.isclose(distance(a, b).one_minus_cosine, wanted, rel_tol=1e-7)


def test_distances_worked_out_by_hand() -> None:
    assert distance([3.0, 4.0], [3.0, 4.5]).relative_frobenius == 0.1
    assert distance([1.0, 0.0], [0.0, 1.0]) == Distance(math.sqrt(2), 1.0, 1.0)
    assert distance([1.0, 0.0], [-1.0, 0.0]) == Distance(2.0, 2.0, 0.5)
    assert distance([[2.0, 0.0]], [[2.0, 0.0]]) == Distance(0.0, 0.0, 0.0)
    assert distance([4.0], [1.0]) == Distance(0.75, 0.0, 1.0)
    assert distance(3.0, 3.75).relative_frobenius == 0.25
    assert distance([1, -2, 2], [1, -2, 5]).relative_frobenius == 1.0


def test_what_has_no_distance_is_nan() -> None:
    """From zero, to zero an angle, of nothing at all."""
    from_zero = distance([0.0, 0.0], [1.0, 0.0])
    assert math.isnan(from_zero.relative_frobenius)
    assert math.isnan(from_zero.one_minus_cosine)
    assert from_zero.changed == 0.5
    to_zero = distance([1.0, 0.0], [0.0, 0.0])
    assert to_zero.relative_frobenius == 1
    assert math.isnan(to_zero.one_minus_cosine)
    nothing = distance([], [])
    assert math.isnan(nothing.relative_frobenius)
    assert math.isnan(nothing.one_minus_cosine)
    assert math.isnan(nothing.changed)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("where", ["first", "second", "both"])
def test_what_is_not_finite_has_no_distance(value: float, where: str) -> None:
    """NaN, in whichever tensor it is, and no warning."""
    a, b = np.array([1.0, 2.0]), np.array([1.0, 2.5])
    if where != "second":
        a[0] = value
    if where != "first":
        b[0] = value
    found = distance(a, b)
    assert math.isnan(found.relative_frobenius)
    assert math.isnan(found.one_minus_cosine)


def test_shapes_must_be_one() -> None:
    with pytest.raises(ValueError, match=r"a and b must have one shape, got \(2,\) and \(1, 2\)"):
        distance([1.0, 2.0], [[1.0, 2.0]])


@pytest.mark.parametrize("kind", ["strided", "column-major", "big-endian", "bfloat16", "float64"])
def test_a_distance_does_not_depend_on_how_arrays_lie(kind: str) -> None:
    a = gaussian((40, 30)).astype(ml_dtypes.bfloat16).astype(np.float32)
    b = a + np.float32(0.25) * gaussian((40, 30), 1)
    wanted = distance(a, b)
    wide = np.zeros((80, 60), np.float32)
    wide[::2, ::2] = a
    other = {
        "strided": wide[::2, ::2],
        "column-major": np.asfortranarray(a),
        "big-endian": a.astype(">f4"),
        "bfloat16": a.astype(ml_dtypes.bfloat16),
        "float64": a.astype(np.float64),
    }[kind]
    assert distance(other, b) == wanted
    assert distance(np.asfortranarray(a), np.asfortranarray(b)) == wanted


def test_a_distance_of_many_elements_is_summed_in_pieces() -> None:
    """More than the working memory holds at once."""
    a = np.ones((3, 200_000), np.float32)
    b = a.copy()
    b[2] = 2
    found = distance(a, b)
    assert found.changed == 1 / 3
    assert math.isclose(found.relative_frobenius, math.sqrt(1 / 3), rel_tol=1e-14)
    cosine = (2 + 2) / math.sqrt(3 * (2 + 4))
    assert math.isclose(found.one_minus_cosine, 1 - cosine, rel_tol=1e-12)


# Published measurements.


def turned(rule: str) -> Move:
    """Return the cost of quantising 1x128 again as 128x1, from the dequantised values."""
    x = gaussian((512, 512))
    return move(fp.scale_quantize(x, rule), rule, axis=0, source=x)


@pytest.mark.parametrize("rule", ["deepgemm-1x128-ue8m0", "te-block-1x128"])
def test_turning_blocks_of_power_of_two_scales_is_free(rule: str) -> None:
    """At most 0.31 % of the elements change, and the error stays what it was to 0.1 %."""
    cost = turned(rule)
    assert cost.error_before is not None
    assert cost.error_after is not None
    assert cost.moving.changed <= 0.0031
    ratio = cost.error_after.relative_frobenius / cost.error_before.relative_frobenius
    assert abs(ratio - 1) < 1e-3


@pytest.mark.parametrize("rule", ["deepgemm-1x128", "te-block-1x128-fp32"])
def test_turning_blocks_of_float32_scales_adds_as_much_again(rule: str) -> None:
    """The two errors are independent and alike: sqrt(2), on Gaussian data 1.42."""
    cost = turned(rule)
    assert cost.error_before is not None
    assert cost.error_after is not None
    ratio = cost.error_after.relative_frobenius / cost.error_before.relative_frobenius
    assert 1.40 < ratio < 1.44
    assert cost.moving.changed > 0.5


def test_moving_float32_scales_to_powers_of_two() -> None:
    """Relative Frobenius error 0.0264 and 1 - cosine 3.5e-4 on Gaussian data."""
    cost = move(gaussian((512, 1024)), "deepgemm-1x128-ue8m0", before="deepgemm-1x128").moving
    assert abs(cost.relative_frobenius - 0.0264) < 0.0003
    assert abs(cost.one_minus_cosine - 3.5e-4) < 0.1e-4


# The record.


@pytest.mark.parametrize(("rule", "axis"), [("te-mxfp8", None), ("te-mxfp8", 0), ("row", 1)])
def test_the_record_holds_the_four_distances(rule: str, axis: int | None) -> None:
    """Each from arrays that were dequantised here."""
    x = gaussian((64, 96))
    scaled = fp.scale_quantize(x, "deepgemm-1x128", axis=1)

    cost = move(scaled, rule, axis=axis, source=x)

    before = scaled.dequantize()
    after = fp.scale_quantize(before, rule, axis=1 if axis is None else axis).dequantize()
    direct = fp.scale_quantize(x, rule, axis=1 if axis is None else axis).dequantize()
    assert cost.moving == distance(before, after)
    assert cost.error_before == distance(x, before)
    assert cost.error_after == distance(x, after)
    assert cost.direct == distance(x, direct)
    assert cost.before == "deepgemm-1x128 (axis 1)"
    assert cost.after == f"{rule} (axis {1 if axis is None else axis})"


def test_without_a_source_only_the_move_is_measured() -> None:
    scaled = fp.scale_quantize(gaussian((8, 64)), "te-mxfp8")
    cost = move(scaled, "row")
    assert cost.error_before is cost.error_after is cost.direct is None
    assert cost.moving.changed > 0


def test_a_tensor_s_format_is_kept_where_the_rule_takes_it() -> None:
    """E5M2 stays E5M2, whose rounding again changes nothing; one of FP4 becomes FP4."""
    x = gaussian((8, 64))
    scaled = fp.scale_quantize(x, "te-mxfp8", fmt="E5M2")
    assert move(scaled, "te-mxfp8").moving.changed == 0
    assert move(scaled, "torchao-mx-rceil").moving.changed == 0
    other = move(scaled, "torchao-mx-rceil", fmt="E4M3FN")
    values = scaled.dequantize()
    wanted = fp.scale_quantize(values, "torchao-mx-rceil", fmt="E4M3FN").dequantize()
    assert other.moving == distance(values, wanted)
    four = move(scaled, "te-nvfp4")
    assert four.moving == distance(values, fp.scale_quantize(values, "te-nvfp4").dequantize())


def test_a_rotation_is_undone_before_it_is_compared() -> None:
    """The values of te-nvfp4-rht are rotated; their error is that of the tensor itself."""
    x = gaussian((32, 64))
    cost = move(x, "te-nvfp4", before="te-nvfp4-rht")
    scaled = fp.scale_quantize(x, "te-nvfp4-rht")
    rotation = get_rule("te-nvfp4-rht").rotation
    assert isinstance(rotation, Rotation)
    values = rotation.apply(scaled.dequantize(), -1, back=True)
    assert cost.error_before == distance(x, values)
    assert cost.error_before.relative_frobenius < 0.15


def test_random_rounding_takes_its_numbers_from_the_caller() -> None:
    x = gaussian((8, 64))
    found = [
        move(x, "te-nvfp4-sr", before="te-nvfp4", rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_source_needs_the_rule_it_is_moved_from() -> None:
    with pytest.raises(ValueError, match="before must name the rule that quantises a source"):
        move(gaussian((8, 64)), "row")


def test_a_record_is_written_as_json() -> None:
    """NaN as null, what is missing as null."""
    cost = move(np.zeros((2, 32), np.float32), "row", before="te-mxfp8")
    text = json.dumps(cost.to_dict(), allow_nan=False)
    found = json.loads(text)
    assert found["moving"] == {
        "relative_frobenius": None,
        "one_minus_cosine": None,
        "changed": 0.0,
    }
    assert found["before"] == "te-mxfp8 (axis 1)"
    scaled = fp.scale_quantize(gaussian((2, 32)), "te-mxfp8")
    plain = json.loads(json.dumps(move(scaled, "row").to_dict(), allow_nan=False))
    assert plain["direct"] is None
    assert plain["moving"]["changed"] == move(scaled, "row").moving.changed
