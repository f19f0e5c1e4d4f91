"""
The rules by name: every library's, as data.

::

    te-*        TransformerEngine      torchao-*     torchao.float8, its MX, NVFP4 and blocks
    mx*         OCP MX 1.0             deepgemm-*    DeepGEMM, DeepSeek-V3
    flax, ms-amp, microxcaling-*       compressed-tensors-*, modelopt-*
    unit, tensor, row, channel, block-N, block-NxM: our own

Where a library's release departs from its main branch, the release is in the name.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from fp8num._names import Catalogue, hint
from fp8num.formats import E2M1FN, E2M3FN, E3M2FN, E4M3FN, E5M2, MXINT8, Format
from fp8num.projection import Rounding
from fp8num.scaled import Descale
from fp8num.scaling.cast import Cast
from fp8num.scaling.finders import Amax, BestClip, Percentile
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.held import AmaxHistory, Held, MsAmp
from fp8num.scaling.rotation import Rotation
from fp8num.scaling.rule import Enters, Rule
from fp8num.scaling.scales import (
    AmaxQuotient,
    DeepGemm,
    Fixed,
    PowerOfTwo,
    TorchaoQuotient,
    TransformerEngine,
    TwoLevel,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RULES", "get_rule"]

_FP8 = ("E4M3FN", "E5M2")
_FNUZ = ("E4M3FNUZ", "E5M2FNUZ")
_MX = ("E4M3FN", "E5M2", "E3M2FN", "E2M3FN", "E2M1FN")
_TENSOR, _ROW, _32 = (Granularity.parse(text) for text in ("tensor", "row", "1x32"))
_128, _128X128 = (Granularity.parse(text) for text in ("1x128", "128x128"))
_IGNORE, _PROPAGATE, _FINITE = Amax("ignore"), Amax("propagate"), Amax("ignore", finite=True)
_CUDA, _TORCH = Cast(like="cuda-satfinite"), Cast(like="torch>=2.13")

# Our own: the product with the scale is exact, elements are rounded once.

_UNIT = Rule(
    name="unit",
    granularity=_TENSOR,
    scale=Fixed(1.0),
    finder=_FINITE,
    exact=True,
    source="fp8num: no scale",
)
_OWN = tuple(
    Rule(
        name=name,
        granularity=Granularity.parse(grain),
        scale=AmaxQuotient(),
        finder=finder,
        exact=True,
        way_out=Descale.DIVIDE,
        source="fp8num: max / amax",
    )
    for name, grain, finder in (
        ("tensor", "tensor", _FINITE),
        ("row", "row", _FINITE),
        ("channel", "channel", _FINITE),
        ("block-32", "1x32", _FINITE),
        ("block-128", "1x128", _FINITE),
        ("block-128x128", "128x128", _FINITE),
        ("tensor-percentile-99.9", "tensor", Percentile(99.9)),
        ("row-percentile-99.9", "row", Percentile(99.9)),
        ("tensor-mse", "tensor", BestClip()),
        ("row-mse", "row", BestClip()),
        ("block-32-mse", "1x32", BestClip()),
    )
)


def _mx(name: str, fmt: Format) -> Rule:
    return Rule(
        name=name,
        granularity=_32,
        scale=PowerOfTwo("floor"),
        finder=_PROPAGATE,
        format=fmt,
        formats=(fmt.name,),
        enters=Enters.OPERAND,
        source="OCP Microscaling Formats (MX) 1.0, sections 5 and 6.3",
    )


_OCP = tuple(
    _mx(name, fmt)
    for name, fmt in (
        ("mxfp8-e4m3fn", E4M3FN),
        ("mxfp8-e5m2", E5M2),
        ("mxfp6-e3m2fn", E3M2FN),
        ("mxfp6-e2m3fn", E2M3FN),
        ("mxfp4-e2m1fn", E2M1FN),
        ("mxint8", MXINT8),
    )
)

_TE = "TransformerEngine d0067d0da, "


def _te(
    name: str,
    grain: Granularity,
    scale: TransformerEngine,
    where: str,
    formats: tuple[str, ...] = _FP8,
) -> Rule:
    return Rule(
        name=name,
        granularity=grain,
        scale=scale,
        finder=_IGNORE,
        formats=formats,
        cast=_CUDA,
        source=_TE + where,
    )


_TE_CURRENT = tuple(
    _te(
        name,
        _TENSOR,
        TransformerEngine(power_of_two=power),
        "Float8CurrentScaling; FNUZ on AMD",
        _FP8 + _FNUZ,
    )
    for name, power in (("te-current", False), ("te-current-pow2", True))
)
_TE_BLOCK = tuple(
    _te(
        f"te-block-{grain}{suffix}",
        grain,
        TransformerEngine(power_of_two=power, infinity_from_input=True),
        "Float8BlockScaling",
    )
    for grain in (_128, _128X128)
    for suffix, power in (("", True), ("-fp32", False))
)
_TE_DELAYED = tuple(
    Rule(
        name=name,
        granularity=_TENSOR,
        scale=Held(),
        finder=_IGNORE,
        formats=_FP8 + _FNUZ,
        cast=_CUDA,
        source=_TE + where,
        history=AmaxHistory(update),
    )
    for name, update, where in (
        ("te-delayed", "fused", "DelayedScaling, the fused update"),
        ("te-delayed-unfused", "unfused", "DelayedScaling with NVTE_UNFUSED_FP8_UPDATE=1"),
    )
)
_TE_MX = tuple(
    Rule(
        name=name,
        granularity=Granularity.parse(grain),
        scale=PowerOfTwo("up", infinity=254),
        finder=_IGNORE,
        formats=_FP8,
        cast=_CUDA,
        enters=Enters.OPERAND,
        source=_TE + where,
    )
    for name, grain, where in (
        ("te-mxfp8", "1x32", "MXFP8BlockScaling"),
        ("te-mxfp8-2d", "32x32", "MXFP8BlockScaling, 2-D for weights"),
    )
)
#: The signs of TransformerEngine's random Hadamard transform.
_SIGNS = (1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1)
_TE_NVFP4 = tuple(
    Rule(
        name=f"te-nvfp4{suffix}",
        granularity=Granularity.parse(grain),
        scale=scale,
        finder=_IGNORE,
        format=E2M1FN,
        formats=("E2M1FN",),
        cast=Cast(rounding),
        rotation=Rotation(_SIGNS) if "rht" in suffix else None,
        enters=Enters.OPERAND,
        source=_TE + "NVFP4BlockScaling",
    )
    for suffix, grain, scale, rounding in (
        ("", "1x16", TwoLevel(), Rounding.NEAREST_TIES_TO_EVEN),
        ("-2d", "16x16", TwoLevel(), Rounding.NEAREST_TIES_TO_EVEN),
        ("-rht", "1x16", TwoLevel(), Rounding.NEAREST_TIES_TO_EVEN),
        ("-sr", "1x16", TwoLevel(), Rounding.STOCHASTIC_A),
        ("-rht-sr", "1x16", TwoLevel(), Rounding.STOCHASTIC_A),
        ("-row", "1x16", TwoLevel(by_row=True), Rounding.NEAREST_TIES_TO_EVEN),
        ("-4over6", "1x16", TwoLevel(256.0, "mae"), Rounding.NEAREST_TIES_TO_EVEN),
        ("-4over6-mse", "1x16", TwoLevel(256.0, "mse"), Rounding.NEAREST_TIES_TO_EVEN),
        ("-2d-4over6", "16x16", TwoLevel(256.0, "mae"), Rounding.NEAREST_TIES_TO_EVEN),
        ("-2d-4over6-mse", "16x16", TwoLevel(256.0, "mse"), Rounding.NEAREST_TIES_TO_EVEN),
    )
)

_TORCHAO = tuple(
    Rule(
        name=name,
        granularity=grain,
        scale=scale,
        finder=_PROPAGATE,
        formats=_FP8,
        way_out=Descale.DIVIDE,
        cast=_TORCH,
        source="torchao 36027d82d and 0.18.0, torchao.float8",
    )
    for name, grain, scale in (
        ("torchao-tensorwise", _TENSOR, TorchaoQuotient()),
        ("torchao-tensorwise-pow2", _TENSOR, TorchaoQuotient(power_of_two=True)),
        ("torchao-rowwise", _ROW, TorchaoQuotient(power_of_two=True)),
        ("torchao-rowwise-fp32", _ROW, TorchaoQuotient()),
        ("torchao-rowwise-exact", _ROW, TorchaoQuotient(power_of_two=True, exact_log2=True)),
    )
)
_TORCHAO_BLOCK = tuple(
    Rule(
        name=f"torchao-block-{grain}",
        granularity=grain,
        scale=TorchaoQuotient(inverse=True),
        finder=_PROPAGATE,
        formats=("E4M3FN",),
        cast=_TORCH,
        source="torchao 0.18.0, prototype/blockwise_fp8_training",
    )
    for grain in (_128, _128X128)
)


def _torchao_mx(name: str, scale: PowerOfTwo, where: str) -> Rule:
    return Rule(
        name=name,
        granularity=_32,
        scale=scale,
        finder=_PROPAGATE,
        formats=_MX,
        cast=_TORCH,
        enters=Enters.OPERAND,
        source=f"torchao {where}, to_mx",
    )


_TORCHAO_MX = tuple(
    _torchao_mx(f"torchao-mx-{name}", PowerOfTwo(rounding, largest=255), "36027d82d")
    for name, rounding in (("floor", "floor"), ("ceil", "ceil"), ("even", "even"), ("rceil", "up"))
)
#: The release divides by 2^-126 for code 0 and by infinity for code 255.
_TORCHAO_0_18_MX = (
    *(
        _torchao_mx(
            f"torchao-0.18-mx-{rounding}",
            PowerOfTwo(rounding, infinity=None, zero_factor=2.0**126, nan_factor=0.0),
            "0.18.0",
        )
        for rounding in ("floor", "ceil", "even")
    ),
    _torchao_mx(
        "torchao-0.18-mx-rceil",
        PowerOfTwo("up-log2", infinity=254, zero_factor=1.0),
        "0.18.0",
    ),
)

_TORCHAO_NVFP4 = tuple(
    Rule(
        name=name,
        granularity=Granularity.parse("1x16"),
        scale=TwoLevel(quotients=True, levels=levels),
        finder=_PROPAGATE,
        format=E2M1FN,
        formats=("E2M1FN",),
        cast=_TORCH,
        enters=Enters.OPERAND,
        source="torchao 0.18.0, nvfp4_quantize",
    )
    for name, levels in (("torchao-nvfp4", 2), ("torchao-nvfp4-one-level", 1))
)

_DEEPSEEK = tuple(
    Rule(
        name=name,
        granularity=grain,
        scale=scale,
        finder=finder,
        formats=("E4M3FN",),
        way_in=Descale.DIVIDE if scale.divides else Descale.MULTIPLY,
        cast=cast,
        source=source,
    )
    for name, grain, scale, finder, cast, source in (
        ("deepgemm-1x128", _128, DeepGemm(), _PROPAGATE, _TORCH, "DeepGEMM 38939a4c"),
        ("deepgemm-128x128", _128X128, DeepGemm(), _PROPAGATE, _TORCH, "DeepGEMM 38939a4c"),
        ("deepgemm-1x128-ue8m0", _128, DeepGemm(ue8m0=True), _PROPAGATE, _TORCH,
         "DeepGEMM 38939a4c"),
        ("deepgemm-128x128-ue8m0", _128X128, DeepGemm(ue8m0=True), _PROPAGATE, _TORCH,
         "DeepGEMM 38939a4c"),
        ("deepseek-1x128", _128, DeepGemm(divides=True), _IGNORE, _CUDA,
         "DeepSeek-V3 9b4e9788, inference/kernel.py"),
    )
)  # fmt: skip

_MICROXCALING = tuple(
    Rule(
        name=name,
        granularity=_32,
        scale=PowerOfTwo("log2", largest=255),
        finder=_PROPAGATE,
        formats=(*_MX, "MXINT8"),
        cast=Cast(rounding, early_tie=early, coarse_top=not early, drops_minus_zero=True),
        enters=Enters.OPERAND,
        source="microxcaling 7bc4195, mx_ops.py",
    )
    for name, rounding, early in (
        ("microxcaling", Rounding.NEAREST_TIES_TO_AWAY, True),
        ("microxcaling-even", Rounding.NEAREST_TIES_TO_EVEN, True),
        ("microxcaling-floor", Rounding.TOWARD_ZERO, False),
    )
)

_OTHERS = (
    Rule(
        name="compressed-tensors-mxfp8",
        granularity=_32,
        # FP4's mantissa width, whatever the elements; infinity is no number of an exponent.
        scale=PowerOfTwo(
            "even", infinity=127, nan=127, mantissa_bits=1, infinity_factor=0.0, nan_factor=0.0
        ),
        finder=_PROPAGATE,
        formats=("E4M3FN",),
        cast=_TORCH,
        enters=Enters.OPERAND,
        source="compressed-tensors 0.20.1, quantization/utils/mxfp_utils.py",
    ),
    Rule(
        name="modelopt-mxfp4",
        granularity=_32,
        scale=PowerOfTwo("up-log2", infinity=0, nan=0, infinity_factor=0.0, nan_factor=0.0),
        finder=_PROPAGATE,
        format=E2M1FN,
        formats=("E2M1FN",),
        cast=Cast(ties_toward_zero=True, minus_zeros=True),
        enters=Enters.OPERAND,
        source="ModelOpt 0.47.0, quantization/qtensor/mxfp4_tensor.py",
    ),
    Rule(
        name="flax",
        granularity=_TENSOR,
        scale=Held(inverse=True),
        finder=_PROPAGATE,
        formats=_FP8,
        way_in=Descale.DIVIDE,
        cast=Cast(flushes=True),
        source="flax 0.12.8, linen/fp8_ops.py, on a CPU",
        history=AmaxHistory("flax"),
    ),
    Rule(
        name="ms-amp",
        granularity=_TENSOR,
        scale=MsAmp(),
        finder=_PROPAGATE,
        formats=_FP8,
        cast=_CUDA,
        source="MS-AMP 0367bdc5, common/tensor/meta.py",
        history=AmaxHistory("ms-amp", 16),
    ),
)

#: The rules, by name.
RULES: Mapping[str, Rule] = Catalogue(
    {
        rule.name: rule
        for rule in (
            _UNIT,
            *_OWN,
            *_OCP,
            *_TE_DELAYED,
            *_TE_CURRENT,
            *_TE_BLOCK,
            *_TE_MX,
            *_TE_NVFP4,
            *_TORCHAO,
            *_TORCHAO_BLOCK,
            *_TORCHAO_MX,
            *_TORCHAO_0_18_MX,
            *_TORCHAO_NVFP4,
            *_DEEPSEEK,
            *_MICROXCALING,
            *_OTHERS,
        )
    },
    "scaling rules",
)

#: Further names of the same rules.
ALIASES: Mapping[str, str] = Catalogue(
    {
        "none": "unit",
        "mxfp8": "mxfp8-e4m3fn",
        "mxfp4": "mxfp4-e2m1fn",
        "nvfp4": "te-nvfp4",
        "nvfp4-2d": "te-nvfp4-2d",
        "te-delayed-fused": "te-delayed",
        "microxcaling-nearest": "microxcaling",
        "flax-delayed": "flax",
        **{f"ocp-{rule.name}": rule.name for rule in _OCP},
    },
    "further names of rules",
    (),
)


def get_rule(rule: str | Rule) -> Rule:
    """
    Return the rule that a name stands for.

    Parameters
    ----------
    rule : str or Rule
        A rule (returned as it is), a name of `RULES`, ``"block-N"`` or ``"block-NxM"``
        with any lengths.

    Returns
    -------
    Rule
        The rule.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If no rule has that name; the nearest names are offered.

    Examples
    --------
    >>> get_rule("te-block-1x128").granularity.length
    128
    """
    if isinstance(rule, Rule):
        return rule
    if not isinstance(rule, str):
        msg = f"rule must be a Rule or a name, got {type(rule).__name__} {rule!r:.60}"
        raise TypeError(msg)
    return _rule_by_name(rule)


@lru_cache(maxsize=256)
def _rule_by_name(name: str) -> Rule:
    plain = name.strip().lower()
    found = RULES.get(ALIASES.get(plain, plain))
    if found is not None:
        return found
    head, _, size = plain.partition("-")
    if head == "block" and size.replace("x", "", 1).isdigit():
        return replace(RULES["block-32"], name=plain, granularity=Granularity.parse(size))
    known = [*RULES, *ALIASES]
    advice = hint(name, known, f"there are {', '.join(RULES)}", "a scaling rule")
    msg = f"rule {name!r:.80} is not known, nor is it block-N or block-NxM; {advice}"
    raise ValueError(msg)
