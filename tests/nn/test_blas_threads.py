"""The number of threads of the BLAS changes no bit: of products, of layers, of trainings."""

from __future__ import annotations

import os
import subprocess
import sys

#: Prints a digest of the products, of the trained layers and of whole trainings.
PROGRAM = """
import hashlib
import numpy as np
from fp8num import nn
from fp8num.nn.data import teacher
from fp8num.nn.products import multiply
from fp8num.nn.train import train

rng = np.random.default_rng(0)
digest = hashlib.sha256()
for shape in ((256, 512, 300), (33, 1000, 17), (512, 256, 512)):
    a = rng.standard_normal(shape[:2]).astype(np.float32)
    b = rng.standard_normal(shape[1:]).astype(np.float32)
    digest.update(multiply(a, b).tobytes() + multiply(a.T.copy().T, b).tobytes())
print("products", digest.hexdigest())

digest = hashlib.sha256()
x, y = rng.standard_normal((96, 200)).astype(np.float32), rng.integers(0, 7, 96)
for recipe in ("fp32", "te-current", "te-delayed", "te-block", "mxfp8", "nvfp4", "torchao-rowwise"):
    model = nn.MLP([200, 180, 7], seed=1, recipe=recipe)
    optimizer = nn.AdamW(model.parameters())
    for _ in range(2):
        for parameter in model.parameters().values():
            parameter.zero_grad()
        nn.cross_entropy(model(x), y).backward()
        optimizer.step()
        model.end_step()
    for parameter in model.parameters().values():
        digest.update(parameter.data.tobytes())
print("layers", digest.hexdigest())

digest = hashlib.sha256()
for recipe in ("fp32", "te-current"):
    data = teacher(n=256, test=300, features=64, classes=10)
    run = train(data, sizes=(64, 300, 10), epochs=1, batch=128, recipe=recipe, stats_every=2)
    for tensor in run.model.parameters().values():
        digest.update(tensor.data.tobytes())
    digest.update(repr((run.history, run.train, run.held_out)).encode())
print("trainings", digest.hexdigest())
"""


def digests(threads: str) -> dict[str, str]:
    """Return what a process of so many threads prints."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, threads)
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def test_the_threads_of_the_blas_play_no_part() -> None:
    """Bit for bit in products, in layers after steps of training, and in trainings with metrics."""
    one, two = digests("1"), digests("2")

    assert one.keys() == {"products", "layers", "trainings"}
    assert [what for what in one if one[what] != two[what]] == []
