"""
A linear layer with any recipe.

::

    x (batch, in) --cast--> product --+ b--> y (batch, out)
    master weights (out, in) --cast--^
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, generator, integer, text
from fp8num._kernels.state import float_arithmetic
from fp8num.nn._takes import check_depths
from fp8num.nn.quantized import Casts, Probe, linear
from fp8num.nn.recipes import get_recipe
from fp8num.nn.tape import is_recording
from fp8num.nn.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fp8num.nn.recipe import Recipe
    from fp8num.scaling.delayed import DelayedState

__all__ = ["Linear"]


class Linear:
    """
    ``y = x W^T + b`` with the casts and accumulators of a recipe.

    Parameters
    ----------
    features_in, features_out : int
        Lengths of a row of x and of y.
    rng : numpy.random.Generator
        Draws the weights, and what the layer's own generator starts from.
    bias : bool, optional
        Whether b is there.
    name : str, optional
        For parameters, messages and probes.
    recipe : str or Recipe, optional
        How the products are computed.
    probe : callable, optional
        Called for every operand that was quantised, with the layer's name, the role, the
        ScaledArray, and the float32 array it was made from (padded with zeros where a
        rotation needs whole tiles).  One cast that serves two products is shown twice.
    debug : bool, optional
        Whether every quantised operand is checked to be on its format's grid.

    Attributes
    ----------
    weight : Tensor of float32, shape (features_out, features_in)
        Master weights, uniform within ``1 / sqrt(features_in)`` at first, as PyTorch's.
    bias : Tensor of float32, shape (features_out,), or None
        The same.

    Raises
    ------
    TypeError, ValueError
        If a length is not positive, there is no such recipe, an accumulator of it does not
        take its operands at these lengths, or `rng` is no generator.

    Examples
    --------
    >>> layer = Linear(3, 2, rng=np.random.default_rng(0), recipe="te-current")
    >>> layer(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    @float_arithmetic
    def __init__(
        self,
        features_in: int,
        features_out: int,
        *,
        rng: np.random.Generator,
        bias: bool = True,
        name: str = "linear",
        recipe: str | Recipe = "fp32",
        probe: Probe | None = None,
        debug: bool = False,
    ) -> None:
        self.features_in = integer("features_in", features_in, 1)
        self.features_out = integer("features_out", features_out, 1)
        self.name = text("name of a layer", name)
        found = get_recipe(recipe)
        check_depths(name, found, {"forward": self.features_in, "dgrad": self.features_out})
        generator("rng", rng)
        limit = 1 / np.sqrt(self.features_in)

        def drawn(kind: str, *shape: int) -> Tensor:
            values = rng.uniform(-limit, limit, shape).astype(np.float32)
            return Tensor(values, requires_grad=True, name=f"{name}.{kind}")

        self.weight = drawn("weight", self.features_out, self.features_in)
        self.bias = drawn("bias", self.features_out) if bias else None
        # Drawn whatever the recipe, so that nets of one seed start alike.
        own = np.random.Generator(np.random.PCG64(int(rng.integers(1 << 63))))
        self._casts = Casts(name, found, own)
        self.probe, self.debug = probe, debug
        self._batches: set[int] = set()  # lengths that wgrad is known to take

    @property
    def recipe(self) -> Recipe:
        """How the products are computed."""
        return self._casts.recipe

    @property
    def probe(self) -> Probe | None:
        """What is called for every quantised operand."""
        return self._casts.probe

    @probe.setter
    def probe(self, probe: Probe | None) -> None:
        self._casts.probe = probe

    @property
    def debug(self) -> bool:
        """Whether quantised operands are checked."""
        return self._casts.debug

    @debug.setter
    def debug(self, debug: bool) -> None:
        self._casts.debug = bool(debug)

    @property
    def delayed(self) -> Mapping[str, DelayedState]:
        """The states of delayed scales, of x, w and g where they have one."""
        return MappingProxyType(self._casts.states)

    @property
    def saturated(self) -> int:
        """
        How many elements were beyond the range since the step began.

        They are counted if the recipe takes saturation for overflow.
        """
        return self._casts.saturated

    @saturated.setter
    def saturated(self, count: int) -> None:
        self._casts.saturated = count

    @float_arithmetic
    def __call__(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Apply the layer."""
        given = self._input(x)
        batch = given.shape[0]
        if batch and is_recording() and batch not in self._batches:
            check_depths(self.name, self.recipe, {"wgrad": batch})
            self._batches.add(batch)
        return linear(given, self.weight, self.bias, self._casts)

    def _input(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Return inputs that the layer takes."""
        wanted = (
            f"layer {self.name!r} with recipe {self.recipe.name!r} must be given float32 of shape "
            f"(batch, {self.features_in})"
        )
        given = x if isinstance(x, Tensor) else _array(wanted, x)
        if given.dtype.type is not np.float32:
            advice = "; x.astype(np.float32) converts it" if given.dtype.kind in "fiub" else ""
            msg = f"{wanted}, got {given.dtype} of shape {given.shape}{advice}"
            raise TypeError(msg)
        if given.ndim != 2 or given.shape[1] != self.features_in:
            msg = f"{wanted}, got shape {given.shape}"
            raise ValueError(msg)
        return given if isinstance(given, Tensor) else Tensor(given)

    def parameters(self) -> dict[str, Tensor]:
        """
        Return what is trained.

        Returns
        -------
        dict of str to Tensor
            NAME.weight and NAME.bias.
        """
        return {one.name: one for one in (self.weight, self.bias) if one is not None}

    def end_step(self) -> None:
        """Update delayed scales from what this step recorded; to be called after each step."""
        self._casts.end_step()

    def state(self) -> dict[str, Any]:
        """
        Return all that the layer remembers besides its parameters.

        Returns
        -------
        dict
            Delayed scales and the generator's state; JSON can hold it.
        """
        return self._casts.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """
        Continue where another layer of the same recipe was.

        Parameters
        ----------
        state : mapping
            What `state` returned.

        Raises
        ------
        ValueError
            If it is the state of something else; nothing has changed then.
        """
        self._casts.restore(state)


def _array(wanted: str, x: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return an array of inputs, whatever its type is."""
    try:
        return as_array(x)
    except (TypeError, ValueError) as error:
        msg = f"{wanted}: {error}"
        raise type(error)(msg) from error
