"""Exceptions of a conversion, by IEEE 754's definitions."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.verify import reference

ROUNDINGS = [mode for mode in fp.Rounding if not mode.value.startswith("Stochastic")]
SATURATIONS = list(fp.Saturation)
NAMES = ("inexact", "underflow", "overflow", "invalid")
FORMATS = [
    *fp.FORMATS.values(),
    *map(fp.get_format, ("binary8p3se", "binary8p1uf", "binary6p3ue", "w4m3b7-fn-nosub")),
]


def name_of(parameter: Any) -> str:
    """Label a test by the names of its format and modes."""
    return str(getattr(parameter, "name", parameter))


def raised(x: Any, fmt: Any, **options: Any) -> list[list[bool]]:
    """Return the flags of each element, in the order of `NAMES`."""
    found = fp.flags(x, fmt, **options)
    return np.stack([getattr(found, name) for name in NAMES], axis=-1).tolist()


def modes_of(fmt: fp.Format, *, every: bool) -> list[tuple[Any, Any, str]]:
    """Return all modes; or each rounding and tininess with a saturation, by turns."""
    if every:
        return list(product(ROUNDINGS, SATURATIONS, ("after", "before")))
    pairs = enumerate(product(ROUNDINGS, ("after", "before")), FORMATS.index(fmt))
    return [(rounding, SATURATIONS[turn % 3], tininess) for turn, (rounding, tininess) in pairs]


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["some", "every"]
)
@pytest.mark.parametrize("fmt", FORMATS, ids=name_of)
def test_flags_are_the_definitions(fmt: Any, boundaries: Any, *, every: bool) -> None:
    """At boundaries and specials, around the smallest normal number, in every rounding."""
    rng = np.random.default_rng(fmt.bits)
    for rounding, saturation, tininess in modes_of(fmt, every=every):
        dtype = np.float32 if saturation is fp.Saturation.SAT_PROPAGATE else np.float64
        normal = fmt.smallest_normal * np.array([1, -1, 0.75, 1.03125], dtype)
        x = boundaries(fmt, dtype)
        x = np.concatenate([normal, rng.choice(x, 2000 if every else 20), x[-28:]])
        modes = {"rounding": rounding, "saturation": saturation, "tininess": tininess}

        actual = raised(x, fmt, **modes)

        for value, got in zip(x, actual, strict=True):
            expected = reference.flags(value, fmt, rounding, saturation, tininess=tininess)
            assert got == list(expected), f"{fmt.name} {modes} {float(value).hex()}: {NAMES}"


@pytest.mark.parametrize("fmt", [fp.E4M3FN, fp.E5M2, fp.UE5M3, fp.E2M1FN], ids=name_of)
def test_tiny_numbers_raise_underflow_by_the_definition(fmt: Any, each: Any) -> None:
    """Around the smallest normal number, where after and before rounding differ."""
    precision, normal = fmt.precision, Fraction(fmt.smallest_normal)

    def check(rounding: fp.Rounding, sixty_fourths: int) -> None:
        exact = normal * (1 + Fraction(sixty_fourths, 64) / 2**precision)
        x = float(exact)
        assert Fraction(x) == exact
        code = int(fp.encode(x, fmt, rounding=rounding))
        inexact = reference.decode(code, fmt).value != exact
        # Rounded to the precision as if the exponent range were unbounded: below the
        # smallest normal number the gap is half as wide as above.
        gap = normal / 2 ** (precision - 1) / (2 if exact < normal else 1)
        below = exact // gap * gap
        away = {
            "NearestTiesToEven": exact - below > gap / 2
            or (exact - below == gap / 2 and below / gap % 2 == 1),
            "NearestTiesToAway": exact - below >= gap / 2,
            "TowardZero": False,
            "TowardNegative": False,
            "TowardPositive": exact > below,
            "ToOdd": exact > below and below / gap % 2 == 0,
        }[rounding.value]
        rounded = below + away * gap

        after = fp.flags(x, fmt, rounding=rounding, tininess="after")
        before = fp.flags(x, fmt, rounding=rounding, tininess="before")

        assert bool(after.underflow) == (inexact and rounded < normal), x.hex()
        assert bool(before.underflow) == (inexact and exact < normal), x.hex()
        assert bool(after.inexact) == bool(before.inexact) == inexact

    # -64 is the number below the smallest normal one if its binade went on, -32 the midpoint.
    places = (-96, -80, -65, -64, -63, -48, -33, -32, -31, *range(-16, 9))
    each(product(ROUNDINGS, places), check)


def test_after_and_before_rounding_differ() -> None:
    """Just below the smallest normal number: rounds up to it, and is tiny before only."""
    x = 2.0**-6 * (1 - 2.0**-10)  # E4M3FN: 2^-6 is the smallest normal number
    assert fp.quantize(x, "E4M3FN") == 2.0**-6
    assert not fp.flags(x, "E4M3FN", tininess="after").underflow
    assert fp.flags(x, "E4M3FN", tininess="before").underflow
    assert fp.flags(x, "E4M3FN").inexact
    # between the nearest to the format and the nearest with unbounded exponent
    x = 2.0**-6 * (1 - 3 * 2.0**-6)
    assert fp.quantize(x, "E4M3FN") == 2.0**-6
    assert fp.flags(x, "E4M3FN", tininess="after").underflow


def test_exact_subnormals_do_not_underflow() -> None:
    """Underflow is signalled for inexact results alone."""
    x = np.arange(8) * 2.0**-9
    for tininess in ("after", "before"):
        assert raised(x, "E4M3FN", tininess=tininess) == [[False] * 4] * 8


F, T = False, True


@pytest.mark.parametrize(
    ("x", "fmt", "expected"),
    [
        (1.0, "E4M3FN", [F, F, F, F]),
        (0.0, "E4M3FN", [F, F, F, F]),
        (-0.0, "E4M3FNUZ", [F, F, F, F]),
        (1.1, "E4M3FN", [T, F, F, F]),
        (1e-4, "E4M3FN", [T, T, F, F]),
        (464.0, "E4M3FN", [T, F, F, F]),  # rounds to 448: no overflow
        (465.0, "E4M3FN", [T, F, T, F]),
        (480.0, "E4M3FN", [T, F, T, F]),
        (np.inf, "E4M3FN", [F, F, F, T]),  # no infinity there
        (np.inf, "E5M2", [F, F, F, F]),
        (np.nan, "E4M3FN", [F, F, F, F]),
        (np.nan, "E2M1FN", [F, F, F, T]),  # no NaN there
        (-np.inf, "E2M1FN", [F, F, F, T]),
        (-np.inf, "binary8p3ue", [F, F, F, T]),  # the positive one alone
        (np.inf, "binary8p3ue", [F, F, F, F]),
        (-1.0, "UE5M3", [T, F, F, T]),
        (-1e-30, "UE5M3", [T, T, F, F]),  # rounds to zero, which it has
        (0.0, "E8M0FNU", [T, F, F, T]),
        (-1.0, "E8M0FNU", [T, F, F, T]),
    ],
)  # fmt: skip
def test_flags_by_hand(x: float, fmt: str, expected: list[bool]) -> None:
    assert raised(x, fmt) == expected


@pytest.mark.parametrize("saturation", SATURATIONS, ids=name_of)
def test_overflow_is_said_whatever_becomes_of_it(saturation: Any) -> None:
    """Saturated, infinite or NaN: it did not fit; toward zero it is cut to fit."""
    assert raised(1e9, "E5M2", saturation=saturation) == [T, F, T, F]
    assert raised(-1e9, "E4M3FN", saturation=saturation) == [T, F, T, F]
    assert raised(60000.0, "E5M2", saturation=saturation, rounding="rz") == [T, F, F, F]


def test_random_bits_decide_flags_too() -> None:
    """460 goes to 448 or to 480; only the latter overflows."""
    bits = np.arange(16)
    found = fp.flags(np.full(16, 460.0), "E4M3FN", rounding="sra", random_bits=bits, random_width=4)
    # nu = 12/32: floor(nu 16) = 6, up where 6 + R >= 16
    assert found.overflow.tolist() == (bits >= 10).tolist()
    assert found.inexact.all()
    for value, width in product((2.0**-6 * (1 - 2.0**-5), -2.3, 460.0, 2.0**-11), (1, 5)):
        for random_bits in range(1 << width):
            options = {"random_bits": random_bits, "random_width": width}
            expected = reference.flags(value, fp.E4M3FN, "srb", "SatNone", **options)
            assert raised(value, "E4M3FN", rounding="srb", saturation="SatNone", **options) == list(
                expected
            )


def test_a_dropped_sign_is_inexact() -> None:
    """-2 becomes 2 where a library converts the magnitude."""
    assert raised([2.0, -2.0], "E8M0FNU", like="torch>=2.13") == [[F, F, F, F], [T, F, F, T]]


def test_flags_of_wide_numbers() -> None:
    """Integers and longdouble beyond float64 are finite, and inexact where they are."""
    assert raised(10**400, "E5M2") == [T, F, T, F]
    assert raised(np.int64(2**53 + 1), "BFLOAT16") == [T, F, F, F]
    assert raised(np.int64(2**53), "BFLOAT16") == [F, F, F, F]
    assert raised(1e-60, "BFLOAT16", rounding="ru") == [T, T, F, F]
    if np.finfo(np.longdouble).nmant > 52:
        assert raised(np.longdouble(1) + np.finfo(np.longdouble).eps, "E5M2") == [T, F, F, F]


def test_a_wrong_flag_would_be_noticed() -> None:
    """The reference's flags at a boundary differ from those just beyond it."""
    at, beyond = (reference.flags(x, fp.E4M3FN, "rne", "SatNone") for x in (464.0, 464.0000001))
    assert not at.overflow
    assert beyond.overflow
