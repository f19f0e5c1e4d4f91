"""
The catalogue: the formats in use, each with the document that defines it.

Names end in what is special, as in LLVM and ml_dtypes: F finite, N one NaN, UZ
unsigned zero, B a bias, U unsigned.  A bare E4M3 would mean two: `E4M3FN` is OCP's
(largest value 448), `E4M3IEEE` the IEEE-like one (240).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fp8num._names import Catalogue
from fp8num.formats.families import Specials
from fp8num.formats.format import Format
from fp8num.formats.tabulated import HIFLOAT8, POSIT8

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BFLOAT16",
    "BINARY16",
    "E2M1FN",
    "E2M3FN",
    "E3M2FN",
    "E3M4",
    "E4M3B11FNUZ",
    "E4M3FN",
    "E4M3FNUZ",
    "E4M3IEEE",
    "E5M2",
    "E5M2FNUZ",
    "E8M0FNU",
    "FORMATS",
    "HIFLOAT8",
    "POSIT8",
    "UE5M3",
]

_OCP_FP8 = "OCP 8-bit Floating Point Specification (OFP8) 1.0, Table 3"
_OCP_MX = "OCP Microscaling Formats (MX) 1.0"
_FNUZ = "Noune et al., arXiv:2206.02915"
_IEEE = "IEEE 754-2019, Table 3.5"
_ML_DTYPES = "ml_dtypes 0.5, IEEE 754 interchange rules"

E4M3FN = Format(
    name="E4M3FN", exponent_bits=4, mantissa_bits=3, bias=7, specials=Specials.FN, source=_OCP_FP8
)
E5M2 = Format(
    name="E5M2", exponent_bits=5, mantissa_bits=2, bias=15, specials=Specials.IEEE, source=_OCP_FP8
)
E4M3IEEE = Format(
    name="E4M3IEEE",
    exponent_bits=4,
    mantissa_bits=3,
    bias=7,
    specials=Specials.IEEE,
    source=_ML_DTYPES,
)
E3M4 = Format(
    name="E3M4", exponent_bits=3, mantissa_bits=4, bias=3, specials=Specials.IEEE, source=_ML_DTYPES
)
E4M3FNUZ = Format(
    name="E4M3FNUZ", exponent_bits=4, mantissa_bits=3, bias=8, specials=Specials.FNUZ, source=_FNUZ
)
E5M2FNUZ = Format(
    name="E5M2FNUZ", exponent_bits=5, mantissa_bits=2, bias=16, specials=Specials.FNUZ, source=_FNUZ
)
E4M3B11FNUZ = Format(
    name="E4M3B11FNUZ",
    exponent_bits=4,
    mantissa_bits=3,
    bias=11,
    specials=Specials.FNUZ,
    source="LLVM APFloat, Float8E4M3B11FNUZ",
)
E8M0FNU = Format(
    name="E8M0FNU",
    exponent_bits=8,
    mantissa_bits=0,
    bias=127,
    specials=Specials.FN,
    signed=False,
    subnormals=False,
    source=f"{_OCP_MX}, section 5.4.1",
)
UE5M3 = Format(
    name="UE5M3",
    exponent_bits=5,
    mantissa_bits=3,
    bias=15,
    specials=Specials.FN,
    signed=False,
    source="LLVM APFloat, Float8E5M3FNU; arXiv:2601.19026",
)
E2M3FN = Format(
    name="E2M3FN",
    exponent_bits=2,
    mantissa_bits=3,
    bias=1,
    specials=Specials.NONE,
    source=f"{_OCP_MX}, section 5.3.2",
)
E3M2FN = Format(
    name="E3M2FN",
    exponent_bits=3,
    mantissa_bits=2,
    bias=3,
    specials=Specials.NONE,
    source=f"{_OCP_MX}, section 5.3.2",
)
E2M1FN = Format(
    name="E2M1FN",
    exponent_bits=2,
    mantissa_bits=1,
    bias=1,
    specials=Specials.NONE,
    source=f"{_OCP_MX}, section 5.3.3",
)
BINARY16 = Format(
    name="BINARY16", exponent_bits=5, mantissa_bits=10, specials=Specials.IEEE, source=_IEEE
)
BFLOAT16 = Format(
    name="BFLOAT16",
    exponent_bits=8,
    mantissa_bits=7,
    specials=Specials.IEEE,
    source="Intel, BFLOAT16 Hardware Numerics Definition 1.0 (2018)",
)

#: The catalogue, by name.
FORMATS: Mapping[str, Format] = Catalogue(
    {
        fmt.name: fmt
        for fmt in (
            E4M3FN,
            E5M2,
            E4M3IEEE,
            E3M4,
            E4M3FNUZ,
            E5M2FNUZ,
            E4M3B11FNUZ,
            E8M0FNU,
            UE5M3,
            E2M3FN,
            E3M2FN,
            E2M1FN,
            HIFLOAT8,
            POSIT8,
            BINARY16,
            BFLOAT16,
        )
    },
    "formats",
    ("bits", "exponent_bits", "mantissa_bits", "bias", "specials", "max", "source"),
)
