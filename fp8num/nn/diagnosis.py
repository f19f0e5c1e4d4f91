"""
Why a training stopped: the first tensor that went wrong, its format, and what to do.

::

    parameters --> operands in the order of their casts --> the first that is not finite, or
                   x_forward w_forward ... g_dgrad          saturates or vanishes for the most part
                                                            --> remedies, by what it is
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num.formats import get_format
from fp8num.nn.history import History
from fp8num.scaling.catalogue import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fp8num.nn.history import CastRecord
    from fp8num.nn.tape import Tensor
    from fp8num.nn.train import Run

__all__ = ["Diagnosis", "TrainingDiverged", "diagnose"]

#: What may help, and the argument of `train` that changes it; "" if none does.
Remedy: TypeAlias = "tuple[str, str]"

#: Shares above which a cast is held to be the cause.
SATURATED = 0.01
VANISHED = 0.5
#: A largest magnitude that grew by this is worth naming.
GROWN = 8.0

_OF_PARAMETERS = ("parameter", "gradient")
_ROLES = {"x": "activations", "w": "weights", "g": "gradients"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """
    Why a training stopped.

    Attributes
    ----------
    step : int
        Where, counted from 0.
    what : str
        What was noticed, such as ``"the loss is nan"``.
    layer, role, format, rule : str
        The first tensor that went wrong; empty where none stands out.
    cause : str
        How: ``"not finite"``, ``"saturated"``, ``"vanished"``, ``"grown"`` or ``""``.
    finding : str
        The same in words and figures.
    remedies : tuple of str
        What may help, the likeliest first.
    arguments : tuple of str
        For each remedy the argument of `train` that it is about, such as ``"lr"``;
        ``"accumulators"`` is part of a recipe; empty where it is none of these.
    """

    step: int
    what: str
    layer: str = ""
    role: str = ""
    format: str = ""
    rule: str = ""
    cause: str = ""
    finding: str = ""
    remedies: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one line."""
        found = "no tensor stands out"
        if self.layer:
            made = " by ".join(part for part in (self.format, self.rule) if part)
            of = "" if self.role in _OF_PARAMETERS else "of "
            begin = "the largest growth is in" if self.cause == "grown" else "first"
            found = f"{begin} {self.role} {of}{self.layer!r} ({made}): {self.finding}"
        return (
            f"training stopped at step {self.step}, {self.what}; {found}; "
            f"try {', or '.join(self.remedies)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a dictionary that JSON can hold."""
        lists = {"remedies": list(self.remedies), "arguments": list(self.arguments)}
        return asdict(self) | lists


class TrainingDiverged(ArithmeticError):  # noqa: N818 - what happened, and no mistake
    """
    A training cannot go on.

    Parameters
    ----------
    diagnosis : Diagnosis
        Why; its text is the message.
    partial : Run, optional
        As far as the training went: the net as it was when it stopped, its history and
        captures; nothing is evaluated.  `train` always gives it.
    """

    def __init__(self, diagnosis: Diagnosis, partial: Run | None = None) -> None:
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis
        self.partial = partial

    @property
    def history(self) -> History:
        """What happened until then; its last casts are those of the step that went wrong."""
        return History() if self.partial is None else self.partial.history

    @property
    def captures(self) -> Mapping[int, Mapping[str, npt.NDArray[Any]]]:
        """What was captured until then; if anything was asked for, that step too."""
        return {} if self.partial is None else self.partial.captures

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes with all that it carries."""
        return type(self), (self.diagnosis, self.partial)


def diagnose(
    what: str,
    *,
    step: int,
    lr: float,
    scale: float,
    parameters: Mapping[str, Tensor],
    casts: Sequence[CastRecord],
    before: Iterable[CastRecord] = (),
) -> Diagnosis:
    """Find the first tensor of a step that went wrong."""
    found = Diagnosis(step=step, what=what)
    slower: Remedy = f"a smaller learning rate than {lr:g}", "lr"
    calmer: tuple[Remedy, ...] = (slower, ("clipping gradients", "clip"))
    if step == 0:  # no learning rate has been at work
        slower = "an accumulator of a wider range in the layer before", "accumulators"
        calmer = (("inputs and first weights of smaller magnitude", ""), slower)
    for name, tensor in parameters.items():
        if not np.isfinite(tensor.data).all():
            return _of_parameter(found, name, tensor, "parameter", calmer)
    for record in casts:
        if cause := _cause(record):
            return _of_cast(found, record, cause, _remedies(record, cause, scale, slower))
    for name, tensor in parameters.items():
        if tensor.grad is not None and not np.isfinite(tensor.grad).all():
            lower = (_lower(scale),) if scale > 1 else ()
            return _of_parameter(found, name, tensor, "gradient", lower + calmer)
    if grown := _most_grown(casts, before):
        record, factor = grown
        finding = f"their largest magnitude, {record.amax:.3g}, has grown {factor:.3g} times"
        return replace(_of_cast(found, record, "grown", calmer), finding=finding)
    return _with(found, calmer)


def _with(found: Diagnosis, remedies: Sequence[Remedy]) -> Diagnosis:
    words, arguments = zip(*remedies, strict=True)
    return replace(found, remedies=words, arguments=arguments)


def _of_parameter(
    found: Diagnosis, name: str, tensor: Tensor, role: str, remedies: Sequence[Remedy]
) -> Diagnosis:
    return replace(
        _with(found, remedies),
        layer=name,
        role=role,
        format=tensor.dtype.name,
        cause="not finite",
        finding="it is not finite",
    )


def _cause(record: CastRecord) -> str:
    """Return what is wrong with a cast, if something is."""
    if record.finite < record.elements:
        return "not finite"
    if record.saturation_rate > SATURATED:  # NaN is not
        return "saturated"
    return "vanished" if record.underflow_rate > VANISHED else ""


def _of_cast(
    found: Diagnosis, record: CastRecord, cause: str, remedies: Sequence[Remedy]
) -> Diagnosis:
    words = {
        "not finite": f"{record.elements - record.finite} of {record.elements} are not finite",
        "saturated": f"{record.saturation_rate:.1%} saturate",
        "vanished": f"{record.underflow_rate:.1%} become zero",
        "grown": "",
    }
    largest = f", amax {record.amax:.3g} at scale {record.scale_median:.3g}"
    return replace(
        _with(found, remedies),
        layer=record.layer,
        role=f"{_ROLES.get(record.role[:1], 'tensor')} ({record.role})",
        format=record.format,
        rule=record.rule,
        cause=cause,
        finding=words[cause] + largest,
    )


def _remedies(record: CastRecord, cause: str, scale: float, slower: Remedy) -> list[Remedy]:
    """Return what may help, the likeliest first."""
    gradient = record.role.startswith("g")
    found: list[Remedy] = []
    rule = RULES.get(record.rule)
    if cause != "not finite" and rule is not None and rule.history is not None:
        found.append(("a rule that scales by the tensor itself, such as te-current", "recipe"))
    elif cause != "not finite" and record.scale_min == record.scale_max == 1:
        found.append(("a recipe that scales, such as te-current", "recipe"))
    if gradient:
        wide = get_format(record.format).max > 1e4
        if not wide and cause != "not finite":
            found.append(("gradients in E5M2", "recipe"))
        if cause == "vanished":
            words = "dynamic loss scaling" if scale == 1 else "a larger loss scale"
            found.append((words, "loss_scaler"))
        elif scale > 1:
            found.append(_lower(scale))
    if cause != "vanished" or not found:
        found.append(slower)
    return found


def _lower(scale: float) -> Remedy:
    return f"a loss scale below {scale:g}, or a dynamic one", "loss_scaler"


def _most_grown(
    casts: Sequence[CastRecord], before: Iterable[CastRecord]
) -> tuple[CastRecord, float] | None:
    """Return the cast whose largest magnitude has grown most since it was first seen."""
    first: dict[tuple[str, str], float] = {}
    for record in before:
        first.setdefault((record.layer, record.role), record.amax)
    best: tuple[CastRecord, float] | None = None
    for record in casts:
        start = first.get((record.layer, record.role), math.nan)
        factor = record.amax / start if start > 0 else math.nan
        if factor > GROWN and (best is None or factor > best[1]):
            best = record, factor
    return best
