"""What the pictures have in common: series, axes, legends, and how they become SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from fp8num._arguments import refuse_kind
from fp8num._names import nearest
from fp8num.formats import Format, get_format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "BAND",
    "GREY",
    "GRID",
    "STYLES",
    "Formats",
    "add_legend",
    "chosen_formats",
    "every",
    "limits_of",
    "logarithms",
    "make_axes",
    "mark_ends",
    "plain",
    "powers_of_two",
    "require_columns",
    "show",
    "styles_of",
    "to_svg",
]

Formats: TypeAlias = "Iterable[Format | str] | Format | str"

#: How series are drawn, in their order: Okabe and Ito's colours, no two alike in line or marker.
STYLES: tuple[Mapping[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s", "markerfacecolor": "white"},
    {"color": "#009E73", "linestyle": ":", "marker": "^"},
    {"color": "#CC79A7", "linestyle": "-.", "marker": "D", "markerfacecolor": "white"},
    {"color": "#000000", "linestyle": (0, (8, 2)), "marker": "v"},
    {"color": "#E69F00", "linestyle": (0, (3, 1, 1, 1, 1, 1)), "marker": "P"},
    {"color": "#56B4E9", "linestyle": (0, (1, 3)), "marker": "X"},
)
GREY, BAND, GRID = "#6e7781", "#d5d9de", "#e4e7eb"
WIDEST = 64  #: binades; formats of scales and of 16 bits may reach further than the axis
LONGEST = 48  #: characters of a name
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def powers_of_two(axis: Axis) -> None:
    """
    Write the ticks of an axis of exponents as powers of two, at integers.

    Parameters
    ----------
    axis : matplotlib Axis
        Such as ``ax.xaxis``.

    Examples
    --------
    >>> from fp8num.plot import number_line
    >>> ax = number_line("E5M2")
    >>> powers_of_two(ax.xaxis)
    >>> ax.xaxis.get_major_formatter()(-14.0, 0)
    '2⁻¹⁴'
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def write(place: float, _: int | None) -> str:
        return "2" + f"{place:.0f}".translate(_SUPERSCRIPTS)

    axis.set_major_locator(MaxNLocator(10, steps=[1, 2, 4, 5, 10], integer=True))
    axis.set_major_formatter(FuncFormatter(write))


def to_svg(figure: Figure, *, title: str, description: str = "") -> str:
    """
    Return a figure as SVG that is the same each time.

    Parameters
    ----------
    figure : matplotlib Figure
        Such as ``ax.figure``.
    title : str
        What the image is called.
    description : str, optional
        What it shows, in words.

    Returns
    -------
    str
        The image: text as text, no date, ids that depend on what is drawn alone.  The same
        version of matplotlib gives the same bytes.

    Examples
    --------
    >>> from fp8num.plot import number_line
    >>> ax = number_line("E2M1FN")
    >>> to_svg(ax.figure, title="FP4").count("<title>FP4</title>")
    1
    """
    import matplotlib as mpl

    stream = io.StringIO()
    metadata = {"Date": None, "Title": title, "Description": description}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fp8num"}):
        figure.savefig(stream, format="svg", metadata=metadata)
    lines = stream.getvalue().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def make_axes(ax: Axes | None) -> Axes:
    """Return an Axes: that which was given, or that of a new figure."""
    try:
        from matplotlib.axes import Axes
    except ImportError as missing:
        msg = 'fp8num.plot needs matplotlib, which is not installed: pip install "fp8num[plot]"'
        raise ImportError(msg) from missing
    if isinstance(ax, Axes):
        return ax
    if ax is not None:
        refuse_kind("ax", "a matplotlib Axes or None", ax)
    from matplotlib import pyplot as plt

    return plt.subplots(layout="constrained")[1]


def chosen_formats(formats: Formats) -> tuple[Format, ...]:
    """Return the formats that were asked for, each once."""
    if isinstance(formats, str) or not isinstance(formats, Iterable):
        formats = (formats,)
    chosen = tuple(dict.fromkeys(get_format(fmt) for fmt in formats))
    if not chosen:
        msg = "formats must name at least one format, got none"
        raise ValueError(msg)
    return chosen


def styles_of(names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return how each series is drawn."""
    if len(names) > len(STYLES):
        msg = (
            f"series must be at most {len(STYLES)} to be told apart, got {len(names)}: "
            f"{', '.join(map(str, names))}; choose some of them"
        )
        raise ValueError(msg)
    return dict(zip(names, STYLES, strict=False))


def plain(name: object) -> str:
    """Return a name that matplotlib shows as it is, without its middle if it is long."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
    text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[1 - LONGEST // 2 :]}"
    text = text.replace("$", r"\$")  # no mathematics
    return f" {text}" if text.startswith("_") else text  # legends would leave it out


def logarithms(fmt: Format) -> npt.NDArray[np.float64]:
    """Return the binary logarithms of the positive values, also of those float64 cannot hold."""
    first = int(fmt.has_zero)
    found = np.log2(fmt.magnitudes.integers[first:]) + fmt.magnitudes.exponents[first:]
    return np.asarray(found, np.float64)


def limits_of(ends: Iterable[Sequence[float]], room: int = 1) -> tuple[int, int]:
    """Return the ends of an axis for all ranges but those that would make dots of the rest."""
    wide = [(float(low), float(high)) for low, high in ends]
    near = [one for one in wide if one[1] - one[0] < WIDEST] or wide
    return (
        math.floor(min(low for low, _ in near)) - room,
        math.ceil(max(high for _, high in near)) + room,
    )


def mark_ends(
    ax: Axes, ends: tuple[float, float], limits: tuple[float, float], y: float, colour: str
) -> None:
    """Draw an arrow head at each end of the axis beyond which a range goes on."""
    beyond = (ends[0] < limits[0], limits[0], "<"), (ends[1] > limits[1], limits[1], ">")
    for is_beyond, at, marker in beyond:
        if is_beyond:
            ax.plot(at, y, marker=marker, color=colour, markersize=5, clip_on=False)


def every(count: int) -> int:
    """Return of how many points one has a marker."""
    return max(count // 12, 1) if count > 24 else 1


def show(ax: Axes, x: str, y: str, *, grid: Literal["x", "both"]) -> None:
    """Name the axes and draw a grid."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def add_legend(ax: Axes, styles: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Name the series above the plot, where no data are; by samples of styles, or as labelled."""
    from matplotlib.lines import Line2D

    handles, labels = ax.get_legend_handles_labels()
    if styles is not None:
        handles = [Line2D([], [], **style) for style in styles.values()]
        labels = [plain(name) for name in styles]
    columns = max(min(64 // (max(map(len, labels), default=0) + 6), len(labels)), 1)
    ax.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False,
        fontsize="small", handlelength=3, borderaxespad=0.2,
    )  # fmt: skip


def require_columns(frame: pd.DataFrame, names: Iterable[str]) -> None:
    """Refuse what is no table, and one that lacks a column."""
    if not hasattr(frame, "columns"):
        refuse_kind("data", "a Comparison or a DataFrame", frame)
    for name in names:
        if name not in frame.columns:
            near = nearest(name, map(str, frame.columns), most=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            msg = f"data must have a column {name!r}, got {', '.join(map(str, frame.columns))}"
            raise ValueError(msg + hint)
    if not len(frame):
        msg = "data must have rows, got none"
        raise ValueError(msg)
