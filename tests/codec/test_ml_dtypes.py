"""The profile of ml_dtypes is what its casts give, from the types it rounds once from.

From 0.7 on that is "ml_dtypes", and every type of values; before, "ml_dtypes<0.7" and no float64.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp

OLD = tuple(map(int, version("ml_dtypes").split(".")[:2])) < (0, 7)
LIKE = "ml_dtypes<0.7" if OLD else "ml_dtypes"
#: Every floating-point type of ml_dtypes, and the format it is.
TYPES = {
    "float8_e4m3fn": "E4M3FN",
    "float8_e5m2": "E5M2",
    "float8_e4m3": "E4M3IEEE",
    "float8_e3m4": "E3M4",
    "float8_e4m3fnuz": "E4M3FNUZ",
    "float8_e5m2fnuz": "E5M2FNUZ",
    "float8_e4m3b11fnuz": "E4M3B11FNUZ",
    "float8_e8m0fnu": "E8M0FNU",
    "float6_e2m3fn": "E2M3FN",
    "float6_e3m2fn": "E3M2FN",
    "float4_e2m1fn": "E2M1FN",
    "bfloat16": "BFLOAT16",
    **({} if OLD else {"float8_e5m3fnu": "UE5M3"}),
}
by_type = pytest.mark.parametrize("name", TYPES)


def cast(x: Any, name: str) -> Any:
    """Return the codes of ml_dtypes' own cast."""
    with np.errstate(all="ignore"):
        codes = x.astype(getattr(ml_dtypes, name))
    return codes.view(np.uint16 if name == "bfloat16" else np.uint8)


@pytest.fixture(scope="session")
def assert_cast(assert_codes: Any) -> Any:
    """Assert that an array is converted as ml_dtypes does."""

    def compare(x: Any, name: str) -> None:
        actual = fp.encode(x, TYPES[name], like=LIKE)

        assert_codes(actual, cast(x, name), x, f"{name} from {x.dtype}")

    return compare


def test_every_float_type_of_ml_dtypes_is_compared() -> None:
    found = {name for name in dir(ml_dtypes) if name.startswith(("float", "bfloat"))}
    assert found == set(TYPES)


@by_type
def test_every_float16_is_cast_alike(name: str, every_float16: Any, assert_cast: Any) -> None:
    assert_cast(every_float16, name)


@by_type
def test_every_bfloat16_is_cast_alike(name: str, every_bfloat16: Any, assert_cast: Any) -> None:
    """Of bfloat16 to itself NaNs are left out: that is no conversion there."""
    x = every_bfloat16
    if name == "bfloat16":
        x = x[x.view(np.uint16) & 0x7FFF <= 0x7F80]
    assert_cast(x, name)


@by_type
def test_every_boundary_is_cast_alike(name: str, boundaries: Any, assert_cast: Any) -> None:
    """Values, midpoints, their float32 neighbours; NaNs of every kind and the ends of float32."""
    assert_cast(boundaries(fp.get_format(TYPES[name]), np.float32), name)


@pytest.mark.skipif(OLD, reason="ml_dtypes before 0.7 rounds float64 twice")
@by_type
def test_every_boundary_in_float64_is_cast_alike(
    name: str, boundaries: Any, assert_cast: Any
) -> None:
    """Midpoints with their float64 neighbours, which float32 does not tell apart."""
    assert_cast(boundaries(fp.get_format(TYPES[name]), np.float64), name)


@by_type
def test_float32_patterns_are_cast_alike(name: str, every_bfloat16: Any, assert_cast: Any) -> None:
    """Every upper half with seven lower halves, and a million random patterns."""
    upper = every_bfloat16.view(np.uint16).astype(np.uint32) << np.uint32(16)
    for lower in (0, 1, 0x80, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        assert_cast((upper | np.uint32(lower)).view(np.float32), name)
    bits = np.random.default_rng(32).integers(0, 1 << 32, 1 << 20, dtype=np.uint32)
    assert_cast(bits.view(np.float32), name)


@pytest.mark.exhaustive
@by_type
def test_every_float32_is_cast_alike(name: str, assert_cast: Any) -> None:
    """All 2**32 bit patterns."""
    for chunk in range(1 << 8):
        bits = np.arange(1 << 24, dtype=np.uint32) + np.uint32(chunk << 24)
        assert_cast(bits.view(np.float32), name)


@pytest.mark.parametrize(
    ("x", "nearest", "theirs"),
    [
        (0.0, 0, 255),  # no zero in the format: 2^-127 under SatFinite, NaN there
        (-0.0, 0, 255),
        (-1.0, 0, 255),
        (3.0, 128, 129),  # the tie between 2 and 4: to the even code, or up
        (1.5, 128, 128),
        (2.0**-130, 0, 0),
        (1.5 * 2.0**127, 254, 255),
        (np.inf, 254, 255),
        (np.nan, 255, 255),
        (2.0**-127, 0, 0),
    ],
)
def test_e8m0_differs_where_it_is_known_to(x: float, nearest: int, theirs: int) -> None:
    """Ties, zero, negative numbers and overflow, by this package's rules and by theirs."""
    value = np.float32(x)
    assert fp.encode(value, "E8M0FNU") == nearest
    assert fp.encode(value, "E8M0FNU", like=LIKE) == theirs
    assert cast(value, "float8_e8m0fnu") == theirs


def test_e8m0_rounds_up_all_of_its_lowest_gap_before_ml_dtypes_0_7() -> None:
    """Between 2^-127 and 1.5 * 2^-127 the nearer value is 2^-127; ml_dtypes 0.6 gives 2^-126."""
    # float32 subnormals: 2^-127 is 0x400000, 1.5 * 2^-127 is 0x600000.
    bits = np.arange(0x400001, 0x600000, 0x101, dtype=np.uint32)
    x = bits.view(np.float32)

    assert (cast(x, "float8_e8m0fnu") == OLD).all()
    assert (fp.encode(x, "E8M0FNU", like="ml_dtypes<0.7") == 1).all()
    assert (fp.encode(x, "E8M0FNU", like="ml_dtypes") == 0).all()
    assert (fp.encode(x, "E8M0FNU") == 0).all()


def test_all_below_zero_is_nan_in_ml_dtypes_type_without_sign() -> None:
    """What rounds to zero too; -0 is zero. Under SatNone the package rounds first."""
    x = np.array([-0.0, -(2.0**-149), -(2.0**-18), -(2.0**-17), -1.0, 2.0**-149], np.float32)

    assert fp.encode(x, "UE5M3", like="ml_dtypes").tolist() == [0, 255, 255, 255, 255, 0]
    assert fp.encode(x, "UE5M3", saturation="SatNone").tolist() == [0, 0, 0, 255, 255, 0]
    if not OLD:
        assert cast(x, "float8_e5m3fnu").tolist() == [0, 255, 255, 255, 255, 0]


@pytest.mark.parametrize("name", ["float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"])
def test_nan_is_zero_of_the_other_sign_in_ml_dtypes_small_types(name: str) -> None:
    """Types without NaN: +NaN becomes -0 and -NaN +0."""
    fmt = fp.get_format(TYPES[name])
    x = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001], np.uint32).view(np.float32)
    minus_zero = 1 << (fmt.bits - 1)

    assert fp.encode(x, fmt, like=LIKE).tolist() == [minus_zero, 0] * 2
    assert cast(x, name).tolist() == [minus_zero, 0] * 2


def test_rounding_twice_is_an_error_only_of_their_array_cast() -> None:
    """Python floats go one by one, and once, in ml_dtypes too: the same codes as here."""
    x = np.random.default_rng(8).normal(size=2_000)
    x = np.concatenate([x, 1.0625 * (1 + np.ldexp(x, -45))])  # near a tie
    expected = [ml_dtypes.float8_e4m3fn(value).view(np.uint8) for value in x.tolist()]

    actual = fp.encode(x, "E4M3FN", like=LIKE)

    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name in TYPES if "8" in name or "b" in name])
def test_decoding_gives_the_values_of_ml_dtypes(name: str, dtype: Any) -> None:
    """Every code, signs of zeros and NaNs included."""
    fmt = fp.get_format(TYPES[name])
    codes = np.arange(1 << fmt.bits, dtype=np.uint16 if fmt.bits > 8 else np.uint8)
    with np.errstate(invalid="ignore"):
        expected = codes.view(getattr(ml_dtypes, name)).astype(dtype)

    actual = fp.decode(codes, fmt, dtype=dtype)

    np.testing.assert_array_equal(actual, expected)
    has_sign = fmt.signed & ~(np.isnan(expected) & ("fnuz" in name))
    np.testing.assert_array_equal(np.signbit(actual)[has_sign], np.signbit(expected)[has_sign])
