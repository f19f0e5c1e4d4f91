"""
What a rule makes of the source: its scales for all blocks, its codes piece by piece.

::

    source --largest magnitudes (once per kind of block)--> scales --> codes == the dump's?
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from fp8num.formats import E4M3FN
from fp8num.scaled import Region, slabs
from fp8num.scaled.blocks import LIMIT
from fp8num.scaling.applying import Applier, applier
from fp8num.scaling.finders import Amax, BestClip, Percentile, no_errors
from fp8num.scaling.quantize import largest_input, scale_quantize
from fp8num.scaling.scales import Context, Scales, TwoLevel, stored_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.scaled import Blocks
    from fp8num.scaling.finders import Finder
    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.rule import Rule

__all__ = ["SAMPLE", "SEARCHED", "Agreement", "Predicted", "Predictor", "pieces"]

#: The most elements of a piece, of which some are compared first; quantising is not cut finer.
_PIECE = min(LIMIT, 1 << 15)
Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
_T = TypeVar("_T")
_IGNORE = Amax("ignore")
#: Pieces that are compared first; what differs in these is not compared further.
SAMPLE = 4
#: Blocks whose first wrong code is kept.
_KEPT = 3
#: Wrong elements of a piece that are looked at for these.
_LOOKED_AT = 1000
#: The most elements for which clipping ranges are searched again without need.
SEARCHED = 1 << 20


@lru_cache(maxsize=16)
def _regions(blocks: Blocks) -> tuple[Region, ...]:
    """Return regions of whole blocks that cover an array."""
    return tuple(blocks.regions())


@lru_cache(maxsize=16)
def pieces(blocks: Blocks, sample: int) -> tuple[Region, ...]:
    """Return regions of a bounded size that cover an array."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """What a rule finds for every block."""

    scales: Scales  #: stored, and what elements are multiplied by, one per block
    amax: Floats  #: the magnitudes they were made of
    tensor_amax: np.float32 | Floats  #: of the whole tensor, of two-level rules, or of its rows


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How many codes are the expected ones."""

    equal: int  #: codes that are equal, of how many that were compared
    seen: int  #: codes that are equal, of how many that were compared
    #: the first wrong element of each of a few blocks, and its expected code
    first: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all that were compared are equal."""
        return self.equal == self.seen


@dataclass(slots=True, eq=False)
class Predictor:
    """A source, and what was found out about it so far."""

    source: npt.NDArray[Any]  #: values, in the shape of the codes
    codes: Codes  #: the dump's
    _cache: dict[Any, Any] = field(default_factory=dict)

    def values(self, rule: Rule, axis: int) -> npt.NDArray[Any]:
        """Return the source, rotated if the rule does that."""
        if rule.rotation is None:
            return self.source
        key = ("rotated", rule.rotation, axis)
        if key not in self._cache:
            self._cache[key] = rule.rotation.apply(self.source, axis)
        found: npt.NDArray[Any] = self._cache[key]
        return found

    def amax(self, rule: Rule, axis: int, blocks: Blocks, finder: Finder = _IGNORE) -> Floats:
        """Return the largest magnitude of every block."""
        along = axis if rule.rotation is not None else None
        key = ("amax", rule.rotation, along, blocks.block, finder)
        if key not in self._cache:
            values = self.values(rule, axis)
            found = np.zeros(blocks.counts, np.float32)
            for region in _regions(blocks):
                found[region.scales] = finder.find(region.split(values), no_errors)
            self._cache[key] = found
        amax: Floats = self._cache[key]
        return amax

    def context(self, candidate: Candidate) -> Context:
        """Return what a rule's formula may use besides a block's magnitude."""
        rule = candidate.rule
        tensor_amax: np.float32 | Floats = np.float32(0)
        if rule.is_two_level:
            finder = rule.finder if isinstance(rule.finder, Amax) else Amax("ignore")
            largest = self.amax(rule, candidate.axis, candidate.blocks, finder)
            by_row = isinstance(rule.scale, TwoLevel) and rule.scale.by_row
            along = candidate.axis if by_row else None
            tensor_amax = largest.max(axis=along, keepdims=by_row)
        return Context(candidate.fmt, tensor_amax, largest_input(self.source.dtype))

    def predict(self, candidate: Candidate, shared: np.float32 | None = None) -> Predicted | None:
        """Return a rule's scales, of two levels with a tensor's amax that others may share."""
        rule = candidate.rule
        if not isinstance(rule.finder, Amax | Percentile) or _chooses(rule):
            return None
        context = self.context(candidate)
        if shared is not None:
            context = context._replace(tensor_amax=shared)
        amax = self.amax(rule, candidate.axis, candidate.blocks, rule.finder)
        return Predicted(rule.scale.find(amax, context), amax, context.tensor_amax)

    def searchable(self, candidate: Candidate, step: int) -> list[Floats] | None:
        """Return the scales among which a search chooses, of some blocks, of all of amax first."""
        rule, context = candidate.rule, self.context(candidate)
        if isinstance(rule.scale, TwoLevel) and _chooses(rule):
            amax = self.amax(rule, candidate.axis, candidate.blocks, rule.finder)
            both = rule.scale.find(amax, context), rule.scale.find_wider(amax, context)
            return [stored_values(each.stored, E4M3FN).reshape(-1)[::step] for each in both]
        if not isinstance(rule.finder, BestClip):
            return None
        amax = self.amax(rule, candidate.axis, candidate.blocks, Amax("ignore", finite=True))
        amax = amax.reshape(-1)[::step]
        shares = np.linspace(1.0, rule.finder.smallest, rule.finder.steps)
        return [
            np.asarray(rule.scale.find((amax * share).astype(np.float32), context).stored)
            for share in shares
        ]

    def searched(self, candidate: Candidate) -> Predicted:
        """Return the scales of a rule that searches, which takes as long as quantising."""
        key = ("searched", candidate.rule.name, candidate.fmt, candidate.axis)
        if key not in self._cache:
            scaled = scale_quantize(
                self.source, candidate.rule, fmt=candidate.fmt, axis=candidate.axis
            )
            stored = np.broadcast_to(scaled.stored_scales, candidate.blocks.counts)
            amax = self.amax(candidate.rule, candidate.axis, candidate.blocks)
            context, scale = self.context(candidate), candidate.rule.scale
            factor = stored
            if isinstance(scale, TwoLevel):
                factor = scale.multiplier(stored_values(stored, E4M3FN), context)
            self._cache[key] = Predicted(Scales(stored, factor), amax, context.tensor_amax)
        found: Predicted = self._cache[key]
        return found

    def once(
        self, name: str, rule: Rule, candidate: Candidate, factor: Floats, make: Callable[[], _T]
    ) -> _T:
        """Return what is made of factors, made once for rules that apply and cast them alike."""
        digest = hashlib.blake2b(np.ascontiguousarray(factor).tobytes()).digest()
        axis = candidate.axis if rule.rotation is not None else None
        way = (rule.way_in, rule.exact, rule.rotation, rule.cast, axis)
        key = (name, candidate.fmt.name, way, candidate.blocks.block, digest)
        if key not in self._cache:
            self._cache[key] = make()
        found: _T = self._cache[key]
        return found

    def agreement(
        self,
        rule: Rule,
        fmt: Format,
        axis: int,
        blocks: Blocks,
        factor: Floats,
        *,
        projection: Projection | None = None,
        codes: Codes | None = None,
        whole: bool = True,
    ) -> Agreement:
        """Compare the codes that factors give with the dump's."""
        found = self.codes if codes is None else codes
        values = self.values(rule, axis)
        if projection is not None and projection == applier(rule, fmt, values.dtype).projection:
            projection = None  # the rule's own
        digest = hashlib.blake2b(np.ascontiguousarray(factor).tobytes()).digest()
        way = (fmt.name, rule.way_in, rule.exact, rule.rotation, rule.cast, projection)
        place = (axis if rule.rotation is not None else None, blocks.block, id(codes), whole)
        key = ("codes", way, place, digest)
        if key not in self._cache:
            apply = applier(rule, fmt, values.dtype, projection)
            agreed = _compare(
                apply, values=values, blocks=blocks, factor=factor, codes=found, whole=whole
            )
            self._cache[key] = agreed, codes  # so that its id stays its own
        agreement: Agreement = self._cache[key][0]
        return agreement


def _compare(
    apply: Applier,
    *,
    values: npt.NDArray[Any],
    blocks: Blocks,
    factor: Floats,
    codes: Codes,
    whole: bool,
) -> Agreement:
    """Count equal codes, and keep the first wrong ones of some blocks."""
    equal = seen = 0
    wrong: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {}
    for number, region in enumerate(pieces(blocks, SAMPLE)):
        if number >= SAMPLE and equal < seen and not whole:
            break
        expected = apply.codes(values, region, factor)
        right = expected == codes[region.elements]
        equal += int(np.count_nonzero(right))
        seen += right.size
        if len(wrong) < _KEPT and equal < seen:
            _keep(wrong, region, right, expected)
    return Agreement(equal, seen, tuple((block, *rest) for block, rest in wrong.items()))


def _keep(
    wrong: dict[tuple[int, ...], tuple[tuple[int, ...], int]],
    region: Region,
    right: npt.NDArray[np.bool_],
    expected: npt.NDArray[Any],
) -> None:
    """Note the first wrong element of the first blocks that have one."""
    if right.ndim == 0:
        if not right:
            wrong.setdefault((), ((), int(expected)))
        return
    flat = np.flatnonzero(~right)[:_LOOKED_AT]
    places = np.stack(np.unravel_index(flat, right.shape), axis=1)
    blocks = places // np.array(region.block) + [part.start for part in region.scales]
    _, first = np.unique(blocks, axis=0, return_index=True)
    for i in np.sort(first)[:_KEPT]:
        at = tuple(int(n) for n in places[i])
        element = tuple(part.start + n for part, n in zip(region.elements, at, strict=True))
        if len(wrong) < _KEPT:
            block = tuple(int(n) for n in blocks[i])
            wrong.setdefault(block, (element, int(expected[at])))


def _chooses(rule: Rule) -> bool:
    """Whether a block's scale depends on more than its largest magnitude."""
    return isinstance(rule.scale, TwoLevel) and rule.scale.choice is not None
