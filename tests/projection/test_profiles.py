"""
Profiles: what `like=` gives is what the libraries gave.

Expectations are recordings of the libraries (tests/data/profiles, tests/data/hopper) and
transcribed numbers; `truth` stands between, made of the exact reference and the profile's
departures apart from the codec.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import names as recorded_names
import numpy as np
import pytest

import fp8num as fp
from fp8num._kernels.staircase import staircase
from fp8num.projection import PROFILES, Profile, Projection, Result
from fp8num.verify import Truth, truth
from fp8num.verify.cases import boundaries, nan_payloads, specials
from fp8num.verify.sources import SOURCES, get_source
from fp8num.verify.truth import truth_of

DATA = Path(__file__).parent.parent / "data"
#: What the profiles are asked about: of P3109, which has hundreds, one of each kind.
P3109 = ("Binary8p3se", "Binary8p4sf", "Binary8p1uf", "Binary4p2sf", "Binary6p3ue")
PROFILE_FORMATS = [
    (name, fmt)
    for name, profile in PROFILES.items()
    if profile.name == name
    for fmt in [*sorted(profile.formats), *(P3109 if profile.p3109 else ())]
]
#: The exact reference takes its time over the 65,536 values of bfloat16.
by_width = pytest.mark.parametrize(
    "pairs",
    [
        [pair for pair in PROFILE_FORMATS if pair[1] != "BFLOAT16"],
        pytest.param(
            [pair for pair in PROFILE_FORMATS if pair[1] == "BFLOAT16"],
            marks=pytest.mark.exhaustive,
        ),
    ],
    ids=["narrow", "wide"],
)


# The codec and the truth agree.


def words_around(known: Truth) -> Any:
    """Return where any projection may change, where this one does, and the ends of a type."""
    source = known.source
    beside = [known.starts + np.uint64(1), known.starts - np.uint64(1)]  # of 0 too: the last word
    around = np.concatenate([known.starts, *beside]) & np.uint64((1 << source.bits) - 1)
    sets = (boundaries(known.fmt, source), specials(source), nan_payloads(source))
    return np.concatenate([around.astype(source.word), *(cases.words for cases in sets)])


@by_width
def test_the_codec_gives_the_truth(pairs: Any, each: Any) -> None:
    """Every float16 and bfloat16; of float32 and float64 what is near a change, and NaNs."""

    def compare(name: str, fmt: str) -> None:
        for source in ("float16", "bfloat16", "float32", "float64"):
            known = truth(fmt, source, like=name)
            words = known.source.every() if known.source.bits == 16 else words_around(known)

            actual = fp.encode(known.source.values(words), fmt, like=name)

            np.testing.assert_array_equal(actual, known.codes_of(words), source)

    each(pairs, compare)


@by_width
def test_the_runs_of_the_truth_ascend(pairs: Any, each: Any) -> None:
    """Whatever a library departs in, each word is in one run, and neighbours differ."""

    def check(name: str, fmt: str) -> None:
        for source in SOURCES:
            known = truth(fmt, source, like=name)
            assert known.starts[0] == 0
            assert (known.starts[1:] > known.starts[:-1]).all()
            assert (known.codes[1:] != known.codes[:-1]).all()

    each(pairs, check)


# CUDA, PyTorch and ml_dtypes, recorded on an H200.


def hopper_names() -> dict[str, tuple[str, str]]:
    """Return the profile and the format of each recorded conversion of float32."""
    found = {}
    for short, fmt in (("e4m3", "E4M3FN"), ("e5m2", "E5M2")):
        for mode in ("nosat", "satfinite"):
            found[f"cuda13_cvt_{short}_{mode}"] = (f"cuda-{mode}", fmt)
    for short in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz"):
        found[f"torch2.11_cuda_float8_{short}"] = ("torch<2.12", short.upper())
        found[f"ml_dtypes_float8_{short}"] = ("ml_dtypes", short.upper())
    return found


@lru_cache(maxsize=1)
def hopper_digests() -> dict[str, list[str]]:
    """Return the recorded SHA-256 of each 2**24 float32 inputs, by conversion."""
    text = (DATA / "hopper" / "cvt32_digests.json").read_text(encoding="utf-8")
    found: dict[str, list[str]] = json.loads(text)["digests"]
    return found


def test_every_recorded_conversion_is_compared() -> None:
    assert hopper_digests().keys() == hopper_names().keys()


@pytest.mark.parametrize("conversion", hopper_names())
def test_all_float32_inputs_have_the_recorded_digests(conversion: str) -> None:
    """All 2**32 inputs, the codes of NaNs included: 256 digests of 2**24 codes."""
    name, fmt = hopper_names()[conversion]
    known = truth(fmt, "float32", like=name)

    actual = [known.digest(i << 24, 1 << 24) for i in range(256)]

    assert actual == hopper_digests()[conversion]


def test_a_digest_tells_conventions_apart() -> None:
    """Signs of NaNs, infinities, overflow: each is in some of the 256 stretches."""
    recorded = hopper_digests()["cuda13_cvt_e4m3_satfinite"]
    for name in ("torch>=2.13", "cuda-nosat", "ml_dtypes"):
        known = truth("E4M3FN", "float32", like=name)
        assert [known.digest(i << 24, 1 << 24) for i in range(256)] != recorded


@pytest.mark.parametrize("mode", ["nosat", "satfinite"])
@pytest.mark.parametrize(("short", "fmt"), [("e4m3", "E4M3FN"), ("e5m2", "E5M2")])
@pytest.mark.parametrize("source", ["f16", "bf16"])
def test_all_16_bit_inputs_have_the_codes_of_cuda(
    short: str, fmt: str, mode: str, source: str
) -> None:
    """By the codec itself, NaNs included."""
    with np.load(DATA / "hopper" / "cuda_cvt16.npz") as file:
        recorded = file[f"{short}_{mode}_{source}"]
    kind = get_source(source)

    actual = fp.encode(kind.values(kind.every()), fmt, like=f"cuda-{mode}")

    np.testing.assert_array_equal(actual, recorded)


# Libraries run on a CPU, and CUDA's headers.


class Recording(NamedTuple):
    """A line of a recording."""

    file: str
    conversion: str
    where: str
    source: str
    starts: Any
    codes: Any

    def __str__(self) -> str:
        return f"{self.file}-{self.conversion}-{self.where}-{self.source}"


@lru_cache(maxsize=1)
def recordings() -> tuple[Recording, ...]:
    """Read all the recordings."""
    found = []
    for path in sorted((DATA / "profiles").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                continue
            conversion, where, source, *runs = line.split()
            starts, codes = zip(
                *((int(n, 16) for n in run.split(":")) for run in runs), strict=True
            )
            found.append(
                Recording(path.stem, conversion, where, source, np.array(starts), np.array(codes))
            )
    return tuple(found)


def profiles_of(recording: Recording) -> tuple[str, list[str]]:
    """Return the format of a recorded conversion, and the profiles that are to give the same."""
    library, version = recording.file.split("-")
    found: tuple[str, list[str]] = recorded_names.profiles_of(
        library, version, recording.conversion
    )
    return found


def gpu_loses_the_sign(recording: Recording) -> bool:
    """Whether a line has the one departure that a profile names in its source text."""
    gpu = recording.file == "torch-2.11.0" and recording.where == "cuda"
    signed = re.search("e4m3fn[)]|e5m2[)]", recording.conversion)
    return gpu and recording.source == "float16" and signed is not None


def differences(recording: Recording, fmt: str, name: str) -> Any:
    """Return the recorded words whose code is not the profile's."""
    source = recording.source.removesuffix("*")
    known = truth(fmt, source, like=name)
    if source == recording.source:  # all words: the runs are the same or some code is not
        words = np.union1d(recording.starts, known.starts)
    else:
        upper = np.arange(1 << 16, dtype=np.uint64)[:, np.newaxis] << np.uint64(16)
        words = (upper | np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint64)).ravel()
    at = np.searchsorted(recording.starts, words, side="right") - 1
    return words[recording.codes[at] != known.codes_of(words)]


def test_a_profile_gives_the_recorded_codes(each: Any) -> None:
    """Every number of a type (of float32*, a sample), the codes of NaNs included."""

    def compare(text: str) -> None:
        recording = lines[text]
        fmt, names = profiles_of(recording)
        assert names
        for name in names:
            wrong = differences(recording, fmt, name)
            if gpu_loses_the_sign(recording):
                assert wrong.tolist() == [0xFC01]  # where float16's negative NaNs begin
            else:
                assert not wrong.size, f"{name}: {[hex(word) for word in wrong[:10].tolist()]}"

    lines = {str(recording): recording for recording in recordings()}
    each(lines, compare)


def test_every_profile_and_format_was_recorded() -> None:
    """But those that are standards, and bfloat16 of ml_dtypes, which is asked itself."""
    recorded = {(name, fmt) for fmt, names in map(profiles_of, recordings()) for name in names}
    standards = {"ocp-sat", "ocp-nonsat", "p3109-v4"}
    assert recorded == {
        (name, fmt)
        for name, fmt in PROFILE_FORMATS
        if name not in standards and (name[:9], fmt) != ("ml_dtypes", "BFLOAT16")
    }


def test_a_wrong_profile_would_be_noticed() -> None:
    """One departure left out, for each kind of departure."""
    lines = {str(recording): recording for recording in recordings()}
    for line, fmt, wrong in [
        # the code of NaN
        ("torch-2.13.0-to(torch.float8_e5m2)-cpu-float32", "E5M2", "ml_dtypes"),
        # where a step begins
        (
            "onnx-1.23.2-Cast(to=FLOAT8E8M0,saturate=1,round_mode=up)-cpu-float32*",
            "E8M0FNU",
            "cuda-e8m0-rp",
        ),
        # zero, and the sign
        ("torch-2.13.0-to(torch.float8_e8m0fnu)-cpu-float32", "E8M0FNU", "ml_dtypes"),
        # overflow
        (
            "gfloat-0.5.2-encode_float(round_float(e4m3,sat=False))-cpu-float16",
            "E4M3FN",
            "cuda-nosat",
        ),
    ]:
        assert differences(lines[line], fmt, wrong).size


# Counts, from running two libraries side by side.


@pytest.mark.parametrize(
    ("fmt", "one", "other", "float16", "bfloat16"),
    [
        ("E4M3FN", "torch>=2.13", "ml_dtypes", 14_720, 30_512),
        ("E5M2", "torch>=2.13", "ml_dtypes", 0, 0),
        ("E4M3FNUZ", "torch>=2.13", "ml_dtypes", 0, 0),
        ("E5M2FNUZ", "torch>=2.13", "ml_dtypes", 0, 0),
        ("E4M3FN", "torch>=2.13", "onnx-saturate", 0, 0),
        ("E5M2", "torch>=2.13", "onnx-saturate", 258, 28_706),
        ("E4M3FNUZ", "torch>=2.13", "onnx-saturate", 16_514, 30_738),
    ],
)
def test_two_libraries_differ_on_as_many_inputs(
    fmt: str, one: str, other: str, float16: int, bfloat16: int
) -> None:
    """Of the 65,536 of a type; any NaN is the same as any other."""
    for source, count in (("float16", float16), ("bfloat16", bfloat16)):
        x = get_source(source).values(get_source(source).every())
        codes = [fp.encode(x, fmt, like=name) for name in (one, other)]
        values = [fp.decode(code, fmt) for code in codes]
        differ = (codes[0] != codes[1]) & ~(np.isnan(values[0]) & np.isnan(values[1]))
        assert differ.sum() == count


def test_conversion_between_formats_differs_as_counted() -> None:
    """E5M2 to E4M3FN: 58 of 256 codes, 0x60 among them."""
    codes = np.arange(256, dtype=np.uint8)
    ours, theirs = (
        fp.convert(codes, "E5M2", "E4M3FN", like=name) for name in ("torch>=2.13", "ml_dtypes")
    )
    assert (ours[0x60], theirs[0x60]) == (0x7E, 0x7F)
    assert ((ours & 0x7F) != (theirs & 0x7F)).sum() == 58


# The standards, in numbers of their tables.


@pytest.mark.parametrize(
    ("fmt", "x", "sat", "nonsat"),
    [
        ("E4M3FN", 464.0, 0x7E, 0x7E),
        ("E4M3FN", 464.01, 0x7E, 0x7F),
        ("E4M3FN", np.inf, 0x7E, 0x7F),
        ("E4M3FN", -np.inf, 0xFE, 0xFF),
        ("E5M2", 61439.0, 0x7B, 0x7B),
        ("E5M2", 61440.0, 0x7B, 0x7C),
        ("E5M2", np.inf, 0x7B, 0x7C),
        ("E5M2", -1e9, 0xFB, 0xFC),
    ],
)
def test_ocp_has_two_modes(fmt: str, x: float, sat: int, nonsat: int) -> None:
    """OFP8 1.0: rounded first, then judged; infinities saturate too."""
    assert fp.encode(x, fmt, like="ocp-sat") == sat
    assert fp.encode(x, fmt, like="ocp-nonsat") == nonsat


@pytest.mark.parametrize(
    ("fmt", "x", "code"),
    [
        ("Binary8p3se", 1e9, 0x7F),  # +infinity
        ("Binary8p3se", -1e9, 0xFF),
        ("Binary8p3se", 53247.0, 0x7E),  # below the tie of 49152 and 57344
        ("Binary8p4sf", 1e9, 0x7F),  # the largest value, 240: v4.0, and not NaN
        ("Binary8p4sf", np.nan, 0x80),
        ("Binary8p1uf", -1.0, 0xFF),  # NaN
    ],
)
def test_p3109_does_not_saturate(fmt: str, x: float, code: int) -> None:
    assert fp.encode(x, fmt, like="p3109-v4") == code


@pytest.mark.parametrize("overflow", ["nan", None])
def test_p3109_has_its_own_formats_only(overflow: str | None) -> None:
    """Not those of a later draft or of another bias, though they bear the name."""
    fmt = fp.Format(
        name="Binary8p4sf",
        exponent_bits=4,
        mantissa_bits=3,
        specials="finite",
        overflow=overflow,
        bias=None if overflow else 9,
    )
    assert PROFILES["p3109-v4"].has(fp.get_format("binary8p4sf"))
    with pytest.raises(ValueError, match="'p3109-v4' says nothing about .* every P3109 format"):
        fp.encode(1.0, fmt, like="p3109-v4")


# E8M0, as transcribed from what was seen to differ.


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        # 0, -1, 2**-130, 2**-127, 1.0000001, 3, 1.5 * 2**127, infinity
        ("ml_dtypes", [255, 255, 0, 0, 127, 129, 255, 255]),
        ("torch>=2.13", [0, 127, 0, 0, 127, 129, 255, 255]),
        ("onnx-saturate", [0, 127, 1, 1, 128, 129, 254, 255]),
        ("onnx-nosat", [0, 127, 1, 1, 128, 129, 255, 255]),
        ("onnx-e8m0-nearest", [0, 127, 0, 0, 127, 129, 254, 255]),
        ("onnx-e8m0-nearest-nosat", [0, 127, 0, 0, 127, 129, 255, 255]),
        ("onnx-e8m0-down", [0, 127, 0, 0, 127, 128, 254, 255]),
        ("cuda-satfinite", [0, 127, 0, 0, 128, 129, 254, 254]),
        ("cuda-nosat", [0, 127, 0, 0, 128, 129, 255, 255]),
        ("cuda-e8m0-rz", [0, 127, 0, 0, 127, 128, 254, 254]),
        ("cuda-e8m0-rz-nosat", [0, 127, 0, 0, 127, 128, 254, 255]),
        ("gfloat-sat", [255, 255, 255, 0, 127, 128, 254, 254]),
        ("gfloat-nosat", [255, 255, 255, 0, 127, 128, 254, 255]),
    ],
)
def test_e8m0_is_another_in_every_library(name: str, codes: list[int]) -> None:
    x = np.array([0, -1, 2.0**-130, 2.0**-127, 1.0000001, 3, 1.5 * 2.0**127, np.inf], np.float32)

    assert fp.encode(x, "E8M0FNU", like=name).tolist() == codes


# Looking profiles up.


def test_profiles_say_where_they_come_from() -> None:
    for name, profile in PROFILES.items():
        assert isinstance(profile, Profile)
        assert re.search(r"\d\.\d", profile.source), f"{name}: no version in {profile.source!r}"
        assert set(profile.sources) <= SOURCES.keys()
        assert set(profile.sources) >= {"float16", "bfloat16", "float32"}
        assert profile.exceptions.keys() <= profile.formats
        assert all(fp.get_format(fmt).name == fmt for fmt in profile.formats)


def test_only_what_takes_float64_claims_it() -> None:
    """The casts of other arrays and of tensors round float64 twice, or were not tried."""
    claims = {profile.name for profile in PROFILES.values() if "float64" in profile.sources}
    assert claims == {
        *("ocp-sat", "ocp-nonsat", "p3109-v4", "tinygrad", "gfloat-sat", "gfloat-nosat"),
        "ml_dtypes",
    }


def test_the_wanted_names_are_there() -> None:
    assert {
        *("ocp-sat", "ocp-nonsat", "ml_dtypes", "torch<2.12", "torch>=2.12", "cuda-satfinite"),
        *("cuda-nosat", "onnx-saturate", "onnx-nosat", "p3109-v4", "tinygrad"),
    } <= PROFILES.keys()


def test_a_second_name_is_the_same_profile() -> None:
    assert PROFILES["torch>=2.12"] is PROFILES["torch>=2.13"]
    assert PROFILES["torch<2.12"] is PROFILES["torch<2.13"]
    assert fp.encode(500.0, "E4M3FN", like="torch>=2.12") == 0x7E
    assert fp.encode(500.0, "E4M3FN", like="torch<2.12") == 0x7F


def test_a_profile_itself_can_be_given() -> None:
    assert fp.encode(500.0, "E4M3FN", like=PROFILES["cuda-nosat"]) == 0x7F


@pytest.mark.parametrize("name", ["torch", "cuda", "onnx", "OCP-SAT", "", "numpy"])
def test_an_unknown_name_lists_the_names(name: str) -> None:
    """Bare library names are not profiles: which version, which mode?"""
    with pytest.raises(ValueError, match="like must be one of ml_dtypes, .*") as error:
        fp.encode(1.0, "E4M3FN", like=name)
    for known in PROFILES:
        assert known in str(error.value)
    assert f"got {name!r}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "fmt", "message"),
    [
        ("ocp-sat", "E8M0FNU", "'ocp-sat' says nothing about E8M0FNU; it has E4M3FN, E5M2$"),
        ("cuda-nosat", "E2M1FN", "'cuda-nosat' says nothing about E2M1FN; it has E4M3FN, E5M2"),
        ("cuda-e8m0-rz", "E5M2", "says nothing about E5M2; it has E8M0FNU$"),
        ("p3109-v4", "E5M2", "says nothing about E5M2; it has every P3109 format$"),
        ("tinygrad", "HIFLOAT8", "says nothing about HIFLOAT8; it has E4M3FN, E4M3FNUZ"),
        ("torch>=2.12", "POSIT8", "like='torch>=2.13' says nothing about POSIT8"),
    ],
)
def test_a_format_that_the_library_lacks_is_refused(name: str, fmt: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fp.encode(1.0, fmt, like=name)
    with pytest.raises(ValueError, match=message):
        truth(fmt, like=name)


@pytest.mark.parametrize(
    "options", [{"rounding": "rz"}, {"saturation": "SatNone"}, {"nan": "raise"}], ids=str
)
def test_a_profile_decides_the_projection(options: Any, each: Any) -> None:
    def check(name: str) -> None:
        message = f"like='{re.escape(name)}' decides rounding, saturation"
        with pytest.raises(ValueError, match=message):
            fp.encode(1.0, "E4M3FN", like=name, **options)

    each(PROFILES, check)


# Overrides that cannot be.


@pytest.mark.parametrize(
    ("fmt", "result", "saturation", "rounding"),
    [
        ("E4M3FN", Result.OVERFLOW, "SatFinite", "rne"),  # is the largest value there
        ("E4M3FN", Result.OVERFLOW, "SatNone", "rz"),  # likewise
        ("E2M1FN", Result.OVERFLOW, "SatNone", "rne"),  # likewise
        ("E8M0FNU", Result.MINUS_OVERFLOW, "SatNone", "rne"),  # all below zero is alike
        ("E4M3FN", Result.MINUS_UNDERFLOW, "SatNone", "rne"),  # becomes -0
        ("E8M0FNU", Result.MINUS_UNDERFLOW, "SatNone", "rne"),  # nothing becomes zero
    ],
)
def test_what_has_no_code_of_its_own_is_refused(
    fmt: str, result: Result, saturation: str, rounding: str
) -> None:
    odd = Projection(
        rounding=fp.Rounding.parse(rounding),
        saturation=fp.Saturation(saturation),
        results=((result, 1),),
    )
    with pytest.raises(ValueError, match=f"results must not change {result.value} for {fmt}"):
        staircase(fp.get_format(fmt), odd)


@pytest.mark.parametrize("fmt", ["E4M3FN", "E5M2", "E4M3FNUZ", "Binary8p3se"])
@pytest.mark.parametrize("rounding", ["NearestTiesToEven", "NearestTiesToAway"])
def test_overflow_can_be_given_another_code(fmt: str, rounding: str) -> None:
    """In every type, also in one whose numbers all lie within the range of the format."""
    projection = Projection(
        rounding=fp.Rounding(rounding),
        saturation=fp.Saturation.SAT_NONE,
        results=((Result.OVERFLOW, 1), (Result.MINUS_OVERFLOW, 2)),
    )
    profile = Profile(name="odd", source="1.0", default=projection, formats=frozenset({fmt}))
    for source in ("float16", "float32"):
        known = truth_of(fp.get_format(fmt), projection, get_source(source))
        words = words_around(known)

        actual = fp.encode(known.source.values(words), fmt, like=profile)

        np.testing.assert_array_equal(actual, known.codes_of(words))
    largest = np.array([3e38, -3e38], np.float32)
    assert fp.encode(largest, fmt, like=profile).tolist() == [1, 2]
