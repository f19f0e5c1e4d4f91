"""
What casts did to the operands of a layer: measured, for a history and for a diagnosis.

::

    source  x    --cast-->  scaled  q        underflow   x != 0 and q == 0
                                             saturation  abs(x) rounds past largest value * scale
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num.nn._grid import saturated_elements
from fp8num.nn.history import CastRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fp8num.nn.tensor import Tensor
    from fp8num.scaled import ScaledArray

__all__ = ["Operands", "cast_record", "plain_record", "records_of", "watch"]

Array: TypeAlias = npt.NDArray[Any]
#: A cast as a layer shows it: layer, role, what it became, what it was.
Shown: TypeAlias = "tuple[str, str, ScaledArray, Array]"


@dataclass(slots=True, eq=False)
class Operands:
    """What a layer was given."""

    input: Array  #: its input and its master weights
    weight: Array
    #: the loss's derivative by its output, as soon as that is known
    output_gradient: Array | None = None

    def by_role(self) -> dict[str, Array]:
        """Return the arrays by the roles that are not casts of the same once more."""
        found = {"x_forward": self.input, "w_forward": self.weight}
        if self.output_gradient is not None:
            found["g_wgrad"] = self.output_gradient
        return found


def watch(logits: Tensor, layers: Sequence[str]) -> dict[str, Operands]:
    """Find what layers were given on the way to a result, cast or not."""
    found: dict[str, Operands] = {}
    open_ = [logits]
    while open_:
        node = open_.pop()
        if node.vjp is not None and node.name in layers and node.name not in found:
            operands = Operands(node.inputs[0].data, node.inputs[1].data)
            found[node.name] = operands
            node.vjp = _keeping(node.vjp, operands)
        open_ += node.inputs
    return {name: found[name] for name in layers if name in found}


def _keeping(
    vjp: Callable[[Array], Sequence[Array | None]], operands: Operands
) -> Callable[[Array], Sequence[Array | None]]:
    """Return the rule that keeps the gradient it is given."""

    def keep(gradient: Array) -> Sequence[Array | None]:
        operands.output_gradient = gradient
        return vjp(gradient)

    return keep


def cast_record(step: int, layer: str, role: str, scaled: ScaledArray, source: Array) -> CastRecord:
    """
    Measure what a cast did.

    >>> import fp8num as fp
    >>> x = np.float32([1.0, 1.1, 1e-9, 1000.0])
    >>> record = cast_record(0, "first", "x_forward", fp.scale_quantize(x, "tensor"), x)
    >>> record.amax, record.underflow_rate, record.saturation_rate
    (1000.0, 0.25, 0.0)
    """
    x = _rotated(scaled, source)
    saturated = saturated_elements(scaled, x) & np.isfinite(x)
    scales = scaled.scales.astype(np.float64)
    with np.errstate(all="ignore"):
        amax = float(np.max(np.abs(x), initial=0))
        sums = _sums(x, scaled.dequantize(), whole=math.isfinite(amax))
        spread = (scales.min(), np.median(scales), scales.max()) if scales.size else [math.nan] * 3
    low, middle, high = (float(scale) for scale in spread)
    return CastRecord(
        step=step,
        layer=layer,
        role=role,
        format=scaled.format.name,
        rule="" if scaled.rule is None else scaled.rule.name,
        elements=x.size,
        finite=sums.finite,
        amax=amax,
        scale_min=low,
        scale_median=middle,
        scale_max=high,
        underflow_rate=_rate(sums.underflow, sums.nonzero),
        saturation_rate=_rate(int(np.count_nonzero(saturated)), sums.finite),
        sqnr_db=_decibels(sums.signal, sums.noise),
    )


class _Sums(NamedTuple):
    """Counts and sums over the finite elements."""

    finite: int
    nonzero: int
    underflow: int
    signal: float
    noise: float


def _sums(x: Array, decoded: Array, *, whole: bool) -> _Sums:
    """Compare elements with what they became; `whole` says that all are finite."""
    finite = x.size
    if not whole:
        usable = np.isfinite(x)
        finite = int(np.count_nonzero(usable))
        x, decoded = np.where(usable, x, 0), np.where(usable, decoded, 0)
    nonzero = x != 0
    error = np.subtract(decoded, x, dtype=np.float64)
    return _Sums(
        finite=finite,
        nonzero=int(np.count_nonzero(nonzero)),
        underflow=int(np.count_nonzero(nonzero & (decoded == 0))),
        signal=float(np.sum(np.square(x, dtype=np.float64))),
        noise=float(np.sum(np.square(error, out=error))),
    )


def plain_record(step: int, layer: str, role: str, source: Array) -> CastRecord:
    """Describe an operand that was not cast."""
    with np.errstate(all="ignore"):
        amax = float(np.max(np.abs(source), initial=0))
    finite = source.size
    if not math.isfinite(amax):
        finite = int(np.count_nonzero(np.isfinite(source)))
    return CastRecord(
        step=step,
        layer=layer,
        role=role,
        format=source.dtype.name,
        rule="",
        elements=source.size,
        finite=finite,
        amax=amax,
        scale_min=1.0,
        scale_median=1.0,
        scale_max=1.0,
        underflow_rate=0.0 if source.any() else math.nan,
        saturation_rate=0.0 if finite else math.nan,
        sqnr_db=math.inf if source.any() else math.nan,
    )


def records_of(
    step: int, shown: Sequence[Shown], layers: Mapping[str, Operands]
) -> list[CastRecord]:
    """Measure the operands of a step, in the order in which they entered products."""
    measured: dict[int, CastRecord] = {}
    found = []
    for layer, role, scaled, source in shown:
        record = measured.get(id(scaled))
        if record is None:
            record = measured[id(scaled)] = cast_record(step, layer, role, scaled, source)
        found.append(replace(record, role=role))
    cast = {(layer, role) for layer, role, _, _ in shown}
    for layer, operands in layers.items():
        for role, source in operands.by_role().items():
            # A gradient is shown by what it is first cast for.
            if not {(layer, role), (layer, role.replace("wgrad", "dgrad"))} & cast:
                found.append(plain_record(step, layer, role, source))
    places = {layer: place for place, layer in enumerate(layers)}

    def order(record: CastRecord) -> tuple[bool, int]:
        forward, place = record.role.endswith("forward"), places[record.layer]
        return not forward, place if forward else -place

    return sorted(found, key=order)  # stable: within a layer as they came


def _rotated(scaled: ScaledArray, source: Array) -> Array:
    """Return what the scales and codes were found for."""
    rotation = getattr(scaled.rule, "rotation", None)
    return source if rotation is None else rotation.apply(source, scaled.axis)


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _decibels(signal: float, noise: float) -> float:
    """Return a ratio of powers in decibels; NaN where there is no signal."""
    if not signal > 0 or math.isnan(noise):
        return math.nan
    return 10 * math.log10(signal / noise) if noise > 0 else math.inf
