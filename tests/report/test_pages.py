"""The page is one harmless document that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.analysis import COLUMNS, analyze_tensor
from fp8num.inputs import StoredTensor, tensor_from_array
from fp8num.nn import Comparison
from fp8num.nn.outcome import Outcome, Share
from fp8num.report import pages
from fp8num.report.columns import COLUMN_GROUPS
from fp8num.report.pages import hardest_first, render_page
from fp8num.report.tables import Contents, Skipped, TensorRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


FORMATS = ("E4M3FN", "E5M2", "E2M1FN")


def render(
    tensors: Iterable[StoredTensor],
    formats: Sequence[str] = FORMATS,
    *,
    skipped: tuple[Skipped, ...] = (),
    drawn: int = 40,
    training: Comparison | None = None,
) -> str:
    analyses = [analyze_tensor(tensor, formats) for tensor in tensors]
    contents = Contents(
        records=[TensorRecord.of(analysis) for analysis in analyses],
        formats=tuple(fp.get_format(name) for name in formats),
        rules=("unit", "tensor"),
        skipped=skipped,
        command="fp8num report <b>",
        training=training,
    )
    return render_page(contents, dict(list(enumerate(analyses))[:drawn]))


@pytest.fixture(scope="module")
def tensors() -> list[StoredTensor]:
    rng = np.random.default_rng(0)
    return [
        tensor_from_array("weight", rng.standard_normal((8, 16)).astype(np.float32)),
        tensor_from_array("gradient", 1e-5 * rng.standard_normal(50).astype(np.float32)),
        tensor_from_array("zeros", np.zeros(3, np.float32)),
    ]


@pytest.fixture(scope="module")
def page(tensors: list[StoredTensor], parse: Any) -> Any:
    return parse(render(tensors))


def test_it_is_a_document_in_english_with_one_heading(page: Any) -> None:
    assert page.source.startswith('<!doctype html>\n<html lang="en">')
    assert page.source.endswith("</html>\n")
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert page.text("title")[:13] == "fp8num report"


def test_ids_are_unique_and_links_lead_to_them(page: Any) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    targets = {
        (attributes["href"] or "").removeprefix("#")
        for attributes in page.all("a")
        if (attributes["href"] or "").startswith("#")
    }

    assert len(ids) == len(set(ids))
    assert targets <= set(ids)


def test_every_figure_is_an_image_with_a_title_and_a_description(page: Any) -> None:
    labels = [label for svg in page.all("svg") for label in (svg["aria-labelledby"] or "").split()]

    assert len(page.all("svg")) == 1 + 2 * 3
    assert all(svg["role"] == "img" for svg in page.all("svg"))
    described = {a["id"] for tag, a in page.tags if tag in {"title", "desc"} and "id" in a}
    assert described == set(labels)


def test_nothing_is_loaded_from_elsewhere(page: Any) -> None:
    loading = {"src", "srcset", "action", "data", "poster", "background", "formaction", "ping"}
    for tag, attributes in page.tags:
        assert not loading & set(attributes), f"<{tag} {attributes}>"
    assert {link["href"] for link in page.all("link")} == {"data:,"}
    hrefs = {a["href"] or "" for a in page.all("a")}
    assert {href for href in hrefs if href[0] != "#"} == {"report.csv", "report.json"}
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_the_policy_allows_one_script_by_its_digest_and_no_attribute_scripts(page: Any) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    (policy,) = [
        meta["content"]
        for meta in page.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), f"<{tag} {attributes}>"


def test_hostile_names_are_text(
    parse: Any, hostile: tuple[str, ...], hostile_tensors: tuple[StoredTensor, ...]
) -> None:
    harmless = [
        tensor_from_array(f"w{i}", np.arange(1, 4, dtype=np.float32), file=f"f{i}")
        for i in range(len(hostile))
    ]
    skipped = tuple(Skipped(file=name, name=name, reason=name) for name in hostile)
    plain = tuple(Skipped(file="f", name="w", reason="r") for _ in hostile)

    attacked = parse(render(hostile_tensors, skipped=skipped))
    expected = parse(render(harmless, skipped=plain))

    # The same elements with the same attributes: nothing in a name has made another.
    assert [(tag, set(a)) for tag, a in attacked.tags] == [
        (tag, set(a)) for tag, a in expected.tags
    ]
    assert "<script>document.title='pwned'</script>" in attacked.text("h3")
    assert "{{ 7 * 7 }}{% raw %}" in attacked.text("h3")
    assert r"line one\nline two\r\x1b[31m\x00" in attacked.text("h3")
    titles = [a["title"] or "" for _, a in attacked.tags if "title" in a]
    assert max(map(len, titles)) == 300
    assert all(title.isprintable() for title in titles)
    rest = attacked.source.replace("\n", "")
    assert all(c.isprintable() for c in rest), "no control or reversing character anywhere"
    assert len(attacked.source) < 1_000_000


def test_every_column_is_on_the_page_once_in_the_table_or_among_the_facts() -> None:
    in_table = {column.name for _, group in COLUMN_GROUPS for column in group}

    assert in_table | {"size", "amax", "zeros", "nans", "infinities"} == set(COLUMNS)


def test_the_numbers_are_on_the_page(page: Any, tensors: list[StoredTensor]) -> None:
    frame = analyze_tensor(tensors[0], FORMATS).to_frame()

    text = page.text("table")
    for sqnr in frame["sqnr_db"]:
        assert f"{sqnr:.1f}" in text


def test_the_summary_and_its_caveat_come_first(page: Any) -> None:
    text = page.text("main")

    assert text.index("8 bits") < text.index("Overview") < text.index("What the numbers mean")
    assert "This measures the error of the numbers, not a model’s accuracy." in text


def test_the_hardest_tensors_come_first_and_those_without_signal_last(page: Any) -> None:
    assert re.findall(r"weight|gradient|zeros", page.text("h3")) == ["gradient", "weight", "zeros"]


def test_what_was_left_out_is_listed(
    tensors: list[StoredTensor], parse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_SKIPPED", 1)
    skipped = tuple(
        Skipped(file="f.npz", name=name, reason="integers") for name in ("steps", "ids")
    )

    text = parse(render(tensors, skipped=skipped)).text("main")

    assert "2 entries of the files were not analysed; the first 1 are listed" in text
    assert "steps in f.npz: integers" in text
    assert "ids in" not in text


def test_a_page_is_capped_and_says_so(parse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_ROWS", 6)
    many = [tensor_from_array(f"w{i}", np.full(2, 1.01 * 2.0**-i, np.float32)) for i in range(5)]

    found = parse(render(many, drawn=2))

    text = " ".join(found.text("main").split())
    assert "The table is cut after 3 of 5 tensors" in text
    assert "The 2 hardest of 5 tensors are shown" in text
    assert len(found.all("svg")) == 1 + 2 * 2
    assert sum("data-v" in a for a in found.all("td")) == 6 * len(FORMATS)


def test_an_uncapped_page_does_not_speak_of_caps(page: Any) -> None:
    assert "cut after" not in page.text("main")
    assert "hardest of" not in page.text("main")


@pytest.mark.parametrize("name", ["E8M0FNU", "POSIT8", "binary8p3uf", "BINARY16", "w2m1b1-none"])
def test_any_format_can_be_reported(tensors: list[StoredTensor], parse: Any, name: str) -> None:
    assert fp.get_format(name).name in parse(render(tensors, [name])).text("main")


def test_the_order_of_tensors_without_signal_is_defined() -> None:
    blank = {"file": "f", "dtype": "F32", "shape": (), "distribution": {}}
    records = [
        TensorRecord(name=str(sqnr), rows=[{"sqnr_db": sqnr}], **blank)  # type: ignore[arg-type]
        for sqnr in (float("nan"), float("inf"), 3.0, -2.0)
    ]

    assert [r.name for r in sorted(records, key=hardest_first)] == ["-2.0", "3.0", "inf", "nan"]


def test_trainings_have_a_section_of_their_own(
    tensors: list[StoredTensor], comparison: Comparison, parse: Any, page: Any
) -> None:
    found = parse(render(tensors, training=comparison))

    text = " ".join(found.text("main").split())
    assert "FP32 against FP8 in training" in text
    assert "A small net was trained in fp32 and in lossy and wild, seed by seed" in text
    assert "lossy: undecided, more seeds are needed to tell 0.3 points (-2.000 points" in text
    assert "lossy: undecided to 0.3 points (−2.000 ± 1.000 points, 2 pairs); in wild: div" in text
    assert len(found.all("svg")) == len(page.all("svg")) + 2
    hrefs = {a["href"] or "" for a in found.all("a")}
    assert {"training.csv", "training-curves.csv", "#training"} <= hrefs
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "training" not in page.text("main")


def test_names_in_trainings_are_text(
    tensors: list[StoredTensor], hostile: tuple[str, ...], outcome: Any, parse: Any
) -> None:
    def page(names: Sequence[str]) -> Any:
        settings = {"data": {"name": names[0], "sha256": ""}, "recipe": {"source": names[1]}}
        outcomes = [
            outcome(name, seed, 0.5, 1.0, shares=(Share(name, name, name, 0.5, 0.5),))
            for seed in range(2)
            for name in names
        ]
        given = [replace(one, settings=one.settings | settings) for one in outcomes]
        return parse(render(tensors[:1], training=Comparison(tuple(given), names[0], 0.003)))

    attacked = page(list(dict.fromkeys(hostile[:-1])))
    expected = page([f"n{i}" for i in range(len(hostile) - 1)])

    assert [(tag, set(a)) for tag, a in attacked.tags] == [
        (tag, set(a)) for tag, a in expected.tags
    ]
    assert all(c.isprintable() for c in attacked.source.replace("\n", ""))
    assert len(attacked.source) < 2_000_000


def test_trainings_that_all_diverged_are_a_section_too(
    tensors: list[StoredTensor], parse: Any
) -> None:
    lost = [Outcome(recipe=name, seed=0, fold=0, diverged="NaN") for name in ("fp32", "b")]

    text = parse(render(tensors, training=Comparison(tuple(lost), "fp32", 0.003))).text("main")

    assert "b: diverged in 1 of 1 seed" in text
    assert "What the casts lost" not in text
