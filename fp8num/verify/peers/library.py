"""What a library has, and how it is called: a record for each, and importing it when it is used."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["ALL_SOURCES", "REFUSED", "Library", "load"]

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
