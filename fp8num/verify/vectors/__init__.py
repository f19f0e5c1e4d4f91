"""Golden vectors for other languages: as arrays, as packs of files, and a check of those."""

from fp8num.verify.vectors.conversion import Conversion, Vectors, conversions, vectors_of
from fp8num.verify.vectors.manifest import PackVerdict, check_manifest
from fp8num.verify.vectors.packs import write_pack

__all__ = [
    "Conversion",
    "PackVerdict",
    "Vectors",
    "check_manifest",
    "conversions",
    "vectors_of",
    "write_pack",
]
