"""The page of the decisions: README.md, from the tables."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import foretell
import numpy as np
import pandas as pd
import truth
from common import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from foretell import Estimate

__all__ = ["page"]

_FP8 = [one.name for one in truth.CANDIDATES["E4M3FN"]]
_LARGE = 1e5


def page(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the page."""
    decisions, healthy, targets = (tables[name] for name in ("decisions", "healthy", "targets"))
    parts = [
        _head(decisions, healthy, targets),
        _agreement(decisions),
        _disagreements(decisions),
        _alarms(healthy),
        _causes(decisions),
        _targets(targets),
        _cases(tables["cases"]),
        _bias(decisions),
        _foretell(tables["foretell"]),
        _END,
    ]
    return "\n\n".join(map(_wrapped, "\n\n".join(parts).split("\n\n"))) + "\n"


def _wrapped(block: str) -> str:
    """Fill a paragraph, or each item of a list; tables and headings stay."""
    if block.startswith(("|", "#")):
        return block
    items = re.split(r"\n(?=- )", block)
    indent = "  " if block.startswith("- ") else ""
    return "\n".join(
        textwrap.fill(
            " ".join(item.split()), 100, subsequent_indent=indent, break_long_words=False,
            break_on_hyphens=False,
        )
        for item in items
    )  # fmt: skip


def _g(value: float, digits: int = 3) -> str:
    """Write a number to so many digits, a large one with a power of ten."""
    if pd.isna(value):
        return "-"
    if value >= 1e4:
        exponent = int(np.floor(np.log10(value)))
        lead = value / 10.0**exponent
        return f"10^{exponent}" if np.isclose(lead, 1) else f"{lead:.2g}·10^{exponent}"
    return f"{value:,.{digits}g}" if value < 1000 else f"{value:,.0f}"


def _per_1000(count: int, total: int) -> str:
    return f"{1000 * count / max(total, 1):.1f}"


def _count(rows: pd.DataFrame) -> tuple[int, int]:
    return len(rows), int((~rows["agree"]).sum())


def _tables(header: list[str], rows: Iterable[Iterable[object]]) -> str:
    return table(header, [list(row) for row in rows])


_INTRO = """# Decisions beside the damage

Does `fp8num.recommend` decide what it should? **Truth** here is damage, computed exactly and apart
from the package (`truth.py`: NumPy and ml_dtypes alone): a tensor is rounded under each
candidate, and a row's damage is the error of its output over that output, for activations of
equal mean squares, and again with the planted input channel silent, so that nothing hides behind
an outlier; the larger counts. Near-dead rows (below 10^-3 of the median norm) take no part. A
candidate passes when the median row's damage is at most 1.25 times what the target's finest
candidate costs Gaussian data, and at most one row, or 1 in 1,000, is damaged: above twice that
cost, but never below u / (1 + u), which a single correct rounding may take. The truth is the
first that passes; the limits are the package's, the measure is not."""


def _head(decisions: pd.DataFrame, healthy: pd.DataFrame, targets: pd.DataFrame) -> str:
    total, wrong = _count(decisions)
    well = healthy[healthy["truth"] == _FP8[0]]
    alarms = int((~well["agree"]).sum())
    share = _per_1000(alarms, len(well))
    others, other = _count(targets)
    rows = [
        ("Tensors with plants, defects and trained ones", f"{wrong} of {total} disagree"),
        (
            "False alarms",
            f"{alarms} of {len(well):,} that one scale suits: {share} per 1,000",
        ),
        (
            "Missed damage: decisions coarser than the truth",
            f"{len(_missed(decisions)) + len(_missed(healthy))} of {total + len(healthy):,}",
        ),
        (
            "Other targets (E5M2, NVFP4, MXFP4)",
            f"{other} of {others} disagree, {len(_missed(targets))} of them coarser",
        ),
    ]
    return f"{_INTRO}\n\n{table(('', 'Outcome'), rows)}"


def _missed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the tensors whose decision is coarser than the truth."""
    everything = [one.name for some in truth.CANDIDATES.values() for one in some]
    rank = {name: i for i, name in enumerate([*everything, "keep"])}
    said, true = (rows[name].map(rank) for name in ("decision", "truth"))
    return rows[said < true]


def _agreement(decisions: pd.DataFrame) -> str:
    by_plant = [
        (plant, len(rows), _sizes(rows), _count(rows)[1])
        for plant, rows in decisions.groupby("plant", sort=False)
    ]
    names = [
        name
        for name in (*_FP8, "keep", "dead", "not-finite")
        if name in {*decisions["truth"], *decisions["decision"]}
    ]
    counts = decisions.groupby(["truth", "decision"]).size()
    confusion = [
        (f"**{true}**", *(int(counts.get((true, said), 0)) or "" for said in names))
        for true in names
    ]
    kinds = decisions["distribution"].unique()
    small = decisions[decisions["plant"].isin(["row", "element"]) & (decisions["size"] <= 100)]
    small = small[~small["distribution"].str.startswith("digits")]
    fine = int((small["decision"] == _FP8[0]).sum())
    return f"""## Agreement

{len(decisions)} tensors of {len(kinds)} distributions ({"; ".join(kinds)}), each with a plant of
each size. "Digits" are weights, activations and gradients of a net in training, with K last.

{table(("Plant", "Tensors", "Times", "Disagree"), by_plant)}

The truth in rows, the decision in columns:

{table(("", *names), confusion)}

Of the random tensors with a row or an element of at most 10^2 times, {fine} of {len(small)} are
fine under one scale."""


def _sizes(rows: pd.DataFrame) -> str:
    sizes = sorted(rows["size"].unique())
    return _g(sizes[0]) if len(sizes) == 1 else f"{_g(sizes[0])} to {_g(sizes[-1])}"


def _parting(row: pd.Series[float]) -> str:
    """Return the coarser of truth and decision, on which they disagree."""
    return next((name for name in _FP8 if name in (row["truth"], row["decision"])), _FP8[-1])


def _disagreements(decisions: pd.DataFrame) -> str:
    wrong = decisions[~decisions["agree"]]
    rows = []
    for _, one in wrong.iterrows():
        at = _parting(one)
        rows.append(
            (
                one["distribution"],
                f"{one['plant']}, {_g(one['size'])}",
                f"{one['rows']} x {one['k']}",
                one["truth"],
                one["decision"],
                at,
                f"{one[f'true_{at}']:.2f}, {one[f'true_above_{at}']:.0f}",
                f"{one[f'excess_{at}']:.2f}, {one[f'above_{at}']:.0f}",
            )
        )
    header = ("Distribution", "Plant", "Shape", "Truth", "Decision", "They part at",
              "Truth: median, rows above", "Excess: median, rows above")  # fmt: skip
    heavy = int(wrong["plant"].eq("subnormal-heavy").sum())
    coarser = len(_missed(wrong))
    return f"""## Where they disagree

All {len(wrong)}; the decision is the coarser one in {coarser} of them. {heavy} are of one kind:
"subnormal-heavy", where one element in 16 is 10^3 or 10^5 times the others and is all that the
output hears. The exact error there is nil, because every row has such elements; the measure takes
each block's largest element out and judges what is left, and where about half of a row's blocks
have one large element at most, it calls the row damaged. It errs to the side of more bits: the
small elements are indeed lost. The others are near a limit: a median within 10 % of 1.25, or a
few rows between 2, from where the excess counts them, and
{truth.damaged("E4M3FN") / truth.cost(truth.CANDIDATES["E4M3FN"][-1]):.2f}, which u / (1 + u)
allows the truth.

{table(header, rows)}"""


def _alarms(healthy: pd.DataFrame) -> str:
    well = healthy[healthy["truth"] == _FP8[0]]
    rows = []
    drawn = ~well["distribution"].str.startswith("digits")
    for name, some in (("random", well[drawn]), ("trained", well[~drawn])):
        wrong = int((~some["agree"]).sum())
        rows.append((name, len(some), wrong, _per_1000(wrong, len(some))))
    wrong = well[~well["agree"]]
    listed = "; ".join(
        f"{one['distribution']} {one['rows']} x {one['k']} (excess {one['excess_first']:.2f}, "
        f"{one['above_first']:.0f} rows above, truly {one['true_above_first']:.0f})"
        for _, one in wrong.iterrows()
    )
    needed = healthy[healthy["truth"] != _FP8[0]]
    found = int(needed["agree"].sum())
    rest = well[~well["distribution"].str.contains("gradient")]
    return f"""## False alarms

{len(healthy):,} small tensors without a plant; for {len(well):,} of them one scale is the truth.
For the other {len(needed)}, gradients of trained nets whose rows are orders of magnitude apart,
the decision finds that in {found}.

{table(("Tensors", "One scale suits", "False alarms", "per 1,000"), rows)}

All false alarms: {listed or "none"}. Without the gradients there
are {int((~rest["agree"]).sum())} of {len(rest):,}."""


def _causes(decisions: pd.DataFrame) -> str:
    planted = decisions[decisions["cause"].notna()]
    rows = []
    large = planted["size"] >= _LARGE
    finite = ~planted["plant"].isin(["NaN", "infinite"])
    for plant, some in planted[large | ~finite].groupby("plant", sort=False):
        counts = some["cause"].value_counts()
        rows.append((plant, len(some), *(counts.get(x, 0) for x in _FOUND)))
    wrong = planted[large & finite & planted["cause"].isin(["missed", "elsewhere"])]
    listed = "; ".join(
        f"{one['distribution']}, {one['plant']} of {_g(one['size'])}, {one['rows']} x {one['k']}"
        for _, one in wrong.iterrows()
    )
    random = planted[large & finite & ~planted["distribution"].str.startswith("digits")]
    right = int(random["cause"].isin(["named", "seen"]).sum())
    return f"""## Causes

Plants of 10^5 and more, and what is not finite: whether axis and index are named. Of the random
tensors {right} of {len(random)} are.

{table(("Plant", "Tensors", *_FOUND.values()), rows)}

Not found: {listed or "none"}. There "10^5 times" is of the tensor's median element, while
rows of these gradients are themselves up to that much larger than the median row, so that the
element is not out of proportion where it stands."""


_FOUND = {
    "named": "Named",
    "seen": "Seen, but one scale is enough",
    "missed": "Missed",
    "elsewhere": "Another named",
}


def _targets(targets: pd.DataFrame) -> str:
    rows = [(name, *_count(some)) for name, some in targets.groupby("target", sort=False)]
    wrong = targets[~targets["agree"]]
    counts = wrong.groupby(["target", "distribution", "truth", "decision"], sort=False)
    listed = [
        (
            *key,
            len(some),
            ", ".join(f"{x:.2f}" for x in some["true_first"]),
            ", ".join(f"{x:.2f}" for x in some["excess_first"]),
        )
        for key, some in counts
    ]
    header = ("Target", "Distribution", "Truth", "Decision", "Tensors", "True medians", "Excesses")
    return f"""## Other targets

Every third of the random tensors; NVFP4 and MXFP4 are the only candidates of their targets.

{table(("Target", "Tensors", "Disagree"), rows)}

All disagreements, with the medians that straddle the limit of 1.25. In 4 bits medians come near it
more often: MXFP4's block of 32 with columns from 1 to 30 times is the kind that it refuses for
nothing, and a uniform distribution with columns of 10 times, where a block's largest element has
more than its share of the error, the kind that it lets pass.

{table(header, listed)}"""


def _cases(cases: pd.DataFrame) -> str:
    header = ("Case", "Rule", "Row's own norm", "Median of blocks", "Excess", "Exact, silent",
              "Worst row: excess", "exact", "Truth", "Decision")  # fmt: skip
    names = ("own_norm", "median_block", "excess", "exact", "excess_worst", "exact_worst")
    rows = [
        (
            one["case"],
            one["rule"],
            *(f"{one[name]:.2f}" for name in names),
            one["truth"] if "truth" in one else one["true_decision"],
            one["decision"],
        )
        for _, one in cases.iterrows()
    ]
    off = cases["excess"] / cases["exact"] - 1
    within = int((off.abs() <= 0.15).sum())
    outside = ", ".join(
        f"{cases['case'][i]} under {cases['rule'][i]} ({100 * off[i]:+.0f} %)"
        for i in off.index[off.abs() > 0.15]
    )
    far = cases["excess_worst"] / cases["exact_worst"] - 1
    low = far.idxmin()
    right = int((cases["decision"] == cases["true_decision"]).sum())
    dead = cases[cases["case"].str.startswith("near-dead")].iloc[0]
    return f"""## Why a row's own norm misleads, nor does a median over blocks do

N(0,1) of 640 x 640 with what the first column says, E4M3FN; medians of rows, over the cost.
"Exact" is with the planted channel silent. A row's own norm calls a column of 10^5 harmless
(0.00) and a near-dead row lost (error {dead["own_norm_worst"]:.2f}); the median of blocks calls two
columns under 128x128 blocks harmless. The excess is within 15 % of the exact error in {within} of
{len(cases)} cases; outside: {outside or "none"}. The decision is the truth's in {right} of
{len(cases)}. Worst rows are up to {100 * far[low]:+.0f} % off ({cases["case"][low]}), where one
element is most of a row: it counts for the output, and is taken out of its block.

{table(header, rows)}"""


def _bias(decisions: pd.DataFrame) -> str:
    rows = []
    for name in _FP8:
        said, true = decisions[f"excess_{name}"], decisions[f"true_{name}"]
        for label, some in (("passes", true <= truth.MEDIAN), ("fails", true > truth.MEDIAN)):
            ratio = (said / true)[some & (true > 0.5) & np.isfinite(true)]
            low, middle, high = ratio.quantile([0.05, 0.5, 0.95])
            rows.append((name, label, len(ratio), f"{low:.2f}", f"{middle:.2f}", f"{high:.2f}"))
    return f"""## Bias

The excess over the true median, of all tensors above, by whether the true median is within the
limit. The measure counts a small block as much as a large one: where columns differ, and a
candidate's scale spans several blocks, it is up to half as high again; so the page's disagreements
are nearly all to the side of more bits. It is lower where an outlier and its neighbours share a
block of 32 (MXFP8, fails).

{table(("Candidate", "Truth", "Tensors", "5 %", "Median", "95 %"), rows)}"""


# Losses.


def _interval(estimate: Estimate) -> str:
    return f"{estimate.mean:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _verdict(estimate: Estimate) -> str:
    """Say what a correlation is, by its interval."""
    if estimate.low >= 0.5:
        return "foretells"
    if estimate.low > 0:
        return "foretells in part"
    return "foretells the wrong way round" if estimate.high < 0 else "does not foretell"


_GROUPS = {
    "everything": "all schemes, planted or not",
    "without plants": "all schemes, no plant",
    "8 bits without plants": "8 bits, no plant",
    "4 bits without plants": "4 bits, no plant",
}


def _foretell(rows: pd.DataFrame) -> str:
    data = rows[rows["plant"] == "nothing"]
    nets = list(data["net"].unique())
    pooled = {group: foretell.correlations(rows, group, "weight_error") for group in _GROUPS}
    layers = foretell.order(rows, "weight_error")
    sentences = [
        f"- Over {_GROUPS[group]}, the error of weights **{_verdict(one)}** the loss change: "
        f"{_interval(one)}."
        for group, one in pooled.items()
    ]
    coin = "worse than" if layers.high < 0.5 else "no better than"
    coin = "better than" if layers.low > 0.5 else coin
    sentences.append(
        f"- Under one scheme, which of two layers loses more: it is right in "
        f"{100 * layers.mean:.0f} % ({100 * layers.low:.0f} to {100 * layers.high:.0f} %) "
        f"of pairs, **{coin} a coin**."
    )
    return f"""## Does weight error foretell anything?

{len(nets)} nets ({"; ".join(nets)}),
{data["seed"].nunique()} seeds each, trained in
float32. One layer's weights at a time are quantised and the held-out log-loss is
measured: {len(rows):,} times. Plants leave the net's function as it is: a unit's row times 2^17
and its column in the next layer
over 2^17, or an element at a pixel that is never lit. Spearman's rank
correlation of each seed, then the mean of seeds and its 95 % interval (bootstrap over
seeds); "all nets" puts every net of a seed in one order.

{chr(10).join(sentences)}

{_verdict_words(rows)}

{_correlations(rows)}

Loss changes in 8 bits, in nats, by whether the layer passes the limits; "harmed" is more than
0.01:

{_by_verdict(rows)}"""


def _verdict_words(rows: pd.DataFrame) -> str:
    """Say what passing and failing meant for the loss."""
    table_ = foretell.by_verdict(rows)
    passed, failed = table_[table_["passes"]], table_[~table_["passes"]]
    ok, bad = int(passed["count"].sum()), int(failed["count"].sum())
    less = float((rows[rows["plant"] == "nothing"]["loss_change"] < 0).mean())
    return f"""In words: the decision is a guard, not a ranking. Of {ok} layers in 8 bits that pass,
{int(passed["harmed"].sum())} lost more than 0.01 nats (at most {passed["largest"].max():.4f}); of
{bad} that fail, {int(failed["harmed"].sum())} did, and the others failed without harm to this net:
weights were lost that it did not need. Among layers that pass, loss changes are small and of both
signs ({100 * less:.0f} % of layers without a plant are *better* quantised), and neither error of
weights nor of outputs says which is which. Within 4 bits a larger error does not mean a larger
loss. SQNR does not see the plants at all; an error of outputs, of all rows together, sees less of
them than the error of weights, because a planted row is most of the output's norm. The last
column asks for the size of the change only, up or down: that is foretold better."""


def _correlations(rows: pd.DataFrame) -> str:
    found = []
    size = rows.assign(loss_change=rows["loss_change"].abs())
    for net in (None, *foretell.NETS):
        some, sized = (t if net is None else t[t["net"] == net] for t in (rows, size))
        for group, words in _GROUPS.items():
            estimates = [foretell.correlations(some, group, one) for one in foretell.MEASURES]
            found.append(
                (
                    net or "all nets",
                    words,
                    *map(_interval, estimates),
                    _interval(foretell.correlations(sized, group, "weight_error")),
                )
            )
        shares = [foretell.order(some, one) for one in foretell.MEASURES]
        found.append(
            (
                net or "all nets",
                "pairs of layers in right order",
                *map(_interval, shares),
                _interval(foretell.order(sized, "weight_error")),
            )
        )
    names = [f"{name[0].upper()}{name[1:]}" for name in foretell.MEASURES.values()]
    return table(("Net", "Of", *names, "Error of weights, size of the change"), found)


def _by_verdict(rows: pd.DataFrame) -> str:
    return _tables(
        ["Plant", "Scheme", "Passes", "Layers", "Median change", "Largest", "Harmed"],
        (
            (
                one["plant"],
                one["scheme"],
                "yes" if one["passes"] else "no",
                one["count"],
                f"{one['median']:+.4f}",
                f"{one['largest']:+.4f}",
                one["harmed"],
            )
            for _, one in foretell.by_verdict(rows).iterrows()
        ),
    )


_END = """## Remake it

`tox -e decisions` (`python reports/decisions/decisions.py`): about six minutes on one core.
`-- --part foretell`: one part; `-- --quick`: a few of each, elsewhere; `-- --keep`: the page from
the tables. The tables have a row a tensor (`decisions.csv`, `healthy.csv`, `targets.csv`), a case
(`cases.csv`), or a net, seed, layer and scheme (`foretell.csv`)."""
