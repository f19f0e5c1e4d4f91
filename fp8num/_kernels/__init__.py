"""
How the codec is fast.

::

    values -> words (the bits of each float) -> one of three kernels -> codes
      table       deterministic, few significant bits: one look-up per element
      arithmetic  parametric formats, all modes: shift, add, pack
      search      anything: bisection in the list of breakpoints

All of them work on the bits of the input as integers, so they neither see nor care
whether flush-to-zero is switched on in the process, and each checks the others.
"""
