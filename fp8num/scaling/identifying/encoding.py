"""
Codes that given factors make of values: a rule's own arithmetic, with its scales set.

::

    Rule --scale, finder, blocks replaced--> Rule that multiplies by what it is given
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float32, divide, multiply
from fp8num.codec import quantize
from fp8num.formats import BFLOAT16
from fp8num.projection import Projection
from fp8num.scaled import Blocks, Descale, Region, slabs
from fp8num.scaled.blocks import LIMIT
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.rule import Cast
from fp8num.scaling.scales import Context, Scales

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.formats import Format
    from fp8num.scaling.rule import Rule

__all__ = ["encode_region", "pieces", "projected"]

Floats = npt.NDArray[np.float32]
#: The most elements of a piece, of which some are compared first; quantising is not cut finer.
_PIECE = min(LIMIT, 1 << 15)


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """Factors that were found before."""

    factor: Floats

    @property
    def format(self) -> None:
        """float32."""
        return

    def find(self, amax: Floats, context: Context) -> Scales:  # noqa: ARG002 - a formula's form
        """Return the factors, of the one region there is."""
        factor = self.factor.reshape(amax.shape)
        return Scales(np.ones_like(factor), factor)  # what would be stored plays no part


@dataclass(frozen=True, slots=True)
class _Unseen:
    """Finds nothing: the factors are there."""

    def find(
        self,
        region: npt.NDArray[Any],
        errors: Callable[[Floats], npt.NDArray[np.float64]],  # noqa: ARG002 - a finder's form
    ) -> Floats:
        """Return a magnitude for each block that nobody looks at."""
        return np.zeros(region.shape[::2], np.float32)


@dataclass(frozen=True, slots=True)
class _Exactly(Granularity):
    """Blocks of given lengths on every axis."""

    lengths: tuple[int, ...] = ()

    def block(self, shape: tuple[int, ...], axis: int) -> tuple[int, ...]:  # noqa: ARG002
        """Return the lengths."""
        return self.lengths


@dataclass(frozen=True, slots=True)
class _Projected(Cast):
    """A cast by any projection."""

    by: Projection = field(default_factory=Projection)
    through_bfloat16: bool = False

    def projection(self, fmt: Format) -> Projection:  # noqa: ARG002 - a cast's form
        """Return the projection."""
        return self.by


def projected(rule: Rule, projection: Projection) -> Rule:
    """
    Return a rule that casts elements by another projection.

    Parameters
    ----------
    rule : Rule
        The rule.
    projection : Projection
        Not a stochastic one.

    Returns
    -------
    Rule
        The same in all else.
    """
    own = {name: getattr(rule.cast, name) for name in rule.cast.__dataclass_fields__}
    own["rounding"] = projection.rounding
    return replace(rule, cast=_Projected(**own, by=projection))


def encode_region(
    rule: Rule, fmt: Format, values: npt.NDArray[Any], region: Region, factor: Floats
) -> npt.NDArray[Any]:
    """
    Return the codes of a region, with given factors for its blocks.

    Parameters
    ----------
    rule : Rule
        Says how elements and factors combine, and how the result is cast.
    fmt : Format
        Of the elements.
    values : ndarray
        The whole array, rotated if the rule does that.
    region : Region
        One that `pieces` gives.
    factor : ndarray of float32
        What elements are multiplied by, or divided, one for each block of the array.

    Returns
    -------
    ndarray
        The codes, in the shape of ``values[region.elements]``.
    """
    given, part = factor[region.scales], values[region.elements]
    if getattr(rule.cast, "through_bfloat16", False):
        part, given = _quotients(rule, values, region, factor), np.ones_like(given)
    fixed = replace(
        rule,
        granularity=_Exactly("block", lengths=region.block),
        scale=_Given(given),
        finder=_Unseen(),
        formats=(),
        rotation=None,
    )
    return fixed.quantize(part, fmt=fmt).codes


def _quotients(
    rule: Rule, values: npt.NDArray[Any], region: Region, factor: Floats
) -> npt.NDArray[Any]:
    """Return the scaled values of a region, rounded to bfloat16."""
    part = region.split(values)
    combine = divide if Descale(rule.way_in) is Descale.DIVIDE else multiply
    single = as_float32(np.ascontiguousarray(part)).reshape(part.shape)
    scaled = np.ascontiguousarray(combine(single, region.spread(factor)))
    narrow = np.asarray(quantize(scaled, BFLOAT16), np.float32)
    return narrow.reshape(values[region.elements].shape)


@lru_cache(maxsize=16)
def pieces(blocks: Blocks, sample: int) -> tuple[Region, ...]:
    """
    Return regions of a bounded size that cover an array.

    Parameters
    ----------
    blocks : Blocks
        Where blocks are.
    sample : int
        How many from all over the array come first.

    Returns
    -------
    tuple of Region
        Of whole blocks, or of part of one block that is larger.
    """
    found = [piece for region in blocks.regions(_PIECE) for piece in _cut(region)]
    step = max(len(found) // sample, 1)
    first = list(range(0, len(found), step))[:sample]
    rest = sorted(set(range(len(found))) - set(first))
    return tuple(found[i] for i in (*first, *rest))


def _cut(region: Region) -> list[Region]:
    """Cut a region of one large block; others are small enough."""
    if region.size <= _PIECE:
        return [region]
    shape = tuple(part.stop - part.start for part in region.elements)
    return [
        Region(
            tuple(
                slice(whole.start + part.start, whole.start + part.stop)
                for whole, part in zip(region.elements, slab, strict=True)
            ),
            region.scales,
            tuple(part.stop - part.start for part in slab),
        )
        for slab in slabs(shape, _PIECE)
    ]
