"""
Recipes against each other: the same weights, data and order, many seeds, error bars.

::

    seed, fold --> Dataset --+-- baseline --train--> Outcome --+
                             +-- recipe ----train--> Outcome --+--> Comparison
    tasks in order --> here, or any executor --> outcomes in the same order
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import integer, number, refuse, refuse_kind
from fp8num._kernels.state import float_arithmetic
from fp8num._tasks import check_executor, in_order
from fp8num._text import brief
from fp8num.nn.comparison import Comparison
from fp8num.nn.dataset import Dataset
from fp8num.nn.outcome import Outcome, Share, mean_shares
from fp8num.nn.recipes import Recipe, get_recipe
from fp8num.nn.run import Run, TrainingDiverged
from fp8num.nn.settings import (
    OptimizerMaker,
    check_callable,
    make_model,
    make_optimizer,
    make_plan,
    make_recipes,
    make_widths,
)
from fp8num.nn.train import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor

    from fp8num.nn.loss_scaling import LossScaler
    from fp8num.nn.schedules import Schedule

__all__ = ["compare"]

#: Options of a training by the name of each recipe.
Arms: TypeAlias = "dict[str, dict[str, Any]]"
#: What a training depends on: its name, seed, fold, data, and options.
Task: TypeAlias = "tuple[str, int, int, Dataset, dict[str, Any]]"

#: What may differ between recipes besides the recipe: not weights, data or order.
LAYERS = ("recipe", "first_recipe", "last_recipe")
OWN = (*LAYERS, "lr", "optimizer", "schedule", "clip", "loss_scaler")
#: Tasks that an executor is given at once.
WAITING = 64


@float_arithmetic
def compare(
    dataset: Dataset | Callable[..., Dataset],
    recipes: Sequence[str | Recipe] | Mapping[str, str | Recipe | Mapping[str, object]],
    *,
    baseline: str | Recipe | None = None,
    seeds: int | Sequence[int] | npt.NDArray[Any] = 10,
    folds: int | None = None,
    sizes: Sequence[int] | npt.NDArray[Any] | None = None,
    epochs: int = 30,
    batch: int = 64,
    lr: float = 1e-2,
    optimizer: OptimizerMaker = "adamw",
    schedule: str | Schedule = "cosine",
    clip: float | None = None,
    loss_scaler: LossScaler | None = None,
    stats_every: int = 10,
    divergence: float | None = 4.0,
    margin: float = 0.003,
    executor: Executor | None = None,
    progress: Callable[[Outcome], object] | None = None,
) -> Comparison:
    """
    Train a net in several recipes and many times, and compare them pair by pair.

    Parameters
    ----------
    dataset : Dataset or callable
        What to learn; or a function ``dataset(seed=...)``, with `folds`
        ``dataset(seed=..., fold=...)``, such as `digits`, that returns it.
    recipes : sequence of (str or Recipe), or mapping
        What to compare, at least one besides the baseline.  A mapping gives names of one's
        own to recipes, or to mappings of options that differ: ``recipe``, ``first_recipe``,
        ``last_recipe``, ``lr``, ``optimizer``, ``schedule``, ``clip``, ``loss_scaler``.
    baseline : str or Recipe, optional
        What to compare with: a key of a mapping of recipes, with the options that it has
        there; or a recipe or its name, which need not be among the recipes and is trained
        with the options of all.  The default is the recipe fp32.
    seeds : int or sequence of int or ndarray, optional
        How many, from 0, or which: of weights and of the order of inputs.
    folds : int, optional
        Trainings of each seed, whose mean is the seed's result.
    sizes, epochs, batch, lr, optimizer, schedule, clip, loss_scaler, stats_every, divergence
        As for `train`; the same for every recipe, unless it has its own.
    margin : float, optional
        Difference of accuracies that does not matter; 0.003 is 0.3 points.
    executor : concurrent.futures.Executor, optional
        Does the trainings, by default this thread; it is not shut down.  `processes` offers
        one.  The result does not depend on it, but with the accumulator ``"blas-float32"``,
        whose sums may differ with the number of BLAS's threads.  Functions must be what it
        can send.
    progress : callable, optional
        Called with each outcome, in the order of seeds, folds and recipes.

    Returns
    -------
    Comparison
        A training that diverged is part of it, and leaves its seed out of the means.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it must be.

    Notes
    -----
    Every recipe has the same initial weights, data and order of inputs in the same seed and
    fold.  The same versions of the libraries give the same bits.

    Examples
    --------
    >>> from fp8num.nn.data import spirals
    >>> data = spirals(n=60, test=30)
    >>> found = compare(data, ["mxfp8"], seeds=2, epochs=1, sizes=(2, 8, 3))
    >>> [(one.recipe, one.n, one.decision) for one in found.results][0]
    ('fp32', 2, 'baseline')
    """
    numbers = _seeds(seeds)
    count = None if folds is None else integer("folds", folds, 1)
    margin = number("margin", margin, above=0, below=1)
    arms, first = _arms(recipes, baseline)
    check_executor(executor)
    check_callable("progress", progress)
    shared: dict[str, Any] = {
        "sizes": sizes,
        "epochs": integer("epochs", epochs, 1),
        "batch": integer("batch", batch, 1),
        "lr": lr,
        "optimizer": optimizer,
        "schedule": schedule,
        "clip": clip,
        "loss_scaler": loss_scaler,
        "stats_every": stats_every,
        "divergence": divergence,
    }
    data = _datasets(dataset, numbers, count, shared["batch"])
    tasks = _tasks(data, arms, shared)
    outcomes = []
    for outcome in in_order(_train, tasks, executor, WAITING):
        outcomes.append(outcome)
        if progress is not None:
            progress(outcome)
    return Comparison(tuple(outcomes), first, margin)


# What is asked for.


#: More trainings than anybody waits for.
MOST_SEEDS = 1_000_000


def _seeds(seeds: int | Sequence[int] | npt.NDArray[Any]) -> tuple[int, ...]:
    """Return the seeds, each once."""
    if isinstance(seeds, np.ndarray) and seeds.ndim:
        seeds = seeds.tolist()
    if isinstance(seeds, str) or not isinstance(seeds, Sequence | range):
        return tuple(range(integer("seeds", seeds, 1, MOST_SEEDS)))
    if len(seeds) > MOST_SEEDS:
        msg = f"seeds must be at most {MOST_SEEDS}, got {len(seeds)} of them"
        raise ValueError(msg)
    found = tuple(integer("a seed of seeds", seed, 0) for seed in seeds)
    if not found or len(set(found)) < len(found):
        refuse("seeds", "a number or different seeds, at least one", found)
    return found


def _arms(
    recipes: Sequence[str | Recipe] | Mapping[str, str | Recipe | Mapping[str, object]],
    baseline: str | Recipe | None,
) -> tuple[Arms, str]:
    """Return every recipe's options, the baseline first, and the baseline's name."""
    arms: Arms = {}
    if isinstance(recipes, Mapping):
        for name, value in recipes.items():
            if not isinstance(name, str) or not name.isprintable() or not name.strip():
                refuse("a name of recipes", "printable text", name, kind=TypeError)
            arms[name] = _options(name, value)
    elif isinstance(recipes, Sequence) and not isinstance(recipes, str):
        for recipe in map(get_recipe, recipes):
            if recipe.name in arms:
                msg = (
                    f"recipes must have different names, got {brief(recipe.name)} twice; "
                    "a mapping gives them others"
                )
                raise ValueError(msg)
            arms[recipe.name] = {"recipe": recipe}
    else:
        refuse("recipes", "a sequence or a mapping", recipes, "['mxfp8'] is one", TypeError)
    if not arms:
        msg = "recipes must be at least one, got none"
        raise ValueError(msg)
    first = _add_baseline(arms, baseline)
    if len(arms) == 1:
        msg = f"recipes must have one besides the baseline, {first!r}, got no other"
        raise ValueError(msg)
    return {first: arms[first], **arms}, first


def _add_baseline(arms: Arms, baseline: str | Recipe | None) -> str:
    """Return the baseline's name, which is among the recipes then."""
    if isinstance(baseline, str) and baseline in arms:
        return baseline
    try:
        found = get_recipe("fp32" if baseline is None else baseline)
    except (TypeError, ValueError) as error:
        msg = f"baseline{str(error).removeprefix('recipe')}"
        raise type(error)(msg) from None
    own = arms.setdefault(found.name, {"recipe": found})
    if baseline is None and own["recipe"] != found:
        msg = (
            f"recipes must not give another recipe, {own['recipe'].name!r}, the name "
            f"{found.name!r} of the default baseline; call it something else, or say "
            f"baseline={found.name!r} to compare with it"
        )
        raise ValueError(msg)
    if baseline is not None and own != {"recipe": found}:
        msg = (
            "baseline must not share its name with another of recipes, or with one that has "
            f"options of its own, got {brief(found.name)}; to compare with that, give the name as "
            "text"
        )
        raise ValueError(msg)
    return found.name


def _options(name: str, value: str | Recipe | Mapping[str, object]) -> dict[str, Any]:
    """Return the options of a recipe that has a name of its own."""
    if not isinstance(value, Mapping):
        return {"recipe": get_recipe(value)}
    if wrong := [key for key in value if key not in OWN]:
        refuse(f"options of {name!r}", f"among {', '.join(OWN)}", wrong[0])
    options: dict[str, Any] = dict(value)
    if "recipe" not in options:
        msg = f"options of {name!r} must name a recipe, got {', '.join(options) or 'none'}"
        raise ValueError(msg)
    return options | {"recipe": get_recipe(options["recipe"])}


# What is trained on.


def _datasets(
    dataset: Dataset | Callable[..., Dataset],
    seeds: Sequence[int],
    folds: int | None,
    batch: int,
) -> Iterator[tuple[int, int, Dataset]]:
    """Yield each seed's and fold's data, all of one kind."""
    if isinstance(dataset, Dataset):
        if folds is not None:
            msg = (
                f"folds must be None with one data set, got {folds}; give a function that "
                "returns the data of a seed and fold, such as digits"
            )
            raise ValueError(msg)
    elif not callable(dataset):
        wanted = "a Dataset or a function that returns one"
        refuse_kind("dataset", wanted, dataset, "digits() makes one")
    kind: tuple[int, int, int] | None = None
    for seed in seeds:
        for fold in range(1 if folds is None else folds):
            found: object = dataset
            if not isinstance(dataset, Dataset):
                found = dataset(seed=seed) if folds is None else dataset(seed=seed, fold=fold)
            data = _usable(found)
            steps = -(-len(data.x) // batch)
            kind = kind or (data.features, data.classes, steps)
            if kind != (data.features, data.classes, steps):
                msg = (
                    "dataset must have the same features, classes and steps of an epoch for "
                    f"every seed and fold, got {kind} and in seed {seed}, fold {fold} "
                    f"{(data.features, data.classes, steps)}"
                )
                raise ValueError(msg)
            yield seed, fold, data


def _usable(data: object) -> Dataset:
    """Refuse what cannot be compared on."""
    if not isinstance(data, Dataset):
        refuse_kind("what dataset returns", "a Dataset", data)
    if not len(data.x) or not len(data.test_x):
        msg = (
            f"dataset must have inputs to train on and inputs held out, {data.name!r} has "
            f"{len(data.x)} and {len(data.test_x)}"
        )
        raise ValueError(msg)
    return data


def _check(data: Dataset, options: dict[str, Any]) -> None:
    """Refuse what `train` would, with all recipes and before the first training."""
    names = ("epochs", "batch", "lr", "schedule", "clip", "stats_every", "divergence")
    make_plan(data, **{name: options[name] for name in names}, capture=())
    widths = make_widths(options["sizes"], data)
    named = {name: options.get(name) for name in LAYERS}
    recipes, _ = make_recipes(widths, options["loss_scaler"], **named)
    model = make_model(widths, recipes, rng=np.random.default_rng(0))
    make_optimizer(options["optimizer"], model.parameters(), options["lr"])


def _tasks(
    data: Iterable[tuple[int, int, Dataset]], arms: Arms, shared: dict[str, Any]
) -> Iterator[Task]:
    """Yield what is to be trained, pair by pair."""
    for i, (seed, fold, part) in enumerate(data):
        if i == 0:
            for own in arms.values():
                _check(part, shared | own)
        for name, own in arms.items():
            yield name, seed, fold, part, shared | own | {"seed": seed}


# What is done.


def _train(task: Task) -> Outcome:
    """Do one training."""
    name, seed, fold, data, options = task
    try:
        run, diverged = train(data, **options), ""
    except TrainingDiverged as error:
        if error.partial is None:
            raise
        run, diverged = error.partial, str(error)
    return Outcome(
        recipe=name,
        seed=seed,
        fold=fold,
        held_out=run.held_out.count,
        accuracy=run.held_out.accuracy,
        loss=run.held_out.loss,
        train_accuracy=run.train.accuracy,
        train_loss=run.train.loss,
        losses=tuple(record.loss for record in run.history.steps),
        per_epoch=-(-len(data.x) // options["batch"]),
        skipped=run.skipped,
        shares=_shares(run),
        diverged=diverged,
        settings=run.settings,
    )


def _shares(run: Run) -> tuple[Share, ...]:
    """Return the means of what casts lost, over the steps that were measured."""
    return mean_shares(
        Share(cast.layer, cast.role, cast.format, cast.underflow_rate, cast.saturation_rate)
        for cast in run.history.casts
    )
