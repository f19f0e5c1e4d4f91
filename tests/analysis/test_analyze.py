"""The table of what formats make of a tensor."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import fp8num as fp
from fp8num.analysis import COLUMNS, DEFAULT_FORMATS, analyze_tensor
from fp8num.inputs import StoredTensor, load_digits, tensor_from_array

if TYPE_CHECKING:
    from collections.abc import Iterator

NAN, INF = math.nan, math.inf
E4M3FN_VALUES = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float64)


def row(x: npt.ArrayLike, fmt: str = "E4M3FN", rule: str = "unit") -> dict[str, Any]:
    """Return the one row for a format and a rule."""
    table = fp.analyze(x, fmt, rule)
    assert list(table.columns) == list(COLUMNS)
    assert list(table.columns[:4]) == ["format", "rule", "sqnr_db", "underflow_rate"]
    assert len(table) == 1
    return dict(table.iloc[0])


def stored(
    array: npt.NDArray[Any], order: Any = "C", format_name: str | None = None
) -> StoredTensor:
    """Return a tensor whose elements are stored in an order, or are codes."""
    flat = array.reshape(-1, order=order)

    def read(size: int) -> Iterator[npt.NDArray[Any]]:
        return (flat[i : i + size] for i in range(0, flat.size, size))

    return StoredTensor(
        name="weight",
        file="model.safetensors",
        dtype="F32",
        shape=array.shape,
        order=order,
        format_name=format_name,
        _reader=read,
    )


def nearest_code(x: Fraction) -> int:
    """Return the E4M3FN code nearest to a number, by trying all of its sign."""
    sign = 128 * (x < 0)

    def rank(code: int) -> tuple[Fraction, int]:
        return abs(Fraction(E4M3FN_VALUES[code]) - abs(x)), code & 1

    return sign + min(range(0x7F), key=rank)


# Columns by hand; test_columns.py has the others.
# E4M3FN: largest value 448, smallest 2**-9, threshold 464.

NOTHING = {
    "sqnr_db": NAN,
    "relative_rms_error": NAN,
    "cosine_distance": NAN,
    "max_rel_error": NAN,
    "max_rel_at": None,
}
NO_PAIRS = NOTHING | {
    "amax": 0.0,
    "underflow": 0,
    "underflow_rate": NAN,
    "saturated": 0,
    "saturation_rate": NAN,
    "max_abs_error": NAN,
    "max_abs_at": None,
}
COUNTED = {"zeros": 0, "nans": 0, "infinities": 0, "codes_total": 256} | {
    "scale": 1.0, "scales": 1, "scale_inv_min": 1.0, "scale_inv_max": 1.0,
}  # fmt: skip
XX = 448**2 + 464**2 + 465**2 + 896**2  # of the saturating values
EXACT = {"sqnr_db": INF, "relative_rms_error": 0.0, "cosine_distance": 0.0}

CASES: dict[str, tuple[npt.ArrayLike, dict[str, Any]]] = {
    "all zeros": (
        np.array([[0.0, -0.0]]),
        NOTHING
        | {"size": 2, "zeros": 2, "amax": 0.0, "underflow": 0, "underflow_rate": NAN}
        | {"saturated": 0, "saturation_rate": 0.0, "codes_used": 2}
        | {"max_abs_error": 0.0, "max_abs_at": "(0, 0)"},
    ),
    "all NaN": (
        np.full((2, 3), np.nan),
        NO_PAIRS | {"size": 6, "nans": 6, "codes_used": 1},
    ),
    "NaNs of both signs": (
        np.copysign(np.nan, [1.0, -1.0]),
        NO_PAIRS | {"size": 2, "nans": 2, "codes_used": 2},
    ),
    "a single infinity": (
        [math.inf],
        NO_PAIRS | {"size": 1, "infinities": 1, "codes_used": 1},
    ),
    "empty": (np.empty((3, 0)), NO_PAIRS | {"size": 0, "codes_used": 0}),
    "0-d": (
        np.float32(1.0625),
        {"size": 1, "amax": 1.0625, "underflow": 0, "underflow_rate": 0.0}
        | {"saturated": 0, "saturation_rate": 0.0, "cosine_distance": 0.0, "codes_used": 1}
        | {"max_abs_error": 0.0625, "max_abs_at": "()"}
        | {"max_rel_error": 0.0625 / 1.0625, "max_rel_at": "()"}
        | {"relative_rms_error": 1 / 17, "sqnr_db": 20 * math.log10(17)},
    ),
    "a Python integer": (
        3,
        EXACT
        | {"size": 1, "amax": 3.0, "underflow": 0, "underflow_rate": 0.0}
        | {"saturated": 0, "saturation_rate": 0.0, "codes_used": 1}
        | {"max_abs_error": 0.0, "max_abs_at": "()", "max_rel_error": 0.0, "max_rel_at": "()"},
    ),
    "saturating values": (
        np.array([448, 464, 465, -896, 0, math.inf], np.float32),
        {"size": 6, "amax": 896.0, "zeros": 1, "infinities": 1}
        | {"underflow": 0, "underflow_rate": 0.0, "saturated": 2, "saturation_rate": 0.4}
        | {"max_abs_error": 448.0, "max_abs_at": "(3,)", "codes_used": 3}
        | {"max_rel_error": 0.5, "max_rel_at": "(3,)"}
        | {"relative_rms_error": math.sqrt((16**2 + 17**2 + 448**2) / XX)}
        | {"sqnr_db": 10 * math.log10(XX / (16**2 + 17**2 + 448**2))}
        | {"cosine_distance": 1 - (448 + 464 + 465 + 896) / (2 * math.sqrt(XX))},
    ),
    "underflow alone": (  # 2**-10 is the tie between 0 and 2**-9
        [[2.0**-10, -(2.0**-10)], [1e-300, -5e-324]],
        {"size": 4, "amax": 2.0**-10, "underflow": 4, "underflow_rate": 1.0}
        | {"saturated": 0, "saturation_rate": 0.0, "codes_used": 2}
        | {"sqnr_db": 0.0, "relative_rms_error": 1.0, "cosine_distance": NAN}
        | {"max_abs_error": 2.0**-10, "max_abs_at": "(0, 0)"}
        | {"max_rel_error": 1.0, "max_rel_at": "(0, 0)"},
    ),
    "underflow among zeros": (  # of two nonzero elements one underflows, to -0
        [0.0, -0.0, -1e-9, 1.0],
        {"size": 4, "zeros": 2, "amax": 1.0, "underflow": 1, "underflow_rate": 0.5}
        | {"saturated": 0, "saturation_rate": 0.0, "codes_used": 3}
        | {"sqnr_db": 180.0, "relative_rms_error": 1e-9, "cosine_distance": 5e-19}
        | {"max_abs_error": 1e-9, "max_abs_at": "(2,)", "max_rel_error": 1.0, "max_rel_at": "(2,)"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_columns_by_hand(case: str) -> None:
    """Each column's value was worked out from its definition."""
    x, wanted = CASES[case]

    found = row(x)

    wanted = {"format": "E4M3FN", "rule": "unit"} | COUNTED | wanted
    assert list(found) == list(COLUMNS)
    for column, value in wanted.items():
        if isinstance(value, float):
            assert found[column] == pytest.approx(value, rel=1e-12, nan_ok=True), column
        else:
            assert found[column] == value, column


def test_the_default_is_every_format_that_stores_tensors_under_every_rule() -> None:
    """Rows come format by format."""
    table = fp.analyze(np.array([1.0, 2.0], np.float32))

    assert list(table.columns) == list(COLUMNS)
    pairs = list(zip(table["format"], table["rule"], strict=True))
    assert pairs == [(name, rule) for name in DEFAULT_FORMATS for rule in ("unit", "tensor")]
    assert table["codes_total"].tolist() == [
        2 ** fp.FORMATS[name].bits for name in DEFAULT_FORMATS for _ in range(2)
    ]


def test_the_tensor_rule_uses_the_whole_range() -> None:
    """The scale is 448 / 3.5 = 128: what underflowed does not, the largest is exact."""
    x = np.array([3.5, 2.0**-16, -(2.0**-15)], np.float32)

    found = row(x, rule="tensor")

    assert (found["scale"], found["underflow"], found["saturated"]) == (128.0, 0, 0)
    assert found["max_abs_error"] == 0.0
    assert row(x)["underflow"] == 2


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_the_tensor_rule_rounds_exact_products(dtype: npt.DTypeLike) -> None:
    """A float32 scale; products by Fraction, rounded once by definition; exact quotients."""
    x = np.random.default_rng(4).standard_t(3, 300).astype(dtype)
    exact = [Fraction(float(one)) for one in x]
    amax = np.float32(max(abs(one) for one in exact))
    scale = Fraction(float(np.float32(448) / amax))
    codes = [nearest_code(one * scale) for one in exact]
    errors = [Fraction(E4M3FN_VALUES[c]) / scale - one for c, one in zip(codes, exact, strict=True)]
    largest = max(map(abs, errors))

    found = row(x, rule="tensor")

    assert found["scale"] == scale
    assert found["max_abs_error"] == pytest.approx(float(largest), rel=1e-14)
    assert found["max_abs_at"] == str((list(map(abs, errors)).index(largest),))
    assert found["codes_used"] == len(set(codes))
    ratio = sum(one * one for one in exact) / sum(e * e for e in errors)
    assert found["sqnr_db"] == pytest.approx(10 * math.log10(ratio), rel=1e-12)


@pytest.mark.parametrize("x", [[0.0], [np.nan], [np.inf], []])
def test_without_a_largest_magnitude_the_scale_is_one(x: list[float]) -> None:
    """There is nothing to scale."""
    assert row(x, rule="tensor")["scale"] == 1.0


def test_arrays_of_any_layout_give_the_same_table() -> None:
    """Strides, byte order, read-only memory; indices are those of the array."""
    x = np.random.default_rng(5).standard_normal((6, 35)).astype(np.float32)
    read_only = x.copy()
    read_only.flags.writeable = False
    wanted = fp.analyze(x)

    for same in [
        np.asfortranarray(x),
        np.repeat(x, 2, axis=1)[:, ::2],
        x[::-1].copy()[::-1],
        x.astype(">f4"),
        read_only,
        x.tolist(),
    ]:
        pd.testing.assert_frame_equal(fp.analyze(same), wanted, check_exact=True)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_table_does_not_depend_on_the_block_size(size: int) -> None:
    """Counts and largest errors are equal, sums to rounding."""
    x = np.random.default_rng(6).standard_cauchy((8, 10)).astype(np.float32)
    x[[0, 3, 7], [3, 2, 0]] = np.nan, np.inf, 0.0
    formats = ["E4M3FN", "POSIT8"]

    found = analyze_tensor(tensor_from_array("x", x), formats, block_size=size).to_frame()

    wanted = fp.analyze(x, formats)
    sums = ["sqnr_db", "relative_rms_error", "cosine_distance"]
    pd.testing.assert_frame_equal(found[sums], wanted[sums], rtol=1e-12)
    rest = [column for column in COLUMNS if column not in sums]
    pd.testing.assert_frame_equal(found[rest], wanted[rest], check_exact=True)


# Stored tensors.


def test_a_stored_tensor_keeps_its_description() -> None:
    """What was found is beside what it was found in."""
    tensor = tensor_from_array("w", np.ones((2, 3), np.float16), file="a.npy")
    found = analyze_tensor(tensor, ["E4M3FN", fp.E5M2], ["tensor"])

    assert (found.name, found.file, found.dtype, found.shape) == ("w", "a.npy", "F16", (2, 3))
    assert found.distribution.binades[1074] == 6
    assert [result.format for result in found.results] == [fp.E4M3FN, fp.E5M2]
    assert [(result.rule, result.scale) for result in found.results] == [
        ("tensor", 448.0),
        ("tensor", 57344.0),
    ]
    assert found.results[0].metrics.pairs == 6
    assert [list(entry) for entry in found.records()] == [list(COLUMNS)] * 2


@pytest.mark.parametrize("order", ["C", "F"])
def test_indices_are_those_of_the_tensor(order: str) -> None:
    """Whatever the order of storage."""
    x = np.ones((3, 4), np.float32)
    x[1, 2] = 1.1

    found = analyze_tensor(stored(x, order), "E4M3FN", "unit").records()[0]

    assert (found["max_abs_at"], found["max_rel_at"]) == ("(1, 2)", "(1, 2)")


def test_of_equal_errors_the_first_in_storage_order_is_named() -> None:
    """Column by column if that is how it is stored."""
    x = np.array([[1.0, 1.0625], [1.0625, 1.0]], np.float32)

    assert analyze_tensor(stored(x, "C"), "E4M3FN", "unit").records()[0]["max_abs_at"] == "(0, 1)"
    assert analyze_tensor(stored(x, "F"), "E4M3FN", "unit").records()[0]["max_abs_at"] == "(1, 0)"


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "E4M3FNUZ", "E5M2FNUZ", "E8M0FNU"])
def test_stored_codes_are_read_as_values(name: str) -> None:
    """A tensor of codes has no error in its own format."""
    codes = np.arange(256, dtype=np.uint8)
    values = fp.decode(codes, name, dtype=np.float64)

    found = analyze_tensor(stored(codes, format_name=name), [name, "E3M2FN"], "unit")

    assert found.distribution.nans == np.isnan(values).sum()
    assert found.distribution.infinities == np.isinf(values).sum()
    assert found.distribution.amax == np.max(np.abs(values[np.isfinite(values)]))
    assert found.results[0].metrics.ee == 0
    pd.testing.assert_frame_equal(
        found.to_frame(), fp.analyze(values.astype(np.float32), [name, "E3M2FN"], "unit")
    )


def test_progress_adds_up_to_the_tensor() -> None:
    """Each piece is reported once it is done: whole rows."""
    seen: list[int] = []
    tensor = stored(np.ones((10, 15), np.float32))

    analyze_tensor(tensor, "E5M2", progress=seen.append, block_size=64)

    assert seen == [60, 60, 30]


def test_real_data_has_a_row_for_everything() -> None:
    """Images of digits: many zeros, 16 levels, nothing negative, nothing beyond the range."""
    tensor = tensor_from_array("digits", load_digits().pixels)
    table = analyze_tensor(tensor).to_frame()

    assert len(table) == 2 * len(DEFAULT_FORMATS)
    assert (table["zeros"] == np.count_nonzero(load_digits().pixels == 0)).all()
    assert (table["saturated"] == 0).all()
    assert table["underflow_rate"].between(0, 1).all()
    assert table["codes_used"].between(2, 17).all()
    exact = table[(table["rule"] == "unit") & (table["sqnr_db"] == INF)]
    assert exact["format"].tolist() == ["E4M3FN", "E3M4", "HIFLOAT8", "POSIT8", "BFLOAT16"]


def test_the_table_survives_csv() -> None:
    """Indices are text, missing ones empty."""
    table = fp.analyze(np.array([[1.1, 0.0]]), "E4M3FN")
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))

    assert again["max_abs_at"].tolist() == ["(0, 0)", "(0, 0)"]
    pd.testing.assert_frame_equal(again, table)


def test_no_warning_and_no_trap_at_the_ends_of_the_range() -> None:
    """Even if the caller has asked NumPy to raise."""
    for dtype in (np.float32, np.float64):
        info = np.finfo(dtype)
        x = np.array([info.max, -info.max, info.smallest_subnormal, info.tiny, 0, np.nan, np.inf])
        with np.errstate(all="raise"):
            table = fp.analyze(x.astype(dtype), list(fp.FORMATS))
            fp.analyze(x.astype(dtype)[2:3], list(fp.FORMATS))
        assert len(table) == 2 * len(fp.FORMATS)
        assert table["relative_rms_error"].notna().all()


# Refusals.


@pytest.mark.parametrize(
    "x", [np.array([1j]), np.array(["a"]), np.array([True]), np.array([None]), [1.0, "a"]]
)
def test_elements_must_be_real_numbers(x: Any) -> None:
    """As for encode."""
    with pytest.raises(TypeError, match="x must hold real floating-point or integer values"):
        fp.analyze(x)


@pytest.mark.parametrize("argument", ["formats", "rules"])
def test_something_must_be_named(argument: str) -> None:
    """An empty choice is a mistake."""
    with pytest.raises(ValueError, match=f"{argument} must name at least one, got none; leave it"):
        fp.analyze([1.0], **{argument: []})


def test_unknown_formats_are_refused() -> None:
    """With the ones there are."""
    with pytest.raises(ValueError, match="format name '' is not known; use one of E4M3FN"):
        fp.analyze([1.0], [""])
    with pytest.raises(ValueError, match="format name 'E9' is not known"):
        fp.analyze([1.0], "E9")
    with pytest.raises(TypeError, match="fmt must be a Format, a name or a dtype, got int 5"):
        fp.analyze([1.0], 5)


@pytest.mark.parametrize("rules", ["rows", "", ["unit", "mxfp9"]])
def test_unknown_rules_are_refused(rules: str | list[str]) -> None:
    """With the nearest, as by scale_quantize."""
    with pytest.raises(ValueError, match="rule '.*' is not known, nor is it block-N or block-NxM"):
        fp.analyze([1.0], rules=rules)


@pytest.mark.parametrize("rules", [5, [5], [["unit"]]])
def test_rules_are_names_or_rules(rules: Any) -> None:
    """Anything else is refused by its type."""
    with pytest.raises(TypeError, match="rule must be a Rule or a name, got "):
        fp.analyze([1.0], rules=rules)


def test_nothing_is_measured_twice() -> None:
    """Rows are told apart by the names of format and rule."""
    with pytest.raises(ValueError, match="formats must differ from each other, got E4M3FN twice"):
        fp.analyze([1.0], ["float8_e4m3fn", "E4M3FN"])
    with pytest.raises(ValueError, match="rules must differ from each other, got unit twice"):
        fp.analyze([1.0], rules=["unit", "tensor", "none"])


def test_formats_outside_float64_are_refused() -> None:
    """Errors are measured in float64."""
    with pytest.raises(ValueError, match="does not fit float64"):
        fp.analyze([1.0], "binary16p2se")


def test_a_dtype_names_a_format() -> None:
    """As for encode."""
    assert fp.analyze([1.0], ml_dtypes.float8_e5m2)["format"].tolist() == ["E5M2"] * 2
