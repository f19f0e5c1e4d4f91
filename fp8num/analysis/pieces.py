"""
A tensor in pieces that hold whole blocks, quantised as if it were whole.

::

    tensor -> piece, piece ... --look--> largest magnitudes        (first pass)
           -> piece, piece ... --quantize--> codes and scales      (second pass)

Any elements make a piece where one scale serves them all; whole rows, or as many of them
as a block is high, for other rules.  For some there is but one piece, the tensor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from fp8num.codec import decode
from fp8num.scaling import Amax, Context, Rule, apply_scales, scale_quantize
from fp8num.scaling.finders import no_errors
from fp8num.scaling.quantize import largest_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.scaled import ScaledArray
    from fp8num.scaling import Rotation

__all__ = ["LargestMagnitudes", "Tensor", "pieces", "refusal"]


class Tensor(Protocol):
    """What `analyze_tensor` needs; ``fp8num.inputs.StoredTensor`` has it."""

    @property
    def name(self) -> str:
        """The tensor's name."""

    @property
    def file(self) -> str:
        """Where it was found."""

    @property
    def dtype(self) -> str:
        """The type of its elements, for display."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def order(self) -> Literal["C", "F"]:
        """The order in which `blocks` yields the elements."""

    @property
    def format_name(self) -> str | None:
        """The format of its codes, None if blocks hold floats."""

    def blocks(self, size: int, /) -> Iterator[npt.NDArray[np.generic]]:
        """Yield the elements, at most `size` at a time."""


def refusal(rule: Rule, shape: tuple[int, ...]) -> str:
    """
    Say why a rule does not take tensors of a shape, along the last axis.

    Parameters
    ----------
    rule : Rule
        The rule.
    shape : tuple of int
        Of the tensor.

    Returns
    -------
    str
        What is wrong; empty if it takes them.
    """
    try:
        rule.granularity.block(shape, -1)
        if rule.rotation is not None:
            rule.rotation.apply(np.empty((0, *shape[-1:]), np.float32), -1)
    except ValueError as error:
        return f"{rule.name} does not fit the shape {shape}: {error}"
    return ""


# Reading.


def pieces(
    tensor: Tensor, rules: Iterable[Rule], size: int, *, whole: bool = False
) -> Iterator[npt.NDArray[Any]]:
    """
    Yield a tensor's elements, codes decoded, in the order of storage.

    Parameters
    ----------
    tensor : Tensor
        The tensor.
    rules : iterable of Rule
        What the pieces will be quantised by, along the last axis.
    size : int
        Elements of a piece, unless a block needs more.
    whole : bool, optional
        Whether to yield the tensor as one piece whatever the rules.

    Yields
    ------
    ndarray
        Elements, rows or matrices of the tensor; or all of it in its own shape.

    Raises
    ------
    ValueError
        If the tensor yields fewer or more elements than its shape has.
    """
    shapes = [tensor.shape] if whole else _shapes(tensor, tuple(rules), size)
    rest: npt.NDArray[Any] = np.empty(0, np.float32)
    stream: Iterator[npt.NDArray[Any]] | None = None
    for shape in shapes:
        missing, parts = math.prod(shape), []
        if stream is None:  # no later piece is larger than the first
            stream = _values(tensor, max(missing, 1))
        while missing:
            rest = rest if len(rest) else next(stream, rest)
            if not len(rest):
                msg = f"tensor must have {math.prod(tensor.shape)} elements, some are missing"
                raise ValueError(msg)
            parts.append(rest[:missing])
            rest = rest[missing:]
            missing -= len(parts[-1])
        flat = parts[0] if len(parts) == 1 else np.concatenate(parts or [rest])
        yield flat.reshape(shape, order=tensor.order)
    if len(rest) or any(len(more) for more in stream or ()):  # a reader checks at the end
        msg = f"tensor must have {math.prod(tensor.shape)} elements, there are more"
        raise ValueError(msg)


def _values(tensor: Tensor, size: int) -> Iterator[npt.NDArray[Any]]:
    """Yield blocks that are not empty; codes are decoded, exactly."""
    for block in tensor.blocks(size):
        if len(block):
            yield block if tensor.format_name is None else decode(block, tensor.format_name)


def _shapes(tensor: Tensor, rules: tuple[Rule, ...], size: int) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of pieces that hold whole blocks of every rule."""
    shape, total = tensor.shape, math.prod(tensor.shape)
    local = [rule for rule in rules if rule.granularity.kind != "tensor" or rule.rotation]
    across = local and tensor.order == "F" and len(shape) > 1
    if not shape or not total or across or any(map(_needs_all, rules)):
        yield shape
    elif not local:
        yield from ((n,) for n in _steps(total, size))
    else:
        yield from _slabs(shape, local, size)


def _slabs(shape: tuple[int, ...], rules: list[Rule], size: int) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of parts of rows, rows, or matrices that hold whole blocks."""
    row, total = shape[-1], math.prod(shape)
    grains = [rule.granularity for rule in rules]
    by_row = [rule.is_by_row or rule.granularity.kind == "row" for rule in rules]
    lengths = [row if whole else grain.length for whole, grain in zip(by_row, grains, strict=True)]
    lengths += [len(rule.rotation.signs) for rule in rules if rule.rotation is not None]
    length, height = math.lcm(*lengths), math.lcm(*(grain.height for grain in grains))
    matrix = total // row if height == 1 else shape[-2]  # rows that blocks do not go beyond
    if height == 1 and length < row and size < row:
        for _ in range(matrix):
            yield from ((n,) for n in _steps(row, max(size // length, 1) * length))
    elif len(shape) == 1:
        yield shape
    elif matrix * row <= size:
        count = total // (matrix * row)
        yield from ((n, matrix, row) for n in _steps(count, size // (matrix * row)))
    else:
        for _ in range(total // (matrix * row)):
            rows = max(size // (height * row), 1) * height
            yield from ((n, row) for n in _steps(matrix, rows))


def _steps(total: int, step: int) -> Iterator[int]:
    """Yield lengths of `step`, and what is left of a total."""
    yield from (min(step, total - start) for start in range(0, total, step))


def _needs_all(rule: Rule) -> bool:
    """Whether a rule's scales need the whole tensor, and not its largest magnitude alone."""
    kind = rule.granularity.kind
    searches = not isinstance(rule.finder, Amax) or rule.is_two_level
    return kind == "channel" or (kind == "tensor" and searches)


# Quantising.


class LargestMagnitudes:
    """The largest magnitudes of a tensor that rules ask for, to quantise its pieces with."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        asked = [(rule.is_two_level, _question(rule)) for rule in rules]
        self._largest = {key: np.float32(0) for _, key in asked if key is not None}
        self._two_level = [key for two, key in asked if two and key is not None]

    @property
    def needs_all(self) -> bool:
        """Whether a tensor's scale cannot be given, as its largest magnitude is not finite."""
        return not all(np.isfinite(self._largest[key]) for key in self._two_level)

    def look(self, piece: npt.NDArray[Any]) -> None:
        """Take a piece into account."""
        for (finder, rotation), largest in self._largest.items():
            values = piece if rotation is None else rotation.apply(piece, -1)
            found = finder.find(values.reshape(1, -1), no_errors)
            words = np.append(found, largest).view(np.uint32)  # NaN above all, subnormals kept
            self._largest[finder, rotation] = words.max().view(np.float32)

    def quantize(self, piece: npt.NDArray[Any], rule: Rule, fmt: Format) -> ScaledArray:
        """Quantise a piece as `scale_quantize` quantises it within the whole tensor."""
        key = _question(rule)
        if key is None:
            return scale_quantize(piece, rule, fmt=fmt)
        amax = self._largest[key]
        if rule.is_two_level:
            given = amax if np.isfinite(amax) and amax.view(np.uint32) else None
            return scale_quantize(piece, rule, fmt=fmt, tensor_amax=given)
        context = Context(fmt, np.float32(0), largest_input(piece.dtype))
        return apply_scales(piece, rule.scale.find(np.asarray(amax), context), rule, fmt=fmt)


def _question(rule: Rule) -> tuple[Amax, Rotation | None] | None:
    """Return how to find the tensor's largest magnitude if a rule needs it, and no more."""
    if _needs_all(rule) or rule.is_by_row or rule.is_unscaled:
        return None
    amax = rule.finder if isinstance(rule.finder, Amax) else Amax("ignore")
    if rule.is_two_level:
        return Amax(amax.nan), rule.rotation
    return (amax, rule.rotation) if rule.granularity.kind == "tensor" else None
