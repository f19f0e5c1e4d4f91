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
  const boxes = [...document.querySelectorAll("svg")].map((svg) => svg.getBoundingClientRect());
  const texts = [...document.querySelectorAll("svg text")].map((text) => text.getBBox().width);
  const buttons = [...document.querySelectorAll(".overview button")];
  const first = () => document.querySelector(".overview tbody th").textContent;
  const before = first();
  if (buttons.length > 1) { buttons[1].click(); buttons[1].click(); }
  document.title = JSON.stringify({
    sizes: boxes.map((box) => [box.width, box.height]),
    narrowest: Math.min(...texts),
    wide: document.documentElement.scrollWidth > innerWidth,
    buttons: buttons.length,
    moved: before !== first(),
  });
});
</script>"""


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, str]]:
    """Return a function that opens a page and returns what Chromium prints and logs."""
    profile = tmp_path_factory.mktemp("profile")

    def run(page: Path, *options: str) -> tuple[str, str]:
        done = subprocess.run(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()],
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
    assert title(dom) == "fp8num report: 10 tensors in 9 formats"
    assert dom.count("<button") > 10, "the one script that is allowed has run"


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


def test_figures_have_a_size_and_sorting_works(
    page: Path, tmp_path: Path, browse: Callable[..., tuple[str, str]]
) -> None:
    dom, log = browse(probed(page, tmp_path), "--dump-dom", "--window-size=1280,1000")

    found = json.loads(title(dom))
    assert complaints(log) == []
    assert len(found["sizes"]) == 1 + 2 + 2 * 10
    assert min(min(size) for size in found["sizes"]) > 100
    assert found["narrowest"] > 0, "every text has been laid out"
    assert not found["wide"], "only tables scroll sideways, not the page"
    assert found["moved"], "the second column was sorted, highest first"


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

    assert title(guarded) == "fp8num report: 4 tensors in 9 formats"
    assert complaints(log) == [], "the policy had nothing to refuse"
    assert json.loads(title(bare))["sizes"]
    assert "<img" not in guarded
    assert "onload" not in re.sub(r">[^<]*<|\"[^\"]*\"", "", guarded)


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
