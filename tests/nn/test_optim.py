"""
Optimizers against their definitions, operation by operation.

An operation on float64 numbers that hold float32 values, rounded to float32 afterwards, is
IEEE's float32 operation: float64 has more than twice the digits and two.  That holds for
sums, products, quotients and square roots, so the references below are float64 formulas with
a rounding around each operation, one element at a time.
"""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.nn import Tensor
from fp8num.nn.optim import SGD, Adam, AdamW, Optimizer, clip_norm
from fp8num.nn.schedules import constant, cosine, linear

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[[dict[str, Tensor]], Optimizer]


def r(x: float) -> float:
    """Round to float32."""
    return float(np.float32(x))


def sgd_element(
    w: float, state: dict[str, float], g: float, *, lr: float, mom: float = 0.0, wd: float = 0.0,
    nesterov: bool = False,
) -> float:  # fmt: skip
    """Move one float32 parameter by `torch.optim.SGD`'s formula, each operation rounded."""
    if wd:
        g = r(g + r(w * r(wd)))
    if mom:
        state["m"] = r(r(state["m"] * r(mom)) + g) if "m" in state else g
        g = r(g + r(state["m"] * r(mom))) if nesterov else state["m"]
    return r(w + r(g * r(-lr)))


def adam_element(
    w: float, state: dict[str, float], g: float, *, lr: float, b1: float = 0.9, b2: float = 0.999,
    eps: float = 1e-8, wd: float = 0.0,
) -> float:  # fmt: skip
    """Move one float32 parameter by `torch.optim.AdamW`'s formula, each operation rounded."""
    state["t"] = t = state.get("t", 0) + 1
    if wd:
        w = r(w * r(1 - lr * wd))
    m, v = state.get("f", 0.0), state.get("s", 0.0)
    new = r(1 - b1)
    m = r(m + r(new * r(g - m))) if new < 0.5 else r(g - r(r(g - m) * r(1 - new)))
    v = r(r(v * r(b2)) + r(r(r(1 - b2) * g) * g))
    state["f"], state["s"] = m, v  # first and second
    denominator = r(r(r(math.sqrt(v)) / r(math.sqrt(1 - b2**t))) + r(eps))
    return r(w + r(r(m * r(-(lr / (1 - b1**t)))) / denominator))


CASES: dict[str, tuple[Make, Callable[..., float], dict[str, Any]]] = {
    "plain": (lambda p: SGD(p, 0.1), sgd_element, {"lr": 0.1}),
    "decay": (lambda p: SGD(p, 0.1, weight_decay=0.01), sgd_element, {"lr": 0.1, "wd": 0.01}),
    "momentum": (lambda p: SGD(p, 0.1, 0.9), sgd_element, {"lr": 0.1, "mom": 0.9}),
    "nesterov": (
        lambda p: SGD(p, 0.03, 0.7, 0.1, nesterov=True),
        sgd_element,
        {"lr": 0.03, "mom": 0.7, "wd": 0.1, "nesterov": True},
    ),
    "adam": (lambda p: Adam(p, 0.01), adam_element, {"lr": 0.01}),
    "adam, short memory": (
        lambda p: Adam(p, 0.01, (0.4, 0.6), 0.1),
        adam_element,
        {"lr": 0.01, "b1": 0.4, "b2": 0.6, "eps": 0.1},
    ),
    "adamw": (
        lambda p: AdamW(p, 0.01, weight_decay=0.3),
        adam_element,
        {"lr": 0.01, "wd": 0.3},
    ),
}  # fmt: skip
MAKES = {name: make for name, (make, _, _) in CASES.items()}
by_case = pytest.mark.parametrize("case", CASES)


def parameters(*shapes: tuple[int, ...], dtype: type = np.float32) -> dict[str, Tensor]:
    """Return parameters with values of many sizes, named by their position."""
    rng = np.random.default_rng(1)
    return {
        f"p{i}": Tensor(np.asarray(rng.standard_normal(shape), dtype), requires_grad=True)
        for i, shape in enumerate(shapes)
    }


def gradients(tensors: dict[str, Tensor], seed: int) -> None:
    """Give each parameter a gradient with elements of many sizes."""
    rng = np.random.default_rng(seed)
    for tensor in tensors.values():
        sizes = np.exp(rng.normal(-3, 4, tensor.shape))
        tensor.grad = np.asarray(rng.standard_normal(tensor.shape) * sizes, tensor.dtype)


def words(array: np.ndarray) -> np.ndarray:
    """Return the bits, in C order: sign of zero and NaN count."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")


# Definitions.


@by_case
def test_a_step_is_its_definition(case: str) -> None:
    """Every operation, for six steps, of a matrix and of a scalar, and what is kept."""
    make, element, settings = CASES[case]
    tensors = parameters((3, 5), ())
    expected = {n: [float(w) for w in t.data.reshape(-1)] for n, t in tensors.items()}
    states: dict[str, list[dict[str, float]]] = {n: [{} for _ in w] for n, w in expected.items()}
    optimizer = make(tensors)

    for seed in range(6):
        gradients(tensors, seed)
        assert tensors["p0"].grad is not None
        tensors["p0"].grad[0] = -0.0
        optimizer.step()
        for name, tensor in tensors.items():
            assert tensor.grad is not None
            each = zip(expected[name], states[name], tensor.grad.reshape(-1), strict=True)
            expected[name] = [element(w, s, float(g), **settings) for w, s, g in each]

        for name, tensor in tensors.items():
            wanted = np.array(expected[name], np.float32).reshape(tensor.shape)
            np.testing.assert_array_equal(words(tensor.data), words(wanted))
            for moment in optimizer.moments:
                kept = optimizer.state()[f"{moment}/{name}"]
                numbers = np.array([state[moment[0]] for state in states[name]], np.float32)
                np.testing.assert_array_equal(words(kept), words(numbers))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (7,), (40_000,), (300, 300), (2, 70_000)])
@by_case
def test_elements_do_not_see_each_other(case: str, shape: tuple[int, ...]) -> None:
    """A parameter that is worked on in parts moves as its elements alone would."""
    make = MAKES[case]
    whole = parameters(shape)
    picked = np.random.default_rng(0).integers(0, max(whole["p0"].data.size, 1), 50)
    picked = picked[: whole["p0"].data.size]
    few = {"p0": Tensor(whole["p0"].data.reshape(-1)[picked], requires_grad=True)}
    optimizers = make(whole), make(few)

    for seed in range(3):
        gradients(whole, seed)
        assert whole["p0"].grad is not None
        few["p0"].grad = whole["p0"].grad.reshape(-1)[picked]
        for optimizer in optimizers:
            optimizer.step()

    np.testing.assert_array_equal(
        words(few["p0"].data), words(whole["p0"].data.reshape(-1)[picked])
    )


@by_case
def test_strides_and_byte_order_of_gradients_do_not_matter(case: str) -> None:
    """Nor that they cannot be written to; steps leave them as they are."""
    plain, odd = parameters((150, 300)), parameters((150, 300))
    optimizers = MAKES[case](plain), MAKES[case](odd)

    for seed in range(3):
        gradients(plain, seed)
        assert plain["p0"].grad is not None
        before = plain["p0"].grad.copy()
        odd["p0"].grad = np.asfortranarray(plain["p0"].grad).astype(">f4")
        odd["p0"].grad.flags.writeable = False
        for optimizer in optimizers:
            optimizer.step()
        np.testing.assert_array_equal(words(plain["p0"].grad), words(before))

    np.testing.assert_array_equal(words(plain["p0"].data), words(odd["p0"].data))


def test_float64_parameters_follow_the_papers() -> None:
    """Kingma and Ba, algorithm 1, as printed, over 50 steps."""
    tensors = parameters((20,), dtype=np.float64)
    optimizer = Adam(tensors, 0.01, (0.8, 0.95), 1e-3)
    theta = tensors["p0"].data.copy()
    m = v = np.zeros(20)

    for t in range(1, 51):
        gradients(tensors, t)
        g = tensors["p0"].grad
        optimizer.step()
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        theta -= 0.01 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)

    assert tensors["p0"].data.dtype == np.float64
    np.testing.assert_allclose(tensors["p0"].data, theta, rtol=0, atol=1e-13)


def test_a_rate_for_one_step_is_not_kept() -> None:
    tensors = parameters((4,))
    start = tensors["p0"].data.copy()
    optimizer = SGD(tensors, 0.5)
    tensors["p0"].grad = np.ones(4, np.float32)

    optimizer.step(lr=0.0)
    np.testing.assert_array_equal(tensors["p0"].data, start)
    optimizer.step()

    np.testing.assert_array_equal(tensors["p0"].data, start - np.float32(0.5))


@pytest.mark.parametrize("make", [SGD, Adam])
def test_a_rate_beyond_float32_overflows_quietly(make: Any) -> None:
    """And visibly."""
    tensors = with_gradients([1.0, -1.0])
    make(tensors, 1e39).step()
    np.testing.assert_array_equal(tensors["p0"].data, [-np.inf, np.inf])


# What gradients may be.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@by_case
def test_a_gradient_that_is_not_finite_is_not_hidden(case: str, value: float) -> None:
    """Its parameter is not finite afterwards; the others moved as without it."""
    good, bad = parameters((5,)), parameters((5,))
    for tensors in (good, bad):
        gradients(tensors, 0)
    assert bad["p0"].grad is not None
    bad["p0"].grad[2] = value

    MAKES[case](good).step()
    MAKES[case](bad).step()

    others = [0, 1, 3, 4]
    assert not np.isfinite(bad["p0"].data[2])
    np.testing.assert_array_equal(words(good["p0"].data[others]), words(bad["p0"].data[others]))


@by_case
def test_a_parameter_without_gradient_stays(case: str) -> None:
    """It has no state, and its first step is a first step."""
    tensors, alone = parameters((3,), (4,)), parameters((3,), (4,))
    start = tensors["p1"].data.copy()
    optimizer, other = MAKES[case](tensors), MAKES[case]({"p1": alone["p1"]})

    gradients(tensors, 0)
    tensors["p1"].grad = None
    optimizer.step()
    np.testing.assert_array_equal(tensors["p1"].data, start)
    assert not any(key.endswith("p1") for key in optimizer.state())
    gradients(tensors, 1)
    alone["p1"].grad = tensors["p1"].grad
    optimizer.step()
    other.step()

    np.testing.assert_array_equal(words(tensors["p1"].data), words(alone["p1"].data))


# States.


@by_case
def test_a_restored_optimizer_gives_the_same_bits(case: str, tmp_path: Path) -> None:
    """Through a file, after any number of steps."""
    for stop in range(3):
        tensors = parameters((6, 7), (3,))
        optimizer = MAKES[case](tensors)
        for seed in range(stop):
            gradients(tensors, seed)
            optimizer.step()
        np.savez(tmp_path / "state.npz", **optimizer.state())
        copies = {n: Tensor(t.data.copy(), requires_grad=True) for n, t in tensors.items()}
        other = MAKES[case](copies)
        with np.load(tmp_path / "state.npz") as archive:
            other.restore(dict(archive))

        for seed in range(10, 14):
            for each in (tensors, copies):
                gradients(each, seed)
            optimizer.step()
            other.step()

        for name in tensors:
            np.testing.assert_array_equal(words(tensors[name].data), words(copies[name].data))
        assert optimizer.state().keys() == other.state().keys()


def test_a_state_holds_what_its_names_say() -> None:
    """Of Adam the two means, of SGD the momentum, and the number of steps."""
    tensors = parameters((2,))
    tensors["p0"].grad = np.array([2.0, -4.0], np.float32)
    adam, sgd, plain = Adam(tensors, 0, (0.5, 0.75)), SGD(tensors, 0, 0.5), SGD(tensors, 0)
    for _ in range(2):
        for optimizer in (adam, sgd, plain):
            optimizer.step()

    first, second = adam.state(), sgd.state()

    assert list(first) == ["steps/p0", "first/p0", "second/p0"]
    assert first["steps/p0"] == second["steps/p0"] == 2
    assert type(first["steps/p0"]) is int
    np.testing.assert_array_equal(first["first/p0"], [1.5, -3.0])
    np.testing.assert_array_equal(first["second/p0"], [1.75, 7.0])
    np.testing.assert_array_equal(second["momentum/p0"], [3.0, -6.0])
    assert plain.state() == {"steps/p0": 2}


def test_a_state_is_a_copy() -> None:
    """Neither later steps nor the caller change the other's."""
    tensors = parameters((2,))
    optimizer = SGD(tensors, 0.1, 0.9)
    tensors["p0"].grad = np.ones(2, np.float32)
    optimizer.step()
    kept = optimizer.state()
    optimizer.step()
    np.testing.assert_array_equal(kept["momentum/p0"], [1, 1])

    optimizer.restore(kept)
    optimizer.step()

    np.testing.assert_array_equal(kept["momentum/p0"], [1, 1])


# Clipping.


def with_gradients(*values: Any, dtype: type = np.float32) -> dict[str, Tensor]:
    """Return parameters with these gradients; None stays none."""
    tensors = {}
    for i, value in enumerate(values):
        grad = None if value is None else np.asarray(value, dtype)
        tensor = Tensor(np.zeros(np.shape(grad) if value is not None else 2, dtype))
        tensor.grad = grad
        tensors[f"p{i}"] = tensor
    return tensors


def test_the_norm_is_that_of_one_long_vector() -> None:
    """Against exactly rounded sums of the exact squares; parameters without one do not count."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(90_000).astype(np.float32) * np.float32(1e-3)
    tensors = with_gradients(values[:70_000].reshape(7, -1), values[70_000:], None)

    norm = clip_norm(tensors, 100.0)

    exact = math.sqrt(math.fsum(float(v) ** 2 for v in values))
    assert norm == pytest.approx(exact, rel=1e-14)


def test_gradients_above_the_limit_are_shortened_together() -> None:
    tensors = with_gradients([3.0, 0.0], 4.0, None)

    assert clip_norm(tensors, 0.5) == 5

    coefficient = np.float32(0.5 / (5 + 1e-6))
    np.testing.assert_array_equal(tensors["p0"].grad, [3 * coefficient, 0])
    np.testing.assert_array_equal(tensors["p1"].grad, 4 * coefficient)
    assert isinstance(tensors["p1"].grad, np.ndarray)
    assert tensors["p1"].grad.dtype == np.float32
    assert tensors["p2"].grad is None


def test_gradients_below_the_limit_are_left_alone() -> None:
    """The very arrays."""
    tensors = with_gradients([3.0, -0.0], 4.0)
    before = [t.grad for t in tensors.values()]

    assert clip_norm(tensors, 5.001) == 5

    assert all(t.grad is b for t, b in zip(tensors.values(), before, strict=True))


def test_an_array_that_two_parameters_share_is_shortened_once() -> None:
    tensors = with_gradients([3.0], [4.0])
    tensors["p1"].grad = tensors["p0"].grad

    clip_norm(tensors, 1.0)

    assert float(tensors["p0"].grad[0]) == pytest.approx(3 / math.sqrt(18), rel=1e-6)


def test_the_norm_does_not_depend_on_strides() -> None:
    """Bit for bit, and neither does it on byte order."""
    values = np.random.default_rng(0).standard_normal((300, 200)).astype(np.float32)
    norms = set()
    for array in (values, np.asfortranarray(values), values.astype(">f4"),
                  np.repeat(values, 2, axis=1)[:, ::2]):  # fmt: skip
        tensors = with_gradients(values)
        tensors["p0"].grad = array
        norms.add(clip_norm(tensors, 1e9))

    assert len(norms) == 1


@pytest.mark.parametrize(("value", "expected"), [(np.inf, [0, np.nan]), (np.nan, [np.nan] * 2)])
def test_a_norm_that_is_not_finite_is_not_hidden(value: float, expected: list[float]) -> None:
    """It is returned, and NaN are where they are in PyTorch."""
    tensors = with_gradients([1.0, value])

    norm = clip_norm(tensors, 1.0)

    assert norm == pytest.approx(abs(value), nan_ok=True)
    np.testing.assert_array_equal(tensors["p0"].grad, expected)


@pytest.mark.parametrize(
    ("dtype", "values", "norm"),
    [
        (np.float32, [3e-45, 4e-45], math.hypot(2, 3) * 2.0**-149),  # subnormals 2 and 3
        (np.float32, [3e38, -3e38], float(np.float32(3e38)) * math.sqrt(2)),
        (np.float64, [3e200, 4e200], 5e200),
        (np.float64, [3e-200, 4e-200], 5e-200),
        (np.float64, [1.7e308, 1.7e308], math.inf),
        (np.float32, [0.0, 0.0], 0.0),
        (np.float32, [], 0.0),
    ],
)
def test_squares_neither_overflow_nor_vanish(dtype: type, values: list[float], norm: float) -> None:
    assert clip_norm(with_gradients(values, dtype=dtype), 1.0) == pytest.approx(norm, rel=1e-14)


# Schedules.


def test_a_constant_rate_is_constant() -> None:
    assert [constant(0.25)(step) for step in (0, 1, 10**6)] == [0.25] * 3


@pytest.mark.parametrize("make", [cosine, linear])
def test_a_rate_rises_to_its_height_and_falls_to_its_floor(make: Any) -> None:
    """The rise ends one step before the fall begins, both at the height."""
    rate = make(0.8, steps=12, warmup=4, floor=0.1)

    rates = [rate(step) for step in range(15)]

    assert rates[:5] == [0.2, 0.4, 0.6000000000000001, 0.8, 0.8]
    assert rates[8] == pytest.approx(0.45, rel=1e-15)  # half way down
    assert all(a > b for a, b in itertools.pairwise(rates[4:13]))
    assert rates[12:] == [0.1] * 3


def test_the_falls_have_the_shapes_of_their_names() -> None:
    for step in range(9):
        assert linear(2.0, 8)(step) == 2 - step / 4
        assert cosine(2.0, 8)(step) == pytest.approx(1 + math.cos(math.pi * step / 8), abs=1e-15)


@pytest.mark.parametrize("rate", [constant(0.5), cosine(1, 9, 2, 0.1), linear(1, 9)])
def test_schedules_are_pure(rate: Any) -> None:
    """The same step, the same rate, in any order, also in another process."""
    forward = [rate(step) for step in range(12)]
    other = pickle.loads(pickle.dumps(rate))  # noqa: S301 - our own

    assert [other(step) for step in reversed(range(12))] == forward[::-1]
    assert other == rate
    assert all(type(value) is float for value in forward)


# Bad input.


@pytest.mark.parametrize("lr", [-1e-9, np.nan, np.inf, 10**400])
def test_a_rate_must_be_in_range(lr: float) -> None:
    """When it is set and when it is given for a step."""
    tensors = parameters((2,))
    for make in (SGD, Adam, AdamW):
        with pytest.raises(ValueError, match=r"lr must be a finite number at least 0, got"):
            make(tensors, lr)
    start = tensors["p0"].data.copy()
    gradients(tensors, 0)
    with pytest.raises(ValueError, match=r"lr must be a finite number at least 0, got"):
        SGD(tensors, 1.0).step(lr)
    np.testing.assert_array_equal(tensors["p0"].data, start)


@pytest.mark.parametrize("lr", ["0.1", None, True, 1j, np.ones(1)])
def test_a_rate_must_be_a_number(lr: Any) -> None:
    with pytest.raises(TypeError, match=r"lr must be a finite number at least 0, got"):
        SGD(parameters((2,)), lr)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, 1, momentum=-0.1), r"momentum must be .* at least 0, got -0.1"),
        (lambda p: SGD(p, 1, weight_decay=-1), r"weight_decay must be .* at least 0, got -1"),
        (lambda p: SGD(p, 1, nesterov=True), r"nesterov must be False without momentum, got True"),
        (lambda p: Adam(p, 1, (0.9, 1.0)), r"betas must be .* at least 0 and below 1, got 1.0"),
        (lambda p: Adam(p, 1, (-0.1, 0.9)), r"betas must be .* at least 0 and below 1, got -0.1"),
        (lambda p: Adam(p, 1, eps=-1e-8), r"eps must be .* at least 0, got -1e-08"),
        (lambda p: AdamW(p, 1, weight_decay=np.nan), r"weight_decay must be .* got nan"),
        (lambda p: clip_norm(p, 0.0), r"limit must be a finite number above 0, got 0.0"),
    ],
)
def test_settings_must_be_in_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(parameters((2,)))


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 0.99, 0.999), "ab", None])
def test_betas_must_be_two_numbers(betas: Any) -> None:
    with pytest.raises(TypeError, match=r"betas must be (two numbers|a finite number)"):
        Adam(parameters((2,)), 0.1, betas)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 1), lambda p: clip_norm(p, 1)])
def test_parameters_must_be_tensors_by_name(make: Any) -> None:
    tensor = Tensor(np.zeros(2))
    with pytest.raises(TypeError, match=r"parameters must be a mapping .* got list"):
        make([tensor])
    with pytest.raises(ValueError, match=r"parameters must not be empty"):
        make({})
    with pytest.raises(TypeError, match=r"parameter 'w' must be a Tensor, got ndarray"):
        make({"w": tensor.data})
    with pytest.raises(ValueError, match=r"must be different tensors, got one under two names"):
        make({"v": tensor, "w": tensor})


def test_parameters_must_be_writeable() -> None:
    data = np.zeros(2)
    data.flags.writeable = False
    with pytest.raises(ValueError, match=r"parameter 'w' must be writeable, got a read-only"):
        SGD({"w": Tensor(data)}, 1)


@pytest.mark.parametrize("act", [lambda p: SGD(p, 1).step(), lambda p: clip_norm(p, 1)])
@pytest.mark.parametrize(
    ("grad", "message"),
    [
        (np.ones((1, 3), np.float32), r"float32 of shape \(3,\), got float32 of shape \(1, 3\)"),
        (np.ones(3), r"float32 of shape \(3,\), got float64 of shape \(3,\)"),
        (np.ones(3, np.int32), r"float32 of shape \(3,\), got int32 of shape \(3,\)"),
    ],
)
def test_a_gradient_must_be_like_its_parameter(grad: Any, message: str, act: Any) -> None:
    """Nothing moves, not even the parameters before it."""
    tensors = parameters((2,), (3,))
    gradients(tensors, 0)
    tensors["p1"].grad = grad
    start = tensors["p0"].data.copy()

    with pytest.raises(ValueError, match=rf"gradient of 'p1' must be {message}"):
        act(tensors)
    np.testing.assert_array_equal(tensors["p0"].data, start)


def test_a_gradient_must_be_an_array() -> None:
    tensors = with_gradients([1.0])
    tensors["p0"].grad = [1.0]  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"gradient of 'p0' must be .* got list"):
        SGD(tensors, 1).step()


def some_state() -> tuple[Optimizer, dict[str, Any]]:
    tensors = parameters((2,), (3,))
    gradients(tensors, 0)
    optimizer = Adam(tensors, 0.1)
    optimizer.step()
    return optimizer, optimizer.state()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"momentum/p0": np.zeros(2, np.float32)}, r"of Adam and these .* got 'momentum/p0'"),
        ({"first/p9": np.zeros(2, np.float32)}, r"of Adam and these .* got 'first/p9'"),
        ({"first/p1": np.zeros(2, np.float32)}, r"state's 'first/p1' must be .* shape \(2,\)"),
        ({"first/p1": np.zeros(3)}, r"state's 'first/p1' must be float32 .* got float64"),
        ({"steps/p1": 0}, r"steps/p1 must be an integer, at least 1, got 0"),
        ({"second/p1": None}, r"state must have 'second/p1' beside 'steps/p1'"),
        ({"steps/p1": None}, r"state must have 'steps/p1' beside 'first/p1'"),
    ],
)
def test_a_state_of_something_else_is_refused(change: dict[str, Any], message: str) -> None:
    """And nothing has changed; None stands for what is missing."""
    optimizer, state = some_state()
    wrong = {key: value for key, value in {**state, **change}.items() if value is not None}

    with pytest.raises(ValueError, match=message):
        optimizer.restore(wrong)

    assert optimizer.state().keys() == state.keys()
    for key, value in optimizer.state().items():
        np.testing.assert_array_equal(value, state[key])


def test_a_state_must_be_a_mapping_of_arrays() -> None:
    optimizer, state = some_state()
    with pytest.raises(TypeError, match=r"state must be what state\(\) returned, got NoneType"):
        optimizer.restore(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"state's 'first/p0' must be .* got list"):
        optimizer.restore({**state, "first/p0": [0, 0]})
    with pytest.raises(TypeError, match=r"steps/p0 must be an integer, at least 1, got 1.0"):
        optimizer.restore({**state, "steps/p0": 1.0})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: constant(-1), ValueError, r"lr must be a finite number at least 0, got -1"),
        (lambda: cosine(1, 0), ValueError, r"steps must be an integer, at least 1, got 0"),
        (lambda: linear(1, 2.5), TypeError, r"steps must be an integer, at least 1, got 2.5"),
        (lambda: linear(1, 5, -1), ValueError, r"warmup must be an integer, at least 0, got -1"),
        (lambda: cosine(1, 5, 5), ValueError, r"warmup must be less than steps, 5, got 5"),
        (lambda: cosine(1, 5, floor=2), ValueError, r"floor must be at most lr, 1.0, got 2.0"),
        (lambda: cosine(1, 5, floor=-1), ValueError, r"floor must be .* at least 0, got -1"),
        (lambda: cosine(1, 5)(-1), ValueError, r"step must be an integer, at least 0, got -1"),
        (lambda: constant(1)(0.5), TypeError, r"step must be an integer, at least 0, got 0.5"),
    ],
)
def test_schedules_refuse_what_they_cannot_mean(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make()
