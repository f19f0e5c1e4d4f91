"""What the parameters of an accumulator must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fp8num.projection import Rounding

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_choice", "check_integer", "check_order", "check_width"]


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse what is not among the choices."""
    if value not in choices:
        shown = [item.value if isinstance(item, Rounding) else item for item in choices]
        got = value.value if isinstance(value, Rounding) else value
        msg = f"{name} must be one of {', '.join(map(str, shown))}, got {got!r}"
        raise ValueError(msg)


def check_integer(name: str, value: object, low: int, high: int | None) -> None:
    """Refuse what is no integer of the range."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):  # type: ignore[operator]  # whole says so
        limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
        msg = f"{name} must be an integer {limits}, got {value!r}"
        raise ValueError(msg)


def check_order(order: tuple[int, ...] | None, products: int) -> None:
    """Refuse an order that does not take each product once, in whole steps."""
    if order is None:
        return
    if sorted(order) != list(range(len(order))) or len(order) % products or not order:
        msg = (
            f"order must hold each index from 0 to a multiple of products={products} once, "
            f"got {order!r:.80}"
        )
        raise ValueError(msg)


def check_width(fraction_bits: int, products: int, group: int) -> None:
    """Refuse sums of more bits than float64 adds exactly."""
    check_integer("group", group, 1, products)
    if products % group:
        msg = f"group must divide products={products}, got {group}"
        raise ValueError(msg)
    # A term is below 4 in units of the largest; NVFP4's groups of products are below 2**12.
    terms = (2 if group == 1 else 12) + (products // group + 1).bit_length()
    if fraction_bits + terms > 53:
        msg = (
            f"fraction_bits must be at most {53 - terms} with {products} products a step, so that "
            f"float64 adds them exactly, got {fraction_bits}"
        )
        raise ValueError(msg)
