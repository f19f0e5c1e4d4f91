"""Every word of a type through an implementation, in chunks that can be done anywhere."""

from fp8num.verify.implementation import Encoder
from fp8num.verify.sweeping.sweep import Sweep, sweep

__all__ = ["Encoder", "Sweep", "sweep"]
