"""A workflow is retried after a failure, cancelled, or woken, by events that anybody may send."""

import asyncio
import re
from typing import Any

import pytest

from arvo_core import (
    ArvoEvent,
    ArvoOrchestrationSubject,
    InvalidDataError,
    InvalidSubjectError,
)
from arvo_core.event_id import derive_id
from arvo_event_handler import (
    Complete,
    ConfigViolation,
    ContractViolation,
    Emit,
    ExecutionPolicy,
    ExecutionViolation,
    IArvoEventHandler,
    IMachineMemory,
    MachineMemoryError,
    Start,
    Step,
    TransactionViolation,
    TransactionViolationCause,
    UnwritableRecordError,
    WorkflowControl,
)
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.memory._kept_event import event_hash
from arvo_statechart import Call, assign, enqueue_actions
from arvo_time.testing import FakeClock, SpanRecorder

from .intercepted_memory import fail
from .order_machines import ask, machine, orchestrator
from .shop import APP, ORDER, ORDERED, RESERVE, RESERVE_V1, RESERVED, AnyCall, reserved, start
from .store import KINDS, Store

OPERATOR = "com.app.operator"
UNLUCKY = 13
"""The price at which an order fails, until it is mended."""
CURSED = "cursed"
"""An item whose order fails when it starts, until it is mended."""
STYLES = ["resumable", "machine"]


class Orders:
    """Orders of one style over one memory; by default, no handler lives longer than one event.

    An order reserves all its items and ends with what they cost together.
    """

    def __init__(self, store: Store, style: str) -> None:
        self.store = store
        self.style = style
        self.mended = False
        self.failed = start()
        """The event at which the order of `fail` has failed."""
        self.runs = 0
        """How often user code was called with an event."""

    def handler(self, memory: IMachineMemory | None = None, **options: Any) -> IArvoEventHandler:
        options = {
            "memory": self.store.memory() if memory is None else memory,
            "policy": self.store.policy,
            **options,
        }
        if self.style == "resumable":
            return self.store.order(self._flow, **options)
        return orchestrator(machine(self._config()), **options)

    async def take(self, event: ArvoEvent, **options: Any) -> list[ArvoEvent]:
        return await self.handler(**options).execute(event)

    async def fail(
        self, *, last: bool = False, **options: Any
    ) -> tuple[ArvoEvent, list[ArvoEvent]]:
        """Run an order until the second of three answers makes it fail; return start and requests.

        Args:
            last: Whether the third answer comes before.
        """
        event = start("a", "b", "c", **options)
        requests = await self.take(event)
        assert len(requests) == 3
        for request in (requests[0], *requests[2:][:last]):
            assert await self.take(reserved(request, price=1)) == []
        self.failed = unlucky(requests[1])
        [error] = await self.take(self.failed)
        assert error.type == f"sys.{ORDER}.error"
        return event, requests

    async def record(self, event: ArvoEvent) -> Any:
        return await self.store.read(event)

    def _check(self, price: int) -> None:
        self.runs += 1
        if price == UNLUCKY and not self.mended:
            raise LookupError("an unlucky price")

    async def _flow(self, call: AnyCall) -> Step[Any]:
        if isinstance(call, Start):
            self._check(UNLUCKY if CURSED in call.data.items else 0)
            items = call.data.items
            return Step(
                context={"items": len(items)},
                services=[Emit(RESERVE, {"item": item}) for item in items],
            )
        self._check(call.data.price)
        prices = [each.price for each in call.replies(RESERVE_V1)]
        if len(prices) < call.context["items"]:
            return Step()
        return Step(output=Complete({"total": sum(prices)}))

    def _config(self) -> Any:
        def context(call: Call) -> dict[str, Any]:
            items = call.input["data"]["items"]
            self._check(UNLUCKY if CURSED in items else 0)
            return {"items": items, "answers": 0, "total": 0}

        def count(call: Call) -> dict[str, Any]:
            price = call.event["data"]["price"]
            self._check(price)
            known = call.context
            return {"answers": known["answers"] + 1, "total": known["total"] + price}

        return {
            "context": context,
            "initial": "reserving",
            "states": {
                "reserving": {
                    "entry": enqueue_actions(
                        lambda call: [ask(RESERVE, item=item) for item in call.context["items"]]
                    ),
                    "on": {RESERVED: {"actions": assign(count)}},
                    "always": {
                        "guard": lambda call: call.context["answers"] == len(call.context["items"]),
                        "target": "done",
                    },
                },
                "done": {"type": "final"},
            },
            "output": lambda call: {"total": call.context["total"]},
        }


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Store:
    return Store(request.param)


@pytest.fixture(params=STYLES)
def orders(request: pytest.FixtureRequest, store: Store) -> Orders:
    return Orders(store, request.param)


def unlucky(request: ArvoEvent) -> ArvoEvent:
    return reserved(request, price=UNLUCKY, id=f"answer to {request.id}")


def control(event: ArvoEvent) -> WorkflowControl:
    return WorkflowControl(event.subject, source=OPERATOR)


def retry(event: ArvoEvent, attempt: int = 1, **options: Any) -> ArvoEvent:
    return control(event).retry(attempt=attempt, **options)


def dicts(events: list[ArvoEvent]) -> list[dict[str, Any]]:
    return [event.to_dict() for event in events]


def id_after_retry(consumed: ArvoEvent, *, attempt: int, index: int = 0) -> str:
    """Return the id of an output of an order that was retried."""
    return derive_id(consumed.source, consumed.id, consumed.subject, ORDER, index, None, attempt)


class TestRetry:
    async def test_the_step_that_failed_runs_again_and_the_workflow_goes_on(
        self, orders: Orders
    ) -> None:
        event, requests = await orders.fail()
        late = reserved(requests[2], price=2)
        assert await orders.take(late) == []
        orders.mended = True
        # What is still awaited is asked again: its answer was ignored while the workflow was down.
        assert dicts(await orders.take(retry(event))) == dicts([requests[2]])
        record = await orders.record(event)
        assert (record["executionStatus"], record["status"]) == ("normal", "active")
        assert "failure" not in record
        assert "error" not in record
        assert record["attempt"] == [1, event_hash(RESERVE, orders.failed.id)]
        [done] = await orders.take(late)
        assert (done.type, done.data) == (ORDERED, {"total": 1 + UNLUCKY + 2})
        assert (done.to, done.subject, done.parentid) == (APP, event.subject, event.id)
        assert done.id == id_after_retry(late, attempt=1)

    async def test_the_same_handler_goes_on_too(self, orders: Orders) -> None:
        handler = orders.handler()
        event = start("a", "b")
        first, second = await handler.execute(event)
        await handler.execute(unlucky(first))
        orders.mended = True
        assert dicts(await handler.execute(retry(event))) == dicts([second])
        [done] = await handler.execute(reserved(second, price=2))
        assert done.data == {"total": UNLUCKY + 2}

    async def test_that_ends_the_workflow_asks_nobody_again(self, orders: Orders) -> None:
        event, _ = await orders.fail(last=True)
        orders.mended = True
        [done] = await orders.take(retry(event))
        assert done.type == ORDERED
        assert done.id == id_after_retry(orders.failed, attempt=1)
        record = await orders.record(event)
        assert (record["status"], record["attempt"][0]) == ("done", 1)
        for again in (retry(event), orders.failed, event):
            assert dicts(await orders.take(again)) == dicts([done])
        assert orders.runs == 5

    async def test_that_ends_the_workflow_before_all_have_answered_asks_nobody_again(
        self, store: Store
    ) -> None:
        async def gives_up(call: AnyCall) -> Step[Any]:
            return Step(output=Complete({"total": 0}))

        event, _ = await Orders(store, "resumable").fail()
        [done] = await store.order(gives_up).execute(retry(event))
        assert done.type == ORDERED
        assert dicts(await store.order(gives_up).execute(retry(event))) == dicts([done])

    async def test_of_a_start(self, orders: Orders) -> None:
        event = start(CURSED, "b")
        [error] = await orders.take(event)
        orders.mended = True
        requests = await orders.take(retry(event))
        assert [request.data["item"] for request in requests] == [CURSED, "b"]
        assert [request.id for request in requests] == [
            id_after_retry(event, attempt=1, index=0),
            id_after_retry(event, attempt=1, index=1),
        ]
        assert error.id not in {request.id for request in requests}
        for again in (event, retry(event)):
            assert dicts(await orders.take(again)) == dicts(requests)
        assert await orders.take(reserved(requests[0], price=1)) == []
        [done] = await orders.take(reserved(requests[1], price=2))
        assert done.data == {"total": 3}
        assert done.parentid == event.id

    async def test_that_fails_again_can_be_retried_again(self, orders: Orders) -> None:
        event, requests = await orders.fail()
        first = (await orders.record(event))["failure"]["out"]
        again = retry(event)
        [error] = await orders.take(again)
        assert error.to_dict() not in first
        assert error.id == id_after_retry(orders.failed, attempt=1)
        failure = (await orders.record(event))["failure"]
        assert failure == {
            "in": orders.failed.to_dict(),
            "out": [error.to_dict()],
            "attempt": 2,
        }
        runs = orders.runs
        for repeated in (again, retry(event), orders.failed, event):
            assert dicts(await orders.take(repeated)) == dicts([error])
        assert orders.runs == runs
        orders.mended = True
        assert dicts(await orders.take(retry(event, attempt=2))) == dicts([requests[2]])
        assert (await orders.record(event))["attempt"][0] == 2
        # Somebody asks late for what has been done long ago.
        assert await orders.take(retry(event, attempt=1)) == []
        last = reserved(requests[2], price=2)
        [done] = await orders.take(last)
        assert done.id == id_after_retry(last, attempt=2)

    async def test_twice_is_one(self, orders: Orders) -> None:
        event, requests = await orders.fail()
        orders.mended = True
        memory = orders.store.memory()
        asked = retry(event)
        first = await orders.take(asked, memory=memory)
        runs, record = orders.runs, await orders.record(event)
        memory.calls.clear()
        for again in (asked, retry(event)):
            assert dicts(await orders.take(again, memory=memory)) == dicts(first)
        assert orders.store.name("write") not in memory.calls
        assert (orders.runs, await orders.record(event)) == (runs, record)
        assert orders.store.locked == []
        await orders.take(reserved(requests[2], price=1))
        assert await orders.take(retry(event)) == []

    async def test_killed_between_commit_and_publication_it_is_answered_when_it_comes_again(
        self, orders: Orders
    ) -> None:
        event, requests = await orders.fail()
        orders.mended = True
        lost = MachineMemoryError("gone", retryable=True, outcome="unknown")
        memory = orders.store.memory(after=fail(orders.store.name("write"), lost, times=1))
        asked = retry(event)
        with pytest.raises(TransactionViolation):
            await orders.take(asked, memory=memory)
        runs = orders.runs
        if orders.store.kind == "plain" and orders.store.locked:
            await orders.store.plain.unlock(event.subject)
        assert dicts(await orders.take(asked)) == dicts([requests[2]])
        assert orders.runs == runs

    async def test_killed_before_the_commit_it_has_not_happened(self, orders: Orders) -> None:
        event, requests = await orders.fail()
        orders.mended = True
        before = await orders.record(event)
        refused = MachineMemoryError("down", retryable=True, outcome="failed")
        memory = orders.store.memory(before=fail(orders.store.name("write"), refused, times=1))
        asked = retry(event)
        with pytest.raises(TransactionViolation):
            await orders.take(asked, memory=memory)
        assert await orders.record(event) == before
        assert dicts(await orders.take(asked)) == dicts([requests[2]])

    async def test_whose_state_can_never_be_stored_fails_with_that(self, orders: Orders) -> None:
        event, _ = await orders.fail()
        orders.mended = True
        too_large = fail(orders.store.name("write"), UnwritableRecordError("too large"), times=1)
        [error] = await orders.take(retry(event), memory=orders.store.memory(before=too_large))
        assert error.data["errorMessage"] == "too large"
        record = await orders.record(event)
        assert (record["failure"]["attempt"], record["attempt"][0]) == (2, 1)
        assert await orders.take(retry(event, attempt=2)) != []

    @pytest.mark.parametrize("answers", ["any", "awaited"])
    async def test_whatever_answers_are_accepted(self, orders: Orders, answers: str) -> None:
        event = start("a", "b")
        first, second = await orders.take(event, answers=answers)
        await orders.take(unlucky(first), answers=answers)
        orders.mended = True
        assert dicts(await orders.take(retry(event), answers=answers)) == dicts([second])
        [done] = await orders.take(reserved(second, price=1), answers=answers)
        assert done.type == ORDERED

    async def test_a_failed_record_of_a_plain_memory_goes_on_over_leases(
        self, orders: Orders
    ) -> None:
        """As what any memory's `read` gives."""
        event, requests = await orders.fail()
        record = await orders.store.memory().read(event.subject)
        assert record is not None
        moved = Orders(Store("leased"), orders.style)
        moved.mended = True
        await moved.store.replace(event, record)
        assert dicts(await moved.take(retry(event))) == dicts([requests[2]])
        [done] = await moved.take(reserved(requests[2], price=2))
        assert done.data == {"total": 1 + UNLUCKY + 2}


class TestTwoRetries:
    """Of two that run at the same time, one counts."""

    async def test_while_the_first_has_the_lock(self, store: Store) -> None:
        event, requests = await Orders(store, "resumable").fail()
        entered, go = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(store.order(self._waiting(entered, go)).execute(retry(event)))
        await entered.wait()
        second = retry(event)
        with pytest.raises(TransactionViolation) as caught:
            await store.order(raising_if_called).execute(second)
        assert caught.value.cause is TransactionViolationCause.LOCK_UNACQUIRED
        go.set()
        published = await first
        assert dicts(published) == dicts([requests[2]])
        assert dicts(await store.order(raising_if_called).execute(second)) == dicts(published)

    async def test_the_second_after_the_lease_of_the_first_expired(self) -> None:
        store = Store("leased")
        event, requests = await Orders(store, "resumable").fail()
        entered, go = asyncio.Event(), asyncio.Event()
        # Its own clock stands still, as the timers of a blocked loop do: it cannot renew.
        blocked = store.order(self._waiting(entered, go), policy=ExecutionPolicy(clock=FakeClock()))
        first = asyncio.create_task(blocked.execute(retry(event)))
        await entered.wait()
        store.clock.advance(LockPolicy().ttl)
        second = await store.order(waits).execute(retry(event))
        assert dicts(second) == dicts([requests[2]])
        go.set()
        with pytest.raises(TransactionViolation) as caught:
            await first
        assert caught.value.cause is TransactionViolationCause.VERSION_MOVED
        assert (await store.read(event))["attempt"][0] == 1

    def _waiting(self, entered: asyncio.Event, go: asyncio.Event) -> Any:
        async def flow(call: AnyCall) -> Step[Any]:
            entered.set()
            await go.wait()
            return Step()

        return flow


async def raising_if_called(call: AnyCall) -> Step[Any]:
    raise AssertionError("it must not be called")


async def waits(call: AnyCall) -> Step[Any]:
    return Step()


class TestRetriesThatAreRefused:
    """Each leaves the record alone and names what is wrong."""

    async def refuse(self, orders: Orders, asked: ArvoEvent, message: str) -> None:
        before = await orders.record(asked)
        runs = orders.runs
        with pytest.raises(ExecutionViolation, match=message) as caught:
            await orders.take(asked)
        assert not caught.value.retryable
        assert repr(asked.id) in str(caught.value)
        assert (orders.runs, await orders.record(asked)) == (runs, before)
        assert orders.store.locked == []

    async def test_of_a_workflow_that_runs(self, orders: Orders) -> None:
        event = start("a")
        await orders.take(event)
        await self.refuse(orders, retry(event), "the workflow runs; only one that has failed")

    async def test_of_one_that_has_completed(self, orders: Orders) -> None:
        event = start("a")
        [request] = await orders.take(event)
        await orders.take(reserved(request))
        await self.refuse(orders, retry(event), "the workflow has completed; only one")

    async def test_of_one_that_is_not_stored(self, orders: Orders) -> None:
        await self.refuse(orders, retry(start("a")), "no workflow is stored under its subject")

    async def test_of_a_failure_that_has_not_happened_yet(self, orders: Orders) -> None:
        event, _ = await orders.fail()
        await self.refuse(
            orders, retry(event, attempt=2), "has failed 1 times, not 2; pass attempt=1"
        )

    async def test_of_a_child_unless_it_is_detached(self, orders: Orders) -> None:
        parent = start("x").subject
        event, requests = await orders.fail(parent_subject=parent)
        await self.refuse(orders, retry(event), f"is a child.*retry the root.*{re.escape(parent)}")
        orders.mended = True
        assert dicts(await orders.take(retry(event, detached=True))) == dicts([requests[2]])
        [done] = await orders.take(reserved(requests[2], price=1))
        assert done.subject == parent

    async def test_of_a_record_that_does_not_say_which_event_failed(self, orders: Orders) -> None:
        event = start("a")
        theirs: Any = {
            "executionStatus": "failure",
            "subject": event.subject,
            "error": {"name": "Error", "message": "sold out", "stack": None},
        }
        await orders.store.replace(event, theirs)
        await self.refuse(orders, retry(event), "does not say which event failed")

    async def test_of_a_workflow_that_was_cancelled(self, orders: Orders) -> None:
        event = start("a")
        await orders.take(event)
        await orders.take(control(event).cancel("no stock"))
        await self.refuse(orders, retry(event), "the workflow was cancelled")

    async def test_an_event_that_the_deployed_code_cannot_read_waits_for_code_that_can(
        self, orders: Orders
    ) -> None:
        event, requests = await orders.fail()
        record = await orders.record(event)
        failed = record["failure"]["in"]
        grown = {**failed, "data": {"price": "thirteen"}}
        changed = {**record, "failure": {**record["failure"], "in": grown}}
        await orders.store.replace(event, changed)
        orders.mended = True
        with pytest.raises(ConfigViolation, match=r"(?s)does not fit the deployed code.*price"):
            await orders.take(retry(event))
        assert (await orders.record(event))["failure"] == changed["failure"]
        await orders.store.replace(event, record)
        assert dicts(await orders.take(retry(event))) == dicts([requests[2]])

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("attempt", [0, "x"]),
            ("attempt", [True, "x"]),
            ("attempt", [1]),
            ("attempt", [1, 2]),
            ("attempt", 1),
            ("failure", {"in": {"id": "1", "source": "a", "type": "b"}, "out": [], "attempt": 1}),
        ],
    )
    async def test_a_damaged_record_is_a_read_failure(
        self, orders: Orders, member: str, value: Any
    ) -> None:
        event, _ = await orders.fail()
        record = await orders.record(event)
        await orders.store.replace(event, {**record, member: value})
        with pytest.raises(TransactionViolation) as caught:
            await orders.take(retry(event))
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert not caught.value.retryable
        assert (await orders.record(event))["executionStatus"] == "failure"


class TestCancel:
    async def test_ends_the_workflow_as_a_failure(self, orders: Orders) -> None:
        event = start("a", "b")
        requests = await orders.take(event)
        runs = orders.runs
        cancel = control(event).cancel("ordered twice", domain="support")
        [error] = await orders.take(cancel)
        assert (error.type, error.to, error.source) == (f"sys.{ORDER}.error", APP, ORDER)
        assert (error.subject, error.parentid) == (event.subject, event.id)
        assert error.data["errorName"] == "WorkflowCancelled"
        assert error.data["errorMessage"] == "ordered twice"
        assert error.id == derive_id(OPERATOR, cancel.id, event.subject, ORDER, 0, None)
        record = await orders.record(event)
        assert record["executionStatus"] == "failure"
        assert record["error"]["name"] == "WorkflowCancelled"
        assert record["failure"] == {"in": cancel.to_dict(), "out": [error.to_dict()], "attempt": 1}
        # Nothing happens any more, and whoever asks again hears the same.
        assert await orders.take(reserved(requests[0])) == []
        assert await orders.take(control(event).cancel("again")) == []
        for again in (cancel, event, control(event).wake()):
            assert dicts(await orders.take(again)) == dicts([error])
        assert (orders.runs, await orders.record(event)) == (runs, record)
        assert orders.store.locked == []

    async def test_a_child_tells_its_parent(self, orders: Orders) -> None:
        parent = start("x").subject
        event = start("a", parent_subject=parent)
        await orders.take(event)
        [error] = await orders.take(control(event).cancel("the parent gave up"))
        assert (error.to, error.subject, error.parentid) == (ORDER, parent, event.id)

    async def test_changes_nothing_after_the_end(self, orders: Orders) -> None:
        event = start("a")
        [request] = await orders.take(event)
        await orders.take(reserved(request))
        record = await orders.record(event)
        assert await orders.take(control(event).cancel("too late")) == []
        assert await orders.record(event) == record

    async def test_of_a_workflow_after_a_retry_is_a_failure_of_its_own(
        self, orders: Orders
    ) -> None:
        event, _ = await orders.fail()
        orders.mended = True
        await orders.take(retry(event))
        cancel = control(event).cancel("too late")
        [error] = await orders.take(cancel)
        assert error.id == id_after_retry(cancel, attempt=1)
        assert (await orders.record(event))["failure"]["attempt"] == 2
        assert dicts(await orders.take(retry(event))) == dicts([error])


class TestWake:
    async def test_sends_again_what_is_awaited_and_writes_nothing(self, orders: Orders) -> None:
        event = start("a", "b", "c")
        requests = await orders.take(event)
        await orders.take(reserved(requests[1]))
        runs, record = orders.runs, await orders.record(event)
        for _ in range(2):
            woken = await orders.take(control(event).wake())
            assert dicts(woken) == dicts([requests[0], requests[2]])
        assert (orders.runs, await orders.record(event)) == (runs, record)
        assert orders.store.locked == []

    async def test_an_ended_workflow_says_its_end_again(self, orders: Orders) -> None:
        event = start("a")
        [request] = await orders.take(event)
        end = await orders.take(reserved(request))
        assert dicts(await orders.take(control(event).wake())) == dicts(end)

    async def test_leaves_out_requests_that_were_replaced_by_others(self, store: Store) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            items = ["a", "b"] if isinstance(call, Start) else ["c"]
            return Step(services=[Emit(RESERVE, {"item": item}) for item in items])

        event = start("a")
        first, _ = await store.order(flow).execute(event)
        latest = await store.order(flow).execute(reserved(first))
        assert dicts(await store.order(flow).execute(control(event).wake())) == dicts(latest)

    async def test_requests_that_the_record_lacks_are_named(self) -> None:
        """As one that the TypeScript version has written, which keeps the latest outputs only."""
        orders = Orders(Store("plain"), "resumable")
        event = start("a", "b")
        first, second = await orders.take(event)
        record = await orders.record(event)
        del record["redelivery"]
        record["events"]["produced"] = [second.to_dict()]
        await orders.store.replace(event, record)
        with SpanRecorder() as spans:
            assert dicts(await orders.take(control(event).wake())) == dicts([second])
        [warning] = [
            str(item.attributes["message"])
            for span in spans.spans
            for item in span.events
            if item.name == "warning" and item.attributes is not None
        ]
        assert first.id in warning
        assert second.id not in warning


class TestEvents:
    def test_an_event_goes_to_the_workflow_under_its_subject(self) -> None:
        event = start("a")
        made = retry(event, domain="support", id="mine")
        assert (made.source, made.to, made.subject) == (OPERATOR, ORDER, event.subject)
        assert (made.domain, made.id, made.dataschema) == ("support", "mine", None)

    def test_what_is_not_a_subject_is_refused(self) -> None:
        with pytest.raises(InvalidSubjectError):
            WorkflowControl("order-7", source=OPERATOR)

    @pytest.mark.parametrize("attempt", [0, -1, True, "1", 1.0, None])
    def test_an_attempt_that_is_none_is_refused(self, attempt: Any) -> None:
        with pytest.raises(InvalidDataError, match="attempt"):
            retry(start("a"), attempt=attempt)

    @pytest.mark.parametrize("reason", ["", None, 7])
    def test_a_cancellation_needs_a_reason(self, reason: Any) -> None:
        with pytest.raises(InvalidDataError, match="reason"):
            control(start("a")).cancel(reason)

    @pytest.mark.parametrize(
        ("kind", "data"),
        [
            ("retry", {}),
            ("retry", {"attempt": "1"}),
            ("retry", {"attempt": 1, "detached": 1}),
            ("retry", {"attempt": 1, "force": True}),
            ("cancel", {}),
            ("cancel", {"reason": ""}),
            ("wake", {"reason": "x"}),
        ],
    )
    async def test_wrong_data_is_a_contract_violation_that_asks_the_memory_nothing(
        self, orders: Orders, kind: str, data: dict[str, Any]
    ) -> None:
        event, _ = await orders.fail()
        wrong = retry(event).model_copy(update={"type": f"arvo.workflow.{kind}", "data": data})
        memory = orders.store.memory()
        with pytest.raises(ContractViolation, match=f"arvo.workflow.{kind}"):
            await orders.take(wrong, memory=memory)
        assert memory.calls == []

    @pytest.mark.parametrize("kind", ["cancel", "wake"])
    async def test_of_a_workflow_that_is_not_stored(self, orders: Orders, kind: str) -> None:
        unknown = control(start("a"))
        asked = unknown.wake() if kind == "wake" else unknown.cancel("twice")
        with pytest.raises(ExecutionViolation, match="no workflow is stored under its subject"):
            await orders.take(asked)
        assert orders.store.locked == []

    async def test_of_a_version_that_is_not_deployed(self, orders: Orders) -> None:
        subject = ArvoOrchestrationSubject.new(orchestrator=ORDER, version="9.0.0", initiator=APP)
        with pytest.raises(ConfigViolation, match=r"9\.0\.0"):
            await orders.take(WorkflowControl(subject, source=OPERATOR).wake())
