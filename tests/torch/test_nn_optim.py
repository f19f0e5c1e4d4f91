"""
Optimizers against torch.optim on the CPU.

PyTorch computes ``a + b * c`` in one of its kernels with one rounding where the processor has
fused multiply-add (its AVX2 and AVX-512 kernels), and with two in its plain kernels; and the
square root of an array is MKL's, which may be off in the last place.  Hence two comparisons:

* bit for bit with the plain kernels, chosen by ATEN_CPU_CAPABILITY=default in a process of
  their own, where the square root is made correct; the code of torch.optim is untouched;
* with the kernels of this processor, each step from PyTorch's own state, within a bound for
  the roundings in which the two differ.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.nn import Tensor
from fp8num.nn.optim import SGD, Adam, AdamW, Optimizer, clip_norm
from fp8num.nn.schedules import cosine, linear

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch

#: The optimizer and its settings, named as here; in PyTorch they have the same names.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.03}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd_all": ("SGD", {"lr": 0.03, "momentum": 0.7, "weight_decay": 0.1}),
    "nesterov": ("SGD", {"lr": 0.03, "momentum": 0.7, "weight_decay": 0.1, "nesterov": True}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam_short": ("Adam", {"lr": 0.01, "betas": (0.4, 0.6), "eps": 0.1}),
    "adam_none": ("Adam", {"lr": 0.01, "betas": (0.0, 0.0), "eps": 0.0}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.3}),
    "adamw_usual": ("AdamW", {"lr": 1e-3}),
}
OURS: dict[str, type[Optimizer]] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}
NAMES = {"momentum": "momentum_buffer", "first": "exp_avg", "second": "exp_avg_sq"}
STEPS = 25
by_case = pytest.mark.parametrize("case", CASES)
by_type = pytest.mark.parametrize("dtype", ["float32", "float64"])

#: Runs torch.optim over given gradients and keeps parameters and state after each step.
WORK = """
import sys
import numpy as np
import torch

cases, dtype, source, target = eval(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
print(torch.backends.cpu.get_cpu_capability())
# NumPy's root is the processor's, which IEEE 754 has correct.
torch.Tensor.sqrt = lambda self: torch.from_numpy(np.sqrt(self.detach().numpy()))
given = dict(np.load(source))
found = {}
for case, (kind, settings) in cases.items():
    w = torch.nn.Parameter(torch.from_numpy(given["start"].copy()))
    optimizer = getattr(torch.optim, kind)([w], **settings)
    for t, gradient in enumerate(given["gradients"]):
        w.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        kept = [a for n, a in optimizer.state[w].items() if n != "step" and a is not None]
        for i, array in enumerate([w.detach(), *kept]):
            found[f"{case}/{t}/{i}"] = array.numpy().copy()
np.savez(target, **found)
"""


def start_and_gradients(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return parameters, and gradients of many sizes: the first ones 0, some elements always."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((37, 11))
    sizes = np.exp(rng.normal(-3, 4, (STEPS, 37, 11)))
    gradients = rng.standard_normal((STEPS, 37, 11)) * sizes
    gradients[0] = gradients[:, 5] = 0
    gradients[:, 6] *= 1e-25
    return start.astype(dtype), gradients.astype(dtype)


@pytest.fixture(scope="module", params=["float32", "float64"])
def plain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, np.ndarray]]:
    """What torch.optim gives with plain kernels, for each case and step."""
    folder: Path = tmp_path_factory.mktemp("plain")
    start, gradients = start_and_gradients(request.param)
    np.savez(folder / "in.npz", start=start, gradients=gradients)
    arguments = [repr(CASES), request.param, str(folder / "in.npz"), str(folder / "out.npz")]
    done = subprocess.run(
        [sys.executable, "-c", WORK, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
    )
    if done.stdout.split() != ["DEFAULT"]:
        pytest.skip(f"PyTorch has no plain kernels here, only {done.stdout.strip()}")
    with np.load(folder / "out.npz") as archive:
        return request.param, dict(archive)


@by_case
def test_steps_are_pytorch_s_bit_for_bit(case: str, plain: tuple[str, dict[str, Any]]) -> None:
    """With its plain kernels and a correctly rounded root, over whole runs, state included."""
    dtype, expected = plain
    start, gradients = start_and_gradients(dtype)
    kind, settings = CASES[case]
    w = Tensor(start)
    optimizer = OURS[kind]({"w": w}, **settings)

    for t, gradient in enumerate(gradients):
        w.grad = gradient
        optimizer.step()
        state = optimizer.state()
        for i, array in enumerate([w.data, *(state[f"{name}/w"] for name in optimizer.moments)]):
            bits, theirs = f"u{start.itemsize}", expected[f"{case}/{t}/{i}"]
            np.testing.assert_array_equal(np.asarray(array).view(bits), theirs.view(bits))
        assert f"{case}/{t}/{len(optimizer.moments) + 1}" not in expected


def bounds(case: str, t: int, w: np.ndarray, g: np.ndarray, state: dict[str, Any]) -> Any:
    """
    Return how far a parameter and its arrays may be apart after a step, in units of u.

    One rounding has a relative error of u at most.  ``a + b c`` fused and not fused differ by
    u |b c| and two roundings of the sum, together at most 3 u (|a| + |b c|); everything
    else has the same roundings, at most one apart where operands differ, which is 2 u.
    """
    kind, settings = CASES[case]
    lr, decay = settings["lr"], settings.get("weight_decay", 0.0)
    w, g = np.abs(w), np.abs(g)
    if kind == "SGD":
        momentum = settings.get("momentum", 0.0)
        g = g + decay * w
        buffer = np.abs(state["momentum"]) * momentum + g if "momentum" in state else g
        ahead = g + momentum * buffer
        # Three fused sums and the momentum's own, each weighing on the next by its factor.
        return 12 * (w + lr * ahead), {"momentum": 5 * buffer}
    b1, b2 = settings.get("betas", (0.9, 0.999))
    m, v = np.abs(state.get("first", 0.0)), state.get("second", 0.0)
    mean, square = m + (g + m), b2 * v + (1 - b2) * g * g
    root = np.sqrt(square) / np.sqrt(1 - b2**t)
    size = lr / (1 - b1**t) * mean / np.maximum(root + settings.get("eps", 1e-8), 1e-300)
    # 3 of the mean, 3/2 of the square's root, 2 of MKL's root, and of five operations 2 each.
    return 2 * w + 17 * size, {"first": 3 * mean, "second": 3 * square}


@by_type
@by_case
def test_steps_are_pytorch_s_within_the_roundings_that_differ(case: str, dtype: str) -> None:
    """With the kernels of this processor, each step from PyTorch's state."""
    import torch

    start, gradients = start_and_gradients(dtype)
    kind, settings = CASES[case]
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    reference = getattr(torch.optim, kind)([theirs], **settings)
    u = float(np.finfo(dtype).eps) / 2
    tiny = 8 * float(np.finfo(dtype).smallest_subnormal)

    for t, gradient in enumerate(gradients, 1):
        state = {
            name: reference.state[theirs][key].numpy().copy()
            for name, key in NAMES.items()
            if reference.state[theirs].get(key) is not None
        }
        w = Tensor(theirs.detach().numpy().copy())
        optimizer = OURS[kind]({"w": w}, **settings)
        if t > 1:
            arrays = {f"{name}/w": array for name, array in state.items()}
            optimizer.restore({"steps/w": t - 1, **arrays})
        before = w.data.astype(np.float64)
        w.grad, theirs.grad = gradient, torch.from_numpy(gradient.copy())
        optimizer.step()
        reference.step()

        apart, arrays_apart = bounds(case, t, before, gradient.astype(np.float64), state)
        found = optimizer.state()
        pairs = {"w": (w.data, theirs.detach().numpy(), apart)}
        for name in state if t > 1 else optimizer.moments:
            pairs[name] = (
                found[f"{name}/w"],
                reference.state[theirs][NAMES[name]].numpy(),
                arrays_apart[name],
            )
        for name, (ours, other, limit) in pairs.items():
            same = np.isnan(ours) & np.isnan(other)
            difference = np.abs(ours.astype(np.float64) - other)
            wrong = ~same & ~(difference <= u * limit + tiny)
            assert not wrong.any(), f"{name}, step {t}: {np.max(difference / (u * limit + tiny))}"


@by_case
def test_what_is_not_finite_goes_where_it_goes_in_pytorch(case: str) -> None:
    """NaN and infinities of gradients reach the same elements, with the same signs."""
    import torch

    kind, settings = CASES[case]
    gradient = np.array([1, np.nan, np.inf, -np.inf, 3e38, 0], np.float32)
    w, theirs = Tensor(np.ones(6, np.float32)), torch.nn.Parameter(torch.ones(6))
    optimizer = OURS[kind]({"w": w}, **settings)
    reference = getattr(torch.optim, kind)([theirs], **settings)
    for _ in range(3):
        w.grad, theirs.grad = gradient, torch.from_numpy(gradient.copy())
        optimizer.step()
        reference.step()

        other = theirs.detach().numpy()
        np.testing.assert_array_equal(np.isnan(w.data), np.isnan(other))
        np.testing.assert_allclose(w.data, other, rtol=1e-5)


def test_parameters_without_gradient_count_their_own_steps() -> None:
    """As PyTorch's do: the bias corrections of one that comes later are those of a first step."""
    import torch

    w, theirs = Tensor(np.ones(1, np.float32)), torch.nn.Parameter(torch.ones(1))
    v, their_v = Tensor(np.ones(1, np.float32)), torch.nn.Parameter(torch.ones(1))
    optimizer = Adam({"v": v, "w": w}, 0.125)
    reference = torch.optim.Adam([their_v, theirs], 0.125)
    for t in range(5):
        v.grad, their_v.grad = np.ones(1, np.float32), torch.ones(1)
        if t >= 2:
            w.grad, theirs.grad = np.ones(1, np.float32), torch.ones(1)
        optimizer.step()
        reference.step()

    np.testing.assert_allclose([v.data, w.data], [their_v.detach(), theirs.detach()], rtol=1e-6)
    assert optimizer.state()["steps/w"] == reference.state[theirs]["step"] == 3


@pytest.mark.parametrize("limit", [1e-3, 1.0, 100.0, 1e6])
def test_clipping_is_pytorch_s(limit: float) -> None:
    """
    Within the errors of its norm, a float32 sum.

    Of 1,000 squares in any order it is off by less than 1,000 u = 6e-5, in fact by far less.
    """
    import torch

    rng = np.random.default_rng(1)
    gradients = [rng.standard_normal(shape).astype(np.float32) for shape in ((30, 20), (400,), ())]
    ours = {str(i): Tensor(np.zeros_like(g)) for i, g in enumerate(map(np.asarray, gradients))}
    theirs = [torch.nn.Parameter(torch.zeros(np.shape(g))) for g in gradients]
    for tensor, parameter, g in zip(ours.values(), theirs, gradients, strict=True):
        tensor.grad, parameter.grad = np.asarray(g), torch.tensor(g)

    norm = clip_norm(ours, limit)
    expected = float(torch.nn.utils.clip_grad_norm_(theirs, limit))

    assert norm == pytest.approx(expected, rel=1e-6)
    for tensor, parameter in zip(ours.values(), theirs, strict=True):
        np.testing.assert_allclose(tensor.grad, parameter.grad.numpy(), rtol=2e-6)


@pytest.mark.parametrize("values", [[1, np.inf, 0], [1, np.nan, 0], [0, 0, 0]])
def test_clipping_what_has_no_direction_is_pytorch_s(values: list[float]) -> None:
    import torch

    tensor, parameter = Tensor(np.zeros(3, np.float32)), torch.nn.Parameter(torch.zeros(3))
    tensor.grad, parameter.grad = np.array(values, np.float32), torch.tensor(values).float()

    norm = clip_norm({"w": tensor}, 1.0)
    expected = torch.nn.utils.clip_grad_norm_([parameter], 1.0)

    np.testing.assert_array_equal(norm, float(expected))
    np.testing.assert_array_equal(tensor.grad, parameter.grad.numpy())


def test_schedules_are_pytorch_s() -> None:
    """Cosine annealing and the linear one, by their closed forms, to float64's last places."""
    import torch
    from torch.optim import lr_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.3)
    annealing = lr_scheduler.CosineAnnealingLR(optimizer, 40, eta_min=0.01)
    falling = lr_scheduler.LinearLR(optimizer, 1.0, 0.25, total_iters=40)
    annealing.base_lrs = falling.base_lrs = [0.3]
    for step in range(41):
        annealing.last_epoch = falling.last_epoch = step
        (curved,), (straight,) = annealing._get_closed_form_lr(), falling._get_closed_form_lr()
        assert cosine(0.3, 40, floor=0.01)(step) == pytest.approx(curved, rel=1e-14)
        assert linear(0.3, 40, floor=0.075)(step) == pytest.approx(straight, rel=1e-14)
