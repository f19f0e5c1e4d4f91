"""Dense storage: element i in the bits i*b to (i+1)*b, least significant first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fp8num as fp

#: A format of every width from 3 to 16.
WIDTHS = {bits: f"binary{bits}p2se" if bits < 12 else f"binary{bits}p9se" for bits in range(3, 17)}
SIZES = (0, 1, 2, 3, 7, 8, 9, 65536 + 5)


def bits_of(codes: Any, width: int) -> int:
    """Return all codes as one integer, the first in the lowest bits: the layout itself."""
    return sum(int(code) << (i * width) for i, code in enumerate(codes))


def test_two_fp4_codes_make_a_byte() -> None:
    """The first in the low nibble."""
    codes = np.array([0x1, 0x2, 0x3, 0xF, 0x8], np.uint8)
    assert fp.pack(codes, "E2M1FN").tolist() == [0x21, 0xF3, 0x08]
    assert fp.unpack(np.array([0x21, 0xF3, 0x08], np.uint8), "E2M1FN", 5).tolist() == codes.tolist()


@pytest.mark.parametrize("name", ["E2M3FN", "E3M2FN"])
def test_four_fp6_codes_make_three_bytes(name: str) -> None:
    """a | b << 6 | c << 12 | d << 18, little end first."""
    a, b, c, d = 0b100001, 0b010010, 0b111100, 0b001011
    word = a | b << 6 | c << 12 | d << 18
    packed = fp.pack(np.array([a, b, c, d], np.uint8), name)
    assert packed.tolist() == [word & 255, word >> 8 & 255, word >> 16]
    assert fp.unpack(packed, name, 4).tolist() == [a, b, c, d]
    assert fp.unpack(packed, name, 3).tolist() == [a, b, c] if packed.size == 3 else True


@pytest.mark.parametrize("width", WIDTHS)
def test_packed_bytes_are_the_bits_in_order(width: int) -> None:
    """As one integer of size * width bits, in little-endian bytes, the rest zero."""
    fmt = fp.get_format(WIDTHS[width])
    assert fmt.bits == width
    for size in (0, 1, 2, 3, 7, 8, 9, 100):
        codes = np.random.default_rng(width).integers(0, 1 << width, size, dtype=fmt.code_dtype)

        packed = fp.pack(codes, fmt)

        length = (size * width + 7) // 8
        assert packed.dtype == np.uint8
        assert packed.shape == (length,)
        assert packed.tobytes() == bits_of(codes, width).to_bytes(length, "little"), size


@pytest.mark.parametrize("width", WIDTHS)
def test_unpack_undoes_pack(width: int) -> None:
    fmt = fp.get_format(WIDTHS[width])
    for size in SIZES:
        codes = np.random.default_rng(size).integers(0, 1 << width, size, dtype=fmt.code_dtype)

        back = fp.unpack(fp.pack(codes, fmt), fmt, size)

        assert back.dtype == fmt.code_dtype
        assert back.shape == (size,)
        np.testing.assert_array_equal(back, codes, f"{size} codes")


@pytest.mark.parametrize("width", [4, 6, 12])
def test_long_arrays_are_packed_as_their_pieces(width: int) -> None:
    """Bytes in the middle of a long array are those of its neighbours alone."""
    fmt = fp.get_format(WIDTHS[width])
    codes = np.random.default_rng(9).integers(0, 1 << width, 65536 + 5, dtype=fmt.code_dtype)
    packed = fp.pack(codes, fmt)
    for start in range(0, codes.size - 8, 4096):
        first = start * width // 8
        alone = fp.pack(codes[start : start + 8], fmt)
        np.testing.assert_array_equal(packed[first : first + width], alone)


def test_every_code_survives() -> None:
    for name, fmt in fp.FORMATS.items():
        codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
        packed = fp.pack(codes, name)
        assert packed.size == codes.size * fmt.bits // 8
        np.testing.assert_array_equal(fp.unpack(packed, name, codes.size), codes)


def test_a_tensor_is_packed_in_c_order() -> None:
    """Any shape and strides, as its elements in order."""
    codes = np.random.default_rng(3).integers(0, 16, (6, 5, 4), dtype=np.uint8)
    for view in (codes, codes.T, codes[::-1, ::2], np.asfortranarray(codes), codes[0, 0, 0]):
        flat = np.array(view, order="C").ravel()
        np.testing.assert_array_equal(fp.pack(view, "E2M1FN"), fp.pack(flat, "E2M1FN"))
        np.testing.assert_array_equal(fp.unpack(fp.pack(view, "E2M1FN"), "E2M1FN", view.size), flat)


def test_packed_input_may_be_read_only_or_strided() -> None:
    codes = np.arange(64, dtype=np.uint8)
    packed = fp.pack(codes, "E3M2FN")
    packed.flags.writeable = False
    np.testing.assert_array_equal(fp.unpack(packed, "E3M2FN", 64), codes)
    twice = np.repeat(packed, 2)[::2]
    np.testing.assert_array_equal(fp.unpack(twice, "E3M2FN", 64), codes)


def test_the_last_byte_is_filled_with_zeros() -> None:
    assert fp.pack(np.full(3, 0xF, np.uint8), "E2M1FN").tolist() == [0xFF, 0x0F]
    assert fp.pack(np.full(1, 0x3F, np.uint8), "E2M3FN").tolist() == [0x3F]
