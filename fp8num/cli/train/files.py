"""The files that ``fp8num train`` writes: checked before the work, told of when it diverged."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fp8num._files import locked, require_own
from fp8num._text import shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    import pandas as pd

    from fp8num.nn.comparison import Comparison
    from fp8num.nn.run import Run

__all__ = ["BESIDE", "check_files", "json_text", "write_comparison", "write_run"]

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
    return json.dumps(_without_nan(record), indent=2, allow_nan=False)


def _write_tables(path: str, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Write tables, the nameless one as the file and others beside it: all of them or none."""
    from fp8num.report.files import write_together
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


def _without_nan(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Replace what JSON has no number for by null."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
