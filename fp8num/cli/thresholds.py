"""
Conditions that make ``fp8num report`` fail: ``"METRIC OP NUMBER[%] [@RULE]"``.

::

    excess > 1.25 @tensor      a tensor's, under a rule or a scheme
    sqnr_db < 25               under the scheme that was decided for it
    nans > 0                   of what is stored
    not-finite > 0, keep > 20% how many decisions, and their share
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fp8num._names import hint, nearest
from fp8num._text import shorten, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from fp8num.analysis import FileRecommendation, Recommendation, Scheme
    from fp8num.analysis.results import FormatResult, TensorAnalysis
    from fp8num.analysis.trials import Subject
    from fp8num.inputs import StoredTensor
    from fp8num.scaling import Rule

__all__ = ["METRICS", "Threshold", "check", "failing"]

#: How many decisions of a kind.
_DECISIONS = ("not-finite", "dead", "keep", "tensor", "row", "block")
#: What a scheme makes of a tensor, of a `Trial`.
_TRIAL = {name: name for name in ("median", "worst", "above", "flushed", "saturated", "sqnr_db")}
_TRIAL |= {"excess": "median", "output_error": "output_error", "bits": "bits"}
#: What is stored, whatever becomes of it.
_STORED: dict[str, Callable[[TensorAnalysis], float]] = {
    **{
        name: lambda found, name=name: getattr(found.distribution, name)  # type: ignore[misc]
        for name in ("size", "amax", "zeros", "nans", "infinities")
    },
    "cur_amax": lambda found: found.distribution.amax,
    "dynamic_range": lambda found: _binades(found.distribution.amin, found.distribution.amax),
}
#: What `analyze` calls else; TransformerEngine's shares are in percent, of all elements.
_COLUMNS = (
    *("underflow_rate", "scale", "scales", "scale_inv_min", "scale_inv_max", "underflow"),
    *("saturation_rate", "relative_rms_error", "cosine_distance", "max_abs_error"),
    *("max_rel_error", "codes_used", "codes_total"),
)
_ENGINE: dict[str, Callable[[FormatResult], float]] = {
    "underflows%": lambda found: 100 * _share(found.metrics.underflow, found.metrics.size),
    "overflows%": lambda found: 100 * _share(found.metrics.saturated, found.metrics.size),
    "mse": lambda found: _share(found.metrics.ee, found.metrics.pairs),
}
METRICS = (*_DECISIONS, *_TRIAL, *_STORED, *_COLUMNS, *_ENGINE)
#: Numbers of things, which are no share of anything that a reader would guess.
_NUMBERS = {"above", "scales", "underflow", "codes_used", "codes_total"}
_NUMBERS |= {"size", "zeros", "nans", "infinities"}

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_FORM = re.compile(
    r"\s*(?P<metric>[A-Za-z][\w-]*%?)\s*(?P<op><=|>=|==|!=|<|>)\s*"
    r"(?P<number>[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)\s*(?P<percent>%?)\s*(@\s*(?P<rule>\S+)\s*)?",
    re.ASCII,
)


def _share(part: object, whole: int) -> float:
    return float(part) / whole if whole else math.nan  # type: ignore[arg-type] # a number


def _binades(low: float, high: float) -> float:
    return math.log2(high) - math.log2(low) if high > 0 and low > 0 else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A condition that must not hold."""

    metric: str  #: of `METRICS`
    compare: str  #: an operator
    limit: float  #: what it is compared with
    is_share: bool  #: whether it was written in percent
    rule: str  #: the rule or scheme after ``@``, or empty

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """
        Read a condition.

        >>> Threshold.parse("flushed >= 0.5% @ tensor").limit
        0.005
        """
        found = _FORM.fullmatch(text)
        if found is None:
            name = re.match(r"\s*([\w%-]*)", text)
            near = hint(name[1] if name else text, METRICS, "such as 'excess > 1.25 @tensor'")
            msg = (
                f"must be METRIC OP NUMBER[%] [@RULE], OP of < <= > >= == !=, got {shown(text)}; "
                f"{near if name and name[1] not in METRICS else 'such as excess > 1.25 @tensor'}"
            )
            raise ValueError(msg)
        metric = found["metric"]
        if metric not in METRICS:
            near = hint(metric, METRICS, f"they are {', '.join(METRICS)}")
            msg = f"metric {shown(metric)} is not known; {near}"
            raise ValueError(msg)
        if found["percent"] and metric in _NUMBERS:
            msg = f"{metric} is a number of things, got {shown(text)}; give it without %"
            raise ValueError(msg)
        if found["rule"] and (metric in _STORED or metric in _DECISIONS):
            msg = f"{metric} does not depend on a rule, got {shown(text)}; leave out @"
            raise ValueError(msg)
        percent = bool(found["percent"]) and not metric.endswith("%")
        return cls(
            metric=metric,
            compare=found["op"],
            limit=float(found["number"]) / (100 if percent else 1),
            is_share=percent,
            rule=found["rule"] or "",
        )

    def holds(self, value: float) -> bool:
        """Whether it holds of a value, or there is no value."""
        return math.isnan(value) or _OPERATORS[self.compare](value, self.limit)

    def says(self, value: float) -> str:
        """Write what holds."""
        size = f"{100 * value:.4g}%" if self.is_share else f"{value:.4g}"
        limit = f"{100 * self.limit:.4g}%" if self.is_share else f"{self.limit:.4g}"
        rule = f" @{self.rule}" if self.rule else ""
        if math.isnan(value):
            return f"{self.metric} is not a number{rule}"
        return f"{self.metric} {size} {self.compare} {limit}{rule}"


def failing(
    thresholds: Sequence[Threshold],
    found: FileRecommendation,
    tensors: Sequence[StoredTensor],
    *,
    target: str = "E4M3FN",
    activations: Mapping[str, npt.NDArray[np.float64]] | None = None,
) -> list[str]:
    """Return a line for each tensor that a condition holds of, and each kind of decision."""
    measured = _Figure(target, found, tensors, activations or {})
    lines = []
    for threshold in thresholds:
        if threshold.metric in _DECISIONS:
            value = float(found.count(threshold.metric))
            value /= len(found) if threshold.is_share else 1
            if threshold.holds(value):
                lines.append(threshold.says(value) + _names(found, threshold.metric))
            continue
        for i, one in enumerate(found):
            number = measured.value(i, threshold)
            if number is not None and threshold.holds(number):
                lines.append(f"{shorten(one.name, 80)}: {threshold.says(number)}")
    return lines


def check(
    thresholds: Sequence[Threshold],
    target: str,
    *,
    activations: bool,
    rules: Sequence[Rule] | None = None,
) -> None:
    """Refuse conditions that cannot be judged, or under no rule of ``--rules``, before any work."""
    tried = [rule.name for rule in rules or ()]
    for threshold in thresholds:
        rule = _scheme(threshold.rule, target).rule.name if threshold.rule else ""
        if rule and tried and rule not in tried:
            msg = (
                f"--fail-on must have a rule of --rules, {' or '.join(tried)}, "
                f"got {shown(threshold.rule)}"
            )
            raise ValueError(msg)
        if threshold.metric == "output_error" and not activations:
            msg = "--fail-on output_error takes mean squares of activations; give --activations"
            raise ValueError(msg)


def _names(found: FileRecommendation, decision: str) -> str:
    names = [shorten(one.name) for one in found if one.decision == decision]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f" ({', '.join(names[:3])}{more})" if names else ""


def _scheme(name: str, target: str) -> Scheme:
    """Return a scheme of the target by its name or its rule's, or one that has the rule."""
    from fp8num.analysis import choose, schemes_for
    from fp8num.scaling import RULES

    known = schemes_for(target)
    for scheme in known:
        if name.lower() in (scheme.name.lower(), scheme.rule.name.lower()):
            return scheme
    try:
        (scheme,) = schemes_for(target, name)
        choose(scheme.format, scheme.rule)  # one that draws at random measures nothing
    except ValueError as error:
        near = nearest(name, (*(scheme.name for scheme in known), *RULES))
        reason = f"did you mean {' or '.join(near)}?" if near and name not in near else error
        msg = f"--fail-on must have a rule or scheme after @, got {shown(name)}; {reason}"
        raise ValueError(msg) from None
    return scheme


class _Figure:
    """What tensors measure, once each; what was measured for the decision is taken from it."""

    def __init__(
        self,
        target: str,
        found: FileRecommendation,
        tensors: Sequence[StoredTensor],
        activations: Mapping[str, npt.NDArray[np.float64]],
    ) -> None:
        self._target, self._found = target, found
        # Decisions are in the order of the tensors, some of which may have none.
        left = iter(tensors)
        self._tensors = [next(x for x in left if x.name == one.name) for one in found]
        self._activations = activations
        self._subjects: dict[tuple[int, str], Subject] = {}
        self._stored: dict[int, TensorAnalysis] = {}

    def value(self, i: int, threshold: Threshold) -> float | None:
        """Return what a condition is about; None for a tensor that it does not concern."""
        one, metric = self._found.decisions[i], threshold.metric
        if metric in _STORED:
            return float(_STORED[metric](self._analysis(i)))
        if one.role.is_kept:
            return None
        if one.decision == "not-finite" or (one.decision == "dead" and not threshold.rule):
            return math.nan
        if threshold.rule:
            scheme = _scheme(threshold.rule, self._target)
        elif one.chosen:
            scheme = one.chosen.scheme
        else:
            return None  # no scheme passes: it stays as it is
        return self._of_scheme(i, one, scheme, metric)

    def _of_scheme(self, i: int, one: Recommendation, scheme: Scheme, metric: str) -> float:
        from fp8num.analysis import refusal

        if metric in _TRIAL:
            for trial in one.trials:
                if trial.scheme == scheme:
                    return float(getattr(trial, _TRIAL[metric]))
        subject = self._subject(i, one, scheme)
        if refusal(scheme.rule, subject.rows.shape):
            return math.nan
        if metric in _TRIAL:
            return float(getattr(subject.trial(0), _TRIAL[metric]))
        if metric in _ENGINE:
            return _ENGINE[metric](subject.analysis(0).results[0])
        return float(subject.analysis(0).records()[0][metric])

    def _subject(self, i: int, one: Recommendation, scheme: Scheme) -> Subject:
        from fp8num.analysis.trials import Subject

        if (i, scheme.name) not in self._subjects:
            self._subjects[i, scheme.name] = Subject(
                one.name,
                self._tensors[i],
                one.role,
                schemes=(scheme,),
                target=self._target,
                limits=self._found.limits,
                mean_squares=self._activations.get(one.name),
            )
        return self._subjects[i, scheme.name]

    def _analysis(self, i: int) -> TensorAnalysis:
        from fp8num.analysis import analyze_tensor, schemes_for

        if i not in self._stored:
            fmt = schemes_for(self._target)[0].format
            self._stored[i] = analyze_tensor(self._tensors[i], fmt, "unit")
        return self._stored[i]
