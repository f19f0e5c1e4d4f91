"""Lines of hexadecimal words: written as documented, read with any fault named."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from typing import Any

import numpy as np
import pytest

from fp8num.formats import FORMATS, get_format
from fp8num.verify import hexlines
from fp8num.verify.hexlines import (
    FLAGS,
    hex_lines,
    parse_decoded,
    parse_results,
    write_answers,
    write_decoded,
    write_inputs,
)
from fp8num.verify.implementation import Fault, ImplementationError
from fp8num.verify.sources import SOURCES, get_source
from fp8num.verify.truth import FLAG_BITS

F32, F16 = get_source("f32"), get_source("f16")
E4M3FN, E2M1FN, BINARY16 = (FORMATS[name] for name in ("E4M3FN", "E2M1FN", "BINARY16"))


def parsed(text: str | bytes, **kinds: Any) -> hexlines.Results:
    """Read lines of float32 to E4M3FN, unless told otherwise."""
    stream = io.BytesIO(text) if isinstance(text, bytes) else io.StringIO(text)
    return parse_results(stream, kinds.get("source", F32), kinds.get("fmt", E4M3FN))


def refusal(text: str | bytes, **kinds: Any) -> ImplementationError:
    """Return how lines are refused."""
    with pytest.raises(ImplementationError) as refused:
        parsed(text, **kinds)
    return refused.value


# Writing.


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)
def test_a_line_is_python_s_hexadecimal_of_the_source_s_width(source: Any) -> None:
    """As ``format`` writes each word alone."""
    words = np.random.default_rng(1).integers(0, 1 << 62, 5000, dtype=np.uint64)
    words = np.append(words >> np.uint64(62 - min(source.bits, 62)), source.sign)
    words = words.astype(source.word)
    stream = io.StringIO()

    write_inputs(words, source, stream)

    expected = [f"{word:0{source.bits // 4}x}" for word in words.tolist()]
    assert stream.getvalue() == "\n".join(expected) + "\n"


def test_more_rows_than_are_written_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is lost or doubled where two blocks meet."""
    monkeypatch.setattr(hexlines, "ROWS", 7)
    words = np.arange(100, dtype=np.uint16)
    stream = io.StringIO()

    write_inputs(words, F16, stream)

    assert [int(line, 16) for line in stream.getvalue().splitlines()] == list(range(100))


def test_answers_have_as_many_digits_as_a_code_needs() -> None:
    """One for FP4, two for FP8, four for binary16; flags have two."""
    words = np.array([0x3C00, 0x8000], np.uint16)
    for fmt, expected in ((E2M1FN, "3c00 2\n8000 8\n"), (E4M3FN, "3c00 02\n8000 08\n")):
        stream = io.StringIO()
        write_answers(words, np.array([2, 8], np.uint8), F16, fmt, stream)
        assert stream.getvalue() == expected
    stream = io.StringIO()
    codes, flags = np.array([2, 8], np.uint16), np.array([0, 0x11], np.uint8)
    write_answers(words, codes, F16, BINARY16, stream, flags=flags)
    assert stream.getvalue() == "3c00 0002 00\n8000 0008 11\n"


def test_a_decoder_s_lines_begin_with_the_code() -> None:
    codes, words = np.array([0x38], np.uint8), np.array([0x3F800000], np.uint32)
    for given, expected in ((None, "38\n"), (words, "38 3f800000\n")):
        stream = io.StringIO()
        write_decoded(codes, given, E4M3FN, F32, stream)
        assert stream.getvalue() == expected


def test_a_million_lines_take_about_a_second() -> None:
    """Written and read as arrays; ten times slower would be line by line."""
    words = np.random.default_rng(2).integers(0, 1 << 32, 10**6, dtype=np.uint64)
    codes = (words >> np.uint64(24)).astype(np.uint8)
    stream = io.StringIO()
    started = time.process_time()

    write_answers(words.astype(np.uint32), codes, F32, E4M3FN, stream)
    found = parsed(stream.getvalue())

    assert time.process_time() - started < 2
    np.testing.assert_array_equal(found.inputs, words)
    np.testing.assert_array_equal(found.answers, codes)


# Reading.


def test_results_have_the_types_of_words_and_codes() -> None:
    found = parsed("3c00 0002\n", source=F16, fmt=BINARY16)

    assert (found.inputs.dtype, found.answers.dtype) == (np.uint16, np.uint16)
    assert parsed("3f800000 38\n").answers.dtype == np.uint8


@pytest.mark.parametrize(
    "text",
    [
        "3e99999a 2a\n3f800000 38\n",
        "3e99999a 2a\n3f800000 38",
        "3E99999A 2A\n3F800000 38\n",
        "3e99999a 2a\r\n3f800000 38\r\n",
        "0x3e99999a 0x2a\n0X3F800000 0x38\n",
        "\n# my converter 1.0\n3e99999a 2a\n\n  3f800000\t 38  \n# end\n",
        "3e99999a 2a\n3f800000 038\n",
        "3e99999a   2a\n3f800000 38\n",
    ],
)
def test_harmless_differences_are_read_alike(text: str) -> None:
    """Case, prefixes, comments, blank lines, spaces, and how lines end."""
    for given in (text, text.encode()):
        words, codes, flags = parsed(given)

        assert words.tolist() == [0x3E99999A, 0x3F800000]
        assert codes.tolist() == [0x2A, 0x38]
        assert flags is None


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_across_the_pieces_that_are_read(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regular lines, which are read as one array, and irregular ones among them."""
    monkeypatch.setattr(hexlines, "BYTES", size)
    words = list(range(0x3F800000, 0x3F800000 + 2000))
    lines = [f"{word:08x} {word & 0xFF:02x}\n" for word in words]
    lines[700] = "# a comment\n" + lines[700]

    found = parsed("".join(lines))

    assert found.inputs.tolist() == words
    assert found.answers.tolist() == [word & 0xFF for word in words]


def test_text_that_is_no_unicode_is_garbage_and_no_error() -> None:
    """Standard input in text mode would fail; its bytes are read."""
    stream = io.TextIOWrapper(io.BytesIO(b"3e99999a 2a\n\xff\xfe\x00\n"), encoding="utf-8")

    with pytest.raises(ImplementationError, match=r"line 2 is no answer: '\\\\xff\\\\xfe"):
        parse_results(stream, F32, E4M3FN)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("segmentation fault", r"'segmentation fault'; a line is an input and its answer"),
        ("3e99999a", r"'3e99999a'; a line is an input and its answer .* as '3f800000 00'"),
        ("3e99999a xx", r"'3e99999a xx'"),  # Verilog's unknown value
        ("3e99999a -1", r"'3e99999a -1'"),
        ("3e99999a 2a 00 00", r"'3e99999a 2a 00 00'"),
        ("3e99_999a 2a", r"'3e99_999a 2a'"),
        ("3e99999a,2a", r"'3e99999a,2a'"),
        ("0.3 2a", r"'0.3 2a'"),
        ("13e99999a 2a", r"'13e99999a 2a'; its input has more than 32 bits"),
        ("caf\u00e9 2a", r"'caf\\xe9 2a'"),
    ],
)
def test_garbage_is_said_with_its_line_and_its_text(line: str, why: str) -> None:
    """Wherever it stands: after lines that are read as one array, too."""
    for before in (0, 1, 5000):
        refused = refusal("3e99999a 2a\n" * before + line + "\n3e99999a 2a\n")

        assert refused.fault is Fault.GARBAGE
        with pytest.raises(ImplementationError, match=f"^line {before + 1} is no answer: {why}"):
            raise refused


@pytest.mark.parametrize(
    ("fmt", "code", "why"),
    [
        (E4M3FN, "100", r"0x100 is no code of E4M3FN, which has 8 bits"),
        (E4M3FN, "ffffffffffffffffffff", r"0xffffffffffffffffffff is no code of E4M3FN"),
        (E2M1FN, "1f", r"0x1f is no code of E2M1FN, which has 4 bits"),
        (BINARY16, "10000", r"0x10000 is no code of BINARY16, which has 16 bits"),
    ],
)
def test_a_code_that_the_format_lacks_is_out_of_range(fmt: Any, code: str, why: str) -> None:
    refused = refusal(f"3e99999a 1\n3e99999a {code}\n", fmt=fmt)

    assert refused.fault is Fault.RANGE
    with pytest.raises(ImplementationError, match=f"^line 2 is no answer: .*; {why}"):
        raise refused


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "   \n"])
def test_no_answer_at_all_is_missing(text: str) -> None:
    refused = refusal(text)

    assert refused.fault is Fault.MISSING
    assert str(refused) == "there is no answer; a line is one, such as '3f800000 00'"


def test_output_that_stops_within_a_line_is_garbage() -> None:
    """A program that was killed may have written one digit of two."""
    with pytest.raises(ImplementationError, match=r"line 2 .* ends before its line does"):
        parsed("3e99999a 2a\n3f800000 3")
    assert parsed("3e99999a 2a\n3f800000 3\n").answers.tolist() == [0x2A, 3]


@pytest.mark.parametrize("junk", [b"x", b"0", b" ", b"#"])
def test_an_endless_line_is_refused_before_it_ends(junk: bytes) -> None:
    """Were it read to its end, memory would end first."""
    reading, writing = os.pipe()

    def babble() -> None:
        with contextlib.suppress(BrokenPipeError):
            while True:
                os.write(writing, junk * 4096)
        os.close(writing)

    thread = threading.Thread(target=babble, daemon=True)
    thread.start()
    with (
        os.fdopen(reading, "rb") as stream,
        pytest.raises(ImplementationError, match="more than 1000"),
    ):
        parse_results(stream, F32, E4M3FN)
    thread.join(10)

    assert not thread.is_alive()


# Flags.


@pytest.mark.parametrize(
    ("token", "mask"),
    [
        ("00", 0),
        ("01", 1),
        ("5", 5),
        ("0x10", 16),
        ("17", 0x17),
        ("x", 1),
        ("xu", 3),
        ("OX", 5),
        ("i", 16),
        ("v....", 16),  # TestFloat's invalid
        ("....x", 1),
        ("-", 0),
        ("xx", 1),
        ("iv", 16),
    ],
)
def test_flags_are_masks_or_letters(token: str, mask: int) -> None:
    found = parsed(f"3e99999a 2a {token}\n")

    assert found.flags is not None
    assert (found.flags.tolist(), found.flags.dtype) == ([mask], np.uint8)


@pytest.mark.parametrize("token", ["08", "20", "100", "z", "xz", "1x"])
def test_other_flags_are_garbage(token: str) -> None:
    """08, division by zero, is raised by no conversion."""
    refused = refusal(f"3e99999a 2a {token}\n")

    assert refused.fault is Fault.GARBAGE
    assert "its flags are none of x 01, u 02, o 04, i 10" in str(refused)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 0 x\n1 0\n", r"line 2 .* it has no flags and the lines before have"),
        ("0 0\n1 0 x\n", r"line 2 .* it has flags and the lines before have none"),
        ("00000000 00\n" * 3 + "1 0 x\n", r"line 4 .* it has flags"),
        ("0 0 x\n" + "00000000 00\n" * 5000, r"line 2 .* it has no flags"),
    ],
)
def test_all_lines_have_flags_or_none(text: str, why: str) -> None:
    with pytest.raises(ImplementationError, match=why):
        parsed(text)


def test_the_bits_are_those_of_check() -> None:
    """Letters stand for the flags that `check` expects."""
    names = {"x": "inexact", "u": "underflow", "o": "overflow", "i": "invalid"}

    assert {names[letter]: bit for letter, bit in FLAGS.items()} == FLAG_BITS


# Decoders.


def test_what_a_decoder_answers_is_read_the_other_way_round() -> None:
    found = parse_decoded(io.StringIO("38 3f800000\n7F 7fc00000\n"), E4M3FN, F32)

    assert found.inputs.tolist() == [0x38, 0x7F]
    assert found.answers.tolist() == [0x3F800000, 0x7FC00000]
    assert found.inputs.dtype == np.uint8


@pytest.mark.parametrize(
    ("text", "fault", "why"),
    [
        ("38 3f8000000\n", Fault.RANGE, "0x3f8000000 is no word of float32, which has 32 bits"),
        ("138 3f800000\n", Fault.GARBAGE, "its input has more than 8 bits"),
        ("38\n", Fault.GARBAGE, "as '00 00000000'"),
    ],
)
def test_what_is_no_word_is_refused(text: str, fault: Fault, why: str) -> None:
    with pytest.raises(ImplementationError, match=why) as refused:
        parse_decoded(io.StringIO(text), E4M3FN, F32)

    assert refused.value.fault is fault


def test_words_of_64_bits_are_whole() -> None:
    """No digit is lost in the array."""
    fmt, source = get_format("E5M2"), get_source("f64")
    text = hex_lines((np.array([0xFFF0_0000_0000_0001, 1], np.uint64), 16), (np.array([1, 2]), 2))

    assert parsed(text, source=source, fmt=fmt).inputs.tolist() == [0xFFF0_0000_0000_0001, 1]
    assert refusal("1" + text, source=source, fmt=fmt).fault is Fault.GARBAGE
