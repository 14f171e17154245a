"""The life of one event in a workflow: what is stored, what is published, and what goes wrong."""

import asyncio
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from arvo_core import ArvoEvent, ArvoOrchestrationSubject, ViolationError
from arvo_core.event_id import derive_id
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    ConfigViolation,
    ContractViolation,
    EmissionDomains,
    Emit,
    ExecutionPolicy,
    ExecutionViolation,
    MachineMemoryError,
    Start,
    Step,
    SystemErrorPolicy,
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler.memory import LockPolicy
from arvo_time.testing import FakeClock

from .intercepted_memory import Interception, fail
from .shop import (
    APP,
    CHARGE,
    ORDER,
    ORDERED,
    RESERVE,
    AnyCall,
    charged,
    order_contract,
    reserved,
    start,
)
from .store import KINDS, Store


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Store:
    return Store(request.param)


def raising(error: BaseException) -> Any:
    async def flow(call: AnyCall) -> Step[Any]:
        raise error

    return flow


async def ending(call: AnyCall) -> Step[Any]:
    if isinstance(call, Start):
        return Step(context={"n": 1}, services=[Emit(RESERVE, {"item": "a"})])
    return Step(output=Complete({"total": 1}))


class TestCalls:
    """What the memory is asked, in which order."""

    async def test_plain(self) -> None:
        store = Store("plain")
        memory = store.memory()
        await store.order(memory=memory).execute(start())
        assert memory.calls == ["lock", "read", "write", "unlock"]

    async def test_plain_without_locking(self) -> None:
        store = Store("plain")
        memory = store.memory()
        await store.order(memory=memory, locking=False).execute(start())
        assert memory.calls == ["read", "write"]

    @pytest.mark.parametrize("locking", [True, False])
    async def test_leased_takes_two_trips_whatever_locking_says(self, locking: bool) -> None:
        store = Store("leased")
        memory = store.memory()
        await store.order(memory=memory, locking=locking).execute(start())
        assert memory.calls == ["acquire", "commit"]

    async def test_another_workflows_event_asks_for_nothing(self, store: Store) -> None:
        memory = store.memory()
        subject = ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.other", version="1.0.0", initiator=APP
        )
        assert await store.order(memory=memory).execute(start(subject=subject)) == []
        assert memory.calls == []

    async def test_an_event_that_changes_nothing_is_not_written(self, store: Store) -> None:
        memory = store.memory()
        assert await store.order(memory=memory).execute(reserved(start())) == []
        assert store.name("write") not in memory.calls
        assert store.locked == []


class TestExceptions:
    """User code that raises ends the workflow, and the initiator gets a system error."""

    async def test_a_failing_start(self, store: Store) -> None:
        event = start(accesscontrol="role:clerk", redirectto="com.app.results")
        [error] = await store.order(raising(LookupError("sold out")), executionunits=3).execute(
            event
        )
        assert (error.type, error.to, error.source) == (f"sys.{ORDER}.error", APP, ORDER)
        assert (error.subject, error.parentid) == (event.subject, event.id)
        assert (error.redirectto, error.executionunits) == (None, 3)
        assert error.accesscontrol == "role:clerk"
        assert error.dataschema == "#/shop/order/0.0.0"
        assert error.data["errorMessage"] == "sold out"
        record = await store.read(event)
        beside = ("error", "failure", "redelivery")
        assert {name: record[name] for name in record if name not in beside} == {
            "executionStatus": "failure",
            "status": "active",
            "initEventId": event.id,
            "parentSubject": None,
            "subject": event.subject,
        }
        assert record["failure"] == {"in": event.to_dict(), "out": [error.to_dict()], "attempt": 1}
        assert record["error"]["name"] == "LookupError"
        assert record["error"]["message"] == "sold out"
        assert "in flow" in record["error"]["stack"]
        assert error.data["errorStack"] is None

    async def test_a_policy_may_send_the_stack(self, store: Store) -> None:
        handler = store.order(
            raising(LookupError("sold out")), system_errors=SystemErrorPolicy(stack=True)
        )
        [error] = await handler.execute(start())
        assert "in flow" in error.data["errorStack"]

    async def test_a_failing_reply_belongs_to_the_start(self, store: Store) -> None:
        parent = start().subject
        event = start(parent_subject=parent)
        [request] = await store.order().execute(event)
        reply = reserved(request)
        [error] = await store.order(raising(LookupError("sold out"))).execute(reply)
        assert (error.parentid, error.subject) == (event.id, parent)
        assert error.to == ORDER
        record = await store.read(event)
        assert (record["executionStatus"], record["status"]) == ("failure", "active")
        assert (record["initEventId"], record["parentSubject"]) == (event.id, parent)

    async def test_outputs_made_before_it_are_lost(self, store: Store) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(context={"a": object()}, services=[Emit(RESERVE, {"item": "a"})])

        event = start()
        [error] = await store.order(flow).execute(event)
        assert error.type == f"sys.{ORDER}.error"
        assert error.id == derive_id(event.source, event.id, event.subject, ORDER, 0, None)
        assert (await store.read(event))["executionStatus"] == "failure"

    async def test_a_group_with_an_ordinary_exception_counts_as_one(self, store: Store) -> None:
        group = ExceptionGroup("both", [ViolationError("a"), ValueError("b")])
        [error] = await store.order(raising(group)).execute(start())
        assert error.data["errorName"] == "ExceptionGroup"

    async def test_the_domains_of_system_errors_can_be_chosen(self, store: Store) -> None:
        errors = await store.order(
            raising(LookupError("x")), domains=EmissionDomains(system_error=("alerts", None))
        ).execute(start())
        assert [error.domain for error in errors] == ["alerts", None]


class TestViolations:
    """They escape; nothing is stored or published, and the event can be delivered again."""

    @pytest.mark.parametrize(
        "violation",
        [ExecutionViolation("not now", retryable=True), ContractViolation("no")],
        ids=repr,
    )
    async def test_of_user_code(self, store: Store, violation: ViolationError) -> None:
        event = start()
        with pytest.raises(type(violation)) as caught:
            await store.order(raising(violation)).execute(event)
        assert caught.value is violation
        assert await store.read(event) is None
        assert store.locked == []
        assert len(await store.order().execute(event)) == 1

    async def test_of_a_group(self, store: Store) -> None:
        group = ExceptionGroup("all", [ExecutionViolation("a", retryable=True)])
        with pytest.raises(ExecutionViolation, match="all: a") as caught:
            await store.order(raising(group)).execute(start())
        assert caught.value.retryable

    async def test_of_an_output(self, store: Store) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(services=[Emit(RESERVE, {"item": "a"}, domain=[])])

        event = start()
        with pytest.raises(ConfigViolation):
            await store.order(flow).execute(event)
        assert await store.read(event) is None
        assert store.locked == []

    async def test_a_reply_that_is_refused_leaves_the_record(self, store: Store) -> None:
        event = start()
        [request] = await store.order().execute(event)
        before = await store.read(event)
        with pytest.raises(ContractViolation):
            await store.order().execute(reserved(request).model_copy(update={"data": {}}))
        assert await store.read(event) == before
        assert store.locked == []


class TestMemoryFailures:
    async def test_lock_denied(self, store: Store) -> None:
        event = start()
        holder = await (store.leased if store.kind == "leased" else store.plain).lock(event.subject)
        assert holder
        with pytest.raises(TransactionViolation) as caught:
            await store.order().execute(event)
        assert caught.value.cause is TransactionViolationCause.LOCK_UNACQUIRED
        assert caught.value.retryable
        assert caught.value.cause.is_contention
        assert store.locked == [event.subject]

    @pytest.mark.parametrize(
        ("call", "cause"),
        [
            ("lock", TransactionViolationCause.LOCK_FAILURE),
            ("write", TransactionViolationCause.WRITE_FAILURE),
        ],
    )
    @pytest.mark.parametrize(
        "error",
        [
            ConnectionError("gone"),
            MachineMemoryError("gone", retryable=True, outcome="failed"),
            MachineMemoryError("gone", retryable=True, outcome="unknown"),
            MachineMemoryError("gone", retryable=False, outcome="unknown"),
        ],
        ids=["driver", "retryable", "unknown", "unknown for good"],
    )
    async def test_a_call_that_fails_is_a_violation(
        self, store: Store, call: str, cause: TransactionViolationCause, error: Exception
    ) -> None:
        event = start()
        memory = store.memory(before=fail(store.name(call), error, times=1))
        with pytest.raises(TransactionViolation, match="gone") as caught:
            await store.order(memory=memory).execute(event)
        assert caught.value.cause is cause
        assert caught.value.subject == event.subject
        assert caught.value.retryable
        assert caught.value.__cause__ is error
        assert await store.read(event) is None
        assert store.locked == []

    async def test_a_lock_that_can_never_be_granted_is_not_retryable(self, store: Store) -> None:
        error = MachineMemoryError("no such table", retryable=False, outcome="failed")
        memory = store.memory(before=fail(store.name("lock"), error))
        with pytest.raises(TransactionViolation, match="no such table") as caught:
            await store.order(memory=memory).execute(start())
        assert not caught.value.retryable

    async def test_an_unreadable_record_is_a_read_failure(self, store: Store) -> None:
        """Whichever call finds it: a person has to look at the stored data."""
        call = "acquire" if store.kind == "leased" else "read"
        error = UnreadableRecordError("version is 'x'")
        memory = store.memory(before=fail(call, error))
        with pytest.raises(TransactionViolation, match="version is 'x'") as caught:
            await store.order(memory=memory).execute(start())
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert not caught.value.retryable
        assert caught.value.__cause__ is error
        assert store.locked == []

    @pytest.mark.parametrize("retryable", [True, False])
    async def test_a_refusal_by_the_backend_ends_no_workflow(
        self, store: Store, retryable: bool
    ) -> None:
        """Nothing is stored or published, and the next delivery goes on."""
        event = start()
        [request] = await store.order(ending).execute(event)
        before = await store.read(event)
        refusal = MachineMemoryError("no right", retryable=retryable, outcome="failed")
        memory = store.memory(before=fail(store.name("write"), refusal, times=1))
        handler = store.order(ending, memory=memory)
        with pytest.raises(TransactionViolation, match="no right") as caught:
            await handler.execute(reserved(request, id="answer"))
        assert caught.value.cause is TransactionViolationCause.WRITE_FAILURE
        assert caught.value.retryable is retryable
        assert await store.read(event) == before
        [done] = await handler.execute(reserved(request, id="answer"))
        assert done.type == ORDERED

    async def test_a_read_that_fails_unlocks(self) -> None:
        store = Store("plain")
        memory = store.memory(before=fail("read", ConnectionError("gone")))
        with pytest.raises(TransactionViolation, match="gone") as caught:
            await store.order(memory=memory).execute(start())
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert store.locked == []

    @pytest.mark.parametrize("call", ["lock", "write"])
    async def test_a_violation_of_the_memorys_own_is_kept(self, store: Store, call: str) -> None:
        moved = TransactionViolation(
            "moved", cause=TransactionViolationCause.VERSION_MOVED, subject="s"
        )
        memory = store.memory(before=fail(store.name(call), moved))
        with pytest.raises(TransactionViolation) as caught:
            await store.order(memory=memory).execute(start())
        assert caught.value is moved

    async def test_a_lost_write_reply_is_made_up_for_by_delivering_again(
        self, store: Store
    ) -> None:
        event = start()
        memory = store.memory(after=fail(store.name("write"), ConnectionError("gone")))
        with pytest.raises(TransactionViolation):
            await store.order(memory=memory).execute(event)
        [request] = await store.order().execute(event)
        record = await store.read(event)
        assert record["events"]["produced"] == [request.to_dict()]

    @pytest.mark.parametrize("call", ["lock", "write", "unlock"])
    async def test_a_failing_unlock_changes_nothing_else(self, store: Store, call: str) -> None:
        first = fail(store.name("unlock"), ConnectionError("gone"))
        event = start()
        memory = store.memory(after=first)
        assert len(await store.order(memory=memory).execute(event)) == 1
        assert len(await store.order(memory=memory).execute(event)) == 1
        assert store.locked == []


class TestRecordsThatCanNeverBeWritten:
    """Not a violation, which would be redelivered indefinitely, but a failure of the workflow."""

    too_large = UnwritableRecordError("too large")

    async def test_the_workflow_fails(self, store: Store) -> None:
        event = start()
        memory = store.memory(before=fail(store.name("write"), self.too_large, times=1))
        [error] = await store.order(memory=memory).execute(event)
        assert error.type == f"sys.{ORDER}.error"
        assert (error.data["errorName"], error.data["errorMessage"]) == (
            "UnwritableRecordError",
            "too large",
        )
        record = await store.read(event)
        assert (record["executionStatus"], record["error"]["message"]) == ("failure", "too large")
        assert store.locked == []

    async def test_all_but_the_failure_is_as_before_the_step(self, store: Store) -> None:
        event = start()
        [request] = await store.order(ending).execute(event)
        before = await store.read(event)
        memory = store.memory(before=fail(store.name("write"), self.too_large, times=1))
        await store.order(ending, memory=memory).execute(reserved(request))
        after = await store.read(event)
        told = {"executionStatus": "failure", "error": after["error"], "failure": after["failure"]}
        assert after == {**before, **told}

    async def test_an_event_too_large_by_itself_is_known_again_without_its_data(
        self, store: Store
    ) -> None:
        event = start()
        memory = store.memory(before=fail(store.name("write"), self.too_large, times=2))
        [error] = await store.order(memory=memory).execute(event)
        failure = (await store.read(event))["failure"]
        assert failure["in"] == {**event.to_dict(), "data": None}
        assert await store.order().execute(event) == [error]

    @pytest.mark.parametrize(
        "second",
        [
            UnwritableRecordError("still too large"),
            MachineMemoryError("gone", retryable=True, outcome="unknown"),
            ConnectionError("gone"),
        ],
        ids=["too large", "unknown", "driver"],
    )
    async def test_what_is_not_stored_is_not_published(
        self, store: Store, second: Exception
    ) -> None:
        event = start()
        # The step, its failure, and its failure without the data of the event.
        errors = [self.too_large, self.too_large, second]

        async def refuse(call: str, machine_id: str) -> None:
            if call == store.name("write"):
                raise errors.pop(0)

        with pytest.raises(TransactionViolation) as caught:
            await store.order(memory=store.memory(before=refuse)).execute(event)
        assert caught.value.cause is TransactionViolationCause.WRITE_FAILURE
        assert caught.value.__cause__ is second
        assert caught.value.retryable is (str(second) == "gone")
        assert await store.read(event) is None
        assert store.locked == []

    async def test_the_failure_is_remembered_like_any_other(self, store: Store) -> None:
        event = start()
        memory = store.memory(before=fail(store.name("write"), self.too_large, times=1))
        handler = store.order(memory=memory)
        [error] = await handler.execute(event)
        [again] = await handler.execute(event)
        assert again.to_dict() == error.to_dict()


class TestCancellation:
    """It releases the lease and writes nothing; after another delivery the workflow goes on."""

    def held_up(self, call: str, reached: asyncio.Event, go_on: asyncio.Event) -> Interception:
        async def interception(name: str, machine_id: str) -> None:
            if name == call and not reached.is_set():
                reached.set()
                await go_on.wait()

        return interception

    async def cancel(
        self, handler: ArvoResumable, event: ArvoEvent, reached: asyncio.Event
    ) -> None:
        task = asyncio.create_task(handler.execute(event))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("call", ["lock", "read", "write", "unlock"])
    async def test_at_every_call(self, store: Store, call: str, moment: str) -> None:
        if store.kind == "leased" and call in ("read", "unlock"):
            call = "lock"
        reached, go_on = asyncio.Event(), asyncio.Event()
        interception = self.held_up(store.name(call), reached, go_on)
        before, after = (interception, None) if moment == "before" else (None, interception)
        event = start()
        handler = store.order(memory=store.memory(before=before, after=after))
        await self.cancel(handler, event, reached)
        go_on.set()
        await store.clock.settle()
        if (store.kind, call, moment) == ("leased", "lock", "after"):
            # Only the memory knows whether it was granted; the lease expires by itself.
            assert store.locked == [event.subject]
            store.clock.advance(LockPolicy().ttl)
        assert store.locked == []
        wrote = call == "unlock" or (call, moment) == ("write", "after")
        assert (await store.read(event) is not None) is wrote
        assert [each.type for each in await handler.execute(event)] == [RESERVE]

    async def test_in_user_code(self, store: Store) -> None:
        reached = asyncio.Event()

        async def flow(call: AnyCall) -> Step[Any]:
            reached.set()
            await asyncio.get_running_loop().create_future()
            return Step()

        event = start()
        await self.cancel(store.order(flow), event, reached)
        assert store.locked == []
        assert await store.read(event) is None

    async def test_a_second_cancellation_does_not_stop_the_release(self, store: Store) -> None:
        """As a cancel scope does, which cancels every await until it is left."""
        in_code, in_release, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def flow(call: AnyCall) -> Step[Any]:
            in_code.set()
            await asyncio.get_running_loop().create_future()
            return Step()

        async def slow_release(name: str, machine_id: str) -> None:
            if name == store.name("unlock"):
                in_release.set()
                await go_on.wait()

        event = start()
        memory = store.memory(before=slow_release)
        task = asyncio.create_task(store.order(flow, memory=memory).execute(event))
        await in_code.wait()
        task.cancel()
        await in_release.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.locked == [event.subject]
        go_on.set()
        await store.clock.settle()
        assert store.locked == []

    async def test_a_second_cancellation_while_reading_does_not_stop_the_release(self) -> None:
        store = Store("plain")
        in_read, in_unlock, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(name: str, machine_id: str) -> None:
            if name == "read":
                in_read.set()
                await asyncio.get_running_loop().create_future()
            if name == "unlock":
                in_unlock.set()
                await go_on.wait()

        task = asyncio.create_task(store.order(memory=store.memory(before=slow)).execute(start()))
        await in_read.wait()
        task.cancel()
        await in_unlock.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await store.clock.settle()
        assert store.locked == []


class TestTwoWriters:
    """However two events of one workflow meet, neither overwrites the other."""

    async def meet(
        self, store: Store, meanwhile: Callable[[ArvoEvent], Any]
    ) -> TransactionViolation:
        """Let something happen to a workflow while its function runs."""
        event = start("a", "b")
        first, second = await store.order(ending).execute(event) * 2

        async def flow(call: AnyCall) -> Step[Any]:
            await meanwhile(second)
            return Step(output=Complete({"total": 1}))

        with pytest.raises(TransactionViolation) as caught:
            await store.order(flow, locking=False).execute(reserved(first, id="mine"))
        record = await store.read(event)
        assert record["status"] == "active"
        return caught.value

    async def test_without_a_lock_the_version_moved(self) -> None:
        store = Store("plain")

        async def other(request: ArvoEvent) -> None:
            async def wait(call: AnyCall) -> Step[Any]:
                return Step()

            await store.order(wait, locking=False).execute(reserved(request, id="other"))

        violation = await self.meet(store, other)
        assert violation.cause is TransactionViolationCause.VERSION_MOVED
        assert violation.cause.is_contention

    async def test_the_first_one_to_commit_wins_though_its_lease_was_taken_over(self) -> None:
        store = Store("leased")
        event = start("a", "b")
        first, second = await store.order(ending).execute(event) * 2
        refused: list[TransactionViolation] = []

        async def stale(call: AnyCall) -> Step[Any]:
            store.clock.advance(LockPolicy().ttl)
            taker = asyncio.ensure_future(store.order(late).execute(reserved(second, id="late")))
            await loaded.wait()
            takers.append(taker)
            return Step(context={"n": 2})

        async def late(call: AnyCall) -> Step[Any]:
            loaded.set()
            await go_on.wait()
            return Step(output=Complete({"total": 1}))

        loaded, go_on, takers = asyncio.Event(), asyncio.Event(), list[asyncio.Future[Any]]()
        # Its own clock stands still, as the timers of a blocked loop do: it cannot renew.
        blocked = store.order(stale, policy=ExecutionPolicy(clock=FakeClock()))
        await blocked.execute(reserved(first, id="stale"))
        go_on.set()
        for taker in takers:
            with pytest.raises(TransactionViolation) as caught:
                await taker
            refused.append(caught.value)
        assert [each.cause for each in refused] == [TransactionViolationCause.VERSION_MOVED]
        record = await store.read(event)
        assert (record["status"], record["state$$"]) == ("active", {"n": 2})
        assert store.locked == []

    async def test_the_version_is_checked_though_the_lease_is_held(self) -> None:
        store = Store("leased")

        async def other(request: ArvoEvent) -> None:
            record = await store.leased.read(request.subject)
            assert record is not None
            await store.leased.write(request.subject, record, record)

        violation = await self.meet(store, other)
        assert violation.cause is TransactionViolationCause.VERSION_MOVED

    async def test_an_expired_lease_not_taken_over_still_commits(self) -> None:
        store = Store("leased")

        async def slow(call: AnyCall) -> Step[Any]:
            store.clock.advance(LockPolicy().ttl * 2)
            return Step(output=Complete({"total": 1}))

        [done] = await store.order(slow).execute(start())
        assert done.type == ORDERED


class TestSummary:
    """Each commit says of its workflow what can be searched."""

    async def test_it_says_whose_workflow_it_is_and_how_it_stands(self) -> None:
        store = Store("leased")
        event = start()
        [request] = await store.order(ending).execute(event)
        await store.order(ending).execute(reserved(request))
        [first, last] = [write.summary for write in store.leased.writes]
        assert (first.status, first.finished, first.error) == ("active", False, None)
        assert (last.status, last.finished, last.error) == ("done", True, None)
        content = ArvoOrchestrationSubject.parse(event.subject)
        for summary in (first, last):
            assert summary.source == content.orchestrator.name
            assert summary.version == content.orchestrator.version
            assert summary.initiator == content.execution.initiator
            assert (summary.parent, summary.root) == (None, event.subject)

    async def test_it_says_what_the_workflow_waits_for_and_since_when(self) -> None:
        """Since the oldest request without an answer; other outputs are waited for by nobody."""

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                note = Emit("com.shop.note", {}, dataschema="#/shop/note/1.0.0")
                return Step(
                    services=[Emit(RESERVE, {"item": "a"}), Emit(CHARGE, {"amount": 1}), note]
                )
            return Step() if len(call.collected) < 2 else Step(output=Complete({"total": 1}))

        store = Store("leased")
        handler = store.order(flow)
        begun = store.clock.now()
        reserve, charge, _ = await handler.execute(start())
        store.clock.advance(timedelta(minutes=5))
        await handler.execute(reserved(reserve))
        await handler.execute(charged(charge))
        said = [write.summary for write in store.leased.writes]
        assert [each.waits_for for each in said] == [(RESERVE, CHARGE), (CHARGE,), ()]
        assert [each.waits_since for each in said] == [begun, begun, None]

    async def test_its_key_is_what_somebody_chose(self) -> None:
        """The execution id, or the id of the first event when that one is random."""
        for chosen in [None, "order-0297"]:
            store = Store("leased")
            subject = ArvoOrchestrationSubject.new(
                orchestrator=order_contract.type,
                version="1.0.0",
                initiator=APP,
                execution_id=chosen,
            )
            event = start(subject=subject)
            await store.order(ending).execute(event)
            [write] = store.leased.writes
            assert write.summary.key == (chosen or event.id)

    async def test_a_failure_says_the_name_of_its_error(self) -> None:
        store = Store("leased")
        await store.order(raising(LookupError("sold out"))).execute(start())
        [write] = store.leased.writes
        assert (write.summary.status, write.summary.finished) == ("failure", True)
        assert write.summary.error == "LookupError"


class TestTombstones:
    """A finished workflow leaves what later events must find, for as long as the policy says."""

    async def finish(self, store: Store, event: ArvoEvent) -> list[ArvoEvent]:
        [request] = await store.order(ending).execute(event)
        return await store.order(ending).execute(reserved(request))

    async def test_the_end_is_kept_for_a_day_and_no_more_than_needed(self) -> None:
        store = Store("leased")
        event = start()
        [done] = await self.finish(store, event)
        assert store.leased.expiries == [None, timedelta(hours=24)]
        record = await store.read(event)
        assert set(record) == {
            "executionStatus",
            "status",
            "initEventId",
            "parentSubject",
            "subject",
            "redelivery",
        }
        [again] = await store.order(ending).execute(event)
        assert again.to_dict() == done.to_dict()
        store.clock.advance(timedelta(hours=24))
        assert await store.read(event) is None

    async def test_a_failure_keeps_its_error(self) -> None:
        store = Store("leased")
        event = start()
        await store.order(raising(LookupError("sold out"))).execute(event)
        assert store.leased.expiries == [timedelta(days=30)]
        assert (await store.read(event))["error"]["message"] == "sold out"

    async def test_the_time_can_be_chosen(self) -> None:
        store = Store("leased")
        store.policy = ExecutionPolicy(finished_expiry=timedelta(days=7), clock=store.clock)
        await self.finish(store, start())
        assert store.leased.expiries[-1] == timedelta(days=7)

    async def test_expiry_none_keeps_the_full_record_indefinitely(self) -> None:
        store = Store("leased")
        store.policy = ExecutionPolicy(finished_expiry=None, clock=store.clock)
        event = start()
        await self.finish(store, event)
        assert store.leased.expiries == [None, None]
        assert (await store.read(event))["state$$"] == {"n": 1}

    async def test_a_plain_memory_keeps_the_full_record(self) -> None:
        store = Store("plain")
        event = start()
        await self.finish(store, event)
        assert (await store.read(event))["state$$"] == {"n": 1}


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"status": "active", "initEventId": 7},
        {"redelivery": {"seen": []}, "initEventId": "a"},
        {"redelivery": {"seen": [], "out": [[]]}, "initEventId": "a"},
        {"events": "none", "initEventId": "a"},
        {"redelivery": {"seen": "a", "out": []}, "initEventId": "a"},
        {"redelivery": {"seen": [1], "out": []}, "initEventId": "a"},
        {"redelivery": {"seen": [], "out": [["a", [7], None]]}, "initEventId": "a"},
    ],
    ids=repr,
)
async def test_stored_data_that_is_not_a_record_is_a_read_failure(
    record: Any, store: Store
) -> None:
    event = start()
    memory = store.memory()
    await memory.write(event.subject, record, None)
    with pytest.raises(TransactionViolation, match="not a workflow's record") as caught:
        await store.order(memory=memory).execute(reserved(event))
    assert caught.value.cause is TransactionViolationCause.READ_FAILURE
    assert not caught.value.retryable
    assert await store.read(event) == record
    assert store.locked == []


CARD_NUMBER = "4242-4242-4242-4242"


@pytest.mark.parametrize(
    "member",
    [
        {"seen": [], "out": [["hash", [{"card": CARD_NUMBER}], None]]},
        {"seen": [], "out": [["hash", [CARD_NUMBER], None]]},
        {"seen": [], "out": [[CARD_NUMBER]]},
        {"seen": 7, "out": [], "card": CARD_NUMBER},
        {"seen": [], "out": [], "open": [[CARD_NUMBER]]},
        {"seen": [], "out": [], "open": {CARD_NUMBER: CARD_NUMBER}},
    ],
)
async def test_the_refusal_of_a_record_shows_no_data(member: Any, store: Store) -> None:
    event = start()
    await store.order(ending, answers="awaited").execute(event)
    record = await store.read(event)
    memory = store.memory()
    await store.replace(event, {**record, "redelivery": member})
    with pytest.raises(TransactionViolation, match="not a workflow's record") as caught:
        await store.order(memory=memory, answers="awaited").execute(reserved(event))
    shown = "".join(traceback.format_exception(caught.value))
    assert CARD_NUMBER not in shown


@pytest.mark.parametrize(
    "damage",
    [
        {"executionStatus": "fine"},
        {"executionStatus": ["normal"]},
        {"status": None},
        {"status": 7},
        {"initEventId": 7},
        {"parentSubject": 7},
        {"parentSubject": "garbage"},
        {"events": ["none"]},
        {"state$$": [7]},
    ],
    ids=repr,
)
async def test_a_record_with_a_damaged_member_is_a_read_failure(
    damage: dict[str, Any], store: Store
) -> None:
    event = start()
    [request] = await store.order(ending).execute(event)
    whole = await store.read(event)
    damaged = {**whole, **damage}
    await store.replace(event, damaged)
    with pytest.raises(TransactionViolation, match="not a workflow's record") as caught:
        await store.order(ending).execute(reserved(request))
    assert caught.value.cause is TransactionViolationCause.READ_FAILURE
    assert not caught.value.retryable
    assert await store.read(event) == damaged
    assert store.locked == []


async def test_a_kept_output_that_is_not_an_event_is_a_read_failure(store: Store) -> None:
    """Found when the event that caused it comes again; its data is not shown."""
    event = start()
    await store.order(ending).execute(event)
    whole = await store.read(event)
    [[own, [output], answered]] = whole["redelivery"]["out"]
    broken = [own, [{"id": output["id"], "data": {"card": "4111"}}], answered]
    damaged = {**whole, "redelivery": {**whole["redelivery"], "out": [broken]}}
    await store.replace(event, damaged)
    with pytest.raises(TransactionViolation, match="an output kept to be sent again") as caught:
        await store.order(ending).execute(event)
    assert caught.value.cause is TransactionViolationCause.READ_FAILURE
    assert not caught.value.retryable
    assert "4111" not in str(caught.value)
    assert await store.read(event) == damaged
    assert store.locked == []


async def test_nothing_is_logged(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Steps are for spans; a log is for what is reported nowhere else, such as a stack."""
    caplog.set_level("DEBUG", logger="arvo_event_handler")
    event = start()
    [request] = await store.order(ending).execute(event)
    await store.order(ending).execute(reserved(request))
    await store.order(ending).execute(event)
    assert caplog.records == []
    await store.order(raising(LookupError("x"))).execute(start())
    assert [(line.levelname, line.name) for line in caplog.records] == [
        ("INFO", "arvo_event_handler")
    ]


async def test_versions_that_subjects_make_up_are_not_kept(store: Store) -> None:
    handler = store.order(ending)
    for number in range(200):
        subject = ArvoOrchestrationSubject.new(
            orchestrator=order_contract.type, version=f"9.0.{number}", initiator=APP
        )
        await handler.owed(subject)
    assert handler._execution.answering.cache_info().currsize <= 64
