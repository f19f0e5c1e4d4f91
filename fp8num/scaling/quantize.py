"""
Apply a rule to an array, block by block, in cache-sized pieces.

::

    region of blocks --finder--> magnitudes --scale--> factors --x * factor--> cast --> codes
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array
from fp8num._kernels.blocks import BLOCK, share
from fp8num._kernels.encoder import Kernel, decoder, encoder
from fp8num._kernels.float32 import add, as_float32, as_float64, divide, keep_nan, multiply
from fp8num._kernels.state import float_arithmetic
from fp8num._kernels.words import FLOAT32, FLOAT64, as_values, source_of
from fp8num.codec import decode, encode
from fp8num.codec._arguments import check_threads, random_source, refuse_random
from fp8num.formats import E4M3FN
from fp8num.scaled import Blocks, Descale, Region, ScaledArray, beside, slabs
from fp8num.scaling.adjusting import Adjustment, adjustment, flushed
from fp8num.scaling.catalogue import get_rule
from fp8num.scaling.delayed import largest_magnitude
from fp8num.scaling.finders import Amax
from fp8num.scaling.granularity import Granularity
from fp8num.scaling.scales import Context, Scales, TwoLevel

if TYPE_CHECKING:
    from fp8num._kernels.words import Layout
    from fp8num.formats import Format
    from fp8num.scaling.rule import Rule

__all__ = ["odd_product", "quantize", "scale_quantize"]

Floats = npt.NDArray[np.float32]
_EMPTY = np.zeros(0, np.float32)


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
        own scale format.
    tensor_amax : float, optional
        For rules of two levels (NVFP4): the largest magnitude to make the tensor's scale
        of, in place of that of `x`.  Layers that are fused (query, key and value) share
        one, the largest of them all; blocks beyond a smaller one saturate.
    random_bits : array_like of int, broadcastable to the shape of `x`, optional
        For rules that round stochastically: integers below ``2**32``.
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
    return get_rule(rule).quantize(
        x,
        fmt=fmt,
        axis=axis,
        scales=scales,
        tensor_amax=tensor_amax,
        random_bits=random_bits,
        rng=rng,
        threads=threads,
    )


@float_arithmetic
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
    values = as_values(x)
    if values.ndim == 0 and rule.granularity.kind == "tensor":
        given = None if random_bits is None else np.reshape(random_bits, 1)
        vector = quantize(
            values.reshape(1),
            rule,
            fmt=fmt,
            axis=0,
            scales=scales,
            tensor_amax=tensor_amax,
            random_bits=given,
            rng=rng,
            threads=1,
        )
        return replace(vector, codes=vector.codes.reshape(()), block=(), axis=-1)
    found = rule.choose_format(fmt)
    threads = check_threads(threads)
    projection = rule.cast.projection(found)
    random = _random(projection.rounding, random_bits, rng, values.shape)
    block = rule.granularity.block(values.shape, axis)
    largest_input = _largest_input(values.dtype)
    if rule.rotation is not None:
        values = rule.rotation.apply(values, axis)
    blocks = Blocks(values.shape, block)
    shared = _tensor_amax(tensor_amax, values, rule, axis)
    layout = FLOAT64 if rule.exact else FLOAT32
    if rule.is_unscaled:
        layout = source_of(values.dtype).layout
    width = 32 if projection.rounding.is_stochastic else 0
    job = _Job(
        rule,
        found,
        values,
        Context(found, shared, largest_input),
        encoder(found, projection, layout, width),
        layout,
        adjustment(rule.cast),
        random,
        np.empty(values.shape, found.code_dtype),
        np.empty(blocks.counts, np.float32 if rule.scale.format is None else np.uint8),
        None if scales is None else _given(scales, rule, blocks),
        axis,
    )
    share(job.run, blocks.regions(), threads)
    one_scale = rule.granularity.kind == "tensor"
    stored = job.stored
    if one_scale:
        stored = stored.reshape(()) if stored.size else job.scales(_EMPTY_AMAX).stored
    return ScaledArray(
        job.codes,
        found,
        stored,
        block,
        rule.scale.format,
        axis,
        Descale(rule.way_out),
        shared if rule.is_two_level else None,
        rule,
        *_tensor_way(rule, found),
    )


_EMPTY_AMAX = np.zeros((), np.float32)


@dataclass(frozen=True, slots=True)
class _Job:
    """One quantisation: its inputs, and the arrays that regions are written to."""

    rule: Rule
    fmt: Format
    values: npt.NDArray[Any]
    context: Context
    kernel: Kernel
    layout: Layout
    adjust: Adjustment | None
    random: npt.NDArray[Any] | None
    codes: npt.NDArray[Any]
    stored: npt.NDArray[Any]
    given: Scales | None
    axis: int

    def run(self, region: Region) -> None:
        """Find the scales of a region's blocks, and quantise them."""
        view = region.split(self.values)
        if self.given is None:
            amax = self.rule.finder.find(view, lambda amax: self._errors(view, amax))
            found = self.rule.scale.find(amax, self._context(region))
            if isinstance(self.rule.scale, TwoLevel) and self.rule.scale.choice:
                found = self._chosen(view, amax, found, self._context(region))
        else:
            found = Scales(self.given.stored[region.scales], self.given.factor[region.scales])
        self.stored[region.scales] = found.stored
        random = None if self.random is None else region.split(self.random)
        self._encode(view, found.factor, region.split(self.codes), random)

    def scales(self, amax: Floats) -> Scales:
        """Return the scales of blocks with these magnitudes."""
        return self.rule.scale.find(amax, self.context)

    def _context(self, region: Region) -> Context:
        """Return what a formula may use in a region; rows have their own amax."""
        amax = self.context.tensor_amax
        if not np.ndim(amax):
            return self.context
        at = list(region.scales)
        at[self.axis] = slice(None)
        return self.context._replace(tensor_amax=np.asarray(amax)[tuple(at)])

    def _chosen(
        self, view: npt.NDArray[Any], amax: Floats, six: Scales, context: Context
    ) -> Scales:
        """Return of each block the scale with the smaller error, on equal ones that to 6."""
        assert isinstance(self.rule.scale, TwoLevel)
        four = self.rule.scale.find_wider(amax, context)
        with np.errstate(all="ignore"):
            better = self._float32_errors(view, four, context) < self._float32_errors(
                view, six, context
            )
        return Scales(*(np.where(better, *pair) for pair in zip(four, six, strict=True)))

    def _float32_errors(self, view: npt.NDArray[Any], found: Scales, context: Context) -> Floats:
        """Return each block's error as TransformerEngine's kernel sums it up, in float32."""
        assert isinstance(self.rule.scale, TwoLevel)
        codes = np.empty(view.shape, self.fmt.code_dtype)
        self._encode(view, found.factor, codes)
        spread = [length for n in found.stored.shape for length in (n, 1)]
        amax = np.asarray(context.tensor_amax, np.float32)
        amax = amax.reshape([length for n in amax.shape for length in (n, 1)])
        value = multiply(decode(codes, self.fmt), self._decoded(found.stored).reshape(spread))
        value = divide(multiply(value, amax), self.rule.scale.bound(self.fmt))
        single = as_float32(np.ascontiguousarray(view)).reshape(view.shape)
        error = add(value, -single)
        error = multiply(error, error) if self.rule.scale.choice == "mse" else np.abs(error)
        # Elements of a block's row in their order, then rows by halves, missing ones as zeros.
        within = 2 * (self.axis % (view.ndim // 2)) + 1
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

    def _encode(
        self,
        view: npt.NDArray[Any],
        factor: Floats,
        out: npt.NDArray[Any],
        random: npt.NDArray[Any] | None = None,
    ) -> None:
        """Scale a region and write its codes, piece by piece."""
        factor = factor.reshape([length for n in factor.shape for length in (n, 1)])
        for part in slabs(view.shape, BLOCK):
            scaled = self._scale(view[part], factor[beside(part, factor.shape)])
            target = out[part]
            flat = target.reshape(-1) if target.flags.c_contiguous else None
            codes = np.empty(target.size, target.dtype) if flat is None else flat
            words = np.ascontiguousarray(scaled).reshape(-1).view(self.layout.dtype)
            if self.adjust is not None:
                words = self.adjust(words, self.fmt)
            kernel: Any = self.kernel
            if random is None:
                kernel(words, codes)
            else:
                kernel(words, codes, random[part].reshape(-1).astype(np.uint64))
            if flat is None:
                target[...] = codes.reshape(target.shape)

    def _scale(self, values: npt.NDArray[Any], factor: Floats) -> npt.NDArray[Any]:
        """Return values times or over their factors, in float32 or exactly to odd; or words."""
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        native = native.reshape(values.shape)
        if self.rule.is_unscaled:
            return source_of(native.dtype).words(native)
        if self.rule.exact:
            wide = as_float64(native)
            if native.dtype.kind not in "iu" and native.dtype.itemsize <= FLOAT32.bits // 8:
                with np.errstate(all="ignore"):  # at most 24 + 24 bits: exact
                    product = np.asarray(wide * as_float64(factor))
            else:
                product = odd_product(wide, factor)
            keep_nan(product, wide, factor)
            return product
        combine = divide if self.rule.way_in is Descale.DIVIDE else multiply
        single = as_float32(native)
        if self.rule.cast.flushes:
            single = flushed(single)
        scaled = combine(single, factor)
        keep_nan(scaled, single, factor)
        if self.rule.cast.drops_minus_zero:
            scaled = np.where(scaled.view(np.uint32) == np.uint32(1 << 31), np.float32(0), scaled)
        return scaled

    def _errors(self, view: npt.NDArray[Any], amax: Floats) -> npt.NDArray[np.float64]:
        """Return each block's squared error if its scale were made for a magnitude."""
        found = self.scales(amax)
        codes = np.empty(view.shape, self.fmt.code_dtype)
        self._encode(view, found.factor, codes)
        total = np.zeros(amax.shape)
        table = decoder(self.fmt, np.dtype(np.float64))
        stored = self._decoded(found.stored).astype(np.float64)
        stored = stored.reshape([length for n in stored.shape for length in (n, 1)])
        inner = tuple(range(1, view.ndim, 2))
        for part in slabs(view.shape):
            near = stored[beside(part, stored.shape)]
            decoded = table.take(codes[part])
            divides = self.rule.way_out is Descale.DIVIDE
            with np.errstate(all="ignore"):
                decoded = decoded / near if divides else decoded * near
                exact = as_float64(np.ascontiguousarray(view[part])).reshape(decoded.shape)
                error = np.where(np.isfinite(exact), decoded - exact, 0.0)
                total[part[::2]] += np.sum(error * error, axis=inner)
        return total

    def _decoded(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        scale_format = self.rule.scale.format
        return stored if scale_format is None else decode(stored, scale_format)


def odd_product(values: npt.NDArray[np.float64], factor: Floats) -> npt.NDArray[np.float64]:
    """
    Return float64 values times float32 factors, rounded to odd.

    A later rounding to at most 51 bits is then the only one (Boldo and Melquiond 2008).
    With the value's low 24 bits apart, both partial products are exact.
    """
    wide = as_float64(factor)
    with np.errstate(all="ignore"):
        words = values.view(np.uint64)
        high = (words & ~np.uint64((1 << 24) - 1)).view(np.float64)
        product = values * wide
        if not (words & np.uint64((1 << 24) - 1)).any():
            return product  # at most 29 + 24 bits
        first = high * wide
        rest = (values - high) * wide
        product = first + rest
        error = (first - product) + rest
        inexact = np.isfinite(product) & (error != 0)
        # Up in magnitude if the error has the product's sign; an odd word stays.
        bits = product.view(np.int64)
        even = inexact & ((bits & 1) == 0)
        step = np.where((error > 0) == (product > 0), 1, -1)
        odd = np.where(even, bits + step, bits).view(np.float64)
        # Zeros and infinities have no low bits: their products follow IEEE.
        found = np.where(words & np.uint64((1 << 24) - 1), odd, values * wide)
        # What float64 has no number for is its smallest one, which is odd.  By the words:
        # where subnormals are flushed, they compare equal to zero.
        lost = (found == 0) & (words << np.uint64(1) != 0) & (wide.view(np.uint64) != 0)
        return np.where(lost, np.copysign(5e-324, values), found)


def _random(
    rounding: Any,  # noqa: ANN401 - Rounding, whose import would be for this alone
    random_bits: npt.ArrayLike | None,
    rng: np.random.Generator | None,
    shape: tuple[int, ...],
) -> npt.NDArray[Any] | None:
    """Return 32 random bits for each element, in C order, if the rule needs them."""
    if not rounding.is_stochastic:
        refuse_random(random_bits, None, rng, rounding.value)
        return None
    width = None if random_bits is None else 32
    random, _ = random_source(random_bits, width, rng, shape)
    if isinstance(random, np.random.Generator):
        return random.integers(0, 1 << 32, shape, np.uint32)
    return np.broadcast_to(random, shape)


@lru_cache(maxsize=32)
def _largest_input(dtype: np.dtype[Any]) -> np.float32:
    """Return the largest finite number of a type, or float32's if that is smaller."""
    if dtype.name == "bfloat16":
        return np.float32(float.fromhex("0x1.fep127"))
    largest = float(np.finfo(dtype).max) if dtype.kind == "f" else np.inf
    return np.float32(min(largest, float(np.finfo(np.float32).max)))


def _tensor_amax(
    given: npt.ArrayLike | None, values: npt.NDArray[Any], rule: Rule, axis: int
) -> np.float32 | Floats:
    """Return the largest magnitude for a tensor's scale, or those for its rows'; else 0."""
    if given is not None:
        return _given_amax(given, rule)
    if not rule.is_two_level:
        return np.float32(0)
    finder = rule.finder if isinstance(rule.finder, Amax) else Amax("ignore")
    if not rule.is_by_row:
        return largest_magnitude(values, finder.nan)
    rows = Blocks(values.shape, Granularity("row").block(values.shape, axis))
    found = np.zeros(rows.counts, np.float32)
    for region in rows.regions():
        found[region.scales] = finder.find(region.split(values), lambda amax: np.zeros(amax.shape))
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


def _given(scales: npt.ArrayLike, rule: Rule, blocks: Blocks) -> Scales:
    """Return scales that the caller gave, as the rule would have stored them."""
    if rule.is_two_level:
        msg = f"scales cannot be given for {rule.name}, whose blocks share the tensor's amax"
        raise ValueError(msg)
    asked = as_array(scales, "scales")
    if asked.dtype.kind not in "fiu" and asked.dtype.name != "bfloat16":
        msg = f"scales must be real numbers, got dtype {asked.dtype}"
        raise TypeError(msg)
    asked = as_values(scales)
    with np.errstate(over="ignore"):
        wanted = as_float32(asked)
    if wanted.shape not in (blocks.counts, ()):
        msg = (
            f"scales must have shape {blocks.counts}, one for each block, or be one number, "
            f"got {wanted.shape}"
        )
        raise ValueError(msg)
    words = np.ascontiguousarray(wanted).view(np.uint32)
    bad = (words == 0) | (words >= np.uint32(0x7F800000))
    if bad.any():
        first = float(asked.reshape(-1)[bad.reshape(-1)][0])
        msg = f"scales must be positive and finite in float32, got {first!r} among {wanted.size}"
        raise ValueError(msg)
    wanted = np.broadcast_to(wanted, blocks.counts)
    inverse = divide(np.float32(1), wanted)
    if rule.scale.format is None:
        stored = inverse if rule.way_out is Descale.DIVIDE else wanted
        return Scales(stored, wanted if rule.way_in is Descale.DIVIDE else inverse)
    codes = encode(wanted, rule.scale.format)
    # By their bits: subnormals differ whatever the process does to them.
    decoded = decode(codes, rule.scale.format)
    off = decoded.view(np.uint32) != np.ascontiguousarray(wanted).view(np.uint32)
    if off.any():
        msg = (
            f"scales must be values of {rule.scale.format.name} for {rule.name}, "
            f"got {float(wanted[off][0])!r}; encode() them first"
        )
        raise ValueError(msg)
    return Scales(codes, wanted if rule.way_in is Descale.DIVIDE else inverse)
