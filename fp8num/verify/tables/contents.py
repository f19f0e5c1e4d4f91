"""
What a table of a format holds, whatever the language.

::

    words[code]           what each code stands for, as bits of a float type
    starts[i], codes[i]   from the word starts[i] on, a number becomes codes[i]

The starts are those of `Truth`, over all words as unsigned integers, so that signs, zeros,
infinities and NaNs are runs like any other and an encoder is a search and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fp8num.formats import Format, get_format
from fp8num.projection import Projection, get_projection
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.truth import expected_words
from fp8num.verify.vectors.conversion import Conversion, slug

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

__all__ = ["Contents", "Encoder", "comment", "contents", "identifier", "rows"]

#: What C and its kin call the types of `fp8num.verify.sources`.
C_NAMES = {"float16": "half", "bfloat16": "bfloat16", "float32": "float", "float64": "double"}


@dataclass(frozen=True)
class Encoder:
    """
    A projection as thresholds.

    Parameters
    ----------
    name : str
        Such as ``rne_satfinite``.
    rule : str
        The projection in words.
    starts : tuple of int
        The first word of each run, ascending from 0.
    codes : tuple of int
        The code of each run.
    """

    name: str
    rule: str
    starts: tuple[int, ...]
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Contents:
    """
    The tables of a format.

    Parameters
    ----------
    fmt : Format
        The format.
    source : SourceType
        The float type on the other side.
    words : tuple of int
        What each code stands for.
    encoders : tuple of Encoder
        The projections.
    """

    fmt: Format
    source: SourceType
    words: tuple[int, ...]
    encoders: tuple[Encoder, ...]

    @property
    def name(self) -> str:
        """The format's name, as one that programs can have."""
        return identifier(self.fmt.name)

    @property
    def float_name(self) -> str:
        """What the float type is called in the names of functions."""
        return C_NAMES[self.source.name]

    @property
    def special_codes(self) -> dict[str, int]:
        """The codes that have a name."""
        fmt = self.fmt
        magnitudes = fmt.magnitudes.codes.tolist()
        found = {"MAX": magnitudes[-1], "SMALLEST_NORMAL": magnitudes[fmt.first_normal]}
        if fmt.first_normal > 1:
            found["SMALLEST_SUBNORMAL"] = magnitudes[1]
        if fmt.has_zero:
            found["ZERO"] = magnitudes[0]
        if fmt.has_infinity:
            found["INFINITY"] = fmt.infinity_code()
        if fmt.has_nan:
            found["NAN"] = fmt.nan_code()
        return found

    @property
    def parameters(self) -> dict[str, int]:
        """The numbers that describe the format; those that it does not have are left out."""
        fmt = self.fmt
        found = {
            "BITS": fmt.bits,
            "EXPONENT_BITS": fmt.exponent_bits,
            "MANTISSA_BITS": fmt.mantissa_bits,
            "BIAS": fmt.bias,
            "SIGN_BIT": fmt.sign_bit,
        }
        return {name: value for name, value in found.items() if value is not None}

    def provenance(self, version: str) -> list[str]:
        """Return lines that say what this is and where it comes from."""
        fmt, source = self.fmt, self.source
        return [
            f"{fmt.name}: tables and thresholds, made by fp8num {version}; do not edit.",
            f"Format: {fmt.spelling}, {fmt.bits} bits. {fmt.source}".strip(),
            f"Decoding gives the bits of {source.name}, exactly; a NaN is quiet.",
            f"Encoding takes the bits of {source.name} and rounds once:",
            *(f"  {encoder.name}: {encoder.rule}" for encoder in self.encoders),
            "An encoder looks up the run that a word lies in, among all as unsigned integers.",
            "The runs are derived from the definition in exact rational arithmetic.",
        ]


def contents(
    fmt: Format | str,
    projections: Iterable[Projection | str] = (Projection(),),
    source: SourceType | npt.DTypeLike | str = "float32",
) -> Contents:
    """
    Return the tables of a format.

    Parameters
    ----------
    fmt : Format or str
        The format.
    projections : iterable of Projection or str, optional
        How numbers become codes; a str is the name of another library's profile.
    source : SourceType, str or dtype, optional
        The float type on the other side.

    Returns
    -------
    Contents
        The tables.

    Raises
    ------
    ValueError
        If the float type cannot hold every value, there is no projection or two of one
        name, one has another library's slips and no name, or a rounding is stochastic.

    Examples
    --------
    >>> found = contents("E2M1FN")
    >>> [f"{word:08x}" for word in found.words[:4]], found.encoders[0].codes[:4]
    (['00000000', '3f000000', '3f800000', '3fc00000'], (0, 1, 2, 3))
    """
    fmt, source = get_format(fmt), get_source(source)
    words = tuple(expected_words(fmt, source).tolist())
    encoders = tuple(_encoder(fmt, projection, source) for projection in projections)
    names = [encoder.name for encoder in encoders]
    if not names or len({*names}) < len(names):
        msg = f"projections must be at least one, each of another name, got {', '.join(names)}"
        raise ValueError(msg)
    return Contents(fmt, source, words, encoders)


def _encoder(fmt: Format, projection: Projection | str, source: SourceType) -> Encoder:
    if isinstance(projection, str):
        asked = Conversion(fmt, source, get_projection(fmt, like=projection), projection)
    else:
        asked = Conversion(fmt, source, projection)
        plain = get_projection(fmt, projection.rounding, projection.saturation, nan=projection.nan)
        if projection != plain:
            msg = (
                "projections must be of rounding, saturation and nan alone, got another "
                "library's; pass the name of its profile"
            )
            raise ValueError(msg)
    known = asked.truth
    name = identifier(asked.mode)
    return Encoder(name, asked.rule, tuple(known.starts.tolist()), tuple(known.codes.tolist()))


# Text.


def identifier(name: str) -> str:
    """Return a name that a program can have, after a prefix."""
    return slug(name).replace("-", "_")


def comment(text: str) -> str:
    """Return text that cannot end a comment, continue a line, or be other than ASCII."""
    return re.sub(r"\*/|[^ A-Za-z0-9.,:;()+=<>_*/-]", lambda found: "_" * len(found[0]), text)


def rows(items: Iterable[str], *, width: int, indent: str) -> list[str]:
    """Return items as lines of so many each, with commas between them."""
    listed = list(items)
    lines = [", ".join(listed[at : at + width]) for at in range(0, len(listed), width)]
    return [f"{indent}{line}," for line in lines[:-1]] + [f"{indent}{line}" for line in lines[-1:]]
