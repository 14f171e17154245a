"""The plain broker: events between handlers of one process."""

import asyncio
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoEvent, ArvoEventFactory
from arvo_event_handler import (
    ArvoEventHandler,
    Complete,
    ConfigViolation,
    ContractViolation,
    Emit,
    ExecutionViolation,
    HandlerInput,
    IArvoEventHandler,
    Reply,
    ResolveError,
    SimpleEventBroker,
    SimpleMachineMemory,
    Start,
    Step,
    TransactionViolation,
    TransactionViolationCause,
    UndeliveredError,
    UnroutableError,
)
from arvo_event_handler.delivery import Publish
from arvo_time.testing import FakeClock

from .shop import (
    APP,
    ORDERED,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    AnyCall,
    Ordered,
    Reserve,
    Reserved,
    order,
    reserve_contract,
    start,
)


async def reserve_v1(call: HandlerInput[Reserve]) -> Emit:
    return Emit(RESERVED, Reserved(price=len(call.data.item)))


def stock(function: Any = reserve_v1) -> ArvoEventHandler:
    return ArvoEventHandler(contract=reserve_contract, handler={"1.0.0": function})


def ask(item: str = "tea", **options: Any) -> ArvoEvent:
    return ArvoEventFactory(reserve_contract.version(RESERVE_V1)).accepts(
        source=APP, data=Reserve(item=item), **options
    )


def raising(error: Exception) -> Any:
    async def fail(call: Any) -> Any:
        raise error

    return fail


class Errors:
    """An `on_error` that keeps what it is called with."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, Exception]] = []

    async def __call__(self, event: ArvoEvent, error: Exception) -> None:
        self.reported.append((event.id, error))


class TestResolve:
    async def test_the_answer_comes_back(self) -> None:
        answer = await SimpleEventBroker([stock()]).resolve(ask("cocoa"))
        assert answer is not None
        assert (answer.type, answer.data) == (RESERVED, {"price": 5})

    async def test_the_answer_of_a_workflow_comes_back(self) -> None:
        broker = SimpleEventBroker([order(), stock()])
        answer = await broker.resolve(start("tea", "cocoa"))
        assert answer is not None
        assert (answer.type, answer.data) == (ORDERED, {"total": 8})

    async def test_a_finished_workflow_answers_again(self) -> None:
        """A new broker over the same memory: the finished workflow repeats its completion."""
        memory = SimpleMachineMemory()
        event = start("tea")
        first = await SimpleEventBroker([order(memory=memory), stock()]).resolve(event)
        second = await SimpleEventBroker([order(memory=memory), stock()]).resolve(event)
        assert first is not None
        assert second is not None
        assert first.to_dict() == second.to_dict()

    async def test_any_number_of_requests_run_concurrently(self) -> None:
        broker = SimpleEventBroker([order(), stock()])
        answers = await asyncio.gather(
            *(broker.resolve(start("x" * size)) for size in range(1, 30))
        )
        assert [answer.data["total"] for answer in answers if answer] == list(range(1, 30))

    async def test_another_address_may_be_named(self) -> None:
        broker = SimpleEventBroker([stock()])
        event = ask(redirectto="com.app.results")
        answer = await broker.resolve(event, answer_to="com.app.results")
        assert answer is not None
        assert answer.to == "com.app.results"

    async def test_an_address_that_a_handler_listens_to_is_refused(self) -> None:
        broker = SimpleEventBroker([stock()])
        with pytest.raises(ConfigViolation, match=r"'com\.stock\.reserve' go to the handler"):
            await broker.resolve(ask(), answer_to=RESERVE)

    async def test_the_first_of_several_answers(self) -> None:
        async def twice(call: HandlerInput[Reserve]) -> list[Emit]:
            return [Emit(RESERVED, Reserved(price=price)) for price in (1, 2)]

        answer = await SimpleEventBroker([stock(twice)]).resolve(ask())
        assert answer is not None
        assert answer.data == {"price": 1}

    async def test_none_without_an_answer(self) -> None:
        async def silent(call: HandlerInput[Reserve]) -> None: ...

        assert await SimpleEventBroker([stock(silent)]).resolve(ask()) is None

    async def test_a_system_error_is_an_answer(self) -> None:
        answer = await SimpleEventBroker([stock(raising(LookupError("sold out")))]).resolve(ask())
        assert answer is not None
        assert (answer.type, answer.data["errorMessage"]) == (
            "sys.com.stock.reserve.error",
            "sold out",
        )

    async def test_failures_are_raised_when_no_answer_came(self) -> None:
        violation = ExecutionViolation("not now")
        event = start("tea")
        with pytest.raises(ResolveError, match="ExecutionViolation: not now") as caught:
            await SimpleEventBroker([order(), stock(raising(violation))]).resolve(event)
        assert caught.value.event is event
        [(failed, error)] = caught.value.failures
        assert failed.type == RESERVE
        assert error is violation
        assert caught.value.__cause__ is violation

    async def test_a_failure_beside_an_answer_is_not_raised(self) -> None:
        async def stray(call: HandlerInput[Reserve]) -> list[Emit]:
            return [
                Emit(RESERVED, Reserved(price=1), to="com.nobody"),
                Emit(RESERVED, {"price": 2}),
            ]

        answer = await SimpleEventBroker([stock(stray)]).resolve(ask())
        assert answer is not None
        assert answer.data == {"price": 2}


class TestOrder:
    async def test_first_in_first_out_within_a_tree(self) -> None:
        handled: list[str] = []

        async def note(call: HandlerInput[Reserve]) -> Emit:
            handled.append(call.data.item)
            return Emit(RESERVED, Reserved(price=1))

        await SimpleEventBroker([order(), stock(note)]).resolve(start("c", "a", "b"))
        assert handled == ["c", "a", "b"]

    async def test_trees_do_not_wait_for_each_other(self) -> None:
        go_on = asyncio.Event()

        async def slow(call: HandlerInput[Reserve]) -> Emit:
            if call.data.item == "slow":
                await go_on.wait()
            return Emit(RESERVED, Reserved(price=1))

        broker = SimpleEventBroker([stock(slow)])
        waiting = asyncio.create_task(broker.resolve(ask("slow")))
        assert await broker.resolve(ask("quick")) is not None
        assert not waiting.done()
        go_on.set()
        assert await waiting is not None


class TestRouting:
    def test_a_topic_has_one_handler(self) -> None:
        with pytest.raises(ConfigViolation, match=r"two handlers listen to 'com\.stock\.reserve'"):
            SimpleEventBroker([stock(), stock()])

    async def test_an_event_without_a_handler_is_reported_with_the_remedy(self) -> None:
        errors = Errors()
        await SimpleEventBroker([order()], on_error=errors).publish(start("tea"))
        [(_, error)] = errors.reported
        assert isinstance(error, UnroutableError)
        assert error.event.to == RESERVE
        assert "give the event a domain" in str(error)

    async def test_the_rest_of_the_tree_goes_on(self) -> None:
        handled: list[str] = []

        async def note(call: HandlerInput[Reserve]) -> Emit:
            handled.append(call.data.item)
            if call.data.item == "a":
                raise ExecutionViolation("no")
            return Emit(RESERVED, Reserved(price=1))

        errors = Errors()
        broker = SimpleEventBroker([order(), stock(note)], on_error=errors)
        await broker.publish(start("a", "b"))
        assert handled == ["a", "b"]
        assert [type(error) for _, error in errors.reported] == [ExecutionViolation]


class TestErrors:
    async def test_without_a_listener_publish_logs(self, caplog: pytest.LogCaptureFixture) -> None:
        event = ask(id="ask-7").model_copy(update={"data": {}})
        await SimpleEventBroker([stock()]).publish(event)
        [record] = [each for each in caplog.records if each.name == "arvo_event_handler"]
        assert record.message.startswith(
            "event ask-7 of type com.stock.reserve for com.stock.reserve is dead: "
            "ContractViolation: event 'ask-7'"
        )
        assert record.exc_info is None

    async def test_resolve_does_not_log_what_it_raises(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(ResolveError):
            await SimpleEventBroker([stock()]).resolve(ask().model_copy(update={"data": {}}))
        assert caplog.records == []

    async def test_a_listener_that_fails_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        async def broken(event: ArvoEvent, error: Exception) -> None:
            raise RuntimeError("full disk")

        broker = SimpleEventBroker([stock()], on_error=broken)
        await broker.publish(ask(id="ask-7").model_copy(update={"data": {}}))
        assert [record.message for record in caplog.records] == [
            "on_error itself failed for event ask-7"
        ]

    async def test_a_listener_is_called_in_resolve_too(self) -> None:
        errors = Errors()
        with pytest.raises(ResolveError):
            await SimpleEventBroker([stock()], on_error=errors).resolve(
                ask().model_copy(update={"data": {}})
            )
        assert [type(error) for _, error in errors.reported] == [ContractViolation]


class Outside:
    """A system outside that is asked through a domain, and answers immediately or later."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.asked: list[ArvoEvent] = []

    async def __call__(self, event: ArvoEvent, publish: Publish) -> None:
        self.asked.append(event)
        if self.at_once:
            await publish(self.answer(event))

    def answer(self, event: ArvoEvent) -> ArvoEvent:
        return ArvoEventFactory(reserve_contract.version(RESERVE_V1)).emits(
            type=RESERVED,
            id=f"answer-to-{event.id}",  # asked twice, it gives the same answer
            source="com.human.approval",
            subject=event.subject,
            data=Reserved(price=42),
            parentid=event.id,
            to=event.redirectto,
        )


async def approved(call: AnyCall) -> Step[Any]:
    if isinstance(call, Start):
        return Step(services=[Emit(RESERVE, {"item": "a"}, domain="human.approval")])
    return Step(output=Complete(Ordered(total=call.data.price)))


class TestDomains:
    async def test_an_event_with_a_domain_goes_outside_and_its_answer_joins_the_tree(self) -> None:
        outside = Outside()
        broker = SimpleEventBroker([order(approved)], on_domained_event=outside)
        answer = await broker.resolve(start())
        assert [event.domain for event in outside.asked] == ["human.approval"]
        assert answer is not None
        assert answer.data == {"total": 42}

    async def test_an_answer_that_comes_later_is_a_tree_of_its_own(self) -> None:
        outside = Outside(at_once=False)
        errors = Errors()
        memory = SimpleMachineMemory()
        broker = SimpleEventBroker(
            [order(approved, memory=memory)], on_domained_event=outside, on_error=errors
        )
        event = start()
        assert await broker.resolve(event) is None
        await broker.publish(outside.answer(outside.asked[0]))
        record = await memory.read(event.subject)
        assert record is not None
        assert record["status"] == "done"
        # The completion is for the application, which waits no longer.
        assert [type(error) for _, error in errors.reported] == [UnroutableError]

    async def test_equal_concurrent_requests_each_get_their_answer(self) -> None:
        both_asked = asyncio.Barrier(2)
        outside = Outside()

        async def ask_both(event: ArvoEvent, publish: Publish) -> None:
            await both_asked.wait()
            await outside(event, publish)

        broker = SimpleEventBroker([order(approved)], on_domained_event=ask_both)
        event = start()
        answers = await asyncio.gather(broker.resolve(event), broker.resolve(event))
        assert [answer and answer.data for answer in answers] == [{"total": 42}] * 2

    async def test_an_answer_may_be_brought_back_inside(self) -> None:
        async def reported(call: AnyCall) -> Step[Any]:
            return Step(output=Complete(Ordered(total=1), domain="reporting"))

        async def bring_back(event: ArvoEvent, publish: Publish) -> None:
            await publish(event)

        broker = SimpleEventBroker([order(reported)], on_domained_event=bring_back)
        answer = await broker.resolve(start())
        assert answer is not None
        assert (answer.type, answer.domain) == (ORDERED, "reporting")

    async def test_without_a_listener_it_is_a_failure_that_names_the_remedy(self) -> None:
        with pytest.raises(ResolveError, match="give the broker an on_domained_event"):
            await SimpleEventBroker([order(approved)]).resolve(start())

    async def test_an_answer_after_the_tree_has_ended_still_arrives(self) -> None:
        ended = asyncio.Event()
        later: list[asyncio.Task[None]] = []
        outside = Outside()

        async def ask_later(event: ArvoEvent, publish: Publish) -> None:
            async def answer() -> None:
                await ended.wait()
                await outside(event, publish)

            later.append(asyncio.create_task(answer()))

        memory = SimpleMachineMemory()
        errors = Errors()
        broker = SimpleEventBroker(
            [order(approved, memory=memory)], on_domained_event=ask_later, on_error=errors
        )
        event = start()
        assert await broker.resolve(event) is None
        ended.set()
        await asyncio.gather(*later)
        record = await memory.read(event.subject)
        assert record is not None
        assert record["status"] == "done"

    async def test_a_listener_that_fails_is_a_failure_of_the_event(self) -> None:
        async def broken(event: ArvoEvent, publish: Publish) -> None:
            raise ConnectionError("no line")

        with pytest.raises(ResolveError, match="ConnectionError: no line"):
            await SimpleEventBroker([order(approved)], on_domained_event=broken).resolve(start())


class Contended(IArvoEventHandler):
    """A handler whose workflow another holder has for a number of tries."""

    def __init__(self, times: int, cause: TransactionViolationCause) -> None:
        self.left = times
        self.cause = cause

    @property
    @override
    def source(self) -> str:
        return RESERVE

    @property
    @override
    def stateful(self) -> bool:
        return True

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        if self.left:
            self.left -= 1
            raise TransactionViolation("held", cause=self.cause, subject=event.subject)
        return await stock().execute(event)


class TestContention:
    """Another event was faster: not a failure, but a reason to try again for a while."""

    @pytest.mark.parametrize(
        "cause",
        [
            TransactionViolationCause.LOCK_UNACQUIRED,
            TransactionViolationCause.VERSION_MOVED,
            TransactionViolationCause.LEASE_LOST,
        ],
    )
    async def test_an_event_is_tried_again_after_contention(
        self, cause: TransactionViolationCause
    ) -> None:
        clock = FakeClock()
        broker = SimpleEventBroker([Contended(20, cause)], clock=clock, random=Random(7))
        answer = await clock.run_until_complete(broker.resolve(ask()))
        assert answer is not None
        assert 1 < clock.monotonic() < 5

    async def test_contention_ends_after_the_timeout(self) -> None:
        clock = FakeClock()
        handler = Contended(10**9, TransactionViolationCause.LOCK_UNACQUIRED)
        broker = SimpleEventBroker([handler], clock=clock, contention_timeout=timedelta(seconds=10))
        with pytest.raises(ResolveError, match="LOCK_UNACQUIRED"):
            await clock.run_until_complete(broker.resolve(ask()))
        assert 10 <= clock.monotonic() < 11

    async def test_contention_lasts_longer_when_the_workflow_moves(self) -> None:
        clock = FakeClock()
        handler = Contended(60, TransactionViolationCause.VERSION_MOVED)
        broker = SimpleEventBroker(
            [handler], clock=clock, random=Random(7), contention_timeout=timedelta(seconds=1)
        )
        assert await clock.run_until_complete(broker.resolve(ask())) is not None
        assert clock.monotonic() > 2

    async def test_contention_lasts_by_default_as_long_as_a_lease_can_be_held(self) -> None:
        clock = FakeClock()
        handler = Contended(10**9, TransactionViolationCause.LOCK_UNACQUIRED)
        with pytest.raises(ResolveError):
            await clock.run_until_complete(SimpleEventBroker([handler], clock=clock).resolve(ask()))
        assert 630 <= clock.monotonic() < 631

    async def test_a_memory_that_fails_is_not_tried_again(self) -> None:
        clock = FakeClock()
        handler = Contended(1, TransactionViolationCause.READ_FAILURE)
        with pytest.raises(ResolveError, match="READ_MACHINE_MEMORY_FAILURE"):
            await SimpleEventBroker([handler], clock=clock).resolve(ask())
        assert clock.monotonic() == 0

    async def test_two_trees_of_one_workflow_take_turns(self) -> None:
        clock = FakeClock()
        running, most = 0, 0

        async def flow(call: AnyCall) -> Step[Any]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await clock.sleep(timedelta(seconds=1))
            running -= 1
            if isinstance(call, Reply) and len(call.replies(RESERVE_V1)) == 2:
                return Step(output=Complete({"total": 2}))
            services = [Emit(RESERVE, {"item": "a"}, domain="outside")] * 2
            return Step(services=services if isinstance(call, Start) else [])

        outside = Outside(at_once=False)
        memory = SimpleMachineMemory()
        broker = SimpleEventBroker(
            [order(flow, memory=memory)], on_domained_event=outside, clock=clock, on_error=Errors()
        )
        event = start()
        await clock.run_until_complete(broker.resolve(event))
        answers = [broker.publish(outside.answer(each)) for each in outside.asked]
        await clock.run_until_complete(asyncio.gather(*answers))
        assert most == 1
        record = await memory.read(event.subject)
        assert record is not None
        assert record["status"] == "done"


async def test_an_event_without_address_goes_to_its_type() -> None:
    handled: list[str] = []

    async def note(call: HandlerInput[Reserve]) -> None:
        handled.append(call.data.item)

    broker = SimpleEventBroker([stock(note)])
    await broker.publish(ask("published").model_copy(update={"to": None}))
    await broker.resolve(ask("resolved").model_copy(update={"to": None}))
    assert handled == ["published", "resolved"]


class TestCancellation:
    async def test_events_that_others_published_into_a_cancelled_tree_are_reported(self) -> None:
        started = asyncio.Event()

        async def stuck(call: HandlerInput[Reserve]) -> None:
            started.set()
            await asyncio.Event().wait()

        errors = Errors()
        broker = SimpleEventBroker([stock(stuck)], on_error=errors)
        request = ask()
        resolving = asyncio.create_task(broker.resolve(request))
        await started.wait()
        joined = ask(subject=request.subject, parentid=request.id)
        await broker.publish(joined)
        resolving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resolving
        assert [event_id for event_id, _ in errors.reported] == [request.id, joined.id]
        assert {type(error) for _, error in errors.reported} == {UndeliveredError}


async def test_a_request_to_its_own_source_is_not_an_answer() -> None:
    with pytest.raises(ResolveError) as failed:
        await SimpleEventBroker([stock()]).resolve(ask(to=APP))
    assert isinstance(failed.value.failures[0][1], UnroutableError)


async def test_an_equal_id_of_another_subject_causes_nothing() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    handled: list[str] = []

    async def slow(call: HandlerInput[Reserve]) -> None:
        handled.append(call.event.id)
        if call.event.id == "1":
            entered.set()
            await go_on.wait()

    broker = SimpleEventBroker([stock(slow)])
    first = asyncio.create_task(broker.publish(ask(id="1", subject="theirs")))
    await entered.wait()
    await broker.publish(ask(id="2", subject="ours", parentid="1"))
    assert handled == ["1", "2"]
    go_on.set()
    await first


async def test_a_handler_that_returns_nothing_at_all_fails_its_event_only() -> None:
    class Broken(Contended):
        @override
        async def execute(
            self, event: ArvoEvent, *, parent: Context | None = None
        ) -> list[ArvoEvent]:
            return None  # type: ignore[return-value]

    errors = Errors()
    broken = Broken(0, TransactionViolationCause.LOCK_UNACQUIRED)
    await SimpleEventBroker([broken], on_error=errors).publish(ask())
    assert [type(error) for _, error in errors.reported] == [TypeError]


def test_a_plain_number_is_refused_as_a_timeout() -> None:
    with pytest.raises(TypeError, match="contention_timeout must be a timedelta, got 30"):
        SimpleEventBroker([], contention_timeout=30)  # type: ignore[arg-type]


async def test_what_a_handler_started_may_ask_for_its_workflow_once_it_has_ended() -> None:
    """The workflow is no longer in hand, although the task still has the handler's context."""
    begun = list[asyncio.Task[None]]()

    class Lasting(IArvoEventHandler):
        @property
        @override
        def source(self) -> str:
            return "com.svc.lasting"

        @property
        @override
        def stateful(self) -> bool:
            return True

        @override
        async def execute(
            self, event: ArvoEvent, *, parent: Context | None = None
        ) -> list[ArvoEvent]:
            handled.append(event.id)
            if not begun:
                begun.append(asyncio.create_task(ask_later()))
            return []

    async def ask_later() -> None:
        await ended.wait()
        await broker.publish(told("second"))

    def told(id: str) -> ArvoEvent:
        return ArvoEvent.create(
            id=id, source=APP, type="com.svc.lasting", to="com.svc.lasting", subject="s", data={}
        )

    handled, ended = list[str](), asyncio.Event()
    broker = SimpleEventBroker([Lasting()])
    await broker.publish(told("first"))
    ended.set()
    await asyncio.gather(*begun)
    assert handled == ["first", "second"]
