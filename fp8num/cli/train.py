"""``fp8num train``: train a net in a recipe of small formats, and tell what happened."""

from __future__ import annotations

import json
import math
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from fp8num.nn.comparison import Comparison
    from fp8num.nn.dataset import Dataset
    from fp8num.nn.history import CastRecord, StepRecord
    from fp8num.nn.loss_scaling import LossScaler
    from fp8num.nn.outcome import Outcome
    from fp8num.nn.recipes import Recipe
    from fp8num.nn.train import Run

__all__ = ["add_parser", "run"]

DESCRIPTION = """
Train a multilayer perceptron with float32 weights whose matrix products are made in a
recipe's formats, and say how good it is on data held out and which casts lost most. A
checkpoint resumes to the bits of an unbroken training. --compare trains in several
recipes from many seeds, and says how they differ from fp32, with error bars.
"""
EPILOG = """exit code 0: every training was finished; 1: one diverged, and a line says which tensor
went wrong first, and what to try; 2: wrong usage, or a file that cannot be used"""
EXAMPLES = ("digits", "teacher", "spirals", "random-labels")
SHOWN = 8  #: casts in the summary


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    parser = subparsers.add_parser(
        "train", help="train a net in FP8", description=DESCRIPTION, epilog=EPILOG
    )
    add = parser.add_argument
    add("--data", choices=EXAMPLES, default="digits", help="what to learn (default: digits)")
    add("--recipe", metavar="NAME", help="(default: te-current)")
    add("--compare", metavar="NAME,NAME", help="recipes to compare with fp32, in pairs")
    add("--seeds", type=int, metavar="N", help="trainings of each recipe (default: 10)")
    add("--list", action="store_true", help="print the recipes as a table, and do nothing else")
    add("--sizes", type=_whole_numbers, metavar="A,B,C", help="widths, from inputs to classes")
    add("--epochs", type=int, default=30, metavar="N", help="(default: 30)")
    add("--batch", type=int, default=64, metavar="N", help="inputs of a step (default: 64)")
    add("--lr", type=float, default=1e-2, metavar="X", help="learning rate (default: 0.01)")
    add("--seed", type=int, default=0, metavar="S", help="of weights and order (default: 0)")
    add("--accumulator", metavar="NAME", help="of all three products (default: the recipe's)")
    add("--loss-scale", default="off", metavar="X", help="off (default), dynamic or a number")
    add("--checkpoint", metavar="FILE", help="write what can be resumed after each epoch")
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--capture", metavar="FILE", help="write operands and gradients as .safetensors")
    add(
        "--steps",
        type=_whole_numbers,
        metavar="I,J",
        help="steps to capture (default: the first, the middle and the last)",
    )
    add("--csv", metavar="FILE", help="write the history; of casts to FILE.tensors.csv")
    add("--json", action="store_true", help="write the summary as JSON")
    add("--no-progress", action="store_true", help="show no progress bar")
    parser.set_defaults(run=run)


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Read integers with commas between."""
    import argparse

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        msg = f"must be integers with commas between, got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def run(arguments: argparse.Namespace) -> int:
    """
    Train what the arguments say.

    Parameters
    ----------
    arguments : argparse.Namespace
        What `add_parser` asks for.

    Returns
    -------
    int
        0 if the training was finished, 1 if it diverged.

    Raises
    ------
    ValueError, OSError
        If an argument is wrong, or a file cannot be used.
    """
    from fp8num.nn.diagnosis import TrainingDiverged

    if arguments.list:
        return _list(arguments)
    if arguments.compare is not None:
        return _compare(arguments)
    _check_options(arguments)
    try:
        done = _train(arguments)
    except TrainingDiverged as error:
        if arguments.json:
            record = {"diverged": error.diagnosis.to_dict()}
            print(json.dumps(_without_nan(record), indent=2, allow_nan=False))
        print(f"fp8num: {error}", file=sys.stderr)
        return 1
    if arguments.capture is not None:
        _write_captures(arguments.capture, done)
    if arguments.csv is not None:
        _write_history(arguments.csv, done)
    if arguments.json:
        print(json.dumps(_without_nan(done.to_dict()), indent=2, allow_nan=False))
    else:
        print(_summary(done))
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse what has no meaning with one training."""
    if arguments.seeds is not None:
        msg = "--seeds has no meaning without --compare; name recipes, or give one --seed"
        raise ValueError(msg)
    if arguments.steps is not None and arguments.capture is None:
        msg = "--steps has no meaning without --capture; name the file to write"
        raise ValueError(msg)
    for option in ("capture", "csv", "checkpoint"):
        _check_folder(option, getattr(arguments, option))


def _compare(arguments: argparse.Namespace) -> int:
    """Compare recipes, and write what comes out."""
    from fp8num.cli.progress import progress_bar
    from fp8num.nn.compare import compare

    for option in ("recipe", "checkpoint", "resume", "capture", "steps"):
        if getattr(arguments, option) not in {None, False}:
            msg = f"--{option} has no meaning with --compare; it is for one training"
            raise ValueError(msg)
    _check_folder("csv", arguments.csv)
    recipes = [_recipe(name, arguments.accumulator) for name in arguments.compare.split(",")]
    count = 10 if arguments.seeds is None else arguments.seeds
    if count < 1:
        msg = f"--seeds must be at least 1, got {count}"
        raise ValueError(msg)
    shown = sys.stderr.isatty() and not (arguments.json or arguments.no_progress)
    total = count * len({"fp32", *(recipe.name for recipe in recipes)})
    with progress_bar("trainings", total, shown=shown) as advance:

        def show(_: Outcome) -> None:
            if advance is not None:
                advance(1)

        found = compare(
            _dataset(arguments.data),
            recipes,
            seeds=range(arguments.seed, arguments.seed + count),
            sizes=arguments.sizes,
            epochs=arguments.epochs,
            batch=arguments.batch,
            lr=arguments.lr,
            loss_scaler=_scaler(arguments.loss_scale),
            progress=show,
        )
    if arguments.csv is not None:
        _write_comparison(arguments.csv, found)
    if arguments.json:
        print(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        print(found)
    return int(any(result.diverged for result in found.results))


def _list(arguments: argparse.Namespace) -> int:
    """Print the recipes."""
    from fp8num.nn.recipes import RECIPES
    from fp8num.report.text import columns

    if arguments.json:
        records = [recipe.to_dict() for recipe in RECIPES.values()]
        print(json.dumps(records, indent=2, allow_nan=False))
        return 0
    head = ("recipe", "activations", "weights", "gradients", "where it differs")
    print(columns([head, *map(_row, RECIPES.values())], "<<<<<"))
    return 0


def _row(recipe: Recipe) -> tuple[str, ...]:
    """Return a recipe's casts: of forward and dgrad, and those of the others that differ."""
    from fp8num.formats import Format

    first = {"x": "x_forward", "w": "w_forward", "g": "g_dgrad"}
    casts = [str(recipe.operand(role)) for role in first.values()]
    others = [
        f"{role}: {recipe.operand(role)}"
        for role in ("w_dgrad", "g_wgrad", "x_wgrad")
        if recipe.operand(role) != recipe.operand(first[role[0]])
    ]
    if isinstance(recipe.output, Format):
        others.append(f"results: {recipe.output.name}")
    return recipe.name, *casts, "; ".join(others)


def _check_folder(option: str, path: str | None) -> None:
    """Refuse a file that could not be written in the end."""
    if path is None:
        return
    if not Path(path).parent.is_dir():
        msg = f"--{option} {path!r} must lie in a folder that exists; make it first"
        raise ValueError(msg)
    if Path(path).is_dir():
        msg = f"--{option} {path!r} must be a file, and is a folder; name a file in it"
        raise ValueError(msg)


def _train(arguments: argparse.Namespace) -> Run:
    """Train with a progress bar."""
    from fp8num.nn.train import train

    dataset = _dataset(arguments.data)
    recipe = _recipe(
        "te-current" if arguments.recipe is None else arguments.recipe, arguments.accumulator
    )
    total = max(arguments.epochs, 1) * -(-len(dataset.x) // max(arguments.batch, 1))
    steps = arguments.steps or (0, total // 2, total - 1)
    shown = sys.stderr.isatty() and not (arguments.json or arguments.no_progress)
    with _progress(total, shown=shown) as progress:
        return train(
            dataset,
            sizes=arguments.sizes,
            recipe=recipe,
            seed=arguments.seed,
            epochs=arguments.epochs,
            batch=arguments.batch,
            lr=arguments.lr,
            loss_scaler=_scaler(arguments.loss_scale),
            checkpoint=arguments.checkpoint,
            resume=arguments.resume,
            progress=progress,
            capture=() if arguments.capture is None else sorted(set(steps)),
        )


def _dataset(name: str) -> Dataset:
    from fp8num.nn import data

    makers: dict[str, Callable[[], Dataset]] = {
        "digits": data.digits,
        "teacher": data.teacher,
        "spirals": data.spirals,
        "random-labels": data.random_labels,
    }
    return makers[name]()


def _recipe(name: str, accumulator: str | None) -> Recipe:
    """Return the recipe of a name, with the accumulator of a name."""
    from dataclasses import replace

    from fp8num.nn.gemm import CORRECTLY_ROUNDED, find_accumulator
    from fp8num.nn.recipes import get_recipe

    recipe = get_recipe(name)
    if accumulator is None:
        return recipe
    found = find_accumulator(accumulator)
    unit = CORRECTLY_ROUNDED if found is None else found.name
    return replace(recipe, name=f"{recipe.name}, {unit}", accumulators=(unit,) * 3)


def _scaler(text: str) -> LossScaler | None:
    """Return the loss scaler that an option names."""
    from fp8num.nn.loss_scaling import LossScaler

    if text == "off":
        return None
    if text == "dynamic":
        return LossScaler()
    try:
        scale = float(text)
    except ValueError:
        msg = f"--loss-scale must be off, dynamic or a number, got {text!r}"
        raise ValueError(msg) from None
    return LossScaler(scale, dynamic=False)


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[StepRecord], object] | None]:
    """Offer a function that moves a progress bar on stderr."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    skipped = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(record: StepRecord) -> None:
            nonlocal skipped
            skipped += record.skipped
            text = (
                f"epoch {record.epoch}  loss {record.loss:.4f}  accuracy {record.accuracy:.1%}  "
                f"scale {record.scale:g}  skipped {skipped}"
            )
            bar.update(task, completed=record.step + 1, description=text)

        yield show


def _summary(done: Run) -> str:
    """Return what a reader wants to know first."""
    from fp8num.report.labels import count, plural
    from fp8num.report.text import columns

    settings, history = done.settings, done.history
    sizes = "-".join(map(str, settings["sizes"]))
    steps = plural(len(history.steps), "step")
    results = [
        (name, count(part.count), _percent(part.accuracy), _number(part.loss))
        for name, part in (("trained on", done.train), ("held out", done.held_out))
    ]
    scaling = settings["loss scaling"]
    scaled = "no loss scaling"
    if scaling is not None:
        scaled = f"loss scale {scaling['name']}, now {done.loss_scale:g}"
    parameters = f"{count(done.parameters)} parameters"
    lines = [
        f"{settings['data']['name']}: {sizes}, {parameters}, seed {settings['seed']}",
        "",
        str(done.recipe),
        "",
        columns([("", "inputs", "accuracy", "log-loss"), *results], "<>>>"),
        f"{scaled}; {history.skipped} of {steps} skipped",
    ]
    if worst := [cast for cast in history.worst() if cast.format != "float32"][:SHOWN]:
        lines += ["", "casts that lost most:", _casts(worst)]
    return "\n".join(lines)


def _casts(records: list[CastRecord]) -> str:
    """Return a table of what casts did."""
    from fp8num.report.text import columns

    head = ("layer", "operand", "format", "step", "amax", "scale", "to zero", "beyond", "SQNR dB")
    rows = [
        (
            record.layer,
            record.role,
            record.format,
            str(record.step),
            _number(record.amax),
            _number(record.scale_median),
            _percent(record.underflow_rate),
            _percent(record.saturation_rate),
            _number(record.sqnr_db),
        )
        for record in records
    ]
    return columns([head, *rows], "<<<>>>>>>")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{rate:.2%}"


def _write_captures(path: str, done: Run) -> None:
    """Write operands and gradients for `fp8num report`."""
    from fp8num.inputs import write_safetensors

    scales = {record.step: record.scale for record in done.history.steps}
    tensors = {
        f"step{step}.{name}": array
        for step, captured in done.captures.items()
        for name, array in captured.items()
    }
    metadata = {f"step{step}.loss_scale": f"{scales[step]:g}" for step in done.captures}
    metadata |= {"recipe": done.recipe.name, "data": str(done.settings["data"]["name"])}
    write_safetensors(path, tensors, metadata)


def _write_history(path: str, done: Run) -> None:
    """Write both tables."""
    target = Path(path)
    done.history.to_frame().to_csv(target, index=False)
    done.history.tensors.to_csv(target.with_name(f"{target.name}.tensors.csv"), index=False)


def _write_comparison(path: str, found: Comparison) -> None:
    """Write the three tables."""
    target = Path(path)
    found.to_frame().to_csv(target, index=False)
    for name, frame in (("curves", found.curves("step")), ("tensors", found.tensors())):
        frame.to_csv(target.with_name(f"{target.name}.{name}.csv"), index=False)


def _without_nan(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Replace what JSON has no number for by null."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
