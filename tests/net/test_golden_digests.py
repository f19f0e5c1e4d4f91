"""
Digests of what the package gives, to be compared with those that it gave before.

::

    counter --> words, values --> calls of the public functions --> sha256 --> digests.txt

``python tests/net/test_golden_digests.py [WORD]`` makes all, or those whose names have the word,
and prints what differs; with ``--write`` it is kept, where the change is meant.  A name says what
was called; inputs are made here from a counter, by integers and exact sums, so that they depend
on no library's random numbers.  What depends on more than the package all the same has a mark
behind its digest: `blas`, how NumPy's BLAS sums; `numpy`, its exponentials, logarithms and sums.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num import analysis, cli, inputs, nn, ops, report, scaling, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Array = np.ndarray[Any, Any]
Call = tuple[str, "Callable[[], object]"]

TABLE = Path(__file__).with_name("digests.txt")
ROUNDINGS = [mode.value for mode in fp.Rounding]
SATURATIONS = [mode.value for mode in fp.Saturation]
#: As the catalogue has it, and some of other families.
FORMATS = [
    *fp.FORMATS,
    *("Binary8p3se", "Binary8p1uf", "Binary6p4sf", "Binary16p6ue", "w4m3b200-fn", "w5m2b9-ieee"),
]


# Inputs.


def words(count: int, stream: int) -> Array:
    """Return 64-bit words, SplitMix64 of a counter: integers, the same everywhere."""
    z = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(stream << 32)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def bell(shape: tuple[int, ...], stream: int = 0) -> Array:
    """Return float32 near a normal distribution: sums of four 16-bit fields, times 2**-15."""
    z = words(int(np.prod(shape)), stream).astype("<u8").view("<u2").reshape(-1, 4)
    return np.ldexp(z.astype(np.int64).sum(axis=1) - 131070, -15).astype(np.float32).reshape(shape)


def uneven(shape: tuple[int, int], stream: int = 0) -> Array:
    """Return rows whose magnitudes differ by powers of two."""
    powers = (words(shape[0], stream + 1) % np.uint64(9)).astype(np.int64) - 4
    return np.ldexp(bell(shape, stream), powers[:, None]).astype(np.float32)


def special() -> Array:
    """Return rows of zeros, subnormals, huge, infinite and not numbers, and the ends of float32."""
    x = uneven((8, 256), 9)
    x[0], x[1, ::2] = 0, -0.0
    x[2] = (words(256, 3) >> np.uint64(41)).astype(np.uint32).view(np.float32)
    x[3] = (words(256, 4) >> np.uint64(41) | np.uint64(0x7F000000)).astype(np.uint32).view("f4")
    x[4, 7], x[5, 8], x[5, 9] = np.nan, np.inf, -np.inf
    x[6] = np.float32(448)
    x[7, :3] = 2.0**-126, -(2.0**-149), 3.4028234663852886e38
    return x


def every(dtype: str, step: int = 1) -> Array:
    """Return every so-many-th value of a 16-bit type."""
    return np.arange(0, 1 << 16, step).astype(np.uint16).view(dtype)


def beside(wide: Array) -> Array:
    """Return values of float32 or float64 and the ones on either side, by their bits."""
    bits = wide.view(np.uint32 if wide.itemsize == 4 else np.uint64)
    return np.concatenate([bits - 1, bits, bits + 1]).view(wide.dtype)


def values() -> dict[str, Array]:
    """Return inputs by type: all of the 16-bit ones, and neighbours of some in the wider."""
    with np.errstate(all="ignore"):
        halves = every("float16", 5).astype(np.float32)
        brain = every("uint16", 9).astype(np.uint32) << 16
    single = beside(np.concatenate([halves, brain.view(np.float32)]))
    with np.errstate(all="ignore"):
        double = beside(np.concatenate([every("float16", 7), brain.view("f4")[::2]], dtype="f8"))
    wild = words(2048, 1).view(np.float64)
    return {
        "float16": every("float16"),
        "bfloat16": every(ml_dtypes.bfloat16),  # type: ignore[arg-type]
        "float32": np.concatenate([single, (wild.view(np.uint64) >> 32).astype("u4").view("f4")]),
        "float64": np.concatenate([double, wild]),
        "int64": np.concatenate([np.arange(-600, 600), (words(500, 2) >> 1).astype(np.int64)]),
    }


X = values()


def all_codes(fmt: str) -> Array:
    found = fp.get_format(fmt)
    return np.arange(1 << found.bits).astype(found.code_dtype)


# Calls.


def formats() -> Iterator[Call]:
    for name in FORMATS:
        fmt = fp.get_format(name)
        yield f"format {name}", lambda f=fmt: f.to_dict()
        yield f"format {name} frame", lambda f=fmt: f.to_frame().to_csv()
    yield "format names", lambda: [*fp.FORMATS, *fp.p3109_names(8)]


def encoded(fmt: str, rounding: str, x: Array, **options: Any) -> Array:
    """Encode; random bits come from the counter."""
    if rounding.startswith("Stochastic"):
        options |= {"random_bits": words(x.size, 5) % np.uint64(256), "random_width": 8}
    return fp.encode(x, fmt, rounding=rounding, **options)


def codec() -> Iterator[Call]:
    for fmt, rounding in itertools.product(FORMATS, ROUNDINGS):
        for source, x in X.items():
            if source == "int64" and rounding != ROUNDINGS[0]:
                continue
            yield (
                f"encode {fmt} {rounding} {source}",
                lambda f=fmt, r=rounding, x=x: [
                    encoded(f, r, x, saturation=s) for s in SATURATIONS
                ],
            )
    for fmt in FORMATS:
        codes = all_codes(fmt)
        for dtype in ("float16", "bfloat16", "float32", "float64"):
            yield f"decode {fmt} {dtype}", lambda f=fmt, c=codes, d=dtype: fp.decode(c, f, dtype=d)
        for to in FORMATS[:12]:
            yield f"convert {fmt} {to}", lambda f=fmt, c=codes, t=to: fp.convert(c, f, t)
        for source in ("bfloat16", "float64"):
            x = X[source]
            yield f"quantize {fmt} {source}", lambda f=fmt, x=x: fp.quantize(x, f, dtype="f8")
            for rounding in ("rne", "rz", "ru"):
                yield (
                    f"flags {fmt} {source} {rounding}",
                    lambda f=fmt, x=x, r=rounding: vars_of(fp.flags(x, f, rounding=r)),
                )
        if fp.get_format(fmt).bits <= 8:
            yield f"pack {fmt}", lambda f=fmt, c=codes: packed(c, f)
    for like, profile in fp.PROFILES.items():
        for fmt in [name for name in FORMATS if name in profile.formats or profile.p3109]:
            source = profile.sources[-1]
            yield (
                f"encode {fmt} like {like}",
                lambda f=fmt, x=X[source], like=like: fp.encode(x, f, like=like),
            )


def vars_of(flags: fp.Flags) -> list[Array]:
    return [flags.inexact, flags.underflow, flags.overflow, flags.invalid]


def packed(codes: Array, fmt: str) -> object:
    data = fp.pack(codes, fmt)
    return [data, fp.unpack(data, fmt, codes.size)]


#: How many codes a function takes, where it is not one.
ARITY = {"fma": 3, "faa": 3} | dict.fromkeys(
    [
        *("add", "copysign", "divide", "equal", "greater", "greater_equal", "kappa", "less"),
        *("less_equal", "maximum", "maximum_finite", "maximum_magnitude", "nextafter"),
        *("maximum_magnitude_number", "maximum_number", "minimum", "minimum_finite", "multiply"),
        *("minimum_magnitude", "minimum_magnitude_number", "minimum_number", "not_equal"),
        *("subtract", "total_order", "unordered"),
    ],
    2,
)
ROUNDS = {
    *("add", "subtract", "multiply", "divide", "fma", "faa", "exp", "exp2", "log", "log2"),
    *("reciprocal", "rsqrt", "sigmoid", "sqrt", "tanh"),
}


def operations() -> Iterator[Call]:
    for name, fmt in itertools.product(ops.__all__, ("E4M3FN", "E5M2", "E4M3FNUZ", "E2M1FN")):
        if name != "Convention":
            yield f"ops.{name} {fmt}", lambda n=name, f=fmt: operated(n, f, 1 << 16)
    for name, fmt in itertools.product(ops.__all__, ("HIFLOAT8", "POSIT8", "BFLOAT16", "E8M0FNU")):
        if name != "Convention":
            yield f"ops.{name} {fmt}", lambda n=name, f=fmt: operated(n, f, 4096)
    for name, mode in itertools.product(sorted(ROUNDS), ROUNDINGS):
        options: dict[str, Any] = {"rounding": mode, "saturation": "SatNone"}
        if mode.startswith("Stochastic"):
            options |= {"random_bits": words(256, 6) % np.uint64(16), "random_width": 4}
        for fmt, to in (("E5M2", "E4M3FN"), ("BINARY16", "E5M2"), ("E3M2FN", "BFLOAT16")):
            yield (
                f"ops.{name} {fmt} to {to} {mode}",
                lambda n=name, f=fmt, t=to, o=options: operated(n, f, 256, out_format=t, **o),
            )


def operated(name: str, fmt: str, count: int, **options: Any) -> object:
    """Apply a function to all codes, all pairs, or so many of them drawn."""
    codes, arity = all_codes(fmt), ARITY.get(name, 1)
    if codes.size**arity <= count and not options:
        operands = [x.ravel() for x in np.meshgrid(*[codes] * arity, indexing="ij")]
    else:
        drawn = words(arity * min(count, 4096), 7).reshape(arity, -1)
        operands = list((drawn % np.uint64(codes.size)).astype(codes.dtype))
    return getattr(ops, name)(*operands, fmt, **options)


def quantized(x: Array, rule: Any, **options: Any) -> fp.ScaledArray:
    found = scaling.get_rule(rule)
    if found.cast.projection(found.choose_format(None)).rounding.is_stochastic:
        options["rng"] = np.random.default_rng(3)
    return fp.scale_quantize(x, rule, **options)


def parts(scaled: fp.ScaledArray) -> object:
    """Return all of a scaled array that its user sees."""
    found = [scaled.codes, scaled.scales, scaled.stored_scales, scaled.dequantize()]
    return [*found, scaled.format.name, scaled.tensor_scale, scaled.tensor_amax]


#: Arrays, and how they are quantised.
ARRAYS: dict[str, tuple[Array, dict[str, Any]]] = {
    "plain": (bell((32, 256)), {}),
    "uneven": (uneven((16, 384), 2), {}),
    "axis 0": (uneven((256, 24), 4), {"axis": 0}),
    "ragged": (uneven((5, 200), 6), {}),
    "three axes": (bell((3, 4, 160), 8), {"axis": 1}),
    "special": (special(), {}),
    "float64": (bell((4, 256), 10).astype(np.float64) / 3, {}),
    "bfloat16": (bell((4, 256), 11).astype(ml_dtypes.bfloat16), {}),
    "given amax": (bell((4, 256), 12), {"tensor_amax": 7.5}),
    "one": (np.array([[0.3]], np.float32), {}),
    "empty": (np.zeros((0, 32), np.float32), {}),
}
FORMS = ("E4M3FN", "E5M2", "E2M1FN", "E4M3FNUZ", "E3M2FN")


def scales() -> Iterator[Call]:
    for rule, (name, (x, options)) in itertools.product(scaling.RULES, ARRAYS.items()):
        yield (
            f"scale_quantize {rule} {name}",
            lambda r=rule, x=x, o=options: parts(quantized(x, r, **o)),
        )
    x = uneven((16, 256), 13)
    for rule, fmt in itertools.product(scaling.RULES, FORMS):
        yield (
            f"scale_quantize {rule} to {fmt}",
            lambda r=rule, f=fmt: parts(quantized(x, r, fmt=f)),
        )
    for rule in ("te-delayed", "te-delayed-unfused", "flax", "ms-amp"):
        yield f"scaling.start {rule}", lambda r=rule: delayed(r)
    for a, b in itertools.product(("te-mxfp8", "nvfp4", "te-block-1x128", "row"), repeat=2):
        yield (
            f"scaling.move {a} {b}",
            lambda a=a, b=b: scaling.move(quantized(x, a), b).to_dict(),
        )
    for rule in scaling.RULES:
        yield f"scaling rule {rule}", lambda r=rule: scaling.RULES[r].to_dict()


def delayed(rule: str) -> object:
    """Take five steps, one of them with what is not finite."""
    state, found = scaling.start(rule), []
    for step in range(5):
        x = special() if step == 3 else uneven((8, 64), 20 + 2 * step)
        scaled, state = state.quantize(x)
        found += [parts(scaled), state.to_dict()]
        state = state.update()
    return [*found, state.to_dict()]


#: What is done to a dump's codes and scales before it is identified.
MISTAKES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "obeyed": lambda d: d,
    "without source": lambda d: {k: v for k, v in d.items() if k != "source"},
    "inverted": lambda d: d | {"scales": inverted(d["scales"])},
    "rolled": lambda d: d | {"scales": np.roll(d["scales"], 1)},
    "codes rolled": lambda d: d | {"codes": np.roll(d["codes"], 1, axis=-1)},
    "transposed": lambda d: d | {"scales": d["scales"].T},
    "codes transposed": lambda d: d | {"codes": d["codes"].T},
    "one scale": lambda d: d | {"scales": one_changed(d["scales"])},
    "one code": lambda d: d | {"codes": one_changed(d["codes"])},
    "doubled": lambda d: d | {"scales": doubled(d["scales"])},
    "other source": lambda d: d | {"source": bell(d["source"].shape, 77)},
    "unsigned": lambda d: d | {"codes": d["codes"] & 0x7F},
    "unscaled": lambda d: d | {"codes": fp.encode(d["source"], d["format"])},
    "truncated": lambda d: d | {"codes": fp.encode(d["divided"], d["format"], rounding="rz")},
}
DUMPED = ("tensor", "row", "te-mxfp8", "mxfp8-e4m3fn", "te-block-1x128", "block-16x16", "te-nvfp4")


def inverted(scales: Array) -> Array:
    with np.errstate(all="ignore"):
        return 254 - scales if scales.dtype == np.uint8 else np.float32(1) / scales


def one_changed(x: Array) -> Array:
    found = x.copy()
    found.ravel()[found.size // 2] += 1
    return found


def doubled(scales: Array) -> Array:
    return scales + np.uint8(1) if scales.dtype == np.uint8 else scales * 2


def dump(rule: str, x: Array) -> dict[str, Any]:
    """Return codes and scales of a rule, as somebody would give them to `identify`."""
    made = quantized(x, rule)
    found = {"codes": made.codes, "scales": np.asarray(made.stored_scales), "source": x}
    found |= {"format": made.format.name, "divided": x / broadcast(made)}
    return found | ({} if made.tensor_amax is None else {"tensor_scale": made.tensor_amax})


def broadcast(made: fp.ScaledArray) -> Array:
    """Return what each element was divided by, about."""
    ones = fp.encode(np.ones(made.codes.shape), made.format)
    shape = np.asarray(made.scales).shape
    if not shape:
        return np.float32(made.scales) * np.ones(ones.shape, np.float32)
    repeats = [-(-n // m) for n, m in zip(ones.shape, shape, strict=True)]
    found = made.scales
    for axis, count in enumerate(repeats):
        found = np.repeat(found, count, axis)
    return found[tuple(map(slice, ones.shape))].astype(np.float32)


def identified(given: dict[str, Any]) -> object:
    given = {key: value for key, value in given.items() if key != "divided"}
    found = fp.identify(given.pop("codes"), given.pop("scales"), **given)
    return [str(found), json.dumps(found.to_dict(), default=str), found.to_frame().to_csv()]


def identifications() -> Iterator[Call]:
    x = uneven((64, 128), 30)
    for rule, (name, mistake) in itertools.product(DUMPED, MISTAKES.items()):
        yield f"identify {rule} {name}", lambda r=rule, m=mistake: identified(m(dump(r, x)))
    for rule in scaling.RULES:
        if rule not in DUMPED:
            yield f"identify {rule} obeyed", lambda r=rule: identified(dump(r, uneven((8, 256), 3)))
    powers = np.ldexp(np.sign(bell((16, 64), 5)), np.arange(16)[:, None] % 4).astype(np.float32)
    yield "identify indistinguishable", lambda: identified(dump("block-32", powers))
    for name in ("torchao-mx-floor", "te-mxfp8", "no-such-rule"):
        given = {"rules": name, "declared": "te-mxfp8"}
        yield (
            f"identify te-mxfp8 as {name}",
            lambda g=given: identified(dump("te-mxfp8", x) | g),
        )


def products() -> Iterator[Call]:
    for unit, fmt in itertools.product(
        fp.ACCUMULATORS, ("E4M3FN", "E5M2", "E2M1FN", "E4M3FNUZ", "BINARY16", "BFLOAT16")
    ):
        for options in ("plain", "c", "row", "wide"):
            yield f"matmul {unit} {fmt} {options}", lambda u=unit, f=fmt, o=options: summed(u, f, o)
    for rule in ("tensor", "row", "te-mxfp8", "te-nvfp4", "te-block-1x128", "deepgemm-1x128"):
        for unit in ("exact", "float32", "hopper", "hopper-promoted", "blackwell-mx"):
            made = lambda r=rule: quantized(uneven((8, 256), 14), r)  # noqa: E731 - made late
            yield (
                f"matmul {unit} scaled {rule}",
                lambda u=unit, m=made: fp.matmul(m(), m().transpose(), accumulator=u),
            )
    for to in ("float16", "bfloat16", "float64", "E4M3FN"):
        yield f"matmul exact E5M2 in {to}", lambda to=to: summed("exact", "E5M2", "plain", to)


def summed(unit: str, fmt: str, what: str, to: str = "float32") -> object:
    """Multiply drawn codes, from anywhere or from near 1, in a unit."""
    codes = (words(2 * 8 * 96, 15) % np.uint64(1 << fp.get_format(fmt).bits)).astype(
        fp.get_format(fmt).code_dtype
    )
    if what != "wide":
        codes = fp.encode(bell((2 * 8 * 96,), 16), fmt)
    a, b = codes.reshape(2, 8, 96)
    options: dict[str, Any] = {"accumulator": unit, "out_dtype": to}
    if getattr(fp.ACCUMULATORS[unit], "is_stochastic", False):
        options["rng"] = np.random.default_rng(2)
    if what == "c":
        kept = np.float16 if unit.endswith("f16") else np.float32
        options |= {"c": bell((8, 8), 17).astype(kept), "bias": bell((8,), 18)}
    if what == "row":
        pair = np.abs(bell((2, 8), 19)) + np.float32(0.1)
        options |= {"a_scale": pair[0][:, None], "b_scale": pair[1][None], "scaling": "row"}
    return fp.matmul(a, b.T.copy(), fmt, fmt, **options)


def training() -> Iterator[Call]:
    for recipe in nn.RECIPES:
        yield f"nn.Recipe {recipe}", lambda r=recipe: nn.RECIPES[r].to_dict()
    for recipe in nn.RECIPES:
        yield f"nn 20 steps {recipe}", lambda r=recipe: stepped(r)
    data = nn.Dataset(
        name="golden",
        x=bell((256, 16), 40),
        y=(words(256, 41) % np.uint64(4)).astype(np.int64),
        classes=4,
        test_x=bell((64, 16), 42),
        test_y=(words(64, 43) % np.uint64(4)).astype(np.int64),
    )
    for recipe in nn.RECIPES:
        yield f"nn.train {recipe}", lambda r=recipe: trained(data, recipe=r)
    for name in ("sgd", "adam", "adamw"):
        yield f"nn.train optimizer {name}", lambda n=name: trained(data, optimizer=n, clip=1.0)
    yield "nn.train loss scaling", lambda: trained(data, loss_scaler=nn.LossScaler())
    yield "nn.train diverging", lambda: trained(data, lr=1e30)
    yield "nn.recipe_table", lambda: nn.recipe_table().to_csv()
    for name, dtype in itertools.product(nn.RULES, ("float32", "float64")):
        yield f"nn.{name} {dtype}", lambda n=name, d=dtype: derived(n, d)


def weights(model: nn.MLP) -> object:
    return sorted((name, tensor.data) for name, tensor in model.parameters().items())


def stepped(recipe: str) -> object:
    """Fit a net by steps of sums, products and one square: no exponential, no logarithm."""
    model, x = nn.MLP((128, 128, 128), recipe=recipe), bell((128, 128), 44)
    for stream, tensor in enumerate(model.parameters().values()):
        tensor.data[...] = bell(tensor.data.shape, 45 + stream) / np.float32(16)
    optimizer, losses = nn.SGD(model.parameters(), lr=0.25), []
    for step in range(20):
        loss = nn.mean_square_error(model(x), bell((128, 128), 50 + step))
        loss.backward()
        optimizer.step()
        model.end_step()
        for tensor in model.parameters().values():
            tensor.grad = None
        losses.append(loss.data)
    return [losses, weights(model)]


def trained(data: nn.Dataset, **options: Any) -> object:
    run = nn.train(data, sizes=(16, 16, 4), epochs=5, batch=64, **options)
    return [run.to_dict(), weights(run.model)]


#: Functions of two operands, of several, and what others are given.
PAIRS = ("add", "divide", "matmul", "maximum", "minimum", "multiply", "power", "subtract")
OPTIONS: dict[str, dict[str, object]] = {
    "reshape": {"shape": -1},
    "index": {"key": (slice(None), 1)},
    "clip": {"low": -1.0, "high": 1.0},
    "log_softmax": {"axis": 1},
    "softmax": {"axis": 0},
}


def derived(name: str, dtype: str) -> object:
    """Return what a function gives, and its derivatives."""
    x = np.abs(bell((8, 8), 60)).astype(dtype) + np.asarray(2.0**-12, dtype)
    tensors = [nn.Tensor(x, requires_grad=True), nn.Tensor(x[::-1].copy(), requires_grad=True)]
    function = getattr(nn, name)
    if name in {"concatenate", "stack"}:
        found = function(tensors)
    elif name == "where":
        found = function(x > 1, *tensors)
    else:
        tensors = tensors[: 1 + (name in PAIRS)]
        found = function(*tensors, **OPTIONS.get(name, {}))
    found.backward(np.ones_like(found.data))
    return [found.data, *[tensor.grad for tensor in tensors]]


#: Converters with a mistake each.
FAULTS: dict[str, Callable[[Array, str], Array]] = {
    "right": fp.encode,
    "ties away": lambda x, f: fp.encode(x, f, rounding="rna"),
    "truncated": lambda x, f: fp.encode(x, f, rounding="rz"),
    "not saturated": lambda x, f: fp.encode(x, f, saturation="SatNone"),
    "twice": lambda x, f: fp.encode(fp.quantize(x, "BFLOAT16"), f),
    "flushed": lambda x, f: fp.encode(np.where(np.abs(x) < fp.get_format(f).eps, 0 * x, x), f),
    "unsigned": lambda x, f: fp.encode(np.abs(x), f),
    "wrong type": lambda x, f: fp.encode(x, f).astype(np.float32),
    "raises": lambda x, f: 1 // 0,  # type: ignore[dict-item, return-value]
}


def verdicts() -> Iterator[Call]:
    for (name, fault), fmt, source in itertools.product(
        FAULTS.items(), ("E4M3FN", "E5M2", "E2M1FN"), ("float16", "float32", "float64")
    ):
        judge = candidate(lambda x, f=fault, fmt=fmt: quiet(f, x, fmt), name)
        yield (
            f"verify.check {fmt} {source} {name}",
            lambda c=judge, f=fmt, s=source: judged(verify.check(c, f, source=s)),
        )
        if source == "float16":
            yield (
                f"verify.sweep {fmt} {name}",
                lambda c=judge, f=fmt: judged(verify.sweep(c, f, source="f16", digests=True)),
            )
    for fmt in ("E4M3FN", "E2M1FN", "POSIT8"):
        for name, sign in {"right": 1, "negated": -1}.items():
            judge = candidate(lambda c, s=sign, f=fmt: s * fp.decode(c, f), name)
            yield (
                f"verify.check decode {fmt} {name}",
                lambda c=judge, f=fmt: judged(verify.check(c, f, direction="decode")),
            )
    for a, b in itertools.combinations(("ml_dtypes", "ocp-sat", "torch>=2.13", "cuda-nosat"), 2):
        for fmt in ("E4M3FN", "E5M2"):
            yield (
                f"verify.diff {a} {b} {fmt}",
                lambda a=a, b=b, f=fmt: [
                    str(verify.diff(a, b, f)),
                    verify.diff(a, b, f).to_dict(),
                ],
            )
    for fmt, rounding in itertools.product(("E4M3FN", "E5M2", "HIFLOAT8"), ROUNDINGS[:6]):
        yield (
            f"verify.truth {fmt} {rounding}",
            lambda f=fmt, r=rounding: verify.truth(f, "float32", rounding=r).digest(0, 1 << 20),
        )
    for fmt in ("E4M3FN", "E2M1FN"):
        yield f"tables {fmt} c", lambda f=fmt: verify.tables.c_header(f)
        yield f"tables {fmt} sv", lambda f=fmt: verify.tables.sv_package(f)
        yield (
            f"vectors {fmt}",
            lambda f=fmt: files(lambda to: verify.vectors.write_pack(to, [f], version="1")),
        )


def candidate(function: Callable[..., Array], name: str) -> Callable[..., Array]:
    """Give a function a name, and no file that a record would have a digest of."""
    function.__module__, function.__qualname__ = "candidates", name
    return function


def quiet(fault: Callable[[Array, str], Array], x: Array, fmt: str) -> Array:
    with np.errstate(all="ignore"):
        return fault(x, fmt)


def judged(verdict: Any) -> object:
    """Return the text, without the line of the time, and the record."""
    lines = [line for line in str(verdict).splitlines() if not line.startswith("  time ")]
    return [lines, verdict.to_dict()]


def files(write: Callable[[str], object]) -> list[tuple[str, bytes]]:
    """Return what is written to a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in found]


def planted() -> dict[str, Array]:
    """Return tensors of a small checkpoint, some of them damaged."""
    shapes = {"q_proj": (64, 64), "gate_proj": (96, 64), "down_proj": (64, 96)}
    found = {
        f"model.layers.{layer}.{name}.weight": bell(shape, 80 + layer) / np.float32(32)
        for layer in range(3)
        for name, shape in shapes.items()
    }
    found["model.layers.1.down_proj.weight"][:, [3, 40]] *= np.float32(4096)
    found["model.layers.2.q_proj.weight"][5] *= np.float32(32768)
    found["model.layers.0.gate_proj.weight"][0, 0] = 3000
    found["model.layers.2.gate_proj.weight"][:] = 0
    found["model.layers.1.q_proj.weight"][3, 7] = np.nan
    found["model.norm.weight"] = bell((64,), 90)
    return found


def reported(**options: Any) -> dict[str, object]:
    """Return a report's files by their suffix, versions taken out, and its decisions."""
    tensors = [inputs.tensor_from_array(name, x) for name, x in planted().items()]
    with tempfile.TemporaryDirectory() as folder:
        made = report.build_report(tensors, folder, **options)
        record = json.loads(made.json.read_text(encoding="utf-8"))
        found: dict[str, object] = {"csv": made.csv.read_bytes(), "decisions": None}
        for key in ("versions", "fp8num", "version", "files"):
            record.pop(key, None)
        # What ml_dtypes is compared in depends on its version.
        record["verification"] = [
            row for row in record["verification"] if row["against"] == "the exact definition"
        ]
        found["json"] = record
        if made.recommendation is not None:
            found["decisions"] = made.recommendation.to_dict()
    return found


def reports() -> Iterator[Call]:
    x = planted()
    for part in ("csv", "json", "decisions"):
        for target in ("E4M3FN", "nvfp4"):
            yield f"report {part} {target}", lambda p=part, t=target: reported(target=t)[p]
    for rules in (("tensor",), ("row", "te-mxfp8"), ("nvfp4", "block-32")):
        for fmt in ("E4M3FN", "E5M2", "E2M1FN"):
            yield (
                f"analyze {fmt} {' '.join(rules)}",
                lambda r=rules, f=fmt: fp.analyze(uneven((32, 256), 91), [f], r).to_csv(),
            )
    for target in ("E4M3FN", "E5M2", "nvfp4", "E4M3FNUZ"):
        yield f"recommend {target}", lambda t=target: fp.recommend(x, t).to_dict()
        for name in x:
            yield (
                f"recommend {target} {name}",
                lambda t=target, n=name: fp.recommend(x[n], t).to_dict(),
            )
    yield "analysis.frontier", lambda: analysis.frontier(x).to_dict()
    for line in (
        *("formats", "formats --json", "formats e4m3fn", "formats e2m1fn e5m2 --json"),
        *("show 0.3 e4m3fn e5m2", "show 0.3 e4m3fn --json", "show 1e9 e5m2 --rounding rz"),
        *("show nan e2m1fn", "show -0.0 hifloat8 posit8", "show 448.0001 e4m3fn --like ml_dtypes"),
        *("vectors e2m1fn", "diff ml_dtypes ocp-sat --format e4m3fn", "show", "show x e4m3fn"),
        *("formats nothing", "--help", "report --help", "verify --help", "identify --help"),
    ):
        yield f"fp8num {line}", lambda line=line: printed(*line.split())


def printed(*arguments: str) -> object:
    """Return a command's exit code and what it prints, the help without its line breaks."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = cli.main(arguments)
    return [code, out.getvalue(), errors.getvalue()]


#: The groups, and of how many digests one is made by default.
GROUPS: dict[str, tuple[Callable[[], Iterator[Call]], int]] = {
    "formats": (formats, 5),
    "codec": (codec, 37),
    "ops": (operations, 23),
    "scaling": (scales, 29),
    "identify": (identifications, 31),
    "products": (products, 23),
    "nn": (training, 17),
    "verify": (verdicts, 23),
    "report": (reports, 17),
}


def feed(value: Any, add: Callable[[bytes], None]) -> None:
    """Hand on a result: arrays by type, shape and bits, texts, and lists of these."""
    if isinstance(value, np.ndarray):
        little = value.astype(value.dtype.newbyteorder("<")) if value.dtype.kind in "fiu" else value
        add(f"{value.dtype.name}{value.shape}".encode() + np.ascontiguousarray(little).tobytes())
    elif isinstance(value, np.generic):
        feed(np.asarray(value), add)
    elif isinstance(value, dict):
        feed([(k, v) for k, v in value.items() if k not in {"seconds", "versions"}], add)
    elif isinstance(value, list | tuple):
        add(b"[")
        for element in value:
            feed(element, add)
        add(b"]")
    elif isinstance(value, bytes):
        add(value)
    else:
        add(f"{type(value).__name__} {value}".encode())


def digest(call: Callable[[], object]) -> str:
    """Return 64 bits of the sha256 of a call's result, or the type of its error."""
    total = hashlib.sha256()
    try:
        feed(call(), total.update)
    except Exception as error:  # noqa: BLE001 - what is refused stays refused
        return type(error).__name__
    return total.hexdigest()[:16]


def calls(*, some: bool = False, word: str = "") -> Iterator[Call]:
    """Yield all calls, or a few of each group, or those with a word in their names."""
    for group, stride in GROUPS.values():
        yield from (
            call
            for call in itertools.islice(group(), 0, None, stride if some else 1)
            if word in call[0]
        )


def table() -> dict[str, list[str]]:
    """Return the digest of each name, and what it depends on."""
    lines = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    rows = [line.split("  ") for line in lines if not line.startswith("#")]
    return {name: [found, *marks] for name, found, *marks in rows}


def differences(made: dict[str, str]) -> list[str]:
    """Say which digests are not those of the table."""
    kept = table()
    return [
        f"{name}: was {kept.get(name, ['not there'])[0]}, is {found}"
        for name, found in made.items()
        if found != kept.get(name, [""])[0]
    ]


def test_some_results_are_as_they_were() -> None:
    """A few of each group; what depends on other libraries is left out."""
    kept = table()
    made = {name: digest(call) for name, call in calls(some=True) if len(kept.get(name, "")) == 1}

    assert len(made) > 100
    assert not differences(made), "\n".join(differences(made))


@pytest.mark.exhaustive
@pytest.mark.parametrize("group", GROUPS)
def test_all_results_are_as_they_were(group: str) -> None:
    """Those that depend on nothing but the package."""
    kept = table()
    chosen = [(name, call) for name, call in GROUPS[group][0]() if len(kept.get(name, "")) == 1]
    made = {name: digest(call) for name, call in chosen}

    assert made
    assert not differences(made), "\n".join(differences(made))


def test_the_table_has_each_call_once() -> None:
    """And no other; nothing is computed for it."""
    names = [name for name, _ in calls()]

    assert len(names) == len(set(names))
    assert set(names) == table().keys()


def test_a_changed_result_changes_its_digest() -> None:
    """The sign of a zero, a NaN's bits, a type, a shape, where a list ends."""
    results = [
        *([0.0], [-0.0], np.float32([0]), np.float64([0]), np.float32([[0]]), np.float64([-0.0])),
        *([["a"], "b"], [["a", "b"]], ["ab"], b"ab", None, 0, False),
        np.array([0x7FC00000], np.uint32).view(np.float32),
        np.array([0xFFC00000], np.uint32).view(np.float32),
    ]
    digests = {digest(lambda value=value: value) for value in results}

    assert len(digests) == len(results)
    assert digest(lambda: 1 / 0) == "ZeroDivisionError"


def main(*arguments: str) -> None:
    """Print what differs; keep it with ``--write``."""
    (word,) = [argument for argument in arguments if argument != "--write"] or [""]
    kept, made = table(), {name: digest(call) for name, call in calls(word=word)}
    sys.stdout.write("".join(f"{line}\n" for line in differences(made)))
    if "--write" in arguments:
        head = "# Made by tests/net/test_golden_digests.py: name, digest, what else it depends on."
        rows = kept | {name: [found, *kept.get(name, [""])[1:]] for name, found in made.items()}
        lines = ["  ".join([name, *rows[name]]) for name, _ in calls() if name in rows]
        TABLE.write_text("\n".join([head, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
