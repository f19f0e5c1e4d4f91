"""What cannot be right is refused at once, saying what it was and what to do instead."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fp8num as fp

X = np.array([1.0, -2.5, 1e9], np.float32)
CODES = np.array([0x38, 0x40, 0x01], np.uint8)


@pytest.fixture
def refused(each: Any) -> Any:
    """Return what asserts that every function of values refuses arguments, and how."""

    def check(error: Any, message: str, x: Any = X, **options: Any) -> None:
        def call(function: Any) -> None:
            with pytest.raises(error, match=message):
                function(x, "E4M3FN", **options)

        each((fp.encode, fp.quantize, fp.flags), call)

    return check


# Formats.


@pytest.mark.parametrize("name", ["e4m3", "E4M3 ", "float8_e4m3x", "fp8", "", "binary8p3", "w4m3"])
def test_an_unknown_or_ambiguous_format_is_refused(name: str) -> None:
    """Lists what there is; a bare e4m3 names both formats that it could be."""
    is_bare = name.strip().lower() == "e4m3"
    expected = r"ambiguous.*'E4M3FN'.*'E4M3IEEE'" if is_bare else "format name|not known"
    for call in (
        lambda: fp.encode(X, name),
        lambda: fp.decode(CODES, name),
        lambda: fp.quantize(X, name),
        lambda: fp.convert(CODES, "E5M2", name),
        lambda: fp.convert(CODES, name, "E5M2"),
        lambda: fp.flags(X, name),
        lambda: fp.pack(CODES, name),
        lambda: fp.unpack(CODES, name, 3),
        lambda: fp.get_format(name),
    ):
        with pytest.raises(ValueError, match=expected):
            call()


@pytest.mark.parametrize("fmt", [None, 3, 1.5, np.int8, ["E4M3FN"], b"E4M3FN"])
def test_what_is_no_format_is_refused(fmt: Any) -> None:
    for call in (lambda: fp.encode(X, fmt), lambda: fp.decode(CODES, fmt)):
        with pytest.raises((TypeError, ValueError), match="fmt|format|dtype"):
            call()


PARAMETERS = {"name": "mine", "exponent_bits": 4, "mantissa_bits": 3, "specials": "fn"}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"exponent_bits": 0}, ValueError, "exponent_bits must be .* got 0"),
        ({"exponent_bits": -1}, ValueError, "exponent_bits must be .* got -1"),
        ({"exponent_bits": 4.0}, TypeError, r"exponent_bits must be .* got 4\.0"),
        ({"exponent_bits": True}, TypeError, "exponent_bits must be .* got True"),
        ({"exponent_bits": None}, TypeError, "exponent_bits"),
        ({"mantissa_bits": -1}, ValueError, "mantissa_bits must be .* got -1"),
        ({"mantissa_bits": "3"}, TypeError, "mantissa_bits must be .* got '3'"),
        ({"exponent_bits": 8, "mantissa_bits": 8}, ValueError, "16 bits in all, got 17"),
        ({"exponent_bits": 1, "mantissa_bits": 0}, ValueError, "leave no code for a normal"),
        ({"bias": 1.5}, TypeError, r"bias must be .* got 1\.5"),
        ({"bias": 10**9}, ValueError, "bias must be .* got 1000000000"),
        ({"specials": "ofp8"}, ValueError, "specials must be one of .* got 'ofp8'"),
        ({"specials": 3}, (TypeError, ValueError), "specials must be one of .* got 3"),
        ({"specials": "ieee", "mantissa_bits": 0}, ValueError, "mantissa_bits of at least 1"),
        ({"specials": "fnuz", "signed": False}, ValueError, "signed=True"),
        ({"specials": "extended", "subnormals": False}, ValueError, "subnormals=True"),
        ({"specials": "finite", "subnormals": False}, ValueError, "subnormals=True"),
        ({"signed": "yes"}, TypeError, "signed must be True or False, got 'yes'"),
        ({"subnormals": 1}, TypeError, "subnormals must be True or False, got 1"),
        ({"overflow": "infinity"}, ValueError, "overflow cannot be 'infinity'"),
        ({"specials": "none", "overflow": "nan"}, ValueError, "overflow cannot be 'nan'"),
        ({"overflow": "wrap"}, ValueError, "overflow must be one of .* got 'wrap'"),
        ({"name": 3}, TypeError, "name must be .* got int 3"),
    ],
)
def test_impossible_parameters_are_refused(wrong: Any, error: Any, message: str) -> None:
    """When the format is made, not when it is used."""
    with pytest.raises(error, match=message):
        fp.Format(**{**PARAMETERS, **wrong})


@pytest.mark.parametrize("name", ["Binary16p1ue", "Binary12p1uf", "Binary13p1se"])
def test_formats_beyond_float64_are_refused_by_the_codec(name: str) -> None:
    """The format answers exactly; values and conversions say why they do not exist."""
    fmt = fp.get_format(name)
    codes = np.zeros(3, np.uint16)
    for call in (
        lambda: fmt.values,
        lambda: fp.encode(X, fmt),
        lambda: fp.encode(X, fmt, rounding="sra", random_bits=0, random_width=1),
        lambda: fp.decode(codes, fmt, dtype=np.float64),
        lambda: fp.decode(codes, fmt, dtype=np.longdouble),
        lambda: fp.decode(codes, fmt, dtype="float32"),
        lambda: fp.quantize(X, fmt),
        lambda: fp.flags(X, fmt),
        lambda: fp.convert(CODES, "E4M3FN", fmt),
        lambda: fp.convert(codes, fmt, "E4M3FN"),
    ):
        with pytest.raises(ValueError, match=rf"{name} does not fit float64.*2\*\*"):
            call()
    integer, exponent = fmt.decompose(1)
    assert integer * 2**0 == 1
    assert exponent < -1074
    assert fp.unpack(fp.pack(codes, fmt), fmt, 3).tolist() == [0, 0, 0]


# Values.


@pytest.mark.parametrize(
    "x",
    [
        X + 1j,
        1j,
        np.array(["1.0"]),
        "1.0",
        b"1.0",
        np.array([b"1"]),
        np.array([1.0, None]),
        None,
        {},
        object(),
        np.array(["2026-01-01"], "datetime64[D]"),
        np.array([1], "timedelta64[s]"),
        np.array([True, False]),
        True,
        np.zeros(2, [("a", "f4")]),
        np.array([X, X[:2]], dtype=object),
    ],
    ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}",
)
def test_values_that_are_no_real_numbers_are_refused(refused: Any, x: Any) -> None:
    """Complex, text, objects, dates, booleans, records: nothing is converted silently."""
    refused(TypeError, "x must hold real floating-point or integer values, got", x)


def test_ragged_lists_are_refused(refused: Any) -> None:
    refused((TypeError, ValueError), "inhomogeneous|x must", [[1.0], [1.0, 2.0]])


def test_codes_where_values_belong_are_named(refused: Any) -> None:
    """An array of ml_dtypes' small floats holds codes already."""
    message = "float8_e5m2; these are codes already: decode"
    refused(TypeError, message, np.zeros(2, ml_dtypes.float8_e5m2))


# Codes.


@pytest.mark.parametrize(
    ("codes", "name", "error", "message"),
    [
        (X, "E4M3FN", TypeError, r"codes must be uint8 for E4M3FN, got float32 of shape \(3,\)"),
        (CODES.astype(np.int8), "E4M3FN", TypeError, r"uint8 .* got int8 .*codes.view\(np.uint8\)"),
        (CODES.astype(np.int64), "E4M3FN", TypeError, r"got int64 .*; codes.astype\(np.uint8\)"),
        (CODES.astype(np.uint16), "E4M3FN", TypeError, r"got uint16 .*; codes.astype\(np.uint8\)"),
        (CODES, "BFLOAT16", TypeError, r"BFLOAT16, got uint8 .*; codes.astype\(np.uint16\)"),
        (X.astype(np.float64), "E4M3FN", TypeError, r"; encode\(\) makes codes from values$"),
        (CODES.astype(object), "E4M3FN", TypeError, "codes must be uint8 .* got object"),
        (CODES.astype(bool), "E4M3FN", TypeError, "codes must be uint8 .* got bool"),
        (
            np.array([15, 16], np.uint8),
            "E2M1FN",
            ValueError,
            "codes must be from 0 to 15 .* got 16",
        ),
        (np.array([64], np.uint8), "E2M3FN", ValueError, "codes must be from 0 to 63 .* got 64"),
        (np.full(3, 4096, np.uint16), "binary12p4se", ValueError, "0 to 4095 .* got 4096"),
        ([300], "E4M3FN", (TypeError, ValueError), "codes must be .* got"),
        ([-1], "E4M3FN", (TypeError, ValueError), "codes must be .* got"),
        ([1.0], "E4M3FN", TypeError, "codes must be uint8"),
        ("ab", "E4M3FN", TypeError, "codes must be uint8"),
        (np.zeros(2, ml_dtypes.float8_e4m3fn), "E4M3FN", TypeError, "codes must be uint8.*view"),
    ],
)
def test_what_is_no_array_of_codes_is_refused(
    codes: Any, name: str, error: Any, message: str
) -> None:
    """In every function that takes codes."""
    for call in (
        lambda: fp.decode(codes, name),
        lambda: fp.convert(codes, name, "E5M2"),
        lambda: fp.pack(codes, name),
    ):
        with pytest.raises(error, match=message):
            call()


def test_a_wrong_code_far_inside_is_found() -> None:
    """After 100,000 right ones, in any layout, with any number of threads."""
    codes = np.zeros((4, 100_003), np.uint8)
    codes[3, 100_001] = 16
    for view in (codes, codes.T, codes[::-1, ::-1]):
        for threads in (1, 2):
            with pytest.raises(ValueError, match="got 16"):
                fp.decode(view, "E2M1FN", threads=threads)
        with pytest.raises(ValueError, match="got 16"):
            fp.pack(view, "E2M1FN")


# Modes.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rounding": "nearest"}, ValueError, "rounding must be one of .*rne.* got 'nearest'"),
        ({"rounding": 1}, TypeError, "rounding must be one of .* got 1"),
        ({"rounding": None}, TypeError, "rounding must be one of .* got None"),
        ({"saturation": "sat"}, ValueError, "saturation must be one of SatFinite.* got 'sat'"),
        ({"saturation": True}, TypeError, "saturation must be one of .* got True"),
        ({"nan": "ignore"}, ValueError, "nan must be one of .* got 'ignore'"),
        ({"like": "numpy"}, ValueError, "like must be one of ml_dtypes.* got 'numpy'"),
        ({"like": 3}, TypeError, "like must be .* got int 3"),
        ({"like": "ml_dtypes", "rounding": "rz"}, ValueError, "like='ml_dtypes' decides rounding"),
        ({"like": "ml_dtypes", "saturation": "SatNone"}, ValueError, "like=.* decides"),
        ({"like": "ml_dtypes", "nan": "raise"}, ValueError, "like=.* decides"),
        ({"random_bits": 1}, ValueError, "random_bits.* are for stochastic rounding"),
        ({"random_width": 3}, ValueError, "random_width.* are for stochastic rounding"),
        ({"rng": np.random.default_rng(0)}, ValueError, "rng are for stochastic rounding"),
        ({"random_bits": 1, "random_width": 3, "rounding": "ro"}, ValueError, "for stochastic"),
        ({"rounding": "sra"}, ValueError, "needs either random_bits with random_width, or rng"),
        ({"rounding": "srb", "random_width": 8}, ValueError, "needs either random_bits"),
        ({"rounding": "src", "random_bits": 1}, ValueError, "random_width must be .* got None"),
        (
            {
                "rounding": "sra",
                "random_bits": 1,
                "random_width": 8,
                "rng": np.random.default_rng(0),
            },
            ValueError,
            "either random_bits with random_width, or rng",
        ),
        ({"rounding": "sra", "rng": 3}, TypeError, "rng must be a numpy.random.Generator, got int"),
        (
            {"rounding": "sra", "rng": np.random.RandomState(0)},
            TypeError,
            "rng must be a numpy.random.Generator, got RandomState",
        ),
    ],
)
def test_impossible_modes_are_refused(refused: Any, options: Any, error: Any, message: str) -> None:
    """Unknown names, profiles combined with what they decide, bits nobody needs."""
    refused(error, message, **options)


@pytest.mark.parametrize(
    ("bits", "width", "error", "message"),
    [
        (8, 3, ValueError, r"from 0 to 2\*\*random_width - 1 = 7, got 8"),
        (-1, 3, ValueError, "random_bits must be from 0 .* got -1"),
        ([0, 0, 1 << 16], 16, ValueError, "got 65536"),
        (2**32, 32, ValueError, "got 4294967296"),
        (0, 0, ValueError, "random_width must be an integer from 1 to 32, got 0"),
        (0, 33, ValueError, "random_width must be an integer from 1 to 32, got 33"),
        (0, -1, ValueError, "random_width must be an integer from 1 to 32, got -1"),
        (0, 2.0, (TypeError, ValueError), r"random_width must be an integer .* got 2\.0"),
        (0, True, (TypeError, ValueError), "random_width must be an integer .* got True"),
        (1.0, 3, TypeError, "random_bits must be integers, got float64"),
        (True, 3, TypeError, "random_bits must be integers, got bool"),
        ("1", 3, TypeError, "random_bits must be integers, got <U1"),
        ([0, 0], 3, ValueError, r"broadcast to the shape of x, \(3,\), got \(2,\)"),
        ([[0, 0, 0]], 3, ValueError, r"broadcast to the shape of x, \(3,\), got \(1, 3\)"),
    ],
)
def test_wrong_random_bits_are_refused(
    refused: Any, bits: Any, width: Any, error: Any, message: str
) -> None:
    """Too wide, negative, no integers, of another shape."""
    refused(error, message, rounding="sra", random_bits=bits, random_width=width)


def test_a_wide_random_number_far_inside_is_found() -> None:
    bits = np.zeros(100_003, np.int64)
    bits[100_001] = 256
    for threads in (1, 2):
        with pytest.raises(ValueError, match="got 256"):
            fp.encode(
                np.ones(bits.size),
                "E4M3FN",
                rounding="sra",
                random_bits=bits,
                random_width=8,
                threads=threads,
            )


@pytest.mark.parametrize("name", ["POSIT8", "HIFLOAT8", "BINARY16", "binary8p3se"])
def test_a_profile_says_nothing_about_formats_its_library_lacks(name: str) -> None:
    with pytest.raises(ValueError, match="like='ml_dtypes' says nothing about .*; it has"):
        fp.encode(X, name, like="ml_dtypes")


def test_tininess_is_after_or_before() -> None:
    for wrong in ("never", None, 1):
        with pytest.raises((ValueError, TypeError), match="tininess must be 'after' or 'before'"):
            fp.flags(X, "E4M3FN", tininess=wrong)


# Where results go, and by whom they are made.


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", None, True])
def test_threads_are_a_positive_number(threads: Any) -> None:
    for call in (
        lambda: fp.encode(X, "E4M3FN", threads=threads),
        lambda: fp.decode(CODES, "E4M3FN", threads=threads),
        lambda: fp.quantize(X, "E4M3FN", threads=threads),
        lambda: fp.convert(CODES, "E4M3FN", "E5M2", threads=threads),
    ):
        with pytest.raises(
            (ValueError, TypeError), match="threads must be an integer from 1 to 1024, got"
        ):
            call()


def calls_with_out(out: Any) -> list[Any]:
    """Return every function with an `out`, which must be uint8 or float32 of shape (3,)."""
    return [
        lambda: fp.encode(X, "E4M3FN", out=out),
        lambda: fp.convert(CODES, "E4M3FN", "E5M2", out=out),
        lambda: fp.decode(CODES, "E4M3FN", out=out),
        lambda: fp.quantize(X, "E4M3FN", out=out),
    ]


@pytest.mark.parametrize(
    "out",
    [
        np.zeros(3, np.int8),
        np.zeros(3, np.float64),
        np.zeros(3, np.uint16),
        np.zeros(3, ">f4"),
        np.zeros(2, np.uint8),
        np.zeros((3, 1), np.uint8),
        np.zeros((1, 3), np.float32),
        np.zeros((), np.float32),
        [0, 0, 0],
        bytearray(3),
    ],
    ids=str,
)
def test_out_of_the_wrong_type_or_shape_is_refused(out: Any) -> None:
    """Never cast to, never broadcast to."""
    for call in calls_with_out(out):
        with pytest.raises((ValueError, TypeError), match=r"out must be an array of .*\(3,\), got"):
            call()


def test_out_that_cannot_be_written_is_refused() -> None:
    for call, dtype in zip(range(4), (np.uint8, np.uint8, np.float32, np.float32), strict=True):
        out = np.zeros(3, dtype)
        out.flags.writeable = False
        with pytest.raises(ValueError, match="out must be writeable"):
            calls_with_out(out)[call]()


def test_out_that_overlaps_the_input_is_refused() -> None:
    """Same memory, shifted memory, and memory of another type; nothing is written before."""
    values = X.copy()
    with pytest.raises(ValueError, match="out must not overlap"):
        fp.quantize(values, "E4M3FN", out=values)
    with pytest.raises(ValueError, match="out must not overlap"):
        fp.quantize(values[:2], "E4M3FN", out=values[1:])
    with pytest.raises(ValueError, match="out must not overlap"):
        fp.encode(values, "E4M3FN", out=values.view(np.uint8)[:3])
    with pytest.raises(ValueError, match="out must not overlap"):
        fp.encode(values, "E4M3FN", out=values.view(np.uint8)[9:])
    np.testing.assert_array_equal(values, X)
    codes = np.arange(12, dtype=np.uint8)
    with pytest.raises(ValueError, match="out must not overlap"):
        fp.decode(codes[:3], "E4M3FN", out=codes.view(np.float32))
    with pytest.raises(ValueError, match="out must not overlap"):
        fp.convert(codes, "E4M3FN", "E5M2", out=codes)
    with pytest.raises(ValueError, match="out must not overlap"):
        fp.convert(codes, "E4M3FN", "E5M2", out=codes[::-1])
    assert codes.tolist() == list(range(12))


def test_out_that_overlaps_the_random_bits_is_refused() -> None:
    """They are an input too: codes written over bits that are still to be read are wrong."""
    size = 200_000
    x = np.full(size, 1.06, np.float32)
    buffer = np.random.default_rng(1).integers(0, 2, size + 1, dtype=np.uint8)
    options = {"rounding": "sra", "random_bits": buffer[:-1], "random_width": 1}
    with pytest.raises(ValueError, match="out must not overlap"):
        fp.encode(x, "E4M3FN", out=buffer[1:], **options)


@pytest.mark.parametrize(
    "dtype",
    [np.int32, "int8", complex, "complex64", "foo", bool, str, ml_dtypes.float8_e5m2, object],
    ids=str,
)
def test_a_result_type_that_is_no_float_is_refused(dtype: Any) -> None:
    message = "dtype must be one of float16, bfloat16, float32, float64, longdouble, got"
    with pytest.raises(TypeError, match=message):
        fp.decode(CODES, "E4M3FN", dtype=dtype)
    with pytest.raises(TypeError, match=message):
        fp.quantize(X, "E4M3FN", dtype=dtype)


def test_a_type_that_cannot_hold_the_format_says_how_to_ask_for_it() -> None:
    with pytest.raises(ValueError, match=r"dtype float16 cannot hold every value.*dtype='float16'"):
        fp.decode(CODES, "E8M0FNU", dtype=np.float16)


# Packing.


@pytest.mark.parametrize(
    ("data", "count", "error", "message"),
    [
        (CODES, 7, ValueError, "data must hold 4 bytes for 7 codes of E2M1FN, got 3"),
        (CODES, 4, ValueError, "data must hold 2 bytes for 4 codes of E2M1FN, got 3"),
        (CODES, 0, ValueError, "data must hold 0 bytes for 0 codes of E2M1FN, got 3"),
        (CODES, -1, ValueError, "count must be an integer that is not negative, got -1"),
        (CODES, 5.0, (TypeError, ValueError), r"count must be an integer .* got 5\.0"),
        (CODES, None, (TypeError, ValueError), "count must be an integer .* got None"),
        (X, 6, TypeError, "data must be a one-dimensional array of uint8, got float32"),
        (CODES[:, np.newaxis], 6, (TypeError, ValueError), "data must be a one-dimensional"),
        (b"abc", 6, TypeError, "data must be a one-dimensional array of uint8"),
        (CODES.view(np.int8), 6, TypeError, "data must be a one-dimensional array of uint8"),
    ],
)
def test_packed_data_of_the_wrong_size_is_refused(
    data: Any, count: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        fp.unpack(data, "E2M1FN", count)


# Refusals come before work, and leave nothing behind.


def test_refusals_leave_out_untouched() -> None:
    """A bad argument is found before the first element is written."""
    x = np.ones(100_000, np.float32)
    out = np.full(x.size, 77, np.uint8)
    bits = np.zeros(x.size, np.int64)
    bits[-1] = 8
    with pytest.raises(ValueError, match="got 8"):
        fp.encode(x, "E4M3FN", rounding="sra", random_bits=bits, random_width=3, out=out)
    x[-1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fp.encode(x, "E2M1FN", nan="raise", out=out)
    values = np.full(x.size, 77, np.float32)
    codes = np.zeros(x.size, np.uint8)
    codes[-1] = 16
    with pytest.raises(ValueError, match="got 16"):
        fp.decode(codes, "E2M1FN", out=values)
    assert (out == 77).all()
    assert (values == 77).all()


def test_a_refusal_draws_no_random_numbers() -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    with pytest.raises(TypeError, match="x must hold"):
        fp.encode(np.array(["a"]), "E4M3FN", rounding="sra", rng=rng)
    with pytest.raises(ValueError, match="out must"):
        fp.encode(X, "E4M3FN", rounding="sra", rng=rng, out=np.zeros(2, np.uint8))
    assert rng.bit_generator.state == state
