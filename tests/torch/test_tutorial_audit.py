"""
The audit's runs with PyTorch: they come out again, and are what is said of them.

``FP8NUM_TUTORIAL`` may name the tutorial's page; its own code is then run beside the restatement.
"""

from __future__ import annotations

import csv
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.torch
FOLDER = Path(__file__).parents[2] / "reports" / "tutorial"
EPOCHS = [f"epoch {i}" for i in range(1, 6)]
#: A page of the tutorial's form: two blocks, of which the first needs NumPy, and the last one.
PAGE = """# A page

```python
print(np.float32(0.5))
```

text

```python
def run_comparison_experiment():
    return [1.0], [2.0]
```

```python
losses_fp32, losses_fp8 = run_comparison_experiment()
plt.show()
```
"""


@pytest.fixture(scope="module")
def part() -> Any:
    """The script that trains with PyTorch."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    torch = importlib.import_module("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("torch_part")
    finally:
        sys.path.remove(str(FOLDER))
        torch.set_num_threads(threads)


@pytest.mark.parametrize("seed", [0, 7, 199])
def test_recorded_runs_come_out_again(part: Any, seed: int) -> None:
    """To the digits recorded on the same processor; elsewhere sums are in another order."""
    with (FOLDER / "runs.csv").open(encoding="utf-8", newline="") as stream:
        kept = [row for row in csv.DictReader(stream) if row["seed"] == str(seed)]

    found = part.run_rows([seed])

    assert [(row["set"], row["variant"]) for row in found] == [
        (row["set"], row["variant"]) for row in kept
    ]
    for one, two in zip(found, kept, strict=True):
        losses = [[float(row[epoch]) for epoch in EPOCHS] for row in (one, two)]
        np.testing.assert_allclose(*losses, rtol=0, atol=2e-5)


def test_rounding_stops_the_gradient_and_straight_through_does_not(part: Any) -> None:
    """In the printed form, of all parameters but the last bias; norms are exactly 0."""
    printed = part.nets.paired(3, "printed", noted=True)
    through = part.nets.paired(3, "through", noted=True)
    assert {name for name, norms in printed.norms.items() if max(norms) > 0} == {"2.bias"}
    assert {name for name, norms in printed.norms.items() if max(norms) == 0} == {
        "0.weight",
        "0.bias",
        "2.weight",
    }
    assert all(min(norms) > 0 for norms in through.norms.values())


def test_the_last_bias_has_the_gradient_of_softmax(part: Any) -> None:
    """Mean of softmax minus one at the label, in NumPy's float64."""
    import torch

    torch.manual_seed(11)
    x, y = part.nets.data()
    net = part.nets.build("printed")
    torch.nn.functional.cross_entropy(net(x), y).backward()
    logits = net(x).detach().numpy().astype(np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    softmax[np.arange(len(y)), y.numpy()] -= 1

    grad = dict(net.named_parameters())["2.bias"].grad
    np.testing.assert_allclose(grad.numpy(), softmax.mean(axis=0), rtol=0, atol=1e-6)


def test_the_rounding_is_to_the_nearest_multiple(part: Any) -> None:
    """Of 1/1024 after clipping at 448, ties to even, as the exact rationals say."""
    import torch

    values = [0.0, 0.123456, -12.3456, 1.5 / 1024, 2.5 / 1024, 447.99999, 1e6, -1e6]
    found = part.nets.on_grid(torch.tensor(values, dtype=torch.float64)).tolist()
    clipped = [min(max(value, -448.0), 448.0) for value in values]
    assert found == [round(value * 1024) / 1024 for value in clipped]  # exact: powers of two


@pytest.mark.parametrize("variant", ["fp32", "through", "printed"])
def test_a_power_of_two_changes_no_bit(part: Any, variant: str) -> None:
    """Neither of weights nor of losses; 1,000 does."""
    plain = part.nets.paired(5, variant)
    for scale in (128.0, 65536.0):
        scaled = part.nets.paired(5, variant, scale=scale)
        assert bool((part.words(plain) == part.words(scaled)).all())
        assert plain.losses == scaled.losses
    assert bool((part.words(plain) != part.words(part.nets.paired(5, variant, scale=1e3))).any())


def test_pairs_share_data_order_and_weights(part: Any) -> None:
    """Variants whose weights are drawn alike start alike, and the first loss is theirs."""
    starts = {name: list(part.nets.started(4, name)) for name in ("randn", "printed", "frozen")}
    for name in ("printed", "frozen"):
        for (_, one), (_, two) in zip(starts["randn"], starts[name], strict=True):
            assert bool((one == two).all())


@pytest.mark.parametrize(("variant", "deviation"), [("fp32", 0.25), ("printed", 0.57)])
def test_logits_are_as_large_at_first_as_is_said(part: Any, variant: str, deviation: float) -> None:
    """Standard deviation over the nets, samples and classes of 30 seeds."""
    import torch

    squares = []
    for seed in range(30):
        torch.manual_seed(seed)
        x, _ = part.nets.data()
        squares.append(float(part.nets.build(variant)(x).detach().square().mean()))
    # A net's mean square varies by a quarter or less, so that of 30 by a twentieth.
    assert np.sqrt(np.mean(squares)) == pytest.approx(deviation, rel=0.05)


def test_a_page_s_blocks_run_with_the_imports_they_lack(part: Any, tmp_path: Path) -> None:
    """Each repair is named; what the page prints is kept."""
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    loaded = part.torch_page.load(path)
    assert loaded.printed == "0.5\n"
    assert loaded.repairs == ["block 1: NameError, name 'np'", "block 3: NameError, name 'plt'"]
    assert part.torch_page.losses(loaded, 0) == ([1.0], [2.0])


def test_a_page_that_lacks_something_else_is_not_repaired(part: Any, tmp_path: Path) -> None:
    """Only imports are added."""
    path = tmp_path / "page.md"
    path.write_text(PAGE.replace("np.", "other."), encoding="utf-8")
    with pytest.raises(NameError, match="other"):
        part.torch_page.load(path)


def test_another_page_is_refused(part: Any, tmp_path: Path) -> None:
    """One without the experiment."""
    path = tmp_path / "other.md"
    path.write_text("```python\nprint(1)\n```\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page must be the tutorial, .*got other\.md"):
        part.torch_page.load(path)


def test_the_page_s_code_gives_the_restatement_s_losses(part: Any) -> None:
    """In every bit, where the page is at hand."""
    path = os.environ.get("FP8NUM_TUTORIAL")
    if not path:
        pytest.skip("FP8NUM_TUTORIAL does not name the tutorial's page")
    facts = part.page_facts(Path(path), range(3))
    assert facts["experiments that differ from the restatement"] == 0
    assert facts["formats of its layers"] == ["E4M3"]
    assert facts["roundings in a backward pass"] == 0
    assert facts["scale after 10000 steps without another"] == 64
