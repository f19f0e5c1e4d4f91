"""
The loss scaler against recordings of torch.amp.GradScaler, and what it must refuse.

The recorded runs are of 19 weights, all 1 at first, in SGD with the rate 1e-3.  The gradient
of step t, counted from 0, is (t + 1) times ``linspace(-1, 1, 19)`` as PyTorch makes it; in
the steps `inject_at` one element of the scaled gradient is replaced.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num import nn
from fp8num.nn import Tensor
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.optim import SGD, Adam, clip_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RECORDED = np.load(Path(__file__).parent.parent / "data" / "recipes" / "gradscaler_trace.npz")
TRACES = {
    "inf_basic": (0, np.inf),
    "nan_basic": (0, np.nan),
    "neginf_tail": (18, -np.inf),
    "nan_tail": (18, np.nan),
    "no_floor_below_1": (0, np.inf),
    "growth_to_fp32_max": None,  # overflows by itself
    "explicit_unscale": (0, np.inf),
    "odd_factors": (0, np.inf),
    "defaults_2000": (0, np.inf),
}
by_trace = pytest.mark.parametrize("trace", TRACES)
#: linspace(-1, 1, 19) of PyTorch: its middle is not 0.
SLOPES = RECORDED["defaults_2000/unscaled_grad"][0]

Run = tuple[LossScaler, Tensor, SGD]


def begin(trace: str) -> Run:
    """Return a scaler, weights and an optimizer with the settings of a recording."""
    scale, growth, backoff, interval = RECORDED[f"{trace}/params"]
    scaler = LossScaler(scale, growth, backoff, int(interval))
    weights = Tensor(np.ones(19, np.float32), requires_grad=True)
    return scaler, weights, SGD({"w": weights}, 1e-3)


def one_step(trace: str, t: int, run: Run) -> None:
    """Do step t of a recording and compare all that was recorded, bit for bit."""
    scaler, weights, optimizer = run

    def recorded(name: str) -> Any:
        return RECORDED[f"{trace}/{name}"][t]

    assert scaler.scale == recorded("scale_used")
    weights.zero_grad()
    loss = (weights * (SLOPES * np.float32(t + 1))).sum()
    scaler.scale_loss(loss).backward()
    assert weights.grad is not None
    if t in RECORDED[f"{trace}/inject_at"]:
        element, value = TRACES[trace]  # type: ignore[misc]
        weights.grad[element] = value
    if trace == "explicit_unscale":
        assert scaler.unscale({"w": weights}) == (not recorded("stepped"))
    stepped = scaler.step(optimizer)

    assert stepped == recorded("stepped")
    np.testing.assert_array_equal(weights.grad, recorded("unscaled_grad"))
    np.testing.assert_array_equal(weights.data.view(np.uint32), recorded("w").view(np.uint32))
    scaler.update()
    assert scaler.scale == recorded("scale_after")
    assert scaler.tracker == recorded("growth_tracker")


def steps_of(trace: str) -> int:
    return len(RECORDED[f"{trace}/stepped"])


# Recordings.


def test_there_are_nine_recordings() -> None:
    names = {key.split("/")[0] for key in RECORDED.files if key.endswith("/w")}
    assert names == TRACES.keys()
    assert len(names) == 9


@by_trace
def test_a_recorded_run_is_repeated(trace: str) -> None:
    """Scale, tracker, unscaled gradients, weights and skipped steps."""
    run = begin(trace)
    for t in range(steps_of(trace)):
        one_step(trace, t, run)

    assert run[0].skipped == np.count_nonzero(~RECORDED[f"{trace}/stepped"])


@by_trace
def test_a_run_is_resumed_from_its_states(trace: str, tmp_path: Path) -> None:
    """At every third step and before the last; the settings come with the state."""
    for stop in {*range(0, steps_of(trace), 3), steps_of(trace) - 1}:
        run = begin(trace)
        for t in range(stop):
            one_step(trace, t, run)
        np.savez(tmp_path / "state.npz", **run[0].state())
        other = LossScaler()
        with np.load(tmp_path / "state.npz") as archive:
            other.restore(dict(archive))
        assert other.state() == run[0].state()
        for t in range(stop, steps_of(trace)):
            one_step(trace, t, (other, *run[1:]))


def test_a_scale_that_is_given_leaves_the_tracker() -> None:
    """As recorded: 32 after the second update, which completes no interval."""
    weights = Tensor(np.ones(19, np.float32), requires_grad=True)
    optimizer = SGD({"w": weights}, 1e-3)
    scaler = LossScaler(8.0, interval=2)
    found = []
    for t in range(6):
        weights.zero_grad()
        scaler.scale_loss(weights.sum()).backward()
        scaler.step(optimizer)
        scaler.update(32.0 if t == 2 else None)
        found.append((scaler.scale, scaler.tracker))

    np.testing.assert_array_equal(found, RECORDED["manual_set_at2/scale_tracker"])


def ready(scaler: LossScaler | None = None) -> tuple[LossScaler, SGD]:
    """Return a scaler and an optimizer after a backward pass."""
    scaler = LossScaler() if scaler is None else scaler
    weights = Tensor(np.ones(3, np.float32), requires_grad=True)
    scaler.scale_loss(weights.sum()).backward()
    return scaler, SGD({"w": weights}, 1.0)


def half_precision() -> None:
    scaler, optimizer = ready()
    weights = optimizer.parameters["w"]
    weights.grad = np.ones(3, np.float16)
    scaler.step(optimizer)


def in_order(*calls: str) -> Callable[[], None]:
    """Return the calls of a scaler that is ready, one after the other."""

    def act() -> None:
        scaler, optimizer = ready()
        for call in calls:
            {
                "unscale": lambda: scaler.unscale(optimizer.parameters),
                "step": lambda: scaler.step(optimizer),
                "update": scaler.update,
            }[call]()

    return act


ERRORS: dict[str, tuple[Callable[[], object], type[Exception] | None, str]] = {
    "update before scale": (
        lambda: LossScaler().update(),
        RuntimeError,
        r"update\(\) needs gradients of a scaled loss, got none; call scale_loss\(\)",
    ),
    "unscale twice": (
        in_order("unscale", "unscale"),
        RuntimeError,
        r"unscale\(\) must come once, before step\(\), got 'w' after unscale\(\); update\(\)",
    ),
    "step": (in_order("unscale", "step"), None, ""),
    "step twice": (
        in_order("step", "step"),
        RuntimeError,
        r"step\(\) must come once before update\(\), got 'w' again",
    ),
    "unscale after step": (
        in_order("step", "unscale"),
        RuntimeError,
        r"unscale\(\) must come once, before step\(\), got 'w' after step\(\)",
    ),
    "{'growth_factor': 1.0}": (
        lambda: LossScaler(growth=1.0),
        ValueError,
        r"growth must be a finite number above 1, got 1.0",
    ),
    "{'backoff_factor': 1.0}": (
        lambda: LossScaler(backoff=1.0),
        ValueError,
        r"backoff must be a finite number above 0 and below 1, got 1.0",
    ),
    "fp16 grads": (
        half_precision,
        ValueError,
        r"gradient of 'w' must be float32 or float64, got float16; train",
    ),
}


@pytest.mark.parametrize(("name", "recorded"), RECORDED["errors"].tolist())
def test_what_was_recorded_to_fail_fails(name: str, recorded: str) -> None:
    """And nothing else; by assertions there, where it was not a RuntimeError or ValueError."""
    act, error, message = ERRORS[name]
    if error is None:
        assert recorded == "ok"
        act()
        return

    assert recorded.startswith((error.__name__, "AssertionError"))
    with pytest.raises(error, match=message):
        act()


# Order.


def test_a_round_ends_with_an_update() -> None:
    """After which everything may be called again."""
    scaler, optimizer = ready()
    for _ in range(3):
        scaler.unscale(optimizer.parameters)
        scaler.step(optimizer)
        scaler.update()


@pytest.mark.parametrize("method", ["unscale", "step"])
def test_gradients_of_no_scaled_loss_are_refused(method: str) -> None:
    scaler, optimizer = LossScaler(), ready()[1]
    argument: Any = optimizer.parameters if method == "unscale" else optimizer
    with pytest.raises(RuntimeError, match=rf"{method}\(\) needs gradients of a scaled loss"):
        getattr(scaler, method)(argument)


def test_an_update_needs_gradients() -> None:
    """But a scale can be given without."""
    scaler, optimizer = ready()
    message = r"update\(\) needs unscaled gradients, got none since the last; call step\(\)"
    with pytest.raises(RuntimeError, match=message):
        scaler.update()
    scaler.update(4.0)
    assert (scaler.scale, scaler.tracker) == (4.0, 0)
    scaler.step(optimizer)
    scaler.update()
    with pytest.raises(RuntimeError, match=message):
        scaler.update()


def test_a_step_needs_a_gradient() -> None:
    """And may be tried again when there is one."""
    scaler, optimizer = ready(LossScaler(2.0))
    weights = optimizer.parameters["w"]
    weights.zero_grad()
    with pytest.raises(RuntimeError, match=r"step\(\) needs a parameter with a gradient, got none"):
        scaler.step(optimizer)
    scaler.scale_loss(weights.sum()).backward()

    assert scaler.step(optimizer)

    np.testing.assert_array_equal(weights.data, [0, 0, 0])


def test_a_parameter_without_gradient_may_get_it_after_unscaling() -> None:
    """Then it is unscaled by the step."""
    v, w = (Tensor(np.ones(1, np.float32), requires_grad=True) for _ in range(2))
    optimizer, scaler = SGD({"v": v, "w": w}, 1.0), LossScaler(4.0)
    scaler.scale_loss(v.sum()).backward()
    scaler.unscale(optimizer.parameters)
    scaler.scale_loss(w.sum()).backward()

    scaler.step(optimizer)

    assert (float(v.data[0]), float(w.data[0])) == (0.0, 0.0)


def test_an_overflow_of_one_optimizer_does_not_stop_another() -> None:
    """But the scale backs off, once."""
    v, w = (Tensor(np.ones(1, np.float32), requires_grad=True) for _ in range(2))
    scaler = LossScaler(4.0)
    scaler.scale_loss((v * np.float32(np.inf)).sum() + w.sum()).backward()

    stepped = [scaler.step(SGD({"x": t}, 0.25)) for t in (v, w)]
    scaler.update()

    assert stepped == [False, True]
    assert (float(v.data[0]), float(w.data[0])) == (1.0, 0.75)
    assert (scaler.scale, scaler.skipped) == (2.0, 1)


def test_a_tensor_with_two_names_is_unscaled_once() -> None:
    scaler, optimizer = ready(LossScaler(4.0))
    weights = optimizer.parameters["w"]

    scaler.unscale({"v": weights, "w": weights})

    np.testing.assert_array_equal(weights.grad, [1, 1, 1])


def test_an_array_that_two_parameters_share_is_unscaled_for_each() -> None:
    v, w = (Tensor(np.ones(1, np.float32), requires_grad=True) for _ in range(2))
    scaler = LossScaler(4.0)
    scaler.scale_loss(v.sum())
    v.grad = w.grad = np.full(1, 8, np.float32)

    scaler.unscale({"v": v, "w": w})

    assert (float(v.grad[0]), float(w.grad[0])) == (2.0, 2.0)


def test_an_optimizer_that_refuses_has_not_stepped() -> None:
    """The step can be taken with a rate that is one, and gradients are not unscaled twice."""
    scaler, optimizer = ready(LossScaler(4.0))
    with pytest.raises(ValueError, match=r"lr must be a finite number at least 0"):
        scaler.step(optimizer, lr=-1.0)

    assert scaler.step(optimizer, lr=0.5)

    np.testing.assert_array_equal(optimizer.parameters["w"].data, [0.5] * 3)


# What is found, and what is done.


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("where", [0, 18, 32_767, 32_768, 99_999])
def test_one_element_is_enough(value: float, where: int) -> None:
    """Wherever it is, also with strides, and with a scale of 1 that multiplies nothing."""
    for scale in (1.0, 8.0):
        weights = Tensor(np.ones(100_000, np.float32), requires_grad=True)
        scaler = LossScaler(scale)
        scaler.scale_loss(weights.sum()).backward()
        weights.grad = np.repeat(weights.grad, 2)[::2]
        weights.grad[where] = value

        assert scaler.unscale({"w": weights})


def test_finite_gradients_are_not_found() -> None:
    """The largest float32 number neither."""
    weights = Tensor(np.ones((300, 200), np.float32), requires_grad=True)
    scaler = LossScaler(2.0)
    scaler.scale_loss(weights.sum())
    weights.grad = np.full((300, 200), np.finfo(np.float32).max)

    assert not scaler.unscale({"w": weights})
    np.testing.assert_array_equal(weights.grad, np.finfo(np.float32).max / np.float32(2))


def test_what_overflows_only_when_unscaled_is_not_found() -> None:
    """As in PyTorch, which looks before it multiplies; the infinity is there to be seen."""
    weights = Tensor(np.ones(2, np.float32), requires_grad=True)
    scaler = LossScaler(0.25)
    scaler.scale_loss(weights.sum())
    weights.grad = np.array([1.0, 3e38], np.float32)

    assert not scaler.unscale({"w": weights})
    np.testing.assert_array_equal(weights.grad, [4, np.inf])


def test_gradients_of_float64_stay_float64() -> None:
    """Times the inverse as float32, as in PyTorch."""
    weights = Tensor(np.ones((), np.float64), requires_grad=True)
    scaler = LossScaler(3.0)
    scaled = scaler.scale_loss(weights.sum())
    scaled.backward()

    scaler.unscale({"w": weights})

    assert isinstance(weights.grad, np.ndarray)
    assert weights.grad.dtype == np.float64
    assert weights.grad == 3 * float(np.float32(1 / 3))


@pytest.mark.parametrize("power", [-20, -1, 0, 7, 16, 40])
def test_a_power_of_two_changes_no_bit(power: int) -> None:
    """Of a network that is trained with clipping."""

    def train(scaler: LossScaler) -> list[bytes]:
        rng = np.random.default_rng(0)
        tensors = {
            name: Tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True)
            for name, shape in {"v": (8, 16), "w": (16, 3)}.items()
        }
        optimizer = Adam(tensors, 0.01)
        for _ in range(20):
            x = Tensor(rng.standard_normal((5, 8)).astype(np.float32))
            for tensor in tensors.values():
                tensor.zero_grad()
            outputs = nn.tanh(x @ tensors["v"]) @ tensors["w"]
            scaler.scale_loss((outputs * outputs).mean()).backward()
            scaler.unscale(tensors)
            clip_norm(tensors, 0.1)
            assert scaler.step(optimizer)
            scaler.update()
        return [tensor.data.tobytes() for tensor in tensors.values()]

    assert train(LossScaler(2.0**power, interval=7)) == train(LossScaler(enabled=False))


# Modes.


def test_a_static_scale_stays() -> None:
    """Steps are skipped all the same, and it can be set."""
    scaler, optimizer = ready(LossScaler(8.0, interval=1, dynamic=False))
    weights = optimizer.parameters["w"]
    for factor in (1.0, np.inf, np.nan, 1.0):
        weights.zero_grad()
        scaler.scale_loss((weights * np.float32(factor)).sum()).backward()
        scaler.step(optimizer, lr=0.25)
        scaler.update()
    assert (scaler.scale, scaler.tracker, scaler.skipped) == (8.0, 0, 2)
    np.testing.assert_array_equal(weights.data, [0.5] * 3)

    scaler.update(16.0)

    assert scaler.scale == 16.0


def test_a_scaler_that_is_not_enabled_does_nothing() -> None:
    """Not even look: the optimizer steps with what there is."""
    scaler = LossScaler(enabled=False, saturation_is_overflow=True)
    weights = Tensor(np.ones(2, np.float32), requires_grad=True)
    loss = weights.sum()
    assert scaler.scale_loss(loss) is loss
    weights.grad = np.array([1, np.inf], np.float32)
    assert not scaler.unscale({"w": weights})
    assert scaler.step(SGD({"w": weights}, 1.0), saturated=True)
    scaler.update()
    scaler.restore({"anything": 1})

    np.testing.assert_array_equal(weights.data, [0, -np.inf])
    assert (scaler.scale, scaler.skipped, scaler.state()) == (1.0, 0, {})


def run_of(scaler: LossScaler, events: str) -> list[float]:
    """Return the scale after each step: good, infinite, or saturated."""
    scales = []
    for event in events:
        weights = Tensor(np.ones(1, np.float32), requires_grad=True)
        scaler.scale_loss(weights.sum()).backward()
        assert weights.grad is not None
        if event == "i":
            weights.grad[0] = np.inf
        stepped = scaler.step(SGD({"w": weights}, 1.0), saturated=event == "s")
        assert stepped == (float(weights.data[0]) != 1)
        scaler.update()
        scales.append(scaler.scale)
    return scales


def test_saturation_counts_as_overflow_if_it_is_to() -> None:
    """The step is skipped, the scale backs off, the tracker starts again."""
    scaler = LossScaler(8.0, interval=2, saturation_is_overflow=True)

    assert run_of(scaler, "gsgggs") == [8, 4, 4, 8, 8, 4]
    assert scaler.skipped == 2
    assert run_of(LossScaler(8.0, interval=2), "gsgggs") == [8, 16, 16, 32, 32, 64]


def test_saturation_of_one_step_says_nothing_of_the_next() -> None:
    static = LossScaler(8.0, dynamic=False, saturation_is_overflow=True)
    assert run_of(static, "sgsg") == [8, 8, 8, 8]
    assert static.skipped == 2


def test_caps_stop_growth_and_backoff() -> None:
    """At them, not before them; as float32 numbers, between which scales lie."""
    scaler = LossScaler(8.0, 3.0, 0.25, 1, maximum=50, minimum=1.5)

    assert run_of(scaler, "ggggiiigg") == [24, 50, 50, 50, 12.5, 3.125, 1.5, 4.5, 13.5]
    other = LossScaler()
    other.restore(scaler.state())
    assert run_of(other, "gg") == [40.5, 50]


def test_without_caps_the_scale_ends_where_float32_does() -> None:
    """Growth beyond it is not done; backoff ends at 0."""
    largest = float(np.finfo(np.float32).max)
    scaler = LossScaler(largest, 2.0, interval=2)
    assert run_of(scaler, "gggg") == [largest] * 4
    assert scaler.tracker == 0  # tried again after as many updates
    # A product that rounds to the largest number is one.
    below = float(np.nextafter(np.float32(largest), np.float32(0)))
    assert run_of(LossScaler(below, largest / below, interval=1), "g") == [largest]
    assert run_of(LossScaler(2.0**-148), "iii") == [2.0**-149, 0, 0]


def test_the_product_is_rounded_once() -> None:
    """From float64 to float32, the factor never being a float32."""
    scale, growth = float(np.float32(0.3)), 1.7
    exact = float(np.float32(scale * growth))
    assert exact != float(np.float32(scale) * np.float32(growth))
    assert run_of(LossScaler(scale, growth, interval=1), "g") == [exact]


def test_a_scale_is_rounded_to_float32() -> None:
    assert LossScaler(0.1).scale == float(np.float32(0.1))


# Bad input.


@pytest.mark.parametrize("scale", [0.0, -0.0, -1.0, np.nan, np.inf, 1e-50, 1e39])
def test_a_scale_must_be_positive_and_finite(scale: float) -> None:
    """As float32, when it is set first and when later."""
    message = r"scale must be (a finite number above 0|positive and finite in float32), got"
    with pytest.raises(ValueError, match=message):
        LossScaler(scale)
    scaler, _ = ready()
    with pytest.raises(ValueError, match=message):
        scaler.update(scale)
    assert scaler.scale == 65536


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"growth": 0.5}, r"growth must be a finite number above 1, got 0.5"),
        ({"growth": np.inf}, r"growth must be a finite number above 1, got inf"),
        ({"backoff": 0.0}, r"backoff must be .* above 0 and below 1, got 0.0"),
        ({"backoff": 1.5}, r"backoff must be .* above 0 and below 1, got 1.5"),
        ({"interval": 0}, r"interval must be an integer, at least 1, got 0"),
        ({"maximum": 1e39}, r"maximum must be positive and finite in float32, got 1e\+39"),
        ({"maximum": np.nan}, r"maximum must be a finite number above 0, got nan"),
        ({"minimum": -1.0}, r"minimum must be a finite number above 0, got -1.0"),
        ({"maximum": 2.0}, r"scale must be from 0.0 to 2.0, got 65536.0"),
        ({"minimum": 1e6}, r"scale must be from 1000000.0 to inf, got 65536.0"),
        ({"minimum": 9.0, "maximum": 8.0, "scale": 8.5}, r"scale must be from 9.0 to 8.0"),
    ],
)
def test_settings_must_be_in_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossScaler(**settings)


@pytest.mark.parametrize("name", ["scale", "growth", "backoff", "interval", "maximum", "minimum"])
@pytest.mark.parametrize("value", ["2", True, [2.0], 1j])
def test_settings_must_be_numbers(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"{name} must be .*, got"):
        LossScaler(**{name: value})


def test_a_scale_that_is_given_must_be_within_the_caps() -> None:
    scaler, _ = ready(LossScaler(4.0, maximum=8.0))
    with pytest.raises(ValueError, match=r"scale must be from 0.0 to 8.0, got 16.0"):
        scaler.update(16.0)


def test_parameters_must_be_tensors_by_name() -> None:
    scaler, optimizer = ready()
    with pytest.raises(TypeError, match=r"parameters must be a mapping .* got list"):
        scaler.unscale(list(optimizer.parameters.values()))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"parameter 'w' must be a Tensor, got float"):
        scaler.unscale({"w": 1.0})  # type: ignore[dict-item]


@pytest.mark.parametrize("method", ["unscale", "step"])
def test_a_state_is_taken_between_rounds(method: str) -> None:
    """Of what was found and not yet used there is no place in it."""
    scaler, optimizer = ready()
    argument: Any = optimizer.parameters if method == "unscale" else optimizer
    getattr(scaler, method)(argument)
    with pytest.raises(RuntimeError, match=r"state\(\) must come after update\(\), which was not"):
        scaler.state()
    scaler.update(2.0)
    assert scaler.state()["scale"] == 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scale": None}, ValueError, r"state must be .* enabled scaler .* does not have 'scale'"),
        ({"_growth_tracker": 3}, ValueError, r"state must be .* has '_growth_tracker'"),
        ({"growth": 1.0}, ValueError, r"growth must be a finite number above 1, got 1.0"),
        ({"tracker": 2000}, ValueError, r"tracker must be less than interval, 2000, got 2000"),
        ({"tracker": 0.5}, TypeError, r"tracker must be an integer, at least 0, got 0.5"),
        ({"skipped": -1}, ValueError, r"skipped must be an integer, at least 0, got -1"),
        ({"scale": -1.0}, ValueError, r"scale must be a finite number above 0, got -1.0"),
    ],
)
def test_a_state_that_is_none_is_refused(change: Any, error: Any, message: str) -> None:
    """And nothing has changed; None stands for what is missing."""
    scaler = LossScaler()
    state = scaler.state()
    wrong = {key: value for key, value in {**state, **change}.items() if value is not None}

    with pytest.raises(error, match=message):
        scaler.restore(wrong)

    assert scaler.state() == state


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({}, ValueError, r"state must be .* an enabled scaler .* does not have 'backoff'"),
        (None, TypeError, r"state must be what state\(\) returned, got NoneType"),
    ],
)
def test_no_state_is_refused(state: Mapping[str, float], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        LossScaler().restore(state)


def test_a_state_has_plain_numbers() -> None:
    """So that JSON and archives hold them; infinity and 0 are no caps."""
    state = LossScaler(3.0).state()
    assert state == {
        "scale": 3.0,
        "growth": 2.0,
        "backoff": 0.5,
        "interval": 2000,
        "maximum": math.inf,
        "minimum": 0.0,
        "tracker": 0,
        "skipped": 0,
    }
    assert {type(value) for value in state.values()} == {int, float}
