"""Transports deliver at least once; a workflow's state and completion happen once anyway."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from arvo_core import ArvoContract, ArvoEvent, ContractVersion
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    ExecutionViolation,
    IWorkflowHandler,
    SimpleMachineMemory,
    Start,
    Step,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_statechart.typing import MachineConfig
from arvo_time.testing import FakeClock, SpanRecorder

from .intercepted_memory import InterceptedMemory
from .leased_memory import LeasedMemory
from .order_machines import ask, machine, orchestrator
from .shop import (
    ORDER,
    RESERVE,
    RESERVED,
    AnyCall,
    Reserve,
    order,
    reserve_contract,
    reserved,
    start,
    stored,
)

NOTIFY = 4
"""The price of an answer that makes the workflow notify somebody, who answers nothing."""


class Watched:
    """An order workflow that counts how often its function runs."""

    def __init__(self, **options: Any) -> None:
        self.memory = InterceptedMemory(SimpleMachineMemory())
        self.runs = 0
        self.handler: ArvoResumable = order(self._flow, memory=self.memory, **options)
        self._numbers: Iterator[int] = count()

    async def _flow(self, call: AnyCall) -> Step[Any]:
        self.runs += 1
        if isinstance(call, Start):
            return Step(services=[Emit(RESERVE, {"item": item}) for item in call.data.items])
        match call.data.price:
            case 0:
                return Step()
            case 99:
                return Step(output=Complete({"total": 99}))
            case 13:
                raise RuntimeError("unlucky")
            case 2:
                return Step(services=[Emit(RESERVE, {"item": "a"}), Emit(RESERVE, {"item": "b"})])
            case price if price == NOTIFY:
                note = Emit("com.audit.note", {"item": "x"}, dataschema="#/audit/1.0.0")
                return Step(services=[note])
            case price:
                return Step(services=[Emit(RESERVE, {"item": "x" * price})])

    async def execute(self, event: ArvoEvent) -> list[ArvoEvent]:
        return await self.handler.execute(event)

    async def note(self, event: ArvoEvent) -> None:
        """Let an event of the workflow come that answers nothing and asks for nothing."""
        stray = reserved(event, price=0, id=f"note-{next(self._numbers)}", parentid="nobody")
        assert await self.execute(stray) == []

    async def ask_again(self, event: ArvoEvent, *, size: int = 1) -> ArvoEvent:
        """Let an event of the workflow come that makes it ask once more; return that request."""
        stray = reserved(event, price=size, id=f"ask-{next(self._numbers)}", parentid="nobody")
        [request] = await self.execute(stray)
        return request

    async def kept(self, event: ArvoEvent) -> list[str]:
        """Return the ids of the outputs that the record still holds."""
        record = await stored(self.memory, event)
        return [output["id"] for step in record["redelivery"]["out"] for output in step[1]]


def ids(events: list[ArvoEvent]) -> list[str]:
    return [event.id for event in events]


class TestSeenEvents:
    async def test_a_duplicate_runs_nothing_and_writes_nothing(self) -> None:
        watched = Watched()
        event = start()
        first = await watched.execute(event)
        before = list(watched.memory.calls)
        second = await watched.execute(event)
        assert [each.to_dict() for each in second] == [each.to_dict() for each in first]
        assert watched.runs == 1
        assert watched.memory.calls[len(before) :] == ["lock", "read", "unlock"]

    async def test_a_duplicate_reply_gives_what_it_gave(self) -> None:
        watched = Watched()
        [request] = await watched.execute(start())
        reply = reserved(request, price=7)
        first = await watched.execute(reply)
        assert ids(await watched.execute(reply)) == ids(first)
        assert watched.runs == 2

    async def test_an_event_is_known_by_source_and_id_together(self) -> None:
        watched = Watched()
        [request] = await watched.execute(start())
        await watched.execute(reserved(request, price=0, id="same"))
        await watched.execute(reserved(request, price=0, id="same", source="com.stock.other"))
        await watched.execute(reserved(request, price=0, id="same"))
        assert watched.runs == 3

    async def test_a_duplicate_that_asked_for_nothing_gives_nothing(self) -> None:
        watched = Watched()
        [request] = await watched.execute(start())
        reply = reserved(request, price=0)
        assert await watched.execute(reply) == await watched.execute(reply) == []

    async def test_the_completion_is_repeated_for_the_event_that_brought_it(self) -> None:
        watched = Watched()
        [request] = await watched.execute(start())
        reply = reserved(request, price=99)
        [done] = await watched.execute(reply)
        [again] = await watched.execute(reply)
        assert again.to_dict() == done.to_dict()
        assert watched.runs == 2

    async def test_a_system_error_is_repeated_too(self) -> None:
        watched = Watched()
        [request] = await watched.execute(start())
        reply = reserved(request, price=13)
        [error] = await watched.execute(reply)
        [again] = await watched.execute(reply)
        assert again.to_dict() == error.to_dict()


class TestStartingAgain:
    """A seen init event returns all outputs that may not have arrived, oldest first."""

    async def test_everything_unanswered_comes_again_oldest_first(self) -> None:
        watched = Watched()
        event = start("a", "b")
        first, second = await watched.execute(event)
        third = await watched.ask_again(event)
        [fourth] = await watched.execute(reserved(first, price=3))
        assert ids(await watched.execute(event)) == [second.id, third.id, fourth.id]

    @pytest.mark.parametrize("redelivered", [True, False])
    @pytest.mark.parametrize(("price", "kind"), [(99, "done"), (13, "error")])
    async def test_an_ended_workflow_answers_with_its_end_alone(
        self, price: int, kind: str, redelivered: bool
    ) -> None:
        watched = Watched()
        event = start("a", "b")
        answered, _ = await watched.execute(event)
        [end] = await watched.execute(reserved(answered, price=price))
        assert end.type.endswith(kind)
        again = await watched.handler.execute(event, redelivered=redelivered)
        assert ids(again) == ids(await watched.handler.owed(event.subject)) == [end.id]

    async def test_published_anew_an_active_workflow_gives_nothing(self) -> None:
        watched = Watched()
        event = start("a", "b")
        requests = await watched.execute(event)
        assert await watched.handler.execute(event, redelivered=False) == []
        assert await watched.execute(event) == requests

    @pytest.mark.parametrize("style", ["resumable", "machine"])
    @pytest.mark.parametrize("leased", [True, False])
    async def test_what_is_owed_is_told_without_a_step_or_a_write(
        self, leased: bool, style: str
    ) -> None:
        shared = LeasedMemory(clock=FakeClock()) if leased else SimpleMachineMemory()
        watched = Watched()
        handler: IWorkflowHandler = order(watched._flow, memory=shared)
        if style == "machine":
            config: MachineConfig = {"entry": [ask(RESERVE, item="a"), ask(RESERVE, item="b")]}
            handler = orchestrator(machine(config), memory=shared)
        event = start("a", "b")
        assert await handler.owed(event.subject) == []
        first, second = await handler.execute(event)
        assert await handler.owed(event.subject) == [first, second]
        await handler.execute(reserved(first, price=0))
        before = await shared.read(event.subject)
        assert await handler.owed(event.subject) == await handler.owed(event.subject) == [second]
        assert await shared.read(event.subject) == before
        assert await handler.owed(start().subject) == []
        with pytest.raises(ExecutionViolation, match="'order-7' is not the subject of a workflow"):
            await handler.owed("order-7")

    async def test_what_is_owed_is_not_told_while_an_event_is_handled(self) -> None:
        watched = Watched()
        event = start()
        memory = LeasedMemory(clock=FakeClock())
        handler = order(watched._flow, memory=memory)
        await handler.execute(event)
        lease = await memory.acquire(event.subject)
        assert lease is not None
        with pytest.raises(TransactionViolation) as caught:
            await handler.owed(event.subject)
        assert caught.value.cause is TransactionViolationCause.LOCK_UNACQUIRED

    async def test_another_start_of_the_same_workflow_changes_nothing(self) -> None:
        watched = Watched()
        event = start()
        await watched.execute(event)
        before = await stored(watched.memory, event)
        other = event.model_copy(update={"id": "another"})
        assert await watched.execute(other) == []
        assert await watched.execute(other) == []
        assert await stored(watched.memory, event) == before
        assert (watched.runs, watched.memory.calls.count("write")) == (1, 1)


class TestOutputsThatArrived:
    async def test_an_output_leaves_once_it_is_answered(self) -> None:
        watched = Watched()
        event = start("a", "b")
        first, second = await watched.execute(event)
        await watched.execute(reserved(first, price=0))
        assert await watched.kept(event) == [second.id]
        await watched.execute(reserved(second, price=0))
        assert await watched.kept(event) == []

    async def test_an_answer_without_parent_answers_nothing(self) -> None:
        watched = Watched()
        event = start()
        [request] = await watched.execute(event)
        await watched.execute(reserved(request, price=0, parentid=None))
        assert await watched.kept(event) == [request.id]

    async def test_a_request_stays_until_it_is_answered_whatever_comes_between(self) -> None:
        watched = Watched()
        event = start()
        [request] = await watched.execute(event)
        for _ in range(100):
            await watched.note(event)
        assert ids(await watched.execute(event)) == [request.id]

    async def test_the_last_unanswered_request_of_many_is_not_forgotten(self) -> None:
        watched = Watched(policy=ExecutionPolicy(redelivery_window=1))
        event = start(*map(str, range(80)))
        lost, *arrived = await watched.execute(event)
        for request in arrived:
            await watched.execute(reserved(request, price=0))
        assert ids(await watched.execute(event)) == [lost.id]

    async def test_a_request_whose_collection_was_replaced_leaves_after_32_events(self) -> None:
        watched = Watched()
        event = start()
        [replaced] = await watched.execute(event)
        request = await watched.ask_again(event)
        for _ in range(30):
            await watched.note(event)
        assert await watched.kept(event) == [replaced.id, request.id]
        await watched.note(event)
        assert await watched.kept(event) == [request.id]

    async def test_a_notification_leaves_after_32_later_events(self) -> None:
        watched = Watched()
        event = start()
        await watched.execute(event)
        note = await watched.ask_again(event, size=NOTIFY)
        for _ in range(31):
            await watched.note(event)
        assert await watched.kept(event) == [note.id]
        await watched.note(event)
        assert await watched.kept(event) == []

    @pytest.mark.parametrize("style", ["resumable", "machine"])
    async def test_a_notification_to_a_service_that_emits_nothing_leaves_too(
        self, style: str
    ) -> None:
        """Nothing can answer it, although the workflow declares the service."""
        told = ArvoContract(
            uri="#/shop/tell",
            type="com.shop.tell",
            versions=[ContractVersion("1.0.0", accepts=Reserve, emits={})],
        )
        services: list[Any] = [reserve_contract.version("1.0.0"), told.version("1.0.0")]

        async def flow(call: AnyCall) -> Step[Any]:
            return Step(services=[Emit(told.type, {"item": "x"}), Emit(RESERVE, {"item": "x"})])

        config: MachineConfig = {
            "entry": [ask(told.type, item="x"), ask(RESERVE, item="x")],
            "on": {RESERVED: {"actions": [ask(told.type, item="x"), ask(RESERVE, item="x")]}},
        }
        memory = SimpleMachineMemory()
        handler = (
            order(flow, memory=memory, services=services)
            if style == "resumable"
            else orchestrator(machine(config, services=services), memory=memory)
        )
        event = start()
        with SpanRecorder() as spans:
            _, request = await handler.execute(event)
            for _ in range(100):
                _, request = await handler.execute(reserved(request))
        kept = await handler.execute(event)
        assert [each.type for each in kept] == [told.type] * 32 + [RESERVE]
        assert warnings(spans) == []

    async def test_notifications_beside_answered_requests_leave_too(self) -> None:
        watched = Watched()
        event = start("a", "b")
        request, _ = await watched.execute(event)
        with SpanRecorder() as spans:
            for _ in range(100):
                request, _ = await watched.execute(reserved(request, price=2))
        assert len(await watched.kept(event)) == 2 + 31
        assert warnings(spans) == []

    async def test_the_end_never_leaves(self) -> None:
        watched = Watched()
        event = start()
        [request] = await watched.execute(event)
        [done] = await watched.execute(reserved(request, price=99))
        for number in range(40):
            late = reserved(request, price=0, id=f"late-{number}")
            assert await watched.execute(late) == []
        assert await watched.kept(event) == [done.id]


class TestBounds:
    async def half_answered(self, watched: Watched, event: ArvoEvent) -> str:
        """Let the workflow ask for two things, and answer one; return the other's id."""
        stray = reserved(event, price=2, id=f"two-{watched.runs}", parentid="nobody")
        answered, waiting = await watched.execute(stray)
        await watched.execute(reserved(answered, price=0))
        return waiting.id

    @pytest.mark.parametrize("window", [1, 3, 8])
    async def test_as_many_steps_as_the_window_are_kept_newest_last(self, window: int) -> None:
        watched = Watched(policy=ExecutionPolicy(redelivery_window=window))
        event = start()
        await watched.execute(event)
        steps = [await self.half_answered(watched, event) for _ in range(window + 5)]
        assert await watched.kept(event) == steps[-window:]

    async def test_answered_steps_fill_the_window(self) -> None:
        watched = Watched(policy=ExecutionPolicy(redelivery_window=3))
        event = start("a", "b")
        first, second = await watched.execute(event)
        await watched.execute(reserved(first, price=0))
        with SpanRecorder() as spans:
            requests = [await watched.ask_again(event) for _ in range(2)]
        assert not warnings(spans)
        assert await watched.kept(event) == [second.id, *ids(requests)]
        with SpanRecorder() as spans:
            newest = await watched.ask_again(event)
        assert await watched.kept(event) == [*ids(requests), newest.id]
        [warning] = warnings(spans)
        assert "redelivery_window (3)" in warning

    async def test_64_kib_are_kept(self) -> None:
        watched = Watched()
        event = start()
        await watched.execute(event)
        with SpanRecorder() as spans:
            requests = [await watched.ask_again(event, size=20_000) for _ in range(3)]
        assert not warnings(spans)
        with SpanRecorder() as spans:
            requests.append(await watched.ask_again(event, size=20_000))
        assert await watched.kept(event) == ids(requests[1:])
        [warning] = warnings(spans)
        assert "64 KiB" in warning

    async def test_the_newest_step_is_kept_whatever_its_size(self) -> None:
        watched = Watched()
        event = start()
        await watched.execute(event)
        huge = await watched.ask_again(event, size=100_000)
        assert await watched.kept(event) == [huge.id]

    async def test_the_start_is_remembered_among_more_events_than_are_kept(self) -> None:
        watched = Watched()
        event = start()
        [request] = await watched.execute(event)
        first = reserved(request, price=0, id="first")
        await watched.execute(first)
        for _ in range(1030):
            await watched.note(event)
        seen = (await stored(watched.memory, event))["redelivery"]["seen"]
        assert len(seen) == 1024
        newest = await watched.ask_again(event)
        runs = watched.runs
        assert ids(await watched.execute(event)) == [newest.id]
        assert watched.runs == runs
        await watched.execute(first)
        assert watched.runs == runs + 1

    @pytest.mark.parametrize("value", [3600, 0.5, "1h"])
    def test_an_expiry_that_is_a_plain_number_is_refused(self, value: Any) -> None:
        with pytest.raises(
            TypeError, match=rf"^finished_expiry must be a timedelta, got {value!r}$"
        ):
            ExecutionPolicy(finished_expiry=value)

    @pytest.mark.parametrize("value", [timedelta(0), timedelta(seconds=-1)])
    def test_an_expiry_not_above_zero_is_refused(self, value: timedelta) -> None:
        with pytest.raises(ValueError, match=r"^finished_expiry must (not be negative|be longer)"):
            ExecutionPolicy(finished_expiry=value)

    def test_a_redelivery_window_below_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1, got 0"):
            ExecutionPolicy(redelivery_window=0)


def warnings(spans: SpanRecorder) -> list[str]:
    return [
        str(event.attributes["message"])
        for span in spans.spans
        for event in span.events
        if event.name == "warning"
    ]


class TestRecordsOfTheTypeScriptVersion:
    """They have no `redelivery`; it is derived from their other members."""

    async def hand_over(
        self, *, answered: bool = False
    ) -> tuple[Watched, ArvoEvent, list[ArvoEvent]]:
        """Return a workflow whose record was written by the other version, and its requests."""
        watched = Watched()
        event = start("a", "b")
        requests = await watched.execute(event)
        if answered:
            await watched.execute(reserved(requests[0], price=0, id="answer"))
        record = await stored(watched.memory, event)
        theirs = from_json(to_json(record))
        del theirs["redelivery"]
        await watched.memory.write(event.subject, theirs, record)
        watched.runs = 0
        return watched, event, requests

    async def test_its_start_is_known_by_the_id_alone(self) -> None:
        watched, event, requests = await self.hand_over()
        elsewhere = event.model_copy(update={"source": "com.app.other"})
        assert ids(await watched.execute(elsewhere)) == ids(requests)
        assert watched.runs == 0

    async def test_an_answer_that_has_the_starts_id_is_another_event(self) -> None:
        watched, event, requests = await self.hand_over()
        await watched.execute(reserved(requests[0], price=0, id=event.id))
        assert watched.runs == 1

    async def test_another_start_changes_nothing(self) -> None:
        watched, event, _ = await self.hand_over()
        assert await watched.execute(event.model_copy(update={"id": "another"})) == []
        assert watched.runs == 0

    async def test_the_event_consumed_last_is_known(self) -> None:
        watched, _, requests = await self.hand_over(answered=True)
        assert await watched.execute(reserved(requests[0], price=0, id="answer")) == []
        assert watched.runs == 0

    async def test_answers_that_are_collected_are_known(self) -> None:
        watched, event, requests = await self.hand_over(answered=True)
        await watched.execute(reserved(requests[1], price=0, id="second"))
        record = await stored(watched.memory, event)
        theirs = from_json(to_json(record))
        del theirs["redelivery"]
        await watched.memory.write(event.subject, theirs, record)
        watched.runs = 0
        await watched.execute(reserved(requests[0], price=0, id="answer"))
        assert watched.runs == 0

    async def test_its_workflow_goes_on(self) -> None:
        watched, event, requests = await self.hand_over()
        [done] = await watched.execute(reserved(requests[0], price=99))
        assert (done.source, done.parentid) == (ORDER, event.id)
        assert ids(await watched.execute(event)) == [done.id]

    async def test_the_start_is_still_known_after_we_wrote(self) -> None:
        watched, event, requests = await self.hand_over()
        await watched.execute(reserved(requests[0], price=0))
        elsewhere = event.model_copy(update={"source": "com.app.other"})
        assert ids(await watched.execute(elsewhere)) == [requests[1].id]

    async def test_a_failure_record_of_theirs_ends_the_workflow(self) -> None:
        watched = Watched()
        event = start()
        failed: dict[str, Any] = {
            "executionStatus": "failure",
            "subject": event.subject,
            "error": {},
        }
        await watched.memory.write(event.subject, failed, None)
        assert await watched.execute(event) == []
        assert watched.runs == 0
