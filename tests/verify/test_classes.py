"""The class of a word against numbers typed by hand and against a definition in fractions."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from fp8num.formats import FORMATS, Format, TabulatedFormat, get_format
from fp8num.verify import reference
from fp8num.verify.classes import CLASSES, check_words, classify, gaps, possible_classes
from fp8num.verify.reference.codes import finite_values
from fp8num.verify.reference.projecting import successor
from fp8num.verify.sources import SOURCES, SourceType, get_source

SMALL = [fmt for fmt in FORMATS.values() if fmt.bits <= 8]
#: No subnormals but a zero: 0 0.75 1 1.5 2 3 4.
HOLLOW = Format(
    name="hollow", exponent_bits=2, mantissa_bits=1, bias=1, specials="fn", subnormals=False
)
#: No zero, with a sign: 0.5 1 2.
ZEROLESS = Format(
    name="zeroless", exponent_bits=2, mantissa_bits=0, bias=1, specials="fn", subnormals=False
)
#: A table whose places are at the ends of the gaps: 0 1 2 3, up from 1 at 2, from 2 above 2.
ENDS = TabulatedFormat(
    name="ends",
    width=3,
    table=((0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 3, 0)),
    nearest=((1, -1, True), (2, 0, True), (2, 0, False)),
    smallest_normal_index=1,
    nan=4,
)
F16, BF16, F32, F64 = SOURCES.values()
by_small_format = pytest.mark.parametrize("fmt", SMALL, ids=lambda fmt: fmt.name)
by_source = pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.short)


def names(words: npt.NDArray[Any], fmt: Format, source: SourceType) -> list[str]:
    """Return the classes by name."""
    return [CLASSES[kind] for kind in classify(words, fmt, source).tolist()]


def names_of(values: list[float], fmt: Format, dtype: str = "float32") -> list[str]:
    """Return the classes of numbers by name."""
    source = get_source(dtype)
    return names(source.words(np.array(values, source.dtype)), fmt, source)


# Numbers typed by hand.


@pytest.mark.parametrize(
    ("fmt", "x", "name"),
    [
        # OCP OFP8, Table 1: largest 448, smallest normal 2^-6, smallest 2^-9.
        ("E4M3FN", "448", "normal value"),
        ("E4M3FN", "0x1.c00002p+8", "overflow by rounding"),
        ("E4M3FN", "464", "overflow by rounding"),
        ("E4M3FN", "0x1.dffffep+8", "overflow by rounding"),
        ("E4M3FN", "480", "overflow"),
        ("E4M3FN", "-480", "overflow"),
        ("E4M3FN", "0x1.fffffep+127", "overflow"),
        ("E4M3FN", "0x1p-149", "below smallest"),
        ("E4M3FN", "0x1p-10", "below smallest"),
        ("E4M3FN", "0x1.fffffep-10", "below smallest"),
        ("E4M3FN", "0x1p-9", "subnormal value"),
        ("E4M3FN", "0x1.000002p-9", "subnormal between"),
        ("E4M3FN", "0x1.8p-9", "subnormal tie"),
        ("E4M3FN", "0x1.800002p-9", "near subnormal tie"),
        ("E4M3FN", "-0x1.cp-7", "subnormal value"),  # the largest subnormal, 0.875 * 2^-6
        ("E4M3FN", "0x1.ep-7", "subnormal tie"),  # between it and the smallest normal
        ("E4M3FN", "0x1.fffffep-7", "subnormal between"),
        ("E4M3FN", "0x1p-6", "normal value"),
        ("E4M3FN", "0x1.1p-6", "normal tie"),
        # From 16 to 18: the tie is 17, and 2^-8 of the gap is 2^-7.
        ("E4M3FN", "17", "normal tie"),
        ("E4M3FN", "0x1.10001p+4", "near normal tie"),
        ("E4M3FN", "0x1.102p+4", "near normal tie"),
        ("E4M3FN", "0x1.102002p+4", "normal between"),
        ("E4M3FN", "0x1.0fep+4", "near normal tie"),
        ("E4M3FN", "0x1.0fdffep+4", "normal between"),
        ("E4M3FN", "0", "zero"),
        ("E4M3FN", "-0", "-zero"),
        ("E4M3FN", "inf", "infinity"),
        ("E4M3FN", "-inf", "-infinity"),
        ("E4M3FN", "nan", "nan"),
        # Largest 57344; what follows is 2^16, the tie 61440; smallest 2^-16.
        ("E5M2", "57344", "normal value"),
        ("E5M2", "61440", "overflow by rounding"),
        ("E5M2", "65535", "overflow by rounding"),
        ("E5M2", "65536", "overflow"),
        ("E5M2", "0x1p-17", "below smallest"),
        ("E5M2", "0x1p-16", "subnormal value"),
        # 0 .5 1 1.5 2 3 4 6, then 8.
        ("E2M1FN", "0.25", "below smallest"),
        ("E2M1FN", "0.75", "subnormal tie"),
        ("E2M1FN", "2.5", "normal tie"),
        ("E2M1FN", "2.51", "normal between"),
        ("E2M1FN", "7", "overflow by rounding"),
        ("E2M1FN", "8", "overflow"),
        # 2^-127 to 2^127, unsigned, without zero.
        ("E8M0FNU", "0", "zero"),
        ("E8M0FNU", "-0", "-zero"),
        ("E8M0FNU", "0x1p-128", "below smallest"),
        ("E8M0FNU", "0x1p-127", "normal value"),
        ("E8M0FNU", "0x1.8p-127", "normal tie"),
        ("E8M0FNU", "1.5", "normal tie"),
        ("E8M0FNU", "0x1.8p+127", "overflow by rounding"),
        ("E8M0FNU", "-1", "negative"),
        ("E8M0FNU", "-0x1p-149", "negative"),
        ("E8M0FNU", "-inf", "-infinity"),
        # Half away everywhere: 2^15 is followed by 1.5 * 2^15; smallest 2^-22.
        ("HIFLOAT8", "0x1p-23", "below smallest"),
        ("HIFLOAT8", "0x1.8p-22", "subnormal tie"),
        ("HIFLOAT8", "40960", "overflow by rounding"),
        ("HIFLOAT8", "49152", "overflow"),
        # 2^20 and 2^24 are divided at 2^22; nothing follows 2^24.
        ("POSIT8", "0x1p-25", "below smallest"),
        ("POSIT8", "0x1p-24", "normal value"),
        ("POSIT8", "0x1p+22", "normal tie"),
        ("POSIT8", "0x1.00002p+22", "near normal tie"),
        ("POSIT8", "8912896", "normal between"),  # half way
        ("POSIT8", "0x1p+24", "normal value"),
        ("POSIT8", "0x1.000002p+24", "overflow"),
    ],
)
def test_the_class_of_a_number(fmt: str, x: str, name: str) -> None:
    """As the documents' numbers say."""
    value = float.fromhex(x) if "x" in x else float(x)

    assert names_of([value], FORMATS[fmt]) == [name]


def test_formats_that_lack_subnormals_or_zero() -> None:
    """The hole under the smallest value is one class, ties in it included."""
    assert names_of([0.375, 0.74, 0.75, 0.875, 3.5, 4.0, 5.0, 6.0], HOLLOW) == [
        "below smallest",
        "below smallest",
        "normal value",
        "normal tie",
        "normal tie",
        "normal value",
        "overflow by rounding",
        "overflow",
    ]
    assert names_of([0.0, -0.0, 0.25, -0.5, 0.75, 2.0, 3.0, 4.0], ZEROLESS) == [
        "zero",
        "-zero",
        "below smallest",
        "normal value",
        "normal tie",
        "normal value",
        "overflow by rounding",
        "overflow",
    ]


def test_a_place_at_the_end_of_its_gap_is_no_tie() -> None:
    """A user's table may say so; near is what lies beside it within the gap."""
    near = 1 / 256
    xs = [1, 1.5, 2 - 2 * near, 2 - near, 2 - near / 2, 2, 2 + near / 2, 2 + near, 2 + 2 * near, 3]

    assert names_of([0.0, 0.5, *xs], ENDS) == [
        "zero",
        "below smallest",
        "normal value",
        "normal between",
        "normal between",
        "near normal tie",
        "near normal tie",
        "normal value",
        "near normal tie",
        "near normal tie",
        "normal between",
        "normal value",
    ]


def test_nans_are_classified_by_sign_whatever_their_payload() -> None:
    """Signalling ones too."""
    words = np.array([0x7F80_0001, 0x7FC0_0000, 0x7FFF_FFFF, 0xFF80_0001, 0xFFFF_FFFF], np.uint32)

    assert names(words, FORMATS["E5M2"], F32) == ["nan"] * 3 + ["-nan"] * 2


# A definition in fractions.


class Lines(NamedTuple):
    """What the definition needs of a format, from the reference."""

    values: list[Fraction]
    places: list[Fraction]
    beyond: Fraction | None
    smallest_normal: Fraction


@lru_cache
def lines_of(fmt: Format) -> Lines:
    """Ask the reference for the values and for where nearest divides a gap."""
    values = [value for value in finite_values(fmt).magnitudes if value > 0]
    places = [(low + high) / 2 for low, high in pairwise(values)]
    if isinstance(fmt, TabulatedFormat):
        points = reference.breakpoints(fmt, "NearestTiesToEven", "SatFinite")
        steps = [point.value for point in points if point.value is not None]
        places = [next(s for s in steps if low <= s <= high) for low, high in pairwise(values)]
    return Lines(values, places, successor(fmt), Fraction(fmt.smallest_normal))


def number(word: int, source: SourceType) -> Fraction:
    """Return the magnitude of a finite word, read by its fields."""
    mantissa_bits = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[source.name]
    lowest = {"float16": -24, "bfloat16": -133, "float32": -149, "float64": -1074}[source.name]
    magnitude = word & ((1 << (source.bits - 1)) - 1)
    exponent, mantissa = magnitude >> mantissa_bits, magnitude & ((1 << mantissa_bits) - 1)
    if exponent == 0:
        return mantissa * Fraction(2) ** lowest
    return (mantissa + (1 << mantissa_bits)) * Fraction(2) ** (lowest + exponent - 1)


def definition(word: int, fmt: Format, source: SourceType) -> str:
    """Classify one word, step by step."""
    negative = word >> (source.bits - 1) == 1
    magnitude = word & ((1 << (source.bits - 1)) - 1)
    minus = "-" if negative else ""
    infinity = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F80_0000}
    if magnitude >= infinity.get(source.name, 0x7FF << 52):
        special = magnitude == infinity.get(source.name, 0x7FF << 52)
        return f"{minus}infinity" if special else f"{minus}nan"
    if magnitude == 0:
        return f"{minus}zero"
    if negative and not fmt.signed:
        return "negative"
    x = number(word, source)
    values, places, beyond, smallest_normal = lines_of(fmt)
    if x < values[0]:
        return "below smallest"
    if x > values[-1]:
        return "overflow by rounding" if beyond is not None and x < beyond else "overflow"
    kind = "subnormal" if x < smallest_normal else "normal"
    index = bisect_right(values, x) - 1
    if values[index] == x:
        return f"{kind} value"
    distance = abs(x - places[index])
    if distance == 0:
        return f"{kind} tie"
    near = 256 * distance <= values[index + 1] - values[index]
    return f"near {kind} tie" if near else f"{kind} between"


def assert_defined(words: npt.NDArray[Any], fmt: Format, source: SourceType) -> None:
    """Raise unless every word has the class that the definition gives."""
    for word, name in zip(words.tolist(), names(words, fmt, source), strict=True):
        expected = definition(word, fmt, source)
        assert name == expected, f"{fmt.name} {source.hex(word)}: {name}, not {expected}"


@pytest.mark.parametrize(
    ("fmt", "source", "step"),
    [
        *(("E4M3FN", F16, 3), ("E8M0FNU", BF16, 3), ("POSIT8", F16, 3)),
        *(
            pytest.param(fmt, source, 1, marks=pytest.mark.exhaustive)
            for fmt, source in product(("E4M3FN", "E8M0FNU", "POSIT8"), (F16, BF16))
        ),
    ],
    ids=lambda value: getattr(value, "short", value),
)
def test_every_word_of_16_bits_has_the_class_of_the_definition(
    fmt: str, source: SourceType, step: int
) -> None:
    """
    Finite magnitudes one by one; the negative ones are like them, or "negative".

    By default every third is looked up; around each line all are, in another test.
    """
    chosen = FORMATS[fmt]
    words = source.every(0, source.sign)
    assert_defined(words[: source.infinity + 2][::step], chosen, source)

    positive = classify(words, chosen, source)
    negative = classify(words | source.word.type(source.sign), chosen, source)

    pairs = {(CLASSES[p], CLASSES[n]) for p, n in zip(positive, negative, strict=True)}
    for plus, minus in pairs:
        if plus in {"zero", "infinity", "nan"}:
            assert minus == f"-{plus}"
        else:
            assert minus == (plus if chosen.signed else "negative")


@pytest.mark.parametrize(
    ("fmt", "source"),
    [
        # By default each format from two of the types.
        pytest.param(fmt, source, marks=[pytest.mark.exhaustive] if (i + j) % 2 else [])
        for i, fmt in enumerate(
            [*SMALL, HOLLOW, ZEROLESS, get_format("Binary5p2ue"), get_format("Binary6p1sf")]
        )
        for j, source in enumerate(SOURCES.values())
    ],
    ids=lambda value: getattr(value, "short", getattr(value, "name", value)),
)
def test_words_at_and_around_lines_have_the_class_of_the_definition(
    fmt: Format, source: SourceType
) -> None:
    """A seeded choice of values, ties and ends of what is near, each with both neighbours."""
    rng = np.random.default_rng(fmt.bits)
    values, places, beyond, smallest_normal = lines_of(fmt)
    chosen = rng.choice(len(places), min(12, len(places)), replace=False).tolist()
    lines = [values[0], values[-1], beyond or values[-1], smallest_normal, values[0] / 2]
    for i in chosen:
        near = (values[i + 1] - values[i]) / 256
        lines += [values[i], places[i], places[i] - near, places[i] + near]
    found = np.array([source.place(line)[0] for line in lines], np.int64)
    words = np.unique(found[:, None] + np.array([-1, 0, 1]))
    words = words[(words >= 0) & (words <= source.infinity)].astype(source.word)

    assert_defined(np.concatenate([words, words | source.word.type(source.sign)]), fmt, source)


def test_the_definition_notices_a_class_that_is_off_by_one_word() -> None:
    """The comparison can fail: a neighbour of a tie is not the tie."""
    tie = F32.words(np.array([17.0], np.float32))
    assert_defined(tie, FORMATS["E4M3FN"], F32)

    assert definition(int(tie[0]) + 1, FORMATS["E4M3FN"], F32) == "near normal tie"
    assert names(tie + np.uint32(1), FORMATS["E4M3FN"], F32) == ["near normal tie"]


# Which classes there are.


@by_small_format
@pytest.mark.parametrize("source", [F16, BF16], ids=lambda source: source.short)
def test_possible_classes_are_those_that_occur(fmt: Format, source: SourceType) -> None:
    """Among all words of a 16-bit type."""
    found = {CLASSES[kind] for kind in np.unique(classify(source.every(), fmt, source))}

    assert set(possible_classes(fmt, source)) == found


def test_a_narrow_source_has_no_ties() -> None:
    """
    With float16's precision, normal numbers of float16 are values.

    Below the smallest normal number, 1, float16 has up to ten bits more.
    """
    fmt = Format(name="e2m10", exponent_bits=2, mantissa_bits=10, bias=1, specials="ieee")

    assert {name for name in possible_classes(fmt, F16) if "normal" in name} == {
        *("subnormal value", "subnormal tie", "near subnormal tie", "subnormal between"),
        "normal value",
    }


def test_gaps_are_those_of_the_document() -> None:
    """E2M1FN's eight values and what follows them; posit8's places are no midpoints."""
    assert [tuple(map(float, gap)) for gap in gaps(FORMATS["E2M1FN"])] == [
        (0, 0.25, 0.5),
        (0.5, 0.75, 1),
        (1, 1.25, 1.5),
        (1.5, 1.75, 2),
        (2, 2.5, 3),
        (3, 3.5, 4),
        (4, 5, 6),
        (6, 7, 8),
    ]
    posit = gaps(FORMATS["POSIT8"])
    assert tuple(map(float, posit[0])) == (0, 0, 2.0**-24)
    assert tuple(map(float, posit[-1])) == (2.0**20, 2.0**22, 2.0**24)


# Arrays.


def test_arrays_of_any_shape_and_layout_are_classified() -> None:
    """Scalars, empty ones, strided, read-only and byte-swapped ones."""
    fmt = FORMATS["E4M3FN"]
    words = F32.words(np.array([[448, 464], [480, 0]], np.float32))
    words.flags.writeable = False
    expected = classify(words, fmt, F32)

    assert expected.dtype == np.uint8
    assert expected.shape == (2, 2)
    np.testing.assert_array_equal(classify(words.T, fmt, F32), expected.T)
    np.testing.assert_array_equal(classify(words[:, ::-1], fmt, F32), expected[:, ::-1])
    np.testing.assert_array_equal(classify(words.astype(">u4"), fmt, F32), expected)
    scalar = classify(words[0, 0, ...], fmt, F32)
    assert isinstance(scalar, np.ndarray)
    assert scalar.shape == ()
    assert classify(words[:0], fmt, F32).shape == (0, 2)


def test_what_is_not_words_is_refused() -> None:
    """Values, words of another type, and lists."""
    fmt = FORMATS["E4M3FN"]
    message = r"words must be an array of uint32, the bits of float32 numbers, got {}; source.words"
    for wrong, what in (
        (np.ones(3, np.float32), "float32"),
        (np.ones(3, np.uint16), "uint16"),
        (np.ones(3, np.int32), "int32"),
        ([1, 2], "list"),
    ):
        with pytest.raises(TypeError, match=message.format(what)):
            classify(wrong, fmt, F32)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=message.format(what)):
            check_words(wrong, F32)  # type: ignore[arg-type]
