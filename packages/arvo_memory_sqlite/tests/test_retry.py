"""A workflow that failed is mended after a restart, from what the file keeps."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from arvo_core import (
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    IMachineMemory,
    Reply,
    Start,
    Step,
    WorkflowControl,
)
from arvo_memory_sqlite import SqliteMachineMemory


class Item(BaseModel):
    name: str


class Price(BaseModel):
    cents: int


PRICE_V1 = SimpleVersion("1.0.0", accepts=Item, emits=Price)
PRICE = SimpleArvoContract(uri="#/shop/price", type="shop.price", versions=[PRICE_V1])
ORDER_V1 = OrchestratorVersion("1.0.0", init=Item, complete=Price)
ORDER = ArvoOrchestratorContract(uri="#/shop/order", name="shop.order", versions=[ORDER_V1])


def order(memory: IMachineMemory, *, works: bool) -> ArvoResumable:
    async def order_v1(call: Start[Item] | Reply[Any]) -> Step[Any]:
        if isinstance(call, Start):
            return Step(services=[Emit(PRICE.type, call.data) for _ in range(3)])
        if not works and call.data.cents == 2:
            raise LookupError("no such price")
        prices = [each.cents for each in call.replies(PRICE_V1)]
        return Step() if len(prices) < 3 else Step(output=Complete(Price(cents=sum(prices))))

    return ArvoResumable(
        contract=ORDER,
        services=[PRICE.version(PRICE_V1)],
        memory=memory,
        handler={"1.0.0": order_v1},
    )


@pytest.mark.parametrize("chunk_bytes", [0, 2048])
async def test_a_workflow_that_failed_is_retried_after_a_restart(
    tmp_path: Path, chunk_bytes: int
) -> None:
    path = tmp_path / "state.db"
    event = ArvoOrchestratorEventFactory(ORDER.version(ORDER_V1)).init(
        source="com.app.main", data=Item(name="tea")
    )
    async with SqliteMachineMemory.connect(path, chunk_bytes=chunk_bytes) as memory:
        requests = await order(memory, works=False).execute(event)
        answers = [
            ArvoEventFactory(PRICE.version(PRICE_V1)).emits(
                type="evt.shop.price.success",
                source=PRICE.type,
                subject=event.subject,
                data=Price(cents=cents),
                parentid=request.id,
                to=ORDER.type,
            )
            for cents, request in enumerate(requests, start=1)
        ]
        assert await order(memory, works=False).execute(answers[0]) == []
        [error] = await order(memory, works=False).execute(answers[1])
        assert error.data["errorMessage"] == "no such price"
        failed = await memory.workflow(event.subject)
        assert failed is not None
        assert (failed.status, failed.expires_at is None) == ("failure", False)
    async with SqliteMachineMemory.connect(path, chunk_bytes=chunk_bytes) as memory:
        retry = WorkflowControl(event.subject, source="com.app.operator").retry(attempt=1)
        again = await order(memory, works=True).execute(retry)
        assert [each.to_dict() for each in again] == [requests[2].to_dict()]
        mended = await memory.workflow(event.subject)
        assert mended is not None
        assert (mended.status, mended.expires_at, mended.error) == ("active", None, None)
        assert mended.waits_for == (PRICE.type,)
    async with SqliteMachineMemory.connect(path, chunk_bytes=chunk_bytes) as memory:
        [done] = await order(memory, works=True).execute(answers[2])
        assert (done.parentid, done.data) == (event.id, {"cents": 6})
