"""What the options of ``fp8num train`` name: data, recipes, a loss scaler, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fp8num._names import hint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from fp8num.nn.dataset import Dataset
    from fp8num.nn.loss_scaling import LossScaler
    from fp8num.nn.recipes import Recipe

__all__ = ["FOLDS", "dataset_of", "digits_of", "recipe_of", "settings_of"]

FOLDS = 5  #: of the digits, if no other number is asked for


def dataset_of(arguments: argparse.Namespace) -> Dataset:
    """Return the data that the options name, with one fold of the digits held out."""
    from fp8num.nn import data

    makers: dict[str, Callable[[], Dataset]] = {
        "teacher": data.teacher,
        "spirals": data.spirals,
        "random-labels": data.random_labels,
    }
    if arguments.data != "digits":
        return makers[arguments.data]()
    return data.digits(arguments.fold or 0, FOLDS if arguments.folds is None else arguments.folds)


def digits_of(folds: int, *, seed: int, fold: int) -> Dataset:
    """Return the digits with a fold held out, the same for every seed."""
    from fp8num.nn.data import digits

    del seed
    return digits(fold, folds)


def recipe_of(name: str, accumulator: str | None) -> Recipe:
    """Return the recipe of a name, with the accumulator of a name."""
    from dataclasses import replace

    from fp8num.nn.gemm import CORRECTLY_ROUNDED, find_accumulator
    from fp8num.nn.recipes import get_recipe

    recipe = get_recipe(name)
    if accumulator is None:
        return recipe
    found = find_accumulator(accumulator)
    unit = CORRECTLY_ROUNDED if found is None else found.name
    return replace(recipe, name=f"{recipe.name}, {unit}", accumulators=(unit,) * 3)


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `train` and `compare` both take."""
    from fp8num.nn.settings import OPTIMIZERS, SCHEDULES

    _check_name("optimizer", arguments.optimizer, OPTIMIZERS)
    _check_name("schedule", arguments.schedule, SCHEDULES)
    names = ("sizes", "epochs", "batch", "lr", "optimizer", "schedule", "clip", "stats_every")
    settings = {name: getattr(arguments, name) for name in names}
    found = _scaler(arguments.loss_scale, saturation_is_overflow=arguments.saturation_is_overflow)
    return settings | {"loss_scaler": found}


def _check_name(option: str, name: str, known: tuple[str, ...]) -> None:
    """Refuse what is no name, without the advice to give a function."""
    if name.strip().lower() not in known:
        advice = hint(name, known, f"leave --{option} out for the default")
        msg = f"--{option} must be one of {', '.join(known)}, got {name!r:.80}; {advice}"
        raise ValueError(msg)


def _scaler(text: str, *, saturation_is_overflow: bool) -> LossScaler | None:
    """Return the loss scaler that options name."""
    from fp8num.nn.loss_scaling import LossScaler

    if text == "off":
        return None
    if text == "dynamic":
        return LossScaler(saturation_is_overflow=saturation_is_overflow)
    try:
        scale = float(text)
    except ValueError:
        msg = f"--loss-scale must be off, dynamic or a number, got {text!r}"
        raise ValueError(msg) from None
    return LossScaler(scale, dynamic=False, saturation_is_overflow=saturation_is_overflow)
