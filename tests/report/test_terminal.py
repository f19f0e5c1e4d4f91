"""The ten lines: the worst first, where it is, what mends it; and nothing that moves a cursor."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fp8num.analysis import frontier, recommend
from fp8num.inputs import StoredTensor, tensor_from_array
from fp8num.report.terminal import budget_line, decision_lines


def weights(seed: int = 0, rows: int = 32, k: int = 64) -> Any:
    return np.random.default_rng(seed).standard_normal((rows, k)).astype(np.float32)


def planted() -> dict[str, Any]:
    """Two layers with a fault of each kind, and what is fused with them."""
    file = {
        f"layers.{layer}.{name}.weight": weights(7 * layer + i)
        for layer in range(4)
        for i, name in enumerate(("q_proj", "k_proj", "gate_proj", "up_proj", "down_proj"))
    }
    file["layers.0.gate_proj.weight"][3, 7] = np.inf
    file["layers.0.up_proj.weight"][2, 1:3] = np.nan
    file["layers.1.k_proj.weight"][:] = 0
    file["layers.1.q_proj.weight"][5] *= 1e6
    file["layers.2.gate_proj.weight"][4, 9] = 3e6
    file["layers.3.down_proj.weight"][:, 17] *= 1e7
    file["norm.weight"] = weights()[0]
    return file


def lines_about(file: dict[str, Any], **options: Any) -> list[str]:
    tensors: list[StoredTensor] = [
        tensor_from_array(name, array, file="dir/model.safetensors") for name, array in file.items()
    ]
    lines = decision_lines(recommend(tensors), tensors, **options)
    assert len(lines) <= 11
    assert all(line.isprintable() for line in lines)
    return lines


def test_what_is_broken_comes_first_then_what_fails_then_what_to_do() -> None:
    """Each with its place, and in the page's order."""
    lines = lines_about(planted(), paths={"Page": "r/index.html", "Figures": "r/report.json"})

    forms = (
        r"model\.safetensors -> E4M3FN: 21 tensors, 41\.0 thousand weights, F32\. Weight error, .*",
        r"MEND THE FILE FIRST: 2 tensors are not finite, 1 is dead\.",
        r"  not finite  layers\.0\.gate_proj  infinity at \[3, 7\]",
        r"  not finite  layers\.0\.up_proj    NaN at \[2, 1\] and 1 more",
        r"  dead        layers\.1\.k_proj     all 2,048 elements are 0",
        r"ONE SCALE FAILS for 3, and 1 is fused with them; 13 are fine, 2 stay in 16 bits, 1 of "
        "them because no scheme passes.",
        r"  \S.*  layers\.\d\.\w+ .* -> .*",
        r"  \S.*  layers\.\d\.\w+ .* -> .*",
        r"  \S.*  layers\.\d\.\w+ .* -> .*",
        r"DO: a scale per row \(FP8_DYNAMIC\): all 16 live linear layers pass, 8\.50 bits .*",
        r"Page: r/index\.html   Figures: r/report\.json",
    )
    assert len(lines) == len(forms)
    for line, form in zip(lines, forms, strict=True):
        assert re.fullmatch(form, line), line


def test_a_failing_tensor_has_its_cause_and_its_excess_before_and_after() -> None:
    text = "\n".join(lines_about(planted()))

    assert re.search(
        r"row scales  layers\.1\.q_proj +row 5 is \S+ times .*: excess \d+\.\d\d -> 1", text
    )
    assert re.search(r"row scales  layers\.2\.gate_proj +element \[4, 9\] is .*: excess ", text)
    assert re.search(r"16 bits     layers\.3\.down_proj +column 17 is .* at best \(\w+\)", text)
    assert re.search(r"; 1 row stays damaged \(layers\.2\.gate_proj row 4: \d", text)


def test_the_worst_come_first() -> None:
    file = {f"layers.{i}.o_proj.weight": weights(i) for i in range(6)}
    for i, size in enumerate((3e4, 1e6, 1e5, 3e5, 1.0)):
        file[f"layers.{i}.o_proj.weight"][5] *= size

    failing = [line for line in lines_about(file) if line.startswith("  row")]

    assert [re.search(r"layers\.(\d)", line)[1] for line in failing] == ["1", "3", "2"]  # type: ignore[index]
    assert failing[-1].endswith("; and 1 more")


def test_healthy_files_are_said_to_be_so() -> None:
    lines = lines_about({"a.o_proj": weights(0), "b.o_proj": weights(1), "norm": weights()[0]})

    assert lines[1:] == [
        "ONE SCALE IS ENOUGH for all 2 live linear layers; 1 stays in 16 bits.",
        "DO: one scale (FP8): all 2 live linear layers pass, 8.02 bits per weight.",
    ]


def test_files_without_layers_are_said_to_be_so() -> None:
    lines = lines_about({"norm": weights()[0]})

    assert lines[1:] == [
        "NOTHING TO QUANTISE: 1 stays in 16 bits.",
        "DO: nothing; no layer can be quantised as it is.",
    ]


@pytest.mark.parametrize("kind", ["nan", "dead", "both"])
def test_many_broken_ones_are_counted(kind: str) -> None:
    """With one of each kind shown."""
    file = {f"layers.{i}.o_proj": weights(i) for i in range(40)}
    for i, array in enumerate(file.values()):
        array[:] = 0 if kind == "dead" or (kind == "both" and i == 0) else np.nan

    lines = lines_about(file)

    assert len(lines) == 7
    assert lines[4].endswith("; and 37 more")
    assert any("dead" in line for line in lines[2:5]) == (kind != "nan")


def test_damaged_rows_are_counted_where_the_median_row_is_fine() -> None:
    """Three rows of 64 lose their small elements to one large element each."""
    x = weights(rows=64)
    x[[3, 9, 20], [1, 5, 7]] = 1e6
    rows = np.delete(np.arange(64), [3, 9, 20])
    x[rows] *= 1e4  # the others are as large as what one scale is made for

    (line,) = [line for line in lines_about({"a.o_proj": x}) if line.startswith("  ")]

    assert re.search(r"rows above 2: \d+ -> \d+", line)


def test_hostile_names_are_harmless_and_short() -> None:
    """Names, and a path: a colour, a line's end, a reversed text, ten thousand letters."""
    file = {
        "\x1b[31mlayers.0.o_proj\n": weights(),
        "\u202e" + "x" * 9999 + ".o_proj": np.full((32, 64), np.nan, np.float32),
    }
    file["\x1b[31mlayers.0.o_proj\n"][5] *= 1e6

    lines = lines_about(file, paths={"Page": "r\x1b[2J/index.html"})

    assert all(len(line) < 250 for line in lines)


def test_a_budget_says_bits_schemes_and_error() -> None:
    found = frontier({"a.o_proj": weights(0), "b.o_proj": weights(1), "norm": weights()[0]})
    point = found.points[0]

    assert budget_line(point, found.measure) == (
        f"BUDGET: {point.bits:.2f} bits per weight of the whole file: NVFP4 for 2, "
        f"16 bits for 1; weight error {point.error:.4f}."
    )
