"""What only this memory promises; `test_machine_memory_suite.py` has what every memory does."""

import asyncio

import pytest

from arvo_event_handler import (
    SimpleMachineMemory,
    TransactionViolation,
    TransactionViolationCause,
)


async def test_each_memory_has_its_own_data() -> None:
    first, second = SimpleMachineMemory(), SimpleMachineMemory()
    await first.write("order-7", {"count": 1}, None)
    assert await first.lock("order-7")
    assert await second.read("order-7") is None
    assert await second.lock("order-7")


async def test_a_lock_that_is_held_is_refused_without_waiting() -> None:
    memory = SimpleMachineMemory()
    assert await memory.lock("order-7")
    second = memory.lock("order-7")
    with pytest.raises(StopIteration) as ended:
        second.send(None)
    assert ended.value.value is False


async def test_records_outlive_the_event_loop_that_wrote_them() -> None:
    memory = SimpleMachineMemory()
    await asyncio.to_thread(asyncio.run, memory.write("order-7", {"count": 1}, None))
    assert await memory.read("order-7") == {"count": 1}


async def test_an_empty_id_is_refused_with_a_message() -> None:
    with pytest.raises(TransactionViolation, match="a machine id must not be empty") as refused:
        await SimpleMachineMemory().read("")
    assert refused.value.cause is TransactionViolationCause.INVALID_SUBJECT
    assert not refused.value.retryable


async def test_a_refused_write_says_what_to_do() -> None:
    memory = SimpleMachineMemory()
    await memory.write("order-7", {"count": 1}, None)
    with pytest.raises(TransactionViolation, match="another writer wrote") as refused:
        await memory.write("order-7", {"count": 2}, None)
    assert refused.value.retryable
    assert refused.value.cause.is_contention


async def test_a_record_read_before_another_write_is_refused_as_previous() -> None:
    memory = SimpleMachineMemory()
    await memory.write("order-7", {"count": 1}, None)
    read_first = await memory.read("order-7")
    read_last = await memory.read("order-7")
    await memory.write("order-7", {"count": 2}, read_first)
    with pytest.raises(TransactionViolation, match="another writer wrote"):
        await memory.write("order-7", {"count": 3}, read_last)
    assert await memory.read("order-7") == {"count": 2}


async def test_an_equal_record_of_the_writers_own_is_as_good_as_the_one_read() -> None:
    memory = SimpleMachineMemory()
    await memory.write("order-7", {"count": 1}, None)
    await memory.read("order-7")
    await memory.write("order-7", {"count": 2}, {"count": 1})
    assert await memory.read("order-7") == {"count": 2}
