"""
An operand of a product: codes, their format, and where its scales are.

::

    tensor   one scale                  row       one per row of A, per column of B
    1x128    one per 128 of k           128x128   one per 128 of k and 128 columns of B
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, refuse
from fp8num._kernels.float32 import as_float64
from fp8num._text import brief
from fp8num.accumulate.binary import from_float32, to_float32
from fp8num.codec import decode
from fp8num.codec._checks import codes_advice
from fp8num.formats import Format, get_format

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MatrixOperand", "OperandScale", "as_operand", "float32_array", "scale_shape"]

Codes = npt.NDArray[Any]

_BLOCKS = re.compile(r"(\d+)x(\d+)")
SCALINGS = "'tensor', 'row', '1x128' or '128x128' (any block lengths)"


@dataclass(frozen=True)
class OperandScale:
    """
    Scales of an operand: one per block of so many rows and columns.

    Parameters
    ----------
    values : ndarray of float32, shape (..., R, C)
        What a decoded value is multiplied by, without `tensor`.
    block : tuple of (int or None, int or None)
        Rows and columns of a block; None is the whole axis.
    tensor : float, optional
        A further scale of the whole tensor (NVFP4).
    format : Format, optional
        Of the scales as they are stored, if it is known.
    """

    values: npt.NDArray[np.float32]
    block: tuple[int | None, int | None]
    tensor: float = 1.0
    format: Format | None = None

    @property
    def transposed(self) -> OperandScale:
        """The scales of the transposed operand."""
        return replace(self, values=self.values.swapaxes(-1, -2), block=self.block[::-1])

    def expanded(self, index: tuple[int, ...], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Return one matrix's scales per element, or of length 1 along a whole axis."""
        values: npt.NDArray[np.float32] = self.values[index]
        for axis, length in enumerate(self.block):
            if length is not None:
                values = np.repeat(values, length, axis)
                values = values.take(np.arange(shape[axis]), axis)
        return values


@dataclass(frozen=True)
class MatrixOperand:
    """Codes of shape (..., rows, columns), their format, and their scales if there are any."""

    codes: Codes
    format: Format
    scale: OperandScale | None = None

    @property
    def transposed(self) -> MatrixOperand:
        """The operand with its last two axes exchanged, and its scales with them."""
        scale = None if self.scale is None else self.scale.transposed
        return MatrixOperand(self.codes.swapaxes(-1, -2), self.format, scale)

    @property
    def batch(self) -> tuple[int, ...]:
        """The axes before the last two."""
        return self.codes.shape[:-2]

    def broadcast(self, batch: tuple[int, ...]) -> MatrixOperand:
        """Return the operand repeated along the axes of a batch, without copying."""
        codes = np.broadcast_to(self.codes, batch + self.codes.shape[-2:])
        if self.scale is None:
            return replace(self, codes=codes)
        values = self.scale.values
        wide = np.broadcast_to(values, batch + values.shape[-2:])
        return replace(self, codes=codes, scale=replace(self.scale, values=wide))


def float32_array(name: str, x: npt.ArrayLike, *, dtype: str = "float32") -> npt.NDArray[Any]:
    """Return values as float32; refuse those that float32 (or float16) does not hold."""
    array = as_array(x, name)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        msg = f"{name} must hold numbers, got {array.dtype} of shape {array.shape}"
        raise TypeError(msg)
    if array.dtype == np.float32:
        found, wide = array, from_float32(array)
    else:
        wide = as_float64(np.ascontiguousarray(array)).reshape(array.shape)
        found = to_float32(wide)
        if array.dtype.kind in "iu" or array.dtype.itemsize > 8:
            with np.errstate(over="ignore", invalid="ignore"):
                same = wide.astype(array.dtype) == array
            if not (same | np.isnan(wide)).all():
                msg = (
                    f"{name} must hold {dtype} numbers, got {array.dtype} of shape {array.shape} "
                    f"with some that float64 does not hold; round it first"
                )
                raise ValueError(msg)
    narrow = found
    if dtype == "float16":
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = wide.astype(np.float16).astype(np.float32)
    back = from_float32(narrow)
    if not ((back == wide) | np.isnan(wide)).all():
        worst = float(wide[(back != wide) & ~np.isnan(wide)].flat[0])
        msg = (
            f"{name} must hold {dtype} numbers, which is what the accumulator keeps, got "
            f"{array.dtype} of shape {array.shape} with {worst!r}; round it first: "
            f"{name}.astype(np.{dtype})"
        )
        raise ValueError(msg)
    return found


def as_operand(
    name: str,
    x: object,
    fmt: Format | str | None,
    *,
    scale: npt.ArrayLike | None = None,
    scaling: str | None = None,
    transpose: bool = False,
    apart: bool = True,
) -> MatrixOperand:
    """Return an operand of codes with a format, or of an object that holds its own."""
    if hasattr(x, "codes") and hasattr(x, "format"):
        for argument, value in ((f"{name}_format", fmt), (f"{name}_scale", scale)):
            if value is not None:
                msg = f"{argument} must not be given, as {name} brings its own, got {brief(value)}"
                raise ValueError(msg)
        found = _of_object(name, x, (name == "a") ^ transpose, apart=apart)
        return found.transposed if transpose else found
    if fmt is None:
        msg = f"{name}_format must be given with raw codes: a Format or a name such as 'E4M3FN'"
        raise TypeError(msg)
    fmt = get_format(fmt)
    codes = _check_codes(name, x, fmt)
    found = MatrixOperand(codes.swapaxes(-1, -2) if transpose else codes, fmt)
    if scale is None:
        return found
    if scaling is None:
        msg = f"scaling must be given with {name}_scale: {SCALINGS}"
        raise ValueError(msg)
    block = _block(name, scaling)
    values = float32_array(f"{name}_scale", scale)
    if transpose and values.ndim >= 2:
        values = values.swapaxes(-1, -2)
    return replace(
        found, scale=OperandScale(_check_scales(name, values, found, block, scaling), block)
    )


def _check_codes(name: str, x: object, fmt: Format) -> Codes:
    """Return an array of at least two axes, of the format's codes."""
    codes = as_array(x, name)
    if codes.dtype.newbyteorder("=") != fmt.code_dtype:
        msg = (
            f"{name} must hold codes, {fmt.code_dtype} for {fmt.name}, got {codes.dtype} of shape "
            f"{codes.shape}; {codes_advice(codes, fmt, name)}"
        )
        raise TypeError(msg)
    if codes.ndim < 2:
        msg = (
            f"{name} must have at least two axes, got shape {codes.shape}; dot() takes vectors, "
            f"{name}[None, :] and {name}[:, None] make matrices"
        )
        raise ValueError(msg)
    if fmt.bits < 8 * codes.dtype.itemsize and codes.size and int(codes.max()) >> fmt.bits:
        msg = (
            f"{name} must hold codes from 0 to {(1 << fmt.bits) - 1} for {fmt.name}, got "
            f"{int(codes.max())}; unpack() reads packed codes"
        )
        raise ValueError(msg)
    return codes.astype(fmt.code_dtype, copy=False)


def _block(name: str, scaling: str) -> tuple[int | None, int | None]:
    """Return the rows and columns that share a scale, for A or for B."""
    if scaling == "tensor":
        return None, None
    if scaling == "row":
        return (1, None) if name == "a" else (None, 1)
    match = _BLOCKS.fullmatch(scaling) if isinstance(scaling, str) else None
    if match is None or not int(match[2]) or match[1] not in ("1", match[2]):
        refuse("scaling", SCALINGS, scaling)
    length = int(match[2])
    if name == "a":  # rows of A have blocks of their own, also beside square ones of B
        return 1, length
    return (length, 1) if match[1] == "1" else (length, length)


def scale_shape(shape: Sequence[int], block: tuple[int | None, int | None]) -> tuple[int, int]:
    """Return the shape of one matrix's scales: the last blocks may be ragged."""
    rows, columns = (
        1 if length is None else -(-size // length)
        for size, length in zip(shape[-2:], block, strict=True)
    )
    return rows, columns


def _check_scales(
    name: str,
    values: npt.NDArray[np.float32],
    operand: MatrixOperand,
    block: tuple[int | None, int | None],
    scaling: str,
) -> npt.NDArray[np.float32]:
    """Return the scales with the axes of the codes; ValueError if their shape is another."""
    wanted = scale_shape(operand.codes.shape, block)
    found = values
    if scaling == "tensor" and values.size == 1:
        found = values.reshape(1, 1)
    fits = found.ndim >= 2 and found.shape[-2:] == wanted
    if fits:
        try:
            np.broadcast_shapes(found.shape[:-2], operand.batch)
        except ValueError:
            fits = False
    if not fits:
        shown = "() or (..., 1, 1)" if scaling == "tensor" else f"(..., {wanted[0]}, {wanted[1]})"
        msg = (
            f"{name}_scale must have shape {shown} with scaling={scaling!r} and {name} of "
            f"{operand.codes.shape[-2]} rows and {operand.codes.shape[-1]} columns, got "
            f"{values.shape}"
        )
        raise ValueError(msg)
    return found


def _of_object(
    name: str,
    x: Any,  # noqa: ANN401 - whatever holds codes and scales
    contracted: int,
    *,
    apart: bool,
) -> MatrixOperand:
    """Return the operand of an object with codes, format, scales and the blocks they belong to."""
    fmt = get_format(x.format)
    codes = _check_codes(name, x.codes, fmt)
    stored = getattr(x, "scale_codes", None)
    tensor = getattr(x, "tensor_scale", None)
    if (
        apart and stored is not None and tensor is not None and not np.ndim(tensor)
    ):  # what a unit applies, and the rest of it
        scales = decode(stored, x.scale_format)
        factor = float(from_float32(np.asarray(tensor, np.float32)))
    else:
        scales, factor = np.asarray(as_array(x.scales, f"{name}.scales"), np.float32), 1.0
    if scales.ndim < 2:
        if scales.size != 1:
            msg = (
                f"{name}.scales must have shape () or as many axes as the codes, got {scales.shape}"
            )
            raise ValueError(msg)
        return MatrixOperand(codes, fmt, OperandScale(scales.reshape(1, 1), (None, None), factor))
    block = _object_block(x, codes.shape[-2:], scales.shape[-2:], contracted)
    scale = OperandScale(scales, block, factor, getattr(x, "scale_format", None))
    rows, columns = scale_shape(codes.shape, block)
    if (rows, columns) != scales.shape[-2:]:
        msg = (
            f"{name}.scales must have shape (..., {rows}, {columns}) for blocks of {block} and "
            f"codes of shape {codes.shape}, got {scales.shape}"
        )
        raise ValueError(msg)
    return MatrixOperand(codes, fmt, scale)


def _object_block(
    x: Any,  # noqa: ANN401 - as above
    shape: tuple[int, ...],
    counts: tuple[int, ...],
    contracted: int,
) -> tuple[int | None, int | None]:
    """
    Return the rows and columns of an object's blocks.

    A single block may be all of a short axis or a block that happens to cover it, and
    which one decides in what order scales enter: the rule's granularity tells.
    """
    lengths: list[int | None] = [
        -(-size // max(count, 1)) for size, count in zip(shape, counts, strict=True)
    ]
    named = tuple(getattr(x, "block", ()))[-2:]
    if len(named) == 2:
        lengths = [int(length) for length in named]
    grain: Any = getattr(getattr(x, "rule", None), "granularity", None)
    kind, free = getattr(grain, "kind", None), 1 - contracted
    if kind == "block":
        along = int(x.axis) - (x.codes.ndim - 2)
        if along not in (0, 1):
            msg = (
                f"blocks must run along one of the last two axes, got axis {x.axis} of "
                f"{x.codes.ndim}; quantise again along another"
            )
            raise ValueError(msg)
        lengths[along], lengths[1 - along] = int(grain.length), int(grain.height)
    elif counts[contracted] == 1:
        lengths[contracted] = None
        if counts[free] == 1 and kind not in ("row", "channel"):
            lengths[free] = None
    return lengths[0], lengths[1]
