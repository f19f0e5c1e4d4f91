"""
Codes with their scales, and how the two combine.

::

    codes  (4, 70)                     scales (4, 3), blocks of 1 x 32
    value = decode(code) * scale       or decode(code) / scale, as the rule says
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num._kernels.blocks import BLOCK
from fp8num._kernels.encoder import decoder
from fp8num._kernels.float32 import as_float64, divide, keep_nan, multiply
from fp8num._kernels.state import float_arithmetic
from fp8num._records import Check, as_it_is, entries, flag, listed, made, maybe, number, text, whole
from fp8num.codec import decode
from fp8num.codec._checks import codes_advice
from fp8num.formats import Format, format_from_dict, get_format
from fp8num.scaled.blocks import Blocks, beside, placed, slabs

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = [
    "Descale",
    "RuleLike",
    "ScaledArray",
    "assembled",
    "block_frame",
    "picture",
    "quantized_by",
]

_BARS = "▁▂▃▄▅▆▇█"
_ROWS, _COLUMNS = 8, 64

#: From here on, codes are looked up two at a time.
_MANY = 1 << 13


class Descale(Enum):
    """What a decoded value and its stored scale do to each other."""

    MULTIPLY = "multiply"  #: value * scale
    DIVIDE = "divide"  #: value / scale, which is not value * (1 / scale)


@singledispatch
def quantized_by(
    rule: object,
    values: npt.NDArray[Any],  # noqa: ARG001 - what is registered takes it, as the next two
    *,
    fmt: Format | None,  # noqa: ARG001
    axis: int,  # noqa: ARG001
) -> ScaledArray:
    """Quantise values by a rule: `fp8num.scaling`, a layer above, registers its kinds of rules."""
    msg = f"rule must be given as a Rule or a name of one, got {rule!r:.80}"
    raise TypeError(msg)


class RuleLike(Protocol):
    """What made a scaled array: `fp8num.scaling.Rule`, in a layer above."""

    @property
    def name(self) -> str:
        """What the rule is called."""

    def unrotated(self, values: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        """Undo the rotation of values, if the rule has one."""

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as a dictionary that JSON can hold."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScaledArray:
    """
    An array in a small format, with the scales that its blocks share.

    `fp8num.scale_quantize` makes them; one that another library made is put together
    from its parts.

    Parameters
    ----------
    codes : ndarray of uint8 (uint16 above 8 bits), shape (...)
        The elements' codes.
    format : Format
        Of the elements.
    stored_scales : ndarray, shape () or one entry per block
        The scales as the rule keeps them: codes of `scale_format`, or float32.
    block : tuple of int
        Length of a block along each axis; the last block may be shorter.
    scale_format : Format, optional
        Of the scales; None if they are float32.
    axis : int
        The axis that blocks run along, the one a product contracts.
    descale : Descale or str, optional
        Whether a decoded value is multiplied by its scale or divided.
    tensor_amax : float, or ndarray with one entry per block on some axes, optional
        Of two-level scaling: the tensor's largest magnitude, or its rows'.  Scales are
        multiplied by it, then by ``1 / tensor_bound``, both in float32.
    rule : RuleLike, optional
        What made it.
    tensor_bound : float, optional
        What `tensor_amax` is divided by; ``scale_format.max * format.max``.
    tensor_first : bool
        Whether scales are multiplied by the quotient ``tensor_amax / tensor_bound``
        instead.

    Raises
    ------
    TypeError
        If codes or scales have the wrong type.
    ValueError
        If shapes contradict each other.

    Examples
    --------
    >>> import fp8num as fp
    >>> scaled = fp.scale_quantize([[1.0, 2.0, 300.0]], "mxfp8-e4m3fn")
    >>> scaled.codes.tolist(), scaled.scale_codes.tolist(), scaled.scales.tolist()
    ([[56, 64, 121]], [[127]], [[1.0]])
    >>> scaled.dequantize().tolist()
    [[1.0, 2.0, 288.0]]
    """

    codes: npt.NDArray[Any]
    format: Format
    stored_scales: npt.NDArray[Any]
    block: tuple[int, ...]
    scale_format: Format | None = None
    axis: int = -1
    descale: Descale = Descale.MULTIPLY
    tensor_amax: np.float32 | npt.NDArray[np.float32] | None = None
    rule: RuleLike | None = None
    tensor_bound: float | None = None
    tensor_first: bool = False

    def __post_init__(self) -> None:
        """Check types and shapes."""
        codes, scales = _native("codes", self.codes), _native("stored_scales", self.stored_scales)
        _set(self, format=get_format(self.format))
        _check_codes("codes", codes, self.format)
        if self.scale_format is not None:
            _set(self, scale_format=get_format(self.scale_format))
            _check_codes("stored_scales", scales, self.scale_format)
        elif scales.dtype != np.float32:
            msg = f"stored_scales must be float32 without a scale_format, got {scales.dtype}"
            raise TypeError(msg)
        elif (scales < 0).any():
            msg = f"stored_scales must not be negative, got {float(scales.min())!r} among them"
            raise ValueError(msg)
        blocks = Blocks(codes.shape, tuple(self.block))
        if scales.shape not in (blocks.counts, ()) or (
            scales.shape == () and blocks.counts and max(blocks.counts) > 1
        ):
            msg = (
                f"stored_scales must have shape {blocks.counts}, one for each block of "
                f"{self.block} in codes of shape {codes.shape}, got {scales.shape}"
            )
            raise ValueError(msg)
        _set(self, codes=codes, stored_scales=scales, block=blocks.block)
        _set(self, axis=_axis(self.axis, codes.ndim), descale=_descale(self.descale))
        if self.tensor_amax is not None:
            _set(self, tensor_amax=_amax(self.tensor_amax, self.scale_format, blocks.counts))
        if self.tensor_bound is not None and not self.tensor_bound > 0:
            msg = f"tensor_bound must be a positive number, got {self.tensor_bound!r}"
            raise ValueError(msg)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the codes."""
        return self.codes.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.codes.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.codes.size

    @property
    def blocks(self) -> Blocks:
        """Where the blocks are."""
        return Blocks(self.codes.shape, self.block)

    @property
    def scale_codes(self) -> npt.NDArray[Any] | None:
        """The codes of the scales; None if they are float32."""
        return None if self.scale_format is None else self.stored_scales

    @property
    @float_arithmetic
    def tensor_scale(self) -> np.float32 | npt.NDArray[np.float32] | None:
        """What all the block scales are multiplied by, or rows'; None with one level of scales."""
        if self.tensor_amax is None:
            return None
        amax, bound = np.asarray(self.tensor_amax), self._bound
        if self.tensor_first:
            found = divide(amax, np.float32(bound))
        else:
            found = multiply(amax, np.float32(1.0 / bound))
        return found if found.ndim else np.float32(found)

    @property
    def _bound(self) -> float:
        """What two-level scaling divides the tensor's largest magnitude by."""
        assert self.scale_format is not None
        if self.tensor_bound is not None:
            return float(self.tensor_bound)
        return float(self.scale_format.max) * float(self.format.max)

    @property
    @float_arithmetic
    def scales(self) -> npt.NDArray[np.float32]:
        """What decoded values are multiplied by: float32, with the tensor's scale in them."""
        if self.descale is Descale.DIVIDE:
            return divide(np.float32(1), self.operands)
        return self.operands

    @property
    def operands(self) -> npt.NDArray[np.float32]:
        """What decoded values are multiplied by or divided, as `descale` says: float32."""
        if self.scale_format is None:
            return self.stored_scales
        scales: npt.NDArray[np.float32] = decode(self.stored_scales, self.scale_format)
        if self.tensor_amax is not None and self.tensor_first:
            scales = multiply(scales, np.asarray(self.tensor_scale))
        elif self.tensor_amax is not None:
            scaled = multiply(scales, np.asarray(self.tensor_amax))
            scales = multiply(scaled, np.float32(1.0 / self._bound))
        return scales

    @float_arithmetic
    def dequantize(self, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
        """
        Return the values that the codes and scales stand for.

        Parameters
        ----------
        dtype : dtype, optional
            float32, in which libraries compute; or float64, in which the product with a
            float32 scale is exact, and a quotient rounded once.

        Returns
        -------
        ndarray, shape (...)
            One value per code.

        Raises
        ------
        ValueError
            If `dtype` is another one.

        Notes
        -----
        A rule with a rotation (te-nvfp4-rht) stands for rotated values, which a product
        with another rotated operand takes as they are; ``rule.rotation.apply(values,
        axis, back=True)`` turns them back.
        """
        found = _dequantized_type(dtype)
        if self.ndim == 0:
            return self._as_vector().dequantize(found).reshape(())
        return self.dequantize_into(np.empty(self.shape, found))

    @float_arithmetic
    def dequantize_into(
        self, result: npt.NDArray[Any], operands: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[Any]:
        """
        Write the values that the codes and scales stand for into an array.

        Parameters
        ----------
        result : ndarray of float32 or float64, C-contiguous
            What to write to, of this array's shape, which has an axis at least.
        operands : ndarray of float32, optional
            This array's `operands`, if they are at hand.

        Returns
        -------
        ndarray
            The same one.
        """
        found = result.dtype
        table = decoder(self.format, found)
        near: Any = self.operands if operands is None else operands
        if found == np.float64:  # by their bits: subnormals stay whatever the process does
            near = as_float64(near)
        divides = self.descale is Descale.DIVIDE
        combine: Any = divide if divides else multiply
        if found == np.float64:
            combine = np.divide if divides else np.multiply
        scales = _grid(near, self.blocks)
        for region in self.blocks.regions():
            codes, out = region.split(self.codes), region.split(result)
            factors = region.spread(scales)
            for part in slabs(codes.shape, BLOCK):
                near = factors[beside(part, factors.shape)]
                target = out[part]
                if target.flags.c_contiguous and not np.isnan(near).any():
                    _look_up(self.format, codes[part].reshape(-1), target.reshape(-1))
                    if not (near == 1).all():
                        combine(target, near, out=target)
                    continue
                values = table.take(codes[part])
                combine(values, near, out=target)
                keep_nan(target, values, near)
        return result

    def _as_vector(self) -> Self:
        """Return a number alone as a vector of one."""
        return replace(
            self, codes=self.codes.reshape(1), stored_scales=self.stored_scales.reshape(()),
            block=(1,), axis=0
        )  # fmt: skip

    @float_arithmetic
    def requantize(
        self,
        rule: RuleLike | str | None = None,
        *,
        fmt: Format | str | None = None,
        axis: int | None = None,
    ) -> ScaledArray:
        """
        Quantise the dequantised values again.

        Parameters
        ----------
        rule : RuleLike or str, optional
            The rule, by name if a rule made this array; the default is that one.
        fmt : Format or str, optional
            The default is this format.
        axis : int, optional
            The axis that blocks run along; the default is this array's.

        Returns
        -------
        ScaledArray
            Rounded twice in all, as where a cached copy is turned (DeepSeek-V3, 1x128 to
            128x1); quantise the source where there is one.  A rotation is undone first.

        Raises
        ------
        ValueError
            If no rule is given and none is known.
        """
        known = self.rule
        if known is None and (rule is None or isinstance(rule, str)):
            msg = "rule must be given as a Rule: this array does not know what made it"
            raise ValueError(msg)
        values = self.dequantize()
        if known is not None:
            values = known.unrotated(values, self.axis)
        fmt = self.format if fmt is None else get_format(fmt)
        axis = self.axis if axis is None else axis
        return quantized_by(known if rule is None else rule, values, fmt=fmt, axis=axis)

    def transpose(self) -> ScaledArray:
        """Return the array with its axes reversed: the same codes, and blocks turned too."""
        return replace(
            self,
            codes=self.codes.T,
            stored_scales=self.stored_scales.T,
            block=self.block[::-1],
            axis=self.ndim - 1 - self.axis,
            tensor_amax=None if self.tensor_amax is None else self.tensor_amax.T,
        )

    def __getitem__(self, key: Any) -> ScaledArray:  # noqa: ANN401 - whatever indexes
        """Return a part: integers and slices without a step that begin where a block does."""
        elements, scales, kept = placed(key, self.blocks)
        stored = _grid(self.stored_scales, self.blocks)[scales]
        block = tuple(
            max(min(length, n), 1)
            for length, n in zip(
                (self.block[i] for i in kept), self.codes[elements].shape, strict=True
            )
        )
        if self.stored_scales.shape == ():
            stored = self.stored_scales
        axis = kept.index(self.axis) if self.axis in kept else -1
        amax = self.tensor_amax
        if isinstance(amax, np.ndarray):
            place = zip(scales, amax.shape, strict=True)
            amax = amax[tuple(_alone(part) if n == 1 else part for part, n in place)]
        return replace(
            self, codes=self.codes[elements], stored_scales=stored, block=block, axis=axis,
            tensor_amax=amax,
        )  # fmt: skip

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return len(self.codes)

    def __repr__(self) -> str:
        """Draw the scales."""
        return picture(self)

    def to_frame(self) -> pd.DataFrame:
        """
        Return a table of the blocks.

        Returns
        -------
        pandas.DataFrame
            A row per block: its index on each axis, its elements' number, the stored
            scale and the scale (float32), the largest finite magnitude of its values,
            and the shares of elements that are zero, at the largest code, and NaN.
        """
        return block_frame(self)

    # Exchange.

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays a file holds: codes, scales and, if there is one, tensor_amax."""
        found = {"codes": self.codes, "scales": self.stored_scales}
        if self.tensor_amax is not None:
            found["tensor_amax"] = np.asarray(self.tensor_amax)
        return found

    def describe(self) -> dict[str, Any]:
        """Return everything but the arrays, as a dictionary that JSON can hold."""
        return {
            "format": self.format.to_dict(),
            "scale_format": None if self.scale_format is None else self.scale_format.to_dict(),
            "block": list(self.block),
            "axis": self.axis,
            "descale": self.descale.value,
            "rule": None if self.rule is None else self.rule.to_dict(),
        } | self._describe_tensor()

    def _describe_tensor(self) -> dict[str, Any]:
        """Return how the tensor's scale is made, where it is not as usual."""
        found = {"tensor_bound": self.tensor_bound, "tensor_first": self.tensor_first}
        return {name: value for name, value in found.items() if value}

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, npt.NDArray[Any]],
        description: Mapping[str, Any],
        *,
        rule: RuleLike | None = None,
    ) -> Self:
        """
        Put together what `to_tensors` and `describe` took apart.

        Parameters
        ----------
        tensors : mapping of str to ndarray
            codes, scales and tensor_amax.
        description : mapping
            As `describe` returns.
        rule : RuleLike, optional
            What made it.

        Returns
        -------
        ScaledArray
            The same array.

        Raises
        ------
        ValueError
            If something is missing, or contradicts itself.
        """
        missing = sorted({"codes", "scales"} - set(tensors))
        if missing:
            msg = f"a scaled array must have codes, scales and a description, {missing} are missing"
            raise ValueError(msg)
        what = "a scaled array's description"
        found = entries(what, description, _DESCRIPTION, ("rule", "tensor_bound", "tensor_first"))
        amax = tensors.get("tensor_amax")
        return cls(
            tensors["codes"],
            found["format"],
            tensors["scales"],
            found["block"],
            found["scale_format"],
            found["axis"],
            _descale(found["descale"]),
            None if amax is None else amax[()],
            rule,
            found.get("tensor_bound"),
            found.get("tensor_first", False),
        )


_FIELDS = tuple(ScaledArray.__dataclass_fields__)
_DEFAULTS = tuple(each.default for each in ScaledArray.__dataclass_fields__.values())


def assembled(*parts: object) -> ScaledArray:
    """Return the array of parts that are known to fit, in the order of the fields, unchecked."""
    found = object.__new__(ScaledArray)
    for field, part in zip(_FIELDS, (*parts, *_DEFAULTS[len(parts) :]), strict=True):
        object.__setattr__(found, field, part)
    return found


#: What `describe` writes.
_DESCRIPTION: Mapping[str, Check] = {
    "format": made(format_from_dict),
    "scale_format": maybe(made(format_from_dict)),
    "block": listed(whole(0, 1 << 62)),
    "axis": whole(-64, 64),
    "descale": text,
    "rule": as_it_is,
    "tensor_bound": number,
    "tensor_first": flag,
}


def _set(scaled: ScaledArray, **fields: object) -> None:
    for name, value in fields.items():
        object.__setattr__(scaled, name, value)


def _native(argument: str, array: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return an array in the machine's byte order."""
    found = as_array(array, argument)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def _alone(part: int | slice) -> int | slice:
    """Return what an index selects on an axis that has one entry for all."""
    return 0 if isinstance(part, int) else slice(None)


def _amax(
    amax: object, scale_format: Format | None, counts: tuple[int, ...]
) -> np.float32 | npt.NDArray[np.float32]:
    """Return the largest magnitude of a tensor or its rows; ValueError if it can be none."""
    found = _native("tensor_amax", amax)  # type: ignore[arg-type] # whatever was given
    fits = not found.ndim or (
        found.ndim == len(counts)
        and all(n in (1, count) for n, count in zip(found.shape, counts, strict=True))
    )
    if scale_format is None or not fits or found.dtype.kind not in "fiu" or (found < 0).any():
        msg = (
            "tensor_amax must be one magnitude, or one per block on some axes, beside block "
            f"scales in a format of their own, got {amax!r:.80}"
        )
        raise ValueError(msg)
    single: np.float32 | npt.NDArray[np.float32] = found.astype(np.float32, copy=False)[()]
    return single


def _descale(descale: Descale | str) -> Descale:
    try:
        return Descale(descale)
    except ValueError:
        names = " or ".join(repr(member.value) for member in Descale)
        msg = f"descale must be {names}, got {descale!r:.80}"
        raise ValueError(msg) from None


def _dequantized_type(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return float32 or float64."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in (np.float32, np.float64):
        msg = f"dtype must be float32 or float64, got {dtype!r:.80}; round the result of float64"
        raise ValueError(msg)
    return found


def _check_codes(argument: str, codes: npt.NDArray[Any], fmt: Format) -> None:
    if codes.dtype != fmt.code_dtype:
        msg = (
            f"{argument} must be {fmt.code_dtype} for {fmt.name}, got {codes.dtype} of shape "
            f"{codes.shape}; {codes_advice(codes, fmt, argument)}"
        )
        raise TypeError(msg)
    if fmt.bits < 8 * codes.itemsize and codes.size and int(codes.max()) >> fmt.bits:
        msg = (
            f"{argument} must be below {1 << fmt.bits} for {fmt.name}, got {int(codes.max())}; "
            "unpack() reads packed codes"
        )
        raise ValueError(msg)


def _axis(axis: int, ndim: int) -> int:
    """Return an axis counted from the front; ValueError if there is no such axis."""
    if ndim == 0:
        return -1
    if not isinstance(axis, int | np.integer) or not -ndim <= axis < ndim:
        msg = f"axis must be from {-ndim} to {ndim - 1} for an array of {ndim} axes, got {axis}"
        raise ValueError(msg)
    return int(axis) % ndim


def _look_up(fmt: Format, codes: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    """Write the values of codes, which are all of the format, to a C-contiguous array."""
    if fmt.bits <= 8 and len(codes) >= _MANY:
        even = len(codes) & ~1
        pairs = decoder(fmt, out.dtype, pairs=True)
        pairs.take(codes[:even].view(np.uint16), out=out[:even].view(pairs.dtype), mode="wrap")
        codes, out = codes[even:], out[even:]
    decoder(fmt, out.dtype).take(codes, out=out, mode="wrap")


def _grid(scales: npt.NDArray[Any], blocks: Blocks) -> npt.NDArray[Any]:
    """Return scales with one entry for each block, where one serves the whole tensor too."""
    if scales.shape != ():
        return scales
    return np.broadcast_to(scales, blocks.counts)


def picture(scaled: ScaledArray) -> str:
    """
    Draw a scaled array's scales by their exponents.

    Parameters
    ----------
    scaled : ScaledArray
        Any.

    Returns
    -------
    str
        Lines of text; of many scales the first are shown.
    """
    counts = " x ".join(str(n) for n in scaled.stored_scales.shape)
    kind = "float32" if scaled.scale_format is None else scaled.scale_format.name
    scales = f"{counts} scales in {kind}" if counts else f"one scale in {kind}"
    made = "" if scaled.rule is None else f"{scaled.rule.name}, "
    lines = [f"ScaledArray of {scaled.format.name}, shape {scaled.shape}: {made}{scales}"]
    if counts:
        block = " x ".join(str(n) for n in scaled.block)
        rest = [n % b for n, b in zip(scaled.shape, scaled.block, strict=True)]
        ragged = f", the last of {' x '.join(str(r or b) for r, b in zip(rest, scaled.block, strict=True))}"  # noqa: E501
        lines.append(f"blocks {block} along axis {scaled.axis}{ragged if any(rest) else ''}")
    if scaled.tensor_scale is not None and not np.ndim(scaled.tensor_scale):
        lines.append(f"tensor scale {float(scaled.tensor_scale):.6g}")
    return "\n".join(lines + _drawing(as_float64(scaled.scales)))


def _drawing(scales: npt.NDArray[np.float64]) -> list[str]:
    """Return the rows of the picture under what they span."""
    if not scales.size:
        return ["no scales"]
    flat = scales.reshape(-1, scales.shape[-1]) if scales.ndim else scales.reshape(1, 1)
    usable = np.isfinite(scales) & (scales > 0)
    if not usable.any():
        return ["no scale is positive and finite"]
    exponents = np.log2(scales[usable])
    low, high = exponents.min(), exponents.max()
    if scales.size == 1:
        return [f"scale {float(flat[0, 0]):.6g}"]
    lines = [f"log2 of the scales from {low:.4g} to {high:.4g}:"]
    lines += ["".join(_bar(s, low, high) for s in row[:_COLUMNS]) for row in flat[:_ROWS]]
    if flat.shape[0] > _ROWS or flat.shape[1] > _COLUMNS:
        lines.append(f"... of {flat.shape[0]} x {flat.shape[1]}")
    return lines


def _bar(scale: np.float64, low: float, high: float) -> str:
    """Return a bar between the lowest and the highest; 0 for zero, ? for what is not finite."""
    if not np.isfinite(scale):
        return "?"
    if not scale > 0:
        return "0" if scale == 0 else "-"
    share = 1.0 if high == low else (float(np.log2(scale)) - low) / (high - low)
    return _BARS[round(share * (len(_BARS) - 1))]


@float_arithmetic
def block_frame(scaled: ScaledArray) -> pd.DataFrame:
    """
    Return a row for each block.

    Parameters
    ----------
    scaled : ScaledArray
        Any.

    Returns
    -------
    pandas.DataFrame
        Columns block_0 ... (index on each axis), elements, stored_scale, scale, amax
        (largest finite magnitude of the values), zeros, largest and nans (shares of the
        elements that are zero, of the largest finite magnitude's code, and NaN).
    """
    import pandas as pd

    if scaled.ndim == 0:
        scaled = replace(
            scaled, codes=scaled.codes.reshape(1), stored_scales=scaled.stored_scales, block=(1,)
        )
    blocks, fmt = scaled.blocks, scaled.format
    counts = blocks.counts
    values = np.abs(fmt.values)
    is_nan = np.isnan(values)
    is_zero, is_largest = values == 0, values == float(fmt.max)
    finite = np.where(np.isfinite(values), values, 0.0)
    columns = {name: np.zeros(counts) for name in ("amax", "zeros", "largest", "nans")}
    elements = np.zeros(counts, np.int64)
    scales = np.broadcast_to(as_float64(scaled.scales), counts)
    for region in blocks.regions():
        codes = region.split(scaled.codes)
        inner = tuple(range(1, codes.ndim, 2))
        size = int(np.prod(codes.shape[1::2], dtype=np.int64))
        elements[region.scales] = size
        for name, table in (("zeros", is_zero), ("largest", is_largest), ("nans", is_nan)):
            columns[name][region.scales] = table[codes].mean(axis=inner)
        amax = finite[codes].max(axis=inner) * scales[region.scales]
        columns["amax"][region.scales] = amax
    index = np.indices(counts).reshape(len(counts), -1)
    return pd.DataFrame(
        {
            **{f"block_{axis}": index[axis] for axis in range(len(counts))},
            "elements": elements.reshape(-1),
            "stored_scale": np.broadcast_to(scaled.stored_scales, counts).reshape(-1),
            "scale": np.broadcast_to(scaled.scales, counts).reshape(-1),
            **{name: column.reshape(-1) for name, column in columns.items()},
        }
    )
