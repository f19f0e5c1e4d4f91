"""
Results do not depend on the process: NumPy's errstate, roundings, flush-to-zero, settings.

`calls.py` makes calls of the public functions in each state and hashes the bits of what they
give.  What computes with floats refuses where the processor does not round to nearest.
"""

from __future__ import annotations

import ctypes.util
import importlib
import inspect
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import fp8num as fp

CALLS = Path(__file__).with_name("calls.py")
DIRECTIONS = {"up": "upward", "down": "downward", "zero": "toward zero"}
SOME = ("names", "default", "raise+settings", "up", "flush")
ALL = ("names", "default", "raise", "warn", "settings", *DIRECTIONS, "flush")
#: The groups of calls that give the same in every state.
EXACT = ("codec", "ops", "verify")
Results = dict[str, dict[str, str]]

can_fork = pytest.mark.skipif(sys.platform != "linux", reason="calls.py forks, and asks for glibc")
can_set = pytest.mark.skipif(
    platform.machine() != "x86_64"
    or not (ctypes.util.find_library("m") or "").startswith("libm.so"),
    reason="the bits of the state are x86's, set through glibc",
)
pytestmark = can_fork


def calls(states: tuple[str, ...], stride: int) -> Results:
    """Make calls in states."""
    command = [sys.executable, "-W", "ignore", str(CALLS), ",".join(states), str(stride)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: Results = json.loads(done.stdout)
    return found


@pytest.fixture(
    scope="module",
    params=[(SOME, 97), pytest.param((ALL, 1), marks=pytest.mark.exhaustive)],
    ids=["some", "all"],
)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What some of the calls give in some states, or all in all: made by one worker for all."""
    import fcntl

    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    path = folder / f"calls-{request.param[1]}.json"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_text(json.dumps(calls(*request.param)))
    result: Results = json.loads(path.read_text())
    return result


def states(found: Results, *names: str) -> dict[str, dict[str, str]]:
    """Return what was found in the states that these are among."""
    return {state: found[state] for state in found if set(names) & set(state.split("+"))}


def changed(found: Results, *names: str) -> dict[str, str]:
    """Return what states change, NumPy's own arithmetic left out."""
    return {
        name: result
        for results in states(found, *names).values()
        for name, result in results.items()
        if result != found["default"].get(name, result) and not name.startswith("control")
    }


def test_floating_point_errors_of_numpy_change_nothing(found: Results) -> None:
    """Neither exceptions nor warnings that are errors, in threads either."""
    assert not changed(found, "raise", "warn")


def test_settings_change_nothing(found: Results) -> None:
    """Decimal's context, print options, locale, global seeds, digits of integers."""
    assert not changed(found, "settings")
    assert found["default"]["generators"] == "True"  # the global ones were left as they were


@can_set
def test_codes_do_not_depend_on_how_the_processor_rounds(found: Results) -> None:
    """Conversions, operations on codes, and verdicts."""
    assert not [name for name in changed(found, *DIRECTIONS) if name.startswith(EXACT)]


@can_set
def test_float_arithmetic_is_refused_where_sums_are_not_to_nearest(found: Results) -> None:
    """Every function of scaling, products, analysis and training says so in one sentence."""
    for state, results in states(found, *DIRECTIONS).items():
        sentence = (
            f" must run where the processor rounds to nearest, got rounding {DIRECTIONS[state]}; "
            "call fesetround(FE_TONEAREST) before it"
        )
        for name, result in results.items():
            if name.startswith(("control", "generators", *EXACT)):
                continue
            start = "exit 2: fp8num: error: " if " cli " in name else "ValueError: "
            assert result.startswith(start), name
            assert result.removesuffix("\n").endswith(sentence), f"{name}: {result}"
            assert result.count("\n") == (" cli " in name)


@can_set
def test_flush_to_zero_changes_nothing(found: Results) -> None:
    """But for training's elementwise functions and BLAS, the processor's own; analyses refuse."""
    refusal = "ValueError: x must hold no subnormal float64 where the processor flushes them"
    for name, result in changed(found, "flush").items():
        own = name.startswith("nn: ") or "blas-float32" in name
        assert own or result.startswith(refusal), name


@can_set
def test_the_states_are_what_they_are_called(found: Results) -> None:
    """NumPy's own arithmetic, and a text, do change."""
    controls = {
        "raise": "control overflow",
        "up": "control sum",
        "down": "control difference",
        "zero": "control difference",
        "flush": "control subnormal",
        "settings": "control text",
    }
    for name, call in controls.items():
        for results in states(found, name).values():
            assert results[f"control: {call}"] != found["default"][f"control: {call}"]


#: Calls that are errors in any state: a unit's refusals, an assertion, a training that diverges.
ERRORS = ("products: ", "verify: verify.assert_codes_equal", "nn: nn.train diverging")


def test_the_calls_are_right(found: Results) -> None:
    """They give a result, but for those that are meant to fail."""
    for name, result in found["default"].items():
        assert len(result) == 64 or name == "generators" or name.startswith(ERRORS), (name, result)


#: Functions that look something up, read or write files, or pass on what they were given.
NOT_CALLED = {
    "get_format", "get_recipe", "get_rule", "get_accumulator", "load_digits", "load_scaled",
    "open_tensors", "read_dumps", "save_scaled", "tensor_from_array", "write_safetensors",
    "batches", "no_grad", "processes", "record", "recipe_table", "beside", "slabs",
    "choose", "refusal", "role_of", "schemes_for", "read_activations",
}  # fmt: skip


def test_every_public_function_is_called(found: Results) -> None:
    """Those of the package and of its parts; strategies draw, and compute nothing."""
    called = {name.split()[1].split(".")[-1] for name in found["names"]}
    for part in ("", ".ops", ".scaled", ".scaling", ".accumulate", ".analysis", ".verify", ".nn",
                 ".inputs", ".report"):  # fmt: skip
        module = importlib.import_module(f"fp8num{part}")
        public = {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
        assert not public - called - NOT_CALLED, part


LATE = """
import contextlib, ctypes, io, sys
import fp8num as fp

def attempt(call):
    try:
        return call()
    except ValueError as error:
        return str(error)

def percentile():
    return fp.scale_quantize([0.1, 0.3], "tensor-percentile-99.9").scales.tolist()

fesetround = ctypes.CDLL("libm.so.6").fesetround
for direction in (0x800, 0x400, 0xC00):
    fesetround(direction)
    print(attempt(percentile))
fesetround(0)
print(percentile())
for name in [name for name in sys.modules if name.startswith("fp8num.")]:
    del sys.modules[name]
fesetround(0x800)
from fp8num.cli import main  # imports what it does not need
from fp8num.scaling import scale_quantize
with contextlib.redirect_stdout(io.StringIO()) as shown:
    print(main(["show", "0.3", "e4m3fn"]))
print(shown.getvalue().splitlines()[-1])
print(main(["train", "--epochs", "1"]))
fesetround(0)
print(attempt(lambda: scale_quantize([0.1], "tensor")))
"""


@can_set
def test_constants_that_were_rounded_wrongly_are_never_used() -> None:
    """A late import is refused, and works later; an early one is remembered."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=False)

    sentence = (
        "{} must run where the processor rounds to nearest, got rounding {}; call "
        "fesetround(FE_TONEAREST) before it"
    )
    *refused, scales, code, trained, late = done.stdout.splitlines()
    assert refused == [sentence.format("scale_quantize", found) for found in DIRECTIONS.values()]
    assert scales == str(fp.scale_quantize([0.1, 0.3], "tensor-percentile-99.9").scales.tolist())
    assert (code, trained) == ("0", "2")
    assert done.stderr == f"fp8num: error: {sentence.format('fp8num train', 'upward')}\n"
    assert "imported with rounding to nearest, got an import with rounding upward; start" in late
