"""The page of the libraries' verdicts, in Markdown, from the records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fp8num.verify.peers import LIBRARIES
from fp8num.verify.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from peers_rows import Output, Row

__all__ = ["page"]

SOURCE_NAMES = tuple(SOURCES)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(row: Row | None) -> str:
    """Write a verdict in a cell: mismatches, and a sign for findings."""
    if row is None:
        return "–"
    if not row.cases:
        return "no answer"
    mark = " †" if row.findings else ""
    return f"**{row.mismatches:,}**{mark}" if row.mismatches else f"0{mark}"


def matrix(rows: Sequence[Row], *, decoding: bool) -> str:
    """Write mismatches: a line for each library, format and rule, a column for each source."""
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        key = (row.implementation, row.format, row.rule)
        if row.direction == "encode":
            groups.setdefault(key, {})[row.source] = row
    decoded = {(r.implementation, r.format): r for r in rows if r.direction == "decode"}
    lines = []
    for (name, fmt, rule), group in groups.items():
        cells = [cell(group.get(source)) for source in SOURCE_NAMES]
        if decoding:
            cells.append(cell(decoded.get((name, fmt))))
        lines.append([f"`{name}`", fmt, rule, *cells])
    header = ["implementation", "format", "judged as", *SOURCE_NAMES]
    return table([*header, "decoding"] if decoding else header, lines)


def disagreements(rows: Sequence[Row]) -> str:
    """Write a line for each source that shows a class of wrong codes not shown above it."""
    shown: dict[tuple[str, str], set[str]] = {}
    lines = []
    for row in rows:
        kinds = {part.rpartition(" ")[0] for part in row.classes.split("; ") if part}
        seen = shown.setdefault((row.implementation, row.format), set())
        if not (kinds - seen or (row.findings and "findings" not in seen)):
            continue
        seen |= kinds | ({"findings"} if row.findings else set())
        first = f"`{row.input}`: {row.got}, not {row.expected}" if row.input else ""
        what = "; ".join(part for part in (row.classes, row.findings) if part)
        lines.append(
            [f"`{row.implementation}`", row.format, row.source, what, first, f"`{row.line}`"]
        )
    return table(["implementation", "format", "from", "wrong", "first", "to see it"], lines)


def outputs_tables(outputs: Sequence[Output], questions: Sequence[Mapping[str, Any]]) -> str:
    """Write what the libraries make of the inputs: a table for each question."""
    parts = []
    for question in questions:
        fmt, source = question["format"], question["source"]
        found: dict[str, dict[str, str]] = {}
        for one in outputs:
            if (one.format, one.source) == (fmt, source):
                found.setdefault(one.implementation, {})[one.input] = one.output
        alike: dict[tuple[str, ...], list[str]] = {}
        for name, answers in found.items():
            key = tuple(answers.get(text, "") for text in question["inputs"])
            alike.setdefault(key, []).append(f"`{name}`")
        lines = [[", ".join(names), *answers] for answers, names in alike.items()]
        parts.append(f"### {fmt} from {source}\n\n{table(['', *question['inputs']], lines)}")
    return "\n\n".join(parts)


def claims_text(
    claims: Sequence[Mapping[str, Any]],
    outputs: Sequence[Output],
    questions: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> str:
    """
    Write each sentence with its evidence.

    ValueError if a library of `names`, which were just asked, does not bear it out.  What was
    recorded of others is shown if it does: they will be asked in their own environment.
    """
    known = {(o.implementation, o.format, o.source, o.input): o.output for o in outputs}
    asked = {(q["format"], q["source"], text) for q in questions for text in q["inputs"]}
    parts = []
    for claim in claims:
        lines = []
        for name, fmt, source, text, answer in claim["shows"]:
            if (fmt, source, text) not in asked:
                msg = f"{text}, {fmt} from {source} must be among the questions; a claim shows it"
                raise ValueError(msg)
            got = known.get((name, fmt, source, text))
            if name in names and got != answer:
                msg = f"{name}, {fmt} from {source}: {text} gives {got}, the claim says {answer}"
                raise ValueError(msg)
            if got == answer:
                lines.append(f"  - `{name}`, {fmt} from {source}: {text} gives {answer}")
        if lines:
            parts.append("\n".join([f"- {claim['text']}", *lines]))
    return "\n".join(parts)


PAGE = """# What other libraries do

Installed libraries, judged by the exact reference: every pair of a format and a type of
values that they have, over the standard cases of `fp8num.verify.cases` (all words of the
16-bit types; of float32 and float64 every value, midpoint and neighbours, specials, NaN
payloads, the edges of the range, structured words). Made by `python reports/peers.py`, which
judges what is installed where it runs and keeps the rows of the other libraries: PyTorch and
QPyTorch have an environment of their own.

{libraries}

## In short

{claims}

To ask a library about a number:

```
python -c "import numpy as np; from fp8num.verify.peers import get_peer; \\
print(get_peer('torch', 'E5M2', 'float64').function.describe(np.float64([9.00000000001])))"
```

## Wrong codes by a library's own rule

The rule is what the library says that it does, or the convention that this project has read
from it (`like=`): a 0 says that it does that. Two codes of NaN count as equal here;
`conformance.csv` also has the counts where they do not. † marks findings besides wrong codes;
– is what a library does not have. An answer that the format does not have counts as wrong;
where a table shows a code for it, it is that of a value far from the input, which no rule
gives, and the finding says what was answered.

{own}

Each disagreement, once for each class of inputs:

{disagreements}

## Wrong codes by OCP's rules

The OFP8 specification has two modes of overflow: saturating (`ocp-sat`) and not (`ocp-nonsat`).

{ocp}

## What they make of some inputs

Codes and values; `(none)` marks an answer that is no value of the format.

{outputs}

## Files

- `conformance.csv`: every verdict, with the line that reproduces it.
- `witnesses.csv`: the first wrong input of each class, by the library's own rule.
- `outputs.csv`: the tables of inputs above.
- `questions.toml`: those inputs, and the sentences at the top; written by hand, checked when
  the page is made.
"""


def page(
    rows: Sequence[Row],
    outputs: Sequence[Output],
    questions: Mapping[str, Any],
    names: Sequence[str],
) -> str:
    """Write the page from what the files hold, and what was just found of some libraries."""
    versions = {row.implementation: row.version for row in rows}
    libraries = table(
        ["implementation", "version", "what is called", "pip install"],
        [
            [f"`{name}`", version, LIBRARIES[name].about, LIBRARIES[name].install]
            for name, version in versions.items()
        ],
    )
    own = [row for row in rows if row.own == "own"]
    ocp = [row for row in rows if row.rule in {"ocp-sat", "ocp-nonsat"}]
    return PAGE.format(
        libraries=libraries,
        claims=claims_text(questions["claims"], outputs, questions["questions"], names),
        own=matrix(own, decoding=True),
        disagreements=disagreements(own),
        ocp=matrix(ocp, decoding=False),
        outputs=outputs_tables(outputs, questions["questions"]),
    )
