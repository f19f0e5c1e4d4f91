"""CSV and JSON hold everything, and programs read back what was found."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import fp8num as fp
from fp8num.analysis import COLUMNS, analyze_tensor
from fp8num.inputs import StoredTensor, tensor_from_array
from fp8num.report.tables import ReportContents, Skipped, TensorRecord, to_csv, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fp8num.nn import Comparison

FORMATS = ("E4M3FN", "POSIT8")


def contents(tensors: Iterable[StoredTensor], **rest: Any) -> ReportContents:
    records = [TensorRecord.of(analyze_tensor(tensor, FORMATS)) for tensor in tensors]
    formats = tuple(fp.get_format(name) for name in FORMATS)
    blank: dict[str, Any] = {"skipped": (), "command": ""}
    return ReportContents(
        records=records, formats=formats, rules=("unit", "tensor"), **blank | rest
    )


@pytest.fixture(scope="module")
def tensors() -> list[StoredTensor]:
    arrays = {
        "ordinary": np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 4),
        "zeros": np.zeros((2, 2), np.float32),
        "exact": np.ones((), np.float32),
        "not finite": np.array([np.nan, np.inf, 500.0, -np.inf], np.float32),
        "empty": np.zeros((0, 3), np.float32),
    }
    return [tensor_from_array(name, array) for name, array in arrays.items()]


def test_csv_has_a_row_for_each_tensor_format_and_rule(tensors: list[StoredTensor]) -> None:
    rows = list(csv.reader(io.StringIO(to_csv(contents(tensors)))))

    assert rows[0] == ["file", "tensor", "dtype", "shape", *COLUMNS]
    assert [(row[1], *row[4:6]) for row in rows[1:]] == [
        (tensor.name, fmt, rule)
        for tensor in tensors
        for fmt in FORMATS
        for rule in ("unit", "tensor")
    ]


def test_pandas_reads_the_csv_as_it_was_computed(tensors: list[StoredTensor]) -> None:
    expected = pd.concat([analyze_tensor(tensor, FORMATS).to_frame() for tensor in tensors])

    found = pd.read_csv(io.StringIO(to_csv(contents(tensors))))

    places = {"max_abs_at": "", "max_rel_at": ""}  # None there, an empty field here
    pd.testing.assert_frame_equal(
        found[list(COLUMNS)].fillna(places),
        expected.reset_index(drop=True).fillna(places),
        check_dtype=False,
        rtol=1e-15,  # pandas' reader may be off by a unit in the last place; csv's is not
    )


@pytest.mark.parametrize("engine", ["csv", "pandas"])
def test_hostile_names_survive_the_csv(
    engine: str, hostile: tuple[str, ...], hostile_tensors: tuple[StoredTensor, ...]
) -> None:
    """
    Quotes and line ends are data; only a lone surrogate, no character, is escaped.

    What begins as a formula has a space before it, and no cell begins as one.
    """
    data = to_csv(contents(hostile_tensors)).encode("utf-8", "backslashreplace")
    text = io.StringIO(data.decode(), newline="")

    if engine == "csv":
        names = [row["tensor"] for row in csv.DictReader(text)]
    else:
        frame = pd.read_csv(text, engine="python", keep_default_na=False)
        names = frame["tensor"].tolist()

    expected = [name.replace("\ud800", "\\ud800") for name in hostile]
    expected = [f" {name}" if name.startswith(tuple("=+-@\t\r\n")) else name for name in expected]
    assert any(name.startswith(" =") for name in expected)
    assert names[:: len(FORMATS) * 2] == expected


def test_json_is_strict_and_holds_what_was_found(tensors: list[StoredTensor]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = to_json(contents(tensors, command="fp8num report"))
    document = json.loads(text, parse_constant=refuse)

    assert text.isascii()
    assert (document["schema"], document["schema_version"]) == ("fp8num-report", 1)
    assert document["versions"]["fp8num"] == fp.__version__
    assert document["versions"]["numpy"] == np.__version__
    assert document["command"] == "fp8num report"
    assert document["formats"][0]["max"] == 448
    assert document["formats"][1]["mantissa_bits"] is None
    assert [tensor["name"] for tensor in document["tensors"]] == [t.name for t in tensors]
    for tensor, entry in zip(tensors, document["tensors"], strict=True):
        frame = analyze_tensor(tensor, FORMATS).to_frame()
        assert entry["shape"] == list(tensor.shape)
        assert [tuple(row) for row in entry["results"]] == [COLUMNS] * len(frame)
        for row, (_, expected) in zip(entry["results"], frame.iterrows(), strict=True):
            for name in ("sqnr_db", "underflow_rate", "max_rel_error"):
                value = expected[name]
                if math.isnan(value):
                    assert row[name] is None
                else:
                    assert row[name] == ("Infinity" if math.isinf(value) else value)


def test_rates_without_a_denominator_are_null(tensors: list[StoredTensor]) -> None:
    document = json.loads(to_json(contents(tensors)))

    empty = document["tensors"][-1]["results"][0]
    assert [empty[name] for name in ("underflow_rate", "saturation_rate", "sqnr_db")] == [None] * 3
    assert empty["max_abs_at"] is None
    assert document["tensors"][-1]["distribution"]["amin"] is None
    assert document["tensors"][-1]["distribution"]["binades"] == {
        "lowest_exponent": None,
        "counts": [],
    }


def test_json_counts_binades_from_the_lowest() -> None:
    x = tensor_from_array("x", np.array([0.3, 0.26, -1.5, 0.0], np.float32))

    document = json.loads(to_json(contents([x])))

    assert document["tensors"][0]["distribution"]["binades"] == {
        "lowest_exponent": -2,
        "counts": [2, 0, 1],
    }


def test_json_lists_what_was_skipped() -> None:
    x = tensor_from_array("x", np.ones(1, np.float32))
    skipped = (Skipped(file="a.npz", name="steps", reason="integers"),)

    document = json.loads(to_json(contents([x], skipped=skipped)))

    assert document["skipped"] == [{"file": "a.npz", "name": "steps", "reason": "integers"}]


def test_hostile_names_survive_json(
    hostile: tuple[str, ...], hostile_tensors: tuple[StoredTensor, ...]
) -> None:
    document = json.loads(to_json(contents(hostile_tensors)))

    assert [tensor["name"] for tensor in document["tensors"]] == list(hostile)
    assert [tensor["file"] for tensor in document["tensors"]] == list(hostile)


def test_json_holds_the_trainings(tensors: list[StoredTensor], comparison: Comparison) -> None:
    document = json.loads(to_json(contents(tensors[:1], training=comparison)))

    training = document["training"]
    assert training["seeds"] == [0, 1]
    assert [run["accuracy"] for run in training["runs"]] == [0.9, 0.89, 0.9, 0.8, 0.77, None]
    by_recipe = {one["recipe"]: one for one in training["results"]}
    assert by_recipe["lossy"]["accuracy_difference"]["mean"] == pytest.approx(-0.02)
    assert by_recipe["wild"]["decision"] == "diverged"
    assert json.loads(to_json(contents(tensors[:1])))["training"] is None
