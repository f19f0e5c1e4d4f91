"""Every rule of scaling's catalogue is measured as `scale_quantize` applies it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fp8num as fp
from fp8num.analysis import DEFAULT_FORMATS, ErrorMetrics, analyze_tensor, choose
from fp8num.analysis.pieces import LargestMagnitudes, pieces
from fp8num.inputs import StoredTensor
from fp8num.scaling import RULES, Amax, Fixed, Granularity, PowerOfTwo, Rule, get_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

RANDOM = ("te-nvfp4-sr", "te-nvfp4-rht-sr")
NAMES = [*(name for name in RULES if name not in RANDOM), "block-7", "block-3x5"]
ANY = ("E4M3FN", "E2M1FN", "E5M2", "HIFLOAT8", "POSIT8", "BFLOAT16")
#: The first and the last format of each rule; of those that take any, one of the two.
CASES = [
    (name, fmt)
    for i, name in enumerate(NAMES)
    for fmt in dict.fromkeys([*get_rule(name).formats[:1], *get_rule(name).formats[-1:]])
    or [ANY[i % 2]]
]
EVERY = [(name, fmt) for name in NAMES for fmt in get_rule(name).formats or ANY]
over = pytest.mark.parametrize(("name", "fmt"), CASES)


def hostile(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Return zeros, subnormals, huge numbers and neighbours of midpoints."""
    rng = np.random.default_rng(len(shape))
    x = rng.standard_normal(shape) * 2.0 ** rng.integers(-12, 8, shape)
    flat = x.reshape(-1)
    planted = [0.0, -0.0, 1e-45, -1e-39, 3e38, 464.0, 465.0, 7.0, -(2.0**-10), 2.0**-133]
    flat[::11] = np.resize(planted, flat[::11].shape)
    return x.astype(dtype)


def stored(x: npt.NDArray[Any], order: Any = "C") -> StoredTensor:
    """Return an array as a tensor that yields less at a time than it is asked for."""
    flat = x.reshape(-1, order=order)

    def read(size: int) -> Iterator[npt.NDArray[Any]]:
        step = max(size - 1, 1)
        return (flat[i : i + step] for i in range(0, flat.size, step))

    return StoredTensor(name="w", file="", dtype="F32", shape=x.shape, order=order,
                        format_name=None, _reader=read)  # fmt: skip


def codes_by_piece(
    x: npt.NDArray[Any], rule: Rule, fmt: fp.Format, size: int, order: str = "C"
) -> tuple[npt.NDArray[Any], int]:
    """Return the codes in the order of storage, put together from pieces, and the largest one."""
    tensor, magnitudes = stored(x, order), LargestMagnitudes([rule])
    for piece in pieces(tensor, [rule], size):
        magnitudes.look(piece)
    found, largest = [np.empty(0, fmt.code_dtype)], 0
    for piece in pieces(tensor, [rule], size, whole=magnitudes.needs_all):
        found.append(magnitudes.quantize(piece, rule, fmt).codes.reshape(-1, order=order))
        largest = max(largest, piece.size)
    return np.concatenate(found), largest


def fits(rule: Rule, shape: tuple[int, ...]) -> bool:
    try:
        fp.scale_quantize(np.zeros(shape, np.float32), rule)
    except ValueError:
        return False
    return True


# The catalogue is one.


def test_the_scaled_element_is_rounded_once() -> None:
    """Element 42's product, 113.99999 to 114 in float32, is above the midpoint of two codes."""
    x = np.random.default_rng(111).standard_normal(4096).astype(np.float32)
    amax = np.abs(x).max()
    scale = Fraction(float(np.float32(448) / amax))
    product = Fraction(float(x[42])) * scale
    below, above = (Fraction(float(fp.E4M3FN.values[code])) for code in (0x68, 0x69))
    assert (below + above) / 2 < product < above
    assert np.float32(x[42] * np.float32(scale)) == (below + above) / 2  # and 0x68 is even

    found = analyze_tensor(stored(np.array([x[42], amax])), "E4M3FN", "tensor")

    assert found.results[0].metrics.codes_used == 1 << 0x69 | 1 << 0x7E


def assert_codes_of_pieces(name: str, fmt: str, sizes: tuple[int, ...]) -> None:
    rule, element = get_rule(name), fp.get_format(fmt)
    special = hostile((4, 48))
    special[1, 5], special[2, 40] = np.nan, np.inf
    shapes = hostile((3, 2, 64)), hostile((35,), np.float64), hostile(()), np.ones((3, 0))
    for x in (*shapes, special):
        if not fits(rule, x.shape):
            continue
        expected = fp.scale_quantize(x, rule, fmt=fmt).codes.reshape(-1)

        for size in sizes:
            codes, _ = codes_by_piece(x, rule, element, size)

            np.testing.assert_array_equal(codes, expected)


def test_codes_are_those_of_scale_quantize(each: Any) -> None:
    """Of ragged and empty shapes, one number, NaN and infinities; read in pieces."""

    def check(name: str, fmt: str) -> None:
        assert_codes_of_pieces(name, fmt, (50,))

    each(CASES, check)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "fmt"), EVERY)
def test_codes_of_every_format_and_size(name: str, fmt: str) -> None:
    """From single elements to the whole."""
    assert_codes_of_pieces(name, fmt, (1, 7, 33, 64, 100, 130, 1000))


def test_rows_are_what_scale_quantize_says(each: Any) -> None:
    """Counts, errors and scales of the array that it returns, dequantised in float64."""

    def check(name: str, fmt: str) -> None:
        x = np.clip(hostile((6, 64)), -1e4, 1e4)
        scaled = fp.scale_quantize(x, name, fmt=fmt)
        q = scaled.dequantize(np.float64)
        if scaled.rule.rotation is not None:
            q = scaled.rule.rotation.apply(q, -1, back=True).astype(np.float64)
        wide = x.astype(np.float64)
        finite = np.isfinite(q)
        e = np.where(finite, np.abs(q - wide), 0.0)

        found = analyze_tensor(stored(x), fmt, name, block_size=100).records()[0]

        assert (found["format"], found["rule"]) == (fmt, scaled.rule.name)
        assert found["codes_used"] == len(np.unique(scaled.codes))
        assert found["underflow"] == np.count_nonzero((q == 0) & (x != 0))
        assert found["max_abs_error"] == e.max()
        assert found["max_abs_at"] == str(tuple(map(int, np.unravel_index(e.argmax(), x.shape))))
        with np.errstate(all="ignore"):
            assert found["max_rel_error"] == np.where(wide == 0, 0, e / np.abs(wide)).max()
        norm = np.linalg.norm(np.where(finite, wide, 0.0))
        assert found["relative_rms_error"] == pytest.approx(np.linalg.norm(e) / norm, rel=1e-12)
        assert found["scales"] == scaled.stored_scales.size
        assert found["scale_inv_min"] == np.nanmin(scaled.scales)
        assert found["scale_inv_max"] == np.nanmax(scaled.scales)
        if scaled.stored_scales.size > 1:
            assert math.isnan(found["scale"])
        else:
            assert found["scale"] == pytest.approx(float(1 / scaled.scales.item()), rel=2e-7)

    each(CASES, check)


# Reading in pieces.


@pytest.mark.parametrize("order", ["C", "F"])
@settings(max_examples=30)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    size=st.integers(1, 60),
    name=st.sampled_from(
        ["row", "block-2", "block-3x4", "channel", "tensor", "tensor-percentile-99.9"]
    ),
)
def test_pieces_hold_whole_blocks(order: str, shape: list[int], size: int, name: str) -> None:
    """The codes are the whole's, of any shape and in either order of storage."""
    rule = get_rule(name)
    x = hostile(tuple(shape))
    if not fits(rule, x.shape):
        return

    codes, _ = codes_by_piece(x, rule, fp.E2M3FN, size, order)

    expected = fp.scale_quantize(x, rule, fmt="E2M3FN").codes
    np.testing.assert_array_equal(codes, expected.reshape(-1, order=order))


@pytest.mark.parametrize(
    ("name", "shape", "largest"),
    [
        ("tensor", (10, 40), 50),
        ("row", (10, 40), 40),
        ("block-8", (3, 200), 48),  # as many blocks of a row as fit
        ("block-8", (300,), 48),
        ("block-128x128", (300, 4), 512),
        ("block-3x5", (9, 5, 4), 40),  # two matrices
        ("te-nvfp4", (6, 64), 48),
        ("te-nvfp4-rht", (6, 64), 48),
        ("channel", (10, 40), 400),
        ("tensor-mse", (10, 40), 400),
    ],
)
def test_no_more_is_held_than_blocks_need(name: str, shape: tuple[int, ...], largest: int) -> None:
    """A piece of 50 elements, or more where the docstring says so."""
    rule = get_rule(name)

    _, found = codes_by_piece(hostile(shape), rule, rule.choose_format(None), 50)

    assert found == largest


def test_an_infinite_tensor_of_two_levels_is_held_whole() -> None:
    """Its scale cannot be given to pieces."""
    x = hostile((8, 32))
    x[3, 3] = np.inf

    codes, largest = codes_by_piece(x, get_rule("nvfp4"), fp.E2M1FN, 40)

    assert largest == x.size
    np.testing.assert_array_equal(codes, fp.scale_quantize(x, "nvfp4").codes.reshape(-1))


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_table_is_the_same_from_pieces_of_any_size(order: str) -> None:
    """Counts, indices, scales and largest errors exactly, sums to rounding."""
    x, rules = hostile((4, 6, 32)), ["unit", "row", "block-7", "block-4x8", "te-nvfp4-rht"]
    formats = ["E4M3FN", "E2M1FN"]
    whole = analyze_tensor(stored(x, order), formats, rules, block_size=x.size).records()

    for size in (32, 130):
        rows = analyze_tensor(stored(x, order), formats, rules, block_size=size).records()
        for one, other in zip(rows, whole, strict=True):
            for key, value in one.items():
                loose = key in ("sqnr_db", "relative_rms_error", "cosine_distance")
                close = {"rel": 1e-12, "nan_ok": True} if loose else {"rel": 0, "nan_ok": True}
                same = (
                    pytest.approx(other[key], **close) if isinstance(value, float) else other[key]
                )
                assert value == same, (key, size)


@pytest.mark.parametrize(("count", "what"), [(9, "some are missing"), (11, "there are more")])
def test_a_tensor_that_yields_other_elements_is_refused(count: int, what: str) -> None:
    """Its shape says how many there are."""
    tensor = replace(stored(np.ones(count, np.float32)), shape=(5, 2))

    with pytest.raises(ValueError, match=f"tensor must have 10 elements, {what}"):
        analyze_tensor(tensor, "E4M3FN")


# What is chosen.


def pairs(**arguments: Any) -> list[tuple[str, str]]:
    table = fp.analyze(np.ones((2, 32), np.float32), **arguments)
    return list(zip(table["format"], table["rule"], strict=True))


def test_a_rule_is_measured_in_the_usual_formats_that_it_takes() -> None:
    """Or in its own, if it takes none of them."""
    assert pairs(rules="nvfp4") == [("E2M1FN", "te-nvfp4")]
    assert pairs(rules="te-current") == [("E4M3FN", "te-current"), ("E5M2", "te-current")]
    assert pairs(rules="mxint8") == [("MXINT8", "mxint8")]
    formats, _ = choose(None, "block-8")
    assert tuple(fmt.name for fmt in formats) == DEFAULT_FORMATS


def test_the_pairs_that_exist_are_measured() -> None:
    """Format by format, rules in the order they were given."""
    assert pairs(formats=["E5M2", "E2M1FN"], rules=["nvfp4", "te-mxfp8", "none"]) == [
        ("E5M2", "te-mxfp8"), ("E5M2", "unit"), ("E2M1FN", "te-nvfp4"), ("E2M1FN", "unit"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("formats", "rules", "message"),
    [
        ("E4M3FN", "nvfp4", "formats must hold one of E2M1FN for te-nvfp4, got E4M3FN"),
        (["E4M3FN"], ["unit", "nvfp4"], "formats must hold one of E2M1FN for te-nvfp4, got E4M3"),
        (["E2M1FN", "E5M2"], "nvfp4", "formats must each be taken by a rule, got E5M2; te-nvfp4 t"),
        (None, "te-nvfp4-sr", "rules must round the same way every time, te-nvfp4-sr draws at ran"),
        (None, "block-2x2", r"block-2x2 does not fit the shape \(3,\): axis must be one of the l"),
        (None, "te-nvfp4-rht", r"te-nvfp4-rht does not fit the shape \(3,\): .* multiple of 16"),
    ],
)
def test_what_does_not_go_together_is_refused(formats: Any, rules: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fp.analyze([1.0, 2.0, 3.0], formats, rules)


def test_random_rounding_is_measured_from_its_codes() -> None:
    """As the refusal says: of zeros and halves of the smallest value, some go up."""
    x = np.resize(np.array([6.0, 0.25, 0.0], np.float32), (1, 48))
    scaled = fp.scale_quantize(x, "te-nvfp4-sr", rng=np.random.default_rng(0))

    found = ErrorMetrics.of(x, scaled)

    zeros = scaled.dequantize() == 0
    assert found.underflow == np.count_nonzero(zeros & (x == 0.25))
    assert 0 < found.underflow < 16
    assert (found.max_abs_error, found.max_abs_index) == (0.25, 1)


@dataclass
class Largest:
    """A finder of one's own: no data, so that it cannot be hashed."""

    def find(
        self,
        region: npt.NDArray[Any],
        errors: object,  # noqa: ARG002 - a finder's form
    ) -> npt.NDArray[np.float32]:
        inner = tuple(range(1, region.ndim, 2))
        return np.max(np.abs(region.astype(np.float32)), axis=inner)


@pytest.mark.parametrize("kind", ["tensor", "row"])
def test_a_rule_of_one_s_own_is_measured(kind: str) -> None:
    """By itself, and it may have the name of another."""
    rule = Rule(name="tensor", granularity=Granularity(kind), scale=PowerOfTwo(), finder=Largest())
    x = hostile((5, 12))

    found = analyze_tensor(stored(x), "E4M3FN", [rule, "row"], block_size=13).results[0]

    scaled = fp.scale_quantize(x, rule)
    assert found.rule == "tensor"
    assert found.scales.count == scaled.stored_scales.size
    assert found.metrics.codes_used == sum(1 << int(code) for code in np.unique(scaled.codes))


# The rule without a scale.


@pytest.mark.parametrize("name", fp.FORMATS)
def test_unit_is_encode(name: str) -> None:
    """Rounded once from any type: of float64 just above a midpoint, of 2**53 + 1, of NaN."""
    planted = [1 + 2.0**-4 + 2.0**-52, -(1 + 2.0**-4 + 2.0**-40), -0.0, 1e300, np.nan, -np.inf]
    for dtype in (np.float16, np.float32, np.float64, np.longdouble, np.int64):
        with np.errstate(over="ignore"):
            x = np.array([2**53 + 1, -(2**60) - 1, 17] if dtype is np.int64 else planted, dtype)

        scaled = fp.scale_quantize(x, "unit", fmt=name)

        np.testing.assert_array_equal(scaled.codes, fp.encode(x, name))
        assert (scaled.scales.shape, float(scaled.scales)) == ((), 1.0)


def test_unit_is_a_rule_like_others() -> None:
    assert get_rule("none") is get_rule("unit") is RULES["unit"]
    assert RULES["unit"].scale == Fixed(1.0)
    assert RULES["unit"].finder == Amax("ignore", finite=True)
    assert RULES["unit"].is_unscaled
    assert not replace(RULES["unit"], scale=Fixed(2.0)).is_unscaled
