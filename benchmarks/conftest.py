"""Print each measurement as a ratio to the peer that was measured in the same run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line per benchmark that names a peer: its time, the peer's, and the ratio."""
    session = getattr(config, "_benchmarksession", None)
    found = {bench.name: bench for bench in session.benchmarks} if session else {}
    rows = []
    for name, bench in found.items():
        peer = found.get(bench.extra_info.get("peer", ""))
        if peer is not None and bench.stats and peer.stats:
            ratio = peer.stats.min / bench.stats.min
            rows.append({"benchmark": name, "peer": peer.name, "ratio": ratio,
                         "seconds": bench.stats.min, "peer_seconds": peer.stats.min,
                         "asked": bench.extra_info.get("asked")})  # fmt: skip
    if not rows:
        return
    terminalreporter.write_sep(
        "-", "ratios to the peer of the same run (above 1: fp8num is faster)"
    )
    for row in rows:
        asked = "" if row["asked"] is None else f"  (aim {row['asked']:g})"
        terminalreporter.write_line(
            f"{row['ratio']:8.2f}x  {row['benchmark']:<44} against {row['peer']}{asked}"
        )
    if "FP8NUM_BENCHMARK_JSON" in os.environ:
        Path(os.environ["FP8NUM_BENCHMARK_JSON"]).write_text(json.dumps(rows, indent=1))
