"""Verdicts on implementations: what is judged, and what goes wrong on the way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num import verify
from fp8num.projection import get_projection
from fp8num.verify import cases, reference
from fp8num.verify.implementation import check_codes
from fp8num.verify.process import ProcessImplementation
from fp8num.verify.sources import get_source
from fp8num.verify.tally import NanRule, Tally, Witness, tally
from fp8num.verify.truth import expected_flags

Array = npt.NDArray[Any]


def cast(x: Array) -> Array:
    """Convert as ml_dtypes does; its array is taken as codes."""
    return x.astype(ml_dtypes.float8_e4m3fn)


def faults(verdict: verify.Conformance) -> set[str]:
    return {finding.fault.value for finding in verdict.findings}


# What can be judged.


@pytest.mark.parametrize(
    ("name", "source"),
    [
        # By default each format from one of the types in turn.
        pytest.param(f"float8_{name}", source, marks=[] if j == i % 3 else [pytest.mark.exhaustive])
        for i, name in enumerate(["e4m3fn", "e5m2", "e4m3", "e3m4", "e4m3fnuz"])
        for j, source in enumerate(["float16", "bfloat16", "float32"])
    ],
)
def test_a_peer_conforms_to_its_own_profile(name: str, source: str) -> None:
    """NaN codes included; from the types that ml_dtypes rounds once from."""
    dtype = getattr(ml_dtypes, name)

    verdict = verify.check(
        lambda x: x.astype(dtype), dtype, source=source, like="ml_dtypes", compare_nan="code"
    )

    assert verdict.ok, str(verdict)


def test_double_rounding_of_float64_arrays_is_found() -> None:
    """As ml_dtypes before 0.7, through float32; the witnesses are beside ties."""

    def cast(x: Array) -> Array:
        return x.astype(np.float32).astype(ml_dtypes.float8_e4m3fn)

    verdict = verify.check(cast, "E4M3FN", source="float64", like="ml_dtypes")

    assert not verdict.ok
    assert {"near normal tie", "near subnormal tie"} <= set(verdict.by_class)
    for witness in verdict.witnesses:
        x = np.array([witness.word], np.uint64).view(np.float64)
        right = reference.project(x[0], fp.E4M3FN, "NearestTiesToEven", "SatNone")
        assert witness.expected == right
        assert witness.got == cast(x).view(np.uint8)[0] != right


def test_an_implementation_may_take_bits() -> None:
    """As a kernel does that works on integers."""
    seen = []

    def from_bits(words: Array) -> Array:
        seen.append(words.dtype)
        return words.view(np.float32).astype(ml_dtypes.float8_e5m2)

    verdict = verify.check(from_bits, "E5M2", takes="bits", like="ml_dtypes")

    assert verdict.ok, str(verdict)
    assert set(seen) == {np.dtype(np.uint32)}


@pytest.mark.parametrize(
    ("rounding", "saturation"),
    [
        # By default each rounding with one saturation in turn.
        pytest.param(rounding, saturation, marks=[] if j == i % 3 else [pytest.mark.exhaustive])
        for i, rounding in enumerate(["rz", "ru", "rd", "ro", "rna"])
        for j, saturation in enumerate(["SatFinite", "SatPropagate", "SatNone"])
    ],
)
def test_every_deterministic_projection_can_be_expected(rounding: str, saturation: str) -> None:
    """The codec conforms; to any other mode it does not."""
    options = {"rounding": rounding, "saturation": saturation}

    def encode(x: Array) -> Array:
        return fp.encode(x, "E5M2", **options)  # type: ignore[arg-type]

    plain = {"source": "float16", "probes": False}
    assert verify.check(encode, "E5M2", **plain, **options).ok  # type: ignore[arg-type]
    assert not verify.check(encode, "E5M2", **plain).ok  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2FNUZ", "E2M1FN", "HIFLOAT8", "POSIT8"])
def test_a_decoder_is_judged_by_all_codes(name: str) -> None:
    """Values by the definition, with the sign of zero."""
    verdict = verify.check(lambda codes: fp.decode(codes, name), name, direction="decode")

    assert verdict.ok, str(verdict)
    assert verdict.tally.cases == 1 << fp.get_format(name).bits

    def flushing(codes: Array) -> Array:
        values = fp.decode(codes, name)
        return np.where(values == values[1], np.float32(0), values)

    wrong = verify.check(flushing, name, direction="decode")
    assert not wrong.ok
    assert wrong.tally.total == 1
    assert wrong.witnesses[0].word == 1


def test_a_decoder_must_return_the_type_that_is_expected() -> None:
    verdict = verify.check(
        lambda codes: fp.decode(codes, "E4M3FN", dtype=np.float64), "E4M3FN", direction="decode"
    )
    assert faults(verdict) == {"dtype"}
    with pytest.raises(ValueError, match=r"source must hold every value of BFLOAT16, float16"):
        verify.check(
            lambda codes: codes.astype(np.float16), "BFLOAT16", direction="decode", source="f16"
        )


def test_flags_are_judged_where_they_are_given() -> None:
    """IEEE's, after rounding; a missing inexact at overflow is found."""
    source = get_source("float32")

    def with_flags(x: Array) -> tuple[Array, Array]:
        found = expected_flags(source.words(x), fp.E4M3FN, source, fp.Projection())
        return fp.encode(x, "E4M3FN"), found

    def without_inexact(x: Array) -> tuple[Array, Array]:
        codes, found = with_flags(x)
        return codes, np.where(found & 4, found & ~np.uint8(1), found)

    good = verify.check(with_flags, "E4M3FN", with_flags=True)
    bad = verify.check(without_inexact, "E4M3FN", with_flags=True)

    assert good.ok, str(good)
    assert good.flags is not None
    assert bad.tally.total == 0
    assert bad.flags is not None
    assert bad.flags.total > 0
    assert not bad.ok
    assert "flags" in str(bad)


def test_expected_flags_are_those_of_the_definition() -> None:
    """One by one, by the exact reference, at boundaries of E4M3FN and E5M2."""
    source = get_source("float16")
    words = cases.boundaries(fp.E4M3FN, source).words[::7]
    for fmt in (fp.E4M3FN, fp.E5M2):
        found = expected_flags(words, fmt, source, fp.Projection())
        for word, bits in zip(source.values(words), found.tolist(), strict=True):
            one = reference.flags(word, fmt, "NearestTiesToEven", "SatFinite")
            expected = one.inexact + 2 * one.underflow + 4 * one.overflow + 16 * one.invalid
            assert bits == expected, float(word).hex()


def test_a_budget_allows_mismatches_by_number() -> None:
    wrong = verify.check(lambda x: fp.encode(x, "E4M3FN", rounding="rz"), "E4M3FN", source="f16")

    allowed = verify.check(
        lambda x: fp.encode(x, "E4M3FN", rounding="rz"),
        "E4M3FN",
        source="f16",
        budget=wrong.mismatches,
    )

    assert not wrong.ok
    assert allowed.ok
    assert allowed.mismatches == wrong.mismatches > 0


# What a verdict says.


def test_a_verdict_states_its_domain_and_counts() -> None:
    verdict = verify.check(cast, "E4M3FN", source="float16", like="ml_dtypes")

    assert verdict.tally.cases == 65_536
    assert sum(count for _, count in verdict.cases) == 65_536
    assert "float16" in verdict.domain
    assert dict(verdict.cases)["nan"] == 1023
    text = str(verdict)
    for part in ("CONFORMS", "65,536 cases", "as ml_dtypes", "coverage", "time"):
        assert part in text
    found = json.loads(verdict.to_json())
    assert found["schema"] == 1
    assert found["ok"] is True
    assert found["cases"] == 65_536
    assert len(verdict.to_frame()) == len(verdict.cases)
    with pytest.raises(AttributeError):
        verdict.budget = 3  # type: ignore[misc]


def test_a_witness_is_shown_in_hex_and_by_field() -> None:
    """Just above 464 OCP's saturating conversion gives 448 and ml_dtypes NaN."""
    verdict = verify.check(cast, "E4M3FN")

    text = str(verdict)
    assert "DOES NOT CONFORM" in text
    assert "0x1.d000020000000p+8 (43e80001): expected 7e = 448, got 7f = nan" in text
    frame = verdict.to_frame().set_index("class")
    assert frame.loc["overflow", "mismatches"] > 0
    assert frame.loc["normal value", "mismatches"] == 0
    assert json.loads(verdict.to_json())["witnesses"][0]["bits"] == "0_1111_110 0_1111_111"


def test_no_cases_are_no_conformance() -> None:
    """A verdict on nothing is not 'all ok'."""
    none = cases.CaseSet(
        name="none", domain="nothing", words=np.empty(0, np.uint32), exhaustive=False
    )
    verdict = verify.check(cast, "E4M3FN", cases=none, probes=False)
    assert not verdict.ok


def test_tallies_add_up_in_any_grouping() -> None:
    """As the parts of a sweep do."""
    source, fmt = get_source("float16"), fp.E4M3FN
    words = source.every()
    right, wrong = (fp.encode(source.values(words), fmt, rounding=r) for r in ("rne", "rz"))
    whole = tally(words, right, wrong, fmt, source)
    cuts = [0, 100, 30_000, 30_001, 65_536]
    parts = [tally(words[a:b], right[a:b], wrong[a:b], fmt, source) for a, b in pairwise(cuts)]

    assert sum(parts, Tally()) == whole
    assert parts[0] + (parts[1] + (parts[2] + parts[3])) == whole
    assert whole.total == int((right != wrong).sum())
    assert whole.witnesses[0] == Witness(
        int(words[right != wrong][0]),
        "below smallest",
        int(right[right != wrong][0]),
        int(wrong[right != wrong][0]),
    )


def test_nan_codes_are_compared_by_rule() -> None:
    source, fmt = get_source("float32"), fp.E5M2
    words = np.array([0x7FC00000, 0x3F800000], np.uint32)
    right, other = np.array([0x7E, 0x3C], np.uint8), np.array([0x7D, 0x3C], np.uint8)

    assert tally(words, right, other, fmt, source).total == 0
    assert tally(words, right, other, fmt, source, nan=NanRule.CODE).mismatches == (("nan", 1),)


# Bad implementations.


def raises(x: Array) -> Array:
    msg = "not today"
    raise RuntimeError(msg)


def writes_to_its_input(x: Array) -> Array:
    codes = fp.encode(x, "E4M3FN")
    if x.flags.writeable:
        x[...] = 0
    return codes


@pytest.mark.parametrize(
    ("implementation", "fault"),
    [
        (raises, "raised"),
        (lambda x: fp.encode(x, "E4M3FN")[:-1], "shape"),
        (lambda x: fp.encode(x, "E4M3FN").reshape(-1, 1), "shape"),
        (lambda x: fp.quantize(x, "E4M3FN"), "dtype"),
        (lambda x: fp.encode(x, "E4M3FN").astype(str), "dtype"),
        (lambda x: fp.encode(x, "E4M3FN") > 0, "dtype"),
        (lambda x: None, "shape"),
        (lambda x: fp.encode(x, "E4M3FN").astype(np.int32) - 1, "range"),
        (lambda x: fp.encode(x, "E4M3FN").astype(np.uint16) + 1, "range"),
        (writes_to_its_input, "input"),
    ],
)
def test_a_bad_answer_is_a_finding(implementation: Any, fault: str) -> None:
    """Never 'all ok', and never an exception of the verification."""
    verdict = verify.check(implementation, "E4M3FN")

    assert not verdict.ok
    assert fault in faults(verdict), str(verdict)


def test_a_bad_answer_of_a_decoder_is_a_finding_too() -> None:
    """It takes the path of an encoder: its input is watched, and no list ends the verification."""

    def writes(codes: Array) -> Array:
        values = fp.decode(codes, "E4M3FN")
        if codes.flags.writeable:
            codes[...] = 1
        return values

    verdict = verify.check(writes, "E4M3FN", direction="decode", probes=False)
    ragged = verify.check(lambda codes: [[1.0], 2.0], "E4M3FN", direction="decode")

    assert faults(verdict) == {"input"}
    assert "element 0 of the input, code 0x0, was written to" in str(verdict)
    assert faults(ragged) == {"raised"}
    assert not ragged.ok


def test_an_exception_is_told_with_its_text() -> None:
    verdict = verify.check(raises, "E4M3FN")
    assert "raised RuntimeError: not today" in str(verdict)


def test_an_implementation_that_hangs_is_given_up() -> None:
    started = time.perf_counter()
    verdict = verify.check(lambda x: time.sleep(3), "E4M3FN", timeout=0.2)
    assert time.perf_counter() - started < 2
    assert faults(verdict) == {"timeout"}


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("with_flags", [False, True])
def test_a_buffer_that_is_handed_out_twice_is_found(dtype: type, *, with_flags: bool) -> None:
    """Its codes are judged before it is overwritten, and that it is, is a finding."""
    buffers: dict[tuple[int, ...], Array] = {}

    def encode(x: Array) -> Any:
        out = buffers.setdefault(x.shape, np.empty(x.shape, dtype))
        out[...] = fp.encode(x, "E4M3FN")
        flags = expected_flags(bits(x), fp.E4M3FN, get_source("f32"), get_projection(fp.E4M3FN))
        return (out, flags) if with_flags else out

    verdict = verify.check(encode, "E4M3FN", with_flags=with_flags)

    assert verdict.mismatches == 0
    assert faults(verdict) == {"buffer"}
    assert "answer 1 of 4 was overwritten by a later call" in str(verdict)


def bits(x: Array) -> Array:
    """Return the bits of float32 numbers, whatever the order of their bytes."""
    return np.array(x, "=f4").view(np.uint32)


def test_a_buffer_of_values_or_of_an_object_is_found() -> None:
    """A decoder's, and that of an implementation that is no callable."""
    values, codes = np.empty(256, np.float32), np.empty(1 << 16, np.uint8)

    def decode(given: Array) -> Array:
        out = values[: given.size].reshape(given.shape) if given.size <= 256 else given
        out[...] = fp.decode(given, "E4M3FN")
        return out

    class Reuses:
        name = "reuses"

        def codes(self, words: Array, source: verify.sources.SourceType, fmt: fp.Format) -> Array:
            codes[: words.size] = fp.encode(source.values(words), fmt)
            return codes[: words.size]

    assert faults(verify.check(decode, "E4M3FN", direction="decode")) == {"buffer"}
    assert faults(verify.check(Reuses(), "E4M3FN")) == {"buffer"}


@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_the_other_byte_order_read_as_native_is_found(source: str) -> None:
    """The right codes of other numbers; who converts or refuses such an array is right."""

    def misreads(x: Array) -> Array:
        native = np.frombuffer(x.tobytes(), x.dtype.newbyteorder("="))
        return fp.encode(native.reshape(x.shape), "E4M3FN")

    def refuses(x: Array) -> Array:
        if not x.dtype.isnative:
            msg = "native arrays only"
            raise TypeError(msg)
        return fp.encode(x, "E4M3FN")

    wrong = verify.check(misreads, "E4M3FN", source=source)

    assert wrong.mismatches == 0
    assert faults(wrong) == {"byte order"}
    assert "-endian array: " in str(wrong)
    assert verify.check(refuses, "E4M3FN", source=source).ok


def test_a_verdict_says_in_which_arrays_the_inputs_were_given() -> None:
    """Nothing about arrays if it was asked once only; bits have no other order of bytes."""
    verdict = verify.check(cast, "E4M3FN", like="ml_dtypes")
    plain = verify.check(cast, "E4M3FN", like="ml_dtypes", probes=False)
    narrow = verify.check(cast, "E4M3FN", like="ml_dtypes", source="bfloat16")

    assert any("-endian array, unless refused" in each for each in verdict.layouts)
    assert {"a reversed view", "a transposed view", "a read-only array"} <= set(verdict.layouts)
    assert "arrays of 0 to 1000 elements" in str(verdict)
    assert json.loads(verdict.to_json())["layouts"] == list(verdict.layouts)
    assert plain.layouts == ()
    assert "  given " not in str(plain)
    assert not any("endian" in each for each in narrow.layouts)


@pytest.mark.parametrize("order", ["<", ">"])
def test_answers_may_have_their_bytes_in_any_order(order: str) -> None:
    """Values of a decoder, codes as integers, and codes as floats of their own type."""
    half, x = fp.BINARY16, np.array([1.0, -2.5, 65504])
    codes = np.array([0x3C00, 0xC100, 0x7BFF], np.uint16)  # IEEE 754's

    def decode(codes: Array) -> Array:
        return fp.decode(codes, "E4M3FN").astype(f"{order}f4")

    assert verify.check(decode, "E4M3FN", direction="decode").ok
    for answer in (codes.astype(f"{order}u2"), x.astype(f"{order}f2")):
        np.testing.assert_array_equal(check_codes(answer, (3,), half), codes)
        verify.assert_codes_equal(answer, codes, half)


def test_cases_may_have_their_bytes_in_any_order() -> None:
    """They are numbers, as others are."""
    words = get_source("f32").words(np.array([1.0, -2.5, 3.1, 1e9], np.float32))
    swapped = verify.CaseSet("swapped", "four", words.astype(words.dtype.newbyteorder("S")))

    assert swapped.words.tolist() == words.tolist()
    assert verify.check(lambda x: fp.encode(x, "E4M3FN"), "E4M3FN", cases=swapped).ok


@pytest.mark.parametrize(
    "judge",
    [
        lambda mode: verify.check(cast, "E4M3FN", rounding=mode),
        lambda mode: verify.check(cast, "E4M3FN", rounding=mode, with_flags=True),
        lambda mode: verify.sweep(cast, "E4M3FN", rounding=mode),
        lambda mode: verify.diff(fp.Projection(rounding=mode), "ml_dtypes", "E4M3FN"),
        lambda mode: verify.truth("E4M3FN", rounding=mode),
    ],
)
@pytest.mark.parametrize("mode", ["StochasticA", "srb"])
def test_stochastic_modes_are_not_judged(judge: Any, mode: str) -> None:
    """It is said at once, with what can be done instead."""
    with pytest.raises(ValueError, match=r"stochastic modes are not judged.*assert_codes_equal"):
        judge(mode)


def test_integers_of_any_width_are_codes() -> None:
    assert verify.check(lambda x: fp.encode(x, "E4M3FN").astype(np.int64), "E4M3FN").ok


class Answers:
    """An implementation that is no callable."""

    name = "mine"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def codes(self, words: Array, source: Any, fmt: Any) -> Array:
        answer: Array = self.answer(fp.encode(source.values(words), fmt))
        return answer


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda codes: codes[:1], "shape"),
        (lambda codes: codes.astype(np.float64), "dtype"),
        (lambda codes: codes.astype(np.int64) + 256, "range"),
        (lambda codes: 1 // 0, "raised"),
        (lambda codes: np.random.default_rng().permutation(codes), "unstable"),
    ],
)
def test_a_bad_answer_of_an_implementation_is_a_finding_too(answer: Any, fault: str) -> None:
    """It may be any object with a name and codes()."""
    verdict = verify.check(Answers(answer), "E4M3FN")

    assert not verdict.ok
    assert fault in faults(verdict), str(verdict)
    assert verify.check(Answers(lambda codes: codes), "E4M3FN").ok


def test_an_exception_that_is_none_of_pythons_is_told() -> None:
    """Such as a test framework's, in the thread that has the time limit."""

    class Unusual(BaseException):
        pass

    def convert(x: Array) -> Array:
        raise Unusual

    verdict = verify.check(convert, "E4M3FN")
    assert faults(verdict) == {"raised"}
    assert "raised Unusual" in str(verdict)


def test_nans_that_are_to_raise_are_not_given() -> None:
    """The verdict says that they were left out."""

    def convert(x: Array) -> Array:
        return fp.encode(x, "E2M1FN", nan="raise")

    verdict = verify.check(convert, "E2M1FN", nan="raise")

    assert verdict.ok, str(verdict)
    assert "NaNs, which are to raise an error" in verdict.exclusions
    assert "nan" not in dict(verdict.cases)


def test_flags_out_of_range_are_a_finding() -> None:
    """256 more is not the same flags."""
    source = get_source("float32")

    def convert(x: Array) -> tuple[Array, Array]:
        right = expected_flags(source.words(x), fp.E4M3FN, source, fp.Projection())
        return fp.encode(x, "E4M3FN"), right.astype(np.int64) + 256

    assert faults(verify.check(convert, "E4M3FN", with_flags=True)) == {"range"}


def test_flags_of_other_libraries_are_not_known() -> None:
    with pytest.raises(ValueError, match="flags must not be judged with like="):
        verify.check(cast, "E8M0FNU", like="ml_dtypes<0.7", with_flags=True)


@pytest.mark.parametrize("half", [True, pytest.param(False, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    ("rounding", "saturation"),
    [("rne", "SatFinite"), ("rz", "SatNone"), ("ru", "SatFinite"), ("ro", "SatNone")],
)
def test_the_codec_raises_the_expected_flags(rounding: str, saturation: str, *, half: bool) -> None:
    """Every float16 into two formats, and every bfloat16 into two others; by default in turn."""
    pairs = [("E4M3FN", "f16"), ("UE5M3", "f16"), ("E5M2", "bf16"), ("E2M1FN", "bf16")]
    for name, kind in pairs[saturation == "SatNone" :: 2] if half else pairs:
        fmt, source = fp.get_format(name), get_source(kind)
        words = source.every()
        projection = get_projection(fmt, rounding, saturation)
        found = fp.flags(source.values(words), fmt, rounding=rounding, saturation=saturation)
        bits = found.inexact + 2 * found.underflow + 4 * found.overflow + 16 * found.invalid
        np.testing.assert_array_equal(bits, expected_flags(words, fmt, source, projection))


# Bad arguments.


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"budget": -1}, "budget must be an integer, at least 0, got -1"),
        ({"budget": True}, "budget must be an integer"),
        ({"source": "int32"}, "source must be one of float16"),
        ({"takes": "codes"}, "takes must be 'values' or 'bits', got 'codes'"),
        ({"rounding": "sra"}, "deterministic"),
        ({"direction": "sideways"}, "sideways"),
        ({"compare_nan": "payload"}, "payload"),
        ({"timeout": 0}, "timeout must be seconds above 0, got 0"),
        ({"timeout": "long"}, "timeout must be seconds above 0, got 'long'"),
    ],
)
def test_a_bad_argument_is_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        verify.check(cast, "E4M3FN", **options)


def test_a_verdict_is_true_if_it_conforms() -> None:
    """So that it can be asserted."""
    assert verify.check(cast, "E4M3FN", like="ml_dtypes")
    assert not verify.check(cast, "E4M3FN")


def test_cases_must_be_a_set_that_says_what_it_is() -> None:
    with pytest.raises(TypeError, match="cases must be a CaseSet, got ndarray"):
        verify.check(cast, "E4M3FN", cases=np.zeros(3, np.float32))  # type: ignore[arg-type]


def test_a_list_of_codes_is_an_answer() -> None:
    """Empty ones too, which NumPy takes for floats."""
    assert verify.check(lambda x: fp.encode(x, "E4M3FN").tolist(), "E4M3FN")


def test_what_is_not_callable_is_refused() -> None:
    with pytest.raises(TypeError, match="implementation must be callable"):
        verify.check(np.zeros(3), "E4M3FN")  # type: ignore[arg-type]


# Processes.

PROGRAMS = {
    "right": """
        import sys, numpy, fp8num
        words = [line.split()[0] for line in sys.stdin]
        x = numpy.array([int(w, 16) for w in words], numpy.uint32).view(numpy.float32)
        for word, code in zip(words, fp8num.encode(x, "E4M3FN").tolist()):
            print(word, f"{code:02x}")
        """,
    "wrong": """
        import sys
        for line in sys.stdin:
            print(line.strip(), "38")
        """,
    "garbage": """
        import sys
        print("warming up ...")
        for line in sys.stdin:
            print(line.strip(), "38")
        """,
    "stops early": """
        import sys
        for i, line in zip(range(10), sys.stdin):
            print(line.strip(), "00")
        """,
    "swaps": """
        import sys
        for line in reversed(sys.stdin.readlines()):
            print(line.strip(), "00")
        """,
    "dies": "import os; os.abort()",
    "fails": "import sys; sys.exit('no such device')",
    "hangs": "import time; time.sleep(60)",
    "silent": "pass",
    "endless": """
        while True:
            print("3f800000 38")
        """,
    "forgetful": """
        import os, sys, numpy, fp8num
        words = [line.split()[0] for line in sys.stdin]
        x = numpy.array([int(w, 16) for w in words], numpy.uint32).view(numpy.float32)
        seen = os.path.exists(__file__ + ".seen")
        open(__file__ + ".seen", "w").close()
        for word, code in zip(words, fp8num.encode(x, "E4M3FN", rounding="rz" if seen else "rne")):
            print(word, f"{code:02x}")
        """,
    "flags": """
        import sys, numpy, fp8num
        words = [line.split()[0] for line in sys.stdin]
        x = numpy.array([int(w, 16) for w in words], numpy.uint32).view(numpy.float32)
        for word, code in zip(words, fp8num.encode(x, "E4M3FN").tolist()):
            print(word, f"{code:02x} 10")
        """,
    "leaves a child": """
        import subprocess, sys, time
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(61.25)"]).pid,
              file=sys.stderr, flush=True)
        time.sleep(60)
        """,
}


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Return a program by its name, as an implementation."""

    def make(name: str, timeout: float = 30.0) -> ProcessImplementation:
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(PROGRAMS[name]))
        return ProcessImplementation((sys.executable, str(path)), timeout)

    return make


def test_a_process_that_is_right_conforms(program: Any) -> None:
    verdict = verify.check(program("right"), "E4M3FN")
    assert verdict.ok, str(verdict)
    assert verdict.tally.cases > 3_000


def test_a_process_that_is_wrong_does_not(program: Any) -> None:
    verdict = verify.check(program("wrong"), "E4M3FN")
    assert not verdict.ok
    assert verdict.tally.total > 3_000


@pytest.mark.parametrize(
    ("name", "fault", "detail"),
    [
        ("garbage", "garbage", "warming up"),
        ("stops early", "missing", "gave 10 answers to"),
        ("swaps", "garbage", "answers must come in order"),
        ("dies", "died", "was ended by signal 6"),
        ("fails", "died", "exited with 1, saying 'no such device'"),
        ("silent", "missing", ""),
    ],
)
def test_a_process_that_fails_is_a_finding(
    program: Any, name: str, fault: str, detail: str
) -> None:
    verdict = verify.check(program(name), "E4M3FN")

    assert not verdict.ok
    assert faults(verdict) == {fault}, str(verdict)
    assert detail in verdict.findings[0].detail


def test_a_process_that_hangs_is_killed(program: Any) -> None:
    started = time.perf_counter()
    verdict = verify.check(program("hangs", timeout=0.5), "E4M3FN")
    assert time.perf_counter() - started < 10
    assert faults(verdict) == {"timeout"}


def test_a_process_that_answers_differently_the_second_time_is_a_finding(program: Any) -> None:
    verdict = verify.check(
        program("forgetful"), "E4M3FN", cases=cases.overflow_edges("E4M3FN", "float32")
    )
    assert verdict.tally.total == 0
    assert faults(verdict) == {"unstable"}


def test_the_flags_of_a_process_are_judged(program: Any) -> None:
    """Where it writes any; here it says that everything is invalid."""
    inputs = cases.overflow_edges("E4M3FN", "float32")
    verdict = verify.check(program("flags"), "E4M3FN", cases=inputs)
    assert verdict.tally.total == 0
    assert verdict.flags is not None
    assert verdict.flags.total > inputs.size / 2
    assert not verdict.ok


def test_a_process_without_end_is_stopped(program: Any) -> None:
    """Long before its output fills the memory."""
    verdict = verify.check(program("endless"), "E4M3FN", cases=cases.specials("float32"))
    assert faults(verdict) == {"garbage"}
    assert "far more than answers" in verdict.findings[0].detail


def test_what_a_killed_process_has_started_is_ended_too(program: Any) -> None:
    """Nothing goes on after the time limit."""
    started = time.perf_counter()
    verdict = verify.check(program("leaves a child", timeout=1.0), "E4M3FN")
    assert faults(verdict) == {"timeout"}
    assert time.perf_counter() - started < 10
    assert wait_until(lambda: not running(b"time.sleep(61.25)"))


def running(text: bytes) -> bool:
    """Whether a process with such a command line is there."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_bytes():
                return True
        except OSError:  # it has ended meanwhile
            continue
    return False


def wait_until(condition: Any, seconds: float = 10.0) -> bool:
    """Wait for what another process does: a killed one takes its time."""
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_program_that_is_not_there_is_a_finding() -> None:
    verdict = verify.check(ProcessImplementation(("./no-such-program",)), "E4M3FN")
    assert faults(verdict) == {"start"}
    assert "could not be started" in verdict.findings[0].detail


# What a verdict says.


def truncates(x: Array) -> Array:
    return fp.encode(x, "E4M3FN", rounding="rz")


def overflows(x: Array) -> Array:
    return fp.encode(x, "E4M3FN", saturation="SatNone")


def test_a_verdict_begins_with_what_is_wrong_and_a_witness_in_full() -> None:
    """
    1.1875 is 0.5 ulp from both 1.125 and 1.25, of which the even code is right.

    One word is asked for, so that the witness can be written by hand.
    """
    source = get_source("float32")
    words = source.words(np.array([1.1875], np.float32))
    one = verify.CaseSet("one", "1.1875", words, source=source)

    lines = str(verify.check(truncates, "E4M3FN", cases=one, probes=False)).splitlines()

    assert lines[0].startswith("DOES NOT CONFORM: ")
    assert lines[1:5] == [
        "  wrong     1 of 1 codes",
        "  first     1.1875 = 0x1.3000000000000p+0, word 3f980000 = "
        "0_01111111_00110000000000000000000  [normal tie]",
        "            expected  3a = 0_0111_010 = 1.25, 0.5 ulp above the input",
        "            got       39 = 0_0111_001 = 1.125, 0.5 ulp below the input",
    ]


@pytest.mark.parametrize(
    ("x", "got", "expected"),
    [
        (3.0, 0x7E, ("44 = 0_1000_100 = 3, exact", "7e = 0_1111_110 = 448, 1780 ulp above")),
        (470.0, 0x7F, ("448, 0.6875 ulp below the input", "7f = 0_1111_111 = nan")),
        (2.0**-10 * 1.5, 0x00, ("0.001953125, 0.25 ulp above", "= 0, 0.75 ulp below the input")),
        (np.inf, 0x7F, ("7e = 0_1111_110 = 448", "7f = 0_1111_111 = nan")),
    ],
)
def test_a_witness_says_how_far_each_side_is(x: float, got: int, expected: tuple[str, str]) -> None:
    """In units of the gap that the input lies in; nothing of what is no number."""
    words = get_source("f32").words(np.array([x], np.float32))
    one = verify.CaseSet("one", "one", words, source=get_source("f32"))

    text = str(
        verify.check(lambda x: np.full(x.shape, got, np.uint8), "E4M3FN", cases=one, probes=False)
    )

    assert all(part in text for part in expected), text


def test_repr_is_one_line_that_pytest_shows_whole() -> None:
    """`assert check(...)` is explained by it; pytest cuts it at 240 characters."""
    wrong = repr(verify.check(truncates, "E4M3FN"))
    raised = repr(verify.check(raises, "E4M3FN"))
    right = repr(verify.check(cast, "E4M3FN", like="ml_dtypes"))

    assert re.match(
        r"<DOES NOT CONFORM: [\d,]+ of [\d,]+ codes; \S+ \([0-9a-f]{8}\): expected \w\w = \S+, got",
        wrong,
    )
    assert raised.startswith("<DOES NOT CONFORM: raised: raised RuntimeError: not today")
    assert right.startswith("<CONFORMS: ")
    for text in (wrong, raised, right):
        assert len(text) <= 240
        assert "\n" not in text


def test_a_failed_assertion_says_what_is_wrong(tmp_path: Path) -> None:
    """As pytest prints it, of a plain `assert` and of `assert_conforms`."""
    (tmp_path / "test_mine.py").write_text(
        "import fp8num as fp\n"
        "def mine(x):\n"
        "    return fp.encode(x, 'E4M3FN', rounding='rz')\n"
        "def test_plain():\n"
        "    assert fp.verify.check(mine, 'E4M3FN')\n"
        "def test_named():\n"
        "    fp.verify.assert_conforms(mine, 'E4M3FN')\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", "-q"]

    done = subprocess.run(
        [*command, "test_mine.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "2 failed" in done.stdout
    assert "assert <DOES NOT CONFORM: " in done.stdout
    assert "AssertionError: DOES NOT CONFORM: test_mine.mine, float32 -> E4M3FN" in done.stdout
    assert "ulp above the input" in done.stdout


def test_assert_conforms_is_silent_where_all_is_right() -> None:
    verify.assert_conforms(cast, "E4M3FN", like="ml_dtypes")
    with pytest.raises(AssertionError, match=r"(?s)^DOES NOT CONFORM: .*first .*expected "):
        verify.assert_conforms(cast, "E4M3FN")
    with pytest.raises(TypeError):
        verify.assert_conforms(cast, "E4M3FN", sauce="float32")


@pytest.mark.parametrize(
    ("implementation", "hint"),
    [
        (cast, "like='ml_dtypes'"),
        (overflows, "like='ml_dtypes'"),
        (truncates, "rounding='TowardZero'"),
        (lambda x: fp.encode(x, "E4M3FN", rounding="rna"), "rounding='NearestTiesToAway'"),
    ],
)
def test_another_convention_that_explains_all_is_named(implementation: Any, hint: str) -> None:
    """It is one under which the implementation conforms."""
    verdict = verify.check(implementation, "E4M3FN")
    name, _, value = verdict.agrees[0].partition("=")

    assert verdict.agrees[0] == hint
    assert f"{hint} " in str(verdict)
    assert json.loads(verdict.to_json())["agrees"] == list(verdict.agrees)
    assert verify.check(implementation, "E4M3FN", **{name: value.strip("'")}).ok


def test_no_convention_is_named_that_does_not_explain_everything() -> None:
    """One code besides the overflow is enough."""

    def overflows_and_more(x: Array) -> Array:
        codes = overflows(x)
        return np.where(codes == 0x39, 0x3A, codes).astype(np.uint8)

    verdict = verify.check(overflows_and_more, "E4M3FN")

    assert not verdict.ok
    assert verdict.agrees == ()
    assert "hint" not in str(verdict)
    assert verify.check(cast, "E4M3FN", like="ml_dtypes").agrees == ()


def test_a_verdict_in_a_notebook_is_escaped() -> None:
    """Its name is whatever somebody called it."""
    wrong = verify.check(truncates, "E4M3FN", probes=False)
    text = replace(wrong, implementation="<script>alert(1)</script>")._repr_html_()

    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert text.count("<tr") > 5
