"""
Why a training stopped: the first tensor that went wrong, its format, and what to do.

::

    parameters --> operands in the order of their casts --> the first that is not finite, or
                   x_forward w_forward ... g_dgrad          saturates or vanishes for the most part
                                                            --> remedies, by what it is
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fp8num.formats import get_format
from fp8num.nn.run import Diagnosis
from fp8num.scaling.catalogue import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fp8num.nn.history import CastRecord
    from fp8num.nn.tensor import Tensor

__all__ = ["diagnose"]

#: What may help, and the argument of `train` that changes it; "" if none does.
Remedy: TypeAlias = "tuple[str, str]"

#: Shares above which a cast is held to be the cause.
SATURATED = 0.01
VANISHED = 0.5
#: A largest magnitude that grew by this is worth naming.
GROWN = 8.0

_OF_PARAMETERS = ("parameter", "gradient")
_ROLES = {"x": "activations", "w": "weights", "g": "gradients"}


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
