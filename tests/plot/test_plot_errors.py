"""Largest errors are those of theory, measured ones those of the analysis; decibels agree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from matplotlib.patches import StepPatch

import fp8num as fp
from fp8num import plot
from fp8num.analysis import analyze_tensor
from fp8num.inputs import tensor_from_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def steps(ax: Axes, number: int = 0) -> dict[float, float]:
    """Return the largest error by the lower edge of each step."""
    found = [patch for patch in ax.patches if isinstance(patch, StepPatch)]
    values, edges, _ = found[number].get_data()
    return dict(zip(edges.tolist(), np.exp2(values).tolist(), strict=False))


def analysis(x: Any, formats: Any = ("E4M3FN", "E5M2"), rules: Any = None) -> Any:
    return analyze_tensor(tensor_from_array("w", np.asarray(x, np.float32)), formats, rules)


@pytest.mark.parametrize(
    ("name", "precision", "emin", "emax"),
    [("E4M3FN", 4, -6, 8), ("E5M2", 3, -14, 15), ("E2M3FN", 4, 0, 2), ("BINARY16", 11, -14, 15)],
)
def test_normal_numbers_err_by_u_over_one_plus_u(
    ax: Axes, name: str, precision: int, emin: int, emax: int
) -> None:
    """The theorem: at most u / (1 + u), and it is reached in every binade."""
    u = 2.0**-precision
    plot.error(name, ax)

    found = steps(ax)
    for exponent in range(emin, emax):
        assert found[exponent] == pytest.approx(u / (1 + u), rel=1e-12)


def test_below_and_above_the_normal_numbers(ax: Axes) -> None:
    """E4M3FN: half a step of 2^-9 over the number; all of it below 2^-10; 1 - 448/x above."""
    plot.error("E4M3FN", ax)

    found = steps(ax)
    assert found[-7] == pytest.approx(2**-10 / (2**-7 + 2**-10))
    assert found[-9] == pytest.approx(2**-10 / (2**-9 + 2**-10))
    assert found[-10] == pytest.approx(1)
    assert found[8] == pytest.approx(1 - 448 / 512)
    assert found[9] == pytest.approx(1 - 448 / 1024)


def test_tabulated_formats_turn_where_their_standard_says(ax: Axes) -> None:
    """posit8 from 1 to 2 is 0 10 ee fff: precision 4; from 2^20 on neighbours are 16 apart."""
    plot.error("POSIT8", ax)

    assert steps(ax)[0] == pytest.approx(1 / 17)
    assert max(steps(ax).values()) > 1


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "E3M4"])
def test_marks_of_a_format_are_the_errors_of_ml_dtypes(ax: Axes, name: str) -> None:
    """Numbers spread evenly over a binade: the root of the mean of their squared errors."""
    peer = {"E3M4": ml_dtypes.float8_e3m4, "E5M2": ml_dtypes.float8_e5m2}
    x = 1 + (np.arange(4001) + 0.5) / 4001
    q = x.astype(peer.get(name, ml_dtypes.float8_e4m3fn)).astype(np.float64)
    expected = np.sqrt(np.mean(((q - x) / x) ** 2))

    plot.error(name, ax)

    (line,) = ax.lines
    marks = dict(zip(line.get_xdata(), np.exp2(line.get_ydata()), strict=True))
    assert marks[0.5] == pytest.approx(expected, rel=0.01)


def test_marks_of_an_analysis_are_what_it_measured(ax: Axes) -> None:
    """Each within the largest error of the binades that a scale moves there."""
    x = np.random.default_rng(7).standard_normal(2000).astype(np.float32)
    found = analysis(x, "E4M3FN", "tensor")

    plot.error(found, ax)

    (line,), (result,) = ax.lines, found.results
    q = fp.quantize(x * np.float32(result.scale), "E4M3FN").astype(float) / result.scale
    for place, mark in zip(line.get_xdata(), np.exp2(line.get_ydata()), strict=True):
        inside = np.floor(np.log2(np.abs(x))) == place - 0.5
        error = (q[inside] - x[inside]) / x[inside].astype(float)
        assert mark == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
    shift = math.log2(result.scale)
    values = steps(ax)
    assert all((edge + shift) == pytest.approx(round(edge + shift)) for edge in values)
    assert min(values.values()) == pytest.approx(1 / 17)


def test_formats_and_rules_of_an_analysis_can_be_chosen(ax: Axes) -> None:
    found = analysis([1.0, 0.3, 7.0])

    plot.error(found, ax, formats="E5M2", rules=["tensor"])

    assert [line.get_label() for line in ax.lines] == ["E5M2, tensor"]


@pytest.mark.parametrize("x", [[], [0.0, math.nan], [5e-324, 1.7976931348623157e308], [1.0]])
@pytest.mark.parametrize("draw", [plot.error, plot.sqnr])
def test_any_tensor_has_a_picture(ax: Axes, draw: Any, x: list[float]) -> None:
    """Nothing, specials, both ends of float64; in a format of scales, whose errors overflow."""
    tensor = tensor_from_array("w", np.asarray(x))

    draw(analyze_tensor(tensor, ["E4M3FN", "E8M0FNU", "POSIT8"], "none"), ax)

    assert ax.has_data()


@pytest.mark.parametrize("draw", [plot.error, plot.sqnr])
def test_a_format_as_wide_as_float64_has_a_picture(ax: Axes, draw: Any) -> None:
    """P3109's of 16 bits and precision 5 ends at 2^1023 or so."""
    draw("binary16p5se", ax, **({} if draw is plot.error else {"exponents": [1000, 1015]}))

    assert ax.lines[0].get_ydata().max() > -8


def test_exact_numbers_have_no_mark(ax: Axes) -> None:
    plot.error(analysis([1.0, 2.0], "E4M3FN", "none"), ax)

    assert [len(line.get_xdata()) for line in ax.lines] == [0]


def test_bars_are_the_ratios_of_the_table(ax: Axes) -> None:
    """By hand: 1.1 becomes 1.125 in E4M3FN, and 1 in E5M2."""
    table = fp.analyze(np.float64([1.1, 2.0]), ["E4M3FN", "E5M2"], "none")

    plot.sqnr(table, ax)

    found = [bar.get_width() for bar in ax.patches]
    power = 1.1**2 + 4
    exact = [10 * math.log10(power / 0.025**2), 10 * math.log10(power / 0.1**2)]
    assert found == pytest.approx(exact)
    assert [bar.get_y() + bar.get_height() / 2 for bar in ax.patches] == pytest.approx([0, 1])
    assert [text.get_text() for text in ax.texts] == [f"{one:.1f}" for one in exact]


def test_nothing_lost_and_nothing_there_are_said(ax: Axes) -> None:
    """Infinite and undefined ratios have no length."""
    plot.sqnr(analysis([1.0, 0.5], "E4M3FN", "none"), ax)
    plot.sqnr(analysis([0.0], "E4M3FN", "none"), ax)

    assert [text.get_text() for text in ax.texts] == ["exact", "–"]
    assert [bar.get_width() for bar in ax.patches] == [0, 0]


def test_rules_are_told_apart_without_colour(ax: Axes) -> None:
    plot.sqnr(analysis([1.0, 0.3]), ax)

    assert len({bars.patches[0].get_hatch() for bars in ax.containers}) == 2


def test_lines_are_ratios_at_each_amplitude(ax: Axes) -> None:
    """Of ml_dtypes' casts, which saturate where clipped first."""
    x = np.random.default_rng(3).standard_normal(500)

    plot.sqnr(["E4M3FN", "E5M2"], ax, data=x, exponents=[-12, 0, 9])

    for line, dtype, top in zip(
        ax.lines, (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2), (448, 57344), strict=True
    ):
        expected = []
        for k in line.get_xdata():
            y = x * 2.0**k
            q = np.clip(y, -top, top).astype(dtype).astype(float)
            expected.append(10 * math.log10((y @ y) / ((q - y) @ (q - y))))
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-9)


def test_gaussian_data_are_the_default(ax: Axes) -> None:
    """31.5 dB of E4M3FN in its range: 6.02 p + 7.4, less than half a decibel off."""
    plot.sqnr("E4M3FN", ax, exponents=range(-2, 3))

    assert ax.lines[0].get_ydata() == pytest.approx([31.5] * 5, abs=0.2)
    assert "standard normal" in ax.get_xlabel()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda ax: plot.error([], ax), ValueError, "formats must name at least one"),
        (lambda ax: plot.error("E4M3FN", ax, rules="none"), TypeError, "choose from a TensorAn"),
        (lambda ax: plot.error(analysis([1.0]), ax, rules="row"), ValueError,
         "rules must be some of those analysed, unit, tensor, got 'row'"),
        (lambda ax: plot.error(analysis([1.0]), ax, formats="E3M4"), ValueError,
         "formats must be some of those analysed, E4M3FN, E5M2, got 'E3M4'"),
        (lambda ax: plot.error("Binary16p1se", ax), ValueError, "does not fit float64"),
        (lambda ax: plot.error(list(fp.FORMATS)[:8], ax), ValueError, "at most 7 to be told apart"),
        (lambda ax: plot.sqnr(analysis([1.0]), ax, data=[1.0]), TypeError, "go with formats"),
        (lambda ax: plot.sqnr("E5M2", ax, exponents=[]), ValueError, "exponents must hold at leas"),
        (lambda ax: plot.sqnr(fp.analyze([1.0]).drop(columns="rule"), ax), ValueError,
         "must have a column 'rule'"),
        (lambda ax: plot.sqnr(fp.analyze([1.0])[:0], ax), ValueError, "must have rows, got none"),
        (lambda ax: plot.number_line("E9M9", ax), ValueError, "E9M9"),
        (lambda ax: plot.windows([1.0], [], ax), ValueError, "formats must name at least one"),
        (lambda ax: plot.windows([1j], ax=ax), TypeError, "complex"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_before_anything_is(
    ax: Axes, call: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call(ax)

    assert not ax.has_data()
