"""`fp8num verify`: lines of answers, programs, functions and libraries are judged."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import fp8num as fp
from fp8num.cli import main
from fp8num.verify import cases
from fp8num.verify.sources import get_source

if TYPE_CHECKING:
    from pathlib import Path

    Run = Any

KERNELS = """
    import ml_dtypes, numpy, fp8num
    def right(x):
        return fp8num.encode(x, "E4M3FN")
    def saturates_not(x):
        return x.astype(ml_dtypes.float8_e4m3fn)
    def from_bits(words):
        return fp8num.encode(words.view(numpy.float32), "E4M3FN")
    def noisy(x):
        print("hello")
        return fp8num.encode(x, "E4M3FN")
    def decode(codes):
        return fp8num.decode(codes, "E4M3FN")
    class Kernels:
        right = staticmethod(right)
    not_a_function = 3
"""


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a module in the current directory."""
    (tmp_path / "my_kernels.py").write_text(textwrap.dedent(KERNELS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_kernels", raising=False)
    return tmp_path


def answers(words: Any, codes: Any) -> str:
    pairs = zip(words.tolist(), codes.tolist(), strict=True)
    return "".join(f"{word:08x} {code:02x}\n" for word, code in pairs)


@pytest.fixture
def right_lines() -> list[str]:
    """Return right answers to the standard cases of E4M3FN from float32."""
    source = get_source("f32")
    words = cases.standard(fp.E4M3FN, source).words
    return answers(words, fp.encode(source.values(words), "E4M3FN")).splitlines()


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put lines on standard input."""

    def put(lines: list[str]) -> None:
        text = io.TextIOWrapper(io.BytesIO("\n".join([*lines, ""]).encode()))
        monkeypatch.setattr(sys, "stdin", text)

    return put


def test_right_lines_conform(
    right_lines: list[str], pipe: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(right_lines)
    assert main(["verify", "e4m3fn", "-", "--source", "f32", "--rounding", "rne"]) == 0
    assert "CONFORMS: standard input, float32 -> E4M3FN" in capsys.readouterr().out


def test_the_order_of_lines_does_not_matter(right_lines: list[str], pipe: Any) -> None:
    pipe(right_lines[::-1])
    assert main(["verify", "e4m3fn", "-"]) == 0


def test_a_wrong_code_is_a_witness(
    right_lines: list[str], pipe: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    place = next(i for i, line in enumerate(right_lines) if line.startswith("3f800000"))
    right_lines[place] = "3f800000 39"
    pipe(right_lines)

    assert main(["verify", "e4m3fn", "-", "--json"]) == 1

    found = json.loads(capsys.readouterr().out)
    assert found["mismatches"] == 1
    assert found["witnesses"] == [
        {
            "class": "normal value",
            "word": "3f800000",
            "input": "0x1.0000000000000p+0",
            "expected": "38 = 1",
            "got": "39 = 1.125",
            "bits": "0_0111_000 0_0111_001",
        }
    ]


def test_missing_lines_are_noticed(
    right_lines: list[str], pipe: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A converter that stops early has not conformed, unless only a part was asked for."""
    pipe(right_lines[:-5])
    assert main(["verify", "e4m3fn", "-"]) == 1
    assert "5 of" in capsys.readouterr().out
    pipe(right_lines[:-5])
    assert main(["verify", "e4m3fn", "-", "--partial"]) == 0


@pytest.mark.parametrize(
    ("lines", "detail"),
    [
        (["3f800000 38", "what?"], "what?"),
        (["3f800000"], "3f800000"),
        (["3f800000 138"], "138"),
        ([], ""),
    ],
)
def test_lines_that_are_no_answers_are_a_finding(
    lines: list[str], detail: str, pipe: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(lines)
    assert main(["verify", "e4m3fn", "-", "--partial"]) == 1
    out = capsys.readouterr().out
    assert "DOES NOT CONFORM" in out
    assert "fault" in out
    assert detail in out


def test_two_answers_to_one_input_are_a_finding(
    pipe: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(["3f800000 38", "40000000 40", "3f800000 39"])
    assert main(["verify", "e4m3fn", "-", "--partial"]) == 1
    assert "3f800000 has two answers, 38 and 39" in capsys.readouterr().out


def test_a_file_of_lines_is_judged(right_lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "answers.txt"
    path.write_text("\n".join(right_lines))
    assert main(["verify", "e4m3fn", str(path)]) == 0
    path.write_text("\n".join(right_lines[1:]))
    assert main(["verify", "e4m3fn", str(path)]) == 1


def test_the_lines_of_a_decoder_are_judged(pipe: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Code and bits of the value; every code must be there."""
    assert main(["vectors", "e4m3fn", "--decode", "--expected"]) == 0
    right = capsys.readouterr().out.splitlines()
    assert "38 3f800000" in right

    for lines, code in (
        (right, 0),
        (right[:-1], 1),
        (["38 3f800001" if line.startswith("38") else line for line in right], 1),
        ([*right, "38 3f800001"], 1),
        (["nonsense", *right], 1),
    ):
        pipe(lines)
        assert main(["verify", "e4m3fn", "-", "--decode"]) == code


@pytest.mark.usefixtures("kernels")
def test_what_an_implementation_prints_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "e4m3fn", "my_kernels:noisy", "--json", "--cases", "specials"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["my_kernels:right"], 0),
        (["my_kernels:Kernels.right", "--cases", "boundaries"], 0),
        (["my_kernels:right", "--source", "bf16", "--cases", "every"], 0),
        (["my_kernels:right", "--source", "f64", "--cases", "specials"], 0),
        (["my_kernels:right", "--rounding", "rz"], 1),
        (["my_kernels:saturates_not"], 1),
        (["my_kernels:saturates_not", "--like", "ml_dtypes", "--compare-nan", "code"], 0),
        (["my_kernels:saturates_not", "--budget", "1000000", "--no-probes"], 0),
        (["my_kernels:from_bits", "--takes", "bits"], 0),
        (["my_kernels:decode", "--decode"], 0),
        (["ml_dtypes", "--like", "ml_dtypes"], 0),
        (["ml_dtypes", "--like", "ocp-sat", "--source", "f64"], 1),
    ],
)
def test_functions_and_libraries_are_judged(arguments: list[str], code: int) -> None:
    assert main(["verify", "e4m3fn", *arguments]) == code


@pytest.mark.parametrize("way", [["ml_dtypes"], ["--exec", "true"], ["ml_dtypes", "--sweep"]])
def test_stochastic_modes_are_not_judged(
    capsys: pytest.CaptureFixture[str], way: list[str]
) -> None:
    """One line says so, and what can be done instead."""
    assert main(["verify", "e4m3fn", *way, "--rounding", "sra"]) == 2

    assert "stochastic modes are not judged" in capsys.readouterr().err


@pytest.mark.usefixtures("kernels")
def test_a_program_is_run() -> None:
    program = (
        "import sys, numpy as np, fp8num as fp\n"
        "for line in sys.stdin:\n"
        "    x = np.array([int(line, 16)], np.uint16).view(np.float16)\n"
        "    print(line.strip(), f'{int(fp.encode(x, \"E5M2\")[0]):02x}')\n"
    )
    with open("converter.py", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(program)
    command = f"{sys.executable} converter.py"
    few = ["--exec", command, "--cases", "specials"]
    assert main(["verify", "e5m2", *few, "--source", "f16"]) == 0
    assert main(["verify", "e5m2", *few, "--source", "bf16"]) == 1


@pytest.mark.parametrize("sweep", [(), ("--sweep", "--source", "f16")])
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("./no-such-program", "No such file or directory"),
        ("no-such-program-anywhere --fast", "No such file or directory"),
        ("./plain.txt", "Permission denied"),
        ("./headless", "Exec format error"),
        (".", "it is a directory"),
        ("'unbalanced", "No closing quotation"),
    ],
)
def test_a_program_that_cannot_be_started_is_wrong_usage(
    kernels: Path,
    capsys: pytest.CaptureFixture[str],
    program: str,
    reason: str,
    sweep: tuple[str, ...],
) -> None:
    """One line says why, and no verdict is given."""
    (kernels / "plain.txt").write_text("text")
    (kernels / "headless").write_text("neither a script nor a program\n")
    (kernels / "headless").chmod(0o700)

    assert main(["verify", "e4m3fn", "--exec", program, *sweep]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert reason in err


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("false", "died: exited with 1"),
        ("true", "there is no answer"),
        ("echo hello", "garbage: line 1"),
        ("sleep 30", "timeout: did not end within 0.3 s and was killed"),
        ("yes", "garbage: wrote more than"),
    ],
)
def test_a_program_without_answers_does_not_conform(
    capsys: pytest.CaptureFixture[str], program: str, said: str
) -> None:
    """What it did is the second thing that is said."""
    arguments = ["--exec", program, "--timeout", "0.3" if "sleep" in program else "20"]

    assert main(["verify", "e4m3fn", *arguments, "--cases", "specials"]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"DOES NOT CONFORM: {program}")
    assert said in " ".join(lines[2:4])


def test_a_sweep_of_all_float16_is_resumed_from_its_journal(
    kernels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["verify", "e4m3fn", "ml_dtypes", "--like", "ml_dtypes", "--source", "f16"]
    arguments += ["--sweep", "--journal", str(kernels / "sweep.jsonl"), "--digests", "--json"]

    assert main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(arguments) == 0
    again = json.loads(capsys.readouterr().out)

    first.pop("seconds", None)
    again.pop("seconds", None)
    assert first == again
    # Another projection is another sweep: its journal is not taken for this one's.
    other = list(arguments)
    other[other.index("--like") : other.index("--like") + 2] = ["--rounding", "rz"]
    assert main(other) == 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "name a FORMAT and what to judge"),
        (["e4m3fn"], "name a FORMAT and what to judge"),
        (["e4m3fn", "-", "--exec", "true"], "as what to judge, not both"),
        (["e4m3fn", "no/such/answers.txt"], "is no file"),
        (["e4m3fn", "--exec", ""], "command must name a program"),
        (["e4m3fn", "--exec", "true", "--timeout", "nan"], "timeout must be seconds above 0"),
        (["e5m2", "--manifest", "x.json"], "FORMAT has no meaning with --manifest"),
        (["e4m3", "-"], "ambiguous"),
        (["e4m3fn", "no_such_module:f"], "cannot be loaded"),
        (["e4m3fn", "json:no_such_function"], "cannot be loaded"),
        (["e4m3fn", "json:__name__"], "must be a function from values to codes, got str"),
        (["e4m3fn", "no_such_library"], "no_such_library"),
        (["e4m3fn", "-", "--source", "int8"], "source must be one of"),
        (["e4m3fn", "-", "--source", "f8"], "source must be one of"),
        (["e4m3fn", "ml_dtypes", "--like", "nobody"], "like must be one of"),
        (["e4m3fn", "ml_dtypes", "--cases", "every"], "sweep"),
        (
            ["e4m3fn", "ml_dtypes", "--sweep", "--budget", "3"],
            "--budget has no meaning with --sweep",
        ),
        (["e4m3fn", "ml_dtypes", "--journal", "x"], "--journal has no meaning with a function"),
        (["e4m3fn", "ml_dtypes", "--decode", "--rounding", "rz"], "no meaning with --decode"),
        (["e4m3fn", "--exec", "true", "--decode"], "--decode has no meaning with --exec"),
        (["e4m3fn", "-", "--takes", "bits"], "--takes has no meaning with lines"),
        (["e4m3fn", "-", "--budget", "-1"], "budget must be an integer, at least 0"),
        (["--manifest", "no/such/manifest.json"], "manifest"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_2(
    arguments: list[str], match: str, capsys: pytest.CaptureFixture[str], pipe: Any
) -> None:
    pipe([])
    assert main(["verify", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert match in captured.err
    assert captured.err.count("\n") == 1


def test_the_pipe_of_three_programs_works(tmp_path: Path) -> None:
    """vectors | converter | verify, as separate processes."""
    converter = tmp_path / "converter.py"
    converter.write_text(
        textwrap.dedent(
            """
            import sys
            import numpy as np, fp8num as fp
            words = [line.strip() for line in sys.stdin]
            x = np.array([int(w, 16) for w in words], np.uint32).view(np.float32)
            for word, code in zip(words, fp.encode(x, "E4M3FN", rounding=sys.argv[1])):
                print(word, f"{code:02x}")
            """
        )
    )
    tool = f"{sys.executable} -m fp8num"
    command = (
        f"{tool} vectors e4m3fn --source f32 | {sys.executable} {converter} rna | "
        f"{tool} verify e4m3fn - --source f32"
    )
    done = subprocess.run(  # noqa: S602 - a pipe is what is tested
        command, shell=True, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr  # right ones are the README's
    assert "DOES NOT CONFORM" in done.stdout
