"""Stored tensors and names in messages."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest

from fp8num._text import shown
from fp8num.inputs import StoredTensor, tensor_from_array
from fp8num.inputs.source import FORMAT_NAMES, ITEM_SIZES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(np.float16, "F16"), (np.float32, "F32"), (np.float64, "F64"), (ml_dtypes.bfloat16, "BF16")],
)
def test_an_array_becomes_a_tensor_of_its_type(
    dtype: type, name: str, elements: Callable[..., np.ndarray]
) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)

    tensor = tensor_from_array("x", array)

    assert (tensor.name, tensor.file, tensor.dtype) == ("x", "built-in", name)
    assert (tensor.shape, tensor.size, tensor.format_name) == ((2, 3), 6, None)
    blocks = elements(tensor, 4)
    assert blocks.dtype == dtype
    np.testing.assert_array_equal(blocks.astype(float), np.arange(6.0))


@pytest.mark.parametrize("view", ["transposed", "strided", "reversed", "big-endian", "read-only"])
def test_every_view_is_yielded_in_c_order(view: str, elements: Callable[..., np.ndarray]) -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    array = {
        "transposed": array.T,
        "strided": array[:, ::2],
        "reversed": array[::-1],
        "big-endian": array.astype(">f4"),
        "read-only": array.copy(),
    }[view]
    array.flags.writeable = view != "read-only"

    read = elements(tensor_from_array("x", array), 5)

    assert read.tolist() == [float(value) for row in array.tolist() for value in row]


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_scalars_and_empty_arrays_are_ordinary(
    shape: tuple[int, ...], elements: Callable[..., np.ndarray]
) -> None:
    tensor = tensor_from_array("x", np.ones(shape, np.float32))

    assert len(elements(tensor)) == tensor.size == (1 if shape == () else 0)


@pytest.mark.parametrize("dtype", [np.int8, np.complex64, bool, np.longdouble, object])
def test_other_types_are_refused(dtype: type) -> None:
    with pytest.raises(TypeError, match=r"array must be float16, float32, .* of shape \(2,\)"):
        tensor_from_array("x", np.zeros(2, dtype))


def test_blocks_are_safe_to_keep() -> None:
    """A block is neither a view of the source nor of memory used for the next block."""
    array = np.arange(4, dtype=np.float32)
    tensor = tensor_from_array("x", array)

    first, second = tensor.blocks(2)
    first[:] = 99

    assert second.tolist() == [2, 3]
    assert array.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [0, -1])
def test_block_size_must_be_positive(size: int) -> None:
    """It is checked when blocks is called, not at the first iteration."""
    with pytest.raises(ValueError, match="size must be an integer, at least 1, got"):
        tensor_from_array("x", np.ones(2)).blocks(size)


@pytest.mark.parametrize("size", [1.0, "4", True, None])
def test_block_size_must_be_an_integer(size: object) -> None:
    with pytest.raises(TypeError, match="size must be an integer, .*; give elements per block"):
        tensor_from_array("x", np.ones(2)).blocks(size)  # type: ignore[arg-type]


def test_tensors_compare_by_description() -> None:
    array = np.ones(2)

    assert tensor_from_array("x", array) == tensor_from_array("x", array.copy())
    assert tensor_from_array("x", array) != tensor_from_array("y", array)
    assert len({tensor_from_array("x", array), tensor_from_array("x", array)}) == 1


def test_tensors_can_be_pickled(elements: Callable[..., np.ndarray]) -> None:
    tensor: StoredTensor = pickle.loads(pickle.dumps(tensor_from_array("x", np.ones(3))))  # noqa: S301

    assert elements(tensor).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weight", "'weight'"),
        ("a\nb\x1b[31m", r"'a\nb\x1b[31m'"),
        ("\u202egpj", r"'\u202egpj'"),
        ("<script>", "'<script>'"),
        ("\udcff", r"'\udcff'"),
        ("x" * 10_000, f"'{'x' * 100}...(10000 characters)...{'x' * 100}'"),
    ],
)
def test_names_in_messages_are_escaped_and_shortened(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_every_one_byte_type_names_a_format_of_the_catalogue() -> None:
    """So that a reader of codes can decode them."""
    from fp8num.formats import FORMATS

    assert set(FORMAT_NAMES) == {name for name, size in ITEM_SIZES.items() if size == 1}
    assert set(FORMAT_NAMES.values()) <= set(FORMATS)


def test_the_refusal_helper_notices_a_file_that_is_read(
    tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    np.save(tmp_path / "x.npy", np.ones(2))

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        refusal(tmp_path / "x.npy")


def test_the_elements_helper_notices_a_wrong_number(elements: Callable[..., np.ndarray]) -> None:
    short = replace(tensor_from_array("x", np.ones(2)), shape=(3,))

    with pytest.raises(AssertionError):
        elements(short)
