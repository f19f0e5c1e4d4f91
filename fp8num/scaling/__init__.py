"""
Scaling rules: how scales are found and applied, every library's, exactly.

::

    rule = granularity + finder + scale + cast        RULES  all of them by name
    scale_quantize(x, rule) -> ScaledArray            start(rule) -> DelayedState
"""

from fp8num._kernels.state import imported
from fp8num.scaling.catalogue import RULES, get_rule
from fp8num.scaling.corners import CORNERS, corner_frame
from fp8num.scaling.delayed import DelayedState, start
from fp8num.scaling.finders import Amax, BestClip, Finder, Percentile
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.held import Held, MsAmp
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
from fp8num.scaling.quantize import quantize, scale_quantize
from fp8num.scaling.rotation import Rotation
from fp8num.scaling.rule import Cast, Enters, Rule
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
    "corner_frame",
    "distance",
    "get_rule",
    "identify",
    "move",
    "quantize",
    "scale_quantize",
    "start",
]

imported(__name__)
