"""The public names that others build on."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fp8num as fp

_SPEC = importlib.util.find_spec("fp8num")
assert _SPEC is not None
assert _SPEC.origin is not None
ROOT = Path(_SPEC.origin).parent

CATALOGUE = [
    "E4M3FN",
    "E5M2",
    "E4M3IEEE",
    "E3M4",
    "E4M3FNUZ",
    "E5M2FNUZ",
    "E4M3B11FNUZ",
    "E8M0FNU",
    "UE5M3",
    "E2M3FN",
    "E3M2FN",
    "E2M1FN",
    "HIFLOAT8",
    "POSIT8",
    "BINARY16",
    "BFLOAT16",
]
ENCODE_OPTIONS = {
    "rounding": "NearestTiesToEven",
    "saturation": "SatFinite",
    "like": None,
    "random_bits": None,
    "random_width": None,
    "rng": None,
    "out": None,
    "threads": 1,
}
#: Without those that say by an underscore that nothing in them is public.
MODULES = sorted(
    name
    for path in ROOT.rglob("*.py")
    if path.name != "__main__.py"
    for name in [
        ".".join(("fp8num", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
    ]
    if "._" not in name
)


# Formats.


def test_the_catalogue_is_the_documented_one() -> None:
    """In its order, each also an attribute of the package."""
    assert list(fp.FORMATS) == CATALOGUE
    for name, fmt in fp.FORMATS.items():
        assert isinstance(fmt, fp.Format)
        assert fmt.name == name
        assert getattr(fp, name) is fmt
        assert fp.get_format(name) is fmt
        assert name in fp.__all__
    with pytest.raises(TypeError):
        fp.FORMATS["mine"] = fp.E5M2  # type: ignore[index]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_format_has_the_documented_attributes(name: str) -> None:
    """Of the documented types; a table of 2**bits values that cannot be written to."""
    fmt = fp.get_format(name)
    for attribute in ("bits", "emax"):
        assert isinstance(getattr(fmt, attribute), int)
    for attribute in ("exponent_bits", "mantissa_bits", "precision", "bias", "emin"):
        tabulated = name in ("HIFLOAT8", "POSIT8")
        assert isinstance(getattr(fmt, attribute), type(None) if tabulated else int)
    for attribute in ("max", "min", "smallest_normal", "eps"):
        assert isinstance(getattr(fmt, attribute), float)
    assert isinstance(fmt.smallest_subnormal, float | None)
    assert isinstance(fmt.values, np.ndarray)
    assert fmt.values.dtype == np.float64
    assert fmt.values.shape == (1 << fmt.bits,)
    with pytest.raises(ValueError, match="read-only"):
        fmt.values[0] = 1
    assert fmt.source
    assert len(fmt.to_frame()) == 1 << fmt.bits
    assert isinstance(fmt.to_dict(), dict)
    assert hash(fmt) == hash(fp.get_format(name))


def test_formats_are_frozen_and_compare_by_value() -> None:
    """So that they can key a table."""
    mine = fp.Format(name="E4M3FN", exponent_bits=4, mantissa_bits=3, specials="fn")
    assert mine == fp.E4M3FN
    assert mine is not fp.E4M3FN
    assert {mine: 1}[fp.E4M3FN] == 1
    assert mine != fp.E4M3IEEE
    with pytest.raises(AttributeError):
        mine.bias = 8  # type: ignore[misc]


def test_get_format_takes_what_names_a_format() -> None:
    """Catalogue keys, usual spellings, dtypes, IEEE P3109's names, parameters."""
    import ml_dtypes

    assert fp.get_format("float8_e4m3fn") is fp.E4M3FN
    assert fp.get_format(ml_dtypes.float8_e4m3fn) is fp.E4M3FN
    assert fp.get_format(np.dtype(ml_dtypes.float8_e5m2)) is fp.E5M2
    assert fp.get_format(ml_dtypes.float8_e4m3) is fp.E4M3IEEE
    assert fp.get_format(np.float16) is fp.BINARY16
    assert fp.get_format(ml_dtypes.bfloat16) is fp.BFLOAT16
    assert fp.get_format(fp.POSIT8) is fp.POSIT8
    assert fp.get_format("binary8p3se") is fp.get_format("Binary8p3se")
    assert fp.get_format("w4m3b7-fn").max == 448


def test_enums_have_the_names_of_ieee_p3109() -> None:
    assert [mode.value for mode in fp.Rounding] == [
        *("NearestTiesToEven", "NearestTiesToAway", "TowardZero", "TowardPositive"),
        *("TowardNegative", "ToOdd", "StochasticA", "StochasticB", "StochasticC"),
    ]
    assert [mode.value for mode in fp.Saturation] == ["SatFinite", "SatPropagate", "SatNone"]
    assert {item.value for item in fp.Specials} == {
        *("ieee", "fn", "fnuz", "extended", "finite", "none")
    }
    assert {item.value for item in fp.Overflow} == {"infinity", "nan", "max"}
    aliases = ["rne", "rna", "rz", "ru", "rd", "ro", "sra", "srb", "src"]
    assert [fp.Rounding.parse(alias) for alias in aliases] == list(fp.Rounding)
    for kind in (fp.Rounding, fp.Saturation):
        for member in kind:
            assert kind.parse(member) is member
            assert kind.parse(member.value) is member


# The codec.


@pytest.mark.parametrize("name", ["encode", "quantize", "convert"])
def test_rounding_functions_have_the_documented_options(name: str) -> None:
    """By keyword alone, with these defaults."""
    parameters = inspect.signature(getattr(fp, name)).parameters
    for option, default in ENCODE_OPTIONS.items():
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[option].default == default
    leading = [
        key for key, p in parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert (
        leading
        == {
            "encode": ["x", "fmt"],
            "quantize": ["x", "fmt"],
            "convert": ["codes", "from_format", "to_format"],
        }[name]
    )


@pytest.mark.parametrize(
    ("name", "leading", "options"),
    [
        ("decode", ["codes", "fmt"], {"dtype": np.float32, "out": None, "threads": 1}),
        ("flags", ["x", "fmt"], {"rounding": "NearestTiesToEven", "tininess": "after"}),
        ("pack", ["codes", "fmt"], {}),
        ("unpack", ["data", "fmt", "count"], {}),
    ],
)
def test_other_functions_have_the_documented_options(
    name: str, leading: list[str], options: dict[str, Any]
) -> None:
    parameters = inspect.signature(getattr(fp, name)).parameters
    assert [
        key for key, p in parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ] == leading
    for option, default in options.items():
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[option].default == default


@pytest.mark.parametrize(
    "name",
    [
        *("FORMATS", "Format", "get_format", "Specials", "Overflow", "Rounding", "Saturation"),
        *("encode", "decode", "quantize", "convert", "flags", "pack", "unpack", "Flags"),
        *("verify", "strategies", "analyze", "__version__"),
    ],
)
def test_a_public_name_exists(name: str) -> None:
    assert name in fp.__all__
    assert getattr(fp, name) is not None
    assert name in dir(fp)


def test_public_functions_are_documented() -> None:
    """With parameters, results, errors and an example that runs elsewhere."""
    for name in (
        "encode",
        "decode",
        "quantize",
        "convert",
        "flags",
        "pack",
        "unpack",
        "get_format",
    ):
        text = inspect.getdoc(getattr(fp, name)) or ""
        for section in ("Parameters", "Returns", "Raises", "Examples"):
            assert f"\n{section}\n---" in text, f"{name} has no section {section}"


# Modules.


def public_definitions(source: str) -> set[str]:
    """Return the functions and classes at the top level of a module, without the private ones."""
    return {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    }


def test_all_is_what_the_module_defines(each: Any) -> None:
    """`__all__` holds every public function and class, each name once, and each exists."""

    def check(name: str) -> None:
        module = importlib.import_module(name)
        assert module.__file__ is not None
        defined = public_definitions(Path(module.__file__).read_text(encoding="utf-8"))
        if not hasattr(module, "__all__"):
            assert not defined, f"{name} defines {sorted(defined)} and has no __all__"
            return

        names = list(module.__all__)

        assert len(names) == len(set(names))
        assert defined <= set(names), f"not in __all__ of {name}: {sorted(defined - set(names))}"
        for public in names:
            assert hasattr(module, public), f"{name}.__all__ has {public}, which does not exist"
            assert not public.startswith("_") or public == "__version__"

    each(MODULES, check)


def test_a_name_missing_from_all_would_be_noticed() -> None:
    assert public_definitions("def f(): ...\nclass C: ...\ndef _g(): ...\nx = 1") == {"f", "C"}
