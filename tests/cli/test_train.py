"""``fp8num train``: a net trained, told of, broken off and gone on with."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from fp8num.cli import main
from fp8num.cli.progress import step_bar
from fp8num.cli.train.options import EXAMPLES, dataset_of
from fp8num.inputs import open_tensors
from fp8num.nn import data as examples
from fp8num.nn.data import spirals
from fp8num.nn.history import StepRecord
from fp8num.nn.recipes import RECIPES, Recipe

if TYPE_CHECKING:
    from pathlib import Path

#: Two steps, of 9 and 1 inputs.
QUICK = ["train", "--data", "spirals", "--epochs", "1", "--batch", "9", "--sizes", "2,16,3"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the spirals be ten points, and the digits what they are."""
    monkeypatch.setattr(examples, "spirals", lambda: spirals(10, 6))


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    return capsys.readouterr().out


def test_the_summary_says_what_was_trained_and_how_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Data, parameters, the recipe's table, both parts' results, skipped steps, worst casts."""
    text = output(capsys, *QUICK, "--loss-scale", "1024")

    lines = text.splitlines()
    assert lines[0] == "spirals, 3 arms: 2-16-3, 99 parameters, seed 0"
    assert lines[2] == "te-current"
    assert lines[3].split() == ["product", "operand", "cast", *lines[3].split()[3:]]
    held_out = next(line for line in lines if line.startswith("held out"))
    assert held_out.split()[2] == "6"
    assert "loss scale static from 1024, now 1024; 0 of 2 steps skipped" in text
    at = lines.index("casts that lost most:")
    assert lines[at + 1].split()[:3] == ["layer", "operand", "format"]
    assert {line.split()[2] for line in lines[at + 2 :]} == {"E4M3FN", "E5M2"}
    assert text.isascii()


def test_without_options_the_digits_are_learnt(capsys: pytest.CaptureFixture[str]) -> None:
    """Of which an epoch is enough here."""
    text = output(capsys, "train", "--epochs", "1")

    assert text.startswith("digits, fold 0 of 5 held out: 64-128-10, 9,610 parameters, seed 0\n")
    assert "no loss scaling; 0 of 23 steps skipped" in text


def test_the_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing but JSON: numbers that are none are null."""
    found = json.loads(output(capsys, *QUICK, "--json", "--recipe", "mxfp8"))

    assert found["settings"]["recipe"]["name"] == "mxfp8"
    assert found["settings"]["sizes"] == [2, 16, 3]
    assert (found["parameters"], found["steps"], found["skipped"]) == (99, 2, 0)
    assert found["held_out"]["count"] == 6
    assert 0 <= found["held_out"]["accuracy"] <= 1
    assert {cast["format"] for cast in found["worst_casts"]} == {"E4M3FN"}
    assert "Infinity" not in output(capsys, *QUICK, "--json", "--recipe", "fp32")


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, and all of it as JSON."""
    lines = output(capsys, "train", "--list").splitlines()
    assert [line.split()[0] for line in lines] == ["recipe", *RECIPES]
    bf16 = next(line for line in lines if line.startswith("bf16"))
    assert bf16.split() == ["bf16", *["BFLOAT16"] * 3, "results:", "BFLOAT16"]
    mixed = next(line for line in lines if line.startswith("torchao-rowwise-gw-hp"))
    assert mixed.endswith("w_dgrad: torchao-tensorwise-pow2 E4M3FN; g_wgrad: float32; "
                          "x_wgrad: float32")  # fmt: skip

    records = json.loads(output(capsys, "train", "--list", "--json"))
    assert [record["name"] for record in records] == list(RECIPES)


def test_an_accumulator_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    """For all three products; codes that are multiplied need a recipe that makes some."""
    text = output(capsys, *QUICK, "--accumulator", "hopper")
    assert text.splitlines()[2] == "te-current, hopper"
    assert text.count(" hopper") == 7

    assert main([*QUICK, "--accumulator", "hopper", "--recipe", "fp32"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'hopper'" in line
    assert "x_forward" in line


def test_a_training_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a file that another command wrote."""
    path = str(tmp_path / "run.npz")
    first = output(capsys, *QUICK, "--checkpoint", path)

    assert output(capsys, *QUICK, "--checkpoint", path, "--resume") == first

    assert main([*QUICK, "--checkpoint", path]) == 2
    assert "exists; resume from it, remove it, or name another" in capsys.readouterr().err
    assert main([*QUICK, "--checkpoint", path, "--resume", "--recipe", "mxfp8"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "its recipe is 'te-current', asked for is 'mxfp8'" in line


def test_captures_are_read_by_the_readers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights, activations and gradients of the steps that are named, or of three."""
    path = tmp_path / "capture.safetensors"
    output(capsys, *QUICK, "--capture", str(path), "--steps", "1", "--loss-scale", "256")

    opened = open_tensors(path)
    shapes = {tensor.name: tensor.shape for tensor in opened.tensors}
    assert not opened.skipped
    assert shapes == {
        "step1.layer0.input": (1, 2),
        "step1.layer0.weight": (16, 2),
        "step1.layer0.output_gradient": (1, 16),
        "step1.layer0.weight.gradient": (16, 2),
        "step1.layer0.bias.gradient": (16,),
        "step1.layer1.input": (1, 16),
        "step1.layer1.weight": (3, 16),
        "step1.layer1.output_gradient": (1, 3),
        "step1.layer1.weight.gradient": (3, 16),
        "step1.layer1.bias.gradient": (3,),
    }
    head = path.read_bytes()[:2000]
    assert b'"step1.loss_scale":"256"' in head
    assert b'"recipe":"te-current"' in head

    output(capsys, *QUICK, "--capture", str(path), "--epochs", "3")
    names = {tensor.name.split(".")[0] for tensor in open_tensors(path).tensors}
    assert names == {"step0", "step3", "step5"}


def test_the_recipe_of_a_name_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """As Python prints it, and as it is stored; with another accumulator if one is named."""
    text = output(capsys, "train", "--list", "--recipe", "DeepSeek")
    assert text == f"{RECIPES['deepseek']}\n"
    assert "deepgemm-128x128" in text
    record = json.loads(output(capsys, "train", "--list", "--recipe", "nvfp4", "--json"))
    assert Recipe.from_dict(record) == RECIPES["nvfp4"]
    hopper = output(capsys, "train", "--list", "--recipe", "te-current", "--accumulator", "hopper")
    assert hopper.count("hopper") == 7


def test_the_history_is_written_as_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.csv"
    output(capsys, *QUICK, "--csv", str(path))

    steps = pd.read_csv(path)
    assert steps["step"].tolist() == [0, 1]
    assert steps["scale"].tolist() == [1, 1]
    casts = pd.read_csv(tmp_path / "history.csv.tensors.csv")
    assert set(casts["layer"]) == {"layer0", "layer1"}
    assert casts["underflow_rate"].between(0, 1).all()


def test_divergence_is_one_line_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line says which tensor, its format, and what to try; so does the record."""
    wild = [*QUICK, "--lr", "1e38", "--epochs", "5"]
    assert main(wild) == 1

    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("fp8num: training stopped at step ")
    assert "try a smaller learning rate than" in line
    assert "(--lr), or clipping gradients (--clip)" in line

    assert main([*wild, "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["diverged"]["layer"]
    assert record["diverged"]["remedies"]
    assert record["diverged"]["step"] == record["steps"] > 0
    assert record["held_out"] == {"count": 0, "loss": None, "accuracy": None}


def test_what_there_is_is_written_when_a_training_diverges(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the files are named: history, casts, and operands up to the step that went wrong."""
    table, path = tmp_path / "h.csv", tmp_path / "c.safetensors"
    wild = [*QUICK, "--lr", "1e38", "--epochs", "5", "--csv", str(table), "--capture", str(path)]
    assert main([*wild, "--loss-scale", "4"]) == 1

    first, second = capsys.readouterr().err.splitlines()
    at = int(first.removeprefix("fp8num: training stopped at step ").split(",")[0])
    files = [str(path), str(table), f"{table}.tensors.csv"]
    assert second == f"fp8num: wrote what there was until then to {', '.join(map(repr, files))}"
    assert pd.read_csv(table)["step"].tolist() == list(range(at))
    assert set(pd.read_csv(files[2])["step"]) == {0, at}
    names = {tensor.name for tensor in open_tensors(path).tensors}
    assert {name.split(".")[0] for name in names} == {"step0", f"step{at}"}
    assert f"step{at}.layer1.weight" in names
    head = path.read_bytes()[:4000]
    assert f'"step{at}.loss_scale":"4"'.encode() in head


def test_recipes_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With fp32, seeds counted from the one that is named; tables as CSV, everything as JSON."""
    path = tmp_path / "compared.csv"
    tail = ["--compare", "te-current,mxfp8", "--seeds", "3", "--seed", "5"]
    text = output(capsys, *QUICK, *tail, "--csv", str(path))

    lines = text.splitlines()
    assert lines[0].startswith("3 seeds, held out; differences from fp32 in points")
    assert [line.split()[:2] for line in lines[3:6]] == [
        ["fp32", "3"], ["te-current", "3"], ["mxfp8", "3"],
    ]  # fmt: skip
    assert [line.split(":")[0] for line in lines[7:]] == ["te-current", "mxfp8"]
    assert text.isascii()
    table = pd.read_csv(path)
    assert table["recipe"].tolist() == ["fp32", "te-current", "mxfp8"]
    curves = pd.read_csv(tmp_path / "compared.csv.curves.csv")
    assert curves["step"].tolist() == [0, 1] * 3
    assert pd.read_csv(tmp_path / "compared.csv.tensors.csv")["flushed"].between(0, 1).all()

    found = json.loads(output(capsys, *QUICK, *tail, "--json"))
    assert found["seeds"] == [5, 6, 7]
    assert [one["recipe"] for one in found["results"]] == ["fp32", "te-current", "mxfp8"]
    single = json.loads(output(capsys, *QUICK, "--seed", "6", "--recipe", "mxfp8", "--json"))
    (same,) = (one for one in found["runs"] if (one["recipe"], one["seed"]) == ("mxfp8", 6))
    assert same["loss"] == single["held_out"]["loss"]


def test_one_seed_is_no_comparison_and_divergence_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The one is said, the other is also the exit code."""
    text = output(capsys, *QUICK, "--compare", "te-current", "--seeds", "1",
                  "--accumulator", "hopper")  # fmt: skip
    assert "te-current, hopper: " in text
    assert "in one seed, from which nothing follows" in text

    wild = [*QUICK, "--lr", "1e38", "--epochs", "5", "--compare", "te-current", "--seeds", "2"]
    assert main(wild) == 1
    printed = capsys.readouterr()
    assert "diverged in 2 of 2 seeds" in printed.out
    lines = printed.err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["fp32, seed 0", "te-current, seed 0"]
    assert all("try a smaller learning rate" in line for line in lines)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (["--recipe", "te-curent"], "did you mean te-current"),
        (["--compare", "mxfp8,te-curent"], "did you mean te-current"),
        (["--compare", "mxfp8,mxfp8"], "--compare must name different recipes, got 'mxfp8' twice"),
        (["--compare", "mxfp8", "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--compare", "mxfp8", "--recipe", "bf16"], "--recipe has no meaning with --compare"),
        (["--compare", "mxfp8", "--resume"], "--resume has no meaning with --compare"),
        (["--compare", "mxfp8", "--csv", "no/x.csv"], "--csv 'no/x.csv' must lie in a folder"),
        (["--seeds", "3"], "--seeds has no meaning without --compare"),
        (["--seeds", "0"], "--seeds has no meaning without --compare"),
        (["--margin", "1"], "--margin has no meaning without --compare; name recipes, or leave"),
        (["--baseline", "bf16"], "--baseline has no meaning without --compare"),
        (["--workers", "2"], "--workers has no meaning without --compare"),
        (["--compare", "mxfp8", "--baseline", "bf61"], "did you mean bf16"),
        (["--compare", "mxfp8", "--margin", "0"], "--margin must be above 0 and below 100 points"),
        (["--compare", "mxfp8", "--margin", "nan"], "--margin must be above 0 and below 100 poi"),
        (["--compare", "mxfp8", "--workers", "0"], "--workers must be at least 1, got 0"),
        (["--compare", "mxfp8", "--fold", "0"], "--fold has no meaning with --compare"),
        (["--compare", "mxfp8", "--every", "9"], "--every has no meaning with --compare"),
        (["--compare", "mxfp8", "--last-recipe", "bf61"], "did you mean bf16"),
        (["--compare", "mxfp8", "--optimizer", "adamv"], "optimizer must be one of adamw, adam"),
        (["--fold", "1"], "--fold has no meaning with --data spirals; digits have folds"),
        (["--folds", "3"], "--folds has no meaning with --data spirals"),
        (["--data", "digits", "--fold", "5"], "fold must be less than folds, 5, got 5"),
        (["--data", "digits", "--folds", "1"], "folds must be an integer, at least 2, got 1"),
        (["--first-recipe", "bf61"], "first_recipe must be a known name, got 'bf61'; did you me"),
        (
            ["--first-recipe", "bf16", "--last-recipe", "fp32", "--sizes", "2,8,3"],
            "recipe must be that of a layer, but first_recipe and last_recipe leave none of 2 to ",
        ),
        (
            [
                *("--compare", "bf16", "--sizes", "2,8,3"),
                *("--first-recipe", "mxfp8", "--last-recipe", "fp32"),
            ],
            "recipe must be that of a layer, but first_recipe and last_recipe leave none of 2 to ",
        ),
        (["--compare", ""], "--compare must name recipes with commas between, got ''"),
        (
            ["--compare", "bf16,,mxfp8"],
            "--compare must name recipes with commas between, got 'bf16,",
        ),
        (
            ["--compare", "fp32"],
            "--compare must name a recipe besides the baseline, 'fp32', got no",
        ),
        (
            ["--compare", "te-current", "--baseline", "te-current"],
            "besides the baseline, 'te-curre",
        ),
        (
            ["--compare", "bf16", "--baseline", "fp33"],
            "--baseline must be a known name, got 'fp33'",
        ),
        (
            ["--saturation-is-overflow"],
            "--saturation-is-overflow has no meaning with --loss-scale off; give a loss scale",
        ),
        (
            ["--list", "--saturation-is-overflow"],
            "--saturation-is-overflow has no meaning with --list",
        ),
        (["--optimizer", "adamv"], "optimizer must be one of adamw, adam, sgd, got 'adamv'; did"),
        (["--schedule", "cosin"], "schedule must be one of cosine, linear, constant, got 'cosin'"),
        (["--clip", "0"], "clip must be a finite number above 0, got 0.0"),
        (["--stats-every", "0"], "stats_every must be an integer, at least 1, got 0"),
        (["--every", "2"], "--every has no meaning without --checkpoint; name its file"),
        (["--checkpoint", "x", "--every", "0"], "every must be an integer, at least 1, got 0"),
        (["--accumulator", "hopper", "--recipe", "fp32"], "'hopper'"),
        (["--accumulator", "hopper", "--recipe", "nvfp4"], "'hopper'"),
        (["--accumulator", "hopper", "--compare", "mxfp8"], "'hopper'"),
        (["--list", "--recipe", "te-curent"], "did you mean te-current"),
        (["--list", "--compare", "bf16"], "--compare has no meaning with --list; leave it out"),
        (["--list", "--accumulator", "hopper"], "--accumulator has no meaning with --list"),
        (["--capture", "c.txt"], "--capture 'c.txt' must end in .safetensors, by which 'fp8num re"),
        (["--capture", "c"], "--capture 'c' must end in .safetensors"),
        (["--csv", "x", "--checkpoint", "x"], "--checkpoint 'x' must not be the file of --csv"),
        (["--sizes", "64,10"], "layer0 takes 64, but 'spirals, 3 arms' has 2 features"),
        (["--sizes", "2,x"], "argument --sizes: must be integers with commas between, got '2,x'"),
        (["--epochs", "0"], "epochs must be an integer, at least 1, got 0"),
        (["--batch", "-1"], "batch must be an integer, at least 1, got -1"),
        (["--lr", "nan"], "lr must be a finite number at least 0, got nan"),
        (["--seed", "-1"], "seed must be an integer, at least 0, got -1"),
        (["--loss-scale", "big"], "--loss-scale must be off, dynamic or a number, got 'big'"),
        (["--loss-scale", "0"], "scale must be a finite number above 0, got 0.0"),
        (["--loss-scale", "1e60"], "scale must be positive and finite in float32"),
        (["--accumulator", "hoper"], "hoper"),
        (["--steps", "1"], "--steps has no meaning without --capture"),
        (["--capture", "x.safetensors", "--steps", "2"], "below the 2 steps of the training"),
        (["--capture", "no/x.safetensors"], "--capture 'no/x.safetensors' must lie in a folder"),
        (["--csv", "no/x.csv"], "--csv 'no/x.csv' must lie in a folder that exists"),
        (["--checkpoint", "no/x.npz"], "must lie in a folder that exists"),
        (["--checkpoint", "x.npz", "--resume"], "checkpoint 'x.npz' does not exist; begin the tra"),
        (["--resume"], "--resume has no meaning without --checkpoint; name its file"),
        (["--data", "digit"], "argument --data: invalid choice: 'digit'"),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    tail: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before any work: no file appears."""
    monkeypatch.chdir(tmp_path)

    assert main([*(["train"] if "--list" in tail else QUICK), *tail]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_progress_bar_is_for_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With loss, accuracy, scale and skipped steps; none for a file, JSON or who wants none."""
    main(QUICK)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for option in ("--json", "--no-progress"):
        main([*QUICK, option])
        assert capsys.readouterr().err == ""
    texts: list[Any] = []
    from rich import progress

    class Bar(progress.Progress):
        def update(self, *_: Any, **options: Any) -> None:
            texts.append((options["completed"], options["description"]))

    monkeypatch.setattr(progress, "Progress", Bar)
    with step_bar(2, shown=True) as show:
        assert show is not None
        for step, skipped in ((0, True), (1, False)):
            show(
                StepRecord(
                    step=step, epoch=0, loss=1.5, accuracy=0.25, lr=0.1, scale=512.0,
                    skipped=skipped, gradient_norm=1.0,
                )
            )  # fmt: skip
    assert texts == [
        (1, "epoch 0  loss 1.5000  accuracy 25.0%  scale 512  skipped 1"),
        (2, "epoch 0  loss 1.5000  accuracy 25.0%  scale 512  skipped 1"),
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_can_be_trained_on(name: str) -> None:
    """The names on the command line are those of data that exist."""
    found = dataset_of(Namespace(data=name, fold=None, folds=None))
    assert len(found.x)
    assert np.isfinite(found.x).all()


@pytest.mark.parametrize("option", ["--csv", "--capture", "--checkpoint"])
def test_a_folder_is_no_file(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is trained."""
    assert main(["train", option, str(tmp_path)]) == 2
    assert "must be a file, and is a folder" in capsys.readouterr().err


def test_an_empty_recipe_is_not_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--recipe", ""]) == 2
    assert "recipe" in capsys.readouterr().err


def test_the_default_accumulator_may_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--epochs", "1", "--accumulator", "correctly-rounded", "--no-progress"]
    assert main(command) == 0
    assert "te-current, correctly-rounded" in capsys.readouterr().out
