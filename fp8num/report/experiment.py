"""
The training that a report shows: FP32 against FP8 on the built-in digits, in processes.

::

    digits, seeds --> tasks --> workers, a thread each --> outcomes in order --> Comparison
                            '-> this process, where there can be no workers --^
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

from fp8num._arguments import MOST_AT_ONCE, integer
from fp8num._kernels.state import float_arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from fp8num.nn import Comparison, Recipe
    from fp8num.nn.outcome import Outcome

__all__ = ["RECIPES", "SEEDS", "compare_on_digits"]

RECIPES = ("te-current", "fp8-unscaled")  #: what fp32 is compared with by default
SEEDS = 20  #: trainings of each; they tell 0.3 points
EPOCHS = 20
STATS_EVERY = 50  #: steps from one count of lost elements to the next; the last is counted too
MOST_WORKERS = 8  #: each takes half a second to start

#: Where there are no semaphores, processes may not be made, or a worker was ended.
_NO_PROCESSES = (BrokenExecutor, ImportError, NotImplementedError, OSError)


@float_arithmetic
def compare_on_digits(
    recipes: Sequence[str | Recipe] = RECIPES,
    *,
    seeds: int | Sequence[int] = SEEDS,
    epochs: int = EPOCHS,
    workers: int | None = None,
    progress: Callable[[Outcome], object] | None = None,
) -> Comparison:
    """
    Train on the built-in digits in float32 and in other recipes.

    Parameters
    ----------
    recipes : sequence of (str or Recipe), optional
        What to compare with fp32.
    seeds : int or sequence of int, optional
        How many trainings of each, or which: of the weights, of the order of the images, and
        of the fifth of them that is held out.
    epochs : int, optional
        How often each image is trained on.
    workers : int, optional
        Processes; the default is one for each processor that may be used, at most 8.  With 1,
        or where no process can be made, this one trains.
    progress : callable, optional
        Called with each outcome, in the order of seeds and recipes.

    Returns
    -------
    Comparison
        It does not depend on `workers`, as products are correctly rounded; those of the
        accumulator ``"blas-float32"`` may.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it must be.

    Notes
    -----
    Workers have one thread of BLAS each.  This process keeps its own: where it trains beside
    other work, ``OMP_NUM_THREADS=1`` set before it starts keeps threads from waiting for each
    other.

    A program that calls this from its main module needs ``if __name__ == "__main__":``, as
    for anything that starts processes.

    Examples
    --------
    >>> found = compare_on_digits(["mxfp8"], seeds=2, epochs=1, workers=1)
    >>> found.recipes, found["mxfp8"].n
    (('fp32', 'mxfp8'), 2)
    """
    from fp8num.nn import compare, digits, processes

    reported = 0

    def run(executor: Executor | None) -> Comparison:
        done = 0

        def report(outcome: Outcome) -> None:
            nonlocal done, reported
            done += 1
            if progress is not None and done > reported:  # not again what broken workers did
                progress(outcome)
                reported = done

        return compare(
            digits,
            recipes,
            seeds=seeds,
            epochs=epochs,
            stats_every=STATS_EVERY,
            executor=executor,
            progress=report,
        )

    count = _processors() if workers is None else integer("workers", workers, 1, MOST_AT_ONCE)
    if count > 1 and not multiprocessing.current_process().daemon:  # which may have no children
        try:
            with processes(count) as executor:
                return run(executor)
        except _NO_PROCESSES:
            pass  # an error of the training itself comes again below
    return run(None)


def _processors() -> int:
    """Return how many processors this process may use, at most as many as are of use."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return min(os.cpu_count() or 1, MOST_WORKERS)
