"""The versions of the packages that configurations are loaded by, in pytest's header."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    *("compressed-tensors", "llmcompressor", "nvidia-modelopt", "torchao", "nvdlfw-inspect"),
    *("torch", "transformers"),
)


def pytest_report_header() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return f"configurations: {', '.join(found)}"
