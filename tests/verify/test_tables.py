"""The C header and the SystemVerilog package, compiled, run and compared with the reference."""

from __future__ import annotations

import io
import shutil
import subprocess
from itertools import product
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from fp8num.formats import FORMATS, Format, get_format
from fp8num.projection import Projection, Result, Rounding, Saturation, get_projection
from fp8num.verify.cases import boundaries, standard
from fp8num.verify.hexlines import parse_results, write_inputs
from fp8num.verify.reference import expected_codes
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.tables import c_header, contents, sv_package
from fp8num.verify.vectors.packs import write_pack

if TYPE_CHECKING:
    from pathlib import Path

SMALL = [fmt for fmt in FORMATS.values() if fmt.bits <= 8]
SOURCES = {name: get_source(name) for name in ("f16", "bf16", "f32", "f64")}
C_NAMES = {"f16": "half", "bf16": "bfloat16", "f32": "float", "f64": "double"}
DETERMINISTIC = [mode for mode in Rounding if not mode.is_stochastic]
ALL_MODES = [get_projection(FORMATS["E4M3FN"], *m) for m in product(DETERMINISTIC, Saturation)]
TWO_MODES = [Projection(), get_projection(FORMATS["E4M3FN"], "ru", "SatNone")]
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wsign-conversion"]
COMPILERS = {"gcc": ["gcc", "-std=c99"], "g++": ["g++", "-std=c++11", "-x", "c++"]}

#: Reads words in binary, and writes the codes that each function gives for them in binary.
PROGRAM = """
#include <stdio.h>
#include <string.h>
static uint{width}_t words[{count}];
int main(void)
{{
    size_t i;
    if (fread(words, sizeof words[0], {count}u, stdin) != {count}u)
        return 1;
{calls}
    return 0;
}}
"""
CALL = """    for (i = 0; i < {count}u; i++) {{
        uint{width}_t code = {function}(words[i]);
        fwrite(&code, sizeof code, 1, stdout);
    }}
"""


def name_of(fmt: Format) -> str:
    """Return what a format is called in a program."""
    return fmt.name.lower()


def require(tool: str) -> str:
    """Return where a program is; skip a test if it is not there."""
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed, what it would compile is not tried")
    return path


def build(folder: Path, headers: dict[str, str], program: str, compiler: str = "gcc") -> Path:
    """Compile a program with headers, without a warning."""
    require(compiler)
    for name, text in headers.items():
        (folder / f"{name}.h").write_text(text, encoding="ascii")
    includes = "".join(f'#include "{name}.h"\n' for name in headers)
    (folder / "program.c").write_text(includes + program, encoding="ascii")
    command = [*COMPILERS[compiler], *STRICT, "-O1", "program.c", "-o", "program"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "program"


def every_upper_half(*lower: int) -> npt.NDArray[np.uint32]:
    """Return float32 words: all upper halves with each of these lower ones."""
    upper = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
    return np.concatenate([upper | np.uint32(half) for half in lower])


def inputs(formats: list[Format], source: SourceType) -> npt.NDArray[Any]:
    """Return words of all exponents, and those beside every boundary of the formats."""
    edges = [boundaries(fmt, source).words for fmt in formats]
    if source.bits == 16:
        return source.every()
    if source.bits == 32:
        return np.concatenate([every_upper_half(0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF), *edges])
    upper = every_upper_half(0, 0xFFFF).astype(np.uint64) << np.uint64(32)
    return np.concatenate([upper, upper | np.uint64(0xFFFF_FFFF), *edges])


def assert_c_is_right(
    folder: Path, formats: list[Format], projections: list[Projection], source: SourceType
) -> None:
    """Compile the headers of formats together, and compare every code with the reference."""
    kind = C_NAMES[source.short]
    headers = {name_of(fmt): c_header(fmt, projections, source) for fmt in formats}
    words = inputs(formats, source)
    names = [encoder.name for encoder in contents("E4M3FN", projections).encoders]
    functions = [f"fp8_{name_of(fmt)}_from_{kind}_bits_{name}" for fmt in formats for name in names]
    width = 8 * formats[0].code_dtype.itemsize
    calls = [CALL.format(count=words.size, width=width, function=name) for name in functions]
    program = PROGRAM.replace("uint{width}_t words", f"uint{source.bits}_t words")
    program = program.format(count=words.size, calls="".join(calls))

    path = build(folder, headers, program)
    done = subprocess.run([path], input=words.tobytes(), capture_output=True, check=True)

    found = np.frombuffer(done.stdout, formats[0].code_dtype).reshape(len(functions), -1)
    for (fmt, projection), codes in zip(product(formats, projections), found, strict=True):
        expected = expected_codes(
            source.values(words), fmt, projection.rounding, projection.saturation
        )
        wrong = np.flatnonzero(codes != expected)
        assert not wrong.size, (
            f"{fmt.name} {projection.rounding.value} {projection.saturation.value}: "
            f"{np.unique(words[wrong]).size} wrong, first {source.hex(int(words[wrong[0]]))}"
        )


# The C header.


def test_the_header_encodes_every_small_format_as_the_definition(tmp_path: Path) -> None:
    """All catalogue formats up to 8 bits in one program: every exponent, every boundary."""
    require("gcc")
    assert_c_is_right(tmp_path, SMALL, TWO_MODES, SOURCES["f32"])


@pytest.mark.exhaustive
def test_the_header_encodes_in_every_mode(tmp_path: Path) -> None:
    """Eighteen projections of each format."""
    require("gcc")
    assert_c_is_right(tmp_path, SMALL, ALL_MODES, SOURCES["f32"])


@pytest.mark.parametrize(("source", "names"), [("f16", "E4M3FN E3M4"), ("f64", "E5M2 E8M0FNU")])
def test_the_header_takes_other_types(source: str, names: str, tmp_path: Path) -> None:
    """All of float16; boundaries and all upper parts of float64."""
    require("gcc")
    assert_c_is_right(tmp_path, [*map(get_format, names.split())], TWO_MODES, SOURCES[source])


def test_the_header_takes_formats_above_8_bits(tmp_path: Path) -> None:
    """Codes of 9 bits are uint16_t."""
    require("gcc")
    assert_c_is_right(tmp_path, [get_format("binary9p4se")], TWO_MODES, SOURCES["f32"])


def test_a_wrong_threshold_would_be_noticed(tmp_path: Path) -> None:
    """The comparison fails if a run begins one word later."""
    require("gcc")
    right = contents("E2M1FN").encoders[0].starts[2]

    with pytest.MonkeyPatch.context() as patch:
        header = c_header
        moved = (f"0x{right:08x}u", f"0x{right + 1:08x}u")
        patch.setitem(globals(), "c_header", lambda *of: header(*of).replace(*moved))
        with pytest.raises(AssertionError, match=r"E2M1FN .*: 1 wrong, first 0x1\.8"):
            assert_c_is_right(tmp_path, [FORMATS["E2M1FN"]], [Projection()], SOURCES["f32"])


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_header_is_strict_c99_and_c_plus_plus(compiler: str, tmp_path: Path) -> None:
    """No warning; included twice; the decoder gives the values, and masks what is no code."""
    formats = [FORMATS[name] for name in ("E4M3FN", "E5M2", "E2M1FN", "E8M0FNU", "POSIT8")]
    headers = {name_of(fmt): c_header(fmt) for fmt in formats}
    loops = "".join(
        f"    for (i = 0; i < 256; i++) {{ uint32_t word = "
        f"fp8_{name_of(fmt)}_to_float_bits((uint8_t)i); fwrite(&word, 4, 1, stdout); }}\n"
        for fmt in formats
    )
    twice = "".join(f'#include "{name}.h"\n' for name in headers)
    program = f"{twice}#include <stdio.h>\nint main(void)\n{{\n    int i;\n{loops}    return 0;\n}}"

    path = build(tmp_path, headers, program, compiler)
    done = subprocess.run([path], capture_output=True, check=True)

    found = np.frombuffer(done.stdout, np.uint32).reshape(-1, 256)
    for fmt, words in zip(formats, found, strict=True):
        codes = np.arange(256) & ((1 << fmt.bits) - 1)
        np.testing.assert_array_equal(words.view(np.float32), fmt.values[codes])
    e4m3fn = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    np.testing.assert_array_equal(found[0], e4m3fn.view(np.uint32))
    assert hex(found[2][8]) == "0x80000000"  # -0 of FP4
    assert hex(found[3][0]) == "0x400000"  # 2**-127 is a subnormal float32


#: Echoes each input and appends its code, as `fp8num verify` reads it.
CONVERTER = """
#include <stdio.h>
int main(void)
{
    unsigned long word;
    while (scanf("%lx", &word) == 1)
        printf("%08lx %02x\\n", word, (unsigned)fp8_e4m3fn_from_float_bits((uint32_t)word));
    return 0;
}
"""


def test_the_header_makes_a_converter_in_a_pipe(tmp_path: Path) -> None:
    """Lines in, lines out: what a user who has no Python would write."""
    fmt, source = FORMATS["E4M3FN"], SOURCES["f32"]
    modes = [get_projection(fmt, "rz", "SatNone"), Projection()]
    program = build(tmp_path, {"e4m3fn": c_header(fmt, modes)}, CONVERTER)
    words = standard(fmt, source).words
    lines = io.StringIO()
    write_inputs(words, source, lines)

    done = subprocess.run(
        [program], input=lines.getvalue().encode(), capture_output=True, check=True
    )
    echoed, codes, flags = parse_results(io.BytesIO(done.stdout), source, fmt)

    assert flags is None
    np.testing.assert_array_equal(echoed, words)
    # The first of the projections is the one with the short name.
    expected = expected_codes(source.values(words), fmt, "rz", "SatNone")
    np.testing.assert_array_equal(codes, expected)


def test_the_header_says_what_it_is() -> None:
    """Where it comes from, one constant of each kind, and nothing included but stdint.h."""
    header = c_header("E5M2", [Projection()], version="9.8.7")
    lines = header.splitlines()

    assert lines[1] == " * E5M2: tables and thresholds, made by fp8num 9.8.7; do not edit."
    assert lines[2].startswith(" * Format: w5m2b15-ieee, 8 bits. OCP 8-bit Floating Point")
    assert [line for line in lines if line.startswith("#include")] == ["#include <stdint.h>"]
    for name, value in {
        "BITS": "8",
        "BIAS": "15",
        "MAX_CODE": "0x7bu",
        "MAX_FLOAT_BITS": "0x47600000u",  # 57344 = 1.75 * 2**15
        "SMALLEST_NORMAL_CODE": "0x04u",
        "SMALLEST_SUBNORMAL_FLOAT_BITS": "0x37800000u",  # 2**-16
        "INFINITY_CODE": "0x7cu",
        "NAN_CODE": "0x7eu",
    }.items():
        assert f"#define FP8_E5M2_{name} {value}" in lines


def test_a_profile_gives_its_name_to_a_function() -> None:
    """ml_dtypes' E8M0 takes zero for NaN."""
    found = contents("E8M0FNU", ["ml_dtypes"]).encoders[0]

    assert (found.name, found.rule) == ("ml_dtypes", "as ml_dtypes")
    assert found.codes[0] == 0xFF
    assert "uint8_t fp8_e8m0fnu_from_float_bits_ml_dtypes(uint32_t" in c_header(
        "E8M0FNU", ["ml_dtypes"]
    )


def test_a_hostile_name_cannot_leave_the_comment(tmp_path: Path) -> None:
    """Neither the end of a comment, nor a line's end, nor a trigraph, nor other letters."""
    fmt = Format(
        name="My */ fmt\n\\",
        exponent_bits=2,
        mantissa_bits=1,
        specials="none",
        source="??/ § */ int x;\n#error no\\",
    )
    header = c_header(fmt)
    assert "fp8_my_fmt_to_float_bits" in header
    assert "#error" not in header.replace(" _error", "")
    assert "package fp8_my_fmt_pkg;" in sv_package(fmt).splitlines()
    build(tmp_path, {"mine": header}, "int main(void) { return 0; }\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("BFLOAT16", [Projection()], "f16"), r"float16 does not hold"),
        (("binary8p1ue", [Projection()], "f16"), r"source must hold every value of Binary8p1ue"),
        (("E4M3FN", []), r"projections must be at least one, each of another name, got $"),
        (("E4M3FN", [Projection(), Projection()]), r"got rne_satfinite, rne_satfinite"),
        (("E4M3FN", [Projection(rounding=Rounding.STOCHASTIC_A)]), r"rounding must be determin"),
        (
            ("E4M3FN", [Projection(results=((Result.NAN, 0),))]),
            r"projections must be of rounding, saturation and nan alone, got another library's",
        ),
        (("E4M3FN", ["no such"]), r"like must be one of"),
        (("E4M3FN", [Projection()], "int8"), r"source must be one of"),
    ],
)
@pytest.mark.parametrize("write", [c_header, sv_package])
def test_wrong_arguments_are_refused(write: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(*arguments)


# The SystemVerilog package.

#: Reads a pack and counts the cases whose codes differ; decodes all codes.
TESTBENCH = """
module testbench;
  import fp8_{name}_pkg::*;
  logic [{whole}-1:0] cases [0:{count}-1];
  logic [{bits}-1:0] code;
  int wrong;
  initial begin
    $readmemh("{memory}", cases);
    wrong = 0;
    for (int i = 0; i < {count}; i = i + 1) begin
      code = from_{kind}_bits_{mode}(cases[i][{whole}-1:{low}]);
      if (code !== cases[i][{bits}-1:0]) begin
        if (wrong == 0) $display("first %h", cases[i]);
        wrong = wrong + 1;
      end
    end
    $display("wrong %0d of %0d", wrong, {count});
    code = from_{kind}_bits({{1'bx, {{{width}-1{{1'b0}}}}}});
    $display("unknown %b", code);
    for (int i = 0; i < (1 << {bits}); i = i + 1) $display("%h", to_{kind}_bits(i[{bits}-1:0]));
    $finish;
  end
endmodule
"""


def simulate(
    folder: Path, fmt: Format, source: SourceType, mode: tuple[str, str], *, damage: bool = False
) -> list[str]:
    """Write a pack and a package, simulate, and return what is printed."""
    iverilog, vvp = require("iverilog"), require("vvp")
    pack = folder / "pack"
    write_pack(
        pack,
        [fmt],
        sources=[source],
        roundings=[mode[0]],
        saturations=[mode[1]],
        cases="every" if source.bits == 16 else "boundaries",
        kinds=["readmemh"],
    )
    (memory,) = pack.glob("*.mem")
    lines = memory.read_text("ascii").splitlines()
    if damage:
        lines[-1] = lines[-1][:-1] + ("0" if lines[-1][-1] != "0" else "1")
        memory.write_text("\n".join(lines) + "\n", "ascii")
    projection = get_projection(fmt, *mode)
    name = f"fp8_{name_of(fmt)}_pkg"
    (folder / f"{name}.sv").write_text(sv_package(fmt, [projection], source), "ascii")
    digits = -(-fmt.bits // 4)
    testbench = TESTBENCH.format(
        name=name_of(fmt),
        whole=source.bits + 4 * digits,
        low=4 * digits,
        width=source.bits,
        bits=fmt.bits,
        count=sum(not line.startswith("//") for line in lines),
        memory=memory.as_posix(),
        kind=C_NAMES[source.short],
        mode="_".join(mode).lower(),
    )
    (folder / "testbench.sv").write_text(testbench, "ascii")
    compile_it = [iverilog, "-g2012", "-Wall", "-o", "run.vvp", f"{name}.sv", "testbench.sv"]
    done = subprocess.run(compile_it, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "error" not in done.stderr.lower()
    ran = subprocess.run([vvp, "run.vvp"], cwd=folder, capture_output=True, text=True, check=True)
    assert not ran.stderr
    return ran.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("name", "source", "mode"),
    [
        ("E4M3FN", "f16", ("rne", "SatFinite")),
        ("E4M3FN", "f32", ("rne", "SatNone")),
        ("E5M2", "f32", ("ru", "SatNone")),
        ("E8M0FNU", "f32", ("ro", "SatPropagate")),
        ("E2M1FN", "bf16", ("rna", "SatFinite")),
        ("POSIT8", "f64", ("rne", "SatFinite")),
    ],
)
def test_the_package_agrees_with_the_pack(
    name: str, source: str, mode: tuple[str, str], tmp_path: Path
) -> None:
    """In Icarus Verilog: all 16-bit words, or the words beside every boundary."""
    fmt, kind = FORMATS[name], SOURCES[source]
    words = (boundaries(fmt, kind).words if kind.bits > 16 else kind.every()).size

    tally, unknown, *decoded = simulate(tmp_path, fmt, kind, mode)

    assert tally == f"wrong 0 of {words}"
    assert unknown == "unknown " + "x" * fmt.bits
    values = np.array([int(word, 16) for word in decoded], kind.word).view(kind.dtype)
    np.testing.assert_array_equal(values.astype(np.float64), fmt.values)


def test_a_wrong_code_in_a_pack_would_be_noticed(tmp_path: Path) -> None:
    """The test bench compares, and says where."""
    first, tally, *_ = simulate(
        tmp_path, FORMATS["E2M1FN"], SOURCES["f32"], ("rne", "SatFinite"), damage=True
    )

    assert first.startswith("first ")
    assert tally.startswith("wrong 1 of ")


@pytest.mark.parametrize("name", ["E4M3FN", "E2M1FN", "E8M0FNU", "HIFLOAT8"])
def test_verilator_has_nothing_to_say_about_the_package(name: str, tmp_path: Path) -> None:
    """Lint with all warnings."""
    verilator = require("verilator")
    package = f"fp8_{name.lower()}_pkg.sv"
    (tmp_path / package).write_text(sv_package(name, TWO_MODES), "ascii")

    done = subprocess.run(
        [verilator, "--lint-only", "-Wall", package],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
