"""What the parameters of an accumulator must be."""

from __future__ import annotations

from fp8num._arguments import integer
from fp8num._text import brief

__all__ = ["check_order", "check_width"]


def check_order(order: tuple[int, ...] | None, products: int) -> None:
    """Refuse an order that does not take each product once, in whole steps."""
    if order is None:
        return
    if sorted(order) != list(range(len(order))) or len(order) % products or not order:
        msg = (
            f"order must hold each index from 0 to a multiple of products={products} once, "
            f"got {brief(order)}"
        )
        raise ValueError(msg)


def check_width(fraction_bits: int, products: int, group: int) -> None:
    """Refuse sums of more bits than float64 adds exactly."""
    integer("group", group, 1, products)
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
