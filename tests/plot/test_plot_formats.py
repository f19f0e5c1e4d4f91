"""Number lines have a tick for each value; windows a bar for each binade, and where formats end."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch

import fp8num as fp
from fp8num import plot
from fp8num.analysis import Distribution, analyze_tensor
from fp8num.inputs import tensor_from_array
from fp8num.verify.reference import decode

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ticks(ax: Axes, row: int) -> list[float]:
    """Return the places of the ticks of a row, ascending."""
    found = [
        line.get_xdata()[::3]
        for line in ax.lines
        if len(line.get_xdata()) > 2 and round(np.nanmean(line.get_ydata())) == row
    ]
    return sorted(np.concatenate(found).tolist())


def shares(ax: Axes) -> dict[int, float]:
    """Return the share of each binade."""
    (stairs,) = (patch for patch in ax.patches if isinstance(patch, StepPatch))
    values, edges, _ = stairs.get_data()
    assert list(np.diff(edges)) == [1] * len(values)
    return dict(zip(edges.tolist(), values.tolist(), strict=False))


def bars(ax: Axes) -> list[tuple[float, float, float]]:
    """Return left end, right end and height of every bar."""
    found = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    return [(p.get_x(), p.get_x() + p.get_width(), p.get_height()) for p in found]


@pytest.mark.parametrize("name", ["E4M3FN", "E2M1FN", "E8M0FNU", "HIFLOAT8", "binary8p3se"])
def test_a_number_line_has_a_tick_for_each_positive_value(ax: Axes, name: str) -> None:
    """Where the exact definition of the format has them."""
    fmt = fp.get_format(name)
    values = [decode(code, fmt).value for code in range(1 << fmt.bits)]
    exact = sorted(math.log2(one) for one in values if one is not None and one > 0)

    plot.number_line(fmt, ax)

    np.testing.assert_allclose(ticks(ax, 0), exact, rtol=0, atol=1e-12)


def test_subnormals_are_short(ax: Axes) -> None:
    """Of E5M2 three: 2^-16, 2^-15 and 3 * 2^-16."""
    plot.number_line("E5M2", ax)

    lines = {line.get_label(): line for line in ax.lines}
    places = lines["subnormal (short)"].get_xdata()[::3]
    heights = {name: np.ptp(line.get_ydata()[:2]) for name, line in lines.items()}
    np.testing.assert_allclose(places, [-16, -15, -16 + math.log2(3)])
    assert heights["subnormal (short)"] < heights["normal"]


def test_rows_have_the_names_of_the_formats(ax: Axes) -> None:
    """From top to bottom; of many values a bar, and arrow heads where a format runs off."""
    plot.number_line(["E4M3FN", "BFLOAT16", "E5M2"], ax)

    assert [text.get_text() for text in ax.get_yticklabels()] == ["E4M3FN", "BFLOAT16", "E5M2"]
    assert ax.yaxis_inverted()
    assert [left for left, *_ in bars(ax)] == [-126]
    assert [line.get_marker() for line in ax.lines if len(line.get_xdata()) == 1] == ["<", ">"]
    assert ax.get_xlim() == (-17, 17)


def test_codes_are_those_of_powers_of_two(ax: Axes) -> None:
    """Of FP6 E3M2FN: 2^-4 is code 1, 2^-2 the first normal one, 16 code 28."""
    plot.number_line("E3M2FN", ax)

    codes = {text.get_position()[0]: text.get_text() for text in ax.texts}
    assert codes == {
        -4: "0x01", -3: "0x02", -2: "0x04", -1: "0x08", 0: "0x0C", 1: "0x10", 2: "0x14",
        3: "0x18", 4: "0x1C",
    }  # fmt: skip


def test_formats_beyond_float64_have_a_line(ax: Axes) -> None:
    """Their exponents do not need their values."""
    plot.number_line("Binary16p1se", ax)

    left, right, _ = bars(ax)[0]
    assert (left, right) == (-16383, 16382)


def test_bars_are_shares_of_the_elements(ax: Axes) -> None:
    """Of five finite nonzero numbers three in [1, 2), one each in [4, 8) and [2^-3, 2^-2)."""
    plot.windows([1.0, -1.5, 1.25, 5.0, 0.125, 0.0, math.nan, math.inf], "E4M3FN", ax)

    assert shares(ax) == {-3: 0.2, -2: 0, -1: 0, 0: pytest.approx(0.6), 1: 0, 2: 0.2}


@pytest.mark.parametrize("make", [np.asarray, Distribution.of])
def test_windows_lie_where_formats_do(ax: Axes, make: object) -> None:
    """E4M3FN: subnormal from 2^-9, normal from 2^-6, up to 448."""
    plot.windows(make(np.ldexp(1.0, np.arange(-12, 12))), ["E4M3FN"], ax)  # type: ignore[operator]

    normal, subnormal = bars(ax)
    assert normal[:2] == pytest.approx((-6, math.log2(448)))
    assert subnormal[:2] == (-9, -6)
    assert subnormal[2] < normal[2]
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[0] == "0 %"
    assert labels[-1] == "E4M3FN"


def test_scales_move_windows(ax: Axes) -> None:
    """amax = 1 goes to 6: the window of the tensor rule ends where the elements do."""
    tensor = tensor_from_array("w", np.array([1.0, 0.25], np.float32))
    analysis = analyze_tensor(tensor, "E2M1FN", ["unit", "tensor"])

    plot.windows(analysis, ax=ax)

    found = {c.get_label(): c.patches[0] for c in ax.containers}
    ends = {name: bar.get_x() + bar.get_width() for name, bar in found.items()}
    assert ends["unit"] == pytest.approx(math.log2(6))
    assert ends["tensor"] == pytest.approx(0, abs=1e-6)
    assert found["tensor"].get_facecolor() != found["unit"].get_facecolor()


@pytest.mark.parametrize(
    "x",
    [
        [],
        [0.0, math.nan],
        [5e-324, 1.7976931348623157e308],
        3.0,
        np.arange(4),
    ],
)
def test_any_tensor_has_a_picture(ax: Axes, x: object) -> None:
    """Nothing, specials, both ends of float64, a number, integers."""
    plot.windows(x, ax=ax)  # type: ignore[arg-type]
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]

    some = bool(np.nan_to_num(np.asarray(x)).any())
    assert sum(shares(ax).values()) == pytest.approx(int(some))
    assert [text.get_text() for text in ax.texts] == ["no finite nonzero elements"] * (not some)


def test_ticks_are_powers_of_two_at_integers(ax: Axes) -> None:
    """Labels as text, which no axis writes with decimals."""
    plot.number_line("E4M3FN", ax)
    places = ax.xaxis.get_majorticklocs()
    write = ax.xaxis.get_major_formatter()

    assert all(place == int(place) for place in places)
    assert [write(place, 0) for place in (-10, 0, 8)] == ["2⁻¹⁰", "2⁰", "2⁸"]
    assert Fraction(2) ** -10 == Fraction(1, 1024)


def test_a_row_is_drawn_once(ax: Axes) -> None:
    """A format named twice, by two spellings."""
    plot.number_line(["E4M3FN", "float8_e4m3fn", fp.E4M3FN], ax)

    assert len(ax.get_yticks()) == 1
    assert all(isinstance(line, Line2D) for line in ax.lines)
