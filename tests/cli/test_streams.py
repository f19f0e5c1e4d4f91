"""Output is written whole, or the command ends with 2 and one line: whatever the streams are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fp8num.cli import main

resource = pytest.importorskip("resource", reason="limits and descriptors of POSIX")

#: Its output is 65536 inputs of 4 digits, an answer of 2, a space and a line end.
EVERY = ("vectors", "e4m3fn", "--source", "f16", "--cases", "every", "--expected")
SIZE = 65536 * (4 + 1 + 2 + 1)


def start(arguments: tuple[str, ...], *, unbuffered: str = "1", **options: Any) -> Any:
    """Start the command, with standard output and error in pipes unless told otherwise."""
    return subprocess.Popen(
        [sys.executable, "-m", "fp8num", *arguments],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
    )


def one_line(text: bytes) -> str:
    (line,) = text.decode().splitlines()
    assert line.startswith("fp8num: error: ")
    return line


def test_a_limit_of_size_is_noticed(tmp_path: Path) -> None:
    """As a full disk: the last write is a short one, and the next an error."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    with (tmp_path / "x").open("wb") as file:
        process = start(EVERY, stdout=file, preexec_fn=limit)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "standard output cannot be written (File too large)" in one_line(said)


def test_a_full_device_is_noticed() -> None:
    with Path("/dev/full").open("wb") as file:
        process = start(("formats", "e4m3fn"), stdout=file)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "standard output cannot be written (No space left on device)" in one_line(said)


@pytest.mark.parametrize("way", ["not waiting", "stopped"])
def test_a_slow_reader_gets_every_byte(way: str) -> None:
    """A write into a full pipe ends early if the pipe does not wait, or if a signal comes."""
    reading, writing = os.pipe()
    os.set_blocking(writing, way != "not waiting")
    process = start(EVERY, stdout=writing)
    os.close(writing)
    with open(reading, "rb") as stream:  # noqa: PTH123 - a descriptor
        first = stream.read(1)  # it has begun to write, and cannot end
        time.sleep(0.1)
        if way == "stopped":
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        rest = stream.read()
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, b"")
    lines = (first + rest).split(b"\n")
    assert len(first + rest) == SIZE
    assert sorted(line[:4] for line in lines[:-1]) == [b"%04x" % word for word in range(65536)]


def test_an_input_that_does_not_wait_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = start(("verify", "e4m3fn", "-", "--partial", "--json"), stdin=reading)
    os.close(reading)
    with open(writing, "wb", buffering=0) as stream:  # noqa: PTH123 - a descriptor
        time.sleep(0.5)  # it has asked for input by then, or asks now
        stream.write(b"3f800000 38\n")
    output, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, b"")
    assert json.loads(output)["cases"] == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_ends_the_command_as_a_pipe_does(unbuffered: str) -> None:
    """As in ``fp8num vectors e4m3fn | head``."""
    process = start(EVERY, unbuffered=unbuffered)
    process.stdout.read(1)
    process.stdout.close()
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (141, b"")


def closed(*files: int) -> dict[str, Any]:
    """Return options to start a command with some streams closed."""

    def close() -> None:
        for file in files:
            os.close(file)

    return {"preexec_fn": close}


def test_a_closed_output_is_noticed() -> None:
    process = start(("--version",), **closed(1))
    _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "standard output cannot be written (Bad file descriptor)" in one_line(said)


def test_a_closed_input_is_no_mismatch() -> None:
    """Code 1 would mean that answers are wrong."""
    process = start(("verify", "e4m3fn", "-"), **closed(0))
    output, said = process.communicate(timeout=60)

    assert (process.returncode, output) == (2, b"")
    assert "standard input is closed" in one_line(said)


def test_a_file_takes_no_closed_stream_s_place(tmp_path: Path) -> None:
    """Else a message would be written into the table that has descriptor 2 by then."""
    path = tmp_path / "x.h"
    process = start(("vectors", "e4m3fn", "--table", "c", "--output", str(path)), **closed(0, 2))
    output, _ = process.communicate(timeout=60)

    assert (process.returncode, output.decode()) == (0, f"{path}\n")
    assert path.read_text(encoding="utf-8").startswith("/*\n * E4M3FN: tables")


@pytest.mark.parametrize(
    ("arguments", "way"), [(("formats", "nonsense"), "full"), (("nonsense",), "closed")]
)
def test_messages_that_nobody_gets_change_no_code(arguments: tuple[str, ...], way: str) -> None:
    with Path("/dev/full").open("wb") as file:
        options = closed(2) if way == "closed" else {"stderr": file}
        process = start(arguments, **options)
        output, _ = process.communicate(timeout=60)

    assert (process.returncode, output) == (2, b"")


def test_a_stream_in_the_place_of_python_s_own_is_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sys.stdin, sys.stdout, sys.stderr

    assert main(["--version"]) == 0

    assert capsys.readouterr().out.startswith("fp8num ")
    assert (sys.stdin, sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("way", ["module", "script"])
def test_an_interrupt_of_the_import_is_one_line(way: str, tmp_path: Path) -> None:
    """NumPy takes longest; a stand-in that waits makes sure that the interrupt meets it."""
    (tmp_path / "numpy.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    script = tmp_path / "fp8num"
    script.write_text("import sys\nfrom fp8num.cli import main\nsys.exit(main())\n")
    home = str(Path(sys.modules["fp8num"].__path__[0]).parent)
    process = subprocess.Popen(
        [sys.executable, *(("-m", "fp8num") if way == "module" else (str(script),)), "formats"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), home])},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (130, "fp8num: interrupted\n")


def test_a_library_leaves_interrupts_alone() -> None:
    program = (
        "import signal, fp8num; "
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "True\n"
