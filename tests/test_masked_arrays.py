"""Every public function that takes arrays refuses masked ones: NumPy would forget the mask."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import analysis, nn, ops, scaling, verify
from fp8num.inputs import tensor_from_array, write_safetensors

if TYPE_CHECKING:
    from collections.abc import Callable

FMT = "E4M3FN"
X = np.ma.masked_equal(np.float32([[1.0, 2.0], [3.0, 4.0]]), 2.0)
CODES = np.ma.masked_equal(np.uint8([[56, 64], [8, 9]]), 64)
PLAIN, PLAIN_CODES = X.filled(2.0), CODES.filled(64)
ONES = np.float32([[1.0], [1.0]])
SCALES = np.ma.masked_equal(np.float32([[2.0], [1.0]]), 2.0)
RANDOM = np.ma.masked_equal(np.uint8([[1, 2], [3, 4]]), 2)
STOCHASTIC = {"rounding": "sra", "random_width": 8}
LABELS = np.ma.masked_equal(np.int64([1, 0]), 1)


def scaled(**parts: Any) -> fp.ScaledArray:
    """Make a scaled array of rows."""
    given = {"codes": PLAIN_CODES, "stored_scales": ONES, "block": (1, 2)} | parts
    return fp.ScaledArray(format=fp.E4M3FN, **given)


def matmul(**arguments: Any) -> Any:
    given = {"a": PLAIN_CODES, "b": PLAIN_CODES, "a_format": FMT, "b_format": FMT} | arguments
    return fp.matmul(**given)


def dot(**arguments: Any) -> Any:
    given = {"a": PLAIN_CODES[0], "b": PLAIN_CODES[0], "a_format": FMT, "b_format": FMT}
    return fp.dot(**(given | arguments))


def dataset(**parts: Any) -> Any:
    x, y = PLAIN, LABELS.filled(1)
    given = {"x": x, "y": y, "test_x": x, "test_y": y} | parts
    return nn.Dataset(name="d", classes=2, **given)


CALLS: dict[str, Callable[[], Any]] = {
    "encode": lambda: fp.encode(X, FMT),
    "encode, a list of them": lambda: fp.encode([X[0], X[1]], FMT),  # NumPy forgets these too
    "encode, a masked number in a list": lambda: fp.encode([[1.0], [np.ma.masked]], FMT),
    "encode, nothing masked": lambda: fp.encode(np.ma.masked_array([1.0]), FMT),
    "encode, out": lambda: fp.encode(PLAIN, FMT, out=CODES.copy()),
    "encode, random_bits": lambda: fp.encode(PLAIN, FMT, random_bits=RANDOM, **STOCHASTIC),
    "quantize": lambda: fp.quantize(X, FMT),
    "flags": lambda: fp.flags(X, FMT),
    "decode": lambda: fp.decode(CODES, FMT),
    "convert": lambda: fp.convert(CODES, FMT, "E5M2"),
    "pack": lambda: fp.pack(CODES & 15, "E2M1FN"),
    "unpack": lambda: fp.unpack(CODES, "E2M1FN", 8),
    "kappa": lambda: fp.kappa(PLAIN_CODES, CODES, FMT),
    "nextafter": lambda: fp.nextafter(PLAIN_CODES, CODES, FMT),
    "ulp": lambda: fp.ulp(CODES, FMT),
    "analyze": lambda: fp.analyze(X),
    "recommend": lambda: fp.recommend(X),
    "frontier": lambda: analysis.frontier({"a.weight": X}),
    "ErrorMetrics.of, x": lambda: analysis.ErrorMetrics.of(X, PLAIN_CODES, FMT),
    "ErrorMetrics.of, codes": lambda: analysis.ErrorMetrics.of(PLAIN, CODES, FMT),
    "Distribution.of": lambda: analysis.Distribution.of(X),
    "scale_quantize": lambda: fp.scale_quantize(X, "row"),
    "scale_quantize, scales": lambda: fp.scale_quantize(PLAIN, "row", scales=SCALES),
    "find_scales": lambda: scaling.find_scales(X, "row"),
    "apply_scales, x": lambda: scaling.apply_scales(X, 1.0, "row"),
    "apply_scales, scales": lambda: scaling.apply_scales(PLAIN, SCALES, "row"),
    "distance, a": lambda: scaling.distance(X, PLAIN),
    "distance, b": lambda: scaling.distance(PLAIN, X),
    "move": lambda: scaling.move(X, "row", before="tensor"),
    "identify, codes": lambda: fp.identify(CODES, ONES),
    "identify, scales": lambda: fp.identify(PLAIN_CODES, SCALES),
    "identify, source": lambda: fp.identify(PLAIN_CODES, ONES, source=X),
    "ScaledArray, codes": lambda: scaled(codes=CODES),
    "ScaledArray, stored_scales": lambda: scaled(stored_scales=SCALES),
    "matmul, a": lambda: matmul(a=CODES),
    "matmul, b": lambda: matmul(b=CODES),
    "matmul, c": lambda: matmul(c=X),
    "matmul, c of another unit": lambda: matmul(c=X, accumulator="hopper"),
    "matmul, bias": lambda: matmul(bias=X[0]),
    "matmul, scales": lambda: matmul(a_scale=SCALES, b_scale=ONES.T, scaling="row"),
    "dot, a": lambda: dot(a=CODES[0]),
    "dot, b_scale": lambda: dot(a_scale=1.0, b_scale=X[0, 1:], scaling="tensor"),
    "CaseSet": lambda: verify.CaseSet("mine", "all", CODES[0]),
    "assert_codes_equal, actual": lambda: verify.assert_codes_equal(CODES, PLAIN_CODES, FMT),
    "assert_codes_equal, expected": lambda: verify.assert_codes_equal(PLAIN_CODES, CODES, FMT),
    "assert_codes_equal, x": lambda: verify.assert_codes_equal(CODES.data, CODES.data, FMT, x=X),
    "write_safetensors": lambda: write_safetensors(Path("never written"), {"w": X}),
    "tensor_from_array": lambda: tensor_from_array("w", X),
    "Tensor": lambda: nn.Tensor(X),
    "Tensor.backward": lambda: nn.Tensor(PLAIN, requires_grad=True).backward(X),
    "MLP": lambda: nn.MLP([2, 1])(X),
    "add": lambda: nn.add(X, nn.Tensor(PLAIN)),
    "where": lambda: nn.where(X > 1, PLAIN, PLAIN),
    "cross_entropy, logits": lambda: nn.cross_entropy(X, LABELS.data),
    "cross_entropy, labels": lambda: nn.cross_entropy(PLAIN, LABELS),
    "mean_square_error": lambda: nn.mean_square_error(PLAIN, X),
    "product": lambda: nn.product(X, PLAIN),
    "record": lambda: nn.record(X, [nn.Tensor(PLAIN)], lambda gradient: [gradient]),
    "Rotation.apply": lambda: scaling.get_rule("te-nvfp4-rht").rotation.apply(X, -1),
    "DelayedState.quantize": lambda: scaling.start("te-delayed").quantize(X),
    "Dataset, inputs": lambda: dataset(test_x=X),
    "Dataset, labels": lambda: dataset(test_y=LABELS),
}


def test_every_function_of_arrays_is_asked() -> None:
    """Of every function that is said to take what is like an array there is a call above."""
    takes_arrays = {
        name
        for module in (fp, analysis, nn, scaling, verify)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name in module.__all__
        and any("ArrayLike" in str(hint) for hint in inspect.get_annotations(function).values())
    }

    assert len(takes_arrays) > 20
    assert takes_arrays <= {name.partition(",")[0] for name in CALLS}


@pytest.mark.filterwarnings("ignore:Warning. converting a masked element to nan")
def test_a_masked_array_is_refused(each: Any) -> None:
    """The message says what to do instead."""

    def check(call: Callable[[], Any]) -> None:
        with pytest.raises(
            TypeError,
            match=r"must not be a masked array, .*, got \w+ of shape \([\d, ]*\) with \d masked; "
            r".filled\(value\) gives these a value, .compressed\(\) leaves them out",
        ):
            call()

    each(CALLS.values(), check)


def test_every_operation_refuses_a_masked_array(each: Any) -> None:
    """In each of its operands."""

    def check(name: str) -> None:
        operation = getattr(ops, name)
        if inspect.isclass(operation):
            return
        operands = list(inspect.signature(operation).parameters).index("fmt")
        for place in range(operands):
            given = [CODES if place == other else PLAIN_CODES for other in range(operands)]
            with pytest.raises(TypeError, match="codes must not be a masked array"):
                operation(*given, FMT)

    each(ops.__all__, check)


def test_an_implementation_that_answers_with_a_masked_array_does_not_conform() -> None:
    """Of codes or of values."""

    def encode(x: Any) -> Any:
        return np.ma.masked_array(fp.encode(x, "E2M1FN"))

    def decode(codes: Any) -> Any:
        return np.ma.masked_array(fp.decode(codes, "E2M1FN"))

    for verdict in (
        verify.check(encode, "E2M1FN", source="float16"),
        verify.check(decode, "E2M1FN", direction="decode"),
    ):
        assert not verdict.ok
        assert "masked array" in str(verdict)
