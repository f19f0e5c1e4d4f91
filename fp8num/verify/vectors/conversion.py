"""
Golden vectors: inputs with the codes that they must become, by the exact reference.

::

    format x source type x projection -> Conversion        cases -> words
    Conversion, words -> Vectors: words, codes, classes, values as hex floats

The codes come from `Truth`, never from the codec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.words import widen
from fp8num.formats import Format, get_format
from fp8num.projection import NanResult, Projection, Rounding, Saturation, get_projection
from fp8num.verify.classes import CLASSES, classify
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.truth import Truth, describe_projection, truth_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Conversion",
    "Vectors",
    "conversions",
    "hex_floats",
    "installed_version",
    "slug",
    "vectors_of",
]

#: The rounding modes that a vector can have, by abbreviation.
MODES = {Rounding.parse(name): name for name in ("rne", "rna", "rz", "ru", "rd", "ro")}


def slug(name: str) -> str:
    """Return a name as one that a file and, with underscores for hyphens, a program may have."""
    for sign, words in ((">=", "-ge-"), ("<=", "-le-"), (">", "-gt-"), ("<", "-lt-")):
        name = name.replace(sign, words)
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@dataclass(frozen=True)
class Conversion:
    """
    What is converted to what, and how.

    Parameters
    ----------
    fmt : Format
        The format of the codes.
    source : SourceType
        The type of the inputs.
    projection : Projection
        How a number becomes a code.
    like : str, optional
        The name of the profile that the projection is from.

    Examples
    --------
    >>> from fp8num.formats import E4M3FN
    >>> made = Conversion(E4M3FN, get_source("f32"), Projection())
    >>> made.name, made.title
    ('e4m3fn-f32-rne-satfinite', 'float32 to E4M3FN, NearestTiesToEven, SatFinite')
    """

    fmt: Format
    source: SourceType
    projection: Projection
    like: str | None = None

    @property
    def mode(self) -> str:
        """A short name of the projection."""
        if self.like is not None:
            return slug(self.like)
        projection = self.projection
        parts = [MODES[projection.rounding], slug(projection.saturation.value)]
        if projection.nan is not NanResult.MAX:
            parts.append(f"nan-{projection.nan.value}")
        return "-".join(parts)

    @property
    def name(self) -> str:
        """A name that tells it from the others of a pack."""
        return f"{slug(self.fmt.name)}-{self.source.short}-{self.mode}"

    @property
    def title(self) -> str:
        """What it is, in a line."""
        return f"{self.source.name} to {self.fmt.name}, {self.rule}"

    @property
    def rule(self) -> str:
        """The projection, in words."""
        text = describe_projection(self.projection, self.like)
        if self.like is None and self.projection.nan is not NanResult.MAX:
            text += f", NaN to {self.projection.nan.value}"
        return text

    @property
    def truth(self) -> Truth:
        """The code of every word."""
        return truth_of(self.fmt, self.projection, self.source)


def conversions(
    formats: Iterable[Format | str],
    *,
    sources: Iterable[SourceType | str] = ("float32",),
    roundings: Iterable[Rounding | str] = ("NearestTiesToEven",),
    saturations: Iterable[Saturation | str] = ("SatFinite",),
    likes: Iterable[str] = (),
) -> tuple[Conversion, ...]:
    """
    Cross formats, source types and projections.

    Parameters
    ----------
    formats : iterable of Format or str
        The formats.
    sources : iterable of SourceType or str, optional
        The types of the inputs.
    roundings, saturations : iterable of enum or str, optional
        The modes, crossed with each other; the roundings must be deterministic.
    likes : iterable of str, optional
        Profiles of other libraries; they take the place of the modes.

    Returns
    -------
    tuple of Conversion
        Formats in the outermost loop, then sources, then projections.

    Raises
    ------
    ValueError
        If a name is unknown, a rounding is stochastic, there are none, or two have one name.
    """
    types, modes = [*map(get_source, sources)], ([*roundings], [*saturations], [*likes])
    found = [
        Conversion(fmt, source, projection, like)
        for fmt in map(get_format, formats)
        for source in types
        for projection, like in _projections(fmt, *modes)
    ]
    if not found:
        msg = "vectors need at least one format, source, rounding and saturation, got none"
        raise ValueError(msg)
    names: dict[str, Conversion] = {}
    for conversion in found:
        other = names.setdefault(conversion.name, conversion)
        if other is not conversion:
            msg = (
                f"conversions must have different names, got {conversion.name!r} for "
                f"{other.title} and {conversion.title}; write them to different folders"
            )
            raise ValueError(msg)
    return tuple(found)


def _projections(
    fmt: Format,
    roundings: list[Rounding | str],
    saturations: list[Saturation | str],
    likes: list[str],
) -> list[tuple[Projection, str | None]]:
    """Return the projections that were asked for, those of profiles with their names."""
    if likes:
        return [(get_projection(fmt, like=like), like) for like in likes]
    found = [get_projection(fmt, *modes) for modes in product(roundings, saturations)]
    for projection in found:
        if projection.rounding.is_stochastic:
            msg = (
                f"rounding must be deterministic, got {projection.rounding.value}: "
                f"a vector has one right code; use {', '.join(MODES.values())}"
            )
            raise ValueError(msg)
    return [(projection, None) for projection in found]


# Vectors.


@dataclass(frozen=True, eq=False)
class Vectors:
    """
    Inputs of a conversion with their codes.

    Parameters
    ----------
    conversion : Conversion
        What is converted, and how.
    domain : str
        What the inputs are.
    words : ndarray of the source's words, shape (n,)
        The inputs.
    codes : ndarray of the format's codes, shape (n,)
        What they become.
    """

    conversion: Conversion
    domain: str
    words: npt.NDArray[Any]
    codes: npt.NDArray[Any]

    @cached_property
    def classes(self) -> npt.NDArray[np.uint8]:
        """What kind of input each is: indices into `CLASSES`."""
        return classify(self.words, self.conversion.fmt, self.conversion.source)

    @cached_property
    def class_names(self) -> list[str]:
        """The same by name."""
        return [CLASSES[kind] for kind in self.classes.tolist()]

    @cached_property
    def floats(self) -> list[str]:
        """The inputs as hex floats."""
        return hex_floats(self.words, self.conversion.source)


def vectors_of(conversion: Conversion, words: npt.NDArray[Any], domain: str) -> Vectors:
    """
    Return the codes of inputs.

    Parameters
    ----------
    conversion : Conversion
        What is converted, and how.
    words : ndarray of the source's words, shape (n,)
        The inputs.
    domain : str
        What they are.

    Returns
    -------
    Vectors
        The inputs with their codes.

    Examples
    --------
    >>> (conversion,) = conversions(["E4M3FN"], sources=["float16"])
    >>> from fp8num.verify.cases import specials
    >>> inputs = specials(conversion.source)
    >>> made = vectors_of(conversion, inputs.words, inputs.domain)
    >>> made.floats[5], hex(made.codes[5]), made.class_names[5]
    ('0x1.ffc0000000000p+15', '0x7e', 'overflow')
    """
    return Vectors(conversion, domain, words, conversion.truth.codes_of(words))


def hex_floats(words: npt.NDArray[Any], source: SourceType) -> list[str]:
    """Write many words as `SourceType.hex` writes one."""
    kind = source.word.type
    magnitudes = words & kind(source.sign - 1)
    # As integers: a processor that takes subnormals for zero changes nothing.
    numbers = widen(magnitudes, source.layout).view(np.float64).tolist()
    texts = [
        ("-" if negative else "") + number.hex()
        for negative, number in zip((words >= kind(source.sign)).tolist(), numbers, strict=True)
    ]
    for place in np.flatnonzero(magnitudes > kind(source.infinity)).tolist():
        texts[place] = source.hex(int(words[place]))
    return texts


def installed_version() -> str:
    """Return the version of the installed package, which makes what is written."""
    from importlib.metadata import version

    return version("fp8num")
