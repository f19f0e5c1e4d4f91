"""The accumulators by name: units of real hardware, and arithmetic by definition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fp8num._arguments import refuse_kind
from fp8num._names import Catalogue, hint
from fp8num._text import brief
from fp8num.accumulate.accumulator import (
    Accumulator,
    BlasSum,
    ExactSum,
    FloatSum,
    MatrixCore,
    TensorCore,
)
from fp8num.projection import Rounding

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACCUMULATORS", "get_accumulator"]

_RECORDED = "verified on recorded hardware"
_LITERATURE = "from literature"
_DEFINED = "by definition"

_FP8 = ("E4M3FN", "E5M2")
_FP8_FP6_FP4 = ("E4M3FN", "E5M2", "E3M2FN", "E2M3FN", "E2M1FN")
_HALF = ("BINARY16",)
_MMA_SIM = "MMA-Sim (Xie et al.), the simulator's parameters of the unit"
_NEAREST = Rounding.NEAREST_TIES_TO_EVEN
#: mma.sync.m16n8k32 on FP8 is two float16 instructions of 16 products each.
_INTERLEAVED = tuple(k for low in (0, 2) for k in range(32) if k % 4 in (low, low + 1))


def _half(unit: TensorCore, name: str, source: str, verified: str = _RECORDED) -> TensorCore:
    """Return the unit with float16 accumulators, rounded to nearest after each step."""
    return replace(
        unit,
        name=name,
        source=source,
        verified=verified,
        register="float16",
        output_bits=10,
        output_rounding=_NEAREST,
        exponent_floor=None if unit.exponent_floor is None else 4 - unit.fraction_bits,
    )


_DEFINITIONS = (
    ExactSum(
        name="exact",
        verified=_DEFINED,
        source="IEEE P3109 v4.0, BlockDotProduct: one projection of the exact sum",
    ),
    FloatSum(name="float32", verified=_DEFINED, source="IEEE 754, sequential in k"),
    FloatSum(
        name="float32-fma",
        fused=True,
        verified=_DEFINED,
        source="IEEE 754 fusedMultiplyAdd, sequential in k",
    ),
    FloatSum(
        name="float32-pairwise",
        order="pairwise",
        verified=_DEFINED,
        source="IEEE 754, a tree of neighbouring pairs",
    ),
    FloatSum(
        name="float16",
        arithmetic="BINARY16",
        verified=_DEFINED,
        source="IEEE 754, products and sums rounded, sequential in k",
    ),
    FloatSum(
        name="bfloat16",
        arithmetic="BFLOAT16",
        verified=_DEFINED,
        source="products and sums rounded to bfloat16, sequential in k",
    ),
    BlasSum(
        name="blas-float32",
        verified="not reproducible",
        source="numpy.matmul on float32",
    ),
)

_HOPPER = TensorCore(
    name="hopper",
    verified=_RECORDED,
    source="wgmma.m64n8k32 on an H200, and cuBLASLt with fast accumulation",
    formats=_FP8,
    fraction_bits=13,
    products=32,
    output_bits=13,
)
_MMA_SYNC = TensorCore(
    name="hopper-mma-sync",
    verified=_RECORDED,
    source="mma.sync.m16n8k32 on an H200: two HMMA.16816 on float16, then an addition",
    formats=_FP8,
    operand_types=_HALF,
    fraction_bits=25,
    products=16,
    order=_INTERLEAVED,
    adds_c_last=True,
)
_ADA = replace(
    _HOPPER,
    name="ada",
    source="mma.sync on Ada and L40S, vectors of Khattak and Mikaitis",
    products=16,
)
_NVIDIA_FP8 = (
    _HOPPER,
    replace(
        _HOPPER,
        name="hopper-promoted",
        source="cuBLASLt without fast accumulation on an H200: float32 total every 128 products",
        promotion=128,
    ),
    _half(_HOPPER, "hopper-f16", "wgmma.m64n8k32.f16 on an H200"),
    _MMA_SYNC,
    _half(_MMA_SYNC, "hopper-mma-sync-f16", "mma.sync.m16n8k32.f16 on an H200"),
    _ADA,
    _half(_ADA, "ada-f16", "mma.sync.f16 on Ada, vectors of Khattak and Mikaitis"),
    replace(
        _MMA_SYNC,
        name="blackwell-mma-sync",
        source="mma.sync on a B200, vectors of Khattak and Mikaitis",
    ),
    _half(
        _MMA_SYNC,
        "blackwell-mma-sync-f16",
        "mma.sync.f16 on a B200, vectors of Khattak and Mikaitis",
    ),
)


def _float16_units() -> tuple[TensorCore, ...]:
    """Return the float16 units, with both accumulators; FP8 is decoded to float16 first."""
    units = []
    for name, fraction_bits, products, floor in (
        ("volta-hmma", 23, 4, -131),
        ("ampere-hmma", 24, 8, -132),
        ("hopper-hmma", 25, 16, -133),
    ):
        unit = TensorCore(
            name=name,
            verified=_LITERATURE,
            source=_MMA_SIM,
            operand_types=_HALF if name == "volta-hmma" else (*_HALF, "BFLOAT16"),
            fraction_bits=fraction_bits,
            products=products,
            exponent_floor=floor,
        )
        half = _half(unit, f"{name}-f16", _MMA_SIM, _LITERATURE)
        units += [unit, replace(half, operand_types=_HALF)]
    return tuple(units)


_BLACKWELL = TensorCore(
    name="blackwell",
    verified=_LITERATURE,
    source=f"{_MMA_SIM}: tcgen05.mma kind::f8f6f4",
    formats=_FP8_FP6_FP4,
    fraction_bits=25,
    products=32,
    exponent_floor=-133,
)
_LITERATURE_UNITS = (
    *_float16_units(),
    _BLACKWELL,
    _half(_BLACKWELL, "blackwell-f16", _BLACKWELL.source, _LITERATURE),
    replace(
        _BLACKWELL,
        name="blackwell-mx",
        source=f"{_MMA_SIM}: kind::mxf8f6f4, one scale for 32 products",
        scale_block=32,
        scale_formats=("E8M0FNU",),
    ),
    TensorCore(
        name="blackwell-nvfp4",
        verified=_LITERATURE,
        source=f"{_MMA_SIM}: kind::mxf4nvf4, K = 64, one scale for 16 products",
        formats=("E2M1FN",),
        fraction_bits=35,
        products=64,
        exponent_floor=-139,
        scale_block=16,
        scale_formats=("E4M3FN", "E8M0FNU"),
        group=16,
    ),
    MatrixCore(
        name="amd-cdna3",
        verified=_LITERATURE,
        source=f"{_MMA_SIM}: V_MFMA_F32_*_FP8/BF8",
        formats=("E4M3FNUZ", "E5M2FNUZ"),
    ),
)

#: Accumulators by name, in the order of the documentation.
ACCUMULATORS: Mapping[str, Accumulator] = Catalogue(
    {unit.name: unit for unit in (*_DEFINITIONS, *_NVIDIA_FP8, *_LITERATURE_UNITS)},
    "accumulators",
    ("verified", "source"),
)


def get_accumulator(accumulator: Accumulator | str) -> Accumulator:
    """
    Return the accumulator of a name.

    Parameters
    ----------
    accumulator : Accumulator or str
        An accumulator, returned as it is, or a key of `ACCUMULATORS`, in any case.

    Returns
    -------
    Accumulator
        The accumulator.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If there is none of that name; the nearest names are offered.

    Examples
    --------
    >>> get_accumulator("hopper").verified
    'verified on recorded hardware'
    """
    if isinstance(accumulator, Accumulator):
        return accumulator
    if not isinstance(accumulator, str):
        advice = "fp8num.ACCUMULATORS lists the names"
        refuse_kind("accumulator", "an Accumulator or a name", accumulator, advice)
    name = accumulator.strip().lower().replace("_", "-")
    if name in ACCUMULATORS:
        return ACCUMULATORS[name]
    offer = hint(accumulator, ACCUMULATORS, "there is none like it", "an accumulator")
    known = ", ".join(ACCUMULATORS)
    msg = f"accumulator {brief(accumulator)} is not known, {offer}; known are {known}"
    raise ValueError(msg)
