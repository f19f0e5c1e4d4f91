"""``fp8num report``: what formats make of tensors, as a page, a CSV and a JSON file."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fp8num._records import counted
from fp8num._text import printable, shorten, shown
from fp8num.cli.choosing import (
    kept_by_name,
    layout_option,
    layouts_by_name,
    only,
    patterns,
)
from fp8num.cli.progress import progress_bar
from fp8num.cli.thresholds import Threshold, check, failing

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
        "--target",
        metavar="NAME",
        type=_target,
        default="E4M3FN",
        help="what weights are to be quantised to: nvfp4, mxfp8, a format ... (%(default)s)",
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
        help="scaling rules by name, with commas between, such as mxfp8,nvfp4,block-128x128: "
        "what the tables show, and all that is tried in deciding, in this order; tensor where "
        "hardware takes one scale only (default: the target's own, tables of unit,tensor)",
    )
    _add_tensors(parser)
    parser.add_argument(
        "--bits",
        metavar="NUMBER",
        type=_bits,
        help="a budget of bits per weight of the whole file: the schemes with the least error "
        "within it, each layer's in frontier.json",
    )
    parser.add_argument(
        "--fail-on",
        metavar="CONDITION",
        type=_threshold,
        action="append",
        default=[],
        help="exit with 1 if it holds of a tensor: 'METRIC OP NUMBER[%%] [@RULE]', such as "
        "'excess > 1.25 @tensor', 'nans > 0' or 'keep > 20%%'; may be repeated",
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


def _add_tensors(parser: argparse.ArgumentParser) -> None:
    """Add the options that are about some of the tensors."""
    for option, what in (
        ("only", "look at no others"),
        ("keep", "they stay in 16 bits"),
        ("quantise", "they do not, whatever convention says"),
    ):
        parser.add_argument(
            f"--{option}",
            metavar="PATTERNS",
            type=patterns,
            help=f"names of tensors, with commas between, * for any text: {what}",
        )
    parser.add_argument(
        "--layout",
        metavar="LAYOUT[:PATTERN]",
        type=layout_option,
        action="append",
        help="how weights lie: out-in, in-out or convolution; may be repeated (default: by name "
        "and shape)",
    )
    parser.add_argument(
        "--activations",
        metavar="FILE",
        help="mean squares of layers' input channels, .npz, .safetensors or an imatrix .gguf: "
        "the output's error beside the weights'",
    )


def _target(text: str) -> str:
    """Read what is to be quantised to."""
    from fp8num.analysis import schemes_for

    try:
        schemes_for(text)[0].format.require_float64()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text.strip()


def _threshold(text: str) -> Threshold:
    """Read a condition."""
    try:
        return Threshold.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _bits(text: str) -> float:
    """Read a budget."""
    try:
        bits = float(text)
    except ValueError:
        bits = 0.0
    if not 0 < bits < math.inf:
        msg = f"must be a number of bits above 0, such as 6.5, got {shown(text)}"
        raise argparse.ArgumentTypeError(msg)
    return bits


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
        0, or 1 if a condition of ``--fail-on`` holds.

    Raises
    ------
    ValueError
        If a file cannot be read, or the report cannot be written.
    """
    from fp8num.analysis import choose
    from fp8num.report.build import check_budget
    from fp8num.report.terminal import budget_line, decision_lines

    choose(arguments.formats, arguments.rules)  # those that go with no other are refused first
    _check_rules(arguments.target, arguments.rules)
    check(
        arguments.fail_on,
        arguments.target,
        activations=bool(arguments.activations),
        rules=arguments.rules,
    )
    tensors, skipped = _open(arguments.files)
    tensors = only(tensors, arguments.only)
    options = _options(arguments, tensors)
    if arguments.bits is not None:
        said = {"layouts": options["layout"], "keep": options["keep"]}
        check_budget(arguments.bits, tensors, arguments.target, arguments.rules, **said)
    left_out = [
        f"{shorten(one.name)} in {shorten(one.file, 100)}: {printable(one.reason)}"
        for one in skipped
    ]
    _say("skipped", left_out, "more, see report.json")
    try:
        files = _build(arguments, tensors, skipped, options)
    except OSError as error:  # readers make InputErrors of theirs
        reason = error.strerror or str(error)
        msg = (
            f"output {shown(arguments.output)} cannot be written ({reason}); "
            "make room or name another directory with --output"
        )
        raise ValueError(msg) from error

    if arguments.json:
        sys.stdout.write(files.json.read_text(encoding="utf-8"))
    found = files.recommendation
    assert found is not None  # `build_report` decides
    paths = {"Page": files.page, "Figures": files.json}
    lines = decision_lines(
        found,
        tensors,
        target=arguments.target,
        paths={what: shlex.quote(str(path)) for what, path in paths.items()},
    )
    if (budget := files.budget) is not None:
        lines[-1:-1] = [budget_line(budget.point, budget.frontier.measure)]
    for line in lines:
        print(line, file=sys.stderr if arguments.json else sys.stdout)
    failures = failing(
        arguments.fail_on,
        found,
        tensors,
        target=arguments.target,
        activations=options["activations"],
    )
    _say("fail:", failures, "more")
    return int(bool(failures))


def _say(what: str, lines: Sequence[str], more: str) -> None:
    """Print the first lines on stderr, and how many more there are."""
    for line in lines[:MAX_LINES]:
        print(f"fp8num: {what} {line}", file=sys.stderr)
    if len(lines) > MAX_LINES:
        print(f"fp8num: {what} {len(lines) - MAX_LINES} {more}", file=sys.stderr)


def _check_rules(target: str, rules: tuple[Rule, ...] | None) -> None:
    """Refuse rules that the target's format does not go with."""
    from fp8num.analysis import schemes_for

    try:
        schemes_for(target, rules)
    except ValueError as error:
        msg = f"--rules must take the target {shown(target)}: {error}"
        raise ValueError(msg) from None


def _options(arguments: argparse.Namespace, tensors: list[StoredTensor]) -> dict[str, Any]:
    """Return what was said about tensors, by their names, as `recommend` takes it."""
    from fp8num.inputs import read_activations

    names = [tensor.name for tensor in tensors]
    file = arguments.activations
    return {
        "layout": layouts_by_name(arguments.layout, names),
        "keep": kept_by_name(arguments.keep, arguments.quantise, names),
        "activations": read_activations(file, names) if file else None,
    }


def _build(
    arguments: argparse.Namespace,
    tensors: list[StoredTensor],
    skipped: list[Skipped],
    options: dict[str, Any],
) -> ReportFiles:
    """Train if that is wanted, decide, analyse, and write."""
    from fp8num.report import build_report
    from fp8num.report.older import report_folder

    visible = sys.stderr.isatty() and not arguments.no_progress
    wanted = not arguments.files if arguments.training is None else arguments.training
    total = sum(tensor.size for tensor in tensors)
    # Refused before half a minute's work.
    budget, force = arguments.bits is not None, arguments.force
    with report_folder(Path(arguments.output), training=wanted, frontier=budget, force=force):
        training = _train(shown=visible) if wanted else None
        with progress_bar(counted(len(tensors), "tensor"), total, shown=visible) as progress:
            return build_report(
                tensors,
                arguments.output,
                formats=arguments.formats,
                rules=arguments.rules,
                target=arguments.target,
                layouts=options["layout"],
                keep=options["keep"],
                activations=options["activations"],
                progress=progress,
                skipped=skipped,
                command=shlex.join(["fp8num", *arguments.argv]),
                training=training,
                force=force,
                bits=arguments.bits,
            )


def _train(*, shown: bool) -> Comparison:
    """Compare FP32 and FP8 in training."""
    from fp8num.report import compare_on_digits
    from fp8num.report.experiment import RECIPES, SEEDS

    total = SEEDS * (1 + len(RECIPES))
    with progress_bar(counted(total, "training"), total, shown=shown) as advance:

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
