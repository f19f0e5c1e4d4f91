"""A report is built whole or not at all, and twice the same."""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.inputs import InputError, StoredTensor, builtin_tensors, tensor_from_array
from fp8num.report import Skipped, build_report
from fp8num.report import build as module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from fp8num.nn import Comparison

FORMATS = ["E4M3FN", "E2M1FN"]


def tensor(name: str = "w", scale: float = 1.0) -> StoredTensor:
    rng = np.random.default_rng(len(name))
    return tensor_from_array(name, (scale * rng.standard_normal((5, 7))).astype(np.float32))


def gaussian(seed: int, rows: int = 32, k: int = 64) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, k)).astype(np.float32)


def damaged() -> StoredTensor:
    """Return a tensor that turns out to be damaged when it is read."""

    def read(size: int) -> Iterator[npt.NDArray[np.generic]]:
        yield np.ones(min(size, 3), np.float32)
        msg = "'w.npz' failed its checksum"
        raise InputError(msg)

    return StoredTensor(
        name="w", file="w.npz", dtype="F32", shape=(9,), format_name=None, _reader=read
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_report_is_three_files(tmp_path: Path) -> None:
    found = build_report([tensor()], tmp_path / "new" / "report", formats=FORMATS)

    assert set(files(tmp_path / "new" / "report")) == {"index.html", "report.csv", "report.json"}
    assert found.page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert found.csv.read_text(encoding="utf-8").count("\n") == 1 + 2 * 2
    assert found.json.read_text(encoding="utf-8").startswith("{")


def test_two_reports_of_the_same_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_report(
            [tensor(), tensor("v")], tmp_path / name, formats=FORMATS, command="fp8num report"
        )

    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_tensor_that_turns_out_damaged_leaves_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="checksum"):
        build_report([tensor(), damaged()], tmp_path / "new", formats=FORMATS)

    assert not (tmp_path / "new").exists()


def test_a_tensor_that_turns_out_damaged_leaves_the_old_report(tmp_path: Path) -> None:
    build_report([tensor()], tmp_path, formats=FORMATS)
    old = files(tmp_path)

    with pytest.raises(InputError, match="checksum"):
        build_report([tensor(), damaged()], tmp_path, formats=FORMATS)

    assert files(tmp_path) == old


def test_a_failure_while_rendering_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_report([tensor()], tmp_path, formats=FORMATS)
    old = files(tmp_path)

    def fail(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr(module, "render_page", fail)
    with pytest.raises(MemoryError):
        build_report([tensor("other")], tmp_path, formats=FORMATS)

    assert files(tmp_path) == old


def test_trainings_add_two_tables_that_a_report_without_them_takes_away(
    tmp_path: Path, comparison: Comparison
) -> None:
    with_them = build_report([tensor()], tmp_path, formats=FORMATS, training=comparison)

    assert {"training.csv", "training-curves.csv"} < set(files(tmp_path))
    assert with_them.training == tmp_path / "training.csv"
    assert with_them.curves == tmp_path / "training-curves.csv"

    without = build_report([tensor()], tmp_path, formats=FORMATS)

    assert set(files(tmp_path)) == {"index.html", "report.csv", "report.json"}
    assert without.training is without.curves is None


def test_tables_of_others_are_not_taken_away(tmp_path: Path) -> None:
    """A user's own file of that name, and an empty one, do not begin as ours do."""
    (tmp_path / "training.csv").write_text("epoch,loss\n1,2\n")
    (tmp_path / "training-curves.csv").write_text("")

    build_report([tensor()], tmp_path, formats=FORMATS)

    assert (tmp_path / "training.csv").read_text() == "epoch,loss\n1,2\n"
    assert (tmp_path / "training-curves.csv").exists()


def test_two_reports_with_the_same_trainings_are_the_same_bytes(
    tmp_path: Path, comparison: Comparison
) -> None:
    for name in ("a", "b"):
        build_report([tensor()], tmp_path / name, formats=FORMATS, training=comparison)

    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_failure_leaves_the_old_trainings_too(
    tmp_path: Path, comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_report([tensor()], tmp_path, formats=FORMATS, training=comparison)
    old = files(tmp_path)

    def fail(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr(module, "render_page", fail)
    with pytest.raises(MemoryError):
        build_report([tensor("other")], tmp_path, formats=FORMATS)

    assert files(tmp_path) == old


def test_trainings_that_are_none_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="training must be a Comparison or None, got bool; "):
        build_report([damaged()], tmp_path / "new", training=True)  # type: ignore[arg-type]

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formats": ["e4m3"]}, "ambiguous"),
        ({"formats": []}, "formats must name at least one"),
        ({"formats": ["E5M2", "e5m2"]}, "formats must differ from each other, got E5M2 twice"),
        ({"formats": ["binary16p1se"]}, "does not fit float64"),
        ({"rules": ["row-ish"]}, "rule 'row-ish' is not known"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(
    tmp_path: Path, arguments: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_report([damaged()], tmp_path / "new", **arguments)  # type: ignore[arg-type]

    assert not (tmp_path / "new").exists()


def test_no_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tensors must hold at least one tensor, got none"):
        build_report([], tmp_path / "new")

    assert not (tmp_path / "new").exists()


def test_progress_adds_up_to_the_number_of_elements(tmp_path: Path) -> None:
    done: list[int] = []

    build_report([tensor(), tensor("v")], tmp_path, formats=FORMATS, progress=done.append)

    assert sum(done) == 2 * 35


def test_one_rule_is_enough(tmp_path: Path) -> None:
    found = build_report([tensor()], tmp_path, formats=FORMATS, rules=["unit"])

    assert "per-tensor scale</th>" not in found.page.read_text(encoding="utf-8")
    assert found.csv.read_text(encoding="utf-8").count("\n") == 1 + 2


def test_six_rules_some_without_some_formats_or_shapes(tmp_path: Path, parse: Any) -> None:
    """Rows are the pairs that exist; what does not is a dash, and what a shape forbids is said."""
    rules = ["block-32", "nvfp4", "mxfp8", "microxcaling-floor", "row", "te-nvfp4-2d"]
    vector = tensor_from_array("bias", np.arange(1, 8, dtype=np.float32))

    found = build_report([tensor(), vector], tmp_path, formats=FORMATS, rules=rules)

    document = json.loads(found.json.read_text(encoding="utf-8"))
    first, second = ([(r["format"], r["rule"]) for r in t["results"]] for t in document["tensors"])
    assert first == [
        *(("E4M3FN", rule) for rule in ("block-32", "mxfp8-e4m3fn", "microxcaling-floor", "row")),
        *(("E2M1FN", rule) for rule in ("block-32", "te-nvfp4", "microxcaling-floor", "row")),
        ("E2M1FN", "te-nvfp4-2d"),
    ]
    assert second == first[:-1]
    assert [one["name"] for one in document["rule_definitions"]] == document["rules"]
    assert document["projection"]["rounding"] is None
    (left_out,) = document["skipped"]
    assert left_out["reason"].startswith("te-nvfp4-2d does not fit the shape (7,): axis must be")
    page = parse(found.page.read_text(encoding="utf-8"))
    for name in document["rules"]:
        assert name in page.text("table")


def test_a_rule_that_takes_no_tensor_is_refused(tmp_path: Path) -> None:
    vector = tensor_from_array("bias", np.arange(1, 8, dtype=np.float32))

    with pytest.raises(ValueError, match="one that a rule takes at least; te-nvfp4-2d does not fi"):
        build_report([vector], tmp_path / "new", rules=["te-nvfp4-2d"])
    assert not (tmp_path / "new").exists()


def test_only_the_worst_ten_are_drawn(tmp_path: Path, parse: Any) -> None:
    tensors = [tensor_from_array(f"w{i}", gaussian(i)) for i in range(12)]

    found = build_report(tensors, tmp_path, formats=["E4M3FN"], rules=["unit"])

    page = parse(found.page.read_text(encoding="utf-8"))
    assert sum(svg.get("class") == "strip" for svg in page.all("svg")) == 10
    assert sum("data-d" in row for row in page.all("tr")) == 12


def test_decisions_are_in_the_json_and_come_back(tmp_path: Path) -> None:
    row = gaussian(0)
    row[5] *= np.float32(1e6)

    found = build_report([tensor_from_array("w", row), tensor()], tmp_path, formats=FORMATS)

    document = json.loads(found.json.read_text(encoding="utf-8"))
    wanted = {
        "name", "decision", "format", "rule", "reason", "cause", "group", "one_scale", "chosen",
        "runner_up",
    }  # fmt: skip
    assert all(wanted <= set(one) for one in document["decisions"])
    assert [(one["name"], one["decision"]) for one in document["decisions"]] == [
        ("w", "row"), ("w", "keep"),
    ]  # fmt: skip
    assert document["decisions"][0]["cause"][0]["index"] == [5]
    assert document["file"]["scheme"] == "FP8_DYNAMIC"
    assert found.recommendation is not None
    assert found.recommendation.decisions[0].decision == "row"


def test_what_decides_is_passed_on(tmp_path: Path) -> None:
    given = {"target": "nvfp4", "keep": {"w": True}, "layouts": {"v": "in-out"}}
    tensors = [tensor_from_array("w", gaussian(0)), tensor_from_array("v", gaussian(1))]

    found = build_report(tensors, tmp_path, formats=FORMATS, **given).recommendation  # type: ignore[arg-type]

    assert found is not None
    assert [one.decision for one in found] == ["keep", "block"]
    assert found["v"].role.assumed == "in-out, as given"


def test_rules_are_all_that_is_tried(tmp_path: Path) -> None:
    """Where hardware takes one scale only, a large row leaves no choice but 16 bits."""
    x = gaussian(0)
    x[5] *= 1e6
    tensors = [tensor_from_array("w", x), tensor_from_array("v", gaussian(1))]

    found = build_report(tensors, tmp_path, formats=FORMATS, rules=["tensor"]).recommendation

    assert found is not None
    assert [one.decision for one in found] == ["keep", "tensor"]
    assert {trial.scheme.name for one in found for trial in one.trials} == {"FP8"}
    assert found.ignore == ("w",)


def test_a_budget_is_a_file_of_the_report_and_a_section(tmp_path: Path, parse: Any) -> None:
    tensors = [tensor_from_array("w", gaussian(0))]
    done: list[int] = []

    build_report(tensors, tmp_path, formats=FORMATS, bits=9, progress=done.append)

    document = json.loads((tmp_path / "report.json").read_text())
    data = (tmp_path / "frontier.json").read_bytes()
    assert document["files"]["frontier.json"] == hashlib.sha256(data).hexdigest()
    assert document["budget"]["bits"] == json.loads(data)["bits"] <= document["budget"]["asked"]
    assert sum(done) == tensors[0].size
    page = parse((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "Within 9 bits per weight" in page.text("p")

    build_report(tensors, tmp_path, formats=FORMATS)
    assert not (tmp_path / "frontier.json").exists()


def test_a_wrong_target_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format"):
        build_report([damaged()], tmp_path / "new", target="e9m9")


def test_the_page_of_many_tensors_is_small(tmp_path: Path) -> None:
    """Five thousand tensors fit 2 MB: what each adds is counted on forty."""
    sizes = []
    for count in (12, 52):
        tensors = [
            tensor_from_array(f"model.layers.{i}.self_attn.q_proj.weight", gaussian(0, 16, 16))
            for i in range(count)
        ]
        found = build_report(tensors, tmp_path, formats=["E4M3FN"], rules=["tensor"])
        sizes.append(found.page.stat().st_size)

    assert sizes[0] + 5000 * (sizes[1] - sizes[0]) / 40 < 2_000_000


def test_the_built_in_report_is_small_and_complete(tmp_path: Path, parse: Any) -> None:
    found = build_report(
        builtin_tensors(), tmp_path, skipped=[Skipped(file="f", name="n", reason="integers")]
    )

    page = parse(found.page.read_text(encoding="utf-8"))
    assert found.page.stat().st_size < 100_000
    assert "Of 10 tensors, 9 are fine with one scale" in page.text("p")
    assert page.text("h1").startswith("Built-in data in E4M3FN")


def test_the_signature_is_what_others_build_on() -> None:
    names = (
        "tensors out_dir formats rules target limits activations layouts keep "
        "progress skipped command training force bits"
    )

    assert list(inspect.signature(build_report).parameters) == names.split()
