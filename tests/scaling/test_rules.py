"""
Every rule at every corner equals its formula, in every bit.

The formulas are in `scaling_oracle`, one block at a time.  What they leave open is left open
here: the payloads of NaNs, and the codes of NaNs in a type that has none.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scaling_oracle as oracle

import fp8num as fp
from fp8num import scaling
from fp8num.verify import reference

F32 = np.float32
FLT_MAX = float(oracle.FLT_MAX)

#: (rule, format) for each format that a rule takes, by the shape of its blocks.
CASES = [(name, fmt) for name, rule in oracle.RULES.items() for fmt in rule.formats]
PER_TENSOR = [case for case in CASES if oracle.RULES[case[0]].block == "tensor"]
TWO_DIMENSIONAL = [case for case in CASES if len(oracle.lengths_of(case[0])) == 2]
NVFP4 = [case for case in CASES if "nvfp4" in case[0] and case not in TWO_DIMENSIONAL]
BY_ROW = [case for case in CASES if case not in (*PER_TENSOR, *TWO_DIMENSIONAL, *NVFP4)]


def case_id(value: Any) -> str:
    return value if isinstance(value, str) else value.name


# Corners.

#: Binades of float32: its ends, where float32's log2 is exact or not, and between.
EXPONENTS = (-149, -140, -127, -126, -125, -100, -30, -15, -7, -2, -1, 0, 1, 2, 3, 4, 8, 9, 15)
EXPONENTS += (30, 100, 119, 126, 127)

#: Elements of a block as fractions of the largest: ties, what rounds to zero, both zeros.
FRACTIONS = [1.0, -1 / 3, 0.5, -0.0, 0.0, 17 / 128, -19 / 1024, 2.0**-9, -(2.0**-10)]
FRACTIONS += [-3 * 2.0**-11, 2.0**-14, -(2.0**-18), 2.0**-24, -0.9999999, 0.875, 5 / 6]


def amaxes(fmt: Any) -> dict[str, float]:
    """Return largest magnitudes at which a rule may turn, by name."""
    top = oracle.largest(fmt)
    found = {"1e-20": 1e-20, "1e-37": 1e-37, "1e-39": 1e-39, "FLT_MAX": FLT_MAX}
    turning = {"1e-12": F32(1e-12), "1e-4": F32(1e-4), "3.75": 3.75, "464": 464.0, "480": 480.0}
    for k in EXPONENTS:
        turning[f"2^{k}"] = F32(math.ldexp(1, k))
        if top * 2.0**k < FLT_MAX:
            turning[f"max 2^{k}"] = F32(top * 2.0**k)
    for name, value in turning.items():
        found[name] = float(value)
        found[f"{name} +"] = float(np.nextafter(F32(value), F32(np.inf)))
        found[f"{name} -"] = float(np.nextafter(F32(value), F32(0)))
    rng = np.random.default_rng(1)
    for i in range(16):
        found[f"random {i}"] = float(F32(math.ldexp(rng.uniform(1, 2), int(rng.integers(-60, 60)))))
    return found


def block_of(amax: float, n: int, seed: int = 0) -> Any:
    """Return a block of float32 with a largest magnitude, all elements of a kind or mixed."""
    rng = np.random.default_rng(seed)
    more = rng.uniform(-1, 1, max(0, n - len(FRACTIONS))) * 2.0 ** -rng.integers(0, 14, 1)
    fractions = np.concatenate([FRACTIONS, more])[:n]
    rng.shuffle(fractions)
    if 1.0 not in fractions:
        fractions[n // 2] = -1.0
    with np.errstate(under="ignore"):
        return (fractions * amax).astype(np.float32)


#: Of the largest magnitudes one in so many is tried with each rule, or all of them.
SOME, ALL = 4, 1
some_or_all = pytest.mark.parametrize(
    "every", [SOME, pytest.param(ALL, marks=pytest.mark.exhaustive)], ids=["some", "all"]
)


def corners(fmt: Any, n: int, every: int = ALL, first: int = 0) -> dict[str, Any]:
    """Return blocks of n elements by name: all special ones, and every so-many-th magnitude."""
    named = list(enumerate(amaxes(fmt).items()))[first % every :: every]
    found = {name: block_of(amax, n, seed) for seed, (name, amax) in named}
    special = {
        "infinity": [np.inf],
        "-infinity": [-np.inf],
        "NaN": [np.nan],
        "infinity and NaN": [np.nan, np.inf, -np.inf],
        "infinity and zeros": [np.inf, 0.0, -0.0],
    }
    for name, values in special.items():
        block = block_of(3.0, n, len(name))
        block[n // 2 : n // 2 + len(values)] = values
        found[name] = block
    found["zero"] = np.zeros(n, np.float32)
    found["zeros of both signs"] = np.where(np.arange(n) % 2, F32(-0.0), F32(0))
    found["all NaN"] = np.full(n, np.nan, np.float32)
    found["all infinite"] = np.full(n, np.inf, np.float32)
    found["smallest"] = np.full(n, 2.0**-149, np.float32)
    for seed in range(3):
        mixed = np.random.default_rng(seed).standard_normal(n).astype(np.float32)
        found[f"mixed {seed}"] = mixed * F32(10.0 ** (seed - 1))
    return found


# Comparison.


def is_nan_code(codes: Any, fmt: Any) -> Any:
    """Return which codes are NaN; no code of MXINT8 is."""
    return np.isnan(oracle.table(fmt))[codes]


def same_bits(actual: Any, expected: Any) -> Any:
    """Return where float32 arrays are equal in every bit, or both NaN."""
    a, b = np.asarray(actual, np.float32), np.asarray(expected, np.float32)
    return (a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))


def same_scales(scaled: Any, expected: Any) -> Any:
    """Return where the kept scales are equal; powers of two may be kept as codes of E8M0."""
    kept = scaled.stored_scales
    assert kept.shape == expected.shape, f"scales of shape {kept.shape}, not {expected.shape}"
    if expected.dtype == np.float32 and kept.dtype == np.uint8:
        kept = oracle.table(scaled.scale_format)[kept]
    assert kept.dtype == expected.dtype, f"scales of {kept.dtype}, not {expected.dtype}"
    return kept == expected if kept.dtype == np.uint8 else same_bits(kept, expected)


def same_codes(codes: Any, expected: Any, x: Any, fmt: Any) -> Any:
    """Return where codes are equal, or both NaN, or open: of NaN in a type that has none."""
    nan = is_nan_code(codes, fmt) & is_nan_code(expected.codes, fmt)
    open_ = np.isnan(expected.values) if not np.isnan(oracle.table(fmt)).any() else False
    return (codes == expected.codes) | nan | open_ | (np.isnan(x) & (fmt == fp.E2M1FN))


def differences(scaled: Any, x: Any, rule: str, fmt: Any, axis: int = -1) -> list[str]:
    """Return what differs from the formula, a line for each part, with the first place."""
    expected = oracle.expect(x, rule, fmt, axis)
    with np.errstate(all="ignore"):
        values = scaled.dequantize()
    same_values = same_bits(values, expected.values)
    if "nvfp4" in rule:  # in which NaN has no code
        same_values |= np.isnan(x)
    parts = {
        "scales": (same_scales(scaled, expected.scales), scaled.stored_scales, expected.scales),
        "codes": (same_codes(scaled.codes, expected, x, fmt), scaled.codes, expected.codes),
        "values": (same_values, values, expected.values),
    }
    lines = []
    for name, (same, actual, wanted) in parts.items():
        wrong = np.argwhere(~np.atleast_1d(same))
        if len(wrong):
            place = tuple(wrong[0].tolist()) if np.ndim(same) else ()
            source = f" of x = {float(x[place]).hex()}" if name != "scales" else ""
            lines.append(
                f"{len(wrong)} of {np.size(same)} {name} differ, the first at {place}{source}: "
                f"{actual[place]!r}, not {wanted[place]!r}"
            )
    return lines


def quantized(x: Any, rule: str, fmt: Any, **options: Any) -> Any:
    """Apply a rule; MXINT8's elements are no format that could be passed."""
    return fp.scale_quantize(x, rule, fmt=None if fmt == oracle.INT8 else fmt, **options)


def assert_rule(blocks: dict[str, Any], rule: str, fmt: Any) -> None:
    """Compare a rule with its formula on arrays, and say at which ones it differs."""
    found = {name: differences(quantized(x, rule, fmt), x, rule, fmt) for name, x in blocks.items()}
    lines = [f"  {name}: {line}" for name, all_ in found.items() for line in all_]
    assert not lines, f"{rule} of {case_id(fmt)}:\n" + "\n".join(lines[:30])


# The oracle itself, against numbers that were read in or recorded from the libraries.


def test_the_oracle_gives_the_published_numbers() -> None:
    """Each number is the library's own, transcribed."""
    block = np.zeros(32, np.float32)
    block[0] = 480 / 128
    modes = ("floor", "even", "ceil", "rceil")
    found = [oracle.torchao_mx(block, fp.E4M3FN, mode) for mode in modes]
    assert [made.scale for made in found] == [120, 120, 121, 121]
    assert [oracle.table(fp.E4M3FN)[made.codes[0]] for made in found] == [448, 448, 240, 240]

    block[0] = 2.0**-126
    assert oracle.torchao_mx(block, fp.E4M3FN, "floor").codes[0] == 0x40  # 2**-127 is applied

    three = [F32(3), F32(0)]
    assert str(oracle.te_update(F32(1), three, fp.E4M3FN)[0]) == "149.33333"
    assert str(oracle.te_update_unfused(F32(1), three, fp.E4M3FN)[0]) == "149.33334"

    block[0] = np.nextafter(F32(512), F32(0))
    assert oracle.microxcaling(block, fp.E4M3FN, "nearest").values[0] == 512
    assert oracle.ocp_mx(block, fp.E4M3FN).values[0] == 448
    assert oracle.microxcaling_element(F32(0.49999997) / 512, "E4M3FN", "even") == 2.0**-9

    assert oracle.torchao_scale(F32(0), fp.E4M3FN, pow2="") == F32(4.48e14)
    assert oracle.ms_amp_scale(F32(np.inf), F32(8), fp.E4M3FN) == 0.125
    with np.errstate(over="ignore"):
        assert oracle.flax_scale(F32(1), [F32(1e-37)], fp.E4M3FN) == 0


def test_float32_log2_is_an_integer_just_below_most_powers_of_two() -> None:
    """77 of the 81 floats just below 2**-40 to 2**40, as counted in PyTorch."""
    below = [np.nextafter(oracle.power(k), F32(0)) for k in range(-40, 41)]
    assert sum(oracle.log2(s) == k for k, s in enumerate(below, -40)) == 77


def test_two_forms_of_the_rounded_up_scale_agree() -> None:
    """amax * float32(1/448) and amax / 448, at 448 * 2**k and above, of all 239 k."""
    ks = [k for k in range(-149, 128) if 2.0**-126 <= 448 * 2.0**k < FLT_MAX]
    for k in ks:
        for amax in (F32(448 * 2.0**k), np.nextafter(F32(448 * 2.0**k), F32(np.inf))):
            forms = (amax * (F32(1) / F32(448)), amax / F32(448))
            assert len({oracle.ceil_e8m0(form) for form in forms}) == 1


def test_a_wrong_scale_code_or_value_is_seen() -> None:
    """The comparison fails on one bit in each part."""
    x = corners(fp.E4M3FN, 32)["mixed 0"]
    made = oracle.expect(x, "te-mxfp8")

    class Stand:
        stored_scales, codes, scale_format = made.scales, made.codes, fp.E8M0FNU

        def dequantize(self) -> Any:
            return made.values

    right = Stand()
    assert differences(right, x, "te-mxfp8", fp.E4M3FN) == []
    for part in ("stored_scales", "codes"):
        wrong = Stand()
        setattr(wrong, part, getattr(made, part[7:] if part != "codes" else part) ^ 1)
        assert len(differences(wrong, x, "te-mxfp8", fp.E4M3FN)) == 1
    wrong = Stand()
    wrong.dequantize = lambda: np.nextafter(made.values, F32(9))  # type: ignore[method-assign]
    assert "values differ" in differences(wrong, x, "te-mxfp8", fp.E4M3FN)[0]


# Rules.


def test_every_rule_is_there_by_name() -> None:
    """And those of random numbers and rotations; the block of any size too."""
    more = {"tensor", "row", "channel", "te-nvfp4-rht", "te-nvfp4-sr", "te-nvfp4-rht-sr"}
    for name in (*oracle.RULES, *more, "block-32", "block-128", "block-128x128", "block-7"):
        assert scaling.get_rule(name).name == name
    assert set(oracle.RULES) | more <= set(scaling.RULES)
    assert scaling.get_rule("nvfp4") is scaling.get_rule("te-nvfp4")


@some_or_all
def test_a_scale_of_the_tensor(every: int, each: Any) -> None:
    def check(at: int, rule: str, fmt: Any) -> None:
        assert_rule(corners(fmt, 24, every, at), rule, fmt)

    each([(at, *case) for at, case in enumerate(PER_TENSOR)], check)


@some_or_all
def test_scales_along_an_axis(every: int, each: Any) -> None:
    """Whole blocks, ragged last blocks, and a ragged block alone."""

    def check(at: int, rule: str, fmt: Any) -> None:
        sides = oracle.lengths_of(rule)
        n = sides[0] if sides else 40
        blocks = corners(fmt, n, every, at)
        if rule == "deepseek-1x128":  # what its kernel's maximum makes of NaN is not said
            blocks = {name: block for name, block in blocks.items() if not np.isnan(block).any()}
        found = list(blocks.values())
        whole = np.stack(found)
        tails = [block[: n // 2 + 3] for block in found]
        ragged = np.stack([np.append(found[i], tails[i - 1]) for i in range(0, len(found), 5)])

        if lines := differences(quantized(whole, rule, fmt), whole, rule, fmt):
            assert_rule(blocks, rule, fmt)  # says at which corners
            pytest.fail("\n".join(lines))
        assert_rule({"ragged": ragged, "one ragged block": whole[::5, : n // 2 + 3]}, rule, fmt)

    each([(at, *case) for at, case in enumerate(BY_ROW)], check)


def test_deepseek_keeps_nan() -> None:
    """Whether NaN counts in the scale is not said; that the element stays NaN is."""
    x = block_of(3.0, 128)
    x[5] = np.nan
    values = fp.scale_quantize(x[None], "deepseek-1x128").dequantize()
    assert np.isnan(values[0, 5])


@some_or_all
def test_two_levels_of_scales(every: int, each: Any) -> None:
    """The block at a corner is alone, beside a larger block, and beside a smaller one."""
    one, big = block_of(1.0, 20, 3), block_of(3e30, 16, 4)

    def check(at: int, rule: str, fmt: Any) -> None:
        alone, less, more = (corners(fmt, 16, every, at + i) for i in range(3))
        beside = {f"{name} beside 1": np.concatenate([x, one]) for name, x in less.items()}
        below = {f"{name} beside 3e30": np.concatenate([big, x]) for name, x in more.items()}
        assert_rule(alone | beside | below, rule, fmt)

    each([(at, *case) for at, case in enumerate(NVFP4)], check)


@pytest.mark.parametrize("rule", ["te-nvfp4", "te-nvfp4-2d", "te-nvfp4-rht"])
def test_parts_share_the_amax_that_is_given(rule: str) -> None:
    """Fused layers: each part by the amax of all is that part of the whole, and only then."""
    rng = np.random.default_rng(6)
    whole = rng.standard_normal((48, 64)).astype(F32) * np.repeat(F32([1, 0.25, 3]), 16)[:, None]
    amax = fp.scale_quantize(whole, rule).tensor_amax
    together = fp.scale_quantize(whole, rule)

    for start in (0, 16, 32):
        scaled = fp.scale_quantize(whole[start : start + 16], rule, tensor_amax=amax)
        part = together[start : start + 16]
        assert scaled.tensor_amax == amax
        np.testing.assert_array_equal(scaled.codes, part.codes)
        np.testing.assert_array_equal(scaled.scale_codes, part.scale_codes)
        np.testing.assert_array_equal(scaled.dequantize(), part.dequantize())
    alone = fp.scale_quantize(whole[:16], rule)
    assert (alone.scale_codes != together[:16].scale_codes).any()


@pytest.mark.parametrize("amax", [2.0**-149, 1e-37, 0.3, 2.0, 2688.0, 3.4e38])
def test_a_given_amax_enters_the_formula(amax: float) -> None:
    """Smaller than the tensor's own it makes blocks saturate; larger ones leave room."""
    x = np.random.default_rng(7).standard_normal((4, 16)).astype(F32)

    with np.errstate(all="ignore"):
        expected = [oracle.nvfp4(row, F32(amax)) for row in x]
    scaled = fp.scale_quantize(x, "te-nvfp4", tensor_amax=amax)

    assert scaled.tensor_amax == F32(amax)
    assert scaled.scale_codes is not None
    np.testing.assert_array_equal(scaled.scale_codes[:, 0], [block.scale for block in expected])
    np.testing.assert_array_equal(scaled.codes, [block.codes for block in expected])


def test_a_given_amax_of_other_types() -> None:
    """A number alone is a tensor too; bfloat16 and integers are numbers."""
    import ml_dtypes

    vector = fp.scale_quantize([1.0], "te-nvfp4", tensor_amax=7)
    for amax in (7.0, np.float64(7), np.array(7, ml_dtypes.bfloat16), np.array(7, ">f4")):
        scaled = fp.scale_quantize([1.0], "te-nvfp4", tensor_amax=amax)
        assert scaled.scale_codes == vector.scale_codes
        assert scaled.tensor_amax == 7


def test_what_was_made_with_a_given_amax_moves_on() -> None:
    """It keeps that amax, also in parts; what is quantised again finds its own."""
    x = np.random.default_rng(8).standard_normal((32, 32)).astype(F32)

    scaled = fp.scale_quantize(x, "te-nvfp4", tensor_amax=40)
    again = scaled.requantize(axis=0)

    assert scaled[:16].tensor_amax == scaled.transpose().tensor_amax == 40
    assert again.tensor_amax == np.abs(scaled.dequantize()).max()
    moved = scaling.move(scaled, "te-nvfp4", axis=0).moving
    expected = scaling.distance(scaled.dequantize(), again.dequantize())
    assert moved == expected


@pytest.mark.parametrize("axis", [-1, 0])
def test_rows_that_have_their_own_amax(axis: int) -> None:
    """Each row is what the rule of one tensor makes of it alone, in parts and turned too."""
    rng = np.random.default_rng(9)
    x = (rng.standard_normal((6, 40)) * 10.0 ** rng.integers(-6, 6, (6, 1))).astype(F32)
    x[3] = 0
    x = x if axis else x.T

    scaled = fp.scale_quantize(x, "te-nvfp4-row", axis=axis)

    assert scaled.tensor_amax is not None
    assert scaled.tensor_amax.shape == ((6, 1) if axis else (1, 6))
    rows = scaled if axis else scaled.transpose()
    for i, row in enumerate(x if axis else x.T):
        alone = fp.scale_quantize(row, "te-nvfp4")
        for part in (rows[i], rows[i : i + 1], rows[1:][i - 1] if i else rows[0, :]):
            np.testing.assert_array_equal(np.ravel(part.codes), alone.codes)
            np.testing.assert_array_equal(np.ravel(part.scale_codes), alone.scale_codes)
            np.testing.assert_array_equal(np.ravel(part.dequantize()), alone.dequantize())


@pytest.mark.parametrize("rule", ["te-nvfp4-row", "te-nvfp4-4over6", "te-nvfp4-2d-4over6-mse"])
def test_threads_and_regions_do_not_show(rule: str) -> None:
    """An array of several regions, in several threads, is as its rows of blocks one by one."""
    rng = np.random.default_rng(10)
    x = (rng.standard_normal((3 * 16, 20_000)) * 2.0 ** rng.integers(-3, 3, (48, 1))).astype(F32)

    whole = fp.scale_quantize(x, rule, threads=3)

    amax = None if rule.endswith("row") else whole.tensor_amax
    for start in (0, 16, 32):
        part = fp.scale_quantize(x[start : start + 16], rule, tensor_amax=amax)
        np.testing.assert_array_equal(part.codes, whole.codes[start : start + 16])
        np.testing.assert_array_equal(part.scales, whole[start : start + 16].scales)


@some_or_all
def test_scales_of_rectangles(every: int, each: Any) -> None:
    """Each corner in a ragged block, and blocks of different corners in one matrix."""

    def check(at: int, rule: str, fmt: Any) -> None:
        blocks = {name: x.reshape(4, 6) for name, x in corners(fmt, 24, every, at).items()}
        assert_rule(blocks, rule, fmt)

        rows, columns = oracle.lengths_of(rule)
        rng = np.random.default_rng(2)
        x = rng.standard_normal((rows + 5, 2 * columns + 7)).astype(np.float32)
        x[:rows, :columns] *= F32(2.0**-20)
        x[rows:] *= F32(1e6)
        x[3, columns:] = 0
        assert_rule({"a matrix": x, "three axes": np.stack([x, x * F32(3)])}, rule, fmt)

    each([(at, *case) for at, case in enumerate(TWO_DIMENSIONAL)], check)


def test_blocks_run_along_the_given_axis(each: Any) -> None:
    """Of an array of three axes, with ragged last blocks."""

    def check(rule: str, fmt: Any, axis: int) -> None:
        rng = np.random.default_rng(3)
        shape = [3, 3, 3]
        shape[axis] = 150 if rule.startswith(("te-block", "deep")) else 41
        x = (rng.standard_normal(shape) * 2.0 ** rng.integers(-9, 9, shape)).astype(np.float32)

        scaled = quantized(x, rule, fmt, axis=axis)

        assert differences(scaled, x, rule, fmt, axis) == []
        assert scaled.axis % 3 == axis % 3
        moved = quantized(np.moveaxis(x, axis, -1), rule, fmt)
        np.testing.assert_array_equal(np.moveaxis(scaled.codes, axis, -1), moved.codes)

    some = [case for case in BY_ROW if case[1] in (fp.E4M3FN, oracle.INT8)] + NVFP4
    each([(*case, axis) for case in some for axis in (0, 1, -2)], check)


def test_the_array_says_what_it_holds(each: Any) -> None:
    """Format, block, rule, and scales that a decoded value is multiplied by."""

    def check(rule: str, fmt: Any) -> None:
        x = np.random.default_rng(4).standard_normal((9, 140)).astype(np.float32)
        scaled = quantized(x, rule, fmt)
        expected = oracle.expect(x, rule, fmt)

        assert scaled.rule.name == rule
        assert scaled.codes.shape == x.shape
        assert scaled.codes.dtype == np.uint8
        assert fmt == oracle.INT8 or scaled.format is fmt
        assert (scaled.scale_format is None) == (scaled.stored_scales.dtype == np.float32)
        if scaled.scale_format is None:
            assert scaled.scale_codes is None
        else:
            np.testing.assert_array_equal(scaled.scale_codes, scaled.stored_scales)
        assert scaled.scales.dtype == np.float32
        assert scaled.scales.shape == expected.scales.shape
        two_levels = "nvfp4" in rule and not rule.endswith("one-level")
        assert (scaled.tensor_scale is not None) == two_levels

        # The scales for display give the values to a few roundings.
        sides = oracle.lengths(oracle.RULES[rule].block, x.shape)
        spread = oracle.spread(scaled.scales, sides, x.shape)
        decoded = oracle.table(fmt)[scaled.codes]
        np.testing.assert_allclose(decoded * spread, scaled.dequantize(), rtol=2.0**-21)

    each([case for case in CASES if case[1] in (fp.E4M3FN, fp.E2M1FN, oracle.INT8)], check)


def test_results_do_not_depend_on_how_the_array_lies(each: Any) -> None:
    """Strides, byte order, read-only, threads; float16 and bfloat16 are float32 numbers."""

    def check(rule: str, fmt: Any) -> None:
        rng = np.random.default_rng(5)
        x = rng.standard_normal((40, 150)).astype(ml_dtypes.bfloat16).astype(np.float32)
        codes = quantized(x, rule, fmt).codes
        read_only = x.copy()
        read_only.flags.writeable = False
        wide = np.zeros((80, 300), np.float32)
        wide[::2, ::-2] = x
        same = {
            "column-major": np.asfortranarray(x),
            "strided": wide[::2, ::-2],
            "swapped": x.astype(x.dtype.newbyteorder()),
            "read-only": read_only,
            "bfloat16": x.astype(ml_dtypes.bfloat16),
            "float64": x.astype(np.float64),
        }
        for name, array in same.items():
            np.testing.assert_array_equal(quantized(array, rule, fmt).codes, codes, err_msg=name)
        np.testing.assert_array_equal(quantized(x, rule, fmt, threads=3).codes, codes)

    each([case for case in CASES if case[1] in (fp.E4M3FN, fp.E2M1FN, oracle.INT8)], check)


@pytest.mark.parametrize("rule", ["te-current", "te-block-1x128-fp32", "te-block-128x128-fp32"])
def test_an_infinite_scale_becomes_the_largest_of_the_type_of_x(rule: str) -> None:
    """Where max / amax overflows: FLT_MAX, or of blocks of bfloat16 that type's largest."""
    x = np.array([[2.0**-130, -(2.0**-131), 0.0]], ml_dtypes.bfloat16)
    largest = ml_dtypes.finfo(ml_dtypes.bfloat16).max if "block" in rule else oracle.FLT_MAX

    scaled = fp.scale_quantize(x, rule, fmt=fp.E4M3FN)

    kept = np.asarray(scaled.stored_scales).ravel()
    np.testing.assert_array_equal(kept, [F32(1) / F32(largest)])


# Rotations and random numbers.


def test_the_rotated_blocks_are_quantised() -> None:
    """x (diag(S) H16) / 4, on numbers whose sums float32 holds exactly in any order."""
    rng = np.random.default_rng(6)
    x = (rng.integers(-64, 65, (5, 48)) * 2.0 ** rng.integers(-3, 3, (5, 1))).astype(np.float32)
    turned = np.empty_like(x)
    for row in range(5):
        for start in range(0, 48, 16):
            tile = oracle.rotated(x[row, start : start + 16])
            turned[row, start : start + 16] = [float(value) for value in tile]
            assert [Fraction(float(v)) for v in turned[row, start : start + 16]] == tile
    expected = oracle.expect(turned, "te-nvfp4")

    scaled = fp.scale_quantize(x, "te-nvfp4-rht")

    np.testing.assert_array_equal(scaled.stored_scales, expected.scales)
    np.testing.assert_array_equal(scaled.codes, expected.codes)
    np.testing.assert_allclose(float(scaled.tensor_scale), np.abs(turned).max() / 2688, rtol=1e-6)


@pytest.mark.parametrize("rule", ["te-nvfp4-sr", "te-nvfp4-rht-sr"])
def test_random_rounding_takes_a_neighbour(rule: str) -> None:
    """Of x * enc, each with its probability: the mean is x's within six standard errors."""
    rows = 4_000
    x = np.tile(np.linspace(-5.75, 6, 16, dtype=np.float32), (rows, 1))
    tile = [float(v) for v in oracle.rotated(x[0])] if "rht" in rule else x[0]
    seen = np.array([tile], np.float32)
    made = oracle.expect(seen, "te-nvfp4")
    code, enc = oracle.nvfp4_scale(np.abs(seen).max(), np.abs(seen).max())
    y = np.clip(seen[0] * enc, -6, 6).astype(np.float64)
    grid = np.unique(oracle.table(fp.E2M1FN).astype(np.float64))
    above = np.clip(np.searchsorted(grid, y, side="left"), 1, len(grid) - 1)
    low, high = grid[above - 1], grid[above]

    scaled = fp.scale_quantize(x, rule, rng=np.random.default_rng(7))

    assert code == made.scales[0, 0]
    np.testing.assert_array_equal(scaled.stored_scales, np.full((rows, 1), code))
    taken = oracle.table(fp.E2M1FN)[scaled.codes].astype(np.float64)
    # The sums of a rotation may differ in the last bit: a neighbour's neighbour has no chance.
    assert np.all((taken == low) | (taken == high) | (np.abs(taken - y) < 1e-5))
    error = (high - low) / 2 / math.sqrt(rows)  # of a mean; its largest, in the middle
    assert np.all(np.abs(taken.mean(axis=0) - y) <= 6 * error + 1e-6)  # fails 1 in 3e7 seeds
    again = fp.scale_quantize(x, rule, rng=np.random.default_rng(7))
    np.testing.assert_array_equal(again.codes, scaled.codes)
    other = fp.scale_quantize(x, rule, rng=np.random.default_rng(8))
    assert np.any(other.codes != scaled.codes)


@pytest.mark.parametrize("rule", ["te-nvfp4-sr", "te-nvfp4-rht-sr"])
def test_random_bits_at_their_ends(rule: str) -> None:
    """No bits set truncates; all set rounds away whatever lies 2**-32 above a value."""
    rng = np.random.default_rng(9)
    x = rng.integers(-24, 25, (6, 32)).astype(np.float32)
    low = fp.scale_quantize(x, rule, random_bits=0)
    high = fp.scale_quantize(x, rule, random_bits=2**32 - 1)

    small, large = (oracle.table(fp.E2M1FN)[made.codes] for made in (low, high))
    assert np.all(np.abs(small) <= np.abs(large))
    assert np.any(np.abs(small) < np.abs(large))


# Rules with a state.


def steps_of(rng: np.random.Generator, corner: dict[int, float], count: int) -> list[Any]:
    """Return tensors of changing size, with corners put in at some steps."""
    found = []
    for step in range(count):
        x = (rng.standard_normal(6) * 2.0 ** rng.integers(-6, 6)).astype(np.float32)
        if step in corner:
            x = np.zeros(6, np.float32) if corner[step] == 0 else x
            x[2] = corner[step]
            if 0 < abs(corner[step]) < 1e-30:
                x[:] = corner[step]
        found.append(x)
    return found


#: What is put in at which step: nothing at all twice, infinity, NaN, what overflows max / amax.
SEQUENCES = {
    "zeros": {0: 0.0, 3: 0.0, 4: 0.0},
    "infinity": {2: np.inf},
    "NaN": {2: np.nan, 5: np.nan},
    "tiny": dict.fromkeys(range(12), 1e-37),
    "subnormal": dict.fromkeys(range(12), 1e-39),
    "plain": {},
}


@pytest.mark.parametrize("corner", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("fmt", [fp.E4M3FN, fp.E5M2], ids=case_id)
@pytest.mark.parametrize("rule", ["te-delayed", "te-delayed-unfused"])
def test_delayed_scaling(rule: str, fmt: Any, corner: dict[int, float]) -> None:
    """The scale in a step comes from the steps before; the largest of a step's calls counts."""
    update = oracle.te_update if rule == "te-delayed" else oracle.te_update_unfused
    state = scaling.start(rule, fmt)
    length = len(state.history)
    assert length == 1024
    scale, history = F32(1), [F32(0)] * length
    rng = np.random.default_rng(10)
    with np.errstate(all="ignore"):
        for x in steps_of(rng, corner, 12):
            for part in (x, x * F32(0.5)):
                before = state
                scaled, state = state.quantize(part)
                made = oracle.te_fixed(part, fmt, scale)
                assert np.all(same_bits(scaled.stored_scales, made.scale))
                assert np.all(same_codes(scaled.codes, made, part, fmt))
                assert np.all(same_bits(scaled.dequantize(), made.values))
                assert np.all(same_bits(before.scale, scale)), "a state must not change"
                history[0] = max(history[0], oracle.amax_fmax(part))
            assert np.all(same_bits(state.history, history))
            state = state.update()
            scale, history = update(scale, history, fmt)
            assert np.all(same_bits(state.scale, scale))
            assert np.all(same_bits(state.history, history))


@pytest.mark.parametrize("rule", ["te-delayed", "te-delayed-unfused"])
def test_a_largest_value_leaves_the_window(rule: str) -> None:
    """After as many steps as the history is long, its own step counted, and not before."""
    state = scaling.start(rule, fp.E4M3FN)
    length = len(state.history)
    scales = []
    for step in range(length + 3):
        _, state = state.quantize(np.array([100.0 if step == 0 else 1.0], np.float32))
        state = state.update()
        scales.append(float(state.scale))
    expected = [F32(448) / F32(100)] * length + [F32(448)] * 3
    if rule.endswith("unfused"):
        expected[:length] = [F32(1) / F32(100) * F32(448)] * length
    np.testing.assert_array_equal(scales, expected)


@pytest.mark.parametrize("corner", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("fmt", [fp.E4M3FN, fp.E5M2], ids=case_id)
def test_flax_keeps_its_state(fmt: Any, corner: dict[int, float]) -> None:
    """The scale is made at the start of a call; the present amax counts from the next one."""
    state = scaling.start("flax", fmt)
    scale, history = F32(1), [F32(0)] * len(state.history)
    with np.errstate(all="ignore"):
        for x in steps_of(np.random.default_rng(11), corner, 12):
            scaled, state = state.quantize(x)
            scale = oracle.flax_scale(scale, history, fmt)
            made = oracle.flax(x, fmt, scale)
            history = oracle.flax_history(history, oracle.flax_amax(x))
            assert np.all(same_bits(scaled.stored_scales, scale))
            assert np.all(same_bits(scaled.dequantize(), made.values))
            assert np.all(same_bits(state.scale, scale))
            assert np.all(same_bits(state.history, history))


@pytest.mark.parametrize(
    "corner",
    [{}, {0: 0.0, 3: 0.0, 20: 0.0}, {2: np.inf, 20: -np.inf}, {5: np.nan}, {4: 1e-37}],
    ids=["plain", "zeros", "infinity", "NaN", "tiny"],
)
@pytest.mark.parametrize("fmt", [fp.E4M3FN, fp.E5M2], ids=case_id)
def test_ms_amp_scales_in_time_and_then_from_its_window(fmt: Any, corner: dict[int, float]) -> None:
    """
    16 steps by the tensor's own amax; then by the largest of the last 16.

    Every update makes a scale from the window, the warm-up's last one that of the first
    delayed step.  An infinity or NaN is dropped from the window and begins the warm-up again.
    """
    state = scaling.start("ms-amp", fmt)
    scale, window, counter = F32(1), [F32(0)] * 16, 0
    with np.errstate(all="ignore"):
        for step, x in enumerate(steps_of(np.random.default_rng(12), corner, 45)):
            scaled, state = state.quantize(x)
            window[0] = oracle.amax_max(x)
            if counter < 16:
                scale = oracle.ms_amp_scale(window[0], scale, fmt)
            made = oracle.multiplied(x, scale, F32(1) / scale, fmt)
            assert np.all(same_codes(scaled.codes, made, x, fmt)), f"step {step}"
            assert np.all(same_bits(scaled.dequantize(), made.values)), f"step {step}"
            state = state.update()
            finite = np.isfinite(window[0])
            window[0] = window[0] if finite else F32(0)
            scale = oracle.ms_amp_scale(max(window), scale, fmt)
            window, counter = [F32(0), *window[:-1]], counter + 1 if finite else 0
            assert np.all(same_bits(state.scale, scale)) or counter < 16, f"step {step}"
            assert np.all(same_bits(state.history, window)), f"step {step}"


def test_a_rounded_element_is_the_reference_s() -> None:
    """The oracle's array cast and the definition, value by value, at ties of MXFP4."""
    y = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 5.0000005, 9.0, -0.25], np.float32)
    one_by_one = [reference.project(v, fp.E2M1FN, "rne", "SatFinite") for v in y]
    assert oracle.cast(y, fp.E2M1FN).tolist() == one_by_one == [0, 2, 2, 4, 4, 6, 6, 7, 7, 8]
