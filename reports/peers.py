"""
Judge the installed libraries and write what they do: ``python reports/peers.py``.

::

    library x format x source -> check, by its own rule and by OCP's -> conformance.csv
                              -> the first wrong input of each class -> witnesses.csv
    questions.toml            -> what each library makes of inputs   -> outputs.csv
                                 sentences, with their evidence      -> README.md

Rows of libraries that are not installed here are kept, with the version they are of: so two
environments complete one table.  ``--check`` writes nothing and fails on a difference.
"""

from __future__ import annotations

import argparse
import shlex
import tomllib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from peers_page import page
from peers_rows import Output, Row, WitnessRow, differences, merged, read_rows, rows_text, write

from fp8num.formats import get_format
from fp8num.projection import PROFILES
from fp8num.verify import Conformance, Direction, check
from fp8num.verify.cases import standard
from fp8num.verify.peers import LIBRARIES, Peer, available, get_peer
from fp8num.verify.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER = Path(__file__).resolve().parent / "peers"
#: Options of `check` and of the command line.
Options = dict[str, str]

#: What each library says that it does.
OWN: Mapping[str, Options] = {
    **{name: {"like": "ml_dtypes"} for name in ("ml_dtypes", "ml_dtypes-scalar")},
    "jax": {"like": "ml_dtypes<0.7"},
    "torch": {"like": "torch>=2.13"},
    "mlx": {"like": "ocp-sat"},
    **{name: {"like": name} for name in LIBRARIES if name.startswith("onnx-")},
    "onnxruntime-saturate": {"like": "onnx-saturate"},
    "onnxruntime-nosat": {"like": "onnx-nosat"},
    "tinygrad": {"like": "tinygrad"},
    "gfloat-sat": {"saturation": "SatFinite"},
    "pychop-p3109-sat": {"saturation": "SatFinite"},
    "qtorch": {"rounding": "NearestTiesToAway"},
}
#: What the others say, except of P3109's formats: the format's own overflow.
OTHERS: Options = {"saturation": "SatNone"}
OCP: tuple[Options, ...] = ({"like": "ocp-sat"}, {"like": "ocp-nonsat"})


def rules(name: str, fmt: str) -> list[Options]:
    """Return what a library is judged by: its own rule first."""
    p3109 = {"like": "p3109-v4"} if fmt.startswith("Binary") else OTHERS
    found = [OWN.get(name, p3109)]
    if name == "qtorch":
        found.append({"rounding": "NearestTiesToEven"})  # its documentation says both
    if fmt in PROFILES["ocp-sat"].formats:
        found += [rule for rule in OCP if rule not in found]
    return found


def judge(name: str) -> tuple[list[Row], list[WitnessRow]]:
    """Judge a library in all that it has."""
    library = LIBRARIES[name]
    rows: list[Row] = []
    witnesses: list[WitnessRow] = []
    for fmt in library.formats:
        for source in library.sources:
            some, of_them = judge_encoder(name, fmt, source)
            rows += some
            witnesses += of_them
        if library.decode is not None:
            verdict = check(get_peer(name, fmt), fmt, direction="decode")
            line = f"fp8num verify {fmt} {name} --source f32 --decode"
            findings = [f"{one.fault.value}: {one.detail}" for one in verdict.findings]
            rows.append(make_row(name, verdict, findings, line=line))
    return rows, witnesses


def judge_encoder(name: str, fmt: str, source: str) -> tuple[list[Row], list[WitnessRow]]:
    """Judge an encoder by each rule; what does not depend on the rule is found once."""
    rows: list[Row] = []
    witnesses: list[WitnessRow] = []
    findings: list[str] = []
    peer = get_peer(name, fmt, source)
    for number, rule in enumerate(rules(name, fmt)):
        first = number == 0
        verdict = check(peer, fmt, source=source, probes=first, **rule)  # type: ignore[arg-type]
        if first:
            words = standard(fmt, source).words
            others = peer.findings(words, SOURCES[source], get_format(fmt))
            findings = [f"{o.fault.value}: {o.detail}" for o in (*verdict.findings, *others)]
            witnesses = list(first_witnesses(name, verdict))
        # Whether NaNs have the codes expected.
        strict = check(peer, fmt, source=source, probes=False, compare_nan="code", **rule)  # type: ignore[arg-type]
        options = " ".join(f"--{key} {shlex.quote(value)}" for key, value in rule.items())
        line = f"fp8num verify {fmt} {name} --source {SOURCES[source].short} {options}"
        codes = strict.mismatches
        rows.append(make_row(name, verdict, findings, line=line, own=first, with_nan_codes=codes))
    return rows, witnesses


def make_row(
    name: str,
    verdict: Conformance,
    findings: Sequence[str],
    *,
    line: str,
    own: bool = True,
    with_nan_codes: int | None = None,
) -> Row:
    """Write a verdict as a row."""
    first = ([*verdict.to_dict()["witnesses"], {}])[0]
    encodes = verdict.direction is Direction.ENCODE
    return Row(
        implementation=name,
        version=LIBRARIES[name].version,
        direction=verdict.direction.value,
        format=verdict.fmt.name,
        source=verdict.source.name,
        own="own" if own else "other",
        rule=verdict.rule.removeprefix("as ") if encodes else "",
        cases=verdict.tally.cases,
        mismatches=verdict.mismatches,
        with_nan_codes=verdict.mismatches if with_nan_codes is None else with_nan_codes,
        classes="; ".join(f"{kind} {count}" for kind, count in verdict.by_class.items()),
        findings="; ".join(" ".join(finding.split()) for finding in findings),
        input=first.get("input", ""),
        expected=first.get("expected", ""),
        got=first.get("got", ""),
        line=line,
    )


def first_witnesses(name: str, verdict: Conformance) -> Iterator[WitnessRow]:
    """Yield the first witness of each class."""
    seen = set()
    for one in verdict.to_dict()["witnesses"]:
        if one["class"] not in seen:
            seen.add(one["class"])
            yield WitnessRow(
                implementation=name,
                version=LIBRARIES[name].version,
                format=verdict.fmt.name,
                source=verdict.source.name,
                rule=verdict.rule.removeprefix("as "),
                kind=one["class"],
                word=one["word"],
                input=one["input"],
                expected=one["expected"],
                got=one["got"],
            )


def ask(name: str, questions: Sequence[Mapping[str, Any]]) -> Iterator[Output]:
    """Ask a library about the inputs of the questions."""
    library = LIBRARIES[name]
    for question in questions:
        fmt, source = get_format(question["format"]), SOURCES[question["source"]]
        if fmt.name in library.formats and source.name in library.sources:
            get_peer(name, fmt, source)  # or says what is missing
            values = np.array([number(text) for text in question["inputs"]], np.float64)
            answers = Peer(name, fmt, source).describe(values.astype(source.dtype))
            for text, answer in zip(question["inputs"], answers, strict=True):
                yield Output(name, library.version, fmt.name, source.name, text, answer)


def number(text: str) -> float:
    """Read a decimal or a hexadecimal number."""
    return float.fromhex(text) if "0x" in text else float(text)


def examine(
    name: str, questions: Sequence[Mapping[str, Any]]
) -> tuple[list[Row], list[WitnessRow], list[Output]]:
    """Judge a library and ask it."""
    return *judge(name), list(ask(name, questions))


def remake(names: Sequence[str], folder: Path, workers: int) -> dict[str, str]:
    """Return the text of every file, with the libraries named judged anew."""
    with (FOLDER / "questions.toml").open("rb") as stream:
        questions = tomllib.load(stream)
    one = partial(examine, questions=questions["questions"])
    if workers:
        # A process for each, so that no library changes what another does, or its speed.
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1) as pool:
            found = list(pool.map(one, names))
    else:
        found = list(map(one, names))
    rows = [row for some, _, _ in found for row in some]
    witnesses = [row for _, some, _ in found for row in some]
    outputs = [row for _, _, some in found for row in some]
    rows = merged(read_rows(folder / "conformance.csv", Row), rows, names)
    witnesses = merged(read_rows(folder / "witnesses.csv", WitnessRow), witnesses, names)
    outputs = merged(read_rows(folder / "outputs.csv", Output), outputs, names)
    return {
        "conformance.csv": rows_text(rows, Row),
        "witnesses.csv": rows_text(witnesses, WitnessRow),
        "outputs.csv": rows_text(outputs, Output),
        "README.md": page(rows, outputs, questions, names),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge what is installed, or what is named."""
    parser = argparse.ArgumentParser(description="Judge the installed libraries.")
    parser.add_argument("names", nargs="*", help="libraries; by default all that are installed")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder (reports/peers)")
    parser.add_argument("--workers", type=int, default=1, help="processes at a time; 0: this one")
    parsed = parser.parse_args(arguments)
    unknown = sorted(set(parsed.names) - set(LIBRARIES))
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(LIBRARIES)}")
    texts = remake(parsed.names or available(), parsed.output, parsed.workers)
    if not parsed.check:
        write(parsed.output, texts)
        return 0
    wrong = differences(texts, parsed.output)
    if wrong:
        raise SystemExit("\n".join([f"{len(wrong)} lines differ:", *wrong[:20]]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
