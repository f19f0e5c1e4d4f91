"""The page is one harmless document that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.analysis import analyze_tensor, recommend
from fp8num.inputs import StoredTensor, tensor_from_array
from fp8num.nn import Comparison
from fp8num.nn.outcome import Outcome, Share
from fp8num.report import pages
from fp8num.report.pages import render_page
from fp8num.report.tables import ReportContents, Skipped, TensorRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt


FORMATS = ("E4M3FN", "E5M2", "E2M1FN")


def render(
    tensors: Iterable[StoredTensor],
    formats: Sequence[str] = FORMATS,
    *,
    skipped: tuple[Skipped, ...] = (),
    keep: bool | None = False,
    target: str = "E4M3FN",
    training: Comparison | None = None,
) -> str:
    tensors = list(tensors)
    analyses = [analyze_tensor(tensor, formats) for tensor in tensors]
    contents = ReportContents(
        records=[TensorRecord.of(analysis) for analysis in analyses],
        formats=tuple(fp.get_format(name) for name in formats),
        rules=("unit", "tensor"),
        skipped=skipped,
        command="fp8num report <b>",
        training=training,
        decided=recommend(
            tensors, target, keep={} if keep is None else {t.name: keep for t in tensors}
        ),
    )
    return render_page(contents)


def gaussian(rows: int = 64, k: int = 256, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, k)).astype(np.float32)


@pytest.fixture(scope="module")
def tensors() -> list[StoredTensor]:
    """Return one tensor of each decision."""
    row, bad, columns = gaussian(), gaussian(), gaussian()
    row[5] *= np.float32(1e6)
    columns[:, [17, 40]] *= np.float32(1e5)
    bad[3, 7] = np.nan
    blocks = gaussian(16)
    blocks[:, :32] *= np.float32(1e5)
    return [
        tensor_from_array("layers.0.o_proj.weight", gaussian()),
        tensor_from_array("layers.0.norm.weight", np.ones(256, np.float32)),
        tensor_from_array("layers.1.q_proj.weight", row),
        tensor_from_array("layers.1.k_proj.weight", gaussian(seed=1)),
        tensor_from_array("layers.2.o_proj.weight", blocks),
        tensor_from_array("layers.3.o_proj.weight", bad),
        tensor_from_array("layers.4.o_proj.weight", np.zeros((64, 256), np.float32)),
        tensor_from_array("layers.5.o_proj.weight", columns),
    ]


@pytest.fixture(scope="module")
def page(tensors: list[StoredTensor], parse: Any) -> Any:
    return parse(render(tensors, keep=None))


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


def test_every_picture_is_hidden_or_says_its_figures(page: Any) -> None:
    pictures = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]

    assert all(svg["role"] == "img" and len(svg["aria-label"] or "") > 10 for svg in pictures)
    said = " ".join(svg["aria-label"] or "" for svg in pictures)
    assert "Where in the matrix: row 5" in said
    assert re.search(r"FP8: \d\d\.\d% of the nonzero elements become zero", said)


def test_the_pictures_are_few_lines() -> None:
    text = (files("fp8num.report") / "templates" / "pictures.html.j2").read_text(encoding="utf-8")

    assert text.count("\n") <= 200


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
    assert [(tag, set(a)) for tag, a in attacked.tags if tag != "wbr"] == [
        (tag, set(a)) for tag, a in expected.tags if tag != "wbr"
    ]
    assert "<script>document.title='pwned'</script>" in attacked.text("th")
    assert "{{ 7 * 7 }}{% raw %}" in attacked.text("th")
    assert r"line one\nline two\r\x1b[31m\x00" in attacked.text("th")
    rest = attacked.source.replace("\n", "")
    assert all(c.isprintable() for c in rest), "no control or reversing character anywhere"
    assert len(attacked.source) < 1_000_000


def test_the_first_sentence_counts_every_decision(page: Any) -> None:
    verdict = " ".join(page.text("p").split())

    assert (
        "Mend the file first: 1 tensor holds NaN or infinity and 1 tensor is all zeros. "
        "Of the other 6, 1 is fine with one scale, 2 need a scale per row, "
        "1 needs a scale per block, and 2 stay in 16 bits."
    ) in verdict


def test_counts_lead_to_their_rows(page: Any) -> None:
    """Each filter shows as many rows as its tile says; the style has a rule for each."""
    kinds = Counter(a["data-d"] for a in page.all("tr") if "data-d" in a)

    assert kinds == {"not-finite": 1, "dead": 1, "block": 1, "row": 2, "tensor": 1, "keep": 2}
    hrefs = Counter(a["href"] for a in page.all("a") if (a["href"] or "").startswith("#f-"))
    assert hrefs == dict.fromkeys((f"#f-{kind}" for kind in kinds), 2)
    for kind in kinds:
        assert f"#f-{kind}:target~.scroll tr[data-d]:not([data-d={kind}])" in page.source


def test_what_to_do_names_the_broken_first_with_their_places(page: Any) -> None:
    text = " ".join(page.text("li").split())

    assert text.startswith(
        "Mend 2 tensors in the file. layers.3.o_proj has NaN at [3, 7]; "
        "layers.4.o_proj is all zeros."
    )
    assert "Keep in 16 bits: layers.5.o_proj: no scheme passes. 1 norm: convention" in text
    assert "Only one scale per tensor possible? Then also keep 3 in 16 bits: " in text


def test_the_worst_come_first_and_say_the_cause(page: Any) -> None:
    names = re.findall(r"layers\.(\d)", page.text("h3"))
    text = page.text("li")

    assert names[:2] == ["3", "4"]
    assert set(names[2:5]) == {"1", "2", "5"}
    assert re.search(r"Row 5 is 9\d\d,000|Row 5 is 1\.\de6", text)
    assert "Columns 17, 40 are up to" in text
    assert "smooth the channel" in text


def test_the_table_has_every_tensor_by_its_full_name(
    tensors: list[StoredTensor], page: Any
) -> None:
    text = page.text("th")

    assert all(text.count(tensor.name) == 1 for tensor in tensors)
    assert "layers.<wbr>0.<wbr>o_proj.<wbr>weight" in page.source


def test_the_table_says_what_was_measured(tensors: list[StoredTensor], page: Any) -> None:
    (result,) = analyze_tensor(tensors[0], "E4M3FN", "tensor").results

    assert f"{result.metrics.sqnr_db:.1f}" in page.text("td")


def test_other_formats_are_a_section_below(page: Any) -> None:
    text = page.text("main")

    assert text.index("All 8 tensors") < text.index("Other formats") < text.index("least error")
    assert "E5M2" not in text[: text.index("Other formats")]
    assert "Weight error, not model accuracy." in page.text("header")


def test_a_file_without_weights_says_so(parse: Any) -> None:
    found = parse(render([tensor_from_array("b", np.ones(8, np.float32))], keep=None))

    assert "none is a weight that would be quantised: all stay in 16 bits" in found.text("p")
    assert "–" in found.text("td")


def test_a_target_of_four_bits_has_no_column_of_one_scale(parse: Any) -> None:
    found = parse(render([tensor_from_array("w", gaussian())], target="nvfp4"))

    assert "with NVFP4" in found.text("th")
    assert "1 needs a scale per block" in found.text("p")
    assert "one scale (FP8)" not in found.text("main")


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


@pytest.mark.parametrize("name", ["E8M0FNU", "POSIT8", "binary8p3uf", "BINARY16", "w2m1b1-none"])
def test_any_format_can_be_reported(tensors: list[StoredTensor], parse: Any, name: str) -> None:
    assert fp.get_format(name).name in parse(render(tensors, [name])).text("main")


def test_trainings_have_a_section_of_their_own(
    tensors: list[StoredTensor], comparison: Comparison, parse: Any, page: Any
) -> None:
    found = parse(render(tensors, training=comparison))

    text = " ".join(found.text("main").split())
    assert "FP32 against FP8 in training" in text
    assert "A small net was trained in fp32 and in lossy and wild, seed by seed" in text
    assert "lossy: undecided, more seeds are needed to tell 0.3 points (-2.000 points" in text
    assert "lossy: undecided to 0.3 points (−2.000 ± 1.000 points, 2 pairs); in wild: div" in text
    curves = [svg["aria-label"] for svg in found.all("svg") if svg.get("class") == "curves"]
    assert curves == [
        "Mean training loss by epoch: fp32 from 5.25 to 2.25; lossy from 5.95 to 2.55; "
        "wild from 3.5 to 1.5"
    ]
    hrefs = {a["href"] or "" for a in found.all("a")}
    assert {"training.csv", "training-curves.csv"} <= hrefs
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "in training" not in page.text("main")


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

    assert [(tag, set(a)) for tag, a in attacked.tags if tag != "wbr"] == [
        (tag, set(a)) for tag, a in expected.tags if tag != "wbr"
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
