r"""
A linear layer's products with quantised operands, forward and backward.

::

    forward   x --cast--> . \                backward   g --cast--> . --> dX = g W
                             Y = x W^T + b               W --cast--> . /
              W --cast--> . /                            x --cast--> . --> dW = g^T x

A cast is made once where its codes serve twice; otherwise again from the float32 tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._text import brief
from fp8num.accumulate import BlasSum, FloatSum
from fp8num.codec import encode, quantize
from fp8num.formats import Format
from fp8num.nn._grid import check_grid, check_same, saturated_elements
from fp8num.nn._tensor_cast import TensorCast, tensor_cast
from fp8num.nn.dataset import generator_from, generator_state
from fp8num.nn.factor import Factor, OnGrid
from fp8num.nn.products import find_accumulator, product
from fp8num.nn.recipe import PRODUCTS, ROLES
from fp8num.nn.tensor import Tensor, record
from fp8num.scaled import ScaledArray
from fp8num.scaling.delayed import DelayedState
from fp8num.scaling.quantize import scale_quantize
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    from fp8num.nn.recipe import Operand, Recipe

__all__ = ["Casts", "LateProbe", "Probe", "linear"]

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
#: Called with a layer's name, the operand's role, what it became and what it was.
Probe: TypeAlias = Callable[[str, str, ScaledArray, Array], None]

#: The axis that each operand's product contracts: X is (batch, in), W (out, in), G (batch, out).
_CONTRACTED = dict(zip(ROLES, (1, 1, 1, 0, 0, 0), strict=True))
_NOTHING, _ONE = np.zeros((), np.float32), np.ones((), np.float32)


class LateProbe:
    """A probe that makes codes later, if at all: after a step's casts and before its update."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, str, Callable[[], ScaledArray], Array]] = []

    def __call__(self, layer: str, role: str, scaled: ScaledArray, source: Array) -> None:
        """Remember a cast whose codes are there."""
        self.keep(layer, role, lambda: scaled, source)

    def keep(self, layer: str, role: str, codes: Callable[[], ScaledArray], source: Array) -> None:
        """Remember a cast."""
        self._kept.append((layer, role, codes, source))

    def shown(self) -> list[tuple[str, str, ScaledArray, Array]]:
        """Return what other probes would have been called with."""
        return [(layer, role, codes(), source) for layer, role, codes, source in self._kept]


class Casts:
    """
    The casts of one layer, and what they remember from step to step.

    Parameters
    ----------
    name : str
        The layer's.
    recipe : Recipe
        What is cast to what.
    rng : numpy.random.Generator
        The layer's own, for casts and accumulators that round at random.
    """

    def __init__(self, name: str, recipe: Recipe, rng: np.random.Generator) -> None:
        self.name, self.recipe, self.rng = name, recipe, rng
        self.probe: Probe | None = None
        self.debug = False
        self.saturated = 0
        self._short = {role: _short_cast(recipe.operand(role)) for role in ROLES}
        self._on_grid = _values_suffice(recipe)
        #: Whether an earlier cast of the same tensor serves a later role.
        self._serves = {
            (role, earlier): recipe.operand(role) == recipe.operand(earlier)
            and recipe.operand(role).turns
            for earlier in ROLES
            for role in ROLES
            if role[0] == earlier[0]
        }
        started = {tensor: recipe.start(tensor) for tensor in "xwg"}
        self.states = {tensor: state for tensor, state in started.items() if state is not None}

    def cast(self, role: str, source: Array, *, remember: bool = True) -> Factor:
        """Cast a tensor for a role."""
        operand = self.recipe.operand(role)
        if not operand.is_cast:
            return Factor(role, source)
        axis = _CONTRACTED[role] if operand.axis == "contracted" else 1 - _CONTRACTED[role]
        without = self._values(role, source, axis) if self._on_grid else None
        late = self.probe is None or isinstance(self.probe, LateProbe)
        if without is not None and late and not self.debug:
            self._show(role, without, source)
            return without
        source = _padded(source, operand, axis)
        scaled = self._quantize(role, operand, source, axis, remember=remember)
        factor = Factor(role, scaled)
        if self.recipe.saturation_is_overflow and operand.rotation is None:
            self.saturated += int(np.count_nonzero(saturated_elements(scaled, source)))
        self._show(role, factor, source)
        if self.debug and without is not None:
            check_same(f"{role} of layer {self.name!r}", factor, without)
        return factor

    def _values(self, role: str, source: Array, axis: int) -> Factor | None:
        """Return an operand of values on the grid, without codes; None if they are needed."""
        short, recipe = self._short[role], self.recipe
        if short is None:
            return None

        def make_codes() -> ScaledArray:
            found = short(source, axis)
            assert found is not None  # it made the values
            return found

        if recipe.scales == "operand":
            values = np.empty(source.shape, np.float32)
            stored = short.values(source, values)
            if stored is None:
                return None
            return Factor(role, short.with_scale(values, stored), make_codes=make_codes)
        wide = not isinstance(find_accumulator(recipe.accumulator("forward")), BlasSum)
        memory = np.empty(source.shape, np.float64 if wide else np.float32)
        stored = short.values(source, memory)
        if stored is None:
            return None
        return Factor(role, OnGrid(memory, stored, short), make_codes=make_codes)

    def _quantize(
        self, role: str, operand: Operand, source: Array, axis: int, *, remember: bool
    ) -> ScaledArray:
        rule, fmt = operand.rule, operand.format
        assert isinstance(fmt, Format)
        if not isinstance(rule, Rule):
            # Types of 16 bits overflow to infinity, as conversions to them do.
            codes = encode(source, fmt, saturation="SatFinite" if fmt.bits <= 8 else "SatNone")
            block = tuple(max(size, 1) for size in source.shape)
            return ScaledArray(codes, fmt, _ONE, block, axis=axis)
        random = rule.cast.projection(fmt).rounding.is_stochastic
        rng = self.rng if random else None
        if operand.is_delayed:
            scaled, state = self.states[role[0]].quantize(source, rng=rng)
            if remember:
                self.states[role[0]] = state
            return scaled
        short = self._short[role]
        if short is not None and (found := short(source, axis)) is not None:
            return found
        return scale_quantize(source, rule, fmt=fmt, axis=axis, rng=rng)

    def again(self, role: str, earlier: str, factor: Factor | None, source: Array) -> Factor:
        """Return a tensor's second cast: the first one if that serves, or another."""
        operand = self.recipe.operand(role)
        if factor is not None and self._serves[role, earlier]:
            self._show(role, factor, source)
            return factor
        if operand.source == "forward":
            assert factor is not None
            source = factor.single
        return self.cast(role, source)

    def _show(self, role: str, factor: Factor, source: Array) -> None:
        """Check what a cast gave, and show it to whoever looks."""
        if not factor.is_cast:
            return
        if self.debug:
            check_grid(f"{role} of layer {self.name!r}", factor.codes, factor)
        if isinstance(self.probe, LateProbe):
            self.probe.keep(self.name, role, lambda: factor.codes, source)
        elif self.probe is not None:
            self.probe(self.name, role, factor.codes, source)

    def product(
        self,
        name: str,
        a: Factor,
        b: Factor,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
    ) -> npt.NDArray[np.float32]:
        """
        Multiply two operands as the recipe says.

        Parameters
        ----------
        name : str
            One of `PRODUCTS`.
        a, b : Factor
            The operands.
        transpose_a, transpose_b : bool, optional
            As for `fp8num.nn.product`.

        Returns
        -------
        ndarray of float32
            The product; `rounded` is for after the bias.

        Raises
        ------
        ValueError
            If the accumulator does not take the operands; layer and product are named.
        """
        if not a.shape[int(not transpose_a)]:  # a sum of nothing, with any accumulator
            shape = a.shape[int(transpose_a)], b.shape[int(not transpose_b)]
            return np.zeros(shape, np.float32)
        unit = find_accumulator(self.recipe.accumulator(name))
        random = isinstance(unit, FloatSum) and unit.is_stochastic
        try:
            return product(
                a,
                b,
                self.recipe.accumulator(name),
                scales=self.recipe.scales,
                transpose_a=transpose_a,
                transpose_b=transpose_b,
                rng=self.rng if random else None,
            )
        except ValueError as error:
            msg = f"{name} of layer {self.name!r} with recipe {self.recipe.name!r}: {error}"
            raise ValueError(msg) from error

    def rounded(self, result: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Round a result to the recipe's output format."""
        if self.recipe.output is None:
            return result
        found: npt.NDArray[np.float32] = quantize(result, self.recipe.output, saturation="SatNone")
        return found

    def end_step(self) -> None:
        """Update the delayed scales, as the library does between steps, and count anew."""
        self.states = {tensor: state.update() for tensor, state in self.states.items()}
        self.saturated = 0

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs, as a dictionary that JSON can hold."""
        return {
            "recipe": self.recipe.name,
            "delayed": {tensor: state.to_dict() for tensor, state in self.states.items()},
            "rng": generator_state(self.rng),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        wanted = f"state of layer {self.name!r} must be what state() returned"
        known = isinstance(state, Mapping) and set(state) == {"recipe", "delayed", "rng"}
        if not known or not isinstance(state["delayed"], Mapping):
            msg = f"{wanted}, with recipe, delayed and rng, got {brief(state)}"
            raise ValueError(msg)
        if state["recipe"] != self.recipe.name or set(state["delayed"]) != set(self.states):
            msg = (
                f"{wanted} with recipe {self.recipe.name!r}, got one with "
                f"{brief(state['recipe'])} and delayed scales of "
                f"{sorted(map(str, state['delayed'])) or 'nothing'!s:.80}"
            )
            raise ValueError(msg)
        states = {name: DelayedState.from_dict(one) for name, one in state["delayed"].items()}
        for tensor, one in states.items():
            mine = self.states[tensor]
            if (one.rule, one.format, len(one.history)) != (
                mine.rule,
                mine.format,
                len(mine.history),
            ):
                edited = one.rule != mine.rule and str(one.rule) == str(mine.rule)
                parts = " of other parts" if edited else ""
                msg = (
                    f"{wanted} with {mine.rule} {mine.format.name} over {len(mine.history)} "
                    f"steps, got {one.rule}{parts} {one.format.name} over {len(one.history)}"
                )
                raise ValueError(msg)
        rng = generator_from(state["rng"])
        self.states, self.rng, self.saturated = states, rng, 0


def _values_suffice(recipe: Recipe) -> bool:
    """Whether products take values, all in one way, and nothing asks for the codes of a cast."""
    units = {find_accumulator(recipe.accumulator(name)) for name in PRODUCTS}
    return (
        len(units) == 1
        and isinstance(units.pop(), BlasSum | None)
        and recipe.straight_through == "pass"
        and not recipe.saturation_is_overflow
        and (recipe.scales == "operand" or all(map(_has_one_scale, map(recipe.operand, ROLES))))
        and all(recipe.operand(role).source == "tensor" for role in ROLES)
    )


def _has_one_scale(operand: Operand) -> bool:
    """Whether a cast has one scale or none, which alone can multiply the sums of values."""
    rule = operand.rule
    return not isinstance(rule, Rule) or (
        rule.granularity.kind == "tensor" and not rule.is_two_level
    )


def _short_cast(operand: Operand) -> TensorCast | None:
    """Return the short way of an operand's cast, if it has one."""
    if not isinstance(operand.rule, Rule):
        return None
    assert isinstance(operand.format, Format)
    return tensor_cast(operand.rule, operand.format)


def _padded(source: Array, operand: Operand, axis: int) -> Array:
    """Return a matrix with zeros after it, to whole tiles of what it is rotated by."""
    if operand.rotation is None or not source.shape[axis] % len(operand.rotation.signs):
        return source
    missing = -source.shape[axis] % len(operand.rotation.signs)
    return np.pad(source, [(0, missing if one == axis else 0) for one in (0, 1)])


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, casts: Casts) -> Tensor:
    """
    Return ``x weight^T + bias`` with the casts of a recipe, and with its derivative.

    Parameters
    ----------
    x : Tensor of float32, shape (batch, in)
        Inputs.
    weight : Tensor of float32, shape (out, in)
        Master weights.
    bias : Tensor of float32, shape (out,), or None
        Added in float32.
    casts : Casts
        The layer's.

    Returns
    -------
    Tensor of float32, shape (batch, out)
        Where nothing is recorded for a derivative, delayed scales do not take notice.

    Raises
    ------
    ValueError
        If an accumulator does not take the operands.
    """
    inputs = [x, weight] if bias is None else [x, weight, bias]
    recorded = record(_NOTHING, inputs, lambda _: [None] * len(inputs)).requires_grad
    x_forward = casts.cast("x_forward", x.data, remember=recorded)
    w_forward = casts.cast("w_forward", weight.data, remember=recorded)
    y = casts.product("forward", x_forward, w_forward, transpose_b=True)
    if bias is not None:
        with np.errstate(all="ignore"):
            y += bias.data
    y = casts.rounded(y)
    if not recorded:
        return Tensor(y, name=casts.name)
    clip = casts.recipe.straight_through == "clip"
    beyond = [
        saturated_elements(factor.scaled, source.data) if clip and factor.scaled else None
        for factor, source in ((x_forward, x), (w_forward, weight))
    ]

    def vjp(gradient: Array) -> list[Array | None]:
        dx: Array | None = None
        g_dgrad: Factor | None = None
        if x.requires_grad:
            g_dgrad = casts.cast("g_dgrad", gradient)
            w_dgrad = casts.again("w_dgrad", "w_forward", w_forward, weight.data)
            dx = _kept(casts.rounded(casts.product("dgrad", g_dgrad, w_dgrad)), beyond[0])
        dw: Array | None = None
        if weight.requires_grad:
            g_wgrad = casts.again("g_wgrad", "g_dgrad", g_dgrad, gradient)
            x_wgrad = casts.again("x_wgrad", "x_forward", x_forward, x.data)
            found = casts.product("wgrad", g_wgrad, x_wgrad, transpose_a=True)
            dw = _kept(casts.rounded(found), beyond[1])
        db = [] if bias is None else [gradient.sum(axis=0)]
        return [dx, dw, *db]

    return record(y, inputs, vjp, casts.name)


def _kept(gradient: Array, beyond: npt.NDArray[np.bool_] | None) -> Array:
    """Return a gradient with zeros where elements saturated."""
    if beyond is not None:
        gradient[beyond] = 0
    return gradient
