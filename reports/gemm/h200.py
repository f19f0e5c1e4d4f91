"""
Compare `fp8num.accumulate.matmul` with a Hopper GPU: ``python reports/gemm/h200.py FOLDER``.

::

    fresh codes, accumulators, scales -> the GPU: wgmma and mma.sync (units.cu), torch._scaled_mm
                                      -> fp8num, on the processor's cores
                                      -> bits compared -> FOLDER/summary.json

It needs a GPU of compute capability 9.0, CuPy for the instructions and PyTorch for cuBLASLt.
Each section stands alone: what fails is recorded, and the others go on.  The summary is
written again after each, so that what was found survives an interruption.  The exit status
is 1 if an output differed or a section failed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sys
import time
import traceback
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The package is the one that this script lies beside.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt
from h200_gpu import (
    OUTPUTS,
    REFUSALS,
    TILES,
    Product,
    check_layout,
    device,
    run_unit,
    scaled_mm,
)
from h200_inputs import (
    ACCUMULATORS,
    FORMATS,
    KINDS,
    PAIRS,
    Pair,
    draw_accumulators,
    draw_operands,
    draw_scales,
    scale_shapes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Array = npt.NDArray[Any]
    #: Takes a run and does one section of it.
    Section = Callable[["Run"], None]
    #: Returns the input of an output.
    Describe = Callable[[tuple[int, ...]], dict[str, str]]

#: Multiply-adds that are worth a task of their own.
TASK = 3.0e7
#: Witnesses kept of one case.
WITNESSES = 5


# What is recorded.


@dataclass
class Case:
    """One kind of comparison, and what it found."""

    name: str
    outputs: int = 0
    mismatches: int = 0
    #: Of these, both are NaN with other bits.
    nan_bits: int = 0
    nans: int = 0
    infinities: int = 0
    subnormals: int = 0
    zeros: int = 0
    seconds: float = 0.0
    #: What the GPU's library did not take, and its first words on it.
    refused: int = 0
    refusal: str = ""
    witnesses: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Found:
    """What a section found."""

    name: str
    status: str = "ok"
    error: str = ""
    seconds: float = 0.0
    cases: list[Case] = field(default_factory=list)

    @property
    def outputs(self) -> int:
        """How many outputs were compared."""
        return sum(case.outputs for case in self.cases)

    @property
    def mismatches(self) -> int:
        """How many of them differ."""
        return sum(case.mismatches for case in self.cases)


@dataclass
class Run:
    """The state of a run: what computes, until when, and where cases go."""

    executor: Executor | None
    workers: int
    rng: np.random.Generator
    scale: float
    deadline: float = 0.0
    section: Found = field(default_factory=lambda: Found(""))

    def late(self) -> bool:
        """Whether the section's time is over, which its status then says."""
        if time.monotonic() < self.deadline:
            return False
        self.section.status = "ok, cut short"
        return True

    def count(self, number: float) -> int:
        """Return how many of something to try."""
        return max(1, round(number * self.scale))


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say_case(case: Case) -> None:
    """Write what a case found."""
    line = f"  {case.name}: {case.outputs:,} outputs, {case.mismatches:,} differ"
    if case.nan_bits:
        line += f" ({case.nan_bits:,} in the bits of a NaN)"
    if case.refused:
        line += f"; {case.refused} refused: {case.refusal[:120]}"
    say(f"{line}; {case.seconds:.1f} s")


# Comparing.


def bits(values: Array) -> Array:
    """Return the bit patterns of an array of floats."""
    unsigned = {2: np.uint16, 4: np.uint32}[values.dtype.itemsize]
    return np.ascontiguousarray(values).view(unsigned)


def compare(case: Case, found: Array, wanted: Array, describe: Describe) -> None:
    """Count the outputs of the GPU, and those whose bits are not fp8num's."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        msg = f"fp8num gave {wanted.dtype} {wanted.shape}, the GPU {found.dtype} {found.shape}"
        raise ValueError(msg)
    with np.errstate(invalid="ignore"):  # of signalling NaNs
        wide = found.astype(np.float32)
        nan = np.isnan(wide)
        both_nan = nan & np.isnan(wanted.astype(np.float32))
    magnitude = np.abs(wide)
    tiny = 2.0**-14 if found.dtype == np.float16 else 2.0**-126
    wrong = bits(found) != bits(wanted)
    case.outputs += found.size
    case.mismatches += int(wrong.sum())
    case.nan_bits += int((wrong & both_nan).sum())
    case.nans += int(nan.sum())
    case.infinities += int(np.isinf(wide).sum())
    case.zeros += int((magnitude == 0).sum())
    case.subnormals += int(((magnitude > 0) & (magnitude < tiny)).sum())
    for place in np.argwhere(wrong)[: WITNESSES - len(case.witnesses)]:
        at = tuple(int(i) for i in place)
        case.witnesses.append(
            {
                "place": str(at),
                "gpu": f"{bits(found)[at]:#x} ({float(wide[at])!r})",
                "fp8num": f"{bits(wanted)[at]:#x} ({float(wanted[at])!r})",
                **describe(at),
            }
        )


# fp8num, on the cores of the processor.


def task(a: Array, b: Array, options: dict[str, Any]) -> Array:
    """Compute a part of the expected outputs: in a process of its own."""
    from fp8num.accumulate import matmul

    return np.asarray(matmul(a, np.swapaxes(b, -1, -2), **options))


def parts(length: int, work: float, workers: int) -> Iterator[slice]:
    """Yield slices of an axis that are a task each."""
    pieces = max(1, min(length, 2 * workers, round(work / TASK)))
    ends = [length * i // pieces for i in range(pieces + 1)]
    for first, last in itertools.pairwise(ends):
        yield slice(first, last)


def expected(run: Run, a: Array, b: Array, options: dict[str, Any]) -> Array:
    """Compute all outputs, in parts of the first axis: of tiles, or of the rows of a."""
    work = float(np.prod(a.shape)) * b.shape[-2]
    c, a_scale = options.get("c"), options.get("a_scale")
    calls = []
    for part in parts(a.shape[0], work, run.workers):
        mine = dict(options)
        if c is not None:
            mine["c"] = c[part]
        if a_scale is not None and np.ndim(a_scale) == 2:  # one row for each of a
            mine["a_scale"] = a_scale[part]
        calls.append((a[part], b[part] if b.ndim == 3 else b, mine))
    if run.executor is None:
        return np.concatenate([task(*call) for call in calls])
    return np.concatenate(list(run.executor.map(task, *zip(*calls, strict=True))))


# Single instructions.


def unit_section(
    name: str, accumulator: str, dtype: npt.DTypeLike, tiles: dict[int, float], run: Run
) -> None:
    """Compare an instruction, for numbers of steps and of tiles, in all kinds of input."""
    check_layout(name, dtype)
    for (steps, number), pair in itertools.product(tiles.items(), PAIRS):
        if run.late():
            return
        case = Case(f"{pair[0]} {pair[1]}, K = {32 * steps}")
        run.section.cases.append(case)
        options = {
            "a_format": FORMATS[pair[0]],
            "b_format": FORMATS[pair[1]],
            "accumulator": accumulator,
            "out_dtype": dtype,
        }
        started = time.monotonic()
        for kind, start in itertools.product(KINDS, ACCUMULATORS):
            if run.late():
                break
            shapes = [(run.count(number), rows, 32 * steps) for rows in TILES[name][:2]]
            a, b = draw_operands(run.rng, pair, kind, (shapes[0], shapes[1]))
            c = draw_accumulators(run.rng, start, dtype, pair, (a, b))
            wanted = expected(run, a, b, options | {"c": c})
            describe = partial(describe_tile, a, b, c, f"{kind}, c {start}")
            compare(case, run_unit(name, pair, a, b, c), wanted, describe)
        case.seconds = time.monotonic() - started
        say_case(case)


def describe_tile(a: Array, b: Array, c: Array, kind: str, at: tuple[int, ...]) -> dict[str, str]:
    """Return the input of one output; of long ones the first codes."""
    tile, i, j = at
    return {
        "kind": kind,
        "a": a[tile, i, :512].tobytes().hex(),
        "b": b[tile, j, :512].tobytes().hex(),
        "c": f"{bits(c)[at]:#x}",
    }


# Whole GEMMs.

#: M, N, K: ragged ones, tall ones, long ones.  Of a small product with a long K cuBLASLt
#: adds parts of K in float32 (192 x 128 x 16384: six of them, in order): such shapes are
#: left out, as the number of parts is its own choice.
SHAPES = (
    (1, 16, 16), (33, 48, 48), (77, 144, 80), (130, 80, 272), (128, 128, 1024), (200, 336, 208),
    (257, 192, 2064), (256, 256, 4096), (512, 512, 16384), (512, 512, 512),
)  # fmt: skip
#: The same under scales of blocks.  With K = 128 PyTorch takes them for scales of rows.
BLOCKED = (
    (64, 128, 256), (132, 144, 384), (128, 256, 640), (256, 128, 2048), (512, 512, 16384),
    (76, 80, 208), (36, 48, 1024), (512, 512, 512), (1024, 640, 256), (4, 16, 1280),
)  # fmt: skip


def gemm_section(scaling: str, *, bias: bool, run: Run) -> None:
    """Compare `torch._scaled_mm` under scales of a kind, in all types, fast and promoted."""
    shapes = BLOCKED if scaling in ("1x128", "128x128") else SHAPES
    cases: dict[str, Case] = {}
    for number in range(run.count(2)):
        for shape, pair, fast, output in itertools.product(shapes, PAIRS, (False, True), OUTPUTS):
            if run.late():
                break
            name = f"{pair[0]} {pair[1]} {'fast' if fast else 'promoted'} {output}"
            if name not in cases:
                cases[name] = Case(name)
                run.section.cases.append(cases[name])
            started = time.monotonic()
            kind, product = draw_product(run, scaling, (*shape, bias), pair, (fast, output))
            compare_product(run, cases[name], product, kind)
            cases[name].seconds += time.monotonic() - started
        say(f"  round {number + 1}: {run.section.outputs:,} outputs")
        if run.late():
            break
    for case in cases.values():
        say_case(case)


def draw_product(
    run: Run,
    scaling: str,
    shape: tuple[int, int, int, bool],
    pair: Pair,
    output: tuple[bool, str],
) -> tuple[str, Product]:
    """Draw a GEMM, its kinds of codes and scales too."""
    m, n, k, with_bias = shape
    kind = str(run.rng.choice(KINDS))
    spread = str(run.rng.choice(["ordinary", "powers", "ordinary", "extreme"]))
    a, b = draw_operands(run.rng, pair, kind, ((m, k), (n, k)))
    a_scale, b_scale = (draw_scales(run.rng, spread, s) for s in scale_shapes(scaling, m, n, k))
    bias = None
    if with_bias:  # values of the output's type, as the call takes it
        bias = run.rng.normal(0, 50, n).astype(OUTPUTS[output[1]]).astype(np.float32)
    product = Product(pair, scaling, *output, a, b, a_scale, b_scale, bias)
    return f"{m}x{n}x{k}, {kind}, {spread} scales", product


def compare_product(run: Run, case: Case, product: Product, kind: str) -> None:
    """Compare one GEMM, or record that the library refuses it."""
    try:
        found = scaled_mm(product)
    except REFUSALS as error:
        if "CUDA error" in str(error) and "CUBLAS" not in str(error):
            raise  # the device is in trouble, and nothing after this would be true
        case.refused += 1
        case.refusal = case.refusal or f"{kind}: {' '.join(str(error).split())[:400]}"
        return
    options = {
        "a_format": FORMATS[product.pair[0]],
        "b_format": FORMATS[product.pair[1]],
        "accumulator": "hopper" if product.fast else "hopper-promoted",
        "scaling": product.scaling,
        "a_scale": product.a_scale,
        "b_scale": product.b_scale,
        "bias": product.bias,
        "out_dtype": OUTPUTS[product.output],
    }
    wanted = expected(run, product.a, product.b, options)
    compare(case, found, wanted, partial(describe_product, product, kind))


def describe_product(product: Product, kind: str, at: tuple[int, ...]) -> dict[str, str]:
    """Return the input of one output; of long ones the first codes."""
    i, j = at
    a_scale, b_scale = product.a_scale, product.b_scale
    if product.scaling != "tensor":
        column = j // 128 if product.scaling == "128x128" else j
        a_scale, b_scale = a_scale[i], b_scale[:, column]
    found = {
        "kind": kind,
        "a": product.a[i, :512].tobytes().hex(),
        "b": product.b[j, :512].tobytes().hex(),
        "a_scale": " ".join(float(s).hex() for s in np.ravel(a_scale)[:8]),
        "b_scale": " ".join(float(s).hex() for s in np.ravel(b_scale)[:8]),
    }
    if product.bias is not None:
        found["bias"] = float(product.bias[j]).hex()
    return found


# The run.

#: Each section, and its share of the time.
SECTIONS: dict[str, tuple[float, Section]] = {
    "wgmma float32": (
        5, partial(unit_section, "wgmma_f32", "hopper", np.float32,
                   {1: 24, 8: 10, 64: 2, 512: 0.5}),
    ),
    "wgmma float16": (
        3, partial(unit_section, "wgmma_f16", "hopper-f16", np.float16, {1: 12, 8: 4, 64: 1}),
    ),
    "mma.sync float32": (
        3, partial(unit_section, "mma_f32", "hopper-mma-sync", np.float32, {1: 160, 4: 60, 64: 6}),
    ),
    "mma.sync float16": (
        3, partial(unit_section, "mma_f16", "hopper-mma-sync-f16", np.float16,
                   {1: 160, 4: 60, 64: 6}),
    ),
    "scaled_mm tensor": (5, lambda run: gemm_section("tensor", bias=False, run=run)),
    "scaled_mm tensor bias": (4, lambda run: gemm_section("tensor", bias=True, run=run)),
    "scaled_mm row": (4, lambda run: gemm_section("row", bias=False, run=run)),
    "scaled_mm row bias": (2, lambda run: gemm_section("row", bias=True, run=run)),
    "scaled_mm 128x128": (4, lambda run: gemm_section("128x128", bias=False, run=run)),
    "scaled_mm 1x128": (4, lambda run: gemm_section("1x128", bias=False, run=run)),
}  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of all that took part."""
    import fp8num

    found = {"python": platform.python_version(), "fp8num": fp8num.__version__}
    for name in ("numpy", "ml_dtypes", "torch", "cupy-cuda13x", "cupy-cuda12x", "nvidia-cublas"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    try:
        import torch

        found["CUDA of torch"] = str(torch.version.cuda)
    except ImportError as error:
        found["torch"] = f"not importable: {error}"
    return found


def summary(sections: list[Found], given: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return what is written."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device(),
        "versions": versions(),
        "arguments": given,
        "seconds": round(seconds, 1),
        "outputs": sum(section.outputs for section in sections),
        "mismatches": sum(section.mismatches for section in sections),
        "failed": [section.name for section in sections if section.status == "failed"],
        "sections": [asdict(section) for section in sections],
    }


def run_section(name: str, section: Section, run: Run) -> Found:
    """Do one section; whatever it raises is recorded."""
    run.section = Found(name)
    started = time.monotonic()
    say(f"{name}:")
    try:
        section(run)
    except Exception:  # noqa: BLE001 - the others go on
        run.section.status, run.section.error = "failed", traceback.format_exc()
        say(run.section.error)
    if run.section.status == "ok" and not run.section.outputs:
        run.section.status = "nothing compared"
    run.section.seconds = round(time.monotonic() - started, 1)
    for case in run.section.cases:
        case.seconds = round(case.seconds, 2)
    say(
        f"{name}: {run.section.status}, {run.section.outputs:,} outputs, "
        f"{run.section.mismatches:,} differ, {run.section.seconds} s"
    )
    return run.section


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare fp8num with a Hopper GPU.")
    parser.add_argument("folder", type=Path, help="where summary.json goes")
    parser.add_argument("--seconds", type=float, default=420.0, help="for all sections")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of cases")
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--workers", type=int, default=min(16, os.cpu_count() or 1))
    parser.add_argument("--sections", nargs="*", metavar="WORDS", help="those with such words")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do all sections; 1 if an output differed or a section failed."""
    options = parse(arguments)
    chosen = {
        name: entry
        for name, entry in SECTIONS.items()
        if not options.sections or any(words in name for words in options.sections)
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    given = {key: value for key, value in vars(options).items() if key != "folder"}
    started = time.monotonic()
    sections: list[Found] = []
    found = summary(sections, given, 0.0)
    # Each process has a core: threads of its own would only compete with the others.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    pool = ProcessPoolExecutor(max(1, options.workers), mp_context=get_context("spawn"))
    with pool if options.workers > 1 else nullcontext() as executor:
        run = Run(executor, options.workers, np.random.default_rng(options.seed), options.scale)
        shares = sum(share for share, _ in chosen.values())
        for name, (share, section) in chosen.items():
            # What a section leaves over, the later ones have.
            left = options.seconds - (time.monotonic() - started)
            run.deadline = time.monotonic() + left * share / shares
            shares -= share
            sections.append(run_section(name, section, run))
            found = summary(sections, given, time.monotonic() - started)
            text = json.dumps(found, indent=1, ensure_ascii=False)
            (options.folder / "summary.json").write_text(f"{text}\n", "utf-8")
    failed = ", ".join(found["failed"]) or "none"
    say(f"{found['outputs']:,} outputs, {found['mismatches']:,} differ; failed: {failed}")
    return int(bool(found["mismatches"] or found["failed"] or not found["outputs"]))


if __name__ == "__main__":
    raise SystemExit(main())
