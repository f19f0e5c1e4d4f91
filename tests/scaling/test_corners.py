"""The table of corners has every rule and corner, and the page in the docs is made from it."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.scaling import CORNERS, RULES, corner_frame

ROOT = Path(__file__).parents[2]
SCRIPT, PAGE = ROOT / "reports" / "rules.py", ROOT / "docs" / "scaling-rules.md"
NAN, INF = math.nan, math.inf

#: Rules that round at random are left out.
KEPT = [name for name in RULES if not name.endswith("sr")]


@pytest.fixture(scope="module")
def frame() -> Any:
    return corner_frame()


def test_there_is_a_row_for_each_rule_and_corner(frame: Any) -> None:
    """In their order, the columns named."""
    assert list(frame.columns) == ["rule", "format", "corner", "amax", "scale", "code", "value"]
    pairs = list(zip(frame["rule"], frame["corner"], strict=True))
    assert pairs == [(rule, corner) for rule in KEPT for corner in CORNERS]
    assert set(RULES) - set(KEPT) == {"te-nvfp4-sr", "te-nvfp4-rht-sr"}


def test_corners_are_float32_numbers_of_their_names(frame: Any) -> None:
    """Of every kind: zero, subnormal, tiny, beside powers of two, beside the largest, specials."""
    for amax in CORNERS.values():
        assert np.float32(amax) == amax or math.isnan(amax)
    assert CORNERS["0"] == 0
    assert CORNERS["2^-149"] == np.nextafter(np.float32(0), np.float32(1))
    assert CORNERS["below 1"] == np.nextafter(np.float32(1), np.float32(0))
    assert CORNERS["above 1"] == np.nextafter(np.float32(1), np.float32(2))
    assert CORNERS["1.75"] == 448 / 256
    assert CORNERS["above 1.75"] == np.nextafter(np.float32(1.75), np.float32(2))
    assert CORNERS["below 512"] == np.nextafter(np.float32(512), np.float32(0))
    assert CORNERS["largest"] == np.finfo(np.float32).max
    assert math.isinf(CORNERS["infinity"])
    assert math.isnan(CORNERS["NaN"])
    for name in ("1e-37", "1e-20", "1e-5"):
        assert CORNERS[name] == np.float32(name)
    np.testing.assert_array_equal(frame["amax"], list(CORNERS.values()) * len(KEPT))


#: Worked out by hand from the libraries' formulas: rule, corner, scale and value.
BY_HAND = [
    ("tensor", "0", 1, 0),
    ("tensor", "infinity", 1, 448),
    ("mxfp8-e4m3fn", "0", 2.0**-127, 0),
    ("mxfp8-e4m3fn", "480/128", 2.0**-7, 3.5),  # the floor: 480 saturates to 448
    ("mxfp8-e4m3fn", "below 512", 1, 448),
    ("mxfp8-e4m3fn", "below 1", 2.0**-9, 0.875),
    ("mxfp8-e4m3fn", "1", 2.0**-8, 1),
    ("mxfp8-e4m3fn", "infinity", NAN, NAN),
    ("mxfp4-e2m1fn", "1.75", 0.25, 1.5),  # 7 saturates to 6
    ("mxint8", "1.75", 1, 1.75),
    ("mxint8", "below 512", 256, 508),  # 127/64 of 256
    ("te-mxfp8", "480/128", 2.0**-6, 3.75),  # rounded up: nothing saturates
    ("te-mxfp8", "1.75", 2.0**-8, 1.75),
    ("te-mxfp8", "above 1.75", 2.0**-7, 1.75),
    ("te-mxfp8", "infinity", 2.0**127, INF),  # 448 times 2**127
    ("te-mxfp8", "NaN", 2.0**-127, NAN),  # the NaN does not count in the scale
    ("te-current", "0", 1, 0),
    ("te-current", "infinity", 1, 448),
    ("te-current", "1.75", 2.0**-8, 1.75),
    ("te-current-pow2", "1", 2.0**-8, 1),
    ("te-current-pow2", "largest", 2.0**120, INF),  # 256 times 2**120
    ("te-nvfp4", "0", 0, 0),
    ("torchao-mx-floor", "480/128", 2.0**-7, 3.5),
    ("torchao-mx-even", "480/128", 2.0**-7, 3.5),
    ("torchao-mx-ceil", "480/128", 2.0**-6, 3.75),
    ("torchao-mx-rceil", "480/128", 2.0**-6, 3.75),
    ("torchao-mx-even", "below 512", 2, 512),  # the mantissa is rounded into the next binade
    ("torchao-mx-ceil", "1", 2.0**-8, 1),
    ("torchao-mx-ceil", "above 1", 2.0**-7, 1),
    ("torchao-rowwise", "above 1.75", 2.0**-8, 1.75),  # log2 takes 255.99998 for 256
    ("torchao-rowwise-exact", "above 1.75", 2.0**-7, 1.75),
    ("torchao-tensorwise", "infinity", INF, NAN),  # s = 0, and 0 * inf
    ("microxcaling", "below 512", 2, 512),  # log2 takes it for 512
    ("microxcaling-floor", "below 512", 2, 448),  # and 256 less an ulp is cut to 224
    ("deepgemm-1x128-ue8m0", "0", 2.0**-22, 0),  # 1e-4 / 448 is just below it
    ("deepgemm-1x128-ue8m0", "infinity", 2.0**127, INF),
    ("te-delayed", "largest", 1, 448),
    ("flax", "1e-5", 1, 0),
    ("ms-amp", "1", 2.0**-8, 1),
    ("ms-amp", "infinity", 1, 448),
]


@pytest.mark.parametrize(("rule", "corner", "scale", "value"), BY_HAND)
def test_corners_worked_out_by_hand(
    frame: Any, rule: str, corner: str, scale: float, value: float
) -> None:
    (row,) = frame[(frame["rule"] == rule) & (frame["corner"] == corner)].itertuples()
    np.testing.assert_array_equal([row.scale, row.value], [scale, value])


def test_codes_are_the_values(frame: Any) -> None:
    """Of the format that is named, times the scale, to a few float32 roundings."""
    for row in frame.itertuples():
        decoded = fp.get_format(row.format).values[row.code]
        exact = decoded * row.scale
        if math.isfinite(row.value) and math.isfinite(row.scale) and row.scale > 1e-30:
            assert abs(row.value - exact) <= 2.0**-22 * abs(exact), row


def test_some_rules_or_one_can_be_asked_for() -> None:
    found = corner_frame(["te-mxfp8", RULES["row"], "te-nvfp4-sr", "block-7"])
    assert list(dict.fromkeys(found["rule"])) == ["te-mxfp8", "row", "block-7"]
    assert corner_frame([]).empty
    with pytest.raises(ValueError, match="rule 'rows' is not known"):
        corner_frame(["rows"])


@pytest.fixture(scope="module")
def script() -> Any:
    """The script that makes the page."""
    if not SCRIPT.exists():
        pytest.skip("a source distribution has no reports")
    spec = importlib.util.spec_from_file_location("fp8num_reports_rules", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_makes(script: Any) -> None:
    """If not: `python reports/rules.py`."""
    made, kept = script.page().splitlines(), PAGE.read_text(encoding="utf-8").splitlines()
    different = [line for line in made if line not in set(kept)]
    assert not different, f"{len(different)} lines are not in the page, first {different[0]!r:.300}"
    assert made == kept


def test_the_page_has_every_rule_once_in_each_table(script: Any) -> None:
    """With its scale and value at each corner: as many cells as heads."""
    first, _, second = PAGE.read_text(encoding="utf-8").partition("## At the corners")
    for name in RULES:
        assert first.count(f"| `{name}` |") == 1
        assert second.count(f"| `{name}` |") == (name in KEPT)
    rows = [line for line in second.splitlines() if line.startswith("| ")]
    assert {row.count("|") for row in rows} == {len(CORNERS) + 2}


@pytest.mark.parametrize(
    ("value", "text"),
    [(NAN, "NaN"), (INF, "∞"), (-INF, "-∞"), (0.0, "0"), (2.0**-127, "2^-127"), (2.0**9, "2^9"),
     (2.0**-6, "0.015625"), (448.0, "448"), (1 / 3, "0.33333"), (2.0**-7, "2^-7"), (64.0, "64")],
)  # fmt: skip
def test_numbers_are_written_short(script: Any, value: float, text: str) -> None:
    assert script.number(value) == text
