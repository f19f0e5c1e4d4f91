"""
Decide how a tensor, or a whole checkpoint, should be quantised.

::

    tensor --role--> matrix (out, K) --each scheme in turn--> rows' excess --limits--> passes
    fused layers: the first scheme that every member passes
    file: the first scheme that every layer passes, what it leaves, what stays in 16 bits

What is judged is the error of weights.  It says nothing about a model's accuracy.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fp8num._kernels.state import float_arithmetic
from fp8num.analysis.recommendation import FileRecommendation, Recommendation
from fp8num.analysis.roles import NO_LAYERS, Role, module_of, role_of, shared_name
from fp8num.analysis.schemes import Scheme, schemes_for
from fp8num.analysis.trials import Limits, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fp8num.analysis.analyze import Tensor
    from fp8num.analysis.roles import Layout
    from fp8num.formats import Format
    from fp8num.scaling import Rule

__all__ = ["named", "recommend", "roles_of", "subjects_of"]


@overload
def recommend(
    x: Mapping[str, npt.ArrayLike | Tensor] | Iterable[Tensor],
    target: str | Format = ...,
    rules: Iterable[str | Rule] | str | Rule | None = ...,
    *,
    layout: Layout | Mapping[str, Layout] | None = ...,
    keep: Mapping[str, bool] | None = ...,
    activations: Mapping[str, npt.ArrayLike] | None = ...,
    limits: Limits | None = ...,
    progress: Callable[[int], object] | None = ...,
) -> FileRecommendation: ...


@overload
def recommend(
    x: npt.ArrayLike | Tensor,
    target: str | Format = ...,
    rules: Iterable[str | Rule] | str | Rule | None = ...,
    *,
    layout: Layout | None = ...,
    keep: bool | None = ...,
    activations: npt.ArrayLike | None = ...,
    limits: Limits | None = ...,
    progress: Callable[[int], object] | None = ...,
) -> Recommendation: ...


@float_arithmetic
def recommend(
    x: Any,
    target: str | Format = "E4M3FN",
    rules: Iterable[str | Rule] | str | Rule | None = None,
    *,
    layout: Any = None,
    keep: Any = None,
    activations: Any = None,
    limits: Limits | None = None,
    progress: Callable[[int], object] | None = None,
) -> Recommendation | FileRecommendation:
    """
    Decide how weights should be quantised: the coarsest scheme that costs what it must.

    Parameters
    ----------
    x : array_like, Tensor, mapping of str to either, or iterable of Tensor
        A tensor, or several by name, such as those that ``fp8num.inputs.open_tensors`` finds.
    target : str or Format, optional
        A name of `TARGETS` (``"E4M3FN"``, ``"nvfp4"`` ...) or any format: which schemes are
        tried, the coarsest first.
    rules : str, Rule or several, optional
        Rules to try instead of the target's, in this order: ``"tensor"`` where hardware takes
        one scale only.  What passes none of them stays in 16 bits, and so does a tensor of a
        shape that none takes.
    layout : str, or mapping of str to str, optional
        How a weight lies, of `LAYOUTS`; by name for several.  The default is inferred from
        name and shape, and said in ``role.assumed``.
    keep : bool, or mapping of str to bool, optional
        Whether a tensor stays in 16 bits; by name for several.  The default is what the
        packages that quantise do with such names; a tensor without a name is not kept.
    activations : array_like of float, shape (K,), or mapping of str to those, optional
        Mean squares of the layer's input channels: then the error of the layer's output is
        given beside.
    limits : Limits, optional
        When a scheme passes.
    progress : callable, optional
        Called with the elements of each tensor that is done.

    Returns
    -------
    Recommendation
        For one tensor.
    FileRecommendation
        For several: fused layers are decided together, and the file as a whole.

    Raises
    ------
    TypeError
        If an element's type is not a real number's.
    ValueError
        If there is no tensor, a target, rule or layout is unknown, or a vector of mean
        squares has another length than K, or is negative.

    Notes
    -----
    A row's excess is the root mean square of its 1x32 blocks' relative errors, each block
    without its largest element, over what the finest scheme of the target costs on Gaussian
    data.  It is an error of weights, which says nothing about a model's accuracy.

    Examples
    --------
    >>> import numpy as np, fp8num as fp
    >>> weights = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    >>> fp.recommend(weights).decision
    'tensor'
    >>> weights[5] *= 1e6
    >>> found = fp.recommend(weights)
    >>> found.decision, found.cause[0].axis, found.cause[0].index
    ('row', 'row', (5,))
    """
    schemes = schemes_for(target, rules)
    limits = Limits() if limits is None else limits
    if not (isinstance(x, Mapping) or _is_tensors(x)):
        name = getattr(x, "name", "")
        role = role_of(
            name,
            np.shape(x) if not hasattr(x, "shape") else x.shape,
            layout=layout,
            keep=keep if keep is not None or name else False,
        )
        subject = Subject(
            name,
            x,
            role,
            schemes=schemes,
            target=target,
            limits=limits,
            mean_squares=activations,
        )
        return _decide_together([subject], schemes)[0]
    subjects = subjects_of(
        named(x),
        schemes,
        target=target,
        layout=layout,
        keep=keep,
        activations=activations,
        limits=limits,
    )
    return _decide_file(subjects, schemes, progress)


def subjects_of(
    several: list[tuple[str, Any]],
    schemes: tuple[Scheme, ...],
    *,
    target: str | Format,
    layout: Layout | Mapping[str, Layout] | None,
    keep: Mapping[str, bool] | None,
    activations: Mapping[str, npt.ArrayLike] | None,
    limits: Limits,
) -> list[Subject]:
    """Return the tensors of a file, each with its role, to be tried."""
    roles = roles_of(several, layout=layout, keep=keep)
    squares = activations or {}
    return [
        Subject(
            name,
            tensor,
            role,
            schemes=schemes,
            target=target,
            limits=limits,
            mean_squares=squares.get(name, squares.get(module_of(name))),
        )
        for (name, tensor), (_, _, role) in zip(several, roles, strict=True)
    ]


def roles_of(
    several: list[tuple[str, Any]],
    *,
    layout: Layout | Mapping[str, Layout] | None,
    keep: Mapping[str, bool] | None,
) -> list[tuple[str, tuple[int, ...], Role]]:
    """Return the tensors of a file by name, shape and role, which need not be read."""
    if not several:
        msg = "x must hold at least one tensor, got none; open a file that has some"
        raise ValueError(msg)
    layouts: Mapping[str, Any] = {} if layout is None or isinstance(layout, str) else layout
    one: Any = layout if isinstance(layout, str) else None
    shapes = [
        (name, np.shape(tensor) if not hasattr(tensor, "shape") else tensor.shape)
        for name, tensor in several
    ]
    return [
        (
            name,
            shape,
            role_of(name, shape, layout=one or layouts.get(name), keep=(keep or {}).get(name)),
        )
        for name, shape in shapes
    ]


def named(x: Mapping[str, Any] | Iterable[Tensor]) -> list[tuple[str, Any]]:
    """Return tensors with their names, of a mapping or of stored ones."""
    return list(x.items()) if isinstance(x, Mapping) else [(tensor.name, tensor) for tensor in x]


def _is_tensors(x: object) -> bool:
    """Whether something is several tensors, rather than numbers."""
    return isinstance(x, list | tuple) and bool(x) and all(hasattr(one, "blocks") for one in x)


def _decide_together(subjects: list[Subject], schemes: tuple[Scheme, ...]) -> list[Recommendation]:
    """Decide about layers that one product computes: the first scheme that all of them pass."""
    live = [s for s in subjects if not (s.role.is_kept or s.bad_count or s.is_dead)]
    own = {s.name: _first(schemes, [s]) for s in live}
    common = _first(schemes, live) if live else None
    return [_decided(s, schemes, common, own) if s in live else _not_quantised(s) for s in subjects]


def _first(schemes: tuple[Scheme, ...], subjects: list[Subject]) -> int | None:
    """Return the first scheme that subjects pass."""
    for i in range(len(schemes)):
        if all(subject.takes(i) and subject.trial(i).passes for subject in subjects):
            return i
    return None


def _described(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "role": subject.role,
        "shape": subject.shape,
        "group": shared_name(subject.name),
    }


def _not_quantised(subject: Subject) -> Recommendation:
    """Say what becomes of a tensor that no scheme is chosen for."""
    if subject.role.is_kept:
        return Recommendation(decision="keep", **_described(subject))
    return Recommendation(
        decision="not-finite" if subject.bad_count else "dead",
        bad=subject.bad if subject.bad_count else (),
        bad_count=subject.bad_count,
        trials=subject.trials,
        **_described(subject),
    )


def _decided(
    subject: Subject,
    schemes: tuple[Scheme, ...],
    common: int | None,
    own: Mapping[str, int | None],
) -> Recommendation:
    """Say what becomes of a tensor that takes a scheme, or would if its fused layers let it."""
    mine = own[subject.name]
    others = tuple(name for name, i in own.items() if name != subject.name and i != mine)
    found = _described(subject) | {
        "cause": subject.cause if mine != 0 else (),
        "with_": others if mine is not None and mine != common else (),
    }
    if common is None:
        return Recommendation(decision="keep", trials=subject.trials, **found)
    finer = (subject.trial(i) for i in range(common + 1, len(schemes)) if subject.takes(i))
    runner_up = next((trial for trial in finer if trial.passes), None)
    return Recommendation(
        decision=schemes[common].decision,
        chosen=subject.trial(common),
        runner_up=runner_up,
        trials=subject.trials,
        **found,
    )


def _decide_file(
    subjects: list[Subject],
    schemes: tuple[Scheme, ...],
    progress: Callable[[int], object] | None,
) -> FileRecommendation:
    # A name that is there twice is of two checkpoints: what is fused is of one of them.
    groups: dict[tuple[str, int], list[int]] = {}
    times = Counter[str]()
    for i, subject in enumerate(subjects):
        groups.setdefault((shared_name(subject.name), times[subject.name]), []).append(i)
        times[subject.name] += 1
    decided: dict[int, Recommendation] = {}
    for members in groups.values():
        found = _decide_together([subjects[i] for i in members], schemes)
        decided |= dict(zip(members, found, strict=True))
        if progress is not None:
            progress(sum(math.prod(subjects[i].shape) for i in members))
    decisions = tuple(decided[i] for i in range(len(subjects)))
    layers = [s for s, one in zip(subjects, decisions, strict=True) if one.chosen]
    common = _first(schemes, layers) if layers else None
    chosen = [
        (s, one.chosen if common is None else s.trial(common))
        for s, one in zip(subjects, decisions, strict=True)
        if one.chosen
    ]
    weights = sum(math.prod(s.shape) for s, _ in chosen)
    bits = math.fsum(trial.bits * math.prod(s.shape) for s, trial in chosen if trial)
    kept = {one.name for one in decisions if not one.chosen}
    coarse = {one.name for one in decisions if one.one_scale and not one.one_scale.passes}
    return FileRecommendation(
        decisions=decisions,
        scheme=None if common is None else schemes[common],
        bits_per_weight=bits / weights if weights else math.nan,
        ignore=_whole_groups(decisions, kept),
        left=tuple(
            (module_of(s.name), row, excess)
            for s, trial in chosen
            if trial
            for row, excess in trial.left
        ),
        one_scale_ignore=_whole_groups(decisions, kept | coarse),
        limits=layers[0].limits if layers else Limits(),
    )


def _whole_groups(decisions: tuple[Recommendation, ...], names: set[str]) -> tuple[str, ...]:
    """Return the layers of some names, and those that are fused with them, as modules."""
    # Embeddings and norms are no layers that a package would quantise; a dead layer is
    # quantised like its neighbours: zeros survive every format.
    layers = [one for one in decisions if one.role.layout and one.role.kind not in NO_LAYERS]
    groups = {one.group for one in layers if one.name in names and one.decision != "dead"}
    return tuple(module_of(one.name) for one in layers if one.group in groups)
