"""
Float32 products and quotients are the exact ones rounded once, subnormals included.

Both ways of computing them are tried: NumPy's own, and the one in float64 that serves
where another library has subnormals flushed to zero.  Expected is what a Fraction rounds
to in integers alone.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fp8num._kernels import float32
from fp8num._kernels.float32 import as_float32, as_float64, divide, flushes_subnormals, multiply

F32 = np.float32
INFINITY, NAN = 0x7F800000, 0x7FC00000


@pytest.fixture(params=["NumPy", "widened"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with NumPy's arithmetic, and as if subnormals were flushed."""
    if request.param == "widened":
        monkeypatch.setattr(float32, "flushes_subnormals", lambda: True)
    return str(request.param)


def word_of(value: Fraction, *, negative: bool = False) -> int:
    """Round to float32, ties to even, and return the word; zero has the given sign."""
    sign = 1 << 31 if value < 0 or negative else 0
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    exponent -= magnitude < Fraction(2) ** exponent
    exponent = min(max(exponent, -126), 128) if magnitude else -126
    units = round(magnitude / Fraction(2) ** (exponent - 23))  # Python rounds ties to even
    # The hidden bit is worth one in the exponent field, and so is a carry out of the units.
    word = units + ((exponent + 126) << 23)
    return sign | min(word, INFINITY)


def floats(words: Any) -> Any:
    return np.asarray(words, np.uint32).view(np.float32)


def fraction(value: Any) -> Fraction:
    """Return a finite number exactly, without any float arithmetic."""
    numerator, denominator = value.item().as_integer_ratio()
    return Fraction(numerator, denominator)


def test_the_expectation_rounds() -> None:
    """Ties, the smallest subnormal, the largest number, and what NumPy reads from decimals."""
    assert word_of(Fraction(1, 2**150)) == 0
    assert word_of(Fraction(3, 2**150)) == 2
    assert word_of(Fraction(1, 2**150) + Fraction(1, 2**400)) == 1
    assert word_of(Fraction(2**24 - 1, 2**150)) == 1 << 23  # into the normal numbers
    assert word_of(2**128 - Fraction(2**103)) == INFINITY
    assert word_of(2**128 - Fraction(2**103) - 1) == INFINITY - 1
    for text in ("0.1", "-3.7e-39", "1e-45", "448", "3.4028235e38", "-1.17549431e-38"):
        assert word_of(Fraction(text)) == int(F32(text).view(np.uint32))


#: Zero, subnormals, the edges of the normal numbers, thirds, and the largest.
WORDS = [0, 1, 2, 3, 0x200000, 0x3FFFFF, 0x400000, 0x400001, 0x555555, 0x7FFFFF, 0x800000]
WORDS += [0x800001, 0xFFFFFF, 0x01000000, 0x1A000001, 0x1F800000, 0x1FC00000, 0x3EAAAAAB]
WORDS += [0x3F000000, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3FFFFFFF, 0x40400000, 0x43E00000]
WORDS += [0x3B124925, 0x5F3504F3, 0x7E800000, 0x7F000000, 0x7F7FFFFF]
SIGNED = [word | sign for word in WORDS for sign in (0, 1 << 31)]


def expected(op: Any, a: int, b: int) -> int:
    """Return the word of a product or quotient of two finite words; NaN as one word."""
    x, y = (fraction(floats(word)) for word in (a, b))
    negative = bool((a ^ b) >> 31)
    if op is multiply:
        return word_of(x * y, negative=negative)
    if y == 0:
        return NAN if x == 0 else INFINITY | negative << 31
    return word_of(x / y, negative=negative)


def assert_words(found: Any, wanted: list[int], context: Any) -> None:
    """Compare words; NaNs are one."""
    assert found.dtype == np.float32
    words = np.where(np.isnan(found), NAN, found.view(np.uint32)).ravel()
    wrong = np.flatnonzero(words != np.array(wanted, np.uint32))
    assert not wrong.size, (
        f"{wrong.size} of {words.size} differ, first {context[wrong[0]]}: "
        f"{words[wrong[0]]:08x}, not {wanted[wrong[0]]:08x}"
    )


@pytest.mark.parametrize("op", [multiply, divide], ids=["multiply", "divide"])
@pytest.mark.usefixtures("way")
def test_pairs_of_corners_are_rounded_once(op: Any) -> None:
    """Every pair, of both signs."""
    pairs = list(product(SIGNED, SIGNED))
    a, b = (floats(column) for column in zip(*pairs, strict=True))

    found = op(a, b)

    assert_words(found, [expected(op, *pair) for pair in pairs], [f"{a:x} {b:x}" for a, b in pairs])


@pytest.mark.parametrize("op", [multiply, divide], ids=["multiply", "divide"])
@pytest.mark.usefixtures("way")
def test_ties_among_subnormals_go_to_the_even_one(op: Any) -> None:
    """(2k + 1) / 2 units of 2**-149, and the numbers just below and above such ties."""
    a, b = [], []
    for k in [*range(40), 0x3FFFFE, 0x3FFFFF]:
        tie = F32(math.ldexp(2 * k + 1, -76))
        for factor in (tie, np.nextafter(tie, F32(0)), np.nextafter(tie, F32(1))):
            a.append(factor)
            b.append(F32(2.0**-74 if op is multiply else 2.0**74))
    pairs = [(int(x.view(np.uint32)), int(y.view(np.uint32))) for x, y in zip(a, b, strict=True)]

    found = op(np.array(a), np.array(b))

    assert_words(found, [expected(op, *pair) for pair in pairs], pairs)
    assert found[0] == 0
    assert int(found[3].view(np.uint32)) == 2  # 1.5 units


@pytest.mark.usefixtures("way")
def test_a_quotient_that_is_a_tie_is_seen_as_one() -> None:
    """(2k + 1) / 2 units of 2**-149 by divisors whose reciprocals no float holds."""
    divisors = np.arange(3, 1001, 2, dtype=np.float64)
    for odd in (1, 3, 5, 7, 1001):
        a, b = np.ldexp(odd * divisors, -76), np.ldexp(divisors, 74)
        found = divide(a.astype(np.float32), b.astype(np.float32))

        even = odd // 2 + (odd // 2) % 2
        assert_words(found, [even] * len(divisors), divisors)


word = st.integers(0, 0x7F7FFFFF) | st.integers(0, 0x00FFFFFF)
signs = st.sampled_from([0, 1 << 31])


@pytest.mark.parametrize("flushes", [False, True])
@given(a=word, b=word, sign=signs)
@example(a=0x00000001, b=0x3F000000, sign=0)
@example(a=0x00800000, b=0x3F7FFFFF, sign=1 << 31)
def test_any_two_numbers_are_rounded_once(a: int, b: int, sign: int, *, flushes: bool) -> None:
    x, y = floats([a | sign]), floats([b])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(float32, "flushes_subnormals", lambda: flushes)
        for op in (multiply, divide):
            assert_words(op(x, y), [expected(op, a | sign, b)], [f"{op.__name__} {a:x} {b:x}"])


@pytest.mark.usefixtures("way")
def test_infinity_nan_and_zero_follow_ieee() -> None:
    """Without a warning."""
    inf, nan = np.inf, np.nan
    table = [  # a, b, a * b, a / b
        (inf, 0.0, nan, inf), (inf, -0.0, nan, -inf), (0.0, inf, nan, 0.0),
        (-inf, 2.0, -inf, -inf), (2.0, -inf, -inf, -0.0), (inf, inf, inf, nan),
        (nan, 1.0, nan, nan), (1.0, nan, nan, nan), (nan, 0.0, nan, nan),
        (-0.0, 3.0, -0.0, -0.0), (0.0, -0.0, -0.0, nan), (1.0, -0.0, -0.0, -inf),
    ]  # fmt: skip
    a, b, products, quotients = (
        np.array(column, np.float32) for column in zip(*table, strict=True)
    )
    for found, wanted in ((multiply(a, b), products), (divide(a, b), quotients)):
        words = [NAN if np.isnan(w) else int(w.view(np.uint32)) for w in wanted]
        assert_words(found, words, table)


@pytest.mark.parametrize("op", [multiply, divide], ids=["multiply", "divide"])
@pytest.mark.usefixtures("way")
def test_numbers_alone_and_broadcast_arrays(op: Any) -> None:
    """A number with an array, either way round; two numbers; no numbers; into an array."""
    a = floats([[1], [0x3F800001]])
    b = floats([0x3F000000, 0x40400000, 0x400000])
    pairs = [(int(x), int(y)) for x in a.view(np.uint32).ravel() for y in b.view(np.uint32)]
    wanted = [expected(op, *pair) for pair in pairs]

    assert op(a, b).shape == (2, 3)
    assert_words(op(a, b), wanted, pairs)
    assert_words(op(F32(a[0, 0]), b), wanted[:3], pairs)
    assert_words(op(a, F32(b[0])), wanted[::3], pairs)
    assert_words(op(np.asarray(a[0, 0]), np.asarray(b[2])), [wanted[2]], pairs[2:])
    assert_words(op(F32(a[0, 0]), F32(b[2])), [wanted[2]], pairs[2:])
    assert op(a[:0], b).shape == (0, 3)
    out = np.empty((2, 3), np.float32)
    op(a, b, out=out)
    assert_words(out, wanted, pairs)


def test_the_state_of_the_processor_is_told() -> None:
    """Subnormals are kept here: no library that flushes them is loaded."""
    assert not flushes_subnormals()


# Values of every type.

#: Corner words of each type of float, without a sign.
CORNERS = {
    "float16": [0, 1, 2, 0x3FF, 0x400, 0x401, 0x3C00, 0x3C01, 0x7BFF, 0x1234],
    "bfloat16": [0, 1, 2, 0x7F, 0x80, 0x81, 0x3F80, 0x3F81, 0x7F7F, 0x1234],
    "float32": WORDS,
    "float64": [0, 1, (1 << 52) - 1, 1 << 52, (1 << 52) + 1, 0x3FF << 52, (0x3FF << 52) + 1,
                0x7FEFFFFFFFFFFFFF, 0x3FF0000010000000, 0x3FF0000010000001, 0x3FF0000030000000,
                0x3FF000000FFFFFFF, 0x36A0000000000000, 0x3690000000000000, 0x3690000000000001,
                0x36B8000000000000, 0x380FFFFFFFFFFFFF, 0x47EFFFFFEFFFFFFF, 0x47EFFFFFF0000000,
                0x7FE0000000000000],
}  # fmt: skip
WIDTH = {"float16": "u2", "bfloat16": "u2", "float32": "u4", "float64": "u8"}


def array_of(name: str) -> Any:
    """Return corners of both signs and random finite words of a type."""
    kind = np.dtype(WIDTH[name])
    bits = 8 * kind.itemsize
    rng = np.random.default_rng(0)
    words = [*CORNERS[name], *map(int, rng.integers(0, 1 << (bits - 1), 300, np.uint64))]
    dtype = ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name)
    found = np.array([w | s for w in words for s in (0, 1 << (bits - 1))], kind).view(dtype)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return found[np.isfinite(found.astype(np.float64))]


@pytest.mark.parametrize("name", WIDTH)
@pytest.mark.usefixtures("way")
def test_floats_become_float64_exactly(name: str) -> None:
    """Subnormals and the sign of zero too."""
    x = array_of(name)

    wide = as_float64(x)

    assert wide.dtype == np.float64
    assert [fraction(v) for v in wide] == [fraction(v) for v in x]
    np.testing.assert_array_equal(np.signbit(wide), np.signbit(x))
    special = as_float64(np.array([np.inf, -np.inf, np.nan], x.dtype))
    np.testing.assert_array_equal(special, [np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", WIDTH)
@pytest.mark.usefixtures("way")
def test_floats_become_float32_to_nearest(name: str) -> None:
    """float64's ties to even, its subnormal results, and what is beyond the range."""
    x = array_of(name)

    found = as_float32(x)

    wanted = [word_of(fraction(v), negative=bool(np.signbit(v))) for v in x]
    assert_words(found, wanted, x)
    special = as_float32(np.array([np.inf, -np.inf, np.nan], x.dtype))
    np.testing.assert_array_equal(special, np.array([np.inf, -np.inf, np.nan], np.float32))


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u1", "u2", "u4", "i8", "u8"])
@pytest.mark.usefixtures("way")
def test_integers_become_float32_once(kind: str) -> None:
    """64-bit ones are not rounded to float64 first: 2**54 + 2**30 + 1 is above a tie."""
    info = np.iinfo(kind)
    values = [0, 1, 2, 127, info.min, info.max, info.max - 1, info.min + 1, info.max // 3]
    values += [s * (2**k + 2 ** (k - 24) + d) for k in range(25, 63) for d in (-1, 0, 1)
               for s in (1, -1)]  # fmt: skip
    values = [v for v in values if info.min <= v <= info.max]
    x = np.array(values, kind)

    assert_words(as_float32(x), [word_of(Fraction(v)) for v in values], values)
    exact = [v for v in values if abs(v) < 2**52]
    assert [int(v) for v in as_float64(np.array(exact, kind))] == exact


@pytest.mark.usefixtures("way")
def test_signalling_nan_is_nan_without_a_warning() -> None:
    """Such words are found in damaged files."""
    words = {"u2": 0x7C01, "u4": 0x7F800001, "u8": 0x7FF0000000000001}
    for kind, word in words.items():
        x = np.array([word], kind).view(kind.replace("u", "f"))
        assert np.isnan(as_float64(x)).all()
        assert np.isnan(as_float32(x)).all()
    nan, two = floats([0x7F800001]), floats([0x40000000])
    assert np.isnan([multiply(nan, two), divide(nan, two), divide(two, nan)]).all()


def test_longdouble_becomes_float32_once() -> None:
    """A tie of float32 and the least bit that longdouble holds; the ends of the range."""
    one, eps = np.longdouble(1), np.finfo(np.longdouble).eps
    tie = one + np.ldexp(one, -24)
    x = np.array([tie, tie + eps, tie - eps, -tie, -(tie + eps), 3 * tie], np.longdouble)
    large = np.array([1e40, -1e40, np.inf, -np.inf, np.nan, -0.0], np.longdouble)
    below_half = np.ldexp(one - eps / 2, -150)
    small = np.array([below_half, np.ldexp(one, -150), np.ldexp(one + eps, -150)])
    tiny = np.array([np.finfo(np.longdouble).tiny])

    wanted = []
    for value in x:
        numerator, denominator = value.as_integer_ratio()
        wanted.append(word_of(Fraction(numerator, denominator)))
    assert_words(as_float32(x), wanted, x)
    np.testing.assert_array_equal(
        as_float32(large), np.array([np.inf, -np.inf, np.inf, -np.inf, np.nan, -0.0], np.float32)
    )
    assert_words(as_float32(small), [0, 0, 1], small)
    assert_words(as_float32(tiny), [0], tiny)


def test_longdouble_keeps_a_trace_in_float64() -> None:
    """What does not fit leaves the last bit odd: rounded to odd, and nothing is moved up."""
    if np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("longdouble is float64 here")
    one, eps = np.longdouble(1), np.finfo(np.longdouble).eps
    x = np.array([one + eps, one - eps / 2, one, -(one + eps)], np.longdouble)

    words = as_float64(x).view(np.uint64)

    low = 0x3FF << 52
    assert [int(w) for w in words] == [low + 1, low - 1, low, (1 << 63) | (low + 1)]
