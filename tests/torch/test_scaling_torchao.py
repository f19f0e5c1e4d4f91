"""
The torchao rules against the torchao that is installed, on the CPU, codes and scales.

::

    float8   tensorwise, by row and by column        random tensors and corners, two formats
    MX       FLOOR, CEIL, EVEN, RCEIL                five formats, blocks of 32
    blocks   1x128 and 128x128                       the training casts
    NVFP4    with the tensor's scale and without     blocks of 16

The rules `torchao-mx-*` are those of torchao's main branch since August 2026; the newest
release, 0.18.0, departs from it, and `torchao-0.18-mx-*` are what it does:

* RCEIL finds its exponent by ceil(log2) in float32, which sends 2^k (1 + 2^-23) to 2^k;
* RCEIL applies the scale code 0, which is 2^-127, as 1; the others apply it as 2^-126;
* the scale of a block with an infinity is a finite one (247 in E4M3FN, 240 in E5M2, 254 with
  RCEIL), not NaN, 255; so is that of a block whose amax EVEN rounds to 2^128;
* in a block with a NaN, whose scale is 255 there too, FLOOR, CEIL and EVEN store finite
  elements as 0, RCEIL as NaN; decoded, both are NaN.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import replace
from importlib.metadata import version
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num import scaling

pytestmark = pytest.mark.torch

#: The dtype of torch, and the format it is.
FLOAT8 = {
    "float8_e4m3fn": "E4M3FN",
    "float8_e5m2": "E5M2",
}
#: torchao's element types of MX, and the format.
MX = {
    "float8_e4m3fn": "E4M3FN",
    "float8_e5m2": "E5M2",
    "fp6_e3m2": "E3M2FN",
    "fp6_e2m3": "E2M3FN",
    "float4_e2m1fn_x2": "E2M1FN",
}
_ROWWISE = scaling.get_rule("torchao-rowwise")
#: As with round_scales_to_power_of_2=False.
ROWWISE_FP32 = replace(
    _ROWWISE, name="rowwise, float32 scales", scale=replace(_ROWWISE.scale, power_of_two=False)
)
MODES = {name: f"torchao-0.18-mx-{name}" for name in ("floor", "ceil", "even", "rceil")}


def amaxes() -> npt.NDArray[np.float32]:
    """Return magnitudes about every power of two and every 448, 57344, 240 and 6 times one."""
    exponents = np.arange(-149, 128)
    found = [
        np.ldexp(np.float64(significand), exponents)
        for significand in (1.0, 1.25, 1.5, 1.75, 1.875, 1.9375)
    ]
    exact = np.concatenate(found).astype(np.float32)
    near = [np.nextafter(exact, np.float32(towards)) for towards in (0, np.inf)]
    every = np.unique(np.concatenate([exact, *near]))
    return np.asarray(every[(every > 0) & np.isfinite(every)], np.float32)


def tensors() -> dict[str, npt.NDArray[np.float32]]:
    """Return matrices of 64 columns: random at many scales, and blocks about every corner."""
    rng = np.random.default_rng(4)
    wide = rng.standard_normal((256, 64)) * np.exp2(rng.integers(-140, 120, (256, 1)))
    amax = amaxes()[:, None]
    rows = amax * rng.uniform(-1, 1, (amax.size, 64)).astype(np.float32)
    rows[np.arange(amax.size), rng.integers(0, 64, amax.size)] = amax[:, 0]
    zeros = np.zeros((3, 64), np.float32)
    zeros[1] = -0.0
    zeros[2, 40] = 1.0
    return {
        "normal": rng.standard_normal((256, 64)).astype(np.float32),
        "gradients": (rng.standard_normal((256, 64)) * 1e-20).astype(np.float32),
        "wide": wide.astype(np.float32),
        "corners": rows,
        "zeros": zeros,
    }


TENSORS = tensors()


def specials() -> npt.NDArray[np.float32]:
    """Return rows with an infinity, with a NaN, with both, and with nothing else."""
    rows = np.tile(np.linspace(-3, 3, 64, dtype=np.float32), (6, 1))
    rows[0, 5] = np.inf
    rows[1, 5] = -np.inf
    rows[2, 40] = np.nan
    rows[3, 3:5] = np.inf, np.nan
    rows[4] = np.nan
    rows[5] = np.inf
    return rows


def top() -> npt.NDArray[np.float32]:
    """Return rows whose largest magnitudes are about 2^127 and what EVEN rounds to 2^128."""
    largest = np.ldexp(np.float32([1, 1.5, 1.75, 1.875, 1.9375]), 127)
    near = np.nextafter(np.append(largest, np.float32(np.inf)), np.float32(0))
    rows = np.zeros((48, 64), np.float32)
    rows[:5, 3], rows[5:11, 40] = largest, -near
    rows[:, 50] = np.ldexp(1.0, np.arange(-149, -149 + 48)).astype(np.float32)
    return rows


def assert_same(ours: Any, theirs: Any, what: str) -> int:
    """Compare float32 by their bits; one NaN is as another.  Return how many."""
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype == np.float32, what
    nan = np.isnan(theirs)
    np.testing.assert_array_equal(np.isnan(ours), nan, err_msg=what)
    bits = ours[~nan].view(np.uint32)
    np.testing.assert_array_equal(bits, theirs[~nan].view(np.uint32), err_msg=what)
    return int(theirs.size)


def assert_same_codes(ours: Any, theirs: Any, fmt: str, what: str) -> int:
    """Compare codes; one NaN is as another, torch's is 0x7f in E5M2.  Return how many."""
    nan = np.isnan(fp.decode(theirs, fmt))
    np.testing.assert_array_equal(np.isnan(fp.decode(ours, fmt)), nan, err_msg=what)
    np.testing.assert_array_equal(ours[~nan], theirs[~nan], err_msg=what)
    return int(theirs.size)


def test_the_comparisons_can_fail() -> None:
    one, nan = np.array([56], np.uint8), np.array([0x7F], np.uint8)
    for ours, theirs in ((one, one + 1), (nan, one), (one, nan)):
        with pytest.raises(AssertionError):
            assert_same_codes(ours, theirs, "E4M3FN", "codes")
    with pytest.raises(AssertionError):
        assert_same(np.float32([1]), np.float32([1 + 2.0**-23]), "scales")


# float8


def float8_cast(x: Any, dtype: str, axis: int | None, *, power_of_two: bool) -> Any:
    """Return the codes, the scale and the dequantised values of torchao's dynamic cast."""
    import torch
    from torchao.float8.config import ScalingGranularity
    from torchao.float8.float8_scaling_utils import hp_tensor_to_float8_dynamic
    from torchao.float8.float8_training_tensor import LinearMMConfig

    by_axis = axis is not None
    cast = hp_tensor_to_float8_dynamic(
        x,
        getattr(torch, dtype),
        LinearMMConfig(),
        scaling_granularity=ScalingGranularity.AXISWISE
        if by_axis
        else ScalingGranularity.TENSORWISE,
        axiswise_dim=axis,
        round_scales_to_power_of_2=power_of_two,
    )
    codes = cast._data.view(torch.uint8).numpy()
    return codes, cast._scale.numpy(), (cast._data.float() / cast._scale).numpy()


def compare_float8(x: Any, source: Any, dtype: str, axis: int | None, rule: Any) -> int:
    """Compare a cast of a tensor and return the number of codes and scales."""
    power_of_two = rule in ("torchao-rowwise", "torchao-tensorwise-pow2")
    codes, scale, values = float8_cast(source, dtype, axis, power_of_two=power_of_two)
    scaled = fp.scale_quantize(x, rule, fmt=FLOAT8[dtype], axis=-1 if axis is None else axis)
    what = f"{rule} {dtype} axis {axis}"
    count = assert_same(scaled.stored_scales, scale, f"{what} scales")
    count += assert_same_codes(scaled.codes, codes, FLOAT8[dtype], what)
    assert_same(scaled.dequantize(), values, f"{what} values")
    return count


@pytest.mark.parametrize(
    ("rule", "axes"),
    [
        ("torchao-tensorwise", [None]),
        ("torchao-tensorwise-pow2", [None]),
        ("torchao-rowwise", [-1, 0]),
        (ROWWISE_FP32, [-1, 0]),
    ],
)
def test_float8_casts(rule: Any, axes: list[int | None]) -> None:
    """
    Codes, scales and dequantised values, from float32 and from bfloat16.

    Reproduced with the rest: float32 log2 that rounds a power of two up, and the floor of
    1e-12 under amax, which erases "gradients".
    """
    import ml_dtypes
    import torch

    count = 0
    for dtype in FLOAT8:
        for x in [*TENSORS.values(), specials()]:
            half = x.astype(ml_dtypes.bfloat16)
            half_torch = torch.from_numpy(half.astype(np.float32)).to(torch.bfloat16)
            for axis in axes:
                count += compare_float8(x, torch.from_numpy(x), dtype, axis, rule)
                count += compare_float8(half, half_torch, dtype, axis, rule)

    elements = sum(x.size for x in TENSORS.values()) + specials().size
    rows = sum(len(x) for x in TENSORS.values()) + len(specials())
    scales = {1: 6, 2: rows + 6 * 64}[len(axes)]
    assert count == len(FLOAT8) * 2 * (elements * len(axes) + scales)
    assert elements > 350_000


# MX


def mx_cast(x: Any, element: str, mode: str) -> tuple[Any, Any, Any]:
    """Return the element codes, the scale codes, and the dequantised values of `to_mx`."""
    import torch
    from torchao.prototype.mx_formats import mx_tensor
    from torchao.prototype.mx_formats.config import ScaleCalculationMode
    from torchao.prototype.mx_formats.kernels import unpack_uint4

    kind = getattr(torch, element, element)
    source = torch.from_numpy(x.astype(np.float32))
    source = source if x.dtype == np.float32 else source.to(torch.bfloat16)
    scales, data = mx_tensor.to_mx(source, kind, 32, ScaleCalculationMode[mode.upper()])
    values = mx_tensor.to_dtype(data, scales, kind, 32, torch.float32).numpy()
    codes = unpack_uint4(data) if element.startswith("float4") else data.view(torch.uint8)
    return codes.reshape(x.shape).numpy(), scales.view(torch.uint8).numpy(), values


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("element", MX)
def test_mx_casts(element: str, mode: str) -> None:
    """
    Codes, scales and values, from float32 and from bfloat16, infinities and NaN too.

    What NaN becomes in a format that has none depends on the library's uninitialised bits.
    """
    import ml_dtypes

    fmt = MX[element]
    blocks = 0
    single = TENSORS | {"specials": specials(), "top": top()}
    halves = {f"{name} bfloat16": x.astype(ml_dtypes.bfloat16) for name, x in single.items()}
    for name, x in (single | halves).items():
        codes, scales, values = mx_cast(x, element, mode)
        scaled = fp.scale_quantize(x, MODES[mode], fmt=fmt)
        what = f"{name} {element} {mode}"
        np.testing.assert_array_equal(scaled.scale_codes, scales, err_msg=what)
        with np.errstate(all="ignore"):
            assert_same(scaled.dequantize(), values, what)
        has_nan = np.isnan(fp.get_format(fmt).values).any()
        said = np.ones(x.shape, bool) if has_nan else ~np.isnan(values)
        assert_same_codes(scaled.codes[said], codes[said], fmt, what)
        blocks += scales.size

    assert blocks == 22_768 + 2 * 2 * (6 + 48)


@pytest.mark.parametrize("element", MX)
def test_main_departs_where_it_is_said_to(element: str) -> None:
    """Elsewhere, that is in blocks that are neither tiny nor special, all rules agree."""
    fmt = MX[element]
    amax = np.abs(TENSORS["corners"]).max(axis=1)
    x = TENSORS["corners"][(amax > 2.0**-100) & (amax < 2.0**126)]
    for mode, name in MODES.items():
        main = fp.scale_quantize(x, f"torchao-mx-{mode}", fmt=fmt)
        release = fp.scale_quantize(x, name, fmt=fmt)
        assert main.scale_codes is not None
        assert release.scale_codes is not None
        higher = main.scale_codes.astype(int) - release.scale_codes
        # log2 in float32 does not see the last bits: one binade too low, never more.
        assert set(np.unique(higher)) == ({0, 1} if mode == "rceil" else {0})
        np.testing.assert_array_equal(
            main.codes[np.repeat(higher == 0, 32, axis=-1)],
            release.codes[np.repeat(higher == 0, 32, axis=-1)],
        )


# Blocks


@pytest.fixture
def blockwise(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module of the training casts; what it has beside kernels needs no Triton."""
    name = "torchao.prototype.blockwise_fp8_training.kernels"
    if name not in sys.modules and importlib.util.find_spec("triton") is None:
        for part in ("triton", "triton.language"):
            monkeypatch.setitem(sys.modules, part, MagicMock())
    return importlib.import_module(name)


@pytest.mark.parametrize("name", [*TENSORS, "specials"])
def test_blocks_of_128(name: str, blockwise: Any) -> None:
    """The training casts of activations and weights: codes, and the reciprocals that are kept."""
    import torch

    x = TENSORS[name] if name != "specials" else specials()
    x = x[: len(x) // 2 * 2].reshape(-1, 128)
    square = np.zeros((128, 256), np.float32)
    square.flat[: x.size] = x.reshape(-1)[: square.size]
    with np.errstate(all="ignore"):
        for rule, source, cast in (
            ("torchao-block-1x128", x, blockwise.torch_blockwise_scale_act_quant_lhs),
            ("torchao-block-128x128", square, blockwise.torch_blockwise_scale_weight_quant),
        ):
            codes, scales = cast(torch.from_numpy(source))
            scaled = fp.scale_quantize(source, rule)
            assert_same(scaled.stored_scales, scales.numpy(), f"{rule} {name} scales")
            codes = codes.contiguous().view(torch.uint8).numpy()
            assert_same_codes(scaled.codes, codes, "E4M3FN", f"{rule} {name}")


# NVFP4


@pytest.mark.parametrize("rule", ["torchao-nvfp4", "torchao-nvfp4-one-level"])
def test_nvfp4_casts(rule: str) -> None:
    """
    Codes, block scales and values, from float32 and bfloat16, infinities and NaN too.

    What NaN becomes in E2M1 depends on the library's uninitialised bits.
    """
    import ml_dtypes
    import torch
    from torchao.prototype.mx_formats import nvfp4_tensor
    from torchao.prototype.mx_formats.kernels import unpack_uint4

    single = TENSORS | {"specials": specials(), "top": top(), "all zero": np.zeros_like(specials())}
    halves = {f"{name} bfloat16": x.astype(ml_dtypes.bfloat16) for name, x in single.items()}
    for name, x in (single | halves).items():
        source = torch.from_numpy(x.astype(np.float32))
        source = source if x.dtype == np.float32 else source.to(torch.bfloat16)
        whole = None
        if rule == "torchao-nvfp4":
            whole = nvfp4_tensor.per_tensor_amax_to_scale(source.abs().max())
        scales, data = nvfp4_tensor.nvfp4_quantize(source, 16, whole)
        tensor = nvfp4_tensor.NVFP4Tensor.to_nvfp4(source, per_tensor_scale=whole)
        values = tensor.dequantize(torch.float32).numpy()

        scaled = fp.scale_quantize(x, rule)

        assert scaled.scale_codes is not None
        scales = scales.view(torch.uint8).numpy()
        assert_same_codes(scaled.scale_codes, scales, "E4M3FN", f"{rule} {name} scales")
        with np.errstate(all="ignore"):
            assert_same(scaled.dequantize(), values, f"{rule} {name} values")
        said = ~(np.isnan(values) | np.isnan(x.astype(np.float32)))
        np.testing.assert_array_equal(
            scaled.codes[said], unpack_uint4(data).reshape(x.shape).numpy()[said], err_msg=name
        )
        if whole is not None:
            assert_same(np.asarray(scaled.tensor_scale), whole.numpy(), f"{rule} {name} tensor")


def test_0_18_is_what_was_compared() -> None:
    """The newest release when these tests were written; another may have mended its quirks."""
    assert version("torchao").split(".")[:2] == ["0", "18"]
