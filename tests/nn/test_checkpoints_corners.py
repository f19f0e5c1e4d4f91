"""Checkpoints between epochs, at the end, and what their checksum is of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.nn.checkpoints import _digest, load_checkpoint, save_checkpoint
from fp8num.nn.data import spirals
from fp8num.nn.train import train

if TYPE_CHECKING:
    from pathlib import Path

DATA = spirals(n=150, test=9)
#: Five steps an epoch.
SETTINGS: dict[str, Any] = {"epochs": 3, "batch": 32, "sizes": (2, 8, 3)}


class BrokenError(Exception):
    """Stands for whatever ends a process."""


def test_a_training_is_resumed_between_epochs(tmp_path: Path) -> None:
    """By default there is a checkpoint after each; the next order is drawn anew, not once more."""
    whole, path = train(DATA, **SETTINGS), tmp_path / "run.npz"

    def break_off(record: Any) -> None:
        if record.step == 5:  # the first of the second epoch
            raise BrokenError

    with pytest.raises(BrokenError):
        train(DATA, checkpoint=path, progress=break_off, **SETTINGS)
    assert load_checkpoint(path).state["step"] == 5

    resumed = train(DATA, checkpoint=path, resume=True, **SETTINGS)

    assert resumed.history.steps == whole.history.steps
    for name, tensor in resumed.model.parameters().items():
        np.testing.assert_array_equal(tensor.data, whole.model.parameters()[name].data)


def test_the_end_is_saved(tmp_path: Path) -> None:
    """Whatever `every` is."""
    path = tmp_path / "run.npz"
    train(DATA, checkpoint=path, every=100, **SETTINGS)
    assert load_checkpoint(path).state["step"] == 15


def test_a_checksum_is_of_names_and_shapes() -> None:
    """Six arrays of the same bytes, and types beside them."""
    text = np.zeros(1, np.uint8)
    arrays = [{name: np.zeros(shape)} for name in "ab" for shape in ((2, 3), (3, 2), (6,))]
    arrays += [{"a": np.zeros(6, dtype)} for dtype in (np.int64, np.uint64)]
    assert len({_digest(text, one) for one in arrays}) == 8


def test_a_whole_file_of_no_state_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checksum is right, and an array that it names is not there."""
    path = tmp_path / "run.npz"
    monkeypatch.setattr(
        "fp8num.nn.checkpoints._packed", lambda *_: {"array": "state/none", "scalar": False}
    )
    save_checkpoint(path, {}, {"step": 1})
    with pytest.raises(ValueError, match=r"checkpoint .* is damaged \(.*\); name another one"):
        load_checkpoint(path)


def test_a_file_is_on_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a crash of the machine could leave the name to an empty file."""
    calls: list[str] = []

    def noted(name: str) -> Any:
        original = getattr(os, name)

        def call(*arguments: Any) -> Any:
            calls.append(name)
            return original(*arguments)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name))
    save_checkpoint(tmp_path / "run.npz", {}, {"step": 1})
    assert calls == ["fsync", "replace"]
