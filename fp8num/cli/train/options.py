"""The options of ``fp8num train``: which go together, and the data and settings they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fp8num._names import hint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from fp8num.nn.dataset import Dataset
    from fp8num.nn.loss_scaling import LossScaler
    from fp8num.nn.recipes import Recipe

__all__ = [
    "EXAMPLES",
    "add_options",
    "dataset_of",
    "digits_of",
    "recipe_of",
    "refuse",
    "settings_of",
]

EXAMPLES = ("digits", "teacher", "spirals", "random-labels")
FOLDS = 5  #: of the digits, if no other number is asked for

#: Options that have a meaning in some ways to use the command only.
_ONE_TRAINING = ("recipe", "fold", "checkpoint", "every", "resume", "capture", "steps")
_COMPARISON = ("seeds", "baseline", "margin", "workers")
_NOT_LISTED = (
    "saturation_is_overflow",
    *("compare", "sizes", "clip", "first_recipe", "last_recipe", "folds", "csv", "force"),
    *(name for name in _ONE_TRAINING if name != "recipe"),
    *_COMPARISON,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; those that were not given and have no default are None or False."""
    _add_net(parser.add_argument_group("what is trained"))
    _add_steps(parser.add_argument_group("how it is trained"))
    _add_comparison(parser.add_argument_group("several recipes"))
    _add_files(parser.add_argument_group("what is written"))


def _add_net(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--data", choices=EXAMPLES, default="digits", help="what to learn (default: digits)")
    add("--fold", type=int, metavar="K", help="fold of the digits held out, from 0 (default: 0)")
    add(
        "--folds",
        type=int,
        metavar="N",
        help="how many folds the digits have (default: 5); with --compare each seed trains on "
        "all of them, and their mean is its result (default: on the first of 5 alone)",
    )
    add("--sizes", type=_whole_numbers, metavar="A,B,C", help="widths, from inputs to classes")
    add("--recipe", metavar="NAME", help="formats of all layers (default: te-current), see --list")
    add("--first-recipe", metavar="NAME", help="of the first layer, such as bf16")
    add("--last-recipe", metavar="NAME", help="of the last layer")
    add(
        "--accumulator",
        metavar="NAME",
        help="of all three products in --recipe or --compare (default: the recipe's)",
    )


def _add_steps(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=int, default=30, metavar="N", help="(default: 30)")
    add("--batch", type=int, default=64, metavar="N", help="inputs of a step (default: 64)")
    add("--lr", type=float, default=1e-2, metavar="X", help="learning rate (default: 0.01)")
    add(
        "--optimizer",
        default="adamw",
        metavar="NAME",
        help="adamw (default), adam or sgd, which has a momentum of 0.9",
    )
    add(
        "--schedule",
        default="cosine",
        metavar="NAME",
        help="how the rate falls: cosine (default), linear or constant",
    )
    add("--clip", type=float, metavar="X", help="largest norm of all gradients (default: any)")
    add(
        "--loss-scale",
        default="off",
        metavar="X",
        help="off (default), dynamic or a number; a dynamic one backs off where a gradient is "
        "not finite, which formats that saturate never make",
    )
    add(
        "--saturation-is-overflow",
        action="store_true",
        help="skip steps in which an element of a cast saturated too, so that a dynamic loss "
        "scale backs off (rotated operands are not looked at)",
    )
    add("--seed", type=int, default=0, metavar="S", help="of weights and order (default: 0)")


def _add_comparison(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--list", action="store_true", help="print the recipes, or all of --recipe, and end")
    add("--compare", metavar="NAME,NAME", help="recipes to compare with a baseline, in pairs")
    add("--baseline", metavar="NAME", help="recipe to compare with, as it is (default: fp32)")
    add(
        "--seeds",
        type=int,
        metavar="N",
        help="trainings of each recipe, with seeds from --seed on (default: 10)",
    )
    add(
        "--margin",
        type=float,
        metavar="POINTS",
        help="difference of accuracies that does not matter, in percentage points (default: 0.3)",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes that train at once, with the same results (default: 1)",
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--checkpoint", metavar="FILE", help="write what can be resumed")
    add("--every", type=int, metavar="N", help="after so many steps (default: those of an epoch)")
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--capture", metavar="FILE", help="write operands and gradients as .safetensors")
    add(
        "--steps",
        type=_whole_numbers,
        metavar="I,J",
        help="steps to capture (default: the first, the middle and the last); one at which the "
        "training diverges is captured too",
    )
    add("--csv", metavar="FILE", help="write the history, and of casts FILE.tensors.csv; with "
        "--compare the results, FILE.curves.csv and FILE.tensors.csv")  # fmt: skip
    add(
        "--stats-every",
        type=int,
        default=10,
        metavar="N",
        help="measure what casts lose every so many steps (default: 10)",
    )
    add("--force", action="store_true", help="let --csv and --capture replace any files")
    add("--json", action="store_true", help="write the summary as JSON")
    add("--no-progress", action="store_true", help="show no progress bar")


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Read integers with commas between."""
    import argparse

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        msg = f"must be integers with commas between, got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def refuse(arguments: argparse.Namespace) -> None:
    """Refuse options that would have no effect."""
    if arguments.list:
        without = _NOT_LISTED if arguments.recipe is not None else (*_NOT_LISTED, "accumulator")
        _refuse(arguments, without, "with --list; leave it out")
        return
    if arguments.compare is not None:
        _refuse(arguments, _ONE_TRAINING, "with --compare; it is for one training")
    else:
        _refuse(arguments, _COMPARISON, "without --compare; name recipes, or leave it out")
    if arguments.data != "digits":
        _refuse(arguments, ("fold", "folds"), f"with --data {arguments.data}; digits have folds")
    if arguments.loss_scale == "off":
        _refuse(arguments, ("saturation_is_overflow",), "with --loss-scale off; give a loss scale")
    if arguments.capture is None:
        _refuse(arguments, ("steps",), "without --capture; name the file to write")
    if arguments.capture is None and arguments.csv is None:
        _refuse(arguments, ("force",), "without --csv or --capture; name the file to write")
    if arguments.checkpoint is None:
        _refuse(arguments, ("resume", "every"), "without --checkpoint; name its file")


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value is not False:  # 0 was given
            msg = f"--{name.replace('_', '-')} has no meaning {why}"
            raise ValueError(msg)


# What options name.


def dataset_of(arguments: argparse.Namespace) -> Dataset:
    """Return the data that the options name, with one fold of the digits held out."""
    from fp8num.nn import data

    makers: dict[str, Callable[[], Dataset]] = {
        "teacher": data.teacher,
        "spirals": data.spirals,
        "random-labels": data.random_labels,
    }
    if arguments.data != "digits":
        return makers[arguments.data]()
    return data.digits(arguments.fold or 0, FOLDS if arguments.folds is None else arguments.folds)


def digits_of(folds: int, *, seed: int, fold: int) -> Dataset:
    """Return the digits with a fold held out, the same for every seed."""
    from fp8num.nn.data import digits

    del seed
    return digits(fold, folds)


def recipe_of(name: str, accumulator: str | None) -> Recipe:
    """Return the recipe of a name, with the accumulator of a name."""
    from dataclasses import replace

    from fp8num.nn.products import CORRECTLY_ROUNDED, find_accumulator
    from fp8num.nn.recipes import get_recipe

    recipe = get_recipe(name)
    if accumulator is None:
        return recipe
    found = find_accumulator(accumulator)
    unit = CORRECTLY_ROUNDED if found is None else found.name
    return replace(recipe, name=f"{recipe.name}, {unit}", accumulators=(unit,) * 3)


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `train` and `compare` both take."""
    from fp8num.nn.settings import OPTIMIZERS, SCHEDULES

    _check_name("optimizer", arguments.optimizer, OPTIMIZERS)
    _check_name("schedule", arguments.schedule, SCHEDULES)
    names = ("sizes", "epochs", "batch", "lr", "optimizer", "schedule", "clip", "stats_every")
    settings = {name: getattr(arguments, name) for name in names}
    found = _scaler(arguments.loss_scale, saturation_is_overflow=arguments.saturation_is_overflow)
    return settings | {"loss_scaler": found}


def _check_name(option: str, name: str, known: tuple[str, ...]) -> None:
    """Refuse what is no name, without the advice to give a function."""
    if name.strip().lower() not in known:
        advice = hint(name, known, f"leave --{option} out for the default")
        msg = f"--{option} must be one of {', '.join(known)}, got {name!r:.80}; {advice}"
        raise ValueError(msg)


def _scaler(text: str, *, saturation_is_overflow: bool) -> LossScaler | None:
    """Return the loss scaler that options name."""
    from fp8num.nn.loss_scaling import LossScaler

    if text == "off":
        return None
    if text == "dynamic":
        return LossScaler(saturation_is_overflow=saturation_is_overflow)
    try:
        scale = float(text)
    except ValueError:
        msg = f"--loss-scale must be off, dynamic or a number, got {text!r}"
        raise ValueError(msg) from None
    return LossScaler(scale, dynamic=False, saturation_is_overflow=saturation_is_overflow)
