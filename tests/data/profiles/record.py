"""
Write down every code that a library's conversions give, as runs.

``python record.py torch > torch-2.13.0.txt``, with torch, onnx, tinygrad, gfloat or ml_dtypes
installed (that for bfloat16 arrays too).  WORKERS in the environment is the number of processes,
one unless given.  It knows nothing of fp8num.

A line is: conversion, where it ran, source type, then FIRST_WORD:CODE of each run.  Words
are the bits of the source type, all of them, in ascending order; of ``float32*`` those whose
lower half is one of six.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
from functools import partial
from importlib.metadata import version
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Runs = list[tuple[int, int]]
SOURCES = ("float16", "bfloat16", "float32")
#: Words at a time.
STRETCH = 1 << 22
#: Lower halves of float32 words: a conversion that looks at 15 significant bits and at whether
#: there are more is told from every other by these.
LOWER = (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)


def values(words: Any, source: str) -> Any:
    """Return what words are the bits of."""
    if source == "bfloat16":
        import ml_dtypes

        return words.view(ml_dtypes.bfloat16)
    return words.view(source)


def torch_conversions() -> dict[str, dict[str, Callable[[Any, str], Any]]]:
    """Return ``tensor.to(...)`` for each type and each device that is there."""
    import torch

    def on(device: str, target: Any) -> Callable[[Any, str], Any]:
        def convert(words: Any, source: str) -> Any:
            bits = torch.from_numpy(words.view(f"i{words.itemsize}")).to(device)
            tensor = bits.view(getattr(torch, source))
            return tensor.to(target).view(torch.uint8).cpu().numpy()

        return convert

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    names = ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")
    return {
        f"to(torch.float8_{name})": {
            device: on(device, getattr(torch, f"float8_{name}")) for device in devices
        }
        for name in names
    }


def onnx_conversions() -> dict[str, dict[str, Callable[[Any, str], Any]]]:
    """Return the Cast operator of the reference evaluator, with each of its attributes."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    types = {
        "float16": TensorProto.FLOAT16,
        "bfloat16": TensorProto.BFLOAT16,
        "float32": TensorProto.FLOAT,
    }
    evaluators: dict[Any, Any] = {}

    def evaluator(target: str, source: str, attributes: dict[str, Any]) -> Any:
        key = (target, source, *attributes.items())
        if key not in evaluators:
            to = getattr(TensorProto, target)
            node = helper.make_node("Cast", ["x"], ["y"], to=to, **attributes)
            x = helper.make_tensor_value_info("x", types[source], [None])
            y = helper.make_tensor_value_info("y", to, [None])
            graph = helper.make_graph([node], "cast", [x], [y])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)])
            evaluators[key] = ReferenceEvaluator(model)
        return evaluators[key]

    def cast(target: str, **attributes: Any) -> Callable[[Any, str], Any]:
        def convert(words: Any, source: str) -> Any:
            with np.errstate(all="ignore"):
                (y,) = evaluator(target, source, attributes).run(None, {"x": values(words, source)})
            return np.asarray(y).view(np.uint8)

        return convert

    found = {}
    for saturate in (0, 1):
        for target in ("E4M3FN", "E5M2", "E4M3FNUZ", "E5M2FNUZ"):
            name = f"Cast(to=FLOAT8{target},saturate={saturate})"
            found[name] = {"cpu": cast(f"FLOAT8{target}", saturate=saturate)}
        for mode in ("up", "down", "nearest"):
            name = f"Cast(to=FLOAT8E8M0,saturate={saturate},round_mode={mode})"
            found[name] = {"cpu": cast("FLOAT8E8M0", saturate=saturate, round_mode=mode)}
    for target in ("FLOAT6E2M3", "FLOAT6E3M2", "FLOAT4E2M1"):
        found[f"Cast(to={target})"] = {"cpu": cast(target)}
    return found


def one_by_one(function: Callable[[float], int]) -> dict[str, Callable[[Any, str], Any]]:
    """Wrap a conversion of Python floats."""

    def convert(words: Any, source: str) -> Any:
        with np.errstate(all="ignore"):
            floats = values(words, source).astype(np.float64).tolist()
        return np.array([function(x) for x in floats], np.uint8)

    return {"cpu": convert}


def tinygrad_conversions() -> dict[str, dict[str, Callable[[Any, str], Any]]]:
    """Return the conversion of constants."""
    from tinygrad.dtype import dtypes, float_to_fp8

    return {
        f"float_to_fp8(dtypes.{name})": one_by_one(
            partial(float_to_fp8, dtype=getattr(dtypes, name))
        )
        for name in ("fp8e4m3", "fp8e5m2", "fp8e4m3fnuz", "fp8e5m2fnuz")
    }


def gfloat_conversions() -> dict[str, dict[str, Callable[[Any, str], Any]]]:
    """Return rounding and encoding of single floats."""
    from gfloat import encode_float, formats, round_float

    found = {}
    for name in ("e4m3", "e5m2", "e8m0"):
        for sat in (True, False):
            info = getattr(formats, f"format_info_ocp_{name}")
            found[f"encode_float(round_float({name},sat={sat}))"] = one_by_one(
                lambda x, info=info, sat=sat: encode_float(info, round_float(info, x, sat=sat))
            )
    return found


def ml_dtypes_conversions() -> dict[str, dict[str, Callable[[Any, str], Any]]]:
    """Return ``array.astype(...)`` for each type of at most 8 bits."""
    import ml_dtypes

    def to(target: str) -> dict[str, Callable[[Any, str], Any]]:
        def convert(words: Any, source: str) -> Any:
            with np.errstate(all="ignore"):
                return values(words, source).astype(getattr(ml_dtypes, target)).view(np.uint8)

        return {"cpu": convert}

    types = [name for name in dir(ml_dtypes) if name.startswith("float")]
    return {f"astype({name})": to(name) for name in types}


LIBRARIES: dict[str, tuple[Callable[[], Any], bool]] = {  # and whether every float32 is tried
    "torch": (torch_conversions, True),
    "onnx": (onnx_conversions, False),
    "tinygrad": (tinygrad_conversions, False),
    "gfloat": (gfloat_conversions, False),
    "ml_dtypes": (ml_dtypes_conversions, True),
}
_CONVERSIONS: dict[str, dict[str, Callable[[Any, str], Any]]] = {}


def runs_of(name: str, where: str, source: str, words: Any) -> Runs:
    """Return the runs of ascending words."""
    codes = _CONVERSIONS[name][where](words, source)
    at = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist()]
    return [(int(words[i]), int(codes[i])) for i in at]


def runs_of_stretch(name: str, where: str, source: str, first: int) -> Runs:
    """Return the runs of consecutive words."""
    word = np.uint32 if source == "float32" else np.uint16
    count = min(1 << (8 * np.dtype(word).itemsize), STRETCH)
    return runs_of(name, where, source, np.arange(count, dtype=word) + word(first))


def sample() -> Any:
    """Return every upper half of a float32 with lower halves at both ends and in the middle."""
    upper = np.arange(1 << 16, dtype=np.uint32)[:, np.newaxis] << np.uint32(16)
    return (upper | np.array(LOWER, np.uint32)).ravel()


def begin(library: str) -> None:
    """Set a worker process up."""
    if library == "torch":
        import torch

        torch.set_num_threads(1)
    _CONVERSIONS.update(LIBRARIES[library][0]())


def merged(stretches: list[Runs]) -> Runs:
    """Join the runs of consecutive stretches."""
    found = [run for stretch in stretches for run in stretch]
    return [found[0], *(after for before, after in pairwise(found) if after[1] != before[1])]


def show(name: str, where: str, source: str, runs: Runs) -> None:
    """Print a line."""
    text = " ".join(f"{first:x}:{code:02x}" for first, code in runs)
    sys.stdout.write(f"{name} {where} {source} {text}\n")
    sys.stdout.flush()


def main(library: str) -> None:
    """Print the lines."""
    make, is_fast = LIBRARIES[library]
    sys.stdout.write(
        f"# {library} {version(library)}, numpy {np.__version__}, Python "
        f"{platform.python_version()}, {platform.machine()}\n"
    )
    begin(library)
    workers = int(os.environ.get("WORKERS", "1"))
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, begin, (library,)) as pool:
        for name, places in make().items():
            for where, source in product(places, SOURCES):
                if source == "float32" and not is_fast:
                    show(name, where, "float32*", runs_of(name, where, source, sample()))
                    continue
                total = 1 << (32 if source == "float32" else 16)
                firsts = range(0, total, min(total, STRETCH))
                tasks = [(name, where, source, first) for first in firsts]
                show(name, where, source, merged(pool.starmap(runs_of_stretch, tasks, chunksize=1)))


if __name__ == "__main__":
    main(sys.argv[1])
