"""Decisions against damage computed apart from the package, and what is said of them."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num.analysis import FileRecommendation, Limits, recommend, schemes_for

Floats = npt.NDArray[np.float32]


def gaussian(rows: int = 256, k: int = 640, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((rows, k)).astype(np.float32)


def with_columns(size: float, *columns: int) -> Floats:
    x = gaussian()
    x[:, columns] *= np.float32(size)
    return x


def with_row(size: float) -> Floats:
    x = gaussian()
    x[5] *= np.float32(size)
    return x


def with_element(size: float) -> Floats:
    x = gaussian()
    x[5, 7] = size
    return x


@pytest.mark.parametrize(
    ("x", "decision"),
    [
        pytest.param(gaussian(), "tensor", id="Gaussian"),
        pytest.param(with_row(1e5), "row", id="row of 1e5"),
        pytest.param(with_element(1e6), "row", id="element of 1e6"),
        pytest.param(with_columns(1e5, 17), "keep", id="column of 1e5"),
    ],
)
def test_decisions_follow_the_damage(x: Floats, decision: str) -> None:
    """More cases, beside their damage, are in test_decisions."""
    assert recommend(x).decision == decision


@pytest.mark.parametrize(
    ("x", "axis", "index"),
    [
        (with_row(1e5), "row", {(5,)}),
        (with_element(1e6), "element", {(5, 7)}),
        (with_columns(1e5, 17, 400), "column", {(17,), (400,)}),
    ],
)
def test_the_cause_is_what_was_planted(x: Floats, axis: str, index: set[tuple[int, ...]]) -> None:
    found = recommend(x)

    assert {(part.axis, part.index) for part in found.cause} == {(axis, at) for at in index}


def test_an_excess_is_the_exact_output_error_over_what_the_format_costs() -> None:
    """Rounded by ml_dtypes; the planted channel is silent, so that nothing hides behind it."""
    import ml_dtypes

    x = with_element(1e6)
    scale = np.abs(x).max() / 448
    made = (x / scale).astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * scale
    heard = np.delete(np.arange(x.shape[1]), 7)
    exact = np.linalg.norm((made - x)[:, heard], axis=1) / np.linalg.norm(x[:, heard], axis=1)
    plain = gaussian(seed=5)
    own = np.abs(plain).max(axis=1, keepdims=True) / 448
    rounded = (plain / own).astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * own
    cost = np.linalg.norm(rounded - plain) / np.linalg.norm(plain)

    first = recommend(x).one_scale

    assert first is not None
    np.testing.assert_allclose(first.median, np.median(exact) / cost, rtol=0.1)


def test_one_damaged_row_is_allowed_and_named() -> None:
    found = recommend(with_element(1e6))

    assert found.chosen is not None
    assert [row for row, _ in found.chosen.left] == [5]
    assert "row 5; 1 of 256 left above the limit" in found.reason


def test_the_first_sentence_says_which_line_and_how_large() -> None:
    assert re.match(
        r"Row 5 is (9\d|10\d),000 times the median row \(FP8: ", recommend(with_row(1e5)).reason
    )


def test_a_column_is_mended_before_the_file_is_quantised() -> None:
    assert "smooth" in recommend(with_columns(1e5, 17)).reason


# Not finite, dead, kept.


def test_what_is_not_finite_is_named_with_its_place_and_the_rest_is_judged() -> None:
    x = gaussian()
    x[3, 7], x[9, 1] = np.nan, -np.inf

    found = recommend(x)

    assert found.decision == "not-finite"
    assert [at for at, _ in found.bad] == [(3, 7), (9, 1)]
    assert found.reason.startswith("NaN at [3, 7] and 1 more")
    assert "the rest is sound" in found.reason


def test_all_zeros_are_dead() -> None:
    assert recommend(np.zeros((32, 32), np.float32)).decision == "dead"


def test_convention_keeps_what_it_keeps_unless_told_otherwise() -> None:
    tensors = {"lm_head.weight": gaussian(32, 64), "model.norm.weight": gaussian(1, 64)[0]}

    assert [one.decision for one in recommend(tensors)] == ["keep", "keep"]
    assert recommend(tensors, keep={"lm_head.weight": False})["lm_head.weight"].decision == "tensor"


def test_k_is_the_first_axis_of_gpt_2() -> None:
    x = np.ascontiguousarray(with_row(1e5).T)

    found = recommend({"h.0.attn.c_attn.weight": x})["h.0.attn.c_attn.weight"]

    assert (found.decision, found.cause[0].axis) == ("row", "row")
    assert recommend(x, layout="out-in").cause[0].axis == "column"


def test_stacked_experts_are_judged_row_by_row() -> None:
    x = np.stack([gaussian(64, 128, seed) for seed in range(3)])
    x[1, 5] *= np.float32(1e5)

    found = recommend({"mlp.experts.w1.weight": x})["mlp.experts.w1.weight"]

    assert found.decision == "row"
    assert found.cause[0].index == (64 + 5,)


# Files.


@cache
def layers() -> dict[str, Floats]:
    return {
        "model.embed_tokens.weight": gaussian(64, 64),
        "model.layers.0.self_attn.q_proj.weight": with_row(1e5),
        "model.layers.0.self_attn.k_proj.weight": gaussian(),
        "model.layers.0.self_attn.v_proj.weight": gaussian(),
        "model.layers.0.self_attn.o_proj.weight": gaussian(),
        "model.layers.0.mlp.gate_proj.weight": with_columns(1e5, 17),
        "model.layers.0.mlp.up_proj.weight": gaussian(),
        "lm_head.weight": gaussian(64, 64),
    }


@cache
def decided() -> FileRecommendation:
    return recommend(layers())


def test_fused_layers_decide_together() -> None:
    found = decided()

    decisions = [one.decision for one in found]
    assert decisions == ["keep", "row", "row", "row", "tensor", "keep", "keep", "keep"]
    assert "q_proj" in found["model.layers.0.self_attn.k_proj.weight"].reason


def test_a_finer_scheme_that_another_member_fails_is_not_taken() -> None:
    """128x128 blocks fail where rows pass: the first that all pass counts, not the finest."""
    x = {"a.gate_proj.weight": with_row(1e5), "a.up_proj.weight": gaussian()}

    assert {one.decision for one in recommend(x, rules=["tensor", "block-128x128", "row"])} == {
        "row"
    }


def test_the_file_has_one_scheme_and_lists_what_stays() -> None:
    found = decided()

    assert found.scheme is not None
    assert found.scheme.name == "FP8_DYNAMIC"
    assert found.ignore == (
        "model.layers.0.mlp.gate_proj",
        "model.layers.0.mlp.up_proj",
        "lm_head",
    )
    attention = tuple(f"model.layers.0.self_attn.{x}_proj" for x in "qkv")
    assert set(found.one_scale_ignore) == {*found.ignore, *attention}
    np.testing.assert_allclose(found.bits_per_weight, 8 + 32 / 640)


def test_everything_is_json() -> None:
    text = json.dumps(decided().to_dict(), allow_nan=False)

    found = json.loads(text)
    assert {"decisions", "file"} == set(found)
    wanted = {
        "name",
        "decision",
        "format",
        "rule",
        "reason",
        "cause",
        "group",
        "one_scale",
        "chosen",
        "runner_up",
    }
    assert wanted <= set(found["decisions"][0])
    assert {"scheme", "bits_per_weight", "left", "ignore"} <= set(found["file"])


def test_the_table_has_a_row_a_tensor() -> None:
    frame = decided().to_frame()

    assert list(frame["name"]) == list(layers())


# Activations.


def test_a_channel_that_is_silent_costs_nothing() -> None:
    x = with_columns(1e5, 17)
    heard, silent = np.ones(640), np.ones(640)
    silent[17] = 0

    loud = recommend(x, activations=heard).one_scale
    quiet = recommend(x, activations=silent).one_scale

    assert loud is not None
    assert quiet is not None
    assert loud.output_error < 0.06
    assert quiet.output_error > 0.3


def test_activations_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 640 mean squares, one for each input channel"):
        recommend(gaussian(), activations=np.ones(3))


# Targets, limits and bad usage.


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("E4M3FN", ["FP8", "FP8_DYNAMIC", "FP8_BLOCK", "MXFP8"]),
        ("nvfp4", ["NVFP4"]),
        ("e2m1fn", ["NVFP4", "MXFP4"]),
        (fp.E3M4, ["tensor", "row", "block-128x128"]),
    ],
)
def test_schemes_of_a_target(target: Any, names: list[str]) -> None:
    assert [scheme.name for scheme in schemes_for(target)] == names


@pytest.mark.parametrize("target", ["nvfp4", "mxfp4", "E5M2", "E2M3FN", "mxfp8"])
def test_ordinary_data_pass_every_target(target: str) -> None:
    found = recommend(gaussian(), target)

    assert found.chosen is not None
    # One scale for E2M3 costs 1.09 times what a scale per row does.
    assert 0.9 < found.chosen.median < 1.15


def test_limits_can_be_set() -> None:
    assert recommend(with_row(1e5), limits=Limits(median=100, row=100)).decision == "tensor"
    with pytest.raises(
        ValueError, match="median of the limits must be a number from 1 on, got 0.5"
    ):
        Limits(median=0.5)
    with pytest.raises(ValueError, match="share of the limits must be from 0 to 1, got 2"):
        Limits(share=2)


def test_bad_usage_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one tensor, got none"):
        recommend({})
    with pytest.raises(ValueError, match="rules must name at least one, got none"):
        recommend(gaussian(), rules=[])
    with pytest.raises(ValueError, match="nope"):
        recommend(gaussian(), "nope")


def test_an_empty_tensor_is_dead() -> None:
    found = recommend(np.empty((0, 32), np.float32))

    assert found.decision == "dead"
    assert math.isnan(found.margin)


def test_rules_limit_what_is_tried_and_not_what_it_is_judged_by() -> None:
    """The same trial, by its deployed name, whether others might have been tried or not."""
    x = gaussian()
    x[5] *= 1e6

    free, one = recommend(x), recommend(x, rules="tensor")

    assert (free.decision, one.decision) == ("row", "keep")
    assert one.trials[0].scheme.name == "FP8"
    assert one.trials[0].median == free.trials[0].median


def test_the_cost_is_the_least_of_the_target_s_schemes() -> None:
    """NVFP4 costs Gaussian data less than MXFP4 does, wherever it is in the list."""
    x = gaussian()

    assert recommend(x, "E2M1FN").trials[0].median == recommend(x, "nvfp4").trials[0].median


def test_a_rule_that_does_not_take_the_shape_is_not_tried() -> None:
    found = recommend(
        {"w": np.ones((4, 24), np.float32)}, rules=["te-nvfp4-rht"], keep={"w": False}
    )

    assert found["w"].decision == "keep"
    assert found["w"].reason == "No scheme takes its shape: it stays in 16 bits."
