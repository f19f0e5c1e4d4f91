"""What a GPU computes: single instructions through CuPy, whole GEMMs through PyTorch."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from h200_inputs import PAIRS, Pair, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    Array = npt.NDArray[Any]

__all__ = [
    "OUTPUTS", "REFUSALS", "TILES", "Product", "check_layout", "compile_units", "device",
    "load_units", "run_unit", "scale_tensors", "scaled_mm",
]  # fmt: skip

OUTPUTS: dict[str, Any] = {"f32": np.float32, "bf16": ml_dtypes.bfloat16, "f16": np.float16}
#: What PyTorch raises where it does not take the arguments.
REFUSALS = (RuntimeError, ValueError, NotImplementedError)
#: Rows and columns of a tile of units.cu, and its threads.
TILES = {
    "wgmma_f32": (64, 32, 128),
    "wgmma_f16": (64, 32, 128),
    "mma_f32": (16, 8, 32),
    "mma_f16": (16, 8, 32),
}


# The instructions, through CuPy.


@cache
def compile_units(pair: Pair) -> bytes:
    """Compile units.cu for sm_90a: with NVRTC, or else with nvcc."""
    path = Path(__file__).resolve().parent / "units.cu"
    defines = (f"-DA_TYPE={pair[0]}", f"-DB_TYPE={pair[1]}")
    try:
        from cupy_backends.cuda.libs import nvrtc

        program = nvrtc.createProgram(path.read_text("utf-8"), path.name, (), ())
        nvrtc.compileProgram(program, ("--gpu-architecture=sm_90a", *defines))
        return bytes(nvrtc.getCUBIN(program))
    except Exception:  # noqa: BLE001 - whatever it was, the other compiler may do
        sys.stdout.write(f"  NVRTC failed, nvcc is tried: {traceback.format_exc(limit=1)}\n")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "units.cubin"
        target = "-gencode=arch=compute_90a,code=sm_90a"
        line = ["nvcc", "-cubin", target, *defines, "-o", str(out), str(path)]
        subprocess.run(line, check=True)  # noqa: S603 - our own words
        return out.read_bytes()


@cache
def load_units(pair: Pair) -> Any:  # noqa: ANN401 - a module of CuPy
    """Load the kernels for two operand types."""
    import cupy

    # CuPy reads the file when a kernel is first called, so it stays until the process ends.
    folder = tempfile.mkdtemp(prefix="units-")
    path = Path(folder) / f"{pair[0]}_{pair[1]}.cubin"
    path.write_bytes(compile_units(pair))
    return cupy.RawModule(path=str(path))


def run_unit(name: str, pair: Pair, a: Array, b: Array, c: Array) -> Array:
    """Compute D = C + A B^T for tiles of codes."""
    import cupy

    unsigned: Any = np.uint32 if c.dtype == np.float32 else np.uint16
    # As bits: nothing on the way may touch a NaN.
    arrays = [cupy.asarray(np.ascontiguousarray(x)) for x in (a, b, c.view(unsigned))]
    d = cupy.zeros_like(arrays[2])
    steps = np.int32(a.shape[-1] // 32)
    kernel = load_units(pair).get_function(name)
    kernel((a.shape[0],), (TILES[name][2],), (*arrays, d, steps))
    return np.asarray(cupy.asnumpy(d)).view(c.dtype)


def check_layout(name: str, dtype: npt.DTypeLike) -> None:
    """Raise unless small integers are multiplied exactly: each element is where it should be."""
    rows, columns, _ = TILES[name]
    rng = np.random.default_rng(0)
    small = {"e4m3": np.array([0, 0x38, 0x40, 0xB8]), "e5m2": np.array([0, 0x3C, 0x40, 0xBC])}
    for pair in PAIRS:
        a = rng.choice(small[pair[0]], (3, rows, 64)).astype(np.uint8)
        b = rng.choice(small[pair[1]], (3, columns, 64)).astype(np.uint8)
        c = rng.integers(-99, 99, (3, rows, columns)).astype(dtype)

        found = run_unit(name, pair, a, b, c)

        wanted = (c + values(pair[0], a) @ np.swapaxes(values(pair[1], b), 1, 2)).astype(dtype)
        wrong = np.argwhere(found != wanted)
        if len(wrong):
            msg = f"{name} {pair}: {len(wrong)} sums of small integers differ, first {wrong[0]}"
            raise RuntimeError(msg)


# Whole GEMMs of cuBLASLt, through PyTorch.


@dataclass(frozen=True)
class Product:
    """The arguments of a GEMM: D = scaled A B^T + bias."""

    pair: Pair
    scaling: str
    fast: bool
    output: str
    a: Array
    b: Array
    a_scale: Array
    b_scale: Array
    bias: Array | None = None


def scaled_mm(product: Product) -> Array:
    """Compute a GEMM with `torch._scaled_mm`; raise what it says if it refuses."""
    import torch

    types = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
    outputs = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    a, b = (
        torch.from_numpy(np.ascontiguousarray(codes)).cuda().view(types[fmt])
        for fmt, codes in zip(product.pair, (product.a, product.b), strict=True)
    )
    dtype = outputs[product.output]
    bias = None if product.bias is None else torch.from_numpy(product.bias).cuda().to(dtype)
    refusal: Exception | None = None
    for a_scale, b_scale in scale_tensors(product):
        try:
            found = torch._scaled_mm(  # noqa: SLF001 - the only name it has
                a, b.t(), scale_a=a_scale, scale_b=b_scale, bias=bias, out_dtype=dtype,
                use_fast_accum=product.fast,
            )  # fmt: skip
            torch.cuda.synchronize()
        except REFUSALS as error:
            refusal = error
            continue
        integer = torch.int32 if product.output == "f32" else torch.int16
        return np.asarray(found.contiguous().view(integer).cpu().numpy()).view(
            OUTPUTS[product.output]
        )
    assert refusal is not None
    raise refusal


def scale_tensors(product: Product) -> Iterator[tuple[Any, Any]]:
    """Yield scales on the GPU in the layout that PyTorch and cuBLASLt take."""
    import torch

    a, b = (torch.from_numpy(np.array(s)).cuda() for s in (product.a_scale, product.b_scale))
    if product.scaling in ("tensor", "row"):
        yield a, b
        return
    a = a.t().contiguous().t()  # the rows next to each other
    if product.scaling == "1x128":
        yield a, b.contiguous()
        return
    # PyTorch asks for columns next to each other; cuBLASLt reads them four-aligned.  The
    # storage is what cuBLASLt reads, and the strides are those that PyTorch accepts.
    blocks, columns = b.shape
    stored = torch.zeros((columns, -(-blocks // 4) * 4), dtype=b.dtype, device=b.device)
    stored[:, :blocks] = b.t()
    yield a, stored.as_strided((blocks, columns), (1, blocks))


# The machine.


def device() -> dict[str, str]:
    """Return what the GPU and its driver are called."""
    query = "name,driver_version,memory.total"
    line = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        out = subprocess.run(line, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        return {"nvidia-smi": f"failed: {error}"}
    return dict(zip(query.split(","), out.stdout.strip().split("\n")[0].split(", "), strict=False))
