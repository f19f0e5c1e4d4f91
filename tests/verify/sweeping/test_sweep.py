"""Sweeps: what they find, and that nothing but words and implementation decides it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num.verify import reference
from fp8num.verify.cases.sampling import sample_words
from fp8num.verify.implementation import CallableImplementation, Encoder, Fault, ImplementationError
from fp8num.verify.sources import get_source
from fp8num.verify.sweeping import chunks
from fp8num.verify.sweeping.sweep import Sweep, sweep
from fp8num.verify.tally import Witness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fp8num.verify.sources import SourceType

Array = npt.NDArray[Any]

ML_DTYPES = CallableImplementation(methodcaller("astype", ml_dtypes.float8_e4m3fn), "ml_dtypes")
#: Around the smallest values, in small chunks: right and wrong codes, ends inside a chunk.
SMALL: dict[str, Any] = {
    "source": "bfloat16",
    "chunk_bits": 10,
    "first": 0x3A12,
    "count": 0x1234,
    "digests": True,
}
TRUNCATES = Encoder(rounding="TowardZero", name="truncates")


class Own:
    """An implementation of its own kind: no callable, and nothing checks what it gives."""

    def __init__(self, name: str, answer: Callable[[Array, SourceType, fp.Format], Array]) -> None:
        self.name = name
        self.answer = answer

    def codes(self, words: Array, source: SourceType, fmt: fp.Format) -> Array:
        return self.answer(words, source, fmt)


def record(found: Sweep) -> dict[str, Any]:
    """Return what must not depend on how the work was done."""
    return {key: value for key, value in found.to_dict().items() if key != "seconds"}


# What is found.


@pytest.mark.parametrize("source", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["E4M3FN", "E5M2FNUZ", "HIFLOAT8", "POSIT8", "E2M1FN", "E8M0FNU"])
def test_the_codec_conforms_on_every_word_of_16_bits(name: str, source: str) -> None:
    """The codec against the exact reference, NaN codes included."""
    found = sweep(Encoder(), name, source=source, compare_nan="code")

    assert found.ok, str(found)
    assert found.tally.cases == 1 << 16
    assert found.domain == f"all 65,536 words of {source}"


def test_mismatches_are_those_of_the_definition() -> None:
    """Each of the words swept, one by one, by the reference."""
    source = get_source("bfloat16")
    words = source.every(SMALL["first"], SMALL["count"])
    values = source.values(words).astype(np.float64)
    wrong = [
        (int(word), right, got)
        for word, value in zip(words, values.tolist(), strict=True)
        for right in [reference.project(value, fp.E4M3FN, "rne", "SatFinite")]
        for got in [reference.project(value, fp.E4M3FN, "rz", "SatFinite")]
        if right != got
    ]

    found = sweep(TRUNCATES, "E4M3FN", **SMALL)

    assert not found.ok
    assert found.tally.cases == SMALL["count"]
    assert found.tally.total == len(wrong) > 100
    assert {(w.word, w.expected, w.got) for w in found.tally.witnesses} <= set(wrong)
    assert (found.tally.witnesses[0].word, *wrong[0][1:]) == wrong[0]


@pytest.mark.parametrize(
    ("chunk", "digest"),
    [
        (0x3C, "4da4b28e66fa924aa2c528919c47fbfd8a9a082c05445c77a8c90ced47880288"),
        (0x43, "91a52997e3b4646611546fc44b22a704fd62ca7d00010faee92753b320c031db"),
        (0x7F, "71d15b1e1ec77e5d0aa3e8eef07d547323fbad38837e12eac36bc423f6f1792f"),
    ],
)
def test_digests_are_those_recorded_elsewhere(chunk: int, digest: str) -> None:
    """Of chunks of 2**24 float32, by ml_dtypes 0.6.0 on another machine."""
    found = sweep(
        Encoder(like="ml_dtypes"),
        "E4M3FN",
        like="ml_dtypes",
        digests=True,
        first=chunk << 24,
        count=1 << 24,
    )

    assert found.ok
    assert found.chunks == range(chunk, chunk + 1)
    assert found.digests == (digest,)


@pytest.mark.parametrize("implementation", [ML_DTYPES, TRUNCATES])
def test_digests_are_of_the_actual_output(implementation: Any) -> None:
    """Right or wrong, in all blocks or in some: hashed again here, in one piece."""
    span = {"first": 0x43DF_F000, "count": 0x42_0000, "chunk_bits": 21}  # 448, 464, 480, 512
    values = np.arange(span["first"], span["first"] + span["count"], dtype=np.uint32)
    codes = implementation.codes(values, get_source("float32"), fp.E4M3FN)
    places = range(0x43E0_0000 - span["first"], span["count"], 1 << 21)
    expected = [hashlib.sha256(part).hexdigest() for part in np.split(codes, places)]

    found = sweep(implementation, "E4M3FN", saturation="SatNone", digests=True, **span)

    assert list(found.digests) == expected
    assert found.ok == (implementation is ML_DTYPES)


def test_digests_of_wide_codes_are_of_little_endian_bytes() -> None:
    """Two bytes for each code of more than 8 bits, of the definition's codes."""
    fmt, source = fp.get_format("Binary9p4se"), get_source("float16")
    values = source.values(source.every(0x3C00, 256)).tolist()
    codes = [reference.project(value, fmt, "rne", "SatFinite") for value in values]
    expected = b"".join(code.to_bytes(2, "little") for code in codes)
    span = {"first": 0x3C00, "count": 256, "source": source, "digests": True}

    right = sweep(Encoder(), fmt, **span)
    wrong = sweep(lambda x: fp.encode(x, fmt) ^ (x == 1), fmt, **span)

    assert right.digests == (hashlib.sha256(expected).hexdigest(),)
    changed = bytes([expected[0] ^ 1]) + expected[1:]
    assert wrong.digests == (hashlib.sha256(changed).hexdigest(),)


@pytest.mark.parametrize("compare_nan", ["class", "code"])
def test_other_codes_of_nan_count_as_asked(compare_nan: str) -> None:
    """E5M2 has three of each sign; the digest is of the codes whatever counts."""

    def other_nan(x: Array) -> Array:
        codes = fp.encode(x, "E5M2")
        codes[codes == 0x7E] = 0x7D
        return codes

    found = sweep(other_nan, "E5M2", source="float16", compare_nan=compare_nan, digests=True)

    values = get_source("float16").every().view(np.float16)
    assert found.digests == (hashlib.sha256(other_nan(values)).hexdigest(),)
    assert dict(found.tally.mismatches) == ({} if compare_nan == "class" else {"nan": 1023})
    assert found.ok == (compare_nan == "class")


#: One word among 2**32, near the end of a block.
PLANTED = 0x3E0B_FFFE


def planted(words: Array) -> Array:
    """Convert the bits of float32, right but for one word."""
    codes = fp.encode(words.view(np.float32), "E4M3FN")
    if words[0] <= PLANTED <= words[-1]:
        codes[words == PLANTED] ^= 1
    return codes


def check_planted(found: Sweep) -> None:
    (witness,) = found.tally.witnesses
    right = reference.project(0.13671871, fp.E4M3FN, "rne", "SatFinite")
    assert witness == Witness(PLANTED, witness.kind, right, right ^ 1)
    assert float(np.uint32(PLANTED).view(np.float32)) == pytest.approx(0.13671871)
    assert found.tally.total == 1
    assert not found.ok


def test_one_wrong_code_is_found() -> None:
    """In a chunk of 2**24; the sweep of all 2**32 is among the exhaustive tests."""
    span = {"first": PLANTED & ~0xFF_FFFF, "count": 1 << 24}

    check_planted(sweep(planted, "E4M3FN", takes="bits", **span))

    assert sweep(Encoder(), "E4M3FN", **span).ok


@pytest.mark.exhaustive
def test_one_wrong_code_among_all_is_found() -> None:
    found = sweep(planted, "E4M3FN", takes="bits")

    assert found.tally.cases == 1 << 32
    check_planted(found)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "E4M3FNUZ", "HIFLOAT8", "POSIT8", "E8M0FNU"])
def test_the_codec_conforms_on_every_float32(name: str) -> None:
    found = sweep(Encoder(), name, compare_nan="code", workers=2)

    assert found.ok, str(found)
    assert found.tally.cases == 1 << 32


# Faults.


def wrong_shape(x: Array) -> Array:
    return fp.encode(x[1:], "E4M3FN")


def raises(x: Array) -> Array:
    if (x == 1).any():
        msg = "one"
        raise ArithmeticError(msg)
    return fp.encode(x, "E4M3FN")


def exits(x: Array) -> Array:
    sys.exit(0)


def hangs(x: Array) -> Array:
    time.sleep(3)
    return fp.encode(x, "E4M3FN")


def clobbers(x: Array) -> Array:
    codes = fp.encode(x, "E4M3FN")
    x[:] = 0
    return codes ^ 1


@pytest.mark.parametrize(
    ("implementation", "fault", "detail"),
    [
        (wrong_shape, Fault.SHAPE, r"chunk 14, words 3a12 to 3bff: returned shape \(493,\)"),
        (raises, Fault.RAISED, "chunk 15, words 3c00 to 3fff: raised ArithmeticError: one"),
        (exits, Fault.RAISED, "raised SystemExit: 0 for an array of shape"),
        (hangs, Fault.TIMEOUT, "no answer within 0.05 s"),
        (clobbers, Fault.INPUT, "the array that it was given has changed"),
        (Own("odd", lambda words, *_: np.full(words.size, 256)), Fault.RANGE, "returned code 256"),
        (lambda x: x, Fault.DTYPE, "returned bfloat16"),
    ],
)
def test_a_fault_is_a_finding_that_names_its_chunk(
    implementation: Any, fault: Fault, detail: str
) -> None:
    """The sweep is not ok, its chunk has no digest, and three such chunks are enough."""
    timeout = 0.05 if implementation is hangs else None

    found = sweep(implementation, "E4M3FN", timeout=timeout, **SMALL)

    assert not found.ok
    finding = found.faults[0]
    assert finding.fault is fault
    with pytest.raises(ValueError, match=detail):
        raise ValueError(finding.detail)
    if implementation is raises:
        assert len(found.faults) == 1
        assert [digest is None for digest in found.digests] == [*(False, True), *[False] * 4]
        assert found.tally.cases == SMALL["count"] - 1024
    else:
        assert len(found.faults) == 3
        assert found.digests == (None, None, None)
        assert found.tally.cases == 0


def test_a_fault_of_an_implementation_of_its_own_kind_is_kept() -> None:
    def died(*_: Any) -> Array:
        raise ImplementationError(Fault.DIED, "exited with 3")

    found = sweep(Own("died", died), "E4M3FN", **SMALL)

    assert {finding.fault for finding in found.faults} == {Fault.DIED}


# How the work is done.


@pytest.fixture(scope="module")
def serial() -> dict[str, Any]:
    return record(sweep(TRUNCATES, "E4M3FN", **SMALL))


def test_a_process_pool_gives_the_serial_record(serial: dict[str, Any]) -> None:
    """With two workers that this call makes, and ends."""
    assert record(sweep(TRUNCATES, "E4M3FN", workers=2, **SMALL)) == serial


def test_threads_give_the_serial_record(serial: dict[str, Any]) -> None:
    with ThreadPoolExecutor(3) as executor:
        assert record(sweep(TRUNCATES, "E4M3FN", executor=executor, **SMALL)) == serial
        assert executor.submit(int, 3).result() == 3  # it is still there


def test_an_executor_in_reverse_gives_the_serial_record(
    serial: dict[str, Any], last_first: Any
) -> None:
    assert record(sweep(TRUNCATES, "E4M3FN", executor=last_first, **SMALL)) == serial
    assert last_first.most > 1  # or nothing was out of order


def test_blocks_do_not_show(serial: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "BLOCK", 96)

    assert record(sweep(TRUNCATES, "E4M3FN", **SMALL)) == serial


def test_chunks_show_in_the_digests_alone(serial: dict[str, Any]) -> None:
    other = record(sweep(TRUNCATES, "E4M3FN", **SMALL | {"chunk_bits": 7}))

    differing = {key for key, value in other.items() if value != serial[key]}
    assert differing == {"chunk_bits", "chunks", "digests"}


def test_progress_tells_the_words_of_every_chunk() -> None:
    """The first and the last chunk are cut by the range."""
    told: list[int] = []

    sweep(TRUNCATES, "E4M3FN", progress=told.append, **SMALL)

    assert told == [494, 1024, 1024, 1024, 1024, 70]
    assert sum(told) == SMALL["count"]


# Samples.


def test_samples_do_not_depend_on_how_they_are_cut() -> None:
    whole = sample_words(fp.E4M3FN, 5, 0, 1000)

    parts = [sample_words(fp.E4M3FN, 5, first, 100) for first in range(0, 1000, 100)]

    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert (sample_words(fp.E4M3FN, 6, 0, 1000) != whole).mean() > 0.9


def test_samples_stay_the_same() -> None:
    """So that a record can be made again years later: their hash when this was written."""
    words = sample_words(fp.E4M3FN, 0, 0, 1 << 16).astype("<u8")

    assert hashlib.sha256(words).hexdigest() == (
        "b776aa4ba3b2ebf0992e5409c473d799baccedcf8c8aeda4df7dee4c2ecdeed2"
    )


def test_samples_are_what_their_domain_says() -> None:
    """Signs and exponents uniform, half of these near the format; mantissas of every kind."""
    words = sample_words(fp.E4M3FN, 1, 0, 1 << 18).astype(np.uint64)
    exponents = (words >> np.uint64(52)).astype(np.int64) & 0x7FF
    counts = np.bincount(exponents, minlength=2048)
    near = np.zeros(2048, bool)
    near[1023 - 11 : 1023 + 10 + 1] = True  # 2**-9 and 2**8 are the ends of E4M3FN
    mantissas = {f"{int(word) & (1 << 52) - 1:052b}" for word in words}

    assert abs((words >> np.uint64(63)).mean() - 0.5) < 0.01
    assert (counts[~near] > 20).all()  # 64 on average: below 20 once in 10**11 times
    assert (counts[near] > 5000).all()  # 6022 on average
    for length in range(1, 53):
        ones = f"{(1 << length) - 1:052b}"
        assert ones in mantissas
        assert f"{1 << (length - 1):052b}" in mantissas
    ties = [text for text in mantissas if text[3:] == "1" + "0" * 48]
    above = [text for text in mantissas if text[3:4] == "1" and text[4:].count("1") == 1]
    assert len(ties) == 8
    assert len(above) > 5


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("E4M3FN", "2**-11 to 2**10"),  # 2**-9 is the smallest value, 1.75 * 2**8 the largest
        ("E8M0FNU", "2**-129 to 2**129"),
        ("w3m4b1100-fn", "2**-1023 to 2**-1023"),  # all of it below float64's normal numbers
    ],
)
def test_the_domain_of_samples_names_the_exponents_near_the_format(name: str, near: str) -> None:
    """Two binades beyond its smallest and its largest value, within those of float64."""
    found = sweep(Encoder(), name, source="float64", samples=16, seed=3)

    assert found.domain == (
        "16 samples of float64, seed 3: either sign; half of the exponents uniform over all "
        f"2,048, half over those of {found.fmt.name} and 2 beyond either end, {near}; mantissas "
        "random, one or two bits, a run of ones, or random bits cut and continued with 00.., "
        "11.., 10.. or 01.."
    )


def test_double_rounding_of_float64_is_found_by_samples() -> None:
    """Through float32: wrong beside ties, by less than float32 can tell."""

    def twice(x: Array) -> Array:
        return fp.encode(x.astype(np.float32), "E4M3FN")

    found = sweep(twice, "E4M3FN", source="float64", samples=1 << 18, seed=3)

    assert found.domain.startswith("262,144 samples of float64, seed 3: either sign;")
    assert dict(found.tally.mismatches).keys() <= {
        *("near normal tie", "near subnormal tie", "below smallest", "overflow by rounding")
    }
    assert found.tally.total > 10
    assert sweep(Encoder(), "E4M3FN", source="float64", samples=1 << 18, seed=3).ok


def test_a_record_of_samples_is_independent_of_chunks_and_workers() -> None:
    """The digests are of the chunks' own output."""
    options: dict[str, Any] = {"source": "float64", "samples": 3000, "chunk_bits": 10}

    one = sweep(TRUNCATES, "E4M3FN", digests=True, **options)
    with ThreadPoolExecutor(3) as executor:
        two = sweep(TRUNCATES, "E4M3FN", digests=True, executor=executor, **options)

    assert record(one) == record(two)
    words = sample_words(fp.E4M3FN, 0, 2048, 952).view(np.float64)
    last = hashlib.sha256(fp.encode(words, "E4M3FN", rounding="rz")).hexdigest()
    assert one.digests[2] == last
    assert one.tally.cases == 3000


def test_a_range_of_float64_can_be_swept() -> None:
    """Consecutive words, across a tie."""
    tie = int(np.float64(464).view(np.uint64))
    found = sweep(
        Encoder(saturation="SatFinite"),
        "E4M3FN",
        source="float64",
        saturation="SatNone",
        first=tie - 5,
        count=10,
    )

    assert found.domain == f"words {tie - 5:016x} to {tie + 4:016x} of float64"
    assert [witness.word for witness in found.tally.witnesses] == [tie + 1, tie + 2, tie + 3]
    assert found.tally.total == 4


# Records.


def test_a_record_is_json() -> None:
    found = sweep(TRUNCATES, "E4M3FN", like="ml_dtypes", **SMALL)

    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))

    assert told == found.to_dict()
    assert told["ok"] is False
    assert told["rule"] == "as ml_dtypes"
    assert told["chunks"] == [14, 20]
    assert told["witnesses"][0] == {
        "class": "below smallest",
        "word": "3a81",
        "input": "0x1.0200000000000p-10",
        "expected": 1,
        "got": 0,
    }


def test_a_record_is_told_as_a_verdict() -> None:
    text = str(sweep(TRUNCATES, "E4M3FN", **SMALL))

    assert text.startswith("DOES NOT CONFORM: truncates, bfloat16 -> E4M3FN, NearestTiesToEven")
    assert "4,660 cases: words 3a12 to 4c45 of bfloat16" in text
    assert str(sweep(Encoder(), "E4M3FN", **SMALL)).startswith("CONFORMS: fp8num")


def test_digests_have_the_layout_of_recordings() -> None:
    found = sweep(TRUNCATES, "E4M3FN", **SMALL)

    told = found.digests_dict("mine")

    assert told["digests"] == {"mine": list(found.digests)}
    assert found.digests_dict()["digests"].keys() == {"truncates"}
    assert set(told) == {"about", "meta", "digests"}
    assert "2**10 from chunk 14 on" in told["about"]
    with pytest.raises(ValueError, match="sweep of fp8num has no digests; make it with digests=T"):
        sweep(Encoder(), "E4M3FN", source="float16").digests_dict()


# Journals.


def test_a_finished_sweep_is_not_done_again(tmp_path: Path, serial: dict[str, Any]) -> None:
    """The record comes from the journal; progress is told as if it were new."""
    options = SMALL | {"journal": tmp_path / "sweep.jsonl"}
    first = sweep(TRUNCATES, "E4M3FN", **options)
    told: list[int] = []

    def never(*_: Any) -> Array:
        pytest.fail("a chunk was done again")

    second = sweep(Own("truncates", never), "E4M3FN", progress=told.append, **options)

    assert record(first) == record(second) == serial
    assert sum(told) == SMALL["count"]


def test_faults_are_kept_in_a_journal(tmp_path: Path) -> None:
    options = SMALL | {"journal": tmp_path / "sweep.jsonl"}
    first = sweep(raises, "E4M3FN", **options)

    assert record(sweep(raises, "E4M3FN", **options)) == record(first)
    assert len(first.faults) == 1


def test_a_sweep_that_was_given_up_gives_the_same_record_when_resumed(
    tmp_path: Path, last_first: Any
) -> None:
    """Whatever else was finished by then."""
    options = SMALL | {"journal": tmp_path / "sweep.jsonl"}
    serial = record(sweep(wrong_shape, "E4M3FN", **SMALL))

    first = sweep(wrong_shape, "E4M3FN", executor=last_first, **options)

    assert record(first) == record(sweep(wrong_shape, "E4M3FN", **options)) == serial


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("source", "float16"),
        ("rounding", "rz"),
        ("saturation", "SatNone"),
        ("like", "ml_dtypes"),
        ("compare_nan", "code"),
        ("digests", False),
        ("chunk_bits", 11),
        ("first", 0x3A13),
        ("count", 0x1233),
        ("nan", "zero"),
    ],
)
def test_another_sweeps_journal_is_refused(tmp_path: Path, option: str, value: Any) -> None:
    options = SMALL | {"journal": tmp_path / "sweep.jsonl"}
    sweep(TRUNCATES, "E4M3FN", **options)

    with pytest.raises(ValueError, match="belongs to another sweep, with "):
        sweep(TRUNCATES, "E4M3FN", **options | {option: value})


def test_another_format_implementation_or_sample_is_refused(tmp_path: Path) -> None:
    options = {"source": "float64", "samples": 100, "journal": tmp_path / "sweep.jsonl"}
    sweep(Encoder(), "E4M3FN", **options)

    with pytest.raises(ValueError, match="with format"):
        sweep(Encoder(), "E4M3IEEE", **options)
    with pytest.raises(ValueError, match='with implementation "fp8num" and not "other"'):
        sweep(Encoder(name="other"), "E4M3FN", **options)
    with pytest.raises(ValueError, match="with seed 0 and not 1"):
        sweep(Encoder(), "E4M3FN", seed=1, **options)
    with pytest.raises(ValueError, match="with count 100 and not 99"):
        sweep(Encoder(), "E4M3FN", **options | {"samples": 99})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"chunk": 14}, {"chunk": 13}),
        ({"cases": 494}, {"cases": 493}),
        ({"cases": 494}, {"cases": "494"}),
        ({"mismatches": None}, {"mismatches": [["zero", 1, 2]]}),
        ({"digest": None}, {"digests": 3}),
        ({"fault": None}, {"fault": ["no such fault", ""]}),
        ({"fault": None}, {"fault": ["raised"]}),
    ],
)
def test_a_result_that_no_chunk_gives_is_refused(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any]
) -> None:
    """Even if its check is right: somebody has made it."""
    from fp8num.verify.sweeping.journal import _line

    path = tmp_path / "sweep.jsonl"
    sweep(TRUNCATES, "E4M3FN", journal=path, **SMALL)
    lines = path.read_bytes().splitlines(keepends=True)
    data = json.loads(lines[1])["data"]
    target = data if "chunk" in new else data["result"]
    for key, value in old.items():
        assert value is None or target[key] == value
        del target[key]
    lines[1] = _line(data | new if target is data else data | {"result": target | new})
    path.write_bytes(b"".join(lines))

    with pytest.raises(ValueError, match=r"has a result for chunk 1[34] that no such sweep gives"):
        sweep(TRUNCATES, "E4M3FN", journal=path, **SMALL)


#: Sweeps in a process that is killed ten times, made by forks of one that has all loaded.
KILLED = """
import os, pathlib, random, shutil, signal, sys, time
import numpy as np
from fp8num.verify import Encoder
from fp8num.verify.sweeping.sweep import sweep

folder = pathlib.Path(sys.argv[1])
log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Slow:
    name = "truncates"

    def codes(self, words, source, fmt):
        os.write(log, f"{int(words[0]) >> 6}\\n".encode())
        time.sleep(0.002)
        return Encoder(rounding="TowardZero").codes(words, source, fmt)

def run():
    sweep(Slow(), "E4M3FN", source="bfloat16", chunk_bits=6, first=0x3A12, count=0x1234,
          digests=True, journal=folder / "sweep.jsonl")

# What this computes is kept by the forks, so that chunks are what is interrupted.
sweep(Encoder(rounding="TowardZero"), "E4M3FN", source="bfloat16")
rng = random.Random(int(sys.argv[2]))
for round in range(10):
    size = (folder / "log").read_text().count("\\n")
    child = os.fork()
    if not child:
        run()
        os._exit(0)
    # Not before it has begun some chunks, on however slow a machine; then at any moment.
    while (folder / "log").read_text().count("\\n") < size + rng.randrange(2, 5):
        time.sleep(0.0005)
    time.sleep(rng.uniform(0, 0.004))
    os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1])
    if (folder / "sweep.jsonl").exists():
        shutil.copy(folder / "sweep.jsonl", folder / f"sweep.{round}")
        shutil.copy(folder / "log", folder / f"log.{round}")
run()
"""


def finished(path: Path) -> set[int]:
    """Return the chunks of a journal's whole lines."""
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    return {json.loads(line)["data"]["chunk"] for line in whole.split(b"\n")[1:]}


def begun(path: Path) -> list[int]:
    """Return the chunks that were begun, in order."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_sweep_killed_at_random_moments_gives_the_same_record(tmp_path: Path) -> None:
    """Ten times: no finished chunk is done again, none is left out, and one was in flight."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    told = subprocess.run(
        [sys.executable, script, tmp_path, "1"], check=True, capture_output=True, text=True
    )
    assert told.stdout.split() == ["9"] * 10  # ended by SIGKILL, all of them

    resumed = sweep(
        TRUNCATES,
        "E4M3FN",
        **SMALL | {"chunk_bits": 6, "journal": tmp_path / "sweep.jsonl"},
    )

    assert record(resumed) == record(sweep(TRUNCATES, "E4M3FN", **SMALL | {"chunk_bits": 6}))
    done: set[int] = set()
    seen = 0
    in_flight: Counter[int] = Counter()
    for number in range(10):
        now = begun(tmp_path / f"log.{number}")
        new, seen = now[seen:], max(seen, len(now))
        after = finished(tmp_path / f"sweep.{number}")
        assert not done & set(new)
        assert done <= after or not after
        assert len(set(new) - after) <= 1
        in_flight.update(set(new) - after)
        done = after or done
    assert Counter(begun(tmp_path / "log")) == Counter(resumed.chunks) + in_flight
    assert len(done) >= 10
    assert in_flight.total() >= 1


#: A module for worker processes, which import what they are sent.
IMPORTABLE = """
import os, time
import numpy as np
from fp8num.verify import Encoder

class Slow:
    name = "truncates"

    def codes(self, words, source, fmt):
        time.sleep(0.02)
        return Encoder(rounding="TowardZero").codes(words, source, fmt)

def dies(x):
    if (x == 1).any():
        os._exit(0)
    return np.zeros(x.size, np.uint8)

def main():
    import sys
    from fp8num.verify.sweeping.sweep import sweep
    sweep(Slow(), "E4M3FN", source="bfloat16", chunk_bits=6, first=0x3A12, count=0x1234,
          digests=True, journal=sys.argv[1], workers=2, progress=lambda n: print(n, flush=True))

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module above, which other processes can import."""
    (tmp_path / "importable.py").write_text(IMPORTABLE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("importable")
    del sys.modules["importable"]


def test_a_process_pool_that_is_killed_is_resumed(tmp_path: Path, importable: Any) -> None:
    """Its workers end too, and keep no lock."""
    path = tmp_path / "sweep.jsonl"
    with subprocess.Popen(
        [sys.executable, importable.__file__, path], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.communicate(timeout=20)  # till the workers, who share its output, have ended
    before = finished(path)

    resumed = sweep(TRUNCATES, "E4M3FN", **SMALL | {"chunk_bits": 6, "journal": path})

    assert 1 <= len(before) < len(resumed.chunks)
    assert record(resumed) == record(sweep(TRUNCATES, "E4M3FN", **SMALL | {"chunk_bits": 6}))


def test_a_worker_that_ends_is_a_finding(importable: Any) -> None:
    """An implementation that takes its process with it."""
    found = sweep(importable.dies, "E4M3FN", workers=2, **SMALL)

    assert not found.ok
    assert found.faults[-1].fault is Fault.DIED
    assert "a worker process ended when chunk 1" in found.faults[-1].detail


# Refusals.


def test_what_cannot_be_sent_to_a_process_is_refused() -> None:
    """Before any work."""
    message = "implementation cannot be sent to another process .*; define it at the top level"
    with pytest.raises(TypeError, match=message):
        sweep(lambda x: x, "E4M3FN", workers=2, source="float16")
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as executor,
        pytest.raises(TypeError, match=message),
    ):
        sweep(lambda x: x, "E4M3FN", executor=executor, source="float16")


def test_what_another_process_cannot_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is with a function typed at a prompt."""
    (tmp_path / "gone.py").write_text("def f(x): ...")
    with monkeypatch.context() as context:
        context.syspath_prepend(tmp_path)
        gone = importlib.import_module("gone")
    monkeypatch.delitem(sys.modules, "gone")
    sys.modules["gone"] = gone

    with pytest.raises(TypeError, match=r"\(ModuleNotFoundError: No module named 'gone'\)"):
        sweep(gone.f, "E4M3FN", workers=2, source="float16")


def test_a_script_without_a_guard_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        from fp8num.verify import Encoder
        from fp8num.verify.sweeping.sweep import sweep
        sweep(Encoder(), "E4M3FN", source="float16", workers=2)
        """)
    )

    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)

    assert told.returncode == 1
    assert 'must do its work under `if __name__ == "__main__":`' in told.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "float8"}, "source must be one of float16"),
        ({"source": "float64"}, r"source float64 has 2\*\*64 words; give samples, such as 2\*\*24"),
        ({"samples": 10}, "samples is for float64, got source float32, which is swept whole"),
        ({"source": "float64", "samples": 0}, "samples must be an integer, at least 1, got 0"),
        ({"source": "float64", "samples": 5, "first": 3}, "samples has no first and count, got fi"),
        ({"source": "float64", "samples": 5, "seed": -1}, "seed must be an integer, at least 0"),
        ({"first": -1}, "first must be an integer from 0 to 4294967295, got -1"),
        ({"first": 1.0}, "first must be an integer from 0 to 4294967295, got 1.0"),
        (
            {"first": 5, "count": 1 << 32},
            "count must be an integer from 1 to 4294967291, got 42949",
        ),
        ({"count": 0}, "count must be an integer from 1 to"),
        ({"chunk_bits": 3}, "chunk_bits must be an integer from 4 to 32, got 3"),
        ({"chunk_bits": True}, "chunk_bits must be an integer from 4 to 32, got True"),
        ({"workers": 0}, "workers must be an integer from 1 to 1024, got 0"),
        (
            {"workers": 2, "executor": Executor()},
            "workers is for processes that are made here, got",
        ),
        ({"timeout": 0}, "timeout must be seconds above 0, got 0; None waits for ever"),
        ({"compare_nan": "no"}, "compare_nan must be 'class' or 'code', got 'no'"),
        ({"rounding": "StochasticA"}, "stochastic|random"),
        ({"takes": "codes"}, "takes must be 'values' or 'bits', got 'codes'"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(options: dict[str, Any], message: str) -> None:
    def never(x: Array) -> Array:
        pytest.fail("work was done")

    with pytest.raises((TypeError, ValueError), match=message):
        sweep(never, "E4M3FN", **options)


def test_what_is_not_callable_is_refused() -> None:
    with pytest.raises(TypeError, match="implementation must be callable"):
        sweep("ml_dtypes", "E4M3FN")  # type: ignore[arg-type]


def test_a_sweep_cannot_expect_an_error_for_nan() -> None:
    """It gives every word, NaNs too."""
    with pytest.raises(ValueError, match="nan must not be 'raise' in a sweep"):
        sweep(Encoder(), "E2M1FN", nan="raise", source="float16")


def test_a_journal_is_not_taken_for_another_implementation(tmp_path: Path) -> None:
    """Of the same name in another module, of no name, or given bits instead of values."""
    options = SMALL | {"journal": tmp_path / "sweep.jsonl"}
    assert sweep(Own("ours", lambda words, source, fmt: fp.encode(source.values(words), fmt)),
                 "E4M3FN", **options).ok  # fmt: skip

    with pytest.raises(ValueError, match='implementation "ours" and not "'):
        sweep(raises, "E4M3FN", **options)
    with pytest.raises(ValueError, match="must have a name of its own to be known again"):
        sweep(lambda x: fp.encode(x, "E4M3FN"), "E4M3FN", **options)


def test_an_input_that_is_written_to_is_noticed_though_the_codes_are_right() -> None:
    def clears(x: Array) -> Array:
        codes = fp.encode(x, "E4M3FN")
        x[...] = 0
        return codes

    found = sweep(clears, "E4M3FN", source="float16")

    assert not found.ok
    assert {finding.fault for finding in found.faults} == {Fault.INPUT}


def test_a_journal_is_not_taken_for_an_edited_module(tmp_path: Path) -> None:
    """The verdict on a kernel is not that on an older one."""
    module = tmp_path / "edited_kernels.py"
    options = SMALL | {"journal": tmp_path / "sweep.jsonl"}

    def judge(rounding: str) -> Any:
        module.write_text(
            "import fp8num\n"
            f"def convert(x): return fp8num.encode(x, 'E4M3FN', rounding='{rounding}')\n"
        )
        spec = importlib.util.spec_from_file_location("edited_kernels", module)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules["edited_kernels"] = loaded
        try:
            exec(compile(module.read_text(), module, "exec"), loaded.__dict__)  # noqa: S102 - ours
            return sweep(loaded.convert, "E4M3FN", **options)
        finally:
            del sys.modules["edited_kernels"]

    assert judge("rne")
    assert judge("rne")
    with pytest.raises(ValueError, match="belongs to another sweep, with fingerprint"):
        judge("rz")
