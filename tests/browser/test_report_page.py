"""
The page in Chromium: nothing complains, nothing hostile runs, figures have a size.

The browser is driven by its command line alone; ``FP8NUM_CHROMIUM`` is its path.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import zlib
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fp8num.inputs import builtin_tensors, tensor_from_array
from fp8num.report import Skipped, build_report, compare_on_digits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("FP8NUM_CHROMIUM", "/usr/bin/chromium")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
)

HOSTILE = (
    "<script>document.title='pwned'</script>",
    "\"'><img src=x onerror=document.title='pwned'>",
    "</title></style></script></svg><script>document.title='pwned'</script>",
    "<svg onload=document.title='pwned'>",
)

#: Added to a copy of the page: what a script would measure, as the title.
PROBE = """<script>
addEventListener("load", () => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const pictures = all("main svg[role=img]").filter((svg) => svg.checkVisibility());
  const boxes = pictures.map((svg) => svg.getBoundingClientRect());
  const rows = () => all(".all tbody tr").filter((row) => row.offsetParent);
  const names = () => rows().map((row) => row.cells[1].textContent);
  const heads = all(".all thead tr:last-child button");
  const value = (cell) => parseFloat(cell.textContent.replace(/[▲,]/g, ""));
  const values = (column) => rows().map((row) => value(row.cells[column]));
  const before = names();
  const start = performance.now();
  heads[9].click();
  const sorted = values(9), took = performance.now() - start;
  const [search, least] = document.querySelectorAll(".bar form input");
  const measure = document.querySelector(".bar select");
  const say = (field, value) => {
    field.value = value;
    field.dispatchEvent(new Event("input", {bubbles: true}));
  };
  say(search, "SOFTMAX"); const found = names(); say(search, "");
  say(measure, "9"); say(least, "32"); const least32 = values(9); say(least, "");
  document.title = JSON.stringify({
    sizes: boxes.map((box) => [box.width, box.height]),
    wide: document.documentElement.scrollWidth > innerWidth,
    high: document.documentElement.scrollHeight,
    top: document.querySelector("#worst, .tab").getBoundingClientRect().top,
    shown: document.querySelector("output").value,
    buttons: heads.length, before, sorted, took, found, least32,
  });
});
</script>"""


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, str]]:
    """Return a function that opens a page and returns what Chromium prints and logs."""
    profile = tmp_path_factory.mktemp("profile")

    def run(page: Path, *options: str, at: str = "") -> tuple[str, str]:
        done = subprocess.run(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri() + at],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    training = compare_on_digits(seeds=3, epochs=2, workers=1)
    folder = tmp_path_factory.mktemp("report")
    return build_report(builtin_tensors(), folder, training=training).page


def complaints(log: str) -> list[str]:
    """Return the lines that the page, not the browser, is responsible for."""
    return [line for line in log.splitlines() if "CONSOLE" in line]


def probed(page: Path, folder: Path) -> Path:
    """Copy a page without its policy and with the probe."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy = folder / "probed.html"
    copy.write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    return copy


def title(dom: str) -> str:
    """Return the document's title, which comes before those of drawings."""
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found is not None
    return found[1].replace("&quot;", '"')


def pixels(png: bytes) -> int:
    """Count the different bytes of an image's rows: one if it is blank."""
    data, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    return len(set(zlib.decompress(data)))


def test_the_page_has_no_console_errors(page: Path, browse: Callable[..., tuple[str, str]]) -> None:
    dom, log = browse(page, "--dump-dom")

    assert complaints(log) == []
    assert title(dom) == "fp8num report: 10 tensors in E4M3FN"
    assert dom.count("<button") == 19, "the one script that is allowed has run"


def test_a_complaint_would_be_seen(
    page: Path, tmp_path: Path, browse: Callable[..., tuple[str, str]]
) -> None:
    """A script that the policy does not know is refused, and the log says so."""
    copy = tmp_path / "changed.html"
    text = page.read_text(encoding="utf-8").replace(
        "</body>", "<script>document.title = 'pwned'</script></body>"
    )
    copy.write_text(text, encoding="utf-8")

    dom, log = browse(copy, "--dump-dom")

    assert complaints(log)
    assert title(dom) != "pwned"


@pytest.mark.parametrize("width", [1440, 500])
def test_pictures_have_a_size_and_the_table_sorts_and_filters(
    page: Path, tmp_path: Path, browse: Callable[..., tuple[str, str]], width: int
) -> None:
    dom, log = browse(probed(page, tmp_path), "--dump-dom", f"--window-size={width},1000")

    found = json.loads(title(dom))
    assert complaints(log) == []
    assert len(found["sizes"]) >= 10
    assert min(min(size) for size in found["sizes"]) > 20
    assert not found["wide"], "only tables scroll sideways, not the page"
    assert found["sorted"] == sorted(found["sorted"], reverse=True)
    assert len(found["sorted"]) == 10
    assert sorted(found["found"]) == sorted(n for n in found["before"] if "softmax" in n)
    assert found["least32"] == [value for value in found["sorted"] if value >= 32]
    assert 0 < len(found["least32"]) < 10
    assert found["shown"] == "10 of 10 shown"


def test_a_link_filters_without_a_script(
    page: Path, tmp_path: Path, browse: Callable[..., tuple[str, str]]
) -> None:
    """The rows of another decision take no room; the page's own script is left out."""
    text = re.sub(r"<script>.*?</script>", "", probed(page, tmp_path).read_text(), flags=re.DOTALL)
    count = (
        "<script>onload = () => { document.title = [...document.querySelectorAll("
        "'.all tbody tr')].filter((row) => row.offsetParent).length; }</script></body>"
    )
    (tmp_path / "bare.html").write_text(text.replace("</body>", count), encoding="utf-8")

    shown = [
        int(title(browse(tmp_path / "bare.html", "--dump-dom", at=at)[0]))
        for at in ("", "#f-tensor", "#f-keep")
    ]

    assert shown == [10, 9, 1]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return a function that writes a report of so many small layers."""

    def build(count: int) -> Path:
        x = np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32)
        x[3] *= np.float32(1e6)
        tensors = [
            tensor_from_array(f"model.layers.{i}.self_attn.o_proj.weight", np.roll(x, i, axis=0))
            for i in range(count)
        ]
        folder = tmp_path_factory.mktemp("many")
        return build_report(tensors, folder, formats=["E4M3FN"], rules=["tensor"]).page

    return build


def test_a_hundred_tensors_take_five_screens(
    many: Callable[[int], Path], tmp_path: Path, browse: Callable[..., tuple[str, str]]
) -> None:
    """Of 1440 by 900, and what to do is on the first."""
    dom, _ = browse(probed(many(100), tmp_path), "--dump-dom", "--window-size=1440,900")

    found = json.loads(title(dom))
    assert found["high"] <= 5 * 900
    assert found["top"] <= 900


def test_two_thousand_tensors_are_sorted_at_once(
    many: Callable[[int], Path], tmp_path: Path, browse: Callable[..., tuple[str, str]]
) -> None:
    page = many(60)
    text = page.read_text(encoding="utf-8")
    rows = re.findall(r"<tr data-d.*?(?=<tr data-d|</tbody>)", text, re.DOTALL)
    large = tmp_path / "large.html"
    large.write_text(text.replace(rows[0], rows[0] * 1941), encoding="utf-8")

    dom, log = browse(probed(large, tmp_path), "--dump-dom")

    found = json.loads(title(dom))
    assert complaints(log) == []
    assert len(found["sorted"]) == 2000
    assert found["took"] < 2000


def test_hostile_names_execute_nothing(
    tmp_path: Path, browse: Callable[..., tuple[str, str]]
) -> None:
    """Not even without the policy, which is only the second line of defence."""
    tensors = [
        tensor_from_array(name, np.arange(1, 4, dtype=np.float32), file=name) for name in HOSTILE
    ]
    skipped = [Skipped(file=name, name=name, reason=name) for name in HOSTILE]
    page = build_report(tensors, tmp_path / "r", skipped=skipped, command=HOSTILE[0]).page

    guarded, log = browse(page, "--dump-dom")
    bare, _ = browse(probed(page, tmp_path), "--dump-dom")

    assert title(guarded) == "fp8num report: 4 tensors"
    assert complaints(log) == [], "the policy had nothing to refuse"
    assert json.loads(title(bare))["buttons"] == 19
    assert "<img" not in guarded
    assert "onload" not in re.sub(r">[^<]*<|\"[^\"]*\"", "", guarded)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    page: Path, tmp_path: Path, browse: Callable[..., tuple[str, str]], scheme: str
) -> None:
    """All details are open, so that it sees them."""
    folder = files(pytest.importorskip("axe_core_python"))
    axe = folder.joinpath("axe.min.js").read_text(encoding="utf-8").replace("</", "<\\/")
    text = re.sub(r"<details(?! open)", "<details open", probed(page, tmp_path).read_text())
    text = text.replace(
        PROBE,
        f"<script>{axe}</script><script>axe.run().then((found) => {{ document.title = "
        "JSON.stringify([found.violations.map((one) => one.id), found.passes.length]); })"
        "</script>",
    )
    (tmp_path / "axe.html").write_text(text, encoding="utf-8")

    dom, _ = browse(
        tmp_path / "axe.html",
        "--dump-dom",
        f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
    )

    violations, passes = json.loads(title(dom))
    assert violations == []
    assert passes > 30


@pytest.mark.parametrize("width", [1280, 480])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_not_blank(
    page: Path, tmp_path: Path, browse: Callable[..., tuple[str, str]], scheme: str, width: int
) -> None:
    image = tmp_path / "page.png"

    browse(
        page,
        f"--screenshot={image}",
        f"--window-size={width},1600",
        f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
    )

    assert pixels(image.read_bytes()) > 50
