"""The arguments of a matrix product, checked against each other before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, generator, refuse, thread_count
from fp8num.accumulate.accumulator import (
    Accumulator,
    ExactSum,
    FloatSum,
    MatrixCore,
    TensorCore,
)
from fp8num.accumulate.operands import MatrixOperand, float32_array
from fp8num.accumulate.scaling import ScaleEntry, find_entry
from fp8num.accumulate.units import operand_type
from fp8num.formats import get_format

if TYPE_CHECKING:
    from fp8num.accumulate.output import Output

__all__ = ["Request", "make_request"]


@dataclass(frozen=True)
class Request:
    """A product's checked arguments, operands broadcast to one batch."""

    unit: Accumulator
    a: MatrixOperand
    b: MatrixOperand
    c: npt.NDArray[Any] | None
    bias: npt.NDArray[Any] | None
    entry: ScaleEntry
    output: Output
    rng: np.random.Generator | None
    threads: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return (*self.a.batch, self.a.codes.shape[-2], self.b.codes.shape[-1])


def make_request(
    unit: Accumulator,
    a: MatrixOperand,
    b: MatrixOperand,
    *,
    c: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    output: Output,
    rng: np.random.Generator | None,
    threads: int,
) -> Request:
    """Return a request of arguments that go together; TypeError or ValueError if they do not."""
    rows, columns = a.codes.shape[-2], b.codes.shape[-1]
    batch = _batch(a, b)
    _check_formats(unit, a, b)
    entry = find_entry(unit, a, b)
    _check_rng(unit, rng)
    start = _added(unit, "c", c)
    if start is not None:
        start = _broadcast(start, (*batch, rows, columns))
        if entry.kind == "accumulator":
            msg = (
                f"c must be None with scales per tensor or row under accumulator {unit.name!r}: "
                "the sum that it would start is scaled; add it to the result"
            )
            raise ValueError(msg)
    row = _added(unit, "bias", bias)
    if row is not None and row.shape != (columns,):
        msg = f"bias must have shape ({columns},), one number per column, got {row.shape}"
        raise ValueError(msg)
    return Request(
        unit,
        a.broadcast(batch),
        b.broadcast(batch),
        start,
        row,
        entry,
        output,
        rng,
        thread_count(threads),
    )


def _batch(a: MatrixOperand, b: MatrixOperand) -> tuple[int, ...]:
    """Return the leading axes of the result; ValueError if shapes do not contract."""
    if a.codes.shape[-1] != b.codes.shape[-2]:
        msg = (
            f"a and b must contract: a has {a.codes.shape[-1]} columns and b {b.codes.shape[-2]} "
            f"rows, shapes {a.codes.shape} and {b.codes.shape}; transpose_a and transpose_b exist"
        )
        raise ValueError(msg)
    try:
        return np.broadcast_shapes(a.batch, b.batch)
    except ValueError:
        msg = f"leading axes of a and b must broadcast, got {a.batch} and {b.batch}"
        raise ValueError(msg) from None


def _check_rng(unit: Accumulator, rng: object) -> None:
    """Refuse a generator that nothing draws from, and none where it is needed."""
    if isinstance(unit, FloatSum) and unit.is_stochastic:
        generator("rng", rng, why=f", as {unit.name!r} rounds stochastically")
    elif rng is not None:
        refuse("rng", f"None with accumulator {unit.name!r}, which draws nothing", rng)


def _added(unit: Accumulator, name: str, x: npt.ArrayLike | None) -> npt.NDArray[Any] | None:
    """Return C or bias as the accumulator keeps it."""
    if x is None:
        return None
    if isinstance(unit, ExactSum):
        array = as_array(x, name)
        if array.dtype.newbyteorder("=") == np.float64:
            return array.astype(np.float64, copy=False)
        return float32_array(name, array)
    dtype = "float32"
    if name == "c" and isinstance(unit, TensorCore) and unit.promotion is None:
        dtype = unit.register
    return float32_array(name, x, dtype=dtype)


def _broadcast(c: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    try:
        return np.broadcast_to(c, shape)
    except ValueError:
        msg = f"c must broadcast to the shape of the result, {shape}, got {c.shape}"
        raise ValueError(msg) from None


def _check_formats(unit: Accumulator, a: MatrixOperand, b: MatrixOperand) -> None:
    """Refuse formats that a unit does not take."""
    for fmt in (a.format, b.format):
        fmt.require_float64()
    if not isinstance(unit, TensorCore | MatrixCore):
        return
    for name, fmt in (("a_format", a.format), ("b_format", b.format)):
        if unit.formats and fmt not in map(get_format, unit.formats):
            msg = (
                f"{name} must be one of {', '.join(unit.formats)}, which accumulator {unit.name!r} "
                f"takes, got {fmt.name}"
            )
            raise ValueError(msg)
    if isinstance(unit, TensorCore) and unit.operand_types:
        names = unit.operand_types
        if operand_type(names, a.format, b.format) is not None:
            return
        msg = (
            f"a_format and b_format must be formats whose values {' or '.join(names)} holds, to "
            f"which accumulator {unit.name!r} decodes both, got {a.format.name} and "
            f"{b.format.name}"
        )
        raise ValueError(msg)
