"""
Formats given by a table of their values: HiFloat8, posit8 and MX's INT8.

No triple of exponent bits, mantissa bits and bias describes them.  They are used
exactly as the parametric ones.

::

    HiFloat8  s | dot (prefix code for the exponent's width D) | exponent, D bits | mantissa
    posit8    s | regime (run of equal bits) | exponent, 2 bits | fraction
    MXINT8    two's complement integer, in units of 2**-6
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._arguments import integer
from fp8num._records import as_dict
from fp8num.formats.families import Overflow, check_name, check_overflow_name
from fp8num.formats.format import Format, Magnitudes

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy.typing as npt

    from fp8num.formats.families import Specials

__all__ = ["HIFLOAT8", "MXINT8", "POSIT8", "TabulatedFormat"]


@dataclass(frozen=True, kw_only=True, repr=False)
class TabulatedFormat(Format):
    """
    A format given by a table of its values.

    It has no parameters: `exponent_bits`, `mantissa_bits`, `bias`, `precision` and
    `emin` are None.

    Parameters
    ----------
    name : str
        What the format is called.
    width : int
        Bits of a code.
    table : tuple of (code, integer, exponent)
        The finite values that are not negative, ascending from zero, each as
        ``integer * 2**exponent``; neighbours' codes differ in their last bit.
    nearest : tuple of (integer, exponent, inclusive)
        Where rounding to nearest goes from each value to the next: at
        ``integer * 2**exponent`` and, if not inclusive, only above it.  One more
        than there are gaps if something follows the largest value.
    smallest_normal_index : int
        Index in the table of the smallest normal number.
    nan : int, optional
        The code of the only NaN, if there is one.
    infinity : int, optional
        The code of infinity, if there is one.
    complement : bool, optional
        Whether a negative number is the two's complement of its magnitude's code,
        as in posits, instead of the code with a sign bit.
    following : tuple of (integer, exponent), optional
        The value that would follow the largest; None if nothing does.
    regular : bool, optional
        Whether `nearest` is halfway with ties to the even code, so that ties away from
        zero are halfway too.
    unpaired : tuple of (code, integer, exponent), optional
        A negative number without a positive counterpart, which rounding never gives.
    """

    exponent_bits: int | None = None
    mantissa_bits: int | None = None
    specials: Specials | None = None
    width: int
    table: tuple[tuple[int, int, int], ...]
    nearest: tuple[tuple[int, int, bool], ...]
    smallest_normal_index: int
    nan: int | None = None
    infinity: int | None = None
    complement: bool = False
    following: tuple[int, int] | None = None
    regular: bool = False
    unpaired: tuple[int, int, int] | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            width: int,
            table: tuple[tuple[int, int, int], ...],
            nearest: tuple[tuple[int, int, bool], ...],
            smallest_normal_index: int,
            nan: int | None = None,
            infinity: int | None = None,
            complement: bool = False,
            following: tuple[int, int] | None = None,
            regular: bool = False,
            unpaired: tuple[int, int, int] | None = None,
            overflow: Overflow | str | None = None,
            source: str = "",
        ) -> None: ...

    def __post_init__(self) -> None:
        """Check what a wrong table would make silently wrong."""
        check_name(self.name)
        integer("width", self.width, 2, 16)
        codes = 1 << self.width
        integer("smallest_normal_index", self.smallest_normal_index, 0, codes)
        for argument in ("nan", "infinity"):
            if (code := getattr(self, argument)) is not None:
                integer(argument, code, 0, codes - 1)
        object.__setattr__(self, "table", tuple((int(c), int(i), int(e)) for c, i, e in self.table))
        object.__setattr__(
            self, "nearest", tuple((int(i), int(e), bool(up)) for i, e, up in self.nearest)
        )
        if self.following is not None:
            significand, exponent = self.following
            object.__setattr__(self, "following", (int(significand), int(exponent)))
        if self.unpaired is not None:
            code, significand, exponent = self.unpaired
            object.__setattr__(self, "unpaired", (int(code), int(significand), int(exponent)))
        overflow = Overflow.NAN if self.has_nan else Overflow.MAX
        overflow = Overflow.INFINITY if self.has_infinity else overflow
        if self.overflow is not None:
            overflow = check_overflow_name(
                self.overflow, has_infinity=self.has_infinity, has_nan=self.has_nan
            )
        object.__setattr__(self, "overflow", overflow)
        for code, *_ in (*self.table, *([] if self.unpaired is None else [self.unpaired])):
            integer("a code of table", code, 0, codes - 1)
        numbers = [math.ldexp(significand, exponent) for _, significand, exponent in self.table]
        gaps = len(numbers) - 1 + (self.following is not None)
        if numbers[:1] != [0.0] or sorted(set(numbers)) != numbers or len(self.nearest) != gaps:
            msg = (
                f"table must ascend from zero and nearest have a breakpoint for each of its {gaps} "
                f"gaps, got {len(numbers)} values and {len(self.nearest)} breakpoints"
            )
            raise ValueError(msg)

    __hash__ = Format.__hash__

    @property
    def bits(self) -> int:
        """Width of a code in bits."""
        return self.width

    @property
    def has_infinity(self) -> bool:
        """Whether there is a code for infinity."""
        return self.infinity is not None

    @property
    def has_nan(self) -> bool:
        """Whether there is a code for NaN."""
        return self.nan is not None

    @property
    def has_zero(self) -> bool:
        """Whether there is a code for zero: there always is."""
        return True

    @property
    def has_negative_zero(self) -> bool:
        """Whether there is a code for -0: there never is, the code is NaN's."""
        return False

    def nan_code(self, *, negative: bool = False) -> int:  # noqa: ARG002 - the base's signature
        """Return the code of the only NaN, which has no sign; ValueError if there is none."""
        if self.nan is None:
            msg = f"{self.name} has no NaN"
            raise ValueError(msg)
        return self.nan

    def infinity_code(self, *, negative: bool = False) -> int:
        """Return the code of an infinity; ValueError if there is none."""
        if self.infinity is None:
            msg = f"{self.name} has no infinity"
            raise ValueError(msg)
        return self.negate_code(self.infinity) if negative else self.infinity

    def negate_code(self, code: int) -> int:
        """Return the code of minus the magnitude that `code` stands for."""
        return -code % (1 << self.width) if self.complement else code | self.sign_bit

    def _compute_magnitudes(self) -> Magnitudes:
        codes, integers, exponents = (np.array(column) for column in zip(*self.table, strict=True))
        return Magnitudes(codes.astype(np.uint16), integers, exponents)

    @property
    def successor(self) -> tuple[int, int] | None:
        """The value that would follow the largest; None if nothing does."""
        return self.following

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """The value of every code, as float64 of shape ``(2**bits,)``, read-only."""
        values = self._compute_values()
        if self.unpaired is not None:
            code, integer, exponent = self.unpaired
            values[code] = math.ldexp(integer, exponent)
        values.flags.writeable = False
        return values

    def decompose(self, code: int) -> tuple[int, int]:
        """Return a code's value exactly, as integer and power of two; see `Format.decompose`."""
        if self.unpaired is not None and code == self.unpaired[0]:
            return self.unpaired[1:]
        return super().decompose(code)

    def classify(self, code: int) -> str:
        """Return what a code is; see `Format.classify`."""
        if self.unpaired is not None and code == self.unpaired[0]:
            return "normal"
        return super().classify(code)

    @property
    def min(self) -> float | Fraction:
        """The most negative finite value."""
        return -self.max if self.unpaired is None else math.ldexp(*self.unpaired[1:])

    @property
    def precision(self) -> None:
        """Varies over the range."""
        return

    @property
    def emin(self) -> None:
        """Varies over the range; see `smallest_normal`."""
        return

    @property
    def first_normal(self) -> int:
        """Index of the smallest normal number among the magnitudes."""
        return self.smallest_normal_index

    @property
    def eps(self) -> float:
        """Distance from 1 to the next larger value."""
        numbers = self.values[self.magnitudes.codes]
        return float(numbers[numbers > 1.0][0]) - 1.0

    @property
    def spelling(self) -> str:
        """The name: a table has no spelling by parameters."""
        return self.name.lower()

    def fields(self, code: int) -> tuple[str, str, str]:
        """Return a code's sign bit, nothing, and the other bits, as text."""
        text = f"{code:0{self.width}b}"
        return text[:1], "", text[1:]

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments as a dictionary that JSON can hold."""
        columns = (
            "width", "table", "nearest", "smallest_normal_index", "nan", "infinity", "complement",
            "following", "regular", "unpaired",
        )  # fmt: skip
        return as_dict(self, "name", *columns, "overflow", "source")


def _midpoint(low: tuple[int, int], high: tuple[int, int]) -> tuple[int, int]:
    """Return the exact middle of two dyadic numbers."""
    exponent = min(low[1], high[1])
    total = (low[0] << (low[1] - exponent)) + (high[0] << (high[1] - exponent))
    return total, exponent - 1


def _hifloat8_magnitude(code: int) -> tuple[int, int]:
    """Read a HiFloat8 code without its sign: arXiv:2409.16626, Table 1."""
    if code == 0:
        return 0, 0
    if code < 0b000_1000:  # dot 0000: 2**(m - 23), no mantissa
        return 1, code - 23
    if code < 0b001_0000:  # dot 0001: exponent 0, 3 mantissa bits
        return 8 + (code & 7), -3
    # dot 001, 01, 10, 11: D = 1, 2, 3, 4 exponent bits, sign first, leading 1 hidden
    width = 1 if code < 0b010_0000 else 1 + (code >> 5)
    mantissa_bits = {1: 3, 2: 3, 3: 2, 4: 1}[width]
    field = code >> mantissa_bits & ((1 << width) - 1)
    negative = field >> (width - 1)
    exponent = (1 << (width - 1)) | (field & ((1 << (width - 1)) - 1))
    significand = (1 << mantissa_bits) | (code & ((1 << mantissa_bits) - 1))
    return significand, (-exponent if negative else exponent) - mantissa_bits


def _hifloat8() -> TabulatedFormat:
    """Build HiFloat8: to nearest is half away from zero, and 1.25 * 2**15 overflows."""
    infinity = 0b110_1111
    codes = [code for code in range(128) if code != infinity]
    numbers = {code: _hifloat8_magnitude(code) for code in codes}
    codes.sort(key=lambda code: math.ldexp(*numbers[code]))
    following = _hifloat8_magnitude(infinity)  # 1.5 * 2**15, whose code is infinity
    ladder = [*(numbers[code] for code in codes), following]
    return TabulatedFormat(
        name="HIFLOAT8",
        width=8,
        table=tuple((code, *numbers[code]) for code in codes),
        nearest=tuple((*_midpoint(low, high), True) for low, high in pairwise(ladder)),
        smallest_normal_index=8,  # after zero and the seven of dot 0000
        nan=0x80,
        infinity=infinity,
        following=following,
        source="HiFloat8, arXiv:2409.16626, Table 1",
    )


def _posit_magnitude(code: int, bits: int) -> tuple[int, int]:
    """Read a positive posit of any width with es = 2: Posit Standard (2022), section 3.3."""
    if code == 0:
        return 0, 0
    text = f"{code:0{bits - 1}b}"  # the sign is 0
    run = len(text) - len(text.lstrip(text[0]))
    regime = run - 1 if text[0] == "1" else -run
    rest = text[run + 1 :]
    exponent = int((rest[:2] + "00")[:2], 2)  # bits that did not fit are 0
    fraction = rest[2:]
    return int("1" + fraction, 2), 4 * regime + exponent - len(fraction)


def _posit8() -> TabulatedFormat:
    """Build posit8: to nearest on the encoding, never to 0 or NaR (section 4.1)."""
    # Halfway between two codes, on the encoding, is the posit with one bit more.
    nearest = tuple((*_posit_magnitude(2 * code + 1, 9), code % 2 == 1) for code in range(1, 127))
    return TabulatedFormat(
        name="POSIT8",
        width=8,
        table=tuple((code, *_posit_magnitude(code, 8)) for code in range(128)),
        nearest=((0, 0, False), *nearest),  # anything above 0 is at least minpos
        smallest_normal_index=1,
        nan=0x80,  # NaR
        complement=True,
        source="Standard for Posit Arithmetic (2022), section 3",
    )


def _mxint8() -> TabulatedFormat:
    """Build MX's INT8: ties to the even integer; -2 is left unused, as MX 1.0 allows."""
    return TabulatedFormat(
        name="MXINT8",
        width=8,
        table=tuple((code, code, -6) for code in range(128)),
        nearest=tuple((2 * code + 1, -7, code % 2 == 1) for code in range(128)),
        smallest_normal_index=1,
        complement=True,
        following=(128, -6),
        regular=True,
        unpaired=(0x80, -128, -6),
        source="OCP Microscaling Formats (MX) 1.0, section 5.3.4",
    )


HIFLOAT8 = _hifloat8()
POSIT8 = _posit8()
MXINT8 = _mxint8()
