"""
The verdict on an implementation: what was tried, what was wrong, and the first witnesses.

::

    domain + cases + exclusions      what the verdict is about
    tally by class + witnesses       wrong codes
    findings                         exceptions, hangs, answers that depend on the array ...
    coverage                         which roundings the cases have exercised

A verdict never says more than was tried: no case, no answer or a finding is not conformance.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from fp8num._text import cut, printable
from fp8num.projection import NanResult
from fp8num.verify.tally import NanRule

if TYPE_CHECKING:
    import pandas as pd

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.coverage import Coverage
    from fp8num.verify.implementation import Fault
    from fp8num.verify.sources import SourceType
    from fp8num.verify.tally import Tally, Witness

__all__ = ["Conformance", "Direction", "Finding", "describe_projection", "exclusions_of"]

SCHEMA = 1
#: Columns of a verdict on a terminal.
WIDTH = 100


class Direction(Enum):
    """What an implementation converts."""

    ENCODE = "encode"  #: values to codes
    DECODE = "decode"  #: codes to values


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What is wrong with an implementation besides a wrong code.

    Parameters
    ----------
    fault : Fault
        Which kind of fault it is.
    detail : str
        What happened, in a sentence.
    """

    fault: Fault
    detail: str


def describe_projection(projection: Projection, like: str | None = None) -> str:
    """Write a projection in a few words."""
    if like is not None:
        return f"as {like}"
    return f"{projection.rounding.value}, {projection.saturation.value}"


def exclusions_of(projection: Projection, fmt: Format, compare_nan: NanRule) -> tuple[str, ...]:
    """Return what a comparison of codes leaves out."""
    found = []
    if projection.nan is NanResult.RAISE and not fmt.has_nan:
        found.append("NaNs, which are to raise an error")
    if compare_nan is NanRule.CLASS and fmt.has_nan:
        found.append("which code of NaN is given")
    return tuple(found)


def _wrapped(label: str, text: str) -> list[str]:
    """Break a long line of the verdict; names and hex floats stay whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {label:<10}",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


@dataclass(frozen=True, kw_only=True)
class Conformance:
    """
    The verdict on an implementation.

    Parameters
    ----------
    implementation : str
        Its name.
    fmt : Format
        The format of the codes.
    source : SourceType
        The type of the values.
    direction : Direction
        What it converts.
    rule : str
        The projection that was expected, in words.
    domain : str
        What the cases are, in a sentence.
    exclusions : tuple of str
        What the verdict does not say.
    cases : tuple of (str, int)
        Cases by class.
    tally : Tally
        What the comparison found.
    flags : Tally or None
        The same for the exception flags, where the implementation gives any.
    findings : tuple of Finding
        What else is wrong.
    layouts : tuple of str
        In which arrays the inputs were given; empty without probes.
    coverage : Coverage or None
        Which roundings the cases have exercised.
    nan : NanRule
        When two codes of NaN counted as equal.
    budget : int
        Mismatches that are allowed.
    seconds : float
        Wall time.
    """

    implementation: str
    fmt: Format
    source: SourceType
    direction: Direction
    rule: str
    domain: str
    exclusions: tuple[str, ...]
    cases: tuple[tuple[str, int], ...]
    tally: Tally
    flags: Tally | None
    findings: tuple[Finding, ...]
    layouts: tuple[str, ...] = ()
    coverage: Coverage | None
    nan: NanRule
    budget: int
    seconds: float

    @property
    def mismatches(self) -> int:
        """Wrong codes and wrong flags."""
        return self.tally.total + (0 if self.flags is None else self.flags.total)

    @property
    def ok(self) -> bool:
        """Whether cases were tried, mismatches stay in the budget, and nothing else is wrong."""
        return bool(self.tally.cases) and self.mismatches <= self.budget and not self.findings

    def __bool__(self) -> bool:
        return self.ok  # so that `assert check(...)` asserts something

    @property
    def exit_code(self) -> int:
        """What a program should exit with: 0 if `ok`, else 1."""
        return 0 if self.ok else 1

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        """The first mismatches of each class."""
        return self.tally.witnesses

    @property
    def by_class(self) -> dict[str, int]:
        """Mismatches by class, those with none left out."""
        return dict(self.tally.mismatches)

    def input_text(self, word: int) -> str:
        """Write an input: a hex float and a decimal, or a code in hexadecimal."""
        if self.direction is Direction.DECODE:
            return f"{word:#0{2 + -(-self.fmt.bits // 4)}x}"
        return self.source.hex(word)

    def output_text(self, output: int) -> str:
        """Write an output: a code and what it stands for, or the value of a decoder."""
        if self.direction is Direction.DECODE:
            return self.source.hex(output)
        value = float(self.fmt.values[output])  # noqa: PD011 - a format's values, no DataFrame's
        return f"{output:0{-(-self.fmt.bits // 4)}x} = {value:.12g}"

    def bits_text(self, witness: Witness) -> str:
        """Write the fields of a witness's codes: expected, got."""
        if self.direction is Direction.DECODE:
            return "_".join(part for part in self.fmt.fields(witness.word) if part)
        codes = (witness.expected, witness.got)
        return " ".join("_".join(part for part in self.fmt.fields(c) if part) for c in codes)

    def to_dict(self) -> dict[str, Any]:
        """
        Return the verdict as a dictionary that JSON can hold.

        Returns
        -------
        dict
            With a ``schema`` number, which changes when the meaning of a key does.
        """
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "implementation": self.implementation,
            "format": self.fmt.to_dict(),
            "source": self.source.name,
            "direction": self.direction.value,
            "rule": self.rule,
            "nan": self.nan.value,
            "domain": self.domain,
            "exclusions": list(self.exclusions),
            "cases": self.tally.cases,
            "mismatches": self.mismatches,
            "budget": self.budget,
            "classes": [
                {"class": name, "cases": count, "mismatches": self.by_class.get(name, 0)}
                for name, count in self.cases
            ],
            "witnesses": [self._witness(witness) for witness in self.witnesses],
            "flags": None
            if self.flags is None
            else {
                "mismatches": self.flags.total,
                "witnesses": [self._flag_witness(witness) for witness in self.flags.witnesses],
            },
            "layouts": list(self.layouts),
            "findings": [{"fault": f.fault.value, "detail": f.detail} for f in self.findings],
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
            "seconds": self.seconds,
        }

    def _witness(self, witness: Witness) -> dict[str, Any]:
        digits = -(-self.fmt.bits // 4) if self.direction is Direction.DECODE else None
        return {
            "class": witness.kind,
            "word": f"{witness.word:0{digits or self.source.digits}x}",
            "input": self.input_text(witness.word),
            "expected": self.output_text(witness.expected),
            "got": self.output_text(witness.got),
            "bits": self.bits_text(witness),
        }

    def _flag_witness(self, witness: Witness) -> dict[str, Any]:
        return {
            "class": witness.kind,
            "input": self.input_text(witness.word),
            "expected": f"{witness.expected:x}",
            "got": f"{witness.got:x}",
        }

    def to_json(self) -> str:
        """Return the verdict as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_frame(self) -> pd.DataFrame:
        """
        Return the classes as a table.

        Returns
        -------
        pandas.DataFrame
            A row per class: class, cases, mismatches, and the first witness (input,
            expected, got; empty where there is none).
        """
        import pandas as pd

        first: dict[str, Witness] = {}
        for witness in self.witnesses:
            first.setdefault(witness.kind, witness)
        rows = []
        for name, count in self.cases:
            row = {"class": name, "cases": count, "mismatches": self.by_class.get(name, 0)}
            found = self._witness(first[name]) if name in first else {}
            rows.append(row | {key: found.get(key, "") for key in ("input", "expected", "got")})
        columns = ["class", "cases", "mismatches", "input", "expected", "got"]
        return pd.DataFrame(rows, columns=columns)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    @property
    def _headline(self) -> str:
        if not self.ok:
            return "DOES NOT CONFORM"
        return "CONFORMS WITHIN THE BUDGET" if self.mismatches else "CONFORMS"

    def _lines(self) -> list[str]:
        """Write the verdict for a terminal."""
        arrow = {
            Direction.ENCODE: f"{self.source.name} -> {self.fmt.name}, {self.rule}",
            Direction.DECODE: f"{self.fmt.name} -> {self.source.name}",
        }[self.direction]
        lines = [
            f"{self._headline}: {printable(cut(self.implementation, 200))}, {arrow}",
            *_wrapped("domain", f"{self.tally.cases:,} cases: {self.domain}"),
            *(f"  excluded  {exclusion}" for exclusion in self.exclusions),
        ]
        budget = f", {self.budget:,} allowed" if self.budget else ""
        lines.append(f"  wrong     {self.tally.total:,} codes{budget}")
        for name, wrong in self.tally.mismatches:
            of = dict(self.cases).get(name)
            share = "" if of is None else f" of {of:,}"
            lines.append(f"            {wrong:,}{share}: {name}")
        lines += [self._witness_line(witness) for witness in self.witnesses]
        if self.flags is not None:
            lines.append(f"  flags     {self.flags.total:,} wrong of {self.flags.cases:,}")
            for witness in self.flags.witnesses:
                flag = self._flag_witness(witness)
                lines.append(
                    f"  at        {flag['input']}: expected {flag['expected']}, got {flag['got']}"
                )
        for finding in self.findings:
            lines += _wrapped("fault", f"{finding.fault.value}: {finding.detail}")
        if self.layouts:
            lines += _wrapped("given", "; ".join(self.layouts))
        if self.coverage is not None:
            lines.append(f"  coverage  {str(self.coverage).splitlines()[0]}")
        lines.append(f"  time      {self.seconds:.3g} s")
        return lines

    def _witness_line(self, witness: Witness) -> str:
        found = self._witness(witness)
        return (
            f"  witness   {found['input']} ({found['word']}): expected {found['expected']}, "
            f"got {found['got']}  [{witness.kind}]"
        )
