"""One workflow on whole records, and the same on a journal by several workers."""

from collections.abc import Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Protocol
from unittest.mock import patch

from pydantic import JsonValue

from arvo_core import ArvoEvent
from arvo_event_handler import (
    ExecutionPolicy,
    ExecutionViolation,
    SimpleMachineMemory,
    TransactionViolation,
)
from arvo_event_handler._workflow import _journal_store
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    MachineLease,
    Record,
    RecordWrite,
    _state,
    to_typescript,
)
from arvo_time import SYSTEM_CLOCK, Clock

from ._plays import Command, Play
from ._shop import CHARGE, RESERVE, charged, reserved, start


class ForgettingMemory(ILeasedMachineMemory, Protocol):
    """What the law needs of a memory."""

    def cleanup(self, machine_id: str) -> Awaitable[object]:
        """Forget a workflow."""
        ...


async def check_play(
    play: Play,
    opening: AbstractAsyncContextManager[ForgettingMemory],
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Let a workflow go through a play twice, and compare after each command.

    Args:
        play: What happens.
        opening: Opens the memory whose journals are looked at, with the play's `chunk_bytes`.
        clock: The clock of that memory, and of all workers.

    Raises:
        AssertionError: What was published or stored differs.
    """
    async with opening as memory:
        with _early_garbage():
            await Twins(play, memory, clock=clock).run()


@contextmanager
def _early_garbage() -> Iterator[None]:
    """Let bases be written, and what has arrived be forgotten, in journals that are not long."""
    with patch.object(_journal_store, "_GARBAGE", 1000), patch.object(_state, "ARRIVED_AFTER", 4):
        yield


class Twins:
    """The two workflows of a play."""

    def __init__(self, play: Play, memory: ForgettingMemory, *, clock: Clock) -> None:
        self._play = play
        self._memory = memory
        self._clock = clock
        self._workers = [
            play.make(
                memory,
                answers=play.answers,
                policy=ExecutionPolicy(
                    redelivery_window=5,
                    warm_bytes=warm_bytes,
                    finished_expiry=None,
                    failed_expiry=None,
                    clock=clock,
                ),
            )
            for warm_bytes in play.warm_bytes
        ]
        self._first = start("a", "b", "c")
        self._requests: list[ArvoEvent] = []
        self._events = [self._first]
        self._begin()

    async def run(self) -> None:
        """Begin the workflow and carry out the commands, each by one of the workers."""
        await self._deliver(self._first, 0)
        for number, (command, choice, price) in enumerate(self._play.commands):
            worker = self._play.workers[number % len(self._play.workers)]
            if command == "anew":
                await self._memory.cleanup(self._first.subject)
                self._begin()
                await self._deliver(self._first, worker)
            elif command == "again" or not self._requests:
                await self._deliver(self._events[choice % len(self._events)], worker)
            else:
                request = self._requests[choice % len(self._requests)]
                await self._answer(_answer(request, price, number), command, worker)
            await self._compare_records()

    async def _answer(self, event: ArvoEvent, command: Command, worker: int) -> None:
        self._events.append(event)
        if command == "answer":
            await self._deliver(event, worker)
        else:
            await self._lose(event, worker, stored=command == "unsaid")

    def _begin(self) -> None:
        policy = ExecutionPolicy(redelivery_window=5, clock=self._clock)
        self._plain = SimpleMachineMemory()
        self._reference = self._play.make(self._plain, answers=self._play.answers, policy=policy)

    async def _deliver(self, event: ArvoEvent, worker: int) -> None:
        """Let an event come to both, and compare what they publish."""
        expected = await _outcome(self._reference, event)
        assert await _outcome(self._workers[worker], event) == expected
        if isinstance(expected, list):
            self._requests += [
                ArvoEvent.from_dict({**each, "time": event.time})
                for each in expected
                if each["type"] in (RESERVE, CHARGE)
            ]

    async def _lose(self, event: ArvoEvent, worker: int, *, stored: bool) -> None:
        """Let a worker's commit fail, before or after it is stored."""
        commit = self._memory.commit

        async def lose(lease: MachineLease, write: RecordWrite) -> None:
            if stored:
                await commit(lease, write)
            raise ConnectionError("gone")

        with patch.object(self._memory, "commit", lose):
            outcome = await _outcome(self._workers[worker], event)
        if outcome == "TransactionViolation" and stored:
            await self._reference.execute(event)

    async def _compare_records(self) -> None:
        subject = self._first.subject
        found, expected = await self._memory.read(subject), await self._plain.read(subject)
        shown: Record | None = (
            None
            if found is None
            else to_typescript(found, subject=subject, answering={RESERVE, CHARGE}, window=5)
        )
        # Only a workflow that says which requests are open needs them.
        for record in (shown, expected):
            redelivery: JsonValue = None if record is None else record["redelivery"]
            if isinstance(redelivery, dict) and self._play.answers == "any":
                redelivery.pop("open", None)
        assert _untimed(shown) == _untimed(expected)


async def _outcome(handler: Any, event: ArvoEvent) -> Any:
    try:
        return _untimed([each.to_dict() for each in await handler.execute(event)])
    except (ExecutionViolation, TransactionViolation) as violation:
        return type(violation).__name__


def _answer(request: ArvoEvent, price: int, number: int) -> ArvoEvent:
    made = charged(request) if request.type == CHARGE else reserved(request, price=price)
    return ArvoEvent.from_dict({**made.to_dict(), "id": f"answer-{number}"})


def _untimed(content: Any) -> Any:
    """Return JSON without the times of events, which no two runs share, and without charts."""
    if isinstance(content, dict):
        left_out = {"time", "machineDefinition"}
        return {name: _untimed(each) for name, each in content.items() if name not in left_out}
    return [_untimed(each) for each in content] if isinstance(content, list) else content
