"""What was planted is found, with its axis and place, and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fp8num.analysis.outliers import Outlier, find_outliers

X = np.random.default_rng(3).standard_normal((200, 300))


def found(x: npt.NDArray[np.float64], pieces: int = 3) -> tuple[Outlier, ...]:
    return find_outliers(lambda: np.array_split(x, pieces), x.shape[1])


def places(outliers: tuple[Outlier, ...]) -> set[tuple[str, tuple[int, ...]]]:
    return {(one.axis, one.index) for one in outliers}


@pytest.mark.parametrize("ratio", [1e5, 1e7, 1e12])
def test_rows_columns_and_elements_are_told_apart(ratio: float) -> None:
    x = X.copy()
    x[5] *= ratio
    x[:, [17, 40]] *= ratio
    x[100, 200] = ratio

    assert places(found(x)) == {
        ("row", (5,)), ("column", (17,)), ("column", (40,)), ("element", (100, 200)),
    }  # fmt: skip


def test_the_ratio_is_that_of_the_plant() -> None:
    x = X.copy()
    x[5] *= 1e5
    x[:, 17] *= 1e6

    ratios = {one.axis: one.ratio for one in found(x)}

    np.testing.assert_allclose([ratios["row"], ratios["column"]], [1e5, 1e6], rtol=0.25)


def test_one_element_does_not_make_its_row_or_column_an_outlier() -> None:
    x = X.copy()
    x[5, 7] = 1e30

    assert places(found(x)) == {("element", (5, 7))}


def test_ordinary_data_have_no_outliers() -> None:
    assert found(X) == ()
    assert found(np.random.default_rng(0).laplace(size=(64, 64))) == ()


def test_the_number_of_pieces_does_not_matter() -> None:
    x = X.copy()
    x[5] *= 1e5
    x[3, 4] = 1e6

    assert found(x, 1) == found(x, 200)


def test_zeros_and_what_is_not_finite_take_no_part() -> None:
    x = X.copy()
    x[0] = 0
    x[:, 1] = 0
    x[2, 3], x[3, 4] = np.nan, np.inf

    assert found(x) == ()
    assert found(np.zeros((4, 4))) == ()
    assert found(np.empty((0, 4))) == ()
