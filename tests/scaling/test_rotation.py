"""The Hadamard transform: Sylvester's matrix written out, exact sums, and what undoes it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num import scaling
from fp8num.scaling import Rotation

#: TransformerEngine's signs, transcribed.
SIGNS = (1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1)
NVFP4 = Rotation(SIGNS)


def sylvester(n: int) -> list[list[int]]:
    """Return H by its entries: -1 to the number of ones that the two indices share."""
    return [[(-1) ** (i & j).bit_count() for j in range(n)] for i in range(n)]


def transformed(tile: list[Any], signs: tuple[int, ...], *, back: bool = False) -> list[Fraction]:
    """Return x diag(signs) H / sqrt(n), or its inverse, in rationals."""
    n = len(signs)
    root, h = {1: 1, 4: 2, 16: 4}[n], sylvester(n)
    x = [Fraction(float(v)) for v in tile]
    if back:  # the transpose: H is symmetric
        return [sum(x[j] * h[j][i] for j in range(n)) * signs[i] / root for i in range(n)]
    return [sum(x[i] * signs[i] * h[i][j] for i in range(n)) / root for j in range(n)]


def test_the_matrix_of_four_is_written_out() -> None:
    found = Rotation((1, 1, 1, 1)).matrix * 2
    assert found.tolist() == [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
    signed = Rotation((1, -1, 1, 1)).matrix * 2
    assert signed.tolist() == [[1, 1, 1, 1], [-1, 1, -1, 1], [1, 1, -1, -1], [1, -1, -1, 1]]
    assert Rotation((1,)).matrix.tolist() == [[1]]
    assert Rotation((-1,)).matrix.tolist() == [[-1]]


def test_the_matrix_of_nvfp4_has_transformer_engine_s_signs() -> None:
    """Signs by row, a quarter each; the first column is the signs themselves."""
    assert (NVFP4.matrix * 4).tolist() == [
        [SIGNS[i] * entry for entry in row] for i, row in enumerate(sylvester(16))
    ]
    assert (NVFP4.matrix[:, 0] * 4).tolist() == list(SIGNS)
    assert scaling.get_rule("te-nvfp4-rht").rotation == NVFP4
    assert scaling.get_rule("te-nvfp4-rht-sr").rotation == NVFP4
    assert scaling.get_rule("te-nvfp4").rotation is None


@pytest.mark.parametrize("signs", [(1,), (1, 1, -1, 1), SIGNS], ids=len)
def test_the_matrix_is_orthogonal(signs: tuple[int, ...]) -> None:
    """Its entries are powers of two, so the product is exact."""
    matrix = Rotation(signs).matrix
    assert (matrix @ matrix.T).tolist() == np.eye(len(signs)).tolist()
    assert (matrix.T @ matrix).tolist() == np.eye(len(signs)).tolist()


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("signs", [(1, 1, -1, 1), SIGNS], ids=len)
def test_small_integers_are_transformed_exactly(signs: tuple[int, ...], *, back: bool) -> None:
    """Tile by tile along the axis, against sums of Fractions."""
    n = len(signs)
    x = np.random.default_rng(0).integers(-999, 999, (3, 2 * n)).astype(np.float32)

    found = Rotation(signs).apply(x, -1, back=back)

    assert found.dtype == np.float32
    for row in range(3):
        for start in (0, n):
            tile = transformed(list(x[row, start : start + n]), signs, back=back)
            assert [Fraction(float(v)) for v in found[row, start : start + n]] == tile


def test_sums_are_rounded_to_float32_once() -> None:
    """A tie that a later, smaller term breaks: float32 sums in order would lose it."""
    x = np.zeros((1, 4), np.float32)
    x[0] = [1, 2.0**-24, 2.0**-60, 0]
    found = Rotation((1, 1, 1, 1)).apply(x, -1)
    # (1 + 2**-24 + 2**-60) / 2: in float64 the last term is lost, and the tie goes to even;
    # one of 2**-50 is not lost.
    assert found[0, 0] == 0.5
    x[0, 2] = 2.0**-50
    assert Rotation((1, 1, 1, 1)).apply(x, -1)[0, 0] == np.nextafter(np.float32(0.5), np.float32(1))


def test_the_transform_is_undone() -> None:
    """Exactly for integers, otherwise to two roundings of float32."""
    rng = np.random.default_rng(1)
    x = rng.integers(-100, 100, (4, 48)).astype(np.float32)
    np.testing.assert_array_equal(NVFP4.apply(NVFP4.apply(x, -1), -1, back=True), x)

    y = rng.standard_normal((4, 48)).astype(np.float32)
    there = NVFP4.apply(y, -1)
    again = NVFP4.apply(there, -1, back=True)
    norms = np.linalg.norm(y.reshape(4, 3, 16), axis=-1, keepdims=True)
    # Each rounding is at most 2**-24 of a number that the tile's norm bounds, of 16 of them.
    bound = (4 + 1) * 2.0**-24 * norms * np.ones((1, 1, 16))
    assert np.all(np.abs(again - y) <= bound.reshape(4, 48))


def test_an_outlier_is_spread_over_its_tile() -> None:
    """To a quarter of it everywhere in its own tile, and nowhere else."""
    x = np.zeros((1, 48), np.float32)
    x[0, 20] = 64
    found = NVFP4.apply(x, -1)
    assert set(np.abs(found[0, 16:32]).tolist()) == {16.0}
    assert not found[0, :16].any()
    assert not found[0, 32:].any()


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_can_be_transformed(axis: int) -> None:
    shape = [2, 3, 5]
    shape[axis] = 32
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)

    found = NVFP4.apply(x, axis)

    assert found.shape == x.shape
    assert found.flags.c_contiguous
    last = np.ascontiguousarray(np.moveaxis(x, axis, -1)).reshape(-1, 32)
    each = np.stack([NVFP4.apply(row, 0) for row in last])
    np.testing.assert_array_equal(np.moveaxis(found, axis, -1).reshape(-1, 32), each)


@pytest.mark.parametrize(
    "dtype", [np.float16, ml_dtypes.bfloat16, np.float64, np.longdouble, np.int32, ">f4"], ids=str
)
def test_values_of_any_type_are_transformed(dtype: Any) -> None:
    """The same numbers, the same result; and however many rows there are."""
    x = np.random.default_rng(3).integers(-9, 9, (2500, 16))
    found = NVFP4.apply(x.astype(dtype), -1)
    np.testing.assert_array_equal(found, NVFP4.apply(x.astype(np.float32), -1))
    tile = transformed(list(x[2400]), SIGNS)
    assert [Fraction(float(v)) for v in found[2400]] == tile


def test_infinity_and_nan_are_transformed_without_a_warning() -> None:
    """The difference of two infinities is NaN; other tiles keep their numbers."""
    x = np.ones((1, 32), np.float32)
    x[0, 2:4] = np.inf
    found = NVFP4.apply(x, -1)
    assert np.isnan(found[0, :16]).any()
    assert np.isfinite(found[0, 16:]).all()
    assert fp.scale_quantize(x, "te-nvfp4-rht").codes.shape == (1, 32)


def test_an_empty_array_is_transformed() -> None:
    assert NVFP4.apply(np.zeros((0, 32), np.float32), -1).shape == (0, 32)
    assert NVFP4.apply(np.zeros((3, 0), np.float32), -1).shape == (3, 0)


@pytest.mark.parametrize(("shape", "axis"), [((2, 17), -1), ((15, 32), 0), ((1,), 0), ((), 0)])
def test_a_ragged_axis_is_refused(shape: tuple[int, ...], axis: int) -> None:
    with pytest.raises(ValueError, match=rf"axis {axis} must be a multiple of 16 long .* pad it"):
        NVFP4.apply(np.ones(shape, np.float32), axis)


@pytest.mark.parametrize(
    "signs", [(), (1, 1), (1,) * 8, (1, 1, 1), (1, 1, 1, 0), (1, 2, 1, 1), (1,) * 32], ids=str
)
def test_signs_are_a_power_of_four_of_ones(signs: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"signs must be \+1 and -1, a power of four of them up to"
    ):
        Rotation(signs)


def test_a_rotated_array_comes_back_rotated() -> None:
    """Codes are of the rotated values: turning back is the reader's."""
    x = np.random.default_rng(4).standard_normal((8, 64)).astype(np.float32)
    x[0, 5] = 50
    scaled = fp.scale_quantize(x, "te-nvfp4-rht")
    back = NVFP4.apply(scaled.dequantize(), scaled.axis, back=True)
    assert np.linalg.norm(back - x) < 0.2 * np.linalg.norm(x)
    assert np.linalg.norm(scaled.dequantize() - x) > np.linalg.norm(x) / 2
