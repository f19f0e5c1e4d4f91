"""``fp8num gemm``: two tensors of files under named accumulators."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

import fp8num as fp
from fp8num.cli import main
from fp8num.inputs import save_scaled, write_safetensors

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(22)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """Write an archive of two matrices, one of them transposed too."""
    path = tmp_path / "ab.npz"
    b = RNG.random((300, 4)).astype(np.float32)
    np.savez(path, a=RNG.random((3, 300)).astype(np.float32), b=b, bt=b.T.copy(), v=b[0])
    return str(path)


def test_accumulators_are_compared(archive: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, and the same records as JSON."""
    names = "exact,hopper,hopper-promoted"
    assert main(["gemm", f"{archive}:a", f"{archive}:b", "--accumulator", names]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "(3, 300) E4M3FN times (300, 4) E4M3FN, scaled by tensor"
    assert [line.split()[0] for line in lines[2:]] == names.split(",")
    assert lines[2].split()[1] == "0.00%"

    command = ["gemm", f"{archive}:a", f"{archive}:bt", "--transpose-b", "--json"]
    assert main([*command, "--accumulator", names]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["accumulator"] for record in records] == names.split(",")
    assert records[1]["bias"] < records[2]["bias"] < 0


def test_codes_are_taken_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An F8 tensor is not scaled again."""
    path = tmp_path / "c.safetensors"
    codes = fp.encode(RNG.standard_normal((8, 32)), "E5M2")
    write_safetensors(path, {"w": (codes, "F8_E5M2")})

    assert main(["gemm", str(path), str(path), "--transpose-b", "--accumulator", "hopper"]) == 0
    assert "(8, 32) E5M2 times (32, 8) E5M2, unscaled codes" in capsys.readouterr().out

    assert main(["gemm", str(path), str(path), "--format", "e4m3fn"]) == 2
    assert "--format must be E5M2 or be left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (["{}", "{}:b"], "holds several tensors; name one as FILE:NAME: 'a', 'b', 'bt', 'v'"),
        (["{}:a", "{}:c"], "holds no tensor 'c': 'a', 'b', 'bt', 'v'"),
        (["{}:a", "{}:v"], "must be a matrix, got shape (4,)"),
        (["{}:a", "{}:bt"], "a and b must contract"),
        (["{}:a", "{}:b", "--accumulator", "hoper"], "did you mean hopper"),
        (["{}:a", "{}:b", "--accumulator", ","], "at least one"),
        (["{}:a", "{}:b", "--rule", "tensr"], "did you mean tensor"),
        (["{}:a", "none.npz"], "none.npz"),
    ],
)
def test_wrong_usage_is_one_line_and_two(
    archive: str, tail: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gemm", *(part.format(archive) for part in tail)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_accumulators_that_do_not_take_the_operands_are_left_out(
    archive: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason; if none takes them, that is the error."""
    command = ["gemm", f"{archive}:a", f"{archive}:b", "--rule", "te-block-1x128"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "hopper left out: accumulator 'hopper' takes scales per tensor or row" in out
    assert "hopper-promoted" in out.split("hopper left out")[0]

    assert main([*command, "--accumulator", "hopper"]) == 2
    assert "takes scales per tensor or row" in capsys.readouterr().err


def test_stored_arrays_come_with_their_scales(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.safetensors"
    x = RNG.standard_normal((8, 256)).astype(np.float32)
    save_scaled(path, {"x": fp.scale_quantize(x, "te-mxfp8")})

    names = ["--accumulator", "exact,blackwell-mx", "--transpose-b"]
    assert main(["gemm", f"{path}:x", f"{path}:x", *names]) == 0
    out = capsys.readouterr().out
    assert out.startswith("(8, 256) E4M3FN times (256, 8) E4M3FN, scaled by te-mxfp8\n")
