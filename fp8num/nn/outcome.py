"""
What came out of one training of a comparison: small, and sent between processes.

::

    train --> Run --> Outcome: accuracy and log-loss held out, losses of steps, shares lost
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Outcome", "Share", "mean_of_known", "mean_shares"]


@dataclass(frozen=True, slots=True)
class Share:
    """What became of a tensor's elements in a training."""

    layer: str  #: which tensor, and what it was cast to
    role: str
    format: str
    #: mean over the steps that were measured of the share of nonzero elements that became zero, and
    #: of elements beyond the largest value; NaN where there was none
    flushed: float
    saturated: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came out of one training."""

    recipe: str  #: what it is called in the comparison
    seed: int  #: which one; the fold is 0 where there are none
    fold: int
    held_out: int = 0  #: inputs that accuracy and loss are of; 0 if the training diverged
    accuracy: float = math.nan  #: on the data held out; NaN if the training diverged
    loss: float = math.nan
    train_accuracy: float = math.nan  #: on those trained on
    train_loss: float = math.nan
    losses: tuple[float, ...] = ()  #: of each step that was made
    per_epoch: int = 1  #: how many steps make an epoch
    skipped: int = 0  #: steps that the optimizer did not make
    shares: tuple[Share, ...] = ()  #: one for each tensor
    diverged: str = ""  #: why the training stopped; empty if it did not
    #: all that the result depends on, as JSON can hold it
    settings: dict[str, Any] = field(default_factory=dict)


def mean_shares(shares: Iterable[Share]) -> tuple[Share, ...]:
    """Return the mean shares of each tensor."""
    found: dict[tuple[str, str, str], list[Share]] = {}
    for share in shares:
        found.setdefault((share.layer, share.role, share.format), []).append(share)
    return tuple(
        Share(
            *key,
            mean_of_known([one.flushed for one in some]),
            mean_of_known([one.saturated for one in some]),
        )
        for key, some in found.items()
    )


def mean_of_known(values: Iterable[float]) -> float:
    """Return the mean of those that are numbers, rounded from the exact sum; NaN of none."""
    kept = [value for value in values if not math.isnan(value)]
    return math.fsum(kept) / len(kept) if kept else math.nan
