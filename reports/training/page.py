"""The page of the experiments: README.md, from what each part says."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from common import TASKS, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common import Page

__all__ = ["page", "wrapped"]

INTRODUCTION = """\
# What FP8 costs in training

Small nets, trained many times in float32 and in FP8 with every rounding simulated bit by bit, and
compared pair by pair. This page is generated from the CSV files beside it; every result in it is
in one of them.

## Answers
"""

METHOD = """\
## How everything was compared

**Tasks.** {tasks}

**Pairs.** In each seed every variant gets the same initial weights, the same data and the same
order of inputs, so that differences are those of the arithmetic. Each seed has its own weights,
order, and split or teacher. A seed is one value; n is the number of seeds. Figures are means ±
standard error of the paired differences; intervals are Student's 95 % intervals.

**Verdicts on accuracy.** *Within 0.3 points*: a difference of 0.3 percentage points or more is
rejected on both sides by two one-sided tests at 5 %, whatever the sign of the mean; that is, the
90 % interval lies inside, and the wider 95 % interval of the tables may reach beyond. *Worse* or
*better*: not that, and the 95 % interval excludes 0. *Undecided*: neither; the seeds do not
suffice. **On log-loss** there is no margin: *higher* or *lower* if the 95 % interval excludes 0.

**Many statements.** Each verdict by itself may be wrong with a probability of 5 %: of a table of
12 rows with two verdicts each, about one will be. A verdict in **bold** holds at 5 % for all
verdicts of its part together (Bonferroni); read the others as hints.

**Held-out data** are evaluated with the casts of the recipe itself. Products are the exact sums of
exact products rounded once to float32, unless a part says otherwise; so the same bits come out on
any number of threads. Master weights, biases and the optimizer (AdamW, cosine schedule) are
float32. Nothing was tuned for any recipe: learning rates are the same for all.

**What none of this shows.** These are nets of some ten thousand parameters on easy tasks, trained
for some hundred steps. Nothing here says how a language model of billions of parameters behaves:
there are no outlier channels, no attention, no norms, and no long runs in which small errors might
add up. The difference of a single pair means nothing: besides what the arithmetic costs it holds
what any small disturbance does to a training, which has no preferred sign. Only the mean of many
pairs shows a cost.
"""

AGAIN = """\
## Again

    python reports/training/experiments.py               # all; below half an hour on two cores
    python reports/training/experiments.py --part scaling
    python reports/training/experiments.py --quick       # two seeds, to try the code
    python reports/training/experiments.py --keep        # figures and page from the tables

The tables come out to the digit with the versions in `versions.json`, and elsewhere within their
errors: another NumPy or CPU may compute an exponential with another last bit. {versions}
"""


def page(pages: Mapping[str, Page], versions: Mapping[str, Any]) -> str:
    """Return the page."""
    answers = [
        (one.question, one.answer, f"[{one.where}](#{anchor(one.where)})")
        for found in pages.values()
        for one in found.answers
    ]
    parts = [INTRODUCTION, table(("question", "answer", "where"), answers), METHOD.format(
        tasks=_tasks()
    )]  # fmt: skip
    for found in pages.values():
        parts += [f"## {found.title}", found.text]
    parts.append(AGAIN.format(versions=_versions(versions)))
    return "\n\n".join(wrapped(part.strip("\n")) for part in parts) + "\n"


def anchor(title: str) -> str:
    """Return what a heading is linked by."""
    kept = (one for one in title.lower().replace(" ", "-") if one.isalnum() or one in "-_")
    return "".join(kept)


def _tasks() -> str:
    """Describe both tasks, from their settings."""
    digits, teacher = TASKS["digits"], TASKS["teacher"]
    images, inputs = digits.data(seed=0), teacher.data(seed=0)
    said = []
    for task, data, what in (
        (digits, images, "handwritten digits, 8 by 8 pixels"),
        (teacher, inputs, "Gaussian inputs with the labels of a random network"),
    ):
        said.append(
            f"*{task.label}*: {what}; {len(data.x):,} to train on and {len(data.test_x):,} held "
            f"out; net {'-'.join(map(str, task.sizes))}, ReLU, {task.epochs} epochs of batches of "
            f"{task.batch}, learning rate {task.lr:g}"
        )
    return ". ".join(said) + ". Parts that use other settings say so."


def _versions(versions: Mapping[str, Any]) -> str:
    """Say what the tables were made with."""
    kinds = dict.fromkeys(
        f"Python {one['python']}, NumPy {one['numpy']} on {one['machine']} "
        f"({', '.join(one['simd'])})"
        for one in versions.values()
    )
    return f"They were made with {'; '.join(kinds)}." if kinds else ""


def wrapped(text: str) -> str:
    """Wrap the paragraphs of a text; tables, lists' items, code and images stay apart."""
    return "\n\n".join(_block(block) for block in text.split("\n\n"))


def _block(block: str) -> str:
    if block.startswith(("|", "#", "![", "    ")):
        return block
    if block.startswith("- "):
        items = block.split("\n- ")
        first, rest = items[0].removeprefix("- "), items[1:]
        return "\n".join(
            textwrap.fill(
                " ".join(item.split()), 98, initial_indent="- ", subsequent_indent="  ",
                break_long_words=False, break_on_hyphens=False,
            )
            for item in (first, *rest)
        )  # fmt: skip
    return textwrap.fill(
        " ".join(block.split()), 98, break_long_words=False, break_on_hyphens=False
    )
