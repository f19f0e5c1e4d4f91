"""
Installed libraries as implementations, which can be judged and swept like any other.

::

    get_peer("torch", "E4M3FN", "float32") -> Implementation -> check, diff, sweep

Each library is imported when it is asked for, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fp8num._arguments import choice
from fp8num._names import Catalogue
from fp8num.formats import Format, get_format
from fp8num.verify.peers.library import load
from fp8num.verify.peers.peer import LIBRARIES, Peer, PeerImplementation
from fp8num.verify.sources import SourceType, get_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

__all__ = ["LIBRARIES", "PEERS", "Peer", "PeerImplementation", "available", "get_peer"]

#: What each peer is.
PEERS: Mapping[str, str] = Catalogue(
    {name: one.about for name, one in LIBRARIES.items()}, "libraries", ()
)


def available() -> tuple[str, ...]:
    """
    Import every library that there is, and return the peers that can be used.

    Returns
    -------
    tuple of str
        Names of `PEERS`.  This takes as long as the imports do; QPyTorch's compiles C++.
    """
    return tuple(name for name in LIBRARIES if _failure(name) is None)


def get_peer(
    name: str, fmt: Format | str, source: SourceType | npt.DTypeLike | str = "float32"
) -> PeerImplementation:
    """
    Return an installed library's conversion.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    fmt : Format or str
        The format.
    source : SourceType, str or dtype, optional
        The type of values.

    Returns
    -------
    PeerImplementation
        An `Implementation` that encodes values and, given unsigned integers, decodes codes.
        A process pool can have it.

    Raises
    ------
    ValueError
        If there is no such peer, it is not installed, or has no such format or source.

    Examples
    --------
    >>> import numpy as np
    >>> peer = get_peer("ml_dtypes", "E4M3FN", "float64")
    >>> peer.function(np.array([1.0, 464.0, 480.0]))  # 464 is the tie between 448 and 480
    array([ 56, 126, 127], dtype=uint8)
    """
    choice("implementation", name, LIBRARIES, advice="or name a file, or module:function")
    fmt, source, library = get_format(fmt), get_source(source), LIBRARIES[name]
    if fmt.name not in library.formats:
        msg = f"fmt must be one of {', '.join(library.formats)} for {name}, got {fmt.name}"
        raise ValueError(msg)
    if source.name not in library.sources:
        msg = f"source must be one of {', '.join(library.sources)} for {name}, got {source.name}"
        raise ValueError(msg)
    failure = _failure(name)
    if failure is not None:
        msg = f"{name} cannot be imported ({failure}); pip install {library.install}"
        raise ValueError(msg)
    title = f"{name} {library.version}"
    if not library.exact:
        title += f" (an answer that {fmt.name} does not have shows as a value far from the input)"
    return PeerImplementation(Peer(name, fmt, source), title)


def _failure(name: str) -> str | None:
    """Return why a peer cannot be used, if so."""
    try:
        for module in LIBRARIES[name].modules:
            load(module)
    except Exception as error:  # noqa: BLE001 - a library may fail in any way to be imported
        return f"{type(error).__name__}: {error}"
    return None
