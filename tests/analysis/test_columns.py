"""What the table says of rows, scales, codes and errors, from the definitions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import fp8num as fp
from fp8num.analysis import (
    ALIASES,
    COLUMNS,
    LOWEST_EXPONENT,
    Distribution,
    analyze_tensor,
    gaussian_cost,
    schemes_for,
)
from fp8num.analysis.analyze import ArrayTensor

RULES = ["unit", "tensor", "row", "te-mxfp8", "block-128x128"]


def _rows() -> np.ndarray:
    """Rows of ordinary numbers, with one outlier, with a dead row and a near-dead one."""
    x = np.random.default_rng(7).standard_normal((40, 96)).astype(np.float32)
    x[3, 10] = 3e5
    x[8] = 0.0
    x[21] *= np.float32(1e-6)
    x[30, 5] = 0.0
    return x


def _relative(x: np.ndarray, q: np.ndarray) -> list[float]:
    """Root mean squares of blocks' errors, each without its largest element, one at a time."""
    found = []
    for row, made in zip(x.astype(np.float64), q, strict=True):
        pairs = []
        for i in range(0, len(row), 32):
            top = i + int(np.abs(row[i : i + 32]).argmax())
            rest = [j for j in range(i, i + 32) if j != top]
            noise = math.fsum((made[j] - row[j]) ** 2 for j in rest)
            pairs.append((noise, math.fsum(row[j] ** 2 for j in rest)))
        norms = [math.sqrt(signal) for _, signal in pairs]
        counted = [
            noise / signal
            for (noise, signal), norm in zip(pairs, norms, strict=True)
            if signal and norm >= 1e-3 * np.median(norms)
        ]
        found.append(math.sqrt(sum(counted) / len(counted)) if counted else math.nan)
    return found


@pytest.mark.parametrize("rule", RULES)
def test_columns_about_rows_are_those_of_the_definition(rule: str) -> None:
    """Block by block, over the cost of MXFP8; dead and near-dead rows are not judged."""
    x = _rows()
    found = analyze_tensor(ArrayTensor(x), "E4M3FN", rule, block_size=500).records()[0]

    q = fp.scale_quantize(x, rule, fmt="E4M3FN").dequantize(np.float64)
    judged = [i for i in range(40) if i not in {8, 21}]
    cost = gaussian_cost(schemes_for("E4M3FN")[-1])
    excess = {i: value / cost for i, value in enumerate(_relative(x, q)) if i in judged}
    worst = max(excess, key=lambda i: excess[i])
    assert found["excess"] == pytest.approx(np.median(list(excess.values())), rel=1e-12)
    assert found["worst_row"] == worst
    assert found["worst_row_excess"] == pytest.approx(excess[worst], rel=1e-12)
    assert found["rows_above"] == sum(value > 2 for value in excess.values())
    assert found["near_dead_rows"] == 1


@pytest.mark.parametrize("rule", RULES)
def test_other_columns_are_those_of_the_definition(rule: str) -> None:
    """Errors by exact rationals, codes and scales counted one by one."""
    x = _rows()
    found = analyze_tensor(ArrayTensor(x), "E4M3FN", rule, block_size=500).records()[0]

    scaled = fp.scale_quantize(x, rule, fmt="E4M3FN")
    exact = [Fraction(float(value)) for value in x.ravel()]
    made = [Fraction(float(value)) for value in scaled.dequantize(np.float64).ravel()]
    mse = sum((a - b) ** 2 for a, b in zip(made, exact, strict=True)) / len(exact)
    rms = math.sqrt(sum(value**2 for value in exact) / len(exact))
    magnitudes = np.abs(x[x != 0]).astype(np.float64)
    _, counts = np.unique(scaled.codes, return_counts=True)
    scales = scaled.scales.astype(np.float64).ravel()
    subnormal = ((scaled.codes & 0x78) == 0) & ((scaled.codes & 0x7F) != 0)
    expected = {
        "mse": float(mse),
        "crest_factor": 3e5 / rms,
        "dynamic_range": math.log2(magnitudes.max() / magnitudes.min()),
        "subnormal_rate": subnormal.mean(),
        "code_entropy": -sum(n / x.size * math.log2(n / x.size) for n in counts.tolist()),
        "effective_bits": (found["sqnr_db"] - 1.7609) / 6.0206,
        "scale_inv_mean": scales.mean(),
        "scale_inv_std": scales.std(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4 if "bits" in name else 1e-9), name


def test_columns_are_the_same_for_any_pieces() -> None:
    """To the last bit, whatever the rows that are read together."""
    tensor = ArrayTensor(_rows())
    first, second = (
        analyze_tensor(tensor, ["E4M3FN", "E5M2"], RULES, block_size=size).records()
        for size in (96, 1 << 17)
    )
    np.testing.assert_equal(first, second)


def test_rules_with_an_amax_for_each_row_take_any_pieces() -> None:
    """Their pieces are whole rows, of a vector too."""
    x = np.linspace(-3, 7, 640, dtype=np.float32)
    for shape in ((640,), (4, 160)):
        found = [
            analyze_tensor(ArrayTensor(x.reshape(shape)), None, "te-nvfp4-row", block_size=size)
            for size in (64, 1000)
        ]
        expected = fp.scale_quantize(x.reshape(shape), "te-nvfp4-row").codes
        for analysis in found:
            counts = analysis.results[0].metrics.code_counts
            np.testing.assert_array_equal(counts, np.bincount(expected.ravel(), minlength=16))


def test_vectors_have_no_rows() -> None:
    """What does not exist is NaN."""
    found = analyze_tensor(ArrayTensor(np.ones(8, np.float32)), "E4M3FN", "unit").records()[0]

    for name in ("excess", "worst_row", "worst_row_excess", "rows_above", "near_dead_rows"):
        assert math.isnan(found[name])


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0)])
def test_tensors_of_nothing_have_all_columns(shape: tuple[int, ...]) -> None:
    """A ratio of nothing is NaN."""
    found = analyze_tensor(ArrayTensor(np.empty(shape, np.float32)), "E4M3FN", "unit").records()[0]

    assert set(found) == set(COLUMNS)
    for name in ("mse", "crest_factor", "dynamic_range", "code_entropy", "excess"):
        assert math.isnan(found[name])


def test_transformer_engine_names_stand_for_columns() -> None:
    """Percentages are a hundred times the rates; scales of a current scale are one number."""
    x = np.array([[1e-9, 0.5, 1.0, 0.25] * 8], np.float32)
    found = analyze_tensor(ArrayTensor(x), "E4M3FN", "te-current").records()[0]
    said = {name: found[column] * unit for name, (column, unit) in ALIASES.items()}

    assert said["underflows%"] == 25.0
    assert said["overflows%"] == 0.0
    assert said["cur_amax"] == 1.0
    assert said["scale_inv_min"] == said["scale_inv_max"] == pytest.approx(1 / 448, rel=1e-6)
    assert said["scale_inv_std"] == 0.0
    assert said["mse"] == pytest.approx(8 * 1e-18 / 32, rel=1e-6)
    assert said["dynamic_range"] == pytest.approx(math.log2(1e9), rel=1e-6)


@pytest.mark.parametrize("dtype", ["f2", "f4", "bfloat16"])
def test_distributions_of_narrow_types_are_those_of_float64(dtype: str) -> None:
    """Of every kind of number, subnormals and specials among them."""
    import ml_dtypes

    words = np.random.default_rng(1).integers(0, 1 << 32, 70000, np.uint32)
    words[:6] = [0, 1 << 31, 1, 0x7F800000, 0xFF800001, 0x007FFFFF]
    with np.errstate(all="ignore"):
        x = words.view(np.float32).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        wide = x.astype(np.float64)
    found = Distribution.of(x)

    some = np.abs(wide[np.isfinite(wide) & (wide != 0)])
    exponents = np.frexp(some)[1] - 1 - LOWEST_EXPONENT
    np.testing.assert_array_equal(found.binades, np.bincount(exponents, minlength=2098))
    assert (found.amax, found.amin) == (some.max(), some.min())
    assert (found.nans, found.zeros) == (np.isnan(wide).sum(), (wide == 0).sum())
    assert (found.infinities, found.size) == (np.isinf(wide).sum(), 70000)
