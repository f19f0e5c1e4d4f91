"""One rounding, from every type of input: wide integers, longdouble and float64 included."""

from __future__ import annotations

from fractions import Fraction
from importlib.metadata import version
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp
from fp8num.verify import reference

ROUNDINGS = [mode for mode in fp.Rounding if not mode.value.startswith("Stochastic")]
SATURATIONS = list(fp.Saturation)
MODES = list(product(ROUNDINGS, SATURATIONS))
LONGDOUBLE = np.finfo(np.longdouble)

needs_longdouble = pytest.mark.skipif(
    LONGDOUBLE.nmant <= 52, reason="longdouble is float64 on this platform"
)


def name_of(parameter: Any) -> str:
    """Label a test by the names of its format and modes."""
    return str(getattr(parameter, "name", parameter))


def modes_of(fmt: fp.Format, *, every: bool) -> list[tuple[fp.Rounding, fp.Saturation]]:
    """Return all modes; or each rounding with a saturation, another one in the next format."""
    first = list(fp.FORMATS).index(fmt.name)
    return MODES if every else [(m, SATURATIONS[(first + i) % 3]) for i, m in enumerate(ROUNDINGS)]


#: Whether to try all there is: the default suite's time allows a part.
by_extent = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["some", "every"]
)
by_format = pytest.mark.parametrize("fmt", fp.FORMATS.values(), ids=name_of)
by_rounding = pytest.mark.parametrize("rounding", ROUNDINGS, ids=name_of)


# The exhibit.

JUST_ABOVE_9 = 9.00000000001  # E5M2 has 8 and 10; float32 has 9 and not this


@pytest.mark.parametrize(
    "x",
    [
        JUST_ABOVE_9,
        np.float64(JUST_ABOVE_9),
        np.longdouble(JUST_ABOVE_9),
        [JUST_ABOVE_9],
        np.array([JUST_ABOVE_9]),
        np.array([JUST_ABOVE_9], np.longdouble),
        np.array([JUST_ABOVE_9], ">f8"),
        np.full(100_000, JUST_ABOVE_9),
    ],
    ids=["float", "float64", "longdouble", "list", "array", "longdoubles", "swapped", "long"],
)
def test_just_above_nine_is_ten(x: Any) -> None:
    """The nearest value of E5M2 to 9.00000000001 is 10, from every type that holds it."""
    ten = 0b0_10010_01

    assert (fp.encode(x, "E5M2") == ten).all()
    assert (fp.encode(x, "E5M2", like="ml_dtypes") == ten).all()
    assert (fp.quantize(x, "E5M2") == 10).all()


def test_ml_dtypes_array_cast_gives_eight() -> None:
    """Exhibit: through float32 the same number becomes 9, a tie, and then the even 8."""
    if version("ml_dtypes") < "0.7":  # later ones do not pass through float32
        assert float(np.array([JUST_ABOVE_9]).astype(ml_dtypes.float8_e5m2)[0]) == 8
    assert float(np.float32(JUST_ABOVE_9)) == 9
    assert fp.quantize(np.float32(JUST_ABOVE_9), "E5M2") == 8


@pytest.mark.parametrize(
    ("x", "fmt", "value"),
    [
        (float.fromhex("0x1.0000000000001p-10"), "E4M3FN", 2.0**-9),
        (-431.99999999999994, "E4M3FN", -416.0),
        (-61439.99816894531, "E5M2", -57344.0),
        (-247.99999260902405, "E4M3FNUZ", -240.0),
        (1.4999999999999998, "E8M0FNU", 1.0),
        (1.0625000000000002, "E4M3FN", 1.125),
        (1.0624999999999998, "E4M3FN", 1.0),
    ],
)
def test_peers_round_these_twice(x: float, fmt: str, value: float) -> None:
    """Where peers give 0, -448, -inf, NaN, 2: the exact answers, with no saturation to help."""
    assert fp.quantize(x, fmt, saturation="SatNone") == value


# float64 far outside float32's range.


@by_extent
@by_format
def test_numbers_beyond_float32_are_rounded_once(
    fmt: Any, assert_codes: Any, *, every: bool
) -> None:
    """1e39 is no infinity and 1e-60 no zero: directed and odd rounding see them."""
    magnitudes = [1e39, 1e-60, 5e-324, 1e308, 3.5e38, 2.0**-150]
    if every:
        magnitudes += np.ldexp([1.0, 1.5, 1.75], [[e] for e in range(-1074, 1024)]).ravel().tolist()
    x = np.array([*magnitudes, *(-value for value in magnitudes)])
    for rounding, saturation in modes_of(fmt, every=every):
        expected = [reference.project(value, fmt, rounding, saturation) for value in x]

        actual = fp.encode(x, fmt, rounding=rounding, saturation=saturation)
        one_by_one = [
            fp.encode(v, fmt, rounding=rounding, saturation=saturation) for v in x.tolist()
        ]

        assert_codes(actual, np.array(expected, fmt.code_dtype), x, f"{rounding} {saturation}")
        assert [int(code) for code in one_by_one] == expected


def test_1e39_and_1e_60_by_hand() -> None:
    """Infinite inputs saturate differently from 1e39, zero is not rounded up and 1e-60 is."""
    assert fp.encode(1e39, "E5M2", rounding="rz", saturation="SatNone") == 0x7B
    assert fp.encode(np.inf, "E5M2", rounding="rz", saturation="SatNone") == 0x7C
    assert fp.encode(1e39, "E4M3FN", saturation="SatPropagate") == 0x7E
    assert fp.encode(np.inf, "E4M3FN", saturation="SatPropagate") == 0x7F
    assert fp.encode(1e-60, "E4M3FN", rounding="ru") == 0x01
    assert fp.encode(0.0, "E4M3FN", rounding="ru") == 0x00
    assert fp.encode(-1e-60, "E4M3FN", rounding="rd") == 0x81
    assert fp.encode(-1e-60, "E4M3FN", rounding="ru") == 0x80
    assert fp.encode(1e-60, "E4M3FN", rounding="ro") == 0x01


# Integers.

INTEGERS = {
    np.int8: [-128, 127, -17, 17, 0],
    np.uint8: [255, 17, 0],
    np.int16: [-(2**15), 2**15 - 1, 464, 465, -465, 2049],
    np.uint16: [2**16 - 1, 61439, 61440, 61441],
    np.int32: [-(2**31), 2**31 - 1, 2**24 + 1, 65519, 65520, -65520, 144, 145],
    np.uint32: [2**32 - 1, 2**24 + 1, 2**31 + 2**23 + 1],
    # 2**53 + 1 is no float64: whoever goes through float64 sees a tie, or none
    np.int64: [
        *(-(2**63), 2**63 - 1, 2**53 + 1, -(2**53) - 1, 2**62 + 2**54, 2**62 + 2**54 + 1),
        *(2**62 + 2**54 - 1, 2**62 + 2**59 + 1, 2**62 + 2**59 - 1, 2**62 + 2**59, 3 * 2**59 + 1),
        *(3 * 2**60 + 2**52 + 1, 3 * 2**60 - 1, 2**61 - 1, 2**61 + 1, 2**61 + 2**60 + 1),
    ],
    np.uint64: [
        *(2**64 - 1, 2**63 + 2**55, 2**63 + 2**55 + 1, 2**63 + 2**55 - 1, 2**53 + 1),
        *(2**63 + 2**62 - 1, 2**63 + 2**62 + 1, 2**63 + 2**60 + 1, 2**64 - 2**59),
    ],
}
#: Formats whose values reach 2**63, beside the catalogue's.
LARGE = ["binary8p2se", "binary8p1ue", "w6m1b31-ieee", "w4m3b-50-fn", "uw4m3b-55-none"]


def saturations(fmt: fp.Format, rounding: fp.Rounding, *, every: bool) -> list[fp.Saturation]:
    """Return all saturations, or one: another in the next format and in the next rounding."""
    turn = fmt.bits + (fmt.mantissa_bits or 0) + ROUNDINGS.index(rounding)
    return SATURATIONS if every else [SATURATIONS[turn % 3]]


@by_extent
@by_rounding
def test_integers_are_rounded_once(rounding: Any, assert_codes: Any, *, every: bool) -> None:
    """From every integer type, at its ends and beside ties that float64 cannot tell apart."""
    formats = [*fp.FORMATS.values(), *map(fp.get_format, LARGE)]
    for fmt, (dtype, numbers) in product(formats, INTEGERS.items()):
        x = np.array(numbers, dtype)
        assert x.tolist() == numbers
        for saturation in saturations(fmt, rounding, every=every):
            expected = [reference.project(n, fmt, rounding, saturation) for n in numbers]

            actual = fp.encode(x, fmt, rounding=rounding, saturation=saturation)
            values = fp.quantize(x, fmt, rounding=rounding, saturation=saturation)

            label = f"{fmt.name} {x.dtype} {rounding} {saturation}"
            assert_codes(actual, np.array(expected, fmt.code_dtype), x, label)
            assert values.dtype == np.float64
            np.testing.assert_array_equal(values, fp.decode(actual, fmt, dtype=np.float64), label)


def test_an_int64_beside_a_tie_is_told_from_it() -> None:
    """2^62 + 2^54 is a tie of BFLOAT16, and float64(2^62 + 2^54 + 1) equals it."""
    tie = 2**62 + 2**54
    assert float(tie + 1) == float(tie)
    codes = fp.encode(np.array([tie - 1, tie, tie + 1]), "BFLOAT16")
    assert (codes - codes[0]).tolist() == [0, 0, 1]


@by_extent
@by_rounding
def test_python_integers_of_any_size(rounding: Any, *, every: bool) -> None:
    """2**70 is finite; so is 10**400, which is beyond float64."""
    sizes = (2**70, 10**400, 2**64, 2**63, 2**63 + 1, 2**2000 + 1, 3 * 2**69 + 1)
    for fmt, size, sign in product(fp.FORMATS.values(), sizes, (1, -1)):
        for saturation in saturations(fmt, rounding, every=every):
            x = sign * size
            expected = reference.project(x, fmt, rounding, saturation)

            actual = fp.encode(x, fmt, rounding=rounding, saturation=saturation)

            assert int(actual) == expected, (fmt.name, rounding, saturation, x)


def test_a_large_integer_is_no_infinity() -> None:
    """10**400 overflows as a finite number does: SatPropagate tells them apart."""
    assert fp.encode(10**400, "E5M2", saturation="SatPropagate") == 0x7B
    assert fp.encode(10**400, "E5M2", rounding="rz", saturation="SatNone") == 0x7B
    assert fp.quantize(2**70, "BFLOAT16") == 2.0**70
    # the tie of 2^127 * (2 - 2^-8) is overflow, and one less is not: 128 bits exactly
    tie = 2**128 - 2**119
    assert fp.encode(tie, "BFLOAT16", saturation="SatNone") == 0x7F80
    assert fp.encode(tie - 1, "BFLOAT16", saturation="SatNone") == 0x7F7F


# longdouble.


@needs_longdouble
@by_extent
@by_format
def test_longdouble_beside_every_boundary(
    fmt: Any, boundaries: Any, assert_codes: Any, *, every: bool
) -> None:
    """One longdouble ulp from values and midpoints: float64 would not see the difference."""
    with np.errstate(invalid="ignore"):  # signalling NaNs become quiet
        points = boundaries(fmt, np.float64).astype(np.longdouble)
    points = points[:: 1 if every else 197 if fmt.bits <= 8 else 571]
    x = np.concatenate(
        [
            points,
            np.nextafter(points, np.longdouble(np.inf)),
            np.nextafter(points, np.longdouble(-np.inf)),
        ]
    )
    for rounding, saturation in modes_of(fmt, every=every):
        expected = [reference.project(value, fmt, rounding, saturation) for value in x]

        actual = fp.encode(x, fmt, rounding=rounding, saturation=saturation)

        assert_codes(actual, np.array(expected, fmt.code_dtype), x, f"{rounding} {saturation}")


@needs_longdouble
@by_extent
@by_format
def test_longdouble_beyond_float64(fmt: Any, assert_codes: Any, *, every: bool) -> None:
    """1e4000 is finite and 1e-4000 is not zero."""
    texts = ("1e4000", "1e-4000", "1e309", "1e-330")
    magnitudes = np.array(
        [*(np.longdouble(text) for text in texts), 3 * LONGDOUBLE.smallest_subnormal]
    )
    assert np.isfinite(magnitudes).all()
    assert (magnitudes > 0).all()
    x = np.concatenate([magnitudes, -magnitudes, [np.inf, -np.inf, np.nan, 0]])
    for rounding, saturation in modes_of(fmt, every=every):
        expected = [reference.project(value, fmt, rounding, saturation) for value in x]

        actual = fp.encode(x, fmt, rounding=rounding, saturation=saturation)
        scalars = [fp.encode(v, fmt, rounding=rounding, saturation=saturation) for v in x]

        assert_codes(actual, np.array(expected, fmt.code_dtype), x.astype(str))
        assert [int(code) for code in scalars] == expected


@needs_longdouble
def test_a_longdouble_beside_a_tie_is_told_from_it() -> None:
    x = np.longdouble(1.0625) + LONGDOUBLE.eps * np.array([-1, 0, 1, 1], np.longdouble)
    assert np.unique(x.astype(np.float64)).size == 1
    assert fp.encode(x, "E4M3FN").tolist() == [0x38, 0x38, 0x39, 0x39]
    assert Fraction(*x[2].as_integer_ratio()) > Fraction(17, 16)


# Every type holds the number: every type gives its code.


@pytest.mark.parametrize("name", fp.FORMATS)
def test_the_type_does_not_matter_where_the_number_is_the_same(
    name: str, every_float16: Any
) -> None:
    """All float16 as float32, float64, longdouble, either byte order, and Python floats."""
    for rounding in ("rne", "ro"):
        options = {"rounding": rounding, "saturation": "SatNone"}
        codes = fp.encode(every_float16, name, **options)
        for dtype in (np.float32, np.float64, np.longdouble, ">f2", "<f2", ">f4", ">f8"):
            with np.errstate(invalid="ignore"):  # signalling NaNs become quiet
                x = every_float16.astype(dtype)
            np.testing.assert_array_equal(fp.encode(x, name, **options), codes)
        some = slice(None, None, 997)
        alone = [int(fp.encode(v, name, **options)) for v in every_float16[some].tolist()]
        assert alone == codes[some].tolist()
