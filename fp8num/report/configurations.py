"""
Decisions as configurations that packages load, each name as its package matches names.

::

    FileRecommendation -> plan: layers by preset, what stays and why -> a text for each package

A name is whatever a file says: it is quoted for YAML, JSON and Python by ASCII escapes alone, and
written so that it matches one module and never a class, a prefix or a pattern.
"""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fp8num.analysis.roles import NO_LAYERS, module_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fp8num.analysis import FileRecommendation, Recommendation
    from fp8num.analysis.schemes import Scheme

__all__ = ["Configuration", "configurations"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A text that a package loads."""

    title: str  #: the package, and what the text is to it
    filename: str  #: what the file is called there
    language: str  #: ``"yaml"``, ``"json"`` or ``"python"``
    text: str  #: all of it, in ASCII
    note: str  #: what to know before it is used, in a sentence or two


@dataclass(frozen=True, slots=True, eq=False)
class _Preset:
    """A scheme in the words of each package."""

    name: str  #: llm-compressor's and compressed-tensors'
    format: str  #: compressed-tensors', of the file
    weights: Mapping[str, Any]
    activations: Mapping[str, Any]
    modelopt: Mapping[str, Any]  #: of hf_quant_config.json
    modelopt_recipe: str  #: of modelopt.torch.quantization, for mtq.quantize
    torchao_imports: tuple[str, str]
    torchao: str  #: the expression of the configuration
    transformer_engine: str = ""  #: the recipe; empty if there is none
    multiple: int = 1  #: what K must be a multiple of
    calibrated: bool = False  #: whether activations need data beforehand


_FLOAT8: dict[str, Any] = {"num_bits": 8, "type": "float", "symmetric": True, "dynamic": False}
_MX = {"strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"}
_NV = {"strategy": "tensor_group", "group_size": 16, "scale_dtype": "torch.float8_e4m3fn"}
_DYNAMIC = {"dynamic": True}
_FLOAT4 = _FLOAT8 | {"num_bits": 4}
_TORCHAO = "torchao.quantization"
_TORCHAO_MX = "torchao.prototype.mx_formats"
_F8 = "Float8DynamicActivationFloat8WeightConfig"
_MX_CONFIG = "MXDynamicActivationMXWeightConfig"

_FP8 = _Preset(
    name="FP8",
    format="float-quantized",
    weights=_FLOAT8 | {"strategy": "tensor"},
    activations=_FLOAT8 | {"strategy": "tensor", "observer": "static_minmax"},
    modelopt={"quant_algo": "FP8"},
    modelopt_recipe="FP8_DEFAULT_CFG",
    torchao_imports=(_TORCHAO, f"{_F8}, PerTensor"),
    torchao=f"{_F8}(granularity=PerTensor())",
    transformer_engine="Float8CurrentScaling",
    calibrated=True,
)
_FP8_DYNAMIC = _Preset(
    name="FP8_DYNAMIC",
    format="float-quantized",
    weights=_FLOAT8 | {"strategy": "channel"},
    activations=_FLOAT8 | {"strategy": "token"} | _DYNAMIC,
    modelopt={"quant_algo": "FP8_PER_CHANNEL_PER_TOKEN"},
    modelopt_recipe="FP8_PER_CHANNEL_PER_TOKEN_CFG",
    torchao_imports=(_TORCHAO, f"{_F8}, PerRow"),
    torchao=f"{_F8}(granularity=PerRow())",
)
_FP8_BLOCK = _Preset(
    name="FP8_BLOCK",
    format="float-quantized",
    weights=_FLOAT8 | {"strategy": "block", "block_structure": [128, 128]},
    activations=_FLOAT8 | {"strategy": "group", "group_size": 128} | _DYNAMIC,
    modelopt={"quant_algo": "FP8_PB_WO"},
    modelopt_recipe="FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG",
    torchao_imports=(_TORCHAO, f"{_F8}, PerBlock"),
    torchao=f"{_F8}(granularity=[PerBlock([1, 128]), PerBlock([128, 128])])",
    transformer_engine="Float8BlockScaling",
    multiple=128,
)
_MXFP8 = _Preset(
    name="MXFP8",
    format="mxfp8-quantized",
    weights=_FLOAT8 | _MX,
    activations=_FLOAT8 | _MX | _DYNAMIC,
    modelopt={"quant_algo": "MXFP8", "group_size": 32},
    modelopt_recipe="MXFP8_DEFAULT_CFG",
    torchao_imports=(_TORCHAO_MX, _MX_CONFIG),
    torchao=f"{_MX_CONFIG}()",
    transformer_engine="MXFP8BlockScaling",
    multiple=32,
)
_NVFP4 = _Preset(
    name="NVFP4",
    format="nvfp4-pack-quantized",
    weights=_FLOAT4 | _NV,
    activations=_FLOAT4 | _NV | {"dynamic": "local", "observer": "static_minmax"},
    modelopt={"quant_algo": "NVFP4", "group_size": 16},
    modelopt_recipe="NVFP4_DEFAULT_CFG",
    torchao_imports=(_TORCHAO_MX, "NVFP4DynamicActivationNVFP4WeightConfig"),
    torchao="NVFP4DynamicActivationNVFP4WeightConfig()",
    transformer_engine="NVFP4BlockScaling",
    multiple=16,
    calibrated=True,
)
_FLOAT4_DTYPE = "torch.float4_e2m1fn_x2"
_MXFP4 = _Preset(
    name="MXFP4",
    format="mxfp4-pack-quantized",
    weights=_FLOAT4 | _MX,
    activations=_FLOAT4 | _MX | _DYNAMIC,
    modelopt={"quant_algo": "MXFP4", "group_size": 32},
    modelopt_recipe="MXFP4_DEFAULT_CFG",
    torchao_imports=(_TORCHAO_MX, _MX_CONFIG),
    torchao=f"{_MX_CONFIG}(activation_dtype={_FLOAT4_DTYPE}, weight_dtype={_FLOAT4_DTYPE})",
    multiple=32,
)
#: By format and rule of the weights, the libraries' own rules for it included.  No package has
#: presets of other formats.
_PRESETS = {
    (fmt, rule): preset
    for fmt, preset, rules in (
        ("E4M3FN", _FP8, "tensor te-current torchao-tensorwise"),
        ("E4M3FN", _FP8_DYNAMIC, "row torchao-rowwise"),
        ("E4M3FN", _FP8_BLOCK, "block-128x128 torchao-block-128x128 te-block-128x128-fp32"),
        ("E4M3FN", _MXFP8, "te-mxfp8 mxfp8-e4m3fn torchao-mx-rceil compressed-tensors-mxfp8"),
        ("E2M1FN", _NVFP4, "te-nvfp4 torchao-nvfp4"),
        ("E2M1FN", _MXFP4, "mxfp4-e2m1fn modelopt-mxfp4"),
    )
    for rule in rules.split()
}


@dataclass(frozen=True, slots=True)
class _Quantised:
    """Which linear layers each preset is for, and which stay in 16 bits, why."""

    layers: Mapping[_Preset, tuple[str, ...]]
    kept: Mapping[str, str]

    def targets(self, preset: _Preset) -> list[str]:
        """Return what compressed-tensors takes: a class if all take one preset, else names."""
        return ["Linear"] if len(self.layers) == 1 else [_exact(x) for x in self.layers[preset]]


def configurations(found: FileRecommendation) -> tuple[Configuration, ...]:
    """
    Write a file's decisions as configurations of the packages that quantise.

    They reach modules of class ``Linear``, as these packages do: a convolution, GPT-2's
    ``Conv1D`` and stacked experts are left as they are.  Where no one scheme serves the file,
    each layer has its own, by its exact name.  All layers that one product computes are in the
    list, or none.  What a package refuses by its width stays in 16 bits too.

    Loaded by compressed-tensors 0.19.0 and 0.20.1, llm-compressor 0.14.0.1, ModelOpt 0.47.0,
    torchao 0.18.0 and, for TransformerEngine, nvdlfw-inspect 0.2.2.

    >>> import numpy as np, fp8num as fp
    >>> weights = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)
    >>> found = fp.recommend({"up_proj.weight": weights, "lm_head.weight": weights})
    >>> print(configurations(found)[0].text)
    default_stage:
      default_modifiers:
        QuantizationModifier:
          targets: ["Linear"]
          scheme: "FP8"
          ignore:
            - "lm_head"  # output head, by convention
    <BLANKLINE>
    """
    plan = _plan(found, None)
    coarse = next((one.one_scale.scheme for one in found if one.one_scale), None)
    one_scale = _plan(found, coarse) if coarse else None
    if one_scale and plan and set(one_scale.layers) == set(plan.layers):
        one_scale = None
    made = []
    if plan:
        others = _not_reached(found)
        made = [_recipe(plan, others), _quantization_config(plan), _modelopt(plan), _torchao(plan)]
        made += _transformer_engine(plan, one_scale)
    if one_scale:
        made.append(_recipe(one_scale, "", one_scale=True))
    return tuple(made)


# What goes where.


def _plan(found: FileRecommendation, one_scale: Scheme | None) -> _Quantised | None:
    """Assign presets to layers: one scale to all that take it, or what was decided."""
    ignored = set(found.one_scale_ignore if one_scale else found.ignore)
    common = one_scale or found.scheme
    own = {one.group: one.chosen.scheme for one in found if one.chosen}
    live = [one for one in found if _is_linear(one) and module_of(one.name) not in ignored]
    # A dead layer has no scheme of its own: that of the layers it is fused with, or the first.
    schemes = {
        one.group: common or own.get(one.group) or next(iter(own.values()), None) for one in live
    }
    presets = {
        group: _PRESETS.get((scheme.format.name, scheme.rule.name)) if scheme else None
        for group, scheme in schemes.items()
    }
    if not presets or None in presets.values():
        return None
    narrow = {
        one.group: preset
        for one in live
        if (preset := presets[one.group]) and one.shape[-1] % preset.multiple
    }
    kept = {
        module_of(one.name): _why(one, alone=one_scale is None)
        for one in found
        if module_of(one.name) in ignored
    }
    layers: dict[_Preset, list[str]] = {}
    for one in live:
        preset = presets[one.group]
        if one.group in narrow:
            kept[module_of(one.name)] = f"width is no multiple of {narrow[one.group].multiple}"
        elif preset:
            layers.setdefault(preset, []).append(module_of(one.name))
    kinds = {one.role.kind for one in found}
    if "embedding" in kinds and "output head" not in kinds:
        kept["lm_head"] = "output head, by convention; tied, so that the file has none"
    unique = {preset: tuple(dict.fromkeys(names)) for preset, names in layers.items()}
    return _Quantised(unique, kept) if unique else None


def _is_linear(one: Recommendation) -> bool:
    return one.role.layout == "out-in" and len(one.shape) == 2 and one.role.kind not in NO_LAYERS


def _why(one: Recommendation, *, alone: bool) -> str:
    """Say why a layer stays in 16 bits."""
    if one.role.is_kept:
        known = {"odd width": "a width is no multiple of 16", "kept on request": "as asked"}
        return known.get(one.role.kind, f"{one.role.kind}, by convention")
    if one.decision == "not-finite":
        return "not finite, until it is mended"
    if one.decision == "keep" and not one.with_:
        return "no scheme passes, until it is mended"
    if not alone and one.one_scale and not one.one_scale.passes:
        return "one scale loses too much"
    return "fused with a layer that stays"


def _not_reached(found: FileRecommendation) -> str:
    """Say which layers would take a scheme and are no linear layers to these packages."""
    names = [one.name for one in found if one.chosen and not _is_linear(one)]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"Not of class Linear, so left as they are: {names[0]!a}{more}." if names else ""


# Names as each language quotes, and each package matches, them.


def _yaml(text: str) -> str:
    """Quote text for YAML; JSON's pairs of surrogates would be two characters there."""
    plain = {"\\": r"\\", '"': r"\""}
    quoted = (plain.get(c) or (c if " " <= c <= "~" else f"\\U{ord(c):08x}") for c in text)
    return f'"{"".join(quoted)}"'


def _exact(name: str) -> str:
    """Write a name for compressed-tensors, to which it could be a class or a pattern."""
    could_be_class = name.isidentifier() and name != name.lower()
    if could_be_class or name.startswith("re:"):
        return f"re:{re.escape(name)}\\Z"
    return name


def _yaml_list(names: Iterable[tuple[str, str]], indent: int) -> list[str]:
    """Return a line for each name, with its comment."""
    pad = " " * indent
    return [f"{pad}- {_yaml(name)}" + (f"  # {why}" if why else "") for name, why in names]


# A text for each package.


def _recipe(plan: _Quantised, others: str, *, one_scale: bool = False) -> Configuration:
    lines = ["default_stage:", "  default_modifiers:", "    QuantizationModifier:"]
    if len(plan.layers) == 1:
        (preset,) = plan.layers
        lines += ['      targets: ["Linear"]', f'      scheme: "{preset.name}"']
    else:
        lines += ["      scheme:"]
        for preset in plan.layers:
            lines += [f"        {preset.name}:"]
            lines += _yaml_list(((target, "") for target in plan.targets(preset)), 10)
    lines += ["      ignore:" if plan.kept else "      ignore: []"]
    lines += _yaml_list(((_exact(name), why) for name, why in plan.kept.items()), 8)
    note = "oneshot(model=model, recipe="
    if any(preset.calibrated for preset in plan.layers):
        note += "..., dataset=...): the scales of the activations need data."
    else:
        note += "...) needs no data."
    return Configuration(
        title="One scale per tensor only: llm-compressor" if one_scale else "llm-compressor",
        filename="recipe-one-scale.yaml" if one_scale else "recipe.yaml",
        language="yaml",
        text="\n".join(lines) + "\n",
        note=f"{note} {others}".strip(),
    )


def _quantization_config(plan: _Quantised) -> Configuration:
    formats = {preset.format for preset in plan.layers}
    config = {
        "quant_method": "compressed-tensors",
        "format": formats.pop() if len(formats) == 1 else "mixed-precision",
        "quantization_status": "compressed",
        "config_groups": {
            f"group_{i}": {
                "targets": plan.targets(preset),
                "weights": dict(preset.weights),
                "input_activations": dict(preset.activations),
                "output_activations": None,
                "format": preset.format,
            }
            for i, preset in enumerate(plan.layers)
        },
        "ignore": [_exact(name) for name in plan.kept],
        "kv_cache_scheme": None,
    }
    return Configuration(
        title="compressed-tensors",
        filename="config.json",
        language="json",
        text=json.dumps({"quantization_config": config}, indent=2) + "\n",
        note="What the config.json of the quantised checkpoint says; llm-compressor writes it.",
    )


def _modelopt(plan: _Quantised) -> Configuration:
    quantization: dict[str, Any]
    if len(plan.layers) == 1:
        (preset,) = plan.layers
        quantization = dict(preset.modelopt)
        made = f"mtq.{preset.modelopt_recipe}"
    else:
        layers = {
            name: dict(preset.modelopt) for preset, names in plan.layers.items() for name in names
        }
        quantization = {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
        made = "a configuration for each layer"
    quantization |= {
        "kv_cache_quant_algo": None,
        "exclude_modules": [glob.escape(name) for name in plan.kept],
    }
    note = (
        f"What ModelOpt writes beside the checkpoint. Made by mtq.quantize with {made} and, "
        'for each of these modules, {"quantizer_name": "MODULE.*", "enable": False}.'
    )
    if _FP8_BLOCK in plan.layers:
        note += " ModelOpt has 128x128 blocks for weights only."
    every = "\n".join(name for names in plan.layers.values() for name in names)
    part = next((name for name in plan.kept if name in every), None)
    if part is not None:
        note += f" vLLM takes {part!a} for a part of a name too and leaves out more than that."
    return Configuration(
        title="ModelOpt",
        filename="hf_quant_config.json",
        language="json",
        text=json.dumps({"producer": {"name": "modelopt"}, "quantization": quantization}, indent=2)
        + "\n",
        note=note,
    )


def _torchao(plan: _Quantised) -> Configuration:
    imports: dict[str, set[str]] = {_TORCHAO: {"quantize_"}}
    for preset in plan.layers:
        module, needed = preset.torchao_imports
        imports.setdefault(module, set()).update(needed.split(", "))
    lines = ["import torch"] if _MXFP4 in plan.layers else []
    lines += ["from torch import nn"]
    for module in sorted(imports):
        lines += [f"from {module} import {', '.join(sorted(imports[module]))}"]
    if len(plan.layers) == 1:
        (preset,) = plan.layers
        keep = [f"    {name!a},  # {why}" for name, why in plan.kept.items()]
        lines += ["", "KEEP = {", *keep, "}"] if keep else ["", "KEEP = frozenset()"]
        lines += _filter("convert", "not in KEEP")
        calls = [f"config = {preset.torchao}", "quantize_(model, config, filter_fn=convert)"]
    else:
        calls = []
        for preset, names in plan.layers.items():
            lines += ["", f"{preset.name} = {{", *(f"    {name!a}," for name in names), "}"]
            convert = f"convert_{preset.name.lower()}"
            lines += _filter(convert, f"in {preset.name}")
            calls += [f"config = {preset.torchao}"]
            calls += [f"quantize_(model, config, filter_fn={convert})"]
    lines += ["", "", "def quantise(model: nn.Module) -> None:", *(f"    {call}" for call in calls)]
    return Configuration(
        title="torchao",
        filename="quantise.py",
        language="python",
        text="\n".join(lines) + "\n",
        note="quantise(model) changes the model in place; its weights must be bfloat16.",
    )


def _filter(name: str, test: str) -> list[str]:
    """Return the lines of a function that torchao asks about each module."""
    return [
        *("", "", f"def {name}(module: nn.Module, fqn: str) -> bool:"),
        f"    return isinstance(module, nn.Linear) and fqn {test}",
    ]


def _transformer_engine(plan: _Quantised, one_scale: _Quantised | None) -> list[Configuration]:
    """Leave layers out by debug features: one scheme for the model, each layer with or without."""
    note = (
        "Read by debug_api.initialize(config_file=...), before which debug_api."
        "infer_and_assign_layer_names(model) names the layers; up to TransformerEngine 2.12 the "
        "feature is DisableFP8Layer."
    )
    if len(plan.layers) > 1 or not next(iter(plan.layers)).transformer_engine:
        if one_scale is None:
            return []
        names = " and ".join(preset.name for preset in plan.layers)
        plan, note = one_scale, f"There is no recipe for {names}, so this is for one scale. {note}"
    (preset,) = plan.layers
    if not plan.kept:
        return []
    # The pattern is searched for, anywhere in a name; inferred ones begin with "model.", to which
    # the modules' own names are appended.
    pattern = f"^(?:model\\.)?(?:{'|'.join(re.escape(name) for name in plan.kept)})\\Z"
    lines = (
        f"# with recipe={preset.transformer_engine}()",
        "keep_in_16_bits:",
        "  enabled: True",
        "  layers:",
        f"    layer_name_regex_pattern: {_yaml(pattern)}",
        "  transformer_engine:",
        "    DisableQuantizationLayer:",
        "      enabled: True",
    )
    return [
        Configuration(
            title="TransformerEngine",
            filename="debug.yaml",
            language="yaml",
            text="\n".join(lines) + "\n",
            note=note,
        )
    ]
