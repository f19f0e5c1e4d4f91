"""
A dump in a form that rules can be compared with.

::

    codes   uint8, or an FP8 type of ml_dtypes   --> uint8 codes, the formats they may be of
    scales  float32, E8M0 bytes, exponents ...   --> float32 values, one reading or several
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num._kernels.float32 import as_float32, as_float64
from fp8num._kernels.words import as_values, float32_words
from fp8num._records import counted
from fp8num.formats import (
    E2M1FN,
    E2M3FN,
    E3M2FN,
    E4M3FN,
    E5M2,
    E8M0FNU,
    FORMATS,
    MXINT8,
    Format,
    get_format,
)
from fp8num.scaling.identifying.records import Finding
from fp8num.scaling.scales import stored_values

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Evidence", "Reading", "gather", "possible_formats"]

Floats = npt.NDArray[np.float32]

#: What codes of an unknown format are tried as, the likeliest first.
_USUAL = (E4M3FN, E5M2, E2M1FN, E3M2FN, E2M3FN, MXINT8)
_OTHERS = tuple(
    fmt for fmt in FORMATS.values() if fmt.bits == 8 and fmt.signed and fmt not in _USUAL
)
_FLOATS = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One way to read the stored scales."""

    name: str  #: how they are stored
    values: Floats  #: what they stand for
    codes: npt.NDArray[np.uint8] | None = None  #: their codes
    format: Format | None = None  #: of the codes

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """The values, and the codes if there are any."""
        return (self.values,) if self.codes is None else (self.values, self.codes)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A dump."""

    codes: npt.NDArray[np.uint8]  #: the elements' codes
    formats: tuple[Format, ...]  #: what they may be of
    is_format_known: bool  #: whether that was said
    readings: tuple[Reading, ...]  #: the scales
    source: npt.NDArray[Any] | None = None  #: what was quantised, in the shape of the codes
    tensor_scale: np.float32 | None = None  #: as stored
    findings: list[Finding] = field(default_factory=list)  #: what is wrong with it
    usable: bool = True  #: whether rules can be tried at all

    @property
    def scales_shape(self) -> tuple[int, ...]:
        """Shape of the scales as stored."""
        return self.readings[0].values.shape


def gather(
    codes: npt.ArrayLike,
    scales: npt.ArrayLike,
    *,
    fmt: Format | str | None,
    scale_format: Format | str | None,
    source: npt.ArrayLike | None,
    tensor_scale: npt.ArrayLike | None,
) -> Evidence:
    """Read a dump and note what is wrong with it."""
    findings: list[Finding] = []
    codes, scales = as_array(codes, "codes"), as_array(scales, "scales")
    source = None if source is None else as_values(source, "source")
    if np.ndim(codes) == 0:  # one element of no axis is one of one axis
        codes = codes.reshape(1)
        source = None if source is None else source.reshape(-1)
    plain, known = _codes(codes, None if fmt is None else get_format(fmt))
    readings = tuple(_readings(scales, _scale_format(scale_format)))
    usable = _check_codes(plain, known, findings)
    if len(readings) == 1:
        _check_scales(readings[0], findings)
    values = None
    if source is not None:
        values = _source(source, plain.shape, findings)
        usable = usable and values is not None
    if not plain.size:
        findings.append(Finding("empty", f"the codes are of shape {plain.shape}: there are none"))
        usable = False
    return Evidence(
        plain,
        (known,) if known is not None else tuple(possible_formats(plain, values is not None)),
        known is not None,
        readings,
        values,
        _tensor_scale(tensor_scale, findings),
        findings,
        usable,
    )


def _codes(codes: npt.ArrayLike, fmt: Format | None) -> tuple[npt.NDArray[np.uint8], Format | None]:
    """Return codes as bytes, and their format if it is known."""
    array = np.asarray(codes)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 1:
        return np.ascontiguousarray(array).view(np.uint8).reshape(array.shape), fmt
    if array.dtype.itemsize == 1 and array.dtype.kind not in "b?":
        try:
            own = get_format(array.dtype)
        except (TypeError, ValueError):
            own = None
        if own is not None:
            found = np.ascontiguousarray(array).view(np.uint8).reshape(array.shape)
            return found, own if fmt is None else fmt
    advice = "values are quantised by scale_quantize()"
    if array.dtype.kind in "iu":
        advice = "codes.astype(np.uint8) makes codes of integers"
    msg = (
        f"codes must be uint8, or of an FP8 type of ml_dtypes, got {array.dtype} of shape "
        f"{array.shape}; {advice}"
    )
    raise TypeError(msg)


def possible_formats(
    codes: npt.NDArray[np.uint8],
    unusual: bool = True,  # noqa: FBT001, FBT002 - of the few
) -> Iterator[Format]:
    """Yield the formats that codes may be of, the likeliest first."""
    largest = int(codes.max()) if codes.size else 0
    yield from (fmt for fmt in _USUAL if largest < 1 << fmt.bits)
    yield from _OTHERS if unusual else ()  # of eight bits


def _check_codes(codes: npt.NDArray[np.uint8], fmt: Format | None, findings: list[Finding]) -> bool:
    """Note codes that their format does not have; return whether there are none."""
    if fmt is None:
        return True
    if fmt.bits > 8 or not fmt.signed:
        detail = f"{fmt.name} is no format of elements that a rule here takes"
        findings.append(Finding("format", detail))
        return False
    outside = codes >= 1 << fmt.bits if fmt.bits < 8 else np.zeros(codes.shape, bool)
    if not outside.any():
        return True
    first = tuple(int(i) for i in np.argwhere(outside)[0])
    findings.append(
        Finding(
            "codes-outside-format",
            f"{counted(int(outside.sum()), 'code')} {'is' if outside.sum() == 1 else 'are'} not of "
            f"{fmt.name}, which has {1 << fmt.bits}: the "
            f"first is 0x{int(codes[first]):02x} at {first}; two may share a byte, see unpack()",
        )
    )
    return False


def _scale_format(scale_format: Format | str | None) -> Format | None:
    if isinstance(scale_format, str) and scale_format.lower() in ("float32", "f32"):
        return None
    return None if scale_format is None else get_format(scale_format)


def _readings(scales: npt.NDArray[Any], fmt: Format | None) -> Iterator[Reading]:
    """Yield the ways to read stored scales."""
    dtype = scales.dtype
    if dtype.name in _FLOATS:
        native = scales.astype(dtype.newbyteorder("=")) if dtype.kind == "f" else scales
        yield Reading(dtype.name, np.asarray(as_float32(native), np.float32).reshape(scales.shape))
        return
    if dtype.kind not in "iu":
        if dtype.itemsize != 1 or dtype.kind == "b":
            msg = (
                f"scales must be floats, integers or codes of a format, got {dtype} of shape "
                f"{scales.shape}"
            )
            raise TypeError(msg)
        fmt = get_format(dtype)
        scales = scales.view(np.uint8)
    if scales.dtype == np.uint8:
        for each in (E8M0FNU, E4M3FN) if fmt is None else (fmt,):
            yield _coded(scales, each, f"codes of {each.name}")
        return
    wide = scales.astype(np.int64)
    yield Reading(f"{dtype.name} exponents of two", _powers(wide))
    if wide.size and wide.min() >= 0 and wide.max() <= 255:
        yield _coded(wide.astype(np.uint8), E8M0FNU, f"codes of E8M0FNU in {dtype.name}")


def _coded(codes: npt.NDArray[np.uint8], fmt: Format, name: str) -> Reading:
    return Reading(name, stored_values(codes, fmt), codes, fmt)


def _powers(exponents: npt.NDArray[np.int64]) -> Floats:
    """Return two to integers, as float32 to nearest."""
    bounded = np.clip(exponents, -200, 200)
    powers = np.asarray(np.ldexp(np.ones(bounded.shape), bounded.astype(np.int32)))
    return np.asarray(float32_words(powers)).view(np.float32)


def _check_scales(reading: Reading, findings: list[Finding]) -> None:
    """Note scales that no rule should give."""
    values = as_float64(reading.values.reshape(-1))
    for kind, bad, meaning in (
        ("scale-nan", np.isnan(values), "NaN"),
        ("scale-infinite", np.isinf(values), "infinite"),
        ("scale-zero", values == 0, "zero"),
        ("scale-negative", values < 0, "negative"),
    ):
        if bad.any():
            place = np.unravel_index(int(np.argmax(bad)), reading.values.shape)
            first = tuple(int(i) for i in place)
            count = int(bad.sum())
            findings.append(
                Finding(
                    kind,
                    f"{count:,} of {counted(bad.size, 'scale')} {'is' if count == 1 else 'are'} "
                    f"{meaning}, {'' if count == 1 else 'first '}at {first}",
                )
            )


def _source(
    source: npt.ArrayLike, shape: tuple[int, ...], findings: list[Finding]
) -> npt.NDArray[Any] | None:
    """Return the source in the shape of the codes, or None and a finding if it has another."""
    values = as_values(source)
    if values.shape == shape:
        return values
    if values.ndim >= 2 and values.swapaxes(-1, -2).shape == shape:
        detail = f"the codes, {shape}, have the shape of the transposed source, {values.shape}"
        findings.append(Finding("source-transposed", f"{detail}; compared with that"))
        return np.ascontiguousarray(values.swapaxes(-1, -2))
    if values.size == np.prod(shape, dtype=np.int64) and shape and values.shape[-1:] == shape[-1:]:
        detail = f"the source of shape {values.shape} was read as {shape}, the codes' shape"
        findings.append(Finding("source-reshaped", detail))
        return values.reshape(shape)
    detail = f"the source is of shape {values.shape}, it should have the codes' shape {shape}"
    if shape and values.shape == (*shape[:-1], 2 * shape[-1]):
        detail += "; its last axis is twice as long, two codes may share a byte: unpack() them"
    findings.append(Finding("shape", detail))
    return None


def _tensor_scale(tensor_scale: npt.ArrayLike | None, findings: list[Finding]) -> np.float32 | None:
    if tensor_scale is None:
        return None
    array = as_values(tensor_scale, "tensor_scale")
    if array.size != 1:
        findings.append(
            Finding("shape", f"tensor_scale should be one number, it is of shape {array.shape}")
        )
        return None
    value = np.float32(as_float32(np.ascontiguousarray(array).reshape(-1))[0])
    if not (np.isfinite(value) and value > 0):
        findings.append(Finding("tensor-scale", f"tensor_scale is {value}"))
    return value
