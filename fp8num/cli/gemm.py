"""``fp8num gemm``: what accumulators make of the product of two tensors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fp8num._text import shown

if TYPE_CHECKING:
    import argparse

    import numpy.typing as npt

    from fp8num.accumulate import Accumulator
    from fp8num.analysis.products import ProductError
    from fp8num.scaled import ScaledArray

__all__ = ["add_parser", "run"]

DESCRIPTION = """
Multiply two matrices under named accumulators, and show how far each product is from the
exact one. A and B are .npy, .npz or .safetensors files, or FILE:NAME for one tensor of
several; A of shape (M, K), B of shape (K, N), or (N, K) with --transpose-b as PyTorch keeps
weights. Floats are scaled and quantised by --rule first; FP8 codes are taken as they are, and
arrays that fp8num stored with their scales (FILE:NAME) with them. The columns: the share of
outputs that differ from the exact product rounded to float32, the largest error, the norm of
the errors over that of the product, the largest error over the sum of the products'
magnitudes, and the sum of errors away from zero over that of the outputs (negative where sums
are shrunk). An accumulator that does not take the operands is left out, with the reason.
"""
EPILOG = "exit code 0: the products were computed; 2: wrong usage, or a file cannot be read"
DEFAULT = "exact,float32,hopper,hopper-promoted"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    parser = subparsers.add_parser(
        "gemm",
        help="what accumulators make of a product",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("a", metavar="A", help="a file, or FILE:NAME")
    parser.add_argument("b", metavar="B", help="another, or the same")
    parser.add_argument(
        "--accumulator",
        default=DEFAULT,
        metavar="NAMES",
        help=f"accumulators, separated by commas (default: {DEFAULT})",
    )
    parser.add_argument(
        "--rule", default="tensor", help="how floats are scaled (default: tensor, one scale)"
    )
    parser.add_argument("--format", metavar="F", help="format of the codes (default: the rule's)")
    parser.add_argument("--transpose-b", action="store_true", help="B has shape (N, K)")
    parser.add_argument("--json", action="store_true", help="write the records as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """
    Compare the accumulators that the arguments name.

    Parameters
    ----------
    arguments : argparse.Namespace
        What `add_parser` asks for.

    Returns
    -------
    int
        0.

    Raises
    ------
    ValueError
        If an argument is wrong, or a file cannot be read.
    """
    from fp8num.accumulate import get_accumulator
    from fp8num.analysis.products import compare_accumulators

    names = [name.strip() for name in arguments.accumulator.split(",") if name.strip()]
    units = [get_accumulator(name) for name in names]
    a = _operand(arguments.a, arguments, axis=-1)
    b = _operand(arguments.b, arguments, axis=-1 if arguments.transpose_b else 0)
    if arguments.transpose_b:
        b = b.transpose()
    refusals = {unit.name: _refusal(a, b, unit) for unit in units}
    taken = [unit for unit in units if refusals[unit.name] is None]
    if units and not taken:
        raise ValueError(refusals[units[0].name])
    records = compare_accumulators(a, b, taken)
    if arguments.json:
        print(json.dumps([record.to_dict() for record in records], indent=2, allow_nan=False))
        return 0
    print(_heading(a, b))
    print(_table(records))
    for name, refusal in refusals.items():
        if refusal is not None:
            print(f"{name} left out: {refusal}")
    return 0


def _refusal(a: ScaledArray, b: ScaledArray, unit: Accumulator) -> str | None:
    """Return why an accumulator does not take the operands, tried on one output."""
    from fp8num.accumulate import matmul

    if a.shape[1] != b.shape[0]:
        return None  # no accumulator's fault
    try:
        matmul(a[:1], b[:, :1], accumulator=unit)
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _operand(text: str, arguments: argparse.Namespace, *, axis: int) -> ScaledArray:
    """Return a tensor of a file as codes with scales."""
    import numpy as np

    from fp8num.formats import get_format
    from fp8num.scaled import ScaledArray
    from fp8num.scaling import scale_quantize

    stored = _stored(text)
    if stored is not None:
        return stored
    array, format_name = _read(text)
    if array.ndim != 2:
        msg = f"{shown(text)} must be a matrix, got shape {array.shape}"
        raise ValueError(msg)
    if format_name is None:
        return scale_quantize(array, arguments.rule, fmt=arguments.format, axis=axis)
    if arguments.format is not None and get_format(arguments.format).name != format_name:
        msg = f"--format must be {format_name} or be left out, {shown(text)} holds codes of it"
        raise ValueError(msg)
    whole = tuple(max(length, 1) for length in array.shape)
    return ScaledArray(array, get_format(format_name), np.ones((), np.float32), whole)


def _split(text: str) -> tuple[str, str]:
    """Return the file and the name in it, empty if there is none."""
    from pathlib import Path

    if ":" not in text or Path(text).exists():
        return text, ""
    path, _, name = text.rpartition(":")
    return path, name


def _stored(text: str) -> ScaledArray | None:
    """Return a scaled array that fp8num stored under a name; None if it is none."""
    from fp8num.inputs import InputError, load_scaled

    path, name = _split(text)
    if not name or not path.endswith(".safetensors"):
        return None
    try:
        return load_scaled(path).get(name)
    except InputError:
        return None


def _read(text: str) -> tuple[npt.NDArray[Any], str | None]:
    """Return a tensor's elements, and the format if they are codes."""
    import numpy as np

    from fp8num.inputs import InputError, open_tensors
    from fp8num.inputs.files import element_type

    path, name = _split(text)
    tensors = open_tensors(path).tensors
    names = [tensor.name for tensor in tensors]
    if (name and name not in names) or (not name and len(tensors) > 1):
        what = f"no tensor {shown(name)}" if name else "several tensors; name one as FILE:NAME"
        msg = f"{shown(path)} holds {what}: {', '.join(shown(known, 60) for known in names[:10])}"
        raise InputError(msg)
    tensor = tensors[names.index(name)] if name else tensors[0]
    blocks = list(tensor.blocks(max(tensor.size, 1)))  # one, or none without elements
    flat = blocks[0] if blocks else np.empty(0, element_type(tensor.dtype))
    return flat.reshape(tensor.shape, order=tensor.order), tensor.format_name


def _heading(a: ScaledArray, b: ScaledArray) -> str:
    (m, k), (_, n) = a.shape, b.shape
    made = ["unscaled codes" if x.rule is None else f"scaled by {x.rule.name}" for x in (a, b)]
    both = made[0] if made[0] == made[1] else " and ".join(made)
    return f"({m}, {k}) {a.format.name} times ({k}, {n}) {b.format.name}, {both}"


def _table(records: tuple[ProductError, ...]) -> str:
    """Return the records as a table under what its columns mean."""
    from fp8num._text import columns

    head = ("accumulator", "differs", "max error", "in norm", "of |A||B|", "bias", "model")
    rows = [
        (
            record.accumulator,
            f"{record.differing:.2%}",
            f"{record.max_abs_error:.3g}",
            f"{record.relative_frobenius:.3g}",
            f"{record.max_scaled_error:.3g}",
            f"{record.bias:+.2g}",
            record.verified,
        )
        for record in records
    ]
    lines = [columns([head, *rows], "<>>>>><")]
    odd = [record for record in records if record.not_finite]
    lines += [f"{r.accumulator}: {r.not_finite} outputs are infinite or NaN" for r in odd]
    return "\n".join(lines)
