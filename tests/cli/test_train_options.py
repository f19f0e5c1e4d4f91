"""Options of ``fp8num train`` against the functions of `fp8num.nn` that they stand for."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from fp8num.cli import main
from fp8num.nn import data as examples
from fp8num.nn.compare import compare
from fp8num.nn.data import digits, spirals
from fp8num.nn.recipes import RECIPES
from fp8num.nn.train import train

if TYPE_CHECKING:
    from pathlib import Path

#: Two steps, of 9 and 1 inputs.
QUICK = ["train", "--data", "spirals", "--epochs", "1", "--batch", "9", "--sizes", "2,16,3"]
SAME: dict[str, Any] = {"epochs": 1, "batch": 9, "sizes": (2, 16, 3)}
DIGITS = ["train", "--epochs", "1", "--batch", "360", "--sizes", "64,10"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the spirals be ten points."""
    monkeypatch.setattr(examples, "spirals", lambda: spirals(10, 6))


def record(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("tail", "options"),
    [
        (["--optimizer", "sgd"], {"optimizer": "sgd"}),
        (
            ["--optimizer", "adam", "--schedule", "linear"],
            {"optimizer": "adam", "schedule": "linear"},
        ),
        (["--schedule", "constant", "--lr", "0.3"], {"schedule": "constant", "lr": 0.3}),
        (["--clip", "0.01"], {"clip": 0.01}),
        (
            ["--recipe", "mxfp8", "--first-recipe", "bf16"],
            {"recipe": "mxfp8", "first_recipe": "bf16"},
        ),
        (["--last-recipe", "fp32"], {"last_recipe": "fp32"}),
        (["--stats-every", "1"], {"stats_every": 1}),
    ],
)
def test_an_option_is_an_argument_of_train(
    tail: list[str], options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same settings, and the same results, which are not those without it."""
    found = record(capsys, *QUICK, *tail)

    run = train(spirals(10, 6), **{**SAME, **options})
    assert found["settings"] == json.loads(json.dumps(run.settings))
    assert found["held_out"]["loss"] == run.held_out.loss
    plain = train(spirals(10, 6), **SAME)
    assert found["settings"] != json.loads(json.dumps(plain.settings))


def test_saturation_makes_a_dynamic_loss_scale_back_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which formats that saturate would never do."""
    # A step's one input is soon so surely wrong that its gradient is nearly the scale, 65536.
    wild = [*QUICK, "--recipe", "fp8-unscaled", "--batch", "1", "--lr", "1"]
    plain = record(capsys, *wild, "--loss-scale", "dynamic")
    found = record(capsys, *wild, "--loss-scale", "dynamic", "--saturation-is-overflow")

    assert (plain["skipped"], plain["loss_scale"]) == (0, 65536)
    assert found["skipped"] > 0
    assert found["loss_scale"] == 65536 / 2 ** found["skipped"]
    assert found["settings"]["loss scaling"]["saturation_is_overflow"] is True
    fixed = record(capsys, *wild, "--loss-scale", "65536", "--saturation-is-overflow")
    assert fixed["skipped"] > 0
    assert fixed["loss_scale"] == 65536


def test_the_summary_names_the_recipes_of_the_ends(capsys: pytest.CaptureFixture[str]) -> None:
    three = [*QUICK, "--sizes", "2,16,16,3"]
    assert main([*three, "--first-recipe", "bf16", "--last-recipe", "fp32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "the first layer in bf16" in lines
    assert "the last layer in fp32" in lines


@pytest.mark.parametrize(
    ("tail", "fold", "folds"),
    [([], 0, 5), (["--fold", "3"], 3, 5), (["--fold", "1", "--folds", "2"], 1, 2)],
)
def test_a_fold_of_the_digits_is_held_out(
    tail: list[str], fold: int, folds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = record(capsys, *DIGITS, *tail)

    run = train(digits(fold, folds), epochs=1, batch=360, sizes=(64, 10))
    assert found["settings"]["data"] == run.settings["data"]
    assert found["held_out"]["loss"] == run.held_out.loss


def test_every_seed_is_trained_on_every_fold(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is the single training of that seed and fold."""
    tail = ["--compare", "bf16", "--seeds", "2", "--seed", "4", "--folds", "3"]
    found = record(capsys, *DIGITS, *tail)

    assert (found["folds"], found["seeds"]) == (3, [4, 5])
    pairs = [(one["recipe"], one["seed"], one["fold"]) for one in found["runs"]]
    assert pairs == [
        (recipe, seed, fold) for seed in (4, 5) for fold in range(3) for recipe in ("fp32", "bf16")
    ]
    single = ["--recipe", "bf16", "--seed", "5", "--fold", "2", "--folds", "3"]
    assert found["runs"][-1]["loss"] == record(capsys, *DIGITS, *single)["held_out"]["loss"]
    assert {one["n"] for one in found["results"]} == {2}


def test_a_baseline_and_a_margin_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    """Points are hundredths; the baseline has its own accumulators and ends."""
    tail = ["--compare", "te-current", "--baseline", "te-current", "--accumulator", "hopper"]
    tail += ["--last-recipe", "bf16", "--seeds", "2", "--margin", "0.7"]
    found = record(capsys, *QUICK, *tail)

    assert (found["baseline"], found["margin"]) == ("te-current", 0.7 / 100)
    name = "te-current, hopper, last bf16"
    assert [one["recipe"] for one in found["results"]] == ["te-current", name]
    settings = {one["recipe"]: one["settings"] for one in found["runs"]}
    assert settings["te-current"]["recipe"] == RECIPES["te-current"].to_dict()
    assert settings["te-current"]["last_recipe"] is None
    assert (
        settings[name]["recipe"]["accumulators"] != RECIPES["te-current"].to_dict()["accumulators"]
    )
    assert settings[name]["last_recipe"]["name"] == "bf16"
    assert record(capsys, *QUICK, "--compare", "bf16", "--seeds", "1")["margin"] == 0.003
    assert main([*QUICK, *tail]) == 0
    assert "to tell 0.7 points" in capsys.readouterr().out


def test_a_comparison_has_the_options_of_a_training(capsys: pytest.CaptureFixture[str]) -> None:
    """Every recipe the same: what `compare` gives."""
    tail = ["--optimizer", "sgd", "--schedule", "linear", "--clip", "1", "--loss-scale", "8"]
    found = record(capsys, *QUICK, "--compare", "mxfp8", "--seeds", "2", *tail)

    from fp8num.nn.loss_scaling import LossScaler

    expected = compare(
        spirals(10, 6), ["mxfp8"], seeds=2, optimizer="sgd", schedule="linear", clip=1.0,
        loss_scaler=LossScaler(8.0, dynamic=False), **SAME,
    )  # fmt: skip
    assert found == json.loads(json.dumps(expected.to_dict()))


def test_workers_change_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor its order; the tables are the same too."""
    tail = [*QUICK, "--compare", "te-current,nvfp4", "--seeds", "3"]
    alone = record(capsys, *tail, "--csv", str(tmp_path / "a.csv"))
    assert record(capsys, *tail, "--workers", "2", "--csv", str(tmp_path / "b.csv")) == alone
    for name in ("a.csv", "a.csv.curves.csv", "a.csv.tensors.csv"):
        mine, theirs = (pd.read_csv(tmp_path / f"{one}{name[1:]}") for one in "ab")
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def test_a_file_that_may_not_be_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An hour of training later it would be too late."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main([*QUICK, "--csv", str(tmp_path / "x.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "x.csv' must be a file that you may write; name another one" in line
    assert list(tmp_path.iterdir()) == []


def test_every_option_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """With its default, where it has one."""
    assert main(["train", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "--first-recipe NAME of the first layer, such as bf16",
        "--fold K fold of the digits held out, from 0 (default: 0)",
        "--baseline NAME recipe to compare with, as it is (default: fp32)",
        "--seeds N trainings of each recipe, with seeds from --seed on (default: 10)",
        "in percentage points (default: 0.3)",
        "--workers N processes that train at once, with the same results (default: 1)",
        "adamw (default), adam or sgd, which has a momentum of 0.9",
        "cosine (default), linear or constant",
        "--stats-every N measure what casts lose every so many steps (default: 10)",
        "130: interrupted",
    ):
        assert words in text


def test_tables_beside_the_csv_are_no_file_of_another_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint of that name would be overwritten in the end."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--csv", "a.csv", "--checkpoint", "a.csv.tensors.csv"]) == 2
    assert "must not be the file of --csv" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
