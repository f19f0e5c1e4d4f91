"""Results depend on the codes alone: not on shapes, strides, threads, blocks or tables."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num import ops
from fp8num._kernels.cache import Cache
from fp8num.ops import execution

RNG = np.random.default_rng(1)
A, B, C = RNG.integers(0, 256, (3, 300, 200), dtype=np.uint8)
WIDE = RNG.integers(0, 1 << 16, (2, 300, 200), dtype=np.uint16)


@pytest.fixture
def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "TABLE_BITS", 0)


@pytest.mark.parametrize("name", ["add", "divide", "maximum", "exp", "sqrt"])
def test_tables_hold_what_is_computed(name: str, request: Any) -> None:
    """The same codes by look-up and by computing each."""
    operands = (A,) if name in ("exp", "sqrt") else (A, B)
    looked_up = getattr(ops, name)(*operands, "E5M2", rounding="ro")
    request.getfixturevalue("no_tables")

    computed = getattr(ops, name)(*operands, "E5M2", rounding="ro")

    np.testing.assert_array_equal(looked_up, computed)


def test_a_table_is_made_when_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few results are computed; when many have been asked for, all are looked up."""
    monkeypatch.setattr(execution, "CACHE", Cache(1 << 20))
    made = []
    original = execution._Asked._make_table
    monkeypatch.setattr(
        execution._Asked, "_make_table", lambda asked: made.append(1) or original(asked)
    )
    few = ops.add(A[0], B[0], "E4M3FN", rounding="ru")
    assert not made
    for row in range(1, 30):
        ops.add(A[row], B[row], "E4M3FN", rounding="ru")
    assert len(made) == 1
    np.testing.assert_array_equal(ops.add(A[0], B[0], "E4M3FN", rounding="ru"), few)


def test_operands_broadcast() -> None:
    column, row = A[:, :1], B[0]

    actual = ops.multiply(column, row, "E4M3FN")

    full = ops.multiply(
        *(np.ascontiguousarray(x) for x in np.broadcast_arrays(column, row)), "E4M3FN"
    )
    np.testing.assert_array_equal(actual, full)
    assert ops.fma(A, row, C[0, 0], "E4M3FN").shape == A.shape
    assert ops.add(0x38, A, "E4M3FN").shape == A.shape


def test_scalars_lists_and_empty_arrays_are_operands() -> None:
    assert ops.add(np.uint8(0x38), 0x38, "E4M3FN").shape == ()
    assert ops.add([0x38], [[0x38], [0x40]], "E4M3FN").tolist() == [[0x40], [0x44]]
    assert ops.add(A[:0], B[:0], "E4M3FN").shape == (0, 200)
    assert ops.exp(np.empty((0, 3), np.uint16), "BFLOAT16").shape == (0, 3)
    assert ops.equal([], [], "E4M3FN").shape == (0,)


@pytest.mark.parametrize(("fmt", "operands"), [("E4M3FN", (A, B)), ("BFLOAT16", WIDE)])
def test_strides_byte_order_and_read_only_memory_do_not_matter(fmt: str, operands: Any) -> None:
    a, b = operands
    wanted = ops.divide(a, b, fmt)
    spread = np.zeros((600, 400), a.dtype)
    spread[::2, ::2] = a
    frozen = b.astype(b.dtype.newbyteorder(">"))
    frozen.flags.writeable = False

    np.testing.assert_array_equal(ops.divide(spread[::2, ::2], frozen, fmt), wanted)
    np.testing.assert_array_equal(ops.divide(a.T, b.T, fmt), wanted.T)
    np.testing.assert_array_equal(ops.divide(a[::-1], b[::-1], fmt), wanted[::-1])
    np.testing.assert_array_equal(ops.greater(a.T, frozen.T, fmt), ops.greater(a, b, fmt).T)


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_matter(threads: int) -> None:
    a, b = WIDE
    for name in ("add", "less", "nextafter"):
        found = getattr(ops, name)(a, b, "BFLOAT16", threads=threads)
        np.testing.assert_array_equal(found, getattr(ops, name)(a, b, "BFLOAT16"))
    many = np.tile(A.ravel(), 8)
    np.testing.assert_array_equal(
        ops.add(many, many, "E5M2", threads=threads), ops.add(many, many, "E5M2")
    )


@pytest.mark.parametrize("block", [64, 1000])
def test_blocks_do_not_matter(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of computing, of looking up, and of drawing random numbers."""

    def results() -> list[Any]:
        return [
            ops.add(*WIDE, "BFLOAT16"),
            ops.add(A, B, "E4M3FN"),
            ops.add(A, B, "E4M3FN", rounding="StochasticC", rng=np.random.default_rng(4)),
        ]

    usual = results()
    monkeypatch.setattr(execution, "BLOCK", block)
    monkeypatch.setattr(execution, "LOOKUP_BLOCK", block)
    for found, wanted in zip(results(), usual, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("width", [None, 8])
def test_rng_draws_one_number_per_result_in_c_order(width: Any) -> None:
    """As `encode` does: uint32, of which the top bits are used."""
    bits = np.random.default_rng(7).integers(0, 1 << 32, A.shape, np.uint32)
    options: dict[str, Any] = {"rounding": "StochasticA"}

    drawn = ops.multiply(
        A, B, "E5M2", rng=np.random.default_rng(7), random_width=width, threads=3, **options
    )

    given = ops.multiply(
        A, B, "E5M2", random_bits=bits >> (32 - (width or 32)), random_width=width or 32, **options
    )
    np.testing.assert_array_equal(drawn, given)
    assert (drawn != ops.multiply(A, B, "E5M2")).any()


def test_out_is_filled_and_returned() -> None:
    out = np.empty(A.shape, np.uint8)
    assert ops.add(A, B, "E4M3FN", out=out) is out
    np.testing.assert_array_equal(out, ops.add(A, B, "E4M3FN"))
    wide = np.empty((600, 200), np.uint16)
    ops.add(A, B, "E4M3FN", out_format="BFLOAT16", out=wide[::2])
    np.testing.assert_array_equal(wide[::2], ops.add(A, B, "E4M3FN", out_format="BFLOAT16"))
    truth = np.empty(A.shape, np.bool_)
    assert ops.less(A, B, "E4M3FN", out=truth) is truth
    assert ops.ulp(A, "E4M3FN", out=np.empty(A.shape)).dtype == np.float64


@pytest.mark.parametrize("fmt", ["E4M3FN", "BFLOAT16"])
def test_memory_is_bounded_by_blocks(fmt: str) -> None:
    """Some megabytes of temporaries, for a million results as for four."""
    dtype = fp.get_format(fmt).code_dtype
    for size in (1 << 20, 1 << 21):
        a = np.zeros(size, dtype)
        out = np.empty(size, dtype)
        ops.add(a[:1], a[:1], fmt)
        tracemalloc.start()
        ops.add(a, a, fmt, out=out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20


def test_tables_are_bounded() -> None:
    """However many formats and modes are used."""
    from fp8num.ops.numbers import CACHE

    for bias in range(40):
        fmt = fp.Format(name="mine", exponent_bits=4, mantissa_bits=3, bias=bias, specials="fn")
        ops.add(A[:25], B[:25], fmt)
    assert 0 < CACHE.nbytes <= CACHE.limit


def test_like_gives_another_librarys_projection() -> None:
    """ml_dtypes' cast, applied to the exact result: to E8M0 ties go up."""
    tie = ops.add(0x80, 0x7F, "E8M0FNU")  # 2 + 1, between 2 and 4
    assert (int(tie), int(ops.add(0x80, 0x7F, "E8M0FNU", like="ml_dtypes"))) == (0x80, 0x81)


def test_formats_of_the_user_are_operands() -> None:
    """Parametric ones, and tables."""
    mine = fp.Format(name="mine", exponent_bits=2, mantissa_bits=2, specials="none")
    assert float(fp.decode(ops.add(0x04, 0x04, mine), mine)) == 2.0
    assert float(fp.decode(ops.add(0x40, 0x40, "POSIT8"), "POSIT8")) == 2.0
