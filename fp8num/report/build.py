"""From tensors to the files of a report."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fp8num._files import locked
from fp8num._kernels.state import float_arithmetic
from fp8num.analysis import analyze_tensor, choose, refusal
from fp8num.report.files import write_together
from fp8num.report.older import (
    CSV,
    CURVES,
    JSON,
    PAGE,
    TRAINING,
    digests,
    older_report,
    report_folder,
    require_replaceable,
)
from fp8num.report.pages import MAX_FIGURES, hardest_first, render_page
from fp8num.report.tables import Contents, Skipped, TensorRecord, to_csv, to_json
from fp8num.report.training import curves_to_csv, outcomes_to_csv
from fp8num.report.verification import verify_codec

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from fp8num.analysis import Tensor, TensorAnalysis
    from fp8num.formats import Format
    from fp8num.nn import Comparison
    from fp8num.scaling import Rule

__all__ = ["ReportFiles", "build_report"]


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """
    Where a report is.

    Attributes
    ----------
    page : Path
        The HTML page, which needs no other file.
    csv : Path
        A row for each tensor, format and rule.
    json : Path
        Everything, for programs.
    training, curves : Path or None
        A row for each training, and for each point of the loss curves, if there are any.
    """

    page: Path
    csv: Path
    json: Path
    training: Path | None = None
    curves: Path | None = None


@float_arithmetic
def build_report(
    tensors: Iterable[Tensor],
    out_dir: str | os.PathLike[str],
    *,
    formats: Iterable[Format | str] | None = None,
    rules: Iterable[Rule | str] | None = None,
    progress: Callable[[int], object] | None = None,
    skipped: Iterable[Skipped] = (),
    command: str = "",
    training: Comparison | None = None,
    force: bool = False,
) -> ReportFiles:
    """
    Analyse tensors, and write a page, a CSV and a JSON file about them.

    Parameters
    ----------
    tensors : iterable of Tensor
        At least one; ``fp8num.inputs`` opens them.
    out_dir : str or os.PathLike of str
        Directory for the files; it is made if need be, and an older report replaced.
    formats : iterable of Format or str, optional
        Formats, or what `get_format` accepts.  The default is
        ``fp8num.analysis.DEFAULT_FORMATS``.
    rules : iterable of str or Rule, optional
        Rules, or what `scale_quantize` accepts.  The default is
        ``fp8num.analysis.DEFAULT_RULES``.  A tensor of a shape that a rule does not take is
        listed as left out under that rule.
    progress : callable, optional
        Called with the number of elements of each block that is done.
    skipped : iterable of Skipped, optional
        What was not analysed, to be listed.
    command : str, optional
        The command line, to be recorded.
    training : Comparison, optional
        What recipes did in training, to be shown too: of `compare_on_digits` or `nn.compare`.
    force : bool, optional
        Whether to replace files in `out_dir` that are not those of an older report, as it
        was written.

    Returns
    -------
    ReportFiles
        The files.

    Raises
    ------
    TypeError
        If `training` is no Comparison.
    ValueError
        If there are no tensors, or none of a shape that a rule takes, a format or rule is
        unknown or goes with none of the others, `out_dir` is a file, or a file in it has the
        name of a report's and is none.
    fp8num.inputs.InputError
        If a tensor's file turns out to be damaged.
    OSError
        If a file cannot be written.

    Notes
    -----
    All files are written or, if anything fails, none; an older report is then as it was.
    Of several reports that are written to one directory at once, one remains, whole: where
    the system has locks for files.  ``report.json`` lists the others with their SHA-256, by
    which an older report is known.  Tables of its trainings go, unless there are new ones.
    The files depend on the arguments and on versions of libraries alone: there is no date
    in them.  Memory is bounded by one piece of a tensor as in `analyze_tensor`, 40
    tensors' figures and the tables.

    Examples
    --------
    >>> import tempfile
    >>> from fp8num.inputs import builtin_tensors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = build_report(builtin_tensors()[:3], folder, formats=["E4M3FN", "E5M2"])
    ...     files.page.name, len(files.csv.read_text().splitlines())
    ('index.html', 13)
    """
    chosen, used = choose(formats, rules)
    refused: list[Skipped] = []
    _check_training(training)
    folder = Path(out_dir)
    with report_folder(folder, training=training is not None, force=force):
        records: list[TensorRecord] = []
        drawn = _Hardest(MAX_FIGURES)
        for tensor in tensors:
            reasons = {rule.name: refusal(rule, tensor.shape) for rule in used}
            refused += [
                Skipped(file=tensor.file, name=tensor.name, reason=reason)
                for reason in filter(None, reasons.values())
            ]
            fitting = [rule for rule in used if not reasons[rule.name]]
            if not fitting:
                continue
            taken = [fmt for fmt in chosen if any(rule.takes(fmt) for rule in fitting)]
            analysis = analyze_tensor(tensor, taken, fitting, progress=progress, binades=True)
            record = TensorRecord.of(analysis)
            drawn.offer(record, len(records), analysis)
            records.append(record)
        if not records:
            msg = "tensors must hold at least one tensor, got none; open a file that has some"
            if refused:
                msg = f"tensors must hold one that a rule takes at least; {refused[-1].reason}"
            raise ValueError(msg)
        contents = Contents(
            records=records,
            formats=chosen,
            rules=tuple(rule.name for rule in used),
            definitions=used,
            skipped=(*skipped, *refused),
            command=command,
            verified=verify_codec(chosen),
            training=training,
        )
        tables = {} if training is None else _training_tables(training)
        texts = {CSV: to_csv(contents), **tables, PAGE: render_page(contents, drawn.analyses)}
        folder.mkdir(parents=True, exist_ok=True)  # another report that failed may unmake it
        with locked(folder):
            # Whatever is there now may have come since the work began.
            older = older_report(folder)
            require_replaceable(folder, (*texts, JSON), force=force)
            # The page comes last: who opens it finds the tables that belong to it.
            write_together(
                folder,
                {JSON: to_json(contents, digests(texts)), **texts},
                remove=older - {*texts, JSON},
            )
    there = {name: folder / name for name in tables}
    return ReportFiles(
        page=folder / PAGE,
        csv=folder / CSV,
        json=folder / JSON,
        training=there.get(TRAINING),
        curves=there.get(CURVES),
    )


def _check_training(training: object) -> None:
    from fp8num.nn import Comparison

    if not isinstance(training, Comparison | None):
        msg = (
            f"training must be a Comparison or None, got {type(training).__name__}; "
            "fp8num.report.compare_on_digits and fp8num.nn.compare make one"
        )
        raise TypeError(msg)


def _training_tables(training: Comparison) -> dict[str, str]:
    """Write the tables of the trainings."""
    return {TRAINING: outcomes_to_csv(training), CURVES: curves_to_csv(training)}


class _Hardest:
    """The analyses of the tensors that are hardest to hold, at most so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[tuple[bool, float], int, TensorAnalysis]] = []

    def offer(self, record: TensorRecord, index: int, analysis: TensorAnalysis) -> None:
        """Keep an analysis, and let the easiest one go if there are too many."""
        without_signal, sqnr = hardest_first(record)
        # The heap's least entry goes first: the easiest tensor, of equal ones the last.
        key = (not without_signal, 0.0 if without_signal else -sqnr)
        heapq.heappush(self._heap, (key, -index, analysis))
        if len(self._heap) > self._most:
            heapq.heappop(self._heap)

    @property
    def analyses(self) -> dict[int, TensorAnalysis]:
        """The analyses by their tensors' places."""
        return {-negative: analysis for _, negative, analysis in self._heap}
