"""Every recorded output of hardware is reproduced, bit for bit."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

from fp8num.accumulate import matmul
from fp8num.formats import E4M3FN, E5M2

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

FORMATS = {"e4m3": E4M3FN, "e5m2": E5M2}
OUTPUTS: dict[str, Any] = {"f32": np.float32, "bf16": ml_dtypes.bfloat16, "f16": np.float16}
KINDS = ("codes", "normal", "wide", "special")
#: What each instruction was given.
GIVEN = list(product(FORMATS, FORMATS, KINDS))


def chained(codes: Array) -> Array:
    """(tiles, steps, rows, 32) -> (tiles, rows, steps * 32): the steps one after another."""
    tiles, steps, rows, length = codes.shape
    return np.moveaxis(codes, 1, 2).reshape(tiles, rows, steps * length)


def narrowed(values: Array, output: str) -> Array:
    """Return recorded values, kept as float32, in the type that they were computed in."""
    with np.errstate(invalid="ignore"):
        narrow: Array = values.astype(OUTPUTS[output])
        np.testing.assert_array_equal(narrow.astype(np.float32), values)
    return narrow


@pytest.mark.parametrize("steps", [1, 8])
def test_wgmma(recording: Any, assert_bits: Any, each: Any, steps: int) -> None:
    """`wgmma.m64n8k32.f32`, one step and eight in a chain."""
    data = recording("wgmma")

    def replay(a: str, b: str, kind: str) -> None:
        case = {name: data[f"{a}_{b}_{kind}_{steps}_{name}"] for name in "ABCD"}

        found = matmul(
            chained(case["A"]), chained(case["B"]), FORMATS[a], FORMATS[b],
            accumulator="hopper", c=case["C"], transpose_b=True,
        )  # fmt: skip

        assert_bits(found, case["D"])

    each(GIVEN, replay)


@pytest.mark.parametrize(
    ("path", "accumulator"),
    [
        ("mma_f32", "hopper-mma-sync"),
        ("mma_f16", "hopper-mma-sync-f16"),
        ("wgmma_f16", "hopper-f16"),
    ],
)
def test_mma(recording: Any, assert_bits: Any, each: Any, path: str, accumulator: str) -> None:
    """`mma.sync`, and `wgmma` with float16 accumulators, special values included."""
    data = recording("mma")

    def replay(a: str, b: str, kind: str) -> None:
        case = {name: data[f"{path}_{a}_{b}_{kind}_{name}"] for name in "ABCD"}

        found = matmul(
            case["A"], case["B"], FORMATS[a], FORMATS[b],
            accumulator=accumulator, c=case["C"], transpose_b=True, out_dtype=case["D"].dtype,
        )  # fmt: skip

        assert_bits(found, case["D"])

    each(GIVEN, replay)


@pytest.mark.parametrize("k", [128, 512])
@pytest.mark.parametrize("b", ["e4m3", "e5m2"])
@pytest.mark.parametrize(("mode", "accumulator"), [("fast", "hopper"), ("slow", "hopper-promoted")])
def test_cublaslt_with_unit_scales(
    recording: Any, assert_bits: Any, mode: str, accumulator: str, b: str, k: int
) -> None:
    """Whole GEMMs: one chain, or promotion every 128; float32 and bfloat16."""
    data = recording("scaled_mm")
    case = {name: data[f"e4m3_{b}_{k}_{mode}_{name}"] for name in ("A", "B", "D32", "D")}
    options: dict[str, Any] = {"accumulator": accumulator, "transpose_b": True}

    for output, name in (("f32", "D32"), ("bf16", "D")):
        found = matmul(
            case["A"], case["B"], E4M3FN, FORMATS[b], out_dtype=OUTPUTS[output], **options
        )
        assert_bits(found, narrowed(case[name], output), output)


def options_of(data: Mapping[str, Array], case: str) -> dict[str, Any]:
    """Return the arguments of `matmul` for a recorded GEMM with scales."""
    scaling, _, _, mode, output = case.split("_")[:5]
    scales = {name: data[f"{case}_{side}"] for name, side in (("a_scale", "sa"), ("b_scale", "sb"))}
    return {
        "accumulator": {"fast": "hopper", "slow": "hopper-promoted"}[mode],
        "scaling": scaling.removeprefix("block"),
        "bias": data.get(f"{case}_bias"),
        "out_dtype": OUTPUTS[output],
        **scales,
    }


@pytest.mark.parametrize("a", ["e4m3", "e5m2"])
@pytest.mark.parametrize("scaling", ["tensor", "row", "block128x128", "block1x128"])
def test_cublaslt_with_scales(recording: Any, assert_bits: Any, scaling: str, a: str) -> None:
    """Scales of tensors, rows and blocks, bias, three output types, fast and promoted."""
    data = recording("scaled_gemm")
    cases = [
        key.removesuffix("_D")
        for key in data
        if key.startswith(f"{scaling}_{a}") and key.endswith("_D")
    ]
    assert bool(cases) == (a == "e4m3" or scaling == "tensor")

    for case in cases:
        k, output = case.split("_")[2], case.split("_")[4]
        found = matmul(
            data[f"A_{a}_{k}"], data[f"B_{k}"].T, FORMATS[a], E4M3FN, **options_of(data, case)
        )
        assert_bits(found, narrowed(data[f"{case}_D"], output), case)


#: What made the published results: an accumulator, and whether c went in.
PUBLISHED = {
    ("H100", "d32"): ("hopper", False),
    ("H200", "d32"): ("hopper", False),
    ("Ada", "d32"): ("ada", True),
    ("L40S", "d32"): ("ada", True),
    ("B200", "d32"): ("hopper-mma-sync", True),
    ("H100", "d16"): ("hopper-mma-sync-f16", True),
    ("H200", "d16"): ("hopper-mma-sync-f16", True),
    ("B200", "d16"): ("hopper-mma-sync-f16", True),
    ("Ada", "d16"): ("ada-f16", True),
}


@pytest.mark.parametrize("fmt", ["E4M3", "E5M2"])
@pytest.mark.parametrize(("gpu", "output"), PUBLISHED)
def test_other_units(vectors: Any, assert_bits: Any, gpu: str, output: str, fmt: str) -> None:
    """Vectors of Khattak and Mikaitis: H100, H200, Ada, L40S and B200."""
    accumulator, with_c = PUBLISHED[gpu, output]
    case = {name: vectors[f"{gpu}_{fmt}_{name}"] for name in ("a", "b", "c", output)}
    expected = case[output]

    found = matmul(
        case["a"][:, None, :], case["b"][:, :, None], *[FORMATS[fmt.lower()]] * 2,
        accumulator=accumulator, out_dtype=expected.dtype,
        c=case["c"].astype(expected.dtype)[:, None, None] if with_c else None,
    )  # fmt: skip

    assert_bits(found[:, 0, 0], expected)


def test_every_recorded_case_is_replayed(recording: Any) -> None:
    """The tests above name them all."""
    wgmma = {f"{a}_{b}_{kind}_{steps}" for a in FORMATS for b in FORMATS for kind in KINDS
             for steps in (1, 8)}  # fmt: skip
    assert {key.rpartition("_")[0] for key in recording("wgmma")} == wgmma
    mma = {f"{path}_{a}_{b}_{kind}" for path in ("mma_f32", "mma_f16", "wgmma_f16")
           for a in FORMATS for b in FORMATS for kind in KINDS}  # fmt: skip
    assert {key.rpartition("_")[0] for key in recording("mma")} == mma
    assert {key.rpartition("_")[0] for key in recording("scaled_mm")} == {
        f"e4m3_{b}_{k}_{mode}" for b in FORMATS for k in (128, 512) for mode in ("fast", "slow")
    }


def test_a_wrong_accumulator_is_noticed(recording: Any, assert_bits: Any) -> None:
    """Blackwell's 25 fraction bits do not give a Hopper recording, nor does an exact sum."""
    data = recording("wgmma")
    case = {name: data[f"e4m3_e4m3_wide_1_{name}"] for name in "ABCD"}
    for accumulator in ("blackwell", "exact", "hopper-mma-sync"):
        found = matmul(
            chained(case["A"]), chained(case["B"]), E4M3FN, E4M3FN,
            accumulator=accumulator, c=case["C"], transpose_b=True,
        )  # fmt: skip
        with pytest.raises(AssertionError, match="differ"):
            assert_bits(found, case["D"])
