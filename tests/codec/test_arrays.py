"""Shapes, strides, byte orders, sizes, `out` and threads change nothing in the codes."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp

NAMES = ["E4M3FN", "E8M0FNU", "POSIT8", "E2M1FN", "BFLOAT16", "binary8p7se"]
DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.longdouble, np.int8, np.int64]

#: Ways to look at an array of shape (12, 30).
VIEWS = {
    "whole": lambda x: x,
    "fortran": np.asfortranarray,
    "transposed": lambda x: x.T,
    "rows reversed": lambda x: x[::-1],
    "all reversed": lambda x: x[::-1, ::-1],
    "columns strided": lambda x: x[:, ::3],
    "strided backward": lambda x: x[::-2, 28:1:-5],
    "one column": lambda x: x[:, 7],
    "one element": lambda x: x[3, 4],
    "0-d": lambda x: x[3, 4, ...],
    "empty": lambda x: x[:0],
    "empty inside": lambda x: x[:, :0].reshape(4, 0, 3),
    "broadcast rows": lambda x: np.broadcast_to(x[2], (5, 30)),
    "broadcast columns": lambda x: np.broadcast_to(x[:, 5:6], (12, 9)),
    "broadcast scalar": lambda x: np.broadcast_to(x[1, 1], (4, 3)),
    "4-d": lambda x: x.reshape(2, 6, 5, 6).transpose(3, 1, 0, 2)[::2, ::-1],
    "unit axes": lambda x: x[:, np.newaxis, :, np.newaxis],
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x[0], 4),
}
by_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
by_name = pytest.mark.parametrize("name", NAMES)
#: Around the sizes of blocks that an implementation may work in.
SIZES = [0, 1, 2, 3, 7, 32767, 32768, 32769, 65535, 65536, 65537, 100_003, 131_073]


def numbers(dtype: Any, shape: Any = (12, 30), seed: int = 0) -> Any:
    """Return numbers of many binades, NaN, infinities and zeros of both signs where there are."""
    rng = np.random.default_rng(seed)
    x = np.ldexp(rng.normal(size=shape), rng.integers(-12, 10, shape))
    if np.dtype(dtype).kind == "i":
        return np.clip(x * 16, -128, 127).astype(dtype)
    flat = x.ravel()
    special = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, 464.0]
    if flat.size > 100:
        flat[rng.choice(flat.size, len(special), replace=False)] = special
    with np.errstate(over="ignore"):
        return x.astype(dtype)


def one_by_one(x: Any, name: str, **options: Any) -> Any:
    """Encode each element alone, as a plain C-ordered array of one."""
    fmt = fp.get_format(name)
    codes = np.empty(x.shape, fmt.code_dtype)
    for index in np.ndindex(x.shape):
        element = np.array([x[index]], dtype=x.dtype.newbyteorder("="))
        codes[index] = fp.encode(element, fmt, **options)[0]
    return codes


@by_dtype
def test_encode_takes_any_view(dtype: Any, assert_codes: Any) -> None:
    """The codes of a view are the codes of its elements."""
    for label, name in product(VIEWS, ("E4M3FN", "BFLOAT16")):
        x = VIEWS[label](numbers(dtype))
        expected = one_by_one(np.asarray(x), name, saturation="SatNone")
        for threads in (1, 2):
            actual = fp.encode(x, name, saturation="SatNone", threads=threads)
            assert_codes(actual, expected, x, f"{label} {name} threads={threads}")


@by_name
def test_decode_takes_any_view(name: str) -> None:
    """The values of a view of codes are the values of its elements."""
    fmt = fp.get_format(name)
    whole = np.random.default_rng(1).integers(0, 1 << fmt.bits, (12, 30), dtype=fmt.code_dtype)
    dtypes = (np.float32, np.float64, ml_dtypes.bfloat16)
    for label, dtype in product(VIEWS, dtypes[:1] if name == "binary8p7se" else dtypes):
        codes = VIEWS[label](whole)
        expected = fmt.values[codes].astype(np.float64)

        actual = fp.decode(codes, fmt, dtype=dtype, threads=2)

        assert actual.shape == codes.shape, label
        assert actual.dtype == dtype, label
        np.testing.assert_array_equal(actual.astype(np.float64), expected, label)


@by_dtype
def test_quantize_takes_any_view(dtype: Any) -> None:
    """Values, shape and type of a view."""
    for label, view in VIEWS.items():
        x = view(numbers(dtype))
        whole = np.array(np.asarray(x), order="C")
        expected = fp.decode(fp.encode(whole, "E4M3FN"), "E4M3FN", dtype=np.float64)

        actual = fp.quantize(x, "E4M3FN", threads=2)

        assert actual.shape == np.shape(x), label
        assert actual.dtype == (np.float64 if np.dtype(dtype).kind == "i" else dtype), label
        wide = actual.astype(np.float64)
        np.testing.assert_array_equal(wide, expected, label)
        np.testing.assert_array_equal(np.signbit(wide), np.signbit(expected), label)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_convert_and_flags_take_any_view(view: Any) -> None:
    """As a contiguous copy of the same elements."""
    codes = view(np.random.default_rng(2).integers(0, 256, (12, 30), dtype=np.uint8))
    copy = np.array(np.asarray(codes), order="C")
    np.testing.assert_array_equal(
        fp.convert(codes, "E5M2", "E4M3FN", saturation="SatNone"),
        fp.convert(copy, "E5M2", "E4M3FN", saturation="SatNone"),
    )
    x = view(numbers(np.float32))
    copy = np.array(np.asarray(x), order="C")
    for name, raised, alone in zip(
        ("inexact", "underflow", "overflow", "invalid"),
        _flags(x),
        _flags(copy),
        strict=True,
    ):
        assert raised.shape == np.shape(x)
        assert raised.dtype == np.bool_
        np.testing.assert_array_equal(raised, alone, err_msg=name)


def _flags(x: Any) -> tuple[Any, ...]:
    found = fp.flags(x, "E4M3FN", saturation="SatNone")
    return found.inexact, found.underflow, found.overflow, found.invalid


@by_dtype
def test_byte_order_does_not_matter(dtype: Any, assert_codes: Any) -> None:
    """Swapped input gives the same codes, swapped codes the same values."""
    if dtype is ml_dtypes.bfloat16:
        pytest.skip("ml_dtypes has no byte-swapped types")
    x = numbers(dtype)
    swapped = x.astype(x.dtype.newbyteorder())
    for some in (slice(None), np.s_[::-1, ::2], np.s_[3, 4, ...]):
        for name in NAMES:
            expected = fp.encode(np.array(x[some]), name)
            assert_codes(fp.encode(swapped[some], name), expected, x[some], name)
        quantized = fp.quantize(swapped[some], "E4M3FN")
        assert quantized.dtype.isnative
        np.testing.assert_array_equal(quantized, fp.quantize(np.array(x[some]), "E4M3FN"))
    codes = np.arange(1 << 16, dtype=np.uint16)
    np.testing.assert_array_equal(
        fp.decode(codes.astype(">u2"), "BFLOAT16"), fp.decode(codes.astype("<u2"), "BFLOAT16")
    )


def test_read_only_input_is_taken_and_left_alone() -> None:
    """No function writes to its input, and none needs to."""
    x = numbers(np.float32, (70_000,))
    kept = x.copy()
    codes = fp.encode(x, "E4M3FN")
    before = codes.copy()
    for array in (x, codes):
        array.flags.writeable = False

    np.testing.assert_array_equal(fp.encode(x, "E4M3FN", threads=2), codes)
    fp.quantize(x, "E4M3FN")
    fp.flags(x, "E4M3FN")
    assert fp.encode(x, "E4M3FN").flags.writeable
    assert fp.decode(codes, "E4M3FN").flags.writeable
    fp.convert(codes, "E4M3FN", "E5M2")
    fp.unpack(fp.pack(codes, "E4M3FN"), "E4M3FN", codes.size)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(codes, before)


def test_python_numbers_and_lists_are_taken() -> None:
    """Scalars give 0-d arrays, nested lists their shape."""
    for x in (1.5, 3, np.float16(1.5), ml_dtypes.bfloat16(1.5), np.int8(3), np.array(1.5)):
        code = fp.encode(x, "E4M3FN")
        assert isinstance(code, np.ndarray)
        assert code.shape == ()
        assert code.dtype == np.uint8
        assert int(code) == {1.5: 0x3C, 3: 0x44}[float(x)]
        assert fp.quantize(x, "E4M3FN").shape == ()
    assert fp.encode([[1.0, 2.0], [3, 4]], "E4M3FN").tolist() == [[0x38, 0x40], [0x44, 0x48]]
    assert fp.encode((1.0,), "E4M3FN").shape == (1,)
    assert fp.encode([], "E4M3FN").shape == (0,)
    assert fp.encode([[], []], "BFLOAT16").shape == (2, 0)
    assert fp.decode([0x38, 0x40], "E4M3FN").tolist() == [1.0, 2.0]
    assert fp.decode(0x38, "E4M3FN").shape == ()


def test_an_empty_list_of_codes_is_taken() -> None:
    """As a list with one code is."""
    assert fp.decode([], "E4M3FN").shape == (0,)
    assert fp.pack([], "E2M1FN").shape == (0,)


def test_flags_of_a_number_are_0d_arrays() -> None:
    """As its code is: arrays of the shape of x, whatever the shape."""
    for flag in _flags(1.5):
        assert isinstance(flag, np.ndarray)
        assert flag.shape == ()


@pytest.mark.parametrize("kind", ["scalar", "array"])
def test_results_are_plain_arrays(kind: str) -> None:
    """Of a subclass too."""

    class Labelled(np.ndarray):
        pass

    x = np.array([1.0, 2.0]).view(Labelled)
    x = x[0, ...] if kind == "scalar" else x
    codes = fp.encode(x, "E4M3FN")
    for result in (
        codes,
        fp.quantize(x, "E4M3FN"),
        fp.decode(codes.view(Labelled), "E4M3FN"),
        fp.convert(codes.view(Labelled), "E4M3FN", "E5M2"),
    ):
        assert type(result) is np.ndarray


@pytest.mark.parametrize("size", SIZES)
def test_sizes_around_blocks_and_threads_give_the_same(size: int, assert_codes: Any) -> None:
    """Every type, every kind of kernel, one to three threads: the codes of single elements."""
    for dtype in (np.float16, np.float32, np.float64):
        x = numbers(dtype, size, seed=size)
        # An encoding of each distinct pattern alone, placed by index: no block in it.
        pool, index = np.unique(x.view(f"u{x.itemsize}")[-300:], return_inverse=True)
        pool = pool.view(dtype)
        for name in ("E4M3FN", "POSIT8", "BFLOAT16", "binary8p7se"):
            whole = fp.encode(x, name)
            assert_codes(whole[-300:], one_by_one(pool, name)[index], x[-300:], name)
            for threads in (2, 3):
                assert_codes(fp.encode(x, name, threads=threads), whole, x, f"{name} {threads}")
            pieces = [fp.encode(piece, name) for piece in np.array_split(x, 5)]
            assert_codes(np.concatenate(pieces), whole, x, name)


@pytest.mark.parametrize("size", SIZES)
def test_decoding_sizes_around_blocks_gives_the_same(size: int) -> None:
    """Odd sizes too: an implementation may decode two codes at a time."""
    for name in ("E4M3FN", "E2M1FN", "BFLOAT16"):
        fmt = fp.get_format(name)
        codes = np.random.default_rng(size).integers(
            0, 1 << fmt.bits, size + 1, dtype=fmt.code_dtype
        )
        for aligned in (codes[:-1], codes[1:]):  # at even and odd addresses
            for dtype in (np.float32, np.float64):
                expected = fmt.values[aligned].astype(dtype)
                for threads in (1, 2, 3):
                    actual = fp.decode(aligned, fmt, dtype=dtype, threads=threads)
                    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_every_function_gives_the_same_with_threads(threads: int) -> None:
    x = numbers(np.float32, (3, 70_001))
    codes = fp.encode(x, "E5M2")
    np.testing.assert_array_equal(fp.encode(x, "E5M2", threads=threads), codes)
    np.testing.assert_array_equal(fp.quantize(x, "E5M2", threads=threads), fp.quantize(x, "E5M2"))
    np.testing.assert_array_equal(
        fp.convert(codes, "E5M2", "E4M3FN", threads=threads), fp.convert(codes, "E5M2", "E4M3FN")
    )
    np.testing.assert_array_equal(
        fp.decode(codes, "E5M2", threads=threads), fp.decode(codes, "E5M2")
    )


def test_threads_may_call_at_once() -> None:
    """Tables are made once and shared: calls from several threads agree."""
    from concurrent.futures import ThreadPoolExecutor

    x = numbers(np.float32, (5_000,))
    names = [f"w4m3b{bias}-fn" for bias in range(-6, 30)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda name: fp.encode(x, name), names * 4))
    for name, codes in zip(names * 4, together, strict=True):
        np.testing.assert_array_equal(codes, fp.encode(x, name))


# out=


def out_like(shape: Any, dtype: Any) -> dict[str, Any]:
    """Return writeable arrays of a shape that lie differently in memory, full of rubbish."""
    shape = tuple(np.atleast_1d(shape).tolist())
    wide = np.full((*shape[:-1], 2 * shape[-1]), 77, dtype)
    return {
        "contiguous": np.full(shape, 77, dtype),
        "strided": wide[..., ::2],
        "reversed": np.full(shape, 77, dtype)[..., ::-1],
        "fortran": np.full(shape, 77, dtype, order="F"),
        "transposed": np.full(shape[::-1], 77, dtype).T,
    }


@pytest.mark.parametrize("layout", ["contiguous", "strided", "reversed", "fortran", "transposed"])
def test_results_go_where_they_are_asked_to(layout: str) -> None:
    """The array given comes back, filled, whatever its strides; and nothing beside it."""
    for shape in ((7, 31), (3, 40_001), (0,), (5,)):
        x = numbers(np.float64, shape)
        codes = fp.encode(x, "E4M3FN")
        for threads in (1, 2):
            out = out_like(shape, np.uint8)[layout]
            beside = None if out.base is None else out.base
            assert fp.encode(x, "E4M3FN", out=out, threads=threads) is out
            np.testing.assert_array_equal(out, codes)
            if layout == "strided" and beside is not None:
                assert (beside[..., 1::2] == 77).all()
            out = out_like(shape, np.uint8)[layout]
            assert fp.convert(codes, "E4M3FN", "E5M2", out=out, threads=threads) is out
            np.testing.assert_array_equal(out, fp.convert(codes, "E4M3FN", "E5M2"))
            out = out_like(shape, np.float64)[layout]
            assert fp.quantize(x, "E4M3FN", out=out, threads=threads) is out
            np.testing.assert_array_equal(out, fp.quantize(x, "E4M3FN"))
            out = out_like(shape, np.float32)[layout]
            assert fp.decode(codes, "E4M3FN", out=out, threads=threads) is out
            np.testing.assert_array_equal(out, fp.decode(codes, "E4M3FN"))


def test_results_of_strided_inputs_go_where_they_are_asked_to() -> None:
    """Both strided, differently."""
    x = numbers(np.float32, (40, 60))
    out = np.zeros((60, 20), np.uint8)[::-1]
    fp.encode(x.T[:, ::2], "E5M2", out=out, threads=2)
    np.testing.assert_array_equal(out, fp.encode(np.array(x.T[:, ::2]), "E5M2"))
    back = np.zeros((20, 60), np.float64).T
    fp.decode(out, "E5M2", dtype=np.float64, out=back)
    np.testing.assert_array_equal(back, fp.E5M2.values[out])


def test_a_scalar_result_goes_where_it_is_asked_to() -> None:
    out = np.zeros((), np.uint8)
    assert fp.encode(1.0, "E4M3FN", out=out) is out
    assert out == 0x38
    wide = np.zeros((), np.uint16)
    assert fp.encode(1.0, "BFLOAT16", out=wide) == 0x3F80


def test_stochastic_codes_go_where_they_are_asked_to() -> None:
    x = numbers(np.float32, (3, 40_001))
    expected = fp.encode(x, "E4M3FN", rounding="sra", rng=np.random.default_rng(1))
    out = np.zeros((40_001, 3), np.uint8).T
    fp.encode(x, "E4M3FN", rounding="sra", rng=np.random.default_rng(1), out=out, threads=2)
    np.testing.assert_array_equal(out, expected)


def test_neighbours_in_memory_are_no_overlap() -> None:
    """Input and `out` in one buffer, interleaved or side by side, share no element."""
    buffer = np.zeros(200, np.uint8)
    buffer[:100] = np.arange(100)
    expected = fp.convert(buffer[:100].copy(), "E5M2", "E4M3FN")

    fp.convert(buffer[:100], "E5M2", "E4M3FN", out=buffer[100:])

    np.testing.assert_array_equal(buffer[100:], expected)
    np.testing.assert_array_equal(buffer[:100], np.arange(100))


def test_the_comparison_by_elements_notices_a_wrong_code(assert_codes: Any) -> None:
    x = numbers(np.float32)
    wrong = one_by_one(x, "E4M3FN")
    wrong[5, 5] ^= 1
    with pytest.raises(AssertionError, match="1 of 360 codes differ"):
        assert_codes(fp.encode(x, "E4M3FN"), wrong, x)
