"""
The tutorial's experiment restated in PyTorch, and the variants that take it apart.

::

    fp32     nn.Linear, its own initial weights              the tutorial's baseline
    randn    weights 0.1 randn, biases 0; no rounding        only the initial weights differ
    through  randn, rounded to 1/1024, gradient passed on    and the rounding
    frozen   randn, only the last bias trains; no rounding   what a zero gradient leaves
    printed  randn, rounded to 1/1024 by round()             the tutorial's "FP8"

Everything else is the tutorial's: 100-64-10 with ReLU, 1,000 random samples and labels,
batches of 64, Adam at 1e-3, cross-entropy, 5 epochs, a static loss scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "EPOCHS",
    "VARIANTS",
    "Layer",
    "Trained",
    "as_printed",
    "build",
    "data",
    "on_grid",
    "paired",
    "passed_on",
    "started",
    "train",
]

FEATURES, HIDDEN, CLASSES, SAMPLES, BATCH, EPOCHS = 100, 64, 10, 1000, 64, 5
VARIANTS = ("fp32", "randn", "through", "frozen", "printed")
LARGEST, STEPS_OF_ONE = 448.0, 1024  #: where the tutorial clips, and 1 / its step
PRINTED_SCALE = 128.0
#: Seeds of initial weights and of batches, far from those of the data.
INIT, ORDER = 10**6, 2 * 10**6


def on_grid(x: torch.Tensor) -> torch.Tensor:
    """Round to a multiple of 1/1024; round() has derivative 0."""
    return (x.clamp(-LARGEST, LARGEST) * STEPS_OF_ONE).round() / STEPS_OF_ONE


def passed_on(x: torch.Tensor) -> torch.Tensor:
    """Round, with the derivative of the identity."""
    return x + (on_grid(x) - x).detach()


class Layer(nn.Module):
    """A linear layer with the tutorial's initial weights, and rounded operands if wanted."""

    def __init__(self, features_in: int, features_out: int, variant: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features_out, features_in) * 0.1)
        self.bias = nn.Parameter(torch.zeros(features_out))
        self.rounding = {"printed": on_grid, "through": passed_on}.get(variant, lambda x: x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply in float32; the bias is not rounded."""
        weight = self.rounding(self.weight)
        return torch.matmul(self.rounding(x), weight.t()) + self.bias


def build(variant: str) -> nn.Sequential:
    """Make a net; draws from the global generator, in the tutorial's order."""
    shapes = ((FEATURES, HIDDEN), (HIDDEN, CLASSES))
    if variant == "fp32":
        first, last = (nn.Linear(*shape) for shape in shapes)
    else:
        first, last = (Layer(*shape, variant) for shape in shapes)
    net = nn.Sequential(first, nn.ReLU(), last)
    if variant == "frozen":
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name == "2.bias")
    return net


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Draw samples and labels."""
    x = torch.randn(SAMPLES, FEATURES)
    return x, torch.randint(0, CLASSES, (SAMPLES,))


@dataclass
class Trained:
    """What a run leaves: losses of epochs, gradients' norms of every step, the net."""

    net: nn.Module
    losses: list[float] = field(default_factory=list)
    norms: dict[str, list[float]] = field(default_factory=dict)
    #: Elements that had a gradient other than 0 in some step.
    reached: dict[str, torch.Tensor] = field(default_factory=dict)

    def note(self) -> None:
        """Add the gradients of a step."""
        for name, parameter in self.net.named_parameters():
            if parameter.grad is not None:
                self.norms.setdefault(name, []).append(float(parameter.grad.norm()))
                seen = self.reached.get(name, torch.zeros_like(parameter, dtype=torch.bool))
                self.reached[name] = seen | (parameter.grad != 0)


def train(
    net: nn.Module,
    samples: tuple[torch.Tensor, torch.Tensor],
    scale: float = 1.0,
    *,
    unscale: bool = True,
    noted: bool = False,
) -> Trained:
    """Train for five epochs with a loss scale that stays as it is."""
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(*samples), batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    run = Trained(net)
    for _ in range(EPOCHS):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            (loss * scale).backward()
            for parameter in net.parameters():
                if unscale and parameter.grad is not None:
                    parameter.grad *= 1.0 / scale
            if noted:
                run.note()
            optimizer.step()
            total += loss.item()
        run.losses.append(total / len(loader))  # a mean of batches, the last of 40 samples
    return run


def as_printed(seed: int) -> dict[str, list[float]]:
    """Run the tutorial's comparison: one stream of random numbers through both trainings."""
    torch.manual_seed(seed)
    samples = data()
    build("printed")  # the tutorial makes these weights first and puts nn.Linear in their place
    baseline = train(build("fp32"), samples)
    return {
        "fp32": baseline.losses,
        "printed": train(build("printed"), samples, PRINTED_SCALE).losses,
    }


def paired(seed: int, variant: str, **options: float | bool) -> Trained:
    """Train a variant on the data, in the order, and from the weights of a seed."""
    torch.manual_seed(seed)
    samples = data()
    torch.manual_seed(INIT + seed)
    net = build(variant)
    torch.manual_seed(ORDER + seed)
    return train(net, samples, **options)  # type: ignore[arg-type]


def started(seed: int, variant: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the initial parameters of a paired run."""
    torch.manual_seed(INIT + seed)
    for name, parameter in build(variant).named_parameters():
        yield name, parameter.detach()
