"""
What becomes of one number in a format and why, and what a format holds: texts and records.

::

    "0.3", format --inspect--> Record --describe--> text        `fp8num show`
    format        --facts, codes, number line-----> text        `fp8num formats`
"""
