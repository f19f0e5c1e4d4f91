"""Strategies for formats and for projections: the parameters of a conversion."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from fp8num._arguments import member
from fp8num.formats import Format, Overflow, Specials
from fp8num.projection import Projection, Rounding, Saturation

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["formats", "projections", "roundings", "saturations"]

#: Families in the order of shrinking.
_FAMILIES = (
    Specials.NONE,
    Specials.FN,
    Specials.IEEE,
    Specials.FNUZ,
    Specials.FINITE,
    Specials.EXTENDED,
)
#: More, and float64 cannot hold every bias.
_MOST_EXPONENT_BITS = 10


def formats(
    max_bits: int = 8,
    *,
    min_bits: int = 2,
    specials: Collection[Specials | str] = _FAMILIES,
    signed: bool | None = None,
    subnormals: bool | None = None,
) -> st.SearchStrategy[Format]:
    """
    Generate formats given by parameters.

    Parameters
    ----------
    max_bits, min_bits : int, optional
        The widest and the narrowest, 2 to 16.
    specials : collection of Specials or str, optional
        The families to draw from.
    signed, subnormals : bool, optional
        Whether all formats have a sign, or subnormals; None means either.

    Returns
    -------
    SearchStrategy of Format
        Any legal combination of parameters, with biases other than the family's and
        every possible result of overflow; float64 holds the values of each.  A format
        is named by its spelling, which `get_format` reads.  Shrinks to
        ``w1m0b0-none``, whose values are 0, 2, -0 and -2.

    Raises
    ------
    ValueError
        If no format is like that.

    Examples
    --------
    ::

        @given(data=st.data(), fmt=strategies.formats(max_bits=6))
        def test_my_library_for_any_format(data, fmt):
            x = data.draw(strategies.rounding_boundaries(fmt))
            assert my_encode(x, fmt) == fp8num.encode(x, fmt)
    """
    families = {member("specials", family, Specials) for family in specials}
    shapes = [
        shape
        for shape in _shapes()
        if shape.specials in families
        and min_bits <= shape.bits <= max_bits
        and signed in {None, shape.signed}
        and subnormals in {None, shape.subnormals}
    ]
    if not shapes:
        names = [family.value for family in _FAMILIES if family in families]
        msg = (
            f"min_bits={min_bits}, max_bits={max_bits}, specials={names}, signed={signed} and "
            f"subnormals={subnormals} leave no format; allow more"
        )
        raise ValueError(msg)
    return _formats(shapes)


@st.composite
def _formats(draw: st.DrawFn, shapes: list[_Shape]) -> Format:
    """Draw one parameter after the other, so that each shrinks by itself."""
    # Widths are drawn as often as there are formats of them; the exponent bits are the rest.
    bits = draw(st.sampled_from(sorted(shape.bits for shape in shapes)))
    shapes = [shape for shape in shapes if shape.bits == bits]
    for name in ("signed", "subnormals", "mantissa_bits", "specials"):
        choices = list(dict.fromkeys(getattr(shape, name) for shape in shapes))
        # A single choice would not be drawn, and those after it would take its place.
        chosen = draw(st.sampled_from(choices * 2 if len(choices) == 1 else choices))
        shapes = [shape for shape in shapes if getattr(shape, name) == chosen]
    overflow = draw(st.sampled_from(_overflows(shapes[0].specials)))
    offset = draw(st.just(0) | st.integers(-8, 8) | st.integers(-400, 400))
    return _named(shapes[0], offset, overflow)


class _Shape(NamedTuple):
    """The parameters of a format but its bias and overflow."""

    specials: Specials
    signed: bool
    subnormals: bool
    exponent_bits: int
    mantissa_bits: int

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.signed + self.exponent_bits + self.mantissa_bits


@lru_cache(maxsize=1)
def _shapes() -> tuple[_Shape, ...]:
    """Return what `Format` accepts, in the order of shrinking."""
    found = []
    for signed, subnormals, mantissa_bits, exponent_bits, family in product(
        (True, False), (True, False), range(16), range(1, _MOST_EXPONENT_BITS + 1), _FAMILIES
    ):
        shape = _Shape(family, signed, subnormals, exponent_bits, mantissa_bits)
        try:
            Format(name="?", **shape._asdict())
        except ValueError:  # what is legal is said there and nowhere else
            continue
        found.append(shape)
    return tuple(found)


def _overflows(family: Specials) -> list[Overflow | None]:
    """Return the possible results of overflow, the family's own first."""
    other = [Overflow.INFINITY] * family.has_infinity + [Overflow.NAN] * family.has_nan
    return [None, Overflow.MAX, *other]


def _named(shape: _Shape, offset: int, overflow: Overflow | None) -> Format:
    """Return a format whose name is its spelling."""
    fmt = Format(name="?", **shape._asdict(), overflow=overflow)
    assert fmt.bias is not None
    fmt = replace(fmt, bias=fmt.bias + offset)
    return replace(fmt, name=fmt.spelling)


def roundings(*, stochastic: bool = False) -> st.SearchStrategy[Rounding]:
    """
    Generate rounding modes.

    Parameters
    ----------
    stochastic : bool, optional
        Whether to generate the stochastic modes too; they need random bits.

    Returns
    -------
    SearchStrategy of Rounding
        Shrinks to nearest with ties to even.
    """
    return st.sampled_from([mode for mode in Rounding if stochastic or not mode.is_stochastic])


def saturations() -> st.SearchStrategy[Saturation]:
    """
    Generate what a number beyond the range becomes.

    Returns
    -------
    SearchStrategy of Saturation
        Shrinks to SatFinite.
    """
    return st.sampled_from(list(Saturation))


def projections(*, stochastic: bool = False) -> st.SearchStrategy[Projection]:
    """
    Generate projections: a rounding mode and a saturation mode.

    Parameters
    ----------
    stochastic : bool, optional
        Whether to generate the stochastic modes too; they need random bits.

    Returns
    -------
    SearchStrategy of Projection
        Shrinks to the default, nearest with ties to even and SatFinite.
    """
    return st.builds(
        Projection, rounding=roundings(stochastic=stochastic), saturation=saturations()
    )
