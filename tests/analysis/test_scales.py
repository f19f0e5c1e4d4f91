"""The scale of a tensor."""

from __future__ import annotations

import numpy as np
import pytest

import fp8num as fp
from fp8num.analysis.scales import RULES, tensor_scale

FLOAT32_MAX = 3.4028234663852886e38
by_width = pytest.mark.parametrize("wide", [False, True], ids=["float32", "float64"])


def test_the_rules() -> None:
    """Their names are part of the interface."""
    assert list(RULES) == ["none", "tensor"]
    assert RULES["none"](fp.E4M3FN, 12.5, wide=False) == 1.0


@by_width
def test_amax_goes_to_the_largest_value(wide: bool) -> None:  # noqa: FBT001
    """Powers of two make it exact."""
    assert tensor_scale(fp.E4M3FN, 7.0, wide=wide) == 64.0


def test_the_scale_has_the_width_of_the_products() -> None:
    """The quotient is rounded to float32 unless elements are of 64 bits."""
    assert tensor_scale(fp.E4M3FN, 3.0, wide=False) == float(np.float32(448) / np.float32(3))
    assert tensor_scale(fp.E4M3FN, 3.0, wide=True) == 448 / 3


@by_width
def test_nothing_to_scale(wide: bool) -> None:  # noqa: FBT001
    """All zeros stay as they are."""
    assert tensor_scale(fp.E4M3FN, 0.0, wide=wide) == 1.0


@pytest.mark.parametrize(
    ("amax", "wide", "scale"),
    [(1e-45, False, FLOAT32_MAX), (5e-324, True, np.finfo(np.float64).max)],
)
def test_the_scale_is_finite(amax: float, wide: bool, scale: float) -> None:  # noqa: FBT001
    """Beyond the type's range it is the largest number."""
    assert tensor_scale(fp.E4M3FN, amax, wide=wide) == scale


def test_the_scale_is_a_normal_number() -> None:
    """Subnormal scales would lose bits, or be flushed to zero."""
    low = fp.get_format("w4m3b100-fn")

    assert tensor_scale(low, FLOAT32_MAX, wide=False) == 2.0**-126


@pytest.mark.parametrize("name", fp.FORMATS)
@by_width
def test_products_stay_finite(name: str, wide: bool) -> None:  # noqa: FBT001
    """The largest element times the scale does not overflow, and does not saturate."""
    dtype = np.float64 if wide else np.float32
    fmt = fp.FORMATS[name]
    rng = np.random.default_rng(1)
    lowest, highest = (-300, 307) if wide else (-40, 37)
    powers = 10.0 ** np.linspace(lowest, highest, 200)
    for amax in (powers * rng.uniform(1, 2, 200)).astype(dtype):
        scale = dtype(tensor_scale(fmt, float(amax), wide=wide))
        with np.errstate(over="raise"):
            product = amax * scale
        assert not fp.flags(product, fmt).overflow


@by_width
def test_a_format_wider_than_the_products_type(wide: bool) -> None:  # noqa: FBT001
    """The largest element then goes to the largest number of that type, nearly."""
    dtype = np.float64 if wide else np.float32
    wider = fp.get_format("w10m5b511-ieee")  # up to 2**512
    rng = np.random.default_rng(2)
    for amax in rng.uniform(1.0, 10.0, 500).astype(dtype):
        with np.errstate(over="raise"):
            product = float(amax * dtype(tensor_scale(wider, float(amax), wide=wide)))
        limit = float(wider.max) if wide else FLOAT32_MAX
        assert product == pytest.approx(limit, rel=1e-6)
