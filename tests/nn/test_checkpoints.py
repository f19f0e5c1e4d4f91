"""A training that was broken off goes on to the bits of an unbroken one, or says why it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.accumulate import FloatSum
from fp8num.nn import checkpoints
from fp8num.nn.checkpoints import check_settings, load_checkpoint, save_checkpoint
from fp8num.nn.data import teacher
from fp8num.nn.dataset import Dataset
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.recipes import get_recipe
from fp8num.nn.run import Run, TrainingDiverged
from fp8num.nn.train import train

if TYPE_CHECKING:
    from pathlib import Path

DATA = teacher(n=100, test=30, features=8, classes=3)
#: Seven steps an epoch, of which the last is short.
SETTINGS: dict[str, Any] = {"sizes": (8, 16, 3), "epochs": 3, "batch": 16, "stats_every": 4}


class BrokenError(Exception):
    """Stands for whatever ends a process."""


def break_at(step: int) -> Any:
    def progress(record: Any) -> None:
        if record.step == step:
            raise BrokenError

    return progress


def digest(run: Run) -> dict[str, Any]:
    """Return every bit of what a training left."""
    found: dict[str, Any] = {
        name: tensor.data.tobytes() for name, tensor in run.model.parameters().items()
    }
    columns = run.history.to_arrays()
    found |= {name: array.tobytes() for name, array in columns.items()}
    for step, captured in run.captures.items():
        found |= {f"{step} {name}": array.tobytes() for name, array in captured.items()}
    return found | {"evaluations": (run.train, run.held_out), "scale": run.loss_scale}


# Going on.


@pytest.mark.parametrize(
    ("recipe", "broken_at"),
    [
        *(("fp32", 4), ("te-current", 13), ("te-delayed", 4), ("te-delayed", 13)),
        *(("flax-delayed", 13), ("nvfp4", 4), ("mxfp8", 13)),
    ],
)
def test_a_resumed_training_gives_the_bits_of_an_unbroken_one(
    recipe: str, broken_at: int, tmp_path: Path
) -> None:
    """Within an epoch and at its end; weights, history, captures, loss scale."""
    options: dict[str, Any] = {
        **SETTINGS,
        "recipe": recipe,
        "loss_scaler": LossScaler(2.0**10, interval=3),
        "capture": [1, 20],
    }
    unbroken = train(DATA, **options)
    path = tmp_path / "run.npz"
    with pytest.raises(BrokenError):
        train(DATA, **options, checkpoint=path, every=2, progress=break_at(broken_at))
    seen: list[int] = []

    resumed = train(
        DATA, **options, checkpoint=path, resume=True, progress=lambda r: seen.append(r.step)
    )

    assert seen[0] == broken_at // 2 * 2  # it went on, and did not begin again
    assert digest(resumed) == digest(unbroken)


def test_a_finished_training_is_read_back(tmp_path: Path) -> None:
    """Nothing is left to do, and nothing is lost."""
    path = tmp_path / "run.npz"
    done = train(DATA, **SETTINGS, checkpoint=path)
    seen: list[int] = []

    again = train(
        DATA, **SETTINGS, checkpoint=path, resume=True, progress=lambda r: seen.append(r.step)
    )

    assert seen == []
    assert digest(again) == digest(done)


def test_skipped_steps_are_counted_across_a_break(tmp_path: Path) -> None:
    """Fifty in a row end a training, wherever it was broken off."""
    loud = Dataset("loud", DATA.x * np.float32(100), DATA.y, 3, DATA.test_x, DATA.test_y)
    path = tmp_path / "run.npz"
    options: dict[str, Any] = {**SETTINGS, "recipe": "fp32", "epochs": 20, "checkpoint": path}
    options["loss_scaler"] = LossScaler(2.0**127, dynamic=False)
    with pytest.raises(BrokenError):
        train(loud, **options, progress=break_at(30))

    with pytest.raises(TrainingDiverged, match="stopped at step 49, 50 steps in a row"):
        train(loud, **options, resume=True)


def test_a_recipe_of_ones_own_parts_can_be_resumed(tmp_path: Path) -> None:
    """Even if JSON has no name for its accumulator; another one is noticed."""
    path = tmp_path / "run.npz"
    mine = [FloatSum(name="mine", fused=fused) for fused in (True, False)]
    recipes = [replace(get_recipe("te-current"), accumulators=one) for one in mine]
    done = train(DATA, **SETTINGS, recipe=recipes[0], checkpoint=path)

    assert digest(train(DATA, **SETTINGS, recipe=recipes[0], checkpoint=path, resume=True)) == (
        digest(done)
    )
    with pytest.raises(ValueError, match="its recipe, 'te-current', has another content"):
        train(DATA, **SETTINGS, recipe=recipes[1], checkpoint=path, resume=True)


PROGRAM = """
import os, signal, sys
from fp8num.nn.data import teacher
from fp8num.nn.dataset import Dataset
from fp8num.nn.run import TrainingDiverged
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.train import train

def kill(record):
    if record.step == 11:
        os.kill(os.getpid(), signal.SIGKILL)

train(teacher(n=100, test=30, features=8, classes=3), sizes=(8, 16, 3), epochs=3, batch=16,
      stats_every=4, recipe="te-delayed", loss_scaler=LossScaler(2.0**10, interval=3),
      checkpoint=sys.argv[1], every=3, progress=kill)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_training_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    """Killed without warning in a process of its own, gone on with in this one."""
    path = tmp_path / "run.npz"
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    options = {**SETTINGS, "recipe": "te-delayed", "loss_scaler": LossScaler(2.0**10, interval=3)}

    resumed = train(DATA, **options, checkpoint=path, resume=True)

    assert load_checkpoint(path).state["step"] == 21
    assert digest(resumed) == digest(train(DATA, **options))


# The file.


def test_whatever_a_state_is_made_of_comes_back(tmp_path: Path) -> None:
    """Numbers, text, arrays of any type and shape, NaN with its payload."""
    path = tmp_path / "state.npz"
    payload = np.array([0x7FC00123, 0xFF800001], np.uint32).view(np.float32)
    state = {
        "counts": [0, 2**127, -1, True, None],
        "text": "π",
        "numbers": [0.1, float("inf"), 5e-324],
        "a": {"b": {"c": np.int8([1])}},
        "a/b": {"c": payload, "d": np.zeros((0, 3)), "e": np.array(2), "f": np.float32(0.1)},
        "array": {"tree": {"scalar": 1}},
    }

    save_checkpoint(path, {"seed": 3}, state)
    found = load_checkpoint(path)

    assert found.settings == {"seed": 3}
    assert [found.state[key] for key in ("counts", "text", "numbers")] == [
        state[key] for key in ("counts", "text", "numbers")
    ]
    assert found.state["a"]["b"]["c"].tolist() == [1]
    arrays = found.state["a/b"]
    assert arrays["c"].tobytes() == payload.tobytes()
    assert arrays["d"].shape == (0, 3)
    assert arrays["e"].shape == ()
    assert type(arrays["f"]) is np.float32
    assert found.state["array"] == {"tree": {"scalar": 1}}
    assert [one.name for one in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([None]), 1j])
def test_what_cannot_be_stored_is_refused(value: object, tmp_path: Path) -> None:
    """With its place; no file appears."""
    with pytest.raises(TypeError, match="state/a/0 of a checkpoint must"):
        save_checkpoint(tmp_path / "x.npz", {}, {"a": [value]})
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, and nothing else beside it."""
    path = tmp_path / "run.npz"
    save_checkpoint(path, {}, {"step": 1})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, {}, {"step": 2})

    assert load_checkpoint(path).state == {"step": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["run.npz"]


# Bad files.


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Write a checkpoint of a training that was broken off."""
    path = tmp_path / "run.npz"
    with pytest.raises(BrokenError):
        train(DATA, **SETTINGS, checkpoint=path, every=5, progress=break_at(7))
    return path


def resume(path: Path, **changed: Any) -> None:
    train(changed.pop("data", DATA), **{**SETTINGS, **changed}, checkpoint=path, resume=True)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(saved: Path, share: float) -> None:
    """Wherever it is cut, in one line."""
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])

    with pytest.raises(ValueError, match=r"checkpoint '.*run.npz' is (empty|cut short|not a)") as e:
        resume(saved)
    assert "\n" not in str(e.value)


def test_any_changed_byte_is_noticed_or_harmless(saved: Path) -> None:
    """A byte of the archive's own dates may change; whatever is read is what was written."""
    content = saved.read_bytes()
    want = load_checkpoint(saved)
    rng = np.random.default_rng(5)
    refused = 0
    for at in rng.integers(0, len(content), 120):
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(rng.integers(8))
        saved.write_bytes(damaged)
        try:
            found = load_checkpoint(saved)
        except ValueError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert found.settings == want.settings
            assert found.state["step"] == want.state["step"]
    assert refused > 60


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x93NUMPY\x01\x00", "is not a checkpoint of fp8num"),
        (b"PK\x03\x04" + bytes(200), "is cut short or damaged"),
    ],
)
def test_a_foreign_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=message):
        resume(path)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    """Of other arrays; of an object, which would have to be unpickled; of other JSON."""
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros(3))
    with pytest.raises(ValueError, match="is not a checkpoint of fp8num"):
        resume(path)
    np.savez(path, checkpoint=np.array([{"kind": "fp8num training"}], dtype=object))
    with pytest.raises(ValueError, match="is cut short or damaged"):
        resume(path)
    np.savez(path, checkpoint=np.frombuffer(b"[1, 2]", np.uint8))
    with pytest.raises(ValueError, match="is not a checkpoint of fp8num"):
        resume(path)


def test_another_version_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "VERSION", checkpoints.VERSION + 1)

    with pytest.raises(ValueError, match=r"must be of version 2, got 1, from which the bits would"):
        resume(saved)


def test_an_array_that_was_replaced_is_noticed(saved: Path) -> None:
    """The archive is whole, but it is not what was written."""
    with np.load(saved) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = next(name for name in arrays if name.startswith("state/parameters/"))
    arrays[name] = arrays[name] + np.float32(1)
    np.savez(saved, **arrays)

    with pytest.raises(ValueError, match="is damaged, its checksum differs"):
        resume(saved)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"recipe": "mxfp8"}, "its recipe is 'te-current', asked for is 'mxfp8'"),
        ({"first_recipe": "bf16"}, "its first_recipe is None, asked for is 'bf16'"),
        ({"last_recipe": "bf16"}, "its last_recipe is None, asked for is 'bf16'"),
        ({"data": teacher(n=100, test=30, features=8, classes=3, seed=1)}, "its data, 'teacher,"),
        ({"sizes": (8, 17, 3)}, r"its sizes is \[8, 16, 3\], asked for is \[8, 17, 3\]"),
        ({"seed": 1}, "its seed is 0, asked for is 1"),
        ({"epochs": 4}, "its epochs is 3, asked for is 4"),
        ({"batch": 20}, "its batch is 16, asked for is 20"),
        ({"lr": 0.1}, "its schedule is 'cosine from 0.01', asked for is 'cosine from 0.1'"),
        ({"optimizer": "adam"}, "its optimizer is 'AdamW', asked for is 'Adam'"),
        ({"loss_scaler": LossScaler()}, "loss scaling is None, asked for is 'dynamic from 65536'"),
        ({"clip": 1.0}, "its clip is None, asked for is 1.0"),
        ({"stats_every": 5}, "its stats_every is 4, asked for is 5"),
        ({"capture": [3]}, r"its capture is \[\], asked for is \[3\]"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    saved: Path, changed: dict[str, Any], message: str
) -> None:
    """With the first setting that differs, and before any work."""
    before = saved.read_bytes()

    with pytest.raises(ValueError, match=message) as error:
        resume(saved, **changed)

    assert "\n" not in str(error.value)
    assert saved.read_bytes() == before


def test_a_recipe_of_the_same_name_is_compared_too(saved: Path) -> None:
    mine = replace(get_recipe("te-current"), straight_through="clip")
    with pytest.raises(ValueError, match="its recipe, 'te-current', has another content"):
        resume(saved, recipe=mine)


def test_settings_that_are_missing_differ() -> None:
    with pytest.raises(ValueError, match="its b is 1, asked for is None"):
        check_settings("x.npz", {"a": 1, "b": 1}, {"a": 1})
    with pytest.raises(ValueError, match="its b is None, asked for is 1"):
        check_settings("x.npz", {"a": 1}, {"a": 1, "b": 1})


def test_a_setting_that_came_after_the_file_is_none() -> None:
    """A training that makes no use of it goes on."""
    check_settings("x.npz", {"a": 1}, {"a": 1, "b": None})
    check_settings("x.npz", {"a": 1, "b": None}, {"a": 1})


def test_ends_with_their_own_recipes_are_resumed(tmp_path: Path) -> None:
    """To the same bits; with others they are another training."""
    ends = {"first_recipe": "te-delayed", "last_recipe": "bf16"}
    options: dict[str, Any] = {**SETTINGS, "sizes": (8, 16, 16, 3), **ends}
    path = tmp_path / "run.npz"
    with pytest.raises(BrokenError):
        train(DATA, **options, checkpoint=path, every=2, progress=break_at(4))
    before = path.read_bytes()
    for changed, message in (
        ({"first_recipe": "te-current"}, "its first_recipe is 'te-delayed', asked for is 'te-cu"),
        ({"last_recipe": None}, "its last_recipe is 'bf16', asked for is None"),
    ):
        with pytest.raises(ValueError, match=message):
            resume(path, **{**options, **changed})
    assert path.read_bytes() == before

    resumed = train(DATA, **options, checkpoint=path, resume=True)

    assert digest(resumed) == digest(train(DATA, **options))


def test_a_checkpoint_is_neither_invented_nor_overwritten(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"checkpoint '.*none.npz' does not exist; begin"):
        resume(tmp_path / "none.npz")
    with pytest.raises(FileExistsError, match="exists; resume from it, remove it, or name another"):
        train(DATA, **SETTINGS, checkpoint=saved)
    with pytest.raises(FileNotFoundError, match="must lie in a folder that exists; make it first"):
        train(DATA, **SETTINGS, checkpoint=tmp_path / "no" / "run.npz")
    with pytest.raises(ValueError, match="resume must come with a checkpoint, got None"):
        train(DATA, **SETTINGS, resume=True)


def test_a_whole_file_with_a_wrong_state_is_refused(saved: Path) -> None:
    """The checksum is right, so somebody made it so."""
    found = load_checkpoint(saved)
    for key in ("parameters", "optimizer", "layers", "generator", "history"):
        state = {name: part for name, part in found.state.items() if name != key}
        save_checkpoint(saved, found.settings, state)
        with pytest.raises(ValueError, match=r"does not hold this training: .*"):
            resume(saved)
