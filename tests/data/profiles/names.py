"""Which format and which profiles of fp8num belong to a conversion that `record.py` names."""

from __future__ import annotations

import re

#: By library: where the name of a conversion says what it is.
PATTERNS = {
    "cuda": r"__nv_cvt_\w+_to_\w+\((.+)\)",
    "torch": r"to\(torch\.float8_(.+)\)",
    "onnx": r"Cast\(to=FLOAT(.+)\)",
    "tinygrad": r"float_to_fp8\(dtypes\.fp8(.+)\)",
    "gfloat": r"encode_float\(round_float\((.+)\)\)",
    "ml_dtypes": r"astype\(float[468]_(.+)\)",
}
SHORT = {
    "e5m3fnu": "UE5M3",
    "e4m3": "E4M3FN",
    "e8m0": "E8M0FNU",
    "e2m3": "E2M3FN",
    "e3m2": "E3M2FN",
    "e2m1": "E2M1FN",
}


def long_name(short: str) -> str:
    """Return fp8num's name of a format, from a library's."""
    return SHORT.get(short.lower(), short.upper())


def profiles_of(library: str, version: str, conversion: str) -> tuple[str, list[str]]:
    """
    Return the format of a conversion, and the profiles that are to give the same.

    Parameters
    ----------
    library, version : str
        Such as torch and 2.13.0.
    conversion : str
        As recorded.

    Returns
    -------
    str, list of str
        The names.
    """
    match = re.fullmatch(PATTERNS[library], conversion)
    assert match is not None, conversion
    what = match[1]
    if library == "torch":
        major, minor = (int(part) for part in version.split(".")[:2])
        return long_name(what), ["torch>=2.13" if (major, minor) >= (2, 13) else "torch<2.13"]
    if library == "ml_dtypes":
        old = tuple(int(part) for part in version.split(".")[:2]) < (0, 7)
        name = "E4M3IEEE" if what == "e4m3" else long_name(what)
        return name, ["ml_dtypes<0.7" if old else "ml_dtypes"]
    if library == "tinygrad":
        return long_name(what), ["tinygrad"]
    if library == "gfloat":
        short, sat = what.split(",sat=")
        return long_name(short), ["gfloat-sat" if sat == "True" else "gfloat-nosat"]
    return _cuda(*what.split(",")) if library == "cuda" else _onnx(*what.split(","))


def _cuda(first: str, second: str) -> tuple[str, list[str]]:
    if second == "cudaRoundNearest":  # FP6 and FP4, which always saturate
        return long_name(first.removeprefix("__NV_")), ["cuda-satfinite"]
    whole = {"__NV_NOSAT": "cuda-nosat", "__NV_SATFINITE": "cuda-satfinite"}[first]
    if second.startswith("__NV_"):
        return long_name(second.removeprefix("__NV_")), [whole]
    rounding = {"cudaRoundZero": "rz", "cudaRoundPosInf": "rp"}[second]
    named = f"cuda-e8m0-{rounding}{'-nosat' if whole == 'cuda-nosat' else ''}"
    return "E8M0FNU", [named, whole] if rounding == "rp" else [named]


def _onnx(target: str, saturate: str = "", mode: str = "") -> tuple[str, list[str]]:
    if target[0] in "46":  # always saturate
        return long_name(target[1:]), ["onnx-saturate", "onnx-nosat"]
    whole = "onnx-saturate" if saturate == "saturate=1" else "onnx-nosat"
    if target != "8E8M0":
        return target[1:], [whole]
    mode = mode.removeprefix("round_mode=")
    if mode == "down":  # never overflows
        return "E8M0FNU", ["onnx-e8m0-down"]
    named = f"onnx-e8m0-{mode}{'' if whole == 'onnx-saturate' else '-nosat'}"
    return "E8M0FNU", [named, whole] if mode == "up" else [named]
