"""
Make the page that puts all scaling rules side by side, from their data.

    python reports/rules.py        writes docs/scaling-rules.md
"""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

from fp8num.projection import Rounding
from fp8num.scaled import Descale
from fp8num.scaling import CORNERS, RULES, Enters, Rule, corner_frame

PAGE = Path(__file__).parent.parent / "docs" / "scaling-rules.md"

HEAD = """# Scaling rules

Every rule of `fp8num.scaling.RULES`, made from the data by `python reports/rules.py`.
`fp8num.scale_quantize(x, name)` applies one; `fp8num identify` finds out which one made
a file. *In* and *out* say what elements and decoded values do with the scale.

| rule | formats | granularity | scales | amax | in | out | elements | enters | source |
|---|---|---|---|---|---|---|---|---|---|
"""

CORNER_HEAD = """
## At the corners

A block whose largest magnitude is the column's head: the scale that decoded values are
multiplied by, and the value that comes back. 448 is E4M3FN's largest value, so 1.75 is
448/256 and 480/128 lies between 448 and 512 of the scale below. Rules that keep a state
(te-delayed, flax) stand at their first step. Rules that round at random are left out.
`te-nvfp4-rht` rotates its tile first: the value that comes back is the rotated one, which a
product with another rotated operand takes as it is.

"""


def number(value: float) -> str:
    """Return a number in few characters, exact for powers of two."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    mantissa, exponent = math.frexp(value)
    if mantissa == 0.5 and abs(exponent - 1) > 6:
        return f"2^{exponent - 1}"
    return f"{value:.5g}"


def rule_rows() -> list[str]:
    """Return a row of the first table for each rule."""
    rows = []
    for rule in RULES.values():
        formats = ", ".join(rule.formats) or "any"
        scales = "float32" if rule.scale.format is None else rule.scale.format.name
        if rule.is_two_level:
            scales += " and a float32 amax"
        cells = (
            f"`{rule.name}`",
            formats,
            str(rule.granularity),
            f"{scales}: {type(rule.scale).__name__}{options(rule.scale)}",
            type(rule.finder).__name__ + options(rule.finder),
            Descale(rule.way_in).value,
            Descale(rule.way_out).value,
            elements(rule),
            Enters(rule.enters).value,
            rule.source,
        )
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def elements(rule: Rule) -> str:
    """Return how elements are rounded, and what is done before."""
    cast = rule.cast
    words = [Rounding.parse(cast.rounding).value]
    words += [f"NaN as {cast.like}"] if cast.like else []
    words += ["product rounded once"] if rule.exact else []
    words += ["float32 floor(x + 0.5)"] if cast.early_tie else []
    words += ["float32 log2 of elements"] if cast.coarse_top else []
    words += ["subnormals are zero"] if cast.flushes else []
    words += ["ties toward zero"] if cast.ties_toward_zero else []
    words += ["zeros are -0"] if cast.minus_zeros else []
    words += ["Hadamard rotation of 16 first"] if rule.rotation is not None else []
    return ", ".join(words)


def options(part: object) -> str:
    """Return the settings of a rule's part, but those that are left open."""
    settings = {field.name: getattr(part, field.name) for field in fields(part)}  # type: ignore[arg-type]  # of dataclasses
    inside = [f"{name}={value!r}" for name, value in settings.items() if value is not None]
    return f"({', '.join(inside)})" if inside else ""


def corner_rows() -> list[str]:
    """Return the second table."""
    frame = corner_frame()
    cells = {
        (row.rule, row.corner): f"{number(row.scale)} → {number(row.value)}"
        for row in frame.itertuples()
    }
    names = list(dict.fromkeys(frame["rule"]))
    head = "| rule | " + " | ".join(CORNERS) + " |"
    rows = [head, "|---" * (len(CORNERS) + 1) + "|"]
    rows += [f"| `{name}` | {' | '.join(cells[name, c] for c in CORNERS)} |" for name in names]
    return rows


def page() -> str:
    """Return the page's text."""
    return HEAD + "\n".join(rule_rows()) + "\n" + CORNER_HEAD + "\n".join(corner_rows()) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    temporary = PAGE.with_suffix(".tmp")
    temporary.write_text(page(), encoding="utf-8")
    temporary.replace(PAGE)


if __name__ == "__main__":
    main()
