"""
A scaled array in a few lines: what it is made of, and a picture of its scales.

::

    ScaledArray of E4M3FN, shape (4, 70): te-mxfp8, 4 x 3 scales in E8M0FNU
    blocks 1 x 32 along axis 1, the last of 6
    log2 of the scales from -9 to 2:
    ▁▃█
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fp8num._kernels.float32 import as_float64

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.scaled.array import ScaledArray

__all__ = ["picture"]

_BARS = "▁▂▃▄▅▆▇█"
_ROWS, _COLUMNS = 8, 64


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
