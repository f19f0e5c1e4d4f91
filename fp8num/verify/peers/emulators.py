"""
Libraries that compute what small floats would be, most of them giving values.

::

    gfloat  pychop (P3109)  fpy2  apytypes    codes
    pychop  qtorch                            values in a wider type
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._names import Catalogue
from fp8num.verify.peers.library import ALL_SOURCES, REFUSED, Library, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = npt.NDArray[Any]

__all__ = ["EMULATORS"]

#: IEEE P3109's formats that are tried of the hundreds there are.
_P3109 = {
    name: name
    for name in (
        *("Binary8p3se", "Binary8p4se", "Binary8p3sf", "Binary8p3ue", "Binary8p3uf"),
        *("Binary8p1ue", "Binary6p3se", "Binary4p2sf"),
    )
}


def _p3109_parts(name: str) -> tuple[int, int, bool, bool]:
    """Return the width, the precision, whether signed and whether extended."""
    found = re.fullmatch(r"Binary(\d+)p(\d+)([su])([ef])", name)
    assert found is not None
    return int(found[1]), int(found[2]), found[3] == "s", found[4] == "e"


@lru_cache(maxsize=64)
def _gfloat_info(name: str) -> Any:  # noqa: ANN401 - a gfloat.FormatInfo
    formats = load("gfloat.formats")
    if not name.startswith("Binary"):
        return getattr(formats, f"format_info_{name}")
    gfloat = load("gfloat")
    bits, precision, signed, extended = _p3109_parts(name)
    sign = gfloat.Signedness.Signed if signed else gfloat.Signedness.Unsigned
    domain = gfloat.Domain.Extended if extended else gfloat.Domain.Finite
    return formats.format_info_p3109(bits, precision, sign, domain)


def _gfloat(x: Array, name: str, *, saturate: bool) -> Array:
    gfloat, info = load("gfloat"), _gfloat_info(name)
    # One NaN is an error for the whole array where the format has none: it is left out.
    refused = np.isnan(x) & (info.num_nans == 0)
    given = np.where(refused, x.dtype.type(0), x) if refused.any() else x
    codes: Array = gfloat.encode_ndarray(info, gfloat.round_ndarray(info, given, sat=saturate))
    return np.where(refused, REFUSED, codes.astype(np.int64)) if refused.any() else codes


def _gfloat_decode(codes: Array, name: str) -> Array:
    values: Array = load("gfloat").decode_ndarray(_gfloat_info(name), codes)
    return values


@lru_cache(maxsize=64)
def _fpy2_context(name: str) -> Any:  # noqa: ANN401 - an fpy2.EncodableContext
    return getattr(load("fpy2"), name)


def _fpy2(x: Array, name: str) -> Array:
    context = _fpy2_context(name)
    values = x.astype(np.float64).ravel().tolist()
    codes = [context.encode(context.round(value)) for value in values]
    return np.array(codes, np.int64).reshape(x.shape)


def _fpy2_decode(codes: Array, name: str) -> Array:
    context = _fpy2_context(name)
    values = [float(context.decode(code)) for code in codes.ravel().tolist()]
    return np.array(values, np.float64).reshape(codes.shape)


#: Exponent and mantissa bits of formats with IEEE 754's specials.
_IEEE = {"E4M3IEEE": "4,3", "E5M2": "5,2", "E3M4": "3,4"}


def _bits(name: str) -> tuple[int, int]:
    exponent_bits, mantissa_bits = name.split(",")
    return int(exponent_bits), int(mantissa_bits)


#: The same of the types of values, which apytypes can hold and cast.
_SOURCES = {"float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23), "float64": (11, 52)}


def _apytypes(x: Array, name: str, *, through_cast: bool) -> Array:
    arrays, bits = load("apytypes").APyFloatArray, _bits(name)
    given = np.array(x, np.float64 if x.dtype == np.float64 else np.float32, order="C")
    if through_cast:
        # Its values: a mantissa that was rounded up to 2**3 reads as 0, and packs as 1.
        return np.asarray(arrays.from_array(given, *_SOURCES[x.dtype.name]).cast(*bits).to_numpy())
    return np.asarray(arrays.from_array(given, *bits).to_bits(numpy=True))


def _apytypes_decode(codes: Array, name: str) -> Array:
    found = load("apytypes").APyFloatArray.from_bits(codes.tolist(), *_bits(name))
    return np.asarray(found.to_numpy())


def _pychop(x: Array, name: str) -> Array:
    exponent_bits, mantissa_bits = _bits(name)
    chop = load("pychop").Chop(exp_bits=exponent_bits, sig_bits=mantissa_bits)
    return np.asarray(chop(x))


def _pychop_fault(x: Array, name: str) -> Array:
    return np.asarray(load("pychop").FaultChop(name)(x))


@lru_cache(maxsize=64)
def _pychop_format(name: str) -> Any:  # noqa: ANN401 - a pychop.p3109.P3109Format
    bits, precision, signed, extended = _p3109_parts(name)
    domain = "extended" if extended else "finite"
    return load("pychop.p3109").P3109Format(bits, precision, signed, domain)


def _pychop_p3109(x: Array, name: str, *, saturate: str) -> Array:
    encode = load("pychop.p3109").p3109_encode
    return np.asarray(encode(x, _pychop_format(name), saturate=saturate))


def _pychop_p3109_decode(codes: Array, name: str) -> Array:
    return np.asarray(load("pychop.p3109").p3109_decode(codes, _pychop_format(name)))


def _qtorch(x: Array, name: str) -> Array:
    torch, quant = load("torch"), load("qtorch.quant")
    exponent_bits, mantissa_bits = _bits(name)
    tensor = torch.from_numpy(np.array(x, order="C"))
    rounded = quant.float_quantize(tensor, exponent_bits, mantissa_bits, rounding="nearest")
    values: Array = rounded.numpy()
    return values


_GFLOAT = {"E4M3FN": "ocp_e4m3", "E5M2": "ocp_e5m2", "E8M0FNU": "ocp_e8m0", **_P3109}
#: Without saturation, overflow into these is an error.
_GFLOAT_WITHOUT_NAN = {"E2M3FN": "ocp_e2m3", "E3M2FN": "ocp_e3m2", "E2M1FN": "ocp_e2m1"}


def _gfloat_variant(*, saturate: bool) -> Library:
    return Library(
        about=f"gfloat's round_ndarray and encode_ndarray, sat={saturate}",
        install="gfloat",
        modules=("gfloat",),
        formats={**_GFLOAT, **_GFLOAT_WITHOUT_NAN} if saturate else _GFLOAT,
        encode=partial(_gfloat, saturate=saturate),
        decode=_gfloat_decode if saturate else None,
        exact=False,
    )


def _apytypes_variant(about: str, *, through_cast: bool) -> Library:
    return Library(
        about=f"apytypes' APyFloatArray, {about}",
        install="apytypes",
        modules=("apytypes",),
        formats=_IEEE,
        encode=partial(_apytypes, through_cast=through_cast),
        decode=None if through_cast else _apytypes_decode,
        sources=ALL_SOURCES if through_cast else ("float32", "float64"),
    )


def _pychop_p3109_variant(saturate: str) -> Library:
    return Library(
        about=f"pychop.p3109's p3109_encode, saturate={saturate!r}",
        install="pychop",
        modules=("pychop.p3109",),
        formats=_P3109,
        encode=partial(_pychop_p3109, saturate=saturate),
        decode=_pychop_p3109_decode if saturate == "finite" else None,
        sources=("float16", "float32", "float64"),
    )


#: The libraries, by the name of the peer.
EMULATORS: Mapping[str, Library] = Catalogue(
    {
        "gfloat-sat": _gfloat_variant(saturate=True),
        "gfloat-nosat": _gfloat_variant(saturate=False),
        "fpy2": Library(
            about="the contexts of FPy, given Python floats",
            install="fpy2",
            modules=("fpy2",),
            formats={
                "E4M3FN": "MX_E4M3",
                "E5M2": "MX_E5M2",
                "E4M3FNUZ": "S1E4M3",
                "E5M2FNUZ": "S1E5M2",
                "E2M3FN": "MX_E2M3",
                "E3M2FN": "MX_E3M2",
                "E2M1FN": "MX_E2M1",
                "E8M0FNU": "MX_E8M0",
            },
            encode=_fpy2,
            decode=_fpy2_decode,
        ),
        "apytypes": _apytypes_variant("from_array", through_cast=False),
        "apytypes-cast": _apytypes_variant("cast from the type of the values", through_cast=True),
        "pychop": Library(
            about="pychop.Chop",
            install="pychop",
            modules=("pychop",),
            formats=_IEEE,
            encode=_pychop,
            sources=("float16", "float32", "float64"),
            exact=False,
        ),
        "pychop-fault": Library(
            about="pychop.FaultChop without faults",
            install="pychop",
            modules=("pychop",),
            formats={"E4M3IEEE": "fp8-e4m3", "E5M2": "fp8-e5m2"},
            encode=_pychop_fault,
            sources=("float16", "float32", "float64"),
            exact=False,
        ),
        "pychop-p3109-sat": _pychop_p3109_variant("finite"),
        "pychop-p3109-nosat": _pychop_p3109_variant("none"),
        "qtorch": Library(
            about="QPyTorch's float_quantize, rounding='nearest'",
            install="qtorch ninja setuptools",
            modules=("torch", "qtorch.quant"),
            # It reserves no exponent: its own formats have neither infinity nor NaN.
            formats={
                "w4m3b7-none": "4,3",
                "w5m2b15-none": "5,2",
                "E4M3FN": "4,3",
                "E5M2": "5,2",
            },
            encode=_qtorch,
            sources=("float32",),
            exact=False,
        ),
    },
    "emulators",
    ("about",),
)
