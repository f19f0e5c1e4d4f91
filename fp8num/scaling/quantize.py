"""
Find the scales of an array's blocks, apply them, or both at once, in cache-sized pieces.

::

    region of blocks --finder--> magnitudes --scale--> factors        find_scales
                                    factors --x * factor--> codes     apply_scales
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array, thread_count
from fp8num._kernels.blocks import share
from fp8num._kernels.encoder import decoder
from fp8num._kernels.float32 import add, as_float32, as_float64, divide, multiply
from fp8num._kernels.state import float_arithmetic
from fp8num._kernels.words import as_values
from fp8num.codec import decode, encode
from fp8num.codec._checks import random_source, refuse_random
from fp8num.formats import E4M3FN
from fp8num.scaled import Blocks, Descale, Region, ScaledArray, beside, slabs
from fp8num.scaled.array import assembled, quantized_by
from fp8num.scaling.applying import Applier, applier
from fp8num.scaling.catalogue import get_rule
from fp8num.scaling.finders import Amax, largest_magnitude, no_errors
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.rule import Rule
from fp8num.scaling.scales import Context, Scales, TwoLevel

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["apply_scales", "find_scales", "largest_input", "places", "quantize", "scale_quantize"]

Floats = npt.NDArray[np.float32]
_EMPTY_AMAX = np.zeros((), np.float32)


@float_arithmetic
def scale_quantize(
    x: npt.ArrayLike,
    rule: str | Rule,
    *,
    fmt: Format | str | None = None,
    axis: int = -1,
    scales: npt.ArrayLike | None = None,
    tensor_amax: npt.ArrayLike | None = None,
    random_bits: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    threads: int = 1,
) -> ScaledArray:
    """
    Scale values by a rule and round them to a format.

    Parameters
    ----------
    x : array_like, shape (...)
        Values of any real type.  Libraries' rules take them to float32 first, as the
        libraries do; our own round each product once, from the values' own type.
    rule : str or Rule
        A name of `fp8num.scaling.RULES`, ``"block-N"``, ``"block-NxM"``, or a rule.
    fmt : Format or str, optional
        The elements' format; the default is the rule's own, E4M3FN where it takes any.
    axis : int, optional
        The axis that blocks and rows run along, which a matrix product contracts.
        Two-dimensional blocks lie on the last two axes.
    scales : array_like of float32, optional
        Scales to use instead of finding them, one for each block: what decoded values
        are multiplied by.  They must be positive and finite, and exact in the rule's
        own scale format; `fp8num.scaling.apply_scales` takes any.
    tensor_amax : float, optional
        For rules of two levels (NVFP4): the largest magnitude to make the tensor's scale
        of, in place of that of `x`.  Layers that are fused (query, key and value) share
        one, the largest of them all; blocks beyond a smaller one saturate.
    random_bits : array_like of int, broadcastable to the shape of `x`, optional
        For rules that round stochastically: integers below ``2**32``, or two to the cast's
        `random_width`.
    rng : numpy.random.Generator, optional
        Draws them instead: one uint32 for each element, in C order.
    threads : int, optional
        Threads that share the work; the result does not depend on it.

    Returns
    -------
    ScaledArray
        Codes of the shape of `x`, and the scales as the rule's library keeps them.

    Raises
    ------
    TypeError
        If `x` is complex, boolean, text, a date or an object, `rule` no rule, or
        `tensor_amax` no number.
    ValueError
        If the rule is unknown or does not take the format, there is no such axis, a
        block may not be ragged and is, `scales` are not usable, `tensor_amax` is not
        positive and finite in float32 or the rule has one level, or random bits are
        missing.

    Notes
    -----
    Memory beyond the result is that of some blocks, but for rules that draw at random (4
    bytes an element), rotate (4), take percentiles or search for a clip (the block).

    An element that does not saturate differs from its value by at most half a unit in
    the last place of its code, times the scale, and by what float32 arithmetic adds
    where the rule uses it.

    Examples
    --------
    >>> import fp8num as fp
    >>> scaled = fp.scale_quantize([[0.25, 1.75, 100.0, 0.4]], "block-2")
    >>> scaled.scales.tolist()
    [[0.00390625, 0.2232142835855484]]
    >>> scaled.dequantize().tolist()
    [[0.25, 1.75, 100.0, 0.390625]]
    """
    job = _job(
        x, rule, fmt, axis,
        threads=threads, random_bits=random_bits, rng=rng, given=scales is not None,
    )  # fmt: skip
    if scales is None:
        return _finding(job, tensor_amax).apply()
    if tensor_amax is not None:
        _given_amax(tensor_amax, job.way.rule)
    return job.apply(_given(scales, job, exact=True))


def quantize(
    x: npt.ArrayLike,
    rule: Rule,
    *,
    fmt: Format | str | None,
    axis: int,
    scales: npt.ArrayLike | None,
    tensor_amax: npt.ArrayLike | None,
    random_bits: npt.ArrayLike | None,
    rng: np.random.Generator | None,
    threads: int,
) -> ScaledArray:
    """Apply a rule; see `scale_quantize`."""
    return scale_quantize(
        x,
        rule,
        fmt=fmt,
        axis=axis,
        scales=scales,
        tensor_amax=tensor_amax,
        random_bits=random_bits,
        rng=rng,
        threads=threads,
    )


@float_arithmetic
def find_scales(
    x: npt.ArrayLike,
    rule: str | Rule,
    *,
    fmt: Format | str | None = None,
    axis: int = -1,
    tensor_amax: npt.ArrayLike | None = None,
    threads: int = 1,
) -> Scales:
    """
    Find the scales that a rule gives an array's blocks, without quantising it.

    Parameters
    ----------
    x : array_like, shape (...)
        Values of any real type.
    rule : str or Rule
        As `scale_quantize` takes it.
    fmt : Format or str, optional
        The elements' format, whose largest value the scales depend on.
    axis : int, optional
        The axis that blocks and rows run along.
    tensor_amax : float, optional
        For rules of two levels: the largest magnitude to make the tensor's scale of.
    threads : int, optional
        Threads that share the work; the result does not depend on it.

    Returns
    -------
    Scales
        `stored`, as the rule's library keeps them, `factor`, what elements are multiplied
        by (or divided, as the rule says), one for each block, and of two levels the
        `tensor_amax`.

    Raises
    ------
    TypeError, ValueError
        As `scale_quantize`.

    Examples
    --------
    >>> found = find_scales([[0.25, 1.75, 100.0, 0.4]], "block-2")
    >>> found.factor.tolist()
    [[256.0, 4.480000019073486]]
    """
    job = _job(x, rule, fmt, axis, threads=threads)
    return _finding(job, tensor_amax).scales()


@float_arithmetic
def apply_scales(
    x: npt.ArrayLike,
    scales: Scales | npt.ArrayLike,
    rule: str | Rule,
    *,
    fmt: Format | str | None = None,
    axis: int = -1,
    random_bits: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    threads: int = 1,
) -> ScaledArray:
    """
    Quantise values with scales that are given, as a rule applies them.

    Parameters
    ----------
    x : array_like, shape (...)
        Values of any real type.
    scales : Scales, or array_like of float32
        What `find_scales` found, in `x` or elsewhere; or what decoded values are multiplied
        by, positive and finite, one for each block or one number.
    rule : str or Rule
        Says where blocks are, and how elements are scaled and cast; its formula of scales
        plays no part.
    fmt : Format or str, optional
        The elements' format.
    axis : int, optional
        The axis that blocks and rows run along.
    random_bits, rng : optional
        For rules that round stochastically, as in `scale_quantize`.
    threads : int, optional
        Threads that share the work; the result does not depend on it.

    Returns
    -------
    ScaledArray
        With the scales as they were given.  Numbers are stored as codes of the rule's own
        scale format if all are values of it, else in float32 without a scale of the tensor.

    Raises
    ------
    TypeError, ValueError
        As `scale_quantize`; or if the scales are not one for each block.

    Examples
    --------
    A scale that no exponent of MX can hold.

    >>> scaled = apply_scales([1.0, 2.0, 3.0], 0.75, "mxfp8-e4m3fn")
    >>> scaled.scales.tolist(), scaled.dequantize().tolist()
    ([0.75], [1.03125, 2.0625, 3.0])
    """
    job = _job(
        x, rule, fmt, axis,
        threads=threads, random_bits=random_bits, rng=rng, given=True,
    )  # fmt: skip
    if isinstance(scales, Scales):
        return job.apply(_checked(scales, job))
    return job.apply(_given(scales, job, exact=False))


@quantized_by.register(Rule)
@quantized_by.register(str)
def _(rule: str | Rule, values: npt.NDArray[Any], *, fmt: Format | None, axis: int) -> ScaledArray:
    return scale_quantize(values, rule, fmt=fmt, axis=axis)


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """What a rule comes to for a format and a type of values."""

    rule: Rule
    fmt: Format
    applier: Applier
    largest: np.float32  #: the largest finite number of the type
    is_two_level: bool
    kind: np.dtype[Any]  #: of stored scales


def _way(rule: str | Rule, fmt: Format | str | None, dtype: np.dtype[Any], given: bool) -> _Way:  # noqa: FBT001 - a key of the cache
    rule = get_rule(rule)
    fmt = rule.choose_format(fmt)
    apply = applier(rule, fmt, dtype, unscaled=rule.is_unscaled and not given)
    kind = np.dtype(np.float32 if rule.scale.format is None else np.uint8)
    return _Way(rule, fmt, apply, largest_input(dtype), rule.is_two_level, kind)


_way_of_name = lru_cache(maxsize=256)(_way)


@dataclass(frozen=True, slots=True)
class _Job:
    """An array to be quantised: where its blocks are, and how factors are applied to them."""

    way: _Way
    axis: int
    values: npt.NDArray[Any]  #: rotated, if the rule does that
    block: tuple[int, ...]
    counts: tuple[int, ...]  #: of blocks on each axis
    regions: tuple[Region, ...]
    random: npt.NDArray[Any] | None
    threads: int
    is_number: bool  #: whether `x` was one, which is quantised as an array of one

    def put(
        self, region: Region, view: npt.NDArray[Any], factor: Floats, codes: npt.NDArray[Any]
    ) -> None:
        """Write the codes of a region."""
        random = None if self.random is None else region.split(self.random)
        self.way.applier.encode(view, factor, region.split(codes), random)

    def apply(self, scales: Scales) -> ScaledArray:
        """Quantise with scales that are there for every block."""
        codes = np.empty(self.values.shape, self.way.applier.code_dtype)

        def run(region: Region) -> None:
            view = region.split(self.values)
            self.put(region, view, scales.factor[region.scales], codes)

        share(run, self.regions, self.threads)
        scaled = self.array(codes, scales)
        scaled.__post_init__()  # the scales are somebody else's
        return scaled

    def array(self, codes: npt.NDArray[Any], scales: Scales) -> ScaledArray:
        """Put codes and scales together, which fit."""
        rule, fmt, stored = self.way.rule, self.way.fmt, scales.stored
        if rule.granularity.kind == "tensor":
            stored = stored.reshape(()) if stored.size else np.ones((), np.float32)
        own = None if stored.dtype == np.float32 else rule.scale.format
        amax = None if own is None else scales.tensor_amax
        two_level = () if amax is None else _tensor_way(rule, fmt)
        block, axis = self.block, self.axis
        if self.is_number:
            codes, block, axis = codes.reshape(()), (), -1
        return assembled(codes, fmt, stored, block, own, axis, rule.way_out, amax, rule, *two_level)


def _job(
    x: npt.ArrayLike,
    rule: str | Rule,
    fmt: Format | str | None,
    axis: int,
    *,
    threads: int,
    random_bits: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    given: bool | None = None,
) -> _Job:
    """Check arguments; `given` says whether scales are, and None that nothing is quantised."""
    values = as_values(x)
    find = _way_of_name if isinstance(rule, str) and isinstance(fmt, str | None) else _way
    way = find(rule, fmt, values.dtype, bool(given))
    rule, apply = way.rule, way.applier
    is_number = values.ndim == 0 and rule.granularity.kind == "tensor"
    if is_number:
        values, axis = values.reshape(1), 0
        random_bits = None if random_bits is None else np.reshape(random_bits, 1)
    threads = thread_count(threads)
    random = None
    if (apply.random_width and given is not None) or random_bits is not None or rng is not None:
        random = _random(apply, random_bits, rng, values.shape)
    blocks, counts, regions = places(rule.granularity, values.shape, axis)
    if rule.rotation is not None:
        values = rule.rotation.apply(values, axis)
    along = axis % values.ndim
    return _Job(way, along, values, blocks.block, counts, regions, random, threads, is_number)


@lru_cache(maxsize=64, typed=True)  # True is no axis
def places(
    granularity: Granularity, shape: tuple[int, ...], axis: int
) -> tuple[Blocks, tuple[int, ...], tuple[Region, ...]]:
    """Return where blocks are, how many, and the regions that are worked on one by one."""
    blocks = Blocks(shape, granularity.block(shape, axis))
    return blocks, blocks.counts, tuple(blocks.regions())


@dataclass(frozen=True, slots=True)
class _Searching:
    """A job whose scales are to be found."""

    job: _Job
    context: Context
    tensor_amax: np.float32 | Floats | None  #: of two levels

    def scales(self) -> Scales:
        """Return the scales of all blocks."""
        job = self.job
        stored, factor = np.empty(job.counts, job.way.kind), np.empty(job.counts, np.float32)

        def run(region: Region) -> None:
            found = self._find(region, region.split(job.values))
            stored[region.scales], factor[region.scales] = found.stored, found.factor

        share(run, job.regions, job.threads)
        if job.way.rule.granularity.kind == "tensor":
            found = Scales(stored, factor) if stored.size else self._of_nothing()
            stored, factor = found.stored.reshape(()), found.factor.reshape(())
        return Scales(stored, factor, self.tensor_amax)

    def apply(self) -> ScaledArray:
        """Return the array quantised, each region while it is in the cache."""
        job = self.job
        stored, codes = (
            np.empty(job.counts, job.way.kind),
            np.empty(job.values.shape, job.way.applier.code_dtype),
        )

        def run(region: Region) -> None:
            view = region.split(job.values)
            found = self._find(region, view)
            stored[region.scales] = found.stored
            job.put(region, view, found.factor, codes)

        share(run, job.regions, job.threads)
        if not stored.size and job.way.rule.granularity.kind == "tensor":
            stored = np.asarray(self._of_nothing().stored)
        return job.array(codes, Scales(stored, _EMPTY_AMAX, self.tensor_amax))

    def _of_nothing(self) -> Scales:
        """Return the scale of a tensor without elements."""
        return self.job.way.rule.scale.find(_EMPTY_AMAX, self.context)

    def _find(self, region: Region, view: npt.NDArray[Any]) -> Scales:
        """Return the scales of a region's blocks."""
        rule = self.job.way.rule
        context = self._of_rows(region) if np.ndim(self.context.tensor_amax) else self.context
        amax = rule.finder.find(view, lambda amax: self._errors(view, amax))
        found = rule.scale.find(amax, context)
        if isinstance(rule.scale, TwoLevel) and rule.scale.choice:
            found = self._chosen(view, amax, found, context)
        return found

    def _of_rows(self, region: Region) -> Context:
        """Return what a formula may use in a region, whose rows have their own amax."""
        at = list(region.scales)
        at[self.job.axis] = slice(None)
        amax = np.asarray(self.context.tensor_amax)[tuple(at)]
        return self.context._replace(tensor_amax=amax)

    def _chosen(
        self, view: npt.NDArray[Any], amax: Floats, six: Scales, context: Context
    ) -> Scales:
        """Return of each block the scale with the smaller error, on equal ones that to 6."""
        assert isinstance(self.job.way.rule.scale, TwoLevel)
        four = self.job.way.rule.scale.find_wider(amax, context)
        with np.errstate(all="ignore"):
            better = self._float32_errors(view, four, context) < self._float32_errors(
                view, six, context
            )
        return Scales(
            np.where(better, four.stored, six.stored), np.where(better, four.factor, six.factor)
        )

    def _float32_errors(self, view: npt.NDArray[Any], found: Scales, context: Context) -> Floats:
        """Return each block's error as TransformerEngine's kernel sums it up, in float32."""
        assert isinstance(self.job.way.rule.scale, TwoLevel)
        codes = np.empty(view.shape, self.job.way.applier.code_dtype)
        self.job.way.applier.encode(view, found.factor, codes)
        spread = [length for n in found.stored.shape for length in (n, 1)]
        amax = np.asarray(context.tensor_amax, np.float32)
        amax = amax.reshape([length for n in amax.shape for length in (n, 1)])
        value = multiply(
            decode(codes, self.job.way.fmt), self._decoded(found.stored).reshape(spread)
        )
        value = divide(multiply(value, amax), self.job.way.rule.scale.bound(self.job.way.fmt))
        single = as_float32(np.ascontiguousarray(view)).reshape(view.shape)
        error = add(value, -single)
        error = multiply(error, error) if self.job.way.rule.scale.choice == "mse" else np.abs(error)
        # Elements of a block's row in their order, then rows by halves, missing ones as zeros.
        within = 2 * (self.job.axis % (view.ndim // 2)) + 1
        total = np.zeros((), np.float32)
        for element in np.moveaxis(error, within, 0):
            total = add(total, element)
        total = np.expand_dims(total, within)
        for other in range(1, view.ndim, 2):
            while other != within and total.shape[other] > 1:
                total = np.moveaxis(total, other, 0)
                half = 1 << (len(total) - 1).bit_length() - 1
                rest = np.zeros((2 * half - len(total), *total.shape[1:]), np.float32)
                total = add(total[:half], np.concatenate([total[half:], rest]))
                total = np.moveaxis(total, 0, other)
        return total.reshape(found.stored.shape)

    def _errors(self, view: npt.NDArray[Any], amax: Floats) -> npt.NDArray[np.float64]:
        """Return each block's squared error if its scale were made for a magnitude."""
        found = self.job.way.rule.scale.find(amax, self.context)
        codes = np.empty(view.shape, self.job.way.applier.code_dtype)
        self.job.way.applier.encode(view, found.factor, codes)
        total = np.zeros(amax.shape)
        table = decoder(self.job.way.fmt, np.dtype(np.float64))
        stored = self._decoded(found.stored).astype(np.float64)
        stored = stored.reshape([length for n in stored.shape for length in (n, 1)])
        inner = tuple(range(1, view.ndim, 2))
        for part in slabs(view.shape):
            near = stored[beside(part, stored.shape)]
            decoded = table.take(codes[part])
            divides = self.job.way.rule.way_out is Descale.DIVIDE
            with np.errstate(all="ignore"):
                decoded = decoded / near if divides else decoded * near
                exact = as_float64(np.ascontiguousarray(view[part])).reshape(decoded.shape)
                error = np.where(np.isfinite(exact), decoded - exact, 0.0)
                total[part[::2]] += np.sum(error * error, axis=inner)
        return total

    def _decoded(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        scale_format = self.job.way.rule.scale.format
        return stored if scale_format is None else decode(stored, scale_format)


def _finding(job: _Job, tensor_amax: npt.ArrayLike | None) -> _Searching:
    """Return a job with what its rule's formula may use."""
    asked = job.way.is_two_level or tensor_amax is not None
    amax = _tensor_amax(tensor_amax, job) if asked else np.float32(0)
    return _Searching(job, Context(job.way.fmt, amax, job.way.largest), amax if asked else None)


def _random(
    apply: Applier,
    random_bits: npt.ArrayLike | None,
    rng: np.random.Generator | None,
    shape: tuple[int, ...],
) -> npt.NDArray[Any] | None:
    """Return random bits for each element, in C order, if the rule needs them."""
    width = apply.random_width
    if not width:
        refuse_random(random_bits, None, rng, apply.projection.rounding.value)
        return None
    random, _ = random_source(random_bits, None if random_bits is None else width, rng, shape)
    if isinstance(random, np.random.Generator):
        return random.integers(0, 1 << width, shape, np.uint32)
    return np.broadcast_to(random, shape)


@lru_cache(maxsize=32)
def largest_input(dtype: np.dtype[Any]) -> np.float32:
    """Return the largest finite number of a type, or float32's if that is smaller."""
    if dtype.name == "bfloat16":
        return np.float32(float.fromhex("0x1.fep127"))
    largest = float(np.finfo(dtype).max) if dtype.kind == "f" else np.inf
    return np.float32(min(largest, float(np.finfo(np.float32).max)))


def _tensor_amax(given: npt.ArrayLike | None, job: _Job) -> np.float32 | Floats:
    """Return the largest magnitude for a tensor's scale, or those for its rows'."""
    rule, values = job.way.rule, job.values
    if given is not None:
        return _given_amax(given, rule)
    finder = rule.finder if isinstance(rule.finder, Amax) else Amax("ignore")
    if not rule.is_by_row:
        return largest_magnitude(values, Amax(finder.nan))
    rows = Blocks(values.shape, Granularity("row").block(values.shape, job.axis))
    found = np.zeros(rows.counts, np.float32)
    for region in rows.regions():
        found[region.scales] = finder.find(region.split(values), no_errors)
    return found


def _tensor_way(rule: Rule, fmt: Format) -> tuple[float | None, bool]:
    """Return what a scaled array has to know of how its tensor's scale is made."""
    if not (isinstance(rule.scale, TwoLevel) and rule.is_two_level):
        return None, False
    usual = rule.scale.largest == float(E4M3FN.max)
    return None if usual else float(rule.scale.bound(fmt)), rule.scale.quotients


def _given_amax(amax: npt.ArrayLike, rule: Rule) -> np.float32:
    """Return the tensor's largest magnitude that the caller gave, in float32."""
    if rule.is_by_row:
        msg = f"tensor_amax cannot be given for {rule.name}, whose rows have their own"
        raise ValueError(msg)
    if not rule.is_two_level:
        msg = f"tensor_amax is for rules of two levels, {rule.name} has one; leave it out"
        raise ValueError(msg)
    asked = np.asarray(amax)
    if asked.dtype.kind not in "fiu" and asked.dtype.name != "bfloat16":
        msg = f"tensor_amax must be a real number, got {amax!r:.80}"
        raise TypeError(msg)
    if asked.shape != ():
        msg = f"tensor_amax must be one number, got an array of shape {asked.shape}"
        raise ValueError(msg)
    found = as_float32(as_values(asked).reshape(1))
    if not 0 < int(found.view(np.uint32)[0]) < 0x7F800000:
        msg = f"tensor_amax must be positive and finite in float32, got {amax!r:.80}"
        raise ValueError(msg)
    return found[0]  # type: ignore[no-any-return]  # an element's type


def _checked(scales: Scales, job: _Job) -> Scales:
    """Return scales that were found before, one for each block."""
    own, counts = job.way.rule.scale.format, job.counts
    stored, factor = as_array(scales.stored, "scales"), as_array(scales.factor, "scales")
    kind = np.dtype(np.float32 if own is None else own.code_dtype)
    if stored.dtype not in (kind, np.float32) or factor.dtype != np.float32:
        msg = (
            f"scales must hold {kind} and factors in float32 for {job.way.rule.name}, got "
            f"{stored.dtype} and {factor.dtype}; find_scales() makes them"
        )
        raise TypeError(msg)
    if stored.shape not in (counts, ()) or factor.shape not in (counts, ()):
        msg = (
            f"scales must have shape {counts}, one for each block, or be one, got {stored.shape} "
            f"and factors of {factor.shape}"
        )
        raise ValueError(msg)
    if job.way.rule.is_two_level and stored.dtype == kind and scales.tensor_amax is None:
        name = job.way.rule.name
        msg = f"scales must have a tensor_amax for {name}, got none; find_scales() adds it"
        raise ValueError(msg)
    if 0 not in counts:
        stored, factor = (np.broadcast_to(each, counts) for each in (stored, factor))
    return Scales(stored, factor, scales.tensor_amax)


def _given(scales: npt.ArrayLike, job: _Job, *, exact: bool) -> Scales:
    """Return scales that the caller gave as numbers, as the rule would have stored them."""
    rule = job.way.rule
    if rule.is_two_level and exact:
        msg = (
            f"scales cannot be given for {rule.name}, whose blocks share the tensor's amax; "
            "apply_scales() takes those with the tensor's scale in them"
        )
        raise ValueError(msg)
    wanted = _numbers(scales, job.counts)
    inverse = divide(np.float32(1), wanted)
    stored: npt.NDArray[Any] = inverse if rule.way_out is Descale.DIVIDE else wanted
    factor = wanted if rule.way_in is Descale.DIVIDE else inverse
    if rule.scale.format is None or rule.is_two_level:
        return Scales(stored, factor)
    codes = encode(wanted, rule.scale.format)
    # By their bits: subnormals differ whatever the process does to them.
    decoded = decode(codes, rule.scale.format)
    off = decoded.view(np.uint32) != np.ascontiguousarray(wanted).view(np.uint32)
    if off.any() and exact:
        msg = (
            f"scales must be values of {rule.scale.format.name} for {rule.name}, "
            f"got {float(wanted[off][0])!r}; encode() them first, or apply_scales() takes any"
        )
        raise ValueError(msg)
    return Scales(stored if off.any() else codes, factor)


def _numbers(scales: npt.ArrayLike, counts: tuple[int, ...]) -> Floats:
    """Return positive and finite numbers, one for each block."""
    asked = as_array(scales, "scales")
    if asked.dtype.kind not in "fiu" and asked.dtype.name != "bfloat16":
        msg = f"scales must be real numbers, got dtype {asked.dtype}"
        raise TypeError(msg)
    asked = as_values(scales)
    with np.errstate(over="ignore"):
        wanted = as_float32(asked)
    if wanted.shape not in (counts, ()):
        msg = (
            f"scales must have shape {counts}, one for each block, or be one number, "
            f"got {wanted.shape}"
        )
        raise ValueError(msg)
    words = np.ascontiguousarray(wanted).view(np.uint32)
    bad = (words == 0) | (words >= np.uint32(0x7F800000))
    if bad.any():
        first = float(asked.reshape(-1)[bad.reshape(-1)][0])
        msg = f"scales must be positive and finite in float32, got {first!r} among {wanted.size}"
        raise ValueError(msg)
    return wanted if 0 in counts else np.broadcast_to(wanted, counts)
