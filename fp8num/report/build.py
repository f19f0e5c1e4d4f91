"""From tensors to the files of a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fp8num._files import locked
from fp8num._kernels.state import float_arithmetic
from fp8num.analysis import analyze_tensor, choose, frontier, recommend, refusal
from fp8num.analysis.frontier import require_reachable
from fp8num.analysis.schemes import schemes_for
from fp8num.inputs.builtin import BUILTIN_NAMES
from fp8num.report.folder import write_together
from fp8num.report.older import (
    CSV,
    CURVES,
    FRONTIER,
    JSON,
    PAGE,
    TRAINING,
    digests,
    older_report,
    report_folder,
    require_replaceable,
)
from fp8num.report.pages import render_page
from fp8num.report.tables import Budget, ReportContents, Skipped, TensorRecord, to_csv, to_json
from fp8num.report.training import curves_to_csv, outcomes_to_csv
from fp8num.report.verification import verify_codec

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from fp8num.analysis import FileRecommendation, Limits, Tensor
    from fp8num.analysis.roles import Layout
    from fp8num.formats import Format
    from fp8num.nn import Comparison
    from fp8num.scaling import Rule

__all__ = ["ReportFiles", "build_report", "check_budget"]


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
    recommendation : FileRecommendation or None
        What was decided about the tensors.
    budget : Budget or None
        What a budget of bits allows.
    """

    page: Path
    csv: Path
    json: Path
    training: Path | None = None
    curves: Path | None = None
    recommendation: FileRecommendation | None = None
    budget: Budget | None = None


@float_arithmetic
def build_report(
    tensors: Iterable[Tensor],
    out_dir: str | os.PathLike[str],
    *,
    formats: Iterable[Format | str] | None = None,
    rules: Iterable[Rule | str] | None = None,
    target: str | Format = "E4M3FN",
    limits: Limits | None = None,
    activations: Mapping[str, npt.ArrayLike] | None = None,
    layouts: Mapping[str, Layout] | None = None,
    keep: Mapping[str, bool] | None = None,
    progress: Callable[[int], object] | None = None,
    skipped: Iterable[Skipped] = (),
    command: str = "",
    training: Comparison | None = None,
    force: bool = False,
    bits: float | None = None,
) -> ReportFiles:
    """
    Decide how tensors should be quantised; write a page, a CSV and a JSON file about them.

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
        listed as left out under that rule.  Rules that are given are also all that is tried
        in deciding, as by `recommend`: ``["tensor"]`` where hardware takes one scale only.
    target, limits, activations, layouts, keep : optional
        What `recommend` decides by: its arguments, `layouts` for ``layout``.  Built-in
        tensors are judged whatever their shapes, unless `keep` says otherwise.
    progress : callable, optional
        Called with numbers of elements that are done, whose sum is that of all tensors.
    skipped : iterable of Skipped, optional
        What was not analysed, to be listed.
    command : str, optional
        The command line, to be recorded.
    training : Comparison, optional
        What recipes did in training, to be shown too: of `compare_on_digits` or `nn.compare`.
    force : bool, optional
        Whether to replace files in `out_dir` that are not those of an older report, as it
        was written.
    bits : float, optional
        A budget of bits for a weight, on average over the file: the least error within it,
        of the target's schemes and NVFP4, is shown and written to ``frontier.json``.

    Returns
    -------
    ReportFiles
        The files.

    Raises
    ------
    TypeError
        If `training` is no Comparison.
    ValueError
        If there are no tensors, no scheme is within `bits`, or none of a shape that a rule
        takes, a format, rule or target is unknown or goes with none of the others, `out_dir`
        is a file, or a file in it has the name of a report's and is none.
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
    in them.  Memory is bounded by one piece of a tensor as in `analyze_tensor` and
    the tables.

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
    candidates = None if rules is None else used
    schemes_for(target, candidates)
    part = None if progress is None else _Part(progress, 2 if bits is None else 3)
    tensors = list(tensors)
    if bits is not None and tensors:
        check_budget(bits, tensors, target, candidates, layouts=layouts, keep=keep)
    said: dict[str, Any] = {
        "layout": layouts,
        "keep": _kept(tensors, keep),
        "activations": activations,
        "progress": part,
    }
    _check_training(training)
    folder = Path(out_dir)
    with report_folder(
        folder, training=training is not None, frontier=bits is not None, force=force
    ):
        budget = None
        if bits is not None and tensors:
            budget = _within(bits, tensors, target, candidates, said)
        records, judged, refused = _analysed(tensors, chosen, used, part)
        decided = recommend(judged, target, candidates, limits=limits, **said)
        contents = ReportContents(
            records=records,
            formats=chosen,
            rules=tuple(rule.name for rule in used),
            definitions=used,
            skipped=(*skipped, *refused),
            command=command,
            verified=verify_codec(chosen),
            training=training,
            decided=decided,
            budget=budget,
        )
        return _written(folder, contents, force=force)


def _written(folder: Path, contents: ReportContents, *, force: bool) -> ReportFiles:
    """Write all files of a report into its folder, which is this one's alone, or none."""
    training, budget = contents.training, contents.budget
    tables = {} if training is None else _training_tables(training)
    if budget is not None:
        tables[FRONTIER] = budget.to_json()
    texts = {CSV: to_csv(contents), **tables, PAGE: render_page(contents)}
    folder.mkdir(parents=True, exist_ok=True)  # another report that failed may unmake it
    with locked(folder):
        # Whatever is there now may have come since the work began.
        older = older_report(folder)
        require_replaceable(folder, (*texts, JSON), force=force)
        # The page comes last: who opens it finds the tables that belong to it.
        written = {JSON: to_json(contents, digests(texts)), **texts}
        write_together(folder, written, remove=older - set(written))
    there = {name: folder / name for name in tables}
    return ReportFiles(
        page=folder / PAGE,
        csv=folder / CSV,
        json=folder / JSON,
        training=there.get(TRAINING),
        curves=there.get(CURVES),
        recommendation=contents.decided,
        budget=budget,
    )


def check_budget(
    bits: float,
    tensors: Sequence[Tensor],
    target: str | Format,
    rules: tuple[Rule, ...] | None,
    *,
    layouts: Mapping[str, Layout] | None,
    keep: Mapping[str, bool] | None,
) -> None:
    """Refuse a budget that no scheme is within, by the tensors' shapes."""
    kept = _kept(tensors, keep)
    targets = _targets(target, rules)
    require_reachable(bits, tensors, targets, rules=rules, layout=layouts, keep=kept)


def _kept(tensors: Sequence[Tensor], keep: Mapping[str, bool] | None) -> dict[str, bool]:
    """Return what was said of tensors staying in 16 bits, and that built-in ones do not."""
    # Samples and gradients are no layers: for a demonstration they are judged all the same.
    builtin = {
        tensor.name: False
        for tensor in tensors
        if tensor.file == "built-in" and tensor.name in BUILTIN_NAMES
    }
    return builtin | dict(keep or {})


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


def _analysed(
    tensors: list[Tensor],
    chosen: tuple[Format, ...],
    used: tuple[Rule, ...],
    progress: Callable[[int], object] | None,
) -> tuple[list[TensorRecord], list[Tensor], list[Skipped]]:
    """Measure tensors under the rules that take them: records, of which, and what is left out."""
    records: list[TensorRecord] = []
    judged: list[Tensor] = []
    refused: list[Skipped] = []
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
        records.append(TensorRecord.of(analyze_tensor(tensor, taken, fitting, progress=progress)))
        judged.append(tensor)
    if not records:
        msg = "tensors must hold at least one tensor, got none; open a file that has some"
        if refused:
            msg = f"tensors must hold one that a rule takes at least; {refused[-1].reason}"
        raise ValueError(msg)
    return records, judged, refused


def _within(
    bits: float,
    tensors: list[Tensor],
    target: str | Format,
    rules: tuple[Rule, ...] | None,
    said: dict[str, Any],
) -> Budget:
    """Find the schemes that a budget of bits allows."""
    found = frontier(tensors, _targets(target, rules), rules=rules, **said)
    return Budget(bits=bits, frontier=found, point=found.at(bits))


def _targets(target: str | Format, rules: tuple[Rule, ...] | None) -> tuple[str | Format, ...]:
    """Return the targets whose schemes layers may take within a budget."""
    return (target,) if rules is not None else tuple(dict.fromkeys(("nvfp4", target)))


class _Part:
    """Several passes over all elements, reported as one."""

    def __init__(self, progress: Callable[[int], object], passes: int) -> None:
        self._progress, self._done, self._passes = progress, 0, passes

    def __call__(self, elements: int) -> None:
        before, self._done = self._done // self._passes, self._done + elements
        self._progress(self._done // self._passes - before)
