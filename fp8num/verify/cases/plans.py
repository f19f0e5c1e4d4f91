"""What a verification tries: the standard set, sets by name, sets crossed with projections."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from fp8num._arguments import choice, integer
from fp8num.formats import get_format
from fp8num.projection import Projection, Rounding, Saturation
from fp8num.verify.cases.constructed import (
    boundaries,
    every,
    nan_payloads,
    overflow_edges,
    specials,
    subnormal_edges,
)
from fp8num.verify.cases.sampling import binades, structured
from fp8num.verify.cases.sets import CaseSet, union
from fp8num.verify.sources import SOURCES, get_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["CASE_SETS", "STRUCTURED", "Plan", "case_set", "crossing", "standard"]

#: Structured words in the standard set.
_STRUCTURED = 4096


def standard(fmt: Format | str, source: SourceType | npt.DTypeLike | str) -> CaseSet:
    """
    Return what a verification tries by default.

    Parameters
    ----------
    fmt : Format or str
        The format.
    source : SourceType, str or dtype
        The type of the inputs.

    Returns
    -------
    CaseSet
        Every word of a 16-bit type; of a wider one the boundaries, the edges, the specials,
        the NaN payloads, 4096 structured words, and a word of every binade.

    Examples
    --------
    >>> standard("E4M3FN", "float16").size
    65536
    """
    fmt, source = get_format(fmt), get_source(source)
    if source.bits <= 16:
        return every(source, fmt)
    return union(
        specials(source),
        nan_payloads(source),
        boundaries(fmt, source),
        subnormal_edges(fmt, source),
        overflow_edges(fmt, source),
        structured(source, _STRUCTURED, fmt=fmt),
        binades(source),
        name="standard",
    )


@dataclass(frozen=True, eq=False)
class Plan:
    """
    Case sets crossed with projections: an iterable of (source, projection, cases).

    Parameters
    ----------
    fmt : Format
        The format of the codes.
    projections : tuple of Projection
        Each is applied to every set.
    sets : tuple of CaseSet
        One for each source.
    """

    fmt: Format
    projections: tuple[Projection, ...]
    sets: tuple[CaseSet, ...]

    def __iter__(self) -> Iterator[tuple[SourceType, Projection, CaseSet]]:
        for cases, projection in product(self.sets, self.projections):
            assert cases.source is not None
            yield cases.source, projection, cases

    def __len__(self) -> int:
        return len(self.sets) * len(self.projections)

    @property
    def size(self) -> int:
        """The number of conversions."""
        return sum(cases.size for cases in self.sets) * len(self.projections)

    @property
    def domain(self) -> str:
        """What is converted, and how."""
        how = ", ".join(f"{p.rounding.value} {p.saturation.value}" for p in self.projections)
        what = "; ".join(f"{cases.domain} (cases: {cases.size:,})" for cases in self.sets)
        return f"to {self.fmt.name}, each by {how}: {what}"

    def by_class(self) -> dict[str, dict[str, int]]:
        """Count the cases of each class, by the name of the source, for each projection."""
        return {
            cases.source.name: cases.by_class(self.fmt)
            for cases in self.sets
            if cases.source is not None
        }


def crossing(
    fmt: Format | str,
    sources: Iterable[SourceType | npt.DTypeLike | str] = tuple(SOURCES),
    roundings: Iterable[Rounding | str] | None = None,
    saturations: Iterable[Saturation | str] = tuple(Saturation),
    cases: Callable[[Format, SourceType], CaseSet] = standard,
) -> Plan:
    """
    Cross the classes of inputs with source types, roundings and saturations.

    Parameters
    ----------
    fmt : Format or str
        The format.
    sources : iterable of SourceType, str or dtype, optional
        The types of the inputs; all four by default.
    roundings : iterable of Rounding or str, optional
        The deterministic modes by default.
    saturations : iterable of Saturation or str, optional
        All by default.
    cases : callable, optional
        Makes the set for a format and a source.

    Returns
    -------
    Plan
        Each projection with each set.

    Raises
    ------
    ValueError
        If a name is unknown, a rounding is stochastic, or one of these is empty.

    Examples
    --------
    >>> plan = crossing("E4M3FN", ["float16"], ["rne", "rz"])
    >>> len(plan), plan.size == 6 * 65536
    (6, True)
    """
    fmt = get_format(fmt)
    chosen = {get_source(source).name: get_source(source) for source in sources}
    modes = [mode for mode in Rounding if not mode.is_stochastic]
    if roundings is not None:
        modes = list(dict.fromkeys(map(Rounding.parse, roundings)))
    ends = list(dict.fromkeys(map(Saturation.parse, saturations)))
    for name, found in (("sources", chosen), ("roundings", modes), ("saturations", ends)):
        if not found:
            msg = f"{name} must have at least one member, got none"
            raise ValueError(msg)
    for mode in modes:
        if mode.is_stochastic:
            msg = (
                f"roundings must be deterministic, got {mode.value}: "
                "no code is the right one for it; leave it out"
            )
            raise ValueError(msg)
    return Plan(
        fmt,
        tuple(Projection(rounding=mode, saturation=end) for mode, end in product(modes, ends)),
        tuple(cases(fmt, source) for source in chosen.values()),
    )


#: The sets that can be asked for by name.
CASE_SETS = ("standard", "every", "boundaries", "specials", "structured")
#: Structured cases, if nothing else is said.
STRUCTURED = 4096


def case_set(
    name: str, fmt: Format, source: SourceType, *, limit: int | None = None, seed: int = 0
) -> CaseSet:
    """
    Return a set of cases by its name.

    Parameters
    ----------
    name : str
        One of `CASE_SETS`.
    fmt : Format
        The format of the codes.
    source : SourceType
        The type of the inputs.
    limit : int, optional
        The most cases to have; of structured ones, how many to draw, by default 4096.
    seed : int, optional
        Which structured cases to draw.

    Returns
    -------
    CaseSet
        The cases; its domain says if only the first of them are there.

    Raises
    ------
    ValueError
        If there is no set of that name, the limit is below 1, or the set is too large.
    """
    choice("cases", name, CASE_SETS)
    limit = None if limit is None else integer("limit", limit, 1)
    if name == "structured":
        return structured(source, limit or STRUCTURED, seed, fmt)
    if name == "every":
        found = every(source, fmt)
    elif name == "specials":
        found = specials(source)
    else:
        found = {"standard": standard, "boundaries": boundaries}[name](fmt, source)
    if limit is None or limit >= found.size:
        return found
    return CaseSet(
        found.name,
        f"the first {limit} of {found.size}: {found.domain}",
        found.words[:limit],
        source=source,
        fmt=fmt,
    )
