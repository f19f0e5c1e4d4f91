"""Rules that find a tensor's scale: what its elements are multiplied by before encoding."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fp8num.formats import Format

__all__ = ["RULES", "no_scale", "tensor_scale"]


def no_scale(fmt: Format, amax: float, *, wide: bool) -> float:  # noqa: ARG001 - a rule's form
    """Return 1: elements are encoded as they are."""
    return 1.0


def tensor_scale(fmt: Format, amax: float, *, wide: bool) -> float:
    """
    Return the scale that takes the largest magnitude to the format's largest value.

    Parameters
    ----------
    fmt : Format
        A format that fits float64.
    amax : float
        The largest finite magnitude of the tensor, 0.0 if there is none.
    wide : bool
        Whether scale and products are float64, or float32.

    Returns
    -------
    float
        ``fmt.max / amax`` rounded to that type, no further than its normal numbers
        reach; 1.0 if `amax` is 0.  Products with it do not overflow that type.
    """
    dtype = np.float64 if wide else np.float32
    info = np.finfo(dtype)
    if amax == 0.0:
        return 1.0
    # One step below the largest number leaves room for the product's rounding.
    target = min(float(fmt.max), float(np.nextafter(info.max, dtype(0))))
    quotient = target / amax  # infinite for the smallest ones
    return float(dtype(min(max(quotient, float(info.tiny)), float(info.max))))


#: The rules by name: ``rule(fmt, amax, wide=)`` returns the scale.
RULES: Mapping[str, Callable[..., float]] = MappingProxyType(
    {"none": no_scale, "tensor": tensor_scale}
)
