"""Options of ``fp8num report`` that decide: targets, tensors, budgets, conditions to fail on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest

from fp8num.cli import main
from fp8num.cli.thresholds import METRICS, Threshold

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
DOWN = "layers.0.mlp.down_proj.weight"
OUT = "layers.0.o_proj.weight"
HEAD = "lm_head.weight"
TALL = RNG.standard_normal((32, 64)).astype(np.float32)
ROW = RNG.standard_normal((64, 64)).astype(np.float32)
ROW[5] *= 1e6


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a file of a healthy layer, one with a large row, an output head and a norm."""
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "w.npz", **{DOWN: TALL, OUT: ROW, HEAD: TALL + 1, "norm": TALL[0]})
    return tmp_path


def report(*options: str) -> int:
    """Run a report of that file, with one table."""
    return main(["report", "w.npz", "--formats", "e4m3fn", "--force", *options])


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Run a report that must be refused before any work; return its line."""
    assert report(*options) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.isprintable()
    return line.removeprefix("fp8num: error: ")


def failures(capsys: pytest.CaptureFixture[str], *conditions: str) -> list[str]:
    """Return the lines about conditions that hold."""
    options = [part for text in conditions for part in ("--fail-on", text)]
    code = report(*options)
    lines = capsys.readouterr().err.splitlines()
    assert code == bool(lines)
    assert all(line.startswith("fp8num: fail: ") for line in lines)
    return [line.removeprefix("fp8num: fail: ") for line in lines]


# Wrong usage: one line, code 2, what was meant.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "nvfp5"], "argument --target: .* got 'nvfp5'; did you mean nvfp4"),
        (["--target", "e4m3"], "argument --target: format name 'e4m3' is ambiguous"),
        (["--target", "binary16p1se"], "argument --target: .* does not fit float64"),
        (["--only", "down_prj"], "--only must match .* 'down_prj' matches none; did you mean down"),
        (["--only", ","], "argument --only: must be names of tensors"),
        (["--keep", "lm_haed"], "--keep must match .* did you mean .*lm_head"),
        (["--quantise", "x"], "--quantise must match .* the first tensor is 'layers.0.mlp.down"),
        (["--keep", "lm_*", "--quantise", "*head"], "--keep and --quantise must name different"),
        (["--layout", "inout"], "argument --layout: .* did you mean in-out"),
        (["--layout", "in-out:wq"], "--layout must match a tensor's name"),
        (["--activations", "none.npz"], "'none.npz' does not exist"),
        (["--activations", "w.npz"], "'w.npz', .* must be a vector of mean squares"),
        (["--bits", "few"], "argument --bits: must be a number of bits above 0"),
        (["--bits", "-3"], "argument --bits: must be a number of bits above 0"),
        (["--bits", "2"], r"bits must be at least \d+\.\d+ on average .* got 2"),
        (["--fail-on", "exces > 1"], "argument --fail-on: metric 'exces' .* did you mean excess"),
        (["--fail-on", "excess"], "argument --fail-on: must be METRIC OP NUMBER"),
        (["--fail-on", "excess => 1"], "argument --fail-on: must be METRIC OP NUMBER"),
        (["--fail-on", "excess > nan"], "argument --fail-on: must be METRIC OP NUMBER"),
        (["--fail-on", "excess > 1 tensor"], "argument --fail-on: must be METRIC OP NUMBER"),
        (["--fail-on", "nans > 5%"], "argument --fail-on: nans is a number of things"),
        (["--fail-on", "amax > 5 @row"], "argument --fail-on: amax does not depend on a rule"),
        (["--fail-on", "excess > 1 @rows"], "--fail-on must have .* 'rows'; did you mean row"),
        (["--fail-on", "bits > 1 @FP8_DYNAMC"], "--fail-on must .* did you mean FP8_DYNAMIC"),
        (["--fail-on", "bits > 1 @te-nvfp4-sr"], "--fail-on must have .* draws at random"),
        (
            ["--rules", "row", "--fail-on", "bits > 1 @FP8"],
            "--fail-on must .* --rules, row, got 'FP8'",
        ),
        (
            ["--rules", "tensor,row", "--fail-on", "excess > 1 @nvfp4"],
            "--fail-on must have a rule of --rules, tensor or row, got 'nvfp4'",
        ),
        (["--fail-on", "output_error > 1%"], "--fail-on output_error .* give --activations"),
    ],
)
def test_wrong_options_are_one_line_that_says_what_was_meant(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.match(message, refused(capsys, *options))
    assert not (tmp_path / "fp8num-report").exists()


# Which tensors, and what becomes of them.


def test_only_some_tensors_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name with or without .weight, by pattern."""
    assert report("--only", "layers.*.mlp.down_proj, lm_head.w?ight") == 0

    document = json.loads((tmp_path / "fp8num-report" / "report.json").read_text())
    assert [tensor["name"] for tensor in document["tensors"]] == [DOWN, HEAD]
    assert "2 tensors" in capsys.readouterr().out


def test_the_terminal_says_what_fails_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert report() == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("w.npz -> E4M3FN: 4 tensors, 8.3 thousand weights, F32.")
    assert lines[1] == "ONE SCALE FAILS for 1; 1 is fine, 2 stay in 16 bits."
    assert re.match(r"  row scales  layers\.0\.o_proj  row 5 is 1\.\de6 times .* -> 1\.", lines[2])
    assert lines[3].startswith("DO: a scale per row (FP8_DYNAMIC): all 2 live linear layers pass")
    assert len(lines) == 5


def test_json_has_stdout_for_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report("--json") == 0

    printed = capsys.readouterr()
    assert printed.out == (tmp_path / "fp8num-report" / "report.json").read_text()
    assert "DO: a scale per row" in printed.err


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        # Block scales of E4M3 span 2.3e5, which is less than 1e6; E5M2 spans 3.8e9.
        (["--target", "nvfp4"], "NVFP4 FAILS for 1; 1 is fine, 3 stay"),
        (["--target", "E5M2"], "ONE SCALE IS ENOUGH for all 2 live linear layers; 2 stay"),
        (["--keep", "*o_proj"], "ONE SCALE IS ENOUGH for the one live linear layer; 3 stay"),
        (["--quantise", "lm_head"], "ONE SCALE FAILS for 1; 2 are fine, 1 stays"),
        (["--keep", "*"], "NOTHING TO QUANTISE: 4 stay in 16 bits."),
        (["--layout", "in-out:*o_proj"], "ONE SCALE FAILS for 1"),
    ],
)
def test_what_is_asked_for_is_decided(
    options: list[str], verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(*options) == 0

    assert f"\n{verdict}" in capsys.readouterr().out


def test_a_layout_turns_rows_into_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("--layout", "out-in", "--layout", "in-out:*o_proj") == 0

    assert "layers.0.o_proj  column 5 is" in capsys.readouterr().out


def test_activations_give_the_output_s_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Σ e² E[x²] over Σ w² E[x²], with ml_dtypes' cast: on either side of a condition."""
    squares = RNG.uniform(size=64).astype(np.float32)
    np.savez(tmp_path / "a.npz", **{DOWN.removesuffix(".weight"): squares})
    scale = np.abs(TALL).max() / 448
    made = (TALL / scale).astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * scale
    exact = np.sqrt(
        ((made - TALL) ** 2 @ squares).sum() / (TALL.astype(float) ** 2 @ squares).sum()
    )
    given = ["--activations", "a.npz", "--only", DOWN, "--fail-on"]

    assert report(*given, f"output_error > {1.001 * exact}") == 0
    assert report(*given, f"output_error > {0.999 * exact}") == 1
    assert "output_error" in capsys.readouterr().err
    np.savez(tmp_path / "a.npz", **{DOWN: squares[1:]})
    assert report(*given, "output_error > 1") == 2
    assert "must be 64 mean squares" in capsys.readouterr().err


def test_a_budget_too_small_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is a layer tried nor a net trained, as shapes tell what is reachable."""

    def work(*_: object, **__: object) -> None:
        pytest.fail("work was begun")

    for name in ("fp8num.report.build.frontier", "fp8num.report.compare_on_digits"):
        monkeypatch.setattr(name, work)

    assert re.match(r"bits must be at least [67]\.\d+ on average", refused(capsys, "--bits", "4"))
    assert main(["report", "--bits", "4"]) == 2
    assert re.match(r"fp8num: error: bits must be at least 4\.5\d+ on", capsys.readouterr().err)


def test_a_budget_of_bits_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Layers at 16 bits are counted; what each takes is in a file."""
    assert report("--bits", "9") == 0

    assert re.search(r"\nBUDGET: [78]\.\d+ bits per weight .*: ", capsys.readouterr().out)
    found = json.loads((tmp_path / "fp8num-report" / "frontier.json").read_text())
    assert found["bits"] <= 9
    assert found["choices"][HEAD] == found["choices"]["norm"] == "keep"
    errors = [point["error"] for point in found["frontier"]["points"]]
    assert errors == sorted(errors, reverse=True)
    assert found["error"] == min(
        point["error"] for point in found["frontier"]["points"] if point["bits"] <= 9
    )


# Conditions.


def test_conditions_that_do_not_hold_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = ("excess > 1.25", "not-finite > 0", "keep > 50%", "sqnr_db < 20", "amax >= 1e9")

    assert failures(capsys, *quiet) == []


#: What they say, in one report: no more than MAX_LINES are shown.
HOLDING = {
    "excess > 1.25 @tensor": [f"{OUT}: excess \\d+.* > 1.25 @tensor"],
    "median>1.25@FP8": [f"{OUT}: median .* @FP8"],
    "flushed >= 50% @tensor": [rf"{OUT}: flushed 9\d\..*% >= 50% @tensor"],
    "worst != 0 @mxfp8": [f"{DOWN}: worst .*", f"{OUT}: worst .*"],
    "bits <= 8.2": [f"{DOWN}: bits 8.016 <= 8.2"],
    "amax > 1e5": [f"{OUT}: amax .* > 1e\\+05"],
    "zeros == 0": [f"{DOWN}: .*", f"{OUT}: .*", f"{HEAD}: .*", "norm: .*"],
    "keep > 1": [r"keep 2 > 1 \(lm_head.weight, norm\)"],
    "tensor >= 25%": [rf"tensor 25% >= 25% \({DOWN}\)"],
    "block == 0": ["block 0 == 0"],
    "max_abs_error < 1 @row": [f"{DOWN}: max_abs_error .*"],
}


def test_conditions_that_hold_are_a_line_for_each_tensor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the conditions' order, and of one alone as of all."""
    found = failures(capsys, *HOLDING)

    patterns = [pattern for lines in HOLDING.values() for pattern in lines]
    for line, pattern in zip(found, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
    assert failures(capsys, "worst != 0 @mxfp8") == found[3:5]


def test_transformer_engine_s_names_mean_what_they_mean_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Percent of all elements; binades between the least and the largest; mean of squares."""
    scale = np.abs(ROW).max() / 448
    made = (ROW / scale).astype(ml_dtypes.float8_e4m3fn).astype(np.float64)
    expected = {
        "underflows%": 100 * (made == 0).mean(),
        "overflows%": 0.0,
        "mse": ((made * scale - ROW) ** 2).mean(),
        "scale_inv_min": scale,
        "scale_inv_max": scale,
        "cur_amax": np.abs(ROW).max(),
        "dynamic_range": np.log2(np.abs(ROW).max()) - np.log2(np.abs(ROW).min()),
    }
    conditions = []
    for name, value in expected.items():
        rule = "" if name in ("cur_amax", "dynamic_range") else "@tensor"
        low, high = (0.999 * value, 1.001 * value) if value else (-1e-9, 1e-9)
        conditions += [f"{name} < {low:.9g} {rule}", f"{name} > {high:.9g} {rule}"]

    found = failures(capsys, *conditions, "mse > 0 @tensor")

    assert [line for line in found if line.startswith(OUT)] == [found[-1]]


def test_what_is_no_number_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tensor that is broken passes no condition on what becomes of it."""
    broken, dead = TALL.copy(), np.zeros_like(TALL)
    broken[3, 7] = np.nan
    np.savez(tmp_path / "w.npz", broken=broken, dead=dead, fine=TALL)

    assert failures(capsys, "excess > 9") == [
        "broken: excess is not a number",
        "dead: excess is not a number",
    ]
    assert failures(capsys, "sqnr_db < 0 @row", "not-finite > 0", "nans > 0") == [
        "broken: sqnr_db is not a number @row",
        "dead: sqnr_db is not a number @row",
        "not-finite 1 > 0 (broken)",
        "broken: nans 1 > 0",
    ]


def test_many_failures_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "w.npz", **{f"v{i}": TALL[0] for i in range(25)})

    assert report("--fail-on", "size > 0") == 1

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "fp8num: fail: 5 more"


def test_every_metric_can_be_written() -> None:
    for metric in METRICS:
        for form in ("{}>1", " {}  <=  -1.5e-3 ", "{}!= .5"):
            assert Threshold.parse(form.format(metric)).metric == metric


def test_every_metric_can_be_judged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a value, so that one of two conditions holds."""
    metrics = set(METRICS) - {"output_error"}
    conditions = [f"{name} {compare} 0" for name in metrics for compare in (">=", "<")]
    options = [part for text in conditions for part in ("--fail-on", text)]
    monkeypatch.setattr("fp8num.cli.report.MAX_LINES", 1000)

    assert report("--only", DOWN, *options) == 1

    found = capsys.readouterr().err
    assert {name for name in metrics if re.search(f" {re.escape(name)} [^i]", found)} == metrics


@pytest.mark.parametrize(
    ("text", "limit"),
    [("flushed > 5%", 0.05), ("underflows% > 5%", 5.0), ("underflows% > 5", 5.0)],
)
def test_percent_is_a_hundredth_unless_the_metric_is_in_percent(text: str, limit: float) -> None:
    assert Threshold.parse(text).limit == limit
