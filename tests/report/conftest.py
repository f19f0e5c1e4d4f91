"""Helpers for the tests of reports: a reader of pages, hostile names, tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.inputs import StoredTensor, tensor_from_array
from fp8num.report.tables import TensorRecord

if TYPE_CHECKING:
    from collections.abc import Callable

VOID = {"meta", "link", "img", "br", "input", "hr"}

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
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
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
