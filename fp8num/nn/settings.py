"""
The settings of a training: checked before any work, and described as a checkpoint keeps them.

::

    dataset, sizes, recipe, rates, optimizer ... --> what a loop does
                                            '------> JSON: all that the bits depend on
"""

from __future__ import annotations

import hashlib
import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fp8num.nn._numbers import number, whole
from fp8num.nn.loop import Plan
from fp8num.nn.optim import SGD, Adam, AdamW, Optimizer
from fp8num.nn.schedules import constant, cosine, linear

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from fp8num.nn.dataset import Dataset
    from fp8num.nn.loss_scaling import LossScaler
    from fp8num.nn.recipes import Recipe
    from fp8num.nn.schedules import Schedule
    from fp8num.nn.tape import Tensor

__all__ = [
    "OptimizerMaker",
    "describe_dataset",
    "describe_optimizer",
    "describe_plan",
    "describe_recipe",
    "describe_scaler",
    "make_optimizer",
    "make_plan",
    "make_widths",
]

OptimizerMaker: TypeAlias = "str | Callable[[Mapping[str, Tensor], float], Optimizer]"

HIDDEN = 128  #: width of the layer between inputs and classes, if no widths are given

_OPTIMIZERS: Mapping[str, Callable[[Mapping[str, Any], float], Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": lambda parameters, lr: SGD(parameters, lr, momentum=0.9),
}
_SCHEDULES: Mapping[str, Callable[[float, int], Any]] = {
    "cosine": cosine,
    "linear": linear,
    "constant": lambda lr, _: constant(lr),
}


def make_widths(sizes: Sequence[int] | None, dataset: Dataset) -> tuple[int, ...]:
    """
    Return the widths of a net for some data.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two, or they do not fit the data.
    """
    if sizes is None:
        return dataset.features, HIDDEN, dataset.classes
    if isinstance(sizes, str | bytes) or not hasattr(sizes, "__iter__"):
        msg = f"sizes must be a sequence of widths, got {sizes!r:.80}; (64, 128, 10) is one"
        raise TypeError(msg)
    widths = tuple(whole("a width of sizes", width, 1) for width in sizes)
    if len(widths) < 2:
        msg = f"sizes must be at least two widths, of inputs and classes, got {widths}"
        raise ValueError(msg)
    last = len(widths) - 2
    for what, layer, width, wanted in (
        ("features", 0, widths[0], dataset.features),
        ("classes", last, widths[-1], dataset.classes),
    ):
        if width != wanted:
            way = "takes" if what == "features" else "gives"
            msg = (
                f"layer{layer} {way} {width}, but {dataset.name!r} has {wanted} {what}; "
                f"sizes must be {dataset.features}, ..., {dataset.classes}"
            )
            raise ValueError(msg)
    return widths


def make_plan(
    dataset: Dataset,
    *,
    epochs: int,
    batch: int,
    lr: float,
    schedule: str | Schedule,
    clip: float | None,
    stats_every: int,
    divergence: float | None,
    capture: Collection[int],
) -> Plan:
    """
    Return what a training does.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it must be; the arguments are those of `train`.
    """
    if not len(dataset.x):
        msg = f"dataset must have inputs to train on, {dataset.name!r} has none"
        raise ValueError(msg)
    epochs, batch = whole("epochs", epochs, 1), whole("batch", batch, 1)
    total = epochs * -(-len(dataset.x) // batch)
    rate = number("lr", lr, at_least=0)
    named = isinstance(schedule, str)
    rule: Any = _named("schedule", schedule, _SCHEDULES)(rate, total) if named else schedule
    if not callable(rule):
        msg = f"schedule must be a name or take the number of a step, got {schedule!r:.80}"
        raise TypeError(msg)
    rates = tuple(number("a rate of schedule", rule(i), at_least=0) for i in range(total))
    steps = frozenset(whole("a step of capture", step, 0) for step in capture)
    if beyond := sorted(step for step in steps if step >= total):
        msg = f"a step of capture must be below the {total} steps of the training, got {beyond[0]}"
        raise ValueError(msg)
    return Plan(
        dataset=dataset,
        epochs=epochs,
        batch=batch,
        rates=rates,
        clip=None if clip is None else number("clip", clip, above=0),
        stats_every=whole("stats_every", stats_every, 1),
        divergence=None if divergence is None else number("divergence", divergence, above=0),
        capture=steps,
    )


def make_optimizer(
    optimizer: OptimizerMaker, parameters: Mapping[str, Tensor], lr: float
) -> Optimizer:
    """
    Return an optimizer of parameters.

    Raises
    ------
    TypeError, ValueError
        If there is none of that name, or the function makes something else.
    """
    named = isinstance(optimizer, str)
    maker: Any = _named("optimizer", optimizer, _OPTIMIZERS) if named else optimizer
    made = maker(parameters, lr) if callable(maker) else maker
    if not isinstance(made, Optimizer):
        msg = (
            f"optimizer must be {', '.join(_OPTIMIZERS)} or make one of parameters and a "
            f"learning rate, got {type(made).__name__}"
        )
        raise TypeError(msg)
    return made


def _named(argument: str, name: Any, known: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return what a name stands for; ValueError with the nearest one."""
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else "or a function"
    msg = f"{argument} must be one of {', '.join(known)}, got {name!r:.80}; {hint}"
    raise ValueError(msg)


def describe_dataset(dataset: Dataset) -> dict[str, str]:
    """Return a data set's name and a checksum of its content."""
    digest = hashlib.sha256()
    for array in (dataset.x, dataset.y, dataset.test_x, dataset.test_y):
        digest.update(json.dumps([dataset.classes, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return {"name": dataset.name, "sha256": digest.hexdigest()}


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's parts; as text, where an accumulator is one's own."""
    try:
        return recipe.to_dict()
    except ValueError:
        return {"name": recipe.name, "parts": repr(recipe)}


def describe_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's kind and its settings, the rate apart."""
    plain = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(optimizer).items()
        if isinstance(value, bool | int | float | str | tuple) and name not in {"lr", "moments"}
    }
    return {"name": type(optimizer).__name__, **plain}


def describe_scaler(scaler: LossScaler) -> dict[str, Any] | None:
    """Return a loss scaler's settings and its scale; None if it is not enabled."""
    if not scaler.enabled:
        return None
    kind = "dynamic" if scaler.dynamic else "static"
    return {
        "name": f"{kind} from {scaler.scale:g}",
        "saturation_is_overflow": scaler.saturation_is_overflow,
        # JSON has no infinity.
        **{key: str(value) for key, value in scaler.state().items()},
    }


def describe_plan(plan: Plan, schedule: str | Schedule, lr: float) -> dict[str, Any]:
    """Return what a loop does, the data apart."""
    kind = schedule if isinstance(schedule, str) else "a function"
    digest = hashlib.sha256(np.array(plan.rates).tobytes()).hexdigest()
    return {
        "epochs": plan.epochs,
        "batch": plan.batch,
        "schedule": {"name": f"{kind} from {float(lr):g}", "sha256": digest},
        "clip": plan.clip,
        "stats_every": plan.stats_every,
        "divergence": plan.divergence,
        "capture": sorted(plan.capture),
    }
