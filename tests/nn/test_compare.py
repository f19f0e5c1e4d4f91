"""Recipes against each other: what is computed from pairs, what is said of it, what is refused."""

from __future__ import annotations

import json
import math
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest

from fp8num.nn.compare import compare
from fp8num.nn.comparison import Comparison
from fp8num.nn.data import digits, spirals, teacher
from fp8num.nn.dataset import Dataset
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.outcome import Outcome, Share
from fp8num.nn.paired import Estimate, decide, estimate, student_quantile
from fp8num.nn.recipes import RECIPES
from fp8num.nn.train import train

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = teacher(n=60, test=30, features=8, classes=3)
SETTINGS: dict[str, Any] = {"sizes": (8, 12, 3), "epochs": 2, "batch": 16, "stats_every": 4}

# Student's distribution.

#: Upper critical values t(0.95), t(0.975), t(0.995) by degrees of freedom, as any table has them.
TABLE = """
1 6.314 12.706 63.657
2 2.920 4.303 9.925
3 2.353 3.182 5.841
4 2.132 2.776 4.604
5 2.015 2.571 4.032
9 1.833 2.262 3.250
10 1.812 2.228 3.169
19 1.729 2.093 2.861
29 1.699 2.045 2.756
30 1.697 2.042 2.750
60 1.671 2.000 2.660
120 1.658 1.980 2.617
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_quantiles_are_those_of_the_table(line: str) -> None:
    freedom, *expected = line.split()
    found = [student_quantile(p, int(freedom)) for p in (0.95, 0.975, 0.995)]
    assert [f"{t:.3f}" for t in found] == expected


@pytest.mark.parametrize("p", [0.01, 0.5, 0.6, 0.9, 0.95, 0.975, 0.999])
def test_quantiles_have_closed_forms(p: float) -> None:
    """Of one and two degrees of freedom: tan(pi (p - 1/2)), (2p - 1) / sqrt(2 p (1 - p))."""
    one, two = math.tan(math.pi * (p - 0.5)), (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    assert student_quantile(p, 1) == pytest.approx(one, rel=1e-9, abs=1e-15)
    assert student_quantile(p, 2) == pytest.approx(two, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 8, 49, 100, 999, 1000])
@pytest.mark.parametrize("p", [0.95, 0.975])
def test_quantiles_invert_the_incomplete_beta_function(freedom: int, p: float) -> None:
    """P(T > t) is half of I_x(nu/2, 1/2) with x = nu / (nu + t^2), at 40 digits."""
    with mpmath.workdps(40):
        t = mpmath.mpf(student_quantile(p, freedom))
        half = mpmath.mpf(freedom) / 2
        x = freedom / (freedom + t * t)
        tail = mpmath.betainc(half, mpmath.mpf("0.5"), 0, x, regularized=True) / 2
        density = (
            mpmath.gamma(half + 0.5)
            / (mpmath.sqrt(freedom * mpmath.pi) * mpmath.gamma(half))
            * (1 + t * t / freedom) ** -(half + 0.5)
        )
        error = abs(tail - (1 - mpmath.mpf(p))) / density / t
        assert error < 1e-9  # what SciPy 1.14 is good for, later ones for more


# Estimates and decisions.


def test_an_estimate_is_computed_by_hand() -> None:
    """Of 1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9, variance 14/3, standard error sqrt(14/12)."""
    found = estimate([1.0, 2.0, 3.0, 6.0])

    assert (found.n, found.mean) == (4, 3.0)
    assert found.error == pytest.approx(math.sqrt(14 / 12), rel=1e-15)
    assert found.high - 3 == pytest.approx(3.182446305 * math.sqrt(14 / 12), rel=1e-9)
    assert 3 - found.low == pytest.approx(found.high - 3, rel=1e-14)
    assert estimate([6.0, 3.0, 1.0, 2.0]) == found


def test_too_few_values_have_no_error() -> None:
    one, none = estimate([0.25]), estimate([])
    assert (one.n, one.mean, none.n) == (1, 0.25, 0)
    assert all(map(math.isnan, (one.error, one.low, one.high, none.mean, none.error)))
    assert math.isnan(estimate([1.0, math.nan]).mean)


def test_equal_values_have_no_spread() -> None:
    """Though three times 0.1 and its sum round."""
    assert estimate([0.1] * 3).error == 0
    found = estimate([0.0] * 3, resolution=0.06)
    assert found.error == pytest.approx(0.06 / 6, rel=1e-15)  # sqrt(12) sqrt(3)
    assert estimate([1.0, 2.0, 3.0], resolution=0.1) == estimate([1.0, 2.0, 3.0])


def spread(mean: float, error: float, n: int = 10) -> list[float]:
    """Return values with this mean and this standard error: n even, half on each side."""
    reach = error * math.sqrt(n - 1)
    return [mean - reach, mean + reach] * (n // 2)


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [
        # t(0.95, 9) = 1.833, t(0.975, 9) = 2.262; the margin is 3
        (0.0, 1.63, "within"),
        (0.0, 1.64, "undecided"),
        (-1.0, 1.09, "within"),  # 2 / 1.833 = 1.0911
        (-1.0, 1.10, "undecided"),
        (1.0, 1.10, "undecided"),
        (-2.5, 0.2, "within"),  # smaller than 0, and of no account
        (-2.5, 1.10, "worse"),  # 2.5 / 2.262 = 1.1052
        (-2.5, 1.11, "undecided"),
        (2.5, 1.10, "better"),
        (2.5, 1.11, "undecided"),
        (-5.0, 0.1, "worse"),
        (-3.0, 0.0, "worse"),  # at the margin is not within it
        (2.9, 0.0, "within"),
    ],
)
def test_decisions_are_those_of_the_tests(mean: float, error: float, expected: str) -> None:
    """Limits computed by hand from the table of Student's distribution."""
    assert decide(spread(mean, error), 3.0) == expected


def test_one_pair_decides_nothing() -> None:
    assert decide([0.0], 0.003) == decide([], 0.003) == decide([-0.5], 0.003) == "undecided"


def test_a_level_is_held() -> None:
    """At a true difference of the margin, one sample in twenty passes; sigma of 4,000: 0.34 %."""
    rng = np.random.default_rng(5)
    samples = rng.normal(-1.0, 0.3, (4000, 6)).tolist()
    share = np.mean([decide(sample, 1.0) == "within" for sample in samples])
    assert abs(share - 0.05) < 4 * 0.0035


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: student_quantile(1.0, 3), "p must be a finite number above 0 and below 1, got 1"),
        (lambda: student_quantile(0.9, 0), "freedom must be an integer, at least 1, got 0"),
        (lambda: estimate([1.0], 1.0), "confidence must be a finite number above 0 and below 1"),
        (lambda: estimate([1.0], resolution=-1), "resolution must be a finite number at least 0"),
        (lambda: decide([1.0], 0.0), "margin must be a finite number above 0, got 0.0"),
        (lambda: decide([1.0], 1.0, 0.5), "level must be a finite number above 0 and below 0.5"),
    ],
)
def test_statistics_refuse_what_has_no_meaning(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# Planted outcomes.


def planted(name: str, accuracies: list[Any], **others: Any) -> list[Outcome]:
    """Return an outcome of each seed, or of each fold of each seed."""
    return [
        Outcome(recipe=name, seed=seed, fold=fold, accuracy=accuracy, loss=1 - accuracy, **others)
        for seed, folds in enumerate(accuracies)
        for fold, accuracy in enumerate(folds if isinstance(folds, list) else [folds])
    ]


def test_differences_are_paired() -> None:
    """Seeds differ much, pairs little: 0.5, 0.25, 0.75 sixteenths apart, by hand."""
    base = [0.25, 0.5, 0.75]
    own = [0.25 + 0.5 / 16, 0.5 + 0.25 / 16, 0.75 + 0.75 / 16]
    found = Comparison((*planted("own", own), *planted("base", base)), "base", 0.003)

    assert found.recipes == ("base", "own")
    first, second = found.results
    assert first.accuracy.mean == 0.5
    assert first.accuracy.error == pytest.approx(0.25 / math.sqrt(3), rel=1e-15)
    assert second.accuracy_difference.mean == 0.5 / 16
    assert second.accuracy_difference.error == pytest.approx(0.25 / 16 / math.sqrt(3), rel=1e-14)
    assert second.loss_difference.mean == -0.5 / 16
    reach = 4.302652730 * 0.25 / 16 / math.sqrt(3)
    assert second.accuracy_difference.low == pytest.approx(0.5 / 16 - reach, rel=1e-8)
    assert (first.decision, second.decision) == ("baseline", "undecided")
    row = found.to_frame().set_index("recipe").loc["own"]
    assert row["accuracy_difference_error"] == second.accuracy_difference.error
    assert found["own"] is second
    with pytest.raises(KeyError, match="recipe must be one of base, own, got 'none'"):
        found["none"]


def test_the_folds_of_a_seed_are_one_value() -> None:
    """They share most of what they train on: ten trainings of two seeds are a sample of two."""
    own = planted("own", [[0.5, 0.75], [0.75, 1.0]])
    found = Comparison((*planted("base", [[0.5, 0.5], [0.5, 0.5]]), *own), "base", 0.003)

    assert found.folds == 2
    change = found["own"].accuracy_difference
    assert (change.n, change.mean) == (2, 0.25)
    assert change.error == pytest.approx(0.125, rel=1e-15)  # of 0.125 and 0.375
    assert "2 seeds of 2 folds" in str(found)


def words(own: list[float], base: list[float], **others: Any) -> str:
    outcomes = (*planted("base", base, **others), *planted("own", own, **others))
    return Comparison(outcomes, "base", 0.003).verdict


def test_the_verdict_says_what_the_numbers_do() -> None:
    """With n, mean, standard error and interval; of one seed that nothing follows."""
    base = [0.96, 0.97, 0.98, 0.95]
    near = words([0.961, 0.969, 0.981, 0.949], base)
    assert near.startswith("own: within 0.3 points of base (+0.000 points, standard error 0.058, ")
    assert "95 % from -0.184 to +0.184, 4 seeds; log-loss " in near  # 3.1824 * 0.0577
    assert words([x - 0.02 for x in base], base).startswith("own: worse than base (-2.000 points")
    better = words([0.98, 0.985, 0.995, 0.97], base)
    assert better.startswith("own: better than base (+1.750 points")
    unclear = words([0.96, 0.95, 0.99, 0.95], base)
    assert unclear.startswith("own: undecided, more seeds are needed to tell 0.3 points (")
    one = words([0.95], [0.96])
    assert one == (
        "own: -1.000 points from base in one seed, from which nothing follows; take more"
    )
    assert "\n" not in near + better + unclear


def test_few_inputs_cannot_claim_equality() -> None:
    """30 inputs move in steps of 3.3 points: three equal accuracies do not show 0.3."""
    for count, losses, expected in (
        (30, (2.0,), "undecided"),
        (3000, (2.0,), "within"),
        (30, (1.0,), "within"),  # the same trainings are the same
    ):
        base = planted("base", [0.9, 0.8, 0.9], held_out=count, losses=(1.0,))
        own = planted("own", [0.9, 0.8, 0.9], held_out=count, losses=losses)
        result = Comparison((*base, *own), "base", 0.003)["own"]
        assert result.decision == expected
        assert (result.accuracy_difference.error == 0) == (losses == (1.0,))


def test_a_seed_that_diverged_is_told_of() -> None:
    """Never left out in silence: means are of pairs, and nothing is within or better."""
    base, own = planted("base", [0.5, 0.5, 0.5]), planted("own", [0.5, 0.5, math.nan])
    own[2] = Outcome(recipe="own", seed=2, fold=0, diverged="the loss is nan")

    found = Comparison((*base, *own), "base", 0.003)
    assert (found["own"].n, found["own"].diverged, found["own"].decision) == (2, 1, "diverged")
    assert found["base"].n == 3
    assert found.verdict == "own: diverged in 1 of 3 seeds"
    swapped = Comparison((*base, *own), "own", 0.003)
    assert swapped["base"].decision == "undecided"
    assert swapped.verdict == "base: undecided, own diverged in 1 of 3 seeds"
    all_of_it = [Outcome(recipe="own", seed=i, fold=0, diverged="x") for i in range(3)]
    empty = Comparison((*base, *all_of_it), "base", 0.003)
    assert empty["own"].n == 0
    assert json.loads(json.dumps(empty.to_dict(), allow_nan=False))["results"][1]["loss"] == {
        "n": 0, "mean": None, "error": None, "low": None, "high": None,
    }  # fmt: skip
    assert "-" in str(empty)
    assert set(empty.curves()["recipe"]) <= {"base"}


def test_curves_are_means_of_seeds() -> None:
    """Two epochs of two steps: an epoch's loss is its steps' mean, with bands over seeds."""
    first = Outcome(recipe="a", seed=0, fold=0, losses=(4.0, 2.0, 1.0, 0.0), per_epoch=2)
    second = Outcome(recipe="a", seed=1, fold=0, losses=(6.0, 2.0, 2.0, 1.0), per_epoch=2)
    other = [
        Outcome(recipe="b", seed=i, fold=0, losses=(5.0 + i, 3.0, 1.0, 1.0), per_epoch=2)
        for i in range(2)
    ]
    found = Comparison((first, second, *other), "a", 0.003)

    epochs = found.curves()
    assert epochs["recipe"].tolist() == ["a", "a", "b", "b"]
    assert epochs["epoch"].tolist() == [0, 1, 0, 1]
    assert epochs["loss"].tolist() == [3.5, 1.0, 4.25, 1.0]
    assert epochs["loss_error"].tolist() == pytest.approx([0.5, 0.5, 0.25, 0.0])
    assert epochs["difference"].tolist() == [0, 0, 0.75, 0.0]  # 4 - 3 and 4.5 - 4; 1 - 0.5, 1 - 1.5
    assert epochs["difference_error"].tolist() == pytest.approx([0, 0, 0.25, 0.5])
    steps = found.curves("step")
    assert steps["loss"].tolist() == [5, 2, 1.5, 0.5, 5.5, 3, 1, 1]
    assert set(steps["n"]) == {2}
    with pytest.raises(ValueError, match="by must be 'epoch' or 'step', got 'hour'"):
        found.curves("hour")


def test_shares_are_means_of_seeds() -> None:
    """Of folds first; NaN, where nothing could be lost, is no zero."""
    rates = [[0.5, 0.25], [0.125, 0.125]]
    outcomes = tuple(
        Outcome(
            recipe="a", seed=seed, fold=fold,
            shares=(Share("layer0", "g_wgrad", "E5M2", rate, math.nan),),
        )
        for seed, folds in enumerate(rates)
        for fold, rate in enumerate(folds)
    )  # fmt: skip
    frame = Comparison(outcomes, "a", 0.003).tensors()

    (row,) = frame.to_dict("records")
    assert (row["recipe"], row["layer"], row["role"]) == ("a", "layer0", "g_wgrad")
    assert (row["format"], row["n"], row["flushed"]) == ("E5M2", 2, 0.25)  # 0.375 and 0.125
    assert row["flushed_error"] == pytest.approx(0.125)
    assert math.isnan(row["saturated"])


# Trainings.


@pytest.mark.parametrize("recipe", ["fp32", "te-delayed", "nvfp4"])
def test_a_recipe_against_itself_differs_by_nothing(recipe: str) -> None:
    """Exactly, everywhere; nvfp4 rounds at random, and by the same numbers."""
    found = compare(DATA, {"again": recipe}, baseline=recipe, seeds=3, **SETTINGS)

    again = found["again"]
    zero = Estimate(3, 0.0, 0.0, 0.0, 0.0)
    assert (again.accuracy_difference, again.loss_difference) == (zero, zero)
    assert again.decision == "within"
    curves = found.curves("step")
    differences = ["difference", "difference_error", "difference_low", "difference_high"]
    assert (curves[differences] == 0).all(axis=None)
    assert len(curves) == 2 * 8
    assert "the same trainings" in found.verdict


def test_trainings_are_those_of_train() -> None:
    """Weights, data and order of a seed are the same for every recipe."""
    found = compare(DATA, ["te-current"], seeds=[4, 1], **SETTINGS)

    assert found.seeds == (4, 1)
    assert [(one.seed, one.recipe) for one in found.outcomes] == [
        (4, "fp32"), (4, "te-current"), (1, "fp32"), (1, "te-current"),
    ]  # fmt: skip
    for one in found.outcomes:
        run = train(DATA, recipe=one.recipe, seed=one.seed, **SETTINGS)
        assert (one.accuracy, one.loss) == (run.held_out.accuracy, run.held_out.loss)
        assert one.losses == tuple(record.loss for record in run.history.steps)
        assert one.settings == run.settings
        casts = run.history.tensors.groupby(["layer", "role"])["underflow_rate"].mean()
        shares = {(share.layer, share.role): share.flushed for share in one.shares}
        assert shares == pytest.approx(casts.to_dict(), nan_ok=True)
    first, second = (one.losses[0] for one in found.outcomes[:2])
    assert first == pytest.approx(second, rel=0.05)
    assert first != second
    json.dumps(found.to_dict(), allow_nan=False)


def test_data_can_depend_on_seed_and_fold() -> None:
    """As `digits` does; without folds a function of the seed alone."""
    asked: list[tuple[int, int]] = []

    def data(seed: int, fold: int) -> Dataset:
        asked.append((seed, fold))
        return teacher(n=60, test=30, features=8, classes=3, seed=10 * seed + fold)

    found = compare(data, ["bf16"], seeds=2, folds=2, **SETTINGS)
    assert asked == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert found.folds == 2
    assert found["bf16"].n == 2
    of_seed = partial(teacher, 60, 30, features=8, classes=3)
    assert len(compare(of_seed, ["bf16"], seeds=2, **SETTINGS).outcomes) == 4
    quick: dict[str, Any] = {"sizes": (64, 10), "epochs": 1, "batch": 720}
    images = compare(digits, ["bf16"], seeds=1, folds=2, **quick)
    assert [one.held_out for one in images.outcomes] == [360] * 4


def test_options_can_be_a_recipes_own() -> None:
    """Without a loss scale gradients vanish in E5M2; the names are the caller's."""
    small = {"recipe": "fp8-unscaled", "loss_scaler": LossScaler(2.0**-40, dynamic=False)}
    found = compare(DATA, {"flushed": small, "plain": "fp8-unscaled"}, seeds=2, **SETTINGS)

    assert found.recipes == ("fp32", "flushed", "plain")
    flushed = found.tensors().set_index(["recipe", "layer", "role"])["flushed"]
    assert flushed["flushed", "layer1", "g_wgrad"] == 1.0
    assert flushed["plain", "layer1", "g_wgrad"] < 0.2
    curves = found.curves().set_index(["recipe", "epoch"])["loss"]
    assert curves["flushed", 1] > curves["plain", 1]


def test_ends_can_be_a_recipes_own() -> None:
    """The last layer in float32 loses nothing; the training is that of `train`."""
    mixed = {"recipe": "fp8-unscaled", "last_recipe": "fp32"}
    found = compare(DATA, {"mixed": mixed, "plain": "fp8-unscaled"}, seeds=1, **SETTINGS)

    formats = found.tensors().set_index(["recipe", "layer", "role"])["format"]
    assert formats["mixed", "layer0", "w_forward"] == "E4M3FN"
    assert formats["mixed", "layer1", "w_forward"] == "float32"
    assert formats["plain", "layer1", "w_forward"] == "E4M3FN"
    run = train(DATA, **mixed, **SETTINGS)
    (one,) = (one for one in found.outcomes if one.recipe == "mixed")
    assert (one.loss, one.settings) == (run.held_out.loss, run.settings)


def test_divergence_is_a_result() -> None:
    """The others go on."""
    wild = {"recipe": "te-current", "lr": 1e38}
    found = compare(DATA, {"wild": wild, "tame": "te-current"}, seeds=2, **SETTINGS)

    assert found["wild"].decision == "diverged"
    assert found["wild"].diverged == 2
    assert found["tame"].n == 2
    assert "wild: diverged in 2 of 2 seeds" in str(found)
    one = found.outcomes[1]
    assert one.diverged.startswith("training stopped at step ")
    assert f"at step {len(one.losses)}," in one.diverged  # what there was of it is kept
    assert one.settings["recipe"]["name"] == "te-current"
    assert one.held_out == 0
    assert math.isnan(one.accuracy)


class Backwards(Executor):
    """Does nothing until it is asked for a result, and then the last task first."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Future[Any], Any]] = []
        self.down = False

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        executor = self

        class Late(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                while executor.tasks:
                    future, task = executor.tasks.pop()
                    if not future.cancelled():
                        future.set_result(task())
                return super().result(timeout)

        future = Late()
        self.tasks.append((future, lambda: fn(*args)))
        return future

    def shutdown(self, *_: Any, **__: Any) -> None:
        self.down = True


def same(first: Comparison, second: Comparison) -> None:
    assert first.outcomes == second.outcomes
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame(), check_exact=True)
    pd.testing.assert_frame_equal(first.curves(), second.curves(), check_exact=True)


def test_an_executor_changes_nothing() -> None:
    """Another process, or a wrong order; both are left running."""
    options: dict[str, Any] = {"seeds": 2, **SETTINGS}
    seen: list[Outcome] = []
    here = compare(DATA, ["te-current", "nvfp4"], progress=seen.append, **options)
    assert tuple(seen) == here.outcomes

    seen.clear()
    backwards = Backwards()
    there = compare(
        DATA, ["te-current", "nvfp4"], executor=backwards, progress=seen.append, **options
    )
    same(here, there)
    assert tuple(seen) == here.outcomes
    assert not backwards.down
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        same(here, compare(DATA, ["te-current", "nvfp4"], executor=executor, **options))
        assert executor.submit(int, "7").result() == 7


def test_an_error_leaves_the_executor_nothing_to_do() -> None:
    """What was not begun is cancelled."""
    backwards = Backwards()

    def fail(outcome: Outcome) -> None:
        raise InterruptedError(outcome.recipe)

    backwards.submit = _stubborn(backwards)  # type: ignore[method-assign]
    with pytest.raises(InterruptedError, match="fp32"):
        compare(DATA, ["bf16"], seeds=3, executor=backwards, progress=fail, **SETTINGS)
    assert [future.cancelled() for future, _ in backwards.tasks] == [False] + [True] * 5


def _stubborn(executor: Backwards) -> Any:
    """Do the first task at once, and no other."""

    def submit(fn: Any, /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if not executor.tasks:
            future.set_result(fn(*args))
        executor.tasks.append((future, None))
        return future

    return submit


# Bad input.

UNUSABLE = Dataset("bare", DATA.x, DATA.y, 3, DATA.test_x[:0], DATA.test_y[:0])


def by_seed(seed: int) -> Dataset:
    return teacher(n=60 + 10 * seed, test=30, features=8, classes=3)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"dataset": DATA.x}, TypeError, "dataset must be a Dataset or a function .* got ndarray"),
        ({"dataset": lambda seed: 3}, TypeError, "what dataset returns must be a Dataset, got"),
        ({"dataset": UNUSABLE}, ValueError, "inputs held out, 'bare' has 60 and 0"),
        ({"folds": 5}, ValueError, "folds must be None with one data set, got 5; give a function"),
        ({"folds": 0}, ValueError, "folds must be an integer, at least 1, got 0"),
        ({"recipes": "mxfp8"}, TypeError, "recipes must be a sequence or a mapping, got 'mxfp8'"),
        ({"recipes": []}, ValueError, "recipes must be at least one, got none"),
        ({"recipes": ["mxfp9"]}, ValueError, "recipe must be a known name, got 'mxfp9'"),
        ({"recipes": ["bf16", "bf16"]}, ValueError, "different names, got 'bf16' twice; a mapping"),
        ({"recipes": {3: "bf16"}}, TypeError, "a name of recipes must be printable text, got 3"),
        ({"recipes": {"a\nb": "bf16"}}, TypeError, "printable text, got 'a"),
        ({"recipes": {"a": {"lr": 1}}}, ValueError, "options of 'a' must name a recipe, got lr"),
        (
            {"recipes": {"a": {"epochs": 1}}},
            ValueError,
            "must be among recipe, first_recipe, last_recipe, lr, .* 'epochs'",
        ),
        ({"baseline": "fp33"}, ValueError, "^baseline must be a known name, got 'fp33'"),
        ({"baseline": 3}, TypeError, "^baseline must be a Recipe or a name, got int 3"),
        (
            {"recipes": {"fp32": "mxfp8", "bf16": "bf16"}},
            ValueError,
            "recipes must not give another recipe, 'mxfp8', the name 'fp32' of the default "
            "baseline; call it something else, or say baseline='fp32' to compare with it",
        ),
        (
            {
                "recipes": {"bf16": {"recipe": "bf16", "lr": 0.5}, "mxfp8": "mxfp8"},
                "baseline": RECIPES["bf16"],
            },
            ValueError,
            "baseline must not share its name with another of recipes, or with one that has "
            "options of its own, got 'bf16'; to compare with that, give the name as text",
        ),
        ({"recipes": ["fp32"]}, ValueError, "must have one besides the baseline, 'fp32', got no"),
        (
            {"recipes": ["bf16"], "baseline": "bf16"},
            ValueError,
            "recipes must have one besides the baseline, 'bf16', got no other",
        ),
        ({"seeds": np.arange(4.0)}, TypeError, "a seed of seeds must be an integer, .* got 0.0"),
        ({"seeds": np.eye(2)}, TypeError, r"a seed of seeds must be an integer, .* got \[1.0"),
        (
            {"recipes": {"a": {"recipe": "bf16", "first_recipe": "fp32", "last_recipe": "mxfp8"}}},
            ValueError,
            "recipe must be that of a layer, but .* leave none of 2 to 'bf16'",
        ),
        (
            {"recipes": {"fp32": "bf16"}, "baseline": RECIPES["fp32"]},
            ValueError,
            "baseline must not share its name with another of recipes, .* got 'fp32'",
        ),
        ({"seeds": 0}, ValueError, "seeds must be an integer from 1 to 1000000, got 0"),
        ({"seeds": []}, ValueError, r"a number or different seeds, at least one, got \(\)"),
        ({"seeds": [1, 1]}, ValueError, r"different seeds, at least one, got \(1, 1\)"),
        ({"seeds": [-1]}, ValueError, "a seed of seeds must be an integer, at least 0, got -1"),
        ({"seeds": "3"}, TypeError, "seeds must be an integer from 1 to 1000000, got '3'"),
        ({"margin": 0}, ValueError, "margin must be a finite number above 0 and below 1, got 0"),
        ({"sizes": (9, 3)}, ValueError, "layer0 takes 9, but .* has 8 features"),
        ({"epochs": 0}, ValueError, "epochs must be an integer, at least 1, got 0"),
        ({"batch": 0}, ValueError, "batch must be an integer, at least 1, got 0"),
        ({"optimizer": "adamv"}, ValueError, "optimizer must be one of .* got 'adamv'"),
        ({"executor": 2}, TypeError, "executor must be a concurrent.futures.Executor or None, got"),
        ({"progress": 2}, TypeError, "progress must be callable or None, got int"),
    ],
)
def test_a_wrong_argument_is_refused(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """Before any training."""
    given = {"dataset": DATA, "recipes": ["bf16"], "progress": pytest.fail, **SETTINGS, **options}
    with pytest.raises(kind, match=message):
        compare(**given)


def test_a_baseline_can_be_a_key_of_the_recipes() -> None:
    """With the options that it has there, and by any name."""
    recipes = {"fp32": {"recipe": "bf16", "lr": 0.02}, "mine": "mxfp8"}
    found = compare(DATA, recipes, baseline="fp32", seeds=1, **SETTINGS)

    run = train(DATA, recipe="bf16", lr=0.02, **SETTINGS)
    assert (found.baseline, found.recipes) == ("fp32", ("fp32", "mine"))
    assert found.outcomes[0].loss == run.held_out.loss


def test_seeds_can_be_an_array() -> None:
    found = compare(DATA, ["bf16"], seeds=np.arange(2), **SETTINGS)
    assert found.outcomes == compare(DATA, ["bf16"], seeds=2, **SETTINGS).outcomes


def test_data_of_different_sizes_cannot_be_compared() -> None:
    """60 inputs are 4 steps of 16, and so are 50; 70 are 5."""
    with pytest.raises(ValueError, match=r"got \(8, 3, 4\) and in seed 1, fold 0 \(8, 3, 5\)"):
        compare(by_seed, ["bf16"], seeds=2, **SETTINGS)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"optimizer": "adamv"}, "optimizer must be one of adamw, adam, sgd, got 'adamv'"),
        ({"schedule": "cosin"}, "schedule must be .* got 'cosin'"),
        ({"clip": 0}, "clip must be a finite number above 0, got 0"),
        ({"loss_scaler": 8.0}, "loss_scaler must be a LossScaler or None, got float"),
        ({"last_recipe": "bf61"}, "last_recipe must be a known name, got 'bf61'"),
    ],
)
def test_a_recipes_own_options_are_checked_first(own: dict[str, Any], message: str) -> None:
    """Before the first training, though it is the last recipe's."""

    def never(outcome: Outcome) -> None:
        pytest.fail(outcome.recipe)

    recipes: dict[str, Any] = {"fine": "bf16", "wrong": {"recipe": "bf16", **own}}
    with pytest.raises((TypeError, ValueError), match=message):
        compare(spirals(60, 30), recipes, progress=never)
