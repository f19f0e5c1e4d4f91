"""What an argument must be is said once: its name, what it must be, what it was."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from fp8num import _arguments as arguments
from fp8num._text import brief

if TYPE_CHECKING:
    from collections.abc import Callable


class Colour(Enum):
    RED = "Red"
    GREEN = "Green"
    BLUE = "Blue"


class Long:
    """Something of which nobody wants to see all."""

    def __repr__(self) -> str:
        return "long\n" * 10_000


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)], ids=type)
def test_an_integer_of_any_type_becomes_python_s(value: Any) -> None:
    found = arguments.integer("n", value, 3, 3)
    assert (type(found), found) == (int, 3)


@pytest.mark.parametrize(
    "value",
    [True, np.True_, 3.0, np.float64(3), "3", None, [3], np.array([3]), Fraction(3), 3j],
    ids=repr,
)
def test_what_is_no_integer_is_of_another_type(value: Any) -> None:
    """A truth value, an array with axes, and a float that is whole."""
    with pytest.raises(TypeError, match="^n must be an integer, at least 1, got "):
        arguments.integer("n", value, 1)


@given(st.integers(), st.integers(), st.integers())
@example(0, 0, 0)
def test_both_ends_of_a_range_are_in_it(value: int, low: int, high: int) -> None:
    if low <= value <= high:
        assert arguments.integer("n", value, low, high) == value
    else:
        with pytest.raises(ValueError, match=rf"^n must be an integer from {low} to {high}, got "):
            arguments.integer("n", value, low, high)


@pytest.mark.parametrize("value", [1, 1.0, np.float16(1), np.int64(1), np.array(1.0)], ids=repr)
def test_a_number_of_any_type_becomes_python_s(value: Any) -> None:
    found = arguments.number("x", value, at_least=1, below=2)
    assert (type(found), found) == (float, 1.0)


@pytest.mark.parametrize("value", [True, "1", None, 1j, Decimal(1), np.array([1.0])], ids=repr)
def test_what_is_no_number_is_of_another_type(value: Any) -> None:
    with pytest.raises(TypeError, match="^x must be a finite number, got "):
        arguments.number("x", value)


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (math.nan, {}, "a finite number, got nan"),
        (-math.inf, {}, "a finite number, got -inf"),
        (10**400, {}, "a finite number, got an integer of 1329 bits"),
        (0.5, {"at_least": 1}, "a finite number at least 1, got 0.5"),
        (0.0, {"above": 0}, "a finite number above 0, got 0.0"),
        (1.0, {"above": 0, "below": 1}, "a finite number above 0 and below 1, got 1.0"),
    ],
)
def test_a_number_beyond_its_bounds_is_refused(
    value: Any, bounds: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^x must be {message}$"):
        arguments.number("x", value, **bounds)


REFUSALS: tuple[tuple[Callable[[], object], type[Exception], str], ...] = (
    (lambda: arguments.choice("by", "x", ["step", "epoch"]), ValueError, "'step' or 'epoch', got"),
    (lambda: arguments.choice("by", 3, ["a", "b", "c"]), ValueError, "one of a, b, c, got 3"),
    (
        lambda: arguments.choice("by", "Gela", ["relu", "gelu", "silu"], advice="or a function"),
        ValueError,
        "one of relu, gelu, silu, got 'Gela'; did you mean gelu?",
    ),
    (
        lambda: arguments.choice("by", "xyz", ["relu", "gelu", "silu"], advice="or a function"),
        ValueError,
        "one of relu, gelu, silu, got 'xyz'; or a function",
    ),
    (lambda: arguments.member("by", "gren", Colour), ValueError, "got 'gren'; did you mean Green?"),
    (lambda: arguments.member("by", 1, Colour), TypeError, "one of Red, Green, Blue, got 1"),
    (lambda: arguments.flag("by", 1, advice="write it"), TypeError, "False, got 1; write it"),
    (lambda: arguments.text("by", 3), TypeError, "text, got int 3"),
    (lambda: arguments.text("by", "", empty=False), ValueError, "text that is not empty, got ''"),
    (
        lambda: arguments.generator("by", random.Random(3)),
        TypeError,
        "a numpy.random.Generator, got Random <random.Random",
    ),
    (lambda: arguments.random_width(33), ValueError, "an integer from 1 to 32, got 33"),
    (lambda: arguments.thread_count(1.5), TypeError, "an integer from 1 to 1024, got 1.5; as many"),
    (lambda: arguments.thread_count(1025), ValueError, "an integer from 1 to 1024, got 1025"),
)


@pytest.mark.parametrize(("call", "error", "message"), REFUSALS, ids=[r[2] for r in REFUSALS])
def test_what_is_wrong_is_said(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert " must be " in str(caught.value)
    assert message in str(caught.value)


def test_names_are_found_in_any_case_and_by_their_aliases() -> None:
    assert arguments.member("by", "GREEN", Colour) is Colour.GREEN
    assert arguments.member("by", "b", Colour, {"b": Colour.BLUE}) is Colour.BLUE
    assert arguments.member("by", Colour.RED, Colour) is Colour.RED


LONG = (Long(), [0] * 10_000, [10**5000], {1: "x" * 10_000}, np.zeros((99, 99)))


@pytest.mark.parametrize(
    "check",
    [
        arguments.integer,
        arguments.number,
        arguments.flag,
        arguments.text,
        arguments.generator,
        lambda name, value: arguments.choice(name, value, ("a", "b")),
        lambda name, value: arguments.member(name, value, Colour),
    ],
)
def test_messages_are_one_line_of_some_length(check: Callable[..., object]) -> None:
    """Whatever was given, and however deep a number lies of which Python writes no digits."""
    for value in LONG:
        with pytest.raises((TypeError, ValueError)) as caught:
            check("x", value)
        assert str(caught.value).isprintable(), type(value)
        assert len(str(caught.value)) < 200, type(value)


def test_a_value_is_written_from_its_beginning() -> None:
    assert brief([1, "a"]) == "[1, 'a']"
    assert brief(-(10**5000)) == "an integer of 16610 bits"
    assert brief("x" * 100, 10) == "'xxxxx...(100 characters)...xxxxx'"
    assert brief({"a": 10**5000}) == "a dict"


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ([0, 0], r"an array of uint8 of shape \(2,\), got list"),
        (np.zeros(2), r"an array of uint8 of shape \(2,\), got float64 of shape \(2,\)"),
        (np.zeros(3, np.uint8), r"an array .* of shape \(2,\), got uint8 of shape \(3,\)"),
        (np.broadcast_to(np.uint8(0), 2), "writeable, got a read-only array"),
        (np.zeros(8, np.uint8)[:2], "not overlap an input"),
    ],
)
def test_an_array_to_write_to_must_fit(out: Any, message: str) -> None:
    source = out.base if isinstance(out, np.ndarray) and out.base is not None else np.zeros(1)

    with pytest.raises(ValueError, match=f"^out must (be )?{message}"):
        arguments.output(out, (2,), np.dtype(np.uint8), (source,))


def test_an_array_to_write_to_is_used() -> None:
    out = np.zeros(2, np.uint8)
    assert arguments.output(out, (2,), np.dtype(np.uint8), (np.zeros(2),)) is out
    assert arguments.output(None, (2,), np.dtype(np.uint8), ()).shape == (2,)
