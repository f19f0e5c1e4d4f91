"""``fp8num train``: train a net in a recipe of small formats, and tell what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fp8num.cli.train.options import add_options, refuse

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser", "run"]

DESCRIPTION = """
Train a multilayer perceptron with float32 weights whose matrix products are made in a
recipe's formats, and say how good it is on data held out and which casts lost most. A
checkpoint resumes to the bits of an unbroken training. --compare trains in several
recipes from many seeds, and says how they differ from fp32, with error bars.
"""
EPILOG = """
exit code 0: every training was finished; 1: one diverged, a line says which tensor went
wrong first and what to try, and --csv, --capture and --json have what there is; 2: wrong
usage, or a file that cannot be used; 130: interrupted, with the last checkpoint in its file

examples:
  fp8num train --recipe te-delayed --loss-scale dynamic
  fp8num train --list --recipe deepseek
  fp8num train --epochs 300 --checkpoint run.npz       (interrupted, or killed)
  fp8num train --epochs 300 --checkpoint run.npz --resume
  fp8num train --recipe mxfp8 --last-recipe bf16 --capture run.safetensors
  fp8num report run.safetensors
  fp8num train --compare te-current,mxfp8,nvfp4 --seeds 10 --folds 5 --workers 2
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    import argparse

    parser = subparsers.add_parser(
        "train",
        help="train a net in FP8",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.set_defaults(run=run)


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
        0 if every training was finished, 1 if one diverged.

    Raises
    ------
    ValueError, OSError
        If an argument is wrong, or a file cannot be used.
    """
    refuse(arguments)
    if arguments.list:
        from fp8num.cli.train.results import list_recipes

        return list_recipes(arguments)
    if arguments.compare is not None:
        from fp8num.cli.train.runs import compare_recipes

        return compare_recipes(arguments)
    from fp8num.cli.train.runs import train_one

    return train_one(arguments)
