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

import bisect
import html
import json
import math
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._records import as_dict, wrapped
from fp8num._text import cut, printable
from fp8num.verify.classes import gaps
from fp8num.verify.hexlines import code_digits

if TYPE_CHECKING:
    import pandas as pd

    from fp8num.formats import Format
    from fp8num.verify.coverage import Coverage
    from fp8num.verify.implementation import Fault
    from fp8num.verify.sources import SourceType
    from fp8num.verify.tally import NanRule, Tally, Witness

__all__ = ["Conformance", "Direction", "Finding"]

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


@dataclass(frozen=True, kw_only=True, repr=False)
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
    agrees : tuple of str
        Options of `check` under which every code would have been right.
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
    agrees: tuple[str, ...] = ()
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
            return f"{word:#0{2 + code_digits(self.fmt)}x}"
        return self.source.hex(word)

    def output_text(self, output: int) -> str:
        """Write an output: a code and what it stands for, or the value of a decoder."""
        if self.direction is Direction.DECODE:
            return self.source.hex(output)
        value = float(self.fmt.values[output])  # noqa: PD011 - a format's values, no DataFrame's
        return f"{output:0{code_digits(self.fmt)}x} = {value:.12g}"

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
        classes = [
            {"class": name, "cases": count, "mismatches": self.by_class.get(name, 0)}
            for name, count in self.cases
        ]
        flags = self.flags and {
            "mismatches": self.flags.total,
            "witnesses": [self._flag_witness(witness) for witness in self.flags.witnesses],
        }
        return {
            "schema": SCHEMA,
            **as_dict(self, "ok", "implementation"),
            "format": self.fmt.to_dict(),
            "source": self.source.name,
            **as_dict(self, "direction", "rule", "nan", "domain", "exclusions"),
            "cases": self.tally.cases,
            **as_dict(self, "mismatches", "budget"),
            "classes": classes,
            "witnesses": [self._witness(witness) for witness in self.witnesses],
            "flags": flags,
            **as_dict(self, "layouts", "findings", "agrees", "coverage", "seconds"),
        }

    def _witness(self, witness: Witness) -> dict[str, Any]:
        digits = code_digits(self.fmt) if self._decodes else self.source.digits
        return {
            "class": witness.kind,
            "word": f"{witness.word:0{digits}x}",
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

    @property
    def _what(self) -> str:
        if self.direction is Direction.DECODE:
            return f"{self.fmt.name} -> {self.source.name}"
        return f"{self.source.name} -> {self.fmt.name}, {self.rule}"

    def __repr__(self) -> str:
        # In one line, which pytest shows of a failed `assert check(...)`, up to 240 characters.
        what = f"{printable(self.implementation[-60:])}, {self._what}"
        if self.ok:
            return f"<{self._headline}: {self.tally.cases:,} cases; {what}>"
        parts = [f"{finding.fault.value}: {finding.detail[:90]}" for finding in self.findings[:1]]
        first = self.first
        if first is not None:
            parts.insert(0, self._wrong)
            parts.insert(1, self._brief(first))
        elif self.flags is not None and self.flags.total:
            parts.insert(0, f"{self.flags.total:,} of {self.flags.cases:,} flags")
        return f"<{self._headline}: {'; '.join(parts or ['nothing was judged'])}; {what}>"

    def _repr_html_(self) -> str:
        """Return the verdict and its classes as HTML, with every text escaped."""
        found = self.to_frame() if self.cases else None
        table = "" if found is None else found.to_html(index=False, escape=True, border=0)
        return f"<pre>{html.escape(str(self))}</pre>{table}"

    @property
    def first(self) -> Witness | None:
        """The witness that is shown in full: of the numbers the one nearest to 1."""
        if self._decodes:
            return next(iter(self.witnesses), None)
        one = self.source.layout.bias << self.source.layout.mantissa_bits

        def far(witness: Witness) -> tuple[bool, int]:
            magnitude = witness.word & (self.source.sign - 1)
            return not 0 < magnitude < self.source.infinity, abs(magnitude - one)

        return min(self.witnesses, key=far, default=None)

    @property
    def _wrong(self) -> str:
        of = self.tally.cases
        return f"{self.tally.total:,} of {of:,} {'values' if self._decodes else 'codes'}"

    @property
    def _decodes(self) -> bool:
        return self.direction is Direction.DECODE

    def _brief(self, witness: Witness) -> str:
        """Write a witness in half a line."""
        found = self._witness(witness)
        given = found["input"]
        if not self._decodes and self._is_number(witness.word):
            given = f"{self._value(witness.word)!r} ({found['word']})"
        return f"{given}: expected {found['expected']}, got {found['got']}"

    def _is_number(self, word: int) -> bool:
        return word & (self.source.sign - 1) < self.source.infinity

    def _value(self, word: int) -> float:
        values = self.source.values(np.array([word], self.source.word))
        return float(values.astype(np.float64)[0])

    def _in_full(self, witness: Witness) -> list[str]:
        """Write a witness: value, hex, bits, and how far from it each side is."""
        if self._decodes:
            codes = f"code {self.input_text(witness.word)} = {self.bits_text(witness)}"
            rows = [
                (side, f"{word:0{self.source.digits}x} = {self._decimal(word)}")
                for side, word in (("expected", witness.expected), ("got", witness.got))
            ]
            apart = abs(witness.expected - witness.got)
            same_sign = (witness.expected ^ witness.got) < self.source.sign
            numbers = self._is_number(witness.expected) and self._is_number(witness.got)
            steps = f"; {apart:,} {self.source.name} numbers apart" if same_sign and numbers else ""
            return [
                f"  first     {codes}  [{witness.kind}]",
                *(f"            {side:<8}  {text}" for side, text in rows[:1]),
                f"            {rows[1][0]:<8}  {rows[1][1]}{steps}",
            ]
        fields = self.source.fields(witness.word)
        word = f"word {witness.word:0{self.source.digits}x} = {fields}"
        lines = [f"  first     {self._decimal(witness.word)}, {word}  [{witness.kind}]"]
        for side, code in (("expected", witness.expected), ("got", witness.got)):
            bits = "_".join(part for part in self.fmt.fields(code) if part)
            text, _, value = self.output_text(code).partition(" = ")
            lines.append(
                f"            {side:<8}  {text} = {bits} = {value}{self._off(witness.word, code)}"
            )
        return lines

    def _decimal(self, word: int) -> str:
        """Write a number so that it can be read, and exactly."""
        text = self.source.hex(word)
        return f"{self._value(word)!r} = {text}" if self._is_number(word) else text

    def _off(self, word: int, code: int) -> str:
        """Say how far a code's value is from a number, in units of the gap that it lies in."""
        value = float(self.fmt.values[code])  # noqa: PD011 - a format's values
        if not self._is_number(word) or not math.isfinite(value):
            return ""
        exact = Fraction(self._value(word))
        ladder = gaps(self.fmt)
        place = bisect.bisect_right(ladder, abs(exact), key=lambda gap: gap.low) - 1
        gap = ladder[max(place, 0)]
        distance = (Fraction(value) - exact) / (gap.high - gap.low)
        if not distance:
            return ", exact"
        return f", {abs(float(distance)):.9g} ulp {'above' if distance > 0 else 'below'} the input"

    def _hint(self) -> list[str]:
        """Say which other convention explains every mismatch, if one does."""
        if not self.agrees:
            return []
        classes = ", ".join(name for name, _ in self.tally.mismatches)
        return wrapped(
            "hint",
            f"all {self.tally.total:,} mismatches ({classes}) are of another convention: "
            f"{' or '.join(self.agrees)} agrees with every case",
        )

    def _lines(self) -> list[str]:
        """Write the verdict for a terminal: what is wrong first, and then what was tried."""
        headline = f"{self._headline}: {printable(cut(self.implementation, 200))}, {self._what}"
        budget = f", {self.budget:,} allowed" if self.budget else ""
        wrong = [f"  wrong     {self._wrong if self.tally.total else '0 codes'}{budget}"]
        if self.first is not None:
            wrong += self._in_full(self.first)
        wrong += self._hint()
        if self.flags is not None:
            wrong.append(f"  flags     {self.flags.total:,} wrong of {self.flags.cases:,}")
            for witness in self.flags.witnesses:
                flag = self._flag_witness(witness)
                wrong.append(
                    f"  at        {flag['input']}: expected {flag['expected']}, got {flag['got']}"
                )
        for finding in self.findings:
            wrong += wrapped("fault", f"{finding.fault.value}: {finding.detail}")
        classes: list[str] = []
        for name, count in self.tally.mismatches:
            of = dict(self.cases).get(name)
            share = "" if of is None else f" of {of:,}"
            classes.append(f"  {'' if classes else 'classes':<8}  {count:,}{share}: {name}")
        tried = [
            *wrapped("domain", f"{self.tally.cases:,} cases: {self.domain}"),
            *(f"  excluded  {exclusion}" for exclusion in self.exclusions),
        ]
        tried += wrapped("given", "; ".join(self.layouts)) if self.layouts else []
        if self.coverage is not None:
            tried.append(f"  coverage  {str(self.coverage).splitlines()[0]}")
        tried.append(f"  time      {self.seconds:.3g} s")
        witnesses = [self._witness_line(witness) for witness in self.witnesses]
        return [headline, *wrong, *classes, *witnesses, *tried]

    def _witness_line(self, witness: Witness) -> str:
        found = self._witness(witness)
        return (
            f"  witness   {found['input']} ({found['word']}): expected {found['expected']}, "
            f"got {found['got']}  [{witness.kind}]"
        )
