"""A checkpoint with six planted faults: the right thing is said of each, and of the file."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from fp8num.analysis import FileRecommendation, recommend
from fp8num.inputs import open_tensors, write_safetensors

WIDTH, INNER, VOCABULARY, LAYERS = 128, 256, 64, 5
ELEMENT, COLUMNS, DEAD, ROW, NAN, INFINITE = (
    "model.layers.0.mlp.gate_proj",
    "model.layers.1.mlp.down_proj",
    "model.layers.2.self_attn.k_proj",
    "model.layers.3.self_attn.q_proj",
    "model.layers.4.mlp.up_proj",
    "model.layers.4.mlp.gate_proj",
)
PLANTED = (ELEMENT, COLUMNS, DEAD, ROW, NAN, INFINITE)
FUSED = ("model.layers.0.mlp.up_proj", *(f"model.layers.3.self_attn.{x}_proj" for x in "kv"))


def checkpoint() -> dict[str, Any]:
    """Return a small language model's tensors in bfloat16, the embedding first."""
    rng = np.random.default_rng(1)
    tensors = {"model.embed_tokens.weight": rng.normal(0, 0.02, (VOCABULARY, WIDTH))}
    shapes = {
        "self_attn.q_proj": (WIDTH, WIDTH, 0.03),
        "self_attn.k_proj": (WIDTH // 4, WIDTH, 0.03),
        "self_attn.v_proj": (WIDTH // 4, WIDTH, 0.02),
        "self_attn.o_proj": (WIDTH, WIDTH, 0.02),
        "mlp.gate_proj": (INNER, WIDTH, 0.02),
        "mlp.up_proj": (INNER, WIDTH, 0.02),
    }
    for i in range(LAYERS):
        for name, (out, k, size) in shapes.items():
            tensors[f"model.layers.{i}.{name}.weight"] = rng.normal(0, size, (out, k))
        down = rng.standard_t(4, (WIDTH, INNER)) * 0.012
        tensors[f"model.layers.{i}.mlp.down_proj.weight"] = down
        tensors[f"model.layers.{i}.input_layernorm.weight"] = rng.normal(0.4, 0.05, WIDTH)
    tensors["model.norm.weight"] = rng.normal(5, 0.8, WIDTH)
    tensors["lm_head.weight"] = rng.normal(0, 0.02, (VOCABULARY, WIDTH))
    tensors[f"{ELEMENT}.weight"][0, 0] = 3000
    # A whole layer's 4,000 times: of fewer elements the largest one is smaller.
    tensors[f"{COLUMNS}.weight"][:, [17, 40, 150]] *= 8000
    tensors[f"{DEAD}.weight"][:] = 0
    tensors[f"{ROW}.weight"][5] *= 3e4
    tensors[f"{NAN}.weight"][3, 7] = np.nan
    tensors[f"{INFINITE}.weight"][3, 7] = np.inf
    return {name: x.astype(np.float32).astype(ml_dtypes.bfloat16) for name, x in tensors.items()}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> FileRecommendation:
    path = tmp_path_factory.mktemp("planted") / "model.safetensors"
    write_safetensors(path, checkpoint())
    return recommend(open_tensors(path).tensors)


@pytest.mark.parametrize(
    ("module", "axis", "indices"),
    [
        (ELEMENT, "element", {(0, 0)}),
        (COLUMNS, "column", {(17,), (40,), (150,)}),
        (ROW, "row", {(5,)}),
    ],
)
def test_an_outlier_needs_a_scale_per_row_and_is_named(
    found: FileRecommendation, module: str, axis: str, indices: set[tuple[int, ...]]
) -> None:
    one = found[f"{module}.weight"]

    assert one.decision == "row"
    assert one.one_scale is not None
    assert not one.one_scale.passes
    assert {(part.axis, part.index) for part in one.cause} == {(axis, at) for at in indices}


@pytest.mark.parametrize(("module", "ratio"), [(ELEMENT, 3000 / 0.02), (COLUMNS, 8e3), (ROW, 3e4)])
def test_an_outlier_is_as_large_as_was_planted(
    found: FileRecommendation, module: str, ratio: float
) -> None:
    """Within a factor of 2.5: an element is over its geometric mean, 0.53 of the deviation."""
    for part in found[f"{module}.weight"].cause:
        assert ratio / 1.5 < part.ratio < 2.5 * ratio


@pytest.mark.parametrize(("module", "value"), [(NAN, math.nan), (INFINITE, math.inf)])
def test_what_is_not_finite_is_named_with_its_place(
    found: FileRecommendation, module: str, value: float
) -> None:
    one = found[f"{module}.weight"]

    assert (one.decision, one.bad_count) == ("not-finite", 1)
    assert [at for at, _ in one.bad] == [(3, 7)]
    np.testing.assert_equal(one.bad[0][1], value)


def test_a_dead_layer_is_dead_and_ignored_nowhere(found: FileRecommendation) -> None:
    assert found[f"{DEAD}.weight"].decision == "dead"
    assert DEAD not in {*found.ignore, *found.one_scale_ignore}


def test_layers_fused_with_a_planted_one_go_with_it(found: FileRecommendation) -> None:
    needed = {name: found[f"{name}.weight"].with_ for name in FUSED}

    assert needed == {
        FUSED[0]: (f"{ELEMENT}.weight",),
        FUSED[1]: (f"{ROW}.weight",),
        FUSED[2]: (f"{ROW}.weight",),
    }


def test_nothing_else_is_accused(found: FileRecommendation) -> None:
    touched = {f"{name}.weight" for name in (*PLANTED, *FUSED)}
    others = {one.decision for one in found if one.name not in touched}
    linear = {
        one.decision
        for one in found
        if one.name not in touched and one.name.endswith("_proj.weight")
    }

    assert others == {"tensor", "keep"}
    assert linear == {"tensor"}


def test_the_file_takes_rows_and_one_row_is_left(found: FileRecommendation) -> None:
    """With a scale per row, what the element does to its own row stays."""
    assert found.scheme is not None
    assert found.scheme.name == "FP8_DYNAMIC"
    assert [(module, row) for module, row, _ in found.left] == [(ELEMENT, 0)]


def test_the_ignore_lists_hold_whole_modules(found: FileRecommendation) -> None:
    broken = {"lm_head", NAN, INFINITE}

    assert set(found.ignore) == broken
    assert set(found.one_scale_ignore) == {*broken, ELEMENT, COLUMNS, ROW, *FUSED}
