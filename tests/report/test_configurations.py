"""Configurations by what they say, read apart from the packages; tests/configs loads them there."""

from __future__ import annotations

import ast
import fnmatch
import json
import re
import sys
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.analysis import FileRecommendation, recommend
from fp8num.report.configurations import Configuration, configurations

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

HOSTILE = (
    'quote"colon: #comment',
    "back\\slash'apostrophe",
    "line one\n        - injected\r\x85\u2028",
    "\x00\x1b[31m\x7f",
    "\N{PILE OF POO} \N{LATIN SMALL LETTER E WITH ACUTE}",
    "\ud800 lone",
    "</script>{{ 7 * 7 }}${HOME}%s",
    "a*b?[c]+(d|e)$",
    "re:.*",
    "Linear",
    "*anchor &alias !tag",
)


def gaussian(rows: int = 64, k: int = 128) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((rows, k)).astype(np.float32)


def with_row(size: float) -> npt.NDArray[np.float32]:
    x = gaussian()
    x[5] *= np.float32(size)
    return x


def with_column(size: float) -> npt.NDArray[np.float32]:
    x = gaussian()
    x[:, 17] *= np.float32(size)
    return x


def with_nan() -> npt.NDArray[np.float32]:
    x = gaussian()
    x[1, 2] = np.nan
    return x


@cache
def decided() -> FileRecommendation:
    """Layer 1: an outlier row in q, NaN in gate; layer 10: a column in down, k is dead."""
    tensors = {"model.embed_tokens.weight": gaussian()}
    for i in (0, 1, 10):
        for part in ("self_attn.q", "self_attn.k", "self_attn.v", "mlp.gate", "mlp.up", "mlp.down"):
            tensors[f"model.layers.{i}.{part}_proj.weight"] = gaussian()
        tensors[f"model.layers.{i}.mlp.gate.weight"] = gaussian(16)
        tensors[f"model.layers.{i}.input_layernorm.weight"] = gaussian()[0]
    tensors["model.layers.1.self_attn.q_proj.weight"] = with_row(1e5)
    tensors["model.layers.1.mlp.gate_proj.weight"] = with_nan()
    tensors["model.layers.10.mlp.down_proj.weight"] = with_column(1e5)
    tensors["model.layers.10.self_attn.k_proj.weight"] = gaussian() * 0
    tensors["lm_head.weight"] = gaussian()
    return recommend(tensors)


#: What stays by hand: convention, NaN and what is fused with it, the column.
KEPT = {
    *(f"model.layers.{i}.mlp.gate" for i in (0, 1, 10)),
    *("model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj"),
    *("model.layers.10.mlp.down_proj", "lm_head"),
}
COARSE = {f"model.layers.1.self_attn.{part}_proj" for part in "qkv"}
MODULES = {
    *(f"model.layers.{i}.self_attn.{part}_proj" for i in (0, 1, 10) for part in "qkv"),
    *(f"model.layers.{i}.mlp.{x}" for i in (0, 1, 10) for x in ("gate_proj", "up_proj", "gate")),
    *(f"model.layers.{i}.mlp.down_proj" for i in (0, 1, 10)),
    *("lm_head", "model.lm_head", "lm_head.extra", "model.embed_tokens"),
}


def by_title(found: FileRecommendation) -> dict[str, Configuration]:
    return {one.title: one for one in configurations(found)}


def scalars(text: str, key: str) -> list[str]:
    """Return a block list's scalars; YAML's escapes are Python's, of those that are used."""
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.strip() == f"{key}:")
    indent = len(lines[start]) - len(lines[start].lstrip())
    found = []
    for line in lines[start + 1 :]:
        match = re.fullmatch(r'( *)- ("(?:[^"\\]|\\.)*")(  # [a-z0-9 ,;]+)?', line)
        if match is None or len(match[1]) <= indent:
            break
        found.append(ast.literal_eval(match[2]))
    return found


def recipe_ignore(config: Configuration) -> set[str]:
    return set(scalars(config.text, "ignore"))


def converted(config: Configuration, modules: set[str]) -> set[str]:
    """Run torchao's file on stand-ins and return what its filters let through."""

    class Linear: ...

    class Embedding: ...

    taken: set[str] = set()

    def quantize_(model: Any, config: Any, filter_fn: Callable[[Any, str], bool]) -> None:
        for name in model:
            assert not filter_fn(Embedding(), name)
            if filter_fn(Linear(), name):
                assert name not in taken
                taken.add(name)

    class Library(ModuleType):
        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: None

    library = Library("library")
    library.quantize_ = quantize_  # type: ignore[attr-defined]
    torch = ModuleType("torch")
    torch.nn = SimpleNamespace(Linear=Linear, Module=object)  # type: ignore[attr-defined]
    torch.float4_e2m1fn_x2 = None  # type: ignore[attr-defined]
    stands_in = {"torch": torch, "torchao.quantization": library}
    stands_in |= {"torchao": library, "torchao.prototype": library}
    stands_in["torchao.prototype.mx_formats"] = library
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stands_in.items():
            patch.setitem(sys.modules, name, module)
        space: dict[str, Any] = {}
        exec(compile(config.text, config.filename, "exec"), space)  # noqa: S102 - our own text
        space["quantise"](modules)
    return taken


def disabled(config: Configuration, modules: set[str]) -> set[str]:
    """Return what TransformerEngine's pattern is found in."""
    (line,) = [x for x in config.text.split("\n") if "layer_name_regex_pattern" in x]
    pattern = re.compile(ast.literal_eval(line.split(": ", 1)[1]))
    return {name for name in modules if pattern.search(name)}


def test_the_recipe_names_the_scheme_and_every_shard_with_the_reason() -> None:
    config = by_title(decided())["llm-compressor"]

    assert '      targets: ["Linear"]\n      scheme: "FP8_DYNAMIC"\n' in config.text
    assert recipe_ignore(config) == KEPT
    for line in (
        '- "model.layers.1.mlp.gate_proj"  # not finite, until it is mended',
        '- "model.layers.1.mlp.up_proj"  # fused with a layer that stays',
        '- "model.layers.10.mlp.down_proj"  # no scheme passes, until it is mended',
        '- "lm_head"  # output head, by convention',
        '- "model.layers.0.mlp.gate"  # router, by convention',
    ):
        assert line in config.text


def test_one_scale_leaves_out_more() -> None:
    config = by_title(decided())["One scale per tensor only: llm-compressor"]

    assert 'scheme: "FP8"\n' in config.text
    assert recipe_ignore(config) == KEPT | COARSE
    assert '- "model.layers.1.self_attn.q_proj"  # one scale loses too much' in config.text
    plain = recommend({"a.weight": gaussian(), "lm_head.weight": gaussian()})
    assert len(configurations(plain)) == 5


def test_json_is_complete() -> None:
    found = by_title(decided())
    config = json.loads(found["compressed-tensors"].text)["quantization_config"]
    modelopt = json.loads(found["ModelOpt"].text)["quantization"]

    assert config["quant_method"] == "compressed-tensors"
    assert config["format"] == "float-quantized"
    (group,) = config["config_groups"].values()
    assert group["weights"]["strategy"] == "channel"
    assert (
        group["input_activations"] | {"strategy": "token", "dynamic": True}
        == (group["input_activations"])
    )
    assert set(config["ignore"]) == KEPT
    assert modelopt["quant_algo"] == "FP8_PER_CHANNEL_PER_TOKEN"
    assert set(modelopt["exclude_modules"]) == KEPT


def test_modelopt_is_told_that_a_router_is_a_part_of_another_name() -> None:
    assert "vLLM takes 'model.layers.0.mlp.gate' for a part" in by_title(decided())["ModelOpt"].note


def test_the_filter_converts_all_but_what_stays() -> None:
    config = by_title(decided())["torchao"]

    assert converted(config, MODULES) == MODULES - KEPT
    assert "PerRow()" in config.text


def test_transformer_engine_matches_whole_names() -> None:
    """It has no scale per row, so that one scale's list counts."""
    config = by_title(decided())["TransformerEngine"]

    names = MODULES | {"lm_head\n", "xlm_head"}
    inferred = {f"model.{name}" for name in names}
    assert disabled(config, inferred) == {f"model.{name}" for name in KEPT | COARSE}
    assert disabled(config, names - {"model.lm_head"}) == KEPT | COARSE
    assert "no recipe for FP8_DYNAMIC" in config.note


@cache
def hostile() -> FileRecommendation:
    tensors = {f"{name}.weight": with_nan() for name in HOSTILE}
    return recommend(tensors | {f"x{name}.weight": gaussian() for name in HOSTILE})


def test_hostile_names_stay_names() -> None:
    """Each stays in 16 bits, and no other; all texts are ASCII lines of their language."""
    names = set(HOSTILE)
    modules = names | {f"x{name}" for name in HOSTILE}
    found = by_title(hostile())
    for config in found.values():
        assert config.text.isascii()
        assert set(config.text) <= {"\n"} | {chr(i) for i in range(32, 127)}
        assert config.note.isascii()

    def matched(entries: list[str]) -> set[str]:
        """Return what compressed-tensors matches: a name, a class, or a pattern's start."""
        return {
            name
            for name in modules
            for entry in entries
            if (re.match(entry[3:], name) if entry.startswith("re:") else entry in {name, "Linear"})
        }

    config = json.loads(found["compressed-tensors"].text)["quantization_config"]
    assert matched(config["ignore"]) == names
    assert matched(scalars(found["llm-compressor"].text, "ignore")) == names
    exclude = json.loads(found["ModelOpt"].text)["quantization"]["exclude_modules"]
    assert {x for x in modules for e in exclude if fnmatch.fnmatchcase(x, e)} == names
    assert converted(found["torchao"], modules) == modules - names
    assert disabled(found["TransformerEngine"], modules) == names


def mixed() -> FileRecommendation:
    """A block of 1e6 wants blocks and a row of 1e5 rows; the third takes one scale."""
    block = np.tile(gaussian(), (4, 3))
    block[:128, :128] *= np.float32(1e6)
    row = np.tile(gaussian(), (4, 3))
    row[5] *= np.float32(1e5)
    return recommend(
        {
            "Block.weight": block,
            "a.q_proj.weight": row,
            "a.k_proj.weight": row * 0,
            "b.weight": gaussian(),
            "lm_head.weight": gaussian(),
        },
        rules=["tensor", "row", "block-128x128"],
    )


def test_each_layer_has_its_own_scheme_where_no_one_serves() -> None:
    """A dead layer takes that of the layers it is fused with."""
    found = by_title(mixed())
    wanted = {"FP8_BLOCK": ["Block"], "FP8_DYNAMIC": ["a.q_proj", "a.k_proj"], "FP8": ["b"]}

    recipe = found["llm-compressor"].text
    assert {name: scalars(recipe, name) for name in wanted} == wanted | {
        "FP8_BLOCK": [r"re:Block\Z"]
    }
    config = json.loads(found["compressed-tensors"].text)["quantization_config"]
    groups = {g["weights"]["strategy"]: g["targets"] for g in config["config_groups"].values()}
    assert groups == {
        "block": [r"re:Block\Z"],
        "channel": ["a.q_proj", "a.k_proj"],
        "tensor": ["b"],
    }
    assert config["ignore"] == ["lm_head"]
    modelopt = json.loads(found["ModelOpt"].text)["quantization"]
    assert modelopt["quant_algo"] == "MIXED_PRECISION"
    assert modelopt["quantized_layers"]["a.k_proj"] == {"quant_algo": "FP8_PER_CHANNEL_PER_TOKEN"}
    everything = {name for names in wanted.values() for name in names}
    assert converted(found["torchao"], everything | {"lm_head"}) == everything
    assert disabled(found["TransformerEngine"], everything) == everything - {"b"}


@pytest.mark.parametrize(
    ("target", "scheme", "count"),
    [("mxfp8", "MXFP8", 5), ("nvfp4", "NVFP4", 5), ("mxfp4", "MXFP4", 4)],
)
def test_other_targets_have_their_presets(target: str, scheme: str, count: int) -> None:
    """TransformerEngine has no MXFP4."""
    found = configurations(
        recommend({"a.weight": gaussian(), "lm_head.weight": gaussian()}, target)
    )

    assert f'scheme: "{scheme}"\n' in found[0].text
    assert len(found) == count
    assert converted(found[3], {"a", "lm_head"}) == {"a"}


def test_a_width_that_a_package_refuses_stays_with_what_is_fused() -> None:
    tensors = {"a.gate_proj.weight": gaussian(k=48), "a.up_proj.weight": gaussian(k=48)}

    (recipe, *_) = configurations(recommend(tensors | {"b.weight": gaussian()}, "mxfp8"))

    assert recipe_ignore(recipe) == {"a.gate_proj", "a.up_proj"}
    assert "# width is no multiple of 32" in recipe.text


def test_a_tied_output_head_is_left_out_though_the_file_has_none() -> None:
    tensors = {"model.embed_tokens.weight": gaussian(), "a.weight": gaussian()}

    assert recipe_ignore(configurations(recommend(tensors))[0]) == {"lm_head"}


def test_what_is_no_linear_layer_is_said() -> None:
    tensors = {"h.0.mlp.c_fc.weight": gaussian(), "a.weight": gaussian()}

    (recipe, *_) = configurations(recommend(tensors))

    assert "Not of class Linear, so left as they are: 'h.0.mlp.c_fc.weight'." in recipe.note


def test_nothing_is_written_that_no_package_has() -> None:
    assert not configurations(recommend({"a.weight": gaussian()}, "E5M2"))
    assert not configurations(recommend({"a.weight": gaussian()}, "E3M4"))
    assert not configurations(recommend({"a.weight": gaussian()}, rules=["block-32"]))
    assert not configurations(recommend({"lm_head.weight": gaussian()}))
    assert not configurations(recommend({"h.0.mlp.c_fc.weight": gaussian()}))
