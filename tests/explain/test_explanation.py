"""The sentences and records that explain a conversion, written by hand from the standards."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fp8num import strategies
from fp8num.explain.explanation import decision, describe, to_dict
from fp8num.explain.inspection import ConversionOptions, inspect, inspect_code
from fp8num.explain.numerals import WrittenNumber, parse_number
from fp8num.formats import FORMATS, Format, get_format

if TYPE_CHECKING:
    from fp8num.projection import Projection


#: Number, format and options; below them, the sentence.
CASES = """
# 0.3 = 0.28125 + 0.6 * 0.03125
0.3 E4M3FN
    0.3 lies 0.6 of the way from 0.28125 to 0.3125:
    NearestTiesToEven takes 0.3125, the nearer
0.5 E4M3FN
    0.5 is a value of E4M3FN: nothing is rounded
# 1 is 0 0111 000, even; 1.125 is 0 0111 001
1.0625 E4M3FN
    1.0625 lies halfway from 1 to 1.125:
    NearestTiesToEven takes 1, whose code is even
1.0625 E4M3FN rounding=rna
    1.0625 lies halfway from 1 to 1.125:
    NearestTiesToAway takes 1.125, the one farther from zero
# less above the tie than a float64 can say
1.06250000000000000000000000001 E4M3FN
    1.06250000000000000000000000001 lies just over half of the way from 1 to 1.125:
    NearestTiesToEven takes 1.125, the nearer
-0.3 E4M3FN rounding=rz
    -0.3 lies 0.4 of the way from -0.3125 to -0.28125:
    TowardZero takes -0.28125, the one nearer to zero
0.3 E4M3FN rounding=ru
    0.3 lies 0.6 of the way from 0.28125 to 0.3125:
    TowardPositive takes 0.3125, the larger
0.3 E4M3FN rounding=rd
    0.3 lies 0.6 of the way from 0.28125 to 0.3125:
    TowardNegative takes 0.28125, the smaller
0.3 E4M3FN rounding=ro
    0.3 lies 0.6 of the way from 0.28125 to 0.3125:
    ToOdd takes 0.28125, whose code is odd
# StochasticA goes up if floor(0.6 * 16) + R = 9 + R reaches 16
0.3 E4M3FN rounding=sra random_bits=7 random_width=4
    0.3 lies 0.6 of the way from 0.28125 to 0.3125:
    StochasticA takes 0.3125, for random bits 0111
# the largest value is 448 and 480 would follow: halfway is 464, and 448 is even
464 E4M3FN saturation=SatNone
    464 lies halfway from 448 to 480 (which would follow):
    NearestTiesToEven takes 448, whose code is even
-464 E4M3FN
    -464 lies halfway from -480 (which would follow) to -448:
    NearestTiesToEven takes -448, whose code is even
-465 E4M3FN saturation=SatNone
    -465 rounds past the largest value, 448 (480 would follow):
    SatNone gives -NaN
1e39 E4M3FN
    1e39 rounds past the largest value, 448 (480 would follow):
    SatFinite gives 448
# of 57344 and infinity, 0x7b and 0x7c, the odd one
1e6 E5M2 rounding=ro saturation=SatNone
    1e6 rounds past the largest value, 57344 (65536 would follow):
    ToOdd gives 57344
inf E4M3FN
    inf is beyond the range: SatFinite gives 448
-inf E5M2 saturation=SatPropagate
    -inf is kept
# half the smallest subnormal, 2^-9
0.0009765625 E4M3FN
    0.0009765625 lies halfway from 0 to 0.001953125:
    NearestTiesToEven takes 0, whose code is even;
    below the smallest normal number, 0.015625, that is underflow
nan E4M3FN
    NaN is kept
-nan E4M3FNUZ
    the NaN of E4M3FNUZ has no sign: -NaN becomes NaN
nan E2M1FN
    E2M1FN has no NaN: NaN becomes 6
nan E2M1FN like=ml_dtypes
    E2M1FN has no NaN: NaN becomes -0
-0 E4M3FN
    -0 is kept
-0 E4M3FNUZ
    E4M3FNUZ has no -0: it becomes 0
-0 E8M0FNU
    E8M0FNU has no zero: it becomes 2^-127
0 E8M0FNU
    E8M0FNU has no zero: SatFinite gives 2^-127
0 E8M0FNU saturation=SatNone
    E8M0FNU has no zero: SatNone gives NaN
1e-39 E8M0FNU
    E8M0FNU has no zero: every mode gives 2^-127
-5 UE5M3
    UE5M3 has no negative numbers: SatFinite gives 0
-1e-9 UE5M3
    UE5M3 has no negative numbers: NearestTiesToEven gives 0
# ml_dtypes takes all above 2^-127 up, which is a subnormal of float32
0x1.1p-127 E8M0FNU like=ml_dtypes<0.7
    0x1.1p-127 lies 0.0625 of the way from 2^-127 to 2^-126:
    NearestTiesToAway takes 2^-126, as ml_dtypes<0.7 does
# HiFloat8 rounds half away, here between 1 and 1.125
1.0625 HIFLOAT8
    1.0625 lies halfway from 1 to 1.125:
    NearestTiesToEven takes 1.125, the one farther from zero
# between 2^16 and 2^18 the posit of nine bits is 2^17; (140000 - 65536) / 196608 = 0.37874
140000 POSIT8
    140000 lies ~0.3787 of the way from 65536 to 262144:
    NearestTiesToEven takes 262144, as the boundary on the encoding is 131072
1e10 POSIT8
    1e10 lies beyond the largest value: NearestTiesToEven gives 16777216
"""


def cases() -> list[tuple[str, str]]:
    """Return the command and the sentence of each case."""
    found: list[tuple[str, str]] = []
    for line in CASES.strip().split("\n"):
        if line.startswith("    "):
            command, sentence = found[-1]
            found[-1] = (command, f"{sentence} {line.strip()}".strip())
        elif not line.startswith("#"):
            found.append((line, ""))
    return found


def test_decisions_by_hand(each: Any) -> None:
    """Each kind of decision, in the words that a reader is told."""

    def check(command: str, sentence: str) -> None:
        written, fmt, *options = command.split()
        pairs = dict(option.split("=") for option in options)
        given = {name: int(value) if value.isdigit() else value for name, value in pairs.items()}

        record = inspect(parse_number(written), get_format(fmt), ConversionOptions(**given))  # type: ignore[arg-type]

        assert decision(record) == sentence

    each(cases(), check)


@settings(deadline=None, max_examples=settings.default.max_examples // 3)
@given(
    data=st.data(),
    fmt=st.sampled_from(list(FORMATS.values())) | strategies.formats(),
    projection=strategies.projections(),
    divisor=st.sampled_from([1, 3]),
)
def test_every_conversion_can_be_explained(
    data: st.DataObject, fmt: Format, projection: Projection, divisor: int
) -> None:
    """There are words for any number in any format and mode, and JSON without NaN."""
    x = float(data.draw(strategies.rounding_boundaries(fmt)))
    exact = Fraction(x) / divisor if x - x == 0 and x != 0 else x
    conversion = ConversionOptions(
        rounding=projection.rounding.value, saturation=projection.saturation.value
    )

    record = inspect(WrittenNumber("x", exact), fmt, conversion)

    assert decision(record)
    assert "None " not in decision(record).replace("SatNone ", "")
    assert max(map(len, describe(record).split("\n"))) <= 80
    json.dumps(to_dict(record), allow_nan=False)


def test_a_block_of_text_by_hand() -> None:
    """0x2A is 0 0101 010; its value is 10 units of 2^-5; an ulp is 2^-5."""
    record = inspect(parse_number("0.3"), get_format("E4M3FN"), ConversionOptions())

    assert describe(record).split("\n") == [
        "E4M3FN, NearestTiesToEven, SatFinite",
        "  code      0x2a = 0 | 0101 | 010 (normal)",
        "  value     0.3125 = 0x1.4p-2 = 10*2^-5",
        "  below     0.28125 at 0x29, 0.6 ulp away",
        "  above     0.3125 at 0x2a, 0.4 ulp away",
        "  rounding  0.3 lies 0.6 of the way from 0.28125 to 0.3125: NearestTiesToEven",
        "            takes 0.3125, the nearer",
        "  error     0.0125, relative ~0.0416667, 0.4 ulp of 0.03125",
        "  flags     inexact",
    ]


def test_a_code_has_no_rounding() -> None:
    """Nothing was converted: there is no error, no flag and no decision."""
    record = inspect_code("0x7e", get_format("E4M3FN"))

    assert decision(record) == ""
    assert describe(record).split("\n") == [
        "E4M3FN",
        "  code   0x7e = 0 | 1111 | 110 (normal)",
        "  value  448 = 0x1.cp+8 = 14*2^5",
        "  below  416 at 0x7d, 1 ulp away",
        "  above  -",
    ]
    assert set(to_dict(record)) == {
        "format", "code", "bits", "kind", "value", "below", "above", "ulp"
    }  # fmt: skip


def test_records_hold_exact_text() -> None:
    """Every number of a record is a fraction that can be read again."""
    found = to_dict(inspect(parse_number("1/3"), get_format("E5M2"), ConversionOptions()))

    # 1/3 = 1.333 * 2^-2: field -2 + 15 = 13 = 01101, mantissa 1.333 quarters -> 1 = 01
    assert found["code"] == "0x35"
    assert found["bits"] == {"sign": "0", "exponent": "01101", "mantissa": "01"}
    assert found["exact"] == "1/3"
    assert found["value"] == {"decimal": "0.3125", "hex": "0x1.4p-2", "integer": 5, "exponent": -4}
    assert found["error"] == {"absolute": "-1/48", "relative": "-1/16", "ulps": "-1/3"}
    assert found["below"]["ulps"] == "1/3"
    assert found["above"]["value"]["decimal"] == "0.375"
    assert found["ulp"] == "1/16"
    assert found["flags"] == ["inexact"]
