"""Text from outside does no harm where it is shown, and can be had back from a table."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given

from fp8num._text import columns, guarded, pairs, printable, shorten, shown
from fp8num.cli import main
from fp8num.report.tables import frame_to_csv

if TYPE_CHECKING:
    from pathlib import Path

#: A colour, a line end, and what turns a line around.
HOSTILE = "e\x1b[31m\n\u202ex"
#: What OWASP's "CSV Injection" says that a spreadsheet's formula can begin with.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@given(st.text())
def test_printable_text_is_one_visible_line(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u202eabc", r"\u202eabc"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_controls_reversals_and_surrogates_are_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


@given(st.text(), st.integers(8, 60))
@example("\x00" * 100, 8)
@example("a" * 7 + "\U000e0041" * 10, 8)
def test_a_shortened_name_keeps_to_its_limit(text: str, limit: int) -> None:
    short = shorten(text, limit)

    assert len(short) <= limit
    assert short.isprintable()


@given(st.text(), st.integers(8, 60))
def test_shortening_cuts_out_the_middle_of_the_escaped_name(text: str, limit: int) -> None:
    full, short = printable(text), shorten(text, limit)

    if len(full) <= limit:
        assert short == full
    else:
        head, tail = short[: limit - 1 - limit // 2], short[-(limit // 2) :]
        assert short == f"{head}…{tail}"
        assert full.startswith(head)
        assert full.endswith(tail)


@given(st.text() | st.text(st.sampled_from([*" x", *FORMULAS])))
@example(" =1")
@example("  -1")
def test_a_guarded_text_is_no_formula_and_can_be_had_back(text: str) -> None:
    """One space before it, taken away again where spaces come before such a character."""
    found = guarded(text)

    assert not found.startswith(FORMULAS)
    was_guarded = found.startswith(" ") and found.lstrip(" ").startswith((*FORMULAS, "\n"))
    assert found[was_guarded:] == text


@pytest.mark.parametrize("quoted", [True, False])
def test_no_cell_of_a_table_is_a_formula_and_numbers_are_as_they_are(
    quoted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    kinds = FORMULAS if quoted else FORMULAS[:-1]  # pandas would quote no carriage return
    names = [*(f"{first}cmd|' /C calc'!A0" for first in kinds), "w"]
    frame = pd.DataFrame(
        {"name": names, "value": [-1.5, 2, -np.inf, np.nan, 3, 4, -0.0][: len(names)]}
    )

    text = frame_to_csv(frame, quoted=quoted)

    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == ["name", "value"]
    assert [name for name, _ in rows] == [*(f" {name}" for name in names[:-1]), "w"]
    values = [float(value or "nan") for _, value in rows]
    np.testing.assert_array_equal(values, frame["value"])
    assert frame["name"].tolist() == names


@given(st.text(), st.integers(2, 300))
def test_a_name_in_a_message_is_one_line_of_some_length(text: str, limit: int) -> None:
    """An escape of Unicode takes ten characters at most."""
    found = shown(text * 40, limit)

    assert found.isprintable()
    assert len(found) <= 10 * limit + 40


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "e4m3fn", "NAME"),
        ("verify", "e4m3fn", "--limit", "3", "--exec", "cat 'NAME'"),
        ("verify", "--manifest", "NAME"),
        ("identify", "NAME"),
        ("gemm", "NAME.npz:NAME", "NAME"),
        ("gemm", "NAME.npz", "NAME.npz", "--accumulator", "fp32"),
        ("diff", "NAME", "ml_dtypes", "e4m3fn"),
        ("vectors", "e2m1fn", "--table", "c", "--output", "NAME.h"),
        ("vectors", "e2m1fn", "--limit", "3", "--output", "NAME.d"),
        ("report", "NAME.npz", "--output", "NAME"),
        ("formats", "e4m3fn", "--svg", "NAME"),
        ("train", "--resume", "--checkpoint", "NAME"),
        ("train", "--csv", "NAME"),
        ("train", "--capture", "NAME"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("name", [HOSTILE, "n" * 10_000], ids=["hostile", "long"])
def test_no_name_harms_a_terminal(
    arguments: tuple[str, ...],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor fills it, whether the file exists or cannot."""
    monkeypatch.chdir(tmp_path)
    if name == HOSTILE:
        (tmp_path / name).write_text("no answers\n")
        np.savez(tmp_path / f"{name}.npz", **{name: np.ones((2, 2), np.float32), "b": np.ones(2)})

    main([argument.replace("NAME", name) for argument in arguments])

    printed = "".join(capsys.readouterr())
    assert 0 < len(printed) < 5000
    assert all(line.isprintable() for line in printed.split("\n"))


# Laid out for a terminal.


def test_columns_are_aligned() -> None:
    """Text to the left, numbers to the right, nothing at the end of a line."""
    rows = [["name", "bits", "note"], ["E5M2", "8"], ["BFLOAT16", "16", "wide"]]

    assert columns(rows, "<><") == ("name      bits  note\nE5M2         8\nBFLOAT16    16  wide")


def test_pairs_break_between_words() -> None:
    """A long text goes on under its beginning; a long word stays whole."""
    items = [("a", "one two three"), ("name", "x" * 30), ("none", "")]

    assert pairs(items, width=18) == (f"  a     one two\n        three\n  name  {'x' * 30}\n  none")


def test_pairs_show_no_control_characters() -> None:
    """A name that would colour the terminal is escaped."""
    assert pairs([("a", "\x1b[31mred")]) == r"  a  \x1b[31mred"
