"""
Drawings as text: a few elements of SVG, escaped, numbered and always described.

::

    Drawing(570, 400, key="w", title=..., description=...)
      |-- line, rect, path, dots, text       append an element
      '-- render() -> "<svg role=img aria-labelledby=...>...</svg>"

Colours are presentation attributes, which a drawing on its own needs and a page's style
sheet overrides by class.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fp8num._text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Drawing", "Scale", "steps"]


def _number(value: float) -> str:
    """Write a coordinate to a hundredth, without trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _attribute(name: str, value: float | str) -> str:
    text = value if isinstance(value, str) else _number(value)
    return f' {name.rstrip("_").replace("_", "-")}="{html.escape(printable(text))}"'


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data to coordinates."""

    low: float
    high: float
    start: float
    end: float

    @property
    def unit(self) -> float:
        """How many pixels a unit of the data takes."""
        return (self.end - self.start) / (self.high - self.low)

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        return self.start + (value - self.low) * self.unit

    def clamp(self, value: float) -> float:
        """Return the coordinate of a value, of one outside the range that of its end."""
        return self(min(max(value, self.low), self.high))


def steps(low: float, high: float, most: int) -> range:
    """
    Return integers at round distances within a range, for ticks.

    Parameters
    ----------
    low, high : float
        The range.
    most : int
        How many there may be; at least 2.

    Returns
    -------
    range
        Multiples of 1, 2, 5, 10, 20 ...
    """
    first, last = int(-(-low // 1)), int(high // 1)
    size = next(
        size * 10**power
        for power in range(20)
        for size in (1, 2, 5)
        if (last - first) // (size * 10**power) < most
    )
    return range(-(-first // size) * size, last + 1, size)


@dataclass(kw_only=True)
class Drawing:
    """
    An SVG image that grows element by element.

    Parameters
    ----------
    width, height : float
        Size in pixels, of which the image keeps the proportions.
    key : str
        Distinguishes the image's ids from those of others on the page.
    title, description : str
        What a screen reader says.
    """

    width: float
    height: float
    key: str
    title: str
    description: str
    _parts: list[str] = field(default_factory=list, init=False)

    def add(self, tag: str, **attributes: float | str) -> None:
        """Append an empty element; underscores in attributes' names become hyphens."""
        text = "".join(_attribute(name, value) for name, value in attributes.items())
        self._parts.append(f"<{tag}{text}/>")

    def line(self, x1: float, y1: float, x2: float, y2: float, **attributes: float | str) -> None:
        """Append a straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)

    def rect(self, x1: float, y1: float, x2: float, y2: float, **attributes: float | str) -> None:
        """Append a rectangle, given two opposite corners."""
        self.add(
            "rect",
            x=min(x1, x2),
            y=min(y1, y2),
            width=abs(x2 - x1),
            height=abs(y2 - y1),
            **attributes,
        )

    def text(self, x: float, y: float, content: str, **attributes: float | str) -> None:
        """Append a line of text that starts, or is anchored, at a point."""
        places = _attribute("x", x) + _attribute("y", y)
        rest = "".join(_attribute(name, value) for name, value in attributes.items())
        self._parts.append(f"<text{places}{rest}>{html.escape(printable(content))}</text>")

    def path(self, commands: Sequence[tuple[str, float, float]], **attributes: float | str) -> None:
        """Append a path of absolute commands with one point each; nothing if there are none."""
        if commands:
            d = "".join(f"{command}{_number(x)} {_number(y)}" for command, x, y in commands)
            self.add("path", d=d, **attributes)

    def dots(self, points: Iterable[tuple[float, float]], **attributes: float | str) -> None:
        """Append points: lines of no length, which have the form of their ends."""
        d = "".join(f"M{_number(x)} {_number(y)}h0" for x, y in points)
        if d:
            self.add("path", d=d, **attributes)

    def render(self) -> str:
        """
        Return the image as an ``<svg>`` element.

        Returns
        -------
        str
            Well-formed both as XML and in an HTML page.
        """
        key = html.escape(printable(self.key))
        size = f"{_number(self.width)} {_number(self.height)}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {size}" '
            f'width="{_number(self.width)}" height="{_number(self.height)}" '
            f'aria-labelledby="{key}-title {key}-desc" '
            'font-family="system-ui,sans-serif" font-size="11" fill="#24292f">'
        )
        title = html.escape(printable(self.title))
        description = html.escape(printable(self.description))
        return (
            f'{head}<title id="{key}-title">{title}</title>'
            f'<desc id="{key}-desc">{description}</desc>{"".join(self._parts)}</svg>\n'
        )
