"""
What it costs to move a quantised tensor to another rule: the error of its values.

::

    source --rule A--> values A --rule B--> values B
                         |<---- moving ----->|
       |<------------ error of B ----------->|

These are errors of weights.  They say nothing about a model's accuracy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float64
from fp8num._kernels.state import float_arithmetic
from fp8num._kernels.words import as_values
from fp8num.scaled import ScaledArray, slabs
from fp8num.scaling.catalogue import get_rule
from fp8num.scaling.quantize import scale_quantize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.formats import Format
    from fp8num.scaling.rule import Rule

__all__ = ["Distance", "Move", "distance", "move"]


@dataclass(frozen=True, slots=True)
class Distance:
    """
    How far one tensor is from another.

    Parameters
    ----------
    relative_frobenius : float
        Frobenius norm of the difference over that of the first; NaN if that is 0.
    one_minus_cosine : float
        One minus the cosine of the angle between them; NaN if either is 0.
    changed : float
        Share of the elements that differ; NaN if there are none.
    """

    relative_frobenius: float
    one_minus_cosine: float
    changed: float


@dataclass(frozen=True, slots=True)
class Move:
    """
    What moving a tensor from one rule to another does to its values.

    Parameters
    ----------
    before, after : str
        Names of the rules, with the axis that blocks run along.
    moving : Distance
        From the values before to the values after.
    error_before, error_after : Distance, optional
        From the source to the values before and after, if there is a source.
    direct : Distance, optional
        From the source to what the second rule makes of the source itself.
    """

    before: str
    after: str
    moving: Distance
    error_before: Distance | None = None
    error_after: Distance | None = None
    direct: Distance | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a dictionary that JSON can hold; NaN is None."""

        def plain(value: object) -> object:
            if isinstance(value, dict):
                return {key: plain(part) for key, part in value.items()}
            return None if isinstance(value, float) and np.isnan(value) else value

        return {key: plain(value) for key, value in asdict(self).items()}


@float_arithmetic
def distance(a: npt.ArrayLike, b: npt.ArrayLike) -> Distance:
    """
    Return how far `b` is from `a`.

    Parameters
    ----------
    a, b : array_like, shape (...)
        Tensors of one shape; sums are formed in float64.

    Returns
    -------
    Distance
        NaN where a value is not finite.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    The cosine's distance from one is half the squared distance of the two tensors, each
    over its own norm: no digits are lost to the subtraction from one.

    Examples
    --------
    >>> found = distance([3.0, 4.0], [3.0, 4.5])
    >>> found.relative_frobenius, round(found.one_minus_cosine, 6), found.changed
    (0.1, 0.00154, 0.5)
    """
    first, second = as_values(a, "a"), as_values(b, "b")
    if first.shape != second.shape:
        msg = f"a and b must have one shape, got {first.shape} and {second.shape}"
        raise ValueError(msg)
    squares, changed = np.zeros(3), 0
    for x, y in _pieces(first, second):
        squares += [np.vdot(x, x), np.vdot(y, y), np.vdot(y - x, y - x)]
        changed += int(np.count_nonzero(x != y))
    norm_x, norm_y, norm_d = np.sqrt(squares)
    half = 0.0
    for x, y in _pieces(first, second):
        turned = y / norm_y - x / norm_x
        half += float(np.vdot(turned, turned)) / 2
    finite = bool(np.isfinite(squares).all())
    relative = float(norm_d / norm_x) if norm_x and finite else float("nan")
    return Distance(
        relative,
        half if norm_x and norm_y and finite else float("nan"),
        changed / first.size if first.size else float("nan"),
    )


def _pieces(
    a: npt.NDArray[Any], b: npt.NDArray[Any]
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Yield matching pieces of two arrays, flat and in float64."""
    for part in slabs(a.shape):
        yield tuple(as_float64(np.ascontiguousarray(x[part]).reshape(-1)) for x in (a, b))  # type: ignore[misc]  # two


def _values(scaled: ScaledArray) -> npt.NDArray[Any]:
    """Return what a scaled array stands for, a rotation undone."""
    values = scaled.dequantize()
    return values if scaled.rule is None else scaled.rule.unrotated(values, scaled.axis)


@float_arithmetic
def move(
    scaled: ScaledArray | npt.ArrayLike,
    rule: str | Rule,
    *,
    fmt: Format | str | None = None,
    axis: int | None = None,
    source: npt.ArrayLike | None = None,
    before: str | Rule | None = None,
    rng: np.random.Generator | None = None,
) -> Move:
    """
    Quantise a tensor again under another rule, and measure what that does.

    Parameters
    ----------
    scaled : ScaledArray or array_like, shape (...)
        The quantised tensor; or its source, which `before` quantises first.
    rule : str or Rule
        The rule to move to.
    fmt : Format or str, optional
        The format to move to; the default is the tensor's own, if the rule takes it.
    axis : int, optional
        The axis to turn blocks to; the default is the tensor's own.
    source : array_like, shape (...), optional
        What the tensor was made from: errors are then measured against it too.
    before : str or Rule, optional
        The rule that quantises a source.
    rng : numpy.random.Generator, optional
        For a rule that rounds stochastically.

    Returns
    -------
    Move
        The record: weight errors, not a model's accuracy.

    Raises
    ------
    ValueError
        If `before` is missing for a source, or shapes differ.

    Examples
    --------
    A second rounding with other scales costs as much as the first.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((128, 256))
    >>> cost = move(x, "deepgemm-1x128-ue8m0", before="deepgemm-1x128")
    >>> round(cost.moving.relative_frobenius, 3), round(cost.error_before.relative_frobenius, 3)
    (0.026, 0.026)
    """
    if not isinstance(scaled, ScaledArray):
        if before is None:
            msg = "before must name the rule that quantises a source, or pass a ScaledArray"
            raise ValueError(msg)
        source = scaled
        scaled = scale_quantize(source, before, axis=-1 if axis is None else axis)
    target = get_rule(rule)
    turned = scaled.axis if axis is None else axis
    if fmt is None and not (target.formats and scaled.format.name not in target.formats):
        fmt = scaled.format
    values = _values(scaled)
    moved = scale_quantize(values, target, fmt=fmt, axis=turned, rng=rng)
    after = _values(moved)
    name = "given" if scaled.rule is None else scaled.rule.name
    labels = f"{name} (axis {scaled.axis})", f"{target.name} (axis {moved.axis})"
    if source is None:
        return Move(*labels, distance(values, after))
    direct = _values(scale_quantize(source, target, fmt=fmt, axis=turned, rng=rng))
    return Move(
        *labels,
        distance(values, after),
        distance(source, values),
        distance(source, after),
        distance(source, direct),
    )
