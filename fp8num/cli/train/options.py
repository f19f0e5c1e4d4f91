"""The options of ``fp8num train``, and which of them go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["EXAMPLES", "add_options", "refuse"]

EXAMPLES = ("digits", "teacher", "spirals", "random-labels")

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
