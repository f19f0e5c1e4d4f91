"""What ``fp8num train`` gives out: recipes, a training in words, and files, checked before it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fp8num._files import locked, require_own
from fp8num._records import counted, plain
from fp8num._text import columns, shown
from fp8num.cli.train.options import recipe_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from fp8num.nn.comparison import Comparison
    from fp8num.nn.history import CastRecord
    from fp8num.nn.recipes import Recipe
    from fp8num.nn.run import Diagnosis, Run

__all__ = [
    "check_files",
    "complaint",
    "json_text",
    "list_recipes",
    "summary",
    "write_comparison",
    "write_run",
]

BESIDE = ("curves", "tensors")  #: tables that lie beside the one of ``--csv``


def check_files(arguments: argparse.Namespace) -> None:
    """Refuse files that could not be written in the end, or be used then."""
    options = ("csv", "capture", "checkpoint")
    named = {name: path for name in options if (path := getattr(arguments, name)) is not None}
    places: dict[Path, str] = {}
    for option, text in named.items():
        path = Path(text)
        if not path.parent.is_dir():
            msg = f"--{option} {shown(text)} must lie in a folder that exists; make it first"
            raise ValueError(msg)
        if path.is_dir():
            msg = f"--{option} {shown(text)} must be a file, and is a folder; name a file in it"
            raise ValueError(msg)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            msg = f"--{option} {shown(text)} must be a file that you may write; name another one"
            raise ValueError(msg)
        beside = [f"{text}.{part}.csv" for part in BESIDE] if option == "csv" else []
        if option != "checkpoint":  # which is read, or refused, by the training
            what, known = _OWN[option]
            for one in (path, *map(Path, beside)):
                require_own(one, what, known, force=arguments.force)
        for one in (text, *beside):
            other = places.setdefault(Path(one).resolve(), option)
            if other != option:
                msg = (
                    f"--{option} {shown(text)} must not be the file of --{other}; name another one"
                )
                raise ValueError(msg)
    capture = named.get("capture", ".safetensors")
    if Path(f"x{capture}").suffix.lower() != ".safetensors":
        msg = (
            f"--capture {shown(capture)} must end in .safetensors, by which 'fp8num report' knows "
            "what it is; name it so"
        )
        raise ValueError(msg)


def _is_table(path: Path) -> bool:
    """Whether a file begins as one of the tables does."""
    with path.open("rb") as file:
        return file.read(100).startswith(_HEADS)


def _is_capture(path: Path) -> bool:
    from fp8num.inputs.parts import open_parts

    return {"recipe", "data"} <= open_parts(path).metadata.keys()


#: How the tables begin: of one training, and of several.
_HEADS = (
    *(b"step,epoch,loss,", b"step,layer,role,"),
    *(b"recipe,n,accuracy,", b"recipe,step,n,loss,", b"recipe,layer,role,format,n,"),
)
#: What the files are if they are our own, and how that is known.
_OWN = {
    "csv": ("a table that 'fp8num train' wrote", _is_table),
    "capture": ("a capture that 'fp8num train' wrote", _is_capture),
}


def write_run(arguments: argparse.Namespace, done: Run) -> list[str]:
    """Write captures and history, if they are asked for."""
    written = []
    if arguments.capture is not None:
        _write_captures(arguments.capture, done)
        written.append(arguments.capture)
    if arguments.csv is not None:
        tables = {"": done.history.to_frame(), "tensors": done.history.tensors}
        written += _write_tables(arguments.csv, tables)
    return written


def write_comparison(path: str, found: Comparison) -> None:
    """Write the three tables."""
    _write_tables(
        path, {"": found.to_frame(), "curves": found.curves("step"), "tensors": found.tensors()}
    )


def json_text(record: object) -> str:
    """Return a record as JSON, with null for what has no number there."""
    return json.dumps(plain(record), indent=2, allow_nan=False)


def _write_tables(path: str, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Write tables, the nameless one as the file and others beside it: all of them or none."""
    from fp8num.report.folder import write_together
    from fp8num.report.tables import frame_to_csv

    names = {f"{path}.{name}.csv" if name else path: table for name, table in tables.items()}
    texts = {Path(name).name: frame_to_csv(table, quoted=False) for name, table in names.items()}
    with locked(Path(path).parent):
        write_together(Path(path).parent, texts)
    return list(names)


def _write_captures(path: str, done: Run) -> None:
    """Write operands and gradients for `fp8num report`."""
    from fp8num.inputs import write_safetensors

    scales = {record.step: record.scale for record in done.history.steps}
    tensors = {
        f"step{step}.{name}": array
        for step, captured in done.captures.items()
        for name, array in captured.items()
    }
    metadata = {
        # A step at which the training stopped has no record: the scale is what it still is.
        f"step{step}.loss_scale": f"{scales.get(step, done.loss_scale):g}"
        for step in done.captures
    }
    metadata |= {"recipe": done.recipe.name, "data": str(done.settings["data"]["name"])}
    for name in ("first_recipe", "last_recipe"):
        if (own := getattr(done, name)) is not None:
            metadata[name] = own.name
    write_safetensors(path, tensors, metadata)


# A training in words.

SHOWN = 8  #: casts in the summary

#: The options that change what a diagnosis' remedies are about.
OPTIONS = {
    "lr": "--lr",
    "clip": "--clip",
    "recipe": "--recipe",
    "accumulators": "--accumulator",
    "loss_scaler": "--loss-scale",
}


def complaint(found: Diagnosis, written: Sequence[str]) -> str:
    """Return why a training stopped, with options for remedies, and what was written of it."""
    from dataclasses import replace

    remedies = tuple(
        f"{remedy} ({OPTIONS[argument]})" if argument in OPTIONS else remedy
        for remedy, argument in zip(found.remedies, found.arguments, strict=True)
    )
    lines = [f"fp8num: {replace(found, remedies=remedies)}"]
    if written:
        files = ", ".join(map(shown, written))
        lines.append(f"fp8num: wrote what there was until then to {files}")
    return "\n".join(lines)


def summary(done: Run) -> str:
    """Return what a reader wants to know first."""
    from fp8num.report.labels import count

    settings, history = done.settings, done.history
    sizes = "-".join(map(str, settings["sizes"]))
    steps = counted(len(history.steps), "step")
    results = [
        (name, count(part.count), _percent(part.accuracy), _number(part.loss))
        for name, part in (("trained on", done.train), ("held out", done.held_out))
    ]
    scaling = settings["loss scaling"]
    scaled = "no loss scaling"
    if scaling is not None:
        scaled = f"loss scale {scaling['name']}, now {done.loss_scale:g}"
    parameters = f"{count(done.parameters)} parameters"
    lines = [
        f"{settings['data']['name']}: {sizes}, {parameters}, seed {settings['seed']}",
        "",
        str(done.recipe),
        "",
        *(
            f"the {name} layer in {recipe.name}\n"
            for name, recipe in (("first", done.first_recipe), ("last", done.last_recipe))
            if recipe is not None
        ),
        columns([("", "inputs", "accuracy", "log-loss"), *results], "<>>>"),
        f"{scaled}; {history.skipped} of {steps} skipped",
    ]
    if worst := [cast for cast in history.worst() if cast.format != "float32"][:SHOWN]:
        lines += ["", "casts that lost most:", _casts(worst)]
    return "\n".join(lines)


def _casts(records: list[CastRecord]) -> str:
    """Return a table of what casts did."""
    head = ("layer", "operand", "format", "step", "amax", "scale", "to zero", "beyond", "SQNR dB")
    rows = [
        (
            record.layer,
            record.role,
            record.format,
            str(record.step),
            _number(record.amax),
            _number(record.scale_median),
            _percent(record.underflow_rate),
            _percent(record.saturation_rate),
            _number(record.sqnr_db),
        )
        for record in records
    ]
    return columns([head, *rows], "<<<>>>>>>")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{rate:.2%}"


# Recipes.


def list_recipes(arguments: argparse.Namespace) -> int:
    """Print all recipes, or the one that is named."""
    from fp8num.nn.recipes import RECIPES

    if arguments.recipe is not None:
        one = recipe_of(arguments.recipe, arguments.accumulator)
        print(json_text(one.to_dict()) if arguments.json else one)
        return 0
    if arguments.json:
        print(json_text([recipe.to_dict() for recipe in RECIPES.values()]))
        return 0
    head = ("recipe", "activations", "weights", "gradients", "where it differs")
    print(columns([head, *map(_row, RECIPES.values())], "<<<<<"))
    return 0


def _row(recipe: Recipe) -> tuple[str, ...]:
    """Return a recipe's casts: of forward and dgrad, and those of the others that differ."""
    from fp8num.formats import Format

    first = {"x": "x_forward", "w": "w_forward", "g": "g_dgrad"}
    casts = [str(recipe.operand(role)) for role in first.values()]
    others = [
        f"{role}: {recipe.operand(role)}"
        for role in ("w_dgrad", "g_wgrad", "x_wgrad")
        if recipe.operand(role) != recipe.operand(first[role[0]])
    ]
    if isinstance(recipe.output, Format):
        others.append(f"results: {recipe.output.name}")
    return recipe.name, *casts, "; ".join(others)
