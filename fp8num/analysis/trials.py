"""
Schemes tried on a tensor: what each costs its rows, and whether that is within limits.

::

    tensor --role--> rows along K --analyze_tensor--> errors of rows --over the cost--> Trial
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fp8num._kernels.float32 import as_float64
from fp8num._kernels.words import as_values
from fp8num.analysis.analyze import ArrayTensor, analyze_tensor
from fp8num.analysis.excess import RowErrors
from fp8num.analysis.outliers import find_outliers
from fp8num.analysis.pieces import pieces, refusal
from fp8num.analysis.schemes import bits_per_weight, least_cost
from fp8num.scaling import get_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from fp8num.analysis.distribution import Distribution
    from fp8num.analysis.outliers import Outlier
    from fp8num.analysis.pieces import Tensor
    from fp8num.analysis.results import TensorAnalysis
    from fp8num.analysis.roles import Role
    from fp8num.analysis.schemes import Scheme
    from fp8num.formats import Format

__all__ = ["Limits", "Subject", "Trial", "rows_shape"]

#: Rows, indices and the like that a record names at most.
NAMED = 8
_PIECE = 1 << 17
_ROW = get_rule("row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    When a scheme passes.

    Attributes
    ----------
    median : float
        The largest excess of the median row.
    row : float
        A row of a larger excess is damaged.
    share : float
        The largest share of damaged rows; one row is always allowed, and named.
    """

    median: float = 1.25
    row: float = 2.0
    share: float = 1e-3

    def __post_init__(self) -> None:
        """Check that they are limits."""
        for name in ("median", "row"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 1 <= value < math.inf):
                msg = f"{name} of the limits must be a number from 1 on, got {value!r:.80}"
                raise ValueError(msg)
        if not (isinstance(self.share, int | float) and 0 <= self.share <= 1):
            msg = f"share of the limits must be from 0 to 1, got {self.share!r:.80}"
            raise ValueError(msg)

    def allowed(self, rows: int) -> int:
        """Return how many of so many rows may be damaged."""
        return max(1, int(rows * self.share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """
    What a scheme makes of a tensor.

    Attributes
    ----------
    scheme : Scheme
        The scheme.
    passes : bool
        Whether the limits hold.
    median, worst : float
        The excess of the median row and of the worst one.
    worst_row : int
        Which that is; rows of stacked experts are counted through.
    rows, above, near_dead : int
        Rows that are judged, those of them that are damaged, and rows below `NEGLIGIBLE` of
        the median row's norm, which are not judged.
    left : tuple of (int, float)
        The damaged rows and their excess, the worst first, at most eight.
    flushed, saturated : float
        Share of the nonzero elements that become zero, and of the finite ones that round past
        the largest value; NaN if there are none.
    sqnr_db : float
        Signal to noise in decibels, infinite without noise.
    output_error : float
        Norm of the product's error over that of the product, where channels of the
        activations have the mean squares that were given; NaN without them.
    bits : float
        Bits a weight takes, scales included.
    entropy, effective_bits : float
        Shannon entropy of the codes in bits; ``(sqnr_db - 1.76) / 6.02``.
    codes : ndarray of int64, shape (2**bits,), or None
        How often each code of the format occurs.
    """

    scheme: Scheme
    passes: bool
    median: float
    worst: float
    worst_row: int
    rows: int
    above: int
    near_dead: int
    left: tuple[tuple[int, float], ...]
    flushed: float
    saturated: float
    sqnr_db: float
    output_error: float
    bits: float
    entropy: float
    effective_bits: float
    codes: npt.NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as a dictionary that JSON can hold; what is not a number is None."""
        found: dict[str, Any] = {"scheme": self.scheme.name, "rule": self.scheme.rule.name}
        for name in self.__slots__[1:-1]:
            value = getattr(self, name)
            found[name] = None if isinstance(value, float) and not math.isfinite(value) else value
        return found | {"left": [list(pair) for pair in self.left]}


class Subject:
    """
    A tensor under judgement; schemes are tried when they are asked for, once.

    Parameters
    ----------
    name : str
        The tensor's name.
    x : array_like or Tensor
        The tensor; of one that is stored, a piece at a time is held.
    role : Role
        What it is for.
    schemes : tuple of Scheme
        What is tried.
    target : str or Format
        Whose finest scheme costs what must be.
    limits : Limits
        When they pass.
    mean_squares : ndarray of float64, shape (K,), optional
        Of the activations' channels.
    """

    def __init__(
        self,
        name: str,
        x: npt.ArrayLike | Tensor,
        role: Role,
        *,
        schemes: tuple[Scheme, ...],
        target: str | Format,
        limits: Limits,
        mean_squares: npt.ArrayLike | None = None,
    ) -> None:
        self.name, self.role, self._schemes, self.limits = name, role, schemes, limits
        self._target = target
        source: Any = x if hasattr(x, "blocks") else ArrayTensor(as_values(x), name)
        self._source: Tensor = source
        self.shape = self._source.shape
        self.rows = _along_k(self._source, role)
        self._mean_squares = None
        if mean_squares is not None:
            self._mean_squares = _checked(mean_squares, self.rows.shape[-1], name)
        self._analyses: dict[int, TensorAnalysis] = {}
        self._trials: dict[int, Trial] = {}

    def takes(self, i: int) -> bool:
        """Whether a scheme can be tried: its rule takes the shape."""
        return not refusal(self._schemes[i].rule, self.rows.shape)

    @cached_property
    def distribution(self) -> Distribution:
        """What the tensor holds."""
        for i in range(len(self._schemes)):
            if self.takes(i):
                self.trial(i)
                return self._analyses[i].distribution
        unit = analyze_tensor(self.rows, self._schemes[0].format, "unit", block_size=_PIECE)
        return unit.distribution

    @property
    def bad_count(self) -> int:
        """How many elements are not finite."""
        return self.distribution.size - self.distribution.finite

    @cached_property
    def bad(self) -> tuple[tuple[tuple[int, ...], float], ...]:
        """The first elements that are not finite: index and value."""
        found: list[tuple[tuple[int, ...], float]] = []
        start = 0
        for flat in pieces(self._source, (), _PIECE):
            values = as_float64(flat.reshape(-1))
            for at in np.flatnonzero(~np.isfinite(values))[: NAMED - len(found)]:
                index = np.unravel_index(start + at, self.shape, order=self._source.order)
                found.append((tuple(int(i) for i in index), float(values[at])))
            start += len(values)
        return tuple(found)

    @property
    def is_dead(self) -> bool:
        """Whether there is no finite element but zero."""
        return self.distribution.nonzero == 0

    @cached_property
    def cause(self) -> tuple[Outlier, ...]:
        """What stands out."""
        return find_outliers(self._pieces, self.rows.shape[-1])

    def _pieces(self) -> Iterator[npt.NDArray[np.float64]]:
        for piece in pieces(self.rows, (_ROW,), _PIECE):
            yield as_float64(piece.reshape(-1, piece.shape[-1]))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The schemes that were tried, the coarsest first."""
        return tuple(self._trials[i] for i in sorted(self._trials))

    def analysis(self, i: int) -> TensorAnalysis:
        """Measure what a scheme makes of the tensor with K last."""
        if i not in self._analyses:
            scheme = self._schemes[i]
            self._analyses[i] = analyze_tensor(
                self.rows,
                scheme.format,
                scheme.rule,
                block_size=_PIECE,
                mean_squares=self._mean_squares,
            )
        return self._analyses[i]

    @property
    def has_activations(self) -> bool:
        """Whether mean squares of its input channels are known."""
        return self._mean_squares is not None

    def mean_square(self, i: int) -> float:
        """Return the squared relative error of a scheme: of the output if that is known."""
        errors = self.analysis(i).results[0].rows
        if errors is None or not errors.is_live.any():
            return 0.0
        if math.isfinite(errors.output_error):
            return errors.output_error**2
        return float(np.mean(errors.relative[errors.is_live] ** 2))

    def trial(self, i: int) -> Trial:
        """Try a scheme."""
        if i not in self._trials:
            self._trials[i] = self._judged(self._schemes[i], self.analysis(i))
        return self._trials[i]

    def _judged(self, scheme: Scheme, analysis: TensorAnalysis) -> Trial:
        (result,) = analysis.results
        nothing = np.empty(0)
        errors = result.rows if result.rows is not None else RowErrors(nothing, nothing)
        cost = least_cost(scheme, self._target)
        judged = errors.excess(cost)
        order = np.argsort(-judged, kind="stable")
        rows, above = int(errors.is_live.sum()), int((judged > self.limits.row).sum())
        median = errors.median / cost
        return Trial(
            scheme=scheme,
            passes=median <= self.limits.median and above <= self.limits.allowed(rows),
            median=median,
            worst=float(judged[order[0]]) if rows else math.nan,
            worst_row=int(order[0]) if rows else -1,
            rows=rows,
            above=above,
            near_dead=errors.near_dead,
            left=tuple((int(i), float(judged[i])) for i in order[: min(above, NAMED)]),
            flushed=result.metrics.underflow_rate,
            saturated=result.metrics.saturation_rate,
            sqnr_db=result.metrics.sqnr_db,
            output_error=errors.output_error,
            bits=bits_per_weight(scheme, self.rows.shape),
            entropy=result.metrics.code_entropy,
            effective_bits=result.metrics.effective_bits,
            codes=result.metrics.code_counts,
        )


def _along_k(tensor: Tensor, role: Role) -> Tensor:
    """Return a tensor with K last, without reading it where its order allows that."""
    shape, order = tensor.shape, tensor.order
    if len(shape) < 2:
        return _Seen(tensor, (1, math.prod(shape)), "C")
    if role.layout == "out-in":
        return tensor
    if role.layout == "convolution" and order == "C":
        return _Seen(tensor, (shape[0], math.prod(shape[1:])), "C")
    if role.layout == "in-out" and len(shape) == 2:
        return _Seen(tensor, shape[::-1], "F" if order == "C" else "C")
    (whole,) = pieces(tensor, (), 1, whole=True)
    return ArrayTensor(np.ascontiguousarray(role.matrix(whole)), tensor.name)


def rows_shape(role: Role, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a tensor has with K last."""
    return role.matrix(np.broadcast_to(np.empty((), np.int8), shape)).shape


class _Seen:
    """A tensor in another shape: the same elements in the same order."""

    def __init__(self, tensor: Tensor, shape: tuple[int, ...], order: Literal["C", "F"]) -> None:
        self.name, self.file, self.dtype = tensor.name, tensor.file, tensor.dtype
        self.order: Literal["C", "F"] = order
        self.format_name, self.blocks = tensor.format_name, tensor.blocks
        self.shape = shape


def _checked(mean_squares: npt.ArrayLike, k: int, name: str) -> npt.NDArray[np.float64]:
    """Return mean squares of channels, if that is what they are."""
    found = np.asarray(mean_squares, np.float64)
    if found.shape != (k,) or not (np.isfinite(found).all() and (found >= 0).all()):
        msg = (
            f"activations of {name or 'the tensor'} must be {k} mean squares, one for each "
            f"input channel, finite and not negative, got shape {found.shape}"
        )
        raise ValueError(msg)
    return found
