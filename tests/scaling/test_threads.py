"""
The right codes and scales for arrays of any size, layout, type and number of threads.

Expected is a plain loop over blocks: the scale by its formula in float32 scalars, each
element by searching the format's values.  Arrays are larger than what is worked on at
once, so that they are cut.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num.scaling import RULES

F32 = np.float32
MAX = F32(448)


@cache
def grid() -> tuple[Any, Any]:
    """Return E4M3FN's magnitudes by code, from their fields, and the middles between them."""
    values = [
        m * 2.0**-9 if e == 0 else (8 + m) * 2.0 ** (e - 10) for e in range(16) for m in range(8)
    ]
    magnitudes = np.array(values[:-1])  # the last is NaN
    return magnitudes, (magnitudes[1:] + magnitudes[:-1]) / 2


def cast(y: Any) -> Any:
    """Round float64 numbers to E4M3FN by searching: ties to the even code, saturating."""
    magnitudes, middles = grid()
    size = np.abs(y)
    codes = np.searchsorted(middles, size, side="left")
    tie = (codes < len(middles)) & (size == middles[np.minimum(codes, len(middles) - 1)])
    codes = codes + (tie & (codes % 2 == 1))
    codes = np.where(np.isnan(y), 0x7F, np.minimum(codes, len(magnitudes) - 1))
    return (codes | np.signbit(y).astype(int) << 7).astype(np.uint8)


def quotient(amax: Any) -> Any:
    """Our own: max / amax, 1 of zero."""
    return MAX / amax if amax > 0 else F32(1)


def power(amax: Any) -> Any:
    """TransformerEngine's, with its mantissa cleared."""
    return F32(2.0 ** (np.frexp(quotient(amax))[1] - 1))


def mxfp8(amax: Any) -> Any:
    """TransformerEngine's E8M0 code: amax / 448 rounded up to a power of two."""
    v = amax * (F32(1) / MAX)
    mantissa, exponent = np.frexp(v)
    return 0 if amax == 0 else int(exponent - 1 + (mantissa != 0.5)) + 127


def deepgemm(amax: Any) -> Any:
    return max(amax, F32(1e-4)) / MAX


#: The rule: length of a block on the two axes (0 the whole), what is stored of amax, what
#: elements are multiplied by, and whether that product is rounded to float32.
CASES: dict[str, tuple[tuple[int, int], Any, Any, bool]] = {
    "tensor": ((0, 0), quotient, lambda s: s, False),
    "row": ((1, 0), quotient, lambda s: s, False),
    "channel": ((0, 1), quotient, lambda s: s, False),
    "block-32": ((1, 32), quotient, lambda s: s, False),
    "block-3x50": ((3, 50), quotient, lambda s: s, False),
    "te-block-128x128": ((128, 128), lambda a: F32(1) / power(a), lambda s: F32(1) / s, True),
    "te-block-1x128": ((1, 128), lambda a: F32(1) / power(a), lambda s: F32(1) / s, True),
    "te-mxfp8": ((1, 32), mxfp8, lambda code: F32(2.0 ** (127 - code)), True),
    "deepgemm-1x128": ((1, 128), deepgemm, lambda s: F32(1) / s, True),
    "deepgemm-128x128": ((128, 128), deepgemm, lambda s: F32(1) / s, True),
}
by_case = pytest.mark.parametrize("rule", CASES)


def expected(x: Any, rule: str) -> tuple[Any, Any]:
    """Return codes and stored scales of a float32 matrix, block by block."""
    lengths, stored, factor, single = CASES[rule]
    rows, columns = (length or size for length, size in zip(lengths, x.shape, strict=True))
    codes, scales = np.empty(x.shape, np.uint8), []
    for top in range(0, x.shape[0], rows):
        scales.append([])
        for left in range(0, x.shape[1], columns):
            block = x[top : top + rows, left : left + columns]
            kept = stored(np.abs(block).max())
            scales[-1].append(kept)
            by = factor(kept)
            product = block * by if single else block.astype(np.float64) * np.float64(by)
            codes[top : top + rows, left : left + columns] = cast(product.astype(np.float64))
    dtype = np.uint8 if rule == "te-mxfp8" else np.float32
    found = np.array(scales, dtype)
    return codes, found.reshape(()) if rule == "tensor" else found


@cache
def matrix() -> Any:
    """Return float32 numbers that bfloat16 holds, in blocks of many sizes, some of them zero."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((270, 1100)) * np.exp2(rng.integers(-12, 12, (270, 1)))
    x *= np.exp2(np.arange(1100) // 50 % 7 - 3)
    x[5:9, 100:300] = 0
    x = x.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float32)
    x.flags.writeable = False
    return x


@cache
def answer(rule: str) -> tuple[Any, Any]:
    return expected(matrix(), rule)


def assert_answer(scaled: Any, rule: str, name: str = "") -> None:
    codes, scales = answer(rule)
    np.testing.assert_array_equal(scaled.stored_scales, scales, err_msg=f"{name}: scales")
    np.testing.assert_array_equal(scaled.codes, codes, err_msg=f"{name}: codes")
    assert scaled.stored_scales.dtype == scales.dtype


def test_the_loop_s_cast_is_e4m3fn_s() -> None:
    """Ties, the largest, beyond it, zeros of both signs, NaN."""
    y = np.array([17, 19, -21, 448, 1e9, -np.inf, 0.0, -0.0, 2.0**-10, 3 * 2.0**-10, np.nan])
    wanted = [16, 20, -20, 448, 448, -448, 0, 0, 0, 2.0**-8]
    assert fp.E4M3FN.values[cast(y)][:10].tolist() == wanted
    assert cast(y)[[7, 10]].tolist() == [0x80, 0x7F]


@by_case
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_loop_s_result(rule: str, threads: int) -> None:
    """Of more elements than are worked on at once, with ragged blocks on both axes."""
    assert_answer(fp.scale_quantize(matrix(), rule, threads=threads), rule)


def layouts(x: Any) -> dict[str, Any]:
    """Return arrays of the same numbers that lie otherwise."""
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)
    wide[::2, ::3] = x
    offset = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = offset[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    return {
        "column-major": np.asfortranarray(x),
        "strided": wide[::2, ::3],
        "backwards": np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
        "big-endian": x.astype(x.dtype.newbyteorder(">")),
        "strided big-endian": wide.astype(x.dtype.newbyteorder(">"))[::2, ::3],
        "unaligned": unaligned,
    }


@by_case
def test_any_layout_gives_the_loop_s_result(rule: str) -> None:
    """The matrix itself is read-only, so nothing writes to it."""
    for threads, (name, array) in enumerate(layouts(matrix()).items()):
        assert_answer(fp.scale_quantize(array, rule, threads=threads % 2 + 1), rule, name)


@by_case
def test_any_type_gives_the_loop_s_result(rule: str) -> None:
    """Numbers that all of the types hold."""
    for dtype in (ml_dtypes.bfloat16, np.float64, np.longdouble):
        assert_answer(fp.scale_quantize(matrix().astype(dtype), rule), rule, str(dtype))


def test_integers_and_float16_give_the_result_of_their_float32(each: Any) -> None:
    def check(rule: str, dtype: Any) -> None:
        rng = np.random.default_rng(1)
        x = rng.integers(0, 120, (131, 150)) * rng.choice([1, -1], (131, 1))
        if np.dtype(dtype).kind == "u":
            x = np.abs(x)
        codes, scales = expected(x.astype(np.float32), rule)

        scaled = fp.scale_quantize(x.astype(dtype), rule)

        np.testing.assert_array_equal(scaled.stored_scales, scales)
        np.testing.assert_array_equal(scaled.codes, codes)

    each(product(CASES, [np.float16, np.int8, np.uint16, np.int32, np.int64, ">i2", ">f2"]), check)


@pytest.mark.parametrize("rule", ["te-mxfp8", "te-block-1x128", "deepgemm-1x128"])
@pytest.mark.parametrize("dtype", [np.float64, np.longdouble, np.int64], ids=lambda t: t.__name__)
def test_libraries_rules_round_to_float32_first(rule: str, dtype: Any) -> None:
    """As the libraries do, to nearest: numbers that float32 does not hold."""
    rng = np.random.default_rng(2)
    x = (rng.standard_normal((40, 200)) * 2.0**40).astype(dtype)
    single = x.astype(np.float32)
    assert np.any(single.astype(np.float64) != x.astype(np.float64))
    codes, scales = expected(single, rule)

    scaled = fp.scale_quantize(x, rule)

    np.testing.assert_array_equal(scaled.stored_scales, scales)
    np.testing.assert_array_equal(scaled.codes, codes)


def test_every_rule_gives_one_result(each: Any) -> None:
    """Whatever the layout and the threads: scales, codes and values, in every bit."""

    def check(rule: str) -> None:
        x = np.ascontiguousarray(matrix()[:96, :160])
        random = {
            "random_bits": np.arange(x.size, dtype=np.uint32).reshape(x.shape) * 40503 * 65537
        }
        options = random if rule.endswith("sr") else {}
        wanted = fp.scale_quantize(x, rule, **options)
        values = wanted.dequantize().tobytes()
        for threads, (name, array) in enumerate({"itself": x, **layouts(x)}.items()):
            scaled = fp.scale_quantize(array, rule, threads=threads % 3 + 1, **options)
            np.testing.assert_array_equal(scaled.codes, wanted.codes, err_msg=name)
            assert scaled.stored_scales.tobytes() == wanted.stored_scales.tobytes(), name
            assert scaled.dequantize().tobytes() == values, name

    each(RULES, check)


def random_bits(rule: str) -> dict[str, Any]:
    """Return the option that rules of random rounding need."""
    return {"random_bits": 0} if rule.endswith("sr") else {}


def test_every_rule_takes_an_empty_tensor(each: Any) -> None:
    """Of no rows, of no columns; the tensor's own scale is that of zero."""

    def check(rule: str) -> None:
        for shape in ((0, 32), (4, 0)):
            scaled = fp.scale_quantize(np.zeros(shape, np.float32), rule, **random_bits(rule))
            assert scaled.codes.shape == scaled.dequantize().shape == shape
            if scaled.stored_scales.ndim == 0:
                zero = fp.scale_quantize(np.zeros((1, 16), np.float32), rule, **random_bits(rule))
                assert scaled.stored_scales == zero.stored_scales

    each(RULES, check)


def test_every_rule_takes_infinity_and_any_nan_without_a_warning(each: Any) -> None:
    """Signalling NaN too, beside numbers of all their bits."""

    def check(rule: str, kind: str) -> None:
        word = {"f2": 0x7C01, "f4": 0x7F800001, "f8": 0x7FF0000000000001}[kind]
        nan = np.array([word], kind.replace("f", "u")).view(kind)
        x = np.concatenate(
            [nan, np.array([np.inf, -np.inf, np.nan, 0.1, 1 / 3, -0.0, 5] * 5, kind)]
        )
        x = x[:32][None]

        scaled = fp.scale_quantize(x, rule, **random_bits(rule))

        assert scaled.dequantize().shape == (1, 32)

    each(product(RULES, ["f2", "f4", "f8"]), check)


@pytest.mark.parametrize("rule", ["te-nvfp4-sr", "te-nvfp4-rht-sr"])
def test_random_numbers_are_drawn_in_the_order_of_elements(rule: str) -> None:
    """One uint32 each, whatever the layout and the threads."""
    x = np.ascontiguousarray(matrix()[:96, :160])
    bits = np.random.default_rng(5).integers(0, 1 << 32, x.shape, np.uint32)
    wanted = fp.scale_quantize(x, rule, random_bits=bits).codes
    for threads in (1, 3):
        for array in (x, np.asfortranarray(x)):
            rng = np.random.default_rng(5)
            found = fp.scale_quantize(array, rule, rng=rng, threads=threads).codes
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("rule", ["te-mxfp8", "row", "te-nvfp4", "tensor-mse"])
def test_the_input_is_left_as_it_was(rule: str) -> None:
    x = matrix()[:32, :64].copy()
    before = x.tobytes()
    scaled = fp.scale_quantize(x, rule)
    assert x.tobytes() == before
    assert not np.shares_memory(scaled.codes, x)


def test_a_block_larger_than_what_is_worked_on_at_once() -> None:
    """A row of 600 000, a rectangle of 400 x 900, all of a tensor of three axes."""
    x = np.random.default_rng(3).standard_normal(720_000).astype(np.float32)
    for rule, shape, block in (
        ("row", (1, 720_000), (1, 720_000)),
        ("block-400x900", (800, 900), (400, 900)),
        ("tensor", (2, 400, 900), (2, 400, 900)),
        ("channel", (2, 360_000), (2, 1)),
    ):
        y = x.reshape(shape)
        counts = [n // b for n, b in zip(shape, block, strict=True)]
        pairs = y.reshape([n for c, b in zip(counts, block, strict=True) for n in (c, b)])
        amax = np.abs(pairs).max(axis=tuple(range(1, 2 * y.ndim, 2)), keepdims=True)
        scales = MAX / amax
        wanted = cast(pairs.astype(np.float64) * scales.astype(np.float64)).reshape(shape)
        for threads in (1, 2):
            scaled = fp.scale_quantize(y, rule, threads=threads)
            np.testing.assert_array_equal(scaled.codes, wanted)
            np.testing.assert_array_equal(scaled.stored_scales.ravel(), scales.ravel())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_three_axes_are_the_loop_s_result_for_each_matrix(axis: int) -> None:
    """Blocks of 32 along each of them."""
    x = matrix()[:60, :210].reshape(3, 20, 210)
    scaled = fp.scale_quantize(x, "te-mxfp8", axis=axis, threads=2)
    last = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    codes, scales = expected(last.reshape(-1, last.shape[-1]), "te-mxfp8")
    np.testing.assert_array_equal(np.moveaxis(scaled.codes, axis, -1).reshape(codes.shape), codes)
    kept = np.moveaxis(scaled.stored_scales, axis, -1)
    np.testing.assert_array_equal(kept.reshape(scales.shape), scales)
