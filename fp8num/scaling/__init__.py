"""
Scaling rules: how scales are found and applied, every library's, exactly.

::

    rule = granularity + finder + scale + cast        RULES  all of them by name
    find_scales(x, rule) -> Scales                    apply_scales(x, scales, rule) -> ScaledArray
    scale_quantize(x, rule)  both at once             start(rule) -> DelayedState
"""

from fp8num._kernels.state import imported
from fp8num.scaling.cast import Cast
from fp8num.scaling.catalogue import RULES, get_rule
from fp8num.scaling.corners import CORNERS, corner_frame
from fp8num.scaling.delayed import DelayedState, start
from fp8num.scaling.finders import Amax, BestClip, Finder, Percentile
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.held import AmaxHistory, Held, MsAmp
from fp8num.scaling.identifying import (
    Exclusion,
    Finding,
    Group,
    Identification,
    Match,
    Near,
    Witness,
    identify,
)
from fp8num.scaling.moving import Distance, Move, distance, move
from fp8num.scaling.quantize import apply_scales, find_scales, quantize, scale_quantize
from fp8num.scaling.rotation import Rotation
from fp8num.scaling.rule import Enters, Rule
from fp8num.scaling.scales import (
    AmaxQuotient,
    Context,
    DeepGemm,
    Fixed,
    PowerOfTwo,
    Scale,
    Scales,
    TorchaoQuotient,
    TransformerEngine,
    TwoLevel,
)

__all__ = [
    "CORNERS",
    "RULES",
    "Amax",
    "AmaxHistory",
    "AmaxQuotient",
    "BestClip",
    "Cast",
    "Context",
    "DeepGemm",
    "DelayedState",
    "Distance",
    "Enters",
    "Exclusion",
    "Finder",
    "Finding",
    "Fixed",
    "Granularity",
    "Group",
    "Held",
    "Identification",
    "Match",
    "Move",
    "MsAmp",
    "Near",
    "Percentile",
    "PowerOfTwo",
    "Rotation",
    "Rule",
    "Scale",
    "Scales",
    "TorchaoQuotient",
    "TransformerEngine",
    "TwoLevel",
    "Witness",
    "apply_scales",
    "corner_frame",
    "distance",
    "find_scales",
    "get_rule",
    "identify",
    "move",
    "quantize",
    "scale_quantize",
    "start",
]

imported(__name__)
