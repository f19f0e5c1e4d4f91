"""Helpers for the tests of reports: a reader of pages, hostile names, tensors, trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.inputs import StoredTensor, tensor_from_array
from fp8num.nn import Comparison
from fp8num.nn.outcome import Outcome, Share
from fp8num.report.tables import TensorRecord

if TYPE_CHECKING:
    from collections.abc import Callable

VOID = {"meta", "link", "img", "br", "input", "hr", "wbr", "col"}
#: What ends a cell or a row whose own end is left out, as HTML allows it.
ENDS = {"td": {"td", "th"}, "th": {"td", "th"}, "tr": {"td", "th", "tr"}}

HOSTILE = (
    "<script>document.title='pwned'</script>",
    "\"'><img src=x onerror=document.title='pwned'>",
    "</title></style></script></svg><b>",
    "{{ 7 * 7 }}{% raw %}",
    "[red]w[/x]",
    '=HYPERLINK("http://example.invalid","click")',
    "line one\nline two\r\x1b[31m\x00",
    "carriage\rreturn",
    "\u202eesrever",
    "\ud800 lone",
    "x" * 10_000,
    "\n" * 10_000,
    "NA",
    "",
)


@dataclass
class Page(HTMLParser):
    """A page taken apart; it refuses tags that do not match."""

    source: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))
        while self.open[-1:] and self.open[-1] in ENDS.get(tag, ()):
            self.open.pop()
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        while tag in {"tr", "tbody"} and self.open[-1] in {"td", "th", "tr"} - {tag}:
            self.open.pop()
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self, tag: str | None = None) -> str:
        """Return the text within elements of a kind, script and style left out."""
        return "".join(
            data
            for path, data in self.texts
            if (tag is None or tag in path) and not {"script", "style"} & set(path)
        )


@pytest.fixture(scope="session")
def parse() -> type[Page]:
    return Page


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    return HOSTILE


@pytest.fixture(scope="session")
def hostile_tensors() -> tuple[StoredTensor, ...]:
    return tuple(
        tensor_from_array(name, np.arange(1, 4, dtype=np.float32), file=name) for name in HOSTILE
    )


@pytest.fixture(scope="session")
def record() -> Callable[..., TensorRecord]:
    """Make a record by hand from the SQNRs of formats and rules."""

    def make(name: str, sqnr: dict[tuple[str, str], float], **rest: float) -> TensorRecord:
        blank: dict[str, Any] = {
            "scale": 1.0,
            "underflow": 0,
            "underflow_rate": 0.0,
            "saturated": 0,
            "saturation_rate": 0.0,
        }
        distribution = {"size": 4, "zeros": 0, "nans": 0, "infinities": 0, "amax": 1.0}
        return TensorRecord(
            name=name,
            file="file.npy",
            dtype="F32",
            shape=(4,),
            distribution=distribution | {k: v for k, v in rest.items() if k in distribution},
            rows=[
                blank | {"format": fmt, "rule": rule, "sqnr_db": value}
                | {k: v for k, v in rest.items() if k in blank}
                for (fmt, rule), value in sqnr.items()
            ],
        )  # fmt: skip

    return make


SETTINGS: dict[str, Any] = {
    "recipe": {"source": "by hand"},
    "sizes": [2, 3, 2],
    "epochs": 2,
    "batch": 8,
    "data": {"name": "two spirals", "sha256": "00"},
    "optimizer": {"name": "AdamW"},
    "schedule": {"name": "constant 0.01"},
}


@pytest.fixture(scope="session")
def outcome() -> Callable[..., Outcome]:
    """Make the outcome of a training of two epochs of two steps by hand."""

    def make(recipe: str, seed: int, accuracy: float, loss: float, **rest: Any) -> Outcome:
        blank: dict[str, Any] = {
            "held_out": 100,
            "losses": (4 * loss, 3 * loss, 2 * loss, loss),
            "per_epoch": 2,
            "settings": SETTINGS,
        }
        return Outcome(
            recipe=recipe, seed=seed, fold=0, accuracy=accuracy, loss=loss, **blank | rest
        )

    return make


@pytest.fixture(scope="session")
def comparison(outcome: Callable[..., Outcome]) -> Comparison:
    """
    Return two seeds of fp32, of a recipe that loses, and of one that diverges once.

    In points ``lossy`` differs from fp32 by -1 and -3: a mean of -2, standard error 1; in
    nats by 0.1 and 0.3.
    """
    shares = (
        Share("layer0", "x_forward", "E4M3FN", 0.25, 0.0),
        Share("layer0", "g_wgrad", "E5M2", math.nan, 1.0),
    )
    kept = (Share("layer0", "x_forward", "float32", 0.0, 0.0),)
    return Comparison(
        (
            outcome("fp32", 0, 0.9, 1.0, shares=kept),
            outcome("lossy", 0, 0.89, 1.1, shares=shares),
            outcome("wild", 0, 0.9, 1.0),
            outcome("fp32", 1, 0.8, 2.0, shares=kept),
            outcome("lossy", 1, 0.77, 2.3, shares=shares),
            Outcome(recipe="wild", seed=1, fold=0, diverged="the loss is NaN"),
        ),
        "fp32",
        0.003,
    )
