"""Records become JSON, tables and text, and are read back by names that are checked."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import Enum

import pandas as pd
import pytest

import fp8num as fp
from fp8num._reading import InputError
from fp8num._records import (
    arguments_of,
    as_dict,
    counted,
    entries,
    frame,
    listed,
    maybe,
    one_of,
    plain,
    text,
    whole,
    wrapped,
)
from fp8num.projection import Projection


class Kind(Enum):
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Inner:
    kind: Kind
    ratio: float


@dataclass(frozen=True)
class Outer:
    name: str
    inner: tuple[Inner, ...]
    fmt: fp.Format
    by_name: dict[str, float]
    note: str | None = None


RECORD = Outer("x", (Inner(Kind.GOOD, math.nan),), fp.E4M3FN, {"a": math.inf, "b": 0.5})


def test_a_record_becomes_what_json_can_hold() -> None:
    """Members of enums by their values, records within by theirs, NaN as null."""
    found = as_dict(RECORD)

    assert list(found) == ["name", "inner", "fmt", "by_name", "note"]
    assert found["inner"] == [{"kind": "good", "ratio": None}]
    assert found["fmt"] == fp.E4M3FN.to_dict()
    assert found["by_name"] == {"a": None, "b": 0.5}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_some_fields_and_other_numbers_can_be_asked_for() -> None:
    assert as_dict(RECORD, "note", "name") == {"note": None, "name": "x"}
    assert plain(RECORD.inner, str) == [{"kind": "good", "ratio": "nan"}]
    assert plain(RECORD.by_name, str) == {"a": "inf", "b": 0.5}


def test_a_projection_is_written_by_its_fields() -> None:
    """As the journals of sweeps have had it."""
    wanted = {
        "rounding": "TowardZero",
        "saturation": "SatFinite",
        "nan": "max",
        "moved": [],
        "results": [],
        "sign_dropped": False,
    }
    assert json.dumps(as_dict(Projection(rounding="rz"))) == json.dumps(wanted)


def test_a_record_is_a_row() -> None:
    found = frame(Inner, [Inner(Kind.GOOD, 0.5), Inner(Kind.GOOD, 1.5)])

    wanted = pd.DataFrame({"kind": [Kind.GOOD] * 2, "ratio": [0.5, 1.5]})
    pd.testing.assert_frame_equal(found, wanted)
    assert list(frame(Inner, []).columns) == ["kind", "ratio"]


def test_things_are_counted() -> None:
    assert [counted(n, "case") for n in (0, 1, 2, 2000)] == [
        "0 cases",
        "1 case",
        "2 cases",
        "2,000 cases",
    ]


def test_words_are_not_broken() -> None:
    """A name and a hex float can be copied from the line that they are in."""
    word = "-0x1.8p-14" * 12

    lines = wrapped("given", f"{'some words ' * 9} a-b {word} end")

    assert lines[0].startswith("  given     some words")
    assert all(line.startswith(" " * 12) for line in lines[1:])
    assert f"{'':12}{word}" in lines


# Back.


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (3, r"x must be a mapping, as to_dict\(\) makes it, got int 3"),
        ({}, "x must also have a, c, got nothing"),
        ({"a": 1, "c": [], "color": 2}, "x must have no entry 'color'; did you mean colour"),
        ({"a": True, "c": []}, "a of x must be an integer from 0 to 9, got True"),
        ({"a": 1.0, "c": []}, "a of x must be an integer from 0 to 9, got 1.0"),
        ({"a": 10, "c": []}, "a of x must be an integer from 0 to 9, got 10"),
        ({"a": 10**400, "c": []}, "a of x must be .*, got an integer of 1329 bits"),
        ({"a": 1, "c": "xy"}, "c of x must be a list, got str 'xy'"),
        ({"a": 1, "c": ["x", 2]}, "item 1 of c of x must be text, got int 2"),
        ({"a": 1, "c": [], "colour": 3}, "colour of x must be 'red' or 'blue', got 3"),
        ({"a": "\x1b" * 9999, "c": []}, r"got '\\x1b.*\(9999 characters\)"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_record_says_what_is_wrong_with_it(record: object, message: str) -> None:
    """The entry, what it must be, what it was."""
    checks = {"a": whole(0, 9), "c": listed(text), "colour": maybe(one_of(("red", "blue")))}
    with pytest.raises(InputError, match=message) as caught:
        entries("x", record, checks, ("colour",))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_arguments_are_checked_by_their_annotations() -> None:
    from fp8num.scaling.granularity import Granularity

    found = arguments_of("x", Granularity, {"kind": "block", "length": 3})
    assert found == {"kind": "block", "length": 3}
    with pytest.raises(InputError, match="ragged of x must be True or False, got 1"):
        arguments_of("x", Granularity, {"kind": "block", "ragged": 1})
