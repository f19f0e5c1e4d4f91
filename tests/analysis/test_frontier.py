"""The frontier of bits against error, against every choice there is."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

from fp8num.analysis import Frontier, frontier, schemes_for
from fp8num.analysis.frontier import require_reachable

SCHEMES = tuple(scheme for target in ("nvfp4", "E4M3FN") for scheme in schemes_for(target))


def weights(rows: int, k: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((rows, k)).astype(np.float32)


def small_file() -> dict[str, Any]:
    """Three layers on their own, and two that are fused; sizes differ."""
    file = {
        "a.down_proj": weights(32, 64, 0),
        "a.o_proj": weights(64, 128, 1),
        "b.down_proj": np.random.default_rng(2).standard_t(2, (48, 64)),
        "a.gate_proj": weights(32, 64, 3),
        "a.up_proj": weights(32, 64, 4),
        "norm.weight": weights(1, 64, 5)[0],
    }
    file["a.o_proj"][3] *= 1e5
    file["a.gate_proj"][:, 5] *= 3e4
    return file


def losses(x: Any, squares: Any = None) -> list[tuple[float, float]]:
    """Bits and squared error of a layer under each scheme and in 16 bits, by definition."""
    import fp8num as fp

    found = []
    for scheme in SCHEMES:
        scaled = fp.scale_quantize(x, scheme.rule, fmt=scheme.format)
        error = (scaled.dequantize(np.float64) - x) ** 2
        if squares is None:
            blocks = np.asarray(x, np.float64).reshape(-1, 32) ** 2
            wrong = error.reshape(-1, 32).copy()
            top = blocks.argmax(axis=1)
            for part in (blocks, wrong):
                part[np.arange(len(part)), top] = 0
            norms = np.sqrt(blocks.sum(axis=1)).reshape(len(x), -1)
            counted = norms >= 1e-3 * np.median(norms, axis=1, keepdims=True)
            ratio = (wrong.sum(axis=1) / blocks.sum(axis=1)).reshape(norms.shape)
            loss = np.mean([row[use].mean() for row, use in zip(ratio, counted, strict=True)])
        else:
            loss = (error @ squares).sum() / (np.asarray(x, np.float64) ** 2 @ squares).sum()
        per_scale = {"te-nvfp4": 8, "te-mxfp8": 8}.get(scheme.rule.name, 32)
        bits = scheme.format.bits * x.size + per_scale * scaled.scales.size
        found.append((bits, loss * x.size))
    return [*found, (16.0 * x.size, 0.0)]


def every_choice(file: dict[str, Any], squares: Any = None) -> list[tuple[float, float]]:
    """Bits and error of the file for all combinations, fused layers alike."""
    kept = file["norm.weight"].size
    total = sum(x.size for x in file.values())
    alone = [losses(file[name], squares) for name in ("a.down_proj", "a.o_proj", "b.down_proj")]
    pair = [
        (one[0] + two[0], one[1] + two[1])
        for one, two in zip(losses(file["a.gate_proj"]), losses(file["a.up_proj"]), strict=True)
    ]
    return [
        (
            (sum(bits for bits, _ in made) + 16 * kept) / total,
            math.sqrt(sum(loss for _, loss in made) / (total - kept)),
        )
        for made in itertools.product(*alone, pair)
    ]


@pytest.fixture(scope="module")
def found() -> Frontier:
    return frontier(small_file())


def test_no_choice_has_less_error_for_as_many_bits(found: Frontier) -> None:
    """Of all 6**4; and each point is one of them."""
    every = every_choice(small_file())
    for point in found.points:
        within = min(error for bits, error in every if bits <= point.bits + 1e-9)
        np.testing.assert_allclose(point.error, within, rtol=1e-7, atol=1e-12)
        assert min(abs(bits - point.bits) for bits, _ in every) < 1e-9


def test_the_points_are_convex_in_squared_error(found: Frontier) -> None:
    every = every_choice(small_file())
    corners = [(point.bits, point.error**2) for point in found.points]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(corners)]

    assert slopes == sorted(slopes)
    assert slopes[-1] < 0
    for bits, error in every:
        line = np.interp(bits, *zip(*corners, strict=True))
        assert error**2 >= line * (1 - 1e-9)


def test_the_ends_are_the_fewest_bits_and_no_error(found: Frontier) -> None:
    every = every_choice(small_file())

    assert found.points[0].bits == pytest.approx(min(bits for bits, _ in every))
    assert found.points[-1].error == 0


def test_fused_layers_move_together_and_kept_ones_stay(found: Frontier) -> None:
    assert found.kept == ("norm.weight",)
    for point in found.points:
        assert sorted(point.choices) == sorted(small_file())
        assert point.choices["a.gate_proj"] == point.choices["a.up_proj"]
        assert point.choices["norm.weight"] == "keep"


def test_what_shapes_allow_is_what_the_search_finds(found: Frontier) -> None:
    """A budget too small is refused before anything is measured, in the same words."""
    least = found.points[0].bits
    file = {**small_file(), "conv": weights(32, 32 * 9, 6).reshape(32, 32, 3, 3)}
    stacked = {"a.experts.w": np.stack([weights(32, 64, 7)] * 3), "h.attn.c_fc": weights(64, 32, 8)}

    require_reachable(least, small_file())
    with pytest.raises(ValueError, match="bits must be at least") as refused:
        require_reachable(least - 1e-3, small_file())
    with pytest.raises(ValueError, match="bits must be at least") as searched:
        found.at(least - 1e-3)
    assert str(refused.value) == str(searched.value)
    for other in (file, stacked):
        for rules in (None, "tensor", ("row", "block-128x128")):
            start = frontier(other, "E4M3FN", rules=rules).points[0].bits
            require_reachable(start * (1 + 1e-12), other, "E4M3FN", rules=rules)
            with pytest.raises(ValueError, match="bits must be at least"):
                require_reachable(start * (1 - 1e-9), other, "E4M3FN", rules=rules)


def test_a_budget_takes_the_last_point_within_it(found: Frontier) -> None:
    for point, after in itertools.pairwise(found.points):
        assert found.at(point.bits) is point
        assert found.at(after.bits - 1e-9) is point
    with pytest.raises(ValueError, match=r"bits must be at least 4\.\d+.* got 4"):
        found.at(4)
    with pytest.raises(ValueError, match="bits must be at least"):
        found.at(math.nan)


def test_broken_layers_and_those_fused_with_them_stay() -> None:
    file = small_file()
    file["a.gate_proj"][0, 0] = np.nan
    file["b.down_proj"][:] = 0

    assert set(frontier(file).kept) == {"norm.weight", "a.gate_proj", "a.up_proj", "b.down_proj"}


def test_activations_make_it_the_output_s_error() -> None:
    """A channel that nothing comes in by costs nothing."""
    file = {name: small_file()[name] for name in ("a.o_proj", "norm.weight")}
    squares = np.random.default_rng(6).uniform(size=128)
    squares[:60] = 0

    found = frontier(file, activations={"a.o_proj": squares})

    expected = dict(zip((s.name for s in SCHEMES), losses(file["a.o_proj"], squares), strict=False))
    assert found.measure == "output error"
    for point in found.points[:-1]:
        _, loss = expected[point.choices["a.o_proj"]]
        assert point.error == pytest.approx(math.sqrt(loss / file["a.o_proj"].size), rel=1e-6)


def test_a_frontier_is_json_and_targets_are_checked(found: Frontier) -> None:
    assert len(json.loads(json.dumps(found.to_dict()))["points"]) == len(found.points)
    with pytest.raises(ValueError, match="targets must name at least one"):
        frontier(small_file(), ())
    with pytest.raises(ValueError, match="at least one tensor"):
        frontier({})


def test_rules_limit_what_a_layer_may_take() -> None:
    x = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)

    found = frontier({"w": x}, "E4M3FN", rules="tensor")

    assert [set(point.choices.values()) for point in found.points] == [{"FP8"}, {"keep"}]
