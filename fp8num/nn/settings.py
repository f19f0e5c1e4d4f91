"""
The settings of a training: checked before any work, and _described as a checkpoint keeps them.

::

    dataset, sizes, recipe, rates, optimizer ... --> what a loop does
                                            '------> JSON: all that the bits depend on
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._arguments import choice, integer, number, refuse, refuse_kind
from fp8num._text import brief
from fp8num.nn._widths import widths
from fp8num.nn.layers import MLP
from fp8num.nn.loop import LoopPlan
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.optim import SGD, Adam, AdamW, Optimizer
from fp8num.nn.recipes import Recipe, get_recipe
from fp8num.nn.schedules import constant, cosine, linear
from fp8num.nn.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fp8num.nn.dataset import Dataset
    from fp8num.nn.schedules import Schedule


__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "OptimizerMaker",
    "RecipeOfLayers",
    "check_callable",
    "describe_dataset",
    "describe_optimizer",
    "describe_plan",
    "describe_recipes",
    "describe_scaler",
    "make_model",
    "make_optimizer",
    "make_plan",
    "make_recipes",
    "make_widths",
]

OptimizerMaker: TypeAlias = "str | Callable[[Mapping[str, Tensor], float], Optimizer]"

#: The recipe of every layer, and of the first and the last one if they have their own: by the
#: names of `train`'s arguments.
RecipeOfLayers: TypeAlias = "dict[str, Recipe | None]"

#: What `optimizer` and `schedule` may be by name.
OPTIMIZERS, SCHEDULES = ("adamw", "adam", "sgd"), ("cosine", "linear", "constant")
MOST_STEPS = 10_000_000  #: of a training
HIDDEN = 128  #: width of the layer between inputs and classes, if no widths are given

_OPTIMIZERS: Mapping[str, Callable[[Mapping[str, Any], float], Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": lambda parameters, lr: SGD(parameters, lr, momentum=0.9),
}
#: Attributes that are no settings: what is trained, the rate, and what steps leave.
_NOT_SET = frozenset({"parameters", "lr", "moments", "_steps", "_arrays"})
_SCHEDULES: Mapping[str, Callable[[float, int], Any]] = {
    "cosine": cosine,
    "linear": linear,
    "constant": lambda lr, _: constant(lr),
}


def make_widths(
    sizes: Sequence[int] | npt.NDArray[Any] | None, dataset: Dataset
) -> tuple[int, ...]:
    """Return the widths of a net for some data."""
    if sizes is None:
        return dataset.features, HIDDEN, dataset.classes
    found = widths(sizes)
    for what, layer, width, wanted in (
        ("features", 0, found[0], dataset.features),
        ("classes", len(found) - 2, found[-1], dataset.classes),
    ):
        if width != wanted:
            way = "takes" if what == "features" else "gives"
            msg = (
                f"layer{layer} {way} {width}, but {dataset.name!r} has {wanted} {what}; "
                f"sizes must be {dataset.features}, ..., {dataset.classes}"
            )
            raise ValueError(msg)
    return found


def check_callable(argument: str, value: object) -> None:
    """Refuse what is neither None nor can be called."""
    if value is not None and not callable(value):
        refuse_kind(argument, "callable or None", value)


def make_recipes(
    sizes: Sequence[int], scaler: LossScaler | None, **given: str | Recipe | None
) -> tuple[RecipeOfLayers, LossScaler]:
    """Return the recipes of layers, and a loss scaler that the training may change."""
    recipes = {argument: _recipe(argument, value) for argument, value in given.items()}
    first, last = recipes.get("first_recipe"), recipes.get("last_recipe")
    if len(sizes) == 2 and first is not None and last is not None and first != last:
        msg = (
            "first_recipe and last_recipe must be the same for a net of one layer, "
            f"got {first.name!r} and {last.name!r}; name one of them"
        )
        raise ValueError(msg)
    _check_inner(recipes.get("recipe"), [one for one in (first, last) if one], len(sizes) - 1)
    if scaler is None:
        return recipes, LossScaler(enabled=False)
    if not isinstance(scaler, LossScaler):
        refuse_kind("loss_scaler", "a LossScaler or None", scaler)
    found = copy.deepcopy(scaler)
    some = [recipe for recipe in recipes.values() if recipe is not None]
    if found.saturation_is_overflow:  # in every layer: let them count
        recipes = {
            argument: None if recipe is None else replace(recipe, saturation_is_overflow=True)
            for argument, recipe in recipes.items()
        }
    elif any(recipe.saturation_is_overflow for recipe in some):
        found.saturation_is_overflow = True  # of the layers that count
    return recipes, found


def _check_inner(inner: Recipe | None, ends: Sequence[Recipe], layers: int) -> None:
    """Refuse a recipe that no layer has, as the first and the last have their own."""
    if inner is not None and len(ends) >= layers and inner not in ends:
        msg = (
            f"recipe must be that of a layer, but first_recipe and last_recipe leave none of "
            f"{layers} to {inner.name!r}; give sizes of more layers, or leave one of the two out"
        )
        raise ValueError(msg)


def make_model(sizes: Sequence[int], recipes: RecipeOfLayers, *, rng: np.random.Generator) -> MLP:
    """Return a net of widths and recipes."""
    found = recipes["recipe"]
    assert found is not None  # `make_recipes` refuses it
    return MLP(
        sizes,
        rng=rng,
        recipe=found,
        first_recipe=recipes["first_recipe"],
        last_recipe=recipes["last_recipe"],
    )


def _recipe(argument: str, value: str | Recipe | None) -> Recipe | None:
    """Return a recipe; an error names the argument, not just ``recipe``."""
    if value is None and argument != "recipe":
        return None
    try:
        return get_recipe(value)  # type: ignore[arg-type]  # None is refused there
    except (TypeError, ValueError) as error:
        msg = f"{argument.removesuffix('recipe')}{error}"
        raise type(error)(msg) from None


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
) -> LoopPlan:
    """Return what a training does."""
    if not len(dataset.x):
        msg = f"dataset must have inputs to train on, {dataset.name!r} has none"
        raise ValueError(msg)
    epochs, batch = integer("epochs", epochs, 1), integer("batch", batch, 1)
    per_epoch = -(-len(dataset.x) // batch)
    total = epochs * per_epoch
    if total > MOST_STEPS:  # each has a rate and a record, in memory
        msg = (
            f"epochs must be at most {MOST_STEPS // per_epoch} of {per_epoch} steps each, "
            f"got {brief(epochs)}; a larger batch makes fewer steps"
        )
        raise ValueError(msg)
    rate = number("lr", lr, at_least=0)
    rule = _named("schedule", schedule, _SCHEDULES)
    if isinstance(schedule, str):
        rule = rule(rate, total)
    if not callable(rule):
        refuse("schedule", "a name or take the number of a step", schedule, kind=TypeError)
    rates = tuple(number("a rate of schedule", rule(i), at_least=0) for i in range(total))
    if isinstance(capture, str | bytes) or not isinstance(capture, Iterable):
        refuse("capture", "a collection of steps", capture, "[0] is one", TypeError)
    steps = frozenset(integer("a step of capture", step, 0) for step in capture)
    if beyond := sorted(step for step in steps if step >= total):
        msg = f"a step of capture must be below the {total} steps of the training, got {beyond[0]}"
        raise ValueError(msg)
    return LoopPlan(
        dataset=dataset,
        epochs=epochs,
        batch=batch,
        rates=rates,
        clip=None if clip is None else number("clip", clip, above=0),
        stats_every=integer("stats_every", stats_every, 1),
        divergence=None if divergence is None else number("divergence", divergence, above=0),
        capture=steps,
    )


def make_optimizer(
    optimizer: OptimizerMaker, parameters: Mapping[str, Tensor], lr: float
) -> Optimizer:
    """Return an optimizer of parameters."""
    maker = _named("optimizer", optimizer, _OPTIMIZERS)
    made = maker(parameters, lr) if callable(maker) else maker
    if not isinstance(made, Optimizer):
        msg = (
            f"optimizer must be {', '.join(_OPTIMIZERS)} or make one of parameters and a "
            f"learning rate, got {type(made).__name__}"
        )
        raise TypeError(msg)
    if made.lr != float(lr):
        msg = (
            f"optimizer must have the learning rate that it is given, {float(lr):g}, got one with "
            f"{made.lr:g}, which the schedule would replace; lr and schedule set the rates"
        )
        raise ValueError(msg)
    return made


def _named(argument: str, name: object, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as known
    """Return what a name stands for, and what is none as it is; ValueError with the nearest one."""
    if not isinstance(name, str):
        return name
    if (plain := name.strip().lower()) in known:
        return known[plain]
    return choice(argument, name, known, advice="or a function")


def describe_dataset(dataset: Dataset) -> dict[str, str]:
    """Return a data set's name and a checksum of its content."""
    digest = hashlib.sha256()
    for array in (dataset.x, dataset.y, dataset.test_x, dataset.test_y):
        digest.update(json.dumps([dataset.classes, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return {"name": dataset.name, "sha256": digest.hexdigest()}


def describe_recipes(recipes: RecipeOfLayers) -> dict[str, dict[str, Any] | None]:
    """Return every recipe's parts; as text, where an accumulator is one's own."""
    return {
        argument: None if recipe is None else _parts(recipe) for argument, recipe in recipes.items()
    }


def _parts(recipe: Recipe) -> dict[str, Any]:
    try:
        return recipe.to_dict()
    except ValueError:
        return {"name": recipe.name, "parts": repr(recipe)}


def describe_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's kind and its settings, the rate apart."""
    kind = type(optimizer).__name__
    found = _described_attributes(f"optimizer {kind}", optimizer, _NOT_SET)
    return {"name": kind, **found}


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


def describe_plan(plan: LoopPlan, schedule: str | Schedule, lr: float) -> dict[str, Any]:
    """Return what a loop does, the data apart."""
    if isinstance(schedule, str):
        kind = f"{schedule.strip().lower()} from {float(lr):g}"
    else:
        kind = f"a function, {getattr(schedule, '__qualname__', type(schedule).__qualname__)}"
    digest = hashlib.sha256(np.array(plan.rates).tobytes()).hexdigest()
    return {
        "epochs": plan.epochs,
        "batch": plan.batch,
        "schedule": {"name": kind, "sha256": digest},
        "clip": plan.clip,
        "stats_every": plan.stats_every,
        "divergence": plan.divergence,
        "capture": sorted(plan.capture),
    }


def _described_attributes(what: str, thing: object, without: frozenset[str]) -> dict[str, Any]:
    """
    Return an object's attributes, but for some.

    Those whose names begin with an underscore are left out where they cannot be _described:
    they are taken for what comes and goes.
    """
    found: dict[str, Any] = {}
    for name, value in vars(thing).items():
        if name in without:
            continue
        try:
            found[name] = _described(value)
        except TypeError as error:
            if name.startswith("_"):
                continue
            msg = (
                f"{name} of {what} must be of numbers, text and arrays, which tell one training "
                f"from another, got {error}; call it _{name} if results do not depend on it"
            )
            raise TypeError(msg) from None
    return found


def _described(value: object) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a value as JSON can hold it; TypeError, with its type, if that is impossible."""
    if isinstance(value, Tensor):
        value = value.data
    if isinstance(value, np.ndarray) and value.ndim:
        return _array(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no infinity
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    if isinstance(value, tuple | list):
        return [_described(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): _described(part) for key, part in value.items()}
    # Those of NumPy 2.0 have a bare name, and only their class has a module.
    name = getattr(value, "__qualname__", getattr(value, "__name__", None))
    if callable(value) and isinstance(name, str):
        return f"{getattr(value, '__module__', type(value).__module__)}.{name}"
    raise TypeError(type(value).__name__)


def _array(array: npt.NDArray[Any]) -> dict[str, Any]:
    if array.dtype.hasobject:
        msg = f"an array of {array.dtype}"
        raise TypeError(msg)
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest}
