"""``fp8num train``: one training."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fp8num.cli.train.bar import step_bar
from fp8num.cli.train.files import check_files, json_text, write_run
from fp8num.cli.train.summary import complaint, summary
from fp8num.cli.train.values import dataset_of, recipe_of, settings_of

if TYPE_CHECKING:
    import argparse

    from fp8num.nn.run import Run

__all__ = ["train_one"]


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
