"""What a result becomes: float32, float64, bfloat16, float16, or codes of a format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, refuse, refuse_kind
from fp8num._text import brief
from fp8num.accumulate.binary import Floats, from_float32, to_float32
from fp8num.codec import encode
from fp8num.formats import BFLOAT16, BINARY16, Format, get_format

__all__ = ["Output", "as_output"]

_FLOATS = ("float32", "bfloat16", "float16", "float64")
#: NaNs: NVIDIA's units give all ones, everything else the quiet NaN of IEEE 754.
_NANS = {
    "float32": (np.uint32, 0x7FC00000, 0x7FFFFFFF),
    "bfloat16": (np.uint16, 0x7FC0, 0x7FFF),
    "float16": (np.uint16, 0x7E00, 0x7FFF),
}


@dataclass(frozen=True)
class Output:
    """A floating-point type, or a format whose codes are wanted."""

    name: str  #: one of float32, bfloat16, float16, float64, or "codes"
    dtype: np.dtype[Any]  #: the type of the array
    format: Format | None  #: the format of codes
    scale: float  #: what results are multiplied by before they are encoded

    def convert(self, x: Floats, *, all_ones: bool) -> npt.NDArray[Any]:
        """
        Round float64 results, or results rounded to odd, to the type.

        Parameters
        ----------
        x : ndarray of float64
            Results, already multiplied by `scale`.
        all_ones : bool
            Whether NaNs are NVIDIA's.

        Returns
        -------
        ndarray of `dtype`
            Rounded once.
        """
        nan = np.isnan(x)
        if self.format is not None:
            return encode(np.where(nan, np.nan, x), self.format)
        if self.name == "float64":
            return np.where(nan, np.nan, x)
        if self.name == "float32":
            found: npt.NDArray[Any] = to_float32(x)
        else:
            fmt = BFLOAT16 if self.name == "bfloat16" else BINARY16
            found = encode(x, fmt, saturation="SatNone").view(self.dtype)
        if nan.any():
            words, quiet, ones = _NANS[self.name]
            found.view(words)[nan] = ones if all_ones else quiet
        return found

    def scaled(self, x: Floats) -> Floats:
        """Return float32 results times the scale, rounded to float32."""
        if self.scale == 1:
            return x
        with np.errstate(invalid="ignore"):
            return from_float32(to_float32(x * self.scale))


def as_output(
    out_dtype: npt.DTypeLike | Format | str, out_scale: float | None, *, exact: bool
) -> Output:
    """Return what a type or format stands for."""
    found = _float_output(out_dtype)
    if found is None:
        fmt = _format(out_dtype)
        return Output("codes", fmt.code_dtype, fmt, _out_scale(out_scale))
    if found.name == "float64" and not exact:
        msg = (
            "out_dtype must be float32, bfloat16, float16 or a format, got float64, which is for "
            "accumulator='exact'; the accumulators of the others are float32"
        )
        raise ValueError(msg)
    if out_scale is not None:
        msg = (
            f"out_scale must be None with out_dtype={found.name}, got {brief(out_scale)}: it is "
            "what results are multiplied by before they are encoded to a format"
        )
        raise ValueError(msg)
    return found


def _float_output(out_dtype: object) -> Output | None:
    """Return the output of a floating-point type; None for anything else."""
    if isinstance(out_dtype, Format):
        return None
    if isinstance(out_dtype, str):
        name = out_dtype
    else:
        try:
            name = np.dtype(out_dtype).name  # type: ignore[call-overload]  # anything, or TypeError
        except TypeError:
            return None
    if name not in _FLOATS:
        return None
    if name == "bfloat16":
        import ml_dtypes

        return Output(name, np.dtype(ml_dtypes.bfloat16), None, 1.0)
    return Output(name, np.dtype(name), None, 1.0)


def _format(out_dtype: object) -> Format:
    """Return a format, or say what is accepted."""
    try:
        return get_format(out_dtype)
    except (TypeError, ValueError) as error:
        msg = (
            f"out_dtype must be one of {', '.join(_FLOATS)}, or a format, got {brief(out_dtype)} "
            f"({error})"
        )
        raise type(error)(msg) from None


def _out_scale(out_scale: float | None) -> float:
    """Return the scale, a float32 number."""
    if out_scale is None:
        return 1.0
    array = as_array(out_scale, "out_scale")
    if array.size != 1 or array.dtype.kind not in "fiu":
        refuse_kind("out_scale", "one number", out_scale)
    found = float(array.reshape(()))
    if (
        not np.isfinite(found)
        or found <= 0
        or from_float32(np.array([found], np.float32))[0] != found
    ):
        advice = "round it first: np.float32(out_scale)"
        refuse("out_scale", "positive, finite and a float32 number", found, advice)
    return found
