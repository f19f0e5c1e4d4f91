"""Every word of a type through an implementation, in chunks that can be done anywhere."""

from fp8num.verify.sweeping.encoder import Encoder
from fp8num.verify.sweeping.record import Sweep
from fp8num.verify.sweeping.sweep import sweep

__all__ = ["Encoder", "Sweep", "sweep"]
