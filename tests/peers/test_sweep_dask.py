"""A sweep on a cluster of dask's: two worker processes, and the record is the serial one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fp8num.verify import Encoder
from fp8num.verify.sweeping.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.peers

SMALL: dict[str, Any] = {
    "source": "bfloat16",
    "chunk_bits": 10,
    "first": 0x3A12,
    "count": 0x1234,
    "digests": True,
}
TRUNCATES = Encoder(rounding="TowardZero", name="truncates")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


def told(found: Any) -> dict[str, Any]:
    return {key: value for key, value in found.to_dict().items() if key != "seconds"}


def test_a_cluster_gives_the_serial_record(client: Any, tmp_path: Path) -> None:
    """Mismatches, witnesses, digests; from the workers, and then from the journal."""
    options = SMALL | {"executor": client.get_executor(), "journal": tmp_path / "sweep.jsonl"}
    serial = told(sweep(TRUNCATES, "E4M3FN", **SMALL))

    assert told(sweep(TRUNCATES, "E4M3FN", **options)) == serial
    assert told(sweep(TRUNCATES, "E4M3FN", **options)) == serial
    assert serial["mismatches"]


def test_both_workers_took_part(client: Any) -> None:
    """The work was sent to two processes that are not this one."""
    found = sweep(Encoder(), "E5M2", executor=client.get_executor(), count=1 << 22, chunk_bits=16)

    assert found.ok
    done = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(done) == 2
    assert all(count > 0 for count in done.values())


def test_a_function_typed_at_a_prompt_can_be_sent(client: Any) -> None:
    """The cluster sends it by value; what it raises there is a finding here."""

    def raises(x: Any) -> Any:
        msg = f"for {x.dtype}"
        raise ArithmeticError(msg)

    found = sweep(raises, "E4M3FN", executor=client.get_executor(), **SMALL)

    assert not found.ok
    assert len(found.faults) == 3
    assert "chunk 14, words 3a12 to 3bff: raised ArithmeticError: for" in found.faults[0].detail


def test_the_executor_is_not_shut_down(client: Any) -> None:
    executor = client.get_executor()

    sweep(Encoder(), "E4M3FN", executor=executor, source="float16")

    assert executor.submit(int, "3").result() == 3
