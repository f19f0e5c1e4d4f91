"""Installed libraries as implementations: here ml_dtypes, and libraries made up for the tests."""

from __future__ import annotations

import csv
import importlib
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num.projection import PROFILES, Projection, Rounding, Saturation
from fp8num.verify import Fault, Implementation, check, reference
from fp8num.verify.cases import standard
from fp8num.verify.peers import LIBRARIES, PEERS, Peer, available, get_peer, library, peer
from fp8num.verify.peers.library import REFUSED, Library, read_answers, stand_ins
from fp8num.verify.sources import SOURCES, get_source
from fp8num.verify.truth import truth_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = npt.NDArray[Any]

REPORTS = Path(__file__).parents[2] / "reports"
OLD = tuple(map(int, version("ml_dtypes").split(".")[:2])) < (0, 7)
LIKE = "ml_dtypes<0.7" if OLD else "ml_dtypes"
#: The formats that the installed one has.
ML_DTYPES = [name for name in LIBRARIES["ml_dtypes"].formats if name in PROFILES[LIKE].formats]


def made_up(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Put a library named "mine" among the peers."""
    one = {
        "about": "made up",
        "install": "numpy",
        "modules": ("numpy",),
        "formats": {"E4M3FN": "mine", "E8M0FNU": "mine"},
        "encode": lambda x, name: np.zeros(x.shape, np.uint8),
    }
    libraries = MappingProxyType({**LIBRARIES, "mine": Library(**{**one, **changes})})
    monkeypatch.setattr("fp8num.verify.peers.LIBRARIES", libraries)
    monkeypatch.setattr(peer, "LIBRARIES", libraries)


def emulate(largest: float) -> Callable[[Array, str], Array]:
    """Return a library that gives values, and takes E4M3FN to end at another value."""

    def encode(x: Array, name: str) -> Array:
        with np.errstate(all="ignore"):
            wide = x.astype(np.float64)
            # Four significant bits, the exponent that of the smallest normal or larger.
            exponent = np.maximum(np.frexp(np.where(np.isfinite(wide), wide, 1.0))[1] - 1, -6)
            ulps = np.rint(np.ldexp(np.where(np.isfinite(wide), wide, 0.0), 3 - exponent))
            rounded = np.copysign(np.minimum(np.abs(np.ldexp(ulps, exponent - 3)), largest), wide)
        rounded[np.isinf(wide)] = np.copysign(largest, wide[np.isinf(wide)])
        rounded[np.isnan(wide)] = np.nan
        return rounded

    return encode


# Names and refusals.


def test_every_peer_says_what_it_is() -> None:
    assert list(PEERS) == list(LIBRARIES)
    assert all(about and "\n" not in about for about in PEERS.values())
    assert len(set(PEERS.values())) == len(PEERS)


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_format_and_source_of_a_library_exists(name: str) -> None:
    """Under the names that this package has for them."""
    one = LIBRARIES[name]
    assert [fp.get_format(fmt).name for fmt in one.formats] == list(one.formats)
    assert set(one.sources) <= set(SOURCES)
    assert one.modules


def test_ml_dtypes_is_available_and_says_its_version() -> None:
    assert {"ml_dtypes", "ml_dtypes-scalar"} <= set(available())
    assert get_peer("ml_dtypes", "e4m3fn").name == f"ml_dtypes {ml_dtypes.__version__}"


def test_an_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"one of ml_dtypes, .*torch.*, got 'mldtypes'; did you mean ml_dtypes"
    ):
        get_peer("mldtypes", "E4M3FN")


def test_a_format_that_the_library_does_not_have_is_refused() -> None:
    message = r"fmt must be one of E4M3FN, .* for ml_dtypes, got POSIT8"
    with pytest.raises(ValueError, match=message):
        get_peer("ml_dtypes", "POSIT8")


def test_a_source_that_the_library_does_not_take_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_up(monkeypatch, sources=("float32",))
    with pytest.raises(ValueError, match="source must be one of float32 for mine, got float64"):
        get_peer("mine", "E4M3FN", "f64")


def test_a_library_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_up(monkeypatch, modules=("fp8num_no_such_module",), install="some-name")
    message = r"mine cannot be imported \(ModuleNotFoundError: .*\); pip install some-name"
    with pytest.raises(ValueError, match=message):
        get_peer("mine", "E4M3FN")
    assert "mine" not in available()


def test_a_library_whose_import_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that compiles itself, without a compiler."""

    def fail(module: str) -> None:
        msg = f"no compiler for {module}"
        raise OSError(msg)

    monkeypatch.setattr("fp8num.verify.peers.load", fail)
    with pytest.raises(ValueError, match=r"cannot be imported \(OSError: no compiler for ml_d"):
        get_peer("ml_dtypes", "E4M3FN")
    assert available() == ()


def test_warnings_of_an_import_are_not_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "fp8num_warns.py").write_text("import warnings\nwarnings.warn('old')\nx = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert library.load("fp8num_warns").x == 1


# ml_dtypes.


@pytest.mark.parametrize("fmt", ML_DTYPES)
@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32"])
def test_ml_dtypes_conforms_to_its_profile(fmt: str, source: str) -> None:
    """Over the standard cases, with every probe."""
    verdict = check(get_peer("ml_dtypes", fmt, source), fmt, source=source, like=LIKE)
    assert verdict.ok, str(verdict)


@pytest.mark.skipif(OLD, reason="ml_dtypes before 0.7 rounds float64 twice")
@pytest.mark.parametrize("fmt", ML_DTYPES)
def test_ml_dtypes_conforms_from_float64(fmt: str) -> None:
    verdict = check(get_peer("ml_dtypes", fmt, "float64"), fmt, source="float64", like="ml_dtypes")
    assert verdict.ok, str(verdict)


def test_a_type_that_the_installed_one_has_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As float8_e5m3fnu before ml_dtypes 0.7."""
    implementation = get_peer("ml_dtypes", "UE5M3")
    monkeypatch.delattr(ml_dtypes, "float8_e5m3fnu", raising=False)
    with pytest.raises(ValueError, match=r"has no float8_e5m3fnu; pip install --upgrade ml_dtypes"):
        implementation.function(np.ones(1, np.float32))


@pytest.mark.parametrize("fmt", ["E4M3FN", "E5M2", "E4M3FNUZ", "E5M2FNUZ"])
def test_arrays_of_float64_are_rounded_twice_before_0_7_and_scalars_once(fmt: str) -> None:
    """Only beside ties, or where a value rounds to what overflows."""
    arrays = check(get_peer("ml_dtypes", fmt, "f64"), fmt, source="f64", like="ml_dtypes")
    scalars = check(get_peer("ml_dtypes-scalar", fmt, "f64"), fmt, source="f64", like="ml_dtypes")

    assert scalars.ok, str(scalars)
    if not OLD:
        assert arrays.ok, str(arrays)
        return
    assert not arrays.findings
    assert set(arrays.by_class) == {
        *("below smallest", "near subnormal tie", "near normal tie", "overflow by rounding")
    }


@pytest.mark.parametrize(
    ("fmt", "x", "array", "exact"),
    [
        ("E5M2", 9.00000000001, 8.0, 10.0),
        ("E4M3FN", float.fromhex("0x1.0000000000001p-10"), 0.0, 2.0**-9),
        ("E4M3FN", -431.99999999999994, -448.0, -416.0),
        ("E5M2", -61439.99816894531, -np.inf, -57344.0),
        ("E4M3FNUZ", -247.99999260902405, np.nan, -240.0),
    ],
)
def test_known_witnesses_of_double_rounding(fmt: str, x: float, array: float, exact: float) -> None:
    """Numbers that others have published; the exact value is the definition's."""
    given = np.array([x])
    for name, value in (("ml_dtypes", array if OLD else exact), ("ml_dtypes-scalar", exact)):
        code = get_peer(name, fmt, "float64").function(given)
        np.testing.assert_array_equal(fp.get_format(fmt).values[code], [value])
    rule = (Rounding.NEAREST_TIES_TO_EVEN, Saturation.SAT_NONE)
    known = reference.decode(reference.project(x, fp.get_format(fmt), *rule), fp.get_format(fmt))
    assert known.value == abs(exact) * (-1 if exact < 0 else 1)


def test_the_scalar_of_e8m0_wraps_around_in_0_6() -> None:
    """Between 1.5 * 2**128 and 2**129 it gives the smallest value; 0.5 and 0.7 give NaN."""
    wraps = version("ml_dtypes").startswith("0.6.")
    scalar = get_peer("ml_dtypes-scalar", "E8M0FNU", "float64")
    given = np.array([1.4 * 2.0**128, 1.5 * 2.0**128, np.nextafter(2.0**129, 0), 2.0**129])
    middle = 0x00 if wraps else 0xFF
    assert scalar.function(given).tolist() == [0xFF, middle, middle, 0xFF]

    verdict = check(scalar, "E8M0FNU", source="float64", like=LIKE)

    assert list(verdict.by_class) == ["overflow"] * wraps


@pytest.mark.parametrize("fmt", ML_DTYPES)
def test_ml_dtypes_decodes(fmt: str) -> None:
    """A peer that is given codes returns values."""
    assert check(get_peer("ml_dtypes", fmt), fmt, direction="decode").ok


def test_a_library_without_codes_cannot_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch)
    with pytest.raises(TypeError, match="mine has no codes to decode, it gives values"):
        get_peer("mine", "E4M3FN").function(np.zeros(1, np.uint8))


def test_another_process_can_have_a_peer() -> None:
    """As sweeps do, whatever the process begins with."""
    source = get_source("float32")
    words = source.words(np.array([1.0, 464.0, 1e9], np.float32))
    one = get_peer("ml_dtypes", "E4M3FN")
    assert isinstance(one, Implementation)
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        codes = pool.submit(one.codes, words, source, fp.E4M3FN).result()

    assert codes.tolist() == [0x38, 0x7E, 0x7F]


# Answers that are no codes of the format.


@pytest.mark.parametrize("fmt", [f for f in fp.FORMATS.values() if f.bits <= 8], ids=str)
def test_values_become_their_codes(fmt: fp.Format) -> None:
    """Every code's value, as the definition decodes it; NaN becomes a NaN, -0 stays where it is."""
    for code in range(1 << fmt.bits):
        datum = reference.decode(code, fmt)
        if datum.kind is reference.Kind.FINITE:
            value = -abs(float(datum.value)) if datum.negative else float(datum.value)
            codes, known = read_answers(np.array([value]), fmt)
            assert (codes[0], known[0]) == (code, True)
    for value, has_it in ((np.nan, fmt.has_nan), (np.inf, fmt.has_infinity), (1e300, False)):
        codes, known = read_answers(np.array([value]), fmt)
        assert known[0] == has_it
        assert not has_it or np.isnan(fmt.values[codes[0]]) == np.isnan(value)


def test_what_is_between_values_is_not_known() -> None:
    answers = np.array([1.0, 1.0625, 480.0, np.inf, -0.0])
    assert read_answers(answers, fp.E4M3FN)[1].tolist() == [True, False, False, False, True]
    codes, known = read_answers(answers[[4]], fp.E4M3FNUZ)  # which has one zero
    assert (codes.tolist(), known.tolist()) == ([0], [True])
    wrapped = np.array([0, 255, 256, 2**64 - 1], np.uint64)
    assert read_answers(wrapped, fp.E8M0FNU)[1].tolist() == [True, True, False, False]
    assert read_answers(np.array([15, 16, REFUSED]), fp.E2M1FN)[1].tolist() == [True, False, False]


@pytest.mark.parametrize(
    "name",
    [
        *("E4M3FN", "E8M0FNU", "E2M1FN"),  # with NaN, unsigned, and without
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)
            for name in ("E5M2", "UE5M3", "Binary8p3ue", "Binary8p1uf", "E4M3FNUZ")
        ),
    ],
)
def test_no_rule_gives_a_stand_in(name: str) -> None:
    """So that what a format does not have counts as wrong, by every rounding and profile."""
    fmt = fp.get_format(name)
    projections = [
        Projection(rounding=rounding, saturation=saturation, nan=nan)
        for rounding in Rounding
        if not rounding.is_stochastic
        for saturation in Saturation
        for nan in (fp.projection.NanResult.MAX, fp.projection.NanResult.ZERO)
    ]
    projections += [p.projection(fmt) for p in PROFILES.values() if name in p.formats]
    for turn, source in enumerate(("bfloat16", "float32")):
        kind = get_source(source)
        words = standard(fmt, kind).words
        codes = stand_ins(kind.values(words), fmt)
        assert not np.isnan(fmt.values[codes]).any()
        for projection in projections[turn::2]:  # without a NaN rule, and with it
            wrong = np.flatnonzero(truth_of(fmt, projection, kind).codes_of(words) == codes)
            assert not wrong.size, f"{projection}: {kind.hex(int(words[wrong[0]]))}"


@pytest.mark.parametrize("like", ["ocp-sat", "ocp-nonsat"])
def test_a_value_that_the_format_lacks_counts_as_wrong_and_is_shown(
    monkeypatch: pytest.MonkeyPatch, like: str
) -> None:
    """480 instead of 448 or NaN: once for every input that rounds beyond 464, and no other."""
    made_up(monkeypatch, encode=emulate(480.0), exact=False)
    one = get_peer("mine", "E4M3FN", "float16")
    words = np.arange(1 << 16, dtype=np.uint16)
    beyond = int((np.abs(words.view(np.float16)) > 464).sum())

    verdict = check(one, "E4M3FN", source="float16", like=like)
    findings = one.findings(words, get_source("f16"), fp.E4M3FN)

    assert verdict.mismatches == beyond == 14_720
    assert [finding.fault for finding in findings] == [Fault.RANGE]
    assert findings[0].detail == (
        "gave what is none of it for 14,720 of 65,536 inputs of E4M3FN, "
        "first 480.0 for 0x1.d040000000000p+8"
    )
    assert Peer("mine", fp.E4M3FN, get_source("f16")).describe(np.float16([480, 1])) == (
        "480 (none)",
        "38 = 1",
    )


def test_what_is_not_rounded_is_wrong_though_it_would_round_to_the_right_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Right are the 254 numbers of the format, and the 2,046 NaNs."""
    made_up(monkeypatch, encode=lambda x, name: x, exact=False)

    verdict = check(get_peer("mine", "E4M3FN", "float16"), "E4M3FN", source="float16")

    assert verdict.mismatches == 65_536 - 254 - 2_046


def test_values_of_the_format_give_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same library with the right largest value conforms."""
    made_up(monkeypatch, encode=emulate(448.0), exact=False)
    one = get_peer("mine", "E4M3FN", "float16")
    assert check(one, "E4M3FN", source="float16", like="ocp-sat").ok
    assert one.findings(np.arange(9, dtype=np.uint16), get_source("f16"), fp.E4M3FN) == ()
    assert "an answer that E4M3FN does not have shows as a value far from" in one.name


def test_an_element_that_is_an_error_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses_nan(x: Array, name: str) -> Array:
        return np.where(np.isnan(x), REFUSED, 0x38)

    made_up(monkeypatch, encode=refuses_nan, exact=False)
    source = get_source("float32")
    words = source.words(np.array([1, np.nan], np.float32))

    (finding,) = get_peer("mine", "E4M3FN").findings(words, source, fp.E4M3FN)

    assert finding.detail == (
        "raised an error for 1 of 2 inputs of E4M3FN, first for nan(0x400000)"
    )
    assert Peer("mine", fp.E4M3FN, source).describe(source.values(words)) == ("38 = 1", "error")


def test_an_error_for_everything_is_a_finding_of_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(x: Array, name: str) -> Array:
        msg = "not today"
        raise RuntimeError(msg)

    made_up(monkeypatch, encode=fails, exact=False)
    one = get_peer("mine", "E4M3FN")
    assert one.findings(np.zeros(3, np.uint32), get_source("f32"), fp.E4M3FN) == ()

    verdict = check(one, "E4M3FN")

    assert not verdict.ok
    assert "not today" in verdict.findings[0].detail


def test_a_wrong_shape_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """For check to say."""
    made_up(monkeypatch, encode=lambda x, name: np.zeros(3, np.uint8))
    verdict = check(get_peer("mine", "E4M3FN"), "E4M3FN")
    assert [finding.fault for finding in verdict.findings] == [Fault.SHAPE]


# The report, which is made by a script beside the package.


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import reports/peers.py with one library in it, which is made up."""
    if not (REPORTS / "peers.py").exists():
        pytest.skip("the reports are not part of a source distribution")
    formats = {"E4M3FN": "mine"}
    made_up(monkeypatch, encode=emulate(480.0), exact=False, sources=("float32",), formats=formats)
    monkeypatch.syspath_prepend(REPORTS)
    modules = {
        name: importlib.import_module(name) for name in ("peers_rows", "peers_page", "peers")
    }
    for module in modules.values():
        if hasattr(module, "LIBRARIES"):
            monkeypatch.setattr(module, "LIBRARIES", peer.LIBRARIES)
    monkeypatch.setattr(modules["peers"], "main", partial(run_here, modules["peers"].main))
    return modules["peers"]


def run_here(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run the script in this process, where there is a library that is made up."""
    return main([*arguments, "--workers", "0"])


def records(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_report_has_a_row_for_each_rule(script: Any, tmp_path: Path) -> None:
    """With the counts, witnesses and the line of the verdicts."""
    script.main(["mine", "--output", str(tmp_path)])

    rows = records(tmp_path / "conformance.csv")
    assert [row["rule"] for row in rows] == [
        *("NearestTiesToEven, SatNone", "ocp-sat", "ocp-nonsat")
    ]
    one = get_peer("mine", "E4M3FN")
    for row, rule in zip(rows, ("SatNone", "SatFinite", "SatNone"), strict=True):
        verdict = check(one, "E4M3FN", saturation=rule)
        assert (row["cases"], row["mismatches"]) == (
            *(str(verdict.tally.cases), str(verdict.mismatches)),
        )
        assert row["findings"].startswith("range: gave what is none of it for ")
    assert rows[1]["line"] == "fp8num verify E4M3FN mine --source f32 --like ocp-sat"
    kinds = {row["kind"] for row in records(tmp_path / "witnesses.csv")}
    assert kinds == {"overflow by rounding", "overflow", "infinity", "-infinity"}
    outputs = {row["input"]: row["output"] for row in records(tmp_path / "outputs.csv")}
    assert outputs["480"] == "480 (none)"
    assert outputs["1.0625"] == "38 = 1"
    assert "| `mine` | E4M3FN | ocp-sat | – | – | **" in (tmp_path / "README.md").read_text("utf-8")


def test_rows_of_libraries_that_are_not_judged_are_kept(script: Any, tmp_path: Path) -> None:
    """So that two environments complete one table; with the version that they are of."""
    script.main(["mine", "--output", str(tmp_path)])
    path = tmp_path / "conformance.csv"
    text = path.read_text("utf-8")
    line = text.splitlines()[1].replace("mine", "torch")
    path.write_text(f"{text}{line}\n{line.replace('torch', 'removed')}\n", "utf-8")

    script.main(["mine", "--output", str(tmp_path)])

    names = [row["implementation"] for row in records(path)]
    assert names == ["torch", *["mine"] * 3]  # in the order of the libraries


def test_a_changed_line_fails_the_check(script: Any, tmp_path: Path) -> None:
    script.main(["mine", "--output", str(tmp_path)])
    assert script.main(["mine", "--output", str(tmp_path), "--check"]) == 0
    path = tmp_path / "outputs.csv"
    text = path.read_text("utf-8")
    path.write_text(text.replace("480 (none)", "448 (none)"), "utf-8")

    with pytest.raises(SystemExit, match=r"lines differ:\noutputs.csv: -mine,.*448 \(none\)"):
        script.main(["mine", "--output", str(tmp_path), "--check"])

    assert "480 (none)" not in path.read_text("utf-8")


def test_a_sentence_whose_evidence_is_gone_stops_the_page(script: Any) -> None:
    from peers_page import claims_text
    from peers_rows import Output

    questions = [{"format": "E4M3FN", "source": "float32", "inputs": ["480"]}]
    outputs = [Output("mine", "1", "E4M3FN", "float32", "480", "480 (none)")]

    def text(name: str, x: str, answer: str) -> str:
        claim = {"text": "It has 480.", "shows": [[name, "E4M3FN", "float32", x, answer]]}
        return claims_text([claim], outputs, questions, ["mine"])

    assert text("mine", "480", "480 (none)").startswith("- It has 480.\n  - `mine`, E4M3FN")
    assert text("torch", "480", "480 (none)") == ""  # to be asked elsewhere
    with pytest.raises(ValueError, match=r"480 gives 480 \(none\), the claim says 7e = 448"):
        text("mine", "480", "7e = 448")
    with pytest.raises(ValueError, match="481, E4M3FN from float32 must be among the questions"):
        text("mine", "481", "7e = 448")


def test_an_unknown_library_is_a_usage_error(script: Any, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        script.main(["mldtypes"])
    assert "'mldtypes' is none of ml_dtypes, " in capsys.readouterr().err
