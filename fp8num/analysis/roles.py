"""
What a tensor of a checkpoint is for: which axis a product sums over, and what stays in 16 bits.

A role is read off the name and the shape, as the packages that quantise checkpoints do, and says
so: what is assumed is a sentence of its own, and each part of it can be given instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["LAYOUTS", "NO_LAYERS", "Layout", "Role", "module_of", "role_of", "shared_name"]

Layout = Literal["out-in", "in-out", "convolution"]

#: Where a matrix product sums: the axis that is K, by how a weight lies in the file.
LAYOUTS: dict[str, str] = {
    "out-in": "(..., out, in): K is the last axis",
    "in-out": "(..., in, out): K is the last axis but one",
    "convolution": "(out, in, ...): K is all axes but the first",
}

#: What is kept in 16 bits, and the names that say so: of ModelOpt's, llm-compressor's and vLLM's
#: lists (November 2026), as patterns of a dotted name's parts.
_KEPT = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("output head", r"(^|\.)(lm_head|output_layer|proj_out|embed_out)(\.|$)|^output\."),
        ("embedding", r"(^|[._])(emb(ed)?d?(ing)?s?(_\w+)?|wte|wpe)(\.|$)"),
        (
            "router",
            r"(^|\.)(router|block_sparse_moe\.gate|mlp\.gate|mlp\.shared_expert_gate)(\.|$)",
        ),
        (
            "norm",
            r"(^|\.)((\w+_)?(layer|rms|batch|group)?_?norm(_?\d{1,2}|_[a-z])?|ln_\w+|ln\d*)(\.|$)",
        ),
        ("state space", r"(^|\.)(A_log|linear_attn\.conv1d|mixer\.conv1d)(\.|$)"),
        ("bias", r"(^|[._])bias$"),
    )
)
_CONV1D = re.compile(r"(^|\.)h\.\d+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)(\.|$)")
_IN_OUT_EXPERTS = re.compile(r"(^|\.)experts\.(gate_up_proj|down_proj)(\.weight)?$")
#: Roles of matrices that are no linear layers, so that no package quantises them.
NO_LAYERS = ("embedding", "norm", "bias", "vector", "state space")
#: Layers that one product computes together, so that they must be quantised alike.
_FUSED = (
    (re.compile(r"(^|\.)([qkv])_proj(?=\.|$)"), r"\1qkv_proj"),
    (re.compile(r"(^|\.)(gate|up)_proj(?=\.|$)"), r"\1gate_up_proj"),
    (re.compile(r"(^|\.)(query|key|value)(?=\.|$)"), r"\1query_key_value"),
    (re.compile(r"(^|\.)(w1|w3)(?=\.|$)"), r"\1w13"),
    (re.compile(r"(^|\.)(q_a_proj|kv_a_proj_with_mqa)(?=\.|$)"), r"\1fused_qkv_a_proj"),
)
#: Widths of a matrix that kernels of 8 bits take are multiples of this.
_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Role:
    """
    What a tensor is for.

    Attributes
    ----------
    kind : str
        ``"linear"``, or what keeps it in 16 bits: ``"output head"``, ``"embedding"``,
        ``"router"``, ``"norm"``, ``"state space"``, ``"bias"``, ``"vector"``, ``"odd width"``.
    layout : str or None
        Of `LAYOUTS`; None for a tensor that is no matrix.
    assumed : str
        What was read off the name and the shape, in words.
    """

    kind: str
    layout: Layout | None
    assumed: str

    @property
    def is_kept(self) -> bool:
        """Whether convention keeps it in 16 bits."""
        return self.kind != "linear"

    def matrix(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """
        Return the tensor with K last: shape (out, K), or (experts, out, K).

        Parameters
        ----------
        array : ndarray
            The tensor, of the shape that the role was read off.

        Returns
        -------
        ndarray
            A view where possible; a vector is one row.
        """
        if self.layout == "convolution":
            return array.reshape(len(array), -1)
        if self.layout == "in-out":
            return array.swapaxes(-1, -2)
        return array if array.ndim > 1 else array.reshape(1, -1)


def role_of(
    name: str,
    shape: tuple[int, ...],
    *,
    layout: Layout | None = None,
    keep: bool | None = None,
) -> Role:
    """
    Read a tensor's role off its name and shape.

    Parameters
    ----------
    name : str
        Its name in the checkpoint, parts divided by dots; may be empty.
    shape : tuple of int
        Its shape.
    layout : str, optional
        Of `LAYOUTS`; the default is inferred.
    keep : bool, optional
        Whether it stays in 16 bits; the default is the convention for such names.

    Returns
    -------
    Role
        The role.

    Raises
    ------
    ValueError
        If `layout` is unknown.

    References
    ----------
    ModelOpt's list of what is not quantised; llm-compressor's recipes (``ignore``); GPT-2's
    ``Conv1D``, which holds its weight as (in, out).

    Examples
    --------
    >>> role_of("model.layers.0.mlp.down_proj.weight", (640, 1728)).assumed
    '(out, in) by the shape'
    >>> role_of("h.0.attn.c_attn.weight", (768, 2304)).layout
    'in-out'
    >>> role_of("lm_head.weight", (32000, 4096)).kind
    'output head'
    """
    if layout is not None and layout not in LAYOUTS:
        msg = f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r:.80}"
        raise ValueError(msg)
    found, assumed = (layout, f"{layout}, as given") if layout else _layout(name, shape)
    kind = "linear" if keep is False else _kept(name, shape, found)
    if keep and kind == "linear":
        kind = "kept on request"
    return Role(kind, found, assumed)


def _layout(name: str, shape: tuple[int, ...]) -> tuple[Layout | None, str]:
    """Infer how a weight lies, and say why."""
    if len(shape) < 2:
        return None, "no matrix"
    if len(shape) == 2:
        if _CONV1D.search(name):
            return "in-out", "(in, out), GPT-2's Conv1D by the name"
        return "out-in", "(out, in) by the shape"
    if len(shape) == 3 and "expert" in name:
        if _IN_OUT_EXPERTS.search(name):
            return "in-out", "(experts, in, out) by the name"
        return "out-in", "(experts, out, in) by the name"
    return "convolution", "a convolution (out, in, ...) by the shape"


def _kept(name: str, shape: tuple[int, ...], layout: Layout | None) -> str:
    """Return what keeps a tensor in 16 bits, or ``"linear"``."""
    for kind, pattern in _KEPT:
        if pattern.search(name):
            return kind
    if layout is None:
        return "vector"
    widths = shape[-2:] if layout != "convolution" else (shape[0],)
    return "odd width" if any(n % _WIDTH for n in widths) else "linear"


def module_of(name: str) -> str:
    """Return the module that a parameter belongs to, as ignore lists write it."""
    return name.removesuffix(".weight")


def shared_name(name: str) -> str:
    """Return a name that layers computed by one product have in common."""
    for pattern, shared in _FUSED:
        name = pattern.sub(shared, name)
    return name
