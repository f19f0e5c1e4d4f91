"""
What happened while a net was trained: a record for each step, and for casts of some steps.

::

    step 0   loss lr scale skipped gradient norm ...        steps -> to_frame()
       '---- layer, role, format, amax, scales, rates       casts -> tensors, in long form

Records are small and frozen; as arrays by column they lie in a checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from fp8num._records import frame
from fp8num._text import brief

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["CastRecord", "History", "StepRecord"]

Array: TypeAlias = npt.NDArray[Any]
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """
    A step of a training.

    Attributes
    ----------
    step, epoch : int
        Both counted from 0.
    loss, accuracy : float
        Of the batch, before the step.
    lr : float
        Learning rate.
    scale : float
        What the loss was multiplied by.
    skipped : bool
        Whether the optimizer did not step.
    gradient_norm : float
        Euclidean norm of all gradients, without the scale and before clipping.
    """

    step: int
    epoch: int
    loss: float
    accuracy: float
    lr: float
    scale: float
    skipped: bool
    gradient_norm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CastRecord:
    """
    What a cast did to one operand of a layer's matrix products.

    Attributes
    ----------
    step : int
        Counted from 0.
    layer, role : str
        The layer's name, and which operand: ``x_forward`` the activations, ``w_forward`` the
        weights, ``g_dgrad`` the gradients by the output, and so on.
    format, rule : str
        Of the elements, and how they are scaled.
    elements, finite : int
        How many there are, and how many of them are finite.
    amax : float
        Largest magnitude, NaN if an element is NaN.
    scale_min, scale_median, scale_max : float
        Of the scales that decoded values are multiplied by.
    underflow_rate : float
        Share of the nonzero finite elements that became zero; NaN if there are none.
    saturation_rate : float
        Share of the finite elements that lie beyond the largest value that their scale
        leaves room for; NaN if there are none.
    sqnr_db : float
        Ratio of the elements' squares to those of their errors, in decibels.
    """

    step: int
    layer: str
    role: str
    format: str
    rule: str
    elements: int
    finite: int
    amax: float
    scale_min: float
    scale_median: float
    scale_max: float
    underflow_rate: float
    saturation_rate: float
    sqnr_db: float


@dataclass(frozen=True, slots=True, repr=False)
class History:
    """
    The records of a training.

    Parameters
    ----------
    steps : tuple of StepRecord
        One for each step.
    casts : tuple of CastRecord
        One for each operand that was cast, of those steps whose casts were looked at.

    Examples
    --------
    >>> History().to_frame().columns.tolist()
    ['step', 'epoch', 'loss', 'accuracy', 'lr', 'scale', 'skipped', 'gradient_norm']
    """

    steps: tuple[StepRecord, ...] = ()
    casts: tuple[CastRecord, ...] = ()

    def __repr__(self) -> str:
        end = f", loss {self.steps[-1].loss:.6g} at the end" if self.steps else ""
        counts = f"{len(self.steps):,} steps, {self.skipped:,} skipped, {len(self.casts):,} casts"
        return f"<History: {counts}{end}>"

    @property
    def tensors(self) -> pd.DataFrame:
        """The casts in long form, a row for each operand and step."""
        return frame(CastRecord, self.casts)

    @property
    def skipped(self) -> int:
        """Steps that the optimizer did not make."""
        return sum(record.skipped for record in self.steps)

    def to_frame(self) -> pd.DataFrame:
        """
        Return the steps as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each step, with the attributes of `StepRecord`.
        """
        return frame(StepRecord, self.steps)

    def worst(self) -> tuple[CastRecord, ...]:
        """
        Return, for each layer and operand, the cast that lost most of its elements.

        Returns
        -------
        tuple of CastRecord
            The worst first: those without a finite element, of which nothing is left to lose;
            then those with the highest sum of underflow and saturation rate, and of equal ones
            that with the lowest SQNR.  A rate that is NaN counts as 0, such an SQNR as the
            highest; of casts that are equal in all, the earliest is taken.
        """
        found: dict[tuple[str, str], CastRecord] = {}
        for record in self.casts:
            key = record.layer, record.role
            if key not in found or _rank(record) < _rank(found[key]):
                found[key] = record
        return tuple(sorted(found.values(), key=_rank))

    def to_arrays(self) -> dict[str, Array]:
        """Return the records by column, for a checkpoint."""
        return _columns("steps", StepRecord, self.steps) | _columns("casts", CastRecord, self.casts)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> History:
        """
        Return the history that `to_arrays` took apart.

        Raises
        ------
        ValueError
            If a column is missing, or their lengths differ.
        """
        return cls(
            _records("steps", StepRecord, arrays),
            _records("casts", CastRecord, arrays),
        )


def _rank(record: CastRecord) -> tuple[bool, float, float]:
    """Return what sorts casts, the worst first; NaN would not be sorted at all."""
    usable = record.finite > 0 or not record.elements
    sqnr = math.inf if math.isnan(record.sqnr_db) else record.sqnr_db
    return usable, -_lost(record), sqnr


def _lost(record: CastRecord) -> float:
    """Return the share of elements that a cast turned into zero or cut off, NaN as 0."""
    rates = (record.underflow_rate, record.saturation_rate)
    return sum(rate for rate in rates if not math.isnan(rate))


#: The type of a column, by the annotation of its attribute.
_TYPES = {"int": np.int64, "float": np.float64, "bool": np.bool_, "str": np.str_}


def _columns(prefix: str, kind: type[Any], records: tuple[Any, ...]) -> dict[str, Array]:
    """Return records as an array for each attribute."""
    return {
        f"{prefix}/{field.name}": np.array(
            [getattr(record, field.name) for record in records], _TYPES[str(field.type)]
        )
        for field in fields(kind)
    }


def _records(prefix: str, kind: type[_Record], arrays: Mapping[str, Array]) -> tuple[_Record, ...]:
    named = fields(cast("type[Any]", kind))
    columns = [_column(f"{prefix}/{one.name}", str(one.type), arrays) for one in named]
    if len({len(column) for column in columns}) > 1:
        msg = f"the columns {prefix} of a history must have one length"
        raise ValueError(msg)
    names = [one.name for one in named]
    return tuple(kind(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True))


def _column(name: str, kind: str, arrays: Mapping[str, Array]) -> list[Any]:
    """Return the elements of a column; ValueError if it is none of that type."""
    if name not in arrays:
        msg = f"a history must have the column {name}, which is missing"
        raise ValueError(msg)
    array = arrays[name]
    wanted = np.dtype(_TYPES[kind])
    is_one = isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind == wanted.kind
    if not is_one or (kind != "str" and array.dtype.itemsize != wanted.itemsize):
        got = (
            f"{array.dtype} of shape {array.shape}"
            if isinstance(array, np.ndarray)
            else brief(array)
        )
        msg = f"the column {name} of a history must be {wanted.name} in a row, got {got}"
        raise ValueError(msg)
    column: list[Any] = array.tolist()
    return column
