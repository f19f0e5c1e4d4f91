"""
Train a net in a recipe of small formats, and tell what happened.

::

    data, recipe, seed --train--> Run: model, history, losses, accuracies, captures
                         |   ^
                         v   | resume
                       checkpoint
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import flag, integer, refuse, refuse_kind
from fp8num._kernels.state import float_arithmetic
from fp8num._text import shown
from fp8num.nn.checkpoints import check_settings, load_checkpoint, save_checkpoint
from fp8num.nn.dataset import Dataset
from fp8num.nn.loop import Loop, evaluate
from fp8num.nn.run import Evaluation, Run, TrainingDiverged
from fp8num.nn.settings import (
    OptimizerMaker,
    RecipeOfLayers,
    check_callable,
    describe_dataset,
    describe_optimizer,
    describe_plan,
    describe_recipes,
    describe_scaler,
    make_model,
    make_optimizer,
    make_plan,
    make_recipes,
    make_widths,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fp8num.nn.history import StepRecord
    from fp8num.nn.loss_scaling import LossScaler
    from fp8num.nn.recipes import Recipe
    from fp8num.nn.run import Diagnosis
    from fp8num.nn.schedules import Schedule

__all__ = ["Run", "train"]

Array: TypeAlias = npt.NDArray[Any]


@float_arithmetic
def train(
    dataset: Dataset,
    *,
    sizes: Sequence[int] | Array | None = None,
    recipe: str | Recipe = "te-current",
    first_recipe: str | Recipe | None = None,
    last_recipe: str | Recipe | None = None,
    seed: int = 0,
    epochs: int = 30,
    batch: int = 64,
    lr: float = 1e-2,
    optimizer: OptimizerMaker = "adamw",
    schedule: str | Schedule = "cosine",
    clip: float | None = None,
    loss_scaler: LossScaler | None = None,
    stats_every: int = 10,
    divergence: float | None = 4.0,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int | None = None,
    resume: bool = False,
    progress: Callable[[StepRecord], object] | None = None,
    capture: Collection[int] = (),
) -> Run:
    """
    Train a multilayer perceptron to tell classes apart.

    Parameters
    ----------
    dataset : Dataset
        What to learn, and what to be judged by.
    sizes : sequence of int or ndarray, optional
        Widths from the inputs to the classes; one hidden layer of 128.
    recipe : str or Recipe, optional
        Formats, scaling and accumulators of all layers,
    first_recipe, last_recipe : str or Recipe, optional
        but of the first and the last, which are often kept in higher precision.
    seed : int, optional
        Of the weights and of the order of inputs: the same for each recipe.
    epochs, batch : int, optional
        How often to go through the data, and how many inputs make a step.
    lr : float, optional
        Highest learning rate.
    optimizer : str or callable, optional
        ``"adamw"``, ``"adam"``, ``"sgd"`` (momentum 0.9), or a function from parameters and
        learning rate to an optimizer with that rate.  Its attributes are settings that a
        checkpoint is of, so they must be numbers, text, arrays, or collections of these;
        those whose names begin with ``_`` need not be.
    schedule : str or callable, optional
        ``"cosine"``, ``"linear"``, ``"constant"``, or a function from steps to rates.
    clip : float, optional
        Largest norm of all gradients; longer ones are shortened.
    loss_scaler : LossScaler, optional
        A copy of it is used; without one the loss is not scaled.  Formats that saturate make
        no infinity, by which a dynamic scale backs off, unless it is made with
        ``saturation_is_overflow=True``.
    stats_every : int, optional
        At every so many steps, and at the last, casts are measured.
    divergence : float, optional
        Stop when the mean loss of 20 steps is above so many times that of the first step, or
        that of knowing nothing if it is larger; None never does.
    checkpoint : path, optional
        File to go on from after a breakdown.
    every : int, optional
        Steps from one checkpoint to the next; an epoch.
    resume : bool, optional
        Go on from the checkpoint, to the bits that an unbroken training gives.
    progress : callable, optional
        Called with the record of each step.
    capture : collection of int, optional
        Steps whose operands and gradients to keep, and with them those of a step at which the
        training diverges.

    Returns
    -------
    Run
        The trained net, and what happened.

    Raises
    ------
    TrainingDiverged
        If a loss or an unscaled gradient is not finite, the loss has grown (see `divergence`),
        or 50 steps in a row were skipped; its `diagnosis` names the first tensor that went
        wrong, and `partial` is the run until then, with `history` and `captures`.
    TypeError, ValueError
        If an argument is not what it must be, no layer has `recipe`, or the checkpoint is of
        another training.
    FileNotFoundError, FileExistsError
        If there is no checkpoint to resume from, or one that would be overwritten.

    Notes
    -----
    Weights and optimizer are float32.  Results depend neither on the number of threads nor on
    where a training was broken off; only the sums of the accumulator ``"blas-float32"`` may
    differ with the number of BLAS's threads.

    Examples
    --------
    >>> from fp8num.nn.data import spirals
    >>> run = train(spirals(n=300, test=90), recipe="mxfp8", epochs=2)
    >>> len(run.history.steps), run.parameters, run.held_out.count
    (10, 771, 90)
    """
    _check_kinds(dataset, checkpoint, resume=resume)
    check_callable("progress", progress)
    widths = make_widths(sizes, dataset)
    recipes, scaler = make_recipes(
        widths, loss_scaler, recipe=recipe, first_recipe=first_recipe, last_recipe=last_recipe
    )
    plan = make_plan(
        dataset,
        epochs=epochs,
        batch=batch,
        lr=lr,
        schedule=schedule,
        clip=clip,
        stats_every=stats_every,
        divergence=divergence,
        capture=capture,
    )
    every = plan.per_epoch if every is None else integer("every", every, 1)
    for_weights, for_order = np.random.SeedSequence(integer("seed", seed, 0)).spawn(2)
    model = make_model(widths, recipes, rng=np.random.default_rng(for_weights))
    stepper = make_optimizer(optimizer, model.parameters(), lr)
    settings = {
        "data": describe_dataset(dataset),
        "sizes": list(widths),
        **describe_recipes(recipes),
        "seed": int(seed),
        "optimizer": describe_optimizer(stepper),
        "loss scaling": describe_scaler(scaler),
        **describe_plan(plan, schedule, lr),
    }
    loop = Loop(plan, model, stepper, scaler, np.random.default_rng(for_order))
    save = _open_checkpoint(checkpoint, settings, loop, resume=resume)
    try:
        loop.run(progress=progress, save=save, every=every)
    except TrainingDiverged as stopped:
        partial = _run(loop, recipes, settings, stopped.diagnosis)
        raise TrainingDiverged(stopped.diagnosis, partial) from None
    return _run(loop, recipes, settings)


def _check_kinds(dataset: object, checkpoint: object, *, resume: object) -> None:
    """Refuse what cannot be a data set, a path or a flag."""
    if not isinstance(dataset, Dataset):
        refuse_kind("dataset", "a Dataset", dataset, "digits() makes one")
    if not isinstance(checkpoint, str | bytes | os.PathLike | None):
        refuse("checkpoint", "a path or None", checkpoint, "name a file", TypeError)
    flag("resume", resume, advice="checkpoint names the file")


def _run(
    loop: Loop,
    recipes: RecipeOfLayers,
    settings: dict[str, Any],
    diagnosis: Diagnosis | None = None,
) -> Run:
    """Return what a loop has come to; a net that diverged is not worth an evaluation."""
    data, nothing = loop.plan.dataset, Evaluation(0, math.nan, math.nan)
    over, model = diagnosis is None, loop.model
    found = recipes["recipe"]
    assert found is not None
    return Run(
        model=model,
        recipe=found,
        first_recipe=recipes["first_recipe"],
        last_recipe=recipes["last_recipe"],
        history=loop.history,
        train=evaluate(model, data.x, data.y) if over else nothing,
        held_out=evaluate(model, data.test_x, data.test_y) if over else nothing,
        loss_scale=loop.scaler.scale,
        settings=settings,
        captures=loop.captures,
        diagnosis=diagnosis,
    )


def _open_checkpoint(
    path: str | os.PathLike[str] | None, settings: dict[str, Any], loop: Loop, *, resume: bool
) -> Callable[[], None] | None:
    """Resume from a file if asked to, and return what writes it; None without one."""
    if path is None:
        if resume:
            msg = "resume must come with a checkpoint, got None; name the file to go on from"
            raise ValueError(msg)
        return None
    target = Path(os.fsdecode(path))
    if resume:
        found = load_checkpoint(target)
        check_settings(target, found.settings, settings)
        try:
            loop.restore(found.state)
        except (TypeError, ValueError) as error:
            msg = f"checkpoint {shown(str(target))} does not hold this training: {error}"
            raise ValueError(msg) from error
    elif target.exists():
        msg = (
            f"checkpoint {shown(str(target))} exists; resume from it, remove it, or name another "
            "file"
        )
        raise FileExistsError(msg)
    elif not target.parent.is_dir():
        msg = f"checkpoint {shown(str(target))} must lie in a folder that exists; make it first"
        raise FileNotFoundError(msg)
    return lambda: save_checkpoint(target, settings, loop.state())
