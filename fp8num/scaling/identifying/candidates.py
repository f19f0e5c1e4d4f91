"""
Which rules the shapes of codes and scales allow, along which axes and in which order.

::

    codes (8, 70), scales (8, 3)   --> block-32 and every rule of 1 x 32 along axis 1, block-24
    scales plain, transposed, flat, padded to multiples, tiled 128 x 4 as cuBLAS has them
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.scaling.catalogue import RULES, get_rule
from fp8num.scaling.identifying.conventions import CONVENTIONS, narrow_conventions, rule_of
from fp8num.scaling.quantize import places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fp8num.formats import Format
    from fp8num.scaled import Blocks
    from fp8num.scaling.identifying.dump import Evidence, Reading
    from fp8num.scaling.rule import Rule

__all__ = ["Arrangement", "Candidate", "candidates", "fitting_shapes", "other_lengths", "rules_of"]

#: What TransformerEngine and cuBLAS pad the number of scales on an axis to multiples of.
_PADDINGS = (4, 128)


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """An order of stored scales."""

    name: str  #: what is special about it; empty if nothing
    #: from the array as stored to one entry per block, or None if it is not such one
    arrange: Callable[[npt.NDArray[Any]], npt.NDArray[Any] | None]

    @property
    def is_padded(self) -> bool:
        """Whether some of what is stored belongs to no block."""
        return "beyond ignored" in self.name


def _layouts(
    shape: tuple[int, ...],
    counts: tuple[int, ...],
    block: tuple[int, ...],
    *,
    codes: bool,
    repeats: bool,
) -> Iterator[Arrangement]:
    """Yield the orders in which scales of a shape may have one entry per block."""
    total = int(np.prod(counts, dtype=np.int64))
    size = int(np.prod(shape, dtype=np.int64))
    if size == total and _without_ones(shape) == _without_ones(counts):
        yield Arrangement("", lambda array: array.reshape(counts))
    elif size == total and (len(shape) == 1 or (counts and shape[-1] == counts[-1])):
        yield Arrangement(f"reshaped from {shape}", lambda array: array.reshape(counts))
    if len(counts) >= 2:
        turned = (*counts[:-2], counts[-1], counts[-2])
        if turned == shape != counts and min(turned[-2:]) > 1:
            yield Arrangement("transposed", lambda array: array.swapaxes(-1, -2))
        yield from _padded(shape, counts, turned)
        if repeats:
            yield from _repeated(shape, counts, block)
    if codes and len(counts) == 2:
        yield from _tiled(size, shape, counts)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _pads(n: int, count: int) -> bool:
    return n == count or (n > count and any(n == -(-count // m) * m for m in _PADDINGS))


def _padded(
    shape: tuple[int, ...], counts: tuple[int, ...], turned: tuple[int, ...]
) -> Iterator[Arrangement]:
    """Yield layouts with rows and columns that belong to no block."""
    if len(shape) != len(counts):
        return
    for name, wanted in (("", counts), ("transposed, ", turned)):
        if wanted == shape or not all(map(_pads, shape, wanted)) or (name and turned == counts):
            continue
        extra = f"{name}padded from {wanted} to {shape}, what is beyond ignored"
        kept = tuple(slice(0, n) for n in wanted)
        if name:
            yield Arrangement(extra, lambda array, kept=kept: array[kept].swapaxes(-1, -2))  # type: ignore[misc]
        else:
            yield Arrangement(extra, lambda array, kept=kept: array[kept])  # type: ignore[misc]


def _repeated(
    shape: tuple[int, ...], counts: tuple[int, ...], block: tuple[int, ...]
) -> Iterator[Arrangement]:
    """Yield the layout where a two-dimensional block's scale is there for each of its rows."""
    for axis in (len(counts) - 2, len(counts) - 1):
        length = block[axis]
        rows = tuple(
            n if i != axis else shape[axis] if len(shape) == len(counts) else 0
            for i, n in enumerate(counts)
        )
        if length == 1 or rows != shape or -(-shape[axis] // length) != counts[axis]:
            continue
        if shape == counts or block.count(1) != len(block) - 2:
            continue

        def arrange(
            array: npt.NDArray[Any], axis: int = axis, length: int = length
        ) -> npt.NDArray[Any] | None:
            first = array.take(range(0, array.shape[axis], length), axis)
            whole = np.repeat(first, length, axis).take(range(array.shape[axis]), axis)
            return (
                first if np.array_equal(whole, array, equal_nan=array.dtype.kind == "f") else None
            )

        yield Arrangement(f"repeated for each of the {length} lines of a block", arrange)


def _tiled(size: int, shape: tuple[int, ...], counts: tuple[int, ...]) -> Iterator[Arrangement]:
    """Yield cuBLAS' layout of block scales: tiles of 128 x 4, each as 32 x 4 x 4."""
    tiles = -(-counts[0] // 128), -(-counts[1] // 4)
    if size != tiles[0] * tiles[1] * 512 or len(shape) > 2:
        return

    def arrange(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        apart = array.reshape(*tiles, 32, 4, 4).transpose(0, 3, 2, 1, 4)
        return apart.reshape(128 * tiles[0], 4 * tiles[1])[: counts[0], : counts[1]]

    yield Arrangement("in cuBLAS' tiles of 128 x 4, what is beyond ignored", arrange)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A rule, applied along an axis for a format, with the ways its scales could be stored."""

    rule: Rule  #: the rule
    fmt: Format  #: of the elements
    axis: int  #: the axis that blocks run along, from 0
    blocks: Blocks  #: where they are
    #: how the dump's scales may be read so that there is one for each block
    views: tuple[tuple[Reading, Arrangement], ...]

    @property
    def is_held(self) -> bool:
        """Whether the scale comes from steps before: one tensor cannot show how it was found."""
        return self.rule.history is not None


def rules_of(
    evidence: Evidence, rules: Iterable[str | Rule] | str | Rule | None
) -> tuple[Rule, ...]:
    """Return the rules to try: those asked for, or all, and blocks of what lengths fit."""
    if rules is not None:
        given = [rules] if isinstance(rules, str) or not hasattr(rules, "__iter__") else rules
        return tuple(rule_of(rule) for rule in given)
    found = {**RULES, **CONVENTIONS}
    if any(reading.name == "bfloat16" for reading in evidence.readings):
        found.update({rule.name: rule for rule in narrow_conventions()})
    for name in _block_names(evidence.codes.shape, evidence.scales_shape):
        found.setdefault(name, get_rule(name))
    return tuple(found.values())


def candidates(evidence: Evidence, rules: Iterable[Rule], axis: int | None) -> list[Candidate]:
    """Return the rules with formats and axes that the dump's types and shapes allow."""
    return [
        Candidate(rule, fmt, along, blocks, views)
        for rule in rules
        for along, blocks, views in _placements(evidence, rule, axis)
        for fmt in evidence.formats
        if not rule.formats or fmt.name in rule.formats
    ]


def _axes(ndim: int, axis: int | None) -> list[int]:
    if ndim == 0:
        return [-1]
    if axis is None:
        return list(range(ndim))[::-1]
    if isinstance(axis, bool) or not isinstance(axis, int) or not -ndim <= axis < ndim:
        msg = f"axis must be from {-ndim} to {ndim - 1} for codes of {ndim} axes, got {axis!r}"
        raise ValueError(msg)
    return [axis % ndim]


def _placements(
    evidence: Evidence, rule: Rule, axis: int | None
) -> Iterator[tuple[int, Blocks, tuple[tuple[Reading, Arrangement], ...]]]:
    """Yield the axes along which a rule's blocks have as many scales as there are."""
    shape = evidence.codes.shape
    seen = set()
    for along in _axes(len(shape), axis):
        try:
            blocks, _, _ = places(rule.granularity, shape, along)
        except ValueError:  # blocks of two dimensions along a far axis, or that would be ragged
            continue
        if rule.rotation is not None and shape[along] % len(rule.rotation.signs):
            continue
        key = (blocks.block, along if rule.rotation is not None else None)
        if key in seen:
            continue
        seen.add(key)
        views = tuple(
            (reading, layout)
            for reading in evidence.readings
            for layout in _layouts(
                evidence.scales_shape,
                blocks.counts,
                blocks.block,
                codes=reading.codes is not None,
                repeats=rule.is_two_level,
            )
        )
        if views:
            yield along, blocks, views


def _lengths(n: int, count: int) -> list[int]:
    """Return likely lengths of which an axis of n elements has `count` blocks."""
    if not 1 <= count <= n:
        return []
    likely = [-(-n // count), *(1 << k for k in range(12)), n // count]
    return sorted({length for length in likely if length and -(-n // length) == count})


def _block_names(shape: tuple[int, ...], scales: tuple[int, ...]) -> Iterator[str]:
    """Yield names of rules of blocks that fit the shapes, of any length."""
    if len(shape) != len(scales) or int(np.prod(scales)) <= 1:
        return
    several = [i for i, (n, m) in enumerate(zip(shape, scales, strict=True)) if n != m]
    if len(several) == 1:
        axis = several[0]
        for length in _lengths(shape[axis], scales[axis]):
            if scales[axis] > 1:
                yield f"block-{length}"
    if len(several) == 2 and several == [len(shape) - 2, len(shape) - 1]:
        heights, lengths = (_lengths(shape[i], scales[i]) for i in several)
        pairs = {(h, w) for h in heights for w in lengths if h > 1 and w > 1}
        squares = {(h, w) for h, w in pairs if h == w}
        for height, length in sorted(squares) or sorted(pairs)[:4]:
            yield f"block-{height}x{length}"


def other_lengths(rule: Rule, evidence: Evidence) -> Iterator[Rule]:
    """Yield a rule with blocks of other lengths that fit the shapes."""
    grain = rule.granularity
    if grain.kind != "block" or grain.height > 1:
        return
    lengths = {grain.length - 1, grain.length + 1}
    for n, count in zip(evidence.codes.shape, evidence.scales_shape, strict=False):
        lengths.update(_lengths(n, count))
    for length in sorted(lengths - {grain.length, 0}):
        yield replace(rule, granularity=replace(grain, length=length))


def fitting_shapes(evidence: Evidence, rules: Iterable[Rule]) -> str:
    """Return in words which shapes of scales would fit the codes."""
    shape = evidence.codes.shape
    found: dict[tuple[int, ...], str] = {}
    for rule in rules:
        for along in _axes(len(shape), None):
            try:
                counts = places(rule.granularity, shape, along)[1]
            except ValueError:
                continue
            if int(np.prod(counts, dtype=np.int64)) == 1:
                counts = ()
            found.setdefault(counts, f"{rule.granularity} along axis {along}" if counts else "one")
    few = list(found.items())[:10]
    return ", ".join(f"{counts} ({what})" for counts, what in few)
