"""What is checked of arguments everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["as_array", "refuse_mask"]


def as_array(x: Any, argument: str = "x") -> npt.NDArray[Any]:  # noqa: ANN401 - whatever NumPy reads
    """
    Return `x` as an array, without need no copy; TypeError if it is masked, or has masked parts.

    ValueError if it is ragged.
    """
    refuse_mask(x, argument)
    try:
        return np.asarray(x)
    except ValueError as error:
        msg = f"{argument} must be an array of numbers, got {type(x).__name__}: {error}"
        raise ValueError(msg) from error


def refuse_mask(x: object, argument: str) -> None:
    """Refuse a masked array, whose mask NumPy would forget, also within a list."""
    if isinstance(x, np.ma.MaskedArray):
        msg = (
            f"{argument} must not be a masked array, whose mask would be forgotten, got {x.dtype} "
            f"of shape {x.shape} with {int(np.ma.getmaskarray(x).sum())} masked; .filled(value) "
            "gives these a value, .compressed() leaves them out"
        )
        raise TypeError(msg)
    if isinstance(x, list | tuple):
        for part in x:
            if isinstance(part, list | tuple | np.ma.MaskedArray):
                refuse_mask(part, argument)
