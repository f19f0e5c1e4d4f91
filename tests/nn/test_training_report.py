"""
The experiments on training: their tables come out again, and the page says what they hold.

Expected numbers are computed from the rows of single trainings with Python's own `statistics` and
SciPy's distributions, or come from the codec and from exact fractions.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
import re
import sys
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from scipy import stats

import fp8num as fp
from fp8num.verify.reference import decode, project

FOLDER = Path(__file__).parents[2] / "reports" / "training"
SVG = "{http://www.w3.org/2000/svg}"
MINE = ("recipes", "gradients", "scaling", "rounding", "accumulators")
#: The part's baselines besides the first, and what is compared with each.
PAIRS = {
    "gradients": {
        "E5M2 scaled": ["E4M3FN scaled"],
        "E5M2 unscaled": ["E4M3FN unscaled"],
    },
    "scaling": {f"{name} scaled": [f"{name} unscaled"] for name in ("hybrid", "E4M3FN", "E5M2")},
}
FIRST = {"rounding": "te-current", "accumulators": "correctly rounded"}
FIGURES = (*MINE, "rounding_bias", "accumulators_products")
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def experiments() -> Any:
    """The script; its neighbours are imported as it imports them."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("experiments")
    finally:
        sys.path.remove(str(FOLDER))


def module(name: str) -> Any:
    return importlib.import_module(name)


def rows(name: str) -> Rows:
    """Read a table."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def sections() -> dict[str, str]:
    """Return the parts of the page by their headings."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# What is in the tables comes out again.


@pytest.mark.parametrize(
    ("part", "recipe"),
    [
        ("gradients", "E4M3FN unscaled"),
        pytest.param("recipes", "te-current", marks=pytest.mark.exhaustive),
        pytest.param("rounding", "gradients 2 bits", marks=pytest.mark.exhaustive),
    ],
)
def test_a_training_comes_out_again(experiments: Any, part: str, recipe: str) -> None:
    """To the digit where the versions are those recorded, and within its spread elsewhere."""
    common = module("common")
    recorded = json.loads((FOLDER / "versions.json").read_text(encoding="utf-8"))[part]
    kept = [r for r in rows(f"{part}_runs") if (r["data"], r["recipe"]) == ("digits", recipe)]
    arms = getattr(module(f"{part}_part"), "ARMS", {recipe: recipe})

    found = common.compare_on("digits", {recipe: arms[recipe]}, seeds=1, executor=None)

    made = common.csv_text(common.runs_frame({"digits": found}))
    (row,) = (one for one in csv.DictReader(made.splitlines()) if one["recipe"] == recipe)
    if experiments.versions() == recorded:
        assert row == kept[0]
    for name in ("accuracy", "loss"):
        spread = stdev(float(one[name]) for one in kept)
        assert float(row[name]) == pytest.approx(float(kept[0][name]), abs=2 * spread)


def test_the_measured_bias_comes_out_again(
    experiments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed's figures lie around the recorded mean, with a quarter of the casts."""
    part = module("rounding_part")
    monkeypatch.setattr(part, "DRAWS", part.DRAWS // 4)
    monkeypatch.setattr(part, "WIDTHS", (2, 8))
    table = {(r["data"], r["tensor"], r["bits"]): r for r in rows("rounding_bias")}

    for row in part.bias_of("digits", 0):
        kept = table[row["data"], row["tensor"], str(row["bits"])]
        for name in ("bias", "predicted"):
            spread = float(kept[f"{name}_error"]) * math.sqrt(int(kept["n"]))
            assert row[name] == pytest.approx(float(kept[name]), abs=2 * 5 * spread)


def test_a_quick_run_goes_from_end_to_end(
    experiments: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Trainings, tables, figures, page; a second look finds no difference, and one that is."""
    monkeypatch.setattr(experiments, "processes", lambda count: nullcontext(None))
    monkeypatch.setattr("fp8num.plot.to_svg", lambda figure, title, description: description)
    tasks = module("common").TASKS
    small = {"digits": partial(fp.nn.digits, folds=2), "teacher": partial(fp.nn.teacher, 256, 128)}
    for name, data in small.items():
        sizes = (tasks[name].sizes[0], 16, 10)
        monkeypatch.setitem(tasks, name, replace(tasks[name], data=data, sizes=sizes))
    folder = ["--folder", str(tmp_path)]

    assert experiments.main(["--part", "gradients", "--quick", *folder]) == 0

    made = {path.name for path in tmp_path.iterdir()}
    tables = {f"{name}.csv" for name in module("gradients_part").TABLES}
    assert made == {*tables, "gradients.svg", "README.md", "versions.json"}
    assert experiments.main(["--keep", "--check", *folder]) == 0
    path = tmp_path / "gradients.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",2,", ",3,", 1), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"these differ: .*README\.md"):
        experiments.main(["--keep", "--check", *folder])


def test_quick_results_do_not_replace_the_others(
    experiments: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a folder they go to one of their own."""
    seen: list[Path] = []
    monkeypatch.setattr(experiments, "train_all", lambda names, folder, quick: seen.append(folder))
    monkeypatch.setattr(experiments.tempfile, "mkdtemp", lambda prefix: str(tmp_path / prefix))
    monkeypatch.setattr(experiments, "kept", lambda folder, names: {experiments.VERSIONS: "{}"})

    experiments.main(["--quick"])

    assert seen == [tmp_path / "training-"]


def test_files_follow_from_the_tables(experiments: Any) -> None:
    """If not: `python reports/training/experiments.py --keep`."""
    assert experiments.main(["--keep", "--check"]) == 0
    for name in experiments.PARTS:
        assert all((FOLDER / f"{one}.csv").exists() for one in experiments.part(name).TABLES)
    assert set(json.loads((FOLDER / "versions.json").read_text(encoding="utf-8"))) == set(
        experiments.PARTS
    )


# The tables say what the trainings gave.


def outcomes(part: str) -> dict[tuple[str, str], dict[int, dict[str, str]]]:
    """Return the trainings of each task and recipe by seed."""
    found: dict[tuple[str, str], dict[int, dict[str, str]]] = defaultdict(dict)
    for row in rows(f"{part}_runs"):
        runs = found[row["data"], row["recipe"]]
        assert int(row["seed"]) not in runs
        runs[int(row["seed"])] = row
    return found


@pytest.mark.parametrize("part", MINE)
def test_at_least_ten_seeds_in_pairs_on_both_tasks(part: str) -> None:
    """Every recipe has the seeds of every other one, and none diverged."""
    found = outcomes(part)
    seeds = {tuple(runs) for runs in found.values()}
    recipes = [{name for data, name in found if data == task} for task in ("digits", "teacher")]

    (only,) = seeds
    assert only == tuple(range(len(only)))
    assert len(only) >= 10
    assert recipes[0] == recipes[1]
    assert not any(row["diverged"] for runs in found.values() for row in runs.values())


def expected(part: str, row: dict[str, str]) -> dict[str, float]:
    """Return a row of results, from the trainings, with SciPy."""
    found = outcomes(part)
    own, base = (found[row["data"], row[name]] for name in ("recipe", "baseline"))
    says = {"n": float(len(own))}
    for name in ("accuracy", "loss"):
        differences = [float(own[seed][name]) - float(base[seed][name]) for seed in own]
        floor = 0.0
        if name == "accuracy":  # a share of so many inputs has at least the error of half a step
            floor = 1 / int(own[0]["held_out"]) / math.sqrt(12)
        spread = max(stdev(differences), floor)
        error = spread / math.sqrt(len(own))
        mean = fmean(differences)
        reach = stats.t.ppf(0.975, len(own) - 1) * error
        says |= {
            f"{name}_difference": mean, f"{name}_difference_error": error,
            f"{name}_difference_low": mean - reach, f"{name}_difference_high": mean + reach,
        }  # fmt: skip
    return says


@pytest.mark.parametrize("part", MINE)
def test_results_are_paired_differences(part: str) -> None:
    """Means, errors, intervals and verdicts, from the single trainings."""
    table = rows(part)
    pairs = {(row["baseline"], row["recipe"]) for row in table if row["decision"] != "baseline"}
    first = FIRST.get(part, "fp32")
    others = {recipe for _, recipe in outcomes(part)} - {first}
    wanted = {(first, recipe) for recipe in others}
    wanted |= {(base, one) for base, some in PAIRS.get(part, {}).items() for one in some}
    assert pairs == wanted

    for row in table:
        if row["decision"] == "baseline":
            continue
        says = expected(part, row)
        for name, value in says.items():
            assert float(row[name]) == pytest.approx(value, rel=1e-5, abs=1e-8), (row, name)
        mean, error = says["accuracy_difference"], says["accuracy_difference_error"]
        reach = stats.t.ppf(0.95, says["n"] - 1) * error
        if abs(mean) + reach < 0.003:
            decision = "within"
        elif says["accuracy_difference_high"] < 0:
            decision = "worse"
        else:
            decision = "better" if says["accuracy_difference_low"] > 0 else "undecided"
        assert row["decision"] == decision


# The page says what the tables hold.


def written(mean: float, error: float, *, sign: bool = True) -> str:
    """Write a mean and its standard error, to the second digit of the error."""
    plus = "+" if sign else ""
    if not error > 0:
        return f"{mean + 0:{plus}.4g}"
    if error < 1e-5 and abs(mean) < 1e-3:
        return f"{mean:{plus}.1e} ± {error:.1e}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{no_minus(f'{mean:{plus}.{digits}f}')} ± {error:.{digits}f}"


def no_minus(text: str) -> str:
    """Write +0.00 for -0.00."""
    return text.replace("-", "+") if not text.strip("-0.") else text


def estimates(part: str) -> set[str]:
    """Return every mean with error and every interval that a part's tables can be quoted for."""
    found: set[str] = set()
    for name in module(f"{part}_part").TABLES:
        for row in rows(name):
            for key in row:
                if f"{key}_error" not in row:
                    continue
                mean, error = (float(row[one] or "nan") for one in (key, f"{key}_error"))
                ends = [float(row[f"{key}_{end}"] or "nan") for end in ("low", "high")]
                for unit in (1, 100):
                    found |= {written(unit * mean, unit * error, sign=s) for s in (True, False)}
                    found.add(f"{mean:.2g} ± {error:.1g}")
                    if error > 0:
                        small = unit * error < 1e-5 and abs(unit * mean) < 1e-3
                        digits = max(0, 1 - math.floor(math.log10(unit * error)))
                        form = "+.1e" if small else f"+.{digits}f"
                        found.add(" to ".join(no_minus(f"{unit * end:{form}}") for end in ends))
    return found


NUMBER = r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?"
QUOTED = re.compile(rf"{NUMBER} ± {NUMBER}|[-+]\d\S* to [-+]\d[\d.e+-]*\d|{NUMBER}")


def own_text(part: str) -> str:
    """Return a part's section and its lines of the summary, without names and links."""
    title = module(f"{part}_part").TITLE
    parts = sections()
    lines = [line for line in parts["Answers"].splitlines() if f"[{title}]" in line]
    lines = [line.rsplit("|", 2)[0] for line in lines]
    text = " ".join([parts[title], *lines])
    text = re.sub(r"!\[[^]]*\]\([^)]*\)|`[^`]*`|\*", " ", text)
    names = {row["recipe"] for row in rows(part)} | {"E4M3FN", "E5M2", "E2M1FN", "H200", "P3109"}
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, " ")
    return " ".join(re.sub(r"layer\d|float32|2\^-?(N|\(N\+1\))|(?<=\d)-(?=\d+)", " ", text).split())


#: Numbers that a part says and that are no result: settings, and what formulas are made of.
SETTINGS = {
    "recipes": {"128"},
    "gradients": {"64"},
    "scaling": set(),
    "rounding": {"2", "32", "0", "1"},
    "accumulators": {"14", "128"},
}
#: The margin in points, and the intervals' confidence in per cent.
ALWAYS = {"0.3", "95"}


@pytest.mark.parametrize("part", MINE)
def test_every_number_of_the_page_is_in_the_tables(experiments: Any, part: str) -> None:
    """Means with errors and intervals as the tables have them, shares, counts; and settings."""
    allowed = estimates(part) | SETTINGS[part] | ALWAYS | more_numbers(part)
    text = own_text(part)
    found = [match.group() for match in QUOTED.finditer(text)]

    assert len([one for one in found if "±" in one]) > 20
    unknown = [one for one in found if one not in allowed]
    assert not unknown, unknown
    assert "{" not in text
    assert "nan" not in text.split()


def more_numbers(part: str) -> set[str]:
    """Return other numbers that a part may say: counts, shares, extremes, what is tabulated."""
    table = rows(part)
    found = {row["n"] for row in table} | {str(len({row["recipe"] for row in table}) - 1)}
    within = sum(row["decision"] == "within" for row in table)
    found |= {str(i) for i in range(within + 1)}
    if f"{part}_tensors" in module(f"{part}_part").TABLES:
        for row in rows(f"{part}_tensors"):
            for name in ("flushed", "saturated"):
                share = 100 * float(row[name] or "nan")
                found |= {f"{share:.2g}" if share >= 0.001 else "0.001", f"{share:.4g}"}
    special = {
        "recipes": recipe_numbers, "rounding": bias_numbers, "accumulators": product_numbers,
    }  # fmt: skip
    return found | special.get(part, set)()


def recipe_numbers() -> set[str]:
    """Return the extremes of the recipes in FP8."""
    found = set()
    for task in ("digits", "teacher"):
        some = [
            row for row in rows("recipes")
            if row["data"] == task and row["recipe"] not in ("fp32", "bf16", "nvfp4")
        ]  # fmt: skip
        points = [100 * float(row["accuracy_difference"]) for row in some]
        losses = [float(row["loss_difference"]) for row in some]
        found.add(f"{min(points):+.2f} to {max(points):+.2f}")
        found.add(f"{min(losses):+.4f} to {max(losses):+.4f}")
    return found


def bias_numbers() -> set[str]:
    """Return widths, what theory says of each, extremes, and how often it agrees."""
    table = rows("rounding_bias")
    random = [row for row in table if row["bits"] != "nearest"]
    found = {row["bits"] for row in random}
    found |= {f"{-(2.0 ** -(1 + int(row['bits']))):.3g}" for row in random}
    for name in ("bias", "predicted"):
        two = [float(row[name]) for row in random if row["bits"] == "2"]
        found.add(f"{min(two):+.4f} to {max(two):+.4f}")
    inside = [
        row for row in random
        if float(row["difference_low"]) <= 0 <= float(row["difference_high"])
    ]  # fmt: skip
    table = rows("rounding")
    stochastic = [row for row in table if row["recipe"] not in ("te-current", "fp32")]
    many = 2 * sum(row["decision"] != "baseline" for row in table)
    sure = 0
    for row in stochastic:
        for name in ("accuracy_difference", "loss_difference"):
            away = abs(float(row[name])) / float(row[f"{name}_error"])
            sure += bool(2 * stats.t.sf(away, int(row["n"]) - 1) < 0.05 / many)
    return found | {str(one) for one in (len(random), len(inside), 2 * len(stochastic), sure)}


def product_numbers() -> set[str]:
    """Return lengths of sums, errors beside those of casts, and the nets."""
    found, wide = set(), defaultdict(dict)
    for row in rows("accumulators_products"):
        found.add(row["K"])
        key = row["data"], row["layer"], row["product"]
        wide[key][row["accumulator"]] = float(row["error"])
    for name in module("accumulators_part").UNITS:
        ratios = [one[name] / one["casts"] for one in wide.values()]
        found |= {
            f"{one:.1g}" if one < 0.01 else f"{one:.2g}" for one in (min(ratios), max(ratios))
        }
    for task in module("accumulators_part").TASKS_WIDE.values():
        found |= {*map(str, task.sizes), f"{task.lr:g}", str(task.epochs), str(task.batch)}
    return found


def test_a_wrong_number_on_the_page_is_noticed(experiments: Any) -> None:
    """What the check finds is not in the tables, if a digit of it is changed."""
    allowed = estimates("recipes") | more_numbers("recipes")
    told = [match.group() for match in QUOTED.finditer(own_text("recipes"))]
    told = [one for one in told if "±" in one and "e" not in one]
    changed = [f"{one[:-1]}{(int(one[-1]) + 5) % 10}" for one in told]

    wrong = [one for one in changed if one not in allowed]
    assert len(wrong) > 0.9 * len(changed)


def test_bold_verdicts_hold_for_all_at_once(experiments: Any) -> None:
    """Of each part's results: an interval at 5 % over twice as many verdicts excludes 0."""
    words = module("words")
    for part in MINE:
        table = [row for row in rows(part) if row["decision"] != "baseline"]
        for row in table:
            given = {
                key: float(row[key]) if key != "decision" else row[key]
                for key in ("n", "loss_difference", "loss_difference_error", "decision")
            }
            p = 2 * stats.t.sf(
                abs(given["loss_difference"]) / max(given["loss_difference_error"], 1e-300),
                given["n"] - 1,
            )
            bold = words.verdict_of_loss(given, 2 * len(table)).startswith("**")
            assert bold == (p < 0.05 / (2 * len(table)))


# The parts do what they say.


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("fmt", ["E4M3FN", "E5M2"])
def test_few_random_bits_are_the_codec_s(experiments: Any, width: int, fmt: str) -> None:
    """A rule with few bits gives the codes of `encode` with as many."""
    part = module("rounding_part")
    x = np.random.default_rng(5).standard_normal((40, 30)).astype(np.float32)
    x *= np.float32(2.0) ** np.random.default_rng(6).integers(-20, 3, x.shape).astype(np.float32)
    factor = np.float32(fp.get_format(fmt).max) / np.abs(x).max()

    scaled = fp.scale_quantize(x, part.stochastic(width), fmt=fmt, rng=np.random.default_rng(7))

    bits = np.random.default_rng(7).integers(1 << width, size=x.shape, dtype=np.uint64)
    codes = fp.encode(x * factor, fmt, rounding="StochasticA", random_bits=bits, random_width=width)
    np.testing.assert_array_equal(scaled.codes, codes)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_predicted_bias_is_that_of_the_definition(width: int) -> None:
    """The mean over all random numbers is low by frac(x 2^N) / 2^N of a step, exactly."""
    step = Fraction(1, 4)  # of E5M2 from 1 to 2
    for part in (Fraction(k, 37) for k in range(37)):
        codes = [
            project(
                1 + part * step,
                fp.E5M2,
                "StochasticA",
                "SatFinite",
                random_bits=r,
                random_width=width,
            )
            for r in range(2**width)
        ]
        mean = sum((decode(code, fp.E5M2).value for code in codes), Fraction(0)) / 2**width
        short = (part * 2**width) % 1 / 2**width
        assert mean == 1 + (part - short) * step


def test_the_control_has_fewer_bits_and_nothing_else(experiments: Any) -> None:
    """Of Hopper's unit, whose 14 bits are 13 behind the leading one."""
    part = module("accumulators_part")
    hopper, control = (part.UNITS[name] for name in ("hopper", "hopper cut to 6 bits"))
    assert (hopper.fraction_bits, hopper.output_bits, hopper.promotion) == (13, 13, None)
    assert (control.fraction_bits, control.output_bits) == (5, 5)
    assert part.UNITS["hopper-promoted"].promotion == 128
    kept = ("products", "aligning", "output_rounding", "register", "alignment", "promotion")
    assert all(getattr(hopper, name) == getattr(control, name) for name in kept)


def test_variants_differ_in_what_they_say(experiments: Any) -> None:
    """Formats and rules of the variants of gradients, scales and accumulators."""
    for name, recipe in module("gradients_part").ARMS.items():
        fmt, kind = name.split()
        assert {recipe.operand(role).format.name for role in ("g_dgrad", "g_wgrad")} == {fmt}
        forward = ("x_forward", "w_forward", "w_dgrad", "x_wgrad")
        assert {recipe.operand(role).format.name for role in forward} == {"E4M3FN"}
        scaled = [recipe.operand(role).rule is not None for role in fp.nn.ROLES]
        assert scaled == [kind == "scaled"] * 6
    for recipe in module("accumulators_part").ARMS.values():
        base = fp.nn.RECIPES["te-current"]
        assert all(recipe.operand(role) == base.operand(role) for role in fp.nn.ROLES)
        assert recipe.scales == base.scales


def test_figures_are_what_the_tables_hold(
    experiments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Means, intervals and names of rows; axes with units; markers that differ without colour."""
    drawn: list[Any] = []
    monkeypatch.setattr("fp8num.plot.to_svg", lambda figure, **words: drawn.append(figure) or "")
    part, common = module("recipes_part"), module("common")
    table = [row for row in rows("recipes") if row["decision"] != "baseline"]

    part.figure(common.read_tables(["recipes"], {"recipes.csv": text_of("recipes")})["recipes"])

    (figure,) = drawn
    for ax, name, unit in zip(figure.axes, ("accuracy", "loss"), (100, 1), strict=True):
        assert re.search("/ points$|/ nat$", ax.get_xlabel())
        lines = {line.get_label(): line for line in ax.lines}
        assert len({lines[data].get_marker() for data in ("digits", "teacher")}) == 2
        order = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        for data in ("digits", "teacher"):
            by_name = {row["recipe"]: row for row in table if row["data"] == data}
            means = [unit * float(by_name[one][f"{name}_difference"]) for one in order]
            np.testing.assert_allclose(lines[data].get_xdata(), means)
            bars = ax.lines[ax.lines.index(lines[data]) - 1].get_xdata().reshape(-1, 3)
            for i, end in enumerate(("low", "high")):
                ends = [unit * float(by_name[one][f"{name}_difference_{end}"]) for one in order]
                np.testing.assert_allclose(bars[:, i], ends)


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FIGURES)
def test_figures_say_what_they_show(name: str) -> None:
    """Well-formed, with a title and a description that has numbers, and axes with units."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    root = ET.parse(FOLDER / f"{name}.svg").getroot()  # noqa: S314 - our own file
    assert root.findtext(f"{SVG}title")
    said = root.findtext(".//{http://purl.org/dc/elements/1.1/}description") or ""
    assert len(re.findall(r"[+-]\d", said)) > 5
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert any(re.search(r"/ (points|nat|steps)|norm of errors over", text) for text in texts)


def test_a_drawing_of_another_version_is_compared_by_what_it_says(experiments: Any) -> None:
    """The same version gives the same bytes; of another one, title and description count."""
    same, drawing = module("figures").same, (FOLDER / "recipes.svg").read_text(encoding="utf-8")
    other = re.sub("Matplotlib v[0-9.]+", "Matplotlib v0.0", drawing).replace("width", "wide")

    assert same(drawing, drawing)
    assert same(other, drawing)
    assert not same(other.replace("points", "point", 1), drawing)
    assert not same(drawing.replace("width", "wide"), drawing)
    assert not same(None, drawing)
    assert not same("a", "b")


def test_axes_leave_out_what_is_far_beyond(experiments: Any) -> None:
    """One interval many times as wide as all others does not squeeze them."""
    drawings, figures = module("drawings"), module("figures")
    near = [figures.Interval(0.1 * i, 0.1 * i - 0.1, 0.1 * i + 0.1) for i in range(4)]

    low, high = drawings.axis([*near, figures.Interval(30.0, 29.0, 31.0)])

    assert low < -0.1
    assert 0.4 < high < 1


def test_words_of_numbers(experiments: Any) -> None:
    """Two digits of the error, a power of ten for very small ones, no minus before nothing."""
    common, words = module("common"), module("words")
    assert common.plus_minus(0.12345, 0.0123) == "+0.123 ± 0.012"
    assert common.plus_minus(-1.2e-9, 3.4e-10) == "-1.2e-09 ± 3.4e-10"
    assert common.plus_minus(-0.0, 0.0) == "+0"
    assert common.plus_minus(-1e-9, 0.012) == "+0.000 ± 0.012"
    assert common.plus_minus(-0.0019533, 3.3e-6) == "-0.0019533 ± 0.0000033"
    assert common.plus_minus(math.nan, 1.0) == "-"
    assert words.percent(0.0) == "0 %"
    assert words.percent(0.0123) == "1.2 %"
    assert words.percent(2e-7) == "< 0.001 %"
    assert words.percent(math.nan) == "-"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.listed([]) == "none"
