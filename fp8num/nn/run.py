"""
What a training leaves: the net, how good it is, what happened, and why it stopped early.

::

    Run: model, history, captures, Evaluation of both parts of the data
      '-- Diagnosis --> TrainingDiverged, which has the Run as far as it went
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

from fp8num.nn.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fp8num.nn.layers import MLP
    from fp8num.nn.recipes import Recipe

__all__ = ["Diagnosis", "Evaluation", "Run", "TrainingDiverged"]

Array: TypeAlias = npt.NDArray[Any]
_OF_PARAMETERS = ("parameter", "gradient")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """
    How good a net is on some data.

    Attributes
    ----------
    count : int
        How many inputs.
    loss : float
        Mean of -log of the probability that the true class got, in nats; NaN without inputs.
    accuracy : float
        Share whose largest logit is the true class's; NaN without inputs.
    """

    count: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """
    Why a training stopped.

    Attributes
    ----------
    step : int
        Where, counted from 0.
    what : str
        What was noticed, such as ``"the loss is nan"``.
    layer, role, format, rule : str
        The first tensor that went wrong; empty where none stands out.
    cause : str
        How: ``"not finite"``, ``"saturated"``, ``"vanished"``, ``"grown"`` or ``""``.
    finding : str
        The same in words and figures.
    remedies : tuple of str
        What may help, the likeliest first.
    arguments : tuple of str
        For each remedy the argument of `train` that it is about, such as ``"lr"``;
        ``"accumulators"`` is part of a recipe; empty where it is none of these.
    """

    step: int
    what: str
    layer: str = ""
    role: str = ""
    format: str = ""
    rule: str = ""
    cause: str = ""
    finding: str = ""
    remedies: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one line."""
        found = "no tensor stands out"
        if self.layer:
            made = " by ".join(part for part in (self.format, self.rule) if part)
            of = "" if self.role in _OF_PARAMETERS else "of "
            begin = "the largest growth is in" if self.cause == "grown" else "first"
            found = f"{begin} {self.role} {of}{self.layer!r} ({made}): {self.finding}"
        return (
            f"training stopped at step {self.step}, {self.what}; {found}; "
            f"try {', or '.join(self.remedies)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a dictionary that JSON can hold."""
        lists = {"remedies": list(self.remedies), "arguments": list(self.arguments)}
        return asdict(self) | lists


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Run:
    """
    A training that is over.

    Attributes
    ----------
    model : MLP
        The trained net.
    recipe : Recipe
        What it was trained in.
    first_recipe, last_recipe : Recipe or None
        That of the first and of the last layer, if they had their own.
    history : History
        What happened.
    train, held_out : Evaluation
        Mean log-loss and accuracy on both parts of the data, in the same recipes; of no
        inputs if the training diverged.
    loss_scale : float
        What the loss would be multiplied by next.
    settings : dict
        All that the result depends on, as JSON can hold it.
    captures : mapping of int to mapping of str to ndarray
        For each step that was asked for what each layer was given, before any cast:
        ``"layer0.input"``, ``"layer0.weight"``, ``"layer0.output_gradient"`` (multiplied by
        the loss scale); and the gradients of parameters, ``"layer0.weight.gradient"``.
        If any step was asked for, the one at which a training diverged is among them, without
        the gradients where none were computed.
    diagnosis : Diagnosis or None
        Why it stopped before its end; None if it did not.
    """

    model: MLP
    recipe: Recipe
    history: History
    train: Evaluation
    held_out: Evaluation
    loss_scale: float
    settings: dict[str, Any]
    captures: Mapping[int, Mapping[str, Array]] = field(default_factory=dict)
    first_recipe: Recipe | None = None
    last_recipe: Recipe | None = None
    diagnosis: Diagnosis | None = None

    @property
    def parameters(self) -> int:
        """Numbers that were trained."""
        return sum(tensor.data.size for tensor in self.model.parameters().values())

    @property
    def skipped(self) -> int:
        """Steps that the optimizer did not make."""
        return self.history.skipped

    def to_dict(self) -> dict[str, Any]:
        """Return the results, with the casts that lost most, as a dictionary."""
        return {
            "settings": self.settings,
            "parameters": self.parameters,
            "steps": len(self.history.steps),
            "skipped": self.skipped,
            "loss_scale": self.loss_scale,
            "train": asdict(self.train),
            "held_out": asdict(self.held_out),
            "worst_casts": [asdict(record) for record in self.history.worst()],
            "diverged": None if self.diagnosis is None else self.diagnosis.to_dict(),
        }


class TrainingDiverged(ArithmeticError):  # noqa: N818 - what happened, and no mistake
    """
    A training cannot go on.

    Parameters
    ----------
    diagnosis : Diagnosis
        Why; its text is the message.
    partial : Run, optional
        As far as the training went: the net as it was when it stopped, its history and
        captures; nothing is evaluated.  `train` always gives it.
    """

    def __init__(self, diagnosis: Diagnosis, partial: Run | None = None) -> None:
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis
        self.partial = partial

    @property
    def history(self) -> History:
        """What happened until then; its last casts are those of the step that went wrong."""
        return History() if self.partial is None else self.partial.history

    @property
    def captures(self) -> Mapping[int, Mapping[str, npt.NDArray[Any]]]:
        """What was captured until then; if anything was asked for, that step too."""
        return {} if self.partial is None else self.partial.captures

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes with all that it carries."""
        return type(self), (self.diagnosis, self.partial)
