"""Progress bars on stderr: of a total, and of the steps of a training."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fp8num.nn.history import StepRecord

__all__ = ["progress_bar", "step_bar"]


@contextmanager
def progress_bar(what: str, total: int, *, shown: bool) -> Iterator[Callable[[int], object] | None]:
    """Offer a function that moves a progress bar on stderr."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=max(total, 1))
        yield lambda elements: bar.advance(task, elements)


@contextmanager
def step_bar(total: int, *, shown: bool) -> Iterator[Callable[[StepRecord], object] | None]:
    """Offer a function that moves a progress bar on stderr."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    skipped = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(record: StepRecord) -> None:
            nonlocal skipped
            skipped += record.skipped
            text = (
                f"epoch {record.epoch}  loss {record.loss:.4f}  accuracy {record.accuracy:.1%}  "
                f"scale {record.scale:g}  skipped {skipped}"
            )
            bar.update(task, completed=record.step + 1, description=text)

        yield show
