"""
Calls of the public functions in states of the process; prints JSON of what they give.

``python calls.py STATES [STRIDE]`` forks a child for each state (separated by commas; ``a+b`` is
both), so that every table and cache is made in it, and prints ``{state: {call: sha256 or
error}}``.  A call is named by the function and what is special; with a stride every so-many-th
is made and the first of each function, but none that is ``slow``, unless it is refused.
``names`` makes none.  Inputs overflow, underflow, divide by zero and hold signalling NaNs.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import decimal
import hashlib
import io
import itertools
import json
import locale
import os
import random
import sys
import tempfile
import warnings
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pandas as pd

import fp8num as fp
from fp8num import analysis, cli, inputs, nn, ops, scaled, scaling, verify
from fp8num.analysis.sums import Total
from fp8num.report import TensorRecord, build_report, compare_on_digits
from fp8num.verify import reference, tables, vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Call = tuple[str, "Callable[[], object]"]

FORMATS = ("E4M3FN", "E5M2", "E8M0FNU", "E2M1FN", "HIFLOAT8", "POSIT8", "BINARY16", "BFLOAT16")
#: <fenv.h> of x86: FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO.
DIRECTIONS = {"up": 0x800, "down": 0x400, "zero": 0xC00}


def hard(dtype: Any) -> np.ndarray:
    """Return values of a type, by their bits: subnormal, huge, special, signalling, others."""
    word, fraction = {
        "float16": (np.uint16, 10),
        "bfloat16": (np.uint16, 7),
        "float32": (np.uint32, 23),
        "float64": (np.uint64, 52),
    }[np.dtype(dtype).name]
    width = 8 * np.dtype(word).itemsize
    infinity = (1 << width - 1) - (1 << fraction)
    one = (1 << width - 2) - (1 << fraction)
    bits = [0, 1, 2, 3, (1 << fraction) - 1, 1 << fraction, (1 << fraction) + 1]
    bits += [one + step for step in (-(1 << fraction), -1, 0, 1, 1 << fraction - 1)]
    bits += [infinity - 1, infinity, infinity + 1, infinity + (1 << fraction - 1)]
    bits += np.random.default_rng(5).integers(0, infinity, 48 - len(bits)).tolist()
    positive = np.array(bits, word)
    return np.concatenate([positive, positive | word(1 << width - 1)]).view(dtype)


X32, X64 = hard(np.float32), hard(np.float64)
INPUTS = {
    "float64": X64,
    "float32": X32,
    "float16": hard(np.float16),
    "bfloat16": hard(ml_dtypes.bfloat16),
    "int64": np.arange(-(1 << 62), 1 << 62, 1 << 58) + 1,
    "longdouble": np.array([1, 3, -7, 0, 2.0**-1074], np.longdouble) / 3,
}
TAME = np.random.default_rng(7).normal(size=(8, 256)).astype(np.float32)
with np.errstate(all="ignore"):
    HUGE = np.resize(X32, 2048) * np.float32(1e30)
#: A row each of numbers near 1, subnormal, about to overflow, zero, far apart, any bits.
ROWS = np.random.default_rng(6).integers(0, 1 << 32, (6, 256)).astype(np.uint32)
ROWS[:3] = np.array([[0x3F800000], [0], [0x7F000000]], np.uint32) | ROWS[:3] >> 9
ROWS[3], ROWS[4, ::2] = 0, 0x3F000000
ROWS = ROWS.view(np.float32)
WIDE = np.resize(X64, (4, 256))


def all_codes(name: str) -> np.ndarray:
    fmt = fp.get_format(name)
    return np.arange(1 << fmt.bits).astype(fmt.code_dtype)


# Calls that give the same in every state.


def codec() -> Iterator[Call]:
    for fmt, (kind, x) in itertools.product(FORMATS, INPUTS.items()):
        for rounding in ("rne", "ru", "ro"):
            options = {"rounding": rounding, "saturation": "SatNone"}
            yield (
                f"encode {fmt} {kind} {rounding}",
                lambda x=x, f=fmt, o=options: fp.encode(x, f, **o),
            )
        yield (
            f"encode {fmt} {kind} src",
            lambda x=x, f=fmt: fp.encode(x, f, rounding="src", rng=np.random.default_rng(1)),
        )
        yield f"quantize {fmt} {kind}", lambda x=x, f=fmt: fp.quantize(x, f, dtype="float32")
        yield f"flags {fmt} {kind}", lambda x=x, f=fmt: fp.flags(x, f)
    for fmt in (*FORMATS, "binary16p6ue"):
        for dtype in ("float16", "bfloat16", "float32", "float64", "longdouble"):
            yield (
                f"decode {fmt} {dtype}",
                lambda f=fmt, d=dtype: fp.decode(all_codes(f), f, dtype=d),
            )
        for to in ("E4M3FN", "E8M0FNU", "BINARY16"):
            yield f"convert {fmt} {to}", lambda f=fmt, to=to: fp.convert(all_codes(f), f, to)
    for fmt in FORMATS[:6]:
        yield f"pack {fmt}", lambda f=fmt: fp.pack(all_codes(f), f)
        yield (
            f"unpack {fmt}",
            lambda f=fmt: fp.unpack(fp.pack(all_codes(f), f), f, len(all_codes(f))),
        )
        yield f"to_frame {fmt}", lambda f=fmt: fp.get_format(f).to_frame()
        names = ("max", "min", "eps", "smallest_normal", "smallest_subnormal", "values")
        yield f"get_format {fmt}", lambda f=fmt, n=names: [getattr(fp.get_format(f), k) for k in n]
    many32, many64, codes = np.tile(X32, 1000), np.tile(X64, 1000), np.tile(all_codes("E5M2"), 400)
    yield "encode threads", lambda: fp.encode(many32, "E4M3FN", threads=3)
    yield "encode threads ru", lambda: fp.encode(many64, "BINARY16", rounding="ru", threads=3)
    yield "quantize threads", lambda: fp.quantize(many32, "E4M3FN", threads=3)
    yield "decode threads", lambda: fp.decode(codes, "E5M2", threads=3)
    yield "encode list", lambda: fp.encode([0.1, 1e308, 5e-324, -1e-320], "E4M3FN")
    yield "encode like", lambda: fp.encode(X32, "E4M3FN", like="ml_dtypes")
    for name in ("binary8p1se", "w4m3b200-fn", "w5m2b1000-ieee"):
        yield f"encode {name}", lambda name=name: fp.encode(X64, name)
        yield f"get_format {name}", lambda name=name: fp.decode(all_codes(name), name, dtype="f8")
    mine = fp.Format(name="mine", exponent_bits=4, mantissa_bits=2, bias=1000, specials="ieee")
    yield "format_from_dict", lambda: fp.format_from_dict(mine.to_dict()).to_frame()
    yield "p3109_names", lambda: list(fp.p3109_names(8))


#: Functions of two codes; fma and faa take three, the others one.
TWO = {
    "add", "copysign", "divide", "equal", "greater", "greater_equal", "kappa", "less",
    "less_equal", "maximum", "maximum_finite", "maximum_magnitude", "maximum_magnitude_number",
    "maximum_number", "minimum", "minimum_finite", "minimum_magnitude",
    "minimum_magnitude_number", "minimum_number", "multiply", "nextafter", "not_equal",
    "subtract", "total_order", "unordered",
}  # fmt: skip


def operations() -> Iterator[Call]:
    for name, fmt in itertools.product(ops.__all__, ("E5M2", "HIFLOAT8", "BFLOAT16", "E4M3FN")):
        function = getattr(ops, name)
        if isinstance(function, type):
            continue
        arity = 3 if name in {"fma", "faa"} else 1 + (name in TWO)
        codes = np.random.default_rng(8).choice(all_codes(fmt), (arity, 96))
        codes[0, :32] = np.arange(32)
        yield f"ops.{name} {fmt}", lambda f=function, c=codes, fmt=fmt: f(*c, fmt)


def verification() -> Iterator[Call]:
    """Yield verdicts; the candidate answers by the codec, which no state changes."""

    def own(x: Any) -> Any:
        return fp.encode(x, "E4M3FN")

    for source in ("float32", "float64"):
        yield (
            f"verify.check {source} slow",
            lambda s=source: verify.check(own, "E4M3FN", source=s).to_dict(),
        )
    decoder = lambda codes: fp.decode(codes, "E5M2")  # noqa: E731 - a candidate
    yield "verify.check decode", lambda: verify.check(decoder, "E5M2", direction="decode").to_dict()
    yield "verify.diff", lambda: verify.diff("ml_dtypes", "torch>=2.12", "E4M3FN").to_dict()
    yield "verify.truth", lambda: verify.truth("E4M3FN", "float64").digest(0, 1 << 16)
    yield "verify.sweep", lambda: verify.sweep(own, "E4M3FN", source="float16").to_dict()["digests"]
    pair = np.array([[1, 2], [1, 3]], np.uint8)
    yield "verify.assert_conforms", lambda: verify.assert_conforms(own, "E4M3FN", source="f16")
    yield (
        "verify.assert_codes_equal",
        lambda: verify.assert_codes_equal(*pair, "E4M3FN", x=[0.1, 0.2]),
    )
    nearest = ("NearestTiesToEven", "SatNone")
    yield "reference.expected_codes slow", lambda: reference.expected_codes(X64, fp.E5M2, *nearest)
    yield "reference.breakpoints", lambda: reference.breakpoints(fp.E2M1FN, *nearest)
    yield "reference.flags", lambda: reference.flags(Fraction(1, 3), fp.E5M2, *nearest)
    yield "reference.project", lambda: reference.project(1e-30, fp.E5M2, *nearest)
    yield "tables.c_header", lambda: tables.c_header("E2M1FN")
    yield "tables.sv_package", lambda: tables.sv_package("E2M1FN")
    yield (
        "vectors.write_pack slow",
        lambda: files(lambda to: vectors.write_pack(to, ["E2M1FN"], version="1")),
    )
    for line in ("show 0.3 e4m3fn e5m2", "formats e4m3fn", "formats", "vectors e2m1fn"):
        yield f"cli {line}", lambda line=line: printed(*line.split())


# Calls that give the same, or refuse where the processor does not round to nearest.


def scales() -> Iterator[Call]:
    for (kind, x), rule in itertools.product(
        {"wide": WIDE, "rows": ROWS, "tame": TAME}.items(), scaling.RULES
    ):
        yield f"scale_quantize {rule} {kind}", lambda r=rule, x=x: everything(quantized(x, r))
    rule = scaling.get_rule("mxfp8-e4m3fn")
    yield "scaling.quantize wide", lambda: everything(fp.scale_quantize(WIDE, rule))
    yield "scaling.scale_quantize row-mse", lambda: fp.scale_quantize(ROWS, "row-mse")
    yield "scaling.find_scales nvfp4", lambda: tuple(scaling.find_scales(WIDE, "nvfp4"))
    yield "scaling.apply_scales mxfp8", lambda: everything(scaling.apply_scales(WIDE, 0.3, rule))
    yield "scale_quantize scales", lambda: fp.scale_quantize(TAME, "block-32", scales=3.0)
    tall = np.resize(ROWS, (512, 1024))
    yield "scale_quantize threads", lambda: fp.scale_quantize(tall, "row", threads=3)
    yield (
        "scaling.corner_frame slow",
        lambda: scaling.corner_frame(["tensor", "ms-amp", "te-nvfp4", "mxfp4-e2m1fn"]),
    )
    yield "scaling.distance", lambda: scaling.distance(ROWS, ROWS[::-1])
    made = {"rows": quantized(ROWS, "deepgemm-1x128"), "tame": quantized(TAME, "nvfp4")}
    for name, array in made.items():
        for attribute in ("scales", "tensor_scale"):
            yield f"scaled.{attribute} {name}", lambda a=array, n=attribute: getattr(a, n)
        yield f"scaled.dequantize {name}", lambda a=array: a.dequantize()
        yield f"scaled.requantize {name}", lambda a=array: a.requantize(axis=0)
        yield f"scaled.block_frame {name}", lambda a=array: scaled.block_frame(a)
        yield f"scaled.picture {name}", lambda a=array: scaled.picture(a)
        yield f"scaling.move {name}", lambda a=array: scaling.move(a, "te-mxfp8")
        yield f"matmul scaled {name}", lambda a=array: fp.matmul(a, a.transpose())
    array = made["rows"]
    yield (
        "identify",
        lambda: fp.identify(array.codes, array.scales, rules=["tensor", "deepgemm-1x128"]),
    )
    yield "identify source", lambda: fp.identify(array.codes, array.scales, source=ROWS).to_dict()
    rotation = next(rule.rotation for rule in scaling.RULES.values() if rule.rotation is not None)
    yield "scaling.Rotation.apply", lambda: rotation.apply(TAME, -1)
    for name in ("te-delayed", "te-delayed-unfused", "flax", "ms-amp"):
        yield f"scaling.start {name}", lambda name=name: delayed(name)
    amax = np.abs(ROWS[:3, :4])
    context = scaling.Context(fp.E4M3FN, np.float32(1), np.float32(3e38))
    yield "scaling.Scale.find", lambda: rule.scale.find(amax, context)
    yield "scaling.Finder.find", lambda: rule.finder.find(ROWS[:2, None, :], lambda amax: amax)


def quantized(x: np.ndarray, rule: str) -> fp.ScaledArray:
    """Quantise, with a generator for rules that draw."""
    drawn = scaling.get_rule(rule).cast.projection(fp.E4M3FN).rounding.is_stochastic
    return fp.scale_quantize(x, rule, **({"rng": np.random.default_rng(3)} if drawn else {}))


def everything(x: fp.ScaledArray) -> object:
    return [x, x.scales, x.tensor_scale, x.dequantize(), x.dequantize("float64")]


def delayed(rule: str) -> object:
    """Take three steps of delayed scaling."""
    state, found = scaling.start(rule), []
    for x in (TAME, ROWS, TAME * np.float32(2)):
        array, state = state.quantize(x)
        found += [array, state.to_dict()]
    return [*found, state.update().to_dict()]


def products() -> Iterator[Call]:
    start = np.resize(X32, (4, 4))
    for fmt, unit in itertools.product(("E5M2", "BFLOAT16", "E2M1FN", "BINARY16"), fp.ACCUMULATORS):
        options: dict[str, Any] = {"accumulator": unit}
        if getattr(fp.ACCUMULATORS[unit], "is_stochastic", False):
            options["rng"] = np.random.default_rng(2)
        codes = np.random.default_rng(9).choice(all_codes(fmt), (4, 64))
        product = lambda x=codes, f=fmt, o=options, **k: fp.matmul(x, x.T, f, f, **o, **k)  # noqa: E731
        yield f"matmul {unit} {fmt}", product
        kept = np.float16 if unit.endswith("f16") else np.float32
        c = hard(kept)[:16].reshape(4, 4)
        added = {"c": c, "bias": start[0], "out_dtype": "bfloat16"}
        yield f"matmul {unit} {fmt} c", lambda p=product, k=added: p(**k)
        scale = {"a_scale": X32[:4, None], "b_scale": X32[None, 8:12], "scaling": "row"}
        yield f"matmul {unit} {fmt} scales", lambda p=product, k=scale: p(**k)
    finite = np.resize(np.array([0x7B, 1, 0x38, 0xFB], np.uint8), (256, 64))
    pair = (finite, finite.T, "E5M2", "E5M2")
    wide = (all_codes("BFLOAT16").reshape(256, 256)[:9], all_codes("BFLOAT16").reshape(256, 256))
    formats = ("BFLOAT16", "BFLOAT16")
    yield (
        "accumulate.matmul blas-float32",
        lambda: fp.matmul(*wide, *formats, accumulator="blas-float32"),
    )
    refused = {"accumulator": "ampere-hmma-f16", "c": X32[0:3, None]}
    yield "fp8num.matmul refused", lambda: fp.matmul(*pair, **refused)
    yield "matmul blas-float32", lambda: fp.matmul(*pair, accumulator="blas-float32")
    yield "matmul threads", lambda: fp.matmul(*pair, accumulator="hopper", threads=3)
    yield "matmul float16", lambda: fp.matmul(*pair, out_dtype="float16")
    yield "matmul format", lambda: fp.matmul(*pair, out_dtype="E4M3FN", out_scale=1e-30)
    yield "dot", lambda: fp.dot(finite[0], finite[1], "E5M2", "E5M2", accumulator="float32")


def analyses() -> Iterator[Call]:
    for kind, x in {**INPUTS, "rows": ROWS, "tame": TAME}.items():
        codes = np.resize(all_codes("E5M2"), x.shape)
        names = ("sqnr_db", "relative_rms_error", "cosine_distance", "max_abs", "max_rel")
        measured = lambda x=x, c=codes: analysis.ErrorMetrics.of(x, c, "E5M2")  # noqa: E731
        yield f"analyze {kind}", lambda x=x: fp.analyze(x)
        yield (
            f"analysis.ErrorMetrics {kind}",
            lambda m=measured, n=names: [getattr(m(), name) for name in n],
        )
    tensors = [inputs.tensor_from_array(n, x) for n, x in (("rows", ROWS), ("tame", TAME))]
    one = lambda: analysis.analyze_tensor(tensors[0], ["E4M3FN"])  # noqa: E731
    yield "analysis.analyze_tensor", one
    weights = np.resize(TAME.ravel(), (32, 64)) * np.float32(1 / 3)
    weights[3] *= np.float32(1e6)
    found = lambda: fp.recommend(weights)  # noqa: E731
    yield "fp8num.recommend", lambda: json.dumps(found().to_dict(), default=str)
    yield (
        "analysis.frontier",
        lambda: json.dumps(analysis.frontier({"a.weight": weights}).to_dict(), default=str),
    )
    yield (
        "analysis.find_outliers",
        lambda: analysis.find_outliers(lambda: [weights.astype(np.float64)], 64),
    )
    yield (
        "analysis.gaussian_cost slow",
        lambda: analysis.gaussian_cost(analysis.schemes_for("nvfp4")[0]),
    )
    yield "report.TensorRecord.of", lambda: TensorRecord.of(one())
    yield (
        "report.build_report slow",
        lambda: files(lambda to: build_report(tensors, to, formats=["E5M2"])),
    )
    yield (
        "report.compare_on_digits slow",
        lambda: compare_on_digits(("te-current",), seeds=2, epochs=1, workers=1).to_dict(),
    )
    yield (
        "inputs.builtin_tensors slow",
        lambda: [b for t in inputs.builtin_tensors() for b in t.blocks(1 << 20)],
    )


OPTIONS: dict[str, dict[str, object]] = {
    "reshape": {"shape": -1},
    "index": {"key": (slice(None), 1)},
    "clip": {"low": -1.0, "high": 1.0},
    "log_softmax": {"axis": 1},
    "softmax": {"axis": 0},
}
PAIRS = ("add", "divide", "matmul", "maximum", "minimum", "multiply", "power", "subtract")
PARTS = ("concatenate", "stack")


def training() -> Iterator[Call]:
    for name, dtype in itertools.product(nn.RULES, (np.float32, np.float64)):
        x = hard(dtype).reshape(8, 12)
        operands = [x, x.T.copy() if name == "matmul" else x[::-1].copy()]
        yield f"nn.{name} {np.dtype(dtype)}", lambda n=name, o=operands: derived(n, *o)
    x32 = X32.reshape(8, 12)
    yield "nn.apply", lambda: nn.apply("multiply", nn.Tensor(x32), 1e30).data
    yield "nn.cross_entropy", lambda: nn.cross_entropy(nn.Tensor(x32), np.arange(8)).data
    yield (
        "nn.mean_square_error",
        lambda: nn.mean_square_error(nn.Tensor(x32), x32[::-1].copy()).data,
    )
    yield "nn.product", lambda: nn.product(ROWS, ROWS, transpose_b=True)
    blocks = fp.scale_quantize(TAME, "te-block-1x128")
    yield "nn.product scaled", lambda: nn.product(blocks, blocks, transpose_b=True)
    for maker in (nn.SGD, nn.Adam, nn.AdamW):
        yield f"nn.{maker.__name__}.step", lambda m=maker: stepped(m)
    yield "nn.clip_norm", lambda: [nn.clip_norm({"w": p}, 1.0) for p in [leaf(TAME)]]
    yield "nn.LossScaler.scale_loss", lambda: nn.LossScaler().scale_loss(nn.sum(leaf(TAME))).data
    yield "nn.LossScaler.unscale", lambda: unscaled(leaf(TAME))
    schedules = {
        "constant": nn.constant(0.1),
        "cosine": nn.cosine(0.1, 9),
        "linear": nn.linear(1, 9),
    }
    for name, schedule in schedules.items():
        yield f"nn.{name}", lambda s=schedule: [s(step) for step in range(9)]
    yield "nn.digits", nn.digits
    yield "nn.spirals", lambda: nn.spirals(90, 30)
    yield "nn.teacher", lambda: nn.teacher(64, 32)
    yield "nn.random_labels", lambda: nn.random_labels(50, test=20)
    data = nn.spirals(90, 30)
    for recipe in ("te-current", "mxfp8", "te-delayed"):
        yield f"nn.train {recipe}", lambda r=recipe: trained(data, recipe=r, lr=0.5)
    yield "nn.train diverging", lambda: trained(data, lr=1e30)
    model = nn.train(data, sizes=(2, 8, 3), epochs=1).model
    yield "nn.evaluate", lambda: nn.evaluate(model, data.test_x, data.test_y)
    yield (
        "nn.compare slow",
        lambda: nn.compare(data, ["te-current"], seeds=2, sizes=(2, 4, 3), epochs=1).to_dict(),
    )
    yield (
        "cli train slow",
        lambda: printed("train", "--recipe", "te-current", "--epochs", "1", "--json"),
    )


def leaf(x: np.ndarray) -> nn.Tensor:
    """Return a parameter with a gradient that overflows."""
    found = nn.Tensor(x.copy(), requires_grad=True)
    found.grad = HUGE[: x.size].reshape(x.shape)
    return found


def derived(name: str, *operands: np.ndarray) -> object:
    """Return what a function gives, and the derivatives."""
    tensors = [nn.Tensor(x, requires_grad=True) for x in operands]
    function = getattr(nn, name)
    if name in PARTS:
        found = function(tensors)
    elif name == "where":
        found = function(operands[0] > 0, *tensors)
    else:
        tensors = tensors[: 1 + (name in PAIRS)]
        found = function(*tensors, **OPTIONS.get(name, {}))
    found.backward(np.ones_like(found.data))
    return [found.data, *[x.grad for x in tensors]]


def unscaled(parameter: nn.Tensor) -> object:
    scaler = nn.LossScaler()
    scaler.scale_loss(nn.sum(parameter))
    return [scaler.unscale({"w": parameter}), parameter.grad, scaler.update(), scaler.state()]


def stepped(maker: Any) -> object:
    parameter = leaf(X32)
    optimizer = maker({"w": parameter}, lr=0.1)
    optimizer.step()
    return [parameter.data, optimizer.state()]


def trained(data: nn.Dataset, **options: Any) -> object:
    run = nn.train(data, sizes=(2, 8, 3), epochs=2, **options)
    return [run.to_dict(), {name: p.data for name, p in run.model.parameters().items()}]


def control() -> Iterator[Call]:
    """Yield what does depend on the state: NumPy's own arithmetic, and texts."""
    yield "control sum", lambda: np.float32([1, -1]) + np.float32([1e-10, -1e-10])
    yield "control difference", lambda: np.float32([1]) - np.float32([1e-10])
    yield "control overflow", lambda: np.float32([1e38]) * np.float32(10)
    yield "control subnormal", lambda: X32[1:2] * np.float32(1.5)
    yield "control text", lambda: str(np.float32(0.1) * np.arange(3)) + str(decimal.Decimal(1) / 7)


#: The groups that give the same results in every state, and the others.
EXACT = {"codec": codec, "ops": operations, "verify": verification}
FLOATS = {"scaling": scales, "products": products, "analysis": analyses, "nn": training}
GROUPS = {**EXACT, **FLOATS, "control": control}


def files(write: Callable[[str], object]) -> list[tuple[str, bytes]]:
    """Return what is written to a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return [(path.name, path.read_bytes()) for path in found]


def printed(*arguments: str) -> object:
    """Return a command's exit code and what it prints."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = cli.main(arguments)
    return f"exit {code}: {errors.getvalue()}" if code else out.getvalue()


def feed(value: Any, add: Callable[[bytes], None]) -> None:
    """Hand on every bit of a result: NaNs by their payloads."""
    value = value.value if isinstance(value, Total) else value
    if isinstance(value, np.ndarray) and value.dtype == np.longdouble:  # has padding
        feed([np.signbit(value), np.isnan(value), value.astype(np.float64)], add)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        add(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, np.generic | float):
        add(np.asarray(value).tobytes())
    elif isinstance(value, pd.DataFrame):
        feed([(name, value[name].to_numpy()) for name in value], add)
    elif isinstance(value, dict):
        feed([(k, v) for k, v in value.items() if k not in {"seconds", "versions"}], add)
    elif isinstance(value, list | tuple | np.ndarray):
        for element in value:
            feed(element, add)
    elif isinstance(value, bytes):
        add(value)
    elif isinstance(value, fp.Format | scaling.Rule | Enum):
        add(str(value.name).encode())
    elif dataclasses.is_dataclass(value):
        feed([getattr(value, field.name) for field in dataclasses.fields(value)], add)
    elif value is None or isinstance(value, int | str | Fraction):
        add(format(value).encode() if isinstance(value, str) else repr(value).encode())
    else:
        message = f"cannot hash a {type(value)}"
        raise NotImplementedError(message)


def outcome(call: Callable[[], object]) -> str:
    """Return the hash of a call's result, or the error."""
    total = hashlib.sha256()
    try:
        found = call()
    except Exception as error:  # noqa: BLE001 - errors are compared too
        return f"{type(error).__name__}: {error}"
    if isinstance(found, str) and found.startswith("exit"):
        return found
    feed(found, total.update)
    return total.hexdigest()


def enter(state: str) -> None:
    """Bring the process into a state."""
    if "+" in state:
        for part in state.split("+"):
            enter(part)
    elif state in DIRECTIONS:
        assert ctypes.CDLL("libm.so.6").fesetround(DIRECTIONS[state]) == 0
    elif state == "flush":  # flush-to-zero and denormals-are-zero: bits 15 and 6 of MXCSR
        libm, environment = ctypes.CDLL("libm.so.6"), (ctypes.c_uint32 * 8)()
        libm.fegetenv(environment)
        environment[7] |= 0x8040
        libm.fesetenv(environment)
    elif state == "raise":
        np.seterr(all="raise")
    elif state == "warn":  # in threads too, whose errstate is a new one
        np.seterr(all="warn")
        warnings.simplefilter("error")
    elif state == "settings":
        decimal.setcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP))
        decimal.DefaultContext.prec = 3
        decimal.DefaultContext.rounding = decimal.ROUND_UP
        decimal.DefaultContext.traps[decimal.Inexact] = True
        np.set_printoptions(legacy="1.13", precision=2, suppress=True, threshold=3)
        pd.set_option("display.precision", 2)
        sys.set_int_max_str_digits(640)
        random.seed(99)
        np.random.seed(99)  # noqa: NPY002 - the global state is what is meant
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")


def results(state: str, stride: int) -> dict[str, str]:
    """Return what calls give in a state; whether the global generators were used, too."""
    chosen = {}
    for group, calls in GROUPS.items():
        functions: set[str] = set()
        for i, (name, call) in enumerate(calls()):
            function = name.split()[0]
            first = function not in functions or group == "control"
            slow = name.endswith("slow") and not (group in FLOATS and state in DIRECTIONS)
            if (i % stride == 0 or first) and not (slow and stride > 1):
                chosen[f"{group}: {name}"] = call
                functions.add(function)
    if state == "names":
        return dict.fromkeys(chosen, "")
    enter(state)
    before = repr((random.getstate(), np.random.get_state()))  # noqa: NPY002 - as above
    found = {name: outcome(call) for name, call in chosen.items()}
    after = repr((random.getstate(), np.random.get_state()))  # noqa: NPY002 - as above
    return found | {"generators": str(before == after)}


def main(states: str, stride: str = "1") -> None:
    """Fork a child for each state and print what they say."""
    found = {}
    for state in states.split(","):
        read, write = os.pipe()
        if not os.fork():
            with os.fdopen(write, "w") as out:
                json.dump(results(state, 1 if state == "names" else int(stride)), out)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            found[state] = json.load(pipe)
        os.wait()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
