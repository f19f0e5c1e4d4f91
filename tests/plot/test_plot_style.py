"""Pictures are drawn on the Axes that is given and on nothing else, and SVG stays the same."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

import fp8num as fp
from fp8num import plot

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

DRAWINGS: dict[str, Callable[[Axes | None], Axes]] = {
    "number_line": lambda ax: plot.number_line(["E4M3FN", "E2M1FN"], ax),
    "error": lambda ax: plot.error(["E4M3FN", "E5M2"], ax),
    "sqnr": lambda ax: plot.sqnr(fp.analyze([1.1, 2.3], ["E4M3FN", "E5M2"]), ax),
    "amplitude": lambda ax: plot.sqnr("E2M1FN", ax, exponents=[-1, 0, 1]),
    "windows": lambda ax: plot.windows([1.0, 3.0], ["E4M3FN"], ax),
    "curves": lambda ax: plot.curves(TABLE(), ax),
    "differences": lambda ax: plot.differences({"a": {"x": (0.1, 0.0, 0.2)}}, ax, margin=0.3),
}


def TABLE() -> Any:  # noqa: N802 - a constant, but for pandas' import
    import pandas as pd

    return pd.DataFrame({"recipe": ["a", "a"], "epoch": [0, 1], "loss": [2.0, 1.0]})


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_axes_given_is_the_one_returned_and_drawn_on(name: str) -> None:
    """Its neighbour, pyplot's figures and settings stay as they are; text has 8 points."""
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    settings, before = dict(mpl.rcParams), plt.get_fignums()

    found = DRAWINGS[name](left)
    figure.draw_without_rendering()

    assert found is left
    assert left.has_data()
    assert figure.axes == [left, right]
    assert not right.has_data()
    assert right.get_legend() is None
    assert plt.get_fignums() == before
    assert dict(mpl.rcParams) == settings
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 8  # type: ignore[attr-defined]
    assert found.get_xlabel() or name == "differences"


@pytest.mark.parametrize("name", ["windows", "differences"])
def test_without_axes_there_is_a_new_figure(name: str) -> None:
    """One, of pyplot, so that notebooks show it."""
    there = plt.figure()
    before = set(plt.get_fignums())

    ax = DRAWINGS[name](None)

    (new,) = set(plt.get_fignums()) - before
    assert ax.figure is plt.figure(new)
    assert ax.figure.axes == [ax]
    assert not there.axes
    plt.close(new)
    plt.close(there)


def test_a_refusal_leaves_no_figure_behind() -> None:
    before = plt.get_fignums()
    for draw in (plot.number_line, plot.error, plot.sqnr):
        with pytest.raises(ValueError, match="E9M9"):
            draw("E9M9")
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes or None, got Figure"):
        plot.number_line("E5M2", Figure())  # type: ignore[arg-type]

    assert plt.get_fignums() == before


def test_series_differ_in_line_marker_and_grey() -> None:
    """Okabe and Ito's colours; no two of the first four alike, even without colour."""
    assert len({str(style["linestyle"]) for style in plot.STYLES}) == len(plot.STYLES)
    assert len({style["marker"] for style in plot.STYLES}) == len(plot.STYLES)
    palette = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"}
    assert {style["color"] for style in plot.STYLES} == palette
    assert all(0 <= part <= 1 for style in plot.STYLES for part in to_rgb(style["color"]))


def test_svg_is_the_same_each_time() -> None:
    """No date, no chance in the ids; text is text, title and description are there."""
    drawings = []
    for _ in range(2):
        figure = Figure(layout="constrained")
        plot.windows([1.0, 3.0], ["E4M3FN"], figure.subplots())
        drawings.append(plot.to_svg(figure, title="a < b", description="so & so"))

    assert drawings[0] == drawings[1]
    root = ET.fromstring(drawings[0])  # noqa: S314 - our own
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "a < b"
    assert root.findtext(".//{http://purl.org/dc/elements/1.1/}description") == "so & so"
    assert not root.findall(".//{http://purl.org/dc/elements/1.1/}date")
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"E4M3FN", "2⁻⁴"} <= texts


def test_without_matplotlib_one_line_says_what_to_install() -> None:
    """Where something is drawn, not where the package or this part of it is imported."""
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from fp8num import plot\n"
        "from fp8num.cli import main\n"
        "assert main(['formats', 'E5M2', '--svg', 'x.svg']) == 2\n"
        "plot.number_line('E5M2')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    error = done.stderr.splitlines()
    what = 'matplotlib, which is not installed: pip install "fp8num[plot]"'
    assert error[0].endswith(f"--svg needs {what}")
    assert error[-1] == f"ImportError: fp8num.plot needs {what}"
