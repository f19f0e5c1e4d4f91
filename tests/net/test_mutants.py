"""
Small mistakes planted into the package, and whether its tests notice.

::

    every module --> mutations of its syntax tree --> the drawn ones --> a copy of the package
    the tests of its part, on that copy --> killed by ..., or lives --> mutants.txt

``python tests/net/test_mutants.py`` (``tox -e mutants``) runs the tests for each mutant that is
not in the record, or was out of time, and adds a line; ``--count``, ``--jobs``, ``--limit``
(seconds of tests for one mutant), ``--only WORD``, and ``--again`` for those in the record, to
see that what was killed still is.  The tree itself is never changed.  Which mutants are drawn,
and their names, depend on functions and expressions and not on lines or layout.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TREE = Path(__file__).parents[2]
PACKAGE = TREE / "fp8num"
RECORD = Path(__file__).with_name("mutants.txt")
#: Of each part its tests, those first that are likely to notice.
TESTS = {
    "formats": ["formats", "test_api.py", "test_names.py", "codec/test_definition.py"],
    "projection": ["projection", "codec"],
    "_kernels": ["_kernels", "codec", "ops/test_definition.py"],
    "codec": ["codec"],
    "ops": ["ops"],
    "scaled": ["scaled", "scaling"],
    "accumulate": ["accumulate"],
    "scaling/identifying": [f"scaling/test_identify{name}.py" for name in ("", "_mistakes")],
    "scaling": ["scaling"],
    "analysis": ["analysis"],
    "verify": ["verify"],
    "strategies": ["strategies"],
    "nn": ["nn"],
    "inputs": ["inputs"],
    "plot": ["plot"],
    "report": ["report"],
    "explain": ["explain", "cli/test_show.py", "cli/test_formats.py"],
    "cli": ["cli", "report/test_terminal.py"],
    "": ["test_names.py", "test_text.py", "test_reading.py", "test_whole_files.py", "test_api.py"],
}
FLIPPED: dict[type[ast.AST], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
    ast.And: "or", ast.Or: "and",
    ast.Add: "-", ast.Sub: "+", ast.BitAnd: "|", ast.BitOr: "&", ast.LShift: ">>",
    ast.RShift: "<<", ast.FloorDiv: "*",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A mistake: what stands where in a module, and what is put there instead."""

    module: str  #: path below the package
    function: str
    what: str
    start: int  #: bytes of the file
    end: int
    text: str

    @property
    def name(self) -> str:
        """Where it is and what it is, without lines."""
        return f"{self.module} {self.function}: {self.what}"

    @property
    def part(self) -> str:
        """The part of the package whose tests are run."""
        parts = [part for part in TESTS if part and self.module.startswith(f"{part}/")]
        return max(parts, key=len, default="")

    def lot(self, seed: int) -> bytes:
        """Return its place in the draw, the same in whichever module of its part it is."""
        return hashlib.sha256(f"{seed} {self.part} {self.function} {self.what}".encode()).digest()


def mutations(source: bytes, module: str = "module.py") -> list[Mutant]:
    """Return every mutant of a module; equal ones of a function are numbered."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found, seen = [], {}
    for function, start, end, what, text in _mutations(ast.parse(source)):
        number = seen[function, what] = seen.get((function, what), 0) + 1
        told = f"{what}, number {number}" if number > 1 else what
        places = [starts[line - 1] + column for line, column in (start, end)]
        found.append(Mutant(module, function, told, *places, text))
    return found


Place = tuple[int, int]


def _mutations(tree: ast.Module) -> Iterator[tuple[str, Place, Place, str, str]]:
    """Yield the function, where it begins and ends, what it is, and the new text."""
    # A whole expression is written anew: its operands may stand in brackets.
    for function, node in _expressions(tree, ""):
        whole = ast.unparse(node)
        shown = " ".join(whole.split())[:90]
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            new = FLIPPED[type(node.ops[0])]
            text = f"(({ast.unparse(node.left)}) {new} ({ast.unparse(node.comparators[0])}))"
            yield function, _begin(node), _end(node), f"`{shown}` as {new}", text
        elif isinstance(node, ast.BoolOp):
            new = FLIPPED[type(node.op)]
            text = f" {new} ".join(f"({ast.unparse(value)})" for value in node.values)
            yield function, _begin(node), _end(node), f"`{shown}` as {new}", f"({text})"
        elif isinstance(node, ast.BinOp) and type(node.op) in FLIPPED:
            if any(isinstance(side, ast.Constant | ast.JoinedStr) and not _number(side)
                   for side in (node.left, node.right)):  # fmt: skip
                continue
            new = FLIPPED[type(node.op)]
            text = f"(({ast.unparse(node.left)}) {new} ({ast.unparse(node.right)}))"
            yield function, _begin(node), _end(node), f"`{shown}` as {new}", text
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            text = f"bool({ast.unparse(node.operand)})"
            yield function, _begin(node), _end(node), f"`{shown}` without not", text
        elif isinstance(node, ast.IfExp):
            text = " ".join(
                [f"(({ast.unparse(node.orelse)}) if ({ast.unparse(node.test)})",
                 f"else ({ast.unparse(node.body)}))"]
            )  # fmt: skip
            yield function, _begin(node), _end(node), f"`{shown}` with branches swapped", text
        elif _number(node):
            assert isinstance(node, ast.Constant)
            yield (
                *(function, _begin(node), _end(node)),
                *(f"`{shown}` as {node.value + 1}", f"({node.value + 1})"),
            )
        elif isinstance(node, ast.Raise | ast.AugAssign) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ):
            yield function, _begin(node), _end(node), f"`{shown}` left out", "pass"


def _number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _begin(node: ast.expr | ast.stmt) -> Place:
    return node.lineno, node.col_offset


def _end(node: ast.expr | ast.stmt) -> Place:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def _expressions(tree: ast.AST, function: str) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    """Yield what is computed, with the function it is in: no annotations, no text, no imports."""
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr):
                continue
            inner = function
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{function}.{node.name}".removeprefix(".")
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            elif isinstance(node, ast.expr | ast.stmt):
                yield function or "module", node
            yield from _expressions(node, inner)


def mutated(source: bytes, mutant: Mutant) -> bytes:
    """Return a module with the mistake in it."""
    return source[: mutant.start] + mutant.text.encode() + source[mutant.end :]


def drawn(count: int, seed: int) -> list[Mutant]:
    """Return so many mutants of all that there are."""
    found = [
        mutant
        for path in sorted(PACKAGE.rglob("*.py"))
        for mutant in mutations(path.read_bytes(), path.relative_to(PACKAGE).as_posix())
    ]
    return sorted(found, key=lambda mutant: mutant.lot(seed))[:count]


def relevant_tests(mutant: Mutant) -> list[str]:
    """Return the test files of a mutant's part, those first that name its module or function."""
    stem, function = Path(mutant.module).stem, mutant.function.split(".")[0]
    files: list[Path] = []
    for name in TESTS[mutant.part]:
        path = TREE / "tests" / name
        files += sorted(path.rglob("test_*.py")) if path.is_dir() else [path]

    def distance(path: Path) -> int:
        text = path.read_text(encoding="utf-8")
        near = [stem in path.stem, f"{stem} import" in text, function in text]
        return -sum(weight * is_near for weight, is_near in zip((4, 2, 1), near, strict=True))

    return [str(path) for path in sorted(files, key=distance)]


def outcome(mutant: Mutant, folder: Path, limit: float) -> str:
    """Run tests on a copy of the package with the mistake; return what became of it."""
    shutil.rmtree(folder / "fp8num", ignore_errors=True)
    shutil.copytree(PACKAGE, folder / "fp8num", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "fp8num" / mutant.module
    source = path.read_bytes()
    path.write_bytes(mutated(source, mutant))
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    # Nothing but the copy is found by `import fp8num`, in processes that tests start neither.
    command = [sys.executable, "-P", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["--no-header", "--tb=no", f"--rootdir={TREE}", "-c", str(TREE / "pyproject.toml")]

    def run(*tests: str) -> tuple[int, str]:
        process = subprocess.Popen(
            [*command, *tests],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            raise
        return process.returncode, said

    try:
        code, said = run(*relevant_tests(mutant))
        if code == 0:
            return "lives"
        # A file that cannot be imported is an error, a test that fails a failure.
        failed = re.search(r"^(?:FAILED|ERROR) (?:\S*?tests/)?(\S+)", said, re.MULTILINE)
        if failed is None:
            return f"killed, exit {code}"
        path.write_bytes(source)
        if run(str(TREE / "tests" / failed[1].partition("[")[0]))[0]:
            return f"not counted, as without it this fails too: {failed[1]}"
    except subprocess.TimeoutExpired:
        return f"not killed in {limit:g} s"
    return f"killed by {failed[1].partition('[')[0]}"


def read() -> dict[str, str]:
    """Return the record: what became of which mutant."""
    lines = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.exists() else []
    rows = [line.rpartition(" -> ") for line in lines if not line.startswith("#")]
    return {name: found for name, _, found in rows}


def write(record: dict[str, str]) -> None:
    killed = sum(found.startswith("killed") for found in record.values())
    head = f"# Made by tests/net/test_mutants.py: {killed} of {len(record)} mutants are killed."
    lines = [f"{name} -> {found}" for name, found in sorted(record.items())]
    RECORD.write_text("\n".join([head, *lines, ""]), encoding="utf-8")


def main() -> None:
    """Run tests for mutants and keep what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--count", type=int, default=200, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--jobs", type=int, default=2, help="how many are run at a time")
    parser.add_argument("--limit", type=float, default=120, help="seconds of tests for one")
    parser.add_argument("--only", default="", help="a word in the names of those to run")
    parser.add_argument("--again", action="store_true", help="run those in the record, write none")
    chosen = parser.parse_args()
    record = read()
    found = [mutant for mutant in drawn(chosen.count, chosen.seed) if chosen.only in mutant.name]
    decided = {name for name, result in record.items() if not result.startswith("not killed in")}
    waiting = [mutant for mutant in found if (mutant.name in decided) == chosen.again]
    folders: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory() as top, ThreadPoolExecutor(chosen.jobs) as pool:
        for job in range(chosen.jobs):
            (Path(top) / str(job)).mkdir()
            folders.put(Path(top) / str(job))

        def run(mutant: Mutant) -> tuple[Mutant, str]:
            folder = folders.get()
            try:
                return mutant, outcome(mutant, folder, chosen.limit)
            finally:
                folders.put(folder)

        for mutant, result in pool.map(run, waiting):
            was = record.get(mutant.name, "new")
            sys.stdout.write(f"{mutant.name} -> {result}{f' (was: {was})' * chosen.again}\n")
            sys.stdout.flush()
            if not chosen.again:
                write(record := record | {mutant.name: result})


SOURCE = b'''"""Text 1."""

import typing

N: int = 3


def f(a: int = 0, *, b: bool = True) -> int:
    """Text 2."""
    if not a and (b) == (a + 1):
        raise ValueError
    a -= 1
    print(a)
    return a if a < 4 else -a & 7
'''


def test_mutants_are_small_mistakes() -> None:
    """Each is another program; none is in a text, an annotation or an import."""
    found = mutations(SOURCE)

    assert [(mutant.function, mutant.what) for mutant in found] == [
        ("module", "`3` as 4"),
        ("f", "`0` as 1"),
        ("f", "`not a and b == a + 1` as or"),
        ("f", "`not a` without not"),
        ("f", "`b == a + 1` as !="),
        ("f", "`a + 1` as -"),
        ("f", "`1` as 2"),
        ("f", "`raise ValueError` left out"),
        ("f", "`a -= 1` left out"),
        ("f", "`1` as 2, number 2"),
        ("f", "`print(a)` left out"),
        ("f", "`a if a < 4 else -a & 7` with branches swapped"),
        ("f", "`a < 4` as <="),
        ("f", "`4` as 5"),
        ("f", "`-a & 7` as |"),
        ("f", "`7` as 8"),
    ]
    programs = {ast.unparse(ast.parse(mutated(SOURCE, mutant))) for mutant in found}
    assert len(programs) == len(found)
    assert ast.unparse(ast.parse(SOURCE)) not in programs


def test_the_draw_does_not_depend_on_layout_or_module() -> None:
    """After lines are added, or a function is moved to another module of its part."""
    before = {m.lot(0) for m in mutations(SOURCE, "scaling/a.py")}
    after = {m.lot(0) for m in mutations(b"# A line.\n\n" + SOURCE, "scaling/b.py")}

    assert before == after
    assert before.isdisjoint(m.lot(1) for m in mutations(SOURCE, "scaling/a.py"))


if __name__ == "__main__":
    main()
