"""Every call that reaches the file is a span, named as in the other memories."""

from datetime import timedelta
from pathlib import Path

import pytest

from arvo_event_handler import TransactionViolation
from arvo_event_handler.memory import LockPolicy, WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_time.testing import SpanRecorder

QUICK = LockPolicy(max_wait=timedelta(0))


async def test_each_call_that_reaches_the_file_is_a_span(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SpanRecorder() as recorder:
        await make_calls(path)
    assert [span.name.partition(" ")[0] for span in recorder.spans] == [
        *("ACQUIRE", "RENEW", "COMMIT", "RELEASE", "ACQUIRE", "RELEASE"),
        *("READ", "WRITE", "WORKFLOWS", "COUNT", "WORKFLOW", "NEXT_DUE", "CLAIM"),
        "CLEANUP",
    ]
    for span in recorder.spans:
        assert span.attributes["db.system.name"] == "sqlite"
        assert span.attributes["db.namespace"] == "state.db"
        assert span.attributes["db.collection.name"] == "machine"
        assert span.status == "UNSET"


async def make_calls(path: Path) -> None:
    async with SqliteMachineMemory.connect(path, policy=QUICK) as memory:
        lease = await memory.acquire("order-7")
        assert lease is not None
        await memory.renew(lease)
        await memory.commit(lease, record_write({"count": 1}))
        await memory.release(lease)
        await memory.lock("order-8")
        await memory.unlock("order-8")
        await memory.write("order-8", {}, await memory.read("order-8"))
        await memory.workflows(WorkflowQuery())
        await memory.count(WorkflowQuery())
        await memory.workflow("order-7")
        await memory.next_due()
        await memory.claim_due(limit=1, hold=timedelta(seconds=30))
        await memory.cleanup("order-7")


async def test_a_write_refused_by_version_does_not_fail_the_span() -> None:
    async with SqliteMachineMemory.connect(":memory:", policy=QUICK) as memory:
        lease = await memory.acquire("order-7")
        assert lease is not None
        await memory.write("order-7", {"by": "other"}, None)
        with SpanRecorder() as recorder, pytest.raises(TransactionViolation):
            await memory.commit(lease, record_write({}))
    (span,) = recorder.spans
    assert (span.name, span.status) == ("COMMIT machine", "UNSET")
