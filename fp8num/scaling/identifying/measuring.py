"""
Whether codes times the scales or codes over them are the source.

::

    |decode(codes) * s - x| / |x|   against   |decode(codes) / s - x| / |x|
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float64
from fp8num.scaling.identifying.encoding import pieces

if TYPE_CHECKING:
    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.predicting import Predictor

__all__ = ["descale_errors"]

#: Pieces of the array that are looked at.
_LOOKED_AT = 8


def descale_errors(
    candidate: Candidate, scales: npt.NDArray[np.float32], predictor: Predictor
) -> tuple[float, float]:
    """
    Return the relative errors of codes times scales, and of codes over them.

    Parameters
    ----------
    candidate : Candidate
        Says where blocks are, and the codes' format.
    scales : ndarray of float32
        The dump's, one per block; a tensor's scale is not in them.
    predictor : Predictor
        The source and the codes.

    Returns
    -------
    tuple of float
        Norms of the errors over the source's, of finite elements of some pieces of the
        array; NaN if the source's is 0.
    """
    values = predictor.values(candidate.rule, candidate.axis)
    wide = as_float64(np.ascontiguousarray(scales)).reshape(scales.shape)
    table = candidate.fmt.values
    totals = np.zeros(3)
    for region in pieces(candidate.blocks, _LOOKED_AT)[:_LOOKED_AT]:
        exact = np.ascontiguousarray(region.split(values))
        exact = as_float64(exact).reshape(exact.shape)
        decoded = table.take(region.split(predictor.codes))
        factor = region.spread(wide)
        with np.errstate(all="ignore"):
            errors = (exact, decoded * factor - exact, decoded / factor - exact)
            finite = np.isfinite(exact)
            for i, error in enumerate(errors):
                known = np.where(np.isnan(error), np.inf, error)
                totals[i] += (np.where(finite, known, 0.0) ** 2).sum()
    with np.errstate(all="ignore"):
        return float(np.sqrt(totals[1] / totals[0])), float(np.sqrt(totals[2] / totals[0]))
