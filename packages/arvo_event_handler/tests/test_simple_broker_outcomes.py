"""What user code does to the plain broker: each event has an outcome, and none waits for itself."""

import asyncio
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import (
    ArvoResumable,
    ConfigViolation,
    IArvoEventHandler,
    Reply,
    ResolveError,
    SimpleEventBroker,
    SimpleMachineMemory,
    Start,
    Step,
    UndeliveredError,
)
from arvo_event_handler.delivery import Publish

from .shop import ORDER, order, start
from .test_simple_broker import ask, stock


class OddError(BaseException):
    """Does not derive from `Exception`."""


async def raise_odd(*arguments: object) -> None:
    raise OddError("odd")


async def raise_generator_exit(*arguments: object) -> None:
    await asyncio.sleep(0)
    raise GeneratorExit


def raise_generator_exit_when_called(*arguments: object) -> Any:
    raise GeneratorExit


async def raise_cancelled_error(*arguments: object) -> None:
    raise asyncio.CancelledError


async def await_what_was_cancelled(*arguments: object) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiter.cancel()
    await waiter


def raise_stop_iteration_when_called(*arguments: object) -> Any:
    raise StopIteration([])


NO_EXCEPTIONS = [
    *(raise_odd, raise_generator_exit, raise_generator_exit_when_called, raise_cancelled_error),
    *(await_what_was_cancelled, raise_stop_iteration_when_called),
]


class Bare:
    """A handler whose `execute` is the function itself, which need not be async."""

    source = "com.stock.reserve"
    stateful = False
    contract = None

    def __init__(self, execute: Any) -> None:
        self.execute = execute


@pytest.mark.parametrize("fail", NO_EXCEPTIONS)
class TestNoException:
    async def test_of_a_handler_is_a_failure(self, fail: Any) -> None:
        with pytest.raises(ResolveError) as caught:
            await SimpleEventBroker([Bare(fail)]).resolve(ask())
        assert isinstance(caught.value.__cause__, RuntimeError)

    async def test_of_a_listener_for_domains_is_a_failure(self, fail: Any) -> None:
        async def outside(event: ArvoEvent, publish: Publish) -> None:
            await fail(event)

        async def ask_outside(event: ArvoEvent) -> list[ArvoEvent]:
            return [event.model_copy(update={"id": "out", "domain": "human"})]

        broker = SimpleEventBroker([Bare(ask_outside)], on_domained_event=outside)
        with pytest.raises(ResolveError):
            await broker.resolve(ask())

    async def test_of_on_error_is_logged(self, fail: Any, caplog: pytest.LogCaptureFixture) -> None:
        async def on_error(event: ArvoEvent, error: Exception) -> None:
            await fail(event)

        await SimpleEventBroker([], on_error=on_error).publish(ask(id="ask-7"))
        assert [record.message for record in caplog.records] == [
            "on_error itself failed for event ask-7"
        ]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt("now"), SystemExit(3)], ids=repr)
def test_an_interrupt_ends_the_program_and_the_event_is_reported(interrupt: BaseException) -> None:
    reported: list[tuple[str, type[Exception]]] = []

    async def end(event: ArvoEvent) -> list[ArvoEvent]:
        raise interrupt

    async def on_error(event: ArvoEvent, error: Exception) -> None:
        reported.append((event.id, type(error)))

    broker = SimpleEventBroker([Bare(end)], on_error=on_error)
    with pytest.raises(type(interrupt)) as caught:
        asyncio.run(broker.publish(ask(id="ask-7")))
    assert caught.value is interrupt
    assert reported == [("ask-7", UndeliveredError)]


async def test_a_cancelled_publisher_stays_cancelled() -> None:
    waiting = asyncio.Event()

    async def wait(event: ArvoEvent) -> list[ArvoEvent]:
        waiting.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    publishing = asyncio.create_task(SimpleEventBroker([Bare(wait)]).publish(ask()))
    await waiting.wait()
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing


@pytest.mark.parametrize("nonsense", [None, 7, ["no event"], "text"])
async def test_a_handler_that_returns_no_events_has_failed_and_nothing_is_half_done(
    nonsense: Any,
) -> None:
    outside: list[str] = []

    async def act(event: ArvoEvent) -> Any:
        if not isinstance(nonsense, list):
            return nonsense
        return [event.model_copy(update={"id": "out", "domain": "human"}), *nonsense]

    async def take(event: ArvoEvent, publish: Publish) -> None:
        outside.append(event.id)

    broker = SimpleEventBroker([Bare(act)], on_domained_event=take)
    with pytest.raises(ResolveError, match="TypeError"):
        await broker.resolve(ask())
    assert outside == []


class TestSelfWait:
    """A workflow's function that awaits the broker for its own workflow fails immediately."""

    @staticmethod
    def workflow(act: Any) -> ArvoResumable:
        async def start_only(call: Start[Any] | Reply[Any]) -> Step[Any]:
            await act(call)
            return Step()

        return order(start_only, memory=SimpleMachineMemory())

    @pytest.mark.parametrize("name", ["resolve", "publish"])
    async def test_for_the_workflow_that_it_is_handling_raises(self, name: str) -> None:
        raised: list[Exception] = []

        async def act(call: Any) -> None:
            again = start().model_copy(update={"subject": call.event.subject})
            try:
                await getattr(broker, name)(again)
            except ConfigViolation as error:
                raised.append(error)

        broker = SimpleEventBroker([self.workflow(act)])
        await broker.publish(start())
        assert len(raised) == 1
        assert "return it as an output" in str(raised[0])

    async def test_in_a_task_of_the_function_raises(self) -> None:
        async def act(call: Any) -> None:
            again = start().model_copy(update={"subject": call.event.subject})
            await asyncio.gather(broker.resolve(again), broker.resolve(again))

        broker = SimpleEventBroker([self.workflow(act)])
        with pytest.raises(ResolveError, match="ConfigViolation"):
            await broker.resolve(start())

    async def test_that_comes_back_through_a_service_is_a_failure_of_what_was_asked(self) -> None:
        async def act(call: Any) -> None:
            await broker.resolve(ask().model_copy(update={"data": {"item": call.event.subject}}))

        async def back(event: ArvoEvent) -> list[ArvoEvent]:
            subject = event.data["item"]
            return [start().model_copy(update={"subject": subject, "to": ORDER})]

        handlers: list[IArvoEventHandler] = [self.workflow(act), Bare(back)]
        broker = SimpleEventBroker(handlers)
        with pytest.raises(ResolveError, match="would wait for itself"):
            await broker.resolve(start())

    async def test_for_another_workflow_or_a_service_is_answered(self) -> None:
        answers: list[Any] = []

        async def act(call: Any) -> None:
            if call.data.items != ["inner"]:
                answers.append(await broker.resolve(start("inner")))
                answers.append(await broker.resolve(ask()))

        broker = SimpleEventBroker([self.workflow(act), stock()])
        await broker.publish(start("outer"))
        assert answers[0] is None
        assert answers[1].type == "evt.stock.reserve.success"

    async def test_after_the_function_has_ended_is_handled(self) -> None:
        later: list[asyncio.Task[Any]] = []
        ended = asyncio.Event()

        async def act(call: Any) -> None:
            again = start().model_copy(update={"subject": call.event.subject})

            async def publish() -> None:
                await ended.wait()
                await broker.publish(again)

            later.append(asyncio.create_task(publish()))

        broker = SimpleEventBroker([self.workflow(act)])
        await broker.publish(start())
        ended.set()
        await later[0]


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("first", [0, 2])
async def test_failures_besides_an_answer_are_reported(
    listens: bool, first: int, caplog: pytest.LogCaptureFixture
) -> None:
    reported: list[str] = []

    async def listen(event: ArvoEvent, error: Exception) -> None:
        reported.append(event.id)

    async def act(event: ArvoEvent) -> list[ArvoEvent]:
        lost = [
            ask(id="nowhere", to="com.no.one", subject=event.subject),
            ask(id="outside", domain="human", subject=event.subject),
        ]
        lost.insert(first, ask(id="answer", to=event.source, subject=event.subject))
        return lost

    broker = SimpleEventBroker([Bare(act)], on_error=listen if listens else None)
    answer = await broker.resolve(ask())
    assert answer is not None
    assert answer.id == "answer"
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert reported == (["nowhere", "outside"] if listens else [])
    assert [line.split()[1] for line in lines] == ([] if listens else ["nowhere", "outside"])
