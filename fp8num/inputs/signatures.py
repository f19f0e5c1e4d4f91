"""What a file's first bytes say it is, for messages about files with the wrong name."""

from __future__ import annotations

import re

__all__ = ["HEAD", "MAX_SAFETENSORS_HEADER", "matches", "recognise"]

HEAD = 512  #: bytes that `matches` and `recognise` need at most
MAX_SAFETENSORS_HEADER = 100_000_000  #: bytes; the limit is the format's own

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (rb"\x93NUMPY", "a NumPy array (.npy)"),
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive, such as .npz or a PyTorch checkpoint"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself (run `git lfs pull`)"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (rb"GGUF", "a GGUF file"),
    (rb"\x1f\x8b", "gzip-compressed data (decompress it first)"),
    (rb"\x28\xb5\x2f\xfd", "zstd-compressed data (decompress it first)"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype\s+)?html", "an HTML page (a failed download?)"),
    (rb"(\xef\xbb\xbf)?\s*<\?xml", "an XML document (a failed download?)"),
    (rb"\x80[\x02-\x05]", "a Python pickle, such as a PyTorch checkpoint (never loaded: unsafe)"),
    (rb"(\xef\xbb\xbf)?\s*[{\[]\s*[\"\[{}\]\d]", "JSON text"),
)  # fmt: skip


def matches(kind: str, head: bytes) -> bool:
    """Whether a file that begins with `head` can be of a kind that is read."""
    if kind == "npy":
        return head.startswith(b"\x93NUMPY")
    if kind == "npz":
        return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_SAFETENSORS_HEADER


def recognise(head: bytes) -> str | None:
    """Say what a file beginning with `head` seems to be, if that is known."""
    for pattern, what in _SIGNATURES:
        if re.match(pattern, head):
            return what
    if matches("safetensors", head):
        return "a safetensors file"
    return None
