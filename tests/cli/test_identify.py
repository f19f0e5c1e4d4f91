"""``fp8num identify``: what it prints, its exit codes, and what it says to wrong input."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.cli import main
from fp8num.inputs import save_scaled, write_safetensors

if TYPE_CHECKING:
    from pathlib import Path

X = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command and returns its exit code and output."""

    def command(*arguments: object) -> tuple[int, str]:
        code = main(["identify", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert not err
        return code, str(out)

    return command


def tensors(rule: str, name: str = "w", *, source: bool = True, **changes: Any) -> dict[str, Any]:
    """Return a quantised tensor as a file holds it."""
    scaled = fp.scale_quantize(X, rule)
    kind = "F4" if scaled.format is fp.E2M1FN else "F8_E4M3"
    scales = scaled.stored_scales
    if scaled.scale_format is not None:
        scales = scales, {"E8M0FNU": "F8_E8M0", "E4M3FN": "F8_E4M3"}[scaled.scale_format.name]
    found = {name: (scaled.codes, kind), f"{name}_scale": scales}
    if source:
        found[f"{name}_source"] = X
    if scaled.tensor_amax is not None:
        found[f"{name}_amax"] = np.asarray(scaled.tensor_amax)
    return found | changes


def test_a_tensor_that_obeys_is_exit_code_0(run: Any, tmp_path: Path) -> None:
    """One section, with the names of its parts and the rule."""
    path = tmp_path / "dump.safetensors"
    write_safetensors(path, tensors("te-mxfp8"))

    code, out = run(path)

    assert code == 0
    lines = out.split("\n")
    assert lines[0] == "w (codes w, scales w_scale, source w_source)"
    assert lines[1] == "  codes of shape (8, 64), scales of shape (8, 2), with its source"
    assert lines[2] == "  obeys, in all 512 codes and 16 scales, bit for bit:"
    assert lines[3].startswith("    te-mxfp8 (E4M3FN, blocks 1 x 32 along axis 1; scales stored as")
    assert "indistinguishable on this data: te-mxfp8, torchao-mx-rceil" in out


def test_each_tensor_of_a_file_has_a_section(run: Any, tmp_path: Path) -> None:
    """And one that obeys nothing makes exit code 1."""
    path = tmp_path / "dump.safetensors"
    broken = tensors("te-block-1x128-fp32", "b")
    broken["b_scale"] = broken["b_scale"] * np.float32(1.25)
    write_safetensors(path, tensors("te-nvfp4", "a") | broken)

    code, out = run(path)

    assert code == 1
    sections = out.split("\n\n")
    assert sorted(section[:2] for section in sections) == ["a ", "b "]
    assert "te-nvfp4 (E2M1FN, blocks 1 x 16 along axis 1" in out
    assert "scale-factor: every scale is 1.25 times the rule's; the codes are the rule's" in out


def test_without_a_source_rules_are_consistent(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "dump.safetensors"
    write_safetensors(path, tensors("te-mxfp8", source=False))

    code, out = run(path)

    assert code == 0
    assert "without a source" in out
    assert "is consistent with:\n    te-mxfp8" in out
    assert "obeys" not in out


def test_an_excluded_tensor_is_exit_code_1(run: Any, tmp_path: Path) -> None:
    """Negative scales are no rule's."""
    path = tmp_path / "dump.npz"
    scaled = fp.scale_quantize(X, "te-block-1x128-fp32")
    np.savez(path, codes=scaled.codes, scales=-scaled.stored_scales)

    code, out = run(path, "--format", "e4m3fn")

    assert code == 1
    assert "is consistent with none of the rules" in out
    assert "found: scale-negative: 8 of 8 scales are negative, first at (0, 0)" in out


def test_names_may_be_given(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "dump.npz"
    scaled = fp.scale_quantize(X, "te-nvfp4")
    np.savez(path, q=scaled.codes, s=scaled.stored_scales, x=X, t=scaled.tensor_amax)

    code, out = run(
        path, "--codes", "q", "--scales", "s", "--source", "x", "--tensor-scale", "t",
        "--format", "E2M1FN", "--scale-format", "e4m3fn", "--axis", "-1", "--rules", "nvfp4",
    )  # fmt: skip

    assert code == 0
    assert "te-nvfp4 (E2M1FN" in out
    assert "tensor scale stored as amax" in out


def test_rules_that_are_asked_for_are_told_of(run: Any, tmp_path: Path) -> None:
    """Though another is obeyed."""
    path = tmp_path / "dump.safetensors"
    write_safetensors(path, tensors("te-mxfp8"))

    code, out = run(path, "--rules", "te-mxfp8,mxfp8-e4m3fn")

    assert code == 0
    assert "is near:\n    mxfp8-e4m3fn" in out
    assert "e8m0-rounding: the scales are rounded by 'up', the rule's by 'floor'" in out


def test_bytes_of_two_codes_are_unpacked(run: Any, tmp_path: Path) -> None:
    """Where they fit nothing as they are."""
    path = tmp_path / "dump.npz"
    scaled = fp.scale_quantize(X, "te-nvfp4")
    codes = fp.pack(scaled.codes, "E2M1FN").reshape(8, 32)
    np.savez(path, codes=codes, scales=scaled.stored_scales, source=X, amax=scaled.tensor_amax)

    code, out = run(path)

    assert code == 0
    assert "codes of shape (8, 64)" in out
    assert "te-nvfp4" in out


@pytest.mark.parametrize(
    ("rule", "wrong", "said"),
    [
        ("te-block-1x128-fp32", lambda s: 1 / s, "scale-inverted: "),
        ("te-block-1x128-fp32", lambda s: np.where(s == s[3], 0, s), "scales-unusable: 1 of 8"),
        (
            "te-block-1x128-fp32",
            lambda s: np.where(s == s[3], np.nan, s),
            "scales-unusable: 1 of 8",
        ),
        ("te-block-1x128-fp32", lambda s: np.where(s == s[3], -s, s), "scale-negative: 1 of 8"),
    ],
)
def test_what_is_wrong_is_exit_code_1(
    run: Any, tmp_path: Path, rule: str, wrong: Any, said: str
) -> None:
    """Also where a rule is obeyed but for it."""
    path = tmp_path / "dump.safetensors"
    parts = tensors(rule)
    parts["w_scale"] = wrong(parts["w_scale"]).astype(np.float32)
    write_safetensors(path, parts)

    code, out = run(path)

    assert code == 1
    assert said in out


def test_a_multiplier_where_the_rule_divides_is_exit_code_0(run: Any, tmp_path: Path) -> None:
    """The other usual convention, as `.scales` are."""
    path = tmp_path / "dump.safetensors"
    scaled = fp.scale_quantize(X, "row")
    write_safetensors(path, tensors("row", w_scale=scaled.scales))

    code, out = run(path)

    assert code == 0
    assert "row (E4M3FN" in out
    assert "found:" not in out


@pytest.mark.parametrize("source", [True, False])
@pytest.mark.parametrize(
    ("name", "form", "is_right"),
    [
        ("w_scale_2", lambda amax: amax / 2688, True),
        ("w_scale_2", lambda amax: 2688 / amax, False),
        ("w_global_scale", lambda amax: 2688 / amax, True),
    ],
)
def test_the_tensor_s_scale_must_be_what_its_name_says(
    run: Any, tmp_path: Path, name: str, form: Any, *, is_right: bool, source: bool
) -> None:
    """ModelOpt multiplies by scale_2, compressed-tensors divides by global_scale."""
    path = tmp_path / "dump.safetensors"
    parts = tensors("te-nvfp4", source=source)
    amax = parts.pop("w_amax")
    write_safetensors(path, parts | {name: np.asarray(form(amax), np.float32)})

    code, out = run(path)

    if source or name == "w_scale_2":
        assert ("found: tensor-scale-inverted" not in out) is is_right
    assert code == (0 if is_right else 1)


def test_a_global_scale_that_multiplies_is_exit_code_1(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "dump.safetensors"
    parts = tensors("te-nvfp4")
    write_safetensors(path, parts | {"w_global_scale": parts.pop("w_amax") / np.float32(2688)})

    code, out = run(path)

    assert code == 1
    assert "compressed-tensors, whose name that is, divides by 2688 / amax" in out


def test_a_tensor_without_scales_does_not_stop_the_others(run: Any, tmp_path: Path) -> None:
    """It is exit code 1, and said in its own section."""
    path = tmp_path / "dump.safetensors"
    parts = tensors("te-mxfp8")
    write_safetensors(path, parts | {"v": parts["w"]})

    code, out = run(path)

    assert code == 1
    assert "found: no-scale: v has no scale beside it" in out
    assert "codes of shape (8, 64), no scales, without a source" in out
    assert "obeys, in all 512 codes and 16 scales" in out
    records = json.loads(run(path, "--json")[1])
    assert sorted((record["name"], record["sound"]) for record in records) == [
        ("v", False),
        ("w", True),
    ]


def test_a_file_s_own_declaration_is_tested(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "dump.safetensors"
    scaled = fp.scale_quantize(X, "block-7x9")
    save_scaled(path, {"w": scaled})

    code, out = run(path)
    assert code == 0
    assert "found: declared block-7x9: nothing contradicts it" in out

    codes = scaled.codes.copy()
    codes[:7, :9] &= 0xF0
    save_scaled(path, {"w": replace(scaled, codes=codes)})
    code, out = run(path)
    assert code == 1
    assert "found: declared block-7x9: does not hold" in out
    assert "block (0, 0)" in out


def test_messages_name_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Not the arguments of the library."""
    path = tmp_path / "dump.safetensors"
    for parts, message in (
        ({"v": (np.zeros((2, 2), np.uint8), "F8_E4M3")}, "name them with --codes and --scales, or"),
        ({"v": X}, "name it with --codes and its scales with --scales"),
        (
            tensors("te-nvfp4") | {"w_scale_2": np.float32(1)[...]},
            "name the right one with --codes and --tensor-scale",
        ),
    ):
        write_safetensors(path, parts)
        assert main(["identify", str(path)]) == 2
        assert message in capsys.readouterr().err


def test_help_says_what_the_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["identify", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "exit code 0: each tensor obeys a rule, or is consistent with one, and nothing" in out
    for what in ("has no scale beside it", "negative, infinite or NaN", "transposed"):
        assert what in out


def test_json_is_the_record(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "dump.safetensors"
    write_safetensors(path, tensors("te-current"))

    code, out = run(path, "--json")
    (record,) = json.loads(out)

    assert code == 0
    assert (record["name"], record["identified"], record["has_source"]) == ("w", True, True)
    assert record["parts"] == {"codes": "w", "scales": "w_scale", "source": "w_source"}
    assert "te-current" in [match["rule"] for match in record["obeyed"]]


def test_names_from_files_are_harmless(run: Any, tmp_path: Path) -> None:
    """Control characters of a name are escaped."""
    path = tmp_path / "dump.safetensors"
    write_safetensors(path, tensors("te-current", "w\x1b[31m"))

    _, out = run(path)

    assert "\x1b" not in out
    assert out.startswith("w\\x1b[31m (codes ")


def test_wrong_input_is_one_line_and_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The complaint names what is wrong; nothing is printed before it."""
    path = tmp_path / "dump.safetensors"
    write_safetensors(path, tensors("te-current"))
    half = tmp_path / "half.safetensors"
    half.write_bytes(path.read_bytes()[:300])
    strange = tmp_path / "strange.npz"
    np.savez(strange, codes=np.zeros((2, 2), np.uint8), scales=np.ones((2, 1), np.float32))
    for arguments, message in (
        ([], "the following arguments are required: FILE"),
        ([tmp_path / "none.safetensors"], "none.safetensors"),
        ([half], "half.safetensors"),
        ([path, "--codes", "v"], "has no tensor 'v' for codes"),
        ([path, "--format", "e4m3"], "format name 'e4m3' is ambiguous"),
        ([path, "--rules", "te-mxfp9"], "rule 'te-mxfp9' is not known"),
        ([path, "--axis", "2"], "axis must be from -2 to 1 for codes of 2 axes, got 2"),
        ([path, "--axis", "x"], "argument --axis: invalid int value: 'x'"),
        ([strange, "--scale-format", "nothing"], "format name 'nothing' is not known"),
    ):
        assert main(["identify", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert message in err
