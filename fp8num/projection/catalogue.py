"""
The profiles: what each library was seen to do, as data.

Unless a profile says otherwise, every number of float16, bfloat16 and float32 was tried,
and the code of each NaN is the library's own.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from fp8num._names import Catalogue
from fp8num.projection.convention import Profile
from fp8num.projection.modes import NanResult, Projection, Result, Rounding, Saturation

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROFILES"]

_OCP = frozenset({"E4M3FN", "E5M2"})
_FP8 = _OCP | {"E4M3FNUZ", "E5M2FNUZ"}
_EVERY_SOURCE = ("float16", "bfloat16", "float32", "float64")

_SAT_FINITE = Projection()
_SAT_NONE = Projection(saturation=Saturation.SAT_NONE)
_SAT_PROPAGATE = Projection(saturation=Saturation.SAT_PROPAGATE)


def _nans(positive: int, negative: int) -> tuple[tuple[Result, int], ...]:
    """Return the codes of NaNs by sign."""
    return ((Result.NAN, positive), (Result.MINUS_NAN, negative))


# E8M0, which has no sign, no zero and no infinity.

_ZERO_IS_SMALLEST = ((Result.ZERO, 0), (Result.MINUS_ZERO, 0))
#: The library takes the hidden bit for the last bit of the code: ties go up.
_E8M0_TIES_UP = Projection(rounding=Rounding.NEAREST_TIES_TO_AWAY, saturation=Saturation.SAT_NONE)
#: So does all between 2**-127 and 2**-126, for float32 has it among the subnormals.
_E8M0_SUBNORMALS_UP = replace(_E8M0_TIES_UP, moved=((1, 1, -127, False),))
#: Besides, zero is the smallest value and the sign is dropped.
_E8M0_NEAREST = replace(_E8M0_SUBNORMALS_UP, results=_ZERO_IS_SMALLEST, sign_dropped=True)
_E8M0_DOWN = Projection(rounding=Rounding.TOWARD_ZERO, sign_dropped=True)
_E8M0_UP = Projection(rounding=Rounding.TOWARD_POSITIVE, sign_dropped=True)
_E8M0_UP_NOSAT = replace(_E8M0_UP, saturation=Saturation.SAT_NONE, results=_ZERO_IS_SMALLEST)
#: Float32's exponent is read off: 2**-126 begins just above zero, its subnormals included.
_EXPONENT_FIELD = ((1, 0, 0, False),)
#: Nearest with an exponent that has no lower end; below 2**-127 is NaN.
_E8M0_UNBOUNDED = replace(_SAT_NONE, moved=((0, 3, -129, True),))


def _profile(
    name: str,
    source: str,
    default: Projection,
    formats: frozenset[str] = frozenset(),
    sources: tuple[str, ...] = _EVERY_SOURCE[:3],
    **exceptions: Projection,
) -> Profile:
    """Make a profile of the formats named, and of those that have a projection of their own."""
    return Profile(
        name=name,
        source=source,
        default=default,
        exceptions=MappingProxyType(exceptions),
        formats=formats | exceptions.keys(),
        sources=sources,
    )


def _e8m0(name: str, source: str, projection: Projection) -> Profile:
    """Make a profile of E8M0 alone: another of the roundings that a library offers."""
    return _profile(name, source, projection, frozenset({"E8M0FNU"}))


_OFP8 = "OCP 8-bit Floating Point Specification (OFP8) 1.0, which leaves the signs of NaNs open"
_STANDARDS = (
    _profile("ocp-sat", _OFP8, _SAT_FINITE, _OCP, _EVERY_SOURCE),
    _profile("ocp-nonsat", _OFP8, _SAT_NONE, _OCP, _EVERY_SOURCE),
    Profile(
        name="p3109-v4",
        source="IEEE P3109 Interim Report v4.0, NearestTiesToEven and SatNone",
        default=_SAT_NONE,
        formats=frozenset(),
        p3109=True,
        sources=_EVERY_SOURCE,
    ),
)

_ML_DTYPES_FORMATS = _FP8 | {
    "E4M3IEEE", "E3M4", "E4M3B11FNUZ", "E2M3FN", "E3M2FN", "E2M1FN", "BFLOAT16",
}  # fmt: skip
_ML_DTYPES = (
    _profile(
        "ml_dtypes",
        "ml_dtypes 0.7.0, array.astype",
        replace(_SAT_NONE, nan=NanResult.ZERO),
        _ML_DTYPES_FORMATS,
        _EVERY_SOURCE,
        E8M0FNU=_E8M0_TIES_UP,
        UE5M3=replace(_SAT_NONE, results=((Result.MINUS_UNDERFLOW, 0xFF),)),
    ),
    _profile(
        "ml_dtypes<0.7",
        "ml_dtypes 0.6.0, array.astype; from float64 it rounds twice, through float32",
        replace(_SAT_NONE, nan=NanResult.ZERO),
        _ML_DTYPES_FORMATS,
        E8M0FNU=_E8M0_SUBNORMALS_UP,
    ),
)

_TORCH = (
    _profile(
        "torch>=2.13",
        "torch 2.13.0 and 2.14.1, tensor.to on a CPU",
        _SAT_NONE,
        _FP8,
        E4M3FN=_SAT_FINITE,
        E5M2=replace(_SAT_NONE, results=_nans(0x7F, 0xFF)),
        E8M0FNU=_E8M0_NEAREST,
    ),
    _profile(
        "torch<2.13",
        "torch 2.11.0 and 2.12.0, tensor.to on a CPU; on a GPU (2.11.0, H100) the same but for "
        "float16's NaNs, which lose their sign",
        _SAT_NONE,
        _FP8,
        E5M2=replace(_SAT_NONE, results=_nans(0x7F, 0xFF)),
        E8M0FNU=_E8M0_NEAREST,
    ),
)

_HEADERS = "CUDA 13.0, {}; alike on the host and on an H100"
_CUDA_E8M0 = _HEADERS.format("__nv_cvt_float_to_e8m0, __nv_cvt_bfloat16raw_to_e8m0")
_CUDA = (
    _profile(
        "cuda-satfinite",
        _HEADERS.format("cuda_fp8.h with __NV_SATFINITE, cuda_fp6.h, cuda_fp4.h; E8M0 rounded up"),
        replace(_SAT_FINITE, results=_nans(0x7F, 0x7F)),
        _OCP,
        E8M0FNU=_E8M0_UP,
        E2M3FN=_SAT_FINITE,
        E3M2FN=_SAT_FINITE,
        E2M1FN=_SAT_FINITE,
    ),
    _profile(
        "cuda-nosat",
        _HEADERS.format("cuda_fp8.h with __NV_NOSAT; E8M0 rounded up"),
        replace(_SAT_NONE, results=_nans(0x7F, 0x7F)),
        _OCP,
        E8M0FNU=_E8M0_UP_NOSAT,
    ),
    _e8m0("cuda-e8m0-rp", _CUDA_E8M0, _E8M0_UP),
    _e8m0("cuda-e8m0-rp-nosat", _CUDA_E8M0, _E8M0_UP_NOSAT),
    _e8m0("cuda-e8m0-rz", _CUDA_E8M0, _E8M0_DOWN),
    _e8m0(
        "cuda-e8m0-rz-nosat", _CUDA_E8M0, replace(_E8M0_DOWN, saturation=Saturation.SAT_PROPAGATE)
    ),
)

_ONNX = "onnx 1.23.2, Cast of the reference evaluator{}; of float32 a sample"
_ONNX_E8M0 = _ONNX.format(" with round_mode")
_ONNX_UP = replace(_E8M0_UP, saturation=Saturation.SAT_PROPAGATE, moved=_EXPONENT_FIELD)
_ONNX_UP_NOSAT = replace(_E8M0_UP_NOSAT, moved=_EXPONENT_FIELD)
_ONNX_SMALL = replace(_SAT_NONE, nan=NanResult.ZERO)
_ONNX_PROFILES = (
    _profile(
        "onnx-saturate",
        _ONNX.format(" with saturate=1; E8M0 rounded up"),
        _SAT_FINITE,
        _FP8,
        E8M0FNU=_ONNX_UP,
        E2M3FN=_ONNX_SMALL,
        E3M2FN=_ONNX_SMALL,
        E2M1FN=_ONNX_SMALL,
    ),
    _profile(
        "onnx-nosat",
        _ONNX.format(" with saturate=0; E8M0 rounded up"),
        _SAT_NONE,
        _FP8,
        E8M0FNU=_ONNX_UP_NOSAT,
        E2M3FN=_ONNX_SMALL,
        E3M2FN=_ONNX_SMALL,
        E2M1FN=_ONNX_SMALL,
    ),
    _e8m0("onnx-e8m0-up", _ONNX_E8M0, _ONNX_UP),
    _e8m0("onnx-e8m0-up-nosat", _ONNX_E8M0, _ONNX_UP_NOSAT),
    _e8m0("onnx-e8m0-down", _ONNX_E8M0, replace(_E8M0_DOWN, saturation=Saturation.SAT_PROPAGATE)),
    _e8m0(
        "onnx-e8m0-nearest",
        _ONNX_E8M0,
        replace(_E8M0_NEAREST, saturation=Saturation.SAT_PROPAGATE, results=()),
    ),
    _e8m0("onnx-e8m0-nearest-nosat", _ONNX_E8M0, _E8M0_NEAREST),
)

_TINYGRAD = _profile(
    "tinygrad",
    "tinygrad 0.14.0, float_to_fp8, which converts constants; of float32 a sample.  The casts "
    "that it compiles for a CPU flush subnormals and saturate infinities",
    _SAT_PROPAGATE,
    _FP8,
    _EVERY_SOURCE,
    E5M2=replace(_SAT_PROPAGATE, results=_nans(0x7F, 0xFF)),
)

#: Every NaN, and what overflows to it, has the sign set.
_MINUS = _nans(0xFF, 0xFF)
_BEYOND = (Result.OVERFLOW, Result.MINUS_OVERFLOW, Result.INFINITY, Result.MINUS_INFINITY)
_GFLOAT = "gfloat 0.5.2, encode_float(round_float(x, sat={})); of float32 a sample"
_GFLOATS = (
    _profile(
        "gfloat-sat",
        _GFLOAT.format("True"),
        replace(_SAT_FINITE, results=_MINUS),
        _OCP,
        _EVERY_SOURCE,
        E8M0FNU=replace(
            _E8M0_UNBOUNDED,
            results=tuple((r, 0xFE) for r in _BEYOND if r is not Result.MINUS_OVERFLOW),
        ),
    ),
    _profile(
        "gfloat-nosat",
        _GFLOAT.format("False"),
        replace(_SAT_NONE, results=_MINUS),
        _OCP,
        _EVERY_SOURCE,
        E4M3FN=replace(_SAT_NONE, results=_MINUS + tuple((r, 0xFF) for r in _BEYOND)),
        E8M0FNU=_E8M0_UNBOUNDED,
    ),
)

_ALL = (*_ML_DTYPES, *_STANDARDS, *_TORCH, *_CUDA, *_ONNX_PROFILES, _TINYGRAD, *_GFLOATS)
#: Further names, by which others gate: E4M3FN's change is in the main branch as of
#: 2.12.0.dev0, but not in the releases 2.12.0 and 2.12.1; 2.13.0 is the first that has it.
_ALIASES = {"torch>=2.12": "torch>=2.13", "torch<2.12": "torch<2.13"}
_BY_NAME = {profile.name: profile for profile in _ALL}

#: Other libraries' conventions, by the names that ``like=`` takes; a profile can have several.
PROFILES: Mapping[str, Profile] = Catalogue(
    _BY_NAME | {alias: _BY_NAME[name] for alias, name in _ALIASES.items()}, "profiles"
)
