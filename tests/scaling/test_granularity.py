"""Which elements share a scale: lengths of blocks for every kind, shape and axis, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.scaling import Granularity

#: text, shape, axis, and the length of a block on each axis.
TABLE: list[tuple[str, tuple[int, ...], int, tuple[int, ...]]] = [
    ("tensor", (), -1, ()),
    ("tensor", (7,), 0, (7,)),
    ("tensor", (5, 70), 0, (5, 70)),
    ("tensor", (2, 5, 70), 1, (2, 5, 70)),
    ("row", (7,), -1, (7,)),
    ("row", (5, 70), -1, (1, 70)),
    ("row", (5, 70), 0, (5, 1)),
    ("row", (2, 5, 70), 1, (1, 5, 1)),
    ("channel", (7,), 0, (1,)),
    ("channel", (5, 70), -1, (5, 1)),
    ("channel", (5, 70), 0, (1, 70)),
    ("channel", (2, 5, 70), -2, (2, 1, 70)),
    ("32", (5, 70), -1, (1, 32)),
    ("1x32", (5, 70), 1, (1, 32)),
    ("1x32", (70, 5), -2, (32, 1)),
    ("1x32", (3, 70, 5), 1, (1, 32, 1)),
    ("1x32", (70, 5, 3), 0, (32, 1, 1)),
    ("1x32", (5, 7), -1, (1, 7)),  # one ragged block
    ("1x32", (70,), -1, (32,)),
    ("3x5", (7, 70), -1, (3, 5)),
    ("3x5", (7, 70), 0, (5, 3)),  # the length along the axis, the height across
    ("3x5", (2, 7, 70), 2, (1, 3, 5)),
    ("3x5", (2, 7, 70), -2, (1, 5, 3)),
    ("128x128", (5, 70), -1, (5, 70)),
    ("1x32", (0, 70), -1, (1, 32)),
    ("1x32", (5, 0), -1, (1, 1)),
    ("tensor", (5, 0), -1, (5, 1)),
]


def test_the_length_of_a_block_on_each_axis(each: Any) -> None:
    def check(text: str, shape: tuple[int, ...], axis: int, block: tuple[int, ...]) -> None:
        assert Granularity.parse(text).block(shape, axis) == block

    each(TABLE, check)


def test_elements_share_a_scale_within_a_block_alone(each: Any) -> None:
    """Where one element is changed, the scale of its own block alone is another."""

    def check(text: str, shape: tuple[int, ...], axis: int, block: tuple[int, ...]) -> None:
        rule = f"block-{text}" if text[0].isdigit() else text
        x = np.ones(shape, np.float32)
        before = fp.scale_quantize(x, rule, axis=axis)
        place = tuple(2 * size // 3 for size in shape)
        x[place] = 100

        after = fp.scale_quantize(x, rule, axis=axis)

        assert after.block == block
        changed = np.argwhere(np.atleast_1d(after.scales != before.scales))
        own = [i // b for i, b in zip(place, block, strict=True)] if after.scales.ndim else [0]
        assert changed.tolist() == [own]

    each([c for c in TABLE if 0 not in c[1]], check)


@pytest.mark.parametrize(
    ("text", "same"),
    [("tensor", "tensor"), ("row", "row"), ("channel", "channel"), ("32", "1x32"),
     ("1x32", "1x32"), ("128x64", "128x64"), ("1x1", "1x1"), ("032", "1x32")],
)  # fmt: skip
def test_the_text_that_is_read_is_written(text: str, same: str) -> None:
    found = Granularity.parse(text)
    assert str(found) == same
    assert Granularity.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "block",
        "rows",
        "x32",
        "32x",
        "1x2x3",
        "-1",
        "1.5",
        " 32",
        "1X32",
        "tensor ",
        "0x",
        "3x-2",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="granularity must be tensor, row, channel, N, 1xN or NxM"):
        Granularity.parse(text)


@pytest.mark.parametrize(("text", "name"), [("0", "length"), ("1x0", "length"), ("0x4", "height")])
def test_a_block_has_a_length_and_a_height(text: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} of a block must be a positive integer, got 0"):
        Granularity.parse(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("diagonal",), "granularity must be one of tensor, row, channel, block, got 'diagonal'"),
        (("block", 2.0), "length of a block must be a positive integer, got 2.0"),
        (("block", True), "length of a block must be a positive integer, got True"),
        (("block", 4, 0), "height of a block must be a positive integer, got 0"),
        (("block", 4, "2"), "height of a block must be a positive integer, got '2'"),
    ],
)
def test_a_wrong_part_is_named(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Granularity(*arguments)


@pytest.mark.parametrize(
    ("text", "shape", "axis", "message"),
    [
        ("row", (), -1, "x must have axes for row, got a single number; use the rule 'tensor'"),
        ("1x32", (), 0, "x must have axes for 1x32, got a single number"),
        ("tensor", (3, 4), 2, r"axis must be from -2 to 1 for shape \(3, 4\), got 2"),
        ("row", (3, 4), -3, r"axis must be from -2 to 1 for shape \(3, 4\), got -3"),
        ("3x5", (7,), 0, "axis must be one of the last two for blocks of 3x5, got axis 0 of 1"),
        (
            "3x5",
            (2, 7, 9),
            0,
            "axis must be one of the last two for blocks of 3x5, got axis 0 of 3",
        ),
        ("3x5", (2, 7, 9), -3, "axis must be one of the last two"),
    ],
)
def test_an_array_that_has_no_such_blocks_is_refused(
    text: str, shape: tuple[int, ...], axis: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Granularity.parse(text).block(shape, axis)


def test_what_may_not_be_ragged_says_how_far_to_pad() -> None:
    """On either axis of a rectangle; whole blocks and other kinds pass."""
    strict = Granularity("block", 5, 3, ragged=False)
    assert strict.block((6, 10), -1) == (3, 5)
    with pytest.raises(ValueError, match="must divide the shape, got axis 1 of 11 .* pad it to 15"):
        strict.block((6, 11), -1)
    with pytest.raises(ValueError, match="must divide the shape, got axis 0 of 7 .* pad it to 9"):
        strict.block((7, 10), -1)
    with pytest.raises(ValueError, match="got axis 1 of 3 .* pad it to 5"):
        strict.block((3, 3), -1)  # shorter than one block
    assert Granularity("row", ragged=False).block((6, 11), -1) == (1, 11)
