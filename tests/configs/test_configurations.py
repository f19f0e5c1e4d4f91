"""
Configurations loaded by the packages that they are for, on a CPU: which modules are quantised.

::

    llm-compressor        the recipe's parser, its modifier on the model
    compressed-tensors    QuantizationConfig, apply_quantization_config, match_named_modules
    ModelOpt              mtq.quantize and what it would export; its converter to the other form
    torchao               the file is run; its check for a GPU is left out
    TransformerEngine     nvdlfw-inspect, which reads its debug file; a stand-in for the feature
"""

from __future__ import annotations

import fnmatch
import json
import warnings
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.analysis import recommend
from fp8num.report.configurations import Configuration, configurations

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

pytestmark = [
    pytest.mark.configs,
    # Of the packages, when they are imported: none is about a configuration.
    pytest.mark.filterwarnings("default"),
]

LAYERS = 12
ROWS, K = 64, 128
HOSTILE = (
    'quote"colon: #comment',
    "back\\slash'apostrophe",
    "line one\n        - injected\r\x85",
    "\x00\x1b[31m\x7f",
    "\N{PILE OF POO} \N{LATIN SMALL LETTER E WITH ACUTE}",
    "</script>{{ 7 * 7 }}${HOME}%s",
    "a*b?[c]+(d|e)$",
    "re:",
    "Linear",
    "Module",
)


def gaussian(rows: int = ROWS, k: int = K) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((rows, k)).astype(np.float32)


def linear_names() -> list[str]:
    """Of layers 0 to 11: 1 is a prefix of 10 and 11, and gate, a router, of gate_proj."""
    names = []
    for i in range(LAYERS):
        names += [f"model.layers.{i}.self_attn.{x}_proj" for x in "qkvo"]
        names += [
            f"model.layers.{i}.mlp.{x}" for x in ("gate", "gate_proj", "up_proj", "down_proj")
        ]
    return [*names, "lm_head"]


ROUTERS = {f"model.layers.{i}.mlp.gate" for i in range(LAYERS)}
#: NaN in layer 1, a column of 1e5 in layer 3, by hand; and convention.
KEPT = {
    *("model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj"),
    *("model.layers.3.self_attn.q_proj", "model.layers.3.self_attn.k_proj"),
    *("model.layers.3.self_attn.v_proj", "lm_head"),
} | ROUTERS
#: Rows of 1e5.
COARSE = {
    *("model.layers.1.mlp.down_proj", "model.layers.11.mlp.gate_proj"),
    *("model.layers.11.mlp.up_proj",),
}
QUANTISED = set(linear_names()) - KEPT


def planted() -> dict[str, npt.NDArray[np.float32]]:
    tensors = {f"{name}.weight": gaussian() for name in linear_names()}
    tensors |= {f"{name}.weight": gaussian(16) for name in ROUTERS}
    tensors["model.embed_tokens.weight"] = gaussian()
    tensors["model.norm.weight"] = gaussian()[0]
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = np.nan
    tensors["model.layers.3.self_attn.k_proj.weight"][:, 17] *= np.float32(1e5)
    tensors["model.layers.1.mlp.down_proj.weight"][5] *= np.float32(1e5)
    tensors["model.layers.11.mlp.gate_proj.weight"][5] *= np.float32(1e5)
    return tensors


def model_of(tensors: dict[str, npt.NDArray[np.float32]], dtype: str = "float32") -> Any:
    """Make modules of a file's names: linear, an embedding, or a norm."""
    import torch
    from torch import nn

    root = nn.Module()
    for name, array in tensors.items():
        *path, last = name.removesuffix(".weight").split(".")
        parent = root
        for part in path:
            if part not in parent._modules:
                parent.add_module(part, nn.Module())
            parent = parent._modules[part]  # type: ignore[assignment]
        if "embed" in last:
            module: nn.Module = nn.Embedding(*array.shape)
        elif array.ndim == 1:
            module = nn.LayerNorm(len(array), bias=False)
        else:
            module = nn.Linear(array.shape[1], array.shape[0], bias=False)
        module.weight.data = torch.from_numpy(array.copy())
        parent.add_module(last, module)
    return root.to(getattr(torch, dtype))


@cache
def written(target: str = "E4M3FN") -> dict[str, Configuration]:
    return {one.title: one for one in configurations(recommend(planted(), target))}


def ignored(target: str) -> set[str]:
    """Return what stays in 16 bits: `KEPT`, but what one of the finer schemes may mend."""
    config = json.loads(written(target)["compressed-tensors"].text)["quantization_config"]
    found = set(config["ignore"])
    assert found == KEPT if target == "E4M3FN" else KEPT >= found >= ROUTERS
    return found


@cache
def mixed() -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, Configuration]]:
    """Three layers, of which no two take the same scheme."""
    block = np.tile(gaussian(), (4, 3))
    block[:128, :128] *= np.float32(1e6)
    row = np.tile(gaussian(), (4, 3))
    row[5] *= np.float32(1e5)
    tensors = {"Block": block, "a.q_proj": row, "a.k_proj": row * 0, "b": gaussian()}
    tensors |= {"lm_head": gaussian(), "b1": with_nan()}
    tensors = {f"{name}.weight": array for name, array in tensors.items()}
    found = recommend(tensors, rules=["tensor", "row", "block-128x128"])
    return tensors, {one.title: one for one in configurations(found)}


MIXED = {"Block": "block", "a.q_proj": "channel", "a.k_proj": "channel", "b": "tensor"}


def with_nan() -> npt.NDArray[np.float32]:
    x = gaussian()
    x[0, 0] = np.nan
    return x


@cache
def hostile() -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, Configuration]]:
    """Each name is broken and stays; each with a letter before it is quantised."""
    tensors = {f"{name}.weight": with_nan() for name in HOSTILE}
    tensors |= {f"x{name}.weight": gaussian() for name in HOSTILE}
    return tensors, {one.title: one for one in configurations(recommend(tensors))}


# compressed-tensors.


def compressed(model: Any, text: str) -> dict[str, str]:
    """Apply a configuration; return the strategy of each module's weights."""
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config

    config = QuantizationConfig.model_validate(json.loads(text)["quantization_config"])
    apply_quantization_config(model, config, show_progress=False)
    return {
        name: str(module.quantization_scheme.weights.strategy)
        for name, module in model.named_modules()
        if hasattr(module, "quantization_scheme")
    }


def test_compressed_tensors_quantises_what_was_decided() -> None:
    from compressed_tensors.utils.match import match_named_modules

    text = written()["compressed-tensors"].text
    model = model_of(planted())

    assert compressed(model, text) == dict.fromkeys(QUANTISED, "channel")
    config = json.loads(text)["quantization_config"]
    (group,) = config["config_groups"].values()
    matched = match_named_modules(model_of(planted()), group["targets"], config["ignore"])
    assert {name for name, _ in matched} == QUANTISED


def test_compressed_tensors_takes_each_layers_own_scheme() -> None:
    tensors, found = mixed()

    assert compressed(model_of(tensors), found["compressed-tensors"].text) == MIXED


def test_compressed_tensors_matches_hostile_names() -> None:
    tensors, found = hostile()

    text = found["compressed-tensors"].text
    assert set(compressed(model_of(tensors), text)) == {f"x{name}" for name in HOSTILE}


@pytest.mark.parametrize("target", ["E4M3FN", "mxfp8", "nvfp4", "mxfp4"])
def test_arguments_are_those_of_the_preset(target: str) -> None:
    """Of the same name in the recipe; and the format is what the package infers."""
    import yaml
    from compressed_tensors.quantization import QuantizationConfig
    from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme

    found = written(target)
    recipe = yaml.safe_load(found["llm-compressor"].text)
    modifier = recipe["default_stage"]["default_modifiers"]["QuantizationModifier"]
    config = QuantizationConfig.model_validate(
        json.loads(found["compressed-tensors"].text)["quantization_config"]
    )
    (group,) = config.config_groups.values()

    preset = preset_name_to_scheme(modifier["scheme"], ["Linear"])
    assert group.model_dump(exclude={"format"}) == preset.model_dump(exclude={"format"})
    assert str(group.format) == config.format == inferred_format(group)


def test_arguments_of_all_fp8_presets_are_the_packages() -> None:
    from compressed_tensors.quantization import QuantizationConfig
    from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme

    text = mixed()[1]["compressed-tensors"].text
    config = QuantizationConfig.model_validate(json.loads(text)["quantization_config"])

    presets = {"block": "FP8_BLOCK", "channel": "FP8_DYNAMIC", "tensor": "FP8"}
    assert len(config.config_groups) == 3
    for group in config.config_groups.values():
        preset = preset_name_to_scheme(presets[group.weights.strategy], group.targets)
        assert group.model_dump(exclude={"format"}) == preset.model_dump(exclude={"format"})


def inferred_format(scheme: Any) -> str:
    """Return the format that the package infers for a linear layer of a scheme."""
    from compressed_tensors.compressors.format import infer_module_format
    from torch import nn

    return str(infer_module_format(nn.Linear, scheme).value)


# llm-compressor.


def modified(model: Any, text: str) -> dict[str, str]:
    """Read a recipe and attach its schemes; return the strategy of each module's weights."""
    from llmcompressor.recipe import Recipe

    (modifier,) = Recipe.create_instance(text).modifiers
    modifier.initialize_quantization(model)
    return {
        name: str(module.quantization_scheme.weights.strategy)
        for name, module in model.named_modules()
        if hasattr(module, "quantization_scheme")
    }


def test_llm_compressor_quantises_what_was_decided() -> None:
    text = written()["llm-compressor"].text

    assert modified(model_of(planted()), text) == dict.fromkeys(QUANTISED, "channel")


def test_llm_compressor_leaves_out_more_where_there_is_one_scale() -> None:
    text = written()["One scale per tensor only: llm-compressor"].text

    assert modified(model_of(planted()), text) == dict.fromkeys(QUANTISED - COARSE, "tensor")


def test_llm_compressor_takes_each_layers_own_scheme() -> None:
    tensors, found = mixed()

    assert modified(model_of(tensors), found["llm-compressor"].text) == MIXED


def test_llm_compressor_matches_hostile_names() -> None:
    tensors, found = hostile()

    text = found["llm-compressor"].text
    assert set(modified(model_of(tensors), text)) == {f"x{name}" for name in HOSTILE}


def test_llm_compressor_would_refuse_the_width_that_stays() -> None:
    tensors = {"a.gate_proj.weight": gaussian(k=48), "a.up_proj.weight": gaussian(k=48)}
    tensors["b.weight"] = gaussian()
    text = configurations(recommend(tensors, "mxfp8"))[0].text

    assert set(modified(model_of(tensors), text)) == {"b"}
    entry = '        - "a.up_proj"  # width is no multiple of 32\n'
    assert entry in text
    with pytest.raises(ValueError, match="not divisible by"):
        modified(model_of(tensors), text.replace(entry, ""))


@pytest.mark.parametrize(
    ("target", "rules"),
    [("E4M3FN", "row"), ("E4M3FN", "block-128x128"), ("mxfp8", None), ("mxfp4", None)],
)
def test_llm_compressor_writes_the_same_configuration_and_transformers_loads_it(
    target: str, rules: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Llama of 12 layers, made of random numbers; schemes that need no data."""
    import torch
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 256, "vocab_size": 64}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": LAYERS}
    made = LlamaForCausalLM(LlamaConfig(**shape, **heads)).to(torch.bfloat16)
    made.model.layers[1].mlp.up_proj.weight.data[0, 17] = torch.inf
    made.save_pretrained(tmp_path / "plain")
    tensors = {name: x.float().numpy() for name, x in made.state_dict().items()}
    recipe, config, *_ = configurations(recommend(tensors, target, rules))
    (tmp_path / recipe.filename).write_text(recipe.text, encoding="ascii")

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    oneshot(model=model, recipe=str(tmp_path / recipe.filename))
    model.save_pretrained(tmp_path / "quantised", save_compressed=True)

    path = tmp_path / "quantised" / "config.json"
    theirs = json.loads(path.read_text(encoding="utf-8"))
    ours = json.loads(config.text)
    assert said(theirs["quantization_config"], ours["quantization_config"]) == said(
        ours["quantization_config"], ours["quantization_config"]
    )
    path.write_text(json.dumps(theirs | ours), encoding="utf-8")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "quantised")
    plain = {
        name
        for name, module in loaded.named_modules()
        if isinstance(module, torch.nn.Linear) and not hasattr(module, "quantization_scheme")
    }
    assert plain == {
        *("model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj", "lm_head"),
    }


def said(config: Any, wanted: Any) -> Any:
    """Return what a configuration says of what another says, but of how scales are observed."""
    if isinstance(wanted, dict):
        return {key: said(config[key], value) for key, value in wanted.items() if key != "observer"}
    return config


# ModelOpt.


def exported(tensors: dict[str, Any], config: Configuration, recipe: str) -> tuple[set[str], Any]:
    """Quantise as the note says; return the quantised modules and what would be exported."""
    import modelopt.torch.quantization as mtq
    import torch
    from modelopt.torch.export.quant_utils import get_quant_config

    model = model_of(tensors, "bfloat16")
    exclude = json.loads(config.text)["quantization"]["exclude_modules"]
    base = getattr(mtq, recipe)
    rules = [{"quantizer_name": f"{module}.*", "enable": False} for module in exclude]
    assert f"mtq.{recipe} " in config.note

    def forward(model: Any) -> None:
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module(torch.ones(2, module.in_features, dtype=torch.bfloat16))

    model = mtq.quantize(model, {**base, "quant_cfg": [*base["quant_cfg"], *rules]}, forward)
    names = {
        name
        for name, module in model.named_modules()
        if hasattr(module, "weight_quantizer") and module.weight_quantizer.is_enabled
    }
    return names, get_quant_config(model)["quantization"]


@pytest.mark.parametrize(
    ("target", "recipe", "algorithm"),
    [
        ("E4M3FN", "FP8_PER_CHANNEL_PER_TOKEN_CFG", "FP8_PER_CHANNEL_PER_TOKEN"),
        ("nvfp4", "NVFP4_DEFAULT_CFG", "NVFP4"),
        ("mxfp8", "MXFP8_DEFAULT_CFG", "MXFP8"),
    ],
)
def test_modelopt_exports_what_was_written(target: str, recipe: str, algorithm: str) -> None:
    """Its own list is of prefixes; both leave out the same layers."""
    config = written(target)["ModelOpt"]
    ours = json.loads(config.text)["quantization"]
    names = {*linear_names(), "model.embed_tokens"}

    quantised, theirs = exported(planted(), config, recipe)

    kept = set(linear_names()) - quantised
    assert kept == ignored(target)
    assert ours["quant_algo"] == theirs["quant_algo"] == algorithm
    assert ours.get("group_size") == theirs.get("group_size")
    assert excluded(names, ours) == kept
    assert excluded(names, theirs) & set(linear_names()) == kept


def excluded(names: set[str], quantization: Any) -> set[str]:
    """Return the names that match an entry, as vLLM and SGLang match them."""
    entries = quantization["exclude_modules"]
    return {name for name in names if any(fnmatch.fnmatchcase(name, entry) for entry in entries)}


def test_modelopt_matches_hostile_names() -> None:
    tensors, found = hostile()

    quantised, _ = exported(tensors, found["ModelOpt"], "FP8_DEFAULT_CFG")

    assert quantised == {f"x{name}" for name in HOSTILE}


def test_modelopt_converts_what_was_written() -> None:
    """Each scheme is one that it knows, and the list arrives whole."""
    from modelopt.torch.export.convert_hf_config import convert_hf_quant_config_format

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = convert_hf_quant_config_format(json.loads(written("nvfp4")["ModelOpt"].text))

    assert made["quant_method"] == "modelopt"
    assert set(made["ignore"]) >= ROUTERS


# torchao.


def converted(model: Any, config: Configuration, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the file on a model; return each quantised weight's block."""
    from torchao.prototype.mx_formats import inference_workflow
    from torchao.quantization import quant_api

    monkeypatch.setattr(quant_api, "_check_hardware_support", lambda granularity: None)
    monkeypatch.setattr(inference_workflow, "is_sm_at_least_100", lambda: True)
    space: dict[str, Any] = {}
    exec(compile(config.text, config.filename, "exec"), space)  # noqa: S102 - our own text
    space["quantise"](model)
    return {
        name: module.weight.block_size
        for name, module in model.named_modules()
        if hasattr(module, "weight") and "torchao" in type(module.weight.data).__module__
    }


@pytest.mark.parametrize("target", ["E4M3FN", "mxfp8", "nvfp4", "mxfp4"])
def test_torchao_converts_what_was_decided(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = written(target)["torchao"]
    kept = set(
        json.loads(written(target)["compressed-tensors"].text)["quantization_config"]["ignore"]
    )

    found = converted(model_of(planted(), "bfloat16"), config, monkeypatch)

    assert set(found) == set(linear_names()) - kept
    if target == "E4M3FN":
        assert {tuple(block) for block in found.values()} == {(1, K)}


def test_torchao_takes_each_layers_own_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, found = mixed()

    made = converted(model_of(tensors, "bfloat16"), found["torchao"], monkeypatch)

    assert {name: tuple(block) for name, block in made.items()} == {
        "Block": (128, 128),
        "a.q_proj": (1, 3 * K),
        "a.k_proj": (1, 3 * K),
        "b": (ROWS, K),
    }


def test_torchao_matches_hostile_names(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, found = hostile()

    made = converted(model_of(tensors, "bfloat16"), found["torchao"], monkeypatch)

    assert set(made) == {f"x{name}" for name in HOSTILE}


# TransformerEngine.


def disabled(config: Configuration, model: Any, folder: Path) -> set[str]:
    """Load a debug file and name a model's layers; return those that the feature is for."""
    import nvdlfw_inspect.api as debug_api
    from nvdlfw_inspect.config_manager import ConfigManager
    from nvdlfw_inspect.logging import initialize_logger

    path = folder / config.filename
    path.write_text(config.text, encoding="ascii")
    initialize_logger(str(folder))
    debug_api.infer_and_assign_layer_names(model)
    registry = {
        "transformer_engine": SimpleNamespace(features={"DisableQuantizationLayer": None}),
        "base": SimpleNamespace(features={}),
    }
    ConfigManager.reset()
    try:
        ConfigManager._load_config(str(path), registry)
        features = {
            name: ConfigManager.get_config_for_layer(module.name)
            for name, module in model.named_modules()
        }
    finally:
        ConfigManager.reset()
    wanted = {"transformer_engine": {"DisableQuantizationLayer": {"enabled": True}}}
    assert all(found in ({}, wanted) for found in features.values())
    return {name for name, found in features.items() if found}


def test_transformer_engine_leaves_out_what_one_scale_fails(tmp_path: Path) -> None:
    config = written()["TransformerEngine"]

    assert disabled(config, model_of(planted()), tmp_path) == KEPT | COARSE


def test_transformer_engine_matches_hostile_names(tmp_path: Path) -> None:
    tensors, found = hostile()

    assert disabled(found["TransformerEngine"], model_of(tensors), tmp_path) == set(HOSTILE)
