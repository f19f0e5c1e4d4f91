"""
How a dot product is added up, as frozen data.

::

    Accumulator     what they have in common: name, whether verified, source
      ExactSum      the exact sum, rounded once
      FloatSum      floating-point additions, one after the other or in a tree
      BlasSum       whatever the BLAS behind NumPy does
      TensorCore    blocks of products aligned to the largest and added as integers
      MatrixCore    AMD's variant: even and odd products apart
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fp8num._arguments import choice, integer, text
from fp8num._text import brief
from fp8num.formats import Format, get_format
from fp8num.projection import Rounding, Saturation

__all__ = ["Accumulator", "BlasSum", "ExactSum", "FloatSum", "MatrixCore", "TensorCore"]


def _check_order(order: tuple[int, ...] | None, products: int) -> None:
    """Refuse an order that does not take each product once, in whole steps."""
    if order is None:
        return
    if sorted(order) != list(range(len(order))) or len(order) % products or not order:
        msg = (
            f"order must hold each index from 0 to a multiple of products={products} once, "
            f"got {brief(order)}"
        )
        raise ValueError(msg)


def _check_width(fraction_bits: int, products: int, group: int) -> None:
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


#: The roundings by which a product may be aligned: those that have an integer function.
_ALIGNING = (
    Rounding.TOWARD_ZERO,
    Rounding.TOWARD_NEGATIVE,
    Rounding.TOWARD_POSITIVE,
    Rounding.NEAREST_TIES_TO_EVEN,
)


@dataclass(frozen=True, kw_only=True)
class Accumulator:
    """
    How a dot product is added up.

    Parameters
    ----------
    name : str
        What it is called in tables and messages.
    verified : str, optional
        ``"verified on recorded hardware"``, ``"from literature"`` or ``"by definition"``.
    source : str, optional
        Where the behaviour is described, or was recorded.
    """

    name: str
    verified: str = "defined by the user"
    source: str = ""

    def __post_init__(self) -> None:
        """Check the parameters."""
        if type(self) is Accumulator:
            msg = (
                "an accumulator must be one of the kinds ExactSum, FloatSum, BlasSum, TensorCore "
                "and MatrixCore, got Accumulator itself"
            )
            raise TypeError(msg)
        text("name", self.name, empty=False)


@dataclass(frozen=True, kw_only=True)
class ExactSum(Accumulator):
    """The exact sum of exact products, rounded once; it depends on no order."""


@dataclass(frozen=True, kw_only=True)
class BlasSum(Accumulator):
    """
    float32 products by the BLAS behind NumPy, which is not reproducible elsewhere.

    Nor need it be here: sums may differ with the number of threads.
    """


@dataclass(frozen=True, kw_only=True)
class FloatSum(Accumulator):
    """
    Floating-point additions, each rounded.

    Parameters
    ----------
    arithmetic : str or Format, optional
        ``"float32"``, or a format of at most 16 bits in which products and sums are kept.
    order : {"sequential", "pairwise", "blocked"}, optional
        One product after the other; a tree of neighbouring pairs, whose odd last one goes
        up unchanged; or `block` products at a time, each block from zero, and the blocks
        one after the other.
    block : int, optional
        Products of a block, for ``order="blocked"``.
    fused : bool, optional
        Whether a product is added unrounded (fused multiply-add); not for ``"pairwise"``.
    rounding : Rounding or str, optional
        How each operation rounds.  The stochastic modes need ``rng``.
    saturation : Saturation or str, optional
        What an overflow becomes, in a format; float32 overflows as IEEE 754 says.
    random_width : int, optional
        Random bits of stochastic rounding, 1 to 24.
    """

    arithmetic: Format | str = "float32"
    order: str = "sequential"
    block: int | None = None
    fused: bool = False
    rounding: Rounding | str = Rounding.NEAREST_TIES_TO_EVEN
    saturation: Saturation | str = Saturation.SAT_NONE
    random_width: int = 24

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        object.__setattr__(self, "rounding", Rounding.parse(self.rounding))
        object.__setattr__(self, "saturation", Saturation.parse(self.saturation))
        if self.arithmetic != "float32":
            object.__setattr__(self, "arithmetic", get_format(self.arithmetic))
        choice("order", self.order, ("sequential", "pairwise", "blocked"))
        if (self.block is None) == (self.order == "blocked"):
            msg = f"block must be given with order='blocked' alone, got {brief(self.block)}"
            raise ValueError(msg)
        if self.block is not None:
            integer("block", self.block, 1)
        if self.fused and self.order == "pairwise":
            msg = "fused must be False with order='pairwise': a tree adds sums and not products"
            raise ValueError(msg)
        integer("random_width", self.random_width, 1, 24)

    @property
    def format(self) -> Format | None:
        """The format of the sums; None for float32."""
        return self.arithmetic if isinstance(self.arithmetic, Format) else None

    @property
    def is_stochastic(self) -> bool:
        """Whether each addition needs random bits."""
        return Rounding.parse(self.rounding).is_stochastic


@dataclass(frozen=True, kw_only=True)
class TensorCore(Accumulator):
    """
    Blocks of products, aligned to the largest exponent and added as integers.

    A step takes `products` products and the accumulator.  Each becomes an integer multiple
    of ``2**(E - fraction_bits)``, E the largest exponent among those that are not zero;
    the integers are added exactly; the sum is rounded to the register.

    Parameters
    ----------
    fraction_bits : int
        Bits kept behind the leading one of the largest term.
    products : int
        Products of a step.
    formats : tuple of str, optional
        Names of the formats it takes; empty: any.
    operand_types : tuple of str, optional
        Formats that operands are converted to first, such as ``("BINARY16",)``: the first
        that holds the values of both, whose exponents are then theirs; others are refused.
    order : tuple of int, optional
        The order in which an instruction takes its products, each index once; consecutive
        runs of `products` are its steps.  Without it they are taken as they come.
    alignment : {"operands", "product"}, optional
        Whether a product's exponent is the sum of its operands' exponents, or that of the
        normalised product.
    aligning : Rounding or str, optional
        How a term is rounded to an integer: TowardZero, TowardNegative (floor),
        TowardPositive or NearestTiesToEven.
    register : {"float32", "float16"}, optional
        Range of the accumulator between the steps.
    output_bits : int, optional
        Bits kept behind the leading one of a step's result: 23 is all of float32.
    output_rounding : Rounding or str, optional
        How the result of a step is rounded to them, out of the modes of `aligning`.
    adds_c_last : bool, optional
        Whether an instruction starts from zero and adds the accumulator at its end, by an
        IEEE addition in the register's type.
    exponent_floor : int, optional
        The least exponent that terms are aligned to.
    promotion : int, optional
        Products after which the sum is added to a float32 total, to nearest, and starts
        from zero again.
    scale_block : int, optional
        Products that share a scale which the unit itself applies.
    scale_formats : tuple of str, optional
        Formats of such scales.
    group : int, optional
        Products summed exactly before they are aligned, by the exponents of their scales.
    """

    fraction_bits: int
    products: int
    formats: tuple[str, ...] = ()
    operand_types: tuple[str, ...] = ()
    order: tuple[int, ...] | None = None
    alignment: str = "operands"
    aligning: Rounding | str = Rounding.TOWARD_ZERO
    register: str = "float32"
    output_bits: int = 23
    output_rounding: Rounding | str = Rounding.TOWARD_ZERO
    adds_c_last: bool = False
    exponent_floor: int | None = None
    promotion: int | None = None
    scale_block: int | None = None
    scale_formats: tuple[str, ...] = ()
    group: int = 1

    #: Bits behind the leading one and least exponent of each register.
    REGISTERS: ClassVar[dict[str, tuple[int, int, int]]] = {
        "float32": (23, -126, 127),
        "float16": (10, -14, 15),
    }

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        for spelled in (*self.formats, *self.operand_types, *self.scale_formats):
            get_format(spelled)
        for name in ("aligning", "output_rounding"):
            mode = Rounding.parse(getattr(self, name))
            choice(name, mode.value, [one.value for one in _ALIGNING])
            object.__setattr__(self, name, mode)
        choice("alignment", self.alignment, ("operands", "product"))
        choice("register", self.register, self.REGISTERS)
        integer("fraction_bits", self.fraction_bits, 1, 46)
        integer("products", self.products, 1, 1024)
        integer("output_bits", self.output_bits, 1, self.REGISTERS[self.register][0])
        _check_width(self.fraction_bits, self.products, self.group)
        _check_order(self.order, self.products)
        if self.group > 1 and self.formats != ("E2M1FN",):
            msg = (
                "group must be 1 unless formats is ('E2M1FN',), whose products are few bits wide, "
                f"got {self.group}"
            )
            raise ValueError(msg)
        if self.promotion is not None:
            integer("promotion", self.promotion, 1)
            if self.promotion % self.instruction:
                msg = (
                    f"promotion must be a multiple of the {self.instruction} products of an "
                    f"instruction, got {self.promotion}"
                )
                raise ValueError(msg)

    @property
    def instruction(self) -> int:
        """Products of an instruction."""
        return self.products if self.order is None else len(self.order)


@dataclass(frozen=True, kw_only=True)
class MatrixCore(Accumulator):
    """
    AMD's unit: even and odd products are summed apart, then aligned with floor.

    Parameters
    ----------
    formats : tuple of str
        Names of the formats it takes.
    products : int, optional
        Products of a step, an even number.
    fraction_bits : int, optional
        Bits kept behind the leading one of the largest product, and of the accumulator.
    sum_bits : int, optional
        Bits kept of the sum before it is rounded to float32, to nearest.
    """

    formats: tuple[str, ...]
    products: int = 16
    fraction_bits: int = 24
    sum_bits: int = 31

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        for spelled in self.formats:
            get_format(spelled)
        integer("products", self.products, 2, 64)
        if self.products % 2:
            msg = f"products must be even, as even and odd ones are apart, got {self.products}"
            raise ValueError(msg)
        integer("fraction_bits", self.fraction_bits, 1, 30)
        integer("sum_bits", self.sum_bits, self.fraction_bits, 36)
