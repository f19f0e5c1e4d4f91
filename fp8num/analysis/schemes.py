"""
The schemes that checkpoints are quantised by: a format and rules for weights and activations.

A target is the schemes that would be tried for it, the coarsest first: fewer scales are cheaper
everywhere, and the first that loses no more than the format must is the one to deploy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from fp8num._kernels.state import float_arithmetic
from fp8num._names import nearest
from fp8num.analysis.excess import RowErrors
from fp8num.formats import FORMATS, get_format
from fp8num.scaled import Blocks
from fp8num.scaling import Rule, get_rule, scale_quantize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fp8num.formats import Format

__all__ = ["TARGETS", "Scheme", "bits_per_weight", "gaussian_cost", "least_cost", "schemes_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """
    How a layer would be quantised.

    Attributes
    ----------
    name : str
        What the packages that deploy it call it.
    decision : {"tensor", "row", "block"}
        What shares a scale of the weights.
    rule : Rule
        Of the weights, with K as their last axis.
    format : Format
        Of the weights.
    activations : str
        The rule that goes with it for the other operand, in words.
    """

    name: str
    decision: Literal["tensor", "row", "block"]
    rule: Rule
    format: Format
    activations: str

    def __str__(self) -> str:
        """Return the name."""
        return self.name


def _scheme(name: str, decision: str, rule: str, fmt: str, activations: str) -> Scheme:
    return Scheme(
        name=name,
        decision=decision,  # type: ignore[arg-type] # text of the table below
        rule=get_rule(rule),
        format=get_format(fmt),
        activations=activations,
    )


_FP8 = (
    _scheme("FP8", "tensor", "tensor", "E4M3FN", "one scale"),
    _scheme("FP8_DYNAMIC", "row", "row", "E4M3FN", "a scale per token"),
    _scheme("FP8_BLOCK", "block", "block-128x128", "E4M3FN", "1x128 blocks"),
    _scheme("MXFP8", "block", "te-mxfp8", "E4M3FN", "MXFP8"),
)
_NVFP4 = _scheme("NVFP4", "block", "te-nvfp4", "E2M1FN", "NVFP4")
_MXFP4 = _scheme("MXFP4", "block", "mxfp4-e2m1fn", "E2M1FN", "MXFP4")

#: The schemes of each target, the coarsest first.  MXFP8's scales are rounded up, as
#: TransformerEngine and compressed-tensors do it: OCP's own rule lets 0.4 % saturate.
TARGETS: Mapping[str, tuple[Scheme, ...]] = MappingProxyType(
    {
        "E4M3FN": _FP8,
        "E5M2": tuple(
            replace(scheme, format=get_format("E5M2"), name=f"{scheme.name}_E5M2")
            for scheme in _FP8
        ),
        "mxfp8": _FP8[3:],
        "nvfp4": (_NVFP4,),
        "mxfp4": (_MXFP4,),
        "E2M1FN": (_NVFP4, _MXFP4),
    }
)
_SHARED: Mapping[str, Literal["tensor", "row", "block"]] = {"tensor": "tensor", "row": "row"}


def schemes_for(
    target: str | Format, rules: Iterable[str | Rule] | str | Rule | None = None
) -> tuple[Scheme, ...]:
    """
    Return the schemes to try for a target.

    Parameters
    ----------
    target : str or Format
        A name of `TARGETS`, or any format: its schemes are then one scale, a scale per
        row, and 128x128 blocks.
    rules : str, Rule or several, optional
        Rules to try instead, in this order: one that a scheme of the target has
        stands for that scheme, another is tried in the target's format or its own.

    Returns
    -------
    tuple of Scheme
        At least one.

    Raises
    ------
    ValueError
        If the target or a rule is unknown, or a rule does not take the format.

    Examples
    --------
    >>> [scheme.name for scheme in schemes_for("E4M3FN")]
    ['FP8', 'FP8_DYNAMIC', 'FP8_BLOCK', 'MXFP8']
    >>> [scheme.name for scheme in schemes_for("E3M4")]
    ['tensor', 'row', 'block-128x128']
    """
    known = {name.lower(): schemes for name, schemes in TARGETS.items()}
    found = known.get(target.strip().lower()) if isinstance(target, str) else None
    fmt = found[0].format if found else _format(target)
    if found is None:
        found = known.get(fmt.name.lower())
    if rules is None:
        if found is not None:
            return found
        rules = ("tensor", "row", "block-128x128")
    elif isinstance(rules, str | Rule):
        rules = (rules,)
    chosen = tuple(get_rule(rule) for rule in rules)
    if not chosen:
        msg = "rules must name at least one, got none; leave them out for the target's own"
        raise ValueError(msg)
    deployed = {scheme.rule.name: scheme for scheme in found or ()}
    return tuple(
        deployed[rule.name]
        if rule.name in deployed
        else Scheme(
            name=rule.name,
            decision=_SHARED.get(rule.granularity.kind, "block"),
            rule=rule,
            format=rule.choose_format(rule.format or fmt),
            activations="as the rule's library",
        )
        for rule in chosen
    )


def bits_per_weight(scheme: Scheme, shape: tuple[int, ...]) -> float:
    """Return the bits that a weight of a tensor with K last takes, scales included."""
    grain, own = scheme.rule.granularity, scheme.rule.scale.format
    scales = 1
    if grain.kind != "tensor":
        scales = math.prod(Blocks(shape, grain.block(shape, -1)).counts)
    scale_bits = 32 if own is None else own.bits
    return scheme.format.bits + scales * scale_bits / max(math.prod(shape), 1)


def _format(target: str | Format) -> Format:
    """Return the format of a target that is none of the table's."""
    try:
        return get_format(target)
    except ValueError as error:
        near = nearest(target, (*TARGETS, *FORMATS)) if isinstance(target, str) else []
        if not near or "ambiguous" in str(error):
            raise
        msg = (
            f"target must be one of {', '.join(TARGETS)}, or a format, got {target!r:.80}; "
            f"did you mean {' or '.join(near)}?"
        )
        raise ValueError(msg) from None


@float_arithmetic
@lru_cache(maxsize=64)
def gaussian_cost(scheme: Scheme) -> float:
    """
    Return the root mean square of blocks' relative errors on Gaussian data.

    Parameters
    ----------
    scheme : Scheme
        What the data are quantised by.

    Returns
    -------
    float
        From 2**18 fixed samples; another sample gives the same to 1 %.
    """
    x = np.random.default_rng(0).standard_normal((512, 512), np.float32)
    made = scale_quantize(x, scheme.rule, fmt=scheme.format).dequantize(np.float64)
    return float(np.sqrt(np.mean(RowErrors.of(x.astype(np.float64), made).relative ** 2)))


@lru_cache(maxsize=64)
def least_cost(scheme: Scheme, target: str | Format) -> float:
    """
    Return what a scheme's format costs Gaussian data at least, of a target's schemes.

    Parameters
    ----------
    scheme : Scheme
        What was tried.
    target : str or Format
        As for `schemes_for`.

    Returns
    -------
    float
        The least `gaussian_cost` of the target's schemes in that format; the scheme's own if
        they have another one.
    """
    same = [one for one in schemes_for(target) if one.format == scheme.format]
    return min(gaussian_cost(one) for one in same or [scheme])
