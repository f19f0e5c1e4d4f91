"""
Every scaling rule once more: one block at a time, from its formula alone.

Where a formula says float32, the operations are NumPy's float32 ones, one rounding each,
or work on bits; where it says exact, they are Fractions.  Elements are rounded by the
exact reference.  Nothing of the code under test is used but the formats' parameters.

::

    x of one block -> amax -> scale, as the library keeps it -> codes -> dequantised values
"""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fp8num import formats
from fp8num.verify import reference

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fp8num.formats import Format

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]

F32 = np.float32
FLT_MAX = np.finfo(np.float32).max
INFINITY, NAN, ZERO, ONE = F32(np.inf), F32(np.nan), F32(0), F32(1)

#: The element type of MXINT8: two's complement in units of 2**-6.  It is no `Format`.
INT8 = "int8"


class Block(NamedTuple):
    """What a rule makes of one block."""

    scale: Any  #: as the library keeps it: np.float32, or an int, the code of the scale
    codes: Codes
    values: Floats


# Words.


def bits(x: Any) -> int:
    """Return the bit pattern of a float32."""
    return int.from_bytes(struct.pack(">f", x), "big")


def from_bits(word: int) -> np.float32:
    """Return the float32 of a bit pattern."""
    return np.array([word], np.uint32).view(np.float32)[0]


def fields(x: Any) -> tuple[int, int]:
    """Return the exponent and the mantissa field."""
    return bits(x) >> 23 & 0xFF, bits(x) & 0x7FFFFF


def mask(s: Any) -> np.float32:
    """Round down to a power of two: keep the sign and the exponent."""
    return from_bits(bits(s) & 0xFF800000)


def power(exponent: int) -> np.float32:
    """Return a power of two as float32, subnormal ones too."""
    return F32(math.ldexp(1.0, exponent))


def log2(x: Any) -> np.float32:
    """Return the logarithm rounded to float32, which is an integer just below 2**k too."""
    if np.isnan(x) or x < 0:
        return NAN
    if x == 0:
        return -INFINITY
    return INFINITY if np.isinf(x) else F32(math.log2(float(x)))


def exact_floor_log2(x: Any) -> int:
    """Return floor(log2 x) of a positive number."""
    return math.frexp(float(x))[1] - 1


# Largest magnitudes.


def amax_fmax(x: Floats) -> np.float32:
    """Fold fmaxf(fabsf(x), m) from 0: a NaN is never the larger one."""
    amax = ZERO
    for value in np.abs(x):
        amax = max(amax, value)  # the first, unless the second is greater
    return amax


def amax_max(x: Floats) -> np.float32:
    """Return max|x|, which is NaN if there is one."""
    return NAN if any(math.isnan(value) for value in x) else amax_fmax(x)


# Elements.


@cache
def largest(fmt: Format | str) -> float:
    """Return the largest value of an element type."""
    if isinstance(fmt, str):
        return 127 / 64
    values = (reference.decode(code, fmt) for code in range(1 << fmt.bits))
    return float(max(datum.value for datum in values if datum.is_finite))


#: Exponent of the binade of the largest value, and stored mantissa bits.
EMAX = {"E4M3FN": 8, "E5M2": 15, "E3M2FN": 4, "E2M3FN": 2, "E2M1FN": 2, INT8: 0}
MBITS = {"E4M3FN": 3, "E5M2": 2, "E3M2FN": 2, "E2M3FN": 3, "E2M1FN": 1}


def emax(fmt: Format | str) -> int:
    """Return the exponent of the largest binade."""
    return EMAX[fmt if isinstance(fmt, str) else fmt.name]


def sat(y: Floats, fmt: Format) -> Floats:
    """Clip to the largest values; NaN stays."""
    return np.clip(y, F32(-largest(fmt)), F32(largest(fmt)))


def cast(y: Floats, fmt: Format | str, rounding: str = "rne") -> Codes:
    """Round to the element type; beyond its range, infinities too, to the largest value."""
    y = np.asarray(y, np.float32)
    if isinstance(fmt, str):
        return np.array([int8_code(value) for value in y], np.uint8)
    return reference.expected_codes(y, fmt, rounding, "SatFinite").astype(np.uint8)


def int8_code(y: Any) -> int:
    """Round to 1/64, ties to even, within +-127/64; NaN, which it has not, as the largest."""
    if math.isnan(y):
        return 127
    limit = Fraction(127)
    scaled = limit * int(math.copysign(1, y)) if math.isinf(y) else Fraction(float(y)) * 64
    return round(max(-limit, min(limit, scaled))) & 0xFF


@cache
def table(fmt: Format | str) -> Floats:
    """Return the values of all codes."""
    if isinstance(fmt, str):
        return (np.arange(256, dtype=np.uint8).view(np.int8) / 64).astype(np.float32)
    found = []
    for code in range(1 << fmt.bits):
        datum = reference.decode(code, fmt)
        magnitude = {"nan": math.nan, "infinite": math.inf}.get(
            datum.kind.value, abs(float(datum.value))
        )
        found.append(math.copysign(magnitude, -1 if datum.negative else 1))
    return np.array(found, np.float32)


def multiplied(x: Floats, s: Any, scale: Any, fmt: Format) -> Block:
    """q = cast(sat(x * s)), and back q * scale."""
    codes = cast(sat(x * s, fmt), fmt)
    return Block(scale, codes, table(fmt)[codes] * F32(scale))


# TransformerEngine.


def te_scale(amax: Any, fmt: Format, *, pow2: bool, for_infinity: Any = FLT_MAX) -> np.float32:
    """compute_scale_from_amax, with eps 0."""
    if np.isinf(amax) or amax == 0 or np.isnan(amax):
        return ONE
    s = F32(largest(fmt)) / amax
    if np.isinf(s):
        s = F32(for_infinity)
    return mask(s) if pow2 else s


def te_current(x: Floats, fmt: Format, *, pow2: bool, for_infinity: Any = FLT_MAX) -> Block:
    """Multiply by the scale, keep its reciprocal."""
    s = te_scale(amax_fmax(x), fmt, pow2=pow2, for_infinity=for_infinity)
    return multiplied(x, s, ONE / s, fmt)


def te_fixed(x: Floats, fmt: Format, scale: Any) -> Block:
    """Delayed scaling's cast: the scale comes from the steps before."""
    return multiplied(x, F32(scale), ONE / F32(scale), fmt)


def te_update(scale: Any, history: list[Any], fmt: Format) -> tuple[np.float32, list[Any]]:
    """The fused kernel, algorithm max, margin 0."""
    last, length = history[0], len(history)
    amax = ZERO
    rolled = list(history)
    if last != 0:
        for i in range(length):
            a = history[i + 1] if i < length - 1 else last
            amax = np.fmax(amax, a)
            rolled[i] = a if i > 0 else ZERO
    s = F32(largest(fmt)) / amax if np.isfinite(amax) and amax > 0 else F32(scale)
    return (FLT_MAX if np.isinf(s) else s), rolled


def te_update_unfused(scale: Any, history: list[Any], fmt: Format) -> tuple[np.float32, list[Any]]:
    """The Python path: NaN counts, the roll is unconditional, reciprocal(amax) * max."""
    amax = NAN if any(np.isnan(a) for a in history) else max(history)
    s = (ONE / amax) * F32(largest(fmt)) if amax > 0 and np.isfinite(amax) else F32(scale)
    # torch.roll(history, -1), then entry 0 is cleared.
    return (FLT_MAX if np.isinf(s) else s), [ZERO, *history[2:], history[0]][: len(history)]


def ceil_e8m0(v: Any) -> int:
    """cvt.rp.satfinite.ue8m0, by its fallback."""
    if np.isnan(v):
        return 0xFF
    if np.isinf(v):
        return 0xFE
    if v == 0:
        return 0
    exponent, mantissa = fields(v)
    if mantissa > 0 and exponent != 0xFE and not (exponent == 0 and mantissa <= 0x400000):
        exponent += 1
    return exponent


def inverse(code: int) -> np.float32:
    """Return 2**(127 - code): 2**-127 for 254, NaN for 255."""
    return NAN if code == 0xFF else power(127 - code)


def e8m0(code: int) -> np.float32:
    """Return the value of a scale."""
    return NAN if code == 0xFF else power(code - 127)


def by_e8m0(x: Floats, code: int, fmt: Format) -> Block:
    """q = cast(sat(x * 2**(127 - code)))."""
    codes = cast(sat(x * inverse(code), fmt), fmt)
    return Block(code, codes, table(fmt)[codes] * e8m0(code))


def te_mxfp8(x: Floats, fmt: Format) -> Block:
    """Round amax * float32(1 / max) up to a power of two."""
    return by_e8m0(x, ceil_e8m0(amax_fmax(x) * (ONE / F32(largest(fmt)))), fmt)


def nvfp4_tensor(amax: Any) -> np.float32:
    """Return the tensor's encoding scale."""
    if amax == 0:
        return ONE
    s = min(F32(448 * 6) / F32(amax), FLT_MAX)
    return ONE if s == 0 else F32(s)


def nvfp4_scale(amax: Any, tensor_amax: Any) -> tuple[int, np.float32]:
    """Return the code of a block's scale and what its elements are multiplied by."""
    s_enc = nvfp4_tensor(tensor_amax)
    e4m3 = formats.E4M3FN
    code = int(cast(sat(np.array([amax * (s_enc * (ONE / F32(6)))]), e4m3), e4m3)[0])
    enc = min(ONE / (table(e4m3)[code] * (ONE / s_enc)), FLT_MAX)
    return code, F32(enc)


def nvfp4(x: Floats, tensor_amax: Any) -> Block:
    """E2M1 codes under E4M3 scales under a float32 scale, which dequantising has in one order."""
    e2m1 = formats.E2M1FN
    code, enc = nvfp4_scale(amax_fmax(x), tensor_amax)
    codes = cast(sat(x * enc, e2m1), e2m1)
    scale = table(formats.E4M3FN)[code] * F32(tensor_amax) * (ONE / F32(2688))
    return Block(code, codes, table(e2m1)[codes] * scale)


def four_over_six(x: Floats, tensor_amax: Any, mode: str) -> Block:
    """compute_scale_pair and make_candidates: two scales, the smaller float32 error wins."""
    e2m1, e4m3 = formats.E2M1FN, formats.E4M3FN
    amax, rows = F32(tensor_amax), x.reshape(-1, x.shape[-1])
    s_enc = ONE if amax == 0 else F32(min(F32(256 * 6) / amax, FLT_MAX))
    s_enc = ONE if s_enc == 0 else s_enc
    base = amax_fmax(x.ravel()) / F32(6) * s_enc
    found = []
    for wanted in (base, base * F32(1.5)):
        code = int(cast(sat(np.array([wanted]), e4m3), e4m3)[0])
        sf = table(e4m3)[code]
        codes = cast(sat(rows * F32(min(ONE / (sf * (ONE / s_enc)), FLT_MAX)), e2m1), e2m1)
        diff = table(e2m1)[codes] * sf * amax / F32(1536) - rows
        error = np.abs(diff) if mode == "mae" else diff * diff
        sums = []
        for row in error:
            total = ZERO
            for each in row:
                total = total + each
            sums.append(total)
        if len(sums) > 1:  # sixteen threads, of which the last ones may have padding
            sums += [ZERO] * (16 - len(sums))
        while len(sums) > 1:  # __shfl_down_sync by 8, 4, 2, 1
            half = len(sums) // 2
            sums = [sums[i] + sums[i + half] for i in range(half)]
        values = table(e2m1)[codes] * (sf * amax * (ONE / F32(1536)))
        found.append((sums[0], Block(code, codes.ravel(), values.ravel())))
    (six, made), (four, other) = found
    return other if four < six else made


def torchao_nvfp4(x: Floats, tensor_amax: Any, *, levels: int) -> Block:
    """nvfp4_quantize with and without per_tensor_scale, and NVFP4Tensor.dequantize."""
    e2m1, e4m3 = formats.E2M1FN, formats.E4M3FN
    per_tensor = F32(tensor_amax) / F32(448 * 6) if levels == 2 else ONE
    wanted = np.clip(amax_max(x) / F32(6) / per_tensor, F32(2.0**-6), F32(448))
    code = int(cast(np.array([wanted]), e4m3)[0])
    sf = table(e4m3)[code]
    codes = cast(sat(x * (ONE / per_tensor / sf), e2m1), e2m1)
    return Block(code, codes, table(e2m1)[codes] * (per_tensor * sf))


#: The fixed signs of the randomised Hadamard transform.
SIGNS = (1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1)


def rotated(x: npt.NDArray[np.floating[Any]]) -> list[Fraction]:
    """Return x (diag(S) H16) / 4 of 16 numbers, exactly; H16[i, j] = (-1)**popcount(i & j)."""
    return [
        sum(Fraction(float(x[i])) * SIGNS[i] * (-1) ** (i & j).bit_count() for i in range(16)) / 4
        for j in range(16)
    ]


# torchao.


def torchao_scale(amax: Any, fmt: Format, *, pow2: str) -> np.float32:
    """float64 division of the largest value; rounded to float32; perhaps to a power of two."""
    if np.isnan(amax):
        return NAN
    s = F32(np.float64(largest(fmt)) / max(np.float64(amax), 1e-12))
    if pow2 == "log2":  # exp2(floor(log2(s))) in float32
        return ZERO if s == 0 else power(math.floor(log2(s)))
    return mask(s) if pow2 == "mask" else s


def torchao(x: Floats, fmt: Format, *, pow2: str = "") -> Block:
    """Multiply by the scale, which is kept; divide by it on the way back."""
    s = torchao_scale(amax_max(x), fmt, pow2=pow2)
    codes = cast(sat(x * s, fmt), fmt)
    return Block(s, codes, table(fmt)[codes] / s)


def torchao_exponent(word: int, fmt: Format, mode: str) -> int:
    """Return FLOOR's, CEIL's or EVEN's exponent from the word that EVEN has rounded."""
    exponent = (word >> 23) - 127 - emax(fmt)
    return exponent + (mode == "ceil" and word & 0x7FFFFF > 0)


def torchao_word(amax: Any, fmt: Format, mode: str) -> int:
    """Return the word of amax, EVEN's with the elements' mantissa bits rounded away."""
    word = bits(amax)
    return (word + (1 << (23 - MBITS[fmt.name] - 1))) & 0xFF800000 if mode == "even" else word


def torchao_mx(x: Floats, fmt: Format, mode: str) -> Block:
    """to_mx of main: FLOOR, CEIL, EVEN or RCEIL; isfinite is asked of the rounded amax."""
    amax = amax_max(x)
    if not np.isfinite(amax):
        return by_e8m0(x, 0xFF, fmt)
    if mode == "rceil":
        return by_e8m0(x, ceil_e8m0(amax * (ONE / F32(largest(fmt)))), fmt)
    word = torchao_word(amax, fmt, mode)
    if not np.isfinite(from_bits(word)):
        return by_e8m0(x, 0xFF, fmt)
    exponent = torchao_exponent(word, fmt, mode)
    return by_e8m0(x, min(max(exponent, -127), 128) + 127, fmt)


def torchao_0_18_mx(x: Floats, fmt: Format, mode: str) -> Block:
    """to_mx of 0.18.0: code 0 is applied as 2**-126 or 1, infinity has a finite scale."""
    amax = amax_max(x)
    if mode == "rceil":
        descale = amax / F32(largest(fmt))
        code = 0xFF if np.isnan(descale) else 0xFE
        if np.isfinite(descale):
            code = 0 if descale == 0 else int(min(max(math.ceil(log2(descale)), -127), 127)) + 127
        y = x * (ONE if code == 0 else inverse(code))
    else:
        word = torchao_word(amax, fmt, mode)
        code = min(max(torchao_exponent(word, fmt, mode), -127), 128) + 127
        code = 0xFF if np.isnan(amax) else code
        y = x / max(from_bits(code << 23), power(-126))
    codes = cast(sat(y, fmt), fmt)
    return Block(code, codes, table(fmt)[codes] * e8m0(code))


def torchao_block(x: Floats, fmt: Format) -> Block:
    """torch_blockwise_scale_act_quant_lhs: multiply by the scale, keep its reciprocal."""
    s = torchao_scale(amax_max(x), fmt, pow2="")
    return multiplied(x, s, ONE / s, fmt)


# Checkpoints.


def compressed_tensors_mxfp8(x: Floats, fmt: Format) -> Block:
    """generate_mx_scales, 2**(code - 127), and floor(log2) of that; FP4's mantissa width."""
    amax = amax_max(x)
    word = bits(amax) if not np.isnan(amax) else 0x7FC00000
    rounded = from_bits((word + (1 << (23 - 1 - 1))) & 0xFF800000)
    if np.isinf(rounded):  # int32 of an infinite logarithm, and 127, in eight bits
        codes = cast(x / INFINITY, fmt)
        return Block(127, codes, table(fmt)[codes])
    code = 0 if rounded == 0 else max(127 + exact_floor_log2(rounded) - 8, 0)
    codes = cast(sat(x / e8m0(code), fmt), fmt)
    return Block(code, codes, table(fmt)[codes] * e8m0(code))


def modelopt_mxfp4(x: Floats, fmt: Format) -> Block:
    """cast_fp4: how many bounds a magnitude exceeds; all that has no sign has the bit set."""
    descale = amax_max(x) / F32(6)
    code, exponent = 0, F32(-127)
    if np.isfinite(descale):
        exponent = F32(math.ceil(max(log2(descale), F32(-127))))
        code = int(exponent) + 127
    scaled = x / (power(int(exponent)) if np.isfinite(descale) else descale)
    bounds = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5)
    codes = [(0 if y > 0 else 8) + sum(abs(float(y)) > bound for bound in bounds) for y in scaled]
    found = np.array(codes, np.uint8)
    return Block(code, found, table(fmt)[found] * e8m0(code))


# OCP MX, and its reference.


def ocp_mx(x: Floats, fmt: Format | str) -> Block:
    """The standard's floor; elements to nearest even, those beyond the range clamped."""
    amax = amax_max(x)
    if not np.isfinite(amax):
        code = 0xFF
    elif amax == 0:
        code = 0
    else:
        code = max(exact_floor_log2(amax) - emax(fmt), -127) + 127
    codes = cast(x * inverse(code), fmt)
    if code == 0xFF:
        return Block(code, codes, np.full(x.shape, NAN))
    return Block(code, codes, table(fmt)[codes] * e8m0(code))


#: Largest value and smallest exponent of the elements, and bits after the point.
MICROXCALING = {
    "E4M3FN": (448.0, -6, 3),
    "E5M2": (57344.0, -14, 2),
    "E3M2FN": (28.0, -2, 2),
    "E2M3FN": (7.5, 0, 3),
    "E2M1FN": (6.0, 0, 1),
    INT8: (127 / 64, 0, 6),
}


def microxcaling_element(y: Any, name: str, rounding: str) -> np.float32:
    """Round one scaled element in float32, with the library's own sum of a half."""
    max_norm, emin, places = MICROXCALING[name]
    if math.isnan(y) or math.isinf(y):
        return F32(y)
    exponent = emin
    if name != INT8 and y != 0:
        exponent = max(math.floor(log2(abs(y))), emin)
    # Dividing by 2**p and multiplying by 2**m are exact in float32 wherever it matters.
    scaled = F32(abs(y)) / power(exponent) * power(places)
    if rounding == "floor":
        whole = np.floor(scaled)
    else:
        whole = np.floor(scaled + F32(0.5))
        if rounding == "even" and (scaled - F32(0.5)) % F32(2) == 0:
            whole -= ONE
    sign = F32(np.sign(y))  # 0 for both zeros
    value = sign * whole / power(places) * power(exponent)
    return F32(np.clip(value, F32(-max_norm), F32(max_norm)))


def microxcaling(x: Floats, fmt: Format | str, rounding: str) -> Block:
    """floor(log2) in float32, so that just below 2**k counts as 2**k."""
    name = fmt if isinstance(fmt, str) else fmt.name
    amax = amax_max(x)
    exponent = math.nan
    if np.isfinite(amax):
        exponent = math.floor(log2(amax or power(-126))) - emax(fmt)
    if not exponent <= 127:
        codes = cast(np.full(x.shape, NAN), fmt)
        return Block(0xFF, codes, np.full(x.shape, NAN))
    exponent = max(int(exponent), -127)
    elements = [microxcaling_element(y, name, rounding) for y in x / power(exponent)]
    codes = cast(np.array(elements, np.float32), fmt)  # they are values of the format
    return Block(exponent + 127, codes, table(fmt)[codes] * power(exponent))


# DeepGEMM and DeepSeek.


def deepgemm_scale(amax: Any, *, ue8m0: bool) -> np.float32:
    """max(amax, 1e-4) / 448, perhaps up to a power of two."""
    sf = (amax if np.isnan(amax) else max(amax, F32(1e-4))) / F32(448)
    if not ue8m0:
        return F32(sf)
    exponent, mantissa = fields(sf)
    return from_bits(min(max(exponent + (mantissa != 0), 1), 254) << 23)


def deepgemm(x: Floats, fmt: Format, *, ue8m0: bool) -> Block:
    """Multiply by the reciprocal of the scale."""
    sf = deepgemm_scale(amax_max(x), ue8m0=ue8m0)
    codes = cast(x * (ONE / sf), fmt)
    return Block(sf, codes, table(fmt)[codes] * sf)


def deepseek(x: Floats, fmt: Format) -> Block:
    """Divide by the scale."""
    sf = deepgemm_scale(amax_max(x), ue8m0=False)
    codes = cast(x / sf, fmt)
    return Block(sf, codes, table(fmt)[codes] * sf)


# flax and MS-AMP.


def flushed(x: Any) -> Any:
    """Take subnormal numbers for zero, of their sign, as XLA does on a CPU."""
    return np.where(np.abs(x) < power(-126), np.copysign(ZERO, x), x)


def flax_scale(scale: Any, history: list[Any], fmt: Format) -> np.float32:
    """Return the scale that a call divides by, from the state before it."""
    a = NAN if any(np.isnan(h) for h in history) else max(history)
    sf = F32(largest(fmt)) / F32(a) if a > 0 and np.isfinite(a) else ONE / F32(scale)
    return ONE / sf


def flax_amax(x: Floats) -> np.float32:
    """Return max|x|."""
    return amax_max(flushed(x))


def flax(x: Floats, fmt: Format, scale: Any) -> Block:
    """Divide by the scale of earlier calls and multiply by it again."""
    codes = cast(sat(flushed(x) / F32(scale), fmt), fmt)
    return Block(F32(scale), codes, table(fmt)[codes] * F32(scale))


def flax_history(history: list[Any], amax: Any) -> list[Any]:
    """roll(history, -1), and the present amax at 0."""
    return [F32(amax), *history[2:], history[0]][: len(history)]


def ms_amp_scale(amax: Any, previous: Any, fmt: Format) -> np.float32:
    """floor(log2) in float32; what `where(exp < 0)` does last catches infinity too."""
    exponent = np.floor(log2(F32(largest(fmt)) / F32(amax)))
    sf = F32(2) ** np.abs(exponent)
    if not amax > 0 or not np.isfinite(amax):
        sf = F32(previous)
    return ONE / sf if exponent < 0 else sf


# Rules by name, and whole arrays.


class Rule(NamedTuple):
    """A rule: the block, "tensor", "row" or lengths; the formats; what is done to a block."""

    block: str | tuple[int, ...]
    formats: tuple[Format | str, ...]
    make: Callable[[Floats, Any, np.float32], Block]  #: of a block, a format, the tensor's amax
    amax: Callable[[Floats], np.float32] = amax_fmax  #: of the tensor
    by_row: bool = False  #: whether each row has that for itself
    shaped: bool = False  #: whether `make` is told where rows of a block end


_FP8 = (formats.E4M3FN, formats.E5M2)
_E4M3 = (formats.E4M3FN,)
#: AMD's: TransformerEngine's largest value is 240, or as OCP's 57344.
_AMD = (*_FP8, formats.E4M3FNUZ, formats.E5M2FNUZ)
_WIDE_AND_NARROW = (formats.E4M3FN, formats.E5M2, formats.E2M1FN)
_MX_ELEMENTS = (*_FP8, formats.E3M2FN, formats.E2M3FN, formats.E2M1FN)


def _current(*, pow2: bool) -> Callable[[Floats, Any, np.float32], Block]:
    return lambda x, fmt, _: te_current(x, fmt, pow2=pow2)


def _torchao(pow2: str) -> Callable[[Floats, Any, np.float32], Block]:
    return lambda x, fmt, _: torchao(x, fmt, pow2=pow2)


def _torchao_mx(mode: str) -> Callable[[Floats, Any, np.float32], Block]:
    return lambda x, fmt, _: torchao_mx(x, fmt, mode)


def _torchao_0_18_mx(mode: str) -> Callable[[Floats, Any, np.float32], Block]:
    return lambda x, fmt, _: torchao_0_18_mx(x, fmt, mode)


def _four_over_six(mode: str) -> Callable[[Floats, Any, np.float32], Block]:
    return lambda x, _, amax: four_over_six(x, amax, mode)


def _torchao_nvfp4(levels: int) -> Callable[[Floats, Any, np.float32], Block]:
    return lambda x, _, amax: torchao_nvfp4(x, amax, levels=levels)


def _microxcaling(rounding: str) -> Callable[[Floats, Any, np.float32], Block]:
    return lambda x, fmt, _: microxcaling(x, fmt, rounding)


def _deepgemm(*, ue8m0: bool) -> Callable[[Floats, Any, np.float32], Block]:
    return lambda x, fmt, _: deepgemm(x, fmt, ue8m0=ue8m0)


def _ocp(x: Floats, fmt: Format | str, _: np.float32) -> Block:
    return ocp_mx(x, fmt)


def _ms_amp(x: Floats, fmt: Format, _: np.float32) -> Block:
    """Just in time, from the scale 1."""
    s = ms_amp_scale(amax_max(x), ONE, fmt)
    return multiplied(x, s, ONE / s, fmt)


RULES = {
    "te-delayed": Rule("tensor", _AMD, lambda x, fmt, _: te_fixed(x, fmt, ONE)),
    "te-delayed-unfused": Rule("tensor", _FP8, lambda x, fmt, _: te_fixed(x, fmt, ONE)),
    "te-current": Rule("tensor", _AMD, _current(pow2=False)),
    "te-current-pow2": Rule("tensor", _AMD, _current(pow2=True)),
    "te-block-1x128": Rule((128,), _FP8, _current(pow2=True)),
    "te-block-128x128": Rule((128, 128), _FP8, _current(pow2=True)),
    "te-block-1x128-fp32": Rule((128,), _FP8, _current(pow2=False)),
    "te-block-128x128-fp32": Rule((128, 128), _FP8, _current(pow2=False)),
    "te-mxfp8": Rule((32,), _FP8, lambda x, fmt, _: te_mxfp8(x, fmt)),
    "te-mxfp8-2d": Rule((32, 32), _FP8, lambda x, fmt, _: te_mxfp8(x, fmt)),
    "te-nvfp4": Rule((16,), (formats.E2M1FN,), lambda x, _, amax: nvfp4(x, amax)),
    "te-nvfp4-2d": Rule((16, 16), (formats.E2M1FN,), lambda x, _, amax: nvfp4(x, amax)),
    "te-nvfp4-row": Rule((16,), (formats.E2M1FN,), lambda x, _, amax: nvfp4(x, amax), by_row=True),
    "te-nvfp4-4over6": Rule((16,), (formats.E2M1FN,), _four_over_six("mae")),
    "te-nvfp4-4over6-mse": Rule((16,), (formats.E2M1FN,), _four_over_six("mse")),
    "te-nvfp4-2d-4over6": Rule((16, 16), (formats.E2M1FN,), _four_over_six("mae"), shaped=True),
    "te-nvfp4-2d-4over6-mse": Rule((16, 16), (formats.E2M1FN,), _four_over_six("mse"), shaped=True),
    "torchao-nvfp4": Rule((16,), (formats.E2M1FN,), _torchao_nvfp4(2), amax=amax_max),
    "torchao-nvfp4-one-level": Rule((16,), (formats.E2M1FN,), _torchao_nvfp4(1)),
    "torchao-tensorwise": Rule("tensor", _FP8, _torchao("")),
    "torchao-tensorwise-pow2": Rule("tensor", _FP8, _torchao("log2")),
    "torchao-rowwise": Rule("row", _FP8, _torchao("log2")),
    "torchao-rowwise-exact": Rule("row", _FP8, _torchao("mask")),
    "torchao-mx-floor": Rule((32,), _FP8, _torchao_mx("floor")),
    "torchao-mx-ceil": Rule((32,), _FP8, _torchao_mx("ceil")),
    "torchao-mx-even": Rule((32,), _WIDE_AND_NARROW, _torchao_mx("even")),
    "torchao-mx-rceil": Rule((32,), _FP8, _torchao_mx("rceil")),
    "torchao-0.18-mx-floor": Rule((32,), _WIDE_AND_NARROW, _torchao_0_18_mx("floor")),
    "torchao-0.18-mx-ceil": Rule((32,), _WIDE_AND_NARROW, _torchao_0_18_mx("ceil")),
    "torchao-0.18-mx-even": Rule((32,), _WIDE_AND_NARROW, _torchao_0_18_mx("even")),
    "torchao-0.18-mx-rceil": Rule((32,), _WIDE_AND_NARROW, _torchao_0_18_mx("rceil")),
    "torchao-block-1x128": Rule((128,), _E4M3, lambda x, fmt, _: torchao_block(x, fmt)),
    "torchao-block-128x128": Rule((128, 128), _E4M3, lambda x, fmt, _: torchao_block(x, fmt)),
    "compressed-tensors-mxfp8": Rule(
        (32,), _E4M3, lambda x, fmt, _: compressed_tensors_mxfp8(x, fmt)
    ),
    "modelopt-mxfp4": Rule((32,), (formats.E2M1FN,), lambda x, fmt, _: modelopt_mxfp4(x, fmt)),
    "mxfp8-e4m3fn": Rule((32,), (formats.E4M3FN,), _ocp),
    "mxfp8-e5m2": Rule((32,), (formats.E5M2,), _ocp),
    "mxfp6-e3m2fn": Rule((32,), (formats.E3M2FN,), _ocp),
    "mxfp6-e2m3fn": Rule((32,), (formats.E2M3FN,), _ocp),
    "mxfp4-e2m1fn": Rule((32,), (formats.E2M1FN,), _ocp),
    "mxint8": Rule((32,), (INT8,), _ocp),
    "microxcaling": Rule((32,), _MX_ELEMENTS, _microxcaling("nearest")),
    "microxcaling-even": Rule((32,), _MX_ELEMENTS, _microxcaling("even")),
    "microxcaling-floor": Rule((32,), _MX_ELEMENTS, _microxcaling("floor")),
    "deepgemm-1x128": Rule((128,), _E4M3, _deepgemm(ue8m0=False)),
    "deepgemm-128x128": Rule((128, 128), _E4M3, _deepgemm(ue8m0=False)),
    "deepgemm-1x128-ue8m0": Rule((128,), _E4M3, _deepgemm(ue8m0=True)),
    "deepgemm-128x128-ue8m0": Rule((128, 128), _E4M3, _deepgemm(ue8m0=True)),
    "deepseek-1x128": Rule((128,), _E4M3, lambda x, fmt, _: deepseek(x, fmt)),
    "flax": Rule("tensor", _FP8, lambda x, fmt, _: flax(x, fmt, ONE)),
    "ms-amp": Rule("tensor", _FP8, _ms_amp),
}


def lengths_of(name: str) -> tuple[int, ...]:
    """Return the lengths of a rule's blocks; () if they are whole rows or tensors."""
    block = RULES[name].block
    return () if isinstance(block, str) else block


class Expected(NamedTuple):
    """What a rule makes of an array."""

    scales: npt.NDArray[Any]  #: (), or an entry for each block on every axis
    codes: Codes
    values: Floats


def lengths(
    block: str | tuple[int, ...], shape: tuple[int, ...], axis: int = -1
) -> tuple[int, ...]:
    """Return the length of a block on every axis."""
    if block == "tensor":
        return shape
    sides = [1] * len(shape)
    if block == "row":
        sides[axis] = shape[axis]
    elif len(block) == 1:
        sides[axis] = int(block[0])
    else:
        sides[-2:] = (int(side) for side in block)
    return tuple(sides)


def spread(scales: Any, sides: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Give each element its block's scale, in float64."""
    found = np.asarray(scales, np.float64).reshape(np.shape(scales) or (1,) * len(shape))
    for axis, (side, size) in enumerate(zip(sides, shape, strict=True)):
        found = np.repeat(found, side, axis).take(range(size), axis)
    return found


def expect(x: Floats, name: str, fmt: Any = None, axis: int = -1) -> Expected:
    """Apply a rule to every block of an array; the last ones may be ragged."""
    rule = RULES[name]
    fmt = rule.formats[0] if fmt is None else fmt
    sides = lengths(rule.block, x.shape, axis)
    counts = tuple(-(-size // side) for size, side in zip(x.shape, sides, strict=True))
    amax = rule.amax(x.ravel())
    kept: list[Any] = []
    codes, values = np.empty(x.shape, np.uint8), np.empty(x.shape, np.float32)
    with np.errstate(all="ignore"):
        for place in np.ndindex(counts):
            here = tuple(
                slice(i * side, (i + 1) * side) for i, side in zip(place, sides, strict=True)
            )
            if rule.by_row:
                at = list(here)
                at[axis] = slice(None)
                amax = rule.amax(x[tuple(at)].ravel())
            made = rule.make(x[here] if rule.shaped else x[here].ravel(), fmt, amax)
            kept.append(made.scale)
            codes[here] = made.codes.reshape(x[here].shape)
            values[here] = made.values.reshape(x[here].shape)
    scales = np.array(kept, np.uint8 if isinstance(kept[0], int) else np.float32)
    return Expected(scales.reshape(() if rule.block == "tensor" else counts), codes, values)
