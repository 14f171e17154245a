"""Memories whose four calls go wrong where a workflow has a journal; each breaks one thing."""

import asyncio

from pydantic_core import from_json
from typing_extensions import override

from arvo_event_handler.memory import Record, check_previous, whole

from .broken_chunks import WritesTheRecordAlone
from .leased_memory import LeasedMemory, Stored, WaitingLeasedMemory


class ReadsTheRecordAlone(WaitingLeasedMemory):
    @override
    async def read(self, machine_id: str) -> Record | None:
        stored = self._current(machine_id)
        return None if stored is None else from_json(stored.json)


class ReadsWithoutTheTail(WaitingLeasedMemory):
    @override
    async def read(self, machine_id: str) -> Record | None:
        stored = self._current(machine_id)
        if stored is None:
            return None
        return whole(from_json(stored.json), tail=b"", chunks=stored.chunks)


class ReadsInTwoQueries(WaitingLeasedMemory):
    """The record first, and its tail and chunks a moment later."""

    @override
    async def read(self, machine_id: str) -> Record | None:
        before = self._current(machine_id)
        await asyncio.sleep(0)
        stored = self._current(machine_id)
        if before is None or stored is None:
            return None
        return whole(from_json(before.json), tail=stored.tail, chunks=stored.chunks)


class ComparesTheRecordAlone(WaitingLeasedMemory):
    @override
    def check_previous(
        self, previous: Record | None, stored: Stored | None, machine_id: str
    ) -> None:
        found = None if stored is None else from_json(stored.json)
        check_previous(previous, stored=found, machine_id=machine_id)


class TakesARecordWithoutEntriesForOneAlone(WaitingLeasedMemory):
    """As there is nothing beside it."""

    @override
    def check_previous(
        self, previous: Record | None, stored: Stored | None, machine_id: str
    ) -> None:
        if stored is None or stored.tail or stored.chunks:
            super().check_previous(previous, stored, machine_id)
        else:
            check_previous(previous, stored=from_json(stored.json), machine_id=machine_id)


class ComparesAllButTheJournal(WaitingLeasedMemory):
    @override
    def check_previous(
        self, previous: Record | None, stored: Stored | None, machine_id: str
    ) -> None:
        if previous is not None and stored is not None:
            previous = {**previous, "journal": stored.whole().get("journal")}
        super().check_previous(previous, stored, machine_id)


BROKEN_JOURNALS: dict[str, list[type[LeasedMemory]]] = {
    "test_read_returns_record_tail_and_chunks_as_one": [ReadsTheRecordAlone, ReadsWithoutTheTail],
    "test_read_returns_record_tail_and_chunks_of_one_moment": [ReadsInTwoQueries],
    "test_a_record_that_was_read_can_be_replaced": [
        ComparesTheRecordAlone,
        TakesARecordWithoutEntriesForOneAlone,
        WritesTheRecordAlone,
    ],
    "test_a_record_cannot_be_replaced_after_another_step": [ComparesAllButTheJournal],
}
