"""
All rules side by side where they differ: on blocks of one value at the corners.

::

    a block whose largest magnitude is 480/128 --> mxfp8: 2^-7, 3.5   te-mxfp8: 2^-6, 3.75
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fp8num._kernels.float32 import as_float32, as_float64
from fp8num._kernels.state import float_arithmetic
from fp8num.scaling.catalogue import RULES, get_rule
from fp8num.scaling.quantize import scale_quantize

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from fp8num.scaling.rule import Rule

__all__ = ["CORNERS", "corner_frame"]

_LARGEST = float(np.finfo(np.float32).max)

#: The corners by name: the largest magnitude of a block, a float32 number.
CORNERS = {
    "0": 0.0,
    "2^-149": 2.0**-149,
    "1e-37": float(np.float32(1e-37)),
    "1e-20": float(np.float32(1e-20)),
    "1e-5": float(np.float32(1e-5)),
    "below 1": 1 - 2.0**-24,
    "1": 1.0,
    "above 1": 1 + 2.0**-23,
    "1.75": 1.75,
    "above 1.75": 1.75 + 2.0**-23,
    "480/128": 480 / 128,
    "below 512": 512 - 2.0**-15,
    "largest": _LARGEST,
    "infinity": float("inf"),
    "NaN": float("nan"),
}


@float_arithmetic
def corner_frame(rules: Iterable[str | Rule] | None = None) -> pd.DataFrame:
    """
    Return what rules make of the corners.

    Parameters
    ----------
    rules : iterable of str or Rule, optional
        The default is all that round the same way every time.

    Returns
    -------
    pandas.DataFrame
        A row per rule and corner: rule, format, corner, amax, scale (float32: what a
        decoded value is multiplied by), code, and value (dequantised).  The block is one
        value and zeros, as long as a Hadamard tile where the rule has one.
    """
    import pandas as pd

    rows = []
    for rule in RULES.values() if rules is None else map(get_rule, rules):
        if rule.cast.is_random:
            continue
        tile = 1 if rule.rotation is None else len(rule.rotation.signs)
        for corner, amax in CORNERS.items():
            block = np.zeros((1, tile), np.float32)
            block[0, :1] = as_float32(np.array([amax]))  # by its bits, as what comes back
            scaled = scale_quantize(block, rule)
            rows.append(
                {
                    "rule": rule.name,
                    "format": scaled.format.name,
                    "corner": corner,
                    "amax": amax,
                    "scale": float(as_float64(scaled.scales.reshape(-1))[0]),
                    "code": int(scaled.codes[0, 0]),
                    "value": float(as_float64(scaled.dequantize())[0, 0]),
                }
            )
    return pd.DataFrame(rows)
