"""Helpers for the readers' tests: independent writers, and what every refusal must be like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from fp8num.inputs import InputError, StoredTensor, open_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def refusal() -> Callable[[Path], str]:
    """Return the message with which a file is refused, after checking its form."""

    def message(path: Path) -> str:
        with pytest.raises(InputError) as caught:
            open_tensors(path)
        text = str(caught.value)
        assert text.isprintable(), "one line without control characters"
        assert len(text) < 3000
        return text

    return message


@pytest.fixture(scope="session")
def elements() -> Callable[..., npt.NDArray[np.generic]]:
    """Return all elements of a tensor, after checking the blocks' form."""

    def read(tensor: StoredTensor, size: int = 1 << 18) -> npt.NDArray[np.generic]:
        blocks = list(tensor.blocks(size))
        assert all(block.ndim == 1 and 0 < len(block) <= size for block in blocks)
        assert all(block.dtype.isnative and block.flags.writeable for block in blocks)
        assert sum(map(len, blocks)) == tensor.size
        return np.concatenate(blocks) if blocks else np.empty(0)

    return read


@pytest.fixture
def safetensors_file(tmp_path: Path) -> Callable[..., Path]:
    """Write the safetensors format from its description: length, JSON, data."""

    def write(header: object, data: bytes = b"", *, length: int | None = None) -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        prefix = (len(text) if length is None else length).to_bytes(8, "little")
        path = tmp_path / "x.safetensors"
        path.write_bytes(prefix + text + data)
        return path

    return write
