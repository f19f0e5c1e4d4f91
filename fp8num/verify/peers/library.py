"""
What a library has and how it is called, and its answers as codes.

::

    codes   0 .. 2**bits - 1 -> themselves
    values  in the format    -> the code of the value, NaN and the sign of zero included
    others  480 in E4M3FN    -> a code that no conversion gives for that input

A wrong answer has to count as wrong whatever rule it is judged by, and only once: so what
a format does not have is neither left out nor rounded to something that may be right.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fp8num.formats import Format

    Array = npt.NDArray[Any]

__all__ = ["ALL_SOURCES", "REFUSED", "Library", "load", "read_answers", "stand_ins"]

#: A library's answer for an element that it has no answer for but an error.
REFUSED = -1

#: What every library can be given that takes Python floats, which hold all of them.
ALL_SOURCES = ("float16", "bfloat16", "float32", "float64")


def load(module: str) -> Any:  # noqa: ANN401 - a module
    """Import a module without the warnings that its import gives; ImportError as usual."""
    found = sys.modules.get(module)
    if found is not None:
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


@dataclass(frozen=True, kw_only=True)
class Library:
    """A conversion that an installable library has."""

    about: str  #: what is called
    install: str  #: what to give to pip
    modules: tuple[str, ...]  #: what has to be importable
    formats: Mapping[str, str]  #: the library's name of each format, by ours
    #: Takes an array of values and the library's name of the format; returns codes (`REFUSED` for
    #: an element that is an error), or values where it gives no codes.
    encode: Callable[[Array, str], Array] = field(repr=False)
    #: Takes codes and the library's name of the format; returns float32 or float64.
    decode: Callable[[Array, str], Array] | None = field(default=None, repr=False)
    sources: tuple[str, ...] = ALL_SOURCES  #: the types of values that it takes
    exact: bool = True  #: whether every answer is a code of the format

    @property
    def version(self) -> str:
        """The installed version; PackageNotFoundError if there is none."""
        found = importlib.metadata.version(self.install.split(maxsplit=1)[0].partition("[")[0])
        return found.partition("+")[0]  # without the build


def read_answers(
    answers: npt.NDArray[Any], fmt: Format
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return answers as codes, and which of them the format has."""
    if answers.dtype.kind in "iu":
        known = (answers >= 0) & (answers < 1 << fmt.bits)
        return np.where(known, answers, 0).astype(fmt.code_dtype), known
    keys, codes = _codes_by_bits(fmt)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = np.array(answers, np.float64)
    wide[np.isnan(wide)] = np.nan  # one NaN for all
    if not fmt.has_negative_zero:
        wide[wide == 0] = 0.0
    bits = wide.view(np.uint64)
    places = np.minimum(np.searchsorted(keys, bits), len(keys) - 1)
    known = keys[places] == bits
    return np.where(known, codes[places], 0).astype(fmt.code_dtype), known


@lru_cache(maxsize=64)
def _codes_by_bits(fmt: Format) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the bits of a format's values, ascending, and their codes; the first code of NaN."""
    values = fmt.values.copy()
    values[np.isnan(values)] = np.nan
    keys, codes = np.unique(values.view(np.uint64), return_index=True)
    return keys, codes


def stand_ins(x: npt.NDArray[Any], fmt: Format) -> npt.NDArray[Any]:
    """Return a code for each input that no rule of conversion gives for it."""
    codes = fmt.magnitudes.codes
    largest, smallest, middle = int(codes[-1]), int(codes[0]), int(codes[len(codes) // 2])
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = x.astype(np.float64)
    negative = np.signbit(wide) & ~np.isnan(wide)
    if fmt.signed:
        chosen = np.where(negative, largest, fmt.negate_code(largest))
    else:
        large = np.isnan(wide) | (np.abs(wide) >= fmt.max / 2)
        chosen = np.where(large, np.where(negative, middle, smallest), largest)
    return chosen.astype(fmt.code_dtype)
