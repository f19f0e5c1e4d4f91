"""Codes, accumulators and scales at which a unit's arithmetic shows itself."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.formats import get_format

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

__all__ = [
    "ACCUMULATORS", "FORMATS", "KINDS", "PAIRS", "Pair", "draw_accumulators", "draw_codes",
    "draw_operands", "draw_scales", "finite_codes", "scale_shapes", "values",
]  # fmt: skip

#: Formats of the two operands, by the names that PTX has for them.
Pair = tuple[str, str]
FORMATS = {"e4m3": "E4M3FN", "e5m2": "E5M2"}
PAIRS: list[Pair] = [(a, b) for a in FORMATS for b in FORMATS]
#: Codes of all numbers; near 1; mostly subnormal; that cancel; mostly zero; with NaN, infinity.
KINDS = ("uniform", "normal", "subnormal", "cancelling", "sparse", "special")
#: Accumulators: none, ordinary, of any exponent, of any bits, minus the sum or nearly, and
#: with infinities, NaNs, subnormals and zeros of both signs.
ACCUMULATORS = ("zero", "normal", "huge", "bits", "cancelling", "special")


def values(name: str, codes: Array) -> npt.NDArray[np.float64]:
    """Return what codes stand for."""
    return np.asarray(get_format(FORMATS[name]).values[codes])


@cache
def finite_codes(name: str) -> Array:
    """Return the codes of numbers."""
    return np.flatnonzero(np.isfinite(values(name, np.arange(256)))).astype(np.uint8)


def draw_codes(
    rng: np.random.Generator, name: str, kind: str, shape: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """Draw codes of a kind."""
    fmt = get_format(FORMATS[name])
    assert fmt.mantissa_bits is not None
    sign = rng.integers(0, 2, shape).astype(np.uint8) << 7
    subnormal = rng.integers(0, (1 << fmt.mantissa_bits) + 2, shape).astype(np.uint8) | sign
    codes = rng.choice(finite_codes(name), shape).astype(np.uint8)
    match kind:
        case "uniform" | "cancelling":
            pass
        case "normal":
            # Around 2**-2, mostly within three binades: a code is worth a part of a binade.
            one = {"e4m3": 0x38, "e5m2": 0x3C}[name]
            around = one + (rng.normal(-2, 3, shape) * (1 << fmt.mantissa_bits)).round()
            largest = int((finite_codes(name) & 0x7F).max())
            codes = np.clip(around, 0, largest).astype(np.uint8) | sign
        case "subnormal":
            codes = np.where(rng.random(shape) < 0.02, codes, subnormal)
        case "sparse":
            codes = np.where(rng.random(shape) < 0.85, sign, codes)
        case "special":
            special = np.setdiff1d(np.arange(256), finite_codes(name)).astype(np.uint8)
            some = rng.random(shape) < 0.3 / shape[-1]
            codes = np.where(some, rng.choice(special, shape), np.where(sign > 0, subnormal, codes))
        case _:
            msg = f"kind must be one of those above, got {kind!r}"
            raise ValueError(msg)
    return np.ascontiguousarray(codes)


def draw_operands(
    rng: np.random.Generator, pair: Pair, kind: str, shapes: tuple[Any, Any]
) -> tuple[Array, Array]:
    """Draw a and b, k last; in cancelling ones each product comes again with the other sign."""
    a, b = (draw_codes(rng, fmt, kind, shape) for fmt, shape in zip(pair, shapes, strict=True))
    if kind == "cancelling":
        half = a.shape[-1] // 2
        order = rng.permutation(half)
        a[..., half : 2 * half] = a[..., order] ^ 0x80
        b[..., half : 2 * half] = b[..., order]
        # A few that do not come again: what is left is far below the largest product.
        lone = rng.random(a.shape) < 1 / a.shape[-1]
        a[lone] = draw_codes(rng, pair[0], "subnormal", a.shape)[lone]
    return a, b


def draw_accumulators(
    rng: np.random.Generator, kind: str, dtype: npt.DTypeLike, pair: Pair, operands: tuple[Any, Any]
) -> Array:
    """Draw accumulators of a kind."""
    a, b = operands
    shape = (*a.shape[:-1], b.shape[-2])
    sign = rng.choice([-1.0, 1.0], shape)
    largest = 127 if dtype == np.float32 else 15
    match kind:
        case "zero":
            return np.zeros(shape, dtype)
        case "normal":
            return (rng.normal(0, 100, shape)).astype(dtype)
        case "huge":
            exponent = rng.integers(-largest - 10, largest + 1, shape)
            return np.ldexp(sign * rng.uniform(1, 1.999, shape), exponent).astype(dtype)
        case "bits":
            unsigned: Any = np.uint32 if dtype == np.float32 else np.uint16
            below = 1 << 8 * np.dtype(dtype).itemsize
            return rng.integers(0, below, shape).astype(unsigned).view(dtype)
        case "special":
            tiny = np.finfo(dtype).smallest_subnormal * rng.integers(0, 1 << 9, shape)
            chosen = rng.choice([np.inf, np.nan, 0.0, 1.0], shape, p=[0.3, 0.02, 0.34, 0.34])
            return np.asarray(sign * np.where(chosen == 1, tiny, chosen), dtype)
        case _:
            with np.errstate(all="ignore"):
                x, y = (values(fmt, codes) for fmt, codes in zip(pair, (a, b), strict=True))
                total = x @ np.swapaxes(y, -1, -2)
                error = rng.choice([0.0, 1.0], shape) * np.exp2(-rng.integers(1, 26, shape))
                return (-total * (1 + sign * error)).astype(dtype)


def draw_scales(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Array:
    """Draw float32 scales."""
    spread = {"ordinary": 3.0, "powers": 12.0, "extreme": 70.0}[kind]
    scales = np.asarray(np.exp2(rng.uniform(-spread, spread, shape)), np.float32)
    return np.asarray(np.exp2(np.rint(np.log2(scales))), np.float32) if kind == "powers" else scales


def scale_shapes(scaling: str, m: int, n: int, k: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of the scales of a and of b."""
    blocks = -(-k // 128)
    return {
        "tensor": ((), ()),
        "row": ((m, 1), (1, n)),
        "1x128": ((m, blocks), (blocks, n)),
        "128x128": ((m, blocks), (blocks, -(-n // 128))),
    }[scaling]
