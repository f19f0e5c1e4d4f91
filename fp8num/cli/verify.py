"""``fp8num verify``: judge an implementation, lines of answers, or a pack of vectors."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fp8num._text import shown
from fp8num.cli.arguments import add_cases, add_projection, cases_of, projection_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from fp8num.formats import Format
    from fp8num.verify import Conformance, Finding, Implementation
    from fp8num.verify.sources import SourceType

__all__ = ["add_parser", "load", "run"]

DESCRIPTION = """
Judge a conversion to FORMAT. IMPLEMENTATION is '-' or a file of lines, each an input and
its code in hexadecimal, as 'fp8num vectors FORMAT | ./my_converter' gives them; or
module:function, which takes an array of values and returns codes; or the name of an
installed library (ml_dtypes, torch, gfloat-sat ...). --exec runs a program that reads inputs
and writes such lines. Exit code 0: it conforms; 1: it does not; 2: wrong usage.
"""
EXAMPLES = """
examples:
  fp8num vectors e4m3fn --source f32 | ./my_converter | fp8num verify e4m3fn - --source f32
  fp8num verify e4m3fn --exec './my_converter --fast' --source bf16
  fp8num verify e5m2 my_kernels:to_e5m2 --like cuda-satfinite --compare-nan code
  fp8num verify e4m3fn ml_dtypes --like ml_dtypes --sweep --workers 2 --journal sweep.jsonl
  fp8num verify --manifest vectors/manifest.json
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
        "verify",
        help="judge an implementation, with witnesses",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("format", nargs="?", metavar="FORMAT", help="the format of the codes")
    parser.add_argument(
        "implementation", nargs="?", metavar="IMPLEMENTATION", help="what to judge; '-' is stdin"
    )
    parser.add_argument("--exec", metavar="COMMAND", help="a program that reads and writes lines")
    parser.add_argument("--manifest", metavar="FILE", help="check a pack of vectors instead")
    add_projection(parser)
    parser.add_argument("--decode", action="store_true", help="judge a decoder: codes to values")
    parser.add_argument(
        "--takes", choices=("values", "bits"), help="what a function is given (default: values)"
    )
    parser.add_argument(
        "--compare-nan",
        choices=("class", "code"),
        default="class",
        help="whether any code of NaN will do (default: class)",
    )
    add_cases(parser)
    parser.add_argument(
        "--partial", action="store_true", help="judge the lines there are, whatever is missing"
    )
    parser.add_argument("--budget", type=int, metavar="N", help="mismatches allowed (default: 0)")
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="seconds a call may take (default: 60, and no limit in a sweep)",
    )
    parser.add_argument(
        "--no-probes", action="store_true", help="do not ask again, with other lengths and strides"
    )
    parser.add_argument("--sweep", action="store_true", help="all inputs of a 32-bit type")
    parser.add_argument("--workers", type=int, metavar="N", help="processes of a sweep (1)")
    parser.add_argument("--journal", metavar="FILE", help="resume a sweep from FILE, and keep it")
    parser.add_argument("--digests", action="store_true", help="SHA-256 of a sweep's output")
    parser.add_argument("--json", action="store_true", help="write the verdict as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Judge what the arguments name; ValueError if one is wrong."""
    if arguments.manifest is not None:
        _refuse(arguments, "--manifest")
        return _check_manifest(arguments)
    if arguments.implementation is not None and arguments.exec is not None:
        msg = f"name {shown(arguments.implementation)} or --exec as what to judge, not both"
        raise ValueError(msg)
    if arguments.format is None or (arguments.implementation is None) == (arguments.exec is None):
        msg = "name a FORMAT and what to judge: '-', a file, module:function, a library or --exec"
        raise ValueError(msg)
    if arguments.sweep:
        _refuse(arguments, "--sweep")
        return _sweep(arguments)
    lines = arguments.implementation is not None and _is_lines(arguments.implementation)
    _refuse(arguments, "lines" if lines else "--exec" if arguments.exec else "a function")
    with redirect_stdout(sys.stderr):  # whatever an implementation prints is no verdict
        verdict = _verdict(arguments)
    _started(arguments, verdict.findings)
    print(verdict.to_json() if arguments.json else verdict)
    return verdict.exit_code


#: Which options the ways to use the command do not have.
_WITHOUT = {
    "--manifest": (
        "format",
        "exec",
        "decode",
        "cases",
        "limit",
        "seed",
        "partial",
        "budget",
        "sweep",
        "journal",
    ),
    "--sweep": ("decode", "cases", "limit", "seed", "partial", "budget", "no_probes"),
    "lines": ("takes", "timeout", "no_probes", "workers", "journal", "digests"),
    "--exec": ("decode", "takes", "partial", "workers", "journal", "digests"),
    "a function": ("partial", "workers", "journal", "digests"),
}


def _refuse(arguments: argparse.Namespace, way: str) -> None:
    """Refuse options that would have no effect."""
    for name in _WITHOUT[way]:
        if getattr(arguments, name) not in {None, False}:
            option = "FORMAT" if name == "format" else f"--{name.replace('_', '-')}"
            msg = f"{option} has no meaning with {way}; leave it out"
            raise ValueError(msg)
    if arguments.decode:
        for name in ("rounding", "saturation", "like", "cases", "limit", "seed", "takes"):
            if getattr(arguments, name) is not None:
                msg = f"--{name} has no meaning with --decode; leave it out"
                raise ValueError(msg)


def _is_lines(name: str) -> bool:
    """Whether a name stands for a stream of lines."""
    return name == "-" or Path(name).is_file()


def _verdict(arguments: argparse.Namespace) -> Conformance:
    """Judge one implementation with a set of cases."""
    from fp8num.formats import get_format
    from fp8num.projection import get_projection
    from fp8num.verify.check import TIMEOUT, check, check_budget
    from fp8num.verify.lines import check_decoded_lines, check_lines
    from fp8num.verify.peers import PeerImplementation
    from fp8num.verify.sources import get_source
    from fp8num.verify.tally import NanRule

    fmt, source = get_format(arguments.format), get_source(arguments.source)
    options = projection_options(arguments)
    budget = 0 if arguments.budget is None else check_budget(arguments.budget)
    cases = None if arguments.decode or arguments.partial else cases_of(arguments, fmt, source)
    name = arguments.implementation
    if name is not None and _is_lines(name):
        with _lines(name) as stream:
            if arguments.decode:
                return check_decoded_lines(
                    stream,
                    fmt,
                    source,
                    implementation="standard input" if name == "-" else name,
                    compare_nan=NanRule(arguments.compare_nan),
                    budget=budget,
                )
            return check_lines(
                stream,
                fmt,
                source,
                get_projection(fmt, **options),
                cases=cases,
                implementation="standard input" if name == "-" else name,
                compare_nan=NanRule(arguments.compare_nan),
                rule=None if arguments.like is None else f"as {arguments.like}",
                budget=budget,
            )
    judged = _implementation(arguments)
    verdict = check(
        judged,
        fmt,
        direction="decode" if arguments.decode else "encode",
        takes=arguments.takes or "values",
        source=source,
        **options,
        compare_nan=arguments.compare_nan,
        cases=cases,
        budget=budget,
        timeout=TIMEOUT if arguments.timeout is None else arguments.timeout,
        probes=not arguments.no_probes,
    )
    if isinstance(judged, PeerImplementation) and cases is not None:
        more = judged.findings(cases.words, source, fmt)
        verdict = replace(verdict, findings=(*verdict.findings, *more))
    return verdict


def _started(arguments: argparse.Namespace, findings: tuple[Finding, ...]) -> None:
    """Refuse a program that could not even be started: nothing was judged."""
    for finding in findings:
        if finding.fault.value == "start":
            msg = f"--exec {arguments.exec!r:.80} {finding.detail}; name a program that runs"
            raise ValueError(msg)


def _lines(name: str) -> Any:  # noqa: ANN401 - a text stream that can be closed
    """Return the stream that a name stands for."""
    if name == "-":
        import io

        if sys.stdin is None:
            msg = "standard input is closed; name a file of lines, or connect it"
            raise ValueError(msg)
        return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")
    return Path(name).open(encoding="utf-8", errors="replace")


def _implementation(arguments: argparse.Namespace) -> Implementation | Callable[..., Any]:
    """Return what the arguments name."""
    if arguments.exec is not None:
        from fp8num.verify import ProcessImplementation

        try:
            command = tuple(shlex.split(arguments.exec))
        except ValueError as error:
            msg = f"--exec must be a command line, got {arguments.exec!r:.80}: {error}"
            raise ValueError(msg) from error
        if arguments.timeout is None:
            return ProcessImplementation(command)
        return ProcessImplementation(command, arguments.timeout)
    found: Implementation | Callable[..., Any]
    found = load(arguments.implementation, arguments.format, arguments.source)
    return found


def load(name: str, fmt: Format | str, source: SourceType | str) -> Any:  # noqa: ANN401 - theirs
    """Return an implementation by its name on the command line."""
    module, colon, function = name.partition(":")
    if not colon and ("/" in name or "." in name):
        msg = (
            f"implementation {shown(name)} is no file; name a file of lines, module:function or "
            "--exec"
        )
        raise ValueError(msg)
    if not colon:
        from fp8num.verify.peers import get_peer

        return get_peer(name, fmt, source)
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except Exception as error:
        msg = f"implementation {shown(name)} cannot be loaded: {error}; name module:function"
        raise ValueError(msg) from error
    if not callable(found) and not hasattr(found, "codes"):
        msg = (
            f"implementation {shown(name)} must be a function from values to codes, "
            f"got {type(found).__name__}"
        )
        raise ValueError(msg)
    return found


def _check_manifest(arguments: argparse.Namespace) -> int:
    """Check a pack of vectors."""
    from fp8num.verify.vectors.manifest import check_manifest

    verdict = check_manifest(arguments.manifest)
    print(json.dumps(verdict.to_dict(), indent=2) if arguments.json else verdict)
    return verdict.exit_code


def _sweep(arguments: argparse.Namespace) -> int:
    """Judge all the inputs of a type, with a progress bar on a terminal."""
    from fp8num.cli.progress import progress_bar
    from fp8num.formats import get_format
    from fp8num.verify import sweep
    from fp8num.verify.sources import get_source

    fmt, source = get_format(arguments.format), get_source(arguments.source)
    visible = sys.stderr.isatty() and not arguments.json
    with progress_bar(
        f"{fmt.name} from {source.name}", 1 << source.bits, shown=visible
    ) as progress:
        found = sweep(
            _implementation(arguments),
            fmt,
            takes=arguments.takes or "values",
            source=source,
            **projection_options(arguments),
            compare_nan=arguments.compare_nan,
            workers=1 if arguments.workers is None else arguments.workers,
            journal=arguments.journal,
            progress=progress,
            digests=arguments.digests,
            timeout=arguments.timeout,
        )
    _started(arguments, found.faults)
    if arguments.json:
        print(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        print(found)
    return 0 if found.ok else 1
