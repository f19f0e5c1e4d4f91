"""``fp8num report``: what formats make of tensors, as a page, a CSV and a JSON file."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fp8num._text import printable, shown
from fp8num.cli.progress import progress_bar
from fp8num.report.labels import plural, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fp8num.formats import Format
    from fp8num.inputs import StoredTensor
    from fp8num.nn import Comparison
    from fp8num.nn.outcome import Outcome
    from fp8num.report import ReportFiles, Skipped
    from fp8num.scaling import Rule

__all__ = ["add_parser", "run"]

MAX_LINES = 20  #: about what was skipped; the page and report.json say the rest

DESCRIPTION = """
Round the tensors of files to small floating-point formats, with and without a per-tensor
scale or as any library scales them, and write what becomes of them: index.html to read,
report.csv and report.json to compute with. Without files, the built-in tensors are used, and
a small net is trained on the built-in digits in FP32 and in FP8, many times, to see what that
costs: the page shows losses and accuracies with error bars, training.csv and
training-curves.csv hold them.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    parser = subparsers.add_parser(
        "report", help="what formats make of the tensors in files", description=DESCRIPTION
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help=".npy, .npz or .safetensors files")
    parser.add_argument(
        "--output", metavar="DIR", default="fp8num-report", help="directory (%(default)s)"
    )
    parser.add_argument(
        "--formats",
        metavar="NAMES",
        type=_formats,
        help="formats by name, with commas between, such as e4m3fn,e5m2",
    )
    parser.add_argument(
        "--rules",
        metavar="NAMES",
        type=_rules,
        help="scaling rules by name, with commas between, such as mxfp8,nvfp4,block-128x128 "
        "(default: unit,tensor)",
    )
    parser.add_argument(
        "--json", action="store_true", help="also write the contents of report.json to stdout"
    )
    parser.add_argument(
        "--training",
        action=argparse.BooleanOptionalAction,
        help="compare FP32 and FP8 in training on the built-in digits, half a minute on two "
        "processors (default: without files yes, with files no)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that are no report's, or were changed"
    )
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    parser.set_defaults(run=run)


def _formats(text: str) -> tuple[Format, ...]:
    """Read the names of formats."""
    from fp8num.formats import get_format

    names = [name.strip() for name in text.split(",") if name.strip()]
    try:
        formats = tuple(get_format(name) for name in names)
        for fmt in formats:
            fmt.require_float64()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not formats:
        msg = f"must name at least one format, got {text!r}; leave it out for the usual ones"
        raise argparse.ArgumentTypeError(msg)
    twice = sorted({fmt.name for fmt in formats if formats.count(fmt) > 1})
    if twice:
        msg = f"must differ from each other, got {', '.join(twice)} twice; name each once"
        raise argparse.ArgumentTypeError(msg)
    return formats


def _rules(text: str) -> tuple[Rule, ...]:
    """Read the names of rules."""
    from fp8num.analysis import choose

    names = [name.strip() for name in text.split(",") if name.strip()]
    try:
        return choose(None, names)[1]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(arguments: argparse.Namespace) -> int:
    """
    Write the report.

    Parameters
    ----------
    arguments : argparse.Namespace
        What `add_parser` asks for, and ``argv``, the command line.

    Returns
    -------
    int
        0.

    Raises
    ------
    ValueError
        If a file cannot be read, or the report cannot be written.
    """
    from fp8num.analysis import choose

    choose(arguments.formats, arguments.rules)  # those that go with no other are refused first
    tensors, skipped = _open(arguments.files)
    for one in skipped[:MAX_LINES]:
        name, file = shorten(one.name), shorten(one.file, 100)
        print(f"fp8num: skipped {name} in {file}: {printable(one.reason)}", file=sys.stderr)
    if len(skipped) > MAX_LINES:
        more = len(skipped) - MAX_LINES
        print(f"fp8num: skipped {more} more, see report.json", file=sys.stderr)

    try:
        files = _build(arguments, tensors, skipped)
    except OSError as error:  # readers make InputErrors of theirs
        reason = error.strerror or str(error)
        msg = (
            f"output {shown(arguments.output)} cannot be written ({reason}); "
            "make room or name another directory with --output"
        )
        raise ValueError(msg) from error

    if arguments.json:
        sys.stdout.write(files.json.read_text(encoding="utf-8"))
    page = printable(shlex.quote(str(files.page)))
    print(f"open {page}", file=sys.stderr if arguments.json else sys.stdout)
    return 0


def _build(
    arguments: argparse.Namespace, tensors: list[StoredTensor], skipped: list[Skipped]
) -> ReportFiles:
    """Train if that is wanted, analyse, and write."""
    from fp8num.report import build_report
    from fp8num.report.older import report_folder

    visible = sys.stderr.isatty() and not arguments.no_progress
    wanted = not arguments.files if arguments.training is None else arguments.training
    total = sum(tensor.size for tensor in tensors)
    # Refused before half a minute's work.
    with report_folder(Path(arguments.output), training=wanted, force=arguments.force):
        training = _train(shown=visible) if wanted else None
        with progress_bar(plural(len(tensors), "tensor"), total, shown=visible) as progress:
            return build_report(
                tensors,
                arguments.output,
                formats=arguments.formats,
                rules=arguments.rules,
                progress=progress,
                skipped=skipped,
                command=shlex.join(["fp8num", *arguments.argv]),
                training=training,
                force=arguments.force,
            )


def _train(*, shown: bool) -> Comparison:
    """Compare FP32 and FP8 in training."""
    from fp8num.report import compare_on_digits
    from fp8num.report.experiment import RECIPES, SEEDS

    total = SEEDS * (1 + len(RECIPES))
    with progress_bar(plural(total, "training"), total, shown=shown) as advance:

        def show(_: Outcome) -> None:
            if advance is not None:
                advance(1)

        return compare_on_digits(progress=show)


def _open(paths: Sequence[str]) -> tuple[list[StoredTensor], list[Skipped]]:
    """Open all files before any work: a bad one should be known at once."""
    from fp8num.inputs import builtin_tensors, open_tensors
    from fp8num.report import Skipped

    if not paths:
        return list(builtin_tensors()), []
    opened = [(path, open_tensors(path)) for path in paths]
    tensors = [tensor for _, file in opened for tensor in file.tensors]
    skipped = [
        Skipped(file=path, name=name, reason=reason)
        for path, file in opened
        for name, reason in file.skipped
    ]
    return tensors, skipped
