"""
Libraries that have types of small floats, and give codes.

::

    ml_dtypes  jax  torch  mlx      an array is cast
    onnx  onnxruntime               a model of one Cast is run
    tinygrad                        a function takes one Python float
"""

from __future__ import annotations

import ctypes
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._names import Catalogue
from fp8num.verify.peers.library import Library, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = npt.NDArray[Any]

__all__ = ["CASTS"]

_ML_DTYPES = {
    "E4M3FN": "float8_e4m3fn",
    "E5M2": "float8_e5m2",
    "E4M3IEEE": "float8_e4m3",
    "E3M4": "float8_e3m4",
    "E4M3FNUZ": "float8_e4m3fnuz",
    "E5M2FNUZ": "float8_e5m2fnuz",
    "E4M3B11FNUZ": "float8_e4m3b11fnuz",
    "E8M0FNU": "float8_e8m0fnu",
    "UE5M3": "float8_e5m3fnu",  # from ml_dtypes 0.7 on
    "E2M3FN": "float6_e2m3fn",
    "E3M2FN": "float6_e3m2fn",
    "E2M1FN": "float4_e2m1fn",
}
_NOT_IN_JAX = {"E2M3FN", "E3M2FN", "UE5M3"}
_FOUR = ("E4M3FN", "E5M2", "E4M3FNUZ", "E5M2FNUZ")


def _ml_dtypes_type(name: str) -> np.dtype[Any]:
    found = getattr(load("ml_dtypes"), name, None)
    if found is None:
        msg = f"the ml_dtypes installed has no {name}; pip install --upgrade ml_dtypes"
        raise ValueError(msg)
    dtype: np.dtype[Any] = np.dtype(found)
    return dtype


def _ml_dtypes(x: Array, name: str) -> Array:
    return np.asarray(x.astype(_ml_dtypes_type(name)).view(np.uint8))


def _ml_dtypes_scalar(x: Array, name: str) -> Array:
    convert = _ml_dtypes_type(name).type
    codes = [convert(value) for value in x.astype(np.float64).ravel().tolist()]
    return np.array(codes, convert).view(np.uint8).reshape(x.shape)


def _ml_dtypes_decode(codes: Array, name: str) -> Array:
    return np.asarray(codes.view(_ml_dtypes_type(name)).astype(np.float32))


def _jax(x: Array, name: str) -> Array:
    jax, numpy = load("jax"), load("jax.numpy")
    with jax.enable_x64(new_val=True):  # or float64 would be rounded to float32 on its way in
        return np.asarray(numpy.asarray(x).astype(getattr(numpy, name))).view(np.uint8)


def _jax_decode(codes: Array, name: str) -> Array:
    numpy = load("jax.numpy")
    return np.asarray(numpy.asarray(codes.view(getattr(load("ml_dtypes"), name))).astype("float32"))


def _tensor(array: Array) -> Any:  # noqa: ANN401 - a torch.Tensor
    """Return a tensor of the same bits; torch takes no negative strides and no bfloat16."""
    torch = load("torch")
    copy = np.array(array, order="C")
    if copy.dtype.name == "bfloat16":
        return torch.from_numpy(copy.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(copy)


def _torch(x: Array, name: str) -> Array:
    torch = load("torch")
    codes: Array = _tensor(x).to(getattr(torch, name)).view(torch.uint8).numpy()
    return codes


def _torch_decode(codes: Array, name: str) -> Array:
    torch = load("torch")
    values: Array = _tensor(codes).view(getattr(torch, name)).to(torch.float32).numpy()
    return values


def _mlx_array(x: Array) -> Any:  # noqa: ANN401 - an mlx.core.array
    """Return an array of the same bits, from a copy for the same reasons."""
    core = load("mlx.core")
    copy = np.array(x, order="C")
    if copy.dtype.name == "bfloat16":
        return core.array(copy.view(np.uint16)).view(core.bfloat16)
    return core.array(copy)


def _mlx(x: Array, name: str) -> Array:
    core = load("mlx.core")
    del name  # it has one
    return np.array(core.to_fp8(_mlx_array(x), stream=core.cpu))


def _mlx_decode(codes: Array, name: str) -> Array:
    core = load("mlx.core")
    del name
    return np.array(core.from_fp8(_mlx_array(codes), core.float32, stream=core.cpu))


def _tinygrad(x: Array, name: str) -> Array:
    module = load("tinygrad.dtype")
    dtype, convert = getattr(module.dtypes, name), module.float_to_fp8
    codes = [convert(value, dtype) for value in x.astype(np.float64).ravel().tolist()]
    return np.array(codes, np.int64).reshape(x.shape)


def _tinygrad_decode(codes: Array, name: str) -> Array:
    module = load("tinygrad.dtype")
    dtype, convert = getattr(module.dtypes, name), module.fp8_to_float
    values = [convert(code, dtype) for code in codes.ravel().tolist()]
    return np.array(values, np.float64).reshape(codes.shape)


#: ONNX's types of values, by NumPy's.
_ONNX_VALUES = {
    "float16": "FLOAT16",
    "bfloat16": "BFLOAT16",
    "float32": "FLOAT",
    "float64": "DOUBLE",
}
_ONNX = {
    "E4M3FN": "FLOAT8E4M3FN",
    "E5M2": "FLOAT8E5M2",
    "E4M3FNUZ": "FLOAT8E4M3FNUZ",
    "E5M2FNUZ": "FLOAT8E5M2FNUZ",
    "E8M0FNU": "FLOAT8E8M0",
    "E2M3FN": "FLOAT6E2M3",
    "E3M2FN": "FLOAT6E3M2",
    "E2M1FN": "FLOAT4E2M1",
}
#: The operator set in which Cast has E8M0, and the version of the file format with it.
_OPSET, _IR = 24, 11


def _cast_model(given: str, wanted: str, options: tuple[tuple[str, Any], ...]) -> Any:  # noqa: ANN401 - onnx's
    """Return an ONNX model of one Cast."""
    onnx = load("onnx")
    helper, types = load("onnx.helper"), onnx.TensorProto
    node = helper.make_node("Cast", ["x"], ["y"], to=types.DataType.Value(wanted), **dict(options))
    ends = [
        helper.make_tensor_value_info(name, types.DataType.Value(kind), None)
        for name, kind in (("x", given), ("y", wanted))
    ]
    graph = helper.make_graph([node], "cast", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR)


@lru_cache(maxsize=64)
def _evaluator(given: str, wanted: str, options: tuple[tuple[str, Any], ...]) -> Any:  # noqa: ANN401 - onnx's
    return load("onnx.reference").ReferenceEvaluator(_cast_model(given, wanted, options))


def _onnx(x: Array, name: str, *, options: tuple[tuple[str, Any], ...]) -> Array:
    model = _evaluator(_ONNX_VALUES[x.dtype.name], name, options)
    return np.asarray(model.run(None, {"x": x})[0]).view(np.uint8)


@lru_cache(maxsize=64)
def _session(given: str, wanted: str, options: tuple[tuple[str, Any], ...]) -> Any:  # noqa: ANN401 - onnx's
    runtime = load("onnxruntime")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4  # fatal: errors are raised
    model = _cast_model(given, wanted, options).SerializeToString()
    return runtime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def _run_session(
    given: Array, kind: str, wanted: str, options: tuple[tuple[str, Any], ...], dtype: type
) -> Array:
    """Run a session from and to bits of types that NumPy may not have."""
    runtime, types = load("onnxruntime"), load("onnx").TensorProto.DataType
    bits = np.ascontiguousarray(given)
    value = runtime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, types.Value(kind))
    found = _session(kind, wanted, options).run_with_ort_values(None, {"x": value})[0]
    data = ctypes.string_at(found.data_ptr(), given.size * np.dtype(dtype).itemsize)
    return np.frombuffer(data, dtype).reshape(found.shape())


def _onnxruntime(x: Array, name: str, *, options: tuple[tuple[str, Any], ...]) -> Array:
    kind = _ONNX_VALUES[x.dtype.name]
    given = x.view(np.uint16) if kind == "BFLOAT16" else x
    return _run_session(given, kind, name, options, np.uint8)


def _onnxruntime_decode(codes: Array, name: str) -> Array:
    return _run_session(codes, name, "FLOAT", (), np.float32)


def _onnx_variant(about: str, saturate: int = 1, round_mode: str | None = None) -> Library:
    options: dict[str, Any] = {"saturate": saturate}
    if round_mode is not None:
        options["round_mode"] = round_mode
    return Library(
        about=f"Cast of onnx's reference evaluator, {about}",
        install="onnx",
        modules=("onnx.reference",),
        formats=_ONNX if round_mode is None else {"E8M0FNU": _ONNX["E8M0FNU"]},
        encode=partial(_onnx, options=tuple(sorted(options.items()))),
    )


def _onnxruntime_variant(about: str, saturate: int) -> Library:
    return Library(
        about=f"ONNX Runtime's Cast on a CPU, {about}",
        install="onnxruntime onnx",
        modules=("onnxruntime", "onnx"),
        formats={name: _ONNX[name] for name in _FOUR},
        encode=partial(_onnxruntime, options=(("saturate", saturate),)),
        decode=_onnxruntime_decode,
    )


#: The libraries, by the name of the peer.
CASTS: Mapping[str, Library] = Catalogue(
    {
        "ml_dtypes": Library(
            about="NumPy's astype to a type of ml_dtypes",
            install="ml_dtypes",
            modules=("ml_dtypes",),
            formats=_ML_DTYPES,
            encode=_ml_dtypes,
            decode=_ml_dtypes_decode,
        ),
        "ml_dtypes-scalar": Library(
            about="the constructors of ml_dtypes' scalars, given Python floats",
            install="ml_dtypes",
            modules=("ml_dtypes",),
            formats=_ML_DTYPES,
            encode=_ml_dtypes_scalar,
        ),
        "jax": Library(
            about="jax.numpy's astype on a CPU, 64-bit types enabled",
            install="jax",
            modules=("jax", "jax.numpy"),
            # It has no UE5M3, its six-bit types not on a CPU: "Invalid XLA PrimitiveType".
            formats={name: _ML_DTYPES[name] for name in _ML_DTYPES if name not in _NOT_IN_JAX},
            encode=_jax,
            decode=_jax_decode,
        ),
        "torch": Library(
            about="PyTorch's Tensor.to on a CPU",
            install="torch",
            modules=("torch",),
            formats={name: _ML_DTYPES[name] for name in (*_FOUR, "E8M0FNU")},
            encode=_torch,
            decode=_torch_decode,
        ),
        "mlx": Library(
            about="MLX's to_fp8 and from_fp8 on a CPU",
            install="mlx[cpu]",
            modules=("mlx.core",),
            formats={"E4M3FN": "fp8"},
            encode=_mlx,
            decode=_mlx_decode,
            sources=("float16", "bfloat16", "float32"),
        ),
        "onnx-saturate": _onnx_variant("saturate=1, E8M0 rounded up"),
        "onnx-nosat": _onnx_variant("saturate=0, E8M0 rounded up", saturate=0),
        "onnx-e8m0-down": _onnx_variant("E8M0 rounded down", round_mode="down"),
        "onnx-e8m0-nearest": _onnx_variant("E8M0 to nearest", round_mode="nearest"),
        "onnx-e8m0-nearest-nosat": _onnx_variant(
            "saturate=0, E8M0 to nearest", saturate=0, round_mode="nearest"
        ),
        "onnxruntime-saturate": _onnxruntime_variant("saturate=1", 1),
        "onnxruntime-nosat": _onnxruntime_variant("saturate=0", 0),
        "tinygrad": Library(
            about="tinygrad.dtype.float_to_fp8 and fp8_to_float, given Python numbers",
            install="tinygrad",
            modules=("tinygrad.dtype",),
            formats={
                "E4M3FN": "fp8e4m3",
                "E5M2": "fp8e5m2",
                "E4M3FNUZ": "fp8e4m3fnuz",
                "E5M2FNUZ": "fp8e5m2fnuz",
            },
            encode=_tinygrad,
            decode=_tinygrad_decode,
        ),
    },
    "casts",
    ("about",),
)
