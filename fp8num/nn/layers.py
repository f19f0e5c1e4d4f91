"""
Layers: a linear one with any recipe, and nets of them.

::

    MLP([64, 512, 10])   x --Linear--> . --relu--> . --Linear--> logits
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import choice, integer, refuse
from fp8num._kernels.state import float_arithmetic
from fp8num._names import Catalogue
from fp8num._text import brief
from fp8num.nn import rules
from fp8num.nn._widths import widths
from fp8num.nn.linear import Linear
from fp8num.nn.quantized import Probe
from fp8num.nn.recipes import get_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.nn.recipe import Recipe
    from fp8num.nn.tensor import Tensor

__all__ = ["ACTIVATIONS", "MLP", "Linear", "Probe"]

#: What may stand between the layers of a net.
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = Catalogue(
    {
        "relu": rules.relu,
        "gelu": rules.gelu,
        "silu": rules.silu,
        "tanh": rules.tanh,
        "sigmoid": rules.sigmoid,
    },
    "activations",
    (),
)


class MLP:
    """
    Linear layers with an activation between them.

    Parameters
    ----------
    sizes : sequence of int, or ndarray
        Features of the input, of each hidden layer, and of the output.
    rng : numpy.random.Generator, optional
        Draws the weights; or `seed` does.
    seed : int, optional
        0 if there is no generator.
    recipe : str or Recipe, optional
        Of every layer,
    first_recipe, last_recipe : str or Recipe, optional
        but of the first and the last, which are often kept in high precision.
    activation : str, optional
        One of `ACTIVATIONS`.
    probe, debug : optional
        As for `Linear`.

    Attributes
    ----------
    layers : tuple of Linear
        Named layer0, layer1 and so on.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two sizes, a name is unknown, or an accumulator does not
        take its operands at these sizes.

    Examples
    --------
    >>> from fp8num.nn.losses import cross_entropy
    >>> model = MLP([4, 8, 3], seed=1, recipe="mxfp8")
    >>> loss = cross_entropy(model(np.ones((2, 4), np.float32)), [0, 2])
    >>> loss.backward()
    >>> {name: one.grad.shape for name, one in model.parameters().items() if "weight" in name}
    {'layer0.weight': (8, 4), 'layer1.weight': (3, 8)}
    """

    @float_arithmetic
    def __init__(
        self,
        sizes: Sequence[int] | npt.NDArray[Any],
        *,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
        recipe: str | Recipe = "fp32",
        activation: str = "relu",
        first_recipe: str | Recipe | None = None,
        last_recipe: str | Recipe | None = None,
        probe: Probe | None = None,
        debug: bool = False,
    ) -> None:
        self.sizes = widths(sizes)
        self.activation = choice("activation", activation, ACTIVATIONS)
        if rng is not None and seed is not None:
            msg = f"seed must not be given beside rng, got {brief(seed)}"
            raise ValueError(msg)
        if rng is None:
            rng = np.random.default_rng(integer("seed", 0 if seed is None else seed, 0))
        last = len(self.sizes) - 2
        recipes = [get_recipe(recipe)] * (last + 1)
        if last_recipe is not None:
            recipes[last] = get_recipe(last_recipe)
        if first_recipe is not None:
            recipes[0] = get_recipe(first_recipe)
        self.layers = tuple(
            Linear(
                self.sizes[i],
                self.sizes[i + 1],
                rng=rng,
                name=f"layer{i}",
                recipe=recipes[i],
                probe=probe,
                debug=debug,
            )
            for i in range(last + 1)
        )

    @float_arithmetic
    def __call__(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Apply the layers."""
        between = ACTIVATIONS[self.activation]
        for layer in self.layers[:-1]:
            x = between(layer(x))
        return self.layers[-1](x)

    @property
    def probe(self) -> Probe | None:
        """What is called for every quantised operand of every layer."""
        return self.layers[0].probe

    @probe.setter
    def probe(self, probe: Probe | None) -> None:
        for layer in self.layers:
            layer.probe = probe

    @property
    def debug(self) -> bool:
        """Whether quantised operands are checked."""
        return self.layers[0].debug

    @debug.setter
    def debug(self, debug: bool) -> None:
        for layer in self.layers:
            layer.debug = debug

    @property
    def saturated(self) -> int:
        """How many elements were beyond the range since the step began; see `Linear`."""
        return sum(layer.saturated for layer in self.layers)

    def parameters(self) -> dict[str, Tensor]:
        """
        Return what is trained.

        Returns
        -------
        dict of str to Tensor
            layer0.weight, layer0.bias and so on.
        """
        return {name: one for layer in self.layers for name, one in layer.parameters().items()}

    def end_step(self) -> None:
        """Update delayed scales from what this step recorded; to be called after each step."""
        for layer in self.layers:
            layer.end_step()

    def state(self) -> dict[str, Any]:
        """
        Return all that the layers remember besides their parameters.

        Returns
        -------
        dict
            By layer; JSON can hold it.
        """
        return {layer.name: layer.state() for layer in self.layers}

    def restore(self, state: Mapping[str, Any]) -> None:
        """
        Continue where another net of the same recipes was.

        Parameters
        ----------
        state : mapping
            What `state` returned.

        Raises
        ------
        ValueError
            If it is the state of something else.
        """
        names = [layer.name for layer in self.layers]
        if not isinstance(state, Mapping) or sorted(state) != sorted(names):
            given = list(state) if isinstance(state, Mapping) else state
            refuse("state", f"of the layers {', '.join(names)}", given)
        for layer in self.layers:
            layer.restore(state[layer.name])
