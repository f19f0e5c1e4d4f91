"""
Find a format by any of its usual names.

An exact catalogue key comes first; then P3109 names, dtypes of ml_dtypes and torch,
the spellings of frameworks and papers, and parameters written out::

    [u]w<exponent bits>m<mantissa bits>[b<bias>]-<specials>[-nosub][-overflow_nan]
    w4m3b7-fn is E4M3FN by its parameters
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

from fp8num._arguments import refuse_kind
from fp8num._names import hint
from fp8num._records import arguments_of, flag, listed, maybe, whole
from fp8num._text import brief
from fp8num.formats.catalogue import FORMATS
from fp8num.formats.families import Specials
from fp8num.formats.format import Format
from fp8num.formats.p3109 import p3109_format, p3109_names
from fp8num.formats.tabulated import MXINT8, TabulatedFormat

__all__ = ["AMBIGUOUS", "format_from_dict", "get_format"]

#: What must be written for a name that means two things, by that name.
AMBIGUOUS = {
    "E4M3": (
        "write 'E4M3FN' for OCP's format (largest value 448: torch, CUDA, safetensors) or "
        "'E4M3IEEE' for the IEEE-like one (240: ml_dtypes' float8_e4m3)"
    )
}

#: Formats that were made from their names and are in use.
_ALIVE: WeakValueDictionary[str, Format] = WeakValueDictionary()
#: Elements of scaled arrays that are no floats: found by name, but not in the catalogue.
_INTEGERS = {MXINT8.name: MXINT8}

_INTEGER = whole(-(1 << 63), (1 << 63) - 1)
#: What the columns of a described table hold.
_COLUMNS = {
    "table": listed(listed(_INTEGER, _INTEGER, _INTEGER)),
    "nearest": listed(listed(_INTEGER, _INTEGER, flag)),
    "following": maybe(listed(_INTEGER, _INTEGER)),
    "unpaired": maybe(listed(_INTEGER, _INTEGER, _INTEGER)),
}

_PARAMETERS = re.compile(
    r"(?P<unsigned>u?)w(?P<exponent>\d{1,9})m(?P<mantissa>\d{1,9})(?:b(?P<bias>-?\d{1,9}))?"
    r"-(?P<specials>[a-z]+)(?P<nosub>-nosub)?(?:-overflow_(?P<overflow>[a-z]+))?",
    re.ASCII,
)
_LIBRARY = re.compile(r"(torch|np|numpy|ml_dtypes|jnp)\.")
#: What frameworks write before a format's own name: float8_e5m2, F8E5M2 ...
_PREFIX = re.compile(r"(?:float|fp|f)?(?P<bits>[468]?)[_-]?(?=u?e\d)")
_ALIASES = {
    "e2m1": "E2M1FN",
    "e2m3": "E2M3FN",
    "e3m2": "E3M2FN",
    "e8m0": "E8M0FNU",
    "ue8m0": "E8M0FNU",
    "e8m0fnu": "E8M0FNU",
    "e5m3fnu": "UE5M3",
    "e2m1fn_x2": "E2M1FN",
    "hif8": "HIFLOAT8",
    "posit8_2": "POSIT8",
    "float16": "BINARY16",
    "half": "BINARY16",
    "fp16": "BINARY16",
    "f16": "BINARY16",
    "bf16": "BFLOAT16",
    # Without the library's name it is what safetensors and PTX call E4M3FN.
    "ml_dtypes.float8_e4m3": "E4M3IEEE",
}


def get_format(spec: object) -> Format:
    """
    Return the format that a name, a dtype or a format stands for.

    Parameters
    ----------
    spec : Format, str or dtype
        A `Format` (returned as it is), a catalogue key, a usual spelling such as
        ``"float8_e4m3fn"`` or ``"bf16"``, an IEEE P3109 name such as ``"binary8p3se"``
        (3 to 16 bits), the parameters written out (``"w4m3b7-fn"``), or a dtype of
        NumPy, ml_dtypes or torch.

    Returns
    -------
    Format
        The format; the same object for the same name.

    Raises
    ------
    TypeError
        If `spec` is none of these.
    ValueError
        If no format has that name, or more than one has.

    Examples
    --------
    >>> get_format("float8_e4m3fn").name, get_format("binary8p3se").max
    ('E4M3FN', 49152.0)
    """
    if isinstance(spec, Format):
        return spec
    if isinstance(spec, str):
        return _format_by_name(spec)
    name = _dtype_name(spec)
    if name is None:
        advice = "fp8num.FORMATS lists the names"
        refuse_kind("fmt", "a Format, a name or a dtype", spec, advice)
    # A dtype is not ambiguous: only ml_dtypes has a float8_e4m3.
    return _format_by_name("ml_dtypes.float8_e4m3" if name == "float8_e4m3" else name)


def format_from_dict(description: Mapping[str, Any]) -> Format:
    """
    Return the format that `Format.to_dict` described.

    Parameters
    ----------
    description : mapping
        The constructor's arguments.

    Returns
    -------
    Format
        The catalogue's own object where it is that format; one that is called by a name
        that means two things (`E4M3IEEE` was called E4M3 once) is told by its parameters.

    Raises
    ------
    ValueError
        If the arguments do not make a format.
    """
    is_table = isinstance(description, Mapping) and "width" in description
    kind, checks = (TabulatedFormat, _COLUMNS) if is_table else (Format, {})
    try:
        found: Format = kind(**arguments_of("a description", kind, description, **checks))
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"format must be described by the arguments of Format: {error}"
        raise ValueError(msg) from error
    if found.name in AMBIGUOUS:
        meant = (f for f in FORMATS.values() if replace(found, name=f.name) == f)
        return next(meant, found)
    known = {**FORMATS, **_INTEGERS}.get(found.name)
    return known if known is not None and known == found else found


def _dtype_name(spec: object) -> str | None:
    """Return the name of a NumPy, ml_dtypes or torch dtype, or of a scalar type."""
    text = str(spec)
    if type(spec).__module__ == "torch" and text.startswith("torch."):
        return text
    name = spec.__name__ if isinstance(spec, type) else getattr(spec, "name", None)
    is_dtype = isinstance(spec, type) or hasattr(spec, "newbyteorder")
    return name if isinstance(name, str) and is_dtype and hasattr(spec, "itemsize") else None


@lru_cache(maxsize=1024)
def _format_by_name(name: str) -> Format:
    """Look a name up, the exact catalogue key first."""
    if name in FORMATS:
        return FORMATS[name]
    plain = name.strip().lower()
    bare = _LIBRARY.sub("", plain, count=1)
    prefix = _PREFIX.match(bare)
    short = bare[prefix.end() :] if prefix else bare
    if short.upper() in AMBIGUOUS and plain not in _ALIASES:
        msg = f"format name {brief(name)} is ambiguous: {AMBIGUOUS[short.upper()]}"
        raise ValueError(msg)
    for candidate in (plain, bare, short):
        key = _ALIASES.get(candidate, candidate).upper()
        known = FORMATS.get(key) or _INTEGERS.get(key)
        if known is None:
            continue
        if prefix and prefix["bits"] not in {"", str(known.bits)}:
            msg = (
                f"format name {brief(name)} says {prefix['bits']} bits, but {known.name} has "
                f"{known.bits}; write {known.name!r} if it is meant"
            )
            raise ValueError(msg)
        return known
    found = p3109_format(plain)
    match = _PARAMETERS.fullmatch(plain)
    if found is None and match is not None:
        found = _format_by_parameters(plain, match)
    if found is not None:  # the same object for the same name, as long as anybody has it
        return _ALIVE.setdefault(found.name, found)
    there = (
        f"use one of {', '.join(FORMATS)}, a P3109 name such as 'binary8p3se', or parameters such "
        "as 'w4m3b7-fn'"
    )
    names = [*FORMATS, *_ALIASES, *(p3109_names(8) if plain.startswith("b") else ())]
    msg = f"format name {brief(name)} is not known; {hint(short, names, there, 'a format')}"
    raise ValueError(msg)


def _format_by_parameters(name: str, match: re.Match[str]) -> Format:
    """Build the format that a spelling in small letters describes; it is named by it."""
    specials = match["specials"]
    if specials not in {member.value for member in Specials}:
        choices = ", ".join(member.value for member in Specials)
        msg = f"format {brief(name)} must end in one of {choices}, got {brief(specials)}"
        raise ValueError(msg)
    return Format(
        name=name,
        exponent_bits=int(match["exponent"]),
        mantissa_bits=int(match["mantissa"]),
        bias=None if match["bias"] is None else int(match["bias"]),
        specials=specials,
        signed=not match["unsigned"],
        subnormals=match["nosub"] is None,
        overflow=match["overflow"],
        source="defined by its spelling",
    )
