"""Sets of cases by name, as a command line asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fp8num._arguments import choice, integer
from fp8num.verify.cases.constructed import boundaries, every, specials
from fp8num.verify.cases.plans import standard
from fp8num.verify.cases.sampling import structured
from fp8num.verify.cases.sets import CaseSet

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["CASE_SETS", "STRUCTURED", "case_set"]

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
