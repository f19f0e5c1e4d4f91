"""
The audit of the tutorial: its files follow from its raw results, and its numbers are right.

Expected values are transcribed from the tutorial's page, come from the exact reference, or are
computed from the raw results with Python's own numbers.
"""

from __future__ import annotations

import csv
import importlib
import io
import math
import re
import sys
from collections import defaultdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from xml.etree import ElementTree as ET

import ml_dtypes
import numpy as np
import pytest

from fp8num import E4M3FN, E5M2
from fp8num.verify.reference import decode, project

FOLDER = Path(__file__).parents[2] / "reports" / "tutorial"
SVG = "{http://www.w3.org/2000/svg}"
INPUTS = ("0.123456", "1.23456", "12.3456", "123.456")
#: What the page prints, number by number; each name with the format that it means.
PRINTED = {
    "E4M3": (E4M3FN, ("0.123047", "1.234375", "12.34375", "123.4375")),
    "E5M2": (E5M2, ("0.125", "1.234375", "12.375", "123.5")),
}
PRINTED_LOSSES = {
    "fp32": (2.3105, 2.2853, 2.2581, 2.2279, 2.1954),
    "printed": (2.3218, 2.2987, 2.2723, 2.2431, 2.2115),
}
PAIRS = [(name, i) for name in PRINTED for i in range(4)]
EPOCHS = [f"epoch {i}" for i in range(1, 6)]


@pytest.fixture(scope="module")
def audit() -> Any:
    """The script; its neighbours are imported as it imports them."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("audit")
    finally:
        sys.path.remove(str(FOLDER))


def rows(name: str) -> list[dict[str, str]]:
    """Read a table of the audit."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    with (FOLDER / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def conversion(name: str, i: int) -> dict[str, str]:
    """Return the row of a printed number."""
    return rows("conversions.csv")[4 * list(PRINTED).index(name) + i]


def six(value: Fraction) -> str:
    """Write a number rounded to six places, without trailing zeros."""
    return f"{float(value):.6f}".rstrip("0").rstrip(".")


def on_constant_step(text: str, inverse: int) -> Fraction:
    """Round the double nearest to a decimal number to a multiple of 1 / inverse, exactly."""
    return Fraction(round(Fraction(float(text)) * inverse), inverse)  # round() is to even


def test_every_file_follows_from_the_raw_results(audit: Any) -> None:
    """If not: `python reports/tutorial/audit.py --quick`."""
    made = audit.derived(audit.raw(quick=True))
    same = importlib.import_module("figures").same
    different = [
        name
        for name, text in made.items()
        if not same((FOLDER / name).read_text(encoding="utf-8"), text)
    ]
    assert not different
    assert {path.name for path in FOLDER.iterdir() if path.suffix in {".csv", ".svg", ".md"}} <= {
        *made,
        *audit.RAW,
    }


@pytest.mark.parametrize(("name", "i"), PAIRS)
def test_conversions_are_the_exact_reference_s(name: str, i: int) -> None:
    """The code and the value that a number should have become, and how far that is."""
    fmt, printed = PRINTED[name]
    row, x = conversion(name, i), Fraction(float(INPUTS[i]))
    code = project(x, fmt, "NearestTiesToEven", "SatFinite")
    value = decode(code, fmt).value

    assert (row["input"], row["printed"]) == (INPUTS[i], printed[i])
    assert (row["FP8 code"], row["FP8"]) == (f"0x{code:02X}", six(value))
    assert row["error of FP8"] == f"{float(abs(value - x) / x):.2%}"


@pytest.mark.parametrize(("name", "i"), PAIRS)
def test_a_printed_number_is_an_fp8_value_if_some_code_prints_as_it(name: str, i: int) -> None:
    """Of all 256 codes."""
    fmt, printed = PRINTED[name]
    data = (decode(code, fmt) for code in range(256))
    values = {six(datum.value) for datum in data if datum.is_finite}

    assert conversion(name, i)["is a value of"] == (fmt.name if printed[i] in values else "")


@pytest.mark.parametrize(("name", "i"), PAIRS)
def test_what_its_code_gives_is_the_nearest_multiple(name: str, i: int) -> None:
    """Of 1/1024 or 1/128; and the printed number is that one or not."""
    row, text = conversion(name, i), PRINTED[name][1][i]
    nearest = six(on_constant_step(INPUTS[i], {"E4M3": 1024, "E5M2": 128}[name]))

    assert row["its code gives"] == nearest
    assert row["printed comes from its code"] == str(nearest == text)


def test_one_printed_number_is_fp8_and_four_come_from_the_code() -> None:
    """The two counts of the summary."""
    found = rows("conversions.csv")
    assert [row["printed"] for row in found if row["is a value of"]] == ["0.125"]
    assert sum(row["printed comes from its code"] == "True" for row in found) == 4


@pytest.mark.parametrize("name", PRINTED)
def test_printed_numbers_from_one_upwards_are_of_16_bits(name: str) -> None:
    """Those of "E4M3" are float16's and those of "E5M2" bfloat16's; below 1 the step stays."""
    kind = {"E4M3": np.float16, "E5M2": ml_dtypes.bfloat16}[name]
    inverse = {"E4M3": 1024, "E5M2": 128}[name]
    rounded = [six(Fraction(float(kind(float(text))))) for text in INPUTS]

    assert tuple(rounded[1:]) == PRINTED[name][1][1:]
    assert six(on_constant_step(INPUTS[0], inverse)) == PRINTED[name][1][0]
    assert all(row["with moving step"] == row["printed"] for row in rows("conversions.csv"))


@pytest.mark.parametrize("name", PRINTED)
def test_no_constant_step_gives_the_printed_numbers(name: str) -> None:
    """A step is at least twice the largest error, and the smallest number a multiple of it."""
    printed = [Fraction(text) for text in PRINTED[name][1]]
    rounding = Fraction(1, 2_000_000)  # the printed digits end at the sixth
    errors = [abs(p - Fraction(x)) - rounding for p, x in zip(printed, INPUTS, strict=True)]
    smallest_step = 2 * max(errors)
    multiples = range(1, int((printed[0] + rounding) / smallest_step) + 1)

    for k in multiples:
        low, high = (printed[0] - rounding) / k, (printed[0] + rounding) / k
        counts = math.ceil((printed[1] - rounding) / high), (printed[1] + rounding) // low
        assert counts[0] > counts[1], f"a step of about {float(low)} gives both"


def test_spacing_is_that_of_the_decoded_values() -> None:
    """The gap behind each power of two that both formats have."""
    gaps: dict[str, dict[int, Fraction]] = {}
    for fmt in (E4M3FN, E5M2):
        data = (decode(code, fmt) for code in range(128))
        values = sorted(datum.value for datum in data if datum.is_finite)
        gaps[fmt.name] = {
            round(math.log2(low)): high - low
            for low, high in pairwise(values[1:])
            if math.log2(low).is_integer()
        }
    found: dict[str, dict[int, Fraction]] = defaultdict(dict)
    for row in rows("spacing.csv"):
        found[row["grid"]][int(row["log2 magnitude"])] = Fraction(2) ** int(row["log2 step"])

    assert {name: found[name] for name in gaps} == gaps
    assert set(found["tutorial's E4M3"].values()) == {Fraction(1, 1024)}
    assert set(found["tutorial's E5M2"].values()) == {Fraction(1, 128)}


def runs(kind: str, variant: str) -> list[list[float]]:
    """Return the losses of all seeds, in order."""
    found = [row for row in rows("runs.csv") if (row["set"], row["variant"]) == (kind, variant)]
    assert [int(row["seed"]) for row in found] == list(range(200))
    return [[float(row[epoch]) for epoch in EPOCHS] for row in found]


@pytest.mark.parametrize("variant", PRINTED_LOSSES)
def test_curves_are_as_many_standard_deviations_away_as_is_said(variant: str) -> None:
    """Computed from the runs with `statistics`."""
    name = {"fp32": "FP32", "printed": '"FP8"'}[variant]
    said = [row for row in rows("curves.csv") if row["curve"] == name]
    found = runs("tutorial", variant)
    columns = [list(column) for column in zip(*found, strict=True)]
    columns.append([run[0] - run[-1] for run in found])
    printed = [*PRINTED_LOSSES[variant], PRINTED_LOSSES[variant][0] - PRINTED_LOSSES[variant][-1]]

    assert len(said) == 6
    for row, column, told in zip(said, columns, printed, strict=True):
        mean, sd = fmean(column), stdev(column)
        away = (told - mean) / sd
        assert float(row["standard deviations away"]) == pytest.approx(away, rel=1e-5)
        assert float(row["standard error"]) == pytest.approx(sd / math.sqrt(200), rel=1e-5)
        assert int(row["n"]) == 200
        assert int(row["runs at least as far"]) == sum(
            abs(loss - mean) >= abs(told - mean) for loss in column
        )


@pytest.mark.parametrize(
    ("after", "before"),
    [("randn", "fp32"), ("frozen", "randn"), ("printed", "frozen"), ("through", "randn")],
)
def test_parts_are_paired_differences(after: str, before: str) -> None:
    """Of the same seeds."""
    pairs = list(zip(runs("paired", after), runs("paired", before), strict=True))
    said = [row for row in rows("parts.csv") if row["difference"] == f"{after} - {before}"]

    assert [row["at"] for row in said] == EPOCHS
    for i, row in enumerate(said):
        differences = [a[i] - b[i] for a, b in pairs]
        error = stdev(differences) / math.sqrt(200)
        assert float(row["mean"]) == pytest.approx(fmean(differences), rel=1e-4, abs=1e-9)
        assert float(row["standard error"]) == pytest.approx(error, rel=1e-4)


def test_costs_are_paired_differences_to_float32() -> None:
    """Every recipe has every seed once."""
    losses: dict[str, dict[int, dict[str, str]]] = defaultdict(dict)
    for row in rows("correct.csv"):
        assert int(row["seed"]) not in losses[row["recipe"]]
        losses[row["recipe"]][int(row["seed"])] = row
    seeds = range(200)
    assert all(sorted(found) == list(seeds) for found in losses.values())
    for row in rows("costs.csv"):
        pairs = [(losses[row["what"]][seed], losses["fp32"][seed]) for seed in seeds]
        differences = [float(one[row["at"]]) - float(two[row["at"]]) for one, two in pairs]
        assert int(row["n"]) == 200
        assert float(row["mean"]) == pytest.approx(fmean(differences), rel=1e-4, abs=1e-9)
        error = stdev(differences) / math.sqrt(200)
        assert float(row["standard error"]) == pytest.approx(error, rel=1e-4)


# On other versions of NumPy the last bits of exp and log differ: in float32 that stays small, and
# in FP8 it may move a few roundings, each of which changes a loss by much less than a pair differs.
@pytest.mark.parametrize(("recipe", "apart"), [("fp32", 2e-5), ("te-current", 5e-4)])
@pytest.mark.parametrize("seed", [0, 199])
def test_correct_runs_come_out_again(audit: Any, recipe: str, apart: float, seed: int) -> None:
    """Those that are recorded are those of this version."""
    part = audit.correct_part
    kept = next(
        row for row in rows("correct.csv") if (row["recipe"], row["seed"]) == (recipe, str(seed))
    )

    found = part.losses(part.trained(recipe, seed))

    np.testing.assert_allclose(found, [float(kept[epoch]) for epoch in EPOCHS], rtol=0, atol=apart)


def test_the_recorded_rows_are_those_that_are_made(audit: Any) -> None:
    """Columns, recipes and order, of two seeds; the tables of casts have the same operands."""
    made = {
        name: list(csv.DictReader(io.StringIO(text)))
        for name, text in audit.correct_part.remake(range(2)).items()
    }
    kept = [row for row in rows("correct.csv") if row["seed"] in {"0", "1"}]
    assert [(row["recipe"], row["seed"]) for row in made["correct.csv"]] == [
        (row["recipe"], row["seed"]) for row in kept
    ]
    assert list(made["correct.csv"][0]) == list(kept[0])
    keys = ("recipe", "layer", "role", "format")
    casts = [[row[key] for key in keys] for row in rows("casts.csv")]
    assert [[row[key] for key in keys] for row in made["casts.csv"]] == casts


def test_correct_runs_are_e4m3fn_forward_and_e5m2_for_gradients() -> None:
    """Of every recipe but float32."""
    kinds = {(row["role"][0], row["format"]) for row in rows("casts.csv")}
    assert kinds == {("x", "E4M3FN"), ("w", "E4M3FN"), ("g", "E5M2")}


def test_only_the_last_bias_of_the_printed_code_trains() -> None:
    """Every other gradient was 0 in every step of every run, and nothing else moved."""
    printed = [row for row in rows("gradients.csv") if row["variant"] == "printed"]
    assert sum(int(row["elements"]) for row in printed) == 100 * 64 + 64 + 64 * 10 + 10
    for row in printed:
        trains = row["parameter"] == "2.bias"
        assert (float(row["largest norm"]) > 0) == trains
        assert int(row["most moved"]) == (10 if trains else 0)
        assert int(row["least reached"]) == (10 if trains else 0)


def test_a_power_of_two_changes_no_bit() -> None:
    """And 1,000 does, which shows that bits that change are noticed."""
    for row in rows("scales.csv"):
        power = float(row["loss scale"]) in {128, 65536} and row["gradients unscaled"] == "yes"
        assert (int(row["weights that differ"]) == 0) == power


def marks(root: ET.Element) -> dict[str, set[str]]:
    """Return the outlines of the markers that a drawing shows, by the colour of their edge."""
    link = "{http://www.w3.org/1999/xlink}href"
    outlines = {f"#{one.get('id')}": one.get("d", "") for one in root.iter(f"{SVG}path")}
    found: dict[str, set[str]] = defaultdict(set)
    for use in root.iter(f"{SVG}use"):
        colour = re.search("stroke: (#[0-9a-f]{6})", use.get("style", ""))
        shape = " ".join(outlines[use.get(link, "")].split())
        if colour and shape.endswith("z") and colour[1] != "#000000":  # not the axes' ticks
            found[colour[1]].add(shape)
    return found


@pytest.mark.parametrize("name", ["spacing", "curves", "parts", "gradients", "costs"])
def test_figures_are_described_and_told_apart_without_colour(name: str) -> None:
    """Well-formed, with a title and a description, a marker of its own for every colour."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    root = ET.parse(FOLDER / f"{name}.svg").getroot()  # noqa: S314 - our own file
    assert root.findtext(f"{SVG}title")
    assert root.findtext(".//{http://purl.org/dc/elements/1.1/}description")
    markers = marks(root)
    assert len(markers) >= 2
    assert all(len(found) == 1 for found in markers.values()), markers
    assert len({next(iter(found)) for found in markers.values()}) == len(markers)


def test_the_page_says_its_numbers() -> None:
    """Those of the summary, from the tables beside it."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    text = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    curves = {(row["curve"], row["what"]): row for row in rows("curves.csv")}
    worst = max(abs(float(curves["FP32", epoch]["standard deviations away"])) for epoch in EPOCHS)
    assert "10 of 7,114 parameters train" in text
    assert f"up to {worst:.1f} standard deviations away" in text
    assert "Of the 8 printed conversions 1 is an FP8 value" in text
    assert "{" not in text


def test_lines_are_wrapped_and_tables_are_not(audit: Any) -> None:
    """A list keeps its items apart, and their second lines are indented."""
    wrapped = importlib.import_module("audit_page").wrapped
    long = "word " * 30
    text = f"| {long} |\n| - |\n\n- {long}\n- two\n\n{long}"
    table, items, paragraph = wrapped(text).split("\n\n")
    assert table == f"| {long} |\n| - |"
    assert items.splitlines()[1].startswith("  word")
    assert items.splitlines()[-1] == "- two"
    assert all(len(line) <= 96 for line in paragraph.splitlines())


def test_a_difference_is_noticed(
    audit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--check` names the files that are not what the raw results give."""
    for path in FOLDER.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(audit, "FOLDER", tmp_path)
    monkeypatch.setattr("fp8num.plot.to_svg", lambda figure, title, description: description)
    assert audit.main(["--quick"]) == 0
    assert audit.main(["--quick", "--check"]) == 0
    changed = (tmp_path / "runs.csv").read_text(encoding="utf-8").replace(",2.3", ",2.4", 1)
    (tmp_path / "runs.csv").write_text(changed, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"these differ: .*curves\.csv.*README\.md"):
        audit.main(["--quick", "--check"])
    assert audit.main(["--quick"]) == 0
    assert audit.main(["--quick", "--check"]) == 0


def test_tables_of_casts_average_seeds_and_not_casts(audit: Any) -> None:
    """A run whose casts were looked at more often counts no more; the error is over runs."""
    pd = importlib.import_module("pandas")
    kept = {"recipe": "r", "layer": "l", "role": "x_forward", "format": "E4M3FN", "amax": 1.0}
    rates = [(0, 0.0), (0, 0.0), (0, 0.3), (1, 0.5)]
    frame = pd.DataFrame(
        [
            {**kept, "seed": seed, "underflow_rate": r, "saturation_rate": 0.0, "sqnr_db": 30.0}
            for seed, r in rates
        ]
    )
    (row,) = audit.correct_part.cast_table(frame).to_dict("records")
    assert row["n"] == 2
    assert row["underflow_rate"] == pytest.approx((0.1 + 0.5) / 2)
    assert row["underflow_rate error"] == pytest.approx(stdev([0.1, 0.5]) / math.sqrt(2))


def test_raw_results_are_read_as_they_are(audit: Any) -> None:
    """Nothing is remade where nothing is asked for."""
    kept = audit.raw(quick=True)
    assert set(kept) == set(audit.RAW)
    assert len(list(csv.reader(io.StringIO(kept["runs.csv"])))) == 1 + 200 * 7
