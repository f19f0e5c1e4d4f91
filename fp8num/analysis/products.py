"""
What accumulators make of one product: their errors beside each other.

::

    a, b --exact--> float64 --|
    a, b --hopper-> float32 --|--> largest error, error in norm, bias, share that differs
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.state import float_arithmetic
from fp8num.accumulate import Accumulator, get_accumulator, matmul

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fp8num.scaled import ScaledArray

__all__ = ["ProductError", "compare_accumulators"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductError:
    """
    How far an accumulator's product is from the exact one.

    Parameters
    ----------
    accumulator, verified : str
        Its name, and what its model rests on.
    outputs, not_finite : int
        Elements of the product, and how many of them are infinite or NaN under this
        accumulator or exactly; those take no part in what follows.
    differing : float
        Share of the outputs that are not the exact product rounded to float32.
    max_abs_error : float
        The largest error.
    relative_frobenius : float
        Norm of the errors over that of the exact product.
    max_scaled_error : float
        The largest error over the sum of the products' magnitudes, ``|A| |B|``, which is
        what bounds for accumulation are stated in.
    bias : float
        Sum of the errors away from zero over the sum of the magnitudes: negative if the
        accumulator shrinks sums, as truncation does.
    seconds : float
        Time that the product took here, on one thread.
    """

    accumulator: str
    verified: str
    outputs: int
    not_finite: int
    differing: float
    max_abs_error: float
    relative_frobenius: float
    max_scaled_error: float
    bias: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a dictionary that JSON can hold; NaN is None."""
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in asdict(self).items()
        }


@float_arithmetic
def compare_accumulators(
    a: ScaledArray, b: ScaledArray, accumulators: Iterable[Accumulator | str]
) -> tuple[ProductError, ...]:
    """
    Multiply two matrices under several accumulators, and measure their errors.

    Parameters
    ----------
    a, b : ScaledArray, shapes (M, K) and (K, N)
        The operands.
    accumulators : iterable of Accumulator or str
        Names of `ACCUMULATORS`, or accumulators.

    Returns
    -------
    tuple of ProductError
        One for each, in their order.

    Raises
    ------
    ValueError
        If shapes do not contract, there is no accumulator, or one does not take the
        operands.

    Notes
    -----
    The exact product is rounded to float64 once.  Sums of products' magnitudes are
    float64's own, with BLAS.

    Examples
    --------
    >>> import numpy as np
    >>> import fp8num as fp
    >>> rng = np.random.default_rng(0)
    >>> a = fp.scale_quantize(rng.random((4, 512)), "tensor")
    >>> b = fp.scale_quantize(rng.random((512, 4)), "tensor", axis=0)
    >>> exact, hopper = compare_accumulators(a, b, ["exact", "hopper"])
    >>> exact.differing, hopper.bias < 0
    (0.0, True)
    """
    units = [get_accumulator(unit) for unit in accumulators]
    if not units:
        msg = "accumulators must name at least one, got none"
        raise ValueError(msg)
    for name, x in (("a", a), ("b", b)):
        if x.ndim != 2:
            msg = f"{name} must be a matrix, got shape {x.shape}; compare one product at a time"
            raise ValueError(msg)
    exact = matmul(a, b, accumulator="exact", out_dtype=np.float64)
    magnitude = np.abs(a.dequantize(np.float64)) @ np.abs(b.dequantize(np.float64))
    return tuple(_measure(unit, a, b, exact, magnitude) for unit in units)


def _measure(
    unit: Accumulator,
    a: ScaledArray,
    b: ScaledArray,
    exact: npt.NDArray[np.float64],
    magnitude: npt.NDArray[np.float64],
) -> ProductError:
    begin = time.perf_counter()
    found = matmul(a, b, accumulator=unit)
    seconds = time.perf_counter() - begin
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        usable = np.isfinite(found) & np.isfinite(exact)
        error = np.where(usable, found.astype(np.float64) - exact, 0.0)
        kept = np.where(usable, exact, 0.0)
        share = np.abs(error) / magnitude
        differs = (found != rounded) & ~(np.isnan(found) & np.isnan(rounded))
        norm, total = float(np.linalg.norm(kept)), float(np.abs(kept).sum())
    return ProductError(
        accumulator=unit.name,
        verified=unit.verified,
        outputs=found.size,
        not_finite=int(found.size - usable.sum()),
        differing=float(differs.mean()) if found.size else float("nan"),
        max_abs_error=float(np.abs(error).max(initial=0.0)) if usable.any() else float("nan"),
        relative_frobenius=float(np.linalg.norm(error)) / norm if norm else float("nan"),
        max_scaled_error=float(np.max(share, where=usable & (magnitude > 0), initial=0.0))
        if usable.any()
        else float("nan"),
        bias=float((error * np.sign(kept)).sum()) / total if total else float("nan"),
        seconds=seconds,
    )
