"""
Delayed scaling, step by step: histories by their layout, and updates by scalar formulas.

::

    TransformerEngine   H = [staged, oldest, ..., newest]    rolled by the update
    flax                H = [newest, oldest, ...]            rolled when it quantises
    MS-AMP              H = [staged, newest, ..., oldest]    just in time while it warms up
"""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fp8num as fp
from fp8num import scaling
from fp8num.scaling import DelayedState

F32 = np.float32
FLT_MAX = F32(3.4028234663852886e38)
INF, NAN = math.inf, math.nan
STATEFUL = ["te-delayed", "te-delayed-unfused", "flax", "ms-amp"]
by_rule = pytest.mark.parametrize("rule", STATEFUL)
by_te = pytest.mark.parametrize("rule", STATEFUL[:2])


def tensor(amax: float) -> Any:
    """Return a tensor with a largest magnitude, negative and in the middle."""
    return np.array([amax / 4, -amax, amax / 2], np.float32)


def step(state: DelayedState, amax: float) -> DelayedState:
    """Quantise a tensor, and update."""
    return state.quantize(tensor(amax))[1].update()


def run(state: DelayedState, amaxes: list[float]) -> DelayedState:
    for amax in amaxes:
        state = step(state, amax)
    return state


# TransformerEngine.


@by_te
def test_the_history_is_staged_and_rolled(rule: str) -> None:
    """[0] is the step's own; after the roll it is 0, then the oldest kept, and last the newest."""
    state = scaling.start(rule, length=4)
    assert state.history.tolist() == [0, 0, 0, 0]
    _, state = state.quantize(tensor(5))
    assert state.history.tolist() == [5, 0, 0, 0]
    _, state = state.quantize(tensor(3))  # a second use in the same step
    assert state.history.tolist() == [5, 0, 0, 0]
    _, state = state.quantize(tensor(7))
    assert state.history.tolist() == [7, 0, 0, 0]
    state = state.update()
    assert state.history.tolist() == [0, 0, 0, 7]
    state = step(state, 2)
    assert state.history.tolist() == [0, 0, 7, 2]
    state = run(state, [4, 6])
    assert state.history.tolist() == [0, 2, 4, 6]


@by_te
def test_the_window_is_as_long_as_the_history(rule: str) -> None:
    """Of length 4: a magnitude of 16 counts in 4 updates, its own the first."""
    state = scaling.start(rule, length=4)
    scales = []
    for amax in (16, 1, 2, 1, 1, 1, 1):
        state = step(state, amax)
        scales.append(float(state.scale))
    assert scales == [28, 28, 28, 28, 224, 224, 448]


@by_te
def test_a_history_of_one_step_remembers_one(rule: str) -> None:
    state = scaling.start(rule, length=1)
    assert float(step(state, 16).scale) == 28
    assert float(run(state, [16, 1]).scale) == 448
    assert run(state, [16, 1]).history.tolist() == [0]


def test_a_tensor_of_nothing_is_not_rolled_by_the_kernel() -> None:
    """Fused: zeros leave scale and history; unfused: the history is rolled all the same."""
    fused = run(scaling.start("te-delayed", length=3), [4, 2])
    unfused = run(scaling.start("te-delayed-unfused", length=3), [4, 2])
    assert fused.history.tolist() == unfused.history.tolist() == [0, 4, 2]

    fused, unfused = run(fused, [0, 0]), run(unfused, [0, 0])

    assert fused.history.tolist() == [0, 4, 2]
    assert unfused.history.tolist() == [0, 0, 0]
    assert float(fused.scale) == 112
    # At the second update 4 has left: [0, 2, 0] was the history.
    assert float(unfused.scale) == 224
    assert float(step(unfused, 0).scale) == 224  # nothing in the window: it stays


@by_te
def test_infinity_freezes_the_scale_until_it_leaves(rule: str) -> None:
    state = run(scaling.start(rule, length=3), [4])
    assert float(state.scale) == 112
    scales = []
    for amax in (INF, 1, 1, 1):
        state = step(state, amax)
        scales.append(float(state.scale))
    assert scales == [112, 112, 112, 448]


@by_te
def test_nan_in_a_tensor_is_not_recorded(rule: str) -> None:
    """Its kernel takes fmaxf; of NaN alone the magnitude is 0."""
    state = scaling.start(rule, length=3)
    _, some = state.quantize(np.array([1.0, np.nan, -8.0], np.float32))
    assert some.history.tolist() == [8, 0, 0]
    _, none = state.quantize(np.full(3, np.nan, np.float32))
    assert none.history.tolist() == [0, 0, 0]


def test_nan_in_a_history_is_skipped_or_freezes() -> None:
    """Put there by a reduction, say: fmax skips it, torch.max does not."""
    history = np.array([2, np.nan, 4], np.float32)
    fused = replace(scaling.start("te-delayed", length=3), history=history).update()
    assert float(fused.scale) == 112
    np.testing.assert_array_equal(fused.history, np.array([0, 4, 2], np.float32))
    unfused = replace(scaling.start("te-delayed-unfused", length=3), history=history).update()
    assert float(unfused.scale) == 1
    np.testing.assert_array_equal(unfused.history, np.array([0, 4, 2], np.float32))
    assert float(step(unfused, 1).scale) == 112  # the NaN was the oldest and has left


@by_te
def test_the_most_recent_magnitude_alone_can_count(rule: str) -> None:
    """The history is kept as before; a step of nothing leaves the scale."""
    state = scaling.start(rule, length=4, algorithm="most_recent")
    scales = []
    for amax in (16, 1, 2, 0, 8):
        state = step(state, amax)
        scales.append(float(state.scale))
    assert scales == [28, 448, 224, 224, 56]
    fused = [0, 1, 2, 8] if rule == "te-delayed" else [0, 2, 0, 8]
    assert state.history.tolist() == fused


@by_te
@pytest.mark.parametrize("margin", [-2, 0, 1, 3])
def test_a_margin_leaves_powers_of_two(rule: str, margin: int) -> None:
    state = step(scaling.start(rule, length=4, margin=margin), 4)
    assert float(state.scale) == 112 * 2.0**-margin


@pytest.mark.parametrize(
    ("rule", "text"), [("te-delayed", "149.33333"), ("te-delayed-unfused", "149.33334")]
)
def test_one_third_shows_which_division_it_was(rule: str, text: str) -> None:
    """448 / 3 in float32, or (1 / 3) * 448: for a magnitude of 3."""
    assert str(step(scaling.start(rule), 3).scale) == text


def te_scale(rule: str, amax: np.float32, old: np.float32, top: float, margin: int) -> np.float32:
    """Return the scale of an update, in float32 operations one by one."""
    if not (np.isfinite(amax) and amax > 0):
        return old
    with np.errstate(over="ignore"):
        if rule == "te-delayed":
            scale = F32(top * 2.0**-margin) / amax
        else:
            scale = (F32(1) / amax) * F32(top) / F32(2.0**margin)
    return FLT_MAX if np.isinf(scale) else scale


magnitudes = st.floats(0, 2.0**127, width=32) | st.sampled_from([0.0, INF, 1.0, 3.0, 1e-38, 1e-45])


@by_te
@given(
    amaxes=st.lists(magnitudes, min_size=1, max_size=8),
    length=st.integers(1, 5),
    margin=st.integers(-1, 2),
    recent=st.booleans(),
    fmt=st.sampled_from([fp.E4M3FN, fp.E5M2]),
)
def test_updates_follow_the_formula(
    rule: str, amaxes: list[float], length: int, margin: int, fmt: Any, *, recent: bool
) -> None:
    """Any magnitudes, lengths and margins; the queue here is a plain list, newest last."""
    algorithm = "most_recent" if recent else "max"
    state = scaling.start(rule, fmt, length=length, margin=margin, algorithm=algorithm)
    window, scale = [F32(0)] * length, F32(1)
    for amax in map(F32, amaxes):
        _, state = state.quantize(np.array([amax], np.float32))
        state = state.update()

        if rule == "te-delayed" and amax == 0:
            counted = F32(0)
        else:
            window = [*window[1:], amax]
            counted = amax if recent else max(window)
        scale = te_scale(rule, counted, scale, float(fmt.max), margin)
        assert float(state.scale).hex() == float(scale).hex()
        # What was just staged is 0 again; the oldest has no place left.
        assert state.history.tolist() == [0.0, *map(float, window[1:])]


@by_te
def test_a_step_uses_the_scale_of_the_steps_before(rule: str) -> None:
    """Its codes are 28 x rounded; the reciprocal is what is stored; its own amax waits."""
    state = step(scaling.start(rule, length=2), 16)
    x = np.array([1.0, -3.0, 100.0], np.float32)

    scaled, after = state.quantize(x)

    np.testing.assert_array_equal(scaled.codes, fp.encode(x * F32(28), "E4M3FN"))
    assert scaled.stored_scales == F32(1) / F32(28)
    assert after.scale == state.scale
    assert scaled.rule.name == rule
    # Used alone, the rule has the scale it starts with.
    first = fp.scale_quantize(x, rule)
    np.testing.assert_array_equal(first.codes, fp.encode(x, "E4M3FN"))
    assert first.stored_scales == 1


# flax.


def flax_scale(scale: np.float32, history: list[float], top: float, margin: int) -> np.float32:
    """Return the scale of a call: division, then reciprocal; unchanged it is 1 / (1 / scale)."""
    amax = F32(max(history))
    with np.errstate(all="ignore"):
        factor = (F32(top) / amax) / F32(2.0**margin)
        if not (amax > 0 and np.isfinite(amax)):
            factor = F32(1) / scale
        return F32(1) / factor


def test_flax_counts_a_magnitude_from_the_next_call_on() -> None:
    """The newest is at [0], the rest in order after it; there is nothing to update."""
    state = scaling.start("flax", length=3)
    scaled, state = state.quantize(tensor(7))
    assert scaled.stored_scales == 1
    assert state.history.tolist() == [7, 0, 0]
    assert state.update() is state
    scaled, state = state.quantize(tensor(14))
    assert scaled.stored_scales == F32(1) / F32(64)
    assert state.history.tolist() == [14, 0, 7]
    scaled, state = state.quantize(tensor(1))
    assert scaled.stored_scales == F32(1) / F32(32)
    # roll(-1) puts [14, 0, 7] to [0, 7, 14], and its first becomes the new one.
    assert state.history.tolist() == [1, 7, 14]


@pytest.mark.parametrize("margin", [0, 2])
def test_flax_scales_are_reciprocals_of_quotients(margin: int) -> None:
    """Over many calls, zeros and an infinity among them."""
    state = scaling.start("flax", "E5M2", length=3, margin=margin)
    history, scale = [0.0] * 3, F32(1)
    for amax in (3.0, 0.1, 7.7, 0.0, 0.0, 0.0, 0.0, 5.0, INF, 2.0, 2.0, 0.3, 0.3):
        scaled, state = state.quantize(np.array([amax], np.float32))
        scale = flax_scale(scale, history, 57344, margin)
        history = [float(F32(amax)), *history[2:], history[0]]
        assert scaled.stored_scales == scale
        assert state.scale == scale
        assert state.history.tolist() == history


def test_flax_keeps_nan_in_its_history() -> None:
    """max|x| is NaN, and the scale stays as long as it is there."""
    _, state = scaling.start("flax", length=2).quantize(tensor(7))
    _, state = state.quantize(np.array([np.nan], np.float32))
    assert np.isnan(state.history[0])
    scaled, state = state.quantize(tensor(1))
    assert scaled.stored_scales == F32(1) / F32(64)


# MS-AMP.


def ms_amp_scale(amax: float, previous: float, *, margin: int = 0) -> float:
    """Return floor(log2(448 / amax)) as a power of two; the inversion is what runs last."""
    if math.isinf(amax):
        return 1 / previous
    if amax == 0 or math.isnan(amax):
        return previous
    return 2.0 ** (math.floor(math.log2(448 / amax)) - margin)


def test_ms_amp_scales_just_in_time_while_it_warms_up() -> None:
    """Each of the first steps by its own magnitude, stored is the reciprocal."""
    state = scaling.start("ms-amp", length=4)
    for count, amax in enumerate((16, 1, 500, 0.3)):
        assert state.counter == count
        scaled, state = state.quantize(tensor(amax))
        assert scaled.stored_scales == 1 / ms_amp_scale(amax, 1)
        state = state.update()
    assert state.counter == 4
    assert state.history.tolist() == [0, F32(0.3), 500, 1]  # the newest is next to the stage


def test_ms_amp_uses_the_window_from_its_end_on() -> None:
    """The update before the first delayed step makes the scale of the whole window."""
    state = run(scaling.start("ms-amp", length=3), [100, 1, 1])
    used = []
    for amax in (1, 1, 1, 30):
        scaled, state = state.quantize(tensor(amax))
        used.append(1 / float(scaled.stored_scales))
        state = state.update()
    # Three magnitudes are rolled into [0, 1, 1], and with the staged one they are three.
    assert used == [4, 256, 256, 256]
    assert float(state.scale) == 8


def test_ms_amp_keeps_the_update_s_scale_for_a_tensor_of_nothing() -> None:
    """While it warms up, too: the update takes the largest of the window, 100, not 1."""
    state = run(scaling.start("ms-amp", length=8), [100, 1])
    scaled, _ = state.quantize(np.zeros(3, np.float32))
    assert 1 / float(scaled.stored_scales) == 4


def test_ms_amp_delayed_steps_do_not_look_at_their_own_magnitude() -> None:
    state = run(scaling.start("ms-amp", length=2), [4, 4, 4])
    scaled, after = state.quantize(tensor(400))
    assert 1 / float(scaled.stored_scales) == 64
    assert float(after.update().scale) == 1


def test_ms_amp_delayed_steps_record_as_the_kernel_does() -> None:
    """Their magnitude is taken by the cast alone: fmaxf and an atomic maximum."""
    state = run(scaling.start("ms-amp", length=2), [4, 4])
    _, state = state.quantize(np.array([1.0, np.nan, 2.0], np.float32))
    assert state.history[0] == 2
    _, state = state.quantize(tensor(1))
    assert state.history[0] == 2


def test_ms_amp_turns_the_scale_over_at_infinity() -> None:
    """1 / 8 after 8: floor(log2(448 / inf)) is negative, and the inversion runs last."""
    state = replace(scaling.start("ms-amp", length=4), scale=F32(8))
    scaled, _ = state.quantize(tensor(INF))
    assert 1 / float(scaled.stored_scales) == 0.125


@pytest.mark.parametrize("value", [INF, NAN])
def test_ms_amp_warms_up_again_after_a_magnitude_that_is_not_finite(value: float) -> None:
    """The counter starts again at 0, and the magnitude does not stay in the window."""
    state = run(scaling.start("ms-amp", length=4), [4, 8])
    assert state.counter == 2
    state = step(state, value)
    assert state.counter == 0
    assert state.history.tolist() == [0, 0, 8, 4]
    scaled, _ = state.quantize(tensor(16))
    assert 1 / float(scaled.stored_scales) == 16  # just in time


def test_ms_amp_with_a_window_of_one_is_always_just_in_time() -> None:
    """As its weight gradients are."""
    state = scaling.start("ms-amp", length=1)
    for amax in (16, 1, 500, 0.3, 7, 1e-3):
        scaled, state = state.quantize(tensor(amax))
        assert 1 / float(scaled.stored_scales) == ms_amp_scale(float(F32(amax)), 1)
        state = state.update()


@pytest.mark.parametrize("margin", [0, 1, 3])
def test_ms_amp_leaves_a_margin(margin: int) -> None:
    scaled, _ = scaling.start("ms-amp", margin=margin).quantize(tensor(7))
    assert 1 / float(scaled.stored_scales) == 64 / 2**margin


# States.


@by_rule
def test_a_state_begins_with_one_and_zeros(rule: str) -> None:
    state = scaling.start(rule)
    assert state.scale == 1
    assert state.scale.dtype == state.history.dtype == np.float32
    assert state.history.shape == ((16,) if rule == "ms-amp" else (1024,))
    assert not state.history.any()
    assert state.format is fp.E4M3FN
    assert (state.margin, state.algorithm, state.counter) == (0, "max", 0)
    assert scaling.start(rule, "E5M2", length=5).history.shape == (5,)
    assert scaling.start(rule, "E5M2").format is fp.E5M2


@by_rule
def test_a_state_is_not_changed_by_what_is_done_with_it(rule: str) -> None:
    """Steps can be taken again from any of them."""
    state = run(scaling.start(rule, length=3), [5, 2, 9])
    kept = json.dumps(state.to_dict())
    first = state.quantize(tensor(3))
    later = run(first[1].update(), [1, INF, 0])

    again = state.quantize(tensor(3))

    assert json.dumps(state.to_dict()) == kept
    np.testing.assert_array_equal(first[0].codes, again[0].codes)
    assert first[1].to_dict() == again[1].to_dict()
    assert later.to_dict() != state.to_dict()
    with pytest.raises((FrozenInstanceError, AttributeError)):
        state.scale = F32(2)  # type: ignore[misc]


@by_rule
@pytest.mark.parametrize("amaxes", [[], [3, 0.1], [INF], [1e-45, 7], [NAN, 2, 2, 2, 2]], ids=str)
def test_a_state_comes_back_bit_for_bit(rule: str, amaxes: list[float]) -> None:
    """Through JSON; and the steps after it are the same."""
    state = run(scaling.start(rule, "E5M2", length=4, margin=1), amaxes)
    _, state = state.quantize(tensor(0.7))
    text = json.dumps(state.to_dict())

    back = DelayedState.from_dict(json.loads(text))

    assert back.rule == state.rule == scaling.get_rule(rule)
    assert state.to_dict()["rule"] == rule
    assert back.format is state.format
    assert back.scale.tobytes() == state.scale.tobytes()
    assert back.history.dtype == np.float32
    assert back.history.tobytes() == state.history.tobytes()
    assert (back.margin, back.algorithm, back.counter) == (1, "max", state.counter)
    one, other = (run(s.update(), [5, 0.3]).quantize(tensor(2)) for s in (state, back))
    np.testing.assert_array_equal(one[0].codes, other[0].codes)
    assert one[1].to_dict() == other[1].to_dict()


@by_rule
def test_a_state_takes_any_tensor(rule: str) -> None:
    """Empty, a number alone, big-endian, bfloat16's subset in float64, threads."""
    state = scaling.start(rule, length=3)
    empty, after = state.quantize(np.zeros((0, 4), np.float32))
    assert empty.codes.shape == (0, 4)
    assert after.history[0] == 0
    single, after = state.quantize(np.float32(-6))
    assert single.codes.shape == ()
    assert after.history[0] == 6
    x = np.random.default_rng(0).standard_normal((70, 9)).astype(np.float32)
    wanted, recorded = state.quantize(x)
    for other in (x.astype(">f4"), x.astype(np.float64), np.asfortranarray(x)):
        scaled, found = state.quantize(other)
        np.testing.assert_array_equal(scaled.codes, wanted.codes)
        assert found.to_dict() == recorded.to_dict()
    threaded, found = state.quantize(x, threads=2)
    np.testing.assert_array_equal(threaded.codes, wanted.codes)
    assert found.to_dict() == recorded.to_dict()
    with pytest.raises(TypeError, match="x must"):
        state.quantize(["1"])


def test_a_rule_itself_starts_a_state() -> None:
    rule = scaling.get_rule("te-delayed")
    assert scaling.start(rule).rule == rule
    assert scaling.start("te-delayed-fused").rule == rule


@by_rule
def test_a_state_casts_as_its_rule_says(rule: str) -> None:
    """A rule with another cast is not the catalogue's: towards zero, also through JSON."""
    edited = replace(scaling.get_rule(rule), cast=scaling.Cast(rounding="TowardZero"))
    state = scaling.start(edited, length=2)
    x = [1.1, 1.24, -1.24, 448.0]  # E4M3FN has 1, 1.125, 1.25; the scale is a power of two

    for one in (state, DelayedState.from_dict(json.loads(json.dumps(state.to_dict())))):
        found, after = one.quantize(x)
        assert after.rule == edited
        np.testing.assert_array_equal(found.dequantize(), np.float32([1, 1.125, -1.125, 448]))
    nearest, _ = scaling.start(rule, length=2).quantize(x)
    np.testing.assert_array_equal(nearest.dequantize(), np.float32([1.125, 1.25, -1.25, 448]))


def test_a_state_may_round_at_random() -> None:
    """With a generator that is given, and not without; the magnitudes are the same."""
    rule = replace(scaling.get_rule("te-delayed"), cast=scaling.Cast(rounding="StochasticC"))
    x = np.full(1000, 1.0625)
    found, after = scaling.start(rule).quantize(x, rng=np.random.default_rng(0))
    assert set(found.dequantize().tolist()) == {1.0, 1.125}
    assert after.history[0] == 1.0625
    with pytest.raises(ValueError, match="rng"):
        scaling.start(rule).quantize(x)


@by_rule
def test_a_delayed_rule_may_have_any_name(rule: str) -> None:
    """Its history says how the scale is updated; the state comes back from a file too."""
    mine = replace(scaling.get_rule(rule), name="mine")
    states = [scaling.start(each, length=3) for each in (rule, mine)]

    own, copy = (run(state, [5, 0.3, 700]) for state in states)

    assert float(copy.scale) == float(own.scale) != 1
    assert copy.history.tolist() == own.history.tolist()
    assert DelayedState.from_dict(json.loads(json.dumps(copy.to_dict()))).rule == mine
    assert scaling.start(mine).history.size == (16 if rule == "ms-amp" else 1024)


@by_rule
def test_a_delayed_rule_from_before_rules_had_a_history_is_read(rule: str) -> None:
    """Its name said then how the scale is updated."""
    description = replace(scaling.get_rule(rule), cast=scaling.Cast("TowardZero")).to_dict()
    del description["history"]

    found = scaling.Rule.from_dict(description)

    assert found.history == scaling.get_rule(rule).history


@pytest.mark.parametrize(
    ("rule", "changes", "message"),
    [
        ("te-delayed", {"history": None}, "rule must be one that keeps a state, te-delayed, te-d"),
        ("te-current", {"name": "te-delayed"}, "rule must be one that keeps a state, .* got 'te"),
        ("flax", {"history": "flax"}, "history of a rule must be an AmaxHistory or None, got 'fl"),
        (
            "te-current",
            {"history": scaling.AmaxHistory("fused")},
            "scale of a rule with a history must be a Held or MsAmp, as its state finds the scale, "
            r"got TransformerEngine\(",
        ),
        (
            "flax",
            {"granularity": scaling.Granularity.parse("row")},
            "granularity of a rule with a history must be tensor, .* got row",
        ),
        (
            "flax",
            {"finder": scaling.Percentile()},
            "finder of a rule that keeps a state must be an",
        ),
        ("flax", {"rotation": scaling.Rotation((1,))}, "rotation of a rule with a history must be"),
    ],
)
def test_a_rule_that_is_delayed_in_part_starts_no_state(
    rule: str, changes: Any, message: str
) -> None:
    """Without a history, or with parts that its state does not use."""
    with pytest.raises((TypeError, ValueError), match=message):
        scaling.start(replace(scaling.get_rule(rule), **changes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("te-delayed",), "update must be one of fused, unfused, flax, ms-amp, got 'te-delayed'"),
        (("fused", 0), "length must be a positive integer, got 0"),
        (("fused", True), "length must be a positive integer, got True"),
    ],
)
def test_a_history_is_one_of_those_known(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scaling.AmaxHistory(*arguments)


@pytest.mark.parametrize("length", [True, 1.0, "4", 0])
def test_a_length_is_a_positive_integer(length: Any) -> None:
    with pytest.raises(ValueError, match="length must be an integer from 1 to 1048576, got"):
        scaling.start("flax", length=length)


@pytest.mark.parametrize("margin", [True, 0.5, "1"])
def test_a_margin_is_an_integer(margin: Any) -> None:
    with pytest.raises(ValueError, match="margin must be an integer from -126 to 126, got"):
        scaling.start("flax", margin=margin)


def test_a_state_has_a_format_that_its_rule_takes() -> None:
    with pytest.raises(ValueError, match="fmt must be one of E4M3FN, E5M2 for flax, got E2M1FN"):
        scaling.start("flax", "E2M1FN")


@pytest.mark.parametrize("missing", sorted(scaling.start("flax", length=1).to_dict()))
def test_a_description_that_lacks_a_part_is_refused(missing: str) -> None:
    description = scaling.start("flax", length=1).to_dict()
    del description[missing]
    with pytest.raises(ValueError, match=r"a state must be described as to_dict\(\) does, got"):
        DelayedState.from_dict(description)


@pytest.mark.parametrize(
    "change",
    [
        {"rule": "tensor"},
        {"rule": "nothing"},
        {"format": {}},
        {"scale": 3},
        {"scale": "-0x1p+0"},
        {"scale": "nan"},
        {"history": []},
        {"history": 5},
        {"algorithm": "mean"},
        {"margin": None},
        {"counter": "x"},
    ],
    ids=str,
)
def test_a_description_of_no_state_is_refused(change: dict[str, Any]) -> None:
    """From a file that was damaged: a state that start() would not make."""
    description = scaling.start("te-delayed", length=1).to_dict()
    with pytest.raises(ValueError, match="must be|is not known"):
        DelayedState.from_dict({**description, **change})


def test_amd_s_largest_value_is_240() -> None:
    """E4M3FNUZ: 240 over amax where E4M3FN has 448, delayed and current."""
    _, state = scaling.start("te-delayed", "E4M3FNUZ", length=2).quantize([3.0, -1.0])
    current = fp.scale_quantize([3.0, -1.0], "te-current", fmt="E4M3FNUZ")

    assert state.update().scale == 80
    assert current.stored_scales == np.float32(1 / 80)
    np.testing.assert_array_equal(current.codes, fp.encode([240.0, -80.0], "E4M3FNUZ"))
