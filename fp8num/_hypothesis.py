"""
What Hypothesis is told when it is imported: how to make formats and projections.

Hypothesis calls `register` by the entry point of the group ``hypothesis``.  The strategies
are loaded when one is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from fp8num.formats import Format, TabulatedFormat
    from fp8num.projection import Projection

__all__ = ["register"]


def register() -> None:
    """
    Register strategies for `Format`, `TabulatedFormat` and `Projection`.

    Hypothesis makes the members of enums by itself: `Rounding`, `Saturation` and others.
    """
    from hypothesis.strategies import register_type_strategy

    from fp8num.formats import Format, TabulatedFormat
    from fp8num.projection import Projection

    register_type_strategy(Format, _formats)
    register_type_strategy(TabulatedFormat, _tabulated)
    register_type_strategy(Projection, _projections)


def _formats(_: type[Format]) -> SearchStrategy[Format]:
    """Those of the catalogue, which are the simpler ones, and any legal format."""
    from hypothesis.strategies import sampled_from

    from fp8num.formats import FORMATS
    from fp8num.strategies import formats

    return sampled_from(list(FORMATS.values())) | formats()


def _tabulated(_: type[TabulatedFormat]) -> SearchStrategy[TabulatedFormat]:
    """Those of the catalogue."""
    from hypothesis.strategies import sampled_from

    from fp8num.formats import HIFLOAT8, POSIT8

    return sampled_from([HIFLOAT8, POSIT8])


def _projections(_: type[Projection]) -> SearchStrategy[Projection]:
    """All modes, those that need random bits too."""
    from fp8num.strategies import projections

    return projections(stochastic=True)
