"""
Bits against error: what a file loses at best, for each budget of bits.

::

    layer:  (bits, error**2) of each scheme  -->  the convex ones, the cheapest first
    file:   all layers at their cheapest; then the step that mends most per bit, and so on

Costs add up over layers, so steps in the order of their slopes pass through every corner of
the convex hull of all choices: no other choice has less error for as many bits as a point.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fp8num._kernels.state import float_arithmetic
from fp8num.analysis.pieces import refusal
from fp8num.analysis.recommend import named, roles_of, subjects_of
from fp8num.analysis.roles import shared_name
from fp8num.analysis.schemes import bits_per_weight, schemes_for
from fp8num.analysis.trials import Limits, rows_shape
from fp8num.scaling import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy.typing as npt

    from fp8num.analysis.analyze import Tensor
    from fp8num.analysis.roles import Layout, Role
    from fp8num.analysis.schemes import Scheme
    from fp8num.analysis.trials import Subject
    from fp8num.formats import Format

__all__ = ["Frontier", "FrontierPoint", "frontier", "require_reachable"]

#: What a layer that is not quantised takes, and what it is called.
KEPT_BITS, KEPT = 16.0, "keep"


@dataclass(frozen=True, slots=True)
class _Choice:
    """A scheme for layers that go together: bits and squared error, times weights."""

    scheme: str
    bits: float
    error: float


@dataclass(frozen=True, slots=True)
class _Step:
    """From one choice for a group to the next one that is worth its bits."""

    group: int
    choice: _Choice
    bits: float
    gain: float
    slope: float


@dataclass(frozen=True, slots=True, eq=False)
class FrontierPoint:
    """
    A way to quantise a file that no other beats for as many bits.

    Attributes
    ----------
    bits : float
        Bits a weight takes, scales included, over all weights of the file.
    error : float
        Root of the mean squared relative error, over the weights that could be quantised.
    """

    bits: float
    error: float
    _steps: int = field(repr=False)
    _plan: _Plan = field(repr=False)

    @property
    def choices(self) -> dict[str, str]:
        """The scheme of each tensor by name; ``"keep"`` for one that stays in 16 bits."""
        found = list(self._plan.start)
        for step in self._plan.steps[: self._steps]:
            found[step.group] = step.choice
        return {
            name: choice.scheme
            for members, choice in zip(self._plan.groups, found, strict=True)
            for name in members
        } | dict.fromkeys(self._plan.kept, KEPT)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the frontier begins, and its steps."""

    groups: tuple[tuple[str, ...], ...]
    start: tuple[_Choice, ...]
    steps: tuple[_Step, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Frontier:
    """
    The least error of a file for each budget of bits.

    Attributes
    ----------
    points : tuple of FrontierPoint
        The fewest bits first; errors fall, ever more slowly.
    kept : tuple of str
        Tensors that nothing was chosen for: by convention, or because they or layers fused
        with them are broken.  They count at 16 bits.
    measure : str
        ``"weight error"``, or ``"output error"`` where activations were given.
    """

    points: tuple[FrontierPoint, ...]
    kept: tuple[str, ...]
    measure: str

    def at(self, bits: float) -> FrontierPoint:
        """
        Return the best point within a budget.

        Parameters
        ----------
        bits : float
            Bits a weight may take, over all weights of the file.

        Returns
        -------
        FrontierPoint
            The last that takes no more.

        Raises
        ------
        ValueError
            If even the first takes more, or `bits` is no number.
        """
        found = [point for point in self.points if point.bits <= bits]
        if not found:
            raise _too_few(bits, self.points[0].bits, len(self.kept))
        return found[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return bits and error of each point as a dictionary that JSON can hold."""
        return {
            "measure": self.measure,
            "kept": list(self.kept),
            "points": [{"bits": point.bits, "error": point.error} for point in self.points],
        }


@float_arithmetic
def frontier(
    x: Mapping[str, npt.ArrayLike | Tensor] | Iterable[Tensor],
    targets: str | Format | Iterable[str | Format] = ("nvfp4", "E4M3FN"),
    *,
    rules: Iterable[str | Rule] | str | Rule | None = None,
    layout: Layout | Mapping[str, Layout] | None = None,
    keep: Mapping[str, bool] | None = None,
    activations: Mapping[str, npt.ArrayLike] | None = None,
    progress: Callable[[int], object] | None = None,
) -> Frontier:
    """
    Find the least error that a file can have for each budget of bits.

    Parameters
    ----------
    x : mapping of str to array_like or Tensor, or iterable of Tensor
        The tensors of a file.
    targets : str, Format or several, optional
        Whose schemes a layer may take, as for `recommend`; or it stays in 16 bits.
    rules : str, Rule or several, optional
        Rules that a layer may take instead, in each target's format or their own.
    layout, keep, activations
        As for `recommend`.
    progress : callable, optional
        Called with the elements of each tensor that is done.

    Returns
    -------
    Frontier
        The points, and what each layer takes at each of them.

    Raises
    ------
    TypeError
        If an element's type is not a real number's.
    ValueError
        If there is no tensor, or as `recommend`.

    Notes
    -----
    The error of a layer is the mean over its rows of the squared relative error of their
    1x32 blocks, as in a row's excess, or, where mean squares of its input channels are
    given, the squared relative error of its output; of a file, the root of the mean over the
    weights of all layers that could be quantised.  A layer in 16 bits counts as stored,
    without error.  Layers that one product computes take the same scheme.  Corners of the
    convex hull: between two of them there may be others, worse by less than one layer's step.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> file = {name: rng.normal(size=(64, 256)).astype(np.float32) for name in "ab"}
    >>> file["b"][:, 7] *= 1e4
    >>> found = frontier(file)
    >>> found.at(6.5).choices
    {'a': 'NVFP4', 'b': 'FP8_DYNAMIC'}
    """
    schemes = _schemes(targets, rules)
    subjects = subjects_of(
        named(x),
        schemes,
        target=schemes[0].format,
        layout=layout,
        keep=keep,
        activations=activations,
        limits=Limits(),
    )
    groups: dict[str, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(shared_name(subject.name), []).append(subject)
    kept: list[str] = []
    names: list[tuple[str, ...]] = []
    hulls: list[list[_Choice]] = []
    for members in groups.values():
        if _is_excluded(members):
            kept += [subject.name for subject in members]
        else:
            names.append(tuple(subject.name for subject in members))
            hulls.append(_hull(_choices(members, schemes)))
        if progress is not None:
            progress(sum(math.prod(subject.shape) for subject in members))
    total = sum(math.prod(subject.shape) for subject in subjects)
    excluded = set(kept)
    free = [subject for subject in subjects if subject.name not in excluded]
    judged = sum(math.prod(subject.shape) for subject in free)
    return Frontier(
        points=_points(names, hulls, tuple(kept), total, judged),
        kept=tuple(kept),
        measure="output error" if any(s.has_activations for s in free) else "weight error",
    )


def require_reachable(
    bits: float,
    x: Mapping[str, npt.ArrayLike | Tensor] | Iterable[Tensor],
    targets: str | Format | Iterable[str | Format] = ("nvfp4", "E4M3FN"),
    *,
    rules: Iterable[str | Rule] | str | Rule | None = None,
    layout: Layout | Mapping[str, Layout] | None = None,
    keep: Mapping[str, bool] | None = None,
) -> None:
    """Refuse a budget that is too small by the tensors' shapes, before one of them is read."""
    schemes = _schemes(targets, rules)
    groups: dict[str, list[tuple[Role, tuple[int, ...]]]] = {}
    for name, shape, role in roles_of(named(x), layout=layout, keep=keep):
        groups.setdefault(shared_name(name), []).append((role, shape))
    kept, least, total = 0, 0.0, 0
    for members in groups.values():
        sizes = [math.prod(shape) for _, shape in members]
        cheapest = KEPT_BITS * sum(sizes)
        if any(role.is_kept for role, _ in members):
            kept += len(members)
        else:
            rows = [rows_shape(role, shape) for role, shape in members]
            taken = [
                math.fsum(bits_per_weight(scheme, shape) * math.prod(shape) for shape in rows)
                for scheme in schemes
                if not any(refusal(scheme.rule, shape) for shape in rows)
            ]
            cheapest = min([*taken, cheapest])
        least, total = least + cheapest, total + sum(sizes)
    if not least / max(total, 1) <= bits:
        raise _too_few(bits, least / max(total, 1), kept)


def _too_few(bits: float, least: float, kept: int) -> ValueError:
    """Return what is said of a budget that cannot be kept."""
    return ValueError(
        f"bits must be at least {math.ceil(least * 1000) / 1000:.3f} on average over the file, "
        f"of whose tensors {kept} count at 16, got {bits}; allow more, or keep fewer"
    )


def _schemes(
    targets: str | Format | Iterable[str | Format],
    rules: Iterable[str | Rule] | str | Rule | None,
) -> tuple[Scheme, ...]:
    """Return what layers may take: the targets' schemes, each once."""
    wanted = [targets] if isinstance(targets, str) or not hasattr(targets, "__iter__") else targets
    rules = (rules,) if isinstance(rules, str | Rule) else rules and tuple(rules)
    found = [scheme for target in wanted for scheme in schemes_for(target, rules)]
    if not found:
        msg = "targets must name at least one, got none; leave them out for the usual ones"
        raise ValueError(msg)
    return tuple({(s.name, s.format.name): s for s in found}.values())


def _is_excluded(members: list[Subject]) -> bool:
    """Whether layers that go together stay as they are: one of them must, or none lives."""
    if any(subject.role.is_kept or subject.bad_count for subject in members):
        return True
    return all(subject.is_dead for subject in members)


def _choices(members: list[Subject], schemes: tuple[Scheme, ...]) -> list[_Choice]:
    """Return what each scheme costs and loses, and 16 bits."""
    sizes = [math.prod(subject.shape) for subject in members]
    both = list(zip(members, sizes, strict=True))
    found = [
        _Choice(
            scheme.name,
            math.fsum(subject.trial(i).bits * size for subject, size in both),
            math.fsum(subject.mean_square(i) * size for subject, size in both),
        )
        for i, scheme in enumerate(schemes)
        if all(subject.takes(i) for subject in members)
    ]
    return [*found, _Choice(KEPT, KEPT_BITS * sum(sizes), 0.0)]


def _hull(choices: list[_Choice]) -> list[_Choice]:
    """Return the corners of the lower left convex hull, the cheapest first."""
    found: list[_Choice] = []
    for choice in sorted(choices, key=lambda one: (one.bits, one.error)):
        if found and choice.error >= found[-1].error:
            continue
        while len(found) > 1 and _slope(found[-2], found[-1]) <= _slope(found[-1], choice):
            found.pop()
        found.append(choice)
    return found


def _slope(first: _Choice, second: _Choice) -> float:
    """Return how much error a bit takes away between two choices."""
    return (first.error - second.error) / (second.bits - first.bits)


def _points(
    names: list[tuple[str, ...]],
    hulls: list[list[_Choice]],
    kept: tuple[str, ...],
    total: int,
    judged: int,
) -> tuple[FrontierPoint, ...]:
    steps = [
        _Step(i, after, after.bits - before.bits, before.error - after.error, _slope(before, after))
        for i, hull in enumerate(hulls)
        for before, after in itertools.pairwise(hull)
    ]
    steps.sort(key=lambda step: -step.slope)  # within a group slopes fall: its order remains
    plan = _Plan(tuple(names), tuple(hull[0] for hull in hulls), tuple(steps), kept)
    start = math.fsum(choice.bits for choice in plan.start) + KEPT_BITS * (total - judged)
    bits = itertools.accumulate((step.bits for step in steps), initial=start)
    # 16 bits have no error, so what is left is what the steps to come take away.
    gains = itertools.accumulate((step.gain for step in reversed(steps)), initial=0.0)
    return tuple(
        FrontierPoint(taken / max(total, 1), math.sqrt(left / max(judged, 1)), k, plan)
        for k, (taken, left) in enumerate(zip(bits, reversed(list(gains)), strict=True))
    )
