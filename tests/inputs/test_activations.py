"""Mean squares of input channels, from the files that tools write."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.inputs import InputError, read_activations, write_safetensors

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [
    "model.embed_tokens.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.mlp.down_proj.weight",
    "model.norm.weight",
]
SQUARES = np.array([0.5, 0.0, 4.0, 1e-30], np.float32)


def saved(path: Path, **vectors: Any) -> Path:
    np.savez(path, **vectors)
    return path


@pytest.mark.parametrize("suffix", ["", ".weight"])
def test_a_layer_is_found_with_and_without_weight(suffix: str, tmp_path: Path) -> None:
    name = "model.layers.0.mlp.down_proj" + suffix
    write_safetensors(tmp_path / "a.safetensors", {name: SQUARES})
    files = [saved(tmp_path / "a.npz", **{name: SQUARES}), tmp_path / "a.safetensors"]

    for path in files:
        for names in (NAMES, [name.removesuffix(".weight") for name in NAMES]):
            found = read_activations(path, names)
            assert list(found) == [names[2]]
            np.testing.assert_array_equal(found[names[2]], SQUARES.astype(np.float64))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"w": np.ones((2, 2), np.float32)}, r"'w', must be a vector .* F32 of shape \(2, 2\)"),
        ({"w": np.float32(1)}, r"must be a vector of mean squares.* shape \(\)"),
        ({"w": np.empty(0, np.float32)}, "it is empty"),
        ({"w": np.array([1, -2.0])}, "it has -2.0 at 1; give means"),
        ({"w": np.array([np.nan])}, "it has nan at 0"),
        ({"w": np.ones(3), "n": np.arange(3)}, r"'n' is skipped \(integers\)"),
        ({"w": np.ones(3)}, "none of them is in the checkpoint: the first is 'w'"),
        ({"model.layers.0.mlp.down_prj": np.ones(3)}, "did you mean .*layers.0.mlp.down_proj"),
    ],
)
def test_what_cannot_be_mean_squares_is_refused(
    vectors: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_activations(saved(tmp_path / "a.npz", **vectors), NAMES)


@pytest.mark.parametrize("name", ["none.npz", "none.gguf", "a.dat"])
def test_a_file_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(b"imatrix")

    with pytest.raises(InputError, match="does not exist|which is not read"):
        read_activations(tmp_path / name, NAMES)


def test_without_the_package_gguf_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "gguf", None)

    with pytest.raises(InputError, match=r"pip install 'fp8num\[gguf\]'"):
        read_activations(tmp_path / "a.gguf", NAMES)


def imatrix(path: Path, **tensors: Any) -> Path:
    """Write what llama.cpp writes, by the package gguf."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_type("imatrix")
    for name, array in tensors.items():
        writer.add_tensor(name, np.asarray(array, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.peers
@pytest.mark.parametrize("layer", ["blk.0.ffn_down.weight", NAMES[2]])
def test_an_imatrix_holds_sums_over_counts(layer: str, tmp_path: Path) -> None:
    """By llama.cpp's name and by the checkpoint's own; of two experts, over both."""
    sums = [[8.0, 0.0, 2.0], [4.0, 6.0, 0.0]]
    path = imatrix(
        tmp_path / "i.gguf", **{f"{layer}.in_sum2": sums, f"{layer}.counts": [[3.0], [1.0]]}
    )

    found = read_activations(path, NAMES)

    assert list(found) == [NAMES[2]]
    np.testing.assert_array_equal(found[NAMES[2]], [3.0, 1.5, 0.5])


@pytest.mark.peers
@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"w.in_sum2": [[1.0]]}, "'w', has no counts beside its in_sum2"),
        ({"w.weight": [[1.0]]}, "holds no sums of squares"),
        ({"w.in_sum2": [[1.0]], "w.counts": [[0.0]]}, "holds no sums of squares"),
        ({"w.in_sum2": [[-1.0]], "w.counts": [[2.0]]}, "it has -0.5 at 0"),
    ],
)
def test_a_gguf_that_is_no_imatrix_is_refused(
    tensors: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_activations(imatrix(tmp_path / "i.gguf", **tensors), NAMES)


@pytest.mark.peers
def test_a_damaged_gguf_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = imatrix(tmp_path / "i.gguf", **{"w.in_sum2": [[1.0] * 8], "w.counts": [[2.0]]})
    data = whole.read_bytes()
    for end in range(1, len(data) - 32, 7):
        (tmp_path / "cut.gguf").write_bytes(data[:end])
        with pytest.raises(InputError, match="cut.gguf"):
            read_activations(tmp_path / "cut.gguf", NAMES)
