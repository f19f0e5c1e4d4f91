"""
The scaling rules against what the libraries themselves gave, bit for bit.

::

    tests/data/recipes/torchao...npz   codes and scales of every operand of 20 linear layers
                       flax...npz      scale and history, call by call
                       microxcaling    values, quantised and dequantised
                       checkpoints     codes and scales of compressed-tensors and ModelOpt
                       te_nvfp4        codes and scales of TransformerEngine's reference
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num import scaling

FOLDER = Path(__file__).parent.parent / "data" / "recipes"
SHORT = {"e4m3": "E4M3FN", "e5m2": "E5M2"}

_ROWWISE = scaling.get_rule("torchao-rowwise")
#: `Float8LinearConfig` has a field for it: round_scales_to_power_of_2=False.
ROWWISE_FP32 = replace(
    _ROWWISE, name="rowwise, float32 scales", scale=replace(_ROWWISE.scale, power_of_two=False)
)


@cache
def recording(name: str) -> dict[str, npt.NDArray[Any]]:
    """Return a recording's arrays."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def assert_same_bits(ours: Any, theirs: Any, what: str = "") -> None:
    """Compare float32 arrays by their bits, the sign of zero included; one NaN is as another."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.dtype == theirs.dtype == np.float32, what
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, not {theirs.shape}"
    nan = np.isnan(theirs)
    np.testing.assert_array_equal(np.isnan(ours), nan, err_msg=f"{what}: where NaN is")
    bits, expected = ours[~nan].view(np.uint32), theirs[~nan].view(np.uint32)
    wrong = np.flatnonzero(bits != expected)
    assert not wrong.size, (
        f"{what}: {wrong.size} of {bits.size} differ, first {float(ours[~nan][wrong[0]]).hex()}, "
        f"not {float(theirs[~nan][wrong[0]]).hex()}"
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([1.0, 2.0], [1.0, np.nextafter(np.float32(2), np.float32(3))]),
        ([0.0], [-0.0]),
        ([np.nan], [1.0]),
        ([1.0], [np.nan]),
        ([[1.0]], [1.0]),
    ],
)
def test_the_comparison_can_fail(ours: Any, theirs: Any) -> None:
    with pytest.raises(AssertionError):
        assert_same_bits(np.array(ours, np.float32), np.array(theirs, np.float32))


# torchao


@dataclass(frozen=True)
class Cast:
    """One operand of one product: what was cast, to which format and along which axis."""

    key: str
    case: str
    role: str
    fmt: str
    axis: int | None  #: None: one scale for the tensor

    @property
    def rule(self) -> Any:
        """The rule that the layer's configuration amounts to for this operand."""
        power_of_two = self.case.startswith("rowwise") or self.case == "tensorwise_pow2"
        if self.axis is None:
            return "torchao-tensorwise-pow2" if power_of_two else "torchao-tensorwise"
        return ROWWISE_FP32 if self.case == "rowwise_nopow2" else "torchao-rowwise"

    @property
    def source(self) -> npt.NDArray[Any]:
        """The tensor that was cast, as torchao held it."""
        data = recording("torchao_float8_emulate")
        name = {"input": "x", "weight": "w", "grad_output": "dy"}[self.role]
        x = data[f"{self.case}/{name}"]
        x = x.T if self.role == "weight" else x
        return x.astype(ml_dtypes.bfloat16) if self.case.endswith("_bf16") else x

    def quantize(self) -> Any:
        """Quantise the source as this operand."""
        axis = -1 if self.axis is None else self.axis
        return fp.scale_quantize(self.source, self.rule, fmt=self.fmt, axis=axis)


def casts() -> list[Cast]:
    """Return every cast of the recording."""
    pattern = re.compile(r"(\w+)/cast\d_(\w+)_(e4m3|e5m2)_ax(None|-?\d)/bits")
    found = filter(None, map(pattern.fullmatch, recording("torchao_float8_emulate")))
    return [
        Cast(
            match[0].removesuffix("/bits"),
            match[1],
            match[2],
            SHORT[match[3]],
            None if match[4] == "None" else int(match[4]),
        )
        for match in found
    ]


CASTS = casts()
CASES = sorted({cast.case for cast in CASTS})


def test_every_operand_of_every_case_is_compared() -> None:
    """Fifteen cases of six casts; where dW is in high precision, five of four."""
    data = recording("torchao_float8_emulate")

    assert len(CASES) == 20
    assert len(CASTS) == sum(key.endswith("/bits") for key in data) == 15 * 6 + 5 * 4
    assert sum(data[f"{cast.key}/bits"].size for cast in CASTS) == 150_720
    assert sum(data[f"{cast.key}/scale"].size for cast in CASTS) == 2_061


def test_torchao_codes_and_scales(each: Any) -> None:
    """Forward and backward; the bfloat16 cases from bfloat16."""

    def check(cast: Cast) -> None:
        data = recording("torchao_float8_emulate")

        scaled = cast.quantize()

        np.testing.assert_array_equal(scaled.codes, data[f"{cast.key}/bits"])
        assert_same_bits(scaled.stored_scales, data[f"{cast.key}/scale"], cast.key)

    each(CASTS, check)


def test_torchao_products_of_dequantised_operands(each: Any) -> None:
    """Which divide: decoded / scale in float32, as `mm(a._data.float() / a._scale, ...)`."""

    def check(case: str) -> None:
        data = recording("torchao_float8_emulate")
        operands = {
            int(cast.key.split("/cast")[1][0]): cast.quantize().dequantize().astype(np.float64)
            for cast in CASTS
            if cast.case == case
        }
        dy, x = (data[f"{case}/{name}"].astype(np.float64) for name in ("dy", "x"))

        found = {
            "y64": operands[0] @ operands[1] + data[f"{case}/b"].astype(np.float64),
            "dx64": operands[2] @ operands[3].T,
            "dw64": operands[4].T @ operands[5] if 4 in operands else dy.T @ x,
        }

        for name, ours in found.items():
            theirs = data[f"{case}/{name}"]
            # Sums of at most 48 products in any order: 48 * 2^-53 of the sum of magnitudes.
            bound = 48 * 2.0**-53 * 48 * np.abs(theirs).max(initial=1.0)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound, err_msg=name)

    each(CASES, check)


def test_torchao_scales_of_rows_of_every_amax() -> None:
    """0, inf, NaN, subnormals, and powers of two with their neighbours, a row each."""
    data = recording("torchao_float8_emulate")
    amax = data["amax_sweep"][:, None]
    assert amax.shape == (555, 1)

    for short, fmt in SHORT.items():
        for rule, key in (("torchao-rowwise", "pow21"), (ROWWISE_FP32, "pow20")):
            scaled = fp.scale_quantize(amax, rule, fmt=fmt)
            theirs = data[f"scale_sweep_{short}_{key}"][:, None]
            assert_same_bits(scaled.stored_scales, theirs, f"{rule} {fmt}")


def test_torchao_scales_of_tensors_of_every_amax() -> None:
    """The same, each a tensor."""
    data = recording("torchao_float8_emulate")
    for short, fmt in SHORT.items():
        for rule, key in (("torchao-tensorwise", "pow20"), ("torchao-tensorwise-pow2", "pow21")):
            scales = [
                fp.scale_quantize(amax[None], rule, fmt=fmt).stored_scales
                for amax in data["amax_sweep"]
            ]
            theirs = data[f"scale_sweep_{short}_{key}"]
            assert_same_bits(np.array(scales, np.float32), theirs, f"{rule} {fmt}")


def test_torchao_rounds_77_of_81_scales_up() -> None:
    """
    Its "down" to a power of two is exp2(floor(log2(s))), log2 in float32.

    log2 of the float below 2^k is k, but for k from -1 to 2: the scale comes out twice as
    large, and the largest values saturate.  `torchao-rowwise-exact` masks the mantissa.
    """
    data = recording("torchao_float8_emulate")
    exponents = np.arange(-40, 41)
    # 448 / amax rounds to the float below 2^k if amax is the float above 448 * 2^-k.
    amax = np.nextafter(np.ldexp(np.float32(448), -exponents), np.float32(np.inf))[:, None]
    np.testing.assert_array_equal(
        (448 / amax.astype(np.float64)).astype(np.float32).ravel(), data["pow2_in"]
    )

    quirk = fp.scale_quantize(amax, "torchao-rowwise", fmt="E4M3FN").stored_scales
    exact = fp.scale_quantize(amax, "torchao-rowwise-exact", fmt="E4M3FN").stored_scales

    assert_same_bits(quirk.ravel(), data["pow2_torchao_log2floor"])
    assert_same_bits(exact.ravel(), data["pow2_bitmask"])
    assert np.count_nonzero(quirk != exact) == 77


# flax


TRACES = {
    "e4m3_hist4": "E4M3FN",
    "e5m2_hist4": "E5M2",
    "e4m3_hist1": "E4M3FN",
    "zeros": "E4M3FN",
    "inf": "E4M3FN",
    "nan": "E4M3FN",
    "tiny": "E4M3FN",
    "subnormal": "E4M3FN",
}


def flax_state(fmt: str, length: int) -> Any:
    """Return the state that flax starts with: scale 1, a history of zeros."""
    return scaling.start("flax", fmt, length=length)


@pytest.mark.parametrize("case", TRACES)
def test_flax_scales_histories_and_values(case: str) -> None:
    """
    Call by call.

    XLA on a CPU takes subnormal numbers for zero; a scale of 1e-37 / 448 is one, so from
    the fifth call on "tiny" divides by zero, as the library does.
    """
    data = {
        key.removeprefix(f"{case}/"): array
        for key, array in recording("flax_fp8").items()
        if key.startswith(f"{case}/")
    }
    state = flax_state(TRACES[case], data["hist_after"].shape[1])

    for step, x in enumerate(data["x"]):
        scaled, state = state.quantize(x)

        what = f"call {step} of {case}"
        assert_same_bits(scaled.stored_scales, data["scale_used"][step], what)
        assert_same_bits(state.history, data["hist_after"][step], what)
        assert_same_bits(scaled.dequantize(), data["qdq"][step], what)
    assert step + 1 == len(data["x"]) == len(data["qdq"])


@pytest.mark.parametrize(
    ("x", "fmt", "result", "after"),
    [("in_qdq/x", "E4M3FN", "in_qdq/y", "in_qdq"), ("in_qdq/g", "E5M2", "out_qdq/gx", "out_qdq")],
    ids=["in_qdq forward", "out_qdq backward"],
)
def test_flax_qdq(x: str, fmt: str, result: str, after: str) -> None:
    """The scale is found from the history before the call; 0.01, the old one, plays no part."""
    data = recording("flax_fp8")
    state = flax_state(fmt, 4)
    scale = np.float32(data["in_qdq/scale"][0])
    state = replace(state, scale=scale, history=data["in_qdq/hist"])

    scaled, state = state.quantize(data[x])

    assert_same_bits(scaled.dequantize(), data[result])
    assert_same_bits(state.scale, data[f"{after}/new_scale"][0])
    assert_same_bits(state.history, data[f"{after}/new_hist"])


def test_flax_quantises_nothing_in_the_other_direction() -> None:
    """So that the rule has nothing to do there: in_qdq backward gives the cotangent itself."""
    data = recording("flax_fp8")
    assert_same_bits(data["in_qdq/gx"], data["in_qdq/g"])


@pytest.mark.parametrize("layer", ["dense_direct", "dense_qdq"])
def test_flax_dense_layers_over_six_steps(layer: str) -> None:
    """Scales and histories of the input, the kernel and the cotangent; then the product."""
    data = recording("flax_fp8")
    states = {
        "input": flax_state("E4M3FN", 3),
        "kernel": flax_state("E4M3FN", 3),
        "output_grad": flax_state("E5M2", 3),
    }
    steps = [key.split("/")[1] for key in data if re.fullmatch(rf"{layer}/step\d/x", key)]
    assert steps == [f"step{i}" for i in range(6)]

    for step in steps:
        here = {key.split("/")[-1]: data[key] for key in data if key.startswith(f"{layer}/{step}/")}
        # The cotangent was not recorded; its largest magnitude is the newest of the history.
        tensors = {
            "input": here["x"],
            "kernel": here["kernel"],
            "output_grad": here["output_grad_amax_history"][:1],
        }
        scaled = {}
        for name, x in tensors.items():
            scaled[name], states[name] = states[name].quantize(x)
            assert_same_bits(states[name].scale, here[f"{name}_scale"][0], f"{step} {name}")
            assert_same_bits(states[name].history, here[f"{name}_amax_history"], f"{step} {name}")

        y = scaled["input"].dequantize(np.float64) @ scaled["kernel"].dequantize(np.float64)
        # Twelve products in float32, and their operands in one layer: 16 * 2^-24.
        bound = 16 * 2.0**-24 * 12 * np.abs(here["x"]).max() * np.abs(here["kernel"]).max()
        np.testing.assert_allclose(here["y"], y, rtol=0, atol=bound, err_msg=step)


# microxcaling


ELEMENTS = {
    "fp8_e4m3": "E4M3FN",
    "fp8_e5m2": "E5M2",
    "fp6_e3m2": "E3M2FN",
    "fp6_e2m3": "E2M3FN",
    "fp4_e2m1": "E2M1FN",
    "int8": "MXINT8",
}
ROUNDINGS = {
    "nearest": "microxcaling",
    "even": "microxcaling-even",
    "floor": "microxcaling-floor",
}


def test_every_microxcaling_cast_is_compared() -> None:
    keys = {key for key in recording("microxcaling") if key.startswith("q/")}
    assert keys == {
        f"q/{element}/{rounding}/ax{axis}"
        for element in ELEMENTS
        for rounding in ROUNDINGS
        for axis in (-1, 0)
    }
    assert len(keys) == 6 * 3 * 2


def test_microxcaling_values(each: Any) -> None:
    """
    Zero, subnormal, huge, infinite and NaN blocks, and neighbours of 2^k, among others.

    Its quirks are in the data: the largest magnitude 512 - ulp is put into the binade of
    512; a tie goes away from zero by default; -0 becomes 0; a block with an infinity or a
    NaN is all NaN.
    """

    def check(axis: int, rounding: str, element: str) -> None:
        data = recording("microxcaling")
        x = data["x" if axis == -1 else "x_ax0"]

        scaled = fp.scale_quantize(x, ROUNDINGS[rounding], fmt=ELEMENTS[element], axis=axis)

        theirs = data[f"q/{element}/{rounding}/ax{axis}"]
        if element == "int8":
            theirs = theirs + np.float32(0)
        assert_same_bits(scaled.dequantize(), theirs)

    each(product([-1, 0], ROUNDINGS, ELEMENTS), check)


def test_microxcaling_of_the_largest_float32() -> None:
    """Its log2 is 128 in float32, so that INT8 needs 2^128, which E8M0 lacks: NaN."""
    x = np.full((1, 32), np.finfo(np.float32).max)

    for rule in ROUNDINGS.values():
        scaled = fp.scale_quantize(x, rule, fmt="MXINT8")
        assert scaled.scale_codes.tolist() == [[255]]
        assert np.isnan(scaled.dequantize()).all()
    assert fp.scale_quantize(x, "microxcaling", fmt="E4M3FN").scale_codes.tolist() == [[247]]


def test_microxcaling_exponents() -> None:
    """floor(log2(amax)) in float32, less the format's largest exponent; 0 counts as 2^-126."""
    data = recording("microxcaling")
    theirs = data["shared_exp_log2floor"] - 8
    codes = np.where(theirs > 127, np.nan, np.maximum(theirs, -127)) + 127

    scaled = fp.scale_quantize(data["x"], "microxcaling", fmt="E4M3FN")

    expected = np.where(np.isnan(codes), 255, codes).astype(np.uint8)
    np.testing.assert_array_equal(scaled.scale_codes, expected)


@pytest.mark.parametrize("configuration", ["mxfp8_e4m3_all", "mxfp8_e4m3_even", "mxfp8_hybrid"])
def test_microxcaling_linear_layers(configuration: str) -> None:
    """
    The operands of the three products, each quantised along the axis it contracts.

    The fourth configuration rounds to bfloat16 between them, which no rule of scaling does.
    """
    data = recording("microxcaling")
    part = f"linear/{configuration}"
    specs = ast.literal_eval(str(data[f"{part}/specs"]))
    x, w, b, dy = (data[f"{part}/{name}"] for name in ("x", "w", "b", "dy"))

    def mx(tensor: Any, axis: int, element: str, rounding: str) -> Any:
        """Return a tensor as it enters a product."""
        rule, fmt = ROUNDINGS[specs[rounding]], ELEMENTS[specs[element]]
        scaled = fp.scale_quantize(tensor, rule, fmt=fmt, axis=axis)
        return scaled.dequantize().astype(np.float64)

    forward, gradient = "round_mx_output", "round_mx_grad_output_grad_input"
    weight, both = "round_mx_weight_grad_input", "round_mx_grad_output_grad_weight"
    found = {
        "y": (mx(x, -1, "a_elem_format", forward), mx(w, -1, "w_elem_format", forward).T, b),
        "dx": (
            mx(dy, -1, "a_elem_format_bp_os", gradient),
            mx(w, 0, "w_elem_format_bp", weight),
            0,
        ),
        "dw": (
            mx(dy, -2, "a_elem_format_bp_ex", both).T,
            mx(x, -2, "a_elem_format_bp", "round_mx_input_grad_weight"),
            0,
        ),
    }

    for name, (left, right, bias) in found.items():
        # Float32 sums of at most 64 products, in whatever order, and a bias: 66 roundings.
        bound = 66 * 2.0**-24 * (np.abs(left) @ np.abs(right) + np.abs(bias))
        difference = np.abs(left @ right + bias - data[f"{part}/{name}"])
        assert (difference <= bound).all(), f"{name}: {(difference / bound).max()} of the bound"


# Checkpoints


@pytest.mark.parametrize(
    ("rule", "library"),
    [("compressed-tensors-mxfp8", "compressed_tensors"), ("modelopt-mxfp4", "modelopt")],
)
def test_blocks_of_checkpoints(rule: str, library: str) -> None:
    """Every scale and code, of infinities, NaN and zeros too; one NaN is as another."""
    made = recording("checkpoints")
    codes = made[f"{library}_codes"]

    scaled = fp.scale_quantize(made["x"], rule)

    np.testing.assert_array_equal(scaled.scale_codes, made[f"{library}_scales"])
    nan = np.isnan(fp.decode(codes, scaled.format))
    np.testing.assert_array_equal(np.isnan(fp.decode(scaled.codes, scaled.format)), nan)
    np.testing.assert_array_equal(scaled.codes[~nan], codes[~nan])
    assert len(np.unique(made[f"{library}_scales"])) > 60


def test_compressed_tensors_goes_up_from_seven_quarters() -> None:
    """As recorded: 1.75 has the scale 2^-7, RCEIL's is 2^-8, for 1.75 is 448/256."""
    made = recording("checkpoints")
    amax = np.abs(made["x"]).max(axis=1)
    (at,) = np.flatnonzero(amax == 1.75)

    assert made["compressed_tensors_scales"][at] == 120
    assert fp.scale_quantize(made["x"][at], "te-mxfp8").scale_codes == 119


def test_modelopt_takes_ties_down_and_marks_zeros() -> None:
    """0.75, 1.75, 3.5 become 0.5, 1.5, 3; zeros of both signs are 0x8, a small number is not."""
    x = np.zeros(32, np.float32)
    x[:8] = 6, 0.75, 1.75, 3.5, -0.0, 1e-9, -1e-9, -5

    codes = fp.scale_quantize(x, "modelopt-mxfp4").codes

    assert codes[:9].tolist() == [7, 1, 3, 5, 8, 0, 8, 14, 8]


# TransformerEngine

NVFP4 = sorted({key.split("/")[0] for key in np.load(FOLDER / "te_nvfp4.npz").files} - {"x"})


@pytest.mark.parametrize("rule", NVFP4)
def test_transformer_engine_s_nvfp4(rule: str) -> None:
    """Codes, block scales, and the amax of the tensor or of each row."""
    made = recording("te_nvfp4")

    scaled = fp.scale_quantize(made["x"], rule)

    np.testing.assert_array_equal(scaled.codes, made[f"{rule}/codes"])
    np.testing.assert_array_equal(scaled.scale_codes, made[f"{rule}/scales"])
    assert scaled.tensor_amax is not None
    assert_same_bits(np.ravel(scaled.tensor_amax), made[f"{rule}/amax"])


def test_four_over_six_takes_either() -> None:
    """As recorded: of 256 blocks many are scaled to 4, fewer by squares; ties are to 6."""
    made = recording("te_nvfp4")
    assert len(NVFP4) == 7
    shares = {}
    for name in ("te-nvfp4-4over6", "te-nvfp4-4over6-mse"):
        tops = (made[f"{name}/codes"].reshape(64, 4, 16) & 7).max(-1)
        shares[name] = float(np.mean(tops[made[f"{name}/scales"] > 0] == 6))
    assert 0.2 < min(shares.values()) < max(shares.values()) < 0.8
    assert (made["te-nvfp4-4over6/codes"] != made["te-nvfp4-4over6-mse/codes"]).any()
