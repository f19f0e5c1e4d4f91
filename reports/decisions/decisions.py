"""
Remake the decisions: ``python reports/decisions/decisions.py [--part NAME] [--quick] [--keep]``.

::

    truth.py     damage, exactly and apart from the package --+
    fp8num.recommend ----------------------------------------+--> decisions.csv, healthy.csv,
                                                                  targets.csv, cases.csv
    foretell.py  losses of nets ----------------------------------> foretell.csv
    sayings.py   from these files --------------------------------> README.md

``--quick`` takes a few of each and writes to a folder of its own.  ``--keep`` measures nothing
and remakes the page from the tables; ``--check`` writes nothing then, and fails on a difference.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent / "training"))  # for `common`: tables as text

import common  # noqa: E402 - of the folder beside
import foretell  # noqa: E402 - needs it too
import truth  # noqa: E402 - as above
from sayings import page  # noqa: E402 - as above

from fp8num.analysis import recommend, schemes_for  # noqa: E402 - as above
from fp8num.analysis.outliers import find_outliers  # noqa: E402 - as above
from fp8num.analysis.roles import role_of  # noqa: E402 - as above
from fp8num.analysis.trials import Limits, Subject  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fp8num.analysis import Recommendation

__all__ = ["PARTS", "compared", "main", "measured", "misleading_cases", "tables"]

#: What a plant is called as a cause.
AXES = {"row": "row", "column": "column", "three columns": "column", "element": "element"}


def compared(case: truth.Case, target: str = "E4M3FN", *, every: bool = True) -> dict[str, Any]:
    """Return the truth about a tensor beside the decision; `every`: of each candidate."""
    wanted, verdicts = truth.true_decision(case, target)
    found = recommend(case.x, target)
    decision = found.chosen.scheme.name if found.chosen else found.decision
    row = {
        "target": target,
        "distribution": case.kind,
        "plant": case.plant,
        "size": case.size,
        "rows": case.x.shape[0],
        "k": case.x.shape[1],
        "truth": wanted,
        "decision": decision,
        "agree": wanted == decision,
        "cause": _cause_found(case, found),
    }
    schemes = schemes_for(target)
    subject = Subject("", case.x, role_of("", case.x.shape, keep=False), schemes=schemes,
                      target=target, limits=Limits())  # fmt: skip
    for i in range(len(schemes) if every else 1):
        verdict = verdicts.get(truth.CANDIDATES[target][i].name)
        trial = subject.trial(i)
        name = schemes[i].name if every else "first"
        row |= {
            f"true_{name}": verdict.median if verdict else np.nan,
            f"excess_{name}": trial.median if verdict else np.nan,
            f"true_above_{name}": verdict.above if verdict else np.nan,
            f"above_{name}": trial.above if verdict else np.nan,
        }
    return row


def _cause_found(case: truth.Case, found: Recommendation) -> str:
    """
    Say whether the planted line or element is named, with its axis and index.

    ``"named"`` in the decision; ``"seen"``: one scale is enough, so that the decision names no
    cause, and `find_outliers` finds it; ``"missed"``; ``"elsewhere"``: another is named.
    """
    if case.plant in {"NaN", "infinite"}:
        flat = {int(np.ravel_multi_index(at, case.x.shape)) for at, _ in found.bad}
        return "named" if flat == set(case.where) else "missed"
    if case.plant not in AXES:
        return ""
    axis = AXES[case.plant]
    places = {case.where} if axis != "column" else {(j,) for j in case.where}
    cause = found.cause or find_outliers(lambda: [case.x.astype(np.float64)], case.x.shape[1])
    named = {part.index for part in cause if part.axis == axis}
    if places <= named:
        return "named" if found.cause else "seen"
    return "elsewhere" if found.cause else "missed"


# The cases of "why a row's own norm misleads, nor does a median over blocks do".


def misleading_cases(height: int = 640) -> list[tuple[str, truth.Case, str]]:
    """Return a name, a tensor and the rule that it is looked at under."""
    shape = height, 640
    plain = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    def planted(
        name: str, rule: str, change: Callable[[Any], object], *silent: int
    ) -> tuple[str, truth.Case, str]:
        x = plain.copy()
        change(x)
        return name, truth.Case("Gaussian", name, 1.0, x, (), silent), rule

    def times(where: Any, factor: float) -> Callable[[Any], object]:  # noqa: ANN401 - any index
        return lambda x: x.__setitem__(where, x[where] * np.float32(factor))

    def element(value: float) -> Callable[[Any], object]:
        return lambda x: x.__setitem__((5, 7), value)

    some = np.random.default_rng(1)
    at = (
        some.choice(height, height // 4, replace=False),
        some.integers(0, 8, height // 4),
    )  # of one block of 128

    def elements(x: Any) -> None:  # noqa: ANN401 - an array
        x[at] = 1.5e5

    def drawn(draw: Callable[[np.random.Generator], Any]) -> Callable[[Any], object]:
        return lambda x: x.__setitem__(slice(None), draw(np.random.default_rng(2)))

    def columns_of_student(x: Any) -> None:  # noqa: ANN401 - an array
        x[:] = np.random.default_rng(2).standard_t(4, shape)
        x[:, [17, 400, 501]] *= np.float32(4e3)

    every = (slice(None),)
    columns = (*every, [17, 400])
    return [
        planted("nothing", "tensor", lambda x: x),
        planted("element of 10^6", "row", element(1e6), 7),
        planted("element of 10^4", "tensor", element(1e4), 7),
        planted("element of 10^5", "tensor", element(1e5), 7),
        planted("element of 10^3", "tensor", element(1e3), 7),
        planted("element of 10^2", "tensor", element(1e2), 7),
        planted("column of 10^5", "row", times((*every, 17), 1e5), 17),
        planted("near-dead row of 10^-6", "tensor", times(3, 1e-6)),
        planted("row of 10^2", "tensor", times(5, 1e2)),
        planted("row of 10^3", "tensor", times(5, 1e3)),
        planted("row of 10^4", "tensor", times(5, 1e4)),
        planted("row of 10^5", "tensor", times(5, 1e5)),
        planted("2 columns of 10^5", "block-128x128", times(columns, 1e5), 17, 400),
        planted("2 columns of 10^5", "block-1x128", times(columns, 1e5), 17, 400),
        planted("2 columns of 10^5", "te-mxfp8", times(columns, 1e5), 17, 400),
        planted("1 column of 10^5", "block-128x128", times((*every, 17), 1e5), 17),
        planted(
            "a quarter of the rows with an element of 1.5*10^5",
            "block-128x128",
            elements,
            *range(8),
        ),
        planted("32 near-dead columns", "tensor", times((*every, slice(0, 32)), 1e-6)),
        planted("column of 10^2", "tensor", times((*every, 17), 1e2), 17),
        planted("Student t, 4", "tensor", drawn(lambda r: r.standard_t(4, shape))),
        planted("Laplace", "tensor", drawn(lambda r: r.laplace(size=shape))),
        planted("3 columns of 4,000, Student t, 4", "tensor", columns_of_student, 17, 400, 501),
        planted(
            "log-normal, sigma 2",
            "tensor",
            drawn(lambda r: r.lognormal(0, 2, shape) * r.choice([-1, 1], shape)),
        ),
    ]


#: The same candidates by the names of their rules.
_BY_RULE = {
    "tensor": truth.CANDIDATES["E4M3FN"][0],
    "row": truth.CANDIDATES["E4M3FN"][1],
    "block-128x128": truth.CANDIDATES["E4M3FN"][2],
    "block-1x128": truth.Candidate("1x128", 1, 128, *truth.E4M3FN),
    "te-mxfp8": truth.CANDIDATES["E4M3FN"][3],
}


def measured(name: str, case: truth.Case, rule: str) -> dict[str, Any]:
    """Return four measures of a case under a rule; all but the error are over the cost."""
    candidate = _BY_RULE[rule]
    x, cost = case.x.astype(np.float64), truth.cost(candidate)
    live = truth.live_rows(case.x)
    error = truth.rounded(case.x, candidate) - x
    heard = np.setdiff1d(np.arange(x.shape[1]), case.silent)
    own = np.linalg.norm(error, axis=1) / np.linalg.norm(x, axis=1)
    exact = np.linalg.norm(error[:, heard], axis=1) / np.linalg.norm(x[:, heard], axis=1)
    blocks = [
        np.linalg.norm(error[:, j : j + 32], axis=1) / np.linalg.norm(x[:, j : j + 32], axis=1)
        for j in range(0, x.shape[1], 32)
    ]
    trial = recommend(case.x, rules=[rule]).trials[0]
    return {
        "case": name,
        "rule": rule,
        "own_norm_worst": own.max(),
        "own_norm": np.median(own[live]) / cost,
        "median_block": np.median(np.median(blocks, axis=0)[live]) / cost,
        "excess": trial.median,
        "exact": np.median(exact[live]) / cost,
        "excess_worst": trial.worst,
        "exact_worst": exact[live].max() / cost,
        "true_decision": truth.true_decision(case)[0],
        "decision": _name(recommend(case.x)),
    }


def _name(found: Recommendation) -> str:
    return found.chosen.scheme.name if found.chosen else found.decision


# The parts.


def decided(count: int | None) -> pd.DataFrame:
    """Compare planted tensors."""
    sets = (truth.random_cases(), truth.defect_cases(), truth.trained_cases())
    return pd.DataFrame([compared(case) for one in sets for case in islice(one, count)])


def healthy(count: int | None) -> pd.DataFrame:
    """Compare tensors without a plant."""
    cases = truth.healthy_cases() if count is None else islice(truth.healthy_cases(1, 1), count)
    return pd.DataFrame([compared(case, every=False) for case in cases])


def targets(count: int | None) -> pd.DataFrame:
    """Compare for other targets, every third of the random tensors."""
    others = [target for target in truth.CANDIDATES if target != "E4M3FN"]
    return pd.DataFrame(
        [
            compared(case, target, every=False)
            for target in others
            for case in islice(truth.random_cases(), 0, count and 3 * count, 3)
        ]
    )


def cases(count: int | None) -> pd.DataFrame:
    """Compare four measures where they differ."""
    return pd.DataFrame([measured(*one) for one in islice(misleading_cases(), count)])


#: By the names of their tables, in the order of the page.
PARTS: dict[str, Callable[[int | None], pd.DataFrame]] = {
    "decisions": decided,
    "healthy": healthy,
    "targets": targets,
    "cases": cases,
    "foretell": lambda count: foretell.run(foretell.SEEDS if count is None else 2),
}
_FEW = 8


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the tables."""
    texts = {f"{name}.csv": (folder / f"{name}.csv").read_text("utf-8") for name in PARTS}
    return common.read_tables(PARTS, texts)


def measure(names: Iterable[str], folder: Path, *, quick: bool) -> None:
    """Measure, part by part, and write each table as soon as it is there."""
    for name in names:
        start = time.perf_counter()
        frame = PARTS[name](_FEW if quick else None)
        text = frame.to_csv(index=False, float_format="%.4g", lineterminator="\n")
        common.write(folder / f"{name}.csv", text)
        sys.stderr.write(f"{name}: {len(frame)} rows, {time.perf_counter() - start:.0f} s\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Remake the folder, or compare."""
    parser = argparse.ArgumentParser(description="Remake the decisions beside the truth.")
    parser.add_argument("--part", action="append", choices=PARTS, help="this one (repeatable)")
    parser.add_argument("--quick", action="store_true", help="a few of each")
    parser.add_argument("--keep", action="store_true", help="measure nothing, keep the tables")
    parser.add_argument("--check", action="store_true", help="with --keep: fail on a difference")
    parser.add_argument("--folder", type=Path, help="where to write, by default here")
    parsed = parser.parse_args(arguments)
    if parsed.check and not parsed.keep:
        parser.error("--check compares what follows from the tables: use it with --keep")
    folder = parsed.folder or FOLDER
    if parsed.quick and not parsed.folder:
        folder = Path(tempfile.mkdtemp(prefix="decisions-"))
        sys.stderr.write(f"quick results are in {folder}\n")
    folder.mkdir(parents=True, exist_ok=True)
    if not parsed.keep:
        measure(parsed.part or PARTS, folder, quick=parsed.quick)
    text = page(tables(folder))
    readme = folder / "README.md"
    if not parsed.check:
        common.write(readme, text)
    elif not readme.exists() or readme.read_text(encoding="utf-8") != text:
        msg = "README.md does not follow from the tables: run with --keep"
        raise SystemExit(msg)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
