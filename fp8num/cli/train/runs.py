"""``fp8num train``: one training; or recipes against a baseline, in one process or several."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from fp8num._text import brief
from fp8num.cli.progress import progress_bar, step_bar
from fp8num.cli.train.options import dataset_of, digits_of, recipe_of, settings_of
from fp8num.cli.train.results import (
    check_files,
    complaint,
    json_text,
    summary,
    write_comparison,
    write_run,
)

if TYPE_CHECKING:
    import argparse

    from fp8num.nn.comparison import Comparison
    from fp8num.nn.outcome import Outcome
    from fp8num.nn.recipes import Recipe
    from fp8num.nn.run import Run

__all__ = ["compare_recipes", "train_one"]


def train_one(arguments: argparse.Namespace) -> int:
    """Train one net, and print what came out."""
    from fp8num.nn.run import TrainingDiverged

    check_files(arguments)
    diagnosis = None
    try:
        done = _train(arguments)
    except TrainingDiverged as error:
        if error.partial is None:
            raise
        done, diagnosis = error.partial, error.diagnosis
    written = write_run(arguments, done)
    if arguments.json:
        print(json_text(done.to_dict()))
    elif diagnosis is None:
        print(summary(done))
    if diagnosis is None:
        return 0
    print(complaint(diagnosis, written), file=sys.stderr)
    return 1


def _train(arguments: argparse.Namespace) -> Run:
    """Train with a progress bar."""
    from fp8num.nn.train import train

    dataset = dataset_of(arguments)
    name = "te-current" if arguments.recipe is None else arguments.recipe
    recipe = recipe_of(name, arguments.accumulator)
    total = max(arguments.epochs, 1) * -(-len(dataset.x) // max(arguments.batch, 1))
    steps = arguments.steps or (0, total // 2, total - 1)
    shown = sys.stderr.isatty() and not (arguments.json or arguments.no_progress)
    with step_bar(total, shown=shown) as progress:
        return train(
            dataset,
            recipe=recipe,
            first_recipe=arguments.first_recipe,
            last_recipe=arguments.last_recipe,
            seed=arguments.seed,
            checkpoint=arguments.checkpoint,
            every=arguments.every,
            resume=arguments.resume,
            progress=progress,
            capture=() if arguments.capture is None else sorted(set(steps)),
            **settings_of(arguments),
        )


def compare_recipes(arguments: argparse.Namespace) -> int:
    """Compare recipes, and write what comes out."""
    check_files(arguments)
    found = _compare(arguments)
    if arguments.csv is not None:
        write_comparison(arguments.csv, found)
    print(json_text(found.to_dict()) if arguments.json else found)
    first = {one.recipe: one for one in reversed(found.outcomes) if one.diverged}
    for name in (name for name in found.recipes if name in first):
        one = first[name]
        fold = f", fold {one.fold}" if found.folds > 1 else ""
        print(f"fp8num: {name}, seed {one.seed}{fold}: {one.diverged}", file=sys.stderr)
    return int(bool(first))


def _compare(arguments: argparse.Namespace) -> Comparison:
    """Do all trainings, with a progress bar."""
    from fp8num._arguments import MOST_AT_ONCE
    from fp8num.nn.compare import MOST_SEEDS, compare
    from fp8num.nn.processes import processes
    from fp8num.nn.recipes import get_recipe

    recipes = _recipes(arguments)
    try:
        baseline = get_recipe("fp32" if arguments.baseline is None else arguments.baseline)
    except ValueError as error:
        msg = f"--baseline{str(error).removeprefix('recipe')}"
        raise ValueError(msg) from None
    if set(recipes) == {baseline.name}:
        msg = f"--compare must name a recipe besides the baseline, {baseline.name!r}, got no other"
        raise ValueError(msg)
    count = _at_least_one("seeds", arguments.seeds, 10, MOST_SEEDS)
    workers = _at_least_one("workers", arguments.workers, 1, MOST_AT_ONCE)
    folds = None if arguments.folds is None else _at_least_one("folds", arguments.folds, 1)
    margin = 0.3 if arguments.margin is None else arguments.margin
    if not 0 < margin < 100:
        msg = f"--margin must be above 0 and below 100 points, got {margin:g}"
        raise ValueError(msg)
    shown = sys.stderr.isatty() and not (arguments.json or arguments.no_progress)
    total = count * (folds or 1) * len({baseline.name, *recipes})
    with progress_bar("trainings", total, shown=shown) as advance, processes(workers) as executor:

        def show(_: Outcome) -> None:
            if advance is not None:
                advance(1)

        return compare(
            dataset_of(arguments) if folds is None else partial(digits_of, folds),
            recipes,
            baseline=baseline,
            seeds=range(arguments.seed, arguments.seed + count),
            folds=folds,
            margin=margin / 100,
            executor=executor,
            progress=show,
            **settings_of(arguments),
        )


def _recipes(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what to compare by name, the first and last layers' recipes in it."""
    from fp8num.nn.recipes import get_recipe

    ends: dict[str, Recipe] = {
        end: get_recipe(name)
        for end in ("first", "last")
        if (name := getattr(arguments, f"{end}_recipe")) is not None
    }
    found: dict[str, dict[str, Any]] = {}
    for name in arguments.compare.split(","):
        if not name.strip():
            msg = f"--compare must name recipes with commas between, got {arguments.compare!r:.80}"
            raise ValueError(msg)
        recipe = recipe_of(name, arguments.accumulator)
        title = ", ".join([recipe.name, *(f"{end} {own.name}" for end, own in ends.items())])
        if title in found:
            msg = f"--compare must name different recipes, got {title!r} twice"
            raise ValueError(msg)
        found[title] = {"recipe": recipe} | {f"{end}_recipe": own for end, own in ends.items()}
    return found


def _at_least_one(option: str, value: int | None, default: int, most: int | None = None) -> int:
    if value is None:
        return default
    if value < 1:
        msg = f"--{option} must be at least 1, got {value}"
        raise ValueError(msg)
    if most is not None and value > most:
        msg = f"--{option} must be at most {most}, got {brief(value)}"
        raise ValueError(msg)
    return value
