"""Axes on a figure of their own, which pyplot does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@pytest.fixture
def ax() -> Axes:
    return Figure(layout="constrained").subplots()
