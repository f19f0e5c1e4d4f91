"""Roles as the packages that quantise checkpoints assign them: names from published models."""

from __future__ import annotations

import numpy as np
import pytest

from fp8num.analysis.roles import module_of, role_of, shared_name


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("model.layers.0.mlp.gate_proj.weight", (1728, 640), "linear"),
        ("model.layers.0.self_attn.o_proj.weight", (640, 640), "linear"),
        ("encoder.layer.0.attention.self.query.weight", (768, 768), "linear"),
        ("normalizer.weight", (64, 64), "linear"),
        ("normal.weight", (64, 64), "linear"),
        ("backbone.norm_f.weight", (64,), "norm"),
        ("blocks.0.norm1.weight", (64,), "norm"),
        ("model.embed_tokens.weight", (8192, 640), "embedding"),
        ("transformer.wte.weight", (50257, 768), "embedding"),
        ("token_embd.weight", (32000, 4096), "embedding"),
        ("lm_head.weight", (8192, 640), "output head"),
        ("model.layers.0.input_layernorm.weight", (640,), "norm"),
        ("model.layers.0.self_attn.q_norm.weight", (128,), "norm"),
        ("transformer.h.0.ln_1.weight", (768,), "norm"),
        ("model.norm.weight", (640,), "norm"),
        ("model.layers.0.self_attn.q_proj.bias", (640,), "bias"),
        ("model.layers.3.mlp.gate.weight", (64, 2048), "router"),
        ("model.layers.3.block_sparse_moe.gate.weight", (8, 4096), "router"),
        ("model.layers.3.mlp.shared_expert_gate.weight", (1, 2048), "router"),
        ("backbone.layers.0.mixer.A_log", (80,), "state space"),
        ("backbone.layers.0.mixer.conv1d.weight", (5120, 1, 4), "state space"),
        ("head.weight", (10, 64), "odd width"),
        ("scale", (), "vector"),
    ],
)
def test_kept_by_convention(name: str, shape: tuple[int, ...], kind: str) -> None:
    assert role_of(name, shape).kind == kind


@pytest.mark.parametrize(
    ("name", "shape", "matrix"),
    [
        ("model.layers.0.mlp.up_proj.weight", (48, 32), (48, 32)),
        ("h.0.attn.c_attn.weight", (32, 96), (96, 32)),
        ("conv1.weight", (64, 16, 3, 3), (64, 144)),
        ("model.layers.0.mlp.experts.w1.weight", (4, 48, 32), (4, 48, 32)),
        ("model.layers.0.mlp.experts.gate_up_proj", (4, 32, 96), (4, 96, 32)),
    ],
)
def test_k_is_the_last_axis_of_the_matrix(
    name: str, shape: tuple[int, ...], matrix: tuple[int, ...]
) -> None:
    assert role_of(name, shape).matrix(np.empty(shape)).shape == matrix


def test_what_is_given_goes_before_what_is_inferred() -> None:
    role = role_of("lm_head.weight", (32, 64), layout="in-out", keep=False)

    assert (role.kind, role.layout, role.assumed) == ("linear", "in-out", "in-out, as given")
    assert role_of("a.weight", (32, 64), keep=True).is_kept


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="layout must be one of out-in, in-out, convolution, got"):
        role_of("a", (4, 4), layout="oi")  # type: ignore[arg-type]


def test_shards_of_one_product_share_a_name() -> None:
    layer = "model.layers.7."

    assert len({shared_name(f"{layer}self_attn.{x}_proj.weight") for x in "qkv"}) == 1
    assert shared_name(layer + "mlp.gate_proj.weight") == shared_name(layer + "mlp.up_proj.weight")
    assert shared_name(layer + "mlp.gate_proj.weight") != shared_name(
        "model.layers.8.mlp.up_proj.weight"
    )
    assert shared_name(layer + "self_attn.o_proj.weight") == layer + "self_attn.o_proj.weight"


def test_a_module_is_called_as_ignore_lists_call_it() -> None:
    assert module_of("model.layers.0.mlp.down_proj.weight") == "model.layers.0.mlp.down_proj"
